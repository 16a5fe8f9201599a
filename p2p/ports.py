"""What the node sees of the network, and what the network needs of the node.

A peer is named by its 32-byte Ed25519 network public key. The same two Protocols are met by
the real network (``p2p.host``) and by the one in memory (``p2p.virtual``).
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, Protocol

from consensus.primitives.errors import HansaError, InputError, PeerFault

PEER_KEY_BYTES = 32
_HOST_NAME = re.compile(
    r"(?=.{1,253}\Z)[A-Za-z0-9_]([A-Za-z0-9_-]{0,62})(\.[A-Za-z0-9_][A-Za-z0-9_-]{0,62})*\.?\Z"
)


class Channel(IntEnum):
    """Each is an ordered stream of messages of its own, one per direction."""

    CONSENSUS = 1
    TRANSACTIONS = 2
    CHAIN = 3


FRAME_BYTES_MAX: dict[Channel, int] = {
    Channel.CONSENSUS: 16 * 1024 * 1024,
    Channel.TRANSACTIONS: 4 * 1024 * 1024,
    Channel.CHAIN: 4 * 1024 * 1024,
}
"""The longest message of each channel, in bytes."""


class PeerUnavailable(HansaError):
    """A request got no usable answer; ask somebody else or later.

    Codes: NOT_CONNECTED, PEER_DISCONNECTED, REQUEST_TIMEOUT, RESPONSE_TOO_LARGE, PEER_BUSY,
    REQUEST_REFUSED (the peer's own code and text are in the message).
    """


class Handler(Protocol):
    """The node's side. An exception ends the connection to that peer, never the node."""

    async def on_connect(self, peer: bytes) -> None:
        """The peer can be sent to from now on; its messages wait until this returns."""

    async def on_disconnect(self, peer: bytes, reason: str) -> None:
        """Exactly once for each ``on_connect``."""

    def on_fault(self, peer: bytes, fault: PeerFault) -> None:
        """The peer did what no honest one does: its connection ends, and it is barred."""

    async def on_message(self, peer: bytes, channel: Channel, payload: bytes) -> None:
        """Awaited in order per peer and channel, so a slow handler holds up the sender.

        A raised ``PeerFault`` drops the peer and bars it for a while.
        """

    async def on_request(self, peer: bytes, payload: bytes) -> bytes:
        """Several may run at once. A ``HansaError`` is told to the asker, code and text."""


class Network(Protocol):
    """The way to the peers."""

    def connected(self) -> tuple[bytes, ...]:
        """Keys of the peers that can be sent to now, in ascending order."""

    def send(self, peer: bytes, channel: Channel, payload: bytes) -> bool:
        """Enqueue; never blocks. False: the queue is full or there's no connection (dropped)."""

    async def request(
        self, peer: bytes, payload: bytes, *, bytes_max: int, timeout_ms: int
    ) -> bytes:
        """The peer's answer, at most ``bytes_max`` long. Raises ``PeerUnavailable``."""

    def drop(self, peer: bytes, reason: str) -> None:
        """End the connection to a peer. It may connect again."""

    def accuse(self, peer: bytes, fault: PeerFault) -> None:
        """End the connection and bar the peer for a while, longer each time."""

    def admit(self, peers: Iterable[PeerAddress]) -> None:
        """From now on just these peers are spoken with: new ones are dialled, links to others end.

        This node's own entry is left out.
        """

    def peer_reports(self) -> list[dict[str, Any]]:
        """One JSON-able entry per known peer, for status pages.

        key (hex), name, connected, address, rtt_ms, last_error, faults (how many), last_fault
        (its code), barred_s (for how long still), sent_bytes, received_bytes.
        """


@dataclass(frozen=True)
class PeerAddress:
    """An admitted peer: its network key, a name for people, and where to reach it.

    Addresses are "host:port"; the host is a DNS name, an IPv4 or an [IPv6] address. With no
    address the peer is waited for, not dialled.
    """

    key: bytes
    name: str
    addresses: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if len(self.key) != PEER_KEY_BYTES:
            raise InputError(
                "BAD_PEER_KEY",
                f"the network key of peer {self.name!r} has {len(self.key)} bytes, not 32",
            )
        for address in self.addresses:
            parse_address(address)


def parse_address(text: str, *, listening: bool = False) -> tuple[str, int]:
    """Host and port of "host:port" or "[IPv6]:port".

    ``listening`` takes IP addresses only and allows port 0 (any free one). Raises
    ``InputError`` BAD_ADDRESS.
    """

    def bad(why: str) -> InputError:
        return InputError("BAD_ADDRESS", f"{text!r} is not a host:port address: {why}")

    host, colon, port_text = text.rpartition(":")
    if not colon:
        raise bad("the port is missing")
    if not (port_text.isascii() and port_text.isdigit() and len(port_text) <= 5):
        raise bad(f"the port {port_text!r} is not a number")
    port = int(port_text)
    if port > 65535 or (port == 0 and not listening):
        raise bad(f"port {port} is out of range")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
        try:
            ipaddress.IPv6Address(host)
        except ValueError:
            raise bad(f"{host!r} is not an IPv6 address") from None
        return host, port
    if ":" in host:
        raise bad("an IPv6 address must stand in square brackets")
    try:
        ipaddress.IPv4Address(host)
    except ValueError:
        if listening:
            raise bad("a listening address must be an IP address") from None
        if not _HOST_NAME.match(host) or host.replace(".", "").isdigit():
            raise bad(f"{host!r} is neither a host name nor an IP address") from None
    return host, port


def format_address(host: str, port: int) -> str:
    """The inverse of ``parse_address``."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
