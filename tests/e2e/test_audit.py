"""The audit trail and reports of a running network: right, and the same from every node."""

from __future__ import annotations

import csv
import hashlib
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cli.client import Client
from consensus.block import Header
from consensus.certificates import Certificate
from consensus.primitives.crypto import sha256
from consensus.primitives.merkle import verify_inclusion
from consensus.receipt import Receipt
from contracts.sdk.commitments import commit
from tests.e2e.conftest import Tell
from tests.e2e.support import PATIENCE_S, ROOT, Devnet, devnet, hansa

pytestmark = pytest.mark.e2e

MAKER, WHOLESALER, PHARMACY = "9521321000018", "9521432000013", "9521543000018"
REGULATOR = "9521654000013"
GTIN = "09521321000018"
LOT, SERIAL = f"01/{GTIN}/10/A1", f"01/{GTIN}/21/S1"
EXPIRY = "2031-12-31"


def some(amount: int) -> list[dict[str, Any]]:
    return [{"item": LOT, "quantity": {"amount": amount, "unit": "EA"}}]


@pytest.fixture(scope="module")
def net(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Devnet]:
    """A lot over three companies, its recall, and a question by the DSCSA."""
    with devnet(tmp_path_factory.mktemp("audit") / "net") as net:
        net.call(MAKER, "batch", "commission", items=some(100), expiry=EXPIRY)
        serial = [{"item": SERIAL}]
        net.call(MAKER, "batch", "commission", items=serial, lot="A1", expiry=EXPIRY)
        net.call(MAKER, "batch", "ship", items=some(60), consignee=WHOLESALER)
        net.call(WHOLESALER, "batch", "receive", items=some(60), sender=MAKER)
        net.call(WHOLESALER, "batch", "ship", items=some(20), consignee=PHARMACY)
        net.call(PHARMACY, "batch", "receive", items=some(20), sender=WHOLESALER)
        announcement = {"product": "=Tablets, 50 mg", "reason": "Dissolution", "kind": "DRUG"}
        net.call(MAKER, "recall", "initiate", announcement=announcement, items=[{"item": LOT}])
        net.call(REGULATOR, "recall", "classify", number=1, recall_class="II")
        net.call(
            MAKER, "recall", "set_strategy", number=1, depth="RETAIL", level="A",
            disposal="RETURN",
        )  # fmt: skip
        for kind, organisation in (("MANUFACTURER", MAKER),):
            net.call(
                REGULATOR, "dscsa", "grant_licence", organisation=organisation, kind=kind,
                authority="US", reference=commit(bytes(16), "L-1"), valid_from="2026-01-01",
                valid_until="2030-12-31",
            )  # fmt: skip
        net.call(
            REGULATOR, "dscsa", "request_information", item=SERIAL, lot="A1", expiry=EXPIRY,
            asked=MAKER, purpose="OFFICIAL",
        )  # fmt: skip
        net.call(MAKER, "dscsa", "respond", request=1)
        yield net


def made(net: Devnet, node: int, out: Path, *arguments: object) -> bytes:
    told = hansa(net.network, "--node", net.nodes[node].url, *arguments, "--out", out)
    assert told["file"] == str(out)
    return out.read_bytes()


def ended(net: Devnet, *arguments: object) -> str:
    """The code of the error that the command ends with."""
    command = [sys.executable, "-m", "cli.main", "--node", net.nodes[0].url, "--json"]
    done = subprocess.run(
        [*command, *map(str, arguments)],
        capture_output=True, text=True, check=False, cwd=ROOT, timeout=PATIENCE_S,
    )  # fmt: skip
    assert done.returncode == 1, done.stderr
    return str(json.loads(done.stderr.splitlines()[-1])["error"]["code"])


@pytest.mark.parametrize("form", ["csv", pytest.param("json", marks=pytest.mark.long)])
def test_exports_of_two_nodes_made_twice_are_equal(net: Devnet, tmp_path: Path, form: str) -> None:
    height = net.level()
    files = [
        made(net, node, tmp_path / f"{number}.{form}", "audit", "export", "--to", height,
             "--format", form)
        for number, node in enumerate((0, 0, 4))
    ]  # fmt: skip
    assert len(set(files)) == 1


