// As much of Core Graphics as PictureFromCoreGraphics.swift uses, with the signatures that Swift gives it on Apple's systems:
// so that the file is compiled, and its logic tested, where Core Graphics is not. A context takes pictures of its own size alone.

@_exported import struct Foundation.CGRect

public struct CGBitmapInfo: OptionSet, Sendable {
    public let rawValue: UInt32
    public static let byteOrder32Big = CGBitmapInfo(rawValue: 4 << 12)

    public init(rawValue: UInt32) {
        self.rawValue = rawValue
    }
}

public enum CGImageAlphaInfo: UInt32 {
    case none, premultipliedLast, premultipliedFirst, last, first, noneSkipLast, noneSkipFirst, alphaOnly
}

public enum CGBlendMode { case normal, copy }
public enum CGInterpolationQuality { case `default`, none }

public final class CGColorSpace {
    public static let sRGB = "kCGColorSpaceSRGB"

    public init?(name: String) {
        guard name == CGColorSpace.sRGB else { return nil }
    }
}

/// Straight RGBA.
public final class CGImage {
    public let width, height: Int
    public let alphaInfo: CGImageAlphaInfo
    public let rgba: [UInt8]

    public init(_ width: Int, _ height: Int, _ alphaInfo: CGImageAlphaInfo, _ rgba: [UInt8]) {
        self.width = width
        self.height = height
        self.alphaInfo = alphaInfo
        self.rgba = rgba
    }
}

public final class CGContext {
    public let data: UnsafeMutableRawPointer?
    public var interpolationQuality = CGInterpolationQuality.default
    private let owned: UnsafeMutableRawPointer?
    private let width, height: Int
    private let alphaInfo: CGImageAlphaInfo
    private var mode = CGBlendMode.normal

    public init?(
        data: UnsafeMutableRawPointer?, width: Int, height: Int, bitsPerComponent: Int, bytesPerRow: Int, space: CGColorSpace,
        bitmapInfo: UInt32
    ) {
        guard
            bitsPerComponent == 8, bytesPerRow == 4 * width, bitmapInfo & ~31 == CGBitmapInfo.byteOrder32Big.rawValue,
            let alphaInfo = CGImageAlphaInfo(rawValue: bitmapInfo & 31), [.premultipliedLast, .noneSkipLast].contains(alphaInfo)
        else { return nil }
        owned = data == nil ? .allocate(byteCount: 4 * width * height, alignment: 4) : nil
        self.data = data ?? owned
        self.width = width
        self.height = height
        self.alphaInfo = alphaInfo
    }

    deinit {
        owned?.deallocate()
    }

    public func setBlendMode(_ mode: CGBlendMode) { self.mode = mode }

    public func draw(_ image: CGImage, in rectangle: CGRect) {
        precondition(rectangle == CGRect(x: 0, y: 0, width: width, height: height) && mode == .copy)
        precondition(image.width == width && image.height == height)
        let bytes = data!.assumingMemoryBound(to: UInt8.self)
        for at in 0..<4 * width * height {
            let alpha = Int(image.rgba[at / 4 * 4 + 3])
            let isMultiplied = alphaInfo == .premultipliedLast && at % 4 != 3
            bytes[at] = isMultiplied ? UInt8((Int(image.rgba[at]) * alpha + 127) / 255) : image.rgba[at]
        }
    }

    public func makeImage() -> CGImage? {
        let bytes = UnsafeRawBufferPointer(start: data, count: 4 * width * height)
        return CGImage(width, height, alphaInfo, [UInt8](bytes))
    }
}
