"""The first file of the conformance module: what another file of a package may give."""

from __future__ import annotations

from typing import Annotated, Any, Final

from contracts.sdk import Choice, Contract, Int, Record, Text, refuse

KIND_A: Final = "A"
KIND_B: Final = "B"
KINDS: Final = (KIND_A, KIND_B)
LIMIT: Final = 2**20 + 3 * 7 - 1
DIGITS: Final = b"0123456789"
SALT: Final = b"\0" * 16

Kind = Annotated[str, Choice(*KINDS)]
Short = Annotated[str, Text(40, 0)]
Small = Annotated[int, Int(-(2**62), 2**62)]


class Point(Record):
    """Two numbers and what they are called."""

    x: int
    y: int = 0
    label: Short = "none"

    @property
    def sum(self) -> int:
        return self.x + self.y

    def moved(self, by: int) -> Point:
        return Point(self.x + by, self.y + by, self.label)


class Entry(Record):
    """What the module keeps."""

    number: int
    kind: Kind
    owner: str
    parts: list[int]
    point: Point


class Base(Contract):
    """What the module derives from."""

    def _checked(self, number: int) -> int:
        if number > LIMIT:
            refuse("TOO_BIG", f"{number} is above {LIMIT}")
        return number

    def _said(self, values: list[Any]) -> str:
        return ", ".join([f"{value}" for value in values])


def doubled(number: int) -> int:
    """Called from the other file."""
    return number * 2
