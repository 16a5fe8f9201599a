"""Comparing lists of outcomes, telling and keeping them, and the report."""

from __future__ import annotations

import dataclasses
import functools
import json
import os
import random
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consensus.block import CONTENT_TXS_MAX
from consensus.outcomes import (
    NOTHING,
    WRITES_MAX,
    Detail,
    Outcomes,
    Write,
    detail_of,
    differences,
    tainted_keys,
    writes_digest,
)
from consensus.primitives.codec import encode
from consensus.primitives.crypto import sha256
from consensus.primitives.errors import CodecError, HansaError, LocalFault, PeerFault
from consensus.primitives.keys import digest_part, encode_key
from consensus.receipt import Receipt
from node import exchange, frames
from node.chain import Outcome
from node.exchange import Exchange
from node.files import ReportFolder
from node.metrics import Metrics
from node.reading import Reading, standing_before
from node.report import Case, Findings, report_of, sentence_of
from node.roster import Roster
from node.signer import Signer
from node.wal import VoteLog
from p2p.virtual import VirtualNetwork
from tests.node.support import FixedClock, OneChain
from tests.sim.world import MemoryFile, consensus_key, seed_of

# --- comparing ---------------------------------------------------------------------------------


def listed(one: OneChain, entries: list[tuple[int, int]], name: str = "v0") -> Outcomes:
    """A list whose receipts and writes are numbers."""
    header = one.chain.header
    return Outcomes(
        sha256(b"content"),
        header,
        tuple(sha256(b"receipt %d" % receipt) for receipt, _ in entries),
        tuple(sha256(b"writes %d" % writes) for _, writes in entries),
        consensus_key(name),
        bytes(64),
    )


def test_differences_stand_in_the_order_of_execution_with_who_holds_what() -> None:
    """Due calls and activations stand last and run first."""
    one = OneChain()
    lists = {
        b"a": listed(one, [(0, 0), (1, 1), (2, 2), (9, 9)]),
        b"b": listed(one, [(0, 0), (1, 7), (2, 2), (9, 9)]),
        b"c": listed(one, [(0, 0), (1, 7), (5, 2), (8, 9)]),
        b"d": listed(one, [(0, 0), (1, 7), (2, 2)]),
    }
    found = differences(lists, 3)
    assert [difference.index for difference in found] == [3, 1, 2]
    assert found[0].holders[0][1] == (b"a", b"b")
    assert {keys for _, keys in found[0].holders[1:]} == {(b"c",), (b"d",)}
    assert NOTHING in dict(found[0].holders)
    assert [keys for _, keys in found[1].holders] == [(b"b", b"c", b"d"), (b"a",)]
    assert [difference.dissent for difference in found] == [2, 1, 1]
    assert differences({}, 3) == differences({b"a": lists[b"a"]}, 3) == []


def receipt(**changed: Any) -> Receipt:
    fields: dict[str, Any] = {
        "wire_id": bytes(32),
        "code": "OK",
        "detail": "",
        "steps_used": 10,
        "events": (),
        "result": [None],
    }
    return Receipt(**(fields | changed))


def test_a_detail_proves_itself_by_the_list() -> None:
    changes = {b"b\x00": b"\x01", b"a\x00": None, b"c\x00": bytes(300)}
    detail = Detail.decode(detail_of(receipt(), changes).raw)
    assert detail.entry == (receipt().digest, writes_digest(changes))
    assert detail.is_true_to_itself
    assert detail.writes is not None
    assert [write.value for write in detail.writes] == [None, b"\x01", None]
    assert writes_digest(changes) != writes_digest(changes | {b"a\x00": b""})
    unordered = Detail(receipt(), tuple(reversed(detail.writes)))
    twice = Detail(receipt(), (*detail.writes, detail.writes[-1]))
    other = Detail(receipt(), (Write(b"a", sha256(b"1"), b"2"),))
    deleted = Detail(receipt(), (Write(b"a", None, b"2"),))
    assert not any(one.is_true_to_itself for one in (unordered, twice, other, deleted))


def test_only_what_is_left_different_taints() -> None:
    one = detail_of(receipt(), {b"same": b"1", b"other": b"1", b"gone": None})
    two = detail_of(receipt(), {b"same": b"1", b"other": b"2", b"more": b"1"})
    assert tainted_keys([one, two], all_known=True) == {b"other", b"more", b"gone"}
    assert tainted_keys([one], all_known=False) == {b"same", b"other", b"gone"}
    assert tainted_keys([], all_known=False) == set()


