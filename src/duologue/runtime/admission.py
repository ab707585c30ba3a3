"""Whether instructions and tools leave room for a conversation, before they are agreed to.

A `session.update` or `response.create` goes in; out comes the refusal of it, or None. Only the
engine can count, which takes time, so it is done here on the way to the inbox and not in the
core. What the engine cannot tell now its reply will tell later (open point GAP-9).
"""

import logging

from duologue.core.inputs import BadEvent
from duologue.core.talk import Ask
from duologue.errors import EngineFault
from duologue.events import ResponseCreate, SessionUpdate
from duologue.runtime.ports import Talk

logger = logging.getLogger(__name__)

TOO_LONG = "context_length_exceeded"


async def refused(
    event: SessionUpdate | ResponseCreate, proposed: Ask | None, talk: Talk
) -> BadEvent | None:
    """The refusal of `event`, by which the engine would be asked as `proposed`, if there is one."""
    if proposed is None:
        return None
    try:
        await talk.admit(proposed)
    except EngineFault as fault:
        if fault.code == TOO_LONG:
            param = "session" if isinstance(event, SessionUpdate) else "response"
            return BadEvent(TOO_LONG, fault.message, param, event.event_id or None)
    except Exception:  # of somebody else's engine: its reply will tell, or not
        logger.exception("an engine could not say whether there is room")
    return None
