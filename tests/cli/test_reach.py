"""Who reaches whom: names, networks, published ports, the outside, and what must not be reached."""
import socket
import subprocess

import pytest

from support import database, network
from support.program import Project, wait_until

pytestmark = pytest.mark.slow

SLEEP = "image: busybox, command: [sleep, '1000000'], stop_signal: SIGKILL"
SERVE = "image: busybox, command: ['sh', '-c', 'echo hello > /tmp/index.html; exec httpd -f -h /tmp -p 80'], stop_signal: SIGKILL"


def request(url, seconds=3):
    """A shell command that prints the answer. Not wget: in a static program it may not survive its C library's resolver."""
    host, _, port = url.removeprefix("http://").rstrip("/").partition(":")
    return ["sh", "-c", f"printf 'GET / HTTP/1.0\\r\\n\\r\\n' | busybox nc -w {seconds} {host} {port or 80}"]


def fetch(made, service, url):
    """True where it answers; False where it is refused or lost."""
    return "hello" in made("exec", "-T", service, *request(url), check=False).stdout


def fetch_from_world(url):
    return "hello" in subprocess.run(network.in_world(request(url)), capture_output=True, text=True).stdout


def http(host, port, timeout=3):
    """From this machine."""
    try:
        with socket.create_connection((host, port), timeout=timeout) as connection:
            connection.sendall(b"GET / HTTP/1.0\r\n\r\n")
            return b"hello" in b"".join(iter(lambda: connection.recv(4096), b""))
    except OSError:
        return False


@pytest.fixture
def world(tmp_path):
    """world(port) serves "hello" outside this machine."""
    if not network.world:
        pytest.skip("runs in the machine's own network")
    (tmp_path / "index.html").write_text("hello\n")
    servers = []

    def serve(port=8000):
        servers.append(subprocess.Popen(network.in_world(["python3", "-m", "http.server", "--bind", network.WORLD_ADDRESS, str(port)]),
                                        cwd=tmp_path, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))
        wait_until(lambda: http(network.WORLD_ADDRESS, port))
        return f"http://{network.WORLD_ADDRESS}:{port}/"

    yield serve
    for server in servers:
        server.kill()
        server.wait()


def test_names_and_aliases(project, images):
    images("busybox")
    made = project(f"""
        services:
          web: {{{SERVE}, container_name: the_web, networks: {{default: {{aliases: [www, shop.example]}}}}}}
          box: {{{SLEEP}}}
    """)
    made("up", "-d")
    for name in ("web", "the_web", "www", "shop.example"):
        wait_until(lambda: fetch(made, "box", f"http://{name}/"))
    address = made.exec("box", "sh", "-c", "getent hosts web || nslookup web || grep web /etc/hosts").split()
    assert address


def test_a_scaled_service_s_name_has_all_its_addresses(project, images):
    images("busybox")
    made = project(f"services: {{web: {{{SLEEP}, scale: 3}}, box: {{{SLEEP}}}}}")
    made("up", "-d")
    hosts = made.exec("box", "cat", "/etc/hosts")
    assert len({line.split()[0] for line in hosts.splitlines() if "web" in line.split()[1:]}) == 3


def test_an_address_is_kept_when_a_container_is_made_anew(project, images):
    images("busybox")
    made = project(f"services: {{web: {{{SLEEP}}}, box: {{{SLEEP}}}}}")
    made("up", "-d")
    before = made.exec("web", "hostname", "-i")
    made("up", "-d", "--force-recreate")
    assert made.exec("web", "hostname", "-i") == before


def test_networks_are_apart(project, images):
    images("busybox")
    made = project(f"""
        services:
          web: {{{SERVE}, networks: [back]}}
          near: {{{SLEEP}, networks: [back, front]}}
          far: {{{SLEEP}, networks: [front]}}
        networks: {{front: , back: }}
    """)
    made("up", "-d")
    address = made.exec("web", "hostname", "-i").split()[0]
    wait_until(lambda: fetch(made, "near", "http://web/"))
    assert not fetch(made, "far", "http://web/")
    assert not fetch(made, "far", f"http://{address}/")


