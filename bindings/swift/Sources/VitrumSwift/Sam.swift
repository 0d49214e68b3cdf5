import Vitrum

/// A SAM or SAM 2 model: masks from clicks, boxes, masks and words. Any number of tasks may use it.
///
/// ```swift
/// let sam = try await Sam.load("path/to/sam-vit-base")
/// let embedding = try await sam.encode(picture)
/// let prediction = try await sam.predict(embedding, Prompt(points: [.init(x: 320, y: 200)]))
/// let mask = try prediction.mask()
/// ```
public final class Sam: Sendable {
    /// How a model is loaded.
    public struct Options: Sendable {
        /// What the weights of the image encoder are kept as.
        public var weights = Weights.ofFiles
        /// How files are read; ``FileAccess/read`` if they are in memory.
        public var access = FileAccess.read
        /// Loads a model with parts that are not understood; ``Sam/warnings`` says which. Otherwise it is refused.
        public var isLenient = false
        /// Side of the model's square input in pixels, a multiple of its patches' side; that of the checkpoint by default. A smaller
        /// one is faster and shows less detail.
        public var imageSize: Int?

        public init() {}

        fileprivate func c(_ call: Call) throws -> vitrum_sam_options {
            var options = try prepared(vitrum_sam_options(), vitrum_sam_options_init)
            options.mmap = access.c
            options.lenient = isLenient ? 1 : 0
            options.image_size = try number(imageSize ?? 0, "imageSize")
            options.weights = weights.rawValue
            options.progress = reportProgress
            options.progress_user = call.user
            return options
        }
    }

    /// The threads that it works with.
    public let context: Context
    let handle: Handle

    private init(_ context: Context, _ handle: Handle) {
        self.context = context
        self.handle = handle
    }

    /// Loads a model from a Hugging Face directory, a safetensors file or a PyTorch checkpoint. Nothing is downloaded.
    /// - Throws: ``VitrumError``: `notFound`, `io`, a code for what is wrong in the files, `unsupported` for a model with parts that are
    ///   not understood, or `invalidArgument` for an impossible ``Options/imageSize``; `CancellationError`.
    public static func load(
        _ path: String, options: Options = Options(), context: Context? = nil, progress: ProgressHandler? = nil
    ) async throws -> Sam {
        let context = try context ?? Context.shared()
        return try await perform(on: context.queue, progress: progress) { call in
            var options = try options.c(call)
            let handle = try withText(path, "path") { path in
                try Handle(vitrum_sam_free) { vitrum_sam_load(context.handle.pointer, path, &options, &$0, $1) }
            }
            return Sam(context, handle)
        }
    }

    /// Loads a model from memory.
    /// - Throws: As ``load(_:options:context:progress:)``; `invalidArgument` without weights, or for a file that no model has.
    public static func load(
        files: ModelFiles, options: Options = Options(), context: Context? = nil, progress: ProgressHandler? = nil
    ) async throws -> Sam {
        let context = try context ?? Context.shared()
        return try await perform(on: context.queue, progress: progress) { call in
            var options = try options.c(call)
            let handle = try withFiles(files) { files, count in
                try Handle(vitrum_sam_free) {
                    vitrum_sam_load_memory(context.handle.pointer, files, count, &options, &$0, $1)
                }
            }
            return Sam(context, handle)
        }
    }

    /// What was assumed when the model was loaded, and which parts of its files are not used.
    public var warnings: [String] {
        get throws { lines(try collectText { vitrum_sam_warnings(handle.pointer, $0, $1, $2, $3) }) }
    }

    /// Side of the model's square input, in pixels.
    public var imageSize: Int { vitrum_sam_image_size(handle.pointer) }

    /// Side of the square low-resolution masks.
    public var maskSide: Int { vitrum_sam_mask_side(handle.pointer) }

    /// Bytes of memory that the model occupies.
    public var memoryBytes: Int { vitrum_sam_memory_bytes(handle.pointer) }

