"""Takes out of an answer what differs between two clusters by nature, and nothing else.

Ids become symbols by order of appearance, so that it still shows whether two ids are the same one. Numbers that must
be there but whose value is the server's own (terms, sizes, hashes) become a mark only when positive: a zero stays.
"""

import base64
import binascii
import json
import re

# Fields of JSON objects and of `-w fields`.
OWN_NUMBERS = (
    "raft_term", "RaftTerm", "raftTerm", "raftIndex", "RaftIndex", "raftAppliedIndex", "RaftAppliedIndex",
    "dbSize", "DBSize", "dbSizeInUse", "DBSizeInUse", "hash", "Hash",
)
BYTES_FIELDS = ("key", "value", "range_end")
TIME_LEFT_SLACK_S = 60

RULES = [(re.compile(pattern, re.MULTILINE), text) for pattern, text in (
    # The client's own log lines: {"level":"warn","ts":"...","target":"endpoint://client-<uuid>/address",...
    (r'"ts":"[^"]+"', '"ts":"<time>"'),
    (r"client-[0-9a-f]{8}-[0-9a-f-]{27}", "client-<uuid>"),
    (r"\b(took = )[\d.]+[mnµ]?s\b", r"\1<time>"),
    (r'("took": ")[\d.]+[mnµ]?s"', r'\1<time>"'),
    (r'^("Took" : )[\d.]+[mnµ]?s$', r"\1<time>"),
    (r"^(\| <client\d> \| (?:true|false) \| )[\d.]+[mnµ]?s", r"\1<time>"),
    (r"\bremaining\(\d+s\)", "remaining(<time>)"),
    (r'^("TTL" : )[1-9]\d*(?=\n"GrantedTTL" : [1-9])', r"\1<time>"),
    (r'("(?:%s)" ?: ?)[1-9]\d*\b' % "|".join(OWN_NUMBERS), r"\1<own>"),
    (r'("[vV]ersion" ?: ?)"\d+\.\d+\.\d+[\w.+-]*"', r'\1"<version>"'),
    # endpoint status, simple then table: version, size, is leader, is learner, term, index, applied index
    (r"^((?:http://)?<client\d>, <member\d>, )\d+\.\d+\.\d+[\w.+-]*, [\d.]+ [kMG]?B, (\w+, \w+),"
     r" [1-9]\d*, [1-9]\d*, [1-9]\d*,",
     r"\1<version>, <own>, \2, <own>, <own>, <own>,"),
    (r"^(\| <client\d> \| <member\d> \|) \d+\.\d+\.\d+[\w.+-]* \| [\d.]+ [kMG]?B \| (\w+ \| \w+) \| [1-9]\d* \|"
     r" [1-9]\d* \| [1-9]\d* \|", r"\1 <version> | <own> | \2 | <own> | <own> | <own> |"),
    # endpoint hashkv, simple then table
    (r"^((?:http://)?<client\d>, )[1-9]\d*$", r"\1<own>"),
    (r"^(\| <client\d> \| )[1-9]\d*( \|)$", r"\1<own>\2"),
)]


class Normaliser:
    """Normalises the answers of one cluster. Keeps the symbols of a case's ids until `forget`."""

    def __init__(self, known: dict[str, str]):
        """`known` maps texts of this cluster, as addresses and member ids, to their symbols."""
        self._known = known
        alternatives = sorted(map(re.escape, known), key=len, reverse=True)
        self._known_pattern = re.compile(r"(?<![\w.])(?:%s)(?!\w)" % "|".join(alternatives)) if known else None
        self._symbols: dict[int, str] = {}

    def forget(self) -> None:
        """Begins a case: ids are numbered anew."""
        self._symbols.clear()

    def text(self, text: str, any_order: bool = False) -> str:
        """An answer as any of etcdctl's writers prints it; with `any_order`, its lines or list sorted."""
        text = "\n".join(self._line(line, any_order) for line in text.split("\n"))
        for pattern, replacement in RULES:
            text = pattern.sub(replacement, text)
        if any_order and not text.startswith(("{", "[")):
            text = "".join(sorted(text.splitlines(keepends=True)))
        return text

    def _line(self, line: str, any_order: bool) -> str:
        if line.startswith(("{", "[")) and not line.startswith('{"level"'):
            try:
                value = readable(json.loads(line))
            except ValueError:
                return self._names(line)  # not JSON: a key may begin with a brace
            elements = value if isinstance(value, list) else [value]
            texts = [self._names(json.dumps(element, indent=1, ensure_ascii=False)) for element in elements]
            return "\n".join(sorted(texts) if any_order else texts)
        line = self._names(line)
        if line.startswith(("+-", "|")):  # a table, whose columns are as wide as the ids and numbers in them
            line = re.sub(r"-+", "-", re.sub(r" +", " ", line))
        return line

    def _names(self, text: str) -> str:
        if self._known_pattern is not None:
            text = self._known_pattern.sub(lambda match: self._known[match.group()], text)
        # Lease ids, by themselves or at the end of a lock's key: hexadecimal, and decimal in JSON. The low 48 bits are
        # of the clock and use them all; those above are of the member's id, and may be few or none.
        text = re.sub(r"(?<![\w-])(?=[0-9a-f]*[a-f])[0-9a-f]{12,16}\b",
                      lambda match: self._symbol(int(match.group(), 16)), text)
        return re.sub(r"\b[1-9]\d{14,19}\b", lambda match: self._symbol(int(match.group())), text)

    def _symbol(self, number: int) -> str:
        return self._symbols.setdefault(number, f"<id{len(self._symbols) + 1}>")


def readable(value, field: str = ""):
    """A JSON value with keys and values as text, and the time that a lease has left as a mark."""
    if isinstance(value, dict):
        left, granted = value.get("ttl"), value.get("granted-ttl")
        result = {name: readable(member, name) for name, member in value.items()}
        if left is not None and granted is not None and granted - TIME_LEFT_SLACK_S <= left <= granted and left > 0:
            result["ttl"] = "<time>"
        return result
    if isinstance(value, list):
        return [readable(member, "key" if field == "keys" else field) for member in value]
    if field in BYTES_FIELDS and isinstance(value, str):
        try:
            return base64.b64decode(value, validate=True).decode()
        except (binascii.Error, UnicodeDecodeError):
            return value
    return value
