"""Votes that change a running world, and the packages that they bring."""

from __future__ import annotations

from typing import Any

from contracts.runtime.package import Package, package_of
from p2p.ports import PeerAddress
from tests.sim.world import GLN, Machine, World, consensus_key

NOTES = '''"""Notes with a reminder."""

from __future__ import annotations

from typing import Annotated

from contracts.sdk import Contract, Map, Text, call, {imports}query, refuse, timed

Id = Annotated[str, Text(32)]
Note = Annotated[str, Text(200)]


class Notes(Contract):
    """Notes, and an event some time after each."""

    name = "notes"
    version = {version}

    notes = Map(str, key=("id",))

    @call
    def write(self, id: Id, text: Note) -> None:
        """Keep a note and be reminded of it two seconds later."""
        self.notes.put(id, text{suffix})
        self.due(self.ctx.time_ms + 2_000, "remind", id=id)

    @timed
    def remind(self, id: Id) -> None:
        """The time has come."""
        self.emit("Reminded", id=id, text=self.notes.get(id))

    @query
    def read(self, id: Id) -> str | None:
        """A note."""
        return self.notes.get(id)
'''
MIGRATION = '''
    @migrate
    def renew(self, from_version: int) -> None:
        """Notes end with a mark now."""
        for id, text in list(self.notes.items()):
            self.notes.put(id, text + "!")
{failing}'''


def notes(version: int, *, failing: bool = False) -> Package:
    """A contract of one file; from version 2 on notes end with "!"."""
    source = NOTES.format(
        version=version,
        imports="migrate, " if version > 1 else "",
        suffix=' + "!"' if version > 1 else "",
    )
    if version > 1:
        refusal = '        refuse("NOT_TODAY", "the migration gives up")\n' if failing else ""
        source += MIGRATION.format(failing=refusal)
    return package_of([("own/notes.py", source)])


async def decide(world: World, what: str, *, via: str = "v0", **args: Any) -> int:
    """Propose and vote; the one organisation has all validators. Returns the height in force."""
    proposal = await world.call(via, "governance", f"propose_{what}", **args)
    status = await world.call(via, "governance", "vote", proposal=proposal, yes=True)
    assert status == "ACCEPTED"
    found = world.ask(via, "governance", "proposal", proposal=proposal)
    return int(found["in_force"])


async def deploy(world: World, package: Package, *, via: str = "v0", height: int = 0) -> int:
    """Upload a package and vote it in; returns the height in force."""
    files = []
    for file in package.files:
        digest = await world.call(via, "governance", "upload", text=file.text)
        files.append({"path": file.path, "hash": digest})
    return await decide(
        world,
        "contract",
        via=via,
        name=package.name,
        version=package.version,
        runtime=package.runtime,
        files=files,
        height=height,
    )


async def admit(world: World, machine: Machine, *, via: str = "v0") -> int:
    """Vote a machine's node in."""
    name = machine.name
    return await decide(
        world,
        "node",
        via=via,
        network_key=machine.network_key,
        name=name,
        organisation=GLN,
        addresses=[f"{name}.example:1"],
    )


async def add_validator(world: World, machine: Machine, *, via: str = "v0") -> int:
    """Give an admitted machine a vote."""
    return await decide(
        world,
        "validator_add",
        via=via,
        name=machine.name,
        consensus_key=consensus_key(machine.name),
        organisation=GLN,
        network_key=machine.network_key,
    )


def addresses(peers: list[PeerAddress]) -> dict[str, tuple[str, ...]]:
    """By name."""
    return {peer.name: peer.addresses for peer in peers}
