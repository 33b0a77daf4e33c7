"""Explanations: predictions, conversion to first order, merging, files."""

import json
import os
import pickle
from itertools import combinations
from types import SimpleNamespace

import jsonschema
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from truth import assert_terms, everything, terms, weighted_banzhaf

from fixlip_helpers.coalitions import draw, monomials
from fixlip_helpers.explanation import (
    SCHEMA,
    Explanation,
    StandardErrors,
    player_names,
    to_fourier_basis,
    to_set_basis,
)
from fixlip_helpers.games import random_game
from fixlip_helpers.released import open_stored


def make(n_image=3, n_text=2, index="FWBII", p=0.3, seed=0, **meta):
    rng = np.random.default_rng(seed)
    n = n_image + n_text
    pairs = np.triu(rng.normal(size=(n, n)), 1)
    names = [f"patch {i}" for i in range(n_image)] + [f"word {j}" for j in range(n_text)]
    return Explanation(0.5, -1.5, rng.normal(size=n), pairs + pairs.T, index, p, names, n_image, n_text, meta)


# --- What it says -------------------------------------------------------------------------


def test_predict_adds_up_the_visible_terms():
    explanation = make()
    for row in everything(5, 0.5)[0]:
        visible = np.flatnonzero(row)
        expected = 0.5 + sum(explanation.main[visible])
        expected += sum(explanation.pairs[i, j] for i, j in combinations(visible, 2))
        assert explanation.predict(row[None]) == pytest.approx([expected])


def test_predict_pairs_is_predict_on_all_pairs():
    explanation = make()
    images, texts = draw(3, 0.5, 4), draw(2, 0.5, 3)
    for a, row in zip(images, explanation.predict_pairs(images, texts), strict=True):
        assert row == pytest.approx(explanation.predict([[*a, *b] for b in texts]))


@given(p=st.floats(0.05, 0.95), seed=st.integers(0, 10_000))
@settings(max_examples=40)
def test_both_bases_describe_the_same_game(p, seed):
    explanation = make(p=p, seed=seed)
    constant, linear, pairs = to_fourier_basis(*terms(explanation), p)
    rows, weights = everything(5, p)
    coefficients = np.concatenate([[constant], linear, pairs[np.triu_indices(5, 1)]])
    assert monomials(rows, p) @ coefficients == pytest.approx(explanation.predict(rows), abs=1e-9)
    assert_terms(to_set_basis(constant, linear, pairs, p), terms(explanation))
    values = explanation.predict(rows)
    assert explanation.variance(p) == pytest.approx(weights @ (values - weights @ values) ** 2)


@given(p=st.floats(0.05, 0.95), seed=st.integers(0, 10_000))
@settings(max_examples=20)
def test_first_order_is_the_weighted_banzhaf_value_of_the_surrogate(p, seed):
    explanation = make(p=p, seed=seed)
    assert explanation.first_order() == pytest.approx(weighted_banzhaf(explanation.predict, 5, p), abs=1e-9)


def test_first_order_of_fsii_is_the_shapley_value():
    import shapiq  # takes seconds, and only this test needs it

    game = random_game(5, seed=1)
    exact = shapiq.ExactComputer(game, 5)
    fsii = Explanation.from_shapiq(exact("FSII", 2), n_image=3)
    shapley = exact("SV", 1)
    assert fsii.index == "FSII"
    assert fsii.first_order() == pytest.approx([shapley[(i,)] for i in range(5)], abs=1e-6)


def test_first_order_of_the_others():
    exclip = make(index="exCLIP", p=None)
    exclip.main[:] = 0
    exclip.pairs[:3, :3] = exclip.pairs[3:, 3:] = 0
    cross = exclip.cross_modal()
    assert exclip.first_order() == pytest.approx(
        np.concatenate([cross.sum(axis=1) / 2, cross.sum(axis=0) / 3])
    )
    first = make(index="first-order", p=None)
    assert first.first_order() == pytest.approx(first.main)


