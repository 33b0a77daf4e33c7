"""The command line: ``fixlip explain IMAGE "CAPTION"`` and friends.

Exit codes: 0 done; 2 an input that cannot be used, said in one line; 3 ``fixlip verify`` had no model to run
on; 130 interrupted; 1 anything else, in one line (FIXLIP_TRACEBACK=1 shows where).

Files are written whole or not at all: each is first written beside its place and then renamed.
"""

from __future__ import annotations

import contextlib
import hashlib
import html
import json
import math
import os
import re
import shutil
import sys
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, NamedTuple

import click
import numpy as np

from fixlip_helpers.models import PHOTO_MODEL  # reads no torch
from fixlip_helpers.streams import nobody_reads, write_anything

if TYPE_CHECKING:
    from fixlip_helpers.checkpoints import Checkpointed, Remembered
    from fixlip_helpers.coalitions import Design
    from fixlip_helpers.explanation import Explanation
    from fixlip_helpers.games import VisionLanguageGame
    from fixlip_helpers.models import Picture, VisionLanguageModel

NOT_RUN = 3
PUBLISHED_BUDGET = 2**21  # gives 8 848 image and 237 text coalitions, 2 096 976 values, as published

TERMS_SHOWN = 12
BLOCK = 64
"""Passes that are encoded between two writes: no more are lost to an interruption."""


# --- Saying what is wrong -----------------------------------------------------------------------------------


class BadInput(click.ClickException):
    """Something that the user gave cannot be used: exit code 2 and one line."""

    exit_code = 2


class NotRun(click.ClickException):
    """The model that ``verify`` is about is not here."""

    exit_code = NOT_RUN


