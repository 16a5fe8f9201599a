"""Governance: proposals, votes, thresholds, deadlines, and every kind of change."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from consensus.evidence import TAGS, Evidence
from consensus.params import Params
from consensus.primitives.codec import encode
from consensus.primitives.crypto import public_key, sha256
from consensus.primitives.errors import InputError
from consensus.transaction import Call
from consensus.validators import Thresholds
from contracts.runtime import system
from contracts.runtime.executor import BlockContext
from contracts.runtime.package import Package, package_of
from contracts.runtime.registry import Registry, builtin_packages
from contracts.system.changes import BOUNDS, VALIDATORS_MAX, is_address
from contracts.system.voting import EXPIRY_MS, FAULTS, quorum
from genesis.document import address_mistake
from p2p.ports import parse_address
from tests.contracts.ledger import (
    CHAIN,
    CONSORTIUM,
    MAKER,
    REGULATOR,
    Ledger,
    consortium,
    gln,
    seed_of,
)

BUILTIN = Registry.of(builtin_packages())  # loaded once for all tests
ELECTORS = [gln(number) for number in range(20, 30)]
FIRST, SECOND, THIRD, FOURTH = ELECTORS[:4]
NEW_KEY = public_key(b"consensus of the new one".ljust(32))
NEW_NODE = public_key(b"network of the new one".ljust(32))


def network_key(name: str) -> bytes:
    return public_key(sha256(b"network " + name.encode()))


def consensus_key(name: str) -> bytes:
    return public_key(sha256(b"consensus " + name.encode()))


def founding(owners: list[str], fault_model: str = "byzantine") -> dict[str, dict[str, Any]]:
    """Genesis arguments: a validator v0, v1, ... of each owner, and a full node of the maker."""
    args = consortium()
    args["identity"]["organisations"] += [
        {
            "id": owner,
            "name": f"Elector {owner}",
            "roles": ["wholesaler"],
            "admin_key": public_key(seed_of(owner)),
        }
        for owner in sorted(set(owners))
    ]
    names = [f"v{number}" for number in range(len(owners))]
    nodes = [
        {
            "network_key": network_key(name),
            "name": name,
            "organisation": owner,
            "kind": "validator",
            "consensus_key": consensus_key(name),
            "addresses": [f"{name}.example.org:7640"],
        }
        for name, owner in zip(names, owners, strict=True)
    ]
    nodes.append(
        {
            "network_key": network_key("full"),
            "name": "full",
            "organisation": MAKER,
            "kind": "full",
            "consensus_key": b"",
            "addresses": ["full.example.org:7640"],
        }
    )
    params = Params(fault_model=fault_model)
    args["governance"] = {
        "validators": [
            {"name": name, "key": consensus_key(name), "organisation": owner}
            for name, owner in zip(names, owners, strict=True)
        ],
        "nodes": nodes,
        "params": dataclasses.asdict(params),
    }
    return args


def as_argument(package: Package) -> dict[str, Any]:
    """A package as the genesis method takes it."""
    files = [{"path": file.path, "text": file.text} for file in package.files]
    about = {"name": package.name, "version": package.version, "runtime": package.runtime}
    return {**about, "files": files}


class Council(Ledger):
    """A ledger with shorthands for votes."""

    def __init__(self, owners: list[str], fault_model: str = "byzantine", *more: Package) -> None:
        args = founding(owners, fault_model)
        packages = (*BUILTIN.packages, *more)
        args["governance"]["packages"] = [as_argument(package) for package in packages]
        super().__init__(BUILTIN.with_packages(packages), args)
        self.owners = owners

    evidence: tuple[Evidence, ...] = ()  # that the next blocks hold

    def block_context(self) -> BlockContext:
        return dataclasses.replace(super().block_context(), evidence=self.evidence)

    def propose(self, method: str, /, **args: Any) -> int:
        """The number of a proposal by the first owner."""
        receipt = self.ok(self.owners[0], f"propose_{method}", "governance", **args)
        number: int = receipt.result[0]
        return number

    def vote(self, organisation: str, proposal: int, yes: bool = True) -> str:
        """The proposal's status afterwards, or the refusal's code."""
        receipt = self.send(organisation, "vote", "governance", proposal=proposal, yes=yes)
        answer: str = receipt.result[0] if receipt.code == "OK" else receipt.code
        return answer

    def decide(self, proposal: int) -> None:
        """Yes from one organisation after the other until it is accepted."""
        for owner in dict.fromkeys(self.owners):
            if self.vote(owner, proposal) == "ACCEPTED":
                return
        raise AssertionError(self.shown(proposal))

    def pass_blocks(self, count: int = 1) -> None:
        for _ in range(count):
            self.block()

    def shown(self, proposal: int) -> dict[str, Any]:
        found: dict[str, Any] = self.query("proposal", "governance", proposal=proposal)
        return found

    def ask(self, method: str, **args: Any) -> Any:
        return self.query(method, "governance", **args)

    def names(self) -> list[str]:
        return [one["name"] for one in self.ask("validator_list")]


@pytest.fixture
def council() -> Council:
    """Four validators of four organisations."""
    return Council(ELECTORS[:4])


SOON = {"min_block_interval_ms": 200}


# --- who ------------------------------------------------------------------------------------


def test_what_was_sealed_is_what_governance_shows(council: Council) -> None:
    assert council.names() == ["v0", "v1", "v2", "v3"]
    kinds = {one["name"]: one["kind"] for one in council.ask("node_list")}
    assert kinds == {**dict.fromkeys(council.names(), "validator"), "full": "full"}
    assert council.ask("params_now") == dataclasses.asdict(Params())
    assert council.ask("proposal_list") == []
    # The node reads the same out of the state.
    assert [one.name for one in system.read_validators(council.state).members] == council.names()
    assert system.read_params(council.state) == Params()
    assert {node.name for node in system.read_nodes(council.state)} == set(kinds)


def test_only_administrators_of_organisations_with_a_validator_propose_and_vote(
    council: Council,
) -> None:
    for stranger in (CONSORTIUM, MAKER, REGULATOR):
        council.refused("NOT_AUTHORISED", stranger, "propose_params", "governance", changes=SOON)
    proposal = council.propose("params", changes=SOON)
    for stranger in (CONSORTIUM, MAKER, REGULATOR):
        assert council.vote(stranger, proposal) == "NOT_AUTHORISED"
    seed = b"u" * 32
    user = {"key": public_key(seed), "label": "desk", "roles": ["corporate_user"]}
    council.ok(SECOND, "add_key", "identity", **user)
    vote = Call("governance", "vote", {"proposal": proposal, "yes": True})
    assert council.block(council.tx(seed, vote))[0].code == "NOT_AUTHORISED"
    assert council.shown(proposal)["voters"] == []


def test_no_single_member_of_the_consortium_silences_who_votes(council: Council) -> None:
    suspend = {"id": FIRST, "status": "SUSPENDED"}
    council.refused(
        "ORGANISATION_VOTES", CONSORTIUM, "set_organisation_status", "identity", **suspend
    )
    council.ok(CONSORTIUM, "set_organisation_status", "identity", **suspend | {"id": MAKER})
    council.ok(REGULATOR, "set_organisation_status", "identity", **suspend)
    council.ok(CONSORTIUM, "set_organisation_status", "identity", id=FIRST, status="ACTIVE")


def test_no_contract_on_the_way_votes_in_a_person_s_name() -> None:
    trap = """
