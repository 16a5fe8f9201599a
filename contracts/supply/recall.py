"""Recalls: the procedure of 21 CFR 7.40 to 7.59 on goods of the batch contract.

::

    DRAFT -> INITIATED -> CLASSIFIED -> ONGOING -> COMPLETED -> TERMINATED

The maker of the goods initiates, or a regulator. From that moment on they are held, with all that
was made of them: they are not shipped, sold, dispensed or used, and arrive in quarantine. Only
regulators classify (7.41) and terminate (7.55); the class stands apart from the state, and a new
one does not replace the old. The strategy says how far the recall goes and how it is checked
(7.42); with it the notices go out (7.49), to everybody who ever had any of the goods. Held goods go
back to the recalling firm, or are destroyed where they are if the strategy says so, or the firm or
a regulator consents. The recall is ONGOING once it is
classified and its notices are on their way; the firm completes it when all were told and enough of
them checked, and says why where goods are outstanding. What is left stays held after the end, too,
until it is back or destroyed, or a regulator frees it.

Product, reason and code information are public, as the law has it (7.50).
"""

from __future__ import annotations

from typing import Annotated, Any, Final

from contracts.sdk import (
    Counter,
    Int,
    Map,
    OrganisationId,
    Task,
    Text,
    call,
    query,
    refuse,
)
from contracts.supply.recall_board import (
    LOT_AT,
    contradicted,
    count_lot,
    count_serial,
    finished,
    goods_of,
    is_lot,
    row_of,
    tables,
    totals_of,
)
from contracts.supply.recall_records import (
    CLASSIFIED,
    COMPLETED,
    DRAFT,
    INITIATED,
    LEVEL_PERCENT,
    ONGOING,
    SHOWN_MAX,
    STARTED,
    TERMINATED,
    UNCLASSIFIED,
    WIDENINGS_MAX,
    Announcement,
    Classification,
    Depth,
    Disposal,
    DocumentCommitment,
    Goods,
    Grounds,
    Level,
    Lots,
    Number,
    Position,
    Recall,
    RecallClass,
    Scope,
    Strategy,
    Widening,
)
from contracts.supply.recall_returns import Returns

BOARD_PAGE: Final = 50  # held things that are read at once
BOARD_THINGS_MAX: Final = 500  # held things whose figures one answer of the dashboard counts
BOARD_FLOWS_MAX: Final = 3_000  # flows and uses after which it leaves the rest to the next
COMPLETING_FLOWS_MAX: Final = 500  # what completing looks through for outstanding goods
REPORT_ROWS_MAX: Final = 1_000
LISTED_CHARACTERS: Final = 200  # of a product, in a list of recalls
LEVEL_B: Final = "B"


