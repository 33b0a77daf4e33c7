"""A badge for each chapter, and a table, out of what the rot guard's runs reported.

``write(reports, folder)`` reads the JUnit files of ``pytest --nbval-lax notebooks``, one for each system, named after
it (``linux.xml``), and writes ``NN_chapter.svg`` and ``index.html``. A chapter holds where all its cells ran.
"""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from html import escape
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

BADGE = """<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="20" role="img" aria-label="{label}: {text}">
<title>{label}: {text}</title>
<rect width="{left}" height="20" fill="#444"/><rect x="{left}" width="{right}" height="20" fill="{colour}"/>
<g fill="#fff" font-family="Verdana,DejaVu Sans,sans-serif" font-size="11" text-anchor="middle">
<text x="{middle}" y="14">{label}</text><text x="{end}" y="14">{text}</text></g></svg>
"""
HOLDS, FAILS, UNKNOWN = "#2e7d4f", "#b3261e", "#767676"  # white on each: contrast 4.5 or more

PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>Which chapters run today</title><style>body {{ font: 16px/1.5 system-ui, sans-serif; margin: 2rem auto;
max-width: 50rem; padding: 0 1rem }} td, th {{ padding: 0.2rem 1rem 0.2rem 0; text-align: left }}</style></head>
<body><h1>Which chapters run today</h1>
<p>Every chapter with the newest versions of all it needs: daily on Linux, weekly elsewhere.</p>
<table><thead><tr><th>chapter</th>{systems}</tr></thead><tbody>
{rows}
</tbody></table></body></html>
"""


def results(report: Path) -> tuple[str, dict[str, bool]]:
    """The day of a run, and for each chapter that it reports whether all its cells ran."""
    root = ElementTree.parse(report).getroot()
    suite = root if root.tag == "testsuite" else root.find("testsuite")
    held: dict[str, bool] = {}
    for case in root.iter("testcase"):
        named = case.get("file") or case.get("classname", "").replace(".", "/")
        chapter = next((part for part in Path(named).with_suffix("").parts if part[:2].isdigit()), None)
        if chapter:
            bad = case.find("failure") is not None or case.find("error") is not None
            held[chapter] = held.get(chapter, True) and not bad
    return (suite.get("timestamp") or "")[:10], held


def badge(label: str, text: str, colour: str) -> str:
    left, right = 12 + 7 * len(label), 12 + 7 * len(text)
    return BADGE.format(
        label=escape(label), text=escape(text), colour=colour, left=left, right=right, width=left + right,
        middle=left / 2, end=left + right / 2,
    )  # fmt: skip


def write(reports: Path, folder: Path) -> None:
    """Badges and table into a folder; chapters that no report names are shown as not run.

    Raises
    ------
    SystemExit
        If a report names no chapter: it is not one of the rot guard's.
    """
    folder.mkdir(parents=True, exist_ok=True)
    chapters = sorted(path.stem for path in (ROOT / "notebooks").glob("*.ipynb"))
    found = {path.stem: results(path) for path in sorted(reports.glob("*.xml"))}
    for system, (_, held) in found.items():
        if not held:
            raise SystemExit(
                f"{reports / system}.xml names no chapter: expected the report of pytest --nbval-lax notebooks"
            )
    rows = []
    for chapter in chapters:
        shown, cells = [], ""
        for day, held in found.values():
            text = {True: f"runs, {day}", False: f"fails, {day}", None: "not run"}[held.get(chapter)]
            shown.append(held.get(chapter))
            cells += f"<td>{text}</td>"
        days = max((day for day, held in found.values() if chapter in held), default="")
        known = [held for held in shown if held is not None]
        text = f"runs, {days}" if known and all(known) else f"fails, {days}" if known else "not run"
        colour = UNKNOWN if not known else HOLDS if all(known) else FAILS
        (folder / f"{chapter}.svg").write_text(
            badge(f"chapter {chapter[:2]}", text, colour), encoding="utf-8"
        )
        rows.append(f'<tr><td><a href="../notebooks/{chapter}.html">{chapter}</a></td>{cells}</tr>')
    systems = "".join(f"<th>{escape(system)}</th>" for system in found)
    (folder / "index.html").write_text(PAGE.format(systems=systems, rows="\n".join(rows)), encoding="utf-8")
