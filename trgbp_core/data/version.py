"""Which version this is, and what to cite."""

VERSION = "0.1.0"

CITATION = f"""Cite the paper of the method:
  Towards Predictable Feature Attribution: Revisiting and Improving Guided Backpropagation (TR-GBP).
and this software: TR-GBP Explorer, version {VERSION} (CITATION.cff in the repository)."""