def test_cross_modal_and_top():
    explanation = make()
    assert explanation.cross_modal() == pytest.approx(explanation.pairs[:3, 3:])
    best = explanation.top(6)
    assert [abs(t.value) for t in best] == sorted(np.abs(explanation.cross_modal()).ravel(), reverse=True)
    i, j = best[0].players
    assert best[0].value == explanation.pairs[i, j] and best[0].names == (f"patch {i}", f"word {j - 3}")
    counts = {kind: len(explanation.top(99, kind)) for kind in ("cross", "image", "text", "main", "all")}
    assert counts == {"cross": 6, "image": 3, "text": 1, "main": 5, "all": 15}
    with pytest.raises(ValueError, match="kind = 'both'"):
        explanation.top(3, "both")


# --- Merge and difference -----------------------------------------------------------------


@given(seed=st.integers(0, 10_000), cut=st.integers(1, 3))
@settings(max_examples=30)
def test_merge_keeps_predictions_on_constant_groups(seed, cut):
    explanation = make(n_image=4, n_text=3, seed=seed)
    merged = explanation.merge({"region": list(range(cut))[::-1], "hydrant": [5, 6]})
    assert merged.n_image == 5 - cut and merged.n_text == 2
    assert merged.players == ["region", *explanation.players[cut:5], "hydrant"]
    rows = everything(merged.n_players, 0.5)[0]
    whole = np.hstack([np.repeat(rows[:, :1], cut, axis=1), rows[:, 1:], rows[:, -1:]])
    assert merged.predict(rows) == pytest.approx(explanation.predict(whole))


def test_merge_without_names_and_meta():
    explanation = make(grid=[1, 3], model="m", words=[["word 0", [3]]])
    words = explanation.merge([[3, 4]])
    assert words.players[-1] == "word 0+word 1" and words.meta == {"grid": [1, 3], "model": "m"}
    assert explanation.merge([[0, 1]]).meta == {"model": "m"}  # the patches are no grid any more
    explanation.players[1] = explanation.players[2] = explanation.players[0]
    assert explanation.merge([[0], [1], [2]]).n_image == 3  # names may repeat
    for wrong in ([[2, 3]], [[0, 0]], [[0, 1], [1, 2]], [[]], [[9]]):
        with pytest.raises(ValueError, match="group"):
            explanation.merge(wrong)


def test_difference_explains_the_difference():
    a, b = make(seed=1, model="m", seconds=1), make(seed=2, model="m", seconds=2)
    b.players[-1] = "cat"
    rows = everything(5, 0.5)[0]
    assert (a - b).predict(rows) == pytest.approx(a.predict(rows) - b.predict(rows))
    assert (a - b).players[-1] == "word 1/cat" and (a - b).meta == {"model": "m"} and (a - b).empty_value == 0
    with pytest.raises(ValueError, match="differ"):
        a - make(p=0.5)
    with pytest.raises(TypeError):
        a - 1


# --- Other forms --------------------------------------------------------------------------


def test_shapiq_round_trip():
    explanation = make(p=0.5)
    values = explanation.to_shapiq()
    assert values.index == "FBII" and values[(1, 4)] == explanation.pairs[1, 4] and values[()] == 0.5
    back = Explanation.from_shapiq(values, n_image=3, players=explanation.players)
    assert_terms(terms(back), terms(explanation), 1e-15)
    assert (back.index, back.p, back.n_text) == ("FWBII", 0.5, 2)
    assert make(p=0.3).to_shapiq().index == "Moebius"
    with pytest.raises(ValueError, match="expected FBII, FWBII, FSII, exclip, xclip of order 2"):
        Explanation.from_shapiq(make(p=0.3).to_shapiq())
    with pytest.raises(ValueError, match=r"p = 0\.3; values of index 'FBII' have no p to choose"):
        Explanation.from_shapiq(values, p=0.3)


def test_what_the_release_stores_is_read():
    """Its own index names, set on shapiq's objects afterwards; pickles of an older shapiq lack what came later."""
    explanation = make(p=0.3)
    values = explanation.to_shapiq()
    old = SimpleNamespace(**{
        name: getattr(values, name)
        for name in ("values", "interaction_lookup", "n_players", "max_order", "baseline_value")
    })  # fmt: skip
    old.index = "FWBII"
    back = Explanation.from_shapiq(old, 3, explanation.players, p=0.3)
    assert_terms(terms(back), terms(explanation), 1e-15)
    assert (back.index, back.p) == ("FWBII", 0.3) and Explanation.from_shapiq(old, 3).p == 0.5
    old.index = "xclip"
    assert Explanation.from_shapiq(old, 3).index == "exCLIP" and Explanation.from_shapiq(old, 3).p is None
    old.max_order, old.index = 1, ""  # GAME and Grad-ECLIP
    assert Explanation.from_shapiq(old, 3).index == "first-order"


