"""The paper's weighted least squares: FIxLIP-p as a regression on coalitions drawn from P_p.

All solvers here minimise ``Σ w (ν(M) - ν̂(M))²`` over second-order surrogates ``ν̂``. For values of whole
coalitions:

* :func:`solve_dense`, the plain regression by normal equations, for up to about 100 players;
* :func:`solve_matrix_free`, conjugate gradients that form neither the design matrix nor its Gram matrix
  (:mod:`~fixlip_helpers.matrix_free`), for hundreds of players;
* :func:`solve`, which chooses between them, says which it chose, and on request answers from too few
  coalitions too.

For a two-sided game on all pairs of image and text coalitions, whose values are never formed:

* :func:`solve_product`: the design matrix is a Kronecker product;
* :func:`solve_exact_text`: where the text is enumerated the problem splits into small ones.

They work in the p-biased Fourier basis (:func:`~fixlip_helpers.coalitions.monomials`), whose Gram
matrix is near the identity, and give the same answer, which the tests check to 1e-8. Where coalitions come
in batches, :class:`NormalEquations` adds them up, and is merged, saved and continued.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

import numpy as np
from tqdm import tqdm

from fixlip_helpers.coalitions import (
    MAX_CONDITION,
    Design,
    UnderdeterminedError,
    blocks,
    check_count,
    check_p,
    check_rows,
    monomials,
    n_monomials,
    plain,
)
from fixlip_helpers.explanation import from_upper_triangle, to_set_basis
from fixlip_helpers.files import load_arrays, save_arrays
from fixlip_helpers.matrix_free import Monomials, conjugate_gradients

MAX_TERMS = 21_000
"""Most unknowns for which normal equations are formed (3.5 GB)."""

DENSE_BYTES = 64e6
"""Largest Gram matrix that ``method="auto"`` forms: 2 828 terms, 74 players."""

FALLBACKS = ("ridge", "minimum-norm", "fourier")
"""What :func:`solve` can answer from coalitions that do not identify all terms."""


# --- Values of whole coalitions -----------------------------------------------------------


class Solution(NamedTuple):
    """What :func:`solve` found: ``terms`` as (baseline, main, pairs), and by which method and estimator."""

    terms: tuple
    method: str
    estimator: str


class Regression(NamedTuple):
    """What :func:`regress` found: Fourier ``coefficients`` (K, d), and by which method and estimator."""

    coefficients: np.ndarray
    method: str
    estimator: str


def solve(
    coalitions: np.ndarray,
    values: np.ndarray,
    weights: np.ndarray,
    p: float,
    method: str = "auto",
    fallback: str | None = None,
    ridge: float = 0.1,
    precision: str = "float64",
) -> Solution:
    """Weighted least squares on whole coalitions, by the method that suits its size.

    Parameters
    ----------
    coalitions : ndarray of bool, shape (m, n)
    values : ndarray, shape (m,)
        The game's values.
    weights : ndarray, shape (m,)
        Not negative.
    p : float
        Centre of the basis.
    method : str
        ``"dense"``, ``"matrix-free"``, or ``"auto"``: dense while the Gram matrix of the ``K`` terms,
        ``8 K²`` bytes, stays below :data:`DENSE_BYTES`.
    fallback : str, optional
        What to answer if the coalitions do not identify all terms. Without it they are refused.

        * ``"ridge"``: least squares with a penalty on the second-order coefficients, which pulls them
          towards 0. Constant and linear ones are not penalised and must be identified.
        * ``"minimum-norm"``: of all coefficients that fit the values best, those of least Euclidean norm
          in the Fourier basis, hence the surrogate of least second moment under ``P_p``. It interpolates
          noise, worst where coalitions are nearly as many as terms.
        * ``"fourier"``: the weighted means ``Σ w ν φ / Σ w``. If the coalitions are draws from ``P_p``, each
          coefficient is unbiased, and its variance is that of the whole game over the number of draws.
    ridge : float
        Strength of that penalty, where the weights sum to 1.
    precision : str
        Of the matrix-free method, see :func:`conjugate_gradients`.

    Returns
    -------
    Solution
        ``estimator`` is ``"least squares"`` or the fallback that was used; ``method`` the method, never "auto".

    Raises
    ------
    UnderdeterminedError
        If the coalitions do not identify all terms and no fallback is given.
    NotConvergedError
        If conjugate gradients do not converge.
    ValueError
        If an argument is not one of those listed.
    """
    values = np.asarray(values, dtype=float)
    if values.ndim != 1:
        raise ValueError(f"values has shape {values.shape}; expected (m,), one per coalition")
    fit = regress(coalitions, values[:, None], weights, p, method, fallback, ridge, precision)
    terms = to_set_basis(*unpack(fit.coefficients[:, 0], np.shape(coalitions)[1]), p)
    return Solution(terms, fit.method, fit.estimator)


def regress(
    coalitions: np.ndarray,
    targets: np.ndarray,
    weights: np.ndarray,
    p: float,
    method: str = "auto",
    fallback: str | None = None,
    ridge: float = 0.1,
    precision: str = "float64",
) -> Regression:
    """:func:`solve` for d targets, shape (m, d): their Fourier coefficients, shape (K, d).

    The dense method factorises once for all targets, the matrix-free one iterates for each: where there are
    hundreds and the Gram matrix fits, ask for the dense one.
    """
    n = np.shape(coalitions)[1]
    if method not in ("auto", "dense", "matrix-free"):
        raise ValueError(f"method = {method!r}; expected 'auto', 'dense' or 'matrix-free'")
    _check_fallback(fallback, ridge)
    if method == "auto":
        method = "dense" if 8 * n_monomials(n) ** 2 <= DENSE_BYTES else "matrix-free"
    if method == "dense":
        equations = NormalEquations(n, p, np.shape(targets)[1]).add(coalitions, weights, targets)
        coefficients, estimator = equations.solve(fallback, ridge)
        return Regression(coefficients, method, estimator)
    rows = coalitions, targets, weights, p
    try:
        coefficients, _ = conjugate_gradients(*rows, precision=precision)
        return Regression(coefficients, method, "least squares")
    except UnderdeterminedError:
        if fallback is None or not np.sum(weights) > 0:
            raise
    if fallback == "fourier":
        phi, shares = Monomials(coalitions, p), weights / weights.sum()
        coefficients = np.stack([phi.adjoint(shares * target) for target in targets.T], axis=1)
    elif fallback == "ridge":
        coefficients, _ = conjugate_gradients(*rows, ridge=ridge, precision=precision)
    else:
        coefficients, _ = conjugate_gradients(*rows, precision=precision, minimum_norm=True)
    return Regression(coefficients, method, fallback)


def solve_dense(coalitions: np.ndarray, values: np.ndarray, weights: np.ndarray, p: float) -> tuple:
    """Weighted least squares on whole coalitions.

    Parameters
    ----------
    coalitions : ndarray of bool, shape (m, n)
    values : ndarray, shape (m,)
        The game's values.
    weights : ndarray, shape (m,)
    p : float
        Centre of the basis; where the solution is unique it is the same for every ``p``.

    Returns
    -------
    baseline : float
    main : ndarray, shape (n,)
    pairs : ndarray, shape (n, n)

    Raises
    ------
    UnderdeterminedError
        If the coalitions do not identify all terms.
    """
    gram, moments = normal_equations(coalitions, weights, values[:, None], p)
    coefficients = solve_normal(gram, moments)[:, 0]
    return to_set_basis(*unpack(coefficients, coalitions.shape[1]), p)


def solve_matrix_free(
    coalitions: np.ndarray,
    values: np.ndarray,
    weights: np.ndarray,
    p: float,
    *,
    ridge: float = 0.0,
    tolerance: float = 1e-10,
    max_iterations: int = 1000,
    precision: str = "float64",
) -> tuple:
    """:func:`solve_dense` without a Gram matrix: a few megabytes of memory beside the coalitions.

    Returns ``baseline, main, pairs`` as there. Parameters and errors are those of
    :func:`conjugate_gradients`, which gives Fourier coefficients.
    """
    coefficients, _ = conjugate_gradients(
        coalitions,
        np.asarray(values, dtype=float)[:, None],
        weights,
        p,
        ridge=ridge,
        tolerance=tolerance,
        max_iterations=max_iterations,
        precision=precision,
    )
    return to_set_basis(*unpack(coefficients[:, 0], np.shape(coalitions)[1]), p)


def _check_fallback(fallback: str | None, ridge: float) -> None:
    if fallback not in (None, *FALLBACKS):
        raise ValueError(f"fallback = {fallback!r}; expected None, {', '.join(map(repr, FALLBACKS))}")
    if not 0 < ridge < np.inf:
        raise ValueError(f"ridge = {ridge!r}; expected a number above 0")


# --- All pairs of image and text coalitions -----------------------------------------------


def solve_product(
    F: np.ndarray,
    G: np.ndarray,
    image_design: Design,
    text_design: Design,
    scale: float = 1.0,
    bias: float = 0.0,
) -> tuple:
    """Weighted least squares on all pairs (image coalition, text coalition) of a two-sided game.

    A monomial of the whole is a monomial ``r`` of the image times one ``s`` of the text, so that the Gram
    matrix has entries ``gram_I[r, r'] * gram_T[s, s']`` and, as values are ``scale <f, g> + bias``, the
    right-hand side is ``scale * <Φ_I' U F, Φ_T' V G>`` at (r, s).

    Parameters
    ----------
    F : ndarray, shape (m_I, d)
        Image embeddings of the coalitions of ``image_design``.
    G : ndarray, shape (m_T, d)
        Text embeddings of the coalitions of ``text_design``.
    image_design, text_design : Design
        Of the same ``p``; the pair (a, b) has weight ``u_a * v_b``.
    scale, bias : float
        The game's.

    Returns
    -------
    baseline, main, pairs
        As :func:`solve_dense`.

    Raises
    ------
    UnderdeterminedError
        If the coalitions of a side do not identify its monomials; the message says how many are needed.
    """
    _check_widths(F, G)
    p, n_image, n_text = image_design.p, image_design.n, text_design.n
    for name, design in (("image", image_design), ("text", text_design)):
        if len(design) < n_monomials(design.n):
            raise UnderdeterminedError(
                f"{len(design)} distinct {name} coalitions do not identify the {n_monomials(design.n)} terms "
                f"of {design.n} {name} players: at least {n_monomials(design.n)} {name} passes are needed"
            )
    gram_image, moments_image = normal_equations(image_design.coalitions, image_design.weights, F, p)
    gram_text, moments_text = normal_equations(text_design.coalitions, text_design.weights, G, p)
    r, s = split_monomials(n_image, n_text)
    gram = np.empty((len(r), len(r)))
    for rows in blocks(len(r), 256):
        gram[rows] = gram_image[np.ix_(r[rows], r)] * gram_text[np.ix_(s[rows], s)]
    del gram_image, gram_text
    moments = scale * np.einsum("kd,kd->k", moments_image[r], moments_text[s])
    coefficients = solve_normal(gram, moments[:, None])[:, 0]
    coefficients[0] += bias
    return to_set_basis(*unpack(coefficients, n_image + n_text), p)


def _check_widths(F: np.ndarray, G: np.ndarray) -> None:
    if F.shape[1] != G.shape[1]:
        raise ValueError(
            f"image embeddings have {F.shape[1]} numbers, text embeddings {G.shape[1]}; expected equally many"
        )


def solve_exact_text(
    F: np.ndarray,
    G: np.ndarray,
    image_design: Design,
    text_design: Design,
    scale: float = 1.0,
    bias: float = 0.0,
    method: str = "auto",
) -> tuple:
    """:func:`solve_product` for an enumerated text, at the price of a regression of the image alone.

    The Gram matrix of the text's monomials is then the identity, and least squares on all pairs splits by
    the text part s of a monomial, each with the target ``F g_s``, where ``g_s = Σ_y v(y) φ_s(y) G(y)``: one
    second-order regression for s = ∅, a first-order one for each token, a weighted mean for each pair of
    tokens. No matrix has more than one side's terms, and with the matrix-free method none is formed.

    Parameters
    ----------
    F, G, image_design, text_design, scale, bias
        As for :func:`solve_product`; the text's design must be orthonormal (an enumeration, or an array).
    method : str
        Of the second-order regression, as for :func:`solve`.

    Returns
    -------
    baseline, main, pairs
        As :func:`solve_dense`.

    Raises
    ------
    ValueError
        If the text's design is not orthonormal, or the two sides differ in width.
    UnderdeterminedError, NotConvergedError
        If the image coalitions do not identify the image's monomials; if the iteration does not converge.
    """
    if not text_design.orthonormal:
        raise ValueError(f"the text's design is {text_design.name!r}; expected an enumeration")
    _check_widths(F, G)
    p, n_image, n_text = image_design.p, image_design.n, text_design.n
    g = monomials(text_design.coalitions, p).T @ (text_design.weights[:, None] * G)
    targets = F @ g.T  # (m_I, K_T)
    table = np.zeros((n_monomials(n_image), n_monomials(n_text)))  # coefficient of (r, s); |r| + |s| <= 2
    table[:, :1] = regress(
        image_design.coalitions, targets[:, :1], image_design.weights, p, method
    ).coefficients
    weighted = image_design.weights[:, None] * targets[:, 1:]
    z = Monomials(image_design.coalitions, p)
    gram = z.squares(image_design.weights)
    moments = np.stack([z.first_order(column) for column in weighted[:, :n_text].T], axis=1)
    table[: n_image + 1, 1 : n_text + 1] = solve_normal(gram, moments)
    table[0, n_text + 1 :] = weighted[:, n_text:].sum(axis=0) / image_design.weights.sum()
    coefficients = scale * table[split_monomials(n_image, n_text)]
    coefficients[0] += bias
    return to_set_basis(*unpack(coefficients, n_image + n_text), p)


# --- Normal equations ---------------------------------------------------------------------


class NormalEquations:
    """``Φ' W Φ`` and ``Φ' W targets``, added up batch by batch: all that least squares needs of the rows.

    Weights need not sum to one: to go on with a design, give each draw the weight 1 in all batches (or each
    coalition the number of its draws). The sums do not depend on how rows are spread over batches, but for
    rounding.

    Parameters
    ----------
    n : int
        Number of players.
    p : float
    d : int
        Number of targets.

    Attributes
    ----------
    gram : ndarray, shape (K, K)
    moments : ndarray, shape (K, d)
    total : float
        Sum of the weights so far.

    Raises
    ------
    ValueError
        If the Gram matrix of ``n`` players is too large.
    """

    def __init__(self, n: int, p: float, d: int = 1) -> None:
        K = n_monomials(check_count("n", n))
        if K > MAX_TERMS:
            raise ValueError(
                f"{n} players have {K} terms up to order two, whose Gram matrix takes {8e-9 * K**2:.0f} GB; "
                f"at most {MAX_TERMS} are solved by normal equations. Use solve_matrix_free, which forms "
                "none, or explain coarser players"
            )
        self.n, self.p = int(n), check_p(p)
        self.gram, self.moments, self.total = np.zeros((K, K)), np.zeros((K, check_count("d", d))), 0.0

    def add(
        self, coalitions: np.ndarray, weights: np.ndarray, targets: np.ndarray, rows_at_once: int = 1024
    ) -> NormalEquations:
        """Add rows: coalitions (m, n) bool, weights (m,), targets (m, d); returns itself.

        ``rows_at_once`` rows of Φ are held at a time.
        """
        coalitions, weights, targets = check_rows(
            coalitions, weights, targets, (self.n, self.moments.shape[1])
        )
        for rows in tqdm(blocks(len(coalitions), rows_at_once), "normal equations", delay=2, leave=False):
            root = np.sqrt(weights[rows, None])
            phi = monomials(coalitions[rows], self.p)
            phi *= root
            self.gram += phi.T @ phi
            self.moments += phi.T @ (root * targets[rows])
            del phi  # before the next block takes as much again
        self.total += float(weights.sum())
        return self

    def merge(self, other: NormalEquations) -> NormalEquations:
        """Add the rows that another one has seen; returns itself."""
        mine, theirs = ((e.n, e.p, e.moments.shape[1]) for e in (self, other))
        if mine != theirs:
            raise ValueError(f"normal equations differ in (players, p, targets): {mine} and {theirs}")
        self.gram += other.gram
        self.moments += other.moments
        self.total += other.total
        return self

    def solve(self, fallback: str | None = None, ridge: float = 0.1) -> tuple[np.ndarray, str]:
        """Fourier coefficients, shape (K, d), and the estimator's name; arguments are those of :func:`solve`."""
        _check_fallback(fallback, ridge)
        if not self.total > 0:
            raise UnderdeterminedError("no coalitions with a positive weight were added")
        moments = self.moments / self.total
        try:
            return solve_normal(self.gram / self.total, moments), "least squares"
        except UnderdeterminedError:
            if fallback is None:
                raise
        if fallback == "fourier":
            return moments, fallback
        gram = self.gram / self.total
        if fallback == "ridge":
            gram.flat[(self.n + 1) * (len(gram) + 1) :: len(gram) + 1] += ridge
            return solve_normal(gram, moments), fallback
        values, vectors = np.linalg.eigh(gram)
        kept = values > values[-1] / MAX_CONDITION
        return vectors[:, kept] @ (vectors[:, kept].T @ moments / values[kept, None]), fallback

    def save(self, path: str | os.PathLike) -> Path:
        """Write as safetensors, whole or not at all; returns the path."""
        facts = plain({"n": self.n, "p": self.p, "total": self.total})
        return save_arrays(
            path, "fixlip-normal-equations", {"gram": self.gram, "moments": self.moments}, facts
        )

    @classmethod
    def load(cls, path: str | os.PathLike) -> NormalEquations:
        """Read what :meth:`save` wrote; ValueError names the file if it holds no normal equations."""
        try:
            arrays, facts = load_arrays(path, "fixlip-normal-equations")
            gram, moments = arrays["gram"], arrays["moments"]
            equations = cls(facts["n"], facts["p"], moments.shape[1])
            if (gram.shape, len(moments)) != (equations.gram.shape, len(gram)):
                raise ValueError(f"its arrays have shapes {gram.shape} and {moments.shape}")
        except (KeyError, IndexError, TypeError, ValueError) as error:
            raise ValueError(f"{path} holds no saved normal equations: {error}") from error
        equations.gram, equations.moments, equations.total = gram, moments, facts["total"]
        return equations


