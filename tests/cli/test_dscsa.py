"""`hansa dscsa`: a sale with its information, a request, an answer, and what the asker finds."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from cli.dscsa import identifier
from cli.dscsa_answers import ASSERTIONS, check_answer, differences
from cli.network import Network
from consensus.primitives.errors import InputError
from contracts.sdk.fields import field_of
from contracts.supply.dscsa_records import ASSERTIONS as CODES
from contracts.supply.dscsa_records import TransactionInformation
from tests.cli.support import Hansa, Outcome

MAKER, WHOLESALER, PHARMACY = "9521321000018", "9521432000013", "9521543000018"
REGULATOR = "9521654000013"
GTIN = "00361414567894"
SERIAL = f"01/{GTIN}/21/S1"
LABEL = f"(01){GTIN}(21)S1(17)271231(10)A1"
INFORMATION: dict[str, Any] = {
    "products": [
        {
            "name": "Xanomelin", "strength": "20 mg/1", "dosage_form": "TABLET",
            "ndc": "6141-4567-89", "container_size": "30 tablets", "containers": 1,
            "lots": ["A1"],
        }
    ],
    "seller": {"name": "Hanse Pharma Inc.", "address": "1 Harbor Road, Newark NJ"},
    "buyer": {"name": "Kontor Wholesale", "address": "2 Canal Street, New York NY"},
}  # fmt: skip


class World:
    """A maker with a serial who sells by the DSCSA, a wholesaler and a pharmacy."""

    def __init__(self, hansa: Hansa, network: Network) -> None:
        self.hansa = hansa
        self.network = network
        for name, kind, authority in (
            (MAKER, "MANUFACTURER", "US"),
            (WHOLESALER, "WHOLESALER", "US-NJ"),
            (PHARMACY, "DISPENSER", "US-NY"),
        ):
            self.ok(
                REGULATOR, "call", "dscsa", "grant_licence", f"organisation={name}",
                f"kind={kind}", f"authority={authority}", "reference=LIC-4711",
                "valid_from=2020-01-01", "valid_until=2090-12-31",
            )  # fmt: skip
        self.ok(
            MAKER, "call", "batch", "commission", f'items=[{{"item": "{SERIAL}"}}]',
            "lot=A1", "expiry=2027-12-31",
        )  # fmt: skip
        self.ok(REGULATOR, "call", "batch", "set_policy", "dscsa=true")

    def run(self, who: str, *words: object) -> Outcome:
        return self.hansa(*words, "--key", self.network.organisation_key(who), "--json")

    def ok(self, who: str, *words: object) -> Any:
        outcome = self.run(who, *words)
        assert outcome.code == 0, outcome.err + outcome.out
        return outcome.json

    def information(self, **fields: Any) -> Path:
        day = self.hansa.json("query", "dscsa", "authorised", f"organisation={MAKER}")
        number = str(day["result"]["day"])
        date = f"{number[:4]}-{number[4:6]}-{number[6:]}"
        path = Path("ti.json")
        path.write_text(json.dumps({**INFORMATION, "transaction_date": date, **fields}))
        return path

    def sell(self, **fields: Any) -> int:
        sold = self.ok(
            MAKER, "dscsa", "sell", self.information(**fields), "--item", SERIAL,
            "--buyer", WHOLESALER, "--state", "--openings", "maker",
        )  # fmt: skip
        self.ok(WHOLESALER, "call", "batch", "receive", f'items=[{{"item": "{SERIAL}"}}]')
        number: int = sold["transaction"]
        return number

    def request(self, asked: str = MAKER) -> int:
        words = ("dscsa", "request", LABEL, "--of", asked, "--purpose", "suspect")
        number: int = self.ok(PHARMACY, *words)["request"]
        return number


@pytest.fixture
def world(hansa: Hansa, network: Network, url: str) -> World:
    return World(hansa, network)


def test_a_label_is_a_product_identifier() -> None:
    found = {"item": SERIAL, "lot": "A1", "expiry": "2027-12-31"}
    assert identifier(LABEL, 2026) == found
    scanned = f"01{GTIN}21S1\x1d1727123110A1"
    assert identifier(scanned, 2026) == found
    last = identifier(f"(01){GTIN}(17)280200(10)A1", 2026)
    assert last == {"item": f"01/{GTIN}/10/A1", "lot": "A1", "expiry": "2028-02-29"}
    for wrong in (
        LABEL[:-7],
        "(17)271231",
        "",
        LABEL.replace("7894", "7895"),
        LABEL + "(17)280101",
    ):
        with pytest.raises(InputError, match="BAD_ARGUMENT"):
            identifier(wrong, 2026)


def test_the_help_has_an_example_of_the_information_that_is_sold_with(hansa: Hansa) -> None:
    text = hansa("dscsa", "sell", "--help").out
    example = text[text.index("{") : text.rindex("}") + 1]
    assert field_of(TransactionInformation).check(json.loads(example))


def test_every_assertion_of_the_statement_has_its_words() -> None:
    assert tuple(ASSERTIONS) == CODES


def test_a_package_is_sold_asked_for_answered_and_checked(world: World, url: str) -> None:
    hansa, sold = world.hansa, world.sell()
    assert hansa.json("dscsa", "verify", LABEL)["status"] == "VERIFIED"
    for label, status in (
        (LABEL.replace("A1", "A2"), "DIFFERS"), (LABEL.replace("S1", "S9"), "UNKNOWN"),
    ):  # fmt: skip
        verified = hansa("dscsa", "verify", label)
        assert status in verified.out and verified.code == 1
    number = world.request()
    answered = world.ok(
        MAKER, "dscsa", "respond", number, "--out", "answer.json", "--openings", "maker"
    )
    assert (answered["transactions"], answered["not_opened"]) == ([sold], [])
    shown = hansa.json("dscsa", "show", number, "--answer", "answer.json")
    (checked,) = shown["checked"]
    assert checked["code"] == "OK"
    assert checked["value"]["seller"]["name"] == "Hanse Pharma Inc."
    assert shown["ndc"] == "6141456789"
    told = hansa("dscsa", "show", number, "--answer", "answer.json").out
    assert "Xanomelin 20 mg/1 TABLET" in told and "VERIFIED" in told
    # Who has the answer can pass it on.
    again = world.request(WHOLESALER)
    Path("wholesaler").mkdir()
    Path("wholesaler/from-maker.json").write_bytes(Path("answer.json").read_bytes())
    onward = world.ok(
        WHOLESALER, "dscsa", "respond", again, "--out", "onward.json", "--openings", "wholesaler"
    )
    assert onward["not_opened"] == []
    assert hansa("dscsa", "show", again, "--answer", "onward.json").code == 0


def test_an_answer_that_does_not_hold_is_found_out(world: World) -> None:
    sold = world.sell(transaction_date="2026-01-01")  # a lie of the seller's
    number = world.request()
    world.ok(MAKER, "dscsa", "respond", number, "--out", "answer.json", "--openings", "maker")
    outcome = world.hansa("dscsa", "show", number, "--answer", "answer.json")
    assert (outcome.code, outcome.error) == (4, "INFORMATION_DIFFERS")
    raw = Path("answer.json").read_bytes()
    Path("answer.json").write_bytes(raw.replace(b"Hanse", b"Hense"))
    outcome = world.hansa("dscsa", "show", number, "--answer", "answer.json")
    assert outcome.error == "ANSWER_DIFFERS"
    # Without a hash on the chain, the commitments still tell.
    answer = json.loads(raw.replace(b"Hanse", b"Hense"))
    commitment = bytes.fromhex(answer["transactions"][0]["opening"]["commitment"])
    record = {"information": commitment, "day": 20260101, "shipment_day": 0, "exemption": ""}
    entry = {"number": sold, "record": record, "lines": []}
    report = {"number": number, "request": {"document": None}, "transactions": [entry]}
    (row,) = check_answer(json.dumps(answer).encode(), report)
    assert row["code"] == "OPENING_WRONG"
    (row,) = check_answer(raw, report)
    assert row["code"] == "OK"
    for wrong in (b"", b"{}", b"[]", raw.replace(b"answer/1", b"answer/2")):
        with pytest.raises(InputError, match="ANSWER_INVALID"):
            check_answer(wrong, report)


def test_what_nobody_can_open_is_said(world: World) -> None:
    sold = world.sell()
    number = world.request(WHOLESALER)
    answered = world.ok(
        WHOLESALER, "dscsa", "respond", number, "--out", "answer.json", "--openings", "empty"
    )
    assert answered["not_opened"] == [sold]
    outcome = world.hansa("dscsa", "show", number, "--answer", "answer.json")
    assert outcome.error == "NOT_OPENED"


def test_information_and_chain_are_compared() -> None:
    information = {**INFORMATION, "transaction_date": 20260528}
    record = {"day": 20260528, "shipment_day": 0}
    line = {"item": SERIAL, "lot": "A1"}
    assert differences(information, record, [line]) == []
    assert differences(information, {**record, "day": 20260529}, [line])
    assert differences(information, {**record, "shipment_day": 20260601}, [line])
    assert "lot A2" in differences(information, record, [{**line, "lot": "A2"}])[0]
    other = {**line, "item": "01/00361414567887/21/S1"}
    assert "NDC 6141456788" in differences(information, record, [other])[0]


def test_a_statement_is_made_by_intention_and_shown_in_words(world: World) -> None:
    less = ("dscsa", "sell", world.information(), "--item", SERIAL, "--buyer", WHOLESALER)
    refused = world.run(MAKER, *less)
    assert refused.code == 1 and "STATEMENT_INCOMPLETE" in refused.err
    number = world.sell()
    shown = world.hansa("dscsa", "statement", number).out
    assert shown.count("\n  ") == 7
    assert "did not knowingly alter the transaction history" in shown
    found = world.hansa.json("dscsa", "statement", number)
    assert [one["code"] for one in found["statement"]] == list(CODES)
    assert len(world.hansa.json("dscsa", "statement")) == 7
    for command in ("statement", "show", "respond"):
        assert world.hansa("dscsa", command, 99, "--json").error == "NOT_FOUND"


def test_information_that_lacks_an_element_is_not_sent(world: World) -> None:
    path = world.information()
    whole = json.loads(path.read_text())
    del whole["products"][0]["strength"]
    path.write_text(json.dumps(whole))
    words = ("dscsa", "sell", path, "--item", SERIAL, "--buyer", WHOLESALER, "--state")
    outcome = world.run(MAKER, *words)
    assert (outcome.code, outcome.error) == (4, "BAD_ARGUMENT")
    assert "strength" in outcome.err
    path.write_bytes(json.dumps(whole).encode("utf-16"))
    outcome = world.run(MAKER, *words)
    assert (outcome.code, outcome.error) == (4, "FILE_NOT_READABLE")
