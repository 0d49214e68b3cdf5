import Dispatch
import Vitrum

/// Objects followed through one video with a SAM 2, in memory that does not grow with it.
///
/// Frames are numbered from 0; the caller chooses the numbers of objects. Where a frame is asked for, `nil` is the one pushed last.
/// Calls are made one after the other, in the order in which tasks make them. One that fails or is cancelled leaves the tracker as it was.
///
/// ```swift
/// let tracker = try Tracker(sam, width: 1280, height: 720)
/// try await tracker.push(first)
/// try await tracker.add(1, Prompt(points: [.init(x: 320, y: 200)]))
/// for try await frame in tracker.track(frames) {
///     print(frame.number, frame.masks[0].stats.area)
/// }
/// ```
public final class Tracker: Sendable {
    /// The side from which a frame is reached.
    public enum Direction: Sendable {
        /// From earlier frames to later ones.
        case forward
        /// From later frames to earlier ones.
        case backward

        var c: vitrum_direction { self == .forward ? VITRUM_DIRECTION_FORWARD : VITRUM_DIRECTION_BACKWARD }
    }

    /// Area, box and scores of an object's mask on a frame.
    public struct Stats: Hashable, Sendable {
        /// Pixels of the mask; 0 if the object is not visible.
        public let area: Int
        /// All 0 if the mask is empty.
        public let box: PixelBox
        /// The logit of the probability that the object is visible.
        public let objectScore: Float
        /// The IoU of mask and object that the model predicts.
        public let score: Float
    }

    /// An object's mask on a frame.
    public struct TrackedMask: Hashable, Sendable {
        /// The number of the object.
        public let object: UInt32
        public let runLengths: RunLengths
        public let stats: Stats
    }

    /// Width of the frames in pixels.
    public let width: Int
    /// Height of the frames in pixels.
    public let height: Int
    private let handle: Handle
    private let queue: DispatchQueue
    private let state = State()

    /// Used on the queue alone.
    private final class State: @unchecked Sendable {
        /// Whether the current frame was pushed or prompted since it was tracked.
        var isPending = false
    }

    private init(_ sam: Sam, _ handle: Handle) {
        self.handle = handle
        width = Int(vitrum_tracker_width(handle.pointer))
        height = Int(vitrum_tracker_height(handle.pointer))
        // A line of its own, so that calls keep their order, that waits for the context's.
        queue = DispatchQueue(label: "vitrum.tracker", target: sam.context.queue)
    }

    /// A tracker of a video whose frames have this size.
    /// - Throws: ``VitrumError``: `unsupported` if `sam` is not SAM 2, or its checkpoint is for pictures only; `invalidArgument` for an
    ///   option outside its domain; `limit` or `image` for an impossible size; `outOfMemory`.
    public convenience init(_ sam: Sam, width: Int, height: Int, options: Options = Options()) throws {
        var cOptions = try options.c()
        let (cWidth, cHeight): (UInt32, UInt32) = (try number(width, "width"), try number(height, "height"))
        let handle = try Handle(vitrum_tracker_free) {
            vitrum_tracker_new(sam.handle.pointer, cWidth, cHeight, &cOptions, &$0, $1)
        }
        self.init(sam, handle)
    }

    /// The tracker that ``save()`` wrote. The bytes need not be trusted.
    /// - Throws: ``VitrumError``: `format` if they are damaged, `unsupported` if a later version wrote them, `invalidArgument` if they
    ///   are of another model or of another input size.
    public static func restore(_ sam: Sam, _ saved: [UInt8]) throws -> Tracker {
        Tracker(
            sam,
            try Handle(vitrum_tracker_free) {
                vitrum_tracker_load(sam.handle.pointer, saved, saved.count, &$0, $1)
            })
    }

    /// The most bytes that a tracker with these arguments ever holds. Most hold much less.
    public static func memoryLimit(_ sam: Sam, width: Int, height: Int, options: Options = Options()) throws -> Int {
        var cOptions = try options.c()
        let (cWidth, cHeight): (UInt32, UInt32) = (try number(width, "width"), try number(height, "height"))
        var limit = 0
        try check { vitrum_tracker_memory_limit(sam.handle.pointer, cWidth, cHeight, &cOptions, &limit, $0) }
        return limit
    }

