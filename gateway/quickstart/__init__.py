"""The real set-up in one command: users, configuration, certificate, installation, first administrator, units.

Promises: asks nothing that it can find out; overwrites nothing and may be run again, going on where it stopped; begins
with the policy `observe`, under which mail passes unchanged. DESIGN §8, PAGES §3.3.
"""
