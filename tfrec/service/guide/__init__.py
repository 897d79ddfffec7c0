"""The shopping guide: what a sentence asks for, and what suits it."""
