"""The runnable edition says what the pages say, in Markdown that every program for notebooks knows.

Two texts are compared, that of a page as it was built and that of its notebook as a plain CommonMark parser reads it:
every word, number, formula and link, in order.
"""

import difflib
import itertools
import os
import re
import subprocess
import sys
import tarfile
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import unquote, urljoin

import bundle
import edition
import handout
import nbformat
import publish
import pytest
import yaml
from bs4 import BeautifulSoup, Tag
from docutils import nodes
from markdown_it import MarkdownIt
from mdit_py_plugins.dollarmath import dollarmath_plugin
from PIL import Image

import book

ROOT = Path(__file__).resolve().parent.parent
CHAPTERS = sorted(path.stem for path in (ROOT / "notebooks").glob("*.ipynb"))

# The parser: CommonMark with tables and dollars, and nothing else.
PARSER = MarkdownIt("commonmark").enable("table").use(dollarmath_plugin)

# What the sanitisers of Colab, Kaggle, JupyterLab, VS Code and GitHub all keep.
ALLOWED = {
    "a",
    "blockquote",
    "details",
    "img",
    "sub",
    "summary",
    "sup",
    "table",
    "tbody",
    "td",
    "th",
    "thead",
    "tr",
}

# Roles, directives, labels, substitutions, attributes and comments of MyST.
MYST = r"\{[\w:-]+\}`|^\s*(?:`{3,}|~{3,}|:{3,})\{|^:{3,}|^\([\w:-]+\)=$|\{\{|^\+\+\+|^%|\]\{[.#]"

# Elements that end a word, as a blank does.
BLOCKS = (
    "article blockquote dd details div dl dt figcaption figure h1 h2 h3 h4 h5 h6 li ol p pre section summary table "
    "tbody td th thead tr ul"
).split()


def notebook(pages: Path, chapter: str) -> nbformat.NotebookNode:
    return nbformat.read(pages / "notebooks" / f"{chapter}.ipynb", as_version=4)


def text_cells(runnable) -> list[nbformat.NotebookNode]:
    return [cell for cell in runnable.cells if cell.cell_type == "markdown"]


def code_cells(runnable) -> list[nbformat.NotebookNode]:
    return [cell for cell in runnable.cells if cell.cell_type == "code"]


def _formula(tex: str) -> str:
    """TeX without what only one of the two writers puts in: blanks, rows' environment, names of signs."""
    tex = re.sub(r"\\(begin|end)\{(split|aligned)\}", "", tex.replace(r"\vert", "|").replace(r"\lt", "<"))
    return "⟦" + "".join(tex.split()) + "⟧"


def _words(root: Tag) -> list[str]:
    for element in root.find_all(BLOCKS):
        element.insert_before(" ")
        element.insert_after(" ")
    return root.get_text().replace("\N{ZERO WIDTH SPACE}", "").split()


def _links(root: Tag, page: str) -> list[tuple[str, str]]:
    return [
        (" ".join(link.get_text().split()), urljoin(page, link["href"]))
        for link in root.find_all("a", href=True)
    ]


def of_page(path: Path, address: str) -> tuple[list[str], list[tuple[str, str]]]:
    """Words and links of a built page's article, without its code, outputs and buttons."""
    article = BeautifulSoup(path.read_text(encoding="utf-8"), "html.parser").find("article")
    for element in article.select(".headerlink, noscript, script, svg"):
        element.decompose()
    for cell in article.select("div.cell"):
        captions = cell.find_all("figcaption")
        cell.replace_with(*captions) if captions else cell.decompose()
    for formula in article.select(".math"):
        number = formula.find(class_="eqno")
        tag = rf"\tag{{{number.extract().get_text().strip('()')}}}" if number else ""
        formula.replace_with(_formula(re.sub(r"^\\[(\[]|\\[)\]]$", "", formula.get_text().strip()) + tag))
    return _words(article), _links(article, address)


