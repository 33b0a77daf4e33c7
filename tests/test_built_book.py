"""The built book, opened in a browser that has no network: no errors, nothing missing, maths set, views that react.

The book is built here, from the outputs stored in the notebooks. The browser checks need Chromium and its driver;
without them they are skipped (Debian: ``apt-get install chromium chromium-driver``).
"""

import base64
import functools
import gzip
import http.server
import io
import json
import re
import threading
import time
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import quote, unquote

import chromium
import pytest
import set_repository
import slides
from chromium import wait
from fontTools.ttLib import TTFont

ROOT = Path(__file__).resolve().parent.parent
CHAPTERS = sorted(path.stem for path in (ROOT / "notebooks").glob("*.ipynb"))

needs_browser = pytest.mark.skipif(
    chromium.BROWSER is None or chromium.DRIVER is None, reason=chromium.ABSENT
)


def page_names(pages: Path) -> list[str]:
    return sorted(
        path.relative_to(pages).as_posix() for path in pages.rglob("*.html") if "_static" not in path.parts
    )


class _Loads(HTMLParser):
    """Collects the addresses that a page loads by itself, and those that its links lead to."""

    def __init__(self) -> None:
        super().__init__()
        self.loaded: list[str] = []
        self.linked: list[str] = []

    def handle_starttag(self, tag, attributes):
        given = dict(attributes)
        if tag in ("script", "img", "iframe", "source", "video") and given.get("src"):
            self.loaded.append(given["src"])
        if tag == "link" and given.get("rel") in ("stylesheet", "icon", "preload", "shortcut icon"):
            self.loaded.append(given["href"])
        if tag == "a" and given.get("href"):
            self.linked.append(given["href"])


def _parsed(path: Path) -> _Loads:
    parser = _Loads()
    parser.feed(path.read_text(encoding="utf-8"))
    return parser


def test_pages_load_and_link_only_what_the_book_holds(pages):
    missing, outside = [], []
    for name in page_names(pages):
        parsed = _parsed(pages / name)
        for address in parsed.loaded:
            if re.match(r"(https?:)?//", address):
                outside.append(f"{name}: {address}")
        for address in parsed.loaded + parsed.linked:
            file = re.split("[?#]", address)[0]
            if (
                file
                and not re.match(r"[a-z]+:|//", address)
                and not (pages / name).parent.joinpath(file).exists()
            ):
                missing.append(f"{name}: {address}")
    assert not outside, "loaded from the network:\n" + "\n".join(outside)
    assert not missing, "files that are not there:\n" + "\n".join(missing)


def test_every_icon_is_drawn_or_in_the_font_that_was_cut(pages):
    """What style sheets write in the icons' font is in it; what pages ask of the font's own classes is a drawing."""
    held = set()
    for name in ("fa-solid-900.woff", "fa-brands-400.ttf"):
        with TTFont(pages / "_static" / "vendor" / "fontawesome" / "webfonts" / name) as font:
            held |= set(font.getBestCmap())
    lost = []
    for sheet in sorted((pages / "_static").rglob("*.css")):
        rules = re.findall(r"([^{}]*)\{([^{}]*)\}", sheet.read_text(encoding="utf-8"))
        for selector, rule in rules:
            if re.fullmatch(r"(\s*\.fa-[\w-]+:+before,?)+\s*", selector):
                continue  # the font's own list of icons
            written = re.findall(r"""(?:content|--pst-icon[\w-]*): *["'](\\[0-9a-fA-F]{3,4}|.)["']""", rule)
            codes = [int(found[1:], 16) if found[1:] else ord(found) for found in written]
            lost += [
                f"{sheet.name}: {selector} {code:x}" for code in codes if code >= 0xE000 and code not in held
            ]
    for name in page_names(pages):
        page = (pages / name).read_text(encoding="utf-8")
        lost += [f"{name}: {tag}" for tag in re.findall(r'<(?!svg)\w+ [^>]*class="[^"]*\bfa-[^>]*>', page)]
    assert not lost, "\n".join(lost)


