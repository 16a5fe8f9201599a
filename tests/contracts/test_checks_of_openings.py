"""Checks: contract code that parties run over openings, and the vault contract."""

from __future__ import annotations

import pytest

from consensus.primitives.errors import InputError
from contracts.runtime.package import Package, package_of
from contracts.runtime.registry import Registry
from contracts.sdk.testkit import Refused, Testkit

SOURCE = '''
"""Orders whose price the parties alone know."""

from __future__ import annotations

from typing import Annotated, Any

from contracts.sdk import (
    Contract,
    Findings,
    Int,
    Map,
    Opened,
    OrganisationId,
    Party,
    Record,
    Text,
    Verdict,
    VerdictCode,
    call,
    check,
    query,
)

Number = Annotated[int, Int(1)]


class Terms(Record):
    pieces: Annotated[int, Int(1)]
    each: Annotated[int, Int(0)]
    note: Annotated[str, Text(100, 0)] = ""


Amount = Annotated[int, Int(0)]


class Order(Record):
    seller: OrganisationId
    terms: Annotated[bytes, Party(Terms)]
    total: Annotated[bytes, Party(Amount)]
    verdict: str = ""
    findings: Findings | None = None


class Orders(Contract):
    name = "orders"
    audited = True

    orders = Map(Order, key=("number",))
    terms = Opened(Terms)
    amounts = Opened(Amount)

    @call
    def place(
        self,
        number: Number,
        seller: OrganisationId,
        terms: Annotated[bytes, Party(Terms)],
        total: Annotated[bytes, Party(Amount)],
    ) -> None:
        """Order, on terms that buyer and seller know."""
        self.orders.put(number, Order(seller, terms, total))
        self.share([terms, total], [seller])

    @check(records="added_up")
    def adds_up(self, number: Number) -> Verdict:
        """Whether the total is what the terms come to."""
        order = self.orders.get(number)
        terms = self.terms.open(order.terms)
        total = self.amounts.open(order.total)
        if terms.pieces * terms.each == total:
            return Verdict("ADDS_UP", [])
        return Verdict("DOES_NOT", [f"{terms.pieces} at {terms.each} are not {total}"])

    @call(meaning="review")
    def added_up(self, number: Number, verdict: VerdictCode, findings: Findings) -> None:
        """Take the verdict down."""
        order = self.orders.get(number)
        order.verdict, order.findings = verdict, findings
        self.orders.put(number, order)
        self.share([findings], [order.seller])

    @call
    def peep(self, number: Number) -> Amount:
        """What no call may do."""
        return self.amounts.open(self.orders.get(number).total)

    @check
    def writes(self, number: Number) -> Verdict:
        """What no check may do."""
        self.orders.delete(number)
        return Verdict("DONE", [])
'''


def orders(source: str = SOURCE) -> Package:
    return package_of([("orders.py", source)])


@pytest.fixture
def kit() -> Testkit:
    kit = Testkit.of(orders(), builtin=("identity", "vault"))
    for name in ("buyer", "seller", "rival"):
        kit.organisation(name)
    return kit


def place(
    kit: Testkit, total: int = 600, *, by: str = "buyer", number: int = 1
) -> dict[str, bytes]:
    terms = kit.commit({"pieces": 12, "each": 50, "note": "Bilbao"}).commitment
    args = {"terms": terms, "total": kit.commit(total).commitment}
    kit.as_(by).call("orders", "place", number=number, seller=kit.id("seller"), **args)
    return args


def test_a_check_looks_behind_commitments_and_its_verdict_goes_on_chain(kit: Testkit) -> None:
    place(kit, 601)
    verdict = kit.check("orders", "adds_up", number=1)
    assert verdict == {"code": "DOES_NOT", "findings": ["12 at 50 are not 601"]}
    findings = kit.commit(verdict["findings"]).commitment
    seller = kit.as_("seller")
    seller.call("orders", "added_up", number=1, verdict=verdict["code"], findings=findings)
    assert not any(kit.discloses(text) for text in ("Bilbao", "12 at 50"))
    place(kit, 600, number=2)
    assert kit.check("orders", "adds_up", number=2)["code"] == "ADDS_UP"
    kit.replay()


def test_without_an_opening_it_is_said_which_is_missing(kit: Testkit) -> None:
    args = place(kit)
    terms = kit.openings[args["terms"]]
    with pytest.raises(Refused) as caught:
        kit.check("orders", "adds_up", {args["terms"]: terms}, number=1)
    assert (caught.value.code, caught.value.detail) == ("OPENING_MISSING", args["total"].hex())
    for wrong in (terms._replace(salt=bytes(16)), terms._replace(value={"pieces": 1, "each": 1})):
        with pytest.raises(Refused, match="OPENING_MISSING"):
            kit.check("orders", "adds_up", kit.openings | {args["terms"]: wrong}, number=1)


