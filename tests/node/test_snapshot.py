"""Snapshots: what one node makes, another builds its chain from, whoever lies on the way."""

from __future__ import annotations

import random
import shutil
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import trio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from consensus.block import Header
from consensus.light import Trusted
from consensus.primitives import tree
from consensus.primitives.codec import encode
from consensus.primitives.crypto import sha256
from consensus.primitives.errors import HansaError, InputError, PeerFault
from consensus.transaction import Transaction
from node import frames
from node.bus import Bus
from node.care.blocks import BlockCheck, check_strays
from node.care.findings import Findings, nothing
from node.care.state import check_state
from node.clock import InlineBlocking
from node.snapshot import form, making
from node.snapshot.form import Manifest, check_manifest, read_state, span
from node.snapshot.joining import Joining
from node.snapshot.making import MANIFEST, first_needed, heights
from node.snapshot.serving import Snapshots
from node.store.kept import KeptState
from node.store.memory import MemoryKV
from node.store.state import StateStore, page_written, slots_written
from p2p.ports import Channel, PeerAddress
from p2p.virtual import VirtualNetwork
from tests.node.support import FixedClock, OneChain, code_of
from tests.p2p.test_virtual import in_world
from tests.sim.world import EPOCH_MS

ME, HONEST, OTHER, LIAR = (bytes((number,)) * 32 for number in (9, 1, 2, 3))
CHUNK = 20_000


@pytest.fixture(scope="module", autouse=True)
def small_chunks() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(making, "CHUNK_BYTES", CHUNK)
        yield


# --- the form ------------------------------------------------------------------------------------

KEYS = st.one_of(
    st.binary(min_size=4, max_size=4),
    st.tuples(
        st.sampled_from([b"aaaa", b"ab\xff\xff", b"\xff\xff\xff\xff"]), st.binary(max_size=3)
    ).map(lambda two: two[0] + two[1].ljust(3, b"\x00")),
)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(pairs=st.dictionaries(KEYS, st.binary(max_size=30), max_size=60), size=st.integers(20, 400))
def test_parts_of_any_state_give_its_tree(pairs: dict[bytes, bytes], size: int) -> None:
    """However it is cut, the parts give all keys and the very pages of the store."""
    kv = MemoryKV()
    state = StateStore(kv)
    try:
        kv.write(state.prepare(pairs).operations, sync=True)
    except InputError:
        return  # a key that begins another
    kept = KeptState(some_header(), None, kv.snapshot())
    walk = making._Walk(kept, Path("/nowhere"), lambda: None)
    raws: list[tuple[bytes, int]] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(making, "CHUNK_BYTES", size)
        patch.setattr(making, "_chunk", lambda _, raw, parts: raws.append((raw, parts)))
        walk.slot(kept.slot)
        walk.flush()
    pages = {one.path: one.page for one in walk.skeleton}
    units = list(form._units(kept.slot, 0, pages, set()))
    slots = {
        key: slot
        for path, raw in pages.items()
        for key, slot in page_written(path, tree.Page.decode(raw))
    }
    found: dict[bytes, bytes] = {}
    at = 0
    for raw, parts in raws:
        got, below = read_state(raw, units[at : at + parts])
        at += parts
        found.update(got)
        slots.update(pair for made in below for pair in slots_written(made))
    assert at == len(units) and found == pairs
    assert slots == dict(kv.scan(b"p", b"q"))


@cache
def some_header() -> Header:
    return OneChain().chain.header


@given(
    path=st.integers(0, 9).flatmap(
        lambda count: st.lists(st.integers(0, 15), min_size=count, max_size=count)
    )
)
def test_a_span_has_the_keys_below_a_path(path: list[int]) -> None:
    text = "".join(f"{nibble:x}" for nibble in path)
    packed = bytes((len(path),)) + bytes.fromhex(text + "0" * (len(path) & 1))
    start, stop = span(packed)
    for tail in ("", "0", "00", "f" * 4, "ff00"):
        key = bytes.fromhex(text + tail + "0" * ((len(text) + len(tail)) & 1))
        assert start <= key < stop
    if any(path):
        below = int(text, 16) - 1
        assert (
            not start
            <= bytes.fromhex(f"{below:0{len(text)}x}" + "f" * (len(text) & 1) + "ff" * 9)
            < stop
        )
    if text.strip("f"):
        above = int(text, 16) + 1
        assert not start <= bytes.fromhex(f"{above:0{len(text)}x}" + "0" * (len(text) & 1)) < stop


