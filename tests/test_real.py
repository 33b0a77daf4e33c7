"""scripts/real.py against a hub on loopback, with random weights; the page of its results."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import nbformat
import numpy as np
import pytest
import real
from loopback_hub import LoopbackHub
from PIL import Image
from stand_ins import clip_processor, clip_tokenizer, spread
from test_other_models import folder  # noqa: F401
from transformers import CLIPConfig, CLIPModel

ROOT = Path(__file__).resolve().parent.parent
NAME = "somebody/small-clip"


def run(hub: LoopbackHub, results: Path, home: Path, *arguments: str) -> tuple[dict, str]:
    """The script with this hub; its results and its page."""
    public = os.environ | {"HF_ENDPOINT": hub.address, "HF_HUB_OFFLINE": "0", "HF_HOME": str(home)}
    command = [sys.executable, str(ROOT / "scripts" / "real.py"), "--folder", str(results), *arguments]
    done = subprocess.run(command, env=public, capture_output=True, text=True)
    found = json.loads((results / "results.json").read_text(encoding="utf-8"))
    failed = [key for key, step in found["steps"].items() if "failed" in step]
    assert done.returncode == bool(failed), done.stderr
    return found["steps"], (results / "real.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def small(tmp_path_factory) -> Path:
    """A CLIP of 7 × 7 patches with random weights."""
    text = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4}
    vision = {**text, "image_size": 224, "patch_size": 32}
    ids = {"bos_token_id": 49406, "eos_token_id": 49407, "pad_token_id": 49407}
    network = CLIPModel(CLIPConfig(text_config=text | ids, vision_config=vision, projection_dim=24))
    path = tmp_path_factory.mktemp("hub") / "small"
    for part in (spread(network), clip_tokenizer(), clip_processor(224)):
        part.save_pretrained(path)
    return path


def notebook(path: Path, source: str) -> str:
    cells = [nbformat.v4.new_code_cell(source)]
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": kernel}), path)
    return str(path)


def test_the_page_says_that_there_is_no_result_yet():
    assert (ROOT / "results" / "real" / "real.md").read_text(encoding="utf-8") == real.page(None)
    assert real.page({"facts": {}, "steps": {}}) == real.page(None)
    assert "{include} ../results/real/real.md" in (ROOT / "book" / "real.md").read_text(encoding="utf-8")


def test_a_dozen_photographs_each_with_a_licence_and_two_captions():
    names = [photograph.name for photograph in real.PHOTOGRAPHS]
    assert len(set(names)) == len(names) == 12
    assert all(one.licence and one.true != one.false for one in real.PHOTOGRAPHS)
    for photograph in real.PHOTOGRAPHS:
        if photograph.name in ("dog", "hopper", "china", "flower"):  # in packages that are here
            pixels = photograph.load()
            size = pixels.size if isinstance(pixels, Image.Image) else np.shape(pixels)[:2]
            assert min(size) >= 400


def test_a_model_from_the_hub_is_explained_and_what_failed_is_said(small, tmp_path):
    with LoopbackHub({NAME: small}) as hub:
        call = (
            "--models",
            NAME,
            "nobody/nothing",
            "--photographs",
            "dog",
            "--coalitions",
            "64",
            "--chapters",
        )
        steps, text = run(hub, tmp_path / "real", tmp_path / "home", *call)
        commit = hub.commit(NAME)
    assert steps[f"{NAME}|load"]["commit"] == commit and steps[f"{NAME}|load"]["grid"] == [7, 7]
    true, false = steps[f"{NAME}|photograph dog"]["captions"]
    assert (true["fits"], false["fits"]) == (True, False) and true["score"] != false["score"]
    for one in (true, false):
        assert sum(one["shares"].values()) == pytest.approx(1, abs=1e-6) and one["r2"] < 1
        assert Image.open(tmp_path / "real" / one["figure"]).width > 700
        assert f"| dog | {one['caption']} |" in text and f"](../results/real/{one['figure']})" in text
    assert "no public model of that name" in steps["nobody/nothing|load"]["failed"]
    assert "Of 3 steps 1 failed" in text and "no public model of that name" in text


def test_a_run_goes_on_where_it_was_and_ends_in_time(tmp_path):
    done = []

    def work() -> dict:
        done.append(1)
        return {"value": 1}

    def failing() -> dict:
        done.append(0)
        raise ValueError("\x1b[31mno `such` | thing\x1b[0m\n  at line 3")

    first = real.Run(tmp_path, 1, fresh=False)
    first.step("m|load", work), first.step("m|other", failing)
    again = real.Run(tmp_path, 1, fresh=False)
    again.step("m|load", work), again.step("m|other", failing)
    assert done == [1, 0, 0]  # what succeeded is taken over, what failed is tried again
    assert again.results["steps"]["m|other"]["failed"] == "no `such` | thing"
    assert real.code("no `such` | thing") == "`no ¦such¦ ¦ thing`"
    real.Run(tmp_path, 1, fresh=True).step("m|load", work)
    assert done == [1, 0, 0, 1]
    late = real.Run(tmp_path, 0, fresh=True).step("m|load", work)
    assert late["failed"] == "not run: the time was over" and done == [1, 0, 0, 1]
    late = real.Run(tmp_path, 1, True).step("m|x", lambda: subprocess.run(["sleep", "9"], timeout=0.01))
    assert late["failed"] == "stopped: the time was over"


@pytest.mark.slow
def test_verification_and_chapters_end_on_the_page(small, tmp_path):
    right = notebook(
        tmp_path / "right.ipynb", "from fixlip_helpers import load_model\nprint(load_model().name)"
    )
    wrong = notebook(tmp_path / "wrong.ipynb", "1 / 0")
    with LoopbackHub({NAME: small}) as hub:
        call = (
            "--models",
            NAME,
            "--verify",
            NAME,
            "--budget",
            "65536",
            "--photographs",
            "--chapters",
            right,
            wrong,
        )
        steps, text = run(hub, tmp_path / "real", tmp_path / "home", *call)
    assert "against what was published" in steps[f"{NAME}|verify"]["said"]
    assert "pairs of patch and word" in text
    ran = nbformat.read(tmp_path / "real" / steps[f"{NAME}|chapter right"]["notebook"], as_version=4)
    assert ran.cells[0].outputs[0].text == f"{NAME}\n"
    assert "ZeroDivisionError" in steps[f"{NAME}|chapter wrong"]["failed"]
    assert "| right | well |" in text and "ZeroDivisionError" in text


@pytest.mark.slow
def test_the_book_s_chapters_run_with_a_model_by_name(folder, tmp_path):  # noqa: F811
    name = f"somebody/{folder.name}"
    with LoopbackHub({name: folder}) as hub:
        call = ("--models", name, "--photographs", "--chapters", *real.CHAPTERS)
        steps, text = run(hub, tmp_path / "real", tmp_path / "home", *call)
    for chapter in real.CHAPTERS:
        assert "failed" not in steps[f"{name}|chapter {chapter}"], steps
        assert f"{real.slug(name)}-{chapter}.ipynb>`" in text
