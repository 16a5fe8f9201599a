"""What a package declares: the names of its files, its classes and their attributes, its constants.

The first pass over the syntax trees.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from contracts.runtime import names
from contracts.runtime.constants import (
    ALIAS,
    CLASS,
    CONSTANT,
    LOCAL_FUNCTION,
    Constant,
    Entity,
    NotConstant,
    measured,
)
from contracts.runtime.hints import Hints
from contracts.runtime.package import Package
from contracts.runtime.source import Findings, is_text, parse

CONSTANTS_SIZE_MAX: Final = 100_000  # of all of a package
CLASSES_MAX: Final = 100
MEMBERS_MAX: Final = 200  # of one class
BASES_MAX: Final = 8  # classes that derive from each other

_TAKEN: Final = frozenset(("contracts.sdk", "typing"))
MARKS: Final = frozenset(("call", "query", "check", "genesis", "migrate", "timed"))


@dataclass
class FunctionInfo:
    """A function or method; ``mark`` is its decorator's name or ""."""

    node: ast.FunctionDef
    file: FileInfo
    owner: ClassInfo | None = None
    mark: str = ""
    calls: set[tuple[str, str]] = field(default_factory=set)
    frames: int = 1  # Python frames that it takes itself, comprehensions included

    @property
    def key(self) -> tuple[str, str]:
        if self.owner is None:
            return (self.file.path, self.node.name)
        return ("contract" if self.owner.is_contract else "record", self.node.name)


@dataclass
class ClassInfo:
    node: ast.ClassDef
    file: FileInfo
    is_contract: bool
    base: ClassInfo | None
    fields: set[str] = field(default_factory=set)
    constants: dict[str, Any] = field(default_factory=dict)
    declared: dict[str, str] = field(default_factory=dict)  # map name -> Map, Index or Counter
    methods: dict[str, FunctionInfo] = field(default_factory=dict)
    properties: dict[str, FunctionInfo] = field(default_factory=dict)
    attributes: set[str] = field(default_factory=set)  # self.x that its methods assign

    def line(self) -> Iterator[ClassInfo]:
        """The class and the package classes that it derives from."""
        at: ClassInfo | None = self
        while at is not None:
            yield at
            at = at.base

    def data(self) -> set[str]:
        """Names that may be read of an instance."""
        found: set[str] = set()
        for at in self.line():
            found |= at.fields | at.attributes
            found.update(at.constants, at.declared, at.properties)
        return found

    def settable(self) -> set[str]:
        found: set[str] = set()
        for at in self.line():
            found |= at.fields | at.attributes
        return found


@dataclass
class FileInfo:
    path: str
    tree: ast.Module
    scope: dict[str, Entity] = field(default_factory=dict)


@dataclass
class Program:
    """A package as understood. The sets join the names of all its classes of one sort."""

    package: Package
    findings: Findings
    files: list[FileInfo] = field(default_factory=list)
    classes: list[ClassInfo] = field(default_factory=list)
    functions: list[FunctionInfo] = field(default_factory=list)
    record_data: set[str] = field(default_factory=set)
    record_methods: set[str] = field(default_factory=set)
    record_properties: set[str] = field(default_factory=set)
    contract_data: set[str] = field(default_factory=set)
    contract_properties: set[str] = field(default_factory=set)
    declared: dict[str, str] = field(default_factory=dict)  # maps, indexes, counters and their kind
    contract_methods: set[str] = field(default_factory=set)

    @property
    def contract(self) -> ClassInfo | None:
        """The module's class: the last contract class of the last file."""
        own = [at for at in self.classes if at.is_contract and at.file is self.files[-1]]
        return own[-1] if own else None


