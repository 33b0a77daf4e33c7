"""Ways to remove patches, each against an independent way to get the same pixels or embeddings."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
import stand_ins
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from scipy.ndimage import gaussian_filter
from stand_ins import noise_image, small_model

from fixlip_helpers import masking
from fixlip_helpers.models import VisionLanguageModel

FAMILIES = ["clip", "siglip"]


@pytest.fixture(scope="module", params=FAMILIES)
def model(request):
    return small_model(request.param)


@pytest.fixture(scope="module")
def pixels(model):
    return model.prepare_image(noise_image()).pixels


def coalitions(m: int, n: int = 16, seed: int = 0) -> np.ndarray:
    rows = np.random.default_rng(seed).random((m, n)) < 0.5
    rows[0], rows[-1] = True, False
    return rows


def paint_by_hand(image: np.ndarray, keep: np.ndarray, filler: np.ndarray, patch: int = 16) -> np.ndarray:
    """Patch by patch, in 8-bit or real colours (H, W, 3)."""
    painted = np.array(image, dtype=float)
    columns = image.shape[1] // patch
    for i, kept in enumerate(keep):
        if not kept:
            rows, cols = (slice(patch * k, patch * (k + 1)) for k in divmod(i, columns))
            painted[rows, cols] = np.broadcast_to(filler, painted.shape)[rows, cols]
    return painted


def normalise(model: VisionLanguageModel, colours: np.ndarray) -> np.ndarray:
    """Colours in 0 to 255, (H, W, 3), as the encoder gets them, (3, H, W)."""
    mean, std = np.array(model.image_processor.image_mean), np.array(model.image_processor.image_std)
    return ((colours / 255 - mean) / std).transpose(2, 0, 1)


# --- Painting -----------------------------------------------------------------------------


def filler_by_hand(name: str, model: VisionLanguageModel) -> np.ndarray:
    image = noise_image().astype(float)
    return {
        "mean": 255 * np.array(model.image_processor.image_mean),
        "constant": np.zeros(3),
        "blur": gaussian_filter(image, (16, 16, 0), mode="nearest", truncate=3),
        "red": np.array([255, 0, 0]),
        "blur2": gaussian_filter(image, (2.5, 2.5, 0), mode="nearest", truncate=3),
    }[name]


PAINTINGS = {
    "mean": masking.mean,
    "constant": masking.constant,
    "blur": masking.blur,
    "red": partial(masking.constant, colour="red"),
    "blur2": partial(masking.blur, sigma=2.5),
}


@pytest.mark.parametrize("name", PAINTINGS)
def test_painted_pixels_are_those_painted_by_hand(model, pixels, name):
    keep = coalitions(8)
    painted = PAINTINGS[name](model, pixels).pixels(torch.from_numpy(keep)).numpy()
    for row, result in zip(keep, painted, strict=True):
        expected = normalise(model, paint_by_hand(noise_image(), row, filler_by_hand(name, model)))
        np.testing.assert_allclose(result, expected, atol=2e-5)


@pytest.mark.parametrize("name", PAINTINGS)
def test_painted_embeddings_are_those_of_the_painted_pixels(model, pixels, name):
    keep = torch.from_numpy(coalitions(5))
    removal = PAINTINGS[name](model, pixels)
    torch.testing.assert_close(
        removal.encode(keep), model.embed_pixels(removal.pixels(keep)), atol=1e-6, rtol=0
    )


def test_mean_is_the_normalised_pixels_times_zero(model, pixels):
    """The authors' own formula."""
    keep = coalitions(4)
    mask = np.kron(keep.reshape(4, 4, 4), np.ones((16, 16)))[:, None]
    painted = masking.mean(model, pixels).pixels(torch.from_numpy(keep)).numpy()
    np.testing.assert_array_equal(painted, (pixels.numpy() * mask).astype(np.float32))


