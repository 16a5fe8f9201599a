"""The API asked by an admitted peer over libp2p: what it gets, and what it doesn't. Real hosts on
loopback; a light node's links run in their own thread, as in its process."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import trio

from cli.client import Client, ClientError
from cli.light.following import LightClient, Source
from cli.light.peering import Peering, parse_source
from cli.light.store import LightStore
from consensus.block import SealedBlock
from consensus.primitives.codec import encode
from consensus.primitives.errors import HansaError, InputError, PeerFault
from node import frames
from node.api import peers
from node.api.peers import PeerApi
from node.app import check_hello
from node.clock import InlineBlocking
from node.proving import Prover
from p2p.host import Host, HostConfig
from p2p.ports import PeerAddress
from tests.e2e.support import until
from tests.node.support import OneChain
from tests.node.test_light import FullNode, World
from tests.p2p.support import KEYS, SEEDS, Recorder
from tests.sim.quick import quickly
from tests.sim.test_liars import CALM, PARAMS
from tests.sim.world import World as SimWorld
from tests.sim.world import run_world

PEER = bytes(32)


@pytest.fixture(scope="module")
def node() -> FullNode:
    made = FullNode(OneChain())
    made.grow(2, 0, 3)
    return made


def api_of(node: FullNode) -> PeerApi:
    return PeerApi(node, Prover(node.one.chain, InlineBlocking()))


async def asked(
    api: PeerApi, path: str, method: str = "GET", body: bytes = b"", kind: str = ""
) -> tuple[int, bytes]:
    status, _, told = frames.read_api_answer(
        await api.answer(PEER, encode([method, path, kind, body]))
    )
    return status, told


# --- the frame -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"\xc1",
        encode([]),
        encode(["GET", "/v1/genesis", ""]),
        encode(["GET", "/v1/genesis", "", "no bytes"]),
        encode(["GET", "v1/genesis", "", b""]),
        encode(["GET", "/v1/gene sis", "", b""]),
        encode(["GET", "/v1/genesis\r\nhost: evil", "", b""]),
        encode(["GET", "/v1/\u00e4", "", b""]),
        encode(["GETGETGET", "/v1/genesis", "", b""]),
        encode(["GET", "/" + "a" * frames.API_PATH_MAX, "", b""]),
        encode(["GET", "/v1/genesis", "a" * 65, b""]),
        encode(["POST", "/v1/transactions", "", bytes(frames.API_BYTES_MAX)]),
    ],
)
def test_what_is_no_question_is_a_fault(raw: bytes) -> None:
    with pytest.raises(PeerFault) as caught:
        frames.read_api_question(raw)
    assert caught.value.code == "MESSAGE_MALFORMED"


@pytest.mark.parametrize(
    "value", [[200, "", "text"], [99, "", b""], [600, "", b""], [200, "a\nb", b""], [200, b""]]
)
def test_what_is_no_answer_is_a_fault(value: Any) -> None:
    with pytest.raises(PeerFault):
        frames.read_api_answer(encode(value))


# --- the allow-list ------------------------------------------------------------------------------


async def test_what_a_light_node_needs_is_answered(node: FullNode) -> None:
    api = api_of(node)
    for path in ("/v1/genesis", "/v1/blocks/3/bytes", "/v1/blocks/3/receipts",
                 "/v1/proofs/headers/latest", "/v1/proofs/history?old=1",
                 "/v1/proofs/state?key=00"):  # fmt: skip
        assert (await asked(api, path))[0] == 200, path
    status, told = await asked(api, "/v1/proofs/headers/99")
    assert status == 404 and b"BLOCK_NOT_FOUND" in told
    status, told = await asked(api, "/v1/transactions", "POST", b"x", "text/plain")
    assert status == 415 and b"UNSUPPORTED_MEDIA_TYPE" in told


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/metrics"),
        ("GET", "/openapi.json"),
        ("GET", "/v1/status"),
        ("GET", "/v1/doctor"),
        ("GET", "/v1/debug/recording"),
        ("GET", "/v1/positions"),
        ("GET", "/v1/events"),
        ("GET", "/v1/vault?after=00"),
        ("GET", "/v1/vault/openings/" + "00" * 32),
        ("POST", "/v1/vault/erase"),
        ("POST", "/v1/query/governance/params_now"),
        ("GET", "/v1/transactions"),
        ("POST", "/v1/genesis"),
        ("GET", "/v1/proofs/../status"),
        ("GET", "/v1/proofs/headers/%2e%2e/%2e%2e/status"),
        ("GET", "//v1/genesis"),
        ("GET", "/v1/genesis%00"),
    ],
)
async def test_any_other_route_is_refused(node: FullNode, method: str, path: str) -> None:
    status, told = await asked(api_of(node), path, method)
    assert status == 403 and b"ROUTE_NOT_FOR_PEERS" in told


# --- bounds --------------------------------------------------------------------------------------


async def test_one_peer_has_few_questions_worked_on(
    node: FullNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    api, going, worked_on = api_of(node), trio.Event(), []

    async def slow(height: int) -> bytes:
        worked_on.append(height)
        await going.wait()
        return b"block"

    monkeypatch.setattr(node, "block_bytes", slow)
    question = encode(["GET", "/v1/blocks/3/bytes", "", b""])
    async with trio.open_nursery() as nursery:
        for _ in range(peers.AT_ONCE_MAX):
            nursery.start_soon(api.answer, PEER, question)
        while len(worked_on) < peers.AT_ONCE_MAX:
            await trio.lowlevel.checkpoint()
        with pytest.raises(HansaError, match="PEER_BUSY"):
            await api.answer(PEER, question)
        other = encode(["GET", "/v1/genesis", "", b""])
        assert await api.answer(bytes([1]) * 32, other), "other peers are not held up"
        going.set()
    assert await api.answer(PEER, question)


async def test_an_answer_that_takes_too_long_is_given_up(
    node: FullNode, monkeypatch: pytest.MonkeyPatch, autojump_clock: Any
) -> None:
    monkeypatch.setattr(node, "block_bytes", lambda height: trio.sleep_forever())
    with pytest.raises(HansaError, match="PEER_BUSY"):
        await asked(api_of(node), "/v1/blocks/3/bytes")


async def test_one_peer_hands_in_only_so_many_bytes(node: FullNode, autojump_clock: Any) -> None:
    api, body = api_of(node), bytes(900_000)
    for _ in range(peers.BODIES_AT_ONCE // len(body)):
        assert (await asked(api, "/v1/transactions", "POST", body))[0] == 415
    with pytest.raises(HansaError, match="PEER_BUSY"):
        await asked(api, "/v1/transactions", "POST", body)
    await trio.sleep(2)
    assert (await asked(api, "/v1/transactions", "POST", body))[0] == 415


def test_a_node_pushes_nothing_to_a_peer_that_asks_so() -> None:
    """It says that it is not ready until it answers; from then on gossip leaves the peer alone."""
    told: list[str] = []

    async def scenario(world: SimWorld) -> None:
        world.start_all()
        await trio.sleep(2)
        node, peer = world.node("v0"), world.machines["v1"].network_key
        question = frames.frame(frames.API, ["GET", "/v1/genesis", "", b""])
        try:
            await node.on_request(peer, question)
        except HansaError as error:
            told.append(error.code)

        async def api(_peer: bytes, raw: bytes) -> bytes:
            return raw

        node.api = api
        assert peer in node.gossip._known
        assert await node.on_request(peer, question) == question[1:]
        assert peer not in node.gossip._known

    with quickly():
        run_world(1, scenario, PARAMS, conditions=CALM)
    assert told == ["NODE_NOT_READY"]


# --- over libp2p ---------------------------------------------------------------------------------


class Served:
    """A full node's end in a thread of its own, which admits key 0."""

    def __init__(self, node: FullNode, listen: str = "127.0.0.1:0") -> None:
        self.chain_id = node.one.document.chain_id
        self.handler = Recorder()
        api = api_of(node)

        async def answer(peer: bytes, payload: bytes) -> bytes:
            kind, raw = frames.split(payload)
            assert kind == frames.API
            return await api.answer(peer, raw)

        self.handler.answer = answer
        config = HostConfig(
            SEEDS[1],
            listen,
            (PeerAddress(KEYS[0], "light"),),
            self.chain_id,
            lambda theirs: check_hello(self.chain_id, theirs),
        )
        self.host = Host(config, self.handler)
        self._up = threading.Event()
        self._thread = threading.Thread(target=trio.run, args=(self._main,), daemon=True)
        self._thread.start()
        assert self._up.wait(10)

    @property
    def url(self) -> str:
        return f"libp2p://{self.host.listen_address}/{KEYS[1].hex()}"

    async def _main(self) -> None:
        self._token = trio.lowlevel.current_trio_token()
        async with trio.open_nursery() as nursery:
            self._scope = nursery.cancel_scope
            await nursery.start(self.host.run)
            self._up.set()

    def stop(self) -> None:
        if self._thread.is_alive():
            trio.from_thread.run_sync(self._scope.cancel, trio_token=self._token)
            self._thread.join(10)
        assert not self._thread.is_alive()


