"""A short run of all that is public, for environments other than this one: `python short_run.py`, in any folder.

Prints one line for each part; an AssertionError says what is wrong. tests/test_installed.py runs it where the package
is installed beside the oldest versions that it promises to work with, and beside the newest.
"""

from functools import partial
from pathlib import Path

import numpy as np
from transformers import AutoModel

from fixlip_helpers import (
    Explanation,
    Side,
    TwoTower,
    VisionLanguageGame,
    combine,
    faithfulness,
    fit_side,
    fixlip,
    load_model,
    models,
    plots,
    scenes,
    widgets,
)
from fixlip_helpers.baselines import exclip, game_relevance, grad_eclip, shapley
from fixlip_helpers.checkpoints import Remembered
from fixlip_helpers.masking import REMOVALS, constant
from fixlip_helpers.metrics import insertion_deletion
from fixlip_helpers.models import VisionLanguageModel

HERO = scenes.examples()["hero"]


def explain(name: str) -> None:
    """Every explanation of one embedded model, every removal, every file."""
    model = load_model(name)
    whole = VisionLanguageGame(
        model, HERO.image, HERO.caption, image_players=(3, 3), text_players="words", progress=False
    )
    game = Remembered(whole)
    found = {
        "FWBII": fixlip(game),
        "least squares": fixlip(game, solver="wls"),
        "errors": fixlip(game, errors=True),
        "joint": fixlip(game, sampling="joint", budget=1000),
        "FSII": fixlip(game, index="FSII", budget=1000),
        "Shapley": shapley(game, 500),
        "GAME": game_relevance(model, HERO.image, HERO.caption),
        "Grad-ECLIP": grad_eclip(model, HERO.image, HERO.caption),
        "exCLIP": exclip(model, HERO.image, HERO.caption, steps=2),
    }
    assert found["FWBII"].meta["held_out_r2"] > 0.5
    np.testing.assert_allclose(found["FWBII"].pairs, found["least squares"].pairs, atol=1e-4)
    for method, explanation in found.items():
        assert np.abs(explanation.main).sum() + np.abs(explanation.pairs).sum() > 0, method
        path = explanation.save(f"{name}.json")
        np.testing.assert_array_equal(Explanation.load(path).pairs, explanation.pairs)
    sides = [fit_side(game, side) for side in ("image", "text")]
    combine(*(Side.load(side.save(f"{name}.side")) for side in sides))
    faithfulness(found["FWBII"], game, 0.5, 32)
    insertion_deletion(found["FWBII"], game)
    for removal in (*REMOVALS, partial(constant, colour="white")):
        removed = VisionLanguageGame(model, HERO.image, HERO.caption, removal=removal, progress=False)
        removed(np.zeros((2, removed.n_players), bool))
    gradients = found["GAME"]
    plots.explanation_figure(gradients, HERO.image).savefig(f"{name}.png")
    Path(f"{name}.html").write_text(widgets.explorer_page(gradients, HERO.image), encoding="utf-8")
    print(f"{name}: {', '.join(found)}", flush=True)


def hide_tokens(name: str) -> None:
    """A hidden token gives one value under every attention implementation, and another than a visible one."""
    model = load_model(name)
    caption = model.tokenize(HERO.caption)
    mask = caption.attention_mask.clone()
    mask[0, caption.players[1]] = mask[0, caption.players[-1]] = 0
    rows = {}
    for attention in ("eager", "sdpa"):
        network = AutoModel.from_pretrained(models.ASSETS / name, attn_implementation=attention)
        other = VisionLanguageModel(network, model.tokenizer, model.image_processor)
        rows[attention] = other.embed_tokens(caption.input_ids, mask).detach().numpy()
        visible = other.embed_tokens(caption.input_ids, caption.attention_mask).detach().numpy()
        assert np.abs(visible - rows[attention]).max() > 1e-3
    np.testing.assert_allclose(rows["eager"], rows["sdpa"], atol=1e-5)
    print(f"{name}: hidden tokens under {' and '.join(rows)}", flush=True)


def own_towers() -> None:
    """Anybody's two towers."""
    weights = np.random.default_rng(0).normal(size=(8, 3))
    towers = TwoTower(
        lambda pixels: pixels.mean(dim=(2, 3)).numpy() @ weights.T + 0.1,
        lambda ids: np.eye(8)[np.asarray(ids) % 8].mean(axis=1),
        5.0,
        preprocess=lambda picture: np.asarray(picture.resize((32, 32)), float).transpose(2, 0, 1) / 255,
        tokenize=lambda text: [[1, *(2 + len(word) for word in text.split()), 9]],
        grid=(4, 4),
        hidden_token=0,
        version="1",
    )
    fixlip(VisionLanguageGame(towers, HERO.image, "a red bus", progress=False))
    print("own towers", flush=True)


if __name__ == "__main__":
    for embedded in models.SOUND:
        hide_tokens(embedded)
        explain(embedded)
    own_towers()
