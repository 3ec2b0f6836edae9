"""Keys of Sealgate: sealing, wrapping, signing, the signed log's arithmetic, and the keyholder.

Promises: everything directly in this package except `client` is pure (no files, sockets, clock or database); randomness
comes from the operating system. It knows nothing of `gateway`. `keys/FORMAT.md` describes every byte with test vectors.
"""
