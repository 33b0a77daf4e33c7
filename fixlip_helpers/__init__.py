"""Explaining image-text similarity: from coalitions to FIxLIP.

The method is in the modules of this folder: games, coalitions, least squares, sides, explanations, metrics. Around it
are rooms: ``encoders``, ``showing``, ``world``, ``experiments``, ``commands``, ``checks``. Readers need not know them:
``fixlip_helpers.plots`` is ``fixlip_helpers.showing.plots``, one module under two names.

Games, designs, estimators and explanations are loaded at once and need little; torch, transformers and
SciPy are loaded when something first needs them.
"""

import sys
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from types import ModuleType

from fixlip_helpers.checkpoints import Checkpointed
from fixlip_helpers.coalitions import Design
from fixlip_helpers.encoders.matrix import explain_matrix
from fixlip_helpers.encoders.vision_language import VisionLanguageGame
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
from fixlip_helpers.metrics import faithfulness, pointing_game
from fixlip_helpers.show import Pictured
from fixlip_helpers.showing import maps
from fixlip_helpers.sides import Side, combine, fit_side

__version__ = "0.1.0"

# Explanations and sides know that pictures can be drawn, not how: who does is put in here, above all rooms.
Pictured.artist = maps

# The names by which readers know modules that live in a room.
SHORT_NAMES = {
    **dict.fromkeys(("models", "two_tower", "towers", "masking", "players"), "encoders"),
    **dict.fromkeys(("plots", "widgets", "notebook"), "showing"),
    **dict.fromkeys(("scenes", "faults", "scores", "training"), "world"),
    **dict.fromkeys(("datasets", "released"), "experiments"),
    "export": "commands",
}


class _ShortName(MetaPathFinder, Loader):
    """Imports ``fixlip_helpers.plots`` as what it is, ``fixlip_helpers.showing.plots``: the same module, not a copy."""

    def find_spec(self, fullname: str, path: object = None, target: object = None) -> ModuleSpec | None:
        package, _, name = fullname.rpartition(".")
        if package != __name__ or name not in SHORT_NAMES:
            return None
        return ModuleSpec(fullname, self, origin=self._own_spec(fullname).origin)

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        module = import_module(self._own_spec(spec.name).name)
        spec.loader_state = module.__spec__
        return module

    def exec_module(self, module: ModuleType) -> None:
        module.__spec__ = module.__spec__.loader_state  # it was executed under its own name

    def get_code(self, fullname: str) -> object:
        """For ``python -m fixlip_helpers.scores``."""
        own = self._own_spec(fullname)
        return own.loader.get_code(own.name)

    @staticmethod
    def _own_spec(fullname: str) -> ModuleSpec:
        """What is known of the module under the name of its room."""
        name = fullname.rpartition(".")[2]
        return find_spec(f"{__name__}.{SHORT_NAMES[name]}.{name}")


sys.meta_path.append(_ShortName())

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
