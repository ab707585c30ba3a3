"""Speech models behind an OpenAI-compatible chat-completions server, as an engine."""
