"""Views, guesses and replies, which need no kernel: small, with texts for readers who do not see them; and the page.

That they react: tests/test_built_book.py, on the page, and tests/test_notebook_programs.py.
"""

from __future__ import annotations

import base64
import html
import io
import json
import re

import matplotlib as mpl
import numpy as np
import pytest
from bs4 import BeautifulSoup
from PIL import Image

mpl.use("Agg")

from matplotlib import pyplot as plt
from test_plots import ramp, small

from fixlip_helpers import widgets
from fixlip_helpers.datasets import published_clip
from fixlip_helpers.explanation import Explanation
from fixlip_helpers.showing import maps


@pytest.fixture(scope="module")
def published():
    image, explanations = published_clip()
    return image, explanations["FIxLIP"]


def decoded(uri: str) -> Image.Image:
    kind, data = re.fullmatch(r"data:image/(png|webp);base64,(.+)", uri).groups()
    image = Image.open(io.BytesIO(base64.b64decode(data)))
    assert image.format.lower() == kind
    return image


def read(view) -> BeautifulSoup:
    return BeautifulSoup(view._repr_html_(), "html.parser")


def sources(view) -> list[str]:
    return [image["src"] for image in read(view).select(".fx-panel > img")]


def labels(view) -> list[str]:
    return [label.get_text() for label in read(view).select("label")]


# --- Views --------------------------------------------------------------------------------------------------


def test_each_choice_is_a_radio_button_followed_by_its_picture():
    colours = ["red", "green", "blue"]
    pictures = [Image.new("RGB", (20, 10), c) for c in colours]
    view = widgets.stack_view(colours, pictures, selected=1, description="which")
    page = read(view)
    options = page.select_one(".fx-options").find_all(recursive=False)
    assert [option.name for option in options] == ["label", "div"] * 3
    buttons = [label.input for label in page.select("label")]
    assert all(button["type"] == "radio" and button["name"] == "choice" for button in buttons)
    assert [button.has_attr("checked") for button in buttons] == [False, True, False]
    assert page.legend.get_text() == "which"
    shown = [np.asarray(decoded(uri).convert("RGB"))[5, 5] for uri in sources(view)]
    assert [int(np.argmax(pixel)) for pixel in shown] == [0, 1, 2]
    assert {(image["width"], image["height"]) for image in page.select("img")} == {("20", "10")}
    assert repr(view) == "which:  ( ) red  (•) green  ( ) blue"
    assert (
        view._repr_html_()
        == widgets.stack_view(colours, pictures, None, selected=1, description="which")._repr_html_()
    )


def test_view_of_the_words_of_an_explanation_is_small_and_described(published):
    image, explanation = published
    view = widgets.word_view(explanation, image)
    assert labels(view) == explanation.players[49:]
    alts = [picture["alt"] for picture in read(view).select("img")]
    for word, alt in zip(explanation.players[49:], alts, strict=True):
        assert alt.startswith(f"Heat of the word {word} over 7 by 7 patches")
    assert len(view._repr_html_()) < 600_000
    assert not plt.get_fignums()  # figures are closed


def test_two_words_of_one_name_are_two_buttons():
    view = widgets.word_view(small(words=("a", "dog", "a")), ramp())
    assert labels(view) == ["a", "dog", "a"]
    first, _, last = sources(view)
    assert first != last


HOSTILE = '"><script>alert(1)</script>'


@pytest.mark.parametrize(
    "view",
    [
        widgets.stack_view([HOSTILE], [ramp()], [HOSTILE], description=HOSTILE, width=HOSTILE),
        widgets.guess([HOSTILE, "no"], HOSTILE),
        widgets.replies([HOSTILE, "no"], [HOSTILE, "no"], HOSTILE),
    ],
    ids=["view", "guess", "replies"],
)
def test_texts_are_escaped(view):
    assert "<script>alert" not in view._repr_html_()
    page = read(view)
    assert page.legend.get_text() == page.label.get_text() == HOSTILE


@pytest.mark.parametrize(
    ("labels", "images", "alt"), [([], [], None), (["a"], [], None), (["a"], [0], ["x", "y"])]
)
def test_views_refuse_what_does_not_fit(labels, images, alt):
    with pytest.raises(ValueError, match="as many of each"):
        widgets.stack_view(labels, images, alt)


