"""Random histories of several companies on a real ledger, each call judged by books of its own.

:class:`World` decodes what every block changed and says, for each call that the chain accepted,
what may have changed and what not; for each refused one, that nothing did. What it knows of the
rules it knows from the trade, not from the contract: roles, ancestors and sums are worked out here.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

import msgpack

from consensus.primitives.crypto import public_key
from consensus.primitives.keys import Digest, decode_key, digest_part, prefix_range
from consensus.receipt import Receipt
from consensus.transaction import Call
from contracts.runtime.registry import builtin_registry
from contracts.sdk.checks import gs1_check_digit
from contracts.sdk.dates import date_of, date_text
from contracts.sdk.records import Record, plan_of
from contracts.supply import holds, things
from tests.contracts.ledger import (
    CONSORTIUM,
    MAKER,
    PHARMACY,
    REGULATOR,
    ROLES,
    WHOLESALER,
    DictState,
    Ledger,
    gln,
    seed_of,
)

OTHER_MAKER, CARRIER = gln(8), gln(7)
WHO: Final = {**ROLES, OTHER_MAKER: "manufacturer", CARRIER: "logistics_operator"}
TRADERS: Final = (MAKER, OTHER_MAKER, WHOLESALER, PHARMACY, CARRIER)
EVERYBODY: Final = (*TRADERS, REGULATOR, CONSORTIUM)
HOLDERS: Final = {"manufacturer", "wholesaler", "dispenser", "logistics_operator", "laboratory"}
MAY: Final = {
    "transform": {"manufacturer"},
    "register_trade_item": {"manufacturer"},
    "dispense": {"dispenser"},
    "detain": {"regulator"},
    "end_detention": {"regulator"},
    "set_policy": {"consortium_admin", "regulator"},
}  # all others: whoever may hold goods
ENDED: Final = ("DISPENSED", "DECOMMISSIONED", "DESTROYED", "CONSUMED")
FREE: Final = ("COMMISSIONED", "RECEIVED")
DAY_MS: Final = 86_400_000
RECENT: Final = 6  # lots and units that a history goes on with

RECORDS: Final[dict[str, type[Record]]] = {
    "lots": things.Lot,
    "units": things.Unit,
    "stock": things.Stock,
    "transit": things.Transit,
    "contents": things.Content,
    "flows": things.Flow,
    "uses": things.Use,
    "holds": holds.Hold,
    "holdings": holds.Holding,
}


def product(number: int) -> str:
    body = f"095213210{number:04d}"
    return body + str(gs1_check_digit(body))


PACK, BOX, POWDER = product(1), product(2), product(3)  # two counted in pieces, one in grams
UNIT: Final = {PACK: "EA", BOX: "EA", POWDER: "GRM"}


@dataclass
class Books:
    """What stands in the batch contract's maps, by name of thing."""

    lots: dict[str, Any] = field(default_factory=dict)
    units: dict[str, Any] = field(default_factory=dict)
    stock: dict[tuple[str, str, str], Any] = field(default_factory=dict)
    transit: dict[tuple[str, str, bytes], Any] = field(default_factory=dict)
    contents: dict[tuple[str, str], Any] = field(default_factory=dict)
    flows: dict[tuple[str, str, str], Any] = field(default_factory=dict)
    uses: dict[tuple[str, str, int], Any] = field(default_factory=dict)
    holds: dict[tuple[str, int], Any] = field(default_factory=dict)
    holdings: dict[int, Any] = field(default_factory=dict)
    made_of: dict[str, list[str]] = field(default_factory=dict)  # as the accepted calls say

    def copy(self) -> Books:
        maps = {name: dict(getattr(self, name)) for name in RECORDS}
        return Books(**maps, made_of=self.made_of)

    def ancestors(self, item: str) -> list[str]:
        """A thing, its lot, and all that these were made of, nearest first."""
        found = [item]
        for one in found:
            found += [origin for origin in self.made_of.get(one, []) if origin not in found]
        return found

    def held(self, item: str) -> bool:
        """Whether a hold stands on a thing, or on anything that it was made of."""
        things = {name for name, number in self.holds if not self.holdings[number].lifting}
        return not things.isdisjoint(self.ancestors(item))

    def children(self, unit: str) -> list[tuple[str, int]]:
        return [(key[1], one.amount) for key, one in self.contents.items() if key[0] == unit]

    def inside(self, unit: str) -> list[tuple[str, int]]:
        """All that is in a unit, at any depth, with its amount."""
        found = []
        for item, amount in self.children(unit):
            found += [(item, amount), *self.inside(item)]
        return found

    def outermost(self, item: str) -> str:
        while self.units[item].parent:
            item = self.units[item].parent
        return item

    def owners(self, item: str) -> Counter[str]:
        """Who owns how much of a lot, wherever it is."""
        found: Counter[str] = Counter()
        for (name, _, owner), stock in self.stock.items():
            if name == item:
                found[owner] += stock.free + stock.quarantined + stock.expired
        for (name, _, _), way in self.transit.items():
            if name == item:
                found[way.owner] += way.amount
        for (parent, name), content in self.contents.items():
            if name == item:
                found[self.units[self.outermost(parent)].owner] += content.amount
        return +found

    def left(self, item: str) -> int:
        lot = self.lots.get(item)
        return lot.made - lot.gone if lot else 0

    def check(self) -> None:
        """What holds at any time."""
        self._check_quantities()
        self._check_units()
        self._check_flows()

    def _check_quantities(self) -> None:
        """made = stock + transit + contents + gone, for every lot."""
        where: Counter[str] = Counter()
        for (item, holder, owner), stock in self.stock.items():
            assert (stock.holder, stock.owner) == (holder, owner)
            assert min(stock.free, stock.quarantined, stock.expired) >= 0
            where[item] += stock.free + stock.quarantined + stock.expired
        for (item, consignee, _), way in self.transit.items():
            assert way.amount > 0 and way.consignee == consignee != way.sender
            where[item] += way.amount
        for (_, item), content in self.contents.items():
            assert content.amount > 0
            where[item] += content.amount if item in self.lots else 0
        ended = Counter(unit.lot or item for item, unit in self.units.items() if is_ended(unit))
        used: Counter[str] = Counter()
        for (item, _, _), use in self.uses.items():
            used[item] += use.dispensed + use.destroyed + use.decommissioned
            used[item] += use.consumed + use.relotted
        for item, lot in self.lots.items():
            assert lot.made == where[item] + lot.gone, item
            assert used[item] == lot.gone + ended[item], item

    def _check_units(self) -> None:
        """One parent for each packed unit, no cycles, and nothing in what has ended."""
        parents: dict[str, list[str]] = {}
        for parent, item in self.contents:
            if item in self.units:
                parents.setdefault(item, []).append(parent)
        counts = Counter(parent for parent, _ in self.contents)
        for item, unit in self.units.items():
            assert parents.get(item, []) == ([unit.parent] if unit.parent else []), item
            assert (unit.state == "PACKED") == bool(unit.parent), item
            assert (unit.state == "IN_TRANSIT") == bool(unit.consignee) == bool(unit.buyer), item
            assert unit.contents == counts[item], item
            assert not (is_ended(unit) and unit.contents), item
            above = item
            for _ in range(len(self.units)):
                above = self.units[above].parent
                if not above:
                    break
            assert not above, f"{item} is in itself"

    def _check_flows(self) -> None:
        """What was shipped and not received is on its way, lots of known provenance taken."""
        under_way: Counter[tuple[str, str, str]] = Counter()
        for (item, consignee, _), way in self.transit.items():
            under_way[item, way.sender, consignee] += way.amount
        for item, unit in self.units.items():
            if unit.state == "IN_TRANSIT":
                for name, amount in [(item, 1), *self.inside(item)]:
                    if name not in self.units:
                        under_way[name, unit.holder, unit.consignee] += amount
                    elif name.startswith("01/"):
                        of = self.units[name].lot or name
                        under_way[of, unit.holder, unit.consignee] += 1
        for (item, sender, receiver), flow in self.flows.items():
            opened = (self.lots.get(item) or self.units[item]).opened
            if not opened:
                assert flow.shipped - flow.received == under_way.pop((item, sender, receiver), 0)
        assert all((self.lots.get(item) or self.units[item]).opened for item, _, _ in under_way)


