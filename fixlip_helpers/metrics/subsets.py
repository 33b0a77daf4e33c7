"""Best subsets of a quadratic set function, for every size at once.

Which k players give ``main·x + ½ x' pairs x`` its largest (or smallest) value? For one k this is the quadratic knapsack
with equal weights, NP-hard in general. Small sets of players are searched completely; others by greedy chains from many
starts, each of which is then improved by swaps.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from fixlip_helpers.coalitions import all_coalitions
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
    """
    if isinstance(explanation, Explanation):
        main, pairs, values = explanation.main, explanation.pairs, explanation.first_order()
    else:
        main, pairs = (np.asarray(part, dtype=float) for part in explanation)
        if main.ndim != 1 or pairs.shape != (len(main), len(main)):
            raise ValueError(f"main {main.shape} and pairs {pairs.shape}; expected (n,) and (n, n)")
        if not np.allclose(pairs, pairs.T) or pairs.diagonal().any():
            raise ValueError("pairs must be symmetric with a zero diagonal")
        values = main + pairs.sum(axis=1) / 2
    sign, n = (1.0 if largest else -1.0), len(main)
    main, pairs, values = sign * main, sign * pairs, sign * values
    if not pairs.any():
        order, sets = np.argsort(-main, kind="stable"), np.zeros((n + 1, n), dtype=bool)
        for k in range(n):
            sets[k + 1 :, order[k]] = True
        exact = True
    else:
        exact = n <= MOST_EXACT if exact is None else exact
        sets = _compare_all(main, pairs) if exact else _search(main, pairs, values)
    return BestSubsets(sets, sign * quadratic(sets, main, pairs), exact)


def quadratic(sets: np.ndarray, main: np.ndarray, pairs: np.ndarray) -> np.ndarray:
    """``main·x + ½ x' pairs x`` of each row of (m, n) bool, shape (m,)."""
    x = sets.astype(float)
    return x @ main + 0.5 * ((x @ pairs) * x).sum(axis=1)


def _compare_all(main: np.ndarray, pairs: np.ndarray) -> np.ndarray:
    """By values of all 2^n subsets, built by doubling: what player i adds to each subset of the players before."""
    values = np.zeros(1)
    for i in range(len(main)):
        gain = np.full(1, main[i])
        for j in range(i):
            gain = np.concatenate([gain, gain + pairs[i, j]])
        values = np.concatenate([values, values + gain])
    sets = all_coalitions(len(main))
    # the largest value comes last within each size
    order = np.lexsort((values, sets.sum(axis=1)))
    sizes = sets[order].sum(axis=1)
    return sets[order[np.flatnonzero(np.diff(sizes, append=len(main) + 1))]]


def _search(main: np.ndarray, pairs: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Greedy chains from many starts, then swaps, then steps from the neighbouring sizes until nothing improves."""
    sets = _chains(main, pairs, _starts(main, values))  # (chains, n + 1, n)
    # A sort by value, and chains that drop players from the full set, come along.
    sets = np.concatenate([sets, _sorted(values)[None], _sorted(main)[None], _dropped(main, pairs)[None]])
    chains, sizes, n = sets.shape
    # Half of the chains, the best at each size: the rest seldom win after swaps.
    found = quadratic(sets.reshape(-1, n), main, pairs).reshape(chains, sizes)
    kept = np.argsort(-found, axis=0, kind="stable")[: max(4, chains // 2)]
    sets = sets[kept, np.arange(sizes)]
    improved = _swap(sets.reshape(-1, n), main, pairs).reshape(sets.shape)
    best = _best(improved, main, pairs)
    while True:
        grown = np.concatenate([best[:1], _add(best[:-1], main, pairs)])
        shrunk = np.concatenate([_remove(best[1:], main, pairs), best[-1:]])
        neighbours = _swap(np.concatenate([grown, shrunk]), main, pairs).reshape(2, sizes, n)
        better = _best(np.stack([best, *neighbours]), main, pairs)
        gain = quadratic(better, main, pairs) - quadratic(best, main, pairs)
        if gain.max() <= 1e-12 * (np.abs(main).sum() + np.abs(pairs).sum()):
            return best
        best = better


def _best(sets: np.ndarray, main: np.ndarray, pairs: np.ndarray) -> np.ndarray:
    """Of (c, sizes, n) the best row at each size, (sizes, n); the first of equal ones."""
    values = quadratic(sets.reshape(-1, sets.shape[2]), main, pairs).reshape(sets.shape[:2])
    return sets[values.argmax(axis=0), np.arange(sets.shape[1])]


def _starts(main: np.ndarray, values: np.ndarray, of_each: int = 4) -> Sequence[int]:
    """First players of the chains: top, bottom and near-zero ones by main term and by first-order value."""
    rankings = [np.argsort(key, kind="stable") for by in (main, values) for key in (-by, by, np.abs(by))]
    return list(dict.fromkeys(int(i) for ranking in rankings for i in ranking[:of_each]))


def _chains(main: np.ndarray, pairs: np.ndarray, starts: Sequence[int]) -> np.ndarray:
    """From each start, add the player that gains most, to the end: (starts, n + 1, n) bool."""
    n = len(main)
    sets = np.zeros((len(starts), n + 1, n), dtype=bool)
    x = np.zeros((len(starts), n), dtype=bool)
    x[np.arange(len(starts)), starts] = True
    sets[:, 1] = x
    for k in range(2, n + 1):
        x = _add(x, main, pairs)
        sets[:, k] = x
    return sets


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


def _swap(sets: np.ndarray, main: np.ndarray, pairs: np.ndarray) -> np.ndarray:
    """Exchange a member for an outsider, the best pair of each row at a time, until no exchange gains."""
    sets, active = sets.copy(), np.arange(len(sets))
    smallest = 1e-12 * (np.abs(main).sum() + np.abs(pairs).sum())
    while len(active):
        x = sets[active]
        gain = main + x @ pairs
        # Putting j in for i gains gain_j - gain_i - pairs_ij.
        change = np.where(x, -np.inf, gain)[:, None, :] - np.where(x, gain, np.inf)[:, :, None] - pairs
        flat = change.reshape(len(active), -1)
        chosen = flat.argmax(axis=1)
        active, chosen = active[flat.max(axis=1) > smallest], chosen[flat.max(axis=1) > smallest]
        out, into = np.divmod(chosen, len(main))
        sets[active, out], sets[active, into] = False, True
    return sets
