"""Pictures that are sound but for what they say of themselves: pixels count, metadata cannot refuse them."""

import io
import struct
import warnings
import zlib

import numpy as np
import pytest
from PIL import Image

from fixlip_helpers.encoders.pictures import ImageWarning, decode_image, open_image


def red_corner(width=30, height=20):
    pixels = np.full((height, width, 3), 255, np.uint8)
    pixels[:5, :5] = [255, 0, 0]
    return Image.fromarray(pixels)


def encoded(form, **how) -> bytes:
    written = io.BytesIO()
    red_corner().save(written, form, **how)
    return written.getvalue()


def chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png_with(kind: bytes, content: bytes, after_pixels: bool = False) -> bytes:
    """A PNG with one more chunk, behind its header or before its end."""
    plain = encoded("PNG")
    at = len(plain) - 12 if after_pixels else 33
    return plain[:at] + chunk(kind, content) + plain[at:]


LONG = b"x" * 1_500_000
LOADED = {
    "a long text that is packed": png_with(b"zTXt", b"Comment\0\0" + zlib.compress(LONG)),
    "a long text after the pixels": png_with(
        b"zTXt", b"Comment\0\0" + zlib.compress(LONG), after_pixels=True
    ),
    "a long international text": png_with(b"iTXt", b"Comment\0\1\0\0\0" + zlib.compress(LONG)),
    "a large colour profile": png_with(b"iCCP", b"profile\0\0" + zlib.compress(LONG)),
}


@pytest.mark.parametrize("what", LOADED)
def test_a_png_is_read_whatever_its_texts_weigh(what, tmp_path):
    path = tmp_path / "loaded.png"
    path.write_bytes(LOADED[what])
    with pytest.warns(
        ImageWarning, match=r"loaded.png.*cannot be read.*the pixels are used as they are stored"
    ) as said:
        opened = open_image(path)
    assert len(said) == 1
    np.testing.assert_array_equal(np.asarray(opened), np.asarray(red_corner()))


def test_a_png_with_long_texts_is_still_turned_upright():
    exif = Image.Exif()
    exif[0x0112] = 6
    rotated = encoded("PNG", exif=exif)
    loaded = rotated[:33] + chunk(b"zTXt", b"Comment\0\0" + zlib.compress(LONG)) + rotated[33:]
    with pytest.warns(ImageWarning):
        assert decode_image(loaded, "x").size == (20, 30)
    assert decode_image(rotated, "x").size == (20, 30)


def tiff_entry(tag: int, kind: int, count: int, value: bytes) -> bytes:
    return struct.pack("<HHI", tag, kind, count) + value.ljust(4, b"\0")


def exif_of(*entries: bytes) -> bytes:
    return b"Exif\0\0II*\0\x08\0\0\0" + struct.pack("<H", len(entries)) + b"".join(entries) + b"\0\0\0\0"


TURNED = tiff_entry(0x0112, 3, 1, b"\x06\0")
ODD = {  # EXIF, and whether the orientation can be read in spite of it
    "a text where a number belongs": (exif_of(TURNED, tiff_entry(0x011A, 2, 4, b"abc")), True),
    "no text where one belongs": (exif_of(tiff_entry(0x010E, 4, 1, b"\1\2\3\4"), TURNED), True),
    "an entry beyond the end": (exif_of(TURNED, tiff_entry(0x8769, 4, 1, b"\xff\xff\xff\0")), True),
    "an unknown type": (exif_of(TURNED, tiff_entry(0x9999, 77, 1, b"\1")), True),
    "orientation as text": (exif_of(tiff_entry(0x0112, 2, 2, b"6\0")), False),
    "orientation as bytes": (exif_of(tiff_entry(0x0112, 7, 4, b"6666")), False),
    "two orientations": (exif_of(tiff_entry(0x0112, 3, 2, b"\6\0\6\0")), True),
    "orientation 9": (exif_of(tiff_entry(0x0112, 3, 1, b"\x09\0")), False),
    "no TIFF": (b"Exif\0\0no such thing at all", False),
    "half a header": (b"Exif\0\0II*\0", False),
    "nothing": (b"Exif\0\0", None),
}


@pytest.mark.parametrize("form", ["JPEG", "WEBP", "PNG"])
@pytest.mark.parametrize("what", ODD)
def test_odd_exif_costs_the_orientation_at_most(what, form, tmp_path):
    exif, readable = ODD[what]
    path = tmp_path / f"odd.{form.lower()}"
    path.write_bytes(encoded(form, exif=exif, **({"quality": 98} if form != "PNG" else {})))
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        opened = open_image(path)
    assert opened.size == ((20, 30) if readable else (30, 20))
    assert opened.getpixel((17 if readable else 2, 2))[1] < 60, "the red corner is where it belongs"
    named = [str(each.message) for each in said if issubclass(each.category, ImageWarning)]
    if readable is False:
        assert len(named) <= 1 and all(path.name in message for message in named)
    else:
        assert not named


def test_a_picture_of_another_that_was_opened_names_its_file(tmp_path):
    path = tmp_path / "cut.jpg"
    path.write_bytes(encoded("JPEG", quality=98)[:-60])
    with Image.open(path) as lazily, pytest.raises(ValueError, match=r"cut.jpg.*may be truncated"):
        open_image(lazily)
    with pytest.raises(ValueError, match=r"'s/1\.png' cannot be decoded"):
        decode_image(encoded("PNG")[:60], "s/1.png")
