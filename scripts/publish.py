"""Write the site for any static host: `make publish` fills _build/site.

The pages are those of the book built from its stored outputs, with what a public site needs besides: a site map,
a card for links that are shared, the version, and a mark that tells GitHub Pages to serve folders that
begin with an underscore.
"""

from __future__ import annotations

import html
import re
import shutil
import subprocess
import sys
from pathlib import Path
from urllib.parse import quote

sys.path.insert(0, str(Path(__file__).resolve().parent))

import set_repository
import status

import book

ROOT = book.ROOT
SITE = ROOT / "_build" / "site"
CARD = "_static/card.png"  # 1200 × 630 pixels, as those who show links want it
MOVED = {"book/start.html": "../index.html"}  # addresses that have been given away


def address() -> str:
    """Where GitHub Pages serves the repository."""
    owner, name = set_repository.current().removeprefix("https://github.com/").split("/")
    return f"https://{owner.lower()}.github.io/{name}/"


def version() -> str:
    """The package's version, with the commit where there is one."""
    text = (ROOT / "fixlip_helpers" / "__init__.py").read_text(encoding="utf-8")
    number = re.search(r'^__version__ = "(.+)"', text, flags=re.M)[1]
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True
    ).stdout.strip()
    return f"{number} ({commit})" if commit else number


def with_card(page: str, url: str) -> str:
    """A page whose head says what to show where its link is shared."""
    title = re.search(r"<title>(.*?)</title>", page, flags=re.S)[1]
    title = html.escape(html.unescape(title.strip()))
    found = re.search(r'<meta name="description" content="(.*?)"', page)
    description = found[1] if found else title
    properties = {
        "title": title, "type": "article", "url": url, "image": address() + CARD, "description": description,
        "image:width": 1200, "image:height": 630,
    }  # fmt: skip
    meta = "".join(f'<meta property="og:{name}" content="{value}"/>\n' for name, value in properties.items())
    meta += f'<meta name="generator" content="fixlip-course {html.escape(version())}"/>\n'
    return page.replace("</head>", f"{meta}</head>", 1)


def publish(pages: Path, site: Path = SITE, reports: Path | None = None) -> Path:
    """Copy built pages into the folder of the site and add what a public site needs.

    ``reports`` is a folder with what the rot guard's runs reported: badges and a table of them go to ``status/``.
    """
    shutil.rmtree(site, ignore_errors=True)
    shutil.copytree(pages, site, ignore=shutil.ignore_patterns(".buildinfo", ".doctrees", "*.map"))
    urls = []
    for path in sorted(site.rglob("*.html")):
        name = path.relative_to(site).as_posix()
        if name.startswith("_static/") or "vendor" in path.parts:
            continue
        url = address() + quote(name)
        path.write_text(with_card(path.read_text(encoding="utf-8"), url), encoding="utf-8")
        if name not in ("genindex.html", "search.html"):
            urls.append(f"<url><loc>{html.escape(url)}</loc></url>")
    for old, new in MOVED.items():
        (site / old).write_text(
            '<!doctype html><meta charset="utf-8"><title>Moved</title>'
            f'<meta http-equiv="refresh" content="0; url={new}"><a href="{new}">This page has moved.</a>\n',
            encoding="utf-8",
        )
    (site / "sitemap.xml").write_text(
        '<?xml version="1.0" encoding="utf-8"?>\n'
        '<urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9">\n' + "\n".join(urls) + "\n</urlset>\n",
        encoding="utf-8",
    )
    (site / "robots.txt").write_text(f"User-agent: *\nSitemap: {address()}sitemap.xml\n", encoding="utf-8")
    (site / "version.txt").write_text(version() + "\n", encoding="utf-8")
    if reports:
        status.write(reports, site / "status")
    (site / ".nojekyll").touch()
    return site


if __name__ == "__main__":
    reports = Path(sys.argv[1]) if len(sys.argv) > 1 else None
    if reports and not reports.is_dir():
        raise SystemExit(f"{reports} is no folder: expected the rot guard's reports, or nothing")
    site = publish(book.build(stored=True), reports=reports)
    size = sum(path.stat().st_size for path in site.rglob("*") if path.is_file()) / 1e6
    print(f"The site, {size:.0f} MB, for any static host: {site}", flush=True)
