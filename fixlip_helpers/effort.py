"""What an explanation takes in seconds, and what a given time allows.

An encoder's speed is known only where it runs, so that :func:`spend` measures it on coalitions that every estimate
needs (those that judge the fit), and from it decides how many more there can be. The draws of a longer sequence begin
with those of a shorter one: where time runs out earlier than was expected, what is encoded is a design all the same.
"""

from __future__ import annotations

from time import perf_counter
from typing import NamedTuple

import numpy as np
from tqdm import tqdm

from fixlip_helpers.checkpoints import Remembered
from fixlip_helpers.coalitions import (
    STREAMS,
    Design,
    UnderdeterminedError,
    array_runs,
    blocks,
    choose_design,
    draw,
    empty_and_full,
    enumeration,
    independent,
    n_monomials,
    orthogonal_array,
)
from fixlip_helpers.regression import RIDGES

MOST_COALITIONS = 65_536
"""Draws of a side beyond which more time, or a smaller tolerance, buys no more."""

TEXT_SHARE = 0.25
"""Part of the time that a caption may take where its usual passes would take longer."""


class Spending(NamedTuple):
    """What a time allows: designs, coalitions that judge each side's fit, and why there are no more of them.

    ``stopped`` is ``"time"``, or ``"coalitions"`` where all of a side, or :data:`MOST_COALITIONS`, are there.
    """

    image: Design
    text: Design
    n_held_out: tuple[int, int]
    stopped: str


