"""Insertion and deletion curves, and the area between them.

For every k the explanation names the k players that it would keep: those of largest surrogate value (insertion), and
those of smallest (deletion). The model is asked what it says of them. With pairs the kept sets come from
:func:`~fixlip_helpers.metrics.subsets.best_subsets` and need not be nested; without pairs they are a sort.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from fixlip_helpers.coalitions import STREAMS, check_count, draw
from fixlip_helpers.explanation import Explanation
from fixlip_helpers.games import Game
from fixlip_helpers.metrics.subsets import best_subsets, greedy_chains

RELEASED_POINTS = 51
"""At so many shares of the players the FIxLIP release reads its curves."""

JUDGING_DRAWS = 128
"""Coalitions from ``P_0.5`` that say how far the model's answers spread; the same for every explanation and seed."""


@dataclass(frozen=True, eq=False)
class InsertionDeletion:
    """What the model says of the sets that an explanation keeps.

    Attributes
    ----------
    share : ndarray, shape (n + 1,)
        ``k / n``.
    insertion_values, deletion_values : ndarray, shape (n + 1,)
        The model's answers, in the game's unit.
    insertion, deletion : ndarray, shape (n + 1,), or None
        The same with ``ν(∅) = 0`` and ``ν(N) = 1``; None where the input has no AID (see :func:`has_aid`).
    insertion_area, deletion_area, aid : float or None
        Areas under the curves by the trapezoid rule, and insertion less deletion.
    inserted, deleted : ndarray of bool, shape (n + 1, n)
        The kept sets.
    exact : bool
        Whether they are known to be the best, rather than found by search.
    """

    share: np.ndarray = field(repr=False)
    insertion_values: np.ndarray = field(repr=False)
    deletion_values: np.ndarray = field(repr=False)
    insertion: np.ndarray | None = field(repr=False)
    deletion: np.ndarray | None = field(repr=False)
    insertion_area: float | None
    deletion_area: float | None
    aid: float | None
    inserted: np.ndarray = field(repr=False)
    deleted: np.ndarray = field(repr=False)
    exact: bool

    def __str__(self) -> str:
        empty, full = self.insertion_values[[0, -1]]
        ends = f"ν(∅) = {empty:.2f}, ν(N) = {full:.2f}"
        if self.aid is None:
            return (
                f"no AID: {ends}, and random coalitions spread more than all players together raise the score"
            )
        return f"AID {self.aid:+.3f} = insertion {self.insertion_area:.3f} - deletion {self.deletion_area:.3f} ({ends})"

    __repr__ = __str__


def has_aid(game: Game) -> bool:
    """Whether ``ν(N) - ν(∅)``, which AID divides by, exceeds the standard deviation of the game under ``P_0.5``.

    Where all players together raise the score by no more than a coalition drawn at random moves it, division would blow
    the curves up, or turn them round. The game alone decides: all explanations of an input have an AID, or none.
    """
    n = game.n_players
    ends = np.asarray(game(np.repeat([[False], [True]], n, axis=1)), dtype=float)
    drawn = np.asarray(game(draw(n, 0.5, JUDGING_DRAWS, 0, STREAMS["evaluation"])), dtype=float)
    return bool(ends[1] - ends[0] > drawn.std())


def insertion_deletion(
    explanation: Explanation, game: Game, seed: int = 0, *, variant: str = "search"
) -> InsertionDeletion:
    """Curves and AID of an explanation, at the price of ``2n + JUDGING_DRAWS`` values of the game.

    A :class:`~fixlip_helpers.checkpoints.Remembered` game pays for :func:`has_aid` once, for all explanations.

    Parameters
    ----------
    explanation : Explanation
    game : Game
        Of the same players.
    seed : int
        Shuffles the players first: who goes first among equals.
    variant : "search" or "released"
        ``"released"``: as the FIxLIP release has it. The kept sets come from greedy chains
        (:func:`~fixlip_helpers.metrics.subsets.greedy_chains`), every input whose ends differ has an AID, however small
        ``ν(N) - ν(∅)`` or which sign it has, and areas are those of the curves read at :data:`RELEASED_POINTS` points.

    Returns
    -------
    InsertionDeletion

    Raises
    ------
    ValueError
        If the numbers of players differ, or ``variant`` is neither.

    Examples
    --------
    >>> from fixlip_helpers import ExplanationGame
    >>> from fixlip_helpers.datasets import published_clip
    >>> clip = published_clip()[1]["FIxLIP"]
    >>> insertion_deletion(clip, ExplanationGame(clip)).aid > 0
    True
    """
    n, released = explanation.n_players, variant == "released"
    if game.n_players != n:
        raise ValueError(f"the explanation has {n} players, the game {game.n_players}")
    if variant not in ("search", "released"):
        raise ValueError(f"variant = {variant!r}; expected 'search' or 'released'")
    order = np.random.default_rng(check_count("seed", seed)).permutation(n)
    shuffled = explanation.main[order], explanation.pairs[np.ix_(order, order)]
    both, exact = [], True
    for largest in (True, False):
        found = (greedy_chains if released else best_subsets)(shuffled, largest=largest)
        sets = np.empty_like(found.sets)
        sets[:, order] = found.sets
        both.append(sets)
        exact &= found.exact
    values = np.asarray(game(np.concatenate(both)), dtype=float).reshape(2, n + 1)
    empty, full, share = values[0, 0], values[0, -1], np.arange(n + 1) / n
    curves = areas = None, None
    aid = None
    if full != empty if released else has_aid(game):
        curves = (values - empty) / (full - empty)
        at = np.linspace(0, 1, RELEASED_POINTS) if released else share
        areas = [float(np.trapezoid(np.interp(at, share, curve), at)) for curve in curves]
        aid = areas[0] - areas[1]
    return InsertionDeletion(share, *values, *curves, *areas, aid, *both, exact)
