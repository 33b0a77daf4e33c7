"""What the picture of an explanation becomes without a figure: a small map in a cell's output, a record in a file.

Explanations find this module as their ``artist`` (:class:`~fixlip_helpers.show.Pictured`). It needs Pillow, not
matplotlib.
"""

from __future__ import annotations

import base64
import io
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image, ImageColor, ImageOps

from fixlip_helpers.encoders.pictures import open_image
from fixlip_helpers.show import LOWERS, MAP_PIXELS, RAISES, tiles_of

if TYPE_CHECKING:
    from fixlip_helpers.explanation import Explanation

LEVELS = 16  # of a small map's colours and greys: what rounding moves by less stays the same
MOST_PIXELS = 1000  # along a page's picture: more is not seen


def picture_and_box(
    image: Any, explanation: Explanation | None = None
) -> tuple[Image.Image, tuple[float, float, float, float]]:
    """The picture to draw on, and where in it the encoder looks: left, top, right, bottom in its pixels.

    Raises
    ------
    ValueError
        If it is a ``Picture`` that was prepared in another way than that of the explanation.
    """
    if hasattr(image, "original") and hasattr(image, "box"):
        by, own = getattr(image, "prepared_by", None), explanation and explanation.meta.get("seeing")
        if by is not None and own is not None and by.key != own:
            raise ValueError(
                f"the picture was prepared by {by.model!r}, in another way than that of the explanation "
                f"({explanation.meta.get('model')}), which may see another part of it: give that model's own Picture, "
                "game.picture"
            )
        return image.original, tuple(float(side) for side in image.box)
    picture = open_image(image)
    return picture, (0.0, 0.0, float(picture.width), float(picture.height))


def small_map(explanation: Explanation, values: np.ndarray, limit: float) -> str:
    """Numbers of image players over the picture in grey, as a ``data:`` URI of a PNG.

    Greys and colours have :data:`LEVELS` steps, and all else is computed in whole numbers.
    """
    picture, box = picture_and_box(explanation.picture)
    (rows, columns), owner = tiles_of(explanation)
    wide, high = box[2] - box[0], box[3] - box[1]
    size = MAP_PIXELS, max(1, round(MAP_PIXELS * high / wide))
    grey = np.asarray(
        ImageOps.autocontrast(picture.convert("L").resize(size, Image.Resampling.BOX, box), cutoff=1), int
    )
    grey = 138 + grey * LEVELS // 256 * 7  # light, so that the only colours are those of the map
    steps = np.append(np.rint(LEVELS * np.clip(values / limit, -1, 1)).astype(int), 0)[owner]
    steps = steps.reshape(rows, columns)
    steps = steps[np.arange(size[1]) * rows // size[1]][:, np.arange(size[0]) * columns // size[0]]
    colours = np.array([ImageColor.getrgb(LOWERS), ImageColor.getrgb(RAISES)])[(steps > 0).astype(int)]
    strength = 9 * np.abs(steps)[..., None]  # of 10 * LEVELS
    mixed = (grey[..., None] * (10 * LEVELS - strength) + colours * strength) // (10 * LEVELS)
    file = io.BytesIO()
    Image.fromarray(mixed.astype(np.uint8)).save(file, "PNG", optimize=True)
    return f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}"


def data_uri(picture: Image.Image) -> str:
    """A picture as ``data:`` URI: PNG where that is small (drawings), else WebP."""
    picture = picture.convert("RGB")
    as_png, as_webp = io.BytesIO(), io.BytesIO()
    picture.save(as_png, "PNG", optimize=True)
    picture.save(as_webp, "WEBP", quality=88)
    kind, data = ("png", as_png) if as_png.tell() <= max(as_webp.tell(), 40_000) else ("webp", as_webp)
    return f"data:image/{kind};base64,{base64.b64encode(data.getvalue()).decode()}"


def picture_record(image: Any) -> dict:
    """What the explorer shows of a picture: ``src`` (data URI), ``alt``, and ``box``, what the encoder sees of it, as
    shares (left, top, right, bottom)."""
    picture, box = picture_and_box(image)
    width, height = picture.size
    shown = picture.copy()
    shown.thumbnail((MOST_PIXELS, MOST_PIXELS))
    return {
        "src": data_uri(shown),
        "alt": "The picture that is explained.",
        "box": [box[0] / width, box[1] / height, box[2] / width, box[3] / height],
    }
