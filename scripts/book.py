"""Build the book: `make book` runs every chapter first, `make test` shows the outputs stored in the notebooks.

    python scripts/book.py            run the chapters (unchanged ones come from the cache) and build _build/html
    python scripts/book.py --stored   run nothing, build _build/stored/_build/html from the stored outputs

Warnings are errors. Every page is written anew, since Sphinx repeats no warning about a page that it skips.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import shutil
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import nbformat
import pages
import yaml
from alone import alone
from jupyter_cache import get_cache
from jupyter_cache.base import CacheBundleIn
from patience import ChapterError, execute

ROOT = Path(__file__).resolve().parent.parent
BUILD = ROOT / "_build"


def fingerprint() -> str:
    """Digest of what the chapters' outputs depend on besides their own code, which the cache knows."""
    digest = hashlib.sha256()
    folders = [ROOT / "fixlip_helpers", ROOT / "results", ROOT / "web"]
    files = (path for folder in folders for path in folder.rglob("*") if path.is_file())
    for path in [
        ROOT / "requirements.txt",
        *sorted(path for path in files if "__pycache__" not in path.parts),
    ]:
        digest.update(path.relative_to(ROOT).as_posix().encode() + b"\0" + path.read_bytes())
    for variable in ("FIXLIP_MODEL", "FIXLIP_DEVICE"):
        digest.update(f"{variable}={os.environ.get(variable, '')}".encode())
    return digest.hexdigest()


def drop_stale_cache() -> None:
    """Throw executed chapters away when the package, its data or the environment has changed since."""
    cache, now = BUILD / ".jupyter_cache", fingerprint()
    stamp = cache / "fingerprint"
    if cache.exists() and (not stamp.exists() or stamp.read_text() != now):
        print("The package or its data changed since the chapters ran: all of them run again.", flush=True)
        shutil.rmtree(cache)
    cache.mkdir(parents=True, exist_ok=True)
    stamp.write_text(now)


def run_changed(notebooks: list[Path]) -> None:
    """Run the chapters that the cache does not hold as they are now, and put them there, where the builder looks.

    Each is kept as soon as it is done: a build that was stopped goes on where it was.
    """
    cache = get_cache(BUILD / ".jupyter_cache")
    waiting = []
    for path in notebooks:
        notebook = nbformat.read(path, as_version=4)
        try:
            cache.match_cache_notebook(notebook)
        except KeyError:
            waiting.append((path, notebook))
    for number, (path, notebook) in enumerate(waiting, 1):
        print(f"Running {path.name} ({number} of {len(waiting)}) ...", flush=True)
        started = time.perf_counter()
        try:
            execute(notebook, path, say=partial(print, flush=True))
        except ChapterError as error:
            raise SystemExit(f"{error}\nThe book was not built; chapters that ran are kept.") from None
        seconds = time.perf_counter() - started
        bundle = CacheBundleIn(notebook, str(path), data={"execution_seconds": seconds})
        cache.cache_notebook_bundle(bundle, check_validity=False, overwrite=True)
        print(f"  done after {seconds:.0f} s", flush=True)


def build(stored: bool) -> Path:
    """Build the book and return the folder of its pages; ``SystemExit`` when anything is amiss."""
    with alone(BUILD / ("stored.lock" if stored else "book.lock"), "building the book in this clone"):
        return _build(stored)


def _build(stored: bool) -> Path:
    output, extra = ROOT, []
    os.environ["TQDM_DISABLE"] = "1"  # progress bars are no part of a page
    if stored:
        output = BUILD / "stored"
        config = yaml.safe_load((ROOT / "_config.yml").read_text(encoding="utf-8"))
        config["execute"]["execute_notebooks"] = "off"
        extensions = config["sphinx"]["local_extensions"]
        extensions.update({name: str(ROOT / folder) for name, folder in extensions.items()})
        output.mkdir(parents=True, exist_ok=True)
        (output / "_config.yml").write_text(yaml.safe_dump(config, sort_keys=False), encoding="utf-8")
        extra = ["--path-output", str(output), "--config", str(output / "_config.yml")]
    else:
        drop_stale_cache()
        run_changed(sorted((ROOT / "notebooks").glob("*.ipynb")))
    # What the page "Try it" loads is made from the shipped models and from web/, in a process that imports torch.
    subprocess.run(
        [sys.executable, "-m", "fixlip_helpers.export", str(ROOT / "book/_static/try_it")],
        cwd=ROOT,
        check=True,
    )
    shutil.rmtree(output / "_build" / "html", ignore_errors=True)  # else pages that have moved would stay
    jupyter_book = Path(sys.executable).parent / "jupyter-book"
    command = [str(jupyter_book), "build", str(ROOT), "--all", "-W", "-n", "--keep-going", *extra]
    result = subprocess.run(command)
    if result.returncode:
        raise SystemExit(result.returncode)
    pages.finish(output / "_build" / "html")
    return output / "_build" / "html"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--stored", action="store_true", help="show the stored outputs, run nothing")
    arguments = parser.parse_args()
    started = time.perf_counter()
    index = build(arguments.stored) / "index.html"
    print(f"The book, built in {time.perf_counter() - started:.0f} s: {index}", flush=True)


if __name__ == "__main__":
    main()
