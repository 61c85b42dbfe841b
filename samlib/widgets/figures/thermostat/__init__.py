"""The multiplier of each eigenvalue, bent by the length of the gradient: SAM's thermostat."""
