"""The networks of the local engine by themselves: real bridges, rules and ports on a machine of the test's own, which is a
network namespace with a neighbour on its wire. Containers are namespaces without a process."""
import json
import os
import pathlib
import shutil
import socket
import struct
import subprocess
import tempfile
import threading

import pytest

from support import docker
from support.machine import (HOST_ADDRESS, NEIGHBOUR_ADDRESS, SECOND_ADDRESS, TOOL, Machine, Server, inside,
                             make_namespace, wait_until)

pytestmark = pytest.mark.skipif(os.geteuid() != 0 or not TOOL.exists(), reason="needs root and network-tool")


@pytest.fixture
def machine():
    made = Machine(tempfile.mkdtemp(prefix="berth-network-", dir="/var/tmp"))
    yield made
    made.close()


def port(container_port, host_port=0, host_ip=None, udp=False):
    spec = {"container_port": container_port, "host_port": host_port, "udp": udp}
    return {**spec, "host_ip": host_ip} if host_ip else spec


# ---- names and addresses ----

def test_names_of_peers_come_and_go(machine):
    machine.tool("create", "one", "demo")
    web = machine.attach("demo-web-1", [{"network": "one", "aliases": ["www"]}], service="web")
    hosts = web.folder / "hosts"
    inode = hosts.stat().st_ino
    first = machine.attach("demo-db-1", ["one"], service="db")
    second = machine.attach("demo-db-2", ["one"], service="db")
    assert sorted(web.addresses_of("db")) == sorted([first.address, second.address])
    assert web.addresses_of("demo-db-2") == [second.address]
    assert second.addresses_of("www") == second.addresses_of("web") == [web.address]
    second.detach()
    assert web.addresses_of("db") == [first.address]
    assert hosts.stat().st_ino == inode, "a bind mount of the file would not see another one"


def test_a_name_means_the_first_network_that_knows_it(machine):
    for name in ("one", "two"):
        machine.tool("create", name, "demo")
    both = machine.attach("both", ["one", "two"])
    machine.attach("other", ["one", "two"])
    assert both.addresses_of("other") == [machine.containers[1].addresses["one"]]
    only = machine.attach("only", ["two"])
    assert both.addresses_of("only") == [only.address]
    assert only.addresses_of("other") == [machine.containers[1].addresses["two"]]


def test_an_address_stays_with_its_name(machine):
    machine.tool("create", "one", "demo")
    first, second = machine.attach("a", ["one"]), machine.attach("b", ["one"])
    assert (first.address, second.address) == ("172.18.0.2", "172.18.0.3")
    first.detach()
    second.detach()
    assert machine.attach("b", ["one"]).address == "172.18.0.3"
    assert machine.attach("c", ["one"]).address == "172.18.0.4"
    assert machine.attach("a", ["one"]).address == "172.18.0.2"
    machine.attach("run", ["one"], oneoff=True).detach()
    assert machine.attach("run-2", ["one"], oneoff=True).address == "172.18.0.5"


def test_addresses_asked_for(machine):
    machine.tool("create", "one", "demo", "-", "172.28.0.0/24")
    assert machine.attach("a", [{"network": "one", "ipv4": "172.28.0.77"}]).address == "172.28.0.77"

    def refused(address):
        return machine.refused("b", [{"network": "one", "ipv4": address}])

    assert "address 10.0.0.1 is outside the subnet 172.28.0.0/24 of network \"one\"" in refused("10.0.0.1")
    assert "is taken by container \"a\"" in refused("172.28.0.77")
    assert "is the gateway of network" in refused("172.28.0.1")
    assert "is the broadcast address" in refused("172.28.0.255")
    assert "\"x\" is not an IPv4 address" in refused("x")
    assert "network \"none-such\" does not exist" in machine.refused("b", ["none-such"])


