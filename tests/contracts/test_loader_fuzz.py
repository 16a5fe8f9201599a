"""The loader meets source that nobody meant: mutated contracts, random syntax trees, noise.

Whatever it is given, it refuses with CONTRACT_REFUSED or gives a contract; and what loads ends
within its steps with a receipt, never with a fault of the node.
"""

from __future__ import annotations

import ast
import re
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consensus.primitives.errors import CodecError, InputError
from consensus.transaction import Call
from contracts.runtime import loader
from contracts.runtime.executor import BlockExecutor
from contracts.runtime.package import RUNTIME, Package, SourceFile
from contracts.runtime.registry import builtin_packages, builtin_registry
from contracts.runtime.steps import Meter
from tests.contracts.escape.corpus import HEAD, RUN, corpus
from tests.contracts.ledger import MAKER, Ledger, consortium, seed_of

STEPS_MAX: Final = 300_000
SECONDS_MAX: Final = 60  # far more than any example needs: this is for what never ends
BUILTIN: Final = builtin_packages()
TOKEN: Final = re.compile(r"\w+|\s+|[^\w\s]", re.ASCII)
HOSTILE: Final = sorted(
    {
        line
        for case in corpus().values()
        for _, text in case.files
        for line in text.split("\n")[:200]
    }
)


@pytest.fixture(scope="module")
def base() -> Ledger:
    return Ledger(builtin_registry(), consortium())


@contextmanager
def within_bounds() -> Iterator[None]:
    """Fail, instead of waiting for ever."""

    def stop(*_: object) -> None:
        raise AssertionError(f"more than {SECONDS_MAX} seconds")

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(SECONDS_MAX)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def judge(base: Ledger, package: Package) -> None:
    """Load the package; run each of its methods if that goes."""
    with within_bounds():
        findings = loader.check(package)
        try:
            loader.load(package, Meter(STEPS_MAX))
            packages = [old for old in base.registry.packages if old.name != package.name]
            registry = base.registry.with_packages((*packages, package))
        except InputError as error:
            assert error.code == "CONTRACT_REFUSED"
            return
        assert findings == []
        module = registry.get(package.name)
        assert module is not None
        for name, method in module.methods.items():
            args = {name: field.example() for name, field in method.fields.items()}
            tx = base.tx(seed_of(MAKER), Call(package.name, name, args), steps_max=STEPS_MAX)
            executor = BlockExecutor(registry, base.state, base.block_context())
            assert executor.execute(tx).steps_used <= STEPS_MAX


# --- mutated contracts -----------------------------------------------------------------------


@st.composite
def mutated(draw: st.DrawFn) -> Package:
    """A built-in contract after one to eight small accidents."""
    package = draw(st.sampled_from(BUILTIN))
    texts = [file.text for file in package.files]
    at_file = draw(st.integers(0, len(texts) - 1))
    tokens = TOKEN.findall(texts[at_file])
    for _ in range(draw(st.integers(1, 8))):
        at = draw(st.integers(0, len(tokens) - 1))
        other = draw(st.integers(0, len(tokens) - 1))
        match draw(st.sampled_from(("drop", "double", "swap", "copy", "line", "noise", "cut"))):
            case "drop":
                tokens[at] = ""
            case "double":
                tokens[at] *= 2
            case "swap":
                tokens[at], tokens[other] = tokens[other], tokens[at]
            case "copy":
                tokens[at] = tokens[other]
            case "line":
                tokens[at] += "\n" + draw(st.sampled_from(HOSTILE)) + "\n"
            case "noise":
                tokens[at] += draw(st.text(max_size=5))
            case "cut":
                del tokens[min(at, other) : min(at, other) + 40]
        tokens = tokens or [""]
    texts[at_file] = "".join(tokens)
    files = zip(package.files, texts, strict=True)
    return Package(
        package.name,
        package.version,
        package.runtime,
        tuple(SourceFile(old.path, text) for old, text in files),
    )


