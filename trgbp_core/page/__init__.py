"""The page: layout, handlers, endpoints and tabs."""
