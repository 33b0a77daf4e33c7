"""How objects show themselves as the last line of a cell: short text, and HTML for notebooks.

What is shown is the same from run to run, so that stored outputs can be compared: no seconds and no addresses in
memory. (Seconds are in ``meta["seconds"]``, and in ``summary(seconds=True)``.)

The HTML reads where styles are stripped, as in GitHub's viewer and in notebooks that are not trusted: signs are
characters, bars are characters, the map has a text. Colours keep a contrast of 4 on white and on dark pages. Text of
users is escaped, and none of it is taken for a formula.
"""

from __future__ import annotations

import html
import math
import unicodedata
from collections.abc import Sequence
from typing import Any, ClassVar, Protocol

import numpy as np

POOR_FIT = 0.7
"""Held-out R² below which a fit is called poor: a convention of this package, not a theorem."""

RAISES, LOWERS = "#c4161c", "#1f5fbf"  # in figures, on white
BAR_RAISES, BAR_LOWERS = "#de3d42", "#3f7ddb"  # in HTML, on white and on dark

BAR = 10  # characters of the longest bar
MAP_PIXELS = 160
EIGHTHS = "▏▎▍▌▋▊▉█"
TERMS_SHOWN = 8


class HasPlayers(Protocol):
    """What is read here of an explanation, or of the game of a picture and a caption."""

    n_image: int
    n_text: int
    players: list[str]
    meta: dict


class Explained(HasPlayers, Protocol):
    """What else is read here of an :class:`~fixlip_helpers.explanation.Explanation`."""

    n_players: int
    index: str
    p: float | None
    errors: Any
    picture: Any
    artist: Artist

    def predict(self, coalitions: np.ndarray) -> np.ndarray: ...
    def first_order(self) -> np.ndarray: ...
    def cross_modal(self) -> np.ndarray: ...
    def top(self, k: int, kind: str) -> Sequence[Any]: ...


class Artist(Protocol):
    """Who draws: the module :mod:`~fixlip_helpers.showing.maps`."""

    def small_map(self, explanation: Pictured, values: np.ndarray, limit: float) -> str:
        """Numbers of image players, (n_image,), over the picture, as a ``data:`` URI."""
        ...

    def picture_record(self, image: Any) -> dict:
        """What a file or a page holds of a picture."""
        ...


class Pictured:
    """What belongs to a picture, kept at hand so that it can be drawn; it is neither saved nor copied.

    Attributes
    ----------
    picture : Picture, picture or None
        As :func:`fixlip_helpers.showing.plots.heat` takes it.
    artist : Artist
        Nothing down here opens a picture: ``fixlip_helpers/__init__`` puts in who does.
    """

    picture = None
    artist: ClassVar[Artist]

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


def terms_table(terms: Sequence[Any], errors: Sequence[float] | None = None) -> str:
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


# --- What there is to read of an explanation ---------------------------------------------------------------


def words_of(explanation: Explained) -> list[str]:
    """The names of the text players, in order."""
    return list(explanation.players[explanation.n_image :])


def word_index(explanation: Explained, word: str | int) -> int:
    """The position of a word among the text players, from 0.

    Parameters
    ----------
    word : str or int
        A name, or a position (needed where a name occurs twice).

    Raises
    ------
    ValueError
        If there is no such word, or if the name occurs more than once.
    """
    words = words_of(explanation)
    if isinstance(word, (int, np.integer)) and not isinstance(word, bool):
        if 0 <= word < len(words):
            return int(word)
        raise ValueError(f"word = {word}; expected a position from 0 to {len(words) - 1}")
    places = [place for place, name in enumerate(words) if name == word]
    if len(places) == 1:
        return places[0]
    if places:
        raise ValueError(
            f"word = {word!r} occurs at the positions {places}; give one of them instead of the name"
        )
    spelt = [members for text, members in explanation.meta.get("words", ()) if text == word]
    if spelt:
        raise ValueError(
            f"word = {word!r} is made of the players at the positions {[i - explanation.n_image for i in spelt[0]]}: "
            'give one of them, or make words players, text_players="words"'
        )
    raise ValueError(f"word = {word!r}; expected one of {words}")


def grid_of(explanation: Explained) -> tuple[int, int]:
    """Patch rows and columns of an explanation whose image players tile the picture.

    Raises
    ------
    ValueError
        If ``meta["grid"]`` is missing or does not fit, as after merging patches.
    """
    grid = explanation.meta.get("grid")
    if grid is None or int(grid[0]) * int(grid[1]) != explanation.n_image:
        raise ValueError(
            f'meta["grid"] = {grid} does not tile {explanation.n_image} image players: heat is drawn on an '
            "explanation whose image players are the patches of a grid, before patches are merged"
        )
    return int(grid[0]), int(grid[1])


def tiles_of(explanation: Explained) -> tuple[tuple[int, int], np.ndarray]:
    """The tiles that a picture is drawn in, and whose they are.

    Where image players tile the picture evenly, each is a tile. Other groups of patches (uneven blocks, superpixels)
    are drawn on their patches.

    Returns
    -------
    (rows, columns) : tuple of int
    owner : ndarray of int, shape (rows * columns,)
        The image player of each tile, row by row; -1 where it is always visible.

    Raises
    ------
    ValueError
        As :func:`grid_of`, where there are no ``meta["image_groups"]`` of these players either.
    """
    groups = explanation.meta.get("image_groups")
    if groups and "grid" not in explanation.meta and max(groups["owner"]) + 1 == explanation.n_image:
        return tuple(groups["grid"]), np.array(groups["owner"])
    return grid_of(explanation), np.arange(explanation.n_image)


