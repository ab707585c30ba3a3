"""The engine `realtime`: any server of the Realtime protocol, each talk one session of it.

    notes ─► talk ─► orders ─► link ─► the upstream
    reply events ◄─ reply ◄─ talk ◄─ events ◄─ link

Our server owns the floor: the upstream's turn detection is off, it gets whole items and is
asked for replies. `wire` reads its events, `items` and `asks` write ours, `reply` turns one
response into reply events, `runs` knows which is which, `conversation` keeps the history here and
there, `link` is one WebSocket, `ear` and `sound` know the formats that it hears and speaks in,
`sessions` how a talk comes from one to the next and `settings` what each is told. `live` is the
talk with a model that owns the floor itself, `turns` and `speech` are what it hears and says.
"""
