"""Questions with answers: read, checked against their schema, and written as Moodle XML or plain text.

A question is a choice, a number or a short text. Each wrong answer names the misconception that leads to it, and each
number that can be right or wrong comes with the expression that it is computed by (``numbers`` says with which names).
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from html import escape
from pathlib import Path
from xml.etree import ElementTree as xml

import numpy as np
import yaml

HERE = Path(__file__).resolve().parent
CHAPTERS = HERE.parent / "notebooks"


@dataclass(frozen=True)
class Answer:
    """One answer: what it says, the expression behind its number, and, if wrong, the misconception."""

    text: str
    computed: str | None = None
    misconception: str | None = None


@dataclass(frozen=True)
class Question:
    """One question of the bank or of the inventory.

    ``chapter`` is the stem of a notebook's name and ``outcome`` (1 to 3) the line of its box "You will be able to".
    ``kind`` is "choice", "number" or "short"; ``points`` are what a short answer must say, one mark each.
    """

    id: str
    chapter: str
    outcome: int
    kind: str
    stem: str
    right: Answer
    wrong: tuple[Answer, ...]
    explanation: str
    points: tuple[str, ...] = ()
    given: tuple[Answer, ...] = ()

    def options(self) -> list[Answer]:
        """Right and wrong answers in an order that depends on the id alone."""
        key = lambda answer: sha256(f"{self.id} {answer.text}".encode()).digest()  # noqa: E731
        return sorted([self.right, *self.wrong], key=key)


def schema() -> dict:
    """The JSON schema of a file of questions."""
    return json.loads((HERE / "question.schema.json").read_text(encoding="utf-8"))


def load(path: Path) -> list[Question]:
    """The questions of one YAML file.

    Raises
    ------
    ValueError
        If the file does not follow the schema; the message names the file, the question and the fault.
    """
    import jsonschema  # a dependency of the book's, not of the package

    record = yaml.safe_load(path.read_text(encoding="utf-8"))
    for error in jsonschema.Draft202012Validator(schema()).iter_errors(record):
        raise ValueError(f"{path.name}, {error.json_path}: {error.message}")
    answer = lambda fields: Answer(**fields)  # noqa: E731
    questions = []
    for fields in record["questions"]:
        fields = {"chapter": record.get("chapter")} | fields
        if fields["chapter"] is None:
            raise ValueError(f"{path.name}, {fields['id']}: no chapter")
        fields["right"] = answer(fields["right"])
        for name in ("wrong", "given"):
            fields[name] = tuple(map(answer, fields.get(name, ())))
        fields["points"] = tuple(fields.get("points", ()))
        questions.append(Question(**fields))
    return questions


def bank(chapters: Sequence[str] = ()) -> list[Question]:
    """All questions of the bank, or those of chapters whose names begin so (``("05", "10")``).

    Raises
    ------
    ValueError
        If a name fits no chapter, or a file does not follow the schema.
    """
    files, chapters = sorted((HERE / "questions").glob("*.yaml")), tuple(chapters)
    for name in chapters:
        if not any(file.stem.startswith(name) for file in files):
            raise ValueError(f"chapter {name!r}; there are {', '.join(file.stem for file in files)}")
    chosen = [file for file in files if not chapters or file.stem.startswith(chapters)]
    return [question for file in chosen for question in load(file)]


def inventory() -> list[Question]:
    """The twenty questions that are given before and after the course."""
    return load(HERE / "inventory.yaml")


@cache
def outcomes(chapter: str) -> tuple[str, ...]:
    """The lines of a chapter's fold "You will be able to"."""
    cells = json.loads((CHAPTERS / f"{chapter}.ipynb").read_text(encoding="utf-8"))["cells"]
    text = "\n".join("".join(cell["source"]) for cell in cells)
    box = re.search(r":::\{dropdown\} You will be able to[^\n]*\n((?:- .+\n)+)", text)
    return tuple(line.rstrip(";.") for line in re.findall(r"^- (.+)$", box[1], flags=re.M))


# --- Numbers ----------------------------------------------------------------------------------------------------


@cache
def numbers() -> dict[str, object]:
    """The names that an expression may use: NumPy, small exact games, the running game and the published CLIP."""
    from fixlip_helpers import TableGame, datasets, exact

    running = datasets.part_one_game()
    clip = datasets.published_clip()[1]["FIxLIP"]

    def word(name: str) -> int:
        """The number of a word's player in the published explanation."""
        return clip.players.index(name)

    return {
        "np": np,
        "comb": math.comb,
        "sqrt": math.sqrt,
        "exp": math.exp,
        "table": lambda *values: TableGame(values),
        "mobius": exact.mobius,
        "pairs": exact.banzhaf_interactions,
        "banzhaf": exact.banzhaf_values,
        "shapley": exact.shapley_values,
        "running": running,
        "words": TableGame(running.values[0b111::8], running.players[3:]),
        "clip": clip,
        "word": word,
    }


def compute(expression: str) -> float:
    """The value of an answer's expression."""
    return float(eval(expression, dict(numbers())))


def stated(text: str) -> tuple[float, int]:
    """The first number in a text, and how many decimals it is printed with.

    Raises
    ------
    ValueError
        If there is none.
    """
    found = re.search(r"[−+-]?\d+(?:\.(\d+))?", text)
    if found is None:
        raise ValueError(f"no number in {text!r}")
    return float(found[0].replace("−", "-")), len(found[1] or "")


