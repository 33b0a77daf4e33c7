"""Best subsets of a quadratic set function, for every size at once.

Which k players give ``main·x + ½ x' pairs x`` its largest (or smallest) value? For one k this is the quadratic knapsack
with equal weights, NP-hard in general. Few players are searched completely; more by greedy chains from many starts,
whose sets are then improved by swaps.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fixlip_helpers.explanation import Explanation

MOST_EXACT = 18
"""Up to so many players all subsets are compared."""


@dataclass(frozen=True, eq=False)
class BestSubsets:
    """For each size k = 0..n the best subset that was found.

    Attributes
    ----------
    sets : ndarray of bool, shape (n + 1, n)
        Row k has k players.
    values : ndarray, shape (n + 1,)
        ``main·x + ½ x' pairs x`` of each.
    exact : bool
        Whether all subsets were compared.
    """

    sets: np.ndarray
    values: np.ndarray
    exact: bool

    @property
    def leaving(self) -> list[list[int]]:
        """For each step from k to k + 1: the players of the smaller set that the larger one lacks."""
        return [
            np.flatnonzero(small & ~large).tolist()
            for small, large in zip(self.sets[:-1], self.sets[1:], strict=True)
        ]

    @property
    def nested(self) -> bool:
        """Whether each set holds the one before: then one ranking of the players says it all."""
        return not any(self.leaving)

    def __str__(self) -> str:
        steps = [k for k, left in enumerate(self.leaving) if left]
        how = "all subsets compared" if self.exact else "greedy chains and swaps"
        where = f"players leave at the steps from k = {', '.join(map(str, steps))}" if steps else "nested"
        return f"best subsets of {self.sets.shape[1]} players, {how}: {where}"

    __repr__ = __str__


def best_subsets(
    explanation: Explanation | tuple[np.ndarray, np.ndarray],
    *,
    largest: bool = True,
    exact: bool | None = None,
) -> BestSubsets:
    """The best k-subset for every k.

    Parameters
    ----------
    explanation : Explanation, or (main, pairs)
        ``main`` (n,) and symmetric ``pairs`` (n, n) with zero diagonal.
    largest : bool
        Look for the largest value, else for the smallest.
    exact : bool, optional
        Compare all subsets (n up to 24), or search; default: compare up to :data:`MOST_EXACT` players. Without pairs
        the answer is a sort, and exact.

    Returns
    -------
    BestSubsets

    Raises
    ------
    ValueError
        If the shapes do not fit, ``pairs`` is not symmetric with a zero diagonal, or there are too many players.

    Examples
    --------
    >>> from fixlip_helpers import fixlip
    >>> from fixlip_helpers.games import random_embeddings
    >>> best_subsets(fixlip(random_embeddings(3, 2)), exact=True).sets.sum(axis=1).tolist()
    [0, 1, 2, 3, 4, 5]
    """
    main, pairs, values = _numbers(explanation)
    sign, n = (1.0 if largest else -1.0), len(main)
    main, pairs, values = sign * main, sign * pairs, sign * values
    if not pairs.any():
        order, sets = np.argsort(-main, kind="stable"), np.zeros((n + 1, n), dtype=bool)
        for k in range(n):
            sets[k + 1 :, order[k]] = True
        exact = True
    else:
        exact = n <= MOST_EXACT if exact is None else exact
        if exact and n > 24:
            raise ValueError(f"exact = True for {n} players: at most 24 can be compared completely")
        sets = _compare_all(main, pairs) if exact else _search(main, pairs, values)
    return BestSubsets(sets, sign * quadratic(sets, main, pairs), exact)


def greedy_chains(
    explanation: Explanation | tuple[np.ndarray, np.ndarray], *, largest: bool = True
) -> BestSubsets:
    """The sets that the FIxLIP release compares: the best of n greedy chains at each size, and no search beyond.

    A chain starts from each single player and adds the player that gains most (or least), to the end
    (``get_cliques_greedy_mif_lif`` of ``src/clique.py`` in github.com/hbaniecki/fixlip, e89d704). To save time the
    release starts from fewer players above 100; here all start.

    Parameters
    ----------
    explanation, largest
        As of :func:`best_subsets`.

    Returns
    -------
    BestSubsets
        ``exact`` only where there are no pairs.

    Examples
    --------
    >>> main, pairs = np.array([3.0, 2, 2]), np.zeros((3, 3))
    >>> greedy_chains((main, pairs)).sets[1].astype(int).tolist()
    [1, 0, 0]
    """
    main, pairs, _ = _numbers(explanation)
    sign, n = (1.0 if largest else -1.0), len(main)
    rows, sets = np.zeros((1, n), dtype=bool), []
    for k in range(n + 1):
        sets.append(rows[quadratic(rows, sign * main, sign * pairs).argmax()])
        grown = np.eye(n, dtype=bool) if k == 0 else rows if k == n else _add(rows, sign * main, sign * pairs)
        rows = np.unique(grown, axis=0)
    return BestSubsets(np.array(sets), quadratic(np.array(sets), main, pairs), not pairs.any())


def _numbers(
    explanation: Explanation | tuple[np.ndarray, np.ndarray],
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Main effects, pairs and values of an explanation, or of such a pair of arrays, checked."""
    if isinstance(explanation, Explanation):
        return explanation.main, explanation.pairs, explanation.first_order()
    main, pairs = (np.asarray(part, dtype=float) for part in explanation)
    if main.ndim != 1 or pairs.shape != (len(main), len(main)):
        raise ValueError(f"main {main.shape} and pairs {pairs.shape}; expected (n,) and (n, n)")
    if not np.allclose(pairs, pairs.T) or pairs.diagonal().any():
        raise ValueError("pairs must be symmetric with a zero diagonal")
    return main, pairs, main + pairs.sum(axis=1) / 2


