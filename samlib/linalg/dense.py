"""Up to what size a matrix is formed and diagonalized."""

# Up to this many parameters a dense symmetric eigendecomposition of a whole batch is cheaper than
# an iteration point by point.
DENSE_DIM = 64
