"""Every method of the calendar contract, called with success somewhere; and some refusals."""

from __future__ import annotations

from contracts.trade.days import date_of, number_of
from tests.conformance.carriage import Scenario


def calendars(scenario: Scenario) -> None:
    """A week, holidays, one taken back; and days counted over them."""
    kit = scenario.kit
    kit.organisation("savings", ("bank", "bank_admin"))
    bank, today = kit.id("savings"), kit.time_ms // 86_400_000
    days = [date_of(today + ahead) for ahead in (29, 30, 31, 37)]

    for args in ({"days": days[:1]}, {"days": days[1:]}):
        scenario.call("savings", "calendar", "close", **args)
    for weekend in ([4, 5], [5, 5], []):
        scenario.call("savings", "calendar", "set_week", start=days[2], weekend=weekend,
                      utc_offset=-210)  # fmt: skip
    for day in (days[2], days[2], days[0]):
        scenario.call("savings", "calendar", "open", days=[day])
    for start in (19691230, 20240228, days[0], days[1]):
        scenario.ask("calendar", "is_banking_day", bank=bank, day=start)
        scenario.ask("calendar", "next_banking_day", bank=bank, day=start)
        scenario.ask("calendar", "local_day", bank=bank, time=max(0, number_of(start)) * 86_400_000)
        for count in (0, 5, 60):
            scenario.ask("calendar", "add_banking_days", bank=bank, day=start, count=count)
        scenario.ask("calendar", "banking_days", bank=bank, start=start, end=days[3])
    scenario.ask("calendar", "calendar", bank=bank, start=days[0])
