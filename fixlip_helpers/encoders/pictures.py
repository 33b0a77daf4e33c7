"""Pictures: opened from a path, a PIL image or an array, and brought to what every encoder starts from.

Whatever the file holds becomes 8-bit RGB, upright, on white; what cannot be read is refused in one line that names it.
"""

from __future__ import annotations

import contextlib
import io
import os
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import ExifTags, Image, UnidentifiedImageError

from fixlip_helpers.switches import SWITCHES

PHOTO_MODEL = "openai/clip-vit-base-patch32"  # what messages name for photographs

# 1 000 pictures of fixlip_helpers.scenes, 700 of them 2 x 2 scenes, had at most 4 119 distinct colours in their
# 128 x 128 pixels, and 34 photographs brought to that size had 4 791 or more. Between the two lies this bound; it is
# a heuristic. A grey photograph has at most 256 colours, but the picture world has no grey pictures: where next to no
# pixel's channels differ, far fewer colours than shades of grey make a photograph.
MOST_COLOURS_OF_A_DRAWING = 4500
MOST_GREYS_OF_A_DRAWING = 64
GREY_LEVELS = 12  # channels of a grey pixel differ by no more
COLOURED_SHARE = 0.005  # of the pixels of a grey picture, at most

MAX_IMAGE_PIXELS = 100_000_000  # a decoded RGB picture of this size takes 300 MB
MAX_ASPECT_RATIO = 50.0


class ImageWarning(UserWarning):
    """What to know of a picture that was taken: only a part was used, or the encoder knows no such pictures."""


def open_image(image: str | os.PathLike | Image.Image | np.ndarray) -> Image.Image:
    """Open a picture and bring it to 8-bit RGB, upright, on white.

    Transparent pixels are composited on white, the rotation stored by a camera (EXIF) is applied,
    CMYK, palette and greyscale pictures are converted, 16-bit values are scaled to 8 bits. Of an
    animation the first frame is used, with an :class:`ImageWarning` that says so.
    A PIL image of mode "I" is read as an array of whole numbers, of mode "I;16" as uint16, of mode "F" as float.

    Parameters
    ----------
    image : path, PIL image, or array
        An array has shape (H, W), (H, W, 1), (H, W, 3) or (H, W, 4), and its type says what white is:
        True for bool; 255 for uint8 and for every other whole number (int64, int32, ...), whose values must
        lie in 0 to 255; 65535 for uint16; 1 for float, whose values must lie in 0 to 1.

    Returns
    -------
    PIL.Image.Image
        Mode "RGB".

    Raises
    ------
    ValueError
        If the picture is missing, empty, truncated, of an unknown format, larger than
        ``MAX_IMAGE_PIXELS``, or an array of another shape, type or range. One line, naming the file. So is an
        array of type uint16 that has colours but none above 255: as 16 bits it would be black.
    TypeError
        If ``image`` is none of the three.
    """
    if isinstance(image, Image.Image):
        file = getattr(image, "filename", "")  # of one that Pillow has opened
        name = repr(str(file)) if file else "given"
        with _naming(name):
            return _to_rgb(image, name)
    if isinstance(image, (str, os.PathLike)):
        return _read_file(Path(image))
    if isinstance(image, np.ndarray):
        return _to_rgb(_from_array(image), "image")
    raise TypeError(f"image is a {type(image).__name__}; expected a path, a PIL image or a NumPy array")


def open_for_encoder(image: str | os.PathLike | Image.Image | np.ndarray) -> Image.Image:
    """:func:`open_image`, and ValueError for a picture more than ``MAX_ASPECT_RATIO`` times as long as wide."""
    original = open_image(image)
    short, long = sorted(original.size)
    if long > MAX_ASPECT_RATIO * short:
        raise ValueError(
            f"image is {original.width} × {original.height} pixels; expected at most "
            f"{MAX_ASPECT_RATIO:g} times as long as wide"
        )
    return original


def distinct_colours(picture: Image.Image) -> int:
    """Number of distinct colours of an RGB picture brought to 128 x 128 pixels."""
    small = picture if picture.size == (128, 128) else picture.resize((128, 128))
    return len(np.unique(np.asarray(small).reshape(-1, 3) @ np.array([1 << 16, 1 << 8, 1])))


