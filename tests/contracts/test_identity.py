"""Organisations, keys and roles (DOMAIN section 4, Registry)."""

from __future__ import annotations

from typing import Any

import pytest

from consensus.primitives.crypto import public_key
from consensus.primitives.errors import InputError
from consensus.transaction import Call
from contracts.runtime.executor import bootstrap
from contracts.runtime.registry import Registry, builtin_registry
from contracts.sdk import Contract, call
from contracts.sdk.methods import methods_of
from contracts.system.identity import Identity
from contracts.system.people import PERSON_ROLES, ROLES, TRADE_ROLES
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
    names = [event.name for event in receipt.events]
    assert names == ["OrganisationRegistered", "KeyAdded", "Written"]
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


def test_the_consortium_s_last_member_cannot_remove_itself(ledger: Ledger) -> None:
    args: dict[str, Any] = {"id": CONSORTIUM, "roles": ["manufacturer"]}
    ledger.refused("OWN_ORGANISATION", CONSORTIUM, "set_organisation_roles", "identity", **args)
    args["roles"].append("consortium_admin")
    ledger.ok(CONSORTIUM, "set_organisation_roles", "identity", **args)
    second = {"id": MAKER, "roles": ["consortium_admin"]}
    ledger.ok(CONSORTIUM, "set_organisation_roles", "identity", **second)
    ledger.ok(MAKER, "grant_role", "identity", key=MAKER_KEY, role="consortium_admin")
    ledger.ok(MAKER, "set_organisation_roles", "identity", id=CONSORTIUM, roles=[])


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


# --- attributes ------------------------------------------------------------------------------


def caller(ledger: Ledger, key: bytes) -> Any:
    return ledger.query("caller", "identity", key=key)


def test_a_key_has_attributes_that_its_administrator_gives(ledger: Ledger) -> None:
    region = [{"name": "region", "value": "EU"}]
    new = {"key": NEW_KEY, "label": "line 2", "roles": [], "attributes": region}
    ledger.ok(MAKER, "add_key", "identity", **new)
    assert caller(ledger, NEW_KEY) == {
        "organisation": MAKER,
        "roles": [],
        "attributes": {"region": "EU"},
    }
    us = {"key": NEW_KEY, "name": "region", "value": "US"}
    ledger.ok(MAKER, "set_attribute", "identity", **us)
    assert caller(ledger, NEW_KEY)["attributes"] == {"region": "US"}
    ledger.refused("NOT_OWN_KEY", WHOLESALER, "set_attribute", "identity", **us)
    set_own = Call("identity", "set_attribute", us)
    assert ledger.block(ledger.tx(NEW_SEED, set_own))[0].code == "NOT_AUTHORISED"
    gone = {"key": NEW_KEY, "name": "region"}
    ledger.ok(MAKER, "remove_attribute", "identity", **gone)
    assert caller(ledger, NEW_KEY)["attributes"] == {}
    ledger.refused("ATTRIBUTE_NOT_HELD", MAKER, "remove_attribute", "identity", **gone)


def test_attributes_are_bounded(ledger: Ledger) -> None:
    for number in range(16):
        args = {"key": MAKER_KEY, "name": f"a{number}", "value": "x" * 64}
        ledger.ok(MAKER, "set_attribute", "identity", **args)
    again = {"key": MAKER_KEY, "name": "a15", "value": "y"}
    ledger.ok(MAKER, "set_attribute", "identity", **again)
    more = {"key": MAKER_KEY, "name": "a16", "value": "x"}
    ledger.refused("TOO_MANY_ATTRIBUTES", MAKER, "set_attribute", "identity", **more)
    for bad in ({"name": "Region"}, {"value": "x" * 65}, {"value": ""}, {"value": 1}):
        ledger.refused("BAD_ARGUMENT", MAKER, "set_attribute", "identity", **(more | bad))


def test_a_call_may_ask_for_an_attribute_of_the_key() -> None:
    class Fair(Contract):
        name = "fair"

        @call(attributes=(("region", "EU"),))
        def enter(self) -> str:
            return self.ctx.attributes["region"]

    ledger = Ledger(Registry([Identity, Fair]), consortium())
    ledger.refused("NOT_AUTHORISED", MAKER, "enter", "fair")
    give = {"key": MAKER_KEY, "name": "region", "value": "US"}
    ledger.ok(MAKER, "set_attribute", "identity", **give)
    ledger.refused("NOT_AUTHORISED", MAKER, "enter", "fair")
    ledger.ok(MAKER, "set_attribute", "identity", **(give | {"value": "EU"}))
    assert ledger.ok(MAKER, "enter", "fair").result == ["EU"]


