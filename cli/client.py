"""A client for a node's HTTP API: sign, submit, wait, query, follow. Synchronous, on httpx.

**Accepted** promises nothing: a node may crash with the transaction still waiting. So
:meth:`Client.submit_and_wait` keeps the bytes and hands them in again, to any of several nodes,
until each transaction is **committed** or its time is over. That is always safe: the chain takes a
transaction at most once.
"""

from __future__ import annotations

import json
import os
import ssl
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from cli.answers import (
    Answer,
    BadAnswer,
    Block,
    ChainEvent,
    ClientError,
    NodeUnreachable,
    Outcome,
    Position,
    Refused,
    RequestFailed,
    Submitted,
    TimedOut,
    make_transaction,
)
from cli.http import httpx
from consensus.primitives.codec import data_from_json, data_to_json, encode
from consensus.primitives.errors import HansaError, InputError
from consensus.transaction import Transaction

__all__ = [
    "Answer",
    "BadAnswer",
    "Block",
    "ChainEvent",
    "Client",
    "ClientError",
    "NodeUnreachable",
    "Outcome",
    "Position",
    "Refused",
    "RequestFailed",
    "Submitted",
    "TimedOut",
    "make_transaction",
]

TOKEN_FILE: Final = "HANSA_CLIENT_TOKEN_FILE"
CA_FILE: Final = "HANSA_CLIENT_CA_FILE"
SUBMIT_TXS_MAX: Final = 1000
SUBMIT_BYTES_MAX: Final = 900_000
"""A submission fits into a question of one peer to another, too."""
RESUBMIT_S: Final = 5.0
BACK_OFF_S: Final = 0.1
BACK_OFF_MAX_S: Final = 2.0
HEARTBEAT_S: Final = 1.0
LOOKED_AT_MAX: Final = 10
"""A node sends at least a blank line this often on an open stream."""
STREAM_SILENCE_S: Final = 5.0

_RESUMABLE: Final = ("NODE_STOPPING", "SLOW_READER")


def _trusted(urls: Sequence[str]) -> ssl.SSLContext:
    """Whose certificates prove a node: the system's authorities and those of the named file.

    Nobody's where no node is asked by TLS: reading the authorities costs a command 30 ms.
    """
    if not any(httpx.URL(url).scheme == "https" for url in urls):
        return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    path = os.environ.get(CA_FILE)
    if not path:
        return ssl.create_default_context()
    context = ssl.create_default_context()
    try:
        context.load_verify_locations(path)
    except OSError as error:
        raise InputError("CA_FILE_UNUSABLE", f"{CA_FILE} {path}: {error}") from None
    return context


def _shown(urls: Sequence[str]) -> dict[str, str]:
    """The token for nodes that want one; it is never sent in clear over a network."""
    path = os.environ.get(TOKEN_FILE)
    if not path or not all(map(_private, urls)):
        return {}
    try:
        token = Path(path).read_text(encoding="utf-8").partition("\n")[0].strip()
    except OSError as error:
        raise InputError("TOKEN_FILE_UNUSABLE", f"{TOKEN_FILE} {path}: {error.strerror}") from None
    return {"x-hansa-token": token}  # the vault's routes sign in ``authorization``


def _private(url: str) -> bool:
    parts = httpx.URL(url)
    return parts.scheme == "https" or parts.host in ("localhost", "127.0.0.1", "::1")


@dataclass
class _Pending:
    tx_id: bytes
    raw: bytes
    valid_until: int
    due: float = 0.0
    accepted: bool = False


def _raw(tx: bytes | Transaction) -> bytes:
    return tx.raw if isinstance(tx, Transaction) else tx


def _batches(raws: Sequence[bytes]) -> Iterator[list[bytes]]:
    batch: list[bytes] = []
    size = 0
    for raw in raws:
        if batch and (len(batch) == SUBMIT_TXS_MAX or size + len(raw) > SUBMIT_BYTES_MAX):
            yield batch
            batch, size = [], 0
        batch.append(raw)
        size += len(raw) + 8
    if batch:
        yield batch


