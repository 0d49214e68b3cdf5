"""Pictures of every layout are read as they are, without a copy where rows are whole."""

import io
import sys

import numpy as np
import pytest
from PIL import Image

import vitrum
from vitrum._image import View


@pytest.fixture(scope="module")
def expected(clip, photo):
    return clip.encode_images([photo])


def padded(photo):
    wide = np.full((photo.shape[0], photo.shape[1] + 5, 3), 77, np.uint8)
    wide[:, : photo.shape[1]] = photo
    return wide[:, : photo.shape[1]]


LAYOUTS = {
    "packed": (lambda a: a, True),
    "rows with gaps": (padded, True),
    "every second row of a taller array": (lambda a: np.repeat(a, 2, axis=0)[::2], True),
    "Fortran order": (np.asfortranarray, False),
    "rows from below": (lambda a: a[::-1].copy()[::-1], False),
    "columns from the right": (lambda a: a[:, ::-1].copy()[:, ::-1], False),
    "channels from behind": (lambda a: a[..., ::-1].copy()[..., ::-1], False),
    "every second column": (lambda a: np.repeat(a, 2, axis=1)[:, ::2], False),
    "channels first in memory": (lambda a: np.ascontiguousarray(a.transpose(2, 0, 1)).transpose(1, 2, 0), False),
    "not aligned": (lambda a: np.frombuffer(b"x" + a.tobytes(), np.uint8)[1:].reshape(a.shape), True),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_any_strides(clip, photo, expected, layout):
    change, is_read_in_place = LAYOUTS[layout]
    array = change(photo)
    assert np.array_equal(array, photo)
    assert np.array_equal(clip.encode_images([array]), expected)
    address = int(vitrum._ffi.ffi.cast("uintptr_t", View(array, "rgb", "image").image.data))
    assert (address == array.__array_interface__["data"][0]) == is_read_in_place


def test_dimensions_of_length_one(clip):
    for shape in [(1, 40, 3), (40, 1, 3), (1, 1, 3), (1, 1), (7, 1, 1), (1, 9, 4)]:
        array = np.arange(np.prod(shape), dtype=np.uint8).reshape(shape)
        odd = np.lib.stride_tricks.as_strided(
            array, shape, [7777 if n == 1 else stride for n, stride in zip(shape, array.strides)]
        )
        assert np.array_equal(clip.encode_images([odd]), clip.encode_images([array])), shape


def test_rows_that_repeat(clip, photo):
    row = np.broadcast_to(photo[:1], photo.shape)
    assert row.strides[0] == 0
    assert np.array_equal(clip.encode_images([row]), clip.encode_images([row.copy()]))


def test_orders_of_channels(clip, photo, expected):
    bgr = photo[..., ::-1].copy()
    alpha = np.full((*photo.shape[:2], 1), 99, np.uint8)
    rgba, bgra = np.concatenate([photo, alpha], 2), np.concatenate([bgr, alpha], 2)
    for array, formats in ((bgr, ["bgr"]), (rgba, ["rgb", "rgba"]), (bgra, ["bgr", "bgra"])):
        for format in formats:
            assert np.array_equal(clip.encode_images([array], format=format), expected)
    assert not np.array_equal(clip.encode_images([bgr]), expected)
    gray = photo[..., 1]
    three = clip.encode_images([np.stack([gray] * 3, axis=-1)])
    for array in (gray, gray[..., None], gray.copy()):
        for format in ("rgb", "bgr", "gray"):
            assert np.array_equal(clip.encode_images([array], format=format), three)
    with pytest.raises(ValueError, match="'gray' does not go with 3 channels"):
        clip.encode_images([photo], format="gray")
    with pytest.raises(ValueError, match="format: .* not 'hsv'"):
        clip.encode_images([photo], format="hsv")


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (lambda a: a.astype(np.float32) / 255, TypeError, r"images\[0\]: .* not float32; .*\* 255"),
        (lambda a: a.astype(np.uint16), TypeError, ">> 8"),
        (lambda a: a.astype(np.int64), TypeError, "astype"),
        (lambda a: a > 9, TypeError, r"numpy.uint8\(255\)"),
        (lambda a: a.transpose(2, 0, 1), ValueError, "channels come last"),
        (lambda a: a[..., :2], ValueError, r"\[h, w, 3\]"),
        (lambda a: a[0, 0], ValueError, r"\[h, w\]"),
        (lambda a: a[None], ValueError, r"\[h, w\]"),
        (lambda a: a[:0], ValueError, "without pixels"),
        (lambda a: a[:, :0], ValueError, "without pixels"),
        (lambda a: a.tobytes(), TypeError, "BytesIO"),
        (lambda a: None, TypeError, "NoneType"),
        (lambda a: a[:2, :2].tolist(), TypeError, "list"),
    ],
)
def test_what_is_no_picture_is_refused_in_words(clip, photo, change, error, message):
    with pytest.raises(error, match=message):
        clip.encode_images([change(photo)])


