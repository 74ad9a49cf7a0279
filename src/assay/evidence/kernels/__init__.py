"""Compiled numeric loops that detectors share: pure functions of arrays."""
