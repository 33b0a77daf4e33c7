"""The command line: right results, and for every bad input exit code 2, one line, and nothing left behind."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
import warnings
from pathlib import Path

import numpy as np
import pytest
import stand_ins
from PIL import Image

from fixlip_helpers import VisionLanguageGame, cli, models, scenes
from fixlip_helpers.commands import plans
from fixlip_helpers.commands.console import NOT_RUN
from fixlip_helpers.datasets import published_clip
from fixlip_helpers.encoders import pictures
from fixlip_helpers.explanation import Explanation
from fixlip_helpers.models import VisionLanguageModel

FILES = ["explanation.html", "explanation.json", "explanation.png"]
CAPTION = "a black dog on grass"
ROOT = Path(__file__).parent.parent


def save_model(model: VisionLanguageModel, folder: Path) -> Path:
    for part in (model.network, model.tokenizer, model.image_processor):
        part.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A random model of 4 x 4 patches and whole words, called like an embedded one."""
    return save_model(stand_ins.small_model("mini-clip"), tmp_path_factory.mktemp("models") / "mini-clip")


@pytest.fixture(scope="module")
def seven_by_seven(tmp_path_factory):
    """A random CLIP of 7 x 7 patches that cuts the published caption as the real one does."""
    network = stand_ins.clip_network(56, 8, vocab_size=49408, eos_token_id=2)
    model = VisionLanguageModel(network, stand_ins.clip_tokenizer(), stand_ins.clip_processor(56), "random")
    return save_model(model, tmp_path_factory.mktemp("models") / "random-clip")


def drawing() -> Image.Image:
    image = Image.new("RGB", (64, 64), "green")
    image.paste("black", (8, 8, 30, 30))
    return image


@pytest.fixture
def picture(tmp_path):
    drawing().save(tmp_path / "drawing.png")
    return tmp_path / "drawing.png"


@pytest.fixture
def call(capsys, tmp_path, folder):
    """Run the command line in this process; returns exit code, output, errors. ``explain`` gets a model, a small
    budget and an output folder unless it names its own."""

    def run(*arguments: str):
        arguments = list(map(str, arguments))
        if arguments[:1] == ["explain"]:
            for option, value in (("--model", folder), ("--budget", "1600"), ("--out", tmp_path / "out")):
                if option not in arguments:
                    arguments += [option, str(value)]
        with pytest.raises(SystemExit) as exit_info:
            cli.main(arguments)
        output = capsys.readouterr()
        return exit_info.value.code, output.out, output.err

    return run


def written(tmp_path) -> list[str]:
    out = tmp_path / "out"
    return sorted(os.listdir(out)) if out.exists() else []


def refuses(result, tmp_path, *fragments: str) -> None:
    """Exit code 2, one line with what matters, no traceback, nothing written."""
    code, output, errors = result
    line = errors.strip().splitlines()[-1]
    assert code == 2, errors
    assert line.startswith("fixlip: ") and len(errors.strip().splitlines()) == 1, errors
    assert "Traceback" not in errors + output
    for fragment in fragments:
        assert fragment in line, line
    assert not (tmp_path / "out").exists()


# --- Right results ------------------------------------------------------------------------------------------


def test_explain_writes_three_files_and_says_how_far_to_trust_them(call, picture, tmp_path):
    code, output, _ = call("explain", picture, CAPTION)
    assert code == 0
    assert written(tmp_path) == FILES
    explanation = Explanation.load(tmp_path / "out" / "explanation.json")
    assert explanation.players[16:] == CAPTION.split() and explanation.meta["caption"] == CAPTION
    with Image.open(tmp_path / "out" / "explanation.png") as figure:
        figure.load()
        assert figure.format == "PNG" and figure.width == 1500
    assert "</html>" in (tmp_path / "out" / "explanation.html").read_text(encoding="utf-8")

    plan, words = output.index("Expected: "), output.index("Words")
    assert plan < words  # first what it will take
    passes = explanation.meta["passes"]
    for text in ("ν(N)", "ν̂(N)", "their gap", "on held-out coalitions", "Fit: "):
        assert text in output
    strongest = explanation.top(1, "cross")[0]
    assert f"{strongest.value:+.2f}".replace("-", "−")[:4] in output and strongest.names[1] in output
    r2 = explanation.meta["held_out_r2"]
    assert f"{r2:.3f}".replace("-", "−") in output
    assert ("poor" if r2 < 0.7 else "fair" if r2 < 0.9 else "good") in output
    planned = [
        int(part.replace(",", "")) for part in output[plan:].split()[1:6] if part.replace(",", "").isdigit()
    ]
    assert len(planned) == 2
    for plan_passes, side in zip(planned, ("image", "text"), strict=True):
        assert (
            0 <= plan_passes - passes[side] <= 0.35 * plan_passes
        )  # repeats are encoded once, so never more


