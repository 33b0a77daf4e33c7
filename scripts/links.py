"""Ask every outside address of the built pages whether it is still there: `python scripts/links.py FOLDER`.

Needs the network; run weekly by .github/workflows/rot.yml. An address counts as broken if it answers 404 or 410, or
twice not at all. One that refuses programs (401, 403, 429) or fails for now (5xx) is listed and not counted.
"""

from __future__ import annotations

import sys
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from bs4 import BeautifulSoup

AGENT = {"User-Agent": "Mozilla/5.0 (link check of a course)"}
TRIES = 2


def outside(folder: Path) -> dict[str, set[str]]:
    """Outside addresses, without fragments, and the pages that link to them."""
    found: dict[str, set[str]] = {}
    for path in folder.rglob("*.html"):
        if "_static" in path.relative_to(folder).parts:
            continue
        page = BeautifulSoup(path.read_text(encoding="utf-8"), "html.parser")
        for link in page.find_all("a", href=True):
            if link["href"].startswith(("http://", "https://")):
                found.setdefault(link["href"].split("#")[0], set()).add(path.relative_to(folder).as_posix())
    return found


def answer(address: str, seconds: float = 20) -> int | str:
    """The status that an address answers with, or why it does not."""
    reason = ""
    for _ in range(TRIES):
        try:
            request = urllib.request.Request(address, headers=AGENT)
            with urllib.request.urlopen(request, timeout=seconds) as response:
                return response.status
        except urllib.error.HTTPError as error:
            return error.code
        except (OSError, ValueError) as error:
            reason = str(error) or type(error).__name__
    return reason


def broken(status: int | str) -> bool:
    return isinstance(status, str) or status in (404, 410)


def main() -> None:
    if len(sys.argv) != 2 or not Path(sys.argv[1]).is_dir():
        raise SystemExit(__doc__)
    pages = outside(Path(sys.argv[1]))
    with ThreadPoolExecutor(8) as pool:
        answers = dict(zip(pages, pool.map(answer, pages), strict=True))
    for address, status in sorted(answers.items(), key=lambda pair: pair[0]):
        if status != 200:
            word = "BROKEN" if broken(status) else "unsure"
            print(f"{word} {status} {address} on {', '.join(sorted(pages[address]))}")
    count = sum(map(broken, answers.values()))
    print(f"{len(answers)} addresses, {count} broken")
    raise SystemExit(bool(count))


if __name__ == "__main__":
    main()
