"""Sound as numbers: formats and lengths. Imports nothing of ours."""