# --- a chain with a snapshot ---------------------------------------------------------------------


class Made:
    """A chain of 30 blocks with a change of its validators, and snapshots of blocks 10 and 20."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.one = OneChain(validators=5)

    async def build(self) -> None:
        one = self.one
        chain = one.chain
        chain.states.begin(chain.header, chain.certificate)
        bus = Bus(0)
        self.snapshots = Snapshots(self.folder, 10, chain, InlineBlocking())
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.snapshots.run, bus)
            window_ms = chain.params.tx_window_ms
            await one.decide("validator_remove", name="v4")
            while chain.height < 30:
                now_ms = chain.header.time_ms + window_ms // 6
                txs = [one.transaction(valid_until=now_ms + 1000) for _ in range(3)]
                await one.commit(txs, time_ms=now_ms)
                bus.committed(chain.height)
                await trio.testing.wait_all_tasks_blocked()
            nursery.cancel_scope.cancel()

    @property
    def root(self) -> Trusted:
        document = self.one.document
        return Trusted.genesis(
            document.chain_id, "byzantine", document.time_ms, document.validator_set()
        )

    def manifest(self, height: int = 20) -> Manifest:
        return Manifest.decode((self.folder / str(height) / MANIFEST).read_bytes())


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, small_chunks: None) -> Made:
    found = Made(tmp_path_factory.mktemp("snapshots") / "snapshots")
    trio.run(found.build)
    return found


LATER_MS = EPOCH_MS + 10**9


def test_a_manifest_leads_from_the_genesis_document_to_its_tree(made: Made) -> None:
    assert sorted(heights(made.folder)) == [10, 20], "that of 30 waits for block 31"
    manifest = made.manifest()
    plan = check_manifest(manifest, made.root, LATER_MS)
    assert len(manifest.turns) == 2 and len(manifest.state) > 10 and len(manifest.skeleton) > 1
    assert manifest.first == first_needed(
        made.one.chain.blocks, manifest.sealed.header, made.one.chain.longest_window_ms()
    )
    assert 1 < manifest.first < 20
    total = sum(len(read_state(part(made, one.hash), units)[0])
                for one, units in zip(manifest.state, plan.units, strict=True))  # fmt: skip
    assert total > 100


def part(made: Made, digest: bytes) -> bytes:
    return (made.folder / "20" / digest.hex()).read_bytes()


def bent(good: Manifest, other: Manifest) -> dict[str, Manifest]:
    """Manifests that are wrong in one way each."""
    upper, page, *rest = good.skeleton
    first, *blocks = good.blocks
    size = good.first + 1
    ones = [bytes(32)] * size.bit_count()
    return {
        "turn left out": replace(good, turns=good.turns[1:]),
        "turns in another order": replace(good, turns=good.turns[::-1]),
        "another tree": replace(good, slot=other.slot),
        "no tree": replace(good, slot=b""),
        "page left out": replace(good, skeleton=good.skeleton[:-1]),
        "page twice": replace(good, skeleton=(*good.skeleton, page)),
        "strange page": replace(good, skeleton=(*good.skeleton, replace(page, path=b"\x03ab"))),
        "page elsewhere": elsewhere(good),
        "no page": replace(good, skeleton=(upper, replace(page, page=b"?"), *rest)),
        "chunk left out": replace(good, state=good.state[1:]),
        "block left out": replace(good, blocks=(replace(first, parts=first.parts - 1), *blocks)),
        "no history": replace(good, before=b"?"),
        "another history": replace(good, before=encode([size, *ones])),
    }


def test_a_manifest_with_anything_else_in_it_is_refused(made: Made) -> None:
    good = made.manifest()
    for name, bad in bent(good, made.manifest(10)).items():
        assert code_of(check_manifest, bad, made.root, LATER_MS) != "", name
    assert code_of(check_manifest, good, made.root, EPOCH_MS) == "LIGHT_FUTURE"


def elsewhere(good: Manifest) -> Manifest:
    """A page is kept under another path, and its parent says so: the hashes are all as before."""
    for child in good.skeleton[1:]:
        for parent in good.skeleton:
            page = tree.Page.decode(parent.page)
            for at, slot in enumerate(page.slots):
                if form.path_of(slot) != child.path:
                    continue
                moved = child.path[:-1] + bytes((child.path[-1] ^ 0x10,))
                slots = list(page.slots)
                slots[at] = slot[: -len(moved)] + moved
                changed = {parent.path: replace(parent, page=tree.Page(tuple(slots), ()).encode()),
                           child.path: replace(child, path=moved)}  # fmt: skip
                return replace(
                    good, skeleton=tuple(changed.get(one.path, one) for one in good.skeleton)
                )
    raise AssertionError("no page below another")


def test_every_flipped_bit_of_a_part_is_noticed(made: Made) -> None:
    plan = check_manifest(made.manifest(), made.root, LATER_MS)
    smallest = min(range(len(plan.units)), key=lambda number: plan.manifest.state[number].size)
    raw = part(made, plan.manifest.state[smallest].hash)
    read_state(raw, plan.units[smallest])
    for bit in random.Random(1).sample(range(8 * len(raw)), 400):
        flipped = bytearray(raw)
        flipped[bit // 8] ^= 1 << bit % 8
        with pytest.raises(PeerFault, match="SNAPSHOT_INVALID"):
            read_state(bytes(flipped), plan.units[smallest])


# --- joining -------------------------------------------------------------------------------------

Answer = Callable[[bytes], Awaitable[bytes]]


class Server:
    """A peer that gives snapshots, as the node's handler does; ``bend`` may alter its answers."""

    def __init__(
        self, snapshots: Snapshots, bend: Callable[[bytes, bytes], bytes] | None = None
    ) -> None:
        self._snapshots = snapshots
        self._bend = bend
        self.asked: list[bytes] = []
        self.lost = 0

    async def on_connect(self, peer: bytes) -> None: ...

    async def on_disconnect(self, peer: bytes, reason: str) -> None:
        self.lost += 1

    def on_fault(self, peer: bytes, fault: PeerFault) -> None: ...

    async def on_message(self, peer: bytes, channel: Channel, payload: bytes) -> None: ...

    async def on_request(self, peer: bytes, payload: bytes) -> bytes:
        self.asked.append(payload)
        kind, raw = frames.split(payload)
        if kind == frames.SNAPSHOTS:
            answer = self._snapshots.answer_offers()
        else:
            answer = await self._snapshots.answer_part(raw)
        return answer if self._bend is None else self._bend(payload, answer)