def of_edition(runnable, address: str) -> tuple[list[str], list[tuple[str, str]]]:
    """Words and links of a notebook's text, its notice excepted, as a parser of plain Markdown finds them."""
    source = "\n\n".join(PARSER.render(cell.source) for cell in text_cells(runnable)[1:])
    text = BeautifulSoup(f"<article>{source}</article>", "html.parser")
    for formula in text.select(".math"):
        formula.replace_with(_formula(formula.get_text()))
    for instead in text.find_all("a", string=re.compile("^This part moves")):
        instead.find_parent("p").decompose()  # what the page shows in a frame
    for summary in text.find_all("summary"):
        if summary.get_text().endswith(", continued"):  # a solution in pieces: the page names it once
            summary.decompose()
        for said in summary.find_all(string=re.compile(r"\$[^$]+\$")):  # set by each program's MathJax
            said.replace_with(re.sub(r"\$([^$]+)\$", lambda found: _formula(found[1]), said))
    return _words(text.article), _links(text.article, address)


def assert_same(page: list, found: list, what: str) -> None:
    """Equal lists; if not, the first difference with what stands around it."""
    if page != found:
        matcher = difflib.SequenceMatcher(None, page, found, autojunk=False)
        _, i, i_end, j, j_end = next(step for step in matcher.get_opcodes() if step[0] != "equal")
        near = 8 if isinstance(page[0], str) else 1
        pytest.fail(
            f"{what}: the page has {page[max(i - near, 0) : i_end + near]}\n"
            f"the edition {found[max(j - near, 0) : j_end + near]}",
            pytrace=False,
        )


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_text_and_links_are_the_page_s(chapter, pages):
    address = urljoin(publish.address(), f"notebooks/{chapter}.html")
    page = of_page(pages / "notebooks" / f"{chapter}.html", address)
    runnable = of_edition(notebook(pages, chapter), address)
    assert len(page[0]) > 1000 and len(page[1]) > 5
    for what, said, found in zip(("words", "links"), page, runnable, strict=True):
        assert_same(said, found, what)


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_links_lead_somewhere(chapter, pages):
    """Into the published site, where each page and each place in it exists; and out of it as the page does."""
    ids: dict[Path, set[str]] = {}
    for cell in text_cells(notebook(pages, chapter)):
        for link in BeautifulSoup(PARSER.render(cell.source), "html.parser").find_all("a", href=True):
            assert link["href"].startswith("https://"), link
            if not link["href"].startswith(publish.address()):
                continue
            name, _, place = link["href"].removeprefix(publish.address()).partition("#")
            path = pages / unquote(name)
            assert path.is_file(), link
            if place:
                if path not in ids:
                    page = BeautifulSoup(path.read_text(encoding="utf-8"), "html.parser")
                    ids[path] = {element["id"] for element in page.find_all(id=True)}
                assert unquote(place) in ids[path], link


