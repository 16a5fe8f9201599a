"""A chain in memory, for the tests of a contract.

::

    kit = Testkit.of("greeter.py")
    kit.organisation("acme", roles=("manufacturer",))
    acme = kit.as_("acme")

    acme.call("greeter", "greet", text="Hello")
    assert kit.query("greeter", "greeting", organisation=kit.id("acme")) == "Hello"
    assert kit.events[-1].name == "Greeted"
    assert "must have 1 to 80" in acme.refused("BAD_ARGUMENT", "greeter", "greet", text="")
    kit.advance(days=30)      # what was due by then has run
    kit.replay()              # the same again, from the beginning: not a byte may differ

Sources are loaded, checked, metered and executed as a node does it; transactions are signed, each
call is a block of its own, one second after the one before. Organisations and their keys live in
the built-in identity contract. Nothing here is random: the same test gives the same bytes.
"""

from __future__ import annotations

import traceback
from bisect import bisect_left, insort
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeVar

from consensus.primitives.crypto import public_key, sha256
from consensus.primitives.errors import InputError
from consensus.primitives.tree import Page, root_of, update
from consensus.receipt import OK, Event, Receipt
from consensus.transaction import Call, Transaction, TransactionBody
from contracts.runtime import audit
from contracts.runtime.executor import BlockContext, BlockExecutor, bootstrap, run_query
from contracts.runtime.package import Package, package_of
from contracts.runtime.registry import Registry, builtin_packages
from contracts.runtime.system import package_values
from contracts.sdk.checks import gs1_check_digit
from contracts.sdk.commitments import SALT_BYTES, commit
from contracts.sdk.values import plain

if TYPE_CHECKING:
    from contracts.sdk.strategies import Strategies

T = TypeVar("T")
Source = str | Path | Package | Sequence[str | Path]
"""A contract: its one file, its files in import order, or a package."""

CHAIN_ID: Final = sha256(b"hansa testkit")
START_MS: Final = 1_780_000_000_000  # 28 May 2026
BLOCK_MS: Final = 1_000
STEPS_MAX: Final = 10_000_000
DAY_MS: Final = 86_400_000
EMPTY_BLOCKS_MAX: Final = 1_000  # to run what became due in one advance of time
CONSORTIUM: Final = "consortium"


class Refused(Exception):
    """A call that did not take effect. ``code`` and ``detail`` stand in its receipt."""

    def __init__(self, code: str, detail: str, where: str) -> None:
        super().__init__(f"{code}: {detail}{where}")
        self.code = code
        self.detail = detail


class Committed(NamedTuple):
    """A commitment with what opens it."""

    commitment: bytes
    salt: bytes
    value: Any


class _State:
    """A committed state with its tree, in memory."""

    def __init__(self, changes: Mapping[bytes, bytes | None]) -> None:
        self.values: dict[bytes, bytes] = {}
        self._keys: list[bytes] = []  # in order
        self._pages: dict[bytes, Page] = {}
        self._slot = b""
        self.apply(changes)

    def get(self, key: bytes) -> bytes | None:
        return self.values.get(key)

    def scan(self, start: bytes, stop: bytes) -> Iterator[tuple[bytes, bytes]]:
        keys = self._keys[bisect_left(self._keys, start) : bisect_left(self._keys, stop)]
        return iter([(key, self.values[key]) for key in keys])

    def load(self, path: bytes) -> Page:
        return self._pages[path]

    def apply(self, changes: Mapping[bytes, bytes | None]) -> None:
        done = update(self, self._slot, changes)
        self._slot = done.slot
        _set_all(self._pages, done.pages)
        for key, value in changes.items():
            if value is not None and key not in self.values:
                insort(self._keys, key)
            elif value is None and key in self.values:
                del self._keys[bisect_left(self._keys, key)]
        _set_all(self.values, changes)

    @property
    def root(self) -> bytes:
        return root_of(self._slot)


def _set_all(target: dict[bytes, T], changes: Mapping[bytes, T | None]) -> None:
    for key, value in changes.items():
        if value is None:
            target.pop(key, None)
        else:
            target[key] = value


class _Block(NamedTuple):
    """What was executed, and what came of it."""

    context: BlockContext
    upgrade: Package | None  # put into force before the transactions
    transactions: tuple[Transaction, ...]
    receipts: tuple[Receipt, ...]  # of the transactions, then of what was due
    root: bytes


