"""Command line of the classroom: ``python -m classroom COMMAND``, from the root of the repository."""

from __future__ import annotations

import os
import subprocess
import sysconfig
import venv
from pathlib import Path

import click

from classroom import bank, grading

ROOT = Path(__file__).resolve().parent.parent
NBGRADER = "0.9.6"  # the version that tests/test_assignments.py was run with


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
@click.argument("names", nargs=-1)
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("_build/assignments"),
    show_default=True,
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
    folder = ROOT / "_build" / "grader"
    venv.create(folder, with_pip=True, clear=True)
    python = folder / "bin" / "python" if os.name != "nt" else folder / "Scripts" / "python.exe"
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
    click.echo(f"nbgrader {NBGRADER} is in {python.parent}")


@main.command()
@click.argument("name")
@click.argument(
    "notebooks", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path)
)
def mark(name: str, notebooks: tuple[Path, ...]) -> None:
    """Mark submissions of an assignment in this process: a quick look at work that you trust."""
    import nbformat

    if name not in grading.names():
        raise click.ClickException(f"assignment {name!r}; there are {', '.join(grading.names())}")
    for path in notebooks:
        found = grading.marks(nbformat.read(path, as_version=4), name)
        total = sum(mark.given or 0 for mark in found.values())
        click.echo(f"{path}: {total:g} of {sum(mark.of for mark in found.values())}")
        for key, mark in found.items():
            given = "by hand" if mark.given is None else f"{mark.given:g}"
            click.echo(f"  {key:28s} {given:>7s} of {mark.of}  {mark.error}".rstrip())


if __name__ == "__main__":
    main()