class _Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, tuple[str, ...]]] = []

    def handle_starttag(self, tag, attributes):
        self.found.append((tag, tuple(name for name, _ in attributes)))


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_text_is_plain_markdown(chapter, pages):
    runnable = notebook(pages, chapter)
    nbformat.validate(runnable)
    for cell in text_cells(runnable):
        left = re.search(
            MYST, re.sub(r"^(`{3,})\w*\n.*?^\1$", "", cell.source, flags=re.M | re.S), flags=re.M
        )
        assert not left, f"{left[0]!r} in {cell.source}"
        assert not cell.metadata and "attachments" not in cell  # Colab shows no attachments
        tokens = PARSER.parse(cell.source)
        inner = [token for outer in tokens for token in (outer, *(outer.children or ()))]
        parser = _Tags()
        parser.feed(
            "\n".join(token.content for token in inner if token.type in ("html_block", "html_inline"))
        )
        for tag, attributes in parser.found:
            assert tag in ALLOWED, f"<{tag}> in {cell.source}"
            assert set(attributes) <= {"href", "src", "alt"}, f"<{tag}> has {attributes} in {cell.source}"
        for outer in tokens:  # VS Code takes a dollar beside a letter for a dollar
            for left, right in itertools.pairwise(outer.children or ()):
                assert not (left.type == "math_inline" and re.match(r"\w", right.content)), cell.source
                assert not (right.type == "math_inline" and re.search(r"\w$", left.content)), cell.source
        for token in inner:
            if token.type in ("math_block", "math_inline"):
                assert "\n" not in token.content.strip(), token.content
            # no formula, mark or table is left as text (prices are)
            if token.type == "text":
                assert not re.search(r"\$(?!\d)|\*\*|\|[-:]{3}|\\(?:frac|sum|nu\b|tfrac)", token.content), (
                    token.content
                )
    first = runnable.cells[0]
    assert "\n" not in first.source and f"({publish.address()}notebooks/{chapter}.html)" in first.source
    assert "stored run" in first.source


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_code_is_the_chapter_s(chapter, pages):
    """The same cells in the same order with the same outputs, so that what nbval proves holds here, too."""
    source = nbformat.read(ROOT / "notebooks" / f"{chapter}.ipynb", as_version=4)
    runnable = notebook(pages, chapter)
    assert runnable.metadata == source.metadata
    pairs = list(zip(code_cells(source), code_cells(runnable), strict=True))
    for cell, written in pairs:
        code = re.sub(r"\A#@title [^\n]+\n", "", written.source)
        assert (written.id, code, written.execution_count) == (cell.id, cell.source, cell.execution_count)
        assert list(map(_shown, written.outputs)) == [_shown(out) for out in cell.outputs if not _glued(out)]
        tags = set(cell.metadata.get("tags", []))
        hidden = bool(tags & {"hide-input", "hide-cell", "setup"})
        assert (written.source != code) == hidden
        assert (written.metadata.get("cellView") == "form") == hidden
        jupyter = written.metadata.get("jupyter", {})
        assert jupyter.get("source_hidden", False) == hidden
        assert jupyter.get("outputs_hidden", False) == ("hide-cell" in tags)
        assert written.metadata.get("alt") == cell.metadata.get("mystnb", {}).get("image", {}).get("alt")
        assert set(written.metadata) <= {"alt", "cellView", "collapsed", "jupyter"}
    titles = [found[1] for _, cell in pairs if (found := re.match("#@title (.+)", cell.source))]
    page = BeautifulSoup((pages / "notebooks" / f"{chapter}.html").read_text(encoding="utf-8"), "html.parser")
    bars = [bar.get_text() for bar in page.select("div.cell details.hide > summary > .collapsed")]
    assert len(bars) > 5
    in_order = iter(titles)  # a cell that shows nothing has no bar
    assert all(bar in in_order for bar in bars), (titles, bars)


def _shown(output) -> dict:
    """An output, where it is text without the blanks at its end, which the builder drops."""
    return dict(output, text=output.text.rstrip()) if "text" in output else output


def _glued(output) -> bool:
    """An output that only the builder reads: a number to paste into the text."""
    kinds = output.get("data", {})
    return bool(kinds) and all(kind.startswith("application/papermill.record/") for kind in kinds)


def test_the_site_and_the_classroom_s_archive_hand_out_the_edition(pages, tmp_path, monkeypatch):
    monkeypatch.setattr(bundle, "wheels", lambda folder: None)
    with tarfile.open(bundle.make(pages, tmp_path)) as archive:
        held = {
            name: archive.extractfile(name).read() for name in archive.getnames() if name.endswith(".ipynb")
        }
    expected = {path.name: path.read_bytes() for path in (pages / "notebooks").glob("*.ipynb")}
    assert sorted(expected) == [f"{chapter}.ipynb" for chapter in CHAPTERS]
    for folder in ("notebooks", "site/notebooks"):
        found = {name.rsplit("/", 1)[1]: text for name, text in held.items()
                 if name.split("/", 1)[1].rsplit("/", 1)[0] == folder}  # fmt: skip
        assert found == expected, folder
    assert len(held) == 2 * len(expected)


