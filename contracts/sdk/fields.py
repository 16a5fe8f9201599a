"""Field types: what an argument may be, said once.

A field checks and normalises a decoded value and describes itself as JSON Schema. Method
parameters and record fields name theirs by a type hint: ``Annotated[str, Text(20)]``, one of the
ready names below (``Gtin``, ``Gln``, ...), a plain ``int``, ``str``, ``bool`` or ``bytes``, a
:class:`~contracts.sdk.records.Record`, ``list[...]`` of any of these, or any of these ``| None``.
"""

from __future__ import annotations

import re
import types
import typing
from collections.abc import Callable
from functools import lru_cache
from typing import Annotated, Any, Final

from contracts.sdk import checks
from contracts.sdk.dates import checked_date, iso_date
from contracts.sdk.errors import BadValue
from contracts.sdk.values import plain

INT64_MAX: Final = 2**63 - 1
ITEMS_MAX: Final = 1024


class Field:
    """One kind of value."""

    def check(self, value: Any) -> Any:
        """The value in its one form. Raises BadValue saying what is wrong."""
        raise NotImplementedError

    def schema(self) -> dict[str, Any]:
        """JSON Schema of the argument as JSON."""
        raise NotImplementedError

    def store(self, value: Any) -> Any:
        """What stands in the state for a value of this field."""
        return value

    def load(self, stored: Any) -> Any:
        """The inverse of :meth:`store`."""
        return stored

    converts = False  # whether store and load do anything


def _wrong(expected: str, value: Any) -> BadValue:
    return BadValue(f"expected {expected}, got {type(value).__name__}")


class Int(Field):
    """A whole number from ``minimum`` to ``maximum``."""

    def __init__(self, minimum: int = -INT64_MAX - 1, maximum: int = INT64_MAX) -> None:
        self.minimum = minimum
        self.maximum = maximum

    def check(self, value: Any) -> int:
        if type(value) is not int:
            raise _wrong("a whole number", value)
        if not self.minimum <= value <= self.maximum:
            raise BadValue(f"must be from {self.minimum} to {self.maximum}")
        return value

    def schema(self) -> dict[str, Any]:
        return {"type": "integer", "minimum": self.minimum, "maximum": self.maximum}


class Bool(Field):
    """True or false."""

    def check(self, value: Any) -> bool:
        if type(value) is not bool:
            raise _wrong("true or false", value)
        return value

    def schema(self) -> dict[str, Any]:
        return {"type": "boolean"}


class Text(Field):
    """Text of ``minimum`` to ``maximum`` characters; ``pattern`` must match all of it."""

    def __init__(self, maximum: int, minimum: int = 1, *, pattern: str | None = None) -> None:
        self.maximum = maximum
        self.minimum = minimum
        self.pattern = pattern
        self._match = None if pattern is None else re.compile(pattern, re.ASCII).fullmatch

    def check(self, value: Any) -> str:
        if type(value) is not str:
            raise _wrong("text", value)
        if not self.minimum <= len(value) <= self.maximum:
            raise BadValue(f"must have {self.minimum} to {self.maximum} characters")
        if self._match is not None and self._match(value) is None:
            raise BadValue(f"must match {self.pattern}")
        return value

    def schema(self) -> dict[str, Any]:
        found: dict[str, Any] = {
            "type": "string",
            "minLength": self.minimum,
            "maxLength": self.maximum,
        }
        if self.pattern is not None:
            found["pattern"] = f"^(?:{self.pattern})$"
        return found


class Choice(Field):
    """One of the given words."""

    def __init__(self, *options: str) -> None:
        self.options = options

    def check(self, value: Any) -> str:
        if type(value) is not str:
            raise _wrong("text", value)
        if value not in self.options:
            raise BadValue(f"must be one of {', '.join(self.options)}")
        return value

    def schema(self) -> dict[str, Any]:
        return {"type": "string", "enum": list(self.options)}


class Blob(Field):
    """Bytes, ``minimum`` to ``maximum`` of them."""

    def __init__(self, maximum: int, minimum: int = 0) -> None:
        self.maximum = maximum
        self.minimum = minimum

    def check(self, value: Any) -> bytes:
        if type(value) is not bytes:
            raise _wrong("bytes", value)
        if not self.minimum <= len(value) <= self.maximum:
            raise BadValue(f"must have {self.minimum} to {self.maximum} bytes")
        return value

    def schema(self) -> dict[str, Any]:
        hex_text = {"type": "string", "pattern": "^(?:[0-9a-f]{2})*$"}
        return {
            "type": "object",
            "properties": {"hex": hex_text},
            "required": ["hex"],
            "bytesMin": self.minimum,
            "bytesMax": self.maximum,
        }


class Code(Field):
    """A code of the trades with its own check; ``normal`` gives its one form."""

    def __init__(
        self,
        what: str,
        valid: Callable[[str], bool],
        maximum: int,
        normal: Callable[[str], str] | None = None,
    ) -> None:
        self.what = what
        self.valid = valid
        self.maximum = maximum
        self.normal = normal

    def check(self, value: Any) -> str:
        if type(value) is not str:
            raise _wrong(f"a {self.what} as text", value)
        if len(value) > self.maximum or not self.valid(value):
            raise BadValue(f"not a valid {self.what}")
        return value if self.normal is None else self.normal(value)

    def schema(self) -> dict[str, Any]:
        return {"type": "string", "format": self.what, "maxLength": self.maximum}


