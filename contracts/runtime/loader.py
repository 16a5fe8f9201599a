"""Loading a package: checked, instrumented, compiled once, and run in a namespace of its own."""

from __future__ import annotations

import ast
import builtins
import contextlib
import importlib.util
import marshal
import types
import typing
import warnings
from functools import cache
from pathlib import Path
from typing import Any, Final

import contracts.sdk
from consensus.primitives.crypto import sha256
from consensus.primitives.errors import InputError, LocalFault
from contracts.runtime import names
from contracts.runtime.constants import ALIAS, CLASS, CONSTANT, LOCAL_FUNCTION
from contracts.runtime.declarations import MARKS, FileInfo
from contracts.runtime.functions import charged
from contracts.runtime.guards import guards
from contracts.runtime.instrument import Instrumenter
from contracts.runtime.package import RUNTIME, Package
from contracts.runtime.sizes import Sizes, sizes_of
from contracts.runtime.source import Finding
from contracts.runtime.steps import Meter
from contracts.runtime.understand import understand
from contracts.sdk.contract import Contract
from contracts.sdk.methods import methods_of
from contracts.sdk.records import Record, plan_of
from contracts.sdk.state import Layout

COMPILED_MAX: Final = 64  # packages whose code is kept


class _Name(typing.NamedTuple):
    """What a name of a file stands for, as far as running the file needs it."""

    name: str
    kind: str
    value: Any  # a constant's
    is_record: bool


class _File(typing.NamedTuple):
    path: str
    names: tuple[_Name, ...]
    code: types.CodeType


class _Compiled(typing.NamedTuple):
    files: tuple[_File, ...]
    contract: str  # the class's name


class Keeper(typing.Protocol):
    """Keeps compiled packages beyond this process. Whoever can write there can run code here."""

    def get(self, key: str) -> bytes | None: ...
    def put(self, key: str, code: bytes) -> None: ...


_compiled: dict[tuple[bytes, bool], _Compiled] = {}
_keepers: list[Keeper] = []  # one at most


def keep_in(keeper: Keeper | None) -> None:
    """Have compiled packages kept, or no longer. What is kept only saves time."""
    _keepers[:] = [] if keeper is None else [keeper]


def check(package: Package) -> list[Finding]:
    """Why the package may not run: nothing, or up to fifty findings with file, line and reason.

    The same packages are refused on every Python version; the findings' words are for people.
    """
    try:
        made = load(package, Meter())
        methods_of(made)
        Layout(made)
    except _Refused as refused:
        return refused.findings
    except TypeError as error:
        return [Finding(package.files[-1].path, 1, 1, "declaration", str(error))]
    return []


def load(package: Package, meter: Meter, *, instrumented: bool = True) -> type[Contract]:
    """The package's contract class, its steps taken from ``meter``.

    Raises InputError CONTRACT_REFUSED naming every finding, LocalFault NODE_FAULT where this
    machine can't tell: its stack or memory is no reason to refuse. ``instrumented=False`` runs the
    source as it is, unmetered: for comparisons in a benchmark, never on a chain.
    """
    try:
        return _loaded(package, meter, instrumented)
    except (MemoryError, RecursionError) as error:
        fault = f"{type(error).__name__} while loading contract {package.name}"
        raise LocalFault("NODE_FAULT", fault) from error


def _loaded(package: Package, meter: Meter, instrumented: bool) -> type[Contract]:
    compiled = _ready(package, instrumented)
    sizes = sizes_of(meter)
    built_in = _guards(meter, sizes) if instrumented else _plain_builtins()
    spaces: dict[str, dict[str, Any]] = {}
    for file in compiled.files:
        space: dict[str, Any] = {
            "__builtins__": {"__build_class__": builtins.__build_class__},
            "__name__": f"contract:{package.name}",
            **built_in,
        }
        for one in file.names:
            if one.kind == CONSTANT:
                space[f"{names.GUARD}c_{one.name}" if instrumented else one.name] = one.value
                continue
            found = _outside(one.name, one.kind, spaces, sizes if instrumented else None)
            if found is not None:
                space[one.name] = found
        try:
            exec(file.code, space)  # noqa: S102 - checked above, in a closed namespace
            for one in file.names:
                if one.is_record:
                    plan_of(space[one.name])  # now, and not while a transaction runs
        except (MemoryError, RecursionError):
            raise
        except Exception as error:  # a declaration that makes no sense; its words are for people
            raise _Refused(package, [_declared_wrong(file.path, error)]) from error
        spaces[file.path] = space
    made: type[Contract] = spaces[package.files[-1].path][compiled.contract]
    return made


def _declared_wrong(path: str, error: Exception) -> Finding:
    line, at = 1, error.__traceback__
    while at is not None:
        if at.tb_frame.f_code.co_filename == path:
            line = at.tb_lineno
        at = at.tb_next
    return Finding(path, line, 1, "declaration", str(error))


class _Refused(InputError):
    def __init__(self, package: Package, findings: list[Finding]) -> None:
        super().__init__("CONTRACT_REFUSED", "\n".join(map(str, findings)))
        self.findings = findings