def test_notebooks_are_built_anew_only_when_something_has_changed(pages, monkeypatch):
    builds = []
    monkeypatch.setattr(book, "build", lambda stored: builds.append(stored))
    assert handout.built() == pages / "notebooks" and not builds
    monkeypatch.setattr(edition, "made_from", lambda: "something else")
    assert handout.built() == pages / "notebooks" and builds == [True]


# --- A chapter that has what the nineteen have not ----------------------------------------------------------

MADE_UP = r'''
(made-up)=
# A *title* with $x^2$

A picture: ![a red square](red.png). A note[^one], a key {kbd}`Ctrl`, stars \* and \_ and \`, a [c] and a_b_c, `a|b`,
`` ` ``, 2 < 3 & 4, H{sub}`2`O, x{sup}`2`, $1 | 2$, \$5, the $k$th of n$^2$, a line\
that breaks, {download}`the data <data.csv>`, *emphasis with `code` and [a link](other.md)*.

[^one]: The note's *text*.

1984\. is no list, and neither is

\# this.

3. three
4. four

   with a second paragraph

   - and a list
     in it

term
: A definition of $y$.

  In two paragraphs.

> Quoted.
>
> - twice

| a | $\lvert b\rvert$ |
|---|---|
| `x\|y` | **c** \| d |

```{list-table} A table *with* a title
:name: tab-made-up
* - 1
  - 2
```

```{figure} red.png
:name: fig-made-up

A red square, of $2^2$ pixels.

And its legend.
```

See {numref}`fig-made-up` and {numref}`tab-made-up`, {prf:ref}`thm-made-up`, {eq}`made-up-sum`, {ref}`made-up`.

$$
\sum_i a_i = 1 \\
b = 2
$$ (made-up-sum)

:::{prf:theorem} With $x$ and a list
:label: thm-made-up
- $a | b$

$$c$$
:::

<div class="x"><style>p {}</style><script>let a = "<b>";</script><iframe srcdoc="<p>x</p>"></iframe></div>

<details class="choice"><summary>Yes, *a* &lt; b</summary>

**Right.**

</details>

```{sidebar} At the side
Words.
```

::::{admonition} Folded, with `code` and $z < 1$
:class: dropdown
Text.

:::{note}
Nested.
:::
::::

````python
a = """`{tick}`  # no directive
```
"""
````

---

:::{exercise} A name
:label: ex-made-up
What?
:::

:::{solution-start} ex-made-up
:class: dropdown
:::
Before.
'''


@pytest.fixture(scope="module")
def made_up(tmp_path_factory):
    """The pages of a book with one chapter, built as the course is."""
    folder = tmp_path_factory.mktemp("made_up")
    config = yaml.safe_load((ROOT / "_config.yml").read_text(encoding="utf-8"))
    config["execute"]["execute_notebooks"] = "off"
    config["sphinx"]["local_extensions"] = {"edition": str(ROOT / "scripts")}
    for unused in ("html_static_path", "html_css_files", "html_js_files", "html_favicon"):
        del config["sphinx"]["config"][unused]
    (folder / "book").mkdir()
    (folder / "book" / "references.bib").write_text("")
    (folder / "_config.yml").write_text(yaml.safe_dump(config))
    chapters = [{"file": f"notebooks/{name}"} for name in ("01_made_up", "other")]
    contents = {
        "format": "jb-book",
        "root": "book/start",
        "options": {"numbered": True},
        "chapters": chapters,
    }
    (folder / "_toc.yml").write_text(yaml.safe_dump(contents))
    (folder / "book" / "start.md").write_text("# Start\n")
    notebooks = folder / "notebooks"
    notebooks.mkdir()
    (notebooks / "other.md").write_text("# Other\n")
    (notebooks / "data.csv").write_text("1\n")
    Image.new("RGB", (2, 2), "red").save(notebooks / "red.png")
    text, code = nbformat.v4.new_markdown_cell, nbformat.v4.new_code_cell
    silent = {"tags": ["remove-input", "remove-output"]}
    cells = [
        text(MADE_UP.strip(), id="text"), code("print(1)", id="shown"), text("Between.", id="between"),
        code("x = 1", id="unseen", metadata=silent), code("x", id="folded", metadata={"tags": ["hide-cell"]}),
        text("After.\n\n:::{solution-end}\n:::\n\nThe end.", id="after"),
    ]  # fmt: skip
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=kernel), notebooks / "01_made_up.ipynb")
    build = [
        str(Path(sys.executable).parent / "jupyter-book"),
        "build",
        str(folder),
        "-W",
        "-n",
        "--keep-going",
    ]
    result = subprocess.run(build, text=True, capture_output=True, env=dict(os.environ, TQDM_DISABLE="1"))
    assert result.returncode == 0, result.stdout[-3000:] + result.stderr[-3000:]
    return folder / "_build" / "html"


