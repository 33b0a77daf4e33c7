"""The runnable edition: each chapter as a notebook that reads well wherever notebooks are opened.

A chapter's source is MyST Markdown, which only the book's own pages understand: in Colab, Kaggle, JupyterLab, VS Code
and on GitHub its directives, roles and glued numbers would stand as source. The runnable edition has the same code
cells, with the outputs that the page shows, between text that needs nothing but GitHub-flavoured Markdown, TeX in
dollars and the few HTML elements that the sanitisers of all of these keep (``ELEMENTS``).

It is written while the book is built. This module is an extension of Sphinx: for each chapter it gets the tree from
which the page's HTML is about to be written, in which every number, reference, citation and glued value is resolved,
and writes ``NN_slug.ipynb`` beside ``NN_slug.html``. So the two cannot differ. Other ways were considered:
sphinx-tojupyter and sphinx-markdown-builder translate the same trees, but know none of the nodes of sphinx-proof,
sphinx-exercise, sphinx-design and myst-nb, and no numbers of figures; mystmd exports plain notebooks out of its own
reading of MyST, whose numbers are not those of these pages.

Three things are as they are for the programs' sake. Pictures in the text are data in the address, as Colab itself
writes them; it shows no attachments (googlecolab/colabtools issue 3836). A formula stands on one line, since the mark
of a quotation at the beginning of its second line would be set with it. And a solution that holds code is folded in
pieces: no element of a text cell can reach over the next cell.

scripts/handout.py hands the notebooks out.
"""

from __future__ import annotations

import base64
import hashlib
import html
import mimetypes
import re
import sys
from collections.abc import Callable, Iterable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

import nbformat
from docutils import nodes
from sphinx import addnodes
from sphinx.locale import admonitionlabels

sys.path.insert(0, str(Path(__file__).resolve().parent))

import publish

import book

ROOT = book.ROOT
# Beside the pages: the digest of what they, and so the notebooks, were built from.
STAMP = "notebooks.made_from"

# The HTML elements that may stand in the text of a cell, and what each may carry.
ELEMENTS = {
    "a": ("href",), "blockquote": (), "details": (), "img": ("alt", "src"), "sub": (), "summary": (), "sup": (),
    "table": (), "tbody": (), "td": (), "th": (), "thead": (), "tr": (),
}  # fmt: skip

# What only the page can show, and the line that stands in its place.
MOVING = {"audio", "canvas", "iframe", "math", "object", "script", "style", "svg", "template", "video"}
ON_THE_PAGE = "*[This part moves: see it on the page.]({address})*"

NOTICE = (
    "**Runnable edition** of [{title}]({page}). Numbers and sentences in the text belong to the stored run, whose "
    "outputs you see; what you run may print others."
)

# The tags of a chapter's cell whose input, or output, the page folds or leaves out.
NO_INPUT = {"hide-input", "hide-cell", "remove-input", "remove_input", "remove-cell"}
NO_OUTPUT = {"hide-output", "hide-cell", "remove-output", "remove_output", "remove-cell"}
TITLE = "#@title "  # how Colab names a cell whose code it hides


class Heading(str):
    """A block of Markdown with which a new cell begins."""


Block = str | int  # a block of Markdown, or the number of a code cell


class _Allowed(HTMLParser):
    """Writes HTML again with nothing but ``ELEMENTS`` and the text between them."""

    def __init__(self) -> None:
        super().__init__()
        self.written: list[str] = []
        self.within: list[str] = []  # elements whose text is none

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        if tag in MOVING:
            self.within.append(tag)
        if tag in ELEMENTS and not self.within:
            kept = "".join(
                f' {name}="{html.escape(value or "")}"' for name, value in attributes if name in ELEMENTS[tag]
            )
            self.written.append(f"<{tag}{kept}>")

    def handle_endtag(self, tag: str) -> None:
        if tag in ELEMENTS and not self.within:
            self.written.append(f"</{tag}>")
        if tag in self.within:
            del self.within[self.within.index(tag) :]

    def handle_data(self, text: str) -> None:
        if not self.within:
            self.written.append(html.escape(text, quote=False))


