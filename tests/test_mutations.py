"""Mutations: each small lie in the mathematics must turn a unit test red.

Every case replaces one piece of text in a copy of the package and runs the tests that ought to notice. `make test`
takes an eighth of them, another one each day, `make test-all` takes all.
"""

import os
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

MUTATIONS = [
    # module, what is wrong, text that is there, text in its place
    (
        "wls",
        "sign of the bias",
        "coefficients[0] += bias",
        "coefficients[0] -= bias",
    ),
    (
        "wls",
        "no scale",
        "moments = scale * np.einsum",
        "moments = np.einsum",
    ),
    (
        "wls",
        "weights twice",
        "self.moments += phi.T @ (root * targets[rows])",
        "self.moments += phi.T @ (root**3 * targets[rows])",
    ),
    (
        "wls",
        "weights forgotten",
        "phi *= root\n",
        "pass\n",
    ),
    (
        "wls",
        "p for 1 - p",
        "phi = monomials(coalitions[rows], self.p)",
        "phi = monomials(coalitions[rows], 1 - self.p)",
    ),
    (
        "wls",
        "factor one half",
        "from_upper_triangle(coefficients[n + 1 :], n)",
        "from_upper_triangle(coefficients[n + 1 :], n) / 2",
    ),
    (
        "wls",
        "a pair counted on one side only",
        "from_upper_triangle(coefficients[n + 1 :], n)",
        "np.triu(from_upper_triangle(coefficients[n + 1 :], n))",
    ),
    (
        "wls",
        "a missing pair",
        "from_upper_triangle(coefficients[n + 1 :], n)",
        "from_upper_triangle([*coefficients[n + 1 : -1], 0.0], n)",
    ),
    (
        "wls",
        "wrong text part",
        "np.maximum(members - n_image, -1)",
        "np.maximum(members - n_image, 0)",
    ),
    (
        "matrix_free",
        "sign of a negative weight in the adjoint",
        "total += sign * (root.T @ root)",
        "total += root.T @ root",
    ),
    (
        "matrix_free",
        "p for 1 - p without a matrix",
        "out=z[:, 1:])\n        z[:, 1:] -= self.dtype.type(self.p / sigma)",
        "out=z[:, 1:])\n        z[:, 1:] -= self.dtype.type((1 - self.p) / sigma)",
    ),
    (
        "matrix_free",
        "residuals in single precision believed",
        "residual = moments - gram_times(exact, solution)",
        "residual = moments - gram_times(fast, solution)",
    ),
    (
        "matrix_free",
        "diagonal of the wrong p",
        "(1 - 2 * p) / np.sqrt",
        "(2 * p - 1) / np.sqrt",
    ),
    (
        "matrix_free",
        "ridge on the linear terms",
        "penalty[n + 1 :] = ridge",
        "penalty[1:] = ridge",
    ),
    (
        "wls",
        "merged rows without their weight",
        "self.total += other.total",
        "pass",
    ),
    (
        "matrix_free",
        "repeated coalitions counted",
        "len(np.unique(coalition_keys(coalitions)))",
        "len(coalitions)",
    ),
    (
        "wls",
        "a token's pairs with the image twice",
        "table[: n_image + 1, 1 : n_text + 1] = solve_normal(gram, moments)",
        "table[: n_image + 1, 1 : n_text + 1] = 2 * solve_normal(gram, moments)",
    ),
    (
        "explanation",
        "sign of a main effect",
        "e_main = linear / sigma - p *",
        "e_main = linear / sigma + p *",
    ),
    (
        "explanation",
        "p for 1 - p",
        "sigma - p * e_pairs.sum(axis=1)",
        "sigma - (1 - p) * e_pairs.sum(axis=1)",
    ),
    (
        "explanation",
        "sign in the baseline",
        "constant - p / sigma",
        "constant + p / sigma",
    ),
    (
        "explanation",
        "factor one half",
        "p**2 * e_pairs.sum() / 2",
        "p**2 * e_pairs.sum()",
    ),
    (
        "explanation",
        "pairs predicted twice",
        "+ 0.5 * ((x @ self.pairs) * x)",
        "+ ((x @ self.pairs) * x)",
    ),
    (
        "explanation",
        "share of 1 - p",
        '{"FWBII": self.p,',
        '{"FWBII": 1 - self.p,',
    ),
    (
        "explanation",
        "share of FSII",
        '"FSII": 0.5',
        '"FSII": 1.0',
    ),
    (
        "explanation",
        "merge counts pairs twice",
        "pairs.diagonal() / 2",
        "pairs.diagonal()",
    ),
    (
        "explanation",
        "a missing pair in the file",
        "pairs[upper] = numbers",
        "pairs[upper] = numbers\n    pairs[0, 1] = 0",
    ),
    (
        "explanation",
        "difference of pairs",
        "pairs=self.pairs - other.pairs",
        "pairs=self.pairs + other.pairs",
    ),
    (
        "coalitions",
        "sign of z",
        "z = (coalitions - p)",
        "z = (p - coalitions)",
    ),
    (
        "coalitions",
        "p for 1 - p in draws",
        ".reshape(m, n) < p",
        ".reshape(m, n) < 1 - p",
    ),
    (
        "coalitions",
        "p for 1 - p in weights",
        "np.where(coalitions, p, 1 - p)",
        "np.where(coalitions, 1 - p, p)",
    ),
    (
        "coalitions",
        "factor one half",
        "/ np.sqrt(p * (1 - p))",
        "/ (2 * np.sqrt(p * (1 - p)))",
    ),
    (
        "coalitions",
        "a missing pair",
        "    return phi\n",
        "    phi[:, -1] = 0\n    return phi\n",
    ),
    (
        "coalitions",
        "repeats not counted",
        "counts[order] / len(draws)",
        "np.full(len(counts), 1 / len(counts))",
    ),
    (
        "coalitions",
        "columns of no code",
        "cube = product[field, product[field, field]]",
        "cube = product[field, field]",
    ),
    (
        "coalitions",
        "reducible Goppa polynomial",
        "np.setdiff1d(field, square_plus)[0]",
        "square_plus[2]",
    ),
    (
        "coalitions",
        "array not shifted",
        "array ^ shift for shift",
        "array for shift",
    ),
    (
        "coalitions",
        "a draw beside itself instead of its complement",
        "np.stack([rows, ~rows], axis=1)",
        "np.stack([rows, rows], axis=1)",
    ),
    (
        "coalitions",
        "strata not shifted",
        "(np.arange(m) + numbers[0]) / m",
        "np.arange(m) / m",
    ),
    (
        "coalitions",
        "influence not undone by the weights",
        "weights=weights[sizes])",
        "weights=None)",
    ),
    (
        "coalitions",
        "players exchanged for the worst",
        "cost @ members, np.inf).argmin",
        "cost @ members, -np.inf).argmax",
    ),
    (
        "coalitions",
        "what is drawn weighs as if nothing were listed",
        "still.sum() * drawn.weights",
        "drawn.weights",
    ),
    (
        "coalitions",
        "sides of the budget exchanged",
        "(m_more, m_fewer) if n_text < n_image else (m_fewer, m_more)",
        "(m_more, m_fewer)",
    ),
    (
        "shapley",
        "another kernel",
        "1 / (t * (n - t))",
        "1 / (t * (n - t)) ** 2",
    ),
    (
        "shapley",
        "ends exchanged",
        "np.linalg.solve(fixed @ pull, ends",
        "np.linalg.solve(fixed @ pull, ends[::-1]",
    ),
    (
        "uncertainty",
        "leverage forgotten",
        "changes[rows] /= np.sqrt(1 - leverage)[:, None]",
        "pass",
    ),
    (
        "uncertainty",
        "one side's errors forgotten",
        "((image, text, r, s), (text, image, s, r))",
        "((image, text, r, s),)",
    ),
]

