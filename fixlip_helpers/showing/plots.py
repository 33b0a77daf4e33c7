"""Figures of explanations: one colour code, one shared scale, the picture always underneath.

Red raises the similarity, blue lowers it, and the strength of a colour is linear in the number it shows:
the colour of a patch is the picture in grey, mixed with ``|value| / limit`` parts of red or blue. The limit
is symmetric, and shared by all maps of one figure: colours can be compared between words. Red and blue differ
for every common kind of colour blindness.

Figures carry their own white ground, so they read the same on light and on dark pages. Fonts are those that
matplotlib ships, and for what these lack those that are installed. Texts are drawn as they are written.

Every function takes ``image`` as a picture (PIL, array of shape (height, width, 3), or a path), which is then
taken for the whole of what the encoder sees, or as the ``Picture`` that a model's ``prepare_image`` returns,
which knows where in the original the encoder looked: heat is then drawn back onto the original.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache, wraps
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
from matplotlib import font_manager
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.collections import LineCollection
from matplotlib.colors import LinearSegmentedColormap, Normalize, to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import PathPatch, Rectangle
from matplotlib.path import Path
from PIL import Image, ImageOps

from fixlip_helpers.show import (
    LOWERS,
    RAISES,
    colour_limit,
    digits_for,
    headline,
    literal,
    share,
    shortened,
    signed,
    tile_name,
    tiles_of,
    value_name,
    word_index,
    words_of,
)
from fixlip_helpers.showing.maps import picture_and_box
from fixlip_helpers.switches import SWITCHES

if TYPE_CHECKING:
    from fixlip_helpers.explanation import Explanation

INK = "#1f2328"
MUTED = "#646c76"
COLOURS = LinearSegmentedColormap.from_list("raises_lowers", [LOWERS, "white", RAISES])

STYLE = {
    "font.family": "DejaVu Sans",
    "font.size": 10.0,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": "#b8bec6",
    "axes.titlesize": 10.5,
    "axes.titlelocation": "center",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.facecolor": "white",
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
    "figure.dpi": 100,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
}

# A figure of more maps than this is no longer read; the strongest words are kept.
MOST_MAPS = 24


_styles = 0  # how many of the following are open, one within the other


@contextmanager
def own_style(*shown: Any) -> Iterator[None]:
    """matplotlib with :data:`STYLE` and else its defaults, whatever the user's settings are; they come back after.

    All text is taken as it is: a dollar is a dollar, not the beginning of mathematics. For characters that its own
    font lacks, one is taken that is installed here and has them; else a warning says so.

    Parameters
    ----------
    *shown : str, Explanation, or lists and dictionaries of them
        What will be written into the figure.
    """
    global _styles
    families, lacking = _families(frozenset(_characters(shown)))
    with SWITCHES, mpl.rc_context(), warnings.catch_warnings():
        _styles += 1
        warnings.filterwarnings("ignore", "Glyph .* missing from", UserWarning)  # ours says more
        mpl.rcdefaults()
        mpl.rcParams.update(STYLE)
        mpl.rcParams["text.parse_math"] = False
        mpl.rcParams["font.family"] = [STYLE["font.family"], *families]
        try:
            yield
        finally:
            _styles -= 1
            outermost = _styles == 0
    if lacking and outermost:
        warnings.warn(
            f"figures show boxes in place of {' '.join(lacking[:8])}: no font that is installed here has them. "
            "Install one, such as Noto Sans CJK; the explanation itself and its page are not affected",
            FontWarning,
            stacklevel=4,
        )


def _styled(function: Callable) -> Callable:
    """Run a plotting function under :func:`own_style`."""

    @wraps(function)
    def wrapper(*args, **kwargs):
        with own_style(args, kwargs):
            made = function(*args, **kwargs)
            for ax in (
                made.axes if isinstance(made, Figure) else [made]
            ):  # else they are made when it is drawn
                for axis in (ax.xaxis, ax.yaxis):
                    axis.get_ticklabels()
            return made

    return wrapper


def _lines(text: str) -> str:
    """A title of several lines, each :func:`~fixlip_helpers.show.literal`."""
    return "\n".join(map(literal, text.split("\n")))


def _characters(shown: Any) -> set[str]:
    """The characters of all texts in arguments of a plotting function."""
    if isinstance(shown, str):
        return set(literal(shown))
    if hasattr(shown, "players") and hasattr(shown, "meta"):  # an explanation
        return _characters([shown.players, list(shown.meta.values())])
    if isinstance(shown, dict):
        return _characters(list(shown.values()))
    if isinstance(shown, (list, tuple)):
        return set().union(*map(_characters, shown))
    return set()


@lru_cache
def _families(characters: frozenset[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Installed fonts for characters that the figures' own font lacks, and the characters that none of them has."""
    own = font_manager.get_font(font_manager.findfont(STYLE["font.family"]))
    lacking = {c for c in characters if c.isprintable() and not own.get_char_index(ord(c))}
    families = []
    installed = sorted(font_manager.fontManager.ttflist, key=lambda entry: (entry.weight != 400, entry.name))
    for entry in installed if lacking else ():
        if "Last" in entry.name and "Resort" in entry.name:  # has a box for everything
            continue
        try:
            font = font_manager.get_font(entry.fname)
        except Exception:  # a font file that is damaged, or of a kind that matplotlib does not read
            continue
        has = {c for c in lacking if font.scalable and font.get_char_index(ord(c))}
        if has:
            families.append(entry.name)
            lacking -= has
    return tuple(families), tuple(sorted(lacking))


