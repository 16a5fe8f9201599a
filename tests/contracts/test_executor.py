"""What runs by itself, who may call, and what no contract can do to the node."""

from __future__ import annotations

from typing import Annotated, Any

import pytest

from consensus.primitives.keys import decode_key
from consensus.receipt import Receipt
from consensus.transaction import Call
from contracts.runtime import due
from contracts.runtime.executor import (
    DUE_BLOCK_STEPS_MAX,
    DUE_CALLS_MAX,
    DUE_STEPS_MAX,
    BlockExecutor,
    run_query,
)
from contracts.runtime.overlay import Overlay
from contracts.runtime.registry import Registry
from contracts.sdk import (
    Contract,
    ContractError,
    Counter,
    Map,
    Quantity,
    Record,
    Size,
    call,
    query,
    refuse,
    timed,
)
from contracts.system.identity import Identity
from tests.contracts.ledger import MAKER, PHARMACY, WHOLESALER, Ledger, consortium, seed_of


class Lot(Record):
    maker: str
    amount: int = 0


class Deep(Record):
    """Holds records, which are converted on their way to the state."""

    parts: Annotated[list[Quantity | None], Size(1024)]


class Clock(Contract):
    """Calls that wait, and conditions."""

    name = "clock"

    lots = Map(Lot, key=("item",))
    shares = Map(Lot, key=("item", "holder"))
    deep = Map(Deep, key=("item",))
    anything = Map(list, key=("item",))
    rung = Counter()

    @call
    def make(self, item: str) -> None:
        self.lots.put(item, Lot(self.ctx.organisation))
        self.shares.put((item, "x"), Lot(self.ctx.organisation))

    @call(own=("lots", "item", "maker"))
    def change(self, item: str) -> str:
        return item

    @call(own=("shares", ("item", "holder"), "maker"))
    def share(self, item: str, holder: str) -> str:
        return holder

    @call(attributes=(("region", "EU"), ("grade", "A")))
    def regional(self) -> None:
        pass

    @call(contracts=("relay",))
    def inner(self) -> list[str]:
        return list(self.ctx.callers)

    @call
    def wake(self, time_ms: int, method: str = "ring", number: int = 0) -> str:
        return self.due(time_ms, method, number=number)

    @call
    def stop(self, handle: str) -> None:
        self.cancel(handle)

    @timed
    def ring(self, number: int) -> None:
        self.rung.add()
        self.emit("Rang", number=number, caller=self.ctx.caller, organisation=self.ctx.organisation)

    @timed
    def again(self, number: int) -> None:
        self.rung.add()
        self.due(0, "again", number=number + 1)

    @timed
    def hush(self, number: int) -> None:
        self.cancel(f"{self.ctx.time_ms}-{number}")

    @timed
    def refuses(self, number: int) -> None:
        self.rung.add()
        refuse("NO", "not now")

    @timed
    def spins(self, number: int) -> None:
        while True:
            self.rung.add()

    @call
    def bomb(self, where: str, levels: int = 40) -> Any:
        value: list[Any] = [0]
        for _ in range(levels):
            value = [value, value]
        if where == "emit":
            self.emit("Bomb", value=value)
        elif where == "put":
            self.anything.put("a", value)
        elif where == "invoke":
            self.invoke("relay", "take", value=value)
        elif where == "due":
            self.due(0, "ring", number=value)
        elif where == "records":
            self.deep.put("a", Deep([Quantity(1)] * 1_000_000))
        elif where == "roles":
            self.require(*["x" * 1_000_000] * 1000)
        return value

    @call
    def surrogate(self, where: str) -> Any:
        text = "\ud800"
        if where == "emit":
            self.emit("Odd", text=text)
        elif where == "key":
            self.lots.put(text, Lot("a"))
        elif where == "value":
            self.lots.put("a", Lot(text))
        elif where == "name":
            self.emit("Odd", **{text: 1})
        elif where == "detail":
            refuse("ODD", text)
        return text

    @call
    def pretend(self, code: str) -> None:
        refuse(code, "all is well")

    @call
    def keep(self) -> int:
        """Whether anything outlasts a call."""
        found = getattr(self, "kept", 0)
        self.kept = found + 1
        return found

    @query
    def count(self) -> int:
        return self.rung.value


class Relay(Contract):
    name = "relay"

    @call
    def run(self, method: str, depth: int = 0) -> Any:
        return self.invoke("clock", method)

    @call
    def take(self, value: list[int]) -> None:
        pass


class Reviving(Identity):
    """Identity, but with a call that waits and changes who is who."""

    name = "identity"

    @call
    def wake(self) -> None:
        self.due(0, "revive")

    @timed
    def revive(self) -> None:
        for organisation in list(self.organisations.values()):
            self.organisations.put(organisation.id, organisation)
        self.invoke("relay", "take", value=[1])
        self.emit("Revived")


