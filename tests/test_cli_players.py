# ruff: noqa: F811  (the fixtures are those of test_cli)
"""``fixlip explain`` with coarser players, with many captions, and for a time; and what an interruption leaves."""

from __future__ import annotations

import csv
import os
import shutil

import numpy as np
import pytest
from PIL import Image
from test_cli import CAPTION, FILES, call, folder, picture, refuses, seven_by_seven  # noqa: F401

from fixlip_helpers import VisionLanguageGame, fixlip, models
from fixlip_helpers.explanation import Explanation


def result(out) -> Explanation:
    return Explanation.load(out / "explanation.json")


@pytest.fixture
def encoded(monkeypatch):
    """How many pictures and captions were encoded, counted where they enter the network."""
    counted = {"image": 0, "text": 0}

    def counting(side, honest):
        def count(game, keep):
            counted[side] += len(keep)
            return honest(game, keep)

        return count

    for side, name in (("image", "_encode_images"), ("text", "_encode_texts")):
        monkeypatch.setattr(VisionLanguageGame, name, counting(side, getattr(VisionLanguageGame, name)))
    return counted


# --- Players ------------------------------------------------------------------------------------------------


def test_words_are_players_whole(call, picture, tmp_path, seven_by_seven):
    arguments = (
        "explain",
        picture,
        "black dog next to a hydrant",
        "--model",
        seven_by_seven,
        "--patches",
        "2x2",
    )
    call(*arguments, "--budget", "auto", "--out", tmp_path / "tokens")
    code, output, errors = call(*arguments, "--budget", "auto", "--words")
    assert code == 0, errors
    assert result(tmp_path / "tokens").players[4:] == ["black", "dog", "next", "to", "a", "hydr", "ant"]
    explanation = result(tmp_path / "out")
    assert explanation.players[4:] == ["black", "dog", "next", "to", "a", "hydrant"] and "hydrant" in output
    # an explanation of its own, not the pieces added up
    game = VisionLanguageGame(
        models.load_model(seven_by_seven), picture, arguments[2], image_players=(2, 2), text_players="words"
    )
    np.testing.assert_allclose(explanation.pairs, fixlip(game).pairs, atol=1e-6)


def test_blocks_take_fewer_passes_and_are_drawn_though_they_are_uneven(
    call, picture, tmp_path, seven_by_seven
):
    code, output, errors = call(
        "explain", picture, "dog", "--model", seven_by_seven, "--patches", "4 x 4", "--budget", "auto"
    )
    assert code == 0, errors
    explanation = result(tmp_path / "out")
    assert explanation.n_image == 16 and explanation.meta["image_groups"]["blocks"] == [4, 4]
    assert explanation.meta["design"]["image"] == {"name": "orthogonal_array", "coalitions": 512, "seed": 0}
    assert explanation.meta["passes"]["image"] <= 512 + 386
    assert sorted(os.listdir(tmp_path / "out")) == FILES
    assert "block in row" in output and "patch in row" not in output


def test_regions_of_a_label_image(call, picture, tmp_path):
    labels = Image.new("RGBA", (128, 128), "white")  # the picture is 64 x 64: the same proportions do
    labels.paste((0, 0, 255, 255), (0, 0, 64, 128))
    labels.paste((0, 0, 0, 0), (96, 96, 128, 128))
    labels.save(tmp_path / "labels.png")
    code, output, errors = call(
        "explain", picture, "dog", "--patches", tmp_path / "labels.png", "--budget", "auto"
    )
    assert code == 0, errors
    groups = result(tmp_path / "out").meta["image_groups"]
    expected = np.ones((4, 4), dtype=int)
    expected[:, :2], expected[3, 3] = 0, -1
    assert groups == {"grid": [4, 4], "owner": expected.ravel().tolist()}
    assert "region 1" in output and sorted(os.listdir(tmp_path / "out")) == FILES


def test_labels_that_cover_no_patch_are_named(call, picture, tmp_path):
    labels = np.zeros((64, 64), dtype=np.int64)
    labels[30:34, 30:34] = 7
    labels[:, 32:] = np.where(labels[:, 32:] == 7, 7, 1)
    np.save(tmp_path / "labels.npy", labels)
    code, _, errors = call(
        "explain", picture, "dog", "--patches", tmp_path / "labels.npy", "--budget", "auto"
    )
    assert code == 0 and "cover most of no patch" in errors and ": 7" in errors


