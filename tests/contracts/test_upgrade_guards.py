"""Upgrades of the system contracts that would leave a chain nobody can govern, or no node run."""

from __future__ import annotations

import pytest

from consensus.transaction import Call
from contracts.runtime.executor import BlockExecutor
from contracts.runtime.package import Package, package_of
from contracts.runtime.registry import builtin_packages
from tests.contracts.ledger import MAKER, seed_of
from tests.contracts.test_governance import ELECTORS, FIRST, SOON, Council, versions

ANSWER = """\
        return {
            "organisation": organisation.id,
            "roles": present_roles(record, organisation),
            "attributes": record.attributes,
        }
"""
ACTIVE_ONLY = "        if record.status != ACTIVE:\n            refuse("
MIGRATION = """
    @migrate
    def upgrade(self, from_version: int) -> None:
        {body}

    @query
    def """


def second(name: str, *changes: tuple[str, str]) -> Package:
    """Version 2 of a contract that comes with the node, with texts replaced."""
    package = next(one for one in builtin_packages() if one.name == name)
    line = f'    name = "{name}"\n'
    sources = []
    for file in package.files:
        text = file.text.replace(line, f"{line}    version = 2\n")
        for old, new in changes:
            text = text.replace(old, new, 1)
        sources.append((file.path, text))
    assert sources != [(file.path, file.text) for file in package.files]
    return package_of(sources)


def upgraded(council: Council, package: Package) -> dict[str, object]:
    """The proposal, once its height has passed."""
    files = []
    for file in package.files:
        digest = council.ok(FIRST, "upload", "governance", text=file.text).result[0]
        files.append({"path": file.path, "hash": digest})
    args = {"name": package.name, "version": 2, "runtime": 1, "files": files}
    proposal = council.propose("contract", **args)
    council.decide(proposal)
    council.pass_blocks()
    return council.shown(proposal)


@pytest.fixture
def council() -> Council:
    return Council(ELECTORS[:4])


@pytest.mark.parametrize(
    "change",
    [
        (ANSWER, "        return {}\n"),
        (ANSWER, ANSWER.replace("organisation.id", '"somebody else"')),
        (ANSWER, ANSWER.replace("present_roles(record, organisation)", "organisation.roles")),
        (ACTIVE_ONLY, ACTIVE_ONLY.replace("!=", "==")),
        (ACTIVE_ONLY, "        while True:\n            pass\n" + ACTIVE_ONLY),
    ],
)
def test_an_identity_that_no_longer_knows_those_who_voted_does_not_come_into_force(
    council: Council, change: tuple[str, str]
) -> None:
    found = upgraded(council, second("identity", change))
    assert (found["status"], found["failure"]) == ("FAILED", "VOTERS_LOCKED_OUT")
    assert versions(council)["identity"] == 1
    council.decide(council.propose("params", changes=SOON))


def test_an_identity_that_knows_them_does(council: Council) -> None:
    assert upgraded(council, second("identity"))["status"] == "ACTIVE"
    council.decide(council.propose("params", changes=SOON))


@pytest.mark.parametrize(
    "body",
    [
        "self.params.delete('round_timeout_ms')\n        self.params.put('tx_bytes_max', -1)",
        "for one in list(self.validators.values()): self.validators.delete(one.number)",
        "for one in list(self.nodes.values()):\n            one.addresses = []\n"
        "            self.params.put('clock_drift_ms', 0)",
    ],
)
def test_a_governance_whose_state_nodes_cannot_read_does_not_come_into_force(
    council: Council, body: str
) -> None:
    package = second(
        "governance",
        ("    @query\n    def ", MIGRATION.format(body=body)),
        ("    genesis,\n", "    genesis,\n    migrate,\n"),
    )
    found = upgraded(council, package)
    assert (found["status"], found["failure"]) == ("FAILED", "SYSTEM_UNREADABLE")
    assert versions(council)["governance"] == 1
    council.decide(council.propose("params", changes=SOON))


@pytest.mark.parametrize(
    ("roles", "organisation"), [("5", "organisation.id"), ("[]", "5"), ("[]", "'\\u0000' * 60")]
)
def test_whatever_identity_answers_a_transaction_has_a_receipt(
    council: Council, roles: str, organisation: str
) -> None:
    answer = f'        return {{"organisation": {organisation}, "roles": {roles}}}\n'
    executor = BlockExecutor(council.registry, council.state, council.block_context())
    assert executor.replace(second("identity", (ANSWER, answer))).code == "OK"
    assert executor.execute(council.tx(seed_of(MAKER), Call("x", "y", {}))).code == "CONTRACT_FAULT"


def test_usage_may_count_more_than_the_runtime_knows_of(council: Council) -> None:
    body = (
        "for name, used in list(self.used.items()):\n            self.used.put(name, used)\n"
        "        self.settings.put('period_ms', 0)\n"
        "        self.quotas.put('9521321000010', Quota())"
    )
    package = second(
        "usage",
        ("    transactions: int = 0\n", "    transactions: int = 0\n    events: int = 0\n"),
        ("    calls: int = 0\n\n\nclass Usage", "\n\nclass Usage"),
        ("Quota(steps, bytes, calls)", "Quota(steps, bytes)"),
        ("    @query\n    def ", MIGRATION.format(body=body)),
        ("genesis, query, refuse", "genesis, migrate, query, refuse"),
    )
    assert upgraded(council, package)["status"] == "ACTIVE"
    council.decide(council.propose("params", changes=SOON))
    assert council.query("used_by", "usage", organisation=FIRST)["transactions"] > 0


def test_governance_may_keep_votes_otherwise(council: Council) -> None:
    body = "for key in list(self.votes.keys()):\n            self.votes.delete(key)"
    package = second(
        "governance",
        ("    @query\n    def ", MIGRATION.format(body=body)),
        ("    genesis,\n", "    genesis,\n    migrate,\n"),
        ("    key: bytes\n    yes: bool\n    time: Timestamp\n", "    yes: bool\n"),
        ("Vote(me, self.ctx.caller, yes, self.ctx.time_ms)", "Vote(me, yes)"),
    )
    assert upgraded(council, package)["status"] == "ACTIVE"
    council.decide(council.propose("params", changes=SOON))
    council.pass_blocks()
    assert council.ask("params_now")["min_block_interval_ms"] == 200


def test_nodes_follow_what_governance_writes_outside_of_decisions(council: Council) -> None:
    """Else a node would find another state than it went by when it starts again."""
    quick = """\
    @call
    def quick(self) -> None:
        self.params.put("tx_bytes_max", 9_000)

    @query
    def """
    assert upgraded(council, second("governance", ("    @query\n    def ", quick)))["failure"] == ""
    for method, is_followed in (("quick", True), ("slow", False)):
        executor = BlockExecutor(council.registry, council.state, council.block_context())
        executor.begin()
        executor.execute(council.tx(seed_of(FIRST), Call("governance", method, {})))
        executor.finish()
        assert executor.system_changed is is_followed
