"""A relay between callers and a server that notes when the kernel got each packet of sound.

    caller ◄──► [tap] ◄──► server        tap.sent[call]: time and number of every RTP packet

The callers of a bench are as busy as the server, so the times at which they take their packets say
more about them. The kernel's own times of arrival are right however late the tap reads them.
"""

import re
import select
import socket
import struct
import threading

CANDIDATE = re.compile(r"^(a=candidate:\S+ \d+ udp \d+) (\S+) (\d+) typ", re.MULTILINE | re.I)

SO_TIMESTAMPNS = 35
"""Linux: the time of arrival rides with a datagram. Python has no name for it."""


class Tap(threading.Thread):
    """Relays in a thread of its own until it is closed."""

    def __init__(self) -> None:
        super().__init__(name="tap", daemon=True)
        self.sent: dict[int, list[tuple[float, int]]] = {}
        """By call: when a packet of sound came from the server (seconds), and its number."""
        self._ends: dict[int, tuple[socket.socket, socket.socket]] = {}
        self._onward: dict[int, tuple[int, bool, socket.socket]] = {}
        self._to: dict[int, tuple[str, int]] = {}
        self._poll = select.epoll()
        self._is_closed = False

    def offer(self, call: int, sdp: str) -> str:
        """The caller's offer as the server is to see it."""
        near, far = self._ends[call] = _socket(), _socket()
        self._onward[near.fileno()] = call, False, far
        self._onward[far.fileno()] = call, True, near
        self.sent[call] = []
        return self._through(sdp, near, far)

    def answer(self, call: int, sdp: str) -> str:
        """The server's answer as the caller is to see it."""
        near, far = self._ends[call]
        shown = self._through(sdp, far, near)
        for end in (near, far):
            self._poll.register(end, select.EPOLLIN)
        return shown

    def close(self) -> None:
        """Relay no more."""
        self._is_closed = True
        self.join()
        for ends in self._ends.values():
            for end in ends:
                end.close()
        self._poll.close()

    def run(self) -> None:
        while not self._is_closed:
            for number, _ in self._poll.poll(0.1):
                call, is_down, out = self._onward[number]
                self._carry(number, call, is_down, out)

    def _carry(self, number: int, call: int, is_down: bool, out: socket.socket) -> None:
        source = self._ends[call][is_down]
        try:
            data, extra, _, _ = source.recvmsg(2048, 64)
            out.sendto(data, self._to[out.fileno()])
        except OSError:  # the other side has gone
            return
        # RTP, and not RTCP (RFC 5761, section 4).
        if is_down and len(data) > 12 and 128 <= data[0] < 192 and not 192 <= data[1] < 224:
            seconds, nanoseconds = struct.unpack("qq", extra[0][2][:16])
            self.sent[call].append((seconds + nanoseconds / 1e9, int.from_bytes(data[2:4], "big")))

    def _through(self, sdp: str, onward: socket.socket, shown: socket.socket) -> str:
        first = CANDIDATE.search(sdp)
        assert first, sdp
        # What comes in at `onward` leaves at `shown` to the one whose description this is.
        self._to[onward.fileno()] = first[2], int(first[3])
        host, port = shown.getsockname()
        return CANDIDATE.sub(rf"\g<1> {host} {port} typ", sdp)


def _socket() -> socket.socket:
    end = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    end.bind(("127.0.0.1", 0))
    end.setblocking(False)
    end.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
    return end
