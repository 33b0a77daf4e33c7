# ruff: noqa: E402  (what is tested here is imported once selenium is known to be there)
"""The page "Try it": its encoders, coalitions, solver and pictures against the package, its behaviour in browsers.

What a reader does runs in Chromium and in Firefox; so do the encoder's numbers, the other numbers in Chromium alone.
The GPU is one that Chromium simulates (SwiftShader, slowly): the page takes it only where it is told to.
"""

from __future__ import annotations

import base64
import hashlib
import io
import json
import re
import time
from pathlib import Path

import jsonschema
import numpy as np
import pytest
from PIL import Image

selenium = pytest.importorskip("selenium", reason="pip install selenium")

import chromium
from chromium import wait
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from try_it_pages import HEAD, kernels, with_few_passes, write_page, write_site

from fixlip_helpers import VisionLanguageGame, load_model
from fixlip_helpers.coalitions import Design, draw, enumeration, independent, orthogonal_array, stratified
from fixlip_helpers.datasets import published_clip
from fixlip_helpers.encoders.pictures import looks_like_photograph, open_image
from fixlip_helpers.explanation import SCHEMA, Explanation
from fixlip_helpers.export import STORED, WORKER, joined, model_record, stored_explanations
from fixlip_helpers.regression import SideRegression
from fixlip_helpers.scenes import Scene, SceneObject, examples
from fixlip_helpers.sides import combine, fit_side

ROOT = Path(__file__).resolve().parent.parent
MODELS = ("mini-clip", "mini-siglip")
PAIRS = ("hero", "pair", "wrong-colour", "absent", "count", "crowd")

# What a test calls: the worker's modules in a page of their own, and an explainer that collects what it would post.
INSIDE = """
async function made(name) {
  const { tensors, weights } = globalThis.fixlipWeights[name];
  const bytes = (text) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
  const { kernels, memory } = await loadKernels({ fma: bytes(FMA), plain: bytes(PLAIN_KERNELS) });
  const source = new Embedded(tensors, fromHalf(bytes(weights)));
  return Encoder.make(kernels, memory, globalThis.fixlipFacts.models[name], source);
}
const encoders = {};
const encoder = (name) => (encoders[name] ??= made(name));
async function posted(name, request, engine = "wasm", meddle = () => {}) {
  const posts = [];
  const explainer = new Explainer(await encoder(name), (message) => posts.push(message));
  await explainer.useGpu(engine);
  meddle(explainer.gpu);
  const captions = request.captions.map((text) => readCaption(text, explainer.record));
  await explainer.explain({ id: 1, ...request, pixels: Float32Array.from(request.pixels), captions });
  explainer.gpu?.device.destroy();
  return posts;
}
async function postedOfFew(...request) { // coalitions, of which a simulated GPU encodes a few in a second
  const { fast } = ACCURACIES;
  ACCURACIES.fast = { passes: 72, order: 1, judged: 8 };
  try { return await posted(...request) } finally { ACCURACIES.fast = fast }
}
async function explained(...request) {
  return (await posted(...request)).filter(({ type }) => type !== "progress");
}
// Within the page, as text: what Firefox runs for a test from outside sees none of the page's constants and classes.
function inPage(script, args) {
  const AsyncFunction = made.constructor;
  return new AsyncFunction("args", script)(JSON.parse(args)).then(
    (value) => JSON.stringify({ value: value ?? null }),
    (error) => JSON.stringify({ error: `${error} ${error.stack}` }),
  );
}
"""


@pytest.fixture(scope="module")
def chromium_alone():
    if not (chromium.BROWSER and chromium.DRIVER):
        pytest.skip(chromium.ABSENT)
    driver = chromium.start()
    yield driver
    driver.quit()


@pytest.fixture(scope="module")
def gpu_browser():
    """One of its own: what a GPU that fails takes along must not be missing elsewhere."""
    if not (chromium.BROWSER and chromium.DRIVER):
        pytest.skip(chromium.ABSENT)
    driver = chromium.start("--enable-unsafe-webgpu")
    yield driver
    driver.quit()


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    """A folder with what the page loads, the page as the book has it, and one with the worker's functions."""
    folder = write_site(tmp_path_factory.mktemp("site"))
    write_page(folder, "blocked", allowed=lambda policy: policy.replace("'wasm-unsafe-eval'", ""))
    (folder / "quick.js").write_text(
        with_few_passes(folder / "try_it.js", 96, 16, ("fast", "good")), encoding="utf-8"
    )
    write_page(folder, "quick", script="quick.js")
    scripts = "".join(f'<script src="{name}.js"></script>' for name in ("facts", *MODELS))
    (folder / "inside.html").write_text(
        f"{HEAD}<body>{scripts}<script>{kernels()}{joined(WORKER)}{INSIDE}</script></body></html>",
        encoding="utf-8",
    )
    return folder


def worker_of(browser, site):
    """Run JavaScript with the worker's functions in sight; ``args`` are the arguments, the value comes back."""
    if not browser.current_url.endswith("inside.html"):
        browser.get((site / "inside.html").as_uri())

    def run(script: str, *arguments):
        call = "inPage(arguments[0], arguments[1]).then(arguments[2])"
        found = json.loads(browser.execute_async_script(call, script, json.dumps(arguments)))
        assert "error" not in found, found["error"]
        return found["value"]

    return run


@pytest.fixture
def inside(chromium_alone, site):
    return worker_of(chromium_alone, site)


@pytest.fixture
def inside_both(browser, site):
    return worker_of(browser, site)


@pytest.fixture
def on_gpu(gpu_browser, site):
    """``inside``, where Chromium has a GPU or simulates one."""
    run = worker_of(gpu_browser, site)
    if not run("return Boolean(await navigator.gpu?.requestAdapter())"):
        pytest.skip("this Chromium has no WebGPU adapter, not even a simulated one")
    return run


