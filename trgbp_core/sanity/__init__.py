"""The sanity check: cascading randomisation."""
