"""FIxLIP: against closed forms, shapiq and brute force; axioms; any game that follows the protocol."""

import sys

import numpy as np
import pytest
import shapiq
from hypothesis import given, settings
from hypothesis import strategies as st
from truth import (
    assert_terms,
    brute_force,
    everything,
    pairs_of,
    random_surrogate,
    terms,
    weighted_banzhaf,
    weighted_banzhaf_interaction,
)

from fixlip_helpers import fixlip
from fixlip_helpers.coalitions import UnderdeterminedError, enumeration, independent
from fixlip_helpers.explanation import Explanation
from fixlip_helpers.fixlip import enough_budget
from fixlip_helpers.games import (
    EmbeddingTableGame,
    ExplanationGame,
    TableGame,
    random_embeddings,
    random_game,
)

PS = [0.3, 0.5, 0.7]
WAYS = [{}, {"solver": "wls"}, {"sampling": "joint"}]


def fourier_form(game, n, p):
    """FIxLIP-p from the definition of its Fourier coefficients, one expectation for each term."""
    rows, weights = everything(n, p)
    sigma = np.sqrt(p * (1 - p))
    z, values = (rows - p) / sigma, game(rows)
    c = {(): weights @ values} | {(i,): weights @ (values * z[:, i]) for i in range(n)}
    c |= {(i, j): weights @ (values * z[:, i] * z[:, j]) for i in range(n) for j in range(n) if i != j}
    pairs = np.array([[c.get((i, j), 0) / sigma**2 for j in range(n)] for i in range(n)])
    main = np.array([c[(i,)] / sigma - p * pairs[i].sum() for i in range(n)])
    baseline = c[()] - p / sigma * sum(c[(i,)] for i in range(n)) + p**2 * pairs.sum() / 2
    return baseline, main, pairs


# --- Everything enumerated ----------------------------------------------------------------


@pytest.mark.parametrize("way", WAYS, ids=str)
@pytest.mark.parametrize("p", PS)
def test_exact_on_an_enumerated_game(p, way):
    game = random_embeddings(5, 4, d=3, seed=11)
    explanation = fixlip(game, p, **way)
    rows, weights = everything(9, p)
    assert_terms(terms(explanation), brute_force(rows, game(rows), weights), 1e-8)
    assert_terms(terms(explanation), fourier_form(game, 9, p), 1e-8)
    assert explanation.empty_value == pytest.approx(game(rows[:1])[0])
    assert explanation.meta["full_value"] == pytest.approx(game(rows[-1:])[0])


@pytest.mark.parametrize("way", WAYS, ids=str)
def test_at_one_half_it_is_the_faithful_banzhaf_index_of_shapiq(way):
    game = random_embeddings(5, 3, d=3, seed=12)
    exact = shapiq.ExactComputer(game, 8)("FBII", 2)
    expected = Explanation.from_shapiq(exact, n_image=5)
    assert_terms(terms(fixlip(game, 0.5, **way)), terms(expected), 1e-8)


def test_twelve_players_of_any_game():
    game = random_game(12, seed=1)
    explanation = fixlip(game, 0.3, sampling="joint")
    rows, weights = everything(12, 0.3)
    assert_terms(terms(explanation), brute_force(rows, game(rows), weights), 1e-8)
    assert explanation.meta["passes"] == {"joint": 4096} and explanation.n_text == 0


@pytest.mark.parametrize("way", WAYS, ids=str)
@pytest.mark.parametrize("p", PS)
def test_theorem_1_and_the_meaning_of_a_pair(p, way):
    game = random_embeddings(4, 3, d=3, seed=13)
    explanation = fixlip(game, p, **way)
    assert explanation.first_order() == pytest.approx(weighted_banzhaf(game, 7, p), abs=1e-10)
    for i, j in ((0, 1), (2, 5), (4, 6)):
        assert explanation.pairs[i, j] == pytest.approx(
            weighted_banzhaf_interaction(game, 7, p, i, j), abs=1e-10
        )