def looks_like_photograph(picture: Image.Image) -> bool:
    """Whether an RGB picture has more colours, or a grey one more shades, than the picture world's drawings."""
    small = picture if picture.size == (128, 128) else picture.resize((128, 128))
    pixels = np.asarray(small).reshape(-1, 3).astype(int)
    is_grey = np.mean(np.ptp(pixels, axis=1) > GREY_LEVELS) <= COLOURED_SHARE
    return distinct_colours(small) > (MOST_GREYS_OF_A_DRAWING if is_grey else MOST_COLOURS_OF_A_DRAWING)


def warn_of_photograph(name: str, picture: Image.Image) -> None:
    """Warn that an embedded encoder, which knows drawings only, is asked about what looks like a photograph."""
    if looks_like_photograph(picture):
        warnings.warn(
            "this looks like a photograph (by its number of colours or of shades of grey; a heuristic). "
            f"{name} has seen drawn scenes only, so its score means little here, and so does an explanation of it. "
            f"For photographs: --model {PHOTO_MODEL}, in Python load_model({PHOTO_MODEL!r})",
            ImageWarning,
            stacklevel=3,
        )


class _Refused(ValueError):
    """A picture that is refused, in one line that names it."""


def _read_file(path: Path) -> Image.Image:
    """Decode one file; every way in which that can fail becomes one line."""
    if not path.exists():
        raise ValueError(f"image {str(path)!r}: no such file")
    if path.is_dir():
        raise ValueError(f"image {str(path)!r} is a folder; expected a picture file")
    if path.stat().st_size == 0:
        raise ValueError(f"image {str(path)!r} is empty (0 bytes)")
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ValueError(f"image {str(path)!r} cannot be read: {error.strerror or error}") from None
    return decode_image(content, str(path))


def decode_image(content: bytes, name: str) -> Image.Image:
    """A picture file's content as 8-bit RGB, upright, on white.

    Raises
    ------
    ValueError
        As :func:`open_image`, in one line with the name.
    """
    name = repr(name)
    with _naming(name):
        try:
            return _decode(content, name)
        except ValueError as error:
            lean = None if isinstance(error, _Refused) else _png_without_texts(content)
            if lean is None:
                raise
            picture = _decode(lean, name)
            _warn_of_metadata(name, error)
            return picture


def _decode(content: bytes, name: str) -> Image.Image:
    with SWITCHES, warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # our own limit is checked below
        picture = Image.open(io.BytesIO(content))
    with picture:
        return _to_rgb(picture, name)


@contextlib.contextmanager
def _naming(name: str) -> Iterator[None]:
    """Turn what decoders raise on broken data, in whatever type, into one line that names the picture."""
    try:
        yield
    except _Refused as error:
        raise ValueError(str(error)) from None
    except Image.DecompressionBombError:
        raise ValueError(
            f"image {name} has more than {MAX_IMAGE_PIXELS:,} pixels; make it smaller first"
        ) from None
    except UnidentifiedImageError:
        raise ValueError(f"image {name} is not a picture in a format that Pillow reads") from None
    except Exception as error:  # OSError, SyntaxError, EOFError, struct.error, ...: each format has its own
        raise ValueError(f"image {name} cannot be decoded, it may be truncated: {one_line(error)}") from None


_PNG = b"\x89PNG\r\n\x1a\n"


def _png_without_texts(content: bytes) -> bytes | None:
    """A PNG file less its texts and colour profile, which Pillow refuses above 1 MB; None for other files."""
    if not content.startswith(_PNG):
        return None
    kept, at = [_PNG], len(_PNG)
    while at + 12 <= len(content):
        end = at + 12 + int.from_bytes(content[at : at + 4], "big")  # length, kind, content, checksum
        if content[at + 4 : at + 8] not in (b"tEXt", b"zTXt", b"iTXt", b"iCCP"):
            kept.append(content[at:end])
        at = end
    return b"".join(kept)


def _warn_of_metadata(name: str, error: Exception) -> None:
    warnings.warn(
        f"image {name}: what the file says about the picture cannot be read ({one_line(error)}); "
        "the pixels are used as they are stored",
        ImageWarning,
        stacklevel=5,
    )


