"""Make the README's picture: the hero scene, explained by the embedded encoder with the default settings.

The card on the page "Start here" is narrow: it shows the pairs alone.
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
card, ax = plt.subplots(figsize=(4.2, 2.6), layout="constrained")
top_pairs(explanation, hero.image, k=8, ax=ax)
card.savefig(STATIC / "hero_pairs.png", dpi=160)
print(f"{STATIC}: held-out R² {explanation.meta['held_out_r2']:.3f}")
