#if canImport(CoreGraphics)
import CoreGraphics
import Vitrum

extension Picture {
    /// A decoded picture. It is drawn once, in sRGB.
    ///
    /// Core Graphics multiplies colours with alpha when it draws. That is taken back, with a rounding error that grows as alpha
    /// becomes small; the colour of a pixel that is fully transparent is lost, and becomes black. A `CGImage` knows no orientation:
    /// turn it as its file's EXIF says before.
    /// - Throws: ``VitrumError``: `image` if Core Graphics cannot draw it, `outOfMemory`.
    public init(_ image: CGImage) throws {
        let (width, height) = (image.width, image.height)
        let (count, overflows) = (4 * width).multipliedReportingOverflow(by: height)
        if overflows { throw VitrumError(.image, "a picture of \(width) x \(height) pixels") }
        let copy = try Copy(count)
        copy.start.update(repeating: 0, count: count)
        let isOpaque: Bool
        switch image.alphaInfo {
        case .none, .noneSkipFirst, .noneSkipLast: isOpaque = true
        default: isOpaque = false
        }
        let alpha: CGImageAlphaInfo = isOpaque ? .noneSkipLast : .premultipliedLast
        guard
            let space = CGColorSpace(name: CGColorSpace.sRGB),
            let context = CGContext(
                data: copy.start, width: width, height: height, bitsPerComponent: 8, bytesPerRow: 4 * width, space: space,
                bitmapInfo: alpha.rawValue | CGBitmapInfo.byteOrder32Big.rawValue)
        else { throw VitrumError(.image, "a picture of \(width) x \(height) pixels that cannot be drawn") }
        context.interpolationQuality = .none
        context.setBlendMode(.copy)
        context.draw(image, in: CGRect(x: 0, y: 0, width: width, height: height))
        if !isOpaque { unmultiply(UnsafeMutableBufferPointer(start: copy.start, count: count)) }
        let pixels = try header(width, height, VITRUM_PIXEL_RGBA8, copy.start, 4 * width)
        self.init(width: width, height: height, source: Memory(pixels, owner: copy))
    }
}

/// Divides colours by alpha.
private func unmultiply(_ pixels: UnsafeMutableBufferPointer<UInt8>) {
    for start in stride(from: 0, to: pixels.count, by: 4) {
        let alpha = Int(pixels[start + 3])
        if alpha == 0 || alpha == 255 { continue }
        for channel in start..<start + 3 {
            pixels[channel] = UInt8(min(255, (Int(pixels[channel]) * 255 + alpha / 2) / alpha))
        }
    }
}

extension Mask {
    /// The mask as a picture of one colour: opaque where the object is, and transparent elsewhere. For overlays.
    /// - Returns: `nil` if Core Graphics has no memory for it.
    public func cgImage(red: UInt8 = 47, green: UInt8 = 214, blue: UInt8 = 168, alpha: UInt8 = 160) -> CGImage? {
        let colour = [red, green, blue].map { UInt8((Int($0) * Int(alpha) + 127) / 255) } + [alpha]
        guard
            let space = CGColorSpace(name: CGColorSpace.sRGB),
            let context = CGContext(
                data: nil, width: width, height: height, bitsPerComponent: 8, bytesPerRow: 4 * width, space: space,
                bitmapInfo: CGImageAlphaInfo.premultipliedLast.rawValue | CGBitmapInfo.byteOrder32Big.rawValue),
            let data = context.data
        else { return nil }
        let bytes = data.assumingMemoryBound(to: UInt8.self)
        for (index, pixel) in pixels.enumerated() {
            for channel in 0..<4 { bytes[4 * index + channel] = pixel == 0 ? 0 : colour[channel] }
        }
        return context.makeImage()
    }
}
#endif
