"""Grouped players: who owns which patch and token, and the games that they play."""

from __future__ import annotations

import json
from collections import Counter
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from matplotlib import pyplot as plt
from PIL import Image
from stand_ins import CAPTION, PIECES, noise_image, small_model

from fixlip_helpers import VisionLanguageGame, fixlip, plots, show
from fixlip_helpers.players import image_players, on_patches, read_labels, text_players

GRID = (4, 4)
WORDS = [*((w, (i,)) for i, w in enumerate(PIECES[:6])), ("hydrant", (6, 7))]


def of_image(which, grid=GRID, image_size=64, patch_size=16):
    return image_players(which, grid, image_size, patch_size)


# --- The picture --------------------------------------------------------------------------


def test_patches_are_the_players_unless_told_otherwise():
    players, facts = of_image("patches")
    assert players.owner.tolist() == list(range(16)) and players.names[6] == "patch 1,2"
    assert facts == {"grid": [4, 4]}


def test_blocks_of_patches():
    players, facts = of_image((2, 4))
    assert players.owner.reshape(4, 4).tolist() == [[0, 1, 2, 3]] * 2 + [[4, 5, 6, 7]] * 2
    assert players.names[5] == "region 1,1" and facts["grid"] == [2, 4]
    assert facts["image_groups"] == {"grid": [4, 4], "owner": players.owner.tolist(), "blocks": [2, 4]}


def test_uneven_blocks_are_no_grid_to_draw():
    players, facts = of_image([2, 3], grid=(7, 7))
    assert Counter(players.owner.tolist()) == {0: 12, 1: 8, 2: 8, 3: 9, 4: 6, 5: 6}
    assert "grid" not in facts and facts["image_groups"]["blocks"] == [2, 3]


def test_labels_of_patches_and_what_is_always_visible():
    labels = np.array([[5, 5, -1, 2]] * 4)
    players, facts = of_image(labels)
    assert players.names == ["region 2", "region 5"]
    assert players.owner.reshape(4, 4)[0].tolist() == [1, 1, -1, 0]
    shown = players.pieces(np.array([[True, False], [False, False]]))
    assert shown.reshape(2, 4, 4)[:, 0].tolist() == [[False, False, True, True], [False, False, True, False]]
    assert "grid" not in facts and json.loads(json.dumps(facts)) == facts


@given(arrays.arrays(np.int64, (12, 12), elements=st.integers(-1, 5)))
def test_a_patch_belongs_to_the_label_that_covers_most_of_it(labels):
    """Patches of 4 pixels in 12, each counted by hand."""
    by_hand = []
    for row in range(3):
        for column in range(3):
            count = Counter(labels[4 * row : 4 * row + 4, 4 * column : 4 * column + 4].ravel().tolist())
            by_hand.append(min(count, key=lambda label: (-count[label], label)))
    lost = set(labels.ravel().tolist()) - set(by_hand) - {-1}
    if set(by_hand) == {-1}:
        with pytest.raises(ValueError, match="leaves no player"):
            of_image(labels, (3, 3), 12, 4)
    elif lost:
        with pytest.warns(UserWarning, match="cover most of no patch"):
            players, _ = of_image(labels, (3, 3), 12, 4)
    else:
        players, _ = of_image(labels, (3, 3), 12, 4)
        found = [int(players.names[i].split()[1]) if i >= 0 else -1 for i in players.owner]
        assert found == by_hand


@pytest.mark.parametrize(
    "which",
    ["superpixels", 4, None, (0, 2), (5, 4), (2.0, 2.0), (2, 2, 2), np.zeros((4, 5), int), np.zeros((4, 4)),
     np.full((4, 4), -2), np.full((4, 4), -1), [["a"] * 4] * 4],
)  # fmt: skip
def test_odd_image_players_are_refused(which):
    with pytest.raises(ValueError, match="image_players"):
        of_image(which)


def test_numbers_of_players_are_spread_over_their_patches():
    labels = np.array([[5, 5, -1, 2]] * 4)
    meta = of_image(labels)[1]
    np.testing.assert_array_equal(on_patches([7.0, 8.0], meta), [[8, 8, 0, 7]] * 4)
    np.testing.assert_array_equal(on_patches(np.arange(16), {"grid": [4, 4]}), np.arange(16).reshape(4, 4))
    with pytest.raises(ValueError, match=r"expected \(2,\)"):
        on_patches([1.0, 2.0, 3.0], meta)
    with pytest.raises(ValueError, match="neither"):
        on_patches([1.0], {})


# --- The caption --------------------------------------------------------------------------


