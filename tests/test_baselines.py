"""Baselines against slow transcriptions of their formulas, an encoder worked out by hand, exact values and laws."""

import os
import subprocess
import sys
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from stand_ins import CAPTION, FAMILIES, noise_image, small_model
from torch import nn

from fixlip_helpers import baselines
from fixlip_helpers.baselines import (
    METHODS,
    banzhaf,
    exclip,
    exclip_image_part,
    explain_with,
    find_method,
    game_relevance,
    grad_eclip,
    shapley,
)
from fixlip_helpers.coalitions import all_coalitions
from fixlip_helpers.encoders.vision_language import VisionLanguageGame
from fixlip_helpers.exact import banzhaf_values, shapley_values
from fixlip_helpers.fixlip import fixlip
from fixlip_helpers.games import random_embeddings, random_game
from fixlip_helpers.models import load_model
from fixlip_helpers.scenes import examples
from fixlip_helpers.towers import (
    Tower,
    open_image_tower,
    open_text_tower,
    open_towers,
)

pytestmark = pytest.mark.rotating(
    3, by="model"
)  # a third of the families each day; `make test-all` takes all


@pytest.fixture(scope="module", params=FAMILIES)
def model(request):
    return small_model(request.param)


@pytest.fixture(scope="module")
def picture(model):
    return model.prepare_image(noise_image())


# --- Towers -------------------------------------------------------------------------------


def test_towers_compute_what_the_model_computes(model, picture):
    caption = model.tokenize(CAPTION)
    with torch.no_grad():
        image, text = open_towers(model, picture, caption)
        for first in (0, image.depth - 1):
            embedding, watched = image.embed_and_watch(image.hidden[first], first)
            torch.testing.assert_close(embedding, model.embed_pixels(picture.pixels[None]), atol=1e-5, rtol=0)
            assert len(watched) == image.depth - first + (image.read is None)
        for first in (0, text.depth - 1):
            embedding = text.embed(text.hidden[first], first)
            truth = model.embed_tokens(caption.input_ids, torch.ones_like(caption.input_ids))
            torch.testing.assert_close(embedding, truth, atol=1e-5, rtol=0)


def test_attention_and_gradients_are_left_as_they_were(model, picture, monkeypatch):
    before = [m.config._attn_implementation for m in model.network.modules() if hasattr(m, "config")]
    for method in (game_relevance, grad_eclip, exclip):
        method(model, picture, CAPTION)
    monkeypatch.setattr(baselines, "open_towers", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        grad_eclip(model, picture, CAPTION)
    assert before == [m.config._attn_implementation for m in model.network.modules() if hasattr(m, "config")]
    assert all(p.grad is None and not p.requires_grad for p in model.network.parameters())
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.network.modules())


# --- GAME and Grad-ECLIP, written out once more ---------------------------------------------


def literal_attention(module, hidden, mask, n_heads=None):
    """Attention head by head, in loops; keeps each head's probabilities and their outputs side by side."""
    n_heads = n_heads or module.num_heads
    width = hidden.shape[-1] // n_heads
    q, k, v = module.q_proj(hidden), module.k_proj(hidden), module.v_proj(hidden)
    probabilities, outputs = [], []
    for h in range(n_heads):
        own = slice(h * width, (h + 1) * width)
        scores = q[:, own] @ k[:, own].T / width**0.5
        probabilities.append((scores + mask).softmax(dim=-1))
        outputs.append(probabilities[-1] @ v[:, own])
    heads = torch.cat(outputs, dim=-1)
    return module.out_proj(heads), probabilities, heads, q, k, v


def literal_layers(layers, hidden, mask, one_head=0):
    """(last hidden states, one record of attention for each layer); the last ``one_head`` layers have a single head."""
    records = []
    for number, layer in enumerate(layers):
        heads = 1 if number >= len(layers) - one_head else None
        out, *record = literal_attention(layer.self_attn, layer.layer_norm1(hidden), mask, heads)
        records.append(record)
        hidden = hidden + out
        hidden = hidden + layer.mlp(layer.layer_norm2(hidden))
    return hidden, records