class FontWarning(UserWarning):
    """Characters that no installed font can show in a figure."""


# --- The picture under the heat -----------------------------------------------------------------------------


def _on_tiles(explanation: Explanation, values: np.ndarray) -> np.ndarray:
    """Numbers of image players, (n_image,), on their tiles, (rows, columns); 0 on what is always visible."""
    grid, owner = tiles_of(explanation)
    return np.append(values, 0.0)[owner].reshape(grid)


def faded(picture: Image.Image) -> np.ndarray:
    """A picture in light grey, (height, width, 3) float64 in 0..1: the only colours are those of the heat."""
    grey = np.asarray(ImageOps.autocontrast(picture.convert("L"), cutoff=1), dtype=float) / 255.0
    return np.repeat((0.54 + 0.44 * grey)[..., None], 3, axis=2)


def heat_colours(values: np.ndarray, limit: float) -> np.ndarray:
    """Red or blue, as opaque as the value is strong: (...) float -> (..., 4) RGBA in 0..1."""
    values = np.asarray(values, dtype=float)
    colours = np.where((values > 0)[..., None], to_rgb(RAISES), to_rgb(LOWERS))
    strength = np.clip(np.abs(values) / limit, 0, 1)
    return np.concatenate([colours, 0.9 * strength[..., None]], axis=-1)


def _frame(ax: Axes, picture: Image.Image | np.ndarray, box: tuple[float, float, float, float]) -> None:
    """Show a picture without axes, what the encoder does not see under a white veil."""
    height, width = np.asarray(picture).shape[:2]
    ax.imshow(np.asarray(picture), extent=(0, width, height, 0))
    left, top, right, bottom = box
    veil = {"facecolor": "white", "alpha": 0.65, "linewidth": 0}
    ax.add_patch(Rectangle((0, 0), left, height, **veil))
    ax.add_patch(Rectangle((right, 0), width - right, height, **veil))
    ax.add_patch(Rectangle((left, 0), right - left, top, **veil))
    ax.add_patch(Rectangle((left, bottom), right - left, height - bottom, **veil))
    ax.set(xlim=(0, width), ylim=(height, 0))
    ax.set_axis_off()


def colour_key(ax: Axes, limit: float, label: str = "") -> None:
    """Fill an axes with the colour scale from ``-limit`` (blue, lowers) to ``limit`` (red, raises)."""
    bar = ax.figure.colorbar(
        ScalarMappable(Normalize(-limit, limit), COLOURS), cax=ax, orientation="horizontal"
    )
    digits = digits_for(limit)
    bar.set_ticks(
        [-limit, 0, limit],
        labels=[f"{signed(-limit, digits)} lowers", "0", f"{signed(limit, digits)} raises"],
    )
    ax.tick_params(length=2, labelsize=8.5)
    bar.outline.set_edgecolor("#b8bec6")
    if label:
        ax.set_title(_lines(label), fontsize=9, color=MUTED, pad=4)