def test_reads_and_scans_are_remembered_over_what_ran_before() -> None:
    one = OneChain()
    before = standing_before(one.chain.state, [{b"k1": b"1"}], [{b"k2": b"2"}, {b"k1": None}])
    reading = Reading(before)
    assert (reading.get(b"k1"), reading.get(b"k2")) == (None, b"2")
    assert list(reading.scan(b"k0", b"k9")) == [(b"k2", b"2")]
    assert reading.touches({b"k1"}) and reading.touches({b"k5"})
    assert not reading.touches({b"k9", b"j"}) and not reading.touches(set())
    reading.everything = True
    assert reading.touches(set())


# --- keeping and telling -----------------------------------------------------------------------


def made(one: OneChain, *, votes: bool = True) -> tuple[Exchange, FixedClock]:
    clock = FixedClock()
    roster = Roster()
    roster.update(one.chain.members, one.chain.validators)
    signer = None
    if votes:
        seed = seed_of("v0 consensus")
        log = VoteLog.create(MemoryFile(), consensus_key("v0"), 0, one.document.chain_id)
        signer = Signer(seed, one.document.chain_id, log, None)  # type: ignore[arg-type]
    network: Any = VirtualNetwork(random.Random(1))
    told = Exchange(one.chain, network, roster, clock, Metrics(), lambda: signer)
    return told, clock


async def executed(one: OneChain, count: int = 3) -> Outcome:
    return await one.execute([one.transaction() for _ in range(count)])


async def refused(told: Exchange, payload: object, peer: bytes = b"p") -> str:
    try:
        await told.answer_outcomes(peer, encode(payload))
    except HansaError as error:
        return error.code
    return ""


async def test_a_list_and_what_stands_behind_it() -> None:
    one = OneChain()
    told, _ = made(one)
    outcome = await executed(one)
    told.keep(outcome)
    digest = outcome.content.digest
    found = Outcomes.decode(await told.answer_outcomes(b"p", encode([1, digest])))
    assert found.signature_valid(one.document.chain_id)
    assert not found.signature_valid(sha256(b"another chain"))
    assert (found.sender, found.content_hash) == (consensus_key("v0"), digest)
    assert found.block_hash == outcome.block.hash
    assert len(found.entries) == 3
    for index in range(3):
        detail = Detail.decode(told.answer_writes(encode([1, digest, index])))
        assert detail.receipt == outcome.receipts[index]
        assert detail.entry == found.entries[index]
        assert detail.writes


async def test_of_a_block_committed_long_ago_receipts_are_left() -> None:
    one = OneChain()
    told, _ = made(one)
    sealed = await one.block([one.transaction() for _ in range(3)])
    digest = sealed.block.content.digest
    recorded = one.chain.blocks.recorded(1)
    assert recorded is not None
    found = Outcomes.decode(await told.answer_outcomes(b"p", encode([1, digest])))
    assert found.signature_valid(one.document.chain_id) and not found.has_writes
    assert found.receipts == tuple(receipt.digest for receipt in recorded.receipts)
    detail = Detail.decode(told.answer_writes(encode([1, digest, 2])))
    assert detail == Detail(recorded.receipts[2], None)
    assert detail.entry == found.entries[2] and detail.is_true_to_itself
    for height, content in ((1, sha256(b"other")), (2, digest), (0, digest), (-1, digest)):
        assert await refused(told, [height, content]) == "OUTCOME_UNKNOWN"


def test_where_some_list_has_no_writes_receipts_are_compared() -> None:
    one = OneChain()
    own = listed(one, [(0, 0), (1, 1), (2, 2)])
    old = dataclasses.replace(listed(one, [(0, 5), (1, 5), (7, 5)]), writes=())
    (found,) = differences({b"a": own, b"b": old}, 3)
    assert (found.index, found.dissent) == (2, 1)
    assert {entry for entry, _ in found.holders} == {(own.receipts[2], b""), (old.receipts[2], b"")}


