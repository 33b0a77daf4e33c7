"""Experiments: what is asked, rows that survive a kill, the same rows on any engine, tables with intervals."""

import json
import math
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace

import numpy as np
import pandas
import pytest
from click.testing import CliRunner
from PIL import Image

from fixlip_helpers import Explanation
from fixlip_helpers.baselines import grad_eclip
from fixlip_helpers.cli import _run, fixlip
from fixlip_helpers.experiments import evaluation
from fixlip_helpers.experiments.engines import in_process, on_ray
from fixlip_helpers.experiments.evaluation import (
    CONTROLS,
    EXPERIMENTS,
    Bench,
    Request,
    as_markdown,
    differences,
    evaluate,
    measure,
    paper_request,
    plan,
    summary,
)
from fixlip_helpers.games import ExplanationGame
from fixlip_helpers.metrics import (
    block_faithfulness,
    faithfulness,
    insertion_deletion,
    pointing_game,
    quarter_cells,
    random_explanation,
    shapley_faithfulness,
)
from fixlip_helpers.models import ASSETS, load_model
from fixlip_helpers.scenes import examples
from fixlip_helpers.sides import combine, fit_side

QUICK = {
    "methods": ("grad-eclip", "game"),
    "metrics": ("faithfulness", "aid"),
    "ps": (0.5,),
    "coalitions": 16,
}


def quick(data="scenes:pairs:3:3", **other):
    return Request(data, **(QUICK | other))


