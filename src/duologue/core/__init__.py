"""The sans-IO session: the same inputs give the same outputs.

Inputs (`inputs.py`) go into `session.Session.handle`, outputs (`outputs.py`) come back.
No I/O, clock, randomness or logging in here; ids and time are passed in.
"""
