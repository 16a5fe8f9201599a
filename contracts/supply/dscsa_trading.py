"""Changes of ownership, each with its transaction information and transaction statement."""

from __future__ import annotations

from typing import Any

from contracts.sdk import Counter, Date, Index, Map, OrganisationId, call, query, refuse
from contracts.supply.dscsa_partners import Partners
from contracts.supply.dscsa_records import (
    ASSERTIONS,
    EXEMPT,
    PACKAGES_MAX,
    SHIPMENT,
    TRANSFER,
    YEARS_KEPT,
    EventInfo,
    Exemption,
    Information,
    Line,
    Number,
    Statement,
    Things,
    Transaction,
    years_later,
)

SETTINGS = "settings"  # the one entry of the map


class Trading(Partners):
    """What goes from owner to owner, and what is said with it."""

    numbers = Counter()
    settings = Map(bool, key=("name",))
    transactions = Map(Transaction, key=("transaction",))
    lines = Map(Line, key=("transaction", "place"))
    lines_by_item = Index(lines, on=("item",), hashed=("item",))
    acquired = Map(int, key=("item", "buyer"), hashed=("item",))

    @call(roles=("regulator", "consortium_admin"), meaning="approval")
    def set_package_level(self, required: bool) -> None:
        """Whether every package is traded by its own identifier, GTIN, serial, lot and expiry
        (582(g)(1)(B)), or also amounts of lots, which is for product from before.
        """
        self.settings.put(SETTINGS, required)
        self.emit("PackageLevelSet", required=required)

    @call
    def ship(
        self,
        items: Things,
        buyer: OrganisationId,
        information: Information,
        statement: Statement,
        event: EventInfo | None = None,
    ) -> int:
        """Sell own goods by sending them to the buyer, who owns them on receipt.

        ``information`` is the transaction information of 581(26), of which a commitment goes on
        the chain; ``statement`` the seven assertions of 581(27). Both organisations are authorised
        trading partners now; whether they are on receipt is looked at then.
        """
        self._check_sale(buyer, statement)
        packages = self._packages(items)
        self.invoke("batch", "ship", items=items, consignee=buyer, event=event)
        me = self.ctx.organisation
        return self._record(SHIPMENT, buyer, me, packages, information, statement)

    @call
    def transfer(
        self,
        items: Things,
        holder: OrganisationId,
        buyer: OrganisationId,
        information: Information,
        statement: Statement,
        shipment_date: Date | None = None,
        event: EventInfo | None = None,
    ) -> int:
        """Sell own goods where they lie. ``shipment_date`` is stated where they are shipped more
        than 24 hours later: 581(26)(H).
        """
        self._check_sale(buyer, statement)
        shipped = shipment_date or 0
        if shipped and shipped < self.ctx.today:
            refuse("BAD_PERIOD", "goods are not shipped before they are sold")
        packages = self._packages(items)
        self.invoke("batch", "sell", items=items, holder=holder, buyer=buyer, event=event)
        return self._record(TRANSFER, buyer, holder, packages, information, statement, shipped)

    @call
    def ship_exempt(
        self,
        items: Things,
        consignee: OrganisationId,
        exemption: Exemption,
        event: EventInfo | None = None,
    ) -> int:
        """Pass own goods on in a way that the law does not take for a transaction (581(24)(B)),
        or as a nonsaleable return (582(c)(1)(B)): without information and statement.
        """
        packages = self._packages(items)
        self.invoke("batch", "ship", items=items, consignee=consignee, event=event)
        me = self.ctx.organisation
        return self._record(EXEMPT, consignee, me, packages, None, [], 0, exemption)

    @call(own=("transactions", "transaction", "seller"))
    def void(self, transaction: Number, items: Things) -> None:
        """Take back, as the seller, all that was sent in a transaction, before it was received:
        ownership has not passed. ``items`` are those of the sale. The record stays, and says so.
        """
        found = self.transactions.get(transaction)
        if found is None or found.kind == TRANSFER or found.voided_at:
            refuse("WRONG_STATE", f"transaction {transaction} has passed ownership, or is void")
        lines = list(self.lines.values(transaction))
        sold = sorted([(line.item, line.amount) for line in lines])
        if sorted([(one["item"], one["amount"]) for one in self._packages(items)]) != sold:
            refuse("ITEMS_DIFFER", f"these are not the things of transaction {transaction}")
        self.invoke("batch", "void_shipping", items=items, consignee=found.buyer)
        found.voided_at = self.ctx.time_ms
        self.transactions.put(transaction, found)
        for line in lines:
            if self.acquired.get((line.item, found.buyer)) == transaction:
                self.acquired.delete((line.item, found.buyer))
        self.emit("TransactionVoided", transaction=transaction, seller=found.seller)

    # --- asking -----------------------------------------------------------------------------

    @query
    def transaction(self, transaction: Number) -> dict[str, Any] | None:
        """A transaction with all its packages."""
        found = self.transactions.get(transaction)
        if found is None:
            return None
        lines = list(self.lines.values(transaction))
        return {"number": transaction, "record": found, "lines": lines}

    # --- how --------------------------------------------------------------------------------

    def _check_sale(self, buyer: str, statement: list[str]) -> None:
        missing = [one for one in ASSERTIONS if one not in statement]
        if missing:
            refuse("STATEMENT_INCOMPLETE", f"the statement does not assert {', '.join(missing)}")
        self._check_may_own(self.ctx.organisation)
        self._check_may_own(buyer)

    def _packages(self, items: Things) -> list[dict[str, Any]]:
        """The packages that are sold, identified as the consortium demands."""
        found: list[dict[str, Any]] = self.invoke("batch", "packages", items=items)
        if not found:
            refuse("NO_PACKAGES", "there is no trade item in what is to be sold")
        if len(found) > PACKAGES_MAX:
            refuse("TOO_MANY_PACKAGES", f"a transaction has at most {PACKAGES_MAX} packages")
        if self.settings.get(SETTINGS):
            for package in found:
                if package["item"][18:20] != "21" or not package["lot"] or not package["expiry"]:
                    refuse(
                        "IDENTIFIER_INCOMPLETE",
                        f"{package['item']} lacks GTIN, serial, lot or expiry",
                    )
        return found

    def _record(
        self,
        kind: str,
        buyer: str,
        holder: str,
        packages: list[dict[str, Any]],
        information: bytes | None,
        statement: list[str],
        shipment_day: int = 0,
        exemption: str = "",
    ) -> int:
        number, ctx = self.numbers.add(), self.ctx
        seller = ctx.organisation
        self.transactions.put(
            number,
            Transaction(
                kind=kind,
                seller=seller,
                buyer=buyer,
                holder=holder,
                day=ctx.today,
                packages=len(packages),
                information=information,
                statement=[one for one in ASSERTIONS if one in statement],
                stated_by=ctx.caller,
                time=ctx.time_ms,
                height=ctx.height,
                tx_id=ctx.tx_id,
                retain_until=years_later(max(ctx.today, shipment_day), YEARS_KEPT),
                shipment_day=shipment_day,
                exemption=exemption,
            ),
        )
        for place, package in enumerate(packages):
            item = package["item"]
            line = Line(
                number,
                item,
                package["lot"][21:],
                package["expiry"],
                package["amount"],
                package["unit"],
                self.acquired.get((item, seller)) or 0,
            )
            self.lines.put((number, place), line)
            self.acquired.put((item, buyer), number)
        self.emit(
            "OwnershipChanged",
            transaction=number,
            kind=kind,
            seller=seller,
            buyer=buyer,
            packages=len(packages),
            information=information,
            exemption=exemption,
        )
        return number