class Recalls(Returns):
    """Recalls, from the first draft to the regulator's termination."""

    name = "recall"
    audited = True

    numbers = Counter()
    named_lots = Map(Lots, key=("number",))
    classifications = Map(Classification, key=("number", "classification"))

    # --- initiating -------------------------------------------------------------------------

    @call(roles=("manufacturer", "regulator"))
    def draft(
        self,
        announcement: Announcement,
        items: Scope | None = None,
        lots: Lots | None = None,
        firm: OrganisationId | None = None,
    ) -> int:
        """Prepare a recall; nothing is held yet. The answer is its number.

        ``items`` are what is recalled, as far as it is known by GTIN; ``lots`` are lots of which
        no more than the number is certain. A regulator names the recalling firm.
        """
        number = self._draft(announcement, items or [], lots or [], firm)
        self.emit("RecallDrafted", number=number, firm=self._recall(number).firm)
        return number

    @call(roles=("manufacturer", "regulator"))
    def start(self, number: Number) -> None:
        """Initiate a recall that was drafted."""
        recall = self._acting(number, (DRAFT,))
        self._start(number, recall)

    @call(roles=("manufacturer", "regulator"))
    def initiate(
        self,
        announcement: Announcement,
        items: Scope | None = None,
        lots: Lots | None = None,
        firm: OrganisationId | None = None,
    ) -> int:
        """Draft and initiate at once: the recall's number."""
        number = self._draft(announcement, items or [], lots or [], firm)
        self._start(number, self._recall(number))
        return number

    @call(roles=("manufacturer", "regulator"))
    def widen(
        self,
        number: Number,
        reason: Annotated[str, Text(4_000)],
        items: Scope | None = None,
        lots: Lots | None = None,
        codes: Annotated[str, Text(20_000, 0)] = "",
    ) -> None:
        """Extend a recall to more goods, at any time before it is terminated.

        What came back so far stays counted; acknowledgements and checks are wanted anew. A
        completed recall goes on.
        """
        recall = self._acting(number, STARTED)
        if not items and not lots and not codes:
            refuse("NOTHING_RECALLED", "say what the recall is extended to")
        if recall.widenings == WIDENINGS_MAX:
            refuse("TOO_MANY_WIDENINGS", f"a recall is extended at most {WIDENINGS_MAX} times")
        if recall.state == COMPLETED:
            self._enter_state(number, recall, ONGOING)
        self._enter_scope(number, recall, items or [])
        holding = self._hold(number, recall, items or [])
        recall.widenings += 1
        self.widenings.put(
            (number, recall.widenings),
            Widening(
                self.ctx.organisation,
                self.ctx.time_ms,
                reason,
                codes,
                len(items or []),
                lots or [],
                holding,
            ),
        )
        recall.scope_revision = recall.revision + 1
        recall.acknowledged, recall.checked, recall.effective = 0, 0, 0
        self._revise(number, recall)
        self.emit("RecallWidened", number=number, items=len(items or []), holding=holding)

    # --- class and strategy -----------------------------------------------------------------

    @call(roles=("regulator",), meaning="approval")
    def classify(
        self,
        number: Number,
        recall_class: RecallClass,
        evaluation: DocumentCommitment | None = None,
    ) -> None:
        """Give a recall its first class: a regulator's alone (21 CFR 7.41(b))."""
        recall = self._acting(number, (INITIATED,))
        self._enter_state(number, recall, CLASSIFIED)
        self._classify(number, recall, recall_class, evaluation)

    @call(roles=("regulator",), meaning="approval")
    def reclassify(
        self,
        number: Number,
        recall_class: RecallClass,
        evaluation: DocumentCommitment | None = None,
    ) -> None:
        """Give a recall another class. The old ones stay on record."""
        recall = self._acting(number, (CLASSIFIED, ONGOING, COMPLETED))
        if recall.recall_class == recall_class:
            refuse("SAME_CLASS", f"recall {number} is of class {recall_class}")
        self._classify(number, recall, recall_class, evaluation)

    @call(roles=("manufacturer", "regulator"))
    def set_strategy(
        self,
        number: Number,
        depth: Depth,
        level: Level,
        disposal: Disposal,
        percent: Annotated[int, Int(11, 99)] | None = None,
    ) -> None:
        """Say how far the recall goes, which part of the consignees is checked, and what they do
        with the goods. The notices go out; after a change, once more.

        ``percent`` is level B's; of the others it follows (A 100, C 10, D 2, E 0).
        """
        recall = self._acting(number, STARTED)
        if (level == LEVEL_B) != (percent is not None):
            refuse("BAD_PERCENT", "level B has a percentage of its own, and it alone")
        part = percent or 0
        for name, value in LEVEL_PERCENT:
            if name == level:
                part = value
        recall.strategy = Strategy(depth, level, part, disposal)
        self._revise(number, recall)
        self.emit("StrategySet", number=number, depth=depth, level=level, disposal=disposal)

    # --- ending -----------------------------------------------------------------------------

    @call(roles=("manufacturer", "regulator"), meaning="responsibility")
    def complete(self, number: Number, explanation: Grounds | None = None) -> None:
        """Say that everything was done: all holders were told, and enough of them checked.

        ``explanation`` says, for everybody to read, why goods are outstanding; it must be given
        where there are any, or more held things than can be looked through here.
        """
        recall = self._acting(number, (ONGOING,))
        if recall.walking:
            refuse("NOTICES_PENDING", "holders are still being looked for")
        wanted = checks_wanted(recall)
        if recall.effective < wanted:
            refuse("CHECKS_MISSING", f"{recall.effective} of {wanted} checks found it effective")
        if explanation is None:
            self._check_accounted_for(number, recall)
        recall.explanation = explanation or ""
        recall.completed_at = self.ctx.time_ms
        self._enter_state(number, recall, COMPLETED)
        self.recalls.put(number, recall)

    @call(roles=("regulator",), meaning="approval")
    def terminate(self, number: Number) -> None:
        """End a recall: a regulator's alone (21 CFR 7.55).

        What is left of the goods stays held: it may go back or be destroyed, or is released.
        """
        recall = self._acting(number, (COMPLETED,))
        recall.terminated_at = self.ctx.time_ms
        self._enter_state(number, recall, TERMINATED)
        self.recalls.put(number, recall)

    @call(roles=("regulator",), meaning="approval")
    def release(self, number: Number, grounds: Grounds) -> None:
        """Free what is left of the goods of a recall that has ended: a regulator's alone.

        ``grounds`` are public: that what is left was corrected, say, or was recalled in error.
        """
        recall = self._acting(number, (TERMINATED,))
        if recall.released_at:
            refuse("WRONG_STATE", f"the goods of recall {number} are free already")
        recall.released_at, recall.grounds = self.ctx.time_ms, grounds
        self.recalls.put(number, recall)
        self.emit("GoodsReleased", number=number)
        for holding in recall.holdings:
            self.invoke("batch", "lift", number=holding)

    # --- asking -----------------------------------------------------------------------------

    @query
    def recall(self, number: Number) -> dict[str, Any] | None:
        """A recall: how it stands, what is public of it, its classes, widenings and lots."""
        found = self.recalls.get(number)
        if found is None:
            return None
        return {
            "number": number,
            "recall": found,
            "announcement": self.announcements.get(number),
            "scope": self.scope(number)[:SHOWN_MAX],
            "lots": self.named_lots.get(number) or [],
            "classifications": list(self.classifications.values(number, limit=SHOWN_MAX)),
            "widenings": list(self.widenings.values(number)),
            "checks_wanted": checks_wanted(found),
        }

    @query
    def recall_list(self, after: Position = 0) -> list[dict[str, Any]]:
        """Recalls by number, each with how its product begins: the first hundred behind one."""
        found = []
        for number in range(after + 1, min(after + SHOWN_MAX, self.numbers.value) + 1):
            announced = self.announcements.get(number)
            product = announced.product[:LISTED_CHARACTERS] if announced is not None else ""
            found.append({"number": number, "recall": self._recall(number), "product": product})
        return found

    @query
    def dashboard(
        self, number: Number, holding: Position = 0, start: Position = 0
    ) -> dict[str, Any]:
        """What was distributed, and where it is now: by lot, by holder and by day of recording; and
        ``contradictions``, the answers of holders that the ledger speaks against.

        The figures of the recall's held things from one place on; ``next`` is the place where the
        rest begins, to be asked for and added up, or None.
        """
        recall = self._recall(number)
        rows, more = self._board(number, recall, holding, start)
        against = self._contradictions(number, recall, rows)
        return {
            "recall": number,
            "state": recall.state,
            "rows": rows,
            "contradictions": against,
            "next": more,
        }

    @query
    def goods_at(
        self, number: Number, holder: OrganisationId, holding: Position = 0, start: Position = 0
    ) -> dict[str, Any]:
        """What one holder has of the goods, by lot and serial, what others made of them among it:
        how much came to it in all, is left, and is on its way there.

        Of the recall's held things from one place on; ``next`` as in the dashboard.
        """
        recall = self._recall(number)
        goods: list[dict[str, Any]] = []
        accounts, more = self._accounts(number, recall, holding, start, BOARD_FLOWS_MAX)
        for account in accounts:
            found = goods_of(account, holder, recall.firm, recall.initiated_on)
            if found is not None:
                goods.append(found)
        return {"goods": goods, "next": more}

    @query
    def report(self, number: Number) -> dict[str, Any] | None:
        """Everything of a recall in one answer; ``complete`` says whether it is all."""
        recall = self.recalls.get(number)
        if recall is None:
            return None
        rows, more = self._board(number, recall, 0, 0)
        notices = list(self.notices.values(number, limit=REPORT_ROWS_MAX + 1))
        scope = self.scope(number)
        complete = more is None and len(notices) <= REPORT_ROWS_MAX
        by_holder, by_day = tables(rows)
        return {
            "number": number,
            "complete": complete and len(scope) == recall.named and recall.returns <= SHOWN_MAX,
            "recall": recall,
            "announcement": self.announcements.get(number),
            "scope": scope,
            "lots": self.named_lots.get(number) or [],
            "classifications": list(self.classifications.values(number, limit=SHOWN_MAX)),
            "widenings": list(self.widenings.values(number)),
            "totals": [totals_of(row) for row in rows],
            "by_holder": by_holder,
            "by_day": by_day,
            "contradictions": self._contradictions(number, recall, rows),
            "checks_wanted": checks_wanted(recall),
            "notices": notices[:REPORT_ROWS_MAX],
            "returns": self.returns_of(number),
            "consents": list(self.consents.values(number, limit=SHOWN_MAX)),
        }

    @query
    def tasks(self, organisation: OrganisationId, after: Position = 0) -> dict[str, Any]:
        """What the hundred recalls behind one wait for, from an organisation or, where it recalls,
        from others; of those who are to acknowledge, the first hundred."""
        known = self.invoke("identity", "organisation", id=organisation)
        is_regulator = known is not None and "regulator" in known["roles"]
        last = min(after + SHOWN_MAX, self.numbers.value)
        found: list[Task] = []
        for number in range(after + 1, last + 1):
            recall = self._recall(number)
            if is_regulator and recall.state in (INITIATED, COMPLETED):
                method = "classify" if recall.state == INITIATED else "terminate"
                since = recall.initiated_at if method == "classify" else recall.completed_at
                found.append(task_of(number, organisation, method, ["regulator"], since))
            if organisation in (recall.firm, recall.by):
                found.extend(self._tasks_of_firm(number, recall))
                for notice in self.notices.values(number, limit=SHOWN_MAX):
                    found.extend(self._tasks_of_holder(number, recall, notice.holder))
            else:
                found.extend(self._tasks_of_holder(number, recall, organisation))
        return {"tasks": found, "next": last if last < self.numbers.value else 0}

    # --- how --------------------------------------------------------------------------------

    def _tasks_of_firm(self, number: int, recall: Recall) -> list[Task]:
        roles, since = ["manufacturer", "regulator"], recall.initiated_at
        method = ""
        if recall.state == DRAFT:
            method, since = "start", recall.drafted_at
        elif recall.state in STARTED and recall.strategy is None:
            method = "set_strategy"
        elif recall.state == ONGOING and not recall.walking:
            checked = recall.effective >= checks_wanted(recall)
            method = "complete" if checked else "check_effectiveness"
        return [task_of(number, recall.firm, method, roles, since)] if method else []

    def _tasks_of_holder(self, number: int, recall: Recall, holder: str) -> list[Task]:
        notice = self.notices.get((number, holder))
        waits = notice is not None and notice.acknowledged < recall.scope_revision
        if notice is None or not waits or recall.state not in STARTED:
            return []
        return [task_of(number, holder, "acknowledge", [], notice.sent_at)]

    def _draft(
        self, announcement: Announcement, items: list[Goods], lots: list[str], firm: str | None
    ) -> int:
        is_regulator = "regulator" in self.ctx.roles
        if firm is None and "manufacturer" not in self.ctx.roles:
            refuse("FIRM_MISSING", "a regulator names the recalling firm")
        if firm is not None and firm != self.ctx.organisation and not is_regulator:
            refuse("NOT_RECALLING_FIRM", "a manufacturer recalls for itself")
        if not items and not lots and not announcement.codes:
            refuse("NOTHING_RECALLED", "say what is recalled: items, lots or codes")
        whose = firm or self.ctx.organisation
        if firm is not None and not self.invoke("identity", "is_active", id=firm):
            refuse("UNKNOWN_FIRM", f"{firm} is no active organisation")
        number = self.numbers.add()
        new = Recall(whose, self.ctx.organisation, DRAFT, UNCLASSIFIED, None, self.ctx.time_ms, [])
        self.announcements.put(number, announcement)
        self.named_lots.put(number, lots)
        self._enter_scope(number, new, items)
        self.recalls.put(number, new)
        return number

    def _start(self, number: int, recall: Recall) -> None:
        recall.initiated_at, recall.initiated_on = self.ctx.time_ms, self.ctx.today
        recall.revision = 1
        self._enter_state(number, recall, INITIATED)
        holding = self._hold(number, recall, self.scope(number))
        self.recalls.put(number, recall)
        self.emit("RecallInitiated", number=number, firm=recall.firm, holding=holding)

    def _enter_scope(self, number: int, recall: Recall, items: list[Goods]) -> None:
        """Name more goods; the caller puts the recall."""
        if len({goods.item: 1 for goods in items}) < len(items):
            refuse("ITEM_TWICE", "a thing is named twice")
        for at, goods in enumerate(items):
            self.scopes.put((number, recall.named + at), goods)
        recall.named += len(items)

    def _hold(self, number: int, recall: Recall, items: list[Goods]) -> int:
        """Hold what is recalled; the holding, 0 where there is nothing on this chain to hold."""
        if not items:
            return 0
        makers = self.invoke("batch", "makers", items=items)
        covered = self.invoke("batch", "covered", items=items, recall=number)
        for at, goods in enumerate(items):
            maker = makers[at]
            if goods.item.startswith("00/"):
                refuse("NOT_TRADE_ITEM", f"{goods.item}: what is recalled are products")
            if "regulator" not in self.ctx.roles and maker != self.ctx.organisation:
                if not maker:
                    refuse("NOT_MAKER", f"{goods.item}: nobody made it here or registered its GTIN")
                refuse("NOT_MAKER", f"{goods.item} is {maker}'s")
            if covered[at]:
                refuse("ALREADY_RECALLED", f"{goods.item} is recalled already")
        holding: int = self.invoke("batch", "hold", items=items, recall=number)
        recall.holdings.append(holding)
        return holding

    def _classify(
        self, number: int, recall: Recall, recall_class: str, evaluation: bytes | None
    ) -> None:
        old = recall.recall_class
        recall.recall_class = recall_class
        recall.classifications += 1
        entry = Classification(recall_class, self.ctx.organisation, self.ctx.time_ms, evaluation)
        self.classifications.put((number, recall.classifications), entry)
        self._revise(number, recall)
        self.emit("RecallClassified", number=number, recall_class=recall_class, before=old)

    def _check_accounted_for(self, number: int, recall: Recall) -> None:
        """Refuse goods of which nobody knows that they are back, destroyed or used up."""
        rows, more = self._board(number, recall, 0, 0, COMPLETING_FLOWS_MAX)
        for row in rows:
            if row["outstanding"] > 0:
                goods = f"{row['outstanding']} {row['unit']} of {row['product']}"
                refuse("GOODS_OUTSTANDING", f"{goods} are outstanding: say why")
        if more is not None:
            refuse("GOODS_OUTSTANDING", "too many goods to look through: say what is outstanding")

    def _board(
        self,
        number: int,
        recall: Recall,
        at: int,
        position: int,
        flows_max: int = BOARD_FLOWS_MAX,
    ) -> tuple[list[dict[str, Any]], list[int] | None]:
        """The dashboard's rows of the held things from one place on, and the place after them."""
        board: dict[str, Any] = {}
        accounts, more = self._accounts(number, recall, at, position, flows_max)
        for account in accounts:
            self._count(board, account, recall)
        return [finished(board[key], recall.firm) for key in sorted(board)], more

    def _accounts(
        self, number: int, recall: Recall, at: int, position: int, flows_max: int
    ) -> tuple[list[dict[str, Any]], list[int] | None]:
        """What became of the held things from one place on, and the place after them."""
        found: list[dict[str, Any]] = []
        work = 0
        while at < len(recall.holdings) and len(found) < BOARD_THINGS_MAX and work < flows_max:
            holding = recall.holdings[at]
            names = self.invoke(
                "batch", "held_things", number=holding, start=position, limit=BOARD_PAGE
            )
            for name in names:
                account = self.invoke("batch", "account", item=name, recall=number)
                found.append(account)
                position += 1
                work += 1 + len(account["flows"]) + len(account["uses"]) + account["looked"]
                if work >= flows_max:
                    break
            if len(names) < BOARD_PAGE and work < flows_max:
                at, position = at + 1, 0
        return found, [at, position] if at < len(recall.holdings) else None

    def _count(self, board: dict[str, Any], account: dict[str, Any], recall: Recall) -> None:
        item = account["item"]
        lot = item if is_lot(item) else account["lot"]
        row = row_of(board, item[3:17], lot[LOT_AT:], account["unit"])
        if is_lot(item):
            count_lot(row, account, recall.firm, recall.initiated_on)
        elif not account["by_lot"]:
            count_serial(row, account, recall.firm)
        elif account["creator"] != recall.firm:
            row["distributed"] += 1

    def _contradictions(
        self, number: int, recall: Recall, rows: list[dict[str, Any]]
    ) -> list[dict[str, Any]]:
        """Answers to the newest scope's notice that say none is left, where the ledger has some."""
        found: list[dict[str, Any]] = []
        answers: dict[str, str] = {}
        for row in rows:
            for holder in sorted(row["holders"]):
                if holder not in answers:
                    notice = self.notices.get((number, holder))
                    counts = notice is not None and notice.acknowledged >= recall.scope_revision
                    answers[holder] = notice.found if notice is not None and counts else ""
                against = contradicted(row, holder, answers[holder]) if answers[holder] else None
                if against is not None:
                    found.append(against)
        return found


def task_of(number: int, who: str, method: str, roles: list[str], since: int) -> Task:
    """A step of a recall."""
    return Task(who, method, {"number": number}, f"recall {number}", roles, since)


def checks_wanted(recall: Recall) -> int:
    """How many holders must be found to have been reached: the strategy's part, rounded up."""
    if recall.strategy is None:
        return 0
    return (recall.notices * recall.strategy.percent + 99) // 100
