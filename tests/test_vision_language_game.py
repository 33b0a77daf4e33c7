"""The vision-language game against the unmasked model and against masking by hand."""

from __future__ import annotations

import json
from functools import partial

import numpy as np
import pytest
import torch
from PIL import Image
from stand_ins import CAPTION, FAMILIES, noise_image, small_model
from test_masking import drop_by_hand, filler_by_hand, normalise, paint_by_hand

from fixlip_helpers import encoding, masking, models
from fixlip_helpers.encoders.vision_language import VisionLanguageGame
from fixlip_helpers.games import TwoSidedGame
from fixlip_helpers.models import load_model

EMBEDDED = [
    pytest.param(
        name,
        marks=pytest.mark.skipif(
            not (models.ASSETS / name / "config.json").is_file(), reason=f"{name} is not in the assets"
        ),
    )
    for name in models.EMBEDDED
]


@pytest.fixture(scope="module", params=FAMILIES)
def model(request):
    return small_model(request.param)


def some_coalitions(game, m=12, seed=0) -> np.ndarray:
    rows = np.random.default_rng(seed).random((m, game.n_players)) < 0.5
    rows[0], rows[1] = True, False
    rows[2, game.n_image :], rows[3, : game.n_image] = True, True
    return rows


def value_by_hand(model, coalition, removal) -> float:
    """Paint the picture in colours, mask the tokens, and ask the network itself for its logit."""
    n = model.n_patches
    painted = paint_by_hand(noise_image(), coalition[:n], filler_by_hand(removal, model))
    pixels = torch.from_numpy(normalise(model, painted)).float()[None]
    caption = model.tokenize(CAPTION)
    mask = torch.ones_like(caption.input_ids)
    for position, kept in zip(caption.players, coalition[n:], strict=True):
        mask[0, position] = int(kept)
    with torch.no_grad():
        out = model.network(input_ids=caption.input_ids, attention_mask=mask, pixel_values=pixels)
    return float(out.logits_per_image)


# --- Values -------------------------------------------------------------------------------


@pytest.mark.parametrize("removal", ["mean", "constant", "blur"])
def test_every_coalition_is_masking_by_hand(model, removal):
    game = VisionLanguageGame(model, noise_image(), CAPTION, removal=removal)
    coalitions = some_coalitions(game)
    values = game(coalitions)
    assert values.shape == (12,) and values.dtype == np.float64
    expected = [value_by_hand(model, coalition, removal) for coalition in coalitions]
    np.testing.assert_allclose((values - expected) / game.scale, 0, atol=1e-5)
    assert np.std(values) > 100 * 1e-5 * game.scale  # there is something to get wrong


def test_every_coalition_is_dropping_by_hand(model):
    """Batches are cut by size: each row must come back to its own place."""
    game = VisionLanguageGame(model, noise_image(), CAPTION, removal="drop", batch_size=3)
    coalitions = some_coalitions(game, m=20)[:, :16]
    coalitions = coalitions[coalitions.any(axis=1)]
    ours = game.encode_images(coalitions)
    expected = [drop_by_hand(model, game.picture.pixels, keep).numpy() for keep in coalitions]
    np.testing.assert_allclose(ours, expected, atol=1e-5)


@pytest.mark.parametrize("removal", ["mean", "constant", "blur", "drop"])
def test_the_full_coalition_is_the_unmasked_model(model, removal):
    game = VisionLanguageGame(model, noise_image(150, 90), CAPTION, removal=removal)
    picture, caption = model.prepare_image(noise_image(150, 90)), model.tokenize(CAPTION)
    own = model.network(input_ids=caption.input_ids, pixel_values=picture.pixels[None])
    cosine = float(own.image_embeds[0] @ own.text_embeds[0])
    assert (game.full_value() - game.bias) / game.scale == pytest.approx(cosine, abs=1e-5)
    assert game.full_value() == pytest.approx(float(own.logits_per_image), abs=1e-5 * game.scale)


@pytest.mark.parametrize("name", EMBEDDED)
@pytest.mark.parametrize("removal", ["mean", "constant", "blur", "drop"])
def test_the_embedded_models_too(name, removal):
    embedded = load_model(name)
    game = VisionLanguageGame(embedded, noise_image(128, 128), "a dog", removal=removal)
    picture, caption = embedded.prepare_image(noise_image(128, 128)), embedded.tokenize("a dog")
    own = embedded.network(input_ids=caption.input_ids, pixel_values=picture.pixels[None])
    assert game.full_value() == pytest.approx(float(own.logits_per_image), abs=1e-5 * game.scale)
    assert (game.n_image, game.n_text) == (64, 2)
    assert game.empty_value() != pytest.approx(game.full_value(), abs=1e-3)


