from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consensus.params import Params
from consensus.primitives.errors import InputError
from contracts.runtime.registry import Registry
from genesis.document import (
    FILE_BYTES_MAX,
    GenesisDocument,
    address_mistake,
    organisation_id_mistake,
)
from genesis.reading import format_time, parse_time
from tests.genesis.helpers import TIME_MS, draft, entry, key, sealed


def reread(document: GenesisDocument, change: Callable[[Any], None]) -> str:
    """The complaint about the document's file after ``change`` to its JSON."""
    value = json.loads(document.file_bytes)
    change(value)
    with pytest.raises(InputError) as caught:
        GenesisDocument.from_file_bytes(json.dumps(value).encode(), "file")
    assert caught.value.code == "GENESIS_INVALID"
    return caught.value.message


def test_a_sealed_document_survives_its_file(tmp_path: Path) -> None:
    document = sealed()
    assert document.sealed
    assert document.mistakes() == []
    path = tmp_path / "genesis.json"
    path.write_bytes(document.file_bytes)
    again = GenesisDocument.load(path)
    assert again == document
    assert again.chain_id == document.chain_id
    assert GenesisDocument.decode(document.encode()) == document


def test_seals_do_not_change_the_chain_id_but_any_content_does() -> None:
    document = draft()
    assert sealed().chain_id == document.chain_id
    others = [
        replace(document, name="other"),
        replace(document, time_ms=TIME_MS + 1),
        replace(document, params=Params(block_txs_max=7)),
        replace(document, packages=document.packages[1:]),
        replace(document, validators=document.validators[::-1]),
        replace(document, peers=()),
    ]
    assert len({document.chain_id, *(other.chain_id for other in others)}) == 7


def test_the_validator_set_keeps_the_documents_order() -> None:
    document = sealed()
    members = document.validator_set().members
    assert [one.name for one in members] == ["n1", "n2", "n3", "n4"]
    assert members[0].key == key("n1 consensus")
    assert document.node_of(key("n5 network")) == document.peers[0]
    assert document.node_of(key("stranger")) is None


def test_a_changed_content_is_noticed() -> None:
    def change(value: Any) -> None:
        value["params"]["block_txs_max"] = 5

    assert "chain_id: is not the hash of this content" in reread(sealed(), change)


def test_every_mistake_of_form_is_named_at_once() -> None:
    def change(value: Any) -> None:
        value["format"] = "other/1"
        value["time"] = "yesterday"
        value["params"]["round_timeout_ms"] = 2.5
        value["params"]["turbo"] = 1
        value["validators"][0]["consensus_key"] = "00"
        del value["validators"][1]["addresses"]
        value["organisations"][2]["id"] = "4012345000008"
        value["peers"] = {}
        value["extra"] = 1

        files = value["contracts"][0]["files"]
        files[0]["lines"][3] = "two\nlines"
        files[1]["path"] = "../../etc/passwd"
        value["contracts"][1]["version"] = "2"

    message = reread(sealed(), change)
    for part in (
        "format: 'other/1' is not",
        "time: 'yesterday' is not a time",
        "params.round_timeout_ms: must be a whole number, not a number with a fraction",
        "params.turbo: is not a known field",
        "validators[0].consensus_key: must be 64 lower-case hex digits",
        "validators[1].addresses: is missing",
        "organisations.4012345000008: wrong check digit for a GLN",
        "peers: must be a list, not an object",
        "extra: is not a known field",
        "contracts[0].files[0].lines[3]: must be one line of printable text",
        "contracts[1].version: must be a whole number",
    ):
        assert part in message


def test_every_mistake_of_meaning_is_named_at_once() -> None:
    document = draft()
    first, second, third, _ = document.validators
    broken = replace(
        document,
        time_ms=1_790_000_000,
        params=Params(fault_model="hope", block_bytes_max=10),
        validators=(
            replace(first, addresses=()),
            replace(second, consensus_key=first.consensus_key, organisation="5412345000020"),
            replace(third, name="n1", network_key=bytes([2]) * 32, addresses=("host:0",)),
        ),
        peers=(replace(document.peers[0], kind="light"),),
    )
    text = "\n".join(broken.mistakes(sealed=False))
    for part in (
        "time: 1790000000 ms",
        "params.fault_model: 'hope'",
        "params.block_bytes_max: must be at least tx_bytes_max",
        "nodes: n1 stands 2 times",
        "validators.n1.addresses: a validator needs at least one",
        "validators.n2.organisation: 5412345000020 is not an organisation",
        "'host:0' is not host:port",
        "validators.n1.consensus_key and validators.n2.consensus_key: the same key",
        "is not an Ed25519 public key",
        "peers.n5.kind: 'light' is not 'full'",
    ):
        assert part in text


def test_a_contract_that_no_node_would_run_is_refused() -> None:
    """With the file, line and reason that its author needs."""
    document = draft()
    identity = document.packages[0]
    last = identity.files[-1]
    hostile = replace(last, text=last.text + "\nimport os\n")
    changed = replace(identity, files=(*identity.files[:-1], hostile))
    broken = replace(document, packages=(changed, *document.packages[1:]))
    (found,) = broken.mistakes(sealed=False)
    assert found.startswith("contracts.identity: ")
    assert f"{last.path}" in found
    assert str(last.text.count("\n") + 2) in found, "the line"
    twice = replace(document, packages=(*document.packages, identity))
    assert twice.mistakes(sealed=False) == ["contracts: identity stands 2 times"]
    without = replace(document, packages=document.packages[1:])
    assert "contracts: identity is missing" in without.mistakes(sealed=False)
    later = replace(identity, runtime=200)
    newer = replace(document, packages=(later, *document.packages[1:]))
    (found,) = newer.mistakes(sealed=False)
    assert "runtime 200" in found


