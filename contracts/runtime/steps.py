"""Steps: the published price of what a contract does, the same on every node.

A step is about ten nanoseconds of the reference machine. :data:`PRICES` is the whole table;
``docs/`` shows it by :func:`prices_markdown`.
"""

from __future__ import annotations

from typing import Final, NamedTuple, NoReturn

# --- transactions, calls, state ----------------------------------------------------------------
TRANSACTION_BYTE: Final = 10
CALL: Final = 1_000
ARGUMENT_BYTE: Final = 10
READ: Final = 500
READ_BYTE: Final = 1
CONVERTED_BYTE: Final = 10
WRITE: Final = 1_000
WRITE_BYTE: Final = 10
SCAN: Final = 500
DELETED: Final = 100  # an entry that a scan passes over: it was deleted in this block
EVENT: Final = 500
AUDITED: Final = 300  # a record that an audited call changed
AUDITED_UNIT: Final = 8  # bytes hashed a step: the record as it was, and as it is now
AUDITED_BYTE: Final = 4  # of the event, which is made of what is at hand: no walk over values
EVENT_BYTE: Final = 10
RESULT_BYTE: Final = 10
SOURCE_BYTE: Final = 10
SOURCE_WORD: Final = 200  # a name, number or other sign: what takes the time, not its length

QUERY_STEPS_MAX: Final = 20_000_000

# --- what the source says: static weights, charged when a suite is entered -----------------------
NODE: Final = 1  # a statement, or a part of an expression that has no price of its own
BRANCH_FREE: Final = 40  # weight up to which a branch is paid with the suite around it
CALL_NODE: Final = 8
FUNCTION: Final = 6  # a function or method of the package is entered
RECORD: Final = 30  # one is made
COMPUTED: Final = 60  # ctx.today, and what money computes
OPERATOR: Final = 6  # arithmetic or a comparison whose operands are not known beforehand
SUBSCRIPT: Final = 6
METHOD: Final = 10  # a method of text, bytes, a list or a map; a built-in function
LOOP: Final = 5  # each time round
DISPLAY: Final = 5  # of a list, tuple or map, besides its parts
COMPREHENSION: Final = 20
COMPREHENSION_ITEM: Final = 4
FORMAT: Final = 12  # an f-string; and one OPERATOR for each value in it
TRY: Final = 4
HANDLER: Final = 100  # an exception is made, thrown and caught

# --- what sizes say: charged before the work -----------------------------------------------------
TEXT_FREE: Final = 64  # characters that are part of the operation's own price
TEXT_UNIT: Final = 4  # characters or bytes a step, above these
SEEK_UNIT: Final = 16  # letters of a needle for which a text is read once more
ITEM: Final = 1  # an item copied, joined, added up
ITEM_LOOKED_AT: Final = 4  # an item compared or formatted
ENTRY: Final = 8  # an entry of a map copied
SORT_ITEM: Final = 6  # an item, times the binary length of the count
INT_KEY_UNIT: Final = 8  # entries of a map a step, when it is asked for an int: these collide
SDK_FUNCTION: Final = 100
SDK_BYTE: Final = 2


class Price(NamedTuple):
    """A row of the published table."""

    what: str
    steps: str


