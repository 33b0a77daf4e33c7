"""What the pages of this book need of Sphinx and of no book else; an extension, named in ``_config.yml``.

Figures, definitions, theorems, exercises and equations count by chapter: Fig. 10.3 is the third of chapter 10. The
numbers are changed where Sphinx keeps them, so that pages, references and whatever is written from the same trees
agree. Code is displayed without what only carries numbers into the prose, and each bar that hides code names what it
hides. ``{explorer}`` puts the explorer with the published explanation of the real CLIP on a page, ``{routes}`` draws
the ways through the chapters, ``{bars}`` numbers out of a log. Each page is described in its head.
"""

from __future__ import annotations

import ast
import re
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from docutils import nodes
from myst_nb.sphinx_ import HideCodeCellNode
from sphinx.transforms.post_transforms import SphinxPostTransform
from sphinx.util.docutils import SphinxDirective

if TYPE_CHECKING:
    from sphinx.application import Sphinx
    from sphinx.environment import BuildEnvironment

WEB = Path(__file__).resolve().parent.parent / "web"
CHAPTER = re.compile(r"notebooks/(\d\d)_")


# --- Numbers by chapter -------------------------------------------------------------------------------------


def number_by_chapter(app: Sphinx, env: BuildEnvironment) -> list[str]:
    """Give everything that Sphinx has numbered through the book the chapter's number and one within it."""
    for name, kinds in env.toc_fignumbers.items():
        chapter = CHAPTER.match(name)
        for numbers in kinds.values():
            in_order = sorted(numbers, key=numbers.__getitem__)
            for count, anchor in enumerate(in_order, 1):
                numbers[anchor] = (int(chapter[1]), count) if chapter else (count,)
    return []


# --- Displayed code -----------------------------------------------------------------------------------------

PLUMBING = "glue"  # fixlip_helpers.notebook.glue carries a number into the prose


def _is_plumbing(statement: ast.stmt) -> bool:
    """Whether a statement, with all that it holds, does nothing but glue, or import what does."""
    if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Call):
        return isinstance(statement.value.func, ast.Name) and statement.value.func.id == PLUMBING
    if isinstance(statement, ast.ImportFrom):
        return [name.name for name in statement.names] == [PLUMBING]
    if isinstance(statement, ast.For | ast.While | ast.If | ast.With):
        return all(map(_is_plumbing, [*statement.body, *getattr(statement, "orelse", [])]))
    return False


def _plumbing(statements: list[ast.stmt]) -> list[ast.stmt]:
    """The outermost statements that are plumbing, as long as what is around them keeps a body."""
    found = []
    for statement in statements:
        if _is_plumbing(statement):
            found.append(statement)
        else:
            for part in ("body", "orelse", "finalbody"):
                inner = getattr(statement, part, None)
                if isinstance(inner, list) and not all(map(_is_plumbing, inner)):
                    found += _plumbing(inner)
    return found


def displayed(source: str) -> str:
    """A cell's code as a reader needs it: without the calls that only carry numbers into the prose.

    Loops and branches that hold nothing else go with them, so do the comments right above them. Empty if nothing
    but comments is left.
    """
    lines = source.split("\n")
    magics = [re.sub(r"^(\s*)[%!].*", r"\1pass", line) for line in lines]
    gone = set()
    for statement in _plumbing(ast.parse("\n".join(magics)).body):
        first = statement.lineno - 1
        while first and lines[first - 1].lstrip().startswith("#"):
            first -= 1
        gone |= set(range(first, statement.end_lineno))
    if not gone:
        return source
    kept = "\n".join(line for number, line in enumerate(lines) if number not in gone)
    kept = re.sub(r"\n{4,}", "\n\n\n", kept).strip("\n")
    return kept if ast.parse(re.sub(r"(?m)^(\s*)[%!].*", r"\1pass", kept)).body else ""


MOST_NAMES = 4  # on a bar


