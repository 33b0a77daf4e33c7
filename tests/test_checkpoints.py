"""Checkpoints: killed and started again, damaged, of another run, on a full disk."""

from __future__ import annotations

import errno
import json
import os
import random
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from stand_ins import CAPTION, noise_image, small_model

from fixlip_helpers import Checkpointed, TwoSidedGame, VisionLanguageGame, checkpoints, fixlip, masking
from fixlip_helpers.coalitions import draw
from fixlip_helpers.games import random_embeddings

TESTS = Path(__file__).parent


class Counting:
    """A two-sided game that counts the coalitions that it is asked to encode."""

    def __init__(self, game) -> None:
        self.game, self.asked = game, {"image": 0, "text": 0}
        self.n_image, self.n_text, self.n_players = game.n_image, game.n_text, game.n_players
        self.scale, self.bias = game.scale, game.bias
        self.identity = game.identity

    def encode_images(self, coalitions):
        self.asked["image"] += len(coalitions)
        return self.game.encode_images(coalitions)

    def encode_texts(self, coalitions):
        self.asked["text"] += len(coalitions)
        return self.game.encode_texts(coalitions)

    def __call__(self, coalitions):
        return self.game(coalitions)


@pytest.fixture
def table():
    return random_embeddings(7, 3, d=5)


def files(folder, kind="*"):
    return sorted(path for path in Path(folder).glob(f"{kind}-*.safetensors"))


# --- What it is ---------------------------------------------------------------------------


