"""The product solver against dense least squares, on the same coalitions and threads.

A game of 49 patches and 8 tokens with embeddings of 512 columns, the widths of CLIP ViT-B/32, and the authors'
budget of 2^17 rows. Both solvers start from embeddings. The dense one forms normal equations with BLAS in
chunks of rows; how large a chunk is decides its memory, so two are shown: 1 024 rows, the package's own
default, and 65 536, closer to forming the whole design matrix, as the paper's estimator does (1.7 GB).
Each solver runs in a process of its own, whose peak memory is read from the operating system: what is counted
is the growth of the peak over the moment before the solver starts, when its libraries are loaded and warm.
"""

from __future__ import annotations

import json
import re
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from time import perf_counter, process_time

import numpy as np

from fixlip_helpers.coalitions import authors_split, independent, n_monomials
from fixlip_helpers.explanation import to_set_basis
from fixlip_helpers.wls import normal_equations, solve_normal, solve_product, unpack

N_IMAGE, N_TEXT, WIDTH, BUDGET, P, SCALE, BIAS = 49, 8, 512, 2**17, 0.5, 100.0, 0.0
CHUNKS = {"dense, chunks of 1 024": 1024, "dense, chunks of 65 536": 65536}
SPEED, MEMORY = (
    20,
    10,
)  # what the product solver has to gain: times faster, times less memory than the larger chunks


def data(budget: int = BUDGET) -> tuple:
    """Designs of the authors' size and unit-length random embeddings for them."""
    sizes = authors_split(budget, N_IMAGE, N_TEXT)
    designs = [
        independent(n, P, m, 0, stream) for n, m, stream in zip((N_IMAGE, N_TEXT), sizes, (1, 2), strict=True)
    ]
    rng = np.random.default_rng(0)
    embeddings = [rng.normal(size=(len(design), WIDTH)) for design in designs]
    return designs, [e / np.linalg.norm(e, axis=1, keepdims=True) for e in embeddings]


def dense(designs: list, embeddings: list, rows_at_once: int) -> tuple:
    """Least squares on all pairs, written out: whole coalitions, values, weights."""
    images, texts = designs
    coalitions = np.hstack([
        np.repeat(images.coalitions, len(texts), axis=0),
        np.tile(texts.coalitions, (len(images), 1)),
    ])  # fmt: skip
    values = (SCALE * embeddings[0] @ embeddings[1].T + BIAS).reshape(-1, 1)
    weights = np.outer(images.weights, texts.weights).ravel()
    gram, moments = normal_equations(coalitions, weights, values, P, rows_at_once)
    return to_set_basis(*unpack(solve_normal(gram, moments)[:, 0], N_IMAGE + N_TEXT), P)


def peak_megabytes() -> float:
    """Largest resident memory of this process so far, in MB.

    On Linux from /proc: what getrusage calls the peak there counts the process that started this one too.
    """
    status = Path("/proc/self/status")
    if status.exists():
        return int(re.search(r"VmHWM:\s+(\d+) kB", status.read_text())[1]) / 1e3
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1e6 if sys.platform == "darwin" else 1e3)


def measured(solve: Callable) -> tuple[dict, tuple]:
    """Seconds, CPU seconds, growth of the peak memory and the whole peak in MB of one call; what it returns."""
    solve_normal(np.eye(64), np.ones((64, 1)))  # load the libraries and wake their threads
    before, start, cpu = peak_megabytes(), perf_counter(), process_time()
    result = solve()
    cost = {
        "seconds": perf_counter() - start,
        "cpu": process_time() - cpu,
        "megabytes": peak_megabytes() - before,
        "peak": peak_megabytes(),
    }
    return cost, result


def in_own_process(module: str, *arguments: object) -> dict:
    """What ``python -m module arguments`` prints as JSON."""
    command = [sys.executable, "-m", module, *map(str, arguments)]
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)


def child(name: str) -> None:
    """Run one solver in this process and print what it took and what it found."""
    designs, embeddings = data()
    if name == "product":
        cost, terms = measured(lambda: solve_product(*embeddings, *designs, SCALE, BIAS))
    else:
        cost, terms = measured(lambda: dense(designs, embeddings, CHUNKS[name]))
    print(json.dumps(cost | {"answer": np.concatenate([[terms[0]], terms[1], terms[2].ravel()]).tolist()}))


def run(repeats: int = 3) -> bool:
    """Print the comparison; whether the product solver gains what it has to."""
    m_image, m_text = authors_split(BUDGET, N_IMAGE, N_TEXT)
    K = n_monomials(N_IMAGE + N_TEXT)
    print(
        f"Least squares for {N_IMAGE} + {N_TEXT} players, {K} terms, {m_image} x {m_text} = {m_image * m_text} rows"
    )
    results = {}
    for name in ("product", *CHUNKS):
        runs = [in_own_process("benchmarks.solver", name) for _ in range(repeats)]
        results[name] = best = min(runs, key=lambda r: r["seconds"])
        best["megabytes"] = max(r["megabytes"] for r in runs)
        print(
            f"  {name:24}{best['seconds']:8.2f} s{best['cpu']:8.2f} s of CPU{best['megabytes']:8.0f} MB",
            flush=True,
        )
    product, *others = results.values()
    difference = max(np.abs(np.subtract(other["answer"], product["answer"])).max() for other in others)
    speed = min(other["seconds"] for other in others) / product["seconds"]
    memory = others[-1]["megabytes"] / product["megabytes"]
    little = others[0]["megabytes"] / product["megabytes"]
    print(f"  largest difference of any term: {difference:.1e} (at most 1e-8)")
    print(f"  {speed:.0f} times faster than the faster dense run (at least {SPEED})")
    print(f"  {memory:.1f} times less memory than chunks of 65 536 rows (at least {MEMORY})")
    print(f"  {little:.1f} times less memory than chunks of 1 024 rows")
    return difference <= 1e-8 and speed >= SPEED and memory >= MEMORY


if __name__ == "__main__":
    child(sys.argv[1])