def literal_probe(head, hidden):
    module, width = head.attention, hidden.shape[-1] // head.attention.num_heads
    wq, wk, wv = module.in_proj_weight.chunk(3)
    bq, bk, bv = module.in_proj_bias.chunk(3)
    q, k, v = head.probe[0] @ wq.T + bq, hidden @ wk.T + bk, hidden @ wv.T + bv
    probabilities, outputs = [], []
    for h in range(module.num_heads):
        own = slice(h * width, (h + 1) * width)
        probabilities.append((q[:, own] @ k[:, own].T / width**0.5).softmax(dim=-1))
        outputs.append(probabilities[-1] @ v[:, own])
    heads = torch.cat(outputs, dim=-1)
    pooled = module.out_proj(heads)
    return pooled + head.mlp(head.layernorm(pooled)), (probabilities, heads, q, k, v)


def literal(model, picture, caption):
    """The logit with all of attention's records in one graph, from the networks' weights alone."""
    vision, text, clip = model.network.vision_model, model.network.text_model, model.family == "clip"
    image_hidden = vision.embeddings(picture.pixels[None])
    if clip:
        image_hidden = vision.pre_layrnorm(image_hidden)
    image_hidden = image_hidden[0].detach().requires_grad_(True)
    last, image_records = literal_layers(vision.encoder.layers, image_hidden, 0.0)
    if clip:
        f, probe = model.network.visual_projection(vision.post_layernorm(last[0])), None
    else:
        f, probe = literal_probe(vision.head, vision.post_layernorm(last))
        f = f[0]
    text_hidden = text.embeddings(input_ids=caption.input_ids)[0].detach().requires_grad_(True)
    length = len(text_hidden)
    mask = torch.full((length, length), float("-inf")).triu(1) if clip else 0.0
    last, text_records = literal_layers(text.encoder.layers, text_hidden, mask)
    read = text.final_layer_norm(last)[-1]
    g = model.network.text_projection(read) if clip else text.head(read)
    logit = model.scale * (f / f.norm()) @ (g / g.norm())
    return logit, image_records, probe, text_records


def literal_game(model, picture, caption, start):
    logit, image, probe, text = literal(model, picture, caption)

    def cam(probabilities):
        gradients = torch.autograd.grad(logit, probabilities, retain_graph=True)
        return sum((g * a).clamp(min=0) for g, a in zip(gradients, probabilities, strict=True)) / len(
            gradients
        )

    maps = []
    for records in (image, text):
        relevance = torch.eye(records[0][0][0].shape[-1])
        for record in records[start:]:
            relevance = relevance + cam(record[0]) @ relevance
        maps.append(relevance)
    if probe is None:
        patches = maps[0][0, 1:]
    else:
        relevance = torch.eye(probe[0][0].shape[-1])
        for record in image[start:]:
            relevance = relevance + cam(record[0]) @ relevance
        patches = (cam(probe[0]) @ relevance)[0]
    return torch.cat([patches, maps[1][-1, list(caption.players)]])


def literal_grad_eclip(model, picture, caption):
    logit, image, probe, text = literal(model, picture, caption)

    def heat(record, row, players):
        _, heads, q, k, v = record
        w = torch.autograd.grad(logit, heads, retain_graph=True)[0][row]
        cosines = torch.stack([nn.functional.cosine_similarity(q[row], k[i], dim=0) for i in players])
        loosened = (cosines - cosines.min()) / (cosines.max() - cosines.min())
        return torch.stack(
            [(w * v[i] * s).sum().clamp(min=0) for i, s in zip(players, loosened, strict=True)]
        )

    if probe is None:
        patches = heat(image[-1], 0, range(1, 1 + model.n_patches))
    else:
        patches = heat(probe, 0, range(model.n_patches))
    return torch.cat([patches, heat(text[-1], len(text[-1][2]) - 1, list(caption.players))])


