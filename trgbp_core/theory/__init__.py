"""What theory predicts of a map: coverage, moments, noise, the frame, randomised weights."""