# --- The same numbers as the package ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "expected"),
    [
        ("independent(64, 0.3, 500, 7, 1)", lambda: independent(64, 0.3, 500, 7, 1)),
        ("independent(5, 0.5, 100, 0, 2)", lambda: independent(5, 0.5, 100, 0, 2)),
        ("stratified(64, 0.7, 300, 3, 1)", lambda: stratified(64, 0.7, 300, 3, 1)),
        ("enumeration(6, 0.3)", lambda: enumeration(6, 0.3)),
        ("orthogonalArray(64, 8192, 1, 1)", lambda: orthogonal_array(64, 0.5, 8192, 1, 1)),
        ("orthogonalArray(13, 256, 0, 2)", lambda: orthogonal_array(13, 0.5, 256, 0, 2)),
    ],
)
def test_coalitions_are_those_of_the_package(inside, call, expected):
    found = inside(
        f"const d = {call}; return {{ rows: d.coalitions.join(''), weights: [...d.weights], name: d.name }};"
    )
    design = expected()
    assert found["name"] == design.name
    assert found["rows"] == "".join(map(str, design.coalitions.astype(int).ravel()))
    np.testing.assert_allclose(found["weights"], design.weights, rtol=1e-12)


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("kernels", ["fma", "plain"])
def test_embeddings_are_those_of_the_package(inside_both, name, kernels):
    model = load_model(name)
    worst = 0.0
    for which, pair in enumerate(PAIRS):
        example = examples()[pair]
        game = VisionLanguageGame(model, example.image, example.caption, progress=False)
        image, text = draw(64, 0.5, 11, which), draw(game.n_text, 0.5, 9, which)
        found = inside_both(
            """
            const key = `${args[0]} ${args[5]}`;
            if (args[5] === "plain") { const { validate } = WebAssembly; let first = true;
              WebAssembly.validate = (bytes) => first ? (first = false) : validate(bytes);
              encoders[key] ??= made(args[0]); await encoders[key]; WebAssembly.validate = validate; }
            const e = await (encoders[key] ??= made(args[0]));
            e.setPicture(Float32Array.from(args[1]));
            const caption = readCaption(args[3], e.record);
            await e.learn(caption.ids);
            const texts = e.encodeTexts(caption.ids, caption.players, Uint8Array.from(args[4]));
            return [e.encodeImages(Uint8Array.from(args[2])), texts].map((rows) => [...rows]);
            """,
            name,
            game.picture.pixels.numpy().ravel().tolist(),
            image.astype(int).ravel().tolist(),
            example.caption,
            text.astype(int).ravel().tolist(),
            kernels,
        )
        for embeddings, expected in zip(
            found, (game.encode_images(image), game.encode_texts(text)), strict=True
        ):
            worst = max(worst, np.abs(np.reshape(embeddings, expected.shape) - expected).max())
    assert worst < 2e-6


@pytest.mark.parametrize(
    "text", ["A black DOG, next to a yellow bus!", "one", "three red balloons in the sky"]
)
def test_captions_are_read_as_by_the_package(inside, text):
    for name in MODELS:
        model = load_model(name)
        caption = inside("return readCaption(args[0], globalThis.fixlipFacts.models[args[1]])", text, name)
        if unknown := model.unknown_words(text):
            assert caption["unknown"] == list(unknown)
            continue
        expected = model.tokenize(text)
        assert caption["ids"] == expected.input_ids[0].tolist()
        assert caption["players"] == [[place] for place in expected.players]
        assert caption["words"] == expected.names


def noisy_second_order(design: Design, columns: int, seed: int) -> np.ndarray:
    """Embeddings (m, columns) with single effects, some pairs, and noise that no fit of order two can follow."""
    rng = np.random.default_rng(seed)
    x = design.coalitions - 0.5
    pairs = rng.integers(0, design.n, (40, 2))
    rows = x @ rng.normal(size=(design.n, columns))
    rows += (x[:, pairs[:, 0]] * x[:, pairs[:, 1]]) @ rng.normal(size=(40, columns))
    return (rows + 0.3 * rng.normal(size=rows.shape)).astype(np.float32)


@pytest.mark.parametrize(
    ("design", "ridge"),
    [
        (orthogonal_array(64, seed=2), 0.3),
        (stratified(24, 0.3, 700, 5), 0.0),
        (independent(18, 0.7, 400, 1), 0.1),
        (independent(40, 0.5, 300, 1), 1.0),  # fewer coalitions than terms
    ],
    ids=lambda value: getattr(value, "name", value),
)
def test_regressions_are_those_of_the_package(inside, design, ridge):
    rows = noisy_second_order(design, 16, 0)
    expected = SideRegression(design, rows.astype(float))(ridge)
    more = draw(design.n, design.p, 40, 9)
    targets = noisy_second_order(Design(more, np.full(40, 1 / 40), design.p, "more", 9), 16, 0)
    best, _ = SideRegression(design, rows.astype(float)).choose_ridge(
        more, targets.astype(float), keep_pairs=True
    )
    found = inside(
        """
        const [n, p, coalitions, weights, embeddings, ridge, more, targets, orthonormal] = args;
        const fit = new Regression(await encoder("mini-clip"), { n, p, order: 2, dimension: 16, orthonormal });
        fit.add(Uint8Array.from(coalitions), Float64Array.from(weights), Float32Array.from(embeddings));
        const coefficients = [...fit.solve(ridge)];
        const chosen = fit.chooseRidge(Uint8Array.from(more), Float32Array.from(targets)).ridge;
        fit.release();
        return { coefficients, chosen };
        """,
        design.n,
        design.p,
        design.coalitions.astype(int).ravel().tolist(),
        design.weights.tolist(),
        rows.ravel().tolist(),
        ridge,
        more.astype(int).ravel().tolist(),
        targets.ravel().tolist(),
        design.orthonormal,
    )
    limit = np.abs(expected).max()
    np.testing.assert_allclose(np.reshape(found["coefficients"], expected.shape), expected, atol=2e-5 * limit)
    assert found["chosen"] == best


def in_the_package(name, image, caption, p, accuracy, passes=None, judged=256):
    """What the page computes, by the package."""
    game = VisionLanguageGame(load_model(name), image, caption, progress=False)
    design, m, order = {
        "fast": ("independent", passes or 1024, 1),
        "good": ("orthogonal_array" if p == 0.5 else "stratified", 4096, None),
    }[accuracy]
    return combine(
        fit_side(game, "image", p, design, m, order=order, n_held_out=judged),
        fit_side(game, "text", p, n_held_out=64),
    )


def assert_same(record: dict, expected: Explanation, share: float = 1e-3) -> None:
    """Every coefficient within a share of the largest one, and what is said about them."""
    jsonschema.validate(record, json.loads(SCHEMA.read_text(encoding="utf-8")))
    found = Explanation.from_dict(record)
    limit = share * max(np.abs(expected.main).max(), np.abs(expected.pairs).max())
    np.testing.assert_allclose(found.main, expected.main, atol=limit)
    np.testing.assert_allclose(found.pairs, expected.pairs, atol=limit)
    assert found.baseline == pytest.approx(expected.baseline, abs=limit)
    assert found.empty_value == pytest.approx(expected.empty_value, abs=1e-3)
    assert found.meta["full_value"] == pytest.approx(expected.meta["full_value"], abs=1e-3)
    assert found.meta["held_out_r2"] == pytest.approx(expected.meta["held_out_r2"], abs=1e-3)
    for key in ("words", "grid", "removal", "ridge", "order", "design", "caption", "model"):
        assert found.meta[key] == expected.meta[key], key
    assert found.players == expected.players and found.p == expected.p