@contextlib.contextmanager
def _refusing() -> Iterator[None]:
    """What the package refuses, the user gave."""
    try:
        yield
    except (ValueError, TypeError) as error:
        raise BadInput(str(error)) from error
    except OSError as error:  # a disk that is full, a folder that may not be written to
        reason = error.strerror or str(error)
        raise BadInput(f"{error.filename}: {reason}" if error.filename else reason) from error


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and exit: the entry point of ``fixlip``.

    Parameters
    ----------
    arguments : list of str, optional
        Default: those of the process.
    """
    write_anything()
    sys.exit(_run(arguments))


def _run(arguments: list[str] | None) -> int:
    """Run, and turn every way in which that can end into an exit code and at most one line."""
    try:
        return fixlip(arguments, prog_name="fixlip", standalone_mode=False) or 0
    except click.ClickException as error:
        _complain(error.format_message())
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        _complain("interrupted; nothing was left half-written")
        return 130
    except MemoryError:
        _complain("out of memory; try a smaller --budget")
        return 1
    except BrokenPipeError:  # the reader of a pipe, such as head, has seen enough
        nobody_reads()
        return 1
    except Exception as error:  # a traceback helps nobody at a prompt
        if os.environ.get("FIXLIP_TRACEBACK"):
            raise
        _complain(f"unexpected {type(error).__name__}: {error} (set FIXLIP_TRACEBACK=1 to see where)")
        return 1


def _complain(text: str) -> None:
    """One line to the error stream."""
    click.echo(f"fixlip: {' '.join(text.split())}", err=True)


# --- Options ------------------------------------------------------------------------------------------------


class BudgetType(click.ParamType):
    """``auto``, a whole number, or a power written as ``2^17``."""

    name = "auto|NUMBER"

    def convert(self, value, param, context):
        """The budget that :func:`fixlip_helpers.fixlip.fixlip` takes."""
        text = str(value).strip().lower().replace("_", "")
        if text == "auto":
            return text
        base, hat, power = text.partition("^")
        if base.isdecimal() and len(base) < 20 and (not hat or (power.isdecimal() and int(power) < 64)):
            number = int(base) ** (int(power) if hat else 1)
            if number >= 1:
                return number
        self.fail(
            f"{value!r}; expected 'auto', a whole number of at least 1, or a power such as 2^17",
            param,
            context,
        )


_out = click.option(
    "--out", type=click.Path(path_type=Path), default=Path("fixlip-out"), show_default=True, metavar="DIR",
    help="Folder for the results; made if it is not there.",
)  # fmt: skip
_seed = click.option("--seed", type=int, default=0, show_default=True, help="Chooses every random coalition.")
_device = click.option("--device", metavar="D", help="cpu, cuda, ...  [default: FIXLIP_DEVICE, else cpu]")


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="fixlip-helpers", prog_name="fixlip", message="%(prog)s %(version)s")
def fixlip() -> None:
    """Which patches and which words, together, made a CLIP-like model's score?

    \b
    fixlip demo                                         the published explanation of the real CLIP
    fixlip explain picture.png "a red kite on grass"    explain a pair of your own
    fixlip models                                       which models there are

    Exit codes: 0 done, 2 unusable input, 3 no model to verify on, 130 interrupted, 1 anything else.
    """


# --- fixlip explain -----------------------------------------------------------------------------------------


@fixlip.command(short_help="Explain a picture and a caption.")
@click.argument("image", type=click.Path(path_type=Path))
@click.argument("caption", required=False)
@click.option(
    "--captions", type=click.Path(path_type=Path, allow_dash=True), metavar="FILE",
    help="In place of CAPTION: a text file with a caption a line, or - for the input. The picture is encoded once.",
)  # fmt: skip
@click.option(
    "--model", metavar="M", help="Embedded model, folder, or hub id.  [default: FIXLIP_MODEL, else mini-clip]"
)
@click.option("--p", type=float, default=0.5, show_default=True, help="Probability that a player is visible.")
@click.option(
    "--budget", type=BudgetType(), default="auto", show_default=True,
    help="Values of the game; a number is split into image and text passes by the authors' rule.",
)  # fmt: skip
@click.option(
    "--words", is_flag=True, help="Whole words as players, in place of the tokens they are spelt with."
)
@click.option(
    "--patches", metavar="RxC|FILE",
    help="Coarser image players, which need fewer passes: R rows of C blocks, or a label image, one flat colour for "
    "each region (what is transparent stays visible); also .npy.",
)  # fmt: skip
@click.option(
    "--seconds", type=float, metavar="N",
    help="In place of a budget: spend about N seconds on passes, as many as this machine makes in that time.",
)  # fmt: skip
@click.option(
    "--design", metavar="NAME:N",
    help="How image coalitions are drawn, and how many: independent:1024, orthogonal_array:4096, stratified:4096, ... "
    "The page Try it says what it took.",
)  # fmt: skip
@click.option(
    "--order", type=click.IntRange(1, 2),
    help="1 leaves pairs within the picture out, which a few passes do not tell apart; 2 keeps them.  "
    "[default: whichever predicts better]",
)  # fmt: skip
@_seed
@_device
@click.option(
    "--removal", default="mean", show_default=True, help="What hides a patch: mean, constant, blur, drop."
)
@click.option(
    "--index", type=click.Choice(["FWBII", "FSII"]), default="FWBII", show_default=True,
    help="Weighted Banzhaf interactions (FIxLIP-p), or Shapley interactions (FIxLIP-SI).",
)  # fmt: skip
@click.option("--errors", is_flag=True, help="Add standard errors; coalitions are then drawn independently.")
@click.option(
    "--tolerance", type=float, metavar="X",
    help="Spend passes until no pair of patch and word has a standard error above X logits.",
)  # fmt: skip
@click.option(
    "--checkpoint", type=click.Path(path_type=Path), metavar="DIR",
    help="Keep every embedding in this folder, and go on from what it holds. Without it what is encoded is kept in "
    "--out until all is done.",
)  # fmt: skip
@_out
def explain(
    image: Path, caption: str | None, captions: Path | None, model: str | None, p: float, budget: int | str,
    words: bool, patches: str | None, seconds: float | None, design: str | None, order: int | None, seed: int,
    device: str | None, removal: str, index: str, errors: bool, tolerance: float | None, checkpoint: Path | None,
    out: Path,
) -> None:  # fmt: skip
    """Explain why a model gives IMAGE and CAPTION their score, by FIxLIP.

    First says what it will take, then writes to --out:

    \b
    explanation.json   every number (schema: fixlip_helpers/assets/explanation.schema.json)
    explanation.png    picture, caption, heat of each word, strongest pairs
    explanation.html   one page to explore; needs no network

    and prints the strongest pairs, and how well the explanation fits the model. With --captions each caption gets a
    folder of its own with these three, and captions.csv and index.html list them all.

    What an interrupted run has encoded is kept: the same command goes on from there.

    \b
    Examples:
      fixlip explain scene.png "a red kite on grass"
      fixlip explain photo.jpg "a dog on a sofa" --model openai/clip-vit-base-patch32
      fixlip explain scene.png "a red kite" --p 0.7 --removal drop --out kite
      fixlip explain scene.png "a red kite" --tolerance 0.5 --checkpoint passes
      fixlip explain photo.jpg "a dog on a sofa" --words --patches 4x4 --seconds 60
      fixlip explain photo.jpg "a dog on a sofa" --words --design independent:1024 --order 1
      fixlip explain photo.jpg --captions captions.txt --out many
    """
    from fixlip_helpers import cli_captions
    from fixlip_helpers.coalitions import check_count, check_p
    from fixlip_helpers.fixlip import check_seconds
    from fixlip_helpers.fixlip import fixlip as explain_game
    from fixlip_helpers.games import VisionLanguageGame
    from fixlip_helpers.models import load_model

    if (caption is None) == (captions is None):
        raise BadInput("give a CAPTION or --captions FILE, and not both")
    with _refusing():
        check_p(p)
        check_count("seed", seed)
        check_seconds(seconds)
        given = {
            "--budget": budget != "auto",
            "--tolerance": tolerance is not None,
            "--index FSII": index == "FSII",
        }
        if seconds is not None and any(given.values()):
            also = " and ".join(option for option, there in given.items() if there)
            raise ValueError(f"--seconds decides how many passes there are: leave {also} out")
        if design is not None or order is not None:
            given |= {"--seconds": seconds is not None, "--captions": captions is not None}
            if any(given.values()):
                also = " and ".join(option for option, there in given.items() if there)
                raise ValueError(f"--design and --order are for one caption and one run: leave {also} out")
        if captions is not None:
            cli_captions.check_options(index, tolerance)
            lines = cli_captions.read(captions)
    with _results_folder(out) as folder:
        with _refusing(), _notes():
            encoder = load_model(model, device)
            picture = encoder.prepare_image(image)
            players = _image_players(patches, encoder, picture)
        settings = {
            "removal": removal,
            "image_players": players,
            "text_players": "words" if words else "tokens",
        }
        if captions is not None:
            with _refusing():
                texts = cli_captions.tokenize(encoder, lines)
                longest = max(texts, key=lambda text: len(text.players))
                with _notes():
                    game = VisionLanguageGame(encoder, picture, longest, **settings)
            cli_captions.explain(
                game, texts, settings, p=p, budget=budget, seconds=seconds, seed=seed, errors=errors,
                checkpoint=checkpoint, folder=folder,
            )  # fmt: skip
            click.echo(f"\nWritten to {out}: captions.csv, index.html, and a folder for each caption.")
            return
        with _refusing(), _notes():
            game = VisionLanguageGame(encoder, picture, caption, **settings)
        with _kept(game, checkpoint, folder) as kept:
            with _refusing():
                # what grows until it is good enough, and whole coalitions, are drawn as they are needed
                known = tolerance is None and seconds is None and index == "FWBII"
                designs = _designs(game, p, budget, seed, errors, design) if known else None
            if known:
                _say_plan(_plan(kept, designs))
            elif seconds is not None:
                click.echo(f"Spending about {_duration(seconds)}.")
            with _refusing():
                explanation = explain_game(
                    kept, p, budget, index=index, design=designs, seed=seed, errors=errors, tolerance=tolerance,
                    seconds=seconds, order=order,
                )  # fmt: skip
            _write(explanation, picture, folder)
    _report(explanation)
    _say_files(out)


def _image_players(patches: str | None, encoder: VisionLanguageModel, picture: Picture):
    """What ``--patches`` says, as a game takes it."""
    from fixlip_helpers.players import read_labels

    if patches is None:
        return "patches"
    blocks, most = re.fullmatch(r"(\d{1,9})\s*[x×X]\s*(\d{1,9})", patches.strip()), encoder.grid
    if blocks:
        shape = tuple(map(int, blocks.groups()))
        if not all(1 <= size <= limit for size, limit in zip(shape, most, strict=True)):
            raise BadInput(
                f"--patches {patches!r}: {encoder.name!r} sees {most[0]}x{most[1]} patches; expected rows and columns "
                "from 1 to these"
            )
        return shape
    if not Path(patches).is_file():
        raise BadInput(
            f"--patches {patches!r} is no file; expected ROWSxCOLUMNS, such as 4x4, or a label image"
        )
    try:
        labels = read_labels(patches, picture)
    except ValueError as error:
        raise BadInput(f"--patches {patches!r}: {error}") from error
    regions = len(np.unique(labels[labels >= 0]))
    if not 1 <= regions <= encoder.n_patches:
        raise BadInput(
            f"--patches {patches!r} has {regions:,} regions; expected 1 to {encoder.n_patches}, the patches of "
            f"{encoder.name!r}: one flat colour for each region, saved as PNG (JPEG blurs colours)"
        )
    return labels


@contextlib.contextmanager
def _kept(game: VisionLanguageGame, checkpoint: Path | None, folder: Path) -> Iterator[Checkpointed]:
    """The game with each pass kept: in the folder of ``--checkpoint``, else beside the results until all is done."""
    from fixlip_helpers.checkpoints import Checkpointed

    with _unfinished(game.identity(), checkpoint, folder) as place, _refusing():
        yield Checkpointed(game, place, BLOCK)


@contextlib.contextmanager
def _unfinished(identity: dict, checkpoint: Path | None, folder: Path) -> Iterator[Path]:
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
            _note(f"what was encoded is kept in {place}; the same command goes on from there")
        raise
    shutil.rmtree(place, ignore_errors=True)


@contextlib.contextmanager
def _notes() -> Iterator[None]:
    """Say as a note what is to be known of a picture or of a figure."""
    from fixlip_helpers.models import ImageWarning

    kinds = (ImageWarning,)
    if "fixlip_helpers.plots" in sys.modules:
        from fixlip_helpers.plots import FontWarning

        kinds += (FontWarning,)
    with warnings.catch_warnings(record=True) as caught:
        for kind in kinds:
            warnings.simplefilter("always", kind)
        yield
    said = [str(warning.message) for warning in caught if issubclass(warning.category, kinds)]
    for text in dict.fromkeys(said):
        _note(text)


def _note(text: str) -> None:
    """A line that the user should read, on the error stream."""
    click.echo(click.style("note: ", fg="yellow", bold=True) + text, err=True)


# --- What it will take --------------------------------------------------------------------------------------


class Plan(NamedTuple):
    """Passes, seconds and bytes that an explanation is expected to take."""

    image_passes: int
    text_passes: int
    seconds: float
    gigabytes: float


def _designs(
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
        if m is not None and 9 * n * m > _memory():
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


def _plan(game: Remembered, designs: tuple[Design, Design], n_captions: int = 1) -> Plan:
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


def _memory() -> float:
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


def _say_plan(plan: Plan) -> None:
    """Print the plan, or refuse what does not fit into memory."""
    if plan.gigabytes * 1e9 > _memory():
        raise BadInput(
            f"this needs about {plan.gigabytes:.0f} GB of memory and the machine has {_memory() / 1e9:.0f}: "
            "ask for a smaller --budget, a shorter caption, or a model with fewer patches"
        )
    click.echo(
        f"Expected: {plan.image_passes:,} image and {plan.text_passes:,} text passes, "
        f"about {_duration(plan.seconds)}, {max(plan.gigabytes, 0.01):.2f} GB."
    )


def _duration(seconds: float) -> str:
    """A time in words, no more exact than it is known."""
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


# --- Results ------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def _results_folder(out: Path) -> Iterator[Path]:
    """A folder that can be written to, checked before the work; if made here, removed when the work fails."""
    made = []
    try:
        folder = out.absolute()
        made = [parent for parent in (folder, *folder.parents) if not parent.exists()]
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except (OSError, ValueError) as error:
        _remove_empty(made)
        reason = getattr(error, "strerror", None) or error
        raise BadInput(
            f"cannot write to --out {str(out)!r}: {reason}; name a folder that you may write to"
        ) from error
    try:
        yield folder
    except BaseException:
        _remove_empty(made)
        raise


def _remove_empty(folders: list[Path]) -> None:
    """Remove folders, innermost first, as long as they are empty."""
    with contextlib.suppress(OSError):
        for folder in folders:
            folder.rmdir()


def _write(explanation: Explanation, image, folder: Path) -> None:
    """Write the three files, the numbers first: what is made in a folder beside is whole when it gets its name.

    A page or a figure that cannot be made costs neither the numbers nor the other one.
    """
    makers = {
        "explanation.json": lambda path: explanation.save(path, image),
        "explanation.html": lambda path: path.write_text(_page(explanation, image), encoding="utf-8"),
        "explanation.png": lambda path: _draw(explanation, image, path),
    }
    failed = {}
    try:
        for name in makers:
            if (folder / name).is_dir():
                raise BadInput(
                    f"cannot write {str(folder / name)!r}: a folder has that name; use another --out"
                )
        with tempfile.TemporaryDirectory(prefix=".fixlip-", dir=folder) as made:
            for name, make in makers.items():
                try:
                    make(Path(made) / name)
                except OSError:
                    raise
                except Exception as error:
                    if name == "explanation.json" or os.environ.get("FIXLIP_TRACEBACK"):
                        raise
                    failed[name] = error
                else:
                    os.replace(Path(made) / name, folder / name)
    except OSError as error:
        raise BadInput(f"cannot write to --out {str(folder)!r}: {error.strerror or error}") from error
    for name, error in failed.items():
        (folder / name).unlink(missing_ok=True)  # of an earlier run: it would pass for one of this
        raise click.ClickException(
            f"{name} could not be made ({type(error).__name__}: {error}); "
            f"{', '.join(each for each in makers if each not in failed)} are in {str(folder)!r}"
        ) from error


def _draw(explanation: Explanation, image, path: Path) -> None:
    """The figure as a file."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    from fixlip_helpers.plots import explanation_figure, own_style

    with (
        _notes(),
        own_style(explanation),
    ):  # what is drawn late, when the figure is saved, is of the same style
        figure = explanation_figure(explanation, image)
        figure.savefig(path, dpi=150)
        plt.close(figure)


