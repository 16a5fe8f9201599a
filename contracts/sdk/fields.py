"""Field types: what an argument may be, said once.

A field checks and normalises a decoded value and describes itself as JSON Schema. Method
parameters and record fields name theirs by a type hint: ``Annotated[str, Text(20)]``, one of the
ready names below (``Gtin``, ``Gln``, ...), a plain ``int``, ``str``, ``bool`` or ``bytes``, a
:class:`~contracts.sdk.records.Record`, ``list[...]`` of any of these, or any of these ``| None``.

Whatever canonical value comes in, a check gives the value's one form or raises BadValue. A
declaration that makes no sense raises TypeError when the contract is loaded.
"""

from __future__ import annotations

import types
import typing
from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Annotated, Any, ClassVar, Final, Literal

from consensus.primitives.codec import INT_MAX, INT_MIN
from contracts.sdk import checks
from contracts.sdk.dates import TIME_MS_MAX, checked_date, iso_date, iso_time
from contracts.sdk.errors import BadValue, ContractError
from contracts.sdk.patterns import Pattern
from contracts.sdk.values import plain

INT64_MAX: Final = 2**63 - 1
ITEMS_MAX: Final = 1024
TEXT_MAX: Final = 1 << 20
DEPTH_MAX: Final = 16  # lists and records within each other
WEIGHT_MAX: Final = 2_000  # fields within a field, each as often as it is written out in a schema
Visibility = Literal["public", "party", "personal"]

_KINDS: Final = {
    bool: "true or false",
    bytes: "bytes",
    dict: "a map",
    int: "a whole number",
    list: "a list",
    str: "text",
    type(None): "nothing",
}


class Field:
    """One kind of value."""

    visibility: ClassVar[Visibility] = "public"
    depth = 0  # lists and records within each other
    weight = 1  # fields within it, itself included: what its schema takes, about

    def check(self, value: Any) -> Any:
        """The value in its one form. Raises BadValue saying what is wrong."""
        raise NotImplementedError

    def schema(self) -> dict[str, Any]:
        """JSON Schema of the argument as JSON."""
        raise NotImplementedError

    def example(self) -> Any:
        """A canonical value that the field takes."""
        raise NotImplementedError

    def store(self, value: Any) -> Any:
        """What stands in the state for a value of this field."""
        return value

    def load(self, stored: Any) -> Any:
        """The inverse of :meth:`store`."""
        return stored

    converts = False  # whether store and load do anything


def wrong(expected: str, value: Any) -> BadValue:
    """What to raise for a value of another type."""
    return BadValue(f"expected {expected}, got {_KINDS.get(type(value), 'something else')}")


def around(fields: Iterable[Field]) -> tuple[int, int]:
    """Depth and weight of what holds these fields. Raises TypeError beyond what schemas show."""
    depth, weight = 1, 1
    for field in fields:
        depth = max(depth, 1 + field.depth)
        weight += field.weight
    if depth > DEPTH_MAX:
        raise TypeError(f"lists and records nested deeper than {DEPTH_MAX}")
    if weight > WEIGHT_MAX:
        raise TypeError(f"more than {WEIGHT_MAX} fields within each other")
    return depth, weight


def _bounds(what: str, low: Any, high: Any, least: int, most: int) -> None:
    """Refuse bounds that are no whole numbers, out of order or beyond what there is."""
    if type(low) is not int or type(high) is not int or not least <= low <= high <= most:
        raise TypeError(f"{what}: bounds are whole numbers in order, from {least} to {most}")


def _span(low: int, high: int) -> str:
    return str(low) if low == high else f"{low} to {high}"


class Int(Field):
    """A whole number from ``minimum`` to ``maximum``."""

    def __init__(self, minimum: int = -INT64_MAX - 1, maximum: int = INT64_MAX) -> None:
        _bounds("Int", minimum, maximum, INT_MIN, INT_MAX)
        self.minimum = minimum
        self.maximum = maximum

    def check(self, value: Any) -> int:
        if type(value) is not int:
            raise wrong("a whole number", value)
        if not self.minimum <= value <= self.maximum:
            raise BadValue(f"must be from {self.minimum} to {self.maximum}")
        return value

    def schema(self) -> dict[str, Any]:
        return {"type": "integer", "minimum": self.minimum, "maximum": self.maximum}

    def example(self) -> int:
        return min(max(1, self.minimum), self.maximum)


class Bool(Field):
    """True or false."""

    def check(self, value: Any) -> bool:
        if type(value) is not bool:
            raise wrong("true or false", value)
        return value

    def schema(self) -> dict[str, Any]:
        return {"type": "boolean"}

    def example(self) -> bool:
        return True


