"""Commands in a pipe whose encoding lacks what they print end as elsewhere, and say the same in other characters."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from fixlip_helpers import streams

ROOT = Path(__file__).resolve().parent.parent

COMMANDS = {
    "demo": ["fixlip_helpers", "demo", "--out", "out"],
    "models": ["fixlip_helpers", "models"],
    "help": ["fixlip_helpers", "explain", "--help"],
    "evaluate": ["fixlip_helpers", "evaluate", "--data", "scenes:pairs:0:1", "--dry-run", "--out", "out"],
    "a complaint": ["fixlip_helpers", "explain", "no\u2212such→file.png", "字典"],
    "questions": ["classroom", "export", "--chapter", "05"],
    "inventory": ["classroom", "export", "--inventory"],
    "scores' help": ["fixlip_helpers.scores", "--help"],
    "benchmarks": ["benchmarks", "no–such"],
}


def run(command, folder, encoding):
    kept = {name: value for name, value in os.environ.items() if name not in ("PYTHONUTF8", "FIXLIP_MODEL")}
    variables = {"PYTHONIOENCODING": encoding, "PYTHONPATH": str(ROOT), "PYTHONUTF8": "0"}
    return subprocess.run(
        [sys.executable, "-m", *command], cwd=folder, env=kept | variables, capture_output=True
    )


OFTEN = ("demo", "a complaint", "inventory")


@pytest.mark.parametrize(
    "what", [name if name in OFTEN else pytest.param(name, marks=pytest.mark.slow) for name in COMMANDS]
)
def test_a_pipe_in_cp1252_ends_no_command(what, tmp_path):
    found, usual = (run(COMMANDS[what], tmp_path, encoding) for encoding in ("cp1252", "utf-8"))
    assert found.returncode == usual.returncode, found.stderr.decode("cp1252")
    assert b"Traceback" not in found.stderr and b"UnicodeEncodeError" not in found.stderr
    assert (len(found.stdout) > 0) == (len(usual.stdout) > 0)
    if what == "demo":
        assert {path.suffix for path in (tmp_path / "out").iterdir()} == {".json", ".png", ".html"}
        assert "\u22121.90" in usual.stdout.decode("utf-8") and "-1.90" in found.stdout.decode("cp1252")


@pytest.mark.slow
@pytest.mark.parametrize("encoding", ["ascii", "cp437", "latin-1"])
def test_other_encodings(encoding, tmp_path):
    found = run(COMMANDS["demo"], tmp_path, encoding)
    assert found.returncode == 0, found.stderr
    assert b"1.90" in found.stdout


def test_a_reader_that_has_seen_enough_gets_no_traceback(tmp_path):
    process = subprocess.Popen(
        [sys.executable, "-m", *COMMANDS["inventory"]],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    process.stdout.close()
    assert b"Traceback" not in process.stderr.read()
    process.wait()


def test_characters_are_spelt_by_what_they_look_like():
    text = "held-out R² = −0.3 · “ν̂(∅)” café ½ … 字典 🐶"
    assert text.encode("ascii", "spelt") == b'held-out R^2 = -0.3 * "v(empty)" cafe 1/2 ... ?? ?'
    assert text.encode("utf-8", "spelt").decode("utf-8") == text
    assert "\ud83d".encode("utf-8", "spelt") == b"?"
    assert all(value.isascii() for value in streams._NAMES.values())
