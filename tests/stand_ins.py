"""Stand-ins for what only the network could give: tokenizers and random networks of each family.

The tokenizers have the classes, special-token ids and habits of the real ones (CLIP's byte-level
BPE with ``</w>``, SigLIP's sentencepiece with one EOS that is also its padding, Gemma's BPE for
SigLIP 2), and a small vocabulary. The networks have random weights.
"""

from __future__ import annotations

import numpy as np
import torch
from tokenizers import Tokenizer, decoders, normalizers, pre_tokenizers, processors
from tokenizers.models import Unigram, WordLevel
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map_only
from transformers import (
    CLIPConfig,
    CLIPModel,
    CLIPTokenizer,
    GemmaTokenizer,
    PreTrainedTokenizerFast,
    SiglipConfig,
    SiglipModel,
)
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil
from transformers.models.siglip.image_processing_pil_siglip import SiglipImageProcessorPil

from fixlip_helpers.models import VisionLanguageModel

CAPTION = "black dog next to a yellow hydrant"
PIECES = ["black", "dog", "next", "to", "a", "yellow", "hydr", "ant"]  # as the real CLIP and SigLIP cut it
WORDS = ["a", "and", "black", "blue", "cat", "dog", "grass", "hydrant", "next", "on", "red", "to", "yellow"]


# --- Tokenizers ---------------------------------------------------------------------------


def clip_tokenizer() -> CLIPTokenizer:
    """CLIP's: 512 byte symbols first, BOS 49406, EOS 49407 = padding = unknown."""
    symbols = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocab = {symbol: i for i, symbol in enumerate(symbols + [s + "</w>" for s in symbols])}
    merges = []
    for piece in ["black</w>", "dog</w>", "next</w>", "to</w>", "yellow</w>", "hydr", "ant</w>"]:
        stem = piece.removesuffix("</w>")
        letters = [*stem[:-1], stem[-1] + ("</w>" if piece != stem else "")]
        _merge_left_to_right(letters, vocab, merges)
    vocab |= {"<|startoftext|>": 49406, "<|endoftext|>": 49407}
    return CLIPTokenizer(vocab=vocab, merges=merges)


def gemma_tokenizer() -> GemmaTokenizer:
    """SigLIP 2's: padding 0, EOS 1, BOS 2, unknown 3, bytes for what it lacks, spaces as ``▁``."""
    vocab = {token: i for i, token in enumerate(["<pad>", "<eos>", "<bos>", "<unk>", "<mask>"])}
    for symbol in [f"<0x{byte:02X}>" for byte in range(256)] + list("▁abcdefghijklmnopqrstuvwxyz"):
        vocab[symbol] = len(vocab)
    merges = []
    for piece in ["black", "▁dog", "▁next", "▁to", "▁a", "▁yellow", "▁hydr", "ant"]:
        _merge_left_to_right(list(piece), vocab, merges)
    return GemmaTokenizer(vocab=vocab, merges=merges)


def _merge_left_to_right(letters: list[str], vocab: dict[str, int], merges: list[tuple[str, str]]) -> None:
    """Add the merges that build one piece from its letters."""
    left = letters[0]
    for letter in letters[1:]:
        if (left, letter) not in merges:
            merges.append((left, letter))
        left += letter
        vocab.setdefault(left, len(vocab))


def siglip_tokenizer() -> PreTrainedTokenizerFast:
    """SigLIP's: EOS ``</s>`` 1 = padding, unknown 2, no BOS, words begin with ``▁``."""
    pieces = (
        ["<pad>", "</s>", "<unk>"]
        + ["▁" + p for p in PIECES[:-1]]
        + ["ant", "▁", *"abcdefghijklmnopqrstuvwxyz"]
    )
    scores = [0.0, 0.0, 0.0] + [-float(len(p) == 1) * 10 - 1 for p in pieces[3:]]
    backend = Tokenizer(Unigram(list(zip(pieces, scores, strict=True)), unk_id=2))
    backend.normalizer = normalizers.Lowercase()
    backend.pre_tokenizer = pre_tokenizers.Metaspace()
    backend.decoder = decoders.Metaspace()
    backend.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    return PreTrainedTokenizerFast(
        tokenizer_object=backend, eos_token="</s>", pad_token="</s>", unk_token="<unk>", model_max_length=64
    )


def word_tokenizer(eos_id: int = 4) -> PreTrainedTokenizerFast:
    """The embedded models': one token a word; padding 0, unknown 1, BOS 3, EOS 4."""
    vocab = {"<pad>": 0, "<unk>": 1, "<bos>": 3, "<eos>": eos_id}
    for word in ["reserved", *WORDS]:
        vocab[word] = next(i for i in range(2, 99) if i not in vocab.values())
    backend = Tokenizer(WordLevel(vocab, unk_token="<unk>"))
    backend.normalizer = normalizers.Lowercase()
    backend.pre_tokenizer = pre_tokenizers.Whitespace()
    backend.post_processor = processors.TemplateProcessing(
        single="<bos> $A <eos>", special_tokens=[("<bos>", 3), ("<eos>", eos_id)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=backend, pad_token="<pad>", unk_token="<unk>", bos_token="<bos>", eos_token="<eos>"
    )


# --- Networks -----------------------------------------------------------------------------

SMALL = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4}