def _say_files(out: Path) -> None:
    """Name what was written."""
    names = ", ".join(f"explanation.{kind}" for kind in ("json", "png", "html"))
    click.echo(f"\nWritten to {out}: {names}. Open {out / 'explanation.html'} in a browser to explore it.")


def _page(explanation: Explanation, image) -> str:
    """The HTML page: scores and judgement, the explorer, the strongest pairs, how it was made."""
    from fixlip_helpers.plots import scores, tile_name
    from fixlip_helpers.widgets import explorer_page

    meta, tile = explanation.meta, tile_name(explanation)
    passes = ", ".join(f"{count:,} {side}" for side, count in meta.get("passes", {}).items())
    facts = {key: meta.get(key) for key in ("method", "model", "p", "removal", "budget", "seed", "source")}
    facts |= {"p": explanation.p, "passes": passes or None}
    if isinstance(facts["budget"], int):
        facts["budget"] = f"{facts['budget']:,}"
    known = [
        ("unknown" if number is None else _score(symbol, number), f"{symbol}: {meaning}")
        for symbol, meaning, number in scores(explanation)
    ]
    header = (
        f"<h1>“{html.escape(str(meta.get('caption', '')))}”</h1>"
        f"{_html_table(known)}"
        f"<p><strong>How far to trust it:</strong> {html.escape(_verdict(explanation))}.</p>"
        f'<p class="muted">{html.escape(_what_was_asked(explanation))} A pair is the change in the '
        f"{tile}’s effect when the word enters, not “this {tile} shows the word”.</p>"
    )
    footer = (
        f"<h2>Strongest pairs of a word and a {tile}</h2>{_html_table(_strongest_pairs(explanation))}"
        f"<h2>How it was made</h2>"
        f"{_html_table([(name, str(fact)) for name, fact in facts.items() if fact is not None])}"
    )
    return explorer_page(explanation, image, header=header, footer=footer)


