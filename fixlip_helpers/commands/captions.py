"""``fixlip explain IMAGE --captions FILE``: many captions of one picture, which is encoded once.

By the factorisation theorem the image's side is the same for every caption. It is fitted once, each caption's side
after it, and each explanation is written as soon as it is there.
"""

from __future__ import annotations

import csv
import hashlib
import html
import io
import json
import re
import sys
import unicodedata
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, NamedTuple

import click
from tqdm import tqdm

from fixlip_helpers.commands.console import duration, note, print_table, refusing
from fixlip_helpers.commands.plans import BLOCK, draw_designs, make_plan, say_plan, unfinished
from fixlip_helpers.commands.results import results_folder, strongest_pairs, write_results

if TYPE_CHECKING:
    from fixlip_helpers.encoders.models import Caption, VisionLanguageModel
    from fixlip_helpers.encoders.vision_language import VisionLanguageGame
    from fixlip_helpers.explanation import Explanation

MOST_LINES_NAMED = 5  # captions that cannot be used, in one message


class Line(NamedTuple):
    """A caption and the line of the file that it stands in, from 1."""

    number: int
    text: str


class Row(NamedTuple):
    """What the lists say of one caption."""

    caption: str
    folder: str
    score: float
    surrogate: float
    r2: float | None
    strongest: str


def check_options(index: str, tolerance: float | None) -> None:
    """ValueError for options that do not go with many captions."""
    if index != "FWBII":
        raise ValueError(
            f"--captions shares one image side, and --index {index} has no sides: expected FWBII"
        )
    if tolerance is not None:
        raise ValueError("--captions and --tolerance exclude each other: use --budget or --seconds")


