import Foundation
import Vitrum
import XCTest

@testable import VitrumSwift

final class SamTests: XCTestCase {
    private let click = Prompt(points: [.init(x: 48, y: 48)])

    func testAClickAsTheCLibraryAnswersIt() async throws {
        let pixels = try Pixels.strawberry()
        let sam = try await Sam.load(demoModel("sam-nano"))
        let embedding = try await sam.encode(try pixels.picture())
        XCTAssertEqual([embedding.width, embedding.height], [pixels.width, pixels.height])
        let prediction = try await sam.predict(embedding, click)
        XCTAssertEqual(prediction.count, 3)
        let best = try prediction.best
        XCTAssertEqual(try prediction.scores[best], try prediction.scores.max())

        // The same by calls of the C library.
        let model = sam.handle.pointer
        var (encoded, answer): (OpaquePointer?, OpaquePointer?)
        XCTAssertEqual(pixels.withC { vitrum_sam_encode(model, $0, nil, nil, &encoded, nil) }, VITRUM_OK)
        XCTAssertEqual(vitrum_sam_prediction_new(model, &answer, nil), VITRUM_OK)
        defer {
            vitrum_sam_embedding_free(encoded)
            vitrum_sam_prediction_free(answer)
        }
        var point = vitrum_point(x: 48, y: 48, label: VITRUM_LABEL_FOREGROUND)
        var prompt = vitrum_sam_prompt()
        XCTAssertEqual(vitrum_sam_prompt_init(&prompt, MemoryLayout<vitrum_sam_prompt>.size), VITRUM_OK)
        var expected = [UInt8](repeating: 9, count: pixels.width * pixels.height)
        withUnsafePointer(to: &point) {
            prompt.points = $0
            prompt.point_count = 1
            XCTAssertEqual(vitrum_sam_predict(model, encoded!, &prompt, 1, nil, answer!, nil), VITRUM_OK)
        }
        XCTAssertEqual(
            vitrum_sam_prediction_mask(answer!, 0, best, 0, &expected, expected.count, nil, nil), VITRUM_OK)
        let mask = try prediction.mask()
        XCTAssertEqual(mask.pixels, expected)

        // The strawberry is there, and it is not everything.
        XCTAssert(mask[48, 48])
        XCTAssertFalse(mask[2, 2])
        let stats = try prediction.stats()
        XCTAssertEqual(stats.area, mask.area)
        XCTAssertEqual(stats.score, try prediction.scores[best])
        XCTAssertEqual(try prediction.stability(offset: 1), stats.stability)
        let runs = try prediction.runLengths()
        XCTAssertEqual(runs.area, mask.area)
        XCTAssertEqual(runs.mask(), mask)
        XCTAssertEqual(try RunLengths(width: runs.width, height: runs.height, counts: runs.counts), runs)
        XCTAssertEqual(zip(try prediction.logits(), mask.pixels).filter { ($0 > 0) != ($1 == 1) }.count, 0)

        // By the shoelace formula, outlines less holes have the mask's area.
        let polygons = try runs.polygons()
        let area = polygons.reduce(0) { sum, polygon in
            let corners = polygon.corners
            let twice = corners.indices.reduce(0) { sum, i in
                let (a, b) = (corners[i], corners[(i + 1) % corners.count])
                return sum + a.x * b.y - b.x * a.y
            }
            XCTAssertEqual(twice < 0, polygon.isHole)
            return sum + twice / 2
        }
        XCTAssertEqual(area, mask.area)
        XCTAssertLessThan(
            try runs.polygons(tolerance: 2).map(\.corners.count).reduce(0, +), polygons.map(\.corners.count).reduce(0, +))
    }

    func testPromptsOfAllKinds() async throws {
        let sam = try await Sam.load(demoModel("sam-nano"))
        let embedding = try await sam.encode(try Pixels.strawberry().picture())
        let first = try await sam.predict(embedding, click, options: .init(multimask: false))
        XCTAssertEqual(first.count, 1)
        let lowRes = try first.lowRes()
        XCTAssertEqual(lowRes.count, sam.maskSide * sam.maskSide)
        let prompts = [
            click, Prompt(box: .init(left: 10, top: 8, right: 88, bottom: 90)),
            Prompt(points: [.init(x: 48, y: 48), .init(x: 4, y: 4, label: .background)], mask: lowRes),
        ]
        let together = try await sam.predict(embedding, prompts)
        XCTAssertEqual(together.count, 3)
        for (prompt, answer) in zip(prompts, together) {
            let alone = try await sam.predict(embedding, prompt)
            XCTAssertEqual(try alone.best, try answer.best)
            for (a, b) in zip(try alone.logits(0), try answer.logits(0)) { XCTAssertEqual(a, b, accuracy: 1e-2) }
        }
        await assertThrows(.invalidArgument, "prompts: none given") { _ = try await sam.predict(embedding, []) }
        await assertThrows(.invalidArgument, "mask") { _ = try await sam.predict(embedding, Prompt(mask: [])) }
        await assertThrows(.invalidArgument, "mask") { _ = try await sam.predict(embedding, Prompt(mask: [1, 2])) }
        await assertThrows(.invalidArgument, "NaN") {
            _ = try await sam.predict(embedding, Prompt(points: [.init(x: .nan, y: 0)]))
        }
        await assertThrows(.invalidArgument, "maxHoleArea") {
            _ = try await sam.predict(embedding, self.click, options: .init(maxHoleArea: -1))
        }
        await assertThrows(.invalidArgument, "mask 7") { _ = try first.mask(7) }
        await assertThrows(.invalidArgument, "imageSize") {
            var options = Sam.Options()
            options.imageSize = -16
            _ = try await Sam.load(demoModel("sam-nano"), options: options)
        }
    }

