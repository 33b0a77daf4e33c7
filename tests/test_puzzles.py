"""Guess the sign: its numbers hold when asked anew; the page works by mouse, keyboard, address and from a folder."""

import io
import json
import re
import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from classroom import puzzles as script
from fixlip_helpers import VisionLanguageGame, load_model
from fixlip_helpers.coalitions import all_coalitions, draw
from fixlip_helpers.datasets import published_clip

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "book" / "_static" / "puzzles"


DATA = json.loads(
    (FOLDER / "data.js").read_text(encoding="utf-8").removeprefix("window.guessTheSign = ").rstrip(";\n")
)
PUZZLES = DATA["puzzles"]


def test_fifty_puzzles_of_every_kind_each_certain_of_its_sign():
    assert len(PUZZLES) == script.WANTED and len({one["id"] for one in PUZZLES}) == script.WANTED
    assert all(re.fullmatch(r"[a-z0-9-]+", one["id"]) for one in PUZZLES)
    assert all(abs(one["value"]) > max(script.SMALLEST, 4 * one["error"]) > 0 for one in PUZZLES)
    assert 0.4 < np.mean([one["value"] > 0 for one in PUZZLES]) < 0.6
    assert set(DATA["kinds"]) == {one["kind"] for one in PUZZLES}
    signs = Counter((one["kind"], one["value"] > 0) for one in PUZZLES)
    for kind, record in DATA["kinds"].items():
        assert record["raises"] >= signs[kind, True] and record["lowers"] >= signs[kind, False]
        assert (ROOT / "notebooks" / f"{record['chapter']}.ipynb").exists()
    for one in PUZZLES:
        picture = DATA["pictures"][one["picture"]]
        assert picture["src"].startswith("data:image/") and len(picture["alt"]) > 20
        assert one["patches"] and max(one["patches"]) < picture["grid"] ** 2
        assert 0 <= one["word"] < len(one["caption"])


def test_the_published_ones_are_the_published_numbers():
    clip = published_clip()[1]["FIxLIP"]
    found = [one for one in PUZZLES if one["model"].startswith("CLIP")]
    assert len(found) >= 4
    for one in found:
        word = one["caption"][one["word"]]
        columns = [clip.players.index(piece) for piece in (("hydr", "ant") if word == "hydrant" else (word,))]
        assert one["value"] == pytest.approx(clip.pairs[np.ix_(one["patches"], columns)].sum(), abs=6e-4)


@pytest.mark.parametrize("model", ["mini-clip", "mini-siglip"])
def test_the_others_hold_when_the_model_is_asked_anew(model):
    """By plain averages over draws of this test, all captions enumerated: no regression, none of the designs."""
    captions = {" ".join(example.caption.split()): example for _, example in script.captioned()}
    mine = [one for one in PUZZLES if one["model"] == model]
    picture = Counter(one["picture"] for one in mine).most_common(1)[0][0]
    encoder, checked = load_model(model), 0
    rows = draw(64, 0.5, 400, seed=20_26)
    z = 2.0 * rows - 1
    images = None
    for one in (one for one in mine if one["picture"] == picture):
        example = captions[" ".join(one["caption"])]
        game = VisionLanguageGame(encoder, example.image, example.caption)
        images = game.encode_images(rows) if images is None else images
        texts = all_coalitions(game.n_text)
        target = (
            game.scale * images @ ((2.0 * texts[:, one["word"]] - 1) @ game.encode_texts(texts) / len(texts))
        )
        # each draw's own contribution to the sum; the mean over draws is taken off, to which a word's z gives no slope
        parts = 4 * z[:, one["patches"]].sum(axis=1) * (target - target.mean())
        error = parts.std(ddof=1) / np.sqrt(len(parts))
        assert abs(parts.mean() - one["value"]) < 4 * np.hypot(error, one["error"]), one["id"]
        checked += 1
    assert checked >= 2


# --- In a browser -------------------------------------------------------------------------------------------------

PAGE = """<!doctype html><html lang="en"><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1"><title>Puzzles</title>
<link rel="stylesheet" href="puzzles.css"><div id="puzzles"></div>
<script src="data.js"></script><script src="puzzles.js"></script></html>"""


@pytest.fixture
def opened(browser, engine, tmp_path):
    """Open the page from a folder, at an address; at the end nothing may be on the console."""
    for path in FOLDER.iterdir():
        shutil.copy(path, tmp_path)
    (tmp_path / "page.html").write_text(PAGE, encoding="utf-8")

    def open_page(hash_: str = "", width: int = 1100, dark: bool = False):
        engine.look(browser, width, dark=dark)
        browser.get("about:blank")
        engine.complaints(browser)
        browser.get((tmp_path / "page.html").as_uri() + hash_)
        browser.execute_script(
            "document.documentElement.dataset.theme = arguments[0]", "dark" if dark else "light"
        )
        return browser

    yield open_page
    browser.execute_script("localStorage.clear()")
    assert engine.complaints(browser) == []


def text(driver, selector: str) -> str:
    return driver.execute_script("return document.querySelector(arguments[0])?.innerText ?? ''", selector)


def press(driver, *keys: str) -> None:
    from selenium.webdriver.common.action_chains import ActionChains

    for key in keys:
        ActionChains(driver).send_keys(key).perform()