def _made(source: str) -> list[str]:
    """Names of the functions that a cell defines or, if it defines none, of what it assigns."""
    body = ast.parse(re.sub(r"(?m)^(\s*)[%!].*", r"\1pass", source)).body
    functions = [node.name for node in body if isinstance(node, ast.FunctionDef | ast.ClassDef)]
    targets = [target for node in body if isinstance(node, ast.Assign) for target in node.targets]
    names = [name.id for target in targets for name in ast.walk(target) if isinstance(name, ast.Name)]
    return functions or [name for name in dict.fromkeys(names) if not name.startswith("_")]


def bar(container: nodes.container, source: str, env: BuildEnvironment, docname: str) -> str:
    """What a bar says that hides a cell's code: what the code draws, checks, makes or prints."""
    numbers = env.toc_fignumbers.get(docname, {})
    if "tag_setup" in container["classes"]:
        return "Code that installs the package where it is missing"
    both = " and its output" if container.get("hide_mode") in ("all", "input+output") else ""
    for figure in container.findall(nodes.figure):
        number = numbers.get("figure", {}).get(figure["ids"][0]) if figure["ids"] else None
        if number:
            return f"Code of Fig.\N{NO-BREAK SPACE}{'.'.join(map(str, number))}"
    checked = re.match(r"# Check it: (\S+)", source)
    if checked:
        for kind, anchors in numbers.items():
            if checked[1] in anchors:
                number = ".".join(map(str, anchors[checked[1]]))
                return f"Code that checks {kind.title()}\N{NO-BREAK SPACE}{number}{both}"
    if "GUESSES" in source:
        return "Code of the choices"
    outputs = [child for child in container.children if child.get("nb_element") == "cell_code_output"]
    views = [node for output in outputs for node in output.findall(nodes.raw) if "html" in node["format"]]
    if views:
        return "Code of the view"
    if re.match(r"(?:(?:import|from) |#|\s|\))", source) and not outputs:
        return "Code that imports and sets up what this chapter uses"
    made = _made(source)
    names = ", ".join(made[:MOST_NAMES]) + (", …" if len(made) > MOST_NAMES else "")
    if outputs and any(output.astext().strip() for output in outputs):
        return (
            f"Code{both}: {names}"
            if names and both
            else ("Code and its output" if both else "Code of what is printed")
        )
    return f"Code that makes {names}" if names else f"Code{both}"


def _shows_something(container: nodes.container) -> bool:
    """Whether a cell's outputs put anything on the page."""
    outputs = (child for child in container.children if child.get("nb_element") == "cell_code_output")
    return any(output.astext().strip() or list(output.findall(nodes.image)) for output in outputs)


class DisplayedCode(SphinxPostTransform):
    """Leaves plumbing out of displayed code, and names the bars that hide code (before myst-nb makes them)."""

    default_priority = 190
    formats = ("html",)

    def run(self, **_: Any) -> None:
        preparing = True
        for container in list(self.document.findall(nodes.container)):
            if container.get("nb_element") != "cell_code" or not container.children:
                continue
            source_part = container.children[0]
            if source_part.get("nb_element") != "cell_code_source":
                continue
            block = next(source_part.findall(nodes.literal_block))
            source = block.astext()
            shown = displayed(source)
            preparing = preparing and not _shows_something(container)
            if container.get("hide_mode"):
                name = bar(container, source, self.env, self.env.docname)
                container["prompt_show"] = container["prompt_hide"] = name
                if preparing:  # nothing to see yet: it stands aside until all code is asked for
                    container["classes"].append("preparation")
            if shown == source:
                continue
            if shown:
                block.rawsource = shown
                block.children = []
                block += nodes.Text(shown)
            else:
                container.remove(source_part)
                if not _shows_something(container):
                    container["classes"].append("nothing-shown")


