"""The consensus core: ``apply(state, input, now) -> outputs``. QBFT (arXiv 2002.03613) with
Hansa's additions; the rule numbers are those of ``docs/spec/consensus.md``.

Why it is built this way: everything that decides whether the chain forks is here, in one task's
hands, without clock, disk, network or chance, so a schedule that breaks it can be written down as a
list of inputs. The engine performs outputs in order; signing and writing the log are outputs too,
and a vote counts only when it returns as ``Signed``. So nothing that isn't on disk influences
anything.

Each input changes the state by one handler; then ``_advance`` asks every rule that may now fire,
in a fixed order. Rules are idempotent: ``asked`` remembers, per kind, the newest round in which a
vote went to the signer, and no vote is ever asked for at or below it, nor below ``state.round``.
"""

from __future__ import annotations

from typing import Final

from consensus.block import Content
from consensus.certificates import Certificate, PreparedCertificate
from consensus.messages import (
    UNSIGNED,
    Commit,
    Prepare,
    Proposal,
    RoundChange,
    Vote,
    contradiction,
)
from consensus.pbft import checks
from consensus.pbft.inputs import (
    Built,
    Connected,
    Executed,
    Input,
    NewHeight,
    Now,
    Received,
    Signed,
    Tick,
)
from consensus.pbft.outputs import (
    AnswerDecided,
    Broadcast,
    Build,
    Caught,
    Decided,
    Diverged,
    Execute,
    Output,
    RoundEntered,
    Sign,
    SplitVote,
)
from consensus.pbft.state import State
from consensus.primitives.errors import PeerFault

RESEND_MS: Final = 1000
CONTENTS_KEPT: Final = 8
TURNS: Final = 2
"""Round 0's timer starts when a transaction has waited so many turns of min_block_interval_ms."""


def apply(state: State | None, event: Input, now: Now) -> tuple[State, list[Output]]:
    """The next state and what to do. ``state`` is changed in place and returned; None only before
    the first NewHeight. Raises PeerFault for a vote that no honest validator sends, having changed
    nothing."""
    out: list[Output] = []
    if isinstance(event, NewHeight):
        state = _new_height(state, event, now, out)
    elif state is None:
        raise ValueError("the first input must be NewHeight")
    elif isinstance(event, Received):
        _received(state, event.vote, now, out)
    elif isinstance(event, Signed):
        _own_vote(state, event.vote)
    elif isinstance(event, Built):
        _built(state, event, out)
    elif isinstance(event, Executed):
        state.outcomes.setdefault(event.content_hash, event.block_hash)
    elif isinstance(event, Connected):
        if votes := state.own_votes():
            out.append(Broadcast(votes, event.peer))
    else:
        assert isinstance(event, Tick)
        state.work_since_ms = event.work_since_ms
        if now.mono_ms >= state.resend_ms:
            state.resend_ms = now.mono_ms + RESEND_MS
            if votes := state.own_votes():
                out.append(Broadcast(votes))
    _advance(state, now, out)
    return state, out


def wake_at(state: State) -> int:
    """The (mono) moment of the next Tick that can matter, unless another input comes first."""
    moments = [state.resend_ms]
    if not state.decided:
        if state.deadline_ms is not None:
            moments.append(state.deadline_ms)
        moments.extend(_round_zero_moments(state))
    return min(moments)


# --- one handler per input -------------------------------------------------------------------


def _new_height(state: State | None, context: NewHeight, now: Now, out: list[Output]) -> State:
    fresh = State(context, now.mono_ms, resend_ms=now.mono_ms + RESEND_MS)
    _restore(fresh, out)
    if state is not None and context.height == state.context.height + 1:
        fresh.previous = state.votes
        for vote in state.ahead.values():
            try:
                _received(fresh, vote, now, out)
            except PeerFault:
                continue  # its sender is judged by what it sends now
    return fresh


