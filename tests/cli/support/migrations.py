"""The command `migrate` on databases of a real server. Test modules import `server`, a fixture, beside Database."""
import re
import subprocess
import uuid

import pytest

from . import program
from .entrypoint import MAJORS, SOCKETS, Root

MIGRATE = program.BUILD / "berth-migrate"


@pytest.fixture(scope="module")
def server():
    root = Root(max(MAJORS))
    try:
        with root.server(env={"POSTGRES_PASSWORD": "secret"}) as running:
            yield running
    finally:
        root.remove()


class Database:
    def __init__(self, server, folder):
        self.server, self.folder, self.name = server, folder, "m" + uuid.uuid4().hex[:8]
        server.value(f"CREATE DATABASE {self.name}")

    def url(self, user="postgres", **options):
        options = {"host": self.server.root.path / SOCKETS, "sslmode": "disable", **options}
        return f"postgres://{user}@/{self.name}?" + "&".join(f"{key.replace('_', '-') if key.startswith('x_') else key}={value}"
                                                         for key, value in options.items())

    def file(self, name, text):
        path = self.folder / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())

    def command(self, *args, url=None):
        return [str(MIGRATE), "-path", str(self.folder), "-database", url or self.url(), *map(str, args)]

    def __call__(self, *args, url=None, input="", timeout=60):
        done = subprocess.run(self.command(*args, url=url), capture_output=True, text=True, input=input, timeout=timeout)
        assert done.stdout == ""
        return done.returncode, re.sub(r"\([0-9.]+(µs|ms|s)\)", "(T)", done.stderr)

    def value(self, sql):
        return self.server.value(sql, database=self.name)

    def version(self):
        return self.value("SELECT coalesce(string_agg(version || CASE WHEN dirty THEN ' dirty' ELSE '' END, ','), 'none') "
                          "FROM schema_migrations")
