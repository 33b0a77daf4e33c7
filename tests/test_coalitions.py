"""Coalitions: bits that another language can draw, designs that stand in for P_p."""

from itertools import combinations
from math import comb

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from fixlip_helpers.coalitions import (
    MOST_EXCHANGED,
    STREAMS,
    all_coalitions,
    array_runs,
    as_coalitions,
    authors_split,
    border,
    border_released,
    choose_design,
    coalition_number,
    draw,
    enumeration,
    exchange,
    independent,
    monomials,
    n_monomials,
    orthogonal_array,
    orthogonal_array_5,
    paired,
    stratified,
)


def philox(counter, key, rounds=10):
    """Philox4x64-10 in plain integers, after Salmon et al. (SC 2011): the independent twin."""
    mask = 2**64 - 1
    c0, c1, c2, c3 = counter
    k0, k1 = key
    for _ in range(rounds):
        low = 0xD2E7470EE14C6C93 * c0
        high = 0xCA5A826395121157 * c2
        c0, c1, c2, c3 = (high >> 64) ^ c1 ^ k0, high & mask, (low >> 64) ^ c3 ^ k1, low & mask
        k0, k1 = (k0 + 0x9E3779B97F4A7C15) & mask, (k1 + 0xBB67AE8584CAA73B) & mask
    return c0, c1, c2, c3


# --- The generator ------------------------------------------------------------------------


def test_philox_twin_gives_the_published_vector():
    # Known answer of Random123's test file (philox4x64-10, counter 0, key 0).
    assert philox((0, 0, 0, 0), (0, 0)) == (
        0x16554D9ECA36314C,
        0xDB20FE9D672D0FDC,
        0xD7E772CEE186176B,
        0x7E68B68AEC7BA23B,
    )


