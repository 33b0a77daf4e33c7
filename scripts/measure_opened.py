"""Measure models of full size that a reader opens in "Try it": results/opened_models.json and .md; the page shows it.

    python scripts/measure_opened.py            needs Chromium, its driver and selenium; takes a quarter of an hour
    python scripts/measure_opened.py --table    writes the table again from the stored numbers

The models have random weights in the form of the real ones (tests/test_full_size.py), opened from disk in a page that
lies in a folder. Seconds are those that the browser's processes compute, from the press of *Explain*, the weights read
and packed among them: on a machine that other work shares they say more than a clock. Passes are counted after the
first map, those of mini-clip on one thread just before; megabytes are all that the browser takes then. Linux only.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

import chromium

from fixlip_helpers.export import write
from fixlip_helpers.streams import write_anything

if TYPE_CHECKING:
    from selenium.webdriver import Chrome

ROOT = Path(__file__).resolve().parent.parent
RUNS = [
    ("openai/clip-vit-base-patch32", 1),
    ("openai/clip-vit-base-patch32", 2),
    ("openai/clip-vit-base-patch16", 1),
]
COUNTED = 8  # seconds of computing over which passes are counted, at least
FEWEST = 16  # passes that are counted, at least
DONE = r"return Number((/^(\d+) of/.exec(document.querySelector('.ti-count').textContent) ?? [0, 0])[1])"
COUNT = "return document.querySelector('.ti-count').textContent"
STATUS = "return document.querySelector('.ti-status').textContent"
TRUST = "return document.querySelector('.ti-trust')?.textContent ?? ''"
PRESS = "document.querySelector('.ti-go').click()"


def family(process: int) -> set[int]:
    """A process and those that it started (Linux)."""
    children = [
        int(child)
        for task in Path(f"/proc/{process}/task").iterdir()
        for child in (task / "children").read_text().split()
    ]
    return {process}.union(*map(family, children))


def memory(driver: Chrome) -> float:
    """Megabytes that the browser takes (proportional set size of its processes)."""
    total = 0
    for process in family(driver.service.process.pid):
        lines = Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()
        total += next(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
    return total / 1000


def processor(driver: Chrome) -> float:
    """Seconds that the browser's processes have computed so far: other work on the machine counts little."""
    ticks = 0
    for process in family(driver.service.process.pid):
        after_name = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
        ticks += int(after_name[11]) + int(after_name[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def rate(driver: Chrome) -> float:
    """Passes of the run that goes on, by seconds of computing."""
    computed, before = processor(driver), driver.execute_script(DONE)
    chromium.wait(
        lambda: processor(driver) > computed + COUNTED and driver.execute_script(DONE) >= before + FEWEST,
        "more passes",
    )
    return (driver.execute_script(DONE) - before) / (processor(driver) - computed)


def opened(driver: Chrome, page: str, query: str) -> None:
    """A page that has just been opened."""
    driver.get("about:blank")
    driver.get(page + query)
    ready = "return document.getElementById('explain-here').hasAttribute('data-ready')"
    chromium.wait(lambda: driver.execute_script(ready), "the page")


def mini_clip(driver: Chrome, page: str) -> float:
    """Passes a second of mini-clip on one thread."""
    opened(driver, page, "?engine=wasm&workers=1#e=hero&c=a+dog&m=mini-clip&p=0.5&a=best")
    chromium.wait(lambda: "first look" in driver.execute_script(TRUST), "the first map")
    return rate(driver)


def measure(driver: Chrome, page: str, folder: Path, name: str, workers: int) -> dict:
    """One model, opened from its folder, until its passes have been counted."""
    beside = mini_clip(driver, page)
    load = os.getloadavg()[0]
    opened(
        driver,
        page,
        f"?engine=wasm&workers={workers}#e=hero&c=a+black+dog+next+to+a+yellow+hydrant&m=mini-clip",
    )
    driver.execute_script("document.querySelector('.ti-more').open = true")
    files = driver.find_elements("css selector", ".ti-own-model input[type=file]")[1]
    files.send_keys("\n".join(str(path) for path in folder.iterdir()))
    chromium.wait(lambda: "is ready" in driver.execute_script(STATUS), "the model")
    began, computed = time.monotonic(), processor(driver)
    driver.execute_script(PRESS)
    chromium.wait(lambda: "scores" in driver.execute_script(STATUS), "the score")
    score = processor(driver) - computed
    chromium.wait(lambda: "first look" in driver.execute_script(TRUST), "the first map", 1200)
    first, waited = processor(driver) - computed, time.monotonic() - began
    if workers > 1:
        chromium.wait(lambda: f"on {workers} CPU threads" in driver.execute_script(COUNT), "the workers")
    found = rate(driver)
    taken = memory(driver)
    driver.execute_script(
        "[...document.querySelectorAll('.ti-actions button')].find((b) => b.textContent === 'Cancel').click()"
    )
    kept = "return JSON.parse(document.querySelector('.ti-result script').textContent).meta.passes.image"
    return {
        "model": name,
        "workers": workers,
        "score": round(score, 1),
        "first_map": round(first, 1),
        "first_map_by_the_clock": round(waited, 1),
        "megabytes": round(taken),
        "passes_per_second": round(found, 2),
        "mini_clip_passes_per_second": round(beside, 1),
        "passes_kept_by_cancel": driver.execute_script(kept),
        "load": [round(load, 1), round(os.getloadavg()[0], 1)],
    }


def table(record: dict) -> str:
    """What the page shows of a record, as Markdown."""
    lines = [
        "| model | CPU threads | score | first map | passes / s | of `mini-clip`'s | MB of the whole browser |",
        "|---|---|---|---|---|---|---|",
    ]
    for run in record["runs"]:
        share = run["mini_clip_passes_per_second"] / run["passes_per_second"]
        lines.append(
            f"| {run['model'].split('/')[-1]} | {run['workers']} | {run['score']:.0f} | {run['first_map']:.0f} "
            f"| {run['passes_per_second']:.1f} | 1/{share:.0f} | {run['megabytes']} |"
        )
    loads = [load for run in record["runs"] for load in run["load"]]
    return "\n".join(
        [
            *lines,
            "",
            f"{record['browser']}, on {record['cores']} cores that other work shared (load average {min(loads):.1f} to "
            f"{max(loads):.1f}), {record['date']}; random weights. Seconds are of computing, over all threads, from "
            "the press of *Explain*, reading and packing the weights among them: two threads with a core each wait "
            "half as long. What carries over to another machine is the share of `mini-clip`'s rate, measured just "
            "before. A GPU: not measured.",
            "",
        ]
    )


def main() -> None:
    write_anything()
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--table", action="store_true", help="measure nothing: write the table from what is stored"
    )
    stored = ROOT / "results" / "opened_models.json"
    if not parser.parse_args().table:
        sys.path.insert(0, str(ROOT / "tests"))
        import test_full_size

        with tempfile.TemporaryDirectory() as scratch:
            site = Path(scratch) / "site"
            write(site)
            (site / "page.html").write_text(
                '<meta charset="utf-8"><link rel="stylesheet" href="try_it.css"><div id="explain-here"></div>'
                '<script src="facts.js"></script><script src="try_it.js"></script>'
            )
            for name in {name for name, _ in RUNS}:
                model = test_full_size.build(name)
                for part in (model.network, model.tokenizer, model.image_processor):
                    part.save_pretrained(Path(scratch) / name.split("/")[-1])
                del model, part
            driver = chromium.start()
            try:
                record = {
                    "command": "python scripts/measure_opened.py",
                    "date": date.today().isoformat(),
                    "browser": f"Headless Chromium {driver.capabilities['browserVersion']}",
                    "cores": os.cpu_count(),
                    "runs": [],
                }
                for name, workers in RUNS:  # each is stored as soon as it is there
                    folder = Path(scratch) / name.split("/")[-1]
                    record["runs"].append(
                        measure(driver, (site / "page.html").as_uri(), folder, name, workers)
                    )
                    stored.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
            finally:
                driver.quit()
    record = json.loads(stored.read_text(encoding="utf-8"))
    stored.with_suffix(".md").write_text(table(record), encoding="utf-8")
    print(json.dumps(record["runs"], indent=1))


if __name__ == "__main__":
    main()