def test_colours_by_name_by_code_and_by_number_agree(model, pixels):
    fillers = [masking.constant(model, pixels, colour=c).filler for c in ("lime", "#00ff00", (0, 255, 0))]
    assert torch.equal(fillers[0], fillers[1]) and torch.equal(fillers[0], fillers[2])


@pytest.mark.parametrize("colour", ["no such colour", (1, 2), (0, 0, 256), (-1, 0, 0)])
def test_odd_colours_are_refused(model, pixels, colour):
    with pytest.raises(ValueError, match="colo"):
        masking.constant(model, pixels, colour=colour)


@pytest.mark.parametrize("sigma", [0, -1.0, np.nan, np.inf])
def test_odd_blurs_are_refused(model, pixels, sigma):
    with pytest.raises(ValueError, match=r"sigma is .*; expected a positive"):
        masking.blur(model, pixels, sigma=sigma)


def test_blur_leaves_a_flat_picture_alone_and_keeps_the_average_of_any():
    flat = torch.full((3, 20, 20), 0.7)
    torch.testing.assert_close(masking.gaussian_blur(flat, 4.0), flat)
    far = torch.zeros(3, 41, 41)
    far[:, 20, 20] = 1
    torch.testing.assert_close(masking.gaussian_blur(far, 3.0).sum(dim=(1, 2)), torch.ones(3))


def test_a_strip_too_narrow_for_a_patch_stays_visible():
    """72 pixels, patches of 16: four of them and a strip of 8 that the encoder never reads."""
    network = stand_ins.siglip_network(image_size=72)
    odd = VisionLanguageModel(network, stand_ins.siglip_tokenizer(), stand_ins.siglip_processor(72), "odd")
    assert odd.grid == (4, 4)
    mask = masking.patch_mask(torch.zeros(1, 16, dtype=torch.bool), odd)[0]
    assert not mask[:64, :64].any() and mask[64:].all() and mask[:, 64:].all()
    pixels = odd.prepare_image(noise_image(72, 72)).pixels
    ones = torch.ones(1, 16, dtype=torch.bool)
    torch.testing.assert_close(masking.mean(odd, pixels).encode(ones), odd.embed_pixels(pixels[None]))


# --- Dropping -----------------------------------------------------------------------------


def drop_by_hand(model: VisionLanguageModel, pixels: torch.Tensor, keep: np.ndarray) -> torch.Tensor:
    """All tokens stay in the sequence, but nobody may attend to dropped ones: the same at full length."""
    vision = model.network.vision_model
    tokens = vision.embeddings(pixels[None])
    visible = torch.from_numpy(np.concatenate([[True], keep] if model.family == "clip" else [keep]))
    mask = torch.zeros(1, 1, tokens.shape[1], tokens.shape[1]).masked_fill(~visible, -torch.inf)
    if model.family == "clip":
        tokens = vision.pre_layrnorm(tokens)
    for layer in vision.encoder.layers:
        output = layer(tokens, attention_mask=mask)
        tokens = output[0] if isinstance(output, tuple) else output
    if model.family == "clip":
        pooled = model.network.visual_projection(vision.post_layernorm(tokens[:, 0]))
    else:
        hidden, head = vision.post_layernorm(tokens), vision.head
        attended = head.attention(head.probe, hidden, hidden, key_padding_mask=~visible[None])[0]
        pooled = (attended + head.mlp(head.layernorm(attended)))[:, 0]
    return pooled[0] / pooled[0].norm()


def test_dropping_is_attending_to_nothing_dropped(model, pixels):
    removal = masking.drop(model, pixels)
    keep = coalitions(12)[:-1]
    for rows in removal.batches(keep, 4):
        for row, ours in zip(keep[rows], removal.encode(torch.from_numpy(keep[rows])), strict=True):
            torch.testing.assert_close(ours, drop_by_hand(model, pixels, row), atol=1e-5, rtol=0)


