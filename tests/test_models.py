"""Models: pictures and captions as encoders get them, scores, loading. Networks are random, see stand_ins."""

from __future__ import annotations

import io
import json
import os
import pickle
import re
import shutil
import struct
import subprocess
import sys
import warnings
import zlib
from dataclasses import replace
from types import SimpleNamespace

import huggingface_hub
import numpy as np
import pytest
import stand_ins
import torch
from huggingface_hub import errors
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from stand_ins import CAPTION, FAMILIES, PIECES, noise_image, small_model

from fixlip_helpers import baselines, models, plots, towers, widgets
from fixlip_helpers.encoders.matrix import explain_matrix
from fixlip_helpers.encoders.pictures import ImageWarning, open_image
from fixlip_helpers.encoders.vision_language import VisionLanguageGame
from fixlip_helpers.explanation import Explanation
from fixlip_helpers.games import precision_report
from fixlip_helpers.models import VisionLanguageModel, available_models, fingerprint, load_model

REPOSITORY = str(models.ASSETS.parents[1])


@pytest.fixture(scope="module", params=FAMILIES)
def model(request):
    return small_model(request.param)


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """One saved folder of each family, as transformers writes it."""
    root = tmp_path_factory.mktemp("models")
    for family in FAMILIES:
        saved = small_model(family)
        for part in (saved.network, saved.tokenizer, saved.image_processor):
            part.save_pretrained(root / family)
    return root


# --- Opening pictures ---------------------------------------------------------------------


def save(picture: Image.Image, path, **options):
    picture.save(path, **options)
    return path


def gradient(width=40, height=30) -> Image.Image:
    """Red grows to the right, green grows downwards."""
    x, y = np.meshgrid(np.linspace(0, 255, width), np.linspace(0, 255, height))
    return Image.fromarray(np.dstack([x, y, 0 * x + 90]).astype(np.uint8))


def test_path_string_pil_and_array_are_the_same_picture(tmp_path):
    path = save(gradient(), tmp_path / "a.png")
    expected = np.asarray(gradient())
    for given_image in (path, str(path), gradient(), expected, expected / 255.0):
        opened = open_image(given_image)
        assert opened.mode == "RGB"
        np.testing.assert_array_equal(np.asarray(opened), expected)


def test_transparent_pixels_become_white(tmp_path):
    rgba = np.zeros((8, 8, 4), np.uint8)
    rgba[:, :4] = [255, 0, 0, 255]
    rgba[0, 7] = [0, 0, 255, 128]
    opened = np.asarray(open_image(save(Image.fromarray(rgba), tmp_path / "t.png")))
    assert opened[3, 1].tolist() == [255, 0, 0]
    assert opened[3, 6].tolist() == [255, 255, 255]
    assert opened[0, 7].tolist() == [127, 127, 255]  # half blue, half white
    np.testing.assert_array_equal(np.asarray(open_image(rgba)), opened)


def test_palette_with_a_transparent_entry(tmp_path):
    picture = Image.new("P", (4, 4), 0)
    picture.putpalette([10, 20, 30, 200, 100, 0])
    picture.putpixel((0, 0), 1)
    opened = open_image(save(picture, tmp_path / "p.png", transparency=0))
    assert opened.getpixel((3, 3)) == (255, 255, 255)
    assert opened.getpixel((0, 0)) == (200, 100, 0)


def test_cmyk_jpeg_keeps_its_colours(tmp_path):
    path = save(Image.new("RGB", (16, 16), (200, 30, 60)).convert("CMYK"), tmp_path / "c.jpg", quality=98)
    assert np.abs(np.asarray(open_image(path), int)[8, 8] - [200, 30, 60]).max() <= 6


@pytest.mark.parametrize("name", ["g.png", "g.tif"])
def test_16_bits_are_scaled_not_clipped(tmp_path, name):
    values = np.array([[0, 257, 30000, 65535]], np.uint16).repeat(3, axis=0)
    opened = np.asarray(open_image(save(Image.fromarray(values), tmp_path / name)))
    np.testing.assert_array_equal(opened[1, :, 0], [0, 1, 117, 255])
    np.testing.assert_array_equal(np.asarray(open_image(values)), opened)


WHOLE_NUMBERS = ["uint8", "int16", "int32", "uint32", "int64", "uint64", ">i4"]


@pytest.mark.parametrize("dtype", [*WHOLE_NUMBERS, "bool", "uint16", ">u2", "float16", "float32", "float64"])
@pytest.mark.parametrize("shape", [(6, 5), (6, 5, 1), (6, 5, 3), (6, 5, 4)])
def test_one_picture_in_every_type_of_number(dtype, shape):
    """The type says what white is: 255 for whole numbers, 65535 for uint16, 1 for float, True for bool."""
    pixels = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    if dtype == "bool":
        pixels = np.where(pixels > 127, 255, 0).astype(np.uint8)
    white = {"b": True, "u": 65535 if np.dtype(dtype).itemsize == 2 else 255, "f": 1, "i": 255}[
        np.dtype(dtype).kind
    ]
    array = (pixels * (white / 255)).astype(dtype)
    tolerance = 1 if dtype == "float16" else 0
    np.testing.assert_allclose(np.asarray(open_image(array)), np.asarray(open_image(pixels)), atol=tolerance)


@pytest.mark.parametrize("mode", ["I", "I;16", "L", "1"])
def test_pil_images_of_whole_numbers_keep_their_brightness(tmp_path, mode):
    grey = Image.fromarray(np.array([[0, 255], [255, 0]], np.uint8).repeat(4, 0))
    made = Image.fromarray(np.asarray(grey, np.uint16) * 257) if mode == "I;16" else grey.convert(mode)
    for opened in (open_image(made), open_image(save(made, tmp_path / "w.tif"))):
        np.testing.assert_array_equal(np.asarray(opened), np.asarray(grey.convert("RGB")))
    dark = Image.fromarray(np.full((4, 4), 200, np.uint16))  # 16 bits without doubt, so black it is
    assert open_image(dark).getpixel((0, 0)) == (1, 1, 1)
    (tmp_path / "d.pgm").write_bytes(b"P5 2 1 65535\n" + np.array([200, 65535], ">u2").tobytes())
    assert np.asarray(open_image(tmp_path / "d.pgm"))[0, :, 0].tolist() == [1, 255]
    with pytest.raises(ValueError, match=r"outside 0 to 255 .*mode I;16"):
        open_image(Image.fromarray(np.full((4, 4), 300, np.int32)))


def test_greyscale_and_float_tiff(tmp_path):
    grey = Image.fromarray(np.arange(16, dtype=np.uint8).reshape(4, 4) * 17)
    opened = np.asarray(open_image(save(grey, tmp_path / "g.png")))
    assert opened.shape == (4, 4, 3) and (opened == np.asarray(grey)[:, :, None]).all()
    real = Image.fromarray(np.linspace(0, 1, 16, dtype=np.float32).reshape(4, 4))
    assert np.asarray(open_image(save(real, tmp_path / "f.tif")))[3, 3].tolist() == [255, 255, 255]
    assert np.asarray(open_image(Image.fromarray(np.eye(4) > 0)))[0, 0].tolist() == [255, 255, 255]  # 1 bit


