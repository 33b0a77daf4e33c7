"""Coalitions: which players stay visible, drawn from P_p, with weights.

A *coalition* is a boolean row: player ``i`` is visible where entry ``i`` is true. Under
``P_p`` every player is visible independently with probability ``p``. A :class:`Design` is a
finite stand-in for ``P_p``: distinct coalitions with weights that sum to one.

Three designs are here:

* :func:`enumeration`: all ``2**n`` coalitions with their exact weights;
* :func:`independent`: ``m`` independent draws, repeats counted in the weights;
* :func:`orthogonal_array` (``p = 0.5``): ``4**k`` coalitions whose sample moments equal those
  of ``P_p`` up to order four, so that sums over them see first and second order exactly.

**Where the random bits come from.** Another language must be able to draw the same
coalitions, so they come from one counter-based generator, Philox4x64-10 (Salmon et al.,
*Parallel random numbers: as easy as 1, 2, 3*, SC 2011), with this layout:

* key = ``(seed, stream)``, two unsigned 64-bit words; ``stream`` is a number from
  :data:`STREAMS` that tells apart the uses of one seed;
* block ``b = 0, 1, 2, ...`` is Philox of the counter ``(b + 1, 0, 0, 0)`` and gives the words
  ``4b, 4b + 1, 4b + 2, 4b + 3`` (this is NumPy's ``Philox(key=...).random_raw``);
* word ``r * n + i`` decides player ``i`` of draw ``r``: visible if ``(word >> 11) * 2**-53 < p``.

So a longer sequence of draws begins with the shorter one. Test vectors are in
``tests/test_coalitions.py``.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

STREAMS = {"image": 1, "text": 2, "joint": 3, "ridge": 16, "held_out": 32, "evaluation": 48}
"""Second key word of the generator. ``ridge`` and ``held_out`` are added to a side's own number."""


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
    """
    check_p(p)
    key = np.array([check_count("seed", seed), check_count("stream", stream)], dtype=np.uint64)
    words = np.random.Philox(key=key).random_raw(check_count("m", m) * check_count("n", n))
    return ((words >> np.uint64(11)) * 2.0**-53 < p).reshape(m, n)


def all_coalitions(n: int) -> np.ndarray:
    """All ``2**n`` coalitions, shape (2**n, n), bool; player ``i`` is bit ``i`` of the row's number."""
    if check_count("n", n) > 24:
        raise ValueError(f"n = {n}: 2**{n} coalitions are too many to list; at most 24 players can be enumerated")
    return (np.arange(2**n)[:, None] >> np.arange(n) & 1).astype(bool)


def coalition_number(coalitions: np.ndarray) -> np.ndarray:
    """The row at which :func:`all_coalitions` lists each coalition, shape (m,), int64."""
    return coalitions @ (1 << np.arange(coalitions.shape[1], dtype=np.int64))


# --- Checks -------------------------------------------------------------------------------


def as_coalitions(coalitions: np.ndarray, n: int) -> np.ndarray:
    """Return ``coalitions`` as a boolean array of shape (m, n), or say what is wrong with it."""
    rows = np.atleast_2d(np.asarray(coalitions))
    if rows.ndim != 2 or rows.shape[1] != n:
        raise ValueError(f"coalitions has shape {np.shape(coalitions)}; expected (m, {n}), a column per player")
    if rows.dtype != bool:
        if not np.isin(rows, (0, 1)).all():
            raise ValueError(f"coalitions has dtype {rows.dtype} with values other than 0 and 1; expected booleans")
        rows = rows.astype(bool)
    return rows


def check_p(p: float) -> float:
    """Return ``p`` as a float if it lies strictly between 0 and 1."""
    if isinstance(p, bool) or not isinstance(p, (int, float, np.number)) or not 0 < p < 1:
        raise ValueError(f"p = {p!r}; expected a number strictly between 0 and 1")
    return float(p)


def check_count(name: str, value: int) -> int:
    """Return ``value`` as an int if it is a whole number from 0 to 2**64 - 1."""
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or not 0 <= value < 2**64:
        raise ValueError(f"{name} = {value!r}; expected a whole number, 0 or more")
    return int(value)
