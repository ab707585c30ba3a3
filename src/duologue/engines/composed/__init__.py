"""The engine made of parts: an ear, a mind, a mouth and an eye, here or on other servers.

    sound ──ear──► words ──mind──► words and calls ──mouth──► sound

A mind that takes sound gets it past the ear, which then hears for the client's transcript only.
It knows its parts by their ports (`parts.py`); `engines.light` and `engines.remote` have them.
"""
