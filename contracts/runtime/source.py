"""Source text before it is trusted: findings, limits, and a scan that no Python version sways.

The interpreter's parser is C code whose depth limits, and whose f-strings, differ between versions.
So a small scanner of our own goes over the text first. It refuses what the versions treat unlike
and bounds whatever the parser would recurse on; only then is the text parsed.
"""

from __future__ import annotations

import ast
import re
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from consensus.primitives.errors import InputError
from contracts.runtime.package import FILE_BYTES_MAX, SourceFile

FINDINGS_MAX: Final = 50
LINES_MAX: Final = 2_000
LINE_CHARS_MAX: Final = 200
TOKENS_MAX: Final = 20_000
BRACKETS_MAX: Final = 16  # open at once
INDENTS_MAX: Final = 12
CHAIN_MAX: Final = 100  # operators, attributes, calls that one expression strings together
ELIFS_MAX: Final = 40
DEPTH_MAX: Final = 120  # of the syntax tree
INT_BITS_MAX: Final = 256
INT_DIGITS_MAX: Final = 78

PYTHON: Final = (3, 11)  # the grammar of contracts

_TOKEN: Final = re.compile(
    r"""(?P<space>\ +)
      | (?P<comment>\#[^\n]*)
      | (?P<newline>\n)
      | (?P<string>(?P<prefix>[A-Za-z]{0,3})(?P<quote>\"\"\"|'''|"|'))
      | (?P<name>[A-Za-z_][A-Za-z0-9_]*)
      | (?P<number>0[xX][0-9a-fA-F_]+|0[oO][0-7_]+|0[bB][01_]+|[0-9][0-9_]*)
      | (?P<op>\*\*=|//=|>>=|<<=|\.\.\.|->|:=|==|!=|<=|>=|\*\*|//|<<|>>|[-+*/%&|^@]=
             |[-+*/%@&|^~<>=.,:;()\[\]{}])
      | (?P<other>.)""",
    re.VERBOSE,
)
_ESCAPE: Final = re.compile(
    r"""\\(?:[\\'"abfnrtv\n]|[0-3][0-7]{0,2}|[4-7][0-7]?(?![0-7])|x[0-9a-fA-F]{2}
           |(?P<wide>u(?P<u>[0-9a-fA-F]{4})|U(?P<U>[0-9a-fA-F]{8})))""",
    re.VERBOSE,
)
_SPEC: Final = re.compile(r"0?[1-9][0-9]?")
_CHAINED: Final = frozenset(["not", "and", "or", "if", "else", "lambda", "for", "await", "yield"])
_OPEN: Final = {"(": ")", "[": "]", "{": "}"}


@dataclass(frozen=True)
class Finding:
    """One reason why source is refused. For people: its words never enter a receipt."""

    file: str
    line: int
    column: int
    rule: str
    reason: str
    hint: str = ""

    def __str__(self) -> str:
        hint = f" ({self.hint})" if self.hint else ""
        return f"{self.file}:{self.line}:{self.column}: {self.rule}: {self.reason}{hint}"


@dataclass
class Findings:
    """What was found so far, the first :data:`FINDINGS_MAX` of it, in the order it was found."""

    file: str = ""
    found: list[Finding] = field(default_factory=list)

    def at(self, line: int, column: int, rule: str, reason: str, hint: str = "") -> None:
        if len(self.found) < FINDINGS_MAX:
            self.found.append(Finding(self.file, line, column, rule, reason, hint))

    def add(self, node: Any, rule: str, reason: str, hint: str = "") -> None:
        """A finding at a syntax tree's node."""
        self.at(getattr(node, "lineno", 1), getattr(node, "col_offset", 0) + 1, rule, reason, hint)


class _Refused(Exception):
    """Nothing sensible can be said about the rest of the text."""


