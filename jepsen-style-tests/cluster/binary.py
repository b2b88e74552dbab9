"""The server program under test: etcd or conclave, which take the same flags."""

import dataclasses
import os
import shutil


@dataclasses.dataclass(frozen=True)
class Binary:
    """A server program; `kind` is "etcd" or "conclave", `wrapper` a command that runs it."""

    kind: str
    path: str
    wrapper: tuple[str, ...] = ()

    @staticmethod
    def of(name_or_path: str) -> "Binary":
        """The program of this name on PATH, or at this path; raises FileNotFoundError when there is none."""
        path = shutil.which(name_or_path)
        if path is None:
            raise FileNotFoundError(f"no server program {name_or_path!r}")
        return Binary("etcd" if os.path.basename(path) == "etcd" else "conclave", os.path.abspath(path))

    def log_flags(self) -> list[str]:
        """etcd 3.4 warns about its default logger at each start; everything else keeps to its defaults."""
        return ["--logger=zap", "--log-outputs=stderr"] if self.kind == "etcd" else []
