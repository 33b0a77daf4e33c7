"""Hand out the chapters' runnable edition: `make notebooks` writes it into _build/notebooks.

    python scripts/handout.py

The pages, and with them the notebooks (scripts/edition.py), are built only if something has changed since. In the
folder, as in that of `make lab`, a file that its reader has changed is never written over.
"""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

import edition

import book

ROOT = book.ROOT
FOLDER = ROOT / "_build" / "notebooks"
RECORD = ".handed_out.json"  # in a reader's folder: the digest of each chapter as it was written there


def built() -> Path:
    """The folder of the notebooks beside their pages, built anew where what they are made from has changed."""
    output = book.BUILD / "stored" / "_build"
    stamp = output / edition.STAMP
    if not stamp.exists() or stamp.read_text(encoding="utf-8") != edition.made_from():
        book.build(stored=True)
    return output / "html" / "notebooks"


def digest(path: Path) -> str:
    """What a reader's work in a notebook changes: cells and outputs, not how an editor writes the file."""
    content = path.read_bytes()
    try:
        cells = [
            (
                cell["cell_type"],
                "".join(cell["source"]),
                [_shown(output) for output in cell.get("outputs", ())],
            )
            for cell in json.loads(content)["cells"]
        ]
        content = json.dumps(cells, sort_keys=True).encode()
    except (ValueError, TypeError, KeyError):
        pass  # no notebook any more: its bytes
    return hashlib.sha256(content).hexdigest()


def _shown(output: dict) -> object:
    data = output.get("data", {"text": output.get("text", output.get("evalue", ""))})
    return {kind: "".join(text) if isinstance(text, list) else text for kind, text in data.items()}


def hand_out(chapters: Path, folder: Path) -> tuple[list[Path], list[Path]]:
    """Copy the chapters into a reader's folder, but not over work.

    A file that is as it was handed out is brought up to date, one that is missing is written anew, and one that was
    changed, or was never handed out, is left alone.

    Returns
    -------
    written, kept : list of Path
        Files that were written, and files that are not the chapters as they are now since they were changed.
    """
    folder.mkdir(parents=True, exist_ok=True)
    record = folder / RECORD
    given = json.loads(record.read_text(encoding="utf-8")) if record.exists() else {}
    written, kept = [], []
    for chapter in sorted(chapters.glob("*.ipynb")):
        target, now = folder / chapter.name, digest(chapter)
        if target.exists() and digest(target) != now and digest(target) != given.get(chapter.name):
            kept.append(target)
            continue
        if not target.exists() or digest(target) != now:
            half = target.with_suffix(".part")
            half.write_bytes(chapter.read_bytes())
            half.replace(target)
            written.append(target)
        given[chapter.name] = now
        record.write_text(json.dumps(given, indent=1) + "\n", encoding="utf-8")
    return written, kept


def report(written: list[Path], kept: list[Path], folder: Path) -> None:
    """Say what was handed out, and what was not since it is the reader's own."""
    print(f"== Notebooks: {len(written)} chapters written into {folder.relative_to(ROOT)}", flush=True)
    for path in kept:
        print(
            f"== Notebooks: {path.name} was changed and is kept; move it away to get the chapter afresh",
            flush=True,
        )


if __name__ == "__main__":
    report(*hand_out(built(), FOLDER), FOLDER)
