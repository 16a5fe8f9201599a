"""Commitments: what stands on chain of party and personal values."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consensus.primitives.codec import encode
from contracts.sdk import BadValue, ContractError, Date, Gtin, Party, Personal, Record, Text, opens
from contracts.sdk.commitments import COMMITMENT_BYTES, SALT_BYTES, commit
from contracts.sdk.fields import field_of

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.text() | st.binary(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)
SALTS = st.binary(min_size=SALT_BYTES, max_size=SALT_BYTES)


class Person(Record):
    name: Annotated[str, Text(80)]
    born: Date


@given(SALTS, VALUES, SALTS, VALUES)
def test_a_commitment_opens_with_its_salt_and_value_and_nothing_else(
    salt: bytes, value: Any, other_salt: bytes, other: Any
) -> None:
    made = commit(salt, value)
    assert len(made) == COMMITMENT_BYTES
    assert opens(made, salt, value)
    is_same = encode([salt, value]) == encode([other_salt, other])
    assert opens(made, other_salt, other) == is_same


def test_the_bytes_of_a_commitment_are_golden() -> None:
    found = commit(bytes(range(16)), {"name": "Abebe", "born": 19320807})
    assert found.hex() == "1648122fba3f086d50b4e46e7434c16d25b699f9f23d7055d036cfa443e43ed4"
    specification = Path(__file__).parents[2] / "docs" / "spec" / "fields.md"
    assert found.hex() in specification.read_text(encoding="utf-8")
    # A record stands for the map of its fields.
    assert commit(bytes(range(16)), Person("Abebe", 19320807)) == found


@pytest.mark.parametrize("salt", [b"", bytes(15), bytes(17), "0" * 16, None])
def test_a_salt_has_sixteen_bytes(salt: Any) -> None:
    with pytest.raises(BadValue):
        opens(bytes(32), salt, "x")


def test_fields_publish_visibility_and_the_value_behind() -> None:
    personal = field_of(Annotated[bytes, Personal(Text(200))])
    assert personal.visibility == "personal"
    assert personal.schema() == {
        "type": "object",
        "properties": {"hex": {"type": "string", "pattern": "^(?:[0-9a-f]{2})*$"}},
        "required": ["hex"],
        "bytesMin": 32,
        "bytesMax": 32,
        "visibility": "personal",
        "value": {"type": "string", "minLength": 1, "maxLength": 200},
    }
    assert field_of(Annotated[bytes, Party(Gtin)]).schema()["value"] == field_of(Gtin).schema()
    assert field_of(Annotated[bytes, Party(Person)]).schema()["value"]["type"] == "object"
    assert "visibility" not in field_of(Gtin).schema()
    with pytest.raises(TypeError):
        Party(Personal(Text(5)))


@pytest.mark.parametrize("value", ["Abebe", b"Abebe", bytes(31), bytes(33), None, 7, ["x"], {}])
def test_nothing_in_clear_enters_an_argument_or_the_state(value: Any) -> None:
    field = Personal(Text(200))
    with pytest.raises(BadValue):
        field.check(value)
    with pytest.raises(ContractError) as caught:
        field.store(value)
    assert caught.value.code == "CLEAR_VALUE"
    made = commit(bytes(SALT_BYTES), "Abebe")
    assert field.check(made) == field.store(made) == made
