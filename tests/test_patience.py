"""Chapters on slow machines: what is slow is waited for and said, what hangs is told from it, errors name a cell."""

import re
import time
from pathlib import Path

import chapters
import nbformat
import pytest
import yaml
from hypothesis import settings
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook
from patience import ChapterError, execute

import book

ROOT = Path(__file__).resolve().parent.parent


def chapter(*cells):
    return new_notebook(cells=[new_markdown_cell("# Slow"), *map(new_code_cell, cells)])


BUSY = "import time\nend = time.process_time() + 2.5\nwhile time.process_time() < end:\n    pass\n'done'"


def test_a_slow_cell_says_so_and_goes_on(tmp_path):
    """However long it computes."""
    said, notebook = [], chapter("1 + 1", BUSY)
    longest = execute(notebook, tmp_path / "12_slow.ipynb", said.append, patience=20.0, first_word=0.5)
    assert longest > 2
    assert notebook.cells[2].outputs[0].data["text/plain"] == "'done'"
    assert 1 <= len(said) <= 8 and "12_slow.ipynb, cell 3 (“import time”) has run for" in said[0]
    assert "it is slow, and goes on" in said[0]


WRONG = {
    "hangs": (
        "x = 1\nimport time; time.sleep(1000)",
        "hangs: for 2 s it has used no processor.*It waits",
    ),
    "waits for what it started": (
        "x = 1\nimport subprocess; subprocess.run(['sleep', '1000'])",
        "hangs: for 2 s it has used no processor",
    ),
    "dies": ("x = 1\nimport os; os._exit(1)", "ended with its kernel.*memory was short"),
    "raises": ("x = 1\n1 / 0", "failed:\n(?s:.*)ZeroDivisionError"),
    "asks": ("x = 1\ninput('?')", "failed:\n(?s:.*)StdinNotImplementedError"),
}


OFTEN = ("hangs", "raises")


@pytest.mark.parametrize(
    "what", [what if what in OFTEN else pytest.param(what, marks=pytest.mark.slow) for what in WRONG]
)
def test_what_goes_wrong_names_chapter_and_cell_and_what_to_do(what, tmp_path):
    code, message = WRONG[what]
    started = time.monotonic()
    with pytest.raises(ChapterError, match=message) as error:
        execute(chapter("1", code, "3"), tmp_path / "07_wrong.ipynb", lambda line: None, patience=2.0)
    assert str(error.value).startswith("07_wrong.ipynb, cell 3 (“x = 1”) ")
    assert "python scripts/chapters.py notebooks/07_wrong.ipynb" in str(error.value)
    assert time.monotonic() - started < 200


def test_the_book_keeps_each_chapter_that_ran_and_stops_in_a_sentence(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(book, "BUILD", tmp_path / "_build")
    paths = []
    for name, code in (("01_good", "6 * 7"), ("02_bad", "1 / 0")):
        paths.append(tmp_path / f"{name}.ipynb")
        nbformat.write(chapter(code), paths[-1])
    for first in (True, False):
        with pytest.raises(
            SystemExit, match=r"(?s)02_bad.ipynb, cell 2 .*The book was not built; chapters that ran"
        ):
            book.run_changed(paths)
        assert ("Running 01_good.ipynb (1 of 2)" in capsys.readouterr().out) == first
    _, merged = book.get_cache(tmp_path / "_build" / ".jupyter_cache").merge_match_into_notebook(
        nbformat.read(paths[0], as_version=4)
    )
    assert merged.cells[1].outputs[0].data["text/plain"] == "42"
    bad = paths[1].read_bytes()
    monkeypatch.setattr("sys.argv", ["chapters.py", str(paths[1])])
    with pytest.raises(SystemExit, match=r"02_bad\.ipynb was left as it was"):
        chapters.main()
    assert paths[1].read_bytes() == bad


def test_no_clock_ends_a_chapter():
    config = yaml.safe_load((ROOT / "_config.yml").read_text(encoding="utf-8"))
    assert config["execute"]["timeout"] == -1


def test_no_clock_ends_a_property_test():
    """One profile says so for all, tests/conftest.py; none has a clock of its own."""
    assert settings().deadline is None and settings(max_examples=3).deadline is None
    own = re.compile(r"settings\(.*deadline\s*=")
    assert not [
        path.name for path in (ROOT / "tests").glob("test_*.py") if own.search(path.read_text("utf-8"))
    ]
