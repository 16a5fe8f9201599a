"""Field types: every one against every kind of value, and read back from its own schema."""

from __future__ import annotations

from typing import Annotated, Any, Final

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from consensus.primitives.codec import INT_MAX, INT_MIN, data_to_json, encode
from contracts.sdk import (
    BadValue,
    Bic,
    Blob,
    Bool,
    Choice,
    ContainerNumber,
    Currency,
    Date,
    DocumentHash,
    Gln,
    Gtin,
    Iban,
    Int,
    Item,
    Lei,
    LotNumber,
    Money,
    OrganisationId,
    Party,
    Personal,
    PublicKey,
    Quantity,
    Record,
    Size,
    Sscc,
    Text,
    Timestamp,
    UnLocode,
)
from contracts.sdk.fields import Field, field_of
from contracts.sdk.schemas import Anything, field_from
from contracts.sdk.values import plain


class Line(Record):
    """A record of several kinds."""

    gtin: Gtin
    quantity: Quantity
    note: Annotated[str, Text(20)] = "none"
    tags: Annotated[list[Annotated[str, Choice("A", "B")]], Size(3)] | None = None


FIELDS: Final[dict[str, Any]] = {
    "int": int,
    "Int": Annotated[int, Int(-5, 10)],
    "str": str,
    "Text": Annotated[str, Text(9, 2)],
    "pattern": Annotated[str, Text(9, 2, pattern="[A-Z]{2}[0-9]*(-.)?")],
    "bool": bool,
    "Bool": Annotated[bool, Bool()],
    "bytes": bytes,
    "Blob": Annotated[bytes, Blob(4, 2)],
    "Choice": Annotated[str, Choice("RED", "GREEN")],
    "Bic": Bic,
    "ContainerNumber": ContainerNumber,
    "Currency": Currency,
    "Date": Date,
    "DocumentHash": DocumentHash,
    "Gln": Gln,
    "Gtin": Gtin,
    "Iban": Iban,
    "Item": Item,
    "Lei": Lei,
    "LotNumber": LotNumber,
    "Money": Money,
    "OrganisationId": OrganisationId,
    "PublicKey": PublicKey,
    "Quantity": Quantity,
    "Sscc": Sscc,
    "Timestamp": Timestamp,
    "UnLocode": UnLocode,
    "Line": Line,
    "dict": dict[str, Any],
    "list": Annotated[list[Gln], Size(3, 1)],
    "plain list": list[int],
    "Maybe": Gtin | None,
    "Maybe Date": Date | None,
    "Party": Annotated[bytes, Party(Money)],
    "Personal": Annotated[bytes, Personal(Text(200))],
    "list of Personal": list[Annotated[bytes, Personal(Date)]],
}

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(INT_MIN, INT_MAX)
    | st.integers(19000101, 21001231)
    | st.text(max_size=40)
    | st.text("0123456789", max_size=20)
    | st.text("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-:/.()", max_size=40)
    | st.binary(max_size=40)
    | st.sampled_from(["9521321000018", "2026-01-31", "01/09521321000018/10/A", "RED", "EUR"]),
    lambda inner: st.lists(inner, max_size=4)
    | st.dictionaries(
        st.sampled_from(["amount", "unit", "minor", "currency", "gtin", "quantity", "x"]),
        inner,
        max_size=3,
    ),
    max_leaves=8,
)  # fmt: skip


def outcome(field: Field, value: Any) -> tuple[str, Any]:
    """What a field says to a value. Anything but an answer or BadValue is a failure."""
    try:
        return "taken", plain(field.check(value))[0]
    except BadValue as error:
        assert 0 < len(error.message) <= 600
        return "refused", error.message


MADE: Final = {name: field_of(hint) for name, hint in FIELDS.items()}
AGAIN: Final = {name: field_from(data_to_json(field.schema())) for name, field in MADE.items()}
JSON_SCHEMAS: Final = {
    name: jsonschema.Draft202012Validator(data_to_json(field.schema()))
    for name, field in MADE.items()
}


@given(VALUES)
def test_every_field_takes_or_refuses_every_canonical_value(value: Any) -> None:
    before = encode(value)
    for field in MADE.values():
        said, found = outcome(field, value)
        assert encode(value) == before  # the transaction's own values are not touched
        if said == "taken":
            assert outcome(field, found) == ("taken", found)  # one form, which stays
            assert field.load(field.store(field.check(value))) == field.check(value)


@given(VALUES)
def test_a_field_read_from_its_schema_judges_alike(value: Any) -> None:
    for name, field in MADE.items():
        expected, found = outcome(field, value), outcome(AGAIN[name], value)
        assert found[0] == expected[0], name
        if expected[0] == "taken":
            assert found == expected, name


@given(VALUES)
def test_what_a_field_takes_fits_its_json_schema(value: Any) -> None:
    for name, field in MADE.items():
        if outcome(field, value)[0] == "taken":
            JSON_SCHEMAS[name].validate(data_to_json(value))


