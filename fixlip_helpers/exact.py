"""Exact values and interactions of small games, from all their coalitions.

Everything here is a sum over the Möbius transform or a contraction of the multilinear extension
``F(q) = E ν``, in which player ``i`` is visible with probability ``q_i`` (Owen, Management Science 1972): values
are slopes of F, interactions its mixed second derivatives. A game of n players has 2^n values, so this is for up to
:data:`MOST_PLAYERS`; larger games are what the estimators are for.
"""

from __future__ import annotations

import numpy as np

from fixlip_helpers.coalitions import all_coalitions, check_p
from fixlip_helpers.games import Game, checked_values

MOST_PLAYERS = 20


def all_values(game: Game) -> np.ndarray:
    """Values of all coalitions, shape (2**n,), in the order of :func:`~fixlip_helpers.coalitions.all_coalitions`.

    Raises
    ------
    ValueError
        If the game has more than :data:`MOST_PLAYERS` players, or a value is not finite.
    """
    if game.n_players > MOST_PLAYERS:
        raise ValueError(
            f"the game has {game.n_players} players; all {2.0**game.n_players:.1e} coalitions are too many: "
            f"at most {MOST_PLAYERS} players, or an estimator"
        )
    coalitions = all_coalitions(game.n_players)
    return checked_values(game, coalitions, game(coalitions))


def mobius(game: Game) -> np.ndarray:
    """Möbius transform (Harsanyi dividends): ``m(L) = Σ_{M ⊆ L} (-1)^{|L| - |M|} ν(M)``.

    Returns
    -------
    ndarray, shape (2**n,), float64
        ``m(L)`` in row ``L``: what the players of L make together beyond what all smaller groups of them make.
        ``ν(M)`` is the sum of ``m(L)`` over the subsets L of M.

    Examples
    --------
    >>> from fixlip_helpers.games import TableGame
    >>> mobius(TableGame([0.0, 1.0, 1.0, 1.0])).tolist()  # ∅, player 0, player 1, both: redundant
    [0.0, 1.0, 1.0, -1.0]
    """
    table = _axes(all_values(game))
    for player in range(table.ndim):
        hidden, visible = _halves(table, player)
        table = _joined(hidden, visible - hidden, player)
    return _rows(table)


def multilinear_extension(game: Game, q: np.ndarray) -> np.ndarray:
    """Mean value ``F(q)`` when each player ``i`` is visible with its own probability ``q_i``, independently.

    Parameters
    ----------
    game : Game
    q : array_like, shape (n,) or (m, n)
        Any numbers; probabilities lie in [0, 1].

    Returns
    -------
    float64, or ndarray of shape (m,)
    """
    q = np.asarray(q, dtype=float)
    if q.ndim not in (1, 2) or q.shape[-1] != game.n_players:
        raise ValueError(f"q has shape {q.shape}; expected ({game.n_players},) or (m, {game.n_players})")
    table = _axes(all_values(game))
    means = np.array([_contract(table, [(1 - share, share) for share in row]) for row in np.atleast_2d(q)])
    return means if q.ndim == 2 else means[0]


def banzhaf_values(game: Game, p: float = 0.5) -> np.ndarray:
    """p-weighted Banzhaf values: each player's mean gain when the others are visible with probability p.

    The slopes of the multilinear extension at ``(p, ..., p)``; ``p = 0.5`` gives the Banzhaf values
    (Marichal and Mathonet, Discrete Applied Mathematics 2011).

    Returns
    -------
    ndarray, shape (n,), float64

    Examples
    --------
    >>> from fixlip_helpers.games import TableGame
    >>> xor = TableGame([0.0, 1.0, 1.0, 0.0])
    >>> banzhaf_values(xor, p=0.5).tolist(), banzhaf_values(xor, p=0.25).tolist()
    ([0.0, 0.0], [0.5, 0.5])
    """
    share, table = (1 - check_p(p), p), _axes(all_values(game))
    n = table.ndim
    return np.array([_contract(table, [_GAIN if k == i else share for k in range(n)]) for i in range(n)])


def banzhaf_interactions(game: Game, p: float = 0.5) -> np.ndarray:
    """p-weighted Banzhaf interactions: the mean change of one player's gain when another becomes visible.

    The mixed second derivatives of the multilinear extension at ``(p, ..., p)``.

    Returns
    -------
    ndarray, shape (n, n), float64
        Symmetric, with a diagonal of zeros.

    Examples
    --------
    >>> from fixlip_helpers.games import TableGame
    >>> banzhaf_interactions(TableGame([0.0, 1.0, 1.0, 0.0]))[0, 1].item()
    -2.0
    """
    share, table = (1 - check_p(p), p), _axes(all_values(game))
    n = table.ndim
    pairs = np.zeros((n, n))
    for i, j in zip(*np.triu_indices(n, 1), strict=True):
        parts = [_GAIN if k in (i, j) else share for k in range(n)]
        pairs[i, j] = pairs[j, i] = _contract(table, parts)
    return pairs


def shapley_values(game: Game) -> np.ndarray:
    """Shapley values: each group's dividend ``m(L)`` shared equally among its members.

    Returns
    -------
    ndarray, shape (n,), float64
        They add up to ``ν(N) - ν(∅)``.

    Examples
    --------
    >>> from fixlip_helpers.games import unanimity
    >>> shapley_values(unanimity(3, [0, 1])).round(12).tolist()
    [0.5, 0.5, 0.0]
    """
    members = all_coalitions(game.n_players)
    return members.T @ (mobius(game) / np.maximum(1, members.sum(axis=1)))


def shapley_interactions(game: Game) -> np.ndarray:
    """Shapley interaction index (SII) of all pairs: ``Σ_{L ∋ i, j} m(L) / (|L| - 1)``.

    Grabisch and Roubens, International Journal of Game Theory 1999.

    Returns
    -------
    ndarray, shape (n, n), float64
        Symmetric, with a diagonal of zeros.
    """
    members = all_coalitions(game.n_players).astype(float)
    shares = mobius(game) / np.maximum(1, members.sum(axis=1) - 1)
    pairs = members.T @ (shares[:, None] * members)
    np.fill_diagonal(pairs, 0)
    return pairs


# --- Tables with one axis for each player ---------------------------------------------------

_GAIN = (-1.0, 1.0)


def _axes(values: np.ndarray) -> np.ndarray:
    """Values with an axis for each player, in the players' order: bit i of a row's number is index i."""
    n = values.size.bit_length() - 1
    return values.reshape((2,) * n).transpose(range(n)[::-1])


def _rows(table: np.ndarray) -> np.ndarray:
    """The reverse of :func:`_axes`."""
    return table.transpose(range(table.ndim)[::-1]).ravel()


def _halves(table: np.ndarray, player: int) -> tuple[np.ndarray, np.ndarray]:
    return table.take(0, axis=player), table.take(1, axis=player)


def _joined(hidden: np.ndarray, visible: np.ndarray, player: int) -> np.ndarray:
    return np.stack([hidden, visible], axis=player)


def _contract(table: np.ndarray, parts: list[tuple[float, float]]) -> float:
    """Sum over all coalitions of the value times each player's part: its first where it is hidden, else its second."""
    for hidden, visible in parts:
        table = hidden * table[0] + visible * table[1]
    return float(table)
