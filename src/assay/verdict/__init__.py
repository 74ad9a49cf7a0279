"""What findings come to: calibrated, capped, fused, explained."""

from assay.verdict.calibration import Context
from assay.verdict.explain import explain_problem
from assay.verdict.fusion import fuse

__all__ = ["Context", "explain_problem", "fuse"]
