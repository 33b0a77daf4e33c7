"""Side fits (Theorem 2): inner products of vector coefficients."""

import numpy as np
import pytest
from truth import assert_terms, brute_force, everything, terms

from fixlip_helpers.coalitions import (
    UnderdeterminedError,
    enumeration,
    independent,
    monomials,
    orthogonal_array,
)
from fixlip_helpers.explanation import Explanation, player_names
from fixlip_helpers.games import EmbeddingTableGame, ExplanationGame, random_embeddings
from fixlip_helpers.sides import RIDGES, Side, combine, encode_side, fit_side, r_squared, regression


class CountingGame(EmbeddingTableGame):
    """Remembers every coalition that it was asked to encode."""

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.images, self.texts = [], []

    def encode_images(self, coalitions):
        self.images += map(bytes, coalitions)
        return super().encode_images(coalitions)

    def encode_texts(self, coalitions):
        self.texts += map(bytes, coalitions)
        return super().encode_texts(coalitions)


def random_counting_game(n_image, n_text, d=4, seed=0, meta=None):
    rng = np.random.default_rng(seed)
    game = CountingGame(rng.normal(size=(2**n_image, d)), rng.normal(size=(2**n_text, d)), 3.0, -2.0)
    game.meta = meta or {}
    return game


def second_order_game(n_image, n_text, seed=0, noise=0.0):
    rng = np.random.default_rng(seed)
    n = n_image + n_text
    pairs = np.triu(rng.normal(size=(n, n)), 1)
    names = player_names(n_image, n_text)
    e = Explanation(0.3, None, rng.normal(size=n), pairs + pairs.T, "FWBII", 0.5, names, n_image, n_text)
    return ExplanationGame(e, noise, seed=seed)


@pytest.mark.parametrize("p", [0.3, 0.5, 0.7])
def test_side_fits_are_brute_force_when_both_sides_are_enumerated(p):
    game = random_embeddings(5, 4, d=6, seed=7)
    explanation = combine(fit_side(game, "image", p), fit_side(game, "text", p))
    rows, weights = everything(9, p)
    assert_terms(terms(explanation), brute_force(rows, game(rows), weights), 1e-8)
    residual = game(rows) - explanation.predict(rows)
    centred = game(rows) - weights @ game(rows)
    assert explanation.meta["held_out_r2"] == pytest.approx(
        1 - weights @ residual**2 / (weights @ centred**2)
    )


def test_vector_coefficients_are_expectations():
    game, p = random_embeddings(4, 2, seed=3), 0.3
    rows, weights = everything(4, p)
    side = fit_side(game, "image", p)
    expected = monomials(rows, p).T @ (weights[:, None] * game.encode_images(rows))
    assert side.coefficients == pytest.approx(expected)
    assert side.held_out_r2 == pytest.approx(r_squared(game.encode_images(rows), side.predict(rows), weights))


@pytest.mark.parametrize("p", [0.3, 0.5])
def test_one_picture_with_ten_captions_is_ten_explanations(p):
    rng = np.random.default_rng(0)
    images = rng.normal(size=(2**13, 4))
    captions = [rng.normal(size=(2 ** rng.integers(2, 5), 4)) for _ in range(10)]
    first = CountingGame(images, captions[0], 3.0, -2.0)
    picture = fit_side(first, "image", p, seed=5)
    for texts in captions:
        game = CountingGame(images, texts, 3.0, -2.0)
        together = combine(picture, fit_side(game, "text", p, seed=5))
        assert game.images == []  # the picture is not encoded again
        alone = combine(fit_side(game, "image", p, seed=5), fit_side(game, "text", p, seed=5))
        assert_terms(terms(together), terms(alone), 1e-12)
        assert together.meta["held_out_r2"] == pytest.approx(alone.meta["held_out_r2"])
        assert together.meta["full_value"] == pytest.approx(game(np.ones((1, game.n_players), bool))[0])
        assert together.empty_value == pytest.approx(game(np.zeros((1, game.n_players), bool))[0])


def test_each_coalition_is_encoded_once():
    game = random_counting_game(13, 3)
    image = fit_side(game, "image", 0.3)
    text = fit_side(game, "text", 0.3)
    assert len(game.images) == len(set(game.images)) == image.meta["passes"]
    assert len(game.texts) == len(set(game.texts)) == text.meta["passes"] == 8


def test_held_out_coalitions_were_not_fitted():
    game = random_counting_game(13, 3)
    side = encode_side(game, "image", independent(13, 0.3, 4096), n_held_out=500)
    fitted = set(map(bytes, side.design.coalitions))
    assert len(side.held_out) > 100 and not fitted & set(map(bytes, side.held_out.coalitions))
    assert side.held_out.weights.sum() == pytest.approx(1)