def test_a_stored_pickle_is_read_and_nothing_in_it_runs(tmp_path):
    explanation = make(p=0.5)
    path = tmp_path / "stored.pkl"
    path.write_bytes(pickle.dumps(explanation.to_shapiq()))
    assert_terms(terms(Explanation.from_shapiq(open_stored(path), 3)), terms(explanation), 1e-15)

    class Malicious:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "made"),)

    values = explanation.to_shapiq()
    values.index = Malicious()  # deep inside an otherwise good file
    for content, reason in (
        (pickle.dumps(Malicious()), "asks for posix.mkdir|asks for nt.mkdir"),
        (pickle.dumps(values), "asks for posix.mkdir|asks for nt.mkdir"),
        (pickle.dumps(explanation), "asks for fixlip_helpers.explanation.Explanation"),
        (pickle.dumps({"values": np.zeros(2)}), "holds a dict"),
        (b"text", "is no pickle"),
        (b"", "is no pickle"),
    ):
        path.write_bytes(content)
        with pytest.raises(ValueError, match=reason):
            open_stored(path)
    assert not (tmp_path / "made").exists()


def test_json_round_trip_and_schema(tmp_path):
    explanation = make(p=0.3, grid=[1, 3], held_out_r2=0.9, model="mini-clip")
    path = explanation.save(tmp_path / "e.json")
    back = Explanation.load(path)
    assert_terms(terms(back), terms(explanation), 1e-300)
    for name in ("index", "p", "players", "n_image", "n_text", "empty_value", "meta"):
        assert getattr(back, name) == getattr(explanation, name)
    record, schema = json.loads(path.read_text()), json.loads(SCHEMA.read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(record, schema)
    i, j, n = 1, 4, 5
    assert record["pairs"][i * (2 * n - i - 1) // 2 + j - i - 1] == explanation.pairs[1, 4]
    for name in record:
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate({key: v for key, v in record.items() if key != name}, schema)
        with pytest.raises(ValueError):
            Explanation.from_dict({key: v for key, v in record.items() if key != name})


def test_nothing_half_written(tmp_path, monkeypatch):
    path = make().save(tmp_path / "e.json")
    before = path.read_text()

    def full(*_paths):
        raise OSError("no space left")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(OSError, match="no space left"):
        make(note="another").save(path)
    assert path.read_text() == before and list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("text", ["", "{", "[]", '{"format": "fixlip-explanation", "version": 2}'])
def test_what_is_no_explanation_is_refused_by_name(tmp_path, text):
    (tmp_path / "x.json").write_text(text)
    with pytest.raises(ValueError, match=r"x\.json"):
        Explanation.load(tmp_path / "x.json")


def test_bad_explanations_are_refused():
    good = dict(baseline=0.0, empty_value=None, main=[0, 1], pairs=[[0, 2], [2, 0]], index="FWBII", p=0.5)
    good |= dict(players=player_names(1, 1), n_image=1, n_text=1)
    Explanation(**good)
    for name, value, message in (
        ("main", [1, 2, 3], "do not fit"),
        ("players", ["a"], "do not fit"),
        ("pairs", [[0, 1], [2, 0]], "symmetric"),
        ("pairs", [[1, 2], [2, 0]], "zero diagonal"),
        ("main", [np.nan, 1], "finite"),
        ("index", "SII", "index = 'SII'"),
        ("p", None, "p = None"),
        ("p", 1.0, "p = 1.0"),
    ):
        with pytest.raises(ValueError, match=message):
            Explanation(**{**good, name: value})


def test_the_largest_error_is_of_a_cross_modal_pair_and_needs_errors():
    explanation = make()
    with pytest.raises(ValueError, match="no standard errors"):
        explanation.largest_error()
    errors = np.full((5, 5), 9.0)  # of pairs within a modality
    errors[:3, 3:] = [[1, 2], [3, 4], [2, 1]]
    one = np.ones(5)
    explanation.errors = StandardErrors(0.0, one, errors, one, one, 10)
    assert explanation.largest_error() == 4
