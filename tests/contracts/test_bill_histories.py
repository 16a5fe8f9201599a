"""Random histories of bills of lading, judged by a book of their own."""

from __future__ import annotations

import os
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from contracts.sdk.testkit import Refused
from tests.contracts import shipments
from tests.contracts.bills import arrive, bill, hidden, issued, small_world, words

NAMES = ("maker", "carrier", "pharmacy", "bank", "trader")
RIGHT = "who may"  # whoever the book says it takes
WHO = st.sampled_from((*NAMES, *[RIGHT] * 10))
TO = st.sampled_from(NAMES)
NUMBERS = st.integers(1, 2)
LATE = st.sampled_from((0, 0, 0, 0, 1))  # how many turns ago it was signed
ACTS = st.sampled_from(("TRANSFER", "SURRENDER", "AMEND", "PAPER"))
BEGUN = ("", "PAPER", "PLEDGE", "AMEND")
LIVE = ("ISSUED", "TRANSFERRED")


class Entry:
    """What the book knows of a bill: by its own reckoning, from the calls that went through."""

    def __init__(self, shipment: int, controller: str, to: str | None) -> None:
        self.shipment, self.controller, self.straight_to = shipment, controller, to
        self.state, self.turn, self.pledgee = "LIVE", 0, ""
        self.consent: tuple[str, str] | None = None
        self.proposed, self.accepted = 0, 0
        self.undecided = False
        self.paper = False

    def next(self) -> None:
        self.turn, self.consent = self.turn + 1, None


