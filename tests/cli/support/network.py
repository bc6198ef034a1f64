"""A network of the tests' own, so that ports, bridges and rules of this machine are neither seen nor touched.

The whole test run moves into a new network namespace. Its default route leads to a second one, "the world": 198.51.100.1,
where a test can start a server that stands for the outside. BERTH_TEST_HOST_NETWORK=1 stays in the machine's own."""
import contextlib
import ctypes
import os
import socket
import subprocess

CLONE_NEWNET = 0x40000000
WORLD_ADDRESS, OUR_ADDRESS = "198.51.100.1", "198.51.100.7"

outside = None  # descriptor of the machine's own network namespace, for what must download
world = None    # a process that keeps the world's namespace; None in the machine's own network


def enter():
    global outside, world
    outside = os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    if os.environ.get("BERTH_TEST_HOST_NETWORK") or os.geteuid() != 0:
        return
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "unshare the network")
    world = subprocess.Popen(["unshare", "--net", "sh", "-c", "echo; exec sleep infinity"], stdin=subprocess.DEVNULL,
                             stdout=subprocess.PIPE)
    world.stdout.readline()
    script = f"""
        ip link set lo up
        ip link add uplink type veth peer name downlink
        ip link set downlink netns {world.pid}
        ip addr add {OUR_ADDRESS}/24 dev uplink
        ip link set uplink up
        nsenter --target {world.pid} --net sh -c 'ip link set lo up; ip addr add {WORLD_ADDRESS}/24 dev downlink; ip link set downlink up;
            echo 1 >/proc/sys/net/ipv4/ip_forward'
        ip route add default via {WORLD_ADDRESS}
    """
    subprocess.run(["sh", "-ec", script], check=True, stdin=subprocess.DEVNULL)


def leave():
    if world:
        world.kill()
        world.wait()


def in_world(argv):
    """The command that runs argv in the world."""
    return ["nsenter", "--target", str(world.pid), "--net", *argv]


def in_outside(argv):
    """The command that runs argv in the machine's own network."""
    return ["nsenter", f"--net=/proc/{os.getpid()}/fd/{outside}", *argv] if outside is not None and os.geteuid() == 0 else argv


def free_port(host="127.0.0.1", count=1):
    """The first of count ports in a row that nobody uses."""
    while True:
        with contextlib.ExitStack() as probes:
            try:
                first = 0
                for n in range(count):
                    probe = probes.enter_context(socket.socket())
                    probe.bind((host, first + n if first else 0))
                    first = first or probe.getsockname()[1]
                return first
            except (OSError, OverflowError):
                continue