class CalendarDate(Field):
    """A day: a whole number YYYYMMDD, or text YYYY-MM-DD. Kept as the number."""

    def check(self, value: Any) -> int:
        if type(value) is str:
            return iso_date(value)
        if type(value) is not int:
            raise _wrong("a date", value)
        return checked_date(value // 10_000, value // 100 % 100, value % 100)

    def schema(self) -> dict[str, Any]:
        return {"anyOf": [{"type": "string", "format": "date"}, {"type": "integer"}]}


class Data(Field):
    """Any canonical map."""

    def check(self, value: Any) -> dict[str, Any]:
        if type(value) is not dict:
            raise _wrong("a map", value)
        copy: dict[str, Any] = plain(value)[0]  # the transaction's own must not change
        return copy

    def schema(self) -> dict[str, Any]:
        return {"type": "object"}


class Maybe(Field):
    """A field's value, or None."""

    def __init__(self, field: Field) -> None:
        self.field = field
        self.converts = field.converts

    def check(self, value: Any) -> Any:
        return None if value is None else self.field.check(value)

    def schema(self) -> dict[str, Any]:
        return {"anyOf": [self.field.schema(), {"type": "null"}]}

    def store(self, value: Any) -> Any:
        return None if value is None else self.field.store(value)

    def load(self, stored: Any) -> Any:
        return None if stored is None else self.field.load(stored)


class Size:
    """How many items a list may have: ``Annotated[list[Gtin], Size(100)]``."""

    def __init__(self, maximum: int, minimum: int = 0) -> None:
        self.maximum = maximum
        self.minimum = minimum


class Items(Field):
    """A list of one field."""

    def __init__(self, field: Field, size: Size) -> None:
        self.field = field
        self.size = size
        self.converts = field.converts

    def check(self, value: Any) -> list[Any]:
        if type(value) is not list:
            raise _wrong("a list", value)
        if not self.size.minimum <= len(value) <= self.size.maximum:
            raise BadValue(f"must have {self.size.minimum} to {self.size.maximum} items")
        check = self.field.check
        found = []
        for index, item in enumerate(value):
            try:
                found.append(check(item))
            except BadValue as error:
                raise BadValue(f"item {index}: {error}") from None
        return found

    def schema(self) -> dict[str, Any]:
        return {
            "type": "array",
            "items": self.field.schema(),
            "minItems": self.size.minimum,
            "maxItems": self.size.maximum,
        }

    def store(self, value: Any) -> Any:
        return [self.field.store(item) for item in value]

    def load(self, stored: Any) -> Any:
        return [self.field.load(item) for item in stored]


def field_of(hint: Any) -> Field:
    """The field that a type hint names. Raises TypeError for a hint that names none."""
    if typing.get_origin(hint) is Annotated:
        inner, *notes = typing.get_args(hint)
        for note in notes:
            if isinstance(note, Field):
                return note
            if isinstance(note, Size):
                return Items(field_of(typing.get_args(inner)[0]), note)
        return field_of(inner)
    if typing.get_origin(hint) is list:
        return Items(field_of(typing.get_args(hint)[0]), Size(ITEMS_MAX))
    if typing.get_origin(hint) in (types.UnionType, typing.Union):
        options = [option for option in typing.get_args(hint) if option is not type(None)]
        if len(options) == 1:
            return Maybe(field_of(options[0]))
    if typing.get_origin(hint) is dict:
        return Data()
    if hint in _PLAIN:
        return _PLAIN[hint]
    as_field = getattr(hint, "as_field", None)
    if as_field is not None:
        found = as_field()
        assert isinstance(found, Field)
        return found
    raise TypeError(f"{hint!r} names no field type")


_PLAIN: Final[dict[Any, Field]] = {
    int: Int(),
    str: Text(1024, 0),
    bool: Bool(),
    bytes: Blob(4096),
}


@lru_cache(maxsize=1 << 12)
def organisation_id_valid(text: str) -> bool:
    """A GLN, an LEI or a BIC."""
    return checks.gln_valid(text) or checks.lei_valid(text) or checks.bic_valid(text)


# GTINs of all lengths are one number, kept with 14 digits.
Gtin = Annotated[str, Code("GTIN", checks.gtin_valid, 14, lambda text: text.zfill(14))]
Gln = Annotated[str, Code("GLN", checks.gln_valid, 13)]
Sscc = Annotated[str, Code("SSCC", checks.sscc_valid, 18)]
Lei = Annotated[str, Code("LEI", checks.lei_valid, 20)]
Bic = Annotated[str, Code("BIC", checks.bic_valid, 11)]
OrganisationId = Annotated[str, Code("GLN, LEI or BIC", organisation_id_valid, 20)]
DocumentHash = Annotated[bytes, Blob(32, 32)]
PublicKey = Annotated[bytes, Blob(32, 32)]
Date = Annotated[int, CalendarDate()]
Timestamp = Annotated[int, Int(0)]  # milliseconds since 1970, UTC
