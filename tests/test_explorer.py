# ruff: noqa: E402  (what is tested here is imported once selenium is known to be there)
"""The explorer in Chromium and in Firefox, on the page that the command line writes (see conftest.engine)."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

selenium = pytest.importorskip("selenium", reason="pip install selenium")

from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from test_plots import ramp, small

from fixlip_helpers.datasets import published_clip
from fixlip_helpers.explanation import Explanation
from fixlip_helpers.widgets import _modules, explorer, explorer_page


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """The published explanation a first-order one, and a small one, each as a page."""
    folder = tmp_path_factory.mktemp("pages")
    image, explanations = published_clip()
    fixlip = explanations["FIxLIP"]
    header = "<h1>A page</h1>"
    for name, explanation, picture in (
        ("fixlip", fixlip, image),
        ("game", explanations["GAME"], image),
        ("small", small(words=("a", "dog", "a")), ramp()),
        ("regions", regions(), ramp()),
    ):
        (folder / f"{name}.html").write_text(
            explorer_page(explanation, picture, header=header), encoding="utf-8"
        )
    return {"folder": folder, "fixlip": fixlip}


def regions() -> Explanation:
    """Two regions and a hole on a grid of 2 x 3 patches, and two words."""
    explanation = small(1, 2, words=("red", "dog"))
    del explanation.meta["grid"]
    explanation.meta["image_groups"] = {"grid": [2, 3], "owner": [0, 0, 1, 1, 1, -1]}
    return explanation


@pytest.fixture
def opened(browser, engine, pages):
    """Open a page in a window of some width and theme; at the end nothing may be on the console."""

    def open_page(name: str, width: int = 1100, dark: bool = False):
        engine.look(browser, width, 1000, dark)
        browser.get("about:blank")
        engine.complaints(browser)
        browser.get((pages["folder"] / f"{name}.html").as_uri())
        return browser

    yield open_page
    assert engine.complaints(browser) == []


def patch(browser, number: int):
    return browser.find_element(By.CSS_SELECTOR, f'[data-patch="{number}"]')


def word(browser, name: str):
    return next(
        w for w in browser.find_elements(By.CSS_SELECTOR, ".fx-word") if w.text.split("\n")[0] == name
    )


def button(browser, label: str):
    return next(b for b in browser.find_elements(By.CSS_SELECTOR, ".fx-action") if b.text == label)


def readout(browser) -> str:
    return browser.find_element(By.CSS_SELECTOR, ".fx-readout").text


def shown_numbers(browser) -> list[float]:
    """What the patches show, as their labels say it to a screen reader."""
    labels = [p.get_attribute("aria-label") for p in browser.find_elements(By.CSS_SELECTOR, "[data-patch]")]
    return [float(label.split(": ")[1].replace("−", "-")) for label in labels]


def strengths(browser, selector: str) -> list[float]:
    """Signed strength of the colour of each element, from -1 (blue) to 1 (red)."""
    script = """return [...document.querySelectorAll(arguments[0])].map((e) =>
        parseFloat(e.style.getPropertyValue("--strength")) / 90 * (e.classList.contains("fx-lowers") ? -1 : 1))"""
    return browser.execute_script(script, selector)


# --- Looking at words and patches ---------------------------------------------------------------------------


def test_hovering_a_word_shows_its_patches(opened, pages):
    browser, fixlip = opened("fixlip"), pages["fixlip"]
    ActionChains(browser).move_to_element(word(browser, "dog")).perform()
    heat = fixlip.cross_modal()[:, 1]
    np.testing.assert_allclose(shown_numbers(browser), heat, atol=0.005)
    limit = np.abs(fixlip.cross_modal()).max()
    np.testing.assert_allclose(strengths(browser, "[data-patch]"), heat / limit, atol=0.002)
    assert "“dog”" in readout(browser)
    for number in ("−4.11", "+1.90", "+7.90"):  # alone, value, with all others visible
        assert number in readout(browser)


def test_hovering_a_patch_shows_its_words(opened, pages):
    browser, fixlip = opened("fixlip"), pages["fixlip"]
    ActionChains(browser).move_to_element(patch(browser, 28)).perform()
    numbers = [w.text.split("\n")[1] for w in browser.find_elements(By.CSS_SELECTOR, ".fx-word")]
    values = [float(number.replace("−", "-")) for number in numbers]
    np.testing.assert_allclose(values, fixlip.cross_modal()[28], atol=0.005)
    assert "patch in row 5, column 1" in readout(browser)


def test_red_raises_and_blue_lowers(opened):
    browser = opened("fixlip")
    ActionChains(browser).move_to_element(word(browser, "black")).perform()
    numbers = np.array(shown_numbers(browser))
    script = "return getComputedStyle(arguments[0]).backgroundColor"
    channels = browser.execute_script(script, patch(browser, int(numbers.argmin())))
    red, _, blue = (float(part) for part in channels.replace("color(srgb ", "").split(" ")[:3])
    assert blue > red
    ActionChains(browser).move_to_element(word(browser, "dog")).perform()
    channels = browser.execute_script(script, patch(browser, 28))
    red, _, blue = (float(part) for part in channels.replace("color(srgb ", "").split(" ")[:3])
    assert red > blue


def test_a_tap_keeps_a_word_and_another_releases_it(opened):
    browser = opened("fixlip", width=390)
    word(browser, "black").click()
    ActionChains(browser).move_to_element(browser.find_element(By.TAG_NAME, "h1")).perform()
    assert "“black”" in readout(browser)
    assert word(browser, "black").get_attribute("aria-pressed") == "true"
    word(browser, "black").click()
    ActionChains(browser).move_to_element(browser.find_element(By.TAG_NAME, "h1")).perform()
    assert word(browser, "black").get_attribute("aria-pressed") == "false"
    assert "tap it" in readout(browser)


def test_the_keyboard_reaches_everything(opened):
    browser = opened("fixlip")
    seen = []
    for _ in range(30):
        ActionChains(browser).send_keys(Keys.TAB).perform()
        active = browser.switch_to.active_element
        seen.append(active.get_attribute("data-word") or active.get_attribute("data-patch") or active.text)
        if active.get_attribute("data-patch"):
            break
    assert "Values of all players" in seen
    assert "patch in row 1, column 1" in readout(browser)
    for key, place in ((Keys.ARROW_DOWN, "row 2, column 1"), (Keys.ARROW_RIGHT, "row 2, column 2"),
                       (Keys.END, "row 2, column 7"), (Keys.ARROW_RIGHT, "row 2, column 7"),
                       (Keys.HOME, "row 2, column 1"), (Keys.ARROW_UP, "row 1, column 1")):  # fmt: skip
        ActionChains(browser).send_keys(key).perform()
        assert place in readout(browser)
    ActionChains(browser).send_keys(Keys.TAB).perform()
    assert browser.switch_to.active_element.get_attribute("data-word") == "49"
    assert "“black”" in readout(browser)
    ActionChains(browser).send_keys(Keys.ENTER).perform()
    assert word(browser, "black").get_attribute("aria-pressed") == "true"
    ActionChains(browser).send_keys(Keys.ESCAPE).perform()
    assert word(browser, "black").get_attribute("aria-pressed") == "false"


def test_values_of_all_players(opened, pages):
    browser, fixlip = opened("fixlip"), pages["fixlip"]
    button(browser, "Values of all players").click()
    np.testing.assert_allclose(shown_numbers(browser), fixlip.first_order()[:49], atol=0.005)
    assert "−1.90" in word(browser, "black").text and "+2.73" in word(browser, "yellow").text
    key = browser.find_element(By.CSS_SELECTOR, ".fx-key").text
    assert "+2.73 raises" in key and "−2.73 lowers" in key


def test_pairs_within_a_modality_on_request(opened, pages):
    browser, fixlip = opened("fixlip"), pages["fixlip"]
    ActionChains(browser).move_to_element(word(browser, "black")).perform()
    assert word(browser, "dog").text == "dog"
    hover = ActionChains(browser).click(button(browser, "Pairs within"))
    hover.move_to_element(word(browser, "black")).perform()
    shown = float(word(browser, "dog").text.split("\n")[1].replace("−", "-"))
    assert shown == pytest.approx(fixlip.pairs[49, 50], abs=0.005)


def test_a_first_order_explanation_shows_its_values(opened, pages):
    browser = opened("game")
    assert not [b for b in browser.find_elements(By.CSS_SELECTOR, ".fx-action") if b.text == "Merge players"]
    before = strengths(browser, "[data-patch]")
    ActionChains(browser).move_to_element(word(browser, "black")).perform()
    assert strengths(browser, "[data-patch]") == before  # one map for every word
    assert max(before) == pytest.approx(0.19, abs=0.01)  # `ant` holds the largest value, 0.142


# --- Merging ------------------------------------------------------------------------------------------------


def test_word_pieces_are_joined(opened, pages):
    browser, fixlip = opened("fixlip"), pages["fixlip"]
    button(browser, "Join word pieces").click()
    ActionChains(browser).move_to_element(word(browser, "hydrant")).perform()
    merged = fixlip.merge({"hydrant": [55, 56]})
    np.testing.assert_allclose(shown_numbers(browser), merged.cross_modal()[:, 6], atol=0.005)
    limit = np.abs(merged.cross_modal()).max()
    assert f"+{limit:.2f} raises" in browser.find_element(By.CSS_SELECTOR, ".fx-key").text
    button(browser, "Split all").click()
    assert word(browser, "hydr") and word(browser, "ant")


def test_marked_patches_and_words_are_merged(opened, pages):
    browser, fixlip = opened("fixlip"), pages["fixlip"]
    button(browser, "Merge players").click()
    assert button(browser, "Merge the marked").get_attribute("disabled")
    for number in (28, 29, 35):
        patch(browser, number).click()
    word(browser, "black").click()
    word(browser, "dog").click()
    button(browser, "Merge the marked").click()
    ActionChains(browser).move_to_element(word(browser, "black + dog")).perform()
    merged = fixlip.merge({"dog": [28, 29, 35], "black + dog": [49, 50]})
    numbers = shown_numbers(browser)
    assert numbers[28] == numbers[29] == numbers[35]
    assert numbers[28] == pytest.approx(merged.cross_modal()[28, 0], abs=0.05)
    ActionChains(browser).move_to_element(patch(browser, 29)).perform()
    assert "region of 3 patches" in readout(browser)


def test_merging_can_be_called_off(opened):
    browser = opened("small")
    button(browser, "Merge players").click()
    patch(browser, 0).click()
    button(browser, "Cancel").click()
    assert len(browser.find_elements(By.CSS_SELECTOR, ".fx-marked")) == 0
    assert not [b for b in browser.find_elements(By.CSS_SELECTOR, ".fx-action") if b.text == "Split all"]


# --- The same numbers as the package ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("index", "p"), [("FWBII", 0.3), ("FSII", None), ("exCLIP", None), ("first-order", None)]
)
def test_numbers_are_those_of_the_package(opened, index, p):
    source = small(2, 2, words=("a", "b", "c"))
    pairs = source.pairs * (index != "first-order")
    explanation = Explanation(
        source.baseline,
        None,
        source.main,
        pairs,
        index,
        p,
        source.players,
        source.n_image,
        source.n_text,
        source.meta,
    )
    groups = {"left": [0, 2], "b + c": [5, 6]}
    script = f"""
        {_modules().split("// The explorer:")[0]}
        const e = decode(JSON.parse(arguments[0]));
        const merged = merge(e, JSON.parse(arguments[1]));
        return {{ values: [...firstOrder(e)], main: [...merged.main], pairs: merged.pairs.map((row) => [...row]),
                 players: merged.players, members: merged.members, limit: pairLimit(e), best: partners(e, 4, 2) }};
    """
    arguments = [
        json.dumps(explanation.to_dict()),
        json.dumps([{"name": n, "members": m} for n, m in groups.items()]),
    ]
    found = opened("small").execute_script(script, *arguments)
    merged = explanation.merge(groups)
    np.testing.assert_allclose(found["values"], explanation.first_order(), atol=1e-12)
    np.testing.assert_allclose(found["main"], merged.main, atol=1e-12)
    np.testing.assert_allclose(found["pairs"], merged.pairs, atol=1e-12)
    assert found["players"] == merged.players and found["members"] == [[0, 2], [1], [3], [4], [5, 6]]
    if index != "first-order":
        assert found["limit"] == pytest.approx(np.abs(explanation.cross_modal()).max())
        strongest = np.argsort(-np.abs(explanation.cross_modal()[:, 0]))[:2]
        assert [entry["player"] for entry in found["best"]] == strongest.tolist()


# --- Readable for everybody ---------------------------------------------------------------------------------

CONTRAST = """
const luminance = (c) => {
  const part = (v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
  return 0.2126 * part(c[0]) + 0.7152 * part(c[1]) + 0.0722 * part(c[2]);
};
const channels = (text) => {
  const numbers = text.match(/-?[\\d.]+(e-?\\d+)?/g).map(Number);
  return text.startsWith("color") ? numbers : numbers.map((v, i) => (i < 3 ? v / 255 : v));
};
const ground = (element) => {
  for (let e = element; e; e = e.parentElement) {
    const colour = channels(getComputedStyle(e).backgroundColor);
    if (colour.length < 4 || colour[3] > 0.99) return colour;
  }
  return [1, 1, 1];
};
return [...document.querySelectorAll(arguments[0])]
  .filter((e) => e.textContent && e.getClientRects().length && !e.disabled)
  .map((e) => {
    const [a, b] = [luminance(channels(getComputedStyle(e).color)), luminance(ground(e))];
    return [e.textContent, (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05)];
  });
"""


@pytest.mark.parametrize("dark", [False, True])
def test_text_has_contrast_in_both_themes(opened, dark):
    browser = opened("fixlip", dark=dark)
    assert browser.execute_script("return document.documentElement.dataset.theme") == (
        "dark" if dark else "light"
    )
    for number in (28, 33, 5):  # faint, strong, red and blue words
        ActionChains(browser).move_to_element(patch(browser, number)).perform()
        texts = browser.execute_script(
            CONTRAST, ".fx-word, .fx-number, .fx-action, .fx-what, .fx-facts dt, h1, h3, p"
        )
        assert len(texts) > 20
        assert [(text, round(ratio, 2)) for text, ratio in texts if ratio < 4.5] == []


@pytest.mark.parametrize("width", [320, 390, 1100])
def test_no_sideways_scrolling(opened, width):
    browser = opened("fixlip", width=width)
    assert browser.execute_script("return document.documentElement.scrollWidth") <= width


def test_everything_has_a_role_and_a_name(opened):
    browser = opened("fixlip")
    roles = [
        row.get_attribute("role")
        for row in browser.find_elements(By.CSS_SELECTOR, ".fx-grid, .fx-row, .fx-patch")
    ]
    assert set(roles) == {"grid", "row", "gridcell"}
    for element in browser.find_elements(By.CSS_SELECTOR, "#explorer button"):
        assert element.accessible_name or not element.is_displayed()
    assert "dog +1.90" in browser.find_element(By.CSS_SELECTOR, ".fx-image").get_attribute("alt")
    assert browser.find_element(By.CSS_SELECTOR, ".fx-readout").get_attribute("aria-live") == "polite"
    tabbable = browser.find_elements(By.CSS_SELECTOR, '.fx-patch[tabindex="0"]')
    assert len(tabbable) == 1  # the grid is one stop of the Tab key, the arrows move inside it


def test_heat_lies_where_the_encoder_looks(browser, opened, pages):
    from types import SimpleNamespace

    picture = SimpleNamespace(original=ramp(200, 120), box=(40.0, 0.0, 160.0, 120.0))
    (pages["folder"] / "cropped.html").write_text(explorer_page(small(3, 3), picture), encoding="utf-8")
    opened("cropped")
    script = """const r = document.querySelector(arguments[0]).getBoundingClientRect();
        return [r.left, r.right, r.top, r.bottom]"""
    left, right, top, bottom = browser.execute_script(script, ".fx-image")
    grid = browser.execute_script(script, ".fx-grid")
    expected = [left + 0.2 * (right - left), left + 0.8 * (right - left), top, bottom]
    np.testing.assert_allclose(grid, expected, atol=1)


def test_in_a_page_of_the_book_it_follows_the_theme_and_fits_its_frame(browser, opened, pages):
    image, fixlip = published_clip()[0], pages["fixlip"]
    icon, view = "<link rel='icon' href='data:,'>", explorer(fixlip, image, height=100).data
    host = f"<!doctype html><html data-theme='dark'>{icon}{view}</html>"
    (pages["folder"] / "host.html").write_text(host, encoding="utf-8")
    opened("host")
    frame = browser.find_element(By.TAG_NAME, "iframe")
    browser.switch_to.frame(frame)
    assert browser.execute_script("return document.documentElement.dataset.theme") == "dark"
    needed = browser.execute_script("return document.documentElement.scrollHeight")
    browser.execute_script("window.parent.document.documentElement.dataset.theme = 'light'")
    browser.execute_async_script("requestAnimationFrame(() => requestAnimationFrame(arguments[0]))")
    assert browser.execute_script("return document.documentElement.dataset.theme") == "light"
    browser.switch_to.default_content()
    assert needed > 400 and frame.size["height"] >= needed - 2


def test_sources_are_where_the_package_looks():
    folder = Path(__file__).parent.parent / "web"
    assert {file.name for file in folder.iterdir()} >= {
        "explanation.js",
        "explorer.js",
        "explorer.css",
        "page.html",
    }


def test_regions_are_shown_on_their_patches(opened):
    browser = opened("regions")
    explanation = regions()
    patches = browser.find_elements(By.CSS_SELECTOR, "[data-patch]")
    labels = [patch.get_attribute("aria-label") for patch in patches]
    assert len(patches) == 6 and labels[0] == labels[1] and labels[2] == labels[3] == labels[4] != labels[0]
    assert labels[5] == "always visible"
    patches[5].click()  # is nobody: nothing happens
    patches[4].click()
    word = browser.find_elements(By.CSS_SELECTOR, "[data-word] .fx-number")[1]
    assert word.text.replace("−", "-").startswith(f"{explanation.pairs[1, 3]:+.1f}"[:4])
    assert [patch.get_attribute("aria-selected") for patch in patches] == ["false"] * 2 + ["true"] * 3 + [
        "false"
    ]
