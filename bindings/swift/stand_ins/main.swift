// Tests of what needs Core Video and Core Graphics, with the stand-ins beside this file: planes, strides, ranges, weights, locks,
// alpha. Compiled into one module with the package's sources.

import CoreGraphics
import CoreVideo
import Foundation
import Vitrum

var checks = 0

func expect(_ isRight: Bool, _ what: String, line: Int = #line) {
    checks += 1
    if !isRight {
        print("stand_ins/main.swift:\(line): \(what)")
        exit(1)
    }
}

func expectThrow(_ code: VitrumError.Code, _ text: String, line: Int = #line, _ body: () throws -> Void) {
    do {
        try body()
        expect(false, "no error with \(text)", line: line)
    } catch let error as VitrumError {
        expect(error.code == code && error.message.contains(text), "\(error)", line: line)
    } catch {
        expect(false, "another error: \(error)", line: line)
    }
}

func bytes(_ count: Int, _ seed: Int) -> [UInt8] {
    (0..<count).map { UInt8(truncatingIfNeeded: ($0 &* 73 &+ seed) >> 1) }
}

let sam = try await Sam.load(CommandLine.arguments[1])

/// Whether two pictures have the same colours, as the library sees it.
func areSame(_ a: Picture, _ b: Picture) async throws -> Bool {
    try await sam.encode(a).isOf(b) == .same
}

// NV12 of an odd size, with a stride for each plane.
let (width, height) = (37, 29)
let luma = bytes(48 * 29, 5)
let chroma = bytes(64 * 15, 11)

func frame(_ format: OSType, _ matrix: CFString? = nil) -> CVPixelBuffer {
    let buffer = CVPixelBuffer(format, width, height, [.init(luma, stride: 48), .init(chroma, stride: 64)])
    buffer.matrix = matrix
    return buffer
}

func expected(_ matrix: Picture.YUVMatrix, isFullRange: Bool) throws -> Picture {
    try Picture(
        luma: luma, lumaBytesPerRow: 48, chroma: chroma, chromaBytesPerRow: 64, width: width, height: height, matrix: matrix,
        isFullRange: isFullRange)
}

let (video, full) = (kCVPixelFormatType_420YpCbCr8BiPlanarVideoRange, kCVPixelFormatType_420YpCbCr8BiPlanarFullRange)
let references = try [
    expected(.bt601, isFullRange: false), expected(.bt601, isFullRange: true), expected(.bt709, isFullRange: false),
    expected(.bt709, isFullRange: true),
]
for (format, matrix, right) in [
    (video, nil, 0), (full, nil, 1), (full, kCVImageBufferYCbCrMatrix_ITU_R_601_4, 1),
    (video, kCVImageBufferYCbCrMatrix_ITU_R_709_2, 2), (full, CFString("ITU_R_709_2"), 3),
] {
    let buffer = frame(format, matrix)
    let picture = try Picture(buffer)
    for (index, reference) in references.enumerated() {
        let same = try await areSame(picture, reference)
        expect(same == (index == right), "range and weights \(index), not \(right)")
    }
    expect(buffer.locks == 0, "it is left locked")
}
expectThrow(.unsupported, "ITU_R_2020") { _ = try Picture(frame(full, CFString("ITU_R_2020"))) }
expectThrow(.unsupported, "'x420'") { _ = try Picture(frame(0x7834_3230)) }
expectThrow(.unsupported, "format 2") { _ = try Picture(frame(2)) }
let halved = CVPixelBuffer(video, width, height, [.init(luma, stride: 48)])
expectThrow(.image, "without pixels") { _ = try Picture(halved).source.open() }
expect(halved.locks == 0, "it is left locked after an error")
let refused = frame(video)
refused.lockStatus = -6661
expectThrow(.image, "-6661") { _ = try Picture(refused).source.open() }

// Packed formats, with a stride.
for (format, same, channels) in [
    (kCVPixelFormatType_32BGRA, Picture.PixelFormat.bgra8, 4), (kCVPixelFormatType_32RGBA, .rgba8, 4),
    (kCVPixelFormatType_24RGB, .rgb8, 3), (kCVPixelFormatType_24BGR, .bgr8, 3), (kCVPixelFormatType_OneComponent8, .gray8, 1),
] {
    let stride = channels * width + 12
    let pixels = bytes(stride * height, channels)
    let buffer = CVPixelBuffer(format, width, height, [.init(pixels, stride: stride)])
    let isSame = try await areSame(
        try Picture(buffer), try Picture(pixels, width: width, height: height, format: same, bytesPerRow: stride))
    expect(isSame, "format \(same)")
    expect(buffer.locks == 0, "it is left locked")
}

// Opaque pictures keep their colours, whatever is in the fourth byte; transparent ones get them back.
let colours = bytes(4 * width * height, 3)
for info in [CGImageAlphaInfo.none, .noneSkipLast, .noneSkipFirst] {
    let isSame = try await areSame(
        try Picture(CGImage(width, height, info, colours)), try Picture(colours, width: width, height: height, format: .rgba8))
    expect(isSame, "an opaque picture")
}
let transparent = try Picture(CGImage(2, 2, .last, [200, 100, 50, 255, 200, 100, 50, 128, 200, 100, 50, 4, 200, 100, 50, 0]))
let image = try transparent.source.open()
let drawn = Array(UnsafeBufferPointer(start: image.data, count: 16))
expect(Array(drawn[0..<4]) == [200, 100, 50, 255], "opaque: \(drawn)")
expect(zip(drawn[4..<7], [200, 100, 50]).allSatisfy { abs(Int($0) - $1) <= 1 }, "half transparent: \(drawn)")
expect(zip(drawn[8..<11], [200, 100, 50]).allSatisfy { abs(Int($0) - $1) <= 32 }, "nearly transparent: \(drawn)")
expect(Array(drawn[12..<16]) == [0, 0, 0, 0], "transparent: \(drawn)")

let overlay = try Mask(width: 2, height: 1, pixels: [0, 1]).cgImage(red: 255, green: 0, blue: 51, alpha: 128)!
expect(overlay.rgba == [0, 0, 0, 0, 128, 0, 26, 128], "an overlay: \(overlay.rgba)")
print("stand-ins: \(checks) checks")
