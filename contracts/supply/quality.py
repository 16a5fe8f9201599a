"""Quality: goods are inspected by a laboratory, against limits that were set before.

::

    REQUESTED -> RECORDED -> REVIEWED -> DECIDED: ACCEPTED | CONDITIONAL | REJECTED
    RECORDED | REVIEWED -> REQUESTED (sent back)     REQUESTED -> DECLINED | CANCELLED

The verdict is computed from results and limits; nobody writes it. Two persons of the laboratory
sign it: who reviews is not who approves. Nothing is overwritten: results that were sent back and
inspections that failed stay, and what repeats one names it, and why.

The maker of a lot, or a regulator, has the whole lot inspected; others what they hold of it. From
the request on the goods stand still (contract batch locks them), until an inspection accepts them.
What was accepted on conditions goes when the maker or a regulator takes the responsibility. Where
trade item or consortium demand an inspection, goods stand still without one, too.
"""

from __future__ import annotations

from typing import Any, Final

from contracts.sdk import (
    Contract,
    Counter,
    Date,
    DocumentHash,
    Index,
    Item,
    Map,
    OrganisationId,
    call,
    query,
    refuse,
    sha256,
)
from contracts.supply.quality_records import (
    ACCEPTED,
    APPROVAL,
    CANCELLED,
    CONDITIONAL,
    DECIDED,
    DECLINED,
    OPEN,
    RECORDED,
    REJECTED,
    REQUESTED,
    RESPONSIBILITY,
    REVIEW,
    REVIEWED,
    ROUNDS_MAX,
    SHOWN_MAX,
    Certificate,
    CertificateType,
    Characteristic,
    Characteristics,
    DeclineReason,
    Inspection,
    MaybeGtin,
    Measurements,
    Note,
    Number,
    Plan,
    Reference,
    Repeat,
    Result,
    ReturnReason,
    Revocation,
    Signature,
    judged,
    name_of,
    worst,
)

CLEAR: Final = "CLEAR"
PENDING: Final = "PENDING"


