"""What a package declares: the names of its files, its classes and their attributes, its constants.

The first pass over the syntax trees. Constants are computed here, by a small evaluator with bounds,
so that no top-level code of a contract runs for them.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from contracts.runtime import names
from contracts.runtime.package import Package
from contracts.runtime.source import INT_BITS_MAX, Findings, parse

CONSTANT_SIZE_MAX: Final = 5_000  # characters, bytes and items of one constant, nested ones too
CONSTANTS_SIZE_MAX: Final = 100_000  # of all of a package
CONSTANT_DEPTH_MAX: Final = 8
CLASSES_MAX: Final = 200
MEMBERS_MAX: Final = 200  # of one class
BASES_MAX: Final = 8  # classes that derive from each other
_SCALARS: Final = frozenset((bool, bytes, int, str, type(None)))

CONSTANT, ALIAS, CLASS, LOCAL_FUNCTION = "constant", "type alias", "class", "package function"
MARKS: Final = frozenset(("call", "query", "genesis", "migrate", "timed"))


@dataclass
class Entity:
    """What a name of a file stands for. ``kind`` is one of ``names``'s or of those above."""

    kind: str
    name: str
    value: Any = None  # a constant's Constant
    info: Any = None  # ClassInfo or FunctionInfo


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
    contract_methods: set[str] = field(default_factory=set)

    @property
    def contract(self) -> ClassInfo | None:
        """The module's class: the last contract class of the last file."""
        own = [at for at in self.classes if at.is_contract and at.file is self.files[-1]]
        return own[-1] if own else None


class NotConstant(Exception):
    """An expression that is no constant, or too big a one."""

    def __init__(self, node: ast.AST, reason: str) -> None:
        super().__init__(reason)
        self.node = node
        self.reason = reason


class Constant(NamedTuple):
    """A constant's value, its size with all that is in it, and how deep tuples nest in it."""

    value: Any
    size: int
    depth: int


def evaluate(node: ast.AST, scope: dict[str, Entity]) -> Any:
    """The value of a constant expression over a file's constants. Raises NotConstant."""
    return measured(node, scope).value


def measured(node: ast.AST, scope: dict[str, Entity]) -> Constant:
    """As :func:`evaluate`, with the size. Parts that constants share count wherever they stand."""
    if isinstance(node, ast.Name):
        found = scope.get(node.id)
        if found is not None and found.kind == CONSTANT:
            constant: Constant = found.value
            return constant
        raise NotConstant(node, f"{node.id} is no constant known here")
    if isinstance(node, ast.Tuple):
        return _tuple(node, scope)
    value = _scalar(node, scope)
    if isinstance(value, Constant):
        constant = value
    else:
        constant = _sized(value)
    if type(constant.value) is int and constant.value.bit_length() > INT_BITS_MAX:
        raise NotConstant(node, f"a whole number has at most {INT_BITS_MAX} bits")
    return _bounded(node, constant)


def _sized(value: Any) -> Constant:
    return Constant(value, len(value) if type(value) in (str, bytes) else 1, 0)


def _bounded(node: ast.AST, constant: Constant) -> Constant:
    if constant.size > CONSTANT_SIZE_MAX or constant.depth > CONSTANT_DEPTH_MAX:
        raise NotConstant(
            node,
            f"a constant has at most {CONSTANT_SIZE_MAX} characters and items, "
            f"tuples {CONSTANT_DEPTH_MAX} deep",
        )
    return constant


def _tuple(node: ast.Tuple, scope: dict[str, Entity]) -> Constant:
    items: list[Any] = []
    size, depth = 1, 0
    for item in node.elts:
        starred = isinstance(item, ast.Starred)
        part = measured(item.value if isinstance(item, ast.Starred) else item, scope)
        if starred and type(part.value) is not tuple:
            raise NotConstant(item, "only a tuple can be spread")
        items.extend(part.value) if starred else items.append(part.value)
        size += part.size
        depth = max(depth, part.depth - starred)
        if size > CONSTANT_SIZE_MAX:
            break
    return _bounded(node, Constant(tuple(items), size, depth + 1))


