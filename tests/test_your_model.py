"""The recipe page: its code runs, and what cannot be run here at least calls what there is."""

from __future__ import annotations

import ast
import inspect
import re
from pathlib import Path

import pytest
from matplotlib import pyplot as plt

from fixlip_helpers import TwoTower
from fixlip_helpers.models import EMBEDDED

PAGE = Path(__file__).parent.parent / "book" / "your_model.md"
BLOCKS = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(encoding="utf-8"), flags=re.M | re.S)


def test_the_code_of_the_page_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names: dict = {}
    ours = [block for block in BLOCKS if "open_clip" not in block]
    assert len(ours) == len(BLOCKS) - 1 and EMBEDDED[0] in ours[0]
    for block in ours:
        exec(compile(block, PAGE.name, "exec"), names)
    plt.close("all")
    assert names["explanation"].players[:2] == ["region 0", "region 1"]
    assert names["explanation"].meta["image_groups"]["grid"] == [8, 8]
    assert 0 < names["report"]["value"] < 0.1 * names["report"]["value_spread"]
    assert list((tmp_path / "run-of-today").glob("image-*.safetensors"))


def test_the_openclip_block_gives_what_two_tower_takes():
    (block,) = [block for block in BLOCKS if "open_clip" in block]
    (call,) = [
        node
        for node in ast.walk(ast.parse(block))
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "TwoTower"
    ]
    keywords = {keyword.arg: None for keyword in call.keywords}
    inspect.signature(TwoTower).bind(*call.args, **keywords)
    with pytest.raises(TypeError):
        inspect.signature(TwoTower).bind(*call.args, **keywords, image_grid=(7, 7))


@pytest.mark.slow
def test_the_openclip_block_on_openclip_itself():
    """With random weights; skipped in the book's environment, which has neither OpenCLIP nor torchvision."""
    open_clip = pytest.importorskip("open_clip", reason="pip install open_clip_torch, beside torchvision")
    import torch
    from PIL import Image

    (block,) = [block for block in BLOCKS if "open_clip" in block]
    block = block.split("explanation = ")[0].replace('pretrained="laion2b_s34b_b79k"', "pretrained=None")
    names: dict = {}
    exec(compile(block, PAGE.name, "exec"), names)
    picture, caption = Image.new("RGB", (300, 224), "tan"), "black dog next to a yellow hydrant"
    with torch.no_grad():
        f = names["model"].eval().encode_image(names["preprocess"](picture)[None], normalize=True)
        g = names["model"].encode_text(open_clip.get_tokenizer("ViT-B-32")([caption]), normalize=True)
        own = (names["model"].logit_scale.exp() * f @ g.T).item()
    tower = names["tower"]
    assert tower.score(picture, caption) == pytest.approx(own, abs=1e-5)
    assert tower.tokenize(caption).names[-2:] == ["hydr", "ant"]
