"""The built site as a visitor meets it, in Chromium and Firefox: front page, menus, cards, numbers, figures."""

import re

import pytest
from chromium import wait
from PIL import Image

from fixlip_helpers.datasets import published_clip

PIECES = {"hydrant": ("hydr", "ant")}  # of a word of the published caption
SIZES = [(1280, 720), (390, 844)]


@pytest.fixture(scope="module")
def site(pages):
    """Address of a page, read from the folder."""
    return lambda name: (pages / name).as_uri()


def page_names(pages) -> list[str]:
    return sorted(
        path.relative_to(pages).as_posix() for path in pages.rglob("*.html") if "_static" not in path.parts
    )


def ready(browser, address: str) -> None:
    browser.get(address)
    wait(lambda: browser.execute_script("return document.readyState") == "complete", "the page to load")


# --- The front page -----------------------------------------------------------------------------------------

# Left, top, right and bottom of words and patches, in pixels of the window.
PLACES = """
const frame = document.querySelector('iframe');
const page = frame.contentDocument;
if (!page?.querySelector('.fx-word')) return null;
const around = frame.getBoundingClientRect();
return [...page.querySelectorAll('.fx-word, .fx-patch')].map(e => {
    const at = e.getBoundingClientRect();
    return [at.left + around.left, at.top + around.top, at.right + around.left, at.bottom + around.top];
});
"""
CHOOSE = """
const page = document.querySelector('iframe').contentDocument;
const word = [...page.querySelectorAll('.fx-word')].find(e => e.textContent.startsWith(arguments[0]));
if (word.ariaPressed !== 'true') word.click();
return [...page.querySelectorAll('.fx-patch')].map(e => [
    e.getAttribute('aria-label'), e.classList.contains('fx-lowers'), e.style.getPropertyValue('--strength'),
]);
"""


@pytest.mark.parametrize(("width", "height"), SIZES)
def test_the_first_screen_of_the_front_page_holds_a_whole_explanation(width, height, engine, browser, site):
    engine.look(browser, width, height)
    ready(browser, site("index.html"))
    places = wait(lambda: browser.execute_script(PLACES), "the explorer")
    assert len(places) == 7 + 49
    assert min(left for left, *_ in places) >= 0 and max(right for *_, right, _ in places) <= width
    assert min(top for _, top, *_ in places) > 0
    assert max(bottom for *_, bottom in places) <= height, "the map ends below the first screen"
    patch = places[-1]
    assert patch[2] - patch[0] >= 24 and patch[3] - patch[1] >= 24, "patches are smaller than a fingertip"
    own = "const at = document.querySelector('.front .sd-btn').getBoundingClientRect(); return [at.top, at.bottom]"
    top, bottom = browser.execute_script(own)
    assert 0 <= top < bottom <= height, "the way to one's own caption is below the first screen"
    assert not [message for message in engine.complaints(browser) if "error" in message.lower()]


@pytest.mark.parametrize("word", ["black", "dog", "hydrant"])
def test_its_explorer_shows_the_published_numbers(word, engine, browser, site):
    engine.look(browser, 1280, 720)
    ready(browser, site("index.html"))
    wait(lambda: browser.execute_script(PLACES), "the explorer")
    shown = browser.execute_script(CHOOSE, word)
    clip = published_clip()[1]["FIxLIP"]
    tokens = [
        clip.n_image + k
        for k, name in enumerate(clip.players[clip.n_image :])
        if name in (word, *PIECES.get(word, ()))
    ]
    for patch, (label, lowers, _) in enumerate(shown):
        value = clip.pairs[patch, tokens].sum()
        said = float(label.split(": ")[1].replace("−", "-"))
        assert said == pytest.approx(value, abs=0.006)
        assert lowers == (value < 0) or abs(value) < 0.006


def test_the_front_page_leads_on(pages):
    """To Try it, to a route, to every chapter; the root is no redirect."""
    page = (pages / "index.html").read_text(encoding="utf-8")
    article = page[page.index("<article") : page.index("</article>")]
    assert "http-equiv" not in page[: page.index("<body")] and 'href="book/try_it.html"' in article
    for chapter in pages.glob("notebooks/*.html"):
        assert f'href="notebooks/{chapter.name}"' in article
    for route in ("route-evening", "route-practitioners", "route-all"):
        assert f'href="book/map.html#{route}"' in article