def is_ended(unit: Any) -> bool:
    return unit.state in ENDED


class WatchedState(DictState):
    """A committed state that scans without sorting anew, and remembers what a block changed."""

    def __init__(self, values: dict[bytes, bytes]) -> None:
        self.changed: list[bytes] = []
        self.keys = sorted(values)
        state = self

        class Values(dict[bytes, bytes]):
            def __setitem__(self, key: bytes, value: bytes) -> None:
                if key not in self:
                    insort(state.keys, key)
                state.changed.append(key)
                super().__setitem__(key, value)

            def pop(self, key: bytes, *default: Any) -> Any:
                if key in self:
                    del state.keys[bisect_left(state.keys, key)]
                    state.changed.append(key)
                return super().pop(key, *default)

        super().__init__(Values(values))

    def scan(self, start: bytes, stop: bytes) -> Iterator[tuple[bytes, bytes]]:
        keys = self.keys[bisect_left(self.keys, start) : bisect_left(self.keys, stop)]
        return iter([(key, self.values[key]) for key in keys])


class World:
    """Seven organisations; :meth:`act` does one thing, chosen by numbers, and judges it."""

    def __init__(self) -> None:
        organisations = [
            {"id": one, "name": role, "roles": [role], "admin_key": public_key(seed_of(one))}
            for one, role in WHO.items()
        ]
        genesis = {"identity": {"organisations": organisations}}
        self.ledger = Ledger(builtin_registry(), genesis)
        self.state = self.ledger.state = WatchedState(self.ledger.state.values)
        self.books = Books()
        self.names: dict[Digest, str] = {}
        self.counts: Counter[str] = Counter()
        self.steps = 0
        self.lots: list[str] = []
        self.units: list[str] = []
        self.made = 0  # numbers for new names, and events
        self.last: tuple[str, str, dict[str, Any]] | None = None
        self.used_range = prefix_range("usage", "used")[0]
        self.queue = prefix_range("due", "queue")

    # --- calling ----------------------------------------------------------------------------

    def send(self, who: str, method: str, **args: Any) -> bool:
        """Make a call and judge what came of it; whether it took effect."""
        self.made += 1
        event = {"id": f"urn:e:{self.made}"}
        plain = ("detain", "end_detention", "set_policy")
        if method not in plain:
            args["event"] = event
        self._settle()
        before = self.books.copy()
        self.state.changed.clear()
        receipt = self.ledger.send(who, method, **args)
        self._read_changes()
        self.counts[f"{method} {receipt.code}"] += 1
        assert receipt.code not in ("CONTRACT_FAULT", "OUT_OF_STEPS", "BAD_ARGUMENT"), receipt
        allowed = WHO[who] in MAY.get(method, HOLDERS)
        if receipt.code != "OK":
            assert not self._written(), f"{method}: {receipt.code}, and something changed"
            assert allowed or receipt.code == "NOT_AUTHORISED", receipt
            return False
        assert allowed, f"{method} by a {WHO[who]}"
        self._judge(who, method, args, before, receipt)
        self.books.check()
        if method not in plain:
            self.last = (who, method, args)
        return True

    def _settle(self) -> None:
        """Let holds spread and lift: what is due runs before a block's transactions."""
        while any(self.state.scan(*self.queue)):
            self.ledger.block()
        self._read_changes()

    def _written(self) -> list[bytes]:
        return [key for key in self.state.changed if not key.startswith(self.used_range)]

    def _read_changes(self) -> None:
        changed = dict.fromkeys(self.state.changed)
        for raw in changed:
            contract, name, parts = decode_key(raw)
            if contract != "batch" or name not in RECORDS:
                continue
            named = [self.names[part] if isinstance(part, Digest) else part for part in parts]
            key: Any = named[0] if len(named) == 1 else tuple(named)
            value = self.state.values.get(raw)
            if value is None:
                getattr(self.books, name).pop(key, None)
            else:
                record = plan_of(RECORDS[name]).load(msgpack.unpackb(value))
                getattr(self.books, name)[key] = record

    # --- judging ----------------------------------------------------------------------------

    def _judge(
        self, who: str, method: str, args: dict[str, Any], before: Books, receipt: Receipt
    ) -> None:
        named = list(args.get("items") or args.get("inputs") or [])
        self._note_lineage(method, args, receipt)
        if method == "split":
            total = sum(part["amount"] for part in args["parts"])
            named = [some(args["item"], total, before.lots[args["item"]].unit)]
        if method in ("ship", "sell", "dispense", "transform", "split", "merge"):
            for thing in named:
                self._judge_usable(who, method, thing["item"], before, args)
        if method == "ship":
            self._judge_buyers(who, args, before)
        if method in ("receive", "unpack", "release", "void_shipping"):
            inside = [some(item) for item, _ in before.children(args.get("parent", ""))]
            for thing in named or inside:
                self._judge_arrival(who, thing["item"], before)
        if method == "decommission":
            assert not any(before.held(thing["item"]) for thing in named), "held, and ended"
        self._judge_custody(who, method, before)
        self._judge_packed(method, args, before)
        self._judge_amounts(who, method, args, named, before, receipt)
        self._judge_owners(who, method, args, before)

    def _note_lineage(self, method: str, args: dict[str, Any], receipt: Receipt) -> None:
        """What was made of what, as the call says."""
        made: list[str] = []
        origins = [one["item"] for one in args.get("inputs") or args.get("items") or []]
        if method == "transform":
            made = [one["item"] for one in args["outputs"]]
        elif method == "merge":
            made = [receipt.result[0]]
            expiries = [self.books.lots[one].expiry for one in origins]
            earliest = min(filter(None, expiries), default=0)
            assert not earliest or 0 < self.books.lots[made[0]].expiry <= earliest
        elif method == "split":
            origins = [args["item"]]
            made = [f"{args['item'][:21]}{part['lot']}" for part in args["parts"]]
        elif method == "commission" and "lot" in args:
            made = origins
            origins = [f"{made[0][:18]}10/{args['lot']}"]
        for one in made:
            self.books.made_of[one] = origins

    def _judge_custody(self, who: str, method: str, before: Books) -> None:
        """Units are changed by who has them, received by their consignee, sold by their owner."""
        for item, unit in before.units.items():
            if self.books.units[item] is not unit:
                holder = before.units[before.outermost(item)].holder
                if method == "receive":
                    assert unit.consignee == who
                elif method == "sell":
                    assert unit.owner == who
                else:
                    assert holder == who, f"{method} of {item} by another"

    def _judge_usable(
        self, who: str, method: str, item: str, before: Books, args: dict[str, Any]
    ) -> None:
        """Nothing held, expired or set apart moves or is used, nor anything in it."""
        today = self.ledger.block_context().time_ms
        for one in [item, *[name for name, _ in before.inside(item)]]:
            assert not before.held(one), f"{one} is held: {method}"
            expiry = (before.lots.get(one) or before.units.get(one) or NOTHING).expiry
            assert not expiry or expiry >= date_of(today), f"{one} expired: {method}"
        if item in before.units:
            unit = before.units[item]
            assert (unit.state in FREE, unit.parent) == (True, ""), method
            assert unit.holder == args.get("holder", who), method
            assert unit.owner == (args.get("owner") or who), method
        for key, stock in before.stock.items():
            after = self.books.stock.get(key)
            if key[0] == item:
                left = (after.quarantined, after.expired) if after else (0, 0)
                assert left == (stock.quarantined, stock.expired), f"{method} took what is apart"

    def _judge_buyers(self, who: str, args: dict[str, Any], before: Books) -> None:
        """Own goods pass to the consignee unless kept; nobody gives away what is another's."""
        owner = args.get("owner") or who
        passes = owner == who and not args.get("keep_ownership")
        buyer = args["consignee"] if passes else owner
        for key, way in self.books.transit.items():
            if way is not before.transit.get(key):
                assert (way.sender, way.owner, way.buyer) == (who, owner, buyer)
        for thing in args["items"]:
            if thing["item"] in self.books.units:
                assert self.books.units[thing["item"]].buyer == buyer

    def _judge_arrival(self, who: str, item: str, before: Books) -> None:
        """What is held or expired is not free when it comes in, is unpacked or released."""
        held = any(self.books.held(one) for one in [item, *dict(self.books.inside(item))])
        expiry = (self.books.lots.get(item) or self.books.units[item]).expiry
        if held or 0 < expiry < date_of(self.ledger.block_context().time_ms):
            for key, stock in self.books.stock.items():
                if key[:2] == (item, who):
                    assert stock.free <= getattr(before.stock.get(key), "free", 0), f"{item} free"
            if item in self.books.units:
                assert self.books.units[item].state in ("QUARANTINED", "EXPIRED"), f"{item} free"

    def _judge_packed(self, method: str, args: dict[str, Any], before: Books) -> None:
        """A packed child moves only with its parent: it leaves it by unpacking alone."""
        for item, unit in before.units.items():
            if unit.parent and self.books.units[item].parent != unit.parent:
                assert (method, args["parent"]) == ("unpack", unit.parent)
                outer, now = before.units[unit.parent], self.books.units[item]
                assert (now.holder, now.owner) == (outer.holder, outer.owner)
                assert now.state == "QUARANTINED" or outer.state != "QUARANTINED"
        for key, content in before.contents.items():
            after = self.books.contents.get(key)
            if after is None or after.amount != content.amount:
                assert method in ("pack", "unpack") and args["parent"] == key[0]

    def _judge_amounts(
        self, who: str, method: str, args: dict[str, Any], named: list[Any], before: Books,
        receipt: Receipt,
    ) -> None:  # fmt: skip
        """Quantities change as the call says, and by no call that only moves things."""
        after = self.books
        changed = {
            item: after.left(item) - before.left(item)
            for item in after.lots
            if after.lots[item] is not before.lots.get(item)
        }
        changed = {item: amount for item, amount in changed.items() if amount}
        told = {
            thing["item"]: thing["quantity"]["amount"] for thing in named if "quantity" in thing
        }
        taken = {item: -amount for item, amount in told.items()}
        if method == "commission":
            assert changed == told
        elif method in ("dispense", "decommission"):
            assert changed == taken
        elif method in ("split", "merge"):
            made = {item: amount for item, amount in changed.items() if amount > 0}
            assert {item: changed[item] for item in changed if item not in made} == taken
            assert sum(changed.values()) == 0
        elif method == "transform":
            outputs = {one["item"]: one["quantity"]["amount"] for one in args["outputs"]}
            assert changed == taken | outputs
            rate = (args.get("yields") or [{"input": {"amount": 1}, "output": {"amount": 1}}])[0]
            most = sum(told.values()) * rate["output"]["amount"] // rate["input"]["amount"]
            (loss,) = receipt.result[0]["losses"]
            assert sum(outputs.values()) + loss["amount"] == most
        else:
            assert all(amount > 0 and after.lots[item].opened for item, amount in changed.items())
            assert not changed or method in ("ship", "receive")

    def _judge_owners(self, who: str, method: str, args: dict[str, Any], before: Books) -> None:
        """Ownership passes by sale, or on receipt of what its owner shipped."""
        if method in ("commission", "transform", "split", "merge", "dispense", "decommission"):
            may_change = {who}
        elif method == "sell":
            may_change = {who, args["buyer"]}
        elif method == "receive":
            ways = [way for (_, to, _), way in before.transit.items() if to == who]
            units = [unit for unit in before.units.values() if unit.consignee == who]
            may_change = {one.owner for one in ways + units} | {who}
        elif method == "ship":
            may_change = {args.get("owner") or who}  # by opening; else it would not balance
        else:
            may_change = set()
        for thing in args.get("items") or []:
            item = thing["item"]
            for lot in [item, *[name for name, _ in before.inside(item)]]:
                if lot in self.books.lots:
                    old, new = before.owners(lot), self.books.owners(lot)
                    assert {one for one in old | new if old[one] != new[one]} <= may_change

    # --- acting -----------------------------------------------------------------------------

    def act(self, op: str, n: tuple[int, ...]) -> None:
        """One step: ``n`` are six numbers from 0 to 999."""
        self.steps += 1
        getattr(self, f"do_{op}")(*n)

    def do_commission(self, a: int, b: int, c: int, d: int, e: int, f: int) -> None:
        gtin = (PACK, BOX, POWDER)[b % 3]
        args: dict[str, Any] = {}
        # Now and then more of a lot, or the same again.
        lot = self._some_lot(c) if a % 10 == 0 else self._new_lot(gtin)
        if d % 3:
            args["expiry"] = date_text(date_of(self.ledger.time_ms + (d % 60 + 1) * DAY_MS))
        who = (MAKER, OTHER_MAKER)[e % 2] if f % 20 else EVERYBODY[e % 7]
        unit = UNIT.get(lot[3:17], "EA")
        self.send(who, "commission", items=[some(lot, 20 + c % 100, unit)], **args)

    def do_serials(self, a: int, b: int, c: int, d: int, e: int, f: int) -> None:
        args: dict[str, Any] = {"lot": "SER" + str(c % 3)} if b % 3 else {}
        if d % 2:
            args["expiry"] = date_text(20300101)
        items = [some(self._new_unit(f"01/{PACK}/21/S{self.made}-{at}")) for at in range(1 + a % 3)]
        who = (MAKER, OTHER_MAKER)[e % 2] if f % 20 else EVERYBODY[e % 7]
        self.send(who, "commission", items=items, **args)

    def do_pack(self, a: int, b: int, c: int, d: int, e: int, f: int) -> None:
        who, owner, items = self._goods(a, b, c, f)
        parent = self._new_sscc() if d % 2 or not self.units else self._unit_at(who, e)
        self.send(who, "pack", parent=parent, items=items, owner=owner)

    def do_nest(self, a: int, b: int, c: int, d: int, e: int, f: int) -> None:
        """A unit into another, itself among them."""
        if not self.units:
            return
        child = self.units[-1 - a % len(self.units[-RECENT:])]
        unit = self.books.units.get(child)
        who = self._caller(unit.holder if unit else MAKER, f)
        parent = self._unit_at(who, e) if b % 3 else self._new_sscc()
        self.send(who, "pack", parent=parent, items=[some(child)], owner=unit and unit.owner)

    def do_unpack(self, a: int, b: int, c: int, d: int, e: int, f: int) -> None:
        full = [one for one, unit in self.books.units.items() if unit.contents]
        if full:
            parent = full[a % len(full)]
            items = []
            if b % 3 == 0:
                item, amount = self.books.children(parent)[0]
                items = [self._thing(item, 1 + c % (amount + 1))]
            who = self._caller(self.books.units[parent].holder, f)
            self.send(who, "unpack", parent=parent, items=items)

    def do_ship(self, a: int, b: int, c: int, d: int, e: int, f: int) -> None:
        who, owner, items = self._goods(a, b, c, f)
        args = {"consignee": TRADERS[d % 5], "keep_ownership": e % 3 == 0}
        self.send(who, "ship", items=items, owner=owner, **args)

    def do_ship_unit(self, a: int, b: int, c: int, d: int, e: int, f: int) -> None:
        free = [one for one, unit in self.books.units.items() if unit.state in FREE]
        if not free:
            return
        item = free[-1 - a % len(free[-RECENT:])]
        unit = self.books.units[item]
        who = self._caller(unit.holder, f)
        owner = unit.owner if e % 5 else who
        args = {"consignee": TRADERS[d % 5], "owner": owner, "keep_ownership": e % 3 == 0}
        self.send(who, "ship", items=[some(item)], **args)

    def do_receive(self, a: int, b: int, c: int, d: int, e: int, f: int) -> None:
        ways = list(self.books.transit)
        if ways:
            item, consignee, way = ways[a % len(ways)]
            amount = self.books.transit[item, consignee, way].amount
            thing = some(item) if b % 2 else self._thing(item, 1 + c % (amount + 1))
            self.send(self._caller(consignee, f), "receive", items=[thing])

    def do_receive_unit(self, a: int, b: int, c: int, d: int, e: int, f: int) -> None:
        coming = [one for one, unit in self.books.units.items() if unit.consignee]
        if coming:
            item = coming[a % len(coming)]
            who = self._caller(self.books.units[item].consignee, f)
            sender = self.books.units[item].holder if b % 2 else None
            self.send(who, "receive", items=[some(item)], sender=sender)

    def do_void(self, a: int, b: int, c: int, d: int, e: int, f: int) -> None:
        """What was shipped and not received comes back, a lot or a unit."""
        ways = list(self.books.transit.items())
        coming = [one for one, unit in self.books.units.items() if unit.consignee]
        if coming and b % 2:
            item = coming[a % len(coming)]
            unit = self.books.units[item]
            who = self._caller(unit.holder, f if d % 4 else f - f % 12)
            self.send(who, "void_shipping", items=[some(item)], consignee=unit.consignee)
        elif ways:
            (item, consignee, _), way = ways[a % len(ways)]
            thing = self._thing(item, 1 + c % (way.amount + 1))
            who = self._caller(way.sender, f if d % 4 else f - f % 12)
            self.send(who, "void_shipping", items=[thing], consignee=consignee)

    def do_sell(self, a: int, b: int, c: int, d: int, e: int, f: int) -> None:
        holder, owner, items = self._goods(a, b, c, f)
        args = {"holder": holder, "buyer": TRADERS[d % 5]}
        self.send(self._caller(owner, e), "sell", items=items, **args)

    def do_split(self, a: int, b: int, c: int, d: int, e: int, f: int) -> None:
        who, _, items = self._goods(a, b, c, f, f % 3 > 0)
        amount = items[0]["quantity"]["amount"]
        numbers = [self._new_lot(items[0]["item"][3:17])[21:] for _ in range(2)]
        parts = [{"lot": numbers[0], "amount": 1 + d % amount}]
        if amount > parts[0]["amount"]:
            parts.append({"lot": numbers[1], "amount": amount - parts[0]["amount"]})
        self.send(who, "split", item=items[0]["item"], parts=parts)

    def do_merge(self, a: int, b: int, c: int, d: int, e: int, f: int) -> None:
        """Two lots of one trade item, mostly at one owner that has them."""
        who, _, (first,) = self._goods(a, b, c, f, f % 3 > 0)
        gtin = first["item"][3:17]
        items = [first]
        mine = [
            (key[0], stock.free)
            for key, stock in self.books.stock.items()
            if key[1:] == (who, who) and key[0][3:17] == gtin and key[0] != first["item"]
        ]
        free = [(item, amount) for item, amount in mine if amount]
        if free:
            item, amount = free[d % len(free)]
            items.append(self._thing(item, 1 + e % amount))
        args: dict[str, Any] = {}
        if e % 4 == 0:
            args["expiry"] = date_text(date_of(self.ledger.time_ms + (e % 60) * DAY_MS))
        self.send(who, "merge", items=items, lot=self._new_lot(gtin)[21:], **args)

    def do_transform(self, a: int, b: int, c: int, d: int, e: int, f: int) -> None:
        who, _, (first,) = self._goods(a, b, c, f, f % 3 > 0)
        amount, unit = first["quantity"]["amount"], first["quantity"]["unit"]
        gtin = BOX if d % 2 else PACK
        args: dict[str, Any] = {}
        most = amount
        if unit != "EA" or d % 3 == 0:
            rate = 1 + d % 4
            most = amount * rate
            args["yields"] = [
                {"input": {"amount": 1, "unit": unit}, "output": {"amount": rate, "unit": "EA"}}
            ]
        made = max(1, most - e % 10 + (e % 7 == 0))
        outputs = [some(self._new_lot(gtin), made, "EA")]
        self.send(who, "transform", inputs=[first], outputs=outputs, **args)

    def do_use(self, a: int, b: int, c: int, d: int, e: int, f: int) -> None:
        """Dispensed, decommissioned, set apart, brought back."""
        who, owner, items = self._goods(a, b, c, f)
        method = ("dispense", "decommission", "quarantine", "release", "expire")[d % 5]
        if WHO[who] == "dispenser" and e % 2:
            method, d = "dispense", 0
        args = {"owner": owner} if d % 5 > 1 else {}
        self.send(who, method, items=items, **args)

    def do_dispense(self, a: int, b: int, c: int, d: int, e: int, f: int) -> None:
        mine = [
            (key[0], stock.free)
            for key, stock in self.books.stock.items()
            if key[1] == PHARMACY and stock.free
        ]
        if mine:
            item, free = mine[-1 - a % len(mine[-RECENT:])]
            self.send(
                self._caller(PHARMACY, f), "dispense", items=[self._thing(item, 1 + c % free)]
            )

    def do_release(self, a: int, b: int, c: int, d: int, e: int, f: int) -> None:
        apart = [(key, stock.quarantined) for key, stock in self.books.stock.items()]
        apart = [(key, amount) for key, amount in apart if amount]
        if apart:
            (item, holder, owner), amount = apart[-1 - a % len(apart[-RECENT:])]
            thing = self._thing(item, 1 + c % amount)
            self.send(self._caller(holder, f), "release", items=[thing], owner=owner)

    def do_use_unit(self, a: int, b: int, c: int, d: int, e: int, f: int) -> None:
        if self.units:
            item = self.units[-1 - a % len(self.units[-RECENT:])]
            unit = self.books.units.get(item)
            who = self._caller(unit.holder if unit else MAKER, f)
            method = ("dispense", "decommission", "quarantine", "release", "expire")[d % 5]
            args = {"owner": unit.owner} if unit and d % 5 > 1 else {}
            self.send(who, method, items=[some(item)], **args)

    def do_hold(self, a: int, b: int, c: int, d: int, e: int, f: int) -> None:
        """A recall of a lot, serial or unit by its maker, a regulator or whoever tries."""
        known = [*self.books.lots, *self.books.units]
        if known:
            item = known[-1 - b % len(known[-3 * RECENT :])]
            made = [key[0] for key in self.books.stock if self.books.lots[key[0]].parents]
            if made and d % 2:
                item = self.books.ancestors(made[a % len(made)])[-1]  # far from what is traded
            coming = [one for one, unit in self.books.units.items() if unit.consignee]
            packed = [name for one in coming for name, _ in self.books.inside(one)]
            if packed and e % 2:
                item = packed[a % len(packed)]  # a recall lands while it is in transit
            if f % 3 == 0:
                self._hold_and_move(b)
            else:
                self.send(self._caller(REGULATOR, c), "detain", items=[some(item)])

    def _hold_and_move(self, n: int) -> None:
        """A hold, and in the same block, before it can spread, a shipment of what descends."""
        depths = {key: len(self.books.ancestors(key[0])) for key in self.books.stock}
        keys = [key for key, depth in depths.items() if depth > 3]
        keys = keys or [key for key, depth in depths.items() if depth > 1]
        if not keys:
            return
        item, holder, owner = keys[n % len(keys)]
        origin = self.books.ancestors(item)[-1]
        self._settle()
        to = MAKER if holder != MAKER else PHARMACY
        ship = {"items": [self._thing(item, 1)], "consignee": to, "owner": owner}
        first, second = self.ledger.block(
            self.ledger.tx(seed_of(REGULATOR), Call("batch", "detain", {"items": [some(origin)]})),
            self.ledger.tx(seed_of(holder), Call("batch", "ship", ship)),
        )
        assert (first.code, second.code == "OK") == ("OK", False), second
        self.counts[f"ship at once {second.code}"] += 1
        self._read_changes()
        self.books.check()

    def do_held(self, a: int, b: int, c: int, d: int, e: int, f: int) -> None:
        """Stock that a hold on it, or on something that it was made of, should keep still."""
        books = self.books
        held = [key for key in books.stock if books.held(key[0])]
        if held:
            item, holder, owner = held[a % len(held)]
            stock = books.stock[item, holder, owner]
            if stock.quarantined:
                thing = self._thing(item, 1 + c % stock.quarantined)
                self.send(holder, "release", items=[thing], owner=owner)
            if stock.free:
                thing = self._thing(item, 1 + c % stock.free)
                to = TRADERS[d % 5]
                if b % 3 == 0:
                    self.send(holder, "ship", items=[thing], consignee=to, owner=owner)
                elif b % 3 == 1:
                    self.send(owner, "sell", items=[thing], holder=holder, buyer=to)
                else:
                    number = self._new_lot(item[3:17])[21:]
                    self.send(owner, "merge", items=[thing], lot=number)

    def do_lift(self, a: int, b: int, c: int, d: int, e: int, f: int) -> None:
        standing = [number for number, one in self.books.holdings.items() if not one.lifting]
        if standing:
            number = standing[a % len(standing)]
            self.send(self._caller(REGULATOR, f), "end_detention", number=number)

    def do_policy(self, a: int, b: int, c: int, d: int, e: int, f: int) -> None:
        who = CONSORTIUM if a % 4 else EVERYBODY[b % 7]
        self.send(who, "set_policy", unknown_items="OPEN" if c % 3 == 0 else "REFUSE")

    def do_unknown(self, a: int, b: int, c: int, d: int, e: int, f: int) -> None:
        """Something that the chain has never seen, or has opened before."""
        opened = [one for one, lot in self.books.lots.items() if lot.opened]
        item = opened[-1] if opened and b % 2 else self._new_lot(PACK)
        who, other = TRADERS[a % 5], TRADERS[(a + 1 + c % 4) % 5]
        if d % 2:
            self.send(who, "ship", items=[some(item, 1 + e % 50)], consignee=other)
        else:
            self.send(who, "receive", items=[some(item, 1 + e % 50)], sender=other)

    def do_again(self, a: int, b: int, c: int, d: int, e: int, f: int) -> None:
        """What was accepted comes again, and is told just that, whatever became of its things."""
        if self.last is not None:
            who, method, args = self.last
            self._settle()
            self.ledger.refused("DUPLICATE_EVENT", who, method, **args)
            self.counts["DUPLICATE_EVENT"] += 1

    def do_expire(self, a: int, b: int, c: int, d: int, e: int, f: int) -> None:
        """What is past its date, by who has it; or what is not."""
        today = date_of(self.ledger.time_ms)
        old = [
            key
            for key, stock in self.books.stock.items()
            if stock.free and 0 < self.books.lots[key[0]].expiry < today
        ]
        if old:
            item, holder, owner = old[a % len(old)]
            thing = self._thing(item, 1 + c % self.books.stock[old[a % len(old)]].free)
            method = ("expire", "expire", "ship", "dispense")[b % 4]
            args = {"consignee": TRADERS[d % 5]} if method == "ship" else {}
            args |= {"owner": owner} if method != "dispense" else {}
            self.send(self._caller(holder, f), method, items=[thing], **args)

    def do_wait(self, a: int, b: int, c: int, d: int, e: int, f: int) -> None:
        self.ledger.time_ms += (a % 15) * DAY_MS

    # --- choosing ---------------------------------------------------------------------------

    def _goods(
        self, a: int, b: int, c: int, f: int, again: bool = False
    ) -> tuple[str, str, list[dict[str, Any]]]:
        """Mostly some of the stock there is, by who has it: caller, owner, things. With ``again``
        of lots that were made of others, so that lineages grow deep.
        """
        entries = list(self.books.stock)
        if again:
            entries = [key for key in entries if self.books.lots[key[0]].parents] or entries
        entries = entries[-4 * RECENT :]
        if not entries or b % 25 == 0:
            return TRADERS[a % 5], TRADERS[a % 5], [self._thing(self._some_lot(b), 1 + c % 60)]
        item, holder, owner = entries[a % len(entries)]
        stock = self.books.stock[item, holder, owner]
        most = stock.free + stock.quarantined + stock.expired + 1
        return self._caller(holder, f), owner, [self._thing(item, 1 + c % most)]

    def _caller(self, rightful: str, f: int) -> str:
        """Now and then somebody else."""
        return rightful if f % 12 else EVERYBODY[f // 12 % 7]

    def _some_lot(self, n: int) -> str:
        recent = self.lots[-RECENT:]
        return recent[n % len(recent)] if recent else self._new_lot(PACK)

    def _unit_at(self, who: str, n: int) -> str:
        mine = [one for one in self.units if getattr(self.books.units.get(one), "holder", 0) == who]
        mine = mine[-RECENT:]
        return mine[n % len(mine)] if mine else self._new_sscc()

    def _thing(self, item: str, amount: int) -> dict[str, Any]:
        if item in self.books.units:
            return some(item)
        lot = self.books.lots.get(item)
        return some(item, amount, lot.unit if lot else UNIT.get(item[3:17], "EA"))

    def _new_lot(self, gtin: str) -> str:
        self.made += 1
        item = f"01/{gtin}/10/L{self.made}"
        self.lots.append(item)
        self._name(item)
        return item

    def _new_sscc(self) -> str:
        self.made += 1
        body = f"09521321{self.made:09d}"
        return self._new_unit(f"00/{body}{gs1_check_digit(body)}")

    def _new_unit(self, item: str) -> str:
        self.units.append(item)
        self._name(item)
        for number in range(3):
            self._name(f"{item[:18]}10/SER{number}")
        return item

    def _name(self, item: str) -> None:
        self.names[digest_part(item)] = item


class Nothing:
    expiry = 0


NOTHING: Final = Nothing()
OPS: Final = (
    "commission", "commission", "serials", "pack", "nest", "unpack", "unpack", "ship", "ship",
    "ship_unit", "ship_unit", "receive", "receive", "receive_unit", "receive_unit", "void", "sell",
    "split", "merge", "merge", "transform", "use", "use", "use_unit", "use_unit", "dispense",
    "release", "expire", "hold", "held", "lift", "policy", "unknown", "again", "wait",
)  # fmt: skip


def some(item: str, amount: int | None = None, unit: str = "EA") -> dict[str, Any]:
    return {"item": item} | (
        {} if amount is None else {"quantity": {"amount": amount, "unit": unit}}
    )
