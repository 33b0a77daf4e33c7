"""Command line of the classroom: ``python -m classroom COMMAND``, from the root of the repository."""

from __future__ import annotations

import os
import subprocess
import sysconfig
import venv
from pathlib import Path

import click

from classroom import bank, grading
from fixlip_helpers.streams import write_anything

ROOT = Path(__file__).resolve().parent.parent
NBGRADER = "0.9.6"  # the version that tests/test_assignments.py was run with
GRADER, ASSIGNMENTS = ROOT / "_build" / "grader", ROOT / "_build" / "assignments"
BIN = "Scripts" if os.name == "nt" else "bin"


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """The question bank, the concept inventory and the assignments of the course."""


@main.command()
@click.option("--format", "form", type=click.Choice(["moodle", "text"]), default="text", show_default=True)
@click.option("--inventory", is_flag=True, help="The concept inventory in place of the question bank.")
@click.option(
    "--chapter", "chapters", multiple=True, help="Only this chapter (05); may be given more than once."
)
@click.option("--without-answers", is_flag=True, help="Plain text without the key: a sheet to hand out.")
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), help="A file in place of the screen.")
def export(
    form: str, inventory: bool, chapters: tuple[str, ...], without_answers: bool, out: Path | None
) -> None:
    """Write questions as Moodle XML or as plain text."""
    if inventory and chapters:
        raise click.UsageError("--inventory has questions of all chapters; leave --chapter out")
    if without_answers and form == "moodle":
        raise click.UsageError("--without-answers is for plain text; Moodle needs the answers to mark by")
    try:
        questions = bank.inventory() if inventory else bank.bank(chapters)
    except ValueError as error:
        raise click.ClickException(str(error)) from error
    text = (
        bank.to_moodle(questions)
        if form == "moodle"
        else bank.to_text(questions, answers=not without_answers)
    )
    if out is None:
        click.echo(text, nl=False)
    else:
        out.write_text(text, encoding="utf-8")
        click.echo(f"{out}: {len(questions)} questions")


@main.command()
def puzzles() -> None:
    """Measure the puzzles of the page "Guess the sign" anew, and write its data (minutes)."""
    from classroom.puzzles import main as write

    write()


def _game(picture: str, caption: str, model: str):
    """The game of a picture file or the name of an example scene, its caption ("" for the scene's own)."""
    from fixlip_helpers import VisionLanguageGame, load_model
    from fixlip_helpers.scenes import examples

    known = examples()
    if picture not in known and not Path(picture).is_file():
        raise click.ClickException(f"picture {picture!r}; expected a file, or one of {', '.join(known)}")
    if picture in known:
        return VisionLanguageGame(load_model(model), known[picture].image, caption or known[picture].caption)
    if not caption:
        raise click.ClickException("a picture from a file needs a caption")
    return VisionLanguageGame(load_model(model), picture, caption)


@main.command("break")
@click.argument("picture")
@click.argument("caption", default="")
@click.option("--model", default="mini-clip", show_default=True)
def break_(picture: str, caption: str, model: str) -> None:
    """Break the explainer: what does the default explanation get most wrong on this pair?

    PICTURE is a file, or the name of an example scene (hero, pair, …). Printed are the held-out R² and, of all claims
    about the whole pair whose sign is wrong, the largest. The pair with the largest one, in standard deviations of its
    game, wins.
    """
    from classroom.claims import wrong_claims
    from fixlip_helpers import fixlip

    try:
        game = _game(picture, caption, model)
        explanation = fixlip(game)
    except (ValueError, OSError) as error:
        raise click.ClickException(str(error)) from error
    spread = explanation.variance(explanation.p) ** 0.5
    whole = explanation.predict([[True] * explanation.n_players])[0]
    click.echo(f"{model}: {game.meta['caption']}")
    click.echo(f"held-out R² {explanation.meta['held_out_r2']:.3f} at p = {explanation.p}")
    click.echo(f"whole pair: model {explanation.meta['full_value']:.2f}, explanation {whole:.2f} logits")
    found = wrong_claims(game, explanation)
    click.echo(f"wrong signs at the whole pair: {len(found)} of {explanation.n_players} players")
    if found:
        worst = found[0]
        size = abs(worst.said - worst.found)
        click.echo(
            f"largest: {worst.player!r} is said to add {worst.said:+.2f} and adds {worst.found:+.2f}: "
            f"{size:.2f} logits, {size / spread:.2f} standard deviations of the explained game"
        )


