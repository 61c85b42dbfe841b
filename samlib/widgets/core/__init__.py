"""What the figures share, one concept a module."""
