"""Hosts in one process, over real sockets."""

from __future__ import annotations

import socket
import time
from collections.abc import Awaitable, Callable
from typing import NoReturn

import pytest
import trio
from structlog.testing import LogCapture

from consensus.primitives.errors import InputError, LocalFault, PeerFault
from p2p.link import LinkLimits
from p2p.ports import FRAME_BYTES_MAX, Channel, PeerUnavailable
from tests.p2p.support import KEYS, Net, Recorder, eventually


async def test_pair_connects_once_and_exchanges_messages(net: Net) -> None:
    first, second = await net.pair()
    assert first.connected() == (KEYS[1],)
    assert second.connected() == (KEYS[0],)
    for channel in Channel:
        assert first.send(KEYS[1], channel, b"to the second")
        assert second.send(KEYS[0], channel, b"to the first")
    for number in (0, 1):
        handler = net.handlers[number]
        await handler.until_messages(3)
        assert sorted(channel for _, channel, _ in handler.messages) == list(Channel)
        assert handler.connects == [KEYS[1 - number]]
        assert handler.disconnects == []


async def test_a_host_that_listens_on_nothing_dials_whoever_has_the_lower_key(net: Net) -> None:
    first = await net.start(0, {1: None})
    second = await net.start(1, {0: first.listen_address}, listen=None)
    await net.handlers[0].until_counts(1, 0)
    assert second.listen_address == "" and first.connected() == (KEYS[1],)
    await net.stop(0)
    await net.handlers[1].until_counts(1, 1)
    await net.start(0, {1: None}, listen=first.listen_address)
    await net.handlers[1].until_counts(2, 1)


async def test_order_of_ten_thousand_messages(net: Net, report: Callable[[str], None]) -> None:
    first, _ = await net.pair()
    receiver = net.handlers[1]
    payloads = [number.to_bytes(4, "big") * 50 for number in range(10_000)]
    start = time.perf_counter()
    for payload in payloads:
        assert first.send(KEYS[1], Channel.TRANSACTIONS, payload)
    await receiver.until(lambda: len(receiver.messages) == len(payloads))
    seconds = time.perf_counter() - start
    assert [payload for _, _, payload in receiver.messages] == payloads
    report(f"{len(payloads) / seconds:,.0f} messages/s of 200 bytes (both ends here)")


async def test_largest_frames_arrive_whole(net: Net) -> None:
    first, _ = await net.pair()
    receiver = net.handlers[1]
    for channel in Channel:
        payload = bytes([channel]) * FRAME_BYTES_MAX[channel]
        assert first.send(KEYS[1], channel, payload)
        with pytest.raises(ValueError, match="too many"):
            first.send(KEYS[1], channel, payload + b"x")
    await receiver.until(lambda: len(receiver.messages) == 3)
    sizes = {channel: len(payload) for _, channel, payload in receiver.messages}
    assert sizes == FRAME_BYTES_MAX


async def test_three_hosts_form_a_mesh(net: Net) -> None:
    third = await net.start(2, {0: None, 1: None})
    second = await net.start(1, {0: None, 2: third.listen_address})
    first = await net.start(0, {1: second.listen_address, 2: third.listen_address})
    for handler in net.handlers.values():
        await handler.until_counts(2, 0)
    assert first.connected() == (KEYS[1], KEYS[2])
    assert second.connected() == (KEYS[0], KEYS[2])
    assert third.connected() == (KEYS[0], KEYS[1])


async def test_higher_key_dials_when_the_lower_one_has_no_address(net: Net) -> None:
    first = await net.start(0, {1: None})
    await net.start(1, {0: first.listen_address})
    await net.handlers[0].until(lambda: net.handlers[0].connects == [KEYS[1]])


async def test_both_dialling_end_with_one_connection(net: Net) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    second = await net.start(1, {0: address})
    await net.start(0, {1: second.listen_address}, listen=address)

    def settled() -> bool:
        return all(
            len(handler.connects) == len(handler.disconnects) + 1
            for handler in net.handlers.values()
        )

    await eventually(settled)
    assert net.hosts[0].connected() == (KEYS[1],)
    assert net.hosts[1].connected() == (KEYS[0],)