class _Scanner:
    """One pass over a text. Positions are offsets; ``levels`` counts chained parts per bracket."""

    def __init__(self, text: str, findings: Findings) -> None:
        self.text = text
        self.findings = findings
        self.tokens = 0
        self.brackets: list[str] = []
        self.levels = [0]
        self.chain = 0  # the sum of levels

    def refuse(self, at: int, rule: str, reason: str, hint: str = "") -> None:
        line = self.text.count("\n", 0, at) + 1
        column = at - (self.text.rfind("\n", 0, at) + 1) + 1
        self.findings.at(line, column, rule, reason, hint)

    def stop(self, at: int, rule: str, reason: str, hint: str = "") -> None:
        self.refuse(at, rule, reason, hint)
        raise _Refused

    def run(self) -> None:
        indents = [0]
        elifs: dict[int, int] = {}
        at, fresh = 0, True  # fresh: at the beginning of a logical line
        text = self.text
        while at < len(text):
            if fresh:
                at, fresh = self._indent(at, indents, elifs), False
                continue
            found = _TOKEN.match(text, at)
            assert found is not None
            if found.lastgroup == "newline" and not self.brackets:
                self.levels, self.chain, fresh = [0], 0, True
            at = self._token(found)
        if self.brackets:
            self.stop(len(text), "syntax", f"'{self.brackets[-1]}' is missing")

    def _indent(self, at: int, indents: list[int], elifs: dict[int, int]) -> int:
        start = re.compile(r" *").match(self.text, at).end()  # type: ignore[union-attr]
        if start == len(self.text) or self.text[start] in "\n#":
            return start
        width = start - at
        while width < indents[-1]:
            elifs.pop(indents.pop(), None)
        if width > indents[-1]:
            indents.append(width)
            if len(indents) > INDENTS_MAX:
                self.stop(start, "too-deep", f"more than {INDENTS_MAX} indentations")
        if self.text.startswith("elif", start):
            elifs[width] = elifs.get(width, 0) + 1
            if elifs[width] > ELIFS_MAX:
                self.stop(start, "too-deep", f"more than {ELIFS_MAX} elif in a row")
        elif not self.text.startswith("else", start):
            elifs[width] = 0
        return start

    def _token(self, found: re.Match[str]) -> int:
        """Judge one token and give where the next begins."""
        kind, at, end = found.lastgroup, found.start(), found.end()
        if found["string"] is not None:
            kind = "string"
        if kind in ("space", "comment", "newline"):
            return end
        self.tokens += 1
        if self.tokens > TOKENS_MAX:
            self.stop(at, "too-long", f"more than {TOKENS_MAX} tokens in a file")
        if kind == "string":
            return self._string(found)
        if kind == "number":
            self._number(found)
        elif kind == "name":
            if found["name"] in _CHAINED:
                self._longer(at)
        elif kind == "op":
            self._operator(found["op"], at)
        else:
            self.stop(at, "character", f"the character {found[0]!r} has no place here")
        return end

    def _longer(self, at: int) -> None:
        self.levels[-1] += 1
        self.chain += 1
        if self.chain > CHAIN_MAX:
            self.stop(
                at,
                "too-deep",
                f"more than {CHAIN_MAX} parts chained in one expression",
                "divide it",
            )

    def _operator(self, op: str, at: int) -> None:
        if op in _OPEN:
            self._longer(at)
            if len(self.brackets) == BRACKETS_MAX:
                self.stop(at, "too-deep", f"more than {BRACKETS_MAX} brackets open")
            self.brackets.append(_OPEN[op])
            self.levels.append(0)
        elif op in (")", "]", "}"):
            if not self.brackets or self.brackets.pop() != op:
                self.stop(at, "syntax", f"'{op}' closes nothing")
            self.chain -= self.levels.pop()
        elif op in (",", ";"):
            self.chain -= self.levels[-1]
            self.levels[-1] = 0
        else:
            self._longer(at)
            if op == "." and self.text[at + 1 : at + 2].isdigit():
                self.stop(at, "float", "there are no floats", "count the smallest unit")

    def _number(self, found: re.Match[str]) -> None:
        at, text = found.start(), found[0]
        after = self.text[found.end() : found.end() + 1]
        if after.isalnum() or after in ("_", "."):
            if after in (".", "e", "E", "j", "J"):
                self.stop(at, "float", "there are no floats", "count the smallest unit")
            self.stop(at, "syntax", "a number ends where a letter begins", "put a space between")
        digits = text.replace("_", "")
        if (
            text.endswith("_")
            or "__" in text
            or (digits[0] == "0" and digits.isdigit() and int(digits[:80]))
        ):
            self.stop(at, "syntax", "not a whole number")
        if len(digits) > INT_DIGITS_MAX or int(digits, 0).bit_length() > INT_BITS_MAX:
            self.stop(at, "too-big", f"a whole number has at most {INT_BITS_MAX} bits")

    # --- strings ----------------------------------------------------------------------------

    def _string(self, found: re.Match[str]) -> int:
        at, prefix, quote = found.start(), found["prefix"], found["quote"]
        if prefix not in ("", "r", "b", "f", "rb", "br"):
            self.stop(at, "string-prefix", f"the prefix {prefix} is not used in contracts")
        start = found.end()
        end = self._string_end(at, start, quote)
        body = self.text[start:end]
        if "r" not in prefix:
            self._escapes(start, body, "b" in prefix)
        if prefix == "f":
            self._fields(start, body, quote)
        return end + len(quote)

    def _string_end(self, at: int, start: int, quote: str) -> int:
        """Where the closing quote stands, as Python 3.11 sees it: the first unescaped one."""
        scan = start
        text = self.text
        while scan < len(text):
            letter = text[scan]
            if letter == "\\":
                scan += 2
                continue
            if text.startswith(quote, scan):
                return scan
            if letter == "\n" and len(quote) == 1:
                break
            scan += 1
        self.stop(at, "syntax", "a text that does not end")
        raise AssertionError

    def _escapes(self, start: int, body: str, is_bytes: bool) -> None:
        at = body.find("\\")
        while at >= 0:
            found = _ESCAPE.match(body, at)
            if found is None or (is_bytes and found["wide"]):
                self.stop(start + at, "escape", f"no such escape: {body[at : at + 2]!r}")
            assert found is not None
            code = int(found["u"] or found["U"] or "0", 16)
            if 0xD800 <= code <= 0xDFFF or code > 0x10FFFF:
                self.stop(start + at, "escape", "no such character")
            at = body.find("\\", found.end())

    def _fields(self, start: int, body: str, quote: str) -> None:
        """The replacement fields of an f-string, by the rules of Python 3.11."""
        at = 0
        while at < len(body):
            letter = body[at]
            if letter in "{}" and body[at : at + 2] == letter * 2:
                at += 2
            elif letter == "{":
                at = self._field(start, body, at + 1, quote)
            elif letter == "}":
                self.stop(start + at, "f-string", "a single } in an f-string")
            else:
                at += 1

    def _field(self, start: int, body: str, at: int, quote: str) -> int:
        """One field, scanned like code; gives where the text goes on."""
        outer, first = self.brackets, at
        self.brackets = []
        self._longer(start + at)
        self.levels.append(0)
        if len(self.levels) > BRACKETS_MAX + 2:
            self.stop(start + at, "too-deep", "too much within an f-string")
        while True:
            if at >= len(body):
                self.stop(
                    start + first, "f-string", "a field that does not end, or holds the quotes"
                )
            letter = body[at]
            if letter in "\\#\n" or body.startswith(quote, at):
                self.stop(
                    start + at, "f-string", "no backslash, #, line end or own quotes in a field"
                )
            if not self.brackets and letter in "}:!=" and body[at : at + 2] not in ("==", "!="):
                break
            found = _TOKEN.match(body, at)
            assert found is not None
            if found["string"] is not None:
                end = body.find(found["quote"], found.end())
                if found["prefix"] or len(found["quote"]) > 1 or end < 0 or "\\" in body[at:end]:
                    self.stop(start + at, "f-string", "only plain texts within a field")
                self.tokens += 1
                at = end + 1
                continue
            if found["op"] in ("==", "<=", ">=", ":=") or found["op"] not in (None, "="):
                self._operator(found["op"], start + at)
                at = found.end()
                continue
            at = self._shifted(found, start)
        if body[first:at].lstrip().startswith("*"):
            self.stop(start + first, "f-string", "no * in a field")
        if at == first or not body[first:at].strip():
            self.stop(start + first, "f-string", "an empty field")
        if letter in "!=":
            self.stop(start + at, "f-string", f"no {letter} in a field", "write the text out")
        if letter == ":":
            end = body.find("}", at)
            spec = body[at + 1 : end]
            if end < 0 or not _SPEC.fullmatch(spec):
                self.stop(
                    start + at, "f-string", "a format is a width of one or two digits, or 0 and one"
                )
            at = end
        self.brackets = outer
        self.chain -= self.levels.pop()
        return at + 1

    def _shifted(self, found: re.Match[str], start: int) -> int:
        """A token of a field: as any other, but its text is a part of the file's."""
        text = self.text
        shifted = _TOKEN.match(text, start + found.start(), start + found.end())
        assert shifted is not None
        return self._token(shifted) - start


