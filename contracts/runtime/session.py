"""One transaction or query at work: frames of calls over an overlay and a step budget."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Iterator
from typing import Any, Final, NamedTuple

import msgpack

from consensus.primitives.codec import encode
from consensus.primitives.errors import CodecError, LocalFault
from consensus.receipt import EVENTS_MAX, Event
from contracts.runtime import steps
from contracts.runtime.overlay import Overlay
from contracts.runtime.registry import Module, Registry
from contracts.sdk.contract import Context, require_role
from contracts.sdk.errors import ContractError, refuse
from contracts.sdk.values import plain

CALL_DEPTH_MAX: Final = 8
OUTPUT_SIZE_MAX: Final = 256 * 1024  # of all events and results of one transaction
ANSWER_SIZE_MAX: Final = 4 << 20  # of one query's answer
VALUE_BYTES_MAX: Final = 64 * 1024
# The contract whose word it is who a key belongs to.
IDENTITY: Final = "identity"

_CODE: Final = re.compile(r"[A-Z][A-Z0-9_]{0,63}")
_NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,63}")


@dataclasses.dataclass(frozen=True)
class BlockContext:
    """The block that a transaction runs in."""

    chain_id: bytes
    height: int
    time_ms: int
    proposer: bytes


class Caller(NamedTuple):
    """Whose key it is: organisation id and the roles that the key has now."""

    organisation: str
    roles: tuple[str, ...]


NOBODY: Final = Caller("", ())


class Origin(NamedTuple):
    """Where the calls of a session come from. ``who`` is asked at each call."""

    sender: bytes = b""
    tx_id: bytes = b""
    tx_index: int = 0
    who: Callable[[Session], Caller] = lambda _: NOBODY


class Session:
    """Runs calls on one overlay. What it raises is a ContractError (a refusal, or
    CONTRACT_FAULT for anything unexpected in contract code), OutOfSteps, or LocalFault.
    """

    def __init__(
        self,
        registry: Registry,
        block: BlockContext,
        overlay: Overlay,
        meter: steps.Meter,
        origin: Origin,
        *,
        read_only: bool = False,
    ) -> None:
        self.registry = registry
        self.block = block
        self.overlay = overlay
        self.meter = meter
        self.origin = origin
        self.read_only = read_only
        self.events: list[Event] = []
        self.identity_written = False
        self.output_size = 0
        self.output_size_max = ANSWER_SIZE_MAX if read_only else OUTPUT_SIZE_MAX
        self.running: list[str] = []
        self.calls = 0

    def call(self, contract: str, method: str, args: dict[str, Any]) -> Any:
        """Run a call that a transaction makes, and return its canonical result.

        Its arguments are canonical, and paid for with the transaction's bytes.
        """
        return self._run(contract, method, args, ("call",))

    def ask(self, contract: str, method: str, args: dict[str, Any]) -> Any:
        """Run a query."""
        return self._run(contract, method, args, ("query",))

    def start(self, contract: str, args: dict[str, Any]) -> Any:
        """Run a contract's genesis method."""
        module = self.registry.get(contract)
        assert module is not None and module.genesis is not None
        return self._run(contract, module.genesis.name, args, ("genesis",))

    def nested(self, contract: str, method: str, args: dict[str, Any]) -> Any:
        """Run a call that a contract makes. Its refusal takes its own writes and events along."""
        args, size = plain(args)
        self.meter.charge(steps.ARGUMENT_BYTE * size)
        base, events, output_size = self.overlay, len(self.events), self.output_size
        self.overlay = Overlay(base)
        try:
            result = self._run(contract, method, args, ("call", "query"))
            if self.overlay.changes:
                base.absorb(self.overlay)
            return result
        except ContractError:
            del self.events[events:]
            self.output_size = output_size
            raise
        finally:
            self.overlay = base

    def _run(self, contract: str, method: str, args: dict[str, Any], kinds: tuple[str, ...]) -> Any:
        if len(self.running) >= CALL_DEPTH_MAX:
            refuse("CALL_DEPTH", f"calls nested deeper than {CALL_DEPTH_MAX}")
        if contract in self.running:
            refuse("REENTRY", f"{contract} is already running in this call")
        module = self.registry.get(contract)
        if module is None:
            refuse("UNKNOWN_CONTRACT", f"there is no contract {contract}")
        declared = module.methods.get(method)
        if declared is None or declared.kind not in kinds:
            what = "no method" if declared is None else f"a {declared.kind}, not a {kinds[0]},"
            refuse("UNKNOWN_METHOD", f"{contract} has {what} {method}")
        self.meter.charge(steps.CALL)
        was_read_only = self.read_only
        who = self.origin.who(self)
        frame = Frame(self, module, who)
        self.running.append(contract)
        self.calls += 1
        self.read_only = was_read_only or declared.kind == "query"
        try:
            checked = declared.checked(args)
            if declared.roles:
                require_role(frame.ctx, declared.roles)
            result, size = plain(declared.function(module.contract(frame), **checked))
        except (ContractError, steps.OutOfSteps, LocalFault):
            raise
        except (MemoryError, RecursionError, OSError, SystemError) as error:
            raise LocalFault(
                "NODE_FAULT", f"{type(error).__name__} while running {contract}.{method}"
            ) from error
        except Exception as error:
            # The text of an unexpected exception may differ between machines.
            raise ContractError("CONTRACT_FAULT", "") from error
        finally:
            self.running.pop()
            self.read_only = was_read_only
        self.meter.charge(steps.RESULT_BYTE * size)
        self._count_output(size)
        return result

    def _count_output(self, size: int) -> None:
        self.output_size += size
        if self.output_size > self.output_size_max:
            refuse("OUTPUT_TOO_LARGE", f"events and results above {self.output_size_max} bytes")

    def emit(self, contract: str, name: str, fields: dict[str, Any]) -> None:
        if self.read_only:
            refuse("READ_ONLY", "a query emits no events")
        if not _NAME.fullmatch(name):
            raise ValueError("an event's name is letters, digits and '_'")
        if len(self.events) >= EVENTS_MAX:
            refuse("TOO_MANY_EVENTS", f"more than {EVENTS_MAX} events")
        fields, size = plain(fields)
        self.meter.charge(steps.EVENT + steps.EVENT_BYTE * size)
        self._count_output(size)
        self.events.append(Event(contract, name, fields))


