"""The Drug Supply Chain Security Act: who may trade in medicines, and what goes with each sale.

* **Authorised trading partners**: licences and registrations, by date (581(2), 582(b)(3)).
* **Transactions**: on each change of ownership the seller gives transaction information and a
  transaction statement (581(26), (27)); both are authorised at the block's time. Where contract
  batch has the policy ``dscsa``, ownership passes in no other way.
* **Suspect product**: quarantined at once, decided on, notified within 24 hours (582(b)(4)).
* **Requests**: a partner or regulator asks for the transaction information of one package; the
  asked has 48 hours (582(b)(1)(B)). History lapsed in 2023: who traces asks owner by owner.

On the chain stand identifiers, amounts, dates and organisations. Names, strengths, addresses and
licence numbers are commitments, whose openings the parties keep for six years and show each other.
"""

from __future__ import annotations

from typing import Any

from contracts.sdk import (
    ContractError,
    Counter,
    Date,
    DocumentHash,
    Index,
    Item,
    LotNumber,
    Map,
    OrganisationId,
    call,
    query,
    refuse,
    timed,
)
from contracts.supply.dscsa_cases import Cases
from contracts.supply.dscsa_records import (
    ANSWER_MS,
    PACKAGES_MAX,
    SHOWN_MAX,
    YEARS_KEPT,
    Line,
    Number,
    Purpose,
    Request,
    years_later,
)


