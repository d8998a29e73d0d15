"""One recorded forward pass and the two backward rules (Eqs. 4 and 8), on torch alone."""
