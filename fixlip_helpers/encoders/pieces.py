"""Names of tokens: the text of the caption that each piece stands for, and the words that pieces form.

Tokenizers spell captions in alphabets of their own: CLIP writes bytes as letters (``cafÃ©</w>``), sentencepiece marks
where a word begins (``▁dog``) and spells what it lacks in bytes (``<0xF0>``). None of that is shown. A piece is named
by the stretch of text that it covers, which fast tokenizers tell and :func:`find_spans` finds out for others. A
character that takes several pieces gives its name to each of them.
"""

from __future__ import annotations

import contextlib
import re
import unicodedata
from collections.abc import Sequence

Span = tuple[int, int]
Words = list[tuple[str, tuple[int, ...]]]

END, STARTS = "</w>", ("▁", "Ġ")  # CLIP's mark of a word's end; sentencepiece's and GPT-2's of its beginning
BYTE = re.compile(r"<0x([0-9A-F]{2})>")


def name_players(pieces: Sequence[str], text: str | None = None) -> tuple[list[str], Words]:
    """Readable names of token pieces, and the words that they form, from the pieces and their caption.

    CLIP marks a word's last piece (``hydr``, ``ant</w>``), sentencepiece marks a word's first
    (``▁hydr``, ``ant``), a word-level tokenizer marks nothing: every piece is a word.

    Parameters
    ----------
    pieces : sequence of str
        With their tokenizer's marks.
    text : str, optional
        The caption. Without it, or where the pieces cannot be found in it, names are the pieces without marks.

    Returns
    -------
    names : list of str
    words : list of (str, tuple of int)
        Each word with the numbers of its pieces.
    """
    found = None if text is None else find_spans(text, pieces)
    if found is not None:
        return name_spans(text, found[0], pieces, _words_by_marks(pieces), found[1])
    names = _decoded(pieces)
    numbers = _words_by_marks(pieces)
    if len(set(numbers)) < 2 and not any(piece.endswith(END) or piece.startswith(STARTS) for piece in pieces):
        numbers = list(range(len(pieces)))  # nothing is marked: a word-level tokenizer
    words = [[i for i, number in enumerate(numbers) if number == word] for word in dict.fromkeys(numbers)]
    return names, [("".join(names[i] for i in word).replace("▁", ""), tuple(word)) for word in words]


def _decoded(pieces: Sequence[str]) -> list[str]:
    """Pieces without marks, each by itself; those of a byte alphabet as text, where they are whole characters."""
    names = [_without_marks(piece) or piece for piece in pieces]
    if any(piece.endswith(END) or piece.startswith("Ġ") for piece in pieces):
        for i, spelt in enumerate(map(_byte_level, pieces)):
            with contextlib.suppress(UnicodeDecodeError):
                names[i] = names[i] if spelt is None else spelt.decode() or names[i]
    return names


def name_spans(
    text: str,
    spans: Sequence[Span],
    pieces: Sequence[str],
    numbers: Sequence[int | None],
    lower: bool = False,
) -> tuple[list[str], Words]:
    """Names and words of pieces that cover known stretches of a text.

    Parameters
    ----------
    text : str
    spans : sequence of (int, int)
        First character and end of what each piece covers; spaces around it do not count. Pieces of one character
        cover it, each of them.
    pieces : sequence of str
        Their names where they cover no text, as sentencepiece's lone ``▁``.
    numbers : sequence of int or None
        The tokenizer's own numbers of words: another one begins a word, as does a space.
    lower : bool
        Write names in small letters, as the encoder reads the text.

    Returns
    -------
    names, words
        As :func:`name_players`.
    """
    starts = {start for start, _ in spans}
    spans = [_trimmed(text, span, starts) for span in spans]
    for i in reversed(
        range(len(pieces))
    ):  # a mark by itself stands right before what it marks, and covers nothing
        if pieces[i] in STARTS:
            place = spans[i + 1][0] if i + 1 < len(pieces) else len(text)
            spans[i] = place, place
    groups: list[list[int]] = []
    for i, (start, _) in enumerate(spans):
        before = spans[i - 1] if i else None
        marked = before is not None and before[0] == before[1]  # by a mark of its own, which belongs to it
        begins = before is None or (
            any(c.isspace() for c in text[before[1] : start]) or (numbers[i] != numbers[i - 1] and not marked)
        )
        if begins:
            groups.append([i])
        else:
            groups[-1].append(i)

    def written(span: Span) -> str:
        part = unicodedata.normalize("NFC", text[span[0] : span[1]])
        part = part.lower() if lower else part
        kinds = [unicodedata.category(c) for c in part]
        if part and kinds[0] == "Mn":
            return f"◌{part}"  # an accent by itself, as Unicode's tables show it
        if set(kinds) <= {"Cc", "Cf", "Zs"}:
            return " ".join(f"U+{ord(c):04X}" for c in part)
        return part[next(i for i, kind in enumerate(kinds) if kind != "Cf") :]

    names = [written(span) or piece for span, piece in zip(spans, pieces, strict=True)]
    words = [
        (written((min(spans[i][0] for i in group), max(spans[i][1] for i in group))), tuple(group))
        for group in groups
    ]
    return names, [(word or "".join(names[i] for i in group), group) for word, group in words]


