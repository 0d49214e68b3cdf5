import Foundation
import Vitrum
import XCTest

@testable import VitrumSwift

final class ClipTests: XCTestCase {
    private let labels = ["octopus", "strawberry", "bicycle"]

    func testClassifiesAsTheCLibraryDoes() async throws {
        let pixels = try Pixels.strawberry()
        let clip = try await Clip.load(demoModel("clip-nano"))
        let probabilities = try await clip.classify(try pixels.picture(), labels: labels)
        XCTAssertEqual(probabilities.reduce(0, +), 1, accuracy: 1e-5)
        XCTAssertGreaterThan(probabilities[1], 0.9)

        var expected = [Float](repeating: 0, count: labels.count)
        let pointers = labels.map { strdup($0)! }
        defer { pointers.forEach { free($0) } }
        let status = pixels.withC { image in
            vitrum_clip_classify(
                clip.handle.pointer, image, pointers.map { UnsafePointer($0) }, labels.count, nil, &expected, expected.count,
                nil, nil)
        }
        XCTAssertEqual(status, VITRUM_OK)
        XCTAssertEqual(probabilities, expected)
        let templated = try await clip.classify(try pixels.picture(), labels: labels, template: "a drawing of a {}")
        XCTAssertNotEqual(templated, probabilities)
        XCTAssertEqual(try clip.warnings, [])
        XCTAssertFalse(clip.hasIndependentProbabilities)
        XCTAssertGreaterThan(clip.memoryBytes, 1_000_000)
    }

    func testEmbeddingsGiveTheSameProbabilities() async throws {
        let clip = try await Clip.load(demoModel("clip-nano"))
        let picture = try Pixels.strawberry().picture()
        let fractions = Locked<[Double]>([])
        let images = try await clip.embed(pictures: [picture, picture]) { fraction in
            fractions.with { $0.append(fraction) }
        }
        let texts = try await clip.embed(texts: labels.map { "a photo of a \($0)" })
        XCTAssertEqual(images.map(\.count), [clip.embeddingSize, clip.embeddingSize])
        XCTAssertEqual(images[0], images[1])
        XCTAssertEqual(images[0].reduce(0) { $0 + $1 * $1 }, 1, accuracy: 1e-4)
        fractions.with {
            XCTAssertEqual($0.last, 1)
            XCTAssertEqual($0, $0.sorted())
        }

        let logits = try clip.similarity(images: images, texts: texts)
        XCTAssertEqual(logits.map(\.count), [3, 3])
        let exponents = logits[0].map { exp($0 - logits[0].max()!) }
        let classified = try await clip.classify(picture, labels: labels)
        for (exponent, probability) in zip(exponents, classified) {
            XCTAssertEqual(exponent / exponents.reduce(0, +), probability, accuracy: 1e-5)
        }
        let long = try await clip.embed(pictures: [picture], normalizes: false)
        XCTAssertNotEqual(long[0].reduce(0) { $0 + $1 * $1 }, 1, accuracy: 1e-3)
        let (none, some) = (try clip.tokenize(""), try clip.tokenize("a strawberry"))
        XCTAssertEqual(none.count, 2)
        XCTAssertEqual([some.first, some.last], [none[0], none[1]])
        XCTAssertGreaterThan(some.count, 3)
    }

    func testLoadsFromMemory() async throws {
        let directory = demo.appendingPathComponent("clip-nano")
        var files = ModelFiles()
        for name in ["model.safetensors", "config.json", "preprocessor_config.json", "tokenizer.json"] {
            files[name] = [UInt8](try Data(contentsOf: directory.appendingPathComponent(name)))
        }
        let picture = try Pixels.strawberry().picture()
        let inMemory = try await Clip.load(files: files).classify(picture, labels: labels)
        let fromDirectory = try await Clip.load(directory.path).classify(picture, labels: labels)
        XCTAssertEqual(inMemory, fromDirectory)
        await assertThrows(.invalidArgument, "files: none given") { _ = try await Clip.load(files: [:]) }
        await assertThrows(.invalidArgument, "NUL") { _ = try await Clip.load(files: ["a\0b": []]) }

        var options = Clip.Options()
        options.weights = .int8
        let small = try await Clip.load(files: files, options: options)
        let large = try await Clip.load(files: files)
        XCTAssertLessThan(small.memoryBytes, large.memoryBytes)
    }

    func testWhatIsWrongIsNamed() async throws {
        await assertThrows(.notFound, "no/such/model") { _ = try await Clip.load("no/such/model") }
        let clip = try await Clip.load(demoModel("clip-nano"))
        let picture = try Pixels.strawberry().picture()
        await assertThrows(.invalidArgument, "label") { _ = try await clip.classify(picture, labels: []) }
        await assertThrows(.invalidArgument, "label 1: a text with a NUL") {
            _ = try await clip.classify(picture, labels: ["a", "b\0c"])
        }
        await assertThrows(.invalidArgument, "{}") {
            _ = try await clip.classify(picture, labels: ["a"], template: "nothing")
        }
        await assertThrows(.invalidArgument, "images: none given") { _ = try await clip.embed(pictures: []) }
        await assertThrows(.invalidArgument, "texts: none given") { _ = try await clip.embed(texts: []) }
        await assertThrows(.invalidArgument, "7 numbers") {
            _ = try clip.similarity(images: [[Float](repeating: 1, count: 7)], texts: [])
        }
        await assertThrows(.invalidArgument, "no embeddings") { _ = try clip.similarity(images: [], texts: []) }
        await assertThrows(.unsupported, "this is a CLIP") { _ = try await Sam.load(demoModel("clip-nano")) }
        XCTAssertEqual((VitrumError(.io, "the sentence") as Error).localizedDescription, "the sentence")
    }

    func testContextsHaveLimits() async throws {
        await assertThrows(.invalidArgument, "threads") { _ = try Context(threads: -1) }
        await assertThrows(.invalidArgument, "5000 threads") { _ = try Context(threads: 5000) }
        let context = try Context(threads: 1, instructionSet: .portable)
        XCTAssertEqual(context.threads, 1)
        XCTAssertEqual(context.instructionSet, .portable)
        var limits = Limits()
        limits.pixels = 100
        let clip = try await Clip.load(demoModel("clip-nano"), context: try Context(limits: limits))
        let picture = try Pixels.strawberry().picture()
        await assertThrows(.limit, "the context's limit pixels") { _ = try await clip.embed(pictures: [picture]) }
        clip.context.trim()
    }

    func testTasksShareAModel() async throws {
        let clip = try await Clip.load(demoModel("clip-nano"))
        let picture = try Pixels.strawberry().picture()
        let expected = try await clip.classify(picture, labels: labels)
        try await withThrowingTaskGroup(of: [Float].self) { group in
            for _ in 0..<16 { group.addTask { [labels] in try await clip.classify(picture, labels: labels) } }
            for try await answer in group { XCTAssertEqual(answer, expected) }
        }
    }
}
