"""Compare the designs at equal image passes, and store results/designs.json.

    python scripts/compare_designs.py                       what is missing, about 35 minutes of one thread
    python scripts/compare_designs.py --game mini-clip      one game only
    python scripts/compare_designs.py --fresh               all of it once more

shapiq's newest proxies need packages that the book's environment lacks. In an environment that has them,

    pip install "shapiq>=1.8" lightgbm xgboost-cpu safetensors tqdm        (Python 3.12 or newer; no torch)
    PYTHONPATH=. python scripts/compare_designs.py --game published

adds their cells to the file. What the file holds is kept, and each block (a game at one p) is stored as soon as it is
there: an interrupted run is started again. Everything is seeded.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from scipy.stats import qmc
from scipy.stats import t as student

from fixlip_helpers import VisionLanguageGame, load_model
from fixlip_helpers.checkpoints import Remembered
from fixlip_helpers.coalitions import DESIGNS, STREAMS, Design, draw, orthogonal_array
from fixlip_helpers.datasets import published_clip
from fixlip_helpers.explanation import Explanation, to_fourier_basis
from fixlip_helpers.games import ExplanationGame, TwoSidedGame
from fixlip_helpers.scenes import examples
from fixlip_helpers.sides import Side, combine, fit_side, r_squared

OUT = Path(__file__).resolve().parent.parent / "results" / "designs.json"
NOISE = {3: 0.03, 4: 0.02}
PS = (0.3, 0.5, 0.7)
GOALS = {1024: 0.03, 4096: 0.005}
SEEDS = {"published 49+8": 50, "synthetic 64+8": 12, "mini-clip 64+8": 5}
CEILING_DRAWS = 16  # times 4096 independent draws
HELD_OUT = 2048
ABOUT = {
    "loss": "R² under P_p of the best second-order game, minus that of the fit",
    "passes": "image coalitions that are fitted; the text is enumerated, and 128 more image coalitions choose the "
    "penalty",
    "published 49+8": "the published CLIP explanation, taken at each p as the best second-order game, plus random "
    "terms of order 3 and 4 that add 3 % and 2 % of its variance; losses are exact, from Fourier coefficients",
    "synthetic 64+8": "the same with 64 patches: the 49 and 15 of them once more, in random order",
    "mini-clip 64+8": "the hero example; the best game is the least-squares fit to 65 536 independent image draws, R² "
    f"is that on {HELD_OUT} further draws and all texts. No draws of border and stratified, for their passes would "
    "double the run: at these sizes border lists nothing and draws independently, so that independent stands for it",
    "difference": "mean over seeds of the loss minus that of the same seed's border draws (mini-clip: independent "
    "ones), with its 95 % Student interval",
    "sobol, weighted_array": "tried and not kept: thresholded scrambled Sobol points; the array of p = 0.5 with "
    "importance weights",
    "RegressionFBII, ProxySPEX, ProxySHAP": "shapiq's approximators of faithful Banzhaf interactions, with their own "
    "settings, on all players of the game at p = 0.5: one image and one text pass for each value; their constant is "
    "taken from the truth. The proxies, gradient-boosted trees, were run with shapiq 1.8.0, lightgbm 4.7.0 and xgboost "
    "3.4.1 on Python 3.12",
}


# --- Games --------------------------------------------------------------------------------


def explanation_game(n: int, p: float) -> ExplanationGame:
    """The published explanation with ``n`` patches as the best second-order game at ``p``, and random terms."""
    truth = published_clip()[1]["FIxLIP"]
    rng = np.random.default_rng(1)
    patches = np.arange(truth.n_image)
    if n > len(patches):
        more = rng.choice(patches, n - len(patches), replace=False)
        patches = rng.permutation(np.concatenate([patches, more]))
    kept = np.concatenate([patches, truth.n_image + np.arange(truth.n_text)])
    pairs = truth.pairs[np.ix_(kept, kept)].copy()
    names = [f"patch {i}" for i in range(n)] + truth.players[truth.n_image :]
    truth = replace(truth, main=truth.main[kept], pairs=pairs, p=p, n_image=n, players=names, meta={})
    return ExplanationGame(truth, NOISE[3], NOISE[4])


def explanation_loss(game: ExplanationGame, found: Explanation) -> float:
    """The loss of R² under ``P_p``, exactly: squared differences of Fourier coefficients by the game's variance."""
    constant, linear, pairs = (
        a - b
        for a, b in zip(
            to_fourier_basis(found.baseline, found.main, found.pairs, game.p),
            to_fourier_basis(
                game.explanation.baseline, game.explanation.main, game.explanation.pairs, game.p
            ),
            strict=True,
        )
    )
    missed = constant**2 + (linear**2).sum() + (pairs**2).sum() / 2
    return float(missed / (game.explanation.variance(game.p) * (1 + sum(NOISE.values()))))


@cache
def mini_clip() -> Remembered:
    """The hero example as a game that encodes no coalition twice."""
    hero = examples()["hero"]
    return Remembered(VisionLanguageGame(load_model("mini-clip"), hero.image, hero.caption, progress=False))