def test_what_was_committed_to_must_be_of_its_kind(kit: Testkit) -> None:
    """The one who commits may have committed to anything."""
    for number, value in enumerate(({"pieces": 12}, {"pieces": 0, "each": 1}, 7, "x", [1]), 1):
        args = {"terms": kit.commit(value).commitment, "total": kit.commit(1).commitment}
        kit.as_("buyer").call("orders", "place", number=number, seller=kit.id("seller"), **args)
        with pytest.raises(Refused, match="OPENING_MALFORMED"):
            kit.check("orders", "adds_up", number=number)


def test_calls_and_queries_see_no_openings_and_checks_write_nothing(kit: Testkit) -> None:
    place(kit)
    kit.as_("buyer").refused("NOT_A_CHECK", "orders", "peep", number=1)
    with pytest.raises(Refused, match="READ_ONLY"):
        kit.check("orders", "writes", number=1)
    kit.as_("buyer").refused("UNKNOWN_METHOD", "orders", "adds_up", number=1)
    with pytest.raises(Refused, match="UNKNOWN_METHOD"):
        kit.query("orders", "adds_up", number=1)


def test_the_schema_publishes_checks_and_what_records_them(kit: Testkit) -> None:
    methods = kit.registry.schema()["orders"]["methods"]
    assert (methods["adds_up"]["kind"], methods["adds_up"]["records"]) == ("check", "added_up")
    assert methods["place"]["records"] == ""


@pytest.mark.parametrize("other", ["nothing", "place"])
def test_what_records_a_check_takes_its_arguments_and_the_verdict(other: str) -> None:
    with pytest.raises(InputError, match="CONTRACT_REFUSED"):
        Registry.of([orders(SOURCE.replace('records="added_up"', f'records="{other}"'))])


# --- the vault ------------------------------------------------------------------------------------


def test_those_entitled_are_known_to_all(kit: Testkit) -> None:
    args = place(kit)
    found = kit.query("vault", "entry", commitment=args["terms"])
    assert found["entry"]["author"] == kit.id("buyer")
    assert found["entry"]["organisations"] == [kit.id("buyer"), kit.id("seller")]
    assert found["entry"]["commitment"] == args["terms"]  # by which nodes that start find it
    assert found["erased"] == []
    one, other = kit.query("vault", "entitled", commitments=[args["total"], bytes(32)])
    assert one["organisations"] == [kit.id("buyer"), kit.id("seller")] and other is None


def test_a_copied_commitment_entitles_nobody(kit: Testkit) -> None:
    args = place(kit)
    rival = {"number": 2, "seller": kit.id("rival"), **args}
    kit.as_("rival").refused("COMMITMENT_USED", "orders", "place", **rival)
    kit.as_("rival").refused(
        "COMMITMENT_USED", "vault", "entitle", commitments=[args["total"]],
        organisations=[kit.id("rival")],
    )  # fmt: skip


def test_who_is_entitled_shares_on(kit: Testkit) -> None:
    args = place(kit)
    more = {"commitments": [args["terms"]], "organisations": [kit.id("rival"), kit.id("buyer")]}
    kit.as_("seller").call("vault", "entitle", **more)
    entry = kit.query("vault", "entry", commitment=args["terms"])["entry"]
    assert entry["organisations"] == [kit.id(name) for name in ("buyer", "seller", "rival")]
    assert entry["author"] == kit.id("buyer")


def test_an_erasure_is_confirmed_once_by_those_who_were_entitled(kit: Testkit) -> None:
    args = place(kit)
    said = {"commitments": [args["terms"]], "reason": "REQUEST"}
    kit.as_("rival").refused("NOT_ENTITLED", "vault", "erased", **said)
    kit.as_("seller").call("vault", "erased", **said)
    kit.as_("seller").refused("ALREADY_ERASED", "vault", "erased", **said)
    (receipt,) = kit.query("vault", "entry", commitment=args["terms"])["erased"]
    assert receipt["organisation"] == kit.id("seller")
    assert receipt["by"] == kit.public_key("seller")
    assert receipt["reason"] == "REQUEST"


def test_one_opening_is_for_a_few(kit: Testkit) -> None:
    from contracts.sdk.testkit import organisation_id

    commitment = kit.commit("secret").commitment
    for first in (100, 130):
        many = [organisation_id(first + at) for at in range(30)]
        args = {"commitments": [commitment], "organisations": many}
        if first == 100:
            kit.as_("buyer").call("vault", "entitle", **args)
        else:
            kit.as_("buyer").refused("TOO_MANY_ENTITLED", "vault", "entitle", **args)
