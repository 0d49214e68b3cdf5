import Foundation
import Vitrum
import XCTest

@testable import VitrumSwift

/// The repository's demo, with its models: `VITRUM_DEMO`, or where a clone has it.
let demo: URL = {
    if let path = ProcessInfo.processInfo.environment["VITRUM_DEMO"] { return URL(fileURLWithPath: path) }
    let here = URL(fileURLWithPath: #filePath)
    return here.deletingLastPathComponent().appendingPathComponent("../../../../demo").standardized
}()

func demoModel(_ name: String) -> String { demo.appendingPathComponent(name).path }

/// A picture in memory.
struct Pixels {
    let width: Int
    let height: Int
    var rgb: [UInt8]

    /// A binary PPM of 8 bits.
    init(ppm url: URL) throws {
        let bytes = [UInt8](try Data(contentsOf: url))
        var at = 0
        let words = (0..<4).map { _ in
            let word = bytes[at...].prefix { !" \n".utf8.contains($0) }
            at = word.endIndex + 1
            return String(decoding: word, as: UTF8.self)
        }
        XCTAssertEqual([words[0], words[3]], ["P6", "255"])
        (width, height) = (Int(words[1])!, Int(words[2])!)
        rgb = Array(bytes[at...])
    }

    static func strawberry() throws -> Pixels {
        try Pixels(ppm: demo.appendingPathComponent("../ffi-examples/strawberry.ppm"))
    }

    func picture() throws -> Picture {
        try Picture(rgb, width: width, height: height, format: .rgb8)
    }

    /// The same, some columns further to the right.
    func moved(by columns: Int) -> Pixels {
        var moved = self
        for y in 0..<height {
            for x in 0..<width {
                let from = 3 * (y * width + max(0, x - columns)), to = 3 * (y * width + x)
                moved.rgb.replaceSubrange(to..<to + 3, with: rgb[from..<from + 3])
            }
        }
        return moved
    }

    /// As the C library takes it, for comparisons with calls that do not go through the wrapper.
    func withC<Result>(_ body: (UnsafePointer<vitrum_image>) throws -> Result) rethrows -> Result {
        try rgb.withUnsafeBufferPointer { buffer in
            var image = vitrum_image(
                struct_size: UInt32(MemoryLayout<vitrum_image>.size), format: VITRUM_PIXEL_RGB8, data: buffer.baseAddress!,
                width: UInt32(width), height: UInt32(height), row_stride: 3 * width, chroma: nil, chroma_stride: 0,
                yuv_matrix: 0, yuv_full_range: 0)
            return try body(&image)
        }
    }
}

/// Fails unless `body` throws a ``VitrumError`` of this code whose message has this text.
func assertThrows(
    _ code: VitrumError.Code, _ text: String, file: StaticString = #filePath, line: UInt = #line,
    _ body: () async throws -> Void
) async {
    do {
        try await body()
        XCTFail("it succeeded", file: file, line: line)
    } catch let error as VitrumError {
        XCTAssertEqual(error.code, code, error.message, file: file, line: line)
        XCTAssertFalse(text.isEmpty)
        XCTAssert(error.message.contains(text), error.message, file: file, line: line)
    } catch {
        XCTFail("another error: \(error)", file: file, line: line)
    }
}

/// Fails unless the task ends with `CancellationError`, and soon.
func assertCancelled<Value: Sendable>(
    _ task: Task<Value, Error>, within seconds: Double, file: StaticString = #filePath, line: UInt = #line
) async {
    let start = Date()
    task.cancel()
    let result = await task.result
    XCTAssertLessThan(Date().timeIntervalSince(start), seconds, file: file, line: line)
    guard case .failure(let error) = result else { return XCTFail("it succeeded", file: file, line: line) }
    XCTAssert(error is CancellationError, "\(error)", file: file, line: line)
}

/// What a callback on another thread leaves.
final class Locked<Value>: @unchecked Sendable {
    private let lock = NSLock()
    private var value: Value

    init(_ value: Value) {
        self.value = value
    }

    @discardableResult
    func with<Result>(_ body: (inout Value) -> Result) -> Result {
        lock.lock()
        defer { lock.unlock() }
        return body(&value)
    }
}