@pytest.mark.rotating(3)
@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize(
    ("pair", "p"),
    [("hero", 0.5), ("pair", 0.3), ("wrong-colour", 0.7), ("absent", 0.5), ("count", 0.3), ("crowd", 0.7)],
)
def test_explanations_are_those_of_the_package(inside_both, name, pair, p):
    example = examples()[pair]
    pixels = load_model(name).prepare_image(example.image).pixels.numpy().ravel().tolist()
    posts = inside_both(
        """
        ACCURACIES.fast.passes = 128;
        try { return await explained(args[0], args[1]) } finally { ACCURACIES.fast.passes = 1024 }
        """,
        name,
        {"pixels": pixels, "captions": [example.caption], "p": p, "accuracy": "fast"},
    )
    assert [post["type"] for post in posts] == ["score", "partial", "done"]
    expected = in_the_package(name, example.image, example.caption, p, "fast", 128)
    assert posts[0]["values"] == pytest.approx([expected.meta["full_value"]], abs=1e-3)
    assert_same(posts[-1]["explanations"][0], expected)


@pytest.mark.parametrize("text", ["a red dog and a blue dog and a green dog on grass"])
def test_long_captions_are_sampled_as_in_the_package(inside, text):
    """Eleven words and more are not enumerated."""
    model = load_model("mini-clip")
    image = examples()["hero"].image
    game = VisionLanguageGame(model, image, text, progress=False)
    assert game.n_text > 10
    expected = fit_side(game, "text", 0.5, n_held_out=64)
    found = inside(
        """
        const e = await encoder("mini-clip");
        const [explainer, caption] = [new Explainer(e, () => {}), readCaption(args[0], e.record)];
        await e.learn(caption.ids);
        const side = explainer.textSide(caption, 0.5);
        await explainer.fitText(side, caption, () => true);
        return { coefficients: [...side.coefficients], ridge: side.ridge, passes: side.passes };
        """,
        text,
    )
    assert found["ridge"] == expected.ridge
    limit = np.abs(expected.coefficients).max()
    coefficients = np.reshape(found["coefficients"], expected.coefficients.shape)
    np.testing.assert_allclose(coefficients, expected.coefficients, atol=1e-4 * limit)


def hero_request(name: str) -> dict:
    pixels = load_model(name).prepare_image(examples()["hero"].image).pixels.numpy().ravel().tolist()
    return {"pixels": pixels, "captions": [examples()["hero"].caption], "p": 0.5, "accuracy": "fast"}


def test_a_caption_read_before_and_one_typed_over_cost_no_passes(inside):
    found = inside(
        """
        const e = await encoder("mini-clip");
        let posts = [];
        const explainer = new Explainer(e, (message) => posts.push(message));
        const read = (text) => [readCaption(text, e.record)];
        const request = { id: 1, ...args[0], pixels: Float32Array.from(args[0].pixels), captions: read("a red car") };
        const { fast } = ACCURACIES;
        ACCURACIES.fast = { passes: 72, order: 1, judged: 8 };
        await explainer.explain(request);
        ACCURACIES.fast = fast;
        const [first] = posts.at(-1).explanations;
        posts = [];
        let passes = 0;
        e.encodeTexts = (ids, players, coalitions) => {
          passes += coalitions.length / players.length;
          return Encoder.prototype.encodeTexts.call(e, ids, players, coalitions);
        };
        const say = (text) => explainer.recaption({ id: 1, captions: read(text) });
        await Promise.all(["a blue car on snow", "a blue car"].map(say));
        const shown = posts.filter(({ type }) => type === "done").map((post) => post.explanations[0].meta.caption);
        const before = passes;
        await say("A RED car");
        const [again] = posts.at(-1).explanations;
        const repeated = passes - before;
        for (const word of Object.keys(e.record.vocabulary).slice(0, KEPT)) await say(word);
        passes = 0;
        await say("a red car"); // is forgotten
        const kept = explainer.known.size;
        delete e.encodeTexts;
        return { first, again, shown, before, repeated, forgotten: passes, kept };
        """,
        hero_request("mini-clip"),
    )
    assert found["shown"] == ["a blue car"]
    assert (found["repeated"], found["before"], found["forgotten"]) == (
        0,
        2**3 + 2,
        2**3 + 2,
    )  # all coalitions of three words, none and all
    assert found["kept"] == 32
    assert found["again"]["meta"].pop("caption") == "A RED car"
    assert found["first"]["meta"].pop("caption") == "a red car"
    assert found["again"] == found["first"]


@pytest.mark.rotating(4)
@pytest.mark.parametrize("name", MODELS)
def test_cosines_on_the_gpu_are_those_of_the_package(on_gpu, name):
    """The 13 pictures of the second call are no whole number of a workgroup's rows."""
    example = examples()["hero"]
    game = VisionLanguageGame(load_model(name), example.image, example.caption, progress=False)
    image, text = draw(64, 0.5, 15, 3), draw(game.n_text, 0.5, 9, 3)
    found = on_gpu(
        """
        const e = await encoder(args[0]);
        e.setPicture(Float32Array.from(args[1]));
        const gpu = await gpuEncoder(e, "webgpu");
        const rows = Uint8Array.from(args[2]);
        const calls = [rows.subarray(0, 2 * 64), rows.subarray(2 * 64)];
        const embeddings = [];
        for (const call of calls) embeddings.push(...(await gpu.encodeImages(call)));
        gpu.device.destroy();
        const [, { fc1, qkv }] = e.visionTower.layers;
        return { embeddings, kernels: [fc1, qkv].map((layer) => gpu.layers.get(layer).kernel) };
        """,
        name,
        game.picture.pixels.numpy().ravel().tolist(),
        image.astype(int).ravel().tolist(),
    )
    texts = game.encode_texts(text)
    cosines = np.reshape(found["embeddings"], (len(image), -1)) @ texts.T
    np.testing.assert_allclose(cosines, game.encode_images(image) @ texts.T, atol=1e-4)
    # the weights are float16 numbers; those of queries, with the root of the head's size in them, are none
    assert found["kernels"] == ["multiply_halves", "multiply"]


