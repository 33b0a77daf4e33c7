"""Inputs of experiments: small files in the true formats, made here, read back."""

from __future__ import annotations

import io
import json
import tarfile

import numpy as np
import pytest
from PIL import Image

from fixlip_helpers.datasets import CLASS_GAMES, open_inputs, word_captions

COLOURS = {"red": (250, 0, 0), "green": (0, 250, 0), "blue": (0, 0, 250), "white": (250, 250, 250)}


def picture(colour, size=(40, 30)):
    return Image.new("RGB", size, COLOURS[colour])


def colour_of(image):
    image = image if isinstance(image, Image.Image) else Image.open(image)
    return tuple(np.asarray(image.convert("RGB"))[5, 5].tolist())


def test_picture_world_is_seeded_and_knows_its_quarters():
    pairs = open_inputs("scenes:pairs:3:4")
    again = open_inputs("scenes:pairs:3:4")
    assert [one.captions for one in pairs] == [one.captions for one in again]
    np.testing.assert_array_equal(np.asarray(pairs[2].image()), np.asarray(again[2].image()))
    assert open_inputs("scenes:pairs:4:4")[0].captions != pairs[0].captions
    grid = open_inputs("scenes:grids:3:1")[0]
    assert len(set(grid.quarters)) == 4
    assert sorted(map(len, map(str.split, grid.captions))) == [1] * 4 + [2] * 4 + [3] * 4 + [4]


def test_word_captions_use_every_class_equally_often():
    for words in range(1, 5):
        chosen = [c.split() for c in word_captions(["a", "b", "c", "d"]) if len(c.split()) == words]
        counts = [sum(letter in caption for caption in chosen) for letter in "abcd"]
        assert len(set(counts)) == 1 and all(len(set(caption)) == words for caption in chosen)


def test_csv(tmp_path):
    picture("red").save(tmp_path / "r.png")
    picture("blue").save(tmp_path / "b.png")
    (tmp_path / "pairs.csv").write_text(
        'image,caption\nr.png,"a red, red square"\nb.png,blue\nr.png,crimson\n', encoding="utf-8"
    )
    inputs = open_inputs(tmp_path / "pairs.csv")
    assert [(one.id, one.captions) for one in inputs] == [
        ("r.png", ("a red, red square", "crimson")),
        ("b.png", ("blue",)),
    ]
    assert colour_of(inputs[0].image()) == COLOURS["red"]


@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_csv_as_spreadsheets_write_it(tmp_path, separator, encoding, newline):
    """Separators by country, a byte-order mark, capitals, spaces, line breaks and marks inside quotation marks."""
    lines = ["Image, Caption,,", 'r.png, "un café, ou un thé",,', 'b.png,"a 12"" ""pizza""\nand; tea",,', ""]
    text = newline.join(lines).replace(",", separator)
    (tmp_path / "x.csv").write_bytes(text.encode(encoding))
    first, second = open_inputs(tmp_path / "x.csv")
    assert first.captions == (f"un café{separator} ou un thé",)
    assert second.captions == ('a 12" "pizza"\nand; tea',)


def test_csv_with_excels_own_first_line(tmp_path):
    (tmp_path / "x.csv").write_text("sep=|\nimage|caption\nr.png|a dog, and a bus\n", encoding="utf-8")
    assert open_inputs(tmp_path / "x.csv")[0].captions == ("a dog, and a bus",)
    (tmp_path / "x.csv").write_text("sep=;\nimage;caption\nr.png;dog; bus\n", encoding="utf-8")
    with pytest.raises(ValueError, match=r"line 3: .*a semicolon in quotation marks: \"dog; bus\""):
        open_inputs(tmp_path / "x.csv")


