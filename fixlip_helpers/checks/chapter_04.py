"""Self-checks of chapter 04, faithful approximation."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from fixlip_helpers.checks.verdict import Verdict, answered, compared, wrong_ones
from fixlip_helpers.exact import banzhaf_interactions
from fixlip_helpers.games import TableGame


@answered
def ch04_xor(alone: float, pair: float, with_pair: float) -> Verdict:
    """Exercise "XOR by hand": e_1 of order one, then e_12 and e_1 of order two, at p = 0.3."""
    p = 0.3
    if abs(alone - (1 - 2 * p)) > 0.005:
        if abs(alone + (1 - 2 * p)) < 0.005:
            return Verdict(False, "order one has the wrong sign: p and 1 − p are exchanged.")
        if abs(alone) < 0.005:
            return Verdict(False, "order one is flat at p = 0.5 only; here p is smaller.")
        return Verdict(
            False, "order one is the mean gain from player 1, the other visible with probability p."
        )
    if abs(pair + 2) > 0.005:
        if abs(pair - 2) < 0.005:
            return Verdict(False, "the pair has the right size and the wrong sign.")
        if abs(pair + 1) < 0.005 or abs(pair + 4) < 0.005:
            return Verdict(False, "the pair is off by a factor of two: it is counted once.")
        return Verdict(False, "the pair is the second difference; with two players there is only one.")
    mistakes = {
        alone: "e_1 was kept from order one, but it moves when the pair is fitted.",
        alone + p * pair: "e_1 moved the wrong way: the term takes pΣ away from the value.",
        alone - 2 * p * pair: "e_1 moved by twice too much: the pair was counted twice.",
        alone - (1 - p) * pair: "e_1 moved by 1 − p times the pair; p is wanted.",
        alone - pair / 2: "e_1 moved by half of the pair, which is right at p = 0.5 only.",
    }
    otherwise = "the first two are right; e_1 of order two is not."
    return compared(with_pair, alone - p * pair, mistakes.items(), otherwise, within=0.005)


@answered
def ch04_main_terms(main_terms: Callable) -> Verdict:
    """Exercise "From slopes to terms": a function of values, pairs and p."""
    rng, p = np.random.default_rng(4), 0.3
    values, pairs = rng.normal(size=5), np.triu(rng.normal(size=(5, 5)), 1)
    pairs = pairs + pairs.T
    total = pairs.sum(axis=1)
    given = main_terms(values.copy(), pairs.copy(), p)
    if given is None:
        return Verdict(False, "the function returns nothing yet.")
    given = np.asarray(given, dtype=float)
    if given.shape != (5,):
        return Verdict(False, f"it returns the shape {given.shape}; expected one number for each player.")
    mistakes = (
        (values, "the values are returned as they came; the pairs must enter."),
        (values + p * total, "the sign: that is the way back, from terms to values."),
        (values - (1 - p) * total, "p and 1 − p are exchanged."),
        (values - 2 * p * total, "each pair is counted twice."),
        (values - p * total / 2, "each pair counts by half; every partner counts in full."),
        (values - 0.5 * total, "that is right at p = 0.5 only."),
        (values - total, "the factor p is missing."),
    )
    otherwise = "multiply out the Taylor polynomial and collect what multiplies x_i alone."
    return compared(given, values - p * total, mistakes, otherwise)


@answered
def ch04_still(values: Sequence[float]) -> Verdict:
    """Exercise "Build a game": pairs that are not zero, and no main effect that moves from order one to two."""
    values = np.asarray(values, dtype=float)
    if values.shape != (16,) or not np.isfinite(values).all():
        return Verdict(False, "a game of four players has sixteen values, all of them finite.")
    pairs = banzhaf_interactions(TableGame(values), 0.5)
    tolerance = 1e-9 * max(np.ptp(values), 1e-300)
    if np.abs(pairs).max() <= tolerance:
        return Verdict(False, "nothing moves, but there are no interactions that could move anything.")
    moved = int((np.abs(pairs.sum(axis=1)) > tolerance).sum())
    if moved:
        return Verdict(False, f"the main effects of {moved} of the 4 players move.")
    return Verdict(True, "Interactions are there, and no main effect moves.")


@answered
def ch04_reading(wrong: set[str]) -> Verdict:
    """Exercise "What is wrong with this reading?": the letters of the wrong statements."""
    return wrong_ones(wrong, "adef", "abcdefg")
