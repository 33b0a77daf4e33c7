"""Self-checks of chapter 19, your own explanation."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from fixlip_helpers.checks.verdict import Verdict, answered, wrong_ones
from fixlip_helpers.metrics import bootstrap_interval


@answered
def ch19_worth(worth: float, at_most: float) -> Verdict:
    """Exercise "Ten that are worth fewer": ten replicates, pairwise correlation 0.5."""
    if abs(worth - 10 / 5.5) > 0.01:
        if abs(worth - 5.5) < 0.01:
            return Verdict(
                False, "that is by how much ten fall short of ten independent ones: divide ten by it."
            )
        if abs(worth - 10 / 6) < 0.01:
            return Verdict(False, "each replicate has m − 1 others, not m.")
        if abs(worth - 5) < 0.01:
            return Verdict(False, "correlation is not a share that is lost: use the theorem's formula.")
        return Verdict(False, "not what ten such replicates are worth.")
    if abs(at_most - 2) > 0.01:
        return Verdict(False, "the first number is right; let m grow without end for the second.")
    return Verdict(True)


def _needed(sigma: float, rho: float, half_width: float) -> int | None:
    """By trying: the variance of the mean falls with every replicate."""
    for m in range(1, 10_000):
        if 2 * sigma * np.sqrt(rho + (1 - rho) / m) <= half_width * (1 + 1e-9):
            return m
    return None


@answered
def ch19_needed(function: Callable) -> Verdict:
    """Exercise "How many are needed?"."""
    for sigma, rho, half_width in ((2, 0, 1), (3, 0.1, 3), (2, 0.25, 3), (1, 0, 4), (2, 0.5, 1), (1, 1, 2)):
        answer, right = function(sigma, rho, half_width), _needed(sigma, rho, half_width)
        if answer == right:
            continue
        case = f"for σ = {sigma}, ρ = {rho}, half width {half_width}"
        if right is None:
            return Verdict(False, f"{case} no number is enough: replicates that are alike leave a floor.")
        if answer is None:
            return Verdict(False, f"{case} some number is enough.")
        if answer == _needed(sigma, 0, half_width):
            return Verdict(False, f"{case} the correlation was left out.")
        if answer == _needed(sigma, rho, 2 * half_width):
            return Verdict(False, f"{case}: the half width is two standard deviations of the mean, not one.")
        if abs(answer - right) == 1:
            return Verdict(
                False, f"{case} the number is off by one: round up, but not what is whole already."
            )
        return Verdict(False, f"{case} the number is wrong.")
    return Verdict(True)


@answered
def ch19_convincing(replicates: Sequence[float]) -> Verdict:
    """Exercise "Build replicates that disagree and convince"."""
    values = np.asarray(replicates, dtype=float)
    if values.ndim != 1 or len(values) < 12 or not np.isfinite(values).all():
        return Verdict(False, "a list of at least 12 finite numbers is needed.")
    if np.mean(values < 0) <= 1 / 3:
        return Verdict(False, "more than a third of them must be negative.")
    if bootstrap_interval(values)[1] <= 0:
        return Verdict(False, "the interval of the mean does not lie above 0.")
    return Verdict(True)


@answered
def ch19_reading(wrong: set[str]) -> Verdict:
    """Exercise "What is wrong with this reading?" of chapter 19."""
    return wrong_ones(wrong, "abceg", "abcdefg")
