"""What comes with the package, games, explanations and tables, and inputs for experiments from anywhere.

The game of Part I: all 64 values of ``mini-clip`` on three words and three regions of the hero scene.

The published pair: what the real CLIP ViT-B/32 (``openai/clip-vit-base-patch32``) makes of a photograph
of a *white* dog captioned "black dog next to a yellow hydrant". The four explanations were published
with the release of the FIxLIP paper and were computed by its authors.

Source: files ``results/dog_and_hydrant_*.pkl`` and ``assets/dog_and_hydrant.jpg`` of the repository
``hbaniecki/fixlip`` (MIT licence), converted once to JSON. Cite: H. Baniecki, M. Muschalik,
F. Fumagalli, B. Hammer, E. Hüllermeier, P. Biecek, *Explaining Similarity in Vision-Language Encoders
with Weighted Banzhaf Interactions*, NeurIPS 2025.
"""

from __future__ import annotations

import codecs
import csv
import io
import json
import re
import tarfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from importlib.resources import files
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from fixlip_helpers.encoders.pictures import decode_image, open_image
from fixlip_helpers.games import TableGame

if TYPE_CHECKING:
    from fixlip_helpers.explanation import Explanation

# The file's key, the method's name in the book, our name of its index, its p.
_PUBLISHED = (
    ("fixlip", "FIxLIP", "FWBII", 0.5),
    ("exclip", "exCLIP", "exCLIP", None),
    ("game", "GAME", "first-order", None),
    ("gradeclip", "Grad-ECLIP", "first-order", None),
)


def part_one_game() -> TableGame:
    """The running game of Part I: three regions of a picture and three words, with all 64 values.

    Returns
    -------
    TableGame
        Six players. Players 0 to 2 are regions of the example ``hero`` of
        :func:`fixlip_helpers.world.scenes.examples`: the patches of the (white) dog, the patches of the (yellow) bus,
        and the background. Players 3 to 5 are the words of the caption "black dog bus". Values are logits of
        ``mini-clip``, rounded to hundredths, so that every number in Part I can be worked out by hand.

    Notes
    -----
    Made by ``python scripts/part_one_game.py``, in the order of
    :func:`~fixlip_helpers.coalitions.all_coalitions`: row ``r`` shows player ``i`` if bit ``i`` of ``r`` is set.

    Examples
    --------
    >>> game = part_one_game()
    >>> game.players
    ['dog region', 'bus region', 'background', 'black', 'dog', 'bus']
    >>> game.values.shape
    (64,)
    """
    stored = stored_result("part_one_game")
    return TableGame(stored["values"], stored["players"])


def stored_result(name: str) -> dict:
    """A stored table that took too long to compute in a chapter, with the command that made it.

    Parameters
    ----------
    name : str
        Of a file in the repository's folder ``results``, without ``.json``.

    Returns
    -------
    dict
        The file's content: ``command`` and what its own key names say.

    Raises
    ------
    ValueError
        If there is no such table; the message lists those that there are.
    """
    package = Path(__file__).resolve().parents[1]
    folder = next(folder for folder in (package / "results", package.parent / "results") if folder.is_dir())
    path = folder / f"{name}.json"
    if not path.is_file():
        allowed = sorted(file.stem for file in folder.glob("*.json"))
        raise ValueError(f"name is {name!r}; the stored tables are {', '.join(allowed)}")
    return json.loads(path.read_text(encoding="utf-8"))


