"""The keyholder: the one process that holds factors, grants, message shares and signing keys. DESIGN §2, §4, §4b.

It knows nothing of the gateway; the gateway speaks to it through `keys.client`, over a Unix socket per role.
"""