    func testEmbeddingsAreSavedAndKnowTheirPicture() async throws {
        let pixels = try Pixels.strawberry()
        let sam = try await Sam.load(demoModel("sam-nano"))
        let embedding = try await sam.encode(try pixels.picture())
        let saved = try embedding.save()
        let restored = try sam.restore(saved)
        XCTAssertEqual(try restored.values(), try embedding.values())
        XCTAssertEqual(try restored.isOf(try pixels.picture()), .same)
        XCTAssertEqual(try restored.isOf(try pixels.moved(by: 1).picture()), .other)
        XCTAssertGreaterThan(restored.memoryBytes, 1000)
        var damaged = saved
        damaged[damaged.count / 2] ^= 1
        await assertThrows(.format, "checksum") { _ = try sam.restore(damaged) }
        await assertThrows(.invalidArgument, "none given") { _ = try sam.restore([]) }
        let other = try await Sam.load(demoModel("sam2-nano"))
        await assertThrows(.invalidArgument, "another model") { _ = try other.restore(saved) }
        await assertThrows(.invalidArgument, "another model") { _ = try await other.predict(embedding, self.click) }
    }

    func testACancelledTaskStopsTheWork() async throws {
        let picture = try Pixels.strawberry().picture()
        let sam = try await Sam.load(demoModel("sam-nano"), context: try Context(threads: 1))
        var options = EverythingOptions()
        options.pointsPerSide = 128 // Minutes of work.
        let begun = expectation(description: "it computes")
        begun.assertForOverFulfill = false
        let long = Task { [options] in
            try await sam.everything(picture, options: options) { if $0 > 0 { begun.fulfill() } }.records.count
        }
        await fulfillment(of: [begun], timeout: 60)
        // One that waits for it: its progress would be told if it ever began.
        let waiting = Task { try await sam.encode(picture) { _ in XCTFail("it began") } }
        try await Task.sleep(nanoseconds: 50_000_000)
        await assertCancelled(waiting, within: 0.5)
        // A click does not wait for the picture.
        let embedding = try await Sam.load(demoModel("sam-nano")).encode(picture)
        _ = try await sam.predict(embedding, click)
        await assertCancelled(long, within: 2)
        // The model is as it was.
        let again = try await sam.encode(picture)
        let (a, b) = (try await sam.predict(again, click), try await sam.predict(embedding, click))
        XCTAssertEqual(try a.best, try b.best)

        // A task that was cancelled before it calls.
        let early = Task {
            while !Task.isCancelled { await Task.yield() }
            return try await sam.encode(picture) { _ in XCTFail("it began") }
        }
        await assertCancelled(early, within: 0.5)
    }

    func testEncodingIsCancelled() async throws {
        let picture = try Pixels.strawberry().picture()
        let sam = try await Sam.load(demoModel("sam-nano"), context: try Context(threads: 1, instructionSet: .portable))
        let task = Locked<Task<Embedding, Error>?>(nil)
        let stopped = Locked(false)
        let encoding = Task {
            while task.with({ $0 }) == nil { await Task.yield() }
            return try await sam.encode(picture) { fraction in
                // Cancelled from within, so that it is running for certain.
                if fraction < 1, let it = task.with({ $0 }) {
                    stopped.with { $0 = true }
                    it.cancel()
                }
            }
        }
        task.with { $0 = encoding }
        let result = await encoding.result
        if stopped.with({ $0 }) {
            guard case .failure(let error) = result else { return XCTFail("it was encoded all the same") }
            XCTAssert(error is CancellationError, "\(error)")
        } else {
            XCTFail("it was over before it could be cancelled")
        }
    }

