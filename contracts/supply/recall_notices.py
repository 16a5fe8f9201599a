"""Who is told of a recall, what they are told, and whether it reached them.

The holders are looked for by timed calls: every organisation that ever had any of what the batch
contract holds for the recall, also those who sold it on. Each gets a notice, and a new one whenever
the class, the strategy or the scope changes.
"""

from __future__ import annotations

from typing import Any, Final

from contracts.sdk import Contract, Map, OrganisationId, call, query, refuse, timed
from contracts.supply.recall_records import (
    CLASSIFIED,
    ITEMS_MAX,
    ONGOING,
    RUNNING,
    SHOWN_MAX,
    STARTED,
    URGENT,
    Announcement,
    CheckMethod,
    CheckOutcome,
    Found,
    Goods,
    Notice,
    Number,
    Position,
    Recall,
    Widening,
)

THINGS_WALKED: Final = 20  # held things that one timed call looks at
ENTRIES_LOOKED: Final = 150  # flows and such after which it leaves the other things, too
NOTICES_SENT: Final = 30  # notices after which one timed call leaves the rest to the next
WORKERS: Final = 4  # timed calls that work on one recall's notices in each block
OK_OUTCOME: Final = "EFFECTIVE"


class Notices(Contract):
    """Notices, acknowledgements and effectiveness checks."""

    recalls = Map(Recall, key=("number",))
    announcements = Map(Announcement, key=("number",))
    scopes = Map(Goods, key=("number", "position"))
    widenings = Map(Widening, key=("number", "widening"))
    notices = Map(Notice, key=("number", "holder"))

    # --- telling ----------------------------------------------------------------------------

    @call
    def notify(self, number: Number) -> None:
        """Look for holders once more: for those who have turned up since, or where the timed calls
        stopped, out of their organisation's quota.
        """
        recall = self._acting(number, STARTED)
        if recall.strategy is None:
            refuse("STRATEGY_MISSING", "the notice says what consignees are to do")
        recall.walk_holding, recall.walk_position, recall.walk_holder = 0, 0, ""
        recall.walking = True
        self.recalls.put(number, recall)
        self.due(self.ctx.time_ms, "send_notices", number=number)

    @timed
    def send_notices(self, number: Number) -> None:
        """Find the holders of the next held things, and send them their notices."""
        recall = self._recall(number)
        if not recall.walking:
            return
        if recall.walk_holding < len(recall.holdings):
            self._walk_on(number, recall)
        if recall.walk_holding >= len(recall.holdings):
            recall.walking = False
            self.emit("NoticesSent", number=number, notices=recall.notices)
        else:
            self.due(self.ctx.time_ms, "send_notices", number=number)
        self.recalls.put(number, recall)

    # --- answering --------------------------------------------------------------------------

    @call(meaning="responsibility")
    def acknowledge(self, number: Number, found: Found, notified_accounts: bool = False) -> None:
        """Confirm the own notice: what was found, and whether those it was sold on to were told.

        A later one replaces it, and stands beside it in the audit trail. What was confirmed
        before the recall was widened no longer counts.
        """
        recall = self._recall(number)
        if recall.state not in STARTED:
            refuse("WRONG_STATE", f"recall {number} is {recall.state}")
        notice = self._notice(number, self.ctx.organisation)
        if notice.acknowledged < recall.scope_revision <= notice.revision:
            recall.acknowledged += 1
            self.recalls.put(number, recall)
        notice.acknowledged, notice.acknowledged_at = notice.revision, self.ctx.time_ms
        notice.found, notice.notified_accounts = found, notified_accounts
        self.notices.put((number, notice.holder), notice)
        self.emit(
            "NoticeAcknowledged",
            number=number,
            holder=notice.holder,
            revision=notice.revision,
            found=found,
            notified_accounts=notified_accounts,
        )

    @call(meaning="review")
    def check_effectiveness(
        self, number: Number, holder: OrganisationId, outcome: CheckOutcome, method: CheckMethod
    ) -> None:
        """Take down whether a holder was reached and has acted (21 CFR 7.42(b)(3)).

        A check from before the recall was widened no longer counts.
        """
        recall = self._acting(number, RUNNING)
        notice = self._notice(number, holder)
        if notice.revision < recall.scope_revision:
            refuse("NOTICE_PENDING", f"{holder} has not got the notice of the wider recall yet")
        if notice.checked >= recall.scope_revision:
            recall.checked -= 1
            recall.effective -= 1 if notice.outcome == OK_OUTCOME else 0
        recall.checked += 1
        recall.effective += 1 if outcome == OK_OUTCOME else 0
        notice.checked, notice.outcome, notice.method = notice.revision, outcome, method
        notice.checked_by, notice.checked_at = self.ctx.organisation, self.ctx.time_ms
        self.notices.put((number, holder), notice)
        self.recalls.put(number, recall)
        self.emit(
            "EffectivenessChecked", number=number, holder=holder, outcome=outcome, method=method
        )

    # --- asking -----------------------------------------------------------------------------

    @query
    def notice(self, number: Number, holder: OrganisationId) -> dict[str, Any] | None:
        """A holder's notice, in full (21 CFR 7.49(c)); None where it has none."""
        sent = self.notices.get((number, holder))
        recall = self._recall(number)
        if sent is None or recall.strategy is None:
            return None
        return {
            "recall": number,
            "to": holder,
            "urgent": sent.urgent,
            "recall_class": recall.recall_class,
            "firm": recall.firm,
            "announcement": self.announcements.get(number),
            "scope": list(self.scopes.values(number, limit=ITEMS_MAX)),
            "named": recall.named,  # where there are more, ``scope`` has the rest
            "widenings": list(self.widenings.values(number)),
            "depth": recall.strategy.depth,
            "disposal": recall.strategy.disposal,
            "stop_distribution": True,
            "notify_own_accounts": True,
            "state": sent,
        }

    @query
    def notices_of(self, number: Number, after: str = "") -> list[Notice]:
        """The notices of a recall by holder: the first hundred behind one."""
        found: list[Notice] = []
        for notice in self.notices.values(number):
            if notice.holder > after:
                found.append(notice)
                if len(found) == SHOWN_MAX:
                    return found
        return found

    @query
    def scope(self, number: Number, start: Position = 0) -> list[Goods]:
        """What a recall names, from one place on."""
        found: list[Goods] = []
        for position in range(start, start + ITEMS_MAX):
            goods = self.scopes.get((number, position))
            if goods is None:
                return found
            found.append(goods)
        return found

    # --- how --------------------------------------------------------------------------------

    def _recall(self, number: int) -> Recall:
        recall = self.recalls.get(number)
        if recall is None:
            refuse("UNKNOWN_RECALL", f"there is no recall {number}")
        return recall

    def _acting(self, number: int, states: tuple[str, ...]) -> Recall:
        """A recall in one of these states, of whose firm the caller is, or a regulator."""
        recall = self._recall(number)
        if recall.firm != self.ctx.organisation and "regulator" not in self.ctx.roles:
            refuse("NOT_RECALLING_FIRM", f"recall {number} is {recall.firm}'s")
        if recall.state not in states:
            refuse("WRONG_STATE", f"recall {number} is {recall.state}")
        return recall

    def _notice(self, number: int, holder: str) -> Notice:
        notice = self.notices.get((number, holder))
        if notice is None:
            refuse("NO_NOTICE", f"recall {number} has no notice to {holder}")
        return notice

    def _revise(self, number: int, recall: Recall) -> None:
        """The notice says something else from now on: it goes to everybody once more."""
        recall.revision += 1
        if recall.strategy is not None:
            recall.walk_holding, recall.walk_position, recall.walk_holder = 0, 0, ""
            if not recall.walking:
                recall.walking = True
                for _ in range(WORKERS):
                    self.due(self.ctx.time_ms, "send_notices", number=number)
            if recall.state == CLASSIFIED:
                self._enter_state(number, recall, ONGOING)
        self.recalls.put(number, recall)

    def _enter_state(self, number: int, recall: Recall, state: str) -> None:
        recall.state = state
        self.emit("StateChanged", number=number, state=state)

    def _walk_on(self, number: int, recall: Recall) -> None:
        """Send the notices to the holders of the next held things."""
        holding = recall.holdings[recall.walk_holding]
        start, sent, looked = recall.walk_position, 0, 0
        things = self.invoke(
            "batch", "held_things", number=holding, start=start, limit=THINGS_WALKED
        )
        for item in things:
            if looked > ENTRIES_LOOKED:
                return
            had = self.invoke("batch", "holders_of", item=item)
            looked += had["looked"]
            for holder in had["holders"]:
                if sent == NOTICES_SENT:
                    return  # on with this thing, from this holder on
                if holder > recall.walk_holder:
                    recall.walk_holder = holder
                    if holder != recall.firm and self._send(number, recall, holder):
                        sent += 1
            if not had["complete"]:  # those who were found are told; others by other means
                self.emit("HoldersMissing", number=number, item=item)
            recall.walk_position, recall.walk_holder = recall.walk_position + 1, ""
        spread = self.invoke("batch", "holding", number=holding)
        done = spread["complete_to"] > 0 or spread["lifting"]
        if done and recall.walk_position >= spread["count"]:
            recall.walk_holding, recall.walk_position = recall.walk_holding + 1, 0

    def _send(self, number: int, recall: Recall, holder: str) -> bool:
        """Send a holder the newest notice, if it has not got it; whether that was needed."""
        notice = self.notices.get((number, holder))
        if notice is not None and notice.revision == recall.revision:
            return False
        if notice is None:
            recall.notices += 1
            notice = Notice(holder, 0, self.ctx.time_ms, 0, False)
        notice.revision, notice.sent_at = recall.revision, self.ctx.time_ms
        notice.urgent = recall.recall_class in URGENT
        self.notices.put((number, holder), notice)
        self.emit(
            "NoticeSent",
            number=number,
            holder=holder,
            revision=notice.revision,
            urgent=notice.urgent,
        )
        return True
