"""The light client's rule: what it follows, and every header that it must not believe."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import pytest

from consensus import rules
from consensus.block import Content, Header
from consensus.certificates import Certificate, commit_bytes
from consensus.light import DAY_MS, Fork, Policy, Step, Trusted, advance, is_stale, quorum
from consensus.params import Params
from consensus.primitives.crypto import TAG_COMMIT, public_key, sha256, sign
from consensus.primitives.errors import HansaError
from consensus.proofs import ListProof, SealedHeader
from consensus.validators import Validator, ValidatorSet

CHAIN = sha256(b"a light chain")
START_MS = 1_800_000_000_000
STEP_MS = 10_000
POLICY = Policy(trust_period_ms=DAY_MS)
SEEDS = {f"v{number}": bytes((number + 1,)) * 32 for number in range(9)}


def some(*names: str) -> ValidatorSet:
    return ValidatorSet(tuple(Validator(one, public_key(SEEDS[one]), "org") for one in names))


FOUR = some("v0", "v1", "v2", "v3")
OTHER = some("v4", "v5", "v6", "v7")


@dataclass
class Made:
    """A chain of headers: ``sets[h]`` validates block h."""

    sets: list[ValidatorSet]
    salt: bytes = b""
    headers: list[Header] = field(default_factory=list)

    def __post_init__(self) -> None:
        for height in range(len(self.sets) - 1):
            content = Content(
                height, bytes(32), START_MS + STEP_MS * height, bytes(32), (), (), None
            )
            made = rules.make_header(
                content,
                chain_id=CHAIN,
                receipts=(),
                state_root=sha256(b"state" + self.salt),
                validators=self.sets[height],
                next_validators=self.sets[height + 1],
                params=Params(),
                contracts_hash=bytes(32),
                history_root=rules.merkle.root([one.digest for one in self.headers]),
            )
            self.headers.append(made)

    def sealed(self, height: int, *names: str) -> SealedHeader:
        header, validators = self.headers[height], self.sets[height]
        message = commit_bytes(CHAIN, height, 0, header.digest)
        signers = names or tuple(one.name for one in validators.members[:3])
        seals = {public_key(SEEDS[one]): sign(SEEDS[one], TAG_COMMIT, message) for one in signers}
        return SealedHeader(header, Certificate.build(height, 0, header.digest, seals, validators))

    def step(self, height: int, trusted: Trusted, *names: str) -> Step:
        inclusion = None
        if trusted.header is not None:
            leaves = [one.digest for one in self.headers[:height]]
            inclusion = ListProof.make(leaves, trusted.height)
        return Step(self.sealed(height, *names), self.sets[height + 1], inclusion)


CHAIN_OF_FOUR = Made([FOUR] * 40)
CHANGING = Made([FOUR] * 10 + [OTHER] * 30)
ROOT = Trusted.genesis(CHAIN, "byzantine", START_MS, FOUR)


def at(height: int) -> int:
    return START_MS + STEP_MS * height


def follow(made: Made, trusted: Trusted, *heights: int) -> Trusted:
    for height in heights:
        trusted = advance(trusted, made.step(height, trusted), at(height), POLICY)
    return trusted


def refusal(trusted: Trusted, step: Step, now_ms: int, policy: Policy = POLICY) -> str:
    with pytest.raises(HansaError) as caught:
        advance(trusted, step, now_ms, policy)
    return caught.value.code


def test_headers_between_are_skipped_while_the_set_stays() -> None:
    trusted = follow(CHAIN_OF_FOUR, ROOT, 1, 5, 38)
    assert trusted.height == 38 and trusted.header == CHAIN_OF_FOUR.headers[38]
    assert Trusted.decode(trusted.raw) == trusted


def test_a_change_of_validators_is_followed_by_the_header_that_names_it() -> None:
    trusted = follow(CHANGING, ROOT, 9)
    assert trusted.next_validators == OTHER
    assert follow(CHANGING, trusted, 10, 30).height == 30


def test_a_skipped_change_is_refused() -> None:
    assert refusal(ROOT, CHANGING.step(20, ROOT), at(20)) == "LIGHT_VALIDATORS"
    behind = follow(CHANGING, ROOT, 5)
    assert refusal(behind, CHANGING.step(10, behind), at(10)) == "LIGHT_VALIDATORS"


def test_validators_who_left_cannot_go_on() -> None:
    """The old set's forgery after its last block: sealed by all of them."""
    trusted = follow(CHANGING, ROOT, 9)
    forged = Made([FOUR] * 40)
    assert refusal(trusted, forged.step(12, ROOT), at(12)) == "LIGHT_VALIDATORS"


def test_a_forged_header_is_refused() -> None:
    step = CHAIN_OF_FOUR.step(7, ROOT)
    forged = replace(step.sealed.header, state_root=bytes(32))
    assert refusal(ROOT, replace(step, sealed=replace(step.sealed, header=forged)), at(7)) == (
        "PROOF_INVALID"
    )
    certificate = replace(step.sealed.certificate, block_hash=forged.digest)
    resealed = SealedHeader(forged, certificate)
    assert refusal(ROOT, replace(step, sealed=resealed), at(7)) == "CERTIFICATE_INVALID"


