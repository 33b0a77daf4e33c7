"""Experiments: any methods on any models and inputs, measured, resumable, with intervals.

The unit of work is one input on one model: a picture with all of its captions. Within it nothing is fitted or encoded
twice: a picture's side serves all its captions (factorisation theorem), and the coalitions on which methods are judged
are evaluated once for all methods. A finished unit's rows are on disk, in a Parquet file of its own, before
the next unit counts; the same command started again does what is missing. A unit is known by its content (picture,
captions, the model's fingerprint, methods and settings), not by its place or name: what was corrected since is
measured anew, the rest is reused. Every random choice follows from the
request's seed and the input, so that rows depend neither on the order of units nor on the number of workers.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from tqdm import tqdm

from fixlip_helpers.baselines import METHODS, Subject, exclip, exclip_image_part, find_method
from fixlip_helpers.checkpoints import Remembered
from fixlip_helpers.coalitions import Design, check_count, check_p, choose_design, n_monomials, plain
from fixlip_helpers.encoders.models import EMBEDDED, short_digest
from fixlip_helpers.encoders.pictures import open_image
from fixlip_helpers.encoders.vision_language import VisionLanguageGame
from fixlip_helpers.experiments.datasets import Input, open_inputs
from fixlip_helpers.experiments.engines import in_process, on_ray
from fixlip_helpers.experiments.released import Asked, passes_of, sides_of
from fixlip_helpers.explanation import Explanation
from fixlip_helpers.files import written_whole
from fixlip_helpers.games import digest
from fixlip_helpers.metrics import (
    block_faithfulness,
    bootstrap_interval,
    faithfulness,
    insertion_deletion,
    pointing_game,
    quarter_cells,
    random_explanation,
    shapley_faithfulness,
    shuffled_patches,
)
from fixlip_helpers.metrics.curves import JUDGING_DRAWS
from fixlip_helpers.sides import Side, combine, fit_side

if TYPE_CHECKING:
    import pandas

    from fixlip_helpers.encoders.models import VisionLanguageModel

METRICS = ("faithfulness", "blocks", "shapley", "aid", "pgr")

CONTROLS = ("random", "counts", "words", "shuffled")
"""The methods that know little: what the best of them reaches, no other gets credit for."""

DRAWN = ("random", "shuffled")
"""The controls that are drawn at random."""

EACH = "-each"
"""Ends the name of a method that is asked for each word by itself, as in ``grad-eclip-each``: the pointing game of a
method that has one map for a caption, played with one map for each word."""

DEFAULT_METHODS = ("fixlip-0.5", "banzhaf-0.5", "exclip", "game", "grad-eclip", *CONTROLS)
"""All but the two of Shapley weights, which do not factorise and cost a pass of both towers for each value."""


# --- What is asked ------------------------------------------------------------------------


@dataclass(frozen=True)
class Request:
    """What to measure, on what.

    Attributes
    ----------
    data : str
        As for :func:`~fixlip_helpers.experiments.datasets.open_inputs`.
    models, methods, metrics : tuple of str
        Names; the methods are those of :data:`~fixlip_helpers.baselines.METHODS`, for ``pgr`` also with
        :data:`EACH` at their end; the metrics those of :data:`METRICS`.
    ps : tuple of float
        Probabilities of visibility at which faithfulness and blocks are judged.
    coalitions : int
        How many fresh coalitions judge faithfulness, under each p and under Shapley weights; half as many pictures
        judge blocks.
    image_coalitions : int or None
        From how many FIxLIP fits a picture at p other than 0.5, where no orthogonal array serves: that many draws of
        the same design as its default, :func:`~fixlip_helpers.coalitions.exchange`. None: its default.
    si_budget : int
        Values of the game for FIxLIP-SI and Shapley values.
    draws : int
        How often each of the controls :data:`DRAWN` is drawn; the mean of their scores counts. Every input has draws of
        its own, so that the spread over inputs holds what other draws would change.
    select : int or None
        The paper's selection: only so many inputs, those whose best caption has the highest score, each
        with that caption alone. None: all inputs, all captions.
    seed : int
    budget : int or None
        Values of the game that a FIxLIP explanation is fitted from, all pairs of its image and text coalitions. None:
        the sizes of the package's own designs.
    released : bool
        Measure as the FIxLIP release does, where it differs from this package: its sampler and its split of ``budget``,
        without a penalty; AID from greedy chains, for every input; PGR as a ratio of sums; grids and their captions as
        in :func:`~fixlip_helpers.experiments.datasets.open_inputs`.
    """

    data: str
    models: tuple[str, ...] = ("mini-clip",)
    methods: tuple[str, ...] = DEFAULT_METHODS
    metrics: tuple[str, ...] = ("faithfulness",)
    ps: tuple[float, ...] = (0.3, 0.5, 0.7)
    coalitions: int = 1024
    image_coalitions: int | None = None
    si_budget: int = 2**14
    draws: int = 4
    select: int | None = None
    seed: int = 0
    budget: int | None = None
    released: bool = False

    def __post_init__(self) -> None:
        for name in ("models", "methods", "metrics", "ps"):
            given = tuple(getattr(self, name))  # in order, whatever kind of sequence it was
            object.__setattr__(self, name, given)
            if not given:
                raise ValueError(f"{name} is empty; name at least one")
            if len(set(given)) < len(given):
                raise ValueError(f"{name} = {', '.join(map(str, given))}; a name comes twice")
        for method in self.methods:
            find_method(method.removesuffix(EACH))
            if method.endswith(EACH) and set(self.metrics) != {"pgr"}:
                raise ValueError(
                    f"method {method!r} has a map for each word and no other numbers; only pgr judges it"
                )
        for metric in self.metrics:
            if metric not in METRICS:
                raise ValueError(f"metric {metric!r}; expected one of {', '.join(METRICS)}")
        for p in self.ps:
            check_p(p)
        for name in ("coalitions", "si_budget"):
            if check_count(name, getattr(self, name)) < 2:
                raise ValueError(f"{name} = {getattr(self, name)}; expected at least 2")
        for name in ("select", "image_coalitions", "draws"):
            given = getattr(self, name)
            if given is not None and check_count(name, given) < 1:
                raise ValueError(f"{name} = {given}; expected at least 1")
        check_count("seed", self.seed)
        if self.released and self.budget is None:
            raise ValueError("released = True needs a budget: values of the game for each explanation")
        if self.budget is not None:
            if check_count("budget", self.budget) < 1:
                raise ValueError("budget = 0; expected at least 1")
            if self.image_coalitions is not None:
                raise ValueError("budget splits into both sides' coalitions: leave image_coalitions out")

    @cached_property
    def inputs(self) -> list[Input]:
        """The inputs that ``data`` names."""
        return open_inputs(self.data, self.seed, self.released)


# --- One picture on one model -----------------------------------------------------------------


class Bench:
    """One picture on one model, explained by any method with any caption; keeps what can be used again.

    Parameters
    ----------
    model : VisionLanguageModel
    one : Input
    request : Request

    Raises
    ------
    ValueError
        If the picture cannot be read.
    """

    def __init__(self, model: VisionLanguageModel, one: Input, request: Request) -> None:
        self.model, self.one, self.request = model, one, request
        self.picture = model.prepare_image(one.image())
        self._image_sides: dict[float | tuple, Side] = {}
        self._image_part: np.ndarray | None = None

    def subject(self, caption: str) -> Subject:
        """The picture with a caption, for all methods; its game encodes no coalition twice."""
        game = Remembered(VisionLanguageGame(self.model, self.picture, caption, progress=False))
        return Subject(
            self.model,
            self.picture,
            caption,
            self.request.seed,
            game,
            fixlip=lambda p: self._fixlip(game, p),
            exclip=lambda: self._exclip(caption),
            si_budget=self.request.si_budget,
        )

    def explanations(self, subject: Subject, method: str) -> list[Explanation]:
        """What a method says: one explanation, or several, whose mean score counts.

        Of a control that is drawn, one from each of several draws, which belong to picture and caption. Of a method
        asked :data:`EACH`, one for each word that has a quarter, with that word alone for a caption.
        """
        if method.endswith(EACH):
            words = [
                word for word, _ in self.model.own_caption(subject.caption).words if word in self.one.quarters
            ]
            return [find_method(method.removesuffix(EACH))(self.subject(word)) for word in words]
        if method not in DRAWN:
            return [find_method(method)(subject)]
        asked = [self.request.seed, digest(self.picture.pixels.numpy()), subject.caption]
        draw = {"random": random_explanation, "shuffled": shuffled_patches}[method]
        seeds = (int(short_digest([*asked, number]), 16) for number in range(self.request.draws))
        return [draw(subject.fixlip(), seed) for seed in seeds]

    def _fixlip(self, game: Remembered, p: float) -> Explanation:
        """FIxLIP-p; the picture's side is fitted once for all captions (factorisation theorem)."""
        if self.request.budget is not None:
            return self._from_budget(game, p)
        request = self.request
        if p not in self._image_sides:
            design, m = _image_design(request, p)
            self._image_sides[p] = fit_side(game, "image", p, design, m, request.seed)
        return combine(self._image_sides[p], fit_side(game, "text", p, seed=request.seed))

    def _exclip(self, caption: str) -> Explanation:
        """exCLIP; the picture's Jacobian is integrated once for all captions."""
        if self._image_part is None:
            self._image_part = exclip_image_part(self.model, self.picture)
        return exclip(self.model, self.picture, caption, image_part=self._image_part)

    def _from_budget(self, game: Remembered, p: float) -> Explanation:
        """FIxLIP-p from the request's budget, whose split depends on how many tokens the caption has."""
        image, text = _sides_of(self.request, game.n_image, game.n_text)
        seed = self.request.seed
        if (p, image) not in self._image_sides:
            self._image_sides[p, image] = fit_side(game, "image", p, image.name, image.m, seed, image.ridge)
        own = fit_side(game, "text", p, text.name, text.m, seed, text.ridge)
        return combine(self._image_sides[p, image], own)