@main.command()
@click.argument("picture")
@click.argument("caption", default="")
@click.option("--word", required=True, help="A token of the caption; where it comes twice, the first.")
@click.option("--rows", required=True, help="Rows of patches, from 0, as FIRST-LAST.")
@click.option("--columns", required=True, help="Columns of patches, from 0, as FIRST-LAST.")
@click.option("--sign", required=True, type=click.Choice(["raises", "lowers"]), help="What you claim.")
@click.option("--model", default="mini-clip", show_default=True)
def claim(picture: str, caption: str, word: str, rows: str, columns: str, sign: str, model: str) -> None:
    """Test a claim: together, the word and these patches raise (or lower) the score, at p = ½."""
    from scipy.stats import t

    from classroom.claims import REPEATS, measured

    try:
        game = _game(picture, caption, model)
        height, width = game.meta["grid"]
        across = [_range("--rows", rows, height), _range("--columns", columns, width)]
    except (ValueError, OSError) as error:
        raise click.ClickException(str(error)) from error
    tokens = game.players[game.n_image :]
    if word not in tokens:
        raise click.ClickException(f"--word {word!r}; the caption has {', '.join(tokens)}")
    patches = [row * width + column for row in across[0] for column in across[1]]
    value, error = measured(game, tokens.index(word), patches)
    half = float(t.ppf(0.975, REPEATS - 1)) * error
    verdict = "open" if abs(value) <= half else "holds" if (value > 0) == (sign == "raises") else "is refuted"
    click.echo(f"{model}: {game.meta['caption']}")
    click.echo(f"{word} × {len(patches)} patches: {value:+.2f} logits, 95 % interval ± {half:.2f}")
    click.echo(f"the claim that it {sign} the score: {verdict}")


def _range(option: str, text: str, count: int) -> range:
    """The numbers of a text such as "2-5" or "3", all below ``count``."""
    first, _, last = text.partition("-")
    if not (first.isdigit() and (last or first).isdigit() and int(first) <= int(last or first) < count):
        raise click.ClickException(f"{option} {text!r}; expected FIRST-LAST, from 0 to {count - 1}")
    return range(int(first), int(last or first) + 1)


@main.command()
@click.argument("names", nargs=-1)
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    default=ASSIGNMENTS,
    show_default="_build/assignments",
)
def assignments(names: tuple[str, ...], out: Path) -> None:
    """Write the student's and the instructor's notebooks of assignments (part_1 …; default: all).

    The folder is one in which nbgrader works: `source` holds the instructor's, `student` what students get.
    """
    try:
        written = [path for name in names or grading.names() for path in grading.write(name, out)]
    except ValueError as error:
        raise click.ClickException(str(error)) from error
    for path in written:
        click.echo(path)


@main.command()
def grader() -> None:
    """Set nbgrader up in an environment of its own, _build/grader, beside this one.

    It sees this environment's packages and changes none of them; what it brings besides is held to the versions of
    requirements.txt where they are named there.
    """
    venv.create(GRADER, with_pip=True, clear=True)
    python = GRADER / BIN / "python"
    where = [python, "-c", "import sysconfig; print(sysconfig.get_paths()['purelib'])"]
    packages = Path(subprocess.run(where, check=True, capture_output=True, text=True).stdout.strip())
    (packages / "course.pth").write_text(sysconfig.get_paths()["purelib"] + "\n", encoding="utf-8")
    install = [
        python,
        "-m",
        "pip",
        "install",
        "--quiet",
        "-c",
        ROOT / "requirements.txt",
        f"nbgrader=={NBGRADER}",
    ]
    if subprocess.run(install).returncode:
        raise click.ClickException(
            "nbgrader could not be installed; `python -m classroom mark` does without it"
        )
    click.echo(f"nbgrader {NBGRADER} is in {GRADER}; run it as `python -m classroom nbgrader …`")


@main.command(context_settings={"ignore_unknown_options": True, "help_option_names": []})
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def nbgrader(arguments: tuple[str, ...]) -> None:
    """Run nbgrader in the folder of the assignments, _build/assignments; all arguments are its own."""
    if not (GRADER / BIN).exists() or not ASSIGNMENTS.exists():
        raise click.ClickException("first `python -m classroom grader` and `python -m classroom assignments`")
    raise SystemExit(
        subprocess.run(
            ["nbgrader", *arguments], cwd=ASSIGNMENTS, env=grading.environment(GRADER / BIN)
        ).returncode
    )


@main.command()
@click.argument("name")
@click.argument("notebooks", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--limit",
    type=click.FloatRange(min=1),
    default=grading.CELL_LIMIT,
    show_default=True,
    metavar="SECONDS",
    help=f"For a cell; a notebook has as much time as {grading.CELLS_OF_A_NOTEBOOK} such cells.",
)
def mark(name: str, notebooks: tuple[Path, ...], limit: float) -> None:
    """Mark submissions of an assignment, each in a process of its own: a quick look at work that you trust.

    Every notebook gets a line, whatever happens in it. Exit code 1: one could not be read, or not be run to its end.
    """
    if name not in grading.names():
        raise click.ClickException(f"assignment {name!r}; there are {', '.join(grading.names())}")
    unfinished = 0
    for path in notebooks:
        if path.is_file():
            found, wrong = grading.marked_apart(path, name, limit)
        else:
            found, wrong = {}, "no such file"
        unfinished += bool(wrong)
        total = sum(mark.given or 0 for mark in found.values())
        of = sum(grading.points(name).values())
        click.echo(f"{path}: {total:g} of {of}{f'; {wrong}' if wrong else ''}")
        for key, mark in found.items():
            given = "by hand" if mark.given is None else f"{mark.given:g}"
            click.echo(f"  {key:28s} {given:>7s} of {mark.of}  {' '.join(mark.error.split())}".rstrip())
    if unfinished:
        raise SystemExit(1)


if __name__ == "__main__":
    write_anything()
    main()
