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
Names with two underscores are the SDK's own, which contract source can't write.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Final, Literal, NamedTuple, Protocol, TypeVar, overload

from contracts.sdk.dates import date_of
from contracts.sdk.errors import refuse
from contracts.sdk.records import Sealed

Kind = Literal["call", "query", "check", "genesis", "migrate", "timed"]
F = TypeVar("F", bound=Callable[..., Any])

MARK: Final = "__hansa_mark__"
VAULT: Final = "vault"
ROLES_MAX: Final = 32
ROLE_SIZE_MAX: Final = 64
MEANINGS: Final = ("authorship", "review", "approval", "responsibility")
"""What a signature can mean, by 21 CFR 11.50(a)(3)."""


class Context(NamedTuple):
    """What a call may know of the world.

    ``caller`` is the key that signed the transaction; ``organisation``, ``roles`` and
    ``attributes`` are that key's, by the identity contract, at this very moment. ``callers`` are
    the contracts that led here, outermost first: empty when the transaction itself made the call.
    ``tx_index`` is the transaction's place in the block, ``call_index`` counts its calls, of every
    contract. Queries and timed calls have no caller: empty bytes, no organisation, no roles.
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
    attributes: dict[str, str]

    @property
    def today(self) -> int:
        """The block's UTC date, YYYYMMDD."""
        return date_of(self.time_ms)


class CallHost(Protocol):
    """What the runtime offers to one running call."""

    @property
    def ctx(self) -> Context: ...
    @property
    def bound(self) -> Mapping[str, Any]: ...  # the contract's state, bound to this call
    def emit(self, name: str, fields: dict[str, Any]) -> None: ...
    def invoke(self, contract: str, method: str, args: dict[str, Any]) -> Any: ...
    def due(self, time_ms: int, method: str, args: dict[str, Any]) -> str: ...
    def cancel(self, handle: str) -> None: ...
    def check_package(
        self, name: str, version: int, runtime: int, files: list[list[str]]
    ) -> None: ...
    def opening(self, commitment: bytes) -> Any: ...


class Contract(metaclass=Sealed):
    """Base of all contract modules."""

    name: ClassVar[str]
    version: ClassVar[int] = 1
    audited: ClassVar[bool] = False
    """Whether the runtime tells of every call that changes records, by an event ``Written``."""

    def __init__(self, host: CallHost) -> None:
        self.__host = host
        self.ctx = host.ctx
        self.__dict__.update(host.bound)

    def emit(self, name: str, /, **fields: Any) -> None:
        """Tell the world: an event with these fields."""
        self.__host.emit(name, fields)

    def invoke(self, contract: str, method: str, /, **args: Any) -> Any:
        """Call a method of another contract, in the same transaction and step budget.

        A refusal there undoes what it did there and is raised here as ContractError.
        """
        return self.__host.invoke(contract, method, args)

    def require(self, *roles: str) -> None:
        """Refuse with NOT_AUTHORISED unless the caller has one of the roles."""
        require_role(self.ctx, roles)

    def due(self, time_ms: int, method: str, /, **args: Any) -> str:
        """Have a timed method of this contract run in the first block whose time is not before
        ``time_ms``. The answer is a handle for :meth:`cancel`.

        It runs by itself, with no caller and a budget of its own; if it refuses, that is all.
        """
        return self.__host.due(time_ms, method, args)

    def cancel(self, handle: str) -> None:
        """Take back what :meth:`due` queued. Refuses with DUE_UNKNOWN what has run or never was."""
        self.__host.cancel(handle)

    def share(self, commitments: list[bytes], organisations: list[str]) -> None:
        """Entitle organisations to the openings of commitments, beside the caller's own.

        The caller's organisation is the first to share them, or entitled itself: else refused with
        COMMITMENT_USED, so that nobody comes by a value through a copy of its commitment. The
        nodes of those entitled get the openings from each other (contract ``vault``).
        """
        args = {"commitments": commitments, "organisations": organisations}
        self.__host.invoke(VAULT, "entitle", args)

    def check_package(self, name: str, version: int, runtime: int, files: list[list[str]]) -> None:
        """Refuse with CONTRACT_REFUSED a contract that could not be loaded; governance's alone.

        ``files`` are [path, text], in import order.
        """
        self.__host.check_package(name, version, runtime, files)


def require_role(ctx: Context, roles: tuple[str, ...]) -> None:
    """Refuse with NOT_AUTHORISED unless the caller has one of the roles."""
    if len(roles) > ROLES_MAX:
        refuse("ROLES", f"at most {ROLES_MAX} roles are asked for at once")
    for role in roles:
        if type(role) is not str or len(role) > ROLE_SIZE_MAX:
            refuse("ROLES", f"a role is text of at most {ROLE_SIZE_MAX} characters")
        if role in ctx.roles:
            return
    refuse("NOT_AUTHORISED", f"needs the role {' or '.join(roles)}")


