"""Other people's machines: a device without float64, several threads on one model, several processes on one file."""

import json
import logging
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pytest
import torch
from stand_ins import CAPTION, FAMILIES, NO_FLOAT64, Without64, noise_image, small_model

from fixlip_helpers import Checkpointed, TwoTower, VisionLanguageGame, load_model, plots
from fixlip_helpers.baselines import exclip, game_relevance, grad_eclip
from fixlip_helpers.coalitions import draw
from fixlip_helpers.explanation import Explanation
from fixlip_helpers.files import written_whole
from fixlip_helpers.games import random_embeddings
from fixlip_helpers.masking import REMOVALS
from fixlip_helpers.models import VisionLanguageModel, _placed
from fixlip_helpers.scenes import examples

ROOT = Path(__file__).resolve().parent.parent


# --- A device without float64 -----------------------------------------------------------------------------------


@pytest.fixture
def no_float64(monkeypatch):
    """A device that refuses float64; what wraps tensors cannot slice them in inference mode, which is left out."""
    monkeypatch.setattr(torch, "inference_mode", torch.no_grad)
    with Without64():
        yield NO_FLOAT64


def test_the_device_refuses_float64(no_float64):
    numbers = torch.ones(2, device=no_float64)
    assert numbers.device.type == no_float64 and (2 * numbers).cpu().tolist() == [2, 2]
    for refused in (
        lambda: numbers.double(),
        lambda: torch.zeros(2, dtype=torch.float64, device=no_float64),
        lambda: torch.zeros(2, dtype=torch.float64).to(no_float64),
    ):
        with pytest.raises(TypeError, match="float64"):
            refused()


def on(device, network):
    """A model of the tests on a device."""
    network.network = _placed(network.network, torch.device(device), torch.float32)
    return network


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_scores_and_is_explained_without_float64(family, no_float64):
    here, there = small_model(family), on(no_float64, small_model(family))
    image = noise_image()
    assert there.score(image, CAPTION) == pytest.approx(here.score(image, CAPTION), abs=1e-4)  # float32
    for removal in REMOVALS:
        both = [VisionLanguageGame(model, image, CAPTION, removal=removal) for model in (here, there)]
        rows = draw(both[0].n_players, 0.5, 6, seed=1)
        np.testing.assert_allclose(both[1](rows), both[0](rows), atol=1e-4)
    for method in (game_relevance, grad_eclip):
        np.testing.assert_allclose(
            method(there, image, CAPTION).main, method(here, image, CAPTION).main, atol=1e-4
        )


def test_an_embedded_model_loads_without_float64_and_float64_is_refused_in_words(no_float64):
    hero = examples()["hero"]
    there = load_model("mini-clip", device=no_float64)
    assert there.score(hero.image, hero.caption) == pytest.approx(
        load_model("mini-clip").score(hero.image, hero.caption), abs=1e-4
    )
    with pytest.raises(ValueError, match=f"'float64', which device '{no_float64}' has not; take 'float32'"):
        load_model("mini-clip", device=no_float64, dtype="float64")


def test_two_towers_run_without_float64(no_float64):
    class Towers(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = torch.nn.Parameter(torch.arange(24.0).reshape(8, 3).sin())

        def encode_image(self, pixels):
            return pixels.mean(dim=(2, 3)) @ self.weight.T + 0.1

        def encode_text(self, ids):
            return self.weight[ids % 8].mean(dim=1) @ self.weight.T

    def towers(device):
        network = Towers().to(device)
        return TwoTower(
            network.encode_image,
            network.encode_text,
            5.0,
            preprocess=lambda picture: np.asarray(picture.resize((32, 32)), float).transpose(2, 0, 1) / 255,
            tokenize=lambda text: [[1, *(2 + len(word) for word in text.split()), 9]],
            grid=(4, 4),
            hidden_token=0,
        )

    here, there = towers("cpu"), towers(no_float64)
    assert there.device.type == no_float64
    for removal in ("mean", "constant", "blur"):
        both = [VisionLanguageGame(m, noise_image(), CAPTION, removal=removal) for m in (here, there)]
        rows = draw(both[0].n_players, 0.5, 6, seed=1)
        np.testing.assert_allclose(both[1](rows), both[0](rows), atol=1e-4)


# --- Implementations of attention -------------------------------------------------------------------------------


@pytest.mark.parametrize("family", FAMILIES)
def test_a_hidden_token_gives_one_value_under_every_attention(family):
    model = small_model(family)
    caption = model.tokenize(CAPTION)
    mask = caption.attention_mask.clone()
    mask[0, caption.players[1]] = mask[0, caption.players[-1]] = 0
    rows = {}
    for attention in ("eager", "sdpa"):
        network = type(model.network)._from_config(model.network.config, attn_implementation=attention)
        network.load_state_dict(model.network.state_dict())
        other = VisionLanguageModel(network, model.tokenizer, model.image_processor)
        with torch.no_grad():
            rows[attention] = other.embed_tokens(caption.input_ids, mask)
            visible = other.embed_tokens(caption.input_ids, caption.attention_mask)
        assert (visible - rows[attention]).abs().max() > 1e-4
    torch.testing.assert_close(rows["eager"], rows["sdpa"], atol=1e-5, rtol=0)


# --- Threads --------------------------------------------------------------------------------------------------------


def at_once(*functions, times: int = 1) -> list:
    """Results of functions that all start at the same moment, each in a thread of its own."""
    gate = threading.Barrier(len(functions) * times)

    def go(function):
        gate.wait()
        return function()

    with ThreadPoolExecutor(len(functions) * times) as pool:
        return list(pool.map(go, functions * times))


def test_threads_that_load_models_leave_hub_and_logging_as_they_were():
    from huggingface_hub import constants
    from transformers.utils import logging as transformers_logging

    def state():
        return (
            constants.HF_HUB_OFFLINE,
            transformers_logging.get_verbosity(),
            transformers_logging.is_progress_bar_enabled(),
            logging.getLogger("transformers").level,
        )

    before = constants.HF_HUB_OFFLINE
    constants.HF_HUB_OFFLINE = False
    try:
        found = state()
        for _ in range(3):
            at_once(lambda: load_model("mini-clip"), lambda: load_model("mini-siglip"), times=2)
            assert state() == found
    finally:
        constants.HF_HUB_OFFLINE = before


@pytest.mark.parametrize("family", FAMILIES)
def test_gradient_methods_run_beside_each_other_and_beside_passes_on_one_model(family):
    model, image = small_model(family), noise_image()
    game = VisionLanguageGame(model, image, CAPTION, progress=False)
    rows = draw(game.n_players, 0.5, 64, seed=0)
    work = [
        lambda: game_relevance(model, image, CAPTION, start_layer=0).main,
        lambda: grad_eclip(model, image, CAPTION).main,
        lambda: exclip(model, image, CAPTION, steps=2).pairs,
        lambda: game(rows),
    ]
    alone = [each() for each in work]
    settings = [m.config._attn_implementation for m in model.network.modules() if hasattr(m, "config")]
    for k, found in enumerate(at_once(*work, times=3)):
        np.testing.assert_allclose(found, alone[k % 4], atol=1e-5)
    assert settings == [
        m.config._attn_implementation for m in model.network.modules() if hasattr(m, "config")
    ]
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.network.modules())