def _sides_of(request: Request, n_image: int, n_text: int) -> tuple[Asked, Asked]:
    return sides_of(
        request.budget, n_image, n_text, released=request.released, pointing="pgr" in request.metrics
    )


def _passes_of_budget(request: Request, n_image: int, n_text: int) -> tuple[int, int]:
    """Image and text passes of a caption's FIxLIP explanations where a budget is split for each caption by itself."""
    fitted = {0.5} if set(CONTROLS) & set(request.methods) else set()
    named = [name for name in request.methods if name.startswith(("fixlip-0", "banzhaf-0"))]
    fitted |= {float(name.rpartition("-")[2]) for name in named}
    image, text = _sides_of(request, n_image, n_text)
    images = sum(passes_of("image", n_image, p, image) + 386 for p in fitted)
    return images, sum(passes_of("text", n_text, p, text) for p in fitted)


def _image_design(request: Request, p: float) -> tuple[str, int | None]:
    """Design and number of image coalitions at p; None: the design's default."""
    if p == 0.5 or request.image_coalitions is None:
        return "auto", None
    return "exchange", request.image_coalitions


# --- The rows of one unit -------------------------------------------------------------------


def measure(bench: Bench) -> list[dict]:
    """All rows of one input on one model: each caption, method and metric in turn."""
    request, rows = bench.request, []
    of_model = {"model": bench.model.name, "fingerprint": bench.model.fingerprint_or_token}
    for caption in bench.one.captions:
        subject = bench.subject(caption)
        for method in request.methods:
            explanations = bench.explanations(subject, method)
            facts = {**of_model, "input": bench.one.id, "caption": caption, "method": method}
            for metric in request.metrics:
                drawn = [_MEASURES[metric](bench, subject, explanation) for explanation in explanations]
                for several in zip(*drawn, strict=True):
                    row = facts | several[0] | {"value": float(np.mean([one["value"] for one in several]))}
                    rows.append(row | {"words": float(len(several))} if method.endswith(EACH) else row)
    return rows


