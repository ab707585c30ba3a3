"""What can go wrong in `duologue talk`, in words for the person at the keyboard."""


class TalkFault(Exception):
    """The conversation could not be held; `str()` says why and what to do."""

    exit_code = 1


class RecordingFault(TalkFault):
    """A sound file cannot be read or written, or there is no sound device."""

    exit_code = 2


class ServerFault(TalkFault):
    """No server answers, or none could be started."""

    exit_code = 3