class Histories(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.kit = small_world()
        self.ids = {name: self.kit.id(name) for name in NAMES}
        self.book: dict[int, Entry] = {}
        self.delivered = False

    @initialize(straight=st.booleans(), ends=st.booleans(), begun=st.sampled_from(BEGUN))
    def begin(self, straight: bool, ends: bool, begun: str) -> None:
        """Two bills, one of them somewhere on its way: random calls alone seldom get one far."""
        for to_order in (not straight, True):
            number = issued(self.kit, to_order=to_order)
            to = None if to_order else self.ids["pharmacy"]
            self.book[number] = Entry(number, self.ids["maker"], to)
        if ends:
            arrive(self.kit)
        if begun == "PAPER":
            self.ask_for_paper(number=2, who=RIGHT, wanted=True, late=0)
        elif begun == "PLEDGE":
            self.pledge(number=2, who=RIGHT, to="bank", late=0)
        elif begun == "AMEND":
            self.amend(number=2, who="carrier")

    def send(
        self, may: bool | None, who: str, method: str, contract: str = "bill", /, **args: Any
    ) -> bool:
        """Make a call; the book says whether it may go through (None: it has no opinion)."""
        root = self.kit.root
        try:
            self.kit.as_(who).call(contract, method, **args)
        except Refused as error:
            assert error.code != "CONTRACT_FAULT", error
            assert self.kit.root == root, "a refused call changed something"
            assert not may, f"{who} {method} {args}: {error}"
            return False
        assert may is not False, f"{who} {method} {args} went through"
        return True

    def agreed(self, one: Entry, act: str, to: str = "") -> bool:
        return not one.pledgee or one.consent == (act, to)

    def name(self, who: str, organisation: str) -> str:
        """Mostly the one who may: random ones alone seldom get a bill far."""
        held = [name for name in NAMES if self.ids[name] == organisation]
        return held[0] if who == RIGHT and held else "trader" if who == RIGHT else who

    def mine(self, one: Entry, who: str, late: int) -> bool:
        return one.state == "LIVE" and one.controller == self.ids[who] and late == 0

    def turn(self, one: Entry, late: int) -> int:
        return max(0, one.turn - late) if one.turn else late

    @rule(who=WHO, number=NUMBERS, to=TO, late=LATE)
    def transfer(self, who: str, number: int, to: str, late: int) -> None:
        one, new = self.book[number], self.ids[to]
        who = self.name(who, one.controller)
        may = (
            self.mine(one, who, late)
            and new != one.controller
            and one.straight_to in (None, new)
            and (self.agreed(one, "TRANSFER", new) or one.pledgee == new)
        )
        if self.send(may, who, "transfer", number=number, to=new, turn=self.turn(one, late)):
            one.controller, one.paper = new, False
            one.pledgee = "" if one.pledgee == new else one.pledgee
            one.next()

    @rule(who=WHO, number=NUMBERS, to=TO, late=LATE)
    def pledge(self, who: str, number: int, to: str, late: int) -> None:
        one, new = self.book[number], self.ids[to]
        who = self.name(who, one.controller)
        may = self.mine(one, who, late) and not one.pledgee
        may = may and new not in (one.controller, self.ids["carrier"])
        if self.send(may, who, "pledge", number=number, to=new, turn=self.turn(one, late)):
            one.pledgee, one.paper = new, False
            one.next()

    @rule(number=NUMBERS, who=WHO, act=ACTS, to=TO, late=LATE)
    def consent(self, number: int, who: str, act: str, to: str, late: int) -> None:
        one = self.book[number]
        who = self.name(who, one.pledgee)
        given = self.ids[to] if act == "TRANSFER" else ""
        may = one.state == "LIVE" and late == 0 and one.pledgee == self.ids[who]
        args = {"number": number, "act": act, "to": given, "turn": self.turn(one, late)}
        if self.send(may, who, "consent", **args):
            one.consent = (act, given)

    @rule(number=NUMBERS, who=WHO)
    def release(self, number: int, who: str) -> None:
        one = self.book[number]
        who = self.name(who, one.pledgee)
        may = one.state == "LIVE" and one.pledgee == self.ids[who]
        if self.send(may, who, "release", number=number):
            one.pledgee = ""
            one.next()

    @rule(number=st.just(2) | NUMBERS, who=st.sampled_from((*NAMES, RIGHT)), late=LATE)
    def surrender(self, number: int, who: str, late: int) -> None:
        one = self.book[number]
        who = self.name(who, one.controller)
        me = self.ids[who]
        may = self.mine(one, who, late) and not one.undecided and self.agreed(one, "SURRENDER")
        may = may and one.straight_to in (None, me) and who != "carrier"
        if self.send(may, who, "surrender", number=number, turn=self.turn(one, late)):
            one.state, one.pledgee, one.paper = "SURRENDERED", "", False
            one.next()

    @rule(number=NUMBERS, who=st.sampled_from(("carrier", "carrier", "maker")))
    def amend(self, number: int, who: str) -> None:
        one = self.book[number]
        may = who == "carrier" and one.state == "LIVE" and not one.undecided
        args = words(self.kit, packages=one.proposed) | {"changes": hidden(self.kit, ["packages"])}
        if self.send(may and one.proposed < 50, who, "amend", number=number, **args):
            one.proposed, one.undecided = one.proposed + 1, True

    @rule(number=NUMBERS, who=WHO, accept=st.booleans(), late=LATE)
    def decide(self, number: int, who: str, accept: bool, late: int) -> None:
        one = self.book[number]
        who = self.name(who, one.controller)
        may = self.mine(one, who, late) and one.undecided
        may = may and (not accept or self.agreed(one, "AMEND"))
        args = {"version": max(1, one.proposed), "accept": accept, "turn": self.turn(one, late)}
        if self.send(may, who, "decide", number=number, **args):
            one.undecided = False
            one.accepted = one.proposed if accept else one.accepted
            one.next()

    @rule(number=NUMBERS, who=WHO, wanted=st.booleans(), late=LATE)
    def ask_for_paper(self, number: int, who: str, wanted: bool, late: int) -> None:
        one = self.book[number]
        who = self.name(who, one.controller)
        may = self.mine(one, who, late)
        may = may and (not wanted or (not one.undecided and self.agreed(one, "PAPER")))
        args = {"number": number, "wanted": wanted, "turn": self.turn(one, late)}
        if self.send(may, who, "ask_for_paper", **args):
            one.paper = wanted
            one.next()

    @rule(number=NUMBERS, who=st.sampled_from(("carrier", "carrier", "bank")))
    def replace_by_paper(self, number: int, who: str) -> None:
        one = self.book[number]
        may = who == "carrier" and one.state == "LIVE" and one.paper and not one.undecided
        args = {"paper": hidden(self.kit, bytes([number]) * 32)}
        if self.send(may, who, "replace_by_paper", number=number, **args):
            one.state, one.pledgee, one.paper = "PAPER", "", False
            one.next()

    @rule(shipment=NUMBERS, who=WHO)
    def confirm(self, shipment: int, who: str) -> None:
        """Nothing is delivered before the surrender, nor to anybody else."""
        one = self.book[shipment]
        who = self.name(who, one.controller)
        arrived = shipments.state(self.kit, shipment) == "ARRIVED"
        may = arrived and one.state == "SURRENDERED" and one.controller == self.ids[who]
        self.send(may, who, "confirm_delivery", "shipment", number=shipment)

    @rule(number=NUMBERS, who=st.sampled_from(("carrier", "maker")))
    def accomplish(self, number: int, who: str) -> None:
        one = self.book[number]
        done = shipments.state(self.kit, one.shipment) == "DELIVERED"
        may = who == "carrier" and one.state == "SURRENDERED" and done
        if self.send(may, who, "accomplish", number=number):
            one.state = "ACCOMPLISHED"

    @invariant()
    def the_books_agree(self) -> None:
        for number, one in self.book.items():
            found = bill(self.kit, number)
            state = "LIVE" if found["state"] in LIVE else found["state"]
            assert state == {"PAPER": "REPLACED_BY_PAPER"}.get(one.state, one.state)
            assert (found["controller"], found["turn"]) == (one.controller, one.turn)
            assert (found["pledgee"], found["version"]) == (one.pledgee, one.accepted)
            held = [
                name
                for name in NAMES
                for row in self.kit.query("bill", "bills_of", organisation=self.ids[name])
                if row["number"] == number and row["bill"]["controller"] == self.ids[name]
            ]
            assert len(held) == (1 if one.state in ("LIVE", "SURRENDERED") else 0), held


NIGHTLY = os.environ.get("HYPOTHESIS_PROFILE") == "nightly"
TestHistories = Histories.TestCase
TestHistories.settings = settings(
    max_examples=100 if NIGHTLY else 12,
    stateful_step_count=100 if NIGHTLY else 30,
    deadline=None,
)
