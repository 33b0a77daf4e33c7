"""Self-checks of chapter 14, faithfulness."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from fixlip_helpers.checks.verdict import Verdict, answered, wrong_ones
from fixlip_helpers.metrics.statistics import spearman_correlation


@answered
def ch14_by_hand(r2: float, r_squared: float) -> Verdict:
    """Exercise "R² by hand": values 0, 2, 4, 6, predictions 1, 2, 3, 4."""
    if abs(r2 - 0.7) > 0.005:
        if abs(r2 - 0.3) < 0.005:
            return Verdict(False, "that is the share of the variance that is missed.")
        if abs(r2 - 1) < 0.005:
            return Verdict(False, "the first number is the squared correlation; R² forgives no wrong unit.")
        if abs(r2 - 0.775) < 0.005:
            return Verdict(
                False, "the mean squared error is a mean over all pairs; so is the variance: one n for both."
            )
        return Verdict(False, "R² is off: mean squared error over the variance of the model's values.")
    if abs(r_squared - 1) > 0.005:
        return Verdict(False, "R² is right. For the correlation, do the four points lie on a line?")
    return Verdict(True)


@answered
def ch14_share(share: float) -> Verdict:
    """Exercise "Shares of a small table": 0, 0, 0, 4 at p = ½."""
    if abs(share - 1 / 3) < 0.005:
        return Verdict(True)
    if abs(share - 1) < 0.005:
        return Verdict(
            False,
            "the pair is the only Möbius term, but blocks are taken after averaging over the other side.",
        )
    if abs(share - 1 / 2) < 0.005:
        return Verdict(False, "there are two one-sided blocks, patches and words: is one of them missing?")
    if abs(share - 2 / 3) < 0.005:
        return Verdict(False, "that is the share of the other two blocks together.")
    if abs(share - 33.3) < 0.5:
        return Verdict(False, "give a share between 0 and 1.")
    return Verdict(False, "subtract the mean, the row means and the column means, then take mean squares.")


@answered
def ch14_order_only(predictions: Sequence[float]) -> Verdict:
    """Exercise "Build predictions": Spearman 1 and R² below zero for the scores 1, 2, 4, 8, 16."""
    predictions, scores = np.asarray(predictions, dtype=float), np.array([1.0, 2, 4, 8, 16])
    if predictions.shape != (5,) or not np.isfinite(predictions).all():
        return Verdict(False, "five finite numbers are needed.")
    if spearman_correlation(scores, predictions) < 1 - 1e-9:
        return Verdict(
            False, "the order is not that of the scores: each prediction must exceed the one before."
        )
    r2 = 1 - np.mean((scores - predictions) ** 2) / np.var(scores)
    if r2 >= 0:
        return Verdict(False, f"the order is right, but R² is {r2:.2f}.")
    return Verdict(True, "Perfect order, worse than a constant.")


@answered
def ch14_reading(wrong: set[str]) -> Verdict:
    """Exercise "What is wrong with this reading?": the letters of the wrong statements."""
    return wrong_ones(wrong, "bce", "abcdef")
