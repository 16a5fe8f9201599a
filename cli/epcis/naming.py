"""Prefixes for the namespaces of the events of one document."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any, Final

from cli.epcis.structure import KNOWN_PREFIXES, Captured, Tree, local_of, namespace_of

_PREFIX: Final = re.compile(r"[A-Za-z_][\w.-]*", re.ASCII)


class Prefixes:
    """Names as a document writes them. Events whose prefixes clash declare their own."""

    def __init__(self, events: Sequence[Captured]) -> None:
        self.shared: dict[str, str] = {}
        self._own: list[dict[str, str]] = []  # of each event, all it needs
        for event in events:
            needed = _needed(event)
            self._own.append(needed)
            if all(self.shared.get(name, uri) == uri for name, uri in needed.items()):
                self.shared |= needed

    def of(self, at: int) -> dict[str, str]:
        """What the event at a place declares beside what is shared."""
        needed = self._own[at]
        return {name: uri for name, uri in needed.items() if self.shared.get(name) != uri}

    def names(self, at: int) -> dict[str, str]:
        """Namespace to prefix, for the event at a place."""
        return {uri: name for name, uri in self._own[at].items()}


def _needed(event: Captured) -> dict[str, str]:
    """The prefixes that an event declared, and one for each namespace that has none."""
    known = {
        name: uri
        for name, uri in event.prefixes.items()
        if _PREFIX.fullmatch(name) and not name.lower().startswith("xml") and uri
    }
    found = {name: uri for name, uri in known.items() if KNOWN_PREFIXES.get(name) != uri}
    named = set(known.values())
    for uri in _namespaces(event.tree):
        if uri in named:
            continue
        prefix = next((name for name, one in KNOWN_PREFIXES.items() if one == uri), "")
        count = 1
        while not prefix or found.get(prefix, uri) != uri:
            prefix, count = f"ns{count}", count + 1
        found[prefix] = uri
        named.add(uri)
    for prefix, uri in known.items():
        if uri in _namespaces(event.tree):
            found[prefix] = uri
    return found


def _namespaces(value: Any) -> list[str]:
    return list(dict.fromkeys(_each_namespace(value)))


def _each_namespace(value: Any) -> Iterator[str]:
    if type(value) is dict:
        for name, one in value.items():
            if namespace_of(name):
                yield namespace_of(name)
            yield from _each_namespace(one)
    elif type(value) is list:
        for one in value:
            yield from _each_namespace(one)


def compact(name: str, names: dict[str, str]) -> str:
    """``{namespace}local`` as ``prefix:local``; other names as they are."""
    uri = namespace_of(name)
    if not uri:
        return name
    mark = "@" if name.startswith("@") else ""
    return f"{mark}{names[uri]}:{local_of(name)}"


def each(tree: Tree, known: tuple[str, ...]) -> Iterator[tuple[str, Any]]:
    """The fields in the order of ``known``, extensions behind them."""
    for name in known:
        if name in tree:
            yield name, tree[name]
    for name, value in tree.items():
        if name not in known:
            yield name, value
