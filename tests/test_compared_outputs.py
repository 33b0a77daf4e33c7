"""What nbval compares of a stored view, with the settings that `make test` gives it (tests/nbval.cfg)."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import nbformat
from PIL import Image

from fixlip_helpers.widgets import replies, stack_view

ROOT = Path(__file__).resolve().parent.parent


def view(colour: str = "red", label: str = "one", alt: str = "a red square", selected: int = 0) -> str:
    pictures = [Image.new("RGB", (8, 8), colour), Image.new("RGB", (8, 8), "blue")]
    return stack_view([label, "two"], pictures, [alt, "a blue square"], selected=selected)._repr_html_()


def answers(text: str = "It does.") -> str:
    return replies(["yes", "no"], [text, "It does not."])._repr_html_()


# What a cell shows, what is stored of it, and whether that holds.
CASES = {
    "the same": (view(), view(), True),
    "a picture of another machine": (view(), view(colour="green"), True),
    "another description": (view(), view(alt="a green square"), False),
    "another label": (view(), view(label="three"), False),
    "another one shown first": (view(), view(selected=1), False),
    "another reply": (answers(), answers("It may."), False),
}


def test_labels_descriptions_and_replies_are_compared_and_pixels_are_not(tmp_path):
    cells = []
    for number, (shown, stored, _) in enumerate(CASES.values(), 1):
        cell = nbformat.v4.new_code_cell(
            f"from IPython.display import HTML\nHTML({shown!r})", execution_count=number
        )
        data = {"text/html": stored, "text/plain": "<IPython.core.display.HTML object>"}
        cell.outputs = [nbformat.v4.new_output("execute_result", data, execution_count=number)]
        cells.append(cell)
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    notebook = nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": kernel})
    nbformat.write(notebook, tmp_path / "views.ipynb")
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    settings = shlex.split(re.search(r"^PYTEST := .* -m pytest (.*)$", makefile, flags=re.M)[1])
    run = [
        sys.executable,
        "-m",
        "pytest",
        "-rA",
        "-p",
        "no:cacheprovider",
        "-c",
        ROOT / "pyproject.toml",
        *settings,
    ]
    result = subprocess.run([*run, tmp_path / "views.ipynb"], cwd=ROOT, text=True, capture_output=True)
    found = {
        number: verdict
        for verdict, number in re.findall(r"^(PASSED|FAILED) .*::Cell (\d+)", result.stdout, flags=re.M)
    }
    assert [found[str(number)] == "PASSED" for number in range(len(CASES))] == [
        holds for *_, holds in CASES.values()
    ]