# --- Axioms -------------------------------------------------------------------------------

sizes = {
    "n_image": st.integers(1, 4),
    "n_text": st.integers(1, 3),
    "seed": st.integers(0, 10_000),
    "p": st.floats(0.05, 0.95),
}
law = settings(max_examples=25)


@given(**sizes)
@law
def test_linearity(n_image, n_text, seed, p):
    n = n_image + n_text
    a, b = random_game(n, seed), random_game(n, seed + 1)
    both = TableGame(2 * a.values - 3 * b.values)
    ea, eb, e = (terms(fixlip(game, p, sampling="joint")) for game in (a, b, both))
    assert_terms(e, [2 * x - 3 * y for x, y in zip(ea, eb, strict=True)])


@given(**sizes)
@law
def test_linearity_in_one_tower(n_image, n_text, seed, p):
    game = random_embeddings(n_image, n_text, seed=seed)
    other = random_embeddings(n_image, n_text, seed=seed + 1)
    F = game.image_embeddings, other.image_embeddings
    a, b, both = (EmbeddingTableGame(f, game.text_embeddings) for f in (*F, F[0] - 2 * F[1]))
    ea, eb, e = (terms(fixlip(g, p)) for g in (a, b, both))
    assert_terms(e, [x - 2 * y for x, y in zip(ea, eb, strict=True)])


@given(**sizes, data=st.data())
@law
def test_dummy(n_image, n_text, seed, p, data):
    game = random_embeddings(n_image, n_text, seed=seed)
    i = data.draw(st.integers(0, n_image - 1))
    without = np.arange(2**n_image) & ~(1 << i)
    game.image_embeddings = game.image_embeddings[without]  # patch i changes nothing
    explanation = fixlip(game, p)
    assert explanation.main[i] == pytest.approx(0, abs=1e-8)
    assert explanation.pairs[i] == pytest.approx(0, abs=1e-8)


@given(**sizes, data=st.data())
@law
def test_symmetry(n_image, n_text, seed, p, data):
    game = random_embeddings(n_image + 1, n_text, seed=seed)
    i, j = data.draw(st.permutations(range(n_image + 1)))[:2]
    rows = everything(n_image + 1, p)[0]
    swapped = rows.copy()
    swapped[:, [i, j]] = rows[:, [j, i]]
    game.image_embeddings = game.encode_images(rows) + game.encode_images(
        swapped
    )  # i and j are interchangeable
    explanation = fixlip(game, p)
    assert explanation.main[i] == pytest.approx(explanation.main[j], abs=1e-8)
    others = [k for k in range(game.n_players) if k not in (i, j)]
    assert explanation.pairs[i, others] == pytest.approx(explanation.pairs[j, others], abs=1e-8)


# --- Sampled ------------------------------------------------------------------------------


def known_game(n_image, n_text, noise=0.0, p=0.5, seed=0):
    return ExplanationGame(random_surrogate(n_image, n_text, p, seed), noise, noise / 2, seed)


@pytest.mark.parametrize(
    "way",
    [*WAYS, {"budget": 2**13}, {"budget": 2**13, "solver": "wls"}, {"budget": 1000, "sampling": "joint"},
     {"n_image_coalitions": 400, "n_text_coalitions": 16}, {"design": "independent"}],
    ids=str,
)  # fmt: skip
@pytest.mark.parametrize("p", [0.3, 0.5])
def test_a_second_order_game_is_recovered_exactly(p, way):
    game = known_game(16, 4)
    explanation = fixlip(game, p, **way)
    assert_terms(terms(explanation), terms(game.explanation), 1e-8)
    assert explanation.meta["held_out_r2"] == pytest.approx(1)


