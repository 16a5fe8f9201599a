"""`hansa contract`: write, check, propose and rehearse contracts; show those of a chain."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from cli import output
from cli.call import describe, methods_of, open_client
from cli.governance import proposal_of, proposal_timing, say_next
from cli.sending import client_for, devnet_option, seed_of, send, step_limit, timeout_option
from cli.settings import current, json_option, key_option, node_option
from consensus.primitives.errors import InputError

if TYPE_CHECKING:
    from cli.client import Client
    from cli.sending import CallSpec
    from contracts.runtime.package import Package, SourceFile
    from contracts.runtime.source import Finding

GOVERNANCE: Final = "governance"
CALLS_BYTES_MAX: Final = 60_000
"""Arguments of one transaction; below the 64 KiB that a transaction may have in all."""

_NAME: Final = re.compile(r"[a-z][a-z0-9_]{0,23}")
_FILE = click.Path(path_type=Path, dir_okay=False)


def root_option(function: Any) -> Any:
    """--root"""
    return click.option(
        "--root",
        type=click.Path(path_type=Path, file_okay=False),
        help="The folder that imports between the files start from (default: this one if it has"
        " them all, else the one that they share).",
    )(function)


@click.group()
def contract() -> None:
    """Write, check, propose and rehearse contracts; show those of a chain.

    FILES are a contract's sources in import order, the one with the Contract class last.
    """


# --- writing ---------------------------------------------------------------------------------


@contract.command()
@click.argument("name")
@click.option("--dir", "folder", type=click.Path(path_type=Path, file_okay=False), default=Path(),
              help="Where to put the files (default: here).")  # fmt: skip
@json_option
def new(name: str, folder: Path) -> None:
    """Write NAME.py, a small contract that works, and test_NAME.py, its test.

    \b
    Example:
      hansa contract new greeter
    """
    from cli.scaffold import MODULE, TEST
    from node.keystore import write_whole

    if not _NAME.fullmatch(name):
        raise InputError(
            "NAME_INVALID",
            f"{name!r} is no contract's name: at most 24 small letters, digits and '_'",
        )
    title = "".join(part.capitalize() for part in name.split("_"))
    module, test = folder / f"{name}.py", folder / f"test_{name}.py"
    for path in (module, test):
        if path.exists():
            raise InputError("FILE_EXISTS", f"{path} is left as it is")
    folder.mkdir(parents=True, exist_ok=True)
    for path, text in ((module, MODULE), (test, TEST)):
        filled = text.replace("NAME", name).replace("TITLE", title)
        write_whole(path, filled.encode(), mode=0o644)
    if current().json:
        output.print_json({"files": [str(module), str(test)]})
    else:
        click.echo(f"{module}\n{test}")
        output.say(f"next: pytest {test}; hansa contract check {module}")


# --- checking --------------------------------------------------------------------------------


def _path_from(base: Path, file: Path) -> str | None:
    """What imports from ``base`` call a file, both resolved; None if they can't."""
    from contracts.runtime.package import PATH

    path = file.relative_to(base).as_posix() if file.is_relative_to(base) else ""
    return path if PATH.fullmatch(path) else None


def _base_of(files: Sequence[Path], root: Path | None) -> Path:
    """The folder that paths start from: the one given, this one, or the one that files share."""
    base = (root or Path()).resolve()
    if root is None and any(_path_from(base, file) is None for file in files):
        return Path(os.path.commonpath([file.parent for file in files]))
    return base


def read_sources(files: Sequence[Path], root: Path | None) -> list[SourceFile]:
    """The files with their paths from ``root``; what is no text has marks that no source may have.

    Raises InputError CONTRACT_REFUSED for a path that no import can name, those of reading.
    """
    from contracts.runtime.package import FILE_BYTES_MAX, SourceFile
    from node.keystore import read_limited

    resolved = [file.resolve() for file in files]
    base = _base_of(resolved, root)
    sources = []
    for file, found in zip(files, resolved, strict=True):
        path = _path_from(base, found)
        if path is None:
            raise InputError(
                "CONTRACT_REFUSED",
                f"{file}: imports can't name it: small letters, digits and '_', ending in .py,"
                f" below {base} (--root)",
            )
        if found.exists() and not found.is_file():  # a pipe would be waited for
            raise InputError("FILE_NOT_READABLE", f"contract source {file}: not a regular file")
        raw = read_limited(file, FILE_BYTES_MAX, "contract source")
        sources.append(SourceFile(path, raw.decode(errors="replace")))
    return sources


