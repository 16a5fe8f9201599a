"""A package understood whole: declarations, bodies, what it says it is, and who calls whom."""

from __future__ import annotations

import re
from typing import Any, Final

from contracts.runtime import names
from contracts.runtime.checker import BodyChecker
from contracts.runtime.declarations import Declarations, FunctionInfo, Program
from contracts.runtime.package import Package

FRAMES_MAX: Final = 32  # of one contract, one in another
_NAME: Final = re.compile(r"[a-z][a-z0-9_]{0,31}")


def _check_contract(program: Program) -> None:
    findings, package = program.findings, program.package
    contract = program.contract
    findings.file = package.files[-1].path
    if contract is None:
        findings.at(1, 1, "package", "the last file has no contract class")
        return
    if not _NAME.fullmatch(package.name) or names.forbidden(package.name):
        findings.add(contract.node, "package", "a contract's name is lower-case letters and _")
    if package.name in names.RESERVED_CONTRACTS:
        findings.add(contract.node, "package", f"no contract is called {package.name}")
    for name, wanted in (("name", package.name), ("version", package.version)):
        found: Any = 1 if name == "version" else None
        for at in contract.line():
            if name in at.constants:
                found = at.constants[name]
                break
        if found != wanted or type(found) is not type(wanted):
            findings.add(
                contract.node, "package", f"{name} is {found!r} here and {wanted!r} in the package"
            )


def _check_chains(program: Program) -> None:
    """No call leads back to itself, and the longest chain of frames is bounded.

    So Python's own recursion limit never matters.
    """
    by_key: dict[tuple[str, str], list[FunctionInfo]] = {}
    for info in program.functions:
        by_key.setdefault(info.key, []).append(info)
    frames: dict[tuple[str, str], int] = {}  # 0 while under way
    for start in by_key:
        waiting = [(start, False)]
        while waiting:
            key, done = waiting.pop()
            called = sorted({call for info in by_key[key] for call in info.calls if call in by_key})
            if done:
                deepest = max([frames[call] for call in called], default=0)
                frames[key] = max(info.frames for info in by_key[key]) + deepest
                info = by_key[key][0]
                program.findings.file = info.file.path
                if frames[key] > FRAMES_MAX >= deepest:
                    program.findings.add(
                        info.node, "too-deep", f"calls {FRAMES_MAX} deep begin in {info.node.name}"
                    )
                continue
            if key in frames:
                continue
            frames[key] = 0
            waiting.append((key, True))
            for call in called:
                if frames.get(call) == 0:
                    info = by_key[key][0]
                    program.findings.file = info.file.path
                    program.findings.add(
                        info.node,
                        "recursion",
                        f"{info.node.name} leads back to itself by {call[1]}",
                        "use a loop with a list of what is left to do",
                    )
                    frames[call] = 1
                waiting.append((call, False))


def understand(package: Package) -> Program:
    """The package read and checked; what is wrong stands in ``program.findings``."""
    program = Declarations(package).read()
    if not package.files:
        program.findings.at(1, 1, "package", "a package has at least one file")
    elif len(program.files) == len(package.files):
        for info in program.functions:
            BodyChecker(program, info).run()
        _check_contract(program)
        _check_chains(program)
    return program
