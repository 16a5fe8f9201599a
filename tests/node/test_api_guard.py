"""The API under strangers: token, TLS, rates, connections held open, requests made of anything."""

from __future__ import annotations

import datetime
import ipaddress
import json
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest
import trio
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from hypothesis import given
from hypothesis import strategies as st

from cli.client import CA_FILE, TOKEN_FILE, Client
from consensus.primitives.errors import InputError
from node.api import server
from node.api.access import open_access
from node.api.app import make_app
from node.api.server import serve_api
from node.config import NodeConfig, load, write_default
from tests.node.api_world import MemoryNode

TOKEN = "t" * 40
DAY = datetime.timedelta(days=1)


@asynccontextmanager
async def served(node: MemoryNode, **options: Any) -> AsyncIterator[httpx.AsyncClient]:
    async with trio.open_nursery() as nursery:
        address = await nursery.start(serve_api, make_app(node, **options), "127.0.0.1:0")
        async with httpx.AsyncClient(base_url=f"http://{address}", timeout=10) as client:
            yield client
        nursery.cancel_scope.cancel()


def code(response: httpx.Response) -> tuple[int, str]:
    return response.status_code, response.json()["error"]["code"]


async def test_without_the_token_nothing_is_answered() -> None:
    async with served(MemoryNode(), token=TOKEN) as client:
        assert code(await client.get("/v1/status")) == (401, "TOKEN_REQUIRED")
        for shown in (TOKEN, f"Bearer {TOKEN}x", f"Bearer {TOKEN[:-1]}", f"Basic {TOKEN}", ""):
            response = await client.get("/v1/status", headers={"authorization": shown})
            assert code(response) == (401, "TOKEN_REQUIRED"), shown
        assert code(await client.get("/metrics")) == (401, "TOKEN_REQUIRED")
        assert code(await client.get("/openapi.json")) == (401, "TOKEN_REQUIRED")
        assert (await client.get("/health/live")).status_code == 200
        right = {"authorization": f"Bearer {TOKEN}"}
        assert (await client.get("/v1/status", headers=right)).status_code == 200
        both = {"authorization": "Hansa signed", "x-hansa-token": TOKEN}
        assert (await client.get("/v1/status", headers=both)).status_code == 200
        both["x-hansa-token"] = "wrong"
        assert code(await client.get("/v1/status", headers=both)) == (401, "TOKEN_REQUIRED")


async def test_an_address_that_asks_too_often_is_told_when_to_come_again() -> None:
    async with served(MemoryNode(), requests_per_s=1) as client:
        answers = [await client.get("/health/live") for _ in range(12)]
        assert [one.status_code for one in answers[:4]] == [200] * 4
        assert code(answers[-1]) == (429, "RATE_LIMITED")
        assert int(answers[-1].headers["retry-after"]) >= 1


async def test_connections_that_ask_for_nothing_keep_nobody_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Slowloris: every connection taken, each by a head that never ends."""
    monkeypatch.setattr(server, "CONNECTIONS_MAX", 8)
    async with served(MemoryNode()) as client:
        assert client.base_url.port
        slow = []
        for _ in range(20):
            stream = await trio.open_tcp_stream(client.base_url.host, client.base_url.port)
            await stream.send_all(b"GET /health/live HTTP/1.1\r\nhost: localhost\r\nx: ")
            slow.append(stream)
        assert (await client.get("/health/live")).status_code == 200
        for stream in slow:
            await trio.aclose_forcefully(stream)


async def test_a_head_must_be_whole_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "KEEP_ALIVE_S", 0.3)
    async with served(MemoryNode()) as client:
        assert client.base_url.port
        stream = await trio.open_tcp_stream(client.base_url.host, client.base_url.port)
        with trio.fail_after(10), suppress(trio.BrokenResourceError):
            await stream.send_all(b"GET /health/live HTTP/1.1\r\n")
            async with trio.open_nursery() as nursery:

                async def drip() -> None:
                    with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
                        while True:
                            await stream.send_all(b"x: y\r\n")
                            await trio.sleep(0.05)

                nursery.start_soon(drip)
                while await stream.receive_some(1000):
                    pass
                nursery.cancel_scope.cancel()
        await trio.aclose_forcefully(stream)


async def test_endless_heads_are_refused() -> None:
    async with served(MemoryNode()) as client:
        assert client.base_url.port
        stream = await trio.open_tcp_stream(client.base_url.host, client.base_url.port)
        heard = b""
        async with stream:
            with trio.fail_after(10), suppress(trio.BrokenResourceError):
                await stream.send_all(b"GET / HTTP/1.1\r\n")
                for _ in range(100):
                    await stream.send_all(b"x: " + b"y" * 4000 + b"\r\n")
                while data := await stream.receive_some(1000):
                    heard += data
        assert b" 200 " not in heard
        assert (await client.get("/health/live")).status_code == 200


ODD = ["latest", "0", "-1", "9" * 30, "0" * 64, "..", "%00"]
TEXT = st.text(max_size=40) | st.sampled_from(ODD)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=12,
)


@given(data=st.data())
def test_whatever_is_asked_is_answered_and_never_by_a_failure(data: st.DataObject) -> None:
    """Every route of the OpenAPI document, with paths, queries, types and bodies of all sorts."""
    app = make_app(MemoryNode())
    routes = [
        (path, method) for path, methods in app.openapi()["paths"].items() for method in methods
    ]
    path, method = data.draw(st.sampled_from(sorted(routes)))
    if path in ("/v1/positions", "/v1/events"):
        query = {"since": data.draw(st.text(min_size=1, max_size=8).filter(lambda t: t[0] in "x-"))}
    else:
        query = data.draw(st.dictionaries(TEXT, TEXT, max_size=3))
    while "{" in path:
        name = path[path.index("{") : path.index("}") + 1]
        path = path.replace(name, quote(data.draw(TEXT), safe=""), 1)
    body = data.draw(st.binary(max_size=300) | VALUES.map(lambda value: json.dumps(value).encode()))
    media = data.draw(
        st.sampled_from(["application/json", "application/msgpack", "text/plain", "", "a/b; c=d"])
    )

    async def ask() -> httpx.Response:
        transport = httpx.ASGITransport(app=app, raise_app_exceptions=True)
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            with trio.fail_after(20):
                headers = {"content-type": media}
                return await client.request(
                    method.upper(), path, params=query, content=body, headers=headers
                )

    response = trio.run(ask)
    assert response.status_code != 500, response.text
    if response.status_code >= 400 and path != "/health/ready":
        assert set(response.json()) == {"error"} or "results" in response.json()


# --- configuration ---------------------------------------------------------------------------


def config_of(folder: Path, **api: Any) -> NodeConfig:
    folder.mkdir(exist_ok=True)
    write_default(folder / "config.toml", {"node": {"role": "full"}, "api": api})
    return load(folder, env={}, check_files=False)


def make_certificate(folder: Path) -> None:
    """api.pem and api.key for 127.0.0.1, signed by itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "a node")])
    now = datetime.datetime.now(datetime.UTC)
    here = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    built = x509.CertificateBuilder(name, name, key.public_key(), 1, now, now + DAY)
    signed = built.add_extension(here, critical=False).sign(key, hashes.SHA256())
    (folder / "api.pem").write_bytes(signed.public_bytes(Encoding.PEM))
    (folder / "api.key").write_bytes(
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    )


