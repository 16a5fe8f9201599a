"""Know your customer and sanctions: who may be dealt with.

::

    PENDING -> VERIFIED <-> HELD        VERIFIED -> REVIEW_DUE, by date or by a newer list

Banks, other financiers and regulators (an *institution*) keep a file on a party; their compliance
officers decide on it. The party is held for everybody as long as one institution holds it: it
neither pays nor receives. Contracts that move value ask ``may_deal``.

**No tipping off** (31 USC 5318(g)(2) and its like elsewhere). What a chain enforces, its nodes can
see; so it shows that a party is held and not why. A hold for papers that are missing, for a name
that is looked into and for a party that is listed are the same call with the same arguments, the
same event, refusal and deadline. The grounds are a commitment, whose opening only the institution
and the regulators that it names are entitled to. Within ten business days each hold is followed up,
by a report where the law wants one (31 CFR 501.603) and in any other case by whatever was done, and
again that looks the same.

Screening itself runs at the edge: lists and algorithms change. A decision cites the digest of each
list in force, and ``supported`` shows to whoever may know the grounds whether they bear it.
"""

from __future__ import annotations

from typing import Annotated, Any

from contracts.compliance.compliance_records import (
    BLOCK,
    BUSINESS_DAYS,
    CLEAR,
    FILES_MAX,
    HELD,
    LISTS_MAX,
    PENDING,
    REVIEW_DUE,
    SHOWN_MAX,
    VERIFIED,
    Assessment,
    AssessmentCommitment,
    Citation,
    Citations,
    Decision,
    Dossier,
    File,
    FollowUp,
    ListName,
    Note,
    Outcome,
    Policy,
    Position,
    Regulators,
    Review,
    SanctionsList,
)
from contracts.compliance.ownership import counted_as_listed
from contracts.sdk import (
    Contract,
    Counter,
    Date,
    DocumentHash,
    Findings,
    Index,
    Int,
    Map,
    Opened,
    OrganisationId,
    Task,
    Verdict,
    VerdictCode,
    call,
    check,
    query,
    refuse,
)

DAY_MS = 86_400_000
INSTITUTIONS = ("bank", "nbfc", "regulator")
Number = Annotated[int, Int(1)]