@pytest.fixture
def served(node: FullNode) -> Iterator[Served]:
    made = Served(node)
    yield made
    made.stop()


@contextmanager
def asking(served: Served, number: int = 0, url: str = "") -> Iterator[Client]:
    """The client of a light node with key ``number``."""
    source = parse_source(url or served.url)
    with (
        Peering(SEEDS[number], served.chain_id, [source]) as way,
        Client(url or served.url, peers=way) as client,
    ):
        yield client


def refused(call: Callable[[], Any]) -> str:
    with pytest.raises(ClientError) as caught:
        call()
    return caught.value.code


def test_a_light_node_over_libp2p(node: FullNode, served: Served, tmp_path: Path) -> None:
    world = World.__new__(World)
    world.node, world.late_ms, world.document = node, 1_000, node.one.document
    with asking(served) as client:
        store = LightStore(tmp_path, world.root())
        light = LightClient(store, world.document, [Source(served.url, client)], world.now_ms)
        assert light.update() and light.newest.header == node.one.chain.header
        height, _ = light.query("governance", "params_now", {})
        assert height == light.newest.height
        tx = node.one.transaction()

        def commit(_seconds: float) -> None:
            assert node.waiting[tx.tx_id] == tx.raw
            trio.run(node.one.block, [tx])

        at, _, receipt = light.submit_and_wait(tx.raw, sleep=commit)
        assert (at.header.height, receipt.code) == (height + 1, "OK")
        assert refused(client.node_status) == "ROUTE_NOT_FOR_PEERS"
        assert refused(lambda: client.exchange("GET", "/v1/vault", b"", {})) == (
            "ROUTE_NOT_FOR_PEERS"
        )
        assert refused(lambda: next(client.positions(1))) == "ROUTE_NOT_FOR_PEERS"
        store.close()