def test_an_address_open_to_the_network_needs_token_and_tls(tmp_path: Path) -> None:
    full = {"token_file": "token", "tls_certificate": "a.pem", "tls_key": "a.key"}
    for number, left_out in enumerate(("token_file", "tls_certificate", "tls_key")):
        given = {name: value for name, value in full.items() if name != left_out}
        with pytest.raises(InputError) as caught:
            config_of(tmp_path / str(number), listen="0.0.0.0:8640", **given)
        assert caught.value.code == "CONFIG_INVALID"
    assert config_of(tmp_path / "full", listen="0.0.0.0:8640", **full).api.token_file == "token"
    trusted = config_of(tmp_path / "trusted", listen="0.0.0.0:8640", allow_remote=True)
    assert trusted.api.allow_remote


@pytest.mark.parametrize("text", ["", "short", "x" * 31, "ü" * 40, "x" * 20 + " " + "y" * 20])
def test_weak_tokens_are_refused(tmp_path: Path, text: str) -> None:
    config = config_of(tmp_path / "node", token_file="token")
    (tmp_path / "node" / "token").write_text(text + "\nmore\n")
    with pytest.raises(InputError) as caught:
        open_access(config)
    assert caught.value.code == "API_TOKEN_WEAK"


def test_an_unusable_certificate_is_named(tmp_path: Path) -> None:
    config = config_of(tmp_path / "node", tls_certificate="a.pem", tls_key="a.key")
    for name in ("a.pem", "a.key"):
        (tmp_path / "node" / name).write_text("no certificate")
    with pytest.raises(InputError) as caught:
        open_access(config)
    assert caught.value.code == "API_TLS_UNUSABLE"


async def test_the_client_speaks_tls_and_shows_the_token(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "node"
    config = config_of(folder, token_file="token", tls_certificate="api.pem", tls_key="api.key")
    (folder / "token").write_text(TOKEN + "\n")
    make_certificate(folder)
    token, tls = open_access(config)
    assert token == TOKEN and isinstance(tls, ssl.SSLContext)

    async with trio.open_nursery() as nursery:
        app = make_app(MemoryNode(), token=token)
        address = await nursery.start(serve_api, app, "127.0.0.1:0", tls)
        url = f"https://{address}"

        def ask() -> Any:
            with Client(url) as client:
                return client.node_status()

        monkeypatch.setenv(TOKEN_FILE, str(folder / "token"))
        with pytest.raises(Exception, match="NODE_UNREACHABLE"):  # whose certificate?
            await trio.to_thread.run_sync(ask)
        monkeypatch.setenv(CA_FILE, str(folder / "api.pem"))
        assert "height" in await trio.to_thread.run_sync(ask)
        monkeypatch.delenv(TOKEN_FILE)
        with pytest.raises(Exception, match="TOKEN_REQUIRED"):
            await trio.to_thread.run_sync(ask)
        nursery.cancel_scope.cancel()


def test_the_token_is_not_sent_in_clear_over_a_network(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "token").write_text(TOKEN)
    monkeypatch.setenv(TOKEN_FILE, str(tmp_path / "token"))
    for url, shown in {
        "http://127.0.0.1:1": True,
        "https://node.example": True,
        "http://node.example": False,
    }.items():
        with Client(url) as client:
            assert ("x-hansa-token" in client._http.headers) == shown
    with Client(["https://node.example", "http://node.example"]) as client:
        assert "x-hansa-token" not in client._http.headers