# --- Every page --------------------------------------------------------------------------------------

# The menu's button as a reader sees it: large enough for a finger, inside the window, and with something drawn in it.
MENU = """
const button = document.querySelector('button.primary-toggle');
const drawing = button?.querySelector('svg path');
if (!drawing) return 'no drawing';
const [outer, inner] = [button, drawing].map(e => e.getBoundingClientRect());
const seen = document.elementFromPoint(outer.x + outer.width / 2, outer.y + outer.height / 2);
if (Math.min(outer.width, outer.height) < 24 || Math.min(inner.width, inner.height) < 8) return 'too small';
if (!button.contains(seen)) return 'covered';
button.click();
return '';
"""
MENU_LINKS = """
return [...document.querySelectorAll('dialog[open] a, .bd-sidebar-primary a')].filter(e => {
    const at = e.getBoundingClientRect();
    return at.width && at.right > 0 && at.left < innerWidth && at.top < innerHeight;
}).length;
"""
WIDER = "return document.documentElement.scrollWidth - document.documentElement.clientWidth"
FORMULAS_SET = (
    "(window.MathJax ? MathJax.startup.promise : Promise.resolve())"
    ".then(() => setTimeout(arguments[arguments.length - 1], 50))"
)
FIGURE_TOP = "return document.querySelector('.bd-article figure').getBoundingClientRect().top + scrollY"
# Figures that a phone would shrink until their labels cannot be read, and what is cut and does not say that it scrolls.
UNREADABLE = """
const images = [...document.querySelectorAll('.bd-article :is(figure, .fx-panel) img')].filter(e => e.offsetParent);
const least = e => 0.69 * Number(e.getAttribute('width'));
const small = images.filter(e => e.getBoundingClientRect().width < least(e));
const silent = [...document.querySelectorAll('.bd-article .scrolls, .bd-article .pst-scrollable-table-container')]
    .filter(e => e.offsetParent && e.scrollWidth > e.clientWidth + 6 && !e.closest('.scroll-frame'));
return [...small, ...silent].map(e => e.outerHTML.slice(0, 200));
"""


@pytest.fixture(scope="module")
def walked(pages, engine, browser, site) -> dict[str, list[str]]:
    """Every page opened once on a phone, chapters turned to a desk as well; what is wrong, by what was asked."""
    faults = {"menu": [], "figures": [], "late": []}
    for name in page_names(pages):
        engine.look(browser, 390, 844)
        ready(browser, site(name))
        if (wider := browser.execute_script(WIDER)) > 0:
            faults["menu"].append(f"{name}: {wider} pixels wider than the phone")
        is_chapter = re.match(r"notebooks/\d\d_", name)
        if is_chapter:
            browser.execute_async_script(FORMULAS_SET)
            faults["figures"] += [f"{name}: {fault}" for fault in browser.execute_script(UNREADABLE)]
        if fault := browser.execute_script(MENU):
            faults["menu"].append(f"{name}: {fault}")
        else:
            try:
                wait(lambda: browser.execute_script(MENU_LINKS) > 10, "the menu")
            except TimeoutError as error:
                faults["menu"].append(f"{name}: {error}")
        if is_chapter:
            engine.look(browser, 1280, 720)
            top = browser.execute_script(FIGURE_TOP)
            if top >= (720 if "/10_" in name else 1080):
                faults["late"].append(f"{name}: {top}")
    return faults


@pytest.mark.rotating(2, by="engine")
def test_a_phone_reaches_every_page_by_a_menu_that_is_seen(walked):
    """And no page is wider than the phone."""
    assert not walked["menu"], "\n".join(walked["menu"])


@pytest.mark.rotating(2, by="engine")
def test_on_a_phone_figures_are_readable_and_what_scrolls_says_so(walked):
    assert not walked["figures"], "\n".join(walked["figures"])


