"""Watch streams held open on both sides of a random run, compared watcher by watcher.

How events are grouped into responses is a matter of time; which events a watcher gets and in which order is not. A
request about watchers is sent when what went before has come through on both sides, where that matters: `sync` puts a
key that a watcher of its own on every stream waits for.
"""

import dataclasses
import queue
import threading
from typing import Callable

import grpc

from cluster import rpc, wait_until
from cluster.rpc import pb
from differential.random_replies import mask_header, replace_leases
from differential.random_requests import KEYS, OPEN_END, SYNC_KEY, Generator, Request, prefix_end

SYNC_WATCH_ID = 1000
STREAMS_MAX = 2
WATCHERS_MAX = 4
CHOSEN_IDS = [1, 2, 5, -9]
LARGE_KEYS, LARGE_VALUES, LARGE_VALUE_BYTES = b"large/", 5, 900_000
WAIT_S = 20.0
UNSYNCED = "etcd_debugging_mvcc_slow_watcher_total"
COMPACTED = "etcdserver: mvcc: required revision has been compacted"
FRAME_BYTES_MAX = 2 << 20


class Difference(Exception):
    """The two sides differ; the text says in what."""


class Channel:
    """A bidirectional call, whose responses a thread of its own reads."""

    def __init__(self, connection: rpc.Connection, method: str, receive: Callable[[object], None]):
        self._requests: queue.SimpleQueue = queue.SimpleQueue()
        self._responses = connection.stream(method, iter(self._requests.get, None), timeout_s=3600)
        self.changed = threading.Condition()
        self.failure = ""
        self._receive = receive
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        try:
            for response in self._responses:
                with self.changed:
                    self._receive(response)
                    self.changed.notify()
            self.failure = "the stream ended"
        except grpc.RpcError as error:
            self.failure = f"{error.code().name}: {error.details()}"
        with self.changed:
            self.changed.notify()

    def send(self, request) -> None:
        self._requests.put(request)

    def wait(self, condition: Callable[[], bool]) -> bool:
        """Whether it became true before the stream failed or the time was over."""
        with self.changed:
            return self.changed.wait_for(lambda: condition() or bool(self.failure), WAIT_S) and not self.failure

    def close(self) -> None:
        self._responses.cancel()
        self._requests.put(None)
        self._reader.join()


class WatcherLog:
    """What one watcher was sent: its events encoded, and their last revision."""

    def __init__(self):
        self.events: list[bytes] = []
        self.last_revision = 0
        self.open_fragment = False
        self.cancelled = ""
        self.unsettled_revision: int | None = None  # see settle_compacted_revision


class WatchSide:
    """One side's end of a watch stream."""

    def __init__(self, connection: rpc.Connection, lease_symbols: dict[int, int]):
        self._lease_symbols = lease_symbols
        self._current: dict[int, WatcherLog] = {}
        self.answers: list = []  # to requests, in order
        self.logs: list[WatcherLog] = []  # of all watchers that were ever created here
        self.broken_rules: list[str] = []
        self.channel = Channel(connection, "Watch.Watch", self._receive)

    def _receive(self, response) -> None:
        log = self._current.get(response.watch_id)
        if response.created or not (response.events or response.compact_revision):
            if response.created and not response.canceled:
                self.logs.append(WatcherLog())
                self._current[response.watch_id] = self.logs[-1]
            mask_header(response.header)
            self.answers.append(response)
        elif log is None:
            self.broken_rules.append(f"of a watcher that is not there: {response}")
        elif response.compact_revision:
            log.cancelled = (f"compact_revision {response.compact_revision}, revision {response.header.revision}, "
                             f"reason {response.cancel_reason!r}")
        else:
            self._receive_events(log, response)

    def _receive_events(self, log: WatcherLog, response) -> None:
        first, last = response.events[0].kv.mod_revision, response.events[-1].kv.mod_revision
        if first == log.last_revision and not log.open_fragment:
            self.broken_rules.append(f"the events of revision {first} are split")
        if response.header.revision < last:
            self.broken_rules.append(f"revision {response.header.revision} in the header, {last} in the events")
        if log.cancelled:
            self.broken_rules.append(f"events of revision {first} after the watcher's end")
        if response.fragment and response.ByteSize() >= FRAME_BYTES_MAX and len(response.events) > 1:
            self.broken_rules.append(f"a fragment of {response.ByteSize()} bytes")
        for event in response.events:
            if self._lease_symbols:
                replace_leases(event, self._lease_symbols)
            log.events.append(event.SerializeToString())
        log.last_revision, log.open_fragment = last, response.fragment


