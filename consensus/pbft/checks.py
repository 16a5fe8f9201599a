"""What makes a vote acceptable: one rule, one function; the first violation raises PeerFault.

All are pure: they look at the state and change nothing. What an attacker sizes comes last.
"""

from __future__ import annotations

from consensus.block import Content
from consensus.certificates import PreparedCertificate
from consensus.messages import Proposal, RoundChange, Vote
from consensus.pbft.inputs import NewHeight
from consensus.pbft.state import State
from consensus.primitives.errors import PeerFault


def txs_max(block_txs_max: int, round_: int) -> int:
    """Transactions that a free proposal may hold (rule 8): a quarter less each round above 1 and
    none from round 5, so that a block too slow for the timer can't stop the chain."""
    if round_ >= 5:
        return 0
    return block_txs_max if round_ <= 1 else max(1, block_txs_max >> 2 * (round_ - 1))


def vote_signed(context: NewHeight, vote: Vote) -> None:
    """The sender is a validator of this height and signed the vote."""
    if vote.sender not in context.validators:
        raise PeerFault("NOT_A_VALIDATOR", f"a vote by {vote.sender.hex()}, who has none")
    if not vote.signature_valid(context.chain_id):
        name = context.validators.name(vote.sender)
        raise PeerFault("SIGNATURE_INVALID", f"{name}'s {type(vote).__name__} is not signed by it")


def content_form(state: State, content: Content) -> None:
    """What can be judged of a content without executing it, whoever proposes it."""
    context = state.context
    if content.height != context.height or content.parent != context.parent:
        raise PeerFault("CONTENT_INVALID", "the content does not build on this height's parent")
    if content.time_ms <= context.parent_time_ms:
        raise PeerFault("CONTENT_INVALID", "the content's time is not after its parent's")
    if content.proposer not in context.validators:
        raise PeerFault("CONTENT_INVALID", "the content names a proposer who is no validator")
    if len(set(content.wire_ids)) != len(content.wire_ids):
        raise PeerFault("CONTENT_INVALID", "the content lists a transaction twice")
    if len(content.wire_ids) > context.params.block_txs_max:
        raise PeerFault("CONTENT_INVALID", "the content lists more transactions than a block holds")


def last_certificate(state: State, content: Content) -> None:
    """Any valid certificate of the parent will do; only block 1, on genesis, has none."""
    context = state.context
    certificate = content.last_certificate
    if context.height == 1:
        if certificate is not None:
            raise PeerFault("CONTENT_INVALID", "genesis has no certificate")
        return
    if certificate is None:
        raise PeerFault("CONTENT_INVALID", "the parent's certificate is missing")
    if certificate.height != context.height - 1 or certificate.block_hash != context.parent:
        raise PeerFault("CONTENT_INVALID", "the certificate is not the parent's")
    quorum = context.parent_validators.thresholds(context.params.fault_model).quorum
    certificate.check(context.chain_id, context.parent_validators, quorum)


def round_change(state: State, vote: RoundChange) -> None:
    """A ROUND-CHANGE whose prepared pair is proven by a quorum (rule 4)."""
    if vote.round == 0:
        raise PeerFault("ROUND_CHANGE_INVALID", "there is no change to round 0")
    prepared = vote.prepared
    if vote.committed_round is not None and vote.committed_round >= vote.round:
        raise PeerFault("ROUND_CHANGE_INVALID", "it names a COMMIT of a round not yet left")
    if prepared is None:
        if vote.content is not None:
            raise PeerFault("ROUND_CHANGE_INVALID", "a content without a prepared certificate")
        if vote.committed_round is not None:
            raise PeerFault("ROUND_CHANGE_INVALID", "it names a COMMIT but nothing prepared")
        return
    if prepared.round >= vote.round:
        raise PeerFault("ROUND_CHANGE_INVALID", "prepared in a round that is not yet left")
    if vote.committed_round is not None and vote.committed_round > prepared.round:
        raise PeerFault("ROUND_CHANGE_INVALID", "prepared below a round in which it committed")
    if vote.content is not None and vote.content.digest != prepared.content_hash:
        raise PeerFault("ROUND_CHANGE_INVALID", "the content is not the prepared one")
    if vote.content is not None:
        content_form(state, vote.content)
    prepared_certificate(state, prepared)


def prepared_certificate(state: State, prepared: PreparedCertificate) -> None:
    """q distinct validators prepared this pair. Known ones are not verified again."""
    if prepared == state.prepared:
        return
    context = state.context
    quorum = state.thresholds.quorum
    prepared.check(context.chain_id, context.height, context.validators, quorum)


def highest_prepared(
    changes: tuple[RoundChange, ...] | list[RoundChange],
) -> PreparedCertificate | None:
    """The prepared certificate of the highest round among ROUND-CHANGEs. Agreement among them is
    not required (rule 5): a lower one is simply outdated."""
    found: PreparedCertificate | None = None
    for change in changes:
        prepared = change.prepared
        if prepared is not None and (found is None or prepared.round > found.round):
            found = prepared
    return found


def justification(state: State, proposal: Proposal) -> PreparedCertificate | None:
    """Rule 5: q distinct ROUND-CHANGEs for this very round; returns what must be re-proposed."""
    senders = {change.sender for change in proposal.justification}
    if len(senders) != len(proposal.justification):
        raise PeerFault("JUSTIFICATION_INVALID", "a ROUND-CHANGE is counted twice")
    if len(senders) < state.thresholds.quorum:
        raise PeerFault("JUSTIFICATION_INVALID", f"only {len(senders)} ROUND-CHANGEs")
    for change in proposal.justification:
        if (change.height, change.round) != (proposal.height, proposal.round):
            raise PeerFault("JUSTIFICATION_INVALID", "a ROUND-CHANGE of another height or round")
        if change.content is not None:
            raise PeerFault("JUSTIFICATION_INVALID", "a ROUND-CHANGE with its content in it")
        known = state.votes.find(RoundChange, change.sender, change.round)
        if isinstance(known, RoundChange) and known.without_content() == change:
            continue
        vote_signed(state.context, change)
        round_change(state, change)
    return highest_prepared(proposal.justification)


def proposal(state: State, vote: Proposal) -> None:
    """The whole of what a PROPOSAL must satisfy, its distance from the own clock excepted."""
    if vote.sender != state.proposer(vote.round):
        raise PeerFault("NOT_THE_PROPOSER", f"it is not its turn in round {vote.round}")
    content_form(state, vote.content)
    prepared = None
    if vote.round == 0:
        if vote.justification:
            raise PeerFault("JUSTIFICATION_INVALID", "round 0 needs no justification")
    else:
        prepared = justification(state, vote)
    if prepared is not None:
        if prepared.content_hash != vote.content.digest:
            raise PeerFault(
                "JUSTIFICATION_INVALID", "not the content prepared in the highest round"
            )
    else:
        if vote.content.proposer != vote.sender:
            raise PeerFault("CONTENT_INVALID", "a free proposal must name its sender as proposer")
        if len(vote.content.wire_ids) > txs_max(state.context.params.block_txs_max, vote.round):
            raise PeerFault("CONTENT_INVALID", f"too many transactions for round {vote.round}")
    last_certificate(state, vote.content)


def late(state: State, content: Content, wall_ms: int) -> bool:
    """Whether a free proposal's time is further from the own clock than the allowed drift."""
    return abs(content.time_ms - wall_ms) > state.context.params.clock_drift_ms