def _faithfulness_rows(bench: Bench, subject: Subject, explanation: Explanation) -> Iterator[dict]:
    request = bench.request
    for p in request.ps:
        judged = faithfulness(explanation, subject.game, p, request.coalitions, request.seed, bootstrap=0)
        for name in ("r2", "pearson", "spearman"):
            yield _row(f"faithfulness {name}", getattr(judged, name), p=p)


def _block_rows(bench: Bench, subject: Subject, explanation: Explanation) -> Iterator[dict]:
    request = bench.request
    for p in request.ps:
        judged = block_faithfulness(
            explanation, subject.game, p, request.coalitions // 2, seed=request.seed, bootstrap=0
        )
        for block in ("patches", "words", "cross-modal"):
            yield _row(f"blocks {block}", judged[block].spearman, p=p)


def _shapley_rows(bench: Bench, subject: Subject, explanation: Explanation) -> Iterator[dict]:
    judged = shapley_faithfulness(explanation, subject.game, bench.request.coalitions, bench.request.seed)
    for name in ("r2", "pearson", "spearman"):
        yield _row(f"shapley {name}", getattr(judged, name))


def _aid_rows(bench: Bench, subject: Subject, explanation: Explanation) -> Iterator[dict]:
    variant = "released" if bench.request.released else "search"
    curves = insertion_deletion(explanation, subject.game, bench.request.seed, variant=variant)
    yield _row("insertion", curves.insertion_area)
    yield _row("deletion", curves.deletion_area)
    yield _row("aid", curves.aid)


def _pgr_rows(bench: Bench, subject: Subject, explanation: Explanation) -> Iterator[dict]:
    quarters = bench.one.quarters
    if not quarters:
        raise ValueError(
            f"input {bench.one.id!r} is no grid of four classes: pgr needs scenes:grids or class folders"
        )
    pieces = {word: players for word, players in explanation.meta["words"] if word in quarters}
    cells = dict(zip(quarters, quarter_cells(bench.model.grid, bench.model.covered), strict=True))
    score = pointing_game(explanation, cells, pieces, pooled=bench.request.released)
    yield _row("pgr", score, words=len(pieces))


def _row(metric: str, value: float | None, p: float | None = None, words: int | None = None) -> dict:
    """A measured value; NaN where the metric is not defined for the input."""
    nan = float("nan")
    return {
        "metric": metric,
        "p": nan if p is None else float(p),
        "words": nan if words is None else float(words),
        "value": nan if value is None else float(value),
    }


_MEASURED = (
    *("faithfulness r2", "faithfulness pearson", "faithfulness spearman"),
    *("blocks patches", "blocks words", "blocks cross-modal"),
    *("shapley r2", "shapley pearson", "shapley spearman"),
    *("insertion", "deletion", "aid", "pgr"),
)

_MEASURES = {
    "faithfulness": _faithfulness_rows,
    "blocks": _block_rows,
    "shapley": _shapley_rows,
    "aid": _aid_rows,
    "pgr": _pgr_rows,
}


# --- A run ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Outcome:
    """What a run has come to.

    Attributes
    ----------
    rows : pandas.DataFrame
        One row for each model, input, caption, method, metric (with its ``p`` or number of ``words``); models that
        share a name have names by which they differ, and each has its ``fingerprint``.
    failures : list of (model, input, reason)
        Inputs that were skipped.
    reused, measured : int
        Inputs whose rows were there from an earlier run, and inputs that were measured now, over all models.
    """

    rows: pandas.DataFrame
    failures: list[tuple[str, str, str]]
    reused: int = 0
    measured: int = 0


