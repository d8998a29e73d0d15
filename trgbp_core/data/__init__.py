"""An uploaded file becomes a safe picture; data sets, labels and examples."""
