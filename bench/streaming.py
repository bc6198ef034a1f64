"""What receiving the log costs and gives: pgbench's TPC-B with the receiver and without it, in many short rounds by turns on the same
cluster; how far what is acknowledged is behind the server under that load; the receiver's memory."""
import json
import os
import pathlib
import re
import signal
import statistics
import subprocess
import time

from support import database
from support.program import wait_until

SECONDS = 4
SETTLE_S = 2
SEGMENT = re.compile("[0-9A-F]{24}")  # not yet compressed


class Streaming:
    """A project that is protected, and whose receiver is taken away and given back. login: of its database."""

    def __init__(self, side, folder, login):
        self.side, self.folder, self.login = side, folder, login
        protected = {"BERTH_BACKUP": "on"}  # for the keeper that either of these starts
        side.compose(folder, "down", "-v", "--yes", "-t", "0", env=protected)
        side.compose(folder, "up", "-d", "--wait", env=protected)
        model = json.loads(side.compose(folder, "config", "--format", "json").stdout)
        self.name, self.service = model["name"], next(iter(model["services"]))
        self.state_path = side.program.run / "projects" / self.name / "receivers" / f"{self.service}.json"
        self.keeper = side.program.keeper_pid(self.name)
        wait_until(lambda: list((side.program.data / "backups" / self.name).glob("*/*/backups/*/backup.json")), timeout=120)
        self.environment = {**os.environ, "PGPASSWORD": login["password"]}
        self.program = [database.program("pgbench"), "-h", "127.0.0.1", "-p", str(login["port"]), "-U", login["user"]]
        subprocess.run([*self.program, "-i", "-q", "-s", "10", login["name"]], env=self.environment, check=True, capture_output=True)

    def receiver(self):
        return json.loads(self.state_path.read_text())

    def with_receiver(self):
        os.kill(self.keeper, signal.SIGCONT)
        wait_until(lambda: database.query(
            "SELECT 1 FROM pg_stat_replication WHERE state = 'streaming' AND flush_lsn >= pg_current_wal_flush_lsn()", **self.login),
            timeout=120)
        # What came while it was away is filed, too: that work is not of the time that is measured.
        wait_until(lambda: not [path for path in self.repository().glob("wal/*/*") if SEGMENT.fullmatch(path.name)], timeout=120)

    def repository(self):
        return pathlib.Path(self.receiver()["repository"])

    def without_receiver(self):
        os.kill(self.keeper, signal.SIGSTOP)  # it would start another
        os.kill(self.receiver()["pid"], signal.SIGKILL)
        wait_until(lambda: not database.query("SELECT 1 FROM pg_stat_replication", **self.login))

    def run(self, seconds=SECONDS):
        out = subprocess.run([*self.program, "-n", "-c4", "-j2", f"-T{seconds}", self.login["name"]], env=self.environment, check=True,
                             capture_output=True, text=True).stdout
        return float(next(line for line in out.splitlines() if line.startswith("tps")).split()[2])

    def lag_under_load(self, seconds=3 * SECONDS):
        """Milliseconds that the acknowledgement was behind the server's own flush, sampled."""
        load = subprocess.Popen([*self.program, "-n", "-c4", "-j2", f"-T{seconds}", self.login["name"]], env=self.environment,
                                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        samples = []
        connection = database.connect(**self.login)
        with connection.cursor() as cursor:
            while load.poll() is None:
                cursor.execute("SELECT extract(epoch FROM flush_lag) * 1000 FROM pg_stat_replication WHERE flush_lag IS NOT NULL")
                samples += [float(row[0]) for row in cursor.fetchall()]
                time.sleep(0.02)
        connection.close()
        return samples

    def memory_bytes(self):
        for line in open(f"/proc/{self.receiver()['pid']}/status"):
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) * 1024
        return 0

    def end(self):
        os.kill(self.keeper, signal.SIGCONT)
        self.side.remove_volumes(self.folder)


def measure(side, folder, login, rounds):
    """→ {"with", "without": [tps], "shares": of each pair, "lag_ms": [ms], "memory": bytes}"""
    place = Streaming(side, folder, login)
    found = {"with": [], "without": [], "shares": []}
    try:
        place.with_receiver()
        place.run()  # the first finds colder caches
        for number in range(rounds):
            pair = {}
            for kind in ("with", "without")[::1 if number % 2 else -1]:
                (place.with_receiver if kind == "with" else place.without_receiver)()
                time.sleep(SETTLE_S)  # the keeper, too, has something to do where a receiver comes or goes
                pair[kind] = place.run()
                found[kind].append(pair[kind])
                if kind == "without":
                    place.with_receiver()
            found["shares"].append(pair["with"] / pair["without"])
        found["lag_ms"] = place.lag_under_load()
        found["memory"] = place.memory_bytes()
    finally:
        place.end()
    return found


def describe(found):
    shares, lag = found["shares"], found["lag_ms"]
    return (f"pgbench TPC-B -c4 with the log received: {statistics.median(shares):.3f} of the transactions without (goal ≥ 0.97; median of "
            f"{len(shares)} pairs of {SECONDS} s, {min(shares):.2f} to {max(shares):.2f}; {statistics.median(found['with']):.0f} and "
            f"{statistics.median(found['without']):.0f} tps). Under that load the acknowledgement was {statistics.median(lag):.1f} ms behind "
            f"the server's own flush (median of {len(lag)} samples; goal < 50 ms; nine of ten below "
            f"{sorted(lag)[len(lag) * 9 // 10]:.1f} ms). Resident memory of the receiver behind it: {found['memory'] / 1e6:.1f} MB (goal ≤ 8 MB).")
