from __future__ import annotations

from typing import Any

import pytest

from cli.arguments import parse_arguments, parse_value, shape_of
from consensus.primitives.codec import data_to_json
from consensus.primitives.errors import InputError
from contracts.runtime.registry import builtin_registry

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


def parse(*pairs: str) -> dict[str, Any]:
    return parse_arguments(SCHEMA, "shop", "buy", "call", pairs)


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
        "size: 'M' is not one of S, L",
        "key: 'xyz' is not hex",
        "items: 1.5 is not a whole number",
        "colour: there is no such argument (known: count, gift, ",
        "'note' is not name=value",
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
    found = parse_arguments(
        schema, "identity", "add_key", "call", ["key=" + "ab" * 32, "label=shop", 'roles=["bank"]']
    )
    assert found == {"key": b"\xab" * 32, "label": "shop", "roles": ["bank"]}


REAL = data_to_json(builtin_registry().schema())
GOOD_ITEM = '{"item": "01/09521321000018/10/A1", "quantity": {"amount": 5, "unit": "EA"}}'


@pytest.mark.parametrize(
    ("pairs", "mistake"),
    [
        (["items=[]"], "items: has 0 entries, wanted are 1 to 400"),
        (["items=[7]"], "items[0]: 7 is not an object"),
        ([f'items=[{GOOD_ITEM}, {{"itm": "x"}}]'], "items[1].item: is missing"),
        ([f'items=[{GOOD_ITEM}, {{"itm": "x"}}]'], "items[1].itm: there is no such field"),
        (['items=[{"item": 5}]'], "items[0].item: 5 is not text"),
        (['items=[{"item": "x", "quantity": {"amount": true}}]'],
         "items[0].quantity.amount: true is not a whole number"),
        (['items=[{"item": "x", "quantity": {"amount": 0}}]'],
         "items[0].quantity.amount: is not within 1 to 1000000000000000"),
        ([f"items=[{GOOD_ITEM}]", 'event={"hash": "00"}'], 'event.hash: is not {"hex": "..."}'),
        ([f"items=[{GOOD_ITEM}]", f"expiry={'1' * 129}"], "expiry: has 129 characters"),
    ],
)  # fmt: skip
def test_mistakes_within_lists_and_objects_are_named(pairs: list[str], mistake: str) -> None:
    with pytest.raises(InputError) as caught:
        parse_arguments(REAL, "batch", "commission", "call", pairs)
    assert (caught.value.code, mistake in caught.value.message) == ("BAD_ARGUMENT", True)


def test_what_is_right_within_lists_and_objects_is_taken() -> None:
    pairs = [f"items=[{GOOD_ITEM}]", 'event={"id": "e1", "hash": {"hex": "00ff"}}', "lot=A1"]
    found = parse_arguments(REAL, "batch", "commission", "call", pairs)
    assert found["event"] == {"id": "e1", "hash": b"\x00\xff"}
    nothing = parse_arguments(REAL, "batch", "commission", "call", [pairs[0], "event=null"])
    assert nothing["event"] is None
    with pytest.raises(InputError, match="key: has 31 bytes, wanted are 32"):
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
