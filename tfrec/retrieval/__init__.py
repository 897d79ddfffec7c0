"""Indexes of the catalogue, and what they promise."""
