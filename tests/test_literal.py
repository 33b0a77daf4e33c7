"""Figures show a user's text as it is, whatever it holds and whatever the user's settings of matplotlib are."""

import json

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pytest
from click.testing import CliRunner
from fontTools.fontBuilder import FontBuilder
from fontTools.pens.ttGlyphPen import TTGlyphPen
from matplotlib import font_manager
from stand_ins import noise_image

from fixlip_helpers import cli, plots, show
from fixlip_helpers.commands import results
from fixlip_helpers.explanation import Explanation

SPELT = {
    "two dollars": "$$",
    "one dollar": "$5",
    "mathematics": "$x_1$",
    "broken mathematics": r"$\frac{$",
    "TeX": r"\alpha_{",
    "a percent and a hash": "100% #1 & ~^_{}",
    "braces": "{}}{",
    "a line break": "a\nb",
    "a tab and a null": "a\tb\0c",
    "half a surrogate pair": "\ud83d",
    "markup": "<b>&amp;</b>",
    "nothing to see": "\u200b",
    "right to left": "\u202eabc",
}
SETTINGS = [
    {"text.usetex": True, "image.origin": "lower", "figure.constrained_layout.use": True, "font.size": 30},
    {"axes.grid": True, "lines.linewidth": 8, "axes.spines.left": False, "figure.autolayout": True,
     "font.family": "serif", "path.sketch": (1, 100, 2), "axes.formatter.use_mathtext": True},
]  # fmt: skip


def explained(*words, caption=None, model="model"):
    words = [*words, "a"]
    n, rng = 4 + len(words), np.random.default_rng(0)
    pairs = np.triu(rng.normal(size=(n, n)), 1)
    meta = {"grid": [2, 2], "caption": caption or f"make {words[0]} fast", "model": model}
    names = [*map(str, range(4)), *words]
    return Explanation(
        1.0, 0.0, rng.normal(size=n), pairs + pairs.T, "FWBII", 0.5, names, 4, len(words), meta
    )


def drawn(explanation):
    """Figures with all that there is on figures, rendered."""
    image, text = noise_image(20, 20), explanation.players[4]
    axes = [
        plots.prediction_scatter(np.arange(4.0), np.arange(4.0) + 1, label=text),
        plots.patch_heat(np.eye(2), image, title=text, key=text),
    ]
    pixels = []
    for figure in [plots.explanation_figure(explanation, image), *(ax.figure for ax in axes)]:
        with plots.own_style(explanation):
            figure.set_dpi(40)
            figure.canvas.draw()
        pixels.append(np.asarray(figure.canvas.buffer_rgba()).copy())
        plt.close(figure)
    return pixels


def test_texts_of_any_kind_are_drawn_as_they_are():
    explanation = explained(
        *SPELT.values(), caption=" ".join(SPELT.values()), model=SPELT["broken mathematics"]
    )
    figure = plots.explanation_figure(explanation, noise_image(20, 20))
    figure.set_dpi(40)
    figure.canvas.draw()
    texts = [text for text in figure.findobj(mpl.text.Text) if text.get_text()]
    assert not any(text.get_usetex() or text.get_parse_math() for text in texts)
    assert {show.shortened(word, 16) for word in SPELT.values()} <= {text.get_text() for text in texts}
    plt.close(figure)
    drawn(explained(SPELT["half a surrogate pair"] + SPELT["broken mathematics"]))


def test_figures_are_the_same_under_any_settings_and_leave_them():
    explanation = explained("$x_1$")
    usual = drawn(explanation)
    for settings in SETTINGS:
        with mpl.rc_context(settings):
            before = mpl.rcParams.copy()
            for one, other in zip(usual, drawn(explanation), strict=True):
                np.testing.assert_array_equal(one, other)
            assert mpl.rcParams == before


