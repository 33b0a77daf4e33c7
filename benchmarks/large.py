"""Size: the paper's largest budget, 14×14 and 24×24 patches with all pairs, and how cost grows.

The games of patches are synthetic, of second order, with values given beforehand: what comes out is compared with
what was put in. Every case runs in a process of its own (see ``benchmarks.solver``). Coalitions and values are
there before the clock starts; "growth" is what the solver adds to the peak memory, "peak" is all of the process.
"""

from __future__ import annotations

import json
import sys

import numpy as np

from benchmarks.record import store
from benchmarks.solver import N_IMAGE, N_TEXT, data, in_own_process, measured
from fixlip_helpers.coalitions import authors_split, blocks, n_monomials
from fixlip_helpers.explanation import to_set_basis
from fixlip_helpers.matrix_free import conjugate_gradients
from fixlip_helpers.wls import solve_dense, solve_product, unpack

PAPER_BUDGET, P = 2**21, 0.5
# name -> players, coalitions, precision, tolerance of the iteration
CASES = {
    "14×14 patches": (196, 65_536, "float64", 1e-10),
    "14×14 patches, float32": (196, 65_536, "float32", 1e-10),
    "24×24 patches, float32": (576, 262_144, "float32", 1e-8),
}
# name -> what is measured, how much of it is allowed, unit
PROMISES = {
    "paper's budget": [("seconds", 1, "s"), ("megabytes", 500, "MB growth")],
    "14×14 patches": [("seconds", 20, "s"), ("megabytes", 500, "MB growth")],
    "14×14 patches, float32": [("seconds", 20, "s"), ("megabytes", 500, "MB growth")],
    "24×24 patches, float32": [("peak", 2000, "MB peak")],
}
ERROR = 1e-6  # largest allowed of any pair, where pairs are of the order of 1
GROWTH = {
    "matrix-free, n": [("matrix-free", n, 32_768) for n in (32, 48, 72, 108)],
    "matrix-free, m": [("matrix-free", 72, m) for m in (16_384, 32_768, 65_536, 131_072)],
    "dense, n": [("dense", n, 32_768) for n in (24, 34, 48, 68)],
    "dense, m": [("dense", 48, m) for m in (8_192, 16_384, 32_768, 65_536)],
}


def game(n: int, m: int) -> tuple:
    """Random coalitions, their values, and the pairs that they come from; a block of rows at a time."""
    rng = np.random.default_rng(0)
    main, pairs = rng.normal(size=n), np.triu(rng.normal(size=(n, n)), 1)
    coalitions, values = np.empty((m, n), bool), np.empty(m)
    for rows in blocks(m, 4096):
        coalitions[rows] = rng.random((len(coalitions[rows]), n)) < P
        x = coalitions[rows].astype(float)
        values[rows] = x @ main + ((x @ pairs) * x).sum(axis=1)
    return coalitions, values, np.full(m, 1 / m), pairs + pairs.T


def child(kind: str, n: str, m: str, precision: str, tolerance: str) -> None:
    """Run one case in this process and print what it took and how far off it was."""
    if kind == "product":
        designs, embeddings = data(PAPER_BUDGET)
        cost, _ = measured(lambda: solve_product(*embeddings, *designs))
        print(json.dumps(cost))
        return
    n = int(n)
    coalitions, values, weights, pairs = game(n, int(m))
    if kind == "dense":
        cost, terms = measured(lambda: solve_dense(coalitions, values, weights, P))
    else:
        cost, (coefficients, cost_iterations) = measured(
            lambda: conjugate_gradients(
                coalitions, values[:, None], weights, P, precision=precision, tolerance=float(tolerance)
            )
        )
        terms = to_set_basis(*unpack(coefficients[:, 0], n), P)
        cost["iterations"] = cost_iterations
    print(json.dumps(cost | {"error": np.abs(terms[2] - pairs).max()}))


def keeps(name: str, result: dict) -> bool:
    """Print the promises of one case, with pass or fail; whether all are kept."""
    checks = [(result[key], bound, unit) for key, bound, unit in PROMISES[name]]
    checks += [(result["error"], ERROR, "largest error of a pair")] if "error" in result else []
    for value, bound, unit in checks:
        print(f"    {value:9.3g} {unit} (at most {bound:g}): {'pass' if value <= bound else 'FAIL'}")
    return all(value <= bound for value, bound, _ in checks)


def run() -> bool:
    """Print every case and the table of growth; whether all promises are kept."""
    m_image, m_text = authors_split(PAPER_BUDGET, N_IMAGE, N_TEXT)
    print(f"  {N_IMAGE} + {N_TEXT} players, {m_image} x {m_text} rows, product solver", flush=True)
    paper = in_own_process("benchmarks.large", "product", 0, 0, "float64", 0)
    kept, cases, growth = keeps("paper's budget", paper), {"paper's budget": paper}, {}
    for name, (n, m, precision, tolerance) in CASES.items():
        print(f"  {name}: {n} players, {n_monomials(n)} terms, {m} coalitions, matrix-free", flush=True)
        result = in_own_process("benchmarks.large", "matrix-free", n, m, precision, tolerance)
        print(
            f"    {result['seconds']:.1f} s, {result['cpu']:.1f} s of CPU, {result['iterations']} iterations "
            f"to {tolerance:g}; {result['megabytes']:.0f} MB growth, {result['peak']:.0f} MB peak",
            flush=True,
        )
        kept &= keeps(name, result)
        cases[name] = result | {"players": n, "terms": n_monomials(n), "coalitions": m}
    print("  growth (exponents of n or m, fitted to the logarithms)")
    for name, sized in GROWTH.items():
        kind, size = name.split(", ")
        results = [in_own_process("benchmarks.large", *case, "float64", 1e-10) for case in sized]
        sizes = [n if size == "n" else m for _, n, m in sized]
        growth[name] = {"sizes": sizes}
        print(f"    {name:16}" + "".join(f"{s:>10}" for s in sizes) + "  exponent")
        for key, unit in (("seconds", "s"), ("megabytes", "MB")):
            costs = [result[key] for result in results]
            exponent = np.polyfit(np.log(sizes), np.log(np.maximum(costs, 1e-3)), 1)[0]
            growth[name] |= {key: costs, f"exponent of {key}": exponent}
            print(f"    {unit:16}" + "".join(f"{c:10.3g}" for c in costs) + f"{exponent:10.2f}", flush=True)
        if kind == "matrix-free":
            print(f"    {'iterations':16}" + "".join(f"{r['iterations']:10}" for r in results), flush=True)
    store("large", {"cases": cases, "growth": growth})
    return kept


if __name__ == "__main__":
    child(*sys.argv[1:])
