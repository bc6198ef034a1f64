"""A machine of a test's own: a network namespace for the host, one for a neighbour on its wire, and calls of network-tool."""
import ctypes
import itertools
import json
import os
import pathlib
import shutil
import socket
import subprocess
import threading
import time

from support import program

TOOL = program.BUILD / "tests" / "unit" / "engine" / "network-tool"
HOST_ADDRESS, SECOND_ADDRESS, NEIGHBOUR_ADDRESS = "203.0.113.7", "203.0.113.8", "203.0.113.1"
CLONE_NEWNET = 0x40000000
_libc = ctypes.CDLL(None, use_errno=True)
_numbers = itertools.count()


def inside(namespace, function, *arguments):
    """Runs function in a thread that is in the namespace; sockets made there stay there."""
    result = []

    def work():
        fd = os.open(namespace, os.O_RDONLY)
        try:
            if _libc.setns(fd, CLONE_NEWNET) != 0:
                raise OSError(ctypes.get_errno(), f"enter {namespace}")
            result.append((True, function(*arguments)))
        except Exception as error:  # noqa: BLE001: handed to the caller
            result.append((False, error))
        finally:
            os.close(fd)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    fine, value = result[0]
    if not fine:
        raise value
    return value


def make_namespace():
    """A process that keeps a namespace, and the namespace's path."""
    keeper = subprocess.Popen(["unshare", "--net", "sh", "-c", "ip link set lo up; echo; exec sleep infinity"],
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
    keeper.stdout.readline()
    return keeper, f"/proc/{keeper.pid}/ns/net"


class Server:
    """Answers each connection or datagram with "<text> <who asks>"."""

    def __init__(self, namespace, port, text, address="0.0.0.0", udp=False):
        self.text, self.udp = text, udp
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        self.socket = inside(namespace, self._make, family, address, port)
        threading.Thread(target=self._serve, daemon=True).start()

    def _make(self, family, address, port):
        made = socket.socket(family, socket.SOCK_DGRAM if self.udp else socket.SOCK_STREAM)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind((address, port))
        if not self.udp:
            made.listen(64)
        return made

    def _serve(self):
        try:
            while True:
                if self.udp:
                    _, peer = self.socket.recvfrom(2048)
                    self.socket.sendto(f"{self.text} {peer[0]}".encode(), peer)
                else:
                    connection, peer = self.socket.accept()
                    with connection:
                        connection.sendall(f"{self.text} {peer[0]}".encode())
        except (OSError, TypeError):  # closed under its feet
            pass

    def close(self):
        try:
            self.socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.socket.close()


def _ask(address, port, udp, timeout):
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM if udp else socket.SOCK_STREAM) as asker:
        asker.settimeout(timeout)
        asker.connect((address, port))
        if udp:
            asker.send(b"?")
            return asker.recv(2048).decode()
        answer = b""
        while True:
            part = asker.recv(2048)
            if not part:
                return answer.decode()
            answer += part


class Container:
    def __init__(self, machine, name, process, result, identity, folder):
        self.machine, self.name, self.process, self.id, self.folder = machine, name, process, identity, folder
        self.namespace = str(folder / "netns")
        self.addresses = {one["network"]: one["ipv4"] for one in result["addresses"]}
        self.addresses6 = {one["network"]: one["ipv6"] for one in result["addresses"]}
        self.ports = result["ports"]
        self.servers = []

    @property
    def address(self):
        return next(iter(self.addresses.values()))

    @property
    def hosts(self):
        return (self.folder / "hosts").read_text()

    def addresses_of(self, name):
        return [line.split()[0] for line in self.hosts.splitlines() if name in line.split()[1:]]

    def serve(self, port, udp=False, address="0.0.0.0"):
        self.servers.append(Server(self.namespace, port, self.name, address, udp))
        return self

    def ask(self, address, port, udp=False, timeout=1.0):
        return self.machine.ask(address, port, udp, timeout, self.namespace)

    def end(self):
        """As when its monitor ends: the held sockets are closed."""
        for server in self.servers:
            server.close()
        self.servers = []
        if self.process.poll() is None:
            self.process.stdin.close()
            self.process.wait(10)

    def detach(self):
        self.end()
        self.machine.tool("detach", self.id, str(self.folder))


