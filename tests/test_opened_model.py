# ruff: noqa: E402  (what is tested here is imported once selenium is known to be there)
"""A model that a reader opens in the page: its files checked, its numbers those of PyTorch and of the package.

The models have CLIP's and SigLIP's exact form with random weights: heads of 64 numbers, each one's own activation and
kind of tokenizer, 49 patches. In Chromium and in Firefox.
"""

from __future__ import annotations

import contextlib
import json
import re
import shlex
import shutil
import struct
from pathlib import Path

import jsonschema
import numpy as np
import pytest
import torch
from PIL import Image

selenium = pytest.importorskip("selenium", reason="pip install selenium")

import test_full_size
from chromium import wait
from selenium.webdriver.common.by import By
from stand_ins import (
    CAPTION,
    clip_processor,
    clip_tokenizer,
    gemma_tokenizer,
    noise_image,
    siglip_processor,
    siglip_tokenizer,
    spread,
)
from test_pieces import FOREIGN, TEXTS, model_of
from tokenizers import Tokenizer, pre_tokenizers
from tokenizers.models import BPE
from tokenizers.trainers import BpeTrainer
from transformers import CLIPConfig, CLIPModel, CLIPTokenizer, SiglipConfig, SiglipModel
from try_it_pages import kernels, with_few_passes, write_site

from fixlip_helpers import VisionLanguageGame, cli, fixlip, load_model
from fixlip_helpers.coalitions import draw
from fixlip_helpers.datasets import published_clip
from fixlip_helpers.explanation import SCHEMA, Explanation
from fixlip_helpers.export import WORKER, joined, published, tokenizers_script
from fixlip_helpers.sides import combine, fit_side

ROOT = Path(__file__).resolve().parent.parent
TOWER = {"hidden_size": 128, "intermediate_size": 512, "num_hidden_layers": 2, "num_attention_heads": 2}
PICTURE = {**TOWER, "image_size": 224, "patch_size": 32}

# kind: family, activation, dtype of the weights
KINDS = {
    "openai": ("clip", "quick_gelu", torch.float32),
    "openclip": ("clip", "gelu", torch.float16),
    "bfloat16": ("clip", "quick_gelu", torch.bfloat16),
    "siglip": ("siglip", "gelu_pytorch_tanh", torch.float32),
    "siglip2": ("siglip", "gelu_pytorch_tanh", torch.float32),
}

INSIDE = """
async function opened(pages) {
  const { record, weights, tokenizer } = await openCheckpoint([...document.querySelector("input").files]);
  const bytes = (text) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
  if (pages) {
    const { Memory } = WebAssembly; // a browser that gives so much
    WebAssembly.Memory = function () { return new Memory({ initial: 1, maximum: pages }); };
  }
  const { kernels, memory } = await loadKernels({ fma: bytes(FMA), plain: bytes(PLAIN_KERNELS) });
  const encoder = await Encoder.make(kernels, memory, record, new Checkpoint(weights, record.tensors));
  return { encoder, read: pieceReader(fixlipTokenizers.Tokenizer, tokenizer, record) };
}
async function explainedWithHelp(pixels, text, p, ports) {
  const { encoder, read } = await opened();
  const posts = [];
  const explainer = new Explainer(encoder, (message) => posts.push(message));
  explainer.blocks = BLOCKS;
  ports.forEach((port, number) => explainer.helpers.push(new Helper(number, port)));
  ACCURACIES.fast = { passes: 128, order: 1, judged: 32 };
  await explainer.explain({ id: 1, pixels: Float32Array.from(pixels), captions: [read(text)], p, accuracy: "fast" });
  const threads = posts.filter(({ type }) => type === "progress").map(({ threads }) => threads);
  const records = posts.flatMap(({ explanations }) => explanations ?? []);
  for (const { meta } of records) delete meta.seconds;
  return { threads, records };
}
async function inOneThreadAndInMore(...asked) {
  const channel = () => new MessageChannel();
  const alone = await explainedWithHelp(...asked, []);
  const [second, third] = [channel(), channel()];
  for (const { port1 } of [second, third]) lend((await opened()).encoder, port1);
  const together = await explainedWithHelp(...asked, [second.port2, third.port2]);
  const failing = channel();
  let answers = 0;
  const { encoder } = await opened();
  lend({ setPicture: (pixels) => encoder.setPicture(pixels), encodeImages: (coalitions) => {
    if (answers++) throw new Error("stops");
    return encoder.encodeImages(coalitions);
  } }, failing.port1);
  const left = await explainedWithHelp(...asked, [failing.port2]);
  return { alone, together, left };
}
async function fewInThreeThreads(pixels) {
  const { encoder } = await opened();
  const explainer = new Explainer(encoder, () => {});
  explainer.pixels = Float32Array.from(pixels);
  encoder.setPicture(explainer.pixels);
  for (const number of [0, 1]) {
    const { port1, port2 } = new MessageChannel();
    lend((await opened()).encoder, port1);
    explainer.helpers.push(new Helper(number, port2));
  }
  const same = [];
  for (const count of [1, 2, 3, 4, 7]) {
    const coalitions = Uint8Array.from({ length: 49 * count }, (_, i) => Number((5 * i + count) % 7 < 4));
    const alone = encoder.encodeImages(coalitions).join();
    same.push(alone === (await explainer.encodeImages(coalitions)).join());
  }
  return [same, explainer.helpers.length];
}
async function cancelledAndAskedAgain(pixels, text, p) {
  const whole = await explained(pixels, text, p);
  const { encoder, read } = await opened();
  let [last, looks, passes, asked] = [null, 0, 0, 0];
  const counted = encoder.encodeImages;
  encoder.encodeImages = (coalitions) => {
    passes += coalitions.length / 49;
    return counted.call(encoder, coalitions);
  };
  const explainer = new Explainer(encoder, (message) => {
    last = message;
    if (message.type === "progress" && looks++ % 2 === 0 && asked < 4) explainer.current = 0;
  });
  explainer.blocks = BLOCKS;
  const question = { pixels: Float32Array.from(pixels), captions: [read(text)], p, accuracy: "fast" };
  while (last?.type !== "done") await explainer.explain({ id: ++asked, ...question });
  const json = ({ explanations: [{ meta, ...rest }] }) => JSON.stringify({ ...rest, meta: { ...meta, seconds: null } });
  return { asked, passes, same: json(last) === json(whole.at(-1)), json: json(last) };
}
async function explained(pixels, text, p, until = null) {
  const { encoder, read } = await opened();
  const posts = [];
  const explainer = new Explainer(encoder, (message) => {
    posts.push(message);
    if (message.type === until) explainer.current = 0; // as a cancelled run has it
  });
  explainer.blocks = BLOCKS;
  ACCURACIES.fast = { passes: 128, order: 1, judged: 32 };
  const captions = [read(text)];
  await explainer.explain({ id: 1, pixels: Float32Array.from(pixels), captions, p, accuracy: "fast" });
  return posts.filter(({ type }) => type !== "progress");
}
"""


