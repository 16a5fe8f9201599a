"""FDA enforcement records onto the chain, each as a recall or a refusal with a name."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cli.answers import Refused
from cli.fda import NoRecall, Record, read_records, record_of
from cli.settings import current
from consensus.primitives.errors import TxRejected

if TYPE_CHECKING:
    from cli.client import Client


def import_records(
    files: Sequence[Path], regulator_key: Path | None, *, register: bool, timeout_s: int
) -> list[dict[str, Any]]:
    """Initiate a recall for each record, and classify it where there is a key for that.

    A row a record: file, row, number, recall, recall_class, lots, held, outcome, message.
    ``outcome`` is OK, or the code of the refusal. A record whose recall is there, but was never
    classified, is classified now. Raises what no other record could be spared: an unreadable file,
    a wrong key (a class's signer must be a regulator: NOT_REGULATOR), a node that does not answer.
    """
    from cli.call import open_client
    from node.keystore import load_key

    seed = current().signing_seed()
    regulator = None
    if regulator_key is not None:
        regulator = load_key(regulator_key, current().passphrase(f"Passphrase of {regulator_key}"))
    found = []
    read = [(path, read_records(path.read_bytes())) for path in files]
    with open_client() as client:
        importer = _Importer(client, seed, regulator, register=register, timeout_s=timeout_s)
        for path, records in read:
            for at, raw in enumerate(records, 1):
                found.append({"file": path.name, "row": at} | importer.take(raw))
    return found


def import_summary(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """The rows with their counts: recalls, refusals by code, classes, lots."""
    refusals = Counter(row["outcome"] for row in rows if row["outcome"] != "OK")
    return {
        "records": len(rows),
        "recalls": sum(row["recall"] is not None for row in rows),
        "classified": sum(bool(row["recall_class"]) for row in rows),
        "with certain lots": sum(row["lots"] > 0 for row in rows),
        "lots": sum(row["lots"] for row in rows),
        "lots held": sum(row["held"] for row in rows),
        "refused": dict(sorted(refusals.items())),
        "rows": rows,
    }


class _Importer:
    """Sends the calls of one record after the other."""

    def __init__(
        self, client: Client, seed: bytes, regulator: bytes | None, *, register: bool,
        timeout_s: int,
    ) -> None:  # fmt: skip
        from consensus.primitives.crypto import public_key

        if regulator is not None:
            _check_regulator(client, public_key(regulator))
        self._client = client
        self._seed = seed
        self._regulator = regulator
        self._register = register
        self._timeout_s = timeout_s
        self._me = client.query("identity", "caller", {"key": public_key(seed)}).value[
            "organisation"
        ]
        self._there = self._own_recalls()

    def take(self, raw: dict[str, str]) -> dict[str, Any]:
        row: dict[str, Any] = {
            "number": "", "recall": None, "recall_class": "", "lots": 0, "held": 0, "outcome": "OK",
            "message": "",
        }  # fmt: skip
        try:
            record = record_of(raw)
            row["number"], row["lots"] = record.name, len(record.lots)
            there = self._there.get(_said(record.announcement))
            if there is not None:
                number, is_classified = there
                if is_classified or not self._may_classify(record):
                    raise NoRecall("ALREADY_IMPORTED", f"own recall {number} says the same")
                row["recall"] = number
                self._classify(row, record)
                return row
            items = record.items if self._is_mine(record) else []
            args: dict[str, Any] = {"announcement": record.announcement}
            args |= {"items": [{"item": item} for item in items], "lots": list(record.lots)}
            row["recall"] = self._send(self._seed, "recall", "initiate", args)
            row["held"] = len(items)
            if self._may_classify(record):
                self._classify(row, record)
        except (NoRecall, Refused, TxRejected) as error:
            row["outcome"], row["message"] = error.code, error.message
            if row["recall"] is not None:
                row["message"] += f"; recall {row['recall']} is there without a class"
        return row

    def _may_classify(self, record: Record) -> bool:
        return bool(record.recall_class) and self._regulator is not None

    def _classify(self, row: dict[str, Any], record: Record) -> None:
        assert self._regulator is not None
        given = {"number": row["recall"], "recall_class": record.recall_class}
        self._send(self._regulator, "recall", "classify", given)
        row["recall_class"] = record.recall_class

    def _own_recalls(self) -> dict[tuple[str, ...], tuple[int, bool]]:
        """What the signer's recalls said before this import, so that none is made twice: their
        first numbers, and whether one of them has a class."""
        found: dict[tuple[str, ...], tuple[int, bool]] = {}
        after = 0
        while page := self._client.query("recall", "recall_list", {"after": after}).value:
            after = page[-1]["number"]
            for one in page:
                if one["recall"]["firm"] == self._me:
                    number = {"number": one["number"]}
                    whole = self._client.query("recall", "recall", number).value
                    said = _said(whole["announcement"])
                    first, is_classified = found.get(said, (one["number"], False))
                    found[said] = first, is_classified or one["recall"]["classifications"] > 0
        return found

    def _is_mine(self, record: Record) -> bool:
        """Whether the signer may hold lots of the product: it is registered as the signer's."""
        if not record.items:
            return False
        known = self._client.query("batch", "trade_item", {"gtin": record.gtin}).value
        if known is None and self._register:
            self._send(self._seed, "batch", "register_trade_item", {"gtin": record.gtin})
            return True
        return known is not None and known["maker"] == self._me

    def _send(self, seed: bytes, contract: str, method: str, args: dict[str, Any]) -> Any:
        from cli.sending import send

        calls = [(contract, method, args)]
        return send(self._client, seed, calls, timeout_s=self._timeout_s)[0]


def _check_regulator(client: Client, key: bytes) -> None:
    """Raises ClientError NOT_REGULATOR: better before the first recall than after each."""
    from cli.client import ClientError

    signer = client.query("identity", "caller", {"key": key}).value
    if "regulator" not in signer["roles"]:
        raise ClientError("NOT_REGULATOR", f"--regulator-key: {signer['organisation']} is none")


def _said(announcement: dict[str, Any]) -> tuple[str, ...]:
    return tuple(announcement.get(name, "") for name in ("product", "reason", "codes"))
