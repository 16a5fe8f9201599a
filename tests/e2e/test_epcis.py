"""Other people's EPCIS documents through the command: what is committed, what is refused, why."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from cli.client import Client, make_transaction
from cli.epcis import read_calls
from cli.epcis_events import Refused
from consensus.primitives.errors import InputError
from consensus.transaction import Call
from tests.e2e.conftest import Tell
from tests.e2e.support import ROOT, Devnet, devnet, hansa

pytestmark = pytest.mark.e2e

DATA = ROOT.parent / "shared" / "data" / "epcis"


def _counted(rows: list[dict[str, Any]]) -> str:
    counts = Counter(row["code"] for row in rows)
    lines = [f"  {count:5} {code}" for code, count in sorted(counts.items())]
    return "\n".join([f"{len(rows)} events or documents:", *lines])


def _all_committed_or_refused(net: Devnet, rows: list[dict[str, Any]]) -> None:
    """Each row with a block stands there with its code; each other one says why not."""
    with Client(net.nodes[0].url) as client:
        for row in rows:
            if row["block"] is None:
                assert row["code"] not in ("", "OK") and row["message"], row
                continue
            block = client.block(row["block"])
            codes = {tx["tx_id"]: tx["code"] for tx in block["txs"]}
            assert codes[row["transaction"]] == row["code"]


def _document(event: str) -> str:
    context = "https://ref.gs1.org/standards/epcis/2.0.0/epcis-context.jsonld"
    head = f'"@context": "{context}", "type": "EPCISDocument", "schemaVersion": "2.0"'
    when = '"eventTime": "2025-01-01T00:00:00Z", "eventTimeZoneOffset": "+00:00"'
    body = f'"epcisBody": {{"eventList": [{{{when}, {event}}}]}}'
    return f'{{{head}, "creationDate": "2025-01-01T00:00:00Z", {body}}}'


BAD = {
    "not-json.json": "{",
    "no-document.json": "[1, 2]",
    "unknown-event.json": _document('"type": "PartyEvent"'),
    "bad-check-digit.json": _document(
        '"type": "ObjectEvent", "action": "ADD", "bizStep": "commissioning",'
        ' "epcList": ["https://id.gs1.org/01/09521321000011/21/X1"]'
    ),
}


def _things(value: Any) -> Iterator[dict[str, Any]]:
    """Every item that a call's arguments name, but for what it makes itself."""
    if isinstance(value, dict):
        if "item" in value:
            yield value
        else:
            for name, one in value.items():
                if name not in ("outputs", "event"):
                    yield from _things(one)
    elif isinstance(value, list):
        for one in value:
            yield from _things(one)


def _opening_stock(documents: list[Path]) -> list[Call]:
    """What the documents speak of must exist first: their own events begin in the middle."""
    stock: dict[str, Call] = {}
    for document in documents:
        with suppress(InputError):
            for _, call in read_calls(document.read_bytes()):
                if isinstance(call, Refused) or call.method == "commission":
                    continue
                for thing in _things(call.args):
                    quantity = {**thing.get("quantity", {}), "amount": 10**9}
                    plenty = {**thing, "quantity": quantity} if "quantity" in thing else thing
                    args = {"items": [plenty]}
                    stock.setdefault(thing["item"], Call("batch", "commission", args))
    return list(stock.values())


def test_documents_end_as_committed_or_refused_events(tmp_path: Path, tell: Tell) -> None:
    documents = sorted(DATA.rglob("*.json")) + sorted(DATA.rglob("*.jsonld"))
    for name, text in BAD.items():
        (tmp_path / name).write_text(text)
    bad = [tmp_path / name for name in BAD]
    with devnet(tmp_path / "net") as net:
        key = net.network.organisation_key(net.organisations[0].id)
        node = ("--node", net.nodes[0].url, "--key", key)
        rows = hansa(net.network, "epcis", "submit", *bad, *node, code=1)["events"]
        assert [row["document"] for row in rows] == list(BAD)
        assert len({row["code"] for row in rows}) == len(BAD), rows
        assert all(row["block"] is None and row["message"] for row in rows)
        tell("Made to be refused: " + ", ".join(row["code"] for row in rows))
        if not documents:
            pytest.skip(f"no documents in {DATA}")
        seed = net.seeds[net.organisations[0].id]
        stock = [make_transaction(seed, net.chain_id, [one]) for one in _opening_stock(documents)]
        with Client(net.nodes[0].url) as client:
            outcomes = client.submit_and_wait(stock)
        assert all(outcome.succeeded for outcome in outcomes)
        rows = hansa(net.network, "epcis", "submit", *documents, *node, code=1)["events"]
        _all_committed_or_refused(net, rows)
        assert sum(row["code"] == "OK" for row in rows) >= 10
        tell(f"{len(documents)} documents, {_counted(rows)}")
        net.equal_chains()