def save(folder: Path, kind: str) -> Path:
    """A random model's folder, as transformers writes it."""
    family, activation, dtype = KINDS[kind]
    torch.manual_seed(3)
    picture, text = {**PICTURE, "hidden_act": activation}, {**TOWER, "hidden_act": activation}
    if family == "clip":
        text |= {"vocab_size": 49408, "bos_token_id": 0, "eos_token_id": 2, "pad_token_id": 1}
        network = CLIPModel(CLIPConfig(text_config=text, vision_config=picture, projection_dim=64))
        tokenizer, processor = clip_tokenizer(), clip_processor(224)
    else:
        tokenizer = gemma_tokenizer() if kind == "siglip2" else siglip_tokenizer()
        text |= {"vocab_size": 512}
        network = SiglipModel(SiglipConfig(text_config=text, vision_config=picture))
        processor = siglip_processor(224)
    for part in (spread(network).to(dtype), tokenizer, processor):
        part.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    made: dict[str, Path] = {}

    def folder(kind: str) -> Path:
        if kind not in made:
            made[kind] = save(tmp_path_factory.mktemp(kind) / kind, kind)
        return made[kind]

    return folder


@pytest.fixture(scope="module")
def inside(browser, tmp_path_factory):
    """Run JavaScript with the worker's functions in sight, and some files chosen; the value comes back."""
    page = tmp_path_factory.mktemp("opened") / "inside.html"
    code = f"{kernels()}{tokenizers_script()}{joined((*WORKER, 'pieces.js', 'pictures.js'))}{INSIDE}"
    page.write_text(
        f'<!doctype html><meta charset="utf-8"><input type="file" multiple><script>{code}</script>', "utf-8"
    )

    def run(files, script: str, *arguments):
        browser.get(page.as_uri())
        browser.find_element(By.TAG_NAME, "input").send_keys("\n".join(str(file) for file in files))
        found = browser.execute_async_script(
            f"""const answer = arguments[arguments.length - 1], args = [...arguments].slice(0, -1);
            (async () => {{ {script} }})()
                .then((value) => answer({{ value }}), (error) => answer({{ error: error.message }}));
            """,
            *arguments,
        )
        if "error" in found:
            raise RuntimeError(found["error"])
        return found["value"]

    return run


@pytest.mark.parametrize("kind", KINDS)
def test_embeddings_are_those_of_pytorch(kind, folders, inside):
    """With hidden patches and hidden words, whole words as players."""
    folder = folders(kind)
    model = load_model(str(folder))
    game = VisionLanguageGame(model, noise_image(300, 240), CAPTION, text_players="words", progress=False)
    image, text = draw(49, 0.5, 12, 0), draw(game.n_text, 0.5, 12, 1)
    found = inside(
        folder.iterdir(),
        """
        const { encoder, read } = await opened();
        const caption = read(args[1]);
        encoder.setPicture(Float32Array.from(args[0]));
        await encoder.learn(caption.ids);
        const images = encoder.encodeImages(Uint8Array.from(args[2]));
        const texts = encoder.encodeTexts(caption.ids, caption.players, Uint8Array.from(args[3]));
        const { scale, bias } = encoder.record;
        return { caption, images: [...images], texts: [...texts], scale, bias };
        """,
        game.picture.pixels.float().numpy().ravel().tolist(),
        CAPTION,
        image.astype(int).ravel().tolist(),
        text.astype(int).ravel().tolist(),
    )
    assert found["caption"]["ids"] == game.caption.input_ids[0].tolist()
    assert found["caption"]["words"] == game.players[49:]
    assert (found["scale"], found["bias"]) == pytest.approx((model.scale, model.bias), rel=1e-6)
    for name, expected in (("images", game.encode_images(image)), ("texts", game.encode_texts(text))):
        np.testing.assert_allclose(np.reshape(found[name], expected.shape), expected, atol=1e-5, rtol=0)