@pytest.mark.rotating(4)
@pytest.mark.parametrize("name", MODELS)
def test_explanations_on_the_gpu_are_those_of_the_package(on_gpu, name):
    posts = on_gpu("return await postedOfFew(...args)", name, hero_request(name), "webgpu")
    assert {post["engine"] for post in posts if post["type"] == "progress"} == {"webgpu"}
    example = examples()["hero"]
    expected = in_the_package(name, example.image, example.caption, 0.5, "fast", 72, 8)
    assert_same(posts[-1]["explanations"][0], expected)


@pytest.mark.rotating(4)
@pytest.mark.parametrize(
    ("meddle", "engines"),
    [
        # the GPU's numbers are wrong, from the first picture on
        (
            "(gpu) => { const { write } = gpu; gpu.write = (buffer, numbers) => "
            "write.call(gpu, buffer, buffer === gpu.tokens ? numbers.map((x) => 1.01 * x) : numbers); }",
            ["wasm"],
        ),
        # it is lost after its second batch and the one that is checked; lost in a batch, a simulated one may hang
        (
            "(gpu) => { let batches = 0; const { encodeBatch } = gpu; gpu.most = 8; gpu.encodeBatch = async (rows) => "
            "{ if (++batches === 4) { gpu.device.destroy(); await gpu.device.lost; } "
            "return encodeBatch.call(gpu, rows); }; }",
            ["webgpu", "wasm"],
        ),
        # it takes longer than the kernels
        (
            "(gpu) => { const { encodeBatch } = gpu; gpu.most = 8; gpu.patient = false; "
            "gpu.encodeBatch = async (rows) => { const late = 50 * gpu.ownTime; "
            "await new Promise((done) => setTimeout(done, late)); return encodeBatch.call(gpu, rows); }; }",
            ["webgpu", "wasm"],
        ),
        # a shader's memory runs out: the step gives zeros, and a fault is reported
        ("(gpu) => { gpu.output = gpu.buffer(2 ** 40); }", ["wasm"]),
    ],
    ids=["wrong", "lost", "slow", "full"],
)
def test_where_the_gpu_fails_the_kernels_go_on(on_gpu, meddle, engines):
    request = hero_request("mini-clip")
    posts = on_gpu(f"return await postedOfFew(...args, {meddle})", "mini-clip", request, "webgpu")
    found = [post["engine"] for post in posts if post["type"] == "progress"]
    assert list(dict.fromkeys(found)) == engines
    by_kernels = on_gpu("return await postedOfFew(...args)", "mini-clip", request, "wasm")[-1]
    assert_same(posts[-1]["explanations"][0], Explanation.from_dict(by_kernels["explanations"][0]))
    assert posts[-1]["explanations"][0]["meta"]["passes"] == by_kernels["explanations"][0]["meta"]["passes"]


def test_a_gpu_is_taken_where_there_is_one_and_it_is_none_that_is_simulated(on_gpu):
    made = on_gpu(
        """
        const e = await encoder("mini-clip");
        const made = async (wanted) => {
          const gpu = await gpuEncoder(e, wanted);
          gpu?.device.destroy();
          return gpu !== null;
        };
        const real = { isFallbackAdapter: false, architecture: "", device: "", description: "" };
        const { requestAdapter } = navigator.gpu;
        const found = { forced: await made("webgpu"), forbidden: await made("wasm"), simulated: await made(null) };
        navigator.gpu.requestAdapter = async function () {
          return { info: real, requestDevice: async () => (await requestAdapter.call(this)).requestDevice() };
        };
        found.real = await made(null);
        navigator.gpu.requestAdapter = async () => null;
        found.none = await made("webgpu");
        delete navigator.gpu.requestAdapter;
        return found;
        """
    )
    assert made == {"forced": True, "forbidden": False, "simulated": False, "real": True, "none": False}


@pytest.mark.slow
@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("p", [0.5, 0.3])
def test_good_explanations_are_those_of_the_package(inside, name, p):
    example = examples()["hero"]
    pixels = load_model(name).prepare_image(example.image).pixels.numpy().ravel().tolist()
    request = {"pixels": pixels, "captions": [example.caption], "p": p, "accuracy": "good"}
    done = inside("return await explained(args[0], args[1])", name, request)[-1]
    assert_same(done["explanations"][0], in_the_package(name, example.image, example.caption, p, "good"))


def test_only_models_that_the_kernels_can_run_are_exported():
    model = load_model("mini-clip")
    model.network.config.vision_config.hidden_act = "relu"
    with pytest.raises(ValueError, match="'relu'"):
        model_record(model)


def test_kernels_are_compiled_from_their_source():
    digest = hashlib.sha256((ROOT / "web" / "try_it" / "kernels.ts").read_bytes()).hexdigest().encode()
    for name in ("kernels.wasm", "kernels.fma.wasm"):
        assert (ROOT / "web" / "try_it" / name).read_bytes().endswith(digest), (
            "run scripts/front_end.py --kernels"
        )


