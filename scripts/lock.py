"""Write requirements.txt: what the project needs directly, and all that this brings, as installed here and now.

    .venv/bin/python scripts/lock.py
    .lab/bin/python scripts/lock.py --lab              requirements-lab.txt, what `make lab` needs besides
    .classic/bin/python scripts/lock.py --classic      tests/requirements-classic.txt, a program of Colab's generation

To change a version, install it into the environment by hand, run `make test`, then this.
"""

from __future__ import annotations

import sys
import tomllib
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parent.parent

# What builds and tests the book, besides the package's own needs.
BOOK_AND_TESTS = [
    "editables",
    "hatchling",
    "hypothesis",
    "import-linter",
    "jsonschema",
    "jupyter-book",
    "latex2mathml",
    "nbval",
    "pypdf",
    "pytest",
    "pytest-mpl",
    "pytest-xdist",
    "ruff",
    "selenium",
    "sphinx-exercise",
    "sphinx-proof",
]

# What shows the chapters in an environment of its own, beside that of the kernel.
LAB = ["jupyterlab", "jupyterlab-widgets"]

# A program for notebooks of the generation that Colab still has, with the widgets that Colab has, 7.7.1; for a test.
# Its extension is of the same time: 3.6.10 shows no `interact`.
CLASSIC = ["ipywidgets", "nbclassic", "widgetsnbextension"]


def brought(name: str, extras: frozenset[str], found: dict[str, str]) -> dict[str, str]:
    """Versions of a package and of all that it needs here, by canonical name."""
    try:
        installed = distribution(name)
    except PackageNotFoundError:
        return found
    key = canonicalize_name(name)
    if key in found and not extras:
        return found
    found[key] = installed.version.split("+")[0]
    for line in installed.requires or []:
        needed = Requirement(line)
        if needed.marker is None or any(needed.marker.evaluate({"extra": extra}) for extra in {"", *extras}):
            brought(needed.name, frozenset(needed.extras), found)
    return found


def write(file: str, title: str, direct: list[str]) -> None:
    """Write a file of requirements: those named, then those that they bring."""
    pins: dict[str, str] = {}
    for name in direct:
        brought(name, frozenset(), pins)
    lines = [f"# {title}; written by scripts/lock.py.", ""]
    lines += [f"{name}=={pins[name]}" for name in direct]
    lines += ["", "# What these bring."]
    lines += [f"{name}=={version}" for name, version in sorted(pins.items()) if name not in direct]
    (ROOT / file).write_text("\n".join(lines) + "\n", encoding="utf-8")
    print(f"{file}: {len(direct)} direct, {len(pins)} in all")


def main() -> None:
    if sys.argv[1:] == ["--lab"]:
        write("requirements-lab.txt", "JupyterLab, for `make lab`, in an environment of its own", LAB)
        return
    if sys.argv[1:] == ["--classic"]:
        write(
            "tests/requirements-classic.txt",
            "The classic Notebook with Colab's ipywidgets, for a test",
            CLASSIC,
        )
        return
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    optional = [line for extra in project["optional-dependencies"].values() for line in extra]
    named = project["dependencies"] + optional + BOOK_AND_TESTS
    direct = sorted({canonicalize_name(Requirement(line).name) for line in named})
    write("requirements.txt", "The exact environment that builds and tests the book", direct)


if __name__ == "__main__":
    main()
