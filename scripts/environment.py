"""Set up the environment that builds and tests the book: a virtual environment with exactly requirements.txt.

    python scripts/environment.py .venv

Needs nothing but Python 3.11 or newer. An environment that already has every package in its version is left as
it is. (scripts/lab.py sets up a second one, with requirements-lab.txt.) Two variables:

    TORCH_INDEX=ADDRESS   package index from which torch may come besides the usual one; name the index of CPU wheels
                          that PyTorch's install page gives, since a plain torch for Linux brings CUDA along (GBs)
    REUSE_TORCH=1         take the torch that the machine's Python already has
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
import venv
from pathlib import Path

from alone import alone

ROOT = Path(__file__).resolve().parent.parent
REQUIREMENTS = ROOT / "requirements.txt"

# Run inside the environment: which requirements are not met? (packaging is no part of a fresh environment.)
MISSING = r"""
import re, sys
from importlib.metadata import PackageNotFoundError, distribution, version

for line in open(sys.argv[1], encoding="utf-8"):
    line = line.split("#")[0].split(";")[0].strip()
    if line:
        name, wanted = line.split("==")
        try:
            if name == "torch" and sys.argv[3] == "1":
                version(name)  # any version will do
            elif version(name).split("+")[0] != wanted:
                print(line)
        except PackageNotFoundError:
            print(line)
try:
    if sys.argv[2] and sys.argv[2] not in (distribution("fixlip-helpers").read_text("direct_url.json") or ""):
        print("fixlip-helpers")
except PackageNotFoundError:
    print("fixlip-helpers")
"""


def say(text: str) -> None:
    print(f"== Environment: {text}", flush=True)


def run(*command: str | Path, check: bool = True, quiet: bool = False) -> bool:
    sink = subprocess.DEVNULL if quiet else None
    result = subprocess.run([str(part) for part in command], cwd=ROOT, stdout=sink, stderr=sink)
    if check and result.returncode:
        raise SystemExit(f"Environment: this command failed: {' '.join(map(str, command))}")
    return result.returncode == 0


def missing(python: Path, reuse_torch: bool = False, requirements: Path = REQUIREMENTS) -> list[str]:
    """Requirements that the environment does not meet; the package is one where they are the book's."""
    package = ROOT.as_uri() if requirements == REQUIREMENTS else ""
    command = [str(python), "-c", MISSING, str(requirements), package, "1" if reuse_torch else "0"]
    return subprocess.run(command, text=True, capture_output=True, check=True).stdout.splitlines()


def install_torch(python: Path, pin: str) -> None:
    """Install torch, as a CPU build where one is offered."""
    index = ["--extra-index-url", os.environ["TORCH_INDEX"]] if os.environ.get("TORCH_INDEX") else []
    pip = [python, "-m", "pip", "install", "--quiet", "--progress-bar", "off"]
    if sys.platform == "linux":
        say(f"looking for a CPU build of {pin}")
        if run(*pip, *index, f"{pin}+cpu", check=False, quiet=True):
            return
        say(
            "no CPU build is offered here: taking the plain torch, several GB on Linux (see TORCH_INDEX in README.md)"
        )
    run(*pip, pin)


def main() -> None:
    if len(sys.argv) != 2:
        raise SystemExit(__doc__)
    folder = Path(sys.argv[1]).resolve()
    python = folder / "bin" / "python"
    reuse_torch = os.environ.get("REUSE_TORCH") == "1"
    if (
        reuse_torch
        and not run(sys.executable, "-c", "import torch", check=False, quiet=True)
        and not python.exists()
    ):
        say("REUSE_TORCH=1, but this Python has no torch: installing it")
        reuse_torch = False

    if python.exists() and not missing(python, reuse_torch):
        say(f"{folder.name} has everything already")
        return
    with alone(folder.with_name(f"{folder.name}.lock"), f"setting up {folder.name}"):
        install(folder, python, reuse_torch)


def install(folder: Path, python: Path, reuse_torch: bool) -> None:
    """Create the environment if need be, and install what is missing in it."""
    if not python.exists():
        say(f"creating {folder.name} with Python {sys.version.split()[0]}")
        venv.create(folder, with_pip=True, system_site_packages=reuse_torch)
    wanted = missing(python, reuse_torch)
    started = time.perf_counter()
    say(f"installing {len(wanted)} packages into {folder.name}, some minutes")
    for pin in wanted:
        if pin.startswith("torch=="):
            install_torch(python, pin)
    pins = [pin for pin in wanted if not pin.startswith(("torch==", "fixlip-helpers"))]
    if pins:
        run(python, "-m", "pip", "install", "--quiet", "--progress-bar", "off", *pins)
    run(python, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "--editable", ROOT)
    if still := missing(python, reuse_torch):
        raise SystemExit(f"Environment: these could not be installed: {', '.join(still)}")
    say(f"ready after {time.perf_counter() - started:.0f} s")


if __name__ == "__main__":
    main()