def _restore(state: State, out: list[Output]) -> None:
    """Rule 9: the vote log is the signer's memory. Go on from exactly where it ends."""
    own = state.context.own
    restored = [v for v in (own.round_change, own.proposal, own.prepare, own.commit) if v]
    if not restored:
        return
    for content in own.contents:
        state.contents[content.digest] = content
    state.heard = True  # this height was under way
    state.round = max(vote.round for vote in restored)
    for vote in restored:
        assert vote.height == state.context.height and vote.sender == state.context.me
        state.asked[type(vote)] = vote.round
        _own_vote(state, vote)
    state.prepared = own.prepared
    if own.proposal is not None:
        state.contents[own.proposal.content.digest] = own.proposal.content
        state.build_asked = own.proposal.round
    if own.round_change is not None:
        prepared = own.round_change.prepared
        if own.round_change.content is not None:
            state.contents[own.round_change.content.digest] = own.round_change.content
        if prepared is not None and (own.prepared is None or own.prepared.round < prepared.round):
            state.prepared = prepared
    if own.commit is not None:
        assert state.prepared is not None and state.prepared.round >= own.commit.round
    named = [vote.content_hash for vote in (state.prepared, own.prepare) if vote is not None]
    if state.accepted is not None:
        named.append(state.accepted.content.digest)
    for digest in dict.fromkeys(named):
        assert digest in state.contents, "a content is logged with the first vote that names it"
        _execute(state, state.contents[digest], (), state.context.me or b"", out)


def _own_vote(state: State, vote: Vote) -> None:
    """An own vote that is on disk counts like any other and is repeated until it is outdated."""
    if vote.height != state.context.height:
        return
    state.votes.add(vote)
    state.newest[type(vote)] = vote
    if isinstance(vote, Proposal) and vote.round == state.round:
        state.accepted = vote


def _received(state: State, vote: Vote, now: Now, out: list[Output]) -> None:
    height = state.context.height
    if vote.sender == state.context.me:
        return  # the engine compares it with the vote log
    if vote.height > height:
        _keep_ahead(state, vote)
        return
    if vote.height < height or state.decided:
        if vote.height == height and isinstance(vote, RoundChange):
            _find_decided(state, vote, out)
        _outdated(state, vote, out)
        return
    kept = state.votes.find(type(vote), vote.sender, vote.round)
    if kept is not None and kept.signature == vote.signature and not _adds_content(kept, vote):
        return
    checks.vote_signed(state.context, vote)
    if _caught(state, vote, out):
        return
    if isinstance(vote, Proposal):
        _proposal(state, vote, now, out)
    elif isinstance(vote, RoundChange):
        checks.round_change(state, vote)
        _keep_round_change(state, vote)
    else:
        state.votes.add(vote)
    state.heard = True


def _keep_ahead(state: State, vote: Vote) -> None:
    """Votes of the very next height wait for it: signed ones only, or one peer could push out
    another's, and the newest of a sender and kind, so that they stay few."""
    if vote.height != state.context.height + 1 or vote.sender not in state.context.validators:
        return
    known = state.ahead.get((vote.sender, type(vote)))
    if known is None or known.round < vote.round:
        checks.vote_signed(state.context, vote)
        state.ahead[vote.sender, type(vote)] = vote


def _find_decided(state: State, change: RoundChange, out: list[Output]) -> None:
    """Rule 3: whoever decides without the content may be the only one who decided, and be waited
    for by those whose COMMITs it has. Their ROUND-CHANGEs bring the content."""
    pair = change.prepared
    if pair is None or change.content is None or pair.content_hash in state.executing:
        return
    quorum = state.thresholds.quorum
    for (_, block_hash), seals in state.votes.commits().items():
        if block_hash == pair.block_hash and len(seals) >= quorum:
            checks.vote_signed(state.context, change)
            checks.round_change(state, change)
            _keep_content(state, change.content)
            _execute(state, change.content, (), change.sender, out)
            return


def _outdated(state: State, vote: Vote, out: list[Output]) -> None:
    """Rule 6: whoever still votes on a decided height is sent its block. A first vote on the height
    just decided is merely late, as every n - q of them are; one that is repeated is not."""
    if vote.sender not in state.context.validators:
        return
    book = {state.context.height: state.votes, state.context.height - 1: state.previous}
    late = book.get(vote.height)
    if late is not None and isinstance(vote, (Prepare, Commit)) and late.add(vote):
        return
    checks.vote_signed(state.context, vote)
    out.append(AnswerDecided(vote.sender, vote.height))


