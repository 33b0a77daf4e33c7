"""Measure the page "Try it" in headless Chromium: results/try_it.json, and results/try_it.md, which the page shows.

    python scripts/measure_try_it.py            needs Chromium, its driver and selenium; takes half an hour
    python scripts/measure_try_it.py --times    measures the page again, keeps the stored references
    python scripts/measure_try_it.py --table    writes the table again from the stored numbers

Seconds are from the press of the button, the model's file loaded and unpacked among them, in one thread of WebAssembly
(``?engine=wasm&workers=1``), also where there is a GPU.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import tempfile
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

import chromium

from fixlip_helpers import VisionLanguageGame, fixlip, load_model
from fixlip_helpers.explanation import Explanation
from fixlip_helpers.export import write
from fixlip_helpers.scenes import examples

if TYPE_CHECKING:
    from selenium.webdriver import Chrome

ROOT = Path(__file__).resolve().parent.parent
RUNS = [
    ("mini-clip", "0.5", "fast"),
    ("mini-clip", "0.5", "good"),
    ("mini-clip", "0.5", "best"),
    ("mini-clip", "0.3", "good"),
    ("mini-siglip", "0.5", "fast"),
    ("mini-siglip", "0.5", "good"),
]
PAIR = "hero"
LIVE = "a white dog next to a yellow bus"
STATE = "return document.getElementById('explain-here').dataset.state"
RECORD = "return document.querySelector('#explain-here script[type=\"application/json\"]').textContent"


def measure(driver: Chrome, folder: Path, model: str, p: str, accuracy: str) -> dict:
    """One explanation on a page that has just been opened, and one more caption on it."""
    before = os.getloadavg()[0]
    driver.get("about:blank")
    caption = examples()[PAIR].caption.replace(" ", "+")
    page = (folder / "page.html").as_uri()
    driver.get(f"{page}?engine=wasm&workers=1#e={PAIR}&c={caption}&m={model}&p={p}&a={accuracy}")
    chromium.wait(lambda: driver.execute_script(STATE) in ("stored", "running", "done"), "the page")
    if driver.execute_script(STATE) == "stored":  # the page knows this one by heart
        driver.execute_script("document.querySelector('.ti-go').click()")
    chromium.wait(lambda: driver.execute_script(STATE) == "done", "the explanation", 900)
    times = json.loads(driver.execute_script("return document.getElementById('explain-here').dataset.times"))
    explanation = Explanation.from_dict(json.loads(driver.execute_script(RECORD)))
    live = driver.execute_async_script(
        """
        const [text, done] = arguments;
        const field = document.querySelector(".ti-caption input");
        const record = document.querySelector("#explain-here script[type='application/json']");
        const began = performance.now();
        new MutationObserver(() => done((performance.now() - began) / 1000)).observe(record, { childList: true });
        field.value = text;
        field.dispatchEvent(new Event("input"));
        """,
        LIVE,
    )
    return {
        "model": model,
        "p": float(p),
        "accuracy": accuracy,
        "image_passes": explanation.meta["passes"]["image"],
        "score": round(times["score"], 2),
        "first_heat": round(times["heat"], 2),
        "done": round(times["done"], 1),
        "another_caption": round(live, 2),
        "held_out_r2": round(explanation.meta["held_out_r2"], 4),
        "load": [round(before, 1), round(os.getloadavg()[0], 1)],
    }


def reference(model: str) -> float:
    """Held-out R² of the package's fit on 65 536 image coalitions."""
    example = examples()[PAIR]
    game = VisionLanguageGame(load_model(model), example.image, example.caption, progress=False)
    return round(fixlip(game, n_image_coalitions=65_536).meta["held_out_r2"], 4)


def table(record: dict) -> str:
    """What the page shows of a record, as Markdown."""
    head = "encoder, p, accuracy, score, first heat, all, next caption, passes / s, R²"
    lines = [f"| {' | '.join(head.split(', '))} |", "|---" * len(head.split(", ")) + "|"]
    for run in record["runs"]:
        rate = run["image_passes"] / (run["done"] - run["score"])
        lines.append(
            f"| {run['model']} | {run['p']} | {run['accuracy']} | {run['score']:.1f} | {run['first_heat']:.1f} "
            f"| {run['done']:.0f} | {run['another_caption']:.2f} | {rate:.0f} | {run['held_out_r2']:.3f} |"
        )
    loads = [load for run in record["runs"] for load in run["load"]]
    best = ", ".join(f"{r2:.3f} on {model}" for model, r2 in record["r2_of_65536_passes"].items())
    megabytes = {name: size / 1e6 for name, size in record["gzip_bytes"].items()}
    models = " or ".join(
        f"{size:.1f} MB ({name.removesuffix('.js')})" for name, size in megabytes.items() if "mini" in name
    )
    rest = sum(size for name, size in megabytes.items() if "mini" not in name)
    lines += [
        "",
        f"The example *{record['pair']}*; {record['browser']}, on {record['cores']} cores that other work shared "
        f"(load average {min(loads):.1f} to {max(loads):.1f}), {record['date']}; WebGPU: not measured. "
        "Times are seconds from the press of the button, the model's file read and unpacked among them; R² is "
        f"held out. At p = 0.5 the package's fit on 65 536 coalitions reaches an R² of {best}. "
        f"Download, compressed: {models} when first explained, {rest:.1f} MB for all else.",
        "",
    ]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    only = parser.add_mutually_exclusive_group()
    only.add_argument("--times", action="store_true", help="keep the stored references")
    only.add_argument(
        "--table", action="store_true", help="measure nothing: write the table from what is stored"
    )
    options = parser.parse_args()
    stored, shown = ROOT / "results" / "try_it.json", ROOT / "results" / "try_it.md"
    if options.table:
        shown.write_text(table(json.loads(stored.read_text(encoding="utf-8"))), encoding="utf-8")
        return
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        write(folder)
        (folder / "page.html").write_text(
            '<meta charset="utf-8"><link rel="stylesheet" href="try_it.css"><div id="explain-here"></div>'
            '<script src="facts.js"></script><script src="try_it.js"></script>'
        )
        driver = chromium.start()
        try:
            runs = [measure(driver, folder, *run) for run in RUNS]
            version = driver.capabilities["browserVersion"]
        finally:
            driver.quit()
        sent = (path for path in sorted(folder.iterdir()) if path.name != "page.html")
        sizes = {path.name: len(gzip.compress(path.read_bytes(), 6)) for path in sent}
    if options.times:
        references = json.loads(stored.read_text(encoding="utf-8"))["r2_of_65536_passes"]
    else:
        references = {model: reference(model) for model in ("mini-clip", "mini-siglip")}
    record = {
        "command": "python scripts/measure_try_it.py",
        "date": date.today().isoformat(),
        "browser": f"headless Chromium {version}, WebAssembly in one thread",
        "cores": os.cpu_count(),
        "pair": PAIR,
        "gzip_bytes": sizes,
        "runs": runs,
        "r2_of_65536_passes": references,
    }
    stored.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    shown.write_text(table(record), encoding="utf-8")
    print(json.dumps(runs, indent=1))


if __name__ == "__main__":
    main()
