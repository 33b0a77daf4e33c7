"""Run chapters and store them with their outputs.

    python scripts/chapters.py                              every chapter
    python scripts/chapters.py notebooks/10_fixlip.ipynb    some

Running every chapter also writes their times to results/chapters.txt, which book/benchmarks.md shows.

What is stored is the same each time, wherever it was run: no timings, no progress bars, no versions. A chapter that
fails is left as it was.
"""

from __future__ import annotations

import argparse
import os
import platform
import time
from datetime import date
from pathlib import Path

import nbformat
from patience import ChapterError, execute

ROOT = Path(__file__).resolve().parent.parent


def run(path: Path) -> float:
    """Run one chapter in its own folder, in a fresh kernel, and write it back with its outputs.

    Returns the seconds of its longest cell.
    """
    notebook = nbformat.read(path, as_version=4)
    notebook.metadata.kernelspec = {"display_name": "Python 3", "language": "python", "name": "python3"}
    longest = execute(notebook, path)
    notebook.metadata = {
        "kernelspec": notebook.metadata.kernelspec,
        "language_info": {"name": "python"},
    }
    for cell in notebook.cells:
        for unwanted in ("execution", "collapsed", "lines_to_next_cell"):
            cell.metadata.pop(unwanted, None)
        if cell.cell_type == "code":
            cell.outputs = [output for output in cell.outputs if output.get("name") != "stderr"]
    nbformat.validate(notebook)
    nbformat.write(notebook, path)
    return longest


def record(times: dict[str, tuple[float, float]]) -> None:
    """Write the seconds of each chapter and of its longest cell."""
    total = sum(seconds for seconds, _ in times.values())
    lines = [f"cores {os.cpu_count()}, processor {platform.machine()}, date {date.today()}", ""]
    lines += [f"{'chapter':27s} seconds   longest cell"]
    lines += [f"{name:27s} {seconds:7.0f} {cell:14.0f}" for name, (seconds, cell) in times.items()]
    lines += [f"{'all':27s} {total:7.0f}"]
    (ROOT / "results" / "chapters.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("chapters", nargs="*", type=Path, help="notebooks to run (default: all)")
    every = sorted((ROOT / "notebooks").glob("*.ipynb"))
    chapters, times = parser.parse_args().chapters or every, {}
    os.environ["TQDM_DISABLE"] = "1"  # whether a bar appears depends on how fast the machine is
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    for path in chapters:
        print(f"Running {path.name} ...", flush=True)
        started = time.perf_counter()
        try:
            longest = run(path)
        except ChapterError as error:
            raise SystemExit(f"{error}\n{path} was left as it was.") from None
        times[path.stem] = time.perf_counter() - started, longest
        print(f"  stored with its outputs after {times[path.stem][0]:.0f} s", flush=True)
    if chapters == every:
        record(times)


if __name__ == "__main__":
    main()
