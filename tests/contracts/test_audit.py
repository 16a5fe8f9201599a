"""The audit trail that the runtime keeps: 21 CFR 11.10(e), 11.50, 11.70 (DOMAIN rules 26 to 28)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from consensus.primitives.crypto import sha256
from consensus.primitives.errors import InputError
from consensus.receipt import Event, Receipt
from contracts.runtime.audit import NO_RECORD
from contracts.runtime.registry import builtin_registry
from contracts.runtime.session import OUTPUT_SIZE_MAX
from contracts.sdk.testkit import Refused, Testkit
from contracts.sdk.values import plain

PAPERS = '''"""Papers that are written, changed and thrown away."""

from __future__ import annotations

from typing import Any

from contracts.sdk import (
    Contract, ContractError, Counter, Index, Map, Record, call, query, refuse, timed
)


class Paper(Record):
    owner: str
    text: str


class Papers(Contract):
    """Papers."""

    name = "papers"
    audited = True

    papers = Map(Paper, key=("id",), hashed=("id",))
    owned = Index(papers, on=("owner",))
    pages = Map(str, key=("id", "number"))
    log = Map(str, key=("number",), audited=False)
    count = Counter()

    @call
    def write(self, id: str, text: str) -> int:
        """Write a paper."""
        self.papers.put(id, Paper(self.ctx.organisation, text))
        self.log.put(self.count.add(), id)
        self.emit("Wrote", id=id)
        return self.count.value

    @call(meaning="approval")
    def page(self, id: str, number: int, text: str) -> None:
        """Add a page."""
        self.pages.put((id, number), text)

    @call(meaning="responsibility")
    def burn(self, id: str) -> None:
        """Throw a paper away."""
        self.papers.delete(id)

    @call
    def twice(self, id: str) -> None:
        """Written over and over: one change."""
        for number in range(5):
            self.papers.put(id, Paper("x", str(number)))

    @call
    def same(self, id: str) -> None:
        """Written as it was."""
        paper = self.papers.get(id)
        self.papers.put(id, paper)

    @call
    def failing(self, id: str) -> None:
        """Refused after writing."""
        self.papers.put(id, Paper("x", "y"))
        refuse("NO_PAPER", "no")

    @call
    def several(self, first: int, last: int) -> None:
        """Many pages at once."""
        for number in range(first, last):
            self.pages.put(("all", number), "text")

    @call
    def later(self, id: str) -> None:
        """Burn it after a second."""
        self.due(self.ctx.time_ms + 1_000, "burn_by_itself", id=id)

    @timed
    def burn_by_itself(self, id: str) -> None:
        """The time has come."""
        self.papers.delete(id)

    @call
    def lie(self) -> None:
        """Tell of what never was."""
        self.emit("Written", key=b"")

    @query
    def paper(self, id: str) -> Paper | None:
        """A paper."""
        return self.papers.get(id)
'''
DESK = '''"""A desk where papers are written by another contract."""

from __future__ import annotations

from contracts.sdk import Contract, ContractError, Map, call


class Desk(Contract):
    """A desk."""

    name = "desk"
    AUDITED

    used = Map(int, key=("id",))

    @call(meaning="review")
    def write(self, id: str) -> None:
        """By the papers contract."""
        self.used.put(id, 1)
        self.invoke("papers", "write", id=id, text="by the desk")
        try:
            self.invoke("papers", "failing", id="never")
        except ContractError:
            self.used.put("refused", 1)
'''
ACME_KEY = "9521321000027"


def made(tmp_path: Path, *, desk_audited: bool = True) -> Testkit:
    (tmp_path / "papers.py").write_text(PAPERS)
    text = DESK.replace("AUDITED", "audited = True" if desk_audited else "")
    (tmp_path / "desk.py").write_text(text)
    kit = Testkit.of("papers.py", "desk.py", root=tmp_path)
    kit.organisation("acme", roles=("manufacturer",))
    return kit


@pytest.fixture
def kit(tmp_path: Path) -> Testkit:
    return made(tmp_path)


def changes(event: Event) -> list[tuple[str, Any, str, str]]:
    """(contract.map, key, old hash, new hash) of each record, hashes short, "" for none."""
    found = []
    for group in event.fields["records"]:
        for index, key in enumerate(group["keys"]):
            pair = []
            for name in ("old", "new"):
                one = group[name][32 * index : 32 * index + 32]
                pair.append("" if one == NO_RECORD else one.hex())
            found.append((f"{group['contract']}.{group['map']}", key, *pair))
    return found


def stored(kit: Testkit, contract: str, map_: str) -> list[str]:
    """SHA-256 of the bytes of every record of a map."""
    head = f"{contract}\0{map_}\0".encode()
    values = kit._state.values
    return sorted(sha256(raw).hex() for key, raw in values.items() if key.startswith(head))


def test_rule_28_the_trail_says_who_what_why_and_when(kit: Testkit) -> None:
    kit.as_("acme").call("papers", "write", id="p1", text="one")
    (hash_,) = stored(kit, "papers", "papers")
    event = kit.trail[-1]
    assert (event.contract, event.name) == ("papers", "Written")
    assert {name: event.fields[name] for name in event.fields if name != "records"} == {
        "call": 0,
        "key": kit.public_key("acme"),
        "meaning": "authorship",
        "method": "write",
        "organisation": kit.id("acme"),
        "roles": ["corporate_admin", "manufacturer"],
        "time": kit.time_ms,
    }
    (count,) = stored(kit, "papers", "count")
    assert changes(event) == [("papers.papers", "p1", "", hash_), ("papers.count", [], "", count)]


def test_rule_28_creating_changing_and_deleting_are_told_and_old_values_not_obscured(
    kit: Testkit,
) -> None:
    acme = kit.as_("acme")
    acme.call("papers", "page", id="p1", number=7, text="one")
    (first,) = stored(kit, "papers", "pages")
    acme.call("papers", "page", id="p1", number=7, text="two")
    (second,) = stored(kit, "papers", "pages")
    assert first != second
    acme.call("papers", "write", id="p1", text="one")
    (paper,) = stored(kit, "papers", "papers")
    acme.call("papers", "burn", id="p1")
    created, changed, _, deleted = kit.trail[-4:]
    assert changes(created) == [("papers.pages", ["p1", 7], "", first)]
    assert changes(changed) == [("papers.pages", ["p1", 7], first, second)]
    assert changes(deleted) == [("papers.papers", "p1", paper, "")]


def test_rule_28_nobody_but_the_runtime_writes_the_trail(kit: Testkit) -> None:
    kit.as_("acme").refused("EVENT_NAME", "papers", "lie")


def test_what_is_not_changed_in_the_end_is_not_told(kit: Testkit) -> None:
    acme = kit.as_("acme")
    acme.call("papers", "write", id="p1", text="one")
    before = len(kit.trail)
    acme.call("papers", "same", id="p1")
    acme.refused("NO_PAPER", "papers", "failing", id="p2")
    assert len(kit.trail) == before
    acme.call("papers", "twice", id="p3")
    assert [key for _, key, _, _ in changes(kit.trail[-1])] == ["p3"]


def test_each_call_of_a_transaction_has_its_own_event(kit: Testkit) -> None:
    kit.as_("acme").calls(
        ("papers", "write", {"id": "a", "text": "1"}),
        ("papers", "same", {"id": "a"}),
        ("papers", "write", {"id": "a", "text": "2"}),
    )
    first, second = kit.trail[-2:]
    assert (first.fields["call"], second.fields["call"]) == (0, 2)
    assert changes(first)[0][3] == changes(second)[0][2] != ""
    assert [one.name for one in kit.last.events] == ["Wrote", "Written", "Wrote", "Written"]


@pytest.mark.parametrize("desk_audited", [True, False])
def test_writes_of_invoked_contracts_stand_in_the_call_s_event(
    tmp_path: Path, desk_audited: bool
) -> None:
    kit = made(tmp_path, desk_audited=desk_audited)
    kit.as_("acme").call("desk", "write", id="p1")
    event = kit.trail[-1]
    assert (event.contract, event.fields["method"], event.fields["meaning"]) == (
        "desk", "write", "review",
    )  # fmt: skip
    names = [(record, key) for record, key, _, _ in changes(event)]
    papers: list[tuple[str, Any]] = [("papers.papers", "p1"), ("papers.count", [])]
    desk: list[tuple[str, Any]] = [("desk.used", "p1"), ("desk.used", "refused")]
    assert sorted(names, key=str) == sorted(papers + desk if desk_audited else papers, key=str)
    assert [one.name for one in kit.last.events].count("Written") == 1


def test_what_runs_by_itself_is_the_contract_s_own_doing(kit: Testkit) -> None:
    acme = kit.as_("acme")
    acme.call("papers", "write", id="p1", text="one")
    acme.call("papers", "later", id="p1")
    kit.advance(seconds=5)
    event = kit.trail[-1]
    assert (event.contract, event.fields["method"]) == ("papers", "burn_by_itself")
    assert (event.fields["key"], event.fields["organisation"]) == (b"", "")
    assert (event.fields["roles"], event.fields["meaning"]) == ([], "")
    assert [change[1] for change in changes(event)] == ["p1"]
    kit.replay()


def test_its_size_is_counted_by_the_rule_for_all_events(kit: Testkit) -> None:
    """What `take` is told by hand is what the walk over the values finds."""
    acme = kit.as_("acme")
    acme.call("papers", "write", id="é" * 40, text="one")
    acme.calls(("papers", "page", {"id": "p", "number": 2**40, "text": "x"}), steps_max=10**6)
    for event in kit.trail[-2:]:
        told: list[int] = []
        from contracts.runtime import audit

        written = {}
        for number, (record, key, _, _) in enumerate(changes(event)):
            contract, map_ = record.split(".")
            named = tuple(key) if type(key) is list else key
            written[bytes([number])] = (contract, map_, named, None)
        declared = kit.registry.get("papers")
        assert declared is not None
        method = declared.methods[event.fields["method"]]
        ctx = kit._context

        class Told:
            caller = event.fields["key"]
            organisation = event.fields["organisation"]
            roles = tuple(event.fields["roles"])
            time_ms = ctx.time_ms

        meter = kit.registry.meter
        meter.start(10**6)
        again = audit.written_event(
            Told(),  # type: ignore[arg-type]
            "papers",
            method,
            0,
            written,
            dict.fromkeys(written, b"x"),
            meter,
            told.append,
        )
        assert again is not None
        assert told == [plain(again.fields)[1]]


def test_more_records_of_a_map_than_a_list_holds_stand_in_two_groups(kit: Testkit) -> None:
    kit.as_("acme").call("papers", "several", first=0, last=1_000)
    acme = kit.as_("acme")
    acme.calls(("papers", "several", {"first": 2_000, "last": 3_100}), steps_max=10_000_000)
    groups = kit.trail[-1].fields["records"]
    assert [len(group["keys"]) for group in groups] == [1_024, 76]
    assert Receipt.decode(kit.last.raw) == kit.last


def test_an_event_too_large_is_refused_and_nothing_written(kit: Testkit) -> None:
    with pytest.raises(Refused) as caught:
        kit.as_("acme").calls(("papers", "several", {"first": 0, "last": 3_500}), steps_max=2**40)
    assert caught.value.code == "OUTPUT_TOO_LARGE"
    assert stored(kit, "papers", "pages") == []


def test_it_is_paid_for_in_steps(tmp_path: Path) -> None:
    kit = made(tmp_path)
    kit.as_("acme").call("papers", "page", id="p", number=1, text="x" * 1_000)
    audited = kit.last.steps_used
    (tmp_path / "papers.py").write_text(PAPERS.replace("    audited = True\n", ""))
    plain_kit = Testkit.of("papers.py", root=tmp_path)
    plain_kit.organisation("acme", roles=("manufacturer",))
    plain_kit.as_("acme").call("papers", "page", id="p", number=1, text="x" * 1_000)
    event = kit.trail[-1]
    price = 500 + 300 + (1_000 + 3) // 8 + 4 * plain(event.fields)[1] + 500
    assert audited - plain_kit.last.steps_used == price


@pytest.mark.parametrize("item", ["lot", "serial"])
def test_an_event_of_400_items_still_fits(item: str) -> None:
    kit = Testkit.of(builtin=("identity", "governance", "usage", "batch"))
    kit.organisation("maker", roles=("manufacturer",))
    kit.organisation("shop", roles=("dispenser",))
    gtin = "09521321000018"
    kind = {"lot": "10", "serial": "21"}[item]
    things: list[dict[str, Any]] = []
    for number in range(400):
        thing: dict[str, Any] = {"item": f"01/{gtin}/{kind}/{number:020}"}
        if item == "lot":
            thing["quantity"] = {"amount": 10, "unit": "EA"}
        things.append(thing)
    named = [{"item": one["item"]} for one in things]
    shop, sender = kit.id("shop"), kit.id("maker")
    for name, method, args in (
        ("maker", "commission", {"items": things}),
        ("maker", "ship", {"items": things, "consignee": shop}),
        ("shop", "receive", {"items": named, "sender": sender}),
        ("shop", "quarantine", {"items": things}),
        ("shop", "release", {"items": things}),
        ("shop", "dispense", {"items": things}),
    ):
        kit.as_(name).calls(("batch", method, args), steps_max=10_000_000)
        size = sum(plain(event.fields)[1] for event in kit.last.events)
        records = sum(len(group["keys"]) for group in kit.trail[-1].fields["records"])
        assert records >= 400
        assert size < OUTPUT_SIZE_MAX


def test_rule_28_every_contract_that_comes_with_the_chain_is_audited() -> None:
    assert [module.name for module in builtin_registry() if not module.layout.audited] == []


# --- electronic signatures -----------------------------------------------------------------------


def employed(kit: Testkit) -> bytes:
    """acme's administrator as a person with a key of her own; returns the name's commitment."""
    acme = kit.as_("acme")
    name = kit.commit("Ada Lovelace")
    acme.call("identity", "add_user", id="A1", name=name.commitment)
    kit.key("ada", of="acme", user="A1")
    return name.commitment


def test_rule_26_a_signature_has_printed_name_time_and_meaning(kit: Testkit) -> None:
    name = employed(kit)
    record = sha256(b"a record")
    for meaning in ("review", "approval", "responsibility", "authorship"):
        kit.as_("ada").call("identity", "sign_record", record_hash=record, meaning=meaning)
    found = kit.query("identity", "signatures", record_hash=record)
    meanings = ["review", "approval", "responsibility", "authorship"]
    assert [one["meaning"] for one in found] == meanings
    assert {one["name"] for one in found} == {name}
    assert [one["time"] for one in found] == sorted(one["time"] for one in found)
    told = [event for event in kit.events if event.name == "RecordSigned"][-1].fields
    assert (told["name"], told["key"]) == (name, kit.public_key("ada"))
    kit.as_("ada").refused(
        "BAD_ARGUMENT", "identity", "sign_record", record_hash=record, meaning="liking"
    )


def test_rule_26_a_call_s_signature_means_what_the_method_declares(
    kit: Testkit, tmp_path: Path
) -> None:
    schema = kit.registry.schema()["papers"]["methods"]
    assert [schema[name]["meaning"] for name in ("write", "page", "burn", "paper")] == [
        "authorship", "approval", "responsibility", "",
    ]  # fmt: skip
    (tmp_path / "papers.py").write_text(PAPERS.replace('"approval"', '"liking"'))
    with pytest.raises(InputError, match="a signature means one of"):
        Testkit.of("papers.py", root=tmp_path)


def test_rule_27_a_signature_covers_the_record_s_hash_and_cannot_be_moved(kit: Testkit) -> None:
    employed(kit)
    kit.as_("ada").call("papers", "page", id="p", number=1, text="one")
    (record,) = stored(kit, "papers", "pages")
    kit.as_("ada").call(
        "identity", "sign_record", record_hash=bytes.fromhex(record), meaning="approval"
    )
    kit.as_("ada").call("papers", "page", id="p", number=1, text="two")
    assert changes(kit.trail[-1])[0][2] == record
    (changed,) = stored(kit, "papers", "pages")
    signed = kit.query("identity", "signatures", record_hash=bytes.fromhex(record))
    assert [one["record"].hex() for one in signed] == [record]
    assert kit.query("identity", "signatures", record_hash=bytes.fromhex(changed)) == []
    kit.as_("ada").refused(
        "ALREADY_SIGNED",
        "identity",
        "sign_record",
        record_hash=bytes.fromhex(record),
        meaning="approval",
    )


def test_rule_27_a_key_is_one_person_s_and_a_machine_s_key_signs_nothing(kit: Testkit) -> None:
    employed(kit)
    kit.as_("acme").refused(
        "NO_PERSON", "identity", "sign_record", record_hash=bytes(32), meaning="review"
    )
    kit.as_("acme").refused(
        "KEY_KNOWN",
        "identity",
        "add_key",
        key=kit.public_key("ada"),
        label="again",
        roles=[],
        user="A1",
    )


def test_the_attribute_is_true_or_false(tmp_path: Path) -> None:
    text = PAPERS.replace("audited = True", 'audited = "yes"')
    (tmp_path / "papers.py").write_text(text)
    with pytest.raises(InputError, match="audited is True or False"):
        Testkit.of("papers.py", root=tmp_path)
