from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from consensus.params import Params
from consensus.primitives.errors import InputError
from genesis.ceremony import Entry, add_entry, merge_seals, new_draft, seal
from tests.genesis.helpers import PACKAGES, TIME_MS, draft, entry, key, sealed, seed


def code_of(error: pytest.ExceptionInfo[InputError]) -> str:
    return error.value.code


def test_an_entry_survives_its_file(tmp_path: Path) -> None:
    path = tmp_path / "entry.json"
    for kind in ("validator", "full"):
        path.write_bytes(entry(1, kind=kind).file_bytes)
        assert Entry.load(path) == entry(1, kind=kind)


def test_the_order_of_adding_does_not_matter() -> None:
    document = new_draft("trade", TIME_MS, Params(), PACKAGES)
    for index in (3, 1, 4, 2, 1):
        document = add_entry(document, entry(index))
    assert add_entry(document, entry(5, kind="full")).chain_id == draft().chain_id


def test_nobody_enters_the_keys_of_others() -> None:
    mine = entry(1)
    assert mine.validator is not None
    stolen = replace(mine, validator=replace(mine.validator, consensus_key=key("n2 consensus")))
    assert len(stolen.mistakes()) == 3  # the old signatures cover another content
    with pytest.raises(InputError) as caught:
        stolen.signed({role: seed(f"n1 {role}") for role in ("admin", "network", "consensus")})
    assert code_of(caught) == "KEY_MISMATCH"
    with pytest.raises(InputError) as caught:
        add_entry(draft(), stolen)
    assert code_of(caught) == "ENTRY_INVALID"


def test_each_named_key_must_sign() -> None:
    for role in ("admin", "network", "consensus"):
        one = entry(1)
        partial = replace(
            one, signatures={name: s for name, s in one.signatures.items() if name != role}
        )
        assert partial.mistakes() == [f"signatures.{role}: is missing"]


def test_an_entry_for_another_consortium_or_with_a_foreign_node_is_refused() -> None:
    with pytest.raises(InputError) as caught:
        add_entry(draft(), entry(1, consortium="other"))
    assert code_of(caught) == "ENTRY_OTHER_CONSORTIUM"
    one, two = entry(1), entry(2)
    assert any("belongs to" in m for m in replace(one, validator=two.validator).mistakes())


def test_a_second_entry_under_one_name_must_be_the_same() -> None:
    changed = replace(entry(1), organisation=replace(entry(1).organisation, name="Other"))
    changed = changed.signed(
        {role: seed(f"n1 {role}") for role in ("admin", "network", "consensus")}
    )
    with pytest.raises(InputError) as caught:
        add_entry(draft(), changed)
    assert code_of(caught) == "ENTRY_CONFLICT"


def test_nothing_is_added_after_the_first_seal() -> None:
    document = seal(draft(), seed("n1 consensus"))
    with pytest.raises(InputError) as caught:
        add_entry(document, entry(1))
    assert code_of(caught) == "GENESIS_SEALED"


def test_only_a_validator_seals_and_only_a_good_document() -> None:
    with pytest.raises(InputError) as caught:
        seal(draft(), seed("n5 network"))
    assert code_of(caught) == "NOT_A_VALIDATOR"
    with pytest.raises(InputError) as caught:
        seal(replace(draft(), name="no spaces here"), seed("n1 consensus"))
    assert code_of(caught) == "GENESIS_INVALID"


def test_seals_made_apart_are_merged_and_bad_ones_left_out() -> None:
    copies = [seal(draft(), seed(f"n{index} consensus")) for index in (4, 2, 3, 1)]
    forged = replace(copies[0], seals=(replace(copies[0].seals[0], validator="n1"),))
    assert merge_seals(draft(), [forged]).seals == ()
    assert merge_seals(draft(), copies) == sealed()
    with pytest.raises(InputError) as caught:
        merge_seals(draft(), [replace(draft(), time_ms=TIME_MS + 1)])
    assert code_of(caught) == "GENESIS_DIFFERS"


def test_all_mistakes_of_an_entrys_file_are_named(tmp_path: Path) -> None:
    value = json.loads(entry(1).file_bytes)
    value["organisation"]["admin_key"] = "zz"
    value["validator"]["addresses"] = [5]
    value["more"] = 1
    path = tmp_path / "entry.json"
    path.write_text(json.dumps(value))
    with pytest.raises(InputError) as caught:
        Entry.load(path)
    assert code_of(caught) == "ENTRY_INVALID"
    for part in ("organisation.admin_key", "validator.addresses[0]", "more: is not a known field"):
        assert part in caught.value.message