def read_package(files: Sequence[Path], root: Path | None) -> Package:
    """The package in the files, if a chain would take it. Raises InputError CONTRACT_REFUSED with
    the first finding, and those of reading."""
    package, findings = _judged(read_sources(files, root))
    if findings:
        raise InputError(
            "CONTRACT_REFUSED",
            f"{len(findings)} findings, the first: {findings[0]}; all: hansa contract check",
        )
    assert package is not None
    return package


def _judged(sources: list[SourceFile]) -> tuple[Package | None, list[Finding]]:
    """The package, if there is one to speak of, and every finding in the order of the text."""
    from contracts.runtime.loader import check as findings_of
    from contracts.runtime.package import package_of
    from contracts.runtime.source import Finding, Findings, parse

    found = Findings()
    for source in sources:
        parse(source, found)
    findings, package = found.found, None
    if not findings:
        try:
            package = package_of([(source.path, source.text) for source in sources])
        except InputError as error:
            findings = [Finding(sources[-1].path, 1, 1, "declaration", error.message)]
        else:
            findings = findings_of(package)
    order = [source.path for source in sources]
    places = {path: index for index, path in enumerate(order)}
    findings = sorted(findings, key=lambda one: (places.get(one.file, 0), one.line, one.column))
    return package, findings


@contract.command()
@click.argument("files", type=_FILE, nargs=-1, required=True)
@root_option
@json_option
def check(files: tuple[Path, ...], root: Path | None) -> None:
    """Say whether a chain would take the contract in FILES, and every reason why not.

    A line for each finding: file:line:column, rule, reason. Exit code 1 if there are any.

    \b
    Examples:
      hansa contract check greeter.py
      hansa contract check trade/terms.py trade/orders.py --json
    """
    package, findings = _judged(read_sources(files, root))
    if current().json:
        output.print_json(
            {
                "name": package and package.name,
                "version": package and package.version,
                "digest": package and package.digest.hex(),
                "findings": [dataclasses.asdict(one) for one in findings],
            }
        )
    else:
        for one in findings:
            click.echo(str(one))
        if package is not None and not findings:
            click.echo(f"{package.name} version {package.version} may run: {package.digest.hex()}")
    if findings:
        click.get_current_context().exit(output.REFUSED)


# --- what a chain runs -----------------------------------------------------------------------


def _manifests(client: Client) -> dict[str, dict[str, Any]]:
    """name -> version, runtime, files of what the chain runs."""
    return {one["name"]: one for one in client.query(GOVERNANCE, "package_list").value}


def _manifest(client: Client, name: str) -> dict[str, Any]:
    found = _manifests(client)
    if name not in found:
        known = ", ".join(sorted(found))
        raise InputError("UNKNOWN_CONTRACT", f"the chain has no contract {name} (known: {known})")
    return found[name]


@contract.command("list")
@node_option
@json_option
def list_() -> None:
    """List the contracts that the chain runs.

    \b
    Example:
      hansa contract list
    """
    with open_client() as client:
        manifests = _manifests(client)
        schema = client.contracts()
    found = [
        {
            "name": name,
            "version": one["version"],
            "runtime": one["runtime"],
            "files": len(one["files"]),
            "text": schema.get(name, {}).get("doc", "").split("\n")[0],
        }
        for name, one in sorted(manifests.items())
    ]
    if current().json:
        output.print_json(found)
    else:
        headers = ("contract", "version", "runtime", "files", "what it is")
        click.echo(output.table(headers, [tuple(one.values()) for one in found]))