# --- people ----------------------------------------------------------------------------------

NAME = b"c" * 32  # the commitment to a person's name
OLD_SEED, OLD_KEY = b"o" * 32, public_key(b"o" * 32)
RECORD = b"r" * 32


def employ(ledger: Ledger, seed: bytes = OLD_SEED, user: str = "u-17", **args: Any) -> None:
    """A user of the maker with one key."""
    ledger.ok(MAKER, "add_user", "identity", id=user, name=NAME)
    new = {"key": public_key(seed), "label": "desk", "roles": ["corporate_user"], "user": user}
    ledger.ok(MAKER, "add_key", "identity", **(new | args))


def by(ledger: Ledger, seed: bytes, method: str, **args: Any) -> str:
    return ledger.block(ledger.tx(seed, Call("identity", method, args)))[0].code


def test_a_user_is_a_person_of_one_organisation(ledger: Ledger) -> None:
    employ(ledger)
    assert ledger.query("user_list", "identity", organisation=MAKER) == [
        {"organisation": MAKER, "id": "u-17", "name": NAME, "status": "ACTIVE"}
    ]
    ledger.refused("USER_KNOWN", MAKER, "add_user", "identity", id="u-17", name=bytes(32))
    ledger.ok(WHOLESALER, "add_user", "identity", id="u-17", name=bytes(32))
    key = {"key": NEW_KEY, "label": "x", "roles": [], "user": "u-18"}
    ledger.refused("UNKNOWN_USER", MAKER, "add_key", "identity", **key)
    ledger.refused("NOT_AUTHORISED", MAKER, "add_organisation", "identity", **new_organisation())


def test_rule_29_a_person_s_name_stands_here_as_a_commitment_alone(ledger: Ledger) -> None:
    for name in ("Ada Lovelace", b"Ada Lovelace", b"", None):
        ledger.refused("BAD_ARGUMENT", MAKER, "add_user", "identity", id="u-1", name=name)
    ledger.refused("BAD_ARGUMENT", MAKER, "add_user", "identity", id="Ada Lovelace", name=NAME)


def test_rule_27_a_key_never_passes_to_another_person(ledger: Ledger) -> None:
    employ(ledger)
    ledger.ok(MAKER, "add_user", "identity", id="u-18", name=NAME)
    other = {"key": OLD_KEY, "label": "x", "roles": [], "user": "u-18"}
    ledger.refused("KEY_KNOWN", MAKER, "add_key", "identity", **other)
    ledger.ok(MAKER, "revoke_key", "identity", key=OLD_KEY)
    ledger.refused("KEY_KNOWN", MAKER, "add_key", "identity", **other)
    ledger.refused("KEY_KNOWN", WHOLESALER, "add_key", "identity", **(other | {"user": None}))
    assert ledger.query("key", "identity", key=OLD_KEY)["user"] == "u-17"


def test_a_person_replaces_the_own_key_and_roles_and_attributes_go_over(ledger: Ledger) -> None:
    roles = ["corporate_admin", "manufacturer"]
    employ(ledger, roles=roles, attributes=[{"name": "region", "value": "EU"}])
    before = caller(ledger, OLD_KEY)
    assert by(ledger, OLD_SEED, "rotate_key", new=NEW_KEY) == "OK"
    assert caller(ledger, NEW_KEY) == before
    assert ledger.query("key", "identity", key=NEW_KEY)["user"] == "u-17"
    old = ledger.query("key", "identity", key=OLD_KEY)
    assert (old["status"], old["successor"]) == ("REPLACED", NEW_KEY)
    assert by(ledger, OLD_SEED, "rotate_key", new=bytes(32)) == "KEY_REVOKED"
    # Administrators are as many as before: two, so that one may go.
    assert ledger.query("organisation", "identity", id=MAKER)["administrators"] == 2
    assert by(ledger, NEW_SEED, "revoke_key", key=MAKER_KEY) == "OK"
    assert by(ledger, NEW_SEED, "revoke_key", key=NEW_KEY) == "LAST_ADMINISTRATOR"


def test_a_replaced_key_signs_nothing_later_in_the_same_block(ledger: Ledger) -> None:
    employ(ledger)
    rotate = Call("identity", "rotate_key", {"new": NEW_KEY})
    observe = Call("batch", "observe", {"items": [{"item": "00/095213210000000179"}]})
    receipts = ledger.block(
        ledger.tx(OLD_SEED, rotate), ledger.tx(OLD_SEED, observe), ledger.tx(NEW_SEED, observe)
    )
    assert [receipt.code for receipt in receipts] == ["OK", "KEY_REVOKED", "UNKNOWN_ITEM"]