@pytest.mark.parametrize("start", [-1, 0])
def test_game_equals_its_transcription(model, picture, start):
    found = game_relevance(model, picture, CAPTION, start)
    truth = literal_game(model, picture, model.tokenize(CAPTION), start).detach().numpy()
    assert np.abs(found.main).max() > 0
    np.testing.assert_allclose(found.main, truth, atol=1e-5 * np.abs(truth).max())
    assert found.n_image == model.n_patches and not found.pairs.any()


def test_grad_eclip_equals_its_transcription(model, picture):
    found = grad_eclip(model, picture, CAPTION)
    truth = literal_grad_eclip(model, picture, model.tokenize(CAPTION)).detach().numpy()
    assert np.abs(found.main).max() > 0
    np.testing.assert_allclose(found.main, truth, atol=1e-5 * np.abs(truth).max())


def literal_released_grad_eclip(model, picture, caption, text_layers):
    """As the released script has it, for both towers; the text is padded with token 0 to all its positions."""
    network = model.network
    vision, text = network.vision_model, network.text_model
    ids = torch.zeros(1, network.config.text_config.max_position_embeddings, dtype=torch.long)
    eos = caption.input_ids.shape[1] - 1
    ids[:, : eos + 1] = caption.input_ids
    causal = torch.full((ids.shape[1],) * 2, float("-inf")).triu(1)

    def image(one_head):
        hidden = vision.pre_layrnorm(vision.embeddings(picture.pixels[None]))[0].detach().requires_grad_(True)
        last, records = literal_layers(vision.encoder.layers, hidden, 0.0, one_head)
        return network.visual_projection(vision.post_layernorm(last[0])), records

    def words(one_head):
        hidden = text.embeddings(input_ids=ids)[0].detach().requires_grad_(True)
        last, records = literal_layers(text.encoder.layers, hidden, causal, one_head)
        return network.text_projection(text.final_layer_norm(last)[eos]), records

    def heat(layer, record, cosine, row, over):
        _, heads, q, k, v = record
        w = torch.autograd.grad(cosine, heads, retain_graph=True)[0][row]
        q, k = layer.self_attn.out_proj(q), layer.self_attn.out_proj(k)
        near = torch.stack([nn.functional.cosine_similarity(q[row], k[i], dim=0) for i in over])
        near = (near - near.min()) / (near.max() - near.min())
        return torch.stack([(w * v[i] * s).sum() for i, s in zip(over, near, strict=True)])

    (f, seen), (g, _) = image(1), words(0)
    cosine = torch.nn.functional.cosine_similarity(f, g, dim=0)
    patches = heat(vision.encoder.layers[-1], seen[-1], cosine, 0, range(1, 1 + model.n_patches)).clamp(min=0)
    (f, _), (g, seen) = image(0), words(text_layers)
    cosine = torch.nn.functional.cosine_similarity(f, g, dim=0)
    maps = [
        heat(layer, record, cosine, eos, range(ids.shape[1]))
        for layer, record in list(zip(text.encoder.layers, seen, strict=True))[-text_layers:]
    ]
    return torch.cat([patches, sum(maps).clamp(min=0)[1:eos]])


@pytest.mark.parametrize("text_layers", [None, 1])
def test_released_grad_eclip_equals_its_transcription(text_layers):
    model = small_model("clip")
    picture, caption = model.prepare_image(noise_image()), model.tokenize(CAPTION)
    found = grad_eclip(model, picture, CAPTION, text_layers, variant="released")
    layers = text_layers or len(model.network.text_model.encoder.layers)
    truth = literal_released_grad_eclip(model, picture, caption, layers).detach().numpy()
    assert np.abs(found.main).max() > 0 and found.meta["variant"] == "released"
    np.testing.assert_allclose(found.main, truth, atol=1e-5 * np.abs(truth).max())
    assert not np.allclose(found.main, grad_eclip(model, picture, CAPTION).main, rtol=0.01)
    attention = model.network.text_model.encoder.layers[-1].self_attn  # as it was before
    assert attention.num_heads * attention.head_dim == attention.embed_dim and attention.num_heads > 1


