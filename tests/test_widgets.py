"""Kernel-free views: linked in the browser, small, with texts for readers who do not see them; and the page."""

from __future__ import annotations

import base64
import html
import io
import json
import re

import matplotlib as mpl
import numpy as np
import pytest
from PIL import Image

mpl.use("Agg")

from matplotlib import pyplot as plt
from test_plots import ramp, small

from fixlip_helpers import widgets
from fixlip_helpers.datasets import published_clip
from fixlip_helpers.explanation import Explanation


@pytest.fixture(scope="module")
def published():
    image, explanations = published_clip()
    return image, explanations["FIxLIP"]


def decoded(uri: str) -> Image.Image:
    kind, data = re.fullmatch(r"data:image/(png|webp);base64,(.+)", uri).groups()
    image = Image.open(io.BytesIO(base64.b64decode(data)))
    assert image.format.lower() == kind
    return image


def sources(view) -> list[str]:
    return [re.search(r'src="([^"]+)"', page.value).group(1) for page in view.children[1].children]


def links_in_the_browser(view) -> list[tuple]:
    """Links that the page's own scripts keep, from the state that is stored with a notebook."""
    from ipywidgets.embed import embed_data

    state = embed_data(views=[view], state=None)["manager_state"]["state"]
    found = [entry["state"] for entry in state.values() if entry["model_name"] == "LinkModel"]
    return [(entry["source"], entry["target"]) for entry in found]


# --- Views --------------------------------------------------------------------------------------------------


def test_buttons_choose_pictures_without_a_kernel():
    colours = ["red", "green", "blue"]
    view = widgets.stack_view(colours, [Image.new("RGB", (20, 10), c) for c in colours], selected=1)
    buttons, stack = view.children
    wanted = ([f"IPY_MODEL_{buttons.model_id}", "index"], [f"IPY_MODEL_{stack.model_id}", "selected_index"])
    assert wanted in [tuple(link) for link in links_in_the_browser(view)]
    assert (buttons.index, stack.selected_index) == (1, 1)
    pictures = [np.asarray(decoded(uri).convert("RGB"))[5, 5] for uri in sources(view)]
    assert [int(np.argmax(pixel)) for pixel in pictures] == [0, 1, 2]


def test_view_of_the_words_of_an_explanation_is_small_and_described(published):
    image, explanation = published
    view = widgets.word_view(explanation, image)
    assert [label for label, _ in view.children[0].options] == explanation.players[49:]
    total = 0
    for word, page in zip(explanation.players[49:], view.children[1].children, strict=True):
        assert f'alt="Heat of the word {word} over 7 by 7 patches' in page.value
        total += len(page.value)
    assert total < 600_000
    assert not plt.get_fignums()  # figures are closed


def test_two_words_of_one_name_are_two_buttons():
    view = widgets.word_view(small(words=("a", "dog", "a")), ramp())
    assert [label for label, _ in view.children[0].options] == ["a", "dog", "a"]
    first, _, last = sources(view)
    assert first != last


def test_texts_are_escaped():
    view = widgets.stack_view(["x"], [ramp()], ['"><script>alert(1)</script>'])
    assert "<script>" not in view.children[1].children[0].value


@pytest.mark.parametrize(
    ("labels", "images", "alt"), [([], [], None), (["a"], [], None), (["a"], [0], ["x", "y"])]
)
def test_views_refuse_what_does_not_fit(labels, images, alt):
    with pytest.raises(ValueError, match="as many of each"):
        widgets.stack_view(labels, images, alt)


def test_views_refuse_a_picture_that_is_not_there():
    with pytest.raises(ValueError, match="selected = 2"):
        widgets.stack_view(["a"], [ramp()], selected=2)


def test_drawings_stay_exact_and_photographs_become_small(published):
    drawing = Image.new("RGB", (128, 128), "green")
    drawing.paste("red", (30, 30, 60, 60))
    again = decoded(widgets.data_uri(drawing))
    assert again.format == "PNG"
    np.testing.assert_array_equal(np.asarray(again.convert("RGB")), np.asarray(drawing))
    photo = widgets.data_uri(published[0])
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
