"""JupyterLab on the chapters: `make lab` opens the runnable edition, with the course's environment as its kernel.

    python scripts/lab.py [arguments of JupyterLab, such as --no-browser or --port 9000]

JupyterLab lives in an environment of its own, .lab, with exactly requirements-lab.txt, so that the one that builds and
tests the book stays as it is. Its kernel is the Python that runs this script; that, and all else that JupyterLab keeps
for itself, is written inside .lab, nothing among the user's own kernels. The chapters to work in lie in my_chapters,
which `make clean` leaves alone; a file there that was changed is never written over.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import venv
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

import environment
import handout
from alone import alone

ROOT = Path(__file__).resolve().parent.parent
LAB = ROOT / ".lab"
REQUIREMENTS = ROOT / "requirements-lab.txt"
FOLDER = ROOT / "my_chapters"

# What JupyterLab would otherwise ask for on the network.
SETTINGS = {"@jupyterlab/apputils-extension:notification": {"fetchNews": "false", "checkForUpdates": False}}


def say(text: str) -> None:
    print(f"== Lab: {text}", flush=True)


def set_up(folder: Path = LAB, requirements: Path = REQUIREMENTS) -> Path:
    """The environment of JupyterLab, made or completed where needed; its interpreter."""
    python = folder / "bin" / "python"
    if python.exists() and not environment.missing(python, requirements=requirements):
        return python
    with alone(folder.with_name(f"{folder.name}.lock"), f"setting up {folder.name}"):
        say(f"installing JupyterLab into {folder.name}, about a minute")
        if not python.exists():
            venv.create(folder, with_pip=True)
        pip = [python, "-m", "pip", "install", "--quiet", "--progress-bar", "off", "-r", requirements]
        if subprocess.run(pip).returncode:
            raise SystemExit(
                "JupyterLab could not be installed: pip says why above, and without a network nothing can be. "
                "`make notebooks` writes the chapters for any other editor, with .venv as its kernel."
            )
    return python


def register(folder: Path = LAB, kernel: str = sys.executable) -> None:
    """Make an interpreter the one kernel of JupyterLab, in place of the one that it brings."""
    share = folder / "share" / "jupyter"
    spec = {
        "argv": [kernel, "-m", "ipykernel_launcher", "-f", "{connection_file}"],
        "display_name": "Python 3 (course)",
        "language": "python",
        "metadata": {"debugger": True},
    }
    for path, content in (
        (share / "kernels" / "python3" / "kernel.json", spec),
        (share / "lab" / "settings" / "overrides.json", SETTINGS),
    ):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def variables(folder: Path = LAB) -> dict[str, str]:
    """This process's environment variables, with which JupyterLab reads and keeps its own things in ``folder``."""
    own = {"JUPYTER_DATA_DIR": str(folder / "share" / "jupyter"), "JUPYTER_PREFER_ENV_PATH": "1"}
    return {name: value for name, value in os.environ.items() if name != "JUPYTER_PATH"} | own


def command(python: Path, folder: Path = FOLDER) -> list[str]:
    """What starts JupyterLab on a folder."""
    return [str(python), "-m", "jupyterlab", f"--ServerApp.root_dir={folder}"]


def main() -> None:
    python = set_up()
    register()
    written, kept = handout.hand_out(handout.built(), FOLDER)
    if written:
        # Signed, so that JupyterLab trusts what their outputs show before they run.
        subprocess.run(
            [str(python), "-m", "jupyter", "trust", *map(str, written)],
            env=variables(), stdout=subprocess.DEVNULL, check=True,
        )  # fmt: skip
    handout.report(written, kept, FOLDER)
    os.execve(python, [*command(python), *sys.argv[1:]], variables())


if __name__ == "__main__":
    main()
