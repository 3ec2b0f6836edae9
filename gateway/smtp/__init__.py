"""The SMTP door: accepts, seals into the spool, answers 250 after that is durable. No database, no keyholder.

Promises: a 250 after DATA means that a sync begun after the message's last byte has ended; trouble on our side is 451;
no word of a message, address, password or token is logged or sent back. aiosmtpd is the engine, closely wrapped.
"""
