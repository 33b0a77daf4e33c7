"""Names of tokens and words: what the caption says, in the vocabularies of every family of tokenizers."""

from __future__ import annotations

import json
import unicodedata
from functools import cache

import numpy as np
import pytest
import stand_ins
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, processors, trainers
from transformers import CLIPTokenizer, GemmaTokenizer, PreTrainedTokenizerFast, XLMRobertaTokenizer

from fixlip_helpers import TwoTower, VisionLanguageGame, fixlip, show, widgets
from fixlip_helpers.encoders.pieces import find_spans, name_players
from fixlip_helpers.models import VisionLanguageModel

CORPUS = [
    "a café on a street",
    "a dog’s house",
    "a 🐶 and a cat",
    "naïve façade",
    "black dog",
    "yellow hydrant",
]
CORPUS = [*CORPUS, "犬と猫", "犬", "a dog"] * 9
ADDED = "<hydrant>"


def trained(tokenizer, trainer, corpus=CORPUS) -> dict:
    tokenizer.train_from_iterator(corpus, trainer)
    return json.loads(tokenizer.to_str())["model"]


def clip():
    """Byte-level BPE with ``</w>``: 256 letters for bytes, each also as the last of a word, then what was learned."""
    tokenizer = Tokenizer(models.BPE(end_of_word_suffix="</w>"))
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFC(), normalizers.Lowercase()])
    words = Regex(r"""'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+""")
    split = pre_tokenizers.Split(words, behavior="removed", invert=True)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [split, pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    learned = trained(
        tokenizer, trainers.BpeTrainer(vocab_size=380, end_of_word_suffix="</w>", show_progress=False)
    )
    symbols = sorted(pre_tokenizers.ByteLevel.alphabet())
    merges = [tuple(pair) for pair in learned["merges"]]
    pieces = dict.fromkeys([*symbols, *(f"{symbol}</w>" for symbol in symbols), *map("".join, merges)])
    vocab = {piece: i for i, piece in enumerate(pieces)} | {"<|startoftext|>": 49406, "<|endoftext|>": 49407}
    return CLIPTokenizer(vocab=vocab, merges=merges)


def gemma():
    """BPE on ``▁`` for spaces, which spells in bytes what it lacks, accents and emoji among it."""
    tokenizer = Tokenizer(models.BPE(byte_fallback=True))
    tokenizer.normalizer = normalizers.Replace(" ", "▁")
    tokenizer.pre_tokenizer = pre_tokenizers.Split("▁", "merged_with_next")
    special = ["<pad>", "<eos>", "<bos>", "<unk>", "<mask>", *(f"<0x{byte:02X}>" for byte in range(256))]
    corpus = ["".join(c for c in text if c.isascii()) for text in CORPUS] + ["abcdefghijklmnopqrstuvwxyz"]
    learned = trained(
        tokenizer, trainers.BpeTrainer(special_tokens=special, vocab_size=310, show_progress=False), corpus
    )
    return GemmaTokenizer(vocab=learned["vocab"], merges=[tuple(pair) for pair in learned["merges"]])


def unigram():
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Lowercase()])
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    special = ["<pad>", "</s>", "<unk>"]
    alphabet = [*"abcdefghijklmnopqrstuvwxyzABC.,’“”é🐶犬と猫0123456789!\"'"]
    trainer = trainers.UnigramTrainer(
        vocab_size=110,
        unk_token="<unk>",
        special_tokens=special,
        initial_alphabet=alphabet,
        show_progress=False,
    )
    return tokenizer, trained(tokenizer, trainer)


def siglip():
    """SigLIP's kind, as T5's: sentencepiece's unigrams with EOS, small letters."""
    tokenizer, _ = unigram()
    tokenizer.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, eos_token="</s>", pad_token="</s>", unk_token="<unk>"
    )