def test_another_s_key_is_replaced_by_an_administrator_of_the_same_organisation_only(
    ledger: Ledger,
) -> None:
    employ(ledger)
    args = {"new": NEW_KEY, "key": OLD_KEY}
    ledger.refused("NOT_OWN_KEY", WHOLESALER, "rotate_key", "identity", **args)
    assert by(ledger, OLD_SEED, "rotate_key", new=NEW_KEY, key=MAKER_KEY) == "NOT_AUTHORISED"
    taken = args | {"new": public_key(seed_of(WHOLESALER))}
    ledger.refused("KEY_KNOWN", MAKER, "rotate_key", "identity", **taken)
    ledger.ok(MAKER, "rotate_key", "identity", **args)
    assert caller(ledger, NEW_KEY)["roles"] == ["corporate_user"]


def test_a_user_who_leaves_takes_all_keys_along(ledger: Ledger) -> None:
    employ(ledger)
    second = {"key": NEW_KEY, "label": "laptop", "roles": ["corporate_admin"], "user": "u-17"}
    ledger.ok(MAKER, "add_key", "identity", **second)
    lost = second | {"key": b"l" * 32}
    ledger.ok(MAKER, "add_key", "identity", **lost)
    ledger.ok(MAKER, "revoke_key", "identity", key=b"l" * 32)  # not ended twice below
    receipt = ledger.ok(MAKER, "revoke_user", "identity", id="u-17")
    assert [event.name for event in receipt.events].count("KeyRevoked") == 2
    for key in (OLD_KEY, NEW_KEY):
        with pytest.raises(InputError, match="KEY_REVOKED"):
            caller(ledger, key)
    assert caller(ledger, MAKER_KEY)["organisation"] == MAKER
    ledger.refused("USER_REVOKED", MAKER, "revoke_user", "identity", id="u-17")
    assert ledger.query("organisation", "identity", id=MAKER)["administrators"] == 1
    third = second | {"key": b"3" * 32}
    ledger.refused("USER_REVOKED", MAKER, "add_key", "identity", **third)


IDENTITY_CALLS = {name: one for name, one in methods_of(Identity).items() if one.kind == "call"}


@pytest.mark.parametrize("method", IDENTITY_CALLS)
def test_a_contract_on_the_way_uses_nobody_s_authority(method: str) -> None:
    class Trap(Contract):
        name = "trap"

        @call
        def spring(self, method: str, args: dict[str, Any]) -> None:
            self.invoke("identity", method, **args)

    with_trap = Ledger(Registry([Identity, Trap]), consortium())
    declared = IDENTITY_CALLS[method]
    args = {name: field.example() for name, field in declared.fields.items()}
    sender = {"regulator": REGULATOR, "consortium_admin": CONSORTIUM}.get(
        next(iter(declared.roles), ""), MAKER
    )
    detail = with_trap.refused("ONLY_DIRECT", sender, "spring", "trap", method=method, args=args)
    assert "trap" in detail


# --- a regulator's read and hold -------------------------------------------------------------


def test_a_regulator_holds_an_organisation_and_only_a_regulator_lifts_it(ledger: Ledger) -> None:
    hold = {"id": MAKER, "reason": "inspection"}
    ledger.refused("NOT_AUTHORISED", CONSORTIUM, "hold_organisation", "identity", **hold)
    ledger.ok(REGULATOR, "hold_organisation", "identity", **hold)
    ledger.refused("ALREADY_HELD", REGULATOR, "hold_organisation", "identity", **hold)
    assert ledger.query("is_active", "identity", id=MAKER) is False
    code = ledger.send(MAKER, "observe", items=[{"item": "00/095213210000000179"}]).code
    assert code == "ORGANISATION_HELD"
    ledger.refused("NOT_AUTHORISED", CONSORTIUM, "lift_organisation_hold", "identity", id=MAKER)
    # The consortium's word changes the status, not the hold.
    status = {"id": MAKER, "status": "ACTIVE"}
    ledger.ok(CONSORTIUM, "set_organisation_status", "identity", **status)
    assert identity(ledger, MAKER, "revoke_key", key=NEW_KEY) == "ORGANISATION_HELD"
    ledger.ok(REGULATOR, "lift_organisation_hold", "identity", id=MAKER)
    assert identity(ledger, MAKER, "revoke_key", key=NEW_KEY) == "NOT_OWN_KEY"
    ledger.refused("NOT_HELD", REGULATOR, "lift_organisation_hold", "identity", id=MAKER)