PRICES: Final = (
    Price("a transaction", f"{TRANSACTION_BYTE} a byte of its body"),
    Price("a call", f"{CALL}; made by a contract, also {ARGUMENT_BYTE} a byte of its arguments"),
    Price(
        "a state read",
        f"{READ}, and {READ_BYTE} a byte of the value found; "
        f"{CONVERTED_BYTE} a byte of records that hold records",
    ),
    Price("a state write or delete", f"{WRITE}, and {WRITE_BYTE} a byte of key and value"),
    Price(
        "a scan of a map",
        f"{SCAN}, and a read's price an entry; {DELETED} for one deleted in this block",
    ),
    Price("an event", f"{EVENT}, and {EVENT_BYTE} a byte of its size"),
    Price(
        "an event of the audit trail",
        f"{EVENT}, and {AUDITED_BYTE} a byte of its size; {AUDITED} a record in it, and 1 for each "
        f"{AUDITED_UNIT} bytes hashed; a read, if the call wrote a record without reading it",
    ),
    Price("a result", f"{RESULT_BYTE} a byte of its size"),
    Price(
        "checking source before a vote on it", f"{SOURCE_WORD} a word or sign, {SOURCE_BYTE} a byte"
    ),
    Price("a statement, a name, an attribute, a constant part of an expression", f"{NODE}"),
    Price("calling a function or method", f"{CALL_NODE}; entering one of the package {FUNCTION}"),
    Price(
        "a branch (if, else, ...) of little weight",
        f"up to {BRANCH_FREE}: paid with what is around it, taken or not",
    ),
    Price("making a record", f"{RECORD}"),
    Price("an attribute called today, text or digits", f"{COMPUTED}; plus, minus {2 * COMPUTED}"),
    Price("an arithmetic operator, or a comparison with what is no constant", f"{OPERATOR}"),
    Price("an index or a slice", f"{SUBSCRIPT}, and {ITEM} an item of the slice"),
    Price("a method of text, bytes, a list, a map; a built-in function", f"{METHOD}"),
    Price("a loop, each time round", f"{LOOP}, and what its body costs"),
    Price("[...], (...), {...}", f"{DISPLAY}, and what its parts cost"),
    Price(
        "a comprehension", f"{COMPREHENSION}; each item {COMPREHENSION_ITEM} and what it computes"
    ),
    Price("an f-string", f"{FORMAT}, and {OPERATOR} a value in it"),
    Price("try", f"{TRY}; an except that is taken {HANDLER}"),
    Price("text and bytes, read or made", f"1 for each {TEXT_UNIT}, above the first {TEXT_FREE}"),
    Price("items copied, joined, added up", f"{ITEM} an item; a map's {ENTRY} an entry"),
    Price("==, <, in over lists, tuples, maps, records", f"{ITEM_LOOKED_AT} an item looked at"),
    Price(
        "in, find, count, replace, split, ... of a text",
        f"1 for each {TEXT_UNIT} characters, and once more for each {SEEK_UNIT} of what is "
        "sought (100 at most in texts above 2,500, but for rfind and rpartition)",
    ),
    Price(
        "sorted, sort",
        f"{SORT_ITEM} an item times the binary length of the count, "
        f"more for texts above {TEXT_FREE} characters",
    ),
    Price("a map asked for a whole number", f"1 for each {INT_KEY_UNIT} entries of the map"),
    Price("a function of the SDK", f"{SDK_FUNCTION}, and {SDK_BYTE} a character of its arguments"),
)


def prices_markdown() -> str:
    """The table for the documentation."""
    rows = [f"| {price.what} | {price.steps} |" for price in PRICES]
    return "\n".join(["| what | steps |", "|---|---|", *rows]) + "\n"


class OutOfSteps(Exception):
    """The transaction's budget is spent. Not a refusal: no contract may catch it."""


class Meter:
    """Counts steps against a budget.

    ``left`` is what instrumented code takes from, in line; below zero it calls :meth:`stop`.
    One meter serves all modules of a registry, one call tree at a time: whoever runs something on
    a budget of its own keeps :attr:`state` and puts it back.
    """

    __slots__ = ("left", "steps_max")

    def __init__(self, steps_max: int = 0) -> None:
        self.steps_max = steps_max
        self.left = steps_max

    def start(self, steps_max: int) -> None:
        """A new budget."""
        self.steps_max = steps_max
        self.left = steps_max

    @property
    def state(self) -> tuple[int, int]:
        return self.left, self.steps_max

    @state.setter
    def state(self, state: tuple[int, int]) -> None:
        self.left, self.steps_max = state

    @property
    def used(self) -> int:
        """Steps taken, never more than the budget."""
        return self.steps_max - self.left if self.left > 0 else self.steps_max

    def charge(self, steps: int) -> None:
        """Take the steps before the work is done. Raises OutOfSteps."""
        self.left -= steps
        if self.left < 0:
            raise OutOfSteps

    def stop(self) -> NoReturn:
        """What a spent budget ends with."""
        raise OutOfSteps
