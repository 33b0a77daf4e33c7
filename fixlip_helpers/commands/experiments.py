"""The commands ``fixlip evaluate`` and ``fixlip reproduce``."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from fixlip_helpers.commands.console import (
    BadInput,
    complain,
    device_option,
    duration,
    print_table,
    refusing,
    seed_option,
)

if TYPE_CHECKING:
    from fixlip_helpers.experiments.evaluation import Outcome, Request

_results = click.option(
    "--out", type=click.Path(path_type=Path), required=True, metavar="DIR",
    help="Folder for rows, tables and figures; the same command goes on where it was stopped.",
)  # fmt: skip
_workers = click.option(
    "--workers", type=click.IntRange(min=0), default=0, show_default=True,
    help="Ray workers on this machine or cluster; 0: in this process.",
)  # fmt: skip
_ray_address = click.option("--ray-address", metavar="A", help="An existing Ray cluster, e.g. auto.")
_gpus = click.option(
    "--gpus", type=click.FloatRange(min=0), default=0, show_default=True, help="GPUs for each Ray worker."
)
_dry_run = click.option("--dry-run", is_flag=True, help="Say what it would take, and stop.")


def _running(command: Callable) -> Callable:
    """Where and how to run: the options that :func:`_carry_out` takes besides the request."""
    for option in reversed((device_option, _workers, _ray_address, _gpus, _dry_run, _results)):
        command = option(command)
    return command


@click.command(short_help="Measure methods on many pairs.")
@click.option(
    "--data", required=True, metavar="D", help="scenes:pairs:SEED:COUNT, a folder, a CSV or a tar; see below."
)
@click.option("--model", "models", multiple=True, metavar="M", help="Once or more.  [default: mini-clip]")
@click.option(
    "--method",
    "methods",
    multiple=True,
    metavar="X",
    help="Once or more; with -each at its end, asked once per word (pgr only).  "
    "[default: all, FIxLIP and Banzhaf values at p = 0.5, but for Shapley's]",
)
@click.option(
    "--metric",
    "metrics",
    multiple=True,
    metavar="Y",
    help="faithfulness, blocks, shapley, aid, pgr; once or more.  [default: faithfulness]",
)
@click.option(
    "--p", "ps", type=float, multiple=True, help="Where faithfulness is judged.  [default: 0.3, 0.5, 0.7]"
)
@click.option(
    "--coalitions",
    type=int,
    default=1024,
    show_default=True,
    help="Fresh coalitions that judge faithfulness.",
)
@click.option(
    "--image-coalitions",
    type=int,
    metavar="N",
    help="From how many FIxLIP fits a picture at p other than 0.5.  [default: four a term]",
)
@click.option(
    "--si-budget", type=int, default=2**14, show_default=True, help="Values for FIxLIP-SI and Shapley values."
)
@click.option(
    "--draws",
    type=int,
    default=4,
    show_default=True,
    help="Draws of each random control for each input; their mean counts.",
)
@click.option(
    "--select",
    type=int,
    metavar="N",
    help="Only the N inputs of the highest score, each with its best caption, as in the paper.",
)
@seed_option
@_running
def evaluate(
    data: str,
    models: tuple,
    methods: tuple,
    metrics: tuple,
    ps: tuple,
    coalitions: int,
    image_coalitions: int | None,
    si_budget: int,
    draws: int,
    select: int | None,
    seed: int,
    **running: Any,
) -> None:
    """Measure explanations of many pairs, by any methods, on any models.

    Writes to --out, as results come: rows/MODEL/CONTENT.parquet, one file for each finished input; at the end
    rows.parquet, summary.csv, summary.md and a figure for each metric. Started again, it measures what is new or was
    changed since (picture, caption, the model's files) and reuses the rest. Inputs that cannot be used are skipped
    and named, and make the exit code 1.

    \b
    --data is one of
      scenes:pairs:SEED:COUNT   unseen scenes of the picture world, with captions
      scenes:grids:SEED:COUNT   2 x 2 scenes for the pointing game
      FILE.csv                  columns image and caption
      FOLDER                    with captions_*.json (COCO), with .tar files (webdataset),
                                or of class folders (pointing game)
      FILE.tar                  webdataset

    \b
    Examples:
      fixlip evaluate --data scenes:pairs:0:5 --method fixlip-0.5 --method game --metric aid --out aid
      fixlip evaluate --data coco --model openai/clip-vit-base-patch32 --select 1000 --out coco32
    """
    from fixlip_helpers.experiments.evaluation import DEFAULT_METHODS, Request

    with refusing():
        request = Request(
            data=data,
            models=models or ("mini-clip",),
            methods=methods or DEFAULT_METHODS,
            metrics=metrics or ("faithfulness",),
            ps=ps or (0.3, 0.5, 0.7),
            coalitions=coalitions,
            image_coalitions=image_coalitions,
            si_budget=si_budget,
            draws=draws,
            select=select,
            seed=seed,
        )
    _carry_out(request, **running)


@click.command(short_help="Repeat an experiment of the paper.")
@click.argument("what", type=click.Choice(["figure3", "figure4", "figure5", "table1"]))
@click.option(
    "--model", "models", multiple=True, metavar="M", help="Once or more.  [default: both embedded encoders]"
)
@click.option("--data", metavar="D", help="As for evaluate.  [default: the picture world, at small scale]")
@click.option(
    "--as-released/--ours",
    "released",
    default=False,
    help="Measure as the authors' released scripts do, or as this book does.  [default: --ours]",
)
@click.option(
    "--budget",
    type=click.IntRange(min=1),
    metavar="N",
    help="Values of the game for each explanation.  [default: the experiment's own]",
)
@_running
def reproduce(
    what: str,
    models: tuple,
    data: str | None,
    released: bool,
    budget: int | None,
    **running: Any,
) -> None:
    """Repeat an experiment of the FIxLIP paper, with its parameters.

    \b
    figure3   insertion and deletion: area between the curves (AID)
    figure4   p-faithfulness of every method at p = 0.3, 0.5, 0.7
    figure5   time against budget: run `make bench`, which measures it
    table1    pointing game with one to four words

    With --data, on the pairs that the paper's protocol selects from it. Without, the same on the picture world at
    small scale, which the output says. --as-released follows the scripts that the authors published: sampler,
    budgets, classes and grids, greedy chains, ratio of sums, methods as their code has them. The page "Coming from
    hbaniecki/fixlip" lists what differs, and what of it neither has.

    \b
    Examples:
      fixlip reproduce figure3 --out figure3
      fixlip reproduce table1 --as-released --data imagenet/val --out table1
      fixlip reproduce figure4 --data coco --model openai/clip-vit-base-patch32 --device cuda --out figure4
    """
    from fixlip_helpers.experiments.evaluation import paper_request

    if what == "figure5":
        raise BadInput(
            "figure5 is a matter of time, not of pairs: `make bench` in the repository measures it"
        )
    with refusing():
        request, scale = paper_request(what, models, data, released=released, budget=budget)
    click.echo(f"{what} of the paper, {scale}.")
    _carry_out(request, **running)


def _carry_out(
    request: Request,
    out: Path,
    device: str | None,
    workers: int,
    ray_address: str | None,
    gpus: float,
    dry_run: bool,
) -> None:
    """Say what a request takes; unless that was all that was asked, run it and show its tables."""
    from fixlip_helpers.experiments import evaluation

    with refusing():
        for plan in evaluation.plan(request, device):
            click.echo(
                f"{plan.model}: {plan.inputs:,} inputs, about {plan.image_passes:,} image and "
                f"{plan.text_passes:,} text passes, {duration(plan.seconds)} in one process."
            )
        if dry_run:
            return
        try:
            outcome = evaluation.evaluate(
                request, out, device=device, workers=workers, ray_address=ray_address, gpus=gpus
            )
        except OSError as error:
            raise ValueError(f"cannot write to --out {str(out)!r}: {error.strerror or error}") from error
    _show(outcome)
    if outcome.reused:
        click.echo(
            f"\n{outcome.reused:,} inputs were measured before and are what they were; "
            f"{outcome.measured:,} were measured now."
        )
    click.echo(f"\nWritten to {out}: rows.parquet, summary.csv, summary.md and figures.")
    for model, name, reason in outcome.failures:
        complain(f"skipped: {model}, input {name!r}: {reason}")
    if outcome.failures:
        raise SystemExit(1)


def _show(outcome: Outcome) -> None:
    """Print the summary, a table for each model and metric."""
    from fixlip_helpers.experiments.evaluation import summary, tables

    if not len(outcome.rows):
        return
    for title, rows in tables(summary(outcome.rows)):
        print_table(
            title,
            ("method", "mean", "95 % interval", "median", "inputs", "left out"),
            [
                (
                    row.method,
                    f"{row.mean:.3f}",
                    f"{row.low:.3f} to {row.high:.3f}",
                    f"{row.median:.3f}",
                    str(row.inputs),
                    str(row.left_out),
                )
                for row in rows
            ],
        )
