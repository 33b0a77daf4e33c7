"""Run the real encoders and write the page that shows what came of it.

    python scripts/real.py                            CLIP ViT-B/32 and SigLIP 2, everything, within five hours
    python scripts/real.py --hours 1 --chapters       no chapters
    python scripts/real.py --fresh                    nothing of an earlier run in the folder is taken over

The models are loaded by name, so the hub must be in reach (HF_ENDPOINT names another one) or have been before. What is
done is written to FOLDER/results.json at once: a run that was stopped goes on where it was, and what failed is tried
again. FOLDER/real.md with its figures is what book/real.md includes once it lies in results/real. The exit status is 1
where anything failed; the page says what.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import date
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from fixlip_helpers.show import signed

ROOT = Path(__file__).resolve().parent.parent
VERIFIED = "openai/clip-vit-base-patch32"  # of which an explanation is published
MODELS = (VERIFIED, "google/siglip2-base-patch32-256")
CHAPTERS = ("05_sampling", "10_fixlip", "11_cross_modal", "14_faithfulness")
BLOCKS = ("patches", "words", "cross-modal")
NOTHING = (
    "**No run has been published here yet.** The first one writes its results in this place: scores, figures, held-out "
    "$R^2$, the share of each block, times and versions, or what failed.\n"
)


class Photograph(NamedTuple):
    """A free photograph with a caption that is true of it and one that is not; ``load`` gives its pixels."""

    name: str
    true: str
    false: str
    licence: str
    load: Callable[[], Any]


def _published() -> Image.Image:
    from fixlip_helpers.datasets import published_clip

    return published_clip()[0]


def _hopper() -> Image.Image:
    from matplotlib import cbook

    return Image.open(cbook.get_sample_data("grace_hopper.jpg"))


def _sklearn(name: str) -> Callable[[], np.ndarray]:
    def load() -> np.ndarray:
        from sklearn.datasets import load_sample_image

        return load_sample_image(name)

    return load


def _skimage(name: str) -> Callable[[], np.ndarray]:
    def load() -> np.ndarray:
        from skimage import data

        return getattr(data, name)()

    return load


def _scipy(name: str) -> Callable[[], np.ndarray]:
    def load() -> np.ndarray:
        from scipy import datasets

        return getattr(datasets, name)()

    return load


PHOTOGRAPHS = (
    Photograph(
        "dog", "a white dog next to a yellow hydrant", "a black dog next to a yellow hydrant",
        "MIT License, from the release of the FIxLIP paper", _published,
    ),
    Photograph(
        "hopper", "a woman with glasses in a dark uniform", "a man with a beard in a white shirt",
        "public domain, U.S. Navy; in matplotlib", _hopper,
    ),
    Photograph(
        "china", "a tower with curved roofs above a lake", "a bridge of steel above a street",
        "CC BY 2.0, danielbuechele; in scikit-learn", _sklearn("china.jpg"),
    ),
    Photograph(
        "flower", "an orange flower before dark leaves", "a blue flower before white snow",
        "CC BY 2.0, as scikit-learn's README states; in scikit-learn", _sklearn("flower.jpg"),
    ),
    Photograph(
        "astronaut", "a woman in an orange space suit", "a woman in a green evening dress",
        "public domain, NASA; in scikit-image", _skimage("astronaut"),
    ),
    Photograph(
        "cat", "a cat looks at the camera", "a dog looks at the camera",
        "CC0, Stéfan van der Walt; in scikit-image", _skimage("chelsea"),
    ),
    Photograph(
        "coffee", "a cup of coffee with a spoon", "a bowl of soup with a fork",
        "CC0, Rachel Michetti; in scikit-image", _skimage("coffee"),
    ),
    Photograph(
        "rocket", "a rocket on a launch pad", "a ship in a harbour",
        "public domain, SpaceX; in scikit-image", _skimage("rocket"),
    ),
    Photograph(
        "galaxies", "many galaxies in a dark sky", "many flowers in a green meadow",
        "public domain, NASA; in scikit-image", _skimage("hubble_deep_field"),
    ),
    Photograph(
        "camera", "a man with a camera on a tripod", "a child with a kite on a beach",
        "CC0, Lav Varshney; in scikit-image", _skimage("camera"),
    ),
    Photograph(
        "raccoon", "a raccoon among green leaves", "a horse among green leaves",
        "public domain, Judy Weggelaar; in SciPy", _scipy("face"),
    ),
    Photograph(
        "ascent", "people on a staircase", "people in a swimming pool",
        "CC0; in SciPy", _scipy("ascent"),
    ),
)  # fmt: skip


class Run:
    """The steps of a run, each written to ``results.json`` when it ends."""

    def __init__(self, folder: Path, hours: float, fresh: bool) -> None:
        self.folder = folder
        self.end = time.monotonic() + 3600 * hours
        self.record = folder / "results.json"
        kept = (
            {} if fresh or not self.record.is_file() else json.loads(self.record.read_text(encoding="utf-8"))
        )
        facts = circumstances()
        same = kept.get("facts", {}) | {"date": facts["date"]} == facts
        self.results = {"facts": facts, "steps": kept.get("steps", {}) if same else {}}

    def left(self) -> float:
        """Seconds until the end of the time."""
        return self.end - time.monotonic()

    def step(self, key: str, work: Callable[[], dict]) -> dict:
        """Do a step unless it is done; what it gives, or ``{"failed": sentence}``."""
        known = self.results["steps"].get(key)
        if known and "failed" not in known:
            print(f"{key}: done before", flush=True)
            return known
        print(f"{key} ...", flush=True)
        started = time.perf_counter()
        if self.left() <= 0:
            found = {"failed": "not run: the time was over"}
        else:
            try:
                found = work()
            except subprocess.TimeoutExpired:
                found = {"failed": "stopped: the time was over"}
            except Exception as error:  # whatever it is, the page says it and the other steps go on
                found = {"failed": told(str(error) or type(error).__name__)}
        found["seconds"] = time.perf_counter() - started
        self.results["steps"][key] = found
        self.record.write_text(json.dumps(self.results, indent=1) + "\n", encoding="utf-8")
        print(f"  {found.get('failed', 'done')} after {found['seconds']:.0f} s", flush=True)
        return found


def told(message: str) -> str:
    """A failure in one line."""
    lines = [line.strip() for line in re.sub(r"\x1b\[[0-9;]*m", "", message).splitlines() if line.strip()]
    return (lines[0] if lines else "no reason was given")[:300]


def circumstances() -> dict:
    """Of what and where: the same facts, the date aside, give the same results."""
    git = ["git", "rev-parse", "--short", "HEAD"]
    commit = subprocess.run(git, cwd=ROOT, capture_output=True, text=True).stdout.strip()
    packages = ("torch", "transformers", "numpy")
    return {
        "date": date.today().isoformat(),
        "commit": commit,
        "cores": os.cpu_count(),
        "processor": platform.machine(),
        "versions": {"Python": platform.python_version(), **{name: version(name) for name in packages}},
    }


# --- Steps ----------------------------------------------------------------------------------------------------------


def loaded(name: str) -> dict:
    """The commit of a model that loads."""
    from huggingface_hub import try_to_load_from_cache

    from fixlip_helpers import load_model

    model = load_model(name)
    found = try_to_load_from_cache(name, "config.json")
    commit = Path(found).parent.name if isinstance(found, str) else "none"
    return {"commit": commit, "grid": list(model.grid), "family": model.family}


def verified(name: str, budget: str | None, timeout: float) -> dict:
    """What ``fixlip verify`` prints."""
    command = [sys.executable, "-m", "fixlip_helpers", "verify", "--model", name]
    done = subprocess.run(
        command + (["--budget", budget] if budget else []),
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=timeout,
    )
    if done.returncode:
        raise RuntimeError(told(done.stderr))
    return {"said": done.stdout.strip()}


def explained(name: str, photograph: Photograph, folder: Path, coalitions: int | None) -> dict:
    """Both captions of a photograph: scores, held-out R², the share of each block; a figure of each."""
    import matplotlib.pyplot as plt

    from fixlip_helpers import VisionLanguageGame, load_model
    from fixlip_helpers.metrics import block_faithfulness
    from fixlip_helpers.plots import explanation_figure
    from fixlip_helpers.sides import combine, fit_side

    pixels = photograph.load()
    image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(np.asarray(pixels))
    image = image.convert("RGB")
    image.thumbnail((512, 512))
    model, side, captions = load_model(name), None, []
    for fits, caption in ((True, photograph.true), (False, photograph.false)):
        started = time.perf_counter()
        game = VisionLanguageGame(model, image, caption, text_players="words", progress=False)
        side = side or fit_side(game, "image", m=coalitions)
        explanation = combine(side, fit_side(game, "text"))
        blocks = block_faithfulness(explanation, game, m_image=coalitions, bootstrap=0)
        figure = explanation_figure(explanation, image)
        file = f"{slug(name)}-{photograph.name}-{'true' if fits else 'false'}.png"
        figure.savefig(folder / file, dpi=80)
        plt.close(figure)
        captions.append({
            "caption": caption,
            "fits": fits,
            "score": float(explanation.meta["full_value"]),
            "r2": explanation.meta["held_out_r2"],
            "shares": {block: blocks[block].share for block in BLOCKS},
            "passes": explanation.meta["passes"],
            "figure": file,
            "seconds": time.perf_counter() - started,
        })  # fmt: skip
    return {"captions": captions}


def chapter(path: Path, name: str, folder: Path, timeout: float) -> dict:
    """A chapter with this model, kept as it ran; in a process of its own, which an end of the time ends."""
    target = folder / f"{slug(name)}-{path.name}"
    call = "import sys; sys.path.insert(0, sys.argv[1]); import real; real.run_chapter(*sys.argv[2:])"
    done = subprocess.run(
        [sys.executable, "-c", call, str(ROOT / "scripts"), str(path), str(target)],
        cwd=ROOT, env=os.environ | {"FIXLIP_MODEL": name, "TQDM_DISABLE": "1"}, capture_output=True, text=True,
        timeout=timeout,
    )  # fmt: skip
    if done.returncode:  # kernels write to stderr too, so the reason has a file of its own
        reason = target.with_suffix(".txt")
        sentence = (
            reason.read_text(encoding="utf-8") if reason.is_file() else done.stderr.strip().split("\n")[-1]
        )
        reason.unlink(missing_ok=True)
        raise RuntimeError(sentence)
    return {"notebook": target.name}


def run_chapter(path: str, target: str) -> None:
    """Run a notebook as FIXLIP_MODEL says and write it elsewhere; where it fails, why, beside that, as ``.txt``."""
    import nbformat
    from patience import ChapterError, execute

    notebook = nbformat.read(path, as_version=4)
    try:
        execute(notebook, Path(path), say=lambda line: None)
    except ChapterError as error:
        lines = [line for line in str(error).splitlines() if line.strip()]
        if lines[0].endswith("failed:"):  # then come the traceback and what to do
            lines[0] += f" {lines[-2]}"
        Path(target).with_suffix(".txt").write_text(lines[0], encoding="utf-8")
        raise SystemExit(1) from None
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs = [output for output in cell.outputs if output.get("name") != "stderr"]
    nbformat.write(notebook, target)


def slug(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9]+", "-", name).strip("-").lower()


# --- The page -------------------------------------------------------------------------------------------------------


def page(results: dict | None) -> str:
    """What book/real.md includes, in MyST Markdown; without results, that there are none."""
    if not results or not results["steps"]:
        return NOTHING
    facts, steps = results["facts"], results["steps"]
    versions = ", ".join(f"{name} {number}" for name, number in facts["versions"].items())
    day = date.fromisoformat(facts["date"])
    lines = [
        f"Run on {day.day} {day:%B %Y}, at commit `{facts['commit']}`, on {facts['cores']} cores "
        f"({facts['processor']}), with {versions}; {duration(sum(step['seconds'] for step in steps.values()))} in all.",
    ]
    failed = {key: step["failed"] for key, step in steps.items() if "failed" in step}
    if failed:
        lines += ["", f"Of {len(steps)} steps {len(failed)} failed:", ""]
        lines += [f"- {key.replace('|', ', ')}: {code(sentence)}" for key, sentence in failed.items()]
    else:
        lines += ["", f"All {len(steps)} steps succeeded."]
    for name in dict.fromkeys(key.split("|")[0] for key in steps):
        own = {key.split("|", 1)[1]: step for key, step in steps.items() if key.split("|")[0] == name}
        lines += ["", f"## {name}", "", *of_model(own)]
    return "\n".join(lines) + "\n"


def of_model(steps: dict[str, dict]) -> list[str]:
    load, lines = steps["load"], []
    if "failed" in load:
        return [f"It could not be loaded: {code(load['failed'])}."]
    rows, columns = load["grid"]
    lines.append(
        f"{load['family']}, {rows} × {columns} patches, the hub's commit `{load['commit'][:7]}`, "
        f"loaded in {duration(load['seconds'])}."
    )
    if "said" in steps.get("verify", {}):
        took = duration(steps["verify"]["seconds"])
        lines += ["", "### Against what was published", "", f"`fixlip verify` took {took} and says:", ""]
        lines += ["```text", steps["verify"]["said"], "```"]
    shown = {
        p.name: steps[f"photograph {p.name}"]["captions"]
        for p in PHOTOGRAPHS
        if "captions" in steps.get(f"photograph {p.name}", {})
    }
    if shown:
        lines += ["", "### Photographs", "", *of_photographs(shown)]
    chapters = {key.split(" ", 1)[1]: step for key, step in steps.items() if key.startswith("chapter ")}
    if chapters:
        lines += ["", "### Chapters", "", "| chapter | ended | after | as it ran |", "|---|---|---:|---|"]
        for chapter_, step in chapters.items():
            ran = (
                f"{{download}}`{chapter_} <../results/real/{step['notebook']}>`" if "notebook" in step else ""
            )
            ended = code(step["failed"]) if "failed" in step else "well"
            lines.append(f"| {chapter_} | {ended} | {duration(step['seconds'])} | {ran} |")
    return lines


def of_photographs(shown: dict[str, list[dict]]) -> list[str]:
    higher = sum(true["score"] > false["score"] for true, false in shown.values())
    lines = [
        f"Of {len(shown)} photographs the true caption scores higher on {higher}. $R^2$ is held out; "
        "the shares of patches, of words and of both together are of the score's variance at p = 0.5.",
        "",
        "| photograph | caption | | score | $R^2$ | patches | words | both | passes | time |",
        "|---|---|---|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for name, captions in shown.items():
        for one in captions:
            numbers = [
                signed(one["score"]),
                "" if one["r2"] is None else signed(one["r2"], 3).removeprefix("+"),
                *(f"{100 * one['shares'][block]:.0f} %" for block in BLOCKS),
                str(sum(one["passes"].values())),
                duration(one["seconds"]),
            ]
            fits = "true" if one["fits"] else "false"
            lines.append(f"| {name} | {one['caption']} | {fits} | {' | '.join(numbers)} |")
    lines += [
        "",
        "A photograph's patches are encoded once: their passes stand with both captions, their time with the true one.",
    ]
    licences = {photograph.name: photograph.licence for photograph in PHOTOGRAPHS}
    for name, captions in shown.items():
        lines += ["", f"````{{dropdown}} {name}: its two explanations", f"Photograph: {licences[name]}.", ""]
        for one in captions:
            lines += [f"![Explanation of “{one['caption']}”](../results/real/{one['figure']})", ""]
        lines += ["````"]
    return lines


def code(sentence: str) -> str:
    """A sentence of a program's, as code: it can hold anything."""
    return f"`{re.sub(r'[`|]', '¦', sentence)}`"


def duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"


# --- All of it ------------------------------------------------------------------------------------------------------


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--folder", type=Path, default=ROOT / "_build" / "real", help="results (default: _build/real)"
    )
    parser.add_argument(
        "--hours", type=float, default=5.0, help="no step begins later, none lasts longer (default: 5)"
    )
    parser.add_argument(
        "--models", nargs="+", default=MODELS, metavar="M", help=f"default: {' '.join(MODELS)}"
    )
    parser.add_argument(
        "--verify", default=VERIFIED, metavar="M", help=f"the model to verify (default: {VERIFIED})"
    )
    parser.add_argument("--budget", help="of the verification (default: the published one)")
    names = [photograph.name for photograph in PHOTOGRAPHS]
    parser.add_argument(
        "--photographs", nargs="*", default=names, choices=names, metavar="P", help=", ".join(names)
    )
    parser.add_argument("--coalitions", type=int, help="of a photograph (default: what fixlip takes)")
    parser.add_argument("--chapters", nargs="*", default=CHAPTERS, metavar="C", help="names, or notebooks")
    parser.add_argument("--fresh", action="store_true", help="take nothing over")
    given = parser.parse_args()
    given.folder.mkdir(parents=True, exist_ok=True)
    run = Run(given.folder, given.hours, given.fresh)

    usable = [
        name
        for name in given.models
        if "failed" not in run.step(f"{name}|load", lambda name=name: loaded(name))
    ]
    for name in usable:
        if name == given.verify:
            run.step(f"{name}|verify", lambda name=name: verified(name, given.budget, run.left()))
        for photograph in PHOTOGRAPHS:
            if photograph.name in given.photographs:
                run.step(
                    f"{name}|photograph {photograph.name}",
                    lambda name=name, one=photograph: explained(name, one, given.folder, given.coalitions),
                )
    for name in usable:
        for path in given.chapters:
            notebook = Path(path) if str(path).endswith(".ipynb") else ROOT / "notebooks" / f"{path}.ipynb"
            run.step(
                f"{name}|chapter {notebook.stem}",
                lambda name=name, notebook=notebook: chapter(notebook, name, given.folder, run.left()),
            )
    (given.folder / "real.md").write_text(page(run.results), encoding="utf-8")
    failed = [key for key, step in run.results["steps"].items() if "failed" in step]
    print(f"{given.folder / 'real.md'}: {len(run.results['steps'])} steps, {len(failed)} failed", flush=True)
    if failed:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
