"""`make lab`: JupyterLab beside the environment, and chapters to work in that are never written over."""

import json
import re
import subprocess
import sys
import urllib.request
from pathlib import Path

import handout
import lab
import nbformat
import pytest
from chromium import wait

ROOT = Path(__file__).resolve().parent.parent


def chapter(folder: Path, name: str, code: str, output: str = "1\n") -> Path:
    """A small notebook as it is handed out."""
    folder.mkdir(exist_ok=True)
    cell = nbformat.v4.new_code_cell(
        code, id="a", outputs=[nbformat.v4.new_output("stream", name="stdout", text=output)]
    )
    nbformat.write(nbformat.v4.new_notebook(cells=[cell]), folder / name)
    return folder / name


@pytest.fixture
def chapters(tmp_path) -> Path:
    for name in ("01_a.ipynb", "02_b.ipynb"):
        chapter(tmp_path / "chapters", name, "print(1)")
    return tmp_path / "chapters"


def names(paths: list[Path]) -> list[str]:
    return [path.name for path in paths]


def test_a_second_run_writes_nothing(chapters, tmp_path):
    assert names(handout.hand_out(chapters, tmp_path / "mine")[0]) == ["01_a.ipynb", "02_b.ipynb"]
    assert handout.hand_out(chapters, tmp_path / "mine") == ([], [])


@pytest.mark.parametrize("change", ["code", "output", "text", "rubbish", "empty"])
def test_a_changed_chapter_is_kept_and_said_to_be(change, chapters, tmp_path):
    """Whatever was changed, whether or not the course has changed since, now and at every later run."""
    mine = tmp_path / "mine"
    handout.hand_out(chapters, mine)
    if change in ("rubbish", "empty"):
        (mine / "01_a.ipynb").write_text("" if change == "empty" else '{"cells": [')
    else:
        notebook = nbformat.read(mine / "01_a.ipynb", as_version=4)
        if change == "code":
            notebook.cells[0].source += "  # mine"
        if change == "output":
            notebook.cells[0].outputs[0].text = "2\n"
        if change == "text":
            notebook.cells.append(nbformat.v4.new_markdown_cell("mine"))
        nbformat.write(notebook, mine / "01_a.ipynb")
    before = (mine / "01_a.ipynb").read_bytes()
    assert [names(found) for found in handout.hand_out(chapters, mine)] == [[], ["01_a.ipynb"]]
    for name in ("01_a.ipynb", "02_b.ipynb"):
        chapter(chapters, name, "print(2)")
    assert [names(found) for found in handout.hand_out(chapters, mine)] == [["02_b.ipynb"], ["01_a.ipynb"]]
    assert [names(found) for found in handout.hand_out(chapters, mine)] == [[], ["01_a.ipynb"]]
    assert (mine / "01_a.ipynb").read_bytes() == before
    assert "print(2)" in (mine / "02_b.ipynb").read_text()


def test_opening_and_saving_is_no_change(chapters, tmp_path):
    """Editors write a notebook in their own way, with metadata of their own."""
    mine = tmp_path / "mine"
    handout.hand_out(chapters, mine)
    notebook = json.loads((mine / "01_a.ipynb").read_text())
    notebook["metadata"]["language_info"] = {"name": "python", "version": "3.11.2"}
    notebook["cells"][0]["metadata"] = {"scrolled": True}
    notebook["cells"][0]["source"] = "".join(notebook["cells"][0]["source"])
    (mine / "01_a.ipynb").write_text(json.dumps(notebook))
    assert handout.hand_out(chapters, mine) == ([], [])
    chapter(chapters, "01_a.ipynb", "print(2)")
    assert names(handout.hand_out(chapters, mine)[0]) == ["01_a.ipynb"]


def test_what_was_deleted_comes_back_and_what_was_there_before_stays(chapters, tmp_path):
    mine = tmp_path / "mine"
    own = chapter(mine, "02_b.ipynb", "my own work")
    before = own.read_bytes()
    assert [names(found) for found in handout.hand_out(chapters, mine)] == [["01_a.ipynb"], ["02_b.ipynb"]]
    (mine / "01_a.ipynb").unlink()
    assert [names(found) for found in handout.hand_out(chapters, mine)] == [["01_a.ipynb"], ["02_b.ipynb"]]
    assert own.read_bytes() == before


def test_the_kernel_is_the_course_s_and_nothing_is_written_elsewhere(tmp_path, monkeypatch):
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("JUPYTER_PATH", "/elsewhere")
    lab.register(tmp_path / ".lab")
    spec = json.loads((tmp_path / ".lab/share/jupyter/kernels/python3/kernel.json").read_text())
    assert spec["argv"][0] == sys.executable
    variables = lab.variables(tmp_path / ".lab")
    assert variables["JUPYTER_DATA_DIR"] == str(tmp_path / ".lab" / "share" / "jupyter")
    assert "JUPYTER_PATH" not in variables
    assert not list(home.rglob("*"))


def test_requirements_of_the_lab_are_exact_and_show_the_views_of_the_kernel():
    pins = dict(
        re.fullmatch(r"([a-z0-9.-]+)==([\w.]+)", line).groups()
        for line in (ROOT / "requirements-lab.txt").read_text(encoding="utf-8").splitlines()
        if line and not line.startswith("#")
    )
    kernel = (ROOT / "requirements.txt").read_text(encoding="utf-8")
    assert pins["jupyterlab"].startswith("4.")
    assert f"\njupyterlab-widgets=={pins['jupyterlab-widgets']}\n" in kernel
    assert not {"torch", "ipywidgets", "jupyter-book", "sphinx"} & set(pins)
    ignored = (ROOT / ".gitignore").read_text(encoding="utf-8").split()
    assert {".lab/", "my_chapters/"} <= set(ignored)


@pytest.mark.slow
def test_jupyterlab_starts_on_the_chapters_with_the_course_s_kernel(chapters, tmp_path):
    """Installed from the package index, started as `make lab` starts it, asked over its own interface."""
    folder = tmp_path / ".lab"
    try:
        python = lab.set_up(folder)
    except SystemExit as error:
        pytest.skip(str(error))
    lab.register(folder)
    written, _ = handout.hand_out(chapters, tmp_path / "mine")
    settings = ["--no-browser", "--allow-root", "--port=0", "--IdentityProvider.token="]
    runtime = tmp_path / "runtime"
    server = subprocess.Popen(
        [*lab.command(python, tmp_path / "mine"), *settings],
        env=lab.variables(folder) | {"HOME": str(tmp_path), "JUPYTER_RUNTIME_DIR": str(runtime)},
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        (info,) = wait(lambda: list(runtime.glob("jpserver-*.json")), "JupyterLab", 120)
        wait(lambda: info.read_text().strip().endswith("}"), "its address", 10)
        address = json.loads(info.read_text())["url"]

        def asked(name: str) -> dict:
            with urllib.request.urlopen(f"{address}api/{name}", timeout=60) as answer:
                return json.load(answer)

        specs = asked("kernelspecs")["kernelspecs"]
        assert specs["python3"]["spec"]["argv"][0] == sys.executable
        assert sorted(entry["name"] for entry in asked("contents")["content"]) == names(written)
    finally:
        server.terminate()
        server.wait(60)