class WorldClock(FixedClock):
    def wall_ms(self) -> int:
        return LATER_MS

    def mono_ms(self) -> int:
        return round(trio.current_time() * 1000)

    async def sleep_ms(self, duration_ms: int) -> None:
        await trio.sleep(duration_ms / 1000)


def joined(
    made: Made,
    servers: dict[bytes, Server],
    kv: MemoryKV | None = None,
    block_hash: bytes | None = None,
    during: Callable[[VirtualNetwork], Awaitable[None]] | None = None,
) -> tuple[MemoryKV, Joining]:
    """Run a joiner among the servers, on a clock that jumps."""
    store = MemoryKV() if kv is None else kv
    kept: list[Joining] = []

    async def world(hub: VirtualNetwork) -> None:
        for key, server in servers.items():
            network = hub.add(key, server)
            network.admit([PeerAddress(ME, "me")])
        members = [PeerAddress(key, key.hex()[:2]) for key in servers]
        kept.append(
            Joining(made.one.document, lambda own: hub.add(ME, own), members, store,
                    InlineBlocking(), WorldClock(), lambda *_: None, block_hash)
        )  # fmt: skip
        async with trio.open_nursery() as nursery:
            if during is not None:
                nursery.start_soon(during, hub)
            await kept[0].run()
            nursery.cancel_scope.cancel()

    in_world(world)
    return store, kept[0]