def test_the_source_can_be_read_in_the_file() -> None:
    document = draft()
    value = json.loads(document.file_bytes)
    shown = {one["name"]: one for one in value["contracts"]}
    for package in document.packages:
        one = shown[package.name]
        assert (one["version"], one["runtime"]) == (package.version, package.runtime)
        for file, source in zip(one["files"], package.files, strict=True):
            assert file["path"] == source.path
            assert "\n".join(file["lines"]) == source.text
    assert "class Identity(" in document.file_bytes.decode()
    assert document.contracts_hash == Registry.of(document.packages).digest


@pytest.mark.parametrize(("model", "n"), [("byzantine", 3), ("crash", 2)])
def test_too_few_validators_for_the_fault_model(model: str, n: int) -> None:
    document = draft()
    small = replace(document, params=Params(fault_model=model), validators=document.validators[:n])
    assert any(one.startswith("validators: ") for one in small.mistakes(sealed=False))
    enough = replace(small, validators=document.validators[: n + 1])
    assert enough.mistakes(sealed=False) == []


def test_missing_wrong_and_foreign_seals() -> None:
    document = sealed()
    first, second, *rest = document.seals
    broken = replace(
        document,
        seals=(
            replace(first, signature=second.signature),
            replace(rest[0], validator="nobody"),
            rest[1],
        ),
    )
    assert not broken.sealed
    assert broken.seal_mistakes() == [
        "seals.n1: is not this validator's signature of this content",
        "seals.nobody: is not a validator",
        "seals.n2: is missing",
        "seals.n3: is missing",
    ]
    with pytest.raises(InputError, match=r"4 mistakes"):
        broken.checked()


@pytest.mark.parametrize(
    "raw",
    [b"", b"{", b"[]", b"null", b"\xff", b'{"name": 1, "name": 2}', b"[" * 100_000, b"NaN"],
)
def test_what_is_no_document_at_all(raw: bytes) -> None:
    with pytest.raises(InputError) as caught:
        GenesisDocument.from_file_bytes(raw, "file")
    assert caught.value.code == "GENESIS_INVALID"


def test_an_oversized_file_is_not_parsed(tmp_path: Path) -> None:
    path = tmp_path / "big.json"
    path.write_bytes(b" " * FILE_BYTES_MAX + b"{}")
    with pytest.raises(InputError, match=f"more than {FILE_BYTES_MAX} bytes"):
        GenesisDocument.load(path)
    with pytest.raises(InputError) as caught:
        GenesisDocument.load(tmp_path / "absent.json")
    assert caught.value.code == "FILE_NOT_READABLE"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=8,
)


@given(st.data())
def test_no_replaced_field_gets_past_as_something_else(data: st.DataObject) -> None:
    value = json.loads(SEALED_BYTES)
    place = data.draw(st.sampled_from(sorted(value)))
    value[place] = data.draw(JSON)
    try:
        read = GenesisDocument.from_file_bytes(json.dumps(value).encode(), "file")
    except InputError as error:
        assert error.code == "GENESIS_INVALID"
    else:
        assert read == sealed()


SEALED_BYTES = sealed().file_bytes


@pytest.mark.parametrize(
    "good",
    ["a.example:1", "127.0.0.1:65535", "[::1]:27000", "node-1:5"],
)
def test_good_addresses(good: str) -> None:
    assert address_mistake(good) is None


@pytest.mark.parametrize(
    "bad",
    [
        "a.example",
        "a:0",
        "a:65536",
        "a:x",
        ":5",
        "300.1.1.1:5",
        "[::g]:5",
        "-a:5",
        "a b:5",
        "::1:5",
    ],
)
def test_bad_addresses(bad: str) -> None:
    assert address_mistake(bad) is not None


def test_organisation_ids() -> None:
    good = ("4012345000009", "529900T8BM49AURSDO55", "DEUTDEFF", "DEUTDEFF500")
    assert [organisation_id_mistake(one) for one in good] == [None] * 4
    assert organisation_id_mistake("4012345000001") == "wrong check digit for a GLN"
    assert organisation_id_mistake("529900T8BM49AURSDO56") == "wrong check digits for an LEI"
    assert "is neither a GLN" in str(organisation_id_mistake("ACME"))


@given(st.integers(946_684_800_000, 4_102_444_800_000))
def test_times_survive_their_text(time_ms: int) -> None:
    assert parse_time(format_time(time_ms)) == time_ms


def test_times_need_an_offset() -> None:
    assert parse_time("2026-01-31T13:00:00+01:00") == parse_time("2026-01-31T12:00:00Z")
    with pytest.raises(ValueError, match="offset"):
        parse_time("2026-01-31T12:00:00")


def test_entries_make_the_same_document_in_any_order() -> None:
    assert entry(1).mistakes() == []
    assert [one.name for one in draft().validators] == ["n1", "n2", "n3", "n4"]
