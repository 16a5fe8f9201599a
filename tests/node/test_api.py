import json
import re
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import pytest
import trio

from cli.client import make_transaction
from consensus.primitives.codec import encode
from consensus.primitives.errors import LocalFault
from node.api import app as api_app
from node.api import server, streams
from node.api.app import make_app, parse_position
from node.api.server import serve_api
from tests.node.api_world import CHAIN_ID, MemoryNode

# httpx leaves its own generators to the collector when a stream is left early; ours are not named.
pytestmark = pytest.mark.filterwarnings(
    "ignore:Exception ignored in. <async_generator object (Response|Pool|Async|HTTP11|Bound|ByteS)"
)

ROOT = Path(__file__).resolve().parents[2]
SEED = bytes(range(32))
MSGPACK = {"content-type": "application/msgpack"}


def raw_tx(number: int = 0) -> bytes:
    calls = [("batch", "ship", {"number": number})]
    salt = number.to_bytes(16, "big")
    return make_transaction(SEED, CHAIN_ID, calls, valid_until=2_000_000_000_000, salt=salt).raw


@asynccontextmanager
async def served(node: MemoryNode, **options: Any) -> AsyncIterator[httpx.AsyncClient]:
    async with trio.open_nursery() as nursery:
        address = await nursery.start(serve_api, make_app(node, **options), "127.0.0.1:0")
        async with httpx.AsyncClient(base_url=f"http://{address}", timeout=10) as client:
            yield client
        nursery.cancel_scope.cancel()


def error_code(response: httpx.Response) -> tuple[int, str]:
    body = response.json()
    assert set(body) == {"error"} and set(body["error"]) == {"code", "message"}
    assert response.headers["content-type"] == "application/json"
    return response.status_code, body["error"]["code"]


async def test_submit_as_msgpack_and_as_json() -> None:
    node = MemoryNode()
    async with served(node) as client:
        first = await client.post(
            "/v1/transactions", content=encode([raw_tx(1), b"junk"]), headers=MSGPACK
        )
        second = await client.post("/v1/transactions", json={"transactions": [raw_tx(2).hex()]})
    assert first.status_code == second.status_code == 200
    good, bad = first.json()["results"]
    assert (good["status"], good["code"], len(good["tx_id"])) == ("accepted", "OK", 64)
    assert (bad["status"], bad["code"], bad["tx_id"]) == ("refused", "TX_MALFORMED", None)
    assert second.json()["results"][0]["status"] == "accepted"
    assert node.submissions == [[raw_tx(1), b"junk"], [raw_tx(2)]]


async def test_full_mempool_is_503_with_retry_after_only_when_all_were_refused() -> None:
    node = MemoryNode(full_times=1)
    async with served(node) as client:
        full = await client.post("/v1/transactions", content=encode([raw_tx()]), headers=MSGPACK)
        fine = await client.post("/v1/transactions", content=encode([raw_tx()]), headers=MSGPACK)
    assert (full.status_code, full.headers["retry-after"]) == (503, "1")
    assert full.json()["results"][0] == {
        "tx_id": None,
        "status": "refused",
        "code": "MEMPOOL_FULL",
        "message": "full",
        "retry_after_ms": 20,
    }
    assert fine.status_code == 200


@pytest.mark.parametrize(
    ("content", "media_type", "expected"),
    [
        (b"\x90", "application/msgpack", (400, "BAD_REQUEST")),
        (b"\xc1", "application/msgpack", (400, "MALFORMED")),
        (b"\x91\xd9\x01a", "application/msgpack", (400, "NOT_CANONICAL")),
        (encode(["text"]), "application/msgpack", (400, "BAD_REQUEST")),
        (encode([b""] * 1001), "application/msgpack", (413, "TOO_MANY_TRANSACTIONS")),
        (b"{", "application/json", (400, "BAD_JSON")),
        (b'{"transactions": ["0g"]}', "application/json", (400, "BAD_REQUEST")),
        (b'{"transactions": [], "more": 1}', "application/json", (400, "BAD_REQUEST")),
        (b'{"transactions": [], "transactions": []}', "application/json", (400, "BAD_JSON")),
        (b"[" * 100_000, "application/json", (400, "BAD_JSON")),
        (b"x", "text/plain", (415, "UNSUPPORTED_MEDIA_TYPE")),
    ],
)
async def test_bad_submissions(content: bytes, media_type: str, expected: tuple[int, str]) -> None:
    node = MemoryNode()
    async with served(node) as client:
        headers = {"content-type": media_type}
        response = await client.post("/v1/transactions", content=content, headers=headers)
        assert error_code(response) == expected
    assert node.submissions == []


