"""Examples that stand at the beginning of every conversation: how to answer, how to call.

Small models follow examples better than rules. The functions in them are nobody's own, so
that no session's request is answered by copying one.
"""

PLAIN_EXAMPLES = (
    ("Hi there.", "Hello! What can I do for you?"),
    ("Is it late already?", "I can't tell, I have no clock."),
    ("Who wrote Hamlet?", "William Shakespeare wrote Hamlet."),
    ("Count down from five.", "Five, four, three, two, one."),
    ("Turn off the lights, please.", "Sorry, I can't do that, I can only talk with you."),
)

LONG_EXAMPLES = (
    (
        "Count from twenty to forty.",
        "Twenty, twenty-one, twenty-two, twenty-three, twenty-four, twenty-five, twenty-six, "
        "twenty-seven, twenty-eight, twenty-nine, thirty, thirty-one, thirty-two, thirty-three, "
        "thirty-four, thirty-five, thirty-six, thirty-seven, thirty-eight, thirty-nine, forty.",
    ),
)
"""Some answers are longer than two sentences. Before functions it would cost calls: what so
long an answer stands before is answered in words more often."""

KNOWLEDGE_EXAMPLES = (
    ("Who wrote Hamlet?", "William Shakespeare wrote Hamlet."),
    ("How many legs does a spider have?", "A spider has eight legs."),
)
"""Left out where a function brings examples of its own: it may be the one that knows."""

TOOL_EXAMPLES = (
    ("Play some jazz.", '{"name":"play_music","arguments":{"genre":"jazz"}}'),
    KNOWLEDGE_EXAMPLES[0],
    ("Is anybody at the door?", '{"name":"look_at_camera","arguments":{"place":"front door"}}'),
    KNOWLEDGE_EXAMPLES[1],
    ("Thanks, that's all.", "You're welcome. Have a great day!"),
)
