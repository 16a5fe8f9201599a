"""Guards: what plain counting misses is measured before it is done."""

from __future__ import annotations

import tracemalloc
from typing import Any

import pytest

from contracts.runtime.loader import load
from contracts.runtime.steps import Meter, OutOfSteps
from contracts.sdk.errors import BadValue
from tests.contracts.loader.support import contract, package


def run(body: str, steps_max: int = 10_000_000) -> tuple[Any, int]:
    """What ``run`` gives, and the steps taken; natural exceptions as they come."""
    meter = Meter()
    made: Any = load(package(contract(body=body)), meter)
    meter.start(steps_max)
    return made.run(None, {}), meter.used


TOO_MUCH = [
    # texts
    ("return 'a' * 10 ** 9", ValueError),
    ("return 10 ** 9 * 'a'", ValueError),
    ("return b'a' * 2 ** 40", ValueError),
    ("a = 'a' * 2 ** 20\nreturn a + 'b'", ValueError),
    ("a = 'a' * 2 ** 20\na += 'b'\nreturn a", ValueError),
    ("return f\"{'a' * 2 ** 19}{'a' * 2 ** 19}b\"", ValueError),
    ("return 'a'.ljust(10 ** 9)", ValueError),
    ("return 'a'.rjust(10 ** 9, 'b')", ValueError),
    ("return '1'.zfill(10 ** 9)", ValueError),
    ("return ('a' * 10_000).replace('a', 'b' * 10_000)", ValueError),
    ("return ('a' * 10_000).replace('', 'b' * 10_000)", ValueError),
    ("return ('a' * 10_000).join(['b'] * 10_000)", ValueError),
    ("return (b'a' * 2 ** 20).hex()", ValueError),
    ("return bytes(10 ** 9)", TypeError),
    ("return bytes([1] * 10 + [256])", ValueError),
    ("return '%1000000000d' % 5", TypeError),
    ("return b'%1000000000d' % 5", TypeError),
    # lists, maps, ranges
    ("return [0] * 10 ** 9", ValueError),
    ("a = [0] * 60_000\nreturn a + a", ValueError),
    ("a = [0] * 60_000\na += a", ValueError),
    ("a = [0] * 60_000\na *= 2", ValueError),
    ("a = [0] * 60_000\na.extend(a)", ValueError),
    ("a = [0] * 60_000\nreturn [*a, *a]", ValueError),
    ("return list(range(10 ** 9))", ValueError),
    ("return tuple(range(10 ** 9))", ValueError),
    ("return sum(range(10 ** 9))", ValueError),
    ("return [*range(10 ** 9)]", ValueError),
    ("return max(range(10 ** 9))", ValueError),
    ("return [a for a in range(10 ** 9)]", ValueError),
    ("return sorted(range(10 ** 9))", ValueError),
    ("return list(range(2 ** 200))", OverflowError),
    ("return list(range(10 ** 5)) + [1]", ValueError),
    ("a = [0] * 100_000\na.append(1)", ValueError),
    ("a = [0] * 100_000\na.insert(0, 1)", ValueError),
    ("a = {str(n): n for n in range(100_000)}\na['b'] = 1\na[str('c')] = 1", ValueError),
    ("a = {str(n): n for n in range(100_000)}\na.setdefault('b', 1)", ValueError),
    ("a = {str(n): n for n in range(60_000)}\nreturn a | {'x' + k: 1 for k in a}", ValueError),
    ("return ('a' * 200_001).split('a')", ValueError),
    # whole numbers
    ("return 2 ** 256", OverflowError),
    ("return 2 ** 10 ** 9", OverflowError),
    ("return 1 << 10 ** 9", OverflowError),
    ("return 1 << 256", OverflowError),
    ("a = 2 ** 255\nreturn a + a", OverflowError),
    ("a = 2 ** 255\na += a", OverflowError),
    ("a = 2 ** 255\nreturn -a - a", OverflowError),
    ("a = 2 ** 128\nreturn a * a", OverflowError),
    ("a = 1 - 2 ** 255 - 2 ** 255\nreturn (a ^ 2 ** 255) ^ 2 ** 255 ^ 1", OverflowError),
    ("return sum([2 ** 255, 2 ** 255])", OverflowError),
    ("return 2 ** -1", ValueError),
    ("return 1 << -1", ValueError),
    ("return int('9' * 79)", BadValue),
    ("return int('9' * 10 ** 6)", BadValue),
    ("return int(' 1')", BadValue),
    ("return int('1_0')", BadValue),
    ("return int('\\u0661')", BadValue),
    ("return int('')", BadValue),
    ("return int(None)", TypeError),
    ("return int('12', 8)", TypeError),
    ("a = 'a' + 1", TypeError),
    ("a = [1] + (1,)", TypeError),
    # keys
    ("a = {}\na[True if z == '' else 1] = 1", TypeError),
    ("a = {}\na[(1, 2)] = 1", TypeError),
    ("a = {}\na[2 ** 60] = 1", TypeError),
    ("a = {}\nreturn (1,) in a", TypeError),
    ("a = {}\nreturn a.get((1,))", TypeError),
    ("return {k: 1 for k in [(1,)]}", TypeError),
    ("return dict([((1,), 2)])", TypeError),
    ("return {n * 7: 1 for n in range(1_001)}", ValueError),
    ("a = {}\nfor n in range(1_001):\n    a[n * 2 ** 20] = 1", ValueError),
    # order and equality
    (
        "a, b = [], []\nfor _ in range(20):\n    a, b = [a], [b]\nreturn a == b",
        ValueError,
    ),
    ("return sorted([[1], [2]])", TypeError),
    ("return sorted([1, 'a'])", TypeError),
    ("return max([Thing('a'), Thing('b')])", TypeError),
    ("return Thing('a') < Thing('b')", TypeError),
    ("return {'a': 1} < {'b': 1}", TypeError),
    ("return sorted(['a'], reverse=1, key=lambda a: [a])", TypeError),
    # what is written out
    ("return f'{[1]}'", TypeError),
    ("return f'{Thing(z)}'", TypeError),
    ("return str([1])", TypeError),
    ("return str(b'a')", TypeError),
    ("return f'{z:5}'", TypeError),
    ("return f'{True:5}'", TypeError),
    # attributes that plain data have too
    ("a = [1]\nreturn a.count", TypeError),
    ("a = 'a'\na.count = 1", TypeError),
    ("a = {}\nreturn a.count()", TypeError),
    ("return (1).append(2)", TypeError),
    ("try:\n    refuse('A', 'b')\nexcept ContractError as e:\n    return e.count", TypeError),
    ("return sum([[1], [2]], [])", TypeError),
    ("return sum(['a'])", TypeError),
    ("return enumerate(5)", TypeError),
    ("return zip(5, 6)", TypeError),
    ("for a in 5:\n    pass", TypeError),
    ("return [a for a in 5]", TypeError),
    ("return list(5)", TypeError),
    ("return any(5)", TypeError),
    ("return reversed(5)", TypeError),
    ("return 5 in 5", TypeError),
    ("return 'a' in range(5)", TypeError),
    ("return 5 in 'a'", TypeError),
]


