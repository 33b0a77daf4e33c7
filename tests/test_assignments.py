"""Assignments: full marks for the reference, none for an empty one, and for each mistake what it costs."""

import re
import subprocess
from pathlib import Path

import nbformat
import pytest

from classroom import bank, blind, grading

ROOT = Path(__file__).resolve().parent.parent
NAMES = ["part_1", "part_2", "part_3", "part_4", "part_5"]

STUDENTS = [(name, number) for name in NAMES for number in ((6,) if name == "part_5" else (1, 6, 11))]


def mistakes(name: str) -> dict[str, tuple[dict, dict]]:
    """Wrong solutions of an assignment, by what is wrong: the answers in which it shows, and the points lost."""
    found = {}
    text = (ROOT / "tests" / "mistakes" / f"{name}.py").read_text(encoding="utf-8")
    for case in re.split(r"^# %% \[mistake\] ", text, flags=re.M)[1:]:
        head, _, answers = case.partition("\n")
        what, _, costs = head.partition(" | ")
        cells = (part.partition("\n") for part in re.split(r"^# %% \[answer\] ", answers, flags=re.M)[1:])
        points = (cost.split() for cost in costs.split(", "))
        found[what] = {identity: code for identity, _, code in cells}, {test: int(n) for test, n in points}
    return found


def submission(name: str, number: int, **answers: str):
    """The reference solution as a student's notebook, with some answers replaced."""
    notebook = grading.notebook(name, student=False)
    answers = {"number": f"STUDENT = {number}"} | answers
    for cell in notebook.cells:
        identity = cell.metadata.get("nbgrader", {}).get("grade_id")
        if identity in answers:
            cell.source = answers.pop(identity)
    assert not answers, f"no such cells: {list(answers)}"
    return notebook


def lost(found: dict) -> dict:
    return {key: mark.of - mark.given for key, mark in found.items() if mark.given not in (None, mark.of)}


def test_every_part_has_an_assignment_of_twenty_points():
    assert grading.names() == NAMES
    for name in NAMES:
        assert sum(grading.points(name).values()) == 20, name
        assert len(mistakes(name)) >= 5, name


@pytest.mark.parametrize(("name", "number"), STUDENTS)
def test_reference_gets_full_marks_for_several_students(name, number):
    found = grading.marks(submission(name, number), name)
    assert not lost(found), {key: mark.error for key, mark in found.items() if mark.error}
    assert {key: mark.of for key, mark in found.items()} == grading.points(name)


@pytest.mark.parametrize("name", NAMES)
def test_an_empty_one_gets_nothing(name):
    found = grading.marks(grading.notebook(name, student=True), name)
    assert all(not mark.given for mark in found.values())


@pytest.mark.rotating(3)
@pytest.mark.parametrize(
    ("name", "mistake"), [(name, mistake) for name in NAMES for mistake in mistakes(name)]
)
def test_a_mistake_costs_what_it_should(name, mistake):
    answers, costs = mistakes(name)[mistake]
    assert lost(grading.marks(submission(name, 6, **answers), name)) == costs


def test_students_see_neither_solutions_nor_hidden_tests_and_get_every_other_cell():
    for name in NAMES:
        student, source = grading.notebook(name, student=True), grading.notebook(name, student=False)
        text = nbformat.writes(student)
        assert "SOLUTION" not in text and "HIDDEN" not in text
        assert [cell.metadata for cell in student.cells] == [cell.metadata for cell in source.cells]
        for cell, full in zip(student.cells, source.cells, strict=True):
            kind = cell.metadata.get("nbgrader", {})
            if not kind.get("grade") and not kind.get("solution"):
                assert cell.source == full.source
            if kind.get("solution") and cell.cell_type == "code":
                assert "raise NotImplementedError()" in cell.source
                assert set(cell.source.splitlines()) - set(full.source.splitlines())
        nbformat.validate(student)


def test_changed_tests_and_locked_cells_of_a_submission_do_not_count():
    notebook = grading.notebook("part_1", student=True)
    for cell in notebook.cells:
        if cell.metadata.get("nbgrader", {}).get("locked"):
            cell.source = "prediction = 'higher'\n4"
    assert all(not mark.given for mark in grading.marks(notebook, "part_1").values())


def test_games_differ_from_student_to_student():
    games = {}
    for number in (1, 2):
        for name in ("part_1", "part_3", "part_4"):
            names: dict = {"STUDENT": number}
            exec(
                next(
                    cell.text
                    for cell in grading.cells(grading.SOURCES / f"{name}.py")
                    if cell.kind == "locked"
                ),
                names,
            )
            rows = names["all_coalitions"](names["game"].n_players)[:64]
            games.setdefault(name, []).append(names["game"](rows))
    assert all(abs(one - other).max() > 0.5 for one, other in games.values())


