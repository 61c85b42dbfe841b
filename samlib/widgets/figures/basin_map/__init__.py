"""Where every start goes: a map of starts, each in the color of its end."""
