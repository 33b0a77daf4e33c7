"""Marking what students hand in: whatever is in a notebook, it has a line of its own and costs the others nothing."""

import re
from pathlib import Path

import nbformat
import pytest
from click.testing import CliRunner
from nbformat.v4 import new_code_cell
from test_assignments import submission

from classroom import grading
from classroom.__main__ import main

PART = "part_1"


def handed_in(folder: Path, name: str, *added: str, place: int = 1, **answers: str) -> Path:
    """The reference solution as a student's file, with cells of the student's own before the cell at ``place``."""
    notebook = submission(PART, 6, **answers)
    for code in reversed(added):
        notebook.cells.insert(place, new_code_cell(code))
    nbformat.write(notebook, folder / f"{name}.ipynb")
    return folder / f"{name}.ipynb"


ANSWER = "prediction"  # the first one after the student's number


def reference(identity: str) -> str:
    notebook = submission(PART, 6)
    return next(
        c.source for c in notebook.cells if c.metadata.get("nbgrader", {}).get("grade_id") == identity
    )


HARMLESS = {
    "magics": (
        "%matplotlib inline\n%time 1 + 1",
        "%%time\nx = 1",
        "%config InlineBackend.figure_format = 'svg'",
    ),
    "a shell": ("!echo hello", "files = !ls", "%%bash\necho hello"),
    "help": ("import numpy as np\nnp.mean?", "?np.sum", "%pwd", "%cd ."),
    "display": (
        "display(1)",
        "from IPython.display import display, HTML\ndisplay(HTML('<b>x</b>'))",
        "get_ipython()",
    ),
    "figures": ("import matplotlib.pyplot as plt\nplt.plot([1, 2]); plt.show()",),
    "waiting": ("import asyncio\nawait asyncio.sleep(0)",),
    "errors": (
        "1 / 0",
        "def f(:",
        "raise SystemExit",
        "import sys\nsys.exit(0)",
        "exit()",
        "quit()",
        "input('?')",
    ),
    "names": ("print(__name__)", "_ = 3", "Out", "In[0]"),
    "much to read": ("print('x' * 1_000_000)", "import sys\nprint('x', file=sys.stderr)"),
}


def test_what_ipython_takes_costs_nothing():
    """All in one notebook: cells of the student's own, before and after the numbered ones."""
    notebook = submission(PART, 6)
    for place in (len(notebook.cells), 3, 1):
        for cells in HARMLESS.values():
            for code in reversed(cells):
                notebook.cells.insert(place, new_code_cell(code))
    found = grading.marks(notebook, PART, limit=60)
    assert {key: mark.error for key, mark in found.items() if mark.error} == {}
    assert sum(mark.given or 0 for mark in found.values()) == 20 - sum(
        mark.of for mark in found.values() if mark.given is None
    )


def test_a_helper_in_a_cell_of_the_students_own_is_there_for_the_answers_that_follow(tmp_path):
    notebook = submission(PART, 6)
    place = next(
        i for i, c in enumerate(notebook.cells) if c.metadata.get("nbgrader", {}).get("grade_id") == ANSWER
    )
    code = notebook.cells[place].source
    notebook.cells[place].source = "helper(globals())"
    helper = f"def helper(names):\n    exec({code!r}, names)"
    without = grading.marks(notebook, PART)
    notebook.cells.insert(place, new_code_cell(helper))
    within = grading.marks(notebook, PART)
    lost = [key for key in within if within[key].given != without[key].given]
    assert lost and all(within[key].given == within[key].of for key in lost)
    assert not any("helper" in mark.error for mark in within.values())


def test_magics_in_an_answer_are_taken_and_a_slow_cell_is_stopped_by_itself():
    taken = submission(PART, 6, **{ANSWER: f"%matplotlib inline\n{reference(ANSWER)}\n!true"})
    assert all(mark.given in (None, mark.of) for mark in grading.marks(taken, PART).values())
    slow = submission(PART, 6)
    loop = "while True:\n    try:\n        pass\n    except Exception:\n        pass"
    for code in ("import time\ntime.sleep(60)", loop):
        slow.cells.insert(1, new_code_cell(code))
    found = grading.marks(slow, PART, limit=1)
    assert all(mark.given in (None, mark.of) for mark in found.values())


ENDS = {
    "exits": "import os\nos._exit(0)",
    "is killed": "import os, signal\nos.kill(os.getpid(), signal.SIGKILL)",
}


@pytest.mark.slow
def test_a_notebook_that_nothing_stops_is_ended(tmp_path):
    loop = "while True:\n    try:\n        while True:\n            pass\n    except BaseException:\n        pass"
    files = [handed_in(tmp_path, "hangs", loop), tmp_path / "missing.ipynb"]
    result = CliRunner().invoke(main, ["mark", PART, "--limit", "2", *map(str, files)])
    assert f"{files[0]}: 0 of 20; stopped after 10 s" in result.output and result.exit_code == 1
    assert f"{files[1]}: 0 of 20; no such file" in result.output


def test_every_notebook_gets_a_line_whatever_the_others_do(tmp_path):
    """Also those that end their process, that are none, and that are not there."""
    middle = len(submission(PART, 6).cells) // 2
    files = [handed_in(tmp_path, f"it {what}", code, place=middle) for what, code in ENDS.items()]
    files += [handed_in(tmp_path, "sys.exit", "import sys\nsys.exit(0)"), tmp_path / "missing.ipynb"]
    for name, text in {
        "empty": "",
        "text": "no notebook",
        "list": "[]",
        "cut": files[0].read_text()[:500],
    }.items():
        files.append(tmp_path / f"{name}.ipynb")
        files[-1].write_text(text, encoding="utf-8")
    files.append(handed_in(tmp_path, "last"))
    result = CliRunner().invoke(main, ["mark", PART, *map(str, files)])
    lines = {
        Path(path).stem: line
        for path, line in re.findall(r"^(/\S.*?\.ipynb): (.*)$", result.output, flags=re.M)
    }
    assert list(lines) == [file.stem for file in files], result.output
    assert lines["last"] == lines["sys.exit"] == "20 of 20"
    for what in ENDS:
        points, said = re.fullmatch(r"(\d+) of 20; (.*)", lines[f"it {what}"]).groups()
        assert 0 < int(points) < 20, "what was marked before it happened stays"
        assert said.startswith("its process ended before the notebook did")
    assert lines["missing"] == "0 of 20; no such file"
    for name in ("empty", "text", "list", "cut"):
        assert lines[name].startswith("0 of 20; it is no notebook that can be read"), lines[name]
    assert result.exit_code == 1
    assert re.search(r"not run: its process ended", result.output)


def test_marks_leave_this_process_as_it_was():
    import sys

    import __main__

    before = sys.modules["__main__"], sys.stdout, sys.displayhook, sys.excepthook
    grading.marks(grading.notebook(PART, student=True), PART)
    assert before == (sys.modules["__main__"], sys.stdout, sys.displayhook, sys.excepthook)
    assert __main__ is before[0]
    from IPython import get_ipython

    assert get_ipython() is None
