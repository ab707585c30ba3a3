"""gpt-realtime that you own."""

import os

__version__ = "0.1.0"

# Libraries that would tell their makers of your use of them. They look at this when they are
# loaded, so it stands before all else; who wants it otherwise sets the variable.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
