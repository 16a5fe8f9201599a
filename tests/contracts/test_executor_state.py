"""Maps, indexes, scans and values as contracts have them, against plain Python."""

from __future__ import annotations

import re
from typing import Annotated, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consensus.primitives.codec import decode, encode, encode_normal
from consensus.primitives.keys import decode_key
from consensus.receipt import Event, Receipt
from consensus.transaction import Call
from contracts.runtime import steps
from contracts.runtime.overlay import Overlay
from contracts.runtime.registry import Registry
from contracts.runtime.session import BlockContext, Session
from contracts.sdk import (
    Contract,
    ContractError,
    Counter,
    Index,
    Map,
    Quantity,
    Record,
    Size,
    call,
    migrate,
)
from contracts.sdk.records import plan_of
from contracts.sdk.state import Layout
from contracts.sdk.values import normal, plain
from tests.contracts.ledger import DictState, Ledger

BLOCK = BlockContext(bytes(32), 1, 0, bytes(32))


class Batch(Record):
    maker: str
    holder: str
    year: int
    parts: Annotated[list[Quantity], Size(3)]


class Store(Contract):
    """All kinds of state."""

    name = "store"

    batches = Map(Batch, key=("item",))
    by_holder = Index(batches, on=("holder",))
    by_year = Index("batches", on=("year", "maker"), hashed=("maker",))
    pairs = Map(int, key=("name", "number"))
    secret = Map(str, key=("name", "number"), hashed=("name",))
    total = Counter()

    @call
    def put(self, item: str, holder: str, year: int = 2026) -> None:
        self.batches.put(item, Batch("m", holder, year, []))

    @call
    def none(self) -> None:
        self.pairs.put(("a", 1), None)  # type: ignore[arg-type]

    @call
    def other(self) -> None:
        self.batches.put("a", Quantity(1))  # type: ignore[arg-type]

    @call
    def scan(self, count: int, limit: int | None = None) -> list[int]:
        found = []
        for value in self.pairs.values("a", limit=limit):
            found.append(value)
            if len(found) == count:
                break
        return found

    @migrate
    def move(self, from_version: int) -> None:
        for batch in list(self.batches.values()):
            self.batches.put(batch.maker, batch)


class Fixture:
    """The bound state of one call outside of any transaction."""

    def __init__(self) -> None:
        self.overlay = Overlay(DictState({}))
        registry = Registry((Store,))
        registry.meter.start(10**12)
        self.session = Session(registry, BLOCK)
        self.session.enter(self.overlay)
        module = registry.get("store")
        assert module is not None
        self.bound = self.session._frame(module).bound

    def __getattr__(self, name: str) -> Any:
        return self.bound[name]

    def entries(self, name: str) -> int:
        kept = [key for key, value in self.overlay.changes.items() if value is not None]
        return sum(decode_key(key)[1] == name for key in kept)


ITEMS = st.sampled_from(["a", "b", "c", "d"])
HOLDERS = st.sampled_from(["x", "y", ""])
CHANGES = st.lists(st.tuples(ITEMS, st.none() | st.tuples(HOLDERS, st.integers(2020, 2022))))


@given(CHANGES)
def test_indexes_follow_their_map(changes: list[tuple[str, tuple[str, int] | None]]) -> None:
    store, oracle = Fixture(), dict[str, tuple[str, int]]()
    for item, value in changes:
        if value is None:
            store.batches.delete(item)
            oracle.pop(item, None)
        else:
            store.batches.put(item, Batch("m", *value, parts=[Quantity(1)]))
            oracle[item] = value
    for holder in ("x", "y", ""):
        expected = sorted(item for item, value in oracle.items() if value[0] == holder)
        assert list(store.by_holder.keys(holder)) == expected
        assert [one.year for one in store.by_holder.values(holder)] == [
            oracle[item][1] for item in expected
        ]
    by_year = sorted(oracle, key=lambda item: (oracle[item][1], item))
    assert list(store.by_year.keys(())) == by_year
    assert list(store.by_year.keys((2021, "m"))) == [i for i in by_year if oracle[i][1] == 2021]
    assert store.entries("by_holder") == store.entries("by_year") == len(oracle)


@pytest.mark.parametrize(
    "wrong",
    [
        Batch("m", "y", 2021, parts=[Quantity(1)] * 20_000),
        Batch("m", "y", 2021, parts=[Quantity("x" * 70_000)]),  # type: ignore[arg-type]
        Batch("m" * 2000, "y", 2021, parts=[]),
        Batch("m", "y" * 100, 2021, parts=[]),
    ],
)
def test_a_put_that_is_refused_leaves_the_indexes_as_they_were(wrong: Batch) -> None:
    store = Fixture()
    store.batches.put("a", Batch("m", "x", 2020, parts=[Quantity(1)]))
    before = dict(store.overlay.changes)
    with pytest.raises(ContractError):
        store.batches.put("a", wrong)
    assert store.overlay.changes == before


