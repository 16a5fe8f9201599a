"""Hostile modules that are best made by a program: long, deep, of many files, of odd bytes.

What must come of them stands in ``modules/generated.expected``, a line each: name, then either the
line and rule of the refusal or the receipt's code and result.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Final

from tests.contracts.escape.corpus import FOLDER, HEAD, PATH, RUN, Case, whole

Files = tuple[tuple[str, str], ...]

HEAD_ONLY: Final = "from contracts.sdk import Contract, Record, call\n\n\n"
TAIL: Final = """

class Hostile(Contract):
    name = "hostile"

    @call
    def run(self) -> int:
        return {}
"""


def generated() -> list[Case]:
    """The cases, each with what is expected of it."""
    expected = {}
    for line in (FOLDER / "generated.expected").read_text().splitlines():
        id, first, second = line.split(" ", 2)
        expected[id] = (first, second)
    cases = []
    for family, made in (("deep", _deep()), ("long", _long()), ("bytes", _bytes())):
        for name, files in made:
            first, second = expected.get(f"{family}/{name}", ("", "null"))
            if first.isdigit():
                cases.append(Case(family, name, files, ((int(first), second),)))
            else:
                cases.append(Case(family, name, files, (), first, json.loads(second)))
    return cases


def _deep() -> Iterator[tuple[str, Files]]:
    """Nesting that overflows the parser, the compiler, the checker or Python's own stack."""
    n = 3_000
    bodies = {
        "brackets": "return " + "(" * n + "1" + ")" * n,
        "lists": "return " + "[" * n + "]" * n,
        "dicts": "return " + "{1:" * n + "1" + "}" * n,
        "subscripts": "return " + "a[" * n + "0" + "]" * n,
        "calls": "return " + "len(" * n + "1" + ")" * n,
        "unary_minus": "return " + "-" * n + "1",
        "unary_not": "return " + "not " * n + "1",
        "attributes": "return self" + ".ctx" * n,
        "subscript_chain": "return self" + "[0]" * n,
        "call_chain": "return self.run" + "()" * n,
        "sum": "return " + " + ".join(["1"] * n),
        "power": "return " + " ** ".join(["1"] * n),
        "comparison": "return " + " < ".join(["1"] * n),
        "boolean": "return " + " and ".join(["1"] * n),
        "text_adjacent": "return " + " ".join(["'a'"] * n),
        "conditional": "return " + "1 if 1 else " * n + "1",
        "lambdas": "return " + "lambda: " * n + "1",
        "comprehensions": "return " + "[" * 200 + "1" + " for x in [1]]" * 200,
        "fstring": "return " + "f'{" * 60 + "1" + "}'" * 60,
        "elif": "if 1:\n    pass\n" + "elif 1:\n    pass\n" * 500 + "return 1",
        "if": "\n".join(" " * depth + "if 1:" for depth in range(99)) + "\n" + " " * 99 + "pass",
        "while": "\n".join(" " * d + "while 1:" for d in range(40)) + "\n" + " " * 40 + "pass",
        "targets": "(" * n + "a" + ",)" * n + " = 1",
        "assignments": "a = " * n + "1",
        "starred": "return [" + "*[" * n + "1" + "]" * n + "]",
        "walrus": "return " + "(a := " * n + "1" + ")" * n,
        # The same just below what one line may hold, where the scanner must count.
        "short_brackets": "return " + "(" * 40 + "1" + ")" * 40,
        "short_unary": "return " + "-" * 120 + "1",
        "short_sum": "return " + "+".join(["1"] * 60) + "\\\n",
        "many_lines_sum": "return (\n" + "\n".join(["    1 +"] * 900) + "\n    1\n)",
        "many_lines_calls": "return (\n" + "\n".join(["    len("] * 900) + "\n    1\n" + ")" * 901,
        "many_lines_attributes": "return (self\n" + "\n".join(["    .ctx"] * 900) + "\n)",
        "many_lines_texts": "return (\n" + "\n".join(["    'a'"] * 1_500) + "\n)",
        "many_lines_dict": "return {\n" + "\n".join(["    1: 1,"] * 1_500) + "\n}",
        "many_lines_conditional": "return (\n"
        + "\n".join(["    1 if 1 else"] * 900)
        + "\n    1\n)",
    }
    for name, source in bodies.items():
        yield name, whole("body", source + "\n")


