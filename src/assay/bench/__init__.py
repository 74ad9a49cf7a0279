"""What detectors are worth, measured: corpora in, scores and intervals out. Never imported by what screens."""