def font_with(path, name, characters):
    """A font of squares for a few characters."""
    pen = TTGlyphPen(None)
    pen.moveTo((0, 0))
    for corner in ((0, 800), (800, 800), (800, 0)):
        pen.lineTo(corner)
    pen.closePath()
    font = FontBuilder(1000, isTTF=True)
    font.setupGlyphOrder([".notdef", "square"])
    font.setupCharacterMap({ord(c): "square" for c in characters})
    font.setupGlyf({".notdef": TTGlyphPen(None).glyph(), "square": pen.glyph()})
    font.setupHorizontalMetrics({".notdef": (1000, 0), "square": (1000, 0)})
    font.setupHorizontalHeader(ascent=800, descent=-200)
    font.setupNameTable(
        {
            "familyName": name,
            "styleName": "Regular",
            "uniqueFontIdentifier": name,
            "fullName": name,
            "psName": name,
        }
    )
    font.setupOS2(usWeightClass=400)
    font.setupPost()
    font.save(path)
    return path


@pytest.fixture
def fonts(monkeypatch):
    """Only the fonts that matplotlib ships are there, and those that a test adds."""
    shipped = [each for each in font_manager.fontManager.ttflist if "mpl-data" in each.fname]
    monkeypatch.setattr(font_manager.fontManager, "ttflist", shipped)
    plots._families.cache_clear()
    yield
    plots._families.cache_clear()


@pytest.mark.parametrize("word", ["字典", "मछली", "\U0001f436"])
def test_characters_that_no_font_has_are_said_once_and_drawn_as_boxes(word, fonts, recwarn):
    drawn(explained(word))
    said = [str(each.message) for each in recwarn if issubclass(each.category, plots.FontWarning)]
    assert said and all("no font that is installed here has them. Install one" in message for message in said)
    assert all(c in said[0] for c in word if c.isprintable())
    plots.explanation_figure(explained("a dog"), noise_image(20, 20))
    assert len([each for each in recwarn if issubclass(each.category, plots.FontWarning)]) == len(said)


def test_an_installed_font_is_taken_for_what_ours_lacks(fonts, tmp_path, recwarn):
    for name, characters in (("First Squares", "字"), ("Second Squares", "字典")):
        font_manager.fontManager.addfont(font_with(tmp_path / f"{name}.ttf", name, characters))
    figure = plots.explanation_figure(explained("字典 dog"), noise_image(20, 20))
    figure.canvas.draw()
    shown = next(text for text in figure.findobj(mpl.text.Text) if text.get_text() == "字典 dog")
    assert shown.get_fontfamily() == ["DejaVu Sans", "First Squares", "Second Squares"]
    plt.close(figure)
    assert not [
        each
        for each in recwarn
        if "Glyph" in str(each.message) or issubclass(each.category, plots.FontWarning)
    ]


# --- What cannot be drawn costs no number -----------------------------------------------------------------------------


def demo(tmp_path):
    return CliRunner().invoke(cli.fixlip, ["demo", "--out", str(tmp_path / "out")], standalone_mode=True)


@pytest.mark.parametrize("broken", ["explanation.png", "explanation.html"])
def test_a_figure_or_page_that_fails_costs_nothing_else(broken, tmp_path, monkeypatch):
    def fails(*_):
        raise RuntimeError("no ink")

    (tmp_path / "out").mkdir()
    (tmp_path / "out" / broken).write_text("of an earlier run")
    monkeypatch.setattr(results, {"explanation.png": "_draw", "explanation.html": "_page"}[broken], fails)
    result = demo(tmp_path)
    assert result.exit_code == 1
    assert f"{broken} could not be made (RuntimeError: no ink); explanation.json, " in result.output
    written = {path.name for path in (tmp_path / "out").iterdir()}
    assert written == {"explanation.json", "explanation.html", "explanation.png"} - {broken}
    assert json.loads((tmp_path / "out" / "explanation.json").read_text(encoding="utf-8"))["n_text"] == 8


def test_the_command_line_draws_under_a_users_settings(tmp_path, monkeypatch):
    """Also what is drawn only when the figure is saved."""
    with mpl.rc_context({"text.usetex": True, "savefig.format": "pdf", "image.origin": "lower"}):
        assert demo(tmp_path).exit_code == 0
    assert (tmp_path / "out" / "explanation.png").read_bytes().startswith(b"\x89PNG")
