import Dispatch
import Vitrum

/// Threads, an instruction set, and scratch memory that is kept for reuse.
///
/// A context works on one long call at a time; others wait in the order in which they were made. Only
/// `predict` of a ``Sam`` has a line of its own, so that a click need not wait for a picture. For long calls at the same time, make
/// a context for each.
public final class Context: Sendable {
    /// What products of matrices are computed with.
    public struct InstructionSet: RawRepresentable, Hashable, Sendable {
        public let rawValue: Int32

        public init(rawValue: Int32) {
            self.rawValue = rawValue
        }

        /// The best that this CPU has.
        public static let best = InstructionSet(rawValue: VITRUM_ISA_BEST)
        /// The baseline of the target that the library was compiled for.
        public static let portable = InstructionSet(rawValue: VITRUM_ISA_PORTABLE)
        /// x86-64: AVX2 with FMA and F16C.
        public static let avx2 = InstructionSet(rawValue: VITRUM_ISA_AVX2)
        /// x86-64: AVX-512 F, VL, BW and DQ.
        public static let avx512 = InstructionSet(rawValue: VITRUM_ISA_AVX512)
        /// AArch64: Advanced SIMD.
        public static let neon = InstructionSet(rawValue: VITRUM_ISA_NEON)
    }

    let handle: Handle
    /// Where long calls run, one after the other.
    let queue = DispatchQueue(label: "vitrum", qos: .userInitiated)
    /// Where short calls run.
    let shortQueue = DispatchQueue(label: "vitrum.short", qos: .userInitiated)

    /// Starts the threads.
    /// - Parameters:
    ///   - threads: How many work on one call, at most 1024; 1 is the calling thread alone, 0 one for each core.
    ///   - instructionSet: What to compute with; one that the CPU lacks is an error.
    ///   - usesAMX: Whether weights in bf16 and int8 are multiplied with Intel's AMX, where the CPU has it.
    ///   - limits: What files and calls may ask for.
    /// - Throws: ``VitrumError``: `invalidArgument`, `unsupported` for an instruction set that this CPU lacks, `outOfMemory` if the
    ///   system refuses the threads.
    public init(
        threads: Int = 0, instructionSet: InstructionSet = .best, usesAMX: Bool = false, limits: Limits = Limits()
    ) throws {
        var options = try prepared(vitrum_context_options(), vitrum_context_options_init)
        options.threads = try number(threads, "threads")
        options.isa = instructionSet.rawValue
        options.amx = usesAMX ? 1 : 0
        var cLimits = try limits.c()
        handle = try withUnsafePointer(to: &cLimits) { limits in
            options.limits = limits
            return try Handle(vitrum_context_free) { vitrum_context_new(&options, &$0, $1) }
        }
    }

    private static let common = Result { try Context() }

    /// The context of models that are loaded without one, made when it is first asked for.
    public static func shared() throws -> Context {
        try common.get()
    }

    /// How many threads work on one call.
    public var threads: Int { Int(vitrum_context_threads(handle.pointer)) }

    /// The instruction set in use.
    public var instructionSet: InstructionSet { InstructionSet(rawValue: vitrum_context_isa(handle.pointer)) }

    /// Frees the scratch memory that is kept for reuse: for instance when the system warns that memory is short.
    public func trim() {
        vitrum_context_trim(handle.pointer)
    }
}

/// What a context's models may be asked for, so that a stranger's file or request cannot take more time and memory than the
/// application is willing to spend. `nil` stands for the library's default; what exceeds a limit throws `VitrumError.Code.limit`.
public struct Limits: Hashable, Sendable {
    /// Lets weights and results pass that are NaN or infinite; otherwise they are an error.
    public var allowNonFinite = false
    /// Pixels of a picture, a frame, or a mask of their size.
    public var pixels: UInt64?
    /// Points of a prompt.
    public var points: UInt64?
    /// ``Tracker/Options/maxObjects``.
    public var objects: UInt64?
    /// Side of a model's input in pixels.
    public var imageSize: UInt64?
    /// Bytes of a model's weights, counted as 32-bit floats.
    public var weightsBytes: UInt64?
    /// Bytes of scratch memory that one step of a call takes at once.
    public var scratchBytes: UInt64?
    /// Bytes of scratch memory that the context keeps for its next calls.
    public var idleScratchBytes: UInt64?

    public init() {}

    func c() throws -> vitrum_limits {
        var limits = try prepared(vitrum_limits(), vitrum_limits_init)
        limits.allow_non_finite = allowNonFinite ? 1 : 0
        limits.pixels = pixels ?? limits.pixels
        limits.points = points ?? limits.points
        limits.objects = objects ?? limits.objects
        limits.image_size = imageSize ?? limits.image_size
        limits.weights_bytes = weightsBytes ?? limits.weights_bytes
        limits.scratch_bytes = scratchBytes ?? limits.scratch_bytes
        limits.idle_scratch_bytes = idleScratchBytes ?? limits.idle_scratch_bytes
        return limits
    }
}

/// An object of the C library, freed with the last reference to it.
///
/// Any thread may use it: what the C library lets one thread use at a time is kept behind a queue.
final class Handle: @unchecked Sendable {
    let pointer: OpaquePointer
    private let free: (OpaquePointer?) -> Void

    /// What `make` writes.
    init(
        _ free: @escaping (OpaquePointer?) -> Void,
        _ make: (inout OpaquePointer?, UnsafeMutablePointer<vitrum_error>) -> vitrum_status
    ) throws {
        var made: OpaquePointer?
        try check { make(&made, $0) }
        guard let made else { throw VitrumError(.panic, "the library made nothing and called it a success") }
        pointer = made
        self.free = free
    }

    deinit {
        free(pointer)
    }
}
