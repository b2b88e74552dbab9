"""Writers that keep on writing while the members change, and hold each write to its time."""

import threading
import time

import grpc

from cluster import rpc

TRY_TIMEOUT_S = 0.5
MEND_WITHIN_S = 2.0
PAUSE_S = 0.005


class Load:
    """`writers` threads, each putting one key after another through the members of `endpoints`, which may be replaced at
    any time. A write that fails is tried again at the next member, at once. `acknowledged` is what must be found in the
    end; `slow` are the writes that no retry mended in time, with how long they took in seconds."""

    def __init__(self, endpoints: list[str], writers: int = 4):
        self.endpoints = endpoints
        self.acknowledged: dict[str, str] = {}
        self.slow: list[tuple[str, float]] = []
        self.worst_s = 0.0
        self._mutex = threading.Lock()
        self._stopping = threading.Event()
        self._threads = [threading.Thread(target=self._write, args=(i,)) for i in range(writers)]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def is_running(self) -> bool:
        return all(thread.is_alive() for thread in self._threads)

    def stop(self) -> None:
        """Returns once every writer has ended its last write, for which it has no more than its time."""
        self._stopping.set()
        for thread in self._threads:
            thread.join()

    def _write(self, writer: int) -> None:
        connections: dict[str, rpc.Connection] = {}
        turn = writer
        number = 0
        while not self._stopping.is_set():
            key = f"{writer}/{number}"
            began = time.monotonic()
            acknowledged = self._try(connections, turn, key)
            while not acknowledged and not (self._stopping.is_set() and time.monotonic() > began + MEND_WITHIN_S):
                turn += 1
                acknowledged = self._try(connections, turn, key)
            self._note(key, acknowledged, time.monotonic() - began)
            number += 1
            time.sleep(PAUSE_S)
        for connection in connections.values():
            connection.close()

    def _try(self, connections: dict[str, rpc.Connection], turn: int, key: str) -> bool:
        endpoints = self.endpoints
        address = endpoints[turn % len(endpoints)]
        for gone in set(connections) - set(endpoints):
            connections.pop(gone).close()
        if address not in connections:
            connections[address] = rpc.Connection(address)
        try:
            connections[address].call("KV.Put", timeout_s=TRY_TIMEOUT_S, key=key.encode(), value=key.encode())
            return True
        except grpc.RpcError:
            time.sleep(PAUSE_S)
            return False

    def _note(self, key: str, acknowledged: bool, took_s: float) -> None:
        with self._mutex:
            if acknowledged:
                self.acknowledged[key] = key
            self.worst_s = max(self.worst_s, took_s)
            if took_s > MEND_WITHIN_S:
                self.slow.append((key, took_s))
