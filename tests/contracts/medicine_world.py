"""Random histories of medicines that are inspected, licensed, sold and suspected, each call judged
by books of its own: dates, verdicts, locks and owners are worked out here, not by the contracts."""

from __future__ import annotations

from collections import Counter
from typing import Any, Final

from consensus.primitives.keys import prefix_range
from contracts.sdk.dates import date_of, date_text
from contracts.sdk.testkit import Refused, Testkit
from contracts.supply.dscsa_records import ASSERTIONS
from tests.contracts.shipments import some

GTIN: Final = "00361414567894"
LOT: Final = f"01/{GTIN}/10/A1"
SERIALS: Final = 4  # with which a history goes on
TRADERS: Final = ("maker", "wholesaler", "pharmacy")
PERSONS: Final = ("examiner", "approver")
KINDS: Final = {"maker": "MANUFACTURER", "wholesaler": "WHOLESALER", "pharmacy": "DISPENSER"}
AUTHORITY: Final = {"maker": "US", "wholesaler": "US-NJ", "pharmacy": "US-NY"}
LOW: Final = {"low": 950, "low_tolerated": 940}
DAY_MS: Final = 86_400_000
KEPT: Final = tuple(
    prefix_range(contract, name)[0]
    for contract, names in (
        ("quality", ("results", "signed")),
        ("dscsa", ("transactions", "lines", "licence_changes")),
    )
    for name in names
)
OPS: Final = (
    "licence", "change", "pass", "sell", "sell", "sell", "transfer", "transfer", "ship", "receive",
    "receive", "receive", "commission",
    "request", "record", "record", "review", "review", "approve", "approve", "concede", "cancel",
    "suspect", "decide", "notify", "terminate", "quarantine", "release", "dispense", "require",
    "back",
)  # fmt: skip


