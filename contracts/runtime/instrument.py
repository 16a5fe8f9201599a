"""Instrumented code: the checked syntax tree, with its price taken in line and guards in place.

Each suite takes its static weight when it is entered; small branches are paid for with the suite
around them. Operators, methods and functions whose cost depends on their operands become calls of
guards (:mod:`contracts.runtime.guards`), where nothing static says that they are harmless. Weights
come from explicit fields of the tree alone, so they are the same on every Python version.
"""

from __future__ import annotations

import ast
from typing import Any, Final

from contracts.runtime import names
from contracts.runtime import steps as price
from contracts.runtime.constants import (
    ALIAS,
    CLASS,
    CONSTANT,
    LOCAL_FUNCTION,
    Constant,
    NotConstant,
    evaluate,
    measured,
)
from contracts.runtime.declarations import MARKS, ClassInfo, FileInfo, FunctionInfo, Program
from contracts.runtime.source import is_text

ABSORBED_MAX: Final = 40  # steps of a branch that the suite around it pays
INLINE_MAX: Final = 32  # parts of a tuple that stands in line
SLICE_FREE: Final = 64  # items of a slice that need no guard
_SMALL_INT: Final = 1 << 63
_NOTHING: Final = object()
_SCALARS: Final = (bool, bytes, int, str, type(None))

_BINARY: Final[dict[type[ast.operator], str]] = {
    ast.Add: "add",
    ast.Sub: "sub",
    ast.Mult: "mul",
    ast.Mod: "mod",
    ast.Pow: "power",
    ast.LShift: "lshift",
    ast.BitOr: "bitor",
    ast.BitAnd: "bitand",
    ast.BitXor: "bitxor",
}
_IN_PLACE: Final[dict[type[ast.operator], str]] = {
    **_BINARY,
    ast.Add: "iadd",
    ast.Mult: "imul",
    ast.BitOr: "ior",
}
_COMPARE: Final[dict[type[ast.cmpop], str]] = {
    ast.Eq: "eq",
    ast.NotEq: "ne",
    ast.Lt: "lt",
    ast.LtE: "le",
    ast.Gt: "gt",
    ast.GtE: "ge",
    ast.In: "within",
    ast.NotIn: "without",
}
# What gives a list, or goes through one, so that a loop needs no look at it.
_LISTS: Final = frozenset(("range", "sorted", "list", "reversed", "tuple"))


def _load(name: str) -> ast.Name:
    return ast.Name(name, ast.Load())


def _guard(name: str, *args: ast.expr) -> ast.Call:
    return ast.Call(_load(names.GUARD + name), list(args), [])