    private func perform<Value: Sendable>(
        _ progress: ProgressHandler? = nil, _ body: @escaping @Sendable (OpaquePointer, Call) throws -> Value
    ) async throws -> Value {
        try await VitrumSwift.perform(on: queue, progress: progress) { [handle] call in
            try body(handle.pointer, call)
        }
    }

    /// Takes the next frame of the video, or frame number `frame` of one that can be read in any order, and encodes it, once for all
    /// objects.
    /// - Returns: The number of the frame.
    /// - Throws: ``VitrumError``: `image`, also for a frame of another size; `invalidArgument` for a number outside the video; `limit`;
    ///   `nonFinite`; `outOfMemory`; `CancellationError`.
    @discardableResult
    public func push(_ picture: Picture, at frame: Int64? = nil, progress: ProgressHandler? = nil) async throws -> Int64 {
        try await perform(progress) { [state] tracker, call in
            try withImage(picture) { image in
                var pushed = frame ?? 0
                try check { error in
                    if let frame {
                        return vitrum_tracker_push_frame_at(tracker, frame, image, reportProgress, call.user, error)
                    }
                    return vitrum_tracker_push_frame(tracker, image, reportProgress, call.user, &pushed, error)
                }
                state.isPending = true
                return pushed
            }
        }
    }

    /// Says by clicks, by a box, or by both where object number `object` is on a frame that is held. The first prompt with a new number
    /// adds the object. Its mask on this frame can be read at once; other frames change with the next step.
    /// With `keepsEarlier`, the clicks are added to those of earlier prompts for the object on the frame; otherwise they replace them.
    /// - Throws: ``VitrumError``: `invalidArgument` for a frame that is not held, an empty prompt, one with a mask, or numbers outside
    ///   their domain; `limit` for too many objects or points; `CancellationError`.
    public func add(
        _ object: UInt32, _ prompt: Prompt, frame: Int64? = nil, keepsEarlier: Bool = false, progress: ProgressHandler? = nil
    ) async throws {
        try await perform(progress) { [state] tracker, call in
            var options = try prepared(vitrum_tracker_prompt_options(), vitrum_tracker_prompt_options_init)
            options.keep_earlier = keepsEarlier ? 1 : 0
            try withPrompts([prompt]) { prompt, _ in
                try check {
                    vitrum_tracker_add_points(
                        tracker, frame ?? current, object, prompt, &options, reportProgress, call.user, $0)
                }
            }
            state.isPending = true
        }
    }

    /// Says by a mask where object number `object` is on a frame that is held. An empty mask says that it is not visible.
    /// - Throws: ``VitrumError``: `invalidArgument` for a frame that is not held, or a mask of another size; `limit`; `CancellationError`.
    public func add(
        _ object: UInt32, _ mask: Mask, frame: Int64? = nil, progress: ProgressHandler? = nil
    ) async throws {
        try await perform(progress) { [state] tracker, call in
            let (width, height): (UInt32, UInt32) = (try number(mask.width, "width"), try number(mask.height, "height"))
            try check {
                vitrum_tracker_add_mask(
                    tracker, frame ?? current, object, mask.pixels, width, height, reportProgress, call.user, $0)
            }
            state.isPending = true
        }
    }

    /// Follows all objects to the current frame, or to a held one, coming from either side.
    /// - Throws: ``VitrumError``: `invalidArgument` if there is no frame or no object, or an object has no prompts any more; `nonFinite`;
    ///   `outOfMemory`; `CancellationError`.
    public func step(
        to frame: Int64? = nil, direction: Direction = .forward, progress: ProgressHandler? = nil
    ) async throws {
        try await perform(progress) { [state] tracker, call in
            try check {
                vitrum_tracker_step_at(
                    tracker, frame ?? vitrum_tracker_frame(tracker), direction.c, reportProgress, call.user, $0)
            }
            state.isPending = false
        }
    }

    /// The current frame if it was pushed or prompted since it was tracked.
    func pendingFrame() async throws -> Int64? {
        try await perform { [state] tracker, _ in state.isPending ? vitrum_tracker_frame(tracker) : nil }
    }

