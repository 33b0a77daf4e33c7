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
what its autograder does with less around it, :func:`marked_apart` in a process of its own: for a quick look.
"""

from __future__ import annotations

import atexit
import contextlib
import io
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import nbformat
import numpy as np
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

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


CELL_LIMIT = (
    120.0  # seconds for a cell: those of the references take a few, and machines may be ten times slower
)
CELLS_OF_A_NOTEBOOK = 5  # a notebook that takes as long as so many cells at their limit is ended


class OutOfTime(BaseException):
    """A cell took longer than it may; no ``except Exception`` of a submission's catches it."""


@contextlib.contextmanager
def _at_most(seconds: float | None) -> Iterator[None]:
    """Raise :class:`OutOfTime` in the block after so many seconds, and again each second until it ends."""
    if seconds is None or not hasattr(
        signal, "setitimer"
    ):  # Windows: the limit of the whole notebook remains
        yield
        return

    def late(*_: object) -> None:
        raise OutOfTime(f"stopped after {seconds:g} s")

    before = signal.signal(signal.SIGALRM, late)
    signal.setitimer(signal.ITIMER_REAL, seconds, 1.0)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@contextlib.contextmanager
def _shell() -> Iterator[InteractiveShell]:
    """A fresh IPython, in which cells run as they did in the student's notebook, magics and all; it says nothing."""
    import matplotlib
    from IPython.core.interactiveshell import InteractiveShell
    from traitlets.config import Config

    class Silent(InteractiveShell):
        def enable_gui(self, gui: str | None = None) -> None:
            """Figures are drawn and forgotten: there is no window to open."""

        def ask_exit(self) -> None:
            """`exit` in a notebook ends no marking."""

    main, backend = sys.modules["__main__"], matplotlib.get_backend()
    quiet = Config({"HistoryManager": {"enabled": False}})
    with (
        contextlib.redirect_stdout(io.StringIO()),
        contextlib.redirect_stderr(io.StringIO()),
        tempfile.TemporaryDirectory() as settings,  # a user's own must not decide marks
        matplotlib.rc_context(),
    ):
        shell = Silent(config=quiet, ipython_dir=settings)
        InteractiveShell._instance = shell  # what get_ipython() gives, to a submission's helpers too
        try:
            yield shell
        finally:
            InteractiveShell.clear_instance()
            shell.atexit_operations()
            atexit.unregister(shell.atexit_operations)
            sys.modules["__main__"] = main
            if matplotlib.get_backend() != backend:
                matplotlib.use(backend)


def _grade_id(cell: Cell) -> str | None:
    """What nbgrader knows a cell by; None for text."""
    return _notebook_cell(cell, True).metadata.get("nbgrader", {}).get("grade_id")


def _order(submitted: NotebookNode, name: str) -> Iterator[tuple[Cell | None, str]]:
    """The code to run, in order: each cell of the source with what it holds, and None with the student's own cells.

    A cell that the student added runs before the cell of ours that follows it.
    """
    source = [(cell, _grade_id(cell)) for cell in cells(SOURCES / f"{name}.py")]
    known = {grade_id for _, grade_id in source} - {None}
    given: dict[str, str] = {}
    before: dict[str | None, list[str]] = {}
    waiting: list[str] = []
    for cell in submitted.cells:
        grade_id = cell.metadata.get("nbgrader", {}).get("grade_id")
        if grade_id in known and grade_id not in given:
            given[grade_id] = cell.source
            before[grade_id], waiting = waiting, []
        elif cell.cell_type == "code" and grade_id not in known:
            waiting.append(cell.source)
    before[None] = waiting
    for cell, grade_id in source:
        for code in before.get(grade_id, []) if grade_id else []:
            yield None, code
        yield cell, given.get(cell.id, STUB) if cell.kind == "answer" else cell.text
    for code in before[None]:
        yield None, code