class Own(NamedTuple):
    """A condition: the record of ``map`` under the arguments ``key`` names the caller's
    organisation in ``field``."""

    map: str
    key: tuple[str, ...]
    field: str


class Mark(NamedTuple):
    """What a decorator says of a method."""

    kind: Kind
    roles: tuple[str, ...] = ()
    own: Own | None = None
    attributes: tuple[tuple[str, str], ...] = ()
    contracts: tuple[str, ...] = ()
    meaning: str = ""
    records: str = ""


def _marked(function: F, mark: Mark) -> F:
    setattr(function, MARK, mark)
    return function


@overload
def call(function: F, /) -> F: ...
@overload
def call(
    *,
    roles: tuple[str, ...] = ...,
    own: tuple[str, str | tuple[str, ...], str] | None = ...,
    attributes: tuple[tuple[str, str], ...] = ...,
    contracts: tuple[str, ...] = ...,
    meaning: str = ...,
) -> Callable[[F], F]: ...
def call(
    function: F | None = None,
    /,
    *,
    roles: tuple[str, ...] = (),
    own: tuple[str, str | tuple[str, ...], str] | None = None,
    attributes: tuple[tuple[str, str], ...] = (),
    contracts: tuple[str, ...] = (),
    meaning: str = "authorship",
) -> F | Callable[[F], F]:
    """Marks a method that transactions call, and who may. All conditions must hold.

    ``roles``: the caller has one of them. ``own=("lots", "item", "maker")``: there is a record of
    the map ``lots`` under the argument ``item`` (or a tuple of arguments; else NOT_FOUND), and its
    field ``maker`` is the caller's organisation. ``attributes=(("region", "EU"),)``: the caller's
    key has these. ``contracts``: only these contracts call it, no transaction does.
    ``meaning``: what the signature of a call means, one of :data:`MEANINGS`; no condition.
    """
    owned = None
    if own is not None:
        of, key, field = own
        owned = Own(of, key if isinstance(key, tuple) else (key,), field)
        _check_texts("own", (owned.map, *owned.key, owned.field))
    _check_texts("roles", roles)
    _check_texts("contracts", contracts)
    for pair in _tuple("attributes", attributes):
        _check_texts("attributes", pair)
        if len(pair) != 2:
            raise TypeError("attributes are pairs of name and value")
    if meaning not in MEANINGS:
        raise TypeError(f"a signature means one of {', '.join(MEANINGS)}")
    mark = Mark("call", roles, owned, attributes, contracts, meaning)
    return (lambda method: _marked(method, mark)) if function is None else _marked(function, mark)


def _tuple(what: str, value: Any) -> tuple[Any, ...]:
    if not isinstance(value, tuple):
        raise TypeError(f"{what} stand in a tuple: (x,) for one")
    return value


def _check_texts(what: str, value: Any) -> None:
    for text in _tuple(what, value):
        if not isinstance(text, str) or not 0 < len(text) <= ROLE_SIZE_MAX:
            raise TypeError(f"{what} are texts of 1 to {ROLE_SIZE_MAX} characters")


def query(function: F, /) -> F:
    """Marks a method that anyone may ask and that changes nothing."""
    return _marked(function, Mark("query"))


@overload
def check(function: F, /) -> F: ...
@overload
def check(*, records: str = ...) -> Callable[[F], F]: ...
def check(function: F | None = None, /, *, records: str = "") -> F | Callable[[F], F]:
    """Marks a method that a party runs over the state and the openings that it holds.

    It is metered like a query, changes nothing, and returns a ``Verdict``. ``records`` names the
    call by which the verdict goes on chain: that takes the check's arguments, and besides them
    ``verdict`` and ``findings`` (a commitment). Whoever holds the same openings, and looks at the
    same state, comes to the same verdict, or shows that another one was wrong.
    """
    if not isinstance(records, str):
        raise TypeError("records names a call")
    mark = Mark("check", records=records)
    return (lambda method: _marked(method, mark)) if function is None else _marked(function, mark)


def genesis(function: F, /) -> F:
    """Marks the one method that fills the contract's state when it comes to the chain: in block 0
    with the genesis document's arguments, later by vote with none."""
    return _marked(function, Mark("genesis"))


def migrate(function: F, /) -> F:
    """Marks the one method, ``(self, from_version: int)``, that brings an older version's state to
    this one's form when this version comes into force."""
    return _marked(function, Mark("migrate"))


def timed(function: F, /) -> F:
    """Marks a method that only :meth:`Contract.due` runs."""
    return _marked(function, Mark("timed"))