async def test_what_is_asked_wrongly_or_unknown() -> None:
    one = OneChain()
    told, _ = made(one)
    outcome = await executed(one, 1)
    told.keep(outcome)
    digest = outcome.content.digest
    for nonsense in (None, [], digest, [digest], [digest, 1], [7, 7], {"a": digest}):
        assert await refused(told, nonsense) == "MESSAGE_MALFORMED"
        with pytest.raises(PeerFault):
            told.answer_writes(encode(nonsense))
    with pytest.raises(PeerFault):
        await told.answer_outcomes(b"p", b"\xc1")
    assert await refused(told, [1, sha256(b"other")]) == "OUTCOME_UNKNOWN"
    for index in (-1, 1, 2**63):
        with pytest.raises(HansaError, match="OUTCOME_UNKNOWN"):
            told.answer_writes(encode([1, digest, index]))
    silent, _ = made(one, votes=False)
    silent.keep(outcome)
    assert await refused(silent, [1, digest]) == "OUTCOME_UNKNOWN"
    changes: dict[bytes, bytes | None] = {
        b"key %d" % number: b"" for number in range(WRITES_MAX + 1)
    }
    told.keep(dataclasses.replace(outcome, write_sets=(changes,)))
    with pytest.raises(HansaError, match="OUTCOME_UNKNOWN"):
        told.answer_writes(encode([1, digest, 0]))


async def test_a_peer_has_one_list_after_the_other_made() -> None:
    one = OneChain()
    told, clock = made(one)
    outcomes = [await executed(one, 1) for _ in range(3)]
    for outcome in outcomes:
        told.keep(outcome)
    first, second, third = ([1, outcome.content.digest] for outcome in outcomes)
    assert await refused(told, first) == ""
    assert await refused(told, second) == "OUTCOME_UNKNOWN"
    assert await refused(told, second, b"q") == ""
    assert await refused(told, second) == "", "made already"
    assert await refused(told, third) == "OUTCOME_UNKNOWN"
    clock.now_ms += exchange.LIST_AGAIN_MS
    assert await refused(told, third) == ""


async def test_the_newest_outcomes_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exchange, "KEPT_MAX", 3)
    monkeypatch.setattr(exchange, "KEPT_RECEIPTS_MAX", 6)
    one = OneChain()
    told, _ = made(one)

    async def keep(count: int) -> bytes:
        outcome = await executed(one, count)
        told.keep(outcome)
        return outcome.content.digest

    def kept() -> list[bool]:
        return [told.kept(digest) is not None for digest in digests]

    digests = [await keep(1) for _ in range(4)]
    assert kept() == [False, True, True, True]
    digests.append(await keep(5))
    assert kept() == [False, False, False, True, True]
    digests.append(await keep(9))
    assert kept() == [False, False, False, False, False, True], "one always"
    digests.append(await keep(1))
    assert kept()[-2:] == [False, True]


def test_the_request_kinds_differ() -> None:
    kinds = [frames.BLOCKS, frames.BODIES, frames.SEEN, frames.OUTCOMES, frames.WRITES]
    assert len(set(kinds)) == len(kinds)


# --- the report --------------------------------------------------------------------------------


async def test_a_report_without_a_differing_transaction_names_the_header_s_fields() -> None:
    """So it is when the state before the block was another one on some disk."""
    one = OneChain()
    outcome = await executed(one)
    own = listed(one, [(0, 0)])
    other = dataclasses.replace(
        own,
        header=dataclasses.replace(own.header, state_root=sha256(b"other")),
        sender=consensus_key("v1"),
    )
    names = {consensus_key(f"v{index}"): f"v{index}" for index in range(4)}
    case = Case(
        "diverged",
        one.document.chain_id,
        outcome.content,
        outcome.transactions,
        own.sender,
        names,
    )
    findings = Findings({own.sender: own, other.sender: other}, [], {}, certified=other.block_hash)
    report = json.loads(json.dumps(report_of(case, findings)))
    assert report["first"] is None
    assert report["no_list_of"] == ["v2", "v3"]
    assert sentence_of(report).endswith("the headers differ in state_root")
    problem = report_of(case, dataclasses.replace(findings, problem="TX_EXPIRED: too late"))
    assert sentence_of(problem) == "this node refuses what a quorum certified: TX_EXPIRED: too late"


async def test_what_ran_by_itself_is_named_by_its_receipt() -> None:
    one = OneChain()
    outcome = await executed(one, 1)
    alike = detail_of(outcome.receipts[0], outcome.write_sets[0])
    details = [
        detail_of(receipt(result=["alarm", "ring"], steps_used=steps), {}) for steps in (1, 2)
    ]
    own = listed(one, [(0, 0)])
    lists = {
        name: dataclasses.replace(
            own,
            receipts=(alike.entry[0], detail.entry[0]),
            writes=(alike.entry[1], detail.entry[1]),
            sender=name,
        )
        for name, detail in zip((b"a" * 32, b"b" * 32), details, strict=True)
    }
    case = Case("split", bytes(32), outcome.content, outcome.transactions, b"a" * 32, {})
    by_entry = {detail.entry: detail for detail in details}
    report = report_of(case, Findings(lists, differences(lists, 1), by_entry))
    assert (report["first"]["calls"], report["first"]["contracts"]) == (["alarm.ring"], ["alarm"])
    assert sentence_of(report) == (
        "a due call or activation (alarm.ring) is the first that validators disagree on:"
        " its receipts differ in steps_used"
    )


