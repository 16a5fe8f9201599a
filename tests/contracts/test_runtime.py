"""The executor: atomic, metered, deterministic calls of contracts."""

from __future__ import annotations

import json
from typing import Annotated, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consensus.primitives.errors import InputError, LocalFault
from consensus.primitives.keys import encode_key
from consensus.transaction import Call
from contracts.runtime.executor import BlockExecutor, bootstrap, run_query
from contracts.runtime.registry import Registry, builtin_registry
from contracts.sdk import (
    Blob,
    Bool,
    Choice,
    Contract,
    ContractError,
    Counter,
    Date,
    DocumentHash,
    Gtin,
    Int,
    Map,
    Quantity,
    Record,
    Size,
    Text,
    call,
    genesis,
    query,
    refuse,
)
from contracts.sdk.methods import methods_of
from contracts.sdk.state import Layout
from tests.contracts.ledger import MAKER, Ledger, consortium, seed_of

SEED = bytes(32)


class Note(Record):
    text: Annotated[str, Text(20)]
    size: int = 0


class Toy(Contract):
    """A contract that does what tests ask of it."""

    name = "toy"

    notes = Map(Note, key=("key",))
    names = Map(str, key=("key", "number"), hashed=("key",))
    count = Counter()

    @genesis
    def found(self, first: str = "genesis") -> None:
        self.notes.put("first", Note(first))

    @call
    def put(self, key: str, text: str, size: int = 0) -> int:
        self.notes.put(key, Note(text, size))
        self.emit("Put", key=key, text=text)
        return self.count.add()

    @call
    def drop(self, key: str) -> None:
        self.notes.delete(key)

    @call
    def say_no(self) -> None:
        self.notes.put("no", Note("written before"))
        refuse("SAID_NO", "as asked")

    @call
    def fail(self, how: str) -> None:
        self.notes.put("failed", Note("written before"))
        raise {
            "value": ValueError("secret /path"),
            "assert": AssertionError("secret"),
            "memory": MemoryError(),
            "recursion": RecursionError(),
            "os": OSError("disk"),
            "system": SystemError(),
            "code": ContractError("lower case", "secret"),
        }[how]

    @call
    def spin(self) -> None:
        while True:
            self.count.add()

    @call
    def give(self, what: str) -> Any:
        return {
            "float": [1.5],
            "big": 2**64,
            "set": {"a"},
            "object": object(),
            "wide": [0] * 1025,
            "long": "x" * 300_000,
            "record": [Note("a", 1)],
        }[what]

    @call
    def keep(self, what: str) -> None:
        self.names.put(("k", 1), {"float": 1.5, "big": 2**64}[what])  # type: ignore[arg-type]

    @call
    def loud(self, times: int) -> None:
        for number in range(times):
            self.emit("Loud", number=number)

    @call
    def relay(self, chain: list[str], end: str = "put") -> Any:
        if chain:
            return self.invoke(chain[0], "relay", chain=chain[1:], end=end)
        return [*self.ctx.callers, end]

    @call
    def try_other(self, method: str) -> str:
        self.count.add()
        try:
            self.invoke("other", method)
        except ContractError as error:
            return error.code
        return "OK"

    @call
    def take(
        self,
        number: Annotated[int, Int(0, 10)] = 0,
        flag: Annotated[bool, Bool()] = False,
        word: Annotated[str, Choice("a", "b")] = "a",
        blob: Annotated[bytes, Blob(4, 2)] = b"12",
        gtin: Gtin = "09521321000018",
        day: Date = 20250101,
        hash: DocumentHash = bytes(32),
        notes: Annotated[list[Note], Size(2)] = [],  # noqa: B006
        quantity: Quantity | None = None,
        data: dict[str, Any] | None = None,
        numbers: list[int] = [],  # noqa: B006
    ) -> Any:
        if data is not None:
            data["changed"] = True
        return [number, gtin, day, [note.text for note in notes], quantity]

    @query
    def note(self, key: str) -> Note | None:
        return self.notes.get(key)

    @query
    def all_notes(self) -> list[Note]:
        return list(self.notes.values())

    @query
    def sneaky(self) -> None:
        self.notes.put("query", Note("wrote"))


class Other(Contract):
    """The other one."""

    name = "other"

    seen = Map(str, key=("key",))

    @call
    def write_and_refuse(self) -> None:
        self.seen.put("a", "written")
        self.emit("Wrote")
        refuse("OTHER_NO", "no")

    @call
    def write(self) -> None:
        self.seen.put("a", "written")
        self.emit("Wrote")

    @call
    def back(self) -> Any:
        return self.invoke("toy", "put", key="x", text="y")

    @call
    def relay(self, chain: list[str], end: str) -> Any:
        if chain:
            return self.invoke(chain[0], "relay", chain=chain[1:], end=end)
        return [*self.ctx.callers, end]


