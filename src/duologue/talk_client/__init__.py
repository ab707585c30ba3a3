"""`duologue talk`: a client for people, built on the stock `openai` SDK.

Recordings (or a microphone) go in at the speed of speech; transcripts, a spoken answer and a
latency waterfall come out. It knows the server only over the wire, so it talks to any
Realtime server.

    command       arguments, exit codes
    recording     sound files ↔ 24 kHz mono samples, where the speech in them ends
    line          the sending side: a frame every 20 ms, silence when nobody speaks
    turn          the receiving side: what one turn brought, and when
    playout       when each sample of an answer is heard
    conversation  turns over one connection
    display       what is printed
    microphone    a sound device in place of recordings
    server        a server of its own, where none runs
"""

from duologue.talk_client.command import add_arguments, run

__all__ = ["add_arguments", "run"]
