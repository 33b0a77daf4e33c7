"""The chapters' notebooks have what every chapter has, and store every output. (That outputs still hold: nbval.)"""

import ast
import json
import re
import sys
from pathlib import Path

import nbformat
import pytest
import setup_cell
from bs4 import BeautifulSoup, Tag

from fixlip_helpers.showing.choices import Choices

ROOT = Path(__file__).resolve().parent.parent
CHAPTERS = sorted((ROOT / "notebooks").glob("*.ipynb"))
GLUED = "application/papermill.record/text/plain"

LONGEST_CELL = 25  # lines of code
LARGEST_NOTEBOOK = 3_000_000  # bytes
FEWEST_NUMBERS = 8  # outputs with a number in them that nbval compares

# The only cells whose outputs nbval leaves uncompared, by their first line of code: they show times or versions.
UNCOMPARED = {
    "07_masking": ['for name in ("mean", "drop"):'],
    "11_cross_modal": ["from time import perf_counter"],
    "12_at_scale": [
        "from fixlip_helpers.wls import solve_product",
        "# what perf_counter counted in curve()",
    ],
}

# What no stored output may hold: addresses in memory, paths of one machine, warnings.
UNSTABLE = r" at 0x[0-9a-f]{6,}|/(home|root|tmp|work|Users)/|(Future|User|Deprecation)Warning"

pytestmark = pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)


@pytest.fixture
def chapter(path):
    return nbformat.read(path, as_version=4)


def code_cells(chapter):
    return [cell for cell in chapter.cells if cell.cell_type == "code"]


def prose(chapter) -> str:
    return "\n\n".join(cell.source for cell in chapter.cells if cell.cell_type == "markdown")


def headings(chapter) -> list[str]:
    """Headings of the chapter, in order; comments in fenced code are not among them."""
    text = re.sub(r"^(`{3,}).*?^\1`*$", "", prose(chapter), flags=re.M | re.S)
    return re.findall(r"^#+ (.+)$", text, flags=re.M)


def section(chapter, title: str) -> str:
    """Prose from the heading that holds these words to the next of its level or above; empty if there is none."""
    found = re.search(rf"^(##+) [^\n]*{title}.*?(?=^##? |\Z)", prose(chapter), flags=re.M | re.S | re.I)
    return found[0] if found else ""


# --- Stored outputs -----------------------------------------------------------------------------------------


def test_is_valid_and_small(path, chapter):
    nbformat.validate(chapter)
    assert chapter.metadata.kernelspec.name == "python3"
    assert path.stat().st_size <= LARGEST_NOTEBOOK


def test_outputs_are_complete_and_in_order(path, chapter):
    counts = [cell.execution_count for cell in code_cells(chapter) if cell.source.strip()]
    assert counts == list(range(1, len(counts) + 1)), "run `make chapters`"


def test_outputs_hold_no_error_no_warning_and_no_address(path, chapter):
    for cell in code_cells(chapter):
        for output in cell.outputs:
            assert output.output_type != "error", cell.source
            assert output.get("name") != "stderr", f"stderr of: {cell.source}"
            texts = [output.get("text", "")] + [
                value for kind, value in output.get("data", {}).items() if kind.startswith("text/")
            ]
            for text in texts:
                found = re.search(
                    r" at 0x[0-9a-f]{6,}|/(home|root|tmp|work|Users)/|(?:Future|User|Deprecation)Warning",
                    text,
                )
                assert not found, f"{found[0]!r} in an output of: {cell.source}"


def test_only_listed_cells_are_left_uncompared(path, chapter):
    left_out = [cell for cell in code_cells(chapter) if re.search(r"NBVAL|nbval", cell.source)]
    for cell in left_out:
        assert cell.source.startswith("# NBVAL_IGNORE_OUTPUT\n"), (
            f"by its first line, as a whole: {cell.source}"
        )
        assert re.search("perf_counter|version", cell.source), (
            f"shows neither a time nor a version: {cell.source}"
        )
    assert [cell.source.splitlines()[1] for cell in left_out] == UNCOMPARED.get(path.stem, [])
    tags = {tag for cell in code_cells(chapter) for tag in cell.metadata.get("tags", [])}
    assert not {tag for tag in tags if "nbval" in tag or tag in ("raises-exception", "skip-execution")}


