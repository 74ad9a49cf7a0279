"""Makers of small media, and the check that every detector should pass: for tests of detectors and programs."""

from assay.testing.check import check_detector

__all__ = ["check_detector"]