def test_explain_is_the_package_s_explanation(call, picture, tmp_path, folder):
    from fixlip_helpers.encoders.vision_language import VisionLanguageGame
    from fixlip_helpers.fixlip import fixlip

    call("explain", picture, CAPTION, "--p", "0.6", "--seed", "3", "--removal", "drop")
    ours = Explanation.load(tmp_path / "out" / "explanation.json")
    game = VisionLanguageGame(models.load_model(folder), picture, CAPTION, removal="drop")
    theirs = fixlip(game, 0.6, 1600, seed=3)
    np.testing.assert_allclose(ours.main, theirs.main, atol=1e-5)  # in other batches, hence to rounding
    np.testing.assert_allclose(ours.pairs, theirs.pairs, atol=1e-5)
    assert ours.meta["seed"] == 3 and ours.meta["removal"] == "drop" and ours.p == 0.6


def test_default_budget(call, picture, tmp_path):
    code, _, errors = call("explain", picture, "dog", "--budget", "auto")
    assert code == 0, errors
    meta = Explanation.load(tmp_path / "out" / "explanation.json").meta
    assert meta["budget"] == "auto" and meta["held_out_r2"] is not None


def test_errors_and_shapley_interactions(call, picture, tmp_path):
    code, output, errors = call("explain", picture, "dog", "--errors", "--budget", "2^11")
    assert code == 0 and "Standard error of a pair" in output, errors
    assert Explanation.load(tmp_path / "out" / "explanation.json").errors is not None
    code, output, errors = call("explain", picture, "dog", "--index", "FSII", "--budget", "2000")
    assert code == 0, errors
    assert Explanation.load(tmp_path / "out" / "explanation.json").index == "FSII"


def test_tolerance_with_a_checkpoint(call, picture, tmp_path):
    arguments = ("explain", picture, "dog", "--tolerance", "0.5", "--budget", "auto")
    code, output, errors = call(*arguments, "--checkpoint", tmp_path / "passes")
    assert code == 0 and "Asked for 0.5: stopped as the" in output, errors
    first = Explanation.load(tmp_path / "out" / "explanation.json")
    assert list((tmp_path / "passes").glob("image-*.safetensors"))
    call(*arguments, "--checkpoint", tmp_path / "passes")
    again = Explanation.load(tmp_path / "out" / "explanation.json")
    np.testing.assert_array_equal(again.pairs, first.pairs)
    refused = call(
        "explain", picture, "red cat", "--checkpoint", tmp_path / "passes", "--out", tmp_path / "new"
    )
    assert refused[0] == 2 and "belongs to another run" in refused[2] and not (tmp_path / "new").exists()


def test_budgets_may_be_powers(call, picture, tmp_path):
    call("explain", picture, "dog", "--budget", "2^10")
    assert Explanation.load(tmp_path / "out" / "explanation.json").meta["budget"] == 1024


def test_results_of_an_earlier_run_are_replaced(call, picture, tmp_path):
    call("explain", picture, "dog")
    call("explain", picture, "red cat")
    assert written(tmp_path) == FILES
    assert Explanation.load(tmp_path / "out" / "explanation.json").meta["caption"] == "red cat"


def test_demo_shows_what_was_published(call, tmp_path):
    code, output, _ = call("demo", "--out", tmp_path / "out")
    assert code == 0 and written(tmp_path) == FILES
    for text in ("−1.90", "+12.12", "hydr", "patch in row 5, column 6", "not published", "MIT licence"):
        assert text in output
    explanation = Explanation.load(tmp_path / "out" / "explanation.json")
    np.testing.assert_array_equal(explanation.pairs, published_clip()[1]["FIxLIP"].pairs)


def test_models_lists_them_all(call):
    code, output, _ = call("models")
    assert code == 0
    for info in models.available_models():
        assert info.name in output