@given(package=mutated())
def test_mutated_contracts(base: Ledger, package: Package) -> None:
    judge(base, package)


@given(text=st.one_of(st.text(), st.binary().map(lambda raw: raw.decode("latin-1"))))
def test_noise(base: Ledger, text: str) -> None:
    judge(base, Package("hostile", 1, RUNTIME, (SourceFile("contracts/hostile.py", text),)))


@given(
    body=st.lists(
        st.sampled_from(("x", "self", "1", "'a'", "f'{x}'", "(", ")", "[", "]", "{", "}", ":", ",",
                         ".", "=", "==", ":=", "*", "**", "-", "not ", " if ", " else ", " for ",
                         " in ", "lambda ", "return ", "while ", "\n        ", "\n            ",
                         "len", "sorted", "key=", "self.table", ".get", ".append", "\\", "#", "\"",
                         "'", "f\"", "{x:03}", "!r", "try:", "except ContractError as e:", "_m",
                         "@", "%", "//", "__class__", "None", "True", "range(9)", "is ", "pass")),
        max_size=40,
    )
)  # fmt: skip
def test_token_soup(base: Ledger, body: list[str]) -> None:
    text = HEAD + RUN + "        " + "".join(body) + "\n"
    judge(base, Package("hostile", 1, RUNTIME, (SourceFile("contracts/hostile.py", text),)))


# --- random syntax trees ---------------------------------------------------------------------

NAMES: Final = ("a", "b", "items", "text")
METHODS: Final = ("append", "get", "items", "join", "pop", "replace", "sort", "split", "update")
BUILTINS: Final = ("abs", "bool", "dict", "enumerate", "int", "len", "list", "max", "min", "range",
                   "reversed", "sorted", "str", "sum", "tuple", "zip")  # fmt: skip
OPERATORS: Final = (ast.Add, ast.Sub, ast.Mult, ast.FloorDiv, ast.Mod, ast.Pow, ast.LShift,
                    ast.RShift, ast.BitAnd, ast.BitOr, ast.BitXor)  # fmt: skip
COMPARISONS: Final = (ast.Eq, ast.NotEq, ast.Lt, ast.LtE, ast.In, ast.NotIn, ast.Is)


def name(id: str, context: type[ast.expr_context] = ast.Load) -> ast.Name:
    return ast.Name(id, context())


def target() -> st.SearchStrategy[ast.expr]:
    one = st.sampled_from(NAMES).map(lambda id: name(id, ast.Store))
    return st.one_of(one, st.tuples(one, one).map(lambda two: ast.Tuple(list(two), ast.Store())))


