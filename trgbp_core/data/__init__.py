"""A stranger's file becomes a safe picture; data sets, labels and examples."""