@pytest.mark.parametrize("orientation, corner", [(1, (0, 0)), (3, (1, 1)), (6, (1, 0)), (8, (0, 1))])
def test_exif_rotation_is_applied(tmp_path, orientation, corner):
    """A red upper left corner must land where the camera's tag says."""
    pixels = np.full((20, 30, 3), 255, np.uint8)
    pixels[:5, :5] = [255, 0, 0]
    exif = Image.Exif()
    exif[0x0112] = orientation
    opened = open_image(save(Image.fromarray(pixels), tmp_path / "e.jpg", exif=exif, quality=98))
    assert opened.size == ((30, 20) if orientation in (1, 3) else (20, 30))
    right, lower = corner
    red = opened.getpixel((2 + right * (opened.width - 5), 2 + lower * (opened.height - 5)))
    assert red[0] > 220 and red[1] < 40


def test_an_animation_gives_its_first_frame_and_says_so(tmp_path):
    frames = [Image.new("RGB", (10, 10), colour) for colour in ("red", "blue", "lime")]
    path = save(frames[0], tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    with pytest.warns(ImageWarning, match="3 frames; the first one is used"):
        assert open_image(path).getpixel((5, 5)) == (255, 0, 0)


def broken_files(folder):
    """File -> what the message must say."""
    encoded = io.BytesIO()
    Image.fromarray(noise_image(200, 200)).save(encoded, "PNG")
    jpeg = io.BytesIO()
    Image.fromarray(noise_image(200, 200)).save(jpeg, "JPEG")
    contents = {
        "empty.png": (b"", "is empty"),
        "truncated.png": (encoded.getvalue()[:9000], "truncated"),
        "truncated.jpg": (jpeg.getvalue()[:5000], "truncated"),
        "header.png": (encoded.getvalue()[:20], "not a picture|truncated"),
        "text.jpg": (b"this is no picture", "not a picture"),
    }
    for name, (data, message) in contents.items():
        (folder / name).write_bytes(data)
        yield folder / name, message
    yield folder / "missing.jpg", "no such file"
    yield folder, "is a folder"


def test_broken_files_are_one_clear_line(tmp_path):
    for path, message in broken_files(tmp_path):
        with pytest.raises(ValueError, match=message) as caught:
            open_image(path)
        assert "\n" not in str(caught.value) and str(path) in str(caught.value)


@pytest.mark.parametrize("side", [11_000, 60_000])
def test_a_huge_picture_is_refused_before_it_is_decoded(tmp_path, side):
    """The header of a one-bit PNG of 11 000 squared (over our limit) or 60 000 squared (over Pillow's)."""
    path = tmp_path / "bomb.png"
    chunks = [
        (b"IHDR", struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)),
        (b"IDAT", zlib.compress(b"0")),
        (b"IEND", b""),
    ]
    encoded = [
        struct.pack(">I", len(d)) + kind + d + struct.pack(">I", zlib.crc32(kind + d)) for kind, d in chunks
    ]
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(encoded))
    with pytest.raises(
        ValueError, match="100,000,000"
    ):  # decoding would complain of the missing data instead
        open_image(path)


@pytest.mark.parametrize(
    "array, message",
    [
        (np.zeros((3, 20, 20), np.uint8), r"shape \(3, 20, 20\)"),
        (np.zeros((0, 20, 3), np.uint8), "no pixels"),
        (np.full((4, 4, 3), 1.5), "outside"),
        (np.full((4, 4, 3), np.nan), "outside"),
        (np.full((4, 4), -1), "outside"),
        (np.full((4, 4), 1j), "complex128"),
        (np.full((4, 4), 256), "type int64 has values from 256 to 256, outside 0 to 255 .* make it uint16"),
        (np.full((4, 4), -1, np.int8), "type int8 has values from -1"),
        (np.full((4, 4), 200, np.uint16), "no value above 200: there 65535 is white"),
        (np.full((4, 4), 200.0), "divide by 255"),
        (np.full((4, 4), "a"), "type <U1; expected bool, a whole number"),
        (np.full((4, 4), None), "type object"),
        (np.full((4, 4), 0, "M8[s]"), "type datetime64"),
    ],
)
def test_odd_arrays_are_refused(array, message):
    with pytest.raises(ValueError, match=message):
        open_image(array)


def test_other_types_are_refused():
    with pytest.raises(TypeError, match="a list; expected a path"):
        open_image([[1, 2], [3, 4]])


# --- What the encoder sees ----------------------------------------------------------------


@pytest.mark.parametrize("size", [(64, 64), (300, 200), (120, 400), (65, 64), (51, 77), (40, 30)])
@pytest.mark.parametrize("family", ["clip", "siglip"])
def test_the_box_is_what_the_encoder_sees(family, size):
    """On a picture whose colours are its coordinates, the edges of ``seen`` name the edges of ``box``."""
    picture = small_model(family).prepare_image(gradient(*size))
    left, upper, right, lower = picture.box
    width, height = size
    assert 0 <= left < right <= width + 1e-9 and 0 <= upper < lower <= height + 1e-9
    seen = np.asarray(picture.seen, float)
    # a pixel's colour is 255 * index / (width - 1), read one pixel inside to stay clear of edge effects
    x = (seen[32, [1, -2], 0] / 255 * (width - 1)) + 0.5
    y = (seen[[1, -2], 32, 1] / 255 * (height - 1)) + 0.5
    step_x, step_y = (right - left) / 64, (lower - upper) / 64
    np.testing.assert_allclose(x, [left + 1.5 * step_x, right - 1.5 * step_x], atol=max(0.02 * width, step_x))
    np.testing.assert_allclose(
        y, [upper + 1.5 * step_y, lower - 1.5 * step_y], atol=max(0.02 * height, step_y)
    )
    if family == "siglip":
        assert picture.box == (0, 0, width, height)
    else:
        assert (right - left) == pytest.approx(min(size), rel=0.03)
        assert (lower - upper) == pytest.approx(min(size), rel=0.03)


def odd_model(family, image_size, patch_size):
    """A model whose patches do not fill its picture."""
    network = stand_ins.clip_network if family == "clip" else stand_ins.siglip_network
    processor = stand_ins.clip_processor if family == "clip" else stand_ins.siglip_processor
    parts = network(image_size, patch_size), stand_ins.word_tokenizer(), processor(image_size)
    return VisionLanguageModel(*parts, "odd")