def evaluate(
    request: Request,
    out: str | os.PathLike,
    *,
    device: str | None = None,
    workers: int = 0,
    ray_address: str | None = None,
    gpus: float = 0,
) -> Outcome:
    """Measure what a request asks for, and keep it in a folder.

    Parameters
    ----------
    request : Request
    out : path
        Folder for ``request.json``, ``rows/MODEL/CONTENT.parquet`` (one file for each finished input),
        ``rows.parquet``, ``summary.csv``, ``summary.md`` and a figure for each metric. If it holds results of the
        same request, those are reused whose picture, captions and model are what they were.
    device : str, optional
        As for :func:`~fixlip_helpers.encoders.models.load_model`.
    workers : int
        0: in this process. Otherwise that many Ray actors.
    ray_address, gpus
        See :func:`~fixlip_helpers.experiments.engines.on_ray`.

    Returns
    -------
    Outcome

    Raises
    ------
    ValueError
        If ``out`` holds results of another request, a model cannot be loaded or two are one and the same, the data
        cannot be opened, or Ray is asked for and not there.
    """
    if not (find_spec("pandas") and find_spec("pyarrow")):
        raise ValueError("experiments need pandas and pyarrow: pip install 'fixlip-helpers[experiments]'")
    folder = Path(out)
    models = identify(request.models, device)
    _keep_request(request, folder)
    contents = [_content(one) for one in request.inputs]
    failures, parts, reused, measured = [], [], 0, 0
    for model in models:
        rows_of_model = folder / "rows" / f"{_slug(model.name)}-{model.fingerprint[:8]}"
        units, refused = _units(request, model, rows_of_model, contents, device)
        failures += [(model.name, *each) for each in refused]
        files = {unit: rows_of_model / f"{_key(request, model, contents, unit)}.parquet" for unit in units}
        # two inputs of one content are one unit's work
        missing = list({file: unit for unit, file in files.items() if not file.exists()}.values())
        there = sum(file.exists() for file in files.values())
        bad = {}
        if missing:
            work = _Work(request, model, device)
            if workers:
                found = on_ray(work, missing, workers, ray_address, gpus)
            else:
                found = in_process(work(), missing)
            for unit, result in tqdm(found, model.name, total=len(units), initial=there, unit="input"):
                if isinstance(result, str):
                    bad[files[unit]] = result
                else:
                    _write_parquet(result, files[unit])
        reused, measured = reused + there, measured + len(units) - there
        for unit, file in files.items():
            name = request.inputs[unit.number].id
            if file in bad:
                failures.append((model.name, name, bad[file]))
                measured -= 1
            else:
                parts.append((file, {"model": model.name, "fingerprint": model.fingerprint, "input": name}))
    rows = _gather(parts)
    _write_parquet(rows, folder / "rows.parquet")
    if not len(rows):  # nothing is left of what an earlier run has summarised
        for file in ("summary.csv", "summary.md", *(f"{_slug(name)}.png" for name in _MEASURED)):
            (folder / file).unlink(missing_ok=True)
    else:
        table = summary(rows)
        _write_text(folder / "summary.csv", table.to_csv(index=False))
        _write_text(folder / "summary.md", as_markdown(table))
        try:
            draw_figures(table, folder)
        except OSError:
            raise
        except Exception as error:  # rows and tables are written, and do not fail with it
            warnings.warn(f"a figure could not be drawn ({type(error).__name__}: {error})", stacklevel=2)
    return Outcome(rows, failures, reused, measured)


class Identified(NamedTuple):
    """A model of a request: what was asked for, a name that no other of the request has, and what it is."""

    asked: str
    name: str
    fingerprint: str


def identify(models: Sequence[str], device: str | None = None) -> list[Identified]:
    """Load each model once, to know it by what it is.

    Parameters
    ----------
    models : sequence of str
        As for :func:`~fixlip_helpers.encoders.models.load_model`.

    Returns
    -------
    list of Identified
        Folders of one name are called by as much of their path as tells them apart.

    Raises
    ------
    ValueError
        If one cannot be loaded, or two are one and the same model.
    """
    from fixlip_helpers.encoders.models import load_model

    asked_before: dict[str, str] = {}
    names = []
    for asked in models:
        model = load_model(asked, device)
        fingerprint = model.fingerprint()
        if fingerprint in asked_before:
            raise ValueError(
                f"models {asked_before[fingerprint]!r} and {asked!r} are one and the same: weights and settings have "
                f"the fingerprint {fingerprint}; name it once"
            )
        asked_before[fingerprint] = asked
        names.append(model.name)
    return [
        Identified(asked, name, fingerprint)
        for (fingerprint, asked), name in zip(
            asked_before.items(), _distinct_names(models, names), strict=True
        )
    ]


def _distinct_names(models: Sequence[str], names: Sequence[str]) -> list[str]:
    """The models' names, those of folders that share one replaced by as much of the path as tells them apart."""
    found, paths = list(names), [Path(asked).expanduser().resolve().parts for asked in models]
    for number, (asked, name) in enumerate(zip(models, names, strict=True)):
        if names.count(name) == 1 or asked in EMBEDDED or not Path(asked).expanduser().is_dir():
            continue
        for length in range(2, len(paths[number]) + 1):
            tail = paths[number][-length:]
            found[number] = "/".join(tail)
            if sum(path[-length:] == tail for path in paths) == 1 and found[number] not in names:
                break
    return found


class Unit(NamedTuple):
    """An input, by its number, with those of its captions that are to be measured."""

    number: int
    captions: tuple[str, ...]


class _Work:
    """Makes the function of one unit on one model, which gives its rows or says why there are none."""

    def __init__(self, request: Request, model: Identified, device: str | None) -> None:
        self.request, self.model, self.device = request, model, device

    def __call__(self) -> Callable[[Unit], list[dict] | str]:
        from fixlip_helpers.encoders.models import load_model

        model, inputs = load_model(self.model.asked, self.device), self.request.inputs
        if model.fingerprint() != self.model.fingerprint:  # on another machine, or written to since
            raise ValueError(
                f"model {self.model.asked!r} has the fingerprint {model.fingerprint()} here and "
                f"{self.model.fingerprint} where the run began: its files differ"
            )

        def work(unit: Unit) -> list[dict] | str:
            one = inputs[unit.number]
            try:
                return measure(Bench(model, replace(one, captions=unit.captions), self.request))
            except Exception as error:  # whatever it is, it is this input's; the others are measured
                return one.named(_reason(error), unit.captions[0])

        return work


def _reason(error: Exception) -> str:
    """An error in one line: refusals as they are, other kinds with their name."""
    text = " ".join(str(error).split())
    return text if isinstance(error, ValueError) and text else f"{type(error).__name__}: {text}"


