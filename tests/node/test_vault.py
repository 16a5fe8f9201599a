"""Openings at a node: kept encrypted, erased, given to those entitled, asked for by signature."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from consensus.primitives.crypto import public_key
from consensus.primitives.errors import HansaError, InputError, LocalFault, PeerFault
from contracts.sdk.commitments import commit
from contracts.system.vault import Entry
from node.vault import door as doors
from node.vault import store as stores
from node.vault.door import AHEAD_MS, FRESH_MS, RATE_PER_MINUTE, Door, Request
from node.vault.giving import may_give
from node.vault.parcels import OPENINGS_MAX, Opening, seal, unseal
from node.vault.store import KEY_CHECK, Held, VaultStore

KEY = bytes(range(32))
SECRET = "CHF 1'250'000 for 40 tons of Robusta"
CHAIN = b"\x07" * 32
SEEDS = {name: bytes([number]) * 32 for number, name in enumerate(("bank", "buyer", "rival"), 1)}
KEYS = {name: public_key(seed) for name, seed in SEEDS.items()}


def held(value: Any = SECRET, *, author: str = "buyer", salt: int = 1) -> Held:
    salted = salt.to_bytes(16, "big")
    return Held(commit(salted, value), salted, value, author, 1_700_000_000_000)


def entries(folder: Path) -> list[Path]:
    return sorted(folder.glob("??/*"))


def on_disk(folder: Path) -> bytes:
    """All entries' bytes."""
    return b"".join(path.read_bytes() for path in entries(folder))


def code_of(act: Any, *args: Any, **named: Any) -> str:
    with pytest.raises(HansaError) as caught:
        act(*args, **named)
    return caught.value.code


# --- at rest ---------------------------------------------------------------------------------


def test_what_was_put_is_there_after_a_restart(tmp_path: Path) -> None:
    kept = [held({"price": number, "note": SECRET}, salt=number) for number in range(5)]
    vault = VaultStore(tmp_path, KEY)
    assert all(vault.put(one) for one in kept)
    assert not vault.put(kept[0])
    again = VaultStore(tmp_path, KEY)
    assert len(again) == 5
    assert [again.get(one.commitment) for one in kept] == kept
    assert sorted(one.salt for one in again.all()) == sorted(one.salt for one in kept)


def test_neither_value_nor_commitment_stands_on_disk(tmp_path: Path) -> None:
    one = held()
    VaultStore(tmp_path, KEY).put(one)
    raw = on_disk(tmp_path)
    names = "".join(path.name for path in tmp_path.rglob("*"))
    assert len(raw) > len(one.encoded())
    for clear in (SECRET.encode(), one.salt, one.commitment, b"buyer", KEY):
        assert clear not in raw
    assert one.commitment.hex()[:16] not in names


def test_another_key_is_refused_and_opens_nothing(tmp_path: Path) -> None:
    one = held()
    VaultStore(tmp_path, KEY).put(one)
    assert code_of(VaultStore, tmp_path, bytes(32)) == "VAULT_KEY_WRONG"
    (tmp_path / KEY_CHECK).unlink()  # as in a backup of the entries alone
    other = VaultStore(tmp_path, bytes(32))
    assert other.get(one.commitment) is None  # not even the name is found
    assert code_of(lambda: list(other.all())) == "VAULT_CORRUPT"


def test_every_changed_byte_is_noticed(tmp_path: Path) -> None:
    one = held()
    vault = VaultStore(tmp_path, KEY)
    vault.put(one)
    (path,) = entries(tmp_path)
    whole = path.read_bytes()
    for at in range(len(whole)):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        with pytest.raises(LocalFault):
            vault.get(one.commitment)
    path.write_bytes(whole)
    assert vault.get(one.commitment) == one


def test_an_opening_under_another_s_name_is_noticed(tmp_path: Path) -> None:
    vault = VaultStore(tmp_path, KEY)
    first, second = held(salt=1), held(salt=2)
    vault.put(first)
    before = set(entries(tmp_path))
    vault.put(second)
    (path,) = set(entries(tmp_path)) - before
    path.write_bytes(before.pop().read_bytes())
    assert code_of(vault.get, second.commitment) == "VAULT_CORRUPT"