@pytest.fixture(scope="module")
def model():
    return load_model("mini-clip")


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A folder with the results of the quick request."""
    folder = tmp_path_factory.mktemp("results")
    return folder, evaluate(quick(), folder)


def parts(folder):
    return sorted(folder.glob("rows/*/*.parquet"))


# --- What is asked --------------------------------------------------------------------------


@pytest.mark.parametrize("wrong, message", [
    ({"methods": ()}, "methods is empty"),
    ({"methods": ("game", "game")}, "comes twice"),
    ({"methods": ("gradcam",)}, "expected one of fixlip-P"),
    ({"metrics": ("pgr", "iou")}, "metric 'iou'; expected one of faithfulness, blocks, shapley, aid, pgr"),
    ({"ps": (0.5, 1.0)}, "p = 1"),
    ({"coalitions": 1}, "coalitions = 1; expected at least 2"),
    ({"si_budget": 0}, "si_budget = 0"),
    ({"image_coalitions": 0}, "image_coalitions = 0; expected at least 1"),
    ({"select": 0}, "select = 0; expected at least 1"),
    ({"draws": 0}, "draws = 0; expected at least 1"),
    ({"methods": ("game-each",)}, "'game-each' has a map for each word and no other numbers; only pgr judges it"),
    ({"methods": ("gradcam-each",), "metrics": ("pgr",)}, "method 'gradcam'"),
    ({"seed": -1}, "seed = -1"),
])  # fmt: skip
def test_wrong_requests_are_refused(wrong, message):
    with pytest.raises(ValueError, match=message):
        quick(**wrong)


# --- Rows -----------------------------------------------------------------------------------


def test_rows_are_what_the_functions_say(model, finished):
    request, (_, outcome) = quick(), finished
    bench = Bench(model, request.inputs[1], request)
    (caption,) = bench.one.captions
    subject = bench.subject(caption)
    heat = grad_eclip(model, bench.picture, caption)
    judged = faithfulness(heat, subject.game, 0.5, 16, 0, bootstrap=0)
    truth = {
        "faithfulness r2": judged.r2,
        "faithfulness spearman": judged.spearman,
        "aid": insertion_deletion(heat, subject.game).aid,
    }
    rows = outcome.rows[(outcome.rows["input"] == bench.one.id) & (outcome.rows["method"] == "grad-eclip")]
    for metric, value in truth.items():
        found = rows.loc[rows["metric"] == metric, "value"].item()
        assert math.isnan(found) if value is None else found == pytest.approx(value, abs=1e-5), metric
    assert len(outcome.rows) == 3 * 2 * (3 + 3) and not outcome.failures


def test_pointing_game_rows(model):
    request = Request("scenes:grids:3:1", methods=("grad-eclip",), metrics=("pgr",))
    bench = Bench(model, request.inputs[0], request)
    rows = pandas.DataFrame(measure(bench))
    assert rows["words"].value_counts().to_dict() == {1.0: 4, 2.0: 4, 3.0: 4, 4.0: 1}
    caption = bench.one.captions[5]
    cells = dict(zip(bench.one.quarters, quarter_cells(model.grid), strict=True))
    truth = pointing_game(grad_eclip(model, bench.picture, caption), cells)
    assert rows.loc[rows["caption"] == caption, "value"].item() == pytest.approx(truth, abs=1e-6)
    with pytest.raises(ValueError, match="no grid of four classes"):
        measure(Bench(model, quick().inputs[0], quick(metrics=("pgr",))))


def test_a_method_asked_for_each_word_has_a_map_for_each(model):
    request = Request("scenes:grids:3:1", methods=("grad-eclip-each",), metrics=("pgr",))
    bench = Bench(model, request.inputs[0], request)
    caption = bench.one.captions[5]
    rows = measure(Bench(model, replace(bench.one, captions=(caption,)), request))
    cells = dict(zip(bench.one.quarters, quarter_cells(model.grid), strict=True))
    alone = [pointing_game(grad_eclip(model, bench.picture, word), cells) for word in caption.split()]
    assert len(alone) == 2 and [(row["words"], row["value"]) for row in rows] == [
        (2.0, pytest.approx(np.mean(alone)))
    ]


def test_drawn_controls_belong_to_picture_and_caption(model):
    """Each input has draws of its own, the same in every run, and the mean of their scores counts."""
    request = quick(methods=("shuffled",), metrics=("faithfulness",), draws=3)
    known = fixlip_of(16, 8)
    benches = [Bench(model, one, request) for one in request.inputs[:2]]
    orders = []
    for bench in [*benches, benches[0]]:
        subject = bench.subject(bench.one.captions[0])
        subject.fixlip = lambda p=0.5: known
        orders.append([one.main[:16].tolist() for one in bench.explanations(subject, "shuffled")])
    first, second, again = orders
    assert first == again and len({tuple(order) for order in first + second}) == 6
    assert all(sorted(order) == sorted(known.main[:16]) for order in first)
    bench = benches[0]
    bench.explanations = lambda subject, method: [known, random_explanation(known, 1)]
    subject = bench.subject(bench.one.captions[0])
    subject.game = ExplanationGame(known)
    bench.subject = lambda caption: subject
    judged = [
        faithfulness(one, subject.game, 0.5, 16, 0, bootstrap=0).pearson for one in bench.explanations(0, "")
    ]
    rows = pandas.DataFrame(measure(bench)).set_index("metric")
    assert rows.loc["faithfulness pearson", "value"] == pytest.approx(np.mean(judged)) and judged[
        0
    ] == pytest.approx(1)


def fixlip_of(n_image, n_text):
    """An explanation with distinct numbers."""
    rng = np.random.default_rng(0)
    n = n_image + n_text
    upper = np.triu(rng.normal(size=(n, n)), 1)
    names = [str(i) for i in range(n)]
    return Explanation(0.0, None, rng.normal(size=n), upper + upper.T, "FWBII", 0.5, names, n_image, n_text)


def test_blocks_and_shapley_weights_are_rows(model):
    request = quick(methods=("grad-eclip",), metrics=("blocks", "shapley"))
    bench = Bench(model, request.inputs[0], request)
    (caption,) = bench.one.captions
    rows = pandas.DataFrame(measure(bench)).set_index("metric")["value"]
    subject = bench.subject(caption)
    heat = grad_eclip(model, bench.picture, caption)
    blocks = block_faithfulness(heat, subject.game, 0.5, 8, bootstrap=0)
    assert rows["blocks patches"] == pytest.approx(blocks["patches"].spearman)
    assert rows["blocks words"] == pytest.approx(blocks["words"].spearman)
    assert math.isnan(rows["blocks cross-modal"])  # two maps, and no pairs
    assert rows["shapley spearman"] == pytest.approx(shapley_faithfulness(heat, subject.game, 16).spearman)


def test_other_p_take_as_many_passes_of_their_own_design():
    request = Request(
        "scenes:pairs:3:1", methods=("fixlip-0.3", "fixlip-0.5", "shapley", "game"), image_coalitions=4096
    )
    assert evaluation.fit_passes(request, "mini-clip") == {
        "fixlip-0.3": 4096,
        "fixlip-0.5": 4096,
        "shapley": 2**14,
    }
    default = evaluation.fit_passes(replace(request, image_coalitions=None), "mini-clip")
    assert default["fixlip-0.3"] > 4096 == default["fixlip-0.5"]


def test_a_picture_is_encoded_once_for_its_captions(model, monkeypatch):
    """Two captions: the second costs no image pass of FIxLIP's fit."""
    fits = []
    true_fit = evaluation.fit_side
    monkeypatch.setattr(evaluation, "fit_side", lambda *a, **k: fits.append(a[1]) or true_fit(*a, **k))
    request = Request("scenes:grids:3:1", methods=("fixlip-0.3",), metrics=("pgr",), image_coalitions=200)
    bench = Bench(model, request.inputs[0], request)
    for caption in bench.one.captions[:3]:
        bench.subject(caption).fixlip(0.3)
    assert fits == ["image", "text", "text", "text"]