def test_projects_are_apart_and_an_external_network_joins_them(berth, images):
    images("busybox")
    first = Project(berth, berth.root / "first", f"services: {{web: {{{SERVE}}}}}\nnetworks: {{default: {{name: joint}}}}")
    first("up", "-d")
    address = first.exec("web", "hostname", "-i").split()[0]
    second = Project(berth, berth.root / "second", f"services: {{box: {{{SLEEP}}}}}")
    second("up", "-d")
    assert not fetch(second, "box", f"http://{address}/")
    third = Project(berth, berth.root / "third",
                    f"services: {{box: {{{SLEEP}}}}}\nnetworks: {{default: {{name: joint, external: true}}}}")
    third("up", "-d")
    wait_until(lambda: fetch(third, "box", "http://web/"))
    third("down")
    assert "joint" in berth("network", "ls").stdout


def test_the_outside_is_reached_but_not_from_internal_networks(project, images, world):
    images("busybox")
    url = world()
    made = project(f"""
        services:
          open: {{{SLEEP}}}
          shut: {{{SLEEP}, networks: [inner]}}
        networks: {{inner: {{internal: true}}}}
    """)
    made("up", "-d")
    assert fetch(made, "open", url)
    assert not fetch(made, "shut", url)


def test_a_published_port_from_everywhere(project, images, free_port):
    images("busybox")
    port = free_port()
    made = project(f"""
        services:
          web: {{{SERVE}, ports: ["{port}:80"]}}
          box: {{{SLEEP}, networks: [other]}}
        networks: {{other: }}
    """)
    made("up", "-d")
    wait_until(lambda: http("127.0.0.1", port))
    assert http(network.OUR_ADDRESS, port)
    assert http("::1", port)
    if network.world:
        assert fetch_from_world(f"http://{network.OUR_ADDRESS}:{port}")
    # From a container of another network by the machine's address, and its own by its own published port.
    assert fetch(made, "box", f"http://{network.OUR_ADDRESS}:{port}/")
    assert fetch(made, "web", f"http://{network.OUR_ADDRESS}:{port}/")
    made("down")
    assert not http("127.0.0.1", port)


def test_a_port_published_to_one_address_is_reached_by_that_one_only(project, images, free_port):
    images("busybox")
    port = free_port()
    made = project(f"services: {{web: {{{SERVE}, ports: ['127.0.0.1:{port}:80']}}}}")
    made("up", "-d")
    wait_until(lambda: http("127.0.0.1", port))
    assert not http(network.OUR_ADDRESS, port)
    if network.world:
        assert not fetch_from_world(f"http://{network.OUR_ADDRESS}:{port}")


def published(made, *names):
    rows = made.ps()
    return [sorted({publisher["PublishedPort"] for publisher in rows[name]["Publishers"]}) for name in names]


def test_a_range_gives_each_container_the_first_free_port(project, images, free_port):
    images("busybox")
    port = free_port(count=4)
    made = project(f"services: {{web: {{{SERVE}, ports: ['127.0.0.1:{port}-{port + 3}:80']}}}}")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", port))
        taken.listen()
        made("up", "-d")
        assert published(made, "demo-web-1") == [[port + 1]]
        made("up", "-d", "--scale", "web=3")
        assert sorted(published(made, "demo-web-1", "demo-web-2", "demo-web-3")) == [[port + 1], [port + 2], [port + 3]]
        error = made.fails("up", "-d", "--scale", "web=4")
        assert f"no port of {port}-{port + 3} is free" in error
    wait_until(lambda: all(http("127.0.0.1", number) for number in range(port + 1, port + 4)))


def test_run_publishes_to_an_ipv6_address(project, images, free_port):
    images("busybox")
    port = free_port()
    made = project(f"services: {{web: {{{SERVE}}}}}")
    made("run", "-d", "--name", "one", "-p", f"[::1]:{port}:80", "web")
    wait_until(lambda: http("::1", port))
    assert not http("127.0.0.1", port)
    assert "brackets" in made.fails("run", "-d", "-p", f"::1:{port}:80", "web")


def test_another_may_use_the_port_of_another_address(project, images, free_port):
    images("busybox")
    port = free_port()
    made = project(f"""
        services:
          a: {{{SERVE}, ports: ["127.0.0.1:{port}:80"]}}
          b: {{{SLEEP}, ports: ["127.0.0.2:{port}:80"]}}
    """)
    made("up", "-d")
    wait_until(lambda: http("127.0.0.1", port))


def test_an_internal_network_s_port_is_published_to_this_machine_only_and_said(project, images, free_port):
    images("busybox")
    port = free_port()
    made = project(f"""
        services: {{web: {{{SERVE}, ports: ["{port}:80"], networks: [inner]}}}}
        networks: {{inner: {{internal: true}}}}
    """)
    result = made("up", "-d")
    assert "internal" in result.stderr
    wait_until(lambda: http("127.0.0.1", port))


