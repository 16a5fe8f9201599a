"""Random dealings in invoices, judged by books of their own that hold what every opening says."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Final

from contracts.sdk.testkit import Refused
from tests.contracts.finance import hidden
from tests.contracts.invoices import marks, offered, read, registered, small_world

FINANCIERS: Final = ("fund", "rival_fund")
SELLERS: Final = ("seller", "other_seller")
OPS: Final = (
    *["register"] * 2, *["accept"] * 3, "reject", "withdraw", *["offer"] * 4, "take_back",
    *["finance"] * 5, *["tell_apart"] * 2, "credit_note", *["paid"] * 2, *["examined"] * 2,
    "settle", "default", *["release"] * 2, "wait", "lie",
)  # fmt: skip

BEFORE: Final = {
    "accept": ("REGISTERED",), "reject": ("REGISTERED",), "take_back": ("ACCEPTED", "RELEASED"),
    "offer": ("ACCEPTED", "RELEASED"), "finance": ("ACCEPTED", "RELEASED"),
    "lie": ("ACCEPTED", "RELEASED"), "settle": ("FINANCED", "DEFAULTED"),
    "default": ("FINANCED",), "release": ("FINANCED", "DEFAULTED"),
    "paid": ("ACCEPTED", "FINANCED"), "examined": ("FINANCED", "DEFAULTED"),
}  # fmt: skip
"""States in which a call makes sense: three of four are made there."""


@dataclass
class Book:
    """One invoice as the parties know it."""

    seller: str
    name: str  # number and amount: what makes it one
    gross: int
    state: str = "REGISTERED"
    financier: str = ""
    advance: int = 0
    offers: dict[str, int] = field(default_factory=dict)
    unpaid: int = 0  # what an advance may be
    apart: set[int] = field(default_factory=set)
    postings: int = 0


class World:
    """Acts by numbers, and judges the chain after each call."""

    def __init__(self) -> None:
        self.kit = small_world()
        self.kit.organisation("other_seller", roles=("manufacturer",))
        self.books: dict[int, Book] = {}
        self.counts: Counter[str] = Counter()

    def act(self, op: str, numbers: tuple[int, ...]) -> None:
        a, b, c, d = numbers
        if op == "register":
            self._register(a, b, c)
        elif op == "wait":
            self.kit.advance(days=1 + a % 4)
        elif self.books:
            known = [
                number for number, book in self.books.items()
                if d % 4 == 0 or book.state in BEFORE.get(op, (book.state,))
            ]  # fmt: skip
            if op in ("finance", "take_back", "lie"):
                known = [one for one in known if self.books[one].offers] or known
            if known:
                self._call(op, known[a % len(known)], b, c, d)
        self.judge()

    def _send(self, op: str, who: str, /, **args: Any) -> Any:
        root = self.kit.query("invoices", "tasks", organisation=self.kit.id("buyer"))
        try:
            made = self.kit.as_(who).call("invoices", op, **args)
        except Refused as refused:
            self.counts[f"{op} {refused.code}"] += 1
            after = self.kit.query("invoices", "tasks", organisation=self.kit.id("buyer"))
            assert after == root, "a refused call changed what awaits the buyer"
            return refused
        self.counts[f"{op} OK"] += 1
        return made

    def _register(self, a: int, b: int, c: int) -> None:
        seller, printed = SELLERS[a % 5 == 4], f"INV{b % 24}"
        minor = 10_000 - c % 24
        gross = {"minor": minor, "currency": "EUR"}
        data = {"number": printed, "issued_on": 20260101, "gross": gross, "document": bytes(32)}
        made = self._send(
            "register",
            seller,
            buyer=self.kit.id("buyer"),
            data=hidden(self.kit, data),
            fingerprints=marks(printed, 20260101, str(minor), seller),
            due_at=self.kit.time_ms + 20 * 86_400_000,
        )
        name = f"{seller} {printed} {minor}"
        same = [
            one for one in self.books.values()
            if one.name == name and one.state not in ("REJECTED", "WITHDRAWN")
        ]  # fmt: skip
        if isinstance(made, Refused):
            assert same or made.code == "TOO_MANY"
            return
        assert not same, "an invoice is registered twice"
        alike = {
            number for number, one in self.books.items()
            if one.seller == seller and one.state not in ("REJECTED", "WITHDRAWN")
            and (one.name.split()[1] == printed or one.gross == minor)
        }  # fmt: skip
        assert set(made["alike"]) == alike, "an alert is missing, or one is too many"
        self.books[made["number"]] = Book(seller, name, minor, unpaid=minor)

    def _call(self, op: str, number: int, b: int, c: int, d: int) -> None:
        book, kit = self.books[number], self.kit
        financier = FINANCIERS[b % 2]
        args: dict[str, Any] = {"number": number}
        who = {"accept": "buyer", "reject": "buyer", "tell_apart": "buyer"}.get(op, book.seller)
        if op == "accept":
            args["fingerprints"] = registered(kit, number)
        elif op == "reject":
            args["remark"] = hidden(kit, "no")
        elif op in ("offer", "take_back"):
            args["financier"] = kit.id(financier)
            if op == "offer":
                args["advance"] = self._money(minor := 1_000 + c % 10_000)
        elif op in ("finance", "lie"):
            offered = list(book.offers) if c % 4 else []
            self._finance(op, number, (offered or [financier])[0])
            return
        elif op == "tell_apart":
            seen = [one["other"] for one in read(kit, number)["alerts"]] or list(self.books)
            args["other"] = other = seen[c % len(seen)]
            args["remark"] = hidden(kit, "two")
        elif op == "credit_note":
            args["amount"] = self._money(minor := 1 + c % 600)
        elif op == "paid":
            payee = book.financier if d % 2 and book.financier else book.seller
            args |= {"payee": kit.id(payee), "amount": self._money(minor := 1 + c % 600)}
            who = "buyer" if b % 2 else payee
        elif op == "examined":
            self._examine(number)
            return
        elif op in ("settle", "default", "release"):
            who = book.financier or financier
        made = self._send(op, who, **args)
        if isinstance(made, Refused):
            return
        if op == "offer":
            book.offers[financier] = minor
        elif op == "take_back":
            del book.offers[financier]
        elif op == "tell_apart":
            book.apart.add(other)
            self.books[other].apart.add(number)
        elif op == "credit_note":
            book.unpaid -= minor
            book.postings += 1
        elif op == "paid":
            book.postings += 1
            owned = book.state in ("FINANCED", "DEFAULTED")
            assert made == ("MISDIRECTED" if owned and payee == book.seller else "PAYMENT")
            if not owned:
                book.unpaid -= minor
            else:
                self.since.setdefault(number, []).append(minor)
        else:
            book.state = {
                "accept": "ACCEPTED", "reject": "REJECTED", "withdraw": "WITHDRAWN",
                "settle": "SETTLED", "default": "DEFAULTED", "release": "RELEASED",
            }[op]  # fmt: skip
            if op == "release":
                book.financier = ""
                book.unpaid -= sum(self.since.pop(number, []))

    @property
    def since(self) -> dict[int, list[int]]:
        """Payments since the financing, by invoice: they count once it is the seller's again."""
        found: dict[int, list[int]] = self.__dict__.setdefault("_since", {})
        return found

    def _money(self, minor: int) -> bytes:
        return hidden(self.kit, {"minor": minor, "currency": "EUR"})

    def _finance(self, op: str, number: int, financier: str) -> None:
        """``lie``: the financier says WITHIN of another document."""
        book, kit = self.books[number], self.kit
        marked = registered(kit, number)
        if op == "lie":
            marked[sorted(marked)[number % 3]] = bytes(32)
        args = {"number": number, "financier": kit.id(financier), "fingerprints": marked}
        args["offered"] = offered(kit, number, financier)
        verdict = "WITHIN"
        if financier in book.offers and op == "finance":
            verdict = kit.check("invoices", "within", None, **args)["code"]
            expected = book.offers[financier] <= max(book.unpaid, 0)
            assert (verdict == "WITHIN") == expected, "the check and the books differ"
        made = self._send("finance", financier, **args, verdict=verdict, findings=hidden(kit, []))
        if isinstance(made, Refused):
            return
        assert op == "finance", "a false fingerprint was taken"
        assert book.state in ("ACCEPTED", "RELEASED"), "financed out of order"
        for other, one in self.books.items():
            is_alike = one.seller == book.seller and other != number and (
                one.name.split()[1] == book.name.split()[1] or one.gross == book.gross
            )  # fmt: skip
            if is_alike and one.state not in ("REJECTED", "WITHDRAWN"):
                assert other in book.apart, "financed in spite of an alert"
        book.state, book.financier = "FINANCED", financier
        book.advance = book.offers[financier]
        book.offers.clear()
        assert book.advance <= book.unpaid, "the advance is above what is unpaid"

    def _examine(self, number: int) -> None:
        book = self.books[number]
        if book.state not in ("FINANCED", "DEFAULTED"):
            return
        found = self.kit.check("invoices", "cover", number=number)
        args = {"verdict": found["code"], "findings": hidden(self.kit, found["findings"])}
        made = self._send("examined", book.financier, number=number, **args)
        assert made is False, "an honest verdict disputes"

    def judge(self) -> None:
        """The chain says what the books say, and no invoice is financed twice."""
        live: Counter[str] = Counter()
        for number, book in self.books.items():
            found = read(self.kit, number)
            invoice = found["invoice"]
            assert invoice["state"] == book.state
            assert invoice["financier"] == (self.kit.id(book.financier) if book.financier else "")
            assert invoice["postings"] == book.postings == len(found["postings"])
            assert {one["financier"] for one in found["offers"]} == {
                self.kit.id(one) for one in book.offers
            }
            live[book.name] += invoice["state"] in ("FINANCED", "DEFAULTED", "SETTLED")
        assert not live or max(live.values()) <= 1, "one invoice is financed twice"
