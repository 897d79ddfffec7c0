"""Files that servers are started with, rendered from what they are to serve."""
