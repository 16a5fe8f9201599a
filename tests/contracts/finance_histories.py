"""Random dealings of two banks, four customers and a regulator, judged by books of their own.

The books hold what every opening says, and whose every note is, by what took effect. After each
call the chain is held against them: of each bank and currency what it owes, of each escrow what was
put in, of each note whose it is. A refused call must have changed nothing.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import Any, Final, NamedTuple

from consensus.primitives.codec import decode
from consensus.primitives.keys import decode_key, prefix_range
from contracts.sdk.testkit import DAY_MS, Refused
from tests.contracts.finance import (
    ALIVE,
    BANKS,
    CUSTOMERS,
    decide,
    escrow_state,
    hidden,
    officers,
    small_world,
)  # fmt: skip

RUNNING: Final = ("FUNDED", "PARTIALLY_RELEASED")
CURRENCIES: Final = ("EUR", "JPY", "KWD")
# Of one unit: 1 EUR = 160.5 JPY = 0.33 KWD; the rate, and how many smallest units of the second
# a smallest unit of the first is, as a fraction.
RATES: Final = {
    ("EUR", "JPY"): (1_605, 1, 16_050, 10_000), ("EUR", "KWD"): (33, 2, 330, 100),
    ("JPY", "KWD"): (2_052, 6, 2_052, 1_000), ("KWD", "JPY"): (48_735, 2, 48_735, 100_000),
}  # fmt: skip
OPS: Final = (
    *["issue"] * 5, "pay", "pay", *["turn"] * 4, *["examine"] * 3, *["lie"] * 2, *["recheck"] * 3,
    "withdraw", "rule", *["propose"] * 2, *["fund"] * 6, *["approve"] * 4, *["divide"] * 2,
    *["release"] * 3, "refund", "dispute", "undispute", *["decide"] * 2, "claim", "claim",
    "fee", "fee", "return_fee", "hold", "free", "wait", "stop", "let_go",
)  # fmt: skip


class NothingToDo(Exception):
    """There is nothing of the kind that a step would be taken with."""


def pick(several: list[int], chance: int, newest: int) -> int:
    """One of the newest so many."""
    if not several:
        raise NothingToDo
    return several[-1 - chance % min(newest, len(several))]


class Note(NamedTuple):
    bank: str
    owner: str
    state: str
    escrow: int
    minor: int
    currency: str


class World:
    """A chain and its books."""

    def __init__(self) -> None:
        self.kit = small_world()
        officers(self.kit)
        kit = self.kit
        self.names = {kit.id(name): name for name in (*BANKS, *CUSTOMERS)}
        self.owed: Counter[tuple[str, str]] = Counter()  # by bank and currency
        self.put_in: defaultdict[int, Counter[str]] = defaultdict(Counter)  # by escrow
        self.came_out: defaultdict[int, Counter[str]] = defaultdict(Counter)
        self.owners: dict[int, str] = {}
        self.turns: dict[int, dict[str, Any]] = {}
        self.escrows: dict[int, dict[str, Any]] = {}
        self.held: set[str] = set()
        self.counts: Counter[str] = Counter()
        self.found_lies = 0

    # --- reading the chain ----------------------------------------------------------------------

    def notes(self) -> dict[int, Note]:
        """All notes as they stand in the state, opened."""
        start, stop = prefix_range("claims", "notes")
        found = {}
        for key, raw in self.kit._state.scan(start, stop):
            bank, owner, amount, state, _, _, escrow, *_ = decode(raw, bytes_max=len(raw))
            value = self.kit.openings[amount].value
            number = decode_key(key)[2][0]
            assert isinstance(number, int)
            found[number] = Note(
                self.names[bank], self.names[owner], state, escrow,
                value["minor"], value["currency"],
            )  # fmt: skip
        return found

    def kept(self) -> dict[bytes, bytes]:
        """The state, but for what was used."""
        used, _ = prefix_range("usage", "used")
        return {k: v for k, v in self.kit._state.values.items() if not k.startswith(used)}

    # --- acting ---------------------------------------------------------------------------------

    def act(self, op: str, numbers: tuple[int, ...]) -> None:
        before, notes = self.kept(), self.notes()
        try:
            getattr(self, f"do_{op}")(notes, *numbers)
            code = "OK"
        except Refused as error:
            code = error.code
            assert self.kept() == before, f"{op} was refused with {code} and changed something"
        except NothingToDo:
            code = "NOTHING_TO_DO"
        self.counts[f"{op} {code}"] += 1
        self.judge(notes)

    def call(self, who: str, contract: str, method: str, /, **args: Any) -> Any:
        return self.kit.as_(who).call(contract, method, **args)

    def do_issue(self, notes: dict[int, Note], a: int, b: int, c: int, *_: int) -> None:
        bank, owner = BANKS[a % 2], CUSTOMERS[b % 4]
        currency, minor = CURRENCIES[c % 3], c + 1
        note = issue_minor(self, owner, minor, currency, bank)
        self.owners[note] = owner
        self.owed[bank, currency] += minor

    def do_pay(self, notes: dict[int, Note], a: int, b: int, c: int, *_: int) -> None:
        live = [number for number, note in notes.items() if note.state == "LIVE" or a % 9 == 0]
        note = pick(live, a, 20)
        # One time in seven somebody else tries.
        payer = CUSTOMERS[c % 4] if b % 7 == 0 else notes[note].owner
        payee = CUSTOMERS[b % 4]
        self.call(payer, "claims", "pay", notes=[note], payee=self.kit.id(payee))
        assert payer == notes[note].owner
        self.owners[note] = payee

    def do_turn(
        self, notes: dict[int, Note], a: int, b: int, c: int, d: int, e: int, f: int
    ) -> None:
        """Divide, join, exchange or redeem; one in four is wrong by a unit."""
        live = [number for number, note in notes.items() if note.state == "LIVE"]
        first = pick(live, a, 12)
        owner, bank = notes[first].owner, notes[first].bank
        same = [n for n in live if (notes[n].owner, notes[n].bank) == (owner, bank)]
        inputs = [first, *[n for n in same if n != first][: b % 3]]
        sums: Counter[str] = Counter()
        for number in inputs:
            sums[notes[number].currency] += notes[number].minor
        wrong = (0, 0, 0, (1, -1)[d % 2])[c % 4]
        terms: dict[str, Any] = {"exchanges": [], "paid_out": []}
        paid: Counter[str] = Counter()
        pair = [one for one in RATES if sums[one[0]] > 1 and e % 3 == 0]
        if pair:
            sold, bought = pair[f % len(pair)]
            rate, scale, top, bottom = RATES[sold, bought]
            minor = sums[sold] // 2
            result = minor * top // bottom + (wrong if f % 2 else 0)
            terms["exchanges"] = [{
                "sold": {"minor": minor, "currency": sold},
                "bought": {"minor": max(result, 0), "currency": bought}, "rate": rate,
                "scale": scale, "source": "x", "quoted_at": 1_000, "rounding": "DOWN",
            }]  # fmt: skip
            sums[sold] -= minor
            sums[bought] += max(result, 0)
        elif e % 3 == 1:
            currency = max(sums, key=lambda one: sums[one])
            paid[currency] = sums[currency] // 3
            terms["paid_out"] = [{"minor": paid[currency], "currency": currency}]
            sums[currency] -= paid[currency]
        payee = CUSTOMERS[f % 4]
        made: list[tuple[str, int, str]] = []
        for currency, minor in sorted(sums.items()):
            part = minor * (d % 10) // 10
            made += [(payee, part, currency), (owner, minor - part, currency)]
        made = [one for one in made if one[1]]
        if not pair or f % 2 == 0:
            made[0] = (made[0][0], made[0][1] + wrong, made[0][2])
        outputs = [
            {"owner": self.kit.id(who), "amount": self.hide(minor, currency)}
            for who, minor, currency in made
        ]
        args = {"inputs": inputs, "outputs": outputs, "terms": hidden(self.kit, terms)}
        answer = self.call(owner, "claims", "request", **args)
        self.turns[answer["turn"]] = {
            "inputs": inputs, "outputs": answer["outputs"], "bank": bank, "requester": owner,
            "good": self.is_good(notes, inputs, made, terms), "escrow": 0,
            "state": "REQUESTED", "found": False,
        }  # fmt: skip
        for number, (who, _, _) in zip(answer["outputs"], made, strict=True):
            self.owners[number] = who

    def is_good(
        self, notes: dict[int, Note], inputs: list[int], made: list[Any], terms: dict[str, Any]
    ) -> bool:
        """The books' own sum of a turn."""
        sums: Counter[str] = Counter()
        for number in inputs:
            sums[notes[number].currency] += notes[number].minor
        for _, minor, currency in made:
            sums[currency] -= minor
        for one in terms["paid_out"]:
            sums[one["currency"]] -= one["minor"]
        right = all(minor > 0 for _, minor, _ in made)
        for one in terms["exchanges"]:
            sold, bought = one["sold"], one["bought"]
            _, _, top, bottom = RATES[sold["currency"], bought["currency"]]
            right = right and 0 < bought["minor"] == sold["minor"] * top // bottom
            sums[sold["currency"]] -= sold["minor"]
            sums[bought["currency"]] += bought["minor"]
        return right and not any(sums.values())

    def open_turn(self, a: int, *states: str) -> int:
        chosen = [n for n, turn in self.turns.items() if turn["state"] in states]
        return pick(chosen, a, 8)

    def say(self, who: str, turn: int, verdict: str, findings: list[str]) -> str:
        args = {"turn": turn, "verdict": verdict, "findings": hidden(self.kit, findings)}
        state: str = self.call(who, "claims", "examined", **args)
        return state

    def checked(self, turn: int) -> dict[str, Any]:
        """The chain's check, which must be what the books say."""
        verdict: dict[str, Any] = self.kit.check("claims", "adds_up", turn=turn)
        good = self.turns[turn]["good"]
        assert verdict["code"] == ("ADDS_UP" if good else "DOES_NOT"), verdict
        return verdict

    def confirmed(self, number: int, verdict: str) -> None:
        turn, notes = self.turns[number], self.notes()
        if verdict != "ADDS_UP":
            turn["state"] = "REJECTED"
            return
        turn["state"] = "CONFIRMED"
        turn["change"] = Counter(
            {(turn["bank"], notes[one].currency): 0 for one in turn["inputs"] + turn["outputs"]}
        )
        for one in turn["outputs"]:
            turn["change"][turn["bank"], notes[one].currency] += notes[one].minor
        for one in turn["inputs"]:
            turn["change"][turn["bank"], notes[one].currency] -= notes[one].minor
        for key, minor in turn["change"].items():
            self.owed[key] += minor
            if turn["escrow"]:
                self.put_in[turn["escrow"]][key[1]] += minor

    def do_examine(self, notes: dict[int, Note], a: int, *_: int) -> None:
        number = self.open_turn(a, "REQUESTED")
        found = self.checked(number)
        self.say(self.turns[number]["bank"], number, found["code"], found["findings"])
        self.confirmed(number, found["code"])

    def do_lie(self, notes: dict[int, Note], a: int, *_: int) -> None:
        """The bank records the contrary of what is so."""
        number = self.open_turn(a, "REQUESTED")
        verdict = "DOES_NOT" if self.checked(number)["code"] == "ADDS_UP" else "ADDS_UP"
        self.say(self.turns[number]["bank"], number, verdict, [])
        self.turns[number]["lie"] = True
        self.confirmed(number, verdict)

    def do_recheck(self, notes: dict[int, Note], a: int, b: int, *_: int) -> None:
        """Another party runs the check again; lies are found, and only lies."""
        number = self.open_turn(a, "CONFIRMED", "REJECTED")
        turn = self.turns[number]
        who = ("regulator", turn["requester"])[b % 2]
        found = self.checked(number)
        self.say(who, number, found["code"], found["findings"])
        disputed = self.kit.query("claims", "turn", number=number)["turn"]["disputed"]
        assert disputed == bool(turn.get("lie")), "a lie unnoticed, or a true word disputed"
        turn["found"] = disputed
        self.found_lies += disputed

    def recheck_all(self) -> None:
        """Whatever a bank said falsely, a regulator finds, whom somebody has shown the openings."""
        for number, turn in self.turns.items():
            if turn.get("lie") and not turn["found"] and turn["state"] != "UNDONE":
                found = self.checked(number)
                self.say("regulator", number, found["code"], found["findings"])
                assert self.kit.query("claims", "turn", number=number)["turn"]["disputed"]
                self.found_lies += 1

    def do_rule(self, notes: dict[int, Note], a: int, *_: int) -> None:
        chosen = [n for n, turn in self.turns.items() if turn["found"]]
        number = pick(chosen, a, 20)
        turn = self.turns[number]
        self.call("regulator", "claims", "rule", turn=number, undo=a % 2 == 0)
        if a % 2 == 0 and turn["state"] == "CONFIRMED":
            for key, minor in turn["change"].items():
                self.owed[key] -= minor
                if turn["escrow"]:
                    self.put_in[turn["escrow"]][key[1]] -= minor
            turn["state"] = "UNDONE"
        turn["found"] = False
        turn["lie"] = False  # it is ruled on: another word disputes it anew
        self.turns.pop(number)

    def do_withdraw(self, notes: dict[int, Note], a: int, *_: int) -> None:
        number = self.open_turn(a, "REQUESTED")
        self.call(self.turns[number]["requester"], "claims", "withdraw", turn=number)
        self.turns[number]["state"] = "WITHDRAWN"

    def do_stop(self, notes: dict[int, Note], a: int, *_: int) -> None:
        note = pick(sorted(notes), a, 20)
        reason = hidden(self.kit, f"order {a}")
        self.call("regulator", "claims", "stop", note=note, reason=reason)

    def do_let_go(self, notes: dict[int, Note], a: int, *_: int) -> None:
        stopped = [number for number, note in notes.items() if note.state == "STOPPED"]
        self.call("regulator", "claims", "let_go", note=pick(stopped, a, 1))

    # --- escrow -----------------------------------------------------------------------------

    def hide(self, minor: int, currency: str) -> bytes:
        return hidden(self.kit, {"minor": minor, "currency": currency})

    def do_propose(self, notes: dict[int, Note], a: int, b: int, c: int, *_: int) -> None:
        three = [CUSTOMERS[(a + at) % 4] for at in range(3)]
        terms = {"deposits": [{"minor": b, "currency": "EUR"}],
                 "fees": [{"minor": 300, "currency": one} for one in CURRENCIES]}  # fmt: skip
        args: dict[str, Any] = {"payee": self.kit.id(three[1]), "agent": self.kit.id(three[2])}
        args |= {"condition": ("WORD", "TIME")[c % 2], "terms": hidden(self.kit, terms)}
        time = self.kit.time_ms + (3 + b % 30) * DAY_MS
        args["release_at" if c % 2 else "refund_at"] = time
        number = self.call(three[0], "escrow", "propose", **args)
        self.escrows[number] = {"three": three, "approved": set(), "condition": args["condition"]}
        for who in three[1:]:
            self.call(who, "escrow", "agree", number=number)

    def an_escrow(self, a: int, *states: str) -> tuple[int, list[str]]:
        """One of the newest; seven times in eight it is in one of these states."""
        numbers = sorted(self.escrows)[-15:]
        if a % 8:
            numbers = [number for number in numbers if escrow_state(self.kit, number) in states]
        number = pick(numbers, a // 8, 6)
        return number, self.escrows[number]["three"]

    def held_in(self, notes: dict[int, Note], number: int) -> list[int]:
        return [n for n, note in notes.items() if note.escrow == number and note.state == "HELD"]

    def do_fund(self, notes: dict[int, Note], a: int, b: int, c: int, *_: int) -> None:
        number, three = self.an_escrow(a, "AGREED", "FUNDED")
        own = [n for n, one in notes.items() if one.owner == three[0] and one.state == "LIVE"]
        chosen = pick(own, b, 20)
        args = {"number": number, "notes": [chosen], "fee": c % 4 == 0}
        self.call(three[0], "escrow", "fund", **args)
        self.put_in[number][notes[chosen].currency] += notes[chosen].minor

    def do_approve(self, notes: dict[int, Note], a: int, b: int, *_: int) -> None:
        number, three = self.an_escrow(a, *RUNNING)
        chosen = self.held_in(notes, number)[b % 3 :][:2]
        who = three[b % 2] if b % 5 == 0 else three[0]
        self.call(who, "escrow", "approve", number=number, notes=chosen[:1] or [1])
        assert who == three[0]
        self.escrows[number]["approved"].update(chosen[:1])

    def do_divide(self, notes: dict[int, Note], a: int, b: int, c: int, *_: int) -> None:
        number, three = self.an_escrow(a, *RUNNING)
        note = pick(self.held_in(notes, number), 0, 1)
        value = notes[note]
        wrong = (0, 0, 1)[c % 3]
        parts = [value.minor // 2, value.minor - value.minor // 2 + wrong]
        amounts = [self.hide(part, value.currency) for part in parts]
        args = {"number": number, "note": note, "amounts": amounts}
        answer = self.call(three[1 + b % 2], "escrow", "divide", **args)
        made = [(three[0], part, value.currency) for part in parts]
        none: dict[str, Any] = {"exchanges": [], "paid_out": []}
        self.turns[answer["turn"]] = {
            "inputs": [note], "outputs": answer["parts"], "bank": value.bank,
            "requester": three[0], "good": self.is_good(notes, [note], made, none),
            "escrow": number, "state": "REQUESTED", "found": False,
        }  # fmt: skip
        if note in self.escrows[number]["approved"]:
            self.escrows[number]["approved"].update(answer["parts"])
        for part in answer["parts"]:
            self.owners[part] = three[0]

    def moved(self, number: int, notes: dict[int, Note], which: list[int], to: str) -> None:
        for note in which:
            self.owners[note] = to
            self.came_out[number][notes[note].currency] += notes[note].minor

    def do_release(self, notes: dict[int, Note], a: int, b: int, *_: int) -> None:
        number, three = self.an_escrow(a, *RUNNING)
        approved = self.escrows[number]["approved"]
        some = [n for n in self.held_in(notes, number) if n in approved or b % 4 == 0]
        chosen = some[: 1 + b % 2] or [1]
        who = three[b % 3]
        self.call(who, "escrow", "release", number=number, notes=chosen)
        assert who != three[0], "the depositor released"
        due = self.escrows[number]["condition"] == "TIME"
        assert due or approved >= set(chosen), "released without a word"
        self.moved(number, notes, chosen, three[1])

    def do_refund(self, notes: dict[int, Note], a: int, b: int, *_: int) -> None:
        number, three = self.an_escrow(a, *RUNNING)
        chosen = self.held_in(notes, number)[: 1 + b % 2] or [1]
        who = three[b % 3]
        self.call(who, "escrow", "refund", number=number, notes=chosen)
        self.moved(number, notes, chosen, three[0])

    def do_dispute(self, notes: dict[int, Note], a: int, b: int, *_: int) -> None:
        number, three = self.an_escrow(a, *RUNNING)
        reason = hidden(self.kit, f"because {a}")
        self.call(three[b % 3], "escrow", "dispute", number=number, reason=reason)
        assert b % 3 != 2

    def do_undispute(self, notes: dict[int, Note], a: int, b: int, *_: int) -> None:
        number, three = self.an_escrow(a, "DISPUTED")
        self.call(three[b % 2], "escrow", "withdraw_dispute", number=number)

    def do_decide(self, notes: dict[int, Note], a: int, b: int, *_: int) -> None:
        number, three = self.an_escrow(a, "DISPUTED")
        fees = self.fees(number)
        held = [n for n in self.held_in(notes, number) if n not in fees]
        cut = b % (len(held) + 1)
        args = {"to_payee": held[:cut], "to_depositor": held[cut:]}
        who = three[2] if b % 5 else three[0]
        decision = hidden(self.kit, f"so {b}")
        self.call(who, "escrow", "decide", number=number, decision=decision, **args)
        assert who == three[2]
        self.moved(number, notes, held[:cut], three[1])
        self.moved(number, notes, held[cut:], three[0])

    def fees(self, number: int) -> list[int]:
        held = self.kit.query("claims", "held", escrow=number)
        return [one["number"] for one in held if one["note"]["fee"]]

    def do_claim(self, notes: dict[int, Note], a: int, *_: int) -> None:
        number, three = self.an_escrow(a, *RUNNING)
        chosen = [pick(self.fees(number), 0, 1)]
        self.call(three[2], "escrow", "claim_fee", number=number, notes=chosen)
        self.escrows[number]["claimed"] = chosen

    def do_fee(self, notes: dict[int, Note], a: int, b: int, *_: int) -> None:
        claimed_of = [n for n, one in self.escrows.items() if one.get("claimed")]
        number = pick(claimed_of, a, 4)
        three = self.escrows[number]["three"]
        found = self.kit.check("escrow", "fee", number=number)
        args = {"verdict": found["code"], "findings": hidden(self.kit, found["findings"])}
        claimed = self.escrows[number].get("claimed") or []
        self.call(three[b % 2], "escrow", "fee_examined", number=number, **args)
        if found["code"] == "FEE_DUE":
            assert all(notes[one].minor <= 300 for one in claimed)
            self.moved(number, notes, claimed, three[2])
        self.escrows[number]["claimed"] = None

    def do_return_fee(self, notes: dict[int, Note], a: int, *_: int) -> None:
        number, three = self.an_escrow(a, *RUNNING)
        chosen = self.fees(number)[:1] or [1]
        self.call(three[2], "escrow", "return_fee", number=number, notes=chosen)
        self.moved(number, notes, chosen, three[0])

    # --- compliance, time -----------------------------------------------------------------------

    def do_hold(self, notes: dict[int, Note], a: int, *_: int) -> None:
        who = CUSTOMERS[a % 4]
        if self.held or a % 4:
            return
        decide(self.kit, who, "HELD")
        self.held.add(who)

    def do_free(self, notes: dict[int, Note], a: int, *_: int) -> None:
        for who in sorted(self.held):
            decide(self.kit, who, "VERIFIED", "second_officer")
        self.held.clear()

    def do_wait(self, notes: dict[int, Note], a: int, *_: int) -> None:
        """Deadlines move notes by themselves: their events are taken into the books, and judged."""
        seen = len(self.kit.events)
        self.kit.advance(days=1 + a % 3)
        for event in self.kit.events[seen:]:
            if event.name != "Moved":
                continue
            told = event.fields
            number, to = told["number"], self.names[told["to"]]
            three = self.escrows[number]["three"]
            if told["fate"] == "FEE":
                self.escrows[number]["claimed"] = None
            due = {"RELEASED": three[1], "REFUNDED": three[0], "FEE": three[2]}[told["fate"]]
            assert to == due
            if told["fate"] == "REFUNDED":
                assert not self.escrows[number]["approved"] & set(told["notes"])
            self.moved(number, notes, told["notes"], to)

    # --- judging --------------------------------------------------------------------------------

    def judge(self, before: dict[int, Note]) -> None:
        notes = self.notes()
        owed: Counter[tuple[str, str]] = Counter()
        inside: defaultdict[int, Counter[str]] = defaultdict(Counter)
        for number, note in notes.items():
            assert note.owner == self.owners[number], f"note {number} is {note.owner}'s"
            if note.state in ALIVE:
                owed[note.bank, note.currency] += note.minor
                if note.escrow:
                    inside[note.escrow][note.currency] += note.minor
        for key in owed.keys() | self.owed.keys():
            assert owed[key] == self.owed[key], f"{key}: {owed[key]}, not {self.owed[key]}"
        for number in self.escrows:
            for currency in CURRENCIES:
                total = inside[number][currency] + self.came_out[number][currency]
                assert total == self.put_in[number][currency], f"escrow {number}, {currency}"
        for number, was in before.items():
            if notes[number].owner != was.owner:
                moved = {notes[number].owner, was.owner}
                assert not moved & self.held, "a party that is held paid or received"


def issue_minor(world: World, owner: str, minor: int, currency: str, bank: str) -> int:
    kit = world.kit
    args = {"owner": kit.id(owner), "amount": world.hide(minor, currency)}
    note: int = kit.as_(bank).call("claims", "issue", **args)
    return note
