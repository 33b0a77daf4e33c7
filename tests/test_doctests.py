"""The examples in the docstrings, which the API pages show, print what they say."""

import doctest
import importlib
import pkgutil

import pytest

import fixlip_helpers

MODULES = sorted(
    module.name
    for module in pkgutil.walk_packages(fixlip_helpers.__path__, "fixlip_helpers.")
    if not module.name.endswith("__main__")
)


@pytest.mark.parametrize("name", MODULES)
def test_examples(name, monkeypatch):
    monkeypatch.setenv("TQDM_DISABLE", "1")
    assert doctest.testmod(importlib.import_module(name)).failed == 0


def test_there_are_examples():
    finder = doctest.DocTestFinder()
    found = [test for name in MODULES for test in finder.find(importlib.import_module(name)) if test.examples]
    assert len(found) >= 25
