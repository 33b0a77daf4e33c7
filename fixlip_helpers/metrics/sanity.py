"""Sanity checks of whole explanations.

An explanation of a trained model must not look like one of the same model with its weights thrown about (Adebayo et
al., *Sanity checks for saliency maps*, NeurIPS 2018), and two explanations that differ in the seed of their draws must
not differ by more than their own intervals say.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from fixlip_helpers.explanation import Explanation
from fixlip_helpers.metrics.statistics import check_level, pearson_correlation, spearman_correlation

if TYPE_CHECKING:
    pass


@dataclass(frozen=True)
class Agreement:
    """How alike two explanations of the same players are; 1 is the same, 0 no relation.

    Attributes
    ----------
    values, values_spearman : float
        Correlation of the first-order values, of numbers and of ranks.
    cross_modal, cross_modal_spearman : float
        Of the cross-modal interactions. NaN where one explanation has none.
    within : float or None
        Share of cross-modal interactions whose difference is no larger than its interval allows; None where an
        explanation has no standard errors.
    level : float or None
        What ``within`` should be, or more.
    """

    values: float
    values_spearman: float
    cross_modal: float
    cross_modal_spearman: float
    within: float | None = None
    level: float | None = None

    def __str__(self) -> str:
        text = (
            f"first-order values: correlation {self.values:.2f} (ranks {self.values_spearman:.2f}); "
            f"cross-modal interactions: {self.cross_modal:.2f} (ranks {self.cross_modal_spearman:.2f})"
        )
        if self.within is not None:
            text += f"; {self.within:.1%} differ by no more than their {self.level:.0%} intervals allow"
        return text

    __repr__ = __str__


def seed_agreement(one: Explanation, other: Explanation, level: float = 0.95) -> Agreement:
    """Compare two explanations of one game from different seeds.

    Parameters
    ----------
    one, other : Explanation
        Made with ``errors=True``, ``within`` is measured too: the difference of two independent estimates has the
        variance of both.
    level : float

    Raises
    ------
    ValueError
        If they have different numbers of players.
    """
    sizes = [(e.n_image, e.n_text) for e in (one, other)]
    if sizes[0] != sizes[1]:
        raise ValueError(f"the explanations have {sizes[0]} and {sizes[1]} image and text players")
    check_level(level)
    within = None
    if one.errors is not None and other.errors is not None:
        cross = np.s_[: one.n_image, one.n_image :]
        error = np.hypot(one.errors.pairs[cross], other.errors.pairs[cross])
        allowed = max(one.errors.multiplier(level), other.errors.multiplier(level)) * error
        slack = 1e-9 * np.abs(one.pairs).max()  # rounding, where nothing was drawn
        within = float(np.mean(np.abs(one.pairs[cross] - other.pairs[cross]) <= allowed + slack))
    values, cross_modal = (
        [method(e) for e in (one, other)]
        for method in (Explanation.first_order, lambda e: e.cross_modal().ravel())
    )
    return Agreement(
        pearson_correlation(*values),
        spearman_correlation(*values),
        pearson_correlation(*cross_modal),
        spearman_correlation(*cross_modal),
        within,
        None if within is None else level,
    )


def randomised_weights(model: Any, seed: int = 0) -> Any:
    """A copy of a model in which the numbers of every weight tensor have changed places.

    Each tensor keeps its size and its distribution, and the logit its scale; what was learnt is gone. (It is the
    model's own method ``with_shuffled_weights``: nothing here reads a network.)
    """
    return model.with_shuffled_weights(seed)
