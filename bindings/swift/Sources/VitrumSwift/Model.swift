import Vitrum

/// What a model's weights are kept as, and the arithmetic that goes with it.
public struct Weights: RawRepresentable, Hashable, Sendable {
    public let rawValue: Int32

    public init(rawValue: Int32) {
        self.rawValue = rawValue
    }

    /// The format that the files name if `vitrum quantize` wrote them, otherwise ``f32``.
    public static let ofFiles = Weights(rawValue: VITRUM_WEIGHTS_OF_FILES)
    /// 32-bit floats.
    public static let f32 = Weights(rawValue: VITRUM_WEIGHTS_F32)
    /// 16-bit floats: half the memory.
    public static let f16 = Weights(rawValue: VITRUM_WEIGHTS_F16)
    /// bfloat16: half the memory; activations are rounded to it, too.
    public static let bf16 = Weights(rawValue: VITRUM_WEIGHTS_BF16)
    /// 8-bit integers: a quarter of the memory.
    public static let int8 = Weights(rawValue: VITRUM_WEIGHTS_INT8)
    /// 4-bit integers: a sixth of the memory.
    public static let q4 = Weights(rawValue: VITRUM_WEIGHTS_Q4)
}

/// How the files of a model are read.
public enum FileAccess: Sendable {
    /// By ordinary file operations, into memory of the model's own.
    case read
    /// Through a memory map. If the file is cut short meanwhile, the system ends the process.
    case mapped
    /// What `vitrum quantize --pack` has packed for this CPU is used in the map: the model is there in milliseconds. Nobody may write
    /// to the file as long as the model lives; the files of an application's bundle are such.
    case inPlace

    var c: UInt32 {
        switch self {
        case .read: return 0
        case .mapped: return 1
        case .inPlace: return 2
        }
    }
}

/// The files of a model in memory, by name, such as `config.json`. They are not needed once the model is loaded.
public typealias ModelFiles = [String: [UInt8]]

/// Lends files to a call of the C library.
func withFiles<Result>(
    _ files: ModelFiles, _ body: (UnsafePointer<vitrum_file>, Int) throws -> Result
) throws -> Result {
    // Sorted, so that what is at fault is the same every time.
    let sorted = files.sorted { $0.key < $1.key }
    return try withTexts(sorted.map(\.key), "name of file") { names in
        try lend(sorted.map(\.value)[...], []) { contents in
            let list = contents.enumerated().map { index, bytes in
                vitrum_file(
                    name: names[index], data: bytes.bindMemory(to: UInt8.self).baseAddress, size: bytes.count)
            }
            return try list.withUnsafeBufferPointer { try body(address($0), contents.count) }
        }
    }
}

private func lend<Result>(
    _ arrays: ArraySlice<[UInt8]>, _ lent: [UnsafeRawBufferPointer],
    _ body: ([UnsafeRawBufferPointer]) throws -> Result
) rethrows -> Result {
    guard let first = arrays.first else { return try body(lent) }
    return try first.withUnsafeBytes { try lend(arrays.dropFirst(), lent + [$0], body) }
}

/// The warnings of a model, a line each.
func lines(_ text: String) -> [String] {
    text.split(separator: "\n").map(String.init)
}
