import Vitrum

/// Whole pixels of a picture: left, top, width and height.
public struct PixelBox: Hashable, Sendable {
    public var left, top, width, height: Int

    init(_ box: (UInt32, UInt32, UInt32, UInt32)) {
        (left, top, width, height) = (Int(box.0), Int(box.1), Int(box.2), Int(box.3))
    }
}

/// A mask in the size of its picture, row after row: 1 where the object is, otherwise 0.
public struct Mask: Hashable, Sendable {
    public let width: Int
    public let height: Int
    /// `width` times `height` bytes.
    public let pixels: [UInt8]

    /// - Throws: ``VitrumError``: `image` if there are not `width` times `height` bytes.
    public init(width: Int, height: Int, pixels: [UInt8]) throws {
        guard width > 0, height > 0, width.multipliedReportingOverflow(by: height) == (pixels.count, false) else {
            throw VitrumError(.image, "a mask of \(width) x \(height) pixels in \(pixels.count) bytes")
        }
        self.init(trusted: pixels, width: width, height: height)
    }

    init(trusted pixels: [UInt8], width: Int, height: Int) {
        self.width = width
        self.height = height
        self.pixels = pixels
    }

    /// Whether a pixel belongs to the object.
    public subscript(x: Int, y: Int) -> Bool {
        precondition((0..<width).contains(x) && (0..<height).contains(y), "no such pixel")
        return pixels[y * width + x] != 0
    }

    /// Pixels of the object.
    public var area: Int { pixels.reduce(0) { $0 + ($1 == 0 ? 0 : 1) } }
}

/// A mask in run lengths: of 0, of 1, of 0 and so on, down the columns from left to right, as COCO stores masks.
public struct RunLengths: Hashable, Sendable {
    public let width: Int
    public let height: Int
    public let counts: [UInt32]

    /// - Throws: ``VitrumError``: `format` if the runs do not fill the picture.
    public init(width: Int, height: Int, counts: [UInt32]) throws {
        let sum = counts.reduce(into: UInt64(0)) { $0 += UInt64($1) }
        guard width > 0, height > 0, !counts.isEmpty, UInt64(width).multipliedReportingOverflow(by: UInt64(height)) == (sum, false)
        else { throw VitrumError(.format, "runs of \(sum) pixels for \(width) x \(height)") }
        self.init(trusted: counts, width: width, height: height)
    }

    init(trusted counts: [UInt32], width: Int, height: Int) {
        self.width = width
        self.height = height
        self.counts = counts
    }

    /// Pixels of the object.
    public var area: Int {
        counts.enumerated().reduce(0) { $0 + ($1.offset % 2 == 1 ? Int($1.element) : 0) }
    }

    /// The mask as bytes.
    public func mask() -> Mask {
        var pixels = [UInt8](repeating: 0, count: width * height)
        var at = 0
        for (index, count) in counts.enumerated() {
            let end = at + Int(count)
            if index % 2 == 1 {
                for place in at..<end { pixels[place % height * width + place / height] = 1 }
            }
            at = end
        }
        return Mask(trusted: pixels, width: width, height: height)
    }

    /// The mask as outlines, which run along the edges of pixels: corner (x, y) is the left upper corner of pixel (x, y).
    /// - Parameter tolerance: How far a corner that is left out may be from the outline, in pixels; outlines are exact with 0.
    /// - Throws: ``VitrumError``: `invalidArgument` for a tolerance below 0 or not a number.
    public func polygons(tolerance: Float = 0) throws -> [Polygon] {
        let (width, height): (UInt32, UInt32) = (try number(width, "width"), try number(height, "height"))
        var (cornersNeeded, polygonsNeeded) = (0, 0)
        try check {
            vitrum_rle_polygons(
                counts, counts.count, width, height, tolerance, nil, 0, &cornersNeeded, nil, 0, &polygonsNeeded, $0)
        }
        var corners = [UInt32](repeating: 0, count: cornersNeeded)
        var polygons = [vitrum_polygon](repeating: vitrum_polygon(), count: polygonsNeeded)
        try check {
            vitrum_rle_polygons(
                counts, counts.count, width, height, tolerance, &corners, cornersNeeded, nil, &polygons, polygonsNeeded,
                nil, $0)
        }
        return polygons.map { polygon in
            let points = (polygon.first..<polygon.first + polygon.count).map {
                Polygon.Corner(x: Int(corners[2 * $0]), y: Int(corners[2 * $0 + 1]))
            }
            return Polygon(corners: points, part: Int(polygon.part), isHole: polygon.is_hole != 0)
        }
    }

    /// A closed outline: its last corner is joined to the first.
    public struct Polygon: Hashable, Sendable {
        /// A corner of a pixel.
        public struct Corner: Hashable, Sendable {
            public let x, y: Int
        }

        public let corners: [Corner]
        /// The connected part of the mask that it belongs to, counted from 0.
        public let part: Int
        /// Whether it is a hole of the part, not its outer outline, which comes first.
        public let isHole: Bool
    }
}