def allowed(source: str) -> str:
    """HTML without what is not in ``ELEMENTS``; empty if nothing is left."""
    parser = _Allowed()
    parser.feed(source)
    parser.close()
    return "".join(parser.written).strip()


def _escaped(text: str) -> str:
    """Text whose characters mean nothing to Markdown."""
    text = re.sub(r"([\\`*_$<\[\]])", r"\\\1", text.replace("\n", " "))
    return re.sub(r"~~|&(?=#?\w+;)", lambda found: "".join(f"\\{mark}" for mark in found[0]), text)


def _unlike_a_block(line: str) -> str:
    """A paragraph that does not begin as a heading, a list or a quotation would."""
    line = re.sub(r"^(?=[#>+=|~-])", r"\\", line)
    return re.sub(r"^(\d+)(?=[.)])", r"\1\\", line)


def _around(inner: str, before: str, after: str | None = None) -> str:
    """Marks around text, but inside the blanks at its ends; nothing around nothing."""
    core = inner.strip()
    if not core:
        return inner
    start = inner.index(core)
    return inner[:start] + before + core + (before if after is None else after) + inner[start + len(core) :]


def _formula(node: nodes.Node) -> str:
    return " ".join(node.astext().split())


def _quoted(blocks: Iterable[str]) -> str:
    return "\n".join(f"> {line}".rstrip() for line in "\n\n".join(blocks).split("\n"))


def _folded(summary: str, blocks: Iterable[str]) -> str:
    return "\n\n".join([f"<details><summary>{summary}</summary>", *blocks, "</details>"])


