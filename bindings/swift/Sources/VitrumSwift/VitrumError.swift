import Vitrum

/// A call that failed: what kind of failure it is, and a sentence that names the thing at fault.
///
/// A call whose task was cancelled throws `CancellationError` instead.
public struct VitrumError: Error, Hashable, Sendable, CustomStringConvertible {
    /// The kind of failure: `vitrum_status` of the C library. Later versions may have further codes.
    public struct Code: RawRepresentable, Hashable, Sendable {
        public let rawValue: Int32

        public init(rawValue: Int32) {
            self.rawValue = rawValue
        }

        /// A parameter is outside its domain.
        public static let invalidArgument = Code(rawValue: VITRUM_E_INVALID_ARGUMENT)
        /// Header and library do not belong together.
        public static let structSize = Code(rawValue: VITRUM_E_STRUCT_SIZE)
        /// Text is not valid UTF-8.
        public static let utf8 = Code(rawValue: VITRUM_E_UTF8)
        /// A picture has no pixels, is too large, or its rows are shorter than its width.
        public static let image = Code(rawValue: VITRUM_E_IMAGE)
        /// The operating system could not read a file.
        public static let io = Code(rawValue: VITRUM_E_IO)
        /// A file or directory that must exist does not.
        public static let notFound = Code(rawValue: VITRUM_E_NOT_FOUND)
        /// A file's bytes do not follow its format.
        public static let format = Code(rawValue: VITRUM_E_FORMAT)
        /// A size in a file or call exceeds a limit.
        public static let limit = Code(rawValue: VITRUM_E_LIMIT)
        /// A tensor that the model needs is absent.
        public static let missingTensor = Code(rawValue: VITRUM_E_MISSING_TENSOR)
        /// A tensor has another shape than the model needs.
        public static let tensorShape = Code(rawValue: VITRUM_E_TENSOR_SHAPE)
        /// A tensor has a data type that the model cannot use.
        public static let tensorType = Code(rawValue: VITRUM_E_TENSOR_DTYPE)
        /// A configuration value is absent, of the wrong type or impossible.
        public static let configuration = Code(rawValue: VITRUM_E_CONFIG)
        /// A tokenizer file is inconsistent.
        public static let tokenizer = Code(rawValue: VITRUM_E_TOKENIZER)
        /// The input is valid but of a kind that is not implemented.
        public static let unsupported = Code(rawValue: VITRUM_E_UNSUPPORTED)
        /// Memory could not be allocated.
        public static let outOfMemory = Code(rawValue: VITRUM_E_OUT_OF_MEMORY)
        /// A bug in the library was caught before it could do harm.
        public static let panic = Code(rawValue: VITRUM_E_PANIC)
        /// Weights or results are NaN or infinite; ``Limits/allowNonFinite`` lets them pass.
        public static let nonFinite = Code(rawValue: VITRUM_E_NON_FINITE)
    }

    /// The kind of failure.
    public let code: Code
    /// A sentence that names the thing at fault.
    public let message: String

    init(_ code: Code, _ message: String) {
        self.code = code
        self.message = message
    }

    public var description: String {
        "\(message) (\(String(cString: vitrum_status_string(code.rawValue))))"
    }
}

#if canImport(Foundation)
import Foundation

extension VitrumError: LocalizedError {
    public var errorDescription: String? { message }
}
#endif

/// The C library's version.
public var vitrumVersion: String { String(cString: vitrum_version_string()) }