@contract.command()
@click.argument("name")
@click.option("--source", is_flag=True, help="Print its source, as every node runs it.")
@node_option
@json_option
def show(name: str, source: bool) -> None:
    """Show the contract NAME of the chain: its methods and files, or its source.

    \b
    Examples:
      hansa contract show batch
      hansa contract show batch --source
    """
    with open_client() as client:
        manifest = _manifest(client, name)
        named = [(one["path"], one["hash"]) for one in manifest["files"]]
        files = [{"path": path, "sha256": digest.hex()} for path, digest in named]
        texts = _sources(client, named) if source else []
        schema = client.contracts()
    value = {"name": name, "version": manifest["version"], "runtime": manifest["runtime"]}
    if current().json:
        for one, text in zip(files, texts, strict=False):
            one["text"] = text
        output.print_json(value | {"files": files, "schema": schema.get(name)})
    elif source:
        for one, text in zip(files, texts, strict=True):
            click.echo(f"# {'-' * 8} {one['path']}\n{text}")
    else:
        click.echo(output.fields(value))
        for kind in ("call", "query"):
            if methods_of(schema, name, kind):
                click.echo(f"\n{describe(schema, name, kind)}")
        click.echo()
        click.echo(output.table(("file", "SHA-256"), [tuple(one.values()) for one in files]))


def _sources(client: Client, named: Sequence[tuple[str, bytes]]) -> list[str]:
    """The texts of files by path and SHA-256. Raises RequestFailed; BadAnswer for another text."""
    from cli.client import BadAnswer
    from consensus.primitives.crypto import sha256

    texts = []
    for path, digest in named:
        text = client.query(GOVERNANCE, "source", {"hash": digest}).value
        if type(text) is not str or sha256(text.encode()) != digest:
            raise BadAnswer("BAD_ANSWER", f"the node has another text of {path} than it names")
        texts.append(text)
    return texts


@contract.command()
@click.argument("proposal", type=click.IntRange(1))
@click.option("--dir", "folder", type=click.Path(path_type=Path, file_okay=False), required=True,
              help="Where to put the files; made if missing.")  # fmt: skip
@node_option
@json_option
def fetch(proposal: int, folder: Path) -> None:
    """Write the source that PROPOSAL would bring into a folder: to be read, checked and rehearsed
    before a vote.

    \b
    Example:
      hansa contract fetch 3 --dir proposed
    """
    from contracts.runtime.package import PATH
    from node.keystore import write_whole

    with open_client() as client:
        found = proposal_of(client, proposal)
        if found["kind"] != "contract":
            raise InputError("UNKNOWN_CONTRACT", f"proposal {proposal} brings no contract")
        named = [(path, digest) for path, digest in found["args"]["files"]]
        texts = _sources(client, named)
    files = []
    for (path, _), text in zip(named, texts, strict=True):
        if not PATH.fullmatch(path):
            raise InputError("BAD_ANSWER", f"{path!r} is not a contract's path")
        file = folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        write_whole(file, text.encode(), mode=0o644)
        files.append(str(file))
    if current().json:
        output.print_json({"root": str(folder), "files": files})
    else:
        click.echo("\n".join(files))
        output.say(f"next: hansa contract rehearse --root {folder} {' '.join(files)}")


# --- proposing -------------------------------------------------------------------------------


@contract.command()
@click.argument("files", type=_FILE, nargs=-1, required=True)
@click.option("--height", type=click.IntRange(0), default=0,
              help="The block from which on it counts (default: once decided).")  # fmt: skip
@click.option("--days", type=click.IntRange(1, 365), default=None,
              help="How long the vote stays open (default: 7).")  # fmt: skip
@root_option
@devnet_option
@timeout_option
@key_option
@node_option
@json_option
def propose(
    files: tuple[Path, ...],
    height: int,
    days: int | None,
    root: Path | None,
    devnet: bool,
    folder: Path,
    timeout_s: int,
) -> None:
    """Upload the contract in FILES and propose that the chain runs it.

    The sources go into as many transactions as they need; what the chain has already is not sent
    again. Then the validators' organisations vote. A contract of that name is replaced: its
    version must be higher.

    \b
    Examples:
      hansa contract propose greeter.py --key admin.key.json
      hansa contract propose greeter.py --devnet
    """
    package = read_package(files, root)
    seed = seed_of(devnet, folder)
    with client_for(devnet, folder) as client:
        _require_affordable(client, package)
        groups = _proposal_calls(client, package, proposal_timing(height, days))
        for number, calls in enumerate(groups, 1):
            output.say(f"transaction {number} of {len(groups)}: {len(calls)} calls")
            results = send(client, seed, calls, timeout_s=timeout_s)
        proposal = results[-1]
    if current().json:
        output.print_json(
            {
                "proposal": proposal,
                "name": package.name,
                "version": package.version,
                "digest": package.digest.hex(),
                "transactions": len(groups),
            }
        )
    else:
        click.echo(f"proposal {proposal}: {package.name} version {package.version}")
        say_next(proposal, devnet)