@pytest.mark.parametrize(
    ("given", "fragments"),
    [
        ("5x1", ["'5x1'", "4x4", "mini-clip"]),
        ("0x2", ["'0x2'", "1 to"]),
        ("4", ["'4'", "ROWSxCOLUMNS", "label image"]),
        ("-1x2", ["'-1x2'"]),
        ("no.png", ["no.png", "no file"]),
        ("text.png", ["text.png", "cannot be read"]),
        ("wide.png", ["90 × 30", "64 × 64", "proportions"]),
        ("noise.png", ["regions", "16", "flat colour"]),
        ("empty.png", ["0 regions"]),
        ("floats.npy", ["float64", "whole numbers"]),
    ],
)
def test_unusable_patches(call, picture, tmp_path, given, fragments, monkeypatch):
    rng = np.random.default_rng(0)
    (tmp_path / "text.png").write_text("no picture")
    Image.new("RGB", (90, 30)).save(tmp_path / "wide.png")
    Image.fromarray(rng.integers(0, 255, (64, 64, 3), dtype=np.uint8)).save(tmp_path / "noise.png")
    Image.new("RGBA", (64, 64), (0, 0, 0, 0)).save(tmp_path / "empty.png")
    np.save(tmp_path / "floats.npy", rng.normal(size=(64, 64)))
    monkeypatch.chdir(tmp_path)
    refuses(call("explain", picture, "dog", "--patches", given), tmp_path, "--patches", *fragments)


# --- Many captions ------------------------------------------------------------------------------------------

CAPTIONS = ["a black dog", "red cat on grass", "dog"]
ODD_FILE = "\ufeffa black dog\r\n\r\n   \n  red   cat on grass\r\na black dog\ndog"


