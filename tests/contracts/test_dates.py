"""Dates without a clock."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.sdk.dates import (
    DAY_MS,
    TIME_MS_MAX,
    checked_date,
    date_of,
    date_text,
    days_of,
    gs1_date,
    iso_date,
    iso_time,
    time_text,
)
from contracts.sdk.errors import BadValue

EPOCH = datetime.date(1970, 1, 1)


@given(st.dates(datetime.date(1, 1, 1)))
def test_dates_agree_with_the_standard_library(day: datetime.date) -> None:
    number = day.year * 10_000 + day.month * 100 + day.day
    days = (day - EPOCH).days
    assert days_of(number) == days
    assert date_of(days * DAY_MS) == date_of(days * DAY_MS + DAY_MS - 1) == number
    assert iso_date(day.isoformat()) == number


@pytest.mark.parametrize("text", ["2025-02-29", "2100-02-29", "2025-13-01", "2025-1-1", "20250101",
                                  "2025-04-31", "0000-01-01", "2025-\u06601-01"])  # fmt: skip
def test_days_that_do_not_exist(text: str) -> None:
    with pytest.raises(BadValue):
        iso_date(text)


def test_rule_4_day_00_is_the_last_of_the_month_leap_years_too() -> None:
    assert gs1_date("270200", 2026) == 20270228
    assert gs1_date("280200", 2026) == 20280229
    assert gs1_date("261200", 2026) == 20261231


@given(st.integers(1950, 2200), st.integers(0, 99))
def test_rule_5_the_century_lies_49_back_to_50_ahead(year_now: int, short: int) -> None:
    year = gs1_date(f"{short:02d}0115", year_now) // 10_000
    assert year % 100 == short
    assert year_now - 49 <= year <= year_now + 50


@pytest.mark.parametrize("text", ["271301", "270230", "27023", "2702300", "27021x"])
def test_gs1_dates_that_do_not_exist(text: str) -> None:
    with pytest.raises(BadValue):
        gs1_date(text, 2026)


def test_checked_date() -> None:
    assert checked_date(2024, 2, 29) == 20240229


FIRST = datetime.datetime(1970, 1, 2)  # noqa: DTZ001  (the zone is drawn beside it)
LAST = datetime.datetime(9999, 12, 30)  # noqa: DTZ001
ZONES = st.builds(
    lambda minutes: datetime.timezone(datetime.timedelta(minutes=minutes)),
    st.integers(-14 * 60, 14 * 60),
)


@given(
    st.datetimes(FIRST, LAST, timezones=ZONES),
    st.sampled_from(("seconds", "milliseconds")),
)
def test_times_agree_with_the_standard_library(moment: datetime.datetime, to: str) -> None:
    text = moment.isoformat(timespec=to)
    since = datetime.datetime.fromisoformat(text) - datetime.datetime(
        1970, 1, 1, tzinfo=datetime.UTC
    )
    assert iso_time(text) == since // datetime.timedelta(milliseconds=1)
    if text.endswith("+00:00"):
        assert iso_time(text.replace("+00:00", "Z")) == iso_time(text)


def test_the_first_and_the_last_time() -> None:
    assert iso_time("1970-01-01T00:00:00Z") == 0
    assert iso_time("9999-12-31T23:59:59.999Z") == TIME_MS_MAX
    assert iso_time("2026-01-01T00:00:00.5Z") % 1000 == 500


@pytest.mark.parametrize(
    "text",
    ["2026-01-01", "2026-01-01T00:00:00", "2026-01-01T24:00:00Z", "2026-01-01T00:60:00Z",
     "2026-01-01T23:59:60Z", "2026-02-30T00:00:00Z", "2026-01-01T00:00:00+14:01",
     "2026-01-01T00:00:00+01:60", "1969-12-31T23:59:59Z", "1970-01-01T00:00:00+00:01",
     "9999-12-31T23:59:59-00:01", "2026-01-01T00:00:00.1234Z", "2026-01-01t00:00:00z",
     "2026-01-01T0\u0660:00:00Z", "2026-01-01T00:00:00Z\n"],
)  # fmt: skip
def test_times_that_do_not_exist(text: str) -> None:
    with pytest.raises(BadValue):
        iso_time(text)


@given(st.dates(datetime.date(1, 1, 1)))
def test_the_text_of_a_date_is_read_again(day: datetime.date) -> None:
    number = iso_date(day.isoformat())
    assert date_text(number) == day.isoformat()


@given(st.integers(0, TIME_MS_MAX))
def test_the_text_of_a_time_is_read_again(time_ms: int) -> None:
    assert iso_time(time_text(time_ms)) == time_ms


def test_the_text_of_a_time() -> None:
    assert time_text(iso_time("2026-01-31T12:00:00Z")) == "2026-01-31T12:00:00Z"
    assert time_text(1) == "1970-01-01T00:00:00.001Z"


@pytest.mark.parametrize(
    ("function", "value"),
    [
        (iso_date, 20260131),
        (iso_time, 5),
        (iso_time, None),
        (iso_date, ["2026-01-31"]),
        (lambda value: gs1_date(value, 2026), 270131),
        (lambda value: gs1_date("270131", value), "2026"),
        (date_text, "2026-01-31"),
        (date_text, True),
        (date_text, 20260230),
        (date_text, 0),
        (date_text, -1),
        (date_text, 10**80),
        (time_text, "2026"),
        (time_text, -1),
        (time_text, TIME_MS_MAX + 1),
    ],
)
def test_what_is_no_date_is_refused_not_a_fault(function: Callable[[Any], Any], value: Any) -> None:
    with pytest.raises(BadValue):
        function(value)
