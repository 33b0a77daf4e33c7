"""Assignments: one source each, from which the student's and the instructor's notebook are made, and marks.

A source is a Python file in cells, as editors know them (``# %%``). The word after the marker says what a cell is:

=========================  ==============================================================================
``[markdown]``             text, in comment lines
``[locked]``               code that every student gets as it is
``[answer] ID``            the student's code: between ``### BEGIN SOLUTION`` and ``### END SOLUTION`` is ours
``[test] ID POINTS``       gives its points if it runs without an error; if its last line is a number, that
                           many of them. Between ``### BEGIN HIDDEN TESTS`` and ``### END HIDDEN TESTS`` is
                           what students do not see
``[essay] ID POINTS``      text by the student, marked by a human; what follows is the question
=========================  ==============================================================================

The notebooks carry nbgrader's cell metadata, so that nbgrader releases, collects and marks them. :func:`marks` does
what its autograder does with less around it: in this process, for tests and for a quick look.
"""

from __future__ import annotations

import ast
import contextlib
import io
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import nbformat
import numpy as np
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

SOURCES = Path(__file__).resolve().parent / "assignments"
KINDS = ("markdown", "locked", "answer", "test", "essay")
# What nbgrader puts in the place of a solution.
STUB, TEXT_STUB = "# YOUR CODE HERE\nraise NotImplementedError()", "YOUR ANSWER HERE"


@dataclass(frozen=True)
class Cell:
    """One cell of a source: its kind (see above), text, and, where it has them, id and points."""

    kind: str
    text: str
    id: str = ""
    points: int = 0


def names() -> list[str]:
    """The assignments that there are, such as ``part_1``."""
    return sorted(path.stem for path in SOURCES.glob("part_*.py"))


def cells(path: Path) -> list[Cell]:
    """The cells of a source.

    Raises
    ------
    ValueError
        If a marker is not one of those listed above, or an id comes twice.
    """
    found = []
    for part in re.split(r"^# %% ", path.read_text(encoding="utf-8"), flags=re.M)[1:]:
        head, _, text = part.partition("\n")
        match = re.fullmatch(r"\[(\w+)\](?: ([a-z0-9-]+))?(?: (\d+))?", head.strip())
        if (
            match is None
            or match[1] not in KINDS
            or (match[1] in ("answer", "test", "essay")) != bool(match[2])
        ):
            raise ValueError(
                f"{path.name}: cell {head!r}; expected one of {', '.join(KINDS)}, then an id and points"
            )
        if match[1] in ("markdown", "essay"):
            text = re.sub(r"^# ?", "", text, flags=re.M)
        found.append(Cell(match[1], text.strip(), match[2] or "", int(match[3] or 0)))
    ids = [cell.id for cell in found if cell.id]
    if len(ids) != len(set(ids)):
        raise ValueError(f"{path.name}: ids {sorted({i for i in ids if ids.count(i) > 1})} come twice")
    return found


def points(name: str) -> dict[str, int]:
    """The points of each test and essay of an assignment."""
    return {cell.id: cell.points for cell in cells(SOURCES / f"{name}.py") if cell.points}


# --- Notebooks ----------------------------------------------------------------------------------------------------


def _without(text: str, what: str, stub: str) -> str:
    """A text without its regions between ``### BEGIN what`` and ``### END what``; ``stub`` stands in their place."""
    region = re.compile(rf"^([ \t]*)### BEGIN {what}\n.*?^[ \t]*### END {what}(\n|\Z)", re.S | re.M)

    def replaced(match: re.Match) -> str:
        return "".join(f"{match[1]}{line}\n" for line in stub.splitlines())

    return region.sub(replaced, text).strip("\n")


def _notebook_cell(cell: Cell, student: bool) -> NotebookNode:
    text = cell.text
    if student and cell.kind == "answer":
        text = _without(text, "SOLUTION", STUB)
    if student and cell.kind == "test":
        text = _without(text, "HIDDEN TESTS", "")
    new = new_markdown_cell if cell.kind in ("markdown", "essay") else new_code_cell
    # an essay's question is a cell of its own, before it (see `notebook`): here stands the place for the answer
    made = new(TEXT_STUB if cell.kind == "essay" else text)
    made["id"] = cell.id or made["id"]
    if cell.kind == "markdown":
        return made
    answer, test, essay = (cell.kind == kind for kind in ("answer", "test", "essay"))
    made.metadata["nbgrader"] = {
        "schema_version": 3,
        "grade": test or essay,
        "solution": answer or essay,
        "locked": not (answer or essay),
        "task": False,
        "grade_id": cell.id or f"locked-{abs(hash_of(cell.text))}",
    } | ({"points": cell.points} if cell.points else {})
    return made


