"""Full-batch SAM drifts one way along the minimizers, 1-SAM the other."""
