"""Encoding in batches: what happens when memory runs out, and when a number is none."""

from __future__ import annotations

from unittest.mock import patch

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from stand_ins import CAPTION, noise_image, small_model

from fixlip_helpers import masking
from fixlip_helpers.encoders.vision_language import VisionLanguageGame
from fixlip_helpers.encoding import check_finite, encode_in_batches
from fixlip_helpers.games import EmbeddingTableGame, random_embeddings

ALLOCATORS = [
    torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has ..."),
    RuntimeError("MPS backend out of memory (MPS allocated: 17.9 GB, ...)"),
    RuntimeError(
        "[enforce fail at alloc_cpu.cpp:117] err == 0. DefaultCPUAllocator: can't allocate memory: you tried to "
        "allocate 4000000000000 bytes. Error code 12 (Cannot allocate memory)"
    ),
    RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate 4000000000000 bytes."),
    MemoryError(),
]


class SmallMemory:
    """An encoder of row numbers that fails for batches above ``most``, and counts what it did."""

    def __init__(self, most: int, error: Exception = ALLOCATORS[0]) -> None:
        self.most, self.error, self.sizes = most, error, []

    def __call__(self, rows: np.ndarray) -> np.ndarray:
        if len(rows) > self.most:
            raise self.error
        self.sizes.append(len(rows))
        return np.stack([rows, rows**2], axis=1).astype(np.float32)


