"""The check of types: annotations, aliases and what declarations are given."""

from __future__ import annotations

import ast
from typing import Any, Final

from contracts.runtime import names
from contracts.runtime.constants import ALIAS, CLASS, Entity, NotConstant, evaluate
from contracts.runtime.source import Findings

_SUBSCRIPTED: Final = frozenset(("list", "dict", "tuple", "Annotated", "Final"))

Scope = dict[str, Entity]


class Hints:
    """Checks types of one package; what is wrong goes to ``findings``."""

    def __init__(self, findings: Findings) -> None:
        self.findings = findings

    def type(self, scope: Scope, node: ast.expr | None) -> None:
        """A type expression: names, subscripts, |, None, and field types with constants."""
        if node is None:
            return
        if isinstance(node, ast.Name):
            entity = scope.get(node.id)
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
            self._subscripted(scope, node)
        elif isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr):
            self.type(scope, node.left)
            self.type(scope, node.right)
        else:
            self.findings.add(node, "type", "a type is made of names, [...], | and None")

    def _subscripted(self, scope: Scope, node: ast.Subscript) -> None:
        base = node.value
        if not isinstance(base, ast.Name) or base.id not in _SUBSCRIPTED:
            self.findings.add(node, "type", "[...] stands behind list, dict, tuple or Annotated")
            return
        self.type(scope, base)
        items = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
        if base.id == "Annotated":
            for item in items[1:]:
                self.field(scope, item)
            items = items[:1]
        for item in items:
            self.type(scope, item)

    def field(self, scope: Scope, node: ast.expr) -> None:
        """A field type with its arguments: ``Text(20)``, ``Party(Text(200))``, ``Size(len(X))``."""
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            entity = scope.get(node.func.id)
            if entity is not None and entity.kind == names.FIELD:
                for argument in [*node.args, *(keyword.value for keyword in node.keywords)]:
                    if isinstance(argument, ast.Call) and self._names_field(scope, argument.func):
                        self.field(scope, argument)
                    elif entity.name in ("Party", "Personal"):
                        self.type(scope, argument)
                    else:
                        self.constant(scope, argument, spread=True)
                for keyword in node.keywords:
                    if keyword.arg is None:
                        self.findings.add(keyword, "spread", "no ** here")
                return
        self.findings.add(node, "type", "behind a type stand field types: Text(20), Size(100), ...")

    def _names_field(self, scope: Scope, node: ast.expr) -> bool:
        entity = scope.get(node.id) if isinstance(node, ast.Name) else None
        return entity is not None and entity.kind == names.FIELD

    def constant(self, scope: Scope, node: ast.expr, *, spread: bool = False) -> Any:
        """The value of what must be a constant; a finding and None where it is none."""
        if spread and isinstance(node, ast.Starred):
            node = node.value
        try:
            return evaluate(node, scope)
        except NotConstant as error:
            self.findings.add(error.node, "constant", error.reason)
            return None
