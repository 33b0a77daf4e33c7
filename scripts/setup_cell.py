"""The first code cell of every chapter, which sets up where the package is missing (Colab, Kaggle, Binder).

    python scripts/setup_cell.py            write it into every notebook
    python scripts/setup_cell.py --print    show it

It installs nothing where the package is there, keeps torch, NumPy, transformers and ipywidgets as they are, and ends
in one sentence when it fails.
"""

from __future__ import annotations

import sys
from pathlib import Path

import nbformat
import set_repository

ROOT = Path(__file__).resolve().parent.parent

SOURCE = """from importlib import invalidate_caches
from importlib.metadata import version
from importlib.util import find_spec

if not find_spec("fixlip_helpers"):
    there = [name for name in ("torch", "numpy", "transformers", "ipywidgets") if find_spec(name)]
    kept = " ".join(f"{name}=={version(name)}" for name in there)  # pip leaves these as they are
    %pip install -q {kept} "fixlip-helpers[book] @ git+{repository}"
    invalidate_caches()
    if not find_spec("fixlip_helpers"):
        raise SystemExit(
            "Set-up failed, and nothing was changed: pip says why above; without a network nothing can be installed, "
            "and torch must be 2.4 or newer, NumPy 1.26, transformers 4.50, Python 3.11."
        )"""


def source() -> str:
    """The cell, with the repository's address."""
    return SOURCE.replace("{repository}", set_repository.current())


def main() -> None:
    if sys.argv[1:] == ["--print"]:
        print(source())
        return
    if sys.argv[1:]:
        raise SystemExit(__doc__)
    for path in sorted((ROOT / "notebooks").glob("*.ipynb")):
        notebook = nbformat.read(path, as_version=4)
        cell = next(cell for cell in notebook.cells if cell.cell_type == "code")
        if "setup" not in cell.metadata.get("tags", []):
            raise SystemExit(f"{path.name}: its first code cell has no tag 'setup'; left as it is")
        if cell.source != source():
            cell.source = source()
            nbformat.write(notebook, path)
            print(f"{path.name}: written")


if __name__ == "__main__":
    main()
