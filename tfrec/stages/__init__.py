"""The spine: one function per stage, and the artefacts between them."""
