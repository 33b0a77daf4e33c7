"""Self-checks of chapter 10, FIxLIP."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from fixlip_helpers.checks.verdict import Verdict, answered, wrong_ones
from fixlip_helpers.coalitions import all_coalitions
from fixlip_helpers.explanation import Explanation
from fixlip_helpers.wls import solve_dense


@answered
def ch10_sizes(mean: float, standard_deviation: float) -> Verdict:
    """Exercise "Sizes": the number of visible players among 72 at p = 0.3."""
    if abs(mean - 72 * 0.3) > 0.05:
        return Verdict(False, "the mean is off. Each of the 72 players is visible with probability p.")
    if abs(standard_deviation - np.sqrt(72 * 0.3 * 0.7)) > 0.05:
        return Verdict(False, "the mean is right. For the spread, the players come and go independently.")
    return Verdict(True)


@answered
def ch10_crossing(crossing_share: Callable) -> Verdict:
    """Exercise "Where a line crosses zero": a function of an explanation and a player."""
    rng = np.random.default_rng(10)
    for _ in range(5):
        pairs = np.triu(rng.normal(size=(6, 6)), 1)
        players = [f"player {i}" for i in range(6)]
        explanation = Explanation(0.0, None, rng.normal(size=6), pairs + pairs.T, "FWBII", 0.3, players, 4, 2)
        for i in range(6):
            q = crossing_share(explanation, i)
            if q is None:
                return Verdict(False, "the function returns nothing yet.")
            if not abs(explanation.main[i] + q * explanation.pairs[i].sum()) < 1e-8:
                return Verdict(False, "at the share that it returns, the gain is not zero.")
    return Verdict(True)


@answered
def ch10_helper(values: Sequence[float]) -> Verdict:
    """Exercise "Build a game": player 0 of three never lowers the value, and yet ``e_0 < 0`` at p = 0.5."""
    values = np.asarray(values, dtype=float)
    if values.shape != (8,) or not np.isfinite(values).all():
        return Verdict(False, "a game of three players has eight values, all of them finite.")
    coalitions = all_coalitions(3)
    gains = values[coalitions[:, 0]] - values[~coalitions[:, 0]]
    if gains.min() < 0:
        harmed = int((gains < 0).sum())
        return Verdict(False, f"player 0 lowers the value of {harmed} of the 4 coalitions of the others.")
    e_0 = solve_dense(coalitions, values, np.full(8, 1 / 8), 0.5)[1][0]
    if e_0 > -1e-9:
        return Verdict(
            False, "player 0 never lowers the value, as asked; but its main effect is not negative."
        )
    return Verdict(True, "The main effect is negative, and player 0 never does any harm.")


@answered
def ch10_reading(wrong: set[str]) -> Verdict:
    """Exercise "What is wrong with this reading?": the letters of the wrong statements."""
    return wrong_ones(wrong, "acef", "abcdefg")