def test_every_chapter_is_in_the_book(pages):
    for chapter in CHAPTERS:
        assert (pages / "notebooks" / f"{chapter}.html").exists(), f"{chapter} is not in _toc.yml"


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_a_chapter_opens_in_colab_kaggle_and_binder(chapter, pages):
    """All take the runnable edition, not the source, from the one repository that pyproject.toml names."""
    links = _parsed(pages / "notebooks" / f"{chapter}.html").linked
    notebook, repository = f"notebooks/{chapter}.ipynb", set_repository.current()
    slug = repository.removeprefix("https://github.com/")
    assert links.count(f"https://colab.research.google.com/github/{slug}/blob/notebooks/{notebook}") == 1
    assert (
        links.count(f"https://www.kaggle.com/kernels/welcome?src={repository}/blob/notebooks/{notebook}") == 1
    )
    assert links.count(f"https://mybinder.org/v2/gh/{slug}/notebooks?urlpath=lab/tree/{notebook}") == 1
    page = (pages / "notebooks" / f"{chapter}.html").read_text(encoding="utf-8")
    assert page.count('title="Launch on Binder (not yet tried there') == 1


def test_no_button_leads_to_a_chapter_s_source(pages):
    """On no page, whatever it is called: what opens or downloads is a notebook in plain Markdown."""
    offered = 0
    for name in page_names(pages):
        for address in _parsed(pages / name).linked:
            if re.match("https?:", address):
                if ".ipynb" in address or re.search("colab|kaggle|mybinder", address):
                    assert re.search(r"/(blob/)?notebooks(/|\?urlpath=lab/tree/)notebooks/", address), address
                continue
            file = unquote(re.split("[?#]", address)[0])
            if not file.endswith(".ipynb"):
                continue
            cells = json.loads((pages / name).parent.joinpath(file).read_text(encoding="utf-8"))["cells"]
            assert cells[0]["id"] == "edition", f"{name}: {address} is the source"
            offered += 1
    assert offered == len(CHAPTERS)
    assert not list((pages / "_sources").rglob("*.ipynb"))


