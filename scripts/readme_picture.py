"""Make the README's picture: the hero scene, explained by the embedded encoder with the default settings."""

from pathlib import Path

from fixlip_helpers import VisionLanguageGame, fixlip, load_model
from fixlip_helpers.plots import explanation_figure
from fixlip_helpers.scenes import examples

OUT = Path(__file__).resolve().parent.parent / "book" / "_static" / "hero.png"

hero = examples()["hero"]
explanation = fixlip(VisionLanguageGame(load_model("mini-clip"), hero.image, hero.caption))
explanation_figure(explanation, hero.image).savefig(OUT, dpi=100)
print(f"{OUT}: held-out R² {explanation.meta['held_out_r2']:.3f}")
