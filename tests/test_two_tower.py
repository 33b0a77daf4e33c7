"""Anybody's model behind functions: against the same network wrapped by hand, and a stand-in of OpenCLIP."""

from __future__ import annotations

import functools

import numpy as np
import pytest
import torch
from stand_ins import CAPTION, PIECES, clip_tokenizer, noise_image, small_model
from test_masking import normalise, paint_by_hand
from transformers.modeling_outputs import BaseModelOutputWithPooling
from transformers.models.clip.modeling_clip import CLIPOutput

from fixlip_helpers import TwoTower, VisionLanguageGame, fixlip

# --- A stand-in of OpenCLIP's interface ---------------------------------------------------


class OpenClipTokenizer:
    """Calls and attributes of ``open_clip.SimpleTokenizer``: (n, 77) ids, padded with 0, cut off at 77."""

    def __init__(self, context_length: int = 77) -> None:
        self.inner, self.context_length = clip_tokenizer(), context_length
        self.decoder = {i: piece for piece, i in self.inner.get_vocab().items()}

    def __call__(self, texts: str | list[str]) -> torch.Tensor:
        texts = [texts] if isinstance(texts, str) else texts
        result = torch.zeros(len(texts), self.context_length, dtype=torch.long)
        for row, text in enumerate(texts):
            ids = self.inner(text).input_ids
            if len(ids) > self.context_length:
                ids = [*ids[: self.context_length - 1], ids[-1]]
            result[row, : len(ids)] = torch.tensor(ids)
        return result


class OpenClip(torch.nn.Module):
    """``encode_image``, ``encode_text`` and ``logit_scale`` as OpenCLIP has them: no unit norm, no masks, text is
    read at the largest id."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.patches = torch.nn.Conv2d(3, 32, 16, 16)
        self.visual = torch.nn.TransformerEncoderLayer(32, 4, 64, batch_first=True, dropout=0.1)
        self.words = torch.nn.Embedding(49408, 32)
        self.positions = torch.nn.Parameter(0.3 * torch.randn(77, 32))
        self.text = torch.nn.TransformerEncoderLayer(32, 4, 64, batch_first=True)
        self.logit_scale = torch.nn.Parameter(torch.tensor(4.6052))

    def encode_image(self, image, normalize: bool = False):
        return self.visual(self.patches(image).flatten(2).transpose(1, 2)).mean(1)[:, :24]

    def encode_text(self, text, normalize: bool = False):
        causal = torch.nn.Transformer.generate_square_subsequent_mask(77)
        hidden = self.text(self.words(text) + self.positions, src_mask=causal)
        return hidden[torch.arange(len(text)), text.argmax(-1)][:, :24]


def preprocess(picture):
    """CLIP's processor of 64 pixels, as a function of a PIL picture."""
    return torch.as_tensor(small_model_processor(images=picture)["pixel_values"][0])


small_model_processor = small_model("clip").image_processor


@pytest.fixture(scope="module")
def network():
    return OpenClip()


@pytest.fixture
def wrapped(network):
    tokenizer = OpenClipTokenizer()
    return TwoTower(
        network.encode_image,
        network.encode_text,
        scale=network.logit_scale.exp().item(),
        preprocess=preprocess,
        tokenize=tokenizer,
        grid=(4, 4),
        hidden_token=0,
        pieces=lambda ids: [tokenizer.decoder[i] for i in ids],
        name="open-clip",
    )


def test_the_stand_in_is_wrapped_in_ten_lines(wrapped, network):
    assert (wrapped.image_size, wrapped.patch_size, wrapped.n_patches) == (64, 16, 16)
    assert wrapped.scale == pytest.approx(100, abs=0.01) and wrapped.bias == 0
    assert wrapped.network is network and not network.training  # dropout would make every pass another
    assert len(wrapped.fingerprint()) == 16  # of what: test_identity.py
    assert "removed tokens: token 0 in its place" in repr(wrapped)
    caption = wrapped.tokenize(CAPTION)
    assert caption.names == PIECES and caption.players == tuple(range(1, 9))
    assert caption.words[-1] == ("hydrant", (6, 7)) and caption.input_ids.shape == (1, 77)


