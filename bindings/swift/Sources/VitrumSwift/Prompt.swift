import Vitrum

/// What one object is: clicks, a box, an earlier mask, or several of these. An empty prompt asks for the most prominent object.
public struct Prompt: Hashable, Sendable {
    /// A click, in pixels of the picture from its top left corner.
    public struct Point: Hashable, Sendable {
        /// What a click marks.
        public enum Label: Sendable {
            /// Part of the object.
            case foreground
            /// Not part of the object.
            case background
            /// No click: its coordinates do not matter. transformers adds such a point to prompts without clicks and box.
            case padding

            var c: vitrum_label {
                switch self {
                case .foreground: return VITRUM_LABEL_FOREGROUND
                case .background: return VITRUM_LABEL_BACKGROUND
                case .padding: return VITRUM_LABEL_PADDING
                }
            }
        }

        public var x, y: Float
        public var label: Label

        public init(x: Float, y: Float, label: Label = .foreground) {
            self.x = x
            self.y = y
            self.label = label
        }
    }

    /// A box, in pixels of the picture. It may reach beyond it.
    public struct Box: Hashable, Sendable {
        public var left, top, right, bottom: Float

        public init(left: Float, top: Float, right: Float, bottom: Float) {
            self.left = left
            self.top = top
            self.right = right
            self.bottom = bottom
        }
    }

    public var points: [Point]
    public var box: Box?
    /// ``Prediction/lowRes(_:)`` of an earlier answer, which is refined.
    public var mask: [Float]?

    public init(points: [Point] = [], box: Box? = nil, mask: [Float]? = nil) {
        self.points = points
        self.box = box
        self.mask = mask
    }
}

/// Lends prompts to a call of the C library.
func withPrompts<Result>(
    _ prompts: [Prompt], _ body: (UnsafePointer<vitrum_sam_prompt>, Int) throws -> Result
) throws -> Result {
    // All clicks and all masks in one array each, whose addresses hold for all prompts.
    let points = prompts.flatMap { prompt in
        prompt.points.map { vitrum_point(x: $0.x, y: $0.y, label: $0.label.c) }
    }
    let masks = prompts.flatMap { $0.mask ?? [] }
    return try points.withUnsafeBufferPointer { points in
        try masks.withUnsafeBufferPointer { masks in
            var (pointsUsed, valuesUsed) = (0, 0)
            let list = try prompts.map { prompt in
                var it = try prepared(vitrum_sam_prompt(), vitrum_sam_prompt_init)
                if let box = prompt.box {
                    it.has_box = 1
                    it.bounding_box = (box.left, box.top, box.right, box.bottom)
                }
                if !prompt.points.isEmpty {
                    it.points = points.baseAddress! + pointsUsed
                    it.point_count = prompt.points.count
                    pointsUsed += prompt.points.count
                }
                if let mask = prompt.mask {
                    guard !mask.isEmpty else { throw VitrumError(.invalidArgument, "mask: no values") }
                    it.mask = masks.baseAddress! + valuesUsed
                    it.mask_size = mask.count
                    valuesUsed += mask.count
                }
                return it
            }
            return try list.withUnsafeBufferPointer { try body(address($0), prompts.count) }
        }
    }
}

/// How prompts are answered.
public struct PredictOptions: Hashable, Sendable {
    /// Three masks for each prompt, for prompts that may mean a part, the whole object or more, such as a single click; otherwise one.
    public var multimask = true
    /// Holes of at most this area are filled, counted in values of the low-resolution mask.
    public var maxHoleArea = 0
    /// Islands of at most this area are removed, after holes were filled.
    public var maxSprinkleArea = 0

    public init(multimask: Bool = true, maxHoleArea: Int = 0, maxSprinkleArea: Int = 0) {
        self.multimask = multimask
        self.maxHoleArea = maxHoleArea
        self.maxSprinkleArea = maxSprinkleArea
    }

    func c() throws -> vitrum_sam_predict_options {
        var options = try prepared(vitrum_sam_predict_options(), vitrum_sam_predict_options_init)
        options.multimask = multimask ? 1 : 0
        options.max_hole_area = try number(maxHoleArea, "maxHoleArea")
        options.max_sprinkle_area = try number(maxSprinkleArea, "maxSprinkleArea")
        return options
    }
}
