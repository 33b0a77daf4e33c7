"""Side fits (the factorisation theorem): inner products of vector coefficients."""

import numpy as np
import pytest
from truth import assert_terms, brute_force, everything, random_surrogate, terms

from fixlip_helpers import regression
from fixlip_helpers.coalitions import (
    UnderdeterminedError,
    enumeration,
    independent,
    monomials,
    orthogonal_array,
)
from fixlip_helpers.games import EmbeddingTableGame, ExplanationGame, random_embeddings
from fixlip_helpers.regression import RIDGES, SideRegression, shrink_pairs
from fixlip_helpers.sides import Side, combine, encode_side, fit_side, r_squared


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
    return ExplanationGame(random_surrogate(n_image, n_text, seed=seed), noise, seed=seed)


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
    assert SideRegression(design, targets)(0.2) == pytest.approx(expected)


def test_an_array_needs_no_factorisation():
    array, rng = orthogonal_array(9, seed=1), np.random.default_rng(1)
    targets = rng.normal(size=(len(array), 2))
    unnamed = type(array)(array.coalitions, array.weights, 0.5, "independent", 1)
    for ridge in (0.0, 0.5):
        assert SideRegression(array, targets)(ridge) == pytest.approx(SideRegression(unnamed, targets)(ridge))


def test_held_out_rows_choose_the_ridge():
    exact = fit_side(second_order_game(14, 2), "image", 0.3, m=800)
    noisy = fit_side(second_order_game(14, 2, noise=2.0), "image", 0.3, m=120)
    assert exact.ridge == 0 and noisy.ridge in RIDGES and noisy.ridge > 0
    plain = fit_side(second_order_game(14, 2, noise=2.0), "image", 0.3, m=120, ridge=0.0)
    assert noisy.held_out_r2 > plain.held_out_r2
    scarce = fit_side(second_order_game(14, 2), "image", 0.3, m=80)  # fewer passes than the 106 terms
    assert scarce.ridge > 0 and scarce.held_out_r2 > 0.2


# --- Order one ----------------------------------------------------------------------------


@pytest.mark.parametrize("p", [0.3, 0.5])
@pytest.mark.parametrize("design", ["independent", "enumeration"])
def test_order_one_is_least_squares_on_single_players(p, design):
    game = random_embeddings(6, 3, d=4, seed=2)
    side = fit_side(game, "image", p, design, m=None if design == "enumeration" else 50, order=1)
    coalitions, weights = (
        everything(6, p)
        if design == "enumeration"
        else (lambda d: (d.coalitions, d.weights))(independent(6, p, 50, stream=1))
    )
    x = np.column_stack([np.ones(len(coalitions)), coalitions])
    root = np.sqrt(weights)[:, None]
    truth = x @ np.linalg.lstsq(root * x, root * game.encode_images(coalitions), rcond=None)[0]
    np.testing.assert_allclose(side.predict(coalitions), truth, atol=1e-8)
    assert (side.order, side.coefficients.shape) == (1, (7, 4))
    text = fit_side(game, "text", p)
    explanation = combine(side, text)
    assert not explanation.pairs[:6, :6].any() and explanation.pairs[6:, 6:].any()
    expected = game.scale * side.coefficients[1:] @ text.coefficients[1:4].T / (p * (1 - p))
    np.testing.assert_allclose(explanation.cross_modal(), expected, atol=1e-12)
    assert explanation.meta["order"] == {"image": 1, "text": 2}


def test_order_one_survives_the_file(tmp_path):
    side = fit_side(random_embeddings(6, 3), "image", order=1)
    loaded = Side.load(side.save(tmp_path / "side.safetensors"))
    assert loaded.order == 1 and str(loaded) == str(side)


def additive_game(n, d=3, noise=0.0, seed=0):
    """Embeddings of order one, and pure noise."""
    rng = np.random.default_rng(seed)
    slopes = rng.normal(size=(n, d))
    images = everything(n, 0.5)[0] @ slopes + noise * rng.normal(size=(2**n, d))
    return EmbeddingTableGame(images, rng.normal(size=(4, d)))


def test_order_one_is_chosen_where_passes_are_fewer_than_pairs_and_it_does_better():
    game = additive_game(14, noise=0.2, seed=1)
    assert fit_side(game, "image", 0.3, m=60, seed=1, n_held_out=4000).order == 1
    assert fit_side(game, "image", 0.3, m=60, seed=1, n_held_out=4000, order=2).order == 2
    assert (
        fit_side(game, "image", 0.3, m=200, seed=1, n_held_out=4000).order == 2
    )  # more passes than the 91 pairs
    pairs_matter = fit_side(second_order_game(14, 2), "image", 0.3, m=80)
    assert pairs_matter.order == 2


# --- Shrinkage ----------------------------------------------------------------------------


def test_shrinkage_removes_noise_and_keeps_what_is_there():
    plain = fit_side(additive_game(12, noise=1.0), "image", 0.3, "independent", m=400, ridge=0.0)
    shrunken = fit_side(additive_game(12, noise=1.0), "image", 0.3, "independent", m=400, penalty="shrinkage")
    assert shrunken.held_out_r2 > plain.held_out_r2 + 0.01
    lengths = [np.linalg.norm(side.coefficients[13:], axis=1) for side in (plain, shrunken)]
    assert (lengths[1] == 0).mean() > 0.3  # no pair is real
    assert (lengths[1] <= lengths[0]).all()
    np.testing.assert_array_equal(shrunken.coefficients[:13], plain.coefficients[:13])
    exact = [
        fit_side(second_order_game(12, 2), "image", 0.3, "independent", m=400, **way)
        for way in ({"ridge": 0.0}, {"penalty": "shrinkage"})
    ]
    np.testing.assert_allclose(exact[0].coefficients, exact[1].coefficients, atol=1e-9)