class Frame:
    """One call of one contract: what its instance may reach."""

    __slots__ = ("_contract", "_session", "ctx")

    def __init__(self, session: Session, module: Module, who: Caller) -> None:
        block, origin = session.block, session.origin
        self._session = session
        self._contract = module.name
        self.ctx = Context(
            block.chain_id,
            block.height,
            block.time_ms,
            origin.sender,
            who.organisation,
            who.roles,
            origin.tx_id,
            origin.tx_index,
            session.calls,
            tuple(session.running),
        )

    def read(self, key: bytes) -> Any:
        session = self._session
        raw = session.overlay.get(key)
        if raw is None:
            session.meter.charge(steps.READ)
            return None
        session.meter.charge(steps.READ + steps.READ_BYTE * len(raw))
        # Own bytes, encoded below and guarded by the state root: no second check.
        return msgpack.unpackb(raw)

    def write(self, key: bytes, value: Any) -> None:
        session = self._session
        if session.read_only:
            refuse("READ_ONLY", "a query changes nothing")
        try:
            raw = encode(value)
        except CodecError as error:
            refuse("VALUE_NOT_CANONICAL", error.message)
        if len(raw) > VALUE_BYTES_MAX:
            refuse("VALUE_TOO_LARGE", f"a value of more than {VALUE_BYTES_MAX} bytes")
        session.meter.charge(steps.WRITE + steps.WRITE_BYTE * (len(key) + len(raw)))
        session.overlay.put(key, raw)
        if self._contract == IDENTITY:
            session.identity_written = True

    def delete(self, key: bytes) -> None:
        session = self._session
        if session.read_only:
            refuse("READ_ONLY", "a query changes nothing")
        session.meter.charge(steps.WRITE + steps.WRITE_BYTE * len(key))
        session.overlay.put(key, None)
        if self._contract == IDENTITY:
            session.identity_written = True

    def scan(self, start: bytes, stop: bytes) -> Iterator[tuple[bytes, Any]]:
        session = self._session
        session.meter.charge(steps.SCAN)
        for key, raw in session.overlay.scan(start, stop):
            session.meter.charge(steps.READ + steps.READ_BYTE * len(raw))
            yield key, msgpack.unpackb(raw)

    def emit(self, name: str, fields: dict[str, Any]) -> None:
        self._session.emit(self._contract, name, fields)

    def invoke(self, contract: str, method: str, args: dict[str, Any]) -> Any:
        return self._session.nested(contract, method, args)


def code_and_detail(error: ContractError) -> tuple[str, str]:
    """What of a refusal enters a receipt: a stable code, at most 250 characters of text."""
    if not _CODE.fullmatch(error.code):
        return "CONTRACT_FAULT", ""
    return error.code, error.message[:250].encode(errors="replace").decode()
