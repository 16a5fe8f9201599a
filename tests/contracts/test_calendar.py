"""Bank calendars (DOMAIN rules 32 and 33), against the calendar of Python's library."""

from __future__ import annotations

import datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contracts.sdk.dates import date_of as moment_s_date
from contracts.sdk.testkit import DAY_MS, START_MS, Refused, Testkit
from contracts.trade.days import date_of, number_of, weekday_of

FRIDAY_WEEK = 20260710  # more than thirty days after the kit's first day, 28 May 2026


def small_world() -> Testkit:
    kit = Testkit.of(builtin=("identity", "calendar"))
    kit.organisation("bank", roles=("bank", "bank_admin"))
    kit.organisation("other", roles=("bank", "bank_admin"))
    kit.organisation("trader", roles=("wholesaler", "bank_admin"))
    kit.key("clerk", "bank", ("bank_officer",))
    return kit


def number(date: datetime.date) -> int:
    return date.year * 10_000 + date.month * 100 + date.day


def after(kit: Testkit, day: int, count: int, bank: str = "bank") -> int:
    found: int = kit.query("calendar", "add_banking_days", bank=kit.id(bank), day=day, count=count)[
        "day"
    ]
    return found


# --- days --------------------------------------------------------------------------------------


@given(st.dates())
def test_days_and_dates_are_those_of_the_library(date: datetime.date) -> None:
    days = (date - datetime.date(1970, 1, 1)).days
    assert number_of(number(date)) == days
    assert date_of(days) == number(date)
    assert weekday_of(days) == date.weekday()


# --- rule 32: five banking days ------------------------------------------------------------------


def test_rule_32_five_banking_days_follow_the_day_of_presentation() -> None:
    kit = small_world()
    assert after(kit, 20260528, 5) == 20260604  # Thursday to Thursday
    assert after(kit, 20260530, 5) == 20260605  # Saturday to Friday
    assert after(kit, 20260528, 0) == 20260528
    found = kit.query("calendar", "add_banking_days", bank=kit.id("bank"), day=20260528, count=5)
    assert moment_s_date(found["end_ms"]) == 20260604
    assert moment_s_date(found["end_ms"] + 1) == 20260605


def test_rule_32_closed_days_and_other_weekends_are_left_out() -> None:
    kit = small_world()
    bank = kit.as_("bank")
    bank.call("calendar", "close", days=[20260714, 20260715])
    assert after(kit, 20260710, 5) == 20260721  # Friday; Tuesday and Wednesday are closed
    assert after(kit, 20260710, 5, "other") == 20260717
    bank.call("calendar", "set_week", start=FRIDAY_WEEK, weekend=[4, 5], utc_offset=180)
    assert after(kit, 20260709, 5) == 20260720  # Sunday, Monday, Thursday; Sunday, Monday
    assert after(kit, 20260702, 5) == 20260709  # the old week holds before
    found = kit.query("calendar", "calendar", bank=kit.id("bank"), start=20260715)
    assert found["closed"] == [20260715]
    assert found["weeks"] == [
        {"start": FRIDAY_WEEK, "week": {"weekend": [4, 5], "utc_offset": 180}}
    ]
    bank.call("calendar", "open", days=[20260714])
    assert kit.query("calendar", "is_banking_day", bank=kit.id("bank"), day=20260714)
    assert not kit.query("calendar", "is_banking_day", bank=kit.id("bank"), day=20260715)
    kit.replay()


def test_rule_32_days_begin_and_end_by_the_bank_s_clock() -> None:
    kit = small_world()
    kit.as_("bank").call("calendar", "set_week", start=FRIDAY_WEEK, weekend=[5, 6], utc_offset=-300)
    args = {"bank": kit.id("bank"), "day": 20260713, "count": 1}
    end = kit.query("calendar", "add_banking_days", **args)["end_ms"]
    assert end == number_of(20260715) * DAY_MS + 5 * 3_600_000 - 1
    for moment, day in ((end, 20260714), (end + 1, 20260715), (START_MS, 20260528)):
        assert kit.query("calendar", "local_day", bank=kit.id("bank"), time=moment) == day


