"""The stages as a TFX pipeline; nothing else in the package imports TFX."""
