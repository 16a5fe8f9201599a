"""Openings between nodes: late, entitled, erased; with the judge's own books of who may know."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import trio

from consensus.primitives.codec import encode
from consensus.primitives.crypto import public_key
from consensus.primitives.errors import HansaError, PeerFault
from contracts.sdk.commitments import commit
from contracts.system.vault import Entry
from node.clock import InlineBlocking
from node.vault.fetching import Fetcher, Giver
from node.vault.parcels import OPENINGS_MAX, Opening, seal
from node.vault.store import KEY_CHECK, Held, VaultStore
from p2p.ports import PeerUnavailable

CHAIN = b"\x07" * 32
NAMES = ("buyer", "seller", "bank", "rival")


class Book:
    """The chain's entitlements, by the rules of the contract ``vault``."""

    def __init__(self) -> None:
        self.entries: dict[bytes, Entry] = {}
        self.erasures: set[tuple[bytes, str]] = set()

    def share(self, by: str, commitment: bytes, *others: str) -> None:
        entry = self.entries.setdefault(commitment, Entry(by, 0, [by]))
        assert by in entry.organisations
        entry.organisations += [one for one in others if one not in entry.organisations]

    def entry(self, commitment: bytes) -> Entry | None:
        return self.entries.get(commitment)

    def erased(self, commitment: bytes, organisation: str) -> bool:
        return (commitment, organisation) in self.erasures

    def of(self, organisation: str) -> Iterator[bytes]:
        return iter([key for key, one in self.entries.items() if organisation in one.organisations])


class Site:
    """One organisation's node."""

    chain_id = CHAIN

    def __init__(self, world: World, name: str, folder: Path) -> None:
        self.world, self.organisation, self.folder = world, name, folder
        self.seed = bytes([1 + NAMES.index(name)]) * 32
        self.key = public_key(self.seed)
        self.up = True
        self.start()

    def start(self) -> None:
        self.store = VaultStore(self.folder, self.seed)
        self.giver = Giver(self, self.store, self.world.book)
        self.fetcher = Fetcher(self, self.store, self.world.book, InlineBlocking())
        trio.run(self.fetcher.start)

    def organisation_of(self, peer: bytes) -> str:
        return self.world.names.get(peer, "")

    def write(self, value: Any) -> bytes:
        salt = self.world.chance.randbytes(16)
        commitment = commit(salt, value)
        self.store.put(Held(commitment, salt, value, self.organisation, 0))
        return commitment


class World:
    def __init__(self, folder: Path, seed: int = 1) -> None:
        self.chance = random.Random(seed)
        self.book = Book()
        self.names: dict[bytes, str] = {}
        self.sites = {name: Site(self, name, folder / name) for name in NAMES}
        self.names |= {site.key: name for name, site in self.sites.items()}
        self.asked: list[tuple[str, str]] = []

    def __getitem__(self, name: str) -> Site:
        return self.sites[name]

    def round(self, name: str) -> dict[str, PeerFault]:
        """The node of ``name`` sees the newest block and asks everybody once."""
        site = self[name]
        trio.run(site.fetcher.follow, list(self.book.entries))

        async def ask(peer: bytes, raw: bytes) -> bytes:
            other = self[self.names[peer]]
            self.asked.append((name, other.organisation))
            if not other.up:
                raise PeerUnavailable("NOT_CONNECTED", "down")
            return other.giver.answer(site.key, raw, 0)

        peers = [other.key for other in self.sites.values() if other is not site]
        faults = trio.run(site.fetcher.round, peers, ask, 0)
        return {self.names[peer]: fault for peer, fault in faults.items()}


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def test_whoever_is_entitled_gets_it_and_nobody_else(world: World) -> None:
    terms = world["buyer"].write({"price": 12})
    world.book.share("buyer", terms, "seller")
    for name in NAMES:
        world.round(name)
    assert world["seller"].store.get(terms).value == {"price": 12}  # type: ignore[union-attr]
    assert world["seller"].fetcher.wanted == ()
    assert len(world["bank"].store) == len(world["rival"].store) == 0
    assert world.asked == [("seller", "buyer")]


def test_after_an_outage_of_either_it_arrives(world: World) -> None:
    terms = world["buyer"].write("terms")
    world["buyer"].up = False
    world.book.share("buyer", terms, "seller")
    world.round("seller")
    assert world["seller"].fetcher.wanted == (terms,)
    world["seller"].start()  # again, from the disk and the chain alone
    assert world["seller"].fetcher.wanted == (terms,)
    world["buyer"].start()
    world["buyer"].up = True
    world.round("seller")
    assert world["seller"].store.get(terms) is not None


def test_another_who_is_entitled_gives_it_where_the_author_is_gone(world: World) -> None:
    terms = world["buyer"].write("terms")
    world.book.share("buyer", terms, "seller")
    world.round("seller")
    world["buyer"].up = False
    world.book.share("seller", terms, "bank")
    world.round("bank")
    assert world["bank"].store.get(terms) is not None


def test_an_asker_without_entitlement_learns_nothing(world: World) -> None:
    kept, unshared = world["buyer"].write("kept"), world["buyer"].write("unshared")
    world.book.share("buyer", kept, "seller")
    buyer = world["buyer"].giver
    for asker in (world["rival"].key, bytes(32)):
        for commitment in (kept, unshared, bytes(32)):
            assert buyer.answer(asker, encode([commitment]), 0) == b""
    assert buyer.answer(world["seller"].key, encode([unshared]), 0) == b""


