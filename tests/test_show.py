"""How objects show themselves: short, the same from run to run, safe, and readable where styles are stripped."""

from __future__ import annotations

import base64
import io
import pickle
import re
from html.parser import HTMLParser

import numpy as np
import pytest
import stand_ins
from PIL import Image
from test_plots import ramp, small

from fixlip_helpers import VisionLanguageGame, fit_side, fixlip, show
from fixlip_helpers.baselines import explain_with
from fixlip_helpers.checkpoints import Checkpointed, Remembered
from fixlip_helpers.coalitions import enumeration, independent
from fixlip_helpers.datasets import published_clip
from fixlip_helpers.encoders.matrix import explain_matrix
from fixlip_helpers.explanation import Explanation, Term
from fixlip_helpers.games import ExplanationGame, TableGame, random_embeddings
from fixlip_helpers.metrics.prediction import block_faithfulness, faithfulness
from fixlip_helpers.show import LOWERS, RAISES
from fixlip_helpers.showing import maps

NASTY = 'a <b>$5</b> & "$x^2$" \\(y\\) café'
ALLOWED = {"div", "p", "b", "br", "table", "thead", "tbody", "tr", "th", "td", "span", "code", "img"}


class Reader(HTMLParser):
    """What is left of an output where only elements and their text are kept."""

    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=True)
        self.text, self.tags, self.images, self.open, self.nodes = "", set(), [], [], []
        self.feed(page)
        assert self.open == [], self.open

    def handle_starttag(self, tag, attributes):
        self.tags.add(tag)
        if tag == "img":
            self.images.append(dict(attributes))
        elif tag != "br":
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data
        self.nodes.append(data)


@pytest.fixture(scope="module")
def model():
    return stand_ins.small_model("mini-clip")


@pytest.fixture(scope="module")
def game(model):
    return VisionLanguageGame(
        model, stand_ins.noise_image(), "a black dog", image_players=(2, 2), progress=False
    )


@pytest.fixture(scope="module")
def shown(model, game, tmp_path_factory):
    """One of each kind of object that a reader gets to see."""
    explanation = fixlip(game)
    return {
        "explanation": explanation,
        "with errors": fixlip(game, errors=True),
        "by Shapley": fixlip(game, index="FSII", budget=256),
        "merged": explanation.merge([[0, 1]]),
        "difference": explanation - explanation,
        "terms": explanation.top(3),
        "term": explanation.top(1)[0],
        "errors": fixlip(game, errors=True).errors,
        "side": fit_side(game, "text"),
        "drawn side": fit_side(game, "image", design="independent", m=12),
        "game": game,
        "remembered": Remembered(game),
        "checkpointed": Checkpointed(game, tmp_path_factory.mktemp("passes") / "here"),
        "table": TableGame([0.0, 2.0, 1.0, 5.0], ["dog", "bus"]),
        "embeddings": random_embeddings(3, 2),
        "game of an explanation": ExplanationGame(small()),
        "design": independent(5, 0.3, 20, 7),
        "enumeration": enumeration(3, 0.5),
        "matrix": explain_matrix(model, [stand_ins.noise_image()], ["dog", "a cat"]),
        "model": model,
        "picture": game.picture,
        "caption": game.caption,
        "players": game.image_players,
        "faithfulness": faithfulness(explanation, game),
        "blocks": block_faithfulness(explanation, game),
    }