def test_the_stored_measurements_are_those_of_the_page_and_good_is_good(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    import measure_try_it

    stored = json.loads((ROOT / "results" / "try_it.json").read_text(encoding="utf-8"))
    assert (ROOT / "results" / "try_it.md").read_text(encoding="utf-8") == measure_try_it.table(stored)
    assert sum(stored["gzip_bytes"].values()) < 12e6
    for run in stored["runs"]:
        if (run["p"], run["accuracy"]) == (0.5, "good"):
            assert run["held_out_r2"] > stored["r2_of_65536_passes"][run["model"]] - 0.02


# --- The page -----------------------------------------------------------------------------------------------------


def pages(browser, engine, site):
    """Open the page with some state; at the end nothing may be on the console or have been asked of another host."""

    def open_page(state: str = "", name: str = "page"):
        browser.get("about:blank")
        engine.complaints(browser), engine.requested(browser)
        browser.get((site / f"{name}.html").as_uri() + state)
        wait(lambda: browser.find_elements(By.CSS_SELECTOR, "#explain-here[data-ready]"), "the page")
        return browser

    engine.look(browser, 1280, 1400)
    yield open_page
    complaints = [line for line in engine.complaints(browser) if "No available adapters" not in line]
    assert complaints == []
    for address in engine.requested(browser):
        assert address.startswith(("file:", "data:", "blob:", "about:"))
    browser.execute_script("sessionStorage.clear()")


@pytest.fixture
def page(browser, engine, site):
    yield from pages(browser, engine, site)


@pytest.fixture
def page_on_gpu(on_gpu, gpu_browser, site):
    yield from pages(gpu_browser, chromium, site)


def preview(browser) -> str:
    return browser.find_element(By.CSS_SELECTOR, ".ti-preview").get_attribute("src") or ""


def seen(browser) -> np.ndarray:
    """What the encoder sees, as the page shows it: (128, 128, 3) levels."""
    picture = Image.open(io.BytesIO(base64.b64decode(preview(browser).split(",")[1])))
    return np.asarray(picture.convert("RGB")).astype(int)


def status(browser) -> str:
    return browser.find_element(By.CSS_SELECTOR, ".ti-status").text


def passes(browser) -> str:
    return browser.find_element(By.CSS_SELECTOR, ".ti-count").text


def has_state(browser, *states: str):
    return wait(
        lambda: browser.find_element(By.ID, "explain-here").get_attribute("data-state") in states, f"{states}"
    )


def record(browser) -> dict:
    """What is shown and saved, or nothing."""
    script = browser.find_element(By.CSS_SELECTOR, "#explain-here script[type='application/json']")
    return json.loads(script.get_attribute("textContent") or "{}")


def caption(browser, text: str, which: int = 0) -> None:
    field = browser.find_elements(By.CSS_SELECTOR, ".ti-caption input")[which]
    field.send_keys(Keys.CONTROL, "a")
    field.send_keys(text)


def load(browser, *paths: Path, which: str = "Your picture") -> None:
    """Choose files with one of the buttons."""
    label = next(
        one
        for one in browser.find_elements(By.CSS_SELECTOR, ".ti-file")
        if one.get_attribute("textContent") == which
    )
    label.find_element(By.TAG_NAME, "input").send_keys("\n".join(map(str, paths)))


def press(browser, label: str) -> None:
    find = (
        "return [...document.querySelectorAll('#explain-here button')]"
        ".find((one) => one.textContent === arguments[0] && one.checkVisibility())"
    )
    wait(lambda: browser.execute_script(find, label), label).click()


def choose(browser, label: str, value: str) -> None:
    script = "arguments[0].value = arguments[1]; arguments[0].dispatchEvent(new Event('change'))"
    for line in browser.find_elements(By.CSS_SELECTOR, ".ti-choice"):
        if line.get_attribute("textContent").startswith(label):
            browser.execute_script(script, line.find_element(By.TAG_NAME, "select"), value)


def test_a_link_is_explained_captions_are_live_and_compared(page, tmp_path):
    browser = page("#e=hero&c=a+dog&m=mini-siglip&p=0.7&a=good")
    wait(lambda: passes(browser), "passes")  # of a run that the next one replaces
    browser.execute_script("location.hash = 'e=pair&c=a+red+car&m=mini-siglip&p=0.7&a=fast'")
    has_state(browser, "done")
    assert "m=mini-siglip" in browser.current_url
    selects = browser.find_elements(By.CSS_SELECTOR, ".ti-options select")
    assert [select.get_attribute("value") for select in selects] == ["mini-siglip", "0.7", "fast"]
    image = examples()["pair"].image
    expected = in_the_package("mini-siglip", image, "a red car", 0.7, "fast")
    assert_same(record(browser), expected)
    assert re.search("on (one|\\d) CPU thread", status(browser))  # no GPU, or one that is simulated
    (tmp_path / "explanation.json").write_text(json.dumps(record(browser)))
    assert (
        "FIxLIP (FWBII, p = 0.7) of mini-siglip" in Explanation.load(tmp_path / "explanation.json").summary()
    )

    caption(browser, "a blue car")
    wait(lambda: record(browser)["meta"]["caption"] == "a blue car", "the caption that was typed")
    other = in_the_package("mini-siglip", image, "a blue car", 0.7, "fast")
    assert_same(record(browser), other)

    press(browser, "Compare with a second caption")
    caption(browser, "a red car", 1)
    wait(
        lambda: browser.find_element(By.CSS_SELECTOR, ".ti-score").text.count("logits") == 2, "two scores", 10
    )
    wait(
        lambda: browser.find_elements(By.CSS_SELECTOR, ".ti-result .fx-bar")[0].is_displayed(),
        "the switch",
        10,
    )
    browser.execute_script("location.hash = 'a-heading-of-the-page'")  # changes nothing
    press(browser, "A minus B")
    found, difference = Explanation.from_dict(record(browser)), other - expected
    np.testing.assert_allclose(found.pairs, difference.pairs, atol=1e-3)
    assert found.players == difference.players and "blue/red" in found.players
    browser.execute_script(
        "HTMLAnchorElement.prototype.click = function () { window.saved = [this.download, this.href] }"
    )
    press(browser, "Download PNG")
    name, address = wait(lambda: browser.execute_script("return window.saved"), "the picture")
    size = browser.execute_async_script(
        """
        const [address, done] = arguments;
        const image = new Image();
        image.onload = () => done([image.width, image.height]);
        image.src = address;
        """,
        address,
    )
    assert name == "explanation.png" and size[0] == 608 and size[1] > 560 + 34 * 5
    press(browser, "Download JSON")
    assert browser.execute_script("return window.saved[0]") == "explanation.json"


def test_the_address_chooses_the_engine_which_the_page_names(page):
    browser = page("?engine=wasm&workers=1#e=hero&c=a+dog&m=mini-clip&p=0.5&a=fast")
    wait(lambda: "on one CPU thread" in passes(browser), "the engine's name")
    press(browser, "Cancel")
    has_state(browser, "idle")


def test_the_address_chooses_the_gpu_which_the_page_names(page_on_gpu):
    browser = page_on_gpu("?engine=webgpu#e=hero&c=a+dog&m=mini-clip&p=0.5&a=fast")
    wait(lambda: "on this device's GPU" in passes(browser), "the engine's name")
    press(browser, "Cancel")
    has_state(browser, "idle")


def test_a_scene_is_built_and_kept_in_the_link(page):
    """The same scene in Python: a browser blends drawings itself, hence the levels."""
    browser = page("#s=sand;car,red,60,4,60;elephant,,48,66,20&c=a+red+car&m=mini-clip&p=0.5&a=fast")
    press(browser, "Cancel")
    objects = (
        SceneObject("car", "red", "noto", 60, 4, 60),
        SceneObject("elephant", None, "noto", 48, 66, 20),
    )
    expected = Scene(objects, ("sand",), (11, 37)).pixels.astype(int)
    assert np.abs(seen(browser) - expected).mean() < 2
    handle = browser.find_element(By.CSS_SELECTOR, ".ti-handle[aria-label^='elephant']")
    handle.send_keys(Keys.ARROW_LEFT, Keys.ARROW_DOWN)
    assert handle.get_attribute("aria-label") == "elephant, at 62, 24"
    stage = browser.find_element(By.CSS_SELECTOR, ".ti-stage").size["width"]
    ActionChains(browser).drag_and_drop_by_offset(handle, 0, round(stage * 16 / 128)).perform()
    moved = re.fullmatch(r"elephant, at (\d+), (\d+)", handle.get_attribute("aria-label"))
    assert abs(int(moved[2]) - 40) <= 1
    press(browser, "Explain")
    wait(lambda: "elephant%2C%2C48%2C62" in browser.current_url, "the link")
    press(browser, "Cancel")
    has_state(browser, "idle")


def test_the_keyboard_alone_explains_and_cancels(page):
    browser = page()
    keys = ActionChains(browser)

    def tab_to(label: str) -> None:
        for _ in range(60):
            active = browser.switch_to.active_element
            if label in (active.text, active.get_attribute("aria-label")):
                return
            keys.send_keys(Keys.TAB).perform()
        raise AssertionError(f"Tab does not reach {label!r}")

    tab_to("Ground")
    keys.send_keys(Keys.ENTER).perform()
    wait(lambda: record(browser)["meta"]["caption"] == "a camel on sand", "the example")
    tab_to("Caption")
    keys.send_keys(Keys.END, " and a came", Keys.TAB).perform()  # Tab completes a word
    field = browser.find_element(By.CSS_SELECTOR, ".ti-caption input")
    assert field.get_attribute("value") == "a camel on sand and a camel "
    keys.send_keys(Keys.ENTER).perform()
    wait(lambda: "first look" in browser.find_element(By.CSS_SELECTOR, ".ti-trust").text, "the first heat")
    tab_to("Cancel")
    keys.send_keys(Keys.ENTER).perform()
    has_state(browser, "idle")
    assert "Cancelled" in status(browser)
    tab_to("Values of all players")
    tab_to("Download JSON")


def test_what_goes_wrong_is_said_and_the_page_goes_on(page, tmp_path):
    browser = page()
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"\x89PNG\r\n\x1a\n nothing more")
    empty = tmp_path / "empty.png"
    empty.write_bytes(b"")
    for path, sentence in ((broken, "no picture that your browser can read"), (empty, "The file is empty")):
        load(browser, path)
        wait(lambda sentence=sentence: sentence in status(browser), sentence)
    for text, sentence in (
        ("a blak dog", "mini-clip does not know “blak” (nearest: black"),
        ("a dog " * 12, "The caption has 24 words; mini-clip reads at most 18."),
        (" ", "The caption is empty"),
    ):
        caption(browser, text)
        press(browser, "Explain")
        assert sentence in status(browser)
    caption(browser, "a blak dog")
    press(browser, "black")
    field = browser.find_element(By.CSS_SELECTOR, ".ti-caption input")
    assert field.get_attribute("value") == "a black dog"
    press(browser, "Explain")
    wait(lambda: passes(browser), "passes")
    press(browser, "Explain")
    assert "being explained already" in status(browser)
    press(browser, "Cancel")
    has_state(browser, "idle")


