"""A topic that is written at a pace, in the background."""
import threading
import time

from broker import produce_lines


class Stream(threading.Thread):
    """All lines of the files within about so many seconds; `sent` says how far it is."""

    def __init__(self, broker, topic, paths, rows, seconds, rng):
        super().__init__(name=f"stream of {topic}", daemon=True)
        self.arguments = (broker, topic, paths, self.pace, rng)
        self.rows = rows
        self.seconds = seconds
        self.sent = 0
        self.error = None
        self.started = None

    def pace(self, count):
        self.sent = count
        if count % 500 == 0:
            ahead = self.started + self.seconds * count / self.rows - time.monotonic()
            if ahead > 0:
                time.sleep(ahead)

    def run(self):
        self.started = time.monotonic()
        try:
            assert produce_lines(*self.arguments) == self.rows
        except BaseException as error:
            self.error = error

    def going(self):
        assert self.error is None, self.error
        return self.is_alive()
