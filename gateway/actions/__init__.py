"""What can be done with a message: deliver it as it is, seal parts of it, make it a secure message, hold it, bounce it.

An action makes durable things (sealed objects, deposits, outbound copies) and returns the rows and events that the flow
commits in one transaction; it writes no row itself (DESIGN §4, "Order of effects").
"""
