# ruff: noqa: E402, F811  (see test_opened_model.py, whose fixtures and models these are)
"""A model that the page fetches from the hub once its reader has agreed: against two servers on loopback.

What is explained by it is what the same files from disk give. Servers and lines fail in every way that they have.
"""

from __future__ import annotations

import functools
import http.server
import json
import re
import shutil
import threading
from pathlib import Path

import pytest
from PIL import Image

selenium = pytest.importorskip("selenium", reason="pip install selenium")

import chromium
from chromium import wait
from loopback_hub import LoopbackHub
from selenium.webdriver.common.by import By
from stand_ins import CAPTION, noise_image
from test_opened_model import Page, folders, model_files, site  # noqa: F401

from fixlip_helpers.export import HUB

NAME = "somebody/small-clip"
ROOT = Path(__file__).resolve().parent.parent


def policy() -> dict[str, list[str]]:
    source = (ROOT / "book" / "try_it.md").read_text(encoding="utf-8")
    text = re.search(r'Content-Security-Policy": "(.+)"', source)[1]
    return {directive.split()[0]: directive.split()[1:] for directive in text.split("; ")}


def test_the_page_may_ask_the_hub_and_nobody_else():
    allowed = policy()
    assert allowed["default-src"] == ["'none'"]
    assert allowed["connect-src"] == ["'self'", HUB["base"], f"https://{HUB['servers']}"]
    elsewhere = {source for name, sources in allowed.items() if name != "connect-src" for source in sources}
    assert not [source for source in elsewhere if "://" in source or source in ("https:", "http:", "*")]


def test_the_models_of_the_list_are_pinned_and_their_size_is_told():
    names = [model["name"] for model in HUB["models"]]
    assert len(set(names)) == len(names) >= 3
    for model in HUB["models"]:
        assert re.fullmatch(r"[0-9a-f]{40}", model["revision"]) and 1e8 < model["bytes"] < 1e9


@pytest.fixture(scope="module")
def hub(folders):
    with LoopbackHub({NAME: folders("openai")}) as running:
        yield running


