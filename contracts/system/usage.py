"""Usage: what each organisation has used of the chain, and what it may.

The runtime counts, per organisation and period of block time: steps, bytes of transactions, calls
and transactions, successful or not. Counts begin at 0 with each period and never fall within one.
A transaction that begins with a quota of steps used up, or that would pass one of bytes or calls,
is not executed (QUOTA_EXCEEDED); its bytes and calls are counted all the same. A quota of 0 is no
limit. Quotas and the length of a period are set by vote alone.
"""

from __future__ import annotations

from typing import Annotated, Any, Final

from contracts.sdk import Contract, Int, Map, OrganisationId, Record, call, genesis, query, refuse

DAY_MS: Final = 86_400_000
LIST_MAX: Final = 1_000
# Who is left less could not even vote for more.
STEPS_LEAST: Final = 1_000_000
BYTES_LEAST: Final = 65_536
CALLS_LEAST: Final = 256

Amount = Annotated[int, Int(0)]
Period = Annotated[int, Int(60_000, 366 * DAY_MS)]


class Used(Record):
    period: int  # counted from 1970: block time divided by the period's length
    steps: int = 0
    bytes: int = 0
    calls: int = 0
    transactions: int = 0


class Quota(Record):
    steps: int = 0
    bytes: int = 0
    calls: int = 0


class Usage(Contract):
    """Counters and quotas of organisations."""

    name = "usage"
    audited = True

    used = Map(Used, key=("organisation",))  # written by the runtime, at the end of each block
    quotas = Map(Quota, key=("organisation",))
    settings = Map(int, key=("name",))

    @genesis
    def found(self, period_ms: Period = DAY_MS) -> None:
        """How long a period is."""
        self.settings.put("period_ms", period_ms)

    @call(contracts=("governance",))
    def set_quota(
        self, organisation: OrganisationId, steps: Amount, bytes: Amount, calls: Amount
    ) -> None:
        """What an organisation may use in a period."""
        self.check_quota(steps, bytes, calls)
        self.quotas.put(organisation, Quota(steps, bytes, calls))
        self.emit("QuotaSet", organisation=organisation, steps=steps, bytes=bytes, calls=calls)

    @call(contracts=("governance",))
    def set_period(self, period_ms: Period) -> None:
        """How long a period is from now on."""
        self.settings.put("period_ms", period_ms)
        self.emit("UsagePeriodSet", period_ms=period_ms)

    @query
    def check_quota(self, steps: Amount, bytes: Amount, calls: Amount) -> None:
        """Refuse a quota that leaves less than one whole transaction."""
        for name, given, least in (
            ("steps", steps, STEPS_LEAST),
            ("bytes", bytes, BYTES_LEAST),
            ("calls", calls, CALLS_LEAST),
        ):
            if given and given < least:
                refuse("BAD_QUOTA", f"{name}: 0 for no limit, or at least {least}")

    @query
    def used_by(self, organisation: OrganisationId) -> dict[str, Any]:
        """What an organisation has used in the present period."""
        return self._row(organisation, self.used.get(organisation))

    @query
    def quota(self, organisation: OrganisationId) -> Quota:
        """What an organisation may use in a period."""
        return self.quotas.get(organisation) or Quota()

    @query
    def report(self) -> dict[str, Any]:
        """The present period, and what each organisation has used in it: the first thousand."""
        length = self._period_ms()
        start = self._period() * length
        rows = [self._row(name, used) for name, used in self.used.items(limit=LIST_MAX)]
        return {"from_ms": start, "until_ms": start + length, "organisations": rows}

    def _row(self, organisation: str, used: Used | None) -> dict[str, Any]:
        if used is None or used.period != self._period():
            used = Used(self._period())
        return {
            "organisation": organisation,
            "steps": used.steps,
            "bytes": used.bytes,
            "calls": used.calls,
            "transactions": used.transactions,
        }

    def _period_ms(self) -> int:
        return self.settings.get("period_ms") or DAY_MS

    def _period(self) -> int:
        return self.ctx.time_ms // self._period_ms()
