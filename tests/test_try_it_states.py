# ruff: noqa: E402, F811  (see test_try_it.py, whose fixtures these are)
"""The page "Try it" never shows one picture's explanation on another: every control, pressed in every state.

The controls are those that the page has in a state, asked of the page itself, and what is shown afterwards is compared
with the package: picture, caption, model, score, heat, saved files and link belong to one another, or nothing is
shown. A copy of the page with few passes is used, so that runs end soon (test_try_it.site).
"""

from __future__ import annotations

import base64
import functools
import io
import json
import shlex
import time
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pytest
from PIL import Image

selenium = pytest.importorskip("selenium", reason="pip install selenium")

from chromium import wait
from selenium.webdriver.common.by import By
from test_try_it import (  # noqa: F401
    caption,
    choose,
    has_state,
    load,
    page,
    passes,
    press,
    record,
    site,
    status,
)

from fixlip_helpers import VisionLanguageGame, fixlip, load_model
from fixlip_helpers.datasets import published_clip
from fixlip_helpers.explanation import Explanation
from fixlip_helpers.scenes import examples

# --- States ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> dict[str, Path]:
    """A picture of one's own, a file that is none, an explanation of mini-clip and the published one."""
    folder = tmp_path_factory.mktemp("files")
    examples()["crowd"].image.save(folder / "own.png")
    (folder / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n nothing more")
    example = examples()["snow"]
    game = VisionLanguageGame(load_model("mini-clip"), example.image, example.caption, progress=False)
    fixlip(game, n_image_coalitions=4096).save(folder / "explanation.json", example.image)
    image, published = published_clip()
    published["FIxLIP"].save(folder / "published.json", image)
    return {path.stem: path for path in folder.iterdir()}


def shown(browser) -> dict:
    return browser.execute_script(STATE)


def nothing(browser, files):
    pass


def typed(browser, files):
    caption(browser, "a red dog")
    wait(lambda: record(browser).get("meta", {}).get("caption") == "a red dog", "the caption that was typed")
    has_state(browser, "done")


def running(browser, files):
    choose(browser, "Accuracy", "best")
    press(browser, "Explain")
    wait(lambda: passes(browser), "passes")


def first_look(browser, files):
    running(browser, files)
    wait(lambda: "first look" in shown(browser)["trust"], "the first heat")


def cancelled(browser, files):
    first_look(browser, files)
    press(browser, "Cancel")
    has_state(browser, "idle")


def own(browser, files):
    load(browser, files["own"])
    wait(lambda: "Type a caption" in status(browser), "the picture")


def own_running(browser, files):
    own(browser, files)
    running(browser, files)


def own_done(browser, files):
    own(browser, files)
    press(browser, "Explain")
    has_state(browser, "done")


def scene(browser, files):
    press(browser, "Build a scene")
    wait(lambda: browser.find_elements(By.CSS_SELECTOR, ".ti-handle"), "the builder")


def compared(browser, files):
    browser.execute_script("document.querySelector('.ti-more').open = true")
    press(browser, "Compare with a second caption")
    caption(browser, "a white dog next to a yellow bus", 1)
    wait(lambda: shown(browser)["score"].count("logits") == 2, "two scores")
    has_state(browser, "done", "stored")


def difference(browser, files):
    compared(browser, files)
    press(browser, "A minus B")


def opened(browser, files):
    load(browser, files["explanation"], which="Open an explanation")
    wait(lambda: "is shown" in status(browser), "the explanation")


def published(browser, files):
    load(browser, files["published"], which="Open an explanation")
    wait(lambda: "is shown" in status(browser), "the explanation")


def refused(browser, files):
    load(browser, files["broken"])
    wait(lambda: browser.find_elements(By.CSS_SELECTOR, ".ti-wrong"), "the sentence")


def cut(browser, files):
    browser.execute_script("location.hash = 'c=a+red+ca'")
    wait(lambda: "names no picture" in status(browser), "the sentence")


STATES = [
    nothing, typed, running, first_look, cancelled, own, own_running, own_done, scene, compared, difference, opened,
    published, refused, cut
]  # fmt: skip

# --- Controls ----------------------------------------------------------------------------------------------------

PREPARE = """
HTMLAnchorElement.prototype.click = function () { window.saved = { name: this.download, address: this.href } };
Object.defineProperty(navigator, "clipboard", { value: { writeText: async (text) => { window.copied = text } } });
"""
CONTROLS = """
const named = (e) => e.getAttribute("aria-label") ?? (e.closest("label") ?? e).textContent.trim().slice(0, 40);
window.controls = [...document.querySelectorAll("#explain-here :is(button, select, input, summary)")].filter((e) =>
  (e.getClientRects().length || e.type === "file") && !e.disabled && !(Number(e.dataset.patch) > 0));
return window.controls.map((e) => [`${e.tagName} ${e.type ?? ""} ${named(e)}`, e.type === "file"]);
"""
ACT = """
const control = window.controls[arguments[0]];
const says = (type) => control.dispatchEvent(new Event(type, { bubbles: true }));
if (control.tagName === "SELECT") {
  control.selectedIndex = (control.selectedIndex + 1) % control.options.length;
  says("change");
} else if (control.type === "text") {
  control.value = "a blue cat";
  says("input");
} else if (control.type === "range") {
  control.value = control.min;
  says("input");
} else control.click();
"""
OUTSIDE = {
    "another link": "location.hash = 'c=a+cat&e=absent'",
    "a link that is cut": "location.hash = 'c=a+cat+an'",
    "a link to no example": "location.hash = 'c=a+cat&e=abse'",
    "a link to no scene": "location.hash = 'c=a+cat&s=grass;dog,bl'",
    "a link to half a picture": "location.hash = 'c=a+cat&k=12345678&x=UklGRg'",
    "a heading": "location.hash = 'what-you-see'",
    "back": "history.back()",
    "reload": "location.reload()",
}

# --- What is shown -----------------------------------------------------------------------------------------------

STATE = """
const root = document.getElementById("explain-here");
const seen = (selector) => [...root.querySelectorAll(selector)].filter((e) => e.getClientRects().length);
const texts = (selector) => seen(selector).map((e) => e.textContent);
const text = root.querySelector(".ti-result script")?.textContent;
return {
  ready: root.hasAttribute("data-ready"),
  shown: seen(".ti-result").length > 0,
  record: text ? JSON.parse(text) : null,
  drawn: seen(".fx-image")[0]?.src ?? null,
  alone: seen(".ti-empty img")[0]?.src ?? null,
  preview: root.querySelector(".ti-preview:not([hidden])")?.src ?? null,
  heat: seen(".fx-patch").map((e) => e.getAttribute("aria-label")),
  chosen: root.querySelector(".fx-word.fx-chosen")?.dataset.word ?? null,
  words: texts(".fx-word .fx-name"),
  score: texts(".ti-score").join(),
  trust: texts(".ti-trust").join(),
  tab: texts(".ti-tabs [aria-pressed=true]")[0] ?? null,
  saved: window.saved ?? null,
  copied: window.copied ?? null,
};
"""


@functools.cache
def picture_of(address: str) -> Image.Image:
    """The picture of a data URI."""
    return Image.open(io.BytesIO(base64.b64decode(address.split(",", 1)[1]))).convert("RGB")


def pixels(address: str) -> np.ndarray:
    return np.asarray(picture_of(address).resize((128, 128))).astype(int)


@functools.cache
def score(model: str, address: str, text: str) -> float:
    """What the package scores, of the picture that the page draws."""
    return load_model(model).score(picture_of(address), text)


def assert_one_thing(found: dict) -> None:
    """What is shown belongs together, or nothing is shown."""
    if found["drawn"] is None or not found["shown"]:
        assert not found["heat"] and not found["words"] and not found["record"]
        if found["alone"]:
            np.testing.assert_array_equal(pixels(found["alone"]), pixels(found["preview"]))
        return
    facts = found["record"]
    meta, n_image = facts["meta"], facts["n_image"]
    explanation = Explanation.from_dict(facts)  # what is saved opens in Python
    assert meta["picture"]["src"] == found["drawn"]
    is_published = meta.get("model") not in ("mini-clip", "mini-siglip")
    if not is_published:
        assert np.abs(pixels(found["drawn"]) - pixels(found["preview"])).max() <= 2, (
            "another picture is chosen"
        )
    merged = found["words"] != facts["players"][n_image:]
    if found["tab"] != "A minus B":
        assert f"“{meta['caption']}”" in found["score"] or meta["caption"] in found["score"]
        assert [word for word, _ in meta["words"]] == meta["caption"].lower().split() or is_published
        if not is_published:
            right = score(meta["model"], found["drawn"], meta["caption"])
            assert meta["full_value"] == pytest.approx(right, abs=0.02), (
                "the score of another picture or caption"
            )
        assert f"by {meta['model']}" in found["score"]
        if "full_value" in meta:
            assert f"{meta['full_value']:+.2f}".replace("-", "−") in found["score"]
    if facts["p"] is not None:
        assert f"p = {facts['p']}" in found["score"]
    if found["chosen"] is not None and not merged:
        numbers = [float(label.split(": ")[-1].replace("−", "-")) for label in found["heat"]]
        np.testing.assert_allclose(numbers, explanation.pairs[:n_image, int(found["chosen"])], atol=0.0051)


def assert_saved(browser, found: dict) -> None:
    """Files and links are those of what is shown."""
    facts = found["record"]
    if (found["copied"] or "").startswith("fixlip explain"):
        _, _, _, text, *options = shlex.split(found["copied"])
        assert text == facts["meta"]["caption"] and facts["meta"]["repeat"] == " ".join(options[2:])
        assert options[:2] == ["--model", facts["meta"]["model"]]
    elif found["copied"]:
        parts = parse_qs(urlsplit(found["copied"]).fragment)
        assert parts["m"] == [facts["meta"]["model"]] and float(parts["p"][0]) == facts["p"]
        if found["tab"] is None:
            assert parts["c"] == [facts["meta"]["caption"]]
        if "e" in parts:
            expected = np.asarray(examples()[parts["e"][0]].image).astype(int)
            assert np.abs(pixels(found["drawn"]) - expected).max() <= 2
        elif "x" in parts:
            packed = parts["x"][0].replace("-", "+").replace("_", "/")
            sent = Image.open(io.BytesIO(base64.b64decode(packed + "=" * (-len(packed) % 4)))).convert("RGB")
            assert np.abs(np.asarray(sent).astype(int) - pixels(found["drawn"])).mean() < 8
            assert len(found["copied"]) < 12_000
        else:
            assert "s" in parts
    if found["saved"] and found["saved"]["name"] == "explanation.json":
        text = browser.execute_async_script(
            "fetch(arguments[0]).then((r) => r.text()).then(arguments[1], () => arguments[1](''))",
            found["saved"]["address"],
        )
        assert not text or json.loads(text) == facts
    if found["saved"] and found["saved"]["name"] == "explanation.png":
        shot = browser.execute_async_script(DECODED, found["saved"]["address"])
        drawing = picture_of(shot)
        own_one = picture_of(found["drawn"])
        high = round(560 * own_one.height / own_one.width)
        top = drawing.height - high - 24 - 34 * (facts["n_text"] + 2) - 12
        drawing = drawing.crop((24, top, 584, top + high))
        rows = facts["meta"]["grid"][0]
        alike = {name: likeness(drawing, example.image, rows) for name, example in examples().items()}
        assert likeness(drawing, own_one, rows) >= max(0.5, *alike.values()) - 0.02, alike


def likeness(one: Image.Image, other: Image.Image, rows: int) -> float:
    """Correlation of two pictures within their patches, whose heat changes each patch as a whole."""

    def details(image: Image.Image) -> np.ndarray:
        small = np.asarray(image.convert("L").resize((8 * rows, 8 * rows))).astype(float)
        patches = small.reshape(rows, 8, rows, 8)
        return (patches - patches.mean(axis=(1, 3), keepdims=True)).ravel()

    return np.corrcoef(details(one), details(other))[0, 1]


DECODED = """
const [address, done] = arguments;
const image = Object.assign(new Image(), { src: address });
image.decode().then(() => {
  const canvas = Object.assign(document.createElement("canvas"), { width: image.width, height: image.height });
  canvas.getContext("2d").drawImage(image, 0, 0);
  done(canvas.toDataURL("image/png"));
});
"""


def settled(browser, seconds: float = 1.5) -> dict:
    """What is shown when nothing moves any more, or after a while; nothing wrong may have been shown on the way."""
    deadline, last = time.monotonic() + seconds, None
    while time.monotonic() < deadline:
        found = shown(browser)
        if found["ready"]:
            assert_one_thing(found)
        if found == last and browser.execute_script(IDLE):
            break
        last = found
        time.sleep(0.25)
    return found


IDLE = "return document.getElementById('explain-here').dataset.state !== 'running'"


def entered(page, files, state):
    browser = page(name="quick")
    browser.execute_script("sessionStorage.clear()")
    browser.execute_script(PREPARE)
    state(browser, files)
    return browser


@pytest.mark.rotating(30)
@pytest.mark.parametrize("state", STATES, ids=lambda state: state.__name__)
def test_whatever_is_pressed_what_is_shown_belongs_together(page, files, state):
    browser = entered(page, files, state)
    controls = browser.execute_script(CONTROLS)
    assert len(controls) >= 9
    for number, (name, is_file) in enumerate(controls):
        if number:
            entered(page, files, state)
            wait(lambda: browser.execute_script(CONTROLS) == controls, f"the controls of {state.__name__}")
        try:
            if is_file:
                browser.execute_script("return window.controls[arguments[0]]", number).send_keys(
                    str(files["explanation" if "explanation" in name else "own"])
                )
            else:
                browser.execute_script(ACT, number)
            found = settled(browser)
            if found["shown"]:
                assert_saved(browser, found)
        except AssertionError as error:
            raise AssertionError(f"{state.__name__}, then {name}: {error}") from error


@pytest.mark.rotating(30)
@pytest.mark.parametrize("state", STATES, ids=lambda state: state.__name__)
def test_whatever_address_comes_what_is_shown_belongs_together(page, files, state):
    for name, script in OUTSIDE.items():
        browser = entered(page, files, state)
        try:
            browser.execute_script(script)
            time.sleep(0.2)
            if browser.execute_script("return document.getElementById('explain-here') !== null"):
                settled(browser)  # else it was the way back out of the page
        except AssertionError as error:
            raise AssertionError(f"{state.__name__}, then {name}: {error}") from error
    page(name="quick")