@pytest.fixture(scope="module")
def server(pages):
    """The book on a local address; the list collects what was asked for and was not there."""
    missing: list[str] = []

    class Handler(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass

        def send_error(self, code, *rest, **named):
            if self.path != "/favicon.ico":  # asked for by browsers on their own, where a page names none
                missing.append(f"{code} {self.path}")
            super().send_error(code, *rest, **named)

    httpd = http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), functools.partial(Handler, directory=str(pages))
    )
    threading.Thread(target=httpd.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{httpd.server_port}", missing
    httpd.shutdown()


@pytest.fixture(scope="module")
def browser(server):
    """Headless Chromium that can reach this machine only."""
    driver = chromium.start("--allow-file-access-from-files")
    yield driver
    driver.quit()


def opened(driver, address: str) -> None:
    """Open a page and wait until its maths is set."""
    driver.get(address)
    settled(driver)


def settled(driver) -> None:
    """Wait until the page is loaded and its maths set."""
    wait(lambda: driver.execute_script("return document.readyState") == "complete", "the page to load")
    if driver.execute_script("return document.querySelector('script[src*=mathjax]') !== null"):
        started = "return Boolean(window.MathJax && MathJax.startup && MathJax.startup.promise)"
        wait(lambda: driver.execute_script(started), "MathJax")
        driver.execute_async_script("MathJax.startup.promise.then(arguments[arguments.length - 1])")


HERE = ("data:", "blob:", "chrome", "about:")  # addresses that no network is asked for


def complaints(driver) -> list[str]:
    """Errors of the console, and what the page asked of other machines, since the last call."""
    found = [entry["message"] for entry in driver.get_log("browser") if entry["level"] == "SEVERE"]
    for entry in driver.get_log("performance"):
        message = json.loads(entry["message"])["message"]
        if message["method"] == "Network.requestWillBeSent":
            address = message["params"]["request"]["url"]
            if not address.startswith(("http://127.0.0.1", "file:", *HERE)):
                found.append(f"asked for {address}")
    return found


# Pictures, in views too, whose description is missing or a mere file name; one on a button that has words needs none.
UNDESCRIBED = """
return [...document.querySelectorAll('img')]
    .filter(image => image.getAttribute('alt') !== '' || !image.closest('button')?.textContent.trim())
    .filter(image => image.alt.trim().length < 4 || image.alt.includes('_images/'))
    .map(image => image.outerHTML.slice(0, 200));
"""


# Folded boxes, code and solutions are opened: what is in them is looked at too.
UNFOLD = """
document.head.insertAdjacentHTML(
    'beforeend', '<style>* { transition: none !important; animation: none !important; }</style>');
document.querySelectorAll('details').forEach(folded => { folded.open = true; });
document.querySelectorAll('button.toggle-button-hidden').forEach(button => button.click());
"""

# What sticks out of the page at its right; frames that scroll by themselves may be wider inside.
WIDER_THAN_THE_PAGE = """
const width = document.documentElement.clientWidth;
if (document.documentElement.scrollWidth <= width) return [];
const scrolls = e => e && e !== document.body &&
    (getComputedStyle(e).overflowX !== 'visible' || scrolls(e.parentElement));
const out = [...document.body.querySelectorAll('*')]
    .filter(e => e.getBoundingClientRect().right > width + 1 && !scrolls(e.parentElement))
    .map(e => e.outerHTML.slice(0, 120));
return out.length ? out : [`${document.documentElement.scrollWidth} pixels on ${width}`];
"""

# Code, what cells print and formulas, of which an end is hidden until one scrolls; and code too small for a projector.
CUT_OFF = """
const wide = e => e.getBoundingClientRect().width > e.closest('div.math').clientWidth + 1;
const code = [...document.querySelectorAll('.bd-article pre')].filter(e => e.offsetParent);
const formulas = [...document.querySelectorAll('div.math mjx-math')].filter(e => e.offsetParent && wide(e));
return [
    ...code.filter(e => e.scrollWidth > e.clientWidth + 1).map(e => e.innerText.slice(0, 80)),
    ...formulas.map(e => e.closest('div.math').textContent.slice(0, 80).toWellFormed()),
    ...code.filter(e => parseFloat(getComputedStyle(e).fontSize) < 14).map(e => `small: ${e.innerText.slice(0, 80)}`),
];
"""

# Formulas whose comma, stop or closing bracket begins the next line.
LEFT_ALONE = """
const first = document.createRange();
return [...document.querySelectorAll('span.math')].filter(formula => {
    const after = formula.nextSibling;
    if (!formula.offsetParent || after?.nodeType !== Node.TEXT_NODE || !/^[.,;:)\\]]/.test(after.data)) return false;
    first.setStart(after, 0);
    first.setEnd(after, 1);
    return first.getBoundingClientRect().left < formula.getBoundingClientRect().left;
}).map(formula => formula.closest('p, li, dd, td, div').textContent.trim().slice(0, 80).toWellFormed());
"""

# What a phone would hide at its right: ends of formulas within text, and of what buttons say.
OUT_OF_SIGHT = """
const formulas = [...document.querySelectorAll('span.math mjx-container')]
    .filter(e => e.offsetParent && !e.closest('table') && e.scrollWidth > e.clientWidth + 4)
    .map(e => e.closest('p, li, dd, td, div').textContent);
const buttons = [...document.querySelectorAll('.fx-choices label')]
    .filter(e => e.getBoundingClientRect().right > document.documentElement.clientWidth)
    .map(e => e.innerText);
return [...formulas, ...buttons].map(text => text.trim().slice(0, 80).toWellFormed());
"""

# Half of a page's elements, whose audit takes as long: MathJax writes each formula as hundreds of them that have the
# text's colour, and code's colours are the same everywhere, so that they are looked at on one page.
EMPTY = """
const left = arguments[0] ? 'mjx-container' : 'mjx-container, div.highlight';
document.querySelectorAll(left).forEach(element => element.replaceChildren());
"""

# In the other mode only colours are looked at anew.
AUDIT = """
const [all, done] = arguments;
const options = {resultTypes: ['violations'], ...(all ? {} : {runOnly: ['color-contrast']})};
const wanted = node => ['serious', 'critical'].includes(node.impact);
const told = rule =>
    `${rule.id} (${rule.nodes.length}): ${rule.nodes[0].html.slice(0, 160)} ${rule.nodes[0].failureSummary}`;
axe.run(document, options).then(
    found => done(found.violations.filter(wanted).map(told)),
    error => done([String(error)]),
);
"""
CODE = "notebooks/10_fixlip.html"
AXE = ROOT / "tests" / "vendor" / "axe-core" / "axe.min.js"

MOST_MB = 3.0  # of a page with all that it can load
MOST_MB_AT_FIRST = 1.0  # before anyone scrolls


@functools.cache
def megabytes(path: Path) -> float:
    """Size of a file as hosts send it: text compressed, pictures and fonts as they are."""
    content = path.read_bytes()
    text = path.suffix in (".html", ".js", ".css", ".svg", ".json")
    return len(gzip.compress(content, 6) if text else content) / 1e6


def loaded_files(driver, address: str, pages: Path) -> set[Path]:
    """Files of the book that the page asked for since the log was last read."""
    files = set()
    for entry in driver.get_log("performance"):
        message = json.loads(entry["message"])["message"]
        if message["method"] == "Network.requestWillBeSent":
            asked = message["params"]["request"]["url"]
            if re.search(r"/try_it/mini-[a-z]+\.js$", asked):
                continue  # the encoder, which the page fetches when it is idle
            if asked.startswith(address):
                files.add(pages / unquote(re.split("[?#]", asked.removeprefix(f"{address}/"))[0]))
            elif not asked.startswith(HERE):
                pytest.fail(f"asked for {asked}")
    return files


@needs_browser
@pytest.mark.rotating(3)
@pytest.mark.parametrize("third", range(3))
def test_pages_have_no_faults_on_a_phone_and_a_desk_in_light_and_dark(third, pages, server, browser):
    """No console error, nothing missing, no formula unset, no picture undescribed, no serious violation of axe's
    rules, nothing wider than the page or out of sight, no comma parted from its formula, and no page heavier than it
    may be."""
    address, missing = server
    faults, formulas, axe = [], 0, AXE.read_text(encoding="utf-8")
    for name in page_names(pages)[third::3]:
        found = []
        at_first = {}
        for width in (1280, 390):
            chromium.look(browser, width)
            browser.get_log("performance")
            browser.get(f"{address}/{name}")
            settled(browser)
            at_first[width] = loaded_files(browser, address, pages)
            browser.execute_script(UNFOLD)
            hidden = OUT_OF_SIGHT if width == 390 else CUT_OFF
            for what, script in (
                ("wider", WIDER_THAN_THE_PAGE),
                ("left alone", LEFT_ALONE),
                ("cut off", hidden),
            ):
                found += [f"{width} pixels: {what}: {text}" for text in browser.execute_script(script)]
        formulas += browser.execute_script("return document.querySelectorAll('mjx-container').length")
        bad = "return [...document.querySelectorAll('mjx-merror, [data-mjx-error]')].map(e => e.textContent)"
        found += [f"formula {text!r}" for text in browser.execute_script(bad)]
        browser.execute_script(EMPTY, name == CODE)
        browser.execute_script(axe)
        for width, mode in ((390, "light"), (1280, "dark")):
            chromium.look(browser, width, dark=mode == "dark")
            followed = f"return document.documentElement.dataset.theme === '{mode}'"
            wait(functools.partial(browser.execute_script, followed), f"the page to turn {mode}")
            violations = browser.execute_async_script(AUDIT, mode == "light")
            found += [f"{width} pixels, {mode}: {violation}" for violation in violations]
        found += [f"picture without description {source}" for source in browser.execute_script(UNDESCRIBED)]
        browser.execute_script(
            "document.querySelectorAll('img').forEach(image => { image.loading = 'eager'; })"
        )
        time.sleep(0.2)
        severe = [entry["message"] for entry in browser.get_log("browser") if entry["level"] == "SEVERE"]
        found += [message for message in severe if "favicon" not in message]
        whole = set.union(*at_first.values(), loaded_files(browser, address, pages))
        for files, most, when in (
            *((files, MOST_MB_AT_FIRST, f"at first, {width} pixels") for width, files in at_first.items()),
            (whole, MOST_MB, "in all"),
        ):
            weight = sum(megabytes(path) for path in files if path.is_file())
            if weight > most:
                found.append(f"{weight:.2f} MB {when}, {most} allowed")
        faults += [f"{name}: {fault}" for fault in found]
    assert not faults, "\n".join(faults)
    assert not missing, "\n".join(missing)
    assert formulas > 0


@needs_browser
@pytest.mark.parametrize("term", ["Baseline value", "Coalition"])
def test_search_finds_a_term_of_the_glossary(term, server, browser):
    address, _ = server
    opened(browser, f"{address}/search.html?q={quote(term)}")
    links = "return [...document.querySelectorAll('#search-results li a')].map(a => a.href)"
    found = wait(lambda: browser.execute_script(links), "results")
    wait(
        lambda: any("glossary.html" in link for link in browser.execute_script(links)),
        f"the glossary among {found}",
    )


# Chooses each option of each view, guess and reply in turn: its own panel is seen then, with its picture loaded, and no
# other of the same row; the reply to a guess follows. Returns what is not so, and how many options there were.
CHOOSE_EVERYTHING = """
const done = arguments[arguments.length - 1];
const seen = e => e.getClientRects().length > 0;
(async () => {
    document.querySelectorAll('details').forEach(folded => { folded.open = true; });
    const faults = [];
    let tried = 0;
    for (const form of document.querySelectorAll('form.fx-choices')) {
        for (const [number, label] of form.querySelectorAll('label').entries()) {
            label.click();
            tried += 1;
            const panels = [...form.querySelectorAll('.fx-panel')];
            const shown = panels.filter(seen);
            if (panels.length && (shown.length !== 1 || shown[0] !== panels[number]))
                faults.push(`${label.innerText}: ${shown.length} panels`);
            for (const picture of shown.flatMap(panel => [...panel.querySelectorAll('img')])) {
                picture.loading = 'eager';
                await picture.decode().catch(() => faults.push(`${label.innerText}: no picture`));
            }
            const name = form.dataset.guess;
            const reply = name && document.querySelector(`form[data-replies-to="${name}"]`).elements.choice;
            if (reply && reply.value !== String(number)) faults.push(`${label.innerText}: reply ${reply.value}`);
        }
    }
    done([faults, tried]);
})().catch(error => done([[String(error)], 0]));
"""


def fewest_options(chapter: str) -> int:
    """Of two recall questions, the guess and its replies, three each, and of its cells' views, two each."""
    source = (ROOT / "notebooks" / f"{chapter}.ipynb").read_text(encoding="utf-8")
    return 12 + 2 * len(re.findall(r'^ *"(?:stack|word)_view\(', source, flags=re.M))


@needs_browser
@pytest.mark.rotating(4)
@pytest.mark.parametrize(
    ("place", "chapter"), [("server", "10_fixlip"), *(("folder", chapter) for chapter in CHAPTERS)]
)
def test_views_react_without_a_kernel(place, chapter, pages, server, browser):
    page = f"notebooks/{chapter}.html"
    opened(browser, f"{server[0]}/{page}" if place == "server" else (pages / page).as_uri())
    assert browser.execute_script("return document.querySelectorAll('mjx-container').length") > 0
    faults, tried = browser.execute_async_script(CHOOSE_EVERYTHING)
    assert not faults and tried >= fewest_options(chapter) > 12
    assert not [complaint for complaint in complaints(browser) if "favicon" not in complaint]


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_self_checks_do_not_say_that_the_reader_has_not_answered(chapter, pages):
    """On a page nobody can: it says where one can."""
    page = (pages / "notebooks" / f"{chapter}.html").read_text(encoding="utf-8")
    assert "Not yet: " not in page
    assert page.count('<p class="unanswered">') >= 3


@needs_browser
def test_printed_without_scrolling_views_are_there(pages, browser):
    """With their pictures: as many as the page's cells make, the chosen ones; and every reply."""
    from pypdf import PdfReader

    browser.get((pages / "notebooks" / "10_fixlip.html").as_uri())
    settled(browser)
    views, replies = browser.execute_script("""
        return [document.querySelectorAll('.fx-choices:not(.fx-list)').length,
            [...document.querySelectorAll('form[data-replies-to] .fx-panel')].map(panel => panel.textContent)];
    """)
    paper = browser.execute_cdp_cmd("Page.printToPDF", {"printBackground": True})["data"]
    reader = PdfReader(io.BytesIO(base64.b64decode(paper)))
    shown = {image.data for page in reader.pages for image in page.images}
    text = "".join("".join(page.extract_text() for page in reader.pages).split())
    figures = browser.execute_script("return document.querySelectorAll('figure img').length")
    assert views >= 2 and len(shown) >= views + figures
    assert len(replies) >= 3 and all("".join(reply.split()) in text for reply in replies)


# What sticks out of a slide, and what a speaker would miss.
SLIDES = """
return [...document.querySelectorAll('.slides > section > section')].map(slide => ({
    chapter: slide.querySelector('h1') ? slide.querySelector('h1').innerText : '',
    figures: slide.querySelectorAll('figure img').length,
    notes: slide.querySelectorAll('aside.notes p').length,
    size: parseFloat(slide.querySelector('.fit').style.fontSize || '1'),
    height: Number(slide.dataset.height),
    text: slide.textContent.trim().slice(0, 60),
}));
"""


@needs_browser
@pytest.mark.rotating(5)
@pytest.mark.parametrize("number", range(1, 6))
def test_slides_of_each_part_show_every_figure_and_fit(number, slide_files, pages, browser):
    """Every chapter of the part and every numbered figure of its pages, on slides that nothing sticks out of."""
    chromium.look(browser, 1280, 720)
    browser.get(slide_files[number - 1].as_uri())
    wait(lambda: browser.execute_script("return document.body.dataset.ready") == "yes", "the slides")
    assert not complaints(browser)
    found = browser.execute_script(SLIDES)
    names = slides.parts()[number - 1][1]
    assert sum(bool(slide["chapter"]) for slide in found) == len(names)
    chapters = [(pages / "notebooks" / f"{name}.html").read_text(encoding="utf-8") for name in names]
    assert sum(slide["figures"] for slide in found) == sum(page.count("<figure ") for page in chapters)
    assert not [slide for slide in found if slide["height"] > 720 or slide["size"] < 0.6]
    assert not [slide["text"] for slide in found if not slide["notes"]], "slides with nothing to say"
    assert not browser.execute_script("return document.querySelectorAll('mjx-merror').length")


@pytest.fixture(scope="module")
def slide_files(pages, tmp_path_factory) -> list[Path]:
    return slides.write(pages, tmp_path_factory.mktemp("slides"))


@needs_browser
@pytest.mark.slow
def test_pdf_holds_the_book_and_nothing_leaves_its_paper(pages, tmp_path):
    """Page by page: text on each, none of it beyond the paper's edges; a bookmark for each page of the book."""
    import pdf
    from pypdf import PdfReader

    assert not pdf.write(pages, tmp_path / "book.pdf"), "wider than the paper"
    reader = PdfReader(tmp_path / "book.pdf")
    assert len(reader.outline) == len(pdf.names())
    faults, solutions = [], 0
    for number, page in enumerate(reader.pages, 1):
        places = []

        def note(text, page_matrix, matrix, *rest, places=places):
            if re.search(r"\w", text):  # MathJax draws long bars by a dash that is stretched far and clipped
                a, _, c, _, e, _ = page_matrix
                places.append(a * matrix[4] + c * matrix[5] + e)

        text = page.extract_text(visitor_text=note)
        solutions += text.count("Solution to Exercise")
        if not text.strip():
            faults.append(f"page {number} is empty")
        if places and not 0 <= min(places) <= max(places) < float(page.mediabox.width):
            faults.append(f"page {number}: text beyond its edge")
    assert not faults, "\n".join(faults)
    exercises = sum(
        (pages / f"{name}.html").read_text(encoding="utf-8").count('<div class="solution')
        for name in pdf.names()
    )
    assert solutions >= exercises > 50


@needs_browser
def test_without_javascript_text_formulas_and_figures_are_read(pages, browser):
    """With scripts off: a sentence says so, solutions are open, formulas are set, pictures are there."""
    browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    try:
        browser.get((pages / "notebooks" / "10_fixlip.html").as_uri())
        whole = browser.find_element("tag name", "article").text
        assert "Without JavaScript you read everything" in whole
        assert r"\sum" not in whole and "Solution to Exercise" in whole
        formulas = browser.find_elements("css selector", "article math")
        assert len(formulas) > 50 and all(
            formula.size["width"] > 3 and formula.size["height"] > 5
            for formula in formulas
            if formula.is_displayed()
        )
        assert sum(formula.is_displayed() for formula in formulas) > 50
        pictures = browser.find_elements("css selector", "article figure img")
        assert pictures and all(
            picture.size["width"] > 100 and picture.size["height"] > 50 for picture in pictures
        )
        assert not browser.find_elements("css selector", "mjx-container")
        view = browser.find_element("css selector", "form.fx-choices:not(.fx-list)")
        view.find_elements("css selector", "label")[-1].click()
        panels = view.find_elements("css selector", ".fx-panel")
        assert [panel.is_displayed() for panel in panels] == [False] * (len(panels) - 1) + [True]
    finally:
        browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})


