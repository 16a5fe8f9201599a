"""Who votes, and how many votes decide.

For n validators, f = floor((n-1)/3) may lie. The quorum is ceil(2n/3): two quorums then share
more than f validators at every n, which 2f+1 doesn't give at n = 5, 6, 8, 9.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, ClassVar, Final

from consensus.primitives.codec import KEY, Items, Nested, Text, Wire

VALIDATORS_MAX: Final = 64


@dataclass(frozen=True)
class Thresholds:
    """Vote counts that follow from the number of validators and the fault model."""

    n: int
    fault_model: str

    @property
    def quorum(self) -> int:
        """q: votes that decide."""
        return self.n // 2 + 1 if self.fault_model == "crash" else (2 * self.n + 2) // 3

    @property
    def tolerated_liars(self) -> int:
        """t: validators that may lie without harm; 0 in the crash fault model."""
        return 0 if self.fault_model == "crash" else (self.n - 1) // 3

    @property
    def honest_witness(self) -> int:
        """t + 1: so many validators hold at least one that does not lie."""
        return self.tolerated_liars + 1


@dataclass(frozen=True)
class Validator(Wire):
    """One voting node: its name for people, its consensus key, its organisation's id."""

    name: Annotated[str, Text(64)]
    key: Annotated[bytes, KEY]
    organisation: Annotated[str, Text(64)]


@dataclass(frozen=True)
class ValidatorSet(Wire):
    """The validators of one height, in the order that proposers rotate and bitmaps count."""

    bytes_max: ClassVar[int] = 1 << 16

    members: Annotated[tuple[Validator, ...], Items(Nested(Validator), VALIDATORS_MAX, 1)]

    @cached_property
    def index_of(self) -> dict[bytes, int]:
        """Consensus key -> position."""
        return {member.key: index for index, member in enumerate(self.members)}

    def __len__(self) -> int:
        return len(self.members)

    def __contains__(self, key: object) -> bool:
        return key in self.index_of

    def name(self, key: bytes) -> str:
        """The name of a member's key, for people."""
        return self.members[self.index_of[key]].name

    def thresholds(self, fault_model: str) -> Thresholds:
        return Thresholds(len(self.members), fault_model)


def bitmap(indexes: list[int], n: int) -> bytes:
    """The signers ``indexes`` of ``n`` validators, bit i of byte i // 8, lowest bit first."""
    marks = bytearray((n + 7) // 8)
    for index in indexes:
        marks[index // 8] |= 1 << (index % 8)
    return bytes(marks)


def signers(marks: bytes, n: int) -> list[int] | None:
    """The set positions of a bitmap over ``n`` validators; None if its size or padding is wrong."""
    if len(marks) != (n + 7) // 8:
        return None
    found = [index for index in range(n) if marks[index // 8] >> (index % 8) & 1]
    return found if bitmap(found, n) == marks else None
