"""An incident becomes a test: what whole nodes recorded on bad days replays elsewhere, exactly.

`python -m tests.sim.test_flight` records `tests/vectors/incident.flight` anew, after a deliberate
change of the protocol.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import trio

from consensus.messages import Prepare, RoundChange
from consensus.params import Params
from consensus.pbft import machine, outputs
from consensus.pbft.journal import state_digest
from node.flight import Recording, Replay, read_recording
from p2p.virtual import VirtualConditions
from tests.sim.liars import make_liar
from tests.sim.lies_voting import DoubleVoter
from tests.sim.machine import MemoryReports
from tests.sim.oracle import Oracle
from tests.sim.world import World, consensus_key, run_world

ROOT = Path(__file__).parents[2]
INCIDENT = ROOT / "tests" / "vectors" / "incident.flight"
PARAMS = Params(round_timeout_ms=1_000, empty_block_interval_ms=1_000)
LOSSY = VirtualConditions(loss=0.1, delay_ms=(1, 60))


async def _load(world: World, seconds: float) -> None:
    for _ in range(round(seconds / 0.2)):
        up = [name for name, machine in world.machines.items() if machine.node is not None]
        await world.node(world.rng.choice(up)).submit([world.transaction().raw])
        await trio.sleep(0.2)


def recordings(world: World) -> dict[str, bytes]:
    """Of all that are up."""
    return {
        name: machine.node.recorder.recording("test")
        for name, machine in world.machines.items()
        if machine.node is not None
    }


def replayed(data: bytes) -> tuple[Recording, Replay, set[str]]:
    """All of a recording; the last are the kinds of outputs seen."""
    recording = read_recording(data)
    again = Replay(recording)
    seen = {type(one).__name__ for step in again.steps() for one in step.outputs}
    assert recording.closing is not None
    return recording, again, seen


def sound(data: bytes) -> set[str]:
    recording, again, seen = replayed(data)
    assert (again.different, again.unsafe) == ([], [])
    assert recording.closing is not None
    assert state_digest(again.state) == recording.closing.digest
    return seen


def test_crashes_and_lost_rounds() -> None:
    """Also of a node that restarted in the middle of a height, with votes in its log."""
    kept: dict[str, bytes] = {}

    async def scenario(world: World) -> None:
        oracle = Oracle(world)
        world.start_all()
        await _load(world, 2)
        await world.crash("v1")
        await _load(world, 5)
        world.start("v1")
        await _load(world, 3)
        await world.crash("v2")
        await world.crash("v3")
        await trio.sleep(4)
        kept.update(recordings(world))  # in the middle of a stall
        world.start("v2")
        world.start("v3")
        await _load(world, 4)
        kept.update({f"{name} later": data for name, data in recordings(world).items()})
        oracle.finish()

    run_world(21, scenario, PARAMS, full=1, conditions=LOSSY)
    seen = set[str]().union(*(sound(data) for data in kept.values()))
    assert len(kept) == 3 + 5
    assert {"Sign", "Build", "Execute", "Decided", "RoundEntered", "Broadcast"} <= seen


def test_a_liar_s_votes() -> None:
    kept: dict[str, bytes] = {}

    async def scenario(world: World) -> None:
        make_liar(world, "v3", DoubleVoter(Prepare))
        world.start_all()
        await _load(world, 8)
        kept.update(recordings(world))

    run_world(22, scenario, PARAMS)
    seen = set[str]().union(*(sound(data) for name, data in kept.items() if name != "v3"))
    assert "Caught" in seen


def test_a_small_ring_begins_anywhere_and_still_replays() -> None:
    kept: dict[str, bytes] = {}

    async def scenario(world: World) -> None:
        world.start_all()
        for name in world.machines:
            world.node(name).recorder._segment_bytes = 3_000
        await _load(world, 8)
        kept.update(recordings(world))

    run_world(23, scenario, PARAMS, conditions=LOSSY)
    for data in kept.values():
        sound(data)
        assert read_recording(data).state is not None
        assert len(data) < 60_000


# --- what makes a node keep its recording ------------------------------------------------------


def _kept(world: World, name: str) -> dict[str, bytes]:
    """The files that the node's recorder keeps from here on."""
    reports = MemoryReports()
    world.node(name).recorder._folder = reports
    return reports.files


def test_a_mistake_in_the_core_leaves_its_recording(monkeypatch: pytest.MonkeyPatch) -> None:
    """The node stops; the file ends with the input that the core could not take."""
    real, files = machine.apply, dict[str, bytes]()

    async def scenario(world: World) -> None:
        world.start_all()
        files_of = _kept(world, "v0")
        await _load(world, 2)
        mine = consensus_key("v0")

        def failing(state: Any, event: Any, now: Any) -> Any:
            if state is not None and state.context.me == mine and state.votes.commits():
                raise AssertionError("a mistake")
            return real(state, event, now)

        monkeypatch.setattr(machine, "apply", failing)
        await _load(world, 2)
        assert world.machines["v0"].failure is not None
        files.update(files_of)

    run_world(25, scenario, PARAMS)
    monkeypatch.setattr(machine, "apply", real)
    ((name, data),) = files.items()
    assert name.endswith("-AssertionError.flight")
    recording, again, _ = replayed(data)
    assert recording.entries[-1].result == "!AssertionError"
    assert len(again.different) == 2, "the mistake is not made again, and so the end is another"
    assert "recorded a failure of the core, AssertionError" in again.different[0]