@pytest.mark.parametrize(("body", "expected"), TOO_MUCH)
def test_refused_before_it_is_done(body: str, expected: type[Exception]) -> None:
    with pytest.raises(expected):
        run(body)


# (what makes things ready, what costs by their size)
BY_SIZE = [
    ("a = 'a' * {n}", "a + 'b'"),
    ("a = 'a' * {n}\nb = 'a' * {n}", "a == b"),
    ("a = 'a' * {n}\nb = 'a' * {n}", "a < b"),
    ("a = 'a' * {n}", "a.upper()"),
    ("a = 'a' * {n}", "a.strip()"),
    ("a = 'a' * {n}", "a.split('b')"),
    ("a = 'a' * {n}", "a.split()"),
    ("a = 'a' * {n}", "a.encode()"),
    ("a = b'a' * {n}", "a.decode()"),
    ("a = b'a' * {n}", "a.hex()"),
    ("a = 'a' * {n}", "a.find('ab')"),
    ("a = 'a' * {n}", "a.replace('b', 'c')"),
    ("a = 'a' * {n}", "'b' in a"),
    ("a = 'a' * {n}", "a[1:]"),
    ("a = 'a' * {n}", "f'{{a}}'"),
    ("a = 'a' * {n}", "[1].count(1) + len(a.partition('b'))"),
    ("a = 'a' * {n}\nb = {{}}", "b.get(a)"),
    ("a = 'a' * {n}\nb = {{}}", "a in b"),
    ("a = 'a' * {n}\nb = [a]", "'a' * {n} in b"),
    ("a = 'a' * {n}\nb = [a, a]", "sorted(b)"),
    ("a = 'a' * {n}\nb = [a, a]", "max(b)"),
    ("a = 'a' * {n}\nb = [a, a]", "''.join(b)"),
    ("a = 'a' * {n}", "iso_date(a) if z else len(a.zfill({n}))"),
    ("a = [0] * {n}", "a + a"),
    ("a = [0] * {n}", "a == a"),
    ("a = [0] * {n}", "a < a"),
    ("a = [0] * {n}", "a in [a]"),
    ("a = [0] * {n}", "1 in a"),
    ("a = [0] * {n}", "[1] in a"),
    ("a = [0] * {n}", "a.count(1)"),
    ("a = [0] * {n} + [1]", "a.index(1)"),
    ("a = [0] * {n}", "a[1:]"),
    ("a = [0] * {n}", "sum(a)"),
    ("a = [0] * {n}", "max(a)"),
    ("a = [0] * {n}", "any(a)"),
    ("a = [0] * {n}", "sorted(a)"),
    ("a = [0] * {n}", "a.sort()"),
    ("a = [0] * {n}", "a.reverse()"),
    ("a = [0] * {n}", "a.insert(0, 1)"),
    ("a = [0] * {n}", "a.pop(0)"),
    ("a = [0] * {n}", "a.remove(0)"),
    ("a = [0] * {n}", "a.copy()"),
    ("a = [0] * {n}", "a.clear()"),
    ("a = [0] * {n}", "tuple(a)"),
    ("a = [0] * {n}", "[b for b in a]"),
    ("a = [0] * {n}", "list(enumerate(a))"),
    ("a = [0] * {n}", "list(zip(a, a))"),
    ("a = [0] * {n}", "[*a]"),
    ("a = [0] * {n}", "max(*a)"),
    ("a = [0] * {n}", "sorted(a, key=lambda b: -b)"),
    ("a = {{str(b): b for b in range({n})}}", "a == a"),
    ("a = {{str(b): b for b in range({n})}}", "a | a"),
    ("a = {{str(b): b for b in range({n})}}", "dict(a)"),
    ("a = {{str(b): b for b in range({n})}}", "a.items()"),
    ("a = {{str(b): b for b in range({n})}}", "[b for b in a]"),
    ("a = {{str(b): b for b in range({n})}}", "a.update(a)"),
    ("a = {{b: b for b in range({n} // 5)}}", "a[0 if z else 1]"),
    ("a = Thing('a' * {n})\nb = Thing('a' * {n})", "a == b"),
]