# Sentences in twelve scripts, with what cuts words: capitals, accents, emoji, quotes, digits, spaces of all kinds.
SENTENCES = [
    "A black DOG, next to a yellow hydrant!",
    "it's the café's naïve façade — “déjà vu”",
    "3 dogs & 12 cats @ 7.5 km/h",
    "the dog\u2019s ball isn\u2019t re\u0301d",
    "well-known photo_of_a_cat.jpg #nofilter",
    "\ttabs\nand   spaces\u00a0here ",
    "a \N{DOG FACE} and a \N{MAN}\u200d\N{WOMAN}\u200d\N{GIRL} in snow \N{SNOWMAN}\ufe0f",
    "\uff46\uff55\uff4c\uff4c \ufb01gure №5",
    "czarny pies obok żółtego hydrantu",
    "чёрная собака рядом",
    "ένας μαύρος σκύλος",
    "כלב שחור ליד",
    "كلب أسود بجانب صنبور",
    "एक काला कुत्ता",
    "หมาสีดำข้างหัวดับเพลิง",
    "黑色的狗在黄色消防栓旁边",
    "黄色い消火栓の隣の黒い犬",
    "노란 소화전 옆의 검은 개",
    "սև շուն",
    "შავი ძაღლი",
]


def learnt_clip_tokenizer() -> CLIPTokenizer:
    """CLIP's kind of vocabulary, learnt from the sentences: bytes, then merges, ends of words marked."""
    stand_in = clip_tokenizer().backend_tokenizer
    learnt = Tokenizer(BPE(continuing_subword_prefix="", end_of_word_suffix="</w>"))
    learnt.normalizer, learnt.pre_tokenizer = stand_in.normalizer, stand_in.pre_tokenizer
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = BpeTrainer(
        vocab_size=700, end_of_word_suffix="</w>", initial_alphabet=alphabet, show_progress=False
    )
    learnt.train_from_iterator(SENTENCES, trainer)
    model = json.loads(learnt.to_str())["model"]
    vocabulary = model["vocab"] | {symbol + "</w>": 2000 + i for i, symbol in enumerate(sorted(alphabet))}
    vocabulary |= {"<|startoftext|>": 49406, "<|endoftext|>": 49407}
    return CLIPTokenizer(vocab=vocabulary, merges=[tuple(pair) for pair in model["merges"]])


@pytest.mark.parametrize("kind", ["openai", "siglip", "siglip2"])
def test_captions_are_cut_as_by_transformers(kind, folders, inside, tmp_path):
    """Twenty sentences and 180 captions of their words, CLIP's with a vocabulary learnt from them."""
    folder = folders(kind)
    if kind == "openai":
        shutil.copytree(folder, tmp_path / kind)
        folder = tmp_path / kind
        learnt_clip_tokenizer().save_pretrained(folder)
    rng = np.random.default_rng(0)
    words = [word for sentence in SENTENCES for word in sentence.split(" ")]
    captions = SENTENCES + [" ".join(rng.choice(words, rng.integers(1, 6))) for _ in range(180)]
    tokenizer = load_model(str(folder)).tokenizer
    found = inside(
        folder.iterdir(),
        """
        const { tokenizer } = await openCheckpoint([...document.querySelector("input").files]);
        const reader = new fixlipTokenizers.Tokenizer(tokenizer.json, tokenizer.config);
        return args[0].map((text) => reader.encode(text, { add_special_tokens: false }).ids);
        """,
        captions,
    )
    for caption, ids in zip(captions, found, strict=True):
        assert ids == tokenizer(caption, add_special_tokens=False).input_ids, caption


@pytest.mark.parametrize("kind", ["clip", "siglip2", "siglip"])
def test_words_are_those_of_the_package(kind, inside, tmp_path):
    """In vocabularies of the true kinds, to which a token was added: accents, emoji, quotes, other scripts."""
    model = model_of(kind)
    model.tokenizer.save_pretrained(tmp_path)
    expected = {}
    for text in [*TEXTS, *FOREIGN, "x<hydrant>dog", "a ü dü"]:
        with contextlib.suppress(ValueError):  # of a script or letters that it does not know
            expected[text] = [word for word, _ in model.tokenize(text).words]
    files = [json.loads((tmp_path / f"tokenizer{part}.json").read_text("utf-8")) for part in ("", "_config")]
    record = {
        "name": kind,
        "family": "clip" if kind == "clip" else "siglip",
        "text": {"vocabulary": model.network.config.text_config.vocab_size},
        "most_words": model.max_players,
        "context": model.context,
    }
    found = inside(
        [tmp_path / "tokenizer.json"],
        """
        const read = pieceReader(fixlipTokenizers.Tokenizer, { json: args[0], config: args[1] }, args[2]);
        return args[3].map((text) => read(text).words);
        """,
        *files, record, list(expected),
    )  # fmt: skip
    assert dict(zip(expected, found, strict=True)) == expected and len(expected) > 8