def _require_affordable(client: Client, package: Package) -> None:
    """Raises InputError OUT_OF_STEPS if no transaction has the steps to check so much source."""
    from contracts.runtime.steps import SOURCE_BYTE, SOURCE_WORD

    needed = SOURCE_BYTE * package.size + SOURCE_WORD * package.words
    limit = step_limit(client)
    if needed > limit:
        raise InputError(
            "OUT_OF_STEPS",
            f"checking {package.words} words and signs of source takes {needed} steps, a"
            f" transaction has {limit}: divide the contract, or raise tx_steps_max"
            " (hansa governance set-params)",
        )


def _proposal_calls(
    client: Client, package: Package, timing: dict[str, int]
) -> list[list[CallSpec]]:
    """Uploads of what the chain lacks, then the proposal, divided into transactions."""
    calls: list[tuple[int, CallSpec]] = []
    names = []
    for file in package.files:
        digest = file.sha256
        names.append({"path": file.path, "hash": digest})
        if client.query(GOVERNANCE, "source", {"hash": digest}).value is None:
            calls.append((len(file.text), (GOVERNANCE, "upload", {"text": file.text})))
    args = {
        "name": package.name,
        "version": package.version,
        "runtime": package.runtime,
        "files": names,
        **timing,
    }
    size = sum(len(file.path) + 64 for file in package.files)
    calls.append((size, (GOVERNANCE, "propose_contract", args)))
    groups: list[list[CallSpec]] = []
    room = 0
    for size, call in calls:
        if size > room or not groups:
            groups.append([])
            room = CALLS_BYTES_MAX
        groups[-1].append(call)
        room -= size
    return groups


# --- rehearsing ------------------------------------------------------------------------------


@contract.command()
@click.argument("files", type=_FILE, nargs=-1, required=True)
@click.option("--blocks", type=click.IntRange(0, 1_000_000), default=100, show_default=True,
              help="How many of the newest blocks run with both versions.")  # fmt: skip
@click.option("--data", type=click.Path(path_type=Path, file_okay=False),
              help="Take the blocks from a stopped node's data folder instead.")  # fmt: skip
@root_option
@node_option
@json_option
def rehearse(files: tuple[Path, ...], blocks: int, data: Path | None, root: Path | None) -> None:
    """Run the contract in FILES beside the one in force, and say what would have been otherwise.

    This process fetches the chain's blocks from a node and replays them into a temporary copy,
    each checked against its header and certificate. The newest run with the new code too, after
    its migration; transactions, written keys and costs are compared. The node is not burdened
    beyond reading. It takes about the time of a node that catches up, disk for the chain's newest
    state, and memory for what the rehearsed blocks write.

    Exit code 0 if nothing but steps would differ and no migration writes or fails, else 1.

    \b
    Examples:
      hansa contract rehearse greeter.py
      hansa contract rehearse greeter.py --blocks 1000 --json
      hansa contract rehearse greeter.py --data build/devnet/node5
    """
    from cli.rehearsal import BlockSource, FolderBlocks, NodeBlocks, as_json, as_text
    from cli.rehearsal import rehearse as run

    package = read_package(files, root)
    with contextlib.ExitStack() as stack:
        source: BlockSource
        if data is None:
            source = NodeBlocks(stack.enter_context(open_client()))
        else:
            source = FolderBlocks(data)
            stack.callback(source.close)
        report = run(package, source, blocks, output.say)
    if current().json:
        output.print_json(as_json(report))
    else:
        click.echo(as_text(report))
    if report.differs:
        click.get_current_context().exit(output.REFUSED)