def test_subnets_are_free_ones_or_refused(machine):
    machine.sh("ip link add busy type bridge; ip addr add 172.18.5.1/24 dev busy; ip link set busy up")
    machine.tool("create", "one", "demo")
    assert json.loads(machine.tool("inspect", "one"))["subnet"] == "172.19.0.0/16"
    machine.tool("create", "two", "demo")
    assert json.loads(machine.tool("inspect", "two"))["subnet"] == "172.20.0.0/16"
    refused = [machine.fails("create", "three", "demo", "-", subnet)
               for subnet in ("172.18.5.0/25", "172.19.4.0/24", "172.28.0.1/16", "172.28.0.0/33", "172.28.0.0/31")]
    assert "overlaps the route 172.18.5.0/24 of this machine over busy" in refused[0]
    assert "overlaps 172.19.0.0/16 of network \"one\"" in refused[1]
    assert "Write 172.28.0.0/16." in refused[2]
    assert "is not a subnet" in refused[3]
    assert "has no room" in refused[4]
    assert "does not exist" in machine.fails("inspect", "three"), "a refused network leaves no record"
    assert "exists with other settings (internal)" in machine.fails("create", "one", "demo", "internal")


def test_ipv6(machine):
    machine.tool("create", "one", "demo", "ipv6")
    first, second = machine.attach("a", ["one"]), machine.attach("b", ["one"])
    first.serve(80, address="::")
    assert second.ask(first.addresses6["one"], 80) == f"a {second.addresses6['one']}"
    assert second.addresses_of("a") == [first.address, first.addresses6["one"]]


# ---- published ports ----

def test_a_published_port_from_everywhere(machine):
    for name in ("one", "two"):
        machine.tool("create", name, "demo")
    db = machine.attach("db", ["one"], [port(5432, 15432)]).serve(5432)
    assert machine.ask("127.0.0.1", 15432).startswith("db ")
    for address in (HOST_ADDRESS, SECOND_ADDRESS, "172.18.0.1", "::1"):
        assert machine.ask(address, 15432), address
    assert machine.neighbour_asks(HOST_ADDRESS, 15432) == f"db {NEIGHBOUR_ADDRESS}"
    assert machine.neighbour_asks(SECOND_ADDRESS, 15432)
    for asker in (machine.attach("peer", ["one"]), machine.attach("stranger", ["two"]), db):
        assert asker.ask(HOST_ADDRESS, 15432), asker.name


def test_a_port_on_one_address_only(machine):
    machine.tool("create", "one", "demo")
    db = machine.attach("db", ["one"], [port(5432, 5432, "127.0.0.1"), port(80, 8080, SECOND_ADDRESS)])
    db.serve(5432).serve(80)
    assert machine.ask("127.0.0.1", 5432)
    assert not machine.ask(HOST_ADDRESS, 5432)
    assert not machine.ask("::1", 5432)
    assert not machine.neighbour_asks(HOST_ADDRESS, 5432, timeout=0.3)
    assert machine.neighbour_asks(SECOND_ADDRESS, 8080)
    assert not machine.neighbour_asks(HOST_ADDRESS, 8080, timeout=0.3)
    assert not machine.ask("127.0.0.1", 8080)


def test_udp_and_any_free_port(machine):
    machine.tool("create", "one", "demo")
    made = machine.attach("dns", ["one"], [port(53, 5353, udp=True), port(80)]).serve(53, udp=True).serve(80)
    assert machine.ask("127.0.0.1", 5353, udp=True).startswith("dns ")
    assert machine.ask("::1", 5353, udp=True).startswith("dns ")
    assert machine.neighbour_asks(HOST_ADDRESS, 5353, udp=True) == f"dns {NEIGHBOUR_ADDRESS}"
    free = {one["host_port"] for one in made.ports if one["host_port"] != 5353}
    assert len(free) == 1, "one number for IPv4 and IPv6"
    assert machine.ask("127.0.0.1", free.pop())


def test_a_udp_flow_that_was_there_first_finds_the_container(machine):
    machine.tool("create", "one", "demo")

    def begin():
        made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        made.bind((NEIGHBOUR_ADDRESS, 0))
        made.settimeout(1)
        made.sendto(b"?", (HOST_ADDRESS, 5353))
        return made

    with inside(machine.neighbour, begin) as client:
        machine.attach("dns", ["one"], [port(53, 5353, udp=True)]).serve(53, udp=True)
        client.sendto(b"?", (HOST_ADDRESS, 5353))
        assert client.recv(100) == f"dns {NEIGHBOUR_ADDRESS}".encode()