@pytest.fixture(scope="module")
def address(hub, site, folders, tmp_path_factory):
    """The page, served, with the loopback hub in its facts and in its policy in place of the public one."""
    folder = tmp_path_factory.mktemp("served") / "site"
    shutil.copytree(site, folder)
    size = sum(path.stat().st_size for path in folders("openai").iterdir())
    models = [{"name": NAME, "revision": hub.commit(NAME), "bytes": size}]
    facts = {"base": hub.address, "servers": "127.0.0.1", "wait": 1, "models": models}
    with (folder / "facts.js").open("a", encoding="utf-8") as file:
        file.write(f"globalThis.fixlipFacts.hub = {json.dumps(facts)};\n")
    page = (folder / "page.html").read_text(encoding="utf-8")
    assert page.count(HUB["base"]) == 1 and page.count(f"https://{HUB['servers']}") == 1
    page = page.replace(HUB["base"], hub.address).replace(f"https://{HUB['servers']}", hub.files_address)
    (folder / "page.html").write_text(page, encoding="utf-8")
    code = (folder / "try_it.js").read_text(encoding="utf-8")
    assert code.count("const PIECE = 16_000_000;") == 1
    (folder / "try_it.js").write_text(
        code.replace("const PIECE = 16_000_000;", "const PIECE = 6_000_000;"), "utf-8"
    )

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

    handler = functools.partial(Quiet, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/page.html", folder / "page.html"
        server.shutdown()


class Shelf(Page):
    """Try it, with its options open."""

    def __init__(self, browser, address: str) -> None:
        self.browser = browser
        browser.get("about:blank")
        browser.get(address)
        self.open()

    def open(self) -> None:
        self.until("return document.getElementById('explain-here').hasAttribute('data-ready')", "the page")
        self.browser.execute_script("document.querySelector('.ti-more').open = true")
        self.until("return document.querySelector('.ti-shelf button').textContent !== ''", "the shelf")

    def button(self, text: str):
        found = self.browser.find_elements(By.CSS_SELECTOR, ".ti-shelf button")
        return next((one for one in found if one.is_displayed() and one.text.startswith(text)), None)

    def press(self, text: str) -> None:
        wait(lambda: self.button(text), f"the button {text!r}").click()

    def text(self) -> str:
        return self.browser.find_element(By.CSS_SELECTOR, ".ti-shelf").text

    def wrong(self) -> str:
        found = self.browser.find_elements(By.CSS_SELECTOR, ".ti-status.ti-wrong")
        return found[0].text if found else ""

    def fetch(self) -> None:
        self.press("Fetch it")
        self.press("Yes, fetch")

    def ready(self) -> None:
        wait(lambda: "is ready: 7 × 7 patches" in self.status() or self.wrong(), "the model")
        assert not self.wrong(), self.wrong()

    def models(self) -> list[str]:
        return self.browser.execute_script(
            "return [...document.querySelector('.ti-choice select').options].map(({ value }) => value)"
        )

    def explain(self, picture: Path) -> dict:
        self.choose("Your picture", [picture])
        wait(lambda: "Type a caption" in self.status(), "the picture")
        field = self.browser.find_element(By.CSS_SELECTOR, ".ti-caption input")
        field.clear()
        field.send_keys(CAPTION)
        self.browser.find_element(By.CSS_SELECTOR, ".ti-go").click()
        self.until(
            "return document.getElementById('explain-here').dataset.state === 'done'", "the explanation"
        )
        return self.record()


def parts_of(hub) -> set[tuple[int, int]]:
    """First byte and end of each part of the weights that was asked for."""
    lines = [line for line in hub.asked if line.startswith(f"GET /{NAME}/model.safetensors")]
    spans = [map(int, re.search(r"bytes=(\d+)-(\d+)$", line).groups()) for line in lines]
    return {(first, last + 1) for first, last in spans}


def empty(browser, page: str) -> None:
    """Nothing is kept in the browser from an earlier test."""
    browser.get(page)
    browser.execute_async_script(
        "caches.keys().then((k) => Promise.all(k.map((n) => caches.delete(n)))).then(arguments[0])"
    )


def test_a_model_from_the_hub_explains_as_the_same_files_from_disk(browser, hub, address, folders, tmp_path):
    page, _ = address
    hub.reset()
    empty(browser, page)
    shelf = Shelf(browser, page)

    # nothing is asked before the reader agrees, and no is an answer
    shelf.press("Fetch it")
    told = wait(lambda: shelf.button("No, ask nobody") and shelf.text(), "the question")
    assert "This asks 127.0.0.1" in told and "your network address" in told and "stay on this device" in told
    size = sum(path.stat().st_size for path in folders("openai").iterdir())
    assert f"about {size / 1e6:.0f} MB" in told and NAME in told and "kept in this browser" in told
    shelf.press("No, ask nobody")
    assert "Nothing was asked" in shelf.status() and hub.asked == []

    shelf.fetch()
    shelf.ready()
    assert shelf.models()[-1] == NAME
    assert not [line for line in hub.asked if line.startswith("OPTIONS")]
    sizes = [end - begin for begin, end in parts_of(hub)]
    assert len(sizes) > 4 and max(sizes) == 6_000_000
    Image.fromarray(noise_image(300, 240)).save(tmp_path / "photograph.png")
    fetched = shelf.explain(tmp_path / "photograph.png")
    assert fetched["meta"]["revision"] == hub.commit(NAME)
    shown = browser.execute_script("return document.querySelector('.ti-result').textContent")
    assert f"--model {NAME} " in shown  # the command that repeats it knows the model by its name

    # kept: after a reload it is opened again, and nobody is asked
    hub.asked.clear()
    shelf.browser.refresh()
    shelf.open()
    shelf.press("Open it, kept here")
    shelf.ready()
    assert hub.asked == [] and shelf.explain(tmp_path / "photograph.png")["main"] == fetched["main"]

    # removed with one button
    shelf.press("Remove what is kept")
    wait(lambda: shelf.button("Fetch it"), "an empty shelf")
    assert browser.execute_async_script(
        "caches.open('fixlip-models').then((c) => c.keys()).then((k) => arguments[0](k.length))"
    ) == 0  # fmt: skip

    shelf = Shelf(browser, page)
    shelf.choose("or its files", model_files(folders("openai")))
    shelf.ready()
    from_disk = shelf.explain(tmp_path / "photograph.png")
    for key in ("baseline", "main", "pairs", "players", "empty_value"):
        assert fetched[key] == from_disk[key], key


@pytest.fixture(scope="module")
def alone():
    if not (chromium.BROWSER and chromium.DRIVER):
        pytest.skip(chromium.ABSENT)
    driver = chromium.start()
    yield driver
    driver.quit()


@pytest.fixture
def shelf(alone, hub, address):
    hub.reset()
    empty(alone, address[0])
    return Shelf(alone, address[0])


def test_no_other_host_can_be_asked(shelf, address):
    """By the policy of the page, in its worker too: even one on this machine."""
    with LoopbackHub({}) as other:
        script = """
        const [address, done] = arguments;
        const ask = `fetch("${address}").then(() => "answered", () => "refused")`;
        const worker = new Worker(URL.createObjectURL(new Blob([`${ask}.then(postMessage)`])));
        worker.onmessage = async ({ data }) => {
          const image = new Promise((resolve) => {
            const element = Object.assign(new Image(), { src: address + "/a.png" });
            element.onload = () => resolve("answered");
            element.onerror = () => resolve("refused");
          });
          done([data, await fetch(address).then(() => "answered", () => "refused"), await image]);
        };
        """
        assert shelf.browser.execute_async_script(script, other.address) == ["refused"] * 3
        assert other.asked == []


# --- Lines and servers that fail --------------------------------------------------------------------------------

# What passes, by the number of the request for a part of the weights: the model comes all the same.
LATER = {0: "refused", 1: "429", 4: "broken", 6: "refused", 8: "429", 10: "503", 12: "short"}
NEVER = {  # what does not, and the sentence
    "always too many requests": (lambda *_: "429", "asks to wait"),
    "a server that stays out of order": (lambda *_: "500", "out of order (status 500)"),
    "no connection": (lambda *_: "refused", "cannot be reached"),
    "no parts, the whole file only": (lambda *_: "whole", "as a whole only"),
    "a file that is gone": (lambda *_: "404", "it was moved or removed"),
    "an account is asked for": (lambda *_: "403", "to none without an account"),
    "more than the file has": (lambda *_: "more", "sent more of model.safetensors than it has"),
    "other bytes than were asked for": (lambda *_: "elsewhere", "where bytes 0 to 7 of"),
    "a file that changes on the way": (lambda number, *_: "changed" if number > 4 else "", "changed at 127.0.0.1"),
}  # fmt: skip


def test_what_passes_is_waited_for(shelf, hub):
    """Lines that break, answers that are refused, too many requests, a server that is out of order for a while."""
    hub.fault = lambda number, *_: LATER.get(number, "")
    shelf.fetch()
    shelf.ready()
    assert hub.parts > max(LATER)


def test_what_does_not_pass_ends_in_a_sentence_and_what_came_is_kept(shelf, hub):
    for what, (fault, sentence) in NEVER.items():
        hub.reset()
        hub.fault = fault
        shelf.fetch()
        found = wait(shelf.wrong, f"the sentence: {what}")
        assert sentence in found and len(found) < 300, (what, found)
        assert shelf.models() == ["mini-clip", "mini-siglip"]
        hub.reset()  # the next fetch goes on from here, and clears the sentence
        shelf.browser.execute_script("document.querySelector('.ti-status').classList.remove('ti-wrong')")


CLAIMS = {
    "no such repository": (lambda hub: hub.statuses.update(list=404), "it was moved or removed"),
    "a list that is none": (lambda hub: hub.sizes.update({"model.safetensors": "large"}), "no list of the files"),
    "no tokenizer": (lambda hub: hub.statuses.update({"tokenizer.json": 404}), "has no tokenizer.json"),
    "far more than was announced": (lambda hub: hub.sizes.update({"model.safetensors": 10**11}), "nothing of it was"),
    "a description longer than the list says": (lambda hub: hub.sizes.update({"config.json": 9}), "sent more"),
    "a description shorter than the list says": (lambda hub: hub.sizes.update({"config.json": 9999}), "ended early"),
    "weights of another size": (lambda hub: hub.sizes.update({"model.safetensors": 90}), "of 90 were asked for"),
}  # fmt: skip


def test_a_hub_that_claims_what_is_not_so_ends_in_a_sentence(shelf, hub):
    for what, (lie, sentence) in CLAIMS.items():
        hub.reset()
        lie(hub)
        shelf.fetch()
        found = wait(shelf.wrong, f"the sentence: {what}")
        assert sentence in found and len(found) < 300, (what, found)
        if what.startswith("far more"):
            assert [line for line in hub.asked if "resolve" in line] == []
        shelf.browser.execute_script("document.querySelector('.ti-status').classList.remove('ti-wrong')")
        if button := shelf.button("Remove what is kept"):
            button.click()
        empty(shelf.browser, shelf.browser.current_url)
        shelf.open()


def test_a_reader_stops_and_goes_on_where_it_was(shelf, hub):
    hub.pause = 0.2
    shelf.fetch()
    wait(lambda: hub.parts >= 6, "some parts")
    shelf.press("Stop fetching")
    wait(lambda: "Stopped" in shelf.status(), "the end")
    assert not shelf.wrong()
    before = parts_of(hub)
    hub.reset()
    shelf.browser.refresh()
    shelf.open()
    assert shelf.button("Remove what is kept")
    shelf.fetch()
    shelf.ready()
    after = parts_of(hub)
    assert after and len(before & after) <= 1  # at most the part that was on its way


def test_a_line_that_breaks_is_taken_up_where_it_broke(shelf, hub):
    hub.fault = lambda number, begin, end: (
        "halted" if end - begin == 6_000_000 and not hub.gate.is_set() else ""
    )
    shelf.fetch()
    wait(lambda: re.search(r"^[3-9] of", shelf.text(), re.M), "half of the first part")
    hub.gate.set()
    shelf.ready()
    begins = sorted(begin for begin, _ in parts_of(hub))
    (first,) = (begin for begin, end in parts_of(hub) if end - begin == 6_000_000 and begin < 1e6)
    assert [begin for begin in begins if first + 2_900_000 < begin < first + 6_000_000] == [first + 3_000_000]


def test_a_page_from_a_folder_fetches_too(shelf, address):
    shelf.browser.get(address[1].as_uri())
    shelf.open()
    shelf.fetch()
    shelf.ready()


HINDERED = {
    "no storage": "CacheStorage.prototype.open = () => Promise.reject(new DOMException('', 'SecurityError'))",
    "no room": "Cache.prototype.put = () => Promise.reject(new DOMException('', 'QuotaExceededError'))",
    "no more room": """const { put } = Cache.prototype;
    let many = 0;
    Cache.prototype.put = function (...call) {
      return many++ < 5 ? put.apply(this, call) : Promise.reject(new DOMException('', 'QuotaExceededError'));
    }""",
}  # fmt: skip


@pytest.mark.parametrize(
    "what", ["no storage", *(pytest.param(w, marks=pytest.mark.slow) for w in list(HINDERED)[1:])]
)
def test_where_nothing_can_be_kept_the_page_says_so_and_works(what, shelf, hub, address):
    """Private windows of some browsers, a full disk: the model lives as long as the page, and goes on where it was."""
    call = {"source": HINDERED[what]}
    hindered = shelf.browser.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", call)
    try:
        shelf.browser.refresh()
        shelf.open()
        shelf.press("Fetch it")
        wait(lambda: shelf.button("No, ask nobody"), "the question")
        later = what == "no more room"
        told = (
            "What comes is kept in this browser"
            if later
            else "Nothing is kept: this browser lets the page keep nothing"
        )
        assert told in shelf.text()
        hub.fault = lambda number, *_: "404" if number > 5 else ""
        shelf.press("Yes, fetch")
        wait(shelf.wrong, "the sentence")
        before, hub.fault = parts_of(hub), None
        hub.asked.clear()
        shelf.fetch()
        shelf.ready()
        assert len(before) > 4 and len(before & parts_of(hub)) == 1
    finally:
        shelf.browser.execute_cdp_cmd("Page.removeScriptToEvaluateOnNewDocument", hindered)
