"""Strategies, the trainer, and the processes it runs in."""
