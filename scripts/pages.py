"""What the book's pages need beyond what the builder writes: ``finish(folder)`` changes them in place.

Pictures are stored without loss in half the size, load when they come near the view, and keep their place until
then, those of the views too, which notebooks hold inside; the search's scripts and index are loaded by its own page
only. Recall questions, which the source folds, are choices as guesses and views are. Icons are drawn in the page, so
that the theme's script with two thousand of them (1.5 MB) is not loaded, and the font of those that style sheets name
holds no others. Names that a screen reader would read in place of what is seen are taken away. No line begins with the
comma after a formula. Beside Colab stands Kaggle; what is offered for download is the notebook that scripts/edition.py
wrote beside the page, not the chapter's source. Who has no JavaScript is told what is missing, and reads formulas as
MathML, which browsers set themselves; pages without a formula load no MathJax.
"""

from __future__ import annotations

import base64
import functools
import hashlib
import html
import os
import re
from pathlib import Path
from urllib.parse import unquote

from fontTools import subset
from latex2mathml.converter import convert
from PIL import Image

from fixlip_helpers.showing.choices import Choices

NO_SCRIPT = (
    '<noscript><p class="no-script">Without JavaScript you read everything, and views react; search does not '
    "work.</p></noscript>"
)

# What the builder and its theme write, and what stands there instead.
CHANGES = {
    '<summary aria-label="Toggle hidden content">': "<summary>",
    ' title="Search" aria-label="Search" data-bs-placement': ' title="Search" data-bs-placement',
    '<div role="list" class="citation-list">': '<div class="citation-list">',
    ' title="Launch on Binder"': ' title="Launch on Binder (not yet tried there; it may take minutes to start)"',
    '<article class="bd-article">': f'<article class="bd-article">{NO_SCRIPT}',
}

# Kaggle opens a notebook by its address on GitHub, as Colab does.
_COLAB = re.compile(r'<li><a href="https://colab\.research\.google\.com/github/([^"]+)".*?</li>', flags=re.S)
KAGGLE = (
    '<li><a href="https://www.kaggle.com/kernels/welcome?src=https://github.com/{notebook}" target="_blank" '
    'class="btn btn-sm dropdown-item" title="Launch on Kaggle (turn its internet on)">'
    '<span class="btn__text-container">Kaggle</span></a></li>'
)

# The theme offers what the page was made from, in a folder of copies.
_SOURCE = re.compile(
    r'<a href="((?:\.\./)*)_sources/([^"]+\.ipynb)" target="_blank"(.*?)title="Download source file"',
    flags=re.S,
)
NOTEBOOK = r'<a href="\1\2" download\3title="Download this chapter as a notebook to run"'

# A browser may break a line on either side of a formula; brackets, stops and endings belong to it.
_FORMULA = re.compile(
    r'(?P<open>[(\[“‘]*)<span class="math notranslate nohighlight">[^<]*</span>(?P<close>[^\s<&]{0,12})'
)

# For readers without JavaScript. With it, MathJax sets the source, which looks better and is what screen readers know.
_MATH = re.compile(
    r'<(?P<tag>span|div) class="math notranslate nohighlight"[^>]*>(?P<number>\s*<span class="eqno">.*?</span>)?'
    r"\s*\\[(\[](?P<tex>.*?)\\[)\]]\s*</(?P=tag)>",
    flags=re.S,
)
NO_SOURCE = "<noscript><style>.math.notranslate { display: none; }</style></noscript>"
_MATHJAX = re.compile(
    r"<script>window\.MathJax = .*?</script>\s*|<script [^>]*/mathjax/tex-chtml-full\.js[^>]*></script>\s*"
)

_ICON = re.compile(r'<(i|span) class="([^"]*\bfa-[a-z][^"]*)"([^>]*)>\s*</\1>')
_ICON_STYLES = {"fa-solid", "fa-regular", "fa-brands", "fa-lg", "fa-fw"}
_PICTURE = re.compile(r'<img (?P<rest>[^>]*?src="(?P<src>[^":]+\.(?:png|jpe?g|webp))"[^>]*?)\s*/?>')
_ICONS_SCRIPT = re.compile(r'<script defer src="([^"?]*_static/scripts/fontawesome\.js)[^"]*"></script>\n?')