@given(st.dictionaries(st.tuples(st.text(max_size=3), st.integers(-300, 300)), st.integers(0, 9)))
def test_scans_give_keys_and_values_in_order(model: dict[tuple[str, int], int]) -> None:
    store = Fixture()
    for key, value in model.items():
        store.pairs.put(key, value)
        store.secret.put(key, str(value))
    ordered = sorted(model, key=lambda key: (key[0].encode(), key[1]))
    assert list(store.pairs.items()) == [(key, model[key]) for key in ordered]
    assert list(store.pairs.keys()) == ordered
    assert list(store.pairs.values()) == [model[key] for key in ordered]
    assert sorted(store.secret.values()) == sorted(str(value) for value in model.values())
    for limit in (0, 1, 5):
        assert list(store.pairs.keys(limit=limit)) == ordered[:limit]
    for name in {name for name, _ in model}:
        assert list(store.pairs.keys(name)) == [key for key in ordered if key[0] == name]
        assert len(list(store.secret.values(name))) == len(list(store.pairs.keys(name)))


def test_a_map_with_hashed_parts_can_t_name_its_keys() -> None:
    store = Fixture()
    for scan in (store.secret.keys, store.secret.items):
        with pytest.raises(ContractError) as caught:
            scan()
        assert caught.value.code == "KEY_PART"


@pytest.mark.parametrize("key", [True, 1.5, None, (), ("a",), ("a", 1, 2), ("a", True), ["a"]])
def test_keys_have_as_many_parts_as_declared_each_of_a_good_type(key: Any) -> None:
    store = Fixture()
    for use in (store.pairs.get, store.pairs.delete, store.pairs.__contains__):
        with pytest.raises(ContractError) as caught:
            use(key)
        assert caught.value.code == "KEY_PART"


def test_long_keys_are_refused_before_they_are_hashed() -> None:
    store = Fixture()
    for name in ("x" * 97, "x" * 1_000_000, b"\0" * 60):
        for use in (store.pairs.get, store.pairs.values):
            with pytest.raises(ContractError) as caught:
                use((name, 1))
            assert caught.value.code == "KEY_TOO_LONG"
    assert store.secret.get(("x" * 1024, 1)) is None
    with pytest.raises(ContractError) as caught:
        store.secret.get(("x" * 1025, 1))
    assert caught.value.code == "KEY_TOO_LONG"


def test_a_map_keeps_its_own_type_of_value_and_no_none() -> None:
    ledger = Ledger(Registry((Store,)), {})
    for method in ("none", "other"):
        receipt = ledger.block(ledger.tx(bytes(32), Call("store", method, {})))[0]
        assert receipt.code == "VALUE_NOT_CANONICAL"


def test_a_scan_is_paid_for_by_the_entry_that_is_taken() -> None:
    store = Fixture()
    for number in range(50):
        store.pairs.put(("a", number), number)
    meter = store.session.meter

    def price(taken: int) -> int:
        before = meter.left
        scan = store.pairs.values("a")
        for _ in range(taken):
            next(scan)
        return int(before - meter.left)

    entry = price(1) - price(0)
    assert price(0) == steps.SCAN and entry == steps.READ + steps.READ_BYTE
    assert price(50) == steps.SCAN + 50 * entry


def test_counters_add_whole_numbers() -> None:
    store = Fixture()
    assert [store.total.value, store.total.add(), store.total.add(5), store.total.value] == (
        [0, 1, 6, 6]
    )
    with pytest.raises(ContractError):
        store.total.add(True)


@pytest.mark.parametrize(
    "declare",
    [
        lambda: Map(Batch, key=("a",), hashed=("b",)),
        lambda: Index("batches", on=()),
        lambda: Index("batches", on=("holder",), hashed=("maker",)),
        lambda: layout(index=Index("nothing", on=("holder",))),
        lambda: layout(index=Index("plain", on=("holder",))),
        lambda: layout(index=Index("batches", on=("nothing",))),
        lambda: type(Record)("Twice", (Batch,), {"__annotations__": {"maker": str}}),
    ],
)
def test_declarations_that_make_no_sense_are_refused_at_once(declare: Any) -> None:
    with pytest.raises(TypeError):
        declare()


