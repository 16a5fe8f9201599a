"""Runs hostile modules, each in a process of its own with a bound on time and memory.

``python -m tests.contracts.escape.worker`` reads case ids, one a line, and writes one JSON object a
case. The base state is made once; then the process forks for every case, so that a crash, a hang
or a leak is that case's alone.
"""

from __future__ import annotations

import gc
import json
import os
import resource
import signal
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from consensus.primitives.crypto import sha256
from consensus.primitives.errors import CodecError, HansaError, InputError
from consensus.receipt import OK, Event, Receipt
from consensus.transaction import Call
from contracts.runtime import loader
from contracts.runtime.executor import BlockContext, BlockExecutor
from contracts.runtime.package import RUNTIME, Package, SourceFile, package_of
from contracts.runtime.registry import Registry, builtin_packages
from tests.contracts.escape.corpus import Case, corpus
from tests.contracts.ledger import CHAIN, MAKER, START_MS, Ledger, consortium, seed_of

STEPS_MAX: Final = 10_000_000  # tx_steps_max of the default parameters
SECONDS_MAX: Final = 20
MEMORY_MAX: Final = 2 << 30  # more address space than this is a failure of its own

# What a running contract has no business to cause in the interpreter.
_WATCHED: Final = ("open", "import", "exec", "compile", "code.__new__", "function.__new__")
_WATCHED_HEADS: Final = ("os.", "subprocess.", "socket.", "sys.", "ctypes.", "gc.", "cpython.")

Row = dict[str, Any]


def package(case: Case) -> Package:
    """The case's files as a package; what a proposer would send, where its name can't be told."""
    try:
        found = package_of(case.files)
    except InputError:
        sources = tuple(SourceFile(path, text) for path, text in case.files)
        found = Package("hostile", 1, RUNTIME, sources)
    return Package.decode(found.raw)  # as it comes from the chain


def run(base: Ledger, case: Case) -> Row:
    """What comes of one case, in this process."""
    try:
        found = package(case)
        findings = loader.check(found)
    except (InputError, CodecError) as error:
        return {"refused": [["", 1, "package", str(error)]]}
    try:
        registry = base.registry.with_packages((*base.registry.packages, found))
    except InputError as error:
        assert error.code == "CONTRACT_REFUSED", error.code
        assert findings, f"check finds nothing, and the registry refuses: {error}"
        return {"refused": [[f.file, f.line, f.rule, f.reason] for f in findings]}
    assert not findings, f"the registry takes what check refuses: {findings[0]}"
    before = fingerprint()
    watch = Watch()
    started = time.process_time()
    receipt, changes = execute(base, registry, STEPS_MAX)
    seconds = time.process_time() - started
    watch.on = False
    # Again, from the same state: nothing of the first run may be left. Where that took all steps,
    # a part of them will do.
    steps_max = STEPS_MAX if receipt.steps_used < STEPS_MAX else STEPS_MAX // 50
    again = [execute(base, registry, steps_max) for _ in range(2)]
    if steps_max == STEPS_MAX:
        assert again[0] == (receipt, changes), "the second run differs from the first"
    assert again[0] == again[1], "the third run differs from the second"
    after = fingerprint()
    changed = sorted(key for key in before.keys() | after if before.get(key) != after.get(key))
    assert not changed, f"the SDK is not what it was: {changed[:5]}"
    return {
        "code": receipt.code,
        "detail": receipt.detail,
        "steps": receipt.steps_used,
        "result": json.loads(json.dumps((receipt.result or [None])[0], default=bytes.hex)),
        "outcome": outcome(receipt, changes) + outcome(*again[0]),
        "seconds": seconds,
        "watched": watch.seen[:5],
    }


def execute(
    base: Ledger, registry: Registry, steps_max: int
) -> tuple[Receipt, dict[bytes, bytes | None]]:
    """One block with one transaction that calls ``run``; before it eight that call ``prepare``,
    where there is such a method.
    """
    base.salt = 0
    block = BlockContext(CHAIN, 1, START_MS + 1000, bytes(32))
    executor = BlockExecutor(registry, base.state, block)
    executor.begin()
    module = registry.get("hostile")
    if module is not None and "prepare" in module.methods:
        for number in range(8):
            prepare = Call("hostile", "prepare", {"number": number})
            assert executor.execute(base.tx(seed_of(MAKER), prepare)).succeeded
    tx = base.tx(seed_of(MAKER), Call("hostile", "run", {}), steps_max=steps_max)
    receipt = executor.execute(tx)
    executor.finish()
    assert Receipt.decode(receipt.raw) == receipt
    return receipt, executor.changes


def outcome(receipt: Receipt, changes: dict[bytes, bytes | None]) -> str:
    """What nodes must agree on."""
    return sha256(receipt.raw + repr(sorted(changes.items())).encode()).hex()


class Watch:
    """Notes what the interpreter reports that no contract may cause."""

    def __init__(self) -> None:
        self.seen: list[str] = []
        self.on = True
        sys.addaudithook(self._hook)

    def _hook(self, event: str, args: tuple[Any, ...]) -> None:
        if self.on and (event in _WATCHED or event.startswith(_WATCHED_HEADS)):
            self.seen.append(f"{event} {args!r}"[:200])


def fingerprint() -> dict[str, int]:
    """Which objects the names of the SDK, the runtime and the builtins stand for."""
    found = {}
    for name, module in sorted(sys.modules.items()):
        if name.split(".")[0] not in ("contracts", "consensus", "builtins", "typing", "msgpack"):
            continue
        for key, value in list(vars(module).items()):
            found[f"{name}.{key}"] = id(value)
            if isinstance(value, type) and value.__module__ == name and name != "builtins":
                found |= {f"{name}.{key}.{k}": id(v) for k, v in list(vars(value).items())}
    return found


def forked(work: Callable[[], Row], write: Callable[[Row], None]) -> None:
    """Do the work in a child that ends with it, and write what came of it."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reader)
        try:
            bound()
            row = work()
        except MemoryError:
            row = {"failed": "MemoryError"}
        except HansaError as error:
            row = {"failed": f"{type(error).__name__} {error}"}
        except BaseException:
            row = {"failed": traceback.format_exc()[-3000:]}
        row["memory"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        os.write(writer, json.dumps(row).encode()[:60_000])
        os._exit(0)
    os.close(writer)
    with open(reader, "rb") as pipe:
        raw = pipe.read()
    _, status = os.waitpid(child, 0)
    write(json.loads(raw) if raw else {"failed": f"the process ended with status {status}"})


def bound() -> None:
    """This process ends when it takes too long or too much."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * resource.getpagesize() + MEMORY_MAX
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    signal.setitimer(signal.ITIMER_REAL, 3 * SECONDS_MAX)
    signal.setitimer(signal.ITIMER_PROF, SECONDS_MAX)  # SIGALRM and SIGPROF end the process


def main() -> None:
    cases = corpus()
    base = Ledger(Registry.of(builtin_packages()), consortium())
    # What is made once, on first use, is made now.
    execute(base, base.registry, STEPS_MAX)
    Receipt.decode(Receipt(bytes(32), OK, "", 0, (Event("a", "b", {}),), None).raw)
    gc.collect()
    gc.freeze()
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    for line in sys.stdin:
        case = cases[line.strip()]

        def write(row: Row, case: Case = case) -> None:
            row |= {"id": case.id, "memory": row.get("memory", memory) - memory}
            sys.stdout.write(json.dumps(row) + "\n")
            sys.stdout.flush()

        forked(lambda case=case: run(base, case), write)  # type: ignore[misc]


if __name__ == "__main__":
    main()