def published_clip() -> tuple[Image.Image, dict[str, Explanation]]:
    """The published explanations of the real CLIP ViT-B/32 on one photograph and caption.

    Returns
    -------
    image : PIL.Image.Image
        The photograph, RGB, 511 x 511 pixels. The encoder sees all of it.
    explanations : dict of str to Explanation
        Keys ``"FIxLIP"`` (p = 0.5), ``"exCLIP"``, ``"GAME"`` and ``"Grad-ECLIP"``. Each has
        7 x 7 = 49 image players, row by row, and 8 text players; ``hydrant`` is two of them,
        ``hydr`` and ``ant``. Units: FIxLIP's numbers are logits, the others have units of their own.

    Notes
    -----
    The authors subtract the empty input's value before they fit, and did not publish that value.
    So FIxLIP's ``baseline`` here is the constant of ``game - game(empty)``: predictions are logits
    *above the empty input*. ``empty_value`` is ``None``, and so is every number that needs it.

    Examples
    --------
    >>> image, explanations = published_clip()
    >>> explanations["FIxLIP"].n_image, explanations["FIxLIP"].n_text
    (49, 8)
    """
    from fixlip_helpers.explanation import Explanation

    assets = files("fixlip_helpers") / "assets"
    published = json.loads((assets / "clip_dog_and_hydrant.json").read_text(encoding="utf-8"))
    with (assets / published["image"]).open("rb") as file:
        image = Image.open(file).convert("RGB")

    rows, columns = published["grid"]
    n_image, n_text = published["n_image"], len(published["tokens"])
    patches = [f"patch {row},{column}" for row in range(rows) for column in range(columns)]
    words = _words(published["caption"], published["tokens"], n_image)
    explanations = {}
    for key, name, index, p in _PUBLISHED:
        stored = published["methods"][key]
        pairs = np.zeros((n_image + n_text, n_image + n_text))
        for i, j, value in stored["pairs"]:
            pairs[int(i), int(j)] = pairs[int(j), int(i)] = value
        explanations[name] = Explanation(
            baseline=float(stored["baseline"]),
            empty_value=None,
            main=np.array(stored["main"], dtype=float),
            pairs=pairs,
            index=index,
            p=p,
            players=patches + published["tokens"],
            n_image=n_image,
            n_text=n_text,
            meta={
                "method": name,
                "model": published["model"],
                "caption": published["caption"],
                "grid": [rows, columns],
                "words": words,
                "source": published["source"],
                "relative_to_empty": True,
            }
            | ({"budget": 2_096_976} if name == "FIxLIP" else {}),
        )
        explanations[name].picture = image
    return image, explanations


_SECOND_RUN = {
    (): -0.9288194515281876,
    (54,): 2.2403749053309996,
    (33, 55): 1.5659615791704184,
    (28, 50): 1.3542481210539932,
    (29, 50): 1.311816620652594,
    (36, 50): 1.2630272475061026,
    (55, 56): 1.2404376939085289,
    (52,): -1.3899544771137347,
    (56,): -1.7549273032871964,
    (50,): -4.6084194131987335,
    (55,): -5.677628260717767,
}
"""What the authors' ``example.ipynb`` prints of a fit from 2^19 values (github.com/hbaniecki/fixlip, e89d704)."""


def published_second_run() -> tuple[int, dict[tuple[str, ...], tuple[float, float]]]:
    """What is known of a second run of the published FIxLIP explanation.

    The authors' example notebook prints the ten largest terms, and the constant, of the same explanation from other
    draws and fewer values: the only replicate that there is, and so the only error that these numbers have.

    Returns
    -------
    budget : int
        How many values of the game the second run took; the published one took ``meta["budget"]`` of them.
    terms : dict of tuple of str to (float, float)
        For each term, named by its players (none: the constant), the published number and that of the second run.

    Examples
    --------
    >>> budget, terms = published_second_run()
    >>> budget, [round(number, 2) for number in terms["dog",]]
    (524195, [-4.11, -4.61])
    """
    published = published_clip()[1]["FIxLIP"]
    terms = {}
    for members, again in _SECOND_RUN.items():
        if len(members) == 2:
            first = published.pairs[members]
        else:
            first = published.main[members] if members else published.baseline
        terms[tuple(published.players[i] for i in members)] = (float(first), again)
    return 524_195, terms


