"""Bank calendars: on which days a bank is open, said by the bank itself, ahead of time.

Deadlines of credits count banking days: days on which a bank is regularly open where the act is to
be performed (UCP 600 art. 2). Holidays come from no library, whose dates change by release: each
bank's administrator closes days, and says which days of the week are its weekend and how far its
clock is from UTC. What is said holds from thirty days ahead on, so that no deadline that runs is
made longer or shorter; force majeure extends none anyway (art. 36). A bank that has said nothing is
closed on Saturdays and Sundays, by UTC.
"""

from __future__ import annotations

from typing import Annotated, Any, Final

from contracts.sdk import (
    Contract,
    Date,
    Int,
    Map,
    OrganisationId,
    Record,
    Size,
    Timestamp,
    call,
    query,
    refuse,
)
from contracts.trade.days import DAY_MS, date_of, number_of, weekday_of

NOTICE_DAYS: Final = 30
CLOSED_MAX: Final = 40  # days of one year; so five banking days end within three months
WEEKS_MAX: Final = 50  # weeks that a bank ever had
BANKING_DAYS_MAX: Final = 60
SPAN_DAYS_MAX: Final = 800
SEARCH_DAYS_MAX: Final = 400
SHOWN_MAX: Final = 200
MINUTE_MS: Final = 60_000
SATURDAY: Final = 5
SUNDAY: Final = 6
BANKS: Final = ("bank", "nbfc")

Weekday = Annotated[int, Int(0, 6)]
Days = Annotated[list[Date], Size(CLOSED_MAX, 1)]
Count = Annotated[int, Int(0, BANKING_DAYS_MAX)]


class Week(Record):
    """A bank's week from one day on: 0 is Monday. ``utc_offset`` is in minutes, the year round."""

    weekend: Annotated[list[Weekday], Size(3)]
    utc_offset: Annotated[int, Int(-720, 840)]


USUAL: Final = (SATURDAY, SUNDAY)


