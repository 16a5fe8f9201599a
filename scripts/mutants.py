"""Mutation testing of ``consensus/``: every small change of the code should make a test fail.

    make mutants                                  # all of consensus/, for hours
    make mutants MUTANTS_ARGS=consensus.pbft      # one package or module
    make mutants MUTANTS_ARGS=--again             # survivors and time-outs too: there are new tests
    make mutants MUTANTS_ARGS="--again consensus.turns"
    make mutants MUTANTS_ARGS=--list              # the survivors so far, each with its change
    make mutants MUTANTS_ARGS=--page              # the table below into docs/spec/mutants.md

mutmut (requirements-mutants.lock) works on a copy of the sources in ``build/mutants/tree``; results
stay there, and the next run goes on where this one ended. The copy differs in one thing: mutmut
passes over decorated functions, so ``@property`` is applied after the function there. mutmut makes
the mutants; ``mutants_judge.py`` runs the tests on them.

What is not mutated: what an error says to people (its code is), docstrings, annotations, names and
constants outside functions; ``ics23.py``, which another's library judges, in processes of Node.
What judges a mutant is SELECTION: tests without sockets, threads and
long random schedules, the same in each run.
"""

from __future__ import annotations

import argparse
import ast
import json
import os
import shutil
import signal
import subprocess
import sys
from collections import Counter, defaultdict
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).parents[1]
TREE: Final = ROOT / "build" / "mutants" / "tree"
TOOLS: Final = ROOT / "build" / "mutants" / "tools"

SELECTION: Final = ("tests/consensus", "tests/vectors")
_AGREEMENT: Final = "tests/consensus/pbft"
LEFT_OUT: Final = (
    "tests/consensus/second_opinion",
    "tests/consensus/test_ics23.py",
    f"{_AGREEMENT}/test_agreement.py",
    f"{_AGREEMENT}/test_journal.py::test_a_state_read_from_its_bytes_goes_on_as_the_state_would",
    f"{_AGREEMENT}/test_mistakes.py::test_mistake_one_dead_validator_slows_every_block",
    f"{_AGREEMENT}/test_mistakes.py::test_mistake_a_block_too_slow_for_the_timer_is_proposed_again",
    f"{_AGREEMENT}/test_mistakes.py::test_mistake_votes_are_sent_only_once",
    f"{_AGREEMENT}/test_rules.py::test_rule_8_a_diverging_transaction_does_not_stop_the_chain",
    "tests/consensus/test_turns.py::test_attack",
    "tests/consensus/test_turns.py::test_a_dead_validator_costs_one_time_out_and_no_more",
    "tests/consensus/test_turns.py::test_all_the_dead_that_a_quorum_does_without_cost_one_time_out",
    "tests/consensus/test_turns.py::test_a_slow_validator_is_soon_out_of_turn_and_never_tried",
    "tests/consensus/test_turns.py::test_who_died_long_before_its_turn_is_never_waited_for",
)
"""Whole networks and other programs: seconds each, and every survivor has to pass them all."""
COPIED: Final = (
    "node",
    "contracts",
    "genesis",
    "tests/conftest.py",
    "tests/sampling.py",
    *SELECTION,
)

SETTINGS: Final = """[tool.pytest.ini_options]
addopts = ["--strict-markers", "--import-mode=importlib", "-p", "no:cacheprovider"]
pythonpath = ["."]
trio_mode = true

[tool.mutmut]
source_paths = ["consensus"]
also_copy = ["contracts", "genesis", "node"]
do_not_mutate = ["consensus/ics23.py"]
"""

TIMEOUTS: Final = (-signal.SIGPROF, -signal.SIGXCPU, -signal.SIGALRM)
"""How a test run ends that has used up its time."""

COLUMNS: Final = ("killed", "timeout", "survived", "no tests", "not checked")
PAGE: Final = ROOT / "docs" / "spec" / "mutants.md"

ERRORS: Final = {
    *("PeerFault", "TxRejected", "LocalFault", "InputError", "CodecError"),
    *("IndexError", "ValueError", "_wrong"),
}


