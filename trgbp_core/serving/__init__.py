"""Work for many callers at once: jobs, caches, the queue of visitors, limits, uploads and Gradio's server."""
