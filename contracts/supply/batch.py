"""placeholder"""

from contracts.sdk import Contract


class Batch(Contract):
    """x"""

    name = "batch"
