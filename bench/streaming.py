"""What receiving the log costs and gives: pgbench's TPC-B on 1 GB with the receiver, without it, with pg_receivewal in its place, and
with the server's sender alone (its receiver stands still, nothing is sent), in many short rounds by turns on the same cluster; how far
what is acknowledged is behind the server under that load; the receiver's memory.

A virtual machine gets its processors by the host's leave, and a second of which the host took a tenth has a tenth fewer transactions,
whoever receives the log. So each second counts by itself, and those in which the host took more than TAKEN_LIMIT are left out on
every side alike."""
import json
import os
import pathlib
import re
import signal
import statistics
import subprocess
import time

import sides
from support import database
from support.program import wait_until

SCALE = 65  # 1 GB
SECONDS = 8
SETTLE_S = 2
TAKEN_LIMIT = 0.04  # of all processors' time
SEGMENT = re.compile("[0-9A-F]{24}")  # not yet compressed


def processors():
    """(time at work, time the host took, all time), in ticks since the start."""
    fields = [int(field) for field in open("/proc/stat").readline().split()[1:9]]
    taken = fields[7]
    return sum(fields) - fields[3] - fields[4] - taken, taken, sum(fields)


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
        subprocess.run([*self.program, "-i", "-q", "-s", str(SCALE), login["name"]], env=self.environment, check=True, capture_output=True)

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

    def with_sender_alone(self):
        self.with_receiver()
        for pid in (self.keeper, self.receiver()["pid"]):
            os.kill(pid, signal.SIGSTOP)

    def allow_peer(self):
        connection = database.connect(**self.login)
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute("COPY (SELECT 'host replication all 127.0.0.1/32 scram-sha-256') TO PROGRAM 'cat >> $PGDATA/pg_hba.conf'")
            cursor.execute("SELECT pg_reload_conf()")
        connection.close()

    def with_peer(self):
        """pg_receivewal as its manual has it; from the image, since an older one refuses a newer server."""
        self.without_receiver()
        command = f"d=$(mktemp -d -p $PGDATA/..) && pg_receivewal -n -D $d -h 127.0.0.1 -U {self.login['user']}; rm -rf $d"
        self.peer = subprocess.Popen([*self.side.command, "exec", "-T", "-e", "PGPASSWORD=" + self.login["password"], self.service,
                                      "sh", "-c", command], cwd=self.folder, env=self.side.environment,
                                     stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_until(lambda: database.query("SELECT 1 FROM pg_stat_replication WHERE state = 'streaming'", **self.login))

    def without_peer(self):
        database.query("SELECT pg_terminate_backend(pid) FROM pg_stat_replication", **self.login)
        self.peer.wait()

    def run(self, seconds=SECONDS):
        """(transactions, processor time of each one in s) of each second that the host left to this machine."""
        load = subprocess.Popen([*self.program, "-n", "-c4", "-j2", "-P1", f"-T{seconds}", self.login["name"]], env=self.environment,
                                stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        found, before = [], processors()
        for line in load.stderr:
            if line.startswith("progress:"):
                now = processors()
                work, taken, whole = (later - earlier for later, earlier in zip(now, before))
                before = now
                if taken <= TAKEN_LIMIT * whole:
                    transactions = float(line.split(", ")[1].split()[0])
                    found.append((transactions, work / sides.TICKS / transactions))
        assert load.wait() == 0
        return found

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
    """→ {"tps", "work": {side: [of each second]}, "seconds": measured on each side, "lag_ms": [ms], "memory": bytes}"""
    place = Streaming(side, folder, login)
    ways = {"berth": (place.with_receiver, lambda: None), "none": (place.without_receiver, place.with_receiver),
            "pg_receivewal": (place.with_peer, lambda: (place.without_peer(), place.with_receiver())),
            "sender": (place.with_sender_alone, lambda: (place.without_receiver(), place.with_receiver()))}
    found = {"tps": {name: [] for name in ways}, "work": {name: [] for name in ways}, "seconds": rounds * SECONDS}
    try:
        place.with_receiver()
        place.allow_peer()
        place.run()  # the first finds colder caches
        for number in range(rounds):
            for name in sorted(ways, key=lambda name: (list(ways).index(name) + number) % len(ways)):
                begin, end = ways[name]
                begin()
                time.sleep(SETTLE_S)  # the keeper, too, has something to do where a receiver comes or goes
                for transactions, work in place.run():
                    found["tps"][name].append(transactions)
                    found["work"][name].append(work)
                end()
        found["lag_ms"] = place.lag_under_load()
        found["memory"] = place.memory_bytes()
    finally:
        place.end()
    return found


def share(found, name, of="tps"):
    """(times what it is without, its standard error)"""
    mean, error = {}, {}
    for one in (name, "none"):
        values = found[of][one]
        mean[one] = statistics.mean(values)
        error[one] = statistics.stdev(values) / len(values) ** 0.5 / mean[one]
    ratio = mean[name] / mean["none"]
    return ratio, ratio * (error[name] ** 2 + error["none"] ** 2) ** 0.5


def describe(found):
    lag, counts = found["lag_ms"], [len(values) for values in found["tps"].values()]
    tps = {name: f"{statistics.mean(values):.0f}" for name, values in found["tps"].items()}
    order = ("berth", "pg_receivewal", "sender")
    ours, peers, sender = ("{:.3f} ± {:.3f}".format(*share(found, name)) for name in order)
    work = [f"{share(found, name, 'work')[0] - 1:+.1%}" for name in order]
    return (f"pgbench TPC-B -c4 on 1 GB with the log received: {ours} of the transactions without (goal ≥ 0.97; {tps['berth']} and "
            f"{tps['none']} tps); with pg_receivewal in its place {peers}; with the server's sender alone, which is told of each commit and "
            f"sends nothing, {sender}. Processor time of a transaction, all processes together: {statistics.mean(found['work']['none']) * 1000:.2f} "
            f"ms without, {work[0]} with Berth, {work[1]} with pg_receivewal, {work[2]} with the sender alone. Means of {min(counts)} to "
            f"{max(counts)} single seconds, in turns of {SECONDS} s; seconds of which the host took more than {TAKEN_LIMIT:.0%} are left out "
            f"({found['seconds'] - max(counts)} to {found['seconds'] - min(counts)} of each side). Under that load the acknowledgement was "
            f"{statistics.median(lag):.1f} ms behind the server's own flush (median of {len(lag)} samples; goal < 50 ms; nine of ten below "
            f"{sorted(lag)[len(lag) * 9 // 10]:.1f} ms). Resident memory of the receiver behind it: {found['memory'] / 1e6:.1f} MB (goal ≤ 8 MB).")
