"""What other libraries need to work with samlib: one module each, imported only when asked for."""
