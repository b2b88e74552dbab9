"""Compares two servers' replies to one request, in all but their own ids, terms, and what the interface leaves open."""

import grpc

from cluster import rpc
from cluster.rpc import pb

TTL_SLACK_S = 3

SORT_FIELDS = {
    pb.RangeRequest.VERSION: "version", pb.RangeRequest.CREATE: "create_revision", pb.RangeRequest.MOD: "mod_revision",
    pb.RangeRequest.VALUE: "value",
}

PUT_FAILURES = (("NOT_FOUND", "etcdserver: requested lease not found"),
                ("INVALID_ARGUMENT", "etcdserver: key not found"))
RANGE_FAILURES = (("OUT_OF_RANGE", "etcdserver: mvcc: required revision has been compacted"),
                  ("OUT_OF_RANGE", "etcdserver: mvcc: required revision is a future revision"))


class Failure:
    """A status that is not OK."""

    def __init__(self, error: grpc.RpcError):
        self.status = (error.code().name, error.details())

    def __str__(self) -> str:
        return ": ".join(self.status)


class LeaseSymbols:
    """The leases whose ids this server chose, and the symbols that stand for them in requests and answers."""

    def __init__(self):
        self.ids: dict[int, int] = {}
        self.symbols: dict[int, int] = {}

    def add(self, symbol: int, lease: int) -> None:
        self.ids[symbol] = lease
        self.symbols[lease] = symbol


def replace_leases(message, by: dict[int, int]) -> bool:
    """Replaces lease ids anywhere in a message; whether there were any."""
    replaced = False
    for field, value in message.ListFields():
        if field.message_type is not None:
            repeated = field.label == field.LABEL_REPEATED
            for part in value if repeated else (value,):
                replaced |= replace_leases(part, by)
        elif field.name in ("lease", "ID") and value in by:
            setattr(message, field.name, by[value])
            replaced = True
    return replaced


def split_header(reply: bytes) -> tuple[object, bytes]:
    """The header of a response, its first field, and the rest undecoded."""
    if reply[:1] != b"\x0a" or reply[1] > 127:
        return pb.ResponseHeader(), reply
    end = 2 + reply[1]
    return pb.ResponseHeader.FromString(reply[2:end]), reply[end:]


def mask_header(header) -> None:
    """Leaves the revision, and of the server's own numbers whether they are there."""
    for field in ("cluster_id", "member_id", "raft_term"):
        if getattr(header, field):
            setattr(header, field, 1)


def decode(method: str, reply: bytes, leases: LeaseSymbols):
    """A response with its own numbers masked."""
    message = rpc.response_type(method).FromString(reply)
    if message.HasField("header"):
        mask_header(message.header)
    replace_leases(message, leases.symbols)
    return message


def settle_open_order(request, response) -> None:
    """Makes alike what sorting leaves open: the order of pairs that are equal in what they are sorted by, and which of
    them a limit cuts off."""
    if isinstance(request, pb.TxnRequest):
        ops = request.success if response.succeeded else request.failure
        for op, answer in zip(ops, response.responses):
            which = op.WhichOneof("request")
            if which in ("request_range", "request_txn"):
                settle_open_order(getattr(op, which), getattr(answer, which.replace("request", "response")))
    elif isinstance(request, pb.RangeRequest) and request.sort_target != pb.RangeRequest.KEY:
        field = SORT_FIELDS[request.sort_target]
        groups: list[list] = []
        for kv in response.kvs:
            if not groups or getattr(groups[-1][0], field) != getattr(kv, field):
                groups.append([])
            groups[-1].append(kv)
        settled = [kv for group in groups for kv in sorted(group, key=lambda kv: kv.key)]
        if response.more and groups:
            for i in range(len(settled) - len(groups[-1]), len(settled)):
                settled[i] = type(settled[i])(**{field: getattr(settled[i], field)})
        copies = [type(kv).FromString(kv.SerializeToString()) for kv in settled]  # not views of what goes now
        del response.kvs[:]
        response.kvs.extend(copies)


def settle_time(reference, subject) -> None:
    """The time a lease has left, when nearly the same, and the order of its keys, are no difference."""
    if 0 < reference.TTL and abs(reference.TTL - subject.TTL) <= TTL_SLACK_S:
        subject.TTL = reference.TTL
    for message in (reference, subject):
        keys = sorted(message.keys)
        del message.keys[:]
        message.keys.extend(keys)


def settle_lease_order(*messages) -> None:
    """They are sorted by the time they have left, which only a leader knows."""
    for message in messages:
        message.leases.sort(key=lambda lease: lease.ID)


def alike(reference: bytes, subject: bytes) -> bool:
    """Whether two encoded responses are equal but for the header's own numbers."""
    headers, rests = zip(split_header(reference), split_header(subject))
    for header in headers:
        mask_header(header)
    return headers[0] == headers[1] and rests[0] == rests[1]


def settled_failures(replies: list) -> bool:
    """Whether two statuses of a transaction are of two of its operations that cannot be carried out: 3.4 looks at all
    puts before the ranges, later versions take them in order."""
    return (all(isinstance(reply, Failure) for reply in replies) and replies[0].status in PUT_FAILURES and
            replies[1].status in RANGE_FAILURES)


def differing(method: str, request, replies: list, leases: list[LeaseSymbols], leads: bool) -> list[str] | None:
    """None if the replies (encoded, or Failures) are equal, else both as text. `leads` says that leaders were asked."""
    if any(isinstance(reply, Failure) for reply in replies):
        if method == "KV.Txn" and settled_failures(replies):
            return None
        texts = [str(reply) if isinstance(reply, Failure) else str(decode(method, reply, own))
                 for reply, own in zip(replies, leases)]
        return None if texts[0] == texts[1] else texts
    if alike(*replies):
        return None
    messages = [decode(method, reply, own) for reply, own in zip(replies, leases)]
    if method in ("KV.Range", "KV.Txn"):
        for message in messages:
            settle_open_order(request, message)
    elif method == "Lease.LeaseTimeToLive":
        settle_time(*messages)
    elif method == "Lease.LeaseLeases" and not leads:
        settle_lease_order(*messages)
    return None if messages[0] == messages[1] else [str(message) for message in messages]
