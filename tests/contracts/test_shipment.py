"""Shipments (DOMAIN section 4, rules 47 and 48), rule by rule."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from stdnum import imo, iso6346

from contracts.logistics.codes import check_container, check_vessel
from contracts.sdk import strategies
from contracts.sdk.errors import ContractError
from contracts.sdk.testkit import START_MS, Refused, Testkit, organisation_id
from tests.contracts.shipments import (
    CONTAINER,
    DESTINATION,
    LOT,
    ORIGIN,
    OTHER_CONTAINER,
    OTHER_VESSEL,
    PORT,
    VESSEL,
    arrived,
    at,
    book,
    booked,
    equipped,
    handle,
    leg,
    legs,
    loaded,
    move,
    names,
    small_world,
    some,
    sscc,
    state,
    until,
)


def refusal(check: object, text: str) -> str:
    """What is wrong with a number; empty if nothing is."""
    assert callable(check)
    try:
        check(text)
    except ContractError as error:
        return error.message
    return ""


# --- rules 47 and 48 ---------------------------------------------------------------------------


@given(
    strategies.container_number()
    | st.text("ABCJUZ0123456789", min_size=10, max_size=12)
    | st.from_regex(r"[A-Z]{3}[UJZ][0-9]{7}", fullmatch=True)
)
def test_rule_47_container_numbers_are_those_that_stdnum_takes(text: str) -> None:
    assert (refusal(check_container, text) == "") == iso6346.is_valid(text)


@pytest.mark.parametrize("number", [CONTAINER, OTHER_CONTAINER, "MSCU6639870", "TGHU7599330"])
def test_rule_47_every_altered_digit_of_a_container_is_told_the_right_one(number: str) -> None:
    assert refusal(check_container, number) == ""
    for digit in "0123456789":
        if digit != number[10]:
            said = refusal(check_container, number[:10] + digit)
            assert said.endswith(f"would be {number[10]}, not {digit}")


@pytest.mark.parametrize(
    ("number", "reason"),
    [
        ("MSCU9988776", "MSCU9988776: the check digit would be 3, not 6"),  # of DCSA's samples
        ("CSQU305438", "CSQU305438 has 10 characters, not 11"),
        ("C1QU3054383", "C1QU3054383: owner and category are four letters A to Z"),
        ("CSQA3054383", "CSQA3054383: category A is none of U, J and Z"),
        ("CSQU30X4383", "CSQU30X4383: serial and check digit are seven digits"),
        ("csqu3054383", "csqu3054383: owner and category are four letters A to Z"),
    ],
)
def test_rule_47_bad_containers_are_refused_with_the_reason(number: str, reason: str) -> None:
    kit = small_world()
    shipment = booked(kit)
    given = [{"number": number, "type": "22GP"}]
    detail = kit.as_("carrier").refused(
        "CONTAINER_NUMBER", "shipment", "equip", number=shipment, containers=given
    )
    assert detail == reason


@given(st.from_regex(r"[0-9]{7}", fullmatch=True))
def test_rule_47_imo_numbers_are_those_that_stdnum_takes(text: str) -> None:
    assert (refusal(check_vessel, text) == "") == imo.is_valid(text)


@pytest.mark.parametrize(
    ("vessel", "reason"),
    [
        ("9321484", "9321484: the check digit would be 3, not 4"),
        ("932148", "932148 has 6 characters, not 7"),
        ("", " has 0 characters, not 7"),
        ("932148A", "932148A: an IMO number is seven digits"),
    ],
)
def test_rule_47_ships_have_imo_numbers(vessel: str, reason: str) -> None:
    kit = small_world()
    number = book(kit)
    by_ship = [leg(ORIGIN, DESTINATION, at(1), at(20), mode="VESSEL", vessel=vessel)]
    carrier = kit.as_("carrier")
    detail = carrier.refused(
        "IMO_NUMBER", "shipment", "confirm_booking", number=number, legs=by_ship
    )
    assert detail == reason


@pytest.mark.parametrize("place", ["QQRTM", "NLRT1", "NLRT0", "NLRT", "NLRTMX", "nlrtm", "NL RTM"])
def test_rule_48_places_are_un_locodes(place: str) -> None:
    kit = small_world()
    with pytest.raises(Refused, match=r"BAD_ARGUMENT.*not a valid UN/LOCODE|must have"):
        book(kit, origin=place)
    number = loaded(kit)
    with pytest.raises(Refused, match="BAD_ARGUMENT"):
        move(kit, number, "DEPA", place)


# --- booking -----------------------------------------------------------------------------------


def test_a_shipment_goes_through_its_states_in_order() -> None:
    kit = small_world()
    number = book(kit)
    assert state(kit, number) == "REQUESTED"
    carrier = kit.as_("carrier")
    carrier.call("shipment", "confirm_booking", number=number, legs=legs())
    assert state(kit, number) == "BOOKED"
    carrier.call(
        "shipment", "equip", number=number, containers=[{"number": CONTAINER, "type": "22GP"}]
    )
    assert handle(kit, number, "LOAD", container=CONTAINER) == "LOADED"
    assert move(kit, number, "DEPA", ORIGIN) == "IN_TRANSIT"
    assert move(kit, number, "ARRI", PORT) == "IN_TRANSIT"
    assert move(kit, number, "DEPA", PORT, vessel=VESSEL) == "IN_TRANSIT"
    assert move(kit, number, "ARRI", DESTINATION, vessel=VESSEL) == "ARRIVED"
    assert not kit.query("shipment", "delivered", number=number)["delivered"]
    kit.as_("pharmacy").call("shipment", "confirm_delivery", number=number)
    found = kit.query("shipment", "delivered", number=number)
    assert found["delivered"]
    assert (found["condition"], found["time"]) == ("CLEAN", kit.time_ms)
    rows = kit.query("shipment", "milestones_of", number=number)
    assert [(row["event"], row["code"], row["state"], row["leg"]) for row in rows] == [
        ("SHIPMENT", "CONF", "BOOKED", 0),
        ("EQUIPMENT", "LOAD", "LOADED", 0),
        ("TRANSPORT", "DEPA", "IN_TRANSIT", 1),
        ("TRANSPORT", "ARRI", "IN_TRANSIT", 1),
        ("TRANSPORT", "DEPA", "IN_TRANSIT", 2),
        ("TRANSPORT", "ARRI", "ARRIVED", 2),
        ("DELIVERY", "CLEAN", "DELIVERED", 0),
    ]
    assert kit.query("shipment", "milestones_of", number=number, after=6) == rows[6:]
    kit.replay()


def test_each_step_is_its_party_s_alone() -> None:
    kit = small_world()
    number = book(kit)
    plan = {"number": number, "legs": legs()}
    for who in ("maker", "pharmacy", "rival", "regulator"):
        kit.as_(who).refused("NOT_AUTHORISED", "shipment", "confirm_booking", **plan)
        kit.as_(who).refused(
            "NOT_AUTHORISED", "shipment", "decline_booking", number=number, reason="DATES"
        )
    for who in ("carrier", "pharmacy"):
        kit.as_(who).refused("NOT_AUTHORISED", "shipment", "cancel_booking", number=number)
    number = arrived(kit)
    event = {"number": number, "code": "GTIN", "place": PORT, "time": kit.time_ms}
    for who in ("maker", "pharmacy", "rival"):
        sender = kit.as_(who)
        sender.refused(
            "NOT_AUTHORISED", "shipment", "equipment_event", container=CONTAINER, **event
        )
    for who in ("maker", "carrier", "rival"):
        kit.as_(who).refused("NOT_AUTHORISED", "shipment", "confirm_delivery", number=number)
    corners = [{"latitude": 0, "longitude": 0}, {"latitude": 1, "longitude": 1}]
    for method, args in (
        ("set_geofence", {"corners": corners, "alarm": "BOTH"}),
        ("report_exception", {"kind": "DAMAGE", "time": kit.time_ms}),
    ):
        kit.as_("rival").refused("NOT_AUTHORISED", "shipment", method, number=number, **args)


def test_only_an_active_logistics_operator_is_booked() -> None:
    kit = small_world()
    for carrier in (kit.id("maker"), organisation_id(99)):
        with pytest.raises(Refused, match="UNKNOWN_CARRIER"):
            book(kit, carrier=carrier)
    with pytest.raises(Refused, match="UNKNOWN_CONSIGNEE"):
        book(kit, consignee=organisation_id(99))
    with pytest.raises(Refused, match="SAME_PARTY"):
        book(kit, consignee=kit.id("carrier"))
    with pytest.raises(Refused, match="SAME_PLACE"):
        book(kit, destination=ORIGIN)
    with pytest.raises(Refused, match="TIME_PAST"):
        book(kit, wanted_arrival=START_MS)
    kit.as_("regulator").refused(
        "NOT_AUTHORISED", "shipment", "book", carrier=kit.id("carrier"),
        consignee=kit.id("pharmacy"), origin=ORIGIN, destination=PORT, wanted_arrival=at(9),
    )  # fmt: skip


def test_a_booking_is_declined_or_cancelled_once() -> None:
    kit = small_world()
    carrier, maker = kit.as_("carrier"), kit.as_("maker")
    number = book(kit)
    carrier.call("shipment", "decline_booking", number=number, reason="CAPACITY")
    assert kit.events[-1].fields == {"number": number, "reason": "CAPACITY"}
    carrier.refused("WRONG_STATE", "shipment", "confirm_booking", number=number, legs=legs())
    maker.refused("WRONG_STATE", "shipment", "cancel_booking", number=number)
    number = booked(kit)
    maker.call("shipment", "cancel_booking", number=number)
    assert state(kit, number) == "CANCELLED"
    until(kit, at(30))
    assert "ShipmentLate" not in names(kit)
    with pytest.raises(Refused, match="WRONG_STATE"):
        handle(kit, number, "LOAD")
    number = equipped_later(kit)
    maker.refused("WRONG_STATE", "shipment", "cancel_booking", number=number)


def equipped_later(kit: Testkit) -> int:
    """A shipment of two containers of which one is loaded, booked now."""
    number = book(kit, wanted_arrival=at(60))
    carrier = kit.as_("carrier")
    way = [leg(ORIGIN, DESTINATION, at(31), at(50))]
    carrier.call("shipment", "confirm_booking", number=number, legs=way)
    given = [{"number": one, "type": "22GP"} for one in (CONTAINER, OTHER_CONTAINER)]
    carrier.call("shipment", "equip", number=number, containers=given)
    handle(kit, number, "LOAD", container=CONTAINER)
    return number


@pytest.mark.parametrize(
    ("plan", "code"),
    [
        ([leg(PORT, DESTINATION, at(1), at(2))], "LEGS_BROKEN"),
        ([leg(ORIGIN, PORT, at(1), at(2))], "LEGS_BROKEN"),
        ([leg(ORIGIN, ORIGIN, at(1), at(2)), leg(ORIGIN, DESTINATION, at(2), at(3))],
         "LEGS_BROKEN"),
        ([leg(ORIGIN, PORT, at(1), at(3)), leg(PORT, DESTINATION, at(2), at(4))], "TIME_ORDER"),
        ([leg(ORIGIN, DESTINATION, at(2), at(2))], "TIME_ORDER"),
        ([], "BAD_ARGUMENT"),
    ],
)  # fmt: skip
def test_legs_join_up_from_origin_to_destination(plan: list[dict[str, object]], code: str) -> None:
    kit = small_world()
    number = book(kit)
    kit.as_("carrier").refused(code, "shipment", "confirm_booking", number=number, legs=plan)


def test_goods_stand_once_in_a_booking_and_lots_have_amounts() -> None:
    kit = small_world()
    for goods, code in (
        ([some(LOT)], "QUANTITY_REQUIRED"),
        ([some(LOT, 1), some(f"urn:epc:class:lgtin:9521321.000001.{LOT[-2:]}", 1)], "ITEM_TWICE"),
        ([some(sscc(1)) | {"container": CONTAINER}], "UNKNOWN_CONTAINER"),
    ):
        with pytest.raises(Refused, match=code):
            book(kit, goods=goods)
    book(kit, goods=[some(sscc(number)) for number in range(90, 110)])  # digits like (10), too


# --- moving ------------------------------------------------------------------------------------


def test_it_is_loaded_when_all_its_containers_are() -> None:
    kit = small_world()
    number = equipped(kit, CONTAINER, OTHER_CONTAINER)
    carrier = kit.as_("carrier")
    assert handle(kit, number, "LOAD", container=CONTAINER, empty=True) == "BOOKED"
    assert handle(kit, number, "LOAD", container=CONTAINER, classifier="EST") == "BOOKED"
    assert handle(kit, number, "LOAD", container=CONTAINER) == "BOOKED"
    with pytest.raises(Refused, match="ALREADY_ABOARD"):
        handle(kit, number, "LOAD", container=CONTAINER)
    with pytest.raises(Refused, match="NOT_ABOARD"):
        handle(kit, number, "DISC", container=OTHER_CONTAINER)
    with pytest.raises(Refused, match="CONTAINER_REQUIRED"):
        handle(kit, number, "LOAD")
    with pytest.raises(Refused, match="UNKNOWN_CONTAINER"):
        handle(kit, number, "LOAD", container="MSCU6639870")
    with pytest.raises(Refused, match="WRONG_STATE"):
        move(kit, number, "DEPA", ORIGIN)
    carrier.refused("ALREADY_ABOARD", "shipment", "withdraw", number=number, container=CONTAINER)
    # The other is rolled to a later ship.
    carrier.call("shipment", "withdraw", number=number, container=OTHER_CONTAINER)
    assert state(kit, number) == "LOADED"


def test_cargo_without_containers_is_loaded_as_a_whole() -> None:
    kit = small_world()
    number = booked(kit)
    assert handle(kit, number, "LOAD") == "LOADED"
    with pytest.raises(Refused, match="WRONG_STATE"):
        handle(kit, number, "LOAD")


def test_legs_depart_and_arrive_in_their_order() -> None:
    kit = small_world()
    number = loaded(kit)
    for code, place, refusal_code in (
        ("ARRI", PORT, "WRONG_STATE"),
        ("DEPA", PORT, "NO_SUCH_LEG"),
        ("ARRI", DESTINATION, "NO_SUCH_LEG"),
        ("DEPA", "DEHAM", "NO_SUCH_LEG"),
    ):
        with pytest.raises(Refused, match=refusal_code):
            move(kit, number, code, place)
    departed = kit.time_ms
    move(kit, number, "DEPA", ORIGIN, time=departed)
    with pytest.raises(Refused, match="TIME_ORDER"):
        move(kit, number, "DEPA", PORT)
    with pytest.raises(Refused, match="TIME_ORDER"):
        move(kit, number, "ARRI", PORT, time=departed - 1)
    with pytest.raises(Refused, match="TIME_AHEAD"):
        move(kit, number, "ARRI", PORT, time=kit.time_ms + 600_000)
    move(kit, number, "ARRI", PORT, time=departed + 5)
    with pytest.raises(Refused, match="NO_SUCH_LEG"):
        move(kit, number, "ARRI", PORT)
    with pytest.raises(Refused, match="TIME_ORDER"):
        move(kit, number, "DEPA", PORT, time=departed + 4)
    with pytest.raises(Refused, match="VESSEL_DIFFERS"):
        move(kit, number, "DEPA", PORT, vessel=OTHER_VESSEL)
    with pytest.raises(Refused, match="IMO_NUMBER"):
        move(kit, number, "DEPA", PORT, vessel="9321484")


def test_an_estimate_changes_no_state_and_stands_beside_the_plan() -> None:
    kit = small_world()
    number = booked(kit)
    assert move(kit, number, "ARRI", DESTINATION, classifier="EST", time=at(25)) == "BOOKED"
    found = kit.query("shipment", "shipment", number=number)["legs"][1]
    assert (found["planned_arrival"], found["estimated_arrival"]) == (at(20), at(25))
    assert found["arrived_at"] == 0
    move(kit, number, "DEPA", PORT, classifier="EST", time=at(4), delay="WEA")
    found = kit.query("shipment", "shipment", number=number)["legs"][1]
    assert (found["estimated_departure"], found["delay"]) == (at(4), "WEA")


def test_an_event_is_taken_once_from_each_organisation() -> None:
    kit = small_world()
    number = booked(kit)
    handle(kit, number, "GTIN", event=b"e" * 16)
    for again in ("GTIN", "LOAD"):
        with pytest.raises(Refused, match="DUPLICATE_EVENT"):
            handle(kit, number, again, event=b"e" * 16)
    other = book(kit, carrier=kit.id("rival"))
    kit.as_("rival").call("shipment", "confirm_booking", number=other, legs=legs())
    event = {"code": "GTIN", "place": ORIGIN, "time": kit.time_ms, "event": b"e" * 16}
    kit.as_("rival").call("shipment", "equipment_event", number=other, **event)


def test_late_news_of_a_container_does_not_overwrite_newer() -> None:
    kit = small_world()
    number = loaded(kit)
    now = kit.time_ms
    handle(kit, number, "GTIN", container=CONTAINER, place=PORT, time=now + 1)
    handle(kit, number, "STUF", container=CONTAINER, time=now - 5_000)
    (found,) = kit.query("shipment", "shipment", number=number)["equipment"]
    assert (found["status"], found["place"], found["status_at"]) == ("GTIN", PORT, now + 1)


def test_documents_show_their_newest_state_and_keep_their_number_to_the_parties() -> None:
    kit = small_world()
    number = booked(kit)
    reference = kit.commit("HLCU-BILL-4711")
    carrier = kit.as_("carrier")
    now = kit.time_ms
    for code, time, shown in (
        ("DRFT", now - 20, None), ("ISSU", now - 10, reference.commitment), ("APPR", now - 15, None)
    ):  # fmt: skip
        carrier.call(
            "shipment", "shipment_event", number=number, document="TRD", code=code, time=time,
            reference=shown,
        )  # fmt: skip
    (found,) = kit.query("shipment", "shipment", number=number)["documents"]
    assert (found["status"], found["time"]) == ("ISSU", now - 10)
    assert found["reference"] == reference.commitment
    assert not kit.discloses("HLCU-BILL-4711")


# --- promises and exceptions -------------------------------------------------------------------


def test_a_promise_that_passes_makes_it_late() -> None:
    kit = small_world()
    number = loaded(kit)
    until(kit, at(21) - 1_000)
    assert "ShipmentLate" not in names(kit)
    kit.advance(seconds=2)
    assert kit.events[-1].name == "ShipmentLate"
    assert kit.events[-1].fields == {
        "number": number, "promised": at(21), "state": "LOADED", "carrier": kit.id("carrier")
    }  # fmt: skip
    assert kit.query("shipment", "delivered", number=number)["late"]
    move(kit, number, "DEPA", ORIGIN)  # goes on all the same
    kit.replay()


def test_what_arrived_in_time_is_not_late_however_long_the_consignee_takes() -> None:
    kit = small_world()
    number = arrived(kit)
    until(kit, at(40))
    assert "ShipmentLate" not in names(kit)
    kit.as_("pharmacy").call("shipment", "confirm_delivery", number=number)
    assert not kit.query("shipment", "delivered", number=number)["late"]


def test_a_new_promise_takes_the_old_one_s_place_and_undoes_no_lateness() -> None:
    kit = small_world()
    number = loaded(kit)
    carrier = kit.as_("carrier")
    carrier.refused(
        "TIME_PAST", "shipment", "replan", number=number, legs=legs(), promised_arrival=START_MS
    )
    carrier.call("shipment", "replan", number=number, legs=legs(), promised_arrival=at(25))
    assert kit.events[-1].name == "ArrivalRescheduled"
    until(kit, at(24))
    assert "ShipmentLate" not in names(kit)
    until(kit, at(26))
    assert names(kit).count("ShipmentLate") == 1
    carrier.call("shipment", "replan", number=number, legs=legs(), promised_arrival=at(30))
    assert kit.query("shipment", "delivered", number=number)["late"]
    until(kit, at(31))
    assert names(kit).count("ShipmentLate") == 2


def test_a_plan_is_changed_only_ahead_of_what_has_departed() -> None:
    kit = small_world()
    number = loaded(kit)
    move(kit, number, "DEPA", ORIGIN)
    carrier = kit.as_("carrier")
    carrier.refused("LEGS_BROKEN", "shipment", "replan", number=number, legs=[])
    carrier.refused("LEGS_BROKEN", "shipment", "replan", number=number, legs=legs())
    onward = [
        leg(PORT, "DEHAM", at(3), at(4), mode="RAIL"),
        leg("DEHAM", DESTINATION, at(5), at(20), mode="VESSEL", vessel=OTHER_VESSEL),
    ]
    carrier.call("shipment", "replan", number=number, legs=onward)
    found = kit.query("shipment", "shipment", number=number)
    assert [one["destination"] for one in found["legs"]] == [PORT, "DEHAM", DESTINATION]
    assert found["shipment"]["legs"] == 3


def test_on_the_last_leg_only_the_promise_changes() -> None:
    kit = small_world()
    number = loaded(kit)
    for code, place in (("DEPA", ORIGIN), ("ARRI", PORT), ("DEPA", PORT)):
        move(kit, number, code, place)
    kit.as_("carrier").call("shipment", "replan", number=number, legs=[], promised_arrival=at(22))
    until(kit, at(21, 12))
    move(kit, number, "ARRI", DESTINATION)
    until(kit, at(23))
    assert "ShipmentLate" not in names(kit)


def test_exceptions_are_codes_that_their_reporter_settles() -> None:
    kit = small_world()
    number = loaded(kit)
    note = kit.commit("the door stood open, says the driver")
    one = kit.as_("carrier").call(
        "shipment", "report_exception", number=number, kind="UNSEALED", time=kit.time_ms,
        container=CONTAINER, note=note.commitment,
    )  # fmt: skip
    assert kit.events[-1].name == "ExceptionReported"
    assert kit.query("shipment", "delivered", number=number)["exceptions_open"] == 1
    args = {"number": number, "exception": one}
    kit.as_("pharmacy").refused("NOT_AUTHORISED", "shipment", "resolve_exception", **args)
    kit.as_("carrier").call("shipment", "resolve_exception", **args)
    kit.as_("carrier").refused("ALREADY_RESOLVED", "shipment", "resolve_exception", **args)
    assert kit.query("shipment", "delivered", number=number)["exceptions_open"] == 0
    assert not kit.discloses("the door stood open")
    kit.as_("carrier").refused(
        "BAD_ARGUMENT", "shipment", "report_exception", number=number, kind="OOPS", time=1
    )


# --- tasks -------------------------------------------------------------------------------------


def tasks(kit: Testkit, who: str) -> list[tuple[str, str, int]]:
    found = kit.query("shipment", "tasks", organisation=kit.id(who))
    assert found["next"] == 0
    return [(row["method"], row["organisation"], row["due"]) for row in found["tasks"]]


def test_each_party_sees_what_a_shipment_waits_for() -> None:
    kit = small_world()
    carrier, pharmacy, parties = kit.id("carrier"), kit.id("pharmacy"), ("maker", "carrier")
    number = book(kit)
    assert [tasks(kit, who) for who in parties] == [[("confirm_booking", carrier, 0)]] * 2
    kit.as_("carrier").call("shipment", "confirm_booking", number=number, legs=legs())
    due = kit.query("shipment", "shipment", number=number)["shipment"]["promised_arrival"]
    assert [tasks(kit, who) for who in parties] == [[("transport_event", carrier, due)]] * 2
    assert tasks(kit, "rival") == []
    other = arrived(kit)
    assert ("confirm_delivery", pharmacy, 0) in tasks(kit, "pharmacy")
    kit.as_("pharmacy").call("shipment", "confirm_delivery", number=other)
    kit.as_("maker").call("shipment", "cancel_booking", number=number)
    assert tasks(kit, "maker") == []
