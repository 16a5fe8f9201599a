"""The closed world of names: all that contract source may say, frozen for this runtime version.

What is on none of these lists and not declared in the package does not exist.
"""

from __future__ import annotations

from typing import Final

# --- contracts.sdk: name -> what it is -----------------------------------------------------------
BASE, DECLARER, DECORATOR, FIELD, TYPE, VALUE, ERROR, FUNCTION = (
    "base class",
    "declaration",
    "decorator",
    "field type",
    "type",
    "value class",
    "error",
    "function",
)
_SDK_LISTS: Final = {
    BASE: "Contract Record",
    DECLARER: "Map Index Counter Opened",
    DECORATOR: "call query check genesis migrate timed",
    FIELD: "Blob Bool Choice Int Party Personal Size Text",
    TYPE: (
        "Bic ContainerNumber Context Currency Date DocumentHash Gln Gtin Iban Item Lei LotNumber "
        "Findings OrganisationId PublicKey Sscc Timestamp UnLocode VerdictCode"
    ),
    VALUE: "Money Quantity Task Verdict",
    ERROR: "BadValue ContractError",
    FUNCTION: "date_text gs1_date iso_date iso_time lot_path opens refuse sha256 time_text",
}
SDK: Final = {name: kind for kind, names in _SDK_LISTS.items() for name in names.split()}
TYPING: Final = frozenset(("Annotated", "Any", "Final"))

# --- attributes of what the SDK hands out --------------------------------------------------------
CONTRACT_DATA: Final = frozenset(("ctx", "name", "version"))
CONTRACT_METHODS: Final = frozenset(
    ("emit", "invoke", "require", "due", "cancel", "share", "check_package")
)
# Those that may take ``**fields``.
SPREADING: Final = frozenset(("emit", "invoke", "due"))
DECLARED_METHODS: Final = {
    "Map": frozenset(("get", "put", "delete", "values", "keys", "items")),
    "Index": frozenset(("values", "keys")),
    "Counter": frozenset(("add",)),
    "Opened": frozenset(("open",)),
}
DECLARED_DATA: Final = {
    "Map": frozenset[str](),
    "Index": frozenset[str](),
    "Counter": frozenset(("value",)),
    "Opened": frozenset[str](),
}
CONTEXT_SCALARS: Final = frozenset(
    """
    chain_id height time_ms today caller organisation tx_id tx_index call_index
    """.split()  # noqa: SIM905
)
SDK_DATA: Final = (
    CONTEXT_SCALARS
    | {"roles", "attributes", "callers"}  # of ctx
    | {"value"}  # of a counter
    | {"code", "message"}  # of an error
    | {"amount", "unit"}  # of a quantity
    | {"minor", "currency", "digits", "text"}  # of money
    | {"findings"}  # of a verdict
)
SDK_SETTABLE: Final = frozenset(("amount", "unit"))
# Those that compute something.
COMPUTED: Final = frozenset(("today", "digits", "text", "plus", "minus"))
SDK_METHODS: Final = frozenset(
    ("get", "put", "delete", "values", "keys", "items", "add", "open", "plus", "minus")
)

# What stands in the state under these names is no contract's.
RESERVED_CONTRACTS: Final = frozenset(("consensus", "due"))

