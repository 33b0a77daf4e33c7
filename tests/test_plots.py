"""Figures: against stored pictures, and the numbers and colours that they are made of.

After a change that is meant, look at the new pictures and store them:
``pytest tests/test_plots.py --mpl-generate-path=tests/baseline``.
"""

from __future__ import annotations

from types import SimpleNamespace

import matplotlib as mpl
import numpy as np
import pytest
from PIL import Image

mpl.use("Agg")

from matplotlib import pyplot as plt

from fixlip_helpers import plots, show
from fixlip_helpers.datasets import published_clip
from fixlip_helpers.explanation import Explanation

# Root mean square of the difference in grey levels that other versions of matplotlib's renderer may make.
# Red for blue, a shifted map or a missing link are well above it (see test_the_tolerance_would_catch_a_swap).
TOLERANCE = 6.0
compared = pytest.mark.mpl_image_compare(tolerance=TOLERANCE, savefig_kwargs={"dpi": 60}, style="default")


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


@pytest.fixture(scope="module")
def published():
    return published_clip()


def ramp(width: int = 120, height: int = 120) -> Image.Image:
    """A smooth picture: darker to the right and below."""
    x, y = np.meshgrid(np.linspace(255, 40, width), np.linspace(255, 90, height))
    return Image.fromarray(np.dstack([x, y, (x + y) / 2]).astype(np.uint8))


def small(rows: int = 2, columns: int = 3, words=("red", "kite"), seed: int = 0, **meta) -> Explanation:
    """A random explanation of a small grid and a short caption."""
    rng = np.random.default_rng(seed)
    n = rows * columns + len(words)
    pairs = np.triu(rng.normal(size=(n, n)), 1)
    names = [f"patch {r},{c}" for r in range(rows) for c in range(columns)] + list(words)
    facts = {"grid": [rows, columns], "caption": " ".join(words), "model": "m", "method": "FIxLIP"} | meta
    return Explanation(
        0.5, 0.1, rng.normal(size=n), pairs + pairs.T, "FWBII", 0.5, names, rows * columns, len(words), facts
    )


# --- Pictures -----------------------------------------------------------------------------------------------


def test_pictures_are_compared(request):
    """Without the plugin's option the tests below would draw and compare nothing."""
    assert request.config.getoption("--mpl") or request.config.getoption("--mpl-generate-path")


@compared
def test_image_of_a_word(published):
    image, explanations = published
    return plots.heat(explanations["FIxLIP"], image, "dog").figure


@compared
def test_image_of_first_order_values():
    return plots.heat(small(), ramp(150, 100)).figure


@compared
def test_image_on_the_original_of_a_cropped_picture():
    picture = SimpleNamespace(original=ramp(200, 120), box=(40.0, 0.0, 160.0, 120.0))
    return plots.heat(small(3, 3), picture, "kite").figure


@compared
def test_image_of_a_grid_of_words():
    return plots.heat_grid(small(words=("a", "red", "kite", "on", "grass")), ramp(), columns=3)


@compared
def test_image_of_word_bars():
    return plots.word_bars(small(words=("a", "red", "kite", "on", "grass"))).figure


@compared
def test_image_of_top_pairs():
    return plots.top_pairs(small(words=("a", "red", "kite")), ramp(150, 100), 5).figure


@compared
def test_image_of_predictions():
    actual = np.random.default_rng(0).normal(size=80)
    return plots.prediction_scatter(actual, actual + 0.3 * np.sin(7 * actual), label="held out").figure


@compared
def test_image_of_an_explanation(published):
    image, explanations = published
    return plots.explanation_figure(explanations["FIxLIP"], image)


@compared
def test_image_of_a_first_order_explanation(published):
    image, explanations = published
    return plots.explanation_figure(explanations["GAME"], image)


def test_the_tolerance_would_catch_a_swap(published, monkeypatch):
    image, explanations = published

    def render():
        figure = plots.heat(explanations["FIxLIP"], image, "dog").figure
        figure.set_dpi(60)
        figure.canvas.draw()
        return np.asarray(figure.canvas.buffer_rgba())[..., :3].astype(float)

    right = render()
    monkeypatch.setattr(plots, "RAISES", plots.LOWERS)
    assert np.sqrt(((render() - right) ** 2).mean()) > 2 * TOLERANCE


# --- Colours and scales -------------------------------------------------------------------------------------


