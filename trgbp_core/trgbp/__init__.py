"""TR-GBP itself: the layers' maps, their sum and what the top classes share (Eqs. 8-10)."""
