import Vitrum

/// How everything in a picture is found. The names are those of segment-anything's `SamAutomaticMaskGenerator`; `nil` stands for the
/// model's default.
public struct EverythingOptions: Hashable, Sendable {
    /// Points along each side of the grid of clicks.
    public var pointsPerSide: Int?
    /// Points that go through the mask decoder at once.
    public var pointsPerBatch: Int?
    /// Layers of crops that are segmented in addition to the whole picture.
    public var cropLayers: Int?
    /// In layer `i` of crops, ``pointsPerSide`` is divided by this to the power of `i`.
    public var cropPointsDownscaleFactor: Int?
    /// Holes and islands of a smaller area are removed from masks.
    public var minMaskRegionArea: Int?
    /// Masks whose predicted IoU is not above this are dropped.
    public var predictedIoUThreshold: Double?
    /// Masks whose stability score is below this are dropped.
    public var stabilityThreshold: Double?
    /// Offset of the two thresholds between which the stability score compares the mask, in logits.
    public var stabilityOffset: Double?
    /// Of two masks whose boxes have a greater IoU than this, the better one is kept.
    public var boxNMSThreshold: Double?
    /// The same for masks from different crops, of which the one from the smaller crop is kept.
    public var cropNMSThreshold: Double?
    /// Overlap of the crops of the first layer, as a fraction of the picture's shorter side.
    public var cropOverlapRatio: Double?
    /// Whether each mask is refined once.
    public var refinesMasks: Bool?
    /// Whether there is one mask for each point, and not three.
    public var singleMask: Bool?
    /// Points that take the place of the regular grids, from 0 to 1 of the crop's width and height: a grid for the picture, and one
    /// for each layer of crops.
    public var pointGrids: [[GridPoint]] = []

    /// A point of a grid.
    public struct GridPoint: Hashable, Sendable {
        public var x, y: Double

        public init(x: Double, y: Double) {
            self.x = x
            self.y = y
        }
    }

    public init() {}

    /// Lends the options, with the defaults of `sam`.
    func with<Result>(
        _ sam: Handle, _ body: (UnsafePointer<vitrum_sam_everything_options>) throws -> Result
    ) throws -> Result {
        var options = try prepared(vitrum_sam_everything_options()) {
            vitrum_sam_everything_defaults(sam.pointer, $0, $1)
        }
        func set(_ field: WritableKeyPath<vitrum_sam_everything_options, UInt32>, _ value: Int?, _ name: String) throws {
            if let value { options[keyPath: field] = try number(value, name) }
        }
        try set(\.points_per_side, pointsPerSide, "pointsPerSide")
        try set(\.points_per_batch, pointsPerBatch, "pointsPerBatch")
        try set(\.crop_n_layers, cropLayers, "cropLayers")
        try set(\.crop_n_points_downscale_factor, cropPointsDownscaleFactor, "cropPointsDownscaleFactor")
        try set(\.min_mask_region_area, minMaskRegionArea, "minMaskRegionArea")
        try set(\.use_m2m, refinesMasks.map { $0 ? 1 : 0 }, "refinesMasks")
        try set(\.single_mask, singleMask.map { $0 ? 1 : 0 }, "singleMask")
        options.pred_iou_thresh = predictedIoUThreshold ?? options.pred_iou_thresh
        options.stability_score_thresh = stabilityThreshold ?? options.stability_score_thresh
        options.stability_score_offset = stabilityOffset ?? options.stability_score_offset
        options.box_nms_thresh = boxNMSThreshold ?? options.box_nms_thresh
        options.crop_nms_thresh = cropNMSThreshold ?? options.crop_nms_thresh
        options.crop_overlap_ratio = cropOverlapRatio ?? options.crop_overlap_ratio
        // All points in one array, whose address holds for all grids.
        let points = pointGrids.joined().flatMap { [$0.x, $0.y] }
        return try points.withUnsafeBufferPointer { points in
            var start = address(points)
            let grids = pointGrids.map { grid in
                defer { start += 2 * grid.count }
                return vitrum_point_grid(points: start, count: grid.count)
            }
            return try grids.withUnsafeBufferPointer { grids in
                if !grids.isEmpty {
                    options.point_grids = grids.baseAddress
                    options.point_grid_count = grids.count
                }
                return try body(&options)
            }
        }
    }
}

/// A mask of ``Sam/everything(_:options:progress:)`` or ``Sam/ground(_:texts:with:options:progress:)``.
public struct Record: Hashable, Sendable {
    /// The mask.
    public let runLengths: RunLengths
    /// Pixels of the mask.
    public let area: Int
    /// The mask's box. As in segment-anything, width and height are from the first pixel to the last one: 1 less than there are.
    public let box: PixelBox
    /// The crop in which it was found.
    public let crop: PixelBox
    /// The click that gave the mask, in pixels.
    public let x, y: Double
    /// The IoU with the object that the model predicts.
    public let predictedIoU: Float
    /// Pixels of the mask at a higher threshold, over those at a lower one.
    public let stability: Float