@pytest.mark.parametrize("annotations", [".", "annotations"])
@pytest.mark.parametrize("pictures", [".", "images", "val2017"])
def test_coco(tmp_path, annotations, pictures):
    for place in (annotations, pictures):
        (tmp_path / place).mkdir(exist_ok=True)
    picture("green").save(tmp_path / pictures / "000000000009.jpg", quality=95)
    stored = {
        "images": [
            {"id": 9, "file_name": "000000000009.jpg", "height": 30, "width": 40},
            {"id": 10, "file_name": "none.jpg"},
            {"id": 11, "file_name": "without_caption.jpg"},
        ],
        "annotations": [
            {"id": 1, "image_id": 9, "caption": "Green. "},
            {"id": 2, "image_id": 10, "caption": "lost"},
            {"id": 3, "image_id": 9, "caption": "all green"},
        ],
    }
    (tmp_path / annotations / "captions_val2017.json").write_text(json.dumps(stored), encoding="utf-8")
    first, lost = open_inputs(tmp_path)
    assert (first.id, first.captions) == ("9", ("Green.", "all green"))
    assert np.abs(np.subtract(colour_of(first.image()), COLOURS["green"])).max() < 8
    assert not lost.image().exists(), "named, so that the game's error names it too"


def test_webdataset(tmp_path):
    for number, colours in enumerate((("red", "blue"), ("white",))):
        with tarfile.open(tmp_path / f"{number}.tar", "w") as archive:
            for k, colour in enumerate(colours):
                drawn = io.BytesIO()
                picture(colour).save(drawn, "PNG")
                for name, content in (
                    (f"s{k:07d}.png", drawn.getvalue()),
                    (f"s{k:07d}.txt", f"{colour}\nvery {colour}\n".encode()),
                ):
                    member = tarfile.TarInfo(name)
                    member.size = len(content)
                    archive.addfile(member, io.BytesIO(content))
    inputs = open_inputs(tmp_path)
    assert [one.id for one in inputs] == ["0/s0000000", "0/s0000001", "1/s0000000"]
    assert inputs[1].captions == ("blue", "very blue")
    assert [colour_of(one.image()) for one in inputs] == [COLOURS[c] for c in ("red", "blue", "white")]
    assert len(open_inputs(tmp_path / "1.tar")) == 1


