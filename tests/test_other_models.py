"""The chapters with another model, chosen by the one setting: CLIP ViT-B/32 and SigLIP 2 with random weights.

What a chapter says of the picture world holds for the embedded encoders only; that it *runs* must hold for any.
Pictures, patches, vocabularies and positions are those of the full models; layers are few and narrow, which no
chapter can notice, so that `make test-all` ends. With ``FIXLIP_FULL_SIZE=1`` (`make test-full-size`) the layers are
full too. That takes hours on two cores: each chapter that ran is written to results/full_size.txt, and is not run
again until its code changes.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import time
from datetime import date
from pathlib import Path

import nbformat
import numpy as np
import pytest
import stand_ins
import torch
from nbclient import NotebookClient
from transformers import CLIPConfig, CLIPModel, SiglipConfig, SiglipModel

from fixlip_helpers import VisionLanguageGame, load_model, scenes
from fixlip_helpers.models import EMBEDDED, VisionLanguageModel

NOTEBOOKS = Path(__file__).resolve().parent.parent / "notebooks"
NARROW = {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 4}
FULL_SIZE = bool(os.environ.get("FIXLIP_FULL_SIZE"))
LAYERS = {} if FULL_SIZE else NARROW
RECORD = NOTEBOOKS.parent / "results" / "full_size.txt"
SIZES = {"clip-vit-base-patch32": (224, (7, 7)), "siglip2-base-patch32-256": (256, (8, 8))}


def code(path: Path) -> str:
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    return "\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "code")


CHAPTERS = sorted(path.stem for path in NOTEBOOKS.glob("*.ipynb"))
CHANGED = [
    name for name in CHAPTERS if re.search(r"load_model\((?:\)|dtype=)", code(NOTEBOOKS / f"{name}.ipynb"))
]


@pytest.fixture(scope="module", params=SIZES)
def folder(request, tmp_path_factory):
    """A model folder: the architecture, random weights, the words of the picture world as tokens."""
    size, grid = SIZES[request.param]
    torch.manual_seed(0)
    if request.param.startswith("clip"):
        ids = {"bos_token_id": 3, "eos_token_id": 4, "pad_token_id": 0}
        network = CLIPModel(CLIPConfig(text_config=ids | LAYERS, vision_config={"patch_size": 32} | LAYERS))
        tokenizer, processor = load_model("mini-clip").tokenizer, stand_ins.clip_processor(size)
        head = network.text_projection
    else:
        vision = {"image_size": size, "patch_size": 32} | LAYERS
        text = {"vocab_size": 256_000} | LAYERS
        network = SiglipModel(SiglipConfig(text_config=text, vision_config=vision))
        tokenizer, processor = load_model("mini-siglip").tokenizer, stand_ins.siglip_processor(size)
        head = network.text_model.head
    stand_ins.spread(network)
    # Any encoder worth explaining scores a pair above nothing. Turning all text round makes a random one do so.
    example = scenes.examples()["left"]
    game = VisionLanguageGame(
        VisionLanguageModel(network, tokenizer, processor, request.param), example.image, example.caption
    )
    nothing, everything = game(np.array([[False] * game.n_players, [True] * game.n_players]))
    if everything < nothing:
        with torch.no_grad():
            for parameter in head.parameters():
                parameter.neg_()
    path = tmp_path_factory.mktemp("models") / request.param
    for part in (network, tokenizer, processor):
        part.save_pretrained(path)
    assert load_model(path).grid == grid
    return path


def test_the_other_chapters_name_their_models():
    """They tell of these models, or ask none: the setting leaves them as they are."""
    for name in set(CHAPTERS) - set(CHANGED):
        asked = set(re.findall(r"load_model\((.*?)[),]", code(NOTEBOOKS / f"{name}.ipynb")))
        assert asked <= {f'"{model}"' for model in EMBEDDED} | {"name"}, name


def recorded() -> dict[tuple[str, str], list[str]]:
    """(model, chapter) → its seconds, threads, date and fingerprint of the code that ran."""
    rows = RECORD.read_text(encoding="utf-8").splitlines()[1:] if RECORD.is_file() else []
    return {(model, name): rest for model, name, *rest in map(str.split, rows)}


def record(model: str, name: str, seconds: float, fingerprint: str) -> None:
    facts = [f"{seconds:.0f}", str(torch.get_num_threads()), str(date.today()), fingerprint]
    lines = [f"{'model':26s} {'chapter':24s} seconds threads date       code"]
    lines += [
        f"{m:26s} {n:24s} {took:>7s} {threads:>7s} {day} {found}"
        for (m, n), (took, threads, day, found) in sorted((recorded() | {(model, name): facts}).items())
    ]
    RECORD.write_text("\n".join(lines) + "\n", encoding="utf-8")


@pytest.mark.slow
@pytest.mark.parametrize("name", CHANGED)
def test_runs_with_another_model(name, folder, monkeypatch):
    fingerprint = hashlib.sha256(code(NOTEBOOKS / f"{name}.ipynb").encode()).hexdigest()[:8]
    if FULL_SIZE and recorded().get((folder.name, name), [""])[-1] == fingerprint:
        pytest.skip("this code ran before, see results/full_size.txt")
    monkeypatch.setenv("FIXLIP_MODEL", str(folder))
    monkeypatch.setenv("TQDM_DISABLE", "1")
    notebook = nbformat.read(NOTEBOOKS / f"{name}.ipynb", as_version=4)
    client = NotebookClient(
        notebook, timeout=4 * 3600, startup_timeout=300, resources={"metadata": {"path": str(NOTEBOOKS)}}
    )
    started = time.perf_counter()
    client.execute()
    if FULL_SIZE:
        record(folder.name, name, time.perf_counter() - started, fingerprint)