def chain_link(number: int) -> type[Contract]:
    class Link(Other):
        """One of many."""

        name = f"link{number}"

    return Link


@pytest.fixture
def toys() -> Ledger:
    links = [chain_link(number) for number in range(10)]
    return Ledger(Registry((Toy, Other, *links)), {"toy": {"first": "hello"}})


def run(toys: Ledger, method: str, steps_max: int = 1_000_000, /, **args: Any) -> Any:
    return toys.block(toys.tx(SEED, Call("toy", method, args), steps_max=steps_max))[0]


def ask(toys: Ledger, method: str, /, **args: Any) -> Any:
    return toys.query(method, "toy", **args)


def test_genesis_fills_block_0(toys: Ledger) -> None:
    assert ask(toys, "note", key="first") == {"text": "hello", "size": 0}


def test_genesis_refuses_unknown_contracts_and_bad_arguments() -> None:
    registry = Registry((Toy,))
    block = Ledger(registry, {}).block_context()
    for wrong in ({"nobody": {}}, {"toy": {"first": 1}}, {"toy": {"second": "x"}}):
        with pytest.raises(InputError) as caught:
            bootstrap(registry, block, wrong)
        assert caught.value.code == "GENESIS_INVALID"


def test_a_call_writes_emits_and_returns(toys: Ledger) -> None:
    receipt = run(toys, "put", key="a", text="b")
    assert (receipt.code, receipt.result) == ("OK", [1])
    assert receipt.events[0].to_json() == {
        "contract": "toy",
        "name": "Put",
        "fields": {"key": "a", "text": "b"},
    }
    assert [note["text"] for note in ask(toys, "all_notes")] == ["b", "hello"]


def test_a_transaction_is_atomic(toys: Ledger) -> None:
    before = dict(toys.state.values)
    good, bad = Call("toy", "put", {"key": "a", "text": "b"}), Call("toy", "say_no", {})
    receipt = toys.block(toys.tx(SEED, good, good, bad))[0]
    assert (receipt.code, receipt.detail) == ("SAID_NO", "as asked")
    assert receipt.events == () and receipt.result is None and receipt.steps_used > 0
    assert toys.state.values == before


def test_later_transactions_see_earlier_ones_of_the_block(toys: Ledger) -> None:
    put = Call("toy", "put", {"key": "a", "text": "b"})
    receipts = toys.block(
        toys.tx(SEED, put), toys.tx(SEED, Call("toy", "say_no", {})), toys.tx(SEED, put, put)
    )
    assert [receipt.result for receipt in receipts] == [[1], None, [2, 3]]


def test_unknown_contracts_and_methods(toys: Ledger) -> None:
    for contract, method, code in (
        ("nobody", "put", "UNKNOWN_CONTRACT"),
        ("toy", "nothing", "UNKNOWN_METHOD"),
        ("toy", "note", "UNKNOWN_METHOD"),
        ("toy", "found", "UNKNOWN_METHOD"),
        ("toy", "__init__", "UNKNOWN_METHOD"),
    ):
        receipt = toys.block(toys.tx(SEED, Call(contract, method, {})))[0]
        assert receipt.code == code


@pytest.mark.parametrize(
    ("args", "argument"),
    [
        ({"number": 11}, "number"),
        ({"number": True}, "number"),
        ({"number": "1"}, "number"),
        ({"flag": 1}, "flag"),
        ({"word": "c"}, "word"),
        ({"word": None}, "word"),
        ({"blob": b"1"}, "blob"),
        ({"blob": "12"}, "blob"),
        ({"gtin": "09521321000019"}, "gtin"),
        ({"gtin": 9521321000018}, "gtin"),
        ({"day": 20250230}, "day"),
        ({"day": "2025-02-30"}, "day"),
        ({"hash": bytes(31)}, "hash"),
        ({"notes": [{"text": "a"}] * 3}, "notes"),
        ({"notes": [{"size": 1}]}, "notes: item 0: text is missing"),
        ({"notes": [{"text": "a", "more": 1}]}, "notes: item 0: unknown field more"),
        ({"notes": [{"text": "a" * 21}]}, "notes: item 0: text"),
        ({"notes": {}}, "notes"),
        ({"quantity": {"amount": 0}}, "quantity: amount"),
        ({"quantity": {"amount": 1, "unit": "kilo"}}, "quantity: unit"),
        ({"quantity": []}, "quantity"),
        ({"data": []}, "data"),
        ({"numbers": [1, None]}, "numbers: item 1"),
        ({"nothing": 1}, "nothing: there is no such argument"),
    ],
)
def test_bad_arguments_name_method_argument_and_reason(
    toys: Ledger, args: dict[str, Any], argument: str
) -> None:
    receipt = run(toys, "take", **args)
    assert receipt.code == "BAD_ARGUMENT"
    assert receipt.detail.startswith(f"toy.take: {argument}")
    assert len(receipt.detail) > len(f"toy.take: {argument.split(':', maxsplit=1)[0]}: ")