def test_every_object_shows_itself_in_a_few_words(shown):
    for name, item in shown.items():
        text = repr(item)
        assert len(text.splitlines()) == (7 if name == "blocks" else 3 if name == "terms" else 1) + (
            name == "blocks"
        )
        assert max(map(len, text.splitlines())) <= 240, (name, text)
        assert not re.search(r"0x[0-9a-f]{5}|array\(|tensor\(|/tmp|second", text), (name, text)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        (
            "explanation",
            [
                "FIxLIP of small-mini-clip",
                "'a black dog'",
                "4 blocks and 3 words",
                "FWBII at p = 0.5",
                "R² ",
            ],
        ),
        ("merged", ["3 image players and 3 tokens"]),
        ("by Shapley", ["FIxLIP-SI", "FSII,"]),
        (
            "side",
            ["text side of small-mini-clip", "3 players", "enumeration of 8 coalitions", "order 2", "R² "],
        ),
        ("game", ["'a black dog'", "mini-clip", "4 blocks and 3 words", "removal mean"]),
        ("table", ["TableGame: 2 players (dog, bus), values from 0 to 5"]),
        ("design", ["independent:", "of 5 players, p = 0.3, seed 7"]),
        ("enumeration", ["enumeration: 8 coalitions of 3 players, p = 0.5>"]),
        ("matrix", ["1 picture × 2 captions", "mini-clip"]),
        ("remembered", ["Remembered", "0 coalitions of the image", "'a black dog'"]),
        ("caption", ["a | black | dog"]),
    ],
)
def test_what_it_is_and_of_what(shown, name, said):
    for fragment in said:
        assert fragment in repr(shown[name])


def test_print_is_plain_text(shown):
    for name in ("explanation", "side", "blocks", "terms"):
        text = str(shown[name])
        assert "<div" not in text and "<table" not in text
    explanation = shown["explanation"]
    assert str(explanation) == explanation.summary() and "seconds" not in str(explanation)
    assert re.search(r"seconds: \d+\.\d encoder, \d+\.\d outside$", explanation.summary(seconds=True))


