"""Interactive views that need no kernel: they work in a notebook and on the published page.

:func:`stack_view` shows one of several pictures, drawn beforehand, chosen by buttons; :func:`word_view` is
that for the words of an explanation. Both are ipywidgets whose parts are linked in the browser.
:func:`explorer` shows the explorer of ``web/`` (the patches of a word, the words of a patch);
:func:`explorer_page` is the same as one self-contained HTML page, which the command line writes.
"""

from __future__ import annotations

import base64
import html
import io
import json
import re
from collections.abc import Sequence
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING, Any

from matplotlib import pyplot as plt
from matplotlib.figure import Figure
from PIL import Image

from fixlip_helpers.models import open_image
from fixlip_helpers.plots import alt_text, grid_of, heat, picture_and_box, word_index, words_of

if TYPE_CHECKING:
    import ipywidgets
    from IPython.display import HTML

    from fixlip_helpers.explanation import Explanation

MOST_PIXELS = 1000  # along a page's picture: more is not seen


# --- Pictures as text ---------------------------------------------------------------------------------------


def data_uri(image: Image.Image | Figure, dpi: int = 110) -> str:
    """A picture or figure as ``data:`` URI: PNG where that is small (drawings), else WebP.

    Parameters
    ----------
    image : PIL image or Figure
        A figure is rendered at ``dpi`` and closed.
    """
    if isinstance(image, Figure):
        file = io.BytesIO()
        image.savefig(file, dpi=dpi)
        plt.close(image)
        image = Image.open(file)
    image = image.convert("RGB")
    as_png, as_webp = io.BytesIO(), io.BytesIO()
    image.save(as_png, "PNG", optimize=True)
    image.save(as_webp, "WEBP", quality=88)
    kind, data = ("png", as_png) if as_png.tell() <= max(as_webp.tell(), 40_000) else ("webp", as_webp)
    return f"data:image/{kind};base64,{base64.b64encode(data.getvalue()).decode()}"


# --- Views of ipywidgets ------------------------------------------------------------------------------------


def stack_view(
    labels: Sequence[str],
    images: Sequence[Image.Image | Figure | Any],
    alt: Sequence[str] | None = None,
    *,
    width: str = "420px",
    description: str = "",
    selected: int = 0,
) -> ipywidgets.VBox:
    """Buttons that choose which of several pictures is seen, linked in the browser.

    Parameters
    ----------
    labels : sequence of k str
        One for each button.
    images : sequence of k PIL images, figures, arrays or paths
        Figures are rendered and closed.
    alt : sequence of k str, optional
        What each picture shows, for readers who do not see it; default: the labels.
    width : str
        CSS width of the pictures; on a narrower page they shrink.
    description : str
        What the buttons choose.
    selected : int
        Which one is seen first.

    Returns
    -------
    ipywidgets.VBox
        ToggleButtons above a Stack.

    Raises
    ------
    ValueError
        If there are no labels, not as many labels, images and texts, or no picture number ``selected``.
    """
    import ipywidgets

    labels, images = list(labels), list(images)
    alt = labels if alt is None else list(alt)
    if not labels or not len(labels) == len(images) == len(alt):
        raise ValueError(
            f"got {len(labels)} labels, {len(images)} images and {len(alt)} texts; expected as many of each"
        )
    if not 0 <= selected < len(labels):
        raise ValueError(f"selected = {selected}; expected 0 to {len(labels) - 1}")
    pages = [
        ipywidgets.HTML(
            f'<img src="{data_uri(image if isinstance(image, Figure) else open_image(image))}" '
            f'alt="{html.escape(text)}" style="width: {width}; max-width: 100%; background: white">'
        )
        for image, text in zip(images, alt, strict=True)
    ]
    # Options by number, so that two words of one name stay two buttons.
    buttons = ipywidgets.ToggleButtons(
        options=[(label, number) for number, label in enumerate(labels)],
        index=selected,
        description=description,
        style={"button_width": "auto", "description_width": "initial"},
    )
    stack = ipywidgets.Stack(pages, selected_index=selected)
    ipywidgets.jslink((buttons, "index"), (stack, "selected_index"))
    return ipywidgets.VBox([buttons, stack])