def _keep_request(request: Request, folder: Path) -> None:
    """Write the request into its folder, or compare it with the one that is there."""
    path = folder / "request.json"
    asked = plain(asdict(request))
    if path.exists():
        stored = json.loads(path.read_text(encoding="utf-8"))
        differ = [key for key in asked if asked[key] != stored.get(key)]
        if differ:
            key = differ[0]
            raise ValueError(
                f"{str(folder)!r} holds results of another request ({', '.join(differ)} differ: {key} is "
                f"{stored.get(key)!r} there and {asked[key]!r} here); use another folder"
            )
        return
    folder.mkdir(parents=True, exist_ok=True)
    _write_text(path, json.dumps(asked, indent=1) + "\n")


def _content(one: Input) -> str:
    """What a picture is: a digest of its file, or of its pixels where there is none."""
    try:
        image = one.image()
        if isinstance(image, (str, os.PathLike)):
            return hashlib.sha256(Path(image).read_bytes()).hexdigest()
        return digest(np.asarray(open_image(image)))
    except Exception:  # what is wrong with it is said when it is measured
        return f"unreadable: {one.id}"


def _key(request: Request, model: Identified, contents: Sequence[str], unit: Unit) -> str:
    """Everything that decides the rows of a unit, as 16 digits."""
    one = request.inputs[unit.number]
    settings = asdict(request)
    for name in ("data", "models", "select"):  # they choose units, and do not change any
        del settings[name]
    try:
        version = metadata.version("fixlip-helpers")
    except metadata.PackageNotFoundError:  # run from a checkout that is not installed
        version = ""
    return short_digest(
        [version, model.fingerprint, contents[unit.number], unit.captions, one.quarters, settings]
    )


def _units(
    request: Request, model: Identified, folder: Path, contents: Sequence[str], device: str | None
) -> tuple[list[Unit], list[tuple[str, str]]]:
    """What is to be measured, and the inputs and captions that cannot be, each with its reason.

    All inputs, or the paper's selection for this model, whose scores are kept in the folder by content.
    """
    usable, refused = usable_captions(model.asked, request.inputs, device)
    units = [Unit(number, captions) for number, captions in enumerate(usable) if captions]
    if request.select is None:
        return units, refused
    path = folder / "selection.json"
    known = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    keys = {unit: short_digest([contents[unit.number], unit.captions]) for unit in units}
    if lacking := [unit for unit in units if keys[unit] not in known]:
        for unit, found in best_captions(model.asked, request.inputs, lacking, device):
            if isinstance(found, str):
                refused.append((request.inputs[unit.number].id, found))
            else:
                known[keys[unit]] = found
        path.parent.mkdir(parents=True, exist_ok=True)
        _write_text(path, json.dumps(known, ensure_ascii=False, indent=1) + "\n")
    scored = [(unit.number, *known[key]) for unit, key in keys.items() if key in known]
    ranked = sorted(scored, key=lambda entry: (-entry[1], entry[0]))[: request.select]
    return [Unit(number, (caption,)) for number, _, caption in ranked], refused


def usable_captions(
    model: str, inputs: Sequence[Input], device: str | None = None
) -> tuple[list[tuple[str, ...]], list[tuple[str, str]]]:
    """The captions of each input that a model can read, and what cannot be used: ``(input's id, reason)``."""
    from fixlip_helpers.encoders.models import load_model

    encoder, usable, refused = load_model(model, device), [], []
    for one in inputs:
        captions = []
        if one.fault:
            refused.append((one.id, one.named(one.fault)))
        for caption in dict.fromkeys(one.captions):
            try:
                encoder.tokenize(caption)
                captions.append(caption)
            except Exception as error:  # a word that the model does not know, too many of them, ...
                refused.append((one.id, one.named(_reason(error), caption)))
        usable.append(tuple(captions))
    return usable, refused


def best_captions(
    model: str, inputs: Sequence[Input], units: Sequence[Unit], device: str | None = None
) -> Iterator[tuple[Unit, tuple[float, str] | str]]:
    """Each unit's caption with the highest score, as ``(score, caption)``, or why there is none."""
    from fixlip_helpers.encoders.models import load_model

    encoder = load_model(model, device)
    for unit in tqdm(units, "selection", delay=2, leave=False):
        one = inputs[unit.number]
        try:
            picture = encoder.prepare_image(one.image())
            scores = []
            for caption in unit.captions:
                game = VisionLanguageGame(encoder, picture, caption, progress=False)
                scores.append((float(game(np.ones((1, game.n_players), dtype=bool))[0]), caption))
            yield unit, max(scores)
        except Exception as error:  # a picture that cannot be read, ...
            yield unit, one.named(_reason(error), unit.captions[0])


def _slug(name: str) -> str:
    return re.sub(r"[^\w.-]+", "-", name)


def _gather(parts: Sequence[tuple[Path, dict]]) -> pandas.DataFrame:
    """The rows of finished units, with what they are called now, whatever it was when they were measured."""
    import pandas

    found = [pandas.read_parquet(path).assign(**names) for path, names in parts]
    return pandas.concat(found, ignore_index=True) if found else pandas.DataFrame()


def _write_parquet(rows: list[dict] | pandas.DataFrame, path: Path) -> None:
    import pandas

    path.parent.mkdir(parents=True, exist_ok=True)
    with written_whole(path) as beside:
        pandas.DataFrame(rows).to_parquet(beside, index=False)


def _write_text(path: Path, text: str) -> None:
    with written_whole(path) as beside:
        beside.write_text(text, encoding="utf-8")


