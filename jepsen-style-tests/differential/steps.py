"""The language of the cases: a case is a list of steps, each done on both sides and compared.

A step begins on both sides before it is finished on either, so that both work at once. What `finish` returns is the
answer that is compared; None means that there is nothing to compare. Texts may name variables in braces, as
Side.expand says.
"""

import dataclasses
import re
import signal
import time
from typing import Callable, Protocol

import grpc

from cluster import rpc, wait_until
from differential.side import Command, Side, message_text

COMMAND_TIMEOUT_S = 60.0
STREAM_TIMEOUT_S = 30.0


class Step(Protocol):
    """What the runner asks of a step."""

    title: str

    def begin(self, side: Side) -> object: ...

    def finish(self, side: Side, begun: object) -> str | None: ...


@dataclasses.dataclass
class Case:
    """Steps on an emptied store. `via` says who is asked: the leader, a follower, or all endpoints at once."""

    name: str
    steps: list[Step]
    via: str = "leader"


def answer(side: Side, stdout: str, stderr: str, code: int | str, any_order: bool = False) -> str:
    """What a command said and how it ended, normalised, in one text."""
    stdout, stderr = side.normalise(stdout, any_order), side.normalise(stderr, any_order)
    return f"{stdout}-- stderr\n{stderr}-- exit {code}\n"


@dataclasses.dataclass
class Run:
    """An etcdctl command, start to end. `saves` maps variables to patterns with one group over its output."""

    title: str
    stdin: str = ""
    saves: dict[str, str] = dataclasses.field(default_factory=dict)
    any_order: bool = False
    endpoints: str | None = None
    until: str | None = None  # run again until the output matches, for what only becomes true
    timeout_s: float = COMMAND_TIMEOUT_S

    def begin(self, side: Side) -> Command:
        command = side.etcdctl(self.title, self.endpoints)
        command.write(side.expand(self.stdin))
        command.close_input()
        return command

    def finish(self, side: Side, begun: Command) -> str:
        code = begun.wait(self.timeout_s)
        deadline = time.monotonic() + self.timeout_s
        while self.until and not re.search(self.until, begun.stdout) and time.monotonic() < deadline:
            time.sleep(0.1)
            begun = self.begin(side)
            code = begun.wait(self.timeout_s)
        for variable, pattern in self.saves.items():
            match = re.search(pattern, begun.stdout)
            if match is None:
                return f"nothing to save as {variable}: no {pattern!r} in:\n{begun.stdout}{begun.stderr}"
            side.variables[variable] = match[1]
        return answer(side, begun.stdout, begun.stderr, code, self.any_order)


@dataclasses.dataclass
class Start:
    """Starts an etcdctl command that goes on; `name` is how later steps speak of it."""

    name: str
    arguments: str
    stdin: str = ""

    @property
    def title(self) -> str:
        return f"{self.arguments} &"

    def begin(self, side: Side) -> None:
        side.commands[self.name] = side.etcdctl(self.arguments)
        side.commands[self.name].write(side.expand(self.stdin))

    def finish(self, side: Side, begun: object) -> None:
        return None


@dataclasses.dataclass
class Send:
    """Writes to the input of a started command."""

    name: str
    text: str

    @property
    def title(self) -> str:
        return f"{self.name} <<< {self.text!r}"

    def begin(self, side: Side) -> None:
        side.commands[self.name].write(side.expand(self.text))

    def finish(self, side: Side, begun: object) -> None:
        return None


@dataclasses.dataclass
class Await:
    """Waits until a started command has printed so many lines. The lines are compared here and at its end."""

    name: str
    lines: int

    @property
    def title(self) -> str:
        return f"{self.name} prints {self.lines} lines"

    def begin(self, side: Side) -> None:
        return None

    def finish(self, side: Side, begun: object) -> str:
        command = side.commands[self.name]
        try:
            wait_until(lambda: command.stdout.count("\n") >= self.lines, STREAM_TIMEOUT_S, self.title)
        except TimeoutError as timeout:
            return f"{timeout}\n{side.normalise(command.stdout)}-- stderr\n{side.normalise(command.stderr)}"
        return side.normalise("".join(command.stdout.splitlines(keepends=True)[: self.lines]))


