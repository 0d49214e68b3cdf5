import XCTest

@testable import VitrumSwift

/// Exact search against a sort of all products.
final class VectorsTests: XCTestCase {
    private let size = 37
    private let count = 500
    private var state: UInt64 = 7

    /// From 0 to 1, the same each time.
    private func random() -> Float {
        state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
        return Float(state >> 40) / Float(1 << 24)
    }

    /// Whole numbers: their products are exact in floats, and many are equal.
    private func whole(_ rows: Int) -> [[Float]] {
        (0..<rows).map { _ in (0..<size).map { _ in (7 * random()).rounded(.down) - 3 } }
    }

    private func product(_ a: [Float], _ b: [Float]) -> Double {
        zip(a, b).reduce(0) { $0 + Double($1.0) * Double($1.1) }
    }

    /// The best first, of equal ones the earlier first.
    private func sorted(_ query: [Float], _ rows: [[Float]]) -> [Hit] {
        rows.enumerated().map { Hit(index: $0, score: Float(product(query, $1))) }
            .sorted { ($1.score, $0.index) < ($0.score, $1.index) }
    }

    func testFindsTheBestOfFloats() async throws {
        let (rows, queries) = (whole(count), whole(20))
        let expected = queries.map { sorted($0, rows) }
        XCTAssert(zip(expected[0].prefix(50), expected[0].dropFirst()).contains { $0.score == $1.score })
        for vectors in [try Vectors(rows), try Vectors(rows.flatMap { $0 }, size: size)] {
            XCTAssertEqual([vectors.count, vectors.size], [count, size])
            XCTAssertNil(vectors.codes)
            XCTAssertNil(vectors.scales)
            let some = try await vectors.topk(50, of: queries[0])
            XCTAssertEqual(some, Array(expected[0].prefix(50)))
            let all = try await vectors.topk(600, of: queries[0])
            XCTAssertEqual(all, expected[0])
            for number in [5, 20] {
                let found = try await vectors.topk(9, ofEach: Array(queries.prefix(number)), context: try Context(threads: 1))
                XCTAssertEqual(found, expected.prefix(number).map { Array($0.prefix(9)) })
            }
        }
    }

    func testFindsTheBestOfIntegers() async throws {
        let half = (0..<count / 2).map { _ in (0..<size).map { _ in 2 * random() - 1 } }
        let rows = half + half // Every vector is there twice.
        let query = (0..<size).map { _ in 2 * random() - 1 }
        let made = try Vectors(rows).quantized()
        let (codes, scales) = (try XCTUnwrap(made.codes), try XCTUnwrap(made.scales))
        let rounded = (0..<count).map { row in codes[row * size..<(row + 1) * size].map { scales[row] * Float($0) } }
        for (row, (before, after)) in zip(rows, rounded).enumerated() {
            XCTAssertEqual(scales[row], before.map(abs).max()! / 127, accuracy: 1e-6)
            for (a, b) in zip(before, after) { XCTAssertEqual(a, b, accuracy: 0.501 * scales[row]) }
        }
        let expected = sorted(query, rounded)
        for vectors in [made, try Vectors(codes: codes, scales: scales, size: size)] {
            let found = try await vectors.topk(600, of: query)
            XCTAssertEqual(found.count, count)
            for (place, hit) in found.enumerated() {
                // The query has 16 bits.
                XCTAssertEqual(hit.score, expected[place].score, accuracy: 1e-3)
                XCTAssertEqual(Double(hit.score), product(query, rounded[hit.index]), accuracy: 1e-3)
                guard place % 2 == 1 else { continue }
                XCTAssertEqual(hit, Hit(index: found[place - 1].index + count / 2, score: found[place - 1].score))
            }
        }
    }

    func testWhatIsWrongIsNamed() async throws {
        let vectors = try Vectors([[1, 2], [3, 4]])
        await assertThrows(.invalidArgument, "k is 0") { _ = try await vectors.topk(0, of: [1, 2]) }
        await assertThrows(.invalidArgument, "k is -1") { _ = try await vectors.topk(-1, of: [1, 2]) }
        await assertThrows(.invalidArgument, "3 values, not 2") { _ = try await vectors.topk(1, of: [1, 2, 3]) }
        await assertThrows(.invalidArgument, "quer") { _ = try await vectors.topk(1, ofEach: []) }
        await assertThrows(.invalidArgument, "vector 1") { _ = try Vectors([[1, 2], [3]]) }
        await assertThrows(.invalidArgument, "no values") { _ = try Vectors([]) }
        await assertThrows(.invalidArgument, "whole vectors") { _ = try Vectors([1, 2, 3], size: 2) }
        await assertThrows(.invalidArgument, "whole vectors") { _ = try Vectors([], size: 0) }
        await assertThrows(.invalidArgument, "1 scales") { _ = try Vectors(codes: [1, 2, 3, 4], scales: [1], size: 2) }
        let broken = try Vectors([[1, 2], [3, .nan]])
        await assertThrows(.nonFinite, "vector 1") { _ = try await broken.topk(1, of: [1, 1]) }
        await assertThrows(.nonFinite, "vector 1") { _ = try broken.quantized() }
        await assertThrows(.invalidArgument, "8-bit") { _ = try vectors.quantized().quantized() }
        let none = try Vectors([], size: 2)
        let found = [try await none.topk(3, of: [1, 2]), try await none.quantized().topk(3, of: [1, 2])]
        XCTAssertEqual(found, [[], []])
    }
}