def test_compares_enough_numbers(path, chapter):
    numbers = 0
    for cell in code_cells(chapter):
        if not cell.source.startswith("# NBVAL_IGNORE_OUTPUT"):
            for output in cell.outputs:
                data = output.get("data", {})
                shown = output.get("text", "") or data.get(GLUED, "")
                if not shown and "image/png" not in data and "fx-choices" not in data.get("text/html", ""):
                    shown = data.get("text/plain", "")
                numbers += bool(re.search(r"\d", shown))
    assert numbers >= FEWEST_NUMBERS


def forms(chapter) -> list[Tag]:
    """Views, guess and replies, as stored, in order."""
    stored = (
        output.get("data", {}).get("text/html", "") for cell in code_cells(chapter) for output in cell.outputs
    )
    return [form for text in stored for form in BeautifulSoup(text, "html.parser").select("form.fx-choices")]


def test_views_are_stored_and_need_no_widgets(path, chapter):
    """With a description of each picture; what a front end would have to load from elsewhere is not there."""
    pictures = [
        form.select("img")
        for form in forms(chapter)
        if not form.attrs.keys() & {"data-guess", "data-replies-to"}
    ]
    assert pictures, "no view to play with"
    for view in pictures:
        texts = [picture["alt"] for picture in view]
        assert len(texts) >= 2 and all(len(text) >= 8 for text in texts)
        assert len(set(texts)) == len(texts), "one description for two pictures"
    assert "widget-view" not in path.read_text(encoding="utf-8")


def test_views_are_stored_as_the_package_writes_them_now(path, chapter):
    style = Choices(("a", "b"))._repr_html_().partition("</style>")[0]
    for cell in code_cells(chapter):
        for output in cell.outputs:
            text = output.get("data", {}).get("text/html", "")
            assert "fx-choices" not in text or text.startswith(style), "run `make chapters`"


# --- Code ---------------------------------------------------------------------------------------------------


def test_first_code_cell_sets_up_colab(path, chapter):
    assert code_cells(chapter)[0].source == setup_cell.source()


def test_cells_are_short(path, chapter):
    for cell in code_cells(chapter):
        assert len(cell.source.splitlines()) <= LONGEST_CELL, cell.source
        assert not cell.source.rstrip().endswith(";"), (
            f"nbval does not know a silencing semicolon: {cell.source}"
        )


def test_imports_only_what_the_package_brings(path, chapter):
    """So that the notebook runs in Colab after its set-up cell."""
    allowed = {
        "PIL", "fixlip_helpers", "IPython", "matplotlib", "numpy", "scipy", "shapiq", "torch",
        "transformers",
    } | sys.stdlib_module_names  # fmt: skip
    for cell in code_cells(chapter):
        source = "\n".join(
            line for line in cell.source.splitlines() if not line.lstrip().startswith(("%", "!"))
        )
        if "find_spec" in source:
            continue  # the set-up cell
        for node in ast.walk(ast.parse(source)):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module] if isinstance(node, ast.ImportFrom) else []
            for name in names:
                assert name.split(".")[0] in allowed, f"{name} may be missing where the chapter runs"


# --- The eight parts of a chapter ---------------------------------------------------------------------------


def test_part_1_opens_with_its_figure_and_its_question(path, chapter):
    """The first lines are a heading and a sentence; then a figure, and the guess; all else comes after."""
    first = chapter.cells[0]
    number = path.stem[:2]
    assert first.cell_type == "markdown"
    assert re.fullmatch(rf"(?:\(ch\d\d\)=\n)?# {number} [^\n]+\n\n[^\n]{{40,400}}", first.source), (
        first.source
    )
    assert (
        sum(line.startswith("# ") for line in prose(chapter).splitlines() if not line.startswith("# %")) == 1
    )
    before = next(k for k, cell in enumerate(chapter.cells) if cell.source.startswith("## Before you go on"))
    opening = chapter.cells[1:before]
    drawn = [cell.cell_type == "code" and "figure" in cell.metadata.get("mystnb", {}) for cell in opening]
    assert any(drawn), "no figure before the guess"
    assert all("hide" in str(cell.metadata.tags) for cell in opening if cell.cell_type == "code"), (
        "code is in its way"
    )
    assert opening[-1].cell_type == "code" and "GUESSES" in opening[-1].source
    text = "\n".join(cell.source for cell in opening if cell.cell_type == "markdown")
    assert text.startswith("## ") and len(text) < 1700, "too long before the guess"


