"""WebRTC: one session over one peer connection; sound as Opus, events on a data channel.

    browser ─ RTP ─► inbound ─► line.hear        runner ─► playout ─► pacer ─► RTP ─► browser
    browser ─ oai-events ─► line.receive         line.next_event ─► oai-events ─► browser

`peer` is the connection itself (aiortc), `ice` where it listens, `call` carries the session.
"""
