"""What is searched: a module for each target.

Each has `check(data)`, which raises when a promise is broken; `SEEDS`, from which a search starts; `WORDS`, which it
puts in; and `ROOMS`, whose branches it follows.
"""