# --- A run ----------------------------------------------------------------------------------


def test_a_finished_run_is_not_repeated_and_a_missing_part_is(finished, monkeypatch):
    folder, outcome = finished
    before = {path: path.stat().st_mtime_ns for path in parts(folder)}
    assert len(before) == 3
    monkeypatch.setattr(evaluation, "measure", lambda bench: 1 / 0)
    again = evaluate(quick(), folder)
    monkeypatch.undo()
    pandas.testing.assert_frame_equal(again.rows, outcome.rows)
    parts(folder)[1].unlink()
    pandas.testing.assert_frame_equal(evaluate(quick(), folder).rows, outcome.rows)
    after = {path: path.stat().st_mtime_ns for path in parts(folder)}
    assert [before[path] == after[path] for path in sorted(before)] == [True, False, True]
    assert {"request.json", "rows.parquet", "summary.csv", "summary.md", "aid.png"} <= {
        path.name for path in folder.iterdir()
    }


def test_without_pandas_it_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setattr(evaluation, "find_spec", lambda name: None)
    with pytest.raises(ValueError, match=r"pip install 'fixlip-helpers\[experiments\]'"):
        evaluate(quick(), tmp_path)


def test_results_of_another_request_are_refused(finished):
    with pytest.raises(ValueError, match=r"another request \(seed differ: seed is 0 there and 1 here\)"):
        evaluate(quick(seed=1), finished[0])


def test_a_killed_run_goes_on(tmp_path, finished):
    """Killed as soon as one input is finished; the next run does the other two and has the same rows."""
    command = [
        *(sys.executable, "-m", "fixlip_helpers", "evaluate", "--data", "scenes:pairs:3:3", "--out", str(tmp_path)),
        *("--method", "grad-eclip", "--method", "game", "--metric", "faithfulness", "--metric", "aid"),
        *("--p", "0.5", "--coalitions", "16"),
    ]  # fmt: skip
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while not parts(tmp_path) and process.poll() is None:
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    done = {path: path.stat().st_mtime_ns for path in parts(tmp_path)}
    assert done
    outcome = evaluate(quick(), tmp_path)
    assert all(path.stat().st_mtime_ns == made for path, made in done.items())
    ours, theirs = outcome.rows, finished[1].rows
    np.testing.assert_allclose(ours["value"], theirs["value"], atol=1e-5)


def test_one_bad_input_is_skipped_and_named(tmp_path):
    hero = examples()["hero"]
    hero.image.save(tmp_path / "good.png")
    (tmp_path / "bad.png").write_bytes(b"no picture")
    lines = ["image,caption", f"good.png,{hero.caption}", "bad.png,a dog", f"missing.png,{hero.caption}"]
    lines.append("good2.png," + "dog " * 80)
    Image.new("RGB", (64, 64), "red").save(tmp_path / "good2.png")
    (tmp_path / "pairs.csv").write_text("\n".join(lines), encoding="utf-8")
    command = [
        "evaluate",
        "--data",
        str(tmp_path / "pairs.csv"),
        "--out",
        str(tmp_path / "out"),
        "--p",
        "0.5",
    ]
    command += ["--method", "grad-eclip", "--coalitions", "8"]
    result = CliRunner().invoke(fixlip, command)
    assert result.exit_code == 1
    assert result.output.count("skipped: mini-clip") == 3
    for name in ("bad.png", "missing.png", "good2.png"):
        assert f"input '{name}'" in result.output
    rows = pandas.read_parquet(tmp_path / "out" / "rows.parquet")
    assert set(rows["input"]) == {"good.png"}


