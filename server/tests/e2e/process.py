"""The siltstone binary as a process: started, watched, stopped, killed. Nothing here waits without a limit."""
import os
import resource
import signal
import socket
import subprocess
import time

# A bounded run over the test tiers takes seconds; this is when it is called hung.
RUN_SECONDS_MAX = 300
# From SIGTERM to gone.
STOP_SECONDS_MAX = 15
# From start to answering.
START_SECONDS_MAX = 60
POLL_SECONDS = 0.1


def wait_until(condition, seconds, what):
    """Polls until `condition()` is true and returns what it returned."""
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds} s: {what() if callable(what) else what}")
        time.sleep(POLL_SECONDS)


def free_port(neighbours=1):
    """A port that is free together with the next ones."""
    while True:
        with socket.socket() as first:
            first.bind(("127.0.0.1", 0))
            port = first.getsockname()[1]
        try:
            for i in range(neighbours):
                with socket.socket() as probe:
                    probe.bind(("127.0.0.1", port + i))
            return port
        except OSError:
            continue


def variables(values):
    return [argument for name, value in values.items() for argument in ("-v", f"{name}={value}")]


class Process:
    """A running siltstone, its output in files beside its data."""

    def __init__(self, binary, arguments, log, memory_limit=None, env=None):
        self.log = log
        self.arguments = [str(argument) for argument in arguments]
        self.out = open(log, "ab")
        # Nothing of the caller's configuration may leak in.
        clean = {key: value for key, value in os.environ.items() if not key.startswith("SILTSTONE_")}
        self.popen = subprocess.Popen(
            [binary, *self.arguments],
            stdin=subprocess.DEVNULL,
            stdout=self.out,
            stderr=subprocess.STDOUT,
            env={**clean, **(env or {})},
        )
        self.usage = None

    @property
    def pid(self):
        return self.popen.pid

    def text(self):
        with open(self.log, errors="replace") as file:
            return file.read()

    def running(self):
        return self.popen.poll() is None

    def wait(self, seconds=RUN_SECONDS_MAX):
        """The exit code; the process is killed if it does not come."""
        try:
            return self.popen.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"{self.arguments} still ran after {seconds} s:\n{self.text()[-4000:]}") from None

    def succeed(self, seconds=RUN_SECONDS_MAX):
        code = self.wait(seconds)
        assert code == 0, f"{self.arguments} ended with {code}:\n{self.text()[-4000:]}"

    def kill(self):
        self.popen.kill()
        self.popen.wait()

    def stop(self):
        """SIGTERM; returns the exit code and the seconds that it took."""
        started = time.monotonic()
        self.popen.send_signal(signal.SIGTERM)
        return self.wait(STOP_SECONDS_MAX), time.monotonic() - started

    def cpu_seconds(self):
        with open(f"/proc/{self.pid}/stat") as file:
            fields = file.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def resident_bytes_max(self):
        """The most memory that was ever resident; the process must still run."""
        with open(f"/proc/{self.pid}/status") as file:
            line = next(line for line in file if line.startswith("VmHWM:"))
        return int(line.split()[1]) * 1024

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.running():
            self.kill()
        self.out.close()


class Siltstone:
    """The commands of the binary over one data directory."""

    def __init__(self, binary, folder):
        self.binary = binary
        self.folder = folder
        self.data = folder / "data"
        self.runs = 0

    def start(self, *arguments, env=None):
        self.runs += 1
        return Process(self.binary, arguments, self.folder / f"siltstone-{self.runs}.log", env=env)

    def run(self, file, values=None, *flags):
        """`siltstone run`, started."""
        return self.start("run", "--data", self.data, *flags, *variables(values or {}), file)

    def replay(self, file, values=None, *flags, seconds=RUN_SECONDS_MAX):
        """`siltstone run --bounded` to its end."""
        with self.run(file, values, "--bounded", *flags) as process:
            process.succeed(seconds)
            return process

    def serve(self, *flags, file=None, values=None, env=None):
        """`siltstone serve`, answering on the port that it returns."""
        port = free_port()
        process = self.start(
            "serve", "--data", self.data, "--pg", f"127.0.0.1:{port}", *flags, *variables(values or {}),
            *([file] if file else []), env=env,
        )
        try:
            wait_until(lambda: not process.running() or answers(port), START_SECONDS_MAX, f"port {port} answers")
            assert process.running(), f"serve ended: {process.text()[-4000:]}"
        except BaseException:
            process.kill()
            raise
        return process, port

    def wait_for_owner(self, process):
        """Until the data directory is that process's, and it answers: `siltstone sql` takes one that is nobody's."""
        owner = self.data / "OWNER"
        wait_until(lambda: owner.exists() and f"process {process.pid} " in owner.read_text(), START_SECONDS_MAX,
                   process.text)
        wait_until(lambda: self.sql("SELECT 1", check=False).returncode == 0, START_SECONDS_MAX, process.text)

    def sql(self, statement, form="json", check=True, seconds=RUN_SECONDS_MAX):
        """`siltstone sql -c`: what it prints."""
        clean = {key: value for key, value in os.environ.items() if not key.startswith("SILTSTONE_")}
        done = subprocess.run(
            [self.binary, "sql", "--data", str(self.data), "--format", form, "-c", statement],
            capture_output=True, text=True, timeout=seconds, env=clean, stdin=subprocess.DEVNULL,
        )
        if check:
            assert done.returncode == 0, f"{statement}\nended with {done.returncode}: {done.stderr}"
            return done.stdout
        return done


def answers(port):
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
        return True
    except OSError:
        return False


def peak_bytes_of_children():
    """The largest resident size of any child that has ended so far."""
    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024