class Dscsa(Cases):
    """Medicines traded by the DSCSA: partners, transactions, suspect product, requests."""

    name = "dscsa"
    audited = True

    request_numbers = Counter()
    requests = Map(Request, key=("request",))
    requests_by_asked = Index(requests, on=("asked",))

    # --- requests ---------------------------------------------------------------------------

    @call
    def request_information(
        self,
        item: Item,
        lot: LotNumber,
        expiry: Date,
        asked: OrganisationId,
        purpose: Purpose,
    ) -> int:
        """Ask an organisation for the transaction information of a package: GTIN and serial
        (``item``), lot and expiry. Authorised trading partners and regulators do.
        """
        me = self.ctx.organisation
        is_official = "regulator" in self.ctx.roles
        if not is_official and not self._kinds(me):
            refuse("NOT_AUTHORISED_PARTNER", f"{me} is no authorised trading partner today")
        if purpose == "OFFICIAL" and not is_official:
            refuse("NOT_AUTHORISED", "an official request is a regulator's")
        if asked == me:
            refuse("OWN_ORGANISATION", "nobody asks itself")
        if self.invoke("identity", "organisation", id=asked) is None:
            refuse("UNKNOWN_ORGANISATION", f"{asked} is not registered")
        if item[18:20] not in ("10", "21"):
            refuse("NOT_TRADE_ITEM", f"{item} is a logistic unit")
        number, now = self.request_numbers.add(), self.ctx.time_ms
        request = Request(
            requester=me,
            asked=asked,
            item=item,
            lot=lot,
            expiry=expiry,
            purpose=purpose,
            requested_at=now,
            answer_by=now + ANSWER_MS,
            retain_until=years_later(self.ctx.today, YEARS_KEPT),
            deadline=self.due(now + ANSWER_MS, "unanswered", request=number),
        )
        self.requests.put(number, request)
        self.emit(
            "InformationRequested",
            request=number,
            requester=me,
            asked=asked,
            item=item,
            lot=lot,
            expiry=expiry,
            purpose=purpose,
        )
        return number

    @call(own=("requests", "request", "asked"), meaning="responsibility")
    def respond(self, request: Number, document: DocumentHash | None = None) -> list[int]:
        """Answer a request: the chain itself names the transactions in which the caller sold or
        bought the package, and says whether the identifier is right. Their openings go to the
        requester directly; ``document`` is the hash of what was sent.
        """
        found = self.requests.get(request)
        if found is None or found.answered_at:
            refuse("ALREADY_ANSWERED", f"request {request} was answered")
        if found.deadline:
            self.cancel(found.deadline)
        numbers = self._transactions_of(found)
        found.deadline, found.document = "", document
        found.answered_at, found.transactions = self.ctx.time_ms, numbers
        found.verification = self._verified(found.item, found.lot, found.expiry)["status"]
        self.requests.put(request, found)
        self.emit(
            "InformationGiven",
            request=request,
            asked=found.asked,
            transactions=numbers,
            verification=found.verification,
            late=found.is_late,
            document=document,
        )
        return numbers

    @timed
    def unanswered(self, request: Number) -> None:
        """48 hours after a request, and no answer."""
        found = self.requests.get(request)
        if found is None or found.answered_at:
            return
        found.deadline, found.is_late = "", True
        self.requests.put(request, found)
        self.emit("InformationOverdue", request=request, asked=found.asked)

    # --- asking -----------------------------------------------------------------------------

    @query
    def verify(self, item: Item, lot: LotNumber, expiry: Date) -> dict[str, Any]:
        """Whether a product identifier is one that a maker commissioned: VERIFIED, or DIFFERS with
        what does, or UNKNOWN; and where the thing is in its life.
        """
        return self._verified(item, lot, expiry)

    @query
    def request(self, request: Number) -> Request | None:
        """A request as it stands."""
        return self.requests.get(request)

    @query
    def transactions_for(self, request: Number) -> list[int]:
        """What an answer to a request would name now."""
        found = self.requests.get(request)
        return [] if found is None else self._transactions_of(found)

    @query
    def requests_to(self, asked: OrganisationId) -> list[dict[str, Any]]:
        """The first hundred requests to an organisation."""
        numbers = list(self.requests_by_asked.keys(asked, limit=SHOWN_MAX))
        return [{"number": one, "request": self.requests.get(one)} for one in numbers]

    @query
    def request_report(self, request: Number) -> dict[str, Any] | None:
        """Everything of a request in one answer: the request, what verification says now, each
        transaction with the lines of the product, its statement and commitment, and the cases.
        """
        found = self.requests.get(request)
        if found is None:
            return None
        parties = {found.requester: "", found.asked: ""}
        transactions: list[dict[str, Any]] = []
        for number in found.transactions or []:
            lines = [line for line in self._lines_of(found) if line.transaction == number]
            record = self.transactions.get(number)
            transactions.append({"number": number, "record": record, "lines": lines})
            if record is not None:
                parties[record.seller], parties[record.buyer] = "", ""
        cases: list[dict[str, Any] | None] = []
        for number in self._case_numbers(found.item):
            cases.append(self._shown(number))
        for one in parties:
            organisation = self.invoke("identity", "organisation", id=one)
            parties[one] = organisation["name"] if organisation is not None else ""
        return {
            "number": request,
            "request": found,
            "gtin": found.item[3:17],
            "ndc": ndc_digits(found.item[3:17]),
            "serial": found.item[21:] if found.item[18:20] == "21" else "",
            "verification": self._verified(found.item, found.lot, found.expiry),
            "transactions": transactions,
            "cases": cases,
            "organisations": parties,
            "authorised": self._kinds(found.asked),
            "height": self.ctx.height,
            "time": self.ctx.time_ms,
        }

    # --- how --------------------------------------------------------------------------------

    def _lines_of(self, request: Request) -> list[Line]:
        return list(self.lines_by_item.values(request.item, limit=PACKAGES_MAX))

    def _transactions_of(self, request: Request) -> list[int]:
        """In which transactions the asked sold or bought the package, oldest first."""
        numbers: dict[str, int] = {}
        for line in self._lines_of(request):
            sale = self.transactions.get(line.transaction)
            if sale is not None and request.asked in (sale.seller, sale.buyer):
                numbers[f"{line.transaction:020}"] = line.transaction
        return [numbers[place] for place in sorted(numbers)][:SHOWN_MAX]

    def _case_numbers(self, item: str) -> list[int]:
        """The cases that a thing ever was in."""
        numbers = []
        for key in self.suspects_by_item.keys(item, limit=SHOWN_MAX):
            numbers.append(key[0])
        return numbers

    def _verified(self, item: str, lot: str, expiry: int) -> dict[str, Any]:
        unknown: dict[str, Any] = {"status": "UNKNOWN", "differs": [], "state": ""}
        try:
            found = self.invoke("batch", "item", item=item)
        except ContractError:
            return unknown
        if found is None or found["record"]["opened"]:
            return unknown  # what others first saw under way no maker has vouched for
        record = found["record"]
        path = item if item[18:20] == "10" else record["lot"]
        differs = []
        if path[21:] != lot:
            differs.append("lot")
        if record["expiry"] != expiry:
            differs.append("expiry")
        state = record["state"] if item[18:20] == "21" else ""
        status = "DIFFERS" if differs else "VERIFIED"
        return {"status": status, "differs": differs, "state": state}


def ndc_digits(gtin: str) -> str:
    """The ten digits of the NDC in a GTIN-14 of United States drugs (03 + NDC); empty in others."""
    return gtin[3:13] if gtin[1:3] == "03" else ""
