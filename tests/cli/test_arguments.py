from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cli.arguments import Parsed, parse_arguments, parse_value, shape_of
from consensus.primitives.codec import data_to_json, encode
from consensus.primitives.errors import InputError
from contracts.runtime.registry import builtin_registry
from contracts.sdk import Date, Gtin, Iban, Money, Party, Personal, Text, Timestamp, opens
from contracts.sdk.commitments import SALT_BYTES, commit
from contracts.sdk.fields import Maybe, field_of

SCHEMA: dict[str, Any] = {
    "shop": {
        "methods": {
            "buy": {
                "kind": "call",
                "args": {
                    "properties": {
                        "count": {"type": "integer"},
                        "gift": {"type": "boolean", "default": False},
                        "size": {"type": "string", "enum": ["S", "L"]},
                        "key": {"type": "object", "properties": {"hex": {"type": "string"}}},
                        "items": {"type": "array"},
                        "note": {"anyOf": [{"type": "string"}, {"type": "null"}]},
                    },
                    "required": ["count"],
                },
            },
            "price": {"kind": "query", "args": {"properties": {}, "required": []}},
        }
    }
}


def parse(*words: str) -> dict[str, Any]:
    return parse_arguments(SCHEMA, "shop", "buy", "call", words).args


def test_each_kind_of_argument() -> None:
    found = parse("count=-7", "gift=yes", "size=L", "key=00ff", 'items=[{"a": {"hex": "01"}}, 2]',
                  "note=a=b")  # fmt: skip
    assert found == {
        "count": -7,
        "gift": True,
        "size": "L",
        "key": b"\x00\xff",
        "items": [{"a": b"\x01"}, 2],
        "note": "a=b",
    }
    assert parse("count=1", "note=null") == {"count": 1, "note": None}
    assert parse("count=1", 'key={"hex": "aa"}') == {"count": 1, "key": b"\xaa"}


def test_every_mistake_is_named() -> None:
    with pytest.raises(InputError) as caught:
        parse("gift=perhaps", "size=M", "key=xyz", "items=[1.5]", "colour=red", "note", "size=S")
    assert caught.value.code == "BAD_ARGUMENT"
    for part in (
        "gift: 'perhaps' is neither true nor false",
        "size: must be one of S, L",
        "key: 'xyz' is not hex",
        "items: 1.5 is not a whole number",
        "colour: there is no such argument (known: count, gift, ",
        "'note' is neither name=value nor --name value",
        "count: is missing",
    ):
        assert part in caught.value.message


@pytest.mark.parametrize(
    ("schema", "text"),
    [
        ({"type": "integer"}, "1.0"),
        ({"type": "integer"}, "1" * 21),
        ({"type": "integer"}, "\u0661"),
        ({"type": "array"}, "[" * 50_000),
        ({"type": "array"}, "[NaN]"),
        ({"type": "object"}, "{"),
    ],
)
def test_what_is_no_value_of_its_type(schema: dict[str, Any], text: str) -> None:
    with pytest.raises(ValueError, match="is not"):
        parse_value(schema, text)


@pytest.mark.parametrize(
    ("contract", "method", "kind", "code"),
    [
        ("store", "buy", "call", "UNKNOWN_CONTRACT"),
        ("shop", "sell", "call", "UNKNOWN_METHOD"),
        ("shop", "buy", "query", "UNKNOWN_METHOD"),
    ],
)
def test_unknown_contracts_and_methods(contract: str, method: str, kind: str, code: str) -> None:
    with pytest.raises(InputError) as caught:
        parse_arguments(SCHEMA, contract, method, kind, ())
    assert caught.value.code == code


def test_the_real_contracts_schemas_can_be_read() -> None:
    schema = data_to_json(builtin_registry().schema())
    words = ["key=" + "ab" * 32, "--label", "shop", 'roles=["bank"]']
    found = parse_arguments(schema, "identity", "add_key", "call", words).args
    assert found == {"key": b"\xab" * 32, "label": "shop", "roles": ["bank"]}


REAL = data_to_json(builtin_registry().schema())
GOOD_ITEM = '{"item": "01/09521321000018/10/A1", "quantity": {"amount": 5, "unit": "EA"}}'