    fileprivate init(_ record: vitrum_sam_record) {
        let counts = Array(UnsafeBufferPointer(start: record.counts, count: record.count_size))
        runLengths = RunLengths(trusted: counts, width: Int(record.width), height: Int(record.height))
        area = Int(record.area)
        box = PixelBox(record.bounding_box)
        crop = PixelBox(record.crop_box)
        (x, y) = record.point
        predictedIoU = record.predicted_iou
        stability = record.stability_score
    }
}

/// A mask that answers a text.
public struct Match: Hashable, Sendable {
    /// Which text.
    public let text: Int
    /// The probability of the text.
    public let probability: Float
    public let record: Record
}

/// How words are looked for.
public struct GroundOptions: Hashable, Sendable {
    /// Masks for each text at most.
    public var top = 1
    /// Masks of a lower probability are dropped.
    public var minProbability = 0.0
    /// Texts for other things in the picture, with which the texts compete; without, they compete with words for the background.
    public var others: [String] = []
    /// A sentence with `{}` in the place of the text; "a photo of {}" by default.
    public var template: String?
    /// How masks are found before they are compared with the texts.
    public var candidates = EverythingOptions()

    public init() {}
}

extension Sam {
    /// Finds the masks of everything in a picture, from a grid of clicks, and the picture's embedding, for prompts.
    /// - Throws: ``VitrumError``: `invalidArgument` for an option outside its domain; `limit` for too many points or layers; `image`;
    ///   `nonFinite`; `outOfMemory`; `CancellationError`.
    public func everything(
        _ picture: Picture, options: EverythingOptions = EverythingOptions(), progress: ProgressHandler? = nil
    ) async throws -> (records: [Record], embedding: Embedding) {
        try await perform(on: context.queue, progress: progress) { [handle] call in
            let finding = Finding(call)
            let embedding = try withImage(picture) { image in
                try options.with(handle) { options in
                    try Handle(vitrum_sam_embedding_free) {
                        vitrum_sam_everything(
                            handle.pointer, image, options, takeRecord, reportFinding, finding.user, &$0, $1)
                    }
                }
            }
            return (finding.matches.map(\.record), Embedding(embedding))
        }
    }

    /// Finds what texts describe: text by text, the best mask first. Everything is segmented; `clip` compares the masks with the texts,
    /// which have articles: "a red apple".
    /// - Throws: ``VitrumError``: `invalidArgument` for no texts, an empty one, a template without `{}` or a number outside its domain;
    ///   `notFound` if `clip` has no tokenizer; `limit`; `image`; `outOfMemory`; `CancellationError`.
    public func ground(
        _ picture: Picture, texts: [String], with clip: Clip, options: GroundOptions = GroundOptions(),
        progress: ProgressHandler? = nil
    ) async throws -> [Match] {
        try await perform(on: context.queue, progress: progress) { [handle] call in
            let finding = Finding(call)
            try withImage(picture) { image in
                try options.candidates.with(handle) { candidates in
                    try withOptionalText(options.template, "template") { template in
                        try withTexts(texts, "text") { names in
                            try withTexts(options.others, "other text") { others in
                                // Its fields cannot all be zero, as the others' can: `texts` is never NULL.
                                var prompt = try prepared(
                                    vitrum_sam_text_prompt(
                                        struct_size: 0, top: 0, min_probability: 0, texts: names, text_count: 0,
                                        others: nil, other_count: 0, text_template: nil, candidates: nil),
                                    vitrum_sam_text_prompt_init)
                                prompt.top = try number(options.top, "top")
                                prompt.min_probability = options.minProbability
                                prompt.texts = names
                                prompt.text_count = texts.count
                                prompt.others = options.others.isEmpty ? nil : others
                                prompt.other_count = options.others.count
                                prompt.text_template = template
                                prompt.candidates = candidates
                                try check {
                                    vitrum_sam_ground(
                                        handle.pointer, clip.handle.pointer, image, &prompt, takeMatch, reportFinding,
                                        finding.user, nil, $0)
                                }
                            }
                        }
                    }
                }
            }
            return finding.matches
        }
    }
}

/// A call that hands over masks one by one, on the thread that made it.
private final class Finding {
    let call: Call
    var matches: [Match] = []

    init(_ call: Call) {
        self.call = call
    }

    var user: UnsafeMutableRawPointer { Unmanaged.passUnretained(self).toOpaque() }

    static func of(_ user: UnsafeMutableRawPointer?) -> Finding {
        Unmanaged<Finding>.fromOpaque(user!).takeUnretainedValue()
    }
}

private let takeRecord: vitrum_sam_record_callback = { user, record in
    Finding.of(user).matches.append(Match(text: 0, probability: 1, record: Record(record.pointee)))
    return 0
}

private let takeMatch: vitrum_sam_match_callback = { user, text, probability, record in
    Finding.of(user).matches.append(Match(text: text, probability: probability, record: Record(record.pointee)))
    return 0
}

private let reportFinding: vitrum_progress = { user, fraction in
    Finding.of(user).call.report(fraction)
}
