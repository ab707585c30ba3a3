"""The speech engines, unaware of each other, behind the one protocol of `runtime/ports.py`."""
