"""All pairs of pictures and captions: equal to pair by pair, from N + M side fits."""

from collections import deque

import numpy as np
import pandas
import pytest
from stand_ins import noise_image, small_model
from truth import assert_terms, terms

from classroom.bank import bank
from fixlip_helpers import VisionLanguageGame, explain_matrix, fixlip, scenes
from fixlip_helpers.datasets import word_captions
from fixlip_helpers.experiments.evaluation import Request, paper_request

CAPTIONS = ["a red dog", "a blue cat on grass", "red dog and a cat"]
PICTURES = [noise_image(seed=1), noise_image(seed=2)]


@pytest.fixture(scope="module")
def model():
    return small_model("mini-clip")


@pytest.fixture(scope="module")
def matrix(model):
    return explain_matrix(model, PICTURES, CAPTIONS, 0.3, n_image_coalitions=600)


def test_each_pair_is_what_it_is_by_itself(model, matrix):
    for i, picture in enumerate(PICTURES):
        for j, caption in enumerate(CAPTIONS):
            alone = fixlip(VisionLanguageGame(model, picture, caption), 0.3, n_image_coalitions=600)
            assert_terms(terms(matrix[i, j]), terms(alone), 1e-8)
            assert matrix[i, j].meta["caption"] == caption
            assert matrix.scores()[i, j] == pytest.approx(alone.meta["full_value"], abs=1e-9)


def test_passes_are_those_of_the_sides(matrix):
    assert matrix.shape == (2, 3)
    one_by_one = [matrix[i, j].meta["passes"] for i in range(2) for j in range(3)]
    assert matrix.passes["image"] * 3 == sum(passes["image"] for passes in one_by_one)
    assert matrix.passes["text"] * 2 == sum(passes["text"] for passes in one_by_one)


def test_one_interaction_over_all_pairs(matrix):
    found = matrix.interaction([3, 5], "red")
    for i in range(2):
        for j, caption in enumerate(CAPTIONS):
            if "red" in caption:
                explanation = matrix[i, j]
                column = explanation.players.index("red")
                assert found[i, j] == pytest.approx(explanation.pairs[[3, 5], column].sum(), abs=1e-10)
            else:
                assert np.isnan(found[i, j])


def shuffled(values):
    """As a column of a table whose rows were filtered and sorted: no label is a position."""
    values = list(values)
    return pandas.Series(values, index=range(len(values) + 4, 4, -1))


def test_sequences_are_read_by_position(model, matrix):
    """Columns of a table, arrays, generators: what has an order is taken in that order, wherever a sequence is."""
    for pictures, captions in (
        (shuffled(PICTURES), shuffled(CAPTIONS)),
        (np.stack(PICTURES), np.array(CAPTIONS)),
        (iter(PICTURES), (caption for caption in CAPTIONS)),
        ({"a": PICTURES[0], "b": PICTURES[1]}.values(), deque(CAPTIONS)),
    ):
        found = explain_matrix(model, pictures, captions, 0.3, n_image_coalitions=600)
        np.testing.assert_allclose(found.scores(), matrix.scores())
    assert np.array_equal(
        matrix.interaction(shuffled([3, 5]), "red"), matrix.interaction([3, 5], "red"), equal_nan=True
    )
    assert word_captions(shuffled("abcd")) == word_captions("abcd")
    request = Request(
        "scenes:pairs:3:3", shuffled(["mini-clip"]), np.array(["game"]), deque(["aid"]), np.array([0.5])
    )
    assert request == Request("scenes:pairs:3:3", ("mini-clip",), ("game",), ("aid",), (0.5,))
    assert paper_request("table1", shuffled(["mini-clip"])) == paper_request("table1", ("mini-clip",))
    nouns, colours = ["dog", "cat"], ["blue", "red"]
    assert scenes.make_scene(1, nouns=shuffled(nouns), colours=shuffled(colours)) == scenes.make_scene(
        1, nouns=nouns, colours=colours
    )
    assert [question.id for question in bank(shuffled(["02", "05"]))] == [q.id for q in bank(["02", "05"])]
    for groups in (shuffled([[0, 1]]), np.array([[0, 1]]), [shuffled([0, 1])]):
        game = VisionLanguageGame(model, PICTURES[0], "a red dog", text_players=groups)
        assert game.players[-2:] == ["a red", "dog"]
        assert matrix[0, 0].merge(groups if len(groups) == 1 else list(groups)).n_image == 15


def test_bad_input_is_named(model, matrix):
    with pytest.raises(ValueError, match="captions = 'a dog'"):
        explain_matrix(model, PICTURES, "a dog")
    with pytest.raises(ValueError, match="pictures = "):
        explain_matrix(model, [], CAPTIONS)
    with pytest.raises(ValueError, match=r"patches = \[16\]; expected numbers from 0 to 15"):
        matrix.interaction(16, "red")
    with pytest.raises(ValueError, match="word = 'green'"):
        matrix.interaction(0, "green")