def test_selection_takes_the_best_caption_of_the_best_inputs(tmp_path):
    hero = examples()["hero"]
    hero.image.save(tmp_path / "hero.png")
    Image.new("RGB", (128, 128), "white").save(tmp_path / "white.png")
    lines = [
        "image,caption",
        "white.png,a white dog",
        f"hero.png,{hero.caption}",
        "hero.png,a white dog and a yellow bus",
    ]
    (tmp_path / "pairs.csv").write_text("\n".join(lines), encoding="utf-8")
    outcome = evaluate(quick(str(tmp_path / "pairs.csv"), select=1), tmp_path / "out")
    assert set(outcome.rows["caption"]) == {"a white dog and a yellow bus"}
    (stored,) = (tmp_path / "out" / "rows").glob("mini-clip-*/selection.json")
    assert (
        sorted(caption for _, caption in json.loads(stored.read_text()).values())[1]
        == "a white dog and a yellow bus"
    )
    # the other picture turns into the better one: scores of what is there are kept, its own are taken
    shutil.copy(tmp_path / "hero.png", tmp_path / "white.png")
    Image.new("RGB", (128, 128), "white").save(tmp_path / "hero.png")
    lines[1] = "white.png,a white dog and a yellow bus"
    (tmp_path / "pairs.csv").write_text("\n".join(lines), encoding="utf-8")
    again = evaluate(quick(str(tmp_path / "pairs.csv"), select=1), tmp_path / "out").rows
    assert set(again["input"]) == {"white.png"} and len(again) == len(outcome.rows)


# --- What is what, whatever it is called ----------------------------------------------------


@pytest.fixture
def pictures(tmp_path):
    """A folder with a CSV of three pictures, and a function that writes its lines."""
    for name in ("hero", "swapped", "pair"):
        examples()[name].image.save(tmp_path / f"{name}.png")

    def write(*lines):
        (tmp_path / "pairs.csv").write_text("\n".join(["image,caption", *lines]), encoding="utf-8")
        return quick(str(tmp_path / "pairs.csv"), metrics=("faithfulness",), methods=("grad-eclip",))

    return write


def truth(request, name, caption, spec="mini-clip"):
    """The rows of one pair, measured by themselves."""
    (one,) = [one for one in request.inputs if one.id == name]
    bench = Bench(load_model(spec), replace(one, captions=(caption,)), request)
    return [row["value"] for row in measure(bench)]


def values(rows, **where):
    for column, wanted in where.items():
        rows = rows[rows[column] == wanted]
    return rows["value"].to_numpy()


def test_a_second_run_measures_what_was_changed_and_reuses_the_rest(pictures, tmp_path, monkeypatch):
    """A corrected caption, an inserted row, another order, another picture under the same name, ids of one's own."""
    measured = []
    true_measure = evaluation.measure
    monkeypatch.setattr(
        evaluation, "measure", lambda bench: measured.append(bench.one.id) or true_measure(bench)
    )

    def run(*lines):
        measured.clear()
        request = pictures(*lines)
        outcome = evaluate(request, tmp_path / "out")
        for line in lines:
            name, caption = line.split(",")
            np.testing.assert_allclose(
                values(outcome.rows, input=name, caption=caption), truth(request, name, caption), atol=1e-5
            )
        assert outcome.reused + outcome.measured == len(lines) and outcome.measured == len(measured)
        assert len(outcome.rows) == 3 * len(lines)
        return list(measured)

    hero, clash = "hero.png,a white dog", "swapped.png,a black dog"
    assert run(hero, clash) == ["hero.png", "swapped.png"]
    assert run(hero, clash) == []
    assert run(hero, "swapped.png,a red dog") == ["swapped.png"]
    assert run("pair.png,a dog", hero, clash) == ["pair.png"]
    assert run(clash, hero) == []
    shutil.copy(tmp_path / "pair.png", tmp_path / "hero.png")
    assert run(hero, clash) == ["hero.png"]
    assert run("pair.png,a white dog", hero) == []  # the same picture and caption under another name


