"""Backups: two halves that never lie together, each signed by the keyholder, and the way back onto an empty machine."""