def test_a_second_signature_that_was_prevented_leaves_its_recording() -> None:
    files = dict[str, bytes]()

    async def scenario(world: World) -> None:
        world.start_all()
        files_of = _kept(world, "v0")
        await _load(world, 2)
        signer = world.node("v0").engine.signer
        assert signer is not None
        signer.log.floor = 10**6  # as if the log knew of votes that the core does not
        await _load(world, 2)
        assert world.machines["v0"].node is None
        files.update(files_of)

    run_world(26, scenario, PARAMS)
    ((name, data),) = files.items()
    assert name.endswith("-DOUBLE_SIGN_PREVENTED.flight")
    sound(data)


def test_an_own_vote_that_the_log_lacks_leaves_its_recording() -> None:
    """An old backup: the node goes on without voting, the recording tells why."""
    files = dict[str, bytes]()

    async def scenario(world: World) -> None:
        world.start_all()
        await _load(world, 2)
        disk = world.machines["v3"].disk
        old = disk.backup()
        await _load(world, 2)
        await world.crash("v3")
        disk.restore(old)
        world.start("v3")
        files_of = _kept(world, "v3")
        await _load(world, 3)
        files.update(files_of)

    run_world(27, scenario, PARAMS)
    assert any(name.endswith("-own-vote-shown.flight") for name in files)
    for data in files.values():
        sound(data)


# --- one that is kept ------------------------------------------------------------------------


async def _incident(world: World) -> None:
    """The proposer of the first rounds is dead and messages are lost: rounds change, a prepared
    content is proposed again."""
    for name in world.machines:
        world.make_vote_log(name)
    for name in ("v0", "v2", "v3"):
        world.start(name)
    await _load(world, 12)


def _tells_enough(data: bytes) -> bool:
    """Whether it has a ROUND-CHANGE with a prepared pair of its own, and a decision later."""
    signed = [
        one.vote
        for step in Replay(read_recording(data)).steps()
        for one in step.outputs
        if isinstance(one, outputs.Sign)
    ]
    carried = [
        one.height for one in signed if isinstance(one, RoundChange) and one.prepared is not None
    ]
    return bool(carried) and min(carried) < signed[-1].height and len(data) < 45_000


def record_incident() -> bytes:
    """The first that tells enough."""
    kept: dict[str, bytes] = {}

    async def scenario(world: World) -> None:
        await _incident(world)
        kept.update(recordings(world))

    for seed in range(24, 100):
        rain = VirtualConditions(loss=0.25, delay_ms=(1, 80))
        run_world(seed, scenario, PARAMS, conditions=rain)
        for data in kept.values():
            if _tells_enough(data):
                return data
    raise AssertionError("no incident")


def test_the_incident_that_is_kept_replays() -> None:
    assert {"RoundEntered", "Decided", "Build", "Broadcast"} <= sound(INCIDENT.read_bytes())


def test_a_changed_rule_shows_at_the_first_input_that_it_touches(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Without rule 4's prepared pair the ROUND-CHANGEs are others, and the replay says where."""
    real = machine._enter_round

    def forgetful(state: Any, round_: int, out: Any) -> None:
        state.prepared = None
        real(state, round_, out)

    monkeypatch.setattr(machine, "_enter_round", forgetful)
    recording, again, _ = replayed(INCIDENT.read_bytes())
    assert again.different
    number = int(again.different[0].split()[1].rstrip(":"))
    assert isinstance(recording.entries[number - 1].result, bytes)


def test_a_core_that_signs_twice_is_told_as_unsafe(monkeypatch: pytest.MonkeyPatch) -> None:
    """Even where it does what was recorded: these are the simulator's checks."""
    real = machine.apply

    def forging(*told: Any) -> Any:
        state, out = real(*told)
        for one in list(out):
            if isinstance(one, outputs.Sign) and type(one.vote).__name__ == "Commit":
                other = type(one.vote)(**{**vars(one.vote), "block_hash": bytes(32)})
                out.append(outputs.Sign(other))
        return state, out

    monkeypatch.setattr(machine, "apply", forging)
    _, again, _ = replayed(INCIDENT.read_bytes())
    assert "contradicts an own Commit" in again.unsafe[0]


@pytest.mark.parametrize("hash_seed", ["0", "1"])
def test_the_same_hash_in_another_process(hash_seed: str) -> None:
    """HANSA_OTHER_PYTHON names another interpreter, with msgpack and pynacl."""
    python = os.environ.get("HANSA_OTHER_PYTHON", sys.executable)
    code = (
        "import sys; from pathlib import Path\n"
        "from node.flight import Replay, read_recording\n"
        "from consensus.pbft.journal import state_digest\n"
        "again = Replay(read_recording(Path(sys.argv[1]).read_bytes()))\n"
        "for _ in again.steps(): pass\n"
        "assert not again.different and not again.unsafe, again.different\n"
        "print(state_digest(again.state).hex())\n"
    )
    found = subprocess.run(
        [python, "-c", code, str(INCIDENT)],
        cwd=ROOT,
        env={**os.environ, "PYTHONHASHSEED": hash_seed},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    closing = read_recording(INCIDENT.read_bytes()).closing
    assert closing is not None
    assert found.stdout.strip() == closing.digest.hex()


if __name__ == "__main__":
    INCIDENT.write_bytes(record_incident())
