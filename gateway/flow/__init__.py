"""The use cases: what happens in which order, joining the rooms below that do not know each other."""