class Testkit:
    """A chain of one block per call. Make it with :meth:`of`."""

    __test__ = False  # pytest: the name is no test's

    def __init__(
        self, packages: Sequence[Package], genesis: Mapping[str, dict[str, Any]] | None = None
    ) -> None:
        self.packages = tuple(packages)
        self.height = 0
        self.time_ms = START_MS
        self.blocks: list[_Block] = []
        self._seeds: dict[str, bytes] = {}
        self._ids: dict[str, str] = {}
        self.openings: dict[bytes, Committed] = {}
        """What :meth:`commit` made, by commitment."""
        self._salts = 0
        self._numbers = 0
        self._fault: Exception | None = None
        first = {
            "id": self._new_id(CONSORTIUM),
            "name": CONSORTIUM,
            "roles": ["consortium_admin"],
            "admin_key": public_key(self._new_seed(CONSORTIUM)),
        }
        self._genesis = {"identity": {"organisations": [first]}} | dict(genesis or {})
        self._context = self._next_context()
        self.registry, self._state = self._founded()
        self.registry.on_fault = self._keep_fault

    @classmethod
    def of(
        cls,
        *sources: Source,
        root: str | Path = ".",
        builtin: Sequence[str] = ("identity",),
        genesis: Mapping[str, dict[str, Any]] | None = None,
    ) -> Testkit:
        """A chain with these contracts, and of the built-in ones those that are named.

        Paths are taken from ``root``; files import each other by them, so they are lower-case
        letters, digits and ``_``. ``genesis`` are arguments of the contracts' genesis methods.
        Raises InputError CONTRACT_REFUSED with every finding of the loader, GENESIS_INVALID.
        """
        known = {package.name: package for package in builtin_packages()}
        packages = [known[name] for name in builtin]
        packages += [read_package(source, root) for source in sources]
        return cls(packages, genesis)

    # --- who ----------------------------------------------------------------------------------

    def organisation(
        self,
        name: str,
        roles: Sequence[str] = (),
        attributes: Mapping[str, str] | None = None,
    ) -> str:
        """Have an organisation admitted, with a key that has these roles, and return its id.

        Roles of trade become the organisation's, those of persons the key's; the key is a
        ``corporate_admin`` in any case.
        """
        own = [role for role in roles if role in _choices(self.registry, "add_organisation")]
        key = public_key(self._new_seed(name))
        id_ = self._new_id(name)
        self.as_(CONSORTIUM).call(
            "identity", "add_organisation", id=id_, name=name, admin_key=key, roles=own
        )
        for role in roles:
            if role not in own and role != "corporate_admin":
                self.as_(name).call("identity", "grant_role", key=key, role=role)
        for attribute, value in (attributes or {}).items():
            self.as_(name).call("identity", "set_attribute", key=key, name=attribute, value=value)
        return id_

    def key(
        self,
        name: str,
        of: str,
        roles: Sequence[str] = (),
        attributes: Mapping[str, str] | None = None,
        user: str | None = None,
    ) -> bytes:
        """Give an organisation one more key, to be used by its own name, and return it.

        With ``user`` it is a person's, who is registered with the first such key: signatures are
        persons'.
        """
        key = public_key(self._new_seed(name))
        self._ids[name] = self._ids[of]
        known = [one["id"] for one in self.query("identity", "user_list", organisation=self.id(of))]
        if user is not None and user not in known:
            self.as_(of).call("identity", "add_user", id=user, name=self.commit(user).commitment)
        given = [{"name": one, "value": value} for one, value in (attributes or {}).items()]
        self.as_(of).call(
            "identity",
            "add_key",
            key=key,
            label=name,
            roles=list(roles),
            attributes=given,
            user=user,
        )
        return key

    def as_(self, name: str) -> Sender:
        """The organisation or key of this name, to make calls."""
        return Sender(self, self._seeds[name])

    def id(self, name: str) -> str:
        """The id of the organisation, or of the key's organisation."""
        return self._ids[name]

    def public_key(self, name: str) -> bytes:
        """The 32 bytes of the key of this name."""
        return public_key(self._seeds[name])

    # --- what happened --------------------------------------------------------------------------

    def query(self, contract: str, method: str, /, **args: Any) -> Any:
        """The answer of a query on the state as it is. Raises Refused."""
        return self._answer(contract, method, args)

    def _answer(
        self,
        contract: str,
        method: str,
        args: dict[str, Any],
        openings: dict[bytes, tuple[bytes, Any]] | None = None,
    ) -> Any:
        self._fault = None
        block = self._context
        try:
            return run_query(self.registry, self._state, block, contract, method, args, openings)
        except InputError as error:
            raise Refused(error.code, error.message, self._where()) from self._fault

    def check(
        self,
        contract: str,
        method: str,
        /,
        openings: Mapping[bytes, Committed] | None = None,
        **args: Any,
    ) -> Any:
        """The verdict of a check, over the openings of a party: all that :meth:`commit` made, if
        none are named. Raises Refused."""
        known = self.openings if openings is None else openings
        pairs = {key: (one.salt, plain(one.value)[0]) for key, one in known.items()}
        return self._answer(contract, method, args, pairs)

    @property
    def last(self) -> Receipt:
        """The last transaction's receipt: ``code``, ``detail``, ``steps_used``, ``result``."""
        return next(
            block.receipts[len(block.transactions) - 1]
            for block in reversed(self.blocks)
            if block.transactions
        )

    @property
    def events(self) -> list[Event]:
        """Every event of contracts since the beginning: ``contract``, ``name``, ``fields``."""
        return [one for one in self._all_events() if one.name != audit.EVENT]

    @property
    def trail(self) -> list[Event]:
        """The audit trail: every event ``Written`` since the beginning."""
        return [one for one in self._all_events() if one.name == audit.EVENT]

    def _all_events(self) -> Iterator[Event]:
        for block in self.blocks:
            for receipt in block.receipts:
                yield from receipt.events

    @property
    def due_receipts(self) -> list[Receipt]:
        """Receipts of all calls that ran because their time had come."""
        return [
            receipt
            for block in self.blocks
            for receipt in block.receipts[len(block.transactions) :]
        ]

    @property
    def root(self) -> bytes:
        """The state root."""
        return self._state.root

    def discloses(self, text: str | bytes) -> bool:
        """Whether the text stands in clear in any transaction, receipt or value of the state."""
        raw = text.encode() if isinstance(text, str) else text
        seen = [*self._state.values.values()]
        for block in self.blocks:
            seen += [one.raw for one in (*block.transactions, *block.receipts)]
        return any(raw in one for one in seen)

    def commit(self, value: Any) -> Committed:
        """A commitment to a value, for a party or personal argument. :meth:`check` knows it."""
        self._salts += 1
        salt = self._salts.to_bytes(SALT_BYTES, "big")
        made = Committed(commit(salt, value), salt, value)
        self.openings[made.commitment] = made
        return made

    @property
    def strategies(self) -> Strategies:
        """Hypothesis strategies of this chain's arguments. Needs hypothesis."""
        from contracts.sdk.strategies import Strategies

        return Strategies(self.registry.schema())

    # --- time and blocks ------------------------------------------------------------------------

    def advance(self, *, days: int = 0, hours: int = 0, seconds: int = 0) -> list[Receipt]:
        """Let time pass, make an empty block, and run what is due; returns the receipts of that."""
        passed_ms = days * DAY_MS + hours * 3_600_000 + seconds * 1_000
        self.time_ms += max(passed_ms - BLOCK_MS, 0)
        ran = list(self.block())
        more: Sequence[Receipt] = ran
        for _ in range(EMPTY_BLOCKS_MAX):
            if not more:
                break
            # A block runs only so many, and what ran may have made more due.
            more = self.block()
            ran += more
        return ran

    def block(self, *transactions: Transaction) -> tuple[Receipt, ...]:
        """One block: the receipts of its transactions, then of what was due."""
        return self._block(None, transactions)

    def upgrade(self, source: Source, root: str | Path = ".") -> Receipt:
        """Put a new contract or version into force, as a vote would, in a block of its own.

        The migration runs, of a new contract the genesis method. Raises Refused when it fails,
        InputError CONTRACT_REFUSED.
        """
        package = read_package(source, root)
        Registry.of((package,))
        receipt = self._block(package, ())[-1]
        if receipt.code != OK:
            raise Refused(receipt.code, receipt.detail, self._where()) from self._fault
        return receipt

    def transaction(
        self, seed: bytes, calls: Sequence[Call], steps_max: int = STEPS_MAX
    ) -> Transaction:
        """A signed transaction for the next block."""
        self._salts += 1
        salt = self._salts.to_bytes(SALT_BYTES, "big")
        valid_until = self.time_ms + 2 * BLOCK_MS
        body = TransactionBody(
            1, CHAIN_ID, public_key(seed), tuple(calls), valid_until, steps_max, salt
        )
        return body.signed(seed)

    def replay(self) -> None:
        """Execute everything once more from the beginning, on code loaded anew.

        Raises AssertionError naming the first block whose receipts, steps or state root differ.
        """
        height, time_ms = self.height, self.time_ms
        self.height, self.time_ms = 0, START_MS
        self._context, context = self._next_context(), self._context
        try:
            registry, state = self._founded()
        finally:
            self.height, self.time_ms, self._context = height, time_ms, context
        for block in self.blocks:
            receipts, registry = _execute(
                registry, state, block.context, block.upgrade, block.transactions
            )
            for first, second in zip(block.receipts, receipts, strict=True):
                assert first == second, f"block {block.context.height}: {first} became {second}"
            assert state.root == block.root, f"block {block.context.height}: another state root"

    # --- inside ---------------------------------------------------------------------------------

    def _block(
        self, upgrade: Package | None, transactions: tuple[Transaction, ...]
    ) -> tuple[Receipt, ...]:
        self.height += 1
        self.time_ms += BLOCK_MS
        self._context = self._next_context()
        self._fault = None
        receipts, self.registry = _execute(
            self.registry, self._state, self._context, upgrade, transactions
        )
        block = _Block(self._context, upgrade, transactions, receipts, self._state.root)
        self.blocks.append(block)
        return receipts

    def _founded(self) -> tuple[Registry, _State]:
        registry = Registry.of(self.packages)
        made = dict(bootstrap(registry, self._context, self._genesis))
        for package in self.packages:
            made.update(package_values(package))
        return registry, _State(made)

    def _next_context(self) -> BlockContext:
        return BlockContext(CHAIN_ID, self.height, self.time_ms, bytes(32))

    def _new_seed(self, name: str) -> bytes:
        if name in self._seeds:
            raise ValueError(f"{name} is there already")
        self._seeds[name] = sha256(f"hansa testkit {name}".encode())
        return self._seeds[name]

    def _new_id(self, name: str) -> str:
        self._numbers += 1
        self._ids[name] = organisation_id(self._numbers)
        return self._ids[name]

    def _keep_fault(self, error: Exception) -> None:
        self._fault = error

    def _where(self) -> str:
        """The line of the contract that failed, for its author; empty if none did."""
        if self._fault is None:
            return ""
        texts = {
            file.path: file.text for package in self.registry.packages for file in package.files
        }
        lines = [f"{type(self._fault).__name__}: {self._fault}"]
        for frame in traceback.extract_tb(self._fault.__traceback__):
            path = next((path for path in texts if frame.filename.endswith(path)), None)
            if path is not None and frame.lineno is not None:
                line = texts[path].splitlines()[frame.lineno - 1].strip()
                lines.append(f"{path}:{frame.lineno} in {frame.name}: {line}")
        return "\n  ".join(["", *lines])