async def test_dns_name_in_a_peer_address(net: Net) -> None:
    second = await net.start(1, {0: None})
    port = second.listen_address.rpartition(":")[2]
    await net.start(0, {1: f"localhost:{port}"})
    await net.handlers[0].until(lambda: net.handlers[0].connects == [KEYS[1]])


async def test_reports_say_why_a_dial_failed(net: Net) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        first = await net.start(0, {1: address, 2: "no-such-host.invalid:1"})
        await eventually(lambda: all(report["last_error"] for report in first.peer_reports()))
    refused, unknown = (str(report["last_error"]) for report in first.peer_reports())
    assert refused == f"{address}: connection refused"
    assert unknown.startswith("no-such-host.invalid:1: ")


# ---- who is spoken to -------------------------------------------------------------------


async def test_unlisted_peer_is_refused(net: Net, log: LogCapture) -> None:
    second = await net.start(1, {2: None})
    first = await net.start(0, {1: second.listen_address})
    await eventually(lambda: "admitted" in str(first.peer_reports()[0]["last_error"]))
    assert net.handlers[1].connects == []
    assert any(
        entry["event"] == "p2p_connection_refused" and KEYS[0].hex() in entry["reason"]
        for entry in log.entries
    )


async def test_unlisted_peer_is_taken_where_that_is_wanted(net: Net) -> None:
    second = await net.start(1, {}, accept_unlisted=True)
    await net.start(0, {1: second.listen_address})
    await net.handlers[1].until(lambda: net.handlers[1].connects == [KEYS[0]])
    assert second.send(KEYS[0], Channel.CHAIN, b"welcome")
    await net.handlers[0].until(lambda: len(net.handlers[0].messages) == 1)


async def test_another_key_at_a_peers_address_is_not_spoken_to(net: Net) -> None:
    impostor = await net.start(2, {0: None})
    first = await net.start(0, {1: impostor.listen_address})
    await eventually(lambda: first.peer_reports()[0]["last_error"] != "")
    assert first.connected() == ()
    assert net.handlers[2].connects == []


async def test_wrong_hello_is_refused_and_told_so(net: Net, log: LogCapture) -> None:
    second = await net.start(1, {0: None}, hello=b"chain B")
    first = await net.start(0, {1: second.listen_address}, hello=b"chain A")

    def error(host_number: int) -> str:
        return str(net.hosts[host_number].peer_reports()[0]["last_error"])

    await eventually(lambda: "the peer refused this node" in error(0))
    await eventually(lambda: "the peer refused this node" in error(1))
    assert "chain b'chain A' is not b'chain B'" in error(0)
    assert "chain b'chain B' is not b'chain A'" in error(1)
    assert first.connected() == ()
    assert net.handlers[0].connects == net.handlers[1].connects == []
    told = [entry for entry in log.entries if entry["event"] == "peer_not_connected"]
    assert {entry["log_level"] for entry in told} >= {"warning"}


# ---- handlers that fail, peers that misbehave -------------------------------------------


async def test_peer_fault_drops_and_bars_the_peer(net: Net) -> None:
    async def take(peer: bytes, channel: Channel, payload: bytes) -> None:
        raise PeerFault("BAD_VOTE", "a vote for nothing")

    receiver = net.handlers[1] = Recorder()
    receiver.take = take
    first, second = await net.pair()
    first.send(KEYS[1], Channel.CONSENSUS, b"bad")
    await receiver.until(lambda: len(receiver.disconnects) == 1)
    assert receiver.disconnects == [(KEYS[0], "BAD_VOTE: a vote for nothing")]
    assert "BAD_VOTE" in second.peer_reports()[0]["last_error"]
    await net.handlers[0].until(lambda: len(net.handlers[0].disconnects) == 1)
    assert "BAD_VOTE" in net.handlers[0].disconnects[0][1]
    # Redialled within a second, and refused while it's barred.
    await eventually(lambda: "admitted" in str(first.peer_reports()[0]["last_error"]))
    assert receiver.connects == [KEYS[0]]


