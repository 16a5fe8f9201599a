"""Dates as whole numbers YYYYMMDD, moments as milliseconds since 1970 UTC; no clock anywhere."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

from contracts.sdk.checks import is_digits
from contracts.sdk.errors import BadValue

DAY_MS: Final = 86_400_000
TIME_MS_MAX: Final = 253_402_300_799_999  # the last moment of the year 9999
_MOMENT: Final = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2})T([0-9]{2}):([0-9]{2}):([0-9]{2})(?:\.([0-9]{1,3}))?"
    r"(?:Z|([+-])([0-9]{2}):([0-9]{2}))"
)
_MONTH_DAYS: Final = (31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)


def month_days(year: int, month: int) -> int:
    """How many days the month has."""
    leap = year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
    return 29 if month == 2 and leap else _MONTH_DAYS[month - 1]


def checked_date(year: int, month: int, day: int) -> int:
    """YYYYMMDD, or BadValue when there is no such day."""
    if not (1 <= year <= 9999 and 1 <= month <= 12 and 1 <= day <= month_days(year, month)):
        raise BadValue("there is no such day")
    return year * 10_000 + month * 100 + day


@lru_cache(maxsize=64)
def date_of(time_ms: int) -> int:
    """The UTC date YYYYMMDD of milliseconds since 1970 (Hinnant's civil-from-days)."""
    days = time_ms // DAY_MS + 719_468
    era, day_of_era = divmod(days, 146_097)
    year_of_era = (
        day_of_era - day_of_era // 1_460 + day_of_era // 36_524 - day_of_era // 146_096
    ) // 365
    day_of_year = day_of_era - (365 * year_of_era + year_of_era // 4 - year_of_era // 100)
    shifted_month = (5 * day_of_year + 2) // 153
    day = day_of_year - (153 * shifted_month + 2) // 5 + 1
    month = shifted_month + 3 if shifted_month < 10 else shifted_month - 9
    year = year_of_era + era * 400 + (month <= 2)
    return year * 10_000 + month * 100 + day


def days_of(date: int) -> int:
    """Days since 1970-01-01 of YYYYMMDD: the inverse of :func:`date_of`."""
    year, month, day = date // 10_000, date // 100 % 100, date % 100
    year -= month <= 2
    era, year_of_era = divmod(year, 400)
    shifted_month = month - 3 if month > 2 else month + 9
    day_of_year = (153 * shifted_month + 2) // 5 + day - 1
    day_of_era = year_of_era * 365 + year_of_era // 4 - year_of_era // 100 + day_of_year
    return era * 146_097 + day_of_era - 719_468


def date_text(date: int) -> str:
    """``YYYY-MM-DD`` of YYYYMMDD. Raises BadValue when there is no such day."""
    _require(date, int, "a date is a whole number YYYYMMDD")
    checked_date(date // 10_000, date // 100 % 100, date % 100)
    return f"{date // 10_000:04d}-{date // 100 % 100:02d}-{date % 100:02d}"


def time_text(time_ms: int) -> str:
    """``2026-01-31T12:00:00Z`` of milliseconds since 1970; what is left of a second as ``.123``.

    Raises BadValue for moments before 1970 or after 9999.
    """
    _require(time_ms, int, "a time is a whole number of milliseconds since 1970")
    if not 0 <= time_ms <= TIME_MS_MAX:
        raise BadValue("times run from 1970 to 9999")
    seconds, fraction = divmod(time_ms % DAY_MS, 1_000)
    clock = f"{seconds // 3_600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}"
    part = f".{fraction:03d}" if fraction else ""
    return f"{date_text(date_of(time_ms))}T{clock}{part}Z"


def _require(value: object, kind: type, message: str) -> None:
    if type(value) is not kind:
        raise BadValue(message)


def iso_date(text: str) -> int:
    """YYYYMMDD of ``YYYY-MM-DD``. Raises BadValue."""
    _require(text, str, "a date is written YYYY-MM-DD")
    if len(text) != 10 or text[4] != "-" or text[7] != "-":
        raise BadValue("a date is written YYYY-MM-DD")
    year, month, day = text[:4], text[5:7], text[8:]
    if not (is_digits(year) and is_digits(month) and is_digits(day)):
        raise BadValue("a date is written YYYY-MM-DD")
    return checked_date(int(year), int(month), int(day))


def gs1_date(text: str, year_now: int) -> int:
    """YYYYMMDD of GS1's YYMMDD, as in AI (17).

    The century is the one that puts the year between 49 back and 50 ahead of ``year_now`` (General
    Specifications 7.12); give the block's year. Day 00 is the month's last day. Raises BadValue.
    """
    _require(text, str, "a GS1 date is six digits, YYMMDD")
    _require(year_now, int, "the year now is a whole number")
    if len(text) != 6 or not is_digits(text):
        raise BadValue("a GS1 date is six digits, YYMMDD")
    short, month, day = int(text[:2]), int(text[2:4]), int(text[4:])
    ahead = (short - year_now) % 100
    year = year_now + (ahead if ahead <= 50 else ahead - 100)
    if not 1 <= month <= 12:
        raise BadValue("there is no such month")
    return checked_date(year, month, day or month_days(year, month))


def iso_time(text: str) -> int:
    """Milliseconds since 1970 of ``2026-01-31T12:00:00Z``, or with ``.123`` or ``+01:00``.

    Raises BadValue, also for moments before 1970 and leap seconds.
    """
    _require(text, str, "a time is written YYYY-MM-DDThh:mm:ssZ, or with +hh:mm for Z")
    found = _MOMENT.fullmatch(text)
    if found is None:
        raise BadValue("a time is written YYYY-MM-DDThh:mm:ssZ, or with +hh:mm for Z")
    days = days_of(iso_date(found[1]))
    hour, minute, second = int(found[2]), int(found[3]), int(found[4])
    if hour > 23 or minute > 59 or second > 59:
        raise BadValue("there is no such time of day")
    offset = 0
    if found[6] is not None:
        offset = int(found[7]) * 60 + int(found[8])
        if offset > 14 * 60 or int(found[8]) > 59:
            raise BadValue("an offset lies within 14:00")
    minutes = hour * 60 + minute - (-offset if found[6] == "-" else offset)
    fraction = int((found[5] or "0").ljust(3, "0"))
    time_ms = days * DAY_MS + (minutes * 60 + second) * 1_000 + fraction
    if not 0 <= time_ms <= TIME_MS_MAX:
        raise BadValue("times run from 1970 to 9999")
    return time_ms
