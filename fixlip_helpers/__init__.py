"""Explaining image-text similarity: from coalitions to FIxLIP.

Games, designs, estimators and explanations are loaded at once and need little; torch, transformers and
SciPy are loaded when something first needs them.
"""

from importlib import import_module

from fixlip_helpers import maps
from fixlip_helpers.checkpoints import Checkpointed
from fixlip_helpers.coalitions import Design
from fixlip_helpers.explanation import Explanation
from fixlip_helpers.fixlip import fixlip
from fixlip_helpers.games import (
    EmbeddingTableGame,
    ExplanationGame,
    Game,
    TableGame,
    TwoSidedGame,
    precision_report,
)
from fixlip_helpers.matrix import explain_matrix
from fixlip_helpers.metrics import faithfulness, pointing_game
from fixlip_helpers.show import Pictured
from fixlip_helpers.sides import Side, combine, fit_side
from fixlip_helpers.vision_language import VisionLanguageGame

__version__ = "0.1.0"

# Explanations and sides know that pictures can be drawn, not how: who does is put in here, above all rooms.
Pictured.artist = maps

_LATER = {"load_model": "models", "available_models": "models", "TwoTower": "two_tower"}

__all__ = [
    "Checkpointed",
    "Design",
    "EmbeddingTableGame",
    "Explanation",
    "ExplanationGame",
    "Game",
    "Side",
    "TableGame",
    "TwoSidedGame",
    "TwoTower",
    "VisionLanguageGame",
    "available_models",
    "combine",
    "explain_matrix",
    "faithfulness",
    "fit_side",
    "fixlip",
    "load_model",
    "pointing_game",
    "precision_report",
]


def __getattr__(name: str):
    if name not in _LATER:
        raise AttributeError(f"module 'fixlip_helpers' has no attribute {name!r}")
    return getattr(import_module(f"fixlip_helpers.{_LATER[name]}"), name)
