"""Standard errors: how far an explanation would move, had other coalitions been drawn.

What is random is *which coalitions of a side were drawn*. All values that share an image coalition move together, so
that counting m_I × m_T values as if they were independent makes errors far too small. Here each side's draws are the
units:

* **independent draws**: the sandwich with corrected leverage (CR2, Bell and McCaffrey, *Survey Methodology* 2002).
  Coalition a moves the vector coefficients of a side by ``G⁻¹φ_a u_a r_a / sqrt(1 - h_a)``, with the residual ``r_a``
  and the leverage ``h_a = u_a φ_a' G⁻¹ φ_a``; the variance is the sum of the squares. Without the root, errors near
  the limit of identification are far too small, as the residuals there are; the delete-one jackknife, which divides by
  ``1 - h_a``, makes them as much too large. ``tests/test_uncertainty.py`` counts what each interval covers.
* **independent shifts of an array**: the spread of the single shifts' coefficients around their mean. A shift changes
  the signs with which a few terms of higher order are mistaken for others: where they are few, intervals are too wide.
* **enumeration**: nothing was drawn, nothing is added.

An interaction is ``scale * <f_r, g_s>``: a change of the image side's coefficients moves it by their inner product
with the text side's, and the reverse (delta method); both sides' variances add up.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from fixlip_helpers.coalitions import Design, monomials, n_monomials
from fixlip_helpers.explanation import StandardErrors
from fixlip_helpers.wls import UnderdeterminedError, blocks, normal_equations, split_monomials

if TYPE_CHECKING:
    from fixlip_helpers.sides import Side

MAX_TERMS_WITH_ERRORS = 6000
"""Most terms of a side for which leverages are computed: their Gram matrix is inverted row by row."""


@dataclass(eq=False)
class Spread:
    """What a side's standard errors are made of.

    Attributes
    ----------
    design : Design
        What was fitted.
    changes : ndarray, shape (m, d)
        ``u_a r_a / sqrt(1 - h_a)`` of each coalition; for shifts of an array ``u_a r_a`` times what makes the sum of
        squares over shifts a variance.
    """

    design: Design
    changes: np.ndarray

    def factor(self) -> tuple | None:
        """Cholesky factor of the design's Gram matrix; None where that is the identity."""
        return factor_of(self.design)


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
    changes = np.concatenate(
        [
            design.weights[rows, None]
            * (embeddings[rows] - monomials(design.coalitions[rows], p) @ coefficients)
            for rows in blocks(len(design), 1024)
        ]
    )
    if design.name == "orthogonal_array":
        shifts = design.groups.max() + 1
        if shifts < 2:
            raise ValueError(
                f"one array of {len(design)} runs has no spread to measure: give n_image_coalitions (or m) a multiple "
                "of its runs, or use design='independent'"
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
    factor = factor_of(design)
    for rows in blocks(len(design), 1024):
        phi = monomials(design.coalitions[rows], p)
        leverage = design.weights[rows] * np.einsum("ak,ak->a", phi, solve_rows(factor, phi))
        if leverage.max() > 1 - 1e-9:
            raise UnderdeterminedError(
                f"without one of its {len(design)} coalitions the {K} terms are no longer identified: {2 * K} or "
                "more are advised"
            )
        changes[rows] /= np.sqrt(1 - leverage)[:, None]
    return Spread(design, changes)


def factor_of(design: Design) -> tuple | None:
    """Cholesky factor, as SciPy's ``cho_solve`` takes it, of a design's Gram matrix; None for the identity."""
    if design.orthonormal:
        return None
    from scipy.linalg import cho_factor

    gram, _ = normal_equations(design.coalitions, design.weights, np.zeros((len(design), 0)), design.p)
    return cho_factor(gram, lower=True, overwrite_a=True)


def solve_rows(factor: tuple | None, phi: np.ndarray) -> np.ndarray:
    """``G⁻¹ φ_a`` for each row of ``phi``, shape (b, K)."""
    from scipy.linalg import cho_solve

    return phi if factor is None else cho_solve(factor, phi.T).T


def standard_errors(image: Side, text: Side) -> StandardErrors:
    """Standard errors of ``combine(image, text)``.

    Parameters
    ----------
    image, text : Side
        Fitted with ``errors=True``.

    Raises
    ------
    ValueError
        If a side was fitted without.
    """
    n_image, n_text = len(image.players), len(text.players)
    r, s = split_monomials(n_image, n_text)
    variance, freedom = _Variance(n_image, n_text, image.p), []
    for side, other, mine, theirs in ((image, text, r, s), (text, image, s, r)):
        if side.spread is None:
            if not side.enumerated:
                raise ValueError(
                    f"the {side.modality} side was fitted without errors: fit it with errors=True"
                )
            continue
        design, factor = side.spread.design, side.spread.factor()
        seen = image.scale * side.spread.changes @ other.coefficients.T  # (m, K of the other side)
        freedom.append(_freedom(design))
        for rows in variance.blocks(design):
            left = solve_rows(factor, monomials(design.coalitions[rows], design.p))
            variance.add(left[:, mine] * seen[rows][:, theirs], design.groups is not None)
    return variance.errors(min(freedom) if freedom else None)


def joint_errors(design: Design, values: np.ndarray, n_image: int, n_text: int) -> StandardErrors:
    """Standard errors of weighted least squares on whole coalitions.

    Parameters
    ----------
    design : Design
        Of all players.
    values : ndarray, shape (m,)
    n_image, n_text : int

    Raises
    ------
    ValueError, UnderdeterminedError
        As :func:`spread_of`.
    """
    factor, variance = factor_of(design), _Variance(n_image, n_text, design.p)
    _, moments = normal_equations(design.coalitions, design.weights, values[:, None], design.p)
    spread = spread_of(design, values[:, None], solve_rows(factor, moments.T).T)
    if spread is None:
        return variance.errors(None)
    for rows in variance.blocks(design):
        left = solve_rows(factor, monomials(design.coalitions[rows], design.p))
        variance.add(left * spread.changes[rows], design.groups is not None)
    return variance.errors(_freedom(design))


def _freedom(design: Design) -> int:
    """Degrees of freedom of a design's errors: draws left over, or shifts less one."""
    return len(design) - n_monomials(design.n) if design.groups is None else int(design.groups.max())


class _Variance:
    """Sums of squared changes of an explanation's numbers, from changes of its Fourier coefficients."""

    def __init__(self, n_image: int, n_text: int, p: float) -> None:
        self.n_image, self.n, self.p = n_image, n_image + n_text, p
        self.sums: dict[str, np.ndarray] = {}

    def blocks(self, design: Design) -> list:
        """Row numbers to go through at once: a whole shift of an array, else as many as fit into 64 MB."""
        if design.groups is not None:
            return [np.flatnonzero(design.groups == g) for g in range(design.groups.max() + 1)]
        return blocks(len(design), max(1, 8_000_000 // self.n**2))

    def add(self, coefficients: np.ndarray, together: bool = False) -> None:
        """Add the changes of all coefficients, (b, K), that each coalition makes by itself, or all ``together``."""
        if together:
            coefficients = coefficients.sum(axis=0, keepdims=True)
        n, p, sigma = self.n, self.p, np.sqrt(self.p * (1 - self.p))
        constant, linear = coefficients[:, 0], coefficients[:, 1 : n + 1]
        pairs = np.zeros((len(coefficients), n, n))
        first, second = np.triu_indices(n, 1)
        pairs[:, first, second] = pairs[:, second, first] = coefficients[:, n + 1 :] / sigma**2
        cross = np.concatenate(
            [
                pairs[:, : self.n_image, self.n_image :].sum(2),
                pairs[:, : self.n_image, self.n_image :].sum(1),
            ],
            1,
        )
        row = pairs.sum(axis=2)
        parts = {
            "baseline": constant - p / sigma * linear.sum(axis=1) + p**2 * row.sum(axis=1) / 2,
            "main": linear / sigma - p * row,
            "pairs": pairs,
            "first_order": linear / sigma,
            "cross_totals": cross,
        }
        for name, change in parts.items():
            self.sums[name] = self.sums.get(name, 0.0) + (change**2).sum(axis=0)

    def errors(self, freedom: int | None) -> StandardErrors:
        """Square roots; zeros where nothing was drawn."""
        if not self.sums:
            self.add(np.zeros((1, n_monomials(self.n))))
        roots = {name: np.sqrt(total) for name, total in self.sums.items()}
        return StandardErrors(**roots, degrees_of_freedom=None if freedom is None else int(freedom))