def test_too_few_seals_are_refused() -> None:
    few = CHAIN_OF_FOUR.step(7, ROOT, "v0", "v1")
    assert refusal(ROOT, few, at(7)) == "CERTIFICATE_INVALID"
    crash = replace(ROOT, fault_model="crash")
    assert quorum(crash, FOUR) == 3 and quorum(crash, some("v0", "v1", "v2")) == 2


def test_other_validators_to_come_than_the_header_names_are_refused() -> None:
    step = replace(CHAIN_OF_FOUR.step(7, ROOT), next_validators=OTHER)
    assert refusal(ROOT, step, at(7)) == "PROOF_INVALID"


def test_a_header_that_is_not_newer_is_refused() -> None:
    trusted = follow(CHAIN_OF_FOUR, ROOT, 10)
    for height in (10, 9):
        step = replace(CHAIN_OF_FOUR.step(height, ROOT), inclusion=None)
        assert refusal(trusted, step, at(11)) == "LIGHT_OLD"
    late = replace(trusted, time_ms=at(30))
    assert refusal(late, CHAIN_OF_FOUR.step(11, late), at(31)) == "LIGHT_OLD"


def test_a_header_from_the_future_is_refused_beyond_the_drift() -> None:
    step = CHAIN_OF_FOUR.step(7, ROOT)
    assert refusal(ROOT, step, at(7) - POLICY.drift_ms - 1) == "LIGHT_FUTURE"
    assert advance(ROOT, step, at(7) - POLICY.drift_ms, POLICY).height == 7


def test_trust_ends_with_its_period() -> None:
    trusted = follow(CHAIN_OF_FOUR, ROOT, 3)
    step = CHAIN_OF_FOUR.step(7, trusted)
    last = trusted.time_ms + DAY_MS - 1
    assert advance(trusted, step, last, POLICY).height == 7
    assert refusal(trusted, step, last + 1) == "TRUST_EXPIRED"
    assert advance(trusted, step, last + 1, Policy(trust_period_ms=None)).height == 7


def test_a_fork_is_refused_though_a_quorum_sealed_it() -> None:
    """The same validators, another history: the trusted header does not stand in it."""
    fork = Made([FOUR] * 40, salt=b"fork")
    trusted = follow(CHAIN_OF_FOUR, ROOT, 10)
    step = fork.step(20, replace(trusted, header=fork.headers[10]))
    assert refusal(trusted, step, at(20)) == "PROOF_INVALID"
    assert refusal(trusted, replace(step, inclusion=None), at(20)) == "PROOF_INVALID"
    wrong = CHAIN_OF_FOUR.step(20, replace(trusted, height=11))
    assert refusal(trusted, wrong, at(20)) == "PROOF_INVALID"


def test_another_chains_header_is_refused() -> None:
    foreign = replace(ROOT, chain_id=sha256(b"another"))
    assert refusal(foreign, CHAIN_OF_FOUR.step(7, ROOT), at(7)) == "PROOF_INVALID"


def test_a_fork_names_those_who_sealed_both() -> None:
    other = Made([FOUR] * 40, salt=b"fork")
    fork = Fork(CHAIN_OF_FOUR.sealed(9, "v0", "v1", "v2"), other.sealed(9, "v1", "v2", "v3"))
    guilty = Fork.decode(fork.raw).check(CHAIN, FOUR, 3)
    assert guilty == [public_key(SEEDS["v1"]), public_key(SEEDS["v2"])]


@pytest.mark.parametrize("which", ["same", "heights", "seals"])
def test_what_is_no_fork(which: str) -> None:
    one = CHAIN_OF_FOUR.sealed(9)
    other = {
        "same": CHAIN_OF_FOUR.sealed(9, "v1", "v2", "v3"),
        "heights": CHAIN_OF_FOUR.sealed(10),
        "seals": Made([FOUR] * 40, salt=b"fork").sealed(9, "v0"),
    }[which]
    with pytest.raises(HansaError):
        Fork(one, other).check(CHAIN, FOUR, 3)


def test_an_answer_is_stale_after_two_empty_intervals() -> None:
    assert not is_stale(1_000, 21_000, 10_000)
    assert is_stale(1_000, 21_001, 10_000)


def test_a_step_goes_on_in_height_and_in_time() -> None:
    trusted = advance(ROOT, CHAIN_OF_FOUR.step(5, ROOT), at(5), POLICY)
    step = CHAIN_OF_FOUR.step(6, trusted)
    assert advance(trusted, step, at(6), POLICY).height == 6
    for other in (replace(trusted, height=6), replace(trusted, time_ms=step.sealed.header.time_ms)):
        with pytest.raises(HansaError) as caught:
            advance(other, step, at(6), POLICY)
        assert caught.value.code == "LIGHT_OLD"


def test_the_quorum_is_that_of_the_fault_model() -> None:
    assert quorum(ROOT, FOUR) == 3
    assert quorum(replace(ROOT, fault_model="crash"), some("v0", "v1", "v2", "v3", "v4")) == 3
    assert quorum(ROOT, some("v0", "v1", "v2", "v3", "v4")) == 4


def test_one_header_twice_is_no_fork() -> None:
    one, later = CHAIN_OF_FOUR.sealed(5), CHAIN_OF_FOUR.sealed(6)
    for other in (one, later):
        with pytest.raises(HansaError) as caught:
            Fork(one, other).check(CHAIN, FOUR, 3)
        assert caught.value.code == "PROOF_INVALID"
