"""Correlations, and bootstrap intervals of means and of scores."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from fixlip_helpers.coalitions import check_count


def pearson_correlation(a: np.ndarray, b: np.ndarray, weights: np.ndarray | None = None) -> float:
    """Correlation of two series of m numbers, perhaps with weights; NaN if either is constant."""
    weights = np.full(len(a), 1 / len(a)) if weights is None else weights / np.sum(weights)
    a, b = (_centred(series, weights) for series in (a, b))
    length = np.sqrt((weights @ a**2) * (weights @ b**2))
    return float((weights * a) @ b / length) if length > 0 else float("nan")


def _centred(series: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """The series less its mean; exactly zero where rounding is all that varies."""
    series = np.asarray(series, dtype=float)
    centred = series - weights @ series
    return centred if np.abs(centred).max() > 1e-12 * np.abs(series).max() else np.zeros_like(centred)


def ranks(values: np.ndarray, weights: np.ndarray | None = None) -> np.ndarray:
    """Rank of each value from 0; ties share their mean rank.

    With weights (m,), a value counts as ``weight`` copies of it would (up to a constant, which no correlation sees).
    """
    _, group = np.unique(values, return_inverse=True)
    counts = np.bincount(group, weights).astype(float)
    return (np.cumsum(counts) - (counts + 1) / 2)[group]


def spearman_correlation(a: np.ndarray, b: np.ndarray, weights: np.ndarray | None = None) -> float:
    """Correlation of the ranks of two series of m numbers, perhaps with weights; NaN if either is constant."""
    return pearson_correlation(ranks(a, weights), ranks(b, weights), weights)


def kendall_tau(a: np.ndarray, b: np.ndarray, weights: np.ndarray | None = None) -> float:
    """Kendall's tau-b of two series of m numbers; NaN if either is constant.

    A pair counts as the product of its weights.
    """
    weights = np.full(len(a), 1 / len(a)) if weights is None else weights / np.sum(weights)
    same, both = 0.0, np.zeros(2)
    for row in range(len(a)):  # m numbers at a time, not m² signs
        signs = np.sign(a - a[row]), np.sign(b - b[row])
        pairs = weights[row] * weights
        same += pairs @ (signs[0] * signs[1])
        both += [pairs @ signs[0] ** 2, pairs @ signs[1] ** 2]
    return float(same / np.sqrt(both.prod())) if both.all() else float("nan")


def bootstrap_interval(
    values: Sequence[float], level: float = 0.95, draws: int = 2000, seed: int = 0
) -> tuple[float, float, float]:
    """Mean of one score per input, with a bootstrap interval over inputs.

    Parameters
    ----------
    values : sequence of m float
        Each from an input of its own. Several of one picture depend on each other: give their mean.
    level : float
        Of the percentile interval. With fewer than about 20 values it covers less often than its level says.
    draws : int
        How often the inputs are drawn anew.
    seed : int

    Returns
    -------
    mean, low, high : float
        The ends are NaN for a single value, which has no spread.

    Raises
    ------
    ValueError
        If there is no value, or one is not a finite number (an input without AID is left out and counted).

    Examples
    --------
    >>> mean, low, high = bootstrap_interval([1.0, 2.0, 3.0, 6.0])
    >>> low < mean == 3 < high
    True
    """
    values = np.asarray([np.nan if value is None else value for value in values], dtype=float)
    if values.size == 0 or not np.isfinite(values).all():
        raise ValueError(
            f"values has {values.size} numbers, {int((~np.isfinite(values)).sum())} of them missing or infinite; "
            "expected at least one, all finite: leave inputs without a score out, and count them"
        )
    check_level(level)
    if check_count("draws", draws) < 1:
        raise ValueError(f"draws = {draws}; expected at least 1")
    if len(values) == 1:
        return float(values[0]), float("nan"), float("nan")
    counts = resample(np.full(len(values), 1 / len(values)), draws, np.random.default_rng(seed))
    return float(values.mean()), *quantiles(counts @ values, level)


def check_level(level: float) -> None:
    """Refuse a level that is not strictly between 0 and 1."""
    if not 0 < level < 1:
        raise ValueError(f"level = {level!r}; expected a number between 0 and 1")


def resample(weights: np.ndarray, draws: int, rng: np.random.Generator) -> np.ndarray:
    """Bootstrap weights of m draws, (draws, m): how often each is drawn again, as shares that sum to 1."""
    return rng.multinomial(len(weights), weights / weights.sum(), draws) / len(weights)


def quantiles(scores: np.ndarray, level: float) -> tuple[float, float]:
    """The middle ``level`` of bootstrap scores; NaN where a score is missing."""
    low, high = np.quantile(scores, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def intervals_of(
    scores: dict[str, Callable[[np.ndarray], float | None]],
    weights: np.ndarray,
    level: float,
    draws: int,
    seed: int,
) -> dict[str, tuple[float, float]]:
    """Bootstrap intervals of several scores, each a function of the weights (m,) of the draws."""
    drawn = resample(weights, draws, np.random.default_rng(seed))
    return {
        name: quantiles(np.array([score(row) for row in drawn], dtype=float), level)
        for name, score in scores.items()
    }
