"""Three notions of sharpness at one point of a two-dimensional loss."""