def _scalar(node: ast.AST, scope: dict[str, Entity]) -> Any:
    """A literal or the outcome of an operator; sums of tuples come measured."""
    if isinstance(node, ast.Constant):
        if type(node.value) in _SCALARS:
            return node.value
    elif isinstance(node, ast.UnaryOp):
        value = evaluate(node.operand, scope)
        if isinstance(node.op, ast.Not):
            return not value
        if isinstance(node.op, ast.USub) and type(value) in (int, bool):
            return -value
    elif isinstance(node, ast.BinOp):
        left, right = measured(node.left, scope), measured(node.right, scope)
        value = _combined(node.op, left.value, right.value)
        if type(value) is tuple:
            return Constant(value, left.size + right.size, max(left.depth, right.depth))
        if value is not None:
            return value
    elif (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id == "len"
        and "len" not in scope
        and len(node.args) == 1
        and not node.keywords
    ):
        value = evaluate(node.args[0], scope)
        if type(value) in (str, bytes, tuple):
            return len(value)
    raise NotConstant(
        node, "a constant is made of whole numbers, texts, bytes, True, False, None and tuples"
    )


def _combined(op: ast.operator, left: Any, right: Any) -> Any:
    """The result of an operator on constants that can't grow out of hand, or None."""
    if type(left) is int and type(right) is int:
        if isinstance(op, ast.Add):
            return left + right
        if isinstance(op, ast.Sub):
            return left - right
        if isinstance(op, ast.Mult):
            return left * right
        if isinstance(op, ast.BitOr):
            return left | right
        if isinstance(op, ast.BitAnd):
            return left & right
        if isinstance(op, ast.FloorDiv | ast.Mod) and right:
            return left // right if isinstance(op, ast.FloorDiv) else left % right
        if isinstance(op, ast.Pow | ast.LShift | ast.RShift) and 0 <= right <= INT_BITS_MAX:
            if isinstance(op, ast.Pow):
                return left**right
            return left << right if isinstance(op, ast.LShift) else left >> right
    elif type(left) is type(right) and type(left) in (str, bytes, tuple):
        if isinstance(op, ast.Add):
            return left + right
    elif isinstance(op, ast.Mult) and type(left) in (str, bytes) and type(right) is int:
        if len(left) * right <= CONSTANT_SIZE_MAX:
            return left * right
    return None