@pytest.mark.rotating(2)
@pytest.mark.parametrize("kind", ["openai", "siglip"])
@pytest.mark.parametrize("p", [0.5, 0.3])
def test_an_explanation_is_that_of_the_package(kind, p, folders, inside):
    """Same coalitions, whole words as players; what the page downloads is read by Explanation.load."""
    folder = folders(kind)
    game = VisionLanguageGame(
        load_model(str(folder)), noise_image(300, 240), CAPTION, text_players="words", progress=False
    )
    expected = combine(
        fit_side(game, "image", p, "independent", 128, order=1, n_held_out=32),
        fit_side(game, "text", p, n_held_out=64),
    )
    posts = inside(
        folder.iterdir(),
        "return explained(...args)",
        game.picture.pixels.float().numpy().ravel().tolist(),
        CAPTION,
        p,
    )
    assert [post["type"] for post in posts] == ["score", "partial", "done"]
    assert_same(posts[-1]["explanations"][0], expected)

    # what comes first, within 96 passes: blocks of patches, as the package has them
    game = VisionLanguageGame(game.model, game.picture, CAPTION, image_players=(4, 4), text_players="words")
    expected = combine(
        fit_side(game, "image", p, "independent", 64, order=1, n_held_out=30),
        fit_side(game, "text", p, n_held_out=64),
    )
    assert expected.meta["passes"]["image"] == 96
    first = posts[1]["explanations"][0]
    assert_same(first, expected)
    asked = f"--p {p} --seed 0 --words --patches 4x4 --design independent:64 --order 1"
    assert first["meta"]["repeat"] == asked


def assert_same(record: dict, expected: Explanation) -> None:
    """What the page downloads is read by Explanation.load: every number within 1e-3 of the largest coefficient."""
    jsonschema.validate(record, json.loads(SCHEMA.read_text(encoding="utf-8")))
    found = Explanation.from_dict(record)
    limit = 1e-3 * max(np.abs(expected.main).max(), np.abs(expected.pairs).max())
    np.testing.assert_allclose(found.main, expected.main, atol=limit)
    np.testing.assert_allclose(found.pairs, expected.pairs, atol=limit)
    assert found.baseline == pytest.approx(expected.baseline, abs=limit)
    assert found.players == expected.players
    assert found.meta["held_out_r2"] == pytest.approx(expected.meta["held_out_r2"], abs=1e-3)
    for key in ("grid", "image_groups", "design", "order"):
        assert found.meta.get(key) == expected.meta.get(key), key
    assert found.meta["passes"]["image"] == expected.meta["passes"]["image"]


def test_what_is_cancelled_keeps_its_first_look(folders, inside):
    """An explanation at blocks of patches, which says from how many passes it is."""
    folder = folders("openai")
    pixels = load_model(str(folder)).prepare_image(noise_image(300, 240)).pixels.numpy().ravel().tolist()
    posts = inside(folder.iterdir(), "return explained(...args)", pixels, CAPTION, 0.5, "partial")
    assert [post["type"] for post in posts] == ["score", "partial", "cancelled"]
    first = Explanation.from_dict(posts[1]["explanations"][0])
    assert first.n_image == 16 and first.meta["passes"]["image"] == 96
    assert first.meta["image_groups"]["blocks"] == [4, 4] and first.players[:2] == [
        "region 0,0",
        "region 0,1",
    ]


def test_what_is_cancelled_goes_on_where_it_was(folders, inside):
    """To the byte, but for the time; no coalition is encoded twice, but none and all of the patches."""
    folder = folders("openai")
    pixels = load_model(str(folder)).prepare_image(noise_image(300, 240)).pixels.numpy().ravel().tolist()
    found = inside(folder.iterdir(), "return cancelledAndAskedAgain(...args)", pixels, CAPTION, 0.5)
    assert found["same"] and found["asked"] == 4
    blocks, patches = 64 + 30, json.loads(found["json"])["meta"]["passes"]["image"] - 2
    assert found["passes"] == blocks + patches + 2 * found["asked"]


@pytest.mark.parametrize("kind", ["openai", "siglip"])
def test_several_threads_give_the_numbers_of_one(kind, folders, inside):
    """To the bit: with two that help, and with one that fails on the way."""
    folder = folders(kind)
    pixels = load_model(str(folder)).prepare_image(noise_image(300, 240)).pixels.numpy().ravel().tolist()
    found = inside(folder.iterdir(), "return inOneThreadAndInMore(...args)", pixels, CAPTION, 0.5)
    assert found["together"]["records"] == found["alone"]["records"] == found["left"]["records"]
    assert set(found["alone"]["threads"]) == {1} and set(found["together"]["threads"]) == {3}
    assert found["left"]["threads"][0] == 2 and found["left"]["threads"][-1] == 1


def test_a_few_coalitions_are_shared_among_more_threads(folders, inside):
    pixels = noise_image(224, 224).astype(np.float32).ravel().tolist()
    assert inside(folders("openai").iterdir(), "return fewInThreeThreads(...args)", pixels) == [[True] * 5, 2]


@pytest.mark.rotating(4)
@pytest.mark.parametrize("size", [(300, 200), (200, 301), (224, 224), (90, 333), (1000, 225), (223, 500)])
@pytest.mark.parametrize("kind", ["openai", "siglip"])
def test_a_picture_is_cut_and_resized_as_by_the_package(kind, size, folders, inside, tmp_path):
    """CLIP sees the middle square, SigLIP the whole picture squeezed: to a level where rounding decides."""
    folder = folders(kind)
    Image.fromarray(noise_image(*size)).save(tmp_path / "picture.png")
    expected = load_model(str(folder)).prepare_image(tmp_path / "picture.png")
    found = inside(
        [*folder.iterdir(), tmp_path / "picture.png"],
        """
        const files = [...document.querySelector("input").files];
        const { record } = await openCheckpoint(files);
        const { seen, cut } = await readPicture(files.find(({ name }) => name === "picture.png"), record.vision);
        return { seen: [...seen], box: cut ?? [0, 0, 1, 1] };
        """,
    )
    levels = np.abs(np.reshape(found["seen"], (224, 224, 3)) - np.asarray(expected.seen, int))
    assert levels.max() <= 1 and (levels > 0).mean() < 0.01
    np.testing.assert_allclose(np.array(found["box"]) * [*size, *size], expected.box, atol=1e-9)