# --- Tables with intervals ------------------------------------------------------------------


def summary(
    rows: pandas.DataFrame, level: float = 0.95, draws: int = 2000, seed: int = 0
) -> pandas.DataFrame:
    """Means over inputs, with bootstrap intervals.

    Parameters
    ----------
    rows : pandas.DataFrame
        As in :class:`Outcome`; also those of several runs together: models of one name and several fingerprints are
        told apart by them.
    level : float
        Of the intervals.
    draws : int
        Bootstrap samples of inputs; the captions of one input come and go together.
    seed : int

    Returns
    -------
    pandas.DataFrame
        One row for each model, metric, p, words and method: ``inputs``, ``left_out`` (where the metric is
        not defined), ``mean``, ``low``, ``high`` and ``median``.
    """
    import pandas

    rows, found = _named_apart(rows), []
    for key, group in rows.groupby([*_SETTING, "method"], dropna=False, sort=False):
        by_input = group.groupby("input", sort=True)["value"].mean()
        found.append(
            dict(zip([*_SETTING, "method"], key, strict=True)) | _middle(by_input, level, draws, seed)
        )
    return pandas.DataFrame(found)


_SETTING = ["model", "metric", "p", "words"]
"""What a number is the mean of besides its method."""


def _middle(by_input: pandas.Series, level: float, draws: int, seed: int) -> dict:
    """Mean over inputs with its interval, and median; inputs without a value are counted and left out."""
    values = by_input.dropna().to_numpy()
    nothing = float("nan"), float("nan"), float("nan")
    mean, low, high = bootstrap_interval(values, level, draws, seed) if len(values) else nothing
    median = float(np.median(values)) if len(values) else float("nan")
    counts = {"inputs": len(values), "left_out": len(by_input) - len(values)}
    return counts | {"mean": mean, "low": low, "high": high, "median": median}


def differences(
    rows: pandas.DataFrame, to: str | Sequence[str], level: float = 0.95, draws: int = 2000, seed: int = 0
) -> pandas.DataFrame:
    """How far each method is above another, input by input: means of paired differences, with bootstrap intervals.

    Intervals of two means overlap where inputs differ much among themselves, even if one method is ahead on each of
    them. The difference on the same input is free of what makes the input easy or hard.

    Parameters
    ----------
    rows : pandas.DataFrame
        As in :class:`Outcome`.
    to : str or sequence of str
        The method to compare with. Of several, such as :data:`CONTROLS`, the one with the best mean on the metric: the
        largest, and of ``deletion`` the smallest.
    level, draws, seed
        As of :func:`summary`.

    Returns
    -------
    pandas.DataFrame
        One row for each model, metric, p, words and other method: ``to``, ``inputs`` (that have both values),
        ``left_out``, ``mean``, ``low``, ``high`` and ``median`` of the differences; none where no method of ``to`` has
        a value.

    Raises
    ------
    ValueError
        If the rows have none of the methods ``to``.
    """
    import pandas

    rows, asked, found = _named_apart(rows), [to] if isinstance(to, str) else list(to), []
    there = set(rows["method"])
    if not there & set(asked):
        raise ValueError(f"to = {to!r}; the rows have the methods {', '.join(sorted(there))}")
    for key, group in rows.groupby(_SETTING, dropna=False, sort=False):
        table = group.pivot_table("value", "input", "method", dropna=False)
        sign = -1 if key[1] == "deletion" else 1
        means = (sign * table[[name for name in asked if name in table]].mean()).dropna()
        if means.empty:  # a block of which the methods to compare with say nothing
            continue
        best = means.idxmax()
        for method in dict.fromkeys(group["method"]):
            if method != best and method in table:
                facts = dict(zip(_SETTING, key, strict=True)) | {"method": method, "to": best}
                found.append(facts | _middle(table[method] - table[best], level, draws, seed))
    return pandas.DataFrame(found)


def _named_apart(rows: pandas.DataFrame) -> pandas.DataFrame:
    """Rows in which no two models share a name; rows from before there were fingerprints go by name."""
    if "fingerprint" not in rows:
        return rows
    prints = rows["fingerprint"].fillna("")
    shared = prints.groupby(rows["model"]).transform("nunique") > 1
    names = rows["model"].where(~(shared & (prints != "")), rows["model"] + " (" + prints + ")")
    return rows.assign(model=names)


def tables(table: pandas.DataFrame) -> Iterator[tuple[str, list]]:
    """A title and rows, best first, for each model, metric, p and number of words of a summary."""
    for (model, metric, p, words), group in table.groupby(
        ["model", "metric", "p", "words"], dropna=False, sort=False
    ):
        settings = [f"p = {p:g}"] * (p == p) + [f"{words:g} words"] * (words == words)
        ranked = group.sort_values("mean", ascending=metric == "deletion")
        yield f"{model}: {', '.join([metric, *settings])}", list(ranked.itertuples())


def as_markdown(table: pandas.DataFrame) -> str:
    """A summary as Markdown."""
    parts = []
    for title, rows in tables(table):
        parts.append(f"## {title}\n")
        parts.append(
            "| method | mean | 95 % interval | median | inputs | left out |\n|---|---|---|---|---|---|"
        )
        for row in rows:
            interval = f"{row.low:.3f} to {row.high:.3f}"
            parts.append(
                f"| {row.method} | {row.mean:.3f} | {interval} | {row.median:.3f} | {row.inputs} | {row.left_out} |"
            )
        parts.append("")
    return "\n".join(parts)


# --- What a request takes -------------------------------------------------------------------


