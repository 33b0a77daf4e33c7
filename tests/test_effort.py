"""What a time allows: with a clock that only encoding moves, so that what comes out does not depend on the machine."""

from __future__ import annotations

import numpy as np
import pytest

from fixlip_helpers import effort
from fixlip_helpers import fixlip as explain
from fixlip_helpers.checkpoints import Remembered
from fixlip_helpers.coalitions import UnderdeterminedError
from fixlip_helpers.explanation import Explanation
from fixlip_helpers.games import ExplanationGame, SideBySide


class Timed(SideBySide):
    """A game whose passes take a known time, and which counts them; the truth is of order two."""

    def __init__(self, n_image: int, n_text: int, image_seconds: float, text_seconds: float = 0.001) -> None:
        rng = np.random.default_rng(0)
        n = n_image + n_text
        pairs = np.triu(rng.normal(size=(n, n)), 1)
        names = [f"player {i}" for i in range(n)]
        self.truth = Explanation(
            0.5, None, rng.normal(size=n), pairs + pairs.T, "FWBII", 0.5, names, n_image, n_text
        )
        self.game = ExplanationGame(self.truth)
        self.n_image, self.n_text, self.scale, self.bias = n_image, n_text, self.game.scale, self.game.bias
        self.each = {"image": image_seconds, "text": text_seconds}
        self.passes, self.now = {"image": 0, "text": 0}, 0.0

    def encode(self, side: str, rows: np.ndarray) -> np.ndarray:
        self.passes[side] += len(rows)
        self.now += len(rows) * self.each[side]
        return self.game.encode_images(rows) if side == "image" else self.game.encode_texts(rows)

    def encode_images(self, coalitions):
        return self.encode("image", coalitions)

    def encode_texts(self, coalitions):
        return self.encode("text", coalitions)


@pytest.fixture
def timed(monkeypatch):
    def make(*arguments):
        game = Timed(*arguments)
        monkeypatch.setattr(effort, "perf_counter", lambda: game.now)
        monkeypatch.setattr(effort, "solving_seconds", lambda *_: 0.0)
        return game

    return make


@pytest.mark.parametrize("seconds", [12, 40, 100])
def test_the_time_is_spent_and_not_more(timed, seconds):
    game = timed(30, 6, 0.02)
    explanation = explain(game, p=0.4, seconds=seconds)
    assert 0.9 * seconds <= game.now <= 1.1 * seconds
    assert explanation.meta["time"]["asked"] == seconds and explanation.meta["time"]["stopped"] == "time"
    assert explanation.meta["passes"] == game.passes  # what measured the speed was used
    if explanation.meta["ridge"]["image"] == 0:  # enough for least squares: the game is of order two
        np.testing.assert_allclose(explanation.pairs, game.truth.pairs, atol=1e-6)


def test_arrays_are_taken_when_there_is_time_for_them(timed):
    game = timed(30, 6, 0.02)
    explanation = explain(game, seconds=40)  # 2 000 passes: one array of 1 024
    assert explanation.meta["design"]["image"]["name"] == "orthogonal_array"
    assert explanation.meta["passes"] == game.passes and game.now <= 40
    np.testing.assert_allclose(explanation.pairs, game.truth.pairs, atol=1e-9)


def test_a_side_that_can_be_enumerated_ends_early(timed):
    game = timed(8, 4, 0.02)
    explanation = explain(game, seconds=500)
    assert game.passes == {"image": 256, "text": 16} and explanation.meta["time"]["stopped"] == "coalitions"


def test_an_encoder_that_slows_down_stops_in_time(timed):
    game = timed(30, 6, 0.02)
    game.each["image"] = 0.02
    honest = game.encode

    def slower(side, rows):
        if game.passes["image"] > 120:
            game.each["image"] = 0.08
        return honest(side, rows)

    game.encode = slower
    explain(game, p=0.4, seconds=40)
    assert 0.9 * 40 <= game.now <= 1.1 * 40


@pytest.mark.parametrize(
    "n_image, advice", [(49, r", or .*\(--patches 4x4,"), (16, r", or .*\(--patches 2x2,"), (7, "$")]
)
def test_too_short_a_time_says_how_much_is_enough(n_image, advice, timed):
    game = timed(n_image, 6, 0.02)
    said = rf"seconds = 0.8 is too short.* at 50 a second.* Allow about \d+ s{advice}"
    with pytest.raises(UnderdeterminedError, match=said) as error:
        explain(game, seconds=0.8)
    enough = float(str(error.value).split("Allow about ")[1].split()[0])
    explain(game, seconds=enough)  # which is true


def test_what_was_encoded_before_costs_no_time(timed):
    game = timed(30, 6, 0.02)
    remembered = Remembered(game)
    explain(remembered, p=0.4, seconds=10)
    before = game.passes["image"]
    more = explain(remembered, p=0.4, seconds=10)
    assert game.passes["image"] - before > 400  # ten seconds more
    assert more.meta["design"]["image"]["coalitions"] > 800


def test_a_long_caption_leaves_the_image_its_time(timed):
    game = timed(9, 40, 0.02, 0.01)  # 861 terms of the text, 4 a term would take all the time
    explanation = explain(game, seconds=10)
    assert game.now <= 11 and 100 <= explanation.meta["passes"]["text"] <= 400
    assert explanation.meta["design"]["image"]["coalitions"] > 100


def test_errors_get_enough_independent_draws(timed):
    game = timed(20, 5, 0.02)
    explanation = explain(game, seconds=20, errors=True)
    assert explanation.errors is not None and explanation.meta["design"]["image"]["name"] == "independent"


@pytest.mark.parametrize("seconds", [0, -1, np.inf, np.nan, True, "5"])
def test_times_that_are_none(seconds):
    with pytest.raises(ValueError, match=r"seconds = .*above 0"):
        explain(Timed(3, 2, 0.0), seconds=seconds)


@pytest.mark.parametrize(
    "other",
    [{"budget": 99}, {"tolerance": 0.5}, {"design": "independent"}, {"n_image_coalitions": 9}, {"solver": "wls"},
     {"sampling": "joint"}, {"index": "FSII"}],
)  # fmt: skip
def test_seconds_excludes_whatever_else_decides_the_number_of_passes(other):
    with pytest.raises(ValueError, match="seconds chooses the coalitions itself: leave"):
        explain(Timed(3, 2, 0.0), seconds=5, **other)