@pytest.mark.parametrize("family", ["clip", "siglip"])
@pytest.mark.parametrize(("image_size", "patch_size"), [(30, 8), (72, 16), (54, 14), (64, 16)])
def test_box_and_seen_are_what_patches_cover(family, image_size, patch_size):
    """What lies outside of the box changes no score, and a patch is where maps, frames and the explorer show it."""
    model = odd_model(family, image_size, patch_size)
    side = image_size // patch_size * patch_size
    original = noise_image(image_size, image_size)
    picture = model.prepare_image(original)
    assert picture.box == pytest.approx((0, 0, side, side))
    np.testing.assert_array_equal(np.asarray(picture.seen), original[:side, :side])
    assert model.covered == side / image_size
    outside = original.copy()
    outside[side:], outside[:, side:] = 0, 255
    score = model.score(original, "a red dog")
    assert model.score(outside, "a red dog") == pytest.approx(score, abs=1e-6)
    outside[side - 1, side - 1] = 255 - outside[side - 1, side - 1]
    assert model.score(outside, "a red dog") != pytest.approx(score, abs=1e-9)

    labels = np.arange(side**2).reshape(side, side) // (
        side * patch_size
    )  # a label per pixel of ``seen``: bands
    game = VisionLanguageGame(model, picture, "a red dog", image_players=labels, progress=False)
    assert game.n_image == model.grid[0]
    game = VisionLanguageGame(model, picture, "a red dog", progress=False)
    painted = np.asarray(game.removal.show(np.arange(game.n_image) != game.n_image - 1))
    differs = (painted != original[:side, :side]).any(axis=2)
    assert differs[-patch_size:, -patch_size:].mean() > 0.9 and not differs[:-patch_size].any()

    n = game.n_players
    explanation = Explanation(0.0, None, np.ones(n), np.zeros((n, n)), "FWBII", 0.5, game.players, game.n_image,
                              game.n_text, game.meta)  # fmt: skip
    (heat_map,) = plots.heat(explanation, picture).get_images()[1:]
    assert heat_map.get_extent() == pytest.approx((0, side, side, 0))
    shown = re.search(r'"box":\[([^]]*)\]', widgets.explorer_page(explanation, picture))[1]
    np.testing.assert_allclose(
        [float(number) for number in shown.split(",")], (0, 0, *[side / image_size] * 2), atol=0.01
    )
    plots.plt.close("all")


def test_the_box_of_a_large_photograph_in_patches_of_14():
    """384 pixels hold 27 patches of 14, as in so400m-patch14-384: 378 pixels, so 98.4 % of each side."""
    model = odd_model("siglip", 384, 14)
    picture = model.prepare_image(Image.new("RGB", (1920, 1200)))
    assert model.grid == (27, 27) and picture.seen.size == (378, 378)
    assert picture.box == pytest.approx((0, 0, 1890, 1181.25))
    assert model.prepare_image(Image.new("RGB", (384, 384))).box == (0, 0, 378, 378)


def test_seen_is_the_pixels_and_the_original_is_kept(model):
    original = Image.fromarray(noise_image(64, 64))
    picture = model.prepare_image(original)
    assert picture.pixels.shape == (3, 64, 64) and picture.pixels.dtype == torch.float32
    # nothing to resize: the encoder sees exactly the file
    np.testing.assert_array_equal(np.asarray(picture.seen), np.asarray(original))
    np.testing.assert_array_equal(np.asarray(picture.original), np.asarray(original))
    assert picture.seen.size == (64, 64) and picture.box == (0, 0, 64, 64)
    mean, std = np.array(model.image_processor.image_mean), np.array(model.image_processor.image_std)
    by_hand = (noise_image(64, 64) / 255 - mean) / std
    np.testing.assert_allclose(picture.pixels.permute(1, 2, 0).numpy(), by_hand, atol=1e-5)


def test_a_picture_too_long_for_any_encoder_is_refused(model):
    with pytest.raises(ValueError, match="3000 × 2 pixels"):
        model.prepare_image(noise_image(3000, 2))


def test_a_processor_of_another_size_is_refused():
    mismatched = VisionLanguageModel(
        stand_ins.clip_network(), stand_ins.word_tokenizer(), stand_ins.clip_processor(96), "mismatched"
    )
    with pytest.raises(ValueError, match=r"preprocessor_config\.json"):
        mismatched.prepare_image(noise_image())


# --- Captions -----------------------------------------------------------------------------


def test_players_are_the_caption_without_special_tokens(model):
    caption = model.tokenize(CAPTION)
    pieces = CAPTION.split() if model.vocabulary is not None else PIECES
    assert caption.names == pieces and len(caption.players) == len(pieces)
    ids = caption.input_ids[0].tolist()
    tokens = model.tokenizer.convert_ids_to_tokens([ids[i] for i in caption.players])
    assert [t.replace("</w>", "").replace("▁", "") for t in tokens] == pieces
    assert caption.attention_mask.shape == caption.input_ids.shape and (caption.attention_mask == 1).all()
    words = [("hydrant", (6, 7)) if "ant" in pieces else ("hydrant", (6,))]
    assert caption.words == [(word, (i,)) for i, word in enumerate(CAPTION.split()[:6])] + words


def test_clip_frames_with_bos_and_eos():
    clip = small_model("clip")
    ids = clip.tokenize(CAPTION).input_ids[0].tolist()
    assert ids[0] == 49406 and ids[-1] == 49407 and len(ids) == len(PIECES) + 2
    assert clip.tokenize(CAPTION).players == tuple(range(1, 9))


@pytest.mark.parametrize("family, eos, padding", [("siglip", 1, 1), ("siglip2", 1, 0)])
def test_siglip_frames_with_one_eos_and_padding_to_64(family, eos, padding):
    caption = small_model(family).tokenize(CAPTION)
    ids = caption.input_ids[0].tolist()
    assert len(ids) == 64 and caption.players == tuple(range(8))
    assert ids[8] == eos and ids[9:] == [padding] * 55
    assert 2 not in ids[:9]  # neither an unknown token nor Gemma's BOS


def test_siglip2_reads_lower_case():
    siglip2 = small_model("siglip2")
    upper, lower = siglip2.tokenize(CAPTION.upper()), siglip2.tokenize(CAPTION)
    assert torch.equal(upper.input_ids, lower.input_ids) and upper.names == PIECES
    assert upper.text == CAPTION.upper()


def test_an_embedded_siglip_pads_to_its_own_length():
    ids = small_model("mini-siglip").tokenize("a red dog").input_ids[0].tolist()
    assert len(ids) == 16 and ids[0] == 3 and ids[4] == 4 and ids[5:] == [0] * 11


def test_words_of_each_kind_of_tokenizer():
    names, words = models.name_players(["hydr", "ant</w>", "a</w>", "ant</w>"])
    assert names == ["hydr", "ant", "a", "ant"]
    assert words == [("hydrant", (0, 1)), ("a", (2,)), ("ant", (3,))]
    names, words = models.name_players(["hydr", "ant", "▁", "a", "▁dog"])
    assert names == ["hydr", "ant", "▁", "a", "dog"]
    assert words == [("hydrant", (0, 1)), ("a", (2, 3)), ("dog", (4,))]
    assert models.name_players(["red", "dog"])[1] == [("red", (0,)), ("dog", (1,))]


@pytest.mark.parametrize("caption", ["", "   ", "\n\t"])
def test_an_empty_caption_is_refused(model, caption):
    with pytest.raises(ValueError, match="caption is empty"):
        model.tokenize(caption)


def test_an_overlong_caption_names_the_limit_and_the_length(model):
    longest = model.max_players
    assert longest == {16: 14, 64: 63}[model.context]
    assert len(model.tokenize("a " * longest).players) == longest
    with pytest.raises(ValueError, match=rf"has {longest + 1} tokens; .* at most {longest}\b"):
        model.tokenize("a " * (longest + 1))


