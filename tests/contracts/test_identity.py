"""Organisations, keys and roles (DOMAIN section 4, Registry)."""

from __future__ import annotations

from typing import Any

import pytest

from consensus.primitives.crypto import public_key
from consensus.primitives.errors import InputError
from consensus.transaction import Call
from contracts.runtime.executor import bootstrap
from contracts.runtime.registry import builtin_registry
from contracts.system.identity import PERSON_ROLES, ROLES, TRADE_ROLES
from tests.contracts.ledger import (
    CONSORTIUM,
    MAKER,
    REGULATOR,
    WHOLESALER,
    Ledger,
    consortium,
    gln,
    seed_of,
)

NEW_SEED = b"n" * 32
NEW_KEY = public_key(NEW_SEED)
MAKER_KEY = public_key(seed_of(MAKER))


def identity(ledger: Ledger, organisation: str, method: str, /, **args: Any) -> str:
    return ledger.send(organisation, method, "identity", **args).code


def new_organisation(number: int = 9) -> dict[str, Any]:
    return {"id": gln(number), "name": "New", "admin_key": NEW_KEY, "roles": ["wholesaler"]}


def test_genesis_organisations_and_their_first_keys(ledger: Ledger) -> None:
    found = ledger.query("organisation", "identity", id=MAKER)
    assert (found["roles"], found["status"]) == (["manufacturer"], "ACTIVE")
    (key,) = ledger.query("key_list", "identity", organisation=MAKER)
    assert key["key"] == MAKER_KEY and key["roles"] == ["corporate_admin", "manufacturer"]
    assert len(ledger.query("organisation_list", "identity")) == 5


def test_section_0_item_8_roles() -> None:
    assert {"logistics_operator", "regulator"} <= set(TRADE_ROLES)
    assert {"compliance_officer", "corporate_admin", "bank_admin", "bank_officer", "nbfc_admin"} < (
        set(PERSON_ROLES)
    )
    assert len(set(ROLES)) == len(ROLES)


@pytest.mark.parametrize(
    "change",
    [
        {"id": MAKER},  # a GLN is unique
        {"id": "9521321000019"},
        {"admin_key": MAKER_KEY},
        {"roles": ["emperor"]},
    ],
)
def test_genesis_refuses_organisations_that_cannot_be(change: dict[str, Any]) -> None:
    registry = builtin_registry()
    args = consortium()
    args["identity"]["organisations"].append(new_organisation() | change)
    with pytest.raises(InputError) as caught:
        bootstrap(registry, Ledger(registry, {}).block_context(), args)
    assert caught.value.code == "GENESIS_INVALID"


def test_the_consortium_admits_and_nobody_else(ledger: Ledger) -> None:
    ledger.refused("NOT_AUTHORISED", MAKER, "add_organisation", "identity", **new_organisation())
    receipt = ledger.ok(CONSORTIUM, "add_organisation", "identity", **new_organisation())
    assert [event.name for event in receipt.events] == ["OrganisationRegistered", "KeyAdded"]
    again = new_organisation() | {"admin_key": bytes(32)}
    ledger.refused("ORGANISATION_KNOWN", CONSORTIUM, "add_organisation", "identity", **again)
    other = new_organisation(10)
    ledger.refused("KEY_KNOWN", CONSORTIUM, "add_organisation", "identity", **other)
    bad = new_organisation() | {"id": "9521321000019"}
    ledger.refused("BAD_ARGUMENT", CONSORTIUM, "add_organisation", "identity", **bad)


@pytest.mark.parametrize("id", [gln(9), "506700GE1G29325QX363", "DEUTDEFF500"])
def test_an_organisation_is_named_by_gln_lei_or_bic(ledger: Ledger, id: str) -> None:
    args = new_organisation() | {"id": id}
    ledger.ok(CONSORTIUM, "add_organisation", "identity", **args)
    assert ledger.query("organisation", "identity", id=id)["name"] == "New"


def test_an_unknown_key_signs_nothing(ledger: Ledger) -> None:
    receipt = ledger.block(ledger.tx(NEW_SEED, Call("identity", "revoke_key", {"key": NEW_KEY})))[0]
    assert receipt.code == "SENDER_UNKNOWN"


def test_an_added_key_acts_with_its_roles_alone(ledger: Ledger) -> None:
    ledger.ok(MAKER, "add_key", "identity", key=NEW_KEY, label="line 2", roles=["manufacturer"])
    item = {"item": "01/09521321000018/10/A", "quantity": {"amount": 1}}
    make = Call("batch", "commission", {"items": [item]})
    add = Call("identity", "add_key", {"key": bytes(32), "label": "x", "roles": []})
    receipts = ledger.block(ledger.tx(NEW_SEED, make), ledger.tx(NEW_SEED, add))
    assert [receipt.code for receipt in receipts] == ["OK", "NOT_AUTHORISED"]


