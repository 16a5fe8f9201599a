"""Hosts in processes of their own: frozen, killed, restarted."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import trio

ROOT = Path(__file__).parents[2]
PATIENCE_S = 60


class NodeProcess:
    """One ``node_process.py`` and its lines so far."""

    def __init__(self, process: trio.Process) -> None:
        self.process = process
        self.lines: list[str] = []
        self._read = 0

    async def line(self, start: str) -> str:
        """The next line that begins so; those before it are skipped."""
        with trio.fail_after(PATIENCE_S):
            while True:
                while self._read < len(self.lines):
                    self._read += 1
                    if self.lines[self._read - 1].startswith(start):
                        return self.lines[self._read - 1]
                await trio.sleep(0.01)

    async def say(self, command: str) -> None:
        assert self.process.stdin is not None
        await self.process.stdin.send_all(command.encode() + b"\n")

    async def follow(self) -> None:
        assert self.process.stdout is not None
        rest = b""
        async for data in self.process.stdout:
            *lines, rest = (rest + data).split(b"\n")
            self.lines.extend(line.decode() for line in lines)


async def start(nursery: trio.Nursery, number: int, port: str, *others: str) -> NodeProcess:
    command = [sys.executable, "-m", "tests.p2p.node_process", str(number), port, *others]
    process = await trio.lowlevel.open_process(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=ROOT
    )
    node = NodeProcess(process)
    nursery.start_soon(node.follow)
    return node


async def test_frozen_killed_and_restarted_peer(report: Callable[[str], None]) -> None:
    nodes: list[NodeProcess] = []
    async with trio.open_nursery() as nursery:
        try:
            second = await start(nursery, 1, "0", "0=")
            nodes.append(second)
            address = (await second.line("listening")).split()[1]
            port = address.rpartition(":")[2]
            first = await start(nursery, 0, "0", f"1={address}")
            nodes.append(first)
            await first.line("connect 1")
            await second.line("connect 0")

            await first.say("send 1 10000")
            assert await second.line("got 0 10000")
            assert "disorder 0" not in second.lines

            # Frozen: nothing tells the kernel, only the missing answers do.
            second.process.send_signal(signal.SIGSTOP)
            before = time.monotonic()
            assert "nothing heard" in await first.line("disconnect 1")
            report(f"frozen peer noticed after {time.monotonic() - before:.1f} s (limit 1.5 s)")
            second.process.send_signal(signal.SIGCONT)
            await first.line("connect 1")
            await second.line("disconnect 0")
            await second.line("connect 0")

            # Killed: noticed at once, found again when it's back on the same port.
            second.process.kill()
            await second.process.wait()
            await first.line("disconnect 1")
            second = await start(nursery, 1, port, "0=")
            nodes.append(second)
            await first.line("connect 1")
            await second.line("connect 0")
            await first.say("send 1 1000")
            assert await second.line("got 0 1000")

            # Ended in order, and not a word on stderr.
            for node in (first, second):
                await node.say("stop")
                with trio.fail_after(PATIENCE_S):
                    assert await node.process.wait() == 0
                assert node.process.stderr is not None
                assert await node.process.stderr.receive_some() == b""
        finally:
            for node in nodes:
                if node.process.returncode is None:
                    node.process.kill()
            for node in nodes:
                with trio.CancelScope(shield=True):
                    await node.process.wait()
                for pipe in (node.process.stdin, node.process.stderr):
                    if pipe is not None:
                        await pipe.aclose()