@pytest.mark.parametrize("way", [{}, {"solver": "wls"}, {"sampling": "joint"}], ids=str)
@pytest.mark.parametrize("p", [0.3, 0.5])
def test_sampling_error_shrinks_and_the_held_out_r2_is_honest(p, way):
    game = known_game(16, 4, noise=0.2, p=p)
    sizes = [500, 4000] if way.get("sampling") == "joint" else [2**12, 2**16]
    errors, scores = [], []
    for budget in sizes:
        explanations = [fixlip(game, p, budget, seed=seed, **way) for seed in range(3)]
        errors.append(np.mean([((e.pairs - game.explanation.pairs) ** 2).mean() for e in explanations]))
        scores.append([e.meta["held_out_r2"] for e in explanations])
    assert errors[1] < errors[0] / 2
    ceiling = 1 / 1.3  # of the variance, 0.3 / 1.3 is noise of order 3 and 4
    assert abs(np.mean(scores[1]) - ceiling) < 0.1 and np.mean(scores[0]) < np.mean(scores[1])


def test_any_number_of_numpy_will_do_as_p(tmp_path):
    explanation = fixlip(random_embeddings(3, 2), np.float32(0.25), np.int64(64))
    assert Explanation.load(explanation.save(tmp_path / "e.json")).p == 0.25


def test_exact_text_leaves_only_the_image_to_chance():
    game = random_embeddings(13, 3, seed=5)
    one = fixlip(game, 0.5, seed=1)
    assert one.meta["design"]["text"] == {"name": "enumeration", "coalitions": 8, "seed": None}
    assert one.meta["passes"]["text"] == 8
    design = independent(13, 0.5, 4096, seed=1, stream=1)
    sides, wls = (
        fixlip(game, 0.5, design=(design, enumeration(3, 0.5)), solver=s, seed=1) for s in ("sides", "wls")
    )
    assert np.abs(wls.pairs - sides.pairs).max() < 0.2  # two estimators of one thing, on the same coalitions


def test_seeds_repeat_and_differ():
    game = known_game(14, 3, noise=0.1)
    a, b, c = (fixlip(game, 0.5, seed=seed) for seed in (1, 1, 2))
    assert_terms(terms(a), terms(b), 1e-300)
    assert np.abs(a.pairs - c.pairs).max() > 1e-6


def test_meta_tells_how_it_was_made():
    game = known_game(16, 4, noise=0.1)
    game.meta = {"model": "none", "caption": "a b c d", "grid": [4, 4]}
    meta = fixlip(game, budget=2**14, seed=3).meta
    distinct = meta["design"]["image"].pop("coalitions")
    assert meta["design"]["image"] == {"name": "independent", "seed": 3} and 1000 < distinct <= 1024
    assert meta["design"]["text"]["name"] == "enumeration" and meta["passes"]["text"] == 16
    assert distinct < meta["passes"]["image"] <= 1024 + 256 + 128 + 2
    assert meta["seconds"].keys() == {"encoder", "outside"} and min(meta["seconds"].values()) > 0
    assert (meta["solver"], meta["sampling"], meta["budget"], meta["seed"]) == ("sides", "cross", 2**14, 3)
    assert (meta["model"], meta["caption"], meta["grid"]) == ("none", "a b c d", [4, 4])
    assert fixlip(game, solver="wls").meta["solver"] == "wls"


# --- Large games --------------------------------------------------------------------------