class FigureFirst(SphinxPostTransform):
    """Puts the bar that hides the code of a figure or a view under it (after myst-nb has made the bars)."""

    default_priority = 210
    formats = ("html",)

    def run(self, **_: Any) -> None:
        for cell in list(self.document.findall(nodes.container)):
            if (
                cell.get("nb_element") != "cell_code"
                or cell.get("hide_mode") != "input"
                or len(cell.children) < 2
            ):
                continue
            hidden, *outputs = cell.children
            shown = [
                node
                for output in outputs
                for kind in (nodes.figure, nodes.raw)
                for node in output.findall(kind)
            ]
            if isinstance(hidden, HideCodeCellNode) and shown:
                cell.children = [*outputs, hidden]


# --- The explorer -------------------------------------------------------------------------------------------


class Explorer(SphinxDirective):
    """``{explorer}``: the published explanation of the real CLIP, to point at, as chapters show theirs."""

    option_spec = {"height": int}  # noqa: RUF012 (docutils wants it so)

    def run(self) -> list[nodes.Node]:
        from fixlip_helpers.datasets import published_clip
        from fixlip_helpers.widgets import explorer

        for part in ("page.html", "explorer.css", "explorer.js", "explanation.js"):
            self.env.note_dependency(str(WEB / part))
        photo, published = published_clip()
        explanation = published["FIxLIP"]
        pieces = {name: members for name, members in explanation.meta["words"] if len(members) > 1}
        view = explorer(explanation.merge(pieces), photo, height=self.options.get("height", 430), brief=True)
        return [nodes.raw("", view.data, format="html")]


# --- Routes -------------------------------------------------------------------------------------------------

BOX, GAP = (128, 46), (18, 54)  # width and height in pixels: of a chapter, and between two
ROW = re.compile(r"^\| \{doc\}`(\d\d) <\.\./(\S+)>` ([^|]+) \| ([^|]+) \|", flags=re.M)


class Routes(SphinxDirective):
    """``{routes}``: the chapters of the page's own table, a row for each part, and the routes through them as lines.

    Each line of the content is a route: its name, a colon, its chapters. Thin lines lead from what a chapter needs.
    """

    has_content = True

    def run(self) -> list[nodes.Node]:
        text = Path(self.env.doc2path(self.env.docname)).read_text(encoding="utf-8")
        chapters = {
            number: (target, name.strip(), needs) for number, target, name, needs in ROW.findall(text)
        }
        lengths = [
            len([entry for entry in part["chapters"] if CHAPTER.match(entry["file"])])
            for part in yaml.safe_load((WEB.parent / "_toc.yml").read_text(encoding="utf-8"))["parts"]
        ]
        rows = [length for length in lengths if length]
        if sum(rows) != len(chapters):
            raise self.error(
                f"the table has {len(chapters)} chapters, _toc.yml {sum(rows)}: name every chapter in it"
            )
        places = [(column, row) for row, length in enumerate(rows) for column in range(length)]
        corner = {
            number: (column * (BOX[0] + GAP[0]) + 8, row * (BOX[1] + GAP[1]) + 12)
            for number, (column, row) in zip(chapters, places, strict=True)
        }
        centre = {number: (x + BOX[0] / 2, y + BOX[1] / 2) for number, (x, y) in corner.items()}
        drawn = []
        for number, (_, _, needs) in chapters.items():
            for needed in re.findall(r"\d\d", needs):
                (x, y), (u, v) = centre[needed], centre[number]
                bend = 26 if y == v and abs(u - x) > BOX[0] + GAP[0] else 0
                drawn.append(
                    f'<path class="needs" d="M{x} {y} Q{(x + u) / 2} {(y + v) / 2 - 2 * bend} {u} {v}"/>'
                )
        names, stations = [], []
        for k, line in enumerate(self.content):
            name, _, listed = line.partition(":")
            stops = listed.split()
            points = " ".join(
                f"{centre[stop][0] + 9 * k - 9},{centre[stop][1] + 9 * k - 9}" for stop in stops
            )
            drawn.append(f'<polyline class="route route-{k + 1}" points="{points}"/>')
            names.append(f'<span class="route-{k + 1}">{escape(name)}</span>')
            for stop in stops:
                x, y = corner[stop]
                stations.append(f'<circle class="route-{k + 1}" cx="{x + 12 + 14 * k}" cy="{y + 12}" r="5"/>')
        for number, (target, name, _) in chapters.items():
            x, y = corner[number]
            drawn.append(
                f'<a href="../{target}.html"><rect x="{x}" y="{y}" width="{BOX[0]}" height="{BOX[1]}" rx="7"/>'
                f'<text x="{x + BOX[0] / 2}" y="{y + 19}"><tspan class="number">{number}</tspan>'
                f'<tspan x="{x + BOX[0] / 2}" dy="17">{escape(name)}</tspan></text></a>'
            )
        drawn += stations
        width = max(rows) * (BOX[0] + GAP[0]) + 8
        height = len(rows) * (BOX[1] + GAP[1]) - GAP[1] + 24
        picture = (
            f'<div class="routes"><p>{" ".join(names)} <span class="needs">needs</span></p><div class="scrolls">'
            f'<svg viewBox="0 0 {width} {height}" width="{width}" height="{height}">{"".join(drawn)}</svg></div></div>'
        )
        return [nodes.raw("", picture, format="html")]


