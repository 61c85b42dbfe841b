"""The same function with other weights: any sharpness."""