def test_a_port_is_held_as_long_as_the_container_runs(machine):
    machine.tool("create", "one", "demo")
    db = machine.attach("db", ["one"], [port(5432, 5432)])
    with pytest.raises(OSError):
        Server(machine.namespace, 5432, "thief")
    with pytest.raises(OSError):
        Server(machine.namespace, 5432, "thief", "::1")
    db.end()
    wait_until(lambda: not relays(machine))
    db.detach()
    machine.serve(5432)
    assert machine.ask("127.0.0.1", 5432) == "host 127.0.0.1"


def relays(machine):
    found = []
    for process in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            if str(machine.folder) in (process / "cmdline").read_text() and \
                    (process / "comm").read_text().strip() == "berth-relay":
                found.append(process)
        except OSError:
            pass
    return found


def test_the_relay_is_one_small_process_without_rights(machine):
    machine.tool("create", "one", "demo")
    machine.attach("db", ["one"], [port(5432, 5432), port(80, 8080)])
    relay, = relays(machine)
    # It gives its rights up as the first thing it does.
    wait_until(lambda: "\nUid:\t65534\t65534" in (relay / "status").read_text())
    assert "\nNoNewPrivs:\t1" in (relay / "status").read_text()
    pss = next(line for line in (relay / "smaps_rollup").read_text().splitlines() if line.startswith("Pss:"))
    if "asan" not in str(TOOL):
        assert int(pss.split()[1]) < 700
    machine.attach("quiet", ["one"], [port(1, 1000, "127.0.0.1")])
    assert len(relays(machine)) == 1


def test_the_relay_passes_much_both_ways(machine):
    machine.tool("create", "one", "demo")
    db = machine.attach("db", ["one"], [port(5432, 5432)])
    data = os.urandom(8 * 1024 * 1024)

    server = inside(db.namespace, socket.create_server, ("0.0.0.0", 5432))

    def echo():
        with server, server.accept()[0] as connection:
            received = b""
            while part := connection.recv(1 << 16):
                received += part
            connection.sendall(received)

    threading.Thread(target=echo, daemon=True).start()

    def talk():
        with socket.create_connection(("::1", 5432), timeout=20) as connection:
            connection.sendall(data)
            connection.shutdown(socket.SHUT_WR)
            received = b""
            while part := connection.recv(1 << 16):
                received += part
            return received

    assert inside(machine.namespace, talk) == data


def test_a_port_taken_by_a_process(machine):
    machine.tool("create", "one", "demo")
    machine.serve(5432, address="127.0.0.1")
    message = machine.refused("db", ["one"], [port(5432, 5432)])
    assert f"port 0.0.0.0:5432/tcp for \"db\" is taken by process {os.getpid()} (" in message
    assert "5433 is free" in message
    machine.serve(6000, address="::", udp=True)
    assert f"6000/udp for \"db\" is taken by process {os.getpid()}" in machine.refused("db", ["one"], [port(1, 6000, udp=True)])
    assert machine.sh("ip -o link show type veth | grep -c be || true").strip() == "0"


def test_a_port_taken_by_another_project(machine):
    machine.tool("create", "one", "demo")
    machine.tool("create", "two", "shop")
    machine.attach("shop-db-1", ["two"], [port(5432, 5432, "127.0.0.1")], project="my-shop_2").serve(5432)
    assert machine.ask("127.0.0.1", 5432)
    message = machine.refused("db", ["one"], [port(5432, 5432)])
    assert "is taken by container \"shop-db-1\" of project \"my-shop_2\"" in message
    machine.attach("db", ["one"], [port(5432, 5432, HOST_ADDRESS)])


def test_a_port_held_by_another_installation(machine):
    """Bound sockets that do not listen are not in /proc/net/tcp."""
    release = tuple(int(part) for part in os.uname().release.split(".")[:2])
    if release < (6, 8):
        pytest.skip("the kernel does not tell")
    machine.tool("create", "one", "demo")

    def hold():
        held = socket.socket()
        held.bind(("127.0.0.1", 5432))
        return held

    with inside(machine.namespace, hold):
        assert f"is taken by process {os.getpid()} (" in machine.refused("db", ["one"], [port(5432, 5432)])


