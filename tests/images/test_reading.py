"""Read photos of every format, mode and orientation, and refuse damaged ones."""

import io
import os
import pickle
import re
import struct
import subprocess
import sys
import tempfile
import threading
import time
import warnings
import zlib
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import ExifTags, Image, ImageFile

from delfjax.images import folder as folders
from delfjax.images import reading
from delfjax.images.folder import PhotoFolder, iter_photos, list_files, scan
from delfjax.images.reading import PhotoError, original_size, read_image

HEIGHT, WIDTH = 30, 44
LOSSLESS = ("png", "tif", "bmp", "ppm")
RAMP = np.linspace(0, 1, HEIGHT * WIDTH).reshape(HEIGHT, WIDTH)
GRAY = np.rint(255 * RAMP).astype(np.uint8)
# How to turn a stored photo upright, by its EXIF orientation. EXIF 2.32, tag 0x0112.
UPRIGHT = {
    1: lambda x: x,
    2: lambda x: x[:, ::-1],
    3: lambda x: x[::-1, ::-1],
    4: lambda x: x[::-1],
    5: lambda x: x.swapaxes(0, 1),
    6: lambda x: np.rot90(x, -1),
    7: lambda x: np.rot90(x, 2).swapaxes(0, 1),
    8: lambda x: np.rot90(x),
}


@pytest.fixture
def colors():
    """A smooth photo, so that JPEG and chroma subsampling change little."""
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    channels = 255 * y / HEIGHT, 255 * x / WIDTH, 255 - 120 * y / HEIGHT - 120 * x / WIDTH
    return np.stack(channels, axis=-1).astype(np.uint8)


def save(path, pixels, mode=None, **options):
    image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    image.convert(mode or image.mode).save(path, **options)
    return path


def mode_of(path):
    with Image.open(path) as image:
        return image.mode


def exif(orientation):
    tags = Image.Exif()
    tags[ExifTags.Base.Orientation] = orientation
    return tags