def test_more_text_layers_change_the_words_alone(model, picture):
    one, two = (grad_eclip(model, picture, CAPTION, count).main for count in (1, 2))
    n = model.n_patches
    assert (one[:n] == two[:n]).all() and not np.allclose(one[n:], two[n:])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"variant": "other"}, "variant = 'other'; expected 'paper' or 'released'"),
        ({"text_layers": 0}, "text_layers = 0; the text tower has"),
        ({"text_layers": 99}, "text_layers = 99; the text tower has"),
    ],
)
def test_grad_eclip_refuses_what_is_not_there(model, picture, arguments, message):
    with pytest.raises(ValueError, match=message):
        grad_eclip(model, picture, CAPTION, **arguments)


def test_released_variants_are_for_clip():
    model = small_model("siglip")
    for method in (grad_eclip, exclip):
        with pytest.raises(ValueError, match="is code for CLIP"):
            method(model, noise_image(), CAPTION, variant="released")


# --- An encoder worked out by hand ----------------------------------------------------------


class EvenAttention(nn.Module):
    """One head of width 2; everybody attends evenly to everybody; all projections are the identity."""

    def __init__(self):
        super().__init__()
        for name in ("q_proj", "k_proj", "v_proj", "out_proj"):
            linear = nn.Linear(2, 2, bias=False)
            nn.init.eye_(linear.weight)
            setattr(self, name, linear)

    def forward(self, hidden):
        q, k, v = self.q_proj(hidden), self.k_proj(hidden), self.v_proj(hidden)
        probabilities = (0 * q @ k.transpose(1, 2)).softmax(dim=-1)[:, None]
        return self.out_proj((probabilities @ v[:, None])[:, 0]), probabilities


class Layer(nn.Module):
    def __init__(self):
        super().__init__()
        self.self_attn = EvenAttention()

    def forward(self, hidden):
        return self.self_attn(hidden)[0]


def hand_tower(rows, players, read):
    hidden = torch.tensor([rows], dtype=torch.float32)
    inside = [((), {})], lambda last: last[:, read], None, lambda embedding: embedding
    return Tower([Layer()], [hidden], np.array(players), read, *inside)


@pytest.fixture
def by_hand(monkeypatch):
    """CLS (1, 0), patches (2, 1), (0, -1), (1, 1); a token (3, 0), EOS (1, 2); scale 2.

    All attention is ¼ and ½, so f = (1, ¼), g = (2, 1).
    """
    towers = (
        hand_tower([[1, 0], [2, 1], [0, -1], [1, 1]], [1, 2, 3], 0),
        hand_tower([[3, 0], [1, 2]], [0], 1),
    )
    monkeypatch.setattr(baselines, "open_towers", lambda *_: towers)
    monkeypatch.setattr(baselines, "_names_and_facts", lambda *_: (["a", "b", "c", "word"], {}))
    return SimpleNamespace(network=nn.Module(), scale=2.0)


def test_game_by_hand(by_hand):
    # ∂ logit / ∂ A_0i = 2 <h_i, g>: 10, -2, 6; times A = ¼; the negative one is cut. Token: 2 <(3, 0), f> ½ = 3.
    assert game_relevance(by_hand, None, None).main.tolist() == pytest.approx([2.5, 0, 1.5, 3])


def test_grad_eclip_by_hand(by_hand):
    # w = 2 g = (4, 2) for the patches, so <w, v_i> = 10, -2, 6. Cosines of the query (1, 0) with the keys: 2/√5, 0,
    # 1/√2, loosened to 1, 0, √5/(2√2). The token is alone: 1; w = 2 f = (2, ½), <w, (3, 0)> = 6.
    truth = [10, 0, 6 * 5**0.5 / (2 * 2**0.5), 6]
    assert grad_eclip(by_hand, None, None).main.tolist() == pytest.approx(truth)