def undecorated(source: str) -> str:
    """The source with each ``@property`` (and ``@cached_property``) applied below its function."""
    lines = source.splitlines()
    for node in reversed(list(ast.walk(ast.parse(source)))):
        if not isinstance(node, ast.ClassDef):
            continue
        for function in reversed(node.body):
            if not isinstance(function, ast.FunctionDef) or len(function.decorator_list) != 1:
                continue
            name = ast.unparse(function.decorator_list[0])
            if name not in ("property", "cached_property"):
                continue
            indent = " " * function.col_offset
            assert function.end_lineno is not None
            lines.insert(function.end_lineno, f"{indent}{function.name} = {name}({function.name})")
            del lines[function.decorator_list[0].lineno - 1]
    return "\n".join(lines) + "\n"


def copy_tree() -> None:
    """Bring the copy up to date; files that are as they were keep their results."""
    for name in ("consensus", *COPIED):
        source = ROOT / name
        files = [source] if source.is_file() else sorted(source.rglob("*"))
        for file in files:
            if file.is_dir() or "__pycache__" in file.parts:
                continue
            target = TREE / file.relative_to(ROOT)
            text = file.read_bytes()
            if name == "consensus" and file.suffix == ".py":
                text = undecorated(text.decode()).encode()
            if not target.exists() or target.read_bytes() != text:
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(text)
    for top in (TREE, TREE / "mutants"):
        for file in [*top.glob("tests/**/*.py*"), *top.glob("consensus/**/*.py*")]:
            name = file.name.partition(".")[0] + ".py"  # also a mutated file's .meta and .spans
            source = (ROOT / file.relative_to(top)).with_name(name)
            if not source.exists() and "__pycache__" not in file.parts:
                file.unlink()
    (TREE / "pyproject.toml").write_text(SETTINGS)


def leaving_out() -> list[str]:
    """pytest's options for LEFT_OUT. A whole file may need what was not copied: it isn't read."""
    options = []
    for one in LEFT_OUT:
        options += ["--deselect" if "::" in one else "--ignore", one]
    return options


def install() -> None:
    """mutmut and what it needs beside the test tools, into a folder of its own."""
    lock = ROOT / "requirements-mutants.lock"
    stamp = TOOLS / ".installed"
    if stamp.exists() and stamp.stat().st_mtime >= lock.stat().st_mtime:
        return
    shutil.rmtree(TOOLS, ignore_errors=True)
    pip = [sys.executable, "-m", "pip", "install", "-qq", "--disable-pip-version-check"]
    subprocess.run(
        [*pip, "--no-deps", "--require-hashes", "--target", str(TOOLS), "-r", str(lock)], check=True
    )
    stamp.touch()


def apart(*arguments: str) -> int:
    """Go on in the copy, in a process of its own."""
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join((str(TOOLS), str(ROOT))),
        "HYPOTHESIS_PROFILE": "mutants",
        "PYTHONHASHSEED": "0",
    }
    command = [sys.executable, str(Path(__file__)), "--inside", *arguments]
    with subprocess.Popen(command, cwd=TREE, env=environment) as process:
        # It must not go on writing results when this process has been told to end.
        signal.signal(signal.SIGTERM, lambda *_: process.terminate())
        return process.wait()


def inside(task: str, names: list[str]) -> int:
    """In that process: make what mutants there are not yet, and judge or show some."""
    sys.path.remove(str(ROOT))  # the copy is what counts
    if task == "show":
        return show(names)
    make()
    from mutants_judge import judge  # type: ignore[import-not-found, unused-ignore]

    return int(judge(TREE / "mutants", names, SELECTION, leaving_out()))


