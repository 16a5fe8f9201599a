"""From hits and owners to what a decision rests on: the compliance contract's ``Assessment``."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any, Final, NamedTuple

from cli.screening.lists import SanctionsList
from cli.screening.matching import NAME_LENGTH_MAX, Hit, algorithm, form_of, screen
from consensus.primitives.errors import InputError
from contracts.compliance.ownership import SHARES_MAX, WHOLE, Share, counted_as_listed
from contracts.sdk.errors import ContractError

FILE_BYTES_MAX: Final = 1 << 20
OWNED_POINTS: Final = 100


class Clearance(NamedTuple):
    """An officer's word that one entry of a list is not one party. It is nobody else's: a
    namesake, and an entry whose listed name has changed since, are looked into anew."""

    party: str
    entry: str
    name: str
    reason: str


def read_clearances(path: Path) -> list[Clearance]:
    """A JSON list of objects with party, entry, name and reason. Raises InputError."""
    try:
        rows = json.loads(_read(path))
        made = [Clearance(**row) for row in rows]
    except (ValueError, TypeError, RecursionError) as error:
        raise InputError("CLEARANCES_INVALID", f"{path}: {error}") from None
    if not all(isinstance(part, str) and part for one in made for part in one):
        raise InputError("CLEARANCES_INVALID", f"{path}: party, entry, name and reason are texts")
    return made


def read_shares(path: Path) -> list[Share]:
    """Rows ``owner,owned,percent`` with at most two decimals. Raises InputError OWNERS_INVALID."""
    made = []
    try:
        rows = list(csv.reader(io.StringIO(_read(path).decode("utf-8-sig"))))
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError("OWNERS_INVALID", f"{path}: {error}") from None
    for number, row in enumerate(rows, 1):
        if not row or row == ["owner", "owned", "percent"]:
            continue
        try:
            owner, owned, percent = (cell.strip() for cell in row)
            points = Decimal(percent) * 100
            if points != int(points) or not 0 < points <= WHOLE or not owner or not owned:
                raise ValueError
            made.append(Share(owner, owned, int(points)))
        except (ValueError, ArithmeticError, InvalidOperation):
            raise InputError(
                "OWNERS_INVALID", f"{path}:{number}: no owner, owned and per cent up to 100.00"
            ) from None
    if len(made) > SHARES_MAX:
        raise InputError("OWNERS_INVALID", f"{path} has more than {SHARES_MAX} shares")
    return made


def _read(path: Path) -> bytes:
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise InputError("FILE_NOT_READABLE", f"{path}: {error.strerror}") from None
    if len(raw) > FILE_BYTES_MAX:
        raise InputError("FILE_TOO_LARGE", f"{path} is larger than {FILE_BYTES_MAX} bytes")
    return raw


class Looked(NamedTuple):
    """What came out: the assessment as the contract takes it, and the hits as they were found."""

    assessment: dict[str, Any]
    hits: list[Hit]
    owned: list[str]  # what counts as listed by the fifty per cent rule, of the shares given


def assess(
    party: str,
    names: Sequence[str],
    against: SanctionsList,
    *,
    threshold: int,
    clearances: Sequence[Clearance] = (),
    shares: Sequence[Share] = (),
    factors: Sequence[tuple[str, int]] = (),
) -> Looked:
    """Screen a party and all owners in its chain, and propose a decision.

    BLOCK where listed owners have half of it, REVIEW where a hit stands, else CLEAR. What is
    proposed is no decision: an officer takes that. Raises InputError OWNERS_INVALID.
    """
    for one in names:
        if len(one) > NAME_LENGTH_MAX or not form_of(one).words:
            raise InputError(
                "NAME_NOT_COMPARABLE",
                f"{one[:40]!r} is no name: letters or digits, at most {NAME_LENGTH_MAX} characters",
            )
    hits = screen(names, against, threshold)
    cleared = {
        (one.entry, one.name): one.reason for one in clearances if party and one.party == party
    }
    rows = [_row(hit, against.name, cleared) for hit in hits]
    standing = [row for row in rows if not row["cleared"]]
    name = names[0]
    owners = dict.fromkeys(one for share in shares for one in (share.owner, share.owned))
    own = {form_of(one).text for one in names}
    selves = [one for one in owners if form_of(one).text in own]
    if shares and not selves:
        raise InputError("OWNERS_INVALID", f"the owners' file says nothing of {name}")
    shares = [_named(share, selves, name) for share in shares]
    owners = dict.fromkeys(one for share in shares for one in (share.owner, share.owned))
    listed = [one for one in owners if one != name and screen([one], against, threshold)]
    try:
        counted = counted_as_listed(list(shares), listed)
    except ContractError as error:
        raise InputError("OWNERS_INVALID", error.message) from None
    owned = [one for one in counted if one not in listed]
    points = list(factors)
    if standing:
        points.append(("the best hit that stands, per cent", max(row["score"] for row in standing)))
    if name in owned:
        points.append(("owned by listed parties to half or more", OWNED_POINTS))
    decision = "BLOCK" if name in owned else "REVIEW" if standing else "CLEAR"
    assessment = {
        "party": party,
        "name": name,
        "algorithm": algorithm(),
        "threshold": threshold,
        "lists": [{"name": against.name, "digest": against.digest}],
        "hits": rows,
        "shares": [
            {"owner": one.owner, "owned": one.owned, "basis_points": one.basis_points}
            for one in shares
        ],
        "listed_owners": listed,
        "factors": [{"name": what, "points": value} for what, value in points],
        "score": sum(value for _, value in points),
        "decision": decision,
    }
    return Looked(assessment, hits, owned)


def _named(share: Share, selves: Sequence[str], name: str) -> Share:
    """The share with the party under the one name that it is screened by."""
    owner = name if share.owner in selves else share.owner
    owned = name if share.owned in selves else share.owned
    return Share(owner, owned, share.basis_points)


def _row(hit: Hit, list_name: str, cleared: dict[tuple[str, str], str]) -> dict[str, Any]:
    listed = hit.listed
    return {
        "list_name": list_name,
        "entry": listed.entry,
        "name": listed.name,
        "score": hit.score,
        "cleared": cleared.get((listed.entry, listed.name), ""),
    }