class Instrumenter:
    """Transforms the files of one checked program."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.file: FileInfo = program.files[0]
        self.scope = self.file.scope
        self.info: FunctionInfo | None = None
        self.in_contract = False
        self.locals: set[str] = set()
        self.weight = 0  # of what was transformed since it was last set
        self.temporaries = 0

    def run(self, file: FileInfo) -> ast.Module:
        """The module to compile in place of the file's."""
        self.file, self.scope = file, file.scope
        body: list[ast.stmt] = []
        for node in file.tree.body:
            if isinstance(node, ast.FunctionDef):
                body.append(self._function(self.scope[node.name].info))
            elif isinstance(node, ast.ClassDef):
                body.append(self._class(self.scope[node.name].info))
            elif isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None:
                target = node.targets[0] if isinstance(node, ast.Assign) else node.target
                assert isinstance(target, ast.Name)
                if self.scope[target.id].kind == ALIAS:
                    value = self.hint(node.value)
                    body.append(ast.copy_location(ast.Assign([target], value), node))
        return ast.fix_missing_locations(ast.Module(body, []))

    # --- types and declarations -------------------------------------------------------------

    def hint(self, node: ast.expr) -> ast.expr:
        """A type expression, its constants computed."""
        match node:
            case ast.Name(id=name):
                if name not in self.scope and name in names.BUILTIN_TYPES:
                    return ast.copy_location(_load(f"{names.GUARD}t_{name}"), node)
                return node
            case ast.Subscript(value=value, slice=index):
                if isinstance(index, ast.Tuple):
                    index = ast.Tuple([self.hint(item) for item in index.elts], ast.Load())
                else:
                    index = self.hint(index)
                return ast.copy_location(ast.Subscript(self.hint(value), index, ast.Load()), node)
            case ast.BinOp(left=left, op=op, right=right):
                return ast.copy_location(ast.BinOp(self.hint(left), op, self.hint(right)), node)
            case ast.Call(func=func, args=args, keywords=keywords):
                return ast.copy_location(
                    ast.Call(
                        func,
                        [self._argument(argument) for argument in args],
                        [ast.keyword(key.arg, self._argument(key.value)) for key in keywords],
                    ),
                    node,
                )
        return node

    def _argument(self, node: ast.expr) -> ast.expr:
        """An argument of a declaration: a constant, or a type."""
        if isinstance(node, ast.Starred):
            return ast.Starred(self._constant(node.value), ast.Load())
        if self._value(node) is not _NOTHING:
            return self._constant(node)
        return self.hint(node)

    def _constant(self, node: ast.expr) -> ast.Constant:
        return ast.copy_location(ast.Constant(evaluate(node, self.scope)), node)

    def _value(self, node: ast.expr) -> Any:
        """What a constant expression is worth, else a mark of its own."""
        if isinstance(node, ast.Name) and node.id in self.locals:
            return _NOTHING
        if not isinstance(node, ast.Constant | ast.Name | ast.Tuple | ast.UnaryOp):
            return (
                _NOTHING
                if not isinstance(node, ast.BinOp | ast.Call) or self.info
                else (self._try_value(node))
            )
        return self._try_value(node)

    def _try_value(self, node: ast.expr) -> Any:
        try:
            return evaluate(node, self.scope)
        except NotConstant:
            return _NOTHING

    def _class(self, info: ClassInfo) -> ast.ClassDef:
        body: list[ast.stmt] = []
        for node in info.node.body:
            match node:
                case ast.FunctionDef(name=name):
                    methods = info.properties if name in info.properties else info.methods
                    body.append(self._function(methods[name]))
                case ast.AnnAssign(target=target, annotation=annotation, value=value):
                    default = None if value is None else self._constant(value)
                    if info.is_contract or (
                        isinstance(target, ast.Name) and (target.id in info.constants)
                    ):
                        assert isinstance(target, ast.Name)
                        body.append(
                            ast.Assign([target], default or ast.Constant(None), lineno=node.lineno)
                        )
                        continue
                    field = ast.AnnAssign(target, self.hint(annotation), default, 1)
                    body.append(ast.copy_location(field, node))
                case ast.Assign(targets=targets, value=value):
                    made = self._argument(value)
                    body.append(ast.copy_location(ast.Assign(targets, made), node))
                case _:
                    body.append(node)
        found = ast.ClassDef(info.node.name, info.node.bases, [], body, [])
        if "type_params" in ast.ClassDef._fields:
            found.type_params = []  # type: ignore[attr-defined, unused-ignore]
        return ast.copy_location(found, info.node)

    # --- functions --------------------------------------------------------------------------

    def _function(self, info: FunctionInfo) -> ast.FunctionDef:
        node = info.node
        self.info = info
        self.in_contract = info.owner is not None and info.owner.is_contract
        self.locals = _locals_of(node)
        marked = info.mark in MARKS
        body = list(node.body)
        text: list[ast.stmt] = []
        if is_text(body[0]):
            text = [body.pop(0)] if marked else [body.pop(0)][1:]
        suite = self._charged(node, body, price.FUNCTION)
        decorators: list[ast.expr] = []
        self.info = None
        locals_, self.locals = self.locals, set()
        for decorator in node.decorator_list:
            decorators.append(
                _load(names.GUARD + "property") if info.mark == "property" else self.hint(decorator)
            )
        found = ast.FunctionDef(
            node.name,
            self._parameters(node.args, marked),
            text + suite,
            decorators,
            self.hint(node.returns) if marked and node.returns is not None else None,
        )
        self.locals = locals_
        if "type_params" in ast.FunctionDef._fields:
            found.type_params = []  # type: ignore[attr-defined, unused-ignore]
        return ast.copy_location(found, node)

    def _parameters(self, args: ast.arguments, marked: bool) -> ast.arguments:
        def plain(parameter: ast.arg) -> ast.arg:
            hint = parameter.annotation
            kept = self.hint(hint) if marked and hint is not None else None
            return ast.copy_location(ast.arg(parameter.arg, kept), parameter)

        return ast.arguments(
            posonlyargs=[],
            args=[plain(parameter) for parameter in args.args],
            vararg=None,
            kwonlyargs=[plain(parameter) for parameter in args.kwonlyargs],
            kw_defaults=[
                None if default is None else self._constant(default) for default in args.kw_defaults
            ],
            kwarg=None,
            defaults=[self._constant(default) for default in args.defaults],
        )

    # --- suites -----------------------------------------------------------------------------

    def _block(self, body: list[ast.stmt]) -> tuple[list[ast.stmt], int]:
        """Statements and their weight."""
        outer, self.weight = self.weight, 0
        found: list[ast.stmt] = []
        for node in body:
            for made in self.statement(node):
                found.append(ast.copy_location(made, node))
        weight, self.weight = self.weight, outer
        return found or [ast.Pass()], weight

    def _charged(self, node: ast.AST, body: list[ast.stmt], base: int) -> list[ast.stmt]:
        """A suite that takes its own steps."""
        found, weight = self._block(body)
        return _charge(node, weight + base) + found

    def _branch(self, body: list[ast.stmt]) -> list[ast.stmt]:
        """A suite that the one around pays for, if it is small."""
        if not body:
            return []
        found, weight = self._block(body)
        if weight <= ABSORBED_MAX:
            self.weight += weight
            return found
        return _charge(body[0], weight) + found

    def statement(self, node: ast.stmt) -> list[ast.stmt]:
        self.weight += price.NODE
        match node:
            case ast.Expr(value=value):
                return [ast.Expr(self.expression(value))]
            case ast.Return(value=value):
                return [ast.Return(None if value is None else self.expression(value))]
            case ast.Assign(targets=targets, value=value):
                return self._assign(targets, self.expression(value))
            case ast.AnnAssign(target=target, value=value):
                return [] if value is None else self._assign([target], self.expression(value))
            case ast.AugAssign():
                return self._augmented(node)
            case ast.Delete(targets=targets):
                found: list[ast.stmt] = []
                for target in targets:
                    assert isinstance(target, ast.Subscript)
                    self.weight += price.SUBSCRIPT
                    value, index = self.expression(target.value), self.expression(target.slice)
                    found.append(ast.Expr(_guard("drop", value, index)))
                return found
            case ast.If(test=test, body=body, orelse=orelse):
                return [ast.If(self.expression(test), self._branch(body), self._branch(orelse))]
            case ast.For(target=target, iter=iterated, body=body, orelse=orelse):
                through = self._iterated(iterated)
                suite = self._charged(node, body, price.LOOP)
                return [ast.For(target, through, suite, self._branch(orelse))]
            case ast.While(test=test, body=body, orelse=orelse):
                before = self.weight
                checked = self.expression(test)
                suite = self._charged(node, body, price.LOOP + self.weight - before)
                return [ast.While(checked, suite, self._branch(orelse))]
            case ast.Try(body=body, handlers=handlers, orelse=orelse):
                self.weight += price.TRY
                tried, weight = self._block(body)
                self.weight += weight
                caught = [self._handler(handler) for handler in handlers]
                return [ast.Try(tried, caught, self._branch(orelse), [])]
        return [node]

    def _handler(self, node: ast.ExceptHandler) -> ast.ExceptHandler:
        suite = self._charged(node, node.body, price.HANDLER)
        if node.name is not None:
            suite.insert(0, ast.Expr(_guard("caught", _load(node.name))))
        return ast.copy_location(ast.ExceptHandler(node.type, node.name, suite), node)

    def _iterated(self, node: ast.expr) -> ast.expr:
        """What a for loop goes through; lists that only it would see are not made."""
        known = False
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            name = node.func.id
            if name not in self.locals and name not in self.scope:
                if name in ("enumerate", "zip"):
                    self.weight += price.METHOD
                    args: list[ast.expr] = []
                    for index, argument in enumerate(node.args):
                        if isinstance(argument, ast.Starred):
                            return self.expression(node)
                        start = name == "enumerate" and index > 0
                        args.append(
                            self.expression(argument) if start else self._iterated(argument)
                        )
                    named = [ast.keyword(k.arg, self.expression(k.value)) for k in node.keywords]
                    return ast.copy_location(
                        ast.Call(_load(f"{names.GUARD}lazy_{name}"), args, named), node
                    )
                if name in _LISTS:
                    return self.expression(node)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            known = self._declared(node.func.value) is not None
        if known or isinstance(node, ast.ListComp | ast.List):
            return self.expression(node)
        self.weight += price.NODE
        return _guard("through", self.expression(node))

    # --- assignment -------------------------------------------------------------------------

    def _assign(self, targets: list[ast.expr], value: ast.expr) -> list[ast.stmt]:
        if len(targets) == 1 and isinstance(targets[0], ast.Subscript):
            target = targets[0]
            if not isinstance(self._value(target.slice), str | bytes):
                return [self._put(value, target)]
        after: list[ast.stmt] = []
        stores = [self._store(target, after) for target in targets]
        return [ast.Assign(stores, value), *after]

    def _put(self, value: ast.expr, target: ast.Subscript) -> ast.stmt:
        self.weight += price.SUBSCRIPT
        container, index = self.expression(target.value), self.expression(target.slice)
        return ast.Expr(_guard("put", value, container, index))

    def _store(self, node: ast.expr, after: list[ast.stmt]) -> ast.expr:
        """A target; what must be set by a guard is set ``after``, from a temporary name."""
        self.weight += price.NODE
        match node:
            case ast.Tuple(elts=items) | ast.List(elts=items):
                return ast.Tuple([self._store(item, after) for item in items], ast.Store())
            case ast.Attribute(value=value, attr=attr):
                return ast.Attribute(self._base(value, attr), attr, ast.Store())
            case ast.Subscript(value=value, slice=index):
                known = self._value(index)
                if isinstance(known, str | bytes):
                    made = ast.Constant(known)
                    return ast.Subscript(self.expression(value), made, ast.Store())
                name = self._temporary()
                after.append(self._put(_load(name), node))
                return ast.Name(name, ast.Store())
        return node

    def _temporary(self) -> str:
        self.temporaries += 1
        return f"{names.TEMPORARY}{self.temporaries}"

    def _augmented(self, node: ast.AugAssign) -> list[ast.stmt]:
        """``x op= y``, each part of x evaluated once."""
        target, before = node.target, []
        if isinstance(target, ast.Name):
            value = self.expression(node.value)
            return [self._in_place(target, _load(target.id), node.op, value, node.value)]
        if isinstance(target, ast.Attribute):
            base = self._base(target.value, target.attr)
            if not isinstance(base, ast.Name):
                name = self._temporary()
                before.append(ast.Assign([ast.Name(name, ast.Store())], base))
                base = _load(name)
            store = ast.Attribute(base, target.attr, ast.Store())
            load = ast.Attribute(base, target.attr, ast.Load())
            value = self.expression(node.value)
            return [*before, self._in_place(store, load, node.op, value, node.value)]
        assert isinstance(target, ast.Subscript)
        container, index = self._temporary(), self._temporary()
        before.append(ast.Assign([ast.Name(container, ast.Store())], self.expression(target.value)))
        before.append(ast.Assign([ast.Name(index, ast.Store())], self.expression(target.slice)))
        self.weight += 2 * price.SUBSCRIPT
        load_ = _guard("get", _load(container), _load(index))
        value = self._binary(
            _IN_PLACE, node.op, load_, self.expression(node.value), None, node.value
        )
        return [*before, ast.Expr(_guard("put", value, _load(container), _load(index)))]

    def _in_place(
        self, store: ast.expr, load: ast.expr, op: ast.operator, value: ast.expr, source: ast.expr
    ) -> ast.stmt:
        made = self._binary(_IN_PLACE, op, load, value, None, source)
        return ast.Assign([store], made)

    # --- expressions ------------------------------------------------------------------------

    def expression(self, node: ast.expr) -> ast.expr:
        return ast.copy_location(self._expression(node), node)

    def _expression(self, node: ast.expr) -> ast.expr:
        self.weight += price.NODE
        match node:
            case ast.Constant():
                return node
            case ast.Name(id=name):
                entity = self.scope.get(name)
                if entity is not None and entity.kind == CONSTANT:
                    return self._inline(node, entity.value)
                return node
            case ast.Attribute(value=value, attr=attr):
                return ast.Attribute(self._base(value, attr), attr, ast.Load())
            case ast.Call():
                return self._call(node)
            case ast.BoolOp(op=op, values=values):
                return ast.BoolOp(op, [self.expression(value) for value in values])
            case ast.NamedExpr(target=target, value=value):
                return ast.NamedExpr(target, self.expression(value))
            case ast.BinOp(left=left, op=op, right=right):
                return self._binary(
                    _BINARY, op, self.expression(left), self.expression(right), left, right
                )
            case ast.UnaryOp(op=op, operand=operand):
                return ast.UnaryOp(op, self.expression(operand))
            case ast.IfExp(test=test, body=body, orelse=orelse):
                return ast.IfExp(*map(self.expression, (test, body, orelse)))
            case ast.Compare():
                return self._compare(node)
            case ast.Subscript():
                return self._subscript(node)
            case ast.List(elts=items) | ast.Tuple(elts=items):
                return self._display(node, items)
            case ast.Dict(keys=keys, values=values):
                self.weight += price.DISPLAY
                made: list[ast.expr | None] = [self._key(key) for key in keys if key is not None]
                return ast.Dict(made, [self.expression(value) for value in values])
            case ast.ListComp(elt=elt, generators=generators):
                return self._comprehension(elt, generators)
            case ast.DictComp(key=key, value=value, generators=generators):
                pair = ast.Tuple([key, value], ast.Load())
                return _guard("pairs", self._comprehension(pair, generators))
            case ast.JoinedStr(values=values):
                self.weight += price.FORMAT
                return _guard("written", *[self._formatted(value) for value in values])
        raise AssertionError(f"{type(node).__name__} was not checked")

    def _inline(self, node: ast.Name, constant: Constant) -> ast.expr:
        """A constant in place of its name; a long one stands in the namespace."""
        if constant.depth and constant.size > INLINE_MAX:
            return _load(f"{names.GUARD}c_{node.id}")
        return ast.Constant(constant.value)

    def _base(self, node: ast.expr, attr: str) -> ast.expr:
        """What stands before a dot, guarded where plain data have such an attribute too."""
        base = self.expression(node)
        if attr in names.COMPUTED:
            self.weight += price.COMPUTED
        shared = attr in names.SHARED_ATTRIBUTES or attr in names.SDK_METHODS
        if not shared or self._is_self(node):
            return base
        self.weight += price.OPERATOR
        return _guard("own", base)

    def _is_self(self, node: ast.expr) -> bool:
        return isinstance(node, ast.Name) and node.id == "self" and self.in_contract

    def _is_ctx(self, node: ast.expr) -> bool:
        return isinstance(node, ast.Attribute) and node.attr == "ctx" and self._is_self(node.value)

    def _declared(self, node: ast.expr) -> str | None:
        """Map, Index or Counter for ``self.<declared>``."""
        if isinstance(node, ast.Attribute) and self._is_self(node.value):
            return self.program.declared.get(node.attr)
        return None

    def _int(self, node: ast.expr | None) -> bool:
        """Whether an expression is a whole number of at most 64 bits, whatever happens."""
        if node is None:
            return False
        value = self._value(node)
        if type(value) is int:
            return -_SMALL_INT < value < _SMALL_INT
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            return node.func.id == "len" and "len" not in self.locals | self.scope.keys()
        return (
            isinstance(node, ast.Attribute)
            and self._is_ctx(node.value)
            and node.attr in ("height", "time_ms", "today", "tx_index", "call_index")
        )

    def _scalar(self, node: ast.expr) -> bool:
        """Whether an expression is a short plain value, whatever happens."""
        value = self._value(node)
        if value is not _NOTHING:
            return isinstance(value, _SCALARS)
        if isinstance(node, ast.Attribute) and self._is_ctx(node.value):
            return node.attr in names.CONTEXT_SCALARS
        return self._int(node)

    def _binary(
        self,
        guards: dict[type[ast.operator], str],
        op: ast.operator,
        left: ast.expr,
        right: ast.expr,
        left_source: ast.expr | None,
        right_source: ast.expr,
    ) -> ast.expr:
        self.weight += price.OPERATOR
        a, b = self._int(left_source), self._int(right_source)
        match op:
            case ast.FloorDiv() | ast.RShift():
                return ast.BinOp(left, op, right)
            case ast.Add() | ast.Sub() | ast.BitOr() if a or b:
                return ast.BinOp(left, op, right)
            case ast.Mult() if a and b:
                return ast.BinOp(left, op, right)
            case ast.Mod() if a:
                return ast.BinOp(left, op, right)
        return _guard(guards[type(op)], left, right)

    # --- comparisons ------------------------------------------------------------------------

    def _compare(self, node: ast.Compare) -> ast.expr:
        operands = [node.left, *node.comparators]
        native = [
            self._native(left, op, right)
            for left, op, right in zip(operands, node.ops, node.comparators, strict=False)
        ]
        self.weight += price.OPERATOR * native.count(False)
        made = [self.expression(operand) for operand in operands]
        for op, operand in zip(node.ops, operands[1:], strict=True):
            value = self._value(operand)
            if isinstance(op, ast.In | ast.NotIn) and isinstance(value, tuple):
                self.weight += len(value)
        if all(native):
            return ast.Compare(made[0], node.ops, made[1:])
        pairs: list[ast.expr] = []
        left = made[0]
        for index, op in enumerate(node.ops):
            right = made[index + 1]
            again = right
            if index + 1 < len(node.ops) and not isinstance(right, ast.Name | ast.Constant):
                name = self._temporary()
                right, again = ast.NamedExpr(ast.Name(name, ast.Store()), right), _load(name)
            if native[index]:
                pairs.append(ast.Compare(left, [op], [right]))
            else:
                pairs.append(_guard(_COMPARE[type(op)], left, right))
            left = again
        return pairs[0] if len(pairs) == 1 else ast.BoolOp(ast.And(), pairs)

    def _native(self, left: ast.expr, op: ast.cmpop, right: ast.expr) -> bool:
        """Whether a comparison is cheap whatever the operands turn out to be."""
        match op:
            case ast.Is() | ast.IsNot():
                return True
            case ast.In() | ast.NotIn():
                if self._declared(right) == "Map":
                    return True
                value = self._value(right)
                return isinstance(value, str | bytes) or (
                    isinstance(value, tuple) and all(isinstance(item, _SCALARS) for item in value)
                )
        return self._scalar(left) or self._scalar(right)

    # --- containers -------------------------------------------------------------------------

    def _subscript(self, node: ast.Subscript) -> ast.expr:
        self.weight += price.SUBSCRIPT
        value, index = self.expression(node.value), node.slice
        if isinstance(index, ast.Slice):
            parts = (index.lower, index.upper, index.step)
            if _short(*(None if part is None else self._value(part) for part in parts)):
                made = [None if part is None else self.expression(part) for part in parts]
                return ast.Subscript(value, ast.Slice(*made), ast.Load())
            filled = [
                ast.Constant(None) if part is None else self.expression(part) for part in parts
            ]
            return _guard("cut", value, *filled)
        if isinstance(self._value(index), str | bytes):
            return ast.Subscript(value, self.expression(index), ast.Load())
        return _guard("get", value, self.expression(index))

    def _display(self, node: ast.expr, items: list[ast.expr]) -> ast.expr:
        if isinstance(node, ast.Tuple):
            value = self._value(node)
            if value is not _NOTHING and measured(node, self.scope).size <= INLINE_MAX:
                self.weight += price.NODE
                return ast.Constant(value)
        made: list[ast.expr] = []
        starred = False
        for item in items:
            if isinstance(item, ast.Starred):
                starred = True
                self.weight += price.METHOD
                spread = _guard("star", self.expression(item.value))
                made.append(ast.Starred(spread, ast.Load()))
            else:
                made.append(self.expression(item))
        self.weight += price.DISPLAY
        kind = ast.Tuple if isinstance(node, ast.Tuple) else ast.List
        found = kind(made, ast.Load())
        return _guard("whole", found) if starred else found

    def _key(self, node: ast.expr) -> ast.expr:
        made = self.expression(node)
        if isinstance(made, ast.Constant) and (
            isinstance(made.value, str | bytes) or self._int(node)
        ):
            return made
        self.weight += price.OPERATOR
        return _guard("key", made)

    def _comprehension(self, elt: ast.expr, generators: list[ast.comprehension]) -> ast.expr:
        """Each part of it is paid when the part around it takes an item."""
        self.weight += price.COMPREHENSION
        outer = self.weight
        iterated: list[ast.expr] = []
        conditions: list[list[ast.expr]] = []
        weights: list[int] = []
        for generator in generators:
            iterated.append(self.expression(generator.iter))
            if weights:
                weights[-1] += self.weight - outer
                self.weight = outer
            else:
                outer = self.weight
            conditions.append([self.expression(condition) for condition in generator.ifs])
            weights.append(price.COMPREHENSION_ITEM + self.weight - outer)
            self.weight = outer
        element = self.expression(elt)
        weights[-1] += self.weight - outer
        self.weight = outer
        made = [
            ast.comprehension(
                generator.target, _guard("each", through, ast.Constant(weight)), ifs, 0
            )
            for generator, through, ifs, weight in zip(
                generators, iterated, conditions, weights, strict=True
            )
        ]
        found = ast.ListComp(element, made)
        return found if len(generators) == 1 else _guard("whole", found)

    def _formatted(self, node: ast.expr) -> ast.expr:
        if not isinstance(node, ast.FormattedValue):
            return node
        self.weight += price.OPERATOR
        value = self.expression(node.value)
        if node.format_spec is None:
            return value
        assert isinstance(node.format_spec, ast.JoinedStr)
        spec = "".join(
            str(part.value) for part in node.format_spec.values if isinstance(part, ast.Constant)
        )
        zeros = spec.startswith("0")
        return _guard("padded", value, ast.Constant(int(spec)), ast.Constant(zeros))

    # --- calls ------------------------------------------------------------------------------

    def _arguments(self, node: ast.Call) -> tuple[list[ast.expr], list[ast.keyword]]:
        args: list[ast.expr] = []
        for argument in node.args:
            if isinstance(argument, ast.Starred):
                self.weight += price.METHOD
                made = _guard("star", self.expression(argument.value))
                args.append(ast.Starred(made, ast.Load()))
            else:
                args.append(self.expression(argument))
        keywords: list[ast.keyword] = []
        for keyword in node.keywords:
            if keyword.arg is None:
                self.weight += price.METHOD
                value: ast.expr = _guard("spread", self.expression(keyword.value))
                keywords.append(ast.keyword(None, value))
            elif isinstance(keyword.value, ast.Lambda):
                keywords.extend(self._lambda(keyword))
            elif keyword.arg == "key" and isinstance(keyword.value, ast.Name):
                entity = self.scope.get(keyword.value.id)
                if entity is not None and entity.kind == LOCAL_FUNCTION:
                    keywords.append(ast.keyword("key", keyword.value))
                    weight = ast.Constant(price.CALL_NODE)
                    keywords.append(ast.keyword(names.GUARD + "weight", weight))
                else:
                    keywords.append(ast.keyword("key", self.expression(keyword.value)))
            else:
                keywords.append(ast.keyword(keyword.arg, self.expression(keyword.value)))
        return args, keywords

    def _lambda(self, keyword: ast.keyword) -> list[ast.keyword]:
        node = keyword.value
        assert isinstance(node, ast.Lambda)
        outer, self.weight = self.weight, 0
        body = self.expression(node.body)
        weight, self.weight = self.weight + price.CALL_NODE, outer
        parameters = ast.arguments(
            posonlyargs=[],
            args=[ast.arg(parameter.arg) for parameter in node.args.args],
            kwonlyargs=[],
            kw_defaults=[],
            defaults=[],
        )
        return [
            ast.keyword("key", ast.copy_location(ast.Lambda(parameters, body), node)),
            ast.keyword(names.GUARD + "weight", ast.Constant(weight)),
        ]

    def _call(self, node: ast.Call) -> ast.expr:
        func = node.func
        self.weight += price.CALL_NODE
        if isinstance(func, ast.Attribute):
            return self._call_method(node, func)
        assert isinstance(func, ast.Name)
        entity = self.scope.get(func.id)
        if entity is not None:
            if entity.kind in (CLASS, names.VALUE):
                self.weight += price.RECORD
            args, keywords = self._arguments(node)
            return ast.Call(func, args, keywords)
        if func.id == "isinstance":
            kinds = node.args[1]
            if isinstance(kinds, ast.Tuple):
                second: ast.expr = ast.Tuple([self.hint(kind) for kind in kinds.elts], ast.Load())
            else:
                second = self.hint(kinds)
            return _guard("isinstance", self.expression(node.args[0]), second)
        if func.id not in names.PLAIN_BUILTINS:
            self.weight += price.METHOD
        args, keywords = self._arguments(node)
        return ast.Call(_load(names.GUARD + func.id), args, keywords)

    def _call_method(self, node: ast.Call, func: ast.Attribute) -> ast.expr:
        name = func.attr
        if self._is_self(func.value) or self._declared(func.value) is not None:
            self.weight += price.NODE
            target: ast.expr = ast.Attribute(self.expression(func.value), name, ast.Load())
            args, keywords = self._arguments(node)
            return ast.Call(target, args, keywords)
        if name in names.BUILTIN_METHODS:
            self.weight += price.METHOD
            base = self.expression(func.value)
            args, keywords = self._arguments(node)
            return ast.Call(_load(f"{names.GUARD}m_{name}"), [base, *args], keywords)
        base = self.expression(func.value)
        if name in names.COMPUTED:
            self.weight += 2 * price.COMPUTED
        if name in names.SHARED_ATTRIBUTES:
            self.weight += price.OPERATOR
            base = _guard("own", base)
        args, keywords = self._arguments(node)
        return ast.Call(ast.Attribute(base, name, ast.Load()), args, keywords)