def make() -> None:
    """mutmut itself, taught to leave texts for people alone."""
    import libcst as cst  # type: ignore[import-not-found, unused-ignore]
    from mutmut.__main__ import create_mutants  # type: ignore[import-not-found, unused-ignore]
    from mutmut.mutation import mutators  # type: ignore[import-not-found, unused-ignore]
    from mutmut.utils import file_utils  # type: ignore[import-not-found, unused-ignore]

    def strings(node: Any) -> Any:
        if " " not in getattr(node, "value", " "):
            yield from mutators.operator_string(node)

    def arguments_of(node: Any) -> Any:
        if not (isinstance(node.func, cst.Name) and node.func.value in ERRORS):
            yield from mutators.operator_arg_removal(node)

    swapped = {"operator_string": strings, "operator_arg_removal": arguments_of}
    operators = mutators.mutation_operators
    operators[:] = [(kind, swapped.get(one.__name__, one)) for kind, one in operators]
    Path("mutants").mkdir(exist_ok=True)
    with redirect_stdout(None):
        file_utils.copy_src_dir()
        file_utils.copy_also_copy_files()
        create_mutants(1)


def show(modules: list[str]) -> int:
    """Each survivor's change."""
    from mutmut.mutation.diff_apply import (  # type: ignore[import-not-found, unused-ignore]
        find_mutant,
        get_diff_for_mutant,
    )

    for mutant, status in results().items():
        if status in ("survived", "no tests") and named(mutant, modules):
            change = get_diff_for_mutant(mutant, path=find_mutant(mutant).path)
            print(f"\n# {mutant}: {status}\n{change}")
    return 0


def named(mutant: str, modules: list[str]) -> bool:
    return not modules or any(mutant.startswith(one) for one in modules)


def results() -> dict[str, str]:
    """Mutant -> killed, timeout, survived, "no tests" or "not checked"."""
    names = {0: "survived", 5: "no tests", 33: "no tests"} | dict.fromkeys(TIMEOUTS, "timeout")
    found: dict[str, str] = {}
    for meta in sorted((TREE / "mutants").rglob("*.meta")):
        for mutant, code in json.loads(meta.read_text())["exit_code_by_key"].items():
            found[mutant] = "not checked" if code is None else names.get(code, "killed")
    return found


def forget_survivors(modules: list[str]) -> None:
    """Have all but the killed tried again: there may be new tests."""
    for meta in sorted((TREE / "mutants").rglob("*.meta")):
        data = json.loads(meta.read_text())
        data["exit_code_by_key"] = {
            mutant: None if code != 1 and named(mutant, modules) else code
            for mutant, code in data["exit_code_by_key"].items()
        }
        meta.write_text(json.dumps(data, indent=4))


def table() -> str:
    """How many mutants of each module came to which end, in Markdown."""
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for mutant, status in results().items():
        module = mutant.rsplit(".", 1)[0].partition(".x")[0]
        counts[module][status] += 1
        counts["all"][status] += 1
    rows = [["module", "mutants", *COLUMNS]]
    for module in sorted(counts, key=lambda name: (name == "all", name)):
        line = counts[module]
        name = "**all**" if module == "all" else f"`{module.removeprefix('consensus.')}`"
        rows.append([name, str(line.total()), *(str(line[end]) for end in COLUMNS)])
    rows.insert(1, ["---"] * len(rows[0]))
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


def write_page() -> None:
    """Put the table into the page, in the place of the one there."""
    before, _, rest = PAGE.read_text().partition("| module |")
    _, _, after = rest.partition("\n\n")
    PAGE.write_text(f"{before}{table()}\n{after}")


def main() -> int:
    parser = argparse.ArgumentParser(prog="make mutants", description=__doc__)
    parser.add_argument("modules", nargs="*", default=[], help="consensus.pbft.machine ...")
    parser.add_argument("--list", action="store_true", help="show the survivors so far and end")
    parser.add_argument("--again", action="store_true", help="try all but the killed again")
    parser.add_argument("--page", action="store_true", help="write the table into its page and end")
    chosen = parser.parse_args()
    if chosen.page:
        write_page()
        return 0
    install()
    if chosen.list:
        code = apart("show", *chosen.modules)
    else:
        copy_tree()
        if chosen.again:
            forget_survivors(chosen.modules)
        code = apart("judge", *chosen.modules)
    print(table())
    return code


if __name__ == "__main__":
    sys.exit(inside(sys.argv[2], sys.argv[3:]) if sys.argv[1:2] == ["--inside"] else main())
