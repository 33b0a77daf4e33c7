"""The command line: ``fixlip explain IMAGE "CAPTION"`` and friends.

Exit codes: 0 done; 2 an input that cannot be used, said in one line; 3 ``fixlip verify`` had no model to run
on; 130 interrupted; 1 anything else, in one line (FIXLIP_TRACEBACK=1 shows where).

Files are written whole or not at all: each is first written beside its place and then renamed.
"""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click
import numpy as np

from fixlip_helpers.commands import captions as many_captions
from fixlip_helpers.commands.console import (
    BadInput,
    BudgetType,
    NotRun,
    complain,
    device_option,
    duration,
    notes,
    out_option,
    print_table,
    refusing,
    seed_option,
)
from fixlip_helpers.commands.experiments import evaluate, reproduce
from fixlip_helpers.commands.plans import draw_designs, keeping, make_plan, say_plan
from fixlip_helpers.commands.results import report, results_folder, say_files, write_results
from fixlip_helpers.encoders.pictures import PHOTO_MODEL
from fixlip_helpers.experiments.released import PUBLISHED_BUDGET
from fixlip_helpers.streams import nobody_reads, write_anything

if TYPE_CHECKING:
    from fixlip_helpers.encoders.models import Picture, VisionLanguageModel
    from fixlip_helpers.explanation import Explanation


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
        complain(error.format_message())
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        complain("interrupted; nothing was left half-written")
        return 130
    except MemoryError:
        complain("out of memory; try a smaller --budget")
        return 1
    except BrokenPipeError:  # the reader of a pipe, such as head, has seen enough
        nobody_reads()
        return 1
    except Exception as error:  # a traceback helps nobody at a prompt
        if os.environ.get("FIXLIP_TRACEBACK"):
            raise
        complain(f"unexpected {type(error).__name__}: {error} (set FIXLIP_TRACEBACK=1 to see where)")
        return 1


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
@seed_option
@device_option
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
@out_option
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
    from fixlip_helpers.coalitions import check_count, check_p
    from fixlip_helpers.encoders.models import load_model
    from fixlip_helpers.encoders.vision_language import VisionLanguageGame
    from fixlip_helpers.fixlip import check_seconds
    from fixlip_helpers.fixlip import fixlip as explain_game

    if (caption is None) == (captions is None):
        raise BadInput("give a CAPTION or --captions FILE, and not both")
    with refusing():
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
            many_captions.check_options(index, tolerance)
            lines = many_captions.read(captions)
    with results_folder(out) as folder:
        with refusing(), notes():
            encoder = load_model(model, device)
            picture = encoder.prepare_image(image)
            players = _image_players(patches, encoder, picture)
        settings = {
            "removal": removal,
            "image_players": players,
            "text_players": "words" if words else "tokens",
        }
        if captions is not None:
            with refusing():
                texts = many_captions.tokenize(encoder, lines)
                longest = max(texts, key=lambda text: len(text.players))
                with notes():
                    game = VisionLanguageGame(encoder, picture, longest, **settings)
            many_captions.explain(
                game, texts, settings, p=p, budget=budget, seconds=seconds, seed=seed, errors=errors,
                checkpoint=checkpoint, folder=folder,
            )  # fmt: skip
            click.echo(f"\nWritten to {out}: captions.csv, index.html, and a folder for each caption.")
            return
        with refusing(), notes():
            game = VisionLanguageGame(encoder, picture, caption, **settings)
        with keeping(game, checkpoint, folder) as kept:
            with refusing():
                # what grows until it is good enough, and whole coalitions, are drawn as they are needed
                known = tolerance is None and seconds is None and index == "FWBII"
                designs = draw_designs(game, p, budget, seed, errors, design) if known else None
            if known:
                say_plan(make_plan(kept, designs))
            elif seconds is not None:
                click.echo(f"Spending about {duration(seconds)}.")
            with refusing():
                explanation = explain_game(
                    kept, p, budget, index=index, design=designs, seed=seed, errors=errors, tolerance=tolerance,
                    seconds=seconds, order=order,
                )  # fmt: skip
            write_results(explanation, picture, folder)
    report(explanation)
    say_files(out)


def _image_players(patches: str | None, encoder: VisionLanguageModel, picture: Picture):
    """What ``--patches`` says, as a game takes it."""
    from fixlip_helpers.encoders.players import read_labels

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


# --- What it will take --------------------------------------------------------------------------------------


# --- Results ------------------------------------------------------------------------------------------------


# --- fixlip models, demo, verify ----------------------------------------------------------------------------


@fixlip.command(short_help="List the models.")
def models() -> None:
    """List the embedded models and the hub models of the paper.

    Any other CLIP, SigLIP or fixed-resolution SigLIP 2 model loads too, by its hub id or from a folder.
    """
    from fixlip_helpers.encoders.models import available_models

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
    print_table("", ("--model", "family", "patches", "image", "where", "has seen"), rows)


@fixlip.command(short_help="Show the published explanation of the real CLIP.")
@out_option
def demo(out: Path) -> None:
    """What the real CLIP ViT-B/32 makes of "black dog next to a yellow hydrant" on a photograph.

    The dog on it is white. The explanation was computed and published by FIxLIP's authors; no model is run.

    \b
    Example:
      fixlip demo --out hydrant
    """
    from fixlip_helpers.experiments.datasets import published_clip

    image, explanations = published_clip()
    explanation = explanations["FIxLIP"]
    with results_folder(out) as folder:
        write_results(explanation, image, folder)
    report(explanation)
    click.echo(f"Source: {explanation.meta['source']}.")
    say_files(out)


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
@seed_option
@device_option
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
    from fixlip_helpers.encoders.models import load_model
    from fixlip_helpers.encoders.vision_language import VisionLanguageGame
    from fixlip_helpers.experiments.datasets import published_clip
    from fixlip_helpers.fixlip import fixlip as explain_game

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
    with refusing():
        game = VisionLanguageGame(encoder, image, published.meta["caption"], removal="mean")
    if game.n_image != published.n_image or game.caption.names != published.players[published.n_image :]:
        raise BadInput(
            f"{encoder.name!r} has {game.n_image} patches and reads {game.caption.names}; published are "
            f"{published.n_image} patches and {published.players[published.n_image :]}: not comparable"
        )
    with refusing():
        designs = draw_designs(game, 0.5, budget, seed)
        game = Remembered(game)
        say_plan(make_plan(game, designs))
        ours = explain_game(game, 0.5, budget, design=designs, solver="wls", seed=seed)
    _compare(ours, published, encoder)


def _compare(ours: Explanation, published: Explanation, encoder: VisionLanguageModel) -> None:
    """Print correlation and largest difference of two explanations of the same players, block by block."""
    from fixlip_helpers.show import judgement

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
    print_table(
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


for command in (evaluate, reproduce):
    fixlip.add_command(command)
