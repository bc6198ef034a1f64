"""A terminal for a program: keys go in, what it shows comes out."""
import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import termios
import time


class Terminal:
    def __init__(self, argv, cwd, environment, columns=80, rows=24):
        self.master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        self.process = subprocess.Popen(argv, cwd=cwd, env={**environment, "TERM": "xterm-256color"}, stdin=slave, stdout=slave, stderr=slave,
                                        preexec_fn=lambda: (os.setsid(), fcntl.ioctl(0, termios.TIOCSCTTY, 0)))
        os.close(slave)
        self.raw = b""

    def _read(self, timeout):
        if not select.select([self.master], [], [], timeout)[0]:
            return True
        try:
            data = os.read(self.master, 65536)
        except OSError:
            return False
        self.raw += data
        return bool(data)

    def expect(self, pattern, timeout=60):
        """Reads until the text shown matches."""
        deadline = time.monotonic() + timeout
        while not re.search(pattern, self.text):
            if not self._read(0.1) or time.monotonic() > deadline:
                raise AssertionError(f"never shown: {pattern}\n{self.text}")
        return self

    def type(self, keys):
        os.write(self.master, keys.encode())
        return self

    def end(self, timeout=60):
        """Its exit status, once it has ended by itself."""
        deadline = time.monotonic() + timeout
        while self._read(0.1) and time.monotonic() < deadline:
            pass
        status = self.process.wait(timeout=max(1, deadline - time.monotonic()))
        os.close(self.master)
        return status

    @property
    def text(self):
        """Without colours; movements of the cursor are kept."""
        return re.sub(r"\x1b\[[0-9;]*m", "", self.raw.decode(errors="replace")).replace("\r\n", "\n")

    @property
    def lines(self):
        return re.sub(r"\x1b\[[0-9;]*[A-Za-z]", "", self.text).split("\n")
