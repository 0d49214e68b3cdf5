#!/usr/bin/env python3
"""The files in tests/cases/pictures, and their pixels as Pillow's convert("RGB") gives them.

    venv/bin/pip install -r requirements.txt && apt-get install libjpeg-turbo-progs
    venv/bin/python make_pictures.py

Every picture NAME.jpg, NAME.webp, … that is to be read has its pixels in NAME.EXT.png beside it (RGB). cjpeg writes
what Pillow cannot. The tests read the committed files and never need Python.
"""

import io
import struct
import subprocess
import zlib
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

HERE = Path(__file__).resolve().parent
CASES = HERE.parent / "cases" / "pictures"
SCENE = Image.open(HERE.parent.parent / "demo" / "images" / "chelsea.jpg").convert("RGB")
SMALL = SCENE.resize((112, 74), Image.Resampling.LANCZOS).crop((20, 10, 57, 33))


def folder(name: str, expected: str) -> Path:
    path = CASES / name
    path.mkdir(parents=True, exist_ok=True)
    (path / "expected.txt").write_text(expected)
    return path


def golden(path: Path, pixels: Image.Image | None = None) -> None:
    """Writes the pixels of `path`."""
    if pixels is None:
        pixels = Image.open(path).convert("RGB")
    pixels.save(path.with_name(path.name + ".png"), optimize=True)


def segments(data: bytes) -> tuple[list[tuple[int, bytes]], bytes]:
    """A JPEG's segments, and what follows the header of the first scan."""
    found, at = [], 2
    while True:
        marker, length = data[at + 1], struct.unpack(">H", data[at + 2 : at + 4])[0]
        found.append((marker, data[at : at + 2 + length]))
        at += 2 + length
        if marker == 0xDA:
            return found, data[at:]


def without(data: bytes, *markers: int) -> bytes:
    found, rest = segments(data)
    return b"\xff\xd8" + b"".join(part for marker, part in found if marker not in markers) + rest


def encoded(image: Image.Image, form: str = "JPEG", **options: object) -> bytes:
    out = io.BytesIO()
    image.save(out, form, **options)
    return out.getvalue()


def cmyk() -> Image.Image:
    """The picture with some of its black as black."""
    inks = 255 - np.array(SMALL)
    black = inks.min(axis=2, keepdims=True) // 2
    return Image.fromarray(np.concatenate([inks - black, black], axis=2), "CMYK")


