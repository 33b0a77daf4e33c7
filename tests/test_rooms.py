"""The rooms of the package and the groups of tests as the contributing page draws them; the short names of modules.

Who may import from whom is checked by import-linter in ``make lint``.
"""

import re
import tomllib
from importlib import import_module
from pathlib import Path

import pytest

import fixlip_helpers

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "fixlip_helpers"
ROOMS = ("commands", "experiments", "world", "showing", "encoders")


@pytest.fixture(scope="module")
def rows():
    """The table of the contributing page: names in the first cell, text of the second."""
    page = (ROOT / "book" / "contributing.md").read_text(encoding="utf-8")
    lines = re.findall(r"^\| (`.*`) \| (.*) \|$", page.partition("## The package")[2], flags=re.MULTILINE)
    return [(re.findall(r"`(\w+)`", names), text) for names, text in lines]


def test_the_drawing_of_the_package_is_the_contract_that_is_checked(rows):
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    contract, _ = project["tool"]["importlinter"]["contracts"]
    drawn = [sorted(names) for names, _ in rows]
    assert drawn == [sorted(re.split(r" \| ", layer)) for layer in contract["layers"]]
    there = {path.stem for path in PACKAGE.glob("*.py")} | {
        path.parent.name for path in PACKAGE.glob("*/*.py")
    }
    assert {name for names in drawn for name in names} == there - {"__init__"}


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_s_row_names_every_module_in_it(rows, room):
    (text,) = (text for names, text in rows if room in names)
    modules = {path.stem for path in (PACKAGE / room).glob("*.py")} - {"__init__"}
    assert not modules - set(re.findall(r"`(\w+)`", text))


def test_the_core_that_knows_no_network_is_all_that_is_drawn_below_the_encoders(rows):
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    _, contract = project["tool"]["importlinter"]["contracts"]
    drawn = [names for names, _ in rows]
    below = {name for names in drawn[drawn.index(["encoders"]) + 1 :] for name in names}
    assert {name.removeprefix("fixlip_helpers.") for name in contract["source_modules"]} == below


@pytest.mark.parametrize("name", fixlip_helpers.SHORT_NAMES)
def test_a_short_name_is_the_module_in_its_room_and_not_a_copy(name):
    short = import_module(f"fixlip_helpers.{name}")
    long = import_module(f"fixlip_helpers.{fixlip_helpers.SHORT_NAMES[name]}.{name}")
    assert short is long is getattr(fixlip_helpers, name)
    assert long.__name__ == long.__spec__.name == f"fixlip_helpers.{fixlip_helpers.SHORT_NAMES[name]}.{name}"


def test_a_name_that_is_nowhere_is_an_import_error():
    with pytest.raises(ModuleNotFoundError, match=r"fixlip_helpers\.paintings"):
        import_module("fixlip_helpers.paintings")


def test_the_package_imports_by_long_names_which_the_contract_can_follow():
    short = "|".join(fixlip_helpers.SHORT_NAMES)
    pattern = rf"^ *(?:from fixlip_helpers\.(?:{short}) import|from fixlip_helpers import .*\b(?:{short})\b)"
    for path in PACKAGE.rglob("*.py"):
        assert not re.search(pattern, path.read_text(encoding="utf-8"), flags=re.MULTILINE), path


def test_every_file_of_tests_stands_in_one_group_of_the_table():
    page = (ROOT / "book" / "contributing.md").read_text(encoding="utf-8").partition("## The tests")[2]
    cells = re.findall(r"^\|[^|]*\|[^|]*\|(.*`.*)\|[^|]*\|$", page, flags=re.MULTILINE)
    named = [name for cell in cells for name in re.findall(r"`([\w*]+)`", cell)]
    found = [path.name for name in named for path in (ROOT / "tests").glob(f"test_{name}.py")]
    assert sorted(found) == sorted(path.name for path in (ROOT / "tests").glob("test_*.py"))