@dataclasses.dataclass
class Silent:
    """A started command prints nothing more for a moment: what it waits for has not happened."""

    name: str
    lines: int
    for_s: float = 0.7

    @property
    def title(self) -> str:
        return f"{self.name} still at {self.lines} lines"

    def begin(self, side: Side) -> float:
        return time.monotonic() + self.for_s

    def finish(self, side: Side, begun: float) -> str:
        time.sleep(max(0.0, begun - time.monotonic()))
        printed = side.commands[self.name].stdout
        return "as it should\n" if printed.count("\n") == self.lines else f"it printed:\n{side.normalise(printed)}"


@dataclasses.dataclass
class End:
    """Ends a started command by a signal (none: it ends by itself) and compares all it said, or its first lines. What
    etcdctl says of calls that the signal cut off depends on the moment: `heed_stderr` false leaves it out."""

    name: str
    by: int | None = signal.SIGINT
    lines: int | None = None
    heed_stderr: bool = True

    @property
    def title(self) -> str:
        return f"the end of {self.name}"

    def begin(self, side: Side) -> Command:
        command = side.commands.pop(self.name)
        if self.by is None:
            command.close_input()
        else:
            command.signal(self.by)
        return command

    def finish(self, side: Side, begun: Command) -> str:
        code = begun.wait(COMMAND_TIMEOUT_S)
        stdout = begun.stdout
        if self.lines is not None:
            stdout = "".join(stdout.splitlines(keepends=True)[: self.lines])
        return answer(side, stdout, begun.stderr if self.heed_stderr else "", code)


@dataclasses.dataclass
class Call:
    """A unary call by gRPC. `request` makes the request from the variables."""

    method: str
    request: Callable[[dict[str, str]], object]
    note: str

    @property
    def title(self) -> str:
        return f"{self.method}: {self.note}"

    def begin(self, side: Side) -> str:
        return side.call(self.method, self.request(side.variables))

    def finish(self, side: Side, begun: str) -> str:
        return begun


class Reply:
    """In a Stream's script: so many responses come before the next request is sent."""

    def __init__(self, count: int = 1):
        self.count = count


@dataclasses.dataclass
class Stream:
    """A bidirectional call by gRPC: a script of requests and Replies. Compared are the responses, in order."""

    method: str
    script: Callable[[dict[str, str]], list]
    note: str

    @property
    def title(self) -> str:
        return f"{self.method}: {self.note}"

    def begin(self, side: Side) -> list[str]:
        received: list[str] = []
        conversation = Conversation(self.script(side.variables), received)
        responses = side.connection().stream(self.method, conversation.requests(), timeout_s=STREAM_TIMEOUT_S)
        conversation.read(responses)
        return received

    def finish(self, side: Side, begun: list[str]) -> str:
        return "".join(f"[{i}]\n{text}" for i, text in enumerate(begun))


class Conversation:
    """Sends a script's requests, each when the replies before it are there."""

    def __init__(self, script: list, received: list[str]):
        self._script = script
        self._received = received
        self._over = False

    def requests(self):
        """The iterator that gRPC draws requests from, in a thread of its own."""
        expected = 0
        for item in self._script:
            if isinstance(item, Reply):
                expected += item.count
                while len(self._received) < expected and not self._over:
                    time.sleep(0.005)
            elif isinstance(item, (int, float)):
                time.sleep(item)
            else:
                yield item
        while not self._over:  # a half-closed stream would be another test
            time.sleep(0.005)

    def read(self, responses) -> None:
        expected = sum(item.count for item in self._script if isinstance(item, Reply))
        try:
            while len(self._received) < expected:
                self._received.append(message_text(next(responses)))
        except StopIteration:
            self._received.append("the stream ended\n")
        except grpc.RpcError as error:
            self._received.append(f"{error.code().name}: {error.details()}\n")
        finally:
            self._over = True
            responses.cancel()


def ctl(arguments: str, stdin: str = "", **options) -> Run:
    """An etcdctl command, as one would type it after `etcdctl`."""
    return Run(arguments, stdin, **options)


def call(method: str, note: str, request=None, **fields) -> Call:
    """A unary call with these fields, or with the request that `request` makes of the variables."""
    return Call(method, request or (lambda _: rpc.request_of(method, **fields)), note)