def _words(caption: str, tokens: list[str], first: int) -> list[list]:
    """Each word of a caption with the players that spell it: ``["hydrant", [55, 56]]``."""
    words, player = [], first
    for word in caption.split():
        members, spelt = [], ""
        while spelt != word:
            spelt += tokens[player - first]
            members.append(player)
            player += 1
        words.append([word, members])
    return words


# --- Inputs of experiments ----------------------------------------------------------------------------------

#: The ten games of four classes of the paper's pointing game.
CLASS_GAMES = (
    "goldfish husky pizza tractor", "cat goldfish plane pizza", "banana cat tractor ball", "husky banana plane church",
    "pizza ipod goldfish banana", "ipod cat husky plane", "tractor ball banana ipod", "plane church ball goldfish",
    "church pizza ipod cat", "ball husky banana tractor",
)  # fmt: skip

# ImageNet's folders of these classes. Where ImageNet has several kinds (cats, planes, balls) the choice is ours.
_IMAGENET = {
    "goldfish": "n01443537", "husky": "n02110185", "pizza": "n07873807", "tractor": "n04465501", "cat": "n02123045",
    "plane": "n02690373", "banana": "n07753592", "ball": "n04254680", "church": "n03028079", "ipod": "n03584254",
}  # fmt: skip

# The release has ImageNet's classes 282 and 248, tiger cat and Eskimo dog; the choice above is tabby and Siberian.
_IMAGENET_RELEASED = _IMAGENET | {"cat": "n02123159", "husky": "n02109961"}