def _html_table(rows: list[tuple[str, ...]]) -> str:
    """Rows of text as an HTML table."""
    lines = ("".join(f"<td>{html.escape(cell)}</td>" for cell in row) for row in rows)
    return f"<table>{''.join(f'<tr>{line}</tr>' for line in lines)}</table>"


def _what_was_asked(explanation: Explanation) -> str:
    """How much of the pair the explained coalitions show."""
    if explanation.p is None:
        return "Red raises the similarity, blue lowers it."
    n, p = explanation.n_players, explanation.p
    return (
        f"What was asked: coalitions of {n * p:.1f} ± {math.sqrt(n * p * (1 - p)):.1f} visible players "
        f"of {n} (p = {p:g}); the whole pair is an extrapolation. Red raises the similarity, blue lowers it."
    )


def _verdict(explanation: Explanation) -> str:
    """The held-out R² in plain words."""
    from fixlip_helpers.plots import judgement

    if explanation.meta.get("relative_to_empty"):
        return "its game was not published with it, so its fit cannot be measured here"
    return judgement(explanation.meta.get("held_out_r2"))


def _score(symbol: str, number: float) -> str:
    """One score as text: R² as a share, the others as signed logits."""
    from fixlip_helpers.plots import share, signed

    return share(number) if symbol == "R²" else signed(number)


