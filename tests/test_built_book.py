"""The built book, opened in a browser that has no network: no errors, nothing missing, maths set, views that react.

The book is built here, from the outputs stored in the notebooks. The browser checks need Chromium and its driver;
without them they are skipped (Debian: ``apt-get install chromium chromium-driver``).
"""

import functools
import http.server
import json
import re
import shutil
import subprocess
import sys
import threading
import time
from html.parser import HTMLParser
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
DRIVER = shutil.which("chromedriver")
CHAPTERS = sorted(path.stem for path in (ROOT / "notebooks").glob("*.ipynb"))

needs_browser = pytest.mark.skipif(
    BROWSER is None or DRIVER is None,
    reason="no Chromium: install chromium and chromium-driver (Debian's names)",
)


@pytest.fixture(scope="session")
def pages() -> Path:
    """The folder of the built book."""
    build = [sys.executable, str(ROOT / "scripts" / "book.py"), "--stored"]
    result = subprocess.run(build, cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    if result.returncode:
        pytest.fail("the book does not build without warnings:\n" + result.stdout[-6000:], pytrace=False)
    return ROOT / "_build" / "stored" / "_build" / "html"


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


def test_every_chapter_is_in_the_book(pages):
    for chapter in CHAPTERS:
        assert (pages / "notebooks" / f"{chapter}.html").exists(), f"{chapter} is not in _toc.yml"


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
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = BROWSER
    for argument in (
        "--headless=new",
        "--no-sandbox",
        "--disable-dev-shm-usage",
        "--disable-gpu",
        "--no-proxy-server",
        "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
        "--window-size=1280,1600",
        "--allow-file-access-from-files",
    ):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(DRIVER))
    yield driver
    driver.quit()


def wait(condition, what: str, seconds: float = 30):
    """Poll until the condition holds; fail with what was waited for."""
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, f"after {seconds} s still waiting for {what}"
        time.sleep(0.1)
    return found


def opened(driver, address: str) -> None:
    """Open a page and wait until its maths is set and its widgets stand."""
    driver.get(address)
    wait(lambda: driver.execute_script("return document.readyState") == "complete", f"{address} to load")
    if driver.execute_script("return document.querySelector('script[src*=mathjax]') !== null"):
        started = "return Boolean(window.MathJax && MathJax.startup && MathJax.startup.promise)"
        wait(lambda: driver.execute_script(started), "MathJax")
        driver.execute_async_script("MathJax.startup.promise.then(arguments[arguments.length - 1])")
    views = driver.execute_script(
        "return document.querySelectorAll(\"script[type='application/vnd.jupyter.widget-view+json']\").length"
    )
    if views:
        wait(
            lambda: (
                driver.execute_script("return document.querySelectorAll('.jupyter-widgets-view').length")
                >= views
                or driver.execute_script("return document.querySelectorAll('.jupyter-widgets').length")
                >= views
            ),
            "the widgets",
        )


def complaints(driver) -> list[str]:
    """Errors of the console, and what the page asked of other machines, since the last call."""
    found = [entry["message"] for entry in driver.get_log("browser") if entry["level"] == "SEVERE"]
    for entry in driver.get_log("performance"):
        message = json.loads(entry["message"])["message"]
        if message["method"] == "Network.requestWillBeSent":
            address = message["params"]["request"]["url"]
            if not address.startswith(("http://127.0.0.1", "file:", "data:", "blob:", "chrome", "about:")):
                found.append(f"asked for {address}")
    return found


# Pictures, in views too, whose description is missing or a mere file name.
UNDESCRIBED = """
return [...document.querySelectorAll('img')]
    .filter(image => image.alt.trim().length < 4 || image.alt.includes('_images/'))
    .map(image => image.outerHTML.slice(0, 200));
"""


@needs_browser
def test_pages_have_no_errors_their_maths_is_set_and_pictures_are_described(pages, server, browser):
    address, missing = server
    faults, formulas = [], 0
    for name in page_names(pages):
        opened(browser, f"{address}/{name}")
        faults += [f"{name}: {complaint}" for complaint in complaints(browser)]
        formulas += browser.execute_script("return document.querySelectorAll('mjx-container').length")
        bad = "return [...document.querySelectorAll('mjx-merror, [data-mjx-error]')].map(e => e.textContent)"
        faults += [f"{name}: formula {text!r}" for text in browser.execute_script(bad)]
        faults += [
            f"{name}: picture without description {source}" for source in browser.execute_script(UNDESCRIBED)
        ]
    assert not faults, "\n".join(faults)
    assert not missing, "\n".join(missing)
    assert formulas > 0


BUTTONS = ".jupyter-widgets .widget-toggle-button, .jupyter-widgets.widget-toggle-buttons button"

# What the views of a page show, as text and pictures: what a reader would see change.
SHOWN = """
return [...document.querySelectorAll('.jupyter-widgets')]
    .filter(view => view.offsetParent !== null)
    .map(view => view.innerText + [...view.querySelectorAll('img')]
        .filter(image => image.offsetParent !== null).map(image => image.src).join('|'))
    .join('\\n');
"""


def click_every_button(driver) -> list[str]:
    """Click each button of each row of toggle buttons in turn; rows of which no click changed anything."""
    dead = []
    groups = driver.execute_script("return [...document.querySelectorAll('.widget-toggle-buttons')]")
    for number, group in enumerate(groups):
        changed = False
        for button in driver.execute_script("return [...arguments[0].querySelectorAll('button')]", group):
            before = driver.execute_script(SHOWN)
            driver.execute_script(
                "arguments[0].scrollIntoView({block: 'center'}); arguments[0].click()", button
            )
            time.sleep(0.3)
            changed = changed or driver.execute_script(SHOWN) != before
        if not changed:
            dead.append(f"row {number} of buttons ({group.text!r})")
    return dead


@needs_browser
@pytest.mark.parametrize("chapter", CHAPTERS)
def test_views_react_without_a_kernel(chapter, server, browser):
    address, _ = server
    opened(browser, f"{address}/notebooks/{chapter}.html")
    groups = browser.execute_script("return document.querySelectorAll('.widget-toggle-buttons').length")
    assert groups >= 1, "the chapter has no view to play with"
    assert not click_every_button(browser)
    assert not complaints(browser)


@needs_browser
@pytest.mark.parametrize("chapter", CHAPTERS)
def test_chapter_reads_from_a_folder_too(chapter, pages, browser):
    opened(browser, (pages / "notebooks" / f"{chapter}.html").as_uri())
    assert browser.execute_script("return document.querySelectorAll('mjx-container').length") > 0
    assert not click_every_button(browser)
    assert not [complaint for complaint in complaints(browser) if "favicon" not in complaint]


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
    wait(lambda: browser.execute_script(heat) == 64, "the first heat", 60)
    browser.execute_script(button, "Cancel")
    state = "return document.getElementById('explain-here').dataset.state"
    wait(lambda: browser.execute_script(state) == "idle", "the end", 60)
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
