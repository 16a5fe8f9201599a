"""How recalled goods end: back at the recalling firm, or destroyed where they are.

What consignees do with the goods is the recalling firm's to say (21 CFR 7.42, 7.49(c)): who is to
send them back, or to keep them, destroys them only by its consent or a regulator's, on record.
"""

from __future__ import annotations

from typing import Final

from contracts.sdk import Map, OrganisationId, call, query, refuse
from contracts.supply.recall_notices import Notices
from contracts.supply.recall_records import (
    DRAFT,
    ITEMS_MAX,
    SHOWN_MAX,
    TO_DESTROY,
    Consent,
    DocumentCommitment,
    Goods,
    Grounds,
    Items,
    Number,
    Position,
    Recall,
    Return,
)

CONSENTED: Final = 1_000  # consents that one query gives


class Returns(Notices):
    """Returns, destructions, and the consents to these."""

    returns = Map(Return, key=("number", "return"))
    consents = Map(Consent, key=("number", "holder"))

    @call
    def return_goods(
        self, number: Number, items: Items, owner: OrganisationId | None = None
    ) -> None:
        """Send recalled goods out of quarantine back to the recalling firm.

        They arrive there in quarantine, and count as recovered when it receives them. ``owner``
        says whose they are, where they are not the caller's own.
        """
        recall = self._recall(number)
        self._check_covered(number, recall, items)
        self.invoke("batch", "ship_back", items=items, consignee=recall.firm, owner=owner)
        self._enter_return(number, recall, "RETURNED", items, None)

    @call(roles=("manufacturer", "regulator"), meaning="approval")
    def consent(self, number: Number, holder: OrganisationId, grounds: Grounds) -> None:
        """Let a holder destroy recalled goods where they are, though the strategy does not say so.

        The recalling firm's, or a regulator's. ``grounds`` are public. A later consent replaces it,
        and stands beside it in the audit trail.
        """
        recall = self._recall(number)
        if recall.firm != self.ctx.organisation and "regulator" not in self.ctx.roles:
            refuse("NOT_RECALLING_FIRM", f"recall {number} is {recall.firm}'s")
        self._check_held(number, recall)
        if not self.invoke("identity", "is_active", id=holder):
            refuse("UNKNOWN_ORGANISATION", f"{holder} is no active organisation")
        given = Consent(holder, self.ctx.organisation, self.ctx.time_ms, grounds)
        self.consents.put((number, holder), given)
        self.emit("DestructionConsented", number=number, holder=holder)

    @call
    def destroy(
        self,
        number: Number,
        items: Items,
        certificate: DocumentCommitment | None = None,
        owner: OrganisationId | None = None,
    ) -> None:
        """Destroy recalled goods where they are: own ones, and at the recalling firm those of the
        ``owner`` who sent them back. The certificate stays with the parties.
        """
        recall = self._recall(number)
        me = self.ctx.organisation
        if owner is not None and owner != me and me != recall.firm:
            refuse("NOT_OWNER", f"only {recall.firm}, which recalls, destroys others' goods")
        self._check_held(number, recall)
        consented_by = self._consent_to(number, recall, me)
        self._check_covered(number, recall, items)
        self.invoke("batch", "destroy_recalled", items=items, owner=owner or me)
        self._enter_return(number, recall, "DESTROYED", items, certificate, consented_by)

    # --- asking -----------------------------------------------------------------------------

    @query
    def returns_of(self, number: Number, after: Position = 0) -> list[Return]:
        """What went back or was destroyed by way of the recall: the first hundred behind one."""
        found: list[Return] = []
        for at in range(after + 1, after + SHOWN_MAX + 1):
            entry = self.returns.get((number, at))
            if entry is not None:
                found.append(entry)
        return found

    @query
    def consents_of(self, number: Number) -> list[Consent]:
        """Who may destroy goods of the recall where they are, by whose consent."""
        return list(self.consents.values(number, limit=CONSENTED))

    # --- how --------------------------------------------------------------------------------

    def _consent_to(self, number: int, recall: Recall, holder: str) -> str:
        """Who lets a holder destroy the goods: empty where the strategy does, or it recalls."""
        if holder == recall.firm:
            return ""
        if recall.strategy is not None and recall.strategy.disposal == TO_DESTROY:
            return ""
        given = self.consents.get((number, holder))
        if given is None:
            refuse("CONSENT_MISSING", f"{recall.firm} or a regulator must consent first")
        return given.by

    def _check_held(self, number: int, recall: Recall) -> None:
        if recall.state == DRAFT or recall.released_at:
            refuse("WRONG_STATE", f"the goods of recall {number} are not held")

    def _check_covered(self, number: int, recall: Recall, items: list[Goods]) -> None:
        """Refuse goods of which anything is not held by this recall."""
        self._check_held(number, recall)
        packages = self.invoke("batch", "packages", items=items)
        if not packages:
            refuse("NOT_RECALLED", "there is nothing in it")
        names = [package["item"] for package in packages]
        for first in range(0, len(names), ITEMS_MAX):
            page = [{"item": name} for name in names[first : first + ITEMS_MAX]]
            covered = self.invoke("batch", "covered", items=page, recall=number)
            for at, known in enumerate(covered):
                if not known:
                    refuse("NOT_RECALLED", f"{page[at]['item']} is not of recall {number}")

    def _enter_return(
        self,
        number: int,
        recall: Recall,
        kind: str,
        items: list[Goods],
        paper: bytes | None,
        consented_by: str = "",
    ) -> None:
        recall.returns += 1
        me = self.ctx.organisation
        entry = Return(me, kind, items, self.ctx.time_ms, paper, consented_by)
        self.returns.put((number, recall.returns), entry)
        self.recalls.put(number, recall)
        name = "GoodsReturned" if kind == "RETURNED" else "GoodsDestroyed"
        things = [{"item": goods.item} for goods in items]
        self.emit(name, number=number, holder=me, items=things)