def test_part_1_promise(path, chapter):
    """What comes after the guess is folded: goals, prerequisites and time in one line, recall in another."""
    folds = section(chapter, "Before you go on")
    assert re.match(r"## Before you go on\n\n:::\{dropdown\} You will be able to", folds)
    goals = re.search(r":::\{dropdown\} You will be able to.*?\n:::\n", folds, flags=re.S)[0]
    assert len(re.findall(r"^[-*] ", goals, flags=re.M)) == 3, "three points"
    assert re.search(r"^\*\*Prerequisites\.\*\*", goals, flags=re.M)
    assert re.search(r"^\*\*Time\.\*\* .*minutes?", goals, flags=re.M)
    assert re.search(r"^:::\{dropdown\} Recall", folds, flags=re.M)


def test_part_2_recall_and_guess(path, chapter):
    recall = re.search(
        r":::\{dropdown\} Recall.*?\n:::(?=\n|\Z)", section(chapter, "Before you go on"), flags=re.S
    )[0]
    before = int(path.stem[:2])
    sources = re.findall(r"^\*\*Recall \d\*\* \((school|chapter (\d\d))\)\. \S", recall, flags=re.M)
    assert len(sources) == 2 and all(int(number or 0) < before for _, number in sources)
    for question in re.split(r"^\*\*Recall \d\*\*", recall, flags=re.M)[1:]:
        choices = re.findall(
            r'^<details class="choice( right)?"><summary>(.+)</summary>\n\n\*\*(Right|No)\.\*\* (.+)\n\n</details>$',
            question, flags=re.M,
        )  # fmt: skip
        assert len(choices) >= 3 and question.count("<details") == len(choices), question
        assert all(bool(right) == (verdict == "Right") for right, _, verdict, _ in choices)
        assert sum(bool(right) for right, *_ in choices) == 1
        assert not any("$" in choice for _, choice, *_ in choices), "formulas are not set in a summary"
    assert re.search(r"guess", prose(chapter), flags=re.I)
    assert re.search(r"guess", "\n".join(prose(chapter).splitlines()[-60:]), flags=re.I), (
        "the end returns to the guess"
    )


def test_part_2_every_guess_has_its_reply(path, chapter):
    """As many replies in the last section as there are choices, linked to the reader's own."""
    guesses = [form for form in forms(chapter) if form.get("data-guess")]
    replies = [form for form in forms(chapter) if form.get("data-replies-to")]
    assert len(guesses) == len(replies) == 1
    choices, answered = (
        [label.get_text() for label in form.select("label")] for form in (*guesses, *replies)
    )
    assert choices == answered and len(choices) >= 3
    assert guesses[0]["data-guess"] == replies[0]["data-replies-to"]
    texts = [panel.get_text() for panel in replies[0].select(".fx-panel")]
    assert len(texts) == len(choices) == len(set(texts)) and all(len(text) >= 20 for text in texts)
    assert any("replies(" in cell.source for cell in code_cells(chapter)[-3:])


def test_part_3_small_code_then_the_package(path, chapter):
    sources = [cell.source for cell in code_cells(chapter)[1:]]
    assert any(re.search(r"^def \w+", source, flags=re.M) for source in sources), (
        "the idea in the chapter's own code"
    )
    assert any("fixlip_helpers" in source for source in sources)


def test_part_4_theorems_are_checked(path, chapter):
    kinds = r"\{prf:(?:definition|theorem|proposition|lemma|corollary)\}"
    assert re.search(kinds, prose(chapter))
    labels = re.findall(r"\{prf:theorem\}[^\n]*\n:label: (\S+)", prose(chapter))
    checked = re.findall(
        r"^# Check it: (\S+)", "\n".join(cell.source for cell in code_cells(chapter)), flags=re.M
    )
    assert set(labels) <= set(checked), "each theorem has a cell `# Check it: LABEL`"
    for unlabelled in re.findall(r"\{prf:theorem\}[^\n]*\n(?!:label: )", prose(chapter)):
        pytest.fail(f"without label: {unlabelled}")