def test_nothing_of_an_earlier_run_is_left_where_nothing_can_be_measured(pictures, tmp_path):
    evaluate(pictures("hero.png,a white dog"), tmp_path / "out")
    assert {"summary.csv", "faithfulness-r2.png"} <= {path.name for path in (tmp_path / "out").iterdir()}
    (tmp_path / "hero.png").unlink()
    outcome = evaluate(pictures("hero.png,a white dog"), tmp_path / "out")
    assert (outcome.reused, outcome.measured, len(outcome.failures), len(outcome.rows)) == (0, 0, 1, 0)
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"request.json", "rows", "rows.parquet"}


def test_a_second_run_sees_new_weights_under_the_same_path(pictures, tmp_path):
    folder = tmp_path / "best"
    shutil.copytree(ASSETS / "mini-clip", folder)
    request = replace(pictures("hero.png,a white dog"), models=(str(folder),))
    first = evaluate(request, tmp_path / "out")
    assert (first.reused, first.measured) == (0, 1)
    shutil.rmtree(folder)
    shutil.copytree(ASSETS / "mini-clip-biased", folder)
    second = evaluate(request, tmp_path / "out")
    assert (second.reused, second.measured) == (0, 1) and set(second.rows["model"]) == {"best"}
    np.testing.assert_allclose(
        second.rows["value"], truth(request, "hero.png", "a white dog", "mini-clip-biased"), atol=1e-5
    )
    assert (second.rows["value"] != first.rows["value"]).all()


def test_two_models_of_one_name_are_two_models(pictures, tmp_path):
    """Rows, summary, tables and the command's output tell run_a/best from run_b/best, and both from mini-clip."""
    for run, name in (("run_a", "mini-clip"), ("run_b", "mini-clip-biased"), ("run_c", "mini-clip")):
        shutil.copytree(ASSETS / name, tmp_path / run / "best")
    request = pictures("hero.png,a white dog", "swapped.png,a black dog")
    command = [
        "evaluate",
        "--data",
        request.data,
        "--method",
        "grad-eclip",
        "--p",
        "0.5",
        "--coalitions",
        "16",
    ]
    models = [f"--model={tmp_path / run / 'best'}" for run in ("run_a", "run_b")]
    result = CliRunner().invoke(fixlip, [*command, *models, "--out", str(tmp_path / "out")])
    assert result.exit_code == 0, result.output
    rows = pandas.read_parquet(tmp_path / "out" / "rows.parquet")
    assert list(rows["model"].unique()) == ["run_a/best", "run_b/best"]
    for run, name in (("run_a/best", "mini-clip"), ("run_b/best", "mini-clip-biased")):
        np.testing.assert_allclose(
            values(rows, model=run, input="swapped.png"),
            truth(request, "swapped.png", "a black dog", name),
            atol=1e-5,
        )
        assert f"{run}: faithfulness r2, p = 0.5" in result.output
    table = summary(rows)
    assert set(table["inputs"] + table["left_out"]) == {2} and len(table) == 2 * 3
    with pytest.raises(ValueError, match=r"run_a/best' and '.*run_c/best' are one and the same"):
        evaluate(
            replace(request, models=(str(tmp_path / "run_a/best"), str(tmp_path / "run_c/best"))),
            tmp_path / "o",
        )
    # rows of two runs, each with a "best", put together by hand
    alone = []
    for run in ("run_a", "run_b"):
        alone.append(
            evaluate(replace(request, models=(str(tmp_path / run / "best"),)), tmp_path / f"out {run}").rows
        )
        assert set(alone[-1]["model"]) == {"best"}
    together = summary(pandas.concat(alone))
    assert len(together) == len(table) and together["model"].nunique() == 2
    np.testing.assert_allclose(sorted(together["mean"]), sorted(table["mean"]))