def _table(title: str, head: tuple[str, ...], rows: list[tuple[str, ...]]) -> None:
    """Print aligned columns, numbers to the right; signed ones in the colour of their sign."""
    widths = [max(len(row[i]) for row in [head, *rows]) for i in range(len(head))]
    click.echo(f"\n{click.style(title, bold=True)}" if title else "")
    for number, row in enumerate([head, *rows]):
        cells = []
        for column, (cell, width) in enumerate(zip(row, widths, strict=True)):
            is_number = cell[:1] in "+−0123456789" and cell[-1:].isdigit()
            colour = {"+": "red", "−": "blue"}.get(cell[:1]) if is_number else None
            last = column == len(row) - 1
            text = cell.rjust(width) if is_number else cell if last else cell.ljust(width)
            cells.append(click.style(text, fg=colour, dim=number == 0))
        click.echo("  " + "   ".join(cells))


def _report(explanation: Explanation) -> None:
    """Print the words' values, the strongest pairs, and how far to trust them."""
    from fixlip_helpers.plots import colour_limit, digits_for, scores, signed, tile_name, value_name, words_of

    values = explanation.first_order()[explanation.n_image :]
    sums = explanation.cross_modal().sum(axis=0)
    digits = digits_for(colour_limit(values))
    words = [
        (name, signed(value, digits), signed(total, digits))
        for name, value, total in zip(words_of(explanation), values, sums, strict=True)
    ]
    tile = tile_name(explanation)
    tiles = "patches" if tile == "patch" else f"{tile}s"
    _table("Words", ("word", value_name(explanation), f"sum of its pairs with {tiles}"), words)
    pairs = _strongest_pairs(explanation)
    _table(f"Strongest pairs of a word and a {tile}", ("pair", "word", tile), pairs)
    click.echo(click.style("\nHow far to trust it", bold=True))
    for symbol, meaning, number in scores(explanation):
        padding = " " * (13 - len(symbol) + symbol.count("\u0302"))  # the hat of ν̂ takes no room of its own
        value = "unknown" if number is None else _score(symbol, number)
        click.echo(f"  {symbol}{padding}{value:>8}   {meaning}")
    click.echo(f"  Fit: {_verdict(explanation)}.")
    if explanation.errors is not None:
        click.echo(
            f"  Standard error of a pair of {tile} and word: {explanation.largest_error():.2g} logits at most."
        )
    if time := explanation.meta.get("time"):
        click.echo(f"  {_what_time_bought(explanation, time)}")
    if "tolerance" in explanation.meta:
        known = explanation.meta["tolerance"]
        click.echo(f"  Asked for {known['asked']:g}: stopped as the {known['stopped']} was reached.")
    click.echo(f"  {_what_was_asked(explanation)}")