def test_class_folders_give_grids_in_reading_order(tmp_path):
    for colour in COLOURS:
        (tmp_path / colour).mkdir()
        for k in range(2):
            picture(colour, (30 + k, 50)).save(tmp_path / colour / f"{k}.png")
    inputs = open_inputs(tmp_path, seed=1)
    assert len(inputs) == 50
    for one in inputs[:3]:
        whole = np.asarray(one.image())
        half = len(whole) // 2
        corners = [whole[y, x] for y in (half // 2, 3 * half // 2) for x in (half // 2, 3 * half // 2)]
        assert [tuple(corner.tolist()) for corner in corners] == [COLOURS[name] for name in one.quarters]
    assert [one.quarters for one in open_inputs(tmp_path, seed=1)] == [one.quarters for one in inputs]
    assert [one.quarters for one in open_inputs(tmp_path, seed=2)] != [one.quarters for one in inputs]


def test_class_folders_of_the_paper_by_name_and_by_imagenet_number(tmp_path):
    for name in ("goldfish", "n02110185", "pizza", "tractor"):
        (tmp_path / name).mkdir()
        picture("red").save(tmp_path / name / "0.JPEG")
    inputs = open_inputs(tmp_path)
    assert len(inputs) == 50
    assert {one.quarters for one in inputs} == {tuple(CLASS_GAMES[0].split())}


def test_class_folders_as_released(tmp_path):
    """First photographs first, squeezed whole; tiger cat and Eskimo dog; captions grow by a word."""
    for name in ("n02123159", "n02123045", "goldfish", "plane", "pizza"):
        (tmp_path / name).mkdir()
        for k, colour in enumerate(("red", "green")):
            striped = picture(colour, (90, 30))
            striped.paste(COLOURS["blue"], (0, 0, 9, 30))  # a stripe that cutting to the middle would lose
            striped.save(tmp_path / name / f"ILSVRC2012_val_0000000{k}.JPEG")
    inputs = open_inputs(tmp_path, released=True)
    assert [one.quarters for one in inputs] == [("cat", "goldfish", "plane", "pizza")] * 2
    assert inputs[0].captions == ("cat", "cat goldfish", "cat goldfish plane", "cat goldfish plane pizza")
    for one, colour in zip(inputs, ("red", "green"), strict=True):
        whole = np.asarray(one.image()).astype(int)
        assert whole.shape == (448, 448, 3)
        for x, expected in ((10, "blue"), (112, colour), (234, "blue"), (336, colour)):
            assert np.abs(whole[112, x] - COLOURS[expected]).max() < 40


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda folder: folder / "none", "does not exist; expected scenes:pairs"),
        (lambda folder: "scenes:pairs:0", "expected scenes:pairs:SEED:COUNT"),
        (lambda folder: "scenes:dogs:0:3", "expected scenes:pairs:SEED:COUNT"),
        (lambda folder: "scenes:pairs:0:0", "holds no input"),
        (lambda folder: folder, "has 0 class folders"),
    ],
)
def test_what_is_no_data_is_refused(tmp_path, make, message):
    with pytest.raises(ValueError, match=message):
        open_inputs(make(tmp_path))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("picture,caption\nr.png,red\n", "has the columns picture, caption; .* image missing"),
        ("id,image,caption\n1,r.png,red\n1,b.png,blue\n", "the id '1' belongs to 'r.png' and to 'b.png'"),
        ("image,caption\n", "holds no input"),
        ("image,caption\nr.png,red\np1.png,a dog, and a bus\n", r'x.csv, line 3: .*: "a dog, and a bus"'),
        ("image,caption,,\np1.png,a dog, and a bus,\n", 'line 2: .*"a dog, and a bus"'),
        ("id,image,caption\n1,r.png,a, b, c\n", r'line 2: 5 cells .*"a, b, c"'),
        ("image\tcaption\nr.png\ta\tb\n", "line 2: .*a tab in quotation marks"),
        ('image,caption\nr.png,"a dog\nb.png,a bus\n', "line 2: unexpected end of data"),
        ('image,caption\nr.png,"a dog\nb.png,"a bus"\n', "line 2: .* quotation mark"),
        ('image,caption\nr.png,"nice" dog\n', "line 2: .* quotation mark"),
        ("image,caption,caption\nr.png,red,blue\n", "2 columns caption"),
        ("image,caption\nr.png,a café\n".encode("cp1252"), "x.csv, line 2: not in UTF-8; .*“CSV UTF-8”"),
        ("image,caption\nr.png,red\n".encode("utf-16-le"), "x.csv, line 1: not in UTF-8"),
    ],
)
def test_a_csv_that_is_none_is_refused(tmp_path, content, message):
    (tmp_path / "x.csv").write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(ValueError, match=message):
        open_inputs(tmp_path / "x.csv")


def test_broken_files_are_named(tmp_path):
    (tmp_path / "captions_x.json").write_text('{"images": []}', encoding="utf-8")
    with pytest.raises(ValueError, match=r"captions_x\.json is no list of COCO captions"):
        open_inputs(tmp_path)
    broken = tmp_path / "t"
    broken.mkdir()
    (broken / "0.tar").write_bytes(b"nothing" * 200)
    with pytest.raises(ValueError, match=r"0\.tar is no tar archive"):
        open_inputs(broken)


def test_ids_that_come_twice_are_refused(tmp_path):
    stored = {
        "images": [{"id": 9, "file_name": "a.jpg"}],
        "annotations": [{"image_id": 9, "caption": "x"}],
    }
    for split in ("train", "val"):
        (tmp_path / f"captions_{split}.json").write_text(json.dumps(stored), encoding="utf-8")
    with pytest.raises(ValueError, match="the id '9' is there more than once"):
        open_inputs(tmp_path)