@pytest.mark.parametrize(
    ("paths", "names"),
    [
        (["a/best", "b/best"], ["a/best", "b/best"]),
        (["x/a/best", "y/a/best", "y/other"], ["x/a/best", "y/a/best", "other"]),
        (["a/mini-clip", "mini-clip"], ["a/mini-clip", "mini-clip"]),
    ],
)
def test_names_that_differ(paths, names, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for path in paths:
        (tmp_path / path).mkdir(parents=True, exist_ok=True)
    assert evaluation._distinct_names(paths, [path.rpartition("/")[2] for path in paths]) == names


# --- Engines --------------------------------------------------------------------------------


@pytest.mark.slow
def test_ray_gives_the_same_rows(tmp_path, finished):
    outcome = evaluate(quick(), tmp_path, workers=2)
    np.testing.assert_allclose(outcome.rows["value"], finished[1].rows["value"], atol=1e-5)


def test_a_killed_worker_is_replaced_and_its_unit_done_again(tmp_path):
    def make_work():
        def work(unit):
            mark = tmp_path / f"{unit} was begun"
            if unit == 2 and not mark.exists():
                mark.touch()
                os.kill(os.getpid(), signal.SIGKILL)
            return unit**2

        return work

    assert sorted(on_ray(make_work, range(5), workers=2)) == [(k, k**2) for k in range(5)]
    assert (tmp_path / "2 was begun").exists()


def test_a_unit_that_always_kills_its_worker_ends_the_run():
    def make_work():
        return lambda unit: os.kill(os.getpid(), signal.SIGKILL)

    with pytest.raises(RuntimeError, match="the worker of 7 died 2 times"):
        list(on_ray(make_work, [7], workers=1, retries=1))


def test_without_ray_or_cluster_it_says_what_to_do(monkeypatch):
    assert list(in_process(lambda unit: -unit, [1, 2])) == [(1, -1), (2, -2)]
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ValueError, match=r"pip install 'fixlip-helpers\[scale\]'"):
        next(on_ray(lambda: print, [1]))


# --- Tables ---------------------------------------------------------------------------------


def table_of(values, inputs):
    rows = {
        "model": "m",
        "input": inputs,
        "caption": "c",
        "method": "game",
        "metric": "aid",
        "p": float("nan"),
    }
    return pandas.DataFrame(rows | {"words": float("nan"), "value": values})


def test_summary_averages_captions_within_an_input_first():
    table = summary(table_of([1.0, 3.0, 6.0, float("nan")], ["a", "a", "b", "c"]))
    (row,) = table.itertuples()
    assert (row.inputs, row.left_out, row.mean) == (2, 1, 4.0)
    assert 2.0 <= row.low <= row.mean <= row.high <= 6.0


def test_intervals_cover_the_mean():
    rng = np.random.default_rng(0)
    covered = 0
    for seed in range(200):
        values = rng.normal(3, 1, size=40)
        (row,) = summary(table_of(values, list(range(40))), draws=400, seed=seed).itertuples()
        covered += row.low <= 3 <= row.high
    assert 180 <= covered <= 199


def test_summary_has_a_median_that_one_input_cannot_move():
    (row,) = summary(table_of([1.0, 2.0, 3.0, 500.0, 2.5], list("abcde"))).itertuples()
    assert row.median == 2.5


def test_differences_are_paired_by_input():
    """One method is ahead by about 0.1 on inputs that differ by 10: intervals overlap, differences do not."""
    rng = np.random.default_rng(0)
    level, names = 10 * rng.normal(size=40), [f"input {i}" for i in range(40)]
    rows = pandas.concat(
        [
            table_of(level + gain + 0.05 * rng.normal(size=40), names).assign(method=method)
            for method, gain in (("game", 0.1), ("random", 0.0), ("words", -1.0))
        ]
    )
    rows.loc[(rows["method"] == "words") & (rows["input"] == "input 0"), "value"] = float("nan")
    means = summary(rows).set_index("method")
    assert means.loc["game", "low"] < means.loc["random", "high"]
    found = differences(rows, CONTROLS).set_index("method")
    assert set(found["to"]) == {"random"} and list(found.index) == ["game", "words"]
    assert 0.05 < found.loc["game", "low"] < found.loc["game", "mean"] < 0.15
    assert (found.loc["words", "inputs"], found.loc["words", "left_out"]) == (39, 1)
    lower = differences(rows.assign(metric="deletion"), CONTROLS)
    assert set(lower["to"]) == {"words"}  # of deletion the smallest is the best
    with pytest.raises(ValueError, match="to = 'exclip'; the rows have the methods game, random, words"):
        differences(rows, "exclip")
    silent = rows["method"] == "words"
    block = rows.assign(metric="blocks cross-modal", value=rows["value"].mask(silent))
    assert set(differences(pandas.concat([rows, block]), "words")["metric"]) == set(rows["metric"])


def test_markdown_puts_the_best_first(finished):
    text = as_markdown(summary(finished[1].rows))
    assert "## mini-clip: aid" in text and "| method | mean | 95 % interval | median |" in text
    means = [
        float(line.split("|")[2]) for line in text.split("## mini-clip: aid")[1].split("\n") if "| g" in line
    ]
    assert means == sorted(means, reverse=True)


