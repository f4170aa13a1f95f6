"""Snapshots read by other engines while they appear, each against what was recorded when it was written."""
import random
import threading


class Audit:
    """One thread for each engine. `offer` what there is, again and again; `finish` waits for the last reading
    and returns what differed."""

    def __init__(self, engines, reads_max, seed):
        self.lock = threading.Condition()
        self.offered = {}
        self.read = {engine: set() for engine in engines}
        self.wrong = []
        self.ended = False
        self.reads_max = reads_max
        self.threads = [
            threading.Thread(target=self.work, args=(engine, read, random.Random(f"{seed} {engine}")), daemon=True)
            for engine, read in engines.items()
        ]
        for thread in self.threads:
            thread.start()

    def offer(self, snapshots):
        with self.lock:
            for recorded in snapshots:
                known = self.offered.setdefault((recorded.table, recorded.snapshot), recorded)
                again = known.differences(recorded.rows, recorded.totals)
                if again:
                    self.wrong.append(f"{recorded.table} {recorded.snapshot} was recorded otherwise before: {again}")
            self.lock.notify_all()

    def next(self, engine, rng):
        """An unread snapshot, of a table of which the fewest were read; `None` when there is no more to do."""
        read = self.read[engine]
        with self.lock:
            while True:
                left = [key for key in self.offered if key not in read]
                if (self.ended and not left) or len(read) >= self.reads_max or self.wrong:
                    return None
                if left:
                    of_table = {table: 0 for table, _ in self.offered}
                    for table, _ in read:
                        of_table[table] += 1
                    fewest = min(of_table[table] for table, _ in left)
                    key = rng.choice([key for key in left if of_table[key[0]] == fewest])
                    read.add(key)
                    return self.offered[key]
                self.lock.wait(0.1)

    def work(self, engine, read, rng):
        while (recorded := self.next(engine, rng)) is not None:
            try:
                found = recorded.differences(*read(recorded))
            except Exception as error:  # what is read by whom belongs to the message
                found = [str(error)]
            if found:
                with self.lock:
                    self.wrong.append(f"{engine} reads {recorded.table} {recorded.snapshot} ({recorded.operation}): {found}")

    def finish(self, seconds):
        with self.lock:
            self.ended = True
            self.lock.notify_all()
        for thread in self.threads:
            thread.join(seconds)
            assert not thread.is_alive(), f"{thread} still reads"
        return self.wrong
