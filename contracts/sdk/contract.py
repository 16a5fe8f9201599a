"""Contract modules: classes of typed methods over typed state.

::

    class Greeter(Contract):
        name = "greeter"

        greetings = Map(str, key=("organisation",))

        @call(roles=("manufacturer",))
        def greet(self, text: Annotated[str, Text(80)]) -> None:
            self.greetings.put(self.ctx.organisation, text)
            self.emit("Greeted", organisation=self.ctx.organisation)

        @query
        def greeting(self, organisation: OrganisationId) -> str | None:
            return self.greetings.get(organisation)

A method's signature is the one declaration of its arguments: it checks them, and it is what the
schema publishes. Every call gets a fresh instance: what shall last stands in maps and counters.
"""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable, Iterator
from typing import Any, ClassVar, Final, Literal, NamedTuple, Protocol, TypeVar, overload

from contracts.sdk.dates import date_of
from contracts.sdk.errors import BadValue, ContractError, refuse
from contracts.sdk.fields import Field, field_of

Kind = Literal["call", "query", "genesis"]
F = TypeVar("F", bound=Callable[..., Any])

_MARK: Final = "hansa_method"
_REQUIRED: Final = inspect.Parameter.empty


class Context(NamedTuple):
    """What a call may know of the world.

    ``caller`` is the key that signed the transaction; ``organisation`` and ``roles`` are that
    key's, by the identity contract, at this very moment. ``callers`` are the contracts that led
    here, outermost first: empty when the transaction itself made the call. ``tx_index`` is the
    transaction's place in the block, ``call_index`` counts its calls, of every contract.
    A query has no caller: empty bytes, no organisation, no roles.
    """

    chain_id: bytes
    height: int
    time_ms: int
    caller: bytes
    organisation: str
    roles: tuple[str, ...]
    tx_id: bytes
    tx_index: int
    call_index: int
    callers: tuple[str, ...]

    @property
    def today(self) -> int:
        """The block's UTC date, YYYYMMDD."""
        return date_of(self.time_ms)


class CallHost(Protocol):
    """What the runtime offers to one running call."""

    @property
    def ctx(self) -> Context: ...
    def read(self, key: bytes) -> Any: ...
    def write(self, key: bytes, value: Any) -> None: ...
    def delete(self, key: bytes) -> None: ...
    def scan(self, start: bytes, stop: bytes) -> Iterator[tuple[bytes, Any]]: ...
    def emit(self, name: str, fields: dict[str, Any]) -> None: ...
    def invoke(self, contract: str, method: str, args: dict[str, Any]) -> Any: ...


class Contract:
    """Base of all contract modules."""

    name: ClassVar[str]
    version: ClassVar[int] = 1

    def __init__(self, host: CallHost) -> None:
        self.host = host
        self.ctx = host.ctx

    def emit(self, name: str, /, **fields: Any) -> None:
        """Tell the world: an event with these fields."""
        self.host.emit(name, fields)

    def invoke(self, contract: str, method: str, /, **args: Any) -> Any:
        """Call a method of another contract, in the same transaction and step budget.

        A refusal there undoes what it did there and is raised here as ContractError.
        """
        return self.host.invoke(contract, method, args)

    def require(self, *roles: str) -> None:
        """Refuse with NOT_AUTHORISED unless the caller has one of the roles."""
        require_role(self.ctx, roles)


def require_role(ctx: Context, roles: tuple[str, ...]) -> None:
    """Refuse with NOT_AUTHORISED unless the caller has one of the roles."""
    for role in roles:
        if role in ctx.roles:
            return
    refuse("NOT_AUTHORISED", f"needs the role {' or '.join(roles)}")


def _marker(kind: Kind, roles: tuple[str, ...]) -> Callable[[F], F]:
    def mark(function: F) -> F:
        setattr(function, _MARK, (kind, roles))
        return function

    return mark


@overload
def call(function: F, /) -> F: ...
@overload
def call(*, roles: tuple[str, ...]) -> Callable[[F], F]: ...
def call(function: F | None = None, /, *, roles: tuple[str, ...] = ()) -> F | Callable[[F], F]:
    """Marks a method that transactions call. With ``roles``, only callers who have one of them."""
    mark = _marker("call", roles)
    return mark if function is None else mark(function)


def query(function: F, /) -> F:
    """Marks a method that anyone may ask and that changes nothing."""
    return _marker("query", ())(function)


def genesis(function: F, /) -> F:
    """Marks the one method that fills the contract's state in block 0."""
    return _marker("genesis", ())(function)


class Method:
    """A declared method, its argument checks made once."""

    def __init__(self, contract: type[Contract], function: Callable[..., Any]) -> None:
        self.contract = contract
        self.function = function
        self.name = function.__name__
        self.kind: Kind
        self.kind, self.roles = getattr(function, _MARK)
        hints = typing.get_type_hints(function, include_extras=True)
        self.fields: dict[str, Field] = {}
        self.defaults: dict[str, Any] = {}
        for parameter in list(inspect.signature(function).parameters.values())[1:]:
            if parameter.kind is not parameter.POSITIONAL_OR_KEYWORD:
                raise TypeError(f"{contract.name}.{self.name}: {parameter} is not a plain argument")
            self.fields[parameter.name] = field_of(hints[parameter.name])
            if parameter.default is not _REQUIRED:
                self.defaults[parameter.name] = parameter.default
        self._checks = {name: field.check for name, field in self.fields.items()}
        self._needed = self.fields.keys() - self.defaults.keys()

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
        """The published form: kind, text, roles, and a JSON Schema of the arguments."""
        properties = {}
        for name, field in self.fields.items():
            properties[name] = field.schema()
            if name in self.defaults:
                properties[name]["default"] = self.defaults[name]
        return {
            "kind": self.kind,
            "doc": inspect.getdoc(self.function) or "",
            "roles": list(self.roles),
            "args": {
                "type": "object",
                "properties": properties,
                "required": [name for name in self.fields if name not in self.defaults],
                "additionalProperties": False,
            },
        }


def methods_of(contract: type[Contract]) -> dict[str, Method]:
    """The declared methods by name."""
    return {
        name: Method(contract, getattr(contract, name))
        for name in dir(contract)
        if hasattr(getattr(contract, name), _MARK)
    }