def test_an_address_names_its_puzzle_and_a_click_shows_number_and_error(opened):
    for number in (0, 17, 49):
        one = PUZZLES[number]
        driver = opened(f"#{one['id']}")
        assert text(driver, ".gs-title") == f"Puzzle {number + 1} of 50"
        assert text(driver, ".gs-caption").strip("“”") == " ".join(one["caption"])
        assert text(driver, ".gs-caption mark") == one["caption"][one["word"]]
        assert len(driver.find_elements("css selector", ".gs-veil")) + len(one["patches"]) in (49, 64)
        assert not text(driver, ".gs-answer")
        right = "raises" if one["value"] > 0 else "lowers"
        driver.find_element("css selector", f"[data-sign={right}]").click()
        shown = text(driver, ".gs-answer")
        assert shown.startswith("Right")
        assert f"{abs(one['value']):.2f} ± {one['error']:.2f} logits" in shown
        assert ("+" if one["value"] > 0 else "−") in text(driver, ".gs-number")
        assert driver.find_element("css selector", f"[data-sign={right}]").get_attribute("disabled")
    assert text(opened(), ".gs-score") == "3 of 3 right so far", "answers are not remembered"


def test_by_keyboard_alone_and_back_again(opened):
    driver = opened()
    driver.execute_script("document.querySelector('.gs-title').focus()")
    wrong = "l" if PUZZLES[0]["value"] > 0 else "r"
    press(driver, wrong)
    assert text(driver, ".gs-answer").startswith("Not this time")
    press(driver, "\ue014")  # arrow right
    assert text(driver, ".gs-title") == "Puzzle 2 of 50"
    assert driver.current_url.endswith("#" + PUZZLES[1]["id"])
    press(driver, "\ue012", "\ue012")  # arrow left, twice
    assert text(driver, ".gs-title") == "Puzzle 50 of 50"
    driver.back()
    assert text(driver, ".gs-title") == "Puzzle 1 of 50"
    driver.find_element("css selector", "[data-reset]").click()
    assert text(driver, ".gs-score") == "" and not text(driver, ".gs-answer")
    driver.find_element("css selector", "[data-share]").click()
    link = (
        "return document.querySelector('.gs-link')?.value ?? document.querySelector('[data-share]').innerText"
    )
    assert driver.execute_async_script(
        f"const done = arguments[0]; setTimeout(() => done((() => {{{link}}})()), 300)"
    ) in ("Copied", driver.current_url.split("#")[0] + "#" + PUZZLES[0]["id"])


CONTRAST = """
const luminance = (colour) => {
  const [r, g, b] = colour.match(/[\\d.]+/g).map(Number).slice(0, 3).map((c) => c / 255)
    .map((c) => (c <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4));
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
};
const page = luminance(arguments[0]);
return [...document.querySelectorAll('.gs-guess, .gs-answer')].map((element) => {
  const own = luminance(getComputedStyle(element).color);
  return (Math.max(own, page) + 0.05) / (Math.min(own, page) + 0.05);
});
"""


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("width", [360, 1100])
def test_fits_the_window_and_its_colours_can_be_told_from_the_page(opened, width, dark):
    for one in (PUZZLES[0], next(one for one in PUZZLES if one["picture"] == "photograph")):
        driver = opened(f"#{one['id']}", width, dark)
        driver.find_element("css selector", ".gs-guess").click()
        assert driver.execute_script("return document.documentElement.scrollWidth <= innerWidth")
        sizes = driver.execute_script(
            "return [...document.querySelectorAll('.gs button, .gs-step')].map(e => e.getBoundingClientRect().height)"
        )
        assert min(sizes) >= 43, "too small for a finger"
        ratios = driver.execute_script(CONTRAST, "rgb(18, 18, 18)" if dark else "rgb(255, 255, 255)")
        assert min(ratios) >= 4.5
        driver.execute_script("localStorage.clear()")


def test_an_unknown_address_opens_the_first_puzzle_and_storage_may_be_missing(opened):
    driver = opened("#no-such-puzzle")
    assert text(driver, ".gs-title") == "Puzzle 1 of 50"
    driver.execute_script("localStorage.setItem('guess-the-sign', 'no JSON')")
    assert text(opened(), ".gs-title") == "Puzzle 1 of 50"


def test_a_link_within_the_page_and_a_broken_address_keep_the_puzzle(opened):
    driver = opened(f"#{PUZZLES[17]['id']}")
    driver.execute_script(
        "document.body.insertAdjacentHTML('beforeend', '<h2 id=numbers tabindex=-1>Numbers</h2>')"
    )
    for hash_ in ("#numbers", "#%E0%A4%A", ""):
        driver.execute_script("location.hash = arguments[0]", hash_)
        assert text(driver, ".gs-title") == "Puzzle 18 of 50", hash_
    driver.find_element("css selector", "[data-step=next]").click()
    assert text(driver, ".gs-title") == "Puzzle 19 of 50"
    assert text(opened("#%E0%A4%A"), ".gs-title") == "Puzzle 1 of 50"


def test_a_white_thing_stays_white_in_the_dark(opened):
    """The veil over the patches that are not asked about is white in both themes: it keeps what is light and dark."""
    one = next(one for one in PUZZLES if one["picture"] == "hero")
    shots = []
    for dark in (False, True):
        driver = opened(f"#{one['id']}", dark=dark)
        shots.append(driver.find_element("css selector", ".gs-picture").screenshot_as_png)
    light, dark = (np.asarray(Image.open(io.BytesIO(shot)).convert("L")).astype(int) for shot in shots)
    inner = np.s_[4:-4, 4:-4]
    assert np.abs(light[inner] - dark[inner]).mean() < 1
