"""Question bank and inventory: schema, computed numbers, nothing twice, exports that hold all; claims put to models."""

import difflib
import json
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path
from xml.etree import ElementTree

import jsonschema
import numpy as np
import pytest
import yaml

from classroom import bank, claims
from fixlip_helpers import Explanation, ExplanationGame

ROOT = Path(__file__).resolve().parent.parent
CHAPTERS = sorted(path.stem for path in (ROOT / "notebooks").glob("*.ipynb"))
BANK, INVENTORY = bank.bank(), bank.inventory()
ALL = BANK + INVENTORY
CHOICES = [question for question in ALL if question.kind == "choice"]


def words_of(text: str) -> list[str]:
    """The words of a text without its numbers: what is left if only numbers may differ."""
    return re.sub(r"[\d.,%−+½¼¾²³⁷₁₂₃]+", " ", text.lower()).split()


def test_at_least_a_hundred_questions_and_every_outcome_of_every_chapter_twice():
    assert len(BANK) >= 100 and len(INVENTORY) == 20
    assert Counter((q.chapter, q.outcome) for q in BANK) == {(c, o): 2 for c in CHAPTERS for o in (1, 2, 3)}
    assert all(len(bank.outcomes(chapter)) == 3 for chapter in CHAPTERS)
    assert len({question.id for question in ALL}) == len(ALL)
    assert all(question.id.startswith(question.chapter[:2]) for question in BANK)
    assert {question.chapter for question in INVENTORY} <= set(CHAPTERS)


def test_schema_is_one_and_refuses_what_is_incomplete(tmp_path):
    jsonschema.Draft202012Validator.check_schema(bank.schema())
    good = yaml.safe_load((ROOT / "classroom" / "questions" / "05_sampling.yaml").read_text(encoding="utf-8"))
    spoilt = {
        "without a misconception": lambda q: q["wrong"][0].pop("misconception"),
        "outcome 4": lambda q: q.update(outcome=4),
        "a choice of two": lambda q: q.update(wrong=q["wrong"][:1]),
        "a number that nothing computes": lambda q: q.update(kind="number"),
        "a short text without points": lambda q: q.update(kind="short"),
        "an unknown field": lambda q: q.update(level="easy"),
    }
    for name, spoil in spoilt.items():
        record = json.loads(json.dumps(good))
        assert record["questions"][0]["kind"] == "choice"
        spoil(record["questions"][0])
        (tmp_path / "spoilt.yaml").write_text(yaml.safe_dump(record), encoding="utf-8")
        with pytest.raises(ValueError, match=r"spoilt.yaml, \$.questions\[0\]"):
            bank.load(tmp_path / "spoilt.yaml")
            pytest.fail(f"{name} was accepted")


@pytest.mark.parametrize("question", ALL, ids=lambda question: question.id)
def test_numbers_are_what_their_expressions_give(question):
    for answer in (question.right, *question.wrong, *question.given):
        if re.match(r"[−+-]?\d", answer.text):
            assert answer.computed, f"nothing computes {answer.text!r}"
        if answer.computed:
            value, decimals = bank.stated(answer.text)
            assert abs(bank.compute(answer.computed) - value) <= 0.5 * 10**-decimals + 1e-9, answer
    assert all(number.text in question.stem for number in question.given)
    texts = [answer.text for answer in question.options()]
    assert len(set(texts)) == len(texts)
    if question.kind == "number":
        right = bank.stated(question.right.text)[0]
        for wrong in question.wrong:
            apart = bank.tolerance(question.right) + bank.tolerance(wrong)
            assert abs(bank.stated(wrong.text)[0] - right) > apart, "a wrong value would be marked right"


def test_no_two_questions_differ_in_numbers_only():
    asked = [words_of(" ".join([q.stem, *sorted(a.text for a in (q.right, *q.wrong))])) for q in ALL]
    for i, one in enumerate(asked):
        for j in range(i):
            close = difflib.SequenceMatcher(None, one, asked[j], autojunk=False)
            if close.real_quick_ratio() > 0.6 and close.quick_ratio() > 0.6:
                assert close.ratio() < 0.6, f"{ALL[i].id} and {ALL[j].id} are nearly the same"


def test_no_question_is_an_exercise_or_a_recall_of_the_chapters():
    public = []
    for chapter in CHAPTERS:
        for cell in json.loads((ROOT / "notebooks" / f"{chapter}.ipynb").read_text(encoding="utf-8"))[
            "cells"
        ]:
            source = "".join(cell["source"])
            public += [
                words_of(text)
                for text in re.findall(r":::\{exercise\}.*?\n:label.*?\n(.*?):::", source, re.S)
            ]
            public += [words_of(text) for text in re.findall(r":::\{dropdown\} (Recall.*?)\n", source)]
    assert len(public) > 60
    for question in ALL:
        stem = words_of(question.stem)
        for text in public:
            close = difflib.SequenceMatcher(None, stem, text, autojunk=False)
            if close.real_quick_ratio() > 0.6 and close.quick_ratio() > 0.6:
                assert close.ratio() < 0.6, f"{question.id}: {' '.join(text)}"


def test_the_right_option_is_given_away_neither_by_its_length_nor_by_its_place():
    longest = [q.id for q in CHOICES if len(q.right.text) > max(len(wrong.text) for wrong in q.wrong)]
    shortest = [q.id for q in CHOICES if len(q.right.text) < min(len(wrong.text) for wrong in q.wrong)]
    assert len(longest) < 0.35 * len(CHOICES) and len(shortest) < 0.35 * len(CHOICES)
    places = Counter(q.options().index(q.right) for q in CHOICES)
    assert max(places.values()) < 0.4 * len(CHOICES)


