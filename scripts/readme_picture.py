"""Make the README's picture: the hero scene, explained by the embedded encoder with the default settings.

On the front page there is less room: it shows the pairs alone, and so does the card of a shared link.
"""

from pathlib import Path

import matplotlib.pyplot as plt

from fixlip_helpers import VisionLanguageGame, fixlip, load_model
from fixlip_helpers.plots import explanation_figure, top_pairs
from fixlip_helpers.scenes import examples

STATIC = Path(__file__).resolve().parent.parent / "book" / "_static"

hero = examples()["hero"]
explanation = fixlip(VisionLanguageGame(load_model("mini-clip"), hero.image, hero.caption))
explanation_figure(explanation, hero.image).savefig(STATIC / "hero.png", dpi=100)
small, ax = plt.subplots(figsize=(4.2, 2.6), layout="constrained")
top_pairs(explanation, hero.image, k=8, ax=ax)
small.savefig(STATIC / "hero_pairs.png", dpi=160)

card = plt.figure(figsize=(6, 3.15))  # 1200 × 630 pixels
top_pairs(explanation, hero.image, k=8, ax=card.add_axes((0.02, 0.05, 0.58, 0.9)))
card.text(
    0.63,
    0.72,
    "Explaining\nimage–text\nsimilarity",
    fontsize=17,
    weight="bold",
    va="center",
    linespacing=1.25,
)
card.text(
    0.63,
    0.34,
    "Which patches and\nwhich words, together,\nmade that score?",
    fontsize=10.5,
    va="center",
    linespacing=1.35,
)
card.savefig(STATIC / "card.png", dpi=200)
print(f"{STATIC}: held-out R² {explanation.meta['held_out_r2']:.3f}")
