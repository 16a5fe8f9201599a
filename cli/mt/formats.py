"""SWIFT's notation of formats, such as ``6!n3!a15d``, as regular expressions over ASCII.

``16x`` is up to sixteen characters of set x, ``3!a`` exactly three of set a, ``4*35x`` up to four
lines of up to 35; what stands in brackets may be left out, ``$`` is the end of a line. Sets: n
digits, a capital letters, c both, d an amount with its comma, x what every bank has, z somewhat
more. The expressions are linear in the length of the value.
"""

from __future__ import annotations

import functools
import re
from typing import Final

SET_X: Final = frozenset(
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789/-?:().,'+ "
)
SET_Z: Final = SET_X | frozenset('=!"%&*<>;{@#_')

_CLASSES: Final = {
    "n": "[0-9]",
    "a": "[A-Z]",
    "c": "[0-9A-Z]",
    "x": f"[{re.escape(''.join(sorted(SET_X)))}]",
    "z": f"[{re.escape(''.join(sorted(SET_Z)))}]",
}
_PART: Final = re.compile(r"(?:([0-9]+)\*)?([0-9]+)(!?)([nacxzd])")

PARTY: Final = "[/1!a][/34x]$"
"""The account line before a party's BIC or name."""


def character_set(notation: str) -> frozenset[str]:
    """What may stand in such a field at all, its line ends apart."""
    return SET_Z if "z" in notation else SET_X


@functools.lru_cache(maxsize=256)
def pattern(notation: str) -> re.Pattern[str]:
    """What a whole value of this format matches. Raises ValueError for what is no notation."""
    return re.compile(_compiled(notation))


def fits(notation: str, value: str) -> bool:
    """Whether the value, its lines joined by ``\\n``, has this format."""
    return pattern(notation).fullmatch(value) is not None


def _compiled(notation: str) -> str:
    optional_line = re.match(r"((?:\[[^\]]*\])+)\$", notation)
    if optional_line is not None:
        return _after_optional_line(optional_line[1], notation[optional_line.end() :])
    out = []
    at = 0
    while at < len(notation):
        one = notation[at]
        if one == "[":
            end = notation.index("]", at)
            out.append(f"(?:{_compiled(notation[at + 1 : end])})?")
            at = end + 1
        elif one == "$":
            out.append("\n")
            at += 1
        elif one == "/":
            out.append("/")
            at += 1
        else:
            found = _PART.match(notation, at)
            if found is None:
                raise ValueError(f"{notation!r} is no format")
            out.append(_part(*found.groups()))
            at = found.end()
    return "".join(out)


def _after_optional_line(first: str, rest: str) -> str:
    """A first line that may be missing as a whole; where the rest may be, too, one of them is."""
    line = f"(?=/){_compiled(first)}"
    if rest.startswith("["):
        inner = _compiled(rest[1:-1])
        return f"(?:{line}(?:\n{inner})?|(?!/){inner})"
    return f"(?:{line}\n|(?!/)){_compiled(rest)}"


def _part(lines: str | None, size: str, exactly: str, kind: str) -> str:
    if kind == "d":  # at least one digit before the comma, which counts as a character
        return f"(?=[0-9,]{{2,{size}}}(?![0-9,]))[0-9]+,[0-9]*"
    count = f"{{{size}}}" if exactly else f"{{1,{size}}}"
    one = f"{_CLASSES[kind]}{count}"
    if lines is None:
        return one
    return f"{one}(?:\n{one}){{0,{int(lines) - 1}}}"
