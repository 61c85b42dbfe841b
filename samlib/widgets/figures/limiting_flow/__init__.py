"""A network trained by SAM, against the limiting flows of the theorems."""