def test_only_what_opens_its_commitment_is_kept(tmp_path: Path) -> None:
    vault = VaultStore(tmp_path, KEY)
    one = held()
    for wrong in (
        Held(one.commitment, one.salt, SECRET + " ", "buyer", 0),
        Held(one.commitment, bytes(16), SECRET, "buyer", 0),
        Held(one.commitment, one.salt[:15], SECRET, "buyer", 0),
    ):
        assert code_of(vault.put, wrong) == "OPENING_WRONG"
    assert len(vault) == 0


def test_size_and_number_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    vault = VaultStore(tmp_path, KEY)
    assert code_of(vault.put, held("x" * stores.VALUE_BYTES_MAX)) == "OPENING_TOO_LARGE"
    longest = held("x" * (stores.VALUE_BYTES_MAX - 5))
    assert vault.put(longest)
    assert vault.get(longest.commitment) == longest
    monkeypatch.setattr(stores, "ENTRIES_MAX", 2)
    assert vault.put(held(salt=2))
    assert code_of(vault.put, held(salt=3)) == "VAULT_FULL"
    assert vault.erase(longest.commitment)
    assert vault.put(held(salt=3))


# --- erasure ---------------------------------------------------------------------------------


def test_an_erased_opening_s_bytes_are_gone_and_the_others_stay(tmp_path: Path) -> None:
    vault = VaultStore(tmp_path, KEY)
    first, second = held(salt=1), held(salt=2)
    vault.put(first)
    sealed = on_disk(tmp_path)
    vault.put(second)
    assert sealed in on_disk(tmp_path)
    assert vault.erase(first.commitment)
    left = on_disk(tmp_path)
    assert not any(sealed[at : at + 16] in left for at in range(len(sealed) - 16))
    assert vault.get(first.commitment) is None
    assert VaultStore(tmp_path, KEY).get(second.commitment) == second
    assert not vault.erase(first.commitment)
    assert len(vault) == 1


class Crash(BaseException):
    """The power fails here."""


@pytest.mark.parametrize("synced", [1, 2])
def test_a_crash_in_an_erasure_leaves_no_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, synced: int
) -> None:
    vault = VaultStore(tmp_path, KEY)
    one = held()
    vault.put(one)
    sealed = on_disk(tmp_path)
    calls: Iterator[int] = iter(range(1, 10))
    fsync = os.fsync

    def failing(number: int) -> None:
        fsync(number)
        if next(calls) == synced:
            raise Crash

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", failing)
        with pytest.raises(Crash):
            vault.erase(one.commitment)
    left = on_disk(tmp_path)
    assert len(left) == len(sealed)
    assert sealed[:72] not in left
    assert (left == bytes(len(sealed))) == (synced == 2)
    again = VaultStore(tmp_path, KEY)
    assert again.get(one.commitment) is None
    assert len(again) == 0
    assert on_disk(tmp_path) == b""


# --- to whom ---------------------------------------------------------------------------------


def test_an_opening_goes_to_those_entitled_alone() -> None:
    one = held()
    entry = Entry("buyer", 0, ["buyer", "bank"])
    assert may_give(one, entry, "buyer", "bank")
    assert may_give(one, entry, "bank", "buyer")
    assert not may_give(one, entry, "buyer", "rival")
    assert not may_give(one, entry, "rival", "bank")
    assert not may_give(one, entry, "buyer", "")
    assert not may_give(one, None, "buyer", "bank")


def test_a_rival_who_shares_a_copied_commitment_first_gets_nothing() -> None:
    entry = Entry("rival", 0, ["rival", "buyer"])
    assert not may_give(held(author="buyer"), entry, "buyer", "rival")


# --- parcels ---------------------------------------------------------------------------------


def parcel(*openings: Opening, to: str = "bank") -> bytes:
    return seal(SEEDS["buyer"], KEYS["buyer"], KEYS[to], CHAIN, 5, openings)


def take(raw: bytes, *, at: str = "bank", sender: str = "buyer", chain: bytes = CHAIN) -> Any:
    return unseal(raw, SEEDS[at], KEYS[at], KEYS[sender], chain)