def test_words_are_players():
    players, words = text_players("words", PIECES, WORDS)
    assert players.names == CAPTION.split() and players.owner.tolist() == [0, 1, 2, 3, 4, 5, 6, 6]
    assert words == [(word, [i]) for i, word in enumerate(CAPTION.split())]


def test_groups_stand_where_their_first_token_stood():
    players, words = text_players([[5, 6, 7], [0, 1]], PIECES, WORDS)
    assert players.names == ["black dog", "next", "to", "a", "yellow hydrant"]
    assert players.owner.tolist() == [0, 0, 1, 2, 3, 4, 4, 4]
    assert words == [(name, [i]) for i, name in enumerate(players.names)]
    named, _ = text_players({"animal": [1]}, PIECES, WORDS)
    assert named.names == ["black", "animal", *PIECES[2:]]


def test_a_group_of_part_of_a_word():
    players, words = text_players([[5, 6]], PIECES, WORDS)
    assert players.names[5:] == ["yellow+hydr", "ant"]
    assert words[-1] == ("yellow hydrant", [5, 6]) and len(words) == 6


@pytest.mark.parametrize(
    "which", ["letters", [[0], [0]], [[8]], [[-1]], [[]], [["dog"]], ["dog"], 3, None, [[0.5]]]
)
def test_odd_text_players_are_refused(which):
    with pytest.raises(ValueError, match="text_players"):
        text_players(which, PIECES, WORDS)


# --- Their games --------------------------------------------------------------------------

SUPERPIXELS = np.kron(
    np.array([[0, 0, 1, 1], [0, 2, 2, 1], [3, 2, -1, 1], [3, 3, -1, 4]]), np.ones((16, 16), int)
)


@pytest.mark.parametrize("removal", ["mean", "drop"])
@pytest.mark.parametrize("regions", [(2, 2), SUPERPIXELS], ids=["blocks", "superpixels"])
def test_a_grouped_game_is_the_fine_game_on_coalitions_of_whole_groups(removal, regions):
    model = small_model("clip")
    fine = VisionLanguageGame(model, noise_image(), CAPTION, removal=removal)
    coarse = VisionLanguageGame(
        model, noise_image(), CAPTION, removal=removal, image_players=regions, text_players="words"
    )
    assert (coarse.n_image, coarse.n_text) == (5 if regions is SUPERPIXELS else 4, 7)
    coalitions = np.random.default_rng(0).random((30, coarse.n_players)) < 0.5
    of_patch = coarse.image_players.owner
    spread = np.ones((30, 24), dtype=bool)
    for i in range(16):
        if of_patch[i] >= 0:
            spread[:, i] = coalitions[:, of_patch[i]]
    spread[:, 16:] = coalitions[:, coarse.n_image + np.array([0, 1, 2, 3, 4, 5, 6, 6])]
    np.testing.assert_allclose(coarse(coalitions), fine(spread), atol=1e-4)
    assert coarse.image_passes < fine.n_image * 30
    assert coarse.meta["words"][-1] == ["hydrant", [coarse.n_image + 6]]
    assert json.loads(json.dumps(coarse.meta)) == coarse.meta


def test_its_explanation_is_not_the_fine_one_merged():
    """Merging keeps the fine surrogate's values; fitting the grouped game is more faithful to that game."""
    model = small_model("mini-clip")
    caption = "black dog"
    fine = VisionLanguageGame(model, noise_image(), caption, image_players=(2, 4))
    coarse = VisionLanguageGame(model, noise_image(), caption, image_players=(2, 2))
    fitted, merged = fixlip(coarse), fixlip(fine).merge([[0, 1], [2, 3], [4, 5], [6, 7]])
    rows = (np.arange(2**6)[:, None] >> np.arange(6) & 1).astype(bool)  # all equally likely: p = 0.5
    values = coarse(rows)
    errors = [((e.predict(rows) - values) ** 2).mean() for e in (fitted, merged)]
    assert errors[0] < 0.99 * errors[1]
    assert np.abs(fitted.pairs - merged.pairs).max() > 1e-4  # rounding is at 1e-5


def test_its_explanation_is_drawn():
    model = small_model("mini-clip")
    for regions in ((2, 2), SUPERPIXELS):
        game = VisionLanguageGame(model, noise_image(), "black dog", image_players=regions)
        explanation = fixlip(game)
        values = explanation.cross_modal()[:, 1]
        limit = show.colour_limit(explanation.cross_modal())
        ax = plots.patch_heat(on_patches(values, explanation.meta), game.picture, limit=limit)
        drawn = ax.images[-1].get_array()
        assert drawn.shape[:2] == (4, 4)
        if regions is not SUPERPIXELS:
            grid = plots.heat(explanation, game.picture, "dog").images[-1].get_array()
            np.testing.assert_allclose(np.kron(grid, np.ones((2, 2, 1))), drawn)
        else:
            assert (drawn[2:, 2, 3] == 0).all()  # always visible: no colour
            shown = plots.heat(explanation, game.picture, "dog").images[-1].get_array()
            np.testing.assert_array_equal(shown, drawn)
            assert show.spot(explanation, 0) == explanation.players[0]
        plots.explanation_figure(explanation, game.picture)
        plt.close("all")