_PICTURES = {".bmp", ".gif", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"}
_TILE = 224  # pixels of each quarter of a grid that is pieced together from four photographs

FORMS = (
    "scenes:pairs:SEED:COUNT, scenes:grids:SEED:COUNT, a CSV file with columns image and caption, "
    "a folder with captions_*.json (COCO), a .tar file or a folder of them (webdataset), "
    "or a folder of class folders (pointing game)"
)


@dataclass(frozen=True, eq=False)
class Input:
    """A picture with the captions that it is to be explained with.

    Attributes
    ----------
    id : str
        Unique in its data.
    captions : tuple of str
        At least one. For the pointing game each is made of class names.
    quarters : tuple of str
        For the pointing game: the class names of the quarters in reading order; else empty.
    places : tuple of str
        Where each caption stands, for messages: ``"pairs.csv, line 3"``. Empty where nobody wrote them down.
    fault : str
        Why it cannot be used, where its entry in the list says so; else empty. It then has no captions.
    """

    id: str
    captions: tuple[str, ...]
    _open: Callable[[], object] = field(repr=False)
    quarters: tuple[str, ...] = ()
    places: tuple[str, ...] = ()
    fault: str = ""

    def named(self, reason: str, caption: str | None = None) -> str:
        """What is wrong with it, or with one of its captions, with the file and row in which that stands."""
        if not self.places:
            return reason
        return f"{self.places[0 if caption is None else self.captions.index(caption)]}: {reason}"

    def image(self) -> object:
        """The picture as a game takes it: a path or a PIL image.

        Raises
        ------
        ValueError
            If it cannot be read.
        """
        try:
            return self._open()
        except Exception as error:  # archives, decoders and disks fail in as many ways
            raise ValueError(f"the picture of input {self.id!r} cannot be read: {error}") from error


def _faulty(name: str, place: str, reason: str) -> Input:
    """An entry that cannot be used: it is skipped and named, and ends nothing."""
    return Input(name, (), lambda: None, places=(place,), fault=reason)


def open_inputs(data: str | Path, seed: int = 0, released: bool = False) -> list[Input]:
    """The inputs that a specification names.

    Parameters
    ----------
    data : str or Path
        ``scenes:pairs:SEED:COUNT``
            Unseen scenes of the picture world with one to four objects, each with its full caption.
        ``scenes:grids:SEED:COUNT``
            2 × 2 scenes for the pointing game.
        a CSV file
            Columns ``image`` (path, relative to the file) and ``caption``, optionally ``id``. Rows with one image
            are one input with several captions. In UTF-8, or with a byte-order mark in UTF-16 or UTF-32; commas,
            semicolons or tabs between the columns; a caption that holds one of them in quotation marks.
        a folder with ``captions_*.json``
            COCO's own layout: the JSON in the folder or in ``annotations``, pictures in the folder or in any
            folder beside.
        a ``.tar`` file, or a folder of them
            Webdataset: ``KEY.jpg`` with ``KEY.txt``, one caption a line, as in
            ``clip-benchmark/wds_mscoco_captions``.
        a folder of class folders
            Grids of four classes for the pointing game: the paper's ten class games
            with 50 grids each where its classes are there (by name or by ImageNet's), else 50 seeded
            games of four of the folder's own classes.
    seed : int
        Chooses the photographs of grids.
    released : bool
        Grids as the FIxLIP release makes them. Captions are the first one, two, three and four classes of a grid, in
        place of all neighbours in turn. The grids of a class game take the first photographs of each class in the order
        of their names (as many grids as the smallest class has, at most 50), each squeezed into a square, not cut, and
        the grid kept as a JPEG. Cat and husky are ImageNet's classes 282 and 248, tiger cat and Eskimo dog.

    Returns
    -------
    list of Input
        Entries that cannot be used are among them, with their ``fault``: a row without a caption, an annotation
        that is none, a picture of an archive without a text.

    Raises
    ------
    ValueError
        If ``data`` is none of these, holds no input, lacks a column, or an id comes twice; if a row of a CSV file
        has more cells than columns, or it is in another encoding: file and line are named.
    """
    text = str(data)
    if text.startswith("scenes:"):
        inputs = _scene_inputs(text)
    else:
        path = Path(data)
        tars = sorted(path.glob("*.tar")) if path.is_dir() else [path] if path.suffix == ".tar" else []
        lists = sorted([*path.glob("captions_*.json"), *path.glob("annotations/captions_*.json")])
        if not path.exists():
            raise ValueError(f"data = {text!r} does not exist; expected {FORMS}")
        if path.is_file() and path.suffix.lower() == ".csv":
            inputs = _csv_inputs(path)
        elif lists:
            inputs = [one for file in lists for one in _coco_inputs(path, file)]
        elif tars:
            inputs = [one for file in tars for one in _tar_inputs(file)]
        elif path.is_dir():
            inputs = _class_inputs(path, seed, released)
        else:
            raise ValueError(f"data = {text!r}; expected {FORMS}")
    if not inputs:
        raise ValueError(f"data = {text!r} holds no input; expected {FORMS}")
    if released:
        inputs = [replace(one, captions=first_words(one.quarters)) if one.quarters else one for one in inputs]
    ids = [one.id for one in inputs]
    if len(set(ids)) < len(ids):
        twice = next(name for name in ids if ids.count(name) > 1)
        raise ValueError(f"data = {text!r}: the id {twice!r} is there more than once; ids must differ")
    return inputs


def word_captions(classes: Sequence[str]) -> tuple[str, ...]:
    """Captions of one to four class names: each class alone, neighbours in twos and threes, and all of them."""
    classes = list(classes)
    n = len(classes)
    chosen = [[classes[(first + k) % n] for k in range(size)] for size in range(1, n) for first in range(n)]
    return tuple(" ".join(words) for words in [*chosen, list(classes)])


def first_words(classes: Sequence[str]) -> tuple[str, ...]:
    """The captions of the FIxLIP release: the first class name, the first two, and so on to all of them."""
    return tuple(" ".join(classes[: k + 1]) for k in range(len(classes)))


def _scene_inputs(text: str) -> list[Input]:
    from fixlip_helpers.world import scenes

    parts = text.split(":")
    if (
        len(parts) != 4
        or parts[1] not in ("pairs", "grids")
        or not all(part.isdecimal() for part in parts[2:])
    ):
        raise ValueError(f"data = {text!r}; expected scenes:pairs:SEED:COUNT or scenes:grids:SEED:COUNT")
    _, kind, seed, count = parts
    inputs = []
    for k in range(int(count)):
        name = f"{kind} {seed} {k}"
        if kind == "pairs":
            scene = scenes.make_scene(f"evaluation {name}")
            inputs.append(Input(name, (scene.caption,), lambda scene=scene: scene.image))
        else:
            nouns = tuple(scenes.random_nouns(4, f"evaluation {name}"))
            scene = scenes.grid_scene(nouns, f"evaluation {name}")
            inputs.append(Input(name, word_captions(nouns), lambda scene=scene: scene.image, nouns))
    return inputs


def _csv_inputs(path: Path) -> list[Input]:
    found: dict[str, tuple[str, list[str], list[str]]] = {}
    faulty = []
    for line, row in _csv_rows(path):
        place = f"{path.name}, line {line}"
        name = row.get("id") or row["image"]
        if empty := [column for column in ("image", "caption") if not row[column]]:
            faulty.append(_faulty(place, place, f"no {' and no '.join(empty)}"))
            continue
        image, captions, places = found.setdefault(name, (row["image"], [], []))
        if image != row["image"]:
            raise ValueError(
                f"{path}, line {line}: the id {name!r} belongs to {image!r} and to {row['image']!r}"
            )
        captions.append(row["caption"])
        places.append(place)
    inputs = [
        Input(name, tuple(captions), lambda file=path.parent / image: file, places=tuple(places))
        for name, (image, captions, places) in found.items()
    ]
    return inputs + faulty


def _csv_rows(path: Path) -> Iterator[tuple[int, dict[str, str]]]:
    """Rows of a CSV file by column, each with the line where it begins; ValueError names file and line.

    Columns are told apart by commas, or by the semicolons or tabs that spreadsheets write in many countries: by what
    gives the first line the columns it must have.
    """
    text = _csv_text(path)
    before, separator = 0, None
    if hint := re.match(r"sep=(.)\r?\n", text):  # Excel's own line, for Excel
        text, before, separator = text[hint.end() :], 1, hint[1]
    head = re.split(r"[\r\n]", text, maxsplit=1)[0]
    separators = [separator] if separator else [",", ";", "\t"]
    columns = {each: _columns(head, each) for each in separators}
    separator = next((s for s, names in columns.items() if {"image", "caption"} <= set(names)), separators[0])
    names = columns[separator]
    if missing := [name for name in ("image", "caption") if name not in names]:
        raise ValueError(
            f"{path} has the columns {', '.join(names) or '(none)'}; "
            f"expected image and caption, and optionally id: {', '.join(missing)} missing"
        )
    for name in ("image", "caption", "id"):
        if names.count(name) > 1:
            raise ValueError(f"{path} has {names.count(name)} columns {name}; expected one")
    # strict: a caption that a stray quotation mark would swallow or cut is an error, not another caption
    reader = csv.reader(
        io.StringIO(text, newline=""), delimiter=separator, skipinitialspace=True, strict=True
    )
    while True:
        line = before + reader.line_num + 1
        try:
            cells = next(reader, None)
        except csv.Error as error:
            raise ValueError(
                f"{path}, line {line}: {error}; put a caption with a quotation mark or a line break in quotation "
                'marks, and write a quotation mark in it twice: "a 12"" pizza"'
            ) from None
        if cells is None:
            return
        if line == before + 1 or not any(cell.strip() for cell in cells):
            continue
        titled = [*names, *[""] * (len(cells) - len(names))]
        if any(cell.strip() for cell, name in zip(cells, titled, strict=False) if not name):
            raise ValueError(
                f"{path}, line {line}: {len(cells)} cells for the columns {', '.join(filter(None, names))}; put a "
                f"caption with {_SEPARATORS.get(separator, repr(separator))} in quotation marks: "
                f'"{f"{separator} ".join(filter(None, cells[names.index("caption") :]))}"'
            )
        yield line, dict(zip_longest(names, (cell.strip() for cell in cells[: len(names)]), fillvalue=""))


_SEPARATORS = {",": "a comma", ";": "a semicolon", "\t": "a tab"}


def _columns(head: str, separator: str) -> list[str]:
    """The names of columns in a CSV file's first line, in small letters."""
    cells = next(csv.reader([head], delimiter=separator, skipinitialspace=True), [])
    return [name.strip().lower() for name in cells]


def _csv_text(path: Path) -> str:
    """A CSV file as text: UTF-8, or what its byte-order mark says; ValueError says how to save it as UTF-8."""
    content = path.read_bytes()
    marks = {codecs.BOM_UTF32_LE: "utf-32", codecs.BOM_UTF32_BE: "utf-32",
             codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}  # fmt: skip
    encoding = next((name for mark, name in marks.items() if content.startswith(mark)), "utf-8-sig")
    try:
        text = content.decode(encoding)
        wrong = text.count("\n", 0, text.index("\0")) + 1 if "\0" in text else None
    except UnicodeDecodeError as error:
        wrong = content.count(b"\n", 0, error.start) + 1
    if wrong is not None:
        raise ValueError(
            f"{path}, line {wrong}: not in {encoding.removesuffix('-sig').upper()}; save the file as “CSV UTF-8”"
        )
    return text


def _coco_inputs(folder: Path, captions_file: Path) -> list[Input]:
    try:
        stored = json.loads(captions_file.read_text(encoding="utf-8"))
        images, annotations = list(stored["images"]), list(stored["annotations"])
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f"{captions_file} is no list of COCO captions ({type(error).__name__}: {error})"
        ) from error
    faulty, files_ = [], {}
    captions: dict[object, list[tuple[str, str]]] = {}
    for number, image in enumerate(images):
        try:
            identity, name = image["id"], image["file_name"]
            if not isinstance(name, str) or not name:
                raise TypeError
            files_[identity] = name
        except (KeyError, TypeError):
            place = f"{captions_file.name}, image {number}"
            faulty.append(_faulty(place, place, f"expected an id and a file_name, found {_clipped(image)}"))
    for number, annotation in enumerate(annotations):
        place = f"{captions_file.name}, annotation {number}"
        try:
            text, image = annotation["caption"], annotation["image_id"]
            if not isinstance(text, str) or not text.strip():
                raise TypeError
            captions.setdefault(image, []).append((text.strip(), place))
        except (KeyError, TypeError):
            faulty.append(
                _faulty(place, place, f"expected a caption and an image_id, found {_clipped(annotation)}")
            )
    places = [folder, *sorted(place for place in folder.iterdir() if place.is_dir())]

    def find(name: str) -> Path:
        return next((place / name for place in places if (place / name).is_file()), folder / name)

    inputs = [
        Input(
            str(number),
            tuple(text for text, _ in captions[number]),
            lambda name=name: find(name),
            places=tuple(place for _, place in captions[number]),
        )
        for number, name in files_.items()
        if number in captions
    ]
    return inputs + faulty