def test_the_noise_that_shrinkage_removes_is_measured_right():
    design, rng = independent(8, 0.5, 4000, seed=3), np.random.default_rng(0)
    noise = rng.normal(size=(len(design), 5))  # independent rows: pairs have squared length 5 / m on average
    few = independent(8, 0.5, 60, seed=3)
    for d, targets in ((design, noise), (few, rng.normal(size=(len(few), 400)))):
        fitted = SideRegression(d, targets)()
        squared = (fitted[9:] ** 2).sum(axis=1)
        kept = (shrink_pairs(fitted, d, targets)[9:] ** 2).sum(axis=1)
        # s² from the factor 1 - s² / |f|² of a pair that is kept
        alive = kept > 0
        measured = squared[alive] * (1 - np.sqrt(kept[alive] / squared[alive]))
        assert measured == pytest.approx(np.full(alive.sum(), measured[0]))
        assert measured[0] == pytest.approx(squared.mean(), rel=0.35)
    with pytest.raises(UnderdeterminedError, match="no noise to measure"):
        shrink_pairs(fitted, independent(8, 0.5, 30), targets[:30])


# --- Which solver -------------------------------------------------------------------------


@pytest.mark.parametrize("p", [0.3, 0.5])
def test_a_side_above_the_threshold_is_solved_without_a_matrix(p, monkeypatch):
    game = second_order_game(11, 3, noise=0.5)
    arguments = game, "image", p, "independent", 400
    dense = fit_side(*arguments)
    monkeypatch.setattr(regression, "DENSE_TERMS", 20)
    monkeypatch.setattr(regression, "JUDGED_DIRECTIONS", 400)
    monkeypatch.setattr(regression, "normal_equations", None)  # would be called to form the Gram matrix
    free = fit_side(*arguments)
    assert (dense.meta["solver"], free.meta["solver"]) == ("dense", "matrix-free")
    assert free.ridge == dense.ridge
    np.testing.assert_allclose(free.coefficients, dense.coefficients, atol=1e-6)
    few = fit_side(game, "image", p, "independent", 40, order=1)  # fewer passes than the 67 terms
    assert (few.order, few.meta["solver"]) == (1, "matrix-free")
    text = fit_side(game, "text", p)
    assert combine(free, text).meta["solved_by"] == {"image": "matrix-free", "text": "closed form"}
    assert "image: matrix-free" in combine(free, text).summary()


def test_the_threshold_lies_just_above_two_hundred_players():
    for n, method in ((196, "dense"), (204, "dense"), (205, "matrix-free"), (576, "matrix-free")):
        design = independent(n, 0.3, 4)
        assert SideRegression(design, np.zeros((len(design), 2))).method == method


def test_few_directions_choose_the_same_ridge(monkeypatch):
    game = second_order_game(14, 2, noise=2.0)
    dense = fit_side(game, "image", 0.3, m=150)
    monkeypatch.setattr(regression, "DENSE_TERMS", 20)
    free = fit_side(game, "image", 0.3, m=150)
    assert dense.ridge > 0 and abs(np.log(free.ridge / dense.ridge)) < 1.3  # a neighbour at most


# --- A side that fits poorly says so -------------------------------------------------------


def test_a_poor_fit_is_said():
    rng = np.random.default_rng(0)
    poor = EmbeddingTableGame(rng.normal(size=(2**10, 3)), rng.normal(size=(4, 3)))
    image, text = fit_side(poor, "image", m=300), fit_side(poor, "text")
    assert image.held_out_r2 < 0.7 and "poor fit: below 0.7" in str(image)
    assert "POOR FIT of the image side" in combine(image, text).summary()
    good = fit_side(additive_game(10), "image", m=300)
    assert "poor" not in str(good) and "held-out R²: 1.000" in str(good)
    assert "POOR" not in combine(good, fit_side(additive_game(10), "text")).summary()
    same = EmbeddingTableGame(np.ones((8, 2)), np.ones((4, 2)))
    assert "unknown, the embeddings do not vary" in str(fit_side(same, "image"))


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
    with pytest.raises(ValueError, match="order = 3"):
        fit_side(game, "image", order=3)
    with pytest.raises(ValueError, match="penalty = 'lasso'"):
        fit_side(game, "image", penalty="lasso")
    for clash in (
        {"order": 1, "ridge": 0.1},
        {"order": 1, "errors": True},
        {"penalty": "shrinkage", "order": 1},
    ):
        with pytest.raises(ValueError, match="exclude each other"):
            fit_side(game, "image", **clash)
    with pytest.raises(ValueError, match="n_held_out = 1"):
        fit_side(game, "image", n_held_out=1)
    with pytest.raises(ValueError, match="design has 5 players"):
        fit_side(game, "image", design=enumeration(5, 0.5))
    with pytest.raises(UnderdeterminedError, match="at least 7 passes"):
        fit_side(game, "image", m=5)
    with pytest.raises(UnderdeterminedError, match="at least 22 passes"):
        fit_side(game, "image", m=15, ridge=0)
