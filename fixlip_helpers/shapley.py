"""Faithful Shapley interactions: the same regression with other weights, and two values held fixed.

The faithful Shapley interaction index FSII (Tsai, Yeh and Ravikumar, JMLR 2023, there "Faith-Shap"; FIxLIP-SI in the
FIxLIP paper) is the second-order surrogate that minimises ``Σ μ(|M|) (ν(M) - ν̂(M))²`` over the coalitions of 1 to
n - 1 players, with

    μ(t) ∝ 1 / C(n - 2, t - 1),    ν̂(∅) = ν(∅)    and    ν̂(N) = ν(N).

μ is the weight of each coalition of size t, so a size as a whole weighs in proportion to ``1 / (t (n - t))``: the
smallest and the largest coalitions count most. With order one in place of two it gives the Shapley values
(KernelSHAP: Lundberg and Lee, NeurIPS 2017); and halving each interaction of the exact FSII gives them too.

μ is no product over players, so that nothing here factorises over image and text: whole coalitions are drawn.
"""

from __future__ import annotations

import numpy as np

from fixlip_helpers.coalitions import (
    STREAMS,
    Design,
    UnderdeterminedError,
    all_coalitions,
    check_count,
    empty_and_full,
    list_and_draw,
    monomials,
    n_monomials,
)
from fixlip_helpers.explanation import to_set_basis
from fixlip_helpers.matrix_free import Monomials
from fixlip_helpers.wls import normal_equations, solve_normal, unpack

CENTRE = 0.5
"""Centre of the basis in which the regression is solved; its solution does not depend on it."""


def size_shares(n: int) -> np.ndarray:
    """The share of each size 0, ..., n in the sum of the Shapley weights, shape (n + 1,): 0 at both ends."""
    shares = np.zeros(n + 1)
    t = np.arange(1, n)
    shares[1:n] = 1 / (t * (n - t))
    return shares / shares.sum() if n > 1 else shares


def shapley_design(n: int, m: int, seed: int = 0, stream: int = STREAMS["joint"]) -> Design:
    """Coalitions of 1 to ``n - 1`` players with Shapley weights.

    Sizes with no more coalitions than draws would fall on them are listed in full, the rest is drawn, as
    :func:`~fixlip_helpers.coalitions.border` does it for ``P_p``. From ``m = 2**n - 2`` on, all are listed.

    Parameters
    ----------
    n : int
        Number of players, at least 2.
    m : int
        Number of coalitions to list or draw.
    seed, stream : int

    Returns
    -------
    Design
        With ``p`` None.
    """
    n, m, seed = check_count("n", n), check_count("m", m), check_count("seed", seed)
    if n < 2:
        raise ValueError(f"n = {n}; Shapley weights need at least 2 players")
    if n <= 24 and m >= 2**n - 2:
        coalitions = all_coalitions(n)[1:-1]
        sizes = coalitions.sum(axis=1)
        weights = (size_shares(n) / np.maximum(1, np.bincount(sizes, minlength=n + 1)))[sizes]
        return Design(coalitions, weights, None, "shapley", None)
    return list_and_draw(n, size_shares(n), m, None, "shapley", seed, stream)


def solve_enforced(
    coalitions: np.ndarray, values: np.ndarray, weights: np.ndarray, ends: np.ndarray, order: int = 2
) -> tuple:
    """Weighted least squares with the values of nobody and of everybody held fixed.

    Parameters
    ----------
    coalitions : ndarray of bool, shape (m, n)
    values, weights : ndarray, shape (m,)
    ends : array_like, shape (2,)
        The game's values of the empty and of the full coalition, which the surrogate takes exactly.
    order : {1, 2}
        2: FSII. 1: Shapley values, all pairs 0.

    Returns
    -------
    baseline : float
        ``ends[0]``.
    main : ndarray, shape (n,)
    pairs : ndarray, shape (n, n)

    Raises
    ------
    UnderdeterminedError
        If the coalitions do not identify all terms.
    """
    n = coalitions.shape[1]
    K = n_monomials(n) if order == 2 else 1 + n
    fixed = monomials(empty_and_full(n), CENTRE)[:, :K]
    ends = np.asarray(ends, dtype=float)
    if order == 1:
        z = Monomials(coalitions, CENTRE)
        gram, moments = z.squares(weights), z.first_order(weights * values)
    else:
        gram, moments = normal_equations(coalitions, weights, values[:, None], CENTRE)
        moments = moments[:, 0]
    # What both ends add is the same for every surrogate that takes their values: it changes no solution and makes
    # the matrix regular where the other coalitions alone leave one or two directions open.
    solved = solve_normal(gram + fixed.T @ fixed, np.column_stack([moments + fixed.T @ ends, fixed.T]))
    free, pull = solved[:, 0], solved[:, 1:]
    # Lagrange: move from the free solution along G⁻¹A' until A c = ends.
    coefficients = np.zeros(n_monomials(n))
    coefficients[:K] = free + pull @ np.linalg.solve(fixed @ pull, ends - fixed @ free)
    return to_set_basis(*unpack(coefficients, n), CENTRE)


def check_identified(design: Design) -> None:
    """Raise UnderdeterminedError where a design, with both ends, has fewer coalitions than there are terms."""
    if len(design) + 2 < n_monomials(design.n):
        raise UnderdeterminedError(
            f"{len(design)} distinct coalitions, the empty and the full one do not identify the "
            f"{n_monomials(design.n)} terms of {design.n} players: a budget of {4 * n_monomials(design.n)} is advised"
        )
