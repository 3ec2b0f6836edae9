"""Measured figures beside their references, taken in the same run. What each figure is and is not: README.md here."""
