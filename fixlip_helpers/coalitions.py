"""Coalitions: which players stay visible, drawn from P_p, with weights.

A *coalition* is a boolean row: player ``i`` is visible where entry ``i`` is true. Under
``P_p`` every player is visible independently with probability ``p``. A :class:`Design` is a
finite stand-in for ``P_p``: distinct coalitions with weights that sum to one.

The designs here, by the names of :data:`DESIGNS`:

* :func:`enumeration`: all ``2**n`` coalitions with their exact weights;
* :func:`independent`: ``m`` independent draws, repeats counted in the weights;
* :func:`paired` (``p = 0.5``): independent draws, each with its complement;
* :func:`stratified`: draws whose sizes are spread evenly over the distribution of sizes;
* :func:`border`: the sampler of the authors' release with the weights of ``P_p``, which lists rare sizes in full;
* :func:`border_released`: the same as it was released, with other weights where p is not 0.5;
* :func:`exchange`: draws whose players are then exchanged until monomials up to order two are less
  correlated;
* :func:`orthogonal_array` (``p = 0.5``): ``4**k`` coalitions whose sample moments equal those
  of ``P_p`` up to order four, so that sums over them see first and second order exactly;
* :func:`orthogonal_array_5` (``p = 0.5``): twice as many, up to order five, so that third-order terms do not
  blur pairs.

**Where the random bits come from.** Another language must be able to draw the same
coalitions, so they come from one counter-based generator, Philox4x64-10 (Salmon et al.,
*Parallel random numbers: as easy as 1, 2, 3*, SC 2011), with this layout:

* key = ``(seed, stream)``, two unsigned 64-bit words; ``stream`` is a number from
  :data:`STREAMS` that tells apart the uses of one seed;
* block ``b = 0, 1, 2, ...`` is Philox of the counter ``(b + 1, 0, 0, 0)`` and gives the words
  ``4b, 4b + 1, 4b + 2, 4b + 3`` (this is NumPy's ``Philox(key=...).random_raw``);
* ``(word >> 11) * 2**-53`` is a uniform number in [0, 1); that of word ``r * n + i`` decides player ``i`` of
  draw ``r``: visible if it is below ``p``. (:func:`stratified`, the borders and :func:`exchange`
  read the same numbers otherwise, as they say.)

So a longer sequence of draws begins with the shorter one. Test vectors are in
``tests/test_coalitions.py``.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations
from numbers import Real
from typing import Any

import numpy as np

from fixlip_helpers.show import count

STREAMS = {"image": 1, "text": 2, "joint": 3, "ridge": 16, "held_out": 32, "evaluation": 48}
"""Second key word of the generator. ``ridge`` and ``held_out`` are added to a side's own number."""

MAX_CONDITION = 1e10
"""Condition number of a Gram matrix above which nothing in the solution can be trusted."""


class UnderdeterminedError(ValueError):
    """The coalitions do not identify the coefficients: more passes are needed."""


MOST_EXCHANGED = 16_384
"""Most coalitions of :func:`exchange`, which compares each with every other."""


# --- Bits ---------------------------------------------------------------------------------


def draw(n: int, p: float, m: int, seed: int = 0, stream: int = 0) -> np.ndarray:
    """Draw ``m`` coalitions of ``n`` players from ``P_p``, repeats included.

    Parameters
    ----------
    n, m : int
        Number of players and of draws.
    p : float
        Probability that a player is visible, ``0 < p < 1``.
    seed, stream : int
        The two words of the generator's key (see the top of this module).

    Returns
    -------
    ndarray of bool, shape (m, n)

    Examples
    --------
    >>> draw(n=6, p=0.5, m=2, seed=0).astype(int).tolist()
    [[1, 1, 1, 0, 0, 1], [0, 0, 1, 1, 0, 1]]
    """
    check_p(p)
    return _uniform(check_count("m", m) * check_count("n", n), seed, stream).reshape(m, n) < p


def _uniform(count: int, seed: int, stream: int) -> np.ndarray:
    """The first ``count`` uniform numbers of a stream, float64 in [0, 1)."""
    key = np.array([check_count("seed", seed), check_count("stream", stream)], dtype=np.uint64)
    return (np.random.Philox(key=key).random_raw(count) >> np.uint64(11)) * 2.0**-53


def all_coalitions(n: int) -> np.ndarray:
    """All ``2**n`` coalitions, shape (2**n, n), bool; player ``i`` is bit ``i`` of the row's number.

    Examples
    --------
    >>> all_coalitions(2).astype(int).tolist()
    [[0, 0], [1, 0], [0, 1], [1, 1]]
    """
    n = check_count("n", n)
    if n > 24:
        raise ValueError(
            f"n = {n}: 2**{n} coalitions are too many to list; at most 24 players can be enumerated"
        )
    return (np.arange(2**n)[:, None] >> np.arange(n) & 1).astype(bool)