# --- builtins ------------------------------------------------------------------------------------
BUILTIN_TYPES: Final = frozenset(("bool", "bytes", "dict", "int", "list", "str", "tuple"))
# Those that need no guard: constant time, and the same on every version.
PLAIN_BUILTINS: Final = frozenset(("abs", "bool", "divmod", "isinstance", "len", "range"))
# name -> keyword arguments that it may be given
BUILTINS: Final[dict[str, frozenset[str]]] = {
    "abs": frozenset(),
    "all": frozenset(),
    "any": frozenset(),
    "bool": frozenset(),
    "bytes": frozenset(),
    "dict": frozenset(),
    "divmod": frozenset(),
    "enumerate": frozenset(("start",)),
    "int": frozenset(),
    "isinstance": frozenset(),
    "len": frozenset(),
    "list": frozenset(),
    "max": frozenset(("key", "default")),
    "min": frozenset(("key", "default")),
    "range": frozenset(),
    "reversed": frozenset(),
    "sorted": frozenset(("key", "reverse")),
    "str": frozenset(),
    "sum": frozenset(),
    "tuple": frozenset(),
    "zip": frozenset(("strict",)),
}
# name -> the kinds of data that have it. Each is guarded: checked by type, charged by size.
BUILTIN_METHODS: Final = {
    "append": "list",
    "capitalize": "text",
    "clear": "list, dict",
    "copy": "list, dict",
    "count": "text, bytes, list, tuple",
    "decode": "bytes",
    "encode": "text",
    "endswith": "text, bytes",
    "extend": "list",
    "find": "text, bytes",
    "get": "dict",
    "hex": "bytes",
    "index": "text, bytes, list, tuple",
    "insert": "list",
    "isalnum": "text",
    "isalpha": "text",
    "isascii": "text",
    "isdigit": "text",
    "items": "dict",
    "join": "text, bytes",
    "keys": "dict",
    "ljust": "text",
    "lower": "text",
    "lstrip": "text",
    "partition": "text, bytes",
    "pop": "list, dict",
    "remove": "list",
    "removeprefix": "text, bytes",
    "removesuffix": "text, bytes",
    "replace": "text, bytes",
    "reverse": "list",
    "rfind": "text, bytes",
    "rjust": "text",
    "rpartition": "text, bytes",
    "rstrip": "text",
    "setdefault": "dict",
    "sort": "list",
    "split": "text, bytes",
    "startswith": "text, bytes",
    "strip": "text",
    "update": "dict",
    "upper": "text",
    "values": "dict",
    "zfill": "text",
}

# Public attributes that text, bytes, numbers, lists, tuples, maps, ranges, errors or the context
# have on some Python version. A package may declare such a name; wherever it is used on an object
# that could be one of these, the instrumented code asks first.
SHARED_ATTRIBUTES: Final = frozenset(
    """
    add_note append args as_integer_ratio bit_count bit_length capitalize casefold center
    clear conjugate copy count decode denominator encode endswith expandtabs extend find
    format format_map from_bytes fromhex fromkeys get hex imag index insert is_integer isalnum
    isalpha isascii isdecimal isdigit isidentifier islower isnumeric isprintable isspace
    istitle isupper items join keys ljust lower lstrip maketrans numerator partition pop
    popitem real remove removeprefix removesuffix replace reverse rfind rindex rjust
    rpartition rsplit rstrip setdefault sort split splitlines start startswith step stop strip
    swapcase title to_bytes translate update upper values with_traceback zfill
    """.split()  # noqa: SIM905
)
# Attributes of functions, frames, code, generators, classes and named tuples, which no contract
# holds: they can't even be declared.
FORBIDDEN_ATTRIBUTES: Final = frozenset(
    """
    _asdict _field_defaults _fields _from_flags _make _replace ag_await ag_code ag_frame
    ag_running ag_suspended cell_contents co_argcount co_cellvars co_code co_consts
    co_exceptiontable co_filename co_firstlineno co_flags co_freevars co_kwonlyargcount
    co_lines co_linetable co_lnotab co_name co_names co_nlocals co_positions
    co_posonlyargcount co_qualname co_stacksize co_varnames cr_await cr_code cr_frame
    cr_origin cr_running cr_suspended f_back f_builtins f_code f_contiguous f_globals f_lasti
    f_lineno f_locals f_trace f_trace_lines f_trace_opcodes fdel fget fset func_closure
    func_code func_defaults func_dict func_globals func_name gi_code gi_frame gi_running
    gi_suspended gi_yieldfrom im_class im_func im_self mro tb_frame tb_lasti tb_lineno tb_next
    """.split()  # noqa: SIM905
)


def forbidden(name: str) -> bool:
    """Whether a name can't be declared or used at all."""
    return "__" in name or name in FORBIDDEN_ATTRIBUTES


# Names of the instrumented code's own: no contract can write them, and they do not begin with "__",
# so that classes do not rename them.
METER: Final = "h__m"
LEFT: Final = "h__l"
TEMPORARY: Final = "h__t"
GUARD: Final = "h__"
