"""A small disk of its own for a member: an ext4 file system in a file, mounted where the member keeps its data."""

import errno
import os
import subprocess
import tempfile

FILLER = "filler"
PIECE_BYTES = 1 << 20


def _run(*command: str) -> None:
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, timeout=60)


class Volume:
    """Made and mounted on construction; close() gives all of it back."""

    def __init__(self, directory: str, megabytes: int):
        self.directory = directory
        self._image = directory + ".img"
        self._mounted = False
        with open(self._image, "wb") as image:
            image.truncate(megabytes << 20)
        os.makedirs(directory, exist_ok=True)
        try:
            _run("mkfs.ext4", "-q", "-F", "-m", "0", self._image)
            _run("mount", "-o", "loop", self._image, directory)
            self._mounted = True
        except BaseException:
            self.close()
            raise

    def freeze(self) -> None:
        """From now on whatever writes to it hangs, beyond the reach of kill -9, until thaw()."""
        _run("fsfreeze", "--freeze", self.directory)

    def thaw(self) -> None:
        """Undoes freeze(); nothing if it is not frozen."""
        subprocess.run(["fsfreeze", "--unfreeze", self.directory], stderr=subprocess.DEVNULL, timeout=60)

    def fill(self) -> None:
        """Takes all the space there is."""
        with open(os.path.join(self.directory, FILLER), "ab", buffering=0) as filler:
            size = PIECE_BYTES
            while size >= 512:
                try:
                    filler.write(b"\0" * size)
                except OSError as failure:
                    if failure.errno != errno.ENOSPC:
                        raise
                    size //= 2

    def empty(self) -> None:
        """Gives back what fill() took."""
        os.remove(os.path.join(self.directory, FILLER))

    def close(self) -> None:
        if self._mounted:
            self.thaw()
            _run("umount", "--lazy", self.directory)
            self._mounted = False
        if os.path.exists(self._image):
            os.remove(self._image)


def why_not() -> str | None:
    """What is missing here for volumes, or None."""
    try:
        with tempfile.TemporaryDirectory(prefix="conclave-volume-") as directory:
            volume = Volume(os.path.join(directory, "v"), 8)
            try:
                volume.freeze()
            finally:
                volume.close()
    except (OSError, subprocess.SubprocessError) as failure:
        said = (getattr(failure, "stderr", None) or str(failure)).strip()
        return f"no loop-mounted ext4 can be made and frozen here: {said}"
    return None