# The theme's search while one types, which is off, would need these on every page.
_SEARCH = re.compile(
    r'<script src="[^"]*_static/searchtools\.js"></script>\s*'
    r'<script src="[^"]*_static/language_data\.js"></script>\s*'
    r'<script src="[^"]*searchindex\.js"></script>\n?'
)
_RECALL = re.compile(
    r"<p\b[^>]*>(?P<question>(?:(?!</p>).)+)</p>\s*"
    r'(?P<choices>(?:<details class="choice(?: right)?">.*?</details>\s*)+)',
    re.S,
)
_CHOICE = re.compile(
    r'<details class="choice(?P<right> right)?"><summary>(?P<label>.*?)</summary>\s*(?P<panel>.*?)\s*</details>',
    re.S,
)
_STYLE = re.compile(
    r"<style>\n/\* One of several.*?</style>\n", flags=re.S
)  # choices.css, which the page links

# What a self-check says to an answer that nobody gave: on a page nobody can.
_UNANSWERED = re.compile(
    r'<div class="output [^"]*"><div class="highlight"><pre><span></span>'
    r"Not yet: [^<]*</pre></div>\s*</div>"
)
RUN_IT = (
    '<p class="unanswered">Your answer is checked where the chapter runs: '
    '<a class="reference internal" href="../book/setup.html">in Colab or on your machine</a>.</p>'
)
_WITHIN = re.compile(r'(?<=<img src=")data:image/(png|webp);base64,([^"]+)')


@functools.cache
def _icon(script: Path, brand: bool, name: str) -> tuple[str, str, str]:
    """Width, height and outline of an icon, out of the theme's script: brands, then regular, then solid ones."""
    outline = rf'[,{{]"?{name}"?:\[(\d+),(\d+),\[[^\]]*\],"[0-9a-f]+","([^"]+)"\]'
    found = re.findall(outline, script.read_text(encoding="utf-8"))
    if not found:
        raise SystemExit(f"{script.name} has no icon {name!r}, which a page shows")
    return found[0] if brand else found[-1]


def _drawn(match: re.Match, script: Path) -> str:
    _, classes, rest = match.groups()
    name = next(word for word in classes.split() if word.startswith("fa-") and word not in _ICON_STYLES)
    width, height, outline = _icon(script, "fa-brands" in classes or "fab" in classes.split(), name[3:])
    return (
        f'<svg class="svg-inline--fa {" ".join(classes.split())}"{re.sub(" title=.*", "", rest)} '
        f'viewBox="0 0 {width} {height}" aria-hidden="true"><path fill="currentColor" d="{outline}"/></svg>'
    )


def _lazy(match: re.Match, folder: Path) -> str:
    rest, source = match["rest"].strip(), folder / unquote(match["src"])
    if "loading=" in rest or not source.is_file():
        return match[0]
    size = ""
    if not re.search(r"\b(width|height|style)=", rest):
        width, height = Image.open(source).size
        size = f' width="{width}" height="{height}"'
    return f'<img {rest} loading="lazy" decoding="async"{size}>'


def _kept_together(match: re.Match) -> str:
    return f'<span class="together">{match[0]}</span>' if match["open"] or match["close"] else match[0]


def _also_as_mathml(match: re.Match) -> str:
    """A formula, and after it what stands in its place where no script runs."""
    display = "block" if match["tag"] == "div" else "inline"
    written = convert(html.unescape(match["tex"]).strip(), display=display)
    return f"{match[0]}<noscript>{match['number'] or ''}{written}</noscript>"


def _smaller_pictures(folder: Path) -> dict[str, str]:
    """Store the figures as lossless WebP where that is smaller; new names by old ones."""
    names = {}
    for path in sorted((folder / "_images").glob("*.png")):
        smaller = path.with_suffix(".webp")
        Image.open(path).save(smaller, "WEBP", lossless=True, exact=True, method=2)
        replaced, kept = (path, smaller) if smaller.stat().st_size < path.stat().st_size else (smaller, path)
        replaced.unlink()
        names[path.name] = kept.name
    return names


