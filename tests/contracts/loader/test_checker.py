"""The dialect: each rule refuses something, with the line where it stands; and what is allowed."""

from __future__ import annotations

import pytest

from contracts.runtime.loader import check
from contracts.runtime.package import RUNTIME, Package, SourceFile
from contracts.runtime.source import Finding
from tests.contracts.loader.support import HEAD, PATH, contract, package

BODIES = [
    # the language
    ("import os", "language"),
    ("assert x", "language"),
    ("raise x", "language"),
    ("global y", "language"),
    ("with x:\n    pass", "language"),
    ("match y:\n    case 1:\n        pass", "language"),
    ("def f():\n    pass", "language"),
    ("class F:\n    pass", "language"),
    ("async def f():\n    pass", "language"),
    ("try:\n    pass\nfinally:\n    pass", "language"),
    ("try:\n    pass\nexcept* ContractError:\n    pass", "language"),
    ("yield y", "language"),
    ("return {1, 2}", "language"),
    ("return {y for y in x}", "language"),
    ("return any(y for y in x)", "language"),
    ("return lambda a: a", "language"),
    ("return ...", "language"),
    ("return [a for a in (b := [1])]", "language"),
    ("return y / 2", "float"),
    ("y /= 2", "float"),
    ("return y @ y", "operator"),
    ("return ~y", "operator"),
    ("return y is 0", "is"),
    ("return y is z", "is"),
    ("return [a for a in [y < len(x) < z]]", "comparison"),
    # assignment
    ("a, *b = x", "target"),
    ("for x['a'] in z:\n    pass", "target"),
    ("for self.a in z:\n    pass", "target"),
    ("(a, b) += x", "syntax"),
    ("x[1:2] = z", "slice"),
    ("del y", "del"),
    ("del self.things", "del"),
    ("del x[1:2]", "del"),
    ("self.things = y", "set"),
    ("self.run = y", "set"),
    ("self.ctx = y", "set"),
    ("self.name = y", "set"),
    ("self.emit = y", "set"),
    ("self.ctx.height = 1", "unknown-attribute"),
    ("x.message = 1", "unknown-attribute"),
    ("self = y", "self"),
    # names
    ("return w", "unknown-name"),
    ("return print(y)", "unknown-name"),
    ("return getattr(x, z)", "unknown-name"),
    ("return type(x)", "unknown-name"),
    ("return eval(z)", "unknown-name"),
    ("return open(z)", "unknown-name"),
    ("return __name__", "unknown-name"),
    ("return h__m", "unknown-name"),
    ("__a = 1", "name"),
    ("h__m = 1", "name"),
    ("refuse = 1", "shadows"),
    ("Thing = 1", "shadows"),
    ("return [Map for Map in x]", "shadows"),
    ("return len", "not-a-value"),
    ("return Thing", "not-a-value"),
    ("return refuse", "not-a-value"),
    ("return self", "self"),
    ("return [self]", "self"),
    # attributes
    ("return x.__class__", "name"),
    ("x.__class__ = y", "name"),
    ("return self.__dict__", "name"),
    ("return x.gi_frame", "name"),
    ("return x.mro()", "name"),
    ("return self._Own__host", "name"),
    ("return x.foo", "unknown-attribute"),
    ("return x.append", "unknown-attribute"),
    ("return self.foo", "unknown-attribute"),
    ("return self.run", "unknown-attribute"),
    ("return self.emit", "unknown-attribute"),
    ("return x.foo()", "unknown-method"),
    ("return z.format(1)", "unknown-method"),
    ("return z.casefold()", "unknown-method"),
    ("return z.translate(x)", "unknown-method"),
    ("return self.things.clear()", "unknown-method"),
    ("return self.foo()", "unknown-method"),
    # calls
    ("return x['f']()", "call"),
    ("return (lambda: 1)()", "call"),
    ("return y(1)", "unknown-name"),
    ("return Text(20)", "call"),
    ("return Own()", "call"),
    ("return ContractError('A', 'b')", "call"),
    ("return call(y)", "call"),
    ("return len(obj=x)", "call"),
    ("return int(z, base=16)", "call"),
    ("return print(**x)", "spread"),
    ("return Thing(**x)", "spread"),
    ("return {**x}", "spread"),
    ("return isinstance(x)", "call"),
    ("return isinstance(x, z)", "isinstance"),
    ("return isinstance(x, (str, Own.run))", "isinstance"),
    ("return sorted(x, key=len)", "lambda"),
    ("return sorted(x, key=lambda a, b: a)", "lambda"),
    ("return sorted(x, key=lambda a=1: a)", "lambda"),
    ("return self.run(\n" + "y,\n" * 65 + ")", "call"),
    # keys
    ("return {True: 1}", "key"),
    ("return {None: 1}", "key"),
    ("return {(1, 2): 1}", "key"),
    ("return {(a, a): 1 for a in x}", "key"),
    # errors
    ("try:\n    pass\nexcept:\n    pass", "except"),
    ("try:\n    pass\nexcept Exception:\n    pass", "except"),
    ("try:\n    pass\nexcept (ContractError, BadValue):\n    pass", "except"),
    ("try:\n    pass\nexcept ContractError as refuse:\n    pass", "shadows"),
    # types
    ("a: 'int' = 1", "type"),
    ("a: foo = 1", "type"),
    ("a: print(1) = 1", "type"),
    # what only the compiler sees
    ("break", "syntax"),
    ("return [y := 1 for y in x]", "syntax"),
    # calls that lead back
    ("return self.run(x)", "recursion"),
]


