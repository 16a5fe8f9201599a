"""Legal entities of a GLEIF file: the Turtle form of LEI level 1 data."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

from consensus.primitives.errors import InputError
from contracts.sdk.checks import lei_valid

FILE_BYTES_MAX: Final = 256 << 20
_SUBJECT: Final = re.compile(r"gleif-L1-data:L-([0-9A-Z]{1,30})\s*$")
_NAME: Final = re.compile(
    r'gleif-L1:has(?:Legal|PreviousLegal|OtherEntity|Transliterated\w*)Name\w*\s+"((?:[^"\\]|\\.){1,400})"'
)
_ESCAPED: Final = re.compile(r'\\(u[0-9A-Fa-f]{4}|U[0-9A-Fa-f]{8}|["\\tnr])')
_PLAIN: Final = {"t": " ", "n": " ", "r": " "}


class LegalEntity(NamedTuple):
    """A legal entity and all names that the file has for it."""

    lei: str
    names: tuple[str, ...]


def load_entities(path: Path) -> tuple[list[LegalEntity], Counter[str]]:
    """Legal entities in the file's order, and how many were refused, by reason.

    Reads line by line what GLEIF writes: a subject ``L-`` and an LEI begins an entity's block, a
    full stop by itself ends it; this is no parser of Turtle. Branches and funds count, too.
    Raises InputError FILE_NOT_READABLE, LEI_FILE_INVALID when there is no legal entity in it.
    """
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise InputError("FILE_NOT_READABLE", f"{path}: {error.strerror}") from None
    if len(raw) > FILE_BYTES_MAX:
        raise InputError("LEI_FILE_INVALID", f"{path} is larger than {FILE_BYTES_MAX} bytes")
    found: list[LegalEntity] = []
    refused: Counter[str] = Counter()
    for lei, block in _blocks(raw.decode("utf-8", errors="replace")):
        names = [_unescaped(name) for line in block for name in _NAME.findall(line)]
        if not lei_valid(lei):
            refused["the LEI's check digits are wrong"] += 1
        elif not names:
            refused["no legal name"] += 1
        else:
            found.append(LegalEntity(lei, tuple(dict.fromkeys(names))))
    if not found and not refused:
        raise InputError("LEI_FILE_INVALID", f"{path} holds no legal entity")
    return found, refused


def _blocks(text: str) -> Iterator[tuple[str, list[str]]]:
    subject, block = "", list[str]()
    for line in text.splitlines():
        begins = _SUBJECT.match(line)
        if begins:
            subject, block = begins[1], []
        elif subject and line.strip() == ".":
            yield subject, block
            subject = ""
        elif subject:
            block.append(line)


def _unescaped(text: str) -> str:
    def plain(found: re.Match[str]) -> str:
        code = found[1]
        if code[0] in "uU":
            number = int(code[1:], 16)
            return chr(number) if number < 0x110000 else "?"
        return _PLAIN.get(code, code)

    return _ESCAPED.sub(plain, text)
