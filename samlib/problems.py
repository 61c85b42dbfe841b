"""Networks and data that ship with the book: :mod:`samlib.networks` and :mod:`samlib.datasets`."""

from samlib.datasets import CIFAR10, MNIST1D, Digits, cifar10, digits, mnist1d
from samlib.networks import InterpolatingNetwork, interpolating_network, perceptron, resnet

__all__ = [
    "CIFAR10",
    "MNIST1D",
    "Digits",
    "InterpolatingNetwork",
    "cifar10",
    "digits",
    "interpolating_network",
    "mnist1d",
    "perceptron",
    "resnet",
]