# --- The commands ---------------------------------------------------------------------------


def test_dry_run_says_what_it_takes_and_writes_nothing(tmp_path):
    out = tmp_path / "out"
    command = ["reproduce", "figure4", "--dry-run", "--out", str(out)]
    result = CliRunner().invoke(fixlip, command)
    assert result.exit_code == 0 and not out.exists()
    assert "at small scale: 50 pairs of the picture world" in result.output
    assert "mini-clip: 50 inputs, about" in result.output and "mini-siglip: 50 inputs, about" in result.output


def test_the_plan_counts_the_passes_that_are_made(model):
    request = Request("scenes:pairs:3:1", methods=("fixlip-0.3",), metrics=("faithfulness",), ps=(0.3,), coalitions=64,
                      image_coalitions=300)  # fmt: skip
    (expected,) = plan(request)
    bench = Bench(model, request.inputs[0], request)
    made = []
    true_encode = type(model).embed_pixels
    try:
        type(model).embed_pixels = lambda self, pixels: made.append(len(pixels)) or true_encode(self, pixels)
        measure(bench)
    finally:
        type(model).embed_pixels = true_encode
    assert sum(made) == pytest.approx(expected.image_passes, rel=0.05)


@pytest.mark.parametrize("what", EXPERIMENTS)
def test_the_papers_parameters(what):
    request, scale = paper_request(what, data="coco")
    assert request.models == evaluation.PAPER_MODELS and request.si_budget == 2**17
    assert (request.select == 1000) == (what != "table1") and "the paper's parameters" in scale
    small, scale = paper_request(what)
    assert small.models == ("mini-clip", "mini-siglip") and "small scale" in scale


@pytest.mark.parametrize("what, models, budgets", [("figure3", 2, (2**21, 2**17)), ("figure4", 2, (2**21, 2**17)),
                                                   ("table1", 7, (2**20, 2**19))])  # fmt: skip
def test_the_released_parameters(what, models, budgets):
    request, scale = paper_request(what, data="coco", released=True)
    assert (
        request.released and len(request.models) == models and (request.budget, request.si_budget) == budgets
    )
    assert "as released" in scale and ("game" in request.methods) == (models == 2)
    siglip, _ = paper_request(what, ["google/siglip2-base-patch32-256"], "coco", released=True)
    assert ("fixlip-0.4" in siglip.methods) == (what == "figure3") and "game" not in siglip.methods
    assert not paper_request(what, data="coco")[0].released
    with pytest.raises(ValueError, match="needs a budget"):
        Request("scenes:pairs:0:1", released=True)


def test_a_fit_as_released(model):
    """The release's sampler and split, no penalty; a side that it would leave below its terms gets our draws."""
    from fixlip_helpers.games import random_embeddings

    request, _ = paper_request("table1", ["mini-clip"], "scenes:grids:3:1", released=True, budget=3200)
    (one,) = request.inputs
    assert one.captions == tuple(" ".join(one.quarters[:k]) for k in (1, 2, 3, 4))
    game = random_embeddings(10, 4)
    image = fit_side(game, "image", 0.3, "border_released", 200, ridge=0.0)
    truth = combine(image, fit_side(game, "text", 0.3, "enumeration"))
    found = Bench(model, one, request)._fixlip(game, 0.3)
    np.testing.assert_allclose(found.pairs, truth.pairs, atol=1e-9)
    assert evaluation._sides_of(request, 49, 4)[0] == ("auto", 4 * 1226, None)


@pytest.mark.parametrize("arguments, message", [
    (["evaluate", "--data", "nowhere"], "does not exist; expected scenes:pairs"),
    (["evaluate", "--data", "scenes:pairs:0:1", "--method", "lime"], "method 'lime'; expected one of"),
    (["evaluate", "--data", "scenes:pairs:0:1", "--metric", "iou"], "metric 'iou'; expected one of"),
    (["evaluate", "--data", "scenes:pairs:0:1", "--model", "nothing/here"], "nothing/here"),
    (["reproduce", "figure5"], "make bench"),
])  # fmt: skip
def test_wrong_commands_end_with_2_and_one_line(arguments, message, tmp_path, capsys):
    assert _run([*arguments, "--out", str(tmp_path / "out")]) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1
