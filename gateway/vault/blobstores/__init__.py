"""Blob stores: one file each, registered by the scheme of its URL."""