@pytest.mark.parametrize(
    ("declare", "words"),
    [
        (lambda: Map(Batch), 'key=("item",)'),
        (lambda: Map(Batch, key="item"), 'key=("item",)'),  # type: ignore[arg-type]
        (lambda: Map(Batch, key=(1,)), "key is a tuple of names"),  # type: ignore[arg-type]
        (lambda: Map(Batch, key=("item",), hashed="item"), 'hashed=("item",)'),  # type: ignore[arg-type]
        (lambda: Index("batches"), "an index is on one field"),
        (lambda: Index("batches", on="holder"), 'on=("holder",)'),  # type: ignore[arg-type]
        (lambda: Index("batches", on=("holder",), hashed="holder"), 'hashed=("holder",)'),  # type: ignore[arg-type]
    ],
)
def test_a_declaration_without_names_says_how_to_write_them(declare: Any, words: str) -> None:
    with pytest.raises(TypeError, match=re.escape(words)):
        declare()


def layout(**declared: Any) -> Layout:
    maps = {"batches": Map(Batch, key=("item",)), "plain": Map(int, key=("item",))}
    return Layout(type("Some", (), {**maps, **declared}))


# --- records and values -------------------------------------------------------------------------


class Older(Record):
    name: str


class Later(Older):
    """A later version with one more field."""

    size: int = 7

    @property
    def double(self) -> int:
        return self.size * 2


def test_older_shorter_lists_still_load() -> None:
    assert plan_of(Later).load(["a"]) == Later("a", 7)
    assert plan_of(Later).load(["a", 3]).double == 6
    assert Later("a") == Later(name="a", size=7) != Later("b")
    assert plan_of(Later).names == ("name", "size")
    assert plan_of(Later).values(Later("a", 3)) == ("a", 3)


def test_records_in_records_come_back_as_they_went() -> None:
    store = Fixture()
    batch = Batch("m", "h", 1, [Quantity(5, "KGM"), Quantity(1)])
    store.batches.put("a", batch)
    assert store.batches.get("a") == batch
    (raw,) = [v for k, v in store.overlay.changes.items() if decode_key(k)[1] == "batches"]
    assert decode(raw, bytes_max=1000) == ["m", "h", 1, [[5, "KGM"], [1, "EA"]]]


SCALARS = st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.text() | st.binary()
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.lists(inner, max_size=4).map(tuple)
        | st.dictionaries(st.text(max_size=4), inner, max_size=4)
    ),
    max_leaves=20,
)


@given(VALUES)
def test_a_normal_value_has_the_canonical_bytes_without_a_second_look(value: Any) -> None:
    copy, size = plain(value)
    assert encode_normal(copy) == encode(value)
    assert size >= len(encode(value)) / 9
    assert size <= 10 * len(encode(value))


@given(VALUES)
def test_events_and_receipts_of_normal_values_have_the_bytes_of_any_others(value: Any) -> None:
    event = Event("a", "b", {"z": value, "a": value})
    receipt = Receipt(bytes(32), "OK", "", 1, (event,), [value])
    fields = normal(event.fields, lambda size: None)
    quick = Event.of_checked(contract="a", name="b", fields=fields)
    whole = Receipt.of_checked(
        wire_id=bytes(32), code="OK", detail="", steps_used=1, events=(quick,),
        result=normal([value], lambda size: None),
    )  # fmt: skip
    assert (quick.raw, whole.raw) == (event.raw, receipt.raw)
    assert Receipt.decode(whole.raw) == whole


@given(VALUES)
def test_every_part_of_a_value_is_taken_once(value: Any) -> None:
    parts: list[int] = []
    normal(value, parts.append)
    assert all(part > 0 for part in parts) or value in ([], (), {})
    assert sum(parts) == plain(value)[1]


def test_a_normal_value_is_a_copy_and_records_are_maps() -> None:
    inner = [1]
    copy = normal({"b": inner, "a": Quantity(2, "KGM")}, lambda size: None)
    inner.append(2)
    assert copy == {"a": {"amount": 2, "unit": "KGM"}, "b": [1]}
    assert list(copy) == ["a", "b"]


@pytest.mark.parametrize(
    "value",
    [1.5, {1: 2}, {"a": 1, 2: 3}, {1, 2}, object(), 2**64, -(2**63) - 1, "\ud800", {"\ud800": 1},
     [0] * 1025, {str(n): n for n in range(1025)}, int, Ellipsis, range(3), bytearray(b"x")],
)  # fmt: skip
def test_what_is_no_value_is_refused(value: Any) -> None:
    for wrapped in (value, [value], {"a": value}, (value,)):
        with pytest.raises(ContractError) as caught:
            normal(wrapped, lambda size: None)
        assert caught.value.code in ("VALUE_NOT_CANONICAL", "VALUE_TOO_LARGE")
