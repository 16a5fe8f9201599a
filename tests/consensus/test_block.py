"""A block and the content that its header is the outcome of."""

from __future__ import annotations

from typing import Any

from consensus.block import certificate_hash
from tests.vectors.samples import samples

WIRES: dict[str, Any] = samples()


def test_a_block_s_content_is_what_its_header_is_the_outcome_of() -> None:
    block = WIRES["Block"]
    header, content = block.header, block.content
    assert (content.height, content.parent) == (header.height, header.parent)
    assert (content.time_ms, content.proposer) == (header.time_ms, header.proposer)
    assert content.wire_ids == (WIRES["Transaction"].wire_id,)
    assert (content.evidence, content.last_certificate) == (block.evidence, block.last_certificate)
    assert content == WIRES["Content"]


def test_a_block_s_height_and_hash_are_its_header_s() -> None:
    block = WIRES["Block"]
    assert (block.height, block.hash) == (block.header.height, block.header.digest)


def test_a_header_names_its_parent_s_certificate_and_block_1_has_none() -> None:
    certificate = WIRES["Certificate"]
    assert certificate_hash(certificate) == certificate.digest
    assert certificate_hash(None) == bytes(32)