@pytest.mark.parametrize("caption", ["чёрная собака", "黒い犬", "كلب أسود"])
def test_a_script_that_the_encoder_cannot_read_is_refused(model, caption):
    if model.family == "siglip2":  # multilingual: spelt in bytes by this small vocabulary, but read
        assert len(model.tokenize(caption).players) > 2
    else:
        with pytest.raises(ValueError, match=r"script|does not know"):
            model.tokenize(caption)


def test_latin_letters_with_accents_are_read_by_clip():
    assert len(small_model("clip").tokenize("a café").players) >= 2


@pytest.mark.parametrize(
    "family, token", [("clip", "<|endoftext|>"), ("siglip", "</s>"), ("siglip2", "<eos>")]
)
def test_a_special_token_in_the_caption_is_refused(family, token):
    with pytest.raises(ValueError, match="special token"):
        small_model(family).tokenize(f"black dog {token} next")


def test_a_caption_must_be_a_string(model):
    with pytest.raises(TypeError, match="a list"):
        model.tokenize(["black", "dog"])


def test_unknown_words_are_named_with_their_neighbours():
    mini = small_model("mini-clip")
    assert mini.unknown_words("a blak dog and a xylophone") == {"blak": ["black", "blue"], "xylophone": []}
    assert mini.unknown_words("Black dog, next to: grass!") == {}
    with pytest.raises(ValueError, match=r"does not know: 'blak' \(nearest: black, blue\); 'xylophone'"):
        mini.tokenize("a blak dog and a xylophone")
    assert mini.tokenize("Black dog, next to: grass!").names == ["black", "dog", "next", "to", "grass"]
    assert small_model("clip").unknown_words("a blak xylophone") == {}


def test_a_real_siglip_tokenizer_with_a_small_vocabulary(tmp_path):
    """The class that SigLIP's hub folders name, with a sentencepiece model trained here."""
    sentencepiece = pytest.importorskip("sentencepiece", reason="SigLIP's own tokenizer needs sentencepiece")
    pytest.importorskip("google.protobuf", reason="SigLIP's own tokenizer needs protobuf")
    from transformers import SiglipTokenizer

    corpus = [CAPTION, "a yellow cat next to a black dog", "hydrant", "to a dog"] * 20
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(corpus), model_prefix=str(tmp_path / "spiece"), vocab_size=45,
        hard_vocab_limit=False, pad_id=0, eos_id=1, unk_id=2, bos_id=-1, minloglevel=2,
    )  # fmt: skip
    tokenizer = SiglipTokenizer(str(tmp_path / "spiece.model"))
    network = stand_ins.siglip_network(max_position_embeddings=64)
    saved = VisionLanguageModel(network, tokenizer, stand_ins.siglip_processor(), "saved")
    for part in (saved.network, saved.tokenizer, saved.image_processor):
        part.save_pretrained(tmp_path / "folder")
    loaded = load_model(tmp_path / "folder")
    assert type(loaded.tokenizer).__name__ == "SiglipTokenizer" and loaded.family == "siglip"
    caption = loaded.tokenize("Black dog, next to a yellow hydrant!")  # it drops case and punctuation itself
    ids = caption.input_ids[0].tolist()
    n = len(caption.players)
    assert caption.players == tuple(range(n)) and ids[n:] == [1] * (64 - n) and 1 not in ids[:n]
    assert [word for word, _ in caption.words] == CAPTION.split()
    assert sorted(i for _, group in caption.words for i in group) == list(range(n))


# --- Encoders and scores ------------------------------------------------------------------


def attend(layer, hidden, visible):
    """One pre-norm transformer layer written out; ``visible[i, j]`` says whether position i may look at j."""
    x = layer.layer_norm1(hidden)
    attention = layer.self_attn
    heads = attention.num_heads
    q, k, v = (
        proj(x).reshape(len(x), heads, -1).transpose(0, 1)
        for proj in (attention.q_proj, attention.k_proj, attention.v_proj)
    )
    logits = q @ k.transpose(1, 2) / q.shape[-1] ** 0.5
    weights = logits.masked_fill(~visible, -torch.inf).softmax(-1)
    hidden = hidden + attention.out_proj((weights @ v).transpose(0, 1).reshape(len(x), -1))
    return hidden + layer.mlp(layer.layer_norm2(hidden))


def text_embedding_by_hand(model, caption, hidden_players):
    """The text tower written out, with some players invisible as keys and everything else as trained."""
    text = model.network.text_model
    length = caption.input_ids.shape[1]
    visible = torch.ones(length, length, dtype=torch.bool)
    visible[:, [caption.players[i] for i in hidden_players]] = False
    if model.family == "clip":
        visible &= torch.ones(length, length).tril().bool()
    hidden = text.embeddings.token_embedding.weight[caption.input_ids[0]]
    hidden = hidden + text.embeddings.position_embedding.weight[:length]
    for layer in text.encoder.layers:
        hidden = attend(layer, hidden, visible)
    hidden = text.final_layer_norm(hidden)
    if model.family == "clip":
        eos = caption.players[-1] + 1  # the position after the last player
        pooled = model.network.text_projection(hidden[eos])
    else:
        pooled = text.head(hidden[-1])
    return pooled / pooled.norm()


@pytest.mark.parametrize("hidden_players", [[], [0], [6], [2, 3, 5], list(range(7))])
def test_hidden_tokens_keep_their_place_and_text_is_read_where_it_should(model, hidden_players):
    """The reference covers three traps at once: EOS pooling, visible padding, unshifted positions."""
    caption = model.tokenize(CAPTION)
    mask = caption.attention_mask.clone()
    mask[0, [caption.players[i] for i in hidden_players]] = 0
    ours = model.embed_tokens(caption.input_ids, mask)[0]
    torch.testing.assert_close(
        ours, text_embedding_by_hand(model, caption, hidden_players), atol=1e-5, rtol=0
    )


def test_a_hidden_token_has_no_influence_left(model):
    """Whatever word was there: the embedding without it is the same (its position stays)."""
    one, other = (model.tokenize(f"black dog {word} a yellow hydrant") for word in ("next", "to"))
    mask = one.attention_mask.clone()
    mask[0, one.players[2]] = 0
    same = model.embed_tokens(one.input_ids, mask), model.embed_tokens(other.input_ids, mask)
    torch.testing.assert_close(*same, atol=1e-6, rtol=0)
    full = model.embed_tokens(one.input_ids, one.attention_mask)
    assert (full - model.embed_tokens(other.input_ids, other.attention_mask)).abs().max() > 1e-3


def test_padding_is_visible_to_siglip():
    siglip = small_model("siglip")
    caption = siglip.tokenize(CAPTION)
    hidden_padding = caption.attention_mask.clone()
    hidden_padding[0, 9:] = 0
    ours = siglip.embed_tokens(caption.input_ids, caption.attention_mask)
    own = siglip.network.get_text_features(
        input_ids=caption.input_ids
    ).pooler_output  # no mask: as it was trained
    torch.testing.assert_close(ours, own / own.norm(), atol=1e-6, rtol=0)
    assert (siglip.embed_tokens(caption.input_ids, hidden_padding) - ours).abs().max() > 1e-3


