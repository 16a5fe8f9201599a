"""Proposals and votes: the records and rules under the governance contract."""

from __future__ import annotations

from typing import Any, Final

from contracts.sdk import Counter, Map, PublicKey, Record, Timestamp, refuse, sha256
from contracts.system.changes import PARAMS, VALIDATOR_KINDS, Changes

DAY_MS: Final = 86_400_000
EXPIRY_MS: Final = 7 * DAY_MS  # of a proposal that names no deadline
EXPIRY_MAX_MS: Final = 366 * DAY_MS
HEIGHT_AHEAD_MAX: Final = 1_000_000

# What evidence shows, by its kind.
FAULTS: Final = (
    "two proposals in one round",
    "two prepares in one round",
    "two commits in one round",
    "two round changes in one round",
    "a round change that hides a commit",
)

OPEN: Final = "OPEN"
ACCEPTED: Final = "ACCEPTED"
ACTIVE: Final = "ACTIVE"
REJECTED: Final = "REJECTED"
EXPIRED: Final = "EXPIRED"
WITHDRAWN: Final = "WITHDRAWN"
FAILED: Final = "FAILED"


class Proposal(Record):
    id: int
    kind: str
    summary: str
    organisation: str  # whose proposal it is
    args: dict[str, Any]
    height: int  # that was asked for; 0: as soon as may be
    expires_ms: Timestamp
    status: str = OPEN
    in_force: int = 0  # the height from which on it counts, once accepted
    yes: int = 0  # validators that said so, by the last count
    no: int = 0
    validators: int = 0  # how many there were at that count
    failure: str = ""  # why it failed: a code
    detail: str = ""  # and its sentence


class Vote(Record):
    organisation: str
    key: bytes
    yes: bool
    time: Timestamp


class Accusation(Record):
    """Proof, in a block, that a validator signed what no honest one signs."""

    key: PublicKey
    name: str  # of the validator whose key it then was; empty if it had left
    organisation: str
    fault: str
    height: int  # that its votes were about
    block: int  # that has the proof


class Tally(Record):
    """How validators stand to a proposal."""

    yes: int
    no: int
    validators: int


