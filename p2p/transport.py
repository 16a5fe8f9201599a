"""Connections by libp2p: TCP, Noise, Yamux, and streams named by protocol id.

The whole of libp2p that this node uses stands here and in ``p2p.patches``. Its host and swarm
are left out on purpose (docs/adr/0005): who is admitted is decided right after the
handshake, before the muxer is spoken, and dialling is a plain TCP connect.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import trio

import p2p.lean  # noqa: F401  # before anything of libp2p

# isort: split
from libp2p.abc import ISecureConn
from libp2p.crypto.ed25519 import Ed25519PublicKey, create_new_key_pair
from libp2p.crypto.x25519 import create_new_key_pair as create_noise_key_pair
from libp2p.custom_types import TProtocol
from libp2p.exceptions import BaseLibp2pError
from libp2p.io.abc import ReadWriteCloser
from libp2p.network.connection.raw_connection import RawConnection
from libp2p.peer.id import ID
from libp2p.protocol_muxer.multiselect import Multiselect
from libp2p.protocol_muxer.multiselect_client import MultiselectClient
from libp2p.protocol_muxer.multiselect_communicator import MultiselectCommunicator
from libp2p.security.noise.transport import PROTOCOL_ID as NOISE_PROTOCOL
from libp2p.security.noise.transport import Transport as Noise
from libp2p.stream_muxer.yamux.yamux import PROTOCOL_ID as YAMUX_PROTOCOL
from libp2p.stream_muxer.yamux.yamux import YamuxStream

from p2p import patches
from p2p.ports import PEER_KEY_BYTES, format_address
from p2p.wire import ConnectionLost

NEGOTIATE_S = 10
NEGOTIATE_READ_BYTES = 1024
_YAMUX = TProtocol(YAMUX_PROTOCOL)


class HandshakeRefused(ConnectionLost):
    """The other side proved a key that isn't the expected or an admitted one."""

    def __init__(self, message: str, peer: bytes | None = None) -> None:
        super().__init__(message)
        self.peer = peer


class Stream:
    """A byte stream to one peer, within its connection."""

    def __init__(self, stream: YamuxStream) -> None:
        self._stream = stream

    async def read(self, bytes_max: int) -> bytes:
        """Some bytes as soon as there are any; b"" at the end. Raises ConnectionLost."""
        try:
            return await self._stream.read(bytes_max)
        except EOFError:
            return b""
        except BaseLibp2pError as error:
            raise ConnectionLost(_text(error)) from error

    async def write(self, data: bytes) -> None:
        """Raises ConnectionLost, also when the peer hasn't read for 5 seconds."""
        try:
            await self._stream.write(data)
        except BaseLibp2pError as error:
            raise ConnectionLost(_text(error)) from error

    async def close(self) -> None:
        """End both directions."""
        try:
            await self._stream.reset()
        except BaseLibp2pError as error:
            raise ConnectionLost(_text(error)) from error


class Session:
    """An authenticated connection to ``peer``, carrying streams both ways while ``run`` runs."""

    def __init__(
        self, peer: bytes, dialled: bool, end: patches.SocketEnd, muxer: patches.BoundedYamux
    ) -> None:
        self.peer = peer
        self.dialled = dialled
        self.remote = end.remote
        self._end = end
        self._muxer = muxer

    @property
    def sent_bytes(self) -> int:
        """On the wire, handshake and encryption included."""
        return self._end.sent_bytes

    @property
    def received_bytes(self) -> int:
        return self._end.received_bytes

    @property
    def received_at(self) -> float:
        """When something last arrived, by ``trio.current_time``."""
        return self._end.received_at

    async def run(self) -> None:
        """Move the bytes until the connection ends; then raises ConnectionLost."""
        await self._muxer.start()
        raise ConnectionLost("the connection was closed")

    async def open(self, protocol: str) -> Stream:
        """A new stream, its protocol agreed upon. Raises ConnectionLost."""
        await self._muxer.event_started.wait()
        try:
            muxed = await self._muxer.open_stream()
            communicator = MultiselectCommunicator(_Negotiable(muxed))
            await MultiselectClient().select_one_of(
                [TProtocol(protocol)], communicator, NEGOTIATE_S
            )
        except (BaseLibp2pError, EOFError, ValueError) as error:
            raise ConnectionLost(f"no stream for {protocol}: {_text(error)}") from error
        return Stream(muxed)

    async def accept(self) -> IncomingStream:
        """The next stream the peer opens. Raises ConnectionLost."""
        try:
            muxed = await self._muxer.accept_stream()
        except BaseLibp2pError as error:
            raise ConnectionLost(_text(error)) from error
        assert isinstance(muxed, YamuxStream)
        return IncomingStream(muxed)

    async def abort(self) -> None:
        """Close the socket at once, without a word."""
        await self._end.close()


