"""The declared methods of a contract class, ready to run and to publish."""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable
from typing import Any, Final

from consensus.primitives.codec import data_to_json
from contracts.sdk.contract import MARK, Contract, Mark
from contracts.sdk.errors import BadValue, ContractError
from contracts.sdk.fields import Field, around, field_of
from contracts.sdk.records import plan_of
from contracts.sdk.state import Map
from contracts.sdk.values import plain

SCHEMA_WEIGHT_MAX: Final = 10_000  # of one contract: what everybody is sent who asks for schemas

_REQUIRED: Final = inspect.Parameter.empty


class Method:
    """A declared method, its argument checks made once. Raises TypeError for a wrong one."""

    def __init__(self, contract: type[Contract], function: Callable[..., Any]) -> None:
        self.contract = contract
        self.function = function
        self.name = function.__name__
        self.mark: Mark = getattr(function, MARK)
        self.kind = self.mark.kind
        self.role_set = frozenset(self.mark.roles)
        mark = self.mark
        self.has_conditions = mark != Mark(self.kind, meaning=mark.meaning, records=mark.records)
        hints = typing.get_type_hints(function, include_extras=True)
        self.fields: dict[str, Field] = {}
        self.defaults: dict[str, Any] = {}
        for parameter in list(inspect.signature(function).parameters.values())[1:]:
            if parameter.kind is not parameter.POSITIONAL_OR_KEYWORD:
                self._wrong(f"{parameter} is not a plain argument")
            if parameter.name not in hints:
                self._wrong(f"{parameter.name} has no type")
            self.fields[parameter.name] = field_of(hints[parameter.name])
            if parameter.default is not _REQUIRED:
                self.defaults[parameter.name] = parameter.default
        self.weight = around(self.fields.values())[1]
        self._checks = {name: field.check for name, field in self.fields.items()}
        self._needed = self.fields.keys() - self.defaults.keys()
        if self.kind == "migrate" and list(self.fields) != ["from_version"]:
            self._wrong("a migration takes (self, from_version: int)")
        if self.mark.own is not None:
            self._check_own()

    @property
    def roles(self) -> tuple[str, ...]:
        return self.mark.roles

    def _wrong(self, what: str) -> typing.NoReturn:
        raise TypeError(f"{self.contract.name}.{self.name}: {what}")

    def _check_own(self) -> None:
        assert self.mark.own is not None
        name, key, field = self.mark.own
        of = getattr(self.contract, name, None)
        if not isinstance(of, Map) or of.record is None:
            self._wrong(f"own: {name} is no map of records")
        if len(key) != len(of.key) or any(part not in self.fields for part in key):
            self._wrong(f"own: the key of {name} must be made of arguments")
        if any(part in self.defaults for part in key):
            self._wrong("own: the arguments that name the record have no defaults")
        if field not in plan_of(of.record).fields:
            self._wrong(f"own: {name} has no field {field}")

    def checked(self, args: dict[str, Any]) -> dict[str, Any]:
        """The arguments in their one form. Refuses with BAD_ARGUMENT naming the first bad one."""
        checks = self._checks
        found = {}
        for name, value in args.items():
            check = checks.get(name)
            if check is None:
                self._bad(name[:64], "there is no such argument")
            try:
                found[name] = check(value)
            except BadValue as error:
                self._bad(name, str(error))
        if len(found) < len(checks):
            for name in sorted(self._needed - found.keys()):
                self._bad(name, "is missing")
        return found

    def _bad(self, argument: str, reason: str) -> typing.NoReturn:
        raise ContractError(
            "BAD_ARGUMENT", f"{self.contract.name}.{self.name}: {argument}: {reason}"
        )

    def schema(self) -> dict[str, Any]:
        """The published form: kind, text, who may call, what the signature means (empty but for
        calls), and a JSON Schema of the arguments.

        ``own`` is [map, argument or arguments, field] or None.
        """
        properties = {}
        for name, field in self.fields.items():
            properties[name] = field.schema()
            if name in self.defaults:
                properties[name]["default"] = data_to_json(plain(self.defaults[name])[0])
        own = self.mark.own
        return {
            "kind": self.kind,
            "doc": inspect.getdoc(self.function) or "",
            "roles": list(self.mark.roles),
            "own": own and [own.map, own.key[0] if len(own.key) == 1 else list(own.key), own.field],
            "attributes": [list(pair) for pair in self.mark.attributes],
            "contracts": list(self.mark.contracts),
            "meaning": self.mark.meaning,
            "records": self.mark.records,
            "args": {
                "type": "object",
                "properties": properties,
                "required": [name for name in self.fields if name not in self.defaults],
                "additionalProperties": False,
            },
        }


def _check_records(check: Method, recording: Method | None) -> None:
    wanted = {*check.fields, "verdict", "findings"}
    if recording is None or recording.kind != "call":
        raise TypeError(f"{check.contract.name}.{check.name}: records names no call")
    if not wanted <= recording.fields.keys() or not recording._needed <= wanted:
        raise TypeError(
            f"{check.contract.name}.{check.name}: {recording.name} takes its arguments, verdict"
            " and findings"
        )


def methods_of(contract: type[Contract]) -> dict[str, Method]:
    """The declared methods by name."""
    found = {}
    for name in dir(contract):
        function = inspect.getattr_static(contract, name)
        if hasattr(function, MARK):
            found[name] = Method(contract, function)
    for method in found.values():
        if method.mark.records:
            _check_records(method, found.get(method.mark.records))
    if sum(method.weight for method in found.values()) > SCHEMA_WEIGHT_MAX:
        raise TypeError(f"{contract.name}: more than {SCHEMA_WEIGHT_MAX} fields of arguments")
    for kind in ("genesis", "migrate"):
        if sum(method.kind == kind for method in found.values()) > 1:
            raise TypeError(f"{contract.name}: more than one {kind} method")
    return found
