"""The package as others get it: built, checked, installed into clean environments, used outside the clone.

The slow tests install from the package index that pip knows and are skipped where there is none. They make
environments of their own and leave this one alone.
"""

import json
import os
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path

import environment
import nbformat
import pytest
import set_repository
import setup_cell
from packaging.metadata import Metadata

ROOT = Path(__file__).resolve().parent.parent
# Never changed by installing the package where they are.
KEPT = ("torch", "numpy", "transformers", "ipywidgets")

# Colab's main packages, in versions it has had. Its torch is several GB with CUDA: an installed name and version
# stand for it, which is all that pip looks at.
COLAB_TORCH = "2.8.0+cu126"
COLAB = {
    "3.12": ["numpy==2.0.2", "numba==0.60.0", "pandas==2.2.2", "ipython==7.34.0", "ipykernel==6.17.1"],
    "3.13": ["numpy==2.1.3", "numba==0.61.2", "pandas==2.2.3", "ipython==8.37.0", "ipykernel==6.29.5"],
}
COLAB_BOTH = [
    "transformers==4.57.1", "huggingface-hub==0.36.0", "tokenizers==0.22.1", "scipy==1.16.3", "scikit-learn==1.6.1",
    "matplotlib==3.10.0", "pillow==11.3.0", "ipywidgets==7.7.1", "click==8.3.0", "tqdm==4.67.1",
]  # fmt: skip


def clean() -> dict[str, str]:
    """This process's variables, less those that would let a clean environment see the clone."""
    unwanted = ("PYTHONPATH", "VIRTUAL_ENV", "FIXLIP_MODEL", "FIXLIP_DEVICE", "JUPYTER_PREFER_ENV_PATH")
    return {name: value for name, value in os.environ.items() if name not in unwanted} | {
        "MPLBACKEND": "Agg",
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
    }


def run(*command, cwd: Path, ok: bool = True, **variables: str) -> str:
    """Run in a folder outside the clone; its whole output, which is shown when it does not end as expected."""
    result = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env=clean() | variables,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    assert (result.returncode == 0) == ok, f"{command}: {result.returncode}\n{result.stdout[-4000:]}"
    return result.stdout


def interpreter(version: str) -> Path:
    """A Python of this version, wherever it lies; the test is skipped if there is none."""
    versions = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    found = [shutil.which(f"python{version}"), *versions.glob(f"{version}.*/bin/python{version}")]
    for python in filter(None, found):
        if subprocess.run([python, "-c", "import venv, ensurepip"], capture_output=True).returncode == 0:
            return Path(python)
    pytest.skip(f"no Python {version} with venv here")


def new_environment(folder: Path, python: Path | str = sys.executable) -> Path:
    """A virtual environment with nothing but pip; its interpreter."""
    subprocess.run([python, "-m", "venv", folder], check=True, env=clean())
    return folder / "bin" / "python"


def versions(python: Path, *names: str) -> dict[str, str]:
    """Installed versions, as the environment itself gives them."""
    code = "import json, sys; from importlib.metadata import version; print(json.dumps([*map(version, sys.argv[1:])]))"
    return dict(zip(names, json.loads(run(python, "-c", code, *names, cwd=python.parent)), strict=True))