# --- Out of memory ------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore:out of memory")
@patch("fixlip_helpers.encoding._release_memory")  # collecting garbage takes a quarter of a second each time
@given(st.integers(1, 60), st.integers(1, 32), st.integers(1, 32), st.randoms(use_true_random=False))
def test_every_row_is_encoded_once_whatever_fits(_, n, batch, most, shuffled):
    encoder, rows = SmallMemory(most), np.array(shuffled.sample(range(n), n))
    embeddings, worked = encode_in_batches([rows[: n // 3], rows[n // 3 :]][n < 3 :], encoder, batch)
    np.testing.assert_array_equal(embeddings, np.stack([np.arange(n), np.arange(n) ** 2], axis=1))
    assert sum(encoder.sizes) == n and max(encoder.sizes) <= min(batch, most)
    assert worked <= batch and (worked == batch or worked <= most)


@pytest.mark.parametrize("error", ALLOCATORS, ids=["cuda", "mps", "cpu", "cpu, other words", "python"])
def test_batches_are_halved_and_nothing_is_lost(error):
    encoder = SmallMemory(5, error)
    with pytest.warns(UserWarning, match="out of memory with") as told:
        embeddings, worked = encode_in_batches([np.arange(50)], encoder, 16, "image passes")
    assert worked == 4 and encoder.sizes == [4] * 12 + [2] and len(embeddings) == 50
    assert [str(w.message) for w in told] == [
        f"out of memory with {size} image passes at a time; going on with {size // 2}" for size in (16, 8)
    ]


def test_not_even_one_row_fits():
    with (
        pytest.warns(UserWarning),
        pytest.raises(MemoryError, match=r"one of the text passes.*CUDA out of memory"),
    ):
        encode_in_batches([np.arange(4)], SmallMemory(0), 4, "text passes")


def test_other_errors_are_not_ours():
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
        encode_in_batches([np.arange(4)], SmallMemory(0, RuntimeError("shapes cannot be multiplied")), 4)


def test_a_real_allocation_that_cannot_succeed_counts_as_out_of_memory():
    def encode(rows):
        torch.empty(len(rows), 10**17)  # the CPU's allocator refuses: 400 petabytes

    with pytest.warns(UserWarning), pytest.raises(MemoryError, match="one of the passes"):
        encode_in_batches([np.arange(2)], encode, 2)


@pytest.mark.parametrize("removal", ["mean", "drop"])
def test_a_game_goes_on_and_remembers_the_batch_that_worked(monkeypatch, removal):
    model = small_model("mini-clip")
    reference = VisionLanguageGame(model, noise_image(), CAPTION, removal=removal)
    coalitions = np.random.default_rng(0).random((40, reference.n_players)) < 0.5
    expected, attempts = reference(coalitions), []
    inner = masking.Painting if removal == "mean" else masking.Dropping
    encode = inner.encode

    def small(self, keep):
        attempts.append(len(keep))
        if len(keep) > 3:
            raise ALLOCATORS[0]
        return encode(self, keep)

    monkeypatch.setattr(inner, "encode", small)
    game = VisionLanguageGame(model, noise_image(), CAPTION, removal=removal)
    with pytest.warns(UserWarning, match="image passes at a time"):
        np.testing.assert_allclose(game(coalitions), expected, atol=1e-4)
    assert 1 <= game.batch_sizes["image"] <= 3 and game.batch_sizes["text"] == game.batch_size == 64
    attempts.clear()
    game.encode_images(coalitions[:, :16])
    assert max(attempts) <= 3  # no second time
    assert game.image_passes == 80


# --- NaN ----------------------------------------------------------------------------------


def test_the_first_bad_coalition_is_named():
    coalitions = np.array([[True, True, True], [True, False, True], [False, False, False]])
    embeddings = np.ones((3, 4))
    check_finite(embeddings, coalitions, ["a", "b", "c"], "the encoder")
    embeddings[1:, 2] = np.nan, np.inf
    with pytest.raises(ValueError, match=r"the encoder gave NaN .* 2 visible of 3 players: 'a', 'c'\. Try"):
        check_finite(embeddings, coalitions, ["a", "b", "c"], "the encoder", "Try again")
    with pytest.raises(ValueError, match=r"gave an infinite number .* 0 visible of 3 players\.$"):
        check_finite(embeddings[2:, 2], coalitions[2:], ["a", "b", "c"], "the encoder")


def test_long_coalitions_are_cut_short():
    with pytest.raises(ValueError, match=r"10 visible of 10 players: 'p0', .*, 'p7' and 2 more"):
        check_finite(np.array([np.nan]), np.ones((1, 10), bool), [f"p{i}" for i in range(10)], "it")


@pytest.mark.parametrize("side", ["image", "text"])
def test_an_encoder_that_gives_nan_is_named_with_its_side(monkeypatch, side):
    model = small_model("mini-clip")
    name = "embed_pixels" if side == "image" else "embed_tokens"
    inner, game = getattr(model, name), VisionLanguageGame(model, noise_image(), "a red dog", batch_size=2)
    calls = []

    def broken(*given):
        calls.append(1)
        return inner(*given) * (torch.nan if len(calls) == 2 else 1)

    monkeypatch.setattr(model, name, broken)
    rows = np.eye(game.n_image if side == "image" else 3, dtype=bool)
    third = "patch 0,2" if side == "image" else "dog"
    with pytest.raises(ValueError, match=rf"the {side} encoder of 'small-mini-clip' gave NaN .*: '{third}'"):
        getattr(game, f"encode_{side}s")(rows)


def test_overflow_in_float16_comes_with_advice():
    model = small_model("clip")
    model.network.half()
    with torch.no_grad():
        model.network.visual_projection.weight.mul_(60000)
    game = VisionLanguageGame(model, noise_image(), CAPTION)
    with pytest.raises(ValueError, match=r"image encoder of .* try bfloat16 or float32"):
        game.full_value()


def test_anybodys_two_sided_game_is_checked():
    game = random_embeddings(3, 2)
    game.text_embeddings[2] = np.inf  # only the second text player
    rows = np.array([[True, False, True, True, True], [True, True, True, False, True]])
    with pytest.raises(
        ValueError, match=r"encode_texts of EmbeddingTableGame gave an infinite .*: 'text player 1'"
    ):
        game(rows)
    assert np.isfinite(game(rows[:1])).all()


def test_sides_that_do_not_fit_each_other_are_refused():
    game = random_embeddings(3, 2, d=4)
    game.text_embeddings = game.text_embeddings[:, :3]
    with pytest.raises(ValueError, match=r"image embeddings have 4 numbers, text embeddings 3"):
        game.full_value()
    flat = EmbeddingTableGame(np.ones((4, 2)), np.ones((4, 2)))
    flat.encode_images = lambda coalitions: np.ones(len(coalitions))
    with pytest.raises(ValueError, match=r"encode_images of EmbeddingTableGame gave shape \(1,\)"):
        flat.full_value()
