import Vitrum

#if canImport(Darwin)
import Darwin
#elseif canImport(Glibc)
import Glibc
#endif

/// A picture of 8 bits a channel. Transparency is dropped, not blended: only colours count.
///
/// It is a reference to pixels that do not change; copies share them.
public struct Picture: Sendable {
    /// The order of the bytes of a pixel.
    public enum PixelFormat: Sendable {
        /// Red, green, blue.
        case rgb8
        /// Blue, green, red.
        case bgr8
        /// Red, green, blue, alpha; alpha is ignored.
        case rgba8
        /// Blue, green, red, alpha; alpha is ignored.
        case bgra8
        /// One grey channel.
        case gray8

        var bytesPerPixel: Int {
            switch self {
            case .rgb8, .bgr8: return 3
            case .rgba8, .bgra8: return 4
            case .gray8: return 1
            }
        }

        var c: vitrum_pixel_format {
            switch self {
            case .rgb8: return VITRUM_PIXEL_RGB8
            case .bgr8: return VITRUM_PIXEL_BGR8
            case .rgba8: return VITRUM_PIXEL_RGBA8
            case .bgra8: return VITRUM_PIXEL_BGRA8
            case .gray8: return VITRUM_PIXEL_GRAY8
            }
        }
    }

    /// The weights of the colours in luma.
    public enum YUVMatrix: Sendable {
        /// What phones' cameras and JPEG give.
        case bt601
        /// Video of 720 lines and more.
        case bt709

        var c: vitrum_yuv_matrix {
            self == .bt601 ? VITRUM_YUV_BT601 : VITRUM_YUV_BT709
        }
    }

    /// Width in pixels.
    public let width: Int
    /// Height in pixels.
    public let height: Int
    let source: PixelSource

    init(width: Int, height: Int, source: PixelSource) {
        self.width = width
        self.height = height
        self.source = source
    }

    /// Copies pixels, row after row from the top, from `[UInt8]`, `Data`, or another collection of bytes. `bytesPerRow` are those from the
    /// beginning of a row to that of the next; by default there are no gaps.
    /// - Throws: ``VitrumError``: `image` for too few bytes, `outOfMemory`.
    public init(
        _ pixels: some Collection<UInt8>, width: Int, height: Int, format: PixelFormat, bytesPerRow: Int? = nil
    ) throws {
        let rowBytes = try multiply(width, format.bytesPerPixel)
        let plane = try Plane(pixels.count, rows: height, rowBytes: rowBytes, stride: bytesPerRow ?? rowBytes)
        let copy = try Copy(plane.count)
        copy.fill(0, pixels)
        let image = try header(width, height, format.c, copy.start, bytesPerRow ?? rowBytes)
        self.init(width: width, height: height, source: Memory(image, owner: copy))
    }

    /// Copies a picture in NV12: a plane of luma, and one of half as many rows with a pair of bytes, U and V, for every 2 × 2 pixels.
    /// With `isFullRange`, luma goes from 0 to 255, and not from 16 to 235.
    /// - Throws: ``VitrumError``: `image` for too few bytes, `outOfMemory`.
    public init(
        luma: some Collection<UInt8>, lumaBytesPerRow: Int? = nil,
        chroma: some Collection<UInt8>, chromaBytesPerRow: Int? = nil,
        width: Int, height: Int, matrix: YUVMatrix = .bt601, isFullRange: Bool = false
    ) throws {
        let pairs = try multiply(width / 2 + width % 2, 2)
        let (lumaStride, chromaStride) = (lumaBytesPerRow ?? width, chromaBytesPerRow ?? pairs)
        let first = try Plane(luma.count, rows: height, rowBytes: width, stride: lumaStride)
        let second = try Plane(chroma.count, rows: height / 2 + height % 2, rowBytes: pairs, stride: chromaStride)
        let copy = try Copy(first.count + second.count)
        copy.fill(0, luma.prefix(first.count))
        copy.fill(first.count, chroma)
        let image = try header(width, height, VITRUM_PIXEL_NV12, copy.start, lumaStride)
            .with(chroma: copy.start + first.count, chromaStride, matrix, isFullRange)
        self.init(width: width, height: height, source: Memory(image, owner: copy))
    }

    /// Pixels in memory of the application, row after row from the top, which are not copied. They must stay there, unchanged, until
    /// `release` is called: on any thread, when the picture, its copies, and the calls that use them are gone.
    /// - Throws: ``VitrumError``: `image` for too few bytes. Then `release` is not called.
    public init(
        sharing pixels: UnsafeRawBufferPointer, width: Int, height: Int, format: PixelFormat, bytesPerRow: Int,
        release: @escaping @Sendable () -> Void
    ) throws {
        let rowBytes = try multiply(width, format.bytesPerPixel)
        _ = try Plane(pixels.count, rows: height, rowBytes: rowBytes, stride: bytesPerRow)
        let start = pixels.baseAddress!.assumingMemoryBound(to: UInt8.self)
        let image = try header(width, height, format.c, start, bytesPerRow)
        self.init(width: width, height: height, source: Memory(image, owner: Shared(release)))
    }
}