@pytest.mark.rotating(2, by="engine")
def test_a_chapter_shows_its_figure_before_one_has_scrolled_twice(walked):
    """The first figure begins within a screen and a half; chapter 10's, at 1 650 pixels once, within the first one."""
    assert not walked["late"], "\n".join(walked["late"])


# --- Numbers ------------------------------------------------------------------------------------------------


def test_chapters_carry_their_number_wherever_they_are_named(pages):
    """In the window's title, the heading, links, the sidebar, previous and next."""
    titles = {}
    for path in sorted(pages.glob("notebooks/*.html")):
        page = path.read_text(encoding="utf-8")
        number = path.name[:2]
        assert re.search(rf"<title>\s*{number} ", page) and re.search(rf"<h1>{number} ", page)
        titles[path.name] = re.search(r"<h1>([^<]*)<a class=\"headerlink", page)[1]
    for name in page_names(pages):
        page = (pages / name).read_text(encoding="utf-8")
        for target, text in re.findall(
            r'<a class="reference internal"[^>]*href="[^"#]*?(\d\d_\w+\.html)"[^>]*>\s*<span class="doc">(.*?)</span>',
            page,
        ):
            assert text.startswith(target[:2]), f"{name}: {text}"
    following = re.findall(
        r'class="right-next"\s+href="([^"]+)".*?prev-next-title">(.*?)</p>',
        (pages / "notebooks" / "04_faithful_approximation.html").read_text(encoding="utf-8"), flags=re.S,
    )  # fmt: skip
    assert following == [("05_sampling.html", titles["05_sampling.html"])]


NUMBERED = re.compile(
    r'<span class="caption-number">(Fig\.|Theorem|Definition|Proposition|Corollary|Lemma|Remark|Exercise)\s([\d.]+)'
)


def test_figures_theorems_definitions_and_exercises_count_by_chapter(pages):
    """1, 2, 3 … within each kind, behind the chapter's number; references name what they lead to."""
    kinds = set()
    for path in sorted(pages.glob("notebooks/*.html")):
        page = path.read_text(encoding="utf-8").replace("&#160;", " ")
        counts = {}
        for kind, number in NUMBERED.findall(page):
            counts.setdefault(kind, []).append(number)
        chapter = int(path.name[:2])
        for kind, numbers in counts.items():
            assert numbers == [f"{chapter}.{k}" for k in range(1, len(numbers) + 1)], f"{path.name}: {kind}"
        kinds |= set(counts)
        for anchor, text in re.findall(
            r'href="#((?:fig|thm|def|prop|ex)-[\w-]+)"[^>]*><span class="std std-(?:num)?ref">([^<]*)</span>',
            page,
        ):
            at = page.index(f'id="{anchor}"')
            own = NUMBERED.search(page, at)
            assert own and own[2] in text, f"{path.name}: {text} leads to {own and own[0]}"
    assert kinds >= {"Fig.", "Theorem", "Definition", "Proposition", "Exercise"}


def test_the_papers_numbers_stand_apart(pages):
    """Wherever a theorem or definition of the paper is meant by number, it says so; ours have their chapter's."""
    for name in page_names(pages):
        text = re.sub(r"<[^>]+>", "", (pages / name).read_text(encoding="utf-8"))
        for found in re.finditer(r"(?:Theorem|Definition)s?[\s\xa0](\d+)(?![\d.]*\.\d)", text):
            before = text[max(0, found.start() - 60) : found.end() + 30]
            assert "paper" in before or name == "book/reproduction.html", f"{name}: … {before} …"


# --- Cards --------------------------------------------------------------------------------------------------


def test_every_page_of_the_site_has_a_card_with_a_description_of_its_own(pages, tmp_path):
    import publish

    site = publish.publish(pages, tmp_path / "site")
    described, listed = {}, (site / "sitemap.xml").read_text(encoding="utf-8")
    for name in page_names(pages):
        page = (site / name).read_text(encoding="utf-8")
        card = dict(re.findall(r'<meta property="og:([\w:]+)" content="([^"]*)"/>', page))
        picture = site / card["image"].removeprefix(publish.address())
        assert (
            Image.open(picture).size == (1200, 630) == (int(card["image:width"]), int(card["image:height"]))
        )
        assert card["title"] and card["url"] == publish.address() + name
        if name in ("genindex.html", "search.html"):
            continue
        assert card["url"] in listed
        assert 40 <= len(card["description"]) <= 260, f"{name}: {card['description']}"
        assert card["description"] not in described, (
            f"{name} is described as {described.get(card['description'])}"
        )
        described[card["description"]] = name
    assert "url=../index.html" in (site / "book" / "start.html").read_text(encoding="utf-8")


