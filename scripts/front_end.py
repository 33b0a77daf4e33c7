"""Refresh the scripts of others: those that the published book serves from itself, so that it reads without a
network, those that show the slides, and the one that looks for faults of accessibility in the tests.

    python scripts/front_end.py

fetches npm packages (npm must be installed) into a temporary folder and copies the few files that are used into
folders named ``vendor``, where their licences lie beside them; and compiles ``web/try_it/kernels.ts`` to WebAssembly
(``--kernels``: that alone). The results are committed: setting up, building and reading the book need no npm.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENDOR = ROOT / "book" / "_static" / "vendor"
SLIDES = ROOT / "scripts" / "slides_assets" / "vendor" / "reveal"

# Package: version, where its files go, the folder inside it, and the files of that folder that are used.
PACKAGES = {
    "mathjax": (
        "3.2.2",
        VENDOR / "mathjax",
        "es5",
        ["tex-chtml-full.js", "output/chtml/fonts/woff-v2/*.woff"],
    ),
    "reveal.js": (
        "5.2.1",
        SLIDES,
        ".",
        ["dist/reset.css", "dist/reveal.css", "dist/reveal.js", "plugin/notes/notes.js"],
    ),
    "@huggingface/tokenizers": (
        "0.2.0",
        ROOT / "web" / "try_it" / "vendor" / "tokenizers",
        "dist",
        ["tokenizers.min.cjs"],
    ),
    "axe-core": ("4.14.1", ROOT / "tests" / "vendor" / "axe-core", ".", ["axe.min.js"]),
}

COMPILER = "assemblyscript@0.28.20"
FLAGS = "-O3 --noAssert --runtime stub --importMemory --noExportMemory --enable simd".split()
KERNELS = ROOT / "web" / "try_it" / "kernels.ts"


def install(packages: list[str], folder: str) -> None:
    subprocess.run(["npm", "install", "--no-audit", "--no-fund", *packages], cwd=folder, check=True)


def compile_kernels() -> None:
    """kernels.wasm and kernels.fma.wasm, each with its source's SHA-256 in a section of its own (a test reads it)."""
    digest = hashlib.sha256(KERNELS.read_bytes()).hexdigest().encode()
    name = b"source-sha256"
    section = bytes([len(name)]) + name + digest
    with tempfile.TemporaryDirectory() as scratch:
        install([COMPILER], scratch)
        shutil.copyfile(KERNELS, Path(scratch) / KERNELS.name)
        for target, more in (("kernels.wasm", []), ("kernels.fma.wasm", ["--enable", "relaxed-simd"])):
            command = ["npx", "asc", KERNELS.name, *FLAGS, *more, "-o", target]
            subprocess.run(command, cwd=scratch, check=True)
            code = (Path(scratch) / target).read_bytes()
            KERNELS.with_name(target).write_bytes(code + bytes([0, len(section)]) + section)


def main() -> None:
    compile_kernels()
    if sys.argv[1:] == ["--kernels"]:
        return
    with tempfile.TemporaryDirectory() as scratch:
        install([f"{name}@{version}" for name, (version, *_) in PACKAGES.items()], scratch)
        for name, (_, kept, inside, patterns) in PACKAGES.items():
            folder = Path(scratch) / "node_modules" / name / inside
            for source in sorted(path for pattern in patterns for path in folder.glob(pattern)):
                flat = kept == SLIDES
                target = kept / (source.name if flat else source.relative_to(folder))
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(source, target)

    size = sum(path.stat().st_size for path in VENDOR.rglob("*") if path.is_file())
    print(f"{VENDOR}: {size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