@pytest.mark.parametrize("command", [[], ["explain"], ["models"], ["demo"], ["verify"]])
def test_help_of_every_command(call, command):
    code, output, _ = call(*command, "--help") if command != ["explain"] else call("--help")
    assert code == 0 and "fixlip" in output.lower()
    if command in (["demo"], ["verify"]):
        assert "Example" in output


def test_python_m_runs_the_command_line():
    result = subprocess.run(
        [sys.executable, "-m", "fixlip_helpers", "explain", "--help"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0 and "Examples:" in result.stdout and "--removal" in result.stdout


def test_help_needs_no_torch():
    code = "import sys; from fixlip_helpers import cli; assert not {'torch', 'matplotlib'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)


# --- Notes --------------------------------------------------------------------------------------------------


def test_embedded_models_say_that_they_know_drawings_only(call, tmp_path, picture):
    Image.fromarray(stand_ins.noise_image(128, 128)).save(tmp_path / "photo.png")
    code, _, errors = call("explain", tmp_path / "photo.png", "dog")
    assert code == 0
    assert "looks like a photograph" in errors and "heuristic" in errors and cli.PHOTO_MODEL in errors
    _, _, errors = call("explain", picture, "dog")
    assert "photograph" not in errors


def test_the_heuristic_tells_the_scenes_from_the_photograph():
    drawings = [scenes.make_scene(seed).image for seed in range(20)]
    drawings += [scenes.grid_scene(scenes.random_nouns(4, f"g{k}"), k).image for k in range(20)]
    drawings += [example.image for example in scenes.examples().values()]
    assert max(map(pictures.distinct_colours, drawings)) < pictures.MOST_COLOURS_OF_A_DRAWING
    assert pictures.distinct_colours(published_clip()[0]) > pictures.MOST_COLOURS_OF_A_DRAWING


def test_a_game_of_an_embedded_encoder_and_a_photograph_warns():
    model, photograph = models.load_model("mini-clip"), published_clip()[0]
    with pytest.warns(
        pictures.ImageWarning, match="looks like a photograph.*mini-clip has seen drawn scenes only"
    ):
        VisionLanguageGame(model, photograph, "a dog")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        VisionLanguageGame(model, scenes.examples()["hero"].image, "a dog")


# --- Pictures of all kinds ----------------------------------------------------------------------------------


def odd_pictures(folder: Path) -> dict[str, Path]:
    """The same drawing in ways that a careless reader gets wrong."""
    image, paths = drawing(), {}

    def save(name: str, picture: Image.Image, **options) -> None:
        paths[name.split(".")[0]] = folder / name
        picture.save(folder / name, **options)

    clear = image.convert("RGBA")
    clear.paste((0, 0, 0, 0), (40, 40, 64, 64))
    save("transparent.png", clear)
    save("cmyk.tif", image.convert("CMYK"))
    save("palette.png", image.quantize(8))
    sixteen = np.asarray(image.convert("L")).astype(np.uint16) * 257
    save("sixteen.png", Image.fromarray(sixteen))
    exif = Image.Exif()
    exif[0x0112] = 6  # shown turned by a quarter
    save("rotated.png", image.transpose(Image.Transpose.ROTATE_90), exif=exif)
    save("animated.gif", image.quantize(8), save_all=True, append_images=[Image.new("P", (64, 64), 1)])
    save("one.png", Image.new("RGB", (1, 1), "red"))
    return paths


@pytest.mark.parametrize("kind", ["transparent", "cmyk", "palette", "sixteen", "rotated", "animated", "one"])
def test_odd_pictures_are_read_right(call, tmp_path, folder, kind):
    path = odd_pictures(tmp_path)[kind]
    code, _, errors = call("explain", path, "dog", "--seed", "1")
    assert code == 0 and written(tmp_path) == FILES
    assert ("2 frames; the first one is used" in errors) == (kind == "animated")
    explanation = Explanation.load(tmp_path / "out" / "explanation.json")
    expected = {
        "transparent": Image.composite(drawing(), Image.new("RGB", (64, 64), "white"), _corner()),
        "sixteen": drawing().convert("L").convert("RGB"),
        "one": Image.new("RGB", (1, 1), "red"),
    }.get(kind, drawing())
    truth = models.load_model(folder).score(expected, "dog")
    assert explanation.meta["full_value"] == pytest.approx(truth, abs=1e-4)


def _corner() -> Image.Image:
    mask = Image.new("L", (64, 64), 255)
    mask.paste(0, (40, 40, 64, 64))
    return mask


def bad_pictures(folder: Path) -> dict[str, Path]:
    paths = {
        name: folder / name
        for name in ("missing.png", "empty.png", "text.png", "cut.jpg", "huge.png", "long.png")
    }
    paths["empty.png"].write_bytes(b"")
    paths["text.png"].write_text("not a picture")
    drawing().resize((600, 600)).save(folder / "whole.jpg")
    paths["cut.jpg"].write_bytes((folder / "whole.jpg").read_bytes()[:2000])
    Image.new("1", (12_000, 12_000)).save(paths["huge.png"])
    Image.new("RGB", (1, 400)).save(paths["long.png"])
    paths["folder"] = folder
    return paths


@pytest.mark.parametrize(
    ("kind", "fragment"),
    [
        ("missing.png", "no such file"),
        ("empty.png", "empty (0 bytes)"),
        ("text.png", "not a picture"),
        ("cut.jpg", "truncated"),
        ("huge.png", "make it smaller"),
        ("long.png", "times as long as wide"),
        ("folder", "is a folder"),
    ],
)
def test_unusable_pictures(call, tmp_path, kind, fragment):
    refuses(call("explain", bad_pictures(tmp_path)[kind], "dog"), tmp_path, fragment)


# --- Captions, numbers, models, folders ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("caption", "fragments"),
    [
        ("", ["caption is empty"]),
        (" \t ", ["caption is empty"]),
        ("dog " * 40, ["40 tokens", "shorten"]),
        ("собака", ["outside the Latin script", "translate"]),
        ("a blakc dog", ["'blakc'", "nearest: black"]),
        ("zzzz", ["'zzzz'"]),
        ("a <eos> dog", ["eos"]),
        ("...", ["caption"]),
    ],
)
def test_unusable_captions(call, picture, tmp_path, caption, fragments):
    refuses(call("explain", picture, caption), tmp_path, *fragments)


@pytest.mark.parametrize(
    ("options", "fragments"),
    [
        (["--p", "0"], ["p = 0.0", "between 0 and 1"]),
        (["--p", "1"], ["p = 1.0"]),
        (["--p", "-0.5"], ["p = -0.5"]),
        (["--p", "nan"], ["p = nan"]),
        (["--p", "inf"], ["p = inf"]),
        (["--p", "half"], ["'half'", "--p"]),
        (["--budget", "0"], ["'0'", "auto"]),
        (["--budget", "-5"], ["'-5'"]),
        (["--budget", "many"], ["'many'", "2^17"]),
        (["--budget", "1.5"], ["'1.5'"]),
        (["--budget", "2^"], ["'2^'"]),
        (["--budget", "9" * 40], ["auto"]),
        (["--budget", "30"], ["passes are needed"]),
        (["--seed", "-1"], ["seed = -1"]),
        (["--seed", str(2**64)], ["seed = "]),
        (["--seed", "x"], ["--seed"]),
        (["--device", "abacus"], ["'abacus'", "cpu"]),
        (["--removal", "magic"], ["magic", "mean"]),
        (["--index", "SII"], ["'SII'", "FWBII", "FSII"]),
        (["--tolerance", "0"], ["tolerance = 0.0", "above 0"]),
        (["--tolerance", "small"], ["'small'", "--tolerance"]),
        (["--index", "FSII", "--errors"], ["index='FWBII'"]),
        (["--model", "no-such-model"], ["no-such-model", "mini-clip"]),
        (["--unknown"], ["--unknown"]),
    ],
)
def test_unusable_options(call, picture, tmp_path, options, fragments):
    refuses(call("explain", picture, "dog", *options), tmp_path, *fragments)


def test_a_folder_that_is_no_model(call, picture, tmp_path):
    (tmp_path / "nothing").mkdir()
    refuses(
        call("explain", picture, "dog", "--model", tmp_path / "nothing"),
        tmp_path,
        "'nothing' cannot be loaded",
    )


def test_a_hub_that_cannot_be_reached(call, picture, tmp_path, monkeypatch):
    import huggingface_hub

    def unreachable(*args, **kwargs):
        raise ConnectionError("no route")

    monkeypatch.setattr(huggingface_hub.HfApi, "model_info", unreachable)
    refuses(
        call("explain", picture, "dog", "--model", "nobody/nothing-here"),
        tmp_path,
        "cannot be reached",
        "mini-clip",
    )


@pytest.mark.parametrize(
    "arguments", [["explain"], ["explain", "x.png"], ["explode"], ["demo", "extra"], ["--bad"]]
)
def test_unusable_calls(capsys, tmp_path, arguments):
    with pytest.raises(SystemExit) as exit_info:
        cli.main(arguments)
    output = capsys.readouterr()
    refuses((exit_info.value.code, output.out, output.err), tmp_path)


def test_a_budget_beyond_memory_is_refused_at_once(call, picture, tmp_path, monkeypatch):
    start = time.perf_counter()
    monkeypatch.setattr(plans, "machine_memory", lambda: 2e6)
    refuses(call("explain", picture, CAPTION, "--budget", "2^40"), tmp_path, "memory", "less")
    monkeypatch.setattr(plans, "machine_memory", lambda: 2e5)
    refuses(
        call("explain", picture, CAPTION, "--budget", "2^12"), tmp_path, "GB of memory", "smaller --budget"
    )
    assert time.perf_counter() - start < 60


@pytest.mark.parametrize("kind", ["file", "below a file", "system", "long"])
def test_unwritable_folders(call, picture, tmp_path, kind):
    (tmp_path / "file").write_text("precious")
    out = {
        "file": tmp_path / "file",
        "below a file": tmp_path / "file" / "out",
        "system": Path("/proc/fixlip"),
        "long": tmp_path / ("x" * 300),
    }[kind]
    if kind == "system" and not Path("/proc").is_dir():
        pytest.skip("this system has no /proc")
    for arguments in (["explain", picture, "dog"], ["demo"]):
        refuses(call(*arguments, "--out", out), tmp_path, "--out", "name a folder")
    assert (tmp_path / "file").read_text() == "precious"


def test_a_folder_in_the_place_of_a_result(call, picture, tmp_path):
    (tmp_path / "out" / "explanation.json").mkdir(parents=True)
    code, _, errors = call("explain", picture, "dog")
    assert code == 2 and "a folder has that name" in errors and errors.count("\n") >= 1
    assert written(tmp_path) == ["explanation.json"]  # neither of the other two was written


# --- Never a half-written file ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("failure", "code", "text", "kept"),
    [
        (MemoryError(), 1, "explanation.png could not be made (MemoryError", False),
        (KeyboardInterrupt(), 130, "interrupted", True),
        (OSError(28, "No space left on device"), 2, "No space left", True),
        (RuntimeError("a fault\nof ours"), 1, "could not be made (RuntimeError: a fault of ours)", False),
    ],
)
def test_failing_while_writing_leaves_whole_files(
    call, picture, tmp_path, monkeypatch, failure, code, text, kept
):
    from fixlip_helpers import plots

    call("explain", picture, "dog")
    before = (tmp_path / "out" / "explanation.png").read_bytes()

    def fail(*args, **kwargs):
        raise failure

    monkeypatch.setattr(plots, "explanation_figure", fail)
    found, _, errors = call("explain", picture, "red cat")
    assert found == code and text in errors.splitlines()[-1] and "Traceback" not in errors
    explanation = Explanation.load(tmp_path / "out" / "explanation.json")  # the numbers come first
    assert explanation.meta["caption"] == "red cat"
    files = {name for name in written(tmp_path) if not name.startswith("unfinished-")}
    if "explanation.png" in files:  # of the earlier run, whole; where the new one failed it is gone
        assert kept and (tmp_path / "out" / "explanation.png").read_bytes() == before
    assert files <= set(FILES) and (len(written(tmp_path)) > len(files)) == kept


