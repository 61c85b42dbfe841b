"""The figure RandomDirections: how much of the worst a random direction finds."""
