"""Records: named values as state keeps them and calls take them."""

from __future__ import annotations

import dataclasses
import operator
import typing
from collections.abc import Callable, Sequence
from typing import Annotated, Any, ClassVar, Final, dataclass_transform

from consensus.primitives.codec import data_to_json
from contracts.sdk.errors import BadValue
from contracts.sdk.fields import Field, Int, Text, around, field_of, wrong
from contracts.sdk.values import plain

_REQUIRED: Final = dataclasses.MISSING


class Sealed(type):
    """Type of classes whose attributes are never set once the class is made: what contract code
    can reach must not carry anything from one call to the next."""

    def __setattr__(cls, name: str, value: Any) -> None:
        raise AttributeError(f"{cls.__name__} does not change")

    def __delattr__(cls, name: str) -> None:
        raise AttributeError(f"{cls.__name__} does not change")


@dataclass_transform()
class RecordType(Sealed):
    """Makes a slotted class of annotated fields, with the usual ``__init__`` and ``==``."""

    __hansa_names__: tuple[str, ...]
    __hansa_defaults__: dict[str, Any]

    def __new__(
        mcs, name: str, bases: tuple[type, ...], namespace: dict[str, Any], /, **options: Any
    ) -> Any:
        defaults: dict[str, Any] = {}
        for base in bases:
            defaults |= getattr(base, "__hansa_defaults__", {})
        own = [field for field, hint in _annotations(namespace).items() if not _is_class_var(hint)]
        for field in own:
            if field in defaults:
                raise TypeError(f"{name}.{field} is declared by its base")
            defaults[field] = namespace.pop(field, _REQUIRED)
        made = dataclasses.make_dataclass(
            name,
            [(field, Any, dataclasses.field(default=value)) for field, value in defaults.items()],
        )
        for method in ("__init__", "__repr__", "__eq__"):
            namespace.setdefault(method, made.__dict__[method])
        namespace["__slots__"] = tuple(own)
        namespace["__hash__"] = None
        namespace["__hansa_names__"] = tuple(defaults)
        namespace["__hansa_defaults__"] = defaults
        namespace["__hansa_plan__"] = None
        return super().__new__(mcs, name, bases, namespace, **options)


def _annotations(namespace: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = namespace.get("__annotations__", {})
    return found


def _is_class_var(hint: Any) -> bool:
    text = hint if isinstance(hint, str) else str(hint)
    return text.removeprefix("typing.").startswith("ClassVar")


class Record(metaclass=RecordType):
    """A value with typed fields. State keeps it as the list of its fields in order.

    A later version may append fields with defaults: older, shorter lists still load.
    """

    __hansa_plan__: ClassVar[RecordPlan | None]

    @classmethod
    def __hansa_field__(cls) -> Field:
        return RecordField(cls)


class RecordPlan:
    """How records of one class are checked, kept and read; made once per class.

    ``values`` is the tuple of the fields' values. Unless one of the fields ``converts``, that is
    what is stored; else ``store`` makes it of them. ``load`` gives the record of a stored list.
    """

    def __init__(self, record: type[Record]) -> None:
        hints = typing.get_type_hints(record, include_extras=True)
        self.record = record
        self.names: tuple[str, ...] = record.__hansa_names__
        self.fields = {name: field_of(hints[name]) for name in self.names}
        self.needed = frozenset(
            name for name, value in record.__hansa_defaults__.items() if value is _REQUIRED
        )
        self.values: Callable[[Any], tuple[Any, ...]] = _getter(self.names)
        self.converts = any(field.converts for field in self.fields.values())
        self.depth, self.weight = around(self.fields.values())

    def store(self, values: Sequence[Any]) -> Sequence[Any]:
        if not self.converts:
            return values
        return [f.store(item) for f, item in zip(self.fields.values(), values, strict=True)]

    def load(self, stored: list[Any]) -> Any:
        if not self.converts:
            return self.record(*stored)
        fields = self.fields.values()
        return self.record(*[f.load(item) for f, item in zip(fields, stored, strict=False)])


def _getter(names: tuple[str, ...]) -> Callable[[Any], tuple[Any, ...]]:
    if not names:
        return lambda _: ()
    getter = operator.attrgetter(*names)
    return getter if len(names) > 1 else lambda record: (getter(record),)


def plan_of(record: type[Record]) -> RecordPlan:
    """The class's plan. Raises TypeError where a hint names no field."""
    plan = record.__dict__["__hansa_plan__"]
    if plan is None:
        plan = RecordPlan(record)
        type.__setattr__(record, "__hansa_plan__", plan)
    return plan  # type: ignore[no-any-return]


class RecordField(Field):
    """A record as an argument: a map of its fields, those with defaults optional."""

    converts = True

    def __init__(self, record: type[Record]) -> None:
        self.record = record
        plan = plan_of(record)
        self.depth, self.weight = plan.depth, plan.weight

    def check(self, value: Any) -> Record:
        if type(value) is not dict:
            raise wrong("a map", value)
        plan = plan_of(self.record)
        fields = plan.fields
        checked = {}
        for name, item in value.items():
            field = fields.get(name)
            if field is None:
                raise BadValue(f"unknown field {name[:64]}")
            try:
                checked[name] = field.check(item)
            except BadValue as error:
                raise BadValue(f"{name}: {error}") from None
        if len(checked) < len(fields):
            for name in sorted(plan.needed - checked.keys()):
                raise BadValue(f"{name} is missing")
        return self.record(**checked)

    def schema(self) -> dict[str, Any]:
        plan = plan_of(self.record)
        properties = {name: field.schema() for name, field in plan.fields.items()}
        for name, value in self.record.__hansa_defaults__.items():
            if name not in plan.needed:
                properties[name]["default"] = data_to_json(plain(value)[0])
        return {
            "type": "object",
            "properties": properties,
            "required": sorted(plan.needed),
            "additionalProperties": False,
        }

    def example(self) -> dict[str, Any]:
        plan = plan_of(self.record)
        return {name: plan.fields[name].example() for name in plan.names if name in plan.needed}

    def store(self, value: Any) -> Any:
        # Contract code may have put any value there.
        if not isinstance(value, self.record):
            raise BadValue(f"expected a {self.record.__name__}, got {type(value).__name__}")
        plan = plan_of(type(value))
        return plan.store(plan.values(value))

    def load(self, stored: Any) -> Record:
        loaded: Record = plan_of(self.record).load(stored)
        return loaded


class Quantity(Record):
    """A whole number of a unit. ``unit`` is a UN/ECE Recommendation 20 code: EA, GRM, MLT, ..."""

    amount: Annotated[int, Int(1, 10**15)]
    unit: Annotated[str, Text(3, 2, pattern="[A-Z0-9]+")] = "EA"
