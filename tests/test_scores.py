"""The embedded encoders see what the course says they see.

Each promise is tested on fewer scenes than the model card's, with room for three standard errors of a share.
"""

import json

import numpy as np
import pytest

from fixlip_helpers import scenes, scores
from fixlip_helpers.models import ASSETS, EMBEDDED, load_model

SHIPPED = [name for name in EMBEDDED if (ASSETS / name / "training.json").exists()]


@pytest.fixture(scope="module", params=SHIPPED)
def model(request):
    return load_model(request.param)


def test_both_encoders_are_shipped():
    assert SHIPPED == list(EMBEDDED)


def at_least(measured: float, name: str, n: int) -> None:
    """``measured`` is a share of ``n`` scenes that is no lower than the promise, but for three standard errors."""
    promise = scores.PROMISES[name][0]
    assert measured >= promise - 3 * np.sqrt(promise * (1 - promise) / n), (name, measured)


def test_it_names_single_objects(model):
    at_least(scores.zero_shot(model, 300, False, "test untinted"), "zero_shot_untinted", 300)
    at_least(scores.zero_shot(model, 300, True, "test tinted"), "zero_shot_tinted", 300)


def test_it_finds_captions(model):
    at_least(scores.retrieval(model, 1, "test pool"), "retrieval", 256)


def test_it_binds_colours(model):
    at_least(scores.swapped_colours(model, 300, "test swapped"), "swapped_colours", 300)


def test_it_sees_backgrounds(model):
    at_least(scores.background(model, 120, "test background"), "background", 120)


def test_its_explanations_point_at_the_right_quarter(model):
    found = scores.pointing(model, 4, "test grid")
    promise, slack = scores.PROMISES["pointing_game"][0], 3 * found["pointing_game_standard_error"]
    assert found["pointing_game"] >= promise - slack
    assert found["held_out_r2"] > 0.8


def test_wrong_colours_speak_against_their_object(model):
    for what, total in scores.wrong_colours(model).items():
        assert total < 0, what


@pytest.mark.parametrize("name", SHIPPED)
def test_the_card_shows_the_stored_scores(name):
    folder = ASSETS / name
    stored = json.loads((folder / "scores.json").read_text())
    run = json.loads((folder / "training.json").read_text())
    assert (folder / "README.md").read_text() == scores.card(name, stored, run)
    assert (folder / "model.safetensors").stat().st_size <= 8_000_000


@pytest.mark.slow
@pytest.mark.parametrize("name", SHIPPED)
def test_the_stored_scores_are_what_a_new_measurement_gives(name):
    stored = json.loads((ASSETS / name / "scores.json").read_text())
    again = scores.measure(load_model(name), grids=stored["grids"])
    for key in scores.PROMISES:
        assert again[key] == pytest.approx(stored[key], abs=0.01), key
        assert again[key] >= scores.PROMISES[key][0], key


def test_scenes_are_embedded_as_the_picture_processor_would(model):
    scene = scenes.make_scene(7)
    pixels = model.prepare_image(scene.image).pixels[None]
    assert np.abs(scores.embed_scenes(model, [scene])[0] - model.embed_pixels(pixels).numpy()[0]).max() < 1e-5
