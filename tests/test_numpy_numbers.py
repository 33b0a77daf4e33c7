"""NumPy's numbers where Python's are usual: nothing that was computed with them fails to be saved."""

import json

import numpy as np
import pytest
from stand_ins import CAPTION, noise_image, small_model

from fixlip_helpers import Checkpointed, Explanation, Side, VisionLanguageGame, combine, fit_side, fixlip
from fixlip_helpers.baselines import exclip, game_relevance, shapley
from fixlip_helpers.coalitions import DESIGNS, authors_split, choose_design, plain
from fixlip_helpers.experiments.evaluation import Request, _keep_request
from fixlip_helpers.games import SideBySide, random_embeddings, random_game
from fixlip_helpers.wls import NormalEquations

SEED = np.arange(3)[1]


def saved(explanation, tmp_path):
    """Saved, and read back with the same numbers and with facts that are Python's."""
    read = Explanation.load(explanation.save(tmp_path / "explanation.json"))
    np.testing.assert_array_equal(read.pairs, explanation.pairs)
    assert read.meta == plain(explanation.meta)
    return read


HOW = {
    "cross": {"seed": SEED},
    "budget": {"budget": np.int32(400), "seed": np.uint8(1)},
    "sizes": {
        "n_image_coalitions": np.int16(40),
        "n_text_coalitions": np.int8(30),
        "n_held_out": np.int64(16),
    },
    "wls": {"solver": "wls", "seed": SEED, "p": np.float32(0.25)},
    "joint": {"sampling": "joint", "seed": SEED, "budget": np.int64(300)},
    "FSII": {"index": "FSII", "seed": SEED, "budget": np.int64(300)},
    "errors": {"errors": np.True_, "seed": SEED},
    "tolerance": {"tolerance": np.float32(0.5), "seed": SEED},
    "designs": {"design": ("stratified", "border"), "n_image_coalitions": np.uint8(60), "seed": SEED},
}


@pytest.mark.parametrize("how", HOW)
def test_explanations_by_any_sampling_are_saved_and_equal_those_by_pythons_numbers(how, tmp_path):
    game = random_embeddings(6, 5, seed=3)
    found = saved(fixlip(game, **HOW[how]), tmp_path)
    usual = {key: value.item() if isinstance(value, np.generic) else value for key, value in HOW[how].items()}
    truth = fixlip(game, **usual)
    np.testing.assert_array_equal(found.pairs, truth.pairs)
    facts = {key: value for key, value in plain(truth.meta).items() if key != "seconds"}
    assert facts == {key: value for key, value in found.meta.items() if key != "seconds"}
    assert isinstance(found.meta["seed"], int)


def test_shapley_values_sides_and_normal_equations_are_saved(tmp_path):
    saved(shapley(random_game(6), budget=np.int64(40), seed=SEED), tmp_path)
    game = random_embeddings(6, 5, seed=3)
    game.meta = {
        "grid": np.array([2, 3]),
        "scale": np.float32(2),
        "sizes": {np.int64(3): (np.int8(1), {"b", "a"})},
    }
    for design in ("auto", "independent", "paired"):
        sides = [
            fit_side(game, side, 0.5, design, np.int64(50), SEED, errors=design == "independent")
            for side in ("image", "text")
        ]
        read = [Side.load(side.save(tmp_path / "side.safetensors")) for side in sides]
        np.testing.assert_array_equal(read[0].coefficients, sides[0].coefficients)
        assert read[0].meta["grid"] == [2, 3] and read[0].meta["sizes"] == {"3": [1, ["a", "b"]]}
        saved(combine(*sides), tmp_path)
    equations = NormalEquations(np.int64(3), np.float32(0.5), np.int64(1))
    equations.total = np.float32(2)
    assert NormalEquations.load(equations.save(tmp_path / "equations")).total == 2


@pytest.mark.parametrize("design", [name for name in DESIGNS if name != "enumeration"])
def test_narrow_numbers_do_not_overflow_in_a_design(design):
    m = 512 if design.startswith("orthogonal_array") else 120
    found = DESIGNS[design](np.int8(10), np.float16(0.5), np.int16(m), np.int8(1))
    truth = DESIGNS[design](10, 0.5, m, 1)
    np.testing.assert_array_equal(found.coalitions, truth.coalitions)
    assert json.dumps([found.p, found.seed]) == "[0.5, 1]"


def test_counts_of_players_of_numpys_do_not_overflow():
    """2**64 is 0 as a NumPy number: 64 players would pass for fewer than any."""
    assert len(choose_design("image", np.int64(64), 0.5, m=np.int64(70))) == 70
    assert authors_split(np.int64(2**17), np.int64(64), np.int64(8)) == authors_split(2**17, 64, 8)

    class Theirs(SideBySide):
        n_image, n_text = np.prod([2, 3]), np.int64(4)
        scale, bias = np.float32(1), np.float32(0)

        def encode_images(self, coalitions):
            return coalitions.astype(np.float32)

        def encode_texts(self, coalitions):
            return np.pad(coalitions.astype(np.float32), ((0, 0), (0, 2)))

    json.dumps(fixlip(Theirs()).to_dict())
    json.dumps(fixlip(Theirs(), sampling="joint").to_dict())


def test_batches_steps_and_layers(tmp_path):
    model, image = small_model("clip"), noise_image()
    game = VisionLanguageGame(
        model, image, CAPTION, batch_size=np.int64(16), image_players=(np.int64(2), np.int64(2))
    )
    kept = Checkpointed(game, tmp_path / "passes", block_size=np.int64(8))
    saved(fixlip(kept, n_held_out=8, seed=SEED), tmp_path)
    saved(exclip(model, image, CAPTION, np.int64(-1), np.int64(2), np.int64(64)), tmp_path)
    saved(game_relevance(model, image, CAPTION, np.int64(0)), tmp_path)
    for refused in (0, 2.0, True, "2", np.bool_(True)):
        with pytest.raises(ValueError, match=r"batch_size is .*; expected a whole number of at least 1"):
            VisionLanguageGame(model, image, CAPTION, batch_size=refused)


def test_a_request_of_numpys_numbers_is_kept_and_found_again(tmp_path):
    asked = {"ps": (np.float64(0.5),), "coalitions": np.int64(64), "select": np.int64(2), "seed": SEED}
    _keep_request(Request("scenes:pairs:0:2", **asked), tmp_path)
    _keep_request(Request("scenes:pairs:0:2", ps=(0.5,), coalitions=64, select=2, seed=1), tmp_path)


def test_facts_of_any_kind_and_halves_of_characters_are_saved(tmp_path):
    """A user's own game may say anything of itself; what has no word in JSON is saved as its text, or as nothing."""
    explanation = fixlip(random_embeddings(3, 2))
    explanation.meta |= {
        "caption": "half a \ud83d dog", "path": tmp_path, "number": float("nan"), "many": [np.inf, 1, (np.float32(2),)],
    }  # fmt: skip
    read = Explanation.load(explanation.save(tmp_path / "explanation.json"))
    assert read.meta["caption"] == "half a \ud83d dog" and read.meta["path"] == str(tmp_path)
    assert read.meta["number"] is None and read.meta["many"] == [None, 1, [2.0]]