class Attributes(Identity):
    """Identity, but every key has the same attributes."""

    name = "identity"

    @query
    def caller(self, key: bytes) -> dict[str, Any]:
        found = super().caller(key)
        return found | {"attributes": {"region": "EU", "grade": "A"}}


@pytest.fixture
def clock() -> Ledger:
    return Ledger(Registry((Identity, Clock, Relay)), {"identity": consortium()["identity"]})


def send(ledger: Ledger, method: str, steps_max: int = 1_000_000, /, **args: Any) -> Receipt:
    tx = ledger.tx(seed_of(MAKER), Call("clock", method, args), steps_max=steps_max)
    return ledger.block(tx)[0]


def result(ledger: Ledger, method: str, **args: Any) -> Any:
    receipt = send(ledger, method, **args)
    assert receipt.code == "OK", (receipt.code, receipt.detail)
    return receipt.result[0]


def rung(ledger: Ledger) -> int:
    return ledger.query("count", "clock")  # type: ignore[no-any-return]


# --- who may ------------------------------------------------------------------------------------


def test_own_asks_for_the_record_of_the_caller_s_organisation(clock: Ledger) -> None:
    clock.ok(MAKER, "make", "clock", item="a")
    assert clock.ok(MAKER, "change", "clock", item="a").result == ["a"]
    detail = clock.refused("NOT_AUTHORISED", WHOLESALER, "change", "clock", item="a")
    assert detail == "the maker of the record is another organisation"
    assert clock.refused("NOT_FOUND", MAKER, "change", "clock", item="b")
    assert clock.ok(MAKER, "share", "clock", item="a", holder="x").result == ["x"]
    assert clock.refused("NOT_AUTHORISED", PHARMACY, "share", "clock", item="a", holder="x")
    assert clock.refused("BAD_ARGUMENT", MAKER, "change", "clock", item=5)


def test_attributes_must_all_be_the_key_s(clock: Ledger) -> None:
    assert clock.refused("NOT_AUTHORISED", MAKER, "regional", "clock") == (
        "needs the attribute region EU"
    )
    genesis = {"identity": consortium()["identity"]}
    Ledger(Registry((Attributes, Clock)), genesis).ok(MAKER, "regional", "clock")


def test_some_methods_only_other_contracts_call(clock: Ledger) -> None:
    assert clock.refused("NOT_AUTHORISED", MAKER, "inner", "clock") == "only called by relay"
    assert clock.ok(MAKER, "run", "relay", method="inner").result == [["relay"]]


def test_the_schema_publishes_all_conditions() -> None:
    methods = Registry((Clock,)).schema()["clock"]["methods"]
    assert methods["change"]["own"] == ["lots", "item", "maker"]
    assert methods["share"]["own"] == ["shares", ["item", "holder"], "maker"]
    assert methods["regional"]["attributes"] == [["region", "EU"], ["grade", "A"]]
    assert methods["inner"]["contracts"] == ["relay"]
    assert methods["make"]["own"] is None
    assert "ring" not in methods


@pytest.mark.parametrize(
    "options",
    [
        {"own": ("nothing", "item", "maker")},
        {"own": ("lots", "other", "maker")},
        {"own": ("lots", "item", "nothing")},
        {"own": ("lots", ("item", "item"), "maker")},
        {"roles": "manufacturer"},
        {"roles": ("",)},
        {"contracts": ["relay"]},
        {"attributes": ("region", "EU")},
        {"attributes": (("region", "EU", "more"),)},
    ],
)
def test_conditions_that_make_no_sense_are_refused_at_once(options: dict[str, Any]) -> None:
    def declared() -> Registry:
        class Wrong(Contract):
            name = "wrong"
            lots = Map(Lot, key=("item",))

            @call(**options)
            def method(self, item: str) -> None:
                pass

        return Registry((Wrong,))

    with pytest.raises(TypeError):
        declared()


# --- calls that wait ---------------------------------------------------------------------------


def test_a_due_call_runs_by_itself_when_its_time_has_come(clock: Ledger) -> None:
    due_ms = clock.time_ms + 3000
    handle = result(clock, "wake", time_ms=due_ms, number=7)
    assert (clock.block(), clock.due_receipts) == ([], [])
    assert clock.block() == []
    (receipt,) = clock.due_receipts
    assert (receipt.code, receipt.result) == ("OK", ["clock", "ring"])
    assert receipt.events[0].fields == {"number": 7, "caller": b"", "organisation": ""}
    assert rung(clock) == 1
    clock.block()
    assert clock.due_receipts == [] and rung(clock) == 1
    assert send(clock, "stop", handle=handle).code == "DUE_UNKNOWN"


