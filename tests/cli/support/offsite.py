"""Places for copies of backups, on loopback: a server of the S3 kind (npm's s3rver), one in front of it that fails, and sshd."""
import hashlib
import hmac
import http.client
import http.server
import os
import pathlib
import re
import shutil
import subprocess
import sys
import threading

from . import network
from .program import ROOT, wait_until

sys.path.insert(0, str(ROOT / "tests" / "images"))
import build  # noqa: E402

S3RVER = "3.7.1"


class Missing(Exception):
    """It cannot be had here: the test skips."""


def _s3rver():
    """The folder with the server's package, fetched once into the tests' cache."""
    folder = build.cache_folder() / f"s3rver-{S3RVER}"
    program = folder / "node_modules" / "s3rver" / "bin" / "s3rver.js"
    if program.exists():
        return program
    if not shutil.which("npm") or not shutil.which("node"):
        raise Missing("npm and node are not installed")
    work = folder.with_suffix(f".{os.getpid()}")
    work.mkdir(parents=True)
    try:
        argv = ["npm", "install", "--silent", "--no-audit", "--no-fund", "--ignore-scripts", f"s3rver@{S3RVER}"]
        done = subprocess.run(network.in_outside(argv), cwd=work, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              timeout=300)
        if done.returncode:
            raise Missing(f"npm install s3rver@{S3RVER}: {done.stderr.strip()[-300:]}")
        try:
            work.rename(folder)
        except OSError:
            pass  # another run was faster
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return program


class S3:
    """A bucket "backups". location: as worker jobs take it."""

    def __init__(self, folder):
        program = _s3rver()
        self.folder = pathlib.Path(folder)
        self.folder.mkdir(parents=True)
        self.port = network.free_port()
        self.endpoint = f"http://127.0.0.1:{self.port}"
        self.credentials = self.folder / "credentials"
        self.credentials.write_text("[default]\naws_access_key_id = S3RVER\naws_secret_access_key = S3RVER\n")
        self.log = open(self.folder / "log", "w")
        # Its marks of continued lists are made with a cipher of old.
        self.process = subprocess.Popen(["node", "--openssl-legacy-provider", str(program), "-d", str(self.folder / "data"), "-a",
                                         "127.0.0.1", "-p", str(self.port), "--no-vhost-buckets", "--configure-bucket",
                                         "backups"], stdin=subprocess.DEVNULL, stdout=self.log, stderr=subprocess.STDOUT)
        wait_until(self._answers, timeout=60)

    def _answers(self):
        try:
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=2)
            connection.request("GET", "/")
            connection.getresponse().read()
            return True
        except OSError:
            return False

    def location(self, prefix="copies", **more):
        # Where a page ends between a file and a folder of like names, this server loses one: pages that small are for long lists.
        return {"url": f"s3://backups/{prefix}", "endpoint": self.endpoint, "region": "us-east-1",
                "credentials": str(self.credentials), "retry_ms": 1, "list_page": 7, **more}

    def files(self):
        return self.folder / "data" / "backups"

    def stop(self):
        self.process.kill()
        self.process.wait()
        self.log.close()


def _signature_is_right(handler, body, secret):
    """AWS signature, version 4, of a request with signed headers (docs.aws.amazon.com, "Signature Calculations for the
    Authorization Header"). The server behind looks at the name of the key alone."""
    words = dict(re.findall(r"(\w+)=([^,\s]+)", handler.headers["Authorization"]))
    date, region, service, last = words["Credential"].split("/")[1:]
    path, _, query = handler.path.partition("?")
    pairs = sorted(tuple((pair + "=").split("=")[:2]) for pair in query.split("&") if pair)
    names = words["SignedHeaders"].split(";")
    content = hashlib.sha256(body).hexdigest()
    if "x-amz-content-sha256" not in names or handler.headers["x-amz-content-sha256"] != content or "host" not in names:
        return False
    request = "\n".join([handler.command, path, "&".join("=".join(pair) for pair in pairs),
                         *(f"{name}:{handler.headers[name].strip()}" for name in names), "", ";".join(names), content])
    text = "\n".join(["AWS4-HMAC-SHA256", handler.headers["x-amz-date"], f"{date}/{region}/{service}/{last}",
                      hashlib.sha256(request.encode()).hexdigest()])
    key = f"AWS4{secret}".encode()
    for part in (date, region, service, last, text):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    return key.hex() == words["Signature"]