class Text(Field):
    """Text of ``minimum`` to ``maximum`` characters; ``pattern`` must match all of it.

    Patterns are of the language of :mod:`contracts.sdk.patterns`.
    """

    def __init__(self, maximum: int, minimum: int = 1, *, pattern: str | None = None) -> None:
        _bounds("Text", minimum, maximum, 0, TEXT_MAX)
        self.maximum = maximum
        self.minimum = minimum
        self.pattern = None if pattern is None else Pattern(pattern)
        if self.pattern is not None and self.pattern.shortest > maximum:
            raise TypeError(f"Text: no text of {maximum} characters matches {pattern}")
        self.weight = 1 + len(pattern or "") // 64

    def check(self, value: Any) -> str:
        if type(value) is not str:
            raise wrong("text", value)
        if not self.minimum <= len(value) <= self.maximum:
            raise BadValue(f"must have {_span(self.minimum, self.maximum)} characters")
        if self.pattern is not None and self.pattern.matches(value) is None:
            raise BadValue(f"must match {self.pattern.source}")
        return value

    def schema(self) -> dict[str, Any]:
        found: dict[str, Any] = {
            "type": "string",
            "minLength": self.minimum,
            "maxLength": self.maximum,
        }
        if self.pattern is not None:
            found["pattern"] = f"^(?:{self.pattern.published})$"
        return found

    def example(self) -> str:
        if self.pattern is not None:
            return self.pattern.example(self.minimum)
        return "text"[: self.maximum].ljust(self.minimum, ".")


class Choice(Field):
    """One of the given words."""

    def __init__(self, *options: str) -> None:
        if not options or not {str}.issuperset(map(type, options)):
            raise TypeError("Choice: the options are words")
        self.options = options
        self.weight = 1 + sum(map(len, options)) // 64

    def check(self, value: Any) -> str:
        if type(value) is not str:
            raise wrong("text", value)
        if value not in self.options:
            raise BadValue(f"must be one of {', '.join(self.options)}")
        return value

    def schema(self) -> dict[str, Any]:
        return {"type": "string", "enum": list(self.options)}

    def example(self) -> str:
        return self.options[0]


class Blob(Field):
    """Bytes, ``minimum`` to ``maximum`` of them."""

    def __init__(self, maximum: int, minimum: int = 0) -> None:
        _bounds("Blob", minimum, maximum, 0, TEXT_MAX)
        self.maximum = maximum
        self.minimum = minimum

    def check(self, value: Any) -> bytes:
        if type(value) is not bytes:
            raise wrong("bytes", value)
        if not self.minimum <= len(value) <= self.maximum:
            raise BadValue(f"must have {_span(self.minimum, self.maximum)} bytes")
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

    def example(self) -> bytes:
        return bytes(range(256))[: max(self.minimum, min(self.maximum, 4))].ljust(self.minimum)


class Code(Field):
    """A code of the trades with its own check; ``form`` says what one looks like.

    ``normal`` gives its one form where it can be written in several.
    """

    def __init__(
        self,
        what: str,
        valid: Callable[[str], bool],
        maximum: int,
        form: str,
        example: str,
        normal: Callable[[str], str] | None = None,
    ) -> None:
        self.what = what
        self.valid = valid
        self.maximum = maximum
        self.form = form
        self.normal = normal
        self._example = example

    def check(self, value: Any) -> str:
        if type(value) is not str:
            raise wrong(f"a {self.what} as text", value)
        if len(value) > self.maximum or not self.valid(value):
            raise BadValue(f"not a valid {self.what}: {self.form}")
        return value if self.normal is None else self.normal(value)

    def schema(self) -> dict[str, Any]:
        return {"type": "string", "format": self.what, "maxLength": self.maximum}

    def example(self) -> str:
        return self._example


