"""Penalties on a side's pairs at equal passes: none, a ridge by held-out rows, shrinkage by length, no pairs at all.

The game is the published explanation of the real CLIP (49 patches, 8 tokens) with noise of third and fourth order: its
best second-order surrogate is known, and so is that one's R². Every way fits the same independent draws, and is
judged on the same 2 048 × 256 pairs of coalitions that none of them saw. The text is enumerated.
"""

from __future__ import annotations

import numpy as np

from fixlip_helpers.coalitions import UnderdeterminedError, draw
from fixlip_helpers.datasets import published_clip
from fixlip_helpers.games import ExplanationGame
from fixlip_helpers.sides import combine, fit_side, r_squared

PASSES = (512, 1024, 1536, 2048, 4096)
NOISE = 0.05  # of third and of fourth order each, as a share of the variance of the second-order part
WAYS = {
    "none": {"ridge": 0.0},
    "ridge": {"order": 2},
    "shrinkage": {"penalty": "shrinkage"},
    "order 1": {"order": 1},
    "default": {},
}
SLACK = 0.005  # by how much, in R², the default may fall behind the best of the ways


def run(seeds: int = 10, passes: tuple = PASSES, p: float = 0.5) -> bool:
    """Print the mean R² of every way and number of passes; whether the default is nowhere far behind the best."""
    published = published_clip()[1]["FIxLIP"]
    print(
        f"Penalties on the pairs of patches, published explanation with noise, p = {p}, mean R² of {seeds} seeds"
    )
    table = {way: [] for way in WAYS}
    for m in passes:
        found = {way: [] for way in WAYS}
        for seed in range(seeds):
            game = ExplanationGame(published, NOISE, NOISE, seed=seed)
            images, texts = draw(game.n_image, p, 2048, seed, 99), draw(game.n_text, p, 256, seed, 98)
            values = game.scale * game.encode_images(images) @ game.encode_texts(texts).T + game.bias
            text = fit_side(game, "text", p)
            for way, arguments in WAYS.items():
                try:
                    image = fit_side(game, "image", p, "independent", m, seed, **arguments)
                except UnderdeterminedError:
                    found[way].append(np.nan)
                    continue
                predicted = combine(image, text).predict_pairs(images, texts)
                found[way].append(r_squared(values.ravel(), predicted.ravel(), np.ones(values.size)))
        for way in WAYS:
            table[way].append(float(np.mean(found[way])))
    print("    passes    " + "".join(f"{m:>10}" for m in passes))
    for way, means in table.items():
        print(f"    {way:10}" + "".join(f"{'–' if np.isnan(r) else f'{r:.3f}':>10}" for r in means))
    best = np.nanmax([table[way] for way in WAYS if way != "default"], axis=0)
    behind = float(np.max(best - table["default"]))
    limit = 1 / (1 + 2 * NOISE)
    print(
        f"    best second-order surrogate: {limit:.3f}\n"
        f"  the default is behind the best way by {behind:.3f} at most (at most {SLACK})"
    )
    return behind <= SLACK