_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def _upright(picture: Image.Image, name: str) -> Image.Image:
    """Apply the orientation that a camera stored; of all other metadata nothing is read."""
    picture.load()  # a PNG may say it after its pixels; errors of the pixels are not of the metadata
    try:
        orientation = picture.getexif().get(ExifTags.Base.Orientation, 1)
        if orientation not in range(9):
            raise ValueError(f"orientation {orientation!r}")
    except Exception as error:  # entries of a wrong type or length fail in as many ways
        _warn_of_metadata(name, error)
        return picture
    return picture.transpose(_UPRIGHT[orientation]) if orientation in _UPRIGHT else picture


def _to_rgb(picture: Image.Image, name: str) -> Image.Image:
    """Upright 8-bit RGB of any PIL image; ``name`` is for messages."""
    width, height = picture.size
    if width * height > MAX_IMAGE_PIXELS:
        raise _Refused(
            f"image {name} has {width} × {height} = {width * height:,} pixels, "
            f"more than {MAX_IMAGE_PIXELS:,}; make it smaller first"
        )
    if min(width, height) == 0:
        raise _Refused(f"image {name} has no pixels: {width} × {height}")
    if getattr(picture, "is_animated", False):
        warnings.warn(
            f"image {name} has {picture.n_frames} frames; the first one is used", ImageWarning, stacklevel=4
        )
        picture.seek(0)
    kind = picture.format  # None of a picture in memory; what comes next may make a copy, which forgets it
    picture = _upright(picture, name)
    if picture.mode.startswith(("I", "F")):  # "I;16", "I", "F": Pillow's own conversion would clip at 255
        # some versions of Pillow decode 16-bit PNG and PGM as "I", which elsewhere holds any picture's numbers
        sixteen_bits = picture.mode.startswith("I;16") or (picture.mode == "I" and kind in ("PNG", "PPM"))
        return _from_array(np.asarray(picture), sixteen_bits).convert("RGB")
    if picture.has_transparency_data:
        picture = picture.convert("RGBA")
        white = Image.new("RGBA", picture.size, "white")
        return Image.alpha_composite(white, picture).convert("RGB")
    # convert() copies, so that a lazily opened file is read now, while errors still name it
    return picture.convert("RGB")


def _from_array(array: np.ndarray, sixteen_bits: bool = False) -> Image.Image:
    """An 8-bit PIL image of an array; its type says what white is (see :func:`open_image`).

    ``sixteen_bits``: the numbers come out of a 16-bit picture, in whatever type and however dark.
    """
    if array.size == 0:
        raise ValueError(f"image array of shape {array.shape} has no pixels")
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[:, :, 0]
    if array.ndim != 2 and not (array.ndim == 3 and array.shape[2] in (3, 4)):
        raise ValueError(
            f"image array has shape {array.shape}; expected (H, W), (H, W, 1), (H, W, 3) or (H, W, 4)"
        )
    if array.dtype.kind not in "buif":
        raise ValueError(
            f"image array has type {array.dtype}; expected bool, a whole number (255 is white), uint16 (65535 is "
            "white), or float (1 is white)"
        )
    if array.dtype.kind == "b":
        return Image.fromarray(array * np.uint8(255))
    low, high = array.min(), array.max()
    if array.dtype.kind == "f":
        white, remedy = 1.0, "divide by 255 if 255 is white"
    elif sixteen_bits or (array.dtype.kind == "u" and array.dtype.itemsize == 2):
        white, remedy = 65535.0, "scale it to 16 bits"
        if not sixteen_bits and 0 < high < 256:
            raise ValueError(
                f"image array of type {array.dtype} has no value above {high}: there 65535 is white, and it would be "
                "black; if 255 is white, make it uint8"
            )
    else:
        white, remedy = 255.0, "if 65535 is white, make it uint16 (a PIL image: mode I;16)"
    if not (low >= 0 and high <= white):  # also where a NaN makes both NaN
        raise ValueError(
            f"image array of type {array.dtype} has values from {low} to {high}, outside 0 to {white:g} (where "
            f"{white:g} is white): {remedy}"
        )
    return Image.fromarray(np.round(array * (255 / white)).astype(np.uint8))


def one_line(error: BaseException) -> str:
    """The first line of an error's message that says something."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0] if lines else type(error).__name__