def test_red_raises_blue_lowers_and_strength_is_linear():
    colours = plots.heat_colours(np.array([-2.0, -1.0, 0.0, 1.0, 2.0, 9.0]), limit=2.0)
    assert (colours[3:, 0] > colours[3:, 2]).all() and (colours[:2, 2] > colours[:2, 0]).all()
    np.testing.assert_allclose(colours[:, 3], [0.9, 0.45, 0, 0.45, 0.9, 0.9])


def rendered_patch(ax, explanation, patch):
    """Mean colour, (3,), of the inner part of a patch as drawn, far from the lines between patches."""
    ax.figure.canvas.draw()
    pixels = np.asarray(ax.figure.canvas.buffer_rgba())[..., :3].astype(float)
    rows, columns = explanation.meta["grid"]
    box = ax.get_window_extent()
    x = box.x0 + (patch % columns + 0.5) * box.width / columns
    y = pixels.shape[0] - box.y1 + (patch // columns + 0.5) * box.height / rows
    return pixels[int(y) - 4 : int(y) + 4, int(x) - 4 : int(x) + 4].mean(axis=(0, 1))


def test_the_patch_that_raises_is_drawn_red_where_it_lies():
    explanation = small(3, 3)
    explanation.pairs[:] = 0
    explanation.pairs[1, 9] = explanation.pairs[9, 1] = 2.0  # upper row, middle
    explanation.pairs[6, 9] = explanation.pairs[9, 6] = -2.0  # lower left
    ax = plots.heat(explanation, Image.new("RGB", (90, 90), "grey"), "red")
    red, blue, none = (rendered_patch(ax, explanation, patch) for patch in (1, 6, 4))
    assert red[0] > red[2] + 80 and blue[2] > blue[0] + 80
    assert np.ptp(none) < 2  # grey


def test_maps_of_different_words_share_one_scale():
    explanation = small()
    limit = np.abs(explanation.cross_modal()).max()
    for word in ("red", "kite"):
        heat = plots.heat(explanation, ramp(), word).images[-1].get_array()
        column = explanation.cross_modal()[:, show.word_index(explanation, word)].reshape(2, 3)
        np.testing.assert_allclose(heat[..., 3], 0.9 * np.abs(column) / limit)


def test_heat_lies_in_the_box_that_the_encoder_sees():
    picture = SimpleNamespace(original=ramp(200, 120), box=(40.0, 0.0, 160.0, 120.0))
    ax = plots.heat(small(), picture, "kite")
    assert tuple(ax.images[-1].get_extent()) == (40, 160, 120, 0)
    assert ax.get_xlim() == (0, 200) and ax.get_ylim() == (120, 0)


def test_limit_of_nothing_is_one():
    assert show.colour_limit(np.zeros(3)) == show.colour_limit(np.array([])) == 1.0
    assert show.colour_limit(np.array([-3.0, 1.0]), np.array([2.0])) == 3.0


def test_settings_of_the_caller_are_left_alone():
    before = mpl.rcParams.copy()
    plots.explanation_figure(small(), ramp())
    assert mpl.rcParams == before


def test_figures_have_a_white_ground_of_their_own():
    figure = plots.explanation_figure(small(), ramp())
    assert figure.get_facecolor() == (1, 1, 1, 1)


# --- What is drawn ------------------------------------------------------------------------------------------


def test_links_are_the_strongest_pairs():
    explanation = small()
    ax = plots.top_pairs(explanation, ramp(), 3)
    bold = {text.get_text() for text in ax.texts if text.get_weight() == "bold"}
    assert bold == {term.names[1] for term in explanation.top(3, "cross")}


def test_words_in_the_figure_stand_beside_their_bars():
    figure = plots.explanation_figure(small(words=("a", "red", "kite", "on", "grass", "far", "away")), ramp())
    figure.canvas.draw()
    links, bars = figure.axes[:2]
    for number, text in enumerate(links.texts):
        word_y = links.transData.transform((0, text.get_position()[1]))[1]
        bar_y = bars.transData.transform((0, number))[1]
        assert word_y == pytest.approx(bar_y, abs=1)


def test_long_captions_show_the_strongest_maps_only():
    explanation = small(words=[f"w{i}" for i in range(30)])
    maps = [ax for ax in plots.heat_grid(explanation, ramp()).axes if ax.images]
    assert len(maps) == plots.MOST_MAPS
    weakest = np.abs(explanation.cross_modal()).sum(axis=0).argmin()
    assert f"w{weakest}" not in {text.get_text() for ax in maps for text in ax.texts}


@pytest.mark.parametrize("size", [(400, 60), (60, 400)])
def test_wide_and_tall_pictures_fit_the_page(size):
    figure = plots.explanation_figure(small(words=[f"word{i}" for i in range(12)]), ramp(*size))
    assert figure.get_size_inches()[1] < 40
    for ax in figure.axes:
        box = ax.get_position()
        assert box.x0 >= 0 and box.x1 <= 1.001 and box.y0 >= 0 and box.y1 <= 1.001


def test_bars_carry_their_numbers():
    ax = plots.value_bars(np.array([1.5, -0.25, 0.0]), ["a", "b", "c"])
    assert [text.get_text() for text in ax.texts] == ["+1.50", "−0.25", "0.00"]


def test_scatter_shows_the_r2_of_what_it_draws():
    actual = np.array([0.0, 1.0, 2.0, 3.0])
    assert "R² = 1.000" in plots.prediction_scatter(actual, actual).get_title()
    assert "R² = 0.000" in plots.prediction_scatter(actual, np.full(4, 1.5)).get_title()
    assert "R² = −3.000" in plots.prediction_scatter(actual, 3 - actual).get_title()


# --- Words about an explanation -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "digits", "text"), [(-1.9, 2, "−1.90"), (2, 1, "+2.0"), (-0.001, 2, "0.00"), (0, 0, "0")]
)
def test_signed(value, digits, text):
    assert plots.signed(value, digits) == text


