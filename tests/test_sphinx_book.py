"""Displayed code has no plumbing and is the same code otherwise; bars say what they hide."""

import ast
from pathlib import Path

import nbformat
import pytest
import sphinx_book

CHAPTERS = sorted((Path(__file__).resolve().parent.parent / "notebooks").glob("*.ipynb"))

CASES = [
    ("glue('a', 1)", ""),
    ("x = 1\nglue('a', x)", "x = 1"),
    ("# numbers for the text\nglue('a', 1)\nprint(2)  # two", "print(2)  # two"),
    ("for n in (1, 2):\n    glue(f'a{n}', n)\nprint(3)", "print(3)"),
    ("for n in (1, 2):\n    print(n)\n    glue(f'a{n}', n)", "for n in (1, 2):\n    print(n)"),
    (
        "for n in (1, 2):\n    if n > 1:\n        glue(\n            'a',\n            n,\n        )\nx = 1",
        "x = 1",
    ),
    ("from fixlip_helpers.notebook import glue\nimport numpy", "import numpy"),
    ("%pip install something\nglue('a', 1)\nx = 1", "%pip install something\nx = 1"),
    ("def f():\n    glue('a', 1)\n\n\nf()", "def f():\n    glue('a', 1)\n\n\nf()"),  # it would have no body
    ("if x:\n    glue('a', 1)\nelse:\n    print(x)", "if x:\n    glue('a', 1)\nelse:\n    print(x)"),
    ("text = 'glue(1)'\nunglue(2)", "text = 'glue(1)'\nunglue(2)"),
]


@pytest.mark.parametrize(("source", "shown"), CASES)
def test_plumbing_is_not_displayed(source, shown):
    assert sphinx_book.displayed(source) == shown


class _WithoutGlue(ast.NodeTransformer):
    """Says independently what is left: the calls go, then whatever holds nothing any more."""

    def visit_Expr(self, node):
        is_glue = isinstance(node.value, ast.Call) and getattr(node.value.func, "id", "") == "glue"
        return None if is_glue else node

    def visit_ImportFrom(self, node):
        return None if [name.name for name in node.names] == ["glue"] else node

    def _block(self, node):
        self.generic_visit(node)
        return node if node.body or getattr(node, "orelse", []) else None

    visit_For = visit_While = visit_If = visit_With = _block


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
def test_displayed_code_of_a_chapter_is_its_code_without_plumbing(path):
    for cell in nbformat.read(path, as_version=4).cells:
        if cell.cell_type != "code" or "%pip" in cell.source:
            continue
        left = _WithoutGlue().visit(ast.parse(cell.source))
        shown = sphinx_book.displayed(cell.source)
        assert ast.dump(ast.parse(shown)) == ast.dump(left), cell.source
        assert "glue(" not in shown