def test_threads_that_draw_leave_matplotlib_as_it_was():
    inside = threading.Event()

    def first():
        with plots.own_style():
            inside.set()
            second.start()
            # without a lock the second one would by now have kept the style of the first as the user's
            second.join(0.3)

    def other():
        with plots.own_style():
            pass

    second = threading.Thread(target=other)
    with mpl.rc_context({"font.size": 7.5}):
        first()
        second.join()
        assert inside.is_set() and mpl.rcParams["font.size"] == 7.5


# --- Processes and files ----------------------------------------------------------------------------------------------


def test_threads_that_write_one_file_leave_one_of_them_whole(tmp_path):
    explanations = [
        Explanation(
            float(k), 0.0, np.zeros(6), np.zeros((6, 6)), "FWBII", 0.5, list("abcdef"), 3, 3, {"k": k}
        )
        for k in range(4)
    ]
    path = tmp_path / "explanation.json"
    for _ in range(5):
        at_once(*(lambda e=e: e.save(path) for e in explanations), times=2)
        assert Explanation.load(path).baseline in range(4)
        assert [file.name for file in tmp_path.iterdir()] == [path.name]


def test_a_name_that_is_taken_meanwhile_is_not_overwritten(tmp_path):
    path = tmp_path / "once"
    with pytest.raises(FileExistsError), written_whole(path, new=True) as part:
        part.write_text("late")
        path.write_text("first")
    assert path.read_text() == "first" and [file.name for file in tmp_path.iterdir()] == ["once"]


PROCESS = """
import sys
from fixlip_helpers import Checkpointed
from fixlip_helpers.coalitions import draw
from fixlip_helpers.games import random_embeddings
game = random_embeddings(7, 5, seed=int(sys.argv[2]))
print("ready", flush=True)
sys.stdin.readline()
kept = Checkpointed(game, sys.argv[1], block_size=4, identity={"seed": sys.argv[2]})
kept.encode_images(draw(7, 0.5, 100, seed=1))
"""


def started(folder, seed):
    process = subprocess.Popen(
        [sys.executable, "-c", PROCESS, str(folder), str(seed)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT,
    )  # fmt: skip
    assert process.stdout.readline() == "ready\n"
    return process


def test_processes_share_a_checkpoint_and_of_two_games_one_is_refused(tmp_path):
    processes = [started(tmp_path / "shared", 0) for _ in range(3)]
    processes += [started(tmp_path / "two", seed) for seed in (0, 1)]
    for process in processes:
        process.stdin.write("\n")
        process.stdin.flush()
    said = [process.communicate()[1] for process in processes]
    codes = [process.returncode for process in processes]
    assert codes[:3] == [0, 0, 0], said[:3]
    assert sorted(codes[3:]) == [0, 1] and "belongs to another run: seed" in "".join(said[3:])
    game, rows = random_embeddings(7, 5, seed=0), draw(7, 0.5, 100, seed=1)
    kept = Checkpointed(game, tmp_path / "shared", identity={"seed": "0"})
    assert kept.stored("image") == len(np.unique(rows, axis=0))
    np.testing.assert_array_equal(kept.encode_images(rows), game.encode_images(rows))
    assert not [file for file in tmp_path.rglob("*.part")]
    seed = json.loads((tmp_path / "two" / "game.json").read_text(encoding="utf-8"))["game"]["seed"]
    assert codes[3 + int(seed)] == 0