@pytest.mark.parametrize(
    ("pairs", "mistake"),
    [
        (["items=[]"], "items: must have 1 to 400 items"),
        (["items=[7]"], "items[0]: expected a map, got a whole number"),
        ([f'items=[{GOOD_ITEM}, {{"itm": "x"}}]'], "items[1].item: is missing"),
        ([f'items=[{GOOD_ITEM}, {{"itm": "x"}}]'], "items[1].itm: there is no such field"),
        (['items=[{"item": 5}]'], "items[0].item: expected a GS1 item as text, got a whole number"),
        (['items=[{"item": "x", "quantity": {"amount": true}}]'],
         "items[0].quantity.amount: expected a whole number, got true or false"),
        (['items=[{"item": "x", "quantity": {"amount": 0}}]'],
         "items[0].quantity.amount: must be from 1 to 1000000000000000"),
        ([f"items=[{GOOD_ITEM}]", 'event={"hash": "00"}'], 'event.hash: expected bytes, got text'),
        ([f"items=[{GOOD_ITEM}]", f"expiry={'1' * 11}"], "expiry: must have 0 to 10 characters"),
    ],
)  # fmt: skip
def test_mistakes_within_lists_and_objects_are_named(pairs: list[str], mistake: str) -> None:
    with pytest.raises(InputError) as caught:
        parse_arguments(REAL, "batch", "commission", "call", pairs)
    assert (caught.value.code, mistake in caught.value.message) == ("BAD_ARGUMENT", True)


def test_what_is_right_within_lists_and_objects_is_taken() -> None:
    pairs = [f"items=[{GOOD_ITEM}]", 'event={"id": "e1", "hash": {"hex": "00ff"}}', "lot=A1"]
    found = parse_arguments(REAL, "batch", "commission", "call", pairs).args
    assert found["event"] == {"id": "e1", "hash": b"\x00\xff"}
    nothing = parse_arguments(REAL, "batch", "commission", "call", [pairs[0], "event=null"]).args
    assert nothing["event"] is None
    with pytest.raises(InputError, match="key: must have 32 bytes"):
        parse_arguments(
            REAL, "identity", "add_key", "call", ["key=" + "ab" * 31, "label=x", "roles=[]"]
        )


def test_a_mistaken_argument_is_not_called_missing_too() -> None:
    with pytest.raises(InputError) as caught:
        parse_arguments(REAL, "batch", "split", "call", ["item=x", "parts=[nonsense"])
    assert "parts: is missing" not in caught.value.message


def test_shapes_are_shown_for_people() -> None:
    arguments = REAL["batch"]["methods"]["split"]["args"]["properties"]
    assert shape_of(arguments["parts"]) == '[{"lot": lot, "amount": number}, ...]'
    assert '["hash": {"hex": text}]' in shape_of(arguments["event"])


def test_options_and_pairs_mean_the_same() -> None:
    expected = {"count": 3, "gift": True, "size": "L", "note": "--x=y"}
    assert parse("count=3", "gift=true", "size=L", "note=--x=y") == expected
    assert parse("--count", "3", "--gift", "--size=L", "--note", "--x=y") == expected
    assert parse("--gift", "no", "--count=-7") == {"gift": False, "count": -7}
    assert parse("--gift", "count=3") == {"gift": True, "count": 3}
    with pytest.raises(InputError) as caught:
        parse("--count", "3", "--count=4", "--colour", "red", "--size")
    for part in ("count: is given twice", "colour: there is no such", "size: --size is given no"):
        assert part in caught.value.message


DEAL = data_to_json(
    {
        "deal": {
            "methods": {
                "make": {
                    "kind": "call",
                    "args": {
                        "properties": {
                            "price": field_of(Money).schema(),
                            "due": field_of(Date).schema(),
                            "at": Maybe(field_of(Timestamp)).schema(),
                            "account": field_of(Iban).schema(),
                            "contact": Personal(Text(40)).schema(),
                            "gtin": Party(Gtin).schema(),
                            "people": {"type": "array", "items": Personal(Date).schema()},
                        },
                        "required": [],
                    },
                }
            }
        }
    }
)


def deal(*words: str) -> Parsed:
    salts = iter(range(1, 9))
    return parse_arguments(
        DEAL, "deal", "make", "call", words, lambda: bytes([next(salts)]) * SALT_BYTES
    )


def test_money_and_dates_are_written_as_people_write_them() -> None:
    assert deal("price=12.50 EUR", "due=2030-01-31", "at=2030-01-31T12:00:00Z").args == {
        "price": {"minor": 1250, "currency": "EUR"},
        "due": "2030-01-31",
        "at": "2030-01-31T12:00:00Z",
    }
    assert deal('price={"minor": 5, "currency": "JPY"}', "due=20300131", "at=null").args == {
        "price": {"minor": 5, "currency": "JPY"},
        "due": 20300131,
        "at": None,
    }


