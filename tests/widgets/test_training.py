"""The classifier that a page trains: its numbers against samlib, its script, its worker."""

from __future__ import annotations

from pathlib import Path

from . import training_numbers
from .nodejs import compare


def test_every_iterate_is_samlibs(tmp_path: Path) -> None:
    compare("training", training_numbers.expect_training(), tmp_path)


def test_curvature_is_that_of_the_dense_hessian(tmp_path: Path) -> None:
    compare("training_curvature", training_numbers.expect_curvature(), tmp_path)


def test_kernels_multiply_as_plain_javascript_does(tmp_path: Path) -> None:
    compare("training_arithmetic", {}, tmp_path)


def test_a_reader_finds_what_the_book_says(tmp_path: Path) -> None:
    compare("training_effects", training_numbers.expect_effects(), tmp_path)