def test_score_is_the_networks_own_logit(model):
    for seed in range(3):
        picture = model.prepare_image(noise_image(90, 70, seed=seed))
        caption = model.tokenize(CAPTION)
        own = model.network(input_ids=caption.input_ids, pixel_values=picture.pixels[None]).logits_per_image
        assert model.score(noise_image(90, 70, seed=seed), CAPTION) == pytest.approx(float(own), abs=2e-4)
        assert model.score(picture, caption) == model.score(noise_image(90, 70, seed=seed), CAPTION)


def test_embeddings_have_unit_norm_and_batches_do_not_mix(model):
    pixels = torch.stack([model.prepare_image(noise_image(seed=s)).pixels for s in range(3)])
    together = model.embed_pixels(pixels)
    torch.testing.assert_close(together.norm(dim=1), torch.ones(3))
    one_by_one = torch.cat([model.embed_pixels(p[None]) for p in pixels])
    torch.testing.assert_close(together, one_by_one, atol=1e-6, rtol=0)


def test_the_image_encoder_in_two_halves_is_the_image_encoder(model):
    pixels = torch.stack([model.prepare_image(noise_image(seed=s)).pixels for s in range(2)])
    tokens = model.patch_tokens(pixels)
    assert tokens.shape == (2, model.n_patches + (model.family == "clip"), 32)
    torch.testing.assert_close(
        model.embed_patch_tokens(tokens), model.embed_pixels(pixels), atol=1e-6, rtol=0
    )


def test_patches_are_numbered_row_by_row():
    """A change of pixels in patch 6 of a 4 × 4 grid (row 1, column 2) moves only that patch's token."""
    clip = small_model("clip")
    pixels = clip.prepare_image(noise_image()).pixels[None]
    changed = pixels.clone()
    changed[:, :, 16:32, 32:48] += 1
    moved = (clip.patch_tokens(changed) - clip.patch_tokens(pixels)).abs().amax(dim=(0, 2)) > 1e-6
    assert moved.nonzero().flatten().tolist() == [6 + 1]  # after CLS


def test_gradients_reach_activations_but_not_weights():
    clip = small_model("clip")
    pixels = clip.prepare_image(noise_image()).pixels[None].requires_grad_()
    clip.embed_pixels(pixels).sum().backward()
    assert pixels.grad.abs().max() > 0
    assert all(p.grad is None and not p.requires_grad for p in clip.network.parameters())


@pytest.mark.parametrize(
    "eos_id, configured, right", [(4, 4, True), (2, 2, False), (4, 5, False), (4, 2, False), (60, 2, True)]
)
def test_text_that_would_not_be_read_at_eos_is_refused(eos_id, configured, right):
    """With eos_token_id == 2 transformers reads the largest id: right for OpenAI's ids, not for most."""
    network = stand_ins.clip_network(eos_token_id=configured)
    parts = network, stand_ins.word_tokenizer(eos_id), stand_ins.clip_processor()
    if right:
        built = VisionLanguageModel(*parts)
        caption = built.tokenize(CAPTION)
        expected = text_embedding_by_hand(built, caption, [])
        ours = built.embed_tokens(caption.input_ids, caption.attention_mask)[0]
        torch.testing.assert_close(ours, expected, atol=1e-5, rtol=0)
    else:
        with pytest.raises(ValueError, match="not at EOS"):
            VisionLanguageModel(*parts)


# --- Loading ------------------------------------------------------------------------------


@pytest.mark.parametrize("family", FAMILIES)
def test_a_saved_folder_loads_and_scores_the_same(folders, family):
    loaded, made = load_model(folders / family), small_model(family)
    assert loaded.name == family if family in ("mini-clip", "mini-siglip") else loaded.name
    assert (loaded.family, loaded.grid, loaded.n_patches) == (made.family, (4, 4), 16)
    assert (loaded.image_size, loaded.patch_size) == (64, 16)
    assert loaded.n_parameters == sum(p.numel() for p in made.network.parameters())
    assert loaded.score(noise_image(80, 70), CAPTION) == pytest.approx(
        made.score(noise_image(80, 70), CAPTION), abs=1e-5
    )


def test_pictures_are_prepared_by_pillow_whether_or_not_torchvision_is_there(folders, monkeypatch):
    from transformers.models.auto import image_processing_auto

    assert load_model(folders / "clip").image_processor.backend == "pil"
    monkeypatch.setattr(image_processing_auto, "is_torchvision_available", lambda: True)
    assert load_model(folders / "clip").image_processor.backend == "pil"


def test_dtype_and_device(folders):
    double = load_model(folders / "clip", dtype="float64", device="cpu")
    assert double.dtype == torch.float64 and double.device == torch.device("cpu")
    picture = double.prepare_image(noise_image())
    assert picture.pixels.dtype == torch.float64
    assert double.embed_pixels(picture.pixels[None]).dtype == torch.float64
    half = load_model(folders / "siglip", dtype=torch.bfloat16)
    embedding = half.embed_pixels(half.prepare_image(noise_image()).pixels[None])
    assert embedding.dtype == torch.float32 and float(embedding.norm()) == pytest.approx(1, abs=1e-6)
    single = load_model(folders / "siglip")
    assert half.score(noise_image(), CAPTION) == pytest.approx(single.score(noise_image(), CAPTION), abs=5)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
@pytest.mark.parametrize("family", ["clip", "siglip"])
def test_reduced_precision_on_every_path(folders, family, dtype):
    """Pixels, dropped tokens and text: close to float32, of unit norm, and the logit's scale not rounded."""
    single, half = load_model(folders / family), load_model(folders / family, dtype=dtype)
    assert half.dtype == getattr(torch, dtype) and (half.scale, half.bias) == (single.scale, single.bias)
    for removal in ("mean", "constant", "blur", "drop"):
        exact, reduced = (
            VisionLanguageGame(m, noise_image(), CAPTION, removal=removal) for m in (single, half)
        )
        rows = np.random.default_rng(0).random((8, exact.n_players)) < 0.5
        for encode, part in (("encode_images", rows[:, :16]), ("encode_texts", rows[:, 16:])):
            embeddings = getattr(reduced, encode)(part)
            assert embeddings.dtype == np.float32
            np.testing.assert_allclose(np.linalg.norm(embeddings, axis=1), 1, atol=1e-6)
        report = precision_report(reduced, exact, rows)
        limit = {"float16": 0.005, "bfloat16": 0.04}[dtype]
        assert 0 < report["image"] < limit and 0 < report["text"] < limit


def test_attention_is_fused(folders):
    for family in ("clip", "siglip"):
        network = load_model(folders / family).network
        for tower in (network.vision_model, network.text_model):
            assert tower.config._attn_implementation == "sdpa"