class Sender:
    """A key that makes calls."""

    def __init__(self, kit: Testkit, seed: bytes) -> None:
        self.kit = kit
        self._seed = seed

    def call(self, contract: str, method: str, /, **args: Any) -> Any:
        """Call in a block of its own and return the result. Raises Refused."""
        return self.calls((contract, method, args))[0]

    def calls(self, *calls: tuple[str, str, dict[str, Any]], steps_max: int = STEPS_MAX) -> Any:
        """Several calls in one transaction, all or none; their results. Raises Refused."""
        kit = self.kit
        made = [Call(contract, method, args) for contract, method, args in calls]
        (receipt, *_) = kit.block(kit.transaction(self._seed, made, steps_max))
        if receipt.code != OK:
            raise Refused(receipt.code, receipt.detail, kit._where()) from kit._fault
        return receipt.result

    def refused(self, code: str, contract: str, method: str, /, **args: Any) -> str:
        """The detail of a refusal with this code. AssertionError if it is not refused so."""
        try:
            result = self.call(contract, method, **args)
        except Refused as error:
            assert error.code == code, str(error)
            return error.detail
        raise AssertionError(f"{contract}.{method} was not refused; its result: {result}")


def organisation_id(number: int) -> str:
    """The id of the organisation that was made as the ``number``-th; the consortium is 1."""
    body = f"9521321{number:05d}"
    return body + str(gs1_check_digit(body))


