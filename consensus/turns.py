"""Whose turn it is to propose, by the chain's own record of who is there and in time (ADR 0014).

A block's last certificate holds every seal that its proposer had heard when it made the block,
``min_block_interval_ms`` after its parent was decided here. So whoever is dead, or slower than the
quorum by more than that interval, is missing in the certificates of the others, block after block;
and shows itself there again as soon as it is back. No clock and no trial turn is needed.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Annotated, Final

from consensus.block import Content
from consensus.primitives.codec import KEY, Flag, Items, Nested, UInt, Wire
from consensus.validators import VALIDATORS_MAX, ValidatorSet, signers

ABSENT_FROM: Final = 1
"""A validator is out of turn from so many absences on for each validator of the set."""
ABSENCES_MAX: Final = 2
"""So many for each validator of the set are held against it: the longer away, the more it has to
make up for."""
PRESENCE: Final = 3
"""Absences that one presence makes up for. Liars can keep an honest validator out of two thirds of
the certificates, so two would do to stay in turn, and three to come back too."""
SKIP_TURNS: Final = 16
"""A missed turn costs a validator so many rounds of turns, doubled for each further miss."""
SKIP_DOUBLINGS_MAX: Final = 7


@dataclass(frozen=True)
class Lapse(Wire):
    """What the chain holds against a validator."""

    key: Annotated[bytes, KEY]
    absences: Annotated[int, UInt(ABSENCES_MAX * VALIDATORS_MAX)] = 0
    """Certificates in others' blocks without its seal, made up for by those with it."""
    absent: Annotated[bool, Flag()] = False
    """It is out of turn until it has made up for every absence."""
    misses: Annotated[int, UInt(2**31)] = 0
    """Turns missed; forgiven after as long a time without one as the last one cost."""
    skipped_until: Annotated[int, UInt()] = 0
    """For missed turns it is out of turn below this height."""

    def out_of_turn(self, height: int) -> bool:
        return self.absent or height < self.skipped_until

    def sealed(self, present: bool, n: int) -> Lapse:
        """After another's block whose last certificate has its seal, or hasn't."""
        if present:
            absences = max(0, self.absences - PRESENCE)
            absent = self.absent and absences > 0
        else:
            absences = min(self.absences + 1, ABSENCES_MAX * n)
            absent = self.absent or absences >= ABSENT_FROM * n
        return dataclasses.replace(self, absences=absences, absent=absent)

    def missed(self, height: int, n: int) -> Lapse:
        """After a turn that it let go by."""
        misses = min(self.misses + 1, 2**31)
        return dataclasses.replace(
            self, misses=misses, skipped_until=height + _skip_heights(misses, n)
        )

    def forgiven(self, height: int, n: int) -> Lapse:
        """Its misses weigh no more once it has kept its turns for as long as the last one cost."""
        if self.absent or height < self.skipped_until + _skip_heights(self.misses, n):
            return self
        return dataclasses.replace(self, misses=0, skipped_until=0)


def _skip_heights(misses: int, n: int) -> int:
    return SKIP_TURNS * n << min(max(misses - 1, 0), SKIP_DOUBLINGS_MAX)


@dataclass(frozen=True)
class Turns(Wire):
    """The chain's own record, ordered by key. Empty while everybody is there and in time."""

    lapses: Annotated[tuple[Lapse, ...], Items(Nested(Lapse), VALIDATORS_MAX)] = ()


def out_of_turn(
    validators: ValidatorSet, turns: Turns, height: int, quorum: int
) -> tuple[Lapse, ...]:
    """Those who propose no first round of ``height``, the worst first: no more than a quorum can
    do without, so that those in turn always hold an honest majority."""
    index_of = validators.index_of
    found = [one for one in turns.lapses if one.key in index_of and one.out_of_turn(height)]
    found.sort(key=lambda one: (-one.absences, -one.misses, index_of[one.key]))
    return tuple(found[: len(validators) - quorum])


def proposer_order(
    validators: ValidatorSet, turns: Turns, height: int, quorum: int
) -> tuple[int, ...]:
    """Set positions by round: round r of ``height`` is proposed by order[r % n].

    Round 0 rotates with the height over those in turn; the others come last, the worst at the end.
    """
    out = [validators.index_of[one.key] for one in out_of_turn(validators, turns, height, quorum)]
    ready = [position for position in range(len(validators)) if position not in out]
    first = height % len(ready)
    return (*ready[first:], *ready[:first], *reversed(out))


def turns_after(
    validators: ValidatorSet,
    parent_validators: ValidatorSet,
    turns: Turns,
    content: Content,
    quorum: int,
) -> Turns:
    """The record after a block of ``validators``: who missed a turn before its proposer had one,
    and whose seal stands in its last certificate, which ``parent_validators`` made."""
    height, n, members = content.height, len(validators), validators.members
    lapses = {one.key: one for one in turns.lapses if one.key in validators}
    order = proposer_order(validators, turns, height, quorum)
    for position in order:
        key = members[position].key
        if key == content.proposer:
            break
        lapses[key] = lapses.get(key, Lapse(key)).missed(height, n)
    if content.last_certificate is not None:
        marks = content.last_certificate.signers
        sealed = signers(marks, len(parent_validators)) or []
        for position, member in enumerate(parent_validators.members):
            # What a proposer says of itself counts for nothing: it always has its own seal.
            if member.key in validators and member.key != content.proposer:
                lapse = lapses.get(member.key, Lapse(member.key))
                lapses[member.key] = lapse.sealed(position in sealed, n)
    forgiven = [lapses[key].forgiven(height, n) for key in sorted(lapses)]
    return Turns(tuple(one for one in forgiven if one != Lapse(one.key)))
