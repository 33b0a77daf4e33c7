"""What belongs to the FIxLIP release: how its scripts split a budget of values of the game, and how its files are read.

Source: ``experiments/``, ``results/`` and ``src/fixlip.py`` in github.com/hbaniecki/fixlip, e89d704.
"""

from __future__ import annotations

import os
import pickle
from types import SimpleNamespace
from typing import NamedTuple

import numpy as np

from fixlip_helpers.coalitions import (
    authors_split,
    check_count,
    choose_design,
    default_draws,
    n_monomials,
)

PUBLISHED_BUDGET = 2**21  # gives 8 848 image and 237 text coalitions, 2 096 976 values, as published


class Asked(NamedTuple):
    """How a side is fitted: a design's name, how many coalitions (None: its default), and a penalty (None: chosen)."""

    name: str = "auto"
    m: int | None = None
    ridge: float | None = None


def pointing_split(budget: int, n_image: int, n_text: int) -> tuple[int, int]:
    """How the release's scripts of the pointing game split a budget: at most 64 captions and 2^18 pictures.

    Returns
    -------
    m_image, m_text : int

    Examples
    --------
    >>> pointing_split(2**20, 49, 2), pointing_split(2**20, 49, 8)
    ((262144, 4), (16384, 64))
    """
    budget, n_text = check_count("budget", budget), int(n_text)
    m_text = min(64, 2**n_text)
    return min(2**18, 2 ** int(n_image), budget // m_text), m_text


def sides_of(
    budget: int, n_image: int, n_text: int, *, released: bool, pointing: bool = False
) -> tuple[Asked, Asked]:
    """How picture and caption are fitted from a budget of values of the game, all pairs of their coalitions.

    Parameters
    ----------
    budget, n_image, n_text : int
    released : bool
        The release's sampler, and no penalty. A side to which it gives fewer coalitions than terms, of which the
        release then fits a part, gets this package's own draws and all terms.
    pointing : bool
        Split as the release's scripts of the pointing game do, else by
        :func:`~fixlip_helpers.coalitions.authors_split`.

    Returns
    -------
    image, text : Asked
    """
    split = pointing_split if released and pointing else authors_split
    asked = []
    for side, n, m in zip(("image", "text"), (n_image, n_text), split(budget, n_image, n_text), strict=True):
        if m >= 2**n:
            asked.append(Asked("enumeration", ridge=0.0))
        elif m < n_monomials(n):
            asked.append(Asked("auto", default_draws(side, n)))
        else:
            asked.append(Asked("border_released", m, 0.0) if released else Asked("auto", m))
    return asked[0], asked[1]


def passes_of(side: str, n: int, p: float, asked: Asked) -> int:
    """How many coalitions of a side are fitted."""
    if asked.name == "enumeration":
        return 2**n
    return asked.m if asked.name == "border_released" else len(choose_design(side, n, p, asked.name, asked.m))


_ADMITTED = {
    ("shapiq.interaction_values", "InteractionValues"): SimpleNamespace,  # its attributes, none of its code
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
    **{
        (f"numpy.{core}.multiarray", name): made.__reduce__()[
            0
        ]  # NumPy 2 and 1 keep them in different places
        for core in ("_core", "core")
        for name, made in (("_reconstruct", np.zeros(0)), ("scalar", np.float64()))
    },
}


class _Numbers(pickle.Unpickler):
    """Admits numbers, text, arrays and the containers of these: a file that names anything else is refused unread."""

    def find_class(self, module: str, name: str) -> object:
        if (module, name) not in _ADMITTED:
            raise ValueError(f"the file asks for {module}.{name}; a stored explanation has numbers only")
        return _ADMITTED[module, name]


def open_stored(path: str | os.PathLike) -> SimpleNamespace:
    """An explanation as the release stores it, a pickled ``shapiq.InteractionValues``; no code in the file can run.

    Parameters
    ----------
    path : str or path

    Returns
    -------
    SimpleNamespace
        Its attributes, for :meth:`~fixlip_helpers.explanation.Explanation.from_shapiq`.

    Raises
    ------
    ValueError
        If the file is no pickle, asks for anything but numbers, text, arrays and containers of these, or holds no
        stored explanation.
    """
    with open(path, "rb") as file:
        try:
            found = _Numbers(file).load()
        except (pickle.UnpicklingError, EOFError) as error:
            raise ValueError(f"path = {str(path)!r} is no pickle: {error}") from error
    if not isinstance(found, SimpleNamespace):
        raise ValueError(f"path = {str(path)!r} holds a {type(found).__name__}, no shapiq.InteractionValues")
    return found