def test_a_revoked_key_signs_nothing_later_not_even_in_the_same_block(ledger: Ledger) -> None:
    ledger.ok(MAKER, "add_key", "identity", key=NEW_KEY, label="x", roles=["corporate_admin"])
    observe = Call("batch", "observe", {"items": [{"item": "00/095213210000000179"}]})
    revoke = Call("identity", "revoke_key", {"key": NEW_KEY})
    receipts = ledger.block(
        ledger.tx(NEW_SEED, observe),
        ledger.tx(seed_of(MAKER), revoke),
        ledger.tx(NEW_SEED, observe),
    )
    assert [receipt.code for receipt in receipts] == ["UNKNOWN_ITEM", "OK", "KEY_REVOKED"]
    assert ledger.block(ledger.tx(NEW_SEED, observe))[0].code == "KEY_REVOKED"
    again = {"key": NEW_KEY, "label": "x", "roles": []}
    ledger.refused("KEY_KNOWN", MAKER, "add_key", "identity", **again)
    ledger.refused("KEY_REVOKED", MAKER, "revoke_key", "identity", key=NEW_KEY)


def test_a_role_revoked_in_the_same_block_is_gone(ledger: Ledger) -> None:
    ledger.ok(MAKER, "add_key", "identity", key=NEW_KEY, label="x", roles=["manufacturer"])
    item = {"item": "01/09521321000018/10/A", "quantity": {"amount": 1}}
    make = Call("batch", "commission", {"items": [item]})
    revoke = Call("identity", "revoke_role", {"key": NEW_KEY, "role": "manufacturer"})
    grant = Call("identity", "grant_role", {"key": NEW_KEY, "role": "manufacturer"})
    receipts = ledger.block(
        ledger.tx(NEW_SEED, make),
        ledger.tx(seed_of(MAKER), revoke),
        ledger.tx(NEW_SEED, make),
        ledger.tx(seed_of(MAKER), grant),
        ledger.tx(NEW_SEED, make),
    )
    assert [receipt.code for receipt in receipts] == ["OK", "OK", "NOT_AUTHORISED", "OK", "OK"]


def test_within_a_transaction_a_change_of_roles_counts_at_once(ledger: Ledger) -> None:
    item = {"item": "01/09521321000018/10/A", "quantity": {"amount": 1}}
    calls = (
        Call("batch", "commission", {"items": [item]}),
        Call("identity", "revoke_role", {"key": MAKER_KEY, "role": "manufacturer"}),
        Call("batch", "commission", {"items": [item]}),
    )
    assert ledger.block(ledger.tx(seed_of(MAKER), *calls))[0].code == "NOT_AUTHORISED"
    # It failed as a whole, so nothing was revoked.
    assert ledger.block(ledger.tx(seed_of(MAKER), calls[0]))[0].code == "OK"


def test_the_last_administrator_cannot_remove_itself(ledger: Ledger) -> None:
    for method, args in (
        ("revoke_key", {"key": MAKER_KEY}),
        ("revoke_role", {"key": MAKER_KEY, "role": "corporate_admin"}),
    ):
        ledger.refused("LAST_ADMINISTRATOR", MAKER, method, "identity", **args)
    ledger.ok(MAKER, "add_key", "identity", key=NEW_KEY, label="x", roles=["corporate_admin"])
    ledger.ok(MAKER, "revoke_key", "identity", key=MAKER_KEY)
    revoke = Call("identity", "revoke_key", {"key": NEW_KEY})
    assert ledger.block(ledger.tx(NEW_SEED, revoke))[0].code == "LAST_ADMINISTRATOR"


def test_organisations_manage_their_own_keys_only(ledger: Ledger) -> None:
    for method, args in (
        ("revoke_key", {"key": MAKER_KEY}),
        ("grant_role", {"key": MAKER_KEY, "role": "corporate_user"}),
        ("revoke_role", {"key": MAKER_KEY, "role": "manufacturer"}),
    ):
        ledger.refused("NOT_OWN_KEY", WHOLESALER, method, "identity", **args)


def test_a_trade_role_is_the_consortium_s_to_give(ledger: Ledger) -> None:
    role = {"key": MAKER_KEY, "role": "regulator"}
    ledger.refused("ROLE_NOT_HELD", MAKER, "grant_role", "identity", **role)
    ledger.ok(CONSORTIUM, "set_organisation_roles", "identity", id=MAKER, roles=["laboratory"])
    # The key's own role counts no longer, now that its organisation lost it.
    item = {"item": "01/09521321000018/10/A", "quantity": {"amount": 1}}
    assert "manufacturer" in ledger.refused("NOT_AUTHORISED", MAKER, "commission", items=[item])
    ledger.ok(MAKER, "grant_role", "identity", key=MAKER_KEY, role="laboratory")


def test_suspended_organisations_do_nothing_and_revoked_ones_never_again(ledger: Ledger) -> None:
    def set_status(by: str, status: str) -> str:
        return identity(ledger, by, "set_organisation_status", id=MAKER, status=status)

    assert set_status(WHOLESALER, "SUSPENDED") == "NOT_AUTHORISED"
    assert set_status(CONSORTIUM, "SUSPENDED") == "OK"
    assert identity(ledger, MAKER, "revoke_key", key=NEW_KEY) == "ORGANISATION_NOT_ACTIVE"
    assert set_status(REGULATOR, "ACTIVE") == "OK"
    assert identity(ledger, MAKER, "revoke_key", key=NEW_KEY) == "NOT_OWN_KEY"
    assert set_status(CONSORTIUM, "REVOKED") == "NOT_AUTHORISED"
    assert set_status(REGULATOR, "REVOKED") == "OK"
    assert set_status(REGULATOR, "ACTIVE") == "ORGANISATION_REVOKED"
    assert identity(
        ledger, REGULATOR, "set_organisation_status", id=REGULATOR, status="SUSPENDED"
    ) == ("OWN_ORGANISATION")