def value_name(explanation: Explained) -> str:
    """What ``first_order()`` is for this kind of explanation."""
    if explanation.index == "FWBII":
        return "Banzhaf value" if explanation.p == 0.5 else f"Banzhaf value at p = {explanation.p:g}"
    return {"FSII": "Shapley value"}.get(explanation.index, "first-order value")


def scores(explanation: Explained) -> list[tuple[str, str, float | None]]:
    """The numbers that say what was asked and how well the explanation answers.

    Returns
    -------
    list of (symbol, meaning, number or None where unknown)
        The game's value of the full pair, the explanation's, their gap, and the held-out R².
    """
    everyone = np.ones((1, explanation.n_players), dtype=bool)
    predicted, r2 = float(explanation.predict(everyone)[0]), explanation.meta.get("held_out_r2")
    if explanation.meta.get("relative_to_empty"):
        return [
            ("ν(N) − ν(∅)", "the model's score above the empty input's (not published)", None),
            ("ν̂(N) − ν(∅)", "the explanation's, by extrapolation", predicted),
            ("R²", "on held-out coalitions (not published)", None),
        ]
    full = explanation.meta.get("full_value")
    return [
        ("ν(N)", "the model's score of the whole pair", full),
        ("ν̂(N)", "the explanation's, by extrapolation", predicted),
        ("ν̂(N) − ν(N)", "their gap", None if full is None else predicted - full),
        ("R²", "on held-out coalitions", r2),
    ]


def headline(explanation: Explained) -> str:
    """Model, method, p and scores in one line."""
    meta = explanation.meta
    parts = [meta.get("model"), meta.get("method")]
    parts += [f"p = {explanation.p:g}"] if explanation.p is not None else []
    if explanation.index in ("FWBII", "FSII"):
        for symbol, _, number in scores(explanation):
            if number is not None:
                parts.append(
                    f"held-out R² = {share(number)} ({judgement(number).split(':')[0]})"
                    if symbol == "R²"
                    else f"{symbol} = {signed(number)}"
                )
    return "   ·   ".join(literal(str(part)) for part in parts if part)


def spot(explanation: Explained, patch: int) -> str:
    """Where an image player is, counted from 1, as figures and the explorer say it; the name of a region."""
    name = tile_name(explanation)
    if name == "region":
        return explanation.players[patch]
    columns = explanation.meta["image_groups"]["blocks"][1] if name == "block" else grid_of(explanation)[1]
    return f"{name} in row {patch // columns + 1}, column {patch % columns + 1}"


def alt_text(explanation: Explained, word: str | int | None = None) -> str:
    """A figure in words, for readers who do not see it.

    With a word: the strongest patches of its map. Without: the words with their first-order values and the
    strongest pairs.
    """
    (rows, columns), _ = tiles_of(explanation)
    if word is not None:
        place = word_index(explanation, word)
        values = explanation.cross_modal()[:, place]
        name = words_of(explanation)[place]
        text = f"Heat of the word {name} over {rows} by {columns} patches, sum {signed(values.sum())}."
        for kind, patch in (("raises", int(values.argmax())), ("lowers", int(values.argmin()))):
            if (values[patch] > 0) == (kind == "raises") and values[patch] != 0:
                text += (
                    f" What {kind} most with it: the {spot(explanation, patch)} ({signed(values[patch])})."
                )
        return text
    values = explanation.first_order()[explanation.n_image :]
    text = (
        "Words with their values: "
        + ", ".join(f"{n} {signed(v)}" for n, v in zip(words_of(explanation), values, strict=True))
        + "."
    )
    pairs = [
        f"{term.names[1]} with the {spot(explanation, term.players[0])} {signed(term.value)}"
        for term in explanation.top(3, "cross")
        if term.value
    ]
    return text + (" Strongest pairs: " + "; ".join(pairs) + "." if pairs else "")


# --- An explanation -------------------------------------------------------------------------------------------


def tile_name(explanation: HasPlayers) -> str:
    """What image players are called: "patch", "block" (of patches), "region", or "image player" after a merge."""
    groups = explanation.meta.get("image_groups")
    if groups:
        return "block" if "blocks" in groups else "region"
    grid = explanation.meta.get("grid")
    return "patch" if grid and grid[0] * grid[1] == explanation.n_image else "image player"


def players_of(explanation: HasPlayers) -> str:
    """How many players there are of each kind."""
    words = explanation.meta.get("words", ())
    whole = len(words) == explanation.n_text and all(len(players) == 1 for _, players in words)
    kinds = (explanation.n_image, tile_name(explanation)), (explanation.n_text, "word" if whole else "token")
    return " and ".join(count(number, name) for number, name in kinds if number) or "no players"


def described(explanation: Explained) -> str:
    """Method, model and caption."""
    meta = explanation.meta
    text = meta.get("method", explanation.index)
    if "model" in meta:
        text += f" of {meta['model']}"
    return text


def facts_of(explanation: Explained) -> list[str]:
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


def explanation_text(explanation: Explained) -> str:
    """One line: what, of what, and how good."""
    caption = explanation.meta.get("caption")
    quoted = "" if caption is None else f", {shortened(caption, 60)!r}"
    return f"<{described(explanation)}{quoted}: {', '.join(facts_of(explanation))}>"


def explanation_html(explanation: Explained) -> str:
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


def _map(explanation: Explained, paired: bool) -> str:
    """A small map of the strongest word, and the command that draws them all; nothing where no map can be drawn."""
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
    source = explanation.artist.small_map(explanation, values, limit)
    return (
        f'<p><img src="{source}" alt="{html.escape(alt)}" width="{MAP_PIXELS}"><br>'
        f"{title}: red raises, blue lowers.<br>All maps: "
        "<code>plots.explanation_figure(explanation, explanation.picture)</code></p>"
    )
