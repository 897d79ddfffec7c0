"""Embedding tables and their use."""