class World:
    """A chain where ownership passes by the DSCSA alone, and what has to be true of it."""

    def __init__(self) -> None:
        kit = Testkit.of(builtin=("identity", "batch", "quality", "dscsa"))
        for name, role in (("maker", "manufacturer"), ("wholesaler", "wholesaler"),
                           ("pharmacy", "dispenser"), ("lab", "laboratory"),
                           ("fda", "regulator")):  # fmt: skip
            kit.organisation(name, (role,))
        for name in PERSONS:
            kit.key(name, "lab", ("laboratory",), user=name)
        kit.key("qa", "maker", ("manufacturer",), user="qa")
        expiry = date_text(date_of(kit.time_ms) + 90_000)
        maker = kit.as_("maker")
        maker.call("batch", "commission", items=[some(LOT, 1_000)], expiry=expiry)
        limits = [{"code": "ASSAY", "unit": "P1", **LOW}]
        self.plan = maker.call("quality", "define_plan", characteristics=limits)
        kit.as_("consortium").call("batch", "set_policy", dscsa=True)
        self.kit = kit
        self.names = {kit.id(one): one for one in (*TRADERS, "lab", "fda")}
        self.counts: Counter[str] = Counter()
        self.licences: dict[int, dict[str, Any]] = {}
        self.inspections: dict[int, dict[str, Any]] = {}
        self.newest: dict[tuple[str, str], int] = {}
        self.cases: dict[int, dict[str, Any]] = {}
        self.required = False
        self.expiry = expiry
        self.serials: list[str] = []
        for _ in range(SERIALS):
            self.do_commission(())
        for number in range(3):
            self.do_licence((number, 0, 29))

    # --- books ----------------------------------------------------------------------------------

    def authorised(self, who: str) -> bool:
        today = date_of(self.kit.time_ms)
        return any(
            one["who"] == who and one["state"] == "ACTIVE" and one["first"] <= today <= one["last"]
            for one in self.licences.values()
        )

    def verdict(self, item: str, scope: str) -> str:
        """What inspections say of a thing: the newest decided one; PENDING for the first."""
        number = self.newest.get((item, scope))
        if number is None:
            return ""
        found = self.inspections[number]
        while found["state"] != "DECIDED":
            if not found["previous"]:
                return "PENDING"
            found = self.inspections[found["previous"]]
        return "ACCEPTED" if found["conceded"] else str(found["verdict"])

    def locked(self, item: str, who: str) -> bool:
        """Whether a thing that somebody has must stay: by an inspection, or in a case."""
        scopes = [(item, ""), (item, who), (LOT, ""), (LOT, who)]
        if any(self.verdict(*one) not in ("", "ACCEPTED") for one in scopes):
            return True
        for one in self.cases.values():
            if one["state"] not in ("SUSPECT", "ILLEGITIMATE"):
                continue
            if one["item"] == LOT and one["reporter"] == who:
                return True
            if one["item"] == item != LOT:
                return True
        return False

    def accepted(self, item: str, who: str) -> bool:
        scopes = [(item, ""), (item, who), (LOT, ""), (LOT, who)]
        return any(self.verdict(*one) == "ACCEPTED" for one in scopes)

    def owners(self) -> dict[str, Any]:
        """Who owns each serial, and how much of the lot each owns at each, on its way too."""
        found: dict[str, Any] = {}
        for one in self.serials[-SERIALS:]:
            found[one] = self.kit.query("batch", "item", item=one)["owner"]
        lot = self.kit.query("batch", "item", item=LOT)
        for stock in lot["stock"]:
            amount = stock["free"] + stock["quarantined"] + stock["expired"]
            found[stock["owner"]] = found.get(stock["owner"], 0) + amount
        for way in lot["transit"]:
            found[way["owner"]] = found.get(way["owner"], 0) + way["amount"]
        return found

    # --- one call -------------------------------------------------------------------------------

    def send(self, who: str, contract: str, method: str, /, **args: Any) -> Any:
        """The result of a call, or None where it was refused; judged in any case."""
        before, root = dict(self.kit._state.values), self.kit.root
        name = f"{contract}.{method}"
        self.counts[name + " tried"] += 1
        try:
            result = self.kit.as_(who).call(contract, method, **args)
        except Refused as error:
            assert error.code not in ("CONTRACT_FAULT", "OUT_OF_STEPS", "REENTRY"), str(error)
            self.counts[f"{name} {error.code}"] += 1
            ran_due = len(self.kit.blocks[-1].receipts) > 1
            assert ran_due or self.kit.root == root, f"{name} was refused and changed something"
            result = None
        else:
            self.counts[f"{name} OK"] += 1
            result = True if result is None else result
        for key, value in before.items():
            if key.startswith(KEPT):
                assert self.kit._state.values.get(key) == value, "what was kept has changed"
        return result

    def move(
        self, who: str, contract: str, method: str, item: str, /, at: str = "", **args: Any
    ) -> Any:
        """A call that must not be accepted for what has to stay where it is: at the caller's,
        or ``at`` another."""
        locked, accepted = self.locked(item, at or who), self.accepted(item, at or who)
        owners = self.owners()
        result = self.send(who, contract, method, items=[self.thing(item)], **args)
        if result is not None:
            assert not locked, f"{method}: {item} was locked"
            assert accepted or not self.required, f"{method}: {item} was not inspected"
        if method not in ("transfer", "dispense"):
            assert self.owners() == owners, f"{method} passed ownership"
        return result

    def thing(self, item: str) -> dict[str, Any]:
        return some(item, 10) if item == LOT else some(item)

    def act(self, op: str, numbers: tuple[int, ...]) -> None:
        getattr(self, f"do_{op}")(numbers)
        self.check_cases()

    # --- licences -------------------------------------------------------------------------------

    def do_licence(self, numbers: tuple[int, ...]) -> None:
        who, today = TRADERS[numbers[0] % 3], self.kit.time_ms
        first = date_of(today + (numbers[1] % 6 - 4) * DAY_MS)
        last = date_of(today + (numbers[2] % 30 - 2) * DAY_MS)
        known = [
            number for number, one in self.licences.items()
            if one["who"] == who and one["state"] != "REVOKED"
        ]  # fmt: skip
        if known and numbers[3:] and numbers[3] % 8:
            licence = {"organisation": self.kit.id(who), "licence": known[-1]}
            done = self.send("fda", "dscsa", "renew_licence", **licence, valid_until=last)
            assert (done is not None) == (self.licences[known[-1]]["first"] <= last)
            if done is not None:
                self.licences[known[-1]]["last"] = last
            return
        given = {"organisation": self.kit.id(who), "kind": KINDS[who]}
        made = self.send(
            "fda", "dscsa", "grant_licence", **given, authority=AUTHORITY[who],
            reference=self.kit.commit("LIC").commitment, valid_from=first, valid_until=last,
        )  # fmt: skip
        assert (made is not None) == (first <= last) or len(self.licences) >= 200
        if made is not None:
            self.licences[made] = {"who": who, "state": "ACTIVE", "first": first, "last": last}

    def do_change(self, numbers: tuple[int, ...]) -> None:
        if not self.licences:
            return
        number = list(self.licences)[-1 - numbers[0] % min(4, len(self.licences))]
        licence = self.licences[number]
        given = {"organisation": self.kit.id(licence["who"]), "licence": number}
        method, state, allowed = (
            ("suspend_licence", "SUSPENDED", ("ACTIVE",)),
            ("reinstate_licence", "ACTIVE", ("SUSPENDED",)),
            ("reinstate_licence", "ACTIVE", ("SUSPENDED",)),
            ("revoke_licence", "REVOKED", ("ACTIVE", "SUSPENDED")),
        )[(numbers[1] % 4 if numbers[3] % 3 == 0 else numbers[1] % 3) if numbers[2] % 4 else 1]
        done = self.send("fda", "dscsa", method, **given, reason="OTHER")
        assert (done is not None) == (licence["state"] in allowed)
        if done is not None:
            licence["state"] = state

    def do_pass(self, numbers: tuple[int, ...]) -> None:
        self.kit.advance(hours=(1, 5, 11, 23, 24, 49)[numbers[0] % 6])

    # --- trade ----------------------------------------------------------------------------------

    def sale(self, buyer: str, numbers: tuple[int, ...]) -> dict[str, Any]:
        less = ASSERTIONS[1:] if numbers[5] % 12 == 0 else ASSERTIONS
        information = self.kit.commit("information").commitment
        return {"buyer": self.kit.id(buyer), "information": information, "statement": list(less)}

    def judge_sale(self, done: Any, who: str, buyer: str, given: dict[str, Any]) -> None:
        if done is not None:
            assert self.authorised(who) and self.authorised(buyer)
            assert len(given["statement"]) == 7
            found = self.kit.query("dscsa", "transaction", transaction=done)
            assert found["record"]["seller"] == self.kit.id(who)
            assert len(found["lines"]) == found["record"]["packages"] == 1

    def do_commission(self, _numbers: tuple[int, ...]) -> None:
        serial = f"01/{GTIN}/21/S{len(self.serials)}"
        self.send(
            "maker", "batch", "commission", items=[some(serial)], lot="A1", expiry=self.expiry
        )
        self.serials.append(serial)

    def any_item(self, number: int) -> str:
        return [LOT, *self.serials[-SERIALS:]][number % (SERIALS + 1)]

    def pick(self, numbers: tuple[int, ...]) -> tuple[str, str, str]:
        """A thing, mostly with who has it, and another trader."""
        item = self.any_item(numbers[0])
        who = TRADERS[numbers[1] % 3]
        if item != LOT and numbers[2] % 4:
            holder = self.kit.query("batch", "item", item=item)["record"]["holder"]
            who = self.names[holder]
        others = [one for one in TRADERS if one != who]
        return item, who, others[numbers[3] % 2]

    def do_sell(self, numbers: tuple[int, ...]) -> None:
        item, who, buyer = self.pick(numbers)
        given = self.sale(buyer, numbers)
        self.judge_sale(self.move(who, "dscsa", "ship", item, **given), who, buyer, given)

    def do_transfer(self, numbers: tuple[int, ...]) -> None:
        item, who, buyer = self.pick(numbers)
        holder = who
        if item != LOT and numbers[4] % 4:
            holder, who = who, self.names[self.kit.query("batch", "item", item=item)["owner"]]
            buyer = buyer if who == holder else holder
        given = {**self.sale(buyer, numbers), "holder": self.kit.id(holder)}
        done = self.move(who, "dscsa", "transfer", item, at=holder, **given)
        self.judge_sale(done, who, buyer, given)

    def do_ship(self, numbers: tuple[int, ...]) -> None:
        item, who, to = self.pick(numbers)
        keep = numbers[4] % 2 == 0
        done = self.move(who, "batch", "ship", item, consignee=self.kit.id(to), keep_ownership=keep)
        assert keep or done is None, "ownership passed without transaction information"

    def do_receive(self, numbers: tuple[int, ...]) -> None:
        item = self.any_item(numbers[0])
        if item == LOT:
            to = self.kit.id(TRADERS[numbers[1] % 3])
        else:
            to = self.kit.query("batch", "item", item=item)["record"]["consignee"]
        if not to:
            return
        record = self.kit.query("batch", "item", item=item)
        owners = self.owners()
        done = self.send(self.names[to], "batch", "receive", items=[some(item)])
        if done is None or item == LOT:
            now = self.owners()  # a lot's ways pass or don't, all of it is somebody's
            amounts = [sum(v for v in one.values() if isinstance(v, int)) for one in (owners, now)]
            assert amounts[0] == amounts[1]
            return
        owner, buyer = record["owner"], record["record"]["buyer"]
        both = self.authorised(self.names[owner]) and self.authorised(self.names[buyer])
        expected = buyer if owner == buyer or both else owner
        assert self.kit.query("batch", "item", item=item)["owner"] == expected

    def do_dispense(self, numbers: tuple[int, ...]) -> None:
        if numbers[5] % 5 == 0:  # else nothing would be left soon
            self.move("pharmacy", "batch", "dispense", self.any_item(numbers[0]))

    def do_quarantine(self, numbers: tuple[int, ...]) -> None:
        item, who, _ = self.pick(numbers)
        self.send(who, "batch", "quarantine", items=[self.thing(item)])

    def do_release(self, numbers: tuple[int, ...]) -> None:
        item, who, _ = self.pick(numbers)
        self.move(who, "batch", "release", item)

    def do_require(self, numbers: tuple[int, ...]) -> None:
        required = numbers[0] % 5 == 0
        self.send("consortium", "batch", "set_policy", inspection_required=required)
        self.required = required

    # --- inspections ----------------------------------------------------------------------------

    def do_request(self, numbers: tuple[int, ...]) -> None:
        item, who, _ = self.pick(numbers)
        if item == LOT and numbers[5] % 9 and self.verdict(LOT, "") in ("", "ACCEPTED"):
            return  # else the whole lot would stand still most of the time
        who = "fda" if numbers[4] % 9 == 0 else who
        whole = item != LOT or who in ("maker", "fda")
        scope = "" if whole else who
        previous = self.newest.get((item, scope), 0)
        repeat = "DISPUTED" if numbers[5] % 4 else None
        given = {"laboratory": self.kit.id("lab"), "plan": self.plan, "repeat": repeat}
        number = self.send(who, "quality", "request", item=item, **given)
        if number is None:
            return
        if previous:
            assert self.inspections[previous]["state"] == "DECIDED"
            good = self.verdict(item, scope) == "ACCEPTED"
            assert good or repeat is not None
            assert good or who == "fda" or self.inspections[previous]["who"] != "fda"
        self.inspections[number] = {
            "item": item, "scope": scope, "who": who, "state": "REQUESTED", "previous": previous,
            "verdict": "", "conceded": False, "reviewer": "", "rounds": 0,
        }  # fmt: skip
        self.newest[item, scope] = number

    def running(self, numbers: tuple[int, ...]) -> int:
        """Mostly an inspection that goes on."""
        if not self.inspections:
            return 0
        known = list(self.inspections)
        going = [one for one in known if self.inspections[one]["state"] in STATES]
        known = going if going and numbers[0] % 6 else known
        return known[numbers[1] % len(known)]

    def step(self, numbers: tuple[int, ...], who: str, method: str, state: str, **args: Any) -> Any:
        """A call about an inspection, which only that state allows."""
        number = self.running(numbers)
        if not number:
            return None, {}
        found = self.inspections[number]
        done = self.send(who, "quality", method, inspection=number, **args)
        assert done is None or found["state"] == state, f"{method} while {found['state']}"
        return done, found

    def do_record(self, numbers: tuple[int, ...]) -> None:
        value = (945, 930, *[1_000] * 8)[numbers[2] % 10]
        given = [{"code": "ASSAY", "value": value}]
        done, found = self.step(numbers, "lab", "record_results", "REQUESTED", results=given)
        if done is not None:
            bad = "CONDITIONAL" if value >= LOW["low_tolerated"] else "REJECTED"
            assert done == ("ACCEPTED" if value >= LOW["low"] else bad)
            found["verdict"], found["state"] = done, "RECORDED"
            found["rounds"] += 1

    def do_review(self, numbers: tuple[int, ...]) -> None:
        who = (*PERSONS, "lab")[numbers[2] % 3]
        done, found = self.step(numbers, who, "review", "RECORDED")
        if done is not None:
            assert who != "lab", "a machine signed"
            found["state"], found["reviewer"] = "REVIEWED", who

    def do_approve(self, numbers: tuple[int, ...]) -> None:
        who = PERSONS[numbers[2] % 2]
        done, found = self.step(numbers, who, "approve", "REVIEWED")
        if done is not None:
            assert who != found["reviewer"], "one person signed twice"
            assert done == found["verdict"]
            found["state"] = "DECIDED"

    def do_back(self, numbers: tuple[int, ...]) -> None:
        if numbers[3] % 2:
            return
        number = self.running(numbers)
        done = number and self.send(
            PERSONS[numbers[2] % 2], "quality", "send_back", inspection=number, reason="METHOD"
        )
        if done:
            found = self.inspections[number]
            assert found["state"] in ("RECORDED", "REVIEWED")
            found["state"], found["verdict"], found["reviewer"] = "REQUESTED", "", ""

    def do_concede(self, numbers: tuple[int, ...]) -> None:
        done, found = self.step(numbers, "qa", "concede", "DECIDED")
        if done is not None:
            assert found["verdict"] == "CONDITIONAL" and not found["conceded"]
            found["conceded"] = True

    def do_cancel(self, numbers: tuple[int, ...]) -> None:
        if numbers[3] % 3:
            return
        number = self.running(numbers)
        if not number:
            return
        found = self.inspections[number]
        who = "fda" if numbers[4] % 4 == 0 else found["who"]
        done = self.send(who, "quality", "cancel_request", inspection=number)
        if done is not None:
            assert found["state"] in STATES
            assert who == "fda" or (found["state"] == "REQUESTED" and not found["rounds"])
            found["state"] = "CANCELLED"
            place = (found["item"], found["scope"])
            if found["previous"]:
                self.newest[place] = found["previous"]
            else:
                del self.newest[place]

    # --- cases ----------------------------------------------------------------------------------

    def do_suspect(self, numbers: tuple[int, ...]) -> None:
        item, who, _ = self.pick(numbers)
        if numbers[4] % (20 if item == LOT else 3):
            return  # a suspect lot stops much else
        number = self.send(
            who, "dscsa", "report_suspect", items=[self.thing(item)], grounds="UNFIT"
        )
        if number is not None:
            self.cases[number] = {
                "item": item, "reporter": who, "state": "SUSPECT", "opened": self.kit.time_ms,
                "decided": 0, "notified": 0,
            }  # fmt: skip

    def case(self, numbers: tuple[int, ...]) -> tuple[int, dict[str, Any]]:
        going = [one for one, found in self.cases.items() if found["state"] in CASE_STATES]
        known = going if going and numbers[3] % 4 else list(self.cases)[-4:]
        number = known[numbers[0] % len(known)] if known else 0
        return number, self.cases.get(number, {})

    def do_decide(self, numbers: tuple[int, ...]) -> None:
        number, found = self.case(numbers)
        if not number:
            return
        who = (found["reporter"], "fda", "pharmacy")[numbers[1] % 3]
        outcome = ("CLEARED", "ILLEGITIMATE")[numbers[2] % 2]
        done = self.send(who, "dscsa", "decide", case=number, outcome=outcome)
        if done is not None:
            assert found["state"] == "SUSPECT" and who in (found["reporter"], "fda")
            found["state"], found["decided"] = outcome, self.kit.time_ms

    def do_notify(self, numbers: tuple[int, ...]) -> None:
        number, found = self.case(numbers)
        if not number:
            return
        who = (found["reporter"], "fda")[numbers[1] % 2]
        partners = self.send(who, "dscsa", "notify", case=number, regulator=self.kit.id("fda"))
        if partners is not None:
            assert found["state"] == "ILLEGITIMATE" and who == found["reporter"]
            assert not found["notified"] and self.kit.id(who) not in partners
            found["notified"] = self.kit.time_ms

    def do_terminate(self, numbers: tuple[int, ...]) -> None:
        number, found = self.case(numbers)
        if not number:
            return
        who = ("fda", "fda", found["reporter"])[numbers[1] % 3]
        done = self.send(who, "dscsa", "terminate", case=number, ending="DISPOSED")
        if done is not None:
            assert who == "fda" and found["state"] == "ILLEGITIMATE" and found["notified"]
            found["state"] = "TERMINATED"

    def check_cases(self) -> None:
        """The clocks: late is what was not done in the block before 24 hours were over."""
        for number, found in list(self.cases.items())[-6:]:
            record = self.kit.query("dscsa", "case", case=number)["record"]
            assert record["state"] == found["state"]
            decided = found["decided"] or self.kit.time_ms
            assert record["is_decided_late"] == (decided - found["opened"] >= DAY_MS)
            if found["decided"] and found["state"] != "CLEARED":
                notified = found["notified"] or self.kit.time_ms
                assert record["is_notified_late"] == (notified - found["decided"] >= DAY_MS)


CASE_STATES: Final = ("SUSPECT", "ILLEGITIMATE")
STATES: Final = ("REQUESTED", "RECORDED", "REVIEWED")
