"""How the embeddings of a side are regressed on its monomials: by which solver, of which order, with which penalty.

A side has d embedding columns and K monomials up to order two. Three solvers give the same coefficients:

* ``"closed form"``, where the design is orthonormal (an enumeration, an orthogonal array): there is nothing to solve;
* ``"dense"``: one factorisation of the K × K Gram matrix for all d columns, up to :data:`DENSE_TERMS` terms (204
  players, 3.5 GB);
* ``"matrix-free"``: conjugate gradients for each of the d columns, where that matrix would be larger.

Coefficients of pairs are many and small, so that noise is most of what a few coalitions say of them. A penalty pulls
them towards 0: ``ridge`` is added to the diagonal of the Gram matrix at the pairs, and held-out rows choose how much.
An infinite ridge leaves order one; it is one of the choices where there are fewer coalitions than pairs.
:func:`shrink_pairs` pulls each pair by as much as its own vector is short. ``benchmarks/penalty.py`` compares them.
"""

from __future__ import annotations

from functools import cached_property

import numpy as np
from tqdm import tqdm

from fixlip_helpers.coalitions import Design, UnderdeterminedError, blocks, monomials, n_monomials
from fixlip_helpers.matrix_free import Monomials, conjugate_gradients
from fixlip_helpers.wls import MAX_TERMS, normal_equations, solve_normal

RIDGES = (0.0, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0)
"""Penalties on the second-order block that held-out rows choose from."""

DENSE_TERMS = MAX_TERMS
"""Most terms of a side whose Gram matrix is formed; a larger side is solved without one."""

JUDGED_DIRECTIONS = 4
"""Directions of the embeddings in which penalties are compared where each direction costs an iteration of its own."""

TOLERANCE = 1e-8
"""Of the matrix-free solver, relative: far below any sampling error."""


class SideRegression:
    """The regression of d embedding columns on the monomials of one side.

    Called with a ridge it gives the coefficients; what does not depend on the ridge is computed once.

    Parameters
    ----------
    design : Design
    embeddings : ndarray, shape (m, d)

    Attributes
    ----------
    method : str
        ``"closed form"``, ``"dense"`` or ``"matrix-free"``.
    """

    def __init__(self, design: Design, embeddings: np.ndarray) -> None:
        self.design, self.embeddings = design, embeddings
        if design.orthonormal:
            self.method = "closed form"
        else:
            self.method = "dense" if n_monomials(design.n) <= DENSE_TERMS else "matrix-free"

    def __call__(self, ridge: float = 0.0) -> np.ndarray:
        """Coefficients, shape (K, d); of order one, shape (n + 1, d), for an infinite ridge.

        Raises
        ------
        UnderdeterminedError
            If the coalitions do not identify them.
        """
        if np.isinf(ridge):
            return self._first_order()
        first_pair = 1 + self.design.n
        if self.method == "closed form":
            shrink = np.arange(len(self._moments))[:, None] >= first_pair
            return self._moments / (1 + ridge * shrink)
        if self.method == "dense":
            gram, moments = self._equations
            penalised = gram.copy()
            penalised.flat[first_pair * (len(gram) + 1) :: len(gram) + 1] += ridge
            return solve_normal(penalised, moments)
        design = self.design
        rows = design.coalitions, self.embeddings, design.weights, design.p
        return conjugate_gradients(*rows, ridge=ridge, tolerance=TOLERANCE, precision="float32")[0]

    def choose_ridge(
        self, coalitions: np.ndarray, embeddings: np.ndarray, keep_pairs: bool = False
    ) -> tuple[float, np.ndarray]:
        """The penalty with the least squared error on held-out rows, and its coefficients.

        Candidates are :data:`RIDGES`, and order one (an infinite ridge) where the design has fewer coalitions than
        there are pairs, unless ``keep_pairs``. The matrix-free solver compares them in the
        :data:`JUDGED_DIRECTIONS` leading principal directions of the embeddings only, and then solves for all columns
        with the best.

        Parameters
        ----------
        coalitions : ndarray of bool, shape (m', n)
            Draws from ``P_p`` that the design need not have.
        embeddings : ndarray, shape (m', d)
        keep_pairs : bool

        Raises
        ------
        UnderdeterminedError
            If no candidate is identified.
        """
        design, judged, project = self.design, self, np.eye(embeddings.shape[1])
        if self.method == "matrix-free":
            around = self.embeddings - design.weights @ self.embeddings
            project = np.linalg.svd(np.sqrt(design.weights)[:, None] * around, full_matrices=False)[2]
            project = project[:JUDGED_DIRECTIONS].T
            judged = SideRegression(design, self.embeddings @ project)
        candidates = list(RIDGES)
        if not keep_pairs and len(design) < n_monomials(design.n) - design.n - 1:
            candidates.append(np.inf)
        best, refused = (np.inf, 0.0, None), None
        for ridge in tqdm(candidates, "ridge", delay=2, leave=False):
            try:
                coefficients = judged(ridge)
            except UnderdeterminedError as error:
                refused = error
                continue
            error = ((embeddings @ project - predict(coefficients, coalitions, design.p)) ** 2).sum()
            best = min(best, (error, ridge, coefficients), key=lambda candidate: candidate[0])
        if best[2] is None:
            raise refused
        return best[1], best[2] if judged is self else self(best[1])

    def _first_order(self) -> np.ndarray:
        """Least squares on the constant and the single players, shape (n + 1, d)."""
        design, first_pair = self.design, 1 + self.design.n
        if self.method == "closed form":
            return self._moments[:first_pair]
        if self.method == "dense":
            gram, moments = self._equations
            return solve_normal(gram[:first_pair, :first_pair].copy(), moments[:first_pair])
        z = Monomials(design.coalitions, design.p)
        moments = z.first_order(design.weights[:, None] * self.embeddings)
        return solve_normal(z.squares(design.weights), moments)

    @cached_property
    def _moments(self) -> np.ndarray:
        """``Φ' W E``, (K, d): all there is to compute where the Gram matrix is the identity."""
        design = self.design
        return sum(
            monomials(design.coalitions[rows], design.p).T
            @ (design.weights[rows, None] * self.embeddings[rows])
            for rows in tqdm(blocks(len(design), rows_at_once(design.n)), "regression", delay=2, leave=False)
        )

    @cached_property
    def _equations(self) -> tuple[np.ndarray, np.ndarray]:
        """Gram matrix and moments."""
        design = self.design
        return normal_equations(design.coalitions, design.weights, self.embeddings, design.p)


