"""Which minimizers each notion of sharpness prefers."""