async def test_a_key_s_hashed_parts_are_shown_as_the_arguments_that_they_are() -> None:
    one = OneChain()
    outcome = await executed(one, 1)
    argument = outcome.transactions[0].body.calls[0].args["key"]
    keys = [
        encode_key("identity", "a", (digest_part(b"unknown"), 5, "text", (1, "x"))),
        encode_key("identity", "b", (digest_part(argument),)),
        b"no key at all",
    ]
    shown = []
    for key in keys:
        details = [
            detail_of(outcome.receipts[0], {key: value}) for value in (encode([b"\x01", 7]), None)
        ]
        own = listed(one, [(0, 0)])
        lists = {
            name: dataclasses.replace(
                own, receipts=(detail.entry[0],), writes=(detail.entry[1],), sender=name
            )
            for name, detail in zip((b"a" * 32, b"b" * 32), details, strict=True)
        }
        case = Case(
            "split", bytes(32), outcome.content, outcome.transactions, b"a" * 32, {b"b" * 32: "v1"}
        )
        by_entry = {detail.entry: detail for detail in details}
        first = report_of(case, Findings(lists, differences(lists, 1), by_entry))["first"]
        assert first["receipt_differs"] == []
        values = {one["validators"][0]: (one["value"], one["written"]) for one in first["results"]}
        assert values == {"this node": ([{"hex": "01"}, 7], True), "v1": (None, True)}
        shown.append(first["key"]["parts"])
    digest = digest_part(b"unknown").value.hex()
    assert shown == [
        [{"sha256": digest}, 5, "text", [1, "x"]],
        [{"hex": argument.hex()}],
        [],
    ]


def test_a_folder_of_reports_keeps_the_newest(tmp_path: Path) -> None:
    folder = ReportFolder(tmp_path / "reports", files_max=3)
    for number in range(5):
        folder.write(f"report-{number}.json", b"%d" % number)
        os.utime(tmp_path / "reports" / f"report-{number}.json", ns=(number, number))
    folder.write("report-4.json", b"again")
    names = sorted(path.name for path in (tmp_path / "reports").iterdir())
    assert names == [f"report-{number}.json" for number in (2, 3, 4)]
    assert (tmp_path / "reports" / "report-4.json").read_bytes() == b"again"
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(LocalFault, match="REPORT_IO"):
        ReportFolder(tmp_path / "file").write("report.json", b"")


async def test_limits_of_a_block_fit_into_a_list() -> None:
    """The largest content and all that runs beside it."""
    one = OneChain()
    hashes = (sha256(b"x"),) * (CONTENT_TXS_MAX + 256)
    own = dataclasses.replace(listed(one, [(0, 0)]), receipts=hashes, writes=hashes)
    assert Outcomes.decode(own.raw) == own


_chain = functools.cache(OneChain)


@given(st.data())
def test_changed_bytes_are_refused_or_harmless(data: st.DataObject) -> None:
    """A peer may answer anything: what decodes can be compared and checked without an error."""
    one = _chain()
    changes: dict[bytes, bytes | None] = {b"a\x00": b"\x01", b"b\x00": None}
    whole = [listed(one, [(0, 0), (1, 1)]), detail_of(receipt(), changes)]
    value = data.draw(st.sampled_from(whole))
    raw = bytearray(value.raw)
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(raw) - 1))
        raw[at : at + data.draw(st.integers(0, 2))] = data.draw(st.binary(max_size=3))
    try:
        found = type(value).decode(bytes(raw))
    except CodecError:
        return
    if isinstance(found, Outcomes):
        assert len(found.entries) == len(found.receipts)
        differences({b"a": found, b"b": listed(one, [(0, 0)])}, 1)
        assert not found.signature_valid(one.document.chain_id)
    else:
        assert isinstance(found, Detail)
        true = detail_of(receipt(), changes)
        if found.is_true_to_itself and found.entry == true.entry:
            assert found.receipt == true.receipt
            shown = [(one.key, one.hash) for one in found.writes or ()]
            assert shown == [(one.key, one.hash) for one in true.writes or ()]