def opening(value: Any = SECRET, salt: int = 1) -> Opening:
    one = held(value, salt=salt)
    return Opening(one.commitment, one.salt, one.value)


def test_a_parcel_opens_at_its_receiver_and_shows_nothing_on_the_way() -> None:
    raw = parcel(opening(), opening({"price": 12}, 2))
    assert take(raw).openings == (opening(), opening({"price": 12}, 2))
    assert take(raw).time_ms == 5
    assert SECRET.encode() not in raw
    assert opening().commitment not in raw


def test_a_parcel_of_others_is_refused() -> None:
    raw = parcel(opening())
    assert code_of(take, raw, at="rival") == "VAULT_PARCEL"
    assert code_of(take, raw, sender="rival") == "VAULT_PARCEL"
    assert code_of(take, raw, chain=bytes(32)) == "VAULT_PARCEL"


def test_a_parcel_passed_on_is_refused() -> None:
    """The bank seals what the buyer signed for it to the rival anew."""
    import nacl.bindings as sodium

    bank = sodium.crypto_sign_ed25519_pk_to_curve25519(KEYS["bank"])
    secret = sodium.crypto_sign_ed25519_sk_to_curve25519(SEEDS["bank"] + KEYS["bank"])
    inner = sodium.crypto_box_seal_open(parcel(opening()), bank, secret)
    rival = sodium.crypto_sign_ed25519_pk_to_curve25519(KEYS["rival"])
    with pytest.raises(PeerFault, match="of another chain, sender or receiver"):
        take(sodium.crypto_box_seal(inner, rival), at="rival")


def test_a_parcel_in_another_s_name_is_refused() -> None:
    raw = seal(SEEDS["rival"], KEYS["buyer"], KEYS["bank"], CHAIN, 5, [opening()])
    with pytest.raises(PeerFault, match="did not sign"):
        take(raw)


def test_every_changed_or_missing_byte_spoils_a_parcel() -> None:
    raw = parcel(opening())
    for at in range(len(raw)):
        assert code_of(take, raw[:at] + bytes([raw[at] ^ 1]) + raw[at + 1 :]) == "VAULT_PARCEL"
        assert code_of(take, raw[:at]) == "VAULT_PARCEL"


@pytest.mark.parametrize(
    "wrong",
    [
        Opening(opening().commitment, opening().salt, "CHF 1"),
        Opening(opening().commitment, b"short", SECRET),
        Opening(b"short", opening().salt, SECRET),
        Opening(opening().commitment, 16, SECRET),  # type: ignore[arg-type]
        Opening("text", opening().salt, SECRET),  # type: ignore[arg-type]
    ],
)
def test_an_opening_that_opens_nothing_spoils_a_parcel(wrong: Opening) -> None:
    assert code_of(take, parcel(opening(), wrong)) == "VAULT_PARCEL"


def test_parcels_are_bounded() -> None:
    many = [opening(salt=number) for number in range(OPENINGS_MAX + 1)]
    assert len(take(parcel(*many[1:])).openings) == OPENINGS_MAX
    for openings in (many, [], [opening("x" * 60_000, salt) for salt in range(9)]):
        with pytest.raises(ValueError, match="parcel"):
            parcel(*openings)


# --- the door --------------------------------------------------------------------------------

NOW = 1_700_000_000_000
NODE = KEYS["bank"]


def door(started_ms: int = NOW - 10 * FRESH_MS) -> Door:
    return Door(CHAIN, NODE, {KEYS["buyer"]}.__contains__, started_ms)


def request(nonce: int = 0, *, time_ms: int = NOW, by: str = "buyer") -> Request:
    asked = Request("GET", "/vault?x=1", b"body", KEYS[by], time_ms, nonce.to_bytes(16, "big"))
    return asked.signed(SEEDS[by], CHAIN, NODE)


def changed(asked: Request, **fields: Any) -> Request:
    return Request(**(vars(asked) | fields))


def test_a_signed_fresh_request_is_let_in_once() -> None:
    at = door()
    at.admit(request(), NOW)
    assert code_of(at.admit, request(), NOW + 1) == "VAULT_REQUEST_REPEATED"
    at.admit(request(1), NOW + 1)