# --- Designs that the package does without ------------------------------------------------


def sobol(n: int, p: float, m: int, seed: int, stream: int) -> Design:
    """Scrambled Sobol points, a player visible where its coordinate is below ``p``."""
    points = qmc.Sobol(n, seed=1000 * stream + seed).random(m)
    return Design(points < p, np.full(m, 1 / m), p, "sobol", seed)


def weighted_array(n: int, p: float, m: int, seed: int, stream: int) -> Design:
    """The orthogonal array of ``p = 0.5``, each run weighted by what ``P_p`` gives it over what ``P_0.5`` does."""
    runs = orthogonal_array(n, 0.5, m, seed, stream).coalitions
    sizes = runs.sum(axis=1)
    logs = sizes * np.log(2 * p) + (n - sizes) * np.log(2 * (1 - p))
    weights = np.exp(logs - logs.max())
    return Design(runs, weights / weights.sum(), p, "weighted_array", seed)


# shapiq's approximators, with the package that each needs besides and the seeds that are run.
SHAPIQ = {"RegressionFBII": (None, 10), "ProxySPEX": ("lightgbm", 2), "ProxySHAP": ("xgboost", 5)}

RIVALS = {"sobol": sobol, "weighted_array": weighted_array}

# --- Losses -------------------------------------------------------------------------------


def designs_for(game: str, p: float, passes: int) -> list[str]:
    """The designs that exist for these, in the registry's order."""
    names = ["independent", "stratified", "border", "exchange"]
    names += ["paired"] if p == 0.5 else []
    if game.startswith("mini-clip"):
        names = ["independent", "exchange"]
    if game.startswith("published") and passes == 4096:
        names += ["sobol"] + (["weighted_array"] if p != 0.5 else [])
    return names + (["orthogonal_array"] if p == 0.5 and passes == 4096 else [])


def fit(game: TwoSidedGame, text: Side, p: float, design: str, passes: int, seed: int) -> Explanation:
    """The cross-modal explanation from one design, as :func:`fixlip_helpers.fixlip` fits it."""
    drawn = (DESIGNS | RIVALS)[design](game.n_image, p, passes, seed, STREAMS["image"])
    return combine(fit_side(game, "image", p, drawn, seed=seed), text)


def explanation_losses(name: str, p: float, passes: int, design: str, seeds: range) -> list[float]:
    """Losses of one cell on a game of known truth."""
    game = explanation_game(int(name.split()[1].split("+")[0]), p)
    if design in SHAPIQ:
        return [shapiq_loss(design, game, passes, seed) for seed in seeds]
    text = fit_side(game, "text", p, "enumeration")
    return [explanation_loss(game, fit(game, text, p, design, passes, seed)) for seed in seeds]


def available() -> list[str]:
    """The approximators of shapiq that this environment can run."""
    import shapiq.approximator

    return [
        name
        for name, (needed, _) in SHAPIQ.items()
        if hasattr(shapiq.approximator, name) and (needed is None or find_spec(needed))
    ]


def shapiq_loss(name: str, game: ExplanationGame, passes: int, seed: int) -> float:
    """The loss of one of shapiq's approximators on whole coalitions, its constant set right."""
    import shapiq.approximator

    n = game.n_players
    settings = {} if name == "RegressionFBII" else {"index": "FBII"}
    approximator = getattr(shapiq.approximator, name)(n=n, max_order=2, random_state=seed, **settings)
    found = approximator.approximate(passes, lambda rows: game(np.asarray(rows, bool)))
    main = np.array([found[(i,)] for i in range(n)])
    pairs = np.zeros((n, n))
    for members, at in found.interaction_lookup.items():
        if len(members) == 2:
            pairs[members] = pairs[members[::-1]] = found.values[at]
    constant, _, _ = to_fourier_basis(0.0, main, pairs, game.p)
    right, _, _ = to_fourier_basis(
        game.explanation.baseline, game.explanation.main, game.explanation.pairs, game.p
    )
    return explanation_loss(
        game, replace(game.explanation, baseline=right - constant, main=main, pairs=pairs)
    )


def mini_clip_block(p: float, seeds: range) -> tuple[dict[tuple[int, str], list[float]], float]:
    """Losses of all cells of mini-clip at one p, by passes and design, and R² of the best second-order game."""
    game = mini_clip()
    text = fit_side(game, "text", p, "enumeration")
    stream = STREAMS["image"]
    rows = np.concatenate([draw(game.n_image, p, 4096, seed, stream) for seed in range(CEILING_DRAWS)])
    every = Design(rows, np.full(len(rows), 1 / len(rows)), p, "independent", 0)
    best = combine(fit_side(game, "image", p, every, ridge=0.0), text)
    judged = draw(game.n_image, p, HELD_OUT, 0, stream + STREAMS["evaluation"])
    texts = text.held_out
    values = (
        game.scale * game.encode_images(judged).astype(float) @ game.encode_texts(texts.coalitions).T
        + game.bias
    )
    weights = np.outer(np.full(HELD_OUT, 1 / HELD_OUT), texts.weights).ravel()

    def r2(explanation: Explanation) -> float:
        return r_squared(values.ravel(), explanation.predict_pairs(judged, texts.coalitions).ravel(), weights)

    ceiling, losses = r2(best), {}
    for passes in GOALS:
        for design in designs_for("mini-clip", p, passes):
            losses[passes, design] = [
                ceiling - r2(fit(game, text, p, design, passes, seed)) for seed in seeds
            ]
            print("mini-clip", p, passes, design, np.mean(losses[passes, design]), flush=True)
    return losses, ceiling


