"""`hansa report`: from a replay up to a height, the same bytes whoever makes it and when."""

from __future__ import annotations

import json
import re
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from cli.client import ClientError
from cli.report import _State, as_json, as_pdf, at_height, make_report, names_of, whole_recall
from cli.report_layout import (
    DAY,
    DSCSA_REQUEST,
    INNER,
    RECALL,
    TIME,
    Field,
    Layout,
    Part,
    cell_text,
)
from cli.report_pdf import make_pdf
from consensus.primitives.codec import data_from_json, data_to_json
from consensus.primitives.errors import InputError
from contracts.runtime.executor import run_query
from contracts.sdk.fields import CalendarDate, Moment
from contracts.sdk.records import plan_of
from contracts.supply import dscsa_records, recall_records
from tests.cli.test_audit import LOT, Made, some
from tests.contracts.test_dscsa import ask, decide, ship, small_world, suspect
from tests.sim.world import EPOCH_MS, GLN

FACTS = {"chain_id": "c", "height": 7, "block": "ab" * 32, "time": "t", "time_ms": EPOCH_MS}


@pytest.fixture(scope="module")
def recalled() -> Made:
    """A lot, two days later its recall, and its widening a day after that."""
    made = Made()
    made.call("batch", "commission", items=[some(LOT, 10)])
    made.call("batch", "commission", items=[some("01/09521321000018/10/L2", 10)])
    announcement = {"product": "Tablets <b>50 mg</b> \u85ac", "reason": "Dissolution & more"}
    made.call("recall", "initiate", announcement=announcement, items=[{"item": LOT}])
    made.call(
        "recall", "widen", number=1, reason="L2 too", items=[{"item": "01/09521321000018/10/L2"}]
    )
    assert made.codes == ["OK"] * 4
    return made


def report(made: Made, height: int, number: int = 1) -> dict[str, Any]:
    return make_report(
        made.source(), height, f"Recall {number}", "recall", "report", {"number": number},
        lambda _line: None,
    )  # fmt: skip


def test_a_report_is_as_of_its_height_and_reproducible(recalled: Made) -> None:
    first, again, later = report(recalled, 3), report(recalled, 3), report(recalled, 4)
    assert as_json(first) == as_json(again) and as_pdf(first) == as_pdf(again)
    assert (first["answer"]["recall"]["widenings"], later["answer"]["recall"]["widenings"]) == (
        0, 1,
    )  # fmt: skip
    header = recalled.source().sealed(3).block.header
    assert first["state_root"] == header.state_root.hex()
    assert first["block"] == header.digest.hex()
    assert first["organisations"] == {GLN: "Maker"}
    assert set(json.loads(as_json(first))) == {
        "format", "title", "chain_id", "height", "block", "time", "state_root", "query",
        "answer", "organisations",
    }  # fmt: skip