def test_an_export_says_what_the_nodes_say(net: Devnet, tmp_path: Path, tell: Tell) -> None:
    """Every row's transaction stands in its block and succeeded; every write's hash is the
    state's, or was written over later; every such event has its rows."""
    height = net.level()
    begun = time.monotonic()
    raw = made(net, 0, tmp_path / "all.json", "audit", "export", "--to", height, "--format", "json")
    took_s = time.monotonic() - begun
    found = json.loads(raw)
    rows, end = found["rows"], found["end"]
    assert (end["rows"], end["to_height"]) == (len(rows), height)
    assert end["blocks_without_checked_certificate"] == 0
    before = raw[: raw.rindex(b'"end"')]
    assert end["sha256"] == hashlib.sha256(before).hexdigest()
    newest: dict[tuple[str, str], str] = {}
    for row in rows:
        key = (row["record_of"], row["record"])
        assert row["old_sha256"] == newest.get(key, row["old_sha256"]), row
        newest[key] = row["new_sha256"]
    with Client(net.nodes[1].url) as client:
        blocks = {one: client.block(one) for one in range(1, height + 1)}
        for row in rows:
            block = blocks[int(row["position"].split(".")[0])]
            assert block["hash"] == row["block"]
            if row["transaction"]:
                codes = {one["tx_id"]: one["code"] for one in block["txs"]}
                assert codes[row["transaction"]] == "OK"
        recalled = client.query("recall", "recall", {"number": 1}).value["recall"]
    methods = {row["method"] for row in rows}
    assert {"commission", "ship", "receive", "initiate", "classify", "respond"} <= methods
    meanings = {row["method"]: row["meaning"] for row in rows}
    assert (meanings["classify"], meanings["respond"]) == ("approval", "responsibility")
    assert ("recall.recalls", "1") in newest and recalled["recall_class"] == "II"
    tell(f"audit export: {height} blocks, {len(rows)} rows in {took_s:.1f} s")


def test_histories_and_acts(net: Devnet, tmp_path: Path) -> None:
    link = f"https://id.gs1.org/01/{GTIN}/10/A1"
    lot = json.loads(
        made(net, 0, tmp_path / "lot.json", "audit", "export", "--item", link, "--format", "json")
    )
    assert {row["who"] for row in lot["rows"]} >= {MAKER, WHOLESALER, PHARMACY}
    assert all(LOT in row["record"] for row in lot["rows"])
    assert lot["end"]["wanted"] == {"item": link}
    made(net, 0, tmp_path / "acts.csv", "audit", "export", "--organisation", PHARMACY)
    with (tmp_path / "acts.csv").open(newline="", encoding="utf-8") as file:
        acts = list(csv.DictReader(file))
    assert {row["who"] for row in acts[:-1]} == {PHARMACY} and acts[-1]["row"] == "end"
    nobody = ("audit", "export", "--out", tmp_path / "nobody.csv")
    assert ended(net, *nobody, "--organisation", f"{PHARMACY[:-1]}0") == "UNKNOWN_ORGANISATION"
    assert ended(net, *nobody, "--item", f"{LOT}9") == "UNKNOWN_ITEM"
    assert not (tmp_path / "nobody.csv").exists()


@pytest.mark.parametrize(
    ("what", "number"),
    [
        pytest.param("recall", 1, id="recall"),
        pytest.param("dscsa-request", 1, id="dscsa", marks=pytest.mark.long),
    ],
)
def test_reports_of_two_nodes_are_equal(
    net: Devnet, tmp_path: Path, tell: Tell, what: str, number: int
) -> None:
    height = net.level()
    command = ["report", what, number, "--height", height, "--format"]
    for form in ("pdf", "json"):
        files = [
            made(net, node, tmp_path / f"{index}.{form}", *command, form)
            for index, node in enumerate((0, 2))
        ]
        assert len(set(files)) == 1
    told = json.loads(files[0])
    with Client(net.nodes[3].url) as client:
        block = client.block(height)
        contract, method = told["query"].split(".")
        name = {"recall": "number", "dscsa": "request"}[contract]
        now = client.query(contract, method, {name: number})
    assert (told["height"], told["block"]) == (height, block["hash"])
    assert told["state_root"] == block["header"]["state_root"]
    pdf = (tmp_path / "0.pdf").read_bytes()
    assert pdf.startswith(b"%PDF") and block["hash"].encode() in pdf
    assert told["organisations"][MAKER].encode() in pdf
    assert now.height >= height
    tell(f"report {what}: {len(pdf)} bytes of PDF, digest {sha256(pdf).hex()[:16]}")


@pytest.mark.long
def test_an_older_height_shows_what_was_known_then(net: Devnet, tmp_path: Path) -> None:
    """The class, for one: before the regulator had given it, and after."""
    raw = made(net, 0, tmp_path / "all.json", "audit", "export", "--format", "json")
    rows = json.loads(raw)["rows"]
    classified = next(row for row in rows if row["method"] == "classify")
    height = int(classified["position"].split(".")[0])
    classes = []
    for number, at in enumerate((height - 1, height)):
        out = tmp_path / f"{number}.json"
        raw = made(net, 0, out, "report", "recall", 1, "--height", at, "--format", "json")
        classes.append(json.loads(raw)["answer"]["recall"]["recall_class"])
    assert classes == ["UNCLASSIFIED", "II"]
    none = tmp_path / "none.json"
    code = ended(net, "report", "recall", 1, "--height", 1, "--out", none)
    assert (code, none.exists()) == ("REPORT_UNKNOWN", False)


# --- traces ------------------------------------------------------------------------------------