def test_views_refuse_a_picture_that_is_not_there():
    with pytest.raises(ValueError, match="selected = 2"):
        widgets.stack_view(["a"], [ramp()], selected=2)


def test_replies_know_their_guess_and_no_other():
    choices = ["yes", "no"]
    guess, replies = (
        read(widgets.guess(choices)).form,
        read(widgets.replies(choices, ["It does.", "It does."])).form,
    )
    assert guess["data-guess"] == replies["data-replies-to"]
    assert guess["data-guess"] != read(widgets.guess(["yes", "never"])).form["data-guess"]
    assert [panel.get_text() for panel in replies.select(".fx-panel")] == ["It does.", "It does."]
    assert not read(widgets.guess(choices)).select("[checked]")


@pytest.mark.parametrize("choices", [[], ["yes"], ["yes", "yes"], "yes"])
def test_a_guess_needs_choices(choices):
    with pytest.raises(ValueError, match="at least two, all different"):
        widgets.guess(choices)


def test_replies_refuse_what_does_not_fit():
    with pytest.raises(ValueError, match="2 choices and 1 texts"):
        widgets.replies(["yes", "no"], ["It does."])


def test_drawings_stay_exact_and_photographs_become_small(published):
    drawing = Image.new("RGB", (128, 128), "green")
    drawing.paste("red", (30, 30, 60, 60))
    again = decoded(maps.data_uri(drawing))
    assert again.format == "PNG"
    np.testing.assert_array_equal(np.asarray(again.convert("RGB")), np.asarray(drawing))
    photo = maps.data_uri(published[0])
    assert decoded(photo).format == "WEBP" and len(photo) < 150_000


# --- The page -----------------------------------------------------------------------------------------------


def embedded(page: str, name: str):
    return json.loads(
        re.search(rf'<script type="application/json" id="{name}">(.*?)</script>', page, re.S).group(1)
    )


def test_page_holds_the_explanation_and_asks_the_network_for_nothing(published):
    image, explanation = published
    page = widgets.explorer_page(explanation, image)
    again = Explanation.from_dict(embedded(page, "explanation"))
    np.testing.assert_allclose(again.pairs, explanation.pairs, rtol=1e-5)
    np.testing.assert_allclose(again.main, explanation.main, rtol=1e-5)
    assert embedded(page, "picture")["box"] == [0, 0, 1, 1]
    code = page.replace(embedded(page, "picture")["src"], "")
    assert not re.search(r"https?://|//cdn|@import|\bimport\b|\bexport\b|url\(|fetch\(", code)
    assert "default-src 'none'" in page
    assert len(page) < 400_000


def test_page_survives_hostile_captions():
    caption = "</script><script>alert(1)</script>\"'&\u2028<!--"
    explanation = small(words=("</script><img src=x onerror=alert(1)>", "$title"), caption=caption)
    page = widgets.explorer_page(explanation, ramp())
    assert embedded(page, "explanation")["players"][-2:] == explanation.players[-2:]
    assert embedded(page, "explanation")["meta"]["caption"] == caption
    assert "<script>alert" not in page and "<img src=x" not in page
    assert html.escape(caption) in page  # the title


def test_page_gives_the_box_as_shares_of_the_picture():
    from types import SimpleNamespace

    picture = SimpleNamespace(original=ramp(200, 120), box=(40.0, 0.0, 160.0, 120.0))
    assert embedded(widgets.explorer_page(small(), picture), "picture")["box"] == [0.2, 0, 0.8, 1]


def test_page_makes_big_pictures_smaller():
    page = widgets.explorer_page(small(), ramp(3000, 1500))
    assert decoded(embedded(page, "picture")["src"]).size == (1000, 500)


def test_page_needs_a_grid():
    with pytest.raises(ValueError, match="before patches are merged"):
        widgets.explorer_page(small().merge({"left": [0, 1]}), ramp())


def test_frame_in_a_notebook(published):
    frame = widgets.explorer(published[1], published[0]).data
    assert html.unescape(re.search(r'srcdoc="([^"]+)"', frame).group(1)).startswith("<!doctype html>")
    assert 'title="Explorer: black dog next to a yellow hydrant"' in frame
