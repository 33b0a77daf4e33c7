"""Self-checks of chapter 13, reading explanations."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from fixlip_helpers.checks.verdict import Verdict, answered, compared, wrong_ones


@answered
def ch13_three(value: float, marginal: float, zero_at: float) -> Verdict:
    """Exercise "Three numbers": e = -4, pairs sum to 12, p = ½."""
    if abs(value - 8) < 1e-6 and abs(marginal - 2) < 1e-6:
        return Verdict(False, "value and marginal are exchanged.")
    if abs(value - 8) < 1e-6:
        return Verdict(False, "the value counts the pairs with p, not whole.")
    if abs(value + 10) < 1e-6 or abs(marginal + 16) < 1e-6:
        return Verdict(False, "the pairs are added to the main effect, not taken off.")
    if abs(value - 2) > 1e-6:
        return Verdict(False, "the value is off: main effect plus p times the sum of the pairs.")
    if abs(marginal - 20) < 1e-6:
        return Verdict(False, "in the marginal each pair counts once.")
    if abs(marginal - 8) > 1e-6:
        return Verdict(False, "the value is right, the marginal is off: all others are visible.")
    if abs(zero_at + 1 / 3) < 1e-3:
        return Verdict(False, "a share is not negative: mind the sign of the main effect.")
    if abs(zero_at - 3) < 1e-3:
        return Verdict(False, "the ratio is turned over.")
    if abs(zero_at - 1 / 3) > 5e-3:
        return Verdict(False, "value and marginal are right; the zero of the line is not.")
    return Verdict(True)


@answered
def ch13_negative_share(function: Callable[[np.ndarray, np.ndarray], float]) -> Verdict:
    """Exercise "Where does the negative mass lie?"."""
    column, region = np.array([-3.0, 1.0, -1.0, 2.0, -2.0, 0.5]), np.array([1, 1, 0, 0, 0, 1], dtype=bool)
    answer = function(column.copy(), region.copy())
    if answer is None:
        return Verdict(False, "the function returns nothing yet.")
    mistakes = {
        -0.5: "a share is positive: negative mass by negative mass.",
        1.5 / 2.5: "positive numbers are in the sum; cut them off first.",
        3.0 / 9.5: "divide by the negative mass, not by all.",
        1 / 3: "that counts patches; asked is their mass.",
        3.0: "that is the mass inside, not yet its share.",
        -3.0: "that is the mass inside, not yet its share.",
    }
    otherwise = "not the share of the negative mass inside the region."
    return compared(answer, 0.5, mistakes.items(), otherwise, within=1e-9)


@answered
def ch13_two_kinds(terms: Sequence[float]) -> Verdict:
    """Exercise "Two kinds of blue": both pairs with the patch are -1, p = ½."""
    terms = np.asarray(terms, dtype=float)
    if terms.shape != (4,) or not np.isfinite(terms).all():
        return Verdict(False, "four finite numbers are needed: e_patch, e_1, e_2, e_12.")
    _, e_1, e_2, e_12 = terms
    value_1, value_2 = (e - 0.5 + 0.5 * e_12 for e in (e_1, e_2))
    if value_1 > 1e-9 and value_2 < -1e-9:
        return Verdict(True)
    if value_1 < -1e-9 and value_2 > 1e-9:
        return Verdict(False, "the two words are exchanged.")
    if e_1 > 0 > e_2:
        return Verdict(
            False, "the main effects have the signs asked for; the values, with their pairs, have not."
        )
    return Verdict(False, f"word 1 has the value {value_1:+.2f}, word 2 {value_2:+.2f}.")


@answered
def ch13_reading(wrong: set[str]) -> Verdict:
    """Exercise "What is wrong with this reading?" of chapter 13."""
    return wrong_ones(wrong, "acdf", "abcdef")
