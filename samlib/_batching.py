"""How much is computed together: enough to be fast, little enough to fit into memory."""

# Points, starts or directions are treated together as long as their numbers fit into about this
# many. Beyond it, a batch saves no time and costs memory.
NUMBERS_AT_ONCE = 2**24

# The same for a network, whose need is measured: in bytes.
BYTES_AT_ONCE = 2**26


def how_many_at_once(numbers: int) -> int:
    """How many things of so many numbers each are treated together: at least one."""
    return max(1, NUMBERS_AT_ONCE // numbers)