def test_a_trace_is_proven_event_by_event(net: Devnet) -> None:
    """Anybody can check what is handed out, with nothing but the genesis document."""
    told = hansa(net.network, "--node", net.nodes[0].url, "trace", LOT, "--proof")
    document = net.network.document()
    validators = document.validator_set()
    quorum = validators.thresholds(document.params.fault_model).quorum
    proven = set()
    for proof in told["proofs"]:
        header = Header.decode(bytes.fromhex(proof["header"]))
        certificate = Certificate.decode(bytes.fromhex(proof["certificate"]))
        assert certificate.block_hash == header.digest and header.height == proof["height"]
        certificate.check(document.chain_id, validators, quorum)
        for one in proof["receipts"]:
            leaf, path = bytes.fromhex(one["receipt"]), [bytes.fromhex(p) for p in one["path"]]
            assert verify_inclusion(header.receipt_root, one["of"], one["index"], leaf, path)
            assert LOT in str(Receipt.decode(leaf).events)
            proven.add((header.height, one["index"]))
    assert {(event["height"], event["tx_index"]) for event in told["events"]} == proven
    assert len(proven) >= 5


def test_lineage_forward_and_back(net: Devnet) -> None:
    whole, part = f"01/{GTIN}/10/B1", f"01/{GTIN}/10/B1-1"
    made = [{"item": whole, "quantity": {"amount": 100, "unit": "EA"}}]
    net.call(MAKER, "batch", "commission", items=made, expiry=EXPIRY)
    net.call(MAKER, "batch", "split", item=whole, parts=[{"lot": "B1-1", "amount": 5}])
    forward = hansa(net.network, "--node", net.nodes[0].url, "trace", whole, "--forward")
    assert (forward["items"], forward["links"]) == ([whole, part], [[0, 1]])
    back = hansa(net.network, "--node", net.nodes[0].url, "trace", part, "--back")
    assert (back["items"], back["links"]) == ([part, whole], [[1, 0]])
    assert hansa(net.network, "--node", net.nodes[0].url, "trace", LOT, "--forward")["items"] == [
        LOT,
        SERIAL,
    ]


def test_evidence_is_checked_without_any_node(net: Devnet, tmp_path: Path, tell: Tell) -> None:
    """A lot under recall, another that is not, and the recall: one file each, believed by our
    command and by a script that knows nothing of us."""
    free = f"01/{GTIN}/10/EV1"
    made = [{"item": free, "quantity": {"amount": 5, "unit": "EA"}}]
    net.call(MAKER, "batch", "commission", items=made, expiry=EXPIRY)
    chain_id = net.network.document().chain_id.hex()
    node = ("--node", net.nodes[0].url)
    script = ROOT / "scripts" / "verify_evidence.py"
    for kind, subject, recalled in (
        ("item", LOT, True),
        ("item", free, False),
        ("recall", "1", None),
    ):
        file = tmp_path / f"{kind}{recalled}.evidence"
        out = ("--out", file, "--chain-id", chain_id)
        written = hansa(net.network, *node, "evidence", "export", kind, subject, *out)
        told = hansa(net.network, "evidence", "verify", file, "--chain-id", chain_id)
        assert told.get("under_recall") == recalled and len(told["sealed_by"]) >= 3
        assert told["transactions"] and told["pinned"]
        done = subprocess.run(
            [sys.executable, "-I", "-S", script, file, chain_id],
            capture_output=True, text=True, timeout=PATIENCE_S, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        assert ("No hold of a recall" in done.stdout) == (recalled is False)
        tell(f"evidence about {kind} {subject}: {written['bytes']} bytes")


@pytest.mark.long
def test_a_recall_and_the_absence_of_one_are_proven(net: Devnet, tell: Tell) -> None:
    """Every node proves the same, on the chain that the user names: which recalls hold a lot,
    that none holds another, a whole map, a transaction, and that history only grew."""
    height = net.level()
    with Client(net.nodes[0].url) as client:
        chain_id = str(client.node_status()["chain_id"])
        tx_id = client.block(height)["txs"]
        while not tx_id:
            height -= 1
            tx_id = client.block(height)["txs"]
    answers = []
    for node in (0, 4):
        asked = ("--node", net.nodes[node].url, "proof")
        pin = ("--chain-id", chain_id)
        held = hansa(net.network, *asked, "state", "batch", "recall_holds", LOT, "--all", *pin)
        assert len(held["values"]) == 1 and held["complete"] and len(held["sealed_by"]) >= 3
        free = hansa(
            net.network, *asked, "state", "batch", "recall_holds", f"{LOT}9", "--all", *pin
        )
        assert free["values"] == []
        notices = hansa(net.network, *asked, "state", "recall", "notices", "--all", *pin)
        found = hansa(net.network, *asked, "transaction", tx_id[0]["tx_id"], *pin)
        assert (found["height"], found["code"]) == (height, tx_id[0]["code"])
        past = hansa(net.network, *asked, "history", "1", *pin)
        answers.append([held["values"], notices["values"], past["old_hash"]])
        with Client(net.nodes[node].url) as client:
            sizes = {
                name: len(client.proof(f"state?key={key}")["proof"]) // 2
                for name, key in (("present", held["values"][0]["key"]), ("absent", "ff"))
            }
    assert answers[0] == answers[1]
    tell(f"proofs of a running network: {sizes} bytes, {len(notices['values'])} notices whole")
