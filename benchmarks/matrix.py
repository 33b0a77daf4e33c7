"""All pairs of 100 pictures and 100 captions on the embedded mini-clip, against pair by pair.

Pair by pair is not run 10 000 times: its passes are those of three pairs that are, times the number of pairs. The
same pairs show that the results are equal.
"""

from __future__ import annotations

from time import perf_counter

import numpy as np

from fixlip_helpers import VisionLanguageGame, explain_matrix, fixlip, load_model
from fixlip_helpers.scenes import make_scene

N, M_IMAGE, FEWER = 100, 256, 90


def run(n: int = N, m_image: int = M_IMAGE) -> bool:
    """Print passes, seconds and memory; whether passes are at least 90 times fewer and results equal."""
    model = load_model("mini-clip")
    scenes = [make_scene(f"matrix {number}", 2) for number in range(n)]
    pictures, captions = [scene.image for scene in scenes], [scene.caption for scene in scenes]
    print(
        f"explain_matrix on mini-clip, {n} pictures × {n} captions, {m_image} coalitions of each picture",
        flush=True,
    )
    start = perf_counter()
    matrix = explain_matrix(model, pictures, captions, n_image_coalitions=m_image)
    seconds = perf_counter() - start
    memory = sum(
        side.coefficients.nbytes + side.held_out_embeddings.nbytes for side in (*matrix.images, *matrix.texts)
    )
    passes, worst, alone = matrix.passes, 0.0, []
    for i, j in ((0, 1), (1, 0), (n - 1, n // 2)):
        game = VisionLanguageGame(model, pictures[i], captions[j], progress=False)
        pair = fixlip(game, n_image_coalitions=m_image)
        worst = max(worst, np.abs(pair.pairs - matrix[i, j].pairs).max())
        alone.append(pair.meta["passes"]["image"])
    ratio = n * n * np.mean(alone) / passes["image"]
    start = perf_counter()
    totals = matrix.interaction(range(model.n_patches), captions[0].split()[1])
    product = perf_counter() - start
    print(
        f"  {passes['image']:,} image and {passes['text']:,} text passes in {seconds:.0f} s, {memory / 1e6:.0f} MB; "
        f"pair by pair {ratio:.0f} times as many image passes (at least {FEWER})\n"
        f"  largest difference to a pair by itself: {worst:.1e} logits (at most 1e-5)\n"
        f"  one word's interaction over all {totals.size:,} pairs: {1000 * product:.0f} ms"
    )
    return bool(ratio >= FEWER and worst <= 1e-5)