/// Where pixels are.
protocol PixelSource: Sendable {
    /// Makes the pixels readable until ``close()``. May be nested.
    func open() throws -> vitrum_image
    func close()
}

/// Lends pictures to a call of the C library.
func withImages<Result>(
    _ pictures: [Picture], _ body: (UnsafePointer<vitrum_image>, Int) throws -> Result
) throws -> Result {
    var images: [vitrum_image] = []
    defer {
        for picture in pictures.prefix(images.count) { picture.source.close() }
    }
    for picture in pictures { images.append(try picture.source.open()) }
    return try images.withUnsafeBufferPointer { try body(address($0), images.count) }
}

func withImage<Result>(
    _ picture: Picture, _ body: (UnsafePointer<vitrum_image>) throws -> Result
) throws -> Result {
    try withImages([picture]) { images, _ in try body(images) }
}

/// Pixels that `owner` keeps where they are. They are only read.
final class Memory: PixelSource, @unchecked Sendable {
    private let image: vitrum_image
    private let owner: AnyObject

    init(_ image: vitrum_image, owner: AnyObject) {
        self.image = image
        self.owner = owner
    }

    func open() -> vitrum_image { image }
    func close() {}
}

/// Bytes of the picture's own.
final class Copy {
    let start: UnsafeMutablePointer<UInt8>
    private let count: Int

    init(_ count: Int) throws {
        guard let block = malloc(max(count, 1)) else {
            throw VitrumError(.outOfMemory, "a picture of \(count) bytes: no memory")
        }
        start = block.assumingMemoryBound(to: UInt8.self)
        self.count = count
    }

    deinit {
        free(start)
    }

    /// Copies as many bytes as there are, or as there is room from `at` on.
    func fill(_ at: Int, _ bytes: some Collection<UInt8>) {
        let room = UnsafeMutableBufferPointer(start: start + at, count: count - at)
        let isContiguous: Void? = bytes.withContiguousStorageIfAvailable { bytes in
            let count = min(bytes.count, room.count)
            if count > 0 { room.baseAddress!.update(from: bytes.baseAddress!, count: count) }
        }
        if isContiguous == nil {
            for (index, byte) in bytes.prefix(room.count).enumerated() { room[index] = byte }
        }
    }
}

private final class Shared {
    private let release: @Sendable () -> Void

    init(_ release: @escaping @Sendable () -> Void) {
        self.release = release
    }

    deinit {
        release()
    }
}

/// How many bytes of a plane are read.
private struct Plane {
    let count: Int

    init(_ available: Int, rows: Int, rowBytes: Int, stride: Int) throws {
        guard rows > 0, rowBytes > 0, stride >= rowBytes else {
            throw VitrumError(.image, "\(rows) rows of \(rowBytes) bytes, and \(stride) from one to the next")
        }
        let (start, overflows) = (rows - 1).multipliedReportingOverflow(by: stride)
        let (count, overflowsToo) = start.addingReportingOverflow(rowBytes)
        guard !overflows, !overflowsToo, count <= available else {
            throw VitrumError(.image, "\(available) bytes: too few for \(rows) rows of \(stride)")
        }
        self.count = count
    }
}

private func multiply(_ a: Int, _ b: Int) throws -> Int {
    let (product, overflows) = a.multipliedReportingOverflow(by: b)
    if overflows { throw VitrumError(.image, "\(a) pixels are too many") }
    return product
}

/// The picture as the C library takes it, which refuses sizes that it cannot hold.
func header(
    _ width: Int, _ height: Int, _ format: vitrum_pixel_format, _ data: UnsafePointer<UInt8>, _ rowStride: Int
) throws -> vitrum_image {
    // Its fields cannot all be zero, as the other structs' can: `data` is never NULL.
    let zeros = vitrum_image(
        struct_size: 0, format: 0, data: data, width: 0, height: 0, row_stride: 0, chroma: nil, chroma_stride: 0,
        yuv_matrix: 0, yuv_full_range: 0)
    var image = try prepared(zeros, vitrum_image_init)
    image.width = try number(width, "width")
    image.height = try number(height, "height")
    image.format = format
    image.data = data
    image.row_stride = rowStride
    return image
}

extension vitrum_image {
    /// NV12, of which this is the plane of luma.
    func with(
        chroma: UnsafePointer<UInt8>, _ chromaStride: Int, _ matrix: Picture.YUVMatrix, _ isFullRange: Bool
    ) -> vitrum_image {
        var image = self
        image.chroma = chroma
        image.chroma_stride = chromaStride
        image.yuv_matrix = matrix.c
        image.yuv_full_range = isFullRange ? 1 : 0
        return image
    }
}
