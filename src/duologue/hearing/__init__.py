"""Hearing: voice activity and the words of the user's speech, for all sessions together."""