def test_compiled_encoders_give_the_same_embeddings(folders, monkeypatch):
    """Traced for real, run by torch's own kernels: what the C++ compiler makes of it is torch's affair."""
    compiled, compile_module = [], torch.nn.Module.compile

    def traced(module, **options):
        compiled.append(type(module).__name__)
        compile_module(module, backend="eager", **options)

    monkeypatch.setattr(torch.nn.Module, "compile", traced)
    for family in ("clip", "siglip"):
        fast, plain = load_model(folders / family, compile=True), load_model(folders / family)
        for removal in ("mean", "drop"):
            games = [VisionLanguageGame(m, noise_image(), CAPTION, removal=removal) for m in (fast, plain)]
            rows = np.random.default_rng(0).random((6, games[0].n_players)) < 0.5
            np.testing.assert_allclose(games[0](rows), games[1](rows), atol=1e-4 * plain.scale)
        assert fast.fingerprint() == plain.fingerprint()
    assert compiled == ["CLIPEncoder"] * 2 + ["SiglipEncoder"] * 2


@pytest.mark.slow
def test_compiled_for_real():
    fast, plain = load_model("mini-clip", compile=True), load_model("mini-clip")
    games = [VisionLanguageGame(m, noise_image(), "a red dog") for m in (fast, plain)]
    rows = np.random.default_rng(0).random((70, games[0].n_players)) < 0.5
    np.testing.assert_allclose(games[0](rows), games[1](rows), atol=1e-4 * plain.scale)


@pytest.mark.parametrize("whole", [10_000_000, 1000], ids=["small", "large"])
def test_a_fingerprint_is_of_every_weight(monkeypatch, whole):
    """Of a large network too, where a sample tells whether it was touched: one number of 1.6 million is enough."""
    monkeypatch.setattr(models, "WHOLE_FINGERPRINT", whole)
    monkeypatch.setattr(models, "SAMPLE", 50)
    model = small_model("clip")
    made = model.fingerprint()
    assert made == small_model("clip").fingerprint() == model.fingerprint() and len(made) == 16
    for parameter in (model.network.logit_scale, model.network.text_model.embeddings.token_embedding.weight):
        with torch.no_grad():
            parameter.view(-1)[-1] += 1e-3
        assert model.fingerprint() != made
        made = model.fingerprint()
    model.network.visual_projection.weight.data.mul_(1.0001)  # past the counter of changes
    assert model.fingerprint() != made
    made = model.fingerprint()
    model.network.to(memory_format=torch.channels_last)
    assert model.fingerprint() == made
    assert fingerprint(model.network) == fingerprint(model.network.to(memory_format=torch.contiguous_format))


def edited(folder, file, **entries):
    """The folder with some entries of one JSON file changed, at any depth where they stand."""

    def change(part):
        if isinstance(part, dict):
            return {key: entries[key] if key in entries else change(value) for key, value in part.items()}
        return [change(value) for value in part] if isinstance(part, list) else part

    path = folder / file
    path.write_text(json.dumps(change(json.loads(path.read_text(encoding="utf-8")))), encoding="utf-8")


SETTINGS = {
    "heads": ("config.json", {"num_attention_heads": 2}),
    "activation": ("config.json", {"hidden_act": "relu"}),
    "layers' epsilon": ("config.json", {"layer_norm_eps": 0.1}),
    "normalisation": ("preprocessor_config.json", {"image_mean": [0.1, 0.5, 0.5]}),
    "cropping": ("preprocessor_config.json", {"do_center_crop": False}),
    "filter": ("preprocessor_config.json", {"resample": 0}),
    "vocabulary": ("tokenizer.json", {"a": 1, "b": 0}),
    "type": ("", {}),
}


@pytest.mark.parametrize("what", SETTINGS)
def test_a_model_is_its_weights_and_the_settings_that_matter(folders, tmp_path, what):
    file, entries = SETTINGS[what]
    folder = tmp_path / "copied under another name"
    shutil.copytree(folders / "clip", folder)
    original, copied = load_model(folders / "clip"), load_model(folder)
    assert original.fingerprint() == copied.fingerprint() and original.name != copied.name
    if file:
        edited(folder, file, **entries)
    other = load_model(folder, dtype="float64" if what == "type" else None)
    assert other.fingerprint() != original.fingerprint()


def test_what_one_model_prepared_another_refuses():
    """Wherever a picture or a caption is taken; by content: a model that prepares in the same way takes it."""
    clip, siglip, again = small_model("clip"), small_model("siglip"), small_model("clip")
    picture, caption = clip.prepare_image(noise_image()), clip.tokenize(CAPTION)
    assert again.score(picture, caption) == clip.score(noise_image(), CAPTION)
    assert again.score(*pickle.loads(pickle.dumps((picture, caption)))) == clip.score(noise_image(), CAPTION)
    by_hand = [replace(part, prepared_by=None) for part in (picture, caption)]
    assert again.score(*by_hand) == clip.score(noise_image(), CAPTION)
    takers = [
        siglip.score,
        lambda *pair: VisionLanguageGame(siglip, *pair),
        lambda *pair: towers.open_towers(siglip, *pair),
        lambda *pair: baselines.exclip(siglip, *pair),
        lambda *pair: baselines.game_relevance(siglip, *pair),
        lambda *pair: explain_matrix(siglip, [pair[0]], [pair[1]]),
        lambda image, text: explain_matrix(siglip, [noise_image(), image], [text]),
    ]
    for take in takers:
        with pytest.raises(
            ValueError, match=r"picture was prepared by 'small-clip'.* give picture\.original"
        ):
            take(picture, CAPTION)
        with pytest.raises(ValueError, match=r"caption was prepared by 'small-clip'.* give caption\.text"):
            take(noise_image(), caption)
    with pytest.raises(ValueError, match="picture was prepared"):
        baselines.exclip_image_part(siglip, picture)
    double = small_model("clip")
    double.network.double()
    with pytest.raises(ValueError, match="picture was prepared"):
        double.score(picture, CAPTION)  # rounded to fewer digits than it reads


@pytest.mark.parametrize("device", ["gpu", "cuda:99", "meta:x", "mps:7"])
def test_a_device_that_is_not_there_is_one_line(folders, device):
    with pytest.raises(ValueError, match="is not available") as caught:
        load_model(folders / "clip", device=device)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("dtype", ["float31", "int64", torch.int8])
def test_a_dtype_that_is_none_is_one_line(folders, dtype):
    with pytest.raises(ValueError, match="expected 'float32'"):
        load_model(folders / "clip", dtype=dtype)


@pytest.mark.parametrize(
    "arguments", [{"devices": []}, {"devices": "cpu"}, {"devices": ["cpu"], "device": "cpu"}]
)
def test_devices_are_a_list_and_no_device_besides(folders, arguments):
    with pytest.raises(ValueError, match=r"devices is .*at least one device"):
        load_model(folders / "clip", **arguments)
    with pytest.raises(ValueError, match="'abacus' is not available"):
        load_model(folders / "clip", devices=["cpu", "abacus"])


def test_environment_variables_choose_model_and_device(folders, monkeypatch):
    monkeypatch.setenv("FIXLIP_MODEL", str(folders / "siglip2"))
    assert load_model().family == "siglip2"
    assert load_model(folders / "clip").family == "clip"
    monkeypatch.setenv("FIXLIP_DEVICE", "cuda:99")
    with pytest.raises(ValueError, match="cuda:99"):
        load_model()