async def test_too_large_bodies_are_refused_before_they_are_read() -> None:
    node = MemoryNode()
    async with served(node) as client:
        announced = await client.post(
            "/v1/transactions", content=bytes(api_app.SUBMIT_BYTES_MAX + 1), headers=MSGPACK
        )
        assert error_code(announced) == (413, "BODY_TOO_LARGE")

        async def chunks() -> AsyncIterator[bytes]:
            for _ in range(api_app.SUBMIT_BYTES_MAX // 65_536 + 2):
                yield bytes(65_536)

        unannounced = await client.post("/v1/transactions", content=chunks(), headers=MSGPACK)
        assert error_code(unannounced) == (413, "BODY_TOO_LARGE")
        assert (await client.get("/health/live")).status_code == 200
    assert node.submissions == []


async def test_endless_and_slow_bodies_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api_app, "BODY_TIMEOUT_S", 0.2)
    async with served(MemoryNode()) as client:
        host, port = client.base_url.host, client.base_url.port
        assert port
        stream = await trio.open_tcp_stream(host, port)
        await stream.send_all(
            b"POST /v1/transactions HTTP/1.1\r\nhost: localhost\r\n"
            b"content-type: application/msgpack\r\ncontent-length: 100\r\n\r\n\x91"
        )
        answer = b""
        with trio.fail_after(5):
            while not answer.endswith(b"}"):
                answer += await stream.receive_some(4096)
        assert b" 408 " in answer and b"BODY_TIMEOUT" in answer
        await stream.aclose()

        stream = await trio.open_tcp_stream(host, port)
        await stream.send_all(
            b"POST /v1/transactions HTTP/1.1\r\nhost: localhost\r\n"
            b"content-type: application/msgpack\r\ncontent-length: 999999999999\r\n\r\n"
        )
        with trio.fail_after(10):
            answer = await stream.receive_some(4096)
            assert b" 413 " in answer
            with suppress(trio.BrokenResourceError):
                while True:  # the server must hang up, not swallow a terabyte
                    await stream.send_all(bytes(65_536))
        await stream.aclose()


async def test_transaction_status_and_bytes() -> None:
    node = MemoryNode(commit_on_submit=False)
    async with served(node) as client:
        answer = await client.post("/v1/transactions", content=encode([raw_tx()]), headers=MSGPACK)
        tx_id = answer.json()["results"][0]["tx_id"]
        assert (await client.get(f"/v1/transactions/{tx_id}")).json()["status"] == "pending"
        assert (await client.get(f"/v1/transactions/{tx_id}/bytes")).content == raw_tx()
        node.commit()
        found = (await client.get(f"/v1/transactions/{tx_id}")).json()
        assert found == {
            "tx_id": tx_id,
            "status": "committed",
            "code": "OK",
            "detail": "",
            "height": 1,
            "index": 0,
            "block_hash": node.blocks[0].hash.hex(),
            "time_ms": node.time_ms,
            "steps_used": 17,
            "events": [],
            "result": {"hex": "02"},
        }
        other = "0" * 64
        assert (await client.get(f"/v1/transactions/{other}")).json()["status"] == "unknown"
        missing = await client.get(f"/v1/transactions/{other}/bytes")
        assert error_code(missing) == (404, "TX_NOT_FOUND")
        assert error_code(await client.get("/v1/transactions/XY")) == (400, "BAD_TX_ID")


async def test_query_takes_and_gives_canonical_values() -> None:
    async with served(MemoryNode()) as client:
        args = {"id": {"hex": "0aff"}, "count": 3, "list": [None, True]}
        response = await client.post("/v1/query/batch/trace", json=args)
    assert response.json() == {
        "height": 0,
        "result": {"method": "trace", "args": args, "raw": {"hex": "ff"}},
    }