def test_what_no_chapter_has_yet_is_written_too(made_up):
    test_text_is_plain_markdown("01_made_up", made_up)
    test_links_lead_somewhere("01_made_up", made_up)
    address = urljoin(publish.address(), "notebooks/01_made_up.html")
    runnable = notebook(made_up, "01_made_up")
    for said, found in zip(
        of_page(made_up / "notebooks" / "01_made_up.html", address),
        of_edition(runnable, address),
        strict=True,
    ):
        assert_same(said, found, "made up")


def test_a_build_says_what_it_was_made_from(made_up):
    assert (made_up.parent / edition.STAMP).read_text() == edition.made_from()


def test_what_moves_on_the_page_becomes_a_link_to_its_place(made_up):
    text = "".join(cell.source for cell in text_cells(notebook(made_up, "01_made_up")))
    address = urljoin(publish.address(), "notebooks/01_made_up.html")
    assert text.count(f"[This part moves: see it on the page.]({address}#") == 1
    assert "<summary>Yes, *a* &lt; b</summary>" in text and "let a" not in text


def test_cells_that_the_page_leaves_out_are_run_all_the_same(made_up):
    cells = notebook(made_up, "01_made_up").cells
    places = {cell.id: place for place, cell in enumerate(cells)}
    assert [cell.id for cell in cells if cell.cell_type == "code"] == ["shown", "unseen", "folded"]
    solution = [cell.source for cell in cells[places["shown"] - 1 :]]
    assert "<summary>Solution to" in solution[0] and "Before." in solution[0]
    assert solution[2].startswith("<details>") and "continued</summary>" in solution[2]
    assert solution[3].startswith("#@title Code\n") and solution[4].startswith(
        "#@title Code and its output\n"
    )
    assert "After.\n\n</details>\n\nThe end." in solution[5]


def test_pictures_in_the_text_need_no_file_and_no_network(made_up):
    text = "".join(cell.source for cell in text_cells(notebook(made_up, "01_made_up")))
    assert re.findall(r"!\[([^]]*)\]\((\w+:image/png;base64,)", text) == [
        ("a red square", "data:image/png;base64,"), ("", "data:image/png;base64,"),
    ]  # fmt: skip


def test_what_has_no_form_is_refused_with_its_place():
    holder = nodes.table("", nodes.tgroup("", nodes.tbody("", nodes.row("", nodes.entry(morecols=1)))))
    app = SimpleNamespace(
        env=SimpleNamespace(toc_fignumbers={}, toc_secnumbers={}),
        config=SimpleNamespace(numfig_format={}),
        srcdir=".",
    )
    for node, words in ((holder, "entry that spans rows or columns"), (nodes.option_list(), "option_list")):
        with pytest.raises(ValueError, match=f"notebooks/01_x, line .*cannot write a {words}"):
            edition.Translator(app, "notebooks/01_x").blocks([node])