@pytest.mark.parametrize(("ready", "work"), BY_SIZE)
def test_the_price_grows_with_the_size(ready: str, work: str) -> None:
    def price(count: int) -> int:
        made = ready.format(n=count)
        return run(f"{made}\n{work.format(n=count)}")[1] - run(f"{made}\n0")[1]

    small, large = price(200), price(4_000)
    assert large > 5 * small


@pytest.mark.parametrize(
    "body",
    [
        "return 'a' * 1_000_000",
        "return [0] * 100_000",
        "a = ('a' * 1_000 + 'b') * 10\nreturn a.replace('b', 'c' * 100_000)",
        "return list(range(100_000))",
        "a = ['a' * 1_000] * 1_000\nreturn ''.join(a)",
        "return 'a'.zfill(1_000_000)",
    ],
)
def test_steps_are_taken_before_memory_is(body: str) -> None:
    load(package(contract(body=body)), Meter())  # compiled by now
    tracemalloc.start()
    with pytest.raises(OutOfSteps):
        run(body, 6_000)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 700_000


def nest(levels: int, pair: str) -> str:
    return (
        f"a = {pair.format('0', '0')}\nfor _ in range({levels}):\n    a = {pair.format('a', 'a')}\n"
    )


@pytest.mark.parametrize(
    "work",
    [
        "a == b",
        "a != b",
        "a < b",
        "a in [b]",
        "[a].index(b)",
        "[a].count(b)",
        "[a].remove(b)",
        "Thing(a) == Thing(b)",
    ],
)
@pytest.mark.parametrize("pair", ["[{}, {}]", "({}, {})"])
def test_shared_lists_are_not_compared_for_hours(pair: str, work: str) -> None:
    """Fifteen levels, each twice in the next: 32,768 leaves; forty would not end in a lifetime."""
    ready = nest(13, pair) + "b = a\n" + nest(13, pair)
    with pytest.raises(OutOfSteps):
        run(f"{ready}\nreturn {work}", 50_000)


def test_sets_of_keys_cannot_be_made_to_collide() -> None:
    with pytest.raises((OutOfSteps, TypeError, ValueError)):
        run("return {n * (2 ** 61 - 1): n for n in range(100_000)}")


def test_text_goes_by_ascii_alone() -> None:
    body = """
    a = '\\u00e9\\u0660b\\u00a0'
    return [a.upper(), a.lower(), a.isalpha(), '\\u0660'.isdigit(), '\\u00e9'.isalnum(),
            a.strip(), a.split(), 'i'.upper(), '\\u00df'.upper()]
    """
    assert run(body)[0] == [
        "\u00e9\u0660B\u00a0",
        "\u00e9\u0660b\u00a0",
        False,
        False,
        False,
        "\u00e9\u0660b\u00a0",
        ["\u00e9\u0660b\u00a0"],
        "I",
        "\u00df",
    ]


def test_a_comprehension_goes_through_what_was_there_when_it_began() -> None:
    assert run("a = [1, 2]\nreturn [[a.append(b) or b for b in a], a]")[0] == [[1, 2], [1, 2, 1, 2]]


def test_a_map_may_change_while_it_is_gone_through() -> None:
    body = "a = {'b': 1, 'c': 2}\nfor k in a:\n    del a[k]\n    a['d' + k] = 1\nreturn a"
    assert run(body)[0] == {"db": 1, "dc": 1}


def test_a_key_may_change_the_list_it_is_for() -> None:
    body = "a = [3, 1]\nreturn [sorted(a, key=lambda b: (a.append(b), b)[1]), len(a)]"
    assert run(body)[0] == [[1, 3], 4]


def test_an_error_that_was_caught_holds_no_frames() -> None:
    body = "e = None\ntry:\n    refuse('A', 'b')\nexcept ContractError as f:\n    e = f\nreturn e"
    error = run(body)[0]
    assert error.__traceback__ is None and error.__context__ is None


def test_deep_nesting_is_let_go_of_safely() -> None:
    assert run("a = []\nfor _ in range(300_000):\n    a = [a]\nreturn 1")[0] == 1