def test_objects_that_offer_an_array(clip, photo, expected):
    class Interface:
        __array_interface__ = photo.__array_interface__

    class Array:
        def __array__(self, dtype=None, copy=None):
            return photo

    for it in (Interface(), Array(), memoryview(photo).obj):
        assert np.array_equal(clip.encode_images([it]), expected)
        assert np.array_equal(clip.encode_images(it), expected)


def test_many_pictures_or_one(clip, photo, expected, demo):
    path = demo / "images/octopus-3d.png"
    both = clip.encode_images([photo, path])
    assert both.shape == (2, clip.embed_dim) and both.dtype == np.float32
    assert np.array_equal(both[:1], expected)
    assert np.array_equal(both[1:], clip.encode_images(str(path)))
    assert np.array_equal(clip.encode_images(photo), expected)
    assert np.array_equal(clip.encode_images(np.stack([photo, photo[::-1]]))[:1], expected)
    assert np.array_equal(clip.encode_images(Image.fromarray(photo)), expected)
    # More than go to the library at once, from an iterator.
    many = clip.encode_images(photo[i:, i:] for i in range(40))
    assert many.shape == (40, clip.embed_dim)
    for i in (0, 3, 4, 27, 28, 39):
        assert np.array_equal(many[i : i + 1], clip.encode_images([photo[i:, i:]]))
    with pytest.raises(ValueError, match="images: there are none"):
        clip.encode_images([])


def test_modes_of_pil(clip, photo, expected):
    image = Image.fromarray(photo)
    small = image.resize((32, 32))
    for mode in ("RGB", "RGBA", "L", "LA", "1", "P", "CMYK", "YCbCr", "HSV"):
        converted = small.convert(mode)
        rgb = np.asarray(converted.convert("RGB"))
        assert np.array_equal(clip.encode_images([converted]), clip.encode_images([rgb])), mode
    assert np.array_equal(clip.encode_images([image]), expected)
    deep = np.asarray(small.convert("L")).astype(np.uint16) * 256 + 255
    upper = clip.encode_images([(deep >> 8).astype(np.uint8)])
    file = io.BytesIO()
    Image.fromarray(deep).save(file, "png")
    for it in (Image.fromarray(deep), Image.open(file)):
        assert np.array_equal(clip.encode_images([it]), upper), it.mode
    for mode in ("F", "I"):
        with pytest.raises(TypeError, match=f"mode '{mode}'"):
            clip.encode_images([small.convert("L").convert(mode)])


def test_palettes_with_transparency(clip, tmp_path):
    image = Image.new("P", (16, 16))
    image.putpalette([200, 10, 20] + [5, 60, 250] * 255)
    image.paste(1, (4, 4, 12, 12))
    image.save(tmp_path / "p.png", transparency=0)
    rgb = np.asarray(Image.open(tmp_path / "p.png").convert("RGB"))
    assert np.array_equal(clip.encode_images(tmp_path / "p.png"), clip.encode_images(rgb))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_pictures_are_turned_as_exif_says(clip, photo, tmp_path, orientation):
    upright = photo[:300]
    turned = {
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.transpose(1, 0, 2),
        6: upright.transpose(1, 0, 2)[::-1],
        7: upright.transpose(1, 0, 2)[::-1, ::-1],
        8: upright.transpose(1, 0, 2)[:, ::-1],
    }[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / "turned.png"
    Image.fromarray(np.ascontiguousarray(turned)).save(path, exif=exif)
    expected = clip.encode_images([upright])
    for it in (path, str(path), Image.open(path)):
        assert np.array_equal(clip.encode_images([it]), expected)


def test_files_that_are_not_there_or_no_pictures(clip, tmp_path):
    with pytest.raises(FileNotFoundError):
        clip.encode_images([tmp_path / "none.png"])
    (tmp_path / "text.png").write_text("no picture")
    with pytest.raises(OSError, match="identify"):
        clip.encode_images([tmp_path / "text.png"])


def test_paths_without_pillow(clip, monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(ImportError, match="pip install pillow"):
        clip.encode_images([tmp_path / "a.png"])


def test_nv12(clip):
    # Grey of luma 16 + 219 x has the value 255 x in RGB.
    luma = np.full((9, 11), 126, np.uint8)
    chroma = np.full((5, 6, 2), 128, np.uint8)
    grey = np.full((9, 11), 128, np.uint8)
    assert np.array_equal(clip.encode_images([vitrum.Nv12(luma, chroma)]), clip.encode_images([grey]))
    full = vitrum.Nv12(grey[:, ::-1], chroma[::-1], matrix="bt709", full_range=True)
    assert np.array_equal(clip.encode_images(full), clip.encode_images([grey]))
    with pytest.raises(ValueError, match=r"chroma: shape \(5, 6, 2\)"):
        vitrum.Nv12(luma, chroma[:4])
    with pytest.raises(TypeError, match="luma"):
        vitrum.Nv12(luma.astype(float), chroma)
    with pytest.raises(ValueError, match="matrix"):
        vitrum.Nv12(luma, chroma, matrix="bt2020")