def test_a_port_on_an_address_that_is_not_there(machine):
    machine.tool("create", "one", "demo")
    assert "no interface of this machine has the address 192.0.2.99" in \
        machine.refused("db", ["one"], [port(1, 1000, "192.0.2.99")])


def test_a_server_that_was_there_a_moment_ago_is_in_nobody_s_way(machine):
    """Its connections linger for a minute and would refuse the port to whoever comes next."""
    machine.tool("create", "one", "demo")
    server = Server(machine.namespace, 5432, "old", "127.0.0.1")
    assert machine.ask("127.0.0.1", 5432)
    server.close()
    assert "1538 " in machine.sh("cat /proc/net/tcp | tr ':' ' ' | grep -i 1538"), "it lingers"
    machine.attach("db", ["one"], [port(5432, 5432)]).serve(5432)
    assert machine.ask("127.0.0.1", 5432).startswith("db ")
    with pytest.raises(OSError):
        Server(machine.namespace, 5432, "thief", "127.0.0.1")


# ---- isolation ----

def test_networks_are_apart_and_the_world_is_reached(machine):
    for name in ("one", "two"):
        machine.tool("create", name, "demo")
    a, b = machine.attach("a", ["one"]).serve(80), machine.attach("b", ["two"]).serve(80)
    peer = machine.attach("c", ["one"])
    assert peer.ask(a.address, 80)
    assert not peer.ask(b.address, 80)
    machine.serve(80, "neighbour", namespace=machine.neighbour)
    assert peer.ask(NEIGHBOUR_ADDRESS, 80) == f"neighbour {HOST_ADDRESS}"
    machine.sh(f"ip route add 172.16.0.0/12 via {HOST_ADDRESS}", machine.neighbour)
    assert not machine.neighbour_asks(a.address, 80, timeout=0.3), "what is not published is not reached"


def test_an_internal_network(machine):
    machine.tool("create", "in", "demo", "internal")
    machine.tool("create", "out", "demo")
    db = machine.attach("db", ["in"], [port(80, 8080)]).serve(80)
    assert machine.attach("peer", ["in"]).ask(db.address, 80)
    machine.serve(80, "neighbour", namespace=machine.neighbour)
    assert not db.ask(NEIGHBOUR_ADDRESS, 80)
    machine.sh(f"ip route add default via {json.loads(machine.tool('inspect', 'in'))['gateway']}", db.namespace)
    assert not db.ask(NEIGHBOUR_ADDRESS, 80, timeout=0.5), "not even where it gives itself a way out"
    assert machine.ask("127.0.0.1", 8080) and machine.ask(HOST_ADDRESS, 8080)
    assert not machine.neighbour_asks(HOST_ADDRESS, 8080, timeout=0.3)
    assert not machine.attach("other", ["out"]).ask(HOST_ADDRESS, 8080, timeout=0.3)


def udp_packet(source, destination, destination_port, payload=b"!"):
    udp = struct.pack("!HHHH", 40000, destination_port, 8 + len(payload), 0) + payload
    header = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(udp), 1, 0, 64, 17, 0, socket.inet_aton(source),
                         socket.inet_aton(destination))
    total = sum(struct.unpack("!10H", header))
    checksum = ~((total & 0xffff) + (total >> 16)) & 0xffff
    return header[:10] + struct.pack("!H", checksum) + header[12:] + udp


def send_frame(interface, mac, packet):
    with socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM) as raw:
        raw.sendto(packet, (interface, 0x0800, 0, 0, bytes.fromhex(mac.replace(":", ""))))


def listen_udp(namespace, address, number):
    def make():
        made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        made.bind((address, number))
        made.settimeout(0.5)
        return made
    return inside(namespace, make)


def receives(listener):
    try:
        return bool(listener.recv(100))
    except TimeoutError:
        return False