@dataclasses.dataclass
class Watched:
    """A watcher that both sides should have. `log` is its number among all that the stream ever had."""

    create: object
    log: int

    def awaits_sync(self) -> bool:
        """Whether it gets the put of the sync key."""
        key, end = self.create.key or OPEN_END, self.create.range_end
        covers = key <= SYNC_KEY < end or (key <= SYNC_KEY and end == OPEN_END) or (key == SYNC_KEY and not end)
        return covers and pb.WatchCreateRequest.NOPUT not in self.create.filters


def settle_compacted_revision(revision: int, reference: list[bytes], subject: list[bytes]) -> None:
    """What a watcher that starts at the compacted revision is sent of that revision itself: 3.4 has forgotten what was
    deleted in it, later versions keep it; and whether pairs before it are still there is a matter of time."""
    heads = []
    for events in (reference, subject):
        head = []
        while events and decoded_event(events[0]).kv.mod_revision == revision:
            head.append(decoded_event(events.pop(0)))
        heads.append(head)
    deleted = {event.kv.key for event in heads[1] if event.type == event.DELETE}
    for head, events in zip(heads, (reference, subject)):
        for event in head:
            event.ClearField("prev_kv")
        events[:0] = [event.SerializeToString() for event in head if event.kv.key not in deleted]


def decoded_event(encoded: bytes):
    return type(pb.WatchResponse().events.add()).FromString(encoded)


class WatchPair:
    """A watch stream, open on both sides."""

    def __init__(self, connections: list[rpc.Connection], lease_symbols: list[dict[int, int]]):
        self.sides = [WatchSide(connection, own) for connection, own in zip(connections, lease_symbols)]
        self.watched: dict[int, Watched] = {}  # by watch id
        self.compacted: set[int] = set()  # ids of watchers that a compaction has cancelled
        self.unsynced = False
        self._answers = 0
        self.create(pb.WatchCreateRequest(key=SYNC_KEY, watch_id=SYNC_WATCH_ID))

    def ask(self, request, answers: int = 1) -> object | None:
        """Sends a request that is answered once, or not at all; returns the answer, equal on both sides."""
        for side in self.sides:
            side.channel.send(request)
        self._answers += answers
        for side in self.sides:
            side.channel.wait(lambda side=side: len(side.answers) >= self._answers)
        texts = [self._answer_text(side) for side in self.sides]
        if texts[0] != texts[1] or "no answer" in texts[0]:
            raise Difference(f"answer to\n{request}\nreference:\n{texts[0]}\nsubject:\n{texts[1]}")
        return self.sides[0].answers[-1] if answers else None

    def ask_subject(self, request, reason: str) -> None:
        """Sends the subject alone a creation that it must refuse so."""
        subject = self.sides[1]
        subject.channel.send(request)
        subject.channel.wait(lambda: len(subject.answers) > self._answers)
        answer = subject.answers.pop() if len(subject.answers) > self._answers else None
        if answer is None or (answer.created, answer.canceled, answer.watch_id, answer.cancel_reason) != (
                True, True, -1, reason):
            raise Difference(f"answer to\n{request}\nwanted, unlike etcd 3.4: {reason}\nsubject:\n{answer}")

    def _answer_text(self, side: WatchSide) -> str:
        if len(side.answers) < self._answers:
            return f"no answer ({side.channel.failure or 'in time'})"
        return "\n".join(str(answer) for answer in side.answers[max(0, self._answers - 1):])

    def create(self, create, compacted: int = -1) -> object:
        """Creates a watcher, or is refused one; returns the answer. `compacted` is the revision that is compacted."""
        answer = self.ask(pb.WatchRequest(create_request=create))
        if not answer.canceled:
            self.watched[answer.watch_id] = Watched(create, len(self.sides[0].logs) - 1)
            if create.start_revision == compacted:
                for side in self.sides:
                    side.logs[-1].unsettled_revision = compacted
        return answer

    def await_sync(self, revision: int) -> None:
        """Returns when both sides have sent all up to this revision, of a put of the sync key."""
        for watched in self.watched.values():
            if not watched.awaits_sync() or watched.create.start_revision > revision:
                continue
            for side in self.sides:
                log = side.logs[watched.log]
                side.channel.wait(lambda log=log: log.last_revision >= revision)

    def check(self) -> None:
        """Raises Difference unless both sides have sent the same."""
        for name, side in zip(("reference", "subject"), self.sides):
            if side.broken_rules or side.channel.failure:
                raise Difference(f"{name}'s watch stream: {side.channel.failure} {'; '.join(side.broken_rules)}")
        extra = [side.answers[self._answers:] for side in self.sides]
        if extra[0] != extra[1]:
            raise Difference(f"unasked on a watch stream\nreference:\n{extra[0]}\nsubject:\n{extra[1]}")
        for i, logs in enumerate(zip(*(side.logs for side in self.sides))):
            if logs[0].events != logs[1].events or logs[0].cancelled != logs[1].cancelled:
                if self._settled(*logs):
                    continue
                raise Difference(f"{self._creation_of(i)}{self._first_difference(*logs)}")

    def _creation_of(self, number: int) -> str:
        for watch_id, watched in self.watched.items():
            if watched.log == number:
                return f"watcher {watch_id}, created by\n{watched.create}"
        return f"watcher {number} of the stream, cancelled since\n"

    @staticmethod
    def _settled(reference: WatcherLog, subject: WatcherLog) -> bool:
        """Whether known differences are all there are; then they are taken out."""
        if subject.unsettled_revision is None or reference.cancelled != subject.cancelled:
            return False
        revision, subject.unsettled_revision = subject.unsettled_revision, None
        settle_compacted_revision(revision, reference.events, subject.events)
        return reference.events == subject.events

    @staticmethod
    def _first_difference(reference: WatcherLog, subject: WatcherLog) -> str:
        common = min(len(reference.events), len(subject.events))
        at = next((i for i in range(common) if reference.events[i] != subject.events[i]), common)
        texts = [f"{len(log.events)} events, cancelled: {log.cancelled or 'no'}, event {at}:\n" +
                 (str(decoded_event(log.events[at])) if at < len(log.events) else "none\n") for log in (reference, subject)]
        return f"reference: {texts[0]}subject: {texts[1]}"

    def close(self) -> None:
        for side in self.sides:
            side.channel.close()