# --- In the page ------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    """The page as the book has it, its passes few."""
    folder = write_site(tmp_path_factory.mktemp("site"))
    script = folder / "try_it.js"
    code = with_few_passes(script, 128, 32, ("fast",))
    assert "LONG = 30" in code
    script.write_text(code.replace("LONG = 30", "LONG = 0"), encoding="utf-8")
    return folder


class Page:
    """Try it in a browser that has just opened it."""

    def __init__(self, browser, site: Path, query: str = "") -> None:
        self.browser = browser
        browser.get("about:blank")
        browser.get((site / "page.html").as_uri() + query)
        self.until("return document.getElementById('explain-here').hasAttribute('data-ready')", "the page")
        browser.execute_script("document.querySelector('.ti-more').open = true")

    def until(self, script: str, what: str):
        return wait(lambda: self.browser.execute_script(script), what)

    def choose(self, label: str, files) -> None:
        """Give files to the button with this label."""
        button = next(
            one for one in self.browser.find_elements(By.CSS_SELECTOR, ".ti-file") if label in one.text
        )
        button.find_element(By.TAG_NAME, "input").send_keys("\n".join(map(str, files)))

    def status(self) -> str:
        return self.browser.find_element(By.CSS_SELECTOR, ".ti-status").text

    def record(self) -> dict:
        text = self.browser.execute_script(
            "return document.querySelector('#explain-here script[type=\"application/json\"]').textContent"
        )
        return json.loads(text or "{}")


def model_files(folder: Path) -> list[Path]:
    return [*folder.glob("*.safetensors"), *folder.glob("*.json")]


def test_a_reader_explains_a_photograph_by_a_model_from_disk(browser, site, folders, tmp_path):
    folder = folders("openai")
    Image.fromarray(noise_image(300, 240)).save(tmp_path / "photograph.png")
    page = Page(browser, site, "?engine=wasm&workers=2")
    page.choose("or its files", model_files(folder))
    wait(lambda: "is ready: 7 × 7 patches" in page.status(), "the model")
    page.choose("Your picture", [tmp_path / "photograph.png"])
    wait(lambda: "Type a caption" in page.status(), "the picture")
    field = browser.find_element(By.CSS_SELECTOR, ".ti-caption input")
    field.clear()
    field.send_keys(CAPTION)
    browser.execute_script(
        "const status = document.querySelector('.ti-status'); new MutationObserver(() => "
        "status.dataset.all = `${status.dataset.all ?? ''}${status.textContent}`).observe(status, { childList: true });"
        # a word is chosen while blocks are shown
        "const trust = document.querySelector('.ti-trust'); new MutationObserver((_, observer) => {"
        "if (!trust.textContent.includes('blocks')) return; observer.disconnect();"
        "document.querySelectorAll('.fx-word')[2].click() }).observe(trust, { childList: true })"
    )
    browser.find_element(By.CSS_SELECTOR, ".ti-go").click()
    page.until("return document.getElementById('explain-here').dataset.state === 'done'", "the explanation")
    game = VisionLanguageGame(
        load_model(str(folder)), tmp_path / "photograph.png", CAPTION, text_players="words", progress=False
    )
    expected = combine(
        fit_side(game, "image", 0.5, "independent", 128, order=1, n_held_out=32),
        fit_side(game, "text", 0.5, n_held_out=64),
    )
    record = page.record()
    found = Explanation.from_dict(record)
    limit = 5e-3 * max(np.abs(expected.main).max(), np.abs(expected.pairs).max())  # pixels differ by a level
    np.testing.assert_allclose(found.main, expected.main, atol=limit)
    np.testing.assert_allclose(found.pairs, expected.pairs, atol=limit)
    assert found.players == expected.players
    left, top, right, bottom = record["meta"]["picture"]["box"]
    assert (left, right, top, bottom) == pytest.approx((0.1, 0.9, 0, 1), abs=5e-3)  # of 300 × 240 pixels
    shown = browser.find_element(By.CSS_SELECTOR, ".ti-result").text
    assert CAPTION in shown and "drawings only" not in shown
    links = [
        one for one in browser.find_elements(By.CSS_SELECTOR, ".ti-saves button") if one.text == "Copy link"
    ]
    assert not any(link.is_displayed() for link in links)  # an address holds no model

    words = browser.find_elements(By.CSS_SELECTOR, ".fx-word")
    assert [word.get_attribute("aria-pressed") for word in words[:4]] == ["false", "false", "true", "false"]
    said = browser.find_element(By.CSS_SELECTOR, ".ti-status").get_attribute("data-all")
    assert re.search(r"About \d+ s to the first map, \d+ s to the whole of “fast”", said)

    # a second worker has come, from a folder as from a server: the same numbers
    def again() -> str:
        browser.find_element(By.CSS_SELECTOR, ".ti-go").click()
        page.until("return document.getElementById('explain-here').dataset.state === 'done'", "it again")
        return page.status()

    wait(lambda: "on 2 CPU threads" in again(), "the second worker")
    repeated = page.record()
    assert repeated["meta"].pop("seconds") and record["meta"].pop("seconds") and repeated == record

    # the embedded encoder again: the picture is seen anew, and nothing of the other model's is left on it
    browser.execute_script(
        "const [select] = document.querySelectorAll('.ti-choice select'); select.value = 'mini-clip';"
        "select.dispatchEvent(new Event('change'))"
    )
    page.until("return document.querySelector('.ti-result').hidden", "the other encoder's sight")
    assert page.record() == {}