def normal_equations(
    coalitions: np.ndarray, weights: np.ndarray, targets: np.ndarray, p: float, rows_at_once: int = 1024
) -> tuple[np.ndarray, np.ndarray]:
    """``Φ' W Φ``, shape (K, K), and ``Φ' W targets``, shape (K, d), without holding all of Φ."""
    equations = NormalEquations(coalitions.shape[1], p, targets.shape[1])
    equations.add(coalitions, weights, targets, rows_at_once)
    return equations.gram, equations.moments


def solve_normal(gram: np.ndarray, moments: np.ndarray) -> np.ndarray:
    """Solve the normal equations by one Cholesky factorisation, which overwrites ``gram``.

    Raises
    ------
    UnderdeterminedError
        If the Gram matrix is singular, or so nearly that nothing can be trusted
        (:data:`MAX_CONDITION`).
    """
    from scipy.linalg import cho_solve, cholesky, lapack

    norm = lapack.dlange("1", gram.T)
    try:
        # The matrix is symmetric: its transpose is the same, and in the order that LAPACK overwrites.
        factor = cholesky(gram.T, lower=True, overwrite_a=True, check_finite=False)
        reciprocal_condition = lapack.dpocon(factor, norm, uplo="L")[0]
    except np.linalg.LinAlgError:
        reciprocal_condition = 0.0
    if reciprocal_condition < 1 / MAX_CONDITION:
        raise UnderdeterminedError(
            f"the coalitions do not identify all {len(gram)} terms: more distinct ones are needed"
        )
    return cho_solve((factor, True), moments, check_finite=False)