def test_a_container_with_net_raw_does_not_reach_this_machine_s_loopback(machine):
    machine.tool("create", "one", "demo")
    intruder = machine.attach("intruder", ["one"])
    bridge = json.loads(machine.tool("inspect", "one"))["interface"]
    mac = machine.sh(f"ip -o link show {bridge}").split("link/ether ")[1].split()[0]
    packet = udp_packet(intruder.address, "127.0.0.1", 7777)
    with listen_udp(machine.namespace, "127.0.0.1", 7777) as secret:
        inside(intruder.namespace, send_frame, "eth0", mac, packet)
        assert not receives(secret)
        table = machine.sh("nft list tables").split()[-1]
        machine.sh(f"nft flush chain inet {table} guard")
        inside(intruder.namespace, send_frame, "eth0", mac, packet)
        assert receives(secret), "without the guard it does: the test can fail"


def test_a_neighbour_does_not_reach_a_port_of_loopback(machine):
    """A frame to 127.0.0.1 that comes in from the wire must not be led into the container before it is seen as absurd."""
    machine.tool("create", "one", "demo")
    db = machine.attach("db", ["one"], [port(53, 5353, "127.0.0.1", udp=True)])
    mac = machine.sh("ip -o link show wire").split("link/ether ")[1].split()[0]
    with listen_udp(db.namespace, "0.0.0.0", 53) as service:
        inside(machine.neighbour, send_frame, "eth0", mac, udp_packet(NEIGHBOUR_ADDRESS, "127.0.0.1", 5353))
        assert not receives(service)


# ---- beside other firewalls ----

def chain_of_docker(program):
    return (f"{program} -P FORWARD DROP; {program} -N DOCKER-USER; {program} -A DOCKER-USER -j RETURN;"
            f"{program} -I FORWARD -j DOCKER-USER")


FIREWALLS = {
    "policy by iptables-nft": "iptables-nft -P FORWARD DROP",
    "policy by iptables-legacy": "iptables-legacy -P FORWARD DROP",
    "both": "iptables-nft -P FORWARD DROP; iptables-legacy -P FORWARD DROP",
    "DOCKER-USER by iptables-nft": chain_of_docker("iptables-nft"),
    "DOCKER-USER by iptables-legacy": chain_of_docker("iptables-legacy"),
    "like firewalld": """nft -f - <<END
        table inet firewalld {
            chain filter_FORWARD {
                type filter hook forward priority filter + 10; policy accept
                ct state established,related accept
                reject with icmpx admin-prohibited
            }
        }
END""",
    "like ufw": "iptables-nft -P FORWARD DROP; iptables-nft -N ufw-reject-forward; iptables-nft -A FORWARD -j ufw-reject-forward;"
                "iptables-nft -A ufw-reject-forward -j REJECT",
}


def check_traffic(machine, db, peer):
    machine.serve(80, "neighbour", namespace=machine.neighbour)
    assert machine.neighbour_asks(HOST_ADDRESS, 5432), "from outside to a published port"
    assert machine.ask("127.0.0.1", 5432)
    assert db.ask(NEIGHBOUR_ADDRESS, 80), "from a container to the world"
    assert peer.ask(db.address, 5432), "between containers of one network"
    assert peer.ask(HOST_ADDRESS, 5432), "over the host's address"


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("firewall", FIREWALLS)
def test_beside_a_firewall_that_drops(machine, firewall, when):
    if "legacy" in FIREWALLS[firewall] and (not shutil.which("iptables-legacy") or
                                            machine.run("iptables-legacy", "-S", check=False).returncode != 0):
        pytest.skip("no iptables-legacy here")
    bridged = pathlib.Path("/proc/sys/net/bridge/bridge-nf-call-iptables").exists()
    if bridged:
        machine.sh("echo 1 >/proc/sys/net/bridge/bridge-nf-call-iptables")
    if when == "before":
        machine.sh(FIREWALLS[firewall])
    machine.tool("create", "one", "demo")
    db, peer = machine.attach("db", ["one"], [port(5432, 5432)]).serve(5432), machine.attach("peer", ["one"])
    if when == "after":
        machine.sh(FIREWALLS[firewall])
        assert not machine.neighbour_asks(HOST_ADDRESS, 5432, timeout=0.3), "it does drop"
        machine.tool("refresh")
    check_traffic(machine, db, peer)
    rules = machine.rules()
    machine.tool("refresh")
    assert machine.rules() == rules, "done once, done"
    for container in (db, peer):
        container.detach()
    machine.tool("remove", "one")
    assert "berth" not in machine.rules()
    if "legacy" in FIREWALLS[firewall]:
        assert "berth" not in machine.sh("iptables-legacy -S")


