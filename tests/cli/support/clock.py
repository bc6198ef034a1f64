"""A clock that a test sets, for the program and its containers alone: clock.c. And times at which nothing comes due by itself."""
import datetime
import pathlib
import subprocess

HERE = pathlib.Path(__file__).resolve().parent


def far(zone=None, days="*"):
    """A line of a crontab that is twelve hours away, by that zone's clock or this machine's: no test depends on the hour it runs at."""
    then = datetime.datetime.now(zone) + datetime.timedelta(hours=12)
    return f"{then.minute} {then.hour} * * {days}"


class Clock:
    def __init__(self, berth):
        self.folder = berth.root / "clock"
        self.folder.mkdir(mode=0o755)
        subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-o", self.folder / "clock.so", HERE / "clock.c"], check=True)
        self.set(0)
        berth.environment.update(LD_PRELOAD=str(self.folder / "clock.so"), TEST_CLOCK=str(self.folder / "offset"))

    def set(self, seconds):
        """So many seconds from the real time."""
        path = self.folder / "offset"
        with open(path, "r+b" if path.exists() else "w+b") as file:  # in place: it is mapped
            file.write(int(seconds).to_bytes(8, "little", signed=True))

    @property
    def environment(self):
        """Of a service; the folder is mounted at /clock."""
        return 'LD_PRELOAD: /clock/clock.so, TEST_CLOCK: /clock/offset'
