"""The fifty per cent rule: what listed parties own counts as listed.

OFAC's guidance of 13 August 2014: an entity that one or more blocked persons own to fifty per cent
or more in the aggregate, directly or indirectly, is blocked itself, whether or not it is listed.
Indirect ownership runs through entities that are blocked by this rule; a minority stake of a
blocked person in an owner counts nothing further down.
"""

from __future__ import annotations

from typing import Annotated, Final

from contracts.sdk import Int, Record, Text, refuse

HALF: Final = 5_000  # basis points
WHOLE: Final = 10_000
SHARES_MAX: Final = 50

PartyName = Annotated[str, Text(200)]


class Share(Record):
    """What one party owns of another, directly. Ten thousand basis points are all of it."""

    owner: PartyName
    owned: PartyName
    basis_points: Annotated[int, Int(1, WHOLE)]


def counted_as_listed(shares: list[Share], listed: list[str]) -> list[str]:
    """The listed parties, and then all that they own by the rule, nearest first.

    Refuses with OWNERSHIP_WRONG when more than the whole of a party is owned, or a share is said
    twice.
    """
    owned: dict[str, int] = {}
    said: dict[str, int] = {}
    for share in shares:
        pair = f"{share.owner}\n{share.owned}"
        if pair in said:
            refuse("OWNERSHIP_WRONG", f"what {share.owner} owns of {share.owned} is said twice")
        said[pair] = 1
        owned[share.owned] = owned.get(share.owned, 0) + share.basis_points
        if owned[share.owned] > WHOLE:
            refuse("OWNERSHIP_WRONG", f"more than all of {share.owned} is owned")
    found: list[str] = []
    known: dict[str, int] = {}
    for party in listed:
        found.append(party)
        known[party] = 1
    for _ in range(len(shares)):  # each round but the last adds a party, so a cycle ends, too
        total: dict[str, int] = {}
        for share in shares:
            if share.owner in known and share.owned not in known:
                total[share.owned] = total.get(share.owned, 0) + share.basis_points
        more = [party for party in sorted(total) if total[party] >= HALF]
        if not more:
            break
        for party in more:
            known[party] = 1
            found.append(party)
    return found