def xlm_roberta():
    """Unigrams in capitals and small letters, BOS and EOS around."""
    learned = [tuple(piece) for piece in unigram()[1]["vocab"][3:]]
    special = [("<s>", 0.0), ("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0)]
    return XLMRobertaTokenizer(vocab=[*special, *learned, ("<mask>", 0.0)])


KINDS = {"clip": clip, "siglip2": gemma, "siglip": siglip, "xlm-roberta": xlm_roberta}


@pytest.fixture(scope="module", params=KINDS)
def model(request):
    """A random model of each family around a tokenizer of its true kind, to which a token was added."""
    return model_of(request.param)


@cache
def model_of(kind):
    tokenizer = KINDS[kind]()
    tokenizer.add_tokens([ADDED])
    if kind == "clip":
        network = stand_ins.clip_network(vocab_size=49410, max_position_embeddings=77, eos_token_id=49407)
        return VisionLanguageModel(network, tokenizer, stand_ins.clip_processor(), kind)
    network = stand_ins.siglip_network(vocab_size=600, max_position_embeddings=64)
    return VisionLanguageModel(network, tokenizer, stand_ins.siglip_processor(), kind)


def in_text(name, text):
    """Whether a name is a part of the caption; marks that stand by themselves and code points are none."""
    written = unicodedata.normalize("NFC", text)
    return name == "▁" or name.startswith(("U+", "◌")) or name in written or name in written.lower()


def check(caption, text):
    """What holds of the names and words of any caption."""
    assert all(in_text(name, text) for name in caption.names), caption.names
    assert [i for _, group in caption.words for i in group] == list(range(len(caption.names)))
    joined = "".join(word for word, _ in caption.words)
    expected = "".join(unicodedata.normalize("NFC", text).split())
    assert joined.lower() == expected.lower()
    ends = np.cumsum([len(word) for word, _ in caption.words]).tolist()
    spaces = np.cumsum([len(word) for word in unicodedata.normalize("NFC", text).split()]).tolist()
    assert set(spaces) <= set(ends), f"a word crosses a space: {caption.words}"


TEXTS = [
    "a dog",
    "a café on a street",
    "cafe\u0301 and naïve façade",  # an accent as a character of its own
    "a dog’s house",
    'the “quoted” "dog", and a cat!',
    "a hydrant",
    "a <hydrant> dog",
    "<hydrant> dog",
    "hydrant",
    "42 dogs",
]
FOREIGN = ["a 🐶 and a cat", "🐶", "犬と 猫", "a 🐶🐶 cat", "犬 dog"]


@pytest.mark.parametrize("text", [*TEXTS, *FOREIGN])
def test_names_are_the_captions_text(model, text):
    try:
        caption = model.tokenize(text)
    except ValueError as error:  # letters that a vocabulary or an encoder does not know are said to be so
        assert text not in TEXTS[:2] and ("does not know" in str(error) or "script" in str(error))
        return
    check(caption, text)
    if ADDED in text:
        assert ADDED in [word for word, _ in caption.words] and "dog" in [word for word, _ in caption.words]


@pytest.mark.parametrize(
    ("kind", "text", "words"),
    [
        ("clip", "a café on a street", ["a", "café", "on", "a", "street"]),
        ("clip", "Café Dog", ["café", "dog"]),
        ("clip", "a dog’s house", ["a", "dog", "’", "s", "house"]),
        ("clip", "a 🐶 dog", ["a", "🐶", "dog"]),
        ("clip", "the 👨‍👩‍👧 dog", ["the", "👨‍👩‍👧", "dog"]),
        ("clip", "a <hydrant> dog", ["a", "<hydrant>", "dog"]),
        ("siglip2", "hydrant", ["hydrant"]),
        ("siglip2", "a café, 🐶", ["a", "café,", "🐶"]),
        ("siglip2", "a <hydrant> dog", ["a", "<hydrant>", "dog"]),
        ("siglip2", "犬と 猫", ["犬と", "猫"]),
        ("siglip", "A dog’s café", ["a", "dog’s", "café"]),
        ("siglip", "a <hydrant> dog", ["a", "<hydrant>", "dog"]),
        ("xlm-roberta", "A dog’s 犬と猫", ["A", "dog’s", "犬と猫"]),
    ],
)  # fmt: skip
def test_words(kind, text, words):
    assert [word for word, _ in model_of(kind).tokenize(text).words] == words


def test_a_character_of_several_pieces_names_each():
    names = model_of("siglip2").tokenize("a 🐶 é").names
    assert names == ["a", "▁", *["🐶"] * 4, "▁", "é", "é"]
    assert model_of("clip").tokenize("a ü").names == ["a", "ü", "ü"]
    assert model_of("siglip2").tokenize("e\u0301").names == ["e", "◌\u0301", "◌\u0301"]


@settings(max_examples=60)
@given(st.lists(st.text('abé🐶ü犬’"—x1', min_size=1, max_size=4), min_size=1, max_size=3).map(" ".join))
def test_names_of_any_text(text):
    """Gemma's kind reads everything; found by offsets, and without them."""
    model = model_of("siglip2")
    tokenizer, caption = model.tokenizer, model.tokenize(text)
    check(caption, text)
    pieces = tokenizer.convert_ids_to_tokens(tokenizer(text, add_special_tokens=False).input_ids)
    assert name_players(pieces, text) == (caption.names, caption.words)


def test_players_are_asked_for_by_name_and_shown_by_it():
    game = VisionLanguageGame(model_of("clip"), stand_ins.noise_image(), "a café 🐶", image_players=(2, 2))
    explanation = fixlip(game)
    assert explanation.players[4:] == ["a", "café", "🐶"] and show.word_index(explanation, "café") == 1
    with pytest.raises(ValueError, match=r"'dü' is made of the players at the positions"):
        show.word_index(fixlip(VisionLanguageGame(model_of("clip"), stand_ins.noise_image(), "a ü dü",
                                                   image_players=(2, 2))), "dü")  # fmt: skip
    shown = widgets.explorer_page(explanation, game.picture) + json.dumps(
        explanation.to_dict(), ensure_ascii=False
    )
    assert "café" in shown and "🐶" in shown and "Ã" not in shown and "ðŁ" not in shown


# --- Pieces whose places nobody tells -------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "pieces", "names", "words"),
    [
        ("a café", ["a</w>", "cafÃ©</w>"], ["a", "café"], ["a", "café"]),
        ("A Café", ["a</w>", "cafÃ©</w>"], ["a", "café"], ["a", "café"]),
        ("dog’s", ["dog</w>", "âĢĻ</w>", "s</w>"], ["dog", "’", "s"], ["dog", "’", "s"]),
        ("🐶 dog", ["ðŁ", "Ĳ", "¶</w>", "dog</w>"], ["🐶"] * 3 + ["dog"], ["🐶", "dog"]),
        ("cafÃ©", ["▁cafÃ", "©"], ["cafÃ", "©"], ["cafÃ©"]),  # somebody's own look-alikes
        ("a café", ["a", "Ġca", "fÃ©"], ["a", "ca", "fé"], ["a", "café"]),
        ("a 🐶", ["▁a", "▁", "<0xF0>", "<0x9F>", "<0x90>", "<0xB6>"], ["a", "▁", *["🐶"] * 4], ["a", "🐶"]),
        ("hydrant", ["hydr", "ant"], ["hydr", "ant"], ["hydrant"]),
        (
            "a <hydrant> dog",
            ["a</w>", "<hydrant>", "dog</w>"],
            ["a", "<hydrant>", "dog"],
            ["a", "<hydrant>", "dog"],
        ),
        ("Dog, next!", ["▁dog", "▁next"], ["dog", "next"], ["dog", "next"]),
        ("a dog", ["a", "dog"], ["a", "dog"], ["a", "dog"]),
    ],
)
def test_pieces_are_found_in_the_text(text, pieces, names, words):
    found = name_players(pieces, text)
    assert found[0] == names and [word for word, _ in found[1]] == words


def test_pieces_that_spell_another_text_are_named_by_themselves():
    assert find_spans("a cat", ["▁a", "▁dog"]) is None
    assert name_players(["▁a", "▁dog"], "a cat") == (["a", "dog"], [("a", (0,)), ("dog", (1,))])
    assert name_players(["cafÃ©</w>", "dog</w>"], "a café")[0] == ["café", "dog"]


def test_a_model_behind_functions_is_named_by_the_text():
    tokenizer = clip()
    tower = TwoTower(
        len, len, 1.0, preprocess=lambda picture: np.moveaxis(np.asarray(picture.resize((8, 8))) / 255.0, -1, 0),
        tokenize=lambda text: [*tokenizer(text).input_ids, *[0] * 30][:30], grid=(2, 2), hidden_token=0,
        pieces=tokenizer.convert_ids_to_tokens,
    )  # fmt: skip
    caption = tower.tokenize("a café 🐶 ü")
    assert caption.names == ["a", "café", "🐶", "ü", "ü"]
    assert caption.words == [("a", (0,)), ("café", (1,)), ("🐶", (2,)), ("ü", (3, 4))]
