import Vitrum

/// The masks that answer one prompt, from which they are read one by one. Any number of tasks may read them.
///
/// A mask is where its logits are above a threshold; the models are trained for 0.
public final class Prediction: Sendable {
    /// Area, box and scores of a mask.
    public struct Stats: Hashable, Sendable {
        /// Pixels of the mask.
        public let area: Int
        /// All 0 if the mask is empty.
        public let box: PixelBox
        /// The IoU (intersection over union) with the object that the model predicts.
        public let score: Float
        /// Pixels above the threshold + 1, over those above the threshold − 1. Not a number if there are none.
        public let stability: Float
    }

    private let handle: Handle
    private let prompt: Int
    private let maskSide: Int
    /// Width of the picture in pixels.
    public let width: Int
    /// Height of the picture in pixels.
    public let height: Int

    init(_ handle: Handle, _ prompt: Int, width: Int, height: Int, maskSide: Int) {
        self.handle = handle
        self.prompt = prompt
        self.width = width
        self.height = height
        self.maskSide = maskSide
    }

    /// How many masks there are: three, or one without ``PredictOptions/multimask``.
    public var count: Int { vitrum_sam_prediction_masks(handle.pointer) }

    /// The IoU with the object that the model predicts, for each mask.
    public var scores: [Float] {
        get throws {
            let all: [Float] = try collect { vitrum_sam_prediction_scores(handle.pointer, $0, $1, $2, $3) }
            return Array(all[prompt * count..<(prompt + 1) * count])
        }
    }

    /// Which mask has the highest score.
    public var best: Int {
        get throws {
            let scores = try scores
            // The first of equal ones; a score that is not a number is worse than all others.
            return scores.indices.reduce(0) { scores[$1] > scores[$0] || scores[$0].isNaN ? $1 : $0 }
        }
    }

    /// Mask number `index`, by default the best one, in the size of the picture.
    /// - Throws: ``VitrumError``: `invalidArgument` if there is no such mask.
    public func mask(_ index: Int? = nil, threshold: Float = 0) throws -> Mask {
        let index = try index ?? best
        let pixels: [UInt8] = try collect(width * height) {
            vitrum_sam_prediction_mask(handle.pointer, prompt, index, threshold, $0, $1, $2, $3)
        }
        return Mask(trusted: pixels, width: width, height: height)
    }

    /// The same mask in run lengths. Errors as of ``mask(_:threshold:)``.
    public func runLengths(_ index: Int? = nil, threshold: Float = 0) throws -> RunLengths {
        let index = try index ?? best
        let counts: [UInt32] = try collect {
            vitrum_sam_prediction_rle(handle.pointer, prompt, index, threshold, $0, $1, $2, $3)
        }
        return RunLengths(trusted: counts, width: width, height: height)
    }

    /// The logits of a mask in the size of the picture. Errors as of ``mask(_:threshold:)``.
    public func logits(_ index: Int? = nil) throws -> [Float] {
        let index = try index ?? best
        return try collect(width * height) {
            vitrum_sam_prediction_logits(handle.pointer, prompt, index, $0, $1, $2, $3)
        }
    }

    /// The logits of a mask at the model's own resolution, a square of ``Sam/maskSide``: a later prompt's ``Prompt/mask``. Errors as of
    /// ``mask(_:threshold:)``.
    public func lowRes(_ index: Int? = nil) throws -> [Float] {
        let index = try index ?? best
        return try collect(maskSide * maskSide) {
            vitrum_sam_prediction_low_res(handle.pointer, prompt, index, $0, $1, $2, $3)
        }
    }

    /// Area, box and scores of a mask. Errors as of ``mask(_:threshold:)``.
    public func stats(_ index: Int? = nil, threshold: Float = 0) throws -> Stats {
        let index = try index ?? best
        var stats = try prepared(vitrum_sam_mask_stats(), vitrum_sam_mask_stats_init)
        try check { vitrum_sam_prediction_stats(handle.pointer, prompt, index, threshold, &stats, $0) }
        return Stats(
            area: Int(stats.area), box: PixelBox(stats.bounding_box), score: stats.score,
            stability: stats.stability_score)
    }

    /// Pixels of a mask above the threshold + `offset`, over those above the threshold − `offset`. Errors as of ``mask(_:threshold:)``.
    public func stability(_ index: Int? = nil, threshold: Float = 0, offset: Float) throws -> Float {
        let index = try index ?? best
        var stability: Float = 0
        try check {
            vitrum_sam_prediction_stability(handle.pointer, prompt, index, threshold, offset, &stability, $0)
        }
        return stability
    }
}