def _clipped(entry: object) -> str:
    """An entry of a JSON file for a message."""
    text = json.dumps(entry, ensure_ascii=False)
    return text if len(text) <= 80 else f"{text[:79]}…"


def _tar_inputs(path: Path) -> list[Input]:
    captions: dict[str, tuple[str, ...]] = {}
    pictures: dict[str, str] = {}
    faulty, unread = [], {}
    try:
        with tarfile.open(path) as archive:
            try:
                for member in archive:
                    stem, _, kind = member.name.rpartition(".")
                    if not member.isfile():
                        continue
                    if f".{kind.lower()}" in _PICTURES:
                        pictures[stem] = member.name
                    elif kind == "txt":
                        try:
                            lines = archive.extractfile(member).read().decode("utf-8").splitlines()
                        except UnicodeDecodeError:
                            unread[stem] = f"{member.name} is not in UTF-8"
                            continue
                        captions[stem] = tuple(line.strip() for line in lines if line.strip())
            except (tarfile.TarError, EOFError, OSError) as error:  # half of it was downloaded, say
                faulty.append(_faulty(f"{path.name}, its end", path.name, f"the archive ends early: {error}"))
    except (tarfile.TarError, EOFError) as error:
        raise ValueError(f"{path} is no tar archive: {error}") from error

    def picture(name: str) -> Image.Image:
        with tarfile.open(path) as archive:
            return decode_image(archive.extractfile(name).read(), f"{path.name}: {name}")

    inputs = []
    for stem, name in pictures.items():
        if texts := captions.get(stem):
            places = tuple(f"{path.name}, {stem}.txt" for _ in texts)
            inputs.append(Input(f"{path.stem}/{stem}", texts, lambda name=name: picture(name), places=places))
        else:
            lacking = f"no caption: {stem}.txt is {'empty' if stem in captions else 'not there'}"
            faulty.append(_faulty(f"{path.stem}/{stem}", f"{path.name}, {name}", unread.get(stem, lacking)))
    return inputs + faulty


