"""Judging mutants quickly: the tests are collected once, and each mutant gets a fork of that.

mutmut makes the mutants (all of a file's in one module, chosen by name when a function is called)
and keeps what became of them in ``.meta`` files. What judges here is a process that has collected
the tests. It runs them all once to see which test calls which function; then each mutant is judged
in a fork by the tests that call its function: those first that killed its neighbours, then the
quick ones, until one fails. What a function did while modules were imported or the samples made is
not done again in a fork (nor what it keeps for good), so what survives of such a function is judged
once more by a process that imports all anew: by the module's own tests and the golden vectors.

A test gets ten times its usual time of the processor and three seconds; waiting costs none of it,
so a busy machine makes no time-outs.
"""

from __future__ import annotations

import importlib
import json
import os
import resource
import signal
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from fnmatch import fnmatch
from pathlib import Path
from typing import Any, Final

import pytest

SURVIVED: Final = 0
KILLED: Final = 1
NO_TESTS: Final = 33
WALL_S: Final = 900
"""A mutant that only waits; far more than the slowest of all takes on a busy machine."""
MEMORY_BYTES: Final = 3 * 2**30
ARGUMENTS: Final = ["--rootdir=.", "--tb=no", "-q", "-q", "--capture=no"]
LIBRARIES: Final = ("hypothesis", "hypothesis.strategies", "msgpack", "nacl.bindings", "structlog")

Codes = dict[str, int | None]


def function_of(mutant: str) -> str:
    return mutant.partition("__mutmut_")[0]


class Results:
    """The ``.meta`` files, written at each result: an interrupted run goes on where it ended."""

    def __init__(self, tree: Path) -> None:
        self._files: dict[str, tuple[Path, dict[str, Any]]] = {}
        for path in sorted(tree.rglob("*.meta")):
            data = json.loads(path.read_text())
            for mutant in data["exit_code_by_key"]:
                self._files[mutant] = path, data

    def untried(self, modules: list[str]) -> list[str]:
        """In the order of the modules named; all of them where none is."""
        return [
            mutant
            for module in modules or [""]
            for mutant, (_, data) in self._files.items()
            if fnmatch(mutant, f"{module}*") and data["exit_code_by_key"][mutant] is None
        ]

    def put(self, mutant: str, code: int) -> None:
        path, data = self._files[mutant]
        data["exit_code_by_key"][mutant] = code
        path.write_text(json.dumps(data, indent=4))


class Judge:
    """A pytest plugin that judges mutants where pytest would run the tests."""

    def __init__(self, mutants: list[str], results: Results, anew: Anew) -> None:
        self._mutants = mutants
        self._results = results
        self._anew = anew
        self._active = ""
        self._seconds: dict[str, float] = {}
        self._tests: dict[str, list[str]] = {}
        self._at_import: set[str] = set()
        self._killers: dict[str, Counter[str]] = defaultdict(Counter)
        self._report = -1

    # --- which test calls what -----------------------------------------------------------------

    def listen(self) -> None:
        """From now on each function called is noted. The mutant's name is kept here, not in the
        environment, where looking it up at each call costs most of a run."""
        from mutmut.mutation import trampoline  # type: ignore[import-not-found, unused-ignore]
        from mutmut.state import state  # type: ignore[import-not-found, unused-ignore]

        self._called: set[str] = state()._stats
        self._active = "stats"
        trampoline.get_mutant_under_test = lambda: self._active
        trampoline.record_trampoline_hit = lambda name, caller=None: self._called.add(name)
        for file in sorted(Path("consensus").rglob("*.py")):
            importlib.import_module(".".join(file.with_suffix("").parts))
        importlib.import_module("tests.vectors.samples").samples()
        self._at_import = set(self._called)

    def _measure(self, session: pytest.Session) -> bool:
        """Run all once, in a fork, too: what objects keep of what they worked out would be there
        in all the forks to come. False where a test fails without any mutant."""
        reading, writing = os.pipe()
        child = os.fork()
        if child == 0:
            measured = self._measured(session)
            with os.fdopen(writing, "w") as pipe:
                json.dump(measured, pipe)
            os._exit(bool(session.testsfailed))
        os.close(writing)
        with os.fdopen(reading) as pipe:
            self._seconds, self._tests = json.load(pipe)
        self._active = ""
        return os.waitpid(child, 0)[1] == 0

    def _measured(self, session: pytest.Session) -> tuple[dict[str, float], dict[str, list[str]]]:
        """Test -> its seconds of the processor; function -> the tests that call it, quick ones
        first."""
        seconds: dict[str, float] = {}
        tests: dict[str, set[str]] = defaultdict(set)
        for item, following in _in_turn(session.items):
            self._called.clear()
            begun = time.process_time()
            item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
            seconds[item.nodeid] = time.process_time() - begun
            for function in self._called:
                tests[function].add(item.nodeid)
        ordered = {one: sorted(names, key=seconds.__getitem__) for one, names in tests.items()}
        return seconds, ordered

    # --- one mutant ----------------------------------------------------------------------------

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        if session.testsfailed or not self._measure(session):
            print("the tests fail without any mutant")
            raise session.Failed
        items = {item.nodeid: item for item in session.items}
        begun, ends = time.monotonic(), Counter[int]()
        for count, mutant in enumerate(self._mutants, 1):
            function = function_of(mutant)
            killers = self._killers[function]
            names = self._tests.get(function, [])
            names = sorted(names, key=lambda name: -killers[name])
            code, killer = NO_TESTS, ""
            if names:
                code, killer = self._forked(mutant, [items[name] for name in names])
            if code == NO_TESTS or (code == SURVIVED and function in self._at_import):
                code = self._anew.judge(mutant)
            if killer:
                killers[killer] += 1
            self._results.put(mutant, code)
            ends[code] += 1
            if count % 20 == 0 or count == len(self._mutants):
                print(
                    f"{count} of {len(self._mutants)} in {time.monotonic() - begun:.0f} s, "
                    f"{ends[SURVIVED]} survived: {mutant}",
                    flush=True,
                )
        return True

    def _forked(self, mutant: str, items: list[pytest.Item]) -> tuple[int, str]:
        reading, writing = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(reading)
            self._report = writing
            self._active = mutant
            limits()
            for item, following in _in_turn(items):
                processor_s = 10 * self._seconds[item.nodeid] + 3
                signal.setitimer(signal.ITIMER_PROF, processor_s)
                item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
            os._exit(SURVIVED)
        os.close(writing)
        with os.fdopen(reading) as pipe:
            killer = pipe.read()
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), killer

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed and self._report != -1:  # in a fork: one failure is enough
            os.write(self._report, report.nodeid.encode())
            os._exit(KILLED)