# --- Ridge --------------------------------------------------------------------------------


def test_regression_is_penalised_least_squares_on_the_pairs():
    design, rng = independent(6, 0.3, 40, seed=2), np.random.default_rng(1)
    targets = rng.normal(size=(len(design), 3))
    phi = monomials(design.coalitions, 0.3)
    penalty = 0.2 * np.diag([0.0] * 7 + [1.0] * 15)
    expected = np.linalg.solve(
        phi.T @ (design.weights[:, None] * phi) + penalty, phi.T @ (design.weights[:, None] * targets)
    )
    assert regression(design, targets)(0.2) == pytest.approx(expected)


def test_an_array_needs_no_factorisation():
    array, rng = orthogonal_array(9, seed=1), np.random.default_rng(1)
    targets = rng.normal(size=(len(array), 2))
    unnamed = type(array)(array.coalitions, array.weights, 0.5, "independent", 1)
    for ridge in (0.0, 0.5):
        assert regression(array, targets)(ridge) == pytest.approx(regression(unnamed, targets)(ridge))


def test_held_out_rows_choose_the_ridge():
    exact = fit_side(second_order_game(14, 2), "image", 0.3, m=800)
    noisy = fit_side(second_order_game(14, 2, noise=2.0), "image", 0.3, m=120)
    assert exact.ridge == 0 and noisy.ridge in RIDGES and noisy.ridge > 0
    plain = fit_side(second_order_game(14, 2, noise=2.0), "image", 0.3, m=120, ridge=0.0)
    assert noisy.held_out_r2 > plain.held_out_r2
    scarce = fit_side(second_order_game(14, 2), "image", 0.3, m=80)  # fewer passes than the 106 terms
    assert scarce.ridge > 0 and scarce.held_out_r2 > 0.2


# --- Files, facts, refusals ---------------------------------------------------------------


@pytest.mark.parametrize("p", [0.3, 0.5])
def test_save_and_load(tmp_path, p):
    facts = {"model": "m", "caption": "a b", "grid": [1, 13], "words": [["a", [13]]]}
    game = random_counting_game(13, 2, meta=facts)
    image, text = fit_side(game, "image", p), fit_side(game, "text", p)
    loaded = [Side.load(side.save(tmp_path / f"{side.modality}.safetensors")) for side in (image, text)]
    a, b = combine(image, text), combine(*loaded)
    assert_terms(terms(a), terms(b), 1e-300)
    a.meta.pop("seconds"), b.meta.pop("seconds")
    assert a.meta == b.meta and a.players == b.players and a.meta["passes"]["text"] == 4
    assert {key: a.meta[key] for key in facts} == facts
    assert "caption" not in image.meta and "grid" not in text.meta
    assert sorted(file.name for file in tmp_path.iterdir()) == ["image.safetensors", "text.safetensors"]


def test_a_file_that_is_no_side_is_refused_by_name(tmp_path):
    (tmp_path / "x.safetensors").write_bytes(b"not a side")
    with pytest.raises(ValueError, match=r"x\.safetensors is not a saved side"):
        Side.load(tmp_path / "x.safetensors")


def test_sides_that_do_not_belong_together_are_refused():
    game = random_counting_game(3, 3, meta={"model": "one"})
    other = random_counting_game(3, 3, meta={"model": "two"})
    image, text = fit_side(game, "image"), fit_side(game, "text")
    with pytest.raises(ValueError, match="got text and image"):
        combine(text, image)
    with pytest.raises(ValueError, match=r"differ in p: 0\.5 and 0\.3"):
        combine(image, fit_side(game, "text", 0.3))
    with pytest.raises(ValueError, match="one and two"):
        combine(image, fit_side(other, "text"))
    other.scale = 1.0
    with pytest.raises(ValueError, match="differ in scale"):
        combine(image, fit_side(other, "text"))


def test_bad_arguments_are_refused():
    game = random_counting_game(6, 3)
    with pytest.raises(ValueError, match="modality = 'audio'"):
        fit_side(game, "audio")
    with pytest.raises(ValueError, match="ridge = -1"):
        fit_side(game, "image", ridge=-1)
    with pytest.raises(ValueError, match="n_held_out = 1"):
        fit_side(game, "image", n_held_out=1)
    with pytest.raises(ValueError, match="design has 5 players"):
        fit_side(game, "image", design=enumeration(5, 0.5))
    with pytest.raises(UnderdeterminedError, match="at least 7 passes"):
        fit_side(game, "image", m=5)
    with pytest.raises(UnderdeterminedError, match="at least 22 passes"):
        fit_side(game, "image", m=15, ridge=0)
