"""One transaction or query at work: frames of calls over an overlay and a step budget."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from typing import Any, Final, NamedTuple

import msgpack

from consensus.evidence import Evidence
from consensus.primitives.codec import encode, encode_normal
from consensus.primitives.errors import CodecError, InputError, LocalFault
from consensus.receipt import EVENTS_MAX, OK, Event
from contracts.runtime import audit, due, steps
from contracts.runtime.overlay import Overlay, StateReader
from contracts.runtime.package import RUNTIME, Package, SourceFile
from contracts.runtime.registry import SUPPORTED_RUNTIMES, Module, Registry, unknown_runtime
from contracts.runtime.system import GOVERNANCE, runtime_in_force
from contracts.sdk.commitments import opens
from contracts.sdk.contract import Context, require_role
from contracts.sdk.errors import ContractError, refuse
from contracts.sdk.methods import Method
from contracts.sdk.values import normal, row, sorted_map

CALL_DEPTH_MAX: Final = 8
OUTPUT_SIZE_MAX: Final = 256 * 1024  # of all events and results of one transaction
ANSWER_SIZE_MAX: Final = 4 << 20  # of one query's answer
VALUE_BYTES_MAX: Final = 64 * 1024
# The contract whose word it is who a key belongs to.
IDENTITY: Final = "identity"

_CODE: Final = re.compile(r"[A-Z][A-Z0-9_]{0,63}")
_NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,63}")

CALLS: Final = ("call",)
QUERIES: Final = ("query",)
CHECKS: Final = ("check",)
INVOKED: Final = ("call", "query")
TIMED: Final = ("timed",)


@dataclasses.dataclass(frozen=True)
class BlockContext:
    """The block that a transaction runs in, and what it holds against validators."""

    chain_id: bytes
    height: int
    time_ms: int
    proposer: bytes
    evidence: tuple[Evidence, ...] = ()


class Caller(NamedTuple):
    """Whose key it is: organisation id, and the roles and attributes that the key has now."""

    organisation: str
    roles: tuple[str, ...]
    attributes: dict[str, str]


NOBODY: Final = Caller("", (), {})
_NOT_SEEN: Final[Any] = object()
Openings = Mapping[bytes, tuple[bytes, Any]]
"""Commitment -> salt and value."""
LookUp = Callable[[bytes, StateReader], Caller]


class Session:
    """Runs calls on one overlay, on the registry's meter. What it raises is a ContractError (a
    refusal, or CONTRACT_FAULT for anything unexpected in contract code), OutOfSteps, or LocalFault.

    One session serves the transactions of a block one after the other, each from :meth:`enter`.
    ``look_up`` tells whose key the sender is, after identity has been written. ``openings`` are
    what a check may look at.
    """

    def __init__(
        self,
        registry: Registry,
        block: BlockContext,
        look_up: LookUp | None = None,
        *,
        read_only: bool = False,
        openings: Openings | None = None,
    ) -> None:
        self.registry = registry
        self.block = block
        self.meter = registry.meter
        self.output_size_max = ANSWER_SIZE_MAX if read_only else OUTPUT_SIZE_MAX
        self.openings = openings
        self._is_query = read_only
        self._look_up = look_up
        self._frames: dict[str, Frame] = {}

    def enter(
        self,
        overlay: Overlay,
        sender: bytes = b"",
        caller: Caller = NOBODY,
        tx_id: bytes = b"",
        tx_index: int = 0,
        pays: str = "",
        may_queue: bool = True,
    ) -> None:
        """Begin anew, on the budget that the meter has been given. ``pays`` is the organisation
        whose usage it is, ``may_queue`` whether its quota lets more wait to be run."""
        self.overlay = overlay
        self.sender = sender
        self.caller = caller
        self.tx_id = tx_id
        self.tx_index = tx_index
        self.pays = pays
        self.may_queue = may_queue
        self.read_only = self._is_query
        self.identity_written = False
        self.events: list[Event] = []
        self.output_size = 0
        self.calls = 0
        self.running: tuple[str, ...] = ()
        self.asked = 0  # calls that the transaction itself made
        # By the call of the transaction that is under way, of audited contracts: what it writes,
        # and what it read before it wrote there.
        self.written: audit.Written = {}
        self.seen: dict[bytes, bytes | None] = {}

    def run(
        self, contract: str, method: str, args: dict[str, Any], kinds: tuple[str, ...] = CALLS
    ) -> Any:
        """Run a method of one of the kinds, and return its canonical result.

        Its arguments are canonical, and paid for.
        """
        running = self.running
        if len(running) >= CALL_DEPTH_MAX:
            refuse("CALL_DEPTH", f"calls nested deeper than {CALL_DEPTH_MAX}")
        if contract in running:
            refuse("REENTRY", f"{contract} is already running in this call")
        module = self.registry.get(contract)
        if module is None:
            refuse("UNKNOWN_CONTRACT", f"there is no contract {contract}")
        declared = module.methods.get(method)
        if declared is None or declared.kind not in kinds:
            what = "no method" if declared is None else f"a {declared.kind}, not a {kinds[0]},"
            refuse("UNKNOWN_METHOD", f"{contract} has {what} {method}")
        meter = self.meter
        meter.left -= steps.CALL
        if meter.left < 0:
            meter.stop()
        frame = self._frame(module)
        frame.reindexes = declared.kind == "migrate"
        was_read_only = self.read_only
        self.running = (*running, contract)
        self.calls += 1
        self.read_only = was_read_only or declared.kind in ("query", "check")
        try:
            checked = declared.checked(args)
            instance = module.contract(frame)
            if declared.has_conditions:
                check_conditions(declared, frame, checked)
            result = declared.function(instance, **checked)
            if result is not None:
                result = normal(result, self.take_output)
            if not running:
                self.asked += 1
                if self.written:
                    self._tell_written(frame.ctx, contract, declared)
                if self.seen:
                    self.seen = {}
        except (ContractError, steps.OutOfSteps, LocalFault):
            raise
        except (MemoryError, RecursionError, OSError, SystemError) as error:
            raise LocalFault(
                "NODE_FAULT", f"{type(error).__name__} while running {contract}.{method}"
            ) from error
        except Exception as error:
            if self.registry.on_fault is not None:
                self.registry.on_fault(error)
            # The text of an unexpected exception may differ between machines.
            raise ContractError("CONTRACT_FAULT", "") from error
        finally:
            self.running = running
            self.read_only = was_read_only
        return result

    def nested(self, contract: str, method: str, args: dict[str, Any]) -> Any:
        """Run a call that a contract makes. Its refusal takes its own writes and events along."""
        args = normal(args, self._take_arguments)
        base, events, output_size = self.overlay, len(self.events), self.output_size
        written = len(self.written)
        self.overlay = Overlay(base)
        try:
            result = self.run(contract, method, args, INVOKED)
            base.absorb(self.overlay)
            return result
        except ContractError:
            del self.events[events:]
            self.output_size = output_size
            for key in list(self.written)[written:]:
                del self.written[key]
            raise
        finally:
            self.overlay = base

    def _tell_written(self, ctx: Context, contract: str, declared: Method) -> None:
        """Enter what the transaction's call wrote into the audit trail: not what brings a contract
        to the chain or into a new form, which follows from the source that was voted on."""
        written, self.written = self.written, {}
        if declared.kind not in ("call", "timed"):
            return
        event = audit.written_event(
            ctx,
            contract,
            declared,
            self.asked - 1,
            written,
            self.overlay.changes,
            self.meter,
            self._take_audited,
        )
        if event is None:
            return
        if len(self.events) >= EVENTS_MAX:
            refuse("TOO_MANY_EVENTS", f"more than {EVENTS_MAX} events")
        self.meter.charge(steps.EVENT)
        self.events.append(event)

    def _frame(self, module: Module) -> Frame:
        """The contract's frame, showing the call that now begins."""
        frame = self._frames.get(module.name)
        if frame is None:
            frame = self._frames[module.name] = Frame(self, module)
        block = self.block
        if self.identity_written and self.sender and self._look_up is not None:
            self.caller = self._look_up(self.sender, self.overlay)
        organisation, roles, attributes = self.caller
        # What Context() does, without its keyword arguments: this is done for every call.
        frame.ctx = tuple.__new__(
            Context,
            (
                block.chain_id,
                block.height,
                block.time_ms,
                self.sender,
                organisation,
                roles,
                self.tx_id,
                self.tx_index,
                self.calls,
                self.running,
                attributes.copy(),
            ),
        )
        return frame

    def take_output(self, size: int) -> None:
        """Pay for a part of an event or result before it is kept."""
        meter = self.meter
        meter.left -= steps.RESULT_BYTE * size
        if meter.left < 0:
            meter.stop()
        self._count_output(size)

    def _take_audited(self, size: int) -> None:
        self.meter.charge(steps.AUDITED_BYTE * size)
        self._count_output(size)

    def _count_output(self, size: int) -> None:
        self.output_size += size
        if self.output_size > self.output_size_max:
            refuse("OUTPUT_TOO_LARGE", f"events and results above {self.output_size_max} bytes")

    def _take_arguments(self, size: int) -> None:
        self.meter.charge(steps.ARGUMENT_BYTE * size)