def spend(
    game: Remembered, p: float, seconds: float, seed: int = 0, errors: bool = False, n_captions: int = 1
) -> Spending:
    """Choose the designs of both sides for a time, and encode the image's until it is over.

    The text gets its usual design where that takes up to :data:`TEXT_SHARE` of the time, the image all the rest: an
    enumeration or orthogonal arrays where there is time for them, else independent draws, one after the other.

    Parameters
    ----------
    game : Remembered
        Keeps what is encoded here, so that fits on the designs need not encode it again.
    p : float
    seconds : float
        For encoding and solving. Coalitions that the game remembers from before take none of it.
    seed : int
    errors : bool
        Leave designs out from which standard errors cannot be computed, and draw enough for them.
    n_captions : int
        How many captions, each as costly as this one, the time is for.

    Raises
    ------
    UnderdeterminedError
        If the time does not suffice for the fewest coalitions that say anything; the message says how much does.
    """
    start = perf_counter()
    n_image, n_text = game.n_image, game.n_text
    each_text, _ = _seconds_a_pass(game, "text", p, seconds / 20, seed)
    each_image, measured = _seconds_a_pass(game, "image", p, seconds / 10, seed)

    text = choose_design("text", n_text, p, seed=seed, independently=errors)
    affordable = int(TEXT_SHARE * seconds / n_captions / max(each_text, 1e-9))
    least = _fewest(n_text, errors)
    if affordable < len(text):  # where even the fewest are too many, the image's time is short, which it says
        text = choose_design("text", n_text, p, m=max(affordable, least), seed=seed, independently=errors)
    text_held_out = 64
    passes = len(text) + (0 if text.name == "enumeration" else text_held_out + text_held_out // 2 + 2)
    reserved = n_captions * each_text * passes
    most = max(0.0, start + seconds - reserved - perf_counter()) / each_image
    runs = array_runs(n_image)
    orthonormal = min(2**n_image, runs if p == 0.5 and not errors else np.inf) <= most
    reserved += solving_seconds(n_image, int(min(most, MOST_COALITIONS)), orthonormal)
    deadline = start + seconds - reserved

    passes = int(max(0.0, deadline - perf_counter()) / each_image)
    fewest = _fewest(n_image, errors)
    image_held_out = int(np.clip(max(measured, passes // 8), 16, 256))
    besides = 0 if 2**n_image <= fewest else image_held_out + image_held_out // 2 + 2
    known = int(game.knows("image", draw(n_image, p, fewest, seed, STREAMS["image"])).sum())
    if passes < fewest - known + besides:
        enough = (reserved + each_image * (fewest + besides)) * 1.2
        raise UnderdeterminedError(
            f"seconds = {seconds:g} is too short: beside the text passes, {reserved:.2g} s, about {passes} image "
            f"passes here, at {1 / each_image:.3g} a second, and {n_image} image players take {fewest + besides} at "
            f"least. Allow about {np.ceil(enough):.0f} s{_coarser(n_image)}"
        )
    image, stopped = _image_design(
        game, p, passes - besides, fewest, image_held_out, deadline, each_image, seed, errors
    )
    return Spending(image, text, (image_held_out, text_held_out), stopped)


def _image_design(
    game: Remembered,
    p: float,
    m: int,
    fewest: int,
    n_held_out: int,
    deadline: float,
    each: float,
    seed: int,
    errors: bool,
) -> tuple[Design, str]:
    """The image's design for about ``m`` passes until a deadline, and what ended it."""
    n, stream = game.n_image, STREAMS["image"]
    if 2**n <= min(m, MOST_COALITIONS):
        return enumeration(n, p), "coalitions"
    runs = array_runs(n)
    if p == 0.5 and not errors and runs <= m:
        arrays = min(m, MOST_COALITIONS) // runs
        return orthogonal_array(
            n, p, arrays * runs, seed, stream
        ), "coalitions" if m >= MOST_COALITIONS else "time"
    besides = [
        draw(n, p, n_held_out, seed, stream + STREAMS["held_out"]),
        draw(n, p, n_held_out // 2, seed, stream + STREAMS["ridge"]),
        empty_and_full(n),
    ]
    game.encode_images(np.concatenate(besides))
    rows = draw(n, p, MOST_COALITIONS, seed, stream)
    done = 0
    with tqdm(total=m, desc="image passes", unit="pass", delay=2, leave=False) as bar:
        for part in blocks(len(rows), int(np.clip(1 / each, 8, 1024))):
            if done >= fewest and perf_counter() >= deadline:
                break
            game.encode_images(rows[part])
            done += len(rows[part])
            bar.total = max(bar.total, done)
            bar.update(len(rows[part]))
    return independent(n, p, done, seed, stream), "time" if done < len(rows) else "coalitions"


def _coarser(n_image: int) -> str:
    """Of advice the end: a grid of at most half as many image players, where there is one."""
    k = int(np.sqrt(n_image / 2))
    return (
        f", or explain coarser image players (--patches {k}x{k}, image_players=({k}, {k}))" if k > 1 else ""
    )


def _fewest(n: int, errors: bool) -> int:
    """The fewest coalitions that say anything of n players: of order one with a margin, or enough for errors."""
    return min(2**n, int(1.2 * n_monomials(n)) + 1 if errors else 2 * (n + 1))


def _seconds_a_pass(game: Remembered, side: str, p: float, most: float, seed: int) -> tuple[float, int]:
    """Time of one pass of a side, and on how many it was measured: up to 256, or as many as ``most`` seconds give.

    They are those that judge the fit, which an estimate needs anyway.
    """
    n, encode = (game.n_image, game.encode_images) if side == "image" else (game.n_text, game.encode_texts)
    stream = STREAMS[side]
    rows = np.concatenate(
        [draw(n, p, 256, seed, stream + STREAMS["held_out"]), draw(n, p, 4096, seed, stream)]
    )
    rows = rows[np.sort(np.unique(rows, axis=0, return_index=True)[1])]  # distinct, in their order
    new = rows[~game.knows(side, rows)]
    if len(new) < 3:
        return 1e-6, 0  # next to nothing is left to encode
    encode(new[:2])  # the first call is slower than the rest
    start, done, size = perf_counter(), 0, 8
    while not done or (done < min(len(new), 256) - 2 and perf_counter() - start < most):
        part = new[2 + done : 256][:size]
        encode(part)
        done, spent = done + len(part), max(perf_counter() - start, 1e-9)
        size = int(np.clip((most - spent) * done / spent, 1, min(2 * size, 64)))  # what fits into the rest
    return (perf_counter() - start) / done, done + 2


def solving_seconds(n: int, m: int, orthonormal: bool, width: int = 512) -> float:
    """What regressing ``m`` embeddings on the terms of ``n`` players takes here, from a small matrix product."""
    terms = n_monomials(n)
    if orthonormal:
        flops = 2.0 * m * terms * width
    else:  # Gram matrix, and one factorisation for each penalty tried
        flops = 2.0 * m * terms**2 + len(RIDGES) * terms**3 / 3
    square = np.ones((384, 384))
    square @ square
    start = perf_counter()
    square @ square
    return flops * (perf_counter() - start) / (2 * 384.0**3)