def test_terms_are_a_list_and_a_table():
    explanation = small(words=("red", "kite"))
    explanation.pairs[:] = 0
    explanation.pairs[0, 6] = explanation.pairs[6, 0] = -1.234
    explanation.pairs[5, 7] = explanation.pairs[7, 5] = 0.617
    terms = explanation.top(2)
    assert repr(terms) == "−1.23  patch 0,0 × red\n+0.62  patch 1,2 × kite" == str(terms)
    assert repr(terms[0]) == "<patch 0,0 × red: −1.23>"
    assert terms[0] == Term((0, 6), ("patch 0,0", "red"), -1.234) and isinstance(terms, list)
    assert pickle.loads(pickle.dumps(terms)) == terms
    assert repr(explanation.top(0)) == "no terms" == explanation.top(0)._repr_html_()
    rows = re.findall(r"<tr>.*?</tr>", terms._repr_html_())
    assert [re.sub("<[^>]*>", "|", row).replace("|", " ").split() for row in rows[1:]] == [
        ["−1.23", "█" * show.BAR, "patch", "0,0", "red"],
["+0.62", "█" * (show.BAR // 2), "patch", "1,2", "kite"],
    ]  # fmt: skip


def test_html_reads_without_styles_and_says_what_users_wrote(shown):
    for name in (
        "explanation",
        "with errors",
        "by Shapley",
        "merged",
        "difference",
        "terms",
        "blocks",
        "matrix",
    ):
        item = shown[name]
        if isinstance(item, Explanation):
            item.meta["caption"], item.players[-1] = NASTY, "<i>$a$"
        page = Reader(item._repr_html_())
        assert page.tags <= ALLOWED, name
        assert not any(node.count("$") > 1 or "\\(" in node for node in page.nodes), name
        if isinstance(item, Explanation):
            assert NASTY in page.text or "caption" not in item.meta, page.text
            strongest = item.top(1)[0]
            assert show.signed(strongest.value)[:4] in page.text or not strongest.value
    assert re.search(r"[+−]\d", Reader(shown["terms"]._repr_html_()).text)


def test_a_matrix_shows_its_scores(shown):
    matrix = shown["matrix"]
    rows = re.findall(r"<tr>.*?</tr>", matrix._repr_html_())
    assert len(rows) == 3 and "picture 0" in rows[0]
    for row, side, score in zip(rows[1:], matrix.texts, matrix.scores()[0], strict=True):
        assert side.meta["caption"] in row and show.signed(score) in row


def test_a_map_where_the_picture_is_at_hand(shown, game):
    explanation = shown["explanation"]
    assert explanation.picture is game.picture
    (image,) = Reader(explanation._repr_html_()).images
    assert "Heat of the word" in image["alt"]
    assert "explanation_figure(explanation, explanation.picture)" in explanation._repr_html_()
    bare = pickle.loads(pickle.dumps(explanation))
    assert (
        bare.picture is None
        and "<img" not in bare._repr_html_()
        and "explanation_figure" in bare._repr_html_()
    )
    assert (
        "explanation_figure" not in explanation.merge([[0, 1]])._repr_html_()
    )  # has no place for its patches


@pytest.mark.parametrize("method", ["game", "shapley", "fixlip-0.3"])
def test_every_method_has_its_map(model, method):
    game = VisionLanguageGame(model, stand_ins.noise_image(), "dog", progress=False, image_players=(2, 2))
    explanation = explain_with(method, model, game.picture, "dog", game=game)
    assert explanation.picture is game.picture and "<img" in explanation._repr_html_()


def test_what_was_published_has_its_map():
    image, explanations = published_clip()
    for explanation in explanations.values():
        assert explanation.picture is image and "<img" in explanation._repr_html_()
        assert len(explanation._repr_html_()) < 40_000  # a chapter stores it


def test_colours_of_the_small_map():
    explanation = small(2, 2, words=("red",))
    explanation.picture = Image.new("RGB", (60, 30), "white")
    page = maps.small_map(explanation, np.array([2.0, -2.0, 0.0, 1.0]), 2.0)
    with Image.open(io.BytesIO(base64.b64decode(page.split(",")[1]))) as drawn:
        assert drawn.size == (show.MAP_PIXELS, show.MAP_PIXELS // 2)
        points = {"raises": (40, 20), "lowers": (120, 20), "nothing": (40, 60), "half": (120, 60)}
        raises, lowers, nothing, half = (np.array(drawn.getpixel(at), dtype=int) for at in points.values())
    assert raises[0] > raises[2] + 80 and lowers[2] > lowers[0] + 80
    assert np.ptp(nothing) == 0 and raises[0] - raises[2] > half[0] - half[2] > 20


@pytest.mark.parametrize("noise", [1e-9, -1e-9])
def test_rounding_changes_nothing(noise):
    explanation = small(3, 3, words=("a", "red", "kite"))
    explanation.picture = ramp(150, 100)
    before = explanation._repr_html_()
    explanation.pairs *= 1 + noise
    explanation.main *= 1 + noise
    assert explanation._repr_html_() == before


def test_no_seconds_anywhere(shown):
    explanation = shown["explanation"]
    before = explanation._repr_html_(), repr(explanation), str(explanation)
    explanation.meta["seconds"] = {"encoder": 1234.5, "outside": 5432.1}
    assert (explanation._repr_html_(), repr(explanation), str(explanation)) == before


def luminance(colour: str) -> float:
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return float(np.dot((0.2126, 0.7152, 0.0722), linear))


@pytest.mark.parametrize("page", ["#ffffff", "#111111", "#1e1e1e"])
@pytest.mark.parametrize("colour", [show.BAR_RAISES, show.BAR_LOWERS])
def test_bars_are_seen_on_light_and_on_dark_pages(colour, page):
    dark, light = sorted((luminance(colour), luminance(page)))
    assert (light + 0.05) / (dark + 0.05) > 3.7  # 3 is asked of graphics


def test_figures_and_html_use_one_red_and_one_blue():
    assert (RAISES, LOWERS) == (show.RAISES, show.LOWERS)


def test_poor_fits_are_called_poor(shown):
    explanation = shown["by Shapley"]
    explanation.meta["held_out_r2"] = 0.2
    assert "held-out R² 0.200 (poor)" in explanation._repr_html_()


def test_penalties_and_left_out_pairs_are_said(game):
    explanation = fixlip(game, n_image_coalitions=12, design="independent")
    explanation.meta["ridge"]["image"], explanation.meta["order"]["text"] = 0.3, 1
    for text in (repr(explanation), explanation._repr_html_()):
        assert "ridge 0.3 on pairs within the image" in text and "pairs within the text left out" in text
