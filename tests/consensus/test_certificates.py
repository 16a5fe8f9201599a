"""Certificates count distinct signers of exactly this statement."""

from __future__ import annotations

from dataclasses import replace

import pytest

from consensus.certificates import Certificate, PreparedCertificate
from consensus.primitives.errors import PeerFault
from consensus.validators import bitmap
from tests.consensus.pbft.bench import Bench
from tests.consensus.pbft.world import CHAIN, outcome_of

BENCH = Bench(n=10)
CONTENT = BENCH.content()
QUORUM = 7


def certificate(*by: int) -> Certificate:
    seals = {BENCH.keys[i]: BENCH.commit(CONTENT, i).signature for i in by}
    return Certificate.build(1, 0, outcome_of(CONTENT), seals, BENCH.validators)


def check(one: Certificate | PreparedCertificate) -> None:
    if isinstance(one, Certificate):
        one.check(CHAIN, BENCH.validators, QUORUM)
    else:
        one.check(CHAIN, 1, BENCH.validators, QUORUM)


def refused(bad: Certificate | PreparedCertificate) -> str:
    with pytest.raises(PeerFault) as caught:
        check(bad)
    assert caught.value.code == "CERTIFICATE_INVALID"
    return caught.value.message


def test_a_quorum_of_any_members_in_any_order() -> None:
    certificate(9, 3, 1, 2, 4, 5, 0).check(CHAIN, BENCH.validators, QUORUM)
    certificate(*range(10)).check(CHAIN, BENCH.validators, QUORUM)
    good = certificate(9, 3, 1, 2, 4, 5, 0)
    assert Certificate.decode(good.raw) == good


def test_too_few() -> None:
    assert "6 signers where 7" in refused(certificate(*range(6)))


def test_one_signature_many_times_is_one_signer() -> None:
    good = certificate(*range(7))
    for marks in (bitmap([0], 10), good.signers):
        refused(replace(good, signers=marks, seals=good.seals[:1] * 7))


def test_signatures_that_fit_nobody() -> None:
    good = certificate(*range(7))
    refused(replace(good, seals=good.seals[::-1]))
    refused(replace(good, seals=(*good.seals[:6], bytes(64))))
    refused(replace(good, seals=good.seals[:6]))
    refused(replace(good, seals=(*good.seals, good.seals[0])))


def test_padding_and_size_of_the_bitmap() -> None:
    good = certificate(*range(7))
    for marks in (
        good.signers[:1] + bytes([good.signers[1] | 0x04]),  # an eleventh validator
        good.signers + b"\x00",
        good.signers[:1],
    ):
        assert "bitmap" in refused(replace(good, signers=marks))


@pytest.mark.parametrize("field", ["height", "round", "block_hash"])
def test_seals_of_another_statement(field: str) -> None:
    good = certificate(*range(7))
    other = {"height": 2, "round": 1, "block_hash": bytes(32)}[field]
    refused(replace(good, **{field: other}))  # type: ignore[arg-type]
    with pytest.raises(PeerFault):
        good.check(bytes(32), BENCH.validators, QUORUM)  # another chain


def test_further_seals_join_if_they_are_valid() -> None:
    good = certificate(*range(7))
    late = {BENCH.keys[i]: BENCH.commit(CONTENT, i).signature for i in (6, 8, 9)}
    assert good.joined(late, CHAIN, BENCH.validators) == certificate(*range(7), 8, 9)
    assert good.joined({}, CHAIN, BENCH.validators) is good
    bad = {
        BENCH.keys[6]: bytes(64),  # whose seal stands there already
        BENCH.keys[7]: late[BENCH.keys[8]],
        BENCH.keys[8]: BENCH.commit(CONTENT, 8, 1).signature,  # of another round
        bytes(32): late[BENCH.keys[8]],  # nobody's
    }
    assert good.joined(bad, CHAIN, BENCH.validators) is good
    assert good.joined(late | bad, CHAIN, BENCH.validators) == certificate(*range(7), 9)
    assert good.joined(late, bytes(32), BENCH.validators) is good


def test_prepared_certificates_alike() -> None:
    good = BENCH.prepared(CONTENT, 3, range(7))
    good.check(CHAIN, 1, BENCH.validators, QUORUM)
    refused(replace(good, round=2))
    refused(replace(good, content_hash=bytes(32)))
    refused(replace(good, block_hash=bytes(32)))
    refused(replace(good, signatures=good.signatures[:6]))
    refused(BENCH.prepared(CONTENT, 3, range(6)))
    with pytest.raises(PeerFault):
        good.check(CHAIN, 2, BENCH.validators, QUORUM)


def test_a_prepare_never_passes_for_a_seal() -> None:
    prepared = BENCH.prepared(CONTENT, 0, range(7))
    seals = Certificate(1, 0, prepared.block_hash, prepared.signers, prepared.signatures)
    refused(seals)
