from __future__ import annotations

import pytest

from consensus.primitives.errors import InputError
from p2p.ports import PeerAddress, format_address, parse_address


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("127.0.0.1:7000", ("127.0.0.1", 7000)),
        ("node-1.example.org:65535", ("node-1.example.org", 65535)),
        ("validator_2:1", ("validator_2", 1)),
        ("[::1]:7000", ("::1", 7000)),
    ],
)
def test_addresses(text: str, expected: tuple[str, int]) -> None:
    assert parse_address(text) == expected
    assert format_address(*expected) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "host",
        ":7000",
        "host:",
        "host:x",
        "host:-1",
        "host:0",
        "host:65536",
        "host:٣",
        "::1:7000",
        "[::1",
        "[host]:1",
        "a b:1",
        "300.1.1.1:1",
        "http://host:1",
        "-host:1",
        "a" * 300 + ":1",
    ],
)
def test_bad_addresses(text: str) -> None:
    with pytest.raises(InputError) as caught:
        parse_address(text)
    assert caught.value.code == "BAD_ADDRESS"


def test_listening_addresses() -> None:
    assert parse_address("0.0.0.0:0", listening=True) == ("0.0.0.0", 0)
    with pytest.raises(InputError):
        parse_address("localhost:1", listening=True)


def test_peer_address_checks_its_parts() -> None:
    PeerAddress(bytes(32), "a", ("host:1",))
    with pytest.raises(InputError) as caught:
        PeerAddress(bytes(31), "a")
    assert caught.value.code == "BAD_PEER_KEY"
    with pytest.raises(InputError):
        PeerAddress(bytes(32), "a", ("host",))
