"""The repository as a whole: one public address, nothing of the machine it was made on, nothing left out."""

import json
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
import set_repository
import yaml
from packaging.specifiers import SpecifierSet

ROOT = Path(__file__).resolve().parent.parent
OURS = set_repository.current()

# Repositories of others that the course names.
THEIRS = {"hbaniecki/fixlip", "huggingface/transformers", "mmschlk/shapiq"}

ANOTHER = "somebody/some-course"


@pytest.fixture(scope="module")
def texts() -> dict[str, str]:
    if not (ROOT / ".git").exists():
        pytest.skip("not a clone: no list of tracked files")
    return {path.relative_to(ROOT).as_posix(): text for path, text in set_repository.tracked_texts().items()}


def test_every_address_of_the_repository_is_the_one_in_pyproject(texts):
    slug = OURS.removeprefix("https://github.com/")
    links = re.compile(
        r"(?:github(?:usercontent)?\.com|colab\.research\.google\.com/github)/(?!github/)([\w.-]+/[\w.-]+)"
    )
    strays = []
    for name, text in texts.items():
        for found in links.findall(text):
            found = found.removesuffix(".git").rstrip(".")
            if found not in THEIRS | {slug, "OWNER/NAME"}:
                strays.append(f"{name}: {found}")
    assert not strays, "\n".join(strays)


def test_what_is_derived_has_the_address(texts):
    assert f"repository_url: {OURS}\n" in texts["_config.yml"]
    assert f'Repository = "{OURS}"' in texts["pyproject.toml"]
    assert f"git clone {OURS}\n" in texts["book/setup.md"]


def test_set_repository_leaves_no_place_behind(tmp_path, texts):
    """In a copy: after the command nothing holds the old address."""
    for name, text in texts.items():
        target = tmp_path / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8")
    git = ["git", "-c", "core.excludesFile=/dev/null", "-C", str(tmp_path)]
    subprocess.run([*git, "init", "-q"], check=True)
    subprocess.run([*git, "add", "--all", "--force"], check=True)
    command = [sys.executable, str(tmp_path / "scripts" / "set_repository.py")]
    new = f"https://github.com/{ANOTHER}"
    subprocess.run([*command, new], check=True, stdout=subprocess.DEVNULL)
    old = OURS.removeprefix("https://github.com/")
    assert not [path for path in texts if old in (tmp_path / path).read_text(encoding="utf-8")]
    assert f'repository = "{new}"' in (tmp_path / "pyproject.toml").read_text(encoding="utf-8")
    refused = subprocess.run([*command, ANOTHER], capture_output=True, text=True)
    assert refused.returncode != 0 and "https://github.com/OWNER/NAME" in refused.stderr


# Written in two parts, so that this file does not hold them.
UNWANTED = {
    "a registry's or content network's address": [
        "py" + "pi.org", "pythonhosted" + ".org", "npmjs" + ".org", "download.py" + "torch.org", "jsd" + "elivr",
        "unpkg" + ".com", "cdnjs." + "cloudflare", "fonts.google" + "apis.com",
    ],
    "a path of one machine": ["/ro" + "ot/", "/ho" + "me/", "/wo" + "rk/", "/Us" + "ers/"],
    "unfinished work": ["TO" + "DO", "FIX" + "ME", "XX" + "X ", "lorem " + "ipsum"],
}  # fmt: skip


@pytest.mark.parametrize("kind", UNWANTED)
def test_nothing_unwanted(kind, texts):
    found = []
    for name, text in texts.items():
        searched = text
        if name.endswith(".ipynb"):  # pictures are base64 and may spell anything
            searched = re.sub(r"[A-Za-z0-9+/=]{200,}", "", text)
        found += [f"{name}: {word}" for word in UNWANTED[kind] if word in searched]
    assert not found, f"{kind}:\n" + "\n".join(found)


def test_toc_names_every_page_and_chapter():
    toc = yaml.safe_load((ROOT / "_toc.yml").read_text(encoding="utf-8"))
    entries = [toc["root"]]
    for part in toc["parts"]:
        for entry in part["chapters"]:
            entries += [entry["file"], *(section["file"] for section in entry.get("sections", []))]
    pages = {path.with_suffix("").relative_to(ROOT).as_posix() for path in (ROOT / "book").rglob("*.md")}
    chapters = {
        path.with_suffix("").relative_to(ROOT).as_posix() for path in (ROOT / "notebooks").glob("*.ipynb")
    }
    assert set(entries) == pages | chapters | {"index"}
    assert len(entries) == len(set(entries))


def test_notice_names_every_thing_that_is_not_ours(texts):
    notice = texts["NOTICE"]
    assets = ROOT / "fixlip_helpers" / "assets"
    for path in [*(assets / "sprites").iterdir(), *assets.glob("*.jpg")]:
        assert path.name in notice, f"{path.name} has no source and licence in NOTICE"
    vendors = ("book/_static/vendor", "scripts/slides_assets/vendor", "tests/vendor")
    for folder in (folder for vendor in vendors for folder in (ROOT / vendor).iterdir()):
        assert folder.name in notice
        assert (folder / "LICENSE").is_file()


def test_wheel_holds_what_the_package_needs(tmp_path, texts):
    """An installed package, not only a clone, has models, pictures and the explorer."""
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    held = set(zipfile.ZipFile(wheel).namelist())
    tracked = [name for name in texts if name.startswith("fixlip_helpers/")]
    wanted = [
        *tracked,
        *(f"fixlip_helpers/{name}" for name in texts if name.startswith(("results/", "web/"))),
    ]
    assert not [name for name in wanted if name not in held]
    wanted = [
        path
        for path in (ROOT / "fixlip_helpers" / "assets").rglob("*")
        if path.suffix in (".png", ".safetensors")
    ]
    assert not [path for path in wanted if path.relative_to(ROOT).as_posix() not in held]
    scripts = next(name for name in held if name.endswith("entry_points.txt"))
    assert "fixlip = fixlip_helpers.cli:main" in zipfile.ZipFile(wheel).read(scripts).decode()