@pytest.mark.parametrize(
    ("path", "content", "expected"),
    [
        ("batch/trace", b"[]", (400, "BAD_REQUEST")),
        ("batch/trace", b'{"x": 1.5}', (400, "NOT_CANONICAL")),
        ("batch/trace", b'{"x": NaN}', (400, "NOT_CANONICAL")),
        ("batch/trace", b'{"x": {"hex": "0g"}}', (400, "MALFORMED")),
        ("batch/trace", b'{"x": 1' + b"0" * 30 + b"}", (400, "NOT_CANONICAL")),
        ("batch/trace", b'{"x": "\\ud800"}', (400, "NOT_CANONICAL")),
        ("batch/trace", b'{"x": ' + b"[" * 500 + b"]" * 500 + b"}", (400, "TOO_DEEP")),
        ("batch/trace", b" " * (api_app.QUERY_BYTES_MAX + 1), (413, "BODY_TOO_LARGE")),
        ("other/trace", b"{}", (404, "UNKNOWN_CONTRACT")),
        ("batch/crash", b"{}", (500, "INTERNAL_ERROR")),
        ("batch/disk", b"{}", (503, "STORE_IO")),
    ],
)
async def test_bad_queries(path: str, content: bytes, expected: tuple[int, str]) -> None:
    async with served(MemoryNode()) as client:
        headers = {"content-type": "application/json"}
        response = await client.post(f"/v1/query/{path}", content=content, headers=headers)
    assert error_code(response) == expected
    assert "secret" not in response.text


async def test_blocks_and_documents() -> None:
    node = MemoryNode()
    async with served(node) as client:
        assert error_code(await client.get("/v1/blocks/latest")) == (404, "BLOCK_NOT_FOUND")
        node.commit()
        node.commit()
        assert (await client.get("/v1/blocks/latest")).json() == {"height": 2}
        assert (await client.get("/v1/blocks/1")).json() == {"height": 1}
        assert error_code(await client.get("/v1/blocks/3")) == (404, "BLOCK_NOT_FOUND")
        assert error_code(await client.get("/v1/blocks/-1")) == (400, "BAD_HEIGHT")
        assert (await client.get("/v1/blocks/2/bytes")).content == b"block 2"
        assert error_code(await client.get("/v1/blocks/3/bytes")) == (404, "BLOCK_NOT_FOUND")
        assert error_code(await client.get("/v1/blocks/x/bytes")) == (400, "BAD_HEIGHT")
        assert (await client.get("/v1/blocks/2/receipts")).content == b"\x90"
        missing = await client.get("/v1/blocks/3/receipts")
        assert error_code(missing) == (404, "BLOCK_NOT_FOUND")
        assert (await client.get("/v1/contracts")).json() == {"batch": {"methods": {}}}
        assert (await client.get("/v1/genesis")).json() == {"name": "test"}
        assert (await client.get("/v1/status")).json()["height"] == 2


async def test_evidence_is_asked_for_in_pages_of_limited_size() -> None:
    async with served(MemoryNode()) as client:
        answer = await client.get(f"/v1/evidence?after={'0a' * 32}&limit=100")
        assert answer.json() == {"evidence": [], "waiting": [], "next": None}
        for query in (
            "limit=0",
            "limit=101",
            "limit=-1",
            "limit=x",
            "after=0a",
            "after=" + "0A" * 32,
        ):
            assert error_code(await client.get(f"/v1/evidence?{query}")) == (400, "BAD_REQUEST")


async def test_health_and_metrics() -> None:
    node = MemoryNode()
    async with served(node) as client:
        assert (await client.get("/health/live")).status_code == 200
        not_ready = await client.get("/health/ready")
        assert (not_ready.status_code, not_ready.json()["reason"]) == (503, "no block yet")
        node.commit()
        assert (await client.get("/health/ready")).status_code == 200
        metrics = await client.get("/metrics")
        assert metrics.text == "hansa_height 0\n"
        assert metrics.headers["content-type"].startswith("text/plain; version=")


async def test_unknown_paths_methods_and_the_description() -> None:
    async with served(MemoryNode()) as client:
        assert error_code(await client.get("/v2/nothing")) == (404, "NOT_FOUND")
        assert error_code(await client.delete("/v1/status")) == (405, "METHOD_NOT_ALLOWED")
        for page in ("/docs", "/redoc"):
            assert error_code(await client.get(page)) == (404, "NOT_FOUND")
        paths = set((await client.get("/openapi.json")).json()["paths"])
    documented = (ROOT / "docs" / "api.md").read_text()
    for path in paths:
        assert re.search(rf"`(GET|POST) {re.escape(path)}[`?]", documented), path
    assert paths == {
        "/v1/transactions",
        "/v1/transactions/{tx_id}",
        "/v1/transactions/{tx_id}/bytes",
        "/v1/query/{contract}/{method}",
        "/v1/blocks/{height}",
        "/v1/blocks/{height}/bytes",
        "/v1/blocks/{height}/receipts",
        "/v1/contracts",
        "/v1/genesis",
        "/v1/positions",
        "/v1/events",
        "/v1/status",
        "/v1/doctor",
        "/v1/evidence",
        "/v1/debug/recording",
        "/health/live",
        "/health/ready",
        "/metrics",
    }