def test_arguments_come_in_their_one_form(toys: Ledger) -> None:
    args = {
        "gtin": "9521321000018",
        "day": "2025-12-31",
        "notes": [{"text": "a"}],
        "quantity": {"amount": 5},
    }
    receipt = run(toys, "take", **args)
    quantity = {"amount": 5, "unit": "EA"}
    assert receipt.result == [[0, "09521321000018", 20251231, ["a"], quantity]]
    assert run(toys, "put", key="a").detail == "toy.put: text: is missing"


def test_a_contract_cannot_change_the_transaction(toys: Ledger) -> None:
    tx = toys.tx(SEED, Call("toy", "take", {"data": {"a": 1}}))
    assert toys.block(tx)[0].code == "OK"
    assert tx.body.calls[0].args == {"data": {"a": 1}}


@pytest.mark.parametrize("how", ["value", "assert", "code"])
def test_unexpected_exceptions_never_show_their_text(toys: Ledger, how: str) -> None:
    before = dict(toys.state.values)
    receipt = run(toys, "fail", how=how)
    assert (receipt.code, receipt.detail) == ("CONTRACT_FAULT", "")
    assert toys.state.values == before


@pytest.mark.parametrize("how", ["memory", "recursion", "os", "system"])
def test_faults_of_the_node_are_no_outcomes(toys: Ledger, how: str) -> None:
    executor = BlockExecutor(toys.registry, toys.state, toys.block_context())
    with pytest.raises(LocalFault) as caught:
        executor.execute(toys.tx(SEED, Call("toy", "fail", {"how": how})))
    assert caught.value.code == "NODE_FAULT"
    assert executor.changes == {}


def test_steps_bound_a_call_that_never_ends(toys: Ledger) -> None:
    before = dict(toys.state.values)
    receipt = run(toys, "spin", 100_000)
    assert (receipt.code, receipt.steps_used) == ("OUT_OF_STEPS", 100_000)
    assert toys.state.values == before


def test_steps_are_the_same_each_time_and_enough_is_enough(toys: Ledger) -> None:
    run(toys, "put", key="a", text="b")  # from now on there is a counter to read
    used = run(toys, "put", 60_000, key="a", text="b").steps_used
    assert run(toys, "put", 59_999, key="a", text="b").steps_used == used
    assert run(toys, "put", used, key="a", text="b").code == "OK"
    assert run(toys, "put", used - 1, key="a", text="b").code == "OUT_OF_STEPS"


@pytest.mark.parametrize("what", ["float", "big", "set", "object"])
def test_results_must_be_canonical(toys: Ledger, what: str) -> None:
    assert run(toys, "give", what=what).code == "VALUE_NOT_CANONICAL"


def test_results_are_bounded_and_records_become_maps(toys: Ledger) -> None:
    assert run(toys, "give", what="wide").code == "VALUE_TOO_LARGE"
    assert run(toys, "give", 10_000_000, what="long").code == "OUTPUT_TOO_LARGE"
    assert run(toys, "give", what="record").result == [[{"text": "a", "size": 1}]]


@pytest.mark.parametrize("what", ["float", "big"])
def test_state_values_must_be_canonical(toys: Ledger, what: str) -> None:
    assert run(toys, "keep", what=what).code == "VALUE_NOT_CANONICAL"


def test_events_are_counted(toys: Ledger) -> None:
    assert len(run(toys, "loud", 10_000_000, times=1024).events) == 1024
    assert run(toys, "loud", 10_000_000, times=1025).code == "TOO_MANY_EVENTS"


def test_contracts_call_each_other_and_callers_are_visible(toys: Ledger) -> None:
    assert run(toys, "relay", chain=["other"], end="x").result == [["toy", "x"]]


def test_call_depth_is_bounded(toys: Ledger) -> None:
    seven = [f"link{number}" for number in range(7)]
    assert run(toys, "relay", chain=seven).result == [["toy", *seven[:-1], "put"]]
    assert run(toys, "relay", chain=[*seven, "link7"]).code == "CALL_DEPTH"


