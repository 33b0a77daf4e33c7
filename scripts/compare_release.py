"""Compare this package with the code that the FIxLIP paper's authors released, number by number.

    git clone https://github.com/hbaniecki/fixlip
    python scripts/compare_release.py fixlip

Runs the released functions and ours on the same inputs, and writes results/release.json and results/release.md, which
the page on reproduction shows. Nothing of the released code is in this repository: it is imported from the clone. The
encoders are architectures of the paper with random weights (tests/stand_ins.py), so that nothing is downloaded; two
minutes on a core.
"""

from __future__ import annotations

import argparse
import copy
import importlib
import json
import subprocess
import sys
import types
import warnings
from collections.abc import Callable
from datetime import date
from importlib.metadata import version
from math import comb
from pathlib import Path

import numpy as np
import torch
from transformers import CLIPProcessor, SiglipProcessor

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests"))

import stand_ins  # noqa: E402
import test_full_size  # noqa: E402

from fixlip_helpers import VisionLanguageGame, fixlip, pointing_game  # noqa: E402
from fixlip_helpers.baselines import exclip  # noqa: E402
from fixlip_helpers.coalitions import Design, authors_split, border_released  # noqa: E402
from fixlip_helpers.datasets import published_clip  # noqa: E402
from fixlip_helpers.explanation import Explanation  # noqa: E402
from fixlip_helpers.games import random_embeddings  # noqa: E402
from fixlip_helpers.metrics import Faithfulness, quarter_cells, statistics  # noqa: E402
from fixlip_helpers.metrics.subsets import greedy_chains  # noqa: E402
from fixlip_helpers.models import VisionLanguageModel  # noqa: E402
from fixlip_helpers.released import open_stored  # noqa: E402
from fixlip_helpers.sides import r_squared  # noqa: E402
from fixlip_helpers.wls import solve_dense, solve_product  # noqa: E402

OUT = ROOT / "results"
CAPTION = stand_ins.CAPTION
ROWS: list[tuple[str, str, Callable]] = []


def row(what: str, size: str) -> Callable:
    """Register a comparison: it gives the largest difference, and what that is relative to (1: in its own unit)."""

    def note(compare: Callable) -> Callable:
        ROWS.append((what, size, compare))
        return compare

    return note


# --- What is compared ---------------------------------------------------------------------


def released(clone: Path) -> types.SimpleNamespace:
    """The released modules, without their package's plots, which need libraries that nothing here needs."""
    package = types.ModuleType("src")
    package.__path__ = [str(clone / "src")]
    sys.modules["src"] = package
    sys.modules.setdefault("clip", types.ModuleType("clip"))  # OpenAI's; see openai_stand_in
    names = ("fixlip", "sampler", "game_huggingface", "game_openai", "evaluation", "utils", "clique")
    modules = {name: importlib.import_module(f"src.{name}") for name in names}
    return types.SimpleNamespace(clone=clone, **modules)


def encoders() -> dict[str, tuple[VisionLanguageModel, object]]:
    """Ours and a transformers processor around the same random network, of each family."""
    clip = test_full_size.build("openai/clip-vit-base-patch32")
    small = {name: stand_ins.small_model(name) for name in ("siglip", "siglip2")}
    found = {}
    for name, model in {"CLIP": clip, **small}.items():
        kind = CLIPProcessor if name == "CLIP" else SiglipProcessor
        tokenizer = model.tokenizer
        if name == "siglip2":  # as the hub's: ended by EOS, padded on the right
            tokenizer = stand_ins.gemma_tokenizer()
            tokenizer.padding_side, tokenizer.add_eos_token = "right", True
            tokenizer.update_post_processor()
        processor = kind(image_processor=model.image_processor, tokenizer=tokenizer)
        model.network.name_or_path = model.name
        found[name] = model, processor
    return found