@needs_browser
@pytest.mark.parametrize("place", ["server", "folder"])
def test_try_it_explains_in_the_page(place, pages, server, browser):
    """Under the page's own policy, from a server and from a folder; tests/test_try_it.py has the rest."""
    opened(
        browser,
        f"{server[0]}/book/try_it.html" if place == "server" else (pages / "book" / "try_it.html").as_uri(),
    )
    wait(
        lambda: browser.execute_script("return document.querySelector('.ti-preview').src"),
        "the first example",
    )
    button = """
        [...document.querySelectorAll("#explain-here button")].find((b) => b.textContent === arguments[0]).click();
    """
    browser.execute_script(button, "Explain")
    heat = "return document.querySelectorAll('#explain-here .fx-patch').length"
    wait(lambda: browser.execute_script(heat) == 64, "the first heat")
    browser.execute_script(button, "Cancel")
    state = "return document.getElementById('explain-here').dataset.state"
    wait(lambda: browser.execute_script(state) == "idle", "the end")
    assert not [complaint for complaint in complaints(browser) if "favicon" not in complaint]


# What is below must not move while a run says how far it is.
MAP_TOP = "return Math.round(document.querySelector('.fx-frame').getBoundingClientRect().top + scrollY)"
# Nor while one types, whatever is said below the caption: nothing, completions, one and several unknown words, a fault.
TOPS = """
const input = document.querySelector(".ti-caption input");
const was = input.value;
input.focus();
const texts = ["a black dog next to a yellow b", "a purpl b", "purpl dgo kta", "dog ".repeat(60), "", was];
const typed = [was, ...texts].map((text) => {
  input.value = text;
  input.dispatchEvent(new Event("input"));
  const said = document.querySelector(".ti-hints").textContent;
  return [said, ...[".ti-go", ".fx-frame"].map((one) => document.querySelector(one).getBoundingClientRect().top)];
});
input.blur();
return typed;
"""