def test_requirements_are_exact_and_cover_the_package():
    lines = (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines()
    pins = [line for line in lines if line and not line.startswith("#")]
    assert all(re.fullmatch(r"[a-z0-9.-]+==[\w.]+", pin) for pin in pins)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    names = {pin.split("==")[0] for pin in pins}
    for line in project["dependencies"] + project["optional-dependencies"]["book"]:
        assert re.split("[<>=]", line)[0] in names, f"{line} is not in requirements.txt"
        assert not re.search("[<~]|==", line), (
            f"{line}: loose, so that installing the package changes nothing"
        )


def test_binder_installs_what_the_package_needs_at_its_bounds():
    """conda-forge calls three of them otherwise; of torch it has a build without CUDA."""
    environment = yaml.safe_load((ROOT / ".binder" / "environment.yml").read_text(encoding="utf-8"))
    assert environment["channels"] == ["conda-forge"]
    (by_pip,) = [line["pip"] for line in environment["dependencies"] if isinstance(line, dict)]
    lines = [line for line in environment["dependencies"] if isinstance(line, str)] + by_pip
    names = {"huggingface_hub": "huggingface-hub", "matplotlib-base": "matplotlib", "pytorch-cpu": "torch"}
    given = dict(re.fullmatch(r"([a-z_-]+)(.*)", line).groups() for line in lines)
    given = {names.get(name, name): bound for name, bound in given.items()}

    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    needed = project["dependencies"] + project["optional-dependencies"]["book"]
    wanted = dict(re.fullmatch(r"([a-z-]+)(.*)", line).groups() for line in needed)
    assert {name: given.get(name) for name in wanted} == wanted
    python = given["python"].removeprefix("=")
    assert python in SpecifierSet(project["requires-python"])
    others = set(given) - set(wanted) - {"python", "pip"}  # without bounds, and needed by shapiq
    pins = (ROOT / "requirements.txt").read_text(encoding="utf-8")
    assert all(given[name] == "" and f"\n{name}==" in pins for name in others), others
    script = (ROOT / ".binder" / "postBuild").read_text(encoding="utf-8")
    assert "\npython -m pip install --no-deps .\n" in script


def test_notebooks_hold_no_metadata_of_an_editor():
    for path in (ROOT / "notebooks").glob("*.ipynb"):
        metadata = json.loads(path.read_text(encoding="utf-8"))["metadata"]
        assert set(metadata) <= {"kernelspec", "language_info"}


def test_the_recorded_benchmarks_are_whole_and_shown():
    from benchmarks.__main__ import BENCHMARKS

    recorded = (ROOT / "results" / "benchmarks.txt").read_text(encoding="utf-8")
    assert recorded.startswith("cores ") and "date 20" in recorded.splitlines()[0]
    for name in BENCHMARKS:
        assert f"\n{name}: holds\n" in recorded, name
    assert "{literalinclude} ../results/benchmarks.txt" in (ROOT / "book" / "benchmarks.md").read_text(
        encoding="utf-8"
    )


def test_the_recorded_times_of_the_chapters_are_whole_and_within_what_is_promised():
    lines = (ROOT / "results" / "chapters.txt").read_text(encoding="utf-8").splitlines()
    times = {name: (int(seconds), int(cell)) for name, seconds, cell in map(str.split, lines[3:-1])}
    assert sorted(times) == sorted(path.stem for path in (ROOT / "notebooks").glob("*.ipynb"))
    assert all(seconds <= 180 and cell <= 60 for seconds, cell in times.values())
    assert sum(seconds for seconds, _ in times.values()) <= 900


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("npm") is None, reason="no npm")
def test_types_of_the_scripts(tmp_path):
    """The annotations in web/ agree with what the code does, as far as the TypeScript compiler can tell."""
    install = ["npm", "install", "--no-audit", "--no-fund", "--prefix", str(tmp_path), "typescript@5.9.3"]
    subprocess.run(install, check=True, capture_output=True)
    check = [str(tmp_path / "node_modules" / ".bin" / "tsc"), "-p", str(ROOT / "web" / "jsconfig.json")]
    result = subprocess.run(check, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout


def test_the_map_and_the_chapters_agree_on_what_a_chapter_needs():
    def chapters_in(text):
        spans = re.findall(r"\b(\d\d) to (\d\d)\b", text)
        named = {int(number) for number in re.findall(r"(?<![\d–])(\d\d)(?=_|\b)", text)}
        return named | {number for low, high in spans for number in range(int(low), int(high) + 1)}

    rows = re.findall(
        r"^\| \{doc\}`(\d\d) <[^>]*>` [^|]*\| ([^|]*) \|", (ROOT / "book/map.md").read_text("utf-8"), re.M
    )
    assert len(rows) == 19
    for number, needs in rows:
        (path,) = (ROOT / "notebooks").glob(f"{number}_*.ipynb")
        cells = ["".join(cell["source"]) for cell in json.loads(path.read_text("utf-8"))["cells"]]
        (asked,) = [
            re.search(r"\*\*Prerequisites\.\*\*(.*)", text)[1]
            for text in cells
            if "**Prerequisites.**" in text
        ]
        assert chapters_in(asked) == chapters_in(needs), (number, asked, needs)
