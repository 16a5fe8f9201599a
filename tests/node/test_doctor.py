"""The doctor's judgement on vital signs as such: what the whole nodes of tests/sim/test_doctor.py
seldom come to, the order of findings, and several nodes' views beside each other."""

from __future__ import annotations

import json
import re
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from consensus.params import Params
from node.doctor.compare import View, compare, joined
from node.doctor.examine import diagnose, verdict
from node.doctor.findings import (
    DEGRADED,
    EXPLAINS,
    NOTICE,
    SEVERITIES,
    STOPPED,
    Finding,
    is_healthy,
    ordered,
)
from node.service import LocalService
from node.vitals import Agreement, Asking, Disk, Member, Vitals
from tests.sim.world import World, run_world

DOCS = Path(__file__).resolve().parents[2] / "docs"
PARAMS = Params(round_timeout_ms=1_000, empty_block_interval_ms=3_000)


def member(name: str, **changes: Any) -> Member:
    plain = Member(
        name=name,
        organisation=f"{name} Ltd",
        me=False,
        connected=True,
        link_ms=60_000,
        link_blocks=16,
        last_error="",
        address=f"{name}.example:1",
        height=100,
        heard_ms=1_000,
        heard_height=100,
        clock_ms=2,
        contradicted=False,
        dissent_height=None,
        fault="",
    )
    return replace(plain, **changes)


AGREEMENT = Agreement(
    height=101,
    round=0,
    proposer="v1",
    timer_ms=None,
    proposal=False,
    txs=0,
    late=False,
    execution="",
    prepares=(),
    commits=(),
    round_changes={},
    heard=(),
    lacks_block=False,
)
SOUND = Vitals(
    name="v0",
    network="test",
    chain_id="ab" * 32,
    version="1",
    wall_ms=1_790_000_000_000,
    up_ms=3_600_000,
    height=100,
    block_hash="cd" * 32,
    block_time_ms=1_790_000_000_000,
    since_block_ms=1_000,
    params=asdict(PARAMS),
    validators=4,
    quorum=3,
    witness=2,
    admitted=True,
    network_key="ef" * 32,
    me="v0",
    keys=1,
    key_in_force=True,
    votes=True,
    votes_from=None,
    memory_lost="",
    recovery=None,
    log_check=None,
    members=(member("v0", me=True), member("v1"), member("v2"), member("v3")),
    others_connected=0,
    others_missing=(),
    peers_refusing=(),
    highest_told=100,
    doubted=(),
    agreement=AGREEMENT,
    waiting_txs=0,
    waiting_bytes=0,
    mempool_full=False,
    oldest_ms=None,
    held_out=0,
    refused={},
    blocks=16,
    block_txs=100,
    failed_txs=0,
    lost_rounds={},
    contents_refused=(),
    divergences=(),
    block_clock_ms=-50,
    log_ms=1,
    store_ms=1,
    disk=Disk(10 << 30, 20 << 30),
    out_of_turn=(),
    changes_soon=(),
)
LATE = replace(SOUND, since_block_ms=30_000)
"""No block for half a minute, and nothing tells why yet."""
HEARD = replace(AGREEMENT, round=3, heard=("v0", "v1", "v2", "v3"), proposal=True)


def members(**changes: Any) -> tuple[Member, ...]:
    """The validators, one of them otherwise: v3={...}."""
    return tuple(replace(one, **changes.get(one.name, {})) for one in SOUND.members)


def late(**changes: Any) -> Vitals:
    return replace(LATE, agreement=replace(HEARD, **changes))


def test_nothing_is_wrong() -> None:
    assert diagnose(SOUND) == []
    said = verdict(SOUND, [])
    assert said.startswith("Nothing is wrong at v0: height 100, 1.0 s old; 4 of 4 validators")
    assert "no transaction waits, so a block comes every 3.0 s" in said
    assert "5 transactions wait" in verdict(replace(SOUND, waiting_txs=5), [])


