import Vitrum

/// A CLIP or SigLIP model: pictures and texts in one space. Any number of tasks may use it.
///
/// ```swift
/// let clip = try await Clip.load("path/to/clip-vit-base-patch32")
/// let probabilities = try await clip.classify(picture, labels: ["cat", "dog"])
/// ```
public final class Clip: Sendable {
    /// The activation of the towers.
    public enum Activation: Sendable {
        /// The one that the model's files name.
        case ofFiles
        case gelu
        /// `x · sigmoid(1.702 x)`, as OpenAI's models have it.
        case quickGelu

        var c: vitrum_activation {
            switch self {
            case .ofFiles: return VITRUM_ACTIVATION_OF_FILES
            case .gelu: return VITRUM_ACTIVATION_GELU
            case .quickGelu: return VITRUM_ACTIVATION_QUICK_GELU
            }
        }
    }

    /// How a model is loaded.
    public struct Options: Sendable {
        /// What the weights of the towers are kept as.
        public var weights = Weights.ofFiles
        /// How files are read; ``FileAccess/read`` if they are in memory.
        public var access = FileAccess.read
        /// Loads a model with parts that are not understood; ``Clip/warnings`` says which. Otherwise it is refused.
        public var isLenient = false
        /// Takes the place of what the files say.
        public var activation = Activation.ofFiles
        /// OpenAI's list of merges, gzipped or not, for weights in OpenCLIP's naming without a tokenizer beside them.
        public var vocabulary: [UInt8] = []

        public init() {}

