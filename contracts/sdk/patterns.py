"""Patterns of text that are matched in one pass, whatever the text.

The language is a part of the usual regular expressions, over printable ASCII:

====================  ======================================================================
``A``, ``\\-``, ``\\.``   the character itself; ``\\ . [ ] ( ) { } ? + * | ^ $`` need the backslash
``.``                 any printable ASCII character, the space included
``\\d``, ``\\w``          a digit; a letter, digit or ``_``
``[A-Z2-9]``          one of these; ``[^...]`` any other printable ASCII character
``(...)``, ``A|B``      a group, a choice
``?`` ``*`` ``+`` ``{3}`` ``{1,4}`` ``{2,}``   how often the character or group before stands there
====================  ======================================================================

The whole text must match. Of a pattern is asked that the next character always decides how it
goes on: what may be repeated or left out begins with other characters than what may follow, and so
do the branches of a choice. ``[A-Z]{2}[0-9]*(-[0-9]+)?`` is such a pattern, ``(a+)+`` and ``a*ab``
are not. Then nothing is ever tried twice, so no text makes a pattern slow, and a pattern means
the same to every regular expression engine that reads the published schema.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final, NoReturn

PATTERN_LENGTH_MAX: Final = 512
GROUP_DEPTH_MAX: Final = 4
COUNT_MAX: Final = 1_000

_PRINTABLE: Final = tuple(chr(number) for number in range(0x20, 0x7F))
_SPECIAL: Final = frozenset("\\.[](){}?+*|^$")
_SHORTHANDS: Final = {
    "d": frozenset("0123456789"),
    "w": frozenset("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz"),
}
Chars = frozenset[str]
_NONE: Final[Chars] = frozenset()


class BadPattern(TypeError):
    """A pattern that is not of the language, or not decided by the next character."""


@dataclass(frozen=True)
class One:
    """One of these characters."""

    chars: Chars


@dataclass(frozen=True)
class Row:
    """One after the other."""

    nodes: tuple[Node, ...]


@dataclass(frozen=True)
class Either:
    """One of several."""

    nodes: tuple[Node, ...]


@dataclass(frozen=True)
class Times:
    """``low`` to ``high`` times; None is without end."""

    node: Node
    low: int
    high: int | None


Node = One | Row | Either | Times


class Pattern:
    """A pattern ready to match. Raises BadPattern saying where and why it is none."""

    def __init__(self, source: str) -> None:
        if type(source) is not str or not 1 <= len(source) <= PATTERN_LENGTH_MAX:
            raise BadPattern(f"a pattern is text of 1 to {PATTERN_LENGTH_MAX} characters")
        self.source = source
        self.node = _Reader(source).read()
        _check(self.node, _NONE, source)
        self.regex = _regex(self.node)
        if len(self.regex) > PATTERN_LENGTH_MAX:
            raise BadPattern(f"written out, a pattern has {PATTERN_LENGTH_MAX} characters at most")
        self.matches: Callable[[str], object] = re.compile(self.regex, re.ASCII).fullmatch

    @property
    def published(self) -> str:
        """What schemas say: the source, or written out where others read it otherwise."""
        return self.regex if "." in self.source or "[^" in self.source else self.source

    @property
    def shortest(self) -> int:
        """The characters of the shortest text that matches."""
        return _example_length(self.node, 0)

    def example(self, minimum: int = 0) -> str:
        """A text that matches, of ``minimum`` characters where the pattern has so long ones."""
        # The length grows with the repetitions: the fewest that are enough.
        low, high = 0, minimum
        while low < high:
            middle = (low + high) // 2
            if _example_length(self.node, middle) < minimum:
                low = middle + 1
            else:
                high = middle
        return _example(self.node, low)


class _Reader:
    """Reads a pattern from left to right."""

    def __init__(self, source: str) -> None:
        self.source = source
        self.at = 0

    def read(self) -> Node:
        node = self._choice(0)
        if self.at < len(self.source):
            self._bad(f"{self._next()!r} closes nothing")
        return node

    def _bad(self, why: str) -> NoReturn:
        raise BadPattern(f"pattern {self.source!r}: at character {self.at + 1}: {why}")

    def _next(self) -> str:
        return self.source[self.at : self.at + 1]

    def _take(self, text: str) -> bool:
        if self.source.startswith(text, self.at):
            self.at += len(text)
            return True
        return False

    def _choice(self, depth: int) -> Node:
        branches = [self._row(depth)]
        while self._take("|"):
            branches.append(self._row(depth))
        return branches[0] if len(branches) == 1 else Either(tuple(branches))

    def _row(self, depth: int) -> Node:
        nodes: list[Node] = []
        while self._next() not in ("", "|", ")"):
            nodes.append(self._counted(self._one(depth)))
        if not nodes:
            self._bad("something must stand here; what may be missing is written (...)?")
        return nodes[0] if len(nodes) == 1 else Row(tuple(nodes))

    def _one(self, depth: int) -> Node:
        if self._take("("):
            if depth == GROUP_DEPTH_MAX:
                self._bad(f"groups within more than {GROUP_DEPTH_MAX} groups")
            if self._next() == "?" and not self._take("?:"):
                self._bad("groups that look ahead or behind or have names are not known here")
            node = self._choice(depth + 1)
            if not self._take(")"):
                self._bad("the group is not closed")
            return node
        if self._take("["):
            return One(self._class())
        if self._take("."):
            return One(frozenset(_PRINTABLE))
        if self._next() in _SPECIAL and self._next() != "\\":
            self._bad(f"{self._next()!r} means nothing here; as a character it is \\{self._next()}")
        return One(self._characters())

    def _characters(self) -> Chars:
        """A character as itself or behind a backslash."""
        if not self._take("\\"):
            char = self._next()
            if char not in _PRINTABLE:
                self._bad("only printable ASCII characters")
            self.at += 1
            return frozenset(char)
        char = self._next()
        if char not in _SHORTHANDS and (char.isalnum() or char not in _PRINTABLE):
            self._bad("behind a backslash stands d, w or a punctuation mark")
        self.at += 1
        return _SHORTHANDS.get(char) or frozenset(char)

    def _class(self) -> Chars:
        is_negated = self._take("^")
        found: set[str] = set()
        while not self._take("]"):
            if self._next() in ("", "["):
                self._bad("the class is not closed, or [ stands in it without a backslash")
            low = self._characters()
            if self._next() == "-" and self.source[self.at + 1 : self.at + 2] not in ("", "]"):
                self.at += 1
                high = self._characters()
                if len(low) != 1 or len(high) != 1 or max(low) > max(high):
                    self._bad("a range goes from one character to a later one")
                low = frozenset(chr(n) for n in range(ord(max(low)), ord(max(high)) + 1))
            found |= low
        chars = frozenset(_PRINTABLE) - found if is_negated else frozenset(found)
        if not chars:
            self._bad("a class that no character is in")
        return chars

    def _counted(self, node: Node) -> Node:
        counts: tuple[int, int | None]
        if self._take("?"):
            counts = 0, 1
        elif self._take("*"):
            counts = 0, None
        elif self._take("+"):
            counts = 1, None
        elif self._take("{"):
            counts = self._counts()
        else:
            return node
        if self._next() in ("?", "*", "+", "{"):
            self._bad("one count upon another")
        return node if counts == (1, 1) else Times(node, *counts)

    def _counts(self) -> tuple[int, int | None]:
        found = re.compile(r"([0-9]{1,4})(,([0-9]{0,4}))?\}", re.ASCII).match(self.source, self.at)
        if found is None:
            self._bad("a count is {3}, {1,4} or {2,}")
        low = int(found[1])
        high = low if found[2] is None else int(found[3]) if found[3] else None
        if low > COUNT_MAX or (high is not None and not max(low, 1) <= high <= COUNT_MAX):
            self._bad(f"counts go upwards, to at most {COUNT_MAX}")
        self.at = found.end()
        return low, high


def _first(node: Node) -> Chars:
    """The characters that it may begin with."""
    match node:
        case One(chars):
            return chars
        case Either(nodes):
            return _NONE.union(*map(_first, nodes))
        case Times(inner, _, _):
            return _first(inner)
        case Row(nodes):
            found = _NONE
            for one in nodes:
                found |= _first(one)
                if not _may_be_empty(one):
                    break
            return found


def _may_be_empty(node: Node) -> bool:
    match node:
        case One():
            return False
        case Either(nodes):
            return any(map(_may_be_empty, nodes))
        case Times(inner, low, _):
            return low == 0 or _may_be_empty(inner)
        case Row(nodes):
            return all(map(_may_be_empty, nodes))


def _check(node: Node, follow: Chars, source: str) -> None:
    """That the next character decides. ``follow`` is what may come behind the node."""
    match node:
        case Row(nodes):
            for one in reversed(nodes):
                _check(one, follow, source)
                follow = _first(one) | (follow if _may_be_empty(one) else _NONE)
        case Either(nodes):
            seen = _NONE
            for one in nodes:
                if _may_be_empty(one):
                    raise BadPattern(f"pattern {source!r}: an empty branch; write (...)?")
                _apart(seen, _first(one), source, "two branches of a choice may begin")
                seen |= _first(one)
                _check(one, follow, source)
        case Times(inner, low, high):
            if _may_be_empty(inner):
                raise BadPattern(f"pattern {source!r}: what may be empty has a count")
            if low != high:
                what = "what is repeated or left out may begin, and what follows it too,"
                _apart(_first(inner), follow, source, what)
            _check(inner, follow | _first(inner) if high != 1 else follow, source)


def _apart(one: Chars, other: Chars, source: str, what: str) -> None:
    both = one & other
    if both:
        raise BadPattern(f"pattern {source!r}: {what} with {min(both)!r}")


def _regex(node: Node) -> str:
    """The pattern in its one form, read alike by Python and ECMAScript."""
    match node:
        case One(chars):
            return _class_of(chars)
        case Row(nodes):
            return "".join(
                f"(?:{_regex(n)})" if isinstance(n, Either) else _regex(n) for n in nodes
            )
        case Either(nodes):
            return "|".join(map(_regex, nodes))
        case Times(inner, low, high):
            text = _regex(inner) if isinstance(inner, One) else f"(?:{_regex(inner)})"
            counts = {(0, 1): "?", (0, None): "*", (1, None): "+"}.get((low, high))
            if counts is None:
                counts = (
                    f"{{{low}}}" if low == high else f"{{{low},{'' if high is None else high}}}"
                )
            return text + counts


def _class_of(chars: Chars) -> str:
    if len(chars) == 1:
        (char,) = chars
        return f"\\{char}" if char in _SPECIAL else char
    parts = []
    for low, high in _runs(chars):
        ends = [f"\\{char}" if char in "\\]^-[" else char for char in (low, high)]
        parts.append(ends[0] if low == high else "-".join(ends))
    return f"[{''.join(parts)}]"


def _runs(chars: Chars) -> Iterator[tuple[str, str]]:
    ordered = sorted(chars)
    start = ordered[0]
    for char, after in zip(ordered, [*ordered[1:], ""], strict=True):
        if not after or ord(after) != ord(char) + 1:
            yield start, char
            start = after


def _shortest(nodes: tuple[Node, ...]) -> Node:
    return min(nodes, key=lambda node: _example_length(node, 0))


def _repetitions(node: Times, more: int) -> int:
    return node.low + more if node.high is None else min(node.low + more, node.high)


def _example_length(node: Node, more: int) -> int:
    match node:
        case One():
            return 1
        case Row(nodes):
            return sum(_example_length(one, more) for one in nodes)
        case Either(nodes):
            return _example_length(_shortest(nodes), more)
        case Times(inner, _, _):
            return _example_length(inner, more) * _repetitions(node, more)


def _example(node: Node, more: int) -> str:
    """A text that matches, with ``more`` repetitions than needed where there may be."""
    match node:
        case One(chars):
            return next((char for char in "A1a" if char in chars), min(chars))
        case Row(nodes):
            return "".join(_example(one, more) for one in nodes)
        case Either(nodes):
            return _example(_shortest(nodes), more)
        case Times(inner, _, _):
            return _example(inner, more) * _repetitions(node, more)