# --- The order of the terms ---------------------------------------------------------------


def split_monomials(n_image: int, n_text: int) -> tuple[np.ndarray, np.ndarray]:
    """For each monomial of the whole, in order, the number of its image part and of its text part."""
    n = n_image + n_text
    first, second = np.triu_indices(n, 1)
    members = np.full((n_monomials(n), 2), -1)  # up to two players of each monomial
    members[1 : n + 1, 0] = np.arange(n)
    members[n + 1 :] = np.stack([first, second], axis=1)

    def number(i: np.ndarray, j: np.ndarray, size: int) -> np.ndarray:
        """Column of {i, j} among the monomials of one side; -1 stands for no player."""
        low, high = np.minimum(i, j), np.maximum(i, j)
        return np.where(low < 0, 1 + high, 1 + size + low * (2 * size - low - 1) // 2 + high - low - 1)

    image, text = np.where(members < n_image, members, -1), np.maximum(members - n_image, -1)
    return number(image[:, 0], image[:, 1], n_image), number(text[:, 0], text[:, 1], n_text)


def unpack(coefficients: np.ndarray, n: int) -> tuple:
    """Coefficients of :func:`monomials`, shape (K,), as constant, linear (n,) and symmetric pairs (n, n)."""
    return coefficients[0], coefficients[1 : n + 1], from_upper_triangle(coefficients[n + 1 :], n)