class Compliance(Contract):
    """Files on parties: who is verified, whose review is due, who is held."""

    name = "compliance"
    audited = True

    policies = Map(Policy, key=("one",))
    lists = Map(SanctionsList, key=("name",))
    revisions = Counter()
    revised_at = Map(int, key=("revision",))  # when each edition was announced, ms
    files = Map(File, key=("party", "institution"))
    by_institution = Index(files, on=("institution",))
    decisions = Map(Decision, key=("party", "institution", "number"))
    notes = Map(Note, key=("party", "institution", "number"))
    reviews = Map(Review, key=("party", "institution", "number", "organisation"))
    assessments = Opened(Assessment)

    # --- the consortium's part --------------------------------------------------------------

    @call(roles=("regulator", "consortium_admin"), meaning="approval")
    def set_policy(
        self, verification_required: bool, rescreen_days: Annotated[int, Int(1, 365)]
    ) -> None:
        """Say whether only verified parties deal, and within how many days of a newer list they
        are to be screened again."""
        self.policies.put(1, Policy(verification_required, rescreen_days))
        self.emit("PolicySet", verification_required=verification_required, days=rescreen_days)

    @call(roles=("regulator", "consortium_admin"))
    def announce_list(self, name: ListName, published: Date, digest: DocumentHash) -> None:
        """Bring an edition of a sanctions list into force, by its day and SHA-256.

        From then on decisions cite it; who was screened against an older one is due for review.
        """
        old = self.lists.get(name)
        if old is None and len(list(self.lists.keys())) == LISTS_MAX:
            refuse("TOO_MANY_LISTS", f"at most {LISTS_MAX} lists are in force")
        if old is not None and (published < old.published or digest == old.digest):
            refuse("OLD_LIST", f"{name} is in force as of {old.published}")
        if published > self.ctx.today:
            refuse("FUTURE_TIME", f"{published} is still to come")
        revision = self.revisions.add()
        self.revised_at.put(revision, self.ctx.time_ms)
        self.lists.put(name, SanctionsList(name, published, digest, revision))
        self.emit("ListAnnounced", name=name, published=published, digest=digest)

    # --- files ------------------------------------------------------------------------------

    @call(roles=("corporate_admin",))
    def apply(self, institution: OrganisationId, dossier: Dossier) -> None:
        """Ask an institution to verify the caller's organisation, and hand it what it needs."""
        me = self.ctx.organisation
        if institution == me:
            refuse("OWN_ORGANISATION", "an organisation is verified by another one")
        self._check_institution(institution)
        file = self.files.get((me, institution))
        if file is None:
            self._check_room(me)
            file = File(me, institution, PENDING, self.ctx.time_ms)
        file.dossier = dossier
        self.files.put((me, institution), file)
        self.share([dossier], [institution])
        self.emit("Applied", party=me, institution=institution)

    @call(roles=("compliance_officer",), meaning="approval")
    def decide(
        self,
        party: OrganisationId,
        standing: Outcome,
        lists: Citations,
        assessment: AssessmentCommitment,
        review_on: Date,
        regulators: Regulators | None = None,
    ) -> int:
        """Decide, as a compliance officer, that a party is verified or held.

        The grounds go to the regulators named and to nobody else. A hold is lifted by another
        person than the one who set it. The answer is the decision's number in this file.
        """
        me = self.ctx.organisation
        if party == me:
            refuse("OWN_ORGANISATION", "an organisation is verified by another one")
        self._check_institution(me)
        officer = self._person()
        if self.invoke("identity", "organisation", id=party) is None:
            refuse("UNKNOWN_PARTY", f"{party} is no organisation of this chain")
        self._check_cited(lists)
        if review_on <= self.ctx.today:
            refuse("PAST_DATE", "the next review lies ahead")
        informed = regulators or []
        for regulator in informed:
            if "regulator" not in self._roles_of(regulator) or regulator == party:
                refuse("TIPPING_OFF", f"{regulator} is no regulator: nobody else is told")
        file = self.files.get((party, me))
        if file is None:
            self._check_room(party)
            file = File(party, me, PENDING, self.ctx.time_ms)
        elif file.standing == HELD and standing == VERIFIED and file.officer == officer:
            refuse("FOUR_EYES", "another officer than the one who set a hold lifts it")
        if file.standing != standing:
            file.since = self.ctx.time_ms
            file.follow_up_due = self._follow_up_by() if standing == HELD else 0
        file.standing, file.officer, file.review_on = standing, officer, review_on
        file.revision = self.revisions.value
        file.decisions += 1
        self.files.put((party, me), file)
        decision = Decision(
            standing,
            self.ctx.time_ms,
            self.ctx.caller,
            officer,
            lists,
            assessment,
            review_on,
            informed,
        )
        self.decisions.put((party, me, file.decisions), decision)
        self.share([assessment], informed)
        self.emit("Decided", party=party, institution=me, number=file.decisions, standing=standing)
        return file.decisions

    @call(roles=("compliance_officer",), meaning="responsibility")
    def follow_up(self, party: OrganisationId, text: FollowUp) -> None:
        """Say, to regulators alone, what was done about a hold: reported, or something else."""
        me = self.ctx.organisation
        file = self._file(party, me)
        if file.standing != HELD:
            refuse("WRONG_STATE", f"{me} holds nothing of {party}")
        file.follow_up_due = 0
        self.files.put((party, me), file)
        self.notes.put((party, me, file.decisions), Note(self.ctx.time_ms, self.ctx.caller, text))
        decision = self._decision(party, me, file.decisions)
        self.share([text], decision.regulators)
        self.emit("FollowedUp", party=party, institution=me, number=file.decisions)

    # --- whether the grounds bear the decision ------------------------------------------------

    @check(records="reviewed")
    def supported(
        self, party: OrganisationId, institution: OrganisationId, number: Number
    ) -> Verdict:
        """Whether a decision's grounds are of this party, add up, cite the lists that the decision
        cites, and come to what was decided."""
        decision = self._decision(party, institution, number)
        grounds = self.assessments.open(decision.assessment)
        found: list[str] = []
        if grounds.party != party:
            found.append(f"the assessment is of {grounds.party}: a namesake's clears nobody else")
        if digests_of(grounds.lists) != digests_of(decision.lists):
            found.append("the assessment is of other lists than the decision cites")
        total = sum([factor.points for factor in grounds.factors])
        if total != grounds.score:
            found.append(f"the factors come to {total}, not to {grounds.score}")
        standing = [
            hit for hit in grounds.hits if hit.score >= grounds.threshold and not hit.cleared
        ]
        if standing and grounds.decision == CLEAR:
            found.append(f"{len(standing)} hits stand, the first is {standing[0].entry}")
        owned = counted_as_listed(grounds.shares, grounds.listed_owners)
        if grounds.name in owned and grounds.decision != BLOCK:
            found.append("listed parties own fifty per cent or more of it")
        if (grounds.decision == CLEAR) != (decision.standing == VERIFIED):
            found.append(f"{grounds.decision} does not come to {decision.standing}")
        return Verdict("UNSUPPORTED" if found else "SUPPORTED", found)

    @call(roles=("compliance_officer", "regulator"), meaning="review")
    def reviewed(
        self,
        party: OrganisationId,
        institution: OrganisationId,
        number: Number,
        verdict: VerdictCode,
        findings: Findings,
    ) -> None:
        """Take down what the check of a decision said: by another person of the institution, or by
        a regulator who was told the grounds."""
        decision = self._decision(party, institution, number)
        me, officer = self.ctx.organisation, self._person()
        if me != institution and me not in decision.regulators:
            refuse("NOT_AUTHORISED", "only those who may know the grounds review them")
        if (me, officer) == (institution, decision.officer):
            refuse("FOUR_EYES", "who decided does not review the decision")
        review = Review(me, officer, self.ctx.time_ms, verdict, findings)
        self.reviews.put((party, institution, number, me), review)
        self.share([findings], [institution, *decision.regulators])
        self.emit(
            "Reviewed", party=party, institution=institution, number=number, verdict=verdict, by=me
        )

    # --- asking -----------------------------------------------------------------------------

    @query
    def may_deal(self, organisation: OrganisationId) -> bool:
        """Whether an organisation may pay and receive. For other contracts: they refuse with
        COMPLIANCE_HOLD, whatever it is that holds it."""
        standing = self._standing(organisation)
        if standing == HELD:
            return False
        policy = self.policies.get(1)
        return standing == VERIFIED or policy is None or not policy.verification_required

    @query
    def party(self, id: OrganisationId) -> dict[str, Any]:
        """How a party stands, and with which institutions."""
        files = list(self.files.values(id, limit=FILES_MAX))
        return {
            "standing": self._standing(id),
            "may_deal": self.may_deal(id),
            "files": [{"file": file, "standing": self._now(file)} for file in files],
        }

    @query
    def decisions_of(
        self, party: OrganisationId, institution: OrganisationId, after: Position = 0
    ) -> list[dict[str, Any]]:
        """A file's decisions with their reviews and follow-ups, a hundred behind one."""
        file = self._file(party, institution)
        found = []
        for number in range(after + 1, min(after + SHOWN_MAX, file.decisions) + 1):
            row = {
                "number": number,
                "decision": self._decision(party, institution, number),
                "follow_up": self.notes.get((party, institution, number)),
                "reviews": list(self.reviews.values((party, institution, number), limit=9)),
            }
            found.append(row)
        return found

    @query
    def lists_in_force(self) -> list[SanctionsList]:
        """The editions that decisions cite now."""
        return list(self.lists.values(limit=LISTS_MAX))

    @query
    def tasks(self, organisation: OrganisationId, after: Position = 0) -> dict[str, Any]:
        """What an institution has to decide or follow up, or what a party waits for."""
        found: list[Task] = []
        files = list(self.files.values(organisation, limit=FILES_MAX)) if after == 0 else []
        for file in files:
            if self._now(file) in (PENDING, REVIEW_DUE):  # of a hold it is told nothing more
                found.append(self._task(file))
        seen = 0
        keys = list(self.by_institution.keys(organisation))
        for key in keys[after : after + SHOWN_MAX]:
            seen += 1
            own = self._file(key[0], key[1])
            if self._now(own) != VERIFIED and (own.standing != HELD or own.follow_up_due):
                found.append(self._task(own))
        return {"tasks": found, "next": after + seen if after + seen < len(keys) else 0}

    # --- how --------------------------------------------------------------------------------

    def _task(self, file: File) -> Task:
        args = {"party": file.party}
        if file.standing == HELD:
            subject = f"follow up {file.party}"
            return Task(
                file.institution, "follow_up", args, subject, ["compliance_officer"], file.since,
                file.follow_up_due,
            )  # fmt: skip
        subject = f"review of {file.party}"
        return Task(file.institution, "decide", args, subject, ["compliance_officer"], file.since)

    def _standing(self, party: str) -> str:
        """The strictest that any institution says but for those who have not decided yet."""
        found = PENDING
        for file in self.files.values(party, limit=FILES_MAX):
            now = self._now(file)
            if now == HELD:
                return HELD
            if now == VERIFIED or (now == REVIEW_DUE and found == PENDING):
                found = now
        return found

    def _now(self, file: File) -> str:
        """A file's standing at this block: VERIFIED lasts until the review's day, and until so
        many days after a newer list."""
        if file.standing != VERIFIED:
            return file.standing
        if file.review_on <= self.ctx.today:
            return REVIEW_DUE
        newer = self.revised_at.get(file.revision + 1)
        policy = self.policies.get(1) or Policy()
        if newer is not None and newer + policy.rescreen_days * DAY_MS <= self.ctx.time_ms:
            return REVIEW_DUE
        return VERIFIED

    def _follow_up_by(self) -> int:
        """The end of the tenth business day after today, ms (31 CFR 501.603(b)(1)(i))."""
        day = self.ctx.time_ms // DAY_MS
        left = BUSINESS_DAYS
        for _ in range(2 * BUSINESS_DAYS):
            if left == 0:
                break
            day += 1
            if (day + 3) % 7 < 5:  # 1 January 1970 was a Thursday
                left -= 1
        return (day + 1) * DAY_MS - 1

    def _check_cited(self, lists: list[Citation]) -> None:
        """Refuse a decision that leaves out a list in force or cites an older edition."""
        cited = digests_of(lists)
        for current in self.lists.values(limit=LISTS_MAX):
            if cited.pop(current.name, None) != current.digest:
                refuse("OLD_LIST", f"{current.name} is in force as of {current.published}")
        if cited:
            refuse("UNKNOWN_LIST", f"{sorted(cited)[0]} was never announced")

    def _check_room(self, party: str) -> None:
        if len(list(self.files.values(party, limit=FILES_MAX))) == FILES_MAX:
            refuse("TOO_MANY_FILES", f"{FILES_MAX} institutions keep a file on {party}")

    def _check_institution(self, organisation: str) -> None:
        for role in self._roles_of(organisation):
            if role in INSTITUTIONS:
                return
        refuse("NOT_AN_INSTITUTION", f"{organisation} is no bank, financier or regulator")

    def _roles_of(self, organisation: str) -> list[str]:
        if not self.invoke("identity", "is_active", id=organisation):
            return []
        roles: list[str] = self.invoke("identity", "organisation", id=organisation)["roles"]
        return roles

    def _person(self) -> str:
        key = self.invoke("identity", "key", key=self.ctx.caller)
        user: str = key["user"] if key is not None else ""
        if not user:
            refuse("NO_PERSON", "the key is a machine's: decisions are persons'")
        return user

    def _file(self, party: str, institution: str) -> File:
        file = self.files.get((party, institution))
        if file is None:
            refuse("NOT_FOUND", f"{institution} keeps no file on {party}")
        return file

    def _decision(self, party: str, institution: str, number: int) -> Decision:
        decision = self.decisions.get((party, institution, number))
        if decision is None:
            refuse("NOT_FOUND", f"{institution} took no decision {number} on {party}")
        return decision


def digests_of(lists: list[Citation]) -> dict[str, bytes]:
    """Name of a list -> digest."""
    found: dict[str, bytes] = {}
    for one in lists:
        found[one.name] = one.digest
    return found
