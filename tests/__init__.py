"""The tests of the book and of samlib."""