def test_it_is_the_game_and_encodes_every_coalition_once(tmp_path, table):
    game = Counting(table)
    kept = Checkpointed(game, tmp_path / "run", block_size=16)
    assert isinstance(kept, TwoSidedGame)
    coalitions = draw(10, 0.5, 300, seed=1)
    np.testing.assert_allclose(kept(coalitions), table(coalitions))
    distinct = {side: len(np.unique(half, axis=0)) for side, half in
                (("image", coalitions[:, :7]), ("text", coalitions[:, 7:]))}  # fmt: skip
    assert game.asked == distinct == {side: kept.stored(side) for side in distinct}
    assert len(files(tmp_path / "run", "image")) == -(-distinct["image"] // 16)
    kept(coalitions)
    assert game.asked == distinct


def test_another_design_reuses_what_is_there(tmp_path, table):
    Checkpointed(table, tmp_path).encode_images(draw(7, 0.5, 40, seed=1))
    game = Counting(table)
    later = Checkpointed(game, tmp_path)
    there = later.stored("image")
    rows = draw(7, 0.3, 60, seed=2)
    np.testing.assert_array_equal(later.encode_images(rows), table.encode_images(rows))
    assert game.asked["image"] == later.stored("image") - there < len(np.unique(rows, axis=0))


def test_a_repeated_coalition_is_one_row_of_the_block(tmp_path, table):
    rows = np.ones((5, 7), dtype=bool)
    game = Counting(table)
    assert Checkpointed(game, tmp_path).encode_images(rows).shape == (5, 5)
    assert game.asked["image"] == 1


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_embeddings_keep_their_type(tmp_path, table, dtype):
    table.image_embeddings = table.image_embeddings.astype(dtype)
    rows = draw(7, 0.5, 9)
    assert Checkpointed(table, tmp_path).encode_images(rows).dtype == dtype
    again = Checkpointed(table, tmp_path).encode_images(rows)
    assert again.dtype == dtype
    np.testing.assert_array_equal(again, table.encode_images(rows))


# --- Killed -------------------------------------------------------------------------------

# A child that explains a small model's score slowly enough to be killed in between.
CHILD = """
import sys, time
sys.path.insert(0, sys.argv[2])
from stand_ins import CAPTION, noise_image, small_model
from fixlip_helpers import Checkpointed, VisionLanguageGame, fixlip
from fixlip_helpers import masking
encode = masking.Painting.encode
masking.Painting.encode = lambda self, keep: (time.sleep(0.02), encode(self, keep))[1]
game = VisionLanguageGame(small_model("mini-clip"), noise_image(), CAPTION, batch_size=16)
kept = Checkpointed(game, sys.argv[1], block_size=32)
fixlip(kept, n_image_coalitions=400, n_held_out=16).save(sys.argv[1] + ".json")
"""


def kill_and_go_on(folder, kills: int, seed: int) -> None:
    """Start a child, kill it at a random moment of its work; after the last one let it finish here."""
    dice = random.Random(seed)
    child_command = [sys.executable, "-c", CHILD, str(folder), str(TESTS)]
    environment = {**os.environ, "PYTHONPATH": str(TESTS.parent)}
    wanted = 0
    for _ in range(kills):
        with subprocess.Popen(child_command, env=environment, stderr=subprocess.PIPE) as child:
            wanted = len(files(folder)) + 1
            while len(files(folder)) < wanted and child.poll() is None:
                time.sleep(0.002)
            time.sleep(dice.uniform(0, 0.15 if kills < 5 else 0.03))
            child.kill()
            assert b"Traceback" not in child.stderr.read()
    model = small_model("mini-clip")
    arguments = {"n_image_coalitions": 400, "n_held_out": 16}
    uninterrupted = VisionLanguageGame(model, noise_image(), CAPTION, batch_size=16)
    expected = fixlip(Checkpointed(uninterrupted, folder.with_name("whole"), block_size=32), **arguments)
    game = VisionLanguageGame(model, noise_image(), CAPTION, batch_size=16)
    kept = Checkpointed(game, folder, block_size=32)
    done = kept.stored("image")
    finished = fixlip(kept, **arguments)
    assert 0 < done and done + game.image_passes == uninterrupted.image_passes  # only what was missing
    np.testing.assert_array_equal(finished.main, expected.main)
    np.testing.assert_array_equal(finished.pairs, expected.pairs)
    assert finished.baseline == expected.baseline
    assert [path.name for path in files(folder)] == [path.name for path in files(folder.with_name("whole"))]


def test_killed_twice_and_finished_is_bit_identical(tmp_path):
    kill_and_go_on(tmp_path / "killed", kills=2, seed=int(time.time()))


@pytest.mark.slow
def test_killed_twenty_times(tmp_path):
    for start in range(4):  # five kills of each of four runs: more, and a run would be over before
        (tmp_path / str(start)).mkdir()
        kill_and_go_on(tmp_path / str(start) / "killed", kills=5, seed=start)


@pytest.mark.parametrize("removal", ["mean", "drop"])
def test_a_lost_block_is_encoded_again_to_the_bit(tmp_path, removal):
    model = small_model("mini-clip")
    rows = draw(16, 0.5, 150, seed=3)

    def encode(folder):
        game = VisionLanguageGame(model, noise_image(), CAPTION, removal=removal, batch_size=16)
        return Checkpointed(game, folder, block_size=32).encode_images(rows), game.image_passes

    whole, passes = encode(tmp_path)
    names = files(tmp_path)
    assert passes == 150 and len(names) == 5
    names[2].unlink()
    again, passes = encode(tmp_path)
    assert passes in (32, 150 - 4 * 32)
    np.testing.assert_array_equal(again, whole)
    assert files(tmp_path) == names


# --- Damaged ------------------------------------------------------------------------------


def flip(path, where):
    content = bytearray(path.read_bytes())
    content[where] ^= 1
    path.write_bytes(content)


DAMAGES = {
    "an embedding's bit": lambda path: flip(path, -1),
    "a bit of the header": lambda path: flip(path, 12),
    "half of it": lambda path: path.write_bytes(path.read_bytes()[: path.stat().st_size // 2]),
    "everything": lambda path: path.write_bytes(b""),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_block_is_noticed_and_encoded_again(tmp_path, table, damage):
    rows = draw(7, 0.5, 60, seed=4)
    expected = Checkpointed(table, tmp_path, block_size=8).encode_images(rows)
    names = files(tmp_path)
    DAMAGES[damage](names[1])
    game = Counting(table)
    with pytest.warns(UserWarning, match=f"{names[1].name} is damaged"):
        kept = Checkpointed(game, tmp_path, block_size=8)
    np.testing.assert_array_equal(kept.encode_images(rows), expected)
    assert 1 <= game.asked["image"] <= 8 and files(tmp_path) == names
    Checkpointed(table, tmp_path)  # no warning left


def test_a_block_of_another_run_is_not_believed(tmp_path, table):
    rows = draw(7, 0.5, 20)
    Checkpointed(table, tmp_path / "a").encode_images(rows)
    other = random_embeddings(7, 3, d=5, seed=1)
    Checkpointed(other, tmp_path / "b")
    (block,) = files(tmp_path / "a")
    (tmp_path / "b" / block.name).write_bytes(block.read_bytes())
    with pytest.warns(UserWarning, match="damaged"):
        kept = Checkpointed(other, tmp_path / "b")
    np.testing.assert_array_equal(kept.encode_images(rows), other.encode_images(rows))


# --- Another run --------------------------------------------------------------------------


def retrained():
    model = small_model("mini-clip")
    with torch.no_grad():
        model.network.vision_model.encoder.layers[1].mlp.fc1.weight[3, 5] += 1e-3
    return model


def half():
    model = small_model("mini-clip")
    model.network.half()
    return model


def renamed():
    model = small_model("mini-clip")
    model.name = "another"
    return model


OTHERS = {
    "weights": {"model": retrained},
    "model": {"model": renamed},
    "dtype": {"model": half},
    "image": {"image": noise_image(seed=1)},
    "caption": {"text": "red dog"},
    "removal": {"removal": "blur"},
    "emptied image": {"removal": partial(masking.constant, colour="white")},
    "image players": {"image_players": (2, 2)},
    "text players": {"text_players": [[0, 1]]},
}


def play(model=None, image=None, text=CAPTION, removal=None, **players):
    model = small_model("mini-clip") if model is None else model()
    image = noise_image() if image is None else image
    removal = masking.constant if removal is None else removal
    return VisionLanguageGame(model, image, text, removal=removal, **players)


@pytest.mark.parametrize("what", OTHERS)
def test_the_folder_of_another_run_is_refused_with_what_differs(tmp_path, what):
    Checkpointed(play(), tmp_path).encode_images(np.ones((1, 16), dtype=bool))
    with pytest.raises(ValueError, match=rf"belongs to another run: .*\b{what} .* there, .* here"):
        Checkpointed(play(**OTHERS[what]), tmp_path)
    assert Checkpointed(play(), tmp_path).stored("image") == 1


def test_folders_that_are_none_of_ours(tmp_path, table):
    (tmp_path / "file").write_text("a")
    with pytest.raises(ValueError, match="is a file; expected a folder"):
        Checkpointed(table, tmp_path / "file")
    with pytest.raises(ValueError, match="folder with other files"):
        Checkpointed(table, tmp_path)
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "game.json.part").write_text("{")  # killed while it wrote this
    Checkpointed(table, tmp_path / "run")
    record = tmp_path / "run" / "game.json"
    facts = json.loads(record.read_text())
    for text in ("{", "[]", json.dumps(facts | {"version": 99})):
        record.write_text(text)
        with pytest.raises(ValueError, match=r"game\.json is not that of a checkpoint"):
            Checkpointed(table, tmp_path / "run")


def test_a_game_without_identity_needs_one(tmp_path, table):
    game = Counting(table)
    del game.identity
    with pytest.raises(TypeError, match=r"Counting has no identity\(\)"):
        Checkpointed(game, tmp_path)
    with pytest.raises(TypeError, match="that JSON can hold"):
        Checkpointed(game, tmp_path, identity={"model": table})
    Checkpointed(game, tmp_path, identity={"version": 1})
    with pytest.raises(ValueError, match="version 1 there, 2 here"):
        Checkpointed(game, tmp_path, identity={"version": 2})


@pytest.mark.parametrize("block_size", [0, 1.5, None])
def test_odd_block_sizes_are_refused(tmp_path, table, block_size):
    with pytest.raises(ValueError, match="block_size is"):
        Checkpointed(table, tmp_path, block_size=block_size)


# --- A full disk, an interrupt ------------------------------------------------------------


def test_a_full_disk_is_a_clear_error_and_loses_nothing(tmp_path, table, monkeypatch):
    rows = draw(7, 0.5, 60, seed=5)
    synced = []

    def full(descriptor):
        synced.append(descriptor)
        if len(synced) > 3:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    kept = Checkpointed(table, tmp_path, block_size=8)
    with monkeypatch.context() as broken:
        broken.setattr(checkpoints.os, "fsync", full)
        with pytest.raises(OSError, match=r"cannot be written: the disk is full.*stays readable") as caught:
            kept.encode_images(rows)
    assert caught.value.errno == errno.ENOSPC
    assert len(files(tmp_path)) == 3 and not list(tmp_path.glob("*.part"))
    game = Counting(table)
    again = Checkpointed(game, tmp_path, block_size=8)
    assert again.stored("image") == 24
    np.testing.assert_array_equal(again.encode_images(rows), table.encode_images(rows))
    assert game.asked["image"] == len(np.unique(rows, axis=0)) - 24


def test_an_error_in_the_middle_keeps_finished_blocks(tmp_path, table):
    rows = draw(7, 0.5, 60, seed=5)
    encode, calls = table.encode_images, []

    def interrupted(coalitions):
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return encode(coalitions)

    table.encode_images = interrupted
    with pytest.raises(KeyboardInterrupt):
        Checkpointed(table, tmp_path, block_size=8).encode_images(rows)
    assert Checkpointed(table, tmp_path, block_size=8).stored("image") == 16