def tolerance(answer: Answer) -> float:
    """How far from the printed number a given one may be: what rounding explains, and at least one in a thousand."""
    value, decimals = stated(answer.text)
    rounded = abs(compute(answer.computed) - value) > 1e-9
    return max(0.5 * 10**-decimals if rounded else 0.0, 0.001 * abs(value), 0.001)


# --- Plain text -------------------------------------------------------------------------------------------------


def to_text(questions: Iterable[Question], answers: bool = True) -> str:
    """Questions as plain text, numbered, with the key behind them (unless ``answers`` is false)."""
    sheet, key = [], []
    for number, question in enumerate(questions, start=1):
        lines = [f"{number}. {question.stem}"]
        right = question.right.text
        if question.kind == "choice":
            letters = dict(zip("abcdefgh", question.options(), strict=False))
            lines += [f"   {letter}) {option.text}" for letter, option in letters.items()]
            right = next(letter for letter, option in letters.items() if option is question.right)
            faults = [f"   {letter}: {o.misconception}" for letter, o in letters.items() if o.misconception]
        else:
            lines.append("   " + "." * 40)
            faults = [f"   {option.text} {option.misconception}" for option in question.wrong]
        sheet.append("\n".join(lines))
        outcome = outcomes(question.chapter)[question.outcome - 1]
        measured = f"   Measures ({question.chapter[:2]}.{question.outcome}): {outcome}."
        marks = [f"   One mark: {point}." for point in question.points]
        key.append(
            "\n".join(
                [
                    f"{number}. {right}",
                    f"   {question.explanation}",
                    *marks,
                    *faults,
                    measured,
                    f"   [{question.id}]",
                ]
            )
        )
    return "\n\n".join([*sheet, *(["Answers", *key] if answers else [])]) + "\n"


# --- Moodle -----------------------------------------------------------------------------------------------------


def markup(text: str) -> str:
    """Plain text with `code` and *emphasis* as HTML."""
    html = escape(text, quote=False)
    html = re.sub(r"`([^`]+)`", r"<code>\1</code>", html)
    return re.sub(r"\*(\S(?:[^*]*\S)?)\*", r"<em>\1</em>", html)


def _text(parent: xml.Element, tag: str, text: str, **attributes: str) -> xml.Element:
    element = xml.SubElement(parent, tag, attributes)
    xml.SubElement(element, "text").text = text
    return element


def _fields(parent: xml.Element, **fields: str) -> None:
    for tag, text in fields.items():
        xml.SubElement(parent, tag).text = text


def _answers(element: xml.Element, question: Question) -> None:
    number = question.kind == "number"
    for option in [question.right, *question.wrong]:
        fraction = "100" if option is question.right else "0"
        text = f"{stated(option.text)[0]:g}" if number else markup(option.text)
        answer = _text(
            element, "answer", text, fraction=fraction, format="moodle_auto_format" if number else "html"
        )
        if number:
            _fields(answer, tolerance=f"{tolerance(option):g}")
        _text(answer, "feedback", markup(option.misconception or ""), format="html")


def _choice(element: xml.Element, question: Question) -> None:
    _fields(element, single="true", shuffleanswers="true", answernumbering="abc")
    _answers(element, question)


def _short(element: xml.Element, question: Question) -> None:
    _fields(element, responseformat="editor", responserequired="1", responsefieldlines="10")
    _fields(element, attachments="0", attachmentsrequired="0")
    points = "".join(f"<li>{markup(point)}</li>" for point in question.points)
    faults = "".join(f"<li>{markup(o.text)} <em>{markup(o.misconception)}</em></li>" for o in question.wrong)
    info = f"<p>{markup(question.right.text)}</p><p>One mark each:</p><ul>{points}</ul><p>Seen:</p><ul>{faults}</ul>"
    _text(element, "graderinfo", info, format="html")
    _text(element, "responsetemplate", "", format="html")


KINDS: dict[str, tuple[str, Callable[[xml.Element, Question], None]]] = {
    "choice": ("multichoice", _choice),
    "number": ("numerical", _answers),
    "short": ("essay", _short),
}


def to_moodle(questions: Iterable[Question], category: str = "Explaining image–text similarity") -> str:
    """Questions as Moodle XML, for *Question bank, Import*: a category for each chapter, a tag for each outcome.

    A choice becomes a ``multichoice``, a number a ``numerical`` whose known wrong values carry their misconception as
    feedback, a short text an ``essay`` with the marker's points as information for graders.
    """
    quiz = xml.Element("quiz")
    chapter = None
    for question in questions:
        if question.chapter != chapter:
            chapter = question.chapter
            holder = xml.SubElement(quiz, "question", type="category")
            _text(holder, "category", f"$course$/top/{category}/{chapter.replace('_', ' ')}")
        kind, write = KINDS[question.kind]
        element = xml.SubElement(quiz, "question", type=kind)
        _text(element, "name", question.id)
        _text(element, "questiontext", f"<p>{markup(question.stem)}</p>", format="html")
        _text(element, "generalfeedback", f"<p>{markup(question.explanation)}</p>", format="html")
        _fields(element, defaultgrade=str(max(1, len(question.points))), penalty="0.3333333", hidden="0")
        write(element, question)
        tags = xml.SubElement(element, "tags")
        for tag in (f"chapter {chapter[:2]}", f"outcome {chapter[:2]}.{question.outcome}"):
            _text(tags, "tag", tag)
    xml.indent(quiz)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + xml.tostring(quiz, encoding="unicode") + "\n"