@pytest.mark.parametrize(("body", "rule"), BODIES)
def test_refused_in_a_body(body: str, rule: str) -> None:
    text = contract(body=body)
    first = text.count("\n") - body.count("\n")
    found = check(package(text))
    assert rule in [finding.rule for finding in found], list(map(str, found))
    assert all(finding.file == PATH and finding.reason for finding in found)
    lines = range(first, text.count("\n") + 1)
    assert rule == "recursion" or any(finding.line in lines for finding in found)


TOPS = [
    ("import os", "import"),
    ("from os import path", "import"),
    ("from typing import TYPE_CHECKING", "import"),
    ("from contracts.sdk import Field", "import"),
    ("from contracts.sdk import *", "import"),
    ("from contracts.sdk.state import Map", "import"),
    ("from contracts.sdk import Int as Whole", "import"),
    ("from . import other", "import"),
    ("from __future__ import barry_as_FLUFL", "import"),
    ("from contracts.own import Thing", "import"),
    ("print(1)", "top-level"),
    ("for a in (1, 2):\n    pass", "top-level"),
    ("if True:\n    pass", "top-level"),
    ("A = B = 1", "top-level"),
    ("A, B = 1, 2", "top-level"),
    ("A = [1]", "constant"),
    ("A = {}", "constant"),
    ("A = foo", "constant"),
    ("A = len('a').real", "constant"),
    ("A = 2 ** 300", "constant"),
    ("A = 2 ** 255 * 2 ** 255", "constant"),
    ("A = 'a' * 10_000", "constant"),
    ("A = 1 // 0", "constant"),
    ("A = ...", "constant"),
    ("A0 = (1, 2)\n" + "".join(f"A{n + 1} = (A{n}, A{n})\n" for n in range(40)), "constant"),
    ("A = 1\nA = 2", "twice"),
    ("len = 1", "shadows"),
    ("Money_ = 1\ndef Text():\n    return 1", "shadows"),
    ("def f():\n    return f()", "recursion"),
    ("def f():\n    return g()\ndef g():\n    return [f() for a in 'a']", "recursion"),
    ("def f(a):\n    return sorted(a, key=f)", "recursion"),
    ("def f(*a):\n    return 1", "parameters"),
    ("def f(**a):\n    return 1", "parameters"),
    ("def f(a, /):\n    return 1", "parameters"),
    ("def f(a=[]):\n    return 1", "default"),
    ("def f(a=g()):\n    return 1", "default"),
    ("def f(self):\n    return 1", "self"),
    ("def f(a: 'int'):\n    return 1", "type"),
    ("@call\ndef f():\n    return 1", "decorator"),
    ("class A:\n    pass", "class"),
    ("class A(Record, Record):\n    pass", "class"),
    ("class A(int):\n    pass", "class"),
    ("class A(Record, metaclass=Record):\n    pass", "class"),
    ("@call\nclass A(Record):\n    pass", "class"),
    ("class A(Record):\n    a = [1]", "constant"),
    ("class A(Record):\n    a: int = foo", "constant"),
    ("class A(Record):\n    a: foo", "type"),
    ("class A(Record):\n    a: 'int'", "type"),
    ("class A(Record):\n    a: list[Text(1)]", "type"),
    ("class A(Record):\n    a: Annotated[str, foo(1)]", "type"),
    ("class A(Record):\n    a: Annotated[str, Text(len(foo))]", "constant"),
    ("class A(Record):\n    a: Map[str]", "type"),
    ("class A(Record):\n    a: later\nlater = Annotated[int, Text(1)]", "type"),
    ("class A(Record):\n    __slots__ = ()", "name"),
    ("class A(Record):\n    def __init__(self):\n        pass", "name"),
    ("class A(Record):\n    mro: int = 1", "name"),
    ("class A(Record):\n    self: int = 1", "shadows"),
    ("class A(Record):\n    a: int\n    a: str", "twice"),
    ("class A(Record):\n    Text: int = 1", "shadows"),
    ("class A(Record):\n    def f():\n        return 1", "self"),
    ("class A(Record):\n    @call\n    def f(self):\n        return 1", "decorator"),
    ("class A(Record):\n    def amount(self):\n        return 1", "two-meanings"),
    ("class A(Record):\n    def name(self):\n        return 1", "two-meanings"),
    ("class A(Record):\n    def get(self):\n        return 1", "shadows"),
    ("class A(Record):\n    def put(self):\n        return 1", "shadows"),
    ("class A(Record):\n    print(1)", "class-body"),
    ("class A(Record):\n    class B(Record):\n        pass", "class-body"),
    ("class A(Record):\n    m = Map(str, key=('a',))", "class-body"),
    ("class A(Record):\n    a, b = 1, 2", "class-body"),
]