# --- exCLIP ---------------------------------------------------------------------------------


def test_exclip_is_complete_and_more_steps_bring_it_closer(model, picture):
    def miss(**how):
        completeness = exclip(model, picture, CAPTION, layer=0, **how).meta["completeness"]
        return abs(completeness["sum"] - completeness["expected"]), abs(completeness["expected"])

    error, size = miss()
    assert error <= 0.01 * size
    assert miss(steps=1)[0] > miss(steps=3)[0] >= 0.999 * error


@pytest.mark.parametrize("name", ["mini-clip", "mini-siglip"])
def test_exclip_of_the_embedded_encoders_is_complete_to_a_hundredth(name):
    hero = examples()["hero"]
    sums = exclip(load_model(name), hero.image, hero.caption).meta["completeness"]
    assert abs(sums["sum"] - sums["expected"]) <= 0.01 * abs(sums["expected"])


def test_exclip_expects_the_four_scores(model, picture):
    found = exclip(model, picture, CAPTION)
    caption = model.tokenize(CAPTION)
    black = torch.as_tensor(model.from_colour((0, 0, 0)), dtype=torch.float32)[None, :, None, None]
    blank = black.expand(1, 3, model.image_size, model.image_size)
    images, texts = (
        [open_image_tower(model, pixels) for pixels in (picture.pixels[None], blank)],
        [open_text_tower(model, caption, emptied) for emptied in (False, True)],
    )
    with torch.no_grad():
        f = [tower.embed(tower.hidden[0], 0)[0] for tower in images]
        g = [tower.embed(tower.hidden[0], 0)[0] for tower in texts]
        scores = [[model.scale * float(a @ b) for b in g] for a in f]
    expected = scores[0][0] - scores[0][1] - scores[1][0] + scores[1][1]
    assert found.meta["completeness"]["expected"] == pytest.approx(expected, abs=1e-4)
    total = found.pairs.sum() / 2 + found.meta["outside_players"]
    assert total == pytest.approx(found.meta["completeness"]["sum"], abs=1e-9)


def embed_one(tower, first, hidden):
    return tower.embed(hidden, first)[0]


def test_exclip_equals_whole_jacobians(model, picture):
    """Midpoint rule on Jacobians formed in full, with 64 steps."""
    found = exclip(model, picture, CAPTION, batch_size=3)
    caption = model.tokenize(CAPTION)
    black = torch.as_tensor(model.from_colour((0, 0, 0)), dtype=torch.float32)[None, :, None, None]
    blank = black.expand(1, 3, model.image_size, model.image_size)
    ends = open_towers(model, picture, caption)
    starts = open_image_tower(model, blank), open_text_tower(model, caption, emptied=True)
    parts = []
    for end, start in zip(ends, starts, strict=True):
        first = end.depth - 1
        a, r = end.hidden[first], start.hidden[first]
        whole = 0
        for k in range(64):
            at = r + (k + 0.5) / 64 * (a - r)
            jacobian = torch.autograd.functional.jacobian(partial(embed_one, end, first), at)[:, 0]
            whole = whole + (jacobian * (a - r)).sum(-1) / 64
        parts.append(whole[:, end.players])
    truth = model.scale * (parts[0].T @ parts[1]).numpy()
    np.testing.assert_allclose(found.cross_modal(), truth, atol=2e-3 * np.abs(truth).max())
    assert not found.main.any() and found.baseline == 0


