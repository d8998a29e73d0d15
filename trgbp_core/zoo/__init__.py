"""The networks: catalogue, loading, checkpoints, downloads, and networks of one's own."""
