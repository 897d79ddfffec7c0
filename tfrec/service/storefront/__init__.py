"""A small shop to look at, drawn by the service."""
