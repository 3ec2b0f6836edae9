"""The demo: a made clinic on loopback, with a mail sink and a pretend phone on another origin than the portal.

Everything goes through the real relay, keyholder, vault, log and portal; only the outside world is made here.
"""