# --- Bars ---------------------------------------------------------------------------------------------------


class Bars(SphinxDirective):
    """``{bars} FILE``: numbers of a recorded run as bars, above the log that holds them.

    ``rows`` is a regular expression whose two groups are a bar's name and its number; ``limit``, if given, is what was
    promised: the longest that a bar may be.
    """

    required_arguments = 1
    option_spec = {"rows": str, "unit": str, "limit": float}  # noqa: RUF012 (docutils wants it so)

    def run(self) -> list[nodes.Node]:
        name, path = self.env.relfn2path(self.arguments[0])
        self.env.note_dependency(name)
        found = re.findall(self.options["rows"], Path(path).read_text(encoding="utf-8"), flags=re.M)
        if not found:
            raise self.error(f"no line of {name} matches {self.options['rows']!r}")
        unit, limit = self.options["unit"], self.options.get("limit")
        longest = limit or max(float(value) for _, value in found)
        rows = "".join(
            f'<tr><th scope="row">{escape(label.replace("_", " "))}</th>'
            f'<td><span style="width: {100 * float(value) / longest:.1f}%"></span></td><td>{value} {unit}</td></tr>'
            for label, value in found
        )
        promised = f"<caption>The frame is what was promised: {limit:g} {unit}.</caption>" if limit else ""
        return [nodes.raw("", f'<table class="bars">{promised}{rows}</table>', format="html")]


# --- Descriptions -------------------------------------------------------------------------------------------

LONGEST = 200  # characters: what search engines and cards of links show


def described(tree: nodes.document) -> str:
    """A page in a sentence or two: its first words that stand in no box, cut where a sentence or a word ends."""
    for paragraph in tree.findall(nodes.paragraph):
        within = paragraph.parent
        while isinstance(within, nodes.section | nodes.container) or "desc" in within.tagname:
            within = within.parent
        text = " ".join(paragraph.astext().split())
        if within is tree and len(text) > 30:
            if len(text) <= LONGEST:
                return text
            sentences = re.match(rf".{{40,{LONGEST - 1}}}[.?!](?= )", text)
            return sentences[0] if sentences else text[:LONGEST].rsplit(" ", 1)[0] + " …"
    return ""


def describe(
    app: Sphinx, name: str, template: str, context: dict[str, Any], tree: nodes.document | None
) -> None:
    """Write the description into the page's head."""
    text = described(tree) if tree else ""
    if text:
        context["metatags"] = (
            f'{context.get("metatags", "")}<meta name="description" content="{escape(text)}"/>\n'
        )


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("env-get-updated", number_by_chapter, priority=900)  # after Sphinx has numbered
    app.add_post_transform(DisplayedCode)
    app.add_post_transform(FigureFirst)
    app.connect("html-page-context", describe)
    app.add_directive("explorer", Explorer)
    app.add_directive("routes", Routes)
    app.add_directive("bars", Bars)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