@pytest.mark.parametrize(("limit", "digits"), [(250, 0), (13.2, 1), (2.7, 2), (0.142, 3), (0.0062, 5)])
def test_digits_show_three_figures(limit, digits):
    assert show.digits_for(limit) == digits


@pytest.mark.parametrize(
    ("r2", "word"),
    [(0.95, "good"), (0.9, "good"), (0.89, "fair"), (0.7, "fair"), (0.69, "poor"), (-3, "poor"),
     (None, "not measured"), (float("nan"), "not measured")],
)  # fmt: skip
def test_judgement(r2, word):
    assert show.judgement(r2).startswith(word)


def test_scores_and_headline():
    explanation = small(full_value=2.0, held_out_r2=0.81)
    predicted = float(explanation.predict(np.ones((1, 8), dtype=bool))[0])
    assert [number for *_, number in show.scores(explanation)] == [2.0, predicted, predicted - 2.0, 0.81]
    assert "held-out R² = 0.810 (fair)" in show.headline(explanation)


def test_published_scores_claim_nothing_that_is_unknown(published):
    numbers = [number for *_, number in show.scores(published[1]["FIxLIP"])]
    assert numbers[0] is None and numbers[2] is None
    assert numbers[1] == pytest.approx(13.59, abs=0.01)


def test_alt_text_says_what_the_figure_shows(published):
    explanation = published[1]["FIxLIP"]
    assert "sum +12.12" in show.alt_text(explanation, "dog")
    assert "raises most with it: the patch in row 5, column 1 (+1.28)" in show.alt_text(explanation, "dog")
    assert "black −1.90" in show.alt_text(explanation)
    assert "hydr with the patch in row 5, column 6 +1.52" in show.alt_text(explanation)


def test_words_by_name_or_place():
    explanation = small(words=("a", "dog", "a"))
    assert show.word_index(explanation, "dog") == show.word_index(explanation, 1) == 1
    with pytest.raises(ValueError, match=r"'a' occurs at the positions \[0, 2\]"):
        show.word_index(explanation, "a")
    with pytest.raises(ValueError, match="'cat'; expected one of"):
        show.word_index(explanation, "cat")
    for place in (3, -1, True):
        with pytest.raises(ValueError, match="word = "):
            show.word_index(explanation, place)


def test_what_cannot_be_drawn_is_refused():
    merged = small().merge({"left": [0, 1]})
    for draw in (plots.heat, plots.top_pairs, plots.explanation_figure):
        with pytest.raises(ValueError, match="before patches are merged"):
            draw(merged, ramp())
    with pytest.raises(ValueError, match="expected \\(rows, columns\\)"):
        plots.patch_heat(np.zeros(4), ramp())
    with pytest.raises(ValueError, match="there are 3 names"):
        plots.value_bars(np.zeros(2), ["a", "b", "c"])
    with pytest.raises(ValueError, match="m >= 2"):
        plots.prediction_scatter(np.zeros(1), np.zeros(1))
