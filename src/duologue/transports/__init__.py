"""Adapters to networks. Each carries one session's events; none knows an engine or the others."""