def png(width, height, *chunks, depth=8, color_type=2):
    """The bytes of a PNG, by default RGB, with the given header and chunks."""
    header = b"IHDR", struct.pack(">IIBBBBB", width, height, depth, color_type, 0, 0, 0)
    parts = [
        struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
        for name, body in (header, *chunks)
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def assert_same(photo, expected):
    assert photo.dtype == np.uint8
    np.testing.assert_array_equal(photo, expected)


def assert_close(photo, expected, tolerance):
    assert photo.dtype == np.uint8
    assert photo.shape == expected.shape
    assert np.abs(photo.astype(float) - expected).max() <= tolerance


def gray_rgb(gray):
    return np.repeat(gray[..., None], 3, axis=-1)


# --- formats and modes


@pytest.mark.parametrize("suffix", LOSSLESS)
def test_lossless_formats_return_their_pixels(tmp_path, colors, suffix):
    path = save(tmp_path / f"photo.{suffix}", colors)
    assert_same(read_image(path), colors)
    assert_same(read_image(str(path)), colors)
    assert original_size(path) == (HEIGHT, WIDTH)


@pytest.mark.parametrize("suffix", ["jpg", "webp", "jp2", "avif"])
def test_lossy_formats_are_close(tmp_path, colors, suffix):
    if suffix == "avif" and "AVIF" not in Image.SAVE:
        pytest.skip("this Pillow writes no AVIF")
    assert_close(read_image(save(tmp_path / f"photo.{suffix}", colors, quality=95)), colors, 12)


def test_jpeg_equals_the_decoding_of_pillow(tmp_path, colors):
    path = save(tmp_path / "photo.jpg", colors, quality=60)
    with Image.open(path) as image:
        assert_same(read_image(path), np.asarray(image))


def test_format_is_detected_from_the_content(tmp_path, colors):
    assert_same(read_image(save(tmp_path / "photo.jpg", colors, format="PNG")), colors)
    assert_same(read_image(save(tmp_path / "photo", colors, format="PNG")), colors)


def test_photo_is_writable(tmp_path, colors):
    read_image(save(tmp_path / "photo.png", colors))[0, 0] = 1


def test_gray_becomes_three_equal_channels(tmp_path):
    assert_same(read_image(save(tmp_path / "gray.png", GRAY)), gray_rgb(GRAY))


def test_one_bit_becomes_black_and_white(tmp_path):
    bits = GRAY > 100
    path = save(tmp_path / "bits.png", Image.fromarray(bits))
    assert mode_of(path) == "1"
    assert_same(read_image(path), gray_rgb(np.where(bits, 255, 0)))


@pytest.mark.parametrize("suffix", ["png", "tif", "webp"])
def test_alpha_is_blended_over_white(tmp_path, colors, suffix):
    alpha = GRAY[::-1]
    rgba = np.dstack([colors, alpha])
    path = save(
        tmp_path / f"alpha.{suffix}", rgba, **({"lossless": True} if suffix == "webp" else {})
    )
    opacity = alpha[..., None] / 255
    assert_close(read_image(path), opacity * colors + (1 - opacity) * 255, 1)


def test_opaque_alpha_changes_nothing(tmp_path, colors):
    rgba = np.dstack([colors, np.full((HEIGHT, WIDTH), 255, np.uint8)])
    assert_same(read_image(save(tmp_path / "opaque.png", rgba)), colors)


def test_gray_alpha_is_blended_over_white(tmp_path):
    alpha = np.where(GRAY > 100, 255, 0).astype(np.uint8)
    image = Image.merge("LA", [Image.fromarray(GRAY), Image.fromarray(alpha)])
    path = save(tmp_path / "la.png", image)
    assert mode_of(path) == "LA"
    assert_same(read_image(path), gray_rgb(np.where(alpha == 255, GRAY, 255)))


def test_premultiplied_alpha_of_tiff(tmp_path):
    image = Image.merge("LA", [Image.new("L", (WIDTH, HEIGHT), level) for level in (90, 128)])
    path = save(tmp_path / "la.tif", image)
    # The TIFF tag ExtraSamples: 2 is plain alpha, 1 is premultiplied alpha.
    tag = struct.pack("<HHI", 338, 3, 1)
    whole = path.read_bytes()
    assert whole.count(tag + b"\2") == 1
    path.write_bytes(whole.replace(tag + b"\2", tag + b"\1"))
    assert mode_of(path) == "La"
    assert_close(read_image(path), np.full((HEIGHT, WIDTH, 3), 90 + 255 - 128), 1)


def test_palette_with_alpha_of_tiff(tmp_path):
    gray = Image.fromarray(np.full((HEIGHT, WIDTH), 90, np.uint8))
    path = save(tmp_path / "pa.tif", gray.convert("LA"), "PA")
    assert mode_of(path) == "PA"
    assert_same(read_image(path), np.full((HEIGHT, WIDTH, 3), 90))


def test_palette(tmp_path):
    image = Image.fromarray(GRAY // 64)
    image.putpalette([255, 0, 0, 0, 255, 0, 0, 0, 255, 9, 9, 9])
    expected = np.array([[255, 0, 0], [0, 255, 0], [0, 0, 255], [9, 9, 9]])[GRAY // 64]
    for suffix in ("png", "gif", "tif", "bmp"):
        assert_same(read_image(save(tmp_path / f"palette.{suffix}", image)), expected)


@pytest.mark.parametrize("transparency", [1, b"\xff\x00\xff\xff"])
def test_transparent_palette_entry_becomes_white(tmp_path, transparency):
    image = Image.fromarray(GRAY // 64)
    image.putpalette([255, 0, 0, 0, 255, 0, 0, 0, 255, 9, 9, 9])
    expected = np.array([[255, 0, 0], [255, 255, 255], [0, 0, 255], [9, 9, 9]])[GRAY // 64]
    for suffix in ("png", "gif") if isinstance(transparency, int) else ("png",):
        path = save(tmp_path / f"palette.{suffix}", image, transparency=transparency)
        assert_same(read_image(path), expected)


@pytest.mark.parametrize("key", [77, (10, 20, 30)])
def test_transparent_color_key_becomes_white(tmp_path, key):
    pixels = np.full((HEIGHT, WIDTH, *np.shape(key)), key, np.uint8)
    pixels[:9] = 5
    photo = read_image(save(tmp_path / "key.png", pixels, transparency=key))
    assert (photo[:9] == 5).all()
    assert (photo[9:] == 255).all()


@pytest.mark.parametrize("suffix", ["jpg", "tif"])
def test_cmyk(tmp_path, colors, suffix):
    path = save(tmp_path / f"cmyk.{suffix}", colors, "CMYK", quality=95)
    assert mode_of(path) == "CMYK"
    assert_close(read_image(path), colors, 12)


@pytest.mark.parametrize(("mode", "tolerance"), [("YCbCr", 3), ("LAB", 15)])
def test_other_color_spaces(tmp_path, colors, mode, tolerance):
    path = save(tmp_path / "space.tif", colors // 2 + 60, mode)
    assert mode_of(path) == mode
    assert_close(read_image(path), colors // 2 + 60, tolerance)


# --- 16-bit and float grays


@pytest.mark.parametrize(
    ("suffix", "dtype", "white"),
    [
        ("png", "<u2", 65535),
        ("tif", "<u2", 65535),
        ("pgm", "<u2", 65535),
        ("jp2", "<u2", 65535),
        ("tif", "<i4", 65535),
        ("tif", "<f4", 65535),
        ("tif", "<f4", 255),
        ("tif", "<f4", 1),
    ],
)
def test_deep_grays_are_scaled_to_8_bits(tmp_path, suffix, dtype, white):
    levels = (white * RAMP).astype(dtype)
    path = save(tmp_path / f"deep.{suffix}", levels)
    assert mode_of(path) in ("I", "F", "I;16")
    assert_same(read_image(path), gray_rgb(np.rint(levels / white * 255).astype(np.uint8)))


def test_big_endian_tiff(tmp_path):
    levels = np.rint(65535 * RAMP).astype(">u2")
    tags = {256: WIDTH, 257: HEIGHT, 258: 16, 259: 1, 262: 1, 273: 512, 277: 1, 279: levels.nbytes}
    entries = b"".join(struct.pack(">HHII", tag, 4, 1, value) for tag, value in tags.items())
    head = struct.pack(">2sHIH", b"MM", 42, 8, len(tags)) + entries + bytes(4)
    path = tmp_path / "big.tif"
    path.write_bytes(head.ljust(512, b"\0") + levels.tobytes())
    assert mode_of(path) == "I;16B"
    assert_same(read_image(path), gray_rgb(np.rint(RAMP * 255).astype(np.uint8)))


def test_dark_16_bit_photo_stays_dark(tmp_path):
    path = save(tmp_path / "dark.png", np.full((HEIGHT, WIDTH), 514, np.uint16))
    assert_same(read_image(path), np.full((HEIGHT, WIDTH, 3), 2))


@pytest.mark.parametrize(
    "levels", [np.int32([[-1, 5]]), np.int32([[0, 65536]]), np.float32([[0, np.nan]])]
)
def test_gray_levels_out_of_range_are_refused(tmp_path, levels):
    path = save(tmp_path / "range.tif", np.tile(levels, (HEIGHT, WIDTH)))
    with pytest.raises(PhotoError, match=r"gray levels from .* expected 0 to 65535"):
        read_image(path)


def test_deep_rgb_png(tmp_path, colors):
    rows = b"".join(b"\0" + (257 * row.astype(">u2")).tobytes() for row in colors)
    path = tmp_path / "deep.png"
    path.write_bytes(png(WIDTH, HEIGHT, (b"IDAT", zlib.compress(rows)), (b"IEND", b""), depth=16))
    assert_same(read_image(path), colors)


# --- several frames


@pytest.mark.parametrize("suffix", ["gif", "webp", "png", "tif", "mpo"])
def test_animation_returns_its_first_frame(tmp_path, suffix):
    frames = [Image.new("RGB", (WIDTH, HEIGHT), color) for color in ("red", "lime", "blue")]
    options = {"lossless": True} if suffix == "webp" else {}
    path = tmp_path / f"frames.{suffix}"
    frames[0].save(path, save_all=True, append_images=frames[1:], **options)
    with Image.open(path) as image:
        assert image.n_frames == 3
    assert_close(read_image(path), np.full((HEIGHT, WIDTH, 3), (255, 0, 0)), 2)


# --- orientation


@pytest.mark.parametrize("orientation", UPRIGHT)
@pytest.mark.parametrize("suffix", ["png", "tif", "webp", "jpg", "mpo"])
def test_orientation(tmp_path, colors, suffix, orientation):
    options = {"webp": {"lossless": True}, "jpg": {"quality": 95}}.get(suffix, {})
    path = save(tmp_path / f"turned.{suffix}", colors, exif=exif(orientation), **options)
    upright = UPRIGHT[orientation](colors)
    assert_close(read_image(path), upright, 12 if suffix in ("jpg", "mpo") else 0)
    assert original_size(path) == read_image(path).shape[:2] == upright.shape[:2]


@pytest.mark.parametrize("orientation", [3, 6, 7])
def test_orientation_of_compressed_tiff(tmp_path, colors, orientation):
    options = {"exif": exif(orientation), "compression": "tiff_lzw"}
    path = save(tmp_path / "turned.tif", colors, **options)
    assert_same(read_image(path), UPRIGHT[orientation](colors))
    assert original_size(path) == UPRIGHT[orientation](colors).shape[:2]


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA", "I;16"])
def test_orientation_in_every_mode(tmp_path, mode):
    image = Image.fromarray(GRAY)
    image = image.convert("RGB").convert(mode) if mode == "P" else image.convert(mode)
    plain = read_image(save(tmp_path / "plain.png", image))
    turned = read_image(save(tmp_path / "turned.png", image, exif=exif(6)))
    assert_same(turned, UPRIGHT[6](plain))


def test_orientation_of_xmp(tmp_path, colors):
    xmp = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf tiff:Orientation="6"/></x:xmpmeta>'
    path = save(tmp_path / "xmp.webp", colors, lossless=True, xmp=xmp)
    assert_same(read_image(path), UPRIGHT[6](colors))


@pytest.mark.parametrize("orientation", [0, 9, 65535])
def test_unknown_orientation_is_ignored(tmp_path, colors, orientation):
    assert_same(read_image(save(tmp_path / "odd.png", colors, exif=exif(orientation))), colors)


@pytest.mark.parametrize("tags", [b"Exif\0\0", b"Exif\0\0nonsense" * 9, b"Exif\0\0MM\0*"])
def test_broken_exif_is_ignored(tmp_path, colors, tags):
    path = save(tmp_path / "odd.jpg", colors, quality=95, exif=tags)
    assert_close(read_image(path), colors, 12)
    assert original_size(path) == (HEIGHT, WIDTH)


# --- refused files


def assert_refused(path, *patterns, readers=(read_image, original_size)):
    """Check that the error names the file, what was expected, and a fix."""
    for read in readers:
        with pytest.raises(PhotoError) as caught:
            read(path)
        message = str(caught.value)
        assert message.startswith(f"{path} ")
        assert "; expected " in message
        assert ". Fix: " in message
        assert "\n" not in message
        for pattern in patterns:
            assert pattern in message


SUFFIXES = ("jpg", "png", "gif", "tif", "bmp", "webp", "ppm", "jp2")


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_truncated_file_is_refused(tmp_path, suffix, share):
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    path = save(tmp_path / f"whole.{suffix}", noise)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(share * len(whole))])
    assert_refused(path, "cannot be read", "copy the file again", readers=[read_image])


def test_damaged_file_is_refused(tmp_path, colors):
    path = save(tmp_path / "damaged.png", colors)
    whole = bytearray(path.read_bytes())
    whole[len(whole) // 2] ^= 255
    path.write_bytes(whole)
    assert_refused(path, "cannot be read", readers=[read_image])


STARTS = (b"", b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF89a", b"II*\0", b"MM\0*", b"BM", b"P6")


@settings(max_examples=30)
@given(start=st.sampled_from(STARTS), rest=st.binary(max_size=80))
def test_random_bytes_are_refused(tmp_path_factory, start, rest):
    path = tmp_path_factory.getbasetemp() / "random.jpg"
    path.write_bytes(start + rest)
    assert_refused(path)


@pytest.mark.parametrize(
    "text", ["# Photos\n\nOf a walk.\n", "P", "a" * 10_000, "%!PS-Adobe-3.0\n"]
)
def test_text_file_is_refused(tmp_path, text):
    path = tmp_path / "photo.jpg"
    path.write_text(text)
    assert_refused(path, "is not an image", "expected JPEG, PNG, ")


def test_empty_file_is_refused(tmp_path):
    path = tmp_path / "empty.jpg"
    path.touch()
    assert_refused(path, "is empty (0 bytes)")


# Sizes for which Pillow is silent, warns, and raises.
@pytest.mark.parametrize("side", [10_001, 11_000, 50_000, 2**31 - 1])
def test_bomb_is_refused_by_its_header(tmp_path, side):
    path = tmp_path / "bomb.png"
    path.write_bytes(png(side, side, (b"IDAT", b"")))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        assert_refused(path, f"is {side} x {side} pixels", "at most 100,000,000 in total")
    assert not caught


def test_bomb_is_refused_before_it_is_decoded(tmp_path, colors, monkeypatch):
    path = save(tmp_path / "photo.png", colors)
    monkeypatch.setattr(reading, "MAX_PIXELS", HEIGHT * WIDTH)
    assert_same(read_image(path), colors)
    monkeypatch.setattr(reading, "MAX_PIXELS", HEIGHT * WIDTH - 1)
    monkeypatch.setattr(ImageFile.ImageFile, "load", lambda image: pytest.fail("decoded"))
    assert_refused(path, f"is {HEIGHT} x {WIDTH} pixels (height x width)")


def test_bomb_refused_by_pillow_is_a_photo_error(tmp_path):
    """A WebP header of 16383 x 16383: Pillow refuses it before it returns the size."""
    side = struct.pack("<I", 16382)[:3]
    body = b"WEBPVP8X" + struct.pack("<I", 10) + bytes(4) + side + side + bytes(100)
    path = tmp_path / "bomb.webp"
    path.write_bytes(b"RIFF" + struct.pack("<I", len(body)) + body)
    assert_refused(path, "cannot be read")


@pytest.mark.parametrize("size", [(0, 0), (0, 44), (44, 0)])
def test_image_without_pixels_is_refused(tmp_path, size):
    path = tmp_path / "zero.png"
    path.write_bytes(png(*size, (b"IDAT", b"")))
    assert_refused(path)


@pytest.mark.parametrize("size", [(1, 1), (15, 200), (200, 15)])
def test_small_photo_is_refused(tmp_path, size):
    path = save(tmp_path / "small.png", Image.new("RGB", size))
    assert_refused(path, f"is {size[1]} x {size[0]} pixels", "at least 16 on each side")


def test_photo_of_the_minimum_size_is_read(tmp_path):
    assert read_image(save(tmp_path / "small.png", Image.new("RGB", (16, 16)))).shape == (16, 16, 3)


def test_missing_file_is_refused(tmp_path):
    assert_refused(tmp_path / "missing.jpg", "No such file", "check its name")
    (tmp_path / "link.jpg").symlink_to("missing.jpg")
    assert_refused(tmp_path / "link.jpg", "No such file")


def test_file_in_place_of_a_folder_is_refused(tmp_path):
    (tmp_path / "file").touch()
    assert_refused(tmp_path / "file" / "photo.jpg", "Not a directory")


def test_folder_in_place_of_a_photo_is_refused(tmp_path):
    assert_refused(tmp_path, "is not a file", "delfjax.images.folder.scan")


def test_unreadable_file_is_refused(tmp_path, colors, monkeypatch):
    path = save(tmp_path / "mine.png", colors)
    path.chmod(0)
    if os.access(path, os.R_OK):  # root can read every file

        def denied(path):
            raise PermissionError(13, "Permission denied", str(path))

        monkeypatch.setattr(reading, "_LimitedFile", denied)
    assert_refused(path, "Permission denied", "permissions")


def test_error_is_a_value_error_that_can_be_pickled(tmp_path):
    with pytest.raises(ValueError, match=r"missing\.jpg") as caught:
        read_image(tmp_path / "missing.jpg")
    copy = pickle.loads(pickle.dumps(caught.value))
    assert (type(copy), str(copy)) == (PhotoError, str(caught.value))


def test_global_state_of_pillow_does_not_change(tmp_path, colors):
    before = (Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES, list(warnings.filters))
    read_image(save(tmp_path / "photo.png", colors))
    (tmp_path / "bomb.png").write_bytes(png(50_000, 50_000, (b"IDAT", b"")))
    assert_refused(tmp_path / "bomb.png")
    after = (Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES, list(warnings.filters))
    assert before == after


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="counts open files on Linux")
def test_files_are_closed(tmp_path, colors):
    whole = save(tmp_path / "photo.png", colors)
    short = tmp_path / "short.png"
    short.write_bytes(whole.read_bytes()[:60])
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(5):
        read_image(whole)
        original_size(whole)
        assert_refused(short, readers=[read_image])
    assert len(os.listdir("/proc/self/fd")) == before


# --- bounded memory and time

# Not ru_maxrss: a process inherits that of the process that started it.
MEASURE = """
import re, sys
from pathlib import Path
from delfjax.images.folder import PhotoFolder, iter_photos
from delfjax.images.reading import read_image
def peak():
    return int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1])
read_image(sys.argv[1])  # what is allocated once
before, root = peak(), Path(sys.argv[1]).parent
for name, photo in iter_photos(PhotoFolder(root=root, names=tuple(sys.argv[2:])), sys.argv[2:]):
    assert photo.shape == (5100, 5100, 3), photo
print((peak() - before) // 1024)
"""


def large_png(side, color_type):
    """The bytes of a PNG of equal pixels, with a palette (color type 3) or RGBA (6)."""
    channels = {3: 1, 6: 4}[color_type]
    packer, row = zlib.compressobj(1), bytes(1 + side * channels)
    data = b"".join([*(packer.compress(row) for _ in range(side)), packer.flush()])
    colors = [(b"PLTE", bytes(3)), (b"tRNS", b"\x80")] if color_type == 3 else []
    return png(side, side, *colors, (b"IDAT", data), (b"IEND", b""), color_type=color_type)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc of Linux")
def test_several_large_photos_need_little_memory(tmp_path, colors):
    save(tmp_path / "small.png", colors)
    names = [f"{number}.png" for number in range(4)]
    for name, color_type in zip(names, (3, 6, 3, 6), strict=True):
        (tmp_path / name).write_bytes(large_png(5100, color_type))
    command = [sys.executable, "-c", MEASURE, str(tmp_path / "small.png"), *names]
    megabytes = int(subprocess.run(command, check=True, capture_output=True, timeout=200).stdout)
    # It is 260 MB: one decoded photo (104 MB) and two results (78 MB each). With photos read in
    # advance, it is 400 MB; with whole copies, 570 MB.
    assert megabytes < 320


@pytest.mark.parametrize("suffix", ["webp", "jp2", "png"])
def test_formats_whose_decoders_need_much_memory_have_lower_limits(tmp_path, monkeypatch, suffix):
    path = save(tmp_path / f"photo.{suffix}", np.zeros((100, 100, 3), np.uint8))
    monkeypatch.setattr(reading, "MAX_PIXELS", 14_000)
    if suffix == "png":
        assert read_image(path).shape == (100, 100, 3)
    else:
        count = {"webp": "15,000", "jp2": "30,000"}[suffix]
        assert_refused(path, f"100 x 100 pixels (height x width), which count as {count}", "14,000")


def test_tiles_that_are_larger_than_the_photo_count(tmp_path, monkeypatch):
    tile = zlib.compress(bytes(400 * 400))
    values = {256: 20, 257: 20, 258: 8, 259: 8, 262: 1, 277: 1, 322: 400, 323: 400}
    values |= {324: 8 + 2 + 12 * 10 + 4, 325: len(tile)}  # start and length of the tile
    tags = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in values.items())
    path = tmp_path / "photo.tif"
    path.write_bytes(b"II*\0" + struct.pack("<IH", 8, 10) + tags + bytes(4) + tile)
    assert read_image(path).shape == (20, 20, 3)
    monkeypatch.setattr(reading, "MAX_PIXELS", 400 * 400 - 1)
    assert_refused(path, "is 20 x 20 pixels (height x width), which count as 160,000")


@pytest.mark.parametrize("scans", [1, 10, reading.MAX_SCANS, reading.MAX_SCANS + 1, 400])
def test_a_jpeg_of_many_scans_is_refused(tmp_path, colors, scans, monkeypatch):
    path = save(tmp_path / "photo.jpg", np.tile(colors, (4, 4, 1)), progressive=True)
    whole = path.read_bytes()
    starts = [match.start() for match in re.finditer(b"\xff\xda", whole)]
    assert 5 < len(starts) < 20
    # Repeat the refinement of a single scan, as often as needed.
    last, end = whole[starts[-1] : -2], whole[:-2]
    if scans <= len(starts):
        assert read_image(path).shape == (4 * HEIGHT, 4 * WIDTH, 3)
        return
    path.write_bytes(end + last * (scans - len(starts)) + whole[-2:])
    with path.open("rb") as file:
        assert reading._count_scans(file) == min(scans, reading.MAX_SCANS + 1)
    if scans > reading.MAX_SCANS:
        monkeypatch.setattr(ImageFile.ImageFile, "load", lambda image: pytest.fail("decoded"))
        assert_refused(path, f"has more than {reading.MAX_SCANS} JPEG scans")


def test_what_follows_a_jpeg_is_not_counted(tmp_path, colors):
    for options in ({}, {"progressive": True}):
        path = save(tmp_path / "photo.jpg", colors, quality=95, **options)
        with path.open("ab") as file:  # as the video of a motion photo
            file.write(b"\xff\xda\x00\x08\x03" * 100)
        assert_close(read_image(path), colors, 12)


@settings(max_examples=30)
@given(st.binary(max_size=300))
def test_scans_of_random_bytes_are_counted(rest):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "photo.jpg"
        for start in (b"", b"\xff\xc2\0\x08", b"\xff\xda\0\0"):
            path.write_bytes(b"\xff\xd8" + start + rest)
            with path.open("rb") as file:
                assert reading._count_scans(file) <= len(rest) + 1


@pytest.mark.parametrize("length", range(2**20 - 3, 2**20 + 3))
def test_markers_are_found_across_the_limits_of_chunks(tmp_path, length):
    scan = b"\xff\xda\0\x08123456"
    (tmp_path / "data").write_bytes(b"\xff\xd8\xff\0" + b"\0" * length + scan + scan + b"\xff\xd9")
    with (tmp_path / "data").open("rb") as file:
        assert [*reading._segments(file)] == [(0xDA, b"\0\x08123456")] * 2


SEGMENTS = {
    "comments.jpg": (b"\xff\xfe\0\2", 2),
    "markers.jpg": (b"\xff\1", 2),
    "chunks.png": (struct.pack(">I4sI", 0, b"abCd", zlib.crc32(b"abCd")), 33),
    "data.png": (struct.pack(">I4sI", 0, b"IDAT", zlib.crc32(b"IDAT")), 33),
    "comment.ppm": (b"#" * 100 + b"\n", 3),
}


@pytest.mark.parametrize(("name", "part", "start"), [(n, *each) for n, each in SEGMENTS.items()])
def test_a_photo_of_many_small_pieces_is_refused(tmp_path, colors, monkeypatch, name, part, start):
    monkeypatch.setattr(reading, "MAX_READS", 3000)
    path = save(tmp_path / name, colors)
    whole = path.read_bytes()
    path.write_bytes(whole[:start] + part * 5000 + whole[start:])
    assert_refused(path, "has ", readers=[read_image])


def test_markers_are_found_in_linear_time(tmp_path, colors):
    path = save(tmp_path / "photo.jpg", colors)
    whole = path.read_bytes()
    path.write_bytes(whole[:2] + b"\xff\xfe\0\2" * 100_000 + whole[2:])

    class Counted(io.FileIO):
        count = 0

        def read(self, size=-1):
            self.count += (found := super().read(size)) and len(found)
            return found

    with Counted(path) as file:
        assert reading._count_scans(file) == 1
        assert file.count < 2 * path.stat().st_size


def test_a_file_of_many_bytes_is_refused_unread(tmp_path, monkeypatch):
    (tmp_path / "photo.jpg").touch()
    os.truncate(tmp_path / "photo.jpg", 2**40)
    monkeypatch.setattr(folders, "sha256", lambda path: pytest.fail("read"))
    assert_refused(tmp_path / "photo.jpg", "has 1,099,511,627,776 bytes")
    assert scan(tmp_path).source("photo.jpg") is None


def test_threads_decode_a_limited_number_of_pixels(monkeypatch):
    limit, running, most = reading._PixelLimit(), [], []
    monkeypatch.setattr(reading, "MAX_PIXELS", 100)

    def decode(pixels):
        with limit.reserve(pixels, Path("photo.jpg")):
            running.append(pixels)
            most.append(sum(running))
            time.sleep(0.005)
            running.remove(pixels)

    list(folders.prefetch(decode, [40, 100, 30, 60, 20, 90, 10] * 3))
    assert len(most) == 21
    assert max(most) <= 100
    monkeypatch.setattr(reading, "MAX_WAIT", 0.01)
    with (
        limit.reserve(50, Path("a.jpg")),
        pytest.raises(
            PhotoError, match=r"^b\.jpg was not decoded, because other large photos took 0\.01"
        ),
        limit.reserve(60, Path("b.jpg")),
    ):
        pass


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "PA", "RGB", "RGBA", "CMYK", "I;16", "F"])
@pytest.mark.parametrize("orientation", [1, 7])
def test_strips_do_not_change_a_photo(tmp_path, colors, monkeypatch, mode, orientation):
    image = Image.fromarray(colors).convert("L" if mode in ("I;16", "F") else "RGB")
    image = image.convert("P").convert("PA") if mode == "PA" else image.convert(mode)
    path = save(tmp_path / "photo.tif", image, exif=exif(orientation))
    whole = read_image(path)
    for pixels in (1, 100, 7 * WIDTH):
        monkeypatch.setattr(reading, "STRIP_PIXELS", pixels)
        assert_same(read_image(path), whole)


def test_very_large_photos_are_not_read_in_advance(mixed, monkeypatch):
    monkeypatch.setattr(folders, "MAX_PIXELS", folders.AHEAD * HEIGHT * WIDTH - 1)
    threads = []
    original = reading.read_image
    monkeypatch.setattr(
        folders,
        "read_image",
        lambda path: threads.append(threading.current_thread()) or original(path),
    )
    good = [name for name in mixed.names if name.endswith("good.png")]
    assert all(isinstance(photo, np.ndarray) for _, photo in iter_photos(mixed, good))
    assert set(threads) == {threading.main_thread()}


# --- folders


def touch(root, *names):
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()


def test_scan_finds_every_photo_sorted(tmp_path):
    touch(tmp_path, "b/2.jpg", "b/1.jpg", "a/deep/3.png", "notes.txt", "B.jpg")
    folder = scan(tmp_path)
    assert folder.names == ("B.jpg", "a/deep/3.png", "b/1.jpg", "b/2.jpg")
    assert folder.skipped == ("notes.txt",)
    assert list_files(tmp_path) == ["B.jpg", "a/deep/3.png", "b/1.jpg", "b/2.jpg", "notes.txt"]
    assert folder.root == tmp_path
    assert len(folder) == 4
    assert all(folder.path(name).is_file() for name in folder.names)
    assert scan(str(tmp_path)) == folder


def test_scan_skips_hidden_and_system_files(tmp_path):
    touch(tmp_path, "a/1.jpg", ".hidden.jpg", ".git/2.jpg", "__MACOSX/a/3.jpg", "a/.DS_Store")
    touch(tmp_path, "Thumbs.db", "a/thumbs.db", "a/desktop.ini", "a/Desktop.ini")
    assert scan(tmp_path).names == ("a/1.jpg",)


def test_scan_of_a_hidden_root(tmp_path):
    touch(tmp_path, ".cache/a.jpg")
    assert scan(tmp_path / ".cache").names == ("a.jpg",)


# Files that phones, cameras, photo services and operating systems put beside photos.
SIDECARS = {
    "IMG_1.jpg.json": b'{"title": "IMG_1.jpg"}',
    "IMG_1.jpg.supplemental-metadata.json": b"",
    "notes.txt": b"BMW, 1972",
    "README": b"# Photos",
    "IMG_1.xmp": b"<x:xmpmeta/>",
    "IMG_1.AAE": b"<?xml version='1.0'?>",
    "IMG_1.MOV": b"\0\0\0\x14ftypqt  \0\0\0\0qt  ",
    "IMG_2.MP4": b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom",
    "live": b"\0\0\0\x18ftypisom\0\0\0\0isommp42",
    "IMG_1.NEF": b"MM\0*\0\0\0\x08",
    "album.html": b"<html>",
    "index.sqlite": b"SQLite format 3\0",
    "empty": b"",
    "photo.jpg.sha256": b"0123",
}


def test_files_that_are_no_photos_are_skipped(tmp_path):
    touch(tmp_path, "1.jpg")
    for name, content in SIDECARS.items():
        (tmp_path / name).write_bytes(content)
    folder = scan(tmp_path)
    assert (folder.names, folder.skipped) == (("1.jpg",), tuple(sorted(SIDECARS)))


def test_the_most_frequent_suffixes_of_skipped_files_are_counted(tmp_path):
    touch(tmp_path, "1.jpg", "a.json", "b.JSON", "c.mov", "README")
    summary = "4 files are not photos and were skipped (2 .json, 1 no suffix, 1 .mov)"
    assert scan(tmp_path).skipped_summary == summary
    touch(tmp_path / "empty", "a.json")
    with pytest.raises(PhotoError, match=r"empty contains no photos: 1 files .*\(1 \.json\)"):
        scan(tmp_path / "empty")


@pytest.mark.parametrize("suffix", LOSSLESS)
def test_a_photo_without_a_known_suffix_is_recognized_by_its_content(tmp_path, colors, suffix):
    save(tmp_path / f"a.{suffix}", colors).rename(tmp_path / "photo")
    save(tmp_path / f"a.{suffix}", colors).rename(tmp_path / "photo.jpg_large")
    assert scan(tmp_path).names == ("photo", "photo.jpg_large")


def ftyp(major, *brands):
    body = b"ftyp" + major + bytes(4) + b"".join(brands)
    return struct.pack(">I", len(body) + 4) + body + bytes(100)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("photo.heic", ftyp(b"heic", b"mif1", b"heic")),
        ("photo.heic", ftyp(b"mif1", b"mif1", b"heic")),
        ("photo.heic", ftyp(b"msf1")),
        ("photo.JPG", ftyp(b"heic", b"mif1", b"heic")),
        ("photo", ftyp(b"heic", b"mif1", b"heic")),
    ],
)
def test_heic_is_named_with_the_extra_that_reads_it(tmp_path, monkeypatch, name, content):
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    (tmp_path / name).write_bytes(content)
    assert scan(tmp_path).names == (name,)
    assert_refused(tmp_path / name, "is a HEIC photo", "pip install 'delfjax[heic]'", "pillow-heif")


def test_avif_is_not_mistaken_for_heic(tmp_path):
    (tmp_path / "photo").write_bytes(ftyp(b"mif1", b"mif1", b"avif", b"miaf"))
    assert scan(tmp_path).names == ("photo",)
    assert_refused(tmp_path / "photo", "cannot be read")


def test_heic_is_read_with_the_extra(tmp_path, colors):
    pytest.importorskip("pillow_heif").register_heif_opener()
    # libheif turns the photo; the standard says that readers ignore the orientation of EXIF.
    path = save(tmp_path / "photo.heic", colors, quality=95, exif=exif(6))
    assert_close(read_image(path), colors, 12)
    assert original_size(path) == (HEIGHT, WIDTH)


def test_scan_follows_links_except_back_to_a_parent(tmp_path):
    root = tmp_path / "root"
    touch(root, "real.jpg", "sub/1.jpg")
    touch(tmp_path, "elsewhere/deep/2.jpg")
    (root / "link.jpg").symlink_to("real.jpg")
    (root / "same").symlink_to("sub")
    (root / "petra").symlink_to(tmp_path / "elsewhere")
    for loop, target in {"sub/loop": root, "up": root, "elsewhere/deep/a": root}.items():
        (tmp_path / loop if "else" in loop else root / loop).symlink_to(target)
    names = ("link.jpg", "petra/deep/2.jpg", "real.jpg", "same/1.jpg", "sub/1.jpg")
    assert scan(root).names == names
    assert all(scan(root).path(name).is_file() for name in names)


@pytest.mark.parametrize("name", ["broken.jpg", "petra", "petra.old"])
@pytest.mark.parametrize("target", ["missing", "itself"])
def test_a_broken_link_is_listed_and_fails(tmp_path, name, target):
    touch(tmp_path, "1.jpg")
    (tmp_path / name).symlink_to(name if target == "itself" else tmp_path / "missing" / "x")
    assert scan(tmp_path).names == ("1.jpg", name)
    failed = dict(iter_photos(scan(tmp_path), [name]))
    assert "cannot be read" in str(failed[name])


def test_a_pipe_is_listed_if_it_is_named_like_a_photo(tmp_path):
    touch(tmp_path, "1.jpg")
    os.mkfifo(tmp_path / "2.jpg")
    os.mkfifo(tmp_path / "pipe")
    folder = scan(tmp_path)
    assert (folder.names, folder.skipped) == (("1.jpg", "2.jpg"), ("pipe",))
    assert "is not a file" in str(dict(iter_photos(folder, ["2.jpg"]))["2.jpg"])


def test_links_that_multiply_folders_are_refused(tmp_path):
    for number in range(30):  # 2**30 ways to the last folder
        folder = tmp_path / f"{number:02}"
        folder.mkdir()
        for name in "ab":
            (folder / name).symlink_to(tmp_path / f"{number + 1:02}")
    touch(tmp_path, "30/1.jpg")
    with pytest.raises(PhotoError, match="is reached by more than 100 paths, through links"):
        scan(tmp_path / "00")


@settings(max_examples=30)
@given(st.lists(st.tuples(*[st.integers(0, 5)] * 3), max_size=8))
def test_scan_ends_and_finds_every_photo_with_any_links(links):
    """Folders 0 to 5, each with a photo, and links between them."""
    with tempfile.TemporaryDirectory() as root:
        touch(Path(root), *(f"{number}/{number}.jpg" for number in range(6)))
        for folder, name, target in links:
            with suppress(FileExistsError):
                (Path(root) / str(folder) / f"to{name}").symlink_to(Path(root) / str(target))
        with suppress(PhotoError):  # too many ways through links
            names = scan(root).names
            assert {f"{number}/{number}.jpg" for number in range(6)} <= set(names)
            assert all(Path(root, name).is_file() for name in names)
            assert len(set(names)) == len(names)


def test_scan_opens_nothing(tmp_path, monkeypatch):
    touch(tmp_path, "1.jpg")
    monkeypatch.setattr("builtins.open", lambda *args, **kwargs: pytest.fail("opened"))
    assert len(scan(tmp_path)) == 1


@pytest.mark.parametrize(
    ("root", "found"),
    [("missing", "No such file"), ("file", "Not a directory"), ("empty", "contains no photos")],
)
def test_scan_of_a_missing_or_empty_folder_is_refused(tmp_path, root, found):
    (tmp_path / "file").touch()
    touch(tmp_path, "empty/.hidden")
    with pytest.raises(PhotoError, match=f"{root} .*{found}.*; expected .*folder"):
        scan(tmp_path / root)


def test_scan_names_the_unreadable_subfolder(tmp_path, monkeypatch):
    touch(tmp_path, "1.jpg", "locked/2.jpg")
    listdir = os.listdir

    def denied(folder):
        if str(folder).endswith("locked"):
            raise PermissionError(13, "Permission denied", str(folder))
        return listdir(folder)

    monkeypatch.setattr(os, "listdir", denied)
    with pytest.raises(PhotoError, match=r"locked cannot be read .*Permission denied"):
        scan(tmp_path)


def folder_of(*names):
    return PhotoFolder(root=reading.Path("root"), names=names)


def test_labels_are_the_first_folders_that_differ():
    assert folder_of("petra/1.jpg", "petra/x/2.jpg", "rome/1.jpg").labels == (
        "petra",
        "petra",
        "rome",
    )
    for one_folder in (("1.jpg", "2.jpg"), ("set/1.jpg", "set/2.jpg"), ("set/1.jpg",), ()):
        assert folder_of(*one_folder).labels is None
    assert folder_of("set/petra/1.jpg", "set/rome/2.jpg").labels == ("petra", "rome")
    assert folder_of("README.md", "petra/1.jpg").labels == ("", "petra")
    landmarks = folder_of("README.md", "petra/1.jpg").landmarks
    assert landmarks == {"README.md": "README.md", "petra/1.jpg": "petra"}


# --- many photos


@pytest.fixture
def mixed(tmp_path, colors):
    """Nine good photos among five bad ones."""
    for number in range(9):
        save(tmp_path / f"{number}_good.png", np.roll(colors, number, axis=0))
    (tmp_path / "2_short.png").write_bytes((tmp_path / "2_good.png").read_bytes()[:90])
    (tmp_path / "4_empty.jpg").touch()
    (tmp_path / "6_bomb.png").write_bytes(png(50_000, 50_000, (b"IDAT", b"")))
    (tmp_path / "README.jpg").write_text("# Photos")
    save(tmp_path / "0_small.png", Image.new("L", (3, 3)))
    return scan(tmp_path)


PIXEL = np.zeros((1, 1, 3), np.uint8)
BAD = ["0_small.png", "2_short.png", "4_empty.jpg", "6_bomb.png", "README.jpg"]


@pytest.mark.parametrize("ahead", [1, 4])
def test_bad_photos_are_returned_as_errors(mixed, monkeypatch, ahead):
    monkeypatch.setattr(folders, "AHEAD", ahead)
    results = list(iter_photos(mixed, mixed.names))
    assert [name for name, _ in results] == list(mixed.names)
    errors = {name: result for name, result in results if isinstance(result, PhotoError)}
    assert list(errors) == BAD
    assert "is not an image" in str(errors["README.jpg"])
    for name, result in results:
        if name in errors:
            assert str(mixed.path(name)) in str(result)
        else:
            assert_same(result, read_image(mixed.path(name)))


def test_errors_hold_no_reference_to_a_photo(mixed):
    for _, result in iter_photos(mixed, BAD):
        assert result.__traceback__ is result.__cause__ is result.__context__ is None


def test_photos_come_in_the_requested_order(mixed):
    names = ["8_good.png", "gone.png", "0_good.png", "8_good.png"]
    results = list(iter_photos(mixed, (name for name in names)))
    assert [name for name, _ in results] == names
    assert [getattr(photo, "shape", None) for _, photo in results] == [
        (HEIGHT, WIDTH, 3),
        None,
        (HEIGHT, WIDTH, 3),
        (HEIGHT, WIDTH, 3),
    ]
    assert list(iter_photos(mixed, [])) == []


@pytest.mark.parametrize("ahead", [1, 3])
def test_at_most_ahead_photos_are_read_in_advance(mixed, monkeypatch, ahead):
    begun = []

    def load(path):
        begun.append(path)
        return PIXEL

    monkeypatch.setattr(folders, "read_image", load)
    monkeypatch.setattr(folders, "AHEAD", ahead)
    for taken, _ in enumerate(iter_photos(mixed, mixed.names), start=1):
        assert taken <= len(begun) <= taken + ahead


def test_photos_are_read_while_the_caller_works(mixed, monkeypatch):
    second = threading.Event()

    def load(path):
        if path.name == mixed.names[1]:
            second.set()
        return PIXEL

    monkeypatch.setattr(folders, "read_image", load)
    monkeypatch.setattr(folders, "AHEAD", 1)
    stream = iter_photos(mixed, mixed.names)
    next(stream)
    assert second.wait(timeout=60)
    stream.close()


def test_closing_the_iterator_ends_the_threads(mixed):
    before = threading.active_count()
    for _ in iter_photos(mixed, mixed.names):
        break
    stream = iter_photos(mixed, mixed.names)
    next(stream)
    stream.close()
    assert threading.active_count() == before