class Translator:
    """From the resolved tree of a chapter's page to blocks of Markdown and numbers of code cells, in order."""

    def __init__(self, app: Any, docname: str) -> None:
        self.env, self.docname = app.env, docname
        self.formats = app.config.numfig_format
        self.page = urljoin(publish.address(), f"{docname}.html")
        self.numbers = app.env.toc_fignumbers.get(docname, {})
        self.sections = app.env.toc_secnumbers.get(docname, {})
        self.source = Path(app.srcdir)
        self.depth = 0
        self.in_table = False
        self.names: dict[int, str] = {}  # of code cells whose code is hidden, by number

    # --- Numbers and addresses, as Sphinx's writer of HTML finds them -----------------------------------------

    def numbered(self, node: nodes.Element) -> str:
        """Kind and number of a figure, theorem or exercise, such as ``Fig. 3 ``; empty if it has none."""
        kind = self.env.get_domain("std").get_enumerable_node_type(node)
        number = self.numbers.get(kind, {}).get(node["ids"][0]) if kind and node["ids"] else None
        counted = ".".join(map(str, number or ()))
        if "realtype" in node:
            return f"{node['realtype'].title()} {counted}".strip() + " "
        return f"{self.formats[kind] % counted} " if counted else ""

    def address(self, node: nodes.Element) -> str:
        """Where a reference leads on the published site."""
        if isinstance(node, addnodes.download_reference):
            return urljoin(publish.address(), f"_downloads/{node['filename']}")
        return urljoin(self.page, node["refuri"] if "refuri" in node else f"#{node['refid']}")

    # --- Within a line ---------------------------------------------------------------------------------------

    def line(self, children: Iterable[nodes.Node]) -> str:
        """The nodes in a row. In VS Code no dollar stands beside a letter: a blank of no width keeps them apart."""
        written, after_formula = "", False
        for node in children:
            text, formula = self.inline(node), isinstance(node, nodes.math)
            if re.match(r"\w", text) if after_formula else formula and re.search(r"\w$", written):
                written += "&#8203;"
            written, after_formula = written + text, formula
        return written

    def inline(self, node: nodes.Node) -> str:
        if isinstance(node, nodes.Text):
            text = _escaped(node.astext())
            return text.replace("|", "\\|") if self.in_table else text
        if isinstance(node, nodes.emphasis):
            return _around(self.line(node), "*")
        if isinstance(node, nodes.strong):
            return _around(self.line(node), "**")
        if isinstance(node, nodes.literal):
            return self.literal(node.astext())
        if isinstance(node, nodes.math):
            formula = _formula(node)
            return "$" + (formula.replace("|", r"\vert ") if self.in_table else formula) + "$"
        if isinstance(node, nodes.footnote_reference):
            return f"[\\[{_escaped(node.astext())}\\]]({self.address(node)})"
        if isinstance(node, nodes.reference | addnodes.download_reference):
            return _around(self.line(node), "[", f"]({self.address(node)})")
        if isinstance(node, nodes.inline):
            if "bibtex-citation" in node["classes"]:  # brackets around links end no link themselves
                return "".join(
                    child.astext() if isinstance(child, nodes.Text) else self.inline(child) for child in node
                )
            return self.line(node)
        if isinstance(node, nodes.superscript | nodes.subscript):
            return _around(self.line(node), f"<{node.tagname[:3]}>", f"</{node.tagname[:3]}>")
        if isinstance(node, nodes.image):
            return self.picture(node)
        if isinstance(node, nodes.raw):
            if node["format"] == "html" and node.astext().startswith("<br"):
                return " " if self.in_table else "\\\n"
            return allowed(node.astext()) if node["format"] == "html" else ""
        if isinstance(node, nodes.target | nodes.comment):
            return ""
        if isinstance(node, nodes.Inline):  # keys, abbreviations and the like are words
            return self.line(node)
        raise self.unknown(node)

    def literal(self, text: str) -> str:
        text = " ".join(text.split())
        fence = "`" * (1 + max(map(len, re.findall("`+", text)), default=0))
        blank = " " if text.startswith("`") or text.endswith("`") else ""
        return fence + blank + (text.replace("|", "\\|") if self.in_table else text) + blank + fence

    def picture(self, node: nodes.image) -> str:
        path = self.source / node["uri"]
        kind = mimetypes.guess_type(path.name)[0]
        data = base64.b64encode(path.read_bytes()).decode()
        return f"![{_escaped(node.get('alt', ''))}](data:{kind};base64,{data})"

    def summary(self, children: Iterable[nodes.Node]) -> str:
        """What stands on a fold: words and links, since within an HTML element Markdown is none."""
        written = ""
        for node in children:
            if isinstance(node, nodes.Text | nodes.literal):
                written += html.escape(" ".join(re.split(r"\s+", node.astext())), quote=False)
            elif isinstance(node, nodes.math):
                written += "$" + _formula(node).replace("<", r"\lt ") + "$"
            elif isinstance(node, nodes.reference):
                link = f'<a href="{html.escape(self.address(node))}">'
                written += _around(self.summary(node), link, "</a>")
            elif not isinstance(node, nodes.raw):  # the little arrow
                written += self.summary(node)
        return written

    # --- Blocks ----------------------------------------------------------------------------------------------

    def blocks(self, children: Iterable[nodes.Node]) -> list[Block]:
        return [block for node in children for block in self.block(node) if block != ""]

    def text(self, children: Iterable[nodes.Node], holder: nodes.Element) -> list[str]:
        """Blocks of what can hold no cell, such as an item of a list."""
        blocks = self.blocks(children)
        if any(isinstance(block, int) for block in blocks):
            raise self.unknown(holder, "that holds a code cell")
        return blocks

    def block(self, node: nodes.Node) -> list[Block]:
        kind = type(node).__name__
        if isinstance(node, nodes.section):
            return self.section(node)
        if isinstance(node, nodes.paragraph):
            return [_unlike_a_block(self.line(node).strip())]
        if isinstance(node, nodes.bullet_list | nodes.enumerated_list):
            return [self.items(node)]
        if isinstance(node, nodes.definition_list):
            return [self.definitions(node)]
        if isinstance(node, nodes.block_quote):
            return [_quoted(self.text(node, node))]
        if isinstance(node, nodes.attribution):
            return [f"— {self.line(node)}"]
        if isinstance(node, nodes.math_block):
            return [self.display(node)]
        if isinstance(node, nodes.literal_block):
            fence = "`" * max(3, 1 + max(map(len, re.findall("`+", node.astext())), default=0))
            language = node.get("language", "")
            return [f"{fence}{'' if language in ('none', 'default') else language}\n{node.astext()}\n{fence}"]
        if isinstance(node, nodes.table):
            return self.table(node)
        if isinstance(node, nodes.figure):
            return [*map(self.picture, node.findall(nodes.image)), *self.captions(node)]
        if isinstance(node, nodes.image):
            return [self.picture(node)]
        if isinstance(node, nodes.footnote):
            return [self.footnote(node)]
        if isinstance(node, nodes.rubric):
            return [_around(self.line(node), "**")]
        if isinstance(node, nodes.raw):
            return self.raw(node)
        if isinstance(node, nodes.transition):
            return ["---"]
        if isinstance(node, nodes.target | nodes.comment):
            return []
        if kind == "dropdown_main":
            title, *body = node.children
            return self.fold(self.summary(title), body)
        if kind == "solution_node" or (isinstance(node, nodes.Admonition) and "dropdown" in node["classes"]):
            title, *body = node.children
            return self.fold(html.escape(self.numbered(node)) + self.summary(title), body)
        if kind == "proof_node" or isinstance(node, nodes.compound):
            return self.blocks(node)
        if isinstance(node, nodes.Admonition | nodes.sidebar | nodes.topic):
            return self.box(node)
        if isinstance(node, nodes.container):
            if node.get("nb_element") == "cell_code":
                return self.code(node)
            return self.blocks(node)
        raise self.unknown(node)

    def raw(self, node: nodes.raw) -> list[Block]:
        if node["format"] != "html":
            return []
        source = node.astext()
        if re.search("<(audio|canvas|iframe|object|script|video)\\b", source):
            place = next((holder["ids"][0] for holder in _holders(node) if holder.get("ids")), "")
            return [allowed(source), ON_THE_PAGE.format(address=f"{self.page}#{place}")]
        return [allowed(source)]

    def section(self, node: nodes.section) -> list[Block]:
        """A heading and what follows; the content of a theorem or an exercise is a section, too, without one."""
        if not isinstance(node.children[0], nodes.title):
            return self.blocks(node)
        self.depth += 1
        title, *rest = node.children
        anchor = "" if self.depth == 1 else f"#{node['ids'][0]}"
        number = "".join(f"{part}." for part in self.sections.get(anchor) or ())
        heading = Heading(f"{'#' * self.depth} {number} {self.line(title).strip()}".replace("  ", " "))
        found = [heading, *self.blocks(rest)]
        self.depth -= 1
        return found

    def items(self, node: nodes.Element) -> str:
        written = []
        tight = all(len(item) == 1 and isinstance(item[0], nodes.paragraph) for item in node)
        for number, item in enumerate(node, node.get("start", 1)):
            mark = f"{number}. " if isinstance(node, nodes.enumerated_list) else "- "
            lines = "\n\n".join(self.text(item, node)).split("\n")
            written.append(mark + "\n".join((" " * len(mark) + line).rstrip() for line in lines).lstrip())
        return ("\n" if tight else "\n\n").join(written)

    def definitions(self, node: nodes.definition_list) -> str:
        """A list of terms in bold, each with what follows it."""
        written = []
        for item in node:
            terms = " ".join(
                _around(self.line(part), "**") for part in item if not isinstance(part, nodes.definition)
            )
            body = self.text((child for part in item.findall(nodes.definition) for child in part), node)
            lines = "\n\n".join([terms, *body]).split("\n")
            written.append("- " + "\n".join(f"  {line}".rstrip() for line in lines).lstrip())
        return "\n\n".join(written)

    def footnote(self, node: nodes.footnote) -> str:
        label, *body = node.children
        back = f"{self.page}#{node['backrefs'][0]}"
        return "\n\n".join([f"\\[[{_escaped(label.astext())}]({back})\\]", *self.text(body, node)]).replace(
            "\n\n", " ", 1
        )

    def display(self, node: nodes.math_block) -> str:
        formula = _formula(node)
        if r"\\" in formula and not formula.startswith(r"\begin{"):
            formula = rf"\begin{{aligned}} {formula} \end{{aligned}}"
        number = self.numbers.get("displaymath", {}).get(node["ids"][0]) if node["ids"] else None
        tag = rf" \tag{{{'.'.join(map(str, number))}}}" if number else ""
        return f"$${formula}{tag}$$"

    def table(self, node: nodes.table) -> list[str]:
        """The table, under its number and title if it has one; without a head, an empty one."""
        titles = [_around(f"{_escaped(self.numbered(node))}{self.line(title)}", "**")
                  for title in node.children if isinstance(title, nodes.title)]  # fmt: skip
        self.in_table = True
        head, body = (
            [[self.cell(entry) for entry in row] for part in node.findall(kind) for row in part]
            for kind in (nodes.thead, nodes.tbody)
        )
        self.in_table = False
        columns = len((head or body)[0])
        first, *rest = [*(head or [[""] * columns]), *body]
        lines = [f"| {' | '.join(row)} |" for row in (first, ["---"] * columns, *rest)]
        return [*titles, "\n".join(lines)]

    def cell(self, entry: nodes.entry) -> str:
        if "morecols" in entry or "morerows" in entry:
            raise self.unknown(entry, "that spans rows or columns")
        if not all(isinstance(child, nodes.paragraph) for child in entry):
            raise self.unknown(entry, "with more than lines of text in it")
        return " ".join(self.line(child).strip() for child in entry)

    def box(self, node: nodes.Element) -> list[Block]:
        """A definition, theorem, proof, exercise or remark: quoted, under its title in bold."""
        body, head = node.children, []
        if body and isinstance(body[0], nodes.title):  # a proof has none: its first word says what it is
            title, *body = body
            head = [_around(" ".join(f"{_escaped(self.numbered(node))}{self.line(title)}".split()), "**")]
        elif node.tagname in admonitionlabels:  # a note, a warning: the writer names them
            head = [f"**{admonitionlabels[node.tagname]}**"]
        return self.pieces(body, lambda text, first: _quoted([*head, *text] if first else text))

    def fold(self, summary: str, body: Iterable[nodes.Node]) -> list[Block]:
        return self.pieces(
            body, lambda text, first: _folded(summary if first else f"{summary}, continued", text)
        )

    def pieces(self, body: Iterable[nodes.Node], framed: Callable[[list[str], bool], str]) -> list[Block]:
        """A frame around each run of text; code between them stands in cells of its own."""
        runs: list[list[str] | int] = [[]]
        for block in self.blocks(body):
            if isinstance(block, int):
                runs.append(block)
            elif isinstance(runs[-1], list):
                runs[-1].append(block)
            else:
                runs.append([block])
        return [run if isinstance(run, int) else framed(run, k == 0) for k, run in enumerate(runs)]

    def code(self, node: nodes.container) -> list[Block]:
        """The cell itself, and under it what the page writes under its figure."""
        index, figures = node["cell_index"], node.findall(nodes.figure)
        if "prompt_show" in node:  # what the page's bar says
            self.names[index] = node["prompt_show"]
        return [index, *(caption for figure in figures for caption in self.captions(figure))]

    def captions(self, figure: nodes.figure) -> list[str]:
        """What stands under a figure: its number and caption, then its legend."""
        number, written = _around(_escaped(self.numbered(figure)), "**"), []
        for child in figure:
            if isinstance(child, nodes.caption):
                written.append(number + self.line(child).strip())
            elif isinstance(child, nodes.legend):
                written += self.text(child, child)
        return written

    def unknown(self, node: nodes.Node, which: str = "") -> ValueError:
        return ValueError(
            f"{self.docname}, line {node.line}: the runnable edition cannot write a {type(node).__name__} {which} "
            f"({' '.join(node.astext().split())[:60]!r}); teach Translator in scripts/edition.py how, or write it "
            "otherwise"
        )