def check_conditions(declared: Method, frame: Frame, args: dict[str, Any]) -> None:
    """Refuse with NOT_AUTHORISED, or NOT_FOUND, unless the method's conditions hold."""
    mark, ctx = declared.mark, frame.ctx
    if mark.contracts and (not ctx.callers or ctx.callers[-1] not in mark.contracts):
        refuse("NOT_AUTHORISED", f"only called by {' or '.join(mark.contracts)}")
    if declared.role_set and declared.role_set.isdisjoint(ctx.roles):
        require_role(ctx, mark.roles)
    for name, value in mark.attributes:
        if ctx.attributes.get(name) != value:
            refuse("NOT_AUTHORISED", f"needs the attribute {name} {value}")
    if mark.own is not None:
        name, parts, field = mark.own
        key = tuple([args[part] for part in parts])
        record = frame.bound[name].get(key)
        if record is None:
            refuse("NOT_FOUND", f"there is no record of {name} under this {' and '.join(parts)}")
        if not ctx.organisation or getattr(record, field) != ctx.organisation:
            refuse("NOT_AUTHORISED", f"the {field} of the record is another organisation")


class Frame:
    """One contract within a session: what its instances may reach, one call at a time."""

    __slots__ = (
        "_is_audited",
        "_is_identity",
        "_meter",
        "_name",
        "_session",
        "_value_size",
        "bound",
        "ctx",
        "reindexes",
    )

    ctx: Context

    def __init__(self, session: Session, module: Module) -> None:
        self._session = session
        self._meter = session.meter
        self._name = module.name
        self.reindexes = False
        self._is_audited = module.layout.audited
        self._is_identity = module.name == IDENTITY
        self._value_size = 0
        self.bound: dict[str, Any] = module.layout.bind(module.name, self)

    def read(self, key: bytes, converts: bool = False) -> Any:
        session, meter = self._session, self._meter
        raw = session.overlay.get(key)
        if self._is_audited and key not in session.written:
            session.seen[key] = raw
        if raw is None:
            meter.charge(steps.READ)
            return None
        price = steps.CONVERTED_BYTE if converts else steps.READ_BYTE
        meter.left -= steps.READ + price * len(raw)
        if meter.left < 0:
            meter.stop()
        # Own bytes, encoded below and guarded by the state root: no second check.
        return msgpack.unpackb(raw)

    def note(self, name: str, key: Any, raw: bytes) -> None:
        session = self._session
        if raw not in session.written:
            before = session.seen.get(raw, _NOT_SEEN)
            if before is _NOT_SEEN:
                before = session.overlay.get(raw)
                self._meter.charge(steps.READ + len(before or b""))
            session.written[raw] = (self._name, name, key, before)

    def write(self, key: bytes, value: Any, convert: Callable[[Any], Any] | None = None) -> None:
        session, meter = self._session, self._meter
        if session.read_only:
            refuse("READ_ONLY", "a query changes nothing")
        if self._is_identity:
            session.identity_written = True
        meter.left -= steps.WRITE + steps.WRITE_BYTE * len(key)
        if meter.left < 0:
            meter.stop()
        self._value_size = 0
        walk = row if type(value) is tuple else normal
        raw = encode_normal(walk(value, self._take_value))
        # What is converted is by now known to be small, and paid for.
        session.overlay.changes[key] = raw if convert is None else encode(convert(value))

    def delete(self, key: bytes) -> None:
        self._check_writing()
        self._meter.charge(steps.WRITE + steps.WRITE_BYTE * len(key))
        self._session.overlay.put(key, None)

    def _check_writing(self) -> None:
        session = self._session
        if session.read_only:
            refuse("READ_ONLY", "a query changes nothing")
        if self._is_identity:
            session.identity_written = True

    def _take_value(self, size: int) -> None:
        meter = self._meter
        meter.left -= steps.WRITE_BYTE * size
        if meter.left < 0:
            meter.stop()
        self._value_size += size
        if self._value_size > VALUE_BYTES_MAX:
            refuse("VALUE_TOO_LARGE", f"a value of more than {VALUE_BYTES_MAX} bytes")

    def scan(
        self, start: bytes, stop: bytes, converts: bool = False
    ) -> Iterator[tuple[bytes, Any]]:
        self._meter.charge(steps.SCAN)
        price = steps.CONVERTED_BYTE if converts else steps.READ_BYTE
        return self._entries(self._session.overlay.entries(start, stop), price)

    def _entries(
        self, found: Iterator[tuple[bytes, bytes | None]], price: int
    ) -> Iterator[tuple[bytes, Any]]:
        for key, raw in found:
            if raw is None:
                self._meter.charge(steps.DELETED)
                continue
            self._meter.charge(steps.READ + price * len(raw))
            yield key, msgpack.unpackb(raw)

    def emit(self, name: str, fields: dict[str, Any]) -> None:
        session = self._session
        if session.read_only:
            refuse("READ_ONLY", "a query emits no events")
        if type(name) is not str or len(name) > 64 or not _is_event_name(name):
            refuse("EVENT_NAME", "an event's name is 1 to 64 letters, digits and '_'")
        if name == audit.EVENT:
            refuse("EVENT_NAME", f"{name} is the audit trail's own")
        if len(session.events) >= EVENTS_MAX:
            refuse("TOO_MANY_EVENTS", f"more than {EVENTS_MAX} events")
        meter = self._meter
        meter.left -= steps.EVENT
        if meter.left < 0:
            meter.stop()
        fields = sorted_map(fields, session.take_output)
        session.events.append(Event.of_checked(contract=self._name, name=name, fields=fields))

    def invoke(self, contract: str, method: str, args: dict[str, Any]) -> Any:
        if type(contract) is not str or type(method) is not str:
            refuse("UNKNOWN_METHOD", "contract and method are named by text")
        return self._session.nested(contract[:64], method[:64], args)

    def due(self, time_ms: int, method: str, args: dict[str, Any]) -> str:
        self._check_writing()
        session = self._session
        module = session.registry.get(self._name)
        assert module is not None
        declared = module.methods.get(method) if type(method) is str else None
        if declared is None or declared.kind not in TIMED:
            refuse("UNKNOWN_METHOD", f"{self._name} has no timed method of this name")
        if not session.may_queue:
            refuse("QUOTA_EXCEEDED", f"{session.pays} has no more to wait for in this period")
        self._value_size = 0
        self._meter.charge(steps.READ + 2 * steps.WRITE)
        args = normal(args, self._take_value)
        declared.checked(args)
        call = due.Call(self._name, method, args, session.pays)
        return due.put(session.overlay, time_ms, session.block.time_ms, call)

    def cancel(self, handle: str) -> None:
        self._check_writing()
        self._meter.charge(steps.READ + steps.WRITE)
        due.cancel(self._session.overlay, handle, self._name)

    def opening(self, commitment: bytes) -> Any:
        openings = self._session.openings
        if openings is None:
            refuse("NOT_A_CHECK", "only a check looks at what stands behind commitments")
        if type(commitment) is not bytes:
            refuse("OPENING_MISSING", "that is no commitment")
        found = openings.get(commitment)
        if found is None:
            refuse("OPENING_MISSING", commitment.hex())
        salt, value = found
        sizes: list[int] = []
        value = normal(value, sizes.append)
        self._meter.charge(steps.READ + steps.CONVERTED_BYTE * sum(sizes))
        if not opens(commitment, salt, value):
            refuse("OPENING_MISSING", commitment.hex())
        return value

    def check_package(self, name: str, version: int, runtime: int, files: list[list[str]]) -> None:
        if self._name != GOVERNANCE:
            refuse("NOT_AUTHORISED", "governance alone asks this")
        overlay = self._session.overlay
        in_force = runtime_in_force(overlay) or RUNTIME
        if not 1 <= runtime <= in_force:
            refuse("RUNTIME_NOT_IN_FORCE", f"runtimes up to {in_force} are in force")
        if runtime not in SUPPORTED_RUNTIMES:
            raise unknown_runtime(name, runtime)
        try:
            sources = tuple(SourceFile(path, text) for path, text in files)
            package = Package(name, version, runtime, sources)
            self._meter.charge(steps.SOURCE_BYTE * package.size)
            self._meter.charge(steps.SOURCE_WORD * package.words)
            self._session.registry.with_packages((package,))
        except (CodecError, InputError):
            # What is wrong with it is told by tools, in words that are free to change.
            refuse("CONTRACT_REFUSED", f"the source of {name} does not pass the loader's check")


@lru_cache(maxsize=1024)
def _is_event_name(name: str) -> bool:
    return _NAME.fullmatch(name) is not None


def code_and_detail(error: ContractError) -> tuple[str, str]:
    """What of a refusal enters a receipt: a stable code, at most 250 characters of text."""
    code, message = error.code, error.message
    is_text = type(code) is str and type(message) is str
    if not is_text or code == OK or not _CODE.fullmatch(code):
        return "CONTRACT_FAULT", ""
    return code, message[:250].encode(errors="replace").decode()
