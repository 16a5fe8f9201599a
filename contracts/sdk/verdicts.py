"""What checks say."""

from __future__ import annotations

from typing import Annotated

from contracts.sdk.commitments import Party
from contracts.sdk.fields import Size, Text
from contracts.sdk.records import Record

VerdictCode = Annotated[str, Text(32, pattern="[A-Z][A-Z0-9_]*")]
Finding = Annotated[str, Text(500)]


class Verdict(Record):
    """What a check found: a word that all may know, and reasons that stay among the parties."""

    code: VerdictCode
    findings: Annotated[list[Finding], Size(100)]


Findings = Annotated[bytes, Party(Annotated[list[Finding], Size(100)])]
"""A verdict's findings on chain: a commitment to their list."""
