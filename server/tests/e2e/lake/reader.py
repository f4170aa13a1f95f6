"""Other engines, each in a process of its own that is asked again and again."""
import json
import os
import pathlib
import select
import subprocess
import threading

HERE = pathlib.Path(__file__).resolve().parent
# Fetching the packages for the first time included.
SETUP_SECONDS_MAX = 900
ANSWER_SECONDS_MAX = 120


def environments(engines):
    """The folder of the engines' environments, made if they are not there."""
    script = HERE.parents[3] / ".ci" / "readers"
    done = subprocess.run([script, *engines], stdout=subprocess.PIPE, text=True, check=True, timeout=SETUP_SECONDS_MAX)
    return pathlib.Path(done.stdout.strip())


class Worker:
    """A program of this folder under an engine's Python; threads may share it."""

    def __init__(self, engine, program, *arguments, log):
        folder = environments([engine])
        jars = ":".join(map(str, sorted((folder / engine / "jars").glob("*.jar"))))
        self.engine = engine
        self.lock = threading.Lock()
        self.log = open(log, "ab+")
        self.popen = subprocess.Popen(
            [folder / engine / "bin" / "python", HERE / program, *arguments],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.log, text=True,
            env={**os.environ, "SPARK_JARS": jars, "PYSPARK_PYTHON": str(folder / engine / "bin" / "python")})

    def ask(self, *request):
        """What it answers; an error of it is an error."""
        with self.lock:
            self.popen.stdin.write(json.dumps(request) + "\n")
            self.popen.stdin.flush()
            ready, _, _ = select.select([self.popen.stdout], [], [], ANSWER_SECONDS_MAX)
            line = self.popen.stdout.readline() if ready else ""
        if not line:
            self.log.seek(0)
            said = self.log.read()[-4000:].decode(errors="replace")
            raise AssertionError(f"{self.engine} gave no answer to {request}: {said}")
        answer = json.loads(line)
        if "error" in answer:
            raise AssertionError(f"{self.engine} asked for {request}: {answer['error']}")
        return answer

    def close(self):
        self.popen.kill()
        self.popen.wait()
        self.popen.stdin.close()
        self.popen.stdout.close()
        self.log.close()


class Reader(Worker):
    """An engine that tells what snapshots come to."""

    def __init__(self, engine, folder):
        super().__init__(engine, "totals.py", engine, "-", log=folder / f"{engine}.log")

    def totals(self, catalog, table, snapshot=None):
        """Rows, and by column a list of count, sum, least and greatest."""
        answer = self.ask(str(catalog), f"public.{table}", snapshot)
        assert snapshot in (None, answer["snapshot"]), answer
        rows = answer["rows"]
        return rows, {name: value for name, value in answer.items() if isinstance(value, list)}


class Names(Worker):
    """Tells which files a catalog names."""

    def __init__(self, folder):
        super().__init__("pyiceberg", "named.py", log=folder / "named.log")

    def of(self, catalog):
        return self.ask(str(catalog))
