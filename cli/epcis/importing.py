"""Files of events into the chain: read, checked, captured, told."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cli.epcis.capturing import Capture, IsMember, capture_of
from cli.epcis.checks import checked
from cli.epcis.event_hash import ni_uri
from cli.epcis.reading import read_events
from cli.epcis.structure import DOCUMENT_BYTES_MAX, Broken, Unread
from consensus.primitives.crypto import public_key
from consensus.primitives.errors import InputError
from consensus.transaction import Call

if TYPE_CHECKING:
    from cli.client import Client, Outcome
    from consensus.transaction import Transaction

STDIN = Path("-")
STEPS_MAX = 10_000_000
AT_ONCE = 16  # independent files whose events are under way together
# Of what one transaction captures: calls, and things that they name, so that they fit its bounds.
CALLS_MAX = 16
THINGS_MAX = 100
TOO_COSTLY = ("OUT_OF_STEPS", "OUTPUT_TOO_LARGE")
CAPTURED = ("OK", "NO_EFFECT")


@dataclasses.dataclass(frozen=True)
class Row:
    """What became of one event; ``event`` is 0 for a file that could not be read at all."""

    document: str
    event: int
    code: str
    hash: str = ""
    effect: str = ""
    number: int | None = None
    block: int | None = None
    transaction: str = ""
    message: str = ""

    @property
    def is_captured(self) -> bool:
        return self.number is not None


Prepared = tuple[int, Capture | Row]
Sent = tuple[int, Capture]


def prepared(file: Path, is_member: IsMember) -> Iterator[Prepared]:
    """The captures of a file's events, or rows that say why there is none, in order."""
    try:
        events = read_events(_read(file))
        if not events:
            raise InputError("EPCIS_NO_EVENTS", "the document has no events")
    except InputError as error:
        yield 0, Row(file.name, 0, error.code, message=error.message)
        return
    for event in events:
        if isinstance(event, Unread):
            yield event.number, Row(file.name, event.number, event.code, message=event.message)
            continue
        try:
            yield event.number, capture_of(checked(event), is_member)
        except Broken as broken:
            yield event.number, Row(file.name, event.number, broken.code, message=broken.message)


def _read(file: Path) -> bytes:
    """A file's bytes; of ``-`` the standard input's."""
    from node.keystore import read_limited

    if file != STDIN:
        return read_limited(file, DOCUMENT_BYTES_MAX, "EPCIS document")
    return sys.stdin.buffer.read(DOCUMENT_BYTES_MAX + 1)


def together(events: Iterator[Prepared]) -> Iterator[list[Prepared]]:
    """Events in groups that one transaction captures, in their order; none twice in a group."""
    group: list[Prepared] = []
    digests: set[bytes] = set()
    things = 0
    for number, found in events:
        if isinstance(found, Capture):
            named = len(found.call.args["event"]["things"])
            full = len(digests) == CALLS_MAX or things + named > THINGS_MAX
            if digests and (full or found.digest in digests):
                yield group
                group, digests, things = [], set(), 0
            digests.add(found.digest)
            things += named
        group.append((number, found))
    if group:
        yield group


