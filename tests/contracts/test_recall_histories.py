"""Random histories with recalls: what must hold of the procedure and of the figures, after every
call of seven organisations, whatever came of it.

What should be there is worked out here, by books of its own: who ever had any of what descends
from the recalled lot, and which states may follow each other.
"""

from __future__ import annotations

import os
from itertools import pairwise
from random import Random
from typing import Any, Final

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule

from contracts.sdk.testkit import Refused, Testkit
from tests.contracts.recalls import (
    ANNOUNCEMENT,
    LOT,
    OTHER_LOT,
    ROLES,
    STRATEGY,
    SYRUP_GTIN,
    small_world,
    some,
)

NIGHTLY: Final = os.environ.get("HYPOTHESIS_PROFILE") == "nightly"
NUMBER: Final = st.integers(0, 999)
TRADERS: Final = ("maker", "blender", "wholesaler", "pharmacy", "carrier")
ORDER: Final = ("DRAFT", "INITIATED", "CLASSIFIED", "ONGOING", "COMPLETED", "TERMINATED",
    "RELEASED",  # what was left of the goods
)  # fmt: skip
NEXT: Final = set(pairwise(ORDER)) | {
    ("INITIATED", "ONGOING"),  # classified with a strategy: both in one call
    ("COMPLETED", "ONGOING"),  # widened
}
REGULATORS_ALONE: Final = ("classify", "reclassify", "terminate", "release")
FAULTS: Final = ("CONTRACT_FAULT", "OUT_OF_STEPS", "BAD_ARGUMENT", "UNKNOWN_METHOD")


def _state_of(recall: dict[str, Any]) -> str:
    return "RELEASED" if recall["released_at"] else str(recall["state"])


