"""Areas on the map in whole microdegrees: exact, with no rounding anywhere.

An area has corners. Two are a **box**, south-west and north-east; west of it may be east of the
antimeridian. Three or more are a **polygon** whose sides are straight on a map of equal degrees
and go the shorter way round the earth, so across the antimeridian where that is shorter. Points
on a side are inside; of a polygon that crosses itself, what the even-odd rule says.
"""

from __future__ import annotations

from typing import Annotated, Final

from contracts.sdk import Int, Record, refuse

QUARTER: Final = 90_000_000  # microdegrees
HALF: Final = 180_000_000
TURN: Final = 360_000_000

Latitude = Annotated[int, Int(-90_000_000, 90_000_000)]
Longitude = Annotated[int, Int(-180_000_000, 180_000_000)]


class Corner(Record):
    """A point, in microdegrees north and east."""

    latitude: Latitude
    longitude: Longitude


def eastward(start: int, end: int) -> int:
    """How far east it is from one longitude to another the shorter way: -HALF < it <= HALF."""
    way = (end - start) % TURN
    return way - TURN if way > HALF else way


def check_area(corners: list[Corner]) -> None:
    """Refuse with GEOFENCE_FORM corners that enclose nothing, or nothing definite."""
    if len(corners) == 2:
        low, high = corners[0], corners[1]
        if low.latitude >= high.latitude:
            refuse("GEOFENCE_FORM", "a box goes from its south-west to its north-east corner")
        if low.longitude == high.longitude:
            refuse("GEOFENCE_FORM", "a box has two longitudes: all around is -180 to 180 degrees")
        return
    area = 0
    x = 0
    xs = [0]
    before = corners[0]
    for corner in corners[1:] + corners[:1]:
        step = eastward(before.longitude, corner.longitude)
        if step == HALF:
            refuse("GEOFENCE_FORM", "a side of 180 degrees could go either way: divide it")
        if step == 0 and corner.latitude == before.latitude:
            refuse("GEOFENCE_FORM", "the same corner stands twice in a row")
        area += x * corner.latitude - (x + step) * before.latitude
        x += step
        xs.append(x)
        before = corner
    if x != 0 or max(xs) - min(xs) >= TURN:
        refuse("GEOFENCE_FORM", "the sides go all around the earth: divide it, or give a box")
    if area == 0:
        refuse("GEOFENCE_FORM", "the corners enclose nothing")


def is_inside(corners: list[Corner], latitude: int, longitude: int) -> bool:
    """Whether a point lies in an area that :func:`check_area` has passed, or on its border."""
    if len(corners) == 2:
        return _in_box(corners[0], corners[1], latitude, longitude)
    at = corners[0].longitude
    xs = [at]
    before = at
    for corner in corners[1:]:
        at += eastward(before, corner.longitude)
        before = corner.longitude
        xs.append(at)
    ys = [corner.latitude for corner in corners]
    low, high = min(xs), max(xs)
    for x in (longitude - TURN, longitude, longitude + TURN):
        if low <= x <= high and _in_polygon(xs, ys, x, latitude):
            return True
    return False


def _in_box(low: Corner, high: Corner, latitude: int, longitude: int) -> bool:
    if not low.latitude <= latitude <= high.latitude:
        return False
    if high.longitude - low.longitude == TURN:
        return True
    width = (high.longitude - low.longitude) % TURN
    return (longitude - low.longitude) % TURN <= width


def _in_polygon(xs: list[int], ys: list[int], x: int, y: int) -> bool:
    """On a side, or an odd number of sides lies to the east (even-odd rule)."""
    inside = False
    x1, y1 = xs[-1], ys[-1]
    for at in range(len(xs)):
        x2, y2 = xs[at], ys[at]
        turn = (x2 - x1) * (y - y1) - (y2 - y1) * (x - x1)
        if turn == 0 and min(x1, x2) <= x <= max(x1, x2) and min(y1, y2) <= y <= max(y1, y2):
            return True
        if (y1 > y) != (y2 > y) and (turn > 0) == (y2 > y1):
            inside = not inside
        x1, y1 = x2, y2
    return inside