@pytest.mark.parametrize("name", FIELDS)
def test_examples_are_taken_and_fit_the_schema_as_json(name: str) -> None:
    field, schema = MADE[name], MADE[name].schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    assert data_to_json(AGAIN[name].schema()) == data_to_json(schema)
    assert outcome(field, field.example())[0] == "taken"
    JSON_SCHEMAS[name].validate(data_to_json(field.example()))


@pytest.mark.parametrize(
    ("hint", "value", "reason"),
    [
        (Annotated[int, Int(1, 9)], True, "expected a whole number, got true or false"),
        (Annotated[int, Int(1, 9)], 0, "must be from 1 to 9"),
        (Annotated[str, Text(3, 3)], "four", "must have 3 characters"),
        (Annotated[str, Text(9, pattern="[A-Z]+")], "abc", "must match [A-Z]+"),
        (Annotated[bytes, Blob(32, 32)], "00", "expected bytes, got text"),
        (Gtin, "09521321000019", "not a valid GTIN: 8, 12, 13 or 14 digits"),
        (Gtin, 9521321000018, "expected a GTIN as text, got a whole number"),
        (Lei, "529900T8BM49AURSDO56", "not a valid LEI: 18 letters and digits and two check"),
        (Date, "31.01.2026", "a date is written YYYY-MM-DD"),
        (Timestamp, -1, "milliseconds since 1970"),
        (list[Gln], ["9521321000018", "x"], "item 1: not a valid GLN"),
        (Line, {"gtin": "96385074"}, "quantity is missing"),
        (Line, {"gtin": "96385074", "quantity": {"amount": 0}}, "quantity: amount: must be"),
        (Line, {"gtin": "96385074", "quantity": {"amount": 1}, "x": 1}, "unknown field x"),
        (dict[str, Any], [], "expected a map, got a list"),
        (Annotated[bytes, Personal(Text(9))], "Abebe", "a commitment of 32 bytes, got text"),
    ],
)
def test_refusals_say_what_was_expected(hint: Any, value: Any, reason: str) -> None:
    said, message = outcome(field_of(hint), value)
    assert (said, reason in message) == ("refused", True), message


@pytest.mark.parametrize(
    "declare",
    [
        lambda: Int(5, 1),
        lambda: Int(0, 2**64),
        lambda: Int("1", 5),  # type: ignore[arg-type]
        lambda: Text(-1),
        lambda: Text(5, 6),
        lambda: Text(2**21),
        lambda: Text(5, pattern=5),  # type: ignore[arg-type]
        lambda: Text(9, pattern="[a-z]{10}"),
        lambda: Text(9, pattern="(((a{1000}){1000}){1000}){1000}"),
        lambda: Blob(True),
        lambda: Choice(),
        lambda: Choice("A", 5),  # type: ignore[arg-type]
        lambda: Size(5000),
        lambda: Personal(5),
        lambda: field_of(float),
        lambda: field_of(set[int]),
        lambda: field_of(int | str),
        lambda: field_of("Gtin"),
        lambda: field_of(Annotated[bytes, Personal]),
    ],
)
def test_declarations_that_make_no_sense_are_refused_when_loaded(declare: Any) -> None:
    with pytest.raises(TypeError):
        declare()


def nested_records(levels: int, times: int) -> Any:
    """A record that holds the one before ``times`` over: its schema grows by that factor."""
    made: Any = Line
    for _ in range(levels):
        fields = {f"f{number}": made for number in range(times)}
        made = type(Record)("Level", (Record,), {"__annotations__": fields})
    return made


def test_a_schema_stays_so_small_that_it_can_be_shown() -> None:
    assert field_of(nested_records(6, 2)).weight < 1_000
    assert field_of(nested_records(10, 1)).depth == 12  # with Line, and the list in it
    lists: Any = int
    for _ in range(17):
        lists = list[lists]
    for hint, reason in (
        (nested_records(60, 2), "more than 2000 fields"),
        (nested_records(60, 1), "nested deeper than 16"),
        (lists, "nested deeper than 16"),
    ):
        with pytest.raises(TypeError, match=reason):
            field_of(hint)


@pytest.mark.parametrize(
    "schema",
    [{"type": "string", "format": "DNA"}, {"type": "number"}, {"visibility": "secret"},
     {"visibility": "party"}, {"anyOf": [{"type": "string"}, {"type": "integer"}]}],
)  # fmt: skip
def test_a_schema_that_no_field_has(schema: dict[str, Any]) -> None:
    with pytest.raises(TypeError):
        field_from(schema)


def test_no_type_at_all_takes_anything_canonical() -> None:
    assert isinstance(field_from({}), Anything)
    assert field_from({}).check({"a": [1, None]}) == {"a": [1, None]}
    with pytest.raises(BadValue):
        field_from({}).check(1.5)
