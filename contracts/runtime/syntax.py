"""Parts of Python's syntax that contracts have, and what to write for those that they have not."""

from __future__ import annotations

import ast
from typing import Final

HINTS: Final = {
    ast.Assert: "use refuse",
    ast.AsyncFor: "",
    ast.AsyncFunctionDef: "",
    ast.AsyncWith: "",
    ast.Await: "",
    ast.ClassDef: "classes stand at the top of a file",
    ast.FunctionDef: "functions stand at the top of a file or in a class",
    ast.GeneratorExp: "use a list: any([...])",
    ast.Global: "state stands in maps",
    ast.Import: "imports stand at the top of a file",
    ast.ImportFrom: "imports stand at the top of a file",
    ast.Lambda: "only as key= of sorted, min, max and sort",
    ast.Match: "use if and elif",
    ast.Nonlocal: "state stands in maps",
    ast.Raise: "use refuse",
    ast.Set: "sets have no order: use a list or a dict",
    ast.SetComp: "sets have no order: use a list or a dict",
    ast.Starred: "only in calls and in list or tuple displays",
    ast.With: "",
    ast.Yield: "use a list",
    ast.YieldFrom: "use a list",
}
OPERATORS: Final = (
    ast.Add,
    ast.Sub,
    ast.Mult,
    ast.FloorDiv,
    ast.Mod,
    ast.Pow,
    ast.LShift,
    ast.RShift,
    ast.BitOr,
    ast.BitXor,
    ast.BitAnd,
)
UNARY: Final = (ast.Not, ast.USub, ast.UAdd)
COMPARISONS: Final = (
    ast.Eq,
    ast.NotEq,
    ast.Lt,
    ast.LtE,
    ast.Gt,
    ast.GtE,
    ast.Is,
    ast.IsNot,
    ast.In,
    ast.NotIn,
)
