"""Drive the `veilflight` program as a custodian does: keys, partners, certificates, a server.

Answers for starting and stopping the program from Python, for the demo, the tests and the
benchmark. Knows every flag they use, and nothing of Arrow.
"""

import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent
SECONDS_MAX = 300.0


class Failed(Exception):
    """A command that ended otherwise than expected, with what it said."""


def program() -> Path:
    """The built program: `$VEILFLIGHT`, else where cargo puts it."""
    if named := os.environ.get("VEILFLIGHT"):
        path = Path(named)
    else:
        command = ["cargo", "metadata", "--no-deps", "--format-version", "1"]
        metadata = subprocess.run(command, cwd=PROJECT, check=True, capture_output=True)
        path = Path(json.loads(metadata.stdout)["target_directory"]) / "debug" / "veilflight"
    if not path.is_file():
        raise Failed(f"there is no program at `{path}`; build it with `cargo build`")
    return path


@dataclass
class Custodian:
    """A folder with policies and state, and the commands over it."""

    home: Path
    binary: Path = field(default_factory=program)

    @property
    def policies(self) -> Path:
        """The folder of policies."""
        return self.home / "policies"

    @property
    def state(self) -> Path:
        """The folder of partners, tokens and the audit log."""
        return self.home / "state"

    @property
    def key(self) -> Path:
        """The file of the master key."""
        return self.state / "master.key"

    @property
    def tls(self) -> Path:
        """The folder of certificates."""
        return self.home / "tls"

    def attempt(self, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
        """Run one command and return how it ended, whatever that was."""
        command = [str(self.binary), *map(str, arguments)]
        return subprocess.run(
            command, cwd=self.home, capture_output=True, text=True, timeout=SECONDS_MAX, check=False
        )

    def run(self, *arguments: str | Path) -> str:
        """Run one command that must succeed and return what it printed."""
        done = self.attempt(*arguments)
        if done.returncode != 0:
            words = " ".join(map(str, arguments))
            raise Failed(
                f"`veilflight {words}` ended with {done.returncode}:\n{done.stderr}{done.stdout}"
            )
        return done.stdout

    def init(self) -> None:
        """Make the folders and the master key; the state's folder is made with its key."""
        self.policies.mkdir(parents=True, exist_ok=True)
        self.run("key", "init", "--state", self.state)

    def certify(self) -> None:
        """Make an authority, and with it a certificate for this machine."""
        self.run("tls", "self-signed", "--host", "localhost", "--out", self.tls)

    @property
    def roots(self) -> bytes:
        """The authority that clients trust."""
        return self.authority.read_bytes()

    @property
    def authority(self) -> Path:
        """The file of that authority's certificate."""
        return self.tls / "ca.pem"

    def enrol(self, name: str, *more: str | Path) -> str:
        """Register a partner; the token lies in a file for them and is returned."""
        path = self.token_file(name)
        path.parent.mkdir(exist_ok=True)
        self.run("partner", "add", name, "--state", self.state, "--token-file", path, *more)
        return self.token(name)

    def token_file(self, name: str) -> Path:
        """Where the token of a partner lies."""
        return self.home / "tokens" / name

    def token(self, name: str) -> str:
        """The token of a partner."""
        return self.token_file(name).read_text().strip()

    def publish(self, policy: Path, data: str, partners: Sequence[str]) -> Path:
        """Copy a policy into the folder of policies, for `data` and these partners' rows."""
        self.policies.mkdir(parents=True, exist_ok=True)
        target = self.policies / policy.name
        target.write_text(granted_to(pointed_at(policy.read_text(), data), partners))
        return target

    @contextmanager
    def serve(self, *more: str | Path, tls: bool = True) -> Iterator["Server"]:
        """Serve all policies until the block ends."""
        server = Server.start(self, *more, tls=tls)
        try:
            yield server
        finally:
            server.stop()


def pointed_at(policy: str, data: str) -> str:
    """A policy's text with its one path or list of paths replaced, and nothing else."""
    path = r"(?:\[[^\]]*\]|\"[^\"]*\"|'[^']*'|[^\s,{}#]+)"
    pattern = re.compile(
        rf"^(\s*(?:source:\s*\{{\s*)?(?:parquet|paths)\s*:\s*){path}", re.MULTILINE
    )
    text, count = pattern.subn(lambda found: found[1] + json.dumps(data), policy)
    if count != 1:
        raise Failed(f"the policy names its source in {count} places, not in one")
    return text


def granted_to(policy: str, partners: Sequence[str]) -> str:
    """A policy's text with its grants, which stand last, replaced by grants of rows."""
    head, found, _ = policy.partition("\ngrants:")
    if not found:
        raise Failed("the policy has no grants")
    return (
        head
        + found
        + "".join(f"\n  - {{partner: {name}, access: rows}}" for name in partners)
        + "\n"
    )


@dataclass
class Server:
    """A running server and where it listens."""

    process: subprocess.Popen[bytes]
    uri: str
    log: Path

    @classmethod
    def start(cls, custodian: Custodian, *more: str | Path, tls: bool = True) -> "Server":
        """Start a server on a free port and wait until it takes connections."""
        ready, log = custodian.home / "ready", custodian.home / "server.log"
        ready.unlink(missing_ok=True)
        flags: list[str | Path] = [
            "--listen",
            "127.0.0.1:0",
            "--policies",
            custodian.policies,
            "--state",
            custodian.state,
            "--ready-file",
            ready,
        ]
        if tls:
            flags += ["--tls-certificate", custodian.tls / "server.pem"]
            flags += ["--tls-key", custodian.tls / "server.key"]
        command = [str(custodian.binary), "serve", *map(str, flags), *map(str, more)]
        with log.open("ab") as stderr:
            process = subprocess.Popen(
                command, cwd=custodian.home, stdin=subprocess.DEVNULL, stdout=stderr, stderr=stderr
            )
        server = cls(process, "", log)
        try:
            server.uri = server._ready(ready)
        except BaseException:
            process.kill()
            process.wait()
            raise
        return server

    def _ready(self, ready: Path) -> str:
        deadline = time.monotonic() + SECONDS_MAX
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                raise Failed(f"the server ended with {self.process.returncode}:\n{self.said()}")
            if ready.is_file():
                return ready.read_text().strip()
            time.sleep(0.02)
        raise Failed(f"the server was not ready after {SECONDS_MAX:.0f} s:\n{self.said()}")

    def said(self) -> str:
        """Everything that the server wrote to its log."""
        return self.log.read_text(errors="replace")

    def memory_peak(self) -> int:
        """The most memory that the server had, in bytes."""
        return memory_peak(self.process.pid)

    def stop(self, how: signal.Signals = signal.SIGTERM) -> int:
        """Ask the server to stop, wait, and return its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(how)
        try:
            return self.process.wait(SECONDS_MAX)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise Failed(f"the server did not stop:\n{self.said()}") from None


def memory_peak(pid: int) -> int:
    """The peak resident memory of a process in bytes, where the system tells it; else 0."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0
    found = re.search(r"^VmHWM:\s+(\d+) kB$", status, re.MULTILINE)
    return int(found[1]) * 1024 if found else 0


def lines(text: str, most: int) -> Sequence[str]:
    """The first lines of a text, and how many more there are."""
    every = text.rstrip().splitlines()
    return every if len(every) <= most else [*every[:most], f"... {len(every) - most} more lines"]