class Faulty:
    """Stands in front of an S3 server and checks signatures. fail: a function of method, path and how often that was asked for before; it returns
    None (let it through), a status, "drop" (carry it out, and hang up instead of answering), "cut" (hang up in the middle of the answer) or "refuse"
    (hang up at once)."""

    def __init__(self, behind, fail):
        self.count = {}
        faulty = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_):
                pass

            def refuse(self, status, code):
                text = f"<Error><Code>{code}</Code><Message>the test wants it so</Message></Error>".encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            def handle_any(self):
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                if not _signature_is_right(self, body, "S3RVER"):
                    self.refuse(403, "SignatureDoesNotMatch")
                    return
                before = faulty.count.get((self.command, self.path), 0)
                faulty.count[self.command, self.path] = before + 1
                fault = fail(self.command, self.path, before)
                if fault == "refuse":
                    self.close_connection = True
                    return
                if isinstance(fault, int):
                    self.refuse(fault, "InternalError")
                    return
                connection = http.client.HTTPConnection("127.0.0.1", behind.port, timeout=60)
                connection.request(self.command, self.path, body, dict(self.headers))  # Host too: it is signed
                answer = connection.getresponse()
                content = answer.read()
                if fault == "drop":
                    self.close_connection = True
                    return
                self.send_response(answer.status)
                for name, value in answer.getheaders():
                    if name.lower() not in ("content-length", "transfer-encoding", "connection"):
                        self.send_header(name, value)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                if fault == "cut":
                    self.wfile.write(content[:len(content) // 2])
                    self.close_connection = True
                    return
                self.wfile.write(content)

            do_GET = do_PUT = do_POST = do_DELETE = handle_any

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.endpoint = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def stop(self):
        self.server.shutdown()
        self.server.server_close()


class Sshd:
    """An SSH server that takes one key, and its host key in a file of known hosts."""

    def __init__(self, folder):
        self.program = shutil.which("sshd", path=os.environ["PATH"] + ":/usr/sbin:/sbin")
        server = pathlib.Path("/usr/lib/openssh/sftp-server")
        if not self.program or not server.exists():
            raise Missing("openssh-server is not installed")
        self.folder = pathlib.Path(folder)
        self.folder.mkdir(parents=True, mode=0o700)
        self.port = network.free_port()
        for name in ("host", "key", "wrong"):
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(self.folder / name)], check=True,
                           stdin=subprocess.DEVNULL)
        (self.folder / "authorized").write_text((self.folder / "key.pub").read_text())
        self.known_hosts = self.folder / "known_hosts"
        self.known_hosts.write_text(f"[127.0.0.1]:{self.port} {(self.folder / 'host.pub').read_text()}")
        settings = self.folder / "sshd_config"
        settings.write_text(f"""
ListenAddress 127.0.0.1:{self.port}
HostKey {self.folder}/host
AuthorizedKeysFile {self.folder}/authorized
PidFile none
StrictModes no
UsePAM no
PasswordAuthentication no
PermitRootLogin yes
Subsystem sftp {server}
""")
        pathlib.Path("/run/sshd").mkdir(exist_ok=True)
        self.log = open(self.folder / "log", "w")
        self.process = subprocess.Popen([self.program, "-D", "-e", "-f", str(settings)], stdin=subprocess.DEVNULL,
                                        stdout=self.log, stderr=subprocess.STDOUT)
        wait_until(lambda: "Server listening" in (self.folder / "log").read_text(), timeout=30)

    def location(self, path, **more):
        return {"url": f"sftp://root@127.0.0.1:{self.port}{path}", "identity": str(self.folder / "key"),
                "known_hosts": str(self.known_hosts), **more}

    def stop(self):
        self.process.kill()
        self.process.wait()
        self.log.close()