        fileprivate func with<Result>(
            _ call: Call, _ body: (UnsafePointer<vitrum_clip_options>) throws -> Result
        ) throws -> Result {
            var options = try prepared(vitrum_clip_options(), vitrum_clip_options_init)
            options.mmap = access.c
            options.lenient = isLenient ? 1 : 0
            options.activation = activation.c
            options.weights = weights.rawValue
            options.progress = reportProgress
            options.progress_user = call.user
            return try vocabulary.withUnsafeBufferPointer { vocabulary in
                if !vocabulary.isEmpty {
                    options.vocabulary = vocabulary.baseAddress
                    options.vocabulary_size = vocabulary.count
                }
                return try body(&options)
            }
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
    /// - Throws: ``VitrumError``: `notFound`, `io`, a code for what is wrong in the files, or `unsupported` for a model with parts that
    ///   are not understood; `CancellationError`.
    public static func load(
        _ path: String, options: Options = Options(), context: Context? = nil, progress: ProgressHandler? = nil
    ) async throws -> Clip {
        let context = try context ?? Context.shared()
        return try await perform(on: context.queue, progress: progress) { call in
            let handle = try options.with(call) { options in
                try withText(path, "path") { path in
                    try Handle(vitrum_clip_free) { vitrum_clip_load(context.handle.pointer, path, options, &$0, $1) }
                }
            }
            return Clip(context, handle)
        }
    }

    /// Loads a model from memory.
    /// - Throws: As ``load(_:options:context:progress:)``; `invalidArgument` without weights, or for a file that no model has.
    public static func load(
        files: ModelFiles, options: Options = Options(), context: Context? = nil, progress: ProgressHandler? = nil
    ) async throws -> Clip {
        let context = try context ?? Context.shared()
        return try await perform(on: context.queue, progress: progress) { call in
            let handle = try options.with(call) { options in
                try withFiles(files) { files, count in
                    try Handle(vitrum_clip_free) {
                        vitrum_clip_load_memory(context.handle.pointer, files, count, options, &$0, $1)
                    }
                }
            }
            return Clip(context, handle)
        }
    }

    /// What was assumed when the model was loaded, and which parts of its files are not used.
    public var warnings: [String] {
        get throws { lines(try collectText { vitrum_clip_warnings(handle.pointer, $0, $1, $2, $3) }) }
    }

    /// Numbers of an embedding.
    public var embeddingSize: Int { vitrum_clip_embed_dim(handle.pointer) }

    /// Bytes of memory that the model occupies.
    public var memoryBytes: Int { vitrum_clip_memory_bytes(handle.pointer) }

    /// Whether a probability says of its label alone whether it fits the picture, as with a SigLIP. Those of a CLIP sum to 1.
    public var hasIndependentProbabilities: Bool {
        vitrum_clip_has_independent_probabilities(handle.pointer) != 0
    }

    /// How well each label describes the picture: probabilities in the order of the labels. `template` is a sentence in which a label
    /// takes the place of `{}`; "a photo of a {}" by default.
    /// - Throws: ``VitrumError``: `invalidArgument` for no labels, an empty one, or a template without `{}`; `notFound` without a
    ///   tokenizer; `image`; `CancellationError`.
    public func classify(
        _ picture: Picture, labels: [String], template: String? = nil, progress: ProgressHandler? = nil
    ) async throws -> [Float] {
        try await perform(on: context.queue, progress: progress) { [handle] call in
            var options = try prepared(vitrum_clip_classify_options(), vitrum_clip_classify_options_init)
            options.progress = reportProgress
            options.progress_user = call.user
            return try withOptionalText(template, "template") { template in
                options.label_template = template
                return try withImage(picture) { image in
                    try withTexts(labels, "label") { texts in
                        try collect(labels.count) {
                            vitrum_clip_classify(handle.pointer, image, texts, labels.count, &options, $0, $1, $2, $3)
                        }
                    }
                }
            }
        }
    }

    /// Embeddings of pictures of any sizes: ``embeddingSize`` numbers for each, of length 1, or with `normalizes: false` the output of the
    /// model's projection.
    /// - Throws: ``VitrumError``: `invalidArgument` for no pictures; `unsupported` without an image tower; `image`; `CancellationError`.
    public func embed(
        pictures: [Picture], normalizes: Bool = true, progress: ProgressHandler? = nil
    ) async throws -> [[Float]] {
        try await embed(pictures.count, normalizes, progress) { handle, options, out, capacity, needed, error in
            try withImages(pictures) { images, count in
                vitrum_clip_encode_image(handle, images, count, options, out, capacity, needed, error)
            }
        }
    }

    /// Embeddings of texts: ``embeddingSize`` numbers for each. Long ones are cut as the model's reference does.
    /// - Throws: ``VitrumError``: `invalidArgument` for no texts; `unsupported` without a text tower; `notFound` without a tokenizer;
    ///   `CancellationError`.
    public func embed(
        texts: [String], normalizes: Bool = true, progress: ProgressHandler? = nil
    ) async throws -> [[Float]] {
        try await embed(texts.count, normalizes, progress) { handle, options, out, capacity, needed, error in
            try withTexts(texts, "text") { pointers in
                vitrum_clip_encode_text(handle, pointers, texts.count, options, out, capacity, needed, error)
            }
        }
    }

    private typealias Encode = @Sendable (
        OpaquePointer, UnsafePointer<vitrum_clip_encode_options>, UnsafeMutablePointer<Float>?, Int,
        UnsafeMutablePointer<Int>, UnsafeMutablePointer<vitrum_error>
    ) throws -> vitrum_status

    private func embed(
        _ count: Int, _ normalizes: Bool, _ progress: ProgressHandler?, _ encode: @escaping Encode
    ) async throws -> [[Float]] {
        let size = embeddingSize
        return try await perform(on: context.queue, progress: progress) { [handle] call in
            var options = try prepared(vitrum_clip_encode_options(), vitrum_clip_encode_options_init)
            options.normalize = normalizes ? 1 : 0
            options.progress = reportProgress
            options.progress_user = call.user
            let flat: [Float] = try [Float](unsafeUninitializedCapacity: count * size) { buffer, written in
                var needed = 0
                try check { try encode(handle.pointer, &options, buffer.baseAddress, count * size, &needed, $0) }
                written = needed
            }
            return rows(flat, of: size)
        }
    }

    /// Compares embeddings: a row for each picture, in it the logit of each text. A softmax over a row gives probabilities, or with
    /// ``hasIndependentProbabilities`` the sigmoid of a logit.
    /// - Throws: ``VitrumError``: `invalidArgument` for no embeddings, or embeddings of another size.
    public func similarity(images: [[Float]], texts: [[Float]]) throws -> [[Float]] {
        for embedding in images + texts where embedding.count != embeddingSize {
            throw VitrumError(
                .invalidArgument, "an embedding of \(embedding.count) numbers, not \(embeddingSize)")
        }
        let (flatImages, flatTexts) = (images.flatMap { $0 }, texts.flatMap { $0 })
        guard !flatImages.isEmpty, !flatTexts.isEmpty else {
            throw VitrumError(.invalidArgument, "no embeddings")
        }
        let flat: [Float] = try collect(images.count * texts.count) {
            vitrum_clip_similarity(
                handle.pointer, flatImages, images.count, flatTexts, texts.count, $0, $1, $2, $3)
        }
        return rows(flat, of: texts.count)
    }

    /// The token ids of a text, with the start and end tokens.
    /// - Throws: ``VitrumError``: `notFound` without a tokenizer; `limit` for a gigantic text.
    public func tokenize(_ text: String) throws -> [UInt32] {
        try withText(text, "text") { text in
            try collect { vitrum_clip_tokenize(handle.pointer, text, $0, $1, $2, $3) }
        }
    }
}

private func rows(_ flat: [Float], of size: Int) -> [[Float]] {
    guard size > 0 else { return [] }
    return stride(from: 0, to: flat.count, by: size).map { Array(flat[$0..<$0 + size]) }
}