def larger(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Expressions of which ``inner`` is a part."""
    some = st.lists(inner, max_size=3)
    loop = st.builds(lambda t, i: ast.comprehension(t, i, [], 0), target(), inner)
    return st.one_of(
        some.map(lambda items: ast.List(items, ast.Load())),
        some.map(lambda items: ast.Tuple(items, ast.Load())),
        some.map(lambda items: ast.Dict([ast.Constant(n) for n in range(len(items))], items)),
        st.builds(lambda a, op, b: ast.BinOp(a, op(), b), inner, st.sampled_from(OPERATORS), inner),
        st.builds(
            lambda a, op, b: ast.Compare(a, [op()], [b]), inner, st.sampled_from(COMPARISONS), inner
        ),
        st.builds(lambda a, b: ast.BoolOp(ast.And(), [a, b]), inner, inner),
        st.builds(lambda o: ast.UnaryOp(ast.USub(), o), inner),
        st.builds(ast.IfExp, inner, inner, inner),
        st.builds(lambda v, i: ast.Subscript(v, i, ast.Load()), inner, inner),
        st.builds(
            lambda v, a, b: ast.Subscript(v, ast.Slice(a, b, None), ast.Load()), inner, inner, inner
        ),
        st.builds(
            lambda f, args: ast.Call(name(f), args, []),
            st.sampled_from(BUILTINS),
            st.lists(inner, min_size=1, max_size=2),
        ),
        st.builds(
            lambda v, m, args: ast.Call(ast.Attribute(v, m, ast.Load()), args, []),
            inner,
            st.sampled_from(METHODS),
            st.lists(inner, max_size=2),
        ),
        st.builds(lambda e, c: ast.ListComp(e, [c]), inner, loop),
        st.builds(lambda k, v, c: ast.DictComp(k, v, [c]), inner, inner, loop),
        st.builds(lambda t, v: ast.NamedExpr(name(t, ast.Store), v), st.sampled_from(NAMES), inner),
        st.builds(
            lambda v: ast.JoinedStr([ast.FormattedValue(v, -1, None), ast.Constant("x")]), inner
        ),
        st.builds(
            lambda v, key: ast.Call(
                name("sorted"),
                [v],
                [
                    ast.keyword(
                        "key",
                        ast.Lambda(ast.arguments([], [ast.arg("k")], None, [], [], None, []), key),
                    )
                ],
            ),
            inner,
            inner,
        ),
    )


EXPRESSIONS: Final = st.recursive(
    st.one_of(
        st.sampled_from(NAMES).map(name),
        st.sampled_from((0, 1, -1, 7, 2**61 - 1, 2**255, "", "a", "ab" * 40, b"", b"x", None, True))
        .map(ast.Constant),
        st.sampled_from(("height", "roles", "organisation")).map(
            lambda a: ast.Attribute(ast.Attribute(name("self"), "ctx", ast.Load()), a, ast.Load())
        ),
    ),
    larger,
    max_leaves=12,
)  # fmt: skip


@st.composite
def statements(draw: st.DrawFn, depth: int = 3) -> list[ast.stmt]:
    """A suite of one to four statements."""
    kinds = ("assign", "augment", "return", "expression", "if", "while", "for", "try", "put")
    found: list[ast.stmt] = []
    for _ in range(draw(st.integers(1, 4))):
        kind = draw(st.sampled_from(kinds[:4] if depth == 0 else kinds))
        value = draw(EXPRESSIONS)
        inner: list[ast.stmt] = draw(statements(depth - 1)) if kinds.index(kind) > 3 else []
        match kind:
            case "assign":
                found.append(ast.Assign([draw(target())], value, lineno=1))
            case "augment":
                operator = draw(st.sampled_from(OPERATORS))()
                found.append(
                    ast.AugAssign(name(draw(st.sampled_from(NAMES)), ast.Store), operator, value)
                )
            case "return":
                found.append(ast.Return(value))
            case "if":
                found.append(ast.If(value, inner, []))
            case "while":
                found.append(ast.While(value, inner, []))
            case "for":
                found.append(ast.For(draw(target()), value, inner, [], lineno=1))
            case "try":
                handler = ast.ExceptHandler(name("ContractError"), "error", inner)
                found.append(ast.Try([ast.Expr(value)], [handler], [], []))
            case "put":
                table = ast.Attribute(name("self"), "table", ast.Load())
                put = ast.Attribute(table, "put", ast.Load())
                found.append(ast.Expr(ast.Call(put, [ast.Constant("a"), value], [])))
            case _:
                found.append(ast.Expr(value))
    return found


START: Final = "        a, b, items, text = 1, 2, [3, 1, 2], 'some text'\n"


@given(body=statements())
@settings(max_examples=100 if settings().max_examples < 1_000 else settings().max_examples)
def test_random_syntax_trees(base: Ledger, body: list[ast.stmt]) -> None:
    lines = [
        line for part in body for line in ast.unparse(ast.fix_missing_locations(part)).split("\n")
    ]
    text = HEAD + RUN + START + "".join(f"        {line}\n" for line in lines)
    try:
        file = SourceFile("contracts/hostile.py", text)
    except CodecError:
        return
    judge(base, Package("hostile", 1, RUNTIME, (file,)))