def _holders(node: nodes.Node) -> Iterable[nodes.Node]:
    while node.parent is not None:
        node = node.parent
        yield node


def _code_cell(cell: nbformat.NotebookNode, name: str) -> nbformat.NotebookNode:
    """A chapter's cell with its code and outputs, whose input is hidden, in each program's way, if the page's is."""
    tags = set(cell.metadata.get("tags", []))
    metadata: dict[str, Any] = {}
    source = cell.source
    if tags & NO_INPUT:
        source = f"{TITLE}{name}\n{source}"
        metadata = {"cellView": "form", "jupyter": {"source_hidden": True}}
    if tags & NO_OUTPUT:
        metadata.setdefault("jupyter", {})["outputs_hidden"] = True
        metadata["collapsed"] = True
    described = cell.metadata.get("mystnb", {}).get("image", {}).get("alt")
    if described:  # nbconvert, and what is made with it, looks for a picture's description here
        metadata["alt"] = described
    return nbformat.v4.new_code_cell(
        source, id=cell.id, outputs=cell.outputs, execution_count=cell.execution_count, metadata=metadata
    )


def edition(
    app: Any, tree: nodes.document, docname: str, run: nbformat.NotebookNode
) -> nbformat.NotebookNode:
    """The runnable edition of a chapter.

    Parameters
    ----------
    app : sphinx.application.Sphinx
        The build, whose environment knows the numbers.
    tree : docutils.nodes.document
        The chapter's tree, resolved for HTML.
    docname : str
        Its name, such as ``notebooks/10_fixlip``.
    run : nbformat.NotebookNode
        The chapter as it was run for the page, or stored.

    Raises
    ------
    ValueError
        If the tree holds something that the edition has no form for.
    """
    translator = Translator(app, docname)
    blocks = translator.blocks(tree.children)
    title = next(block for block in blocks if isinstance(block, Heading)).lstrip("# ")
    cells = [nbformat.v4.new_markdown_cell(NOTICE.format(title=title, page=translator.page), id="edition")]
    left = [k for k, cell in enumerate(run.cells) if cell.cell_type == "code"]
    text: list[str] = []

    def close() -> None:
        if text:
            cells.append(nbformat.v4.new_markdown_cell("\n\n".join(text), id=f"text-{len(cells):03d}"))
            text.clear()

    def code(upto: int) -> None:  # cells of which the page shows nothing are run all the same
        while left and left[0] <= upto:
            k = left.pop(0)
            cells.append(_code_cell(run.cells[k], translator.names.get(k, "Code")))

    for block in blocks:
        if isinstance(block, int):
            close()
            code(block)
        else:
            if isinstance(block, Heading):
                close()
            text.append(block)
    close()
    code(len(run.cells))
    return nbformat.v4.new_notebook(cells=cells, metadata=run.metadata)