@pytest.fixture(scope="module")
def built(tmp_path_factory) -> dict[str, Path]:
    """The wheel and the source distribution, built anew."""
    folder = tmp_path_factory.mktemp("dist")
    build = [sys.executable, "-m", "hatchling", "build", "-d", str(folder)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    return {"wheel": next(folder.glob("*.whl")), "sdist": next(folder.glob("*.tar.gz"))}


@pytest.fixture(scope="module")
def index() -> None:
    """Skips where pip reaches no package index."""
    look = [sys.executable, "-m", "pip", "install", "--dry-run", "--ignore-installed", "--no-deps", "click"]
    if subprocess.run(look, capture_output=True, env=clean()).returncode:
        pytest.skip("pip reaches no package index")


# --- What is in the two files -------------------------------------------------------------------------------


def test_metadata_is_valid_and_the_same_in_both(built):
    with zipfile.ZipFile(built["wheel"]) as wheel:
        name = next(name for name in wheel.namelist() if name.endswith(".dist-info/METADATA"))
        of_wheel = wheel.read(name).decode()
    with tarfile.open(built["sdist"]) as sdist:
        name = next(name for name in sdist.getnames() if name.endswith("/PKG-INFO"))
        of_sdist = sdist.extractfile(name).read().decode()
    assert of_wheel == of_sdist
    metadata = Metadata.from_email(of_wheel, validate=True)  # raises on any field that is amiss
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert metadata.description == (ROOT / "README.md").read_text(encoding="utf-8")
    assert metadata.description_content_type == "text/markdown"
    assert metadata.license_expression == project["license"]
    assert str(metadata.requires_python) == project["requires-python"]


def test_source_distribution_holds_what_the_wheel_holds(built):
    """So that a wheel built from it has models, pictures, the explorer and the stored tables too."""
    with tarfile.open(built["sdist"]) as sdist:
        held = {name.split("/", 1)[1] for name in sdist.getnames() if "/" in name}
    with zipfile.ZipFile(built["wheel"]) as wheel:
        wanted = {name for name in wheel.namelist() if ".dist-info/" not in name}
    moved = {
        name.removeprefix("fixlip_helpers/") for name in wanted if name.split("/")[1] in ("results", "web")
    }
    unmoved = {name for name in wanted if name.removeprefix("fixlip_helpers/") not in moved}
    assert not (moved | unmoved) - held


# --- Clean environments -------------------------------------------------------------------------------------


def check_demo(python: Path, folder: Path) -> None:
    """`fixlip demo` outside the clone: its three files, and the word that CLIP holds against the picture."""
    said = run(python.with_name("fixlip"), "demo", "--out", "hydrant", cwd=folder)
    assert "yellow" in said and "black" in said
    written = {path.suffix for path in (folder / "hydrant").iterdir()}
    assert written == {".json", ".png", ".html"}, written
    shutil.rmtree(folder / "hydrant")


@pytest.mark.slow
def test_both_pass_twine_check(built, index, tmp_path):
    python = new_environment(tmp_path / "tools")
    run(python, "-m", "pip", "install", "--quiet", "twine", cwd=tmp_path)
    said = run(python, "-m", "twine", "check", "--strict", *built.values(), cwd=tmp_path)
    assert said.count("PASSED") == 2


@pytest.mark.slow
def test_wheel_and_source_install_run_the_demo_and_a_chapter(built, index, tmp_path):
    """In a clean environment of this Python, with the pinned versions; the chapter lies in an empty folder."""
    python = new_environment(tmp_path / "env")
    pins = dict(line.split("==") for line in (ROOT / "requirements.txt").read_text().split() if "==" in line)
    environment.install_torch(python, f"torch=={pins['torch']}")
    pip = [python, "-m", "pip", "install", "--quiet", "-c", ROOT / "requirements.txt"]
    run(*pip, f"{built['wheel']}[book]", "nbclient", "ipykernel", cwd=tmp_path)
    check_demo(python, tmp_path)

    chapter = tmp_path / "alone" / "10_fixlip.ipynb"
    chapter.parent.mkdir()
    shutil.copyfile(ROOT / "notebooks" / chapter.name, chapter)
    execute = [python.with_name("jupyter-execute"), "--inplace", "--timeout=600", chapter]
    run(*execute, cwd=chapter.parent, HF_HUB_OFFLINE="1", JUPYTER_PREFER_ENV_PATH="1")
    cells = [cell for cell in nbformat.read(chapter, as_version=4).cells if cell.cell_type == "code"]
    assert all(cell.execution_count for cell in cells)
    assert not [output for cell in cells for output in cell.outputs if output.output_type == "error"]
    assert [path.name for path in chapter.parent.iterdir()] == [chapter.name], (
        "the chapter wrote beside itself"
    )

    run(python, "-m", "pip", "uninstall", "--quiet", "--yes", "fixlip-helpers", cwd=tmp_path)
    run(python.with_name("python"), "-c", "import fixlip_helpers", cwd=tmp_path, ok=False)
    run(*pip, "--no-deps", built["sdist"], cwd=tmp_path)
    check_demo(python, tmp_path)


def stand_in(folder: Path, version: str) -> Path:
    """A wheel with torch's name and version and nothing else."""
    wheel = folder / f"torch-{version}-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as file:
        file.writestr("torch/__init__.py", "")
        info = f"torch-{version}.dist-info"
        file.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: torch\nVersion: {version}\n")
        file.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        file.writestr(f"{info}/RECORD", "")
    return wheel


def run_cell(python: Path, cell: str, folder: Path, **options) -> str:
    """Run a cell as a kernel would, with its magics; then say whether the package is there."""
    script = folder / "cell.ipy"
    script.write_text(
        f"{cell}\nimport fixlip_helpers\nprint('is', fixlip_helpers.__version__)\n", encoding="utf-8"
    )
    return run(python.with_name("ipython"), "--colors=NoColor", script, cwd=folder, **options)


@pytest.mark.slow
@pytest.mark.parametrize("version", COLAB)
def test_colab_keeps_its_torch_numpy_and_transformers(version, built, index, tmp_path):
    """The set-up cell in an environment with Colab's packages: works, changes none of the four, says what failed."""
    python = new_environment(tmp_path / "env", interpreter(version))
    pip = [python, "-m", "pip", "install", "--quiet"]
    run(*pip, stand_in(tmp_path, COLAB_TORCH), *COLAB[version], *COLAB_BOTH, "setuptools", cwd=tmp_path)
    before = versions(python, *KEPT)
    assert before["torch"] == COLAB_TORCH

    wanted = f"git+{set_repository.current()}"
    assert wanted in setup_cell.source()
    cell = setup_cell.source().replace(wanted, built["wheel"].as_uri())
    failed = run_cell(python, cell, tmp_path, ok=False, PIP_NO_INDEX="1", PIP_FIND_LINKS=str(tmp_path))
    assert "Set-up failed, and nothing was changed: pip says why above" in failed
    assert versions(python, *KEPT) == before

    assert "is 0." in run_cell(python, cell, tmp_path)
    assert versions(python, *KEPT) == before
    check_demo(python, tmp_path)
    assert "Set-up failed" not in run_cell(python, cell, tmp_path, PIP_NO_INDEX="1"), (
        "it installs only what is missing"
    )


@pytest.mark.slow
def test_colab_with_too_old_a_torch_ends_in_a_sentence(built, index, tmp_path):
    """It is not replaced behind the reader's back."""
    python = new_environment(tmp_path / "env")
    run(python, "-m", "pip", "install", "--quiet", stand_in(tmp_path, "2.1.0"), "ipython", cwd=tmp_path)
    cell = setup_cell.source().replace(f"git+{set_repository.current()}", built["wheel"].as_uri())
    failed = run_cell(python, cell, tmp_path, ok=False)
    assert "torch must be 2.4 or newer" in failed
    assert versions(python, "torch") == {"torch": "2.1.0"}


def oldest() -> list[str]:
    """Requirements that give every package that is needed in its oldest version that is promised."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    wanted = [*project["dependencies"], *project["optional-dependencies"]["experiments"]]
    return [requirement.replace(">=", "==") for requirement in wanted]


@pytest.mark.slow
@pytest.mark.parametrize("which", ["oldest", "newest"])
def test_all_that_is_public_runs_on_the_oldest_and_on_the_newest_versions(which, built, index, tmp_path):
    """Of every package, torch excepted among the newest: that one is this environment's, for want of a small build."""
    if which == "oldest":
        python = new_environment(tmp_path / "env", interpreter("3.11"))
        wanted = oldest()
    else:
        python = new_environment(tmp_path / "env")
        pins = (ROOT / "requirements.txt").read_text().split()
        wanted = [
            next(pin for pin in pins if pin.startswith("torch==")),
            "--upgrade",
            "--upgrade-strategy=eager",
        ]
    torch = next(pin for pin in wanted if pin.startswith("torch=="))
    environment.install_torch(python, torch)
    run(python, "-m", "pip", "install", "--quiet", *wanted, f"{built['wheel']}[experiments]", cwd=tmp_path)
    check_demo(python, tmp_path)
    said = run(python, ROOT / "tests" / "short_run.py", cwd=tmp_path, HF_HUB_OFFLINE="1", TQDM_DISABLE="1")
    for name in ("mini-clip", "mini-siglip"):
        assert f"{name}: hidden tokens under eager and sdpa" in said and f"{name}: FWBII" in said
    assert "own towers" in said
    evaluate = ["--data", "scenes:pairs:0:1", "--method", "game", "--coalitions", "16", "--p", "0.5"]
    run(python.with_name("fixlip"), "evaluate", *evaluate, "--out", "rows", cwd=tmp_path)
    assert (tmp_path / "rows" / "summary.csv").is_file()


@pytest.mark.slow
def test_bundle_installs_and_runs_with_no_index_in_reach(index, pages, tmp_path):
    """Unpacked in an empty folder: the site is whole, the installer needs no network, a chapter runs."""
    import bundle

    archive = bundle.make(pages, tmp_path / "made")
    assert [path.name for path in (tmp_path / "made").iterdir()] == [archive.name], (
        "nothing half-made is left"
    )
    with tarfile.open(archive) as file:
        file.extractall(tmp_path, filter="data")
    folder = tmp_path / archive.name.removesuffix(".tar.gz")
    assert (folder / "site" / "index.html").is_file()
    for notebook in (folder / "notebooks").glob("*.ipynb"):
        assert nbformat.read(notebook, as_version=4).cells[0].id == "edition", (
            f"{notebook.name} is the source"
        )
    nowhere = {"PIP_INDEX_URL": "http://127.0.0.1:9/", "PIP_EXTRA_INDEX_URL": "", "PIP_FIND_LINKS": ""}
    assert "Ready" in run(sys.executable, "install.py", cwd=folder, **nowhere)
    python = folder / ".venv" / "bin" / "python"
    check_demo(python, folder)
    execute = [
        python.with_name("jupyter-execute"),
        "--inplace",
        "--timeout=600",
        "notebooks/01_coalitions.ipynb",
    ]
    run(*execute, cwd=folder, HF_HUB_OFFLINE="1", JUPYTER_PREFER_ENV_PATH="1")
    assert python.with_name("jupyter-lab").is_file()