def test_a_folder_that_was_made_in_vain_is_removed(call, picture, tmp_path, monkeypatch):
    def fail(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr(VisionLanguageGame, "_encode_images", fail)
    code, *_ = call("explain", picture, "dog", "--out", tmp_path / "new" / "deep")
    assert code == 130 and not (tmp_path / "new").exists()


@pytest.mark.skipif(os.name == "nt", reason="signals are sent as POSIX does")
def test_control_c_ends_cleanly(tmp_path, picture, folder):
    command = [
        sys.executable,
        "-u",
        "-m",
        "fixlip_helpers",
        "explain",
        str(picture),
        CAPTION,
        "--model",
        str(folder),
    ]
    process = subprocess.Popen(
        [*command, "--budget", "2^22", "--out", str(tmp_path / "out")],
        cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        # tests that a shell runs in the background inherit that Control-C is ignored
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )  # fmt: skip
    assert process.stdout.readline().startswith("Expected: ")
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate()
    assert process.returncode == 130 and "interrupted" in errors and "Traceback" not in errors
    assert [name[:11] for name in written(tmp_path)] == ["unfinished-"]  # the passes that were made


def test_a_design_and_an_order_are_taken_as_they_are_asked_for(call, tmp_path, folder, picture):
    asked = ["explain", picture, "a dog", "--budget", "auto", "--patches", "3x3"]
    code, _, errors = call(*asked, "--design", "independent:64", "--order", "1")
    assert code == 0, errors
    meta = Explanation.load(tmp_path / "out" / "explanation.json").meta
    assert meta["design"]["image"]["name"] == "independent" and meta["order"]["image"] == 1
    shutil.rmtree(tmp_path / "out")
    for wrong in ("independent", "random:64", "independent:0"):
        refuses(call(*asked, "--design", wrong), tmp_path, "NAME:N")
    refuses(call(*asked, "--order", "1", "--seconds", "5"), tmp_path, "leave --seconds out")


# --- fixlip verify ------------------------------------------------------------------------------------------


def test_verify_without_the_model_says_so(call, monkeypatch):
    def nowhere(*args, **kwargs):
        raise ValueError("not in the local cache and the hub cannot be reached")

    monkeypatch.setattr(models, "load_model", nowhere)
    code, _, errors = call("verify")
    assert code == NOT_RUN == 3
    assert (
        errors.startswith("fixlip: not run here: ") and errors.count("\n") == 1 and "--model FOLDER" in errors
    )


def test_verify_runs_the_published_settings_on_random_weights(call, seven_by_seven):
    code, output, errors = call("verify", "--model", seven_by_seven, "--budget", "2^17")
    assert code == 0, errors
    assert "pairs of patch and word" in output and "only if 'random-clip' holds the weights" in output
    correlations = [
        float(line.split()[-3].replace("−", "-"))
        for line in output.splitlines()
        if "pairs of patch and" in line
    ]
    assert abs(correlations[0]) < 0.5  # random weights do not agree with what was published


def test_verify_measures_agreement(capsys):
    _, explanations = published_clip()
    published = explanations["FIxLIP"]
    published.meta["held_out_r2"] = 0.9
    shifted = Explanation.from_dict(published.to_dict())
    shifted.pairs[0, 50] += 0.25
    shifted.pairs[50, 0] += 0.25
    stand_in = type("Encoder", (), {"name": cli.PHOTO_MODEL})()
    cli._compare(published, published, stand_in)
    assert capsys.readouterr().out.count("1.0000               0.0000") == 5
    cli._compare(shifted, published, stand_in)
    line = next(text for text in capsys.readouterr().out.splitlines() if "pairs of patch and word" in text)
    correlation, difference = map(float, line.split()[-3:-1])
    assert 0.9 < correlation < 1 and difference == 0.25


def test_verify_refuses_what_it_cannot_compare(call, tmp_path, folder, seven_by_seven):
    refuses(call("verify", "--model", tmp_path), tmp_path, "cannot be loaded")
    refuses(call("verify", "--model", folder), tmp_path, "mini-clip")
    refuses(call("verify", "--model", seven_by_seven, "--budget", "2^9"), tmp_path, "passes")


def test_published_budget_gives_the_published_coalitions():
    from fixlip_helpers.coalitions import authors_split

    m_image, m_text = authors_split(cli.PUBLISHED_BUDGET, 49, 8)
    assert (m_image, m_text, m_image * m_text) == (8848, 237, published_clip()[1]["FIxLIP"].meta["budget"])


def test_json_of_the_command_line_fits_the_schema(call, picture, tmp_path):
    import jsonschema

    from fixlip_helpers.explanation import SCHEMA

    call("explain", picture, "dog")
    record = json.loads((tmp_path / "out" / "explanation.json").read_text(encoding="utf-8"))
    jsonschema.validate(record, json.loads(SCHEMA.read_text(encoding="utf-8")))
