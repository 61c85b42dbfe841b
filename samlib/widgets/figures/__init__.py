"""The figures, a folder each: model, still and widget."""
