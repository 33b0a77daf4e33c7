"""Interactive views that need no kernel: they work in every notebook program and on the published page.

:func:`stack_view` shows one of several pictures, drawn beforehand, chosen by buttons; :func:`word_view` is
that for the words of an explanation. :func:`guess` asks, and :func:`replies` answers. All four are
:class:`~fixlip_helpers.showing.choices.Choices`: HTML of their own, no widgets.
:func:`explorer` shows the explorer of ``web/`` (the patches of a word, the words of a patch);
:func:`explorer_page` is the same as one self-contained HTML page, which the command line writes.
"""

from __future__ import annotations

import html
import io
import json
import re
from collections.abc import Sequence
from copy import copy
from string import Template
from typing import TYPE_CHECKING, Any

from matplotlib import pyplot as plt
from matplotlib.figure import Figure
from PIL import Image

from fixlip_helpers.encoders.pictures import open_image
from fixlip_helpers.show import alt_text, explanation_html, tiles_of, word_index, words_of
from fixlip_helpers.showing.choices import Choices, name_of, web
from fixlip_helpers.showing.maps import data_uri, picture_and_box, picture_record
from fixlip_helpers.showing.plots import heat

if TYPE_CHECKING:
    from IPython.display import HTML

    from fixlip_helpers.explanation import Explanation

NO_FRAME = (
    "The explorer does not show here, since this program did not run the notebook itself. Run this cell, or trust the "
    "notebook (in JupyterLab: View, Activate Command Palette, Trust Notebook). What it would show first:"
)


# --- Pictures as text ---------------------------------------------------------------------------------------


def rendered(image: Image.Image | Figure, dpi: int = 110) -> Image.Image:
    """A figure as picture, at ``dpi``, and closed; a picture as it is."""
    if not isinstance(image, Figure):
        return image
    file = io.BytesIO()
    image.savefig(file, dpi=dpi)
    plt.close(image)
    return Image.open(file)


def _panel(image: Image.Image | Figure | Any, alt: str, width: str) -> str:
    """A picture as HTML that keeps its place until it is there."""
    image = rendered(image if isinstance(image, Figure) else open_image(image))
    wide, high = image.size
    return (
        f'<img src="{data_uri(image)}" alt="{html.escape(alt)}" width="{wide}" height="{high}" '
        f'style="width: {html.escape(width)}">'
    )


# --- Views --------------------------------------------------------------------------------------------------


def stack_view(
    labels: Sequence[str],
    images: Sequence[Image.Image | Figure | Any],
    alt: Sequence[str] | None = None,
    *,
    width: str = "420px",
    description: str = "",
    selected: int = 0,
) -> Choices:
    """Buttons that choose which of several pictures is seen.

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
    Choices

    Raises
    ------
    ValueError
        If there are no labels, not as many labels, images and texts, or no picture number ``selected``.
    """
    labels, images = tuple(map(str, labels)), list(images)
    alt = labels if alt is None else list(alt)
    if not labels or not len(labels) == len(images) == len(alt):
        raise ValueError(
            f"got {len(labels)} labels, {len(images)} images and {len(alt)} texts; expected as many of each"
        )
    if not 0 <= selected < len(labels):
        raise ValueError(f"selected = {selected}; expected 0 to {len(labels) - 1}")
    panels = tuple(_panel(image, text, width) for image, text in zip(images, alt, strict=True))
    return Choices(labels, panels, legend=description, selected=selected)