    /// Runs the image encoder: the slow part, once for a picture. Then `predict` answers prompts.
    ///
    /// When the task is cancelled, the work ends within milliseconds.
    /// - Throws: ``VitrumError``: `image`, also for a picture so narrow that resizing would leave no pixel of a side; `limit`;
    ///   `nonFinite`; `outOfMemory`; `CancellationError`.
    public func encode(_ picture: Picture, progress: ProgressHandler? = nil) async throws -> Embedding {
        try await perform(on: context.queue, progress: progress) { [handle] call in
            try withImage(picture) { image in
                Embedding(
                    try Handle(vitrum_sam_embedding_free) {
                        vitrum_sam_encode(handle.pointer, image, reportProgress, call.user, &$0, $1)
                    })
            }
        }
    }

    /// The embedding that ``Embedding/save()`` wrote, on this machine or another one. The bytes need not be trusted.
    /// - Throws: ``VitrumError``: `format` if they are damaged, `unsupported` if a later version wrote them, `invalidArgument` if they
    ///   are of another model or of another input size.
    public func restore(_ saved: [UInt8]) throws -> Embedding {
        Embedding(
            try Handle(vitrum_sam_embedding_free) {
                vitrum_sam_embedding_load(handle.pointer, saved, saved.count, &$0, $1)
            })
    }

    /// The masks of one object.
    /// - Throws: ``VitrumError``: `invalidArgument` for numbers outside their domain, or an embedding of another model; `limit`;
    ///   `nonFinite`; `CancellationError`.
    public func predict(
        _ embedding: Embedding, _ prompt: Prompt, options: PredictOptions = PredictOptions(),
        progress: ProgressHandler? = nil
    ) async throws -> Prediction {
        try await predict(embedding, [prompt], options: options, progress: progress)[0]
    }

    /// The masks of several objects, independently of each other: faster than one prompt after the other.
    /// - Throws: As for one prompt; `invalidArgument` for none.
    public func predict(
        _ embedding: Embedding, _ prompts: [Prompt], options: PredictOptions = PredictOptions(),
        progress: ProgressHandler? = nil
    ) async throws -> [Prediction] {
        try await perform(on: context.shortQueue, progress: progress) { [handle] call in
            var cOptions = try options.c()
            cOptions.progress = reportProgress
            cOptions.progress_user = call.user
            let answer = try Handle(vitrum_sam_prediction_free) { vitrum_sam_prediction_new(handle.pointer, &$0, $1) }
            try withPrompts(prompts) { prompts, count in
                try check {
                    vitrum_sam_predict(
                        handle.pointer, embedding.handle.pointer, prompts, count, &cOptions, answer.pointer, $0)
                }
            }
            return prompts.indices.map {
                Prediction(answer, $0, width: embedding.width, height: embedding.height, maskSide: vitrum_sam_mask_side(handle.pointer))
            }
        }
    }
}

/// An encoded picture. Any number of tasks may use it; it outlives its model.
public final class Embedding: Sendable {
    /// Whether an embedding is of a picture.
    public enum Match: Sendable {
        case same
        case other
        /// An earlier version of the library saved the embedding, which did not store that.
        case unknown
    }

    let handle: Handle

    init(_ handle: Handle) {
        self.handle = handle
    }

    /// Width of the picture in pixels.
    public var width: Int { Int(vitrum_sam_embedding_width(handle.pointer)) }

    /// Height of the picture in pixels.
    public var height: Int { Int(vitrum_sam_embedding_height(handle.pointer)) }

    /// Bytes of memory that it occupies.
    public var memoryBytes: Int { vitrum_sam_embedding_memory_bytes(handle.pointer) }

    /// The output of the image encoder: a square grid of tokens, row by row, the channels of a token together.
    public func values() throws -> [Float] {
        try collect { vitrum_sam_embedding_values(handle.pointer, $0, $1, $2, $3) }
    }

    /// Bytes for a file; ``Sam/restore(_:)`` makes them an embedding again, on any machine.
    public func save() throws -> [UInt8] {
        try collect { vitrum_sam_embedding_save(handle.pointer, $0, $1, $2, $3) }
    }

    /// Whether it was made from this picture: whether all colours are equal.
    /// - Throws: ``VitrumError``: `image`.
    public func isOf(_ picture: Picture) throws -> Match {
        var answer = VITRUM_PICTURE_UNKNOWN
        try withImage(picture) { image in
            try check { vitrum_sam_embedding_is_of(handle.pointer, image, &answer, $0) }
        }
        switch answer {
        case VITRUM_PICTURE_SAME: return .same
        case VITRUM_PICTURE_OTHER: return .other
        default: return .unknown
        }
    }
}