def test_values_are_inner_products_of_the_two_sides(model):
    game = VisionLanguageGame(model, noise_image(), CAPTION)
    coalitions = some_coalitions(game)
    f = game.encode_images(coalitions[:, : game.n_image])
    g = game.encode_texts(coalitions[:, game.n_image :])
    assert f.dtype == g.dtype == np.float32 and f.shape == g.shape == (12, f.shape[1])
    for embeddings in (f, g):
        np.testing.assert_allclose(np.linalg.norm(embeddings, axis=1), 1, atol=1e-5)
    by_sides = game.scale * (f.astype(float) * g).sum(axis=1) + game.bias
    np.testing.assert_allclose(game(coalitions), by_sides, atol=1e-5 * game.scale)


@pytest.mark.parametrize("removal", ["mean", "drop"])
def test_coalitions_are_split_over_devices(removal):
    """Two copies on one CPU stand for two GPUs: the numbers are those of one, and both do work."""
    one, two = load_model("mini-clip"), load_model("mini-clip", devices=["cpu", "cpu"])
    assert len(two.replicas) == 1 and two.replicas[0].network is not two.network
    alone, split = (
        VisionLanguageGame(model, noise_image(128, 128), "a red dog", removal=removal, image_players=(4, 4))
        for model in (one, two)
    )
    coalitions = some_coalitions(alone, 13)
    np.testing.assert_allclose(split(coalitions), alone(coalitions), atol=1e-4)
    assert split.image_passes == alone.image_passes and split.identity() == alone.identity()
    calls = []
    two.replicas[0].embed_tokens, real = (
        lambda *inputs: calls.append(len(inputs[0])) or real(*inputs),
        two.replicas[0].embed_tokens,
    )
    split.encode_texts(coalitions[:, 16:])
    assert sum(calls) == 6


def test_a_float64_model_plays_in_float64():
    model = small_model("clip")
    single = VisionLanguageGame(model, noise_image(), CAPTION)
    coalitions = some_coalitions(single)
    values = single(coalitions)
    model.network.double()
    double = VisionLanguageGame(model, noise_image(), CAPTION)
    assert double.encode_images(coalitions[:, :16]).dtype == np.float64
    np.testing.assert_allclose(double(coalitions), values, atol=1e-5 * double.scale)


def test_any_layout_of_coalitions_in_memory(recwarn):
    """Read-only, reversed and transposed arrays are what designs and their slices look like."""
    game = VisionLanguageGame(small_model("clip"), noise_image(), CAPTION)
    coalitions = some_coalitions(game)
    values = game(coalitions)
    frozen = coalitions.copy()
    frozen.flags.writeable = False
    np.testing.assert_allclose(game(frozen), values, atol=1e-4)
    for layout in (frozen[::-1], np.asfortranarray(frozen)[::-1]):
        np.testing.assert_allclose(game(layout), values[::-1], atol=1e-4)
        f = game.encode_images(layout[:, :16])
        np.testing.assert_allclose(f, game.encode_images(coalitions[:, :16])[::-1], atol=1e-5)
        game.encode_texts(layout[:, 16:])
    assert not recwarn.list


@pytest.mark.parametrize("removal", ["mean", "drop"])
@pytest.mark.parametrize("batch_size", [1, 7, 100])
def test_batches_change_nothing(model, removal, batch_size):
    reference = VisionLanguageGame(model, noise_image(), CAPTION, removal=removal)
    game = VisionLanguageGame(model, noise_image(), CAPTION, removal=removal, batch_size=batch_size)
    coalitions = some_coalitions(game, m=40)
    np.testing.assert_allclose(
        game.encode_images(coalitions[:, :16]), reference.encode_images(coalitions[:, :16]), atol=1e-5
    )
    np.testing.assert_allclose(
        game.encode_texts(coalitions[:, 16:]), reference.encode_texts(coalitions[:, 16:]), atol=1e-5
    )


def test_removals_are_different_games(model):
    """They share the full value and little else."""
    removals = ["mean", "constant", "blur", "drop", partial(masking.constant, colour="white")]
    played = [VisionLanguageGame(model, noise_image(), CAPTION, removal=r) for r in removals]
    values = np.array([game(some_coalitions(game)[4:]) for game in played])
    for i in range(len(played)):
        assert played[i].full_value() == pytest.approx(played[0].full_value(), abs=1e-5 * played[0].scale)
        for j in range(i):
            assert np.abs(values[i] - values[j]).max() > 1e-3 * played[0].scale


# --- What a game knows --------------------------------------------------------------------


def test_it_is_a_two_sided_game(model):
    game = VisionLanguageGame(model, noise_image(100, 80), CAPTION)
    assert isinstance(game, TwoSidedGame)
    n_text = len(model.tokenize(CAPTION).players)
    assert (game.n_image, game.n_text, game.n_players) == (16, n_text, 16 + n_text)
    assert game.players[6] == "patch 1,2" and game.players[16:] == model.tokenize(CAPTION).names
    assert len(game.players) == game.n_players
    assert (game.scale, game.bias) == (model.scale, model.bias)
    assert json.loads(json.dumps(game.meta)) == game.meta
    assert game.meta["grid"] == [4, 4] and game.meta["removal"] == "mean" and game.meta["caption"] == CAPTION
    word, players = game.meta["words"][-1]
    assert word == "hydrant" and [game.players[i] for i in players] == game.players[players[0] :]
    assert game.picture.original.size == (100, 80) and game.picture.seen.size == (64, 64)


