"""Inputs that cannot be used, in any row and of any kind of data: each is skipped, named with file and row, counted."""

import io
import json
import re
import tarfile

import pandas
import pytest
from PIL import Image
from stand_ins import small_model
from test_cli import save_model

from fixlip_helpers import cli
from fixlip_helpers.datasets import open_inputs
from fixlip_helpers.experiments import evaluation
from fixlip_helpers.experiments.evaluation import Request, evaluate

GOOD = "a dog"  # words that the small model knows


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return save_model(small_model("mini-clip"), tmp_path_factory.mktemp("models") / "small")


def png(colour="red") -> bytes:
    written = io.BytesIO()
    Image.new("RGB", (24, 24), colour).save(written, "PNG")
    return written.getvalue()


def picture(folder, name, content=None):
    (folder / name).write_bytes(png() if content is None else content)


def run(data, folder, out, *more):
    """The command line on data, with one quick method; exit code, output, errors come from ``capsys``."""
    with pytest.raises(SystemExit) as ended:
        cli.main(
            ["evaluate", "--data", str(data), "--model", str(folder), "--method", "game", "--coalitions", "8", "--p",
             "0.5", "--out", str(out), *more]
        )  # fmt: skip
    return ended.value.code


BAD_ROWS = {
    "a lost picture": ("none.png,a dog", "line {}: image '.*none.png': no such file"),
    "a truncated picture": ("cut.png,a dog", "line {}: image '.*cut.png' cannot be decoded"),
    "a text for a picture": ("text.png,a dog", "line {}: image '.*text.png' is not a picture"),
    "a folder for a picture": ("folder,a dog", "line {}: image '.*folder' is a folder"),
    "a thin picture": ("thin.png,a dog", "line {}: .*times as long as wide"),
    "an unknown word": ("good.png,a zebra", "line {}: caption has words that .* does not know: 'zebra'"),
    "too many words": (f"good.png,{'dog ' * 200}", r"line {}: caption has \d+ tokens"),
    "no caption": ("good.png,", "line {}: no caption"),
    "a blank caption": ("good.png,   ", "line {}: no caption"),
    "no picture": (",a dog", "line {}: no image"),
    "only marks": ("good.png,...", "line {}: caption '...' has no word left|line {}: caption"),
}


@pytest.fixture
def pictures(tmp_path):
    for name, content in {
        "good.png": None, "other.png": png("blue"), "cut.png": png()[:60], "text.png": b"this is no picture",
    }.items():  # fmt: skip
        picture(tmp_path, name, content)
    (tmp_path / "folder").mkdir()
    Image.new("RGB", (600, 4)).save(tmp_path / "thin.png")
    return tmp_path


@pytest.mark.parametrize("place", ["first", "last"])
def test_bad_rows_of_a_csv_are_skipped_and_named_wherever_they_stand(place, pictures, folder, capsys):
    rows = [row for row, _ in BAD_ROWS.values()]
    good = ["other.png,a dog", "good.png,a cat"]
    (pictures / "pairs.csv").write_text(
        "\n".join(["image,caption", *(rows + good if place == "first" else good + rows)]), encoding="utf-8"
    )
    for _ in range(2):  # also when the good ones are there already
        assert run(pictures / "pairs.csv", folder, pictures / "out") == 1
        output = capsys.readouterr()
        lines = [line for line in output.err.splitlines() if "skipped: " in line]
        assert len(lines) == len(BAD_ROWS), output.err
        for number, (what, (_, message)) in enumerate(BAD_ROWS.items()):
            row = number + (2 if place == "first" else 4)
            pattern = message.replace("{}", str(row))
            assert any(re.search(rf"pairs\.csv, {pattern}", line) for line in lines), (what, lines)
        assert "unexpected" not in output.err and "cannot write" not in output.err

    kept = pandas.read_parquet(pictures / "out" / "rows.parquet")
    assert set(zip(kept["input"], kept["caption"], strict=True)) == {
        ("other.png", "a dog"),
        ("good.png", "a cat"),
    }


def test_where_nothing_can_be_used_all_of_it_is_named(pictures, folder, capsys):
    (pictures / "pairs.csv").write_text("image,caption\nnone.png,a dog\ngood.png,a zebra\n", encoding="utf-8")
    assert run(pictures / "pairs.csv", folder, pictures / "out") == 1
    errors = capsys.readouterr().err
    assert errors.count("skipped: ") == 2 and "pairs.csv, line 2" in errors and "pairs.csv, line 3" in errors


def test_the_selection_names_what_it_could_not_score(pictures, folder, capsys):
    (pictures / "pairs.csv").write_text(
        "image,caption\ncut.png,a dog\ngood.png,a dog\nother.png,a zebra\ngood.png,a cat\n", encoding="utf-8"
    )
    for _ in range(2):
        assert run(pictures / "pairs.csv", folder, pictures / "out", "--select", "3") == 1
        errors = capsys.readouterr().err
        assert (
            errors.count("skipped: ") == 2 and "pairs.csv, line 2" in errors and "pairs.csv, line 4" in errors
        )