@pytest.mark.parametrize("removal", ["mean", "constant"])
def test_its_game_is_painting_and_replacing_by_hand(wrapped, network, removal):
    game = VisionLanguageGame(wrapped, noise_image(), CAPTION, removal=removal, batch_size=5)
    coalitions = np.random.default_rng(0).random((12, 24)) < 0.5
    coalitions[0], coalitions[1] = True, False
    model = small_model("clip")
    filler = {"mean": 255 * np.array(model.image_processor.image_mean), "constant": np.zeros(3)}[removal]
    ids = OpenClipTokenizer()(CAPTION)
    expected = []
    for row in coalitions:
        pixels = torch.from_numpy(normalise(model, paint_by_hand(noise_image(), row[:16], filler))).float()
        shown = ids.clone()
        shown[0, 1:9][torch.from_numpy(~row[16:])] = 0
        with torch.no_grad():
            f, g = network.encode_image(pixels[None])[0], network.encode_text(shown)[0]
        expected.append(100 * float(f @ g / f.norm() / g.norm()))
    np.testing.assert_allclose(game(coalitions), expected, atol=0.01)
    assert np.std(expected) > 1
    assert game.meta["text_removal"] == "token 0 in its place"
    np.testing.assert_allclose(np.linalg.norm(game.encode_texts(coalitions[:, 16:]), axis=1), 1, atol=1e-6)
    assert game.full_value() == pytest.approx(wrapped.score(noise_image(), CAPTION), abs=1e-3)


def test_it_is_explained(wrapped):
    game = VisionLanguageGame(wrapped, noise_image(), "black dog", image_players=(2, 2))
    explanation = fixlip(game)
    everything = np.ones((1, 6), bool)
    assert explanation.players[4:] == ["black", "dog"] and explanation.meta["model"] == "open-clip"
    assert explanation.meta["full_value"] == pytest.approx(float(game(everything)[0]), abs=1e-4)


# --- Against the same network as our own model --------------------------------------------


@pytest.mark.parametrize("family", ["clip", "siglip", "mini-clip"])
def test_a_tower_with_a_mask_plays_the_same_game_as_the_model_itself(family):
    model = small_model(family)
    own = VisionLanguageGame(model, noise_image(90, 70), CAPTION)
    features = {
        "image": lambda pixels: 3 * model.network.get_image_features(pixel_values=pixels).pooler_output,
        "text": lambda ids, mask: model.network.get_text_features(
            input_ids=ids, attention_mask=mask
        ).pooler_output.numpy(),
    }

    def tokenize(text):
        ids = model.tokenizer(text).input_ids
        if family == "siglip":
            ids += [1] * (64 - len(ids))
        return ids, [1] * len(ids)

    tower = TwoTower(
        features["image"],
        features["text"],
        model.scale,
        model.bias,
        preprocess=lambda picture: model.image_processor(images=picture)["pixel_values"][0],
        tokenize=tokenize,
        grid=model.grid,
        takes_mask=True,
    )
    game = VisionLanguageGame(tower, noise_image(90, 70), CAPTION, removal="blur")
    blurred = VisionLanguageGame(model, noise_image(90, 70), CAPTION, removal="blur")
    coalitions = np.random.default_rng(1).random((10, own.n_players)) < 0.5
    np.testing.assert_allclose(game(coalitions), blurred(coalitions), atol=1e-4 * model.scale)
    assert game.caption.players == own.caption.players and "text_removal" not in game.meta
    np.testing.assert_array_equal(np.asarray(game.picture.seen), np.asarray(own.picture.seen))
    np.testing.assert_allclose(tower.from_colour((255, 0, 9)), model.from_colour((255, 0, 9)), atol=1e-6)


@pytest.mark.parametrize("size", [(64, 64), (300, 200), (120, 400), (51, 77), (1500, 900), (40, 30), (1, 1)])
@pytest.mark.parametrize("family", ["clip", "siglip"])
def test_where_the_encoder_looks_is_found_out(family, size):
    model = small_model(family)
    tower = TwoTower(
        len, len, 1.0, grid=(4, 4), hidden_token=0, tokenize=len,
        preprocess=lambda picture: model.image_processor(images=picture)["pixel_values"][0],
    )  # fmt: skip
    box = tower.prepare_image(noise_image(*size)).box
    np.testing.assert_allclose(box, model.prepare_image(noise_image(*size)).box, atol=0.01 * max(size) + 0.1)


