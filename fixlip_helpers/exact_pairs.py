"""Interactions of two players, exactly, from all values of a small game.

Each index is a mean of second differences ``ν(M ∪ ij) - ν(M ∪ i) - ν(M ∪ j) + ν(M)`` over the coalitions M of the
others; they differ in the weights of that mean. For more than about 15 players use ``fixlip`` instead.
"""

from __future__ import annotations

from collections.abc import Callable
from math import comb

import numpy as np

from fixlip_helpers.coalitions import all_coalitions, check_p
from fixlip_helpers.games import Game

MOST_PLAYERS = 16


def banzhaf_interactions(game: Game, p: float = 0.5) -> np.ndarray:
    """p-weighted Banzhaf interactions: the mean second difference over ``P_p`` of the others.

    That is the mixed second derivative of the multilinear extension at ``(p, ..., p)``, and the top-order term
    ``e_ij`` of FIxLIP-p (Marichal and Mathonet, *Weighted Banzhaf power and interaction indexes through weighted
    approximations of games*, 2011).

    Parameters
    ----------
    game : Game
        Of 2 to 16 players; it is asked for all its values, once.
    p : float
        Probability that another player is visible, ``0 < p < 1``.

    Returns
    -------
    ndarray of float64, shape (n, n)
        Symmetric, zero on the diagonal, in the unit of the game.

    Raises
    ------
    ValueError
        If ``p`` is not strictly between 0 and 1, or the game has fewer than 2 or more than 16 players.

    Examples
    --------
    >>> from fixlip_helpers.games import TableGame
    >>> banzhaf_interactions(TableGame([0, 1, 1, 0]), p=0.3)  # exclusive or
    array([[ 0., -2.],
           [-2.,  0.]])
    """
    p = check_p(p)
    return _mean_second_differences(game, lambda sizes, n: p**sizes * (1 - p) ** (n - 2 - sizes))


def shapley_interactions(game: Game) -> np.ndarray:
    """Shapley interactions: the mean second difference, each size of M as likely as every other.

    The same as the mean of :func:`banzhaf_interactions` over all ``p`` from 0 to 1 (Grabisch and Roubens, *An
    axiomatic approach to the concept of interaction among players in cooperative games*, 1999).

    Parameters
    ----------
    game : Game
        Of 2 to 16 players; it is asked for all its values, once.

    Returns
    -------
    ndarray of float64, shape (n, n)
        Symmetric, zero on the diagonal, in the unit of the game.

    Raises
    ------
    ValueError
        If the game has fewer than 2 or more than 16 players.
    """

    def weights(sizes: np.ndarray, n: int) -> np.ndarray:
        of_size = np.array([1 / ((n - 1) * comb(n - 2, size)) for size in range(n - 1)])
        return of_size[sizes]

    return _mean_second_differences(game, weights)


def _mean_second_differences(game: Game, weights: Callable) -> np.ndarray:
    """Of each pair; ``weights(sizes, n)`` weighs the coalitions of the n - 2 others by their sizes."""
    n = game.n_players
    if not 2 <= n <= MOST_PLAYERS:
        raise ValueError(f"game has {n} players; expected 2 to {MOST_PLAYERS}: all 2**n values are asked for")
    coalitions = all_coalitions(n)
    values = np.asarray(game(coalitions), dtype=float)
    pairs = np.zeros((n, n))
    for i in range(n):
        for j in range(i):
            rest = np.flatnonzero(~coalitions[:, i] & ~coalitions[:, j])  # row numbers: player i is bit i
            second = (
                values[rest | 1 << i | 1 << j] - values[rest | 1 << i] - values[rest | 1 << j] + values[rest]
            )
            pairs[i, j] = pairs[j, i] = weights(coalitions[rest].sum(axis=1), n) @ second
    return pairs
