import Dispatch
import Vitrum

/// Called during a long call with the fraction that is done, from 0 to 1: on any thread, but never on two at the same time.
/// It must return, and must not wait for a call of the same ``Context``. To stop a call, cancel its task.
public typealias ProgressHandler = @Sendable (Double) -> Void

/// Calls the C library, and throws what it says.
func check(_ call: (UnsafeMutablePointer<vitrum_error>) throws -> vitrum_status) throws {
    var error = try prepared(vitrum_error(), vitrum_error_init)
    let status = try call(&error)
    guard status != VITRUM_OK else { return }
    let message = withUnsafeBytes(of: &error.message) { bytes in
        String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
    }
    throw VitrumError(.init(rawValue: status), message)
}

/// A struct of the C library with its defaults.
func prepared<Struct>(
    _ zeros: Struct, _ initialise: (UnsafeMutablePointer<Struct>, Int) -> vitrum_status
) throws -> Struct {
    var it = zeros
    let status = initialise(&it, MemoryLayout<Struct>.size)
    guard status == VITRUM_OK else {
        throw VitrumError(.init(rawValue: status), "the library's \(Struct.self) is not the header's")
    }
    return it
}

/// A result whose length the C library tells: it is asked for first.
func collect<Value>(
    _ call: (UnsafeMutablePointer<Value>?, Int, UnsafeMutablePointer<Int>, UnsafeMutablePointer<vitrum_error>)
        -> vitrum_status
) throws -> [Value] {
    var needed = 0
    try check { call(nil, 0, &needed, $0) }
    return try collect(needed, call)
}

/// A result of `count` values.
func collect<Value>(
    _ count: Int,
    _ call: (UnsafeMutablePointer<Value>?, Int, UnsafeMutablePointer<Int>, UnsafeMutablePointer<vitrum_error>)
        -> vitrum_status
) throws -> [Value] {
    try [Value](unsafeUninitializedCapacity: count) { buffer, written in
        var needed = 0
        try check { call(buffer.baseAddress, count, &needed, $0) }
        written = needed
    }
}

/// A text whose length the C library tells.
func collectText(
    _ call: (UnsafeMutablePointer<CChar>?, Int, UnsafeMutablePointer<Int>, UnsafeMutablePointer<vitrum_error>)
        -> vitrum_status
) throws -> String {
    let bytes: [CChar] = try collect(call)
    return String(decoding: bytes.lazy.map(UInt8.init(bitPattern:)).prefix { $0 != 0 }, as: UTF8.self)
}

/// The address of a list, also of an empty one, which is not read.
func address<Value>(_ list: UnsafeBufferPointer<Value>) -> UnsafePointer<Value> {
    list.baseAddress ?? UnsafePointer(bitPattern: MemoryLayout<Value>.alignment)!
}

/// A number for the C library, which counts in fewer bits, and not below 0.
func number<Small: FixedWidthInteger>(_ value: Int, _ name: String) throws -> Small {
    guard let small = Small(exactly: value) else {
        throw VitrumError(.invalidArgument, "\(name): \(value) is not from \(Small.min) to \(Small.max)")
    }
    return small
}

/// A text for the C library. One with a NUL would end there: it is refused.
func withText<Result>(
    _ text: String, _ name: String, _ body: (UnsafePointer<CChar>) throws -> Result
) throws -> Result {
    try refuseNul(text, name)
    return try text.withCString(body)
}

/// The same for a text that may be left out.
func withOptionalText<Result>(
    _ text: String?, _ name: String, _ body: (UnsafePointer<CChar>?) throws -> Result
) throws -> Result {
    guard let text else { return try body(nil) }
    return try withText(text, name) { try body($0) }
}

/// Texts for the C library.
func withTexts<Result>(
    _ texts: [String], _ name: String, _ body: (UnsafePointer<UnsafePointer<CChar>>) throws -> Result
) throws -> Result {
    var bytes: [CChar] = []
    var starts: [Int] = []
    for (index, text) in texts.enumerated() {
        try refuseNul(text, "\(name) \(index)")
        starts.append(bytes.count)
        bytes += text.utf8.lazy.map(CChar.init(bitPattern:))
        bytes.append(0)
    }
    return try bytes.withUnsafeBufferPointer { bytes in
        let pointers = starts.map { address(bytes) + $0 }
        return try pointers.withUnsafeBufferPointer { try body(address($0)) }
    }
}

private func refuseNul(_ text: String, _ name: String) throws {
    if text.utf8.contains(0) {
        throw VitrumError(.invalidArgument, "\(name): a text with a NUL")
    }
}

/// A call that takes long, from when it is made to its end.
final class Call: @unchecked Sendable {
    private let progress: ProgressHandler?
    /// Held for some instructions at a time.
    private let lock = DispatchSemaphore(value: 1)
    private var isStopped = false
    /// Answers the caller of a call that has not begun.
    private var abandon: (() -> Void)?

    init(_ progress: ProgressHandler?) {
        self.progress = progress
    }

    private func locked<Result>(_ body: () -> Result) -> Result {
        lock.wait()
        defer { lock.signal() }
        return body()
    }

    /// What happens if the call is stopped before it begins; at once if it was stopped already.
    func wait(abandon: @escaping () -> Void) {
        let isStopped = locked {
            if !self.isStopped { self.abandon = abandon }
            return self.isStopped
        }
        if isStopped { abandon() }
    }

    /// Whether the call may begin. From then on it ends by itself.
    func begin() -> Bool {
        locked {
            abandon = nil
            return !isStopped
        }
    }

    /// Stops the call, from any thread.
    func stop() {
        let abandon = locked {
            isStopped = true
            defer { self.abandon = nil }
            return self.abandon
        }
        abandon?()
    }

    /// Asked by the C library while it computes: 0 to go on.
    func report(_ fraction: Float) -> Int32 {
        if locked({ isStopped }) { return 1 }
        progress?(Double(fraction))
        return locked { isStopped } ? 1 : 0
    }

    /// What the C library hands to ``reportProgress``. The call must outlive its use.
    var user: UnsafeMutableRawPointer {
        Unmanaged.passUnretained(self).toOpaque()
    }
}

/// The C library's progress callback: `user` is a ``Call``.
let reportProgress: vitrum_progress = { user, fraction in
    guard let user else { return 0 }
    return Unmanaged<Call>.fromOpaque(user).takeUnretainedValue().report(fraction)
}

/// Makes a long call on `queue`, so that neither an actor nor one of Swift's few threads waits. When the task is cancelled, a call
/// that waits for its turn is never made, and one that runs is stopped within milliseconds; both throw `CancellationError`.
func perform<Value>(
    on queue: DispatchQueue, progress: ProgressHandler?, _ body: @escaping @Sendable (Call) throws -> Value
) async throws -> Value where Value: Sendable {
    let call = Call(progress)
    return try await withTaskCancellationHandler {
        try await withCheckedThrowingContinuation { (continuation: CheckedContinuation<Value, Error>) in
            call.wait { continuation.resume(throwing: CancellationError()) }
            queue.async {
                guard call.begin() else { return }
                do {
                    continuation.resume(returning: try body(call))
                } catch let error as VitrumError where error.code.rawValue == VITRUM_E_CANCELLED {
                    continuation.resume(throwing: CancellationError())
                } catch {
                    continuation.resume(throwing: error)
                }
            }
        }
    } onCancel: {
        call.stop()
    }
}
