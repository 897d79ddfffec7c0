"""From raw logs to transformed Examples, and reading them back."""