def _what_time_bought(explanation: Explanation, time: dict) -> str:
    """What ``--seconds`` reached."""
    from fixlip_helpers.coalitions import array_runs, default_draws

    meta, usual = explanation.meta, default_draws("image", explanation.n_image)
    drawn = meta["design"]["image"]["coalitions"]
    text = (
        f"Asked for {_duration(time['asked'])}: took {_duration(time['taken'])}, {meta['passes']['image']:,} image and "
        f"{meta['passes']['text']:,} text passes."
    )
    if time["stopped"] == "coalitions":
        return f"{text} More would add nothing."
    if meta["order"]["image"] == 1:
        return f"{text} Too few to tell pairs within the picture apart: these are left out."
    if meta["design"]["image"]["name"] == "orthogonal_array":
        runs = array_runs(explanation.n_image)
        return f"{text} Image coalitions come in arrays of {runs:,}: one more would have taken too long."
    return text + (f" Without a limit the image gets about {usual:,}." if drawn < usual else "")


def _strongest_pairs(explanation: Explanation) -> list[tuple[str, str, str]]:
    """Value, word and place of the strongest pairs of a word and a patch."""
    from fixlip_helpers.plots import colour_limit, digits_for, signed, spot

    digits = digits_for(colour_limit(explanation.cross_modal()))
    return [
        (signed(term.value, digits), term.names[1], spot(explanation, term.players[0]))
        for term in explanation.top(TERMS_SHOWN, "cross")
        if term.value
    ]