def test_the_command_that_the_page_prints_gives_the_same_numbers(
    browser, site, folders, tmp_path, monkeypatch, capsys
):
    """Another p, a caption with an apostrophe, a picture of the encoder's own size: no pixel is off by rounding."""
    folder = folders("openai")
    Image.fromarray(noise_image(224, 224)).save(tmp_path / "my photo.png")
    page = Page(browser, site)
    page.choose("or its files", model_files(folder))
    wait(lambda: "is ready" in page.status(), "the model")
    page.choose("Your picture", [tmp_path / "my photo.png"])
    wait(lambda: "Type a caption" in page.status(), "the picture")
    browser.execute_script(
        "const select = document.querySelectorAll('.ti-choice select')[1]; select.value = '0.3';"
        "select.dispatchEvent(new Event('change'))"
    )
    field = browser.find_element(By.CSS_SELECTOR, ".ti-caption input")
    field.clear()
    field.send_keys("the dog's yellow hydrant")
    browser.find_element(By.CSS_SELECTOR, ".ti-go").click()
    page.until("return document.getElementById('explain-here').dataset.state === 'done'", "the explanation")
    command = browser.execute_script("return document.querySelector('.ti-command').textContent")
    assert command == (
        'fixlip explain "my photo.png" "the dog\'s yellow hydrant" --model FOLDER '
        "--p 0.3 --seed 0 --words --design independent:128 --order 1"
    )
    program, *words = shlex.split(command.replace("FOLDER", str(folder)))
    monkeypatch.chdir(tmp_path)
    assert program == "fixlip" and cli._run([*words, "--out", "out"]) == 0, capsys.readouterr().err
    expected = Explanation.load(tmp_path / "out" / "explanation.json")
    record = page.record()
    found = Explanation.from_dict(record)
    limit = 1e-3 * max(np.abs(expected.main).max(), np.abs(expected.pairs).max())
    np.testing.assert_allclose(found.main, expected.main, atol=limit)
    np.testing.assert_allclose(found.pairs, expected.pairs, atol=limit)
    assert found.players == expected.players and found.p == expected.p == 0.3


@pytest.fixture(scope="module")
def of_its_own(folders):
    """An explanation of the published pair by the random model: what was published, had the authors had that one."""
    photograph, explanations = published_clip()
    caption = explanations["FIxLIP"].meta["caption"]
    game = VisionLanguageGame(load_model(str(folders("openai"))), photograph, caption, progress=False)
    return fixlip(game, 0.5, n_image_coalitions=512, n_text_coalitions=128, seed=5)


def test_the_page_verifies_an_opened_model(browser, site, folders, of_its_own, tmp_path, capsys):
    """Random weights are not those of the published explanation, as the command says too; they are their own."""
    folder = folders("openai")
    shutil.copytree(site, tmp_path / "site")
    own = {
        **published(),
        "cross": of_its_own.cross_modal().tolist(),
        "first": of_its_own.first_order().tolist(),
        "coalitions": {"image": 512, "text": 128},
    }
    found = {}
    for what, reference in (("failed", published()), ("passed", own)):
        text = f"globalThis.fixlipPublished = {json.dumps(reference)};"
        (tmp_path / "site" / "published.js").write_text(text, encoding="utf-8")
        page = Page(browser, tmp_path / "site")
        press = "[...document.querySelectorAll('button')].find((b) => b.textContent.startsWith('Check a')).click()"
        browser.execute_script(press)
        wait(lambda page=page: "Open a model first" in page.status(), "the sentence")
        page.choose("or its files", model_files(folder))
        wait(lambda page=page: "is ready" in page.status(), "the model")
        browser.execute_script(press)
        page.until("return document.querySelector('.ti-verdict').dataset.verdict", "the verdict")
        verdict = browser.find_element(By.CSS_SELECTOR, ".ti-verdict")
        assert verdict.get_attribute("data-verdict") == what, verdict.text
        numbers = re.findall(r"correlation ([+−.\d]+), .* difference ([.\d]+) times", verdict.text)
        found[what] = [(float(one.replace("−", "-")), float(other)) for one, other in numbers]
    assert page.record()["players"][49:] == published()["tokens"]
    for correlation, ratio in found["passed"]:
        assert correlation > 0.95 and ratio < 1.5
    for correlation, ratio in found["failed"]:
        assert correlation < 0.5 and ratio > 5

    # what the command says of these weights, within what the draws of both leave open
    cli._compare(of_its_own, published_clip()[1]["FIxLIP"], load_model(str(folder)))
    output = capsys.readouterr().out
    assert "only if 'openai' holds the weights of openai/clip-vit-base-patch32" in output
    blocks = "pairs of patch and word", "first-order values"
    for block, (correlation, _) in zip(blocks, found["failed"], strict=True):
        line = next(line for line in output.splitlines() if block in line)
        assert float(line.split(block)[1].split()[0].replace("−", "-")) == pytest.approx(correlation, abs=0.1)