class Client:
    """One or several nodes of one chain; the first that answers is used until it fails.

    Not for use by several threads at once. Close it, or use it in a ``with`` statement.
    ``timeout_s`` bounds each request; ``peers`` carries those to ``libp2p://`` addresses
    (``cli.light.peering``). Every method may raise NodeUnreachable, BadAnswer and RequestFailed.
    """

    def __init__(
        self,
        url: str | Sequence[str],
        *,
        timeout_s: float = 10.0,
        peers: httpx.BaseTransport | None = None,
    ) -> None:
        urls = [url] if isinstance(url, str) else list(url)
        if not urls:
            raise ValueError("a client needs a node's address")
        self._urls = [each.rstrip("/") for each in urls]
        self._current = 0
        self._timeout_s = timeout_s
        # trust_env: a proxy from the environment must not see or break loopback requests.
        self._http = httpx.Client(
            timeout=timeout_s,
            trust_env=False,
            verify=_trusted(self._urls),
            headers=_shown(self._urls),
            mounts=None if peers is None else {"libp2p://": peers},
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        self._http.close()

    # --- transactions ----------------------------------------------------------------------------

    def submit(self, txs: Sequence[bytes | Transaction]) -> list[Submitted]:
        """Hand in any number of transactions, once. Accepted doesn't mean committed."""
        results: list[Submitted] = []
        for batch in _batches([_raw(tx) for tx in txs]):
            answer = self._call(
                "POST",
                "/v1/transactions",
                content=encode(batch),
                headers={"content-type": "application/msgpack"},
            )
            try:
                found = [
                    Submitted(
                        bytes.fromhex(item["tx_id"]) if item["tx_id"] else None,
                        item["status"] == "accepted",
                        item["code"],
                        item["message"],
                        item["retry_after_ms"],
                    )
                    for item in answer["results"]
                ]
            except (KeyError, TypeError, ValueError):
                raise self._bad_answer("a submission") from None
            if len(found) != len(batch):
                raise self._bad_answer("a submission")
            results += found
        return results

    def submit_and_wait(
        self, txs: Sequence[bytes | Transaction], *, timeout_s: float = 60.0
    ) -> list[Outcome]:
        """Hand in until every transaction is committed, refused or expired; outcomes in order.

        Raises TimedOut after ``timeout_s`` (also while no node answers) and TxRejected for bytes
        that are no transaction. Calling it again with the same transactions is safe.
        """
        parsed = [Transaction.parse(_raw(tx)) for tx in txs]
        pending = {tx.tx_id: _Pending(tx.tx_id, tx.raw, tx.body.valid_until) for tx in parsed}
        order = list(pending)
        outcomes: dict[bytes, Outcome] = {}
        deadline = time.monotonic() + timeout_s
        back_off_s = BACK_OFF_S
        next_height: int | None = None
        while pending:
            if time.monotonic() >= deadline:
                known = [outcomes[tx_id] for tx_id in order if tx_id in outcomes]
                raise self._timed_out(known, list(pending))
            try:
                if next_height is None:
                    next_height = self._height() + 1
                self._submit_due(pending, outcomes)
                if self._nothing_to_follow(pending, deadline):
                    continue
                for block in self._stream_blocks(next_height):
                    if block is not None:
                        next_height = block.height + 1
                        self._settle(block, pending, outcomes)
                        back_off_s = BACK_OFF_S
                    now = time.monotonic()
                    if now >= deadline or all(each.due <= now for each in pending.values()):
                        break
                    self._submit_due(pending, outcomes)
            except ClientError as error:
                if not self._try_later(error):
                    raise
                for each in pending.values():
                    each.due = 0.0
                time.sleep(max(0.0, min(back_off_s, deadline - time.monotonic())))
                back_off_s = min(BACK_OFF_MAX_S, back_off_s * 2)
        return [outcomes[tx.tx_id] for tx in parsed]

    def wait(self, tx_ids: Sequence[bytes], *, timeout_s: float = 60.0) -> list[Outcome]:
        """Wait for transactions that were submitted before; outcomes in order. Raises TimedOut."""
        outcomes: dict[bytes, Outcome] = {}
        pending = dict.fromkeys(tx_ids)
        deadline = time.monotonic() + timeout_s
        back_off_s = BACK_OFF_S
        while pending:
            if time.monotonic() >= deadline:
                known = [outcomes[tx_id] for tx_id in tx_ids if tx_id in outcomes]
                raise self._timed_out(known, list(pending))
            try:
                next_height = self._height() + 1
                for tx_id in list(pending):
                    if (outcome := self._known_outcome(tx_id)) is not None:
                        outcomes[tx_id] = outcome
                        del pending[tx_id]
                look_again = time.monotonic() + RESUBMIT_S
                for block in self._stream_blocks(next_height) if pending else ():
                    for tx_id, code in block.txs if block else ():
                        if tx_id in pending and block:
                            outcomes[tx_id] = Outcome(tx_id, "committed", code, height=block.height)
                            del pending[tx_id]
                    if not pending or time.monotonic() >= min(look_again, deadline):
                        break
            except ClientError as error:
                if not self._try_later(error):
                    raise
                time.sleep(max(0.0, min(back_off_s, deadline - time.monotonic())))
                back_off_s = min(BACK_OFF_MAX_S, back_off_s * 2)
        return [outcomes[tx_id] for tx_id in tx_ids]

    def tx_status(self, tx_id: bytes) -> dict[str, Any]:
        """Where a transaction stands, as in the API's JSON: status, code, height, events, ..."""
        return self._object("GET", f"/v1/transactions/{tx_id.hex()}")

    def transaction_bytes(self, tx_id: bytes) -> bytes:
        """A waiting or committed transaction's signed bytes. Raises RequestFailed TX_NOT_FOUND."""
        return self._request("GET", f"/v1/transactions/{tx_id.hex()}/bytes").content

    # --- reading ---------------------------------------------------------------------------------

    def query(
        self,
        contract: str,
        method: str,
        args: Mapping[str, Any] | None = None,
        height: int | None = None,
    ) -> Answer:
        """Ask a contract, on the newest committed state of the node that answers, or on that after
        the block at ``height``. Raises RequestFailed STATE_NOT_KEPT."""
        content = json.dumps(data_to_json(dict(args or {}))).encode()
        at = "" if height is None else f"?height={height}"
        answer = self._object(
            "POST",
            f"/v1/query/{_segment(contract)}/{_segment(method)}{at}",
            content=content,
            headers={"content-type": "application/json"},
        )
        try:
            return Answer(answer["height"], data_from_json(answer["result"]))
        except (KeyError, HansaError):
            raise self._bad_answer("a query") from None

    def block(self, height: int | None = None) -> dict[str, Any]:
        """A committed block, or the newest. Raises RequestFailed BLOCK_NOT_FOUND."""
        return self._object("GET", f"/v1/blocks/{'latest' if height is None else height}")

    def sealed_block(self, height: int) -> bytes:
        """A committed block with its certificate, canonical. Raises RequestFailed
        BLOCK_NOT_FOUND."""
        return self._request("GET", f"/v1/blocks/{height}/bytes").content

    def receipts(self, height: int) -> bytes:
        """The canonical array of a committed block's receipts. Raises RequestFailed
        BLOCK_NOT_FOUND."""
        return self._request("GET", f"/v1/blocks/{height}/receipts").content

    def proof(self, path: str) -> dict[str, Any]:
        """What ``/v1/proofs/...`` answers. Nothing is checked here: ``cli.verifying`` does."""
        return self._object("GET", f"/v1/proofs/{path}")

    def node_status(self) -> dict[str, Any]:
        """The node's own report: height, peers, mempool, versions."""
        return self._object("GET", "/v1/status")

    def exchange(
        self, method: str, path: str, content: bytes, headers: Mapping[str, str]
    ) -> dict[str, Any]:
        """One request with these headers, and the object that answers it."""
        kind = {"content-type": "application/json"} if content else {}
        return self._object(method, path, content=content, headers=kind | dict(headers))

    def evidence(self) -> list[dict[str, Any]]:
        """All evidence against validators: in blocks by digest, then what waits for a block. Its
        ``bytes`` are the proof; nothing is checked here."""
        found, waiting = [], []
        path = "/v1/evidence"
        while True:
            page = self._object("GET", path)
            try:
                found += page["evidence"]
                waiting += page["waiting"]
                after = page["next"]
            except (KeyError, TypeError):
                raise self._bad_answer("a list of evidence") from None
            if after is None:
                return found + waiting
            path = f"/v1/evidence?after={_segment(after)}"

    def flight_recording(self) -> bytes:
        """What the node's agreement was told lately, for ``hansa debug replay``."""
        return self._request("GET", "/v1/debug/recording").content

    def doctor(self) -> dict[str, Any]:
        """What the node finds wrong: ``verdict``, ``findings`` and the ``vitals`` behind them."""
        return self._object("GET", "/v1/doctor")

    def contracts(self) -> dict[str, Any]:
        """The contracts' schema."""
        return self._object("GET", "/v1/contracts")

    def genesis(self) -> dict[str, Any]:
        """The genesis document's JSON."""
        return self._object("GET", "/v1/genesis")

    def ready(self) -> bool:
        """Whether the node says that it is in touch and up to date."""
        try:
            self._request("GET", "/health/ready")
        except RequestFailed as error:
            if error.http_status == 503:
                return False
            raise
        return True

    # --- following -------------------------------------------------------------------------------

    def positions(self, since: int | None = None, *, patience_s: float = 30.0) -> Iterator[Block]:
        """Committed blocks from height ``since`` on (else new ones), each once, without end.

        Resumes by itself; raises NodeUnreachable when no node answers for ``patience_s``.
        """
        height = self._height() + 1 if since is None else since
        patience = _Patience(patience_s)
        while True:
            try:
                for block in self._stream_blocks(height):
                    patience.restore()
                    if block is not None:
                        height = block.height + 1
                        yield block
            except ClientError as error:
                if not self._try_later(error) or patience.lost():
                    raise

    def events(
        self,
        since: Position | None = None,
        *,
        contract: str | None = None,
        name: str | None = None,
        patience_s: float = 30.0,
    ) -> Iterator[ChainEvent]:
        """Events at position ``since`` or later (else new ones), each once, without end.

        To go on after a stop, give the last position seen with its last number plus one.
        """
        following = (self._height() + 1, 0, 0) if since is None else since
        filters = {"contract": contract, "name": name}
        params = {key: value for key, value in filters.items() if value is not None}
        patience = _Patience(patience_s)
        while True:
            try:
                params["since"] = ".".join(map(str, following))
                for item in self._stream("/v1/events", params):
                    patience.restore()
                    if item is not None:
                        event = self._event(item)
                        height, index, number = event.position
                        following = (height, index, number + 1)
                        yield event
            except ClientError as error:
                if not self._try_later(error) or patience.lost():
                    raise

    # --- within ----------------------------------------------------------------------------------

    def _submit_due(self, pending: dict[bytes, _Pending], outcomes: dict[bytes, Outcome]) -> None:
        """Hand in what is due, and note what was refused for good."""
        now = time.monotonic()
        due = [each for each in pending.values() if each.due <= now]
        if not due:
            return
        for each, result in zip(due, self.submit([each.raw for each in due]), strict=True):
            if result.accepted and result.code != "ALREADY_COMMITTED":
                each.accepted = True
                each.due = now + RESUBMIT_S
            elif result.retry_after_ms is not None:
                each.due = now + result.retry_after_ms / 1000
            elif result.accepted or each.accepted or result.code == "TX_EXPIRED":
                # A block with it may stand or be under way, whatever this node thinks of it now.
                each.due = now + RESUBMIT_S
                self._conclude(each, pending, outcomes)
            else:
                outcomes[each.tx_id] = Outcome(each.tx_id, "refused", result.code, result.message)
                del pending[each.tx_id]

    def _timed_out(self, known: list[Outcome], pending: list[bytes]) -> TimedOut:
        """Looks why the first of them wait, if a node answers."""
        held_out = []
        try:
            for tx_id in pending[:LOOKED_AT_MAX]:
                if self.tx_status(tx_id).get("code") == "TX_HELD_OUT":
                    held_out.append(tx_id)
        except ClientError:
            pass
        return TimedOut(known, pending, held_out)

    @staticmethod
    def _nothing_to_follow(pending: dict[bytes, _Pending], deadline: float) -> bool:
        """Whether no transaction is in a node's hands; waits until the next is due if that's soon.

        Blocks that pass meanwhile aren't missed: following begins at a height.
        """
        if not pending:
            return True
        if any(each.accepted for each in pending.values()):
            return False
        now = time.monotonic()
        soonest = min([deadline, *(each.due for each in pending.values())])
        if soonest - now > HEARTBEAT_S:
            return False
        time.sleep(max(0.0, soonest - now))
        return True

    def _settle(
        self, block: Block, pending: dict[bytes, _Pending], outcomes: dict[bytes, Outcome]
    ) -> None:
        """Note what a block commits, and what can't be committed after it."""
        for tx_id, code in block.txs:
            if pending.pop(tx_id, None) is not None:
                outcomes[tx_id] = Outcome(tx_id, "committed", code, height=block.height)
        for each in [each for each in pending.values() if each.valid_until < block.time_ms]:
            # It may stand in a block from before we began to follow.
            self._conclude(each, pending, outcomes)

    def _conclude(
        self, each: _Pending, pending: dict[bytes, _Pending], outcomes: dict[bytes, Outcome]
    ) -> None:
        """Note a transaction's end if it is certain: committed, or its time over without that."""
        over = self.node_status().get("block_time_ms", 0) > each.valid_until
        asked = self._current
        outcome = self._known_outcome(each.tx_id)
        if outcome is None or outcome.status != "committed":
            # Only the node whose chain's time is past may say that it isn't in there.
            if not over or asked != self._current:
                return
            message = "its time was over before it was committed"
            outcome = Outcome(each.tx_id, "expired", "TX_EXPIRED", message)
        outcomes[each.tx_id] = outcome
        del pending[each.tx_id]

    def _known_outcome(self, tx_id: bytes) -> Outcome | None:
        found = self.tx_status(tx_id)
        if found.get("status") not in ("committed", "refused", "expired"):
            return None
        return Outcome(
            tx_id,
            found["status"],
            str(found.get("code", "")),
            str(found.get("detail", "")),
            found.get("height"),
        )

    def _height(self) -> int:
        height = self.node_status().get("height")
        if type(height) is not int:
            raise self._bad_answer("its status")
        return height

    def _try_later(self, error: ClientError) -> bool:
        """Whether a later try, or another node, may do better; chooses the next node."""
        transient = isinstance(error, NodeUnreachable) or (
            isinstance(error, RequestFailed)
            and (error.http_status >= 500 or error.code in _RESUMABLE)
        )
        if transient:
            self._current = (self._current + 1) % len(self._urls)
        return transient

    def _bad_answer(self, what: str) -> BadAnswer:
        url = self._urls[self._current]
        return BadAnswer("BAD_ANSWER", f"{url} doesn't answer {what} as a Hansa node does")

    def _unreachable(self, reasons: Sequence[str]) -> NodeUnreachable:
        return NodeUnreachable("NODE_UNREACHABLE", f"no node answers: {'; '.join(reasons)}")

    def _request(self, method: str, path: str, **options: Any) -> httpx.Response:
        """The answer of the first node that gives one. Raises unless its status is 2xx."""
        reasons = []
        for _ in self._urls:
            url = self._urls[self._current]
            try:
                response = self._http.request(method, url + path, **options)
            except (httpx.TransportError, httpx.InvalidURL) as error:
                reasons.append(f"{url} ({error or type(error).__name__})")
                self._current = (self._current + 1) % len(self._urls)
                continue
            if response.is_success or self._is_full_mempool(path, response):
                return response
            raise self._failure(response)
        raise self._unreachable(reasons)

    @staticmethod
    def _is_full_mempool(path: str, response: httpx.Response) -> bool:
        """A submission refused whole for want of room still carries its results."""
        return (
            path == "/v1/transactions"
            and response.status_code == 503
            and response.content.startswith(b'{"results"')
        )

    def _failure(self, response: httpx.Response) -> ClientError:
        try:
            error = response.json()["error"]
            return RequestFailed(str(error["code"]), str(error["message"]), response.status_code)
        except (ValueError, KeyError, TypeError):
            if response.status_code == 503 and response.request.url.path == "/health/ready":
                return RequestFailed("NODE_NOT_READY", response.text[:200], 503)
            return self._bad_answer(f"{response.request.url.path} ({response.status_code})")

    def _call(self, method: str, path: str, **options: Any) -> Any:
        response = self._request(method, path, **options)
        try:
            return response.json()
        except ValueError:
            raise self._bad_answer(path) from None

    def _object(self, method: str, path: str, **options: Any) -> dict[str, Any]:
        answer = self._call(method, path, **options)
        if type(answer) is not dict:
            raise self._bad_answer(path)
        return answer

    def _stream(self, path: str, params: Mapping[str, str]) -> Iterator[dict[str, Any] | None]:
        """One connection's objects, and None for each sign of life; ends by raising."""
        url = self._urls[self._current]
        timeout = httpx.Timeout(self._timeout_s, read=max(STREAM_SILENCE_S, self._timeout_s))
        try:
            with self._http.stream("GET", url + path, params=params, timeout=timeout) as response:
                if not response.is_success:
                    response.read()
                    raise self._failure(response)
                for line in response.iter_lines():
                    item = json.loads(line) if line else None
                    if item is not None and type(item) is not dict:
                        raise self._bad_answer(path)
                    if item is not None and "error" in item:
                        error = item["error"]
                        raise RequestFailed(str(error["code"]), str(error["message"]), 200)
                    yield item
        except (httpx.TransportError, httpx.InvalidURL) as error:
            raise self._unreachable([f"{url} ({error or type(error).__name__})"]) from None
        except (ValueError, KeyError, TypeError):
            raise self._bad_answer(path) from None
        raise self._unreachable([f"{url} (it ended a stream)"])

    def _stream_blocks(self, since: int) -> Iterator[Block | None]:
        for item in self._stream("/v1/positions", {"since": str(since)}):
            if item is None:
                yield None
                continue
            try:
                block = Block(
                    int(item["height"]),
                    int(item["time_ms"]),
                    bytes.fromhex(item["hash"]),
                    tuple((bytes.fromhex(tx_id), str(code)) for tx_id, code in item["txs"]),
                )
            except (KeyError, TypeError, ValueError):
                raise self._bad_answer("a stream of blocks") from None
            yield block

    def _event(self, item: dict[str, Any]) -> ChainEvent:
        try:
            height, index, number = (int(part) for part in item["position"].split("."))
            return ChainEvent(
                (height, index, number),
                None if item["tx_id"] is None else bytes.fromhex(item["tx_id"]),
                item["contract"],
                item["name"],
                data_from_json(item["fields"]),
                item["time_ms"],
            )
        except (KeyError, TypeError, ValueError, AttributeError, HansaError):
            raise self._bad_answer("a stream of events") from None


class _Patience:
    """Growing pauses between tries, for a limited time without success."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self.restore()

    def restore(self) -> None:
        self._until = time.monotonic() + self._seconds
        self._pause_s = BACK_OFF_S

    def lost(self) -> bool:
        """Whether to give up; else sleep a while first."""
        if time.monotonic() + self._pause_s > self._until:
            return True
        time.sleep(self._pause_s)
        self._pause_s = min(BACK_OFF_MAX_S, self._pause_s * 2)
        return False


def _segment(name: str) -> str:
    """A contract's or method's name as part of a path."""
    if not name.replace("_", "").replace("-", "").replace(".", "").isalnum() or not name.isascii():
        raise RequestFailed("BAD_NAME", f"{name!r} is not a name of a contract or method", 400)
    return name