def word_view(
    explanation: Explanation, image: Any, words: Sequence[str | int] | None = None, *, width: str = "420px"
) -> Choices:
    """The map of a word, chosen by buttons; all maps share one colour scale.

    Parameters
    ----------
    explanation, image : as for :func:`fixlip_helpers.showing.plots.heat`
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


def guess(choices: Sequence[str], question: str = "Your guess") -> Choices:
    """Choices to commit oneself to before reading on; :func:`replies` to the same choices returns to them.

    Parameters
    ----------
    choices : sequence of at least two different str
        Plain text.
    question : str
        What is asked.

    Raises
    ------
    ValueError
        If there are fewer than two choices, or two are the same.
    """
    choices = (choices,) if isinstance(choices, str) else tuple(choices)
    if len(set(choices)) < max(2, len(choices)):
        raise ValueError(f"choices = {choices!r}; expected at least two, all different")
    noted = "Noted: the last section returns to your guess."
    return Choices(choices, legend=question, listed=True, guess=name_of(choices), noted=noted)


def replies(choices: Sequence[str], texts: Sequence[str], question: str = "Your guess") -> Choices:
    """What became of a guess: on its page the reply to the reader's own choice, else to the one chosen here.

    Parameters
    ----------
    choices : sequence of k str
        Those of the :func:`guess`.
    texts : sequence of k str
        One reply for each, plain text.
    question : str
        As in the guess.

    Raises
    ------
    ValueError
        If there are not as many texts as choices.
    """
    choices, texts = tuple(choices), tuple(texts)
    if len(choices) != len(texts):
        raise ValueError(f"got {len(choices)} choices and {len(texts)} texts; expected as many of each")
    panels = tuple(f"<p>{html.escape(text)}</p>" for text in texts)
    return Choices(choices, panels, legend=question, listed=True, replies_to=name_of(choices))


# --- The explorer -------------------------------------------------------------------------------------------


def _modules() -> str:
    """The explorer's modules as one script: what they import from each other is simply above."""
    sources = [(web() / name).read_text(encoding="utf-8") for name in ("explanation.js", "explorer.js")]
    return re.sub(r"^export |^import .*\n", "", "\n".join(sources), flags=re.MULTILINE)


def _inline_json(record: Any) -> str:
    """JSON that can stand inside a script element, whatever its strings hold."""
    text = json.dumps(record, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return text.translate({ord(c): f"\\u{ord(c):04x}" for c in "<>&\u2028\u2029"})


def explorer_page(
    explanation: Explanation,
    image: Any,
    *,
    header: str = "",
    footer: str = "",
    padding: str = "1rem",
    brief: bool = False,
) -> str:
    """One HTML page with the explorer of an explanation; it holds all it needs and asks no network.

    Parameters
    ----------
    explanation : Explanation
        With ``meta["grid"]`` or ``meta["image_groups"]``. Its numbers go into the page with six significant digits.
    image : picture or Picture
        As for :func:`fixlip_helpers.showing.plots.heat`.
    header, footer : str
        HTML around the explorer.
    padding : str
        CSS padding of the page.
    brief : bool
        The caption, the picture and the strongest partners only, for a place where little height is left.

    Returns
    -------
    str

    Raises
    ------
    ValueError
        If it is not known where the image players are (:func:`fixlip_helpers.show.tiles_of`).
    """
    tiles_of(explanation)
    picture_and_box(image, explanation)  # refuses another model's
    picture = picture_record(image)
    record = explanation.to_dict()
    for numbers in ("main", "pairs"):
        record[numbers] = [float(f"{value:.6g}") for value in record[numbers]]
    return Template((web() / "page.html").read_text(encoding="utf-8")).substitute(
        title=html.escape(str(explanation.meta.get("caption") or "Explanation")),
        style=(web() / "explorer.css").read_text(encoding="utf-8"),
        padding=padding,
        header=header,
        footer=footer,
        kind=' class="fx-brief"' if brief else "",
        record=_inline_json(record),
        picture=_inline_json({**picture, "alt": f"{picture['alt']} {alt_text(explanation)}"}),
        modules=_modules(),
    )


def explorer(explanation: Explanation, image: Any, *, height: int = 720, brief: bool = False) -> HTML:
    """The explorer inside a notebook or a page of the book, in a frame of its own.

    Where a program takes the frame away (a saved notebook that is not trusted, GitHub), the explanation's own table
    and map stand in its place, below a sentence that says how to get the explorer back.

    Parameters
    ----------
    explanation, image, brief : as for :func:`explorer_page`
    height : int
        Pixels until the page has measured itself.
    """
    from IPython.display import HTML

    page = html.escape(explorer_page(explanation, image, padding="0.2rem", brief=brief))
    title = html.escape(f"Explorer: {explanation.meta.get('caption', 'explanation')}")
    still = copy(explanation)
    still.picture = image
    return HTML(
        "<style>.fx-explorer > iframe + div { display: none }</style>\n"
        f'<div class="fx-explorer"><iframe srcdoc="{page}" title="{title}" loading="lazy" '
        f'style="width: 100%; height: {height}px; border: 0"></iframe>\n'
        f"<div><p><i>{NO_FRAME}</i></p>{explanation_html(still)}</div></div>"
    )
