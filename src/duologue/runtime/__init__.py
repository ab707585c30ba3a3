"""The asyncio shell around the pure core: inbox, jobs, outbox, recorder, ports."""
