"""Metrics: does an explanation predict the game, and does it point at the right place?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from fixlip_helpers.coalitions import STREAMS, check_count, check_p, draw
from fixlip_helpers.explanation import Explanation
from fixlip_helpers.games import Game
from fixlip_helpers.sides import r_squared


@dataclass(frozen=True, eq=False)
class Faithfulness:
    """How well an explanation predicts a game on coalitions ``M ~ P_p``.

    Attributes
    ----------
    r2 : float or None
        ``1 - E(ν - ν̂)² / Var ν``; can be negative. None where the game does not vary.
    pearson, spearman : float
        Correlations of ν(M) with ν̂(M), of values and of ranks; NaN where either does not vary.
    p : float
    values, predictions : ndarray, shape (m,)
        ν(M) and ν̂(M).
    """

    r2: float | None
    pearson: float
    spearman: float
    p: float
    values: np.ndarray = field(repr=False)
    predictions: np.ndarray = field(repr=False)


def faithfulness(
    explanation: Explanation, game: Game, p: float | None = None, m: int = 1024, seed: int = 0
) -> Faithfulness:
    """p-faithfulness (Definition 4 of the FIxLIP paper) on ``m`` fresh coalitions of all players.

    Parameters
    ----------
    explanation : Explanation
        Predicts with the terms that it has.
    game : Game
        Of the same players.
    p : float, optional
        Default: the explanation's own, or 0.5 if it has none.
    m : int
        Number of draws, at least 2; they come from a random stream of their own, which no fit uses.
    seed : int

    Returns
    -------
    Faithfulness

    Raises
    ------
    ValueError
        If the numbers of players differ, or ``p`` or ``m`` is not allowed.
    """
    if game.n_players != explanation.n_players:
        raise ValueError(f"the explanation has {explanation.n_players} players, the game {game.n_players}")
    if check_count("m", m) < 2:
        raise ValueError(f"m = {m}; expected at least 2")
    p = check_p(p if p is not None else explanation.p or 0.5)
    coalitions = draw(game.n_players, p, m, seed, STREAMS["evaluation"])
    values, predictions = np.asarray(game(coalitions), dtype=float), explanation.predict(coalitions)
    r2 = r_squared(values, predictions, np.full(m, 1 / m))
    spearman = pearson_correlation(ranks(values), ranks(predictions))
    return Faithfulness(r2, pearson_correlation(values, predictions), spearman, p, values, predictions)


def pearson_correlation(a: np.ndarray, b: np.ndarray) -> float:
    """Correlation of two series; NaN if either is constant."""
    a, b = a - a.mean(), b - b.mean()
    length = np.linalg.norm(a) * np.linalg.norm(b)
    return float(a @ b / length) if length > 0 else float("nan")


def ranks(values: np.ndarray) -> np.ndarray:
    """Rank of each value from 0; ties share their mean rank."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    return (np.cumsum(counts) - (counts + 1) / 2)[inverse]


def pointing_game(
    explanation: Explanation,
    cells: Mapping[str, np.ndarray],
    words: Sequence[str] | Mapping[str, Sequence[int]] | None = None,
) -> float:
    """Pointing game recognition (PGR): the share of a word's evidence that lies where the word's picture is.

    A picture is a grid of cells, each showing one word. Of the word's interactions with the patches,
    positive mass in its own cell and negative mass in the other cells is ``right``, the rest ``wrong``;
    PGR is ``right / (right + wrong)``, averaged over words. Random explanations score 0.5, and so does a
    word without any evidence.

    Parameters
    ----------
    explanation : Explanation
        Of a grid picture. A method without pairs (index "first-order") uses its patch values for every word.
    cells : mapping of word to ndarray of bool, shape (n_image,)
        The patches of each word's cell. Patches in no cell count neither way.
    words : sequence of words, or mapping of word to its text players, optional
        Words to score; default: every word of ``cells`` that is a text player. A mapping gives the
        numbers of the players that spell each word, whose interactions are added up.

    Returns
    -------
    float
        Between 0 and 1.

    Raises
    ------
    ValueError
        If a word has no cell or is not exactly one text player, or a cell's shape is wrong.
    """
    cells = {word: np.asarray(cell, dtype=bool) for word, cell in cells.items()}
    for word, cell in cells.items():
        if cell.shape != (explanation.n_image,):
            raise ValueError(
                f"the cell of {word!r} has shape {cell.shape}; expected ({explanation.n_image},)"
            )
    pieces = _find_words(explanation, cells, words)
    anywhere = np.any(list(cells.values()), axis=0)
    scores = []
    for word, players in pieces.items():
        if explanation.index == "first-order":
            heat = explanation.main[: explanation.n_image]
        else:
            heat = explanation.pairs[: explanation.n_image, players].sum(axis=1)
        inside, outside = heat[cells[word]], heat[anywhere & ~cells[word]]
        right = inside[inside > 0].sum() - outside[outside < 0].sum()
        total = np.abs(inside).sum() + np.abs(outside).sum()
        scores.append(right / total if total > 0 else 0.5)
    return float(np.mean(scores))


def _find_words(
    explanation: Explanation, cells: Mapping, words: Sequence | Mapping | None
) -> dict[str, list[int]]:
    """The text players of each word to score."""
    tokens = explanation.players[explanation.n_image :]
    if words is None:
        words = [word for word in cells if word in tokens]
    if not isinstance(words, Mapping):
        for word in words:
            if tokens.count(word) != 1:
                raise ValueError(
                    f"{word!r} is {tokens.count(word)} times among the tokens {tokens}; expected once"
                )
        words = {word: [explanation.n_image + tokens.index(word)] for word in words}
    for word, players in words.items():
        if word not in cells:
            raise ValueError(f"{word!r} has no cell; the cells are {', '.join(cells)}")
        if not all(explanation.n_image <= i < explanation.n_players for i in players):
            raise ValueError(f"players {list(players)} of {word!r} are not all text players")
    if not words:
        raise ValueError(f"no word to score: none of {', '.join(cells)} is among the tokens {tokens}")
    return {word: list(players) for word, players in words.items()}