def test_many_captions_are_each_what_one_is(call, picture, tmp_path, encoded):
    (tmp_path / "captions.txt").write_text(ODD_FILE, encoding="utf-8", newline="")
    code, output, errors = call(
        "explain", picture, "--captions", tmp_path / "captions.txt", "--budget", "auto"
    )
    assert code == 0 and "line 5 repeats line 1" in errors, errors
    out = tmp_path / "out"
    folders = ["1-a-black-dog", "2-red-cat-on-grass", "3-dog"]
    assert sorted(os.listdir(out)) == [*folders, "captions.csv", "index.html"]
    assert "encoded once" in output
    once = dict(encoded)
    with (out / "captions.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["caption"] for row in rows] == CAPTIONS and [row["folder"] for row in rows] == folders
    page = (out / "index.html").read_text(encoding="utf-8")
    for row, name in zip(rows, folders, strict=True):
        assert sorted(os.listdir(out / name)) == FILES
        explanation = result(out / name)
        assert float(row["score"]) == explanation.meta["full_value"]
        assert f'href="{name}/explanation.html"' in page
        encoded.update(image=0)
        call("explain", picture, row["caption"], "--budget", "auto", "--out", tmp_path / "one")
        np.testing.assert_allclose(explanation.pairs, result(tmp_path / "one").pairs, atol=1e-6)
        np.testing.assert_allclose(explanation.main, result(tmp_path / "one").main, atol=1e-6)
    assert once["image"] == encoded["image"]  # one caption takes as many passes of the image


def test_captions_come_through_a_pipe(call, picture, tmp_path, monkeypatch):
    import io
    import sys

    class Pipe:
        buffer = io.BytesIO("a dog\n".encode("utf-16"))

    monkeypatch.setattr(sys, "stdin", Pipe)
    code, _, errors = call(
        "explain", picture, "--captions", "-", "--patches", "2x2", "--words", "--budget", "auto"
    )
    assert code == 0, errors
    assert result(tmp_path / "out" / "1-a-dog").players[4:] == ["a", "dog"]


def test_dollars_and_brackets_are_text(call, picture, tmp_path, seven_by_seven):
    (tmp_path / "captions.txt").write_text("<b> & $x$ \\x{\n", encoding="utf-8")
    code, _, errors = call(
        "explain", picture, "--captions", tmp_path / "captions.txt", "--model", seven_by_seven, "--patches", "1x2",
        "--words", "--seconds", "60", "--budget", "auto",
    )  # fmt: skip
    assert code == 0, errors
    page = (tmp_path / "out" / "index.html").read_text(encoding="utf-8")
    assert "&lt;b&gt; &amp; $x$ \\x{" in page and "<b>" not in page


@pytest.mark.parametrize(
    ("content", "fragments"),
    [
        (b"", ["no caption"]),
        (b"\n \r\n", ["no caption"]),
        (b"a dog\ncaf\xe9\n", ["UTF-8", "byte 9"]),
        (b"dog\n" + b"dog " * 40 + b"\nzebra\n", ["line 2: caption has 40 tokens", "line 3", "'zebra'"]),
        (
            b"zebra one\nzebra two\n" + b"".join(b"zebra %d\n" % i for i in range(9)),
            ["line 5", "6 lines more"],
        ),
    ],
)
def test_unusable_captions_are_named_before_anything_is_encoded(
    call, picture, tmp_path, content, fragments, encoded
):  # fmt: skip
    (tmp_path / "captions.txt").write_bytes(content)
    refuses(
        call("explain", picture, "--captions", tmp_path / "captions.txt"), tmp_path, "--captions", *fragments
    )
    assert encoded == {"image": 0, "text": 0}


@pytest.mark.parametrize(
    ("options", "fragments"),
    [
        (["dog", "--captions", "x.txt"], ["CAPTION", "--captions", "not both"]),
        (["--captions", "x.txt"], ["'x.txt' cannot be read", "No such file"]),
        (["--captions", "."], ["'.' cannot be read"]),
        (["--captions", "x.txt", "--index", "FSII"], ["--captions", "--index FSII"]),
        (["--captions", "x.txt", "--tolerance", "1"], ["--captions and --tolerance"]),
        (["dog", "--seconds", "0"], ["seconds = 0"]),
        (["dog", "--seconds", "soon"], ["--seconds", "'soon'"]),
        (["dog", "--seconds", "5"], ["--seconds", "--budget"]),
        (
            ["dog", "--seconds", "5", "--budget", "auto", "--tolerance", "1"],
            ["--seconds", "leave --tolerance out"],
        ),
        (["dog", "--seconds", "1e-9", "--budget", "auto"], ["too short", "--patches"]),
    ],
)
def test_unusable_combinations(call, picture, tmp_path, options, fragments):
    refuses(call("explain", picture, *options), tmp_path, *fragments)


# --- A time -------------------------------------------------------------------------------------------------


def test_seconds_say_what_was_reached(call, picture, tmp_path):
    code, output, errors = call(
        "explain", picture, "a dog", "--seconds", "20", "--p", "0.4", "--budget", "auto"
    )
    assert code == 0 and "Spending about 20 s" in output, errors
    meta = result(tmp_path / "out").meta
    assert (
        f"Asked for 20 s: took {max(1, round(meta['time']['taken']))} s, {meta['passes']['image']:,} image"
        in output
    )


# --- Interruptions ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("many", [False, True])
def test_what_an_interrupted_run_has_encoded_is_kept(call, picture, tmp_path, encoded, monkeypatch, many):
    (tmp_path / "captions.txt").write_text("a black dog\nred cat\n", encoding="utf-8")
    asked = ("--captions", tmp_path / "captions.txt") if many else (CAPTION,)
    command = ("explain", picture, *asked, "--budget", "auto")
    call(*command, "--out", tmp_path / "whole")
    whole = dict(encoded)
    encoded.update(image=0, text=0)
    honest = VisionLanguageGame._encode_texts  # after the image's passes, or in the middle of the captions
    limit = whole["text"] // 2

    def interrupted(game, keep):
        if encoded["text"] + len(keep) > limit:
            raise KeyboardInterrupt
        return honest(game, keep)

    with monkeypatch.context() as patch:
        patch.setattr(VisionLanguageGame, "_encode_texts", interrupted)
        code, _, errors = call(*command)
    assert code == 130 and "kept in" in errors and "goes on from there" in errors
    done = dict(encoded)
    assert 0 < done["image"] and done["text"] <= limit
    code, _, errors = call(*command)
    assert code == 0, errors
    assert encoded["image"] <= whole["image"] + 64 and encoded["text"] <= whole["text"] + 64
    found = sorted(path.relative_to(tmp_path / "out") for path in (tmp_path / "out").rglob("*"))
    assert found == sorted(path.relative_to(tmp_path / "whole") for path in (tmp_path / "whole").rglob("*"))
    for path in (tmp_path / "out").rglob("explanation.json"):
        same = result(tmp_path / "whole" / path.relative_to(tmp_path / "out").parent)
        np.testing.assert_allclose(result(path.parent).pairs, same.pairs, atol=1e-6)


def test_another_question_into_the_same_folder_leaves_what_is_unfinished(
    call, picture, tmp_path, monkeypatch
):
    from fixlip_helpers import plots

    def fail(*_, **__):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(plots, "explanation_figure", fail)
        call("explain", picture, "dog")
    (kept,) = (tmp_path / "out").glob(
        "unfinished-*"
    )  # beside the numbers, which are written before the figure
    call("explain", picture, "red cat")
    assert kept.is_dir() and sorted(os.listdir(tmp_path / "out")) == [*FILES, kept.name]
    call("explain", picture, "dog")
    assert sorted(os.listdir(tmp_path / "out")) == FILES


def test_a_checkpoint_is_shared_by_all_captions_and_stays(call, picture, tmp_path, encoded):
    for content in ("a dog\n", "a dog\na red cat on grass\n"):
        (tmp_path / "captions.txt").write_text(content, encoding="utf-8")
        before = encoded["image"]
        code, *_ = call(
            "explain", picture, "--captions", tmp_path / "captions.txt", "--checkpoint", tmp_path / "passes",
            "--budget", "auto",
        )  # fmt: skip
        assert code == 0
    assert encoded["image"] == before
    shutil.rmtree(tmp_path / "passes")
