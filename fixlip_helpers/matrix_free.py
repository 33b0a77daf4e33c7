"""Least squares without a matrix: conjugate gradients for hundreds of players.

With 576 players there are 166 177 terms up to order two. Their Gram matrix would take 221 GB, the design matrix more.
Neither is needed to multiply by them: in the p-biased Fourier basis a product takes ``m n²`` multiplications and the
memory of a few coalitions (:class:`Monomials`). The Gram matrix of draws from ``P_p`` is near the identity there, so
that few products do (:func:`conjugate_gradients`).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from tqdm import tqdm

from fixlip_helpers.coalitions import (
    MAX_CONDITION,
    UnderdeterminedError,
    blocks,
    check_count,
    check_p,
    check_rows,
    coalition_keys,
    n_monomials,
)


class NotConvergedError(ArithmeticError):
    """Conjugate gradients did not reach the tolerance; the message says how far they came."""


class Monomials:
    """The matrix Φ of :func:`~fixlip_helpers.coalitions.monomials`, known by its products only.

    Put ``z_0 = 1`` before ``z_1, ..., z_n``. Then every monomial is a ``z_i z_j`` with ``i < j``, the constant
    ``z_0 z_0`` apart, so that coefficients are an upper triangular matrix Q, and

        Φ c = rowsum((Z Q) ∘ Z),    Φ' r = the same triangle of Z' diag(r) Z.

    Both take ``m n²`` multiplications. Z is made from the coalitions a block of rows at a time.

    Parameters
    ----------
    coalitions : ndarray of bool, shape (m, n)
    p : float
    precision : str
        ``"float64"``, or ``"float32"`` for products in single precision; blocks are summed in float64.
    rows_at_once : int
    """

    def __init__(
        self, coalitions: np.ndarray, p: float, precision: str = "float64", rows_at_once: int = 4096
    ) -> None:
        if precision not in ("float64", "float32"):
            raise ValueError(f"precision = {precision!r}; expected 'float64' or 'float32'")
        self.coalitions, self.p, self.dtype = coalitions, p, np.dtype(precision)
        self.blocks = blocks(len(coalitions), rows_at_once)
        self.upper = np.triu_indices(coalitions.shape[1] + 1, 1)

    def times(self, coefficients: np.ndarray) -> np.ndarray:
        """``Φ c``: (K,) -> (m,)."""
        from scipy.linalg import blas

        m, n = self.coalitions.shape
        q = np.zeros((n + 1, n + 1), self.dtype)
        q[0, 0], q[self.upper] = coefficients[0], coefficients[1:]
        triangular_times = blas.dtrmm if self.dtype == np.float64 else blas.strmm
        values = np.empty(m)
        for rows in self.blocks:
            z = self._z(self.coalitions[rows])
            # (Z Q)' = Q' Z', as BLAS counts columns first; a triangle takes half the time of a square
            values[rows] = np.einsum("mi,im->m", z, triangular_times(1.0, q.T, z.T, lower=1))
        return values

    def adjoint(self, rows: np.ndarray) -> np.ndarray:
        """``Φ' r``: (m,) -> (K,)."""
        squares = self.squares(rows)
        return np.concatenate([squares[:1, 0], squares[self.upper]])

    def squares(self, rows: np.ndarray) -> np.ndarray:
        """``Z' diag(r) Z``, shape (n + 1, n + 1); with weights for r, the Gram matrix of order one."""
        n = self.coalitions.shape[1]
        total = np.zeros((n + 1, n + 1))
        for block in self.blocks:
            coalitions, r = self.coalitions[block], rows[block]
            for sign in (1, -1):  # A'A takes BLAS half the time of A'B
                chosen = sign * r > 0
                root = self._z(coalitions[chosen])
                root *= np.sqrt(sign * r[chosen, None]).astype(self.dtype)
                total += sign * (root.T @ root)
        return total

    def first_order(self, rows: np.ndarray) -> np.ndarray:
        """``Z' r``: the first ``n + 1`` numbers of ``Φ' r``, at less cost; (m,) or (m, d) -> (n + 1,) or (n + 1, d)."""
        return sum(self._z(self.coalitions[block]).T @ rows[block] for block in self.blocks)

    def _z(self, coalitions: np.ndarray) -> np.ndarray:
        """Some rows of Z, ``[1, (x - p) / σ]``."""
        sigma = np.sqrt(self.p * (1 - self.p))
        z = np.empty((len(coalitions), coalitions.shape[1] + 1), self.dtype)
        z[:, 0] = 1
        np.multiply(coalitions, self.dtype.type(1 / sigma), out=z[:, 1:])
        z[:, 1:] -= self.dtype.type(self.p / sigma)
        return z