@pytest.mark.parametrize("p", [0.4, 0.5])
def test_large_games_form_no_gram_matrix_and_say_so(p, monkeypatch):
    game = known_game(12, 3, noise=0.2)
    ways = {"sides": {"n_image_coalitions": 300}, "wls": {"n_image_coalitions": 300, "solver": "wls"}}
    ways["joint"] = {"sampling": "joint", "budget": 600}
    small = {name: fixlip(game, p, **way) for name, way in ways.items()}
    for module, threshold in (
        ("regression", "DENSE_TERMS"),
        ("fixlip", "MAX_TERMS"),
        ("wls", "MAX_TERMS"),
        ("wls", "DENSE_BYTES"),
    ):
        monkeypatch.setattr(sys.modules[f"fixlip_helpers.{module}"], threshold, 20)
    large = {name: fixlip(game, p, **way) for name, way in ways.items()}
    for name in ways:
        assert_terms(terms(large[name]), terms(small[name]), 1e-6)
    methods = [[e[name].meta["solved_by"] for name in ways] for e in (small, large)]
    closed = {"text": "closed form"}
    assert methods[0] == [{"image": "dense", **closed}, {"pairs": "product"}, {"joint": "dense"}]
    assert methods[1] == [
        {"image": "matrix-free", **closed},
        {"pairs": "exact text"},
        {"joint": "matrix-free"},
    ]


# --- Any object with the protocol's members -----------------------------------------------


class Orchestra:
    """No vision at all: how well do the playing instruments cover the voices that a score asks for?"""

    instruments = ("violin", "viola", "cello", "flute", "oboe")
    voices = ("soprano", "alto", "bass")
    n_image, n_text, n_players = 5, 3, 8
    scale, bias = 10.0, 1.0
    players = instruments + voices

    def encode_images(self, coalitions):
        sound = coalitions @ np.array([[3, 1, 0], [1, 3, 1], [0, 1, 3], [3, 0, 0], [2, 1, 0]])
        return np.sqrt(sound)

    def encode_texts(self, coalitions):
        return coalitions / np.maximum(coalitions.sum(axis=1, keepdims=True), 1)

    def __call__(self, coalitions):
        f, g = self.encode_images(coalitions[:, :5]), self.encode_texts(coalitions[:, 5:])
        return self.scale * (f * g).sum(axis=1) + self.bias


@pytest.mark.parametrize("way", WAYS, ids=str)
def test_a_two_sided_game_that_is_no_vision_model(way):
    game = Orchestra()
    explanation = fixlip(game, 0.5, **way)
    rows, weights = everything(8, 0.5)
    assert_terms(terms(explanation), brute_force(rows, game(rows), weights), 1e-8)
    assert explanation.players == list(game.players)
    cello = dict(zip(game.voices, explanation.cross_modal()[2], strict=True))
    assert cello["bass"] > 0 > cello["soprano"]


# --- Refusals -----------------------------------------------------------------------------


def test_a_budget_that_leaves_least_squares_underdetermined_is_refused():
    game = known_game(20, 5)
    with pytest.raises(UnderdeterminedError, match=r"at least 211 image and 16 text passes.* 4096 is enough"):
        fixlip(game, budget=2**10, solver="wls")
    assert enough_budget(20, 5) == 4096
    fixlip(game, budget=4096, solver="wls", design=("independent", "enumeration"), n_text_coalitions=32)
    with pytest.raises(UnderdeterminedError, match="at least 326 passes"):
        fixlip(game, budget=200, sampling="joint")
    with pytest.raises(UnderdeterminedError, match=r"budget = 64 gives .* at least 21 passes"):
        fixlip(game, budget=64)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"p": 0}, "p = 0"),
        ({"p": float("nan")}, "p = nan"),
        ({"budget": "lots"}, "budget = 'lots'"),
        ({"budget": 0}, "budget = 0"),
        ({"budget": 2.5}, r"budget = 2\.5"),
        ({"index": "SII"}, "index = 'SII'; expected 'FWBII' or 'FSII'"),
        ({"sampling": "paired"}, "sampling = 'paired'; expected 'cross' or 'joint'"),
        ({"solver": "dense"}, "solver = 'dense'; expected 'sides' or 'wls'"),
        ({"design": "lattice"}, "design = 'lattice'"),
        ({"design": ("auto",)}, "tuple of 1"),
        ({"design": enumeration(3, 0.3)}, r"3 players and p = 0\.3; expected 3 image players and p = 0\.5"),
        ({"n_text_coalitions": -2}, "n_text_coalitions = -2"),
        ({"n_held_out": 1}, "n_held_out = 1"),
        ({"sampling": "joint", "n_image_coalitions": 9}, "joint sampling"),
        ({"tolerance": "fine"}, "tolerance = 'fine'"),
        ({"tolerance": 0}, "tolerance = 0"),
    ],
    ids=str,
)
def test_bad_arguments_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        fixlip(random_embeddings(3, 2), **arguments)