@given(
    seed=st.integers(0, 2**64 - 1), stream=st.integers(0, 99), n=st.integers(1, 9), p=st.floats(0.01, 0.99)
)
@settings(max_examples=30)
def test_draw_follows_the_documented_layout(seed, stream, n, p):
    m = 5
    words = [word for b in range(m * n // 4 + 1) for word in philox((b + 1, 0, 0, 0), (seed, stream))]
    expected = [[(words[r * n + i] >> 11) * 2.0**-53 < p for i in range(n)] for r in range(m)]
    assert draw(n, p, m, seed, stream).tolist() == expected


# Players 0 to 7 of draws 0 to 3 with seed 2025: p = 0.5, stream "image", and p = 0.3, stream "text".
ROWS_HALF = ["11011100", "01101101", "01011000", "00100011"]
ROWS_THIRD = ["00101000", "11010001", "00000000", "00000000"]


def test_vectors_for_other_languages():
    rows = ["".join(map(str, row)) for row in draw(8, 0.5, 4, seed=2025, stream=STREAMS["image"]).astype(int)]
    assert rows == ROWS_HALF
    rows = ["".join(map(str, row)) for row in draw(8, 0.3, 4, seed=2025, stream=STREAMS["text"]).astype(int)]
    assert rows == ROWS_THIRD


def test_longer_draws_begin_with_shorter_ones_and_streams_differ():
    assert (draw(7, 0.3, 20, 1, 2)[:6] == draw(7, 0.3, 6, 1, 2)).all()
    assert (draw(7, 0.3, 20, 1, 2) != draw(7, 0.3, 20, 1, 3)).any()
    assert (draw(7, 0.3, 20, 1, 2) != draw(7, 0.3, 20, 2, 2)).any()
    assert len(set(STREAMS.values())) == len(STREAMS)


@pytest.mark.parametrize("p", [0.3, 0.5, 0.7])
def test_draws_have_the_right_share(p):
    share = draw(50, p, 4000).mean()
    assert abs(share - p) < 5 * np.sqrt(p * (1 - p) / 200_000)


# --- Designs ------------------------------------------------------------------------------


def gram(design):
    phi = monomials(design.coalitions, design.p)
    return phi.T @ (design.weights[:, None] * phi)


@pytest.mark.parametrize("n", [1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 31, 32, 49, 63, 64])
def test_array_gram_is_the_identity(n):
    design = orthogonal_array(n, seed=3)
    assert np.abs(gram(design) - np.eye(n_monomials(n))).max() < 1e-12
    assert design.orthonormal and design.weights.sum() == pytest.approx(1)


def test_array_sizes():
    assert [len(orthogonal_array(n)) for n in (16, 32, 63, 64)] == [256, 1024, 4096, 4096]
    two = orthogonal_array(16, m=512, seed=1)
    assert len(two) == 512 and np.abs(gram(two) - np.eye(n_monomials(16))).max() < 1e-12


def test_array_has_strength_four():
    rows = orthogonal_array(16, seed=5).coalitions
    for columns in combinations(range(16), 4):
        assert (np.bincount(coalition_number(rows[:, columns]), minlength=16) == 16).all()


@pytest.mark.parametrize("n", [3, 8, 16, 20])
def test_complements_make_strength_five(n):
    design = orthogonal_array_5(n, seed=5)
    assert len(design) == array_runs(n, 5) or n == 3  # of 3 players there are only 8 coalitions
    for columns in list(combinations(range(n), min(n, 5)))[::37]:
        counts = np.bincount(coalition_number(design.coalitions[:, columns]), design.weights)
        assert counts == pytest.approx(np.full(2 ** len(columns), 1 / 2 ** len(columns)))
    assert np.abs(gram(design) - np.eye(n_monomials(n))).max() < 1e-12 and design.orthonormal


@pytest.mark.parametrize("n", [10, 16, 24])
def test_strength_five_keeps_third_order_out_of_pairs_and_fourth_out_of_singles(n):
    rng = np.random.default_rng(n)
    strengths = {4: orthogonal_array(n, m=2 * array_runs(n), seed=1), 5: orthogonal_array_5(n, seed=1)}
    for order, wanted in ((3, slice(1 + n, None)), (4, slice(1, 1 + n))):
        terms = np.array(list(combinations(range(n), order)))
        terms = terms[rng.permutation(len(terms))[:300]]
        sizes, blurred = rng.normal(size=len(terms)), {}
        for strength, design in strengths.items():
            z = 2.0 * design.coalitions - 1
            values = z[:, terms].prod(axis=2) @ sizes
            found = monomials(design.coalitions, 0.5).T @ (design.weights * values)
            blurred[strength] = np.abs(found[wanted]).max()
        assert blurred[5] < 1e-10 < 0.1 < blurred[4], order


def test_array_is_shifted_by_the_seed_so_that_averages_are_unbiased():
    # Over the shifts, each fixed run is a fair draw: every pattern of three players is equally frequent.
    first = np.array([orthogonal_array(5, seed=s).coalitions[0, :3] for s in range(800)])
    counts = np.bincount(coalition_number(first), minlength=8)
    assert ((counts - 100) ** 2 / 100).sum() < 24.3  # chi square with 7 degrees of freedom, 0.1 %


@pytest.mark.parametrize("m", [64, 128, 200, 250, 256])
def test_the_released_border_gives_listed_sizes_too_little(m):
    """The drawn coalitions weigh 1 together, beside the listed ones' probability under P_p."""
    n, p = 8, 0.3
    released, right = border_released(n, p, m, seed=4, stream=2), border(n, p, m, seed=4, stream=2)
    assert len(released) == m  # distinct, where ours draws m times
    assert set(coalition_number(right.coalitions)) <= set(coalition_number(released.coalitions))
    sizes = released.coalitions.sum(axis=1)
    probability = stats.binom.pmf(np.arange(n + 1), n, p)
    listed, left = set(), m
    while True:  # sizes of which more draws are expected than there are coalitions
        rest = sum(probability[t] for t in range(n + 1) if t not in listed)
        more = {t for t in set(range(n + 1)) - listed if left * probability[t] / rest >= comb(n, t)}
        if not more:
            break
        listed, left = listed | more, left - sum(comb(n, t) for t in more)
    listed = sorted(listed)
    share = probability[listed].sum()
    found = released.weights[np.isin(sizes, listed)].sum()
    assert found == pytest.approx(share / (1 + share) if m < 256 else 1)
    if m == 250:
        assert released.weights @ sizes > 4 > 2.5 > right.weights @ right.coalitions.sum(1)


def test_the_released_border_is_right_at_one_half():
    design = border_released(8, 0.5, 200, seed=1)
    assert len(design) == 200  # no size is listed: the weights are those of the draws
    counts = design.weights / design.weights.min()
    assert (
        counts == pytest.approx(np.rint(counts))
        and np.abs(design.weights @ design.coalitions - 0.5).max() < 0.1
    )


@pytest.mark.parametrize("p", [0.3, 0.5, 0.7])
def test_enumeration_is_exact(p):
    design = enumeration(5, p)
    assert np.abs(gram(design) - np.eye(n_monomials(5))).max() < 1e-12
    sizes = design.coalitions.sum(axis=1)
    assert design.weights == pytest.approx(p**sizes * (1 - p) ** (5 - sizes))
    assert (coalition_number(all_coalitions(5)) == np.arange(32)).all()


@given(n=st.integers(1, 6), m=st.integers(1, 60), p=st.floats(0.05, 0.95), seed=st.integers(0, 1000))
@settings(max_examples=50)
def test_independent_counts_repeats(n, m, p, seed):
    design = independent(n, p, m, seed)
    rows = draw(n, p, m, seed)
    numbers = coalition_number(design.coalitions)
    assert len(set(numbers)) == len(design) <= m
    counts = np.bincount(coalition_number(rows), minlength=2**n)
    assert design.weights == pytest.approx(counts[numbers] / m)


def test_pairs_are_complements_and_keep_odd_and_even_apart():
    n = 24
    design = paired(n, 0.5, 200, seed=4)
    rows = design.coalitions
    assert {tuple(row) for row in ~rows} == {tuple(row) for row in rows}
    assert rows[::2].tolist() == draw(n, 0.5, 100, seed=4).tolist()
    odd = np.arange(n_monomials(n))
    odd = (odd >= 1) & (odd <= n)
    assert np.abs(gram(design)[np.ix_(odd, ~odd)]).max() < 1e-12


@pytest.mark.parametrize("p", [0.3, 0.5, 0.8])
def test_stratified_sizes_are_as_even_as_they_can_be(p):
    n, m = 10, 500
    design = stratified(n, p, m, seed=3)
    shares = np.array([comb(n, t) * p**t * (1 - p) ** (n - t) for t in range(n + 1)])
    of_size = np.bincount(design.coalitions.sum(axis=1), weights=design.weights, minlength=n + 1)
    assert np.abs(np.cumsum(of_size) - np.cumsum(shares)).max() <= 1 / m + 1e-12


@pytest.mark.parametrize("p", [0.3, 0.8])
def test_border_lists_what_its_draws_would_exhaust(p):
    n, m = 8, 120
    design = border(n, p, m, seed=2)
    rows, sizes = design.coalitions, design.coalitions.sum(axis=1)
    assert len({tuple(row) for row in rows}) == len(design) <= m
    exact = np.where(rows, p, 1 - p).prod(axis=1)
    exhausted = [t for t in range(n + 1) if m * p**t * (1 - p) ** (n - t) >= 1]
    assert 0 < len(exhausted) <= n
    for t in exhausted:
        assert (sizes == t).sum() == comb(n, t)
        assert design.weights[sizes == t] == pytest.approx(exact[sizes == t])
    # with draws to spare nothing is left to chance
    everything = border(5, p, 400)
    number = coalition_number(everything.coalitions)
    assert everything.weights[np.argsort(number)] == pytest.approx(enumeration(5, p).weights)


def influence(design):
    phi = monomials(design.coalitions, design.p)
    return (phi**2).sum(axis=1) / n_monomials(design.n)


@pytest.mark.parametrize("p", [0.3, 0.7])
def test_exchanged_weights_hardly_need_their_division(p):
    for seed in range(5):
        design = exchange(20, p, 600, seed)
        assert (design.weights * influence(design)).sum() == pytest.approx(1, abs=1e-2)


@pytest.mark.parametrize(
    ("make", "p"),
    [
        (paired, 0.5),
        (stratified, 0.3),
        (stratified, 0.5),
        (border, 0.3),
        (border, 0.5),
        (exchange, 0.3),
        (exchange, 0.5),
    ],
)
def test_averages_over_a_design_are_unbiased(make, p):
    """Over seeds the mean weight of each coalition is its ``P_p``: then every average is unbiased."""
    n, m, seeds = 4, 6, 800
    weights = np.zeros((seeds, 2**n))
    for seed in range(seeds):
        design = make(n, p, m, seed)
        own = design.weights
        if make is exchange:  # its weights times m, before they are divided by their sum
            own = own / (own * influence(design)).sum()
        weights[seed, coalition_number(design.coalitions)] = own
    error = np.abs(weights.mean(axis=0) - enumeration(n, p).weights)
    assert (error <= 4.5 * weights.std(axis=0) / np.sqrt(seeds) + 1e-12).all()


def test_stratified_and_border_follow_their_documented_layout():
    words = [word for b in range(60) for word in philox((b + 1, 0, 0, 0), (11, 2))]
    numbers = [(word >> 11) * 2.0**-53 for word in words]
    n, m, p = 5, 7, 0.4
    cdf = np.cumsum([comb(n, t) * p**t * (1 - p) ** (n - t) for t in range(n + 1)])

    def row(size, of):
        return tuple(i in sorted(range(n), key=lambda i: of[i])[:size] for i in range(n))

    even = [
        row(int((cdf <= (r + numbers[0]) / m).sum()), numbers[4 + r * n : 4 + (r + 1) * n]) for r in range(m)
    ]
    assert {tuple(r) for r in stratified(n, p, m, 11, 2).coalitions.tolist()} == set(even)
    # m = 7 exhausts no size of five players, so all is drawn
    free = [
        row(int((cdf <= numbers[r * (n + 1)]).sum()), numbers[r * (n + 1) + 1 : (r + 1) * (n + 1)])
        for r in range(m)
    ]
    assert {tuple(r) for r in border(n, p, m, 11, 2).coalitions.tolist()} == set(free)


def exchanged_by_hand(n, m, p, seed, stream, rounds=3):
    """The documented exchanges, one whole regression row at a time: at most 32 draws, one block."""
    numbers = [
        (w >> 11) * 2.0**-53
        for b in range((4 + m * n + n) // 4 + 1)
        for w in philox((b + 1, 0, 0, 0), (seed, stream))
    ]
    upto = [np.arange(n) < t for t in range(n + 1)]
    influence = np.array([(monomials(row[None], p) ** 2).sum() for row in upto])
    share = np.array([comb(n, t) * p**t * (1 - p) ** (n - t) for t in range(n + 1)])
    cdf = np.cumsum(share * influence / n_monomials(n))
    sizes = [int((cdf[:-1] <= (r + numbers[0]) / m).sum()) for r in range(m)]
    rows = np.zeros((m, n), bool)
    for r, size in enumerate(sizes):
        of = numbers[4 + r * n : 4 + (r + 1) * n]
        rows[r, sorted(range(n), key=lambda i: of[i])[:size]] = True
    weights = n_monomials(n) / influence[sizes]

    def cost(row, others):
        return np.rint(
            weights[others] * (monomials(before[others], p) @ monomials(row[None], p)[0]) ** 2
        ).sum()

    def changed(row, player):
        return np.where(np.arange(n) == player, ~row, row)

    for _ in range(rounds):
        before = rows.copy()
        for r in range(m):
            if not 0 < sizes[r] < n:
                continue
            others = np.delete(np.arange(m), r)
            gone = min(np.flatnonzero(rows[r]), key=lambda i: cost(changed(before[r], i), others))
            without = changed(before[r], gone)
            rows[r] = changed(
                without, min(np.flatnonzero(~without), key=lambda j: cost(changed(without, j), others))
            )
    return rows[:, np.argsort(numbers[4 + m * n : 4 + m * n + n])], weights / weights.sum()


@pytest.mark.parametrize(("n", "m", "p"), [(6, 20, 0.3), (9, 32, 0.7), (7, 25, 0.45)])
def test_exchanges_are_the_documented_ones(n, m, p):
    rows, weights = exchanged_by_hand(n, m, p, seed=5, stream=1)
    expected = {}
    for row, weight in zip(rows.tolist(), weights, strict=True):
        expected[tuple(row)] = expected.get(tuple(row), 0) + weight
    design = exchange(n, p, m, 5, 1)
    found = dict(zip(map(tuple, design.coalitions.tolist()), design.weights, strict=True))
    assert found == pytest.approx(expected)


@pytest.mark.parametrize("p", [0.3, 0.5, 0.7])
def test_exchanges_bring_the_gram_matrix_nearer_to_the_identity(p):
    n, m, off = 16, 512, np.eye(n_monomials(16))
    drawn, exchanged = (gram(make(n, p, m, 1)) - off for make in (independent, exchange))
    assert (exchanged**2).sum() < 0.5 * (drawn**2).sum()


@pytest.mark.parametrize("p", [0.3, 0.7])
def test_moments_of_exchanged_draws_are_those_of_p(p):
    """Over seeds, the moments up to order two, and some of order three, are in their intervals."""
    n, m, seeds = 12, 150, 300
    designs = [exchange(n, p, m, seed) for seed in range(seeds)]
    triple = [d.weights @ (monomials(d.coalitions, p)[:, 1:4].prod(axis=1)) for d in designs]
    moments = np.array([d.weights @ monomials(d.coalitions, p) for d in designs])[:, 1:]
    every = np.column_stack([moments, triple])
    assert (np.abs(every.mean(axis=0)) < 4.5 * every.std(axis=0) / np.sqrt(seeds)).all()


def test_monomials_match_their_definition():
    x = draw(5, 0.3, 7)
    z = (x - 0.3) / np.sqrt(0.3 * 0.7)
    expected = (
        [np.ones(7)] + [z[:, i] for i in range(5)] + [z[:, i] * z[:, j] for i, j in combinations(range(5), 2)]
    )
    assert monomials(x, 0.3) == pytest.approx(np.stack(expected, axis=1))


def test_default_designs():
    def kind(*arguments):
        design = choose_design(*arguments)
        return design.name, len(design)

    assert kind("image", 64, 0.5) == ("orthogonal_array", 4096)
    assert kind("image", 49, 0.5) == ("orthogonal_array", 4096)
    assert kind("image", 64, 0.3) == ("exchange", 4 * 2081)
    assert kind("image", 100, 0.3) == ("independent", 4 * 5051)  # exchanges would take too long
    assert kind("image", 12, 0.3) == ("enumeration", 4096)
    assert kind("image", 20, 0.5) == ("orthogonal_array_5", 4096)  # of strength five at the same price
    assert kind("image", 32, 0.5) == kind("joint", 32, 0.5) == ("orthogonal_array_5", 4096)
    assert kind("image", 33, 0.5) == ("orthogonal_array", 4096)
    assert kind("text", 10, 0.5) == ("enumeration", 1024)
    text = choose_design("text", 11, 0.5)
    assert text.name == "independent" and text.weights.min() * 4 * 67 == pytest.approx(1)
    assert kind("text", 4, 0.5, "auto", 16) == ("enumeration", 16)


def test_authors_split_gives_the_sizes_of_their_release():
    assert authors_split(2**21, 49, 8) == (8848, 237)
    assert authors_split(2**17, 64, 8) == (2849, 46)
    assert authors_split(2**17, 8, 64) == (46, 2849)
    assert authors_split(2**20, 4, 3) == (16, 8)
    assert authors_split(1000, 8, 8) == (32, 31)  # sides of one size: the image goes first


# --- Bad input ----------------------------------------------------------------------------


@pytest.mark.parametrize("p", [0, 1, -0.1, float("nan"), "0.5", None, True])
def test_p_outside_the_open_interval_is_refused(p):
    with pytest.raises(ValueError, match="p = "):
        independent(3, p, 5)


def test_bad_designs_are_refused():
    with pytest.raises(ValueError, match=r"p = 0\.5 only"):
        orthogonal_array(5, 0.3)
    with pytest.raises(ValueError, match="multiple of 4096"):
        orthogonal_array(64, m=5000)
    with pytest.raises(ValueError, match="seed = -1"):
        independent(3, 0.5, 4, seed=-1)
    with pytest.raises(ValueError, match="at least one"):
        independent(3, 0.5, 0)
    with pytest.raises(ValueError, match="expected auto"):
        choose_design("image", 5, 0.5, "lattice")
    with pytest.raises(ValueError, match=r"p = 0\.5 only"):
        paired(4, 0.3, 6)
    with pytest.raises(ValueError, match="even number"):
        paired(4, 0.5, 7)
    for make in (stratified, border):
        with pytest.raises(ValueError, match="at least one"):
            make(4, 0.5, 0)
    for m in (0, MOST_EXCHANGED + 1):
        with pytest.raises(ValueError, match=f"m = {m}; .* expected 1 to {MOST_EXCHANGED}"):
            exchange(4, 0.3, m)
    with pytest.raises(ValueError, match="no text players"):
        choose_design("text", 0, 0.5)
    with pytest.raises(ValueError, match="at most 24"):
        enumeration(30, 0.5)


def test_coalitions_are_checked():
    assert as_coalitions([[1, 0, 1]], 3).dtype == bool
    assert as_coalitions([True, False], 2).shape == (1, 2)
    with pytest.raises(ValueError, match=r"expected \(m, 4\)"):
        as_coalitions(np.ones((2, 3), bool), 4)
    with pytest.raises(ValueError, match="other than 0 and 1"):
        as_coalitions([[0.5, 1]], 2)