def test_a_large_submission_goes_in_parts_that_fit(node: FullNode, served: Served) -> None:
    with asking(served) as client:
        results = client.submit([bytes(60_000)] * 40)
    assert len(results) == 40 and not any(one.accepted for one in results)
    assert served.handler.faults == []


def test_a_block_as_large_as_they_get_arrives_whole(
    node: FullNode, served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    largest = bytes(SealedBlock.bytes_max)

    async def block_bytes(height: int) -> bytes:
        return largest

    monkeypatch.setattr(node, "block_bytes", block_bytes)
    with asking(served) as client:
        assert client.sealed_block(1) == largest
        assert client.genesis()
        assert served.handler.disconnects == []


def test_a_key_that_is_not_admitted_gets_nothing(served: Served) -> None:
    with asking(served, 2) as client:
        assert refused(client.genesis) == "NODE_UNREACHABLE"
    assert served.handler.connects == []


def test_another_key_than_the_named_one_is_not_spoken_with(served: Served) -> None:
    url = served.url.replace(KEYS[1].hex(), KEYS[3].hex())
    with asking(served, url=url) as client:
        assert refused(client.genesis) == "NODE_UNREACHABLE"


def test_a_node_that_went_down_is_unreachable_and_found_again(
    node: FullNode, served: Served
) -> None:
    with asking(served) as client:
        client.genesis()
        served.stop()
        assert refused(client.genesis) == "NODE_UNREACHABLE"
        again = Served(node, served.host.listen_address)
        try:
            until(lambda: client.genesis() != {}, "it is in touch again", 10)
        finally:
            again.stop()


def test_an_answer_that_is_longer_than_wanted_is_told_so(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(frames, "ANSWER_BYTES_MAX", 100)
    with asking(served) as client:
        assert refused(client.genesis) == "RESPONSE_TOO_LARGE"


def test_a_busy_node_is_asked_again(served: Served) -> None:
    honest, times = served.handler.answer, []
    assert honest is not None

    async def busy(peer: bytes, payload: bytes) -> bytes:
        times.append(peer)
        if len(times) < 3:
            raise HansaError("PEER_BUSY", "later")
        return await honest(peer, payload)

    served.handler.answer = busy
    with asking(served) as client:
        client.genesis()
    assert times == [KEYS[0]] * 3


@pytest.mark.parametrize("answer", [b"", b"junk", encode([200, "", "text"])])
def test_what_is_no_answer_moves_nothing(served: Served, answer: bytes) -> None:
    async def lie(peer: bytes, payload: bytes) -> bytes:
        return answer

    served.handler.answer = lie
    with asking(served) as client:
        assert refused(client.genesis) == "NODE_UNREACHABLE"


@pytest.mark.parametrize(
    "url",
    ["libp2p://127.0.0.1:1", "libp2p://127.0.0.1/" + "00" * 32, "libp2p://:1/" + "00" * 32,
     "libp2p://127.0.0.1:1/" + "0g" * 32, "libp2p://127.0.0.1:1/" + "00" * 32 + "/v1"],
)  # fmt: skip
def test_bad_addresses(url: str) -> None:
    with pytest.raises(InputError) as caught:
        parse_source(url)
    assert caught.value.code == "BAD_ADDRESS"
