"""The public test kit: a timeline to write voice tests in, a pure client, replay of tapes."""
