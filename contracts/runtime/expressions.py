"""Expressions of instrumented code: operators, methods and functions behind guards.

Where nothing static says that an operation is cheap whatever its operands turn out to be, it
becomes the call of a guard (:mod:`contracts.runtime.guards`). Weights come from explicit fields of
the tree alone, so they are the same on every Python version.
"""

from __future__ import annotations

import ast
from typing import Any, Final

from contracts.runtime import names
from contracts.runtime import steps as price
from contracts.runtime.constants import (
    CLASS,
    CONSTANT,
    LOCAL_FUNCTION,
    Constant,
    NotConstant,
    evaluate,
    measured,
)
from contracts.runtime.declarations import FileInfo, FunctionInfo, Program

INLINE_MAX: Final = 32  # parts of a tuple that stands in line
SLICE_FREE: Final = 64  # items of a slice that need no guard
_SMALL_INT: Final = 1 << 63
_NOTHING: Final = object()
_SCALARS: Final = (bool, bytes, int, str, type(None))

_CONSTANT_IN_FUNCTION: Final = (ast.Constant, ast.Name, ast.Tuple, ast.UnaryOp)
_CONSTANT: Final = (*_CONSTANT_IN_FUNCTION, ast.BinOp, ast.Call)
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
IN_PLACE: Final[dict[type[ast.operator], str]] = {
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


def load_name(name: str) -> ast.Name:
    return ast.Name(name, ast.Load())


def guard(name: str, *args: ast.expr) -> ast.Call:
    return ast.Call(load_name(names.GUARD + name), list(args), [])


class Expressions:
    """Transforms the expressions of one checked program, and adds up their weight."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.file: FileInfo = program.files[0]
        self.scope = self.file.scope
        self.info: FunctionInfo | None = None
        self.in_contract = False
        self.locals: set[str] = set()
        self.weight = 0  # of what was transformed since it was last set
        self.temporaries = 0

    # --- types and declarations -------------------------------------------------------------

    def hint(self, node: ast.expr) -> ast.expr:
        """A type expression, its constants computed."""
        match node:
            case ast.Name(id=name):
                if name not in self.scope and name in names.BUILTIN_TYPES:
                    return ast.copy_location(load_name(f"{names.GUARD}t_{name}"), node)
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
                        [self.argument(argument) for argument in args],
                        [ast.keyword(key.arg, self.argument(key.value)) for key in keywords],
                    ),
                    node,
                )
        return node

    def argument(self, node: ast.expr) -> ast.expr:
        """An argument of a declaration: a constant, or a type."""
        if isinstance(node, ast.Starred):
            return ast.Starred(self.constant(node.value), ast.Load())
        if self.value(node) is not _NOTHING:
            return self.constant(node)
        return self.hint(node)

    def constant(self, node: ast.expr) -> ast.Constant:
        return ast.copy_location(ast.Constant(evaluate(node, self.scope)), node)

    def value(self, node: ast.expr) -> Any:
        """What a constant expression is worth, else a mark of its own.

        In functions, operators are left to run: what a price covers must be seen to be paid.
        """
        kinds = _CONSTANT if self.info is None else _CONSTANT_IN_FUNCTION
        if not isinstance(node, kinds) or (isinstance(node, ast.Name) and node.id in self.locals):
            return _NOTHING
        try:
            return evaluate(node, self.scope)
        except NotConstant:
            return _NOTHING

    def temporary(self) -> str:
        self.temporaries += 1
        return f"{names.TEMPORARY}{self.temporaries}"

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
                return ast.Attribute(self.base(value, attr), attr, ast.Load())
            case ast.Call():
                return self._call(node)
            case ast.BoolOp(op=op, values=values):
                return ast.BoolOp(op, [self.expression(value) for value in values])
            case ast.NamedExpr(target=target, value=value):
                return ast.NamedExpr(target, self.expression(value))
            case ast.BinOp(left=left, op=op, right=right):
                return self.binary(
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
                return guard("pairs", self._comprehension(pair, generators))
            case ast.JoinedStr(values=values):
                self.weight += price.FORMAT
                return guard("written", *[self._formatted(value) for value in values])
        raise AssertionError(f"{type(node).__name__} was not checked")

    def _inline(self, node: ast.Name, constant: Constant) -> ast.expr:
        """A constant in place of its name; a long one stands in the namespace."""
        if constant.depth and constant.size > INLINE_MAX:
            return load_name(f"{names.GUARD}c_{node.id}")
        return ast.Constant(constant.value)

    def base(self, node: ast.expr, attr: str) -> ast.expr:
        """What stands before a dot, guarded where plain data have such an attribute too."""
        base = self.expression(node)
        if attr in names.COMPUTED:
            self.weight += price.COMPUTED
        shared = attr in names.SHARED_ATTRIBUTES or attr in names.SDK_METHODS
        if not shared or self._is_self(node):
            return base
        self.weight += price.OPERATOR
        return guard("own", base)

    def _is_self(self, node: ast.expr) -> bool:
        return isinstance(node, ast.Name) and node.id == "self" and self.in_contract

    def _is_ctx(self, node: ast.expr) -> bool:
        return isinstance(node, ast.Attribute) and node.attr == "ctx" and self._is_self(node.value)

    def declared(self, node: ast.expr) -> str | None:
        """Map, Index or Counter for ``self.<declared>``."""
        if isinstance(node, ast.Attribute) and self._is_self(node.value):
            return self.program.declared.get(node.attr)
        return None

    def _int(self, node: ast.expr | None) -> bool:
        """Whether an expression is a whole number of at most 64 bits, whatever happens."""
        if node is None:
            return False
        value = self.value(node)
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
        value = self.value(node)
        if value is not _NOTHING:
            return isinstance(value, _SCALARS)
        if isinstance(node, ast.Attribute) and self._is_ctx(node.value):
            return node.attr in names.CONTEXT_SCALARS
        return self._int(node)

    def binary(
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
        return guard(guards[type(op)], left, right)

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
            value = self.value(operand)
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
                name = self.temporary()
                right, again = ast.NamedExpr(ast.Name(name, ast.Store()), right), load_name(name)
            if native[index]:
                pairs.append(ast.Compare(left, [op], [right]))
            else:
                pairs.append(guard(_COMPARE[type(op)], left, right))
            left = again
        return pairs[0] if len(pairs) == 1 else ast.BoolOp(ast.And(), pairs)

    def _native(self, left: ast.expr, op: ast.cmpop, right: ast.expr) -> bool:
        """Whether a comparison is cheap whatever the operands turn out to be."""
        match op:
            case ast.Is() | ast.IsNot():
                return True
            case ast.In() | ast.NotIn():
                if self.declared(right) == "Map":
                    return True
                value = self.value(right)
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
            if _short(*(None if part is None else self.value(part) for part in parts)):
                made = [None if part is None else self.expression(part) for part in parts]
                return ast.Subscript(value, ast.Slice(*made), ast.Load())
            filled = [
                ast.Constant(None) if part is None else self.expression(part) for part in parts
            ]
            return guard("cut", value, *filled)
        if isinstance(self.value(index), str | bytes):
            return ast.Subscript(value, self.expression(index), ast.Load())
        return guard("get", value, self.expression(index))

    def _display(self, node: ast.expr, items: list[ast.expr]) -> ast.expr:
        if isinstance(node, ast.Tuple):
            value = self.value(node)
            if value is not _NOTHING and measured(node, self.scope).size <= INLINE_MAX:
                self.weight += price.NODE
                return ast.Constant(value)
        made: list[ast.expr] = []
        starred = False
        for item in items:
            if isinstance(item, ast.Starred):
                starred = True
                self.weight += price.METHOD
                spread = guard("star", self.expression(item.value))
                made.append(ast.Starred(spread, ast.Load()))
            else:
                made.append(self.expression(item))
        self.weight += price.DISPLAY
        kind = ast.Tuple if isinstance(node, ast.Tuple) else ast.List
        found = kind(made, ast.Load())
        return guard("whole", found) if starred else found

    def _key(self, node: ast.expr) -> ast.expr:
        made = self.expression(node)
        if isinstance(made, ast.Constant) and (
            isinstance(made.value, str | bytes) or self._int(node)
        ):
            return made
        self.weight += price.OPERATOR
        return guard("key", made)

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
                generator.target, guard("each", through, ast.Constant(weight)), ifs, 0
            )
            for generator, through, ifs, weight in zip(
                generators, iterated, conditions, weights, strict=True
            )
        ]
        found = ast.ListComp(element, made)
        return found if len(generators) == 1 else guard("whole", found)

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
        return guard("padded", value, ast.Constant(int(spec)), ast.Constant(zeros))

    # --- calls ------------------------------------------------------------------------------

    def _arguments(self, node: ast.Call) -> tuple[list[ast.expr], list[ast.keyword]]:
        args: list[ast.expr] = []
        for argument in node.args:
            if isinstance(argument, ast.Starred):
                self.weight += price.METHOD
                made = guard("star", self.expression(argument.value))
                args.append(ast.Starred(made, ast.Load()))
            else:
                args.append(self.expression(argument))
        keywords: list[ast.keyword] = []
        for keyword in node.keywords:
            if keyword.arg is None:
                self.weight += price.METHOD
                value: ast.expr = guard("spread", self.expression(keyword.value))
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
            return guard("isinstance", self.expression(node.args[0]), second)
        if func.id not in names.PLAIN_BUILTINS:
            self.weight += price.METHOD
        args, keywords = self._arguments(node)
        return ast.Call(load_name(names.GUARD + func.id), args, keywords)

    def _call_method(self, node: ast.Call, func: ast.Attribute) -> ast.expr:
        name = func.attr
        if self._is_self(func.value) or self.declared(func.value) is not None:
            self.weight += price.NODE
            target: ast.expr = ast.Attribute(self.expression(func.value), name, ast.Load())
            args, keywords = self._arguments(node)
            return ast.Call(target, args, keywords)
        if name in names.BUILTIN_METHODS:
            self.weight += price.METHOD
            base = self.expression(func.value)
            args, keywords = self._arguments(node)
            return ast.Call(load_name(f"{names.GUARD}m_{name}"), [base, *args], keywords)
        base = self.expression(func.value)
        if name in names.COMPUTED:
            self.weight += 2 * price.COMPUTED
        if name in names.SHARED_ATTRIBUTES:
            self.weight += price.OPERATOR
            base = guard("own", base)
        args, keywords = self._arguments(node)
        return ast.Call(ast.Attribute(base, name, ast.Load()), args, keywords)


def _short(start: Any, stop: Any, step: Any) -> bool:
    """Whether a slice with these constants has few items, of whatever it is taken."""
    if step is not None or type(stop) is not int or type(start) not in (int, type(None)):
        return False
    low = start or 0
    return low >= 0 and 0 <= stop <= low + SLICE_FREE