class World:
    """Six organisations, a few lots, one recall after another; :meth:`act` does one thing."""

    def __init__(self) -> None:
        self.kit: Testkit = small_world()
        self.ids = {self.kit.id(name): name for name in ROLES}
        self.lots: dict[str, list[str]] = {LOT: [], OTHER_LOT: []}  # to what they were made of
        self.had: dict[str, set[str]] = {LOT: {"maker"}, OTHER_LOT: {"maker"}}
        self.transit: list[tuple[str, str]] = []  # lot, consignee
        self.consents: set[tuple[int, str]] = set()  # to destroy: recall, holder
        self.number = 0  # of the newest recall
        self.origins: dict[int, list[str]] = {}
        self.made = 0
        self.classes: dict[int, int] = {}
        self.done: dict[str, int] = {}
        self.states: dict[int, str] = {}

    # --- acting -----------------------------------------------------------------------------

    def act(self, op: str, n: tuple[int, ...]) -> None:
        getattr(self, f"do_{op}")(*n)
        self.check()

    def send(self, who: str, contract: str, method: str, /, **args: Any) -> Any:
        """The call's result; None where it was refused."""
        before = self.kit.query("recall", "recall_list")
        try:
            result = self.kit.as_(who).call(contract, method, **args)
        except Refused as error:
            assert error.code not in FAULTS, error
            if contract == "recall":
                assert self._states(self.kit.query("recall", "recall_list")) == self._states(before)
            return None
        if contract == "recall" and method in REGULATORS_ALONE:
            assert who == "regulator", f"{method} by {who}"
        self.done[method] = self.done.get(method, 0) + 1
        return True if result is None else result

    def _states(self, rows: list[dict[str, Any]]) -> list[str]:
        return [one["recall"]["state"] for one in rows]

    def do_ship(self, a: int, b: int, c: int) -> None:
        lot = self._lot(a)
        who = self._holder(lot, "free", b)
        to = TRADERS[(TRADERS.index(who) + 1 + c % 4) % 5]
        args = {"items": [some(lot, 1 + c % 20)], "consignee": self.kit.id(to)}
        held = self._held(lot)
        if self.send(who, "batch", "ship", **args):
            assert not held, f"{lot} is held and was shipped"
            self.had[lot].add(to)
            self.transit.append((lot, to))

    def do_receive(self, a: int, b: int, c: int) -> None:
        if self.transit:
            lot, to = self.transit.pop(a % len(self.transit))
            held = self._held(lot)
            before = self._free(lot, to)
            if self.send(to, "batch", "receive", items=[some(lot)]) and held:
                assert self._free(lot, to) == before, f"{lot} is held and arrived free"

    def do_use(self, a: int, b: int, c: int) -> None:
        lot = self._lot(a)
        held = self._held(lot)
        if self.send("pharmacy", "batch", "dispense", items=[some(lot, 1 + c % 9)]):
            assert not held, f"{lot} is held and was dispensed"

    def do_split(self, a: int, b: int, c: int) -> None:
        self.made += 1
        lot, who = self._lot(a), TRADERS[b % 5]
        child = f"{lot[:21]}C{self.made}"
        parts = [{"lot": child[21:], "amount": 1 + c % 9}]
        if self.send(who, "batch", "split", item=lot, parts=parts):
            self.lots[child], self.had[child] = [lot], {who}

    def do_transform(self, a: int, b: int, c: int) -> None:
        self.made += 1
        lot, who = self._lot(a), ("maker", "blender")[b % 2]
        child = f"01/{SYRUP_GTIN}/10/T{self.made}"
        args = {"inputs": [some(lot, 1 + c % 9)], "outputs": [some(child, 1 + c % 9)]}
        if self.send(who, "batch", "transform", **args):
            self.lots[child], self.had[child] = [lot], {who}

    def do_initiate(self, a: int, b: int, c: int) -> None:
        if self.done.get("receive", 0) < 4 + 4 * self.number:
            return  # there is little to recall yet
        lot = (LOT, OTHER_LOT, self._lot(c))[a % 3]
        who = ("maker", "maker", "regulator", TRADERS[c % 5])[b % 4]
        args: dict[str, Any] = {"announcement": ANNOUNCEMENT, "items": [some(lot)]}
        if who == "regulator":
            args["firm"] = self.kit.id("maker")
        number = self.send(who, "recall", "initiate", **args)
        if number:
            self.number = number
            self.origins[number] = [lot]

    def do_widen(self, a: int, b: int, c: int) -> None:
        lot = self._lot(a)
        number = self._recall(c)
        args = {"number": number, "reason": "More", "items": [some(lot)]}
        if self.send(("maker", "regulator", "wholesaler")[b % 3], "recall", "widen", **args):
            self.origins[number].append(lot)

    def do_classify(self, a: int, b: int, c: int) -> None:
        who = ("regulator", "regulator", "maker", "pharmacy")[b % 4]
        number = self._recall(c)
        args = {"number": number, "recall_class": ("I", "II", "III")[a % 3]}
        method = ("classify", "reclassify")[b // 4 % 2]
        if self.send(who, "recall", method, **args):
            self.classes[number] = self.classes.get(number, 0) + 1

    def do_strategy(self, a: int, b: int, c: int) -> None:
        args = STRATEGY | {"number": self._recall(c), "level": ("A", "C", "E")[a % 3]}
        self.send(
            ("maker", "maker", "regulator", "carrier")[b % 4], "recall", "set_strategy", **args
        )

    def do_answer(self, a: int, b: int, c: int) -> None:
        args = {"number": self._recall(c), "found": ("FOUND", "NONE_LEFT")[a % 2]}
        self.send(TRADERS[b % 5], "recall", "acknowledge", **args)

    def do_check(self, a: int, b: int, c: int) -> None:
        number = self._recall(c)
        holder = self.kit.id(TRADERS[a % 5])
        outcome = ("EFFECTIVE", "EFFECTIVE", "NOT_ACTED")[b % 3]
        args = {"number": number, "holder": holder, "outcome": outcome, "method": "VISIT"}
        self.send(("maker", "carrier")[b // 3 % 9 == 0], "recall", "check_effectiveness", **args)

    def do_apart(self, a: int, b: int, c: int) -> None:
        lot = self._lot(a)
        args = {"items": [some(lot, 1 + c % 20)], "cause": "RECALLED"}
        self.send(self._holder(lot, "free", b), "batch", "quarantine", **args)

    def do_return(self, a: int, b: int, c: int) -> None:
        lot = self._lot(a)
        args = {"number": self._recall(c), "items": [some(lot, 1 + c % 20)]}
        if self.send(self._holder(lot, "quarantined", b), "recall", "return_goods", **args):
            self.transit.append((lot, "maker"))

    def do_destroy(self, a: int, b: int, c: int) -> None:
        lot = self._lot(a)
        number, who = self._recall(c), self._holder(lot, "quarantined", b)
        args = {"number": number, "items": [some(lot, 1 + c % 9)]}
        if self.send(who, "recall", "destroy", **args):
            assert who == "maker" or (number, who) in self.consents

    def do_consent(self, a: int, b: int, c: int) -> None:
        """Every strategy here wants the goods back."""
        number, holder = self._recall(c), TRADERS[a % len(TRADERS)]
        args = {"number": number, "holder": self.kit.id(holder), "grounds": "Too far away."}
        if self.send(("maker", "regulator", "blender")[b % 3], "recall", "consent", **args):
            self.consents.add((number, holder))

    def do_end(self, a: int, b: int, c: int) -> None:
        who = ("maker", "regulator", "pharmacy")[b % 3]
        method, more = (
            ("complete", {"explanation": "Used up."}),
            ("complete", {}),
            ("terminate", {}),
            ("release", {"grounds": "Corrected."}),
        )[a % 4]
        number = self._recall(c)
        if self.send(who, "recall", method, number=number, **more) and method == "complete":
            rows = self.kit.query("recall", "dashboard", number=number)["rows"]
            assert more or not any(row["outstanding"] > 0 for row in rows), rows

    def do_wait(self, a: int, b: int, c: int) -> None:
        self.kit.advance(days=a % 3, seconds=1)

    # --- judging ----------------------------------------------------------------------------

    def check(self) -> None:
        for row in self.kit.query("recall", "recall_list"):
            number, recall = row["number"], row["recall"]
            old, new = self.states.get(number), _state_of(recall)
            if old is not None and old != new:
                assert (old, new) in NEXT, (old, new)
            self.states[number] = new
            classes = self.kit.query("recall", "recall", number=number)["classifications"]
            assert len(classes) == self.classes.get(number, 0)
            assert (recall["recall_class"] == "UNCLASSIFIED") == (not classes)
            assert not classes or classes[-1]["recall_class"] == recall["recall_class"]
        if self.number:
            self._check_newest()

    def _check_newest(self) -> None:
        recall = self.kit.query("recall", "recall", number=self.number)["recall"]
        spread = [
            self.kit.query("batch", "holding", number=one)["complete_to"]
            for one in recall["holdings"]
        ]
        covered = self._covered(self.number)
        if all(spread) and _state_of(recall) != "RELEASED":
            found: set[str] = set()
            for one in recall["holdings"]:
                found |= set(self.kit.query("batch", "held_things", number=one, limit=1000))
            assert found == covered
        page = self.kit.query("recall", "dashboard", number=self.number)
        if all(spread):
            for row in page["rows"]:
                accounted = row["recovered"] + row["destroyed"] + row["consumed"]
                assert 0 <= accounted <= row["distributed"], row
                assert row["located"] + row["in_transit"] == row["outstanding"], row
        if recall["strategy"] and not recall["walking"] and _state_of(recall) != "RELEASED":
            told = self.kit.query("recall", "notices_of", number=self.number)
            wanted = set().union(*(self.had[lot] for lot in covered)) - {"maker"}
            assert {self.ids[one["holder"]] for one in told} >= wanted

    def _covered(self, number: int) -> set[str]:
        return {
            lot
            for lot in self.lots
            if set(self._ancestors(lot)) & set(self.origins.get(number, []))
        }

    def _ancestors(self, lot: str) -> list[str]:
        found, waiting = [], [lot]
        while waiting:
            one = waiting.pop()
            found.append(one)
            waiting += self.lots[one]
        return found

    def _held(self, lot: str) -> bool:
        """Whether any recall that is under way, and was from before this block, covers it."""
        return any(
            lot in self._covered(number)
            for number, state in self.states.items()
            if state not in ("DRAFT", "RELEASED")
        )

    def _free(self, lot: str, who: str) -> int:
        found = self.kit.query("batch", "item", item=lot)["stock"]
        return sum(one["free"] for one in found if one["holder"] == self.kit.id(who))

    def _holder(self, lot: str, where: str, n: int) -> str:
        """Mostly somebody who has some of a lot, free or in quarantine; now and then anybody."""
        stock = self.kit.query("batch", "item", item=lot)["stock"]
        those = [self.ids[one["holder"]] for one in stock if one[where]]
        return those[n % len(those)] if those and n % 11 else TRADERS[n % 5]

    def _lot(self, n: int) -> str:
        lots = list(self.lots)
        return (*lots[:2], *lots[-5:])[n % (2 + min(5, len(lots)))]

    def _recall(self, n: int) -> int:
        return max(1, self.number - (n % 7 == 0))


OPS: Final = (
    "ship", "ship", "ship", "ship", "receive", "receive", "receive", "use", "split", "transform",
    "initiate", "widen", "classify", "classify", "strategy", "answer", "answer", "check", "check",
    "apart", "apart", "return", "return", "consent", "destroy", "destroy", "end", "wait", "wait",
)  # fmt: skip


class Histories(RuleBasedStateMachine):
    """Short histories, which hypothesis makes as short as it can when one goes wrong."""

    def __init__(self) -> None:
        super().__init__()
        self.world = World()

    @rule(op=st.sampled_from(OPS), numbers=st.tuples(*[NUMBER] * 3))
    def act(self, op: str, numbers: tuple[int, ...]) -> None:
        self.world.act(op, numbers)


TestHistories = Histories.TestCase
TestHistories.settings = settings(
    max_examples=60 if NIGHTLY else 5, stateful_step_count=40, deadline=None
)


@pytest.mark.parametrize("seed", range(30 if NIGHTLY else 2))
def test_a_long_history(seed: int) -> None:
    """Hundreds of steps; ten thousand in all in the nightly profile."""
    world, chance = World(), Random(seed)
    for _ in range(330 if NIGHTLY else 250):
        world.act(chance.choice(OPS), tuple(chance.randrange(1_000) for _ in range(3)))
    for method in ("initiate", "classify", "set_strategy", "acknowledge", "ship", "receive"):
        assert world.done.get(method), f"the history has no {method}"
    assert world.done.get("return_goods", 0) + world.done.get("destroy", 0) > 0
