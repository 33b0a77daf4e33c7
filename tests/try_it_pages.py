"""The page "Try it" as tests open it: as the book has it, and with so few passes that a run ends soon."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable
from pathlib import Path

from fixlip_helpers.export import write

ROOT = Path(__file__).resolve().parent.parent
HEAD = (
    '<!doctype html><html lang="en"><meta charset="utf-8"><title>Try it</title><link rel="icon" href="data:,">'
    '<meta name="viewport" content="width=device-width, initial-scale=1">'
)
USUAL = {
    "fast": "fast: { passes: 1024, order: 1, judged: 256",
    "good": "good: { passes: 4096, order: 2, judged: 256",
}


def write_site(folder: Path) -> Path:
    """The page's files and ``page.html``; returns the folder."""
    write(folder)
    write_page(folder, "page")
    return folder


def write_page(
    folder: Path,
    name: str,
    *,
    allowed: Callable[[str], str] = lambda policy: policy,
    script: str = "try_it.js",
) -> None:
    """The book's page beside its files, under another policy or with another script where told so."""
    source = (ROOT / "book" / "try_it.md").read_text(encoding="utf-8")
    policy = allowed(re.search(r'Content-Security-Policy": "(.+)"', source)[1])
    body = re.search(r"```\{raw\} html\n(.+?)```", source, re.DOTALL)[1].replace("../_static/try_it/", "")
    assert "try_it.js" in body
    (folder / f"{name}.html").write_text(
        f'{HEAD}<meta http-equiv="Content-Security-Policy" content="{policy}">'
        f"<body>{body.replace('try_it.js', script)}</body></html>",
        encoding="utf-8",
    )


def with_few_passes(script: Path, passes: int, judged: int, accuracies: tuple[str, ...]) -> str:
    """The page's script, in which these accuracies take so many passes; the others keep theirs and last."""
    code = script.read_text(encoding="utf-8")
    for name in accuracies:
        assert USUAL[name] in code
        code = code.replace(USUAL[name], f"{name}: {{ passes: {passes}, order: 1, judged: {judged}")
    return code


def kernels() -> str:
    """JavaScript: the kernels as the constants that the worker's code expects."""
    files = {"FMA": "kernels.fma.wasm", "PLAIN_KERNELS": "kernels.wasm"}
    return "".join(
        f"const {name} = {json.dumps(base64.b64encode((ROOT / 'web' / 'try_it' / file).read_bytes()).decode())};\n"
        for name, file in files.items()
    )
