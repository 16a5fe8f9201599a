"""What a light node tells its clients: the API's ``NodeService``, each answer proven first.

Questions run in a thread, one after the other. What no header proves is refused by name.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Sequence
from typing import Any, Final, TypeVar

import trio
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from cli.client import ClientError
from cli.light.following import LightClient, Recorded
from consensus.primitives.codec import encode
from consensus.primitives.errors import HansaError, InputError, LocalFault
from contracts.runtime.registry import Registry, builtin_registry
from node import log
from node.api.service import (
    CommittedBlock,
    EventRecord,
    Position,
    QueryResult,
    SubmitResult,
    TxStatus,
)
from node.api.shown import shown_block

T = TypeVar("T")

POLL_S: Final = 1.0
_log = log.get("light")


def _not_served(what: str) -> InputError:
    return InputError("LIGHT_NOT_SERVED", f"a light node can't prove {what}: ask a full node")


class LightService:
    """Implements ``node.api.service.NodeService`` over a :class:`LightClient`."""

    def __init__(self, light: LightClient) -> None:
        self.light = light
        self._one = trio.Lock()
        self._moved = trio.Event()
        self._registry: Registry | None = None
        self._last: Recorded | None = None

    async def _run(self, call: Callable[[], T]) -> T:
        """A client's failure to reach or believe a node is told as the API tells its errors."""
        async with self._one:
            height = self.light.newest.height
            try:
                return await trio.to_thread.run_sync(call)
            except ClientError as error:
                if error.code in ("NODE_UNREACHABLE", "BAD_ANSWER"):
                    raise InputError("NODE_NOT_READY", error.message) from None
                raise InputError(error.code, error.message) from None
            finally:
                if self.light.newest.height != height or self.light.forks:
                    self._moved.set()
                    self._moved = trio.Event()

    async def follow(self) -> None:
        """Follow the chain until cancelled; what goes wrong is logged once, when it changes."""
        told = ""
        while True:
            reason = ""
            try:
                await self._run(self.light.update)
                self._registry = await self._run(self.light.registry)
            except LocalFault:
                raise
            except HansaError as error:
                reason = str(error)
            reason = reason or self.light.mark()
            if reason != told:
                level = _log.error if reason else _log.info
                level("follows no further" if reason else "follows the chain", reason=reason)
                told = reason
            await trio.sleep(POLL_S)

    # --- transactions ------------------------------------------------------------------------

    async def submit(self, raws: Sequence[bytes]) -> list[SubmitResult]:
        """Each node is asked in turn until one takes them all; what comes of them is proven by
        their receipts alone."""

        def hand_in() -> list[SubmitResult]:
            best: list[SubmitResult] = []
            failure: ClientError | None = None
            for source in self.light.sources:
                try:
                    answers = source.client.submit(raws)
                except ClientError as error:
                    failure = error
                    continue
                found = [
                    SubmitResult(one.tx_id, one.accepted, one.code, one.message, one.retry_after_ms)
                    for one in answers
                ]
                pairs = zip(found, best or found, strict=True)
                best = [old if old.accepted or not new.accepted else new for new, old in pairs]
                if all(one.accepted for one in best):
                    break
            if not best and failure is not None:
                raise failure
            return best

        return await self._run(hand_in)

    async def tx_status(self, tx_id: bytes) -> TxStatus:
        """Committed with its proven receipt, or unknown: nobody can prove more."""
        try:
            at, _, receipt = await self._run(lambda: self.light.transaction(tx_id))
        except InputError as error:
            if error.code != "TX_NOT_FOUND":
                raise
            return TxStatus(tx_id, "unknown")
        header = at.header
        return TxStatus(
            tx_id,
            "committed",
            receipt.code,
            receipt.detail,
            header.height,
            None,
            header.digest,
            header.time_ms,
            receipt.steps_used,
            [
                {"contract": event.contract, "name": event.name, "fields": event.fields}
                for event in receipt.events
            ],
            receipt.result,
        )

    async def transaction_bytes(self, tx_id: bytes) -> bytes | None:
        return (await self._run(lambda: self.light.transaction(tx_id)))[1].raw

    # --- streams -----------------------------------------------------------------------------

    async def _next(self, height: int) -> Recorded:
        while self.light.newest.height < height:
            await self._moved.wait()
        return await self._recorded(height)

    async def _recorded(self, height: int) -> Recorded:
        if self._last is None or self._last.block.height != height:
            self._last = await self._run(lambda: self.light.recorded(height))
        return self._last

    async def positions(self, since_height: int | None) -> AsyncGenerator[CommittedBlock, None]:
        height = self.light.newest.height + 1 if since_height is None else max(since_height, 1)
        while True:
            one = await self._next(height)
            codes = [receipt.code for receipt in one.receipts]
            txs = tuple(zip(one.tx_ids, codes, strict=False))  # the rest ran without a transaction
            yield CommittedBlock(height, one.block.header.time_ms, one.block.hash, txs)
            height += 1

    async def events(
        self, since: Position | None, contract: str | None, name: str | None
    ) -> AsyncGenerator[EventRecord, None]:
        height = self.light.newest.height if since is None else max(since[0], 1) - 1
        while True:
            height += 1
            one = await self._next(height)
            tx_ids = one.tx_ids
            for tx_index, receipt in enumerate(one.receipts):
                for index, event in enumerate(receipt.events):
                    position = (height, tx_index, index)
                    if since is not None and position < since:
                        continue
                    if contract not in (None, event.contract) or name not in (None, event.name):
                        continue
                    yield EventRecord(
                        position,
                        tx_ids[tx_index] if tx_index < len(tx_ids) else None,
                        event.contract,
                        event.name,
                        event.fields,
                        one.block.header.time_ms,
                    )

    # --- reading -----------------------------------------------------------------------------

    async def query(
        self, contract: str, method: str, args: dict[str, Any], height: int | None = None
    ) -> QueryResult:
        at, value = await self._run(lambda: self.light.query(contract, method, args, height))
        return QueryResult(at, value)

    async def block(self, height: int | None) -> dict[str, Any] | None:
        found = await self._block(self.light.newest.height if height is None else height)
        if found is None:
            return None
        at = found.at
        return shown_block(found.block, found.receipts, at.certificate, at.sealed_by)

    async def _block(self, height: int) -> Recorded | None:
        try:
            return await self._recorded(height)
        except InputError as error:
            if error.code == "BLOCK_NOT_FOUND":
                return None
            raise

    async def block_bytes(self, height: int) -> bytes | None:
        found = await self._block(height)
        return None if found is None else found.sealed.raw

    async def block_receipts(self, height: int) -> bytes | None:
        found = await self._block(height)
        return None if found is None else encode([one.to_plain() for one in found.receipts])

    # --- the node ----------------------------------------------------------------------------

    def status(self) -> dict[str, Any]:
        light = self.light
        newest = light.newest
        ready, reason = self.readiness()
        header = newest.header
        return {
            "role": "light",
            "chain_id": newest.chain_id.hex(),
            "network": light.document.name,
            "height": newest.height,
            "block_hash": header.digest.hex() if header else newest.chain_id.hex(),
            "block_time_ms": newest.time_ms,
            "state_root": header.state_root.hex() if header else None,
            "contracts_hash": header.contracts_hash.hex() if header else None,
            "mark": light.mark(),
            "ready": ready,
            "reason": reason,
            "validators": len(newest.next_validators),
            "trust_root_height": light.root.height,
            "set_changes": light.turns,
            "nodes": [
                {"url": one.url, "height": one.height, "says": one.says} for one in light.sources
            ],
            "forks": [
                {
                    "height": fork.one.height,
                    "found_ms": at_ms,
                    "one": fork.one.header.digest.hex(),
                    "other": fork.other.header.digest.hex(),
                }
                for at_ms, fork in light.forks
            ],
        }

    def readiness(self) -> tuple[bool, str]:
        mark = self.light.mark()
        if mark:
            return False, mark
        if self.light.newest.header is None:
            return False, "no header was followed yet"
        return True, ""

    def doctor(self) -> dict[str, Any]:
        raise _not_served("a node's vitals")

    def evidence(self, after: bytes | None, limit: int) -> dict[str, Any]:
        raise _not_served("a complete list of evidence")

    def recording(self) -> bytes:
        raise _not_served("a flight recording")

    def contracts(self) -> dict[str, Any]:
        """Of the newest header that :meth:`follow` saw; before that, this release's own if the
        header names them."""
        if self._registry is None:
            header = self.light.newest.header
            if header is None or header.contracts_hash != builtin_registry().digest:
                raise InputError("NODE_NOT_READY", "the contracts in force are not read yet")
            return builtin_registry().schema()
        return self._registry.schema()

    def genesis(self) -> dict[str, Any]:
        return self.light.document.to_json()

    def metrics_text(self) -> bytes:
        light = self.light
        rows = {
            "hansa_light_height": light.newest.height,
            "hansa_light_stale": int(light.is_stale()),
            "hansa_light_forks": len(light.forks),
        }
        return "".join(
            f"# TYPE {name} gauge\n{name} {value}\n" for name, value in rows.items()
        ).encode()


class Marked:
    """Puts the mark of what can't be relied on at the head of every answer: ``x-hansa-mark``."""

    def __init__(self, app: ASGIApp, light: LightClient) -> None:
        self._app = app
        self._light = light

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def marking(message: Message) -> None:
            mark = self._light.mark()
            if message["type"] == "http.response.start" and mark:
                message["headers"] = [*message["headers"], (b"x-hansa-mark", mark.encode())]
            await send(message)

        await self._app(scope, receive, marking)
