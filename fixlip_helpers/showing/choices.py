"""One of several, chosen by the reader: what views, guesses, replies and recall questions are made of.

:class:`Choices` is HTML that needs no kernel and no library: radio buttons, each followed by its panel, and a style
that shows the chosen one's. It is the same in JupyterLab, Notebook, Colab, VS Code and on a page; where a program
keeps neither styles nor scripts (a saved notebook that is not trusted, GitHub), labels and panels are read one after
another.
"""

from __future__ import annotations

import hashlib
import html
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

KEYS = 'data-lm-suppress-shortcuts="true"'  # JupyterLab leaves the arrow keys to what has this attribute


def web() -> Path:
    """The folder of styles and scripts: inside an installed package, beside it in a checkout."""
    package = Path(__file__).parents[1]
    return next(folder for folder in (package / "web", package.parent / "web") if folder.is_dir())


@cache
def _source(name: str) -> str:
    return (web() / name).read_text(encoding="utf-8").strip()


@dataclass(frozen=True)
class Choices:
    """A row or list of choices; a notebook shows it as the last line of a cell.

    Attributes
    ----------
    labels : tuple of k str
        What is chosen from.
    panels : tuple of k str, or empty
        HTML that belongs to each label; empty: the choice is all.
    legend : str
        What is chosen.
    selected : int, optional
        Which label is chosen at first; default: none.
    listed : bool
        One below the other, each panel right below its label, and on paper all of them: for sentences.
    guess, replies_to : str, optional
        The replies of one page follow its guess of the same name.
    noted : str, optional
        A sentence that appears with the first choice.
    """

    labels: tuple[str, ...]
    panels: tuple[str, ...] = ()
    legend: str = ""
    selected: int | None = None
    listed: bool = False
    guess: str | None = None
    replies_to: str | None = None
    noted: str | None = None

    def __repr__(self) -> str:
        marked = (
            f"({'•' if number == self.selected else ' '}) {label}" for number, label in enumerate(self.labels)
        )
        return "  ".join([*([f"{self.legend}:"] if self.legend else []), *marked])

    def _repr_html_(self) -> str:
        linked = self.guess is not None or self.replies_to is not None
        script = f"\n<script>\n{_source('choices.js')}\n</script>" if linked else ""
        return f"<style>\n{_source('choices.css')}\n</style>\n{self.form()}{script}"

    def form(self) -> str:
        """The choices alone, for a page that has the style already."""
        classes = "fx-choices" + " fx-list" * self.listed + " fx-guess" * (self.guess is not None)
        names = {"data-guess": self.guess, "data-replies-to": self.replies_to}
        linked = "".join(f' {name}="{value}"' for name, value in names.items() if value is not None)
        options = []
        for number, label in enumerate(self.labels):
            checked = " checked" if number == self.selected else ""
            options.append(
                f'<label><input type="radio" name="choice" value="{number}"{checked} {KEYS}>'
                f"<span>{html.escape(label)}</span></label>"
            )
            if self.panels:
                options.append(f'<div class="fx-panel">{self.panels[number]}</div>')
        # A form keeps the names of its buttons to itself, and this one sends nothing.
        lines = [
            f'<form class="{classes}" method="dialog"{linked}>',
            "<fieldset>",
            f"<legend>{html.escape(self.legend)}</legend>" if self.legend else "",
            '<div class="fx-options" aria-live="polite">',
            *options,
            "</div>",
            f'<p class="fx-noted" role="status" hidden>{html.escape(self.noted)}</p>' if self.noted else "",
            "</fieldset>",
            "</form>",
        ]
        return "\n".join(line for line in lines if line)


def name_of(labels: Sequence[str]) -> str:
    """The name by which replies know their guess: it follows from the choices."""
    return hashlib.sha256("\n".join(labels).encode()).hexdigest()[:12]