class Declarations:
    """Reads the top level of every file into a :class:`Program`."""

    def __init__(self, package: Package) -> None:
        self.findings = Findings()
        self.program = Program(package, self.findings)
        self.hints = Hints(self.findings)
        self.exports: dict[str, FileInfo] = {}
        self.constants_size = 0

    def read(self) -> Program:
        for source in self.program.package.files:
            tree = parse(source, self.findings)
            if tree is not None:
                file = FileInfo(source.path, tree)
                self.program.files.append(file)
                self.findings.file = source.path
                for index, node in enumerate(tree.body):
                    self._statement(file, node, index)
                module = source.path.removesuffix(".py").replace("/", ".")
                if module in _TAKEN:
                    self.findings.at(1, 1, "package", f"{module} is no package's own")
                self.exports[module] = file
        self._join()
        return self.program

    def _join(self) -> None:
        """Names over all classes of a sort, and that each is one thing."""
        program = self.program
        for at in program.classes:
            data, methods = at.data(), at.methods
            if at.is_contract:
                program.contract_data |= data
                program.contract_methods.update(methods)
                program.contract_properties.update(at.properties)
                program.declared.update(at.declared)
            else:
                program.record_data |= data
                program.record_methods.update(methods)
                program.record_properties.update(at.properties)
        for at in program.classes:
            both = program.contract_data if at.is_contract else program.record_data | names.SDK_DATA
            for name, method in at.methods.items():
                if name in both:
                    self.findings.file = at.file.path
                    what = "contracts" if at.is_contract else "records"
                    self.findings.add(
                        method.node,
                        "two-meanings",
                        f"{name} is a method here and data elsewhere in the package's {what}",
                        "give one of them another name",
                    )

    # --- top level --------------------------------------------------------------------------

    def _statement(self, file: FileInfo, node: ast.stmt, index: int) -> None:
        if index == 0 and is_text(node):
            return
        if isinstance(node, ast.ImportFrom):
            self._import(file, node)
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            self._constant(file, node)
        elif isinstance(node, ast.FunctionDef):
            if node.decorator_list:
                self.findings.add(node, "decorator", "only methods are decorated")
            info = FunctionInfo(node, file)
            self.program.functions.append(info)
            self.declare(file, node, Entity(LOCAL_FUNCTION, node.name, info=info))
        elif isinstance(node, ast.ClassDef):
            self._class(file, node)
        elif isinstance(node, ast.Import):
            self.findings.add(
                node, "import", "no such import", "from contracts.sdk import NAMES is the only one"
            )
        else:
            what = type(node).__name__
            self.findings.add(
                node,
                "top-level",
                f"{what} at the top of a file",
                "constants, type aliases, functions and classes stand here",
            )

    def declare(self, file: FileInfo, node: ast.AST, entity: Entity) -> None:
        name = entity.name
        if names.forbidden(name):
            self.findings.add(node, "name", f"the name {name} is not for contracts")
        elif name in names.BUILTINS or (name in names.SDK and entity.kind != names.SDK[name]):
            self.findings.add(node, "shadows", f"{name} is a name of the language or the SDK")
        elif name in file.scope:
            self.findings.add(node, "twice", f"{name} is declared twice")
        else:
            file.scope[name] = entity

    def _import(self, file: FileInfo, node: ast.ImportFrom) -> None:
        module = node.module or ""
        for alias in node.names:
            name = alias.name
            if alias.asname is not None and alias.asname != name:
                self.findings.add(alias, "import", "no 'as': a name means the same everywhere")
                continue
            if node.level:
                self.findings.add(alias, "import", "write the whole path, without leading dots")
            elif module == "__future__" and name == "annotations":
                continue
            elif module == "typing" and name in names.TYPING:
                self.declare(file, alias, Entity("typing", name))
            elif module == "contracts.sdk" and name in names.SDK:
                self.declare(file, alias, Entity(names.SDK[name], name))
            elif module in self.exports and name in self.exports[module].scope:
                entity = self.exports[module].scope[name]
                if file.scope.get(name) is not entity:
                    self.declare(file, alias, entity)
            else:
                self.findings.add(
                    alias,
                    "import",
                    f"no {name} in {module or 'nothing'} for contracts",
                    "contracts.sdk, Annotated, Any, Final of typing, earlier files of the package",
                )

    def _constant(self, file: FileInfo, node: ast.Assign | ast.AnnAssign) -> None:
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        if len(targets) != 1 or not isinstance(targets[0], ast.Name) or node.value is None:
            self.findings.add(node, "top-level", "a constant is one name with one value")
            return
        name = targets[0].id
        if isinstance(node, ast.AnnAssign):
            self.hints.type(file.scope, node.annotation)
        if self._is_alias(file, node.value):
            shape = self.hints.type(file.scope, node.value)
            self.declare(file, node, Entity(ALIAS, name, shape))
            return
        try:
            value = measured(node.value, file.scope)
        except NotConstant as error:
            self.findings.add(error.node, "constant", error.reason)
            value = Constant(None, 1, 0)
        self.constants_size += value.size
        if self.constants_size > CONSTANTS_SIZE_MAX >= self.constants_size - value.size:
            self.findings.add(node, "too-long", "too many and too long constants in the package")
        self.declare(file, node, Entity(CONSTANT, name, value))

    def _is_alias(self, file: FileInfo, node: ast.expr) -> bool:
        """Whether a top-level value is a type, by its first name."""
        at: ast.expr = node
        while isinstance(at, ast.Subscript | ast.BinOp):
            at = at.value if isinstance(at, ast.Subscript) else at.left
        if not isinstance(at, ast.Name):
            return False
        entity = file.scope.get(at.id)
        if entity is None:
            return at.id in names.BUILTIN_TYPES and isinstance(node, ast.Subscript | ast.BinOp)
        return entity.kind in ("typing", ALIAS, CLASS, names.TYPE, names.VALUE)

    # --- classes ----------------------------------------------------------------------------

    def _class(self, file: FileInfo, node: ast.ClassDef) -> None:
        if node.decorator_list or node.keywords or getattr(node, "type_params", None):
            self.findings.add(node, "class", "a class has neither decorators nor keywords")
        base = node.bases[0] if len(node.bases) == 1 else None
        entity = file.scope.get(base.id) if isinstance(base, ast.Name) else None
        if entity is not None and entity.kind == names.BASE:
            info = ClassInfo(node, file, entity.name == "Contract", None)
        elif entity is not None and entity.kind == CLASS:
            info = ClassInfo(node, file, entity.info.is_contract, entity.info)
        else:
            self.findings.add(
                node, "class", f"{node.name} must have one base: Contract, Record or an own class"
            )
            info = ClassInfo(node, file, False, None)
        if len(list(info.line())) > BASES_MAX or len(self.program.classes) >= CLASSES_MAX:
            self.findings.add(
                node, "class", f"at most {CLASSES_MAX} classes, {BASES_MAX} in a line of bases"
            )
            return
        if len(node.body) > MEMBERS_MAX:
            self.findings.add(node, "class", f"a class has at most {MEMBERS_MAX} members")
            return
        for index, inner in enumerate(node.body):
            self._member(info, inner, index)
        if info.is_contract:
            self._attributes(info)
        self.program.classes.append(info)
        self.declare(file, node, Entity(CLASS, node.name, info=info))

    def _member(self, info: ClassInfo, node: ast.stmt, index: int) -> None:
        if isinstance(node, ast.Pass) or (index == 0 and is_text(node)):
            return
        if isinstance(node, ast.FunctionDef):
            self._method(info, node)
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            self._field(info, node, node.target.id)
        elif isinstance(node, ast.Assign) and len(node.targets) == 1:
            target = node.targets[0]
            if isinstance(target, ast.Name):
                self._assigned(info, node, target.id)
            else:
                self.findings.add(node, "class-body", "one name, one value")
        else:
            self.findings.add(
                node,
                "class-body",
                f"{type(node).__name__} in a class",
                "fields, maps, constants and methods stand here",
            )

    def _attributes(self, info: ClassInfo) -> None:
        """What a contract's methods put on ``self``, for the length of one call."""
        known = info.data() | names.CONTRACT_DATA | names.CONTRACT_METHODS
        known.update(*[at.methods for at in info.line()])
        for node in ast.walk(info.node):
            match node:
                case ast.Attribute(value=ast.Name(id="self"), attr=name, ctx=ast.Store()):
                    if name not in known and not names.forbidden(name):
                        info.attributes.add(name)

    def _free(self, info: ClassInfo, node: ast.AST, name: str) -> bool:
        """Whether a member may have this name; a finding where not."""
        taken = names.CONTRACT_METHODS | {"ctx"} if info.is_contract else frozenset(("self",))
        outer = info.file.scope.get(name)
        if outer is not None and outer.kind not in (CONSTANT, LOCAL_FUNCTION, names.FUNCTION):
            # Annotations and decorators further down would mean the member.
            self.findings.add(node, "shadows", f"{name} is a {outer.kind} already")
        elif name == "property":
            self.findings.add(node, "shadows", "property is a name of the language")
        elif names.forbidden(name):
            self.findings.add(node, "name", f"the name {name} is not for contracts")
        elif name in taken:
            self.findings.add(node, "shadows", f"{name} is the SDK's")
        elif any(
            name in at.fields
            or (name in at.constants and at is info)
            or name in at.declared
            or name in at.properties
            or (name in at.methods and at is info)
            for at in info.line()
        ):
            self.findings.add(node, "twice", f"{name} is declared twice")
        else:
            return True
        return False

    def _field(self, info: ClassInfo, node: ast.AnnAssign, name: str) -> None:
        if info.is_contract or _is_final(node.annotation):
            value = None if node.value is None else self.hints.constant(info.file.scope, node.value)
            self.hints.type(info.file.scope, node.annotation)
            if not _is_final(node.annotation):
                self.findings.add(
                    node, "class-body", "a contract has maps and constants, no fields"
                )
            elif self._free(info, node, name):
                info.constants[name] = value
            return
        self.hints.type(info.file.scope, node.annotation)
        if node.value is not None:
            self.hints.constant(info.file.scope, node.value)
        if self._free(info, node, name):
            info.fields.add(name)

    def _assigned(self, info: ClassInfo, node: ast.Assign, name: str) -> None:
        value = node.value
        if isinstance(value, ast.Call) and isinstance(value.func, ast.Name):
            entity = info.file.scope.get(value.func.id)
            if entity is not None and entity.kind == names.DECLARER:
                if not info.is_contract:
                    self.findings.add(node, "class-body", "only contracts have state")
                self._declaration(info, value, entity.name)
                if self._free(info, node, name):
                    info.declared[name] = entity.name
                return
        found = self.hints.constant(info.file.scope, value)
        if self._free(info, node, name):
            info.constants[name] = found

    def _declaration(self, info: ClassInfo, call: ast.Call, kind: str) -> None:
        """``Map(Type, key=..)``, ``Index(map, on=..)``: a type or a map, and constants."""
        arguments = [*call.args, *(keyword.value for keyword in call.keywords)]
        for index, argument in enumerate(arguments):
            if index == 0 and kind in ("Map", "Opened"):
                self.hints.type(info.file.scope, argument)
            elif index == 0 and kind == "Index" and isinstance(argument, ast.Name):
                if argument.id not in info.declared:
                    self.findings.add(argument, "unknown-name", f"no map {argument.id} above")
            else:
                self.hints.constant(info.file.scope, argument)
        for keyword in call.keywords:
            if keyword.arg is None:
                self.findings.add(keyword, "spread", "no ** here")

    def _method(self, info: ClassInfo, node: ast.FunctionDef) -> None:
        mark = ""
        for decorator in node.decorator_list:
            if mark:
                self.findings.add(decorator, "decorator", "one decorator is enough")
            mark = self._decorator(info, decorator)
        found = FunctionInfo(node, info.file, info, mark)
        self.program.functions.append(found)
        arguments = node.args.args
        if not arguments or arguments[0].arg != "self":
            self.findings.add(node, "self", "a method's first parameter is self")
        if mark in MARKS:
            for argument in [*arguments[1:], *node.args.kwonlyargs]:
                self.hints.type(info.file.scope, argument.annotation)
            self.hints.type(info.file.scope, node.returns)
        plain = names.BUILTIN_METHODS.keys() | names.SDK_METHODS
        if not info.is_contract and mark != "property" and node.name in plain:
            self.findings.add(
                node, "shadows", f"{node.name} is a method of plain values", "use another name"
            )
        elif self._free(info, node, node.name):
            (info.properties if mark == "property" else info.methods)[node.name] = found

    def _decorator(self, info: ClassInfo, node: ast.expr) -> str:
        name = node.func if isinstance(node, ast.Call) else node
        if isinstance(name, ast.Name):
            if name.id == "property" and name is node and "property" not in info.file.scope:
                return "property"
            entity = info.file.scope.get(name.id)
            if entity is not None and entity.kind == names.DECORATOR and info.is_contract:
                if isinstance(node, ast.Call):
                    if node.args:
                        self.findings.add(node, "decorator", "its arguments are named")
                    for keyword in node.keywords:
                        if keyword.arg is None:
                            self.findings.add(keyword, "spread", "no ** here")
                        else:
                            self.hints.constant(info.file.scope, keyword.value)
                return entity.name
        self.findings.add(
            node,
            "decorator",
            "no such decorator",
            "call, query, check, genesis, migrate, timed, property",
        )
        return ""


def _is_final(node: ast.expr) -> bool:
    at = node.value if isinstance(node, ast.Subscript) else node
    return isinstance(at, ast.Name) and at.id == "Final"
