"""What an explanation will take, said before the work, and what it has encoded, kept through an interruption."""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, NamedTuple

import click

from fixlip_helpers.commands.console import BadInput, duration, note, refusing

if TYPE_CHECKING:
    from fixlip_helpers.checkpoints import Checkpointed, Remembered
    from fixlip_helpers.coalitions import Design
    from fixlip_helpers.encoders.vision_language import VisionLanguageGame

BLOCK = 64
"""Passes that are encoded between two writes: no more are lost to an interruption."""


class Plan(NamedTuple):
    """Passes, seconds and bytes that an explanation is expected to take."""

    image_passes: int
    text_passes: int
    seconds: float
    gigabytes: float


def draw_designs(
    game: VisionLanguageGame,
    p: float,
    budget: int | str,
    seed: int,
    independently: bool = False,
    asked: str | None = None,
) -> tuple[Design, Design]:
    """The coalitions of both sides, drawn once: what is planned is what is run. ``asked`` is what --design says."""
    from fixlip_helpers.coalitions import authors_split, choose_design

    sizes = (None, None) if budget == "auto" else authors_split(budget, game.n_image, game.n_text)
    for n, m in zip((game.n_image, game.n_text), sizes, strict=True):
        if m is not None and 9 * n * m > machine_memory():
            raise ValueError(
                f"budget = {budget:,} needs {m:,} coalitions of {n} players, more than memory holds: "
                "ask for less"
            )
    name = "auto"
    if budget == "auto" and game.n_image < len(game.image_players.owner):
        name, m = _coarse_design(game.n_image, p, independently)
        sizes = m, None
    if asked is not None:
        name, size = _named_design(asked)
        sizes = size, None
    sides = (("image", game.n_image, name, sizes[0]), ("text", game.n_text, "auto", sizes[1]))
    image, text = (choose_design(side, n, p, how, m, seed, independently) for side, n, how, m in sides)
    return image, text


def _named_design(asked: str) -> tuple[str, int]:
    """Name and size of ``--design NAME:N``."""
    from fixlip_helpers.coalitions import DESIGNS

    name, colon, size = asked.partition(":")
    if name not in DESIGNS or not colon or not size.isdecimal() or not 1 <= int(size) <= 2**24:
        raise ValueError(
            f"--design {asked!r}; expected NAME:N, such as independent:1024, with one of {', '.join(DESIGNS)}"
        )
    return name, int(size)


def make_plan(game: Remembered, designs: tuple[Design, Design], n_captions: int = 1) -> Plan:
    """Expect passes, memory and time of what is not known yet; time from encoding a few coalitions, which are kept."""
    from fixlip_helpers.coalitions import n_monomials
    from fixlip_helpers.effort import solving_seconds

    passes, seconds, memory = [], 0.0, 4.0 * game.game.model.n_parameters
    # Besides the design a side encodes 256 held-out and 128 ridge rows (for the text a quarter) and 2 ends.
    for side, design, encode, besides, times in zip(
        ("image", "text"), designs, (game.encode_images, game.encode_texts), (386, 98), (1, n_captions), strict=True
    ):  # fmt: skip
        new = design.coalitions[~game.knows(side, design.coalitions)]
        passes.append(min(len(new) + besides, 2**design.n) * times)
        each, width = 0.0, 512
        if len(new) > 2:
            encode(new[:2])  # the first call is slower than the rest
            probe = new[2:34]
            start = perf_counter()
            width = encode(probe).shape[1]
            each = (perf_counter() - start) / len(probe)
        terms = n_monomials(design.n)
        seconds += (
            each * passes[-1] + solving_seconds(design.n, len(design), design.orthonormal, width) * times
        )
        memory += passes[-1] * (12.0 * width + design.n) + 8.0 * terms * width * 3
        if not design.orthonormal:
            memory += 3 * 8.0 * terms**2
    return Plan(*passes, seconds, memory / 1e9)


def machine_memory() -> float:
    """Bytes of memory of this machine (infinite where it does not say)."""
    try:
        return float(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    except (AttributeError, OSError, ValueError):  # not every system has it
        return math.inf


def _coarse_design(n: int, p: float, independently: bool) -> tuple[str, int | None]:
    """Design and size for coarser image players: four coalitions a term, without the least number for patches."""
    from fixlip_helpers.coalitions import MOST_EXCHANGED, array_runs, default_draws

    m = default_draws("text", n)
    if 2**n <= max(m, 4096):
        return "enumeration", None
    if p == 0.5 and not independently:
        runs = array_runs(n)
        return "orthogonal_array", max(1, m // runs) * runs
    return "independent" if independently or m > MOST_EXCHANGED else "exchange", m


def say_plan(plan: Plan) -> None:
    """Print the plan, or refuse what does not fit into memory."""
    if plan.gigabytes * 1e9 > machine_memory():
        raise BadInput(
            f"this needs about {plan.gigabytes:.0f} GB of memory and the machine has {machine_memory() / 1e9:.0f}: "
            "ask for a smaller --budget, a shorter caption, or a model with fewer patches"
        )
    click.echo(
        f"Expected: {plan.image_passes:,} image and {plan.text_passes:,} text passes, "
        f"about {duration(plan.seconds)}, {max(plan.gigabytes, 0.01):.2f} GB."
    )


# --- What is kept -----------------------------------------------------------------------------------------------


@contextlib.contextmanager
def keeping(game: VisionLanguageGame, checkpoint: Path | None, folder: Path) -> Iterator[Checkpointed]:
    """The game with each pass kept: in the folder of ``--checkpoint``, else beside the results until all is done."""
    from fixlip_helpers.checkpoints import Checkpointed

    with unfinished(game.identity(), checkpoint, folder) as place, refusing():
        yield Checkpointed(game, place, BLOCK)


@contextlib.contextmanager
def unfinished(identity: dict, checkpoint: Path | None, folder: Path) -> Iterator[Path]:
    """A folder for passes: ``--checkpoint``; or, named after what is asked, one that goes when all is done.

    What was refused leaves nothing; what was interrupted, or failed otherwise, leaves what it has encoded.
    """
    if checkpoint is not None:
        yield checkpoint
        return
    name = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:8]
    place = folder / f"unfinished-{name}"
    try:
        yield place
    except BaseException as error:
        # refused, or done but for a figure; not where the disk is full
        over = isinstance(error, click.ClickException) and not isinstance(error.__cause__, OSError)
        if over or not any(place.rglob("*.safetensors")):
            shutil.rmtree(place, ignore_errors=True)
        else:
            note(f"what was encoded is kept in {place}; the same command goes on from there")
        raise
    shutil.rmtree(place, ignore_errors=True)
