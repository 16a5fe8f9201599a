"""Guards: the operations whose cost or result hangs on their operands.

Instrumented code calls these instead of an operator, a method or a built-in function. Each looks at
exact types, takes the steps by size before it works, and bounds what it makes. What comes out is
never a matter of the Python version: texts go by ASCII alone, maps give lists, errors are errors on
every version.
"""

from __future__ import annotations

from contracts.runtime.comparing import comparisons, ordering
from contracts.runtime.containers import containers
from contracts.runtime.functions import functions, texts
from contracts.runtime.methods import methods
from contracts.runtime.operators import operators
from contracts.runtime.sizes import FieldsOf, Names, Sizes


def guards(sizes: Sizes, fields_of: FieldsOf) -> Names:
    """All guards of one meter, by their names in instrumented code without its prefix."""
    compared, ordered = comparisons(sizes, fields_of), ordering(sizes)
    return {
        "key": sizes.key,
        **operators(sizes),
        **compared,
        **ordered,
        **containers(sizes, fields_of),
        **functions(sizes),
        **texts(sizes),
        **methods(sizes, compared["eq"], ordered["in_order"]),
    }