def test_a_rival_who_shares_a_copy_first_gets_nothing(world: World) -> None:
    terms = world["buyer"].write("terms")
    world.book.share("rival", terms, "buyer")
    assert world.round("rival") == {}
    assert ("rival", "buyer") in world.asked
    assert len(world["rival"].store) == 0


def test_what_was_erased_is_destroyed_and_never_fetched_again(world: World) -> None:
    terms = world["buyer"].write("terms")
    world.book.share("buyer", terms, "seller", "bank")
    world.round("seller")
    world.book.erasures.add((terms, "seller"))
    world.round("seller")
    assert {one.name for one in world["seller"].folder.rglob("*") if one.is_file()} == {KEY_CHECK}
    world["seller"].start()
    world.round("seller")
    assert world["seller"].fetcher.wanted == ()
    world.asked.clear()
    world["buyer"].up = False
    world.round("bank")
    assert world.asked == [("bank", "buyer")]  # who erased it isn't asked


def test_what_is_erased_while_it_is_asked_for_is_not_kept(world: World) -> None:
    terms = world["buyer"].write("terms")
    world.book.share("buyer", terms, "seller")
    seller = world["seller"]
    trio.run(seller.fetcher.follow, [terms])

    async def ask(peer: bytes, raw: bytes) -> bytes:
        world.book.erasures.add((terms, "seller"))
        await seller.fetcher.follow([terms])
        return world["buyer"].giver.answer(seller.key, raw, 0)

    assert trio.run(seller.fetcher.round, [world["buyer"].key], ask, 0) == {}
    assert terms not in seller.store


def test_an_opening_nobody_asked_for_is_a_fault(world: World) -> None:
    terms, other = world["buyer"].write("terms"), world["buyer"].write("other")
    world.book.share("buyer", terms, "seller")
    buyer, seller = world["buyer"], world["seller"]
    held = buyer.store.get(other)
    assert held is not None
    parcel = seal(
        buyer.seed, buyer.key, seller.key, CHAIN, 0, [Opening(other, held.salt, held.value)]
    )
    buyer.giver.answer = lambda *_: parcel  # type: ignore[method-assign]
    assert world.round("seller")["buyer"].code == "VAULT_PARCEL"
    assert seller.store.get(other) is None
    assert seller.fetcher.wanted == (terms,)


def test_many_and_large_openings_come_in_several_rounds(world: World) -> None:
    written = [world["buyer"].write("x" * 60_000 + str(number)) for number in range(12)]
    written += [world["buyer"].write(number) for number in range(OPENINGS_MAX + 1)]
    for commitment in written:
        world.book.share("buyer", commitment, "seller")
    rounds = 0
    while len(world["seller"].store) < len(written):
        world.round("seller")
        rounds += 1
        assert rounds < 20
    assert rounds > 1


def test_what_nobody_has_keeps_nothing_else_waiting(world: World) -> None:
    lost = [world.chance.randbytes(32) for _ in range(OPENINGS_MAX)]
    for commitment in lost:
        world.book.share("buyer", commitment, "seller")
    world.round("seller")
    terms = world["buyer"].write("terms")
    world.book.share("buyer", terms, "seller")
    world.round("seller")
    world.round("seller")
    assert world["seller"].store.get(terms) is not None
    assert len(world["seller"].fetcher.wanted) == OPENINGS_MAX


@pytest.mark.parametrize(
    "raw",
    [b"", b"\xff", encode({}), encode([b"short"]), encode([1]), encode([bytes(32)] * 65)],
)
def test_a_request_out_of_form_is_a_fault(world: World, raw: bytes) -> None:
    with pytest.raises(HansaError) as caught:
        world["buyer"].giver.answer(world["seller"].key, raw, 0)
    assert caught.value.code == "VAULT_ASKED"


@pytest.mark.parametrize("seed", range(3))
def test_random_histories_leave_openings_with_the_entitled_alone(tmp_path: Path, seed: int) -> None:
    world = World(tmp_path, seed)
    chance = world.chance
    for step in range(80):
        name = chance.choice(NAMES)
        act = chance.randrange(6)
        known = [key for key, one in world.book.entries.items() if name in one.organisations]
        if act == 0:
            world.book.share(name, world[name].write(step), chance.choice(NAMES))
        elif act == 1 and known:
            world.book.share(name, chance.choice(known), chance.choice(NAMES))
        elif act == 2 and known and chance.random() < 0.3:
            world.book.erasures.add((chance.choice(known), name))
        elif act == 3:
            world[name].up = not world[name].up
        elif act == 4:
            world[name].start()
        else:
            assert world.round(name) == {}
        if step % 10 == 0:
            judge(world)
    for site in world.sites.values():
        site.up = True
    for _ in range(4):
        for name in NAMES:
            assert world.round(name) == {}
    judge(world)
    for commitment, entry in world.book.entries.items():
        holders = {name for name in NAMES if commitment in world[name].store}
        alive = {one for one in entry.organisations if not world.book.erased(commitment, one)}
        assert holders in (alive, set())  # none, where all who had it erased it before
        if entry.author in alive:
            assert holders == alive


def judge(world: World) -> None:
    for name in NAMES:
        for held in world[name].store.all():
            assert name in world.book.entries[held.commitment].organisations
