"""The whole book as one PDF, printed by Chromium: `make pdf` writes _build/book.pdf.

Every page of the table of contents but the package's reference is printed on A4: recall answers and solutions
opened in place, views as they stand at first, code that is folded on the site left folded. What is wider than the
paper is an error.
"""

from __future__ import annotations

import base64
import io
import sys
from html import escape
from pathlib import Path

import yaml
from pypdf import PdfReader, PdfWriter

sys.path.insert(0, str(Path(__file__).resolve().parent))

import chromium

import book

ROOT = book.ROOT
TARGET = ROOT / "_build" / "book.pdf"
LEFT_OUT = {"book/api"}  # a hundred pages that are looked up, not read
WIDTH, MARGIN = 8.27, 0.7  # A4, in inches; Chromium prints 96 pixels an inch

# Opens what is folded, loads what is lazy, and is done when formulas, pictures and views stand.
PREPARE = """
const done = arguments[arguments.length - 1];
(async () => {
    document.querySelectorAll('details.sd-dropdown').forEach(folded => { folded.open = true; });
    document.querySelectorAll('button.toggle-button-hidden').forEach(button => button.click());
    document.querySelectorAll('[loading=lazy]').forEach(element => { element.loading = 'eager'; });
    if (window.MathJax) await MathJax.startup.promise;
    for (const formula of document.querySelectorAll('mjx-container[display=true]')) {  // a wide one is set smaller
        const size = parseFloat(getComputedStyle(formula).fontSize);
        formula.style.fontSize = `${size * Math.min(1, 0.97 * formula.clientWidth / formula.scrollWidth)}px`;
    }
    await Promise.all([...document.images].filter(image => image.src).map(image => image.decode().catch(() => 0)));
    done('');
})().catch(error => done(String(error)));
"""

# In print, what does not fit is cut off: frames that would scroll on a screen, and what sticks out.
CUT_OFF = """
const article = document.querySelector('article'), right = article.getBoundingClientRect().right + 2;
const wide = e =>
    (getComputedStyle(e).overflowX !== 'visible' && e.clientWidth > 0 && e.scrollWidth > e.clientWidth + 1)
    || e.getBoundingClientRect().right > right;
const found = [...article.querySelectorAll('pre, table, div, p, img, li, figure, mjx-container, iframe, svg')]
    .filter(e => e.getClientRects().length && !e.closest('mjx-assistive-mml') && wide(e));
return found.filter(e => !found.some(inner => e !== inner && e.contains(inner))).map(e => e.outerHTML.slice(0, 160));
"""


def names() -> list[str]:
    """The book's pages in the order of the table of contents, without their suffix."""
    toc = yaml.safe_load((ROOT / "_toc.yml").read_text(encoding="utf-8"))
    every = [toc["root"], *(entry["file"] for part in toc["parts"] for entry in part["chapters"])]
    return [name for name in every if name not in LEFT_OUT]


def printed(driver, address: str) -> tuple[str, bytes, list[str]]:
    """A page's title, its PDF, and what is cut off in it."""
    driver.get(address)
    chromium.wait(lambda: driver.execute_script("return document.readyState") == "complete", address)
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    width = round((WIDTH - 2 * MARGIN) * 96)
    size = {"width": width, "height": 1000, "deviceScaleFactor": 1, "mobile": False}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    if missing := driver.execute_async_script(PREPARE):
        raise SystemExit(f"PDF: {address} does not get ready: {missing}")
    cut = driver.execute_script(CUT_OFF)
    title = driver.execute_script("return document.querySelector('h1').firstChild.textContent")
    style = "font: 8px sans-serif; width: 100%; text-align: center; color: #444"
    options = {
        "printBackground": True, "paperWidth": WIDTH, "paperHeight": 11.69,
        "marginLeft": MARGIN, "marginRight": MARGIN, "marginTop": MARGIN, "marginBottom": MARGIN,
        "displayHeaderFooter": True, "headerTemplate": "<span></span>",
        "footerTemplate": f'<div style="{style}">{escape(title)} · <span class="pageNumber"></span></div>',
    }  # fmt: skip
    content = driver.execute_cdp_cmd("Page.printToPDF", options)["data"]
    return title, base64.b64decode(content), cut


def write(pages: Path, target: Path = TARGET, only: list[str] | None = None) -> dict[str, list[str]]:
    """Print the pages into one PDF with bookmarks; what is cut off, by page."""
    driver, writer, faults = chromium.start("--allow-file-access-from-files"), PdfWriter(), {}
    try:
        for name in only or names():
            title, content, cut = printed(driver, (pages / f"{name}.html").as_uri())
            start = len(writer.pages)
            writer.append(PdfReader(io.BytesIO(content)), import_outline=False)
            writer.add_outline_item(title, start)
            if cut:
                faults[name] = cut
            print(f"{name}: {len(writer.pages) - start} pages", flush=True)
    finally:
        driver.quit()
    writer.add_metadata({"/Title": "Explaining image-text similarity: from coalitions to FIxLIP"})
    writer.compress_identical_objects()
    target.parent.mkdir(parents=True, exist_ok=True)
    writer.write(target)
    return faults


if __name__ == "__main__":
    faults = write(book.build(stored=True))
    for name, elements in faults.items():
        print(f"{name}: wider than the paper: " + "; ".join(elements[:3]), file=sys.stderr)
    print(f"The book, {TARGET.stat().st_size / 1e6:.0f} MB: {TARGET}", flush=True)
    raise SystemExit(bool(faults))
