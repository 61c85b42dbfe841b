"""What the libraries in use, and samlib, are asked about curvature, and how each is asked."""