def test_files_that_are_no_model_leave_the_page_as_it_was(browser, site, folders, tmp_path):
    page = Page(browser, site)
    before = page.record()
    damaged = tmp_path / "model.safetensors"
    damaged.write_bytes(b"damaged" * 10)
    source = folders("openai")
    page.choose("or its files", [damaged, source / "config.json", source / "tokenizer.json"])
    wait(lambda: "damaged" in page.status(), "the sentence")
    assert page.record() == before
    names = browser.execute_script(
        "return [...document.querySelector('.ti-choice select').options].map(({ value }) => value)"
    )
    assert names == ["mini-clip", "mini-siglip"]


# --- Files that are none --------------------------------------------------------------------------------------


def header(table: object, length: int | None = None, rest: bytes = b"") -> bytes:
    text = table if isinstance(table, bytes) else json.dumps(table).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + rest


def entry(shape, offsets, dtype="F32"):
    return {"dtype": dtype, "shape": shape, "data_offsets": offsets}


HOSTILE = {
    "empty": (b"", "0 bytes"),
    "a few bytes": (b"abc", "3 bytes"),
    "header of 100 GB": (header({}, 10**11) + bytes(100), "table of tensors would have 100,000 MB"),
    "header of 2^64 - 1 bytes": (header({}, 2**64 - 1) + bytes(100), "table of tensors would have"),
    "header cut off": (header({"a": entry([1], [0, 4])})[:30], "table of tensors would have"),
    "header that is no JSON": (header(b"{no json"), "cannot be read"),
    "header that is a list": (header([1, 2]), "table of tensors is none"),
    "header that is null": (header(None), "table of tensors is none"),
    "entry that is null": (header({"a": None}, rest=bytes(8)), "entry of “a” is none"),
    "entry without offsets": (header({"a": {"dtype": "F32", "shape": [1]}}, rest=bytes(8)), "entry of “a”"),
    "negative shape": (header({"a": entry([-1], [0, 4])}, rest=bytes(8)), "entry of “a”"),
    "shape of text": (header({"a": entry(["1"], [0, 4])}, rest=bytes(8)), "entry of “a”"),
    "shape of half numbers": (header({"a": entry([0.5], [0, 2])}, rest=bytes(8)), "entry of “a”"),
    "offsets backwards": (header({"a": entry([1], [4, 0])}, rest=bytes(8)), "would end"),
    "beyond the file": (header({"a": entry([10**6], [0, 4 * 10**6])}, rest=bytes(8)), "cut off"),
    "100 GB in a small file": (header({"a": entry([25 * 10**9], [0, 10**11])}, rest=bytes(8)), "cut off"),
    "fewer bytes than the shape asks for": (header({"a": entry([4], [0, 4])}, rest=bytes(8)), "asks for 16"),
    "more bytes than the shape asks for": (header({"a": entry([1], [0, 8])}, rest=bytes(8)), "asks for 4"),
    "a shape whose product overflows": (
        header({"a": entry([2**53 - 1, 2**53 - 1], [0, 4])}, rest=bytes(8)), "asks for",
    ),
    "another model's tensors": (header({"a": entry([1], [0, 4])}, rest=bytes(4)), "has no tensor"),
    "a name of a million letters": (header({"a" * 10**6: entry([1], [0, 8])}, rest=bytes(8)), "…"),
}  # fmt: skip


@pytest.mark.parametrize("what", HOSTILE)
def test_a_file_that_is_no_checkpoint_ends_in_a_sentence(what, folders, inside, tmp_path):
    content, sentence = HOSTILE[what]
    source = folders("openai")
    (tmp_path / "model.safetensors").write_bytes(content)
    files = [tmp_path / "model.safetensors", source / "config.json", source / "tokenizer.json"]
    with pytest.raises(RuntimeError) as error:
        inside(files, "await openCheckpoint([...document.querySelector('input').files])")
    assert sentence in str(error.value) and len(str(error.value)) < 400


CONFIGURATIONS = {
    "another architecture": ({"model_type": "bert"}, "“bert”"),
    "a type from the prototype": ({"model_type": "constructor"}, "“constructor”"),
    "no type": ({"model_type": None}, "“null”"),
    "a billion layers": ({"vision_config": {"num_hidden_layers": 10**9}}, "num_hidden_layers"),
    "no width": ({"vision_config": {"hidden_size": 0}}, "hidden_size"),
    "a width of text": ({"text_config": {"hidden_size": "512"}}, "hidden_size"),
    "heads of 24 numbers": ({"vision_config": {"hidden_size": 48, "num_attention_heads": 2}}, "heads"),
    "heads that do not divide": ({"vision_config": {"num_attention_heads": 3}}, "heads"),
    "an unknown activation": ({"vision_config": {"hidden_act": "toString"}}, "“toString”"),
    "no epsilon": ({"text_config": {"layer_norm_eps": "x"}}, "layer_norm_eps"),
    "patches that do not fill the picture": ({"vision_config": {"patch_size": 30}}, "not filled"),
    "a patch larger than the picture": ({"vision_config": {"patch_size": 64, "image_size": 32}}, "larger"),
    "another width": ({"vision_config": {"hidden_size": 256, "num_attention_heads": 4}}, "has the shape"),
    "another depth": ({"vision_config": {"num_hidden_layers": 3}}, "has no tensor vision_model.encoder.layers.2"),
    "another vocabulary": ({"text_config": {"vocab_size": 1000}}, "token_embedding"),
}  # fmt: skip


