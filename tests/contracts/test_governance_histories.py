"""Random histories of votes: what must hold of governance after every block."""

from __future__ import annotations

from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from consensus.primitives.crypto import public_key, sha256
from consensus.validators import Thresholds
from contracts.runtime import system
from tests.contracts.ledger import MAKER
from tests.contracts.test_governance import ELECTORS, Council, network_key

# Node -> organisation. The last one does not vote at first.
NODES = {**{f"v{number}": ELECTORS[number] for number in range(5)}, "full": MAKER}
ORGANISATIONS = list(NODES.values())
WHO = st.sampled_from(ORGANISATIONS)
NAMES = st.sampled_from(list(NODES))
# What each organisation says: mostly yes.
ANSWERS = st.lists(
    st.sampled_from((True, True, True, True, False, None)), min_size=6, max_size=6
) | st.just([None] * 6)
Answers = list[bool | None]
VALIDATOR_KINDS = ("validator_add", "validator_remove", "validator_rotate")


class Votes(RuleBasedStateMachine):
    """Five validators of five organisations. The model counts for itself."""

    def __init__(self) -> None:
        super().__init__()
        self.council = Council(ORGANISATIONS[:5])
        self.keys = 0
        self.said: dict[int, dict[str, bool]] = {}

    def owners(self) -> list[str]:
        return [one["organisation"] for one in self.council.ask("validator_list")]

    def propose(self, who: str, answers: Answers, method: str, **args: Any) -> None:
        receipt = self.council.send(who, f"propose_{method}", "governance", **args)
        assert receipt.code != "CONTRACT_FAULT"
        if receipt.code == "OK":
            assert who in self.owners()
            self.said[receipt.result[0]] = {}
            self.vote_on(receipt.result[0], answers)

    def new_key(self) -> bytes:
        self.keys += 1
        return public_key(sha256(b"key %d" % self.keys))

    @rule(who=WHO, answers=ANSWERS, name=NAMES, ahead=st.sampled_from((0, 0, 3, 9)))
    def remove(self, who: str, answers: Answers, name: str, ahead: int) -> None:
        height = self.council.height + 1 + ahead if ahead else 0
        self.propose(who, answers, "validator_remove", name=name, height=height)

    @rule(who=WHO, answers=ANSWERS, name=NAMES)
    def rotate(self, who: str, answers: Answers, name: str) -> None:
        self.propose(who, answers, "validator_rotate", name=name, consensus_key=self.new_key())

    @rule(who=WHO, answers=ANSWERS, name=NAMES)
    def add(self, who: str, answers: Answers, name: str) -> None:
        self.propose(
            who,
            answers,
            "validator_add",
            name=name,
            organisation=NODES[name],
            network_key=network_key(name),
            consensus_key=self.new_key(),
        )

    @rule(who=WHO, answers=ANSWERS, value=st.sampled_from((1, 9_999, 10_001)))
    def change(self, who: str, answers: Answers, value: int) -> None:
        self.propose(who, answers, "params", changes={"min_block_interval_ms": value})

    @rule(back=st.integers(0, 3), answers=ANSWERS)
    def vote(self, back: int, answers: Answers) -> None:
        proposal = max(self.said, default=0) - back
        if proposal in self.said:
            self.vote_on(proposal, answers)

    def vote_on(self, proposal: int, answers: Answers) -> None:
        """Some or all say yes or no, one a block."""
        for organisation, yes in zip(ORGANISATIONS, answers, strict=True):
            if yes is None:
                continue
            # A vote's block begins with what is due, so the set may be another than before it.
            answer = self.council.vote(organisation, proposal, yes)
            assert answer != "CONTRACT_FAULT"
            if answer in ("OPEN", "ACCEPTED", "REJECTED"):
                assert organisation not in self.said[proposal]
                self.said[proposal][organisation] = yes
                assert answer == self.counted(proposal)

    def counted(self, proposal: int) -> str:
        """What the votes so far come to, for the validators of now."""
        votes = [self.said[proposal].get(owner) for owner in self.owners()]
        quorum = Thresholds(len(votes), "byzantine").quorum
        if votes.count(True) >= quorum:
            return "ACCEPTED"
        return "REJECTED" if len(votes) - votes.count(False) < quorum else "OPEN"

    @rule(who=WHO, back=st.integers(0, 3))
    def withdraw(self, who: str, back: int) -> None:
        proposal = max(self.said, default=0) - back
        if proposal in self.said:
            before = self.council.shown(proposal)
            receipt = self.council.send(who, "withdraw", "governance", proposal=proposal)
            assert (receipt.code == "OK") == (
                before["status"] == "OPEN" and before["organisation"] == who
            )

    @rule(count=st.integers(1, 4))
    def wait(self, count: int) -> None:
        self.council.pass_blocks(count)

    @invariant()
    def there_are_enough_validators_and_each_has_its_node(self) -> None:
        validators = system.read_validators(self.council.state).members
        assert 4 <= len(validators) <= 6
        assert len({one.key for one in validators}) == len(validators)
        nodes = {one.name: one for one in system.read_nodes(self.council.state)}
        voting = {one.name: one.consensus_key for one in nodes.values() if one.kind == "validator"}
        assert voting == {one.name: one.key for one in validators}

    @invariant()
    def one_change_of_the_validators_is_pending_and_nothing_waits_too_long(self) -> None:
        council = self.council
        shown = [one for one in council.ask("proposal_list") if one["status"] == "ACCEPTED"]
        assert sum(one["kind"] in VALIDATOR_KINDS for one in shown) <= 1
        assert sorted(one["id"] for one in shown) == sorted(
            proposal for _, proposal in system.scheduled(council.state, 10**9, 10**9)
        )
        for one in shown:
            assert one["in_force"] > council.height
        for one in council.ask("proposal_list"):
            assert (one["status"] == "FAILED") == bool(one["failure"])


TestVotes = Votes.TestCase
TestVotes.settings = settings(max_examples=25, stateful_step_count=30, deadline=None)