def _class_inputs(folder: Path, seed: int, released: bool = False, grids: int = 50) -> list[Input]:
    classes = {
        place.name: sorted(file for file in place.iterdir() if file.suffix.lower() in _PICTURES)
        for place in sorted(folder.iterdir())
        if place.is_dir()
    }
    classes = {name: photographs for name, photographs in classes.items() if photographs}
    imagenet = _IMAGENET_RELEASED if released else _IMAGENET
    classes |= {name: classes[key] for name, key in imagenet.items() if key in classes}
    named = {name: photographs for name, photographs in classes.items() if name not in imagenet.values()}
    rng = np.random.default_rng([seed, 4])
    games = [tuple(game.split()) for game in CLASS_GAMES if set(game.split()) <= set(named)]
    if not games:
        if len(named) < 4:
            raise ValueError(
                f"data = {str(folder)!r} has {len(named)} class folders with pictures; a grid takes four classes"
            )
        games = [tuple(rng.choice(sorted(named), 4, replace=False)) for _ in range(grids)]
        grids = 1
    inputs = []
    for number, game in enumerate(games):
        there = min(len(named[name]) for name in game)
        for k in range(min(grids, there) if released else grids):
            chosen = [named[name][k if released else rng.integers(len(named[name]))] for name in game]
            inputs.append(
                Input(
                    f"{number}-{k} {' '.join(game)}",
                    word_captions(game),
                    lambda chosen=chosen: _grid(chosen, released),
                    game,
                )
            )
    return inputs


def _grid(photographs: Sequence[Path], released: bool = False) -> Image.Image:
    """Four photographs, each cut to its middle square, as the quarters of one picture; ``released``: squeezed."""
    whole = Image.new("RGB", (2 * _TILE, 2 * _TILE))
    for k, path in enumerate(photographs):
        photograph = open_image(path)
        width, height = photograph.size
        side = min(width, height)
        left, top = (width - side) // 2, (height - side) // 2
        middle = (left, top, left + side, top + side)
        if released:
            square = photograph.resize((_TILE, _TILE), Image.Resampling.BILINEAR)
        else:
            square = photograph.resize((_TILE, _TILE), Image.Resampling.BICUBIC, middle)
        whole.paste(square, (_TILE * (k % 2), _TILE * (k // 2)))
    if not released:
        return whole
    stored = io.BytesIO()
    whole.save(stored, "JPEG")
    return Image.open(stored).convert("RGB")