def _in_turn(items: list[pytest.Item]) -> Iterator[tuple[pytest.Item, pytest.Item | None]]:
    return zip(items, [*items[1:], None], strict=True)


def limits() -> None:
    """In a fork: no output, no endless waiting, and not all the memory there is."""
    quiet = os.open(os.devnull, os.O_WRONLY)
    os.dup2(quiet, 1)
    os.dup2(quiet, 2)
    signal.alarm(WALL_S)
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))


class Anew:
    """A process that has imported pytest and other libraries, but nothing of the tree: from it come
    those that judge a mutant with everything imported anew: by the tests named for its module and
    the last of ``folders``, or by all of them where there are none."""

    def __init__(self, folders: Sequence[str], options: list[str]) -> None:
        self._folders = folders
        self._options = options
        self._reading, writing = os.pipe()
        reading, self._writing = os.pipe()
        if os.fork() == 0:
            os.close(self._reading)
            os.close(self._writing)
            for name in LIBRARIES:
                importlib.import_module(name)
            with os.fdopen(reading) as asked:
                while mutant := asked.readline().strip():
                    os.write(writing, b"%d\n" % self._judged(mutant))
            os._exit(0)
        os.close(reading)
        os.close(writing)
        self._answers = os.fdopen(self._reading)

    def judge(self, mutant: str) -> int:
        os.write(self._writing, f"{mutant}\n".encode())
        return int(self._answers.readline())

    def _judged(self, mutant: str) -> int:
        child = os.fork()
        if child == 0:
            limits()
            resource.setrlimit(resource.RLIMIT_CPU, (120, 120))
            from mutmut.mutation import trampoline

            trampoline.get_mutant_under_test = lambda: mutant
            module = function_of(mutant).rpartition(".")[0].rpartition(".")[2]
            own = [str(file) for file in Path("tests").rglob(f"test_{module}.py")]
            tests = [*own, self._folders[-1]] if own else self._folders
            os._exit(int(pytest.main([*ARGUMENTS, "-x", *tests, *self._options])))
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        return KILLED if code in (2, 3, 4) else code  # it could not even be imported


def paths(tree: Path) -> None:
    """The mutants are what is imported, whatever else lies around."""
    root = Path(__file__).parents[1]
    sys.path[:] = [one for one in sys.path if Path(one).resolve() not in (root, root / "scripts")]
    sys.path.insert(0, str(tree))
    os.chdir(tree)
    sys.setrecursionlimit(10_000)  # each call goes through frames of mutmut's


def judge(tree: Path, modules: list[str], folders: Sequence[str], options: list[str]) -> int:
    """Try what is untried of these modules by the tests of ``folders``; ``options``: pytest's."""
    paths(tree)
    results = Results(tree)
    mutants = results.untried(modules)
    if not mutants:
        return 0
    judging = Judge(mutants, results, Anew(folders, options))
    judging.listen()
    return int(pytest.main([*ARGUMENTS, *folders, *options], plugins=[judging]))