def test_a_grid_that_does_not_fill_the_pixels_covers_what_it_covers():
    """Five patches of 12 pixels in 64: the box of a picture twice as large ends at 120 of its 128 pixels."""
    tower = TwoTower(len, len, 1.0, grid=(5, 5), hidden_token=0, tokenize=len, preprocess=preprocess)
    picture = tower.prepare_image(noise_image(128, 128))
    assert tower.patch_size == 12 and tower.covered == 60 / 64 and picture.seen.size == (60, 60)
    np.testing.assert_allclose(picture.box, (0, 0, 120, 120), atol=0.5)


# --- Objects of transformers as they are ---------------------------------------------------


def objects_of(model, **other):
    """Everything of a model of transformers handed over as it is, or with something else in its place."""
    given = {
        "encode_image": lambda pixels: model.network.get_image_features(pixel_values=pixels),
        "encode_text": lambda ids, mask: model.network.get_text_features(input_ids=ids, attention_mask=mask),
        "scale": model.scale,
        "bias": model.bias,
        "preprocess": model.image_processor,
        "tokenize": model.tokenizer,
        "grid": model.grid,
        "takes_mask": True,
    }
    return TwoTower(**(given | other))


@pytest.mark.parametrize("family", ["clip", "siglip", "siglip2", "mini-clip"])
def test_tokenizer_processor_and_outputs_are_taken_as_they_are(family):
    model = small_model(family)
    given = {}
    if family == "siglip2":  # whose tokenizer frames and pads in another way by version
        given = {"tokenize": lambda text: model.tokenize(text).input_ids if text else [1] + [0] * 63}
    if family == "siglip":
        given = {
            "tokenize": functools.partial(model.tokenizer, padding="max_length", max_length=64),
            "encode_text": lambda ids: model.network.get_text_features(input_ids=ids),
            "takes_mask": False,
            "hidden_token": 1,
        }
    tower = objects_of(model, **given)
    assert tower.score(noise_image(), CAPTION) == pytest.approx(model.score(noise_image(), CAPTION), abs=1e-3)
    own, theirs = tower.tokenize(CAPTION), model.tokenize(CAPTION)
    assert own.players == theirs.players
    if family != "siglip2":
        assert (own.names, own.words) == (theirs.names, theirs.words)


def test_tokenizers_of_several_kinds_are_taken():
    model = small_model("clip")
    expected = model.tokenize("a café dog").names
    assert expected == ["a", "c", "a", "f", "é", "é", "dog"]
    for tokenize in (
        model.tokenizer,
        model.tokenizer.backend_tokenizer,  # of the package tokenizers
        functools.partial(model.tokenizer, padding="max_length", max_length=77),
        lambda text: model.tokenizer(text, return_tensors="pt"),
        lambda text: model.tokenizer([text], return_tensors="np"),
    ):
        assert objects_of(model, tokenize=tokenize).tokenize("a café dog").names == expected
    for tokenize in (
        lambda text: model.tokenizer(text).input_ids,
        lambda text: model.tokenizer(text)["input_ids"],
    ):
        found = objects_of(model, tokenize=tokenize, pieces=model.tokenizer.convert_ids_to_tokens)
        assert found.tokenize("a café dog").names == expected


@pytest.mark.parametrize("as_output", [
    lambda features: {"image_embeds": features, "text_embeds": features, "pooler_output": None},
    lambda features: {"pooler_output": features},
    lambda features: BaseModelOutputWithPooling(pooler_output=features),
    lambda features: CLIPOutput(image_embeds=features, text_embeds=features),
    lambda features: {"image_features": features, "text_features": features},
    lambda features: features.numpy(),
])  # fmt: skip
def test_outputs_of_every_kind_hold_the_embeddings(as_output):
    model = small_model("clip")

    def features(call):
        return lambda *given: as_output(call(*given).pooler_output.detach())

    image = features(lambda pixels: model.network.get_image_features(pixel_values=pixels))
    text = features(lambda ids, mask: model.network.get_text_features(input_ids=ids, attention_mask=mask))
    tower = objects_of(model, encode_image=image, encode_text=text)
    assert tower.score(noise_image(), CAPTION) == pytest.approx(model.score(noise_image(), CAPTION), abs=1e-3)


