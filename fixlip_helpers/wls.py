"""The paper's weighted least squares: FIxLIP-p as a regression on coalitions drawn from P_p.

Both solvers here minimise ``Σ w (ν(M) - ν̂(M))²`` over second-order surrogates ``ν̂``:

* :func:`solve_dense` for values of whole coalitions, the plain regression;
* :func:`solve_product` for a two-sided game on all pairs of image and text coalitions. The
  design matrix is then a Kronecker product: neither it nor the values are ever formed.

They work in the p-biased Fourier basis (:func:`~fixlip_helpers.coalitions.monomials`), whose Gram
matrix is near the identity, and give the same answer, which the tests check to 1e-8.
"""

from __future__ import annotations

import numpy as np
from tqdm import tqdm

from fixlip_helpers.coalitions import Design, monomials, n_monomials
from fixlip_helpers.explanation import to_set_basis

MAX_TERMS = 21_000
"""Most unknowns for which normal equations are formed (3.5 GB)."""


class UnderdeterminedError(ValueError):
    """The coalitions do not identify the coefficients: more passes are needed."""


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


# --- The pieces ---------------------------------------------------------------------------


def normal_equations(
    coalitions: np.ndarray, weights: np.ndarray, targets: np.ndarray, p: float, rows_at_once: int = 1024
) -> tuple[np.ndarray, np.ndarray]:
    """``Φ' W Φ``, shape (K, K), and ``Φ' W targets``, shape (K, d), without holding all of Φ."""
    K = n_monomials(coalitions.shape[1])
    if K > MAX_TERMS:
        raise ValueError(
            f"{coalitions.shape[1]} players have {K} terms up to order two, whose Gram matrix "
            f"takes {8e-9 * K**2:.0f} GB; at most {MAX_TERMS} are solved here. Explain coarser players, or "
            "use side fits on an orthogonal array (p = 0.5), which need no Gram matrix"
        )
    gram, moments = np.zeros((K, K)), np.zeros((K, targets.shape[1]))
    for rows in tqdm(blocks(len(coalitions), rows_at_once), "normal equations", delay=2, leave=False):
        root = np.sqrt(weights[rows, None])
        phi = monomials(coalitions[rows], p)
        phi *= root
        gram += phi.T @ phi
        moments += phi.T @ (root * targets[rows])
        del phi  # before the next block takes as much again
    return gram, moments


def solve_normal(gram: np.ndarray, moments: np.ndarray) -> np.ndarray:
    """Solve the normal equations by one Cholesky factorisation, which overwrites ``gram``.

    Raises
    ------
    UnderdeterminedError
        If the Gram matrix is singular, or so nearly that nothing can be trusted (condition over 1e10).
    """
    from scipy.linalg import cho_solve, cholesky, lapack

    norm = lapack.dlange("1", gram.T)
    try:
        # The matrix is symmetric: its transpose is the same, and in the order that LAPACK overwrites.
        factor = cholesky(gram.T, lower=True, overwrite_a=True, check_finite=False)
        reciprocal_condition = lapack.dpocon(factor, norm, uplo="L")[0]
    except np.linalg.LinAlgError:
        reciprocal_condition = 0.0
    if reciprocal_condition < 1e-10:
        raise UnderdeterminedError(
            f"the coalitions do not identify all {len(gram)} terms: more distinct ones are needed"
        )
    return cho_solve((factor, True), moments, check_finite=False)


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
    pairs = np.zeros((n, n))
    pairs[np.triu_indices(n, 1)] = coefficients[n + 1 :]
    return coefficients[0], coefficients[1 : n + 1], pairs + pairs.T


def blocks(total: int, size: int) -> list[slice]:
    """``range(total)`` in consecutive slices of at most ``size``."""
    return [slice(start, start + size) for start in range(0, total, size)]