def conjugate_gradients(
    coalitions: np.ndarray,
    targets: np.ndarray,
    weights: np.ndarray,
    p: float,
    *,
    ridge: float = 0.0,
    tolerance: float = 1e-10,
    max_iterations: int = 1000,
    precision: str = "float64",
    minimum_norm: bool = False,
) -> tuple[np.ndarray, int]:
    """Least squares by conjugate gradients on the normal equations, of which no matrix is formed.

    The Gram matrix of draws from ``P_p`` is near the identity in the Fourier basis: few iterations do,
    ``O(log(1 / tolerance))`` for a fixed ratio of coalitions to terms. The preconditioner is the exact inverse
    of the Gram matrix of order one, and the diagonal of order two: where players are visible more or less often
    than ``p`` it saves about a fifth of the iterations, and nothing on draws from ``P_p``. Residuals are
    recomputed in float64 before they are believed.

    Parameters
    ----------
    coalitions : ndarray of bool, shape (m, n)
    targets : ndarray, shape (m, d)
        Solved one after the other: the products fill the processor with one already.
    weights : ndarray, shape (m,)
        Not negative.
    p : float
        Centre of the basis.
    ridge : float
        Penalty on the second-order coefficients, where the weights sum to 1.
    tolerance : float
        On the norm of the residual of the normal equations, relative to that of their right-hand side.
    max_iterations : int
        For each target.
    precision : str
        ``"float32"`` takes half the time in iterations and recomputes their residuals in float64 now and then:
        the same tolerance is reached.
    minimum_norm : bool
        Of several solutions find that of least norm, which plain conjugate gradients from 0 do; no
        preconditioner, and no error where the coalitions do not identify all terms.

    Returns
    -------
    coefficients : ndarray, shape (K, d)
        Fourier coefficients, in the order of :func:`~fixlip_helpers.coalitions.monomials`.
    iterations : int
        Of all targets together.

    Raises
    ------
    UnderdeterminedError
        If there are fewer distinct coalitions than terms and no penalty, or the terms of order one are not
        identified. Rarer degeneracies among pairs are not seen; the answer is then one of several.
    NotConvergedError
        If the tolerance is not reached.
    ValueError
        If an argument is not one of those listed.
    """
    if not 0 <= ridge < np.inf:
        raise ValueError(f"ridge = {ridge!r}; expected a number, 0 or more")
    if not 0 < tolerance < 1:
        raise ValueError(f"tolerance = {tolerance!r}; expected a number strictly between 0 and 1")
    max_iterations = check_count("max_iterations", max_iterations)
    coalitions, weights, targets = check_rows(coalitions, weights, targets)
    n, p = coalitions.shape[1], check_p(p)
    if not weights.sum() > 0:
        raise UnderdeterminedError("no coalition has a positive weight")
    shares = weights / weights.sum()
    exact = Monomials(coalitions, p)
    fast = exact if precision == "float64" else Monomials(coalitions, p, precision)
    if minimum_norm:

        def precondition(residual: np.ndarray) -> np.ndarray:
            return residual
    else:
        if ridge == 0:
            _check_distinct(coalitions[shares > 0])
        precondition = _preconditioner(exact.squares(shares), p, ridge)
    penalty = np.zeros(n_monomials(n))
    penalty[n + 1 :] = ridge

    def gram_times(phi: Monomials, c: np.ndarray) -> np.ndarray:
        return phi.adjoint(shares * phi.times(c)) + penalty * c

    # A cycle ends where single (double) precision would no longer see the residual.
    reduction = 1e-12 if fast is exact else 1e-5
    solutions, iterations = [], 0
    with tqdm(desc="conjugate gradients", unit="iteration", delay=2, leave=False) as bar:
        for target in targets.T:
            moments = exact.adjoint(shares * target)
            goal = tolerance * np.linalg.norm(moments)
            solution, residual, left = np.zeros_like(moments), moments, max_iterations
            while (size := np.linalg.norm(residual)) > goal:
                step, taken = _descend(
                    lambda c: gram_times(fast, c),
                    precondition,
                    residual,
                    max(0.9 * goal, reduction * size),
                    left,
                    bar,
                )
                solution, left = solution + step, left - taken
                residual = moments - gram_times(exact, solution)
                reached = np.linalg.norm(residual)
                if reached > goal and (left == 0 or not reached < 0.5 * size):
                    raise NotConvergedError(
                        f"conjugate gradients {'stall' if left else 'end'} after {max_iterations - left} "
                        f"iterations at a relative residual of {tolerance * reached / goal:.1e}; tolerance = "
                        f"{tolerance:.1e}. More coalitions, a ridge, a larger max_iterations or tolerance help"
                    )
            solutions.append(solution)
            iterations += max_iterations - left
    return np.stack(solutions, axis=1), iterations