def test_what_is_cancelled_at_once_does_not_begin_again(page):
    """A caption that was typed asks for a run a moment later, which Cancel takes back too."""
    browser = page()
    press(browser, "Explain")
    has_state(browser, "running")
    at_once = """
        const field = document.querySelector('.ti-caption input');
        field.value = 'a red cup';
        field.dispatchEvent(new Event('input', { bubbles: true }));
        const press = (label) => [...document.querySelectorAll('#explain-here button')]
            .find((one) => one.textContent === label).click();
        press('Cancel');
        return document.getElementById('explain-here').dataset.state;
    """
    assert browser.execute_script(at_once) == "idle"
    time.sleep(1)  # more than the page waits for another key
    assert browser.find_element(By.ID, "explain-here").get_attribute("data-state") == "idle"


def test_the_score_says_what_a_logit_is_and_of_a_photograph_that_it_means_little(page, tmp_path):
    browser = page("#e=hero&c=a+dog&m=mini-clip&p=0.5&a=fast")
    said = wait(lambda: browser.find_element(By.CSS_SELECTOR, ".ti-unit").text, "what a logit is")
    assert said.startswith("Logits are the encoder's own points") and "photograph" not in said
    press(browser, "Cancel")
    has_state(browser, "idle")
    before, path = preview(browser), tmp_path / "photograph.png"
    published_clip()[0].save(path)
    load(browser, path)
    wait(lambda: preview(browser) != before, "the photograph")
    wait(
        lambda: "It looks like a photograph." in browser.find_element(By.CSS_SELECTOR, ".ti-note").text,
        "the note",
        10,
    )
    press(browser, "Explain")
    wait(
        lambda: browser.find_element(By.CSS_SELECTOR, ".ti-unit").text.startswith(
            "This looks like a photograph"
        ),
        "the sentence",
    )
    press(browser, "Cancel")
    has_state(browser, "idle")


def test_without_webassembly_a_sentence_says_so(site, browser, engine):
    browser.get("about:blank")
    browser.get((site / "blocked.html").as_uri())
    wait(lambda: preview(browser), "a picture")
    press(browser, "Explain")
    has_state(browser, "failed")
    assert "refuses to run WebAssembly" in status(browser)
    engine.complaints(browser)


def turned(folder: Path) -> Path:
    """A JPEG that a camera held sideways would write: its EXIF says to turn it."""
    picture = Image.effect_mandelbrot((300, 200), (-2, -1, 1, 1), 60).convert("RGB")
    exif = Image.Exif()
    exif[0x0112] = 6
    picture.save(folder / "turned.jpg", quality=90, exif=exif)
    return folder / "turned.jpg"


def turned_otherwise(folder: Path, name: str = "webp", orientation: int = 6) -> Path:
    """The same as WebP or PNG, which no browser turns by itself."""
    picture = Image.effect_mandelbrot((300, 200), (-2, -1, 1, 1), 60).convert("RGB")
    exif = Image.Exif()
    exif[0x0112] = orientation
    picture.save(folder / f"turned.{name}", exif=exif, **({"lossless": True} if name == "webp" else {}))
    return folder / f"turned.{name}"


def transparent(folder: Path) -> Path:
    noise = np.random.default_rng(0).integers(0, 256, (90, 150, 4), dtype=np.uint8)
    Image.fromarray(noise).save(folder / "transparent.png")
    return folder / "transparent.png"


