"""Watch by gRPC: ids of one's own choice, filters, progress, fragments, and creations that fail."""

from cluster.rpc import pb
from differential.steps import Case, Reply, Stream, ctl

HISTORY = [ctl("put w/a 1"), ctl("put w/b 1"), ctl("put w/a 2"), ctl("del w/b"), ctl("put v 1")]


def create(held: dict[str, str] | None = None, after: int | None = None, key: bytes = b"w/", end: bytes = b"w0",
           **fields):
    """A request to watch w/ (or another key) from `after` revisions past the case's start, or from now."""
    revision = 0 if after is None else int(held["rev"]) + after
    return pb.WatchRequest(create_request=pb.WatchCreateRequest(
        key=key, range_end=end, start_revision=revision, **fields))


def cancel(watch_id: int):
    return pb.WatchRequest(cancel_request=pb.WatchCancelRequest(watch_id=watch_id))


PROGRESS = pb.WatchRequest(progress_request=pb.WatchProgressRequest())

CASES = [
    Case("ids", HISTORY + [
        Stream("Watch.Watch", lambda held: [
            create(), Reply(), create(), Reply(), create(watch_id=7), Reply(), create(watch_id=7), Reply(),
            create(watch_id=2), Reply(), create(), Reply(), create(watch_id=-9), Reply()], "chosen and given"),
        Stream("Watch.Watch", lambda held: [
            create(), Reply(), cancel(0), Reply(), cancel(0), cancel(5), create(), Reply(),
            create(held, 3, watch_id=9), Reply(2), cancel(9), Reply()], "cancelled"),
    ]),
    Case("creations that fail", HISTORY + [
        Stream("Watch.Watch", lambda held: [
            create(key=b"b", end=b"a"), Reply(), create(key=b"b", end=b"b"), Reply(), create(), Reply()],
            "empty range"),
        Stream("Watch.Watch", lambda held: [pb.WatchRequest(), create(), Reply()], "an empty request is ignored"),
    ]),
    Case("keys", HISTORY + [
        Stream("Watch.Watch", lambda held: [create(held, 1, key=b"w/a", end=b""), Reply(2)], "one key"),
        Stream("Watch.Watch", lambda held: [create(held, 1, key=b"", end=b"\0"), Reply(2)], "empty key, open end"),
        Stream("Watch.Watch", lambda held: [create(held, 1, key=b"\0", end=b"\0"), Reply(2)], "everything"),
        Stream("Watch.Watch", lambda held: [create(held, 1, key=b"w/b", end=b"\0"), Reply(2)], "from a key on"),
    ], via="follower"),
    Case("filters and previous pairs", HISTORY + [
        Stream("Watch.Watch", lambda held: [create(held, 1, filters=["NOPUT"]), Reply(2)], "no puts"),
        Stream("Watch.Watch", lambda held: [create(held, 1, filters=["NODELETE"]), Reply(2)], "no deletes"),
        Stream("Watch.Watch", lambda held: [create(held, 1, filters=["NOPUT", "NOPUT"], prev_kv=True), Reply(2)],
               "no puts, twice"),
        Stream("Watch.Watch", lambda held: [create(held, 2, prev_kv=True), Reply(2)], "previous pairs"),
        Stream("Watch.Watch", lambda held: [
            create(held, 1, filters=["NOPUT", "NODELETE"]), Reply(), 0.4, PROGRESS, Reply()], "nothing at all"),
    ]),
    Case("progress on request", HISTORY + [
        Stream("Watch.Watch", lambda held: [create(), Reply(), 0.4, PROGRESS, Reply()], "one watcher"),
        Stream("Watch.Watch", lambda held: [create(), Reply(), create(), Reply(), 0.4, PROGRESS, Reply()],
               "two watchers"),
        Stream("Watch.Watch", lambda held: [
            create(held, 1), Reply(2), 0.4, PROGRESS, Reply(), PROGRESS, Reply()], "after history"),
    ]),
    Case("compacted history", HISTORY + [
        ctl("compaction {rev+3}"),
        Stream("Watch.Watch", lambda held: [create(held, 2), Reply(2)], "before it"),
        Stream("Watch.Watch", lambda held: [create(held, 3), Reply(2)], "at it"),
        Stream("Watch.Watch", lambda held: [create(held, 1, watch_id=3), Reply(2), create(held, 4), Reply(2)],
               "the stream goes on"),
    ], via="follower"),
    Case("fragments", [
        ctl("put w/warm up"),
        *[ctl(f"put w/{i}", stdin="x" * 700_000) for i in range(4)],
        Stream("Watch.Watch", lambda held: [create(held, 1, key=b"w/0", end=b"w/9", fragment=True), Reply(3)],
               "asked for"),
    ]),
]