def _descend(
    times: Callable, precondition: Callable, residual: np.ndarray, goal: float, most: int, bar: tqdm
) -> tuple[np.ndarray, int]:
    """Preconditioned conjugate gradients on ``times(x) = residual`` from 0: x, and how many iterations."""
    x, direction, product = np.zeros_like(residual), 0.0, 1.0
    for taken in range(most):
        if np.linalg.norm(residual) <= goal:
            return x, taken
        preconditioned = precondition(residual)
        previous, product = product, residual @ preconditioned
        direction = preconditioned + product / previous * direction
        image = times(direction)
        length = product / (direction @ image)
        x += length * direction
        residual = residual - length * image
        bar.update()
    return x, most


def _preconditioner(squares: np.ndarray, p: float, ridge: float) -> Callable:
    """Inverse of the Gram matrix's block of order one and of its diagonal of order two.

    Both are in ``Z' W Z``: z takes two values, so that ``z² = 1 + κ z`` with ``κ = (1 - 2p) / σ``.
    """
    from scipy.linalg import cho_factor, cho_solve

    spread = np.linalg.eigvalsh(squares)
    if spread[0] < spread[-1] / MAX_CONDITION:
        raise UnderdeterminedError(
            f"the coalitions do not identify the {len(squares)} terms up to order one: players that always "
            "come together or never change, or too few coalitions"
        )
    factor = cho_factor(squares)
    to_square = np.diag(np.full(len(squares), (1 - 2 * p) / np.sqrt(p * (1 - p))))
    to_square[:, 0], to_square[0, 0] = 1, 1
    diagonal = (to_square @ squares @ to_square.T)[1:, 1:][np.triu_indices(len(squares) - 1, 1)] + ridge

    def precondition(residual: np.ndarray) -> np.ndarray:
        first = cho_solve(factor, residual[: len(squares)])
        return np.concatenate([first, residual[len(squares) :] / diagonal])

    return precondition


def _check_distinct(coalitions: np.ndarray) -> None:
    """Refuse fewer distinct coalitions than terms."""
    K, distinct = n_monomials(coalitions.shape[1]), len(np.unique(coalition_keys(coalitions)))
    if distinct < K:
        raise UnderdeterminedError(
            f"{distinct} distinct coalitions do not identify the {K} terms of {coalitions.shape[1]} players: "
            f"at least {K} are needed, or a penalty"
        )