def test_what_is_no_game_is_refused():
    with pytest.raises(TypeError, match="sampling='joint'"):
        fixlip(random_game(4))
    with pytest.raises(TypeError, match="str is no game"):
        fixlip("a game", sampling="joint")


def test_pairs_of_lists_the_text_fastest():
    # The helper that other tests rely on.
    assert pairs_of(np.array([[0], [1]]), np.array([[0, 1], [1, 0]])).tolist() == [
        [0, 0, 1],
        [0, 1, 0],
        [1, 0, 1],
        [1, 1, 0],
    ]


# --- Values that are none -----------------------------------------------------------------


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_value_that_is_no_number_is_named_with_its_coalition(value):
    game = random_game(4, 1)
    game.values[0b0110] = value
    with pytest.raises(ValueError, match="'player 1', 'player 2'"):
        fixlip(game, sampling="joint")
    sides = random_embeddings(3, 2)
    sides.image_embeddings[0b101, 0] = value
    with pytest.raises(ValueError, match="'image player 0', 'image player 2'"):
        fixlip(sides)


@pytest.mark.parametrize("how", [{}, {"solver": "wls"}, {"sampling": "joint"}], ids=str)
def test_sides_of_two_spaces_are_refused(how):
    game, narrow = random_embeddings(3, 2), random_embeddings(3, 2).encode_texts
    game.encode_texts = lambda rows: narrow(rows)[:, :-1]
    with pytest.raises(ValueError, match=r"image embeddings have \d+ numbers, text embeddings \d+"):
        fixlip(game, **how)


def test_values_of_another_shape_are_refused():
    class Column(TableGame):
        def __call__(self, coalitions):
            return super().__call__(coalitions)[:, None]

    with pytest.raises(ValueError, match=r"Column gave shape \(16, 1\) for 16 coalitions; expected \(16,\)"):
        fixlip(Column(np.arange(16.0)), sampling="joint")


def test_a_checkpoint_keeps_passes(tmp_path):
    game = random_embeddings(7, 4, seed=4)
    asked, encode = [], game.encode_images
    game.encode_images = lambda rows: asked.append(len(rows)) or encode(rows)
    first = fixlip(game, checkpoint=tmp_path / "run")
    assert sum(asked) == 128
    again = fixlip(game, 0.3, checkpoint=tmp_path / "run")
    assert sum(asked) == 128 and again.p == 0.3
    assert_terms(terms(first), terms(fixlip(game)), 1e-12)
    with pytest.raises(TypeError, match="TableGame is none"):
        fixlip(random_game(3), sampling="joint", checkpoint=tmp_path / "other")


def test_of_order_one_pairs_within_the_image_are_left_out_and_nothing_else():
    """On all coalitions the Fourier coefficients that remain are those of the whole fit."""
    game = random_embeddings(4, 3)
    whole, first = fixlip(game, 0.3), fixlip(game, 0.3, order=1)
    assert not first.pairs[:4, :4].any() and whole.pairs[:4, :4].any()
    np.testing.assert_allclose(first.pairs[:, 4:], whole.pairs[:, 4:], atol=1e-9)
    np.testing.assert_allclose(first.first_order(), whole.first_order(), atol=1e-9)
    for other in ({"errors": True}, {"solver": "wls"}, {"sampling": "joint"}, {"seconds": 1.0}):
        with pytest.raises(ValueError, match="order is for cross-modal sampling"):
            fixlip(game, order=1, **other)
