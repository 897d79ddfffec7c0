"""Protocols that tell how good recommendations are."""
