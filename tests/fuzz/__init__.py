"""Made-up bytes against what reads bytes of strangers; see `tests/fuzz/README.md`."""