def sharp(folder: Path) -> Path:
    """Black and white points, wider than high, where rounding between the passes shows most."""
    noise = 255 * np.random.default_rng(1).integers(0, 2, (300, 400, 3), dtype=np.uint8)
    Image.fromarray(noise).save(folder / "sharp.png")
    return folder / "sharp.png"


def large(folder: Path) -> Path:
    """40 megapixels."""
    Image.linear_gradient("L").resize((8000, 5000)).convert("RGB").save(folder / "large.jpg", quality=80)
    return folder / "large.jpg"


@pytest.mark.parametrize("make", [turned, turned_otherwise, transparent, sharp, large])
def test_pixels_are_those_of_the_package(page, tmp_path, make):
    browser = page()
    before, path = preview(browser), make(tmp_path)
    browser.execute_script(
        """
        window.said = [];
        const status = document.querySelector(".ti-status");
        new MutationObserver(() => window.said.push(status.textContent)).observe(status, { childList: true });
        """
    )
    load(browser, path)
    wait(lambda: preview(browser) != before, "the picture")
    expected = np.asarray(load_model("mini-clip").prepare_image(path).seen).astype(int)
    assert np.abs(seen(browser) - expected).max() <= 2
    said = browser.execute_script("return window.said")
    assert make is not large or len([one for one in said if one.startswith("Reading 40 megapixels: ")]) > 9


def test_pictures_are_turned_as_their_file_says(page, tmp_path):
    """All eight orientations, in the three kinds of file that state one."""
    browser = page()
    for name in ("webp", "png", "jpg"):
        for orientation in range(1, 9):
            path = turned_otherwise(tmp_path, name, orientation)
            load(browser, path)
            expected = np.asarray(load_model("mini-clip").prepare_image(path).seen).astype(int)
            wait(
                lambda expected=expected: np.abs(seen(browser) - expected).max() <= 4,
                f"{name} {orientation}",
                10,
            )


@pytest.mark.parametrize("name", ["jpg", "png", "webp"])
def test_a_picture_that_is_cut_short_is_refused(page, tmp_path, name):
    noise = np.random.default_rng(0).integers(0, 256, (200, 200, 3), dtype=np.uint8)
    whole, cut = tmp_path / f"whole.{name}", tmp_path / f"cut.{name}"
    Image.fromarray(noise).save(whole)
    browser = page()
    before = preview(browser)
    for share in (0.3, 0.95):
        cut.write_bytes(whole.read_bytes()[: int(share * whole.stat().st_size)])
        load(browser, cut)
        wait(lambda: "cut short" in status(browser), "the sentence")
        assert preview(browser) == before
    load(browser, whole)
    wait(lambda: preview(browser) != before, "the whole picture")
    assert "cut short" not in status(browser)


def test_files_of_python_and_the_command_line_are_opened_with_their_picture(page, tmp_path):
    from click.testing import CliRunner

    from fixlip_helpers.cli import fixlip as command

    image, published = published_clip()
    published["FIxLIP"].save(tmp_path / "python.json", image)
    assert CliRunner().invoke(command, ["demo", "--out", str(tmp_path / "demo")]).exit_code == 0
    published["FIxLIP"].save(tmp_path / "bare.json")
    image.save(tmp_path / "picture.png")
    browser = page()
    for paths in (
        [tmp_path / "python.json"],
        [tmp_path / "demo" / "explanation.json"],
        [tmp_path / "bare.json", tmp_path / "picture.png"],
    ):
        load(browser, *paths, which="Open an explanation")
        wait(lambda paths=paths: f"“{paths[0].name}” is shown" in status(browser), "the explanation")
        found = record(browser)
        np.testing.assert_array_equal(
            Explanation.from_dict(found).pairs, Explanation.load(paths[0]).pairs, strict=True
        )
        assert found["meta"]["picture"]["src"].startswith("data:image/")
        words = [word.text for word in browser.find_elements(By.CSS_SELECTOR, ".fx-name")]
        assert words == published["FIxLIP"].players[49:]
        press(browser, "Values of all players")
        assert "+2.73" in browser.find_element(By.CSS_SELECTOR, ".fx-words").text  # `yellow`, as published


def faults() -> dict[str, str]:
    """What is no explanation, and what the page says of it."""
    record = published_clip()[1]["FIxLIP"].to_dict()
    picture = {"src": "data:image/svg+xml;base64,PHN2Zy8+"}
    cases = {
        "it is not JSON": "{",
        '"fixlip-explanation"': '{"players": []}',
        "version 2": {**record, "version": 2},
        "index": {**record, "index": "SHAP"},
        "cut short": {**record, "pairs": record["pairs"][:-1]},
        "numbers are missing": {**record, "main": [None] * len(record["main"])},
        "does not name its 57 players": {**record, "players": record["players"][1:]},
        "not patches of a grid": {**record, "meta": {**record["meta"], "grid": [7, 8]}},
        "its picture is none": {**record, "meta": {**record["meta"], "picture": picture}},
        "its words are no words": {**record, "meta": {**record["meta"], "words": [["a", [0]]]}},
        "no patches": {**record, "n_image": 0},
        "holds no picture": record,
    }
    return {sentence: case if isinstance(case, str) else json.dumps(case) for sentence, case in cases.items()}


def test_what_is_no_explanation_is_refused_with_a_sentence(page, tmp_path):
    browser = page()
    before = record(browser)
    for number, (sentence, text) in enumerate(faults().items()):
        path = tmp_path / f"{number}.json"
        path.write_text(text, encoding="utf-8")
        load(browser, path, which="Open an explanation")
        wait(lambda sentence=sentence: sentence in status(browser), sentence)
        assert record(browser) == before