def openai_stand_in(model: VisionLanguageModel) -> torch.nn.Module:
    """The same network behind the interface of OpenAI's package, and its tokenizer in ``clip.tokenize``."""

    class Stand(torch.nn.Module):
        context_length = 77

        def __init__(self) -> None:
            super().__init__()
            self.network = model.network
            self.visual = types.SimpleNamespace(input_resolution=model.image_size)

        def forward(self, pixels: torch.Tensor, ids: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            found = self.network(input_ids=ids.long(), pixel_values=pixels)
            return found.logits_per_image, found.logits_per_text

    def tokenize(texts: list[str]) -> torch.Tensor:
        rows = [model.tokenize(text).input_ids[0].tolist() for text in texts]
        return torch.tensor([one + [0] * (77 - len(one)) for one in rows])

    sys.modules["clip"].tokenize = tokenize
    return Stand()


class OpenAIClip(torch.nn.Module):
    """A CLIP of transformers with the parts that OpenAI's has, by their names: what exCLIP's wrapper hooks into."""

    def __init__(self, network: torch.nn.Module) -> None:
        super().__init__()
        text, vision = network.text_model, network.vision_model
        self.token_embedding, self.ln_final = text.embeddings.token_embedding, text.final_layer_norm
        self.positional_embedding = text.embeddings.position_embedding.weight
        self.text_projection = network.text_projection.weight.T
        self.transformer = Blocks(text.encoder.layers, causal=True)
        self.visual = torch.nn.Module()
        self.visual.transformer = Blocks(vision.encoder.layers, causal=False)
        self.before, self.after = (vision.embeddings, vision.pre_layrnorm), vision.post_layernorm
        self.project, self.logit_scale, self.dtype = (
            network.visual_projection,
            network.logit_scale,
            torch.float32,
        )

    def encode_image(self, pixels: torch.Tensor) -> torch.Tensor:
        embed, norm = self.before
        hidden = self.visual.transformer(norm(embed(pixels)).permute(1, 0, 2))
        return self.project(self.after(hidden[0]))


class Block(torch.nn.Module):
    """A layer that takes (positions, batch, width), as OpenAI's do."""

    def __init__(self, layer: torch.nn.Module, causal: bool) -> None:
        super().__init__()
        self.layer, self.causal = layer, causal

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        n = len(hidden)
        mask = torch.full((n, n), -torch.inf).triu(1)[None, None] if self.causal else None
        found = self.layer(hidden.permute(1, 0, 2), mask)
        return (found[0] if isinstance(found, tuple) else found).permute(1, 0, 2)


class Blocks(torch.nn.Module):
    """``resblocks`` one after the other."""

    def __init__(self, layers: torch.nn.ModuleList, causal: bool) -> None:
        super().__init__()
        self.resblocks = torch.nn.Sequential(*(Block(layer, causal) for layer in layers))

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        return self.resblocks(hidden)


def coalitions(m: int, n: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).random((m, n)) < 0.5


class Table:
    """A two-sided game with the methods that the released estimators call."""

    def __init__(self, game: object) -> None:
        self.game, self.normalization_value, self.n_players = game, game.empty_value(), game.n_players

    def value_function(self, rows: np.ndarray) -> np.ndarray:
        return self.game(np.asarray(rows, dtype=bool))

    def value_function_crossmodal(
        self, coalitions_image: np.ndarray, coalitions_text: np.ndarray
    ) -> np.ndarray:
        f = self.game.encode_images(np.asarray(coalitions_image, dtype=bool))
        g = self.game.encode_texts(np.asarray(coalitions_text, dtype=bool))
        return self.game.scale * f @ g.T + self.game.bias


def terms_of(values: object, n_image: int, p: float | None = None) -> np.ndarray:
    """All numbers of released interaction values: constant, main effects, pairs."""
    found = Explanation.from_shapiq(values, n_image, p=p)
    return flat(found.baseline, found.main, found.pairs)


def flat(baseline: float, main: np.ndarray, pairs: np.ndarray) -> np.ndarray:
    return np.concatenate([[baseline], main, pairs[np.triu_indices(len(main), 1)]])


def weighted_rows(sampler: object, n: int, p: float) -> tuple[np.ndarray, np.ndarray]:
    """The coalitions of a sampler of the release's, and the weights that it gives them."""
    rows = sampler.coalitions_matrix.astype(bool)
    kernel = np.array([p**k * (1 - p) ** (n - k) for k in range(n + 1)])[rows.sum(axis=1)]
    return rows, np.where(sampler.is_coalition_sampled, 1.0, kernel) * sampler.empirical_occurrences


# --- Rows ---------------------------------------------------------------------------------


@row("pixels of a photograph after preprocessing", "CLIP, 511 × 511 photograph")
def pixels(their: types.SimpleNamespace, models: dict) -> tuple[float, float]:
    model, processor = models["CLIP"]
    image = published_clip()[0]
    own = model.prepare_image(image).pixels.numpy()
    given = processor(images=image, text=CAPTION, return_tensors="pt")["pixel_values"][0].numpy()
    return np.abs(own - given).max(), 1.0


@row("token ids", "CLIP, SigLIP and SigLIP 2, a caption of 8 tokens")
def ids(their: types.SimpleNamespace, models: dict) -> tuple[float, float]:
    worst = 0
    for name, (model, processor) in models.items():
        padding = {} if name == "CLIP" else {"padding": "max_length", "max_length": 64}
        given = processor.tokenizer([CAPTION], return_tensors="pt", **padding)["input_ids"]
        own = model.tokenize(CAPTION).input_ids
        worst = max(worst, int((own != given[:, : own.shape[1]]).sum()) + abs(own.shape[1] - given.shape[1]))
    return worst, 1.0


def _games(their: types.SimpleNamespace, models: dict, name: str) -> tuple:
    model, processor = models[name]
    image = published_clip()[0]
    theirs = their.game_huggingface.VisionLanguageGame(
        model.network, processor, image, CAPTION, batch_size=16
    )
    return theirs, VisionLanguageGame(model, image, CAPTION, progress=False)


@row(
    "values of the game, whole coalitions",
    "CLIP ViT-B/32 (57 players), SigLIP and SigLIP 2 (24); 24 coalitions each",
)
def values(their: types.SimpleNamespace, models: dict) -> tuple[float, float]:
    worst = spread = 0.0
    for name in models:
        theirs, ours = _games(their, models, name)
        rows = coalitions(24, ours.n_players)
        got = theirs.value_function(rows)
        worst = max(worst, np.abs(got - ours(rows)).max())
        spread = max(spread, np.ptp(got))
    return worst, spread


@row("values of the game, all pairs of image and text coalitions", "CLIP ViT-B/32, 20 × 6")
def crossed(their: types.SimpleNamespace, models: dict) -> tuple[float, float]:
    theirs, ours = _games(their, models, "CLIP")
    image, text = coalitions(20, ours.n_image), coalitions(6, ours.n_text, 1)
    got = theirs.value_function_crossmodal(image, text)
    own = Table(ours).value_function_crossmodal(image, text)
    return np.abs(got - own).max(), np.ptp(got)


@row("values of the game in which token 289 takes a removed one's place", "CLIP ViT-B/32, 24 coalitions")
def replaced(their: types.SimpleNamespace, models: dict) -> tuple[float, float]:
    model, processor = models["CLIP"]
    image = published_clip()[0]
    other = copy.copy(model)
    other.hidden_token = 289

    def prepare(one: object) -> torch.Tensor:
        return processor(images=one, text="a", return_tensors="pt")["pixel_values"][0]

    theirs = their.game_openai.CLIPGame(openai_stand_in(model), prepare, image, CAPTION, 32, batch_size=12)
    ours = VisionLanguageGame(other, image, CAPTION, progress=False)
    rows = coalitions(24, ours.n_players)
    got = theirs.value_function(rows)
    return np.abs(got - ours(rows)).max(), np.ptp(got)


@row(
    "joint fit at p = 0.3 and 0.5, on the released sampler's coalitions",
    "10 players, 300 of 1 024 coalitions",
)
def joint(their: types.SimpleNamespace, models: dict) -> tuple[float, float]:
    worst = spread = 0.0
    game = random_embeddings(6, 4, seed=1)
    for p in (0.3, 0.5):
        fit = their.fixlip.FIxLIP(n_players=10, p=p, random_state=0)
        got = terms_of(fit.approximate(Table(game), 300), 6, p)
        rows, weights = weighted_rows(fit.sampler, 10, p)
        own = flat(*solve_dense(rows, game(rows) - game.empty_value(), weights, p))
        worst, spread = max(worst, np.abs(got - own).max()), max(spread, np.ptp(got))
    return worst, spread


@row(
    "cross-modal fit at p = 0.3 and 0.5, on the released sampler's coalitions",
    "12 + 6 players, 300 × 40 pairs",
)
def product(their: types.SimpleNamespace, models: dict) -> tuple[float, float]:
    worst = spread = 0.0
    game = random_embeddings(12, 6, seed=2)
    for p in (0.3, 0.5):
        fit = their.fixlip.FIxLIP(n_players_image=12, n_players_text=6, p=p, random_state=0)
        got = terms_of(fit.approximate_crossmodal(Table(game), budget_image=300, budget_text=40), 12, p)
        designs = []
        for sampler, n in ((fit.sampler_image, 12), (fit.sampler_text, 6)):
            rows, weights = weighted_rows(sampler, n, p)
            designs.append(Design(rows, weights / weights.sum(), p, "released", 0))
        f, g = game.encode_images(designs[0].coalitions), game.encode_texts(designs[1].coalitions)
        own = flat(*solve_product(f, g, *designs, game.scale, game.bias - game.empty_value()))
        worst, spread = max(worst, np.abs(got - own).max()), max(spread, np.ptp(got))
    return worst, spread


@row(
    "mean number of visible players under the released sampler (over other draws, so not equal to the digit)",
    "8 tokens, p = 0.3, 250 coalitions, 200 seeds each",
)
def sampler(their: types.SimpleNamespace, models: dict) -> tuple[float, float]:
    n, p, m, found = 8, 0.3, 250, []
    shares = np.array([comb(n, k) * p**k * (1 - p) ** (n - k) for k in range(n + 1)])
    for seed in range(200):
        theirs = their.sampler.CoalitionSampler(n, shares, random_state=seed)
        theirs.sample(m)
        rows, weights = weighted_rows(theirs, n, p)
        ours = border_released(n, p, m, seed)
        found.append(
            [w @ c.sum(axis=1) / w.sum() for w, c in ((weights, rows), (ours.weights, ours.coalitions))]
        )
    theirs, ours = np.array(found).mean(axis=0)
    return abs(theirs - ours), 1.0


@row(
    "how a budget is split between the sides", "all pairs of 1 to 60 patches and 1 to 20 tokens, six budgets"
)
def split(their: types.SimpleNamespace, models: dict) -> tuple[float, float]:
    differ = 0
    for n_image in range(1, 61):
        for n_text in range(1, 21):
            sizes = types.SimpleNamespace(n_players_image=n_image, n_players_text=n_text)
            for budget in (64, 1000, 2**15, 2**17, 2**19, 2**21):
                theirs = their.fixlip.FIxLIP.split_budget(sizes, budget)
                ours = authors_split(budget, n_image, n_text)
                differ += tuple(min(m, 2**n) for m, n in zip(theirs, (n_image, n_text), strict=True)) != ours
    return differ, 1.0


@row("first order from a second-order explanation", "the published one, 57 players")
def first_order(their: types.SimpleNamespace, models: dict) -> tuple[float, float]:
    clip = published_clip()[1]["FIxLIP"]
    theirs = their.utils.convert_iv_to_first_order(clip.to_shapiq(), 0.5)
    got = np.array([theirs.dict_values[(i,)] for i in range(57)])
    return np.abs(got - clip.first_order()).max(), np.ptp(got)


@row(
    "R², Pearson, Spearman, Kendall's tau, MSE, MAE, cosine of a faithfulness run",
    "12 + 6 players, 400 coalitions",
)
def scores(their: types.SimpleNamespace, models: dict) -> tuple[float, float]:
    game = random_embeddings(12, 6, seed=3)
    explanation = fixlip(game, n_image_coalitions=2048)
    relative = Explanation(
        explanation.baseline - game.empty_value(), None, explanation.main, explanation.pairs, "FWBII", 0.5,
        explanation.players, 12, 6,
    )  # fmt: skip
    judge = their.evaluation.eval_faithfulness_one_game
    (theirs,) = judge(Table(game), {"one": relative.to_shapiq()}, 400, instance_id=5)
    shares = np.array([comb(18, k) * 0.5**18 for k in range(19)])
    drawn = their.sampler.CoalitionSampler(18, shares, random_state=5)
    drawn.sample(400)
    rows = drawn.coalitions_matrix.astype(bool)
    nu, guess = game(rows) - game.empty_value(), relative.predict(rows)
    ours = {
        "r2": r_squared(nu, guess, np.full(400, 1 / 400)),
        "correlation": statistics.pearson_correlation(nu, guess),
        "spearman_correlation": statistics.spearman_correlation(nu, guess),
        "kendall_tau": statistics.kendall_tau(nu, guess),
    }
    others = Faithfulness(None, 0.0, 0.0, 0.5, nu, guess, np.full(400, 1 / 400)).others()
    ours |= {"mse": others["mse"], "mae": others["mae"], "cosine_similarity": others["cosine"]}
    return max(abs(theirs[name] - value) for name, value in ours.items()), 1.0


@row("sets of greedy chains, largest and smallest", "the published explanation, all 57 sizes")
def greedy(their: types.SimpleNamespace, models: dict) -> tuple[float, float]:
    clip = published_clip()[1]["FIxLIP"]
    largest, smallest = their.clique.get_cliques_greedy_mif_lif(clip.to_shapiq(), reverse=False)
    differ = 0
    for sets, high in ((largest, True), (smallest, False)):
        ours = greedy_chains(clip, largest=high).sets[1:]
        differ += int((sets.astype(bool) != ours).any(axis=1).sum())
    return differ, 1.0


@row(
    "pointing game of one word and, pooled, of four: mass and signs", "49 + 4 players, 20 random explanations"
)
def pointing(their: types.SimpleNamespace, models: dict) -> tuple[float, float]:
    cells = quarter_cells((7, 7))
    words, worst = ["cat", "goldfish", "plane", "pizza"], 0.0
    for seed in range(20):
        rng = np.random.default_rng(seed)
        pairs = np.triu(rng.normal(size=(53, 53)), 1)
        names = [f"patch {i}" for i in range(49)] + words
        one = Explanation(0.0, None, rng.normal(size=53), pairs + pairs.T, "FWBII", 0.5, names, 49, 4)
        cross = their.utils.get_crossmodal_subset(one.to_shapiq(), 49, 4)
        sums = []
        for k in range(4):
            parts = [
                their.utils.get_subset(
                    cross, list(np.append(np.flatnonzero(where), 49 + k)), rename_players=False
                )
                for where in (cells[k], np.any([cells[j] for j in range(4) if j != k], axis=0))
            ]
            inside, outside = (
                np.array([value for key, value in part.dict_values.items() if len(key) == 2])
                for part in parts
            )
            right = inside[inside > 0].sum() + np.abs(outside[outside < 0]).sum()
            wrong = outside[outside > 0].sum() + np.abs(inside[inside < 0]).sum()
            signs = ((inside > 0).sum() + (outside < 0).sum()) / (len(inside) + len(outside))
            sums.append((right, right + wrong, signs))
        sums, named = np.array(sums), dict(zip(words, cells, strict=True))
        ours = [
            pointing_game(one, named, ["cat"]),
            pointing_game(one, named, pooled=True),
            pointing_game(one, named, by="signs"),
        ]
        theirs = [sums[0, 0] / sums[0, 1], sums[:, 0].sum() / sums[:, 1].sum(), sums[:, 2].mean()]
        worst = max(worst, np.abs(np.subtract(ours, theirs)).max())
    return worst, 1.0


@row("exCLIP of the `exclip` folder, 20 steps, before the last layer", "a CLIP of 16 patches and 8 tokens")
def integrated(their: types.SimpleNamespace, models: dict) -> tuple[float, float]:
    model = stand_ins.small_model("clip")
    sys.path.insert(0, str(their.clone / "exclip"))
    wrapper = importlib.import_module("wrapper")
    picture, caption = model.prepare_image(published_clip()[0]), model.tokenize(CAPTION)
    ids = torch.zeros(1, 16, dtype=torch.long)  # as clip.tokenize: zeros after EOS
    ids[0, : caption.input_ids.shape[1]] = caption.input_ids
    network = copy.deepcopy(model.network).requires_grad_(
        True
    )  # its hooks need a graph from the parameters on
    theirs = wrapper.exCLIP(OpenAIClip(network), model.image_size, 16, device=torch.device("cpu"))
    with torch.enable_grad():
        table = theirs.attribute_prediction(ids, picture.pixels[None], 1, 1, N=20).numpy()
        own = exclip(model, picture, CAPTION, variant="released").cross_modal()
    got = table[1 : 1 + len(caption.players), 1:].T
    return np.abs(got - own).max(), np.ptp(got)


@row(
    "the four stored explanations, opened by `Explanation.from_shapiq`",
    "57 players; our copy is rounded to 1e-6",
)
def example_files(their: types.SimpleNamespace, models: dict) -> tuple[float, float]:
    worst = 0.0
    for key, name in (
        ("fixlip", "FIxLIP"),
        ("exclip", "exCLIP"),
        ("game", "GAME"),
        ("gradeclip", "Grad-ECLIP"),
    ):
        own = published_clip()[1][name]
        stored = open_stored(their.clone / "results" / f"dog_and_hydrant_{key}.pkl")
        opened = Explanation.from_shapiq(stored, 49)
        worst = max(worst, np.abs(opened.main - own.main).max(), np.abs(opened.pairs - own.pairs).max())
    return worst, 1.0


# --- The table ----------------------------------------------------------------------------


def compare(clone: Path) -> dict:
    """All comparisons, as results/release.json keeps them."""
    their, models = released(clone), encoders()
    rows = []
    for what, size, one in ROWS:
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")
            difference, scale = one(their, models)
        rows.append(
            {
                "what": what,
                "size": size,
                "difference": float(f"{difference:.2g}"),
                "range": float(f"{scale:.3g}"),
            }
        )
        print(f"{what} ({size}): {difference:.2g} of {scale:.3g}", flush=True)
    commit = subprocess.run(
        ["git", "-C", str(clone), "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False
    ).stdout.strip()
    versions = {name: version(name) for name in ("shapiq", "torch", "transformers", "numpy")}
    return {
        "command": "python scripts/compare_release.py fixlip", "commit": commit or "e89d704", "date": str(date.today()),
        "versions": versions, "rows": rows,
    }  # fmt: skip


def as_table(found: dict) -> str:
    """The table of the page on reproduction."""
    lines = ["| what | compared at | largest difference |", "|---|---|---|"]
    for one in found["rows"]:
        difference = "none" if one["difference"] == 0 else f"{one['difference']:.1g}"
        if one["range"] != 1 and one["difference"]:
            difference += f", where the values span {one['range']:.3g}"
        lines.append(f"| {one['what']} | {one['size']} | {difference} |")
    versions = ", ".join(f"{name} {number}" for name, number in found["versions"].items())
    said = f"Compared on {found['date']} with the release at commit `{found['commit']}`; {versions}."
    return "\n".join(lines) + f"\n\n{said}\n"


def main() -> None:
    """Compare, and write both files."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("clone", type=Path, help="a clone of github.com/hbaniecki/fixlip")
    clone = parser.parse_args().clone
    if not (clone / "src" / "fixlip.py").is_file():
        parser.error(f"{clone} holds no src/fixlip.py; expected a clone of github.com/hbaniecki/fixlip")
    found = compare(clone)
    (OUT / "release.json").write_text(
        json.dumps(found, indent=1, ensure_ascii=False) + "\n", encoding="utf-8"
    )
    (OUT / "release.md").write_text(as_table(found), encoding="utf-8")


if __name__ == "__main__":
    main()
