"""The sharpness of a network of your own."""