CASES: list[tuple[str, Vitals, str, str, tuple[str, ...]]] = [
    ("late", late(late=True, execution="done", prepares=(("aa", ("v1",)),)), "PROPOSAL_LATE",
     STOPPED, ("more than 5000 ms", "2 PREPAREs", "1 came")),
    ("executes", late(execution="running", txs=7), "EXECUTION_WAITS", STOPPED, ("7 transactions",)),
    ("prepares", late(execution="done", prepares=(("aa", ("v0", "v1")),)), "VOTES_WAIT", STOPPED,
     ("1 more of the 3 PREPAREs", "missing: v2, v3", "rule 2")),
    ("proposal", late(proposal=False, round=0, proposer="v2"), "VOTES_WAIT", STOPPED,
     ("the PROPOSAL of v2", "rule 1")),
    ("changes", late(proposal=False, round_changes={"v0": 3, "v1": 2}), "VOTES_WAIT", STOPPED,
     ("2 more of the 3 ROUND-CHANGEs", "missing: v1, v2, v3", "rule 6")),
    ("no block", late(lacks_block=True), "BLOCK_MISSING", STOPPED, ("decided",)),
    ("refused", replace(late(execution="refused"), contents_refused=("too many steps",)),
     "PROPOSAL_REFUSED", STOPPED, ("too many steps",)),
    ("looks on", replace(LATE, me="", keys=0, votes=False), "CHAIN_STALLED", STOPPED,
     ("No block for 30 s", "27 s ago", "at a validator")),
    ("held out", replace(SOUND, held_out=2), "TXS_HELD_OUT", DEGRADED, ("2 waiting", "one build")),
    ("waits", replace(SOUND, waiting_txs=3, oldest_ms=20_000), "TXS_WAIT", DEGRADED,
     ("3 transactions", "20 s", "16 blocks")),
    ("fails", replace(SOUND, failed_txs=99), "TXS_FAIL", NOTICE, ("99 of the 100",)),
    ("soon", replace(SOUND, changes_soon=(7,)), "CHANGE_SOON", NOTICE, ("7", "governance show")),
    ("at fault", replace(SOUND, members=members(v3={"fault": "BAD: x"})), "PEER_AT_FAULT",
     DEGRADED, ("v3 (v3 Ltd)", "BAD: x")),
    ("other version", replace(SOUND, peers_refusing=(("v3", "refused the peer: version 2"),)),
     "PEER_REFUSED", DEGRADED, ("v3", "version 2")),
    ("one other chain", replace(SOUND, peers_refusing=(("f0", "another genesis: x"),)),
     "PEER_CHAIN_DIFFERS", DEGRADED, ("f0", "genesis")),
    ("two clocks", replace(SOUND, members=members(
        v1={"clock_ms": 6_000}, v2={"clock_ms": None}, v3={"clock_ms": None})),
     "PEER_CLOCK_WRONG", DEGRADED, ("v1's clock is 6.0 s ahead of", "can't be told")),
    ("clock of a full node", replace(SOUND, me="", keys=0, block_clock_ms=9_000), "CLOCK_WRONG",
     DEGRADED, ("9.0 s ahead of this machine's",)),
    ("compares its log", replace(SOUND, votes=False, log_check=Asking(2, ("v3",))),
     "LOG_CHECK_WAITS", DEGRADED, ("1 of the 2 answers", "(v3)", "does not vote yet")),
    ("waits for answers", replace(SOUND, votes=False, memory_lost="VOTE_LOG_CORRUPT: x",
                                  recovery=Asking(2, ("v1",))),
     "ANSWERS_WAIT", DEGRADED, ("1 of the 2 answers", "(v1)", "Never copy")),
]  # fmt: skip


@pytest.mark.parametrize(
    ("vitals", "code", "severity", "words"), [one[1:] for one in CASES], ids=[c[0] for c in CASES]
)
def test_one_trouble_is_one_finding(
    vitals: Vitals, code: str, severity: str, words: tuple[str, ...]
) -> None:
    (found,) = diagnose(vitals)
    assert (found.code, found.severity) == (code, severity), found
    for word in words:
        assert word in f"{found.text} {found.action} {found.rule}", found
    assert ("Nothing is wrong" in verdict(vitals, [found])) == (severity == NOTICE)


def test_whatever_stalls_is_never_called_health() -> None:
    """A late block with nothing else known of it gives a finding, in every state of a height."""
    for proposal in (False, True):
        for execution in ("", "running", "refused", "done"):
            for is_late in (False, True):
                vitals = late(proposal=proposal, execution=execution, late=is_late)
                found = diagnose(vitals)
                assert found and found[0].severity == STOPPED
    assert diagnose(replace(LATE, agreement=None))[0].code == "CHAIN_STALLED"


def test_a_clock_that_seems_wrong_by_less_than_half_the_allowance_is_left_alone() -> None:
    assert diagnose(replace(SOUND, members=members(v3={"clock_ms": 2_400}))) == []
    (found,) = diagnose(replace(SOUND, members=members(v3={"clock_ms": 2_600})))
    assert found.code == "PEER_CLOCK_WRONG" and "refused once" in found.text


def test_what_is_missing_is_not_told_twice() -> None:
    vitals = replace(
        SOUND,
        members=members(v3={"connected": False}),
        lost_rounds={"v3": 3},
        out_of_turn=("v3",),
    )
    assert [one.code for one in diagnose(vitals)] == ["VALIDATORS_MISSING"]
    others = replace(vitals, lost_rounds={"v2": 3}, out_of_turn=("v2",))
    assert [one.code for one in diagnose(others)] == ["VALIDATORS_MISSING", "ROUNDS_LOST"]