class Plan(NamedTuple):
    """What one model's part of a request is expected to take, in one process."""

    model: str
    inputs: int
    image_passes: int
    text_passes: int
    seconds: float


def plan(request: Request, device: str | None = None) -> Iterator[Plan]:
    """For each model: how many passes and seconds, from the sizes of the designs and a short probe of the first input
    that can be used; nothing where none can.

    Raises
    ------
    ValueError
        If a model cannot be loaded.
    """
    from fixlip_helpers.encoders.models import load_model

    for name in request.models:
        model = load_model(name, device)
        one, game = _first_usable(model, request)
        if game is None:
            yield Plan(name, 0, 0, 0, 0.0)
            continue
        probe = np.random.default_rng(0).random((32, game.n_image)) < 0.5
        game.encode_images(probe[:2])
        start = perf_counter()
        game.encode_images(probe)
        each = (perf_counter() - start) / len(probe)
        images, texts = _passes(request, game.n_image, game.n_text)
        if request.budget is not None:
            fits, texts = _passes_of_budget(request, game.n_image, game.n_text)
            images = 0, fits + images[1]
        captions = 1 if request.select else len(one.captions)
        there = sum(not each.fault for each in request.inputs)
        inputs = min(there, request.select or there)
        image_passes = inputs * (images[0] + captions * images[1])
        text_passes = inputs * captions * texts
        seconds = each * (image_passes + text_passes / 4)
        yield Plan(name, inputs, image_passes, text_passes, seconds)


def _p_of(method: str) -> float | None:
    """The p in the name of a method, if it has one."""
    name = method.removesuffix(EACH)
    family, _, number = name.rpartition("-")
    return float(number) if name not in METHODS and f"{family}-P" in METHODS else None


def _picture_design(request: Request, n_image: int, p: float) -> Design:
    name, m = _image_design(request, p)
    return choose_design("image", n_image, p, name, m, request.seed)


def fit_passes(request: Request, model: str) -> dict[str, int]:
    """From how many pictures each method that asks the model is fitted; without those that choose its penalty.

    Where cross-modal sampling cannot be used (FIxLIP-SI, Shapley values) they are so many for each caption.
    """
    from fixlip_helpers.encoders.models import load_model

    n_image, found = load_model(model).n_patches, {}
    for name in request.methods:
        if name in ("fixlip-si", "shapley"):
            found[name] = request.si_budget
        elif (p := _p_of(name)) is not None:
            found[name] = len(_picture_design(request, n_image, p))
    return found


def _first_usable(
    model: VisionLanguageModel, request: Request
) -> tuple[Input | None, VisionLanguageGame | None]:
    """The first input that can be used, with its game."""
    for one in request.inputs:
        for caption in one.captions:
            try:
                picture = Bench(model, one, request).picture
                return one, VisionLanguageGame(model, picture, caption, progress=False)
            except Exception:  # it is named when its turn comes
                continue
    return None, None