class Importer:
    """Captures events with one key, those of a file in their order, several in a transaction."""

    def __init__(self, client: Client, seed: bytes, openings: Path, *, timeout_s: int = 60) -> None:
        from cli.call import chain_id_of, valid_for_ms

        self._client = client
        self._seed = seed
        self._key = public_key(seed)
        self._openings = openings
        self._timeout_s = timeout_s
        self._chain_id = chain_id_of(client)
        self._valid_for_ms = valid_for_ms(client)
        self._members: dict[str, bool] = {}

    def is_member(self, gln: str) -> bool:
        """Whether a GLN is an active organisation of the consortium."""
        if gln not in self._members:
            answer = self._client.query("identity", "is_active", {"id": gln}).value
            self._members[gln] = bool(answer)
        return self._members[gln]

    def run(
        self, files: Sequence[Path], tell: Callable[[Row], None], *, at_once: int = 1
    ) -> list[Row]:
        """Import the files, at most ``at_once`` of them together; rows in their order.

        ``tell`` hears of each event as it is done. Raises TimedOut.
        """
        waiting = list(enumerate(files))
        waiting.reverse()
        running: list[tuple[int, Iterator[list[Prepared]]]] = []
        rows: dict[int, list[Row]] = {at: [] for at in range(len(files))}
        while waiting or running:
            while waiting and len(running) < at_once:
                at, file = waiting.pop()
                running.append((at, together(prepared(file, self.is_member))))
            going, groups = [], []
            for at, events in running:
                group = next(events, None)
                if group is not None:
                    going.append((at, events))
                    groups.append((at, group))
            running = going
            for at, row in self._round(files, groups):
                rows[at].append(row)
                tell(row)
        return [row for at in sorted(rows) for row in rows[at]]

    def _round(
        self, files: Sequence[Path], groups: list[tuple[int, list[Prepared]]]
    ) -> Iterator[tuple[int, Row]]:
        """Send one group of events of each file, each in one transaction, and wait for all."""
        told: list[tuple[int, dict[int, Row]]] = []
        sent: list[tuple[dict[int, Row], str, list[Sent], Transaction]] = []
        for at, group in groups:
            name = files[at].name
            rows: dict[int, Row] = {}
            captures: list[Sent] = []
            for number, found in group:
                row = found if isinstance(found, Row) else self._known(name, number, found)
                if row is not None:
                    rows[number] = row
                elif not isinstance(found, Row):
                    captures.append((number, found))
            told.append((at, rows))
            if captures:
                sent.append((rows, name, captures, self._signed(captures)))
        txs = [tx for _, _, _, tx in sent]
        outcomes = self._client.submit_and_wait(txs, timeout_s=self._timeout_s) if txs else []
        for (rows, name, captures, tx), outcome in zip(sent, outcomes, strict=True):
            rows.update(self._settled(name, captures, tx, outcome))
        for at, rows in told:
            for number in sorted(rows):
                yield at, rows[number]

    def _known(self, name: str, number: int, found: Capture) -> Row | None:
        """What is captured already needs no transaction to say so."""
        if "error" in found.call.args["event"]:
            return None
        known = self._client.query("epcis", "event_by_hash", {"hash": found.digest}).value
        if known is None or (known["effect_code"] != "OK" and known["key"] != self._key):
            return None  # another's capture without effect is no obstacle
        message = f"the event was captured already, as number {known['number']}"
        return Row(name, number, "DUPLICATE_EVENT", hash=ni_uri(found.digest), message=message)

    def _signed(self, captures: list[Sent]) -> Transaction:
        """The captures as a transaction. What opens the documents is on disk before their
        commitments leave: else nobody could open them.
        """
        from cli.client import make_transaction
        from cli.openings import keep_openings

        tx = make_transaction(
            self._seed,
            self._chain_id,
            [found.call for _, found in captures],
            valid_for_ms=self._valid_for_ms,
            steps_max=STEPS_MAX,
        )
        opened = [found.opening for _, found in captures]
        keep_openings(self._openings, tx.tx_id, "epcis", "capture", opened)
        return tx

    def _settled(
        self, name: str, captures: list[Sent], tx: Transaction, outcome: Outcome
    ) -> dict[int, Row]:
        """The rows of a transaction that ended. One of several events is sent again alone if
        they failed together: another one may be the reason.
        """
        if outcome.succeeded:
            results = self._client.tx_status(outcome.tx_id)["result"]
            return {
                number: self._row(name, number, found, outcome, result)
                for (number, found), result in zip(captures, results, strict=True)
            }
        (self._openings / f"{tx.tx_id.hex()}.json").unlink(missing_ok=True)
        if len(captures) == 1:
            ((number, found),) = captures
            if outcome.code not in TOO_COSTLY or "without" in found.call.args:
                return {number: self._row(name, number, found, outcome, None)}
            # Its effect is more than a transaction may do, and took the capture down with it.
            args = {**found.call.args, "without": outcome.code}
            call = Call(found.call.contract, found.call.method, args)
            captures = [(number, found._replace(call=call))]
        rows: dict[int, Row] = {}
        for one in captures:
            single = self._signed([one])
            (ended,) = self._client.submit_and_wait([single], timeout_s=self._timeout_s)
            rows |= self._settled(name, [one], single, ended)
        return rows

    def _row(self, name: str, number: int, found: Capture, outcome: Outcome, result: Any) -> Row:
        about: dict[str, Any] = {
            "hash": ni_uri(found.digest),
            "block": outcome.height,
            "transaction": outcome.tx_id.hex(),
        }
        if result is not None:
            about |= {"effect": result["effect"], "number": result["number"]}
            return Row(name, number, result["code"], **about)
        message = outcome.message
        if outcome.status == "committed":
            message = self._client.tx_status(outcome.tx_id).get("detail") or message
        return Row(name, number, outcome.code, message=message or "", **about)
