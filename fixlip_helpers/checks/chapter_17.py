"""Self-checks of chapter 17, comparing models."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from fixlip_helpers.checks.verdict import Verdict, answered, compared, wrong_ones
from fixlip_helpers.exact import banzhaf_interactions
from fixlip_helpers.fixlip import fixlip
from fixlip_helpers.games import TableGame, random_embeddings


@answered
def ch17_rulers(a_standard: float, b_standard: float, larger: str) -> Verdict:
    """Exercise "Two rulers": standard deviations 8 and 5, interactions -4 and -3."""
    if abs(a_standard + 2) < 1e-6 or abs(b_standard + 5 / 3) < 1e-6:
        return Verdict(
            False, "the ratio is turned over: the interaction is measured by the standard deviation."
        )
    if abs(a_standard - 0.5) < 1e-6 or abs(b_standard - 0.6) < 1e-6:
        return Verdict(False, "the sign is lost: dividing by a standard deviation keeps it.")
    if abs(a_standard + 0.5) > 1e-6 or abs(b_standard + 0.6) > 1e-6:
        return Verdict(False, "the numbers are off: interaction by standard deviation.")
    if str(larger).strip().upper() != "B":
        return Verdict(False, "the numbers are right; compare their sizes, not their signs.")
    return Verdict(True)


@answered
def ch17_standard_pairs(function: Callable) -> Verdict:
    """Exercise "Standardise an explanation"."""
    explanation, p = fixlip(random_embeddings(3, 2, seed=6), 0.3, design="enumeration"), 0.3
    answer = function(explanation, p)
    if answer is None:
        return Verdict(False, "the function returns nothing yet.")
    answer, pairs = np.asarray(answer, dtype=float), explanation.pairs
    if answer.shape != pairs.shape:
        return Verdict(False, f"shape {answer.shape}; all pairs are asked, {pairs.shape}.")
    right = pairs / np.sqrt(explanation.variance(p))
    mistakes = (
        (pairs / explanation.variance(p), "that divides by the variance; its root is asked."),
        (pairs * np.sqrt(explanation.variance(p)), "divide, do not multiply."),
        (pairs / np.sqrt(explanation.variance(1 - p)), "p and 1 − p are exchanged."),
        (
            pairs / np.sqrt(explanation.variance(0.5)),
            "the standard deviation belongs to the p that is given.",
        ),
        (pairs, "these are the pairs as they were."),
    )
    return compared(answer, right, mistakes, "not the pairs in standard deviations.")


@answered
def ch17_two_games(first: Sequence[float], second: Sequence[float]) -> Verdict:
    """Exercise "Who is louder, who interacts"."""
    found = []
    for values in (first, second):
        values = np.asarray(values, dtype=float)
        if values.shape != (4,) or not np.isfinite(values).all():
            return Verdict(False, "four finite numbers are needed for each game: ∅, a, b, ab.")
        if np.ptp(values) < 1e-9:
            return Verdict(False, "a game that does not vary has no standard deviation to measure by.")
        pair = abs(banzhaf_interactions(TableGame(values))[0, 1])
        found.append((pair, pair / values.std()))
    (raw_1, standard_1), (raw_2, standard_2) = found
    louder, interacts = raw_1 > raw_2 + 1e-9, standard_2 > standard_1 + 1e-9
    if louder and interacts:
        return Verdict(True)
    if raw_2 > raw_1 + 1e-9 and standard_1 > standard_2 + 1e-9:
        return Verdict(False, "the two games are exchanged.")
    if not louder:
        return Verdict(False, "the first game is to have the larger interaction, in size.")
    return Verdict(
        False, "the first game is ahead in both units. What makes a game vary without interacting?"
    )


@answered
def ch17_reading(wrong: set[str]) -> Verdict:
    """Exercise "What is wrong with this reading?" of chapter 17."""
    return wrong_ones(wrong, "acde", "abcdef")