def _passes(request: Request, n_image: int, n_text: int) -> tuple[tuple[int, int], int]:
    """Image passes of a picture and of each of its captions, and text passes of a caption; gradients left out."""
    fitted = {0.5} if set(CONTROLS) & set(request.methods) else set()
    fitted |= {p for name in request.methods if (p := _p_of(name)) is not None}
    picture = sum(len(_picture_design(request, n_image, p)) + 386 for p in sorted(fitted))
    caption, texts = 0, len(fitted) * (2**n_text if n_text <= 10 else 4 * n_monomials(n_text))
    if {"fixlip-si", "shapley"} & set(request.methods):
        caption, texts = caption + request.si_budget, texts + 2**n_text
    if "faithfulness" in request.metrics:
        caption += len(request.ps) * request.coalitions
    if "blocks" in request.metrics:
        picture += len(request.ps) * (request.coalitions // 2)
    if "shapley" in request.metrics:
        caption += request.coalitions
    if "aid" in request.metrics:
        judged = len(request.methods) + (request.draws - 1) * len(set(DRAWN) & set(request.methods))
        caption += 2 * (n_image + n_text) * judged + JUDGING_DRAWS
    return (picture, caption), texts


# --- The paper's experiments ----------------------------------------------------------------

PAPER_MODELS = (
    "openai/clip-vit-base-patch32",
    "openai/clip-vit-base-patch16",
    "google/siglip2-base-patch32-256",
)
TABLE_1_MODELS = (
    *PAPER_MODELS,
    *("google/siglip2-base-patch16-224", "google/siglip2-large-patch16-256"),
    *("google/siglip-base-patch16-224", "google/siglip-large-patch16-256"),
)
_ALL = ("fixlip-0.3", "fixlip-0.5", "fixlip-0.7", "banzhaf-0.5", *DEFAULT_METHODS[2:])
_SMALL = {
    "coalitions": 512,
    "image_coalitions": 4096,
    "si_budget": 2**13,
}

EXPERIMENTS: dict[str, dict] = {
    "figure3": {"metrics": ("aid",), "methods": (*_ALL, "fixlip-si", "shapley"), "kind": "pairs", "count": 50},
    "figure4": {"metrics": ("faithfulness",), "methods": (*_ALL, "fixlip-si", "shapley"), "kind": "pairs", "count": 50},
    "table1": {"metrics": ("pgr",), "methods": DEFAULT_METHODS, "kind": "grids", "count": 50},
}  # fmt: skip
"""The paper's experiments by name: Figure 3 (AID), Figure 4 (p-faithfulness), Table 1 (pointing game)."""

_FITS = tuple(f"{kind}-{p}" for p in (0.3, 0.5, 0.7) for kind in ("fixlip", "banzhaf"))
_SWEEP = tuple(f"{kind}-{p}" for p in (0.3, 0.4, 0.5, 0.6, 0.7) for kind in ("fixlip", "banzhaf"))
_GRADIENTS = ("exclip-released", "grad-eclip-released", "game")

RELEASED: dict[str, dict] = {
    "figure3": {
        "metrics": ("aid",), "methods": (*_FITS, "fixlip-si", "shapley"), "coalitions": 1000,
        "budget": 2**21, "si_budget": 2**17,
    },
    "figure4": {
        "metrics": ("faithfulness", "shapley"), "methods": (*_FITS, "fixlip-si", "shapley"), "coalitions": 1000,
        "budget": 2**21, "si_budget": 2**17,
    },
    "table1": {"metrics": ("pgr",), "methods": _FITS, "budget": 2**20, "si_budget": 2**19},
}  # fmt: skip
"""The same as the release's scripts have them (``experiments/run_*.py`` in github.com/hbaniecki/fixlip, e89d704)."""


def paper_request(
    what: str,
    models: Sequence[str] = (),
    data: str | None = None,
    *,
    released: bool = False,
    budget: int | None = None,
) -> tuple[Request, str]:
    """The request of one of the paper's experiments, and a sentence that names its scale.

    Parameters
    ----------
    what : str
        A key of :data:`EXPERIMENTS`.
    models : sequence of str
        Default: the paper's three with data (as released: its two CLIPs for Figure 3, ViT-B/32 and B/16, and Figure 4,
        seven models for Table 1), the two embedded ones without.
    data : str, optional
        COCO or class folders, as for :func:`~fixlip_helpers.experiments.datasets.open_inputs`. None: the picture world.
    released : bool
        As the release's scripts measure (:class:`Request`), in place of as this book does. exCLIP and Grad-ECLIP as
        released, and GAME, are among the methods where all models are CLIPs; Figure 3 of a SigLIP sweeps p.
    budget : int, optional
        Values of the game for each explanation, in place of the experiment's own.

    Raises
    ------
    ValueError
        If there is no such experiment.
    """
    if what not in EXPERIMENTS:
        raise ValueError(f"experiment {what!r}; expected one of {', '.join(EXPERIMENTS)}")
    chosen, models = EXPERIMENTS[what], tuple(models)
    kind, count = chosen["kind"], chosen["count"]
    select = 1000 if kind == "pairs" and data else None
    if data is None:
        models, where = models or ("mini-clip", "mini-siglip"), f"scenes:{kind}:0:{count}"
        scale = f"at small scale: {count} {kind} of the picture world"
    else:
        models = models or (
            (TABLE_1_MODELS if kind == "grids" else PAPER_MODELS[:2]) if released else PAPER_MODELS
        )
        where, chosen_inputs = data, "the 1 000 pairs of the highest score" if select else "all grids"
        scale = f"with the paper's parameters: {chosen_inputs} of {data}"
    if not released:
        asked = {"metrics": chosen["metrics"], "methods": chosen["methods"], "budget": budget}
        asked |= _SMALL if data is None else {"si_budget": 2**17}
        if budget is not None:
            asked["image_coalitions"] = None
        return Request(where, models, select=select, **asked), scale
    asked = dict(RELEASED[what])
    if any("siglip" in name for name in models):
        asked["methods"] = tuple(dict.fromkeys([*(_SWEEP if what == "figure3" else ()), *asked["methods"]]))
    else:
        asked["methods"] += _GRADIENTS
    if data is None:
        asked |= {"budget": 2**18, "si_budget": _SMALL["si_budget"]}
    if budget is not None:
        asked |= {"budget": budget, "si_budget": budget}
    return Request(where, models, select=select, released=True, **asked), f"as released, {scale}"


# --- Figures --------------------------------------------------------------------------------


def draw_figures(table: pandas.DataFrame, folder: Path) -> list[Path]:
    """A figure for each metric of a summary: every method's mean with its interval; models side by side."""
    import matplotlib.pyplot as plt

    from fixlip_helpers.showing.plots import INK, own_style

    paths = []
    for metric, rows in table.groupby("metric", sort=False):
        panels = list(rows.groupby(["model", "p", "words"], dropna=False, sort=False))
        methods = list(dict.fromkeys(rows["method"]))
        with own_style(list(rows["model"]), methods):
            shape = {"figsize": (3.1 * len(panels) + 1.2, 0.34 * len(methods) + 1.3), "layout": "constrained"}
            fig, axes = plt.subplots(1, len(panels), sharex=True, sharey=True, squeeze=False, **shape)
            for ax, ((model, p, words), panel) in zip(axes[0], panels, strict=True):
                at = [methods.index(method) for method in panel["method"]]
                ends = np.abs(panel[["low", "high"]].to_numpy().T - panel["mean"].to_numpy())
                ax.errorbar(panel["mean"], at, xerr=np.nan_to_num(ends), fmt="o", color=INK, capsize=3)
                ax.set_title(
                    " · ".join([model] + [f"p = {p:g}"] * (p == p) + [f"{words:g} words"] * (words == words))
                )
                ax.axvline(0.5 if metric == "pgr" else 0, color="#888888", linewidth=0.8)
                ax.set_yticks(range(len(methods)), methods)
            axes[0, 0].invert_yaxis()
            fig.supxlabel(metric)
            path = folder / f"{_slug(metric)}.png"
            with written_whole(path) as beside:
                fig.savefig(beside, format="png", dpi=120)
            plt.close(fig)
        paths.append(path)
    return paths