def blocks(total: int, size: int) -> list[slice]:
    """``range(total)`` in consecutive slices of at most ``size``."""
    return [slice(start, start + size) for start in range(0, total, size)]


def empty_and_full(n: int) -> np.ndarray:
    """The coalition of nobody and that of everybody, shape (2, n), bool."""
    return np.array([[False] * n, [True] * n])


def coalition_number(coalitions: np.ndarray) -> np.ndarray:
    """The row at which :func:`all_coalitions` lists each coalition, shape (m,), int64.

    Examples
    --------
    >>> import numpy as np
    >>> coalition_number(np.array([[True, False, True]])).tolist()  # players 0 and 2: 2**0 + 2**2
    [5]
    """
    return coalitions @ (1 << np.arange(coalitions.shape[1], dtype=np.int64))


def coalition_keys(coalitions: np.ndarray) -> np.ndarray:
    """One comparable byte string for each coalition, (m, n) bool -> (m,): equal rows, equal keys."""
    packed = np.ascontiguousarray(np.packbits(coalitions, axis=1))
    return packed.view(np.dtype((np.void, packed.shape[1]))).ravel()


# --- Checks -------------------------------------------------------------------------------


def as_coalitions(coalitions: np.ndarray, n: int) -> np.ndarray:
    """Return ``coalitions`` as a boolean array of shape (m, n), or say what is wrong with it."""
    rows = np.atleast_2d(np.asarray(coalitions))
    if rows.ndim != 2 or rows.shape[1] != n:
        raise ValueError(
            f"coalitions has shape {np.shape(coalitions)}; expected (m, {n}), a column per player"
        )
    if rows.dtype != bool:
        if not np.isin(rows, (0, 1)).all():
            raise ValueError(
                f"coalitions has dtype {rows.dtype} with values other than 0 and 1; expected booleans"
            )
        rows = rows.astype(bool)
    return rows


def check_p(p: float) -> float:
    """Return ``p`` as a float if it lies strictly between 0 and 1."""
    if isinstance(p, (bool, np.bool_)) or not isinstance(p, (Real, np.number)) or not 0 < p < 1:
        raise ValueError(f"p = {p!r}; expected a number strictly between 0 and 1")
    return float(p)


def check_count(name: str, value: int) -> int:
    """Return ``value``, Python's or NumPy's, as an int if it is a whole number from 0 to 2**64 - 1."""
    try:
        number = -1 if isinstance(value, (bool, np.bool_)) else operator.index(value)
    except TypeError:
        number = -1
    if not 0 <= number < 2**64:
        raise ValueError(f"{name} = {value!r}; expected a whole number, 0 or more")
    return number


def at_least_one(name: str, value: int) -> int:
    """Return ``value`` as an int if it is a whole number of at least 1."""
    try:
        number = check_count(name, value)
    except ValueError:
        number = 0
    if number < 1:
        raise ValueError(f"{name} is {value!r}; expected a whole number of at least 1")
    return number


def plain(value: Any) -> Any:
    """The same in Python's own types, for JSON: NumPy's numbers and arrays, tuples and sets; else its text.

    A number that is not finite, for which JSON has no word, becomes None.
    """
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, Mapping):
        return {str(plain(key)): plain(each) for key, each in value.items()}
    if isinstance(value, np.ndarray):
        return plain(value.tolist())
    if isinstance(value, (list, tuple)):
        return [plain(each) for each in value]
    if isinstance(value, (set, frozenset)):
        return sorted((plain(each) for each in value), key=str)
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    return value if value is None or isinstance(value, (bool, int, str)) else str(value)


