"""A theorem's check cell fails when the statement is altered: wrong sign, wrong factor, p for 1 - p.

The cells of a chapter up to the check run once; then the check cell runs as it is, which must pass, and with one
piece of its text replaced, which must raise an AssertionError. `make test` takes a fifth of the chapters, others each
day, `make test-all` takes all.
"""

import re
from functools import cache
from pathlib import Path

import matplotlib
import nbformat
import pytest

ROOT = Path(__file__).resolve().parent.parent

ALTERED = [
    # chapter, theorem, text that is there, text in its place
    ("01_coalitions", "thm-ch01-mobius", "small & ~big == 0", "big & ~small == 0"),
    ("01_coalitions", "thm-ch01-one-value", "(-1.0) **", "1.0 **"),
    ("02_shapley_and_banzhaf", "thm-ch02-shapley", "/ members.sum(axis=1)", "/ members.sum(axis=1) ** 2"),
    (
        "02_shapley_and_banzhaf",
        "thm-ch02-slopes",
        "banzhaf_values(game, p)[i]",
        "banzhaf_values(game, 1 - p)[i]",
    ),
    ("02_shapley_and_banzhaf", "thm-ch02-slopes", "(game, p).sum()", "(game, p).mean()"),
    ("02_shapley_and_banzhaf", "thm-ch02-areas", "w / 2 *", "w *"),
    ("03_interactions", "thm-ch03-slopes", "F(at + a + c) - F(at + a - c)", "F(at + a + c) + F(at + a - c)"),
    ("03_interactions", "thm-ch03-slopes", "w / 2 * mean_derivative", "w * mean_derivative"),
    ("03_interactions", "thm-ch03-drift", "pairs.sum(axis=1), atol=1e-5", "-pairs.sum(axis=1), atol=1e-5"),
    (
        "03_interactions",
        "thm-ch03-drift",
        "banzhaf_interactions(game, p)",
        "banzhaf_interactions(game, 1 - p)",
    ),
    ("03_interactions", "thm-ch03-third", "p * said + (1 - p) * unsaid", "(1 - p) * said + p * unsaid"),
    ("03_interactions", "thm-ch03-third", "triple, said - unsaid", "triple, unsaid - said"),
    (
        "08_first_order",
        "thm-ch08-one-map",
        "four[0] - four[1] - four[2] + four[3]",
        "four[0] - four[1] + four[2] - four[3]",
    ),
    (
        "09_gradient_interactions",
        "thm-ch09-complete",
        "both - picture - words + neither",
        "both - picture + words - neither",
    ),
    ("12_at_scale", "thm-ch12-sums", "one[0] + two[0]", "one[0] + 2 * two[0]"),
    ("12_at_scale", "thm-ch12-products", "adjoint(z, r), phi.T", "adjoint(z, 2 * r), phi.T"),
    ("12_at_scale", "thm-ch12-products", "times(z, c), phi @ c", "times(z, c), phi @ -c"),
    (
        "13_reading_explanations",
        "thm-ch13-difference",
        "pair, shown - hidden) and",
        "pair, hidden - shown) and",
    ),
    (
        "13_reading_explanations",
        "thm-ch13-linear",
        "first.pairs - second.pairs) and",
        "second.pairs - first.pairs) and",
    ),
    ("17_comparing_models", "thm-ch17-affine", "(game, p) / spread", "(game, p) / spread**2"),
    ("18_debugging", "thm-ch18-bag", "two.pairs[:3, by_name])", "two.pairs[:3, 3:])"),
    ("19_your_own", "thm-ch19-replicates", "rho + (1 - rho) / m)", "rho + (1 - rho))"),
    ("04_faithful_approximation", "thm-ch04-orthonormal", "phi.T @ (P(p)", "phi.T @ (P(1 - p)"),
    (
        "04_faithful_approximation",
        "thm-ch04-projection",
        "phi[:, kept] @ c[kept]",
        "2 * phi[:, kept] @ c[kept]",
    ),
    (
        "04_faithful_approximation",
        "thm-ch04-projection",
        "error, (c[~kept] ** 2)",
        "error, 2 * (c[~kept] ** 2)",
    ),
    ("04_faithful_approximation", "thm-ch04-taylor", "sigma ** len(L) * slopes", "sigma * slopes"),
    ("04_faithful_approximation", "thm-ch04-taylor", "(every[:, L] - p)", "(every[:, L] - (1 - p))"),
    ("04_faithful_approximation", "thm-ch04-terms", "(-p) **", "p **"),
    ("04_faithful_approximation", "thm-ch04-terms", "by_hand[L], atol", "2 * by_hand[L], atol"),
    ("04_faithful_approximation", "thm-ch04-kernels", "np.exp(-1 / w)", "np.exp(1 / w)"),
    ("04_faithful_approximation", "thm-ch04-kernels", "kernel / mixture", "kernel / P(0.5)"),
    ("14_faithfulness", "thm-ch14-r2", "found.r2 <= found.pearson**2", "found.r2 >= found.pearson**2"),
    ("14_faithfulness", "thm-ch14-blocks", "patches[:, None] - words", "patches[:, None] + words"),
    ("15_insertion_deletion", "thm-ch15-nested", "~high[::-1]", "high[::-1]"),
    ("15_insertion_deletion", "thm-ch15-random", "list(order)[::-1]", "list(order)"),
    ("16_pointing_game", "thm-ch16-signs", "1 - found)", "found)"),
    (
        "16_pointing_game",
        "thm-ch16-signs",
        "share if sign > 0 else 1 - share",
        "1 - share if sign > 0 else share",
    ),
]


def code_cells(chapter: str) -> list[str]:
    notebook = nbformat.read(ROOT / "notebooks" / f"{chapter}.ipynb", as_version=4)
    return [cell.source for cell in notebook.cells if cell.cell_type == "code"][1:]  # without the set-up


@cache
def names_before(chapter: str, label: str) -> dict:
    """What is defined when the check cell's turn has come."""
    names: dict = {"display": lambda *_: None}  # as a notebook has it
    for source in code_cells(chapter):
        if source.startswith(f"# Check it: {label}"):
            return names
        exec(compile(source, chapter, "exec"), names)
    raise LookupError(f"{chapter} has no cell `# Check it: {label}`")


def check_cell(chapter: str, label: str) -> str:
    return next(source for source in code_cells(chapter) if source.startswith(f"# Check it: {label}"))


@pytest.fixture(autouse=True)
def quiet(monkeypatch):
    matplotlib.use("Agg")
    monkeypatch.setattr("fixlip_helpers.notebook.publish_display_data", lambda *_: None)
    yield
    matplotlib.pyplot.close("all")
    matplotlib.rcdefaults()


@pytest.mark.rotating(10, by="chapter")
@pytest.mark.parametrize("chapter, label, there, instead", ALTERED)
def test_an_altered_statement_fails(chapter, label, there, instead):
    source = check_cell(chapter, label)
    exec(source, dict(names_before(chapter, label)))
    with pytest.raises(AssertionError):
        exec(source.replace(there, instead), dict(names_before(chapter, label)))


@pytest.mark.parametrize("chapter", sorted({case[0] for case in ALTERED}))
def test_each_theorem_of_the_chapter_is_altered(chapter):
    checked = re.findall(r"^# Check it: (thm-\S+)", "\n".join(code_cells(chapter)), flags=re.M)
    assert set(checked) == {case[1] for case in ALTERED if case[0] == chapter}
    for _, label, there, _ in (case for case in ALTERED if case[0] == chapter):
        assert there in check_cell(chapter, label), "the cell has changed: move the alteration along"
