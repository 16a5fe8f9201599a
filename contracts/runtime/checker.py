"""The check of function bodies: an allow-list over the syntax tree, in a closed world of names.

What this pass does not know it refuses. All findings are reported, the first fifty of them.
"""

from __future__ import annotations

import ast
from typing import Final

from contracts.runtime import names
from contracts.runtime.constants import (
    CLASS,
    CONSTANT,
    LOCAL_FUNCTION,
    NotConstant,
    evaluate,
)
from contracts.runtime.declarations import MARKS, ClassInfo, FunctionInfo, Program
from contracts.runtime.hints import Hints
from contracts.runtime.source import is_text
from contracts.runtime.syntax import COMPARISONS, HINTS, OPERATORS, UNARY

KEY_FRAMES: Final = 5  # those of sorted's guard, and the key's own
ARGUMENTS_MAX: Final = 64

_KEYED: Final = frozenset(("sorted", "min", "max", "sort"))


class BodyChecker:
    """Checks one function or method."""

    def __init__(self, program: Program, info: FunctionInfo) -> None:
        self.program = program
        self.findings = program.findings
        self.info = info
        self.owner: ClassInfo | None = info.owner
        self.scope = info.file.scope
        self.locals: set[str] = set()
        self.depth = 0  # comprehensions and lambdas around
        self.in_contract = self.owner is not None and self.owner.is_contract
        self.hints = Hints(program.findings)
        self.iterables = 0  # expressions around that a comprehension goes through

    def run(self) -> None:
        self.findings.file = self.info.file.path
        node = self.info.node
        if getattr(node, "type_params", None):
            self.refuse(node, "syntax", "no type parameters")
        self._parameters(node.args)
        if self.info.mark not in MARKS:  # those were checked where they stand
            for parameter in [*node.args.args, *node.args.kwonlyargs]:
                self.hints.type(self.scope, parameter.annotation)
            self.hints.type(self.scope, node.returns)
        for inner in ast.walk(node):
            self._collect(inner)
        self.statements(node.body[1:] if is_text(node.body[0]) else node.body)

    def refuse(self, node: ast.AST, rule: str, reason: str, hint: str = "") -> None:
        self.findings.add(node, rule, reason, hint)

    # --- names ------------------------------------------------------------------------------

    def _parameters(self, args: ast.arguments) -> None:
        if args.vararg or args.kwarg or args.posonlyargs:
            self.refuse(
                args.vararg or args.kwarg or args.posonlyargs[0],
                "parameters",
                "no *args, **kwargs or / in definitions",
                "name each parameter",
            )
        parameters = [*args.args, *args.kwonlyargs]
        if len(parameters) > ARGUMENTS_MAX:
            self.refuse(self.info.node, "parameters", f"more than {ARGUMENTS_MAX} parameters")
        for default in [*args.defaults, *args.kw_defaults]:
            if default is not None:
                try:
                    evaluate(default, self.scope)
                except NotConstant as error:
                    self.refuse(error.node, "default", error.reason, "use None, or a constant")
        for index, parameter in enumerate(parameters):
            if parameter.arg == "self" and (self.owner is None or index):
                self.refuse(parameter, "self", "self is a method's first parameter")
            self._local(parameter, parameter.arg)

    def _collect(self, node: ast.AST) -> None:
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            if node.id == "self":
                self.refuse(node, "self", "self is not set")
            self._local(node, node.id)
        elif isinstance(node, ast.ExceptHandler) and node.name is not None:
            self._local(node, node.name)
        elif isinstance(node, ast.Lambda):
            for parameter in node.args.args:
                self._local(parameter, parameter.arg)

    def _local(self, node: ast.AST, name: str) -> None:
        if names.forbidden(name):
            self.refuse(node, "name", f"the name {name} is not for contracts")
        elif name in self.scope:
            self.refuse(node, "shadows", f"{name} is a {self.scope[name].kind} already")
        self.locals.add(name)

    # --- statements -------------------------------------------------------------------------

    def statements(self, body: list[ast.stmt]) -> None:
        for node in body:
            self.statement(node)

    def statement(self, node: ast.stmt) -> None:
        match node:
            case ast.Pass() | ast.Break() | ast.Continue():
                pass
            case ast.Expr(value=value):
                self.expression(value)
            case ast.Return(value=value):
                self.maybe(value)
            case ast.Assign(targets=targets, value=value):
                self.expression(value)
                for target in targets:
                    self.target(target)
            case ast.AugAssign(target=target, op=op, value=value):
                self._operator(node, op)
                self.expression(value)
                if isinstance(target, ast.Tuple | ast.List):
                    self.refuse(target, "target", "one thing at a time")
                else:
                    self.target(target)
            case ast.AnnAssign(target=target, annotation=annotation, value=value):
                self.hints.type(self.scope, annotation)
                self.maybe(value)
                self.target(target)
            case ast.For(target=target, iter=iterated, body=body, orelse=orelse):
                self.expression(iterated)
                self.name_target(target)
                self.statements(body)
                self.statements(orelse)
            case (
                ast.While(test=test, body=body, orelse=orelse)
                | ast.If(test=test, body=body, orelse=orelse)
            ):
                self.expression(test)
                self.statements(body)
                self.statements(orelse)
            case ast.Try():
                self._try(node)
            case ast.Delete(targets=targets):
                for target in targets:
                    if isinstance(target, ast.Subscript) and not isinstance(
                        target.slice, ast.Slice
                    ):
                        self.expression(target.value)
                        self.expression(target.slice)
                    else:
                        self.refuse(target, "del", "del is for an entry: del d[key]")
            case _:
                self.unknown(node)

    def unknown(self, node: ast.AST) -> None:
        what = type(node).__name__
        self.refuse(node, "language", f"{what} is not for contracts", HINTS.get(type(node), ""))

    def _try(self, node: ast.Try) -> None:
        if node.finalbody:
            self.refuse(node.finalbody[0], "language", "finally is not for contracts")
        self.statements(node.body)
        for handler in node.handlers:
            kind = handler.type
            entity = self.scope.get(kind.id) if isinstance(kind, ast.Name) else None
            if entity is None or entity.kind != names.ERROR:
                self.refuse(
                    handler, "except", "only ContractError or BadValue are caught, by their names"
                )
            self.statements(handler.body)
        self.statements(node.orelse)

    def target(self, node: ast.expr) -> None:
        """What is assigned to."""
        match node:
            case ast.Name():
                pass
            case ast.Tuple(elts=items) | ast.List(elts=items):
                for item in items:
                    self.target(item)
            case ast.Subscript(value=value, slice=index):
                if isinstance(index, ast.Slice):
                    self.refuse(index, "slice", "slices are not assigned to")
                else:
                    self.expression(index)
                self.expression(value)
            case ast.Attribute():
                self._set_attribute(node)
            case _:
                self.refuse(node, "target", f"{type(node).__name__} is nothing to assign to")

    def name_target(self, node: ast.expr) -> None:
        """A loop's target: names alone."""
        if isinstance(node, ast.Tuple | ast.List):
            for item in node.elts:
                self.name_target(item)
        elif not isinstance(node, ast.Name):
            self.refuse(node, "target", "a loop's target is a name, or names")

    def _set_attribute(self, node: ast.Attribute) -> None:
        name = node.attr
        if names.forbidden(name):
            self.refuse(node, "name", f"the name {name} is not for contracts")
        elif self._is_self(node.value):
            assert self.owner is not None
            if name not in self.owner.settable():
                self.refuse(
                    node, "set", f"self.{name} is not set", "only fields, and own attributes"
                )
        else:
            self.expression(node.value)
            if name not in self.program.record_data and name not in names.SDK_SETTABLE:
                self.refuse(node, "unknown-attribute", f"no record has a field {name}")

    # --- expressions ------------------------------------------------------------------------

    def maybe(self, node: ast.expr | None) -> None:
        if node is not None:
            self.expression(node)

    def expression(self, node: ast.expr) -> None:
        match node:
            case ast.Constant(value=value):
                if value is not None and type(value) not in (bool, bytes, int, str):
                    self.refuse(node, "language", f"a {type(value).__name__} is not for contracts")
            case ast.Name():
                self._name(node)
            case ast.Attribute():
                self._attribute(node)
            case ast.Call():
                self._call(node)
            case ast.BoolOp(values=values):
                for value in values:
                    self.expression(value)
            case ast.NamedExpr(value=value):
                if self.iterables:
                    self.refuse(node, "language", "no := in what a comprehension goes through")
                self.expression(value)
            case ast.BinOp(left=left, op=op, right=right):
                self._operator(node, op)
                self.expression(left)
                self.expression(right)
            case ast.UnaryOp(op=op, operand=operand):
                if not isinstance(op, UNARY):
                    self.refuse(node, "operator", f"{type(op).__name__} is not for contracts")
                self.expression(operand)
            case ast.IfExp(test=test, body=body, orelse=orelse):
                self.expression(test)
                self.expression(body)
                self.expression(orelse)
            case ast.Compare():
                self._compare(node)
            case ast.Subscript(value=value, slice=index):
                self.expression(value)
                if isinstance(index, ast.Slice):
                    self.maybe(index.lower)
                    self.maybe(index.upper)
                    self.maybe(index.step)
                else:
                    self.expression(index)
            case ast.List(elts=items) | ast.Tuple(elts=items):
                for item in items:
                    self.expression(item.value if isinstance(item, ast.Starred) else item)
            case ast.Dict(keys=keys, values=values):
                self._dict(node, keys, values)
            case ast.ListComp() | ast.DictComp():
                self._comprehension(node)
            case ast.JoinedStr(values=values):
                for value in values:
                    self._formatted(value)
            case _:
                self.unknown(node)

    def _name(self, node: ast.Name) -> None:
        name = node.id
        if self.in_contract and name == "self":
            self.refuse(node, "self", "self stands only before a dot", "make the helper a method")
            return
        entity = self.scope.get(name)
        if entity is not None:
            if entity.kind != CONSTANT:
                self.refuse(node, "not-a-value", f"{name} is a {entity.kind}, no value")
        elif name not in self.locals:
            if name in names.BUILTINS:
                self.refuse(node, "not-a-value", f"{name} is a function, no value")
            else:
                self.refuse(node, "unknown-name", f"there is no {name}")

    def _is_self(self, node: ast.expr) -> bool:
        return self.owner is not None and isinstance(node, ast.Name) and node.id == "self"

    def _attribute(self, node: ast.Attribute) -> None:
        """An attribute that is read."""
        name, program = node.attr, self.program
        if names.forbidden(name):
            self.refuse(node, "name", f"the name {name} is not for contracts")
        elif self._is_self(node.value):
            assert self.owner is not None
            known = self.owner.data()
            if self.in_contract:
                known = program.contract_data | names.CONTRACT_DATA
            if name not in known:
                hint = "methods are only called" if name in program.contract_methods else ""
                self.refuse(node, "unknown-attribute", f"self has no {name} to read", hint)
            elif name in (
                program.contract_properties if self.in_contract else program.record_properties
            ):
                self.info.calls.add(("contract" if self.in_contract else "record", name))
        else:
            self.expression(node.value)
            if name not in program.record_data and name not in names.SDK_DATA:
                hint = "methods are only called" if name in names.BUILTIN_METHODS else ""
                self.refuse(node, "unknown-attribute", f"nothing has {name} to read", hint)
            elif name in program.record_properties:
                self.info.calls.add(("record", name))

    def _operator(self, node: ast.AST, op: ast.operator) -> None:
        if isinstance(op, ast.Div):
            self.refuse(node, "float", "there are no floats", "use //")
        elif not isinstance(op, OPERATORS):
            self.refuse(node, "operator", f"{type(op).__name__} is not for contracts")

    def _compare(self, node: ast.Compare) -> None:
        self.expression(node.left)
        plain = [isinstance(middle, ast.Name | ast.Constant) for middle in node.comparators[:-1]]
        if self.iterables and not all(plain):
            self.refuse(
                node,
                "comparison",
                "no such chain in what a comprehension goes through",
                "compute it before",
            )
        for op, right in zip(node.ops, node.comparators, strict=True):
            self.expression(right)
            if not isinstance(op, COMPARISONS):
                self.unknown(op)
            elif isinstance(op, ast.Is | ast.IsNot):
                value = right.value if isinstance(right, ast.Constant) else ""
                if value is not None and type(value) is not bool:
                    self.refuse(right, "is", "is stands only before None, True, False", "use ==")

    def _dict(self, node: ast.Dict, keys: list[ast.expr | None], values: list[ast.expr]) -> None:
        for key, value in zip(keys, values, strict=True):
            if key is None:
                self.refuse(value, "spread", "no ** in a display", "use |, or update")
            else:
                self._key(key)
            self.expression(value)

    def _key(self, node: ast.expr) -> None:
        self.expression(node)
        value = node.value if isinstance(node, ast.Constant) else ""
        if isinstance(node, ast.Tuple) or type(value) not in (str, bytes, int):
            self.refuse(node, "key", "a key is text, bytes or a whole number")

    def _comprehension(self, node: ast.ListComp | ast.DictComp) -> None:
        self.depth += 1
        self.info.frames = max(self.info.frames, 1 + self.depth)
        for generator in node.generators:
            if generator.is_async:
                self.refuse(node, "language", "async is not for contracts")
            self.iterables += 1
            self.expression(generator.iter)
            self.iterables -= 1
            self.name_target(generator.target)
            for condition in generator.ifs:
                self.expression(condition)
        if isinstance(node, ast.DictComp):
            self._key(node.key)
            self.expression(node.value)
        else:
            self.expression(node.elt)
        self.depth -= 1

    def _formatted(self, node: ast.expr) -> None:
        if isinstance(node, ast.FormattedValue):
            self.expression(node.value)
            if node.conversion != -1:
                self.refuse(node, "f-string", "no ! in a field")
        elif not isinstance(node, ast.Constant):
            self.unknown(node)

    # --- calls ------------------------------------------------------------------------------

    def _call(self, node: ast.Call) -> None:
        if isinstance(node.func, ast.Name):
            self._call_name(node, node.func.id)
        elif isinstance(node.func, ast.Attribute):
            self._call_method(node, node.func)
        else:
            self.refuse(node, "call", "only functions and methods are called, by their names")

    def _arguments(self, node: ast.Call, *, keyed: bool = False, spreads: bool = False) -> None:
        if len(node.args) + len(node.keywords) > ARGUMENTS_MAX:
            self.refuse(node, "call", f"more than {ARGUMENTS_MAX} arguments")
        for argument in node.args:
            self.expression(argument.value if isinstance(argument, ast.Starred) else argument)
        for keyword in node.keywords:
            if keyword.arg is None:
                if not spreads:
                    self.refuse(keyword, "spread", "** stands only in emit, invoke and due")
                self.expression(keyword.value)
            elif names.forbidden(keyword.arg):
                self.refuse(keyword, "name", f"the name {keyword.arg} is not for contracts")
            elif keyword.arg == "key" and keyed:
                self._sort_key(keyword.value)
            else:
                self.expression(keyword.value)

    def _sort_key(self, node: ast.expr) -> None:
        if isinstance(node, ast.Lambda):
            args = node.args
            odd = args.vararg or args.kwarg or args.kwonlyargs or args.posonlyargs or args.defaults
            if odd or len(args.args) != 1:
                self.refuse(node, "lambda", "a key takes one thing")
            self.depth += KEY_FRAMES
            self.info.frames = max(self.info.frames, 1 + self.depth)
            self.expression(node.body)
            self.depth -= KEY_FRAMES
            return
        entity = self.scope.get(node.id) if isinstance(node, ast.Name) else None
        if entity is not None and entity.kind == LOCAL_FUNCTION:
            self.info.frames = max(self.info.frames, self.depth + KEY_FRAMES)
            self.info.calls.add(entity.info.key)
        else:
            self.refuse(node, "lambda", "key is a lambda or a function of the package")

    def _call_name(self, node: ast.Call, name: str) -> None:
        entity = self.scope.get(name)
        if entity is None:
            builtin = name in names.BUILTINS and name not in self.locals
            if builtin and name == "isinstance":
                self._isinstance(node)
            elif builtin:
                for keyword in node.keywords:
                    if name != "dict" and keyword.arg not in names.BUILTINS[name]:
                        self.refuse(keyword, "call", f"{name} takes no {keyword.arg} here")
                self._arguments(node, keyed=name in _KEYED)
            else:
                what = "a value" if name in self.locals else "nothing known"
                self.refuse(node, "unknown-name", f"{name} is {what}, no function")
                self._arguments(node)
            return
        self._arguments(node)
        if entity.kind == LOCAL_FUNCTION:
            self.info.calls.add(entity.info.key)
        elif entity.kind == CLASS:
            if entity.info.is_contract:
                self.refuse(node, "call", "a contract is not made by hand", "use self.invoke")
        elif entity.kind not in (names.FUNCTION, names.VALUE):
            self.refuse(node, "call", f"{name} is a {entity.kind}: it is not called in a method")

    def _isinstance(self, node: ast.Call) -> None:
        if len(node.args) != 2 or node.keywords or isinstance(node.args[0], ast.Starred):
            self.refuse(node, "call", "isinstance takes a value and a class")
            return
        self.expression(node.args[0])
        second = node.args[1]
        for kind in second.elts if isinstance(second, ast.Tuple) else [second]:
            entity = self.scope.get(kind.id) if isinstance(kind, ast.Name) else None
            if isinstance(kind, ast.Name) and kind.id in names.BUILTIN_TYPES - self.locals:
                continue
            if entity is None or entity.kind not in (CLASS, names.VALUE):
                self.refuse(kind, "isinstance", "a class, or a tuple of classes")

    def _call_method(self, node: ast.Call, func: ast.Attribute) -> None:
        name, base, program = func.attr, func.value, self.program
        spreads = False
        if names.forbidden(name):
            self.refuse(func, "name", f"the name {name} is not for contracts")
        elif self._is_self(base) and self.owner is not None:
            if self.in_contract:
                spreads = name in names.SPREADING
                if name in program.contract_methods:
                    self.info.calls.add(("contract", name))
                elif name not in names.CONTRACT_METHODS:
                    self.refuse(func, "unknown-method", f"self has no method {name}")
            elif any(name in at.methods for at in self.owner.line()):
                self.info.calls.add(("record", name))
            else:
                self.refuse(func, "unknown-method", f"self has no method {name}")
        elif (kind := self.declared_kind(base)) is not None:
            if name not in names.DECLARED_METHODS[kind]:
                self.refuse(func, "unknown-method", f"a {kind} has no method {name}")
        else:
            self.expression(base)
            if name in program.record_methods:
                self.info.calls.add(("record", name))
            elif name not in names.BUILTIN_METHODS and name not in names.SDK_METHODS:
                self.refuse(func, "unknown-method", f"nothing has a method {name}")
        self._arguments(node, keyed=name == "sort" and not self._is_self(base), spreads=spreads)

    def declared_kind(self, node: ast.expr) -> str | None:
        """Map, Index or Counter where an expression is ``self.<declared>``, else None."""
        if isinstance(node, ast.Attribute) and self.in_contract and self._is_self(node.value):
            return self.program.declared.get(node.attr)
        return None