def test_outputs_without_embeddings_are_named():
    tower = objects_of(small_model("clip"), encode_image=lambda pixels: {"last_hidden_state": pixels})
    with pytest.raises(
        ValueError, match=r"the image encoder gives an object with last_hidden_state; .*image_embeds"
    ):
        tower.score(noise_image(), CAPTION)


def test_words_give_their_names_only_where_each_is_one_token():
    """A word that is left out and one of two tokens make as many tokens as words, and are not one for one."""

    def without_dashes(text):
        return OpenClipTokenizer()(text.replace("-", ""))

    assert tower(tokenize=without_dashes).tokenize("black - hydrant").names == [
        "token 0",
        "token 1",
        "token 2",
    ]


# --- What is refused ----------------------------------------------------------------------


def tower(**given):
    default = {"preprocess": preprocess, "tokenize": OpenClipTokenizer(), "grid": (4, 4), "hidden_token": 0}
    return TwoTower(len, len, 1.0, **default | given)


@pytest.mark.parametrize("given", [{"takes_mask": True}, {"hidden_token": None}])
def test_one_way_to_hide_tokens_must_be_chosen(given):
    with pytest.raises(ValueError, match="expected one of the two"):
        tower(**given)


@pytest.mark.parametrize("grid", [(4, 5), (0, 0), (65, 65), (33, 33)])
def test_odd_grids_are_refused(grid):
    with pytest.raises(ValueError, match=r"grid is .*64 × 64 pixels"):
        tower(grid=grid)


def test_odd_preprocessing_is_refused():
    with pytest.raises(ValueError, match=r"pixels of shape \(3, 4, 5\)"):
        tower(preprocess=lambda picture: np.zeros((3, 4, 5)))
    with pytest.raises(ValueError, match="flat pixels"):
        tower(preprocess=lambda picture: np.zeros((3, 64, 64)))
    with pytest.raises(ValueError, match="flat pixels"):
        tower(preprocess=lambda picture: preprocess(picture) + torch.linspace(0, 1, 64))


def test_captions_that_may_be_cut_off_are_refused():
    assert len(tower().tokenize("dog " * 74).players) == 74
    for n in (75, 76, 200):
        with pytest.raises(ValueError, match="75 tokens or more, which fill the 77 positions"):
            tower().tokenize("dog " * n)


def test_empty_and_foreign_captions_are_refused():
    for caption in ("", "  \n"):
        with pytest.raises(ValueError, match="caption is empty"):
            tower().tokenize(caption)
    with pytest.raises(TypeError, match="a list"):
        tower().tokenize(["dog"])
    with pytest.raises(ValueError, match="no word left"):
        tower(tokenize=lambda text: [1, 2, 0, 0]).tokenize("dog")


def test_names_without_pieces():
    assert tower().tokenize("black dog").names == ["black", "dog"]
    caption = tower().tokenize("black hydrant")  # three tokens
    assert caption.names == ["token 0", "token 1", "token 2"] and caption.words[2] == ("token 2", (2,))


def test_dropping_and_odd_embeddings_are_refused(wrapped):
    with pytest.raises(ValueError, match=r"removal 'drop' .*'open-clip' is known by its functions only"):
        VisionLanguageGame(wrapped, noise_image(), CAPTION, removal="drop")
    flat = tower(hidden_token=0)
    flat._encode_image = lambda pixels: pixels[:, 0, 0, 0]
    with pytest.raises(ValueError, match=r"the image encoder gives embeddings of shape \(2,\)"):
        flat.embed_pixels(torch.zeros(2, 3, 64, 64))


def test_a_fingerprint_needs_a_network_or_a_version():
    with pytest.raises(ValueError, match="give TwoTower its network or a version"):
        tower().fingerprint()
    assert tower(version="2026-03").fingerprint() == "2026-03"
