"""Numbers about maps: localisation, perturbation, similarity."""