def _smaller_font(folder: Path) -> None:
    """Keep of the icons' font what style sheets name outside the font's own list of icons."""
    style_sheets = folder / "_static"
    theme = style_sheets / "styles" / "pydata-sphinx-theme.css"
    text = theme.read_text(encoding="utf-8")
    named = {ord(icon) for icon in re.findall(r'--pst-icon[\w-]*: *"(.)"', text)}
    for name in ("styles/sphinx-book-theme.css", "book.css"):
        codes = re.findall(r'content: *"\\(f[0-9a-f]{3})"', (style_sheets / name).read_text(encoding="utf-8"))
        named |= {int(code, 16) for code in codes}
    if len(named) < 10:
        raise SystemExit(f"{theme.name} no longer names its icons as --pst-icon-...: find how it does")
    whole = style_sheets / "vendor" / "fontawesome" / "webfonts" / "fa-solid-900.ttf"
    options = subset.Options(flavor="woff", layout_features=[])
    with subset.load_font(whole, options) as font:
        subsetter = subset.Subsetter(options)
        subsetter.populate(unicodes=named)
        subsetter.subset(font)
        subset.save_font(font, whole.with_suffix(".woff"), options)
    theme.write_text(text.replace('fa-solid-900.woff2) format("woff2")', 'fa-solid-900.woff) format("woff")'))


def _beside(match: re.Match, folder: Path, pages: Path) -> str:
    """The address of a view's picture, written beside the others; equal pictures are one file."""
    content = base64.b64decode(match[2])
    picture = pages / "_images" / f"view-{hashlib.sha256(content).hexdigest()[:16]}.{match[1]}"
    picture.write_bytes(content)
    return os.path.relpath(picture, folder)


def _chosen(match: re.Match) -> str:
    """A recall question, which the source folds, as choices like those of guesses and views."""
    found = list(_CHOICE.finditer(match["choices"]))
    choices = Choices(
        tuple(html.unescape(choice["label"]) for choice in found),
        tuple(
            f'<div class="{"right" if choice["right"] else "wrong"}">{choice["panel"]}</div>'
            for choice in found
        ),
        legend="?",
        listed=True,
    )
    form = choices.form().replace("<legend>?</legend>", f"<legend>{match['question']}</legend>")
    return f'<div class="recall">{form}</div>\n'


def finish(folder: Path) -> None:
    """Change every page of a built book in place; a second time changes nothing."""
    for source in (folder / "_sources").rglob("*.ipynb"):
        source.unlink()
    pictures = _smaller_pictures(folder)
    _smaller_font(folder)
    for path in sorted(folder.rglob("*.html")):
        if "_static" in path.relative_to(folder).parts:
            continue
        page = before = path.read_text(encoding="utf-8")
        if NO_SCRIPT in page:
            continue
        for old, new in CHANGES.items():
            page = page.replace(old, new)
        page = _COLAB.sub(lambda found: found[0] + KAGGLE.format(notebook=found[1]), page)
        page = _SOURCE.sub(NOTEBOOK, page)
        if loaded := _ICONS_SCRIPT.search(page):
            script = (path.parent / loaded[1]).resolve()
            page = _ICON.sub(functools.partial(_drawn, script=script), _ICONS_SCRIPT.sub("", page))
        page = re.sub(r"(?<=_images/)[^\"/]+\.png", lambda found: pictures.get(found[0], found[0]), page)
        if (
            "Content-Security-Policy" in page
        ):  # Firefox would fetch the next page, be refused, and complain of it
            page = re.sub(r'<link rel="next"[^>]*>\n?', "", page)
        if path.name != "search.html":
            page = _SEARCH.sub("", page)
        page = _FORMULA.sub(_kept_together, page)
        page = _UNANSWERED.sub(RUN_IT, page)
        page = _STYLE.sub("", _RECALL.sub(_chosen, page))
        if '<details class="choice' in page:
            raise SystemExit(f"{path.name} has choices that follow no question in a paragraph of its own")
        if _MATH.search(page):
            page = _MATH.sub(_also_as_mathml, page).replace("</head>", f"{NO_SOURCE}</head>", 1)
        else:
            page = _MATHJAX.sub("", page)
        page = _WITHIN.sub(functools.partial(_beside, folder=path.parent, pages=folder), page)
        page = _PICTURE.sub(functools.partial(_lazy, folder=path.parent), page)
        if page != before:
            path.write_text(page, encoding="utf-8")