def write(app: Any, tree: nodes.document, docname: str) -> None:
    """Write a chapter's edition beside its page (called by Sphinx when the tree is resolved)."""
    if app.builder.name != "html" or not str(app.env.doc2path(docname)).endswith(".ipynb"):
        return
    output = Path(app.outdir)
    run = nbformat.read(output.parent / "jupyter_execute" / f"{docname}.ipynb", as_version=4)
    path = output / f"{docname}.ipynb"
    path.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(edition(app, tree, docname, run), path)


def made_from() -> str:
    """Digest of what the notebooks are made from."""
    digest = hashlib.sha256()
    named = [ROOT / name for name in ("_config.yml", "_toc.yml", "pyproject.toml", "requirements.txt")]
    patterns = ("notebooks/*.ipynb", "book/**/*.md", "book/*.bib", "scripts/*.py")
    for path in [*named, *sorted(path for pattern in patterns for path in ROOT.glob(pattern))]:
        digest.update(path.relative_to(ROOT).as_posix().encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


def begin(app: Any) -> None:
    """From here on, what lies in the output is half made."""
    app.made_from = made_from()
    (Path(app.outdir).parent / STAMP).unlink(missing_ok=True)


def end(app: Any, error: Exception | None) -> None:
    if error is None and app.builder.name == "html":
        (Path(app.outdir).parent / STAMP).write_text(app.made_from, encoding="utf-8")


def setup(app: Any) -> dict[str, bool]:
    app.connect("builder-inited", begin)
    app.connect("doctree-resolved", write, priority=900)
    app.connect("build-finished", end)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