def test_no_clock_of_this_machine_is_in_the_file(
    recalled: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = report(recalled, 3)
    before = as_pdf(made)
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1")
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    monkeypatch.setattr("time.time", lambda: 1.0)
    assert as_pdf(made) == before
    day = made["time"][:10].replace("-", "").encode()
    dates = re.findall(rb"/(?:CreationDate|ModDate) \(D:(\d{8})", before)
    assert dates == [day, day]


def test_what_one_query_does_not_give_is_asked_for_page_by_page(recalled: Made) -> None:
    """The same as in one answer where that was whole."""
    made = report(recalled, 4)

    def cut(answer: dict[str, Any], state: Any) -> dict[str, Any]:
        assert answer["complete"] is False
        few = {**answer, "scope": [], "totals": [], "by_holder": [], "by_day": []}
        return whole_recall(few, state)

    found = at_height(
        recalled.source(),
        4,
        lambda chain: cut(
            {**data_from_json(made["answer"]), "complete": False},
            _State(4, partial(_ask, chain)),
        ),
        lambda _line: None,
    )
    assert data_to_json(found) == made["answer"]
    assert len(made["answer"]["scope"]) == 2 and len(made["answer"]["by_holder"]) == 2


def _ask(chain: Any, contract: str, method: str, args: dict[str, Any]) -> Any:
    return run_query(chain.registry, chain.state, chain.block_context(), contract, method, args)


def test_what_was_not_there_yet_is_no_report(recalled: Made) -> None:
    with pytest.raises(ClientError, match="REPORT_UNKNOWN"):
        report(recalled, 2)
    with pytest.raises(InputError) as caught:
        make_report(recalled.source(), 3, "x", "recall", "nothing", {}, lambda _line: None)
    assert caught.value.code == "UNKNOWN_METHOD"


def test_other_letters_are_told_by_number_and_markup_is_text(recalled: Made) -> None:
    made = report(recalled, 3)
    assert "\u85ac" in as_json(made).decode()
    pdf = as_pdf(made)
    assert rb"u85ac" in pdf and b"50 mg" in pdf and b"(<) Tj (/b) Tj" in pdf


def test_tables_that_are_long_or_wide_are_printed_whole() -> None:
    rows = [{f"column_{column}": row for column in range(12)} for row in range(40)]
    many = [{"item": f"LOT-{row}", "amount": row} for row in range(700)]
    answer = {"wide": rows, "many": many, "none": [], "deep": {"a": {"b": 1}}}
    layout = (Part("wide", "Wide", tuple(map(Field, rows[0]))), Part("many", "Many"))
    pdf = make_pdf("Much", FACTS, answer, layout, {})
    assert b"LOT-699" in pdf and b"Column 11" in pdf
    assert pdf.count(b"/Type /Page\n") > 10
    assert "Deep A: B: 1" in printed(pdf)  # what no layout knows is not lost


def printed(pdf: bytes) -> str:
    """The words of a PDF in the order in which they are printed."""
    texts = re.findall(rb"\(((?:[^()\\]|\\.)*)\) Tj", pdf)
    return " ".join(" ".join(one.decode("cp1252") for one in texts).split())


def require_order(text: str, order: list[str]) -> None:
    at = 0
    for one in order:
        assert one in text[at:], f"{one} is missing, or stands too early"
        at = text.index(one, at) + len(one)


def test_times_and_days_are_for_people() -> None:
    assert cell_text(1_780_000_000_000, TIME) == "2026-05-28 20:26:40 UTC"
    assert cell_text(20260528, DAY) == cell_text("20260528", DAY) == "2026-05-28"
    assert cell_text(0, TIME) == cell_text(0, DAY) == cell_text([]) == cell_text(None) == ""
    assert cell_text(1_780_000_000_000) == "1780000000000"  # an amount is an amount
    assert cell_text({"amount": 5, "unit": "EA"}) == "5 EA"
    assert cell_text([True, {"hex": "ab"}]) == "yes, ab"


def test_a_recall_s_report_reads_as_the_business_document(recalled: Made) -> None:
    made = report(recalled, 4)
    text = printed(as_pdf(made))
    order = [
        "What is recalled, and why", "Product", "Kind", "Reason", "Recalling firm", "State",
        "Class", "Initiated on", "Drafted at", "Goods recalled", "Widenings",
        "What became of it", "Lots by holder", "By day of recording", "Notices",
        "Returned or destroyed", "Organisations",
    ]  # fmt: skip
    require_order(text, order)
    recall = made["answer"]["recall"]
    for at in (recall["initiated_at"], made["answer"]["widenings"][0]["at"]):
        assert cell_text(at, TIME) in text
    assert not re.search(r"\b(1\d{12}|20\d{6})\b", text), "raw milliseconds or days"
    assert "Further" not in text and "Walk position" not in text


def test_a_recall_s_report_has_lots_by_holder(recalled: Made) -> None:
    made = report(recalled, 4)
    figures = dict.fromkeys(("received", "sent_on", "destroyed", "consumed", "left"), 0)
    of = {"product": LOT[3:17], "unit": "EA", **figures}
    made["answer"]["by_holder"] = [
        {**of, "lot": "L2", "holder": "9521432000013", "left": 7},
        {**of, "lot": "L1", "holder": "9521543000018"},
        {**of, "lot": "L1", "holder": "9521432000013", "left": 40},
    ]
    text = printed(as_pdf(made))
    rows = text[text.index("Lots by holder") : text.index("By day of recording")]
    held = re.findall(r"(9521\d{9}) 09521321000018 (L\d) EA 0 0 0 0 (\d+)", rows)
    assert held == [
        ("9521432000013", "L1", "40"), ("9521432000013", "L2", "7"), ("9521543000018", "L1", "0"),
    ]  # fmt: skip


def test_a_dscsa_request_s_report_reads_as_the_business_document() -> None:
    kit = small_world()
    first = ship(kit)
    number = ask(kit, "wholesaler", purpose="RECALL")
    kit.as_("wholesaler").call("dscsa", "respond", request=number)
    decide(kit, suspect(kit), "ILLEGITIMATE")
    kit.as_("wholesaler").call("dscsa", "notify", case=1, regulator=kit.id("fda"))
    answer = data_to_json(kit.query("dscsa", "request_report", request=number))
    made = {**FACTS, "title": "DSCSA request", "query": "dscsa.request_report", "state_root": "r"}
    made |= {"answer": answer, "organisations": {kit.id("maker"): "maker"}}
    text = printed(as_pdf(made))
    order = [
        "Product identifier", "Gtin", "Serial", "Request", "Item", "Lot", "Expiry", "Requester",
        "Asked", "Requested at", "To be answered by", "Answered at", "Kept at least until",
        "Verification now", "VERIFIED", f"Transactions: {first}", "Date of the transaction",
        "Seller", "Buyer", "Transaction statement asserts", "AUTHORISED", "Packages",
        "Suspect and illegitimate product", "Reporter", "Grounds", "Partners told",
    ]  # fmt: skip
    require_order(text, order)
    request = answer["request"]
    for value, form in (
        (request["expiry"], DAY), (request["retain_until"], DAY), (request["answer_by"], TIME),
    ):  # fmt: skip
        assert cell_text(value, form) in text
    assert not re.search(r"\b(1\d{12}|20\d{6})\b", text), "raw milliseconds or days"
    assert "Further" not in text and "Deadline" not in text


@pytest.mark.parametrize(
    ("layout", "path", "record"),
    [
        (RECALL, "announcement", recall_records.Announcement),
        (RECALL, "recall", recall_records.Recall),
        (RECALL, "classifications", recall_records.Classification),
        (RECALL, "widenings", recall_records.Widening),
        (RECALL, "notices", recall_records.Notice),
        (RECALL, "returns", recall_records.Return),
        (RECALL, "consents", recall_records.Consent),
        (DSCSA_REQUEST, "request", dscsa_records.Request),
        (DSCSA_REQUEST, "transactions", dscsa_records.Transaction),
        (DSCSA_REQUEST, "cases", dscsa_records.Case),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_every_field_of_a_record_has_its_place_and_its_type(
    layout: Layout, path: str, record: Any
) -> None:
    """Moments and days by the schema, and where it has but numbers by the contracts' names."""
    (part,) = [one for one in layout if one.path == path]
    forms = {one.path.removeprefix("record."): one.form for one in part.fields}
    fields = plan_of(record).fields
    known = {name.partition(".")[0] for name in forms}
    assert set(fields) - known - INNER == set()
    for name, kind in fields.items():
        if isinstance(kind, Moment) or name.endswith("_at") or name == "at":
            assert forms[name] == TIME, name
        elif (
            isinstance(kind, CalendarDate)
            or name.endswith(("_on", "day"))
            or name == "retain_until"
        ):
            assert forms[name] == DAY, name


def test_organisations_are_found_wherever_their_ids_stand() -> None:
    asked: list[str] = []

    def ask(_contract: str, _method: str, args: dict[str, Any]) -> Any:
        asked.append(args["id"])
        if args["id"] == "NOT-AN-ID":
            raise InputError("BAD_ARGUMENT", "no id")
        return {"name": "Maker"} if args["id"] == GLN else None

    answer = {"a": [{"by": GLN}], GLN: 1, "text": "a text that is no id", "b": "12345678"}
    assert names_of(answer, ask) == {GLN: "Maker"}
    assert asked == [GLN, "12345678"]


def test_a_file_is_never_overwritten(tmp_path: Path, hansa: Any) -> None:
    out = tmp_path / "x.pdf"
    out.write_text("")
    assert hansa("report", "recall", 1, "--out", out).error == "FILE_EXISTS"
