"""What the doctor finds: stable codes, their order, and which of them explain which.

The table stands here once; ``docs/operations.md`` repeats it for people and a test compares both.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any, Final

STOPPED: Final = "stopped"
"""The node, or the network as this node sees it, does not advance."""
DEGRADED: Final = "degraded"
"""It advances, with less than it should have."""
NOTICE: Final = "notice"
"""Nothing is wrong; worth knowing."""
SEVERITIES: Final = (STOPPED, DEGRADED, NOTICE)


@dataclass(frozen=True)
class Finding:
    """``about`` are names of nodes; ``rule`` is a section of docs/spec/consensus.md, or ""."""

    code: str
    severity: str
    text: str
    action: str
    about: tuple[str, ...] = ()
    rule: str = ""

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


_IN_VAIN: Final = ("VOTES_WAIT", "CHAIN_STALLED", "ROUNDS_LOST", "TXS_WAIT")
_UNREACHED: Final = (
    "ANSWERS_WAIT",
    "LOG_CHECK_WAITS",
    "QUORUM_MISSING",
    "PEERS_MISSING",
    "LINKS_MISSING",
    *_IN_VAIN,
)
EXPLAINS: Final[dict[str, tuple[str, ...]]] = {
    # A finding on the left accounts for those on the right, which are then not told. Causes first.
    "CONFIG_WRONG": ("PROCESS_FAILED", "PROCESS_DOWN"),
    "KEY_UNUSABLE": ("PROCESS_FAILED", "PROCESS_DOWN"),
    "GENESIS_UNUSABLE": ("PROCESS_FAILED", "PROCESS_DOWN"),
    "VOTE_LOG_WRONG": ("PROCESS_FAILED", "PROCESS_DOWN"),
    "DISK_FULL_SOON": ("DISK_LOW", "PROCESS_DOWN"),
    "PORT_TAKEN": ("PROCESS_FAILED", "PROCESS_DOWN"),
    "PROCESS_FAILED": ("PROCESS_DOWN",),
    "PROCESS_DOWN": (),
    "PROCESS_SILENT": (),
    "VOTE_LOG_LOST": (),
    "NODE_UNREACHABLE": (),
    "CHAINS_DIFFER": ("CHAIN_DIFFERS", "PEER_CHAIN_DIFFERS", "NODE_ALONE", *_UNREACHED),
    "BLOCKS_DIFFER": (),
    "NETWORK_SPLIT": ("QUORUM_MISSING", "VALIDATORS_MISSING", "LINKS_MISSING", "NODE_ALONE"),
    "CLOCKS_APART": (),
    "KEY_USED_TWICE": ("OWN_VOTE_SHOWN",),
    "NOT_ADMITTED": ("NODE_ALONE", *_UNREACHED),
    "CHAIN_DIFFERS": ("NODE_ALONE", *_UNREACHED),
    "NODE_ALONE": _UNREACHED,
    "SYNC_STUCK": (
        "CATCHING_UP",
        "QUORUM_MISSING",
        "VALIDATORS_SILENT",
        "LOG_CHECK_WAITS",
        *_IN_VAIN,
    ),
    "CATCHING_UP": ("QUORUM_MISSING", "VALIDATORS_SILENT", "LOG_CHECK_WAITS", *_IN_VAIN),
    "OWN_VOTE_SHOWN": ("ANSWERS_WAIT", "VOTES_LATER"),
    "ANSWERS_WAIT": ("VOTES_LATER",),
    "VOTES_LATER": (),
    "KEY_ABSENT": (),
    "KEY_NOT_IN_FORCE": (),
    "QUORUM_MISSING": (
        "VALIDATORS_MISSING",
        "VALIDATORS_SILENT",
        "VALIDATORS_BEHIND",
        "LINKS_MISSING",
        "VALIDATORS_SKIPPED",
        "LOG_CHECK_WAITS",
        *_IN_VAIN,
    ),
    "LOG_CHECK_WAITS": (),
    "CLOCKS_DISAGREE": ("CLOCK_WRONG", "PEER_CLOCK_WRONG", "PROPOSAL_LATE", *_IN_VAIN),
    "CLOCK_WRONG": ("PROPOSAL_LATE", "ROUNDS_LOST", "VALIDATORS_SKIPPED"),
    "PEER_CLOCK_WRONG": ("PROPOSAL_LATE", "ROUNDS_LOST", "VALIDATORS_SKIPPED"),
    "OUTCOME_DIVERGES": ("VOTE_SPLIT", *_IN_VAIN),
    "VOTE_SPLIT": ("TXS_HELD_OUT", *_IN_VAIN),
    "VALIDATOR_DIVERGES": (),
    "PROPOSAL_REFUSED": _IN_VAIN,
    "BLOCK_MISSING": _IN_VAIN,
    "PROPOSAL_LATE": _IN_VAIN,
    "EXECUTION_WAITS": _IN_VAIN,
    "VOTES_WAIT": _IN_VAIN[1:],
    "CHAIN_STALLED": ("TXS_WAIT",),
    "VALIDATORS_MISSING": ("LINKS_MISSING", "ROUNDS_LOST", "VALIDATORS_SKIPPED"),
    "LINKS_MISSING": (),
    "VALIDATORS_SILENT": ("ROUNDS_LOST", "VALIDATORS_SKIPPED"),
    "VALIDATORS_BEHIND": ("ROUNDS_LOST", "VALIDATORS_SKIPPED"),
    "VALIDATOR_CONTRADICTS": (),
    "PEER_CHAIN_DIFFERS": (),
    "PEER_REFUSED": (),
    "PEER_AT_FAULT": (),
    "DISK_LOW": (),
    "DISK_SLOW": ("ROUNDS_LOST", "VALIDATORS_SKIPPED"),
    "ROUNDS_LOST": ("VALIDATORS_SKIPPED",),
    "TXS_HELD_OUT": ("TXS_WAIT",),
    "TXS_WAIT": (),
    "MEMPOOL_FULL": (),
    "TXS_REFUSED": (),
    "TXS_FAIL": (),
    "KEY_WITHOUT_VOTE": (),
    "VALIDATORS_SKIPPED": (),
    "PEERS_MISSING": (),
    "CHANGE_SOON": (),
    "NEWER_FINDING": (),
}
_OF_SOMEBODY: Final = ("ROUNDS_LOST", "VALIDATORS_SKIPPED")
"""Told for certain validators: a lesser finding accounts for them only if it is about them all."""

_ORDER: Final = {code: place for place, code in enumerate(EXPLAINS)}


def ordered(findings: Iterable[Finding]) -> list[Finding]:
    """What stops comes first, then causes before consequences; what is explained is left out."""
    found = list(findings)
    kept = [one for one in found if not _explained(one, found)]
    kept.sort(key=lambda one: (SEVERITIES.index(one.severity), _ORDER[one.code], one.about))
    return kept


def is_healthy(findings: Iterable[Finding]) -> bool:
    return all(one.severity == NOTICE for one in findings)


def _explained(finding: Finding, found: list[Finding]) -> bool:
    causes = [one for one in found if finding.code in EXPLAINS[one.code]]
    if finding.code not in _OF_SOMEBODY or any(one.severity == STOPPED for one in causes):
        return bool(causes)
    return set(finding.about) <= {name for one in causes for name in one.about}
