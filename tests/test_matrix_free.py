"""Conjugate gradients without a matrix give what normal equations and brute force give."""

import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from truth import assert_terms, brute_force, problem

from fixlip_helpers.coalitions import UnderdeterminedError, draw, monomials, n_monomials
from fixlip_helpers.matrix_free import Monomials, NotConvergedError, _preconditioner, conjugate_gradients
from fixlip_helpers.wls import normal_equations, regress, solve, solve_dense, solve_matrix_free


@given(st.integers(1, 7), st.integers(1, 30), st.floats(0.05, 0.95), st.integers(0, 1000), st.integers(1, 40))
def test_products_with_the_design_matrix_that_is_never_formed(n, m, p, seed, rows_at_once):
    rows, rng = draw(n, p, m, seed), np.random.default_rng(seed)
    phi = Monomials(rows, p, rows_at_once=rows_at_once)
    c, r = rng.normal(size=n_monomials(n)), rng.normal(size=m)
    formed = monomials(rows, p)
    size = np.abs(formed).max() * n_monomials(n) * m
    np.testing.assert_allclose(phi.times(c), formed @ c, atol=1e-14 * size)
    np.testing.assert_allclose(phi.adjoint(r), formed.T @ r, atol=1e-14 * size)
    np.testing.assert_allclose(phi.first_order(r), formed[:, : n + 1].T @ r, atol=1e-14 * size)
    assert phi.times(c) @ r == pytest.approx(c @ phi.adjoint(r), abs=1e-12 * size)


@pytest.mark.parametrize("precision", ["float64", "float32"])
@pytest.mark.parametrize("p", [0.3, 0.5, 0.7])
def test_matrix_free_is_dense_is_brute_force(p, precision):
    rows, values, weights = problem(p=p)
    free = solve_matrix_free(rows, values, weights, p, precision=precision)
    assert_terms(free, solve_dense(rows, values, weights, p), 1e-8)
    assert_terms(free, brute_force(rows, values, weights), 1e-8)


def test_matrix_free_where_the_basis_is_far_from_the_coalitions():
    rows, values, weights = problem(p=0.4)
    assert_terms(solve_matrix_free(rows, values, weights, 0.7), brute_force(rows, values, weights), 1e-8)


def test_the_preconditioner_saves_iterations_where_players_differ_in_how_often_they_are_seen():
    rng, often = np.random.default_rng(0), np.random.default_rng(1).uniform(0.1, 0.9, 20)
    rows = rng.random((1500, 20)) < often
    arguments = rows, rng.normal(size=(1500, 1)), np.ones(1500), 0.5
    fast, few = conjugate_gradients(*arguments)
    slow, many = conjugate_gradients(*arguments, minimum_norm=True)
    np.testing.assert_allclose(fast, slow, atol=1e-7)
    assert few < 0.9 * many


def test_the_preconditioner_inverts_the_first_block_and_the_diagonal():
    rows, _, weights = problem(p=0.3)
    gram, _ = normal_equations(rows, weights, np.zeros((150, 1)), 0.3)
    precondition = _preconditioner(Monomials(rows, 0.3).squares(weights), 0.3, ridge=2.0)
    residual = np.random.default_rng(0).normal(size=46)
    expected = np.r_[
        np.linalg.solve(gram[:10, :10], residual[:10]), residual[10:] / (gram.diagonal()[10:] + 2)
    ]
    np.testing.assert_allclose(precondition(residual), expected, atol=1e-10)


@pytest.mark.parametrize("method", ["dense", "matrix-free"])
def test_a_game_of_second_order_is_recovered_exactly(method):
    n, m, rng = 40, 2500, np.random.default_rng(1)
    main, pairs = rng.normal(size=n), np.triu(rng.normal(size=(n, n)), 1)
    rows = draw(n, 0.6, m, seed=1)
    values = 3 + rows @ main + ((rows @ pairs) * rows).sum(axis=1)
    solution = solve(rows, values, np.full(m, 1 / m), 0.6, method)
    assert (solution.method, solution.estimator) == (method, "least squares")
    assert_terms(solution.terms, (3, main, pairs + pairs.T), 1e-7)


def test_ridge_is_the_penalised_solution():
    rows, values, weights = problem()
    phi, shares = monomials(rows, 0.4), weights / weights.sum()
    penalty = np.diag([0.0] * 10 + [0.3] * 36)
    truth = np.linalg.solve(phi.T @ (shares[:, None] * phi) + penalty, phi.T @ (shares * values))
    got, _ = conjugate_gradients(rows, values[:, None], weights, 0.4, ridge=0.3)
    np.testing.assert_allclose(got[:, 0], truth, atol=1e-8)


def test_several_targets_are_those_one_by_one():
    rows, values, weights = problem()
    targets = np.stack([values, values**2, np.zeros(len(values))], axis=1)
    free = regress(rows, targets, weights, 0.4, "matrix-free").coefficients
    dense = regress(rows, targets, weights, 0.4, "dense").coefficients
    np.testing.assert_allclose(free, dense, atol=1e-8)
    assert (free[:, 2] == 0).all()


def test_memory_stays_far_below_the_gram_matrix_for_196_players():
    """Its 19 307 terms would have a Gram matrix of 3 GB, and 4 096 rows of monomials take 0.6 GB."""
    rows, rng = draw(196, 0.5, 4096), np.random.default_rng(0)
    tracemalloc.start()
    conjugate_gradients(rows, rng.normal(size=(4096, 1)), np.ones(4096), 0.5, ridge=2.0, tolerance=1e-4)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 50e6


def test_what_does_not_converge_says_how_far_it_came():
    rows, values, weights = problem()
    with pytest.raises(NotConvergedError, match=r"end after 3 iterations at a relative residual of \d"):
        solve_matrix_free(rows, values, weights, 0.4, max_iterations=3)
    with pytest.raises(NotConvergedError, match="stall after"):
        solve_matrix_free(rows, values, weights, 0.4, tolerance=1e-30)


def test_matrix_free_refuses_what_is_not_identified():
    rows, values, weights = problem(m=40)
    with pytest.raises(UnderdeterminedError, match="distinct coalitions do not identify the 46 terms"):
        solve_matrix_free(rows, values, weights, 0.4)
    often = np.tile(np.arange(40), 4)
    with pytest.raises(UnderdeterminedError, match="distinct coalitions"):
        solve_matrix_free(rows[often], values[often], weights[often], 0.4)
    rows, values, weights = problem()
    weights[40:] = 0  # what has no weight identifies nothing
    with pytest.raises(UnderdeterminedError, match="distinct coalitions"):
        solve_matrix_free(rows, values, weights, 0.4)
    rows, values, weights = problem(m=200)
    rows[:, 1] = rows[:, 0]
    with pytest.raises(UnderdeterminedError, match="order one"):
        solve_matrix_free(rows, values, weights, 0.4, ridge=0.1)


def test_the_method_goes_by_the_size_of_the_gram_matrix():
    for n, method in ((74, "dense"), (75, "matrix-free")):
        rows = draw(n, 0.5, 300)
        solution = solve(rows, rows.sum(axis=1), np.ones(300), 0.5, fallback="ridge", ridge=5.0)
        assert (solution.method, solution.estimator) == (method, "ridge")


@pytest.mark.parametrize(
    ("name", "value"),
    [("ridge", -1.0), ("tolerance", 0.0), ("max_iterations", 1.5), ("precision", "float16")],
)
def test_bad_settings_of_the_iteration(name, value):
    rows, values, weights = problem()
    with pytest.raises(ValueError, match=f"{name} = "):
        solve_matrix_free(rows, values, weights, 0.4, **{name: value})
