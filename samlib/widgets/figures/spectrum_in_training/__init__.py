"""The spectrum of the Hessian while a network is trained."""