class CalendarDate(Field):
    """A day: a whole number YYYYMMDD, or text YYYY-MM-DD. Kept as the number."""

    def check(self, value: Any) -> int:
        if type(value) is str:
            return iso_date(value)
        if type(value) is not int:
            raise wrong("a date", value)
        return checked_date(value // 10_000, value // 100 % 100, value % 100)

    def schema(self) -> dict[str, Any]:
        return {"anyOf": [{"type": "string", "format": "date"}, {"type": "integer"}]}

    def example(self) -> str:
        return "2030-01-31"


class Moment(Field):
    """A moment: milliseconds since 1970 UTC, or text 2030-01-31T12:00:00Z. Kept as the number."""

    def check(self, value: Any) -> int:
        if type(value) is str:
            return iso_time(value)
        if type(value) is not int:
            raise wrong("a time", value)
        if not 0 <= value <= TIME_MS_MAX:
            raise BadValue("a time is milliseconds since 1970, to the year 9999")
        return value

    def schema(self) -> dict[str, Any]:
        number = {"type": "integer", "minimum": 0, "maximum": TIME_MS_MAX}
        return {"anyOf": [{"type": "string", "format": "date-time"}, number]}

    def example(self) -> str:
        return "2030-01-31T12:00:00Z"


class Data(Field):
    """Any canonical map."""

    def check(self, value: Any) -> dict[str, Any]:
        if type(value) is not dict:
            raise wrong("a map", value)
        try:
            copy: dict[str, Any] = plain(value)[0]  # the transaction's own must not change
        except ContractError as error:
            raise BadValue(error.message) from None
        return copy

    def schema(self) -> dict[str, Any]:
        return {"type": "object"}

    def example(self) -> dict[str, Any]:
        return {}


class Maybe(Field):
    """A field's value, or None."""

    def __init__(self, field: Field) -> None:
        self.field = field
        self.converts = field.converts
        self.depth, self.weight = field.depth, 1 + field.weight

    def check(self, value: Any) -> Any:
        return None if value is None else self.field.check(value)

    def schema(self) -> dict[str, Any]:
        return {"anyOf": [self.field.schema(), {"type": "null"}]}

    def example(self) -> Any:
        return self.field.example()

    def store(self, value: Any) -> Any:
        return None if value is None else self.field.store(value)

    def load(self, stored: Any) -> Any:
        return None if stored is None else self.field.load(stored)


class Size:
    """How many items a list may have: ``Annotated[list[Gtin], Size(100)]``."""

    def __init__(self, maximum: int, minimum: int = 0) -> None:
        _bounds("Size", minimum, maximum, 0, ITEMS_MAX)
        self.maximum = maximum
        self.minimum = minimum


class Items(Field):
    """A list of one field."""

    def __init__(self, field: Field, size: Size) -> None:
        self.field = field
        self.size = size
        self.converts = field.converts
        self.depth, self.weight = around((field,))

    def check(self, value: Any) -> list[Any]:
        if type(value) is not list:
            raise wrong("a list", value)
        if not self.size.minimum <= len(value) <= self.size.maximum:
            raise BadValue(f"must have {_span(self.size.minimum, self.size.maximum)} items")
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

    def example(self) -> list[Any]:
        return [self.field.example()] * max(self.size.minimum, min(self.size.maximum, 1))

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
            if not isinstance(note, Size) or typing.get_origin(inner) is not list:
                raise TypeError(f"{note!r} says nothing about a {inner!r}")
            return Items(field_of(typing.get_args(inner)[0]), note)
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
    as_field = getattr(hint, "__hansa_field__", None)
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


def _code(valid: Callable[[str], bool], maximum: int, what: str, form: str, example: str) -> Code:
    return Code(what, valid, maximum, form, example)


# GTINs of all lengths are one number, kept with 14 digits.
_GTIN: Final = Code(
    "GTIN",
    checks.gtin_valid,
    14,
    "8, 12, 13 or 14 digits, the last one a check digit",
    "09521321000018",
    lambda text: text.zfill(14),
)
Gtin = Annotated[str, _GTIN]
Gln = Annotated[
    str,
    _code(checks.gln_valid, 13, "GLN", "13 digits, the last one a check digit", "9521321000018"),
]
Sscc = Annotated[
    str,
    _code(checks.sscc_valid, 18, "SSCC", "18 digits, the last one a check digit",
          "106141412345678908"),
]  # fmt: skip
Lei = Annotated[
    str,
    _code(checks.lei_valid, 20, "LEI", "18 letters and digits and two check digits",
          "529900T8BM49AURSDO55"),
]  # fmt: skip
Bic = Annotated[
    str,
    _code(checks.bic_valid, 11, "BIC", "8 or 11 letters and digits with a country at the fifth",
          "DEUTDEFF"),
]  # fmt: skip
Iban = Annotated[
    str,
    _code(checks.iban_valid, 34, "IBAN",
          "country, two check digits and account, in the country's length, without spaces",
          "NL13RABO0377815500"),
]  # fmt: skip
Currency = Annotated[
    str,
    _code(
        checks.currency_valid, 3, "currency", "three letters of ISO 4217 with minor units", "EUR"
    ),
]
UnLocode = Annotated[
    str,
    _code(checks.unlocode_valid, 5, "UN/LOCODE", "a country and three of A-Z and 2-9", "NLRTM"),
]
ContainerNumber = Annotated[
    str,
    _code(checks.container_valid, 11, "container number",
          "four letters, the fourth U, J or Z, six digits and a check digit", "CSQU3054383"),
]  # fmt: skip
OrganisationId = Annotated[
    str,
    _code(organisation_id_valid, 20, "GLN, LEI or BIC", "of 13, 20 or 8 and 11 characters",
          "9521321000018"),
]  # fmt: skip
DocumentHash = Annotated[bytes, Blob(32, 32)]
PublicKey = Annotated[bytes, Blob(32, 32)]
Date = Annotated[int, CalendarDate()]
Timestamp = Annotated[int, Moment()]
