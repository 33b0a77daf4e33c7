"""Rows of the stored evaluations, drawn at random, are computed once more and must come out the same."""

import json
import random
from dataclasses import replace
from datetime import date
from pathlib import Path

import pandas
import pytest

from fixlip_helpers.experiments.evaluation import Bench, Request, measure
from fixlip_helpers.models import load_model
from scripts.store_evaluation import COMMANDS, tables_of

RESULTS = Path(__file__).resolve().parent.parent / "results"
TABLES = sorted(RESULTS.glob("evaluation_*.parquet"))


def request_of(table: Path) -> Request:
    stored = json.loads(table.with_suffix(".json").read_text(encoding="utf-8"))["request"]
    return Request(
        **{key: tuple(value) if isinstance(value, list) else value for key, value in stored.items()}
    )


def recompute(table: Path, row: pandas.Series) -> float:
    """One row, from its input, model, method and metric."""
    request = request_of(table)
    metric = row["metric"].split()[0]
    asked = {"insertion": "aid", "deletion": "aid"}.get(metric, metric)
    request = replace(request, models=(row["model"],), methods=(row["method"],), metrics=(asked,))
    if asked in ("faithfulness", "blocks"):
        request = replace(request, ps=(row["p"],))
    (one,) = [one for one in request.inputs if one.id == row["input"]]
    one = replace(one, captions=(row["caption"],))
    rows = pandas.DataFrame(measure(Bench(load_model(row["model"]), one, request)))
    return rows.loc[rows["metric"] == row["metric"], "value"].item()


def drawn(table: Path, count: int) -> pandas.DataFrame:
    """Rows at random; no curves of "counts": to it all patches are alike, and rounding decides which are kept."""
    rows = pandas.read_parquet(table)
    tied = (rows["method"] == "counts") & rows["metric"].isin(["aid", "insertion", "deletion"])
    return rows[~tied].sample(count, random_state=random.randrange(2**31))


@pytest.mark.parametrize("table", TABLES, ids=lambda path: path.stem)
def test_the_summary_is_that_of_the_rows(table):
    stored = json.loads(table.with_suffix(".json").read_text(encoding="utf-8"))
    rows = pandas.read_parquet(table)
    found = tables_of(rows)
    assert {key: stored[key] for key in found} == found and stored["command"] == COMMANDS[table.stem[11:]]
    assert date.fromisoformat(stored["made"]) >= date(2026, 11, 27)
    assert set(rows["model"]) == set(stored["request"]["models"])


@pytest.mark.parametrize("table", TABLES, ids=lambda path: path.stem)
def test_all_methods_have_an_aid_on_the_same_inputs(table):
    rows = pandas.read_parquet(table)
    for metric in ("aid", "insertion", "deletion"):
        for _, group in rows[rows["metric"] == metric].groupby("model"):
            there = group.dropna(subset="value").groupby("method")["input"].apply(frozenset)
            assert there.nunique() == 1 and len(there) == group["method"].nunique()


def test_rows_that_two_tables_hold_are_the_same():
    """The runs were made on different days, of the same scenes and coalitions."""
    pairs, sweep = (
        pandas.read_parquet(RESULTS / f"evaluation_{name}.parquet") for name in ("pairs", "sweep")
    )
    both = pairs.merge(sweep, on=["model", "input", "caption", "method", "metric", "p"])
    assert set(both["method"]) == {"fixlip-0.5", "banzhaf-0.5", "words", "counts"}
    assert len(both) == 36 * sweep["input"].nunique()  # four methods, three p, three metrics
    assert (both["value_x"] - both["value_y"]).abs().max() < 0.01


@pytest.mark.parametrize("tables, count", [
    ([random.choice(TABLES)], 1),
    pytest.param(TABLES, 5, marks=pytest.mark.slow),
], ids=["one", "five of each"])  # fmt: skip
def test_rows_drawn_at_random_come_out_the_same(tables, count):
    for table, row in [(one, row) for one in tables for _, row in drawn(one, count).iterrows()]:
        again = recompute(table, row)
        both_missing = pandas.isna(again) and pandas.isna(row["value"])
        assert both_missing or again == pytest.approx(row["value"], abs=0.01), row.to_dict()
