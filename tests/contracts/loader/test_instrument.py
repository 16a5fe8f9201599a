"""Instrumented code means what the source means, costs the same everywhere, and stops in time."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import pytest

from consensus.primitives.errors import InputError
from contracts.runtime.loader import load
from contracts.runtime.steps import Meter, OutOfSteps
from tests.contracts.loader.support import contract, evaluated, package, steps

TOP = """
LIMIT: Final = 7
WORDS: Final = ("a", "b", "c")
LONG: Final = WORDS + WORDS + WORDS + WORDS + WORDS + WORDS + WORDS + WORDS + WORDS + WORDS
LONGER: Final = LONG + LONG
PRIMES: Final = (2, 3, (5, 7))


def double(n: int, *, more: int = 0) -> int:
    return n * 2 + more


class Pair(Record):
    left: int
    right: int = 1

    KIND: Final = "pair"

    @property
    def total(self) -> int:
        return self.left + self.right

    def grown(self, by: int) -> int:
        self.right += by
        return self.total
"""

MEMBERS = """
SIZES = (1, 2, 3)

def twice(self, n: int) -> int:
    self.last = n
    return double(n) + self.last
"""

SAME: Final = (Path(__file__).parent / "bodies.txt").read_text(encoding="ascii").split("---\n")


@pytest.mark.parametrize("body", SAME)
def test_the_same_as_the_source_alone(body: str) -> None:
    expected = evaluated(body, top=TOP, members=MEMBERS, instrumented=False)
    assert evaluated(body, top=TOP, members=MEMBERS) == expected


def test_a_part_of_an_augmented_target_is_evaluated_once() -> None:
    body = """
    log = []
    things = [Thing('a')]
    at = [things]
    at[log.append('i') or 0][log.append('j') or 0].count += 2
    x[str(log.append('k'))] = 1
    x[str(log.append('l'))] += 1
    return [log, things[0].count, x]
    """
    expected = [["i", "j", "k", "l"], 2, {"None": 2}]
    assert evaluated(body) == evaluated(body, instrumented=False) == expected


# Golden: the same on every machine and version. A change here is a change of the protocol.
STEPS = [
    ("return 1", 8),
    ("return", 7),
    ("a = 1\nb = a", 12),
    ("return [1, 2, 3]", 16),
    ("return (1, 2, 3)", 9),
    ("return len('abc') + 1", 25),
    ("return y + len(z)", 25),
    ("if y:\n    a = 1\nelse:\n    a = 2\nreturn a", 16),
    ("for i in range(10):\n    pass", 77),
    ("for i in range(10):\n    a = i", 97),
    ("while len(x) > 0:\n    pass", 19),
    ("return [i for i in range(10)]", 88),
    ("return [i for i in range(100)]", 538),
    ("return [i * j for i in range(10) for j in range(10)]", 1_478),
    ("return f'{y} and {z}'", 34),
    ("return 'a' * 1000", 266),
    ("return sorted([3, 1, 2])", 86),
    ("return Thing('a', 1)", 48),
    ("return Thing('a') == Thing('a')", 106),
    ("a = [0] * 1000\nreturn a == a", 5_037),
    ("a = {}\na['k'] = 1\nreturn a['k']", 28),
    ("try:\n    int('x')\nexcept BadValue:\n    return 1", 134),
    ("return 'abc' in ['abc'] * 10", 80),
    ("return 2 ** 200 % 97", 24),
]


@pytest.mark.parametrize(("body", "expected"), STEPS)
def test_steps(body: str, expected: int) -> None:
    assert steps(body) == expected


def test_small_branches_are_paid_with_what_is_around_them() -> None:
    small = "if y:\n    a = 1"
    large = "if y:\n    a = [" + "1, " * 50 + "]"
    assert steps(small) == steps(small.replace("if y", "if not y")) - 1
    assert steps(large) < steps(large.replace("if y", "if not y")) - 50


@pytest.mark.parametrize(
    "body",
    [
        "while True:\n    pass",
        "for a in range(10 ** 9):\n    pass",
        "return [0 for a in range(99_999) for b in range(99_999)]",
        "xs = [0]\nfor a in xs:\n    xs.append(a)\n    xs.pop()\n    xs.append(a)",
        "while True:\n    try:\n        int('x')\n    except BadValue:\n        pass",
        "a = [[]]\nfor _ in range(14):\n    a = [a, a]\nwhile a == a:\n    pass",
    ],
)
def test_what_never_ends_ends_with_the_steps(body: str) -> None:
    meter = Meter()
    made: Any = load(package(contract(body=body)), meter)
    meter.start(200_000)
    with pytest.raises(OutOfSteps):
        made.run(None, {})
    assert meter.used == 200_000


def test_no_handler_catches_the_end_of_the_steps() -> None:
    body = """
    while True:
        try:
            while True:
                pass
        except ContractError:
            pass
    """
    with pytest.raises(InputError) as caught:
        evaluated(body)
    assert caught.value.code == "OUT_OF_STEPS"