def scan(file: SourceFile, findings: Findings) -> bool:
    """Look the text over. Whether it may be parsed."""
    findings.file = file.path
    before = len(findings.found)
    text = file.text
    if len(text.encode(errors="replace")) > FILE_BYTES_MAX:
        findings.at(1, 1, "too-long", f"more than {FILE_BYTES_MAX} bytes")
        return False
    lines = text.split("\n")
    if len(lines) > LINES_MAX:
        findings.at(1, 1, "too-long", f"more than {LINES_MAX} lines")
        return False
    for number, line in enumerate(lines, 1):
        if len(line) > LINE_CHARS_MAX:
            findings.at(
                number, LINE_CHARS_MAX, "too-long", f"a line above {LINE_CHARS_MAX} letters"
            )
        for column, letter in enumerate(line, 1):
            if not " " <= letter <= "~":
                hint = "in texts, write \\u and four hex digits" if letter > "~" else "use spaces"
                findings.at(number, column, "character", f"{letter!r} is not printable ASCII", hint)
                break
    if len(findings.found) > before:
        return False
    try:
        _Scanner(text, findings).run()
    except _Refused:
        return False
    return len(findings.found) == before


def parse(file: SourceFile, findings: Findings) -> ast.Module | None:
    """The syntax tree of a file, of bounded depth; or None, and why not in ``findings``."""
    if not scan(file, findings):
        return None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(file.text, file.path, feature_version=PYTHON)
    except SyntaxError as error:
        # The parser's words differ between versions; they are for people alone.
        findings.at(error.lineno or 1, error.offset or 1, "syntax", error.msg)
        return None
    deepest = 0
    for node, depth in walk_with_depth(tree):
        if depth > deepest:
            deepest = depth
            if depth > DEPTH_MAX:
                findings.add(node, "too-deep", f"nested deeper than {DEPTH_MAX} levels")
                return None
    return tree


def walk_with_depth(tree: ast.AST) -> Iterator[tuple[ast.AST, int]]:
    """Every node with its depth, without recursion."""
    waiting = [(tree, 0)]
    while waiting:
        node, depth = waiting.pop()
        yield node, depth
        waiting.extend((child, depth + 1) for child in ast.iter_child_nodes(node))


def is_text(node: ast.stmt) -> bool:
    """Whether a statement is a docstring."""
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and type(node.value.value) is str
    )


def class_constants(file: SourceFile) -> dict[str, Any]:
    """Plain constants in the bodies of a file's classes. Raises InputError CONTRACT_REFUSED."""
    findings = Findings()
    tree = parse(file, findings)
    if tree is None:
        raise InputError("CONTRACT_REFUSED", "; ".join(map(str, findings.found)))
    found: dict[str, Any] = {}
    for node in tree.body:
        if isinstance(node, ast.ClassDef):
            for inner in node.body:
                if isinstance(inner, ast.Assign) and isinstance(inner.value, ast.Constant):
                    for target in inner.targets:
                        if isinstance(target, ast.Name):
                            found[target.id] = inner.value.value
    return found