@pytest.mark.parametrize("where", ["on_connect", "on_message"])
async def test_failing_handler_ends_the_link_not_the_host(
    net: Net, where: str, log: LogCapture
) -> None:
    fail = True

    async def boom(*arguments: object) -> None:
        if fail:
            raise RuntimeError("a bug in the node")

    receiver = net.handlers[1] = Recorder()
    if where == "on_connect":
        receiver.greet = boom
    else:
        receiver.take = boom
    second = await net.start(1, {0: None})
    first = await net.start(0, {1: second.listen_address})
    if where == "on_message":
        await eventually(lambda: first.send(KEYS[1], Channel.CHAIN, b"hello"))
    await receiver.until(lambda: len(receiver.disconnects) > 0)
    fail = False

    def arrived() -> bool:
        # What went into the link that is just ending is lost, as it may be.
        first.send(KEYS[1], Channel.CHAIN, b"again")
        return receiver.messages[-1:] == [(KEYS[0], Channel.CHAIN, b"again")]

    await eventually(arrived)
    assert any(entry["event"] == "peer_task_failed" for entry in log.entries)


async def test_dropped_peer_comes_back(net: Net) -> None:
    first, second = await net.pair()
    second.drop(KEYS[0], "enough for now")
    assert second.connected() == ()
    assert not second.send(KEYS[0], Channel.CHAIN, b"gone")
    await net.handlers[0].until_counts(2, 1)
    await net.handlers[1].until_counts(2, 1)
    assert net.handlers[1].disconnects == [(KEYS[0], "enough for now")]
    assert "enough for now" in net.handlers[0].disconnects[0][1]
    await eventually(lambda: first.connected() == (KEYS[1],))


async def test_slow_reader_fills_the_queue_then_is_disconnected(net: Net) -> None:
    limits = LinkLimits(
        slow_s=0.5, queue_bytes_max=dict.fromkeys(Channel, 1_000_000), ping_interval_s=0.1
    )
    stuck = trio.Event()

    async def take(peer: bytes, channel: Channel, payload: bytes) -> None:
        await stuck.wait()

    net.handlers[1] = Recorder()
    net.handlers[1].take = take
    first, second = await net.pair(limits=limits)
    payload = b"x" * 100_000
    sent = 0
    # What the peer's window and the queue hold is taken, and no more than that.
    while first.connected():
        if first.send(KEYS[1], Channel.TRANSACTIONS, payload):
            sent += len(payload)
        await trio.sleep(0.005)
    assert sent < 20_000_000
    await net.handlers[0].until(lambda: len(net.handlers[0].disconnects) == 1)
    assert "too slowly" in net.handlers[0].disconnects[0][1]
    await net.handlers[1].until(lambda: len(net.handlers[1].disconnects) == 1)
    assert len(net.handlers[1].messages) == 1
    assert second.listen_address


async def test_consensus_passes_while_another_channel_is_held_up(net: Net) -> None:
    release = trio.Event()

    async def take(peer: bytes, channel: Channel, payload: bytes) -> None:
        if channel is Channel.TRANSACTIONS:
            await release.wait()

    receiver = net.handlers[1] = Recorder()
    receiver.take = take
    first, _ = await net.pair()
    for _ in range(30):
        first.send(KEYS[1], Channel.TRANSACTIONS, b"t" * 100_000)
    first.send(KEYS[1], Channel.CONSENSUS, b"vote")
    await receiver.until(lambda: (KEYS[0], Channel.CONSENSUS, b"vote") in receiver.messages)
    release.set()
    await receiver.until(lambda: len(receiver.messages) == 31)


# ---- requests ---------------------------------------------------------------------------


async def test_requests_run_side_by_side(net: Net) -> None:
    first, second = await net.pair()
    all_in = trio.Event()
    running = 0

    async def answer(peer: bytes, payload: bytes) -> bytes:
        nonlocal running
        running += 1
        if running == 10:
            all_in.set()
        await all_in.wait()
        return payload + b"!"

    net.handlers[1].answer = answer
    answers: list[bytes] = []

    async def ask(number: int) -> None:
        payload = bytes([number])
        answers.append(await first.request(KEYS[1], payload, bytes_max=10, timeout_ms=20_000))

    async with trio.open_nursery() as nursery:
        for number in range(10):
            nursery.start_soon(ask, number)
    assert sorted(answers) == [bytes([number]) + b"!" for number in range(10)]
    assert await second.request(KEYS[0], b"abc", bytes_max=3, timeout_ms=20_000) == b"cba"