def _trimmed(text: str, span: Span, starts: set[int]) -> Span:
    """A span without spaces around it, with accents behind it that no other piece covers."""
    start, end = span
    while start < end and text[start].isspace():
        start += 1
    while start < end and text[end - 1].isspace():
        end -= 1
    while start < end < len(text) and unicodedata.combining(text[end]) and end not in starts:
        end += 1
    return start, end


# --- Where pieces are in a text, for tokenizers that do not say -----------------------------------


def find_spans(text: str, pieces: Sequence[str]) -> tuple[list[Span], bool] | None:
    """The stretch of text that each piece covers, or None where they do not spell it.

    Pieces may be plain text or bytes, in the text's letters or in small ones (then the second is True), and leave
    out punctuation.
    """
    for as_bytes in (_plain, _byte_level):
        spelt = [as_bytes(piece) for piece in pieces]
        if None in spelt:
            continue
        for lower in (False, True):
            if (spans := _aligned(text, spelt, lower)) is not None:
                return spans, lower
    return None


def _aligned(text: str, spelt: Sequence[bytes], lower: bool) -> list[Span] | None:
    """Spans of pieces, given as bytes, one after the other in a text; None if one is not where it should be."""
    letters = [(i, (c.lower() if lower else c).encode()) for i, c in enumerate(text) if not c.isspace()]
    stream = b"".join(encoded for _, encoded in letters)
    owner = [i for i, encoded in letters for _ in encoded]
    spans, at = [], 0
    for part in spelt:
        part = part.lower() if lower else part  # of bytes: ASCII letters only
        found = at
        while not stream.startswith(part, found):
            if found >= len(stream) or text[owner[found]].isalnum():
                return None
            found += 1  # a character that the tokenizer leaves out
        if part:
            spans.append((owner[found], owner[found + len(part) - 1] + 1))
            at = found + len(part)
        else:
            spans.append((len(text), len(text)))  # a lone mark
    return spans if not any(text[i].isalnum() for i in owner[at:]) else None


def _plain(piece: str) -> bytes:
    """A piece's text, without marks and spaces, as bytes; one spelt ``<0xF0>`` is that byte."""
    if byte := BYTE.fullmatch(piece):
        return bytes([int(byte[1], 16)])
    return "".join(_without_marks(piece).split()).encode()


def _byte_level(piece: str) -> bytes | None:
    """The bytes of a piece in the alphabet that CLIP and GPT-2 write them in; None if it is in another one."""
    letters = [LETTERS.get(c) for c in piece.removesuffix(END)]
    return None if None in letters else bytes(b for b in letters if b != ord(" "))


def _letters_of_bytes() -> dict[str, int]:
    """GPT-2's alphabet: printable bytes are themselves, the others take the letters from U+0100 on."""
    printable = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), 256)]
    others = [byte for byte in range(256) if byte not in printable]
    return {chr(byte): byte for byte in printable} | {chr(256 + k): byte for k, byte in enumerate(others)}


LETTERS = _letters_of_bytes()


def _without_marks(piece: str) -> str:
    return piece.removesuffix(END).replace("▁", "").removeprefix("Ġ")


def _words_by_marks(pieces: Sequence[str]) -> list[int]:
    """For each piece the number of its word, as far as the marks tell."""
    marks_end = any(piece.endswith(END) for piece in pieces)
    numbers, number = [], 0
    for i, piece in enumerate(pieces):
        if i and (pieces[i - 1].endswith(END) if marks_end else piece.startswith(STARTS)):
            number += 1
        numbers.append(number)
    return numbers
