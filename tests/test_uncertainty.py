"""Standard errors: what their intervals cover, against games whose interactions are known."""

import numpy as np
import pytest

from fixlip_helpers import combine, fit_side, fixlip
from fixlip_helpers.checkpoints import Remembered
from fixlip_helpers.coalitions import UnderdeterminedError, choose_design
from fixlip_helpers.explanation import Explanation, player_names
from fixlip_helpers.games import ExplanationGame, random_embeddings
from fixlip_helpers.sides import Side
from fixlip_helpers.uncertainty import n_shifts

N_IMAGE, N_TEXT = 16, 4
NUMBERS = ("main", "pairs", "first_order", "cross_totals")


def known_game(p, n_text=N_TEXT):
    """A game of 16 + 4 players with a tenth of its variance in the third and a tenth in the fourth order."""
    n, rng = N_IMAGE + n_text, np.random.default_rng(5)
    pairs = np.triu(0.3 * rng.normal(size=(n, n)), 1)
    truth = Explanation(
        1.0,
        None,
        rng.normal(size=n),
        pairs + pairs.T,
        "FWBII",
        p,
        player_names(N_IMAGE, n_text),
        N_IMAGE,
        n_text,
    )
    return truth, ExplanationGame(truth, 0.1, 0.1, seed=1)


def numbers_of(explanation):
    upper = np.triu_indices(explanation.n_players, 1)
    cross = explanation.cross_modal()
    return {
        "main": explanation.main,
        "pairs": explanation.pairs[upper],
        "first_order": explanation.first_order(),
        "cross_totals": np.concatenate([cross.sum(axis=1), cross.sum(axis=0)]),
    }


def errors_of(explanation):
    upper = np.triu_indices(explanation.n_players, 1)
    errors = {name: getattr(explanation.errors, name) for name in NUMBERS}
    return errors | {"pairs": errors["pairs"][upper]}


def covered(truth, explanations):
    """Share of the truth's numbers inside the 95 % intervals, for each kind of number."""
    right, inside = numbers_of(truth), {name: [] for name in NUMBERS}
    for explanation in explanations:
        found, errors, times = (
            numbers_of(explanation),
            errors_of(explanation),
            explanation.errors.multiplier(),
        )
        for name in NUMBERS:
            inside[name].append(np.abs(found[name] - right[name]) <= times * errors[name] + 1e-9)
    return {name: np.mean(parts) for name, parts in inside.items()}


CASES = {  # what is drawn: p, image draws, how, text players, text draws (None: enumerated)
    "near the limit": (0.5, 200, "independent", 4, None),
    "twice as many as terms": (0.5, 300, "independent", 4, None),
    "many": (0.3, 1200, "independent", 4, None),
    "both sides drawn": (0.5, 600, "independent", 10, 200),
    "four shifts of an array": (0.5, 1024, "orthogonal_array", 4, None),
}


def explain_again(game, case, seeds):
    p, m, design, _, m_text = case
    for seed in seeds:
        image = fit_side(game, "image", p, design, m, seed=seed, errors=True)
        text = fit_side(game, "text", p, "independent" if m_text else "auto", m_text, seed=seed, errors=True)
        yield combine(image, text, errors=True)


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_intervals_cover_about_as_often_as_they_say(case):
    truth, game = known_game(case[0], case[3])
    for name, share in covered(truth, explain_again(game, case, range(12))).items():
        assert 0.86 < share <= 1, (name, share)


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_intervals_cover_what_they_say_over_200_seeds(case):
    truth, game = known_game(case[0], case[3])
    shares = covered(truth, explain_again(game, case, range(200)))
    print({name: round(float(share), 3) for name, share in shares.items()})
    # what an array gets wrong is the sign of a few terms, not a bell curve: its intervals may be too wide
    most = 1.0 if case[2] == "orthogonal_array" else 0.98
    for name, share in shares.items():
        assert 0.92 <= share <= most, (name, share)


def test_errors_are_the_spread_over_seeds():
    _, game = known_game(0.5)
    found = [fixlip(game, n_image_coalitions=400, seed=seed, errors=True) for seed in range(40)]
    for name in NUMBERS:
        spread = np.std([numbers_of(e)[name] for e in found], axis=0, ddof=1)
        stated = np.sqrt(np.mean([errors_of(e)[name] ** 2 for e in found], axis=0))
        assert np.median(stated / spread) == pytest.approx(1, abs=0.12), name