def test_a_regulator_holds_a_key_which_no_rotation_escapes(ledger: Ledger) -> None:
    employ(ledger)
    hold = {"key": OLD_KEY, "reason": "stolen?"}
    ledger.refused("NOT_AUTHORISED", MAKER, "hold_key", "identity", **hold)
    ledger.ok(REGULATOR, "hold_key", "identity", **hold)
    assert by(ledger, OLD_SEED, "rotate_key", new=NEW_KEY) == "KEY_HELD"
    args = {"new": NEW_KEY, "key": OLD_KEY}
    ledger.refused("KEY_HELD", MAKER, "rotate_key", "identity", **args)
    ledger.refused("ALREADY_HELD", REGULATOR, "hold_key", "identity", **hold)
    ledger.refused("NOT_AUTHORISED", MAKER, "lift_key_hold", "identity", key=OLD_KEY)
    ledger.ok(REGULATOR, "lift_key_hold", "identity", key=OLD_KEY)
    assert by(ledger, OLD_SEED, "rotate_key", new=NEW_KEY) == "OK"
    ledger.refused("NOT_HELD", REGULATOR, "lift_key_hold", "identity", key=OLD_KEY)
    ledger.refused("UNKNOWN_KEY", REGULATOR, "lift_key_hold", "identity", key=bytes(32))


def test_a_regulator_does_not_hold_its_own(ledger: Ledger) -> None:
    own = {"id": REGULATOR, "reason": "x"}
    ledger.refused("OWN_ORGANISATION", REGULATOR, "hold_organisation", "identity", **own)
    key = {"key": public_key(seed_of(REGULATOR)), "reason": "x"}
    ledger.refused("OWN_ORGANISATION", REGULATOR, "hold_key", "identity", **key)


def test_parties_and_regulators_may_read_party_data(ledger: Ledger) -> None:
    def may_read(key: bytes) -> bool:
        parties = [MAKER, WHOLESALER]
        answer: bool = ledger.query("may_read", "identity", key=key, parties=parties)
        return answer

    assert may_read(MAKER_KEY)
    assert may_read(public_key(seed_of(REGULATOR)))
    assert not may_read(public_key(seed_of(CONSORTIUM)))
    assert not may_read(NEW_KEY)
    ledger.ok(REGULATOR, "hold_organisation", "identity", id=MAKER, reason="x")
    assert not may_read(MAKER_KEY)


# --- electronic signatures -------------------------------------------------------------------


def test_rule_26_a_signature_shows_name_time_and_meaning(ledger: Ledger) -> None:
    employ(ledger)
    assert by(ledger, OLD_SEED, "sign_record", record_hash=RECORD, meaning="review") == "OK"
    first_time = ledger.time_ms
    assert by(ledger, OLD_SEED, "sign_record", record_hash=RECORD, meaning="approval") == "OK"
    first, second = ledger.query("signatures", "identity", record_hash=RECORD)
    assert first == {
        "record": RECORD,
        "key": OLD_KEY,
        "organisation": MAKER,
        "user": "u-17",
        "name": NAME,
        "meaning": "review",
        "time": first_time,
        "height": ledger.height - 1,
    }
    assert (second["meaning"], second["time"]) == ("approval", ledger.time_ms)
    assert by(ledger, OLD_SEED, "sign_record", record_hash=RECORD, meaning="fun") == "BAD_ARGUMENT"


def test_rule_27_a_signature_is_bound_to_the_record_s_hash_and_never_overwritten(
    ledger: Ledger,
) -> None:
    employ(ledger)
    assert by(ledger, OLD_SEED, "sign_record", record_hash=RECORD, meaning="review") == "OK"
    (before,) = ledger.query("signatures", "identity", record_hash=RECORD)
    again = by(ledger, OLD_SEED, "sign_record", record_hash=RECORD, meaning="review")
    assert again == "ALREADY_SIGNED"
    assert ledger.query("signatures", "identity", record_hash=bytes(32)) == []
    ledger.ok(MAKER, "revoke_user", "identity", id="u-17")
    assert ledger.query("signatures", "identity", record_hash=RECORD) == [before]


def test_a_machine_gives_no_electronic_signature(ledger: Ledger) -> None:
    args = {"record_hash": RECORD, "meaning": "review"}
    ledger.refused("NO_PERSON", MAKER, "sign_record", "identity", **args)
