"""Who is entitled to the openings of commitments, and who has erased them.

What stands behind a commitment never comes here: the nodes of those entitled keep it encrypted and
fetch it from one another, sealed to the asker (docs/spec/vault.md). A node gives by these entries
alone. The first to share a commitment is its author; a copy of it, taken out of somebody's
transaction, entitles nobody, for only those entitled share it on.
"""

from __future__ import annotations

from typing import Annotated, Any, Final

from contracts.sdk import (
    Blob,
    Choice,
    Contract,
    Map,
    OrganisationId,
    Record,
    Size,
    call,
    query,
    refuse,
)

COMMITMENTS_MAX: Final = 64
ENTITLED_MAX: Final = 32

Commitment = Annotated[bytes, Blob(32, 32)]
Commitments = Annotated[list[Commitment], Size(COMMITMENTS_MAX, 1)]
Organisations = Annotated[list[OrganisationId], Size(ENTITLED_MAX)]
Reason = Annotated[str, Choice("REQUEST", "RETENTION", "MISTAKE", "OTHER")]


class Entry(Record):
    """Who may know what stands behind a commitment."""

    author: OrganisationId
    since: int  # block time, ms
    organisations: list[str]  # all who are entitled, the author first
    commitment: bytes = b""  # by which a node that starts finds what it is entitled to


class Erasure(Record):
    """An organisation's word that its nodes hold an opening no more."""

    organisation: OrganisationId
    at: int  # block time, ms
    by: bytes  # the key that signed it
    reason: Reason


class Vault(Contract):
    """Entitlements to openings, and receipts of their erasure (GDPR 17)."""

    name = "vault"
    audited = True

    entries = Map(Entry, key=("commitment",), hashed=("commitment",))
    erasures = Map(Erasure, key=("commitment", "organisation"), hashed=("commitment",))

    @call
    def entitle(self, commitments: Commitments, organisations: Organisations) -> None:
        """Entitle organisations to the openings of these commitments.

        By the author, whose organisation shares them first, or one of those entitled. Entitlement
        can't be taken back: what was shown was shown.
        """
        me = self.ctx.organisation
        if not me:
            refuse("NOT_AUTHORISED", "an organisation's key shares")
        for commitment in commitments:
            entry = self.entries.get(commitment)
            if entry is None:
                entry = Entry(me, self.ctx.time_ms, [me], commitment)
            elif me not in entry.organisations:
                refuse("COMMITMENT_USED", f"{me} is not entitled to {commitment.hex()}")
            for organisation in organisations:
                if organisation not in entry.organisations:
                    entry.organisations.append(organisation)
            if len(entry.organisations) > ENTITLED_MAX:
                refuse("TOO_MANY_ENTITLED", f"at most {ENTITLED_MAX} know of one opening")
            self.entries.put(commitment, entry)
        self.emit("Shared", commitments=commitments, organisations=organisations)

    @call(meaning="responsibility")
    def erased(self, commitments: Commitments, reason: Reason) -> None:
        """Confirm that the own nodes have erased the openings of these commitments.

        Nodes of the organisation that still have one destroy it when they see this, and none
        fetches it again.
        """
        me = self.ctx.organisation
        for commitment in commitments:
            entry = self.entries.get(commitment)
            if entry is None or me not in entry.organisations:
                refuse("NOT_ENTITLED", f"{me or 'nobody'} is not entitled to {commitment.hex()}")
            if (commitment, me) in self.erasures:
                refuse("ALREADY_ERASED", f"{commitment.hex()} was erased before")
            erasure = Erasure(me, self.ctx.time_ms, self.ctx.caller, reason)
            self.erasures.put((commitment, me), erasure)
        self.emit("Erased", commitments=commitments, organisation=me, reason=reason)

    @query
    def entry(self, commitment: Commitment) -> dict[str, Any] | None:
        """Who is entitled to an opening, and who of them has erased it."""
        found = self.entries.get(commitment)
        if found is None:
            return None
        erased: list[Erasure] = []
        for organisation in found.organisations:
            erasure = self.erasures.get((commitment, organisation))
            if erasure is not None:
                erased.append(erasure)
        return {"entry": found, "erased": erased}

    @query
    def entitled(self, commitments: Commitments) -> list[Entry | None]:
        """The entries of several commitments, in their order."""
        return [self.entries.get(commitment) for commitment in commitments]