class Machine:
    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.environment = {**os.environ, "BERTH_DATA_DIR": str(self.folder / "data"),
                            "BERTH_RUN_DIR": str(self.folder / "run"), "BERTH_LIBEXEC_DIR": str(program.BUILD)}
        self.keeper, self.namespace = make_namespace()
        self.neighbour_keeper, self.neighbour = make_namespace()
        self.containers, self.servers, self.keepers = [], [], [self.keeper, self.neighbour_keeper]
        self.sh(f"""
            ip link add wire type veth peer name eth0 netns {self.neighbour_keeper.pid}
            ip addr add {HOST_ADDRESS}/24 dev wire; ip addr add {SECOND_ADDRESS}/24 dev wire; ip link set wire up
        """)
        self.sh(f"ip addr add {NEIGHBOUR_ADDRESS}/24 dev eth0; ip link set eth0 up", self.neighbour)
        self.sh(f"ip route add default via {NEIGHBOUR_ADDRESS}")

    def run(self, *argv, namespace=None, check=True, **options):
        return subprocess.run(["nsenter", f"--net={namespace or self.namespace}", *argv], env=self.environment, text=True,
                              capture_output=True, check=check, stdin=options.pop("stdin", subprocess.DEVNULL), **options)

    def sh(self, script, namespace=None):
        return self.run("sh", "-ec", script, namespace=namespace).stdout

    def tool(self, *arguments):
        done = self.run(str(TOOL), *arguments, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def fails(self, *arguments):
        done = self.run(str(TOOL), *arguments, check=False)
        assert done.returncode == 1, done.stdout
        return done.stderr

    def spec(self, name, networks, ports=(), project="demo", **more):
        return json.dumps({"name": name, "project": project, "argv": ["x"], "service": name, "ports": list(ports),
                           "networks": [one if isinstance(one, dict) else {"network": one} for one in networks], **more})

    def begin(self, name, networks, ports=(), **more):
        identity = more.pop("identity", None) or f"{next(_numbers):012x}{name.encode().hex():0<20}"[:32]
        folder = self.folder / "run" / "projects" / more.get("project", "demo") / "containers" / identity
        process = subprocess.Popen(["nsenter", f"--net={self.namespace}", str(TOOL), "attach",
                                    self.spec(name, networks, ports, **more), identity, str(folder)],
                                   env=self.environment, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE)
        return process, identity, folder

    def attach(self, name, networks, ports=(), **more):
        process, identity, folder = self.begin(name, networks, ports, **more)
        line = process.stdout.readline()
        if not line:
            raise AssertionError(process.communicate()[1])
        made = Container(self, name, process, json.loads(line), identity, folder)
        self.containers.append(made)
        return made

    def refused(self, name, networks, ports=(), **more):
        process, _, _ = self.begin(name, networks, ports, **more)
        out, errors = process.communicate()
        assert process.returncode == 1, out
        return errors

    def serve(self, port, text="host", address="0.0.0.0", udp=False, namespace=None):
        self.servers.append(Server(namespace or self.namespace, port, text, address, udp))

    def ask(self, address, port, udp=False, timeout=1.0, namespace=None):
        """What answers there, or None."""
        try:
            return inside(namespace or self.namespace, _ask, address, port, udp, timeout)
        except OSError:
            return None

    def neighbour_asks(self, address, port, udp=False, timeout=1.0):
        return self.ask(address, port, udp, timeout, self.neighbour)

    def rules(self):
        return self.sh("nft list ruleset")

    def close(self):
        for container in self.containers:
            container.end()
        for server in self.servers:
            server.close()
        for point in pathlib.Path("/proc/mounts").read_text().split():
            if point.startswith(str(self.folder)):
                subprocess.run(["umount", "-l", point], check=False)
        for keeper in self.keepers:
            keeper.kill()
            keeper.wait()
        shutil.rmtree(self.folder, ignore_errors=True)


def wait_until(condition, timeout=10):
    end = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < end, "it did not come to pass"
        time.sleep(0.02)
