"""Run every benchmark, or those named, and say whether each keeps its promise; exit code 1 if one does not.

python -m benchmarks                   all of them
python -m benchmarks solver penalty    these
python -m benchmarks --record          all, and keep what was found in results/: the run that the book shows
"""

import contextlib
import importlib
import io
import sys
from time import perf_counter

from benchmarks import record
from fixlip_helpers.streams import write_anything

BENCHMARKS = ("solver", "large", "default_call", "matrix", "penalty", "reencoding")


class Tee(io.TextIOBase):
    """Writes to two places."""

    def __init__(self, *places: io.TextIOBase) -> None:
        self.places = places

    def write(self, text: str) -> int:
        for place in self.places:
            place.write(text)
        return len(text)

    def flush(self) -> None:
        for place in self.places:
            place.flush()


def run(names: tuple[str, ...]) -> bool:
    """Run and print; whether all promises are kept."""
    print(", ".join(f"{name} {value}" for name, value in record.machine().items()) + "\n")
    kept = {}
    for name in names:
        start = perf_counter()
        kept[name] = importlib.import_module(f"benchmarks.{name}").run()
        print(f"({name}: {perf_counter() - start:.0f} s)\n")
    for name, holds in kept.items():
        print(f"{name}: {'holds' if holds else 'DOES NOT HOLD'}")
    return all(kept.values())


def main(arguments: list[str]) -> int:
    record.recording = "--record" in arguments
    names = tuple(name for name in arguments if name != "--record")
    if unknown := [name for name in names if name not in BENCHMARKS]:
        print(f"no benchmark {unknown[0]!r}; there are {', '.join(BENCHMARKS)}", file=sys.stderr)
        return 2
    if not record.recording or names:
        return int(not run(names or BENCHMARKS))
    printed = io.StringIO()
    with contextlib.redirect_stdout(Tee(sys.stdout, printed)):
        kept = run(BENCHMARKS)
    (record.RESULTS / "benchmarks.txt").write_text(printed.getvalue(), encoding="utf-8")
    return int(not kept)


if __name__ == "__main__":
    write_anything()
    sys.exit(main(sys.argv[1:]))