def test_part_5_figures_and_the_tempting_thought(path, chapter):
    figures = 0
    for cell in code_cells(chapter):
        if any("image/png" in output.get("data", {}) for output in cell.outputs):
            shown = cell.metadata.get("mystnb", {})
            assert len(shown.get("image", {}).get("alt", "")) >= 20, f"alt text for: {cell.source}"
            assert len(shown.get("figure", {}).get("caption", "")) >= 20, f"caption for: {cell.source}"
            assert shown["figure"].get("name", "").startswith("fig-"), f"name for: {cell.source}"
            figures += 1
    views = [form for form in forms(chapter) if form.select("img")]
    assert figures + len(views) >= 4, "a chapter has three figures and a view"
    for picture in re.findall(r"!\[([^\]]*)\]\(", prose(chapter)):
        assert len(picture) >= 20, "alt text of pictures in the prose"
    assert re.search(r"It is tempting to think", prose(chapter))
    assert re.search(r"^:class: .*tempting", prose(chapter), flags=re.M)


def test_part_7_exercises_have_solutions_and_a_check(path, chapter):
    exercises = re.findall(r"\{exercise(?:-start)?\}[^\n]*\n(?::\w[^\n]*\n)*?:label: (\S+)", prose(chapter))
    solved = re.findall(r"\{solution(?:-start)?\} (\S+)\n((?::\w[^\n]*\n)*)", prose(chapter))
    assert 3 <= len(exercises) <= 5
    assert sorted(exercises) == sorted(label for label, _ in solved)
    for label, options in solved:
        assert "dropdown" in options, f"the solution of {label} is not folded away"
    assert any(re.search(r"\bchecks?\b", cell.source) for cell in code_cells(chapter)), "a self-check"


def test_part_8_summary_and_what_comes_next(path, chapter):
    titles = "\n".join(headings(chapter)).lower()
    for wanted in ("exercises", "summary", "next", "further reading"):
        assert wanted in titles, f"a section named {wanted!r}"
    assert len(re.findall(r"^\s*(?:[-*]|\d\.) ", section(chapter, "Summary"), flags=re.M)) == 5
    assert re.search(r"\{cite", section(chapter, "Further reading"))


def test_numbers_in_prose_are_glued_here(path, chapter):
    glued = {
        output.metadata["scrapbook"]["name"]
        for cell in code_cells(chapter)
        for output in cell.outputs
        if GLUED in output.get("data", {})
    }
    used = set(re.findall(r"\{glue:\w+\}`([^`:]+)`", prose(chapter)))
    assert used <= glued, f"not glued: {used - glued}"
    assert glued <= used, f"glued and never used: {glued - used}"
    prefix = f"ch{path.stem[:2]}_"
    assert all(name.startswith(prefix) for name in glued), f"names begin with {prefix}"


def test_no_line_ends_within_a_number(path, chapter):
    """Between thousands and before % stands a space that does not break, in prose, captions and glued numbers."""
    captions = [cell.metadata.get("mystnb", {}) for cell in code_cells(chapter)]
    glued = [
        output.data.get(GLUED, "")
        for cell in code_cells(chapter)
        for output in cell.outputs
        if "data" in output
    ]
    broken = r"[^ ]*\d (?:\d{3}(?!\d)|%)|` %|\d,\d{3}(?!\d)"
    assert (
        re.findall(broken, "\n\n".join([prose(chapter), json.dumps(captions, ensure_ascii=False), *glued]))
        == []
    )


def test_is_plain_json_with_stable_layout(path, chapter):
    text = path.read_text(encoding="utf-8")
    assert text == nbformat.writes(chapter) + ("" if nbformat.writes(chapter).endswith("\n") else "\n")
    assert "execution" not in {key for cell in json.loads(text)["cells"] for key in cell["metadata"]}