class Watches:
    """The watch streams of a run. `call` makes a unary call on both sides; it is given for the sync key's puts."""

    def __init__(self, generator: Generator, connections: list[rpc.Connection], members: list,
                 lease_symbols: list[dict[int, int]], call: Callable[[Request], None]):
        self._generator = generator
        self._random = generator.random
        self._connections = connections
        self._members = members
        self._subject_is_newer = members[1].binary.kind != "etcd"  # else etcd is compared with itself
        self._lease_symbols = lease_symbols
        self._call = call
        self._pairs: list[WatchPair] = []

    def step(self) -> str:
        """Asks for something random of a random stream; returns what, for the summary."""
        pair = self._random.choice(self._pairs) if self._pairs else None
        if pair is None or (len(self._pairs) < STREAMS_MAX and self._random.random() < 0.2):
            self._pairs.append(WatchPair(self._connections, self._lease_symbols))
            return "Watch: open a stream"
        kind = self._random.random()
        if kind < 0.08:
            return self._close(pair)
        if kind < 0.35:
            return self._cancel(pair)
        if kind < 0.5:
            return self._progress(pair)
        if kind < 0.53:
            pair.ask(pb.WatchRequest(), answers=0)
            return "Watch: an empty request"
        if kind < 0.535:
            return self._fragments(pair)
        return self._create(pair)

    # ---- before what must not meet events under way ----

    def sync(self) -> None:
        """Returns when both sides have sent on every stream what there is to send, and the same."""
        if not self._pairs:
            return
        if any(pair.unsynced for pair in self._pairs):
            for member in self._members:
                wait_until(lambda member=member: member.metric(UNSYNCED) == 0, WAIT_S,
                           f"all watchers of {member.binary.kind} synced", every_s=0.01)
        self._call(Request("KV.Put", pb.PutRequest(key=SYNC_KEY)))
        for pair in self._pairs:
            pair.unsynced = False
            pair.await_sync(self._generator.revision)
            pair.check()

    def close(self) -> None:
        for pair in self._pairs:
            pair.close()
        self._pairs.clear()

    # ---- requests ----

    def _close(self, pair: WatchPair) -> str:
        self.sync()
        pair.close()
        self._pairs.remove(pair)
        return "Watch: close a stream"

    def _create_message(self):
        random = self._random
        key = random.choice(KEYS)
        end = b""
        if random.random() < 0.5:
            end = random.choice([prefix_end(key), prefix_end(key), random.choice(KEYS), key, OPEN_END])
        message = pb.WatchCreateRequest(key=key, range_end=end, prev_kv=random.random() < 0.5)
        if random.random() < 0.05:
            message.key, message.range_end = random.choice([b"", b"\x00"]), OPEN_END
        if random.random() < 0.6:
            message.start_revision = self._generator.revision_near()
            if message.start_revision > self._generator.revision + 100 or random.random() < 0.1:
                message.start_revision = self._generator.revision + random.choice([2, 30, 200])
        if random.random() < 0.3:
            message.filters.extend(random.choices([0, 1, 9], k=random.randint(1, 2)))
        message.fragment = random.random() < 0.3
        message.progress_notify = random.random() < 0.2
        if random.random() < 0.25:
            message.watch_id = random.choice(CHOSEN_IDS)
        return message

    def _create(self, pair: WatchPair) -> str:
        if len(pair.watched) > WATCHERS_MAX:
            return self._cancel(pair)
        message = self._create_message()
        if message.start_revision < 0:
            if self._subject_is_newer:
                pair.ask_subject(pb.WatchRequest(create_request=message), COMPACTED)
            return "Watch: create: from a negative revision"
        if 0 < message.start_revision <= self._generator.revision:
            pair.unsynced = True
        answer = pair.create(message, self._generator.compacted)
        if answer.canceled:
            return f"Watch: create: {answer.cancel_reason}"
        if 0 < message.start_revision < self._generator.compacted:
            return self._await_compacted(pair, answer.watch_id)
        return "Watch: create"

    def _fragments(self, pair: WatchPair) -> str:
        """A history larger than a response may be that a watcher asks to have in parts."""
        start = self._generator.revision + 1
        for i in range(LARGE_VALUES):
            value = bytes([self._random.randrange(256)]) * LARGE_VALUE_BYTES
            self._call(Request("KV.Put", pb.PutRequest(key=LARGE_KEYS + bytes([i]), value=value)))
        answer = pair.create(pb.WatchCreateRequest(
            key=LARGE_KEYS, range_end=prefix_end(LARGE_KEYS), start_revision=start,
            fragment=self._random.random() < 0.7))
        pair.unsynced = True
        self.sync()
        for side in pair.sides:
            log = side.logs[-1]
            side.channel.wait(lambda log=log: len(log.events) >= LARGE_VALUES)
        pair.ask(pb.WatchRequest(cancel_request=pb.WatchCancelRequest(watch_id=answer.watch_id)))
        del pair.watched[answer.watch_id]
        self._call(Request("KV.DeleteRange", pb.DeleteRangeRequest(key=LARGE_KEYS, range_end=prefix_end(LARGE_KEYS))))
        return "Watch: more than a response may hold"

    def _await_compacted(self, pair: WatchPair, watch_id: int) -> str:
        number = pair.watched.pop(watch_id).log
        pair.compacted.add(watch_id)
        for side in pair.sides:
            log = side.logs[number]
            side.channel.wait(lambda log=log: bool(log.cancelled))
        return "Watch: create: compacted"

    def _cancel(self, pair: WatchPair) -> str:
        ids = [watch_id for watch_id in (*pair.watched, *sorted(pair.compacted)) if watch_id != SYNC_WATCH_ID]
        if not ids or self._random.random() < 0.1:
            pair.ask(pb.WatchRequest(cancel_request=pb.WatchCancelRequest(watch_id=777)), answers=0)
            return "Watch: cancel an unknown one"
        self.sync()
        for watch_id in self._random.sample(ids, min(len(ids), self._random.randint(1, 3))):
            pair.ask(pb.WatchRequest(cancel_request=pb.WatchCancelRequest(watch_id=watch_id)))
            pair.watched.pop(watch_id, None)
            pair.compacted.discard(watch_id)
        return "Watch: cancel"

    def _progress(self, pair: WatchPair) -> str:
        self.sync()
        future = any(watched.create.start_revision > self._generator.revision for watched in pair.watched.values())
        request = pb.WatchRequest(progress_request=pb.WatchProgressRequest())
        if future:  # from 3.4.25 on it is not answered then; our etcd is older
            if self._subject_is_newer:
                pair.sides[1].channel.send(request)
            return "Watch: progress with a watcher of the future"
        pair.ask(request)
        return "Watch: progress"
