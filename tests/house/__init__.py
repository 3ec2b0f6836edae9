"""Checkable rules of the house: floors, lengths, settings, dependencies, the tree, the wheel."""