# --- Chapters -----------------------------------------------------------------------------------------------


def chapters(pages):
    return sorted(pages.glob("notebooks/*.html"))


def test_code_has_no_plumbing_and_every_bar_names_what_it_hides(pages):
    for path in chapters(pages):
        page = path.read_text(encoding="utf-8")
        bars = re.findall(r'<p class="collapsed admonition-title">(.*?)</p>', page)
        assert bars and all(bar.startswith("Code ") for bar in bars), f"{path.name}: {bars}"
        code = re.sub(
            r"<[^>]+>", "", "".join(re.findall(r'<div class="highlight-i?python.*?</pre>', page, flags=re.S))
        )
        assert "def " in code and not re.search(r"\bglue\b", code), path.name


def test_formulas_bring_mathjax_and_their_mathml_others_bring_neither(pages):
    some = 0
    for name in page_names(pages):
        page = (pages / name).read_text(encoding="utf-8")
        formulas = len(re.findall(r'<(?:span|div) class="math notranslate', page))
        assert page.count("<math ") == formulas, name
        assert ("tex-chtml-full.js" in page) == bool(formulas), name
        some += formulas
    assert some > 1000


def test_one_switch_shows_all_code_and_is_remembered(engine, browser, site):
    shown = """
    const folds = [...document.querySelectorAll('div.cell > details.hide')].filter(e => !e.closest('.solution'));
    const seen = folds.filter(e => e.open && e.querySelector('pre').offsetParent);
    return [seen.length, folds.length];
    """
    engine.look(browser, 1280, 720)
    ready(browser, site("notebooks/13_reading_explanations.html"))
    seen, folds = browser.execute_script(shown)
    assert seen == 0 and folds > 5
    switch = "document.querySelector('button.show-code').click()"
    browser.execute_script(switch)
    assert browser.execute_script(shown) == [folds, folds]
    ready(browser, site("notebooks/13_reading_explanations.html"))
    assert browser.execute_script(shown) == [folds, folds]
    browser.execute_script(switch)
    assert browser.execute_script(shown) == [0, folds]


def test_a_figure_is_enlarged_and_put_back(engine, browser, site):
    engine.look(browser, 390, 844)
    ready(browser, site("notebooks/10_fixlip.html"))
    browser.execute_script("document.querySelector('button.enlarge').click()")
    sizes = """
    const [small, large] = [document.querySelector('figure img'), document.querySelector('dialog.enlarged[open] img')];
    return [Number(small.getAttribute('width')), large?.getBoundingClientRect().width, large?.alt === small.alt];
    """
    natural, large, described = browser.execute_script(sizes)
    assert large >= natural > 390 and described
    browser.execute_script("document.querySelector('dialog.enlarged[open] button').click()")
    wait(
        lambda: not browser.execute_script("return document.querySelector('dialog.enlarged')"),
        "the figure to close",
    )


def test_in_the_dark_a_chapters_explorer_lies_on_the_page_itself(engine, browser, site):
    """No pale card behind light letters."""
    engine.look(browser, 1280, 720, dark=True)
    ready(browser, site("notebooks/13_reading_explanations.html"))
    behind = """
    const frame = document.querySelector('.cell_output iframe');
    const clear = [];
    for (let e = frame; e !== document.body; e = e.parentElement) clear.push(getComputedStyle(e).backgroundColor);
    return clear.filter(colour => !['transparent', 'rgba(0, 0, 0, 0)'].includes(colour));
    """
    wait(
        lambda: browser.execute_script("return document.documentElement.dataset.theme") == "dark", "the dark"
    )
    page = browser.execute_script("return getComputedStyle(document.body).backgroundColor")
    assert set(browser.execute_script(behind)) <= {page}