class Voting(Changes):
    """The state of the governance contract, how votes are counted, and what they come to."""

    proposals = Map(Proposal, key=("number",))
    last_proposal = Counter()
    votes = Map(Vote, key=("proposal", "organisation"))
    accusations = Map(Accusation, key=("key", "height", "kind"))
    # Which block makes an accepted change. The runtime takes an entry out when it has.
    schedule = Map(int, key=("height", "proposal"))

    def _check_elector(self) -> None:
        """The caller's organisation has a validator, and the caller acts directly."""
        self._check_direct()
        for validator in self.validators.values():
            if validator.organisation == self.ctx.organisation:
                return
        refuse("NOT_AUTHORISED", "needs an organisation that has a validator")

    def _check_direct(self) -> None:
        """Nobody's voice is used by a contract on the way."""
        if self.ctx.callers:
            refuse("ONLY_DIRECT", f"not through the contract {self.ctx.callers[-1]}")

    def _propose(
        self, kind: str, summary: str, args: dict[str, Any], height: int, expires_ms: int
    ) -> int:
        self._check_elector()
        now = self.ctx.time_ms
        deadline = expires_ms or now + EXPIRY_MS
        if not now < deadline <= now + EXPIRY_MAX_MS:
            refuse("BAD_DEADLINE", "a vote ends in the future, within a year")
        if height and not self.ctx.height < height <= self.ctx.height + HEIGHT_AHEAD_MAX:
            refuse("HEIGHT_REFUSED", f"a height after {self.ctx.height}, not a million above")
        self._check_change(kind, args)
        number = self.last_proposal.add()
        me = self.ctx.organisation
        record = Proposal(number, kind, summary, me, args, height, deadline)
        self.proposals.put(number, record)
        self.emit("Proposed", proposal=number, kind=kind, summary=summary, organisation=me)
        return number

    def _open(self, proposal: int) -> Proposal:
        record = self.proposals.get(proposal)
        if record is None:
            refuse("UNKNOWN_PROPOSAL", f"there is no proposal {proposal}")
        status = self._status(record)
        if status != OPEN:
            refuse("PROPOSAL_CLOSED", f"proposal {proposal} is {status}")
        return record

    def _accepted(self, proposal: int) -> Proposal:
        record = self.proposals.get(proposal)
        if record is None or record.status != ACCEPTED:
            refuse("UNKNOWN_PROPOSAL", f"there is no accepted proposal {proposal}")
        return record

    def _status(self, record: Proposal) -> str:
        """Nobody writes that a deadline has passed: block time says it."""
        if record.status == OPEN and self.ctx.time_ms > record.expires_ms:
            return EXPIRED
        return record.status

    def _tally(self, proposal: int) -> Tally:
        """The votes, counted for the validators of now."""
        votes: dict[str, bool] = {}
        for vote in self.votes.values(proposal):
            votes[vote.organisation] = vote.yes
        tally = Tally(0, 0, 0)
        for validator in self.validators.values():
            tally.validators += 1
            said = votes.get(validator.organisation)
            if said is True:
                tally.yes += 1
            elif said is False:
                tally.no += 1
        return tally

    def _decide(self, record: Proposal) -> str:
        """Count, and accept or reject if the votes suffice for that. Answers the new status."""
        tally = self._tally(record.id)
        needed = quorum(tally.validators, self._fault_model())
        record.yes = tally.yes
        record.no = tally.no
        record.validators = tally.validators
        if tally.yes >= needed:
            self._accept(record)
        elif tally.validators - tally.no < needed:
            self._end(record, REJECTED)
        else:
            self.proposals.put(record.id, record)
        return record.status

    def _accept(self, record: Proposal) -> None:
        self._check_change(record.kind, record.args)
        if record.kind in VALIDATOR_KINDS:
            for waiting in self.schedule.values():
                other = self.proposals.get(waiting)
                if other is not None and other.kind in VALIDATOR_KINDS:
                    refuse("CHANGE_PENDING", f"proposal {waiting} comes first: then vote again")
        earliest = self.ctx.height + 1 + lead(record.kind)
        record.in_force = max(record.height, earliest)
        self.schedule.put((record.in_force - lead(record.kind), record.id), record.id)
        self._end(record, ACCEPTED)

    def _end(self, record: Proposal, status: str) -> None:
        """Set the status and tell the world."""
        record.status = status
        self.proposals.put(record.id, record)
        self.emit(
            "ProposalDecided",
            proposal=record.id,
            kind=record.kind,
            status=status,
            in_force=record.in_force,
            failure=record.failure,
        )

    def _shown(self, record: Proposal) -> dict[str, Any]:
        status = self._status(record)
        tally = Tally(record.yes, record.no, record.validators)
        if status == OPEN:
            tally = self._tally(record.id)
        return {
            "id": record.id,
            "kind": record.kind,
            "summary": record.summary,
            "organisation": record.organisation,
            "args": record.args,
            "height": record.height,
            "expires_ms": record.expires_ms,
            "status": status,
            "in_force": record.in_force,
            "failure": record.failure,
            "detail": record.detail,
            "yes": tally.yes,
            "no": tally.no,
            "validators": tally.validators,
            "quorum": quorum(tally.validators, self._fault_model()),
            "voters": [vote.organisation for vote in self.votes.values(record.id)],
        }

    def _keep(self, text: str) -> bytes:
        digest = sha256(text)
        self.sources.put(digest, text)
        return digest


def quorum(validators: int, fault_model: str) -> int:
    """How many validators decide."""
    if fault_model == "crash":
        return validators // 2 + 1
    return (2 * validators + 2) // 3


def lead(kind: str) -> int:
    """How many blocks before it counts a change is made: the header before names it."""
    return 1 if kind in VALIDATOR_KINDS or kind == PARAMS else 0