def test_a_picture_of_ones_own_outlives_a_reload_and_a_cut_link_explains_nothing(page, tmp_path, site):
    picture = examples()["crowd"].image
    picture.save(tmp_path / "own.png")
    browser = page(name="quick")
    load(browser, tmp_path / "own.png")
    wait(lambda: "own=" in browser.current_url, "the address")
    caption(browser, "a balloon")
    press(browser, "Explain")
    has_state(browser, "done")
    before = record(browser)
    browser.refresh()
    has_state(browser, "done")
    np.testing.assert_array_equal(seen(browser), np.asarray(picture).astype(int))
    assert record(browser)["meta"] | {"seconds": 0} == before["meta"] | {"seconds": 0}
    browser.execute_script("location.hash = 'what-you-see'")  # a heading, and back
    browser.back()
    time.sleep(0.3)
    np.testing.assert_array_equal(seen(browser), np.asarray(picture).astype(int))

    browser.execute_script("navigator.clipboard.writeText = async (text) => (window.copied = text)")
    press(browser, "Copy link")
    link = wait(lambda: browser.execute_script("return window.copied"), "the link")
    assert f"{len(link):,} characters" in status(browser) and len(link) < 12_000
    assert link.split("#")[1].startswith("c=a+balloon&")
    browser.execute_script("sessionStorage.clear()")  # elsewhere
    page(f"#{link.split('#')[1]}", name="quick")
    has_state(browser, "done")
    assert np.abs(seen(browser) - np.asarray(picture).astype(int)).mean() < 8
    for share in (0.999, 0.5, 0.02):
        cut = link.split("#")[1]
        browser.execute_script("sessionStorage.clear()")
        page(f"#{cut[: int(share * len(cut))]}", name="quick")
        has_state(browser, "failed")
        assert "cut short" in status(browser)
        assert not browser.find_elements(By.CSS_SELECTOR, ".fx-patch") and not preview(browser)
        assert (
            browser.find_element(By.CSS_SELECTOR, ".ti-caption input").get_attribute("value") in "a balloon"
        )


def test_what_was_chosen_in_the_map_outlives_a_new_caption(page):
    """Photo colours, pairs within and merged players stay while one types; the word that differs is shown."""
    browser = page("#e=hero&c=a+dog+and+a+bus&m=mini-clip&p=0.5&a=good", name="quick")
    has_state(browser, "done")
    press(browser, "Photo colours")
    press(browser, "Pairs within")
    press(browser, "Merge players")
    for patch in browser.find_elements(By.CSS_SELECTOR, ".fx-patch")[:2]:
        patch.click()
    press(browser, "Merge the marked")
    caption(browser, "a dog and a car")
    wait(lambda: record(browser)["meta"]["caption"] == "a dog and a car", "the caption that was typed")
    assert browser.find_elements(By.CSS_SELECTOR, ".fx-colour")
    assert len(browser.find_elements(By.CSS_SELECTOR, ".ti-explorer .fx-action[aria-pressed=true]")) == 2
    assert "Split all" in browser.find_element(By.CSS_SELECTOR, ".ti-explorer").text

    browser.execute_script("document.querySelector('.ti-more').open = true")
    press(browser, "Compare with a second caption")
    caption(browser, "a dog and a bus", 1)
    wait(
        lambda: browser.find_element(By.CSS_SELECTOR, ".ti-score").text.count("logits") == 2, "two scores", 10
    )
    press(browser, "A minus B")
    assert browser.find_element(By.CSS_SELECTOR, ".fx-word.fx-chosen .fx-name").text == "car/bus"
    trust = browser.find_element(By.CSS_SELECTOR, ".ti-trust").text
    assert trust.startswith("The difference of two explanations") and "rough" not in trust


def test_rows_of_the_table_show_themselves_on_the_map(page):
    browser = page()
    for row in browser.find_elements(By.CSS_SELECTOR, ".ti-pairs tbody tr")[:3]:
        word, place, _ = (cell.text for cell in row.find_elements(By.TAG_NAME, "td"))
        row.find_element(By.TAG_NAME, "button").click()
        assert browser.find_element(By.CSS_SELECTOR, ".fx-word.fx-chosen .fx-name").text == word
        framed = browser.find_elements(By.CSS_SELECTOR, ".fx-patch.fx-pointed")
        assert [patch.get_attribute("aria-label").split(":")[0] for patch in framed] == [f"patch in {place}"]


def test_a_grey_photograph_is_recognised_and_a_grey_drawing_of_few_shades_is_not(page, tmp_path):
    published_clip()[0].convert("L").save(tmp_path / "grey.png")
    steps = np.repeat(
        np.arange(0, 256, 32, dtype=np.uint8), 16
    )  # eight shades, as wide as what the encoder sees
    Image.fromarray(np.tile(steps, (128, 1))).save(tmp_path / "steps.png")
    assert looks_like_photograph(open_image(tmp_path / "grey.png"))
    assert not any(looks_like_photograph(example.image) for example in examples().values())
    browser = page()
    for name, expected in (("grey", True), ("steps", False)):
        before = preview(browser)
        load(browser, tmp_path / f"{name}.png")
        wait(lambda before=before: preview(browser) != before, "the picture")
        note = browser.find_element(By.CSS_SELECTOR, ".ti-note").text
        assert ("It looks like a photograph" in note) == expected


def test_the_same_file_can_be_chosen_again(page, tmp_path):
    examples()["crowd"].image.save(tmp_path / "own.png")
    browser = page()
    for _ in range(2):
        load(browser, tmp_path / "own.png")
        wait(lambda: browser.find_elements(By.CSS_SELECTOR, "#explain-here[data-own]"), "the picture")
        press(browser, "Number")
        wait(lambda: not browser.find_elements(By.CSS_SELECTOR, "#explain-here[data-own]"), "the example")


def test_an_error_goes_when_the_caption_is_right_and_a_caption_after_cancel_is_explained(page):
    browser = page("#e=hero&c=a+dog&m=mini-clip&p=0.5&a=best", name="quick")
    wait(lambda: passes(browser), "passes")
    press(browser, "Cancel")
    has_state(browser, "idle")
    caption(browser, "a blak dog")
    press(browser, "Explain")
    assert "does not know" in status(browser)
    caption(browser, "a black dog")
    wait(lambda: "does not know" not in status(browser), "the error to go")
    wait(
        lambda: record(browser).get("meta", {}).get("caption") == "a black dog",
        "the caption after Cancel",
        60,
    )
    press(browser, "Cancel")
    has_state(browser, "idle")


def test_the_stored_explanations_are_those_of_the_package():
    """Of the pictures and captions as they are now: their scores; and one of them as a whole."""
    model, p, _ = STORED
    encoder = load_model(model)
    for name, records in stored_explanations().items():
        for one in records:
            explanation = Explanation.from_dict(one)
            right = encoder.score(examples()[name].image, explanation.meta["caption"])
            assert explanation.meta["full_value"] == pytest.approx(right, abs=1e-3)
            assert explanation.meta["held_out_r2"] > 0.8 and explanation.p == p
            assert explanation.meta["grid"] == [8, 8] and explanation.meta["order"]["image"] == 2


@pytest.mark.slow
def test_a_stored_explanation_is_what_the_package_computes():
    name = "hero"
    for one in stored_explanations()[name]:
        expected = in_the_package("mini-clip", examples()[name].image, one["meta"]["caption"], 0.5, "good")
        assert_same(one, expected)