def one_line_error(name) -> str:
    with pytest.raises(ValueError) as caught:
        load_model(name)
    assert (
        caught.value.__cause__ is None and caught.value.__suppress_context__
    ) or caught.value.__context__ is None
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("name", ["mini-klip", "./nowhere/at-all", "a/b/c", "two words", "/"])
def test_unknown_names_list_the_embedded_models(name):
    message = one_line_error(name)
    assert "mini-clip" in message or "cannot be loaded" in message


def test_incomplete_and_foreign_folders(folders, tmp_path):
    assert "cannot be loaded" in one_line_error(tmp_path)  # empty
    config = json.loads((folders / "clip" / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config))
    assert "cannot be loaded" in one_line_error(tmp_path)  # no weights
    (tmp_path / "config.json").write_text('{"model_type": "bert"}')
    assert "expected CLIP, SigLIP or SigLIP 2" in one_line_error(tmp_path)
    (tmp_path / "config.json").write_text('{"model_type": "siglip2"}')
    assert "NaFlex" in one_line_error(tmp_path)
    (tmp_path / "config.json").write_text("{")
    assert "cannot be loaded" in one_line_error(tmp_path)


def test_missing_weights_are_an_error_not_random_numbers(folders, tmp_path):
    from safetensors.torch import load_file, save_file

    for file in (folders / "mini-clip").iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    weights = load_file(tmp_path / "model.safetensors")
    del weights["visual_projection.weight"]
    save_file(weights, tmp_path / "model.safetensors", metadata={"format": "pt"})
    assert "lack 1 tensors, such as visual_projection.weight" in one_line_error(tmp_path)


def test_a_broken_weight_file_is_one_line(folders, tmp_path):
    for file in (folders / "mini-clip").iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes()[:200_000])
    (tmp_path / "model.safetensors").write_bytes(b"not safetensors")
    assert "cannot be loaded" in one_line_error(tmp_path)


@pytest.mark.parametrize("family", ["clip", "siglip2", "siglip", "mini-clip"])
@pytest.mark.parametrize("gone", [("tokenizer.json",), ("tokenizer.json", "tokenizer_config.json")])
def test_a_folder_without_tokenizer_files_does_not_load(folders, tmp_path, family, gone):
    """transformers makes an empty tokenizer of some; the caption would be blamed for it later."""
    shutil.copytree(folders / family, tmp_path / "copy")
    for name in gone:
        (tmp_path / "copy" / name).unlink()
    with pytest.raises(
        ValueError, match=r"model 'copy' cannot be loaded: .*download the folder again"
    ) as caught:
        load_model(tmp_path / "copy")
    if family == "clip":
        assert (
            "its tokenizer knows no word, as its files are missing (merges.txt or tokenizer.json or vocab.json)"
            in str(caught.value)
        )


def test_a_folder_with_half_of_clips_older_tokenizer_files_does_not_load(folders, tmp_path):
    """The release of 2021 has vocab.json and merges.txt; with both it loads, and reads as the newer one does."""
    shutil.copytree(folders / "clip", tmp_path / "copy")
    stored = json.loads((tmp_path / "copy" / "tokenizer.json").read_text(encoding="utf-8"))["model"]
    (tmp_path / "copy" / "tokenizer.json").unlink()
    (tmp_path / "copy" / "vocab.json").write_text(json.dumps(stored["vocab"]), encoding="utf-8")
    with pytest.raises(ValueError, match="cannot be loaded"):
        load_model(tmp_path / "copy")
    merges = "\n".join(["#version: 0.2", *(" ".join(pair) for pair in stored["merges"])])
    (tmp_path / "copy" / "merges.txt").write_text(merges, encoding="utf-8")
    assert load_model(tmp_path / "copy").tokenize(CAPTION).names == PIECES


def test_a_token_that_the_text_encoder_lacks_is_named():
    model = small_model("clip")
    model.tokenizer.add_tokens(["<hydrant>"])
    with pytest.raises(
        ValueError, match=r"token '<hydrant>' with id 49408; .* knows 49408 ids: was it added without"
    ):
        model.tokenize("a <hydrant>")


def test_a_missing_package_is_named(folders):
    """SigLIP's folder names a tokenizer class that transformers only has where sentencepiece is installed."""
    settings = folders / "siglip" / "tokenizer_config.json"
    written = settings.read_text()
    code = (
        "import importlib.util, sys\n"
        "find = importlib.util.find_spec\n"
        "importlib.util.find_spec = lambda name, *a: None if name == 'sentencepiece' else find(name, *a)\n"
        "sys.modules['sentencepiece'] = None\n"
        "from fixlip_helpers.models import load_model\n"
        "try:\n"
        f"    load_model({str(folders / 'siglip')!r})\n"
        "except ValueError as error:\n"
        "    print(error)"
    )
    settings.write_text(json.dumps(json.loads(written) | {"tokenizer_class": "SiglipTokenizer"}))
    try:
        assert run_python(code).endswith("not installed: pip install sentencepiece")
    finally:
        settings.write_text(written)


def test_loading_is_silent(folders, capfd):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        load_model(folders / "mini-clip")
    out, err = capfd.readouterr()
    assert out == "" and err == ""


def run_python(code: str, **environment: str) -> str:
    """What a fresh interpreter prints; it must succeed and print nothing to standard error."""
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": REPOSITORY, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    return done.stdout.strip()


LOAD_REAL_CLIP = """
from fixlip_helpers.models import load_model
try:
    load_model("openai/clip-vit-base-patch32")
except ValueError as error:
    print(error)
"""


@pytest.mark.parametrize(
    ("environment", "reason"),
    [
        ({"HF_ENDPOINT": "http://127.0.0.1:9", "HF_HUB_OFFLINE": "0"}, "the hub cannot be reached ("),
        ({"HF_HUB_OFFLINE": "1"}, "HF_HUB_OFFLINE keeps the hub switched off: unset it"),
    ],
)
def test_offline_is_one_line_naming_the_embedded_models(tmp_path, environment, reason):
    """Port 9 refuses connections, as a machine without network does. Retries would be told on standard error."""
    (message,) = run_python(LOAD_REAL_CLIP, HF_HOME=str(tmp_path), **environment).splitlines()
    assert reason in message and "mini-clip, mini-siglip" in message


def answer(status: int):
    """The hub's answer with a status, as its client holds it."""
    return SimpleNamespace(status_code=status, headers={}, request=None, json=dict, text="", url="")


