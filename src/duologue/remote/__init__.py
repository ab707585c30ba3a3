"""Servers that parts of the engine live on: their addresses, requests and faults."""
