"""The spool: the sealed waiting place of one node. `smtp` writes `in`, the worker drains it; `out` is the worker's own.

Promises: what a finished item's future answers is durable; nobody without an epoch's private key opens an item;
an unsigned, swapped, cut or flipped record is refused and named and the others go on. Bytes: `FORMAT.md`.
"""