async def test_foreign_host_names_are_refused() -> None:
    async with served(MemoryNode(), hosts=["Node.example"]) as client:
        for host, status in {
            "evil.example": 403,
            "evil.example:8640": 403,
            "node.example:443": 200,
            "localhost": 200,
            "[::1]:8640": 200,
            "10.0.0.7": 200,
        }.items():
            response = await client.get("/health/live", headers={"host": host})
            assert response.status_code == status, host
    async with served(MemoryNode()) as client:
        refused = await client.get("/health/live", headers={"host": "node.example"})
        assert error_code(refused) == (403, "HOST_NOT_ALLOWED")


async def next_object(lines: AsyncIterator[str]) -> Any:
    with trio.fail_after(10):
        async for line in lines:
            if line:
                return json.loads(line)
    raise AssertionError("the stream ended")


async def test_positions_from_the_past_and_then_live() -> None:
    node = MemoryNode(commit_on_submit=False)
    node.commit()
    node.commit()
    async with served(node) as client, client.stream("GET", "/v1/positions?since=2") as response:
        assert response.headers["content-type"] == "application/x-ndjson"
        lines = response.aiter_lines()
        assert (await next_object(lines))["height"] == 2
        await node.submit([raw_tx()])
        (tx_id,) = node.waiting
        node.commit()
        assert await next_object(lines) == {
            "height": 3,
            "time_ms": node.time_ms,
            "hash": node.blocks[2].hash.hex(),
            "txs": [[tx_id.hex(), "OK"]],
        }


async def test_events_are_filtered_and_resumed() -> None:
    node = MemoryNode()
    for number in range(3):
        await node.submit([raw_tx(number)])
    async with served(node) as client:
        url = "/v1/events?since=1.0.1&contract=batch&name=shipped"
        async with client.stream("GET", url) as response:
            lines = response.aiter_lines()
            assert [(await next_object(lines))["position"] for _ in range(2)] == ["2.0.0", "3.0.0"]
        async with client.stream("GET", "/v1/events?since=3") as response:
            event = await next_object(response.aiter_lines())
        assert event["fields"] == {"lot": {"hex": "01"}}
        for bad in ("", "x", "1.2.3.4", "1.-2", "1." + "9" * 30):
            answer = await client.get("/v1/events", params={"since": bad})
            assert error_code(answer) == (400, "BAD_POSITION"), bad
    assert parse_position("7.2") == (7, 2, 0)


async def test_a_failing_stream_says_so_in_its_last_line() -> None:
    async with served(MemoryNode()) as client:
        for contract, code in {"none": "UNKNOWN_CONTRACT", "broken": "INTERNAL_ERROR"}.items():
            response = await client.get("/v1/events", params={"contract": contract})
            (line,) = response.text.splitlines()
            assert json.loads(line)["error"]["code"] == code
            assert "secret" not in line


async def test_idle_streams_send_blank_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "HEARTBEAT_S", 0.01)
    async with (
        served(MemoryNode()) as client,
        client.stream("GET", "/v1/positions") as response,
    ):
        lines = response.aiter_lines()
        assert [await anext(lines) for _ in range(3)] == ["", "", ""]


async def test_open_streams_are_bounded_and_freed(monkeypatch: pytest.MonkeyPatch) -> None:
    node = MemoryNode()
    app = make_app(node)
    app.state.streams._free = 1
    async with trio.open_nursery() as nursery:
        address = await nursery.start(serve_api, app, "127.0.0.1:0")
        async with httpx.AsyncClient(base_url=f"http://{address}", timeout=10) as client:
            async with client.stream("GET", "/v1/positions") as response:
                await response.aiter_lines().__anext__()
                refused = await client.get("/v1/events")
                assert error_code(refused) == (503, "TOO_MANY_STREAMS")
            with trio.fail_after(10):
                while app.state.streams._free == 0:
                    await trio.sleep(0.01)
        nursery.cancel_scope.cancel()


