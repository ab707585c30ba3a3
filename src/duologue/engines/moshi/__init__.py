"""A full-duplex model in this process: Moshi and its codec Mimi, one frame of 80 ms at a time.

    talk        satisfies `LiveTalk`: sound in, what the model does out
    clock       the one thread that owns the model: gathers frames, steps, hands out
    floor       whose turn it is, judged from each frame
    text        pieces of words out of text tokens
    frames      the port between clock and model
    model       one step of all places: codec, language model, codec   (torch from here on)
    language, codec, ring, weights

Sound goes down this list and comes back up it. Only the last two lines import torch, which the
optional extra `duologue[moshi]` brings.
"""