def check_rows(
    coalitions: np.ndarray, weights: np.ndarray, targets: np.ndarray, shape: tuple[int, int] | None = None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The rows of a regression as arrays; ``shape``: the number of players and of targets, where known."""
    targets, weights = np.asarray(targets), np.asarray(weights, dtype=float)
    n, d = shape or (np.shape(coalitions)[-1], np.shape(targets)[-1])
    coalitions = as_coalitions(coalitions, n)
    m = len(coalitions)
    if weights.shape != (m,) or not np.isfinite(weights).all() or (weights < 0).any():
        raise ValueError(
            f"weights has shape {weights.shape}; expected ({m},), one for each coalition, finite and not negative"
        )
    if targets.shape != (m, d):
        raise ValueError(f"targets has shape {targets.shape}; expected ({m}, {d}), a row for each coalition")
    if not np.isfinite(targets).all():
        row = int(np.flatnonzero(~np.isfinite(targets).all(axis=1))[0])
        raise ValueError(f"the value of coalition {row} is {targets[row]}; expected finite numbers")
    return coalitions, weights, targets


# --- Designs ------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False, repr=False)
class Design:
    """Distinct coalitions with weights: a finite stand-in for ``P_p``.

    Attributes
    ----------
    coalitions : ndarray of bool, shape (m, n)
    weights : ndarray of float64, shape (m,), summing to 1
    p : float or None
        None where the coalitions stand for a distribution other than a ``P_p``.
    name : str
        How it was made: a key of :data:`DESIGNS`, or what its maker calls it.
    seed : int or None
        None where nothing is random.
    groups : ndarray of int, shape (m,), or None
        Where whole groups of coalitions are drawn independently (the shifts of an array): the number of each one's
        group. None: each coalition is drawn by itself, or none is.
    draws : ndarray of int, shape (m,), or None
        How many independent draws (or shifts of an array) gave each coalition: sampling error is counted by draw, not
        by distinct coalition. None: one each, or nothing was drawn.
    """

    coalitions: np.ndarray
    weights: np.ndarray
    p: float | None
    name: str
    seed: int | None
    groups: np.ndarray | None = None
    draws: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.coalitions)

    def __repr__(self) -> str:
        facts = f"{count(len(self), 'coalition')} of {count(self.n, 'player')}"
        if self.p is not None:
            facts += f", p = {self.p:g}"
        return f"<{self.name}: {facts}{'' if self.seed is None else f', seed {self.seed}'}>"

    @property
    def n(self) -> int:
        """Number of players."""
        return self.coalitions.shape[1]

    @property
    def orthonormal(self) -> bool:
        """Whether the Gram matrix of the monomials up to order two is exactly the identity."""
        return self.name == "enumeration" or self.is_array

    @property
    def is_array(self) -> bool:
        """Whether it consists of shifts of an orthogonal array, of strength four or five."""
        return self.name in ("orthogonal_array", "orthogonal_array_5")


def independent(n: int, p: float, m: int, seed: int = 0, stream: int = 0) -> Design:
    """``m`` independent draws from ``P_p``; a coalition drawn twice is listed once, with twice the weight."""
    n, p, m, seed = _python(n, p, m, seed)
    if m < 1:
        raise ValueError("m = 0; expected at least one draw")
    return _count_repeats(draw(n, p, m, seed, stream), p, "independent", seed)


def enumeration(n: int, p: float) -> Design:
    """All ``2**n`` coalitions, weighted by ``P_p``: no sampling error."""
    coalitions, p = all_coalitions(n), check_p(p)
    return Design(coalitions, _probability(coalitions, p), p, "enumeration", None)


def paired(n: int, p: float, m: int, seed: int = 0, stream: int = 0) -> Design:
    """``m / 2`` independent draws, each with its complement: at ``p = 0.5`` that is a draw from ``P_p`` too.

    Averages of odd monomials against even ones vanish exactly (Covert and Lee, *Improving KernelSHAP*, AISTATS
    2021), so that interactions are not blurred by single effects nor by triples.

    Raises
    ------
    ValueError
        If ``p`` is not 0.5 or ``m`` not even.
    """
    n, p, m, seed = _python(n, p, m, seed)
    if p != 0.5:
        raise ValueError(f"p = {p}; a complement is a draw from P_p for p = 0.5 only")
    if m < 2 or m % 2:
        raise ValueError(f"m = {m}; pairs make an even number of coalitions, at least 2")
    rows = draw(n, p, m // 2, seed, stream)
    return _count_repeats(np.stack([rows, ~rows], axis=1).reshape(m, n), p, "paired", seed)


def stratified(n: int, p: float, m: int, seed: int = 0, stream: int = 0) -> Design:
    """``m`` draws whose sizes follow the binomial distribution of sizes as evenly as ``m`` numbers can.

    Draw ``r`` has the size at the quantile ``(r + u) / m`` with one uniform ``u`` for all, and holds the players with
    the smallest of ``n`` uniform numbers. ``u`` is the first number of the stream, those of draw ``r`` are the ``n``
    from ``4 + r n`` on. In a random order of the draws each is one from ``P_p``, so averages are unbiased.
    """
    n, p, m, seed = _python(n, p, m, seed)
    if m < 1:
        raise ValueError("m = 0; expected at least one draw")
    numbers = _uniform(4 + m * n, seed, stream)
    at_most = np.cumsum(_size_shares(n, p))[:-1]
    sizes = np.searchsorted(at_most, (np.arange(m) + numbers[0]) / m, side="right")
    return _count_repeats(_of_sizes(sizes, numbers[4:].reshape(m, n)), p, "stratified", seed)


def border(n: int, p: float, m: int, seed: int = 0, stream: int = 0) -> Design:
    """Sizes that ``m`` draws would exhaust are listed, the rest is drawn: the authors' sampler, weights put right.

    As long as there is a size with no more coalitions than draws are expected to fall on it, all of them are listed,
    with their weights under ``P_p``. What is left of the ``m`` is drawn from the other sizes: draw ``r`` takes its
    size from uniform number ``r (n + 1)`` of the stream and its players, as in :func:`stratified`, from the ``n``
    after it; repeats are counted. Averages are unbiased. :func:`border_released` tells what the release does instead.
    """
    n, p, m, seed = _python(n, p, m, seed)
    return list_and_draw(n, _size_shares(n, p), m, p, "border", seed, stream)


def list_and_draw(
    n: int, shares: np.ndarray, m: int, p: float | None, name: str, seed: int = 0, stream: int = 0
) -> Design:
    """:func:`border` for any distribution that looks at sizes only: ``shares``, (n + 1,), is that of the sizes."""
    n, m, seed = check_count("n", n), check_count("m", m), check_count("seed", seed)
    coalitions, weights, still, left = _listed(n, shares, m)
    if still.any():
        numbers = _uniform(left * (n + 1), seed, stream).reshape(left, n + 1)
        at_most = np.cumsum(still / still.sum())[:-1]
        sizes = np.searchsorted(at_most, numbers[:, 0], side="right")
        drawn = _count_repeats(_of_sizes(sizes, numbers[:, 1:]), p, name, seed)
        coalitions = np.concatenate([coalitions, drawn.coalitions])
        weights = np.concatenate([weights, still.sum() * drawn.weights])
    return Design(coalitions, weights / weights.sum(), p, name, seed)


def border_released(n: int, p: float, m: int, seed: int = 0, stream: int = 0) -> Design:
    """The sampler of the authors' release as it is, to compare with :func:`border`.

    Two things differ (``src/sampler.py`` and ``get_regression_weights`` of ``src/fixlip.py`` in
    github.com/hbaniecki/fixlip, e89d704). Draws go on until there are ``m`` *distinct* coalitions. And a drawn
    coalition has its share of the draws as weight, though all drawn ones together should have only the probability
    that the listed sizes leave. So these, which have their weights under ``P_p``, count for too little, by up to a
    half. At ``p = 0.5`` no size is listed before all are, and nothing is wrong. The draws are those of :func:`border`,
    read on as long as needed.
    """
    n, p, m, seed = _python(n, p, m, seed)
    m = min(m, 2**n)
    coalitions, weights, still, left = _listed(n, _size_shares(n, p), m)
    if left:
        at_most = np.cumsum(still / still.sum())[:-1]
        count, total = left, 0
        while count > total:
            total = count
            numbers = _uniform(total * (n + 1), seed, stream).reshape(total, n + 1)
            drawn = _of_sizes(np.searchsorted(at_most, numbers[:, 0], side="right"), numbers[:, 1:])
            first = np.sort(np.unique(coalition_keys(drawn), return_index=True)[1])
            count = int(first[left - 1]) + 1 if len(first) >= left else 2 * total
        counted = _count_repeats(drawn[:count], p, "border_released", seed)
        coalitions = np.concatenate([coalitions, counted.coalitions])
        weights = np.concatenate([weights, counted.weights])  # they sum to 1: still.sum() would be right
    return Design(coalitions, weights / weights.sum(), p, "border_released", seed)


def _listed(n: int, shares: np.ndarray, m: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, int]:
    """The border trick: which sizes are listed, and what is left to draw.

    Returns
    -------
    coalitions, weights : ndarray
        Of the listed sizes, with their probabilities.
    still : ndarray, shape (n + 1,)
        ``shares`` of the other sizes.
    left : int
        How many of the m are left to draw.
    """
    if m < 1:
        raise ValueError("m = 0; expected at least one draw")
    counts = np.array([math.comb(n, size) for size in range(n + 1)], dtype=float)
    listed = np.zeros(n + 1, bool)
    left = m
    while (still := shares * ~listed).any():
        full = (still > 0) & (counts <= left * still / still.sum())
        if not full.any():
            break
        listed |= full
        left -= int(counts[full].sum())
    rows = [_all_of_size(n, size) for size in np.flatnonzero(listed)]
    coalitions = np.concatenate([np.zeros((0, n), bool), *rows])
    return coalitions, (shares / counts)[coalitions.sum(axis=1)], still, left


def _python(n: int, p: float, m: int, seed: int) -> tuple[int, float, int, int]:
    """A design's arguments, checked, as Python's numbers: NumPy's narrow ones overflow, and JSON knows none."""
    return check_count("n", n), check_p(p), check_count("m", m), check_count("seed", seed)


def _probability(coalitions: np.ndarray, p: float) -> np.ndarray:
    """``P_p`` of each coalition, (m, n) bool -> (m,)."""
    return np.where(coalitions, p, 1 - p).prod(axis=1)


def _size_shares(n: int, p: float) -> np.ndarray:
    """``P_p`` of each size 0, ..., n, shape (n + 1,)."""
    return np.array([math.comb(n, t) * p**t * (1 - p) ** (n - t) for t in range(n + 1)])


def _of_sizes(sizes: np.ndarray, numbers: np.ndarray) -> np.ndarray:
    """In each row the players with the ``size`` smallest numbers: (m,), (m, n) -> (m, n) bool."""
    ranks = np.argsort(np.argsort(numbers, axis=1, kind="stable"), axis=1)
    return ranks < sizes[:, None]


def _all_of_size(n: int, size: int) -> np.ndarray:
    """All coalitions of one size, shape (C(n, size), n), bool, in the order of ``itertools.combinations``."""
    members = np.array(list(combinations(range(n), size)), dtype=int).reshape(math.comb(n, size), size)
    rows = np.zeros((len(members), n), bool)
    rows[np.arange(len(members))[:, None], members] = True
    return rows


def orthogonal_array(n: int, p: float = 0.5, m: int | None = None, seed: int = 0, stream: int = 0) -> Design:
    """A randomly shifted orthogonal array of strength four, for ``p = 0.5``.

    Any four columns hold each of their 16 patterns equally often, so the Gram matrix of all
    monomials up to order two is the identity. The rows are the ``4**k`` sums of the generators of
    the dual of a binary code with minimum distance five: parity columns ``(α, α³)`` for the
    non-zero ``α`` of GF(2^k) (double-error-correcting BCH code, ``n < 2**k``), or
    ``(1/g(α), α/g(α))`` for every α (Goppa code of an irreducible ``g = x² + x + d``, ``n = 2**k``). XOR with
    one random coalition makes every row a draw from ``P_0.5``, hence averages unbiased. See Hedayat, Sloane
    and Stufken, *Orthogonal Arrays* (1999), chapters 4 and 5.

    Parameters
    ----------
    n : int
        Number of players; ``k`` is the smallest with ``n <= 2**k``.
    p : float
        Must be 0.5.
    m : int, optional
        Number of runs, a multiple of ``4**k``: that many arrays, each with its own shift. Default: one array.
    seed, stream : int
        Key of the generator that draws the shifts.

    Raises
    ------
    ValueError
        If ``p`` is not 0.5 or ``m`` no multiple of ``4**k``.

    Examples
    --------
    >>> import numpy as np
    >>> design = orthogonal_array(10, m=256)
    >>> z = 2.0 * design.coalitions - 1
    >>> bool(np.allclose(z.T @ (design.weights[:, None] * z), np.eye(10)))  # exactly
    True
    """
    n, p, seed = check_count("n", n), check_p(p), check_count("seed", seed)
    return _shifts(_array(n, p), p, m, "orthogonal_array", seed, stream)


def orthogonal_array_5(
    n: int, p: float = 0.5, m: int | None = None, seed: int = 0, stream: int = 0
) -> Design:
    """A randomly shifted orthogonal array of strength five, for ``p = 0.5``: one of strength four and its complements.

    A complement changes the sign of every monomial of odd order and of none of even order. So averages of odd order
    vanish, those of order five too, and the others stay as they were: strength five (Hedayat, Sloane and Stufken,
    theorem 2.24). The average of a pair times a triple is one of order 1, 3 or 5: third-order terms of a game do not
    blur its pairs, nor those of fourth order its single effects, which under strength four they do.

    Parameters
    ----------
    n, p, seed, stream
        As of :func:`orthogonal_array`.
    m : int, optional
        Number of runs, a multiple of ``2 * 4**k``. Default: one array.

    Raises
    ------
    ValueError
        If ``p`` is not 0.5 or ``m`` no multiple of ``2 * 4**k``.
    """
    n, p, seed = check_count("n", n), check_p(p), check_count("seed", seed)
    array = _array(n, p)
    return _shifts(np.concatenate([array, ~array]), p, m, "orthogonal_array_5", seed, stream)


def array_runs(n: int, strength: int = 4) -> int:
    """Runs of the smallest array here for n players: ``4**k`` with ``n <= 2**k``, twice as many for strength five.

    Examples
    --------
    >>> [array_runs(n) for n in (16, 49, 64, 196, 256)]
    [256, 4096, 4096, 65536, 65536]
    """
    return (2 if strength == 5 else 1) * 4 ** max(1, (check_count("n", n) - 1).bit_length())


def _array(n: int, p: float) -> np.ndarray:
    """The runs of a linear array of strength four, (4**k, n) bool."""
    if p != 0.5:
        raise ValueError(f"p = {p}; an orthogonal array exists here for p = 0.5 only")
    k = max(1, (n - 1).bit_length())
    bits = np.arange(2 * k)
    generators = _parity_columns(n, k) >> bits[:, None] & 1  # (2k, n)
    return (np.arange(4**k)[:, None] >> bits & 1) @ generators % 2 == 1  # all sums of generators over GF(2)


def _shifts(array: np.ndarray, p: float, m: int | None, name: str, seed: int, stream: int) -> Design:
    """As many randomly shifted copies of an array as make m runs."""
    runs, n = array.shape
    m = runs if m is None else check_count("m", m)
    if m == 0 or m % runs:
        raise ValueError(f"m = {m}; an orthogonal array for {n} players has a multiple of {runs} runs")
    shifts = draw(n, p, m // runs, seed, stream)
    rows = np.concatenate([array ^ shift for shift in shifts])
    return _count_repeats(rows, p, name, seed, runs_of_group=runs)


def exchange(n: int, p: float, m: int, seed: int = 0, stream: int = 0) -> Design:
    """Stratified draws improved by exchanges of players, for any ``p``: the best that we know for ``p`` other than 0.5.

    A regression on the monomials φ suffers where they are correlated in the sample: the Gram matrix of a design is the
    identity plus noise, and its squared entries sum to ``Σ_rs w_r w_s <φ_r, φ_s>²``. Three steps:

    * the sizes are stratified, but a size is drawn in proportion to its share under ``P_p`` times ``|φ|²``, which is
      the same for all its coalitions, and weighted by ``K / |φ|²``: draws with much influence are more frequent and
      weigh less (Cohen and Migliorati, *Optimal weighted least-squares methods*, 2017);
    * each coalition in turn gives up the one player, and takes the one, that lower the sum most (coordinate exchange,
      Meyer and Nachtsheim, *Technometrics* 1995), three times over. Sizes stay;
    * one random permutation renames the players, so that given its size each coalition is a fair draw. Averages are
      unbiased but for the division by the sum of the weights, which is ``m`` within a percent for hundreds of draws.

    Number 0 of the stream shifts the strata, the players of draw ``r`` come from the ``n`` numbers from ``4 + r n`` on
    as in :func:`stratified`, and the ranks of the last ``n``, from ``4 + m n`` on, are the players' new numbers.
    Sums are of whole numbers, hence exact, and every machine makes the same exchanges. The time grows as ``m² n``.

    Parameters
    ----------
    n, m : int
        Number of players, and of draws: at most :data:`MOST_EXCHANGED`.
    p : float
    seed, stream : int

    Raises
    ------
    ValueError
        If ``m`` is 0 or too large.
    """
    n, p, m, seed = _python(n, p, m, seed)
    if not 1 <= m <= MOST_EXCHANGED:
        raise ValueError(f"m = {m}; exchange compares all pairs of draws: expected 1 to {MOST_EXCHANGED}")
    t = np.arange(n + 1)
    influence = _monomial_products(t, t, t, n, p)  # |φ|² by size
    numbers = _uniform(4 + m * n + n, seed, stream)
    at_most = np.cumsum(_size_shares(n, p) * influence / n_monomials(n))[:-1]
    sizes = np.searchsorted(at_most, (np.arange(m) + numbers[0]) / m, side="right")
    rows = _of_sizes(sizes, numbers[4 : 4 + m * n].reshape(m, n))
    weights = n_monomials(n) / influence
    for _ in range(3):
        _exchange_players(rows, sizes, weights, p)
    rows = rows[:, np.argsort(numbers[4 + m * n :], kind="stable")]
    return _count_repeats(rows, p, "exchange", seed, weights=weights[sizes])


def _monomial_products(common: np.ndarray, a: np.ndarray, b: np.ndarray, n: int, p: float) -> np.ndarray:
    """``<φ, φ'>`` of the monomials up to order two of two coalitions, of sizes a and b, that share ``common``."""
    both, neither, one = (1 - p) / p, p / (1 - p), -1.0  # products of two z
    absent = n - a - b + common
    differ = a + b - 2 * common
    total = both * common + neither * absent + one * differ
    squares = both * both * common + neither * neither * absent + one * one * differ
    return 1 + total + (total * total - squares) / 2


def _exchange_players(rows: np.ndarray, sizes: np.ndarray, weights: np.ndarray, p: float) -> None:
    """Let every coalition of :func:`exchange` replace one player, in place: (m, n) bool, (m,) int, by size (n + 1,).

    Coalitions move in blocks of up to 32, spread over all sizes, that see each other as they were before.
    """
    m, n = rows.shape
    t = np.arange(n + 1)
    # axes of the table, whose impossible entries are never read
    size, other, common = t[:, None, None], t[:, None], t
    table = np.rint(
        np.minimum(weights[:, None] * _monomial_products(common, other, size, n, p) ** 2, 2.0**52 / m)
    )
    step = np.diff(table, axis=2, prepend=0).ravel()  # what one more common player costs
    members = rows.astype(float)
    n_blocks = -(-m // 32)
    for block in range(n_blocks):
        own = np.arange(block, m, n_blocks)
        own = own[(sizes[own] > 0) & (sizes[own] < n)]  # empty and full have nothing to exchange
        at = np.arange(len(own))
        place = ((sizes[own, None] - 1) * (n + 1) + sizes) * (n + 1)  # without the player that leaves
        shared = np.rint(members[own] @ members.T).astype(np.int64)
        cost = step[place + shared]
        cost[at, own] = 0
        leaving = np.where(rows[own], cost @ members, -np.inf).argmax(axis=1)
        shared -= rows[:, leaving].T
        cost = step[place + (n + 1) ** 2 + shared + 1]
        cost[at, own] = 0
        candidates = ~rows[own]
        candidates[at, leaving] = True
        arriving = np.where(candidates, cost @ members, np.inf).argmin(axis=1)
        for array in (rows, members):
            array[own, leaving] = 0
            array[own, arriving] = 1


DESIGNS = {
    "independent": independent,
    "paired": paired,
    "stratified": stratified,
    "border": border,
    "border_released": border_released,
    "exchange": exchange,
    "orthogonal_array": orthogonal_array,
    "orthogonal_array_5": orthogonal_array_5,
    "enumeration": enumeration,
}


def _count_repeats(
    draws: np.ndarray,
    p: float | None,
    name: str,
    seed: int,
    runs_of_group: int | None = None,
    weights: np.ndarray | None = None,
) -> Design:
    """The distinct rows of draws, each weighted by how often it occurs, or by the sum of its draws' weights.

    Draws that come in groups of ``runs_of_group`` keep the number of their group; a row of two groups counts for both
    in the first, which happens only where one array is the other once more.
    """
    _, first, which = np.unique(coalition_keys(draws), return_index=True, return_inverse=True)
    counts = np.bincount(which, None if weights is None else weights / weights.mean())
    order = np.argsort(first)
    p = None if p is None else float(p)
    if runs_of_group is None:
        groups, units = None, np.bincount(which)
    else:
        groups = first[order] // runs_of_group
        of_group = np.unique(np.stack([which, np.arange(len(draws)) // runs_of_group]), axis=1)
        units = np.bincount(of_group[0])  # groups in which each row occurs
    return Design(draws[first[order]], counts[order] / len(draws), p, name, seed, groups, units[order])


def _parity_columns(n: int, k: int) -> np.ndarray:
    """``n`` numbers of ``2k`` bits, any four of them linearly independent over GF(2)."""
    field = np.arange(2**k)
    product = _field_products(k)
    if n < 2**k:
        cube = product[field, product[field, field]]
        return (field << k | cube)[1 : n + 1]
    square_plus = product[field, field] ^ field  # x² + x takes half the values; d is one that it misses
    g = square_plus ^ np.setdiff1d(field, square_plus)[0]
    inverse = (product[g] == 1).argmax(axis=1)  # of g(x), which is never 0
    return inverse << k | product[field, inverse]


def _field_products(k: int) -> np.ndarray:
    """Multiplication table of GF(2^k), shape (2**k, 2**k); elements are polynomials, bit i the x^i term."""
    a = np.arange(2**k)
    for modulus in range(2**k + 1, 2 ** (k + 1), 2):
        product = np.zeros((2**k, 2**k), dtype=np.int64)
        shifted = a.copy()  # a · x^i
        for i in range(k):
            product ^= np.where(a >> i & 1, shifted[:, None], 0)
            shifted <<= 1
            shifted ^= np.where(shifted >> k & 1, modulus, 0)
        if (product[1:, 1:] != 0).all():  # no zero divisors: the modulus is irreducible
            return product
    raise AssertionError("an irreducible polynomial of every degree exists")


# --- Which design, and how large ----------------------------------------------------------


def n_monomials(n: int) -> int:
    """Number of monomials up to order two of ``n`` players, ``K = 1 + n + n (n - 1) / 2``.

    Examples
    --------
    >>> n_monomials(49 + 8), n_monomials(576)
    (1654, 166177)
    """
    return 1 + n + n * (n - 1) // 2


def monomials(coalitions: np.ndarray, p: float) -> np.ndarray:
    """The p-biased Fourier monomials up to order two: (m, n) bool -> (m, K) float64.

    Columns ``1``, then ``z_i = (x_i - p) / σ`` with ``σ = sqrt(p (1 - p))``, then ``z_i z_j`` for the
    pairs (0, 1), (0, 2), ..., (n-2, n-1). They are orthonormal under ``P_p``.
    """
    m, n = coalitions.shape
    z = (coalitions - p) / np.sqrt(p * (1 - p))
    phi = np.empty((m, n_monomials(n)))
    phi[:, 0] = 1
    phi[:, 1 : n + 1] = z
    start = n + 1
    for i in range(n - 1):
        stop = start + n - 1 - i
        np.multiply(z[:, i : i + 1], z[:, i + 1 :], out=phi[:, start:stop])
        start = stop
    return phi


FEWEST_DRAWS = 4096
"""Draws that an image, or all players together, get at least where no size is given."""


def default_draws(side: str, n: int) -> int:
    """How many draws a side gets where no size is given: four for each monomial, for an image or all at least 4096."""
    m = 4 * n_monomials(n)
    return m if side == "text" else max(FEWEST_DRAWS, m)


def choose_design(
    side: str,
    n: int,
    p: float,
    name: str | Design = "auto",
    m: int | None = None,
    seed: int = 0,
    independently: bool = False,
) -> Design:
    """The design of one side, by name and size, or the best that this package knows.

    Parameters
    ----------
    side : str
        ``"image"``, ``"text"`` or ``"joint"`` (all players of any game); names the random stream.
    n : int
        Number of players, at least 1.
    p : float
    name : str or Design
        A design that is ready, which is checked and returned; a key of :data:`DESIGNS`; or ``"auto"``,
        which enumerates where there are no more coalitions than it would draw, and draws independently
        otherwise, ``m`` or else ``4 K`` times (K monomials). An image, or all players, get at least 4096
        draws and, for want of an ``m``, an orthogonal array at ``p = 0.5``, with nearly twice as many
        runs as there are monomials, or more (of strength five where that takes no more runs: up to 32 players),
        and :func:`exchange` at any other ``p`` (up to
        :data:`MOST_EXCHANGED` draws). A text is enumerated up to 10 players.
    m : int, optional
    seed : int
    independently : bool
        Let ``"auto"`` draw independently wherever it does not enumerate.

    Raises
    ------
    ValueError
        If the name is unknown, the side has no players, the design does not exist for ``p`` or ``m``, or a
        ready one has another ``p`` or number of players.
    """
    if n < 1:
        raise ValueError(f"the game has no {side} players; expected at least 1")
    # from here on Python's numbers: 2**n of NumPy's overflows at 64 players
    n, p, m, seed = int(n), check_p(p), m if m is None else check_count("m", m), check_count("seed", seed)
    if isinstance(name, Design):
        if (name.n, name.p) != (n, p):
            raise ValueError(
                f"the design has {name.n} players and p = {name.p}; expected {n} {side} players and p = {p}"
            )
        return name
    if name not in (*DESIGNS, "auto"):
        raise ValueError(f"design = {name!r}; expected auto, {', '.join(DESIGNS)}, or a Design")
    if name == "auto":
        if 2**n <= (m if m is not None else 1024 if side == "text" else 4096):
            return enumeration(n, p)
        name = "independent"
        if m is None and side != "text" and not independently:
            if p == 0.5:
                name = "orthogonal_array" if array_runs(n, 5) > FEWEST_DRAWS else "orthogonal_array_5"
            elif default_draws(side, n) <= MOST_EXCHANGED:
                name = "exchange"
    if name == "enumeration":
        if m not in (None, 2**n):
            raise ValueError(f"m = {m}; the enumeration of {n} players has {2**n} coalitions")
        return enumeration(n, p)
    if m is None:
        m = default_draws(side, n)
        if name.startswith("orthogonal_array"):
            runs = array_runs(n, 5 if name == "orthogonal_array_5" else 4)
            m = runs if side == "text" else max(FEWEST_DRAWS, runs)
    return DESIGNS[name](n, p, m, seed, STREAMS[side])


def authors_split(budget: int, n_image: int, n_text: int) -> tuple[int, int]:
    """How the authors' release splits an integer budget into image and text coalitions.

    ``m_T = min(2**n_T, max(4, ceil(sqrt(budget) * n_T / n_I)))`` and ``m_I = budget // m_T``, for the
    smaller side T; where the image has no more players than the text, the sides change places. At most
    ``2**n`` coalitions of a side.

    Returns
    -------
    m_image, m_text : int
    """
    n_image, n_text, budget = int(n_image), int(n_text), check_count("budget", budget)
    fewer, more = sorted((n_image, n_text))
    m_fewer = min(2**fewer, max(4, int(np.ceil(np.sqrt(budget) * fewer / max(more, 1)))))
    m_more = min(2**more, budget // m_fewer)
    return (m_more, m_fewer) if n_text < n_image else (m_fewer, m_more)
