"""Instrumented code: the checked syntax tree, with its price taken in line and guards in place.

Each suite takes its static weight when it is entered; small branches are paid for with the suite
around them.
"""

from __future__ import annotations

import ast
from typing import Final

from contracts.runtime import names
from contracts.runtime import steps as price
from contracts.runtime.constants import ALIAS
from contracts.runtime.declarations import MARKS, ClassInfo, FileInfo, FunctionInfo
from contracts.runtime.expressions import IN_PLACE, Expressions, guard, load_name
from contracts.runtime.source import is_text

# What gives a list, or goes through one, so that a loop needs no look at it.
_LISTS: Final = frozenset(("range", "sorted", "list", "reversed", "tuple"))


class Instrumenter(Expressions):
    """Transforms the files of one checked program."""

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

    def _class(self, info: ClassInfo) -> ast.ClassDef:
        body: list[ast.stmt] = []
        for node in info.node.body:
            match node:
                case ast.FunctionDef(name=name):
                    methods = info.properties if name in info.properties else info.methods
                    body.append(self._function(methods[name]))
                case ast.AnnAssign(target=target, annotation=annotation, value=value):
                    default = None if value is None else self.constant(value)
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
                    made = self.argument(value)
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
                load_name(names.GUARD + "property")
                if info.mark == "property"
                else self.hint(decorator)
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
                None if default is None else self.constant(default) for default in args.kw_defaults
            ],
            kwarg=None,
            defaults=[self.constant(default) for default in args.defaults],
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
        if weight <= price.BRANCH_FREE:
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
                    found.append(ast.Expr(guard("drop", value, index)))
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
            suite.insert(0, ast.Expr(guard("caught", load_name(node.name))))
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
                        ast.Call(load_name(f"{names.GUARD}lazy_{name}"), args, named), node
                    )
                if name in _LISTS:
                    return self.expression(node)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            known = self.declared(node.func.value) is not None
        if known or isinstance(node, ast.ListComp | ast.List):
            return self.expression(node)
        self.weight += price.NODE
        return guard("through", self.expression(node))

    # --- assignment -------------------------------------------------------------------------

    def _assign(self, targets: list[ast.expr], value: ast.expr) -> list[ast.stmt]:
        if len(targets) == 1 and isinstance(targets[0], ast.Subscript):
            target = targets[0]
            if not isinstance(self.value(target.slice), str | bytes):
                return [self._put(value, target)]
        after: list[ast.stmt] = []
        stores = [self._store(target, after) for target in targets]
        return [ast.Assign(stores, value), *after]

    def _put(self, value: ast.expr, target: ast.Subscript) -> ast.stmt:
        self.weight += price.SUBSCRIPT
        container, index = self.expression(target.value), self.expression(target.slice)
        return ast.Expr(guard("put", value, container, index))

    def _store(self, node: ast.expr, after: list[ast.stmt]) -> ast.expr:
        """A target; what must be set by a guard is set ``after``, from a temporary name."""
        self.weight += price.NODE
        match node:
            case ast.Tuple(elts=items) | ast.List(elts=items):
                return ast.Tuple([self._store(item, after) for item in items], ast.Store())
            case ast.Attribute(value=value, attr=attr):
                return ast.Attribute(self.base(value, attr), attr, ast.Store())
            case ast.Subscript(value=value, slice=index):
                known = self.value(index)
                if isinstance(known, str | bytes):
                    made = ast.Constant(known)
                    return ast.Subscript(self.expression(value), made, ast.Store())
                name = self.temporary()
                after.append(self._put(load_name(name), node))
                return ast.Name(name, ast.Store())
        return node

    def _augmented(self, node: ast.AugAssign) -> list[ast.stmt]:
        """``x op= y``, each part of x evaluated once."""
        target, before = node.target, []
        if isinstance(target, ast.Name):
            value = self.expression(node.value)
            return [self._in_place(target, load_name(target.id), node.op, value, node.value)]
        if isinstance(target, ast.Attribute):
            base = self.base(target.value, target.attr)
            if not isinstance(base, ast.Name):
                name = self.temporary()
                before.append(ast.Assign([ast.Name(name, ast.Store())], base))
                base = load_name(name)
            store = ast.Attribute(base, target.attr, ast.Store())
            load = ast.Attribute(base, target.attr, ast.Load())
            value = self.expression(node.value)
            return [*before, self._in_place(store, load, node.op, value, node.value)]
        assert isinstance(target, ast.Subscript)
        container, index = self.temporary(), self.temporary()
        before.append(ast.Assign([ast.Name(container, ast.Store())], self.expression(target.value)))
        before.append(ast.Assign([ast.Name(index, ast.Store())], self.expression(target.slice)))
        self.weight += 2 * price.SUBSCRIPT
        load_ = guard("get", load_name(container), load_name(index))
        value = self.binary(IN_PLACE, node.op, load_, self.expression(node.value), None, node.value)
        return [*before, ast.Expr(guard("put", value, load_name(container), load_name(index)))]

    def _in_place(
        self, store: ast.expr, load: ast.expr, op: ast.operator, value: ast.expr, source: ast.expr
    ) -> ast.stmt:
        made = self.binary(IN_PLACE, op, load, value, None, source)
        return ast.Assign([store], made)


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
        ast.Attribute(load_name(names.METER), "left", ast.Load()), ast.Sub(), ast.Constant(weight)
    )
    taken = ast.Assign(
        [
            ast.Attribute(load_name(names.METER), "left", ast.Store()),
            ast.Name(names.LEFT, ast.Store()),
        ],
        left,
    )
    stop = ast.Call(ast.Attribute(load_name(names.METER), "stop", ast.Load()), [], [])
    below = ast.Compare(load_name(names.LEFT), [ast.Lt()], [ast.Constant(0)])
    found: list[ast.stmt] = [taken, ast.If(below, [ast.Expr(stop)], [])]
    return [ast.copy_location(statement, node) for statement in found]