class Declarations:
    """Reads the top level of every file into a :class:`Program`."""

    def __init__(self, package: Package) -> None:
        self.findings = Findings()
        self.program = Program(package, self.findings)
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
                self.exports[source.path.removesuffix(".py").replace("/", ".")] = file
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
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and index == 0:
            if type(node.value.value) is str:
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
        elif name in names.BUILTINS or name in names.SDK and entity.kind != names.SDK[name]:
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
                    "contracts.sdk, Annotated/Any/Final of typing, and earlier files of the package",
                )

    def _constant(self, file: FileInfo, node: ast.Assign | ast.AnnAssign) -> None:
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        if len(targets) != 1 or not isinstance(targets[0], ast.Name) or node.value is None:
            self.findings.add(node, "top-level", "a constant is one name with one value")
            return
        name = targets[0].id
        if isinstance(node, ast.AnnAssign):
            self.check_type(file, node.annotation)
        if self._is_alias(file, node.value):
            self.check_type(file, node.value)
            self.declare(file, node, Entity(ALIAS, name))
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

    # --- types ------------------------------------------------------------------------------

    def check_type(self, file: FileInfo, node: ast.expr | None) -> None:
        """A type expression: names, subscripts, |, None, and field types with constants."""
        if node is None:
            return
        if isinstance(node, ast.Name):
            entity = file.scope.get(node.id)
            kind = entity.kind if entity is not None else ""
            if kind in ("typing", ALIAS, CLASS, names.TYPE, names.VALUE, names.BASE, names.ERROR):
                return
            if entity is None and node.id in names.BUILTIN_TYPES:
                return
            known = "declared further down, or not at all" if entity is None else f"a {kind}"
            self.findings.add(node, "type", f"{node.id} is no type here: it is {known}")
        elif isinstance(node, ast.Constant):
            if node.value is not None and node.value is not ...:
                hint = "put the class above, without quotes" if type(node.value) is str else ""
                self.findings.add(node, "type", "a constant is no type", hint)
        elif isinstance(node, ast.Subscript):
            self._subscripted(file, node)
        elif isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr):
            self.check_type(file, node.left)
            self.check_type(file, node.right)
        else:
            self.findings.add(node, "type", "a type is made of names, [...], | and None")

    def _subscripted(self, file: FileInfo, node: ast.Subscript) -> None:
        base = node.value
        if not isinstance(base, ast.Name) or not (
            base.id in ("list", "dict", "tuple", "Annotated", "Final")
        ):
            self.findings.add(node, "type", "[...] stands behind list, dict, tuple or Annotated")
            return
        self.check_type(file, base)
        items = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
        if base.id == "Annotated":
            for item in items[1:]:
                self.check_field(file, item)
            items = items[:1]
        for item in items:
            self.check_type(file, item)

    def check_field(self, file: FileInfo, node: ast.expr) -> None:
        """A field type with its arguments: ``Text(20)``, ``Party(Text(200))``, ``Size(len(X))``."""
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            entity = file.scope.get(node.func.id)
            if entity is not None and entity.kind == names.FIELD:
                for argument in [*node.args, *(keyword.value for keyword in node.keywords)]:
                    if isinstance(argument, ast.Call) and self._names_field(file, argument.func):
                        self.check_field(file, argument)
                    elif entity.name in ("Party", "Personal"):
                        self.check_type(file, argument)
                    else:
                        self.check_constant(file, argument, spread=True)
                for keyword in node.keywords:
                    if keyword.arg is None:
                        self.findings.add(keyword, "spread", "no ** here")
                return
        self.findings.add(node, "type", "behind a type stand field types: Text(20), Size(100), ...")

    def _names_field(self, file: FileInfo, node: ast.expr) -> bool:
        entity = file.scope.get(node.id) if isinstance(node, ast.Name) else None
        return entity is not None and entity.kind == names.FIELD

    def check_constant(self, file: FileInfo, node: ast.expr, *, spread: bool = False) -> Any:
        """The value of what must be a constant; a finding and None where it is none."""
        if spread and isinstance(node, ast.Starred):
            node = node.value
        try:
            return evaluate(node, file.scope)
        except NotConstant as error:
            self.findings.add(error.node, "constant", error.reason)
            return None

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
        if isinstance(node, ast.Pass):
            return
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and index == 0:
            if type(node.value.value) is str:
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
        known = info.data() | names.CONTRACT_DATA
        for node in ast.walk(info.node):
            if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
                if isinstance(node.value, ast.Name) and node.value.id == "self":
                    if node.attr not in known and not names.forbidden(node.attr):
                        info.attributes.add(node.attr)

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
            or name in at.constants
            and at is info
            or name in at.declared
            or name in at.properties
            or name in at.methods
            and at is info
            for at in info.line()
        ):
            self.findings.add(node, "twice", f"{name} is declared twice")
        else:
            return True
        return False

    def _field(self, info: ClassInfo, node: ast.AnnAssign, name: str) -> None:
        if info.is_contract or _is_final(node.annotation):
            value = None if node.value is None else self.check_constant(info.file, node.value)
            self.check_type(info.file, node.annotation)
            if not _is_final(node.annotation):
                self.findings.add(
                    node, "class-body", "a contract has maps and constants, no fields"
                )
            elif self._free(info, node, name):
                info.constants[name] = value
            return
        self.check_type(info.file, node.annotation)
        if node.value is not None:
            self.check_constant(info.file, node.value)
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
        found = self.check_constant(info.file, value)
        if self._free(info, node, name):
            info.constants[name] = found

    def _declaration(self, info: ClassInfo, call: ast.Call, kind: str) -> None:
        """``Map(Type, key=..)``, ``Index(map, on=..)``: a type or a map, and constants."""
        arguments = [*call.args, *(keyword.value for keyword in call.keywords)]
        for index, argument in enumerate(arguments):
            if index == 0 and kind == "Map":
                self.check_type(info.file, argument)
            elif index == 0 and kind == "Index" and isinstance(argument, ast.Name):
                if argument.id not in info.declared:
                    self.findings.add(argument, "unknown-name", f"no map {argument.id} above")
            else:
                self.check_constant(info.file, argument)
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
                self.check_type(info.file, argument.annotation)
            self.check_type(info.file, node.returns)
        if self._free(info, node, node.name):
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
                            self.check_constant(info.file, keyword.value)
                return entity.name
        self.findings.add(
            node, "decorator", "no such decorator", "call, query, genesis, migrate, timed, property"
        )
        return ""


def _is_final(node: ast.expr) -> bool:
    at = node.value if isinstance(node, ast.Subscript) else node
    return isinstance(at, ast.Name) and at.id == "Final"
