"""Models, sides, explanations and prepared inputs are known by what they are, not by what they are called."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from stand_ins import CAPTION, clip_tokenizer, noise_image, small_model

from fixlip_helpers import Checkpointed, TwoTower, VisionLanguageGame, fixlip, plots, widgets
from fixlip_helpers.baselines import exclip, exclip_image_part, explain_with
from fixlip_helpers.encoders.matrix import ExplanationMatrix
from fixlip_helpers.models import VisionLanguageModel
from fixlip_helpers.sides import Side, combine, fit_side

TEXT = "black dog"


@pytest.fixture(scope="module")
def twins():
    """Two models of one name, one shape, one scale and one tokenizer, with other weights."""
    models = small_model("clip"), small_model("clip")
    with torch.no_grad():
        models[1].network.text_projection.weight.mul_(-1)
    return models


def game_of(model, text=TEXT):
    return VisionLanguageGame(model, noise_image(), text, image_players=(2, 2), progress=False)


@pytest.fixture(scope="module")
def sides(twins):
    return [{kind: fit_side(game_of(model), kind) for kind in ("image", "text")} for model in twins]


def test_sides_of_two_models_of_one_name_are_not_mixed(sides, tmp_path):
    one, other = sides
    message = r"the sides belong to different encoders: small-clip \(\w{16}\) and small-clip \(\w{16}\)"
    with pytest.raises(ValueError, match=message):
        combine(one["image"], other["text"])
    with pytest.raises(ValueError, match=message):
        combine(Side.load(one["image"].save(tmp_path / "i")), Side.load(other["text"].save(tmp_path / "t")))
    for images, texts in (([one["image"]], [other["text"]]), ([one["image"], other["image"]], [one["text"]])):
        with pytest.raises(ValueError, match=message):
            ExplanationMatrix(images, texts)


def test_a_matrix_is_of_sides_of_one_p(sides, twins):
    other = fit_side(game_of(twins[0]), "text", 0.3)
    with pytest.raises(ValueError, match=r"the sides differ in p: 0\.5 and 0\.3"):
        ExplanationMatrix([sides[0]["image"]], [sides[0]["text"], other])


def test_a_copy_under_another_name_is_the_same_model(sides):
    one = sides[0]
    renamed = replace(one["text"], meta={**one["text"].meta, "model": "a copy"})
    assert combine(one["image"], renamed).meta["fingerprint"] == one["image"].meta["fingerprint"]


def test_sides_from_before_fingerprints_go_by_name(sides):
    one = sides[0]
    old = {key: fact for key, fact in one["text"].meta.items() if key != "fingerprint"}
    combine(one["image"], replace(one["text"], meta=old))
    with pytest.raises(ValueError, match="different encoders: small-clip and other"):
        combine(one["image"], replace(one["text"], meta={**old, "model": "other"}))


def test_a_difference_names_both_models(sides):
    explanations = [combine(side["image"], side["text"]) for side in sides]
    found = (explanations[0] - explanations[1]).meta
    prints = [explanation.meta["fingerprint"] for explanation in explanations]
    assert prints[0] != prints[1] and "fingerprint" not in found
    assert found["model"] == f"small-clip ({prints[0]}) − small-clip ({prints[1]})"
    assert (explanations[0] - explanations[0]).meta["model"] == "small-clip"


def test_gradient_methods_know_the_model_too(twins):
    prints = [
        {explain_with(name, model, noise_image(), TEXT).meta["fingerprint"] for name in ("game", "exclip")}
        for model in twins
    ]
    assert prints == [{model.fingerprint()} for model in twins]


def test_exclips_part_of_a_picture_is_that_pictures(twins):
    model, other = twins
    part = exclip_image_part(model, noise_image(), steps=4)
    whole = exclip(model, noise_image(), TEXT, steps=4)
    assert np.array_equal(exclip(model, noise_image(), TEXT, steps=4, image_part=part).pairs, whole.pairs)
    assert np.array_equal(exclip(model, noise_image(), TEXT, 1, steps=4, image_part=part).pairs, whole.pairs)
    for arguments, what in (
        ((other, noise_image(), TEXT, -1, 4), "model"),
        ((model, noise_image(seed=1), TEXT, -1, 4), "picture"),
        ((model, noise_image(), TEXT, 0, 4), "layer"),
        ((model, noise_image(), TEXT, -1, 5), "steps"),
    ):
        with pytest.raises(ValueError, match=f"image_part was computed for another {what}$"):
            exclip(*arguments, image_part=part)


def test_a_game_of_something_else_is_refused(twins):
    game = game_of(twins[0])
    for model, text, message in (
        (twins[1], TEXT, "the model and the game belong to different encoders"),
        (twins[0], "a dog", "the game is of the caption 'black dog', not of 'a dog'"),
    ):
        with pytest.raises(ValueError, match=message):
            explain_with("fixlip-0.5", model, noise_image(), text, game=game)
    with pytest.raises(ValueError, match="the game is of another picture"):
        explain_with("fixlip-0.5", twins[0], noise_image(seed=1), TEXT, game=game)
    assert explain_with("fixlip-0.5", twins[0], noise_image(), TEXT, game=game).n_image == 4


def test_a_checkpoint_is_of_the_pixels(twins, tmp_path):
    """A picture that was painted by hand keeps ``seen``; its pixels are others all the same."""
    game = game_of(twins[0])
    Checkpointed(game, tmp_path)
    pixels = game.picture.pixels.clone()
    pixels[:, :8] = 0
    painted = replace(game.picture, pixels=pixels)
    with pytest.raises(ValueError, match="belongs to another run: image "):
        Checkpointed(VisionLanguageGame(twins[0], painted, TEXT, image_players=(2, 2)), tmp_path)


def test_a_figure_takes_the_explained_models_picture_only(twins):
    """CLIP cuts a square out of the middle, SigLIP squeezes the whole picture: a map would lie elsewhere."""
    photograph = noise_image(90, 60)
    siglip, clip = small_model("siglip"), twins[0]
    game = VisionLanguageGame(siglip, photograph, "black dog", image_players=(2, 2), progress=False)
    explanations = [fixlip(game), explain_with("grad-eclip", siglip, photograph, "black dog")]
    foreign = clip.prepare_image(photograph)
    for explanation in explanations:
        for draw in (
            plots.heat,
            plots.heat_grid,
            plots.top_pairs,
            plots.explanation_figure,
            widgets.explorer_page,
        ):
            with pytest.raises(
                ValueError, match=r"prepared by 'small-clip', in another way .*small-siglip.*game\.picture"
            ):
                draw(explanation, foreign)
    plots.explanation_figure(explanations[1], game.picture)
    plots.heat(explanations[1], photograph, "dog")
    plots.plt.close("all")


# --- Models behind functions ----------------------------------------------------------------


def pixels_of(picture):
    return np.moveaxis(np.asarray(picture.resize((32, 32)), dtype=np.float32) / 255, -1, 0)


def ids_of(text):
    ids = clip_tokenizer()(text).input_ids
    return [*ids, *[0] * (20 - len(ids))]


class Image(torch.nn.Module):
    def __init__(self, seed=0):
        super().__init__()
        torch.manual_seed(seed)
        self.layer = torch.nn.Linear(3 * 32 * 32, 8)

    def forward(self, pixels):
        return self.layer(pixels.flatten(1))


class Text(torch.nn.Module):
    def __init__(self, seed=0):
        super().__init__()
        torch.manual_seed(seed)
        self.words = torch.nn.Embedding(49408, 8)

    def forward(self, ids):
        return self.words(ids).sum(1)


def towers(image=None, text=None, scale=10.0, hidden_token=0, preprocess=pixels_of, **other):
    return TwoTower(
        image or Image(), text or Text(), scale, preprocess=preprocess, tokenize=ids_of, grid=(4, 4),
        hidden_token=hidden_token, **other,
    )  # fmt: skip


def test_two_towers_are_both_their_networks_and_what_was_told_of_them():
    made = towers().fingerprint()
    assert made == towers(name="another").fingerprint() and len(made) == 16
    image, text = Image(), Text()
    assert towers(image.forward, text.forward).fingerprint() == made  # methods of the same weights
    for other in (
        towers(image=Image(1)),
        towers(text=Text(1)),
        towers(scale=11.0),
        towers(hidden_token=5),
        towers(preprocess=lambda picture: 2 * pixels_of(picture)),
    ):
        assert other.fingerprint() != made
    with pytest.raises(ValueError, match="give TwoTower its network or a version"):
        towers(text=lambda ids: text(ids)).fingerprint()  # nobody knows what is behind that


def test_towers_that_nobody_can_tell_apart_are_not_mixed():
    """Without network and version a model is known as itself, in this process only."""
    image, text = Image(), Text()
    first, second = (towers(lambda p: image(p), lambda i, sign=sign: sign * text(i)) for sign in (1, -1))
    sides = [
        {kind: fit_side(game_of(model), kind) for kind in ("image", "text")} for model in (first, second)
    ]
    assert combine(sides[0]["image"], sides[0]["text"]).meta["model"] == "two towers"
    with pytest.raises(ValueError, match=r"different encoders: two towers \(without fingerprint"):
        combine(sides[0]["image"], sides[1]["text"])


def test_what_other_functions_prepared_is_refused():
    own, same = towers(), towers()
    other = towers(preprocess=lambda picture: 1 - pixels_of(picture))
    picture, caption = own.prepare_image(noise_image()), own.tokenize(TEXT)
    assert same.score(picture, caption) == own.score(noise_image(), TEXT)
    with pytest.raises(ValueError, match=r"picture was prepared by 'two towers'.* give picture\.original"):
        other.score(picture, caption)
    for what in ((picture, CAPTION), (noise_image(), caption)):
        with pytest.raises(ValueError, match="was prepared by 'two towers'"):
            VisionLanguageGame(small_model("clip"), *what)


def test_a_folder_that_is_called_like_an_embedded_model_is_not_that_for_its_name():
    """Only one that reads words of the picture world is said to know drawings only."""
    parts = small_model("clip")
    assert not VisionLanguageModel(
        parts.network, parts.tokenizer, parts.image_processor, "mini-clip"
    ).embedded


def test_an_explanation_says_what_it_is_of():
    model = small_model("mini-clip")
    game = VisionLanguageGame(model, noise_image(), "red dog", image_players=(2, 2), progress=False)
    assert fixlip(game).meta["fingerprint"] == model.fingerprint()