def test_prepared_pictures_and_captions_are_taken_as_they_are(model, tmp_path):
    picture, caption = model.prepare_image(noise_image()), model.tokenize(CAPTION)
    game = VisionLanguageGame(model, picture, caption)
    assert game.picture is picture and game.caption is caption
    Image.fromarray(noise_image()).save(tmp_path / "noise.png")
    from_file = VisionLanguageGame(model, tmp_path / "noise.png", CAPTION)
    assert from_file.full_value() == pytest.approx(game.full_value(), abs=1e-5 * game.scale)


def test_passes_are_counted(model):
    game = VisionLanguageGame(model, noise_image(), CAPTION, batch_size=5)
    assert (game.image_passes, game.text_passes) == (0, 0)
    coalitions = some_coalitions(game, m=13)
    game.encode_images(coalitions[:, :16])
    game.encode_texts(coalitions[:4, 16:])
    assert (game.image_passes, game.text_passes) == (13, 4)
    game.full_value()
    game.empty_value()
    assert (game.image_passes, game.text_passes) == (15, 6)


@pytest.mark.parametrize("removal", ["mean", "blur", "drop"])
def test_the_counts_are_what_the_encoders_really_did(model, removal):
    """Rows that enter the first layer of each encoder; equal halves of coalitions are encoded once."""
    seen = {"vision_model": 0, "text_model": 0}
    hooks = []
    for tower in seen:

        def count(layer, args, kwargs, tower=tower):
            seen[tower] += (args or (kwargs["hidden_states"],))[0].shape[0]

        layer = getattr(model.network, tower).encoder.layers[0]
        hooks.append(layer.register_forward_pre_hook(count, with_kwargs=True))
    game = VisionLanguageGame(model, noise_image(), CAPTION, removal=removal, batch_size=4)
    coalitions = np.repeat(some_coalitions(game, m=10), 3, axis=0)
    game(coalitions)
    for hook in hooks:
        hook.remove()
    # among the ten, rows 0 and 3 share their picture half, rows 0 and 2 their text half
    assert (game.image_passes, game.text_passes) == (9, 9) == (seen["vision_model"], seen["text_model"])


# --- Progress -----------------------------------------------------------------------------


class Clock:
    """Time that passes by a fixed amount for each look at it."""

    def __init__(self, step):
        self.now, self.step = 0.0, step

    def __call__(self):
        self.now += self.step
        return self.now


@pytest.mark.parametrize(
    "seconds_a_batch, progress, bars", [(0.15, True, 0), (0.3, True, 1), (0.3, False, 0), (5.0, True, 1)]
)
def test_a_bar_appears_only_if_more_than_two_seconds_are_expected(
    monkeypatch, seconds_a_batch, progress, bars
):
    made = []

    class Bar:
        def __init__(self, total, initial, **options):
            self.total, self.n, self.closed = total, initial, False
            made.append(self)

        def update(self, n):
            self.n += n

        def close(self):
            self.closed = True

    monkeypatch.setattr(encoding, "tqdm", Bar)
    monkeypatch.setattr(encoding, "perf_counter", Clock(seconds_a_batch))
    game = VisionLanguageGame(small_model("clip"), noise_image(), CAPTION, batch_size=4, progress=progress)
    game.encode_images(some_coalitions(game, m=40)[:, :16])  # ten batches
    assert len(made) == bars
    assert all(bar.n == bar.total == 40 and bar.closed for bar in made)


def test_a_quick_game_prints_nothing(capfd):
    game = VisionLanguageGame(small_model("clip"), noise_image(), CAPTION)
    game(some_coalitions(game))
    assert capfd.readouterr() == ("", "")


# --- Errors -------------------------------------------------------------------------------


@pytest.mark.parametrize("batch_size", [0, -1, 2.5, None])
def test_odd_batch_sizes_are_refused(batch_size):
    with pytest.raises(ValueError, match="batch_size is"):
        VisionLanguageGame(small_model("clip"), noise_image(), CAPTION, batch_size=batch_size)


def test_odd_inputs_are_refused():
    clip = small_model("clip")
    with pytest.raises(ValueError, match="removal is 'erase'"):
        VisionLanguageGame(clip, noise_image(), CAPTION, removal="erase")
    with pytest.raises(ValueError, match="caption is empty"):
        VisionLanguageGame(clip, noise_image(), "")
    with pytest.raises(ValueError, match="no such file"):
        VisionLanguageGame(clip, "nowhere.png", CAPTION)
    game = VisionLanguageGame(clip, noise_image(), CAPTION)
    for encode, n in ((game.encode_images, 16), (game.encode_texts, 8), (game, 24)):
        with pytest.raises(ValueError, match=rf"expected \(m, {n}\)"):
            encode(np.ones((3, n + 1), bool))
        with pytest.raises(ValueError, match="other than 0 and 1"):
            encode(np.full((3, n), 0.5))
        with pytest.raises(ValueError, match="at least one coalition"):
            encode(np.ones((0, n), bool))
