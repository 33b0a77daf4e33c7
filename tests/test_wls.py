"""Least squares: the product solver, the dense one, the matrix-free one and brute force give one answer."""

import numpy as np
import pytest
from truth import assert_terms, brute_force, everything, pairs_of, problem

from fixlip_helpers.coalitions import (
    Design,
    UnderdeterminedError,
    draw,
    enumeration,
    independent,
    monomials,
)
from fixlip_helpers.explanation import to_fourier_basis
from fixlip_helpers.games import random_embeddings, random_game
from fixlip_helpers.wls import (
    NormalEquations,
    normal_equations,
    regress,
    solve,
    solve_dense,
    solve_exact_text,
    solve_product,
    split_monomials,
)


@pytest.mark.parametrize("p", [0.3, 0.5, 0.7])
def test_product_is_dense_is_brute_force_on_the_same_coalitions(p):
    game = random_embeddings(6, 4, d=5, seed=1)
    images, texts = independent(6, p, 90, seed=1, stream=1), independent(4, p, 60, seed=1, stream=2)
    F, G = game.encode_images(images.coalitions), game.encode_texts(texts.coalitions)
    rows = pairs_of(images.coalitions, texts.coalitions)
    weights, values = np.outer(images.weights, texts.weights).ravel(), game(rows)
    product = solve_product(F, G, images, texts, game.scale, game.bias)
    dense = solve_dense(rows, values, weights, p)
    assert_terms(product, dense, 1e-8)
    assert_terms(dense, brute_force(rows, values, weights), 1e-8)


def test_unequal_weights_that_no_design_would_have():
    game = random_embeddings(3, 3, d=2, seed=2)
    rng = np.random.default_rng(0)
    rows = everything(3, 0.5)[0]
    images, texts = (Design(rows, rng.dirichlet(np.ones(8)), 0.4, "independent", 0) for _ in range(2))
    product = solve_product(game.image_embeddings, game.text_embeddings, images, texts, game.scale, game.bias)
    whole, weights = pairs_of(rows, rows), np.outer(images.weights, texts.weights).ravel()
    assert_terms(product, brute_force(whole, game(whole), weights), 1e-8)


def test_the_basis_does_not_change_a_unique_solution():
    game, rows = random_game(6), draw(6, 0.4, 50, seed=3)
    weights = np.full(50, 1 / 50)
    at_half = solve_dense(rows, game(rows), weights, 0.5)
    assert_terms(at_half, solve_dense(rows, game(rows), weights, 0.2), 1e-8)
    assert_terms(at_half, brute_force(rows, game(rows), weights), 1e-8)


def test_normal_equations_in_blocks():
    rows, targets, weights = draw(5, 0.3, 37), np.random.default_rng(0).normal(size=(37, 3)), np.arange(37.0)
    phi = monomials(rows, 0.3)
    gram, moments = normal_equations(rows, weights, targets, 0.3, rows_at_once=10)
    assert gram == pytest.approx(phi.T @ np.diag(weights) @ phi)
    assert moments == pytest.approx(phi.T @ np.diag(weights) @ targets)


def test_split_monomials():
    images, texts = draw(4, 0.3, 6, 1), draw(3, 0.3, 6, 2)
    r, s = split_monomials(4, 3)
    whole = monomials(np.hstack([images, texts]), 0.3)
    assert monomials(images, 0.3)[:, r] * monomials(texts, 0.3)[:, s] == pytest.approx(whole)


def test_too_few_coalitions_are_refused_with_the_number_needed():
    game = random_embeddings(6, 3, seed=0)
    texts, images = independent(3, 0.5, 40), independent(6, 0.5, 15)
    F, G = game.encode_images(images.coalitions), game.encode_texts(texts.coalitions)
    with pytest.raises(UnderdeterminedError, match="at least 22 image passes"):
        solve_product(F, G, images, texts)
    with pytest.raises(UnderdeterminedError, match="at least 7 text passes"):
        few = independent(3, 0.5, 4)
        solve_product(F, game.encode_texts(few.coalitions), independent(6, 0.5, 99), few)


def test_enough_rows_that_identify_nothing_are_refused():
    rows = np.repeat(draw(5, 0.5, 10), 4, axis=0)  # 40 rows, 10 distinct
    with pytest.raises(UnderdeterminedError, match="do not identify"):
        solve_dense(rows, np.ones(40), np.full(40, 1 / 40), 0.5)
    rows = draw(5, 0.5, 60)
    rows[:, 1] = rows[:, 0]  # two players that always come together
    with pytest.raises(UnderdeterminedError, match="do not identify"):
        solve_dense(rows, np.ones(60), np.full(60, 1 / 60), 0.5)


def test_games_too_large_for_normal_equations_are_refused():
    with pytest.raises(ValueError, match="solve_matrix_free"):
        normal_equations(np.ones((2, 300), dtype=bool), np.ones(2), np.ones((2, 1)), 0.5)


# --- Exact text ---------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["dense", "matrix-free"])
@pytest.mark.parametrize("p", [0.3, 0.5, 0.7])
def test_exact_text_splits_the_product(p, method):
    game = random_embeddings(7, 4, d=5, seed=1)
    images, texts = independent(7, p, 90, seed=1, stream=1), enumeration(4, p)
    F, G = game.encode_images(images.coalitions), game.encode_texts(texts.coalitions)
    split = solve_exact_text(F, G, images, texts, game.scale, game.bias, method)
    assert_terms(split, solve_product(F, G, images, texts, game.scale, game.bias), 1e-8)