from contracts.sdk import Contract, call

class Trap(Contract):
    name = "trap"

    @call
    def spring(self, method: str) -> None:
        if method == "vote":
            self.invoke("governance", "vote", proposal=1, yes=True)
        self.invoke("governance", method, proposal=1)
"""
    council = Council(ELECTORS[:4], "byzantine", package_of([("trap.py", trap)]))
    council.propose("params", changes=SOON)
    for method in ("vote", "withdraw"):
        council.refused("ONLY_DIRECT", FIRST, "spring", "trap", method=method)


def test_nobody_calls_what_the_runtime_calls(council: Council) -> None:
    proposal = council.propose("params", changes=SOON)
    council.decide(proposal)
    for method in ("activate", "failed"):
        receipt = council.send(FIRST, method, "governance", proposal=proposal)
        assert receipt.code == "UNKNOWN_METHOD"


# --- votes and thresholds --------------------------------------------------------------------


@pytest.mark.parametrize("fault_model", ["byzantine", "crash"])
@pytest.mark.parametrize("n", range(4, 10))
def test_a_quorum_of_n_validators_decides_and_not_one_less(n: int, fault_model: str) -> None:
    needed = Thresholds(n, fault_model).quorum
    assert quorum(n, fault_model) == needed
    council = Council(ELECTORS[:n], fault_model)
    proposal = council.propose("params", changes=SOON)
    for owner in ELECTORS[: needed - 1]:
        assert council.vote(owner, proposal) == "OPEN"
    assert council.shown(proposal)["yes"] == needed - 1
    assert council.vote(ELECTORS[needed - 1], proposal) == "ACCEPTED"


@pytest.mark.parametrize("fault_model", ["byzantine", "crash"])
@pytest.mark.parametrize("n", range(4, 10))
def test_it_is_rejected_as_soon_as_no_quorum_can_say_yes(n: int, fault_model: str) -> None:
    council = Council(ELECTORS[:n], fault_model)
    proposal = council.propose("params", changes=SOON)
    against = n - Thresholds(n, fault_model).quorum
    for owner in ELECTORS[:against]:
        assert council.vote(owner, proposal, False) == "OPEN"
    assert council.vote(ELECTORS[against], proposal, False) == "REJECTED"
    assert council.vote(ELECTORS[against + 1], proposal) == "PROPOSAL_CLOSED"
    assert council.shown(proposal)["no"] == against + 1


def test_an_organisation_s_vote_counts_for_each_of_its_validators() -> None:
    council = Council([FIRST, FIRST, FIRST, SECOND, THIRD])  # quorum 4
    proposal = council.propose("params", changes=SOON)
    assert council.vote(FIRST, proposal) == "OPEN"
    assert council.shown(proposal)["yes"] == 3
    assert council.vote(THIRD, proposal) == "ACCEPTED"


def test_nobody_votes_twice_or_changes_a_vote_not_with_another_key_either(
    council: Council,
) -> None:
    proposal = council.propose("params", changes=SOON)
    council.vote(FIRST, proposal)
    for yes in (True, False):
        assert council.vote(FIRST, proposal, yes) == "ALREADY_VOTED"
    seed = b"s" * 32
    second = {"key": public_key(seed), "label": "desk", "roles": ["corporate_admin"]}
    council.ok(FIRST, "add_key", "identity", **second)
    vote = Call("governance", "vote", {"proposal": proposal, "yes": True})
    assert council.block(council.tx(seed, vote))[0].code == "ALREADY_VOTED"
    assert council.shown(proposal)["yes"] == 1
    # Twice in one transaction fails as a whole.
    twice = council.block(council.tx(seed_of(SECOND), vote, vote))[0]
    assert twice.code == "ALREADY_VOTED"
    assert council.shown(proposal)["voters"] == [FIRST]


def test_votes_of_one_block_are_counted_one_after_the_other(council: Council) -> None:
    proposal = council.propose("params", changes=SOON)
    vote = Call("governance", "vote", {"proposal": proposal, "yes": True})
    receipts = council.block(*[council.tx(seed_of(owner), vote) for owner in ELECTORS[:4]])
    assert [receipt.code for receipt in receipts] == ["OK", "OK", "OK", "PROPOSAL_CLOSED"]
    assert [receipt.result for receipt in receipts[:3]] == [["OPEN"], ["OPEN"], ["ACCEPTED"]]


def test_who_proposes_has_not_voted_yet(council: Council) -> None:
    proposal = council.propose("params", changes=SOON)
    assert (council.shown(proposal)["yes"], council.shown(proposal)["voters"]) == (0, [])


def test_there_is_nothing_to_vote_on(council: Council) -> None:
    assert council.vote(FIRST, 1) == "UNKNOWN_PROPOSAL"
    assert council.query("proposal", "governance", proposal=1) is None
    proposal = council.propose("params", changes=SOON)
    council.decide(proposal)
    assert council.vote(FOURTH, proposal) == "PROPOSAL_CLOSED"


# --- deadline and withdrawal -----------------------------------------------------------------


def test_a_vote_counts_until_block_time_has_passed_the_deadline(council: Council) -> None:
    proposal = council.propose("params", changes=SOON)
    deadline = council.shown(proposal)["expires_ms"]
    assert deadline == council.time_ms + EXPIRY_MS
    council.time_ms = deadline - 2_000
    assert council.vote(FIRST, proposal) == "OPEN"
    assert council.vote(SECOND, proposal) == "OPEN"
    assert council.time_ms == deadline
    assert council.vote(THIRD, proposal) == "PROPOSAL_CLOSED"
    found = council.shown(proposal)
    assert (found["status"], found["yes"]) == ("EXPIRED", 2)
    council.refused("PROPOSAL_CLOSED", FIRST, "withdraw", "governance", proposal=proposal)


@pytest.mark.parametrize("ahead_ms", [-1, 0, 1_000, 367 * 86_400_000])
def test_a_deadline_lies_ahead_and_within_a_year(council: Council, ahead_ms: int) -> None:
    # The proposal's own block is 1,000 ms later.
    args = {"changes": SOON, "expires_ms": council.time_ms + ahead_ms}
    council.refused("BAD_DEADLINE", FIRST, "propose_params", "governance", **args)


def test_a_proposal_may_name_its_deadline(council: Council) -> None:
    until = council.time_ms + 3_000
    proposal = council.propose("params", changes=SOON, expires_ms=until)
    assert council.shown(proposal)["expires_ms"] == until
    council.pass_blocks(3)
    assert council.shown(proposal)["status"] == "EXPIRED"


def test_only_the_proposer_withdraws_and_only_what_is_open(council: Council) -> None:
    proposal = council.propose("params", changes=SOON)
    council.refused("NOT_OWN_PROPOSAL", SECOND, "withdraw", "governance", proposal=proposal)
    council.ok(FIRST, "withdraw", "governance", proposal=proposal)
    assert council.shown(proposal)["status"] == "WITHDRAWN"
    assert council.vote(SECOND, proposal) == "PROPOSAL_CLOSED"
    other = council.propose("params", changes=SOON, height=50)
    council.decide(other)
    council.refused("PROPOSAL_CLOSED", FIRST, "withdraw", "governance", proposal=other)


# --- votes and a changing set ----------------------------------------------------------------


def test_votes_of_removed_validators_do_not_count() -> None:
    council = Council(ELECTORS[:5])  # quorum 4
    proposal = council.propose("params", changes=SOON)
    for owner in (ELECTORS[4], FIRST, SECOND):
        assert council.vote(owner, proposal) == "OPEN"
    council.decide(council.propose("validator_remove", name="v4"))
    council.pass_blocks()
    found = council.shown(proposal)
    assert (found["yes"], found["validators"], found["quorum"]) == (2, 4, 3)
    assert council.vote(THIRD, proposal) == "ACCEPTED"  # with the third of those that are left
    assert council.vote(ELECTORS[4], council.propose("params", changes=SOON)) == "NOT_AUTHORISED"


def test_a_recount_decides_what_a_smaller_set_has_decided() -> None:
    council = Council(ELECTORS[:5])  # quorum 4, and 3 of the four that will be left
    proposal = council.propose("params", changes=SOON)
    for owner in (FIRST, SECOND, THIRD):
        assert council.vote(owner, proposal) == "OPEN"
    recount = {"proposal": proposal}
    assert council.ok(FOURTH, "recount", "governance", **recount).result == ["OPEN"]
    council.decide(council.propose("validator_remove", name="v4"))
    council.pass_blocks()
    council.refused("NOT_AUTHORISED", MAKER, "recount", "governance", **recount)
    assert council.ok(FOURTH, "recount", "governance", **recount).result == ["ACCEPTED"]


def test_an_organisation_that_became_a_validator_votes_on_open_proposals(
    council: Council,
) -> None:
    proposal = council.propose("params", changes=SOON)
    assert council.vote(MAKER, proposal) == "NOT_AUTHORISED"
    add_validator(council)
    council.pass_blocks()
    assert council.shown(proposal)["validators"] == 5
    assert council.vote(MAKER, proposal) == "OPEN"


# --- validators ------------------------------------------------------------------------------


def add_validator(council: Council, **changed: Any) -> int:
    args = {
        "name": "full",
        "consensus_key": NEW_KEY,
        "organisation": MAKER,
        "network_key": network_key("full"),
    }
    proposal = council.propose("validator_add", **(args | changed))
    council.decide(proposal)
    return proposal


def test_a_validator_is_named_one_block_after_the_decision_and_in_force_two_after(
    council: Council,
) -> None:
    proposal = add_validator(council)
    decided = council.height
    assert council.shown(proposal)["in_force"] == decided + 2
    assert council.names() == ["v0", "v1", "v2", "v3"]
    council.pass_blocks()
    # The state of block decided + 1 names the validators of the block after it.
    assert council.names() == ["v0", "v1", "v2", "v3", "full"]
    assert council.shown(proposal)["status"] == "ACTIVE"
    node = next(one for one in council.ask("node_list") if one["name"] == "full")
    assert (node["kind"], node["consensus_key"]) == ("validator", NEW_KEY)
    last = system.read_validators(council.state).members[-1]
    assert (last.name, last.key, last.organisation) == ("full", NEW_KEY, MAKER)


def test_a_change_waits_for_the_height_that_was_asked_for(council: Council) -> None:
    proposal = add_validator(council, height=20)
    assert council.shown(proposal)["in_force"] == 20
    council.pass_blocks(18 - council.height)
    assert "full" not in council.names()
    council.pass_blocks()
    assert council.height == 19
    assert "full" in council.names()


def test_a_height_that_the_vote_has_passed_becomes_the_next_possible(council: Council) -> None:
    proposal = council.propose("params", changes=SOON, height=council.height + 2)
    council.pass_blocks(5)
    council.decide(proposal)
    assert council.shown(proposal)["in_force"] == council.height + 2


@pytest.mark.parametrize("ahead", [0, 1, 1_000_002])
def test_a_height_lies_ahead_and_not_too_far(council: Council, ahead: int) -> None:
    council.pass_blocks()
    args = {"changes": SOON, "height": council.height + ahead}
    council.refused("HEIGHT_REFUSED", FIRST, "propose_params", "governance", **args)


def test_a_removed_validator_s_node_stays_as_a_full_node() -> None:
    council = Council(ELECTORS[:5])
    council.decide(council.propose("validator_remove", name="v1"))
    council.pass_blocks()
    assert council.names() == ["v0", "v2", "v3", "v4"]
    node = next(one for one in council.ask("node_list") if one["name"] == "v1")
    assert (node["kind"], node["consensus_key"]) == ("full", b"")


def test_a_rotated_validator_keeps_its_turn(council: Council) -> None:
    council.decide(council.propose("validator_rotate", name="v1", consensus_key=NEW_KEY))
    council.pass_blocks()
    assert council.names() == ["v0", "v1", "v2", "v3"]
    assert council.ask("validator_list")[1]["key"] == NEW_KEY
    node = next(one for one in council.ask("node_list") if one["name"] == "v1")
    assert node["consensus_key"] == NEW_KEY


def test_one_change_of_the_validators_is_pending_at_a_time(council: Council) -> None:
    first = council.propose("validator_rotate", name="v0", consensus_key=NEW_KEY, height=30)
    second = council.propose(
        "validator_rotate", name="v1", consensus_key=consensus_key("other"), height=0
    )
    council.decide(first)
    assert council.vote(FIRST, second) == "OPEN"
    assert council.vote(SECOND, second) == "OPEN"
    assert council.vote(THIRD, second) == "CHANGE_PENDING"
    assert council.shown(second)["voters"] == sorted([FIRST, SECOND])
    # What is no change of the validators goes on.
    council.decide(council.propose("params", changes=SOON))
    council.pass_blocks(28 - council.height)
    assert council.vote(THIRD, second) == "ACCEPTED"  # block 29 names the first as in force
    assert council.ask("validator_list")[0]["key"] == NEW_KEY
    assert council.shown(second)["in_force"] == 31


@pytest.mark.parametrize(("n", "fault_model"), [(4, "byzantine"), (3, "crash")])
def test_so_few_validators_are_left_that_none_may_go(n: int, fault_model: str) -> None:
    council = Council(ELECTORS[:n], fault_model)
    detail = council.refused(
        "TOO_FEW_VALIDATORS", FIRST, "propose_validator_remove", "governance", name="v1"
    )
    assert f"{n - 1} would be left" in detail


def test_three_are_enough_for_those_who_trust_each_other() -> None:
    council = Council(ELECTORS[:4], "crash")
    council.decide(council.propose("validator_remove", name="v1"))
    council.pass_blocks()
    assert council.names() == ["v0", "v2", "v3"]


def test_two_removals_that_were_each_possible_are_not_possible_together() -> None:
    council = Council(ELECTORS[:5])
    first, second = (council.propose("validator_remove", name=name) for name in ("v0", "v1"))
    council.decide(first)
    council.pass_blocks()
    for owner, status in ((SECOND, "OPEN"), (THIRD, "OPEN"), (FOURTH, "TOO_FEW_VALIDATORS")):
        assert council.vote(owner, second) == status


def test_validators_are_bounded() -> None:
    owners = [FIRST] * 30 + [SECOND] * (VALIDATORS_MAX - 30)
    council = Council(owners)
    args = {
        "name": "full", "consensus_key": NEW_KEY, "organisation": MAKER,
        "network_key": network_key("full"),
    }  # fmt: skip
    council.refused("TOO_MANY_VALIDATORS", FIRST, "propose_validator_add", "governance", **args)


@pytest.mark.parametrize(
    ("code", "change"),
    [
        ("UNKNOWN_NODE", {"network_key": NEW_NODE}),
        ("VALIDATOR_KNOWN", {"network_key": network_key("v0"), "name": "v0"}),
        ("NODE_DIFFERS", {"name": "other"}),
        ("NODE_DIFFERS", {"organisation": FIRST}),
        ("KEY_IN_USE", {"consensus_key": consensus_key("v2")}),
        ("KEY_IN_USE", {"consensus_key": network_key("v2")}),
        ("KEY_IN_USE", {"consensus_key": public_key(seed_of(MAKER))}),
        ("BAD_ARGUMENT", {"consensus_key": b"short"}),
        ("BAD_ARGUMENT", {"organisation": "nobody"}),
    ],
)
def test_who_cannot_become_a_validator(council: Council, code: str, change: dict[str, Any]) -> None:
    args = {
        "name": "full", "consensus_key": NEW_KEY, "organisation": MAKER,
        "network_key": network_key("full"),
    }  # fmt: skip
    council.refused(code, FIRST, "propose_validator_add", "governance", **(args | change))


def test_what_is_no_validator_is_neither_removed_nor_rotated(council: Council) -> None:
    rotate = {"name": "full", "consensus_key": NEW_KEY}
    council.refused("UNKNOWN_VALIDATOR", FIRST, "propose_validator_rotate", "governance", **rotate)
    five = Council(ELECTORS[:5])
    five.refused("UNKNOWN_VALIDATOR", FIRST, "propose_validator_remove", "governance", name="full")


# --- nodes -----------------------------------------------------------------------------------

NODE = {
    "network_key": NEW_NODE,
    "name": "new",
    "organisation": MAKER,
    "addresses": ["new.example.org:7640"],
}


def test_a_node_is_admitted_with_the_next_block_and_removed_again(council: Council) -> None:
    proposal = council.propose("node", **NODE)
    council.decide(proposal)
    assert council.shown(proposal)["in_force"] == council.height + 1
    council.pass_blocks()
    node = next(one for one in council.ask("node_list") if one["name"] == "new")
    assert node == {**NODE, "kind": "full", "consensus_key": b""}
    council.decide(council.propose("node", **(NODE | {"addresses": []})))
    council.pass_blocks()
    found = {one.name: one for one in system.read_nodes(council.state)}
    assert found["new"].addresses == ()
    council.decide(council.propose("node_remove", network_key=NEW_NODE))
    council.pass_blocks()
    assert "new" not in [one["name"] for one in council.ask("node_list")]


@pytest.mark.parametrize(
    ("code", "change"),
    [
        ("UNKNOWN_ORGANISATION", {"organisation": gln(99)}),
        ("NODE_KNOWN", {"name": "v0"}),
        ("NODE_IS_VALIDATOR", {"network_key": network_key("v0"), "organisation": FIRST}),
        ("KEY_IN_USE", {"network_key": consensus_key("v0")}),
        ("KEY_IN_USE", {"network_key": public_key(seed_of(MAKER))}),
        ("BAD_ARGUMENT", {"addresses": ["no spaces here:1"]}),
        ("BAD_ADDRESS", {"addresses": ["fine.example.org:8630", "nonsense"]}),
        ("BAD_ADDRESS", {"addresses": ["host:0"]}),
        ("BAD_ADDRESS", {"addresses": ["host:65536"]}),
        ("BAD_ADDRESS", {"addresses": ["[::1::]:1"]}),
    ],
)
def test_which_nodes_are_not_admitted(council: Council, code: str, change: dict[str, Any]) -> None:
    council.refused(code, FIRST, "propose_node", "governance", **(NODE | change))


HOSTS = [
    *(
        "",
        "a",
        "a.b",
        "a-",
        "-a",
        "a.-b",
        "a..b",
        "a.",
        "a_b",
        "x" * 63,
        "x" * 64,
        ".".join("a" * 127),
    ),
    *(
        ".".join("ab" * 64),
        "1.2.3.4",
        "1.2.3",
        "1.2.3.256",
        "01.2.3.4",
        "0.0.0.0",
        "1",
        "1.2.3.4.5",
    ),
    *("1.2.3.a", "...", "::1", "[", "]", "[]", "[::]", "[::1]", "[1::8]", "[1:2:3:4:5:6:7:8]"),
    *("[1:2:3:4:5:6:7]", "[1:2:3:4:5:6:7::]", "[::2:3:4:5:6:7:8]", "[1:2:3:4::5:6:7:8]"),
    *(
        "[1::2::3]",
        "[:::]",
        "[:1]",
        "[1:]",
        "[:1::2]",
        "[1::2:]",
        "[12345::]",
        "[g::]",
        "[ABCD::ef]",
    ),
    *(
        "[::1.2.3.4]",
        "[1:2:3:4:5:6:1.2.3.4]",
        "[1:2:3:4:5:6:7:1.2.3.4]",
        "[1.2.3.4::]",
        "[1.2.3.4]",
    ),
    *("[::1.2.3]", "[1:2:3:4:5:6:7:8:9]", "[a.b]"),
]
ENDS = [":1", ":65535", ":00080", ":0", ":65536", ":000080", ":", "", ":a", ":-1", "::1"]


@pytest.mark.parametrize("host", HOSTS)
def test_an_address_is_what_the_genesis_document_and_the_network_take(host: str) -> None:
    for end in ENDS:
        taken = is_address(host + end)
        assert taken == (address_mistake(host + end) is None), host + end
        if taken:
            parse_address(host + end)
    assert is_address("node.example.org:8630") and is_address("[::1]:8630")


def test_a_validator_s_node_is_not_removed_and_keeps_an_address(council: Council) -> None:
    args: dict[str, Any] = {"network_key": network_key("v0")}
    council.refused("NODE_IS_VALIDATOR", FIRST, "propose_node_remove", "governance", **args)
    bare = args | {"name": "v0", "organisation": FIRST, "addresses": []}
    council.refused("NODE_IS_VALIDATOR", FIRST, "propose_node", "governance", **bare)
    moved = bare | {"addresses": ["elsewhere.example.org:7640"]}
    council.decide(council.propose("node", **moved))
    council.pass_blocks()
    node = next(one for one in council.ask("node_list") if one["name"] == "v0")
    assert (node["kind"], node["addresses"]) == ("validator", moved["addresses"])
    unknown = {"network_key": NEW_NODE}
    council.refused("UNKNOWN_NODE", FIRST, "propose_node_remove", "governance", **unknown)


# --- parameters ------------------------------------------------------------------------------


def test_parameters_stand_in_the_state_one_block_before_they_judge(council: Council) -> None:
    changes = {"tx_window_ms": 20_000, "min_block_interval_ms": 200}
    proposal = council.propose("params", changes=changes)
    summary = council.shown(proposal)["summary"]
    assert summary == "min_block_interval_ms = 200, tx_window_ms = 20000"
    council.decide(proposal)
    assert council.shown(proposal)["in_force"] == council.height + 2
    assert system.read_params(council.state) == Params()
    council.pass_blocks()
    assert system.read_params(council.state) == dataclasses.replace(Params(), **changes)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"fault_model": "crash"},
        {"speed": 9},
        {"tx_bytes_max": "many"},
        {"block_txs_max": True},
        {"tx_bytes_max": 0},
        {"tx_bytes_max": 65_537},
        {"tx_steps_max": 999},
        {"round_timeout_ms": 100_000},  # above round_timeout_max_ms
        {"min_block_interval_ms": 20_000},  # above empty_block_interval_ms
        {"runtime": 0},
        {"runtime": 3},  # what nobody has: no contract could ever be proposed again
        {"round_timeout_ms": 100, "round_timeout_max_ms": 100},  # no slow block ever in time
        {
            "tx_window_ms": 10_000,
            "min_block_interval_ms": 10_001,
            "empty_block_interval_ms": 20_000,
        },
    ],
)
def test_parameters_that_no_chain_can_work_with(council: Council, changes: dict[str, Any]) -> None:
    council.refused("BAD_PARAMS", FIRST, "propose_params", "governance", changes=changes)


def test_more_changes_than_a_block_makes_wait_in_order(council: Council) -> None:
    for number in range(18):
        changes = {"min_block_interval_ms": 200 + number}
        council.decide(council.propose("params", changes=changes, height=100))
    council.pass_blocks(99 - council.height)
    assert council.shown(16)["status"] == "ACTIVE"
    assert council.shown(17)["status"] == "ACCEPTED"
    assert council.ask("params_now")["min_block_interval_ms"] == 215
    council.pass_blocks()
    assert council.shown(18)["in_force"] == 101  # as the header of block 100 names it
    assert council.ask("params_now")["min_block_interval_ms"] == 217


def test_the_runtime_version_is_raised_and_never_lowered(council: Council) -> None:
    council.decide(council.propose("params", changes={"runtime": 2}))
    council.pass_blocks()
    lower = {"changes": {"runtime": 1}}
    council.refused("BAD_PARAMS", FIRST, "propose_params", "governance", **lower)


def test_governance_knows_every_parameter_and_its_bounds() -> None:
    bounds = {name: (least, most) for name, least, most in BOUNDS}
    kinds = dict(Params.kinds())
    assert set(bounds) == set(kinds) - {"fault_model"}
    for name, (least, most) in bounds.items():
        assert least <= getattr(Params(), name) <= most <= getattr(kinds[name], "maximum", 0)


def test_two_changes_that_contradict_each_other_are_not_both_made(council: Council) -> None:
    longer = council.propose("params", changes={"min_block_interval_ms": 9_000}, height=30)
    shorter = council.propose("params", changes={"empty_block_interval_ms": 8_000}, height=30)
    for proposal in (longer, shorter):
        council.decide(proposal)
    council.pass_blocks(29 - council.height)
    assert council.shown(longer)["status"] == "ACTIVE"
    found = council.shown(shorter)
    assert (found["status"], found["failure"]) == ("FAILED", "BAD_PARAMS")
    assert council.ask("params_now")["empty_block_interval_ms"] == 10_000


# --- quotas ----------------------------------------------------------------------------------


def test_quotas_and_usage_periods_are_set_by_vote(council: Council) -> None:
    quota = {"organisation": MAKER, "steps": 5_000_000, "bytes": 0, "calls": 256}
    council.decide(council.propose("quota", **quota))
    council.decide(council.propose("usage_period", period_ms=3_600_000))
    council.pass_blocks()
    found = council.query("quota", "usage", organisation=MAKER)
    assert found == {"steps": 5_000_000, "bytes": 0, "calls": 256}
    report = council.query("report", "usage")
    assert report["until_ms"] - report["from_ms"] == 3_600_000
    for little in ({"steps": 999_999}, {"bytes": 1}, {"calls": 255}):
        args = quota | little
        council.refused("BAD_QUOTA", FIRST, "propose_quota", "governance", **args)
    unknown = quota | {"organisation": gln(99)}
    council.refused("UNKNOWN_ORGANISATION", FIRST, "propose_quota", "governance", **unknown)


# --- contracts -------------------------------------------------------------------------------

NOTES = """
from contracts.sdk import Contract, Map, call, migrate, query, refuse