# --- The table ----------------------------------------------------------------------------


def run_block(name: str, p: float, known: list[dict]) -> list[dict]:
    """The cells of one game at one p that are not known yet, with the loss of each seed."""
    held = {(cell["passes"], cell["design"]) for cell in known}
    seeds = range(SEEDS[name])
    if name.startswith("mini-clip"):
        if held:
            return []
        losses, ceiling = mini_clip_block(p, seeds)
    else:
        ceiling = 1 / (1 + sum(NOISE.values()))
        losses = {}
        for passes in GOALS:
            wanted = designs_for(name, p, passes) + (available() if p == 0.5 else [])
            for design in (design for design in wanted if (passes, design) not in held):
                few = range(SHAPIQ[design][1]) if design in SHAPIQ else seeds
                losses[passes, design] = explanation_losses(name, p, passes, design, few)
                print(name, p, passes, design, np.mean(losses[passes, design]), flush=True)
    return [
        {
            "game": name,
            "p": p,
            "passes": passes,
            "design": design,
            "ceiling": round(ceiling, 4),
            "losses": [round(loss, 6) for loss in of_seeds],
        }
        for (passes, design), of_seeds in losses.items()
    ]


def summarise(cells: list[dict]) -> list[str]:
    """Add mean, difference and goal to each cell, and list what is lost."""
    lost = []
    for cell in cells:
        block = {c["design"]: c for c in cells if all(c[k] == cell[k] for k in ("game", "p", "passes"))}
        losses = np.array(cell["losses"])
        cell["seeds"], cell["mean"] = len(losses), round(float(losses.mean()), 5)
        cell["goal"] = GOALS[cell["passes"]]
        cell["met"] = bool(cell["mean"] <= cell["goal"])
        base = block.get("border", block["independent"])
        other = np.array(base["losses"][: len(losses)])
        if base is not cell:
            change = losses - other
            half = student.ppf(0.975, len(change) - 1) * change.std(ddof=1) / np.sqrt(len(change))
            cell["difference"] = round(float(change.mean()), 5)
            cell["interval"] = [round(float(change.mean() + sign * half), 5) for sign in (-1, 1)]
        ours = "orthogonal_array" if "orthogonal_array" in block else "exchange"
        if cell["design"] == ours:
            where = f"{cell['game']}, p = {cell['p']}, {cell['passes']} passes: {ours}"
            if not cell["met"]:
                lost.append(f"{where} loses {cell['mean']:.4f}; the goal is {cell['goal']}")
            for name, rival in block.items():
                if np.mean(rival["losses"]) < losses.mean():
                    lost.append(
                        f"{where} loses {cell['mean']:.5f}; {name} loses {np.mean(rival['losses']):.5f}"
                    )
    return lost


def read(path: Path) -> list[dict]:
    """The cells that a file holds."""
    return json.loads(path.read_text(encoding="utf-8"))["cells"] if path.is_file() else []


def store(path: Path, cells: list[dict]) -> None:
    """Write the table, in the order of games, p, passes and designs."""
    order = [*DESIGNS, *RIVALS, *SHAPIQ]
    cells.sort(key=lambda c: ([*SEEDS].index(c["game"]), c["p"], c["passes"], order.index(c["design"])))
    lost = summarise(cells)
    table = {"command": "python scripts/compare_designs.py", "about": ABOUT, "lost": lost, "cells": cells}
    path.write_text(json.dumps(table, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--game", choices=[name.split()[0] for name in SEEDS], help="this one only")
    parser.add_argument("--fresh", action="store_true", help="compute blocks that the file holds once more")
    parser.add_argument("--out", type=Path, default=OUT, help="the file; default results/designs.json")
    arguments = parser.parse_args()
    for name in SEEDS:
        for p in PS:
            wanted = arguments.game in (None, name.split()[0])
            cells = read(arguments.out)
            block = [c for c in cells if (c["game"], c["p"]) == (name, p) and not arguments.fresh]
            if wanted and (new := run_block(name, p, block)):
                rest = [c for c in cells if (c["game"], c["p"]) != (name, p)]
                store(arguments.out, rest + block + new)
    store(arguments.out, read(arguments.out))
    print(arguments.out)


if __name__ == "__main__":
    main()