def clip_network(image_size: int = 64, patch_size: int = 16, seed: int = 0, **text: int) -> CLIPModel:
    """A CLIPModel of 40 000 parameters; ``text`` sets entries of its text configuration."""
    torch.manual_seed(seed)
    config = CLIPConfig(
        text_config={**SMALL, "vocab_size": 64, "max_position_embeddings": 16, "eos_token_id": 4, **text},
        vision_config={**SMALL, "image_size": image_size, "patch_size": patch_size},
        projection_dim=24,
    )
    return spread(CLIPModel(config))


def siglip_network(image_size: int = 64, patch_size: int = 16, seed: int = 0, **text: int) -> SiglipModel:
    """A SiglipModel of the same size, with a scale and a bias like those of trained ones."""
    torch.manual_seed(seed)
    config = SiglipConfig(
        text_config={**SMALL, "vocab_size": 64, "max_position_embeddings": 16, **text},
        vision_config={**SMALL, "image_size": image_size, "patch_size": patch_size},
    )
    return spread(SiglipModel(config))


def spread(network: torch.nn.Module) -> torch.nn.Module:
    """Make an untrained network react to its input, and give SigLIP the scale and bias of a trained one."""
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            if parameter.ndim == 1 and name.endswith("bias"):
                parameter.normal_(std=0.1)
            elif "position_embedding" in name or "probe" in name or name.endswith("class_embedding"):
                parameter.normal_(std=0.5)
        if hasattr(network, "logit_bias"):
            network.logit_scale.fill_(4.7)
            network.logit_bias.fill_(-12.9)
    return network


def clip_processor(size: int = 64) -> CLIPImageProcessorPil:
    """CLIP's: short edge to ``size``, then the central square."""
    return CLIPImageProcessorPil(size={"shortest_edge": size}, crop_size={"height": size, "width": size})


def siglip_processor(size: int = 64) -> SiglipImageProcessorPil:
    """SigLIP's: the whole picture squeezed into a square."""
    return SiglipImageProcessorPil(size={"height": size, "width": size})


def small_model(family: str) -> VisionLanguageModel:
    """A random model of 4 × 4 patches, of one of the FAMILIES; "mini-" ones are like the embedded models."""
    if family == "clip":
        network = clip_network(vocab_size=49408, eos_token_id=2)
        return VisionLanguageModel(network, clip_tokenizer(), clip_processor(), "small-clip")
    if family == "siglip":
        network = siglip_network(max_position_embeddings=64)
        return VisionLanguageModel(network, siglip_tokenizer(), siglip_processor(), "small-siglip")
    if family == "siglip2":
        network = siglip_network(max_position_embeddings=64, vocab_size=512)
        return VisionLanguageModel(network, gemma_tokenizer(), siglip_processor(), "small-siglip2")
    if family == "mini-clip":
        return VisionLanguageModel(clip_network(), word_tokenizer(), clip_processor(), "small-mini-clip")
    return VisionLanguageModel(siglip_network(), word_tokenizer(), siglip_processor(), "small-mini-siglip")


FAMILIES = ["clip", "siglip", "siglip2", "mini-clip", "mini-siglip"]


def noise_image(width: int = 64, height: int = 64, seed: int = 0) -> np.ndarray:
    """Random colours, (height, width, 3) uint8: no two patches alike."""
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


# --- A device without float64 ---------------------------------------------------------------

NO_FLOAT64 = "lazy"  # torch asks of no hardware whether this one is there, as it does of Apple's "mps"


class Elsewhere(torch.Tensor):
    """A tensor that says that it is on another device; its numbers are on the CPU."""

    @staticmethod
    def __new__(cls, numbers):
        return torch.Tensor._make_wrapper_subclass(
            cls, numbers.size(), strides=numbers.stride(), dtype=numbers.dtype, device=NO_FLOAT64
        )

    def __init__(self, numbers):
        self.numbers = numbers

    def tolist(self):
        return self.numbers.tolist()

    __torch_function__ = torch._C._disabled_torch_function_impl

    @classmethod
    def __torch_dispatch__(cls, function, types, given, named=None):
        return _carried_out(function, given, named or {})


class Without64(TorchDispatchMode):
    """Within it there is a device :data:`NO_FLOAT64` that refuses float64 as Apple's does, and says so."""

    def __enter__(self):
        self._lifted = torch._C._only_lift_cpu_tensors()
        torch._C._set_only_lift_cpu_tensors(True)  # torch.tensor(..., device=...) then comes here, too
        return super().__enter__()

    def __exit__(self, *error):
        torch._C._set_only_lift_cpu_tensors(self._lifted)
        return super().__exit__(*error)

    def __torch_dispatch__(self, function, types, given, named=None):
        return _carried_out(function, given, named or {})


def _carried_out(function, given, named):
    """Do on the CPU what is asked for on that device, and refuse what that has not."""
    parts = [part for part in tree_leaves((given, named)) if isinstance(part, torch.Tensor)]
    there = any(isinstance(part, Elsewhere) for part in parts)
    target = named.get("device")
    if target is not None:
        there = torch.device(target).type == NO_FLOAT64
        named = named | {"device": torch.device("cpu")}
    given, named = tree_map_only(Elsewhere, lambda part: part.numbers, (given, named))
    made = function(*given, **named)

    def moved(part):
        if part.dtype in (torch.float64, torch.complex128):
            raise TypeError(
                "Cannot convert a MPS Tensor to float64 dtype as the MPS framework doesn't support float64."
            )
        return Elsewhere(part)

    return tree_map_only(torch.Tensor, moved, made) if there else made
