"""Reading a document that people edit, so that every mistake in it is reported at once.

A :class:`Reader` takes fields out of parsed JSON and notes each mistake with its place; a field
that is wrong comes back as None, and reading goes on.
"""

from __future__ import annotations

import datetime
import json
import re
from collections.abc import Callable
from typing import Any, TypeVar

from consensus.primitives.errors import InputError

T = TypeVar("T")
MISSING = object()
EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)


class Reader:
    """One object of the document, and the list of mistakes that all its readers share."""

    def __init__(self, value: Any, place: str, mistakes: list[str]) -> None:
        self.mistakes = mistakes
        self.place = place
        self._known: set[str] = set()
        # Of what is no object at all, one mistake is noted and not one for each of its fields.
        self._present = type(value) is dict
        self._value: dict[str, Any] = value if self._present else {}
        if not self._present and value is not MISSING:
            self.wrong("", f"must be an object, not {_kind(value)}")

    def wrong(self, field: str, message: str) -> None:
        place = f"{self.place}.{field}" if self.place and field else self.place or field
        self.mistakes.append(f"{place or 'the document'}: {message}")

    def _take(self, field: str, kind: type, wanted: str) -> Any:
        self._known.add(field)
        if field not in self._value:
            if self._present:
                self.wrong(field, "is missing")
            return None
        value = self._value[field]
        if type(value) is not kind:
            self.wrong(field, f"must be {wanted}, not {_kind(value)}")
            return None
        return value

    def text(self, field: str, bytes_max: int) -> str | None:
        """1 to ``bytes_max`` bytes of UTF-8, without control characters."""
        value = self._take(field, str, "text")
        if value is None:
            return None
        if not _fits(value, bytes_max):
            self.wrong(field, f"must be 1 to {bytes_max} bytes of printable text")
            return None
        return str(value)

    def whole(self, field: str, minimum: int, maximum: int) -> int | None:
        value = self._take(field, int, "a whole number")
        if value is None:
            return None
        if not minimum <= value <= maximum:
            self.wrong(field, f"{value} is not within {minimum}..{maximum}")
            return None
        return int(value)

    def hex(self, field: str, size: int) -> bytes | None:
        value = self._take(field, str, "hex text")
        if value is None:
            return None
        if not re.fullmatch(r"[0-9a-f]*", value) or len(value) != 2 * size:
            self.wrong(field, f"must be {2 * size} lower-case hex digits")
            return None
        return bytes.fromhex(value)

    def time_ms(self, field: str) -> int | None:
        """An ISO 8601 time with its offset, as milliseconds since 1970."""
        value = self._take(field, str, "a time such as 2026-01-31T12:00:00Z")
        if value is None:
            return None
        try:
            return parse_time(value)
        except ValueError:
            self.wrong(field, f"{value!r} is not a time such as 2026-01-31T12:00:00Z")
            return None

    def texts(self, field: str, items_max: int, bytes_max: int) -> tuple[str, ...] | None:
        value = self._list(field, items_max)
        if value is None:
            return None
        for index, item in enumerate(value):
            if type(item) is not str or not _fits(item, bytes_max):
                self.wrong(f"{field}[{index}]", f"must be 1 to {bytes_max} bytes of printable text")
                return None
        return tuple(value)

    def lines(self, field: str, bytes_max: int) -> str | None:
        """A text that is written line by line, without line ends; 1 to ``bytes_max`` bytes."""
        value = self._take(field, list, "a list of lines")
        if value is None:
            return None
        for index, line in enumerate(value):
            if type(line) is not str or not line.isprintable():
                self.wrong(f"{field}[{index}]", "must be one line of printable text")
                return None
        text = "\n".join(value)
        if not 1 <= len(text.encode()) <= bytes_max:
            self.wrong(field, f"must be 1 to {bytes_max} bytes together")
            return None
        return text

    def objects(
        self, field: str, items_max: int, read: Callable[[Reader], T | None]
    ) -> tuple[list[T], bool]:
        """(the objects that could be read, whether that is all of them)."""
        value = self._list(field, items_max)
        if value is None:
            return [], False
        place = f"{self.place}." if self.place else ""
        found = []
        for index, item in enumerate(value):
            one = read(Reader(item, f"{place}{field}[{index}]", self.mistakes))
            if one is not None:
                found.append(one)
        return found, len(found) == len(value)

    def object(self, field: str) -> Reader:
        value = self._take(field, dict, "an object")
        return Reader(MISSING if value is None else value, field, self.mistakes)

    def rest(self) -> dict[str, Any]:
        """All fields, for a map whose names the reader does not know."""
        self._known.update(self._value)
        return self._value

    def has(self, field: str) -> bool:
        return field in self._value

    def end(self) -> None:
        """Note every field that nobody asked for."""
        for field in sorted(set(self._value) - self._known):
            self.wrong(field, "is not a known field")

    def _list(self, field: str, items_max: int) -> list[Any] | None:
        value: list[Any] | None = self._take(field, list, "a list")
        if value is not None and len(value) > items_max:
            self.wrong(field, f"has {len(value)} items, more than {items_max}")
            return None
        return value


def parse_json(raw: bytes, what: str, code: str) -> Any:
    """The JSON value. Raises InputError ``code`` when it is none, or holds a field twice."""

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) != len(pairs):
            raise ValueError("a field stands twice in one object")
        return found

    try:
        return json.loads(raw.decode(), object_pairs_hook=unique)
    except json.JSONDecodeError as error:
        raise InputError(
            code, f"{what}: not JSON: {error.msg} at line {error.lineno}, column {error.colno}"
        ) from None
    except UnicodeDecodeError:
        raise InputError(code, f"{what}: not UTF-8 text") from None
    except (ValueError, RecursionError) as error:
        raise InputError(code, f"{what}: not usable JSON: {error}") from None


def parse_time(text: str) -> int:
    """Milliseconds since 1970 of an ISO 8601 time with an offset. Raises ValueError."""
    moment = datetime.datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError("no offset from UTC")
    return (moment - EPOCH) // datetime.timedelta(milliseconds=1)


def format_time(time_ms: int) -> str:
    """ISO 8601 in UTC with milliseconds, such as 2026-01-31T12:00:00.000Z."""
    moment = EPOCH + datetime.timedelta(milliseconds=time_ms)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{time_ms % 1000:03d}Z"


def _fits(text: str, bytes_max: int) -> bool:
    # Printable text holds no lone surrogates, so that it always has UTF-8 bytes.
    return text.isprintable() and 1 <= len(text.encode()) <= bytes_max


def _kind(value: Any) -> str:
    names = {dict: "an object", list: "a list", str: "text", bool: "true or false", int: "a number"}
    return "null" if value is None else names.get(type(value), "a number with a fraction")