def _caught(state: State, vote: Vote, out: list[Output]) -> bool:
    """Rule 10: a vote that contradicts a kept one of its sender is not counted, and reported once
    a height, sender and kind: a liar can contradict itself without end."""
    for kept in state.votes.by(vote.sender):
        evidence = contradiction(kept, vote, state.context.chain_id)
        if evidence is not None:
            if (vote.sender, evidence.kind) not in state.caught:
                state.caught.add((vote.sender, evidence.kind))
                out.append(Caught(evidence))
            return True
    return False


def _adds_content(kept: Vote, vote: Vote) -> bool:
    return (
        isinstance(kept, RoundChange)
        and isinstance(vote, RoundChange)
        and kept.content is None
        and vote.content is not None
    )


def _keep_round_change(state: State, vote: RoundChange) -> None:
    if vote.content is not None:
        _keep_content(state, vote.content)
    if not state.votes.add(vote):
        kept = state.votes.find(RoundChange, vote.sender, vote.round)
        if kept is not None and _adds_content(kept, vote):
            state.votes.replace(vote)


def _proposal(state: State, vote: Proposal, now: Now, out: list[Output]) -> None:
    if vote.round < state.round:
        return
    checks.proposal(state, vote)
    for change in vote.justification:
        if change.sender != state.context.me and not _caught(state, change, out):
            _keep_round_change(state, change)
    _jump(state, now, out)  # its q ROUND-CHANGEs bring this node to its round, if not beyond
    if vote.round == state.round and state.votes.add(vote):
        _accept(state, vote, now, out)


def _keep_content(state: State, content: Content) -> None:
    state.contents[content.digest] = content
    if len(state.contents) > CONTENTS_KEPT:
        wanted = {state.accepted.content.digest} if state.accepted else set()
        if state.prepared is not None:
            wanted.add(state.prepared.content_hash)
        spare = next(digest for digest in state.contents if digest not in wanted)
        del state.contents[spare]


def _execute(
    state: State, content: Content, bodies: tuple[bytes, ...], source: bytes, out: list[Output]
) -> None:
    if content.digest not in state.executing:
        state.executing.add(content.digest)
        out.append(Execute(content, bodies, source))


def _built(state: State, event: Built, out: list[Output]) -> None:
    content, context = event.content, state.context
    if (content.height, content.parent) != (context.height, context.parent) or state.decided:
        return  # asked for a height that is over
    if event.round != state.round or state.asked.get(Proposal, -1) >= state.round:
        return
    chosen = _usable_round_changes(state) if state.round > 0 else []
    if state.round > 0 and not _free(state, chosen):
        state.build_asked = state.round - 1  # a prepared content turned up meanwhile
        return
    _propose(state, content, chosen, context.me or b"", out)


# --- rules that fire when they can -----------------------------------------------------------


def _advance(state: State, now: Now, out: list[Output]) -> None:
    if state.decided or _decide(state, out):
        return  # rule 3: later timers of this height mean nothing
    _jump(state, now, out)
    _start_timer(state, now)
    if state.deadline_ms is not None and now.mono_ms >= state.deadline_ms:
        _enter_round(state, state.round + 1, out)
        _start_timer(state, now)
    _ask_proposal(state, now, out)
    _prepare(state, out)
    _commit(state, out)
    _report_split(state, out, leaving=False)


def _sign(
    state: State,
    vote: Vote,
    out: list[Output],
    content: Content | None = None,
    prepared: PreparedCertificate | None = None,
) -> None:
    assert vote.round >= state.round, "no vote in a round already left"
    assert vote.round > state.asked.get(type(vote), -1), "one vote of a kind per round"
    state.asked[type(vote)] = vote.round
    if content is not None and content.digest in state.logged:
        content = None
    elif content is not None:
        state.logged.add(content.digest)
    out.append(Sign(vote, content, prepared))


def _decide(state: State, out: list[Output]) -> bool:
    """Rule 3: q COMMITs of one (round, hash), even of a round already left."""
    context = state.context
    for (round_, block_hash), seals in state.votes.commits().items():
        if len(seals) < state.thresholds.quorum:
            continue
        certificate = Certificate.build(
            context.height, round_, block_hash, seals, context.validators
        )
        state.decided = True
        out.append(Decided(certificate, _content_of(state, round_, block_hash)))
        return True
    return False