@pytest.mark.slow
@pytest.mark.parametrize("when", ["before", "after"])
def test_beside_docker(machine, when):
    if not docker.available():
        pytest.skip("Docker is not installed")

    def start():
        return inside(machine.namespace, docker.Dockerd, machine.folder / "docker")

    # It drops what is forwarded where it was the one to switch forwarding on; a new namespace may have it on.
    machine.sh("echo 0 >/proc/sys/net/ipv4/ip_forward")
    daemon = start() if when == "before" else None
    try:
        machine.tool("create", "one", "demo")
        db, peer = machine.attach("db", ["one"], [port(5432, 5432)]).serve(5432), machine.attach("peer", ["one"])
        if not daemon:
            daemon = start()
            machine.sh("iptables -P FORWARD DROP")  # as where it comes first at the next boot
            machine.tool("refresh")
        assert "-P FORWARD DROP" in machine.sh("iptables -S FORWARD")
        assert "berth_" in machine.sh("iptables -S DOCKER-USER")
        check_traffic(machine, db, peer)
        theirs, address = a_container_of_docker_s(machine)
        machine.servers.append(Server(theirs, 80, "docker's"))
        assert not peer.ask(address, 80, timeout=0.3), "networks are apart, Docker's too"
        assert not machine.ask(db.address, 5432, timeout=0.3, namespace=theirs)
        assert machine.ask(HOST_ADDRESS, 5432, namespace=theirs), "but a published port is"
        machine.tool("create", "two", "demo")
        assert json.loads(machine.tool("inspect", "two"))["subnet"] == "172.19.0.0/16"
    finally:
        if daemon:
            daemon.stop()


def a_container_of_docker_s(machine):
    """A namespace on docker0, as Docker connects them."""
    keeper, namespace = make_namespace()
    machine.keepers.append(keeper)
    gateway = machine.sh("ip -4 -o addr show docker0").split("inet ")[1].split("/")[0]
    address = gateway.rsplit(".", 1)[0] + ".200"
    machine.sh(f"ip link add theirs master docker0 type veth peer name eth0 netns {keeper.pid}; ip link set theirs up")
    machine.sh(f"ip addr add {address}/16 dev eth0; ip link set eth0 up; ip route add default via {gateway}", namespace)
    return namespace, address


def test_the_administrator_s_rules_in_docker_user_come_first(machine):
    machine.sh(chain_of_docker("iptables-nft") + "; iptables-nft -I DOCKER-USER -p tcp --dport 5432 -j DROP")
    machine.tool("create", "one", "demo")
    machine.attach("db", ["one"], [port(5432, 5432), port(80, 8080)]).serve(5432).serve(80)
    assert machine.neighbour_asks(HOST_ADDRESS, 8080)
    assert not machine.neighbour_asks(HOST_ADDRESS, 5432, timeout=0.3)