def marks(
    submitted: NotebookNode,
    name: str,
    limit: float | None = None,
    tell: Callable[[str, Mark], None] = lambda key, mark: None,
) -> dict[str, Mark]:
    """The marks of a submission, by the rules of nbgrader's autograder.

    Locked cells and tests are taken from the source, whatever the submission holds in their place; cells run in order
    in IPython, those that the student added among them, and one that fails does not stop the others. **The
    submission's code runs in this process**: see :func:`marked_apart`.

    Parameters
    ----------
    submitted : notebook
        Its answers are found by their nbgrader ids; what is missing counts as not answered.
    name : str
        The assignment.
    limit : float, optional
        Seconds that a cell may take.
    tell : callable, optional
        Called with each mark as soon as it is there.

    Returns
    -------
    dict of str to Mark
        By the ids of tests and essays.
    """
    found: dict[str, Mark] = {}
    with _shell() as shell:
        for cell, code in _order(submitted, name):
            if cell is not None and cell.kind in ("markdown", "essay"):
                if cell.kind == "essay":
                    found[cell.id] = Mark(None, cell.points)
                    tell(cell.id, found[cell.id])
                continue
            error: BaseException | None
            try:
                with _at_most(limit):
                    result = shell.run_cell(code, store_history=False, silent=False)
                value, error = result.result, result.error_before_exec or result.error_in_exec
            except OutOfTime as late:
                value, error = None, late
            if cell is None or cell.kind != "test":
                continue
            said = "" if error is None else f"{type(error).__name__}: {error}"
            partial = isinstance(value, (int, float, np.number)) and not isinstance(value, bool)
            points_ = (
                0.0 if said else float(np.clip(value, 0, cell.points)) if partial else float(cell.points)
            )
            found[cell.id] = Mark(points_, cell.points, said)
            tell(cell.id, found[cell.id])
    return found


def marked_apart(path: Path, name: str, limit: float = CELL_LIMIT) -> tuple[dict[str, Mark], str]:
    """The marks of a notebook that runs in a process of its own, in its folder, and what went wrong, if anything did.

    Whatever the submission does, exits, hangs, takes all memory, ends that process only: what was marked until then
    stays, and the rest has 0 points. It may still read and write your files: **mark strangers' work with nbgrader, in a
    container**.

    Parameters
    ----------
    path : Path
        A notebook.
    name : str
        The assignment.
    limit : float
        Seconds for a cell; a notebook has as much time as :data:`CELLS_OF_A_NOTEBOOK` such cells.
    """
    with tempfile.TemporaryDirectory() as scratch:
        results = Path(scratch) / "marks.jsonl"
        results.touch()
        command = [sys.executable, "-m", "classroom.grading", name, path.resolve(), results, str(limit)]
        variables = environment(Path(sys.executable).parent) | {"MPLBACKEND": "Agg", "IPYTHONDIR": scratch}
        silent = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL}
        wrong = ""
        with tempfile.TemporaryFile() as complaints:
            process = subprocess.Popen(
                command,
                cwd=path.resolve().parent,
                env=variables,
                stderr=complaints,
                start_new_session=True,
                **silent,
            )
            try:
                code = process.wait(CELLS_OF_A_NOTEBOOK * limit)
            except subprocess.TimeoutExpired:
                code, wrong = None, f"stopped after {CELLS_OF_A_NOTEBOOK * limit:g} s"
            finally:
                _end(process)
            complaints.seek(0)
            last = complaints.read().decode("utf-8", "replace").strip().splitlines()[-1:]
        lines = results.read_text(encoding="utf-8").splitlines()
    told = [json.loads(line) for line in lines if line.endswith("]")]  # the last one may be half written
    found = {key: Mark(*rest) for key, *rest in told if key != "done"}
    if not wrong and not any(key == "done" for key, *_ in told):
        wrong = (
            "".join(last) if code == 2 else f"its process ended before the notebook did (exit code {code})"
        )
    for cell in cells(SOURCES / f"{name}.py"):
        if cell.points and cell.id not in found:
            found[cell.id] = Mark(None if cell.kind == "essay" else 0.0, cell.points, f"not run: {wrong}")
    return found, wrong


def _end(process: subprocess.Popen) -> None:
    """End a process and those that it started."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        if hasattr(os, "killpg"):
            os.killpg(process.pid, signal.SIGKILL)
        else:
            process.kill()
    process.wait()


def _work(name: str, notebook_: str, results: str, limit: str) -> None:
    """What :func:`marked_apart` starts: read, run, and write each mark as soon as it is there."""
    try:
        submitted = nbformat.read(notebook_, as_version=4)
        len(submitted.cells)  # what is no notebook has none
    except Exception as error:
        print(
            f"it is no notebook that can be read: {type(error).__name__}: {error}".splitlines()[0],
            file=sys.stderr,
        )
        raise SystemExit(2) from None
    with open(results, "a", encoding="utf-8") as file:

        def tell(key: str, mark: Mark | None = None) -> None:
            file.write(json.dumps([key, *((mark.given, mark.of, mark.error) if mark else ())]) + "\n")
            file.flush()

        marks(submitted, name, float(limit), tell)
        tell("done")
    os._exit(0)  # threads that the submission left behind are not waited for


if __name__ == "__main__":
    _work(*sys.argv[1:])
