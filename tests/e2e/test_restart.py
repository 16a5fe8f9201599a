"""A validator that was killed and missed hundreds of blocks votes again soon after its start.

Another one dies meanwhile, so that the chain stands until this one votes: what is measured is how
long a network that needs it waits.
"""

from __future__ import annotations

import itertools
import os
import sys
import threading
import time
from pathlib import Path

import pytest

from cli.client import Client, ClientError
from consensus.params import Params
from tests.e2e.support import devnet, until

pytestmark = pytest.mark.e2e

BEHIND = int(os.environ.get("HANSA_RESTART_BLOCKS", "100"))
PARAMS = Params(min_block_interval_ms=20, empty_block_interval_ms=40, round_timeout_ms=1_000)
BOUND_S = 120.0
"""Generous: what counts is the printed figure on an idle machine, 5 s at most. Beside it stand the
seconds of CPU, which tell more where other work goes on."""


def test_a_validator_many_blocks_behind_votes_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with devnet(tmp_path / "net", PARAMS) as net:
        victim, other = net.nodes[3], net.nodes[0]
        stop = threading.Event()

        def load() -> None:
            with Client(other.url) as client:
                for number in itertools.count():
                    if stop.wait(0.2):
                        return
                    client.submit([net.transaction(number)])

        thread = threading.Thread(target=load)
        thread.start()
        try:
            net.advance(victim, 20)
            net.kill(victim)
            at = net.height(other)
            until(lambda: net.height(other) >= at + BEHIND, f"{BEHIND} blocks further", 900)
            stop.set()
            thread.join()
            net.kill(net.nodes[2])
            behind = net.height(other) - at
            began = time.monotonic()
            net.start(victim)
            answered = caught_up = voting = 0.0
            while not voting:
                now = time.monotonic() - began
                assert now < BOUND_S, "does not vote again"
                try:
                    status = net.status(victim)
                except ClientError:
                    time.sleep(0.02)
                    continue
                answered = answered or now
                if not caught_up and status["height"] >= at + behind:
                    caught_up = now
                voting = now if status["voting"] and caught_up else 0.0
                time.sleep(0.02)
            net.advance(other, 1)
            advanced = time.monotonic() - began
            process = net.network.process(victim)
            assert process is not None
            cpu_s = sum(process.cpu_times()[:2])
        finally:
            stop.set()
            thread.join()
        with capsys.disabled():
            sys.stdout.write(
                f"\n{behind} blocks behind: API after {answered:.1f} s, all blocks after"
                f" {caught_up:.1f} s, voting again after {voting:.1f} s, the chain goes on after"
                f" {advanced:.1f} s; {cpu_s:.1f} s of CPU\n"
            )
        net.start(net.nodes[2])
        net.network.wait_ready([net.nodes[2]])
        height = net.height(other)
        net.advance(other, 20)
        with Client(other.url) as client:
            blocks = [client.block(one) for one in range(height, height + 20)]
        assert any(victim.name in block["sealed_by"] for block in blocks)
        net.equal_chains()