class Notes(Contract):
    \"\"\"Texts by number.\"\"\"

    name = "notes"
    version = VERSION

    notes = Map(str, key=("number",))

    @call
    def write(self, number: int, text: str) -> None:
        \"\"\"Keep a text.\"\"\"
        self.notes.put(number, WRITTEN)

    @query
    def read(self, number: int) -> str | None:
        \"\"\"The text.\"\"\"
        return self.notes.get(number)
"""
MIGRATION = """
    @migrate
    def grow(self, from_version: int) -> None:
        for number, text in list(self.notes.items()):
            self.notes.put(number, f"{from_version} {text}")
"""
REFUSING = MIGRATION + '            refuse("NOT_NOW", "the state is not as it should be")\n'
ENDLESS = MIGRATION + "        while True:\n            self.notes.put(0, '')\n"


def notes(version: int, written: str = "text", more: str = "") -> str:
    return NOTES.replace("VERSION", str(version)).replace("WRITTEN", written) + more


def propose_source(council: Council, name: str, text: str, version: int, **args: Any) -> int:
    """Upload a contract of one file and propose it."""
    digest = council.ok(FIRST, "upload", "governance", text=text).result[0]
    files = [{"path": f"{name}.py", "hash": digest}]
    return council.propose("contract", name=name, version=version, runtime=1, files=files, **args)


def run_by_vote(council: Council, text: str, version: int, **args: Any) -> int:
    """The number of the accepted proposal."""
    proposal = propose_source(council, "notes", text, version, **args)
    council.decide(proposal)
    return proposal


def versions(council: Council) -> dict[str, int]:
    return {one["name"]: one["version"] for one in council.ask("package_list")}


def test_the_code_that_runs_is_what_stands_in_the_state(council: Council) -> None:
    assert versions(council) == {one.name: one.version for one in builtin_packages()}
    assert set(system.read_packages(council.state)) == set(builtin_packages())


def test_source_is_kept_by_its_hash(council: Council) -> None:
    text = notes(1)
    digest = council.ok(FIRST, "upload", "governance", text=text).result[0]
    assert digest == sha256(text.encode())
    assert council.ask("source", hash=digest) == text
    assert council.ask("source", hash=bytes(32)) is None
    council.refused("NOT_AUTHORISED", MAKER, "upload", "governance", text=text)
    council.refused("BAD_ARGUMENT", FIRST, "upload", "governance", text="x" * 60_001)


def test_a_new_contract_runs_from_the_next_block_on(council: Council) -> None:
    proposal = run_by_vote(council, notes(1), 1)
    assert council.shown(proposal)["in_force"] == council.height + 1
    with pytest.raises(InputError, match="UNKNOWN_CONTRACT"):
        council.query("read", "notes", number=1)
    council.ok(MAKER, "write", "notes", number=1, text="a")  # the first of that block
    assert council.shown(proposal)["status"] == "ACTIVE"
    assert council.query("read", "notes", number=1) == "a"
    assert versions(council)["notes"] == 1


def test_an_upgrade_migrates_at_its_height_and_not_before(council: Council) -> None:
    run_by_vote(council, notes(1), 1)
    council.ok(MAKER, "write", "notes", number=1, text="a")
    run_by_vote(council, notes(2, "text + '!'", MIGRATION), 2, height=30)
    council.pass_blocks(28 - council.height)
    council.ok(MAKER, "write", "notes", number=2, text="b")
    assert council.height == 29
    assert council.query("read", "notes", number=1) == "a"
    council.ok(MAKER, "write", "notes", number=3, text="c")
    assert [council.query("read", "notes", number=number) for number in (1, 2, 3)] == [
        "1 a",
        "1 b",
        "c!",
    ]
    assert versions(council)["notes"] == 2


@pytest.mark.parametrize(("migration", "code"), [(REFUSING, "NOT_NOW"), (ENDLESS, "OUT_OF_STEPS")])
def test_a_migration_that_fails_leaves_the_old_code_and_the_old_state(
    council: Council, migration: str, code: str
) -> None:
    run_by_vote(council, notes(1), 1)
    council.ok(MAKER, "write", "notes", number=1, text="a")
    proposal = run_by_vote(council, notes(2, "text + '!'", migration), 2)
    council.ok(MAKER, "write", "notes", number=2, text="b")
    found = council.shown(proposal)
    assert (found["status"], found["failure"]) == ("FAILED", code)
    assert versions(council)["notes"] == 1
    assert [council.query("read", "notes", number=number) for number in (1, 2)] == ["a", "b"]


def test_of_two_accepted_upgrades_to_one_version_the_second_fails(council: Council) -> None:
    run_by_vote(council, notes(1), 1)
    council.pass_blocks()
    first = run_by_vote(council, notes(2, "text + '!'"), 2, height=30)
    second = run_by_vote(council, notes(2, "text + '?'"), 2, height=30)
    council.pass_blocks(30 - council.height)
    assert council.shown(first)["status"] == "ACTIVE"
    assert council.shown(second)["failure"] == "VERSION_NOT_NEWER"
    council.ok(MAKER, "write", "notes", number=1, text="a")
    assert council.query("read", "notes", number=1) == "a!"


def test_the_largest_of_the_contracts_that_come_with_the_chain_is_upgraded_by_vote(
    council: Council,
) -> None:
    """With the usual tx_steps_max."""
    largest = max(builtin_packages(), key=lambda one: one.size)
    name = f'    name = "{largest.name}"\n'
    files = []
    for file in largest.files:
        text = file.text.replace(name, f"{name}    version = {largest.version + 1}\n")
        digest = council.ok(FIRST, "upload", "governance", text=text).result[0]
        files.append({"path": file.path, "hash": digest})
    named = {"name": largest.name, "version": largest.version + 1, "runtime": 1, "files": files}
    council.decide(council.propose("contract", **named, height=30))
    council.pass_blocks(30 - council.height)
    assert versions(council)[largest.name] == largest.version + 1


def test_contracts_that_are_not_even_voted_on(council: Council) -> None:
    def refused(code: str, **change: Any) -> str:
        args = {"name": "notes", "version": 1, "runtime": 1, "files": good} | change
        return council.refused(code, FIRST, "propose_contract", "governance", **args)

    def uploaded(text: str) -> list[dict[str, Any]]:
        digest = council.ok(FIRST, "upload", "governance", text=text).result[0]
        return [{"path": "notes.py", "hash": digest}]

    good = uploaded(notes(1))
    refused("UNKNOWN_SOURCE", files=[{"path": "notes.py", "hash": bytes(32)}])
    refused("NAME_RESERVED", name="due")
    refused("BAD_ARGUMENT", name="Notes")
    refused("BAD_ARGUMENT", files=[])
    refused("VERSION_NOT_NEWER", name="batch", files=uploaded("x = 1\n"))
    refused("CONTRACT_REFUSED", files=uploaded("import os\n"))
    refused("CONTRACT_REFUSED", version=2)  # not what the source says
    refused("CONTRACT_REFUSED", name="other")
    refused("CONTRACT_REFUSED", files=uploaded("while True:\n    pass\n"))


def test_governance_can_be_upgraded_by_its_own_vote(council: Council) -> None:
    package = next(one for one in builtin_packages() if one.name == "governance")
    files = []
    for file in package.files:
        text = file.text.replace(
            '    name = "governance"\n', '    name = "governance"\n    version = 2\n'
        )
        digest = council.ok(FIRST, "upload", "governance", text=text).result[0]
        files.append({"path": file.path, "hash": digest})
    waiting = council.propose("params", changes=SOON)
    upgrade = council.propose("contract", name="governance", version=2, runtime=1, files=files)
    council.decide(upgrade)
    council.pass_blocks()
    assert versions(council)["governance"] == 2
    council.decide(waiting)
    council.pass_blocks()
    assert council.ask("params_now")["min_block_interval_ms"] == 200


@pytest.mark.parametrize(
    ("contract", "method"), [("identity", "caller"), ("governance", "activate")]
)
def test_no_upgrade_takes_away_what_the_chain_lives_by(
    council: Council, contract: str, method: str
) -> None:
    package = next(one for one in builtin_packages() if one.name == contract)
    name = f'    name = "{contract}"\n'
    sources = []
    for file in package.files:
        text = file.text.replace(name, f"{name}    version = 2\n")
        sources.append((file.path, text.replace(f"def {method}(", f"def {method}_no_more(")))
    with pytest.raises(InputError, match=f"{contract} keeps its [a-z]+ {method}"):
        Registry.of([package_of(sources)])
    files = []
    for path, text in sources:
        digest = council.ok(FIRST, "upload", "governance", text=text).result[0]
        files.append({"path": path, "hash": digest})
    args = {"name": contract, "version": 2, "runtime": 1, "files": files}
    council.refused("CONTRACT_REFUSED", FIRST, "propose_contract", "governance", **args)


# --- what can no longer be made --------------------------------------------------------------


def test_a_change_that_can_t_be_made_any_more_has_failed_and_changed_nothing(
    council: Council,
) -> None:
    proposal = council.propose("node", **NODE, height=30)
    council.decide(proposal)
    council.ok(REGULATOR, "hold_organisation", "identity", id=MAKER, reason="inspection")
    before = council.ask("node_list")
    council.pass_blocks(30 - council.height)
    found = council.shown(proposal)
    assert (found["status"], found["failure"]) == ("FAILED", "UNKNOWN_ORGANISATION")
    assert found["detail"] == f"{MAKER} is no active organisation"
    assert council.ask("node_list") == before


def test_a_failed_change_of_the_validators_makes_way_for_the_next(council: Council) -> None:
    proposal = add_validator(council, height=30)
    council.ok(REGULATOR, "hold_organisation", "identity", id=MAKER, reason="inspection")
    council.pass_blocks(29 - council.height)
    assert council.shown(proposal)["status"] == "FAILED"
    council.decide(council.propose("validator_rotate", name="v0", consensus_key=NEW_KEY))


def test_evidence_in_a_block_is_shown_to_governance(council: Council) -> None:
    def votes(key: bytes, kind: int, height: int) -> Evidence:
        first, second = (encode([CHAIN, height, 0, bytes([side]) * 32]) for side in (1, 2))
        return Evidence(kind, key, first, bytes(64), second, bytes(64))

    assert council.ask("accusation_list") == []
    council.evidence = (votes(consensus_key("v2"), 2, 7), votes(NEW_KEY, 5, 3))
    council.block()
    council.evidence = ()
    council.block()
    known, left = sorted(council.ask("accusation_list"), key=lambda one: not one["name"])
    assert known == {
        "key": consensus_key("v2"),
        "name": "v2",
        "organisation": THIRD,
        "fault": "two prepares in one round",
        "height": 7,
        "block": council.height - 1,
    }
    assert (left["key"], left["name"]) == (NEW_KEY, "")
    assert left["fault"] == "a round change that hides a commit"
    # The validator stays until it is voted out.
    assert "v2" in council.names()
    args = {"key": NEW_KEY, "kind": 1, "height": 1}
    assert council.send(FIRST, "accuse", "governance", **args).code == "UNKNOWN_METHOD"


def test_every_kind_of_evidence_has_its_words() -> None:
    assert sorted(TAGS) == list(range(1, len(FAULTS) + 1))


def test_events_tell_of_proposals_votes_and_decisions(council: Council) -> None:
    receipt = council.ok(FIRST, "propose_params", "governance", changes=SOON)
    assert [event.name for event in receipt.events] == ["Proposed", "Written"]
    vote = {"proposal": 1, "yes": True}
    council.ok(FIRST, "vote", "governance", **vote)
    council.ok(SECOND, "vote", "governance", **vote)
    receipt = council.ok(THIRD, "vote", "governance", **vote)
    assert [event.name for event in receipt.events] == ["Voted", "ProposalDecided", "Written"]
    assert receipt.events[1].fields["in_force"] == council.height + 2


def test_the_newest_proposals_are_listed(council: Council) -> None:
    for _ in range(3):
        council.propose("params", changes=SOON)
    assert [one["id"] for one in council.ask("proposal_list")] == [1, 2, 3]
    assert [one["id"] for one in council.ask("proposal_list", last=2)] == [2, 3]
    with pytest.raises(InputError, match="BAD_ARGUMENT"):
        council.ask("proposal_list", last=101)