def test_dropping_shortens_the_sequence(model, pixels):
    lengths = []
    hook = model.network.vision_model.encoder.layers[0].register_forward_pre_hook(
        lambda layer, args, kwargs: lengths.append((args or (kwargs["hidden_states"],))[0].shape[1]),
        with_kwargs=True,
    )
    removal = masking.drop(model, pixels)
    for size in (1, 5, 16):
        removal.encode(torch.arange(16)[None] < size)
    hook.remove()
    assert lengths == [size + (model.family == "clip") for size in (1, 5, 16)]


def test_nothing_left_is_cls_alone_or_the_mean_picture(model, pixels):
    empty = torch.zeros(2, 16, dtype=torch.bool)
    embedding = masking.drop(model, pixels).encode(empty)
    torch.testing.assert_close(embedding.norm(dim=1), torch.ones(2))
    if model.family == "clip":
        expected = drop_by_hand(model, pixels, np.zeros(16, bool))[None].expand(2, -1)
    else:
        expected = model.embed_pixels(torch.zeros(2, 3, 64, 64))
    torch.testing.assert_close(embedding, expected, atol=1e-6, rtol=0)


def test_several_sizes_in_one_batch_are_refused(model, pixels):
    with pytest.raises(ValueError, match="several sizes"):
        masking.drop(model, pixels).encode(torch.eye(16).cumsum(1).bool())


@settings(max_examples=50)
@given(st.integers(1, 60), st.integers(1, 20), st.integers(0, 1000), st.sampled_from(["mean", "drop"]))
def test_batches_are_a_partition(m, batch_size, seed, name):
    keep = np.random.default_rng(seed).random((m, 16)) < 0.5
    batches = list(READY[name].batches(keep, batch_size))
    assert sorted(np.concatenate(batches).tolist()) == list(range(m))
    assert all(0 < len(rows) <= batch_size for rows in batches)
    if name == "drop":
        assert all(len(set(keep[rows].sum(axis=1))) == 1 for rows in batches)


CLIP = small_model("clip")
READY = {
    name: masking.REMOVALS[name](CLIP, CLIP.prepare_image(noise_image()).pixels) for name in ("mean", "drop")
}


# --- By name ------------------------------------------------------------------------------


def test_the_registry_and_its_errors(model, pixels):
    assert list(masking.REMOVALS) == ["mean", "constant", "blur", "drop"]
    for name, function in masking.REMOVALS.items():
        assert function.__name__ == name
        found, removal = masking.prepare_removal(model, pixels, name)
        assert found == name and isinstance(removal, (masking.Painting, masking.Dropping))
    with pytest.raises(
        ValueError, match="removal is 'erase'; expected one of 'mean', 'constant', 'blur', 'drop'"
    ):
        masking.prepare_removal(model, pixels, "erase")


def test_a_function_of_ones_own(model, pixels):
    name, removal = masking.prepare_removal(model, pixels, partial(masking.constant, colour="white"))
    assert name == "constant" and torch.equal(removal.filler, masking.constant(model, pixels, "white").filler)

    def flipped(model, pixels):
        return masking.Painting(model, pixels, filler=pixels.flip(2))

    name, removal = masking.prepare_removal(model, pixels, flipped)
    nothing = torch.zeros(1, 16, dtype=torch.bool)
    assert name == "flipped" and torch.equal(removal.pixels(nothing)[0], pixels.flip(2))


def test_what_a_coalition_looks_like(model, pixels):
    keep = coalitions(3)[1]
    shown = masking.constant(model, pixels, "red").show(keep)
    expected = paint_by_hand(noise_image(), keep, np.array([255, 0, 0]))
    assert isinstance(shown, Image.Image) and shown.mode == "RGB"
    np.testing.assert_array_equal(np.asarray(shown), expected)
    dropped = np.asarray(masking.drop(model, pixels).show(keep))
    assert dropped.shape == (64, 64, 4)
    np.testing.assert_array_equal(dropped[:, :, :3], noise_image())
    alpha = paint_by_hand(np.full((64, 64, 3), 255), keep, np.zeros(3))[:, :, 0]
    np.testing.assert_array_equal(dropped[:, :, 3], alpha)
