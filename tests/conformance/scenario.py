"""A chain on which every method of every built-in contract is called, and all that contract source
may do is done. Run as a program it prints what came of it, as JSON.

No test library is used here: it runs under any interpreter that has the node's own.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from consensus.params import Params
from consensus.primitives.codec import encode
from consensus.primitives.crypto import public_key, sha256
from consensus.receipt import Receipt
from contracts.runtime.registry import builtin_packages
from contracts.sdk import testkit
from contracts.sdk.commitments import Committed, commit
from contracts.sdk.fields import (
    Blob,
    Bool,
    CalendarDate,
    Choice,
    Code,
    Field,
    Int,
    Items,
    Maybe,
    Text,
)
from contracts.sdk.schemas import Properties, field_from
from contracts.sdk.testkit import Refused, Testkit, organisation_id, read_package
from tests.conformance.bills import bills
from tests.conformance.calendars import calendars
from tests.conformance.carriage import carriage
from tests.conformance.credits import credits
from tests.conformance.documents import documents
from tests.conformance.invoicing import invoices
from tests.conformance.medicines import inspections, medicines
from tests.conformance.money import money
from tests.conformance.parties import parties
from tests.conformance.stocks import stocks
from tests.conformance.withdrawals import withdrawals

ROOT: Final = Path(__file__).parents[2]
DIALECT: Final = ("tests/conformance/words.py", "tests/conformance/dialect.py")
MAKER, WHOLESALER, PHARMACY, REGULATOR = (organisation_id(number) for number in range(2, 6))
ELECTORS: Final = tuple(organisation_id(number) for number in range(6, 10))
NUMBERS: Final = [5, 7, -3, 100, 2**59, -(2**59), 0, 14, 1, 99, 5, 1000, 12345678901]
WORDS: Final = [
    "abc",
    "",
    "zebra",
    "a" * 40,
    "stra\u00dfe",
    "\u00e9\u4e2d\U0001f69a",
    "banana 12",
    "Z",
]
GTIN: Final = "09521321000018"
# Digits to every Python, and letters and digits that only 3.12 knows (Unicode 15).
NEW_DIGITS: Final = ("\u0661" * 13, "\U00011f50" * 13, "\U00011f02" * 4)
WRONG: Final = (
    None, True, -1, 2**64 - 1, "", "x" * 600, b"", [], {}, [[]], {"a": 1}, *NEW_DIGITS,
    *(f"({digits[:2]}){digits}" for digits in NEW_DIGITS),
)  # fmt: skip
RANDOM_CALLS: Final = 400
# After these somebody could do nothing more; they are called above.
LAST_WORDS: Final = frozenset(
    ("rotate_key", "revoke_key", "hold_key", "hold_organisation", "set_organisation_status",
     "set_organisation_roles", "revoke_role")
)  # fmt: skip


def key_of(name: str) -> bytes:
    return public_key(sha256(name.encode()))


class Scenario:
    """Makes the calls and notes a line for each."""

    def __init__(self) -> None:
        packages = builtin_packages()
        self.kit = Testkit.of(
            *packages,
            read_package(DIALECT, ROOT),
            builtin=(),
            genesis={"governance": founding(), "dialect": {"first": 5}},
        )
        self.lines: list[str] = []
        self.called: set[tuple[str, str]] = set()

    def run(self) -> dict[str, Any]:
        digest = self.kit.registry.digest.hex()
        for part in (self.people, self.batches, self.carriage, self.documents, self.stocks,
                     self.medicines, self.withdrawals, self.parties, self.money, self.dialect,
                     self.governance, self.everything, self.anything):  # fmt: skip
            part()
        self.kit.replay()
        return {
            "contracts": digest,
            "lines": self.lines,
            "steps": sum(one.steps_used for block in self.kit.blocks for one in block.receipts),
            "root": self.kit.root.hex(),
        }

    def note(self, what: str, receipts: tuple[Receipt, ...]) -> None:
        """One line for a block: codes, steps, hashes of the receipts with events, and of state."""
        codes = " ".join(f"{one.code}:{one.steps_used}" for one in receipts)
        seen = hashlib.sha256(b"".join(one.raw for one in receipts)).hexdigest()[:16]
        self.lines.append(f"{what} {codes} {seen} {self.kit.root.hex()[:16]}")

    def call(self, who: str, contract: str, method: str, /, **args: Any) -> Any:
        self.called.add((contract, method))
        try:
            return self.kit.as_(who).call(contract, method, **args)
        except Refused:
            return None
        finally:
            self.note(f"{who} {contract}.{method}", self.kit.blocks[-1].receipts)

    def starved(self, who: str, contract: str, method: str, steps_max: int, /, **args: Any) -> None:
        """The same on a budget that may not be enough: it stops at the same step everywhere."""
        with contextlib.suppress(Refused):
            self.kit.as_(who).calls((contract, method, args), steps_max=steps_max)
        self.note(f"{who} {contract}.{method} {steps_max}", self.kit.blocks[-1].receipts)

    def ask(self, contract: str, method: str, /, **args: Any) -> Any:
        self.called.add((contract, method))
        try:
            answer = self.kit.query(contract, method, **args)
            self.lines.append(f"? {contract}.{method} {sha256(encode(answer)).hex()[:16]}")
        except Refused as error:
            self.lines.append(f"? {contract}.{method} {error.code}: {error.detail}")
            return None
        return answer

    def check(
        self,
        contract: str,
        method: str,
        openings: Mapping[bytes, testkit.Committed] | None = None,
        /,
        **args: Any,
    ) -> Any:
        """A check over what the test kit committed to, or over these openings."""
        self.called.add((contract, method))
        try:
            answer = self.kit.check(contract, method, openings, **args)
            self.lines.append(f"? {contract}.{method} {sha256(encode(answer)).hex()[:16]}")
        except Refused as error:
            self.lines.append(f"? {contract}.{method} {error.code}: {error.detail}")
            return None
        return answer

    def pass_time(self, what: str, **time: int) -> None:
        before = len(self.kit.blocks)
        self.kit.advance(**time)
        for block in self.kit.blocks[before:]:
            self.note(what, block.receipts)

    # --- identity -----------------------------------------------------------------------------

    def people(self) -> None:
        kit = self.kit
        kit.organisation("maker", ("manufacturer", "laboratory"), {"region": "EU"})
        kit.organisation("wholesaler", ("wholesaler",))
        kit.organisation("pharmacy", ("dispenser",))
        kit.organisation("regulator", ("regulator",))
        for number in range(4):
            kit.organisation(f"elector{number}", ("wholesaler",))
        kit.key("clerk", "maker", ("corporate_user",))
        name = kit.commit("Abebe Bikila").commitment
        self.call("maker", "identity", "add_user", id="staff-1", name=name)
        self.call("maker", "identity", "add_user", id="staff-1", name=name)
        self.call("maker", "identity", "add_user", id="staff-2", name=name)
        self.call("maker", "identity", "add_key", key=key_of("abebe"), label="desk", roles=[],
                  user="staff-1", attributes=[{"name": "site", "value": "Addis"}])  # fmt: skip
        kit._seeds["abebe"] = sha256(b"abebe")
        document = sha256(b"record")
        self.call("abebe", "identity", "sign_record", record_hash=document, meaning="approval")
        self.call("abebe", "identity", "sign_record", record_hash=document, meaning="approval")
        self.call("maker", "identity", "sign_record", record_hash=document, meaning="review")
        self.call("maker", "identity", "set_attribute", key=key_of("abebe"), name="a", value="b")
        self.call("maker", "identity", "remove_attribute", key=key_of("abebe"), name="a")
        self.call("maker", "identity", "remove_attribute", key=key_of("abebe"), name="a")
        self.call("maker", "identity", "grant_role", key=key_of("abebe"), role="laboratory")
        self.call("maker", "identity", "grant_role", key=key_of("abebe"), role="bank")
        self.call("maker", "identity", "revoke_role", key=key_of("abebe"), role="laboratory")
        self.call("regulator", "identity", "hold_key", key=key_of("abebe"), reason="asked")
        self.call("abebe", "identity", "rotate_key", new=key_of("abebe2"))
        self.call("regulator", "identity", "lift_key_hold", key=key_of("abebe"))
        self.call("abebe", "identity", "rotate_key", new=key_of("abebe2"))
        self.call("maker", "identity", "revoke_key", key=key_of("abebe2"))
        self.call("maker", "identity", "revoke_user", id="staff-2")
        self.call("regulator", "identity", "hold_organisation", id=PHARMACY, reason="inspection")
        self.call("pharmacy", "identity", "revoke_user", id="nobody")
        self.call("regulator", "identity", "lift_organisation_hold", id=PHARMACY)
        self.call("consortium", "identity", "set_organisation_roles", id=PHARMACY,
                  roles=["dispenser", "bank"])  # fmt: skip
        self.call("consortium", "identity", "set_organisation_status", id=PHARMACY,
                  status="SUSPENDED")  # fmt: skip
        self.call("consortium", "identity", "set_organisation_status", id=PHARMACY,
                  status="ACTIVE")  # fmt: skip
        self.call("consortium", "identity", "add_organisation", id="DEUTDEFF", name="Bank",
                  admin_key=key_of("bank"), roles=["bank"])  # fmt: skip
        for query, args in (
            ("organisation_list", {}), ("organisation", {"id": MAKER}),
            ("is_active", {"id": MAKER}),
            ("user_list", {"organisation": MAKER}), ("key_list", {"organisation": MAKER}),
            ("key", {"key": key_of("abebe")}), ("caller", {"key": key_of("abebe")}),
            ("caller", {"key": self.kit.public_key("clerk")}),
            ("signatures", {"record_hash": document}),
            ("may_read", {"key": self.kit.public_key("maker"), "parties": [MAKER, PHARMACY]}),
        ):  # fmt: skip
            self.ask("identity", query, **args)

    # --- batch --------------------------------------------------------------------------------

    def batches(self) -> None:
        lot, other, unit = f"01/{GTIN}/10/LOT1", f"01/{GTIN}/10/LOT2", "00/106141412345678908"
        serials = [f"01/{GTIN}/21/S{number}" for number in range(3)]
        event = {"id": "event-1", "hash": sha256(b"event"), "time": self.kit.time_ms, "place": "x"}

        def amount(item: str, number: int) -> dict[str, Any]:
            return {"item": item, "quantity": {"amount": number, "unit": "EA"}}

        def plain(*items: str) -> list[dict[str, Any]]:
            return [{"item": item} for item in items]

        self.call("maker", "batch", "commission", items=[amount(lot, 1000)], expiry="2027-03-31",
                  event=event)  # fmt: skip
        self.call("maker", "batch", "commission", items=[amount(lot, 1)], event=event)
        self.call("maker", "batch", "commission", items=plain(*serials), expiry="270300", lot="L")
        self.call("maker", "batch", "commission", items=plain(unit))
        self.call("maker", "batch", "split", item=lot, parts=[{"lot": "LOT2", "amount": 300}])
        self.call("maker", "batch", "pack", parent=unit, items=[amount(lot, 100), *plain(*serials)])
        self.call("maker", "batch", "ship", items=plain(unit), consignee=WHOLESALER)
        self.call("maker", "batch", "ship", items=[amount(lot, 100)], consignee=WHOLESALER)
        self.call("pharmacy", "batch", "receive", items=plain(unit))
        self.call("wholesaler", "batch", "receive", items=plain(unit))
        self.call("wholesaler", "batch", "receive", items=[amount(lot, 100)], sender=MAKER)
        self.call("wholesaler", "batch", "unpack", parent=unit)
        self.call("wholesaler", "batch", "observe", items=plain(lot), step="inspecting",
                  disposition="conformant")  # fmt: skip
        self.call("wholesaler", "batch", "quarantine", items=plain(serials[0]), cause="DAMAGED")
        self.call("wholesaler", "batch", "ship", items=plain(serials[0]), consignee=PHARMACY)
        self.call("wholesaler", "batch", "release", items=plain(serials[0]))
        self.call("wholesaler", "batch", "ship", items=plain(*serials), consignee=PHARMACY)
        self.call("pharmacy", "batch", "receive", items=plain(*serials))
        self.call("pharmacy", "batch", "dispense", items=plain(serials[0]))
        self.call("maker", "batch", "transform", inputs=[amount(other, 200)],
                  outputs=[amount(f"01/{GTIN}/10/LOT3", 190)], expiry="2028-02-29")  # fmt: skip
        announcement = {"product": "Tablets", "reason": "wrong leaflet", "codes": "LOT"}
        self.call("maker", "recall", "initiate", announcement=announcement, items=plain(lot))
        self.call("pharmacy", "batch", "dispense", items=plain(serials[1]))
        self.call("regulator", "recall", "classify", number=1, recall_class="II")
        self.call("maker", "recall", "set_strategy", number=1, depth="RETAIL", level="E",
                  disposal="RETURN")  # fmt: skip
        self.call("wholesaler", "recall", "acknowledge", number=1, found="NONE_LEFT")
        self.ask("recall", "dashboard", number=1)
        self.call("maker", "recall", "complete", number=1)
        self.call("maker", "recall", "complete", number=1, explanation="Used up.")
        self.call("regulator", "recall", "terminate", number=1)
        self.call("regulator", "recall", "release", number=1, grounds="All else was corrected.")
        self.call("pharmacy", "batch", "decommission", items=plain(serials[2]), state="DESTROYED")
        self.call("maker", "batch", "declare_error", event_id="event-1", reason="typing")
        self.ask("recall", "recall", number=1)
        self.ask("batch", "item", item=lot)
        self.ask("batch", "item", item=serials[1])
        self.ask("batch", "trace", item=lot)
        self.ask("batch", "trace", item="01/09521321000018/10/NONE")

    # --- shipment -----------------------------------------------------------------------------

    def carriage(self) -> None:
        carriage(self)

    def documents(self) -> None:
        documents(self)

    def withdrawals(self) -> None:
        withdrawals(self)

    # --- owners, processes, settings ------------------------------------------------------------

    def stocks(self) -> None:
        stocks(self)

    # --- quality, DSCSA -------------------------------------------------------------------------

    def medicines(self) -> None:
        inspections(self)
        medicines(self)

    # --- calendars, compliance ------------------------------------------------------------------

    def parties(self) -> None:
        calendars(self)
        parties(self)
        bills(self)
        credits(self)

    # --- claims and escrow ----------------------------------------------------------------------

    def money(self) -> None:
        money(self)
        invoices(self)

    # --- everything that source may do ----------------------------------------------------------

    def dialect(self) -> None:
        maker = "maker"
        for values in (NUMBERS, [], [3], list(range(-20, 20)), [0, 0, 0]):
            for method in ("numbers", "lists", "records", "control"):
                self.call(maker, "dialect", method, values=values)
            self.call(maker, "dialect", "maps", values=values, words=WORDS)
        for sought in ("a", "", "zz", "\u00df", "1"):
            self.call(maker, "dialect", "texts", values=WORDS, sought=sought)
        self.call(maker, "dialect", "texts", values=[word for word in WORDS if word.isascii()])
        self.call(maker, "dialect", "blobs", values=[b"", b"0123456789", bytes(40), b"15"])
        self.call(maker, "dialect", "blobs", values=[b"\xff\xfe"])
        for base, exponent in ((3, 100), (2, 255), (2, 256), (-2, 255), (0, 0), (7, 2000)):
            self.call(maker, "dialect", "big", base=base, exponent=exponent)
        for how in ("zero", "index", "key", "type", "unpack", "int", "refuse", "value", "key type",
                    "decode", "order", "none", "nothing"):  # fmt: skip
            self.call(maker, "dialect", "fault", how=how)
        for kind in ("text", "list", "state", "compare", "emit"):
            self.starved(maker, "dialect", "endless", 200_000, kind=kind)
            self.starved(maker, "dialect", "endless", 2_600_000, kind=kind)
        for steps_max in (1, 1_000, 3_000, 5_000, 9_999, 20_000, 50_000):
            self.starved(maker, "dialect", "lists", steps_max, values=NUMBERS)
            self.starved(maker, "dialect", "texts", steps_max, values=WORDS)
            self.starved(maker, "dialect", "keep", steps_max, numbers=NUMBERS)
        hidden = self.kit.commit(["a", "b", "c"])
        shown_to = {"shown_to": [WHOLESALER]}
        self.call(maker, "dialect", "hide", number=7, secret=hidden.commitment, **shown_to)
        self.call("pharmacy", "dialect", "hide", number=8, secret=hidden.commitment, **shown_to)
        self.call(maker, "dialect", "hide", number=9, secret=bytes(32), **shown_to)
        verdict = self.check("dialect", "long", number=7)
        for number in (8, 9):
            self.check("dialect", "long", number=number)
        self.check("dialect", "long", {}, number=7)
        wrong = hidden._replace(value=["a"])
        self.check("dialect", "long", {hidden.commitment: wrong}, number=7)
        no_texts = self.kit.commit(5).commitment
        self.call(maker, "dialect", "hide", number=10, secret=no_texts, **shown_to)
        self.check("dialect", "long", number=10)
        findings = self.kit.commit(verdict["findings"]).commitment
        judged = {"verdict": verdict["code"], "findings": findings}
        self.call("wholesaler", "dialect", "judged", number=7, **judged)
        self.call("wholesaler", "vault", "entitle", commitments=[hidden.commitment],
                  organisations=[PHARMACY])  # fmt: skip
        self.call("wholesaler", "vault", "erased", commitments=[hidden.commitment],
                  reason="REQUEST")  # fmt: skip
        self.ask("vault", "entry", commitment=hidden.commitment)
        self.ask("vault", "entitled", commitments=[hidden.commitment, bytes(32)])
        self.call(maker, "dialect", "keep", numbers=[1, 2, 3])
        self.call("pharmacy", "dialect", "keep", numbers=[4, 2**59], kind="B")
        self.call("regulator", "dialect", "keep", numbers=[1])
        self.call(maker, "dialect", "change", number=2)
        self.call(maker, "dialect", "change", number=4)
        self.call(maker, "dialect", "change", number=99)
        self.call(maker, "dialect", "drop", number=3)
        self.call(maker, "dialect", "drop", number=3)
        for number in range(7):
            self.call(maker, "dialect", "later", number=number, in_ms=60_000 * number)
        self.call("pharmacy", "dialect", "later", number=1, in_ms=1)
        self.pass_time("due", days=1)
        self.call(maker, "dialect", "world")
        self.call("regulator", "dialect", "world")
        self.trade()
        for number in (1, 2**59, -5):
            self.ask("dialect", "entry", number=number)
        self.ask("dialect", "total")
        self.ask("dialect", "tasks", organisation=MAKER)
        self.ask("dialect", "tasks", organisation=MAKER, after=1)

    def trade(self) -> None:
        declared = self.kit.registry.schema()["dialect"]["methods"]["trade"]["args"]["properties"]
        args = {name: field_from(schema).example() for name, schema in declared.items()}
        args["person"] = commit(bytes(16), "Abebe")
        args["terms"] = commit(bytes(16), args["price"])
        self.call("maker", "dialect", "trade", **args)
        for name in declared:
            for wrong in WRONG:
                self.call("maker", "dialect", "trade", **{**args, name: wrong})

    # --- governance and usage -------------------------------------------------------------------

    def governance(self) -> None:
        first = "elector0"
        later = self.kit.time_ms + 400_000
        key, node = key_of("new consensus"), key_of("new network")
        self.decide("propose_node", network_key=node, name="v9", organisation=ELECTORS[0],
                    addresses=["v9.example.org:7640"])  # fmt: skip
        self.decide("propose_validator_add", name="v9", consensus_key=key, network_key=node,
                    organisation=ELECTORS[0])  # fmt: skip
        self.decide("propose_validator_rotate", name="v9", consensus_key=key_of("rotated"))
        self.decide("propose_validator_remove", name="v9")
        self.decide("propose_node_remove", network_key=node)
        self.decide("propose_params", changes={"tx_steps_max": 20_000_000})
        self.decide("propose_params", changes={"nonsense": 1})
        self.decide("propose_quota", organisation=MAKER, steps=5_000_000, bytes=100_000, calls=300)
        self.decide("propose_quota", organisation=MAKER)
        self.decide("propose_usage_period", period_ms=3_600_000)
        text = (ROOT / DIALECT[1]).read_text(encoding="utf-8").replace("version = 1", "version = 2")
        files = []
        for path, source in ((DIALECT[0], (ROOT / DIALECT[0]).read_text(encoding="utf-8")),
                             (DIALECT[1], text)):  # fmt: skip
            self.call(first, "governance", "upload", text=source)
            files.append({"path": path, "hash": sha256(source.encode())})
        self.decide("propose_contract", name="dialect", version=2, runtime=1, files=files)
        self.decide("propose_contract", name="dialect", version=2, runtime=1, files=files)
        self.call(first, "governance", "upload", text="import os\n")
        bad = [{"path": "bad.py", "hash": sha256(b"import os\n")}]
        self.decide("propose_contract", name="bad", version=1, runtime=1, files=bad)
        number = self.call(first, "governance", "propose_usage_period", period_ms=86_400_000,
                           expires_ms=later)  # fmt: skip
        self.call(first, "governance", "recount", proposal=number)
        self.call(first, "governance", "withdraw", proposal=number)
        number = self.call(first, "governance", "propose_usage_period", period_ms=86_400_000)
        for elector in ("elector1", "elector2"):
            self.call(elector, "governance", "vote", proposal=number, yes=False)
        self.call("maker", "governance", "vote", proposal=number, yes=True)
        for query in ("validator_list", "node_list", "params_now", "package_list", "proposal_list"):
            self.ask("governance", query)
        self.ask("governance", "proposal", proposal=1)
        self.ask("governance", "source", hash=sha256(b"import os\n"))
        self.ask("usage", "report")
        self.ask("usage", "check_quota", steps=0, bytes=0, calls=0)
        self.ask("usage", "used_by", organisation=MAKER)
        self.ask("usage", "quota", organisation=MAKER)
        self.ask("usage", "check_quota", steps=1, bytes=0, calls=0)
        self.call("maker", "usage", "set_quota", organisation=MAKER, steps=0, bytes=0, calls=0)
        self.call("maker", "usage", "set_period", period_ms=60_000)

    def decide(self, method: str, **args: Any) -> None:
        """Propose, have three of four vote for it, and wait until it is in force."""
        number = self.call("elector0", "governance", method, **args)
        if number is None:
            return
        for elector in ("elector0", "elector1", "elector2", "elector3"):
            self.call(elector, "governance", "vote", proposal=number, yes=True)
        self.pass_time("in force", seconds=1)
        self.pass_time("in force", seconds=1)
        self.ask("governance", "proposal", proposal=number)

    # --- every method, with whatever it takes ---------------------------------------------------

    def everything(self) -> None:
        """Each method with its example, by everyone."""
        for contract, method, declared in self.methods():
            properties = declared["args"]["properties"]
            args = {name: field_from(schema).example() for name, schema in properties.items()}
            if declared["kind"] != "call":
                (self.ask if declared["kind"] == "query" else self.check)(contract, method, **args)
                continue
            for who in ("maker", "pharmacy", "regulator", "elector0", "consortium", "clerk"):
                self.call(who, contract, method, **args)
            self.call("maker", contract, method, nonsense=1)

    def anything(self) -> None:
        """Methods by lot with arguments by lot, from a fixed sequence."""
        lot = Lot()
        methods = self.methods()
        people = ["maker", "wholesaler", "pharmacy", "regulator", "elector0", "clerk"]
        for _ in range(RANDOM_CALLS):
            contract, method, declared = methods[lot.below(len(methods))]
            args = {
                name: lot.value(field_from(schema))
                for name, schema in declared["args"]["properties"].items()
                if name in declared["args"]["required"] or lot.below(2)
            }
            if declared["kind"] == "query":
                self.ask(contract, method, **args)
            elif declared["kind"] == "check":
                self.check(contract, method, **args)
            else:
                self.call(people[lot.below(len(people))], contract, method, **args)

    def methods(self) -> list[tuple[str, str, Any]]:
        schema = self.kit.registry.schema()
        return [
            (contract, method, declared)
            for contract in sorted(schema)
            for method, declared in sorted(schema[contract]["methods"].items())
            if method not in LAST_WORDS
        ]


class Lot:
    """Values from a sequence that is the same for ever."""

    def __init__(self) -> None:
        self.drawn = 0

    def below(self, limit: int) -> int:
        self.drawn += 1
        return int.from_bytes(sha256(self.drawn.to_bytes(8, "big"))[:8], "big") % limit

    def value(self, field: Field) -> Any:
        """A value that the field takes."""
        made: dict[type[Field], Callable[[Any], Any]] = {
            Int: lambda one: one.minimum + self.below(one.maximum - one.minimum + 1),
            Bool: lambda one: self.below(2) == 1,
            Choice: lambda one: one.options[self.below(len(one.options))],
            Blob: lambda one: sha256(bytes([self.below(4)]))[: one.maximum].ljust(one.minimum),
            Items: lambda one: [self.value(one.field) for _ in range(max(one.size.minimum, 1))],
            Maybe: lambda one: self.value(one.field) if self.below(2) else None,
            CalendarDate: lambda one: 20250101 + self.below(28),
            Properties: lambda one: {name: self.value(of) for name, of in one.fields.items()},
            Committed: lambda one: commit(bytes(16), "x"),
        }
        maker = made.get(type(field))
        if maker is not None:
            return maker(field)
        if isinstance(field, Text) and field.pattern is None:
            return WORDS[self.below(3)].ljust(field.minimum, "-")[: field.maximum]
        if isinstance(field, Code) and field.what in ("GLN", "GLN, LEI or BIC"):
            return organisation_id(1 + self.below(10))
        return field.example()


def founding() -> dict[str, Any]:
    """Four validators of four organisations."""
    names = [f"v{number}" for number in range(4)]
    return {
        "validators": [
            {"name": name, "key": key_of(f"consensus {name}"), "organisation": owner}
            for name, owner in zip(names, ELECTORS, strict=True)
        ],
        "nodes": [
            {
                "network_key": key_of(f"network {name}"),
                "name": name,
                "organisation": owner,
                "kind": "validator",
                "consensus_key": key_of(f"consensus {name}"),
                "addresses": [f"{name}.example.org:7640"],
            }
            for name, owner in zip(names, ELECTORS, strict=True)
        ],
        "params": dataclasses.asdict(Params()),
    }


if __name__ == "__main__":
    json.dump(Scenario().run(), sys.stdout)