def _unit(explanation: Explanation) -> str:
    """The unit of an explanation's numbers, in brackets."""
    return "(logits)" if explanation.index in ("FWBII", "FSII") else "(the method's own unit)"


@_styled
def patch_heat(
    values: np.ndarray,
    image: Any,
    *,
    ax: Axes | None = None,
    limit: float | None = None,
    title: str = "",
    key: str | None = "",
) -> Axes:
    """Draw one number for each patch over the picture.

    Parameters
    ----------
    values : ndarray, shape (rows, columns), float
        Of each patch. Positive is red, negative blue.
    image : picture or Picture
    ax : Axes, optional
        Default: a new figure, 3.4 inches wide.
    limit : float, optional
        Where the colours end; default: the largest absolute value.
    title : str
    key : str or None
        Label of the colour scale below the picture; ``None`` leaves the scale away.

    Returns
    -------
    Axes

    Raises
    ------
    ValueError
        If ``values`` has not two axes.
    """
    values = np.asarray(values, dtype=float)
    if values.ndim != 2:
        raise ValueError(f"values has shape {values.shape}; expected (rows, columns) of the patch grid")
    limit = colour_limit(values) if limit is None else limit
    picture, box = picture_and_box(image)
    if ax is None:
        scale = min(3.2 / picture.width, 4.2 / picture.height)  # inches for a pixel
        wide, tall = scale * picture.width, scale * picture.height
        figure = plt.figure(figsize=(3.4, tall + 0.95))  # 0.3 for the title, 0.65 for the scale
        area = ((3.4 - wide) / 2 / 3.4, 0.65 / (tall + 0.95), wide / 3.4, tall / (tall + 0.95))
        ax = figure.add_axes(area)
    _frame(ax, faded(picture), box)
    left, top, right, bottom = box
    ax.imshow(heat_colours(values, limit), extent=(left, right, bottom, top), interpolation="nearest")
    rows, columns = values.shape
    lines = {"color": "white", "linewidth": 0.5, "alpha": 0.55}
    ax.vlines(np.linspace(left, right, columns + 1)[1:-1], top, bottom, **lines)
    ax.hlines(np.linspace(top, bottom, rows + 1)[1:-1], left, right, **lines)
    ax.set(xlim=(0, picture.width), ylim=(picture.height, 0))
    if title:
        ax.set_title(_lines(title), pad=5)
    if key is not None:
        high = ax.get_position().height * ax.figure.get_size_inches()[1]
        colour_key(ax.inset_axes((0.12, -0.19 / high, 0.76, 0.09 / high)), limit)
        place = {"ha": "center", "va": "top", "fontsize": 8.5, "color": MUTED}
        ax.text(0.5, -0.42 / high, _lines(key), transform=ax.transAxes, **place)
    return ax


# --- Maps of an explanation ---------------------------------------------------------------------------------


def heat(
    explanation: Explanation,
    image: Any,
    word: str | int | None = None,
    *,
    ax: Axes | None = None,
    limit: float | None = None,
    title: str | None = None,
    key: str | None = "",
) -> Axes:
    """The patches of one word, or the first-order values of all patches, over the picture.

    With a word, a patch shows its interaction ``e_ij`` with that word: how much the patch's effect changes
    when the word enters (not "this patch shows the word"). Without, a patch shows ``first_order()``: by
    Theorem 1 of the FIxLIP paper its p-weighted Banzhaf value.

    Parameters
    ----------
    explanation : Explanation
        Its image players are the patches of ``meta["grid"]``, or the groups of ``meta["image_groups"]``.
    image : picture or Picture
    word : str or int, optional
        A text player's name, or its position from 0.
    ax : Axes, optional
        Default: a new figure.
    limit : float, optional
        Where the colours end. Default: the largest absolute interaction of *any* word with any patch, so that
        maps of different words compare; without a word, the largest absolute value of a patch.
    title : str, optional
        Default: the word and the sum of its map.
    key : str or None
        Label of the colour scale; default: what the colours show, with its unit. ``None`` leaves the scale away.

    Returns
    -------
    Axes

    Raises
    ------
    ValueError
        If the word is unknown or ambiguous, or it is not known where the image players are (:func:`tiles_of`).
    """
    if word is None:
        values = explanation.first_order()[: explanation.n_image]
        name, shown = "first-order values", value_name(explanation)
        limit = colour_limit(values) if limit is None else limit
    else:
        place = word_index(explanation, word)
        values = explanation.cross_modal()[:, place]
        name, shown = words_of(explanation)[place], "interaction with the word"
        limit = colour_limit(explanation.cross_modal()) if limit is None else limit
    title = f"{name}  (sum {signed(values.sum(), digits_for(limit))})" if title is None else title
    key = f"{shown} {_unit(explanation)}" if key == "" else key
    picture_and_box(image, explanation)
    return patch_heat(_on_tiles(explanation, values), image, ax=ax, limit=limit, title=title, key=key)


