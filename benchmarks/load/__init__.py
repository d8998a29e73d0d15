"""Many clients at once against the named endpoints: ``python -m benchmarks load``."""