def tar(path, members):
    with tarfile.open(path, "w") as archive:
        for name, content in members.items():
            member = tarfile.TarInfo(name)
            if content is None:
                member.type = tarfile.DIRTYPE
                archive.addfile(member)
            else:
                member.size = len(content)
                archive.addfile(member, io.BytesIO(content))


def test_a_tar_with_bad_members(tmp_path, folder, capsys):
    tar(
        tmp_path / "set.tar",
        {
            "s0.png": png()[:60], "s0.txt": b"a dog",  # truncated
            "s1.png": b"no picture", "s1.txt": b"a dog",
            "s2.png": png(), "s2.txt": b"",
            "s3.png": png(),
            "s4.png": png(), "s4.txt": "a caf\u00e9".encode("utf-16"),
            "s5.png": png(), "s5.txt": b"a zebra\na dog",
            "s6.png": None, "s6.txt": b"a dog",  # a folder of that name
        },
    )  # fmt: skip
    assert run(tmp_path / "set.tar", folder, tmp_path / "out") == 1
    errors = capsys.readouterr().err
    said = {
        "s0": "cannot be decoded", "s1": "is not a picture", "s2": "s2.txt is empty", "s3": "s3.txt is not there",
        "s4": "s4.txt is not in UTF-8", "s5": "'zebra'",
    }  # fmt: skip
    for stem, words in said.items():
        assert any(f"set.tar, {stem}" in line and words in line for line in errors.splitlines()), (
            stem,
            errors,
        )
    assert errors.count("skipped: ") == len(said) and "cannot write" not in errors


def test_a_tar_that_ends_early_gives_what_it_holds(tmp_path):
    tar(
        tmp_path / "set.tar",
        {"s0.png": png(), "s0.txt": b"a dog", "s1.txt": b"a cat" * 1000, "s1.png": png()},
    )
    whole = (tmp_path / "set.tar").read_bytes()
    (tmp_path / "set.tar").write_bytes(whole[: 5 * 512])
    first, last = open_inputs(tmp_path / "set.tar")
    assert first.captions == ("a dog",) and not first.fault
    assert "ends early" in last.fault and last.named(last.fault).startswith("set.tar: ")


ODD_ANNOTATIONS = [
    {"image_id": 1, "caption": None}, {"image_id": 1}, {"caption": GOOD}, {"image_id": 1, "caption": ["a"]}, None, 7,
    {"image_id": 1, "caption": "  "}, {"image_id": [1], "caption": GOOD},
]  # fmt: skip


def test_coco_with_annotations_that_are_none(tmp_path, folder, capsys):
    picture(tmp_path, "1.png")
    stored = {
        "images": [None, {"id": 5}, {"id": 6, "file_name": 3}, {"id": 1, "file_name": "1.png"}],
        "annotations": [
            *ODD_ANNOTATIONS,
            {"image_id": 1, "caption": GOOD},
            {"image_id": 9, "caption": "elsewhere"},
        ],
    }
    (tmp_path / "captions_x.json").write_text(json.dumps(stored), encoding="utf-8")
    assert run(tmp_path, folder, tmp_path.parent / "coco-out") == 1
    errors = capsys.readouterr().err
    for number in range(len(ODD_ANNOTATIONS)):
        assert f"captions_x.json, annotation {number}: expected a caption and an image_id" in errors
    for number in range(3):
        assert f"captions_x.json, image {number}: expected an id and a file_name" in errors
    assert errors.count("skipped: ") == len(ODD_ANNOTATIONS) + 3


def test_errors_of_any_kind_are_an_inputs_own(pictures, folder, monkeypatch):
    (pictures / "pairs.csv").write_text("image,caption\nother.png,a dog\ngood.png,a cat\n", encoding="utf-8")
    measure = evaluation.measure

    def fails(bench):
        if bench.one.id == "other.png":
            raise OSError(5, "Input/output error")
        return measure(bench)

    monkeypatch.setattr(evaluation, "measure", fails)
    request = Request(str(pictures / "pairs.csv"), (str(folder),), ("game",), ps=(0.5,), coalitions=8)
    outcome = evaluate(request, pictures / "out")
    assert set(outcome.rows["input"]) == {"good.png"}
    ((_, name, reason),) = outcome.failures
    assert name == "other.png" and reason == "pairs.csv, line 2: OSError: [Errno 5] Input/output error"


def test_a_grid_with_a_broken_photograph_is_named(tmp_path):
    for name in "abcd":
        (tmp_path / name).mkdir()
        picture(tmp_path / name, "1.png", png()[:60] if name == "c" else None)
    with pytest.raises(
        ValueError, match=r"the picture of input .* cannot be read: image '.*1\.png' cannot be decoded"
    ):
        open_inputs(tmp_path)[0].image()
