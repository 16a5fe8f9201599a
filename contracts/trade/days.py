"""Days by number, counted since 1 January 1970, a Thursday; dates as YYYYMMDD."""

from __future__ import annotations

from typing import Final

DAY_MS: Final = 86_400_000
THURSDAY: Final = 3  # Monday is 0


def number_of(date: int) -> int:
    """The day's number (Hinnant's days-from-civil)."""
    year, month, day = date // 10_000, date // 100 % 100, date % 100
    if month <= 2:
        year -= 1
    era, year_of_era = year // 400, year % 400
    shifted_month = month - 3 if month > 2 else month + 9
    day_of_year = (153 * shifted_month + 2) // 5 + day - 1
    day_of_era = year_of_era * 365 + year_of_era // 4 - year_of_era // 100 + day_of_year
    return era * 146_097 + day_of_era - 719_468


def date_of(number: int) -> int:
    """The inverse."""
    days = number + 719_468
    era, day_of_era = days // 146_097, days % 146_097
    year_of_era = (
        day_of_era - day_of_era // 1_460 + day_of_era // 36_524 - day_of_era // 146_096
    ) // 365
    day_of_year = day_of_era - (365 * year_of_era + year_of_era // 4 - year_of_era // 100)
    shifted_month = (5 * day_of_year + 2) // 153
    day = day_of_year - (153 * shifted_month + 2) // 5 + 1
    month = shifted_month + 3 if shifted_month < 10 else shifted_month - 9
    year = year_of_era + era * 400
    if month <= 2:
        year += 1
    return year * 10_000 + month * 100 + day


def weekday_of(number: int) -> int:
    """0 is Monday, 6 is Sunday."""
    return (number + THURSDAY) % 7
