"""Write the classroom's archive: `make bundle` fills _build/bundle with one file that needs no network.

It holds the site, the chapters' runnable edition, the package with its models, and the wheels of all that they need,
for the system and the Python that it was made with. Whoever gets it unpacks it and runs ``python3 install.py``. Making
it needs the package index once. TORCH_INDEX is read as for `make environment`.
"""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

import publish

import book

ROOT = book.ROOT
FOLDER = ROOT / "_build" / "bundle"

README = """Explaining image-text similarity, the course without a network

Made for Python {python} on {system}.

  site/index.html      the book: open it in a browser, nothing need be installed
  notebooks/           the chapters to run; links in them lead to the published pages, which lie in site/ too
  python3 install.py   sets up .venv in this folder from wheels/, in a minute or two, on no network
  .venv/bin/jupyter lab notebooks     (Windows: .venv\\Scripts\\jupyter lab notebooks)

The models and pictures that the chapters use are inside the package's wheel.
"""

INSTALL = '''"""Set up the course in .venv beside this file, from the wheels here, on no network: python3 install.py"""

import os
import subprocess
import sys
import venv
from pathlib import Path

HERE = Path(__file__).resolve().parent
WANTED = "{python}"

if ".".join(map(str, sys.version_info[:2])) != WANTED:
    sys.exit(f"These wheels are for Python {{WANTED}}, this is {{sys.version.split()[0]}}: python{{WANTED}} install.py")
try:
    venv.create(HERE / ".venv", with_pip=True)
except (OSError, subprocess.CalledProcessError) as error:
    sys.exit(f"Cannot make {{HERE / '.venv'}} ({{error}}): copy this folder to where you may write, run this there.")
python = HERE / ".venv" / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
pip = [str(python), "-m", "pip", "install", "--quiet", "--no-index", "--find-links", str(HERE / "wheels")]
environment = dict(os.environ, PIP_CONFIG_FILE=os.devnull)  # this machine's settings name places that are not here
if subprocess.run([*pip, "fixlip-helpers[book]", "jupyterlab"], env=environment).returncode:
    sys.exit("The wheels do not fit this machine, pip says why above: make the bundle on a machine like this one.")
print("Ready: .venv/bin/jupyter lab notebooks")
'''


def wheels(folder: Path) -> None:
    """Our wheel and, in the pinned versions, those of all it needs; JupyterLab in the newest version that fits."""
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder], cwd=ROOT, check=True
    )
    (ours,) = folder.glob("*.whl")
    torch = next(
        line for line in (ROOT / "requirements.txt").read_text().splitlines() if line.startswith("torch==")
    )
    index = ["--extra-index-url", os.environ["TORCH_INDEX"]] if os.environ.get("TORCH_INDEX") else []
    download = [
        sys.executable,
        "-m",
        "pip",
        "download",
        "--quiet",
        "--only-binary=:all:",
        "--dest",
        folder,
        *index,
    ]
    cpu = [*download, "--no-deps", f"{torch}+cpu"]
    if (
        sys.platform == "linux"
        and subprocess.run(cpu, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode
    ):
        print(f"No CPU build of {torch} is offered here: the bundle takes the plain one.", flush=True)
    command = [
        *download,
        "--find-links",
        folder,
        "-c",
        ROOT / "requirements.txt",
        f"{ours}[book]",
        "jupyterlab",
    ]
    if subprocess.run(command).returncode:
        raise SystemExit(
            "Bundle: pip could not fetch the wheels, its message above says why; nothing was written."
        )


def make(pages: Path, folder: Path = FOLDER) -> Path:
    """Write the archive from built pages; its path."""
    python = f"{sys.version_info[0]}.{sys.version_info[1]}"
    system = f"{platform.system()} {platform.machine()}"
    version = publish.version().split()[0]
    name = f"fixlip-course-{version}-python{python}-{system.replace(' ', '-').lower()}"
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        top = Path(scratch) / name
        (top / "wheels").mkdir(parents=True)
        wheels(top / "wheels")
        publish.publish(pages, top / "site")
        (top / "notebooks").mkdir()
        for notebook in (pages / "notebooks").glob("*.ipynb"):
            shutil.copy(notebook, top / "notebooks")
        (top / "README.txt").write_text(README.format(python=python, system=system), encoding="utf-8")
        (top / "install.py").write_text(INSTALL.format(python=python), encoding="utf-8")
        half = Path(scratch) / "archive"
        with tarfile.open(half, "w:gz", compresslevel=1) as archive:  # wheels are compressed already
            archive.add(top, name)
        return half.replace(folder / f"{name}.tar.gz")


if __name__ == "__main__":
    archive = make(book.build(stored=True))
    print(f"The classroom's archive, {archive.stat().st_size / 1e6:.0f} MB: {archive}", flush=True)