class Calendars(Contract):
    """The days on which banks are open."""

    name = "calendar"
    audited = True

    weeks = Map(Week, key=("bank", "day"))  # the day's number from which on it holds
    closed = Map(bool, key=("bank", "day"))

    @call(roles=("bank_admin",), meaning="responsibility")
    def set_week(
        self,
        start: Date,
        weekend: Annotated[list[Weekday], Size(3)],
        utc_offset: Annotated[int, Int(-720, 840)] = 0,
    ) -> None:
        """Say, as a bank, which days of the week are its weekend from a day on."""
        bank = self._bank()
        self._check_notice(bank, start)
        free = sorted(weekend)
        for at in range(1, len(free)):
            if free[at] == free[at - 1]:
                refuse("DAY_TWICE", f"day {free[at]} of the week stands twice")
        day = number_of(start)
        if (bank, day) not in self.weeks and len(list(self.weeks.keys(bank))) == WEEKS_MAX:
            refuse("TOO_MANY_WEEKS", f"a bank changes its week at most {WEEKS_MAX} times")
        self.weeks.put((bank, day), Week(free, utc_offset))
        self.emit("WeekSet", bank=bank, start=start, weekend=free, utc_offset=utc_offset)

    @call(roles=("bank_admin",), meaning="responsibility")
    def close(self, days: Days) -> None:
        """Say, as a bank, on which days it is closed beside its weekends."""
        bank = self._bank()
        for date in days:
            self._check_notice(bank, date)
            self.closed.put((bank, number_of(date)), True)
        known: dict[int, int] = {}  # year -> closed days
        for key in self.closed.keys(bank):
            year = date_of(key[1]) // 10_000
            known[year] = known.get(year, 0) + 1
        for date in days:
            if known[date // 10_000] > CLOSED_MAX:
                refuse("TOO_MANY_CLOSED", f"a bank closes at most {CLOSED_MAX} days of a year")
        self.emit("Closed", bank=bank, days=days)

    @call(roles=("bank_admin",), meaning="responsibility")
    def open(self, days: Days) -> None:
        """Take closed days back."""
        bank = self._bank()
        for date in days:
            self._check_notice(bank, date)
            if (bank, number_of(date)) not in self.closed:
                refuse("NOT_FOUND", f"{date} was not closed")
            self.closed.delete((bank, number_of(date)))
        self.emit("Opened", bank=bank, days=days)

    # --- asking -----------------------------------------------------------------------------

    @query
    def is_banking_day(self, bank: OrganisationId, day: Date) -> bool:
        """Whether the bank is open on a day."""
        return self._is_open(bank, number_of(day))

    @query
    def next_banking_day(self, bank: OrganisationId, day: Date) -> int:
        """The day, or the first one after it on which the bank is open (UCP 600 art. 29(a)). Not
        for the latest date of shipment, which a closure does not extend (29(c))."""
        return date_of(self._after(bank, number_of(day) - 1, 1))

    @query
    def add_banking_days(self, bank: OrganisationId, day: Date, count: Count) -> dict[str, Any]:
        """The last of so many banking days following a day, and when it ends at the bank, ms.

        Five banking days following the day of presentation (14(b)) end with ``end_ms``.
        """
        last = self._after(bank, number_of(day), count)
        return {"day": date_of(last), "end_ms": self._end_ms(bank, last)}

    @query
    def banking_days(self, bank: OrganisationId, start: Date, end: Date) -> int:
        """How many banking days follow ``start`` up to ``end`` and with it."""
        first, last = number_of(start), number_of(end)
        if last - first > SPAN_DAYS_MAX:
            refuse("SPAN_TOO_LONG", f"at most {SPAN_DAYS_MAX} days are counted")
        found = 0
        weeks = self._weeks(bank)
        for day in range(first + 1, last + 1):
            if self._is_open_in(bank, weeks, day):
                found += 1
        return found

    @query
    def local_day(self, bank: OrganisationId, time: Timestamp) -> int:
        """The date at the bank at a moment: the day of presentation, for one."""
        week = self._week(self._weeks(bank), time // DAY_MS)
        offset = week.utc_offset if week is not None else 0
        return date_of((time + offset * MINUTE_MS) // DAY_MS)

    @query
    def calendar(self, bank: OrganisationId, start: Date) -> dict[str, Any]:
        """What a bank has said: its weeks, and the first two hundred closed days from a day on."""
        first = number_of(start)
        days = [key[1] for key in self.closed.keys(bank) if key[1] >= first]
        return {
            "weeks": [{"start": date_of(day), "week": week} for day, week in self._weeks(bank)],
            "closed": [date_of(day) for day in days[:SHOWN_MAX]],
        }

    # --- how --------------------------------------------------------------------------------

    def _bank(self) -> str:
        bank = self.ctx.organisation
        found = self.invoke("identity", "organisation", id=bank)
        for role in found["roles"]:
            if role in BANKS:
                return bank
        refuse("NOT_A_BANK", f"{bank} is no bank or other financier")

    def _check_notice(self, bank: str, date: int) -> None:
        """Refuse what would hold sooner than the notice, as the bank's own clock has it."""
        today = number_of(self.local_day(bank, self.ctx.time_ms))
        if number_of(date) < today + NOTICE_DAYS:
            refuse("NOTICE_TOO_SHORT", f"a calendar is changed {NOTICE_DAYS} days ahead")

    def _weeks(self, bank: str) -> list[tuple[int, Week]]:
        """Days' numbers and the weeks that hold from them on, in order."""
        return [(key[1], week) for key, week in self.weeks.items(bank, limit=WEEKS_MAX)]

    def _week(self, weeks: list[tuple[int, Week]], day: int) -> Week | None:
        found: Week | None = None
        for start, week in weeks:
            if start <= day:
                found = week
        return found

    def _is_open(self, bank: str, day: int) -> bool:
        return self._is_open_in(bank, self._weeks(bank), day)

    def _is_open_in(self, bank: str, weeks: list[tuple[int, Week]], day: int) -> bool:
        week = self._week(weeks, day)
        weekend = week.weekend if week is not None else list(USUAL)
        return weekday_of(day) not in weekend and (bank, day) not in self.closed

    def _after(self, bank: str, day: int, count: int) -> int:
        """The last of so many banking days after a day; without any, the day itself."""
        weeks, left = self._weeks(bank), count
        for _ in range(SEARCH_DAYS_MAX):
            if left == 0:
                return day
            day += 1
            if self._is_open_in(bank, weeks, day):
                left -= 1
        refuse("SPAN_TOO_LONG", f"{count} banking days take more than {SEARCH_DAYS_MAX} days")

    def _end_ms(self, bank: str, day: int) -> int:
        """The last millisecond of a day by the bank's clock."""
        week = self._week(self._weeks(bank), day)
        offset = week.utc_offset if week is not None else 0
        return (day + 1) * DAY_MS - offset * MINUTE_MS - 1