TESTS = {
    "wls": ["test_wls.py"],
    "matrix_free": ["test_matrix_free.py"],
    "explanation": ["test_explanation.py"],
    "coalitions": ["test_coalitions.py"],
    "shapley": ["test_shapley.py"],
    "uncertainty": ["test_uncertainty.py"],
}


@pytest.fixture(scope="module")
def copy(tmp_path_factory):
    """A copy of the package's modules and of the tests, without pictures and models."""
    folder = tmp_path_factory.mktemp("mutants")
    left_out = shutil.ignore_patterns("assets", "__pycache__")
    shutil.copytree(ROOT / "fixlip_helpers", folder / "fixlip_helpers", ignore=left_out)
    (folder / "fixlip_helpers" / "assets").mkdir()
    shutil.copy(ROOT / "fixlip_helpers/assets/explanation.schema.json", folder / "fixlip_helpers/assets")
    for name in ["truth.py", *(test for tests in TESTS.values() for test in tests)]:
        shutil.copy(ROOT / "tests" / name, folder)
    # A failure is enough: hypothesis need not look for the smallest one. A slow machine is none (tests/conftest.py).
    (folder / "conftest.py").write_text(
        "from hypothesis import HealthCheck, Phase, settings\n"
        "settings.register_profile('first', phases=[Phase.explicit, Phase.generate], deadline=None,\n"
        "                          suppress_health_check=[HealthCheck.too_slow])\n"
        "settings.load_profile('first')\n"
    )
    return folder


def run_tests(folder, module):
    # Plain assertions: where CI is set, pytest would print whole differences of long lists, which takes minutes.
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-x",
        "-p",
        "no:cacheprovider",
        "--assert=plain",
        "-m",
        "not slow",
        *TESTS[module],
    ]
    environment = {
        **os.environ,
        "PYTHONPATH": str(folder),
        "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
        "OMP_NUM_THREADS": "1",
    }
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)


@cache
def assert_passes_unchanged(folder, module):
    result = run_tests(folder, module)
    assert result.returncode == 0, result.stdout[-2000:]


def test_what_a_mutation_replaces_is_there():
    for module, wrong, before, _ in MUTATIONS:
        text = (ROOT / "fixlip_helpers" / f"{module}.py").read_text()
        assert before in text, (
            f"{wrong}: {before!r} is not in {module}.py any more: bring the mutation up to date"
        )


@pytest.mark.rotating(20)
@pytest.mark.parametrize(
    ("module", "wrong", "before", "after"), MUTATIONS, ids=[" ".join(m[:2]) for m in MUTATIONS]
)
def test_mutation_is_noticed(copy, module, wrong, before, after):
    path = copy / "fixlip_helpers" / f"{module}.py"
    text = path.read_text()
    assert_passes_unchanged(copy, module)
    path.write_text(text.replace(before, after))
    try:
        result = run_tests(copy, module)
    finally:
        path.write_text(text)
    assert result.returncode == 1, f"{wrong} in {module}.py was not noticed:\n{result.stdout[-2000:]}"
    assert "failed" in result.stdout
