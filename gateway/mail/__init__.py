"""Internet mail as values: read in one pass by byte ranges, rewritten by copying ranges, never re-serialised.

A pure room: no files, sockets, clock or database. Whatever the bytes are, reading them never raises; what readers
could understand in two ways is flagged, so that the caller acts on the stricter reading.
"""
