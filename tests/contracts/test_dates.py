"""Dates without a clock."""

from __future__ import annotations

import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.sdk.dates import DAY_MS, checked_date, date_of, days_of, gs1_date, iso_date
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
