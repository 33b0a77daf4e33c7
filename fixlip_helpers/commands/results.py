"""The results of an explanation: a folder with its three files, and what is said of it on the screen."""

from __future__ import annotations

import contextlib
import html
import math
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from fixlip_helpers.commands.console import BadInput, duration, notes, print_table

if TYPE_CHECKING:
    from fixlip_helpers.explanation import Explanation

TERMS_SHOWN = 12


@contextlib.contextmanager
def results_folder(out: Path) -> Iterator[Path]:
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


def write_results(explanation: Explanation, image, folder: Path) -> None:
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

    from fixlip_helpers.showing.plots import explanation_figure, own_style

    with (
        notes(),
        own_style(explanation),
    ):  # what is drawn late, when the figure is saved, is of the same style
        figure = explanation_figure(explanation, image)
        figure.savefig(path, dpi=150)
        plt.close(figure)


def say_files(out: Path) -> None:
    """Name what was written."""
    names = ", ".join(f"explanation.{kind}" for kind in ("json", "png", "html"))
    click.echo(f"\nWritten to {out}: {names}. Open {out / 'explanation.html'} in a browser to explore it.")


def _page(explanation: Explanation, image) -> str:
    """The HTML page: scores and judgement, the explorer, the strongest pairs, how it was made."""
    from fixlip_helpers.show import scores, tile_name
    from fixlip_helpers.showing.widgets import explorer_page

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
        f"<h2>Strongest pairs of a word and a {tile}</h2>{_html_table(strongest_pairs(explanation))}"
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
    from fixlip_helpers.show import judgement

    if explanation.meta.get("relative_to_empty"):
        return "its game was not published with it, so its fit cannot be measured here"
    return judgement(explanation.meta.get("held_out_r2"))


def _score(symbol: str, number: float) -> str:
    """One score as text: R² as a share, the others as signed logits."""
    from fixlip_helpers.show import share, signed

    return share(number) if symbol == "R²" else signed(number)


def report(explanation: Explanation) -> None:
    """Print the words' values, the strongest pairs, and how far to trust them."""
    from fixlip_helpers.show import colour_limit, digits_for, scores, signed, tile_name, value_name, words_of

    values = explanation.first_order()[explanation.n_image :]
    sums = explanation.cross_modal().sum(axis=0)
    digits = digits_for(colour_limit(values))
    words = [
        (name, signed(value, digits), signed(total, digits))
        for name, value, total in zip(words_of(explanation), values, sums, strict=True)
    ]
    tile = tile_name(explanation)
    tiles = "patches" if tile == "patch" else f"{tile}s"
    print_table("Words", ("word", value_name(explanation), f"sum of its pairs with {tiles}"), words)
    pairs = strongest_pairs(explanation)
    print_table(f"Strongest pairs of a word and a {tile}", ("pair", "word", tile), pairs)
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
        f"Asked for {duration(time['asked'])}: took {duration(time['taken'])}, {meta['passes']['image']:,} image and "
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


def strongest_pairs(explanation: Explanation) -> list[tuple[str, str, str]]:
    """Value, word and place of the strongest pairs of a word and a patch."""
    from fixlip_helpers.show import colour_limit, digits_for, signed, spot

    digits = digits_for(colour_limit(explanation.cross_modal()))
    return [
        (signed(term.value, digits), term.names[1], spot(explanation, term.players[0]))
        for term in explanation.top(TERMS_SHOWN, "cross")
        if term.value
    ]