def test_every_code_stands_in_the_table_and_causes_come_before_what_they_explain() -> None:
    order = list(EXPLAINS)
    for code, explained in EXPLAINS.items():
        assert set(explained) <= set(order)
        for one in explained:
            assert order.index(code) < order.index(one), (code, one)
    found = [Finding(code, severity, "", "", ("x",)) for code in order for severity in SEVERITIES]
    kept = ordered(found)
    assert [one.severity for one in kept] == sorted(
        (one.severity for one in kept), key=SEVERITIES.index
    )
    assert is_healthy([]) and not is_healthy(found)


def test_the_operators_page_has_all_findings_and_no_other() -> None:
    text = (DOCS / "operations.md").read_text()
    section = text.split("## When the chain does not advance")[1].split("\n## ")[0]
    rows = [line.split("|")[1] for line in section.splitlines() if line.startswith("| `")]
    documented = [code for cell in rows for code in re.findall(r"`([A-Z_]+)`", cell)]
    assert len(documented) == len(set(documented))
    assert set(documented) == set(EXPLAINS)


# --- several nodes -------------------------------------------------------------------------------


def view(name: str, clock_ms: int = 0, **changes: Any) -> View:
    vitals = replace(SOUND, name=name, me=name, **changes).to_json()
    vitals["members"] = [dict(one, me=one["name"] == name) for one in vitals["members"]]
    return View(vitals, clock_ms)


def seeing(name: str, *names: str) -> View:
    """Whom a node is connected with."""
    members_ = tuple(
        replace(one, connected=one.name in names, me=one.name == name) for one in SOUND.members
    )
    return view(name, members=members_)


def test_equal_views_find_nothing() -> None:
    assert compare([view("v0"), view("v1"), view("v2", height=99, block_hash="00")]) == []
    assert compare([view("v0")]) == []


def test_other_chains_and_a_fork() -> None:
    (found,) = compare([view("v0"), view("v1", chain_id="00" * 32)])
    assert found.code == "CHAINS_DIFFER" and "v0: abab" in found.text
    alone = seeing("v3")
    apart = View(dict(alone.vitals, chain_id="00" * 32), 0)
    (found,) = compare([view("v0"), view("v1"), view("v2"), apart])
    assert found.code == "CHAINS_DIFFER", "and no cut network"
    (found,) = compare([view("v0"), view("v1"), view("v2", block_hash="00" * 32)])
    assert (found.code, found.severity) == ("BLOCKS_DIFFER", STOPPED)
    assert "at height 100" in found.text and "Keep every folder" in found.action


def test_a_cut_network_explains_the_missing_quorum() -> None:
    views = [
        seeing("v0", "v1"),
        seeing("v1", "v0"),
        seeing("v2", "v3"),
        seeing("v3", "v2"),
    ]
    (found,) = compare(views)
    assert (found.code, found.severity) == ("NETWORK_SPLIT", STOPPED)
    assert "v0 and v1 | v2 and v3" in found.text and "needs 3" in found.text
    missing = Finding("QUORUM_MISSING", STOPPED, "", "", ("v2", "v3"))
    (seen,) = joined([("v0", [missing]), ("v1", [missing])], views)
    assert seen.finding == found
    (seen,) = joined([("v0", [missing]), ("v1", [missing])], views[:1])
    assert (seen.finding, seen.at) == (missing, ("v0", "v1"))
    most = [seeing("v0", "v1", "v2"), seeing("v1", "v0", "v2"), seeing("v2", "v0"), seeing("v3")]
    (found,) = compare(most)
    assert found.severity == DEGRADED and "| v3" in found.text


def test_clocks_against_the_asking_machine() -> None:
    (found,) = compare([view("v0", 10), view("v1", -4_000)])
    assert found.code == "CLOCKS_APART" and "v1 is 4.0 s behind it" in found.text
    assert "own clock" not in found.text
    (found,) = compare([view("v0", 60_000), view("v1", 60_010)])
    assert "this machine's own clock may be the wrong one" in found.text


# --- as a node tells it --------------------------------------------------------------------------


def test_a_running_node_tells_json() -> None:
    async def scenario(world: World) -> None:
        world.start_all()
        await world.reach(2, list(world.machines))
        machine = world.machines["v1"]
        told = LocalService(machine.running, machine.network_key, "", Path("/")).doctor()
        assert set(told) == {"verdict", "findings", "vitals"}
        again = json.loads(json.dumps(told))
        assert again["vitals"]["name"] == "v1" and again["vitals"]["disk"]["free_bytes"] > 0
        assert len(again["vitals"]["members"]) == 4
        nowhere = LocalService(machine.running, machine.network_key, "", Path("/nowhere/at/all"))
        assert nowhere.doctor()["vitals"]["disk"] is None

    run_world(1, scenario, PARAMS)
