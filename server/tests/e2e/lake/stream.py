"""A topic that is written at a pace, in the background."""
import threading
import time

from broker import produce_lines
from process import POLL_SECONDS

# How long it waits for those who are behind, in all.
WAIT_SECONDS_MAX = 120


class Stream(threading.Thread):
    """All lines of the files within about so many seconds, or more while `is_behind` says so of the part sent."""

    def __init__(self, broker, topic, paths, rows, seconds, rng, is_behind=lambda part: False):
        super().__init__(name=f"stream of {topic}", daemon=True)
        self.arguments = (broker, topic, paths, self.pace, rng)
        self.rows = rows
        self.seconds = seconds
        self.is_behind = is_behind
        self.waited = 0.0
        self.error = None
        self.started = None

    def pace(self, count):
        if count % 500 == 0:
            ahead = self.started + self.seconds * count / self.rows - time.monotonic()
            if ahead > 0:
                time.sleep(ahead)
            while self.is_behind(count / self.rows) and self.waited < WAIT_SECONDS_MAX:
                time.sleep(POLL_SECONDS)
                self.waited += POLL_SECONDS

    def run(self):
        self.started = time.monotonic()
        try:
            assert produce_lines(*self.arguments) == self.rows
        except BaseException as error:
            self.error = error

    def going(self):
        assert self.error is None, self.error
        return self.is_alive()