@pytest.mark.parametrize(("top", "rule"), TOPS)
def test_refused_at_the_top(top: str, rule: str) -> None:
    found = check(package(contract(top)))
    assert rule in [finding.rule for finding in found], list(map(str, found))


MEMBERS = [
    ("a: int = 1", "class-body"),
    ("def emit(self):\n    return 1", "shadows"),
    ("ctx = 1", "shadows"),
    ("call = 1", "shadows"),
    ("property = 1", "shadows"),
    ("def things(self):\n    return 1", "twice"),
    ("@call\n@query\ndef f(self):\n    return 1", "decorator"),
    ("@call(x)\ndef f(self):\n    return 1", "decorator"),
    ("@call(roles=[1])\ndef f(self):\n    return 1", "constant"),
    ("@refuse\ndef f(self):\n    return 1", "decorator"),
    ("@call\ndef f(self, a: 'int'):\n    return 1", "type"),
    ("@call\ndef f(self, a):\n    return 1", "declaration"),
    ("@call\ndef f(self, a: Annotated[str, Text(-1)]):\n    return 1", "declaration"),
    ("m = Map(foo, key=('a',))", "type"),
    ("m = Map(str, key=foo)", "constant"),
    ("m = Index(foo, on=('name',))", "unknown-name"),
]


@pytest.mark.parametrize(("members", "rule"), MEMBERS)
def test_refused_in_a_contract(members: str, rule: str) -> None:
    found = check(package(contract(members=members)))
    assert rule in [finding.rule for finding in found], list(map(str, found))


ALLOWED = [
    "return [n * 2 for n in range(5) if n % 2]",
    "return {str(n): n for n in range(3)}",
    "return sorted(x, key=lambda name: (len(name), name), reverse=True)",
    "return max([1, 2], key=double)",
    "try:\n    iso_date('x')\nexcept BadValue as e:\n    return e.message + e.code",
    "if (a := len(x)) > 2:\n    return a",
    "for i, (a, b) in enumerate([(1, 2)]):\n    y += a * b + i\nelse:\n    y -= 1\nreturn y",
    "while y < 3:\n    y += 1\n    if y == 2:\n        continue\nreturn y",
    "thing = Thing(z, count=2)\nthing.count += 1\nreturn [thing, isinstance(thing, (Thing, str))]",
    "self.cached = y\nreturn self.cached",
    "return self.twice(y) + self.KINDS[0]",
    "x['a'], y = 1, 2\ndel x['a']\nreturn y",
    "a: Annotated[int, Text(3)] = 3\nreturn f'{a:04} {z} {None}'",
    "return self.things.get(z) or [thing.name for thing in self.things.values(limit=3)]",
    "id = hash = type = 1\nreturn id + hash + type",
    "min = 3\nreturn min",
    "return 1 if y is None or z is not True else -1",
    "return (1 < y <= 3, y == len(x) == 0, z in ('a', 'b'))",
    "self.emit('Happened', **{'a': 1})",
]