def test_exact_text_needs_an_exact_text():
    game = random_embeddings(5, 4, d=3)
    images, texts = independent(5, 0.5, 60, stream=1), independent(4, 0.5, 60, stream=2)
    F, G = game.encode_images(images.coalitions), game.encode_texts(texts.coalitions)
    with pytest.raises(ValueError, match="'independent'; expected an enumeration"):
        solve_exact_text(F, G, images, texts)
    few, texts = independent(5, 0.5, 8, stream=1), enumeration(4, 0.5)
    with pytest.raises(UnderdeterminedError):
        solve_exact_text(game.encode_images(few.coalitions), game.text_embeddings, few, texts)


# --- Too few coalitions -------------------------------------------------------------------


@pytest.mark.parametrize("method", ["dense", "matrix-free"])
@pytest.mark.parametrize("p", [0.3, 0.5])
def test_fallbacks_are_what_they_say(p, method):
    rows, values, weights = problem(m=30, p=p)
    with pytest.raises(UnderdeterminedError):
        solve(rows, values, weights, p, method)
    phi, shares = monomials(rows, p), weights / weights.sum()
    root = np.sqrt(shares)
    penalty = np.diag([0.0] * 10 + [0.2] * 36)
    expected = {
        "fourier": phi.T @ (shares * values),
        "minimum-norm": np.linalg.pinv(root[:, None] * phi, rcond=1e-6) @ (root * values),
        "ridge": np.linalg.solve(phi.T @ (shares[:, None] * phi) + penalty, phi.T @ (shares * values)),
    }
    for fallback, truth in expected.items():
        solution = solve(rows, values, weights, p, method, fallback, ridge=0.2)
        assert (solution.method, solution.estimator) == (method, fallback)
        constant, linear, pairs = to_fourier_basis(*solution.terms, p)
        got = np.concatenate([[constant], linear, pairs[np.triu_indices(9, 1)]])
        np.testing.assert_allclose(got, truth, atol=1e-7)


@pytest.mark.parametrize("method", ["dense", "matrix-free"])
def test_a_fallback_that_is_not_needed_is_not_used(method):
    rows, values, weights = problem()
    solution = solve(rows, values, weights, 0.4, method, "ridge")
    assert solution.estimator == "least squares"
    assert_terms(solution.terms, brute_force(rows, values, weights), 1e-8)


# --- Batches ------------------------------------------------------------------------------


def test_batches_merged_saved_and_continued_are_the_one_shot_run(tmp_path):
    rows, values, weights = problem(m=200)
    targets = np.stack([values, -(values**2)], axis=1)
    truth = NormalEquations(9, 0.4, 2).add(rows, weights, targets).solve()[0]
    parts = [slice(0, 1), slice(1, 30), slice(30, 120), slice(120, 200)]
    a, b = NormalEquations(9, 0.4, 2), NormalEquations(9, 0.4, 2)
    for part in parts[:2]:
        a.add(rows[part], weights[part], targets[part])
    with pytest.raises(UnderdeterminedError):
        a.solve()
    b.add(rows[parts[2]], weights[parts[2]], targets[parts[2]])
    path = a.merge(b).save(tmp_path / "sums.safetensors")
    assert [file.name for file in tmp_path.iterdir()] == ["sums.safetensors"]
    continued = NormalEquations.load(path).add(rows[parts[3]], weights[parts[3]], targets[parts[3]])
    coefficients, estimator = continued.solve()
    np.testing.assert_allclose(coefficients, truth, atol=1e-10)
    assert estimator == "least squares" and continued.total == pytest.approx(weights.sum())
    np.testing.assert_array_equal(continued.solve()[0], coefficients)  # solving uses nothing up
    np.testing.assert_allclose(
        coefficients[:, 0], regress(rows, targets[:, :1], weights, 0.4).coefficients[:, 0], atol=1e-10
    )


def test_normal_equations_that_do_not_belong_together(tmp_path):
    with pytest.raises(ValueError, match="differ in"):
        NormalEquations(5, 0.5).merge(NormalEquations(5, 0.4))
    with pytest.raises(UnderdeterminedError, match="positive weight"):
        NormalEquations(5, 0.5).solve("fourier")
    path = tmp_path / "nothing.safetensors"
    path.write_bytes(b"nothing")
    with pytest.raises(ValueError, match=r"nothing\.safetensors holds no saved normal equations"):
        NormalEquations.load(path)


# --- Bad input ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"values": np.zeros((150, 2))}, "values has shape"),
        ({"values": np.zeros(149)}, "targets has shape"),
        ({"values": np.r_[np.zeros(149), np.nan]}, "value of coalition 149"),
        ({"weights": np.ones(3)}, "weights has shape"),
        ({"weights": np.r_[np.ones(149), -1]}, "not negative"),
        ({"weights": np.zeros(150)}, "positive weight"),
        ({"p": 1.0}, "p = 1.0"),
        ({"method": "sparse"}, "method = 'sparse'"),
        ({"fallback": "hope"}, "fallback = 'hope'"),
        ({"ridge": 0.0}, "ridge = 0.0"),
    ],
)
def test_bad_input(changed, message):
    rows, values, weights = problem()
    arguments = {"coalitions": rows, "values": values, "weights": weights, "p": 0.4} | changed
    for method in [changed["method"]] if "method" in changed else ["dense", "matrix-free"]:
        with pytest.raises(ValueError, match=message):
            solve(**arguments | {"method": method})
