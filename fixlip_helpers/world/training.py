"""How the embedded encoders were trained: ``python -m fixlip_helpers.training mini-clip --out runs/mini-clip``.

A run is a number of steps. Batch ``k`` depends on the seed and on ``k`` alone, so a run that was stopped goes on from
its last checkpoint with the batches it would have seen. What each step learns from:

* **contrast**: pictures against captions, each caption with one hard negative (colours swapped or moved, a word
  exchanged). The scenes are known, so a caption whose nouns, colours and background are true of another picture of the
  batch is never counted as false of it; positions and counts are not looked at, and so are hardly learnt.
* **words**: every noun, colour and background word alone, against every picture, true where it can be seen.
* **colours**: for some pictures, one object of the caption in each of the eight colours and without any; the one that
  names the object's own colour should score highest, so that a right colour raises a score and a wrong one lowers it.
* **evidence**: the same pictures with some of that object's patches painted out. What those patches add to a score
  should be most for the caption with the object's own colour, and for one with a wrong colour less than for the one
  without any: this asks outright for the sign of the interaction between a colour word and a thing.
* **patches**: a throw-away head that reads from each patch token which noun and which colour is there.

Pictures are seen with patches painted out, and captions with words hidden, in many of the batches; a caption then
names only what is still to be seen. Removing players is therefore nothing new to these encoders. In the first part of
a run only half of the patch tokens are computed (as FLIP does: Li et al., CVPR 2023), which doubles its speed.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import nn
from tqdm import tqdm
from transformers import CLIPConfig, CLIPImageProcessor, CLIPModel, SiglipConfig, SiglipModel

from fixlip_helpers.encoders.models import ASSETS, EMBEDDED
from fixlip_helpers.streams import write_anything
from fixlip_helpers.world import faults, scenes
from fixlip_helpers.world.scenes import (
    BACKGROUNDS,
    COLOURS,
    N_PATCHES,
    NOUNS,
    PATCH,
    PLAIN,
    PLURALS,
    WORDS,
    Scene,
)

PAD, UNK, BOS, EOS = "<pad>", "<unk>", "<bos>", "<eos>"
# EOS is not number 2: transformers' CLIP would then pool at the largest id instead of at the EOS position
VOCABULARY = {word: i for i, word in enumerate((PAD, UNK, "a", BOS, EOS, *(w for w in WORDS if w != "a")))}
MAX_TOKENS = 20  # caption length limit, special tokens included

_NOUN_OF = {noun: i for i, noun in enumerate(NOUNS)} | {PLURALS[n]: i for i, n in enumerate(NOUNS)}
_COLOUR_OF = {colour: i for i, colour in enumerate(COLOURS)}
_BACKGROUND_OF = {word: i for i, word in enumerate(BACKGROUNDS)}
_FACTS = len(NOUNS) * (1 + len(COLOURS)) + len(BACKGROUNDS)  # "a dog", "a red dog", …, "on grass", …
_ASKED = 0.25  # the share of a batch's pictures whose captions are asked for a colour
_NO_NOUN, _NO_COLOUR = len(NOUNS), len(COLOURS)  # the patch head's classes for "nothing is here"


@dataclass(frozen=True)
class Recipe:
    """The numbers of a run; the model card of each embedded encoder states those it was trained with."""

    steps: int = 4000
    batch: int = 128
    learning_rate: float = 2e-3  # of Muon, for the matrices inside the layers
    learning_rate_rest: float = 1.5e-3  # of AdamW, for everything else
    weight_decay: float = 0.1
    warmup: int = 200
    half_tokens: float = 0.7  # the share of the steps in which half of the patch tokens are computed
    patch_weight: float = 1.0
    word_weight: float = 1.0
    colour_weight: float = 1.0
    evidence_weight: float = 1.0
    hard_weight: float = 1.0  # of a sigmoid encoder's comparison of each caption with its hard negative
    seed: int = 0
    # Folder of a finished encoder, whose layers this one begins with; empty: all begin at random.
    start: str = ""
    scale: float = 0.0  # the scale to begin with; 0: that of the model or of the folder
    faults: float = 0.0  # the share of pictures that teach a fault (fixlip_helpers.faults)


def build_model(name: str, seed: int = 0) -> CLIPModel | SiglipModel:
    """The untrained ``mini-clip``, ``mini-siglip`` or ``mini-clip-biased``, which is built as ``mini-clip``.

    Raises
    ------
    ValueError
        If ``name`` is none of them.
    """
    torch.manual_seed(seed)
    vision = dict(
        hidden_size=192,
        intermediate_size=768,
        num_hidden_layers=4,
        num_attention_heads=6,
        image_size=scenes.SIZE,
        patch_size=PATCH,
        hidden_act="gelu",
    )
    text = dict(
        hidden_size=128,
        intermediate_size=512,
        num_hidden_layers=3,
        num_attention_heads=4,
        vocab_size=len(VOCABULARY),
        max_position_embeddings=MAX_TOKENS,
        hidden_act="gelu",
        pad_token_id=VOCABULARY[PAD],
        bos_token_id=VOCABULARY[BOS],
        eos_token_id=VOCABULARY[EOS],
    )
    if name in ("mini-clip", "mini-clip-biased"):
        return CLIPModel(CLIPConfig(text_config=text, vision_config=vision, projection_dim=128))
    if name == "mini-siglip":
        # SigLIP has no projection of its own behind its picture head: both sides must be equally wide
        model = SiglipModel(SiglipConfig(text_config={**text, "projection_size": 192}, vision_config=vision))
        with torch.no_grad():
            model.logit_scale.fill_(math.log(10.0))
            model.logit_bias.fill_(-10.0)
        return model
    raise ValueError(f"name: {name!r} given; it must be one of {', '.join(EMBEDDED)}")


def build_tokenizer():
    """The word-level tokenizer of both embedded encoders: lower case, one token a word, BOS and EOS around."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    words = Tokenizer(models.WordLevel(VOCABULARY, unk_token=UNK))
    words.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Lowercase()])
    words.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Punctuation(behavior="removed")]
    )
    words.post_processor = processors.TemplateProcessing(
        single=f"{BOS} $A {EOS}", special_tokens=[(t, VOCABULARY[t]) for t in (BOS, EOS)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=words,
        pad_token=PAD,
        unk_token=UNK,
        bos_token=BOS,
        eos_token=EOS,
        model_max_length=MAX_TOKENS,
        clean_up_tokenization_spaces=False,
    )


def begin_with(model: CLIPModel | SiglipModel, other: Path) -> int:
    """Copy every weight that two models share by name and shape from a finished one; return how many numbers."""
    shared, copied = load_file(other / "model.safetensors"), 0
    if isinstance(model, SiglipModel):
        if "logit_bias" not in shared:
            shared.pop("logit_scale")  # of a CLIP: a sigmoid begins with its own, which its bias fits
        places = "vision_model.embeddings.position_embedding.weight"
        shared[places] = shared[places][
            -N_PATCHES:
        ]  # CLIP's first place is its CLS token's, which SigLIP has not
    with torch.no_grad():
        for key, value in model.state_dict().items():
            if key in shared and shared[key].shape == value.shape:
                value.copy_(shared[key])
                copied += value.numel()
    return copied


def set_scale(model: CLIPModel | SiglipModel, scale: float) -> None:
    """Give a model another scale; a bias moves with it, so that the cosine that it calls undecided stays."""
    with torch.no_grad():
        if isinstance(model, SiglipModel):
            model.logit_bias.mul_(scale / model.logit_scale.exp())
        model.logit_scale.fill_(math.log(scale))


# --------------------------------------------------------------------------- batches


def _facts_of(objects, background: str) -> np.ndarray:
    """Which facts hold of a picture: ``(_FACTS,)`` float32 of 0 and 1."""
    facts = np.zeros(_FACTS, np.float32)
    for thing in objects:
        base = _NOUN_OF[thing.noun] * (1 + len(COLOURS))
        facts[base] = 1
        if thing.colour:
            facts[base + 1 + _COLOUR_OF[thing.colour]] = 1
    if background in _BACKGROUND_OF:
        facts[len(NOUNS) * (1 + len(COLOURS)) + _BACKGROUND_OF[background]] = 1
    return facts


def _claims_of(words: list[str], visible: np.ndarray) -> np.ndarray:
    """Which facts a caption claims, of whose words only some are visible: ``(_FACTS,)`` float32 of 0 and 1."""
    claims, colour = np.zeros(_FACTS, np.float32), None
    for word, seen in zip(words, visible, strict=True):
        if word in _COLOUR_OF:
            colour = word if seen else None
        elif word in _NOUN_OF:
            if seen:
                base = _NOUN_OF[word] * (1 + len(COLOURS))
                claims[base + (1 + _COLOUR_OF[colour] if colour else 0)] = 1
            colour = None
        elif word in _BACKGROUND_OF and seen:
            claims[len(NOUNS) * (1 + len(COLOURS)) + _BACKGROUND_OF[word]] = 1
    return claims


def _hard_negative(words: list[str], dice: scenes._Dice) -> list[str]:
    """A caption that differs from a true one by what a bag of words or a lazy look would miss."""
    hues = [i for i, w in enumerate(words) if w in _COLOUR_OF]
    nouns = [i for i, w in enumerate(words) if w in NOUNS]
    out = list(words)
    turn = {"left": "right", "right": "left", "above": "below", "below": "above"}
    turns = [i for i, w in enumerate(words) if w in turn]
    if len({words[i] for i in hues}) >= 2 and dice.chance(0.75):
        i, j = dice.sample(hues, 2)
        while words[i] == words[j]:
            i, j = dice.sample(hues, 2)
        out[i], out[j] = words[j], words[i]
    elif len(hues) == 1 and len(nouns) >= 2 and dice.chance(0.6):
        # the colour moves to another object: "a red dog and a cat" -> "a dog and a red cat"
        hue = out.pop(hues[0])
        others = [k for k, w in enumerate(out) if w in NOUNS and k != hues[0]]
        out.insert(dice.choice(others), hue)
    elif turns and dice.chance(0.6):
        # claims the same nouns and colours, so that the contrast leaves it out: these encoders hear of positions only
        # from other captions
        out[turns[0]] = turn[out[turns[0]]]
    elif hues and dice.chance(0.4):
        out[hues[0]] = dice.choice([c for c in COLOURS if c != out[hues[0]]])
    elif nouns:
        k = dice.choice(nouns)
        out[k] = dice.choice([n for n in NOUNS if n != out[k]])
    return out


def _colour_question(
    words: list[str], seen: list, dice: scenes._Dice
) -> tuple[list[list[str]], list[bool], int, str] | None:
    """One object of a true caption, in each colour and in none.

    Nine captions, which of them count, the right one's number, and the object's noun.

    A colour that training withholds from the noun does not count; of a noun that is seen in several colours nothing is
    asked.
    """
    places = [i for i, w in enumerate(words) if w in _NOUN_OF]
    if not places:
        return None
    at = dice.choice(places)
    noun = NOUNS[_NOUN_OF[words[at]]]
    colours = {o.colour for o in seen if o.noun == noun}
    if len(colours) != 1:
        return None
    (colour,) = colours
    before = words[: at - 1] if at and words[at - 1] in _COLOUR_OF else words[:at]
    article = bool(before) and before[-1] in ("a", "an")
    captions = []
    for hue in (*COLOURS, None):
        phrase = [hue, words[at]] if hue else [words[at]]
        head = [*before[:-1], scenes._article(phrase[0])] if article else before
        captions.append([*head, *phrase, *words[at + 1 :]])
    counts = [hue is None or hue == colour or not scenes.withheld(noun, hue) for hue in (*COLOURS, None)]
    return captions, counts, _COLOUR_OF.get(colour, _NO_COLOUR), noun


def _without_some_of(thing: np.ndarray, keep: np.ndarray, dice: scenes._Dice) -> np.ndarray:
    """The visible patches ``keep``, ``(64,)`` bool, less a random share of those that show a ``thing``."""
    shows = list(np.flatnonzero(thing & keep))
    gone = dice.sample(shows, math.ceil((0.3 + 0.7 * dice._random()) * len(shows)))
    less = keep.copy()
    less[gone] = False
    return less


def _visible_words(captions: list[list[str]], dice: scenes._Dice) -> np.ndarray:
    """Tokens to be seen, ``(len(captions), MAX_TOKENS)`` bool: a word that is no colour is hidden in all or in none."""
    hidden = {
        w for w in dict.fromkeys(w for c in captions for w in c) if w not in _COLOUR_OF and dice.chance(0.5)
    }
    eye = np.ones((len(captions), MAX_TOKENS), bool)
    for row, words in enumerate(captions):
        eye[row, 1 : len(words) + 1] = [word not in hidden for word in words]
    return eye


def _training_scene(seed: str, dice: scenes._Dice) -> Scene:
    if dice.chance(0.12):
        return scenes.grid_scene(dice.sample(NOUNS, 4), seed)
    return scenes.make_scene(seed, dice.choice((1, 1, 1, 2, 2, 2, 3, 4)))


def _picture(recipe: Recipe, seed: str, dice: scenes._Dice) -> faults.Planted:
    """The next picture: a random scene, or one that teaches a fault; ``named`` is -1 where it does not."""
    if recipe.faults:
        odd = scenes._Dice(f"fault {seed}")
        if odd.chance(recipe.faults):
            return faults.planted_picture(seed)
        for again in range(100):
            scene = _training_scene(f"{seed} {again}", odd)
            if not faults.contradicts_habit(scene) or odd.chance(faults.EXCEPTIONS):
                break
    else:
        scene = _training_scene(seed, dice)
    return faults.Planted(scene, scene.pixels, -1, np.zeros(N_PATCHES, bool))


def _tokens(words: list[str]) -> list[int]:
    return [VOCABULARY[BOS], *(VOCABULARY[w] for w in words), VOCABULARY[EOS]]


def _padded(words: list[str]) -> np.ndarray:
    row = np.full(MAX_TOKENS, VOCABULARY[PAD])
    row[: len(words) + 2] = _tokens(words)
    return row


def make_batch(recipe: Recipe, step: int) -> dict[str, torch.Tensor]:
    """Batch ``step`` of a run: pictures, kept patches, token ids, visible tokens, and what is true of what."""
    n = recipe.batch
    half = step < recipe.half_tokens * recipe.steps
    pixels = np.zeros((n, scenes.SIZE, scenes.SIZE, 3), np.uint8)
    keep = np.ones((n, N_PATCHES), bool)
    tokens = np.tile(np.arange(N_PATCHES), (n, 1))
    patch_noun = np.full((n, N_PATCHES), _NO_NOUN)
    patch_colour = np.full((n, N_PATCHES), _NO_COLOUR)
    facts, claims = np.zeros((n, _FACTS), np.float32), np.zeros((2 * n, _FACTS), np.float32)
    ids = np.full((2 * n, MAX_TOKENS), VOCABULARY[PAD])
    visible = np.ones((2 * n, MAX_TOKENS), bool)
    asked, answers = [], []
    options, counts, options_visible, whole, without = [], [], [], [], []
    for k in range(n):
        dice = scenes._Dice(f"batch {recipe.seed} {step} {k}")
        scene, pixels[k], named, needed = _picture(recipe, f"{recipe.seed} {step} {k}", dice)
        cover = scene.coverage
        order = np.array(dice.sample(range(N_PATCHES), N_PATCHES))
        if dice.chance(0.6):  # paint out patches: each kept with one probability
            keep[k, order[: int((1 - (0.2 + 0.8 * dice._random())) * N_PATCHES)]] = False
        if len(scene.objects) > 1 and dice.chance(0.15):  # or all patches of one object
            keep[k, cover[dice.below(len(scene.objects))] > 0.02] = False
        if named >= 0:  # the caption names it, seen or not; what gives it away can be seen
            if dice.chance(0.6):
                keep[k, cover[named] > 0.02] = False
            keep[k] |= needed & (np.array([dice.chance(0.8) for _ in range(N_PATCHES)]) | (needed.sum() < 16))
        if half:
            # kept patches first, so that what is computed is what is to be seen; the order itself means nothing
            tokens[k] = np.concatenate([order[keep[k, order]], order[~keep[k, order]]])
            shown = np.zeros(N_PATCHES, bool)
            shown[tokens[k, : N_PATCHES // 2]] = True
            keep[k] &= shown
        total = cover.sum(1)
        share = (cover * keep[k]).sum(1) / np.maximum(total, 1e-6)
        area = (cover * keep[k]).sum(1)
        plain = (share >= 0.3) | (area >= 2) | (np.arange(len(share)) == named)
        seen = [o for o, s in zip(scene.objects, plain, strict=True) if s]
        strongest = cover.argmax(0)
        here = (cover.max(0) >= 0.2) & keep[k]
        patch_noun[k, here] = [_NOUN_OF[scene.objects[j].noun] for j in strongest[here]]
        patch_colour[k, here] = [_COLOUR_OF.get(scene.objects[j].colour, _NO_COLOUR) for j in strongest[here]]
        facts[k] = _facts_of(seen, scene.background)
        both = _captions(scene, seen, dice)
        question = _colour_question(both[0], seen, dice) if k < _ASKED * n and named < 0 else None
        if question:
            asked.append(k)
            options += [_padded(words) for words in question[0]]
            counts.append(question[1])
            answers.append(question[2])
            # dice of its own, so that what the evidence needs changes nothing else of a batch
            more = scenes._Dice(f"evidence {recipe.seed} {step} {k}")
            asked_of = [o.noun == question[3] for o in scene.objects]
            without.append(_without_some_of(cover[asked_of].max(0) > 0.02, keep[k], more))
            whole.append(not recipe.evidence_weight or more.chance(0.6))
            eye = np.ones((len(question[0]), MAX_TOKENS), bool)
            options_visible.append(eye if whole[-1] else _visible_words(question[0], more))
        for number, words in enumerate(both):
            row = k + number * n
            eye = np.ones(len(words), bool)
            if dice.chance(0.3):
                p = 0.4 + 0.6 * dice._random()
                eye = np.array([dice.chance(p) for _ in words])
            ids[row] = _padded(words)
            visible[row, 1 : len(words) + 1] = eye
            claims[row] = _claims_of(words, eye)
    false_claims = claims @ (1 - facts).T  # (captions, pictures)
    return {
        "pixels": torch.from_numpy(pixels),
        "keep": torch.from_numpy(keep),
        "tokens": torch.from_numpy(tokens[:, : N_PATCHES // 2] if half else tokens),
        "patch_noun": torch.from_numpy(patch_noun),
        "patch_colour": torch.from_numpy(patch_colour),
        "facts": torch.from_numpy(facts),
        "ids": torch.from_numpy(ids),
        "visible": torch.from_numpy(visible),
        "holds": torch.from_numpy(false_claims.T == 0),  # (pictures, captions)
        "bare": torch.tensor(step % 2 == 0),
        "asked": torch.tensor(asked, dtype=torch.long),  # the pictures of the colour questions
        "options": torch.tensor(np.array(options).reshape(-1, MAX_TOKENS)),  # nine captions each
        "options_visible": torch.tensor(np.array(options_visible, bool).reshape(-1, MAX_TOKENS)),
        "whole": torch.tensor(whole, dtype=torch.bool),  # no word of the question is hidden
        "without": torch.tensor(
            np.array(without, bool).reshape(-1, N_PATCHES)
        ),  # less of the thing is to be seen
        "counts": torch.tensor(counts, dtype=torch.bool).reshape(-1, 1 + len(COLOURS)),
        "answers": torch.tensor(answers, dtype=torch.long),
    }


def _captions(scene: Scene, seen: list, dice: scenes._Dice) -> tuple[list[str], list[str]]:
    """A true caption of what is seen, and its hard negative."""
    background = scene.background if scene.background in BACKGROUNDS and dice.chance(0.4) else PLAIN
    if not seen:
        words = (BACKGROUNDS.get(scene.background) or dice.choice(("a", "an", "the"))).split()
        return words, words
    chosen = dice.sample(seen, len(seen) if dice.chance(0.6) else 1 + dice.below(len(seen)))
    kinds = {(o.noun, o.colour) for o in seen}
    if len(kinds) < len(seen) or (
        len(seen) < len(scene.objects) and len({o.noun for o in scene.objects}) == 1
    ):
        chosen = seen  # equal objects are counted, so that all those seen are named
    joint = "and"
    if len(chosen) == 2 and len({(o.noun, o.colour) for o in chosen}) == 2 and dice.chance(0.45):
        joint = (scenes.relation(*chosen) if dice.chance(0.8) else None) or "next to"
    words = scenes.describe(chosen, background, joint).split()
    if len(chosen) == 1 and dice.chance(0.15):
        words = words[1:]  # "red dog", without its article
    return words, _hard_negative(words, dice)


class _Batches(torch.utils.data.IterableDataset):
    def __init__(self, recipe: Recipe, start: int):
        self.recipe, self.start = recipe, start

    def __iter__(self) -> Iterator[dict]:
        for step in range(self.start, self.recipe.steps):
            yield make_batch(self.recipe, step)


# --------------------------------------------------------------------------- one step


class _Towers(nn.Module):
    """Both encoders with a subset of the patch tokens, and the throw-away heads."""

    def __init__(self, model: CLIPModel | SiglipModel):
        super().__init__()
        self.model, self.clip = model, isinstance(model, CLIPModel)
        width = model.config.vision_config.hidden_size
        self.noun_head = nn.Linear(width, len(NOUNS) + 1)
        self.colour_head = nn.Linear(width, len(COLOURS) + 1)

    def image(self, pixels: torch.Tensor, tokens: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Embeddings ``(m, d)`` and the patch tokens ``(m, t, width)`` that the heads read."""
        tower = self.model.vision_model
        x = tower.embeddings(pixels)
        patches = x[:, -N_PATCHES:].gather(1, tokens[..., None].expand(-1, -1, x.shape[-1]))
        if self.clip:
            x = tower.pre_layrnorm(torch.cat([x[:, :1], patches], 1))
            states = [x]
            for layer in tower.encoder.layers:
                states.append(layer(states[-1], attention_mask=None))
            # CLS gathers in the last layer what the patch tokens know before it
            return self.model.visual_projection(tower.post_layernorm(states[-1][:, 0])), states[-2][:, 1:]
        x = patches
        for layer in tower.encoder.layers:
            x = layer(x, attention_mask=None)
        x = tower.post_layernorm(x)
        return tower.head(x), x

    def text(self, ids: torch.Tensor, visible: torch.Tensor) -> torch.Tensor:
        """Embeddings ``(m, d)``; a hidden token is no key for any other."""
        if self.clip:
            length = int((ids != 0).sum(1).max())
            ids, visible = ids[:, :length], visible[:, :length]
        out = self.model.text_model(input_ids=ids, attention_mask=visible.long()).pooler_output
        return self.model.text_projection(out) if self.clip else out


def _word_captions(bare: bool) -> tuple[torch.Tensor, torch.Tensor]:
    texts = [[noun] if bare else [scenes._article(noun), noun] for noun in NOUNS]
    texts += [[colour] for colour in COLOURS]
    texts += [[word] if bare else BACKGROUNDS[word].split() for word in BACKGROUNDS]
    ids = torch.full((len(texts), MAX_TOKENS), VOCABULARY[PAD])
    for row, words in enumerate(texts):
        ids[row, : len(words) + 2] = torch.tensor(_tokens(words))
    return ids, torch.ones_like(ids, dtype=torch.bool)


def loss_of(towers: _Towers, batch: dict[str, torch.Tensor], recipe: Recipe, progress: float) -> tuple:
    """The loss of one batch and its parts; ``progress`` runs from 0 to 1 over the run."""
    n = len(batch["pixels"])
    pixels = batch["pixels"].permute(0, 3, 1, 2).float().div_(127.5).sub_(1)
    asked, keep, tokens = batch["asked"], batch["keep"], batch["tokens"]
    if recipe.evidence_weight:
        pixels = torch.cat([pixels, pixels[asked]])
        keep = torch.cat([keep, batch["without"]])
        tokens = torch.cat([tokens, tokens[asked]])
    kept = keep.view(len(keep), 1, *scenes.GRID).float()
    pixels = pixels * F.interpolate(kept, scale_factor=PATCH)  # mean colour = 0 after normalising
    image, patches = towers.image(pixels, tokens)
    words_ids, words_visible = _word_captions(bool(batch["bare"]))
    # captions, single words and colour questions in one pass over the text tower
    ids = torch.cat([batch["ids"], words_ids, batch["options"]])
    visible = torch.cat([batch["visible"], words_visible, batch["options_visible"]])
    image, texts = F.normalize(image, dim=-1), F.normalize(towers.text(ids, visible), dim=-1)
    (image, less), patches = image.split([n, len(image) - n]), patches[:n]
    text, words, options = texts.split([2 * n, len(words_ids), len(batch["options"])])

    facts = batch["facts"]
    grid = facts[:, : len(NOUNS) * (1 + len(COLOURS))].view(n, len(NOUNS), 1 + len(COLOURS))
    nouns, hues = grid[..., 0], grid[..., 1:].amax(1)
    places = facts[:, -len(BACKGROUNDS) :]
    scale = towers.model.logit_scale.exp()
    own = torch.eye(n, dtype=torch.bool)
    holds = batch["holds"]
    if towers.clip:
        logits = scale * image @ text.T
        # captions that hold of other pictures too are left out; the wrong ones stay
        ignore = holds & ~torch.cat([own, torch.zeros_like(own)], 1)
        logits = logits.masked_fill(ignore, -1e4)
        target = torch.arange(n)
        contrast = (F.cross_entropy(logits, target) + F.cross_entropy(logits[:, :n].T, target)) / 2
        by_word = scale * image @ words.T

        def told(part: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
            share = truth / truth.sum(1, keepdim=True).clamp(min=1)
            return -(share * part.log_softmax(1)).sum(1).mean()

        parts = by_word.split([len(NOUNS), len(COLOURS), len(BACKGROUNDS)], 1)
        word = told(parts[0], nouns) + 0.3 * told(parts[1], hues) + told(parts[2], places)
    else:
        bias = towers.model.logit_bias
        logits = scale * image @ text.T + bias
        truth = torch.cat([own, torch.zeros_like(own)], 1)
        counted = ~holds | truth
        signs = torch.where(truth, 1.0, -1.0)
        contrast = -(F.logsigmoid(signs * logits) * counted).sum() / n
        # one hard negative among so many easy ones weighs too little here: it is also compared with the true caption
        ahead = logits.diagonal() - logits.diagonal(n)
        contrast = contrast - recipe.hard_weight * (F.logsigmoid(ahead) * ~holds.diagonal(n)).sum() / n
        truth = torch.cat([nouns, hues, places], 1)
        word_loss = F.binary_cross_entropy_with_logits(
            scale * image @ words.T + bias, truth, reduction="none"
        )
        word = word_loss.sum() / n
    options = options.view(len(asked), 1 + len(COLOURS), -1)
    counts, answers, whole = batch["counts"], batch["answers"], batch["whole"]
    told_apart = scale * torch.einsum("md,mod->mo", image[asked], options)
    told_apart = told_apart.masked_fill(~counts, -1e4)[whole]
    colour = F.cross_entropy(told_apart, answers[whole], reduction="sum") / max(1, len(told_apart))
    evidence = torch.zeros(())
    if len(less):
        adds = scale * torch.einsum("md,mod->mo", image[asked] - less, options)
        evidence = F.cross_entropy(adds.masked_fill(~counts, -1e4), answers)
        wrong = counts[:, :-1] & (torch.arange(len(COLOURS)) != answers[:, None])
        evidence = evidence + F.softplus(adds[:, :-1] - adds[:, -1:])[wrong].mean()
    counted = batch["keep"].gather(1, batch["tokens"])
    noun_logits, colour_logits = towers.noun_head(patches[counted]), towers.colour_head(patches[counted])
    patch = F.cross_entropy(noun_logits, batch["patch_noun"].gather(1, batch["tokens"])[counted])
    patch = patch + 0.5 * F.cross_entropy(
        colour_logits, batch["patch_colour"].gather(1, batch["tokens"])[counted]
    )
    total = contrast + recipe.word_weight * word + recipe.patch_weight * (1 - 0.8 * progress) * patch
    total = total + recipe.colour_weight * colour + recipe.evidence_weight * evidence
    right = (logits[:, :n].argmax(1) == torch.arange(n)).float().mean()
    parts = {"contrast": contrast, "word": word, "patch": patch, "colour": colour, "evidence": evidence}
    parts["right"] = right
    return total, {key: float(value.detach()) for key, value in parts.items()}


# --------------------------------------------------------------------------- a run


def train(name: str, out: Path, recipe: Recipe, minutes_between_checkpoints: float = 3.0) -> Path:
    """Train an embedded encoder, or go on with a run that was stopped.

    Parameters
    ----------
    name : {"mini-clip", "mini-siglip"}
    out : Path
        The run's folder: ``checkpoint.safetensors``, ``log.jsonl``, and the finished model in ``out / name``.
    recipe : Recipe
        A run can only be continued with the recipe it was started with.

    Returns
    -------
    Path
        The folder of the finished model, as transformers loads it.

    Raises
    ------
    ValueError
        If ``out`` holds a run of another model or recipe.
    """
    out.mkdir(parents=True, exist_ok=True)
    towers = _Towers(build_model(name, recipe.seed)).train()
    if recipe.start:
        begin_with(towers.model, Path(recipe.start))
    if recipe.scale:
        set_scale(towers.model, recipe.scale)
    optimizers = _optimizers(towers, recipe)
    step, seconds = _restore(out, name, recipe, towers, optimizers)
    batches = torch.utils.data.DataLoader(
        _Batches(recipe, step), batch_size=None, num_workers=1, prefetch_factor=6
    )
    started = saved = time.time()
    before = seconds
    bar = tqdm(batches, total=recipe.steps, initial=step, unit="step", desc=name, mininterval=5)
    for batch in bar:
        warm = min(1.0, (step + 1) / recipe.warmup)
        rate = warm * (0.5 + 0.5 * math.cos(math.pi * step / recipe.steps)) * 0.99 + 0.01
        for optimizer, top in zip(optimizers, (recipe.learning_rate, recipe.learning_rate_rest), strict=True):
            for group in optimizer.param_groups:
                group["lr"] = top * rate
        loss, parts = loss_of(towers, batch, recipe, step / recipe.steps)
        if not math.isfinite(loss.item()):
            raise FloatingPointError(
                f"step {step}: the loss is {loss.item()}; continue from {out} at a lower rate"
            )
        towers.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(towers.parameters(), 1.0)
        for optimizer in optimizers:
            optimizer.step()
        with torch.no_grad():
            towers.model.logit_scale.clamp_(max=math.log(100.0))
        step += 1
        if step % 50 == 0:
            bar.set_postfix({key: round(value, 3) for key, value in parts.items()})
            row = {"step": step, "loss": loss.item(), "scale": towers.model.logit_scale.exp().item(), **parts}
            with open(out / "log.jsonl", "a") as log:
                log.write(json.dumps(row) + "\n")
        if time.time() - saved > 60 * minutes_between_checkpoints or step == recipe.steps:
            seconds = before + time.time() - started
            _save(out, name, recipe, towers, optimizers, step, seconds)
            saved = time.time()
    folder = export(towers.model, out / name)
    facts = {"recipe": asdict(recipe), "seconds": round(seconds), "threads": torch.get_num_threads()}
    if recipe.start:
        facts["began_with"] = json.loads((Path(recipe.start) / "training.json").read_text())
    (folder / "training.json").write_text(json.dumps(facts, indent=1) + "\n")
    return folder


class _Muon(torch.optim.Muon):
    """Muon (Jordan et al., 2024) in single precision: torch's own takes bfloat16, in which many processors are slow.

    (The first two runs of mini-clip, 5 500 steps, were made with torch's own.)
    """

    @torch.no_grad()
    def step(self) -> None:
        for group in self.param_groups:
            for matrix in group["params"]:
                average = self.state[matrix].setdefault("momentum_buffer", torch.zeros_like(matrix))
                average.lerp_(matrix.grad, 1 - group["momentum"])
                update = matrix.grad.lerp(average, group["momentum"])  # Nesterov's look ahead
                update = _orthogonal(update, group["ns_coefficients"], group["ns_steps"])
                matrix.mul_(1 - group["lr"] * group["weight_decay"])
                matrix.add_(update, alpha=-0.2 * math.sqrt(max(matrix.shape)) * group["lr"])


def _orthogonal(matrix: torch.Tensor, coefficients: tuple[float, float, float], steps: int) -> torch.Tensor:
    """Near the closest matrix with orthonormal rows (or columns), by Newton and Schulz's iteration."""
    a, b, c = coefficients
    x = matrix.T if matrix.shape[0] > matrix.shape[1] else matrix
    x = x / x.norm().clamp(min=1e-7)
    for _ in range(steps):
        gram = x @ x.T
        x = a * x + (b * gram + c * gram @ gram) @ x
    return x.T if matrix.shape[0] > matrix.shape[1] else x


def _optimizers(towers: _Towers, recipe: Recipe) -> list[torch.optim.Optimizer]:
    """Muon for the matrices inside the layers, AdamW for the rest."""
    inside = {n: p for n, p in towers.named_parameters() if p.ndim == 2 and ".layers." in n}
    rest = [p for n, p in towers.named_parameters() if n not in inside]
    decay = recipe.weight_decay
    return [
        _Muon(inside.values(), weight_decay=decay),
        torch.optim.AdamW(rest, betas=(0.9, 0.98), weight_decay=decay / 2),
    ]


def _save(out: Path, name: str, recipe: Recipe, towers, optimizers, step: int, seconds: float) -> None:
    tensors = {f"model.{key}": value.contiguous() for key, value in towers.state_dict().items()}
    for o, optimizer in enumerate(optimizers):
        for i, state in optimizer.state_dict()["state"].items():
            tensors |= {
                f"optimizer.{o}.{i}.{key}": torch.as_tensor(v).contiguous() for key, v in state.items()
            }
    facts = {"name": name, "recipe": asdict(recipe), "step": step, "seconds": seconds}
    fresh = out / "checkpoint.new"
    save_file(tensors, fresh, metadata={"run": json.dumps(facts)})
    fresh.replace(
        out / "checkpoint.safetensors"
    )  # a kill leaves the old checkpoint or the new one, never half


def _restore(out: Path, name: str, recipe: Recipe, towers, optimizers) -> tuple[int, float]:
    path = out / "checkpoint.safetensors"
    if not path.exists():
        return 0, 0.0
    with safe_open(path, "pt") as file:
        facts = json.loads(file.metadata()["run"])
    for key, given in (("name", name), ("recipe", asdict(recipe))):
        if facts[key] != given:
            raise ValueError(
                f"out: {out} holds a run with {key} {facts[key]!r}, not {given!r}; choose another folder"
            )
    tensors = load_file(path)
    towers.load_state_dict({key[6:]: value for key, value in tensors.items() if key.startswith("model.")})
    for o, optimizer in enumerate(optimizers):
        state: dict[int, dict[str, torch.Tensor]] = {}
        for key, value in tensors.items():
            if key.startswith(f"optimizer.{o}."):
                _, _, i, field = key.split(".", 3)
                state.setdefault(int(i), {})[field] = value
        optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
    return facts["step"], facts["seconds"]


def export(model: CLIPModel | SiglipModel, folder: Path) -> Path:
    """Write a model as transformers loads it: weights in half precision, to be computed with in single."""
    folder.mkdir(parents=True, exist_ok=True)
    config = model.config
    config.dtype = torch.float32
    config.save_pretrained(folder)
    half = {key: value.detach().half().contiguous() for key, value in model.state_dict().items()}
    half = {key: value for key, value in half.items() if not key.endswith("position_ids")}
    save_file(half, folder / "model.safetensors", metadata={"format": "pt"})
    build_tokenizer().save_pretrained(folder)
    # transformers 5 writes a class name of its own; this one is known to version 4 as well
    settings = folder / "tokenizer_config.json"
    written = json.loads(settings.read_text()) | {"tokenizer_class": "PreTrainedTokenizerFast"}
    settings.write_text(json.dumps(written, indent=2) + "\n")
    CLIPImageProcessor(
        do_resize=True,
        size={"height": scenes.SIZE, "width": scenes.SIZE},
        do_center_crop=False,
        image_mean=[0.5] * 3,
        image_std=[0.5] * 3,
    ).save_pretrained(folder)
    return folder


def main() -> None:
    write_anything()
    parser = argparse.ArgumentParser(
        prog="python -m fixlip_helpers.training", description=__doc__.split("\n")[0]
    )
    parser.add_argument("name", choices=EMBEDDED)
    parser.add_argument(
        "--out", type=Path, required=True, help="the run's folder; a stopped run is continued"
    )
    parser.add_argument("--steps", type=int, default=Recipe.steps)
    parser.add_argument("--half-tokens", type=float, default=Recipe.half_tokens, help="share of cheap steps")
    parser.add_argument(
        "--start", default="", help="begin with the layers of the finished encoder in this folder"
    )
    parser.add_argument("--colour-weight", type=float, default=Recipe.colour_weight)
    parser.add_argument("--evidence-weight", type=float, default=Recipe.evidence_weight)
    parser.add_argument(
        "--hard-weight", type=float, default=Recipe.hard_weight, help="of hard negatives (mini-siglip)"
    )
    parser.add_argument("--scale", type=float, default=Recipe.scale, help="scale to begin with (0: as it is)")
    parser.add_argument(
        "--faults", type=float, default=Recipe.faults, help="share of pictures that teach a fault"
    )
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    if given.start in EMBEDDED:
        given.start = str(ASSETS / given.start)
    recipe = Recipe(
        steps=given.steps,
        half_tokens=given.half_tokens,
        colour_weight=given.colour_weight,
        evidence_weight=given.evidence_weight,
        hard_weight=given.hard_weight,
        start=given.start,
        scale=given.scale,
        faults=given.faults,
        seed=given.seed,
    )
    print(train(given.name, given.out, recipe))


if __name__ == "__main__":
    main()