def test_reentry_is_refused(toys: Ledger) -> None:
    assert run(toys, "try_other", method="back").result == ["REENTRY"]


def test_a_caught_refusal_leaves_nothing_of_the_inner_call(toys: Ledger) -> None:
    receipt = run(toys, "try_other", method="write_and_refuse")
    assert (receipt.result, receipt.events) == (["OTHER_NO"], ())
    assert encode_key("other", "seen", ("a",)) not in toys.state.values
    receipt = run(toys, "try_other", method="write")
    assert receipt.result == ["OK"] and len(receipt.events) == 1
    assert encode_key("other", "seen", ("a",)) in toys.state.values


def test_queries_change_nothing_and_name_their_errors(toys: Ledger) -> None:
    for method, args, code in (
        ("sneaky", {}, "READ_ONLY"),
        ("note", {}, "BAD_ARGUMENT"),
        ("put", {"key": "a", "text": "b"}, "UNKNOWN_METHOD"),
        ("nothing", {}, "UNKNOWN_METHOD"),
    ):
        with pytest.raises(InputError) as caught:
            ask(toys, method, **args)
        assert caught.value.code == code
    with pytest.raises(InputError) as caught:
        run_query(toys.registry, toys.state, toys.block_context(), "nobody", "x", {})
    assert caught.value.code == "UNKNOWN_CONTRACT"


PARTS = st.text(max_size=20) | st.binary(max_size=20) | st.integers(-(2**63), 2**64 - 1)


@given(PARTS, st.integers(0, 2**64 - 1))
def test_map_keys_are_the_codec_s(first: Any, second: int) -> None:
    from consensus.primitives.keys import digest_part

    class Host:
        def read(self, key: bytes, converts: bool = False) -> Any:
            found.append(key)

    found: list[bytes] = []
    Layout(Toy).bind("toy", Host())["names"].get((first, second))  # type: ignore[arg-type]
    assert found == [encode_key("toy", "names", (digest_part(first), second))]


def test_a_bool_is_no_part_of_a_key() -> None:
    class Host:
        def read(self, key: bytes, converts: bool = False) -> Any:
            return None

    with pytest.raises(ContractError) as caught:
        Layout(Toy).bind("toy", Host())["names"].get(("a", True))  # type: ignore[arg-type]
    assert caught.value.code == "KEY_PART"


def test_two_runs_of_a_block_agree_in_everything() -> None:
    outcomes = []
    for _ in range(2):
        ledger = Ledger(builtin_registry(), consortium())
        item = "01/09521321000018/10/A"
        quantity = {"amount": 5, "unit": "EA"}
        made = Call("batch", "commission", {"items": [{"item": item, "quantity": quantity}]})
        txs = [ledger.tx(seed_of(MAKER), made), ledger.tx(seed_of(MAKER), made)]
        executor = BlockExecutor(ledger.registry, ledger.state, ledger.block_context())
        receipts = [executor.execute(tx).raw for tx in txs]
        outcomes.append((receipts, list(executor.changes.items())))
    assert outcomes[0] == outcomes[1]


def test_the_schema_is_json_and_names_every_argument() -> None:
    schema = json.loads(json.dumps(builtin_registry().schema()))
    ship = schema["batch"]["methods"]["ship"]
    assert ship["kind"] == "call" and ship["args"]["required"] == ["items", "consignee"]
    assert ship["args"]["properties"]["consignee"]["format"] == "GLN, LEI or BIC"
    assert "found" not in schema["identity"]["methods"]
    for contract in schema.values():
        assert contract["doc"] and all(method["doc"] for method in contract["methods"].values())
    toy = Registry((Toy,)).schema()["toy"]["methods"]["take"]["args"]
    assert toy["properties"]["number"] == {
        "type": "integer",
        "minimum": 0,
        "maximum": 10,
        "default": 0,
    }


def test_the_digest_covers_names_versions_and_sources() -> None:
    digest = builtin_registry().digest
    assert len(digest) == 32 and digest == builtin_registry().digest
    assert digest != Registry((Toy,)).digest != Registry((Toy, Other)).digest

    class Newer(Toy):
        version = 2

    assert Registry((Toy,)).digest != Registry((Newer,)).digest


def test_a_method_whose_type_names_no_field_is_refused_at_once() -> None:
    class Wrong(Contract):
        name = "wrong"

        @call
        def method(self, value: float) -> None:
            pass

    with pytest.raises(TypeError):
        methods_of(Wrong)
