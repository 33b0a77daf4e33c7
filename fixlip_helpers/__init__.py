"""Explaining image-text similarity: from coalitions to FIxLIP.

The names below are loaded when they are first used, so that ``import fixlip_helpers`` is fast
and toy games need no torch.
"""

from importlib import import_module

__version__ = "0.1.0"

_HOME = {
    "Design": "coalitions",
    "Game": "games",
    "TwoSidedGame": "games",
    "TableGame": "games",
    "EmbeddingTableGame": "games",
    "ExplanationGame": "games",
    "VisionLanguageGame": "games",
    "Explanation": "explanation",
    "Side": "sides",
    "fit_side": "sides",
    "combine": "sides",
    "fixlip": "fixlip",
    "faithfulness": "metrics",
    "pointing_game": "metrics",
    "load_model": "models",
    "available_models": "models",
}

__all__ = sorted(_HOME)


def __getattr__(name: str):
    if name not in _HOME:
        raise AttributeError(f"module 'fixlip_helpers' has no attribute {name!r}")
    return getattr(import_module(f"fixlip_helpers.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
