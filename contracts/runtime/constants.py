"""What names of a file stand for, and the values of its constants.

Constants are computed here, by a small evaluator with bounds, so that no top-level code of a
contract runs for them.
"""

from __future__ import annotations

import ast
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from contracts.runtime.source import INT_BITS_MAX

CONSTANT_SIZE_MAX: Final = 5_000  # characters, bytes and items of one constant, nested ones too
CONSTANT_DEPTH_MAX: Final = 8
_SCALARS: Final = frozenset((bool, bytes, int, str, type(None)))

CONSTANT, ALIAS, CLASS, LOCAL_FUNCTION = "constant", "type alias", "class", "package function"


@dataclass
class Entity:
    """What a name of a file stands for. ``kind`` is one of ``names``'s or of those above."""

    kind: str
    name: str
    value: Any = None  # a constant's Constant, an alias's Shape
    info: Any = None  # ClassInfo or FunctionInfo


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
    constant = value if isinstance(value, Constant) else _sized(value)
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
    elif type(left) in (str, bytes, tuple) and isinstance(op, ast.Add):
        return left + right if type(left) is type(right) else None
    elif type(left) in (str, bytes) and isinstance(op, ast.Mult) and type(right) is int:
        return left * right if len(left) * right <= CONSTANT_SIZE_MAX else None
    return None
