"""Several nodes' own views, laid beside each other: what no single one can see."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from node.doctor.case import age, ahead_of, names_of
from node.doctor.findings import DEGRADED, STOPPED, Finding, ordered


@dataclass(frozen=True)
class View:
    """What one node said: its vital signs as JSON, and how far its clock was ahead of the asking
    machine's."""

    vitals: Mapping[str, Any]
    clock_ms: int

    @property
    def name(self) -> str:
        return str(self.vitals["name"])


@dataclass(frozen=True)
class Seen:
    """A finding, and at which nodes."""

    finding: Finding
    at: tuple[str, ...]


def joined(each: Sequence[tuple[str, Iterable[Finding]]], views: Sequence[View]) -> list[Seen]:
    """All nodes' findings, equal ones once, and those of the comparison, the cause first."""
    seen: dict[tuple[str, tuple[str, ...]], list[str]] = {}
    first: dict[tuple[str, tuple[str, ...]], Finding] = {}
    for name, findings in each:
        for one in findings:
            key = one.code, one.about
            seen.setdefault(key, []).append(name)
            first.setdefault(key, one)
    for one in compare(views):
        first[one.code, one.about] = one
        seen[one.code, one.about] = []
    return [Seen(one, tuple(seen[one.code, one.about])) for one in ordered(first.values())]


def compare(views: Sequence[View]) -> list[Finding]:
    """What follows from several views only."""
    if len(views) < 2:
        return []
    return ordered(
        finding for check in (_chains, _blocks, _groups, _clocks) for finding in check(views)
    )


def _by(views: Sequence[View], *fields: str) -> dict[tuple[Any, ...], list[str]]:
    groups: dict[tuple[Any, ...], list[str]] = {}
    for view in views:
        groups.setdefault(tuple(view.vitals[field] for field in fields), []).append(view.name)
    return groups


def _chains(views: Sequence[View]) -> Iterator[Finding]:
    chains = _by(views, "chain_id")
    if len(chains) > 1:
        told = "; ".join(f"{names_of(names)}: {key[0][:16]}.." for key, names in chains.items())
        yield Finding(
            "CHAINS_DIFFER", STOPPED,
            f"These nodes are of different chains: {told}",
            "Compare genesis.json with the other operators, by the chain id that hansa genesis show"
            " prints. A node with the wrong one needs the consortium's document and an empty"
            " chain/; never its old votes/ for another chain.",
            tuple(view.name for view in views),
        )  # fmt: skip


def _blocks(views: Sequence[View]) -> Iterator[Finding]:
    by_height: dict[tuple[Any, ...], set[str]] = {}
    for (chain, height, block), _ in _by(views, "chain_id", "height", "block_hash").items():
        by_height.setdefault((chain, height), set()).add(block)
    for (_, height), blocks in by_height.items():
        if len(blocks) > 1:
            names = [view.name for view in views if view.vitals["height"] == height]
            yield Finding(
                "BLOCKS_DIFFER", STOPPED,
                f"{names_of(names)} have different blocks at height {height}: the chain is forked.",
                "Stop accepting transactions and call the other operators. Keep every folder as it"
                " is: the certificates show who signed twice. Don't remove or restore anything.",
                tuple(names), "Thresholds",
            )  # fmt: skip


def _groups(views: Sequence[View]) -> Iterator[Finding]:
    """Validators that answer here, but do not reach each other."""
    (chain,), _ = max(_by(views, "chain_id").items(), key=lambda one: len(one[1]))
    links = {
        view.name: {one["name"] for one in view.vitals["members"] if one["connected"]}
        for view in views
        if view.vitals["me"] and view.vitals["chain_id"] == chain
    }
    left = list(links)
    groups: list[list[str]] = []
    while left:
        group, edge = [], [left.pop(0)]
        while edge:
            name = edge.pop()
            group.append(name)
            near = [one for one in left if one in links[name] or name in links[one]]
            edge += near
            left = [one for one in left if one not in near]
        groups.append(sorted(group))
    if len(groups) > 1:
        largest = max(len(group) for group in groups)
        quorum = max(view.vitals["quorum"] for view in views)
        reached = max(sum(n in links for n in links[name]) + 1 for name in links)
        told = " | ".join(names_of(group) for group in sorted(groups))
        yield Finding(
            "NETWORK_SPLIT",
            STOPPED if max(largest, reached) < quorum else DEGRADED,
            f"All of these run and answer here, but the network between them is cut: {told}."
            f" A block needs {quorum} validators that reach each other.",
            "Look at firewalls, routes and names between these groups. Blocks go on by themselves"
            " when the links are back; there is nothing to restart or to restore.",
            tuple(sorted(links)),
            "rule 3",
        )  # fmt: skip


def _clocks(views: Sequence[View]) -> Iterator[Finding]:
    drift = min(view.vitals["params"]["clock_drift_ms"] for view in views)
    off = {view.name: view.clock_ms for view in views if abs(view.clock_ms) > drift // 2}
    if off:
        told = ", ".join(f"{name} is {ahead_of(ms)} it" for name, ms in sorted(off.items()))
        alike = len(off) == len(views) and max(off.values()) - min(off.values()) < drift // 2
        yield Finding(
            "CLOCKS_APART", DEGRADED,
            f"Compared with this machine's clock, {told}."
            + (" As all are, this machine's own clock may be the wrong one." if alike else ""),
            f"Mend the time service (chrony, ntpd) where it is wrong. Blocks may be {age(drift)}"
            " off at most.", tuple(sorted(off)), "rule 7",
        )  # fmt: skip
