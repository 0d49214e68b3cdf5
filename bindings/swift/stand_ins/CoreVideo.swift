// As much of Core Video as PictureFromCoreVideo.swift uses, with the signatures that Swift gives it on Apple's systems: so that
// the file is compiled, and its logic tested, where Core Video is not.

public typealias OSType = UInt32
public typealias CVReturn = Int32
public typealias CFTypeRef = AnyObject
public typealias CVPixelBuffer = CVBuffer
public enum CVAttachmentMode { case shouldPropagate }

public final class CFString: Sendable {
    public let text: String

    public init(_ text: String) {
        self.text = text
    }
}

extension CFString: CustomStringConvertible {
    public var description: String { text }
}

public func CFEqual(_ a: CFTypeRef?, _ b: CFTypeRef?) -> Bool {
    guard let a = a as? CFString, let b = b as? CFString else { return a === b }
    return a.text == b.text
}

public let kCVReturnSuccess: CVReturn = 0
public let kCVPixelFormatType_420YpCbCr8BiPlanarVideoRange: OSType = 0x3432_3076
public let kCVPixelFormatType_420YpCbCr8BiPlanarFullRange: OSType = 0x3432_3066
public let kCVPixelFormatType_32BGRA: OSType = 0x4247_5241
public let kCVPixelFormatType_32RGBA: OSType = 0x5247_4241
public let kCVPixelFormatType_24RGB: OSType = 0x18
public let kCVPixelFormatType_24BGR: OSType = 0x3234_4247
public let kCVPixelFormatType_OneComponent8: OSType = 0x4C30_3038
public let kCVImageBufferYCbCrMatrixKey = CFString("CVImageBufferYCbCrMatrix")
public let kCVImageBufferYCbCrMatrix_ITU_R_601_4 = CFString("ITU_R_601_4")
public let kCVImageBufferYCbCrMatrix_ITU_R_709_2 = CFString("ITU_R_709_2")

public struct CVPixelBufferLockFlags: OptionSet, Sendable {
    public let rawValue: UInt64
    public static let readOnly = CVPixelBufferLockFlags(rawValue: 1)

    public init(rawValue: UInt64) {
        self.rawValue = rawValue
    }
}

/// Planes of bytes, which have an address only while they are locked.
public final class CVBuffer {
    public struct Plane {
        public let stride: Int
        public let start: UnsafeMutableRawPointer

        public init(_ bytes: [UInt8], stride: Int) {
            self.stride = stride
            start = .allocate(byteCount: max(bytes.count, 1), alignment: 1)
            start.copyMemory(from: bytes, byteCount: bytes.count)
        }
    }

    public let format: OSType
    public let width, height: Int
    public let planes: [Plane]
    public var matrix: CFString?
    public var locks = 0
    public var lockStatus = kCVReturnSuccess

    public init(_ format: OSType, _ width: Int, _ height: Int, _ planes: [Plane]) {
        self.format = format
        self.width = width
        self.height = height
        self.planes = planes
    }

    deinit {
        for plane in planes { plane.start.deallocate() }
    }
}

public func CVPixelBufferGetWidth(_ buffer: CVPixelBuffer) -> Int { buffer.width }
public func CVPixelBufferGetHeight(_ buffer: CVPixelBuffer) -> Int { buffer.height }
public func CVPixelBufferGetPixelFormatType(_ buffer: CVPixelBuffer) -> OSType { buffer.format }

public func CVPixelBufferLockBaseAddress(_ buffer: CVPixelBuffer, _ flags: CVPixelBufferLockFlags) -> CVReturn {
    precondition(flags == .readOnly)
    if buffer.lockStatus == kCVReturnSuccess { buffer.locks += 1 }
    return buffer.lockStatus
}

@discardableResult
public func CVPixelBufferUnlockBaseAddress(_ buffer: CVPixelBuffer, _ flags: CVPixelBufferLockFlags) -> CVReturn {
    precondition(flags == .readOnly && buffer.locks > 0)
    buffer.locks -= 1
    return kCVReturnSuccess
}

public func CVPixelBufferGetBaseAddress(_ buffer: CVPixelBuffer) -> UnsafeMutableRawPointer? {
    CVPixelBufferGetBaseAddressOfPlane(buffer, 0)
}

public func CVPixelBufferGetBytesPerRow(_ buffer: CVPixelBuffer) -> Int { buffer.planes[0].stride }

public func CVPixelBufferGetBaseAddressOfPlane(_ buffer: CVPixelBuffer, _ plane: Int) -> UnsafeMutableRawPointer? {
    buffer.locks > 0 && plane < buffer.planes.count ? buffer.planes[plane].start : nil
}

public func CVPixelBufferGetBytesPerRowOfPlane(_ buffer: CVPixelBuffer, _ plane: Int) -> Int {
    buffer.planes[plane].stride
}

public func CVBufferCopyAttachment(
    _ buffer: CVBuffer, _ key: CFString, _ mode: UnsafeMutablePointer<CVAttachmentMode>?
) -> CFTypeRef? {
    key === kCVImageBufferYCbCrMatrixKey ? buffer.matrix : nil
}

public func CVBufferGetAttachment(
    _ buffer: CVBuffer, _ key: CFString, _ mode: UnsafeMutablePointer<CVAttachmentMode>?
) -> Unmanaged<CFTypeRef>? {
    CVBufferCopyAttachment(buffer, key, mode).map(Unmanaged.passUnretained)
}