def jpegs() -> None:
    out = folder("01-jpeg-kinds", "Each picture has the pixels of the .png beside it (Pillow's, libjpeg-turbo), to the "
                 "last bit. zune-jpeg 0.5 made noise of scans of one component and of odd sampling factors (mean "
                 "difference over 100), and refused Adobe's RGB, CMYK, factors of 3, arithmetic coding and frames "
                 "without Huffman tables.\n")
    source = out / "source.ppm"
    SMALL.save(source)
    gray = SMALL.convert("L")
    files = {
        "444": encoded(SMALL, subsampling=0, quality=85), "422": encoded(SMALL, subsampling=1, quality=85),
        "420": encoded(SMALL, subsampling=2, quality=85), "gray": encoded(gray, quality=85),
        "progressive": encoded(SMALL, progressive=True, quality=85),
        "gray-progressive": encoded(gray, progressive=True, quality=85),
        "restart": encoded(SMALL, restart_marker_blocks=1, quality=85),
        "adobe-rgb": encoded(SMALL, keep_rgb=True, quality=85), "cmyk": encoded(cmyk(), quality=85),
    }

    def cjpeg(name: str, *options: str) -> None:
        files[name] = subprocess.run(["cjpeg", "-quality", "85", *options, str(source)], check=True,
                                     capture_output=True).stdout

    scans = {"separate": "0;\n1;\n2;\n", "luma-apart": "0;\n1,2;\n"}
    for name, text in scans.items():
        (out / name).write_text(text)
    for name, factors in {"440": "1x2", "411": "4x1", "410": "4x2", "chroma-larger": "1x1,2x2,2x2",
                          "all-different": "2x2,2x1,1x2", "factor-3": "3x2,1x1,3x1"}.items():
        cjpeg(name, "-sample", factors)
    for name, factors in {"separate-420": "2x2", "separate-440": "1x2", "separate-444": "1x1"}.items():
        cjpeg(name, "-sample", factors, "-scans", str(out / "separate"))
    cjpeg("luma-apart-420", "-sample", "2x2", "-scans", str(out / "luma-apart"))
    cjpeg("arithmetic", "-arithmetic")
    cjpeg("arithmetic-progressive", "-arithmetic", "-progressive")
    cjpeg("gray-factors", "-grayscale", "-sample", "2x2")

    standard = encoded(SMALL, subsampling=1, quality=75)
    files["no-huffman-tables"] = without(standard, 0xC4)
    files["avi1"] = b"\xff\xd8\xff\xe0\x00\x10AVI1" + bytes(10) + without(standard, 0xC4, 0xE0)[2:]
    files["no-jfif"] = without(standard, 0xE0)
    files["bytes-between"] = standard.replace(b"\xff\xdb", b"\x00\x11\x22\xff\xdb", 1)
    files["bytes-behind"] = standard + b"MPO and others put more behind the end." + standard
    ycck = bytearray(files["cmyk"])
    ycck[ycck.index(b"Adobe") + 11] = 2
    files["ycck"] = bytes(ycck)
    files["cmyk-no-adobe"] = without(files["cmyk"], 0xEE)
    rgb = bytearray(encoded(SMALL, subsampling=0, quality=85))
    frame, scan = rgb.index(b"\xff\xc0"), rgb.index(b"\xff\xda")
    for i, name in enumerate(b"RGB"):
        rgb[frame + 10 + 3 * i] = rgb[scan + 5 + 2 * i] = name
    files["named-rgb"] = without(bytes(rgb), 0xE0)
    for name, data in files.items():
        path = out / f"{name}.jpg"
        path.write_bytes(data)
        golden(path)
    # Pillow wants the end of the file; all pixels are there.
    path = out / "no-end.jpg"
    path.write_bytes(standard[:-2])
    golden(path, Image.open(io.BytesIO(standard)).convert("RGB"))
    for name in ["source.ppm", *scans]:
        (out / name).unlink()

    out = folder("02-jpeg-damaged", "Each is refused with exit 4, and named: nothing made up stands for data that are "
                 "not there. cut-*: \"cut off\"; 12-bit: \"precision 12\"; lossless: \"process\"; claims-more: data for "
                 "half of the rows; corrupt: a code that there is not; two-components: a component without a scan.\n")
    progressive = files["progressive"]
    bad = {
        "cut-half": standard[: (standard.index(b"\xff\xda") + len(standard)) // 2],
        "cut-header": standard[: len(standard) // 3], "cut-10": standard[:-10],
        "cut-progressive": progressive[: (progressive.index(b"\xff\xda") + len(progressive)) // 2],
        "cut-progressive-end": progressive[:-10],
        "cut-last-scan": progressive[: progressive.rindex(b"\xff\xda")],
        "cut-restart": files["restart"][: files["restart"].index(b"\xff\xd3")],
    }
    def patched(at: int, new: bytes, data: bytes = standard) -> bytes:
        return data[:at] + new + data[at + len(new):]
    frame = standard.index(b"\xff\xc0")
    bad["12-bit"] = patched(frame + 4, b"\x0c")
    bad["lossless"] = patched(frame + 1, b"\xc3")
    bad["claims-more"] = patched(frame + 5, struct.pack(">H", 2 * SMALL.height))
    bad["no-height"] = patched(frame + 5, b"\0\0")
    bad["corrupt"] = patched(standard.index(b"\xff\xda") + 100, b"\xff\x00" * 20)
    separate = files["separate-444"]
    last = separate.rindex(b"\xff\xda")
    bad["two-components"] = separate[:last] + b"\xff\xd9"
    for name, data in bad.items():
        (out / f"{name}.jpg").write_bytes(data)


def exif(orientation: int) -> bytes:
    data = Image.Exif()
    data[0x0112] = orientation
    return data.tobytes()


def orientations() -> None:
    out = folder("03-exif-orientation", "Every picture is seen as seen.png (turned and mirrored as ImageOps.exif_transpose "
                 "does), JSON says \"orientation\" for all but 1, and --no-exif leaves the pixels as they lie.\n")
    seen = SCENE.resize((112, 74), Image.Resampling.LANCZOS).crop((20, 10, 46, 24))
    seen.save(out / "seen.png", optimize=True)
    back = {1: None, 2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180,
            4: Image.Transpose.FLIP_TOP_BOTTOM, 5: Image.Transpose.TRANSPOSE, 6: Image.Transpose.ROTATE_90,
            7: Image.Transpose.TRANSVERSE, 8: Image.Transpose.ROTATE_270}
    for orientation, transpose in back.items():
        lies = seen if transpose is None else seen.transpose(transpose)
        assert ImageOps.exif_transpose(lies) is not None
        lies.save(out / f"{orientation}.png", exif=exif(orientation), optimize=True)
        # PNG lets the pixels be compared; the others, one of each.
        if orientation == 6:
            lies.save(out / "6.webp", lossless=True, exif=exif(6))
            lies.save(out / "6.tiff", tiffinfo={0x0112: 6})
            lies.save(out / "6.jpg", exif=exif(6), quality=90)
            golden(out / "6.jpg", ImageOps.exif_transpose(Image.open(out / "6.jpg")).convert("RGB"))
            (out / "6-big-endian.jpg").write_bytes(
                encoded(lies, quality=90, exif=b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0"))
            golden(out / "6-big-endian.jpg", ImageOps.exif_transpose(Image.open(out / "6-big-endian.jpg")).convert("RGB"))


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def formats() -> None:
    out = folder("04-formats", "Each picture has the pixels of the .png beside it, to the last bit but for lossy WebP "
                 "(4 levels at most: image-webp rounds colours otherwise than libwebp). Of animations the first frame "
                 "is taken, of TIFFs the first page, and a line on standard error says so.\n")
    gray, palette = SMALL.convert("L"), SMALL.quantize(16)
    alpha = SMALL.copy()
    alpha.putalpha(Image.linear_gradient("L").resize(SMALL.size))
    two = [SMALL, SMALL.transpose(Image.Transpose.FLIP_LEFT_RIGHT)]
    saves: dict[str, tuple[Image.Image, dict]] = {
        "lossy.webp": (SMALL, {"quality": 80}), "lossless.webp": (SMALL, {"lossless": True}),
        "alpha.webp": (alpha, {"lossless": True, "exact": True}), "lossy-alpha.webp": (alpha, {"quality": 80, "exact": True}),
        "animated.webp": (two[0], {"save_all": True, "append_images": two[1:], "lossless": True, "duration": 40}),
        "rgb.bmp": (SMALL, {}), "gray.bmp": (gray, {}), "palette.bmp": (palette, {}),
        "bits.bmp": (SMALL.convert("1"), {}), "alpha.bmp": (alpha, {}),
        "rgb.tiff": (SMALL, {}), "gray.tiff": (gray, {}), "palette.tiff": (palette, {}),
        "bits.tiff": (SMALL.convert("1"), {}), "alpha.tiff": (alpha, {}), "cmyk.tiff": (cmyk(), {}),
        "lzw.tiff": (SMALL, {"compression": "tiff_lzw"}), "deflate.tiff": (SMALL, {"compression": "tiff_adobe_deflate"}),
        "packbits.tiff": (SMALL, {"compression": "packbits"}),
        "fax4.tiff": (SMALL.convert("1"), {"compression": "group4"}),
        "pages.tiff": (two[0], {"save_all": True, "append_images": two[1:]}),
        "palette.gif": (SMALL.quantize(64), {}), "gray.gif": (gray, {}),
        "animated.gif": (two[0].quantize(32), {"save_all": True, "append_images": [two[1].quantize(32)]}),
        "transparent.gif": (palette, {"transparency": 3}),
        "rgb.ppm": (SMALL, {}), "gray.pgm": (gray, {}), "bits.pbm": (SMALL.convert("1"), {}),
        "palette.png": (palette, {"bits": 4}), "palette-alpha.png": (palette, {"transparency": bytes(range(0, 160, 10))}),
        "gray.png": (gray, {}), "gray-alpha.png": (alpha.convert("LA"), {}), "alpha.png": (alpha, {}),
        "bits.png": (SMALL.convert("1"), {}), "transparent-gray.png": (gray, {"transparency": 90}),
        "animated.png": (two[0], {"save_all": True, "append_images": two[1:]}),
    }
    for name, (image, options) in saves.items():
        image.save(out / name, **options)
        golden(out / name)
    # Text, and fewer levels than 256.
    levels = np.array(gray) // 17
    rows = "\n".join(" ".join(map(str, row)) for row in levels)
    (out / "text.pgm").write_text(f"P2\n# levels\n{gray.width} {gray.height}\n15\n{rows}\n")
    golden(out / "text.pgm")
    # Pillow writes neither 2 bits nor interlaced PNGs.
    def png(depth: int, interlaced: bool, body: bytes) -> bytes:
        header = struct.pack(">IIBBBBB", gray.width, gray.height, depth, 0, 0, 0, interlaced)
        return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(body)) + chunk(b"IEND", b"")
    quarters = np.array(gray) >> 6
    padded = np.pad(quarters, ((0, 0), (0, -gray.width % 4)))
    packed = sum(padded[:, i::4] << (6 - 2 * i) for i in range(4)).astype(np.uint8)
    (out / "gray-2-bits.png").write_bytes(png(2, False, b"".join(b"\0" + row.tobytes() for row in packed)))
    golden(out / "gray-2-bits.png")
    passes = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)]
    body = b"".join(b"\0" + row.tobytes() for x, y, dx, dy in passes for row in np.array(gray)[y::dy, x::dx])
    (out / "interlaced.png").write_bytes(png(8, True, body))
    golden(out / "interlaced.png")
    whole = encoded(SMALL, "PNG")
    for name, data in {"no-iend.png": whole[:-12], "half-iend.png": whole[:-6],
                       "half-text.png": whole[:-12] + chunk(b"tEXt", b"Comment\0cut")[:-7]}.items():
        (out / name).write_bytes(data)
        golden(out / name, SMALL)
    # A frame that does not cover the picture.
    small = Image.new("P", (3, 2), 1)
    small.putpalette([10, 20, 30, 200, 100, 50])
    data = bytearray(encoded(small, "GIF"))
    data[6:10] = struct.pack("<HH", 6, 5)
    at = data.index(b",")
    data[at + 1 : at + 5] = struct.pack("<HH", 2, 1)
    (out / "part.gif").write_bytes(data)
    golden(out / "part.gif")

    out = folder("05-high-range", "Of 16 bits the upper 8 are taken, floating-point samples of 0 to 1 are scaled, and a "
                 "line on standard error says so; other samples are refused by name.\n")
    wide = np.array(gray).astype(np.uint16) * 256 + 77
    def u16(name: str, values: np.ndarray) -> None:
        Image.fromarray(values).save(out / name)
        golden(out / name, gray.convert("RGB"))
    u16("gray16.png", wide)
    u16("gray16.tiff", wide)
    (out / "gray16.pgm").write_bytes(b"P5 %d %d 65535\n" % gray.size + wide.astype(">u2").tobytes())
    golden(out / "gray16.pgm", gray.convert("RGB"))
    color = np.array(SMALL).astype(">u2") * 256 + 130
    header = struct.pack(">IIBBBBB", SMALL.width, SMALL.height, 16, 2, 0, 0, 0)
    body = zlib.compress(b"".join(b"\0" + row.tobytes() for row in color))
    (out / "rgb16.png").write_bytes(
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", body) + chunk(b"IEND", b""))
    golden(out / "rgb16.png")
    unit = np.array(gray).astype(np.float32) / 255
    Image.fromarray(unit).save(out / "unit.tiff")
    golden(out / "unit.tiff", gray.convert("RGB"))
    Image.fromarray(unit * 1000).save(out / "thousand.tiff")
    Image.fromarray(np.array(gray).astype(np.int32)).save(out / "int32.tiff")


def headers() -> None:
    out = folder("06-gigantic", "Small files that claim 65,535 x 65,535 or 30,000 x 8,000 pixels, or hold that many: exit "
                 "4, in less than 256 MB.\n")
    huge, large = (65535, 65535), (30000, 8000)
    jpeg = encoded(SMALL)
    progressive = encoded(SMALL, progressive=True)
    def sof(data: bytes, marker: bytes, size: tuple[int, int]) -> bytes:
        at = data.index(marker) + 5
        return data[:at] + struct.pack(">HH", size[1], size[0]) + data[at + 4 :]
    for name, size in {"huge": huge, "large": large}.items():
        width, height = size
        (out / f"{name}.jpg").write_bytes(sof(jpeg, b"\xff\xc0", size))
        (out / f"{name}-progressive.jpg").write_bytes(sof(progressive, b"\xff\xc2", size))
        header = struct.pack(">IIBBBBB", width, height, 8, 6, 0, 0, 0)
        (out / f"{name}.png").write_bytes(
            b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b""))
        (out / f"{name}.ppm").write_bytes(b"P6 %d %d 255\n....." % size)
        (out / f"{name}.pbm").write_bytes(b"P4 %d %d\n....." % size)
        gif = bytearray(encoded(Image.new("P", (1, 1)), "GIF"))
        gif[6:10] = struct.pack("<HH", width, height)
        (out / f"{name}.gif").write_bytes(gif)
        bmp = bytearray(encoded(Image.new("RGB", (1, 1)), "BMP"))
        bmp[18:26] = struct.pack("<ii", width, height)
        (out / f"{name}.bmp").write_bytes(bmp)
        tiff = io.BytesIO()
        Image.new("RGB", (1, 1)).save(tiff, "TIFF", tiffinfo={})
        data = bytearray(tiff.getvalue())
        at = struct.unpack("<I", data[4:8])[0]
        for i in range(struct.unpack("<H", data[at : at + 2])[0]):
            entry = at + 2 + 12 * i
            tag = struct.unpack("<H", data[entry : entry + 2])[0]
            if tag in (256, 257, 278):
                value = width if tag == 256 else height
                data[entry + 2 : entry + 12] = struct.pack("<HII", 4, 1, value)
        (out / f"{name}.tiff").write_bytes(data)
    # WebP has 14 bits for a side.
    webp = bytearray(encoded(SMALL, "WEBP", lossless=True))
    at = webp.index(b"\x2f", 20)
    webp[at + 1 : at + 5] = struct.pack("<I", 16382 | 16382 << 14)
    (out / "large-lossless.webp").write_bytes(webp)
    webp = bytearray(encoded(SMALL, "WEBP"))
    at = webp.index(b"\x9d\x01\x2a")
    webp[at + 3 : at + 7] = struct.pack("<HH", 16383, 16383)
    (out / "large.webp").write_bytes(webp)
    # A walk over 16 million pixels for each of a thousand scans.
    data = sof(progressive, b"\xff\xc2", (4096, 4096))
    last = data[data.rindex(b"\xff\xda") : -2]
    (out / "scans.jpg").write_bytes(data[:-2] + last * 1000 + b"\xff\xd9")


def videos() -> None:
    out = folder("07-videos", "Frames of a directory of JPEGs without Huffman tables and in capitals, of a Motion JPEG "
                 "stream, of 10-bit Y4M and of an animated WebP are tracked; what is no frame is named once.\n")
    frames = []
    for i in range(3):
        frame = Image.new("RGB", (48, 40), (40, 60, 80))
        frame.paste((230, 60, 40), (8 + 3 * i, 10, 24 + 3 * i, 26))
        frames.append(frame)
    jpegs = [encoded(frame, quality=90, subsampling=0) for frame in frames]
    (out / "clip.mjpeg").write_bytes(b"".join(jpegs))
    directory = out / "frames"
    directory.mkdir(exist_ok=True)
    for i, data in enumerate(jpegs):
        (directory / f"FRAME{i}.JPG").write_bytes(without(data, 0xC4))
    (directory / "notes.txt").write_text("not a frame\n")
    (directory / "Thumbs.db").write_bytes(b"\xd0\xcf")
    frames[0].save(out / "clip.webp", save_all=True, append_images=frames[1:], duration=40, lossless=True)
    frames[0].save(out / "CLIP.GIF", save_all=True, append_images=frames[1:], duration=40)
    body = b""
    for frame in frames:
        ycc = np.array(frame.convert("YCbCr")).astype(np.float64)
        luma = np.round((16 + ycc[..., 0] * 219 / 255) * 4).astype("<u2")
        chroma = [np.round((128 + (ycc[::2, ::2, i] - 128) * 224 / 255) * 4).astype("<u2") for i in (1, 2)]
        body += b"FRAME\n" + luma.tobytes() + chroma[0].tobytes() + chroma[1].tobytes()
    (out / "CLIP10.Y4M").write_bytes(b"YUV4MPEG2 W48 H40 F25:1 Ip A1:1 C420p10 XYSCSS=420P10\n" + body)


def main() -> None:
    jpegs()
    orientations()
    formats()
    headers()
    videos()


if __name__ == "__main__":
    main()