async def test_shutdown_ends_streams_with_a_last_line() -> None:
    node = MemoryNode()
    stopped = trio.Event()
    address = ""
    last: list[Any] = []

    async def follow() -> None:
        async with (
            httpx.AsyncClient(base_url=f"http://{address}", timeout=10) as client,
            client.stream("GET", "/v1/positions") as response,
        ):
            lines = response.aiter_lines()
            await anext(lines)
            stopped.set()
            last.extend([json.loads(line) async for line in lines if line])

    async with trio.open_nursery() as clients, trio.open_nursery() as nursery:
        address = await nursery.start(serve_api, make_app(node), "127.0.0.1:0")
        clients.start_soon(follow)
        await stopped.wait()
        nursery.cancel_scope.cancel()
    assert last == [{"error": {"code": "NODE_STOPPING", "message": "the node is shutting down"}}]


@pytest.fixture
def busy_node() -> MemoryNode:
    """More committed data than socket buffers hold."""
    node = MemoryNode()
    for height in range(300):
        node.waiting = {bytes([height % 256, n % 256, n // 256]) * 10: b"" for n in range(600)}
        node.commit()
    return node


async def open_and_do_not_read(address: str) -> trio.SocketStream:
    host, port = address.rsplit(":", 1)
    raw = trio.socket.socket()
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    await raw.connect((host, int(port)))
    stream = trio.SocketStream(raw)
    await stream.send_all(b"GET /v1/positions?since=1 HTTP/1.1\r\nhost: localhost\r\n\r\n")
    assert (await stream.receive_some(16)).startswith(b"HTTP/1.1 200")
    return stream


async def test_a_reader_that_does_not_read_is_disconnected(
    busy_node: MemoryNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "SEND_TIMEOUT_S", 0.3)
    app = make_app(busy_node)
    free = app.state.streams._free
    async with trio.open_nursery() as nursery:
        address = await nursery.start(serve_api, app, "127.0.0.1:0")
        stream = await open_and_do_not_read(address)
        assert app.state.streams._free == free - 1
        with trio.fail_after(10):
            while app.state.streams._free < free:
                await trio.sleep(0.01)
        await stream.aclose()
        nursery.cancel_scope.cancel()


async def test_a_reader_that_does_not_read_cannot_hold_up_the_shutdown(
    busy_node: MemoryNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "STOP_GRACE_S", 0.2)
    async with trio.open_nursery() as nursery:
        address = await nursery.start(serve_api, make_app(busy_node), "127.0.0.1:0")
        stream = await open_and_do_not_read(address)
        start = time.monotonic()
        nursery.cancel_scope.cancel()
    assert time.monotonic() - start < 5
    await stream.aclose()


async def test_connections_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "CONNECTIONS_MAX", 1)
    async with served(MemoryNode()) as client:
        assert client.base_url.port
        async with client.stream("GET", "/v1/positions?since=0") as busy:
            assert busy.status_code == 200
            second = await trio.open_tcp_stream(client.base_url.host, client.base_url.port)
            with trio.fail_after(5):
                assert await second.receive_some(1) == b""
            await second.aclose()
        with trio.fail_after(10):  # the server notices in a moment that the stream has gone
            while True:
                with suppress(httpx.RemoteProtocolError, httpx.ReadError):
                    assert (await client.get("/health/live")).status_code == 200
                    break
                await trio.sleep(0.05)
        assert (await client.get("/health/live")).status_code == 200


async def test_garbage_on_one_connection_harms_no_other() -> None:
    async with served(MemoryNode()) as client:
        assert client.base_url.port
        for junk in (b"\x16\x03\x01\x02\x00" * 50, b"GET / HTTP/9.9\r\n\r\n", b"\r\n" * 9999):
            stream = await trio.open_tcp_stream(client.base_url.host, client.base_url.port)
            await stream.send_all(junk)
            await stream.send_eof()
            with trio.fail_after(5):
                while await stream.receive_some(4096):
                    pass
            await stream.aclose()
        assert (await client.get("/health/live")).status_code == 200


async def test_an_address_in_use_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(LocalFault) as caught:
            await serve_api(make_app(MemoryNode()), address)
    assert caught.value.code == "PORT_IN_USE"
    assert address in caught.value.message
