"""Set the public address of the repository, here and in all that is derived from it.

    python scripts/set_repository.py https://github.com/OWNER/NAME

The one place is ``[tool.fixlip] repository`` in pyproject.toml; package metadata, the book's configuration,
set-up cells of the chapters and links are derived. `make test` finds any that was left behind.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def current() -> str:
    """The address that pyproject.toml holds."""
    with open(ROOT / "pyproject.toml", "rb") as file:
        return tomllib.load(file)["tool"]["fixlip"]["repository"]


def tracked_texts() -> dict[Path, str]:
    """Tracked text files and their contents; scripts of others, served by the book, excepted."""
    names = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True).stdout
    texts = {}
    for name in names.decode().split("\0"):
        path = ROOT / name
        if name and "vendor" not in path.parts and path.is_file():
            try:
                texts[path] = path.read_text(encoding="utf-8")
            except UnicodeDecodeError:
                continue
    return texts


def main() -> None:
    url = sys.argv[1].rstrip("/").removesuffix(".git") if len(sys.argv) == 2 else ""
    if not re.fullmatch(r"https://github\.com/[\w.-]+/[\w.-]+", url):
        raise SystemExit(
            f"URL must be https://github.com/OWNER/NAME (Colab opens notebooks from there), not {url!r}"
        )
    old, new = (address.removeprefix("https://github.com/") for address in (current(), url))
    for path, text in tracked_texts().items():
        if old in text:
            path.write_text(text.replace(old, new), encoding="utf-8")
            print(f"{path.relative_to(ROOT)}: {text.count(old)}")


if __name__ == "__main__":
    main()
