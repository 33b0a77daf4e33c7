"""What every command says and takes: errors in one line, notes, tables, the options that several share."""

from __future__ import annotations

import contextlib
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path

import click

from fixlip_helpers.encoders.pictures import ImageWarning

NOT_RUN = 3


# --- Saying what is wrong -----------------------------------------------------------------------------------


class BadInput(click.ClickException):
    """Something that the user gave cannot be used: exit code 2 and one line."""

    exit_code = 2


class NotRun(click.ClickException):
    """The model that ``verify`` is about is not here."""

    exit_code = NOT_RUN


@contextlib.contextmanager
def refusing() -> Iterator[None]:
    """What the package refuses, the user gave."""
    try:
        yield
    except (ValueError, TypeError) as error:
        raise BadInput(str(error)) from error
    except OSError as error:  # a disk that is full, a folder that may not be written to
        reason = error.strerror or str(error)
        raise BadInput(f"{error.filename}: {reason}" if error.filename else reason) from error


def complain(text: str) -> None:
    """One line to the error stream."""
    click.echo(f"fixlip: {' '.join(text.split())}", err=True)


@contextlib.contextmanager
def notes() -> Iterator[None]:
    """Say as a note what is to be known of a picture or of a figure."""
    kinds = (ImageWarning,)
    if "fixlip_helpers.showing.plots" in sys.modules:
        from fixlip_helpers.showing.plots import FontWarning

        kinds += (FontWarning,)
    with warnings.catch_warnings(record=True) as caught:
        for kind in kinds:
            warnings.simplefilter("always", kind)
        yield
    said = [str(warning.message) for warning in caught if issubclass(warning.category, kinds)]
    for text in dict.fromkeys(said):
        note(text)


def note(text: str) -> None:
    """A line that the user should read, on the error stream."""
    click.echo(click.style("note: ", fg="yellow", bold=True) + text, err=True)


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


out_option = click.option(
    "--out", type=click.Path(path_type=Path), default=Path("fixlip-out"), show_default=True, metavar="DIR",
    help="Folder for the results; made if it is not there.",
)  # fmt: skip
seed_option = click.option(
    "--seed", type=int, default=0, show_default=True, help="Chooses every random coalition."
)
device_option = click.option(
    "--device", metavar="D", help="cpu, cuda, ...  [default: FIXLIP_DEVICE, else cpu]"
)


# --- Text -----------------------------------------------------------------------------------------------------


def duration(seconds: float) -> str:
    """A time in words, no more exact than it is known."""
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def print_table(title: str, head: tuple[str, ...], rows: list[tuple[str, ...]]) -> None:
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
