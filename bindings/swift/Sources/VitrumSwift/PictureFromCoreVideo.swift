#if canImport(CoreVideo)
import CoreVideo
import Vitrum

extension Picture {
    /// A frame of a camera or of a video, which is read in place.
    ///
    /// Formats: `420YpCbCr8BiPlanar` in both ranges (`420v`, `420f`), as cameras give it; `32BGRA`, `32RGBA`, `24RGB`, `24BGR`,
    /// `OneComponent8`. The weights of the colours are those that the buffer's attachment names: BT.601, also without one, or
    /// BT.709. Colour profiles and the clean aperture are ignored.
    ///
    /// Its pixels must not be written as long as a call uses the picture. A frame of a pool that is kept is not used again.
    /// - Throws: ``VitrumError``: `unsupported` for other formats and other weights, with their names.
    public init(_ buffer: CVPixelBuffer) throws {
        self.init(
            width: CVPixelBufferGetWidth(buffer), height: CVPixelBufferGetHeight(buffer), source: try Frame(buffer))
    }
}

/// A pixel buffer. It is only read, and locked meanwhile.
private final class Frame: PixelSource, @unchecked Sendable {
    private enum Layout {
        case packed(vitrum_pixel_format)
        case nv12(Picture.YUVMatrix, isFullRange: Bool)
    }

    private let buffer: CVPixelBuffer
    private let layout: Layout

    init(_ buffer: CVPixelBuffer) throws {
        self.buffer = buffer
        let format = CVPixelBufferGetPixelFormatType(buffer)
        switch format {
        case kCVPixelFormatType_420YpCbCr8BiPlanarVideoRange:
            layout = .nv12(try Frame.matrix(buffer), isFullRange: false)
        case kCVPixelFormatType_420YpCbCr8BiPlanarFullRange:
            layout = .nv12(try Frame.matrix(buffer), isFullRange: true)
        case kCVPixelFormatType_32BGRA: layout = .packed(VITRUM_PIXEL_BGRA8)
        case kCVPixelFormatType_32RGBA: layout = .packed(VITRUM_PIXEL_RGBA8)
        case kCVPixelFormatType_24RGB: layout = .packed(VITRUM_PIXEL_RGB8)
        case kCVPixelFormatType_24BGR: layout = .packed(VITRUM_PIXEL_BGR8)
        case kCVPixelFormatType_OneComponent8: layout = .packed(VITRUM_PIXEL_GRAY8)
        default: throw VitrumError(.unsupported, "a pixel buffer of format \(name(format))")
        }
    }

    private static func matrix(_ buffer: CVPixelBuffer) throws -> Picture.YUVMatrix {
        let value: CFTypeRef?
        if #available(iOS 15, macOS 12, *) {
            value = CVBufferCopyAttachment(buffer, kCVImageBufferYCbCrMatrixKey, nil)
        } else {
            value = CVBufferGetAttachment(buffer, kCVImageBufferYCbCrMatrixKey, nil)?.takeUnretainedValue()
        }
        guard let value else { return .bt601 }
        if CFEqual(value, kCVImageBufferYCbCrMatrix_ITU_R_601_4) { return .bt601 }
        if CFEqual(value, kCVImageBufferYCbCrMatrix_ITU_R_709_2) { return .bt709 }
        throw VitrumError(.unsupported, "a pixel buffer with the colour weights \(value)")
    }

    func open() throws -> vitrum_image {
        let status = CVPixelBufferLockBaseAddress(buffer, .readOnly)
        guard status == kCVReturnSuccess else {
            throw VitrumError(.image, "a pixel buffer that cannot be locked: error \(status)")
        }
        do {
            return try locked()
        } catch {
            close()
            throw error
        }
    }

    func close() {
        CVPixelBufferUnlockBaseAddress(buffer, .readOnly)
    }

    private func locked() throws -> vitrum_image {
        let (width, height) = (CVPixelBufferGetWidth(buffer), CVPixelBufferGetHeight(buffer))
        switch layout {
        case .packed(let format):
            let start = try address(CVPixelBufferGetBaseAddress(buffer))
            return try header(width, height, format, start, CVPixelBufferGetBytesPerRow(buffer))
        case .nv12(let matrix, let isFullRange):
            let luma = try address(CVPixelBufferGetBaseAddressOfPlane(buffer, 0))
            let chroma = try address(CVPixelBufferGetBaseAddressOfPlane(buffer, 1))
            return try header(
                width, height, VITRUM_PIXEL_NV12, luma, CVPixelBufferGetBytesPerRowOfPlane(buffer, 0)
            ).with(chroma: chroma, CVPixelBufferGetBytesPerRowOfPlane(buffer, 1), matrix, isFullRange)
        }
    }

    private func address(_ start: UnsafeMutableRawPointer?) throws -> UnsafePointer<UInt8> {
        guard let start else { throw VitrumError(.image, "a pixel buffer without pixels in memory") }
        return UnsafePointer(start.assumingMemoryBound(to: UInt8.self))
    }
}

/// A format's four characters, or its number.
private func name(_ format: OSType) -> String {
    let bytes = (0..<4).map { UInt8(truncatingIfNeeded: format >> (24 - 8 * $0)) }
    let isText = bytes.allSatisfy { (0x20..<0x7F).contains($0) }
    return isText ? "'\(String(decoding: bytes, as: UTF8.self))'" : "\(format)"
}
#endif
