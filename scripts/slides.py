"""Slides for each part, out of the chapters' pages: `make slides` fills _build/slides, which reads from a folder.

Nothing is written twice. By rule, a chapter gives: its title and promise; its recall questions; every figure,
definition and theorem; the tempting thought; the exercise that asks what is wrong with a reading, answered on the
next slide; its summary. Speaker notes are the page's own paragraphs around what is shown, and, with the title, the
chapter's row of the lecturers' guide. Press S for the speaker's window, F for the full
screen, O for all slides at once; with ``?showNotes=true`` at the end of the address the notes stand beside the slide.
"""

from __future__ import annotations

import re
import shutil
import sys
from html import escape
from pathlib import Path

import yaml
from bs4 import BeautifulSoup, Tag

sys.path.insert(0, str(Path(__file__).resolve().parent))

import book

ROOT = book.ROOT
FOLDER = ROOT / "_build" / "slides"
ASSETS = ROOT / "scripts" / "slides_assets"
WAIT = "<p>Let them answer before you click.</p>"
HANDS = "<p>A show of hands for each sentence.</p>"
ANSWER = "<p>Who changed their mind, and why?</p>"
PARAGRAPHS = 3  # and formulas of notes, before and after what a slide shows
BOXES = ".proof.definition, .proof.theorem, .proof.proposition, .proof.remark"

PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="reveal/reset.css">
<link rel="stylesheet" href="reveal/reveal.css">
<link rel="stylesheet" href="slides.css">
</head>
<body>
<div class="reveal"><div class="slides">
{slides}
</div></div>
<script src="reveal/reveal.js"></script>
<script src="reveal/notes.js"></script>
<script src="slides.js"></script>
<script src="mathjax/tex-chtml-full.js"></script>
</body>
</html>
"""


def parts() -> list[tuple[str, list[str]]]:
    """The book's parts and the names of their chapters, in order."""
    toc = yaml.safe_load((ROOT / "_toc.yml").read_text(encoding="utf-8"))
    named = [
        (part["caption"], [Path(entry["file"]).name for entry in part["chapters"]])
        for part in toc["parts"]
        if part["caption"].startswith("Part ")
    ]
    return named


def guide() -> dict[str, str]:
    """What the lecturers' guide says of each chapter, by its number, as a speaker's note."""
    text = (ROOT / "book" / "lecturers.md").read_text(encoding="utf-8")
    row = r"^\| (\d\d) \| (\d+) \| ([^|]+) \| ([^|]+) \| ([^|]+) \|$"
    notes = {}
    for number, minutes, idea, misconception, question in re.findall(row, text, flags=re.M):
        note = f"{minutes} minutes. The one idea: {idea}. Many believe: {misconception}. Ask: {question}"
        notes[number] = re.sub(r"\$([^$]+)\$", r"\\(\1\\)", re.sub(r"\*", "", escape(note, quote=False)))
    return notes


def _slide(title: str, body: str, notes: str, kind: str) -> str:
    heading = f"<h2>{title}</h2>" if title else ""
    spoken = f'<aside class="notes">{notes}</aside>'
    return f'<section class="{kind}">{heading}<div class="fit">{body}</div>{spoken}</section>'


def _around(element: Tag) -> str:
    """The page's paragraphs around what is shown, up to the next thing that is shown, and a theorem's proof."""
    block = element
    while block.parent is not None and block.parent.name != "section":
        block = block.parent

    def near(siblings) -> list[str]:
        found = []
        for sibling in siblings:
            if not isinstance(sibling, Tag):
                continue
            if sibling.find("figure") or {"proof", "tempting"} & set(sibling.get("class", [])):
                break
            if sibling.name == "p" or "math" in sibling.get("class", []):
                found.append(str(sibling))
            if len(found) == PARAGRAPHS:
                break
        return found

    spoken = [*reversed(near(block.previous_siblings)), *near(block.next_siblings)]
    for sibling in block.find_next_siblings():
        if sibling.get("id") == "proof" or "sd-dropdown" in sibling.get("class", []):  # folded or not
            spoken += map(str, sibling.find_all("p"))
        if sibling.name != "p":
            break
    if not spoken:  # one box after another: the paragraph that leads to all of them
        spoken = [str(block.find_previous_sibling("p") or block.find_next_sibling("p"))]
    return "".join(spoken)


def _fold(article: Tag, title: str) -> Tag:
    """What a fold of the chapter's holds, found by the beginning of its title."""
    names = article.find_all(class_="sd-summary-text")
    name = next(name for name in names if name.get_text().strip().startswith(title))
    return name.find_parent("details").find(class_="sd-summary-content")


