"""What happens when things fail: each ends in a sentence that says what to do, and nothing is lost."""

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import alone
import pytest

from fixlip_helpers import load_model, models

ROOT = Path(__file__).resolve().parent.parent
WEIGHTS = "model.safetensors"


@pytest.fixture
def folder(tmp_path) -> Path:
    """A copy of an embedded model, to be broken."""
    return Path(shutil.copytree(models.ASSETS / "mini-clip", tmp_path / "mini-clip"))


BROKEN = {
    "half-downloaded weights": lambda folder: os.truncate(folder / WEIGHTS, 100_000),
    "weights still under another name": lambda folder: (folder / WEIGHTS).rename(
        folder / f"{WEIGHTS}.incomplete"
    ),
    "a pointer in place of the weights": lambda folder: (folder / WEIGHTS).write_text(
        "version 1\noid sha256:0\n"
    ),
    "no configuration": lambda folder: (folder / "config.json").unlink(),
    "half a configuration": lambda folder: os.truncate(folder / "config.json", 20),
    "no tokenizer": lambda folder: (folder / "tokenizer.json").unlink(),
    "half a tokenizer": lambda folder: os.truncate(folder / "tokenizer.json", 200),
    "no image processor": lambda folder: (folder / "preprocessor_config.json").unlink(),
}


@pytest.mark.parametrize("what", BROKEN)
def test_a_broken_model_says_to_download_it_again(what, folder):
    BROKEN[what](folder)
    with pytest.raises(ValueError) as error:
        load_model(folder)
    message = str(error.value)
    assert message.startswith("model 'mini-clip' cannot be loaded: ") and "\n" not in message
    assert message.endswith("; if a file is missing or half-downloaded, download the folder again")


def test_a_broken_embedded_model_says_to_install_again(folder, monkeypatch):
    monkeypatch.setattr(models, "ASSETS", folder.parent)
    os.truncate(folder / WEIGHTS, 100_000)
    with pytest.raises(ValueError, match=r"damaged: install fixlip-helpers again$"):
        load_model("mini-clip")


def test_a_home_that_cannot_be_written_to_does_not_matter(tmp_path):
    """Figures and models need no home: caches that others would make there go elsewhere or are left out."""
    dropped = ("XDG_", "HF_HOME", "MPLCONFIG")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(dropped)}
    nowhere = {"HOME": os.devnull, "PYTHONPATH": str(ROOT), "HF_HUB_OFFLINE": "1"}
    score = (
        "from fixlip_helpers import load_model; from fixlip_helpers.scenes import examples\n"
        "print(load_model().score(examples()['hero'].image, 'a dog'))"
    )
    for arguments in (["-m", "fixlip_helpers", "demo", "--out", "demo"], ["-c", score]):
        command = [sys.executable, *arguments]
        result = subprocess.run(command, cwd=tmp_path, env=kept | nowhere, capture_output=True, text=True)
        assert result.returncode == 0 and "Traceback" not in result.stderr, result.stderr
    assert {path.suffix for path in (tmp_path / "demo").iterdir()} == {".html", ".json", ".png"}


def test_two_runs_at_once_end_in_a_sentence_and_a_killed_one_leaves_no_lock(tmp_path):
    lock = tmp_path / "build" / "book.lock"
    code = (
        f"import sys, time; from pathlib import Path; sys.path.insert(0, {str(ROOT / 'scripts')!r})\n"
        f"from alone import alone\nwith alone(Path({str(lock)!r}), 'building'):\n"
        "    print('held', flush=True)\n    time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as first:
        assert first.stdout.readline() == "held\n"
        with pytest.raises(SystemExit) as refused, alone.alone(lock, "building the book"):
            pytest.fail("both hold the lock")
        assert f"process {first.pid}" in str(refused.value)
        assert "wait until it is done, then start this one again; nothing was changed" in str(refused.value)
        first.kill()
    with alone.alone(lock, "building the book"):
        assert lock.read_text() == str(os.getpid())


def test_the_book_and_the_environment_are_built_alone(tmp_path):
    """Their commands stop at once, before they touch anything, while another holds the lock."""
    with alone.alone(ROOT / "_build" / "book.lock", "building"):
        started = time.monotonic()
        command = [sys.executable, str(ROOT / "scripts" / "book.py")]
        result = subprocess.run(command, capture_output=True, text=True)
        assert result.returncode == 1 and "is building the book in this clone: wait" in result.stderr
        assert time.monotonic() - started < 10
    with alone.alone(tmp_path / ".venv.lock", "setting up"):
        command = [sys.executable, str(ROOT / "scripts" / "environment.py"), str(tmp_path / ".venv")]
        result = subprocess.run(command, capture_output=True, text=True)
        assert result.returncode == 1 and "is setting up .venv: wait" in result.stderr
        assert not (tmp_path / ".venv").exists()