def read(path: Path) -> list[Line]:
    """The captions of a file, a line each; empty lines are left out, and repeated ones, which a note names.

    Raises
    ------
    ValueError
        If the file cannot be read, is no text in UTF-8 (or UTF-16 with its mark), or has no caption.
    """
    name = f"--captions {str(path)!r}"
    try:
        content = sys.stdin.buffer.read() if str(path) == "-" else path.read_bytes()
    except OSError as error:
        raise ValueError(f"{name} cannot be read: {error.strerror or error}") from error
    try:
        text = content.decode("utf-16" if content[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(
            f"{name} is no text in UTF-8 (byte {error.start} is wrong); save it as UTF-8"
        ) from error
    lines: dict[str, Line] = {}
    repeated = []
    for number, line in enumerate(re.split(r"\r\n|\r|\n", text), 1):
        caption = " ".join(line.split())
        if caption and caption in lines:
            repeated.append(f"line {number} repeats line {lines[caption].number}")
        elif caption:
            lines[caption] = Line(number, caption)
    if not lines:
        raise ValueError(f"{name} has no caption; expected one a line")
    if repeated:
        more = f", and {len(repeated) - MOST_LINES_NAMED} more" if len(repeated) > MOST_LINES_NAMED else ""
        note(f"each caption is explained once: {', '.join(repeated[:MOST_LINES_NAMED])}{more}")
    return list(lines.values())


def tokenize(model: VisionLanguageModel, lines: list[Line]) -> list[Caption]:
    """The captions as the model reads them; ValueError, before anything is encoded, that names those it cannot."""
    captions, wrong = [], []
    for number, text in lines:
        try:
            captions.append(model.tokenize(text))
        except ValueError as error:
            wrong.append(f"line {number}: {error}")
    if wrong:
        more = f"; and {len(wrong) - MOST_LINES_NAMED} lines more" if len(wrong) > MOST_LINES_NAMED else ""
        raise ValueError(f"--captions: {'; '.join(wrong[:MOST_LINES_NAMED])}{more}")
    return captions


def explain(
    game: VisionLanguageGame,
    captions: list[Caption],
    settings: dict,
    *,
    p: float,
    budget: int | str,
    seconds: float | None,
    seed: int,
    errors: bool,
    checkpoint: Path | None,
    folder: Path,
) -> None:
    """Explain the captions one after the other, write each, and list them.

    Parameters
    ----------
    game : VisionLanguageGame
        Of the longest caption, which costs most.
    settings : dict
        How further games are made: removal and players.
    p, budget, seconds, seed, errors, checkpoint
        As the options say.
    folder : Path
        Of the results.
    """
    from fixlip_helpers.checkpoints import Checkpointed
    from fixlip_helpers.coalitions import authors_split, choose_design
    from fixlip_helpers.effort import spend
    from fixlip_helpers.encoders.vision_language import VisionLanguageGame
    from fixlip_helpers.sides import combine, fit_side

    start, of_image = perf_counter(), game.identity("image")
    with unfinished(of_image, checkpoint, folder) as place, refusing():
        shared = Checkpointed(game, place / "image", BLOCK, of_image)
        if seconds is None:
            designs = draw_designs(game, p, budget, seed, errors)
            say_plan(make_plan(shared, designs, len(captions)))
            image_design, most_text, n_held_out = designs[0], None, (256, 64)
        else:
            click.echo(f"Spending about {duration(seconds)} on {len(captions):,} captions.")
            spent = spend(shared, p, seconds, seed, errors, len(captions))
            image_design, most_text, n_held_out = spent.image, len(spent.text), spent.n_held_out
        image = fit_side(shared, "image", p, image_design, seed=seed, n_held_out=n_held_out[0], errors=errors)
        rows: list[Row] = []
        for number, caption in enumerate(tqdm(captions, "captions", delay=2, leave=False), 1):
            own = VisionLanguageGame(game.model, game.picture, caption, **settings)
            of_text = own.identity("text")
            name = hashlib.sha256(json.dumps(of_text, sort_keys=True).encode()).hexdigest()[:8]
            remembered = Checkpointed(own, place / f"text-{name}", BLOCK, of_text)
            m = most_text
            if budget != "auto":
                m = authors_split(budget, own.n_image, own.n_text)[1]
            elif m is not None and len(choose_design("text", own.n_text, p, independently=errors)) <= m:
                m = None
            text = fit_side(remembered, "text", p, m=m, seed=seed, n_held_out=n_held_out[1], errors=errors)
            explanation = combine(image, text, errors)
            explanation.meta |= {"budget": budget, "seed": seed}
            rows.append(_write(explanation, own, number, len(captions), folder))
            _write_lists(rows, len(captions), folder)
    print_table("Captions", ("score", "explained", "R²", "caption"), [_columns(row, 60) for row in rows])
    click.echo(
        f"\nThe picture was encoded once: {image.meta['passes']:,} passes for {len(rows):,} captions, "
        f"{duration(perf_counter() - start)} in all."
    )


def _write(explanation: Explanation, game: VisionLanguageGame, number: int, of: int, folder: Path) -> Row:
    """Write the three files of one caption into a folder of its own, and say what the lists need."""
    from fixlip_helpers.show import scores

    caption = explanation.meta["caption"]
    name = f"{number:0{len(str(of))}d}-{_slug(caption)}".rstrip("-")
    with results_folder(folder / name) as own:
        write_results(explanation, game.picture, own)
    _, (_, _, surrogate), _, (_, _, r2) = scores(explanation)
    pairs = strongest_pairs(explanation)
    strongest = "{1} with the {2}: {0}".format(*pairs[0]) if pairs else ""
    return Row(caption, name, explanation.meta["full_value"], surrogate, r2, strongest)


def _slug(caption: str) -> str:
    """A caption as the end of a folder's name: small Latin letters and digits, at most 40."""
    plain = unicodedata.normalize("NFKD", caption.lower()).encode("ascii", "ignore").decode()
    return re.sub(r"[^a-z0-9]+", "-", plain).strip("-")[:40].rstrip("-")


def _columns(row: Row, most: int | None = None) -> tuple[str, str, str, str]:
    """Score, the explanation's, R² and caption as text."""
    from fixlip_helpers.show import share, shortened, signed

    caption = row.caption if most is None else shortened(row.caption, most)
    r2 = "unknown" if row.r2 is None else share(row.r2)
    return signed(row.score), signed(row.surrogate), r2, caption


def _write_lists(rows: list[Row], of: int, folder: Path) -> None:
    """Write captions.csv and index.html, whole, with what there is so far."""
    from fixlip_helpers.files import written_whole

    table = io.StringIO()
    writer = csv.writer(table)
    writer.writerow(("caption", "score", "explained", "held_out_r2", "strongest_pair", "folder"))
    writer.writerows(
        (row.caption, row.score, row.surrogate, row.r2, row.strongest, row.folder) for row in rows
    )
    for name, content in (("captions.csv", table.getvalue()), ("index.html", _page(rows, of))):
        with written_whole(folder / name) as part:
            part.write_text(content, encoding="utf-8", newline="")


def _page(rows: list[Row], of: int) -> str:
    """The list as a page of its own, each caption a link to its explorer."""
    lines = []
    for row in rows:
        *numbers, caption = _columns(row)
        link = f'<a href="{row.folder}/explanation.html">{html.escape(caption)}</a>'
        cells = "".join(f"<td>{number}</td>" for number in numbers)
        lines.append(f"<tr>{cells}<td>{link}</td><td>{html.escape(row.strongest)}</td></tr>")
    done = "" if len(rows) == of else f"<p>{len(rows)} of {of} captions so far.</p>"
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8"><title>Captions of one picture</title>'
        '<meta name="viewport" content="width=device-width"><style>:root{color-scheme:light dark}'
        "body{font:1rem/1.5 system-ui,sans-serif;margin:1rem}td,th{padding:.2rem .7rem;text-align:left}"
        "td:nth-child(-n+3){text-align:right;font-variant-numeric:tabular-nums}</style>"
        f"<h1>Captions of one picture</h1>{done}<table><tr><th>score<th>explained<th>R²<th>caption"
        f"<th>strongest pair</tr>{''.join(lines)}</table></html>\n"
    )