    /// The mask of an object on a frame.
    /// - Throws: ``VitrumError``: `invalidArgument` for an unknown object, or a frame without a mask of it.
    public func mask(of object: UInt32, frame: Int64? = nil, threshold: Float = 0) async throws -> Mask {
        let (width, height) = (width, height)
        return try await perform { tracker, _ in
            let pixels: [UInt8] = try collect(width * height) {
                vitrum_tracker_mask(tracker, object, frame ?? current, threshold, $0, $1, $2, $3)
            }
            return Mask(trusted: pixels, width: width, height: height)
        }
    }

    /// The masks of all objects that have one on a frame.
    public func masks(frame: Int64? = nil, threshold: Float = 0) async throws -> [TrackedMask] {
        let (width, height) = (width, height)
        return try await perform { tracker, _ in
            let objects: [UInt32] = try collect { vitrum_tracker_objects(tracker, $0, $1, $2, $3) }
            let at = frame ?? current
            return try objects.filter { vitrum_tracker_has_mask(tracker, $0, at) != 0 }.map { object in
                var stats = try prepared(vitrum_tracker_stats(), vitrum_tracker_stats_init)
                try check { vitrum_tracker_mask_stats(tracker, object, at, threshold, &stats, $0) }
                let counts: [UInt32] = try collect {
                    vitrum_tracker_rle(tracker, object, at, threshold, $0, $1, $2, $3)
                }
                return TrackedMask(
                    object: object, runLengths: RunLengths(trusted: counts, width: width, height: height),
                    stats: Stats(
                        area: Int(stats.area), box: PixelBox(stats.bounding_box), objectScore: stats.object_score,
                        score: stats.score))
            }
        }
    }

    /// The logits of an object's mask in the size of the frames. Errors as of ``mask(of:frame:threshold:)``.
    public func logits(of object: UInt32, frame: Int64? = nil) async throws -> [Float] {
        try await perform { tracker, _ in
            try collect { vitrum_tracker_logits(tracker, object, frame ?? current, $0, $1, $2, $3) }
        }
    }

    /// The logits of an object's mask at the model's own resolution. Errors as of ``mask(of:frame:threshold:)``.
    public func lowRes(of object: UInt32, frame: Int64? = nil) async throws -> [Float] {
        try await perform { tracker, _ in
            try collect { vitrum_tracker_low_res(tracker, object, frame ?? current, $0, $1, $2, $3) }
        }
    }

    /// The numbers of the objects, in the order in which they were added.
    public func objects() async throws -> [UInt32] {
        try await perform { tracker, _ in try collect { vitrum_tracker_objects(tracker, $0, $1, $2, $3) } }
    }

    /// The numbers of the frames that are held, in the order in which they were pushed.
    public func heldFrames() async throws -> [Int64] {
        try await perform { tracker, _ in try collect { vitrum_tracker_held_frames(tracker, $0, $1, $2, $3) } }
    }

    /// The number of the frame pushed last; `nil` before the first.
    public func currentFrame() async throws -> Int64? {
        try await perform { tracker, _ in
            let frame = vitrum_tracker_frame(tracker)
            return frame < 0 ? nil : frame
        }
    }

    /// Bytes of memory that the tracker occupies now.
    public func memoryBytes() async throws -> Int {
        try await perform { tracker, _ in vitrum_tracker_memory_bytes(tracker) }
    }

    /// Takes back what was said about an object on a frame. Without any prompts, it must be prompted or removed before the next step.
    public func clearPrompts(of object: UInt32, frame: Int64? = nil) async throws {
        try await perform { tracker, _ in
            try check { vitrum_tracker_clear_prompts(tracker, frame ?? vitrum_tracker_frame(tracker), object, $0) }
        }
    }

    /// Forgets an object.
    public func remove(_ object: UInt32) async throws {
        try await perform { tracker, _ in try check { vitrum_tracker_remove_object(tracker, object, $0) } }
    }

    /// Forgets all objects and their prompts. Frames stay held.
    public func reset() async throws {
        try await perform { tracker, _ in try check { vitrum_tracker_reset(tracker, $0) } }
    }

    /// Bytes for a file; ``restore(_:_:)`` makes them a tracker again, on any machine, which gives the same results.
    public func save() async throws -> [UInt8] {
        try await perform { tracker, _ in try collect { vitrum_tracker_save(tracker, $0, $1, $2, $3) } }
    }
}

private let current = Int64(VITRUM_FRAME_CURRENT)