@pytest.mark.parametrize(
    ("own", "edges"),
    [
        ([[1]], {"0,0-1,0", "0,1-1,1", "0,0-0,1", "1,0-1,1"}),
        (
            [[0, 1], [1, 1]],
            {"1,0-2,0", "0,1-1,1", "0,2-1,2", "1,2-2,2", "1,0-1,1", "0,1-0,2", "2,0-2,1", "2,1-2,2"},
        ),
    ],
)
def test_outline_of_tiles(own, edges):
    found = plots._outline(np.array(own, dtype=bool)).astype(int)
    assert {"-".join(f"{x},{y}" for x, y in edge) for edge in found.tolist()} == edges and len(found) == len(
        edges
    )


# --- Label images -------------------------------------------------------------------------------------------


@pytest.fixture
def cropped():
    """A picture of 120 x 60 pixels of which the encoder sees the middle half, as 8 x 8 pixels."""
    return SimpleNamespace(
        original=Image.new("RGB", (120, 60)), seen=Image.new("RGB", (8, 8)), box=(30.0, 0.0, 90.0, 60.0)
    )


def halves(mode: str, size: tuple[int, int], left, right) -> Image.Image:
    image = Image.new(mode, size, left)
    image.paste(right, (size[0] // 2, 0, *size))
    return image


@pytest.mark.parametrize("scale", [1, 2, 0.1])
def test_labels_lie_where_the_encoder_looks(cropped, tmp_path, scale):
    size = int(120 * scale), int(60 * scale)
    image = halves("L", size, 3, 5)
    image.paste(9, (0, 0, size[0] // 6, size[1]))  # not seen
    image.save(tmp_path / "labels.png")
    np.testing.assert_array_equal(read_labels(tmp_path / "labels.png", cropped), [[3] * 4 + [5] * 4] * 8)


@pytest.mark.parametrize(
    ("name", "image", "labels"),
    [
        ("a.png", halves("RGB", (8, 8), "red", "blue"), (1, 2)),
        ("b.png", halves("RGB", (8, 8), "blue", "red"), (1, 2)),  # as they appear, not by their value
        ("c.png", halves("RGBA", (8, 8), (0, 0, 0, 0), (9, 9, 9, 255)), (-1, 1)),
        ("d.png", Image.fromarray(np.array([[300] * 4 + [7] * 4] * 8, dtype=np.uint16)), (300, 7)),
        ("e.gif", halves("P", (8, 8), 1, 0), (1, 0)),
        ("f.png", halves("1", (8, 8), 1, 0), (1, 0)),
        ("g.npy", np.array([[4] * 4 + [-1] * 4] * 8), (4, -1)),
    ],
)
def test_kinds_of_label_images(cropped, tmp_path, name, image, labels):
    path = tmp_path / name
    np.save(path, image) if name.endswith("npy") else image.save(path)
    np.testing.assert_array_equal(read_labels(path, cropped), [[labels[0]] * 4 + [labels[1]] * 4] * 8)


def test_label_images_that_are_none(cropped, tmp_path):
    Image.new("L", (60, 60)).save(tmp_path / "square.png")
    (tmp_path / "text.png").write_text("x")
    np.save(tmp_path / "cube.npy", np.zeros((2, 2, 2), dtype=int))
    np.save(tmp_path / "objects.npy", np.array([["a"]], dtype=object))
    for name, message in (
        ("square.png", "60 × 60 pixels, the picture 120 × 60"), ("text.png", "cannot be read"), ("no.png", "No such"),
        ("cube.npy", r"\(2, 2, 2\)"), ("objects.npy", "cannot be read"),
    ):  # fmt: skip
        with pytest.raises(ValueError, match=message):
            read_labels(tmp_path / name, cropped)


def test_players_that_do_not_fit_are_refused_by_the_game():
    model = small_model("mini-clip")
    with pytest.raises(ValueError, match=r"shape \(4, 4\), a label per patch, or \(64, 64\)"):
        VisionLanguageGame(model, noise_image(), "black dog", image_players=np.zeros((32, 32), int))
    with pytest.raises(ValueError, match="distinct tokens from 0 to 1"):
        VisionLanguageGame(model, noise_image(), "black dog", text_players=[[2]])
