"""Authorised trading partners: who may trade in medicines, by which licences, at this moment."""

from __future__ import annotations

from typing import Any

from contracts.sdk import Contract, Counter, Date, Map, OrganisationId, call, query, refuse
from contracts.supply.dscsa_records import (
    ACTIVE,
    FEDERAL,
    LICENCES_MAX,
    LOGISTICS,
    REVOKED,
    SUSPENDED,
    Authority,
    Kind,
    Licence,
    LicenceChange,
    LicenceReason,
    Number,
    Reference,
)


class Partners(Contract):
    """Licences and registrations, as a regulator or the consortium takes them down."""

    licence_numbers = Counter()
    licences = Map(Licence, key=("organisation", "number"))
    licence_changes = Map(
        LicenceChange, key=("organisation", "number", "height", "tx_index", "call_index")
    )

    @call(roles=("regulator", "consortium_admin"), meaning="approval")
    def grant_licence(
        self,
        organisation: OrganisationId,
        kind: Kind,
        authority: Authority,
        reference: Reference,
        valid_from: Date,
        valid_until: Date,
    ) -> int:
        """Take down a licence or registration of another organisation.

        Manufacturers and repackagers are registered with the FDA (``authority`` US), dispensers
        licensed by a State (US-NJ); wholesalers and logistics providers by either: 581(2).
        """
        self._check_other(organisation)
        if kind in ("MANUFACTURER", "REPACKAGER") and authority != FEDERAL:
            refuse("WRONG_AUTHORITY", f"a {kind.lower()} is registered with the FDA: US")
        if kind == "DISPENSER" and authority == FEDERAL:
            refuse("WRONG_AUTHORITY", "a dispenser is licensed by a State: US-NJ")
        if valid_from > valid_until:
            refuse("BAD_PERIOD", "a licence ends after it begins")
        if len(list(self.licences.values(organisation, limit=LICENCES_MAX))) == LICENCES_MAX:
            refuse("TOO_MANY_LICENCES", f"{organisation} has {LICENCES_MAX} licences")
        number = self.licence_numbers.add()
        licence = Licence(number, organisation, kind, authority, reference, valid_from, valid_until)
        self._change(licence, "")
        return number

    @call(roles=("regulator", "consortium_admin"), meaning="approval")
    def renew_licence(
        self, organisation: OrganisationId, licence: Number, valid_until: Date
    ) -> None:
        """Have a licence end on another day. One that is suspended stays so."""
        found = self._licence(organisation, licence)
        if valid_until < found.valid_from:
            refuse("BAD_PERIOD", "a licence ends after it begins")
        found.valid_until = valid_until
        self._change(found, "RENEWED")

    @call(roles=("regulator", "consortium_admin"), meaning="approval")
    def suspend_licence(
        self, organisation: OrganisationId, licence: Number, reason: LicenceReason
    ) -> None:
        """Let a licence count no more until it is reinstated."""
        found = self._licence(organisation, licence)
        if found.state != ACTIVE:
            refuse("WRONG_STATE", f"licence {licence} is {found.state}")
        found.state = SUSPENDED
        self._change(found, reason)

    @call(roles=("regulator", "consortium_admin"), meaning="approval")
    def reinstate_licence(
        self, organisation: OrganisationId, licence: Number, reason: LicenceReason
    ) -> None:
        """Let a suspended licence count again, as long as it lasts."""
        found = self._licence(organisation, licence)
        if found.state != SUSPENDED:
            refuse("WRONG_STATE", f"licence {licence} is {found.state}")
        found.state = ACTIVE
        self._change(found, reason)

    @call(roles=("regulator",), meaning="approval")
    def revoke_licence(
        self, organisation: OrganisationId, licence: Number, reason: LicenceReason
    ) -> None:
        """End a licence for good."""
        found = self._licence(organisation, licence)
        found.state = REVOKED
        self._change(found, reason)

    # --- asking -----------------------------------------------------------------------------

    @query
    def authorised(self, organisation: OrganisationId) -> dict[str, Any]:
        """Whether an organisation is an authorised trading partner at this moment, by what, and
        whether it may own product: logistics providers may not (581(22)).
        """
        kinds = self._kinds(organisation)
        return {
            "authorised": bool(kinds),
            "may_own": self._may_own(organisation),
            "kinds": kinds,
            "day": self.ctx.today,
        }

    @query
    def may_trade(self, seller: OrganisationId, buyer: OrganisationId) -> bool:
        """Whether ownership may pass from one to the other at this moment."""
        return self._may_own(seller) and self._may_own(buyer)

    @query
    def licences_of(self, organisation: OrganisationId) -> list[dict[str, Any]]:
        """An organisation's licences, and all that ever became of them."""
        found = []
        for licence in self.licences.values(organisation):
            changes = list(
                self.licence_changes.values((organisation, licence.number), limit=LICENCES_MAX)
            )
            found.append({"licence": licence, "changes": changes})
        return found

    # --- how --------------------------------------------------------------------------------

    def _kinds(self, organisation: str) -> list[str]:
        """As what an organisation is licensed now, by the block's date."""
        if not self.invoke("identity", "is_active", id=organisation):
            return []
        found: list[str] = []
        for one in self.licences.values(organisation):
            counts = one.state == ACTIVE and one.valid_from <= self.ctx.today <= one.valid_until
            if counts and one.kind not in found:
                found.append(one.kind)
        return sorted(found)

    def _may_own(self, organisation: str) -> bool:
        return any([kind != LOGISTICS for kind in self._kinds(organisation)])

    def _check_may_own(self, organisation: str) -> None:
        if not self._may_own(organisation):
            refuse(
                "NOT_AUTHORISED_PARTNER",
                f"{organisation} is no authorised trading partner today that may own product",
            )

    def _check_other(self, organisation: str) -> None:
        if organisation == self.ctx.organisation:
            refuse("OWN_ORGANISATION", "another one takes down the own licences")
        if self.invoke("identity", "organisation", id=organisation) is None:
            refuse("UNKNOWN_ORGANISATION", f"{organisation} is not registered")

    def _licence(self, organisation: str, number: int) -> Licence:
        """A licence that was not revoked."""
        self._check_other(organisation)
        found = self.licences.get((organisation, number))
        if found is None:
            refuse("NOT_FOUND", f"{organisation} has no licence {number}")
        if found.state == REVOKED:
            refuse("WRONG_STATE", f"licence {number} was revoked for good")
        return found

    def _change(self, licence: Licence, reason: str) -> None:
        """Keep a licence as it is now, and the change behind those before."""
        me, key = self.ctx.organisation, (licence.organisation, licence.number)
        self.licences.put(key, licence)
        change = LicenceChange(licence.state, licence.valid_until, reason, me, self.ctx.time_ms)
        place = (*key, self.ctx.height, self.ctx.tx_index, self.ctx.call_index)
        self.licence_changes.put(place, change)
        self.emit(
            "LicenceChanged",
            organisation=licence.organisation,
            licence=licence.number,
            kind=licence.kind,
            authority=licence.authority,
            state=licence.state,
            valid_from=licence.valid_from,
            valid_until=licence.valid_until,
            reason=reason,
        )