def test_a_container_with_net_raw_does_not_reach_this_machine_s_loopback(project, images):
    """Published ports on 127.0.0.1 need route_localnet on the bridge: what it opens must be shut again."""
    images("busybox")
    with socket.socket() as private:
        private.bind(("127.0.0.1", 0))
        private.listen()
        private.settimeout(0.5)
        made = project(f"services: {{box: {{{SLEEP}, cap_add: [NET_ADMIN, NET_RAW]}}, web: {{{SERVE}, ports: ['127.0.0.1:{network.free_port()}:80']}}}}")
        made("up", "-d")
        gateway = made.exec("box", "sh", "-c", "ip route | sed -n 's/default via \\([0-9.]*\\).*/\\1/p'")
        made("exec", "-T", "box", "sh", "-c",
             f"ip addr del 127.0.0.1/8 dev lo; ip route add 127.0.0.1/32 via {gateway}; ip rule del table local; ip rule add table local pref 100; "
             f"ip route replace 127.0.0.1/32 via {gateway}; nc -w 2 127.0.0.1 {private.getsockname()[1]} < /dev/null", check=False)
        with pytest.raises(TimeoutError):
            private.accept()


def test_network_modes(project, images):
    images("busybox")
    made = project(f"""
        services:
          host: {{{SLEEP}, network_mode: host}}
          none: {{{SLEEP}, network_mode: none}}
          web: {{{SERVE}}}
          side: {{{SLEEP}, network_mode: "service:web"}}
    """)
    made("up", "-d")
    names = lambda service: made.exec(service, "ls", "/sys/class/net").split() if service != "host" else \
        [line.split(":")[0].strip() for line in made.exec(service, "cat", "/proc/net/dev").splitlines()[2:]]
    assert [line.split(":")[0].strip() for line in made.exec("none", "cat", "/proc/net/dev").splitlines()[2:]] == ["lo"]
    if network.world:
        assert "uplink" in names("host")
    wait_until(lambda: fetch(made, "side", "http://127.0.0.1/"))


def test_extra_hosts_and_dns(project, images):
    images("busybox")
    made = project(f"""
        services:
          box: {{{SLEEP}, extra_hosts: ["fixed:192.0.2.9", "up:host-gateway"], dns: [192.0.2.53], dns_search: [example.test]}}
    """)
    made("up", "-d")
    hosts = made.exec("box", "cat", "/etc/hosts")
    assert "192.0.2.9\tfixed" in hosts or "192.0.2.9 fixed" in hosts
    resolv = made.exec("box", "cat", "/etc/resolv.conf")
    assert "nameserver 192.0.2.53" in resolv and "search example.test" in resolv
    gateway = made.exec("box", "sh", "-c", "ip route | sed -n 's/default via \\([0-9.]*\\).*/\\1/p'")
    assert any(line.split()[0] == gateway and "up" in line.split()[1:] for line in hosts.splitlines() if line.strip())


def test_ipam_and_fixed_addresses(project, images):
    images("busybox")
    made = project(f"""
        services:
          box: {{{SLEEP}, networks: {{planned: {{ipv4_address: 172.29.7.77}}}}}}
        networks:
          planned: {{ipam: {{config: [{{subnet: 172.29.7.0/24, gateway: 172.29.7.254}}]}}}}
    """)
    made("up", "-d")
    assert made.exec("box", "hostname", "-i").split()[0] == "172.29.7.77"
    assert "172.29.7.254" in made.exec("box", "ip", "route")


def test_udp_is_published_too(project, free_port):
    port = free_port()
    made = project(files={"echo.pl": """
        use IO::Socket::INET;
        my $socket = IO::Socket::INET->new(LocalPort => 7, Proto => "udp") or die;
        while ($socket->recv(my $data, 100)) { $socket->send("hello") }
    """})
    made.write("compose.yaml", f"""
        services:
          echo:
            image: postgres:{database.major()}
            entrypoint: []
            command: [perl, /echo.pl]
            stop_signal: SIGKILL
            volumes: ["./echo.pl:/echo.pl:ro"]
            ports: ["127.0.0.1:{port}:7/udp"]
    """)
    made("up", "-d")

    def answers():
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.settimeout(0.5)
            client.sendto(b"?", ("127.0.0.1", port))
            try:
                return b"hello" in client.recv(100)
            except OSError:
                return False

    wait_until(answers)
