"""The scanner: what is refused before any parser sees it, alike on every Python version."""

from __future__ import annotations

import pytest

from consensus.primitives.errors import InputError
from contracts.runtime.package import FILE_BYTES_MAX, SourceFile, package_of
from contracts.runtime.source import FINDINGS_MAX, Findings, parse

GOOD = [
    "x = 1_000",
    "x = 0x" + "f" * 64,
    "x = r'\\d'",
    "x = '\\u20ac \\x41 \\n \\0'",
    "x = '''a\n'b'\n'''",
    "x = f\"{d['a']} {{}} {a!=b} {a:08} {xs[1:2]} {(lambda a: 1)}\"",
    "x = f'''{a[\"b\"]}'''",
    "if a:\n    pass\n" + "elif a:\n    pass\n" * 39,
    "x = " + "+".join("a" * 98),
    "x = " + "(" * 16 + "a" + ")" * 16,
    "x = (\n" + "not\n" * 95 + "a)",
    "# -*- coding: utf-7 -*-\nx = 1",
    "x = [" + "1," * 90 + "]",
]

REFUSED = [
    ("x = '\u00e9'", "character", 1, 6),
    ("x =\t1", "character", 1, 4),
    ("x = 1\r\n", "character", 1, 6),
    ("x = 1 + \\\n 2", "character", 1, 9),
    ("x = a ? b", "character", 1, 7),
    ("x = 1.5", "float", 1, 5),
    ("x = 1.", "float", 1, 5),
    ("x = .5", "float", 1, 5),
    ("x = 1e5", "float", 1, 5),
    ("x = 1j", "float", 1, 5),
    ("x = 1 .real + 1.real", "float", 1, 15),
    ("x = 07", "syntax", 1, 5),
    ("x = 1__0", "syntax", 1, 5),
    ("x = 1if a else 2", "syntax", 1, 5),
    ("x = 0xfor a", "syntax", 1, 5),
    ("x = " + "9" * 79, "too-big", 1, 5),
    ("x = 0x1" + "0" * 64, "too-big", 1, 5),
    ("x = u'a'", "string-prefix", 1, 5),
    ("x = rf'{a}'", "string-prefix", 1, 5),
    ("x = '\\d'", "escape", 1, 6),
    ("x = '\\N{DASH}'", "escape", 1, 6),
    ("x = '\\ud800'", "escape", 1, 6),
    ("x = '\\U00110000'", "escape", 1, 6),
    ("x = b'\\u1234'", "escape", 1, 7),
    ("x = '\\777'", "escape", 1, 6),
    ('x = f"{d["a"]}"', "f-string", 1, 8),
    ('x = f"{a=}"', "f-string", 1, 9),
    ('x = f"{a!r}"', "f-string", 1, 9),
    ('x = f"{a:>8}"', "f-string", 1, 9),
    ('x = f"{a:{b}}"', "f-string", 1, 9),
    ('x = f"{a:123}"', "f-string", 1, 9),
    ("x = f\"{f'a'}\"", "f-string", 1, 8),
    ("x = f\"{'\\n'}\"", "f-string", 1, 8),
    ('x = f"{*a}"', "f-string", 1, 8),
    ('x = f"{a#}"', "f-string", 1, 9),
    ('x = f"}"', "f-string", 1, 7),
    ('x = f"{}"', "f-string", 1, 8),
    ("x = f'''{a\n}'''", "f-string", 1, 11),
    ("x = 'a", "syntax", 1, 5),
    ("x = (1", "syntax", 1, 7),
    ("x = 1)", "syntax", 1, 6),
    ("x = (1]", "syntax", 1, 7),
    ("x = = 1", "syntax", 1, 5),
    ("def f[T](): pass", "syntax", 1, None),
    ("type X = int", "syntax", 1, None),
    ("x = (\n" + "not\n" * 101 + "a)", "too-deep", 100, 1),
    ("x = (\n" + "-\n" * 101 + "a)", "too-deep", 100, 1),
    ("x = (\n" + "a +\n" * 101 + "a)", "too-deep", 100, 3),
    ("x = (a\n" + ".b\n" * 101 + ")", "too-deep", 100, 1),
    ("x = (a\n" + "()\n" * 101 + ")", "too-deep", 100, 1),
    ("x = (\n" + "a if b else\n" * 51 + "c)", "too-deep", 51, 3),
    ("x = " + "(" * 17 + "a" + ")" * 17, "too-deep", 1, 21),
    ("x = " + "f(" * 17 + "a" + ")" * 17, "too-deep", 1, 38),
    ("if a:\n pass\n" + "elif a:\n pass\n" * 41, "too-deep", 83, 1),
    ("\n".join(" " * n + "if a:" for n in range(13)) + " pass", "too-deep", 13, 13),
    ("x = '" + "a" * 200 + "'", "too-long", 1, 200),
    ("x\n" * 2_001, "too-long", 1, 1),
    ("x = [\n" + "1,1,1,1,1,1,1,1,1,1,1,1,\n" * 900 + "]", "too-long", 835, 6),
    ("#" * (FILE_BYTES_MAX + 1), "too-long", 1, 1),
]


@pytest.mark.parametrize("text", GOOD)
def test_what_the_scanner_lets_through_parses(text: str) -> None:
    findings = Findings()
    assert parse(SourceFile("a.py", text), findings) is not None, findings.found


@pytest.mark.parametrize(("text", "rule", "line", "column"), REFUSED)
def test_refused_with_line_and_column(text: str, rule: str, line: int, column: int | None) -> None:
    findings = Findings()
    assert parse(SourceFile("a.py", text), findings) is None
    found = findings.found[0]
    assert (found.file, found.rule, found.line) == ("a.py", rule, line), str(found)
    assert column in (None, found.column), str(found)


def test_findings_are_bounded() -> None:
    findings = Findings()
    parse(SourceFile("a.py", "\u00e9\n" * 100), findings)
    assert len(findings.found) == FINDINGS_MAX


def test_a_package_is_named_by_its_class() -> None:
    text = "class A(Contract):\n    name = 'a'\n    version = 7\n"
    made = package_of([("lib/b.py", "X = 1\n"), ("a.py", text)])
    assert (made.name, made.version) == ("a", 7)
    assert [file.path for file in made.files] == ["lib/b.py", "a.py"]


@pytest.mark.parametrize(
    "files",
    [
        [],
        [("a.py", "X = 1\n")],
        [("a.py", "class A(Contract):\n    name = 1\n")],
        [("../a.py", "class A(Contract):\n    name = 'a'\n")],
        [("a.py", "class A(Contract):\n    name = 'a'\n")] * 2,
        [("a.py", "class A(\n")],
    ],
)
def test_what_is_no_package(files: list[tuple[str, str]]) -> None:
    with pytest.raises(InputError) as caught:
        package_of(files)
    assert caught.value.code == "CONTRACT_REFUSED"