class IncomingStream:
    """A stream the peer opened, its protocol not yet known."""

    def __init__(self, muxed: YamuxStream) -> None:
        self._muxed = muxed

    async def negotiate(self, protocols: Sequence[str]) -> tuple[str, Stream]:
        """The protocol of ``protocols`` that the peer asks for. Raises ConnectionLost."""
        select = Multiselect({TProtocol(name): None for name in protocols})
        try:
            chosen, _ = await select.negotiate(
                MultiselectCommunicator(_Negotiable(self._muxed)), NEGOTIATE_S
            )
        except (BaseLibp2pError, EOFError, ValueError) as error:
            raise ConnectionLost(f"no protocol agreed upon: {_text(error)}") from error
        return str(chosen), Stream(self._muxed)

    async def refuse(self) -> None:
        """Reset the stream."""
        await Stream(self._muxed).close()


class Transport:
    """Makes sessions, dialled or accepted, under this node's key."""

    def __init__(self, seed: bytes) -> None:
        patches.apply()
        key_pair = create_new_key_pair(seed)
        self.key: bytes = key_pair.public_key.to_bytes()
        self._noise = Noise(key_pair, create_noise_key_pair().private_key)

    async def dial(self, host: str, port: int, peer: bytes) -> Session:
        """Connect and prove both keys. Raises ConnectionLost, OSError; the caller limits time."""
        stream = await trio.open_tcp_stream(host, port)
        return await self._secure(stream, peer, lambda key: key == peer)

    async def accept(self, stream: trio.SocketStream, admitted: Callable[[bytes], bool]) -> Session:
        """Take an inbound TCP connection if its key is ``admitted``. Raises ConnectionLost."""
        return await self._secure(stream, None, admitted)

    async def _secure(
        self, stream: trio.SocketStream, expected: bytes | None, admitted: Callable[[bytes], bool]
    ) -> Session:
        done = False
        end = patches.SocketEnd(stream, _remote(stream))
        try:
            session = await self._handshake(end, expected, admitted)
            done = True
            return session
        finally:
            if not done:
                await end.close()

    async def _handshake(
        self,
        end: patches.SocketEnd,
        expected: bytes | None,
        admitted: Callable[[bytes], bool],
    ) -> Session:
        dialled = expected is not None
        raw = RawConnection(end, dialled)
        try:
            await _agree(end, NOISE_PROTOCOL, dialled)
            if expected is not None:
                secured = await self._noise.secure_outbound(raw, _peer_id(expected))
            else:
                secured = await self._noise.secure_inbound(raw)
            remote = secured.get_remote_peer()
            peer = _peer_key(remote)
        except Exception as error:
            # Noise, protobuf and key parsing raise what they like on a stranger's bytes.
            raise ConnectionLost(f"the Noise handshake failed: {_text(error)}") from error
        if not admitted(peer):
            raise HandshakeRefused(f"the key {peer.hex()} is not admitted", peer)
        try:
            await _agree(secured, _YAMUX, dialled)
        except Exception as error:
            raise ConnectionLost(
                "the peer closed the connection after the handshake; "
                f"has it admitted this node's key? ({_text(error)})"
            ) from error
        muxer = patches.BoundedYamux(secured, remote, is_initiator=dialled)
        return Session(peer, dialled, end, muxer)


class _Negotiable(ReadWriteCloser):
    """What libp2p's negotiation reads from, a little at a time.

    The negotiation reads as many bytes as the peer announces, in at most 100 reads.
    """

    def __init__(self, inner: ReadWriteCloser | YamuxStream | ISecureConn) -> None:
        self._inner = inner

    async def read(self, n: int | None = None) -> bytes:
        return await self._inner.read(
            NEGOTIATE_READ_BYTES if n is None else min(n, NEGOTIATE_READ_BYTES)
        )

    async def write(self, data: bytes) -> None:
        await self._inner.write(data)

    async def close(self) -> None:
        await self._inner.close()

    def get_remote_address(self) -> tuple[str, int] | None:
        return None


async def _agree(
    connection: ReadWriteCloser | ISecureConn, protocol: TProtocol, dialled: bool
) -> None:
    communicator = MultiselectCommunicator(_Negotiable(connection))
    if dialled:
        await MultiselectClient().select_one_of([protocol], communicator, NEGOTIATE_S)
    else:
        await Multiselect({protocol: None}).negotiate(communicator, NEGOTIATE_S)


def _peer_id(key: bytes) -> ID:
    return ID.from_pubkey(Ed25519PublicKey.from_bytes(key))


def _peer_key(peer: ID) -> bytes:
    """The Ed25519 key that the id holds. Raises ValueError for any other kind."""
    public = peer.extract_public_key()
    if not isinstance(public, Ed25519PublicKey) or len(public.to_bytes()) != PEER_KEY_BYTES:
        raise ValueError("the peer's key is not an Ed25519 key")
    return public.to_bytes()


def _remote(stream: trio.SocketStream) -> str:
    try:
        host, port, *_ = stream.socket.getpeername()
    except OSError:
        return "unknown"
    return format_address(host, port)


def _text(error: BaseException) -> str:
    """The innermost reason libp2p gives: it wraps freely."""
    while error.__cause__ is not None and not str(error):
        error = error.__cause__
    return str(error) or type(error).__name__
