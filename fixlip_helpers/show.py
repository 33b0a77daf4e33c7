"""How objects show themselves as the last line of a cell: short text, and HTML for notebooks.

What is shown is the same from run to run, so that stored outputs can be compared: no seconds and no addresses in
memory. (Seconds are in ``meta["seconds"]``, and in ``summary(seconds=True)``.)

The HTML reads where styles are stripped, as in GitHub's viewer and in notebooks that are not trusted: signs are
characters, bars are characters, the map has a text. Colours keep a contrast of 4 on white and on dark pages. Text of
users is escaped, and none of it is taken for a formula.
"""

from __future__ import annotations

import base64
import html
import io
import math
import unicodedata
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from fixlip_helpers.explanation import Explanation, Term
    from fixlip_helpers.games import VisionLanguageGame

POOR_FIT = 0.7
"""Held-out R² below which a fit is called poor: a convention of this package, not a theorem."""

RAISES, LOWERS = "#c4161c", "#1f5fbf"  # in figures, on white
BAR_RAISES, BAR_LOWERS = "#de3d42", "#3f7ddb"  # in HTML, on white and on dark

BAR = 10  # characters of the longest bar
EIGHTHS = "▏▎▍▌▋▊▉█"
TERMS_SHOWN = 8
MAP_PIXELS = 160
LEVELS = 16  # of a small map's colours and greys: what rounding moves by less stays the same


class Pictured:
    """What belongs to a picture, kept at hand so that it can be drawn; it is neither saved nor copied.

    Attributes
    ----------
    picture : Picture, picture or None
        As :func:`fixlip_helpers.plots.heat` takes it.
    """

    picture = None

    def __getstate__(self) -> dict:
        return {name: value for name, value in self.__dict__.items() if name != "picture"}


# --- Numbers as text ------------------------------------------------------------------------------------------


def colour_limit(*values: np.ndarray) -> float:
    """The largest absolute value, where colours end; 1.0 if all values are zero.

    Parameters
    ----------
    *values : arrays of any shape
        Everything that is to share one colour scale.
    """
    largest = max((float(np.abs(v).max()) for v in map(np.asarray, values) if v.size), default=0.0)
    return largest if largest > 0 else 1.0


def signed(value: float, digits: int = 2) -> str:
    """A number with its sign, a true minus: ``signed(-1.9) == '−1.90'``; what rounds to zero has no sign."""
    text = f"{value:+.{digits}f}"
    return text.lstrip("+-") if float(text) == 0 else text.replace("-", "−")


def share(r2: float) -> str:
    """An R² as text: three decimals, a true minus."""
    return f"{r2:.3f}".replace("-", "−")


def digits_for(limit: float) -> int:
    """Decimals that show three figures of the largest of some numbers: 2 for 2.73, 3 for 0.142."""
    return max(0, 2 - math.floor(math.log10(limit))) if limit < 100 else 0


def literal(text: str) -> str:
    """A text that any font can be asked for: for control characters and half surrogate pairs stands the sign U+FFFD."""
    return "".join("\ufffd" if unicodedata.category(c) in ("Cc", "Cs") else c for c in text)


def shortened(text: str, most: int) -> str:
    """At most ``most`` characters, an ellipsis for what was cut."""
    text = literal(text)
    return text if len(text) <= most else text[: most - 1] + "…"


def judgement(r2: float | None) -> str:
    """What a held-out R² allows, in plain words.

    R² is the share of the score's variance over coalitions that the explanation accounts for, on coalitions
    that it was not fitted to. The bounds 0.9 and 0.7 are ours, a convention and not a theorem.
    """
    if r2 is None or not math.isfinite(r2):
        return "not measured: do not rely on this explanation before you have measured it"
    if r2 >= 0.9:
        return "good: the explanation follows the model closely on masked inputs"
    if r2 >= POOR_FIT:
        return "fair: trust the strongest terms and their signs, not the small ones"
    return "poor: the explanation misses much of what the model does; do not read it before the fit is better"


