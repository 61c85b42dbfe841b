"""One loss, one start, three destinations."""