@_styled
def heat_grid(
    explanation: Explanation,
    image: Any,
    words: Sequence[str | int] | None = None,
    *,
    columns: int | None = None,
    limit: float | None = None,
) -> Figure:
    """The maps of several words side by side, on one shared colour scale.

    Parameters
    ----------
    explanation, image : as for :func:`heat`
    words : sequence of str or int, optional
        Default: all words, or the 24 with the strongest maps, in the caption's order.
    columns : int, optional
        Maps in a row; default up to 6.
    limit : float, optional
        As for :func:`heat`.

    Returns
    -------
    Figure
        2 inches wide for each map.
    """
    places = (
        _maps_to_draw(explanation) if words is None else [word_index(explanation, word) for word in words]
    )
    columns = columns or _columns(len(places), 6)
    rows = math.ceil(len(places) / columns)
    picture, _ = picture_and_box(image, explanation)
    size, label, foot = 2.0, 0.32, 0.55
    height = size * picture.height / picture.width
    total = rows * (height + label) + foot
    figure = plt.figure(figsize=(columns * size, total))
    _draw_maps(figure, explanation, image, places, columns, limit, (0.0, total), size, height, label)
    _draw_key(figure, limit or colour_limit(explanation.cross_modal()), explanation, columns * size / 2, 0.12)
    return figure


def _columns(maps: int, most: int) -> int:
    """Columns that fill their rows evenly."""
    return max(1, math.ceil(maps / math.ceil(maps / most))) if maps else 1


def _maps_to_draw(explanation: Explanation) -> list[int]:
    """The words whose maps are drawn: all, or the strongest, in the caption's order."""
    strength = np.abs(explanation.cross_modal()).sum(axis=0)
    return sorted(np.argsort(-strength, kind="stable")[:MOST_MAPS].tolist())