def test_due_calls_run_by_time_then_as_they_came(clock: Ledger) -> None:
    at = clock.time_ms + 10_000
    for number, time_ms in enumerate((at + 2, at, at + 1, at)):
        send(clock, "wake", time_ms=time_ms, number=number)
    clock.time_ms += 20_000
    clock.block()
    assert [one.events[0].fields["number"] for one in clock.due_receipts] == [1, 3, 2, 0]
    assert len({one.wire_id for one in clock.due_receipts}) == 4


def test_a_block_runs_a_bounded_number_and_the_next_the_others(clock: Ledger) -> None:
    wakes = [Call("clock", "wake", {"time_ms": 0, "number": n}) for n in range(DUE_CALLS_MAX + 3)]
    assert clock.block(clock.tx(seed_of(MAKER), *wakes))[0].code == "OK"
    assert rung(clock) == 0
    clock.block()
    assert rung(clock) == DUE_CALLS_MAX
    clock.block()
    assert rung(clock) == DUE_CALLS_MAX + 3


def test_a_timed_call_that_writes_identity_calls_others_all_the_same() -> None:
    ledger = Ledger(Registry((Reviving, Relay)), {"identity": consortium()["identity"]})
    ledger.ok(MAKER, "wake", "identity")
    ledger.block()
    assert [receipt.code for receipt in ledger.due_receipts] == ["OK"]


def test_a_call_that_a_due_call_makes_due_waits_for_the_next_block(clock: Ledger) -> None:
    send(clock, "wake", time_ms=0, method="again")
    for times in (1, 2, 3):
        clock.block()
        assert rung(clock) == times and len(clock.due_receipts) == 1


@pytest.mark.parametrize(
    ("method", "code"), [("refuses", "NO"), ("spins", "OUT_OF_STEPS"), ("ring", "OK")]
)
def test_a_due_call_is_atomic_has_its_own_budget_and_runs_once(
    clock: Ledger, method: str, code: str
) -> None:
    send(clock, "wake", time_ms=0, method=method)
    clock.block()
    (receipt,) = clock.due_receipts
    assert receipt.code == code and receipt.steps_used <= DUE_STEPS_MAX
    assert rung(clock) == (code == "OK")
    clock.block()
    assert clock.due_receipts == []
    assert [key for key in clock.state.values if decode_key(key)[:2] == ("due", "queue")] == []


def test_a_due_call_is_taken_back_by_its_contract_alone(clock: Ledger) -> None:
    handle = result(clock, "wake", time_ms=clock.time_ms + 50_000)
    for wrong in ("", "x", "1-1-1", "9" * 30 + "-0", handle + "0", "-1-0"):
        assert send(clock, "stop", handle=wrong).code == "DUE_UNKNOWN"
    overlay = Overlay(clock.state)
    with pytest.raises(ContractError):
        due.cancel(overlay, handle, "relay")
    assert send(clock, "stop", handle=handle).code == "OK"
    clock.time_ms += 100_000
    clock.block()
    assert clock.due_receipts == [] and rung(clock) == 0


def test_a_due_call_takes_back_one_that_is_due_in_the_same_block(clock: Ledger) -> None:
    at = clock.time_ms + 2000  # of the block after the next
    calls = [
        Call("clock", "wake", {"time_ms": 0, "method": "hush", "number": 1}),
        Call("clock", "wake", {"time_ms": at, "number": 1}),
        Call("clock", "wake", {"time_ms": at, "number": 2}),
    ]
    assert clock.block(clock.tx(seed_of(MAKER), *calls))[0].code == "OK"
    clock.block()
    assert [one.result for one in clock.due_receipts] == [["clock", "hush"], ["clock", "ring"]]
    assert clock.due_receipts[1].events[0].fields["number"] == 2
    assert rung(clock) == 1


def test_who_asks_for_times_long_gone_starves_nobody(clock: Ledger) -> None:
    again = {"time_ms": 0, "method": "again"}
    flood = [Call("clock", "wake", again | {"number": n}) for n in range(DUE_CALLS_MAX)]
    assert clock.block(clock.tx(seed_of(MAKER), *flood))[0].code == "OK"
    send(clock, "wake", time_ms=clock.time_ms, number=1)
    clock.block()
    clock.block()
    assert clock.due_receipts[0].result == ["clock", "ring"]