def read_package(source: Source, root: str | Path = ".") -> Package:
    """The package of a contract's files in import order, the one with the class last.

    Raises InputError CONTRACT_REFUSED, OSError.
    """
    if isinstance(source, Package):
        return source
    paths = [source] if isinstance(source, str | Path) else list(source)
    found = []
    for path in paths:
        file = Path(root) / path
        name = Path(path).name if Path(path).is_absolute() else Path(path).as_posix()
        found.append((name, file.read_text(encoding="utf-8")))
    return package_of(found)


def _execute(
    registry: Registry,
    state: _State,
    context: BlockContext,
    upgrade: Package | None,
    transactions: Sequence[Transaction],
) -> tuple[tuple[Receipt, ...], Registry]:
    """A block's receipts as they stand in it, and the code after it; the state moves on."""
    executor = BlockExecutor(registry, state, context)
    executor.begin()
    if upgrade is not None:
        executor.replace(upgrade)
    receipts = [executor.execute(tx) for tx in transactions]
    executor.finish()
    state.apply(executor.changes)
    return (*receipts, *executor.due_receipts), executor.registry


def _choices(registry: Registry, method: str) -> tuple[str, ...]:
    """The roles that an organisation may have."""
    module = registry.get("identity")
    assert module is not None
    schema = module.methods[method].schema()["args"]["properties"]["roles"]
    return tuple(schema["items"]["enum"])