@pytest.mark.parametrize("name", ["part_1", "part_2", "part_3", "part_4"])
def test_two_or_three_sentences_say_too_much_for_every_student(name):
    """So that neither "all" nor "none" is worth a mark, and no student has less to find than another."""
    text = (grading.SOURCES / f"{name}.py").read_text(encoding="utf-8")
    drawn = [int(n) for n in re.search(r"rng.choice\(\s*\[(.+?)\]", text, re.S)[1].replace(",", " ").split()]
    key = "".join(re.findall(r"\d", re.search(r"too_much_ = \{(.+?)\}", text)[1]))
    alike = [sum(one == other for one, other in zip(f"{n:05b}", key, strict=True)) for n in drawn]
    assert sorted(set(alike)) == [2, 3] and len(set(drawn)) == 20


def test_blind_encoders_hold_three_faults_in_an_order_of_the_students_own():
    orders = [tuple(blind.truth(number).values()) for number in range(12)]
    assert len(set(orders)) > 6
    assert all(sorted(filter(None, order)) == sorted(blind.FAULTS) for order in orders)


def test_bad_sources_and_names_are_refused(tmp_path):
    (tmp_path / "part_9.py").write_text("# %% [tset] a 1\n1\n", encoding="utf-8")
    with pytest.raises(ValueError, match=r"part_9.py: cell '\[tset\] a 1'; expected one of markdown"):
        grading.cells(tmp_path / "part_9.py")
    (tmp_path / "part_9.py").write_text("# %% [test] a 1\n1\n# %% [answer] a\n1\n", encoding="utf-8")
    with pytest.raises(ValueError, match="come twice"):
        grading.cells(tmp_path / "part_9.py")
    with pytest.raises(ValueError, match="assignment 'part_7'; there are part_1"):
        grading.write("part_7", tmp_path)


GRADER = ROOT / "_build" / "grader" / "bin" / "nbgrader"


@pytest.mark.slow
@pytest.mark.skipif(not GRADER.exists(), reason="no nbgrader: python -m classroom grader sets it up")
@pytest.mark.parametrize("name", ["part_1", "part_3"])
def test_nbgrader_releases_the_same_notebook_and_gives_the_same_marks(name, tmp_path):
    grading.write(name, tmp_path)
    handed_in = {"reference": submission(name, 6), "empty": grading.notebook(name, student=True)}
    for place, (answers, _) in enumerate(mistakes(name).values()):
        handed_in[f"mistake-{place}"] = submission(name, 6, **answers)
    for student, notebook in handed_in.items():
        path = tmp_path / "submitted" / student / name / f"{name}.ipynb"
        path.parent.mkdir(parents=True)
        nbformat.write(notebook, path)
    for command in (["generate_assignment", name, "--create"], ["autograde", name, "--create"], ["export"]):
        subprocess.run(
            [GRADER, *command],
            cwd=tmp_path,
            env=grading.environment(GRADER.parent),
            check=True,
            capture_output=True,
        )
    released = nbformat.read(tmp_path / "release" / name / f"{name}.ipynb", as_version=4)
    assert [cell.source for cell in released.cells] == [cell.source for cell in handed_in["empty"].cells]
    lines = [line.split(",") for line in (tmp_path / "grades.csv").read_text().splitlines()]
    given = {line[3]: float(line[lines[0].index("raw_score")]) for line in lines[1:]}
    for student, notebook in handed_in.items():
        assert given[student] == sum(mark.given for mark in grading.marks(notebook, name).values()), student


def test_commands_write_notebooks_and_mark_them(tmp_path):
    from click.testing import CliRunner

    from classroom.__main__ import main

    def run(*arguments: str) -> str:
        result = CliRunner().invoke(main, arguments)
        assert result.exit_code == 0, result.output
        return result.output

    written = run("assignments", "part_1", "part_4", "--out", str(tmp_path)).split()
    assert [Path(path).relative_to(tmp_path).parts[0] for path in written] == ["source", "student"] * 2
    marked = run("mark", "part_1", *written[:2])
    assert f"{written[0]}: 20 of 20" in marked and f"{written[1]}: 0 of 20" in marked
    assert re.search(r"value-at-half +0 of 2 +NameError", marked)
    refused = CliRunner().invoke(main, ["mark", "part_8", written[0]])
    assert refused.exit_code and "assignment 'part_8'; there are part_1" in refused.output


def test_the_guide_counts_what_there_is():
    guide = (ROOT / "book" / "lecturers.md").read_text(encoding="utf-8")
    assert f"{sum(len(mistakes(name)) for name in NAMES)} wrong solutions" in guide
    assert f"{len(bank.bank())} questions, two for each" in guide
    assert f"| inventory | {len(bank.inventory())} questions" in guide
