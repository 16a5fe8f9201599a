"""What the commands of `hansa shipment` share: sending a call, and finding an event's shipment."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from cli import output
from cli.dcsa import DcsaEvent
from cli.settings import current
from consensus.primitives.crypto import public_key
from consensus.primitives.errors import InputError

if TYPE_CHECKING:
    from cli.arguments import Opening
    from cli.client import Client, Outcome

CONTRACT: Final = "shipment"
STEPS_MAX: Final = 5_000_000
_ENDED: Final = ("DELIVERED", "DECLINED", "CANCELLED")

openings_option = click.option(
    "--openings", "folder", envvar="HANSA_OPENINGS",
    type=click.Path(path_type=Path, file_okay=False),
    help="Where to keep what opens commitments (default: beside the key).",
)  # fmt: skip


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def say(value: dict[str, Any]) -> None:
    if current().json:
        output.print_json(value)
    else:
        click.echo(output.fields(value))


def new_opening(argument: str, value: Any) -> Opening:
    import secrets

    from cli.arguments import Opening
    from contracts.sdk.commitments import SALT_BYTES, commit

    salt = secrets.token_bytes(SALT_BYTES)
    return Opening(argument, "party", commit(salt, value), salt, value)


class Sender:
    """Signs calls of the shipment contract with the settings' key, which is opened once."""

    def __init__(self, client: Client, folder: Path | None = None, timeout_s: int = 60) -> None:
        from cli.call import chain_id_of, valid_for_ms
        from cli.openings import openings_folder

        self._client = client
        self._folder = folder or openings_folder(current().key)
        self._timeout_s = timeout_s
        self._seed = current().signing_seed()
        self._chain_id = chain_id_of(client)
        self._valid_for_ms = valid_for_ms(client)

    def submit(
        self, method: str, args: dict[str, Any], openings: Sequence[Opening] = ()
    ) -> tuple[Outcome, Any]:
        """How a call in a transaction of its own ended, and its result if it took effect."""
        from cli.call import explained
        from cli.client import make_transaction
        from cli.openings import keep_openings

        tx = make_transaction(
            self._seed,
            self._chain_id,
            [(CONTRACT, method, args)],
            valid_for_ms=self._valid_for_ms,
            steps_max=STEPS_MAX,
        )
        if openings:
            # Before it is sent: a commitment that nobody can open is worth nothing.
            file = keep_openings(self._folder, tx.tx_id, CONTRACT, method, openings)
            output.say(f"what opens the commitments is in {file}")
        (outcome,) = self._client.submit_and_wait([tx], timeout_s=self._timeout_s)
        outcome = explained(self._client, outcome)
        results = self._client.tx_status(tx.tx_id)["result"] if outcome.succeeded else None
        return outcome, results[0] if results else None

    def must(
        self, method: str, args: dict[str, Any], openings: Sequence[Opening] = ()
    ) -> tuple[Outcome, Any]:
        """The same of a call that takes effect. Raises Refused with the contract's sentence."""
        outcome, result = self.submit(method, args, openings)
        return outcome.require(), result

    def organisation(self) -> str:
        """Whose key it is."""
        key = public_key(self._seed)
        found: str = self._client.query("identity", "caller", {"key": key}).value["organisation"]
        return found

    def opened(self) -> dict[bytes, str]:
        """Commitment -> booking number or shipper's reference, of the openings that are kept."""
        found: dict[bytes, str] = {}
        for file in sorted(self._folder.glob("*.json")) if self._folder.is_dir() else []:
            kept = json.loads(file.read_bytes())
            for one in kept.get("openings", ()):
                if one["argument"] in ("booking_reference", "shipper_reference"):
                    found[bytes.fromhex(one["commitment"])] = one["value"]
        return found


class Finder:
    """Which shipment an event is of: the one that was named, the one that the container is of, or
    the one whose booking number it says, as far as this machine can open that."""

    def __init__(self, client: Client, sender: Sender, number: int | None) -> None:
        self._client = client
        self._sender = sender
        self._number = number
        self._of_container: dict[str, list[int]] = {}
        self._of_reference: dict[str, int] | None = None

    def number_of(self, event: DcsaEvent) -> int:
        """Raises InputError DCSA_SHIPMENT_UNKNOWN, and what the node says to the container."""
        if self._number is not None:
            return self._number
        found = self._with(event.container) if event.container else []
        if len(found) != 1:
            known = self._references()
            found = [known[one] for one in event.references if one in known][:1]
        if len(found) != 1:
            raise InputError(
                "DCSA_SHIPMENT_UNKNOWN", "neither container nor booking tells which: --shipment N"
            )
        return found[0]

    def _with(self, container: str) -> list[int]:
        if container not in self._of_container:
            rows = self._client.query(CONTRACT, "shipments_with", {"container": container}).value
            running = [row["number"] for row in rows if row["state"] not in _ENDED]
            self._of_container[container] = running or [row["number"] for row in rows]
        return self._of_container[container]

    def _references(self) -> dict[str, int]:
        """Booking number -> shipment, of the carrier's shipments whose openings are here."""
        if self._of_reference is None:
            self._of_reference = {}
            opened = self._sender.opened()
            for number in self._mine() if opened else []:
                answer = self._client.query(CONTRACT, "shipment", {"number": number})
                record = answer.value["shipment"]
                for name in ("booking_reference", "shipper_reference"):
                    if record[name] in opened:
                        self._of_reference[opened[record[name]]] = number
        return self._of_reference

    def _mine(self) -> Iterator[int]:
        me = self._sender.organisation()
        after = 0
        while True:
            args = {"organisation": me, "part": "CARRIER", "after": after}
            rows = self._client.query(CONTRACT, "shipments_of", args).value
            if not rows:
                return
            for row in rows:
                yield row["number"]
            after = rows[-1]["number"]