def predict(coefficients: np.ndarray, coalitions: np.ndarray, p: float) -> np.ndarray:
    """Values of a fit of order one or two: (n + 1, d) or (K, d), (m, n) bool -> (m, d) float64."""
    m, n = coalitions.shape
    if len(coefficients) == n + 1:
        return coefficients[0] + (coalitions - p) / np.sqrt(p * (1 - p)) @ coefficients[1:]
    parts = [monomials(coalitions[rows], p) @ coefficients for rows in blocks(m, rows_at_once(n))]
    return np.concatenate(parts)


def rows_at_once(n: int) -> int:
    """How many rows of monomials are held: 1 024, or fewer where they would take more than 160 MB."""
    return int(min(1024, max(16, 160e6 // (8 * n_monomials(n)))))


def shrink_pairs(coefficients: np.ndarray, design: Design, embeddings: np.ndarray) -> np.ndarray:
    """Shrink each pair's vector by what noise alone would make of its length: positive-part James-Stein.

    The vector ``f_ij`` of a pair is multiplied by ``max(0, 1 - s² / |f_ij|²)``, where ``s²`` is the expected squared
    length of its error: the residual variance of all columns over the coalitions that are left over. A pair whose
    vector is no longer than its error vanishes, a long one stays nearly as it is.

    Parameters
    ----------
    coefficients : ndarray, shape (K, d)
        By least squares, without a penalty.
    design : Design
    embeddings : ndarray, shape (m, d)
        What they were fitted to.

    Returns
    -------
    ndarray, shape (K, d)

    Raises
    ------
    UnderdeterminedError
        If there are no more coalitions than terms: nothing is left to measure the noise by.
    """
    m, left = len(design), len(design) - len(coefficients)
    if left <= 0:
        raise UnderdeterminedError(
            f"{m} distinct coalitions for {len(coefficients)} terms leave no noise to measure: shrinkage needs more"
        )
    residual = embeddings - predict(coefficients, design.coalitions, design.p)
    noise = design.weights @ (residual**2).sum(axis=1) * m / left  # variance of a row, all columns together
    shrunken = coefficients.copy()
    pairs = shrunken[1 + design.n :]
    squared = (pairs**2).sum(axis=1)
    spread = noise / m if design.orthonormal else noise / left
    with np.errstate(divide="ignore"):
        pairs *= np.maximum(0, 1 - spread / squared)[:, None]
    return shrunken