async def test_large_answer(net: Net) -> None:
    first, _ = await net.pair()

    async def answer(peer: bytes, payload: bytes) -> bytes:
        return b"z" * 8_000_000

    net.handlers[1].answer = answer
    content = await first.request(KEYS[1], b"", bytes_max=8_000_000, timeout_ms=20_000)
    assert content == b"z" * 8_000_000
    with pytest.raises(PeerUnavailable) as caught:
        await first.request(KEYS[1], b"", bytes_max=7_999_999, timeout_ms=20_000)
    assert caught.value.code == "RESPONSE_TOO_LARGE"


async def test_failed_requests_say_why_and_cost_no_connection(net: Net) -> None:
    first, _ = await net.pair()

    async def refuse(peer: bytes, payload: bytes) -> bytes:
        raise InputError("NO_SUCH_BLOCK", "block 9 isn't here")

    async def crash(peer: bytes, payload: bytes) -> bytes:
        raise RuntimeError("secret detail")

    async def never(peer: bytes, payload: bytes) -> NoReturn:
        await trio.sleep_forever()

    async def code(handler: Callable[[bytes, bytes], Awaitable[bytes]], timeout_ms: int) -> str:
        net.handlers[1].answer = handler
        with pytest.raises(PeerUnavailable) as caught:
            await first.request(KEYS[1], b"?", bytes_max=100, timeout_ms=timeout_ms)
        return str(caught.value)

    assert await code(refuse, 20_000) == "REQUEST_REFUSED: NO_SUCH_BLOCK: block 9 isn't here"
    assert "secret" not in await code(crash, 20_000)
    assert (await code(never, 50)).startswith("REQUEST_TIMEOUT")
    net.handlers[1].answer = None
    assert await first.request(KEYS[1], b"ab", bytes_max=2, timeout_ms=20_000) == b"ba"
    assert net.handlers[0].disconnects == []


async def test_requests_end_with_the_connection(net: Net) -> None:
    first, _ = await net.pair()
    asked = trio.Event()

    async def never(peer: bytes, payload: bytes) -> NoReturn:
        asked.set()
        await trio.sleep_forever()

    net.handlers[1].answer = never

    async def stop_when_asked() -> None:
        await asked.wait()
        await net.stop(1)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(stop_when_asked)
        with pytest.raises(PeerUnavailable) as caught:
            await first.request(KEYS[1], b"", bytes_max=1, timeout_ms=60_000)
    assert caught.value.code == "PEER_DISCONNECTED"
    with pytest.raises(PeerUnavailable) as caught:
        await first.request(KEYS[1], b"", bytes_max=1, timeout_ms=60_000)
    assert caught.value.code == "NOT_CONNECTED"


# ---- coming and going -------------------------------------------------------------------


async def test_restarted_host_is_found_again(net: Net) -> None:
    first, second = await net.pair()
    address = second.listen_address
    for round_number in (2, 3):
        await net.stop(1)
        await net.handlers[0].until_counts(round_number - 1, round_number - 1)
        await net.start(1, {0: None}, listen=address)
        await net.handlers[0].until_counts(round_number, round_number - 1)
    assert first.connected() == (KEYS[1],)


async def test_stopping_tells_the_handler_of_each_disconnect(net: Net) -> None:
    await net.pair()
    await net.stop(0)
    assert [peer for peer, _ in net.handlers[0].disconnects] == [KEYS[1]]
    await net.handlers[1].until(lambda: len(net.handlers[1].disconnects) == 1)


async def test_occupied_port_is_named(net: Net) -> None:
    first = await net.start(0, {})
    with pytest.raises(LocalFault) as caught:
        await net.start(1, {}, listen=first.listen_address)
    assert caught.value.code == "PORT_IN_USE"
    assert first.listen_address in caught.value.message


async def test_reports_for_status_pages(net: Net) -> None:
    first, second = await net.pair(limits=LinkLimits(ping_interval_s=0.05))
    await eventually(lambda: first.peer_reports()[0]["rtt_ms"] is not None)
    (report,) = first.peer_reports()
    assert report["key"] == KEYS[1].hex()
    assert report["name"] == "node-1"
    assert report["connected"] is True
    assert report["address"] == second.listen_address
    assert report["last_error"] == ""
    assert report["sent_bytes"] > 0
    assert report["received_bytes"] > 0
