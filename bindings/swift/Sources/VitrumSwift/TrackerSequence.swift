import Vitrum

extension Tracker {
    /// How a tracker behaves. `nil` stands for the library's default, which is that of sam2's video predictor.
    public struct Options: Hashable, Sendable {
        /// Most objects at the same time.
        public var maxObjects: Int?
        /// Most prompted frames of an object to which later frames attend.
        public var maxPromptedFrames: Int?
        /// How many of the frames pushed last are held, and can be prompted, tracked and read.
        public var heldFrames: Int?
        /// Number of frames of the video, if it is known.
        public var frameCount: Int?
        /// Holes of at most this area in the low-resolution masks are filled.
        public var fillHoleArea: Int?
        /// Keeps the memories around prompted frames, so that frames after them and then frames before them can be tracked.
        public var bothDirections: Bool?
        /// Gives every pixel to one object at most in the masks that are read.
        public var nonOverlapOutput: Bool?
        /// The same in the masks that the memory encoder gets.
        public var nonOverlapMemory: Bool?
        /// Whether the memory encoder gets masks of prompted frames as 0 and 1, and not as probabilities.
        public var binarizesClickedMasks: Bool?
        /// Whether prompts on a frame that was tracked already make it a conditioning frame.
        public var correctionsAreConditioning: Bool?
        /// Forgets tracked frames around a prompted one.
        public var clearsMemoryAroundInput: Bool?
        /// Takes the best of three masks where a single mask is not stable.
        public var dynamicMultimaskViaStability: Bool?

        public init() {}

        func c() throws -> vitrum_tracker_options {
            var options = try prepared(vitrum_tracker_options(), vitrum_tracker_options_init)
            func set(_ field: WritableKeyPath<vitrum_tracker_options, UInt32>, _ value: Int?, _ name: String) throws {
                if let value { options[keyPath: field] = try number(value, name) }
            }
            try set(\.max_objects, maxObjects, "maxObjects")
            try set(\.max_prompted_frames, maxPromptedFrames, "maxPromptedFrames")
            try set(\.held_frames, heldFrames, "heldFrames")
            try set(\.fill_hole_area, fillHoleArea, "fillHoleArea")
            if let frameCount { options.num_frames = try number(frameCount, "frameCount") }
            let switches: [(WritableKeyPath<vitrum_tracker_options, UInt32>, Bool?)] = [
                (\.both_directions, bothDirections),
                (\.non_overlap_output, nonOverlapOutput),
                (\.non_overlap_memory, nonOverlapMemory),
                (\.binarize_clicked_masks, binarizesClickedMasks),
                (\.corrections_are_conditioning, correctionsAreConditioning),
                (\.clear_memory_around_input, clearsMemoryAroundInput),
                (\.dynamic_multimask_via_stability, dynamicMultimaskViaStability),
            ]
            for case (let field, let value?) in switches { options[keyPath: field] = value ? 1 : 0 }
            return options
        }
    }

    /// A frame through which objects were followed.
    public struct TrackedFrame: Hashable, Sendable {
        /// The number of the frame.
        public let number: Int64
        /// The masks of all objects that have one.
        public let masks: [TrackedMask]
    }

    /// The frames of a video, tracked as they are asked for.
    public struct TrackedFrames<Frames: AsyncSequence>: AsyncSequence where Frames.Element == Picture {
        public typealias Element = TrackedFrame

        fileprivate let tracker: Tracker
        fileprivate let frames: Frames
        fileprivate let threshold: Float

        public func makeAsyncIterator() -> Iterator {
            Iterator(tracker: tracker, frames: frames.makeAsyncIterator(), threshold: threshold)
        }

        public struct Iterator: AsyncIteratorProtocol {
            fileprivate let tracker: Tracker
            fileprivate var frames: Frames.AsyncIterator
            fileprivate let threshold: Float
            fileprivate var isFirst = true

            public mutating func next() async throws -> TrackedFrame? {
                let pending = isFirst ? try await tracker.pendingFrame() : nil
                isFirst = false
                let number: Int64
                if let pending {
                    number = pending
                } else {
                    guard let picture = try await frames.next() else { return nil }
                    number = try await tracker.push(picture)
                }
                try await tracker.step()
                return TrackedFrame(number: number, masks: try await tracker.masks(threshold: threshold))
            }
        }
    }

    /// Follows all objects through the frames after the current one, as fast as they are asked for. The current one is tracked and comes
    /// first if it was pushed or prompted since the last step. Objects can be added and corrected between two frames. A loop over them throws what ``push(_:at:progress:)`` and ``step(to:direction:progress:)`` throw.
    public func track<Frames: AsyncSequence>(_ frames: Frames, threshold: Float = 0) -> TrackedFrames<Frames>
    where Frames.Element == Picture {
        TrackedFrames(tracker: self, frames: frames, threshold: threshold)
    }

    /// The same with frames that are there already.
    public func track(_ frames: [Picture], threshold: Float = 0) -> TrackedFrames<AsyncStream<Picture>> {
        let stream = AsyncStream<Picture> { continuation in
            for frame in frames { continuation.yield(frame) }
            continuation.finish()
        }
        return track(stream, threshold: threshold)
    }
}
