"""The real network: listens, dials, keeps one link per admitted peer.

The side with the lower key dials; the other one waits, and dials by itself only when nothing
came for a while (it may know an address that the lower one lacks). When two connections to
one peer exist, both sides keep the same one: see ``judge``.
"""

from __future__ import annotations

import errno
import os
import random
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import structlog
import trio

from consensus.primitives.errors import LocalFault, PeerFault
from p2p.conduct import Allowance
from p2p.link import Link, LinkLimits
from p2p.peers import OTHER_SIDE_WAIT_S, Peer, PeerBook
from p2p.ports import (
    FRAME_BYTES_MAX,
    Channel,
    Handler,
    PeerAddress,
    PeerUnavailable,
    format_address,
    parse_address,
)
from p2p.transport import HandshakeRefused, Session, Transport
from p2p.wire import (
    HELLO_BYTES_MAX,
    INSTANCE_BYTES,
    PROTOCOL_VERSION,
    ConnectionLost,
    Hello,
    Verdict,
)

if TYPE_CHECKING:
    from trio_typing import TaskStatus

log = structlog.get_logger("p2p")

CONNECT_S = 5.0
HANDSHAKES_MAX = 64
"""Inbound connections that have not proved a key yet. For one more, the oldest of the host that
has the most is closed: strangers who say nothing keep nobody out."""
CONNECTIONS_PER_S = 40
CONNECTIONS_AT_ONCE = 400
"""New connections from one host; more are closed unheard, since each handshake costs 4 ms."""
YOUNG_LINKS_MAX = 4
"""Connections of one key that are not introduced yet; for one more the oldest is closed."""
UNLISTED_LINKS_MAX = 64


@dataclass(frozen=True)
class HostConfig:
    """What a host needs to know.

    ``listen`` is None where nobody is to connect: then this side alone dials. ``hello`` says which
    network this node belongs to (the chain id); ``check_hello`` looks at a peer's and returns why
    it's refused, or None. ``addresses`` (name -> "host:port") stand in
    place of those that a peer is admitted with. With ``accept_unlisted`` any key may connect,
    not only those of ``peers``.
    """

    seed32: bytes
    listen: str | None
    peers: tuple[PeerAddress, ...]
    hello: bytes
    check_hello: Callable[[bytes], str | None]
    accept_unlisted: bool = False
    limits: LinkLimits = field(default_factory=LinkLimits)
    addresses: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if len(self.seed32) != 32 or len(self.hello) > HELLO_BYTES_MAX:
            raise ValueError("the seed has 32 bytes, hello at most 1024")
        if self.listen is not None:
            parse_address(self.listen, listening=True)


