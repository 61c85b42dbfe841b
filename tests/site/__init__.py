"""The tests of the built book."""