def _short(start: Any, stop: Any, step: Any) -> bool:
    """Whether a slice with these constants has few items, of whatever it is taken."""
    if step is not None or type(stop) is not int or type(start) not in (int, type(None)):
        return False
    low = start or 0
    return low >= 0 and 0 <= stop <= low + SLICE_FREE


def _locals_of(node: ast.FunctionDef) -> set[str]:
    found = {parameter.arg for parameter in [*node.args.args, *node.args.kwonlyargs]}
    for inner in ast.walk(node):
        if isinstance(inner, ast.Name) and isinstance(inner.ctx, ast.Store):
            found.add(inner.id)
        elif isinstance(inner, ast.ExceptHandler) and inner.name is not None:
            found.add(inner.name)
        elif isinstance(inner, ast.Lambda):
            found.update(parameter.arg for parameter in inner.args.args)
    return found


def _charge(node: ast.AST, weight: int) -> list[ast.stmt]:
    """``h__m.left = h__l = h__m.left - weight`` and the stop below zero."""
    left = ast.BinOp(
        ast.Attribute(_load(names.METER), "left", ast.Load()), ast.Sub(), ast.Constant(weight)
    )
    taken = ast.Assign(
        [ast.Attribute(_load(names.METER), "left", ast.Store()), ast.Name(names.LEFT, ast.Store())],
        left,
    )
    stop = ast.Call(ast.Attribute(_load(names.METER), "stop", ast.Load()), [], [])
    below = ast.Compare(_load(names.LEFT), [ast.Lt()], [ast.Constant(0)])
    found: list[ast.stmt] = [taken, ast.If(below, [ast.Expr(stop)], [])]
    return [ast.copy_location(statement, node) for statement in found]
