"""Other people's EPCIS documents through the command: captured, exported again, compared."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cli.client import Client, make_transaction
from cli.epcis.checks import Checked, checked
from cli.epcis.event_hash import event_hash
from cli.epcis.reading import read_events
from cli.epcis.structure import Broken, Captured
from consensus.primitives.errors import InputError
from consensus.transaction import Call
from tests.e2e.conftest import Tell
from tests.e2e.support import ROOT, Devnet, devnet, hansa

pytestmark = pytest.mark.e2e

DATA = ROOT.parent / "shared" / "data" / "epcis"
SUFFIXES = (".json", ".jsonld", ".xml")
# Files of the collection that hold a query, not events.
QUERIES = {"queryDocumentWithEventTime.json", "queryDocument.xml"}
PLENTY = 10**12


def _document(event: str) -> str:
    context = "https://ref.gs1.org/standards/epcis/2.0.0/epcis-context.jsonld"
    head = f'"@context": "{context}", "type": "EPCISDocument", "schemaVersion": "2.0"'
    when = '"eventTime": "2025-01-01T00:00:00Z", "eventTimeZoneOffset": "+00:00"'
    body = f'"epcisBody": {{"eventList": [{{{when}, {event}}}]}}'
    return f'{{{head}, "creationDate": "2025-01-01T00:00:00Z", {body}}}'


BAD = {
    "not-json.json": "{",
    "not-xml.xml": "<a>",
    "bomb.xml": '<!DOCTYPE a [<!ENTITY b "boom">]><a>&b;</a>',
    "no-document.json": "[1, 2]",
    "unknown-event.json": _document('"type": "PartyEvent"'),
    "bad-check-digit.json": _document(
        '"type": "ObjectEvent", "action": "ADD", "bizStep": "commissioning",'
        ' "epcList": ["https://id.gs1.org/01/09521321000011/21/X1"]'
    ),
}


def _valid(documents: list[Path]) -> Iterator[Checked]:
    """The events of the documents that keep the rules."""
    for document in documents:
        try:
            events = read_events(document.read_bytes())
        except InputError:
            assert document.name in QUERIES
            continue
        for event in events:
            assert isinstance(event, Captured), event
            try:
                yield checked(event)
            except Broken as broken:
                assert broken.code == "EPCIS_ILMD_NOT_ALLOWED"  # rule 10


def _opening_stock(events: list[Checked]) -> list[Call]:
    """What the documents speak of must exist first: their own events begin in the middle."""
    made = {
        one.path
        for event in events
        for one in event.things
        if (event.action == "ADD" and event.type == "ObjectEvent") or one.role == "output"
    }
    stock: dict[str, Call] = {}
    for event in events:
        for one in event.things:
            is_lot = "/10/" in one.path
            if not one.is_item or one.path in made or (is_lot and one.amount is None):
                continue
            thing: dict[str, Any] = {"item": one.path}
            if is_lot:
                thing["quantity"] = {"amount": PLENTY, "unit": one.unit}
            stock.setdefault(one.path, Call("batch", "commission", {"items": [thing]}))
    return list(stock.values())


def _counts(title: str, counts: dict[str, int]) -> str:
    return "\n".join([f"{title}:", *(f"  {count:5} {name}" for name, count in counts.items())])


def _hashes(path: Path) -> set[str]:
    events = read_events(path.read_bytes())
    found = [event for event in events if isinstance(event, Captured)]
    assert len(found) == len(events)
    return {event_hash(event) for event in found}


def _blocks_say_so(net: Devnet, rows: list[dict[str, Any]]) -> None:
    """Each row with a block stands there; each one that was not captured says why not."""
    with Client(net.nodes[0].url) as client:
        for row in rows:
            if row["block"] is None:
                assert row["code"] not in ("", "OK") and row["message"], row
                continue
            codes = {tx["tx_id"]: tx["code"] for tx in client.block(row["block"])["txs"]}
            expected = row["code"] if row["number"] is None else "OK"
            assert codes[row["transaction"]] == expected


def test_documents_are_captured_and_exported_again(tmp_path: Path, tell: Tell) -> None:
    documents = sorted(path for path in DATA.rglob("*") if path.suffix in SUFFIXES)
    for name, text in BAD.items():
        (tmp_path / name).write_text(text)
    bad = [tmp_path / name for name in BAD]
    with devnet(tmp_path / "net") as net:
        key = net.network.organisation_key(net.organisations[0].id)
        openings = tmp_path / "openings"
        node = ("--node", net.nodes[0].url, "--key", key, "--openings", openings)
        rows = hansa(net.network, "epcis", "import", *bad, *node, code=1)["events"]
        assert [row["document"] for row in rows] == list(BAD)
        assert len({row["code"] for row in rows}) == len(BAD), rows
        assert all(row["block"] is None and row["message"] for row in rows)
        tell("Made to be refused: " + ", ".join(row["code"] for row in rows))
        if not documents:
            pytest.skip(f"no documents in {DATA}")
        events = list(_valid(documents))
        seed = net.seeds[net.organisations[0].id]
        stock = [make_transaction(seed, net.chain_id, [one]) for one in _opening_stock(events)]
        with Client(net.nodes[0].url) as client:
            outcomes = client.submit_and_wait(stock)
        assert all(outcome.succeeded for outcome in outcomes)

        done = hansa(net.network, "epcis", "import", "--independent", *documents, *node, code=1)
        _blocks_say_so(net, done["events"])
        refused = done["not_captured"]
        assert set(refused) == {"DUPLICATE_EVENT", "EPCIS_NOT_A_DOCUMENT", "EPCIS_ILMD_NOT_ALLOWED"}
        assert done["captured"] + sum(refused.values()) == len(done["events"])
        assert sum(done["effects"].values()) >= 10

        said = {event_hash(event.source) for event in events}
        times = Counter(row["hash"] for row in done["events"] if row["number"] is not None)
        assert set(times) == said
        for form in ("json", "xml"):
            target = tmp_path / f"out.{form}"
            more = ("--format", form, "--output", target)
            told = hansa(net.network, "epcis", "export", *more, *node)
            assert (told["events"], told["withheld"]) == (done["captured"], [])
            assert _hashes(target) == said
            assert "documentWithheld" not in target.read_text()
        tell(f"{len(documents)} documents, {len(done['events'])} events or unread documents")
        tell(f"captured: {done['captured']}; exported again as JSON and as XML: the same set of "
             f"{len(said)} event hashes")  # fmt: skip
        tell(_counts("effects", done["effects"]))
        tell(_counts("captured, without effect", done["without_effect"]))
        tell(_counts("not captured", refused))
        net.equal_chains()
