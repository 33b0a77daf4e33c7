"""Least squares: the product solver, the dense one and brute force give one answer."""

import numpy as np
import pytest
from truth import assert_terms, brute_force, everything, pairs_of

from fixlip_helpers.coalitions import Design, draw, independent, monomials
from fixlip_helpers.games import random_embeddings, random_game
from fixlip_helpers.wls import (
    UnderdeterminedError,
    normal_equations,
    solve_dense,
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
    with pytest.raises(ValueError, match="coarser players"):
        normal_equations(np.ones((2, 300), dtype=bool), np.ones(2), np.ones((2, 1)), 0.5)
