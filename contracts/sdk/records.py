"""Records: named values as state keeps them and calls take them."""

from __future__ import annotations

import dataclasses
import operator
import typing
from collections.abc import Callable
from typing import Annotated, Any, ClassVar, Self, dataclass_transform

from contracts.sdk.errors import BadValue
from contracts.sdk.fields import Field, Int, Text, field_of


class RecordField(Field):
    """A record as an argument: a map of its fields, those with defaults optional."""

    converts = True

    def __init__(self, record: type[Record]) -> None:
        self.record = record
        self._needed = frozenset(
            entry.name
            for entry in dataclasses.fields(record)  # type: ignore[arg-type]
            if entry.default is dataclasses.MISSING and entry.default_factory is dataclasses.MISSING
        )

    def check(self, value: Any) -> Record:
        if type(value) is not dict:
            raise BadValue(f"expected a map, got {type(value).__name__}")
        fields = self.record.fields()
        for name in sorted(self._needed - value.keys()):
            raise BadValue(f"{name} is missing")
        checked = {}
        for name, item in value.items():
            field = fields.get(name)
            if field is None:
                raise BadValue(f"unknown field {name[:64]}")
            try:
                checked[name] = field.check(item)
            except BadValue as error:
                raise BadValue(f"{name}: {error}") from None
        return self.record(**checked)

    def schema(self) -> dict[str, Any]:
        return {
            "type": "object",
            "properties": {name: field.schema() for name, field in self.record.fields().items()},
            "required": sorted(self._needed),
            "additionalProperties": False,
        }

    def store(self, value: Record) -> Any:
        return value.to_stored()

    def load(self, stored: Any) -> Record:
        return self.record.from_stored(stored)


@dataclass_transform()
class Record:
    """A value with typed fields. State keeps it as the list of its fields in order.

    A later version may append fields with defaults: older, shorter lists still load.
    """

    _fields: ClassVar[dict[str, Field] | None] = None
    _values: ClassVar[Callable[[Any], Any] | None] = None
    _converts: ClassVar[bool] = False

    def __init_subclass__(cls) -> None:
        dataclasses.dataclass(cls)
        cls._fields = None
        cls._values = None

    @classmethod
    def fields(cls) -> dict[str, Field]:
        """Field name to field, in order."""
        if cls._fields is None:
            hints = typing.get_type_hints(cls, include_extras=True)
            names = [entry.name for entry in dataclasses.fields(cls)]  # type: ignore[arg-type]
            found = {name: field_of(hints[name]) for name in names}
            cls._converts = any(field.converts for field in found.values())
            getter = operator.attrgetter(*names)
            cls._values = getter if len(names) > 1 else lambda record: (getter(record),)
            cls._fields = found
        return cls._fields

    @classmethod
    def field_names(cls) -> list[str]:
        return list(cls.fields())

    @classmethod
    def as_field(cls) -> Field:
        return RecordField(cls)

    def to_stored(self) -> list[Any]:
        cls = type(self)
        fields = cls.fields()
        assert cls._values is not None
        values = list(cls._values(self))
        if not cls._converts:
            return values
        return [field.store(value) for field, value in zip(fields.values(), values, strict=True)]

    @classmethod
    def from_stored(cls, stored: list[Any]) -> Self:
        fields = cls.fields()
        if not cls._converts:
            return cls(*stored)
        return cls(
            *[field.load(value) for field, value in zip(fields.values(), stored, strict=False)]
        )


class Quantity(Record):
    """A whole number of a unit. ``unit`` is a UN/ECE Recommendation 20 code: EA, GRM, MLT, ..."""

    amount: Annotated[int, Int(1, 10**15)]
    unit: Annotated[str, Text(3, 2, pattern="[A-Z0-9]+")] = "EA"