class Quality(Contract):
    """Inspections of lots, serials and logistic units, with verdicts and certificates."""

    name = "quality"
    audited = True

    numbers = Counter()
    plan_numbers = Counter()
    certificate_numbers = Counter()
    plans = Map(Plan, key=("plan",))
    inspections = Map(Inspection, key=("inspection",))
    inspections_by_item = Index(inspections, on=("item",), hashed=("item",))
    newest = Map(int, key=("item", "holder"), hashed=("item",))
    results = Map(Result, key=("inspection", "round", "place"))
    signed = Map(Signature, key=("inspection", "place"))
    certificates = Map(Certificate, key=("certificate",))
    certificates_by_item = Index(certificates, on=("item",), hashed=("item",))
    certificates_for = Index(certificates, on=("inspection",))

    # --- plans ------------------------------------------------------------------------------

    @call(roles=("manufacturer", "wholesaler", "dispenser", "regulator"))
    def define_plan(self, characteristics: Characteristics, gtin: MaybeGtin = None) -> int:
        """Say what is measured and within which limits, of a trade item or of anything."""
        check_limits(characteristics)
        number = self.plan_numbers.add()
        me = self.ctx.organisation
        self.plans.put(number, Plan(me, gtin or "", characteristics, self.ctx.time_ms))
        self.emit("PlanDefined", plan=number, author=me, gtin=gtin or "")
        return number

    @call(own=("plans", "plan", "author"))
    def retire_plan(self, plan: Number) -> None:
        """Have no more inspections by a plan. Those that began with it end with it."""
        found = self._plan(plan)
        found.retired = True
        self.plans.put(plan, found)
        self.emit("PlanRetired", plan=plan)

    # --- request ----------------------------------------------------------------------------

    @call(roles=("manufacturer", "wholesaler", "dispenser", "logistics_operator", "regulator"))
    def request(
        self,
        item: Item,
        laboratory: OrganisationId,
        plan: Number,
        holder: OrganisationId | None = None,
        repeat: Repeat | None = None,
        note: Note | None = None,
    ) -> int:
        """Have goods inspected: a whole lot by its maker or a regulator; what is held of a lot by
        its ``holder`` or who owns some of it; a serial or logistic unit by holder or owner.

        ``repeat`` says why what an inspection did not accept is inspected again.
        """
        me, is_regulator = self.ctx.organisation, "regulator" in self.ctx.roles
        standing = self.invoke("batch", "standing", item=item, organisation=me)
        scope = self._scope(item, holder, standing)
        self._check_laboratory(laboratory)
        is_binding = self._check_plan(plan, item, standing["maker"])
        previous = self.newest.get((item, scope)) or 0
        if previous:
            self._check_repeat(previous, repeat)
        number = self.numbers.add()
        inspection = Inspection(
            item=item,
            holder=scope,
            requester=me,
            laboratory=laboratory,
            plan=plan,
            is_binding=is_binding,
            by_regulator=is_regulator,
            state=REQUESTED,
            requested_at=self.ctx.time_ms,
            previous=previous,
            repeat=repeat or "",
            note=note,
        )
        self.inspections.put(number, inspection)
        self.newest.put((item, scope), number)
        if not previous:  # else what was decided before counts until the new verdict
            self._lock(inspection, PENDING, number)
        self.emit(
            "InspectionRequested",
            inspection=number,
            item=item,
            holder=scope,
            requester=me,
            laboratory=laboratory,
            plan=plan,
            previous=previous,
            repeat=repeat or "",
        )
        return number

    @call
    def cancel_request(self, inspection: Number) -> None:
        """End an inspection without a decision: its requester, as long as there are no results; a
        regulator also later. Results stay, and what was decided before counts again.
        """
        found = self.inspections.get(inspection)
        if found is None or found.state not in OPEN:
            refuse("WRONG_STATE", f"inspection {inspection} is not under way")
        is_regulator = "regulator" in self.ctx.roles
        if not is_regulator and found.requester != self.ctx.organisation:
            refuse("NOT_AUTHORISED", "its requester or a regulator cancels an inspection")
        if not is_regulator and (found.state != REQUESTED or found.round > 1):
            refuse("WRONG_STATE", f"inspection {inspection} has results: a regulator cancels it")
        self._end(inspection, found, CANCELLED, "")

    @call(own=("inspections", "inspection", "laboratory"))
    def decline(self, inspection: Number, reason: DeclineReason) -> None:
        """Refuse, as the laboratory, to inspect."""
        found = self._inspection(inspection, REQUESTED)
        if found.round > 1:
            refuse("WRONG_STATE", f"inspection {inspection} has results")
        self._end(inspection, found, DECLINED, reason)

    # --- laboratory -------------------------------------------------------------------------

    @call(roles=("laboratory",), own=("inspections", "inspection", "laboratory"))
    def record_results(self, inspection: Number, results: Measurements) -> str:
        """State the results of all characteristics of the plan, and learn the verdict."""
        found = self._inspection(inspection, REQUESTED)
        limits: dict[str, Characteristic] = {}
        for one in self._plan(found.plan).characteristics:
            limits[name_of(one.code, one.ordinal)] = one
        verdicts: list[str] = []
        seen: dict[str, bool] = {}
        for result in results:
            name = name_of(result.code, result.ordinal)
            if name not in limits:
                refuse("RESULT_UNKNOWN", f"{name} is not in plan {found.plan}")
            if name in seen:
                refuse("RESULT_TWICE", f"{name} stands twice")
            seen[name] = True
            limit = limits[name]
            verdict = judged(limit, result.value)
            self.results.put(
                (inspection, found.round, len(verdicts)),
                Result(
                    found.round,
                    result.code,
                    result.ordinal,
                    result.value,
                    limit.unit,
                    limit.scale,
                    verdict,
                ),
            )
            verdicts.append(verdict)
        missing = [name for name in limits if name not in seen]
        if missing:
            refuse("RESULT_MISSING", f"plan {found.plan} wants {missing[0]}, too")
        found.verdict = worst(verdicts)
        found.state = RECORDED
        self.inspections.put(inspection, found)
        self.emit(
            "ResultsRecorded",
            inspection=inspection,
            item=found.item,
            round=found.round,
            verdict=found.verdict,
        )
        return found.verdict

    @call(
        roles=("laboratory",),
        own=("inspections", "inspection", "laboratory"),
        meaning="review",
    )
    def review(self, inspection: Number) -> None:
        """Sign the results as the examiner."""
        found = self._inspection(inspection, RECORDED)
        self._sign(inspection, found, REVIEW)
        found.state = REVIEWED
        self.inspections.put(inspection, found)

    @call(
        roles=("laboratory",),
        own=("inspections", "inspection", "laboratory"),
        meaning="approval",
    )
    def approve(self, inspection: Number) -> str:
        """Sign the verdict, as another person than the examiner: it counts from now on."""
        found = self._inspection(inspection, REVIEWED)
        self._sign(inspection, found, APPROVAL)
        found.state = DECIDED
        found.decided_at = self.ctx.time_ms
        self.inspections.put(inspection, found)
        self._lock_by(inspection)
        self.emit(
            "InspectionDecided",
            inspection=inspection,
            item=found.item,
            holder=found.holder,
            verdict=found.verdict,
        )
        return found.verdict

    @call(roles=("laboratory",), own=("inspections", "inspection", "laboratory"))
    def send_back(self, inspection: Number, reason: ReturnReason) -> None:
        """Refuse to sign: results are to be stated anew. The ones there stay as they are."""
        found = self._inspection(inspection, RECORDED, REVIEWED)
        if found.round == ROUNDS_MAX:
            refuse("TOO_MANY_ROUNDS", f"results were sent back {ROUNDS_MAX - 1} times")
        self._person()
        found.state, found.verdict = REQUESTED, ""
        found.round += 1
        self.inspections.put(inspection, found)
        self.emit("ResultsSentBack", inspection=inspection, round=found.round, reason=reason)

    # --- after the decision -----------------------------------------------------------------

    @call(roles=("manufacturer", "regulator"), meaning="responsibility")
    def concede(self, inspection: Number) -> None:
        """Let go what was accepted on conditions: its maker or a regulator takes responsibility."""
        found = self._inspection(inspection, DECIDED)
        if found.verdict != CONDITIONAL or found.is_conceded:
            refuse("NOT_CONDITIONAL", f"inspection {inspection} has no open conditions")
        standing = self.invoke(
            "batch", "standing", item=found.item, organisation=self.ctx.organisation
        )
        if "regulator" not in self.ctx.roles and not standing["is_maker"]:
            refuse("NOT_MAKER", f"{found.item} was made by {standing['maker']}")
        self._sign(inspection, found, RESPONSIBILITY)
        found.is_conceded = True
        self.inspections.put(inspection, found)
        self._lock_by(inspection)
        self.emit("ConcessionGranted", inspection=inspection, item=found.item)

    @call(
        roles=("laboratory",),
        own=("inspections", "inspection", "laboratory"),
        meaning="responsibility",
    )
    def issue_certificate(
        self,
        inspection: Number,
        document: DocumentHash,
        type: CertificateType,
        number: Reference,
        valid_from: Date,
        valid_until: Date,
    ) -> int:
        """Certify a decided inspection. ``type`` is a code of UN/EDIFACT 1001: 1 analysis,
        2 conformity, 3 quality, 4 test report, 14 weight, 851 phytosanitary, 852 sanitary,
        853 veterinary, 856 inspection. The document's number is the parties' alone.
        """
        found = self._inspection(inspection, DECIDED)
        if found.verdict == REJECTED or found.is_withdrawn:
            refuse("NOT_ACCEPTED", f"inspection {inspection} accepted nothing")
        if valid_from > valid_until:
            refuse("BAD_PERIOD", "a certificate ends after it begins")
        issued = self.certificate_numbers.add()
        self.certificates.put(
            issued,
            Certificate(
                inspection,
                found.item,
                found.laboratory,
                document,
                type,
                number,
                valid_from,
                valid_until,
                self.ctx.time_ms,
            ),
        )
        self.emit(
            "CertificateIssued",
            certificate=issued,
            inspection=inspection,
            item=found.item,
            type=type,
            document=document,
            valid_from=valid_from,
            valid_until=valid_until,
        )
        return issued

    @call(roles=("laboratory", "regulator"))
    def revoke_certificate(self, certificate: Number, reason: Revocation) -> None:
        """End a certificate for good: its laboratory or a regulator.

        Unless another document took its place, the inspection lets no goods go any more.
        """
        found = self.certificates.get(certificate)
        if found is None:
            refuse("NOT_FOUND", f"there is no certificate {certificate}")
        if "regulator" not in self.ctx.roles and found.laboratory != self.ctx.organisation:
            refuse("NOT_AUTHORISED", "its laboratory or a regulator revokes a certificate")
        if found.revoked_at:
            refuse("CERTIFICATE_REVOKED", f"certificate {certificate} was revoked")
        found.revoked_at, found.revocation = self.ctx.time_ms, reason
        found.revoked_by = self.ctx.organisation
        self.certificates.put(certificate, found)
        self.emit("CertificateRevoked", certificate=certificate, item=found.item, reason=reason)
        inspection = self._inspection(found.inspection, DECIDED)
        if reason != "SUPERSEDED" and not inspection.is_withdrawn:
            inspection.is_withdrawn = True
            self.inspections.put(found.inspection, inspection)
            self._lock_by(found.inspection)
            self.emit("InspectionWithdrawn", inspection=found.inspection, item=found.item)

    # --- asking -----------------------------------------------------------------------------

    @query
    def inspection(self, inspection: Number) -> dict[str, Any] | None:
        """An inspection with its plan, the results of all rounds, signatures and certificates."""
        found = self.inspections.get(inspection)
        if found is None:
            return None
        certificates = list(self.certificates_for.values(inspection, limit=SHOWN_MAX))
        return {
            "number": inspection,
            "record": found,
            "plan": self._plan(found.plan),
            "results": list(self.results.values(inspection)),
            "signatures": list(self.signed.values(inspection)),
            "record_hash": self._record_hash(inspection, found),
            "certificates": [self._with_status(one) for one in certificates],
        }

    @query
    def inspections_of(self, item: Item) -> list[dict[str, Any]]:
        """The first hundred inspections of a thing, oldest first."""
        numbers = list(self.inspections_by_item.keys(item, limit=SHOWN_MAX))
        return [{"number": one, "record": self.inspections.get(one)} for one in numbers]

    @query
    def plan(self, plan: Number) -> Plan | None:
        """An inspection plan."""
        return self.plans.get(plan)

    @query
    def certificate(self, certificate: Number) -> dict[str, Any] | None:
        """A certificate, and what it is worth on the newest block's date."""
        found = self.certificates.get(certificate)
        return None if found is None else self._with_status(found)

    @query
    def certificates_of(self, item: Item) -> list[dict[str, Any]]:
        """The first hundred certificates of a thing, and what they are worth today."""
        found = list(self.certificates_by_item.values(item, limit=SHOWN_MAX))
        return [self._with_status(one) for one in found]

    # --- how --------------------------------------------------------------------------------

    def _plan(self, number: int) -> Plan:
        found = self.plans.get(number)
        if found is None:
            refuse("NOT_FOUND", f"there is no plan {number}")
        return found

    def _inspection(self, number: int, state: str, or_state: str = "") -> Inspection:
        """An inspection in this state, or in the other one."""
        found = self.inspections.get(number)
        if found is None:
            refuse("NOT_FOUND", f"there is no inspection {number}")
        if found.state != state and found.state != or_state:
            refuse("WRONG_STATE", f"inspection {number} is {found.state}")
        return found

    def _scope(self, item: str, holder: str | None, standing: dict[str, Any]) -> str:
        """Whose stock an inspection is about; empty for the whole lot or a single thing."""
        me, is_lot = self.ctx.organisation, item[18:20] == "10"
        if "regulator" in self.ctx.roles or (is_lot and standing["is_maker"] and holder is None):
            return ""
        if not standing["holds"] and not standing["owns"]:
            refuse("NOT_HOLDER", f"{item} is neither with {me} nor its own")
        if not is_lot:
            return ""
        at = holder or me
        there = self.invoke("batch", "standing", item=item, organisation=me, at=at)
        if not there["owns"] and not (at == me and there["holds"]):
            refuse("NOT_HOLDER", f"{at} has none of {item} that is {me}'s")
        return at

    def _check_laboratory(self, laboratory: str) -> None:
        found = self.invoke("identity", "organisation", id=laboratory)
        is_active = self.invoke("identity", "is_active", id=laboratory)
        if not is_active or "laboratory" not in found["roles"]:
            refuse("UNKNOWN_LABORATORY", f"{laboratory} is no active laboratory")

    def _check_plan(self, number: int, item: str, maker: str) -> bool:
        """Whether acceptance by this plan lets goods go that need an inspection."""
        plan = self._plan(number)
        if plan.retired:
            refuse("PLAN_RETIRED", f"plan {number} is in use no more")
        if plan.gtin and plan.gtin != item[3:17]:
            refuse("PLAN_DIFFERS", f"plan {number} is for {plan.gtin}")
        if not maker or plan.author == maker:
            return True
        author = self.invoke("identity", "organisation", id=plan.author)
        return "regulator" in author["roles"]

    def _check_repeat(self, previous: int, repeat: str | None) -> None:
        """Whether, and by whom, what was inspected before may be inspected again."""
        found = self.inspections.get(previous)
        if found is None or found.state in OPEN:
            refuse("ALREADY_REQUESTED", f"inspection {previous} is not decided yet")
        if is_good(found):
            return
        if repeat is None:
            refuse("REASON_REQUIRED", f"inspection {previous} did not accept it: say why again")
        if found.by_regulator and "regulator" not in self.ctx.roles:
            refuse("NOT_AUTHORISED", f"inspection {previous} was a regulator's")

    def _end(self, number: int, found: Inspection, state: str, reason: str) -> None:
        """End an inspection without a decision: what was decided before counts again."""
        found.state = state
        self.inspections.put(number, found)
        if found.previous:
            self.newest.put((found.item, found.holder), found.previous)
            self._lock_by(found.previous)
        else:
            self.newest.delete((found.item, found.holder))
            self._lock(found, CLEAR, number)
        self.emit("InspectionEnded", inspection=number, item=found.item, state=state, reason=reason)

    # --- locks ------------------------------------------------------------------------------

    def _lock_after(self, number: int) -> str:
        """What a decided inspection says to contract batch."""
        found = self.inspections.get(number)
        if found is None:
            return CLEAR
        if is_good(found):
            return ACCEPTED if found.is_binding else CLEAR
        return REJECTED if found.is_withdrawn else found.verdict

    def _lock_by(self, number: int) -> None:
        """Have batch know what the inspection says, if none came after it."""
        found = self.inspections.get(number)
        if found is not None and self.newest.get((found.item, found.holder)) == number:
            self._lock(found, self._lock_after(number), number)

    def _lock(self, inspection: Inspection, state: str, number: int) -> None:
        holder = inspection.holder or None
        self.invoke(
            "batch", "set_lock", item=inspection.item, state=state, number=number, holder=holder
        )

    # --- signatures -------------------------------------------------------------------------

    def _person(self) -> str:
        """The user whose key this is. A machine signs nothing (21 CFR 11.100)."""
        key = self.invoke("identity", "key", key=self.ctx.caller)
        user: str = key["user"] if key is not None else ""
        if not user:
            refuse("NO_PERSON", "the key is a machine's: electronic signatures are persons'")
        return user

    def _sign(self, number: int, inspection: Inspection, meaning: str) -> None:
        """Sign an inspection as it is now, once a person and round."""
        user, me = self._person(), self.ctx.organisation
        signatures = list(self.signed.values(number))
        for one in signatures:
            if (one.round, one.organisation, one.user) == (inspection.round, me, user):
                refuse("FOUR_EYES", f"{user} signed this inspection for {one.meaning} already")
        self.signed.put(
            (number, len(signatures)),
            Signature(
                self._record_hash(number, inspection),
                inspection.round,
                self.ctx.caller,
                me,
                user,
                meaning,
                self.ctx.time_ms,
                self.ctx.height,
            ),
        )
        self.emit(
            "InspectionSigned",
            inspection=number,
            item=inspection.item,
            organisation=me,
            user=user,
            meaning=meaning,
        )

    def _record_hash(self, number: int, inspection: Inspection) -> bytes:
        """SHA-256 of what is signed: which goods, by which plan, with which results and verdict."""
        lines = [
            f"{one.code} {one.ordinal} {one.value} {one.unit} {one.scale} {one.verdict}"
            for one in self.results.values((number, inspection.round))
        ]
        head = (
            f"inspection {number} {inspection.item} {inspection.holder} {inspection.laboratory}"
            f" plan {inspection.plan} round {inspection.round} {inspection.verdict}"
        )
        return sha256("\n".join([head, *lines]))

    def _with_status(self, certificate: Certificate) -> dict[str, Any]:
        """A certificate, and whether it counts on the block's date."""
        status = "VALID"
        if certificate.revoked_at:
            status = "REVOKED"
        elif self.ctx.today < certificate.valid_from:
            status = "UPCOMING"
        elif self.ctx.today > certificate.valid_until:
            status = "EXPIRED"
        return {"record": certificate, "status": status}


def is_good(inspection: Inspection) -> bool:
    """Whether it accepted the goods, and still does."""
    good = inspection.verdict == ACCEPTED or inspection.is_conceded
    return good and not inspection.is_withdrawn


def check_limits(characteristics: list[Characteristic]) -> None:
    """Refuse limits that nothing can meet, or that are none."""
    seen: dict[str, bool] = {}
    for one in characteristics:
        name = name_of(one.code, one.ordinal)
        if name in seen:
            refuse("CHARACTERISTIC_TWICE", f"{name} stands twice")
        seen[name] = True
        if one.low is None and one.high is None:
            refuse("BAD_LIMITS", f"{name} has no limit")
        if one.low is None and one.low_tolerated is not None:
            refuse("BAD_LIMITS", f"{name} tolerates what has no limit")
        if one.high is None and one.high_tolerated is not None:
            refuse("BAD_LIMITS", f"{name} tolerates what has no limit")
        order = [one.low_tolerated, one.low, one.high, one.high_tolerated]
        known = [limit for limit in order if limit is not None]
        if known != sorted(known):
            refuse("BAD_LIMITS", f"the limits of {name} are out of order")