def test_released_exclip_equals_its_transcription():
    """Whole Jacobians of embeddings without their norm, at α = 1, 0.95, ..., 0.05, as the released wrapper has it."""
    model = small_model("clip")
    picture, caption = model.prepare_image(noise_image()), model.tokenize(CAPTION)
    network, eos = model.network, caption.input_ids.shape[1] - 1
    ids = torch.zeros_like(caption.input_ids)
    ids[0, 0], ids[0, 3] = model.tokenizer.bos_token_id, model.tokenizer.eos_token_id
    vision, text = network.vision_model, network.text_model
    causal = torch.full((eos + 1, eos + 1), float("-inf")).triu(1)

    def image_before(pixels):
        hidden = vision.pre_layrnorm(vision.embeddings(pixels))[0]
        return literal_layers(vision.encoder.layers[:-1], hidden, 0.0)[0].detach()

    def text_before(ids):
        return literal_layers(text.encoder.layers[:-1], text.embeddings(input_ids=ids)[0], causal)[0].detach()

    def image_after(hidden):
        last = literal_layers(vision.encoder.layers[-1:], hidden, 0.0)[0]
        return network.visual_projection(vision.post_layernorm(last[0]))

    def text_after(read, hidden):
        last = literal_layers(text.encoder.layers[-1:], hidden, causal)[0]
        return network.text_projection(text.final_layer_norm(last)[read])

    pixels = picture.pixels[None]
    parts = []
    words, none = text_before(caption.input_ids), text_before(ids)
    for end, start, after, at_reference, players in (
        (image_before(pixels), image_before(0 * pixels), image_after, image_after, slice(1, None)),
        (words, none, partial(text_after, eos), partial(text_after, 3), slice(1, -1)),
    ):
        steps = torch.arange(1, 0, -1 / 20)
        assert len(steps) == 20
        jacobian = (
            sum(torch.autograd.functional.jacobian(after, start + a * (end - start)) for a in steps) / 20
        )
        shifted = after(end) - at_reference(start)
        parts.append(((jacobian * (end - start)).sum(-1) / shifted.norm())[:, players].detach())
    truth = (parts[0].T @ parts[1]).numpy()
    found = exclip(model, picture, CAPTION, variant="released")
    np.testing.assert_allclose(found.cross_modal(), truth, atol=2e-5 * np.abs(truth).max())
    shared = exclip_image_part(model, picture, variant="released")
    again = exclip(model, picture, CAPTION, variant="released", image_part=shared)
    assert (again.pairs == found.pairs).all() and "completeness" not in found.meta
    assert (found.meta["steps"], found.meta["reference"], found.meta["variant"]) == (20, "mean", "released")


def test_references_and_layers_of_exclip(model, picture):
    """A grey picture has nothing to explain beside the grey reference; a layer for each tower is complete as well."""
    colour = 0.5 + np.zeros((model.image_size, model.image_size, 3))
    grey = model.prepare_image((255 * colour).astype(np.uint8))
    grey.pixels[:] = 0  # exactly the mean colour
    assert np.abs(exclip(model, grey, CAPTION, reference="mean").pairs).max() < 1e-9
    assert np.abs(exclip(model, grey, CAPTION).pairs).max() > 1e-4
    found = exclip(model, picture, CAPTION, layer=(-1, 0))
    assert found.meta["layer"] == [-1, 0]
    sums = found.meta["completeness"]
    assert abs(sums["sum"] - sums["expected"]) <= 0.01 * abs(sums["expected"])
    for arguments, message in (
        ({"reference": "white"}, "reference = 'white'; expected 'black' or 'mean'"),
        ({"variant": "old"}, "variant = 'old'; expected 'complete' or 'released'"),
        ({"layer": (1, 2, 3)}, "expected a number, or a pair"),
    ):
        with pytest.raises(ValueError, match=message):
            exclip(model, picture, CAPTION, **arguments)


def test_a_patch_like_the_reference_gets_nothing(model):
    pixels = np.array(model.prepare_image(noise_image()).seen)
    pixels[: model.patch_size, : model.patch_size] = 0  # black, as the reference is
    found = exclip(model, pixels, CAPTION, layer=0).cross_modal()
    assert np.abs(found[0]).max() <= 1e-6 * np.abs(found).max() and np.abs(found[1]).max() > 0