def test_joint_sampling_has_errors_of_the_same_kind():
    truth, game = known_game(0.5)
    found = [fixlip(game, budget=600, sampling="joint", seed=seed, errors=True) for seed in range(12)]
    for name, share in covered(truth, found).items():
        assert 0.86 < share <= 1, (name, share)


def test_nothing_drawn_no_error():
    for sampling in ("cross", "joint"):
        explanation = fixlip(random_embeddings(5, 4, seed=1), 0.3, errors=True, sampling=sampling)
        assert not explanation.errors.pairs.any() and explanation.errors.baseline == 0
        assert (explanation.errors.degrees_of_freedom, explanation.errors.multiplier()) == (None, 0.0)


def test_a_second_order_game_has_no_error():
    truth = fixlip(random_embeddings(9, 5, seed=2), 0.5)
    explanation = fixlip(ExplanationGame(truth), n_image_coalitions=200, errors=True)
    assert explanation.errors.pairs.max() < 1e-8


# Where draws repeat, a coalition that was drawn c times is c draws: p, how, draws. Of 1 024 coalitions some 220, 640
# and 1 000 are drawn, the last 4 times each; an array of ten players has 4 shifts that differ.
REPEATED = {
    "some draws repeat": (0.3, "independent", 300),
    "most draws repeat": (0.5, "independent", 1024),
    "all draws repeat": (0.5, "independent", 4096),
    "shifts repeat": (0.5, "orthogonal_array", 1024),
}


@pytest.mark.parametrize("case", REPEATED.values(), ids=REPEATED)
def test_errors_are_the_spread_over_seeds_where_draws_repeat(case):
    p, design, m = case
    game = random_embeddings(8, 2, seed=1)
    right = numbers_of(fixlip(game, p, sampling="joint", design="enumeration"))
    found, seed = [], 0
    while len(found) < 60:
        seed += 1
        try:
            explanation = fixlip(game, p, m, sampling="joint", design=design, seed=seed, errors=True)
        except (
            ValueError
        ) as error:  # one of 64 times all four shifts are the same, which says nothing of errors
            assert design == "orthogonal_array" and "drawn 4 times" in str(error)
            continue
        found.append(explanation)
    for name in ("main", "pairs", "first_order"):
        wrong = np.array([numbers_of(e)[name] - right[name] for e in found])
        stated = np.sqrt(np.mean([errors_of(e)[name] ** 2 for e in found], axis=0))
        spread = np.sqrt(np.mean(wrong**2, axis=0))
        assert 0.85 < np.median(stated / spread) < 1.25, name
        if design == "independent":  # four shifts out of four are no bell curve
            inside = np.abs(wrong) <= [found[0].errors.multiplier() * errors_of(e)[name] for e in found]
            assert inside.mean() > 0.9, name


def test_draws_are_counted_by_coalition_and_by_shift():
    design = choose_design("joint", 6, 0.5, "independent", 400)
    assert design.draws.sum() == 400 and (design.draws == np.rint(400 * design.weights)).all()
    shifts = choose_design("joint", 10, 0.5, "orthogonal_array", 8 * 256)
    assert n_shifts(shifts) == 8 and len(shifts) < 8 * 256
    few = choose_design(
        "joint", 3, 0.5, "orthogonal_array", 32
    )  # 16 runs of 3 players list each of the 8 twice
    assert few.draws.tolist() == [2] * 8 and n_shifts(few) == 2


def test_errors_survive_saving(tmp_path):
    _, game = known_game(0.5)
    explanation = fixlip(game, n_image_coalitions=300, errors=True)
    again = Explanation.load(explanation.save(tmp_path / "e.json"))
    for name, values in errors_of(explanation).items():
        assert errors_of(again)[name] == pytest.approx(values, rel=1e-12)
    assert again.errors.degrees_of_freedom == explanation.errors.degrees_of_freedom
    assert (explanation - again).errors is None and explanation.merge([[0, 1]]).errors is None


def test_sides_keep_what_their_errors_are_made_of(tmp_path):
    _, game = known_game(0.5)
    text = fit_side(game, "text", errors=True)
    for design, m in (("independent", 300), ("orthogonal_array", 512)):
        side = fit_side(game, "image", 0.5, design, m, errors=True)
        again = Side.load(side.save(tmp_path / "side"))
        assert combine(again, text, True).errors.pairs == pytest.approx(
            combine(side, text, True).errors.pairs
        )


