"""One TFX component a file: it reads its inputs' paths and calls a stage."""
