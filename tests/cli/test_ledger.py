"""The commands that talk to a node, against real contracts behind the real HTTP server."""

from __future__ import annotations

import re
import time
from pathlib import Path

import pytest

from cli.client import Client, make_transaction
from cli.demo import play
from cli.network import Network
from cli.sample_trade import load_sample_trade
from consensus.params import Params
from consensus.primitives.codec import encode
from consensus.transaction import Transaction
from contracts.runtime.registry import builtin_packages
from tests.cli.ledger import LedgerNode
from tests.cli.support import Hansa
from tests.node.api_world import running_node

ROOT = Path(__file__).resolve().parents[2]
TRADE = load_sample_trade()
MAKER = TRADE.organisations[0]


def commission(hansa: Hansa, lot: str) -> tuple[str, ...]:
    items = f'[{{"item": "01/09521321000018/10/{lot}", "quantity": {{"amount": 5, "unit": "EA"}}}}]'
    return ("call", "batch", "commission", f"items={items}", "expiry=2030-01-31")


def test_the_sample_trade_and_its_trace(
    hansa: Hansa, network: Network, url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with Client(url) as client:
        play(network, client, TRADE)
        first = client.node_status()["height"]
        play(network, client, TRADE)  # a second run adds nothing
        assert client.node_status()["height"] == first >= len(TRADE.documents) + 3
    events = hansa.json("trace", TRADE.item)["events"]
    assert {"Commissioned", "Packed", "Shipped", "Received", "Split", "Recalled"} <= {
        event["event"] for event in events
    }
    shown = hansa("trace", TRADE.item).out
    assert "Lindenau Pharma GmbH" in shown
    assert "2025-03-03" in shown
    for item, code in (("01/09521321000018/10/OTHER", "UNKNOWN_ITEM"), ("NOPE", "BAD_ARGUMENT")):
        for outcome in (hansa("trace", item), hansa("trace", item, "--json")):
            assert (outcome.code, outcome.error, outcome.out) == (1, code, "")


def test_the_documented_example_of_the_client_runs(
    url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    text = (ROOT / "docs" / "client.md").read_text()
    (example,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    for port, instead in (("27001", "http://127.0.0.1:1"), ("27002", url)):  # the first is down
        assert f"http://127.0.0.1:{port}" in example
        example = example.replace(f"http://127.0.0.1:{port}", instead)
    exec(compile(example, "docs/client.md", "exec"), {})
    printed = capsys.readouterr().out
    assert printed.count("stands in block") == 2
    assert "Commissioned, Shipped, Received as of block 2" in printed
    assert "(2, 0, 0) Received [{'amount': 20, 'item': '01/09521321000018/10/LP2505'" in printed


def test_a_call_is_signed_committed_and_shown(hansa: Hansa, url: str) -> None:
    made = hansa.json(*commission(hansa, "A1"))
    assert (made["status"], made["code"], made["height"]) == ("committed", "OK", 1)
    assert hansa.json("tx", "status", made["tx_id"], "--wait")["code"] == "OK"
    shown = hansa.json("tx", "show", made["tx_id"])
    (call,) = shown["transaction"]["body"]["calls"]
    assert (call["contract"], call["method"]) == ("batch", "commission")
    assert "batch.commission" in hansa("tx", "show", made["tx_id"]).out
    block = hansa.json("block", "show", "1")
    assert block["transactions"] == [{"tx_id": made["tx_id"], "code": "OK"}]
    assert made["tx_id"] in hansa("block", "show").out
    assert hansa.json("status")["height"] == 1
    assert "n2" in hansa("status").out


def test_a_refused_call_says_why_and_ends_with_1(hansa: Hansa, url: str) -> None:
    hansa.json(*commission(hansa, "A1"))
    items = '[{"item": "01/09521321000018/10/A1", "quantity": {"amount": 9, "unit": "EA"}}]'
    outcome = hansa("call", "batch", "ship", f"items={items}",
                    f"consignee={TRADE.organisations[1].id}")  # fmt: skip
    assert outcome.code == 1
    assert outcome.error == "TOO_LITTLE"
    tx_id = outcome.err.split("transaction ")[1].split()[0]
    assert hansa("tx", "status", tx_id).code == 1


def test_bad_arguments_are_found_before_anything_is_signed(hansa: Hansa, url: str) -> None:
    for arguments, code in (
        (["call", "bank", "pay"], "UNKNOWN_CONTRACT"),
        (["call", "batch", "eat"], "UNKNOWN_METHOD"),
        (["call", "batch", "ship", "consignee=1", "items=5x"], "BAD_ARGUMENT"),
        (["query", "batch", "ship"], "UNKNOWN_METHOD"),
    ):
        outcome = hansa(*arguments)
        assert (outcome.code, outcome.error) == (4, code)
    with Client(url) as client:
        assert client.node_status()["height"] == 0


def test_without_a_method_the_choices_are_listed(hansa: Hansa, url: str) -> None:
    assert "identity" in hansa("call").out
    assert "commission" in hansa("call", "batch").out
    assert "trace" in hansa("query", "batch").out
    assert '[{"item": GS1 item, ["quantity": ' in hansa("call", "batch").out
    for kind in ("call", "query"):
        assert set(hansa.json(kind)) == {one.name for one in builtin_packages()}
        methods = hansa.json(kind, "batch")
        assert {method["kind"] for method in methods.values()} == {kind}
    assert hansa("query", "nothing", "--json").error == "UNKNOWN_CONTRACT"


def test_queries(hansa: Hansa, url: str) -> None:
    found = hansa.json("query", "identity", "organisation", f"id={MAKER.id}")
    assert found["result"]["name"] == MAKER.name
    assert MAKER.name in hansa("query", "identity", "organisation", f"id={MAKER.id}").out
    outcome = hansa("query", "identity", "organisation", "id=4012345000001")
    assert (outcome.code, outcome.error) == (4, "BAD_ARGUMENT")


def test_signed_transactions_from_files(hansa: Hansa, network: Network, url: str) -> None:
    chain_id = network.document().chain_id
    seed = network.organisation_seed(MAKER.id)
    txs = [
        make_transaction(seed, chain_id, [("identity", "add_key", {
            "key": bytes([9, number]) * 16, "label": "shop", "roles": ["corporate_user"]})])
        for number in range(3)
    ]  # fmt: skip
    Path("two.hex").write_text("\n".join(tx.raw.hex() for tx in txs[:2]))
    Path("one.bin").write_bytes(txs[2].raw)
    found = hansa.json("tx", "submit", "two.hex", "one.bin")
    assert [one["tx_id"] for one in found] == [tx.tx_id.hex() for tx in txs]
    assert [one["code"] for one in found] == ["OK"] * 3
    assert hansa.json("tx", "submit", "two.hex", "--no-wait")[0]["status"] == "accepted"
    assert "committed" in hansa("tx", "submit", "two.hex").out


def test_bad_transaction_files(hansa: Hansa, network: Network, url: str) -> None:
    Path("empty").write_text("\n")
    assert hansa("tx", "submit", "empty").error == "TX_FILE_INVALID"
    Path("junk").write_bytes(b"\x00junk")
    assert (hansa("tx", "submit", "junk").code, hansa("tx", "submit", "junk").error) == (
        1, "TX_MALFORMED",
    )  # fmt: skip
    Path("list").write_bytes(encode([b"1", b"2" * 64]) + b"\x00")
    assert hansa("tx", "submit", "list").code == 1
    unknown = hansa("tx", "status", "ab" * 32)
    assert (unknown.code, "unknown" in unknown.out) == (1, True)
    assert hansa("tx", "show", "ab" * 32).error == "TX_NOT_FOUND"
    assert hansa("block", "show", "77").error == "BLOCK_NOT_FOUND"


def test_a_call_costs_at_most_what_it_may(hansa: Hansa, url: str) -> None:
    outcome = hansa(*commission(hansa, "A1"), "--steps-max", 5_000)
    assert (outcome.code, outcome.error) == (1, "OUT_OF_STEPS")
    assert "5000" in outcome.err


def test_a_call_without_a_key(hansa: Hansa, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HANSA_KEY")
    outcome = hansa(*commission(hansa, "A1"))
    assert (outcome.code, outcome.error) == (4, "KEY_MISSING")


def test_what_is_sent_waits_no_longer_than_the_chain_allows(
    hansa: Hansa, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    window_ms = 30_000
    network = Network(tmp_path / "short", lambda _line: None)
    network.make(TRADE.organisations, Params(tx_window_ms=window_ms))
    monkeypatch.setenv("HANSA_KEY", str(network.organisation_key(MAKER.id)))
    monkeypatch.delenv("HANSA_PASSPHRASE")
    monkeypatch.setenv("HANSA_PASSPHRASE_FILE", str(network.passphrase_file))
    node = LedgerNode(network.document())
    with running_node(node) as running:
        monkeypatch.setenv("HANSA_NODE", running.url)
        assert hansa(*commission(hansa, "S1")).code == 0
    (raw,) = node.raws.values()
    assert Transaction.parse(raw).body.valid_until <= time.time_ns() // 1_000_000 + window_ms