def _content_of(state: State, round_: int, block_hash: bytes) -> Content | None:
    """The content behind a block hash: by own execution, or as an honest PREPARE says."""
    named = [digest for digest, outcome in state.outcomes.items() if outcome == block_hash]
    named += [
        digest
        for (digest, outcome), senders in state.votes.prepares(round_).items()
        if outcome == block_hash and len(senders) >= state.thresholds.honest_witness
    ]
    return next((state.contents[digest] for digest in named if digest in state.contents), None)


def _jump(state: State, now: Now, out: list[Output]) -> None:
    """Rule 6: t+1 validators ahead hold an honest one; go at once to the highest round that t+1
    have reached, which is the lowest of the t+1 that are furthest."""
    reached = sorted(state.votes.rounds_reached(), reverse=True)
    witness = state.thresholds.honest_witness
    if len(reached) >= witness and reached[witness - 1] > state.round:
        _enter_round(state, reached[witness - 1], out)
        _start_timer(state, now)


def _enter_round(state: State, round_: int, out: list[Output]) -> None:
    """Rule 4: leave every lower round for good, taking the prepared pair along."""
    _report_split(state, out, leaving=True)
    context = state.context
    state.round = round_
    state.deadline_ms = None
    state.accepted = None
    state.late = False
    out.append(RoundEntered(context.height, round_))
    if context.me is not None:
        prepared = state.prepared
        content = state.contents[prepared.content_hash] if prepared is not None else None
        vote = RoundChange(
            context.height, round_, prepared, state.committed_round, content, context.me, UNSIGNED
        )
        _sign(state, vote, out)


def _accept(state: State, vote: Proposal, now: Now, out: list[Output]) -> None:
    """Take a valid proposal as this round's, and have its content executed."""
    state.accepted = vote
    free = checks.highest_prepared(vote.justification) is None
    state.late = free and checks.late(state, vote.content, now.wall_ms)
    _keep_content(state, vote.content)
    _execute(state, vote.content, vote.bodies, vote.sender, out)


def _report_split(state: State, out: list[Output], *, leaving: bool) -> None:
    """Rule 8: tell when one content gave several outcomes, none of them a quorum, and more than
    the tolerated liars stand against the most frequent one: as soon as those who have not
    spoken can't change that, at the latest on leaving the round."""
    if state.accepted is None or state.split_reported >= state.round:
        return
    content = state.accepted.content
    tally = [
        (pair[1], tuple(sorted(senders)))
        for pair, senders in sorted(state.votes.prepares(state.round).items())
        if pair[0] == content.digest
    ]
    counts = [len(keys) for _, keys in tally]
    most = max(counts, default=0)
    limits = state.thresholds
    silent = 0 if leaving else limits.n - sum(counts)
    if most + silent < limits.quorum and sum(counts) - most > limits.tolerated_liars:
        state.split_reported = state.round
        out.append(SplitVote(content, tuple(tally)))


def _start_timer(state: State, now: Now) -> None:
    if state.deadline_ms is not None or state.context.me is None:
        return  # a node that only looks on follows the others' rounds
    if state.round == 0:
        # Rule 8: an old transaction, the empty-block interval or a vote of this height.
        started = state.heard or any(moment <= now.mono_ms for moment in _timer_moments(state))
    else:
        # Rule 6: a quorum has come this far, so the round can succeed within its time.
        reached = sum(1 for round_ in state.votes.rounds_reached() if round_ >= state.round)
        started = reached >= state.thresholds.quorum
    if started:
        params = state.context.params
        doubled = params.round_timeout_ms << min(state.round, 32)
        state.deadline_ms = now.mono_ms + min(doubled, params.round_timeout_max_ms)


def _timer_moments(state: State) -> list[int]:
    """When round 0's timer starts though nobody has spoken."""
    params = state.context.params
    moments = [state.height_started_ms + params.empty_block_interval_ms]
    if state.work_since_ms is not None:
        waits_since = max(state.work_since_ms, state.height_started_ms)
        moments.append(waits_since + TURNS * params.min_block_interval_ms)
    return moments


def _proposal_moment(state: State) -> int:
    """When round 0's proposer makes its block: at its pace with work, else when one is due."""
    params = state.context.params
    busy = state.work_since_ms is not None or state.heard
    interval = params.min_block_interval_ms if busy else params.empty_block_interval_ms
    return state.height_started_ms + interval