def word_view(
    explanation: Explanation, image: Any, words: Sequence[str | int] | None = None, *, width: str = "420px"
) -> ipywidgets.VBox:
    """The map of a word, chosen by buttons; all maps share one colour scale.

    Parameters
    ----------
    explanation, image : as for :func:`fixlip_helpers.plots.heat`
    words : sequence of str or int, optional
        Default: all.
    width : str
        CSS width of the map.
    """
    names = words_of(explanation)
    places = range(len(names)) if words is None else [word_index(explanation, word) for word in words]
    maps = [heat(explanation, image, place).figure for place in places]
    texts = [alt_text(explanation, place) for place in places]
    return stack_view([names[place] for place in places], maps, texts, width=width, description="word")


# --- The explorer -------------------------------------------------------------------------------------------


def _web() -> Path:
    """The folder of the explorer's sources: inside an installed package, beside it in a checkout."""
    package = Path(__file__).parent
    return next(folder for folder in (package / "web", package.parent / "web") if folder.is_dir())


def _modules() -> str:
    """The explorer's modules as one script: what they import from each other is simply above."""
    sources = [(_web() / name).read_text(encoding="utf-8") for name in ("explanation.js", "explorer.js")]
    return re.sub(r"^export |^import .*\n", "", "\n".join(sources), flags=re.MULTILINE)


def _inline_json(record: Any) -> str:
    """JSON that can stand inside a script element, whatever its strings hold."""
    text = json.dumps(record, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return text.translate({ord(c): f"\\u{ord(c):04x}" for c in "<>&\u2028\u2029"})


def explorer_page(
    explanation: Explanation, image: Any, *, header: str = "", footer: str = "", padding: str = "1rem"
) -> str:
    """One HTML page with the explorer of an explanation; it holds all it needs and asks no network.

    Parameters
    ----------
    explanation : Explanation
        With ``meta["grid"]``. Its numbers go into the page with six significant digits.
    image : picture or Picture
        As for :func:`fixlip_helpers.plots.heat`.
    header, footer : str
        HTML around the explorer.
    padding : str
        CSS padding of the page.

    Returns
    -------
    str

    Raises
    ------
    ValueError
        If the image players are not the patches of a grid.
    """
    grid_of(explanation)
    picture, box = picture_and_box(image)
    width, height = picture.size
    shown = picture.copy()
    shown.thumbnail((MOST_PIXELS, MOST_PIXELS))
    record = explanation.to_dict()
    for numbers in ("main", "pairs"):
        record[numbers] = [float(f"{value:.6g}") for value in record[numbers]]
    return Template((_web() / "page.html").read_text(encoding="utf-8")).substitute(
        title=html.escape(str(explanation.meta.get("caption") or "Explanation")),
        style=(_web() / "explorer.css").read_text(encoding="utf-8"),
        padding=padding,
        header=header,
        footer=footer,
        record=_inline_json(record),
        picture=_inline_json(
            {
                "src": data_uri(shown),
                "alt": f"The picture that is explained. {alt_text(explanation)}",
                "box": [box[0] / width, box[1] / height, box[2] / width, box[3] / height],
            }
        ),
        modules=_modules(),
    )


def explorer(explanation: Explanation, image: Any, *, height: int = 720) -> HTML:
    """The explorer inside a notebook or a page of the book, in a frame of its own.

    Parameters
    ----------
    explanation, image : as for :func:`explorer_page`
    height : int
        Pixels until the page has measured itself.
    """
    from IPython.display import HTML

    page = html.escape(explorer_page(explanation, image, padding="0.2rem"))
    title = html.escape(f"Explorer: {explanation.meta.get('caption', 'explanation')}")
    return HTML(
        f'<div><iframe srcdoc="{page}" title="{title}" loading="lazy" '
        f'style="width: 100%; height: {height}px; border: 0"></iframe></div>'
    )
