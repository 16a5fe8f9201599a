"""Where a shipment is: areas against an independent exact reference, positions in any order."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise, permutations
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.logistics.geometry import HALF, QUARTER, TURN, Corner, check_area, is_inside
from contracts.sdk.errors import ContractError
from contracts.sdk.testkit import Refused, Testkit
from tests.contracts.shipments import (
    CONTAINER,
    OTHER_CONTAINER,
    arrived,
    book,
    booked,
    equipped,
    loaded,
    small_world,
)

LATITUDES = st.integers(-QUARTER, QUARTER)
LONGITUDES = st.integers(-HALF, HALF)
Point = tuple[int, int]  # east, north

# Few and small numbers, so that points often lie on sides and corners.
NEAR = st.tuples(st.integers(-4, 4), st.integers(-4, 4))
FAR = st.tuples(st.integers(-80_000_000, 80_000_000), st.integers(-QUARTER, QUARTER))


def wrapped(longitude: int) -> int:
    """The same meridian from -180 degrees up to below 180."""
    return (longitude + HALF) % TURN - HALF


def corners_of(points: list[Point], shift: int = 0) -> list[Corner]:
    return [Corner(north, wrapped(east + shift)) for east, north in points]


def encloses_something(corners: list[Corner]) -> bool:
    try:
        check_area(corners)
    except ContractError as error:
        assert error.code == "GEOFENCE_FORM"
        return False
    return True


def reference(points: list[Point], east: int, north: int) -> bool:
    """Even-odd by where each side really crosses the parallel, in fractions; sides are inside."""
    crossings = 0
    for (x1, y1), (x2, y2) in pairwise([*points, points[0]]):
        if y1 == y2:
            if north == y1 and min(x1, x2) <= east <= max(x1, x2):
                return True
            continue
        along = Fraction(north - y1, y2 - y1)
        if 0 <= along <= 1:
            crossing = x1 + along * (x2 - x1)
            if crossing == east:
                return True
            if min(y1, y2) <= north < max(y1, y2) and crossing < east:
                crossings += 1
    return crossings % 2 == 1


@given(st.lists(NEAR, min_size=3, max_size=8) | st.lists(FAR, min_size=3, max_size=8), st.data())
def test_a_point_is_in_a_polygon_as_fractions_say_wherever_on_earth(
    points: list[Point], data: st.DataObject
) -> None:
    east, north = data.draw(NEAR | FAR | st.sampled_from(points))
    shift = data.draw(st.sampled_from((0, HALF, -HALF, HALF - 1)) | LONGITUDES)
    corners = corners_of(points, shift)
    if encloses_something(corners):
        assert is_inside(corners, north, wrapped(east + shift)) == reference(points, east, north)


@given(st.lists(FAR, min_size=3, max_size=8), FAR, LONGITUDES, st.integers(0, 7))
def test_it_matters_neither_where_a_polygon_begins_nor_which_way_it_goes(
    points: list[Point], point: Point, shift: int, first: int
) -> None:
    east, north = wrapped(point[0] + shift), point[1]
    corners = corners_of(points, shift)
    if not encloses_something(corners):
        return
    first %= len(points)
    turned = corners[first:] + corners[:first]
    assert is_inside(turned, north, east) == is_inside(corners, north, east)
    assert is_inside(corners[::-1], north, east) == is_inside(corners, north, east)


@given(LONGITUDES, st.integers(1, HALF - 1), LATITUDES, LATITUDES, LONGITUDES, LATITUDES)
def test_a_box_is_the_polygon_of_its_four_corners(
    west: int, width: int, one: int, other: int, east: int, north: int
) -> None:
    if one == other:
        return
    low, high = sorted((one, other))
    far = wrapped(west + width)
    west = wrapped(west)
    box = [Corner(low, west), Corner(high, far)]
    around = [Corner(low, west), Corner(low, far), Corner(high, far), Corner(high, west)]
    check_area(box)
    check_area(around)
    assert is_inside(box, north, east) == is_inside(around, north, east)


def test_a_box_may_be_as_wide_as_the_earth() -> None:
    belt = [Corner(-10, -HALF), Corner(10, HALF)]
    check_area(belt)
    for east in (-HALF, -1, 0, 1, HALF):
        assert is_inside(belt, 10, east)
        assert not is_inside(belt, 11, east)
    wide = [Corner(-10, -170_000_000), Corner(10, 170_000_000)]
    assert is_inside(wide, 0, 0)
    assert not is_inside(wide, 0, HALF)


FIJI = [Corner(-20_000_000, 176_000_000), Corner(-15_000_000, -178_000_000)]


@pytest.mark.parametrize(
    ("longitude", "inside"),
    [(175_999_999, False), (176_000_000, True), (179_999_999, True), (HALF, True), (-HALF, True),
     (-179_000_000, True), (-178_000_000, True), (-177_999_999, False), (0, False)],
)  # fmt: skip
def test_edge_antimeridian_geofence(longitude: int, inside: bool) -> None:
    assert is_inside(FIJI, -18_000_000, longitude) == inside
    north_west = Corner(-15_000_000, 176_000_000)
    south_east = Corner(-20_000_000, -178_000_000)
    polygon = [FIJI[0], south_east, FIJI[1], north_west]
    assert is_inside(polygon, -18_000_000, longitude) == inside


@pytest.mark.parametrize(
    ("points", "reason"),
    [
        ([(0, 0), (1, 1), (2, 2)], "enclose nothing"),
        ([(0, 0), (0, 0), (2, 2)], "twice in a row"),
        ([(0, 0), (HALF, 10), (0, 20)], "could go either way"),
        ([(0, 50), (120_000_000, 50), (-120_000_000, 50)], "all around the earth"),
        ([(0, 9), (100, 9), (0, 9)], "twice in a row"),  # the last and the first
    ],
)
def test_corners_that_enclose_nothing_definite_are_refused(
    points: list[Point], reason: str
) -> None:
    with pytest.raises(ContractError, match=reason):
        check_area([Corner(north, east) for east, north in points])


@pytest.mark.parametrize(("low", "high"), [((1, 0), (1, 5)), ((2, 0), (1, 5)), ((0, 5), (1, 5))])
def test_a_box_has_a_south_west_and_a_north_east(low: Point, high: Point) -> None:
    with pytest.raises(ContractError, match="GEOFENCE_FORM"):
        check_area([Corner(*low), Corner(*high)])


def test_a_polygon_that_winds_around_the_earth_and_back_is_refused() -> None:
    ring = [(east * 60_000_000, 0) for east in range(8)]
    back = [(east * 60_000_000, 10_000_000) for east in reversed(range(8))]
    with pytest.raises(ContractError, match="all around the earth"):
        check_area(corners_of(ring + back))


# --- positions ---------------------------------------------------------------------------------


def report(time: int, latitude: int = 0, longitude: int = 0, **more: Any) -> dict[str, Any]:
    return {"time": time, "latitude": latitude, "longitude": longitude, **more}


def send(kit: Testkit, number: int, *reports: dict[str, Any]) -> None:
    kit.as_("carrier").call("shipment", "position", number=number, reports=list(reports))


def times(kit: Testkit, number: int, **more: Any) -> list[int]:
    return [one["time"] for one in kit.query("shipment", "positions", number=number, **more)]


@pytest.mark.parametrize("order", list(permutations(range(1, 5)))[::5])
def test_edge_out_of_order_positions(order: tuple[int, ...]) -> None:
    """Any order of arrival gives one history, and the newest stays the newest."""
    kit = small_world()
    number = loaded(kit)
    now = kit.time_ms
    for count, second in enumerate(order, 1):
        send(kit, number, report(now - 10_000 + second))
        assert times(kit, number)[0] == now - 10_000 + max(order[:count])
    assert times(kit, number) == [now - 10_000 + second for second in (4, 3, 2, 1)]
    assert times(kit, number, before=now - 9_997) == [now - 9_998, now - 9_999]


def test_a_position_stands_once_and_not_ahead_of_time() -> None:
    kit = small_world()
    number = loaded(kit)
    send(kit, number, report(kit.time_ms))
    known = kit.time_ms - 1_000
    with pytest.raises(Refused, match="POSITION_KNOWN"):
        send(kit, number, report(known, 1, 1))
    with pytest.raises(Refused, match="TIME_AHEAD"):
        send(kit, number, report(kit.time_ms + 600_000))


@pytest.mark.parametrize(
    ("latitude", "longitude"),
    [(QUARTER + 1, 0), (-QUARTER - 1, 0), (0, HALF + 1), (0, -HALF - 1), ("48", 2), (None, 2)],
)
def test_positions_are_whole_microdegrees_on_earth(latitude: Any, longitude: Any) -> None:
    kit = small_world()
    number = loaded(kit)
    with pytest.raises(Refused, match="BAD_ARGUMENT"):
        send(kit, number, report(kit.time_ms, latitude, longitude))


def test_containers_have_positions_of_their_own() -> None:
    kit = small_world()
    number = equipped(kit, CONTAINER, OTHER_CONTAINER)
    now = kit.time_ms
    send(kit, number, report(now), report(now, 5, 5, container=CONTAINER))
    assert times(kit, number, container=CONTAINER) == [now]
    assert times(kit, number, container=OTHER_CONTAINER) == []
    with pytest.raises(Refused, match="UNKNOWN_CONTAINER"):
        send(kit, number, report(now, container="MSCU6639870"))


def test_after_the_delivery_only_positions_from_before_it_are_news() -> None:
    kit = small_world()
    number = book(kit)
    with pytest.raises(Refused, match="WRONG_STATE"):
        send(kit, number, report(kit.time_ms))
    number = arrived(kit)
    kit.as_("pharmacy").call("shipment", "confirm_delivery", number=number)
    delivered = kit.time_ms
    send(kit, number, report(delivered - 1))
    with pytest.raises(Refused, match="WRONG_STATE"):
        send(kit, number, report(delivered + 1))


# --- geofences ---------------------------------------------------------------------------------

BOX = [{"latitude": 0, "longitude": 0}, {"latitude": 10, "longitude": 10}]
IN, OUT = (5, 5), (50, 50)


def fenced(alarm: str) -> tuple[Testkit, int]:
    kit = small_world()
    number = loaded(kit)
    made = kit.as_("maker").call(
        "shipment", "set_geofence", number=number, corners=BOX, alarm=alarm
    )
    assert made == 1
    kit.advance(hours=1)
    return kit, number


def breaches(kit: Testkit) -> list[tuple[str, int]]:
    return [
        (event.fields["crossing"], event.fields["time"])
        for event in kit.events
        if event.name == "GeofenceBreached"
    ]


@pytest.mark.parametrize(
    ("alarm", "way", "expected"),
    [
        ("ENTER", (OUT, IN, IN, OUT, IN), [("ENTER", 1), ("ENTER", 4)]),
        ("LEAVE", (IN, OUT, OUT, IN, OUT), [("LEAVE", 1), ("LEAVE", 4)]),
        ("BOTH", (OUT, IN, IN, OUT), [("ENTER", 1), ("LEAVE", 3)]),
        ("ENTER", (IN, OUT), [("ENTER", 0)]),
        ("LEAVE", (OUT, IN), [("LEAVE", 0)]),
        ("BOTH", (IN, IN), []),
    ],
)
def test_a_geofence_tells_of_what_it_is_set_to(
    alarm: str, way: tuple[Point, ...], expected: list[tuple[str, int]]
) -> None:
    kit, number = fenced(alarm)
    now = kit.time_ms - 1_000
    for step, (latitude, longitude) in enumerate(way):
        send(kit, number, report(now + step, latitude, longitude))
    assert breaches(kit) == [(crossing, now + step) for crossing, step in expected]


def test_a_late_position_tells_of_a_breach_that_nobody_saw() -> None:
    kit, number = fenced("BOTH")
    now = kit.time_ms - 1_000
    send(kit, number, report(now, *IN), report(now + 10, *IN))
    assert breaches(kit) == []
    send(kit, number, report(now + 5, *OUT))
    assert breaches(kit) == [("LEAVE", now + 5), ("ENTER", now + 10)]
    send(kit, number, report(now + 6, *OUT), report(now + 7, *OUT))  # known by now
    assert len(breaches(kit)) == 2


@given(
    st.lists(st.booleans(), min_size=2, max_size=6),
    st.sampled_from(("ENTER", "LEAVE", "BOTH")),
    st.randoms(use_true_random=False),
)
def test_whatever_the_order_no_side_of_a_border_stays_untold(
    sides: list[bool], alarm: str, random: Any
) -> None:
    """Every crossing that the positions in order show was told, sooner or later."""
    kit, number = fenced(alarm)
    now = kit.time_ms - 1_000
    order = list(range(len(sides)))
    random.shuffle(order)
    for step in order:
        send(kit, number, report(now + step, *(IN if sides[step] else OUT)))
    before = {"ENTER": False, "LEAVE": True, "BOTH": sides[0]}[alarm]
    shown = [one for one, other in zip(sides, [before, *sides], strict=False) if one != other]
    told = [crossing for crossing, _ in breaches(kit)]
    for crossing, inside in (("ENTER", True), ("LEAVE", False)):
        if alarm in (crossing, "BOTH"):
            assert told.count(crossing) >= shown.count(inside)
        else:
            assert crossing not in told


def test_positions_from_before_a_geofence_was_set_do_not_breach_it() -> None:
    kit, number = fenced("ENTER")
    send(kit, number, report(kit.time_ms - 2 * 3_600_000, *IN))
    assert breaches(kit) == []
    send(kit, number, report(kit.time_ms, *IN))
    assert len(breaches(kit)) == 1


def test_a_geofence_across_the_antimeridian_is_breached_there() -> None:
    kit = small_world()
    number = loaded(kit)
    corners = [{"latitude": one.latitude, "longitude": one.longitude} for one in FIJI]
    kit.as_("pharmacy").call(
        "shipment", "set_geofence", number=number, corners=corners, alarm="LEAVE"
    )
    now = kit.time_ms
    send(kit, number, report(now, -18_000_000, 179_900_000))
    send(kit, number, report(now + 1, -18_000_000, -179_900_000))
    assert breaches(kit) == []
    send(kit, number, report(now + 2, -18_000_000, -177_000_000))
    assert breaches(kit) == [("LEAVE", now + 2)]


def test_a_geofence_is_its_setter_s_and_each_party_has_four() -> None:
    kit, number = fenced("BOTH")
    kit.as_("carrier").refused(
        "NOT_AUTHORISED", "shipment", "remove_geofence", number=number, geofence=1
    )
    kit.as_("maker").call("shipment", "remove_geofence", number=number, geofence=1)
    setting = {"number": number, "corners": BOX, "alarm": "BOTH"}
    for expected in range(2, 6):
        assert kit.as_("maker").call("shipment", "set_geofence", **setting) == expected
    kit.as_("maker").refused("TOO_MANY", "shipment", "set_geofence", **setting)
    # Nobody can use up what the others need.
    assert kit.as_("carrier").call("shipment", "set_geofence", **setting) == 6
    kit.as_("carrier").refused(
        "GEOFENCE_FORM", "shipment", "set_geofence", **{**setting, "corners": BOX[::-1]}
    )
    late = booked(kit)
    kit.as_("maker").call("shipment", "cancel_booking", number=late)
    kit.as_("maker").refused(
        "WRONG_STATE", "shipment", "set_geofence", **{**setting, "number": late}
    )


def test_the_largest_report_fits_a_call() -> None:
    """Twelve geofences of 64 corners, and a position that comes late among a thousand others."""
    kit = small_world()
    number = loaded(kit)
    ring = [
        {"latitude": side * 1_000 + step, "longitude": step * 100 * (-1 if side else 1)}
        for side in (0, 1)
        for step in (range(1, 33) if side == 0 else range(32, 0, -1))
    ]
    for who in ("maker", "carrier", "pharmacy") * 4:
        kit.as_(who).call("shipment", "set_geofence", number=number, corners=ring, alarm="BOTH")
    kit.advance(hours=2)
    now = kit.time_ms - 3_600_000
    send(kit, number, report(now, 500, 500))
    assert kit.last.steps_used < 1_000_000
    send(kit, number, report(now + 100, 500, 500))
    for step in range(1, 100):  # each between its neighbours
        send(kit, number, report(now + step, 500, 500))
    assert kit.last.steps_used < 1_500_000