def hash_of(text: str) -> int:
    """A number for a text that is the same on every machine."""
    from zlib import crc32

    return crc32(text.encode())


def notebook(name: str, student: bool) -> NotebookNode:
    """The student's or the instructor's notebook of an assignment.

    The student's has nbgrader's stubs in place of solutions and no hidden tests. The instructor's has both, with the
    markers, so that it is what nbgrader calls the source.
    """
    made = []
    for number, cell in enumerate(cells(SOURCES / f"{name}.py")):
        if cell.kind == "essay":
            made.append(new_markdown_cell(cell.text, id=f"{cell.id}-question"))
        made.append(_notebook_cell(cell, student))
        if not cell.id:
            made[-1]["id"] = f"cell-{number}"
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    return new_notebook(cells=made, metadata={"kernelspec": kernel})


def write(name: str, folder: Path) -> list[Path]:
    """Write ``source/NAME/NAME.ipynb`` (the instructor's) and ``student/NAME/NAME.ipynb`` into a folder.

    Raises
    ------
    ValueError
        If there is no such assignment.
    """
    if name not in names():
        raise ValueError(f"assignment {name!r}; there are {', '.join(names())}")
    written = []
    for version in ("source", "student"):
        path = folder / version / name / f"{name}.ipynb"
        path.parent.mkdir(parents=True, exist_ok=True)
        nbformat.write(notebook(name, version == "student"), path)
        written.append(path)
    return written


# --- Marks --------------------------------------------------------------------------------------------------------


def environment(binaries: Path) -> dict[str, str]:
    """Environment variables for nbgrader: it calls programs of its own, and notebooks import this folder."""
    root = str(SOURCES.parent.parent)
    paths = {
        "PATH": [str(binaries), os.environ.get("PATH", "")],
        "PYTHONPATH": [root, os.environ.get("PYTHONPATH", "")],
    }
    return os.environ | {name: os.pathsep.join(filter(None, parts)) for name, parts in paths.items()}


@dataclass(frozen=True)
class Mark:
    """What one cell gave: points, of how many, and the error that cost them. An essay has None: a human marks it."""

    given: float | None
    of: int
    error: str = ""


@contextlib.contextmanager
def _quietly() -> Iterator[None]:
    """Swallow what a submission prints; figures are drawn and forgotten."""
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        yield


def _run(code: str, names: dict) -> object:
    """Run a cell; the value of its last line if that is an expression."""
    tree = ast.parse(code)
    last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
    exec(compile(tree, "<cell>", "exec"), names)
    return None if last is None else eval(compile(ast.Expression(last.value), "<cell>", "eval"), names)


def marks(submitted: NotebookNode, name: str) -> dict[str, Mark]:
    """The marks of a submission, by the rules of nbgrader's autograder.

    Locked cells and tests are taken from the source, whatever the submission holds in their place; cells run in order,
    and one that fails does not stop the others. **The submission's code runs in this process**: mark strangers' work
    with nbgrader, in a container.

    Parameters
    ----------
    submitted : notebook
        Its answers are found by their nbgrader ids; what is missing counts as not answered.
    name : str
        The assignment.

    Returns
    -------
    dict of str to Mark
        By the ids of tests and essays.
    """
    given = {
        cell.metadata["nbgrader"]["grade_id"]: cell for cell in submitted.cells if "nbgrader" in cell.metadata
    }
    names_: dict = {"__name__": "__main__"}
    found = {}
    for cell in cells(SOURCES / f"{name}.py"):
        if cell.kind == "essay":
            found[cell.id] = Mark(None, cell.points)
        if cell.kind in ("markdown", "essay"):
            continue
        code = given[cell.id].source if cell.kind == "answer" and cell.id in given else cell.text
        if cell.kind == "answer" and cell.id not in given:
            code = STUB
        value, error = None, ""
        try:
            with _quietly():
                value = _run(code, names_)
        except Exception as caught:
            error = f"{type(caught).__name__}: {caught}"
        if cell.kind == "test":
            partial = isinstance(value, (int, float, np.number)) and not isinstance(value, bool)
            points_ = (
                0.0 if error else float(np.clip(value, 0, cell.points)) if partial else float(cell.points)
            )
            found[cell.id] = Mark(points_, cell.points, error)
    return found
