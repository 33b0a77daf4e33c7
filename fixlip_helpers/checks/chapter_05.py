"""Self-checks of chapter 05, Sampling."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from fixlip_helpers.checks.verdict import Verdict, answered, wrong_ones
from fixlip_helpers.coalitions import coalition_number


@answered
def ch05_budgets(at_least: int, draws: float) -> Verdict:
    """Exercise 05.1: unknowns of 40 players; independent draws for a standard error of 0.1 when E ν² = 100."""
    if at_least != 1 + 40 + 40 * 39 // 2:
        if at_least == 40 * 39 // 2:
            return Verdict(False, "(a) counts the pairs only; an explanation has more terms than that.")
        return Verdict(False, "(a) is off: one coalition for each unknown. Which unknowns are there?")
    if abs(draws - 100 / 0.1**2) > 0.5:
        if abs(draws - 100 / 0.1) < 0.5:
            return Verdict(False, "(a) is right. (b): a standard error is the root of a variance.")
        return Verdict(False, "(a) is right; (b) is off. What is the variance of one term of the average?")
    return Verdict(True)


@answered
def ch05_interaction_error(function: Callable[[np.ndarray, float], tuple[float, float]]) -> Verdict:
    """Exercise 05.2: an interaction and its standard error from repeated estimates of a Fourier coefficient."""
    rng = np.random.default_rng(5)
    for k, p in ((2, 0.5), (8, 0.5), (5, 0.3)):
        estimates = rng.normal(0.4, 1, size=k)
        answer = function(estimates.copy(), p)
        if answer is None:
            return Verdict(False, "the function returns nothing yet.")
        value, error = (float(number) for number in answer)
        variance = p * (1 - p)
        spread = estimates.std(ddof=1)
        if abs(value - estimates.mean()) < 1e-9:
            return Verdict(False, "that is the Fourier coefficient; the interaction has another scale.")
        if abs(value - estimates.mean() / variance) > 1e-9:
            return Verdict(False, f"the interaction is off at p = {p}.")
        if abs(error - spread / variance) < 1e-9:
            return Verdict(
                False, "the interaction is right; this is the spread of one estimate, not of their mean."
            )
        if abs(error - estimates.std() / np.sqrt(k) / variance) < 1e-9:
            return Verdict(False, "the interaction is right; for the spread, the mean is itself estimated.")
        if abs(error - spread / np.sqrt(k)) < 1e-9:
            return Verdict(False, "the interaction is right; its error has the scale of the interaction too.")
        if abs(error - spread / np.sqrt(k) / variance) > 1e-9:
            return Verdict(False, "the interaction is right, its standard error is off.")
    return Verdict(True)


@answered
def ch05_phantom(values: Sequence[float]) -> Verdict:
    """Exercise 05.3: player 2 of three is a dummy, and yet the runs a, b, a⊕b give it a coefficient."""
    values = np.asarray(values, dtype=float)
    if values.shape != (8,) or not np.isfinite(values).all():
        return Verdict(False, "a game of three players has eight values, all of them finite.")
    changes = np.abs(values[4:] - values[:4]) > 1e-9
    if changes.any():
        return Verdict(
            False, f"player c changes the value of {changes.sum()} of the 4 coalitions of a and b."
        )
    runs = np.array([[0, 0, 0], [0, 1, 1], [1, 0, 1], [1, 1, 0]], dtype=bool)
    found = float(np.mean(values[coalition_number(runs)] * (2.0 * runs[:, 2] - 1)))
    if abs(found) < 0.5 - 1e-9:
        return Verdict(
            False, f"player c changes nothing, as asked; the four runs give it {abs(found):.2f} in size."
        )
    return Verdict(True, f"Player c is a dummy, and the four runs give it {found:+.2f}.")


@answered
def ch05_reading(wrong: set[str]) -> Verdict:
    """Exercise 05.4: the letters of the wrong statements about samples."""
    return wrong_ones(wrong, "abdfh", "abcdefgh")
