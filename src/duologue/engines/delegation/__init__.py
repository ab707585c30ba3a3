"""A fast voice in front, a stronger text model behind it: any engine, with one tool more.

core ──asks──► DelegatingTalk ──asks + tool──► the engine in front ──call──► the model behind
core ◄──one reply── DelegatingTalk ◄──events── the engine in front ◄─result──┘
"""