def _round_zero_moments(state: State) -> list[int]:
    """Those still to come; each leaves the list by what it brings about, so none stays past."""
    if state.round > 0 or state.context.me is None:
        return []
    moments = [] if state.deadline_ms is not None else _timer_moments(state)
    if state.build_asked < 0 and state.proposer(0) == state.context.me:
        moments.append(_proposal_moment(state))
    return moments


def _ask_proposal(state: State, now: Now, out: list[Output]) -> None:
    context, round_ = state.context, state.round
    if context.me is None or state.proposer(round_) != context.me or state.build_asked >= round_:
        return
    if round_ == 0:
        if now.mono_ms < _proposal_moment(state):
            return
    else:
        chosen = _usable_round_changes(state)
        if len(chosen) < state.thresholds.quorum:
            return
        prepared = checks.highest_prepared(chosen)
        if prepared is not None:
            source = next(change.sender for change in chosen if change.prepared == prepared)
            state.build_asked = round_
            _propose(state, state.contents[prepared.content_hash], chosen, source, out)
            return
    state.build_asked = round_
    txs_max = checks.txs_max(context.params.block_txs_max, round_)
    out.append(Build(round_, txs_max, state.previous.seals(context.parent)))


def _free(state: State, chosen: list[RoundChange]) -> bool:
    """Whether these ROUND-CHANGEs leave the proposer free to choose a content."""
    return len(chosen) >= state.thresholds.quorum and checks.highest_prepared(chosen) is None


def _usable_round_changes(state: State) -> list[RoundChange]:
    """q ROUND-CHANGEs for this round, each naming nothing or a content that is at hand (rule 5)."""
    usable = [
        change
        for change in state.votes.round_changes(state.round)
        if change.prepared is None or change.prepared.content_hash in state.contents
    ]
    index_of = state.context.validators.index_of
    # The highest prepared come first: the choice must not lose one that could have committed here.
    usable.sort(key=lambda c: (-(c.prepared.round if c.prepared else -1), index_of[c.sender]))
    return usable[: state.thresholds.quorum]


def _propose(
    state: State, content: Content, chosen: list[RoundChange], source: bytes, out: list[Output]
) -> None:
    """Put a content forward; ``source`` has its bodies."""
    context = state.context
    assert context.me is not None
    justification = tuple(change.without_content() for change in chosen)
    vote = Proposal(context.height, state.round, content, (), justification, context.me, UNSIGNED)
    _keep_content(state, content)
    _sign(state, vote, out)
    _execute(state, content, (), source, out)


def _prepare(state: State, out: list[Output]) -> None:
    """Rule 2: vote for the outcome of this round's proposal, once own execution is done."""
    context, accepted = state.context, state.accepted
    if context.me is None or accepted is None or accepted.round != state.round:
        return
    if state.asked.get(Prepare, -1) >= state.round:
        return
    digest = accepted.content.digest
    block_hash = state.outcomes.get(digest)
    if block_hash is None:
        return
    if state.late:
        # Rule 7: t+1 PREPAREs show that an honest clock found the time acceptable.
        others: set[bytes] = set()
        for (content_hash, _), senders in state.votes.prepares(state.round).items():
            if content_hash == digest:
                others |= set(senders)
        if len(others) < state.thresholds.honest_witness:
            return
    vote = Prepare(context.height, state.round, digest, block_hash, context.me, UNSIGNED)
    _sign(state, vote, out, accepted.content)


def _commit(state: State, out: list[Output]) -> None:
    """Rule 3: q PREPAREs for one outcome that is the own one too."""
    context = state.context
    for (digest, block_hash), signatures in state.votes.prepares(state.round).items():
        if len(signatures) < state.thresholds.quorum or digest not in state.outcomes:
            continue
        own = state.outcomes[digest]
        if own != block_hash:
            if not state.reported_divergence:
                state.reported_divergence = True
                out.append(Diverged(context.height, state.round, own, block_hash))
            continue
        if digest not in state.contents:
            continue
        if state.prepared is None or state.prepared.round < state.round:
            state.prepared = PreparedCertificate.build(
                state.round, digest, block_hash, signatures, context.validators
            )
        if context.me is not None and state.asked.get(Commit, -1) < state.round:
            vote = Commit(context.height, state.round, block_hash, context.me, UNSIGNED)
            # The content too: this node may not have signed a PREPARE for it.
            _sign(state, vote, out, state.contents[digest], state.prepared)