def count(number: int, thing: str) -> str:
    """``1 patch``, ``64 patches``, ``4,096 coalitions``."""
    plural = (
        f"{thing}es" if thing.endswith("ch") else f"{thing[:-1]}ies" if thing.endswith("y") else f"{thing}s"
    )
    return f"{number:,} {thing if number == 1 else plural}"


# --- HTML -----------------------------------------------------------------------------------------------------


def safe(text: Any) -> str:
    """Text for HTML: escaped, and with nothing that MathJax could take for a formula."""
    escaped = html.escape(literal(str(text)))
    for sign in ("$", "\\"):  # a formula does not reach across an element
        escaped = escaped.replace(sign, f"<span>{sign}</span>")
    return escaped


def framed(*parts: str) -> str:
    """Parts of HTML as one output, in which no formulas are looked for."""
    return f'<div class="tex2jax_ignore mathjax_ignore">{"".join(part for part in parts if part)}</div>'


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table of cells that are HTML already; numbers stand to the right."""

    def line(cells: Sequence[str], tag: str) -> str:
        return "".join(
            f'<{tag} style="text-align:{"right" if _is_number(column) else "left"}">{cell}</{tag}>'
            for column, cell in zip(columns, cells, strict=True)
        )

    columns = [[row[k] for row in rows] for k in range(len(head))]
    body = "".join(f"<tr>{line(row, 'td')}</tr>" for row in rows)
    return f"<table><thead><tr>{line(head, 'th')}</tr></thead><tbody>{body}</tbody></table>"


def _is_number(column: Sequence[str]) -> bool:
    return bool(column) and all(
        cell[:1] in "+−±0123456789" and cell[-1:].isdigit() for cell in column if cell
    )


def bar(value: float, limit: float) -> str:
    """A bar of characters, in the colour of its sign."""
    eighths = round(8 * BAR * min(1.0, abs(value) / limit))
    blocks = "█" * (eighths // 8) + (EIGHTHS[eighths % 8 - 1] if eighths % 8 else "")
    colour = BAR_RAISES if value > 0 else BAR_LOWERS
    return f'<span aria-hidden="true" style="color:{colour}">{blocks}</span>' if blocks else ""


def terms_table(terms: Sequence[Term], errors: Sequence[float] | None = None) -> str:
    """Terms as a table: value, with its standard error where it is known, bar, names of the players."""
    limit = colour_limit(np.array([term.value for term in terms]))
    digits, most = digits_for(limit), max((len(term.names) for term in terms), default=1)
    head = ["value", *(["s.e."] if errors is not None else []), "", "player" if most == 1 else "players"]
    head += [""] * (most - 1)
    rows = []
    for number, term in enumerate(terms):
        error = [] if errors is None else [f"±{errors[number]:.{digits}f}"]
        names = [safe(name) for name in term.names] + [""] * (most - len(term.names))
        rows.append([signed(term.value, digits), *error, bar(term.value, limit), *names])
    return table(head, rows)


# --- An explanation -------------------------------------------------------------------------------------------


def tile_name(explanation: Explanation | VisionLanguageGame) -> str:
    """What image players are called: "patch", "block" (of patches), "region", or "image player" after a merge."""
    groups = explanation.meta.get("image_groups")
    if groups:
        return "block" if "blocks" in groups else "region"
    grid = explanation.meta.get("grid")
    return "patch" if grid and grid[0] * grid[1] == explanation.n_image else "image player"


def players_of(explanation: Explanation | VisionLanguageGame) -> str:
    """How many players there are of each kind."""
    words = explanation.meta.get("words", ())
    whole = len(words) == explanation.n_text and all(len(players) == 1 for _, players in words)
    kinds = (explanation.n_image, tile_name(explanation)), (explanation.n_text, "word" if whole else "token")
    return " and ".join(count(number, name) for number, name in kinds if number) or "no players"


def described(explanation: Explanation) -> str:
    """Method, model and caption."""
    meta = explanation.meta
    text = meta.get("method", explanation.index)
    if "model" in meta:
        text += f" of {meta['model']}"
    return text


def facts_of(explanation: Explanation) -> list[str]:
    """Players, index and p, held-out R², and what the fit was held by."""
    meta, r2 = explanation.meta, explanation.meta.get("held_out_r2")
    facts = [players_of(explanation)]
    facts.append(explanation.index + ("" if explanation.p is None else f" at p = {explanation.p:g}"))
    if r2 is not None:
        facts.append(f"held-out R² {share(r2)}")
    for side, order in meta.get("order", {}).items():
        ridge = meta.get("ridge", {}).get(side, 0)
        if order == 1:
            facts.append(f"pairs within the {side} left out")
        elif ridge:
            facts.append(f"ridge {ridge:g} on pairs within the {side}")
    return facts


def explanation_text(explanation: Explanation) -> str:
    """One line: what, of what, and how good."""
    caption = explanation.meta.get("caption")
    quoted = "" if caption is None else f", {shortened(caption, 60)!r}"
    return f"<{described(explanation)}{quoted}: {', '.join(facts_of(explanation))}>"


def explanation_html(explanation: Explanation) -> str:
    """Facts, strongest terms, a small map where the picture is at hand, and the command that draws all."""
    meta = explanation.meta
    facts = facts_of(explanation)
    if meta.get("held_out_r2") is not None:
        facts[2] += f" ({judgement(meta['held_out_r2']).split(':')[0]})"
    passes = [f"{number:,} {side}" for side, number in meta.get("passes", {}).items()]
    if passes:
        facts.append(f"{' and '.join(passes)} passes")
    caption = f": “{safe(meta['caption'])}”" if "caption" in meta else ""
    header = f"<p><b>{safe(described(explanation))}</b>{caption}<br>{safe('; '.join(facts))}</p>"
    paired = bool(explanation.cross_modal().any())
    terms = explanation.top(TERMS_SHOWN, "cross" if paired else "all")
    errors = None
    if explanation.errors is not None:
        errors = [
            explanation.errors.pairs[term.players]
            if len(term.players) == 2
            else explanation.errors.main[term.players]
            for term in terms
        ]
    return framed(header, terms_table(terms, errors), _map(explanation, paired))


def _map(explanation: Explanation, paired: bool) -> str:
    """A small map of the strongest word, and the command that draws them all; nothing where no map can be drawn."""
    from fixlip_helpers.plots import alt_text, tiles_of

    try:
        tiles_of(explanation)
    except ValueError:  # merged patches, or players that are no patches
        return ""
    if explanation.picture is None:
        return "<p>Maps: <code>plots.explanation_figure(explanation, picture)</code></p>"
    cross = explanation.cross_modal()
    if paired:
        word = int(np.abs(cross).max(axis=0).argmax())
        values, limit, alt = cross[:, word], colour_limit(cross), alt_text(explanation, word)
        title = f"Map of “{safe(explanation.players[explanation.n_image + word])}”"
    else:
        values = explanation.first_order()[: explanation.n_image]
        limit, alt, title = colour_limit(values), alt_text(explanation), "Value of each place"
    return (
        f'<p><img src="{small_map(explanation, values, limit)}" alt="{html.escape(alt)}" width="{MAP_PIXELS}"><br>'
        f"{title}: red raises, blue lowers.<br>All maps: "
        "<code>plots.explanation_figure(explanation, explanation.picture)</code></p>"
    )


def small_map(explanation: Explanation, values: np.ndarray, limit: float) -> str:
    """Numbers of image players over the picture in grey, as a ``data:`` URI of a PNG.

    Greys and colours have :data:`LEVELS` steps, and all else is computed in whole numbers.
    """
    from PIL import Image, ImageColor, ImageOps

    from fixlip_helpers.plots import picture_and_box, tiles_of

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