def _long() -> Iterator[tuple[str, Files]]:
    """More of everything than a module may have."""
    bodies = {
        "line": "x = '" + "a" * 50_000 + "'\nreturn 1\n",
        "statements": "x = 1\n" * 6_500 + "return x\n",
        "identifier": "x" * 40_000 + " = 1\nreturn 1\n",
        "digits": "return " + "9" * 5_000 + "\n",
        "hex_digits": "return 0x" + "f" * 150 + "\n",
        "locals": "".join(f"a{i} = 1\n" for i in range(1_500)) + "return a1\n",
        "arguments": "return max(\n" + "    1,\n" * 1_500 + ")\n",
        "semicolons": "1;" * 90 + "\n",
        "blank_lines": "\n" * 50_000 + "return 1\n",
        "tokens": ("x = [" + "1," * 90 + "]\n") * 250 + "return 1\n",
        "handlers": "try:\n    pass\n" + "except BadValue:\n    pass\n" * 900,
    }
    for name, source in bodies.items():
        yield name, whole("body", source)

    def functions(count: int, body: str, last: str) -> str:
        made = [f"def f{i}(n: int) -> int:\n    return {body.format(i + 1)}" for i in range(count)]
        return "\n\n\n".join([*made, f"def f{count}(n: int) -> int:\n    return {last}"])

    # A list of all records is handed on from one to the next: 2**28 calls, and as many paths for
    # whoever walks over the graph of calls without remembering.
    fan = functions(28, "f{0}(n) + f{0}(n)", "n")
    files = {
        "source": "# " + "x" * 190 + "\n" + ("# " + "x" * 190 + "\n") * 350,
        "call_chain": functions(300, "f{0}(n)", "n"),
        "call_fan": fan,
        "parameters": "def f(\n"
        + "".join(f"    a{i}: int,\n" for i in range(1_500))
        + ") -> int:\n"
        "    return 1\n",
        "bases": "class R0(Record):\n    a: int = 1\n"
        + "".join(f"\n\nclass R{i}(R{i - 1}):\n    a{i}: int = 1\n" for i in range(1, 400)),
        "classes": "\n\n".join(f"class R{i}(Record):\n    a: int\n" for i in range(450)),
        "record_fields": "class R(Record):\n" + "".join(f"    a{i}: int\n" for i in range(1_900)),
        "constants": "A0 = (1, 1)\n"
        + "".join(f"A{i} = (A{i - 1}, A{i - 1})\n" for i in range(1, 60)),
        "constant_texts": "A0 = 'x' * 1000\n"
        + "".join(f"A{i} = (A{i - 1}, A{i - 1}, A{i - 1}, A{i - 1})\n" for i in range(1, 7)),
        "optional_aliases": "A0 = list[int]\n"
        + "".join(f"A{i} = list[A{i - 1}] | None\n" for i in range(1, 300)),
        "choices": "X = Annotated[str, Choice(\n"
        + "".join(f"    'w{i}',\n" for i in range(1_500))
        + ")]",
    }
    for name, source in files.items():
        head = "from typing import Annotated\n\nfrom contracts.sdk import Choice\n" + HEAD_ONLY
        yield name, ((PATH, head + source + TAIL.format("f0(1)" if "call" in name else 1)),)
    contract = ("contracts/mine/last.py", HEAD_ONLY + TAIL.format(1))
    small = [(f"contracts/mine/f{i}.py", f"A{i} = 1\n") for i in range(40)]
    yield "many_files", (*small, contract)
    big = [(f"contracts/mine/f{i}.py", ("# " + "x" * 190 + "\n") * 400) for i in range(31)]
    yield "many_bytes", (*big, contract)
    yield "path", (("a" * 5_000 + ".py", "A = 1\n"), contract)


def _bytes() -> Iterator[tuple[str, Files]]:
    """Bytes that a tokenizer may read in more than one way."""
    begun = HEAD + RUN
    plain = begun + "        return 1\n"
    texts = {
        "empty": "",
        "byte_order_mark": "\ufeff" + plain,
        "encoding_cookie": "# -*- coding: utf-7 -*-\n" + plain,
        "encoding_cookie_rot13": "# coding: rot13\n" + plain,
        "null": plain + "\0",
        "null_in_text": begun + "        return '\0'\n",
        "form_feed": begun + "        x = 1\n\f        return x\n",
        "vertical_tab": begun + "        return\v1\n",
        "carriage_return": begun + "        x = 1\r        return x\n",
        "crlf": plain.replace("\n", "\r\n"),
        "comment_ended_by_return": begun + "        # x\reval('1')\n",
        "tabs": begun + "\treturn 1\n",
        "control_z": plain + "\x1a",
        "escape": begun + "        return 1  # \x1b[2J\n",
        "delete": begun + "        return 1  # \x7f\n",
        "no_break_space": begun + "        return\u00a01\n",
        "soft_hyphen": begun + "        return 1  # \u00ad\n",
        "zero_width_joiner": begun + "        x\u200d = 1\n",
        "right_to_left": begun + "        x = 1  # \u202e\n",
        "fullwidth_builtin": begun + "        return \uff45\uff56\uff41\uff4c('1')\n",
        "surrogate": plain + "# \ud800\n",
        "line_separator": begun + "        # x\u2028        eval('1')\n",
        "next_line": begun + "        # x\x85        eval('1')\n",
        "no_newline_at_end": plain.rstrip("\n"),
        "backslash_at_end": plain + "\\",
        "backslash_in_comment": begun + "        # \\\n        return 1\n",
        "open_bracket_at_end": plain + "(",
        "open_text_at_end": plain + '"""',
        "only_comment": "# nothing\n",
        "not_python": "SELECT * FROM state;\n",
        "dedent_to_nowhere": begun + "        x = 1\n      y = 2\n",
        "indented_first_line": " x = 1\n" + plain,
    }
    for name, text in texts.items():
        yield name, ((PATH, text),)