class Host:
    """A ``Network``. Run it with ``await nursery.start(host.run)``."""

    def __init__(
        self, config: HostConfig, handler: Handler, rng: random.Random | None = None
    ) -> None:
        self.config = config
        self.handler = handler
        self.listen_address = config.listen or ""
        self._rng = rng or random.Random()
        self._transport = Transport(config.seed32)
        self.key = self._transport.key
        self._instance = os.urandom(INSTANCE_BYTES)
        self._book = PeerBook(self.key, config.accept_unlisted)
        self._nursery: trio.Nursery | None = None
        self._dialling: set[Peer] = set()
        self._links: dict[bytes, Link] = {}
        self._running: dict[Link, None] = {}
        self._changed: dict[bytes, trio.Event] = {}
        self._handshakes: dict[trio.CancelScope, str] = {}
        """In the order of their coming: the host that each comes from."""
        self._knocks: Allowance[str] = Allowance(CONNECTIONS_PER_S, CONNECTIONS_AT_ONCE)
        self._refusals: dict[str, float] = {}
        self.admit(config.peers)

    # ---- Network ------------------------------------------------------------------------

    def connected(self) -> tuple[bytes, ...]:
        return tuple(key for key in sorted(self._links) if self._links[key].established)

    def send(self, peer: bytes, channel: Channel, payload: bytes) -> bool:
        if len(payload) > FRAME_BYTES_MAX[channel]:
            raise ValueError(f"{len(payload)} bytes are too many for {channel.name}")
        link = self._links.get(peer)
        return link is not None and link.send(channel, payload)

    async def request(
        self, peer: bytes, payload: bytes, *, bytes_max: int, timeout_ms: int
    ) -> bytes:
        link = self._links.get(peer)
        if link is None or not link.established:
            raise PeerUnavailable("NOT_CONNECTED", f"no connection to {self._name(peer)}")
        return await link.requests.request(payload, bytes_max=bytes_max, timeout_ms=timeout_ms)

    def drop(self, peer: bytes, reason: str) -> None:
        link = self._links.get(peer)
        if link is not None:
            link.end(reason)

    def accuse(self, peer: bytes, fault: PeerFault) -> None:
        link = self._links.get(peer)
        if link is not None:
            link.end(str(fault), fault=fault)
        elif (known := self._book.get(peer)) is not None:
            self._bar(known, fault)  # it has left, but it will come back

    def _bar(self, peer: Peer, fault: PeerFault) -> None:
        peer.bar(fault.code, trio.current_time())
        self.handler.on_fault(peer.key, fault)

    def admit(self, peers: Iterable[PeerAddress]) -> None:
        known = self.config.addresses
        fresh, gone = self._book.admit(
            replace(peer, addresses=(known[peer.name],)) if peer.name in known else peer
            for peer in peers
        )
        for peer in gone:
            log.info("peer_removed", peer=peer.name)
            for link in list(self._running):
                if link.peer is peer:
                    link.end("this key is no longer admitted")
            self._wake(peer.key)
        for peer in fresh:
            self._start_dialling(peer)

    def peer_reports(self) -> list[dict[str, Any]]:
        reports = []
        for peer in self._book.all():
            link = self._links.get(peer.key)
            sent = link.session.sent_bytes if link else 0
            received = link.session.received_bytes if link else 0
            reports.append(peer.report(sent, received, trio.current_time()))
        return reports

    # ---- running ------------------------------------------------------------------------

    async def run(self, *, task_status: TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Listen and dial until cancelled. Raises LocalFault PORT_IN_USE or LISTEN_FAILED."""
        listeners = await self._listen()
        try:
            async with trio.open_nursery() as nursery:
                self._nursery = nursery
                if listeners:
                    serve = partial(
                        trio.serve_listeners,
                        self._take_connection,
                        listeners,
                        handler_nursery=nursery,
                    )
                    nursery.start_soon(serve)
                    log.info("p2p_listening", address=self.listen_address, key=self.key.hex())
                for peer in self._book.all():
                    self._start_dialling(peer)
                task_status.started()
                await trio.sleep_forever()
        finally:
            with trio.CancelScope(shield=True):
                for listener in listeners:
                    await trio.aclose_forcefully(listener)

    async def _listen(self) -> Sequence[trio.SocketListener]:
        if self.config.listen is None:
            return ()
        host, port = parse_address(self.config.listen, listening=True)
        try:
            listeners = await trio.open_tcp_listeners(port, host=host)
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                raise LocalFault(
                    "PORT_IN_USE", f"another process listens on {self.config.listen}"
                ) from error
            raise LocalFault(
                "LISTEN_FAILED", f"can't listen on {self.config.listen}: {error}"
            ) from error
        bound = listeners[0].socket.getsockname()
        self.listen_address = format_address(bound[0], bound[1])
        return listeners

    # ---- inbound ------------------------------------------------------------------------

    async def _take_connection(self, stream: trio.SocketStream) -> None:
        try:
            source = str(stream.socket.getpeername()[0])
        except OSError:
            source = "unknown"  # it has gone already
        if not self._knocks.take(source, 1, int(trio.current_time() * 1000)):
            await trio.aclose_forcefully(stream)
            return
        if len(self._handshakes) >= HANDSHAKES_MAX:
            self._give_up_a_handshake()
        scope = trio.CancelScope()
        self._handshakes[scope] = source
        session = None
        try:
            with scope:
                session = await self._secured(stream)
        finally:
            self._handshakes.pop(scope, None)
        if session is not None:
            await self._run_link(session, self._book.met(session.peer))

    def _give_up_a_handshake(self) -> None:
        worst, _ = Counter(self._handshakes.values()).most_common(1)[0]
        scope = next(scope for scope, source in self._handshakes.items() if source == worst)
        del self._handshakes[scope]
        scope.cancel()

    async def _secured(self, stream: trio.SocketStream) -> Session | None:
        remote = "unknown"
        try:
            remote = format_address(*stream.socket.getpeername()[:2])
            with trio.fail_after(self.config.limits.handshake_s):
                return await self._transport.accept(stream, self._admits)
        except HandshakeRefused as error:
            self._note_refusal(remote, str(error), error.peer)
        except (ConnectionLost, OSError) as error:
            self._note_refusal(remote, str(error), None)
        except trio.TooSlowError:
            self._note_refusal(remote, "the handshake took too long", None)
        except Exception:
            log.exception("p2p_handshake_failed", remote=remote)
        return None

    def _admits(self, key: bytes) -> bool:
        if not self._book.admits(key, trio.current_time()):
            return False
        peer = self._book.get(key)
        if peer is not None and not peer.unlisted:
            return True
        return sum(link.peer.unlisted for link in self._running) < UNLISTED_LINKS_MAX

    def _note_refusal(self, remote: str, reason: str, key: bytes | None) -> None:
        """Log a stranger once a minute per host, not at the rate it knocks."""
        peer = self._book.get(key) if key is not None else None
        if peer is not None:
            reason = f"{peer.name} is barred for now: {peer.last_error}"
        source = remote.rpartition(":")[0]
        now = trio.current_time()
        if now - self._refusals.get(source, -60.0) < 60.0:
            log.debug("p2p_connection_refused", remote=remote, reason=reason)
            return
        if len(self._refusals) >= 1024:
            self._refusals.clear()
        self._refusals[source] = now
        log.warning("p2p_connection_refused", remote=remote, reason=reason)

    # ---- outbound -----------------------------------------------------------------------

    def _start_dialling(self, peer: Peer) -> None:
        if self._nursery is None:
            return  # run() does it
        if peer.listed.addresses and peer not in self._dialling:
            self._dialling.add(peer)
            self._nursery.start_soon(self._dial_for_ever, peer)

    async def _dial_for_ever(self, peer: Peer) -> None:
        """As long as the peer is admitted."""
        dials_first = self.key < peer.key or self.config.listen is None
        while self._book.get(peer.key) is peer:
            changed = self._changed[peer.key] = trio.Event()
            if peer.key in self._links:
                await changed.wait()
                continue
            if not dials_first:
                with trio.move_on_after(OTHER_SIDE_WAIT_S):
                    await changed.wait()
                    continue
            if trio.current_time() < peer.barred_until:
                await trio.sleep_until(peer.barred_until)
            await self._dial(peer)
            changed = self._changed[peer.key] = trio.Event()
            if peer.key not in self._links:
                with trio.move_on_after(peer.retry_delay_s(self._rng)):
                    await changed.wait()
        self._dialling.discard(peer)

    async def _dial(self, peer: Peer) -> None:
        """Try each address in turn; run the first connection that stands to its end."""
        for address in peer.listed.addresses:
            host, port = parse_address(address)
            try:
                with trio.fail_after(CONNECT_S):
                    session = await self._transport.dial(host, port, peer.key)
            except trio.TooSlowError:
                self._dial_failed(peer, address, "no answer in time")
            except (ConnectionLost, OSError) as error:
                self._dial_failed(peer, address, _os_text(error))
            except Exception:
                log.exception("p2p_dial_failed", peer=peer.name, address=address)
                self._dial_failed(peer, address, "an error in this node")
            else:
                await self._run_link(session, peer)
                return

    def _dial_failed(self, peer: Peer, address: str, reason: str) -> None:
        text = f"{address}: {reason}"
        level = log.info if text != peer.last_error else log.debug
        level("p2p_dial_failed", peer=peer.name, address=address, reason=reason)
        peer.failed(text)

    # ---- links --------------------------------------------------------------------------

    async def _run_link(self, session: Session, peer: Peer) -> None:
        link = Link(session, peer, self, self.config.limits)
        young = [one for one in self._running if one.peer is peer and not one.told_node]
        if len(young) >= YOUNG_LINKS_MAX:
            young[0].end("too many connections at once", farewell=False)
        self._running[link] = None
        try:
            await link.run()
        finally:
            del self._running[link]
            peer.sent_bytes += session.sent_bytes
            peer.received_bytes += session.received_bytes

    def own_hello(self) -> Hello:
        return Hello(PROTOCOL_VERSION, self._instance, self.config.hello)

    def judge(self, link: Link, hello: Hello) -> Verdict:
        """Refuse another protocol, another network, and a connection too many.

        Of two connections to one run of a peer, the one dialled by the lower key stays; of two
        dialled by the same side, the newer (it wouldn't dial if it held the older for good). A
        peer that was restarted always gets its new connection: the old one is dead.
        """
        if hello.version != PROTOCOL_VERSION:
            return Verdict(
                False, f"protocol version {hello.version}, this node speaks {PROTOCOL_VERSION}"
            )
        if self._book.get(link.session.peer) is not link.peer:
            return Verdict(False, "this key is no longer admitted")
        reason = self.config.check_hello(hello.hello)
        if reason is not None:
            return Verdict(False, reason)
        if self._in_the_way(link, hello.instance):
            return Verdict(False, "already connected")
        return Verdict(True)

    def _in_the_way(self, link: Link, instance: bytes) -> bool:
        """Whether there's a connection that is to be kept rather than ``link``."""
        old = self._links.get(link.session.peer)
        if old is None or old.instance != instance:
            return False
        if old.session.dialled == link.session.dialled:
            return False
        dialled_by_lower = link.session.dialled == (self.key < link.session.peer)
        return not dialled_by_lower

    async def linked(self, link: Link) -> bool:
        key = link.session.peer
        while (old := self._links.get(key) or self._ending(key, link)) is not None:
            if self._in_the_way(link, link.instance):
                return False
            old.end("replaced by a newer connection")
            await old.finished.wait()
        if link.reason is not None:
            return False
        self._links[key] = link
        link.peer.connected(link.session.remote, trio.current_time())
        self._wake(key)
        log.info("peer_connected", peer=link.peer.name, address=link.session.remote)
        return True

    def _ending(self, key: bytes, newer: Link) -> Link | None:
        """A link to this peer that the node knows of and that isn't through with yet."""
        for link in self._running:
            if link is not newer and link.session.peer == key and link.told_node:
                return link
        return None

    def unlinked(self, link: Link, reason: str, fault: PeerFault | None) -> None:
        peer = link.peer
        now = trio.current_time()
        if fault is not None:
            self._bar(peer, fault)
        if self._links.get(peer.key) is link:
            del self._links[peer.key]
            peer.disconnected(reason, now)
            self._wake(peer.key)
            level = log.warning if fault is not None else log.info
            level("peer_disconnected", peer=peer.name, reason=reason)
        elif peer.key in self._links:
            log.debug("peer_second_connection", peer=peer.name, reason=reason)
        elif not link.told_node:
            level = log.warning if reason != peer.last_error else log.debug
            level("peer_not_connected", peer=peer.name, reason=reason)
            peer.failed(reason)

    def _wake(self, key: bytes) -> None:
        changed = self._changed.get(key)
        if changed is not None:
            changed.set()

    def _name(self, key: bytes) -> str:
        peer = self._book.get(key)
        return peer.name if peer is not None else key.hex()[:12]


def _os_text(error: BaseException) -> str:
    """ "connection refused" out of what trio wraps around it."""
    while isinstance(error, OSError) and isinstance(error.__cause__, BaseException):
        error = error.__cause__
    if isinstance(error, BaseExceptionGroup) and error.exceptions:
        error = error.exceptions[0]
    if isinstance(error, OSError) and error.errno is not None and error.errno in errno.errorcode:
        return os.strerror(error.errno).lower()
    return str(error) or type(error).__name__
