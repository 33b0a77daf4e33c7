"""Standard errors: how far an explanation would move, had other coalitions been drawn.

What is random is *which coalitions of a side were drawn*. All values that share an image coalition move together, so
that counting m_I × m_T values as if they were independent makes errors far too small. Here each side's draws are the
units:

* **independent draws**: the sandwich with corrected leverage (CR2, Bell and McCaffrey, *Survey Methodology* 2002).
  Coalition a moves the vector coefficients of a side by ``G⁻¹φ_a u_a r_a / sqrt(1 - h_a)``, with the residual ``r_a``
  and the leverage ``h_a = u_a φ_a' G⁻¹ φ_a``; the variance is the sum of the squares. Without the root, errors near
  the limit of identification are far too small, as the residuals there are; the delete-one jackknife, which divides by
  ``1 - h_a``, makes them as much too large. ``tests/test_uncertainty.py`` counts what each interval covers.
  A coalition that was drawn c times is c draws, each of a c-th of its weight: the sum of their squares is a c-th of
  the square of their sum.
* **independent shifts of an array**: the spread of the single shifts' coefficients around their mean. A shift changes
  the signs with which a few terms of higher order are mistaken for others: where they are few, intervals are too wide.
* **enumeration**: nothing was drawn, nothing is added.

An interaction is ``scale * <f_r, g_s>``: a change of the image side's coefficients moves it by their inner product
with the text side's, and the reverse (delta method); both sides' variances add up.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np

from fixlip_helpers.coalitions import Design, UnderdeterminedError, blocks, monomials, n_monomials
from fixlip_helpers.explanation import Explanation, StandardErrors, to_fourier_basis
from fixlip_helpers.wls import normal_equations, split_monomials

MAX_TERMS_WITH_ERRORS = 6000
"""Most terms of a side for which leverages are computed: their Gram matrix is inverted row by row."""


class FittedSide(Protocol):
    """What is read here of a :class:`~fixlip_helpers.sides.Side`, which is made of what stands here."""

    modality: str
    order: int
    players: list[str]
    p: float
    scale: float
    coefficients: np.ndarray
    enumerated: bool
    spread: Spread | None


@dataclass(eq=False, repr=False)
class Spread:
    """What a side's standard errors are made of.

    Attributes
    ----------
    design : Design
        What was fitted.
    changes : ndarray, shape (m, d)
        ``u_a r_a / sqrt(c_a (1 - h_a))`` of each coalition, ``c_a`` the number of its draws; for shifts of an array
        ``u_a r_a / sqrt(c_a)`` times what makes the sum of squares over shifts a variance.
    """

    design: Design
    changes: np.ndarray

    @property
    def degrees_of_freedom(self) -> int:
        """Distinct coalitions left over, or shifts of an array less one."""
        design = self.design
        if design.groups is None:
            return len(design) - n_monomials(design.n)
        return n_shifts(design) - 1

    def __repr__(self) -> str:
        return f"<spread over {self.design!r}>"

    @cached_property
    def factor(self) -> tuple | None:
        """Cholesky factor of the design's Gram matrix, as SciPy's ``cho_solve`` takes it; None for the identity."""
        design = self.design
        if design.orthonormal:
            return None
        from scipy.linalg import cho_factor

        gram, _ = normal_equations(design.coalitions, design.weights, np.zeros((len(design), 0)), design.p)
        return cho_factor(gram, lower=True, overwrite_a=True)

    def solve_rows(self, phi: np.ndarray) -> np.ndarray:
        """``G⁻¹ φ_a`` for each row of ``phi``, shape (b, K)."""
        if self.factor is None:
            return phi
        from scipy.linalg import cho_solve

        return cho_solve(self.factor, phi.T).T


def spread_of(design: Design, embeddings: np.ndarray, coefficients: np.ndarray) -> Spread | None:
    """The :class:`Spread` of a least-squares fit (without penalty); None where nothing was drawn.

    Parameters
    ----------
    design : Design
    embeddings : ndarray, shape (m, d)
    coefficients : ndarray, shape (K, d)
        As fitted to them.

    Raises
    ------
    ValueError
        If the design is neither enumerated nor independent draws nor at least two shifts of an array, or too large.
    UnderdeterminedError
        If some coalition cannot be left out.
    """
    if design.name == "enumeration":
        return None
    K, p = n_monomials(design.n), design.p
    if K > MAX_TERMS_WITH_ERRORS:
        raise ValueError(
            f"{design.n} players have {K} terms; standard errors are computed for up to {MAX_TERMS_WITH_ERRORS}: "
            "explain coarser players"
        )
    weights = design.weights / np.sqrt(_draws(design))
    changes = np.concatenate(
        [
            weights[rows, None] * (embeddings[rows] - monomials(design.coalitions[rows], p) @ coefficients)
            for rows in blocks(len(design), 1024)
        ]
    )
    if design.is_array:
        shifts = n_shifts(design)
        if not design.groups.any():
            again = "" if shifts == 1 else f", which was drawn {shifts} times,"
            raise ValueError(
                f"one array of {len(design)} runs{again} has no spread to measure: give n_image_coalitions (or m) a "
                "larger multiple of its runs, or use design='independent'"
            )
        return Spread(design, changes * np.sqrt(shifts / (shifts - 1)))
    if design.name != "independent":
        raise ValueError(
            f"design = {design.name!r} draws coalitions that depend on each other: standard errors need "
            "'independent', 'enumeration', or several shifts of an 'orthogonal_array'"
        )
    if len(design) <= K:
        raise UnderdeterminedError(
            f"{len(design)} distinct coalitions for {K} terms leave nothing over to measure errors by: "
            f"{2 * K} or more are advised"
        )
    spread = Spread(design, changes)
    for rows in blocks(len(design), 1024):
        phi = monomials(design.coalitions[rows], p)
        leverage = design.weights[rows] * np.einsum("ak,ak->a", phi, spread.solve_rows(phi))
        if leverage.max() > 1 - 1e-9:
            raise UnderdeterminedError(
                f"without one of its {len(design)} coalitions the {K} terms are no longer identified: {2 * K} or "
                "more are advised"
            )
        changes[rows] /= np.sqrt(1 - leverage)[:, None]
    return spread


def _draws(design: Design) -> np.ndarray:
    """How many independent draws, or shifts, each coalition stands for, (m,)."""
    return np.ones(len(design)) if design.draws is None else design.draws


def n_shifts(design: Design) -> int:
    """How many shifts an array was drawn with; those that gave the same array are counted one by one."""
    _, first = np.unique(design.groups, return_index=True)
    return int(_draws(design)[first].sum())


def standard_errors(image: FittedSide, text: FittedSide) -> StandardErrors:
    """Standard errors of ``combine(image, text)``.

    Parameters
    ----------
    image, text : FittedSide
        Fitted with ``errors=True``.

    Raises
    ------
    ValueError
        If a side was fitted without.
    """
    for side in (image, text):
        if side.order == 1:
            raise ValueError(
                f"the {side.modality} side was fitted to order one; standard errors need order two"
            )
    n_image, n_text = len(image.players), len(text.players)
    r, s = split_monomials(n_image, n_text)
    variance = _Variance(n_image, n_text, image.p)
    for side, other, mine, theirs in ((image, text, r, s), (text, image, s, r)):
        if side.spread is not None:
            # how much each coalition's residual counts with each term of the other side, (m, K of the other side)
            seen = image.scale * side.spread.changes @ other.coefficients.T
            variance.add(side.spread, seen, mine, theirs)
        elif not side.enumerated:
            raise ValueError(f"the {side.modality} side was fitted without errors: fit it with errors=True")
    return variance.errors()


def joint_errors(explanation: Explanation, design: Design, values: np.ndarray) -> StandardErrors:
    """Standard errors of weighted least squares on whole coalitions.

    Parameters
    ----------
    explanation : Explanation
        As fitted to them.
    design : Design
        Of all players.
    values : ndarray, shape (m,)

    Raises
    ------
    ValueError, UnderdeterminedError
        As :func:`spread_of`.
    """
    n, p = explanation.n_players, design.p
    constant, linear, pairs = to_fourier_basis(explanation.baseline, explanation.main, explanation.pairs, p)
    coefficients = np.concatenate([[constant], linear, pairs[np.triu_indices(n, 1)]])
    variance = _Variance(explanation.n_image, explanation.n_text, p)
    spread = spread_of(design, values[:, None], coefficients[:, None])
    if spread is not None:
        variance.add(spread, spread.changes, slice(None), slice(None))
    return variance.errors()


class _Variance:
    """Sums of squared changes of an explanation's numbers, from changes of its Fourier coefficients."""

    def __init__(self, n_image: int, n_text: int, p: float) -> None:
        self.n_image, self.n, self.p = n_image, n_image + n_text, p
        self.sums: dict[str, np.ndarray] = {}
        self.freedom: list[int] = []  # draws left over, or shifts less one, of each side

    def add(
        self, spread: Spread, seen: np.ndarray, mine: np.ndarray | slice, theirs: np.ndarray | slice
    ) -> None:
        """Add what the draws of one side move.

        ``mine`` and ``theirs`` say of which monomials of this side, and of which columns of ``seen``, each term of
        the explanation is made.
        """
        design, groups = spread.design, spread.design.groups
        self.freedom.append(spread.degrees_of_freedom)
        if groups is None:
            parts = blocks(len(design), max(1, 8_000_000 // self.n**2))  # 64 MB of pairs at a time
        else:
            parts = [np.flatnonzero(groups == group) for group in np.unique(groups)]
        for rows in parts:
            left = spread.solve_rows(monomials(design.coalitions[rows], design.p))
            moved = left[:, mine] * seen[rows][:, theirs]
            # the coalitions of a group come and go together
            self._add_squares(moved if groups is None else moved.sum(axis=0, keepdims=True))

    def _add_squares(self, coefficients: np.ndarray) -> None:
        """Add the squares of what changes of all coefficients, (b, K), do to each number."""
        n, p, sigma = self.n, self.p, np.sqrt(self.p * (1 - self.p))
        constant, linear = coefficients[:, 0], coefficients[:, 1 : n + 1]
        pairs = np.zeros((len(coefficients), n, n))
        first, second = np.triu_indices(n, 1)
        pairs[:, first, second] = pairs[:, second, first] = coefficients[:, n + 1 :] / sigma**2
        cross, row = pairs[:, : self.n_image, self.n_image :], pairs.sum(axis=2)
        parts = {
            "baseline": constant - p / sigma * linear.sum(axis=1) + p**2 * row.sum(axis=1) / 2,
            "main": linear / sigma - p * row,
            "pairs": pairs,
            "first_order": linear / sigma,
            "cross_totals": np.concatenate([cross.sum(axis=2), cross.sum(axis=1)], axis=1),
        }
        for name, change in parts.items():
            self.sums[name] = self.sums.get(name, 0.0) + (change**2).sum(axis=0)

    def errors(self) -> StandardErrors:
        """Square roots; zeros where nothing was drawn."""
        if not self.sums:
            self._add_squares(np.zeros((1, n_monomials(self.n))))
        roots = {name: np.sqrt(total) for name, total in self.sums.items()}
        return StandardErrors(**roots, degrees_of_freedom=min(self.freedom, default=None))