@settings(max_examples=15, deadline=None)
@given(
    st.dates(datetime.date(2026, 7, 1), datetime.date(2027, 3, 1)),
    st.integers(0, 60),
    st.sets(st.integers(0, 120), max_size=20),
)
def test_rule_32_counting_there_and_back_agree(
    start: datetime.date, count: int, closed: set[int]
) -> None:
    kit = small_world()
    days = [datetime.date(2026, 7, 1) + datetime.timedelta(days=day) for day in sorted(closed)]
    if days:
        kit.as_("bank").call("calendar", "close", days=[number(day) for day in days])
    last = after(kit, number(start), count)
    args = {"bank": kit.id("bank"), "start": number(start), "end": last}
    assert kit.query("calendar", "banking_days", **args) == count
    wanted, left = start, count
    while left:
        wanted += datetime.timedelta(days=1)
        left -= wanted.weekday() < 5 and wanted not in days
    assert last == number(wanted)


# --- rule 33: the last day -----------------------------------------------------------------------


def test_rule_33_a_last_day_on_a_closure_moves_to_the_next_banking_day() -> None:
    kit = small_world()
    kit.as_("bank").call("calendar", "close", days=[20260713])

    def moved(day: int, bank: str = "bank") -> int:
        found: int = kit.query("calendar", "next_banking_day", bank=kit.id(bank), day=day)
        return found

    assert moved(20260710) == 20260710
    assert [moved(day) for day in (20260711, 20260712, 20260713)] == [20260714] * 3
    assert moved(20260711, "other") == 20260713


# --- who, and when -----------------------------------------------------------------------------


def test_a_calendar_changes_thirty_days_ahead_and_no_sooner() -> None:
    kit = small_world()
    bank = kit.as_("bank")
    soon, far = date_of(number_of(20260528) + 29), date_of(number_of(20260528) + 30)
    for day in (20260527, soon):
        bank.refused("NOTICE_TOO_SHORT", "calendar", "close", days=[far, day])
        bank.refused("NOTICE_TOO_SHORT", "calendar", "set_week", start=day, weekend=[6])
    bank.call("calendar", "close", days=[far])
    kit.advance(days=1)
    bank.refused("NOTICE_TOO_SHORT", "calendar", "open", days=[far])
    assert not kit.query("calendar", "is_banking_day", bank=kit.id("bank"), day=far)


def test_only_a_bank_s_administrator_keeps_its_own_calendar() -> None:
    kit = small_world()
    kit.as_("clerk").refused("NOT_AUTHORISED", "calendar", "close", days=[FRIDAY_WEEK])
    kit.as_("trader").refused("NOT_A_BANK", "calendar", "close", days=[FRIDAY_WEEK])
    kit.as_("bank").refused("NOT_FOUND", "calendar", "open", days=[FRIDAY_WEEK])
    kit.as_("bank").refused(
        "DAY_TWICE", "calendar", "set_week", start=FRIDAY_WEEK, weekend=[5, 6, 5]
    )
    assert kit.query("calendar", "calendar", bank=kit.id("bank"), start=20260101) == {
        "weeks": [], "closed": [],
    }  # fmt: skip


def test_a_bank_that_never_opens_is_no_bank() -> None:
    kit = small_world()
    bank = kit.as_("bank")
    year = [date_of(number_of(20270101) + day) for day in range(41)]
    bank.call("calendar", "close", days=year[:40])
    bank.refused("TOO_MANY_CLOSED", "calendar", "close", days=year[40:])
    assert after(kit, 20261231, 5) == 20270216
    with pytest.raises(Refused, match="SPAN_TOO_LONG"):
        kit.query("calendar", "banking_days", bank=kit.id("bank"), start=20260101, end=20290101)
    with pytest.raises(Refused, match="BAD_ARGUMENT"):
        bank.call("calendar", "close", days=[20270229])