def test_try_it_has_map_and_caption_on_one_screen(pages, server, engine):
    """On a desk and a phone, at once and without scrolling, where it stays; and the console stays clean."""
    driver = engine.start()
    try:
        for width, height in ((1280, 720), (390, 844)):
            engine.look(driver, width, height)
            driver.get(f"{server[0]}/book/try_it.html")
            arrived = "return document.querySelector('#explain-here[data-ready]') !== null"
            wait(functools.partial(driver.execute_script, arrived), "the stored explanation")
            places = driver.execute_script(
                """
                return [".ti-caption input", ".ti-go", ".ti-score", ".fx-words", ".fx-frame"].map((selector) => {
                  const { top, bottom, left, right } = document.querySelector(selector).getBoundingClientRect();
                  return [selector, top, bottom, left, right];
                });
                """
            )
            for selector, top, bottom, left, right in places:
                assert 0 <= top < bottom <= height and 0 <= left < right <= width, (
                    selector,
                    width,
                    top,
                    bottom,
                )
            assert driver.execute_script("return document.querySelectorAll('.fx-patch').length") == 64
            said, *tops = zip(*driver.execute_script(TOPS), strict=True)
            assert len(set(said)) >= 5 and {len(set(top)) for top in tops} == {1}, (width, said, tops)
        before = driver.execute_script(MAP_TOP)
        driver.execute_script("document.querySelector('.ti-go').click()")
        count = "return document.querySelector('.ti-count').textContent"
        wait(functools.partial(driver.execute_script, count), "passes")
        assert abs(driver.execute_script(MAP_TOP) - before) <= 1, "the map moves"
        driver.execute_script(
            "[...document.querySelectorAll('.ti button')].find((b) => b.textContent === 'Cancel').click()"
        )
        driver.execute_script("scrollTo(0, 600)")  # on the phone the caption stays in sight
        caption = driver.execute_script(
            "return document.querySelector('.ti-caption input').getBoundingClientRect().top"
        )
        assert 0 <= caption < 200
        ended = "return document.querySelector('.ti-loading').textContent === '' && Boolean(globalThis.fixlipWeights)"
        wait(functools.partial(driver.execute_script, ended), "the encoder")
        own = [
            line
            for line in engine.complaints(driver)
            if not re.search("PST|togglebutton|adapters|favicon", line)
        ]
        assert own == []
    finally:
        driver.quit()