def check_store(made: Made, kv: MemoryKV) -> None:
    """It is a chain's store at block 20, whole by `db verify`'s rules, and goes on."""
    source = made.one.chain
    there = OneChain(validators=5, kv=kv)
    chain = there.chain
    sealed = source.blocks.sealed(20)
    assert sealed is not None and chain.header == sealed.block.header
    findings = Findings()
    check = BlockCheck(kv, made.one.document, 20, findings)
    counted = check.check(nothing)
    check_strays(kv, 20, counted, findings, nothing)
    check_state(kv, chain.header.state_root, findings, nothing)
    assert not findings, findings.shown
    assert not [key for key, _ in kv.scan(b"~", b"\xff")]

    async def go_on() -> None:
        for height in range(21, source.height + 1):
            following = source.blocks.sealed(height)
            assert following is not None and following.certificate is not None
            outcome = await chain.execute_sealed(following)
            await chain.commit(outcome, following.certificate)

    trio.run(go_on)
    assert chain.hash == source.hash and chain.state.root == source.state.root
    assert chain.blocks.tip().frontier.root == source.blocks.tip().frontier.root
    again = OneChain(validators=5, kv=kv).chain
    assert again.hash == source.hash
    first = chain.blocks.oldest
    bodies = [
        raw for height in range(first, 26) for raw in source.blocks.sealed(height).block.bodies
    ]
    ids = [Transaction.parse(raw).tx_id for raw in bodies]
    assert ids and all(one.committed(tx_id) for tx_id in ids for one in (again, source))
    inclusion = chain.blocks.history.inclusion(first, 25)
    assert inclusion == source.blocks.history.inclusion(first, 25)


def newest(made: Made) -> Callable[[bytes, bytes], bytes]:
    """A server that offers block 20's alone: the joiner takes the newest offered."""

    def only(payload: bytes, answer: bytes) -> bytes:
        if payload[0] != frames.SNAPSHOTS:
            return answer
        return encode([one for one in frames.read(answer) if one[0] == 20])

    return only


def test_a_new_node_joins_from_several_peers(made: Made) -> None:
    servers = {key: Server(made.snapshots, newest(made)) for key in (HONEST, OTHER)}
    kv, _ = joined(made, servers)
    check_store(made, kv)
    assert all(len(one.asked) > 5 for one in servers.values()), "both gave parts"