@pytest.mark.parametrize("what", CONFIGURATIONS)
def test_a_configuration_that_does_not_fit_ends_in_a_sentence(what, folders, inside, tmp_path):
    change, sentence = CONFIGURATIONS[what]
    source = folders("openai")
    config = json.loads((source / "config.json").read_text())
    for key, value in change.items():
        config[key] = {**config[key], **value} if isinstance(value, dict) else value
    (tmp_path / "config.json").write_text(json.dumps(config))
    files = [source / "model.safetensors", tmp_path / "config.json", source / "tokenizer.json"]
    with pytest.raises(RuntimeError) as error:
        inside(files, "await openCheckpoint([...document.querySelector('input').files])")
    assert sentence in str(error.value) and len(str(error.value)) < 400


def test_missing_doubled_and_unsafe_files_are_named(folders, inside, tmp_path):
    source = folders("openai")
    safe, config, tokenizer = (
        source / name for name in ("model.safetensors", "config.json", "tokenizer.json")
    )
    pickle = tmp_path / "pytorch_model.bin"
    pickle.write_bytes(b"x")
    (tmp_path / "model.safetensors.index.json").write_text("{}")
    (tmp_path / "config.json").write_text("[]")
    cases = [
        ([safe, config], "tokenizer.json missing"),
        ([safe], "config.json and tokenizer.json missing"),
        ([pickle, config, tokenizer], "PyTorch file"),
        ([tmp_path / "model.safetensors.index.json", config, tokenizer], "several files"),
        ([safe, tmp_path / "config.json", tokenizer], "config.json holds no object"),
    ]
    for files, sentence in cases:
        with pytest.raises(RuntimeError, match=sentence):
            inside(files, "await openCheckpoint([...document.querySelector('input').files])")


def test_a_model_that_the_memory_does_not_bear_is_refused_with_the_reason(folders, inside):
    """On a device that says how little it has, and in a browser that gives no more."""
    files = [folders("openai") / name for name in ("model.safetensors", "config.json", "tokenizer.json")]
    with pytest.raises(RuntimeError, match=r"needs 4\.9 MB of memory, and this device says that it has 8 MB"):
        inside(
            files,
            """
            Object.defineProperty(navigator, "deviceMemory", { value: 0.008, configurable: true });
            await openCheckpoint([...document.querySelector("input").files]);
            """,
        )
    with pytest.raises(RuntimeError, match=r"no more than 2 MB of memory here.*explain it in Python"):
        inside(
            files,
            "await opened(32)",
        )


def test_the_stored_measurements_are_those_of_the_page(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    import measure_opened

    stored = json.loads((ROOT / "results" / "opened_models.json").read_text(encoding="utf-8"))
    shown = (ROOT / "results" / "opened_models.md").read_text(encoding="utf-8")
    assert shown == measure_opened.table(stored)
    assert {run["passes_kept_by_cancel"] for run in stored["runs"]} == {96}


# --- Full size ------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("name", ["openai/clip-vit-base-patch32", "openai/clip-vit-base-patch16"])
def test_a_model_of_full_size_is_read_and_computed_in_less_than_a_gigabyte(name, inside, tmp_path, capsys):
    """All layers, random weights, from one file of 600 MB; says how long it took beside mini-clip (pytest -s)."""
    model = test_full_size.build(name)
    for part in (model.network, model.tokenizer, model.image_processor):
        part.save_pretrained(tmp_path)
    game = VisionLanguageGame(model, noise_image(300, 240), CAPTION, text_players="words", progress=False)
    image, text = draw(game.n_image, 0.5, 8, 0), draw(game.n_text, 0.5, 8, 1)
    found = inside(
        tmp_path.iterdir(),
        """
        const began = performance.now();
        const { encoder, read } = await opened();
        const opening = performance.now() - began;
        const caption = read(args[1]);
        encoder.setPicture(Float32Array.from(args[0]));
        await encoder.learn(caption.ids);
        const bytes = encoder.memory.buffer.byteLength;
        const timed = (encode) => {
          const started = performance.now();
          return [[...encode()], (performance.now() - started) / 1000];
        };
        const [images, imageSeconds] = timed(() => encoder.encodeImages(Uint8Array.from(args[2])));
        const { ids, players } = caption;
        const [texts, textSeconds] = timed(() => encoder.encodeTexts(ids, players, Uint8Array.from(args[3])));
        return { bytes, opening: opening / 1000, images, imageSeconds, texts, textSeconds };
        """,
        game.picture.pixels.numpy().ravel().tolist(),
        CAPTION,
        image.astype(int).ravel().tolist(),
        text.astype(int).ravel().tolist(),
    )
    for side, expected in (("images", game.encode_images(image)), ("texts", game.encode_texts(text))):
        np.testing.assert_allclose(np.reshape(found[side], expected.shape), expected, atol=1e-5, rtol=0)
    assert found["bytes"] < 1e9
    with capsys.disabled():
        print(
            f"\n{name}: opened in {found['opening']:.1f} s, {found['bytes'] / 1e6:.0f} MB, "
            f"{8 / found['imageSeconds']:.2f} image and {8 / found['textSeconds']:.1f} text passes a second"
        )