@pytest.mark.parametrize(
    "fields",
    [
        {"method": "POST"},
        {"path": "/vault?x=2"},
        {"body": b"bodY"},
        {"time_ms": NOW + 1},
        {"nonce": b"\x01" * 16},
        {"key": KEYS["rival"]},
        {"signature": bytes(64)},
    ],
)
def test_the_signature_covers_all_of_a_request(fields: dict[str, Any]) -> None:
    at = door()
    assert code_of(at.admit, changed(request(), **fields), NOW) == "VAULT_NOT_AUTHORISED"
    at.admit(request(), NOW)  # and the attempt used nothing up


def test_another_organisation_s_key_is_refused() -> None:
    assert code_of(door().admit, request(by="rival"), NOW) == "VAULT_NOT_AUTHORISED"


def test_a_request_for_another_node_or_chain_is_refused() -> None:
    own = {KEYS["buyer"]}.__contains__
    for other in (Door(bytes(32), NODE, own, 0), Door(CHAIN, KEYS["rival"], own, 0)):
        assert code_of(other.admit, request(), NOW) == "VAULT_NOT_AUTHORISED"


@pytest.mark.parametrize("off", [-FRESH_MS - 1, AHEAD_MS + 1])
def test_a_request_of_another_minute_is_stale(off: int) -> None:
    assert code_of(door().admit, request(time_ms=NOW + off), NOW) == "VAULT_REQUEST_STALE"
    door().admit(request(time_ms=NOW + off - (1 if off > 0 else -1)), NOW)


@pytest.mark.parametrize("fields", [{"nonce": b""}, {"key": b""}, {"signature": b""}])
def test_a_request_out_of_form_is_refused(fields: dict[str, Any]) -> None:
    assert code_of(door().admit, changed(request(), **fields), NOW) == "VAULT_REQUEST"


def test_a_large_body_is_refused() -> None:
    asked = changed(request(), body=bytes(doors.BODY_BYTES_MAX + 1)).signed(
        SEEDS["buyer"], CHAIN, NODE
    )
    assert code_of(door().admit, asked, NOW) == "VAULT_REQUEST"


def test_a_restart_lets_no_request_in_again() -> None:
    ahead = request(time_ms=NOW + AHEAD_MS)
    door().admit(ahead, NOW)
    again = door(started_ms=NOW)
    assert code_of(again.admit, ahead, NOW + 1) == "VAULT_REQUEST_STALE"
    later = NOW + AHEAD_MS + 1
    again.admit(request(time_ms=later), later)


def test_a_clock_set_forth_and_back_lets_no_request_in_again() -> None:
    at = door()
    at.admit(request(), NOW)
    at.admit(request(1, time_ms=NOW + 3_600_000), NOW + 3_600_000)
    assert code_of(at.admit, request(), NOW) == "VAULT_REQUEST_STALE"
    at.admit(request(2, time_ms=NOW + 1), NOW + 1)


def test_the_memory_is_bounded_and_strangers_fill_none_of_it() -> None:
    at = door()
    for number in range(RATE_PER_MINUTE):
        at.admit(request(number), NOW)
    assert code_of(at.admit, request(RATE_PER_MINUTE), NOW) == "VAULT_RATE"
    later = NOW + 2 * FRESH_MS
    at.admit(request(time_ms=later), later)
    assert len(at._seen) == 1
    with pytest.raises(InputError):
        at.admit(request(9, time_ms=later, by="rival"), later)
    assert len(at._seen) == 1


def test_pages_show_every_opening_once_and_count_what_does_not_open(tmp_path: Path) -> None:
    vault = VaultStore(tmp_path, KEY)
    kept = [held(salt=number) for number in range(7)]
    for one in kept:
        vault.put(one)
    spoilt = entries(tmp_path)[3]
    spoilt.write_bytes(spoilt.read_bytes()[:-1])
    found, unreadable, after, pages = [], 0, "", 0
    while pages == 0 or after:
        some, bad, after = vault.page(after, 3)
        found += some
        unreadable += len(bad)
        pages += 1
    assert (pages, unreadable, len(found)) == (3, 1, 6)
    assert {one.commitment for one in found} < {one.commitment for one in kept}
    assert VaultStore(tmp_path / "empty", KEY).page("", 3) == ([], [], "")