def _draw_maps(
    figure: Figure,
    explanation: Explanation,
    image: Any,
    places: Sequence[int],
    columns: int,
    limit: float | None,
    corner: tuple[float, float],
    size: float,
    height: float,
    label: float,
) -> None:
    """Draw maps in rows from the corner (left, top; inches from the lower left of the figure)."""
    wide, high = figure.get_size_inches()
    for number, place in enumerate(places):
        left = corner[0] + number % columns * size + 0.04
        low = corner[1] - (number // columns + 1) * (height + label) + 0.04
        ax = figure.add_axes((left / wide, low / high, (size - 0.08) / wide, (height - 0.08) / high))
        heat(explanation, image, place, ax=ax, limit=limit, key=None, title="")
        name, total = words_of(explanation)[place], explanation.cross_modal()[:, place].sum()
        digits = digits_for(colour_limit(explanation.cross_modal()))
        colour = RAISES if total > 0 else LOWERS
        ax.text(
            0, 1.03, shortened(name, 16), transform=ax.transAxes, fontsize=10.5, weight="bold", va="bottom"
        )
        ax.text(
            1,
            1.03,
            signed(total, digits),
            transform=ax.transAxes,
            fontsize=9,
            color=colour,
            ha="right",
            va="bottom",
        )


def _draw_key(figure: Figure, limit: float, explanation: Explanation, centre: float, low: float) -> None:
    """A colour scale centred at a place (inches)."""
    wide, high = figure.get_size_inches()
    ax = figure.add_axes(((centre - 1.1) / wide, (low + 0.1) / high, 2.2 / wide, 0.09 / high))
    colour_key(
        ax,
        limit,
        f"interaction of a {tile_name(explanation)} with the word {_unit(explanation)}; beside each word: its sum",
    )


@_styled
def value_bars(
    values: np.ndarray, names: Sequence[str], *, ax: Axes | None = None, label: str = "value (logits)"
) -> Axes:
    """Signed numbers as horizontal bars, from top to bottom, each with its number.

    Parameters
    ----------
    values : ndarray, shape (k,), float
    names : sequence of k str
    ax : Axes, optional
        Default: a new figure, 0.32 inches high for each bar.
    label : str
        What is measured, with its unit.

    Raises
    ------
    ValueError
        If there are not as many names as values.
    """
    values = np.asarray(values, dtype=float)
    if values.shape != (len(names),):
        raise ValueError(f"values has shape {values.shape}, but there are {len(names)} names")
    if ax is None:
        _, ax = plt.subplots(figsize=(4.6, 0.32 * len(values) + 0.9), layout="constrained")
    rows = np.arange(len(values))
    ax.barh(rows, values, height=0.66, color=[RAISES if value > 0 else LOWERS for value in values])
    limit = colour_limit(values)
    for row, value in zip(rows, values, strict=True):
        side = 1 if value >= 0 else -1
        ax.text(value + side * 0.03 * limit, row, signed(value, digits_for(limit)), va="center", fontsize=9,
                ha="left" if side > 0 else "right", color=RAISES if value > 0 else LOWERS)  # fmt: skip
    ax.axvline(0, color=INK, linewidth=0.8)
    ax.set_yticks(rows, labels=[shortened(name, 18) for name in names], color=INK)
    ax.set_ylim(len(values) - 0.4, -0.6)
    low, high = min(0.0, values.min(initial=0)), max(0.0, values.max(initial=0))
    ax.set_xlim(
        low - (0.5 * limit if low < 0 else 0.05 * limit), high + (0.5 * limit if high > 0 else 0.05 * limit)
    )
    ax.xaxis.set_major_locator(mpl.ticker.MaxNLocator(5))
    ax.set_xlabel(_lines(label), fontsize=9)
    ax.tick_params(axis="y", length=0)
    ax.spines["left"].set_visible(False)
    return ax


def word_bars(explanation: Explanation, *, ax: Axes | None = None) -> Axes:
    """The first-order value of every word, in the caption's order."""
    return value_bars(
        explanation.first_order()[explanation.n_image :],
        words_of(explanation),
        ax=ax,
        label=f"{value_name(explanation)} {_unit(explanation)}",
    )


def _link_layout(picture: Image.Image, words: int) -> tuple[float, float, float, float, np.ndarray]:
    """Where words stand beside a picture, in pixels: unit of length, width, bottom, top, their centres."""
    unit = max(picture.width, 0.6 * picture.height)
    tall = max(picture.height, 0.062 * unit * words)
    lane = tall / max(words, 6)
    lanes = picture.height / 2 + (np.arange(words) - (words - 1) / 2) * lane
    return unit, picture.width + 0.5 * unit, (picture.height + tall) / 2, (picture.height - tall) / 2, lanes


@_styled
def top_pairs(explanation: Explanation, image: Any, k: int = 10, *, ax: Axes | None = None) -> Axes:
    """The ``k`` strongest patch-word pairs as links between the picture and the caption.

    Parameters
    ----------
    explanation, image : as for :func:`heat`
    k : int
        How many links; the wider and darker, the stronger.
    ax : Axes, optional
        Default: a new figure.

    Returns
    -------
    Axes
    """
    (rows, columns), owner = tiles_of(explanation)
    picture, (left, top, right, bottom) = picture_and_box(image, explanation)
    words, terms = words_of(explanation), explanation.top(k, "cross")
    unit, across, low, high, lanes = _link_layout(picture, len(words))
    if ax is None:
        ax = plt.figure(figsize=(5.6, 5.6 * (low - high) / across)).add_axes((0.01, 0.01, 0.98, 0.98))
    _frame(ax, picture, (left, top, right, bottom))
    ax.set(xlim=(0, across), ylim=(low, high), aspect="equal")
    word_end = picture.width + 0.215 * unit

    linked = {term.players[1] - explanation.n_image for term in terms if term.value}
    # A lane in points, so that long captions stay apart.
    points = (
        ax.get_window_extent().height
        / ax.figure.dpi
        * 72
        / (low - high)
        * (lanes[1] - lanes[0] if len(lanes) > 1 else unit)
    )
    for place, name in enumerate(words):
        ax.text(word_end + 0.02 * unit, lanes[place], shortened(name, 14), va="center", ha="left",
                fontsize=min(11.5, 0.8 * points), color=INK if place in linked else "#7d858f",
                weight="bold" if place in linked else "normal")  # fmt: skip

    limit = colour_limit(np.array([term.value for term in terms]))
    wide, tall = (right - left) / columns, (bottom - top) / rows
    for term in reversed(terms):  # the strongest on top
        if not term.value:
            continue
        place = term.players[1] - explanation.n_image
        own = (owner == term.players[0]).reshape(rows, columns)
        x, y = (_middle(own) + 0.5) * (wide, tall) + (left, top)
        colour, strength = (RAISES if term.value > 0 else LOWERS), abs(term.value) / limit
        end = (word_end, lanes[place])
        curve = Path([(x, y), (x + 0.35 * unit, y), (end[0] - 0.25 * unit, end[1]), end],
                     [Path.MOVETO, Path.CURVE4, Path.CURVE4, Path.CURVE4])  # fmt: skip
        ax.add_patch(
            PathPatch(curve, fill=False, edgecolor="white", linewidth=1.6 + 4.2 * strength, alpha=0.75)
        )
        ax.add_patch(
            PathPatch(curve, fill=False, edgecolor=colour, linewidth=0.8 + 3.2 * strength, alpha=0.9)
        )
        edges = _outline(own) * (wide, tall) + (left, top)
        for line_colour, width in (("white", 3.2), (colour, 1.8)):
            ax.add_collection(
                LineCollection(edges, colors=line_colour, linewidths=width, capstyle="projecting")
            )
        ax.plot(*end, "o", color=colour, markersize=4.5)
    return ax


def _middle(own: np.ndarray) -> np.ndarray:
    """Column and row of the tile that is nearest to the centre of some tiles, (rows, columns) bool -> (2,) int."""
    tiles = np.argwhere(own)
    return tiles[np.square(tiles - tiles.mean(axis=0)).sum(axis=1).argmin()][::-1]


def _outline(own: np.ndarray) -> np.ndarray:
    """The edges around some tiles, (rows, columns) bool -> (k, 2, 2): two ends, each (column, row)."""
    padded = np.pad(own, 1)
    level = np.argwhere(padded[1:, 1:-1] != padded[:-1, 1:-1])  # between a tile and the one below it
    upright = np.argwhere(padded[1:-1, 1:] != padded[1:-1, :-1])
    ends = [np.stack([edges, edges + step], axis=1) for edges, step in ((level, (0, 1)), (upright, (1, 0)))]
    return np.concatenate(ends)[..., ::-1].astype(float)


@_styled
def prediction_scatter(
    actual: np.ndarray, predicted: np.ndarray, *, ax: Axes | None = None, label: str = ""
) -> Axes:
    """The game's values against the explanation's, a dot a coalition; the closer to the line, the better.

    Parameters
    ----------
    actual, predicted : ndarray, shape (m,), float
        Values of the game and of the surrogate on the same coalitions (held out, or the picture flatters).
    ax : Axes, optional
    label : str
        Goes before the R² in the title.

    Returns
    -------
    Axes

    Raises
    ------
    ValueError
        If the shapes differ or there are fewer than two coalitions.
    """
    actual, predicted = np.asarray(actual, dtype=float), np.asarray(predicted, dtype=float)
    if actual.ndim != 1 or actual.shape != predicted.shape or len(actual) < 2:
        raise ValueError(
            f"actual {actual.shape} and predicted {predicted.shape}; expected two arrays of m >= 2 values"
        )
    if ax is None:
        _, ax = plt.subplots(figsize=(4.2, 4.2), layout="constrained")
    low, high = min(actual.min(), predicted.min()), max(actual.max(), predicted.max())
    margin = 0.04 * (high - low or 1)
    ends = (low - margin, high + margin)
    ax.plot(ends, ends, color=MUTED, linewidth=1, zorder=1)
    ax.scatter(
        predicted,
        actual,
        s=14,
        color=INK,
        alpha=max(0.15, min(0.7, 150 / len(actual))),
        linewidth=0,
        zorder=2,
    )
    variance = ((actual - actual.mean()) ** 2).sum()
    r2 = 1 - ((actual - predicted) ** 2).sum() / variance if variance > 0 else float("nan")
    ax.set(
        xlim=ends,
        ylim=ends,
        aspect="equal",
        xlabel="explanation's value (logits)",
        ylabel="game's value (logits)",
    )
    ax.set_title(f"{_lines(label)}  R² = {share(r2)}".strip())
    return ax


# --- The whole explanation ----------------------------------------------------------------------------------


@_styled
def explanation_figure(explanation: Explanation, image: Any, *, k: int = 8) -> Figure:
    """Picture, caption, strongest pairs, values of the words, heat of every word: one explanation on a page.

    An explanation without cross-modal pairs gets the map of its patches' values instead.

    Parameters
    ----------
    explanation, image : as for :func:`heat`
    k : int
        How many pairs are drawn as links.

    Returns
    -------
    Figure
        10 inches wide.
    """
    picture, _ = picture_and_box(image, explanation)
    ratio = picture.height / picture.width
    paired = bool(explanation.cross_modal().any())
    places = _maps_to_draw(explanation) if paired else []
    columns = _columns(len(places), 6)
    wide, head, label, foot = 10.0, 0.85, 0.32, 0.68 if paired else 0.45
    _, across, bottom, top, lanes = _link_layout(picture, len(words_of(explanation)))
    scale = min(5.8 / across, 6.0 / (bottom - top))  # inches for each pixel of the upper band's picture
    band = max((bottom - top) * scale, 2.0)
    size = min(2.1, wide / columns)
    maps = math.ceil(len(places) / columns) * (size * ratio + label)
    high = head + band + (0.75 + maps if paired else 0.3) + foot
    figure = plt.figure(figsize=(wide, high))

    caption = explanation.meta.get("caption") or " ".join(words_of(explanation))
    figure.text(
        0.15 / wide, 1 - 0.3 / high, f"“{shortened(caption, 80)}”", fontsize=15, weight="bold", va="center"
    )
    figure.text(0.15 / wide, 1 - 0.58 / high, headline(explanation), fontsize=9.5, color=MUTED, va="center")

    low = high - head - band
    if paired:  # words stand once, between their links and their bars
        links = figure.add_axes(
            (0.15 / wide, low / high, across * scale / wide, (bottom - top) * scale / high)
        )
        top_pairs(explanation, image, k, ax=links)
        area = (across * scale + 0.35, low, wide - across * scale - 0.6, (bottom - top) * scale)
        bars = figure.add_axes((area[0] / wide, area[1] / high, area[2] / wide, area[3] / high))
        word_bars(explanation, ax=bars)
        lane = lanes[1] - lanes[0] if len(lanes) > 1 else (bottom - top) / 6
        bars.set_ylim((bottom - lanes[0]) / lane, (top - lanes[0]) / lane)
        bars.tick_params(axis="y", labelleft=False)
        left = (wide - columns * size) / 2
        _draw_maps(
            figure, explanation, image, places, columns, None, (left, low - 0.75), size, size * ratio, label
        )
        _draw_key(figure, colour_limit(explanation.cross_modal()), explanation, wide / 2, 0.17)
    else:
        shown = min(5.0, band / ratio)
        area = (0.15 / wide, (low + band - shown * ratio) / high, shown / wide, shown * ratio / high)
        heat(explanation, image, ax=figure.add_axes(area), title="")
        rows = min(band, 0.36 * len(lanes) + 0.2)
        word_bars(
            explanation,
            ax=figure.add_axes(((shown + 1.5) / wide, (low + band - rows) / high, 4.0 / wide, rows / high)),
        )
    return figure