def quadratic(sets: np.ndarray, main: np.ndarray, pairs: np.ndarray) -> np.ndarray:
    """``main·x + ½ x' pairs x`` of each row of (m, n) bool, shape (m,)."""
    x = sets.astype(float)
    return x @ main + 0.5 * ((x @ pairs) * x).sum(axis=1)


def _compare_all(main: np.ndarray, pairs: np.ndarray) -> np.ndarray:
    """By values of all 2^n subsets, built by doubling: what player i adds to each subset of the players before."""
    n, values, sizes = len(main), np.zeros(1), np.zeros(1, dtype=np.int8)
    for i in range(n):
        gain = np.full(1, main[i])
        for j in range(i):
            gain = np.concatenate([gain, gain + pairs[i, j]])
        values, sizes = np.concatenate([values, values + gain]), np.concatenate([sizes, sizes + 1])
    highest = np.full(n + 1, -np.inf)
    np.maximum.at(highest, sizes, values)
    winners = np.flatnonzero(values == highest[sizes])
    _, first = np.unique(sizes[winners], return_index=True)
    return (winners[first][:, None] >> np.arange(n) & 1).astype(bool)


def _search(main: np.ndarray, pairs: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Chains and sorts, each of their sets improved by swaps; then steps from the neighbouring sizes."""
    chains = [*_chains(main, pairs), _dropped(main, pairs)]
    # By value and by main effect from the top, from the bottom, and from zero.
    sorts = [_sorted(key) for by in (values, main) for key in (by, -by, -np.abs(by))]
    different = np.unique(np.concatenate([*chains, *sorts]), axis=0)
    best = _best(_swap(different, main, pairs), main, pairs)
    while True:
        grown, shrunk = _add(best[:-1], main, pairs), _remove(best[1:], main, pairs)
        better = _best(
            np.concatenate([best, _swap(np.concatenate([grown, shrunk]), main, pairs)]), main, pairs
        )
        gain = quadratic(better, main, pairs) - quadratic(best, main, pairs)
        if gain.max() <= _rounding(main, pairs):
            return best
        best = better


def _rounding(main: np.ndarray, pairs: np.ndarray) -> float:
    """Gains up to this are none."""
    return 1e-12 * (np.abs(main).sum() + np.abs(pairs).sum())


def _best(sets: np.ndarray, main: np.ndarray, pairs: np.ndarray) -> np.ndarray:
    """Of (m, n) the best row of each size 0..n, (n + 1, n); each size must be there."""
    sizes = sets.sum(axis=1)
    order = np.lexsort((quadratic(sets, main, pairs), sizes))  # the largest value comes last within each size
    return sets[order[np.flatnonzero(np.diff(sizes[order], append=len(main) + 1))]]


def _chains(main: np.ndarray, pairs: np.ndarray) -> list[np.ndarray]:
    """Add the player that gains most, to the end: k players in the k-th array, a row for each chain.

    A chain starts from each single player (top, bottom and near-zero ones among them), and from the couples that make
    most together, or most beyond what each makes alone, n of each kind.
    """
    n = len(main)
    first, second = np.triu_indices(n, 1)
    beyond = pairs[first, second]
    together = main[first] + main[second] + beyond
    chosen = np.unique([np.argsort(-by, kind="stable")[:n] for by in (beyond, together)])
    couples = np.zeros((len(chosen), n), dtype=bool)
    for side in (first, second):
        couples[np.arange(len(chosen)), side[chosen]] = True
    rows = [np.eye(n, dtype=bool)]
    for k in range(2, n + 1):
        started = [rows[-1], couples] if k == 3 else [rows[-1]]
        rows.append(_add(np.unique(np.concatenate(started), axis=0), main, pairs))
    return rows


def _sorted(by: np.ndarray) -> np.ndarray:
    """The k players of largest ``by``, for each k, (n + 1, n) bool."""
    rank = np.argsort(np.argsort(-by, kind="stable"), kind="stable")
    return rank < np.arange(len(by) + 1)[:, None]


def _dropped(main: np.ndarray, pairs: np.ndarray) -> np.ndarray:
    """From all players, drop the one that costs least, to the end: (n + 1, n) bool."""
    rows = [np.ones((1, len(main)), dtype=bool)]
    for _ in main:
        rows.append(_remove(rows[-1], main, pairs))
    return np.concatenate(rows[::-1])


def _add(sets: np.ndarray, main: np.ndarray, pairs: np.ndarray) -> np.ndarray:
    """Each row of (m, n) with the player that gains most."""
    gain = np.where(sets, -np.inf, main + sets @ pairs)
    out = sets.copy()
    out[np.arange(len(sets)), gain.argmax(axis=1)] = True
    return out


def _remove(sets: np.ndarray, main: np.ndarray, pairs: np.ndarray) -> np.ndarray:
    """Each row of (m, n) without the player that costs least."""
    cost = np.where(sets, main + sets @ pairs, np.inf)
    out = sets.copy()
    out[np.arange(len(sets)), cost.argmin(axis=1)] = False
    return out


def _swap(sets: np.ndarray, main: np.ndarray, pairs: np.ndarray, at_a_time: int = 512) -> np.ndarray:
    """Exchange a member for an outsider, the best pair of each row at a time, until no exchange gains."""
    sets, active = sets.copy(), np.arange(len(sets))
    while len(active):
        going_on = []
        for start in range(0, len(active), at_a_time):
            rows = active[start : start + at_a_time]
            x = sets[rows]
            gain = main + x @ pairs
            # Putting j in for i gains gain_j - gain_i - pairs_ij.
            change = np.where(x, -np.inf, gain)[:, None, :] - np.where(x, gain, np.inf)[:, :, None] - pairs
            change = change.reshape(len(rows), -1)
            chosen = change.argmax(axis=1)
            gains = change[np.arange(len(rows)), chosen] > _rounding(main, pairs)
            out, into = np.divmod(chosen[gains], len(main))
            rows = rows[gains]
            sets[rows, out], sets[rows, into] = False, True
            going_on.append(rows)
        active = np.concatenate(going_on)
    return sets
