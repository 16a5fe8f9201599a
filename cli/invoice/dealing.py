"""An organisation's dealings with contract ``invoices``: from the files that it has to calls."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from cli import output
from cli.opening_book import OpeningBook
from cli.settings import current
from consensus.primitives.errors import InputError

if TYPE_CHECKING:
    from cli.client import Client

CONTRACT: Final = "invoices"
STEPS_MAX: Final = 2_000_000
END_OF_DAY: Final = "T23:59:59Z"


class Desk:
    """What seller, buyer and financier do with an invoice, each by the own file."""

    def __init__(self, client: Client, folder: Path | None, timeout_s: int) -> None:
        self._client = client
        self._folder = folder
        self._timeout_s = timeout_s
        self.book = OpeningBook(client, folder)

    def send(self, method: str, args: Mapping[str, Any]) -> Any:
        """A call that takes effect; its result. Raises Refused."""
        from cli.arguments import parse_arguments
        from cli.call import send_parsed
        from cli.credit import words_of

        parsed = parse_arguments(self._client.contracts(), CONTRACT, method, "call", words_of(args))
        outcome, result = send_parsed(
            self._client,
            CONTRACT,
            method,
            parsed,
            timeout_s=self._timeout_s,
            steps_max=STEPS_MAX,
            folder=self._folder,
        )
        outcome.require()
        return result

    def invoice(self, number: int) -> dict[str, Any]:
        """The contract's word on an invoice. Raises RequestFailed NOT_FOUND."""
        found: dict[str, Any] = self._client.query(CONTRACT, "invoice", {"number": number}).value
        return found

    def register(self, file: Path, buyer: str, due: str | None) -> dict[str, Any]:
        """Raises InputError with the codes of ``cli.invoice.command.arguments``, and
        INVOICE_DUE_MISSING."""
        raw, document = _read(file)
        if due is None:
            if not document.due_on:
                raise InputError(
                    "INVOICE_DUE_MISSING", "the invoice names no day (BT-9): say --due"
                )
            due = document.due_on + END_OF_DAY
        made = self._arguments(raw, document, self._own_organisation(), buyer)
        data = {**made["data"], "document": {"hex": made["data"]["document"]}}
        marks = _as_json(made["fingerprints"])
        args = {"buyer": buyer, "data": data, "fingerprints": marks, "due_at": due}
        found: dict[str, Any] = self.send("register", args)
        return found

    def fingerprints_of(self, number: int, file: Path) -> dict[str, Any]:
        """The fingerprints of the document in a file, made for a registered invoice's parties.

        Raises InputError DOCUMENT_DIFFERS if the registered one is another file.
        """
        raw, document = _read(file)
        record = self.invoice(number)["invoice"]
        made = self._arguments(raw, document, record["seller"], record["buyer"])
        if self.book.value(record["data"])["document"] != hashlib.sha256(raw).digest():
            raise InputError("DOCUMENT_DIFFERS", f"{file} is not the file that was registered")
        return _as_json(made["fingerprints"])

    def finance(self, number: int, file: Path) -> dict[str, str]:
        """Check at the own node, then finance; the check's verdict and the advance. Raises
        InputError FINANCED_ALREADY, NOT_OFFERED, or ADVANCE_TOO_HIGH with what the check found."""
        from cli.vault_client import VaultClient
        from contracts.sdk import Money

        record = self.invoice(number)["invoice"]
        if record["financier"]:
            raise InputError("FINANCED_ALREADY", f"{record['financier']} has invoice {number}")
        me = self._own_organisation()
        offered = self._offered(number, me)
        advance = Money(**self.book.value(offered))
        marks = self.fingerprints_of(number, file)
        args: dict[str, Any] = {"number": number, "financier": me}
        bare = {kind: bytes.fromhex(mark["hex"]) for kind, mark in marks.items()}
        plain = {**args, "fingerprints": bare, "offered": offered}
        args |= {"fingerprints": marks, "offered": offered.hex()}
        vault = VaultClient(self._client, current().signing_seed())
        verdict = vault.check(CONTRACT, "within", plain)
        if verdict["code"] != "WITHIN":
            raise InputError("ADVANCE_TOO_HIGH", "; ".join(verdict["findings"]))
        self.send("finance", {**args, "verdict": verdict["code"], "findings": verdict["findings"]})
        return {"check": str(verdict["code"]), "advance": advance.text}

    def _offered(self, number: int, financier: str) -> bytes:
        """The commitment to the advance that is offered. Raises InputError NOT_OFFERED."""
        for one in self.invoice(number)["offers"]:
            if one["financier"] == financier:
                advance: bytes = one["offer"]["advance"]
                return advance
        raise InputError("NOT_OFFERED", f"invoice {number} is not offered to {financier}")

    def _arguments(self, raw: bytes, document: Any, seller: str, buyer: str) -> dict[str, Any]:
        from cli.invoice.command import arguments

        found = self._client.query(CONTRACT, "key", {}).value
        if found is None:
            raise InputError(
                "INVOICE_KEY_MISSING", "this chain has no key of fingerprints: invoices.set_key"
            )
        key = self.book.value(found["key"])
        chain_id = bytes.fromhex(self._client.node_status()["chain_id"])
        return arguments(raw, document, key, chain_id, seller, buyer)

    def _own_organisation(self) -> str:
        """Whose key signs. Raises InputError UNKNOWN_KEY."""
        from consensus.primitives.crypto import public_key

        key = public_key(current().signing_seed())
        found = self._client.query("identity", "key", {"key": key}).value
        if found is None:
            raise InputError("UNKNOWN_KEY", "the chain does not know the key that signs")
        return str(found["organisation"])


def _as_json(fingerprints: Mapping[str, str]) -> dict[str, Any]:
    return {kind: {"hex": mark} for kind, mark in fingerprints.items()}


def _read(file: Path) -> tuple[bytes, Any]:
    from cli.invoice.reading import FILE_BYTES_MAX, read_invoice
    from node.keystore import read_limited

    raw = read_limited(file, FILE_BYTES_MAX, "invoice")
    return raw, read_invoice(raw)


def shown(found: Mapping[str, Any]) -> str:
    """What is public of an invoice, for people."""
    record = found["invoice"]
    facts = {
        "invoice": found["number"],
        "state": record["state"],
        "seller": record["seller"],
        "buyer": record["buyer"],
        "financier": record["financier"],
        "due": output.when(record["due_at"]),
        "overdue": record["overdue"],
        "disputed": record["disputed"],
    }
    parts = [output.fields({name: one for name, one in facts.items() if one != ""})]
    if found["alerts"]:
        rows = [
            (one["other"], one["alert"]["kind"], one["alert"]["told_apart"])
            for one in found["alerts"]
        ]
        parts.append(output.table(("is like", "in", "told apart"), rows))
    if found["offers"]:
        offered = [(one["financier"], output.when(one["offer"]["at"])) for one in found["offers"]]
        parts.append(output.table(("offered to", "since"), offered))
    if found["postings"]:
        posted = [
            (one["kind"], one["by"], one["payee"], output.when(one["at"]))
            for one in found["postings"]
        ]
        parts.append(output.table(("posting", "by", "payee", "at"), posted))
    if found["opinions"]:
        said = [
            (one["organisation"], one["opinion"]["verdict"], one["opinion"]["postings"])
            for one in found["opinions"]
        ]
        parts.append(output.table(("checked by", "cover", "after postings"), said))
    return "\n\n".join(parts)
