"""The check of types: annotations, aliases and what declarations are given."""

from __future__ import annotations

import ast
from typing import Any, Final, NamedTuple

from contracts.runtime import names
from contracts.runtime.constants import ALIAS, CLASS, Entity, NotConstant, evaluate
from contracts.runtime.source import Findings

PARTS_MAX: Final = 64  # names in one type, aliases counted as what they stand for
LEVELS_MAX: Final = 16
_SUBSCRIPTED: Final = frozenset(("list", "dict", "tuple", "Annotated", "Final"))

Scope = dict[str, Entity]


class Shape(NamedTuple):
    """How large a type is written out: names in it, and how deep they stand."""

    parts: int = 1
    levels: int = 1


class Hints:
    """Checks types of one package; what is wrong goes to ``findings``."""

    def __init__(self, findings: Findings) -> None:
        self.findings = findings

    def type(self, scope: Scope, node: ast.expr | None) -> Shape:
        """A type expression: names, subscripts, |, None, and field types with constants.

        Aliases of aliases would double with every line, and Python walks over all of it.
        """
        shape = Shape() if node is None else self._shape(scope, node)
        if shape.parts <= PARTS_MAX and shape.levels <= LEVELS_MAX:
            return shape
        assert node is not None
        self.findings.add(
            node, "type", f"a type has at most {PARTS_MAX} parts in {LEVELS_MAX} levels"
        )
        return Shape()

    def _shape(self, scope: Scope, node: ast.expr) -> Shape:
        if isinstance(node, ast.Name):
            entity = scope.get(node.id)
            kind = entity.kind if entity is not None else ""
            if entity is not None and kind == ALIAS:
                shape: Shape = entity.value
                return shape
            if kind in ("typing", CLASS, names.TYPE, names.VALUE, names.BASE, names.ERROR):
                return Shape()
            if entity is not None or node.id not in names.BUILTIN_TYPES:
                known = "declared further down, or not at all" if entity is None else f"a {kind}"
                self.findings.add(node, "type", f"{node.id} is no type here: it is {known}")
        elif isinstance(node, ast.Constant):
            if node.value is not None and node.value is not ...:
                hint = "put the class above, without quotes" if type(node.value) is str else ""
                self.findings.add(node, "type", "a constant is no type", hint)
        elif isinstance(node, ast.Subscript):
            return self._subscripted(scope, node)
        elif isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr):
            return _joined([self.type(scope, node.left), self.type(scope, node.right)])
        else:
            self.findings.add(node, "type", "a type is made of names, [...], | and None")
        return Shape()

    def _subscripted(self, scope: Scope, node: ast.Subscript) -> Shape:
        base = node.value
        if not isinstance(base, ast.Name) or base.id not in _SUBSCRIPTED:
            self.findings.add(node, "type", "[...] stands behind list, dict, tuple or Annotated")
            return Shape()
        self.type(scope, base)
        items = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
        shapes = []
        if base.id == "Annotated":
            shapes = [self.field(scope, item) for item in items[1:]]
            items = items[:1]
        shapes += [self.type(scope, item) for item in items]
        return _joined(shapes)

    def field(self, scope: Scope, node: ast.expr) -> Shape:
        """A field type with its arguments: ``Text(20)``, ``Party(Text(200))``, ``Size(len(X))``."""
        shapes = [Shape()]
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            entity = scope.get(node.func.id)
            if entity is not None and entity.kind == names.FIELD:
                for argument in [*node.args, *(keyword.value for keyword in node.keywords)]:
                    if isinstance(argument, ast.Call) and self._names_field(scope, argument.func):
                        shapes.append(self.field(scope, argument))
                    elif entity.name in ("Party", "Personal"):
                        shapes.append(self.type(scope, argument))
                    else:
                        self.constant(scope, argument, spread=True)
                for keyword in node.keywords:
                    if keyword.arg is None:
                        self.findings.add(keyword, "spread", "no ** here")
                return _joined(shapes)
        self.findings.add(node, "type", "behind a type stand field types: Text(20), Size(100), ...")
        return Shape()

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


def _joined(shapes: list[Shape]) -> Shape:
    """The shape of a type made of these."""
    return Shape(
        sum(shape.parts for shape in shapes), 1 + max((shape.levels for shape in shapes), default=0)
    )