@pytest.mark.parametrize(
    ("word", "mistake"),
    [
        ("price=12.5 EUR", "price: EUR has 2 digits behind the point"),
        ("price=1 XAU", "price: XAU is no currency"),
        ("price=-1 EUR", "price: money is written 12.50 EUR"),
        ('price={"minor": 5, "currency": "XXX"}', "price.currency: not a valid currency"),
        ("due=2030-02-30", "due: there is no such day"),
        ("at=2030-01-31T24:00:00Z", "at: there is no such time of day"),
        ("account=NL14RABO0377815500", "account: not a valid IBAN"),
        ("contact=" + "x" * 41, "contact: must have 1 to 40 characters"),
        ('contact={"commitment": "00"}', "contact: a commitment is 32 bytes as hex"),
        ("gtin=09521321000019", "gtin: not a valid GTIN"),
        ("contact=\ud800", "contact: is no text"),
        ('people=["\\ud800"]', "people[0]: is no text"),
        ('people=["2030-01-01", 7]', "people[1]: there is no such day"),
    ],
)
def test_check_digits_and_clear_values_are_checked_before_anything_is_signed(
    word: str, mistake: str
) -> None:
    with pytest.raises(InputError) as caught:
        deal(word)
    assert (caught.value.code, mistake in caught.value.message) == ("BAD_ARGUMENT", True)


def test_of_party_and_personal_values_only_commitments_come_back() -> None:
    found = deal("contact=Abebe Bikila", "gtin=96385074", 'people=["1980-01-31"]')
    contact, gtin, person = found.openings
    assert (contact.argument, contact.visibility, contact.value) == (
        "contact", "personal", "Abebe Bikila",
    )  # fmt: skip
    # In the one form that the contract knows: 14 digits, a number for a day.
    assert (gtin.visibility, gtin.value) == ("party", "00000096385074")
    assert (person.argument, person.value) == ("people[0]", 19800131)
    assert found.args == {
        "contact": contact.commitment,
        "gtin": gtin.commitment,
        "people": [person.commitment],
    }
    for one in found.openings:
        assert opens(one.commitment, one.salt, one.value)
    assert len({one.salt for one in found.openings}) == 3
    raw = encode(found.args)
    assert b"Abebe" not in raw and b"96385074" not in raw


def test_a_commitment_made_earlier_is_passed_on() -> None:
    earlier = commit(bytes(SALT_BYTES), "Abebe")
    found = deal("contact=" + json.dumps({"commitment": earlier.hex()}))
    assert (found.args, found.openings) == ({"contact": earlier}, ())


def test_a_schema_of_another_time_is_not_guessed_at() -> None:
    schema = {"a": {"methods": {"b": {"kind": "call", "args": {"required": [], "properties": {
        "c": {"type": "string", "format": "DNA"},
    }}}}}}  # fmt: skip
    with pytest.raises(InputError) as caught:
        parse_arguments(schema, "a", "b", "call", ["c=x"])
    assert caught.value.code == "SCHEMA_UNKNOWN"


EVERY = [
    (contract, method, declared)
    for contract, described in REAL.items()
    for method, declared in described["methods"].items()
]
SNIPPETS = st.sampled_from(
    ["null", "true", "-1", "99999999999999999999", "1.5", "[]", "{}", "[[]]", '{"hex": "0"}',
     '{"hex": "00"}', '[{"item": {}}]', "12.50 EUR", '{"commitment": 1}', "\ud800", "", "--", "="]
)  # fmt: skip


@given(st.data())
def test_any_words_give_arguments_or_a_named_mistake(data: st.DataObject) -> None:
    contract, method, declared = data.draw(st.sampled_from(EVERY))
    names = st.sampled_from([*declared["args"]["properties"], "nonsense"])
    pair = st.builds(lambda n, t: [f"{n}={t}"], names, SNIPPETS | st.text(max_size=20))
    option = st.builds(lambda n, t: [f"--{n.replace('_', '-')}", t], names, SNIPPETS)
    words = data.draw(st.lists(pair | option | SNIPPETS.map(lambda one: [one]), max_size=5))
    given_words = [word for one in words for word in one]
    try:
        parsed = parse_arguments(REAL, contract, method, declared["kind"], given_words)
    except InputError as error:
        assert error.code == "BAD_ARGUMENT"
        assert error.message.startswith(f"{contract}.{method}: ")
    else:
        assert set(declared["args"]["required"]) <= set(parsed.args)
        encode(parsed.args)