def test_calls_that_use_much_are_spread_over_blocks(clock: Ledger) -> None:
    args = {"time_ms": 0, "method": "spins"}
    wakes = [Call("clock", "wake", args | {"number": number}) for number in range(30)]
    assert clock.block(clock.tx(seed_of(MAKER), *wakes))[0].code == "OK"
    clock.block()
    assert len(clock.due_receipts) == DUE_BLOCK_STEPS_MAX // DUE_STEPS_MAX == 20
    clock.block()
    assert len(clock.due_receipts) == 10


def test_only_timed_methods_with_good_arguments_and_times_wait(clock: Ledger) -> None:
    assert send(clock, "wake", time_ms=0, method="make").code == "UNKNOWN_METHOD"
    assert send(clock, "wake", time_ms=0, method="nothing").code == "UNKNOWN_METHOD"
    assert send(clock, "wake", time_ms=-1).code == "DUE_TIME"
    assert send(clock, "bomb", where="due", levels=1).code == "BAD_ARGUMENT"
    assert clock.block(clock.tx(seed_of(MAKER), Call("clock", "ring", {"number": 1})))[0].code == (
        "UNKNOWN_METHOD"
    )


def test_a_block_s_outcome_is_the_same_each_time(clock: Ledger) -> None:
    send(clock, "wake", time_ms=0, number=1)
    outcomes = []
    for _ in range(2):
        executor = BlockExecutor(clock.registry, clock.state, clock.block_context())
        executor.begin()
        executor.finish()
        receipts = [one.raw for one in executor.due_receipts]
        outcomes.append((receipts, executor.due_write_sets, list(executor.changes.items())))
    assert outcomes[0] == outcomes[1] and len(outcomes[0][0]) == 1


# --- what a contract can't do --------------------------------------------------------------------


@pytest.mark.parametrize("where", ["emit", "put", "invoke", "result"])
def test_what_would_not_end_is_paid_for_as_it_goes(clock: Ledger, where: str) -> None:
    receipt = send(clock, "bomb", 200_000, where=where, levels=13)
    assert (receipt.code, receipt.steps_used) == ("OUT_OF_STEPS", 200_000)
    assert send(clock, "bomb", where=where, levels=40).code == "VALUE_TOO_LARGE"


def test_records_are_paid_for_before_they_are_converted(clock: Ledger) -> None:
    assert send(clock, "bomb", where="records").code == "VALUE_TOO_LARGE"
    assert send(clock, "bomb", where="roles").code == "ROLES"


@pytest.mark.parametrize("where", ["emit", "key", "value", "name", "result"])
def test_text_without_a_utf8_form_goes_nowhere(clock: Ledger, where: str) -> None:
    assert send(clock, "surrogate", where=where).code in ("VALUE_NOT_CANONICAL", "KEY_PART")


def test_a_refusal_s_text_has_a_utf8_form_and_its_code_is_none_of_ours(clock: Ledger) -> None:
    assert send(clock, "surrogate", where="detail").detail == "?"
    for code in ("OK", "", "lower", "A" * 65):
        receipt = send(clock, "pretend", code=code)
        assert (receipt.code, receipt.detail) == ("CONTRACT_FAULT", "")


def test_an_instance_lasts_one_call(clock: Ledger) -> None:
    keep = Call("clock", "keep", {})
    receipts = clock.block(clock.tx(seed_of(MAKER), keep, keep), clock.tx(seed_of(MAKER), keep))
    assert [receipt.result for receipt in receipts] == [[0, 0], [0]]


@pytest.mark.parametrize("sealed", [Clock, Lot, Contract, Record, Quantity])
def test_classes_do_not_change(sealed: Any) -> None:
    with pytest.raises(AttributeError):
        sealed.anything = 1
    with pytest.raises(AttributeError):
        sealed.name = "x"
    with pytest.raises(AttributeError):
        del sealed.__init__
    with pytest.raises(AttributeError):
        Lot("a").more = 1  # type: ignore[attr-defined]


def test_steps_are_the_same_whoever_was_looked_up_before(clock: Ledger) -> None:
    clock.ok(MAKER, "make", "clock", item="a")
    txs = [clock.tx(seed_of(MAKER), Call("clock", "change", {"item": "a"})) for _ in range(3)]
    together = clock.block(*txs[:2])
    alone = clock.block(txs[2])
    assert len({receipt.steps_used for receipt in (*together, *alone)}) == 1


def test_a_query_within_a_block_takes_nothing_from_a_transaction(clock: Ledger) -> None:
    executor = BlockExecutor(clock.registry, clock.state, clock.block_context())
    tx = clock.tx(seed_of(MAKER), Call("clock", "make", {"item": "a"}))
    used = executor.execute(tx).steps_used
    run_query(clock.registry, clock.state, clock.block_context(), "clock", "count", {})
    assert (
        BlockExecutor(clock.registry, clock.state, clock.block_context()).execute(tx).steps_used
        == used
    )