@pytest.mark.parametrize(
    "lie", ["parts", "manifest", "list", "silence", "boast", "cut short", "other tree"]
)
def test_liars_are_cut_off_and_cost_nothing_but_time(made: Made, lie: str) -> None:
    honest = newest(made)
    forged = replace(made.manifest(), slot=b"")

    def bend(payload: bytes, answer: bytes) -> bytes:
        offers = payload[0] == frames.SNAPSHOTS
        asked = None if offers else frames.read(payload[1:])
        if lie == "silence" and not offers:
            raise HansaError("SNAPSHOT_GONE", "not today")
        if lie == "boast" and offers:
            return encode([[10**6 + number, bytes((number,)) * 32] for number in range(200)])
        if lie == "list" and offers:
            return encode([["twenty", 3]])
        if lie == "manifest" and offers:
            return encode([[99, forged.digest]])
        if lie == "manifest" and asked is not None and asked[1] == forged.digest:
            return forged.raw
        if lie == "parts" and asked is not None and asked[1] != made.manifest().digest:
            return answer[:-1] + bytes((answer[-1] ^ 1,))
        if lie == "cut short" and asked is not None:
            return answer[: len(answer) // 2]
        return honest(payload, answer)

    liar: Any = Server(made.snapshots, bend)
    if lie == "manifest":
        liar = ForgedManifest(made.snapshots, forged)
    if lie == "other tree":
        liar = OtherTree(made)
    servers = {HONEST: Server(made.snapshots, honest), LIAR: liar}
    kv, node = joined(made, servers)
    check_store(made, kv)
    if lie not in ("silence", "boast"):
        reports = {one["key"]: one for one in node.network.peer_reports()}
        assert reports[LIAR.hex()]["faults"] >= 1 or liar.lost, "it was cut off"
        assert not servers[HONEST].lost


class ForgedManifest(Server):
    """It offers a manifest of its own, newer than any."""

    def __init__(self, snapshots: Snapshots, forged: Manifest) -> None:
        super().__init__(snapshots)
        self._forged = forged

    async def on_request(self, peer: bytes, payload: bytes) -> bytes:
        if payload[0] == frames.SNAPSHOTS:
            return encode([[99, self._forged.digest]])
        return self._forged.raw


class OtherTree(Server):
    """Its manifest leads to the right header and tree, but names parts that are not the tree's."""

    def __init__(self, made: Made) -> None:
        super().__init__(made.snapshots)
        good = made.manifest()
        raw = part(made, good.state[0].hash)
        for other in range(1, 256):  # of one height the greater digest is tried first
            self._bad = raw[:-1] + bytes((raw[-1] ^ other,))
            first = replace(good.state[0], hash=sha256(self._bad))
            self._manifest = replace(good, state=(first, *good.state[1:]))
            if self._manifest.digest > good.digest:
                break

    async def on_request(self, peer: bytes, payload: bytes) -> bytes:
        if payload[0] == frames.SNAPSHOTS:
            return encode([[21, bytes(32)], [20, self._manifest.digest]])
        _, digest = frames.read(payload[1:])
        if digest == self._manifest.digest:
            return self._manifest.raw
        if digest == self._manifest.state[0].hash:
            return self._bad
        return await super().on_request(peer, payload)


def test_an_interrupted_start_goes_on_where_it_was(made: Made) -> None:
    kv = MemoryKV()
    stopped = Server(made.snapshots)
    count = 0

    def some(payload: bytes, answer: bytes) -> bytes:
        nonlocal count
        count += 1
        if count > 8:
            raise HansaError("SNAPSHOT_GONE", "no more")
        return newest(made)(payload, answer)

    stopped = Server(made.snapshots, some)
    with pytest.raises(BaseExceptionGroup) as caught:
        joined(made, {HONEST: stopped}, kv)
    assert caught.group_contains(InputError, match="SNAPSHOT_NONE", depth=None)
    done = [key for key, _ in kv.scan(b"~d", b"~e")]
    assert len(done) > 3
    kv.crash()
    done = [key for key, _ in kv.scan(b"~d", b"~e")]
    again = Server(made.snapshots, newest(made))
    joined(made, {HONEST: again}, kv)
    check_store(made, kv)
    chunks = len(made.manifest().chunks)
    asked = [one for one in again.asked if one[0] == frames.PART]
    assert len(asked) == chunks - len(done) + 1, "what was there is not asked for again"


def test_only_the_block_that_is_wanted(made: Made) -> None:
    server = Server(made.snapshots)
    wanted = made.manifest(20).sealed.header.digest
    kv, _ = joined(made, {HONEST: server}, block_hash=wanted)
    check_store(made, kv)
    with pytest.raises(BaseExceptionGroup) as caught:
        joined(made, {HONEST: server}, block_hash=bytes(32))
    assert caught.group_contains(InputError, match="SNAPSHOT_NONE", depth=None)


def test_snapshots_come_and_go(made: Made, tmp_path: Path) -> None:
    assert len(heights(made.folder)) == making.KEPT
    folder = shutil.copytree(made.folder, tmp_path / "copy")
    # What an interrupted one left is not offered, and is made anew.
    (folder / ".40.part").mkdir()
    again = Snapshots(folder, 0, made.one.chain, InlineBlocking())
    assert again.heights == sorted(heights(made.folder))
    offers = frames.read(again.answer_offers())
    assert [one[0] for one in offers] == again.heights

    async def ask() -> None:
        height, digest = offers[-1]
        assert sha256(await again.answer_part(encode([height, digest]))) == digest
        for bad in ([height, bytes(32)], [7, digest], [height, b"../../x"]):
            with pytest.raises(HansaError, match="SNAPSHOT_GONE"):
                await again.answer_part(encode(bad))

    trio.run(ask)