@needs_browser
def test_try_it_within_chapter_10(pages, browser):
    """Folded, nothing of it is loaded; opened, it explains, and the address stays the chapter's."""
    page = (pages / "notebooks" / "10_fixlip.html").as_uri()
    opened(browser, page)
    assert not browser.execute_script("return globalThis.fixlipFacts")
    browser.execute_script("document.querySelector('details.try-here > summary').click()")
    wait(
        lambda: browser.execute_script("return document.querySelector('.try-here .ti-preview')?.src"),
        "the first example",
    )
    browser.execute_script("document.querySelector('.try-here .ti-go').click()")
    heat = "return document.querySelectorAll('#explain-here .fx-patch').length"
    wait(lambda: browser.execute_script(heat) == 64, "the first heat")
    assert browser.current_url == page
    assert not [complaint for complaint in complaints(browser) if "favicon" not in complaint]


def test_the_site_has_a_map_cards_and_a_version(pages, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    import publish

    import fixlip_helpers

    site = publish.publish(pages, tmp_path / "site")
    listed = re.findall(r"<loc>(.+?)</loc>", (site / "sitemap.xml").read_text(encoding="utf-8"))
    wanted = {name for name in page_names(pages) if name not in ("genindex.html", "search.html")}
    assert {url.removeprefix(publish.address()) for url in listed} == wanted
    chapter = (site / "notebooks" / "10_fixlip.html").read_text(encoding="utf-8")
    card = re.search(r'property="og:image" content="(.+?)"', chapter)[1]
    assert (site / card.removeprefix(publish.address())).is_file()
    assert (
        chapter.count('property="og:title"') == 1
        and "FIxLIP" in re.search(r'og:title" content="(.+?)"', chapter)[1]
    )
    assert (site / "version.txt").read_text().startswith(fixlip_helpers.__version__)
    assert (site / ".nojekyll").exists() and not (site / ".buildinfo").exists()