def test_the_schema_knows_errors(tmp_path):
    import json

    import jsonschema

    from fixlip_helpers.explanation import SCHEMA

    _, game = known_game(0.5)
    record = fixlip(game, n_image_coalitions=300, errors=True).to_dict()
    jsonschema.validate(record, json.loads(SCHEMA.read_text()))


# --- Passes until a tolerance -------------------------------------------------------------


def test_tolerance_is_reached_and_nothing_is_encoded_twice():
    _, game = known_game(0.5)
    asked, counted = [], game.encode_images
    game.encode_images = lambda rows: asked.extend(map(bytes, rows)) or counted(rows)
    explanation = fixlip(game, tolerance=0.05)
    facts = explanation.meta["tolerance"]
    assert facts["stopped"] == "tolerance" and facts["reached"] <= 0.05
    assert explanation.errors.pairs[:N_IMAGE, N_IMAGE:].max() == facts["reached"]
    assert len(asked) == len(set(asked))
    assert explanation.meta["design"]["image"]["coalitions"] > 274
    assert "stopped as the tolerance was reached" in explanation.summary()


def test_tolerance_stops_at_the_budget():
    _, game = known_game(0.5)
    explanation = fixlip(game, budget=8192, tolerance=1e-6)
    assert explanation.meta["tolerance"]["stopped"] == "budget"
    assert explanation.meta["design"]["image"]["coalitions"] <= 512


def test_a_remembered_game_is_refined_at_the_price_of_what_is_new():
    _, game = known_game(0.5)
    asked, encode = [], game.encode_images
    game.encode_images = lambda rows: asked.append(len(rows)) or encode(rows)
    remembered = Remembered(game)
    fixlip(remembered, design="independent", n_image_coalitions=300)
    first = sum(asked)
    refined = fixlip(remembered, design="independent", n_image_coalitions=500)
    assert sum(asked) - first <= 200 + 3  # a repeat of a held-out draw may have been known
    fresh = fixlip(game, design="independent", n_image_coalitions=500)
    assert np.abs(refined.pairs - fresh.pairs).max() < 1e-10


# --- R² -----------------------------------------------------------------------------------


def test_interval_of_r2_holds_the_r2_of_many_more_coalitions():
    _, game = known_game(0.5)
    inside = []
    for seed in range(30):
        explanation = fixlip(game, n_image_coalitions=400, seed=seed)
        low, high = explanation.meta["held_out_r2_interval"]
        rows = np.random.default_rng(seed).random((4000, game.n_players)) < 0.5
        values, predictions = game(rows), explanation.predict(rows)
        r2 = 1 - ((values - predictions) ** 2).mean() / values.var()
        inside.append(low <= r2 <= high)
        assert low <= explanation.meta["held_out_r2"] <= high
    assert np.mean(inside) > 0.8


# --- Bad input ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"tolerance": 0}, "tolerance = 0"),
        ({"tolerance": float("nan")}, "tolerance = nan"),
        ({"tolerance": 0.1, "design": "independent"}, "leave design"),
        ({"tolerance": 0.1, "sampling": "joint"}, "tolerance is for cross-modal sampling"),
        ({"errors": True, "solver": "wls"}, "errors and tolerance are for"),
        ({"errors": True, "index": "FSII"}, "errors and tolerance are for"),
        ({"errors": True, "design": "paired"}, "depend on each other"),
        (
            {"errors": True, "design": "orthogonal_array", "n_image_coalitions": 256},
            "one array of 256 runs has no spread",
        ),
    ],
    ids=str,
)
def test_what_has_no_errors_is_refused(arguments, message):
    _, game = known_game(0.5)
    with pytest.raises(ValueError, match=message):
        fixlip(game, **arguments)


def test_too_few_coalitions_have_no_errors():
    _, game = known_game(0.5)
    with pytest.raises(UnderdeterminedError, match="are advised"):
        fixlip(game, n_image_coalitions=137, errors=True)
    with pytest.raises(ValueError, match="ridge"):
        fit_side(game, "image", ridge=0.1, errors=True)
    with pytest.raises(ValueError, match="without errors"):
        combine(fit_side(game, "image", m=300, design="independent"), fit_side(game, "text"), errors=True)
    with pytest.raises(ValueError, match="level = 1"):
        fixlip(game, n_image_coalitions=300, errors=True).errors.multiplier(1)
