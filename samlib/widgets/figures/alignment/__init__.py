"""Under SAM the gradient turns towards the top eigenvector."""