def _ready(package: Package, instrumented: bool) -> _Compiled:
    key = (package.digest, instrumented)
    found = _compiled.get(key)
    if found is None:
        if len(_compiled) >= COMPILED_MAX:
            del _compiled[next(iter(_compiled))]
        found = _compiled[key] = _kept(package, instrumented)
    return found


def _kept(package: Package, instrumented: bool) -> _Compiled:
    """As compiled before, by this very software on this very Python; else compiled now."""
    if not _keepers:
        return _compile(package, instrumented)
    (keeper,) = _keepers
    made_from = _software(), package.digest, bytes([instrumented])
    key = sha256(b"".join(made_from)).hex()
    raw = keeper.get(key)
    if raw is not None:
        with contextlib.suppress(ValueError, EOFError, TypeError):
            files, contract = marshal.loads(raw)  # noqa: S302 - from the keeper, see there
            return _Compiled(
                tuple(
                    _File(path, tuple(_Name(*one) for one in found), code)
                    for path, found, code in files
                ),
                contract,
            )
    compiled = _compile(package, instrumented)
    plain = [(one.path, tuple(map(tuple, one.names)), one.code) for one in compiled.files]
    keeper.put(key, marshal.dumps((plain, compiled.contract)))
    return compiled


@cache
def _software() -> bytes:
    """Hash of all that decides what a source is compiled to."""
    folder = Path(__file__).parents[1]
    sources = sorted([*(folder / "runtime").rglob("*.py"), *(folder / "sdk").rglob("*.py")])
    texts = [path.read_bytes() for path in sources]
    return sha256(b"".join([importlib.util.MAGIC_NUMBER, *map(sha256, texts)]))


def _compile(package: Package, instrumented: bool) -> _Compiled:
    if package.runtime != RUNTIME:
        finding = Finding(
            package.name, 1, 1, "runtime", f"runtime {package.runtime} is not {RUNTIME}"
        )
        raise _Refused(package, [finding])
    program = understand(package)
    if program.findings.found:
        raise _Refused(package, program.findings.found)
    assert program.contract is not None
    instrumenter = Instrumenter(program)
    files = []
    for file in program.files:
        tree = instrumenter.run(file) if instrumented else _as_it_is(file)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                code = compile(tree, file.path, "exec", dont_inherit=True, optimize=0)
        except (SyntaxError, ValueError) as error:
            finding = Finding(file.path, getattr(error, "lineno", 1) or 1, 1, "syntax", str(error))
            raise _Refused(package, [finding]) from None
        found = tuple(
            _Name(
                name,
                entity.kind,
                entity.value.value if entity.kind == CONSTANT else None,
                entity.kind == CLASS and not entity.info.is_contract,
            )
            for name, entity in file.scope.items()
        )
        files.append(_File(file.path, found, code))
    return _Compiled(tuple(files), program.contract.node.name)


def _as_it_is(file: FileInfo) -> ast.Module:
    """The file without imports and without the annotations that nobody reads."""
    body = [node for node in file.tree.body if not isinstance(node, ast.ImportFrom)]
    module = ast.Module(body, [])
    for node in ast.walk(module):
        if isinstance(node, ast.FunctionDef):
            marks = [getattr(at, "func", at) for at in node.decorator_list]
            if not any(isinstance(at, ast.Name) and at.id in MARKS for at in marks):
                node.returns = None
                for argument in [*node.args.args, *node.args.kwonlyargs]:
                    argument.annotation = None
        elif isinstance(node, ast.ClassDef):
            constants = file.scope[node.name].info.constants
            for index, member in enumerate(node.body):
                match member:
                    case ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value):
                        if name in constants:
                            plain = ast.Assign([member.target], value)
                            node.body[index] = ast.copy_location(plain, member)
    return module


def _outside(name: str, kind: str, spaces: dict[str, dict[str, Any]], sizes: Sizes | None) -> Any:
    """What a name of a file stands for, where other files or the SDK define it."""
    if kind in (CLASS, ALIAS, LOCAL_FUNCTION):
        for space in spaces.values():
            if name in space:
                return space[name]
        return None
    if kind == "typing":
        return getattr(typing, name)
    found = getattr(contracts.sdk, name)
    if kind == names.FUNCTION and name != "refuse" and sizes is not None:
        return charged(sizes, found)
    return found


def _guards(meter: Meter, sizes: Sizes) -> dict[str, Any]:
    found = {names.GUARD + name: guard for name, guard in guards(sizes, fields_of).items()}
    found[names.METER] = meter
    found[names.GUARD + "property"] = property
    found[names.GUARD + "lazy_enumerate"] = enumerate
    found[names.GUARD + "lazy_zip"] = zip
    return found


def _plain_builtins() -> dict[str, Any]:
    return {name: getattr(builtins, name) for name in (*names.BUILTINS, "property")}


def fields_of(kind: type) -> tuple[str, ...] | None:
    """The field names of a record class; None for what is none."""
    return tuple(plan_of(kind).names) if issubclass(kind, Record) else None