@pytest.mark.parametrize("body", ALLOWED)
def test_allowed(body: str) -> None:
    top = "def double(n: int) -> int:\n    return n * 2\n"
    members = "KINDS = (1, 2)\n\ndef twice(self, n):\n    return double(n)\n"
    assert check(package(contract(top, members=members, body=body))) == []


def test_chains_of_calls_are_bounded_frames_of_guards_included() -> None:
    def chain(links: int, call: str) -> str:
        last = f"def f{links}(a):\n    return 1\n"
        return last + "".join(
            f"def f{n}(a):\n    return {call.format(n + 1)}\n" for n in reversed(range(links))
        )

    assert check(package(contract(chain(31, "f{}(a)")))) == []
    assert [f.rule for f in check(package(contract(chain(32, "f{}(a)"))))] == ["too-deep"]
    assert check(package(contract(chain(5, "max(a, key=lambda b: f{}(b))")))) == []
    deep = check(package(contract(chain(6, "max(a, key=lambda b: f{}(b))"))))
    assert [f.rule for f in deep] == ["too-deep"]


def test_fifty_findings_are_enough() -> None:
    assert len(check(package(contract(body="\n".join(["return foo"] * 200))))) == 50


def test_files_import_from_earlier_files_only() -> None:
    first = HEAD + "\nLIMIT: Final = 3\n\n\ndef shared(n: int) -> int:\n    return n + LIMIT\n"
    second = contract("from lib.first import LIMIT, shared\n", body="return shared(LIMIT)")

    def of(*files: tuple[str, str]) -> Package:
        return Package("own", 1, RUNTIME, tuple(SourceFile(*file) for file in files))

    assert check(of(("lib/first.py", first), (PATH, second))) == []
    wrong = second.replace("lib.first", "lib.other")
    found = check(of(("lib/first.py", first), (PATH, wrong)))
    assert {finding.rule for finding in found} >= {"import"}
    found = check(of((PATH, second), ("lib/first.py", first)))
    assert {finding.rule for finding in found} >= {"import", "package"}


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('name = "own"', 'name = "other"'),
        ('name = "own"', "name = 1"),
        ('name = "own"', 'name = "own"\n    version = 2'),
        ('name = "own"', 'name = "own"\n    version = True'),
    ],
)
def test_the_class_says_what_the_package_says(old: str, new: str) -> None:
    assert [f.rule for f in check(package(contract().replace(old, new)))] == ["package"]


@pytest.mark.parametrize("name", ["due", "consensus", "Own", "own-1", "o" * 33, "a__b"])
def test_names_that_no_contract_has(name: str) -> None:
    text = contract().replace('name = "own"', f'name = "{name}"')
    made = Package(name, 1, RUNTIME, (SourceFile(PATH, text),))
    assert "package" in [finding.rule for finding in check(made)]


@pytest.mark.parametrize("path", ["contracts/sdk.py", "typing.py"])
def test_no_file_stands_where_the_sdk_does(path: str) -> None:
    files = (SourceFile(path, "def helper() -> int:\n    return 1\n"), package(contract()).files[0])
    found = check(Package("own", 1, RUNTIME, files))
    assert [(finding.file, finding.rule) for finding in found] == [(path, "package")]


def test_another_runtime() -> None:
    made = Package("own", 1, RUNTIME + 1, (SourceFile(PATH, contract()),))
    assert [finding.rule for finding in check(made)] == ["runtime"]


DEEPEST = [
    "return (\n" + "not\n" * 90 + "y)",
    "return (\n" + "-\n" * 90 + "y)",
    "return (\n" + "y +\n" * 90 + "y)",
    "return (\n" + "y **\n" * 90 + "y)",
    "return (\n" + "y if z else\n" * 45 + "y)",
    "return (z\n" + ".strip()\n" * 40 + ")",
    "return (x\n" + "[0]\n" * 90 + ")",
    "return (\n" + "y <\n" * 90 + "y)",
    "return " + "[" * 14 + "y" + "]" * 14,
    "if y:\n    pass\n" + "elif z:\n    pass\n" * 39,
    "\n".join("    " * depth + "if y:" for depth in range(9)) + "\n" + "    " * 9 + "pass",
]


@pytest.mark.parametrize("body", DEEPEST)
def test_the_deepest_that_is_allowed_loads_far_down_a_stack(body: str) -> None:
    def below(frames: int) -> list[Finding]:
        return below(frames - 1) if frames else check(package(contract(body=body)))

    assert below(200) == []