def test_moodle_file_holds_every_question_as_moodle_documents_it():
    quiz = ElementTree.fromstring(bank.to_moodle(ALL))
    found = {q.findtext("name/text"): q for q in quiz if q.get("type") != "category"}
    assert list(found) == [question.id for question in ALL]
    kinds = {"choice": "multichoice", "number": "numerical", "short": "essay"}
    for question in ALL:
        element = found[question.id]
        assert element.get("type") == kinds[question.kind]
        assert element.find("questiontext").get("format") == "html"
        answers = {a.findtext("text"): a for a in element.findall("answer")}
        if question.kind == "short":
            assert int(element.findtext("defaultgrade")) == len(question.points)
            assert all(bank.markup(point) in element.findtext("graderinfo/text") for point in question.points)
            continue
        assert [a.get("fraction") for a in answers.values()].count("100") == 1
        assert sum(float(a.get("fraction")) for a in answers.values()) == 100
        if question.kind == "number":
            (right,) = (text for text, a in answers.items() if a.get("fraction") == "100")
            assert abs(float(right) - bank.stated(question.right.text)[0]) < 1e-9
            assert all(float(a.findtext("tolerance")) > 0 for a in answers.values())
        for wrong in question.wrong:
            assert any(
                a.findtext("feedback/text") == bank.markup(wrong.misconception) for a in answers.values()
            )
    categories = [q.findtext("category/text") for q in quiz if q.get("type") == "category"]
    assert all(text.startswith("$course$/top/") for text in categories)


def test_markup_escapes_and_marks():
    assert (
        bank.markup("<bos> `a<b` *really* 2 * 3 * 4")
        == "&lt;bos&gt; <code>a&lt;b</code> <em>really</em> 2 * 3 * 4"
    )


def test_command_writes_sheets_and_says_what_is_wrong(tmp_path):
    def run(*arguments):
        command = [sys.executable, "-m", "classroom", "export", *arguments]
        return subprocess.run(command, cwd=ROOT, capture_output=True, text=True)

    sheet = run("--inventory", "--without-answers").stdout
    assert all(question.stem in sheet for question in INVENTORY)
    assert not any(question.explanation in sheet for question in INVENTORY)
    assert "Answers" in run("--chapter", "05").stdout
    written = run("--format", "moodle", "--out", str(tmp_path / "bank.xml"))
    assert "114 questions" in written.stdout and ElementTree.parse(tmp_path / "bank.xml")
    refused = run("--chapter", "23")
    assert refused.returncode and "chapter '23'; there are 01_coalitions" in refused.stderr


# --- Claims -------------------------------------------------------------------------------------------------------


def planted(seed: int) -> Explanation:
    rng = np.random.default_rng(seed)
    upper = np.triu(rng.normal(size=(14, 14)), 1)
    names = [f"player {i}" for i in range(14)]
    return Explanation(1.0, None, rng.normal(size=14), upper + upper.T, "FWBII", 0.5, names, 10, 4)


def test_a_second_order_game_leaves_nothing_wrong_to_claim():
    terms = planted(0)
    assert claims.wrong_claims(ExplanationGame(terms), terms) == []


def test_wrong_claims_are_those_that_the_game_refutes():
    terms = planted(1)
    game = ExplanationGame(terms, noise_order3=2.0, seed=3)
    found = {claim.player: claim for claim in claims.wrong_claims(game, terms)}
    whole = np.ones((1, 14), bool)
    for i, player in enumerate(terms.players):
        without = whole.copy()
        without[0, i] = False
        said = terms.main[i] + terms.pairs[i].sum()
        true = (game(whole) - game(without))[0]
        assert (player in found) == (said * true < 0)
        if player in found:
            assert np.allclose((found[player].said, found[player].found), (said, true))
    sizes = [abs(claim.said - claim.found) for claim in found.values()]
    assert len(found) > 2 and sizes == sorted(sizes, reverse=True)


def test_a_measured_sum_holds_the_planted_one_within_its_error():
    terms = planted(2)
    game = ExplanationGame(terms, noise_order3=0.3, noise_order4=0.2, seed=4)
    off = []
    for word in range(4):
        value, error = claims.measured(game, word, [1, 4, 7])
        off.append((value - terms.pairs[[1, 4, 7], 10 + word].sum()) / error)
        assert 0 < error < 1
    assert np.abs(off).max() < 5 and np.abs(off).max() > 0.01


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["break", "nowhere.png", "a dog"], "picture 'nowhere.png'; expected a file, or one of hero"),
        (
            ["claim", "hero", "--word", "cat", "--rows", "0", "--columns", "0", "--sign", "raises"],
            "--word 'cat'",
        ),
        (
            ["claim", "hero", "--word", "dog", "--rows", "3-9", "--columns", "0", "--sign", "raises"],
            "from 0 to 7",
        ),
    ],
)
def test_claims_on_bad_input_are_refused(arguments, message):
    from click.testing import CliRunner

    from classroom.__main__ import main

    result = CliRunner().invoke(main, arguments)
    assert result.exit_code and message in result.output


@pytest.mark.slow
def test_break_prints_the_fit_and_the_largest_wrong_claim():
    from click.testing import CliRunner

    from classroom.__main__ import main

    result = CliRunner().invoke(main, ["break", "snow"])
    assert result.exit_code == 0, result.output
    assert re.search(r"held-out R² 0\.\d{3} at p = 0\.5", result.output)
    assert re.search(r"wrong signs at the whole pair: \d+ of 68 players", result.output)
