"""Self-checks of chapter 16, the pointing game."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from fixlip_helpers.checks.verdict import Verdict, answered, compared, wrong_ones
from fixlip_helpers.metrics import quarter_cells


@answered
def ch16_by_hand(score: float) -> Verdict:
    """Exercise "PGR by hand": 3, -1 inside, 2, -4, 0 elsewhere."""
    hints = {
        7.0: "that is what is right: divide by right and wrong together.",
        3 / 5: "blue in the other cells is right as well.",
        0.3: "that is what is wrong, or only the red inside: red inside and blue elsewhere are right.",
        4 / 10: "that is all heat inside the cell, of both signs.",
        70.0: "give a share between 0 and 1.",
    }
    otherwise = "right is red inside and blue elsewhere; take absolute values, and divide by the sum of all."
    return compared(score, 0.7, hints.items(), otherwise, within=0.005)


@answered
def ch16_outside(number: int) -> Verdict:
    """Exercise "Patches in no cell": a 9 × 9 grid."""
    hints = {
        18: "one patch is counted twice.",
        9: "there is a middle row and a column: both.",
        0: "9 is odd.",
    }
    if number == 17:
        return Verdict(True)
    return Verdict(False, hints.get(number, "count the middle row and the middle column."))


@answered
def ch16_blind(heat: Sequence[float]) -> Verdict:
    """Exercise "Build a map": PGR of at least 0.7 for the upper left cell, with the same numbers in all four cells."""
    heat = np.asarray(heat, dtype=float).ravel()
    if heat.shape != (16,) or not np.isfinite(heat).all():
        return Verdict(False, "a map of 4 × 4 blocks has 16 finite numbers.")
    quarters = quarter_cells((4, 4))
    if any(not np.allclose(heat[quarters[0]], heat[quarter]) for quarter in quarters):
        return Verdict(False, "the four cells do not hold the same numbers: this map can tell them apart.")
    total = np.abs(heat).sum()
    right = heat[quarters[0]].clip(min=0).sum() + (-heat[~quarters[0]]).clip(min=0).sum()
    score = right / total if total > 0 else 0.5
    if score < 0.7:
        hint = " All of it is red." if (heat >= 0).all() and total > 0 else ""
        return Verdict(False, f"the four cells are alike, but the score is {score:.2f}.{hint}")
    return Verdict(True, f"It scores {score:.2f} and knows nothing of places.")


@answered
def ch16_reading(wrong: set[str]) -> Verdict:
    """Exercise "What is wrong with this reading?": the letters of the wrong statements."""
    return wrong_ones(wrong, "ace", "abcdef")