# --- fixlip models, demo, verify ----------------------------------------------------------------------------


@fixlip.command(short_help="List the models.")
def models() -> None:
    """List the embedded models and the hub models of the paper.

    Any other CLIP, SigLIP or fixed-resolution SigLIP 2 model loads too, by its hub id or from a folder.
    """
    from fixlip_helpers.models import available_models

    rows = [
        (
            info.name,
            info.family,
            "×".join(map(str, info.grid)),
            f"{info.image_size} px",
            f"here, {info.megabytes:.1f} MB" if info.embedded else "hub",
            info.sees,
        )
        for info in available_models()
    ]
    _table("", ("--model", "family", "patches", "image", "where", "has seen"), rows)


@fixlip.command(short_help="Show the published explanation of the real CLIP.")
@_out
def demo(out: Path) -> None:
    """What the real CLIP ViT-B/32 makes of "black dog next to a yellow hydrant" on a photograph.

    The dog on it is white. The explanation was computed and published by FIxLIP's authors; no model is run.

    \b
    Example:
      fixlip demo --out hydrant
    """
    from fixlip_helpers.datasets import published_clip

    image, explanations = published_clip()
    explanation = explanations["FIxLIP"]
    with _results_folder(out) as folder:
        _write(explanation, image, folder)
    _report(explanation)
    click.echo(f"Source: {explanation.meta['source']}.")
    _say_files(out)


