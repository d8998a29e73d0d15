"""Maps become pictures."""