def _asked(recall: Tag) -> list[tuple[str, str]]:
    """Recall questions and answers: choices with a reason behind each."""
    found = []
    for form in recall.select(".recall > form"):
        question = f"<p>{form.legend.decode_contents()}</p>"
        labels = [label.span.decode_contents() for label in form.find_all("label")]
        listed = "".join(f"<li>{label}</li>" for label in labels)
        panels = form.find_all(class_="fx-panel")
        number = next(number for number, panel in enumerate(panels) if panel.find(class_="right"))
        reasons = panels[number].find(class_="right").decode_contents()
        found.append((f"{question}<ul>{listed}</ul>", f"<p>{labels[number]}.</p>{reasons}"))
    return found


def chapter(article: Tag, note: str) -> list[str]:
    """Slides of one chapter."""
    title = article.h1.get_text().rstrip("#")
    opening = article.h1.find_parent("section").find_all("p", recursive=False)[0]
    promise = _fold(article, "You will be able to").find("ul")
    slides = [_slide("", f"<h1>{title}</h1>{opening}{promise}", f"<p>{note}</p>", "title")]
    for section in article.find_all("section"):
        heading = section.find(["h2", "h3"], recursive=False)
        if heading is None:
            continue
        name = escape(heading.get_text().rstrip("#"))
        if name == "Before you go on":
            slides += [
                _slide("Recall", f'{question}<div class="fragment answer">{answer}</div>', WAIT, "recall")
                for question, answer in _asked(_fold(section, "Recall"))
            ]
        for shown in section.select(f"figure, {BOXES}, .tempting"):
            if shown.find_parent("section") is not section or shown.find_parent(class_="solution"):
                continue
            kind = "figure" if shown.name == "figure" else "box"
            slides.append(_slide(name, str(shown), _around(shown), kind))
        for exercise in section.find_all("div", class_="exercise", recursive=False):
            if "What is wrong with this reading?" in exercise.get_text():
                solution = exercise.find_next("div", class_="solution")
                answer = "".join(str(p) for p in solution.find_all("p")[1:])
                slides.append(_slide(name, str(exercise), HANDS, "box"))
                slides.append(_slide(name, answer, ANSWER, "box"))
        if name == "Summary":
            slides.append(
                _slide(
                    name, str(section.find("ol") or section.find("ul")), "<p>Back to the guesses.</p>", "list"
                )
            )
    return slides


def _local(slides: str, pages: Path, folder: Path) -> str:
    """The slides with pictures beside them, links that lead into the book spoken only, no identifier twice."""
    soup = BeautifulSoup(slides, "html.parser")
    for image in soup.find_all("img"):
        source = pages / "notebooks" / image["src"]
        shutil.copyfile(source, folder / "pictures" / source.name)
        image["src"] = f"pictures/{source.name}"
        for attribute in ("loading", "width", "height"):
            del image[attribute]
    for link in soup.find_all("a"):
        if "headerlink" in link.get("class", []):
            link.decompose()
        else:
            link.unwrap()
    for element in soup.find_all(id=True):
        del element["id"]
    for inner in soup.select("section section section"):
        inner.name = "div"  # to the show, a section is a slide
    return str(soup)


def write(pages: Path, folder: Path = FOLDER) -> list[Path]:
    """Write the slides of all parts out of built pages; their paths."""
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "pictures").mkdir(parents=True)
    shutil.copytree(ASSETS / "vendor" / "reveal", folder / "reveal")
    shutil.copytree(pages / "_static" / "vendor" / "mathjax", folder / "mathjax")
    for asset in ASSETS.glob("slides.*"):
        shutil.copy(asset, folder)
    notes, written = guide(), []
    for number, (title, names) in enumerate(parts(), 1):
        slides = []
        for name in names:
            soup = BeautifulSoup(
                (pages / "notebooks" / f"{name}.html").read_text(encoding="utf-8"), "html.parser"
            )
            if name[:2] not in notes:
                raise SystemExit(
                    f"book/lecturers.md has no row for chapter {name[:2]} (chapter, minutes, idea, ...)"
                )
            inner = "\n".join(chapter(soup.find("article"), notes[name[:2]]))
            slides.append(f"<section>{inner}</section>")
        path = folder / f"part_{number}.html"
        body = _local("\n".join(slides), pages, folder)
        path.write_text(PAGE.format(title=escape(title), slides=body), encoding="utf-8")
        written.append(path)
    return written


if __name__ == "__main__":
    for path in write(book.build(stored=True)):
        print(path, flush=True)