@fixlip.command(short_help="Recompute the published explanation with the real CLIP.")
@click.option(
    "--model", default=PHOTO_MODEL, show_default=True, metavar="M", help="Hub id, or a folder that holds it."
)
@click.option(
    "--budget",
    type=BudgetType(),
    default=PUBLISHED_BUDGET,
    show_default=True,
    help="The published one, 2^21.",
)
@_seed
@_device
def verify(model: str, budget: int | str, seed: int, device: str | None) -> None:
    """Explain the shipped photograph with the real CLIP and compare with what was published.

    Settings as published: p = 0.5, 2^21 values split by the authors' rule, patches removed by mean colour,
    weighted least squares. Needs the model in the local cache, or network; without, it says so and exits with
    code 3. Coalitions are drawn anew, so numbers agree up to sampling error only.

    \b
    Examples:
      fixlip verify
      fixlip verify --model path/to/clip-vit-base-patch32 --device cuda
    """
    from fixlip_helpers.checkpoints import Remembered
    from fixlip_helpers.datasets import published_clip
    from fixlip_helpers.fixlip import fixlip as explain_game
    from fixlip_helpers.games import VisionLanguageGame
    from fixlip_helpers.models import load_model

    image, explanations = published_clip()
    published = explanations["FIxLIP"]
    try:
        encoder = load_model(model, device)
    except ValueError as error:
        if model != PHOTO_MODEL or Path(model).is_dir():
            raise BadInput(str(error)) from error
        raise NotRun(
            f"not run here: the weights of {model} are not in the local cache and the hub cannot be reached; "
            f"run it with network, or with --model FOLDER ({error})"
        ) from error
    with _refusing():
        game = VisionLanguageGame(encoder, image, published.meta["caption"], removal="mean")
    if game.n_image != published.n_image or game.caption.names != published.players[published.n_image :]:
        raise BadInput(
            f"{encoder.name!r} has {game.n_image} patches and reads {game.caption.names}; published are "
            f"{published.n_image} patches and {published.players[published.n_image :]}: not comparable"
        )
    with _refusing():
        designs = _designs(game, 0.5, budget, seed)
        game = Remembered(game)
        _say_plan(_plan(game, designs))
        ours = explain_game(game, 0.5, budget, design=designs, solver="wls", seed=seed)
    _compare(ours, published, encoder)


def _compare(ours: Explanation, published: Explanation, encoder: VisionLanguageModel) -> None:
    """Print correlation and largest difference of two explanations of the same players, block by block."""
    from fixlip_helpers.plots import judgement

    n, inside = ours.n_image, np.triu_indices(ours.n_players, 1)
    blocks = {
        "first-order values": (ours.first_order(), published.first_order()),
        "main effects": (ours.main, published.main),
        "pairs of patch and word": (ours.cross_modal().ravel(), published.cross_modal().ravel()),
        "pairs of patches": (ours.pairs[:n, :n].ravel(), published.pairs[:n, :n].ravel()),
        "all pairs": (ours.pairs[inside], published.pairs[inside]),
    }
    rows = [
        (
            block,
            f"{np.corrcoef(mine, theirs)[0, 1]:.4f}".replace("-", "−"),
            f"{np.abs(mine - theirs).max():.4f}",
            f"{np.abs(theirs).max():.4f}",
        )
        for block, (mine, theirs) in blocks.items()
    ]
    _table(
        f"{encoder.name} against what was published",
        ("block", "correlation", "largest difference", "largest published number"),
        rows,
    )
    r2 = ours.meta.get("held_out_r2")
    click.echo(f"Fit of ours: held-out R² = {r2:.3f}, {judgement(r2)}.")
    if encoder.name != PHOTO_MODEL:
        click.echo(
            f"Agreement is to be expected only if {encoder.name!r} holds the weights of {PHOTO_MODEL}."
        )


# The commands of experiments enter the group when their module is read.
from fixlip_helpers import cli_experiments  # noqa: E402, F401
