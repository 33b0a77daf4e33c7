"""The glossary, walked in the order of the chapters: each term has one home, and none is used before it.

The warm-up page comes before chapter 01: what it refreshes, every chapter may use.
"""

import json
import re
from collections import Counter
from pathlib import Path
from unicodedata import normalize

ROOT = Path(__file__).resolve().parent.parent
TEXT = (ROOT / "book" / "glossary.md").read_text(encoding="utf-8")
TERMS = re.findall(r"^(?!```|#)(\S.*)\n(?=  \S)", TEXT, flags=re.M)
LINK = re.compile(r"(\*?)\{term\}`([^`<]+?)(?: <([^>]+)>)?`(\*?)")

# Words of everyday speech, which a chapter may use before the book gives them a meaning of its own.
EVERYDAY = {
    "binding", "block", "budget", "cell", "checkpoint", "control", "counter-example", "design", "embedding",
    "exchange", "explanation", "filler", "game", "habitat", "interaction", "logit", "main effect", "masking",
    "merge", "order", "patch", "player", "reference", "removal", "replicate", "scale", "side", "surrogate", "token",
}  # fmt: skip

WARM_UP = "00_warm_up"
MOST_TERMS = 8  # that one chapter introduces


def chapters() -> dict[str, str]:
    """Prose of each chapter, in order."""
    found = {}
    for path in sorted((ROOT / "notebooks").glob("*.ipynb")):
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        found[path.stem] = "\n\n".join("".join(c["source"]) for c in cells if c["cell_type"] == "markdown")
    return found


def places() -> dict[str, str]:
    """Prose of the warm-up page and of each chapter, in order."""
    return {WARM_UP: (ROOT / "book" / "warm_up.md").read_text(encoding="utf-8"), **chapters()}


def homes() -> dict[str, list[str]]:
    """For each term the places that introduce it: there it stands in italics."""
    found: dict[str, list[str]] = {}
    for name, text in places().items():
        for before, shown, target, after in LINK.findall(text):
            if before and after:
                found.setdefault(target or shown, []).append(name)
    return found


def test_is_sorted_and_has_no_duplicate():
    assert (
        sorted(set(TERMS), key=lambda term: normalize("NFKD", term.lower()).encode("ascii", "ignore"))
        == TERMS
    )


def test_every_term_is_introduced_in_one_place():
    found = homes()
    assert set(found) == set(TERMS), set(found) ^ set(TERMS)
    assert set(TERMS) >= EVERYDAY
    twice = {term: where for term, where in found.items() if len(where) > 1}
    assert not twice


def test_no_chapter_links_a_term_that_a_later_one_introduces():
    home, early = {term: where[0] for term, where in homes().items()}, []
    for name, text in places().items():
        early += [
            f"{name}: {term}, of {home[term]}"
            for _, shown, target, _ in LINK.findall(text)
            if home[term := target or shown] > name
        ]
    assert not early


def test_no_chapter_names_a_term_that_a_later_one_introduces():
    """Words too, linked or not; what comes next, what can be skipped and further reading look ahead by purpose."""
    early = []
    for term, (home, *_) in homes().items():
        if term in EVERYDAY:
            continue
        word = re.compile(rf"\b{re.escape(term)}s?\b", flags=re.I)
        for name, text in chapters().items():
            if name < home:
                looked = re.sub(
                    r"^## (?:What comes next|Further reading).*?(?=^## |\Z)", "", text, flags=re.M | re.S
                )
                early += [f"{name}: {found[0]}, of {home}" for found in word.finditer(looked)]
    assert not early


def test_no_chapter_introduces_more_than_eight_terms():
    new = Counter(where for found in homes().values() for where in found)
    del new[WARM_UP]
    assert len(new) > 1
    assert not {name: count for name, count in new.items() if count > MOST_TERMS}


def test_terms_of_the_warm_up_lead_there():
    """A chapter's term is found by reading on from chapter 01; these are not."""
    for term, where in homes().items():
        entry = re.search(rf"^{re.escape(term)}\n((?:  .*\n)+)", TEXT, flags=re.M)[1]
        assert ("{doc}`warm_up`" in entry) == (where == [WARM_UP]), term