def hub_error(kind: str, status: int = 404):
    error = getattr(errors, kind).__new__(getattr(errors, kind))
    error.response = answer(status)
    Exception.__init__(error, "said by the hub")
    return error


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (errors.OfflineModeIsEnabled("offline"), "keeps the hub switched off"),
        (
            ImportError("Using SOCKS proxy, but the 'socksio' package is not installed."),
            "a SOCKS proxy is set .* pip install socksio",
        ),
        (ValueError("Missing dependencies for SOCKS support."), "pip install pysocks"),
        (hub_error("RepositoryNotFoundError"), "the hub has no public model of that name"),
        (hub_error("GatedRepoError", 403), "accepted its terms"),
        (errors.HFValidationError("-- is forbidden"), "no name that the hub allows .-- is forbidden"),
        (hub_error("HfHubHTTPError", 401), "status 401: the token is not valid"),
        (hub_error("HfHubHTTPError", 429), "status 429: too many requests"),
        (hub_error("HfHubHTTPError", 503), "status 503: try again later"),
        (TimeoutError("timed out"), r"the hub cannot be reached \(timed out\)"),
        (ConnectionError(), r"the hub cannot be reached \(ConnectionError\)"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
def test_what_kept_the_hub_from_answering_is_said(monkeypatch, tmp_path, error, reason):
    def model_info(*_given, **_named):
        raise error

    monkeypatch.setattr(huggingface_hub.HfApi, "model_info", model_info)
    with pytest.raises(ValueError, match=reason) as caught:
        load_model("openai/clip-vit-base-patch23")
    message = str(caught.value)
    assert "\n" not in message and "did you mean 'openai/clip-vit-base-patch32'?" in message
    assert "is no folder here and not in the local cache" in message
    if "cannot be reached" not in reason:
        assert "cannot be reached" not in message


def test_folders_and_cached_hub_models_never_touch_the_network(folders, tmp_path):
    """The cache's layout: refs/main names a snapshot, which holds the files. Any connection is fatal."""
    repository = tmp_path / "hub" / "models--openai--clip-vit-base-patch32"
    snapshot = repository / "snapshots" / ("0" * 40)
    snapshot.mkdir(parents=True)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text("0" * 40)
    for file in (folders / "clip").iterdir():
        (snapshot / file.name).write_bytes(file.read_bytes())
    code = (
        "import os, socket\n"
        "def network(*to, **options): print('network!', to, flush=True); os._exit(1)\n"
        "socket.getaddrinfo = socket.socket.connect = network\n"
        "from fixlip_helpers.models import load_model\n"
        f"load_model({str(folders / 'siglip')!r})\n"
        "model = load_model('openai/clip-vit-base-patch32')\n"
        "print(model.name, model.family, model.embedded)"
    )
    assert run_python(code, HF_HOME=str(tmp_path)).split() == [
        "openai/clip-vit-base-patch32",
        "clip",
        "False",
    ]


def test_importing_models_does_not_import_torch():
    code = "import sys; from fixlip_helpers import games, masking, models; print('torch' in sys.modules)"
    assert run_python(code) == "False"


def test_available_models():
    listed = {model.name: model for model in available_models()}
    assert listed["openai/clip-vit-base-patch32"].grid == (7, 7)
    assert listed["openai/clip-vit-base-patch16"].grid == (14, 14)
    assert listed["google/siglip2-base-patch32-256"].grid == (8, 8)
    assert listed["google/siglip2-large-patch16-256"].grid == (16, 16)
    assert [m for m in listed.values() if m.embedded] == available_models()[
        : len(listed) - len(models.HUB_MODELS)
    ]
    for name in models.EMBEDDED:
        if name in listed:
            info, loaded = listed[name], load_model(name)
            assert (info.grid, info.image_size, info.family) == (
                loaded.grid,
                loaded.image_size,
                loaded.family,
            )
            assert 0 < info.megabytes <= 8 and "no photographs" in info.sees and loaded.embedded


def installed(name: str) -> bool:
    return (models.ASSETS / name / "config.json").is_file()


@pytest.mark.parametrize("name", models.EMBEDDED)
def test_the_embedded_models_are_as_the_book_says(name):
    if not installed(name):
        pytest.skip(f"{name} is not in the assets")
    embedded = load_model(name)
    assert embedded.grid == (8, 8) and embedded.patch_size == 16 and embedded.image_size == 128
    assert embedded.tokenizer.eos_token_id not in (None, 2)
    caption = embedded.tokenize("a dog")
    assert caption.names == ["a", "dog"] and caption.players == (1, 2)
    expected = text_embedding_by_hand(embedded, caption, [1])
    mask = caption.attention_mask.clone()
    mask[0, caption.players[1]] = 0
    torch.testing.assert_close(embedded.embed_tokens(caption.input_ids, mask)[0], expected, atol=1e-5, rtol=0)
    # readable by transformers 4 and 5 alike
    written = json.loads((models.ASSETS / name / "tokenizer_config.json").read_text())
    assert written["tokenizer_class"] == "PreTrainedTokenizerFast"
    written = json.loads((models.ASSETS / name / "preprocessor_config.json").read_text())
    assert written["image_processor_type"] == "CLIPImageProcessor"


# --- Properties ---------------------------------------------------------------------------


@settings(max_examples=60)
@given(st.lists(st.sampled_from(stand_ins.WORDS), min_size=1, max_size=14))
def test_any_sequence_of_known_words_is_its_players(words):
    mini = MINI
    caption = mini.tokenize(" ".join(words))
    assert caption.names == words and [word for word, _ in caption.words] == words
    assert caption.players == tuple(range(1, len(words) + 1))


@settings(max_examples=80)
@given(st.text(max_size=40))
def test_any_text_is_read_or_refused_by_a_value_error(text):
    for reader in (CLIP, MINI):
        try:
            caption = reader.tokenize(text)
        except ValueError as error:
            assert str(error)
        else:
            assert (
                len(caption.names)
                == len(caption.players)
                == sum(len(group) for _, group in caption.words)
                > 0
            )


@settings(max_examples=60)
@given(st.integers(1, 300), st.integers(1, 300))
def test_any_size_gives_a_box_inside_the_picture(width, height):
    if max(width, height) > 50 * min(width, height):
        return
    left, upper, right, lower = CLIP.prepare_image(Image.new("RGB", (width, height))).box
    assert -1e-9 <= left < right <= width + 1e-6 and -1e-9 <= upper < lower <= height + 1e-6


CLIP, MINI = small_model("clip"), small_model("mini-clip")


def test_a_removed_token_can_be_replaced_by_another():
    """As the release's game of OpenAI's CLIP does: the encoder reads the other token there, nothing is masked."""
    masked, replaced = load_model("mini-clip"), load_model("mini-clip", hidden_token=7)
    assert (masked.text_removal, replaced.text_removal) == ("attention mask", "token 7 in its place")
    picture, text = noise_image(), "a dog and a bus"
    games = [VisionLanguageGame(model, picture, text, progress=False) for model in (masked, replaced)]
    keep = np.random.default_rng(0).random((6, games[0].n_text)) < 0.5
    caption = masked.tokenize(text)
    ids = caption.input_ids.repeat(len(keep), 1)
    for row, visible in zip(ids, keep, strict=True):
        row[[player for player, seen in zip(caption.players, visible, strict=True) if not seen]] = 7
    truth = masked.embed_tokens(ids, torch.ones_like(ids)).numpy()
    assert np.abs(games[1].encode_texts(keep) - truth).max() < 1e-6
    assert np.abs(games[0].encode_texts(keep) - truth).max() > 0.01
    everything = np.ones((1, games[0].n_players), dtype=bool)
    assert games[0](everything) == pytest.approx(games[1](everything))
    assert games[1].meta["text_removal"] == "token 7 in its place" and "text_removal" not in games[0].meta
    assert masked.fingerprint() != replaced.fingerprint()
    with pytest.raises(ValueError, match="hidden_token = 99999; 'mini-clip' knows the ids 0 to"):
        load_model("mini-clip", hidden_token=99999)