    func testEverythingAndWords() async throws {
        let picture = try Pixels.strawberry().picture()
        let sam = try await Sam.load(demoModel("sam-nano"))
        var options = EverythingOptions()
        options.pointsPerSide = 4
        let (records, embedding) = try await sam.everything(picture, options: options)
        XCTAssertFalse(records.isEmpty)
        for record in records {
            XCTAssertEqual(record.area, record.runLengths.area)
            XCTAssertEqual([record.runLengths.width, record.runLengths.height], [embedding.width, embedding.height])
        }
        // The same points as a grid of the caller's.
        var ownGrid = EverythingOptions()
        ownGrid.pointGrids = [
            (0..<16).map { .init(x: (Double($0 % 4) + 0.5) / 4, y: (Double($0 / 4) + 0.5) / 4) }
        ]
        let (same, _) = try await sam.everything(picture, options: ownGrid)
        XCTAssertEqual(same, records)
        await assertThrows(.invalidArgument, "pointsPerSide") {
            var wrong = EverythingOptions()
            wrong.pointsPerSide = -1
            _ = try await sam.everything(picture, options: wrong)
        }

        let clip = try await Clip.load(demoModel("clip-nano"))
        var words = GroundOptions()
        words.candidates = options
        words.others = ["an octopus"]
        let matches = try await sam.ground(picture, texts: ["a strawberry"], with: clip, options: words)
        XCTAssertEqual(matches.map(\.text), [0])
        XCTAssert(matches[0].record.runLengths.mask()[48, 48])
        XCTAssertGreaterThan(matches[0].probability, 0.5)
        await assertThrows(.invalidArgument, "texts: none given") {
            _ = try await sam.ground(picture, texts: [], with: clip)
        }
    }

    func testAVideo() async throws {
        let pixels = try Pixels.strawberry()
        let frames = try (0..<4).map { try pixels.moved(by: 6 * $0).picture() }
        let sam = try await Sam.load(demoModel("sam2-nano"))
        var options = Tracker.Options()
        options.heldFrames = 2
        let tracker = try Tracker(sam, width: pixels.width, height: pixels.height, options: options)
        var frame = try await tracker.currentFrame()
        XCTAssertNil(frame)
        let first = try await tracker.push(frames[0])
        XCTAssertEqual(first, 0)
        try await tracker.add(7, click)
        let mask = try await tracker.mask(of: 7)
        XCTAssert(mask[48, 48])
        var centres: [Int] = []
        for try await frame in tracker.track(Array(frames[1...])) {
            XCTAssertEqual(frame.number, Int64(centres.count))
            XCTAssertEqual(frame.masks.map(\.object), [7])
            XCTAssertEqual(frame.masks[0].runLengths.area, frame.masks[0].stats.area)
            let box = frame.masks[0].stats.box
            centres.append(2 * box.left + box.width)
        }
        // The pending frame first, then the others: the strawberry moves to the right.
        XCTAssertEqual(centres.count, 4)
        XCTAssertEqual(centres, centres.sorted())
        XCTAssertGreaterThan(centres[3] - centres[0], 2 * 10)

        frame = try await tracker.currentFrame()
        XCTAssertEqual(frame, 3)
        let (held, objects) = (try await tracker.heldFrames(), try await tracker.objects())
        XCTAssertEqual(held, [2, 3])
        XCTAssertEqual(objects, [7])
        let restored = try Tracker.restore(sam, try await tracker.save())
        let (before, after) = (try await tracker.masks(), try await restored.masks())
        XCTAssertEqual(before, after)
        let logits = try await restored.logits(of: 7, frame: 2)
        XCTAssertEqual(logits.count, pixels.width * pixels.height)
        let lowRes = try await restored.lowRes(of: 7)
        XCTAssertEqual(lowRes.count, sam.maskSide * sam.maskSide)
        let bytes = try await restored.memoryBytes()
        XCTAssertLessThanOrEqual(
            bytes, try Tracker.memoryLimit(sam, width: pixels.width, height: pixels.height, options: options))

        await assertThrows(.invalidArgument, "no object 8") { _ = try await tracker.mask(of: 8) }
        await assertThrows(.image, "1 x 1") {
            try await tracker.push(try Picture([0, 0, 0], width: 1, height: 1, format: .rgb8))
        }
        try await tracker.add(8, mask)
        try await tracker.clearPrompts(of: 8)
        try await tracker.remove(8)
        try await tracker.reset()
        let none = try await tracker.objects()
        XCTAssertEqual(none, [])
        await assertThrows(.invalidArgument, "no objects") { try await tracker.step() }
        let pictures = try await Sam.load(demoModel("sam-nano"))
        await assertThrows(.unsupported, "no SAM 2") { _ = try Tracker(pictures, width: 64, height: 64) }
    }
}
