import Foundation
import XCTest

@testable import VitrumSwift

final class PictureTests: XCTestCase {
    /// Whether two pictures have the same colours, as the library sees it.
    private func areSame(_ a: Picture, _ b: Picture) async throws -> Bool {
        try await Sam.load(demoModel("sam-nano")).encode(a).isOf(b) == .same
    }

    func testLayouts() async throws {
        let pixels = try Pixels.strawberry()
        let (width, height) = (pixels.width, pixels.height)
        let picture = try pixels.picture()
        let places = Array(0..<width * height)
        let bgra: [UInt8] = places.flatMap { [pixels.rgb[3 * $0 + 2], pixels.rgb[3 * $0 + 1], pixels.rgb[3 * $0], 7] }
        var same = try await areSame(picture, try Picture(bgra, width: width, height: height, format: .bgra8))
        XCTAssert(same)
        same = try await areSame(picture, try Picture(bgra, width: width, height: height, format: .rgba8))
        XCTAssertFalse(same)
        // Rows with gaps; not contiguous; `Data`.
        let stride = 3 * width + 5
        var gaps = [UInt8](repeating: 99, count: stride * height)
        for y in 0..<height {
            gaps.replaceSubrange(y * stride..<y * stride + 3 * width, with: pixels.rgb[3 * width * y..<3 * width * (y + 1)])
        }
        for bytes in [Picture.inRows(gaps, width, height, stride), Picture.inRows(Data(gaps), width, height, stride),
            Picture.inRows(gaps.lazy.map { $0 }, width, height, stride)] {
            same = try await areSame(picture, try bytes.get())
            XCTAssert(same)
        }
    }

    func testNV12() async throws {
        // An odd size, grey: luma alone says what it is.
        let (width, height, stride) = (61, 47, 64)
        var luma = [UInt8](repeating: 0, count: stride * height)
        var grey: [UInt8] = []
        for y in 0..<height {
            for x in 0..<width {
                let value = UInt8((x * 3 + y * 5) % 256)
                luma[y * stride + x] = value
                grey.append(value)
            }
        }
        let expected = try Picture(grey, width: width, height: height, format: .gray8)
        let chroma = [UInt8](repeating: 128, count: 70 * 24)
        let full = try Picture(
            luma: luma, lumaBytesPerRow: stride, chroma: chroma, chromaBytesPerRow: 70, width: width, height: height,
            isFullRange: true)
        var same = try await areSame(full, expected)
        XCTAssert(same)
        let limited = try Picture(
            luma: luma, lumaBytesPerRow: stride, chroma: chroma, chromaBytesPerRow: 70, width: width, height: height)
        same = try await areSame(limited, expected)
        XCTAssertFalse(same)
        // Colour: the weights matter.
        let red = [UInt8](repeating: 0, count: 70 * 24).enumerated().map { UInt8($0.offset % 2 == 0 ? 110 : 200) }
        let matrices = try [Picture.YUVMatrix.bt601, .bt709].map {
            try Picture(
                luma: luma, lumaBytesPerRow: stride, chroma: red, chromaBytesPerRow: 70, width: width, height: height,
                matrix: $0, isFullRange: true)
        }
        same = try await areSame(matrices[0], matrices[1])
        XCTAssertFalse(same)
        await assertThrows(.image, "too few") {
            _ = try Picture(luma: luma, chroma: [UInt8](repeating: 128, count: 62 * 23), width: 61, height: 47)
        }
    }

    func testSharedPixelsAreReleasedOnce() async throws {
        let released = Locked(0)
        let count = 8 * 6 * 3
        let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: count, alignment: 1)
        memory.initializeMemory(as: UInt8.self, repeating: 40)
        do {
            let picture = try Picture(
                sharing: UnsafeRawBufferPointer(memory), width: 8, height: 6, format: .rgb8, bytesPerRow: 24
            ) { released.with { $0 += 1 } }
            let copy = picture
            let same = try await areSame(copy, try Picture([UInt8](repeating: 40, count: count), width: 8, height: 6, format: .rgb8))
            XCTAssert(same)
            XCTAssertEqual(released.with { $0 }, 0)
            withExtendedLifetime(picture) {}
        }
        // The queue of the last call may hold it for a moment longer.
        for _ in 0..<1000 where released.with({ $0 }) == 0 { try await Task.sleep(nanoseconds: 1_000_000) }
        XCTAssertEqual(released.with { $0 }, 1)
        await assertThrows(.image, "too few") {
            _ = try Picture(
                sharing: UnsafeRawBufferPointer(memory), width: 9, height: 6, format: .rgb8, bytesPerRow: 27
            ) { XCTFail("it was never taken") }
        }
        memory.deallocate()
    }

    func testImpossibleSizes() async throws {
        for (width, height, stride, text) in [
            (0, 1, 3, "rows of 0"), (1, 0, 3, "0 rows"), (-1, 1, 3, "rows of -3"), (2, 1, 3, "rows of 6 bytes, and 3"),
            (1, 2, Int.max, "too few"), (Int.max, 1, 3, "too many"), (1, 2, 3, "too few"),
        ] {
            await assertThrows(.image, text) {
                _ = try Picture([1, 2, 3], width: width, height: height, format: .rgb8, bytesPerRow: stride)
            }
        }
        let sam = try await Sam.load(demoModel("sam-nano"))
        let narrow = try Picture([UInt8](repeating: 0, count: 40_000), width: 40_000, height: 1, format: .gray8)
        await assertThrows(.image, "40000x1") { _ = try await sam.encode(narrow) }
        await assertThrows(.image, "in 1 bytes") { _ = try Mask(width: 2, height: 2, pixels: [1]) }
        await assertThrows(.format, "runs of 3 pixels") { _ = try RunLengths(width: 2, height: 2, counts: [3]) }
        XCTAssertEqual(try RunLengths(width: 2, height: 2, counts: [1, 2, 1]).mask().pixels, [0, 1, 1, 0])
    }
}

extension Picture {
    fileprivate static func inRows(
        _ bytes: some Collection<UInt8>, _ width: Int, _ height: Int, _ stride: Int
    ) -> Result<Picture, Error> {
        Result { try Picture(bytes, width: width, height: height, format: .rgb8, bytesPerRow: stride) }
    }
}