@pytest.mark.slow
def test_exclip_of_a_large_encoder_stays_in_memory():
    """ViT-B/32 with random weights, 49 patches and 8 tokens: peak of a process of its own, in GB."""
    code = """
import numpy as np
from benchmarks.solver import peak_megabytes
from test_full_size import build
from stand_ins import CAPTION, noise_image
from fixlip_helpers.baselines import exclip
found = exclip(build("openai/clip-vit-base-patch32"), noise_image(), CAPTION)
sums = found.meta["completeness"]
assert abs(sums["sum"] - sums["expected"]) <= 0.01 * abs(sums["expected"]), sums
print(found.n_image, peak_megabytes() / 1e3)
"""
    tests = Path(__file__).resolve().parent
    out = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"PYTHONPATH": f"{tests.parent}{os.pathsep}{tests}"},
        capture_output=True,
        text=True,
        check=True,
    )
    patches, gigabytes = out.stdout.split()
    assert int(patches) == 49 and float(gigabytes) < 2


# --- Values ---------------------------------------------------------------------------------


@pytest.mark.parametrize("p", [0.3, 0.5, 0.7])
def test_banzhaf_values_are_exact_where_all_is_enumerated(p):
    game = random_embeddings(3, 3, seed=2)
    found = banzhaf(fixlip(game, p, design="enumeration"))
    np.testing.assert_allclose(found.main, banzhaf_values(game, p), atol=1e-9)
    coalitions = all_coalitions(6)
    size = coalitions.sum(axis=1)
    weights = p**size * (1 - p) ** (6 - size)
    columns = np.column_stack([np.ones(64), coalitions])
    root = np.sqrt(weights)[:, None]
    additive = np.linalg.lstsq(columns * root, game(coalitions) * root[:, 0], rcond=None)[0]
    assert found.baseline == pytest.approx(additive[0]) and found.main == pytest.approx(additive[1:])


def test_shapley_values_are_shapiqs():
    import shapiq

    game = random_game(6, seed=3)
    exact = shapiq.ExactComputer(game, 6)("SV", order=1)
    found = shapley(game)
    np.testing.assert_allclose(found.main, [exact[(i,)] for i in range(6)], atol=1e-8)
    np.testing.assert_allclose(found.main, shapley_values(game), atol=1e-8)
    assert found.predict(all_coalitions(6)[[0, -1]]) == pytest.approx(game.values[[0, -1]])


# --- By name --------------------------------------------------------------------------------


def test_every_method_explains(model, picture):
    game = VisionLanguageGame(model, picture, CAPTION, progress=False)
    for name in METHODS:
        if name in ("fixlip-si", "shapley") and game.n_players > 16:
            continue
        if name.endswith("-released") and model.family != "clip":
            continue
        found = explain_with(name.replace("-P", "-0.3"), model, picture, CAPTION, game=game, seed=1)
        assert found.n_players == game.n_players and found.players == game.players, name
        assert found.meta["words"] == game.meta["words"] and found.meta["caption"] == CAPTION


@pytest.mark.parametrize("name", ["fixlip", "fixlip-", "fixlip-P", "game-0.5", "Grad-ECLIP", "", "fixlip--1"])
def test_unknown_names_are_refused_with_the_known_ones(name):
    with pytest.raises(ValueError, match=r"expected one of fixlip-P, .*shuffled, with a number for P"):
        find_method(name)


def test_what_cannot_be_is_refused(model, picture):
    with pytest.raises(ValueError, match="p = "):
        find_method("fixlip-1.5")
    with pytest.raises(ValueError, match=r"start_layer = 9; the tower has"):
        game_relevance(model, picture, CAPTION, start_layer=9)
    with pytest.raises(ValueError, match="steps is 0"):
        exclip(model, picture, CAPTION, steps=0)
    with pytest.raises(ValueError, match="layer = True"):
        exclip(model, picture, CAPTION, layer=True)
    with pytest.raises(ValueError, match="look inside CLIP, SigLIP and SigLIP 2"):
        open_towers(object(), picture, CAPTION)
    with pytest.raises(ValueError, match="index = 'first-order'"):
        banzhaf(game_relevance(model, picture, CAPTION))