def test_changes_of_others_are_heard_and_our_own_are_not(machine):
    machine.tool("create", "one", "demo")
    watcher = subprocess.Popen(["nsenter", f"--net={machine.namespace}", str(TOOL), "watch"], env=machine.environment,
                               stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        db = machine.attach("db", ["one"], [port(5432, 5432)]).serve(5432)
        machine.attach("web", ["one"], [port(80, 8080)])
        machine.sh("nft add table ip theirs; nft add chain ip theirs c")
        assert watcher.stdout.readline() == "changed\n"
        machine.sh("nft flush ruleset")
        assert watcher.stdout.readline() == "changed\n"
        machine.tool("refresh")
        assert machine.ask("127.0.0.1", 5432).startswith("db "), db.name
    finally:
        rest = watcher.communicate("")[0]
    assert rest.count("changed") <= 1, "ours would have been many"


# ---- looking after it ----

def test_networks_are_found_again_after_a_reboot(machine):
    machine.tool("create", "one", "demo")
    db = machine.attach("db", ["one"], [port(5432, 5432)])
    db.detach()
    bridge = json.loads(machine.tool("inspect", "one"))["interface"]
    machine.sh(f"ip link del {bridge}; nft flush ruleset; echo 0 >/proc/sys/net/ipv4/ip_forward")
    shutil.rmtree(machine.folder / "run")
    machine.tool("recover")
    assert bridge in machine.sh("ip -o link")
    assert machine.attach("db", ["one"], [port(5432, 5432)]).serve(5432).address == db.address
    assert machine.ask("127.0.0.1", 5432).startswith("db ")


def test_containers_that_are_gone_are_cleared_away(machine):
    machine.tool("create", "one", "demo")
    dead, alive = machine.attach("dead", ["one"], [port(80, 8080)]), machine.attach("alive", ["one"])
    dead.end()
    machine.tool("recover", alive.id)
    assert alive.addresses_of("dead") == []
    assert "8080" not in machine.rules()
    assert not os.path.ismount(dead.namespace)


def test_what_is_nobody_s_is_listed_and_removed(machine):
    machine.tool("create", "one", "demo")
    db = machine.attach("db", ["one"], [port(5432, 5432)])
    bridge = json.loads(machine.tool("inspect", "one"))["interface"]
    stray = bridge[:9] + "123456"
    machine.sh(f"ip link add {stray} type bridge")
    listed = machine.tool("objects")
    assert f"bridge {bridge}: network one" in listed
    assert f"bridge {stray}: nobody" in listed
    assert f"namespace {db.namespace}: container db" in listed
    assert "chain ports_demo: ports of project demo" in listed
    assert f"bridge {stray}: nobody" in machine.tool("prune")
    left = machine.sh("ip -o link")
    assert stray not in left and bridge in left


def test_nothing_is_left_behind(machine):
    machine.sh("iptables-nft -P FORWARD DROP")
    machine.tool("create", "one", "demo")
    for name in ("a", "b"):
        machine.attach(name, ["one"], [port(80)])
    assert "is in use by a, b" in machine.fails("remove", "one")
    for container in machine.containers:
        container.detach()
    machine.tool("remove", "one")
    machine.tool("remove", "one")
    assert machine.tool("objects") == ""
    assert "berth" not in machine.rules()
    assert [line.split()[1] for line in machine.sh("ip -o link").splitlines()] == ["lo:", next(
        line.split()[1] for line in machine.sh("ip -o link").splitlines() if "wire" in line)]
    assert not list((machine.folder / "data" / "networks").iterdir())


def test_a_damaged_record_is_kept_aside_and_made_again(machine):
    machine.tool("create", "one", "demo", "-", "172.28.0.0/16")
    db = machine.attach("db", ["one"]).serve(80)
    record = machine.folder / "data" / "networks" / "one.json"
    record.write_text("{ damaged")
    machine.tool("create", "one", "demo", "-", "172.28.0.0/16")
    assert list(record.parent.glob("one.json.corrupt-*"))
    peer = machine.attach("peer", ["one"])
    assert peer.address != db.address and peer.ask(db.address, 80)


def test_many_at_once(machine):
    machine.tool("create", "one", "demo")
    started = [machine.begin(f"c{i}", ["one"], [port(80)]) for i in range(12)]
    results = [json.loads(process.stdout.readline()) for process, _, _ in started]
    try:
        assert len({result["addresses"][0]["ipv4"] for result in results}) == 12
        hosts = [(folder / "hosts").read_text() for _, _, folder in started]
        assert all(text.count("172.18.0.") == 13 for text in hosts), "all know all"
        assert machine.rules().count(" dnat ip to ") == 12
    finally:
        for process, identity, folder in started:
            process.communicate("")
            machine.tool("detach", identity, str(folder))
