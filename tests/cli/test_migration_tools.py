"""Other people's migration tools on a database of ours: Alembic with psycopg2 and SQLAlchemy, and knex."""
import importlib.util
import os
import pathlib
import shutil
import subprocess
import sys

import pytest

from support import database, network
from support.entrypoint import MAJORS

pytestmark = pytest.mark.skipif(not MAJORS, reason="no PostgreSQL is installed")
PASSWORD = "AutoDeploy-4711"
COMPOSE = f"""
services:
  postgres:
    image: postgres:{max(MAJORS, default=0)}
    container_name: autodeploy_tools
    environment: {{POSTGRES_USER: dbadmin, POSTGRES_PASSWORD: {PASSWORD}, POSTGRES_DB: autodeploy}}
    ports: ["127.0.0.1:PORT:5432"]
    volumes: ["postgres_data:/var/lib/postgresql{'/data' if max(MAJORS, default=0) < 18 else ''}"]
    x-berth: {{images: host}}
    healthcheck: {{test: [CMD-SHELL, "pg_isready -U dbadmin -d autodeploy"], interval: 1s, retries: 60}}
volumes: {{postgres_data: {{}}}}
"""


@pytest.fixture
def deployment(project, free_port):
    port = free_port()
    made = project(COMPOSE.replace("PORT", str(port)), name="tools")
    made.login = dict(port=port, user="dbadmin", password=PASSWORD, name="autodeploy")
    made.environment = {**os.environ, "DATABASE_URL": f"postgresql://dbadmin:{PASSWORD}@localhost:{port}/autodeploy",
                        "PYTHONDONTWRITEBYTECODE": "1"}
    made("up", "-d", "--wait")
    return made


def run(deployment, *argv, check=True):
    done = subprocess.run(list(map(str, argv)), cwd=deployment.folder, env=deployment.environment, stdin=subprocess.DEVNULL,
                          capture_output=True, text=True, timeout=120)
    assert not check or done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def tables(deployment):
    return [row[0] for row in database.query("select tablename from pg_tables where schemaname = 'public' order by 1", **deployment.login)]


ENV = """
    import os
    from alembic import context
    from sqlalchemy import create_engine
    with create_engine(os.environ["DATABASE_URL"]).connect() as connection:
        context.configure(connection=connection)
        with context.begin_transaction():
            context.run_migrations()
"""
FIRST = """
    import sqlalchemy as sa
    from alembic import op
    revision, down_revision = "1a", None
    def upgrade():
        op.create_table("tenants", sa.Column("id", sa.Integer, primary_key=True), sa.Column("name", sa.String(80), nullable=False, unique=True))
        op.create_table("deployments", sa.Column("id", sa.Integer, primary_key=True), sa.Column("status", sa.String(20)),
                        sa.Column("tenant_id", sa.Integer, sa.ForeignKey("tenants.id")))
    def downgrade():
        op.drop_table("deployments")
        op.drop_table("tenants")
"""
SECOND = """
    import sqlalchemy as sa
    from alembic import op
    revision, down_revision = "2b", "1a"
    def upgrade():
        op.create_table("deployment_logs", sa.Column("id", sa.Integer, primary_key=True), sa.Column("at", sa.DateTime, server_default=sa.func.now()))
    def downgrade():
        op.drop_table("deployment_logs")
"""
WRITE_AND_READ = """
import os
import sqlalchemy as sa
engine = sa.create_engine(os.environ["DATABASE_URL"])
with engine.begin() as connection:
    connection.execute(sa.text("insert into tenants (name) values ('grün')"))
    connection.execute(sa.text("insert into deployments (status, tenant_id) select 'running', id from tenants"))
with engine.connect() as connection:
    print(engine.dialect.driver, *connection.execute(sa.text("select name, status from deployments join tenants on tenants.id = tenant_id")).first())
"""


@pytest.mark.skipif(not importlib.util.find_spec("alembic"), reason="python3-alembic is not installed")
@pytest.mark.slow
def test_alembic(deployment):
    """As the first phase of a course has it: migrate, verify, write and read; lose the volume, and restore the schema."""
    alembic = (sys.executable, "-m", "alembic")
    for name, text in (("alembic.ini", "[alembic]\nscript_location = alembic\n[loggers]\nkeys = root\n[handlers]\nkeys =\n"
                        "[formatters]\nkeys =\n[logger_root]\nlevel = INFO\nhandlers =\n"),
                       ("alembic/env.py", ENV), ("alembic/versions/1a.py", FIRST), ("alembic/versions/2b.py", SECOND)):
        deployment.write(name, text)
    run(deployment, *alembic, "upgrade", "head")
    schema = ["alembic_version", "deployment_logs", "deployments", "tenants"]
    assert tables(deployment) == schema
    assert run(deployment, sys.executable, "-c", WRITE_AND_READ) == "psycopg2 grün running\n"
    run(deployment, *alembic, "downgrade", "-1")
    assert tables(deployment) == ["alembic_version", "deployments", "tenants"]
    run(deployment, *alembic, "upgrade", "head")

    # A new container keeps the data; without the volume the schema comes back from the migrations, and the data does not.
    deployment("down")
    deployment("up", "-d", "--wait")
    assert database.query("select count(*) from deployments", **deployment.login) == [(1,)]
    deployment("down", "--volumes", "--yes")
    deployment("up", "-d", "--wait")
    assert tables(deployment) == []
    run(deployment, *alembic, "upgrade", "head")
    assert tables(deployment) == schema
    assert database.query("select count(*) from deployments", **deployment.login) == [(0,)]
    assert "2b (head)" in run(deployment, *alembic, "current")


PACKAGES = ("knex@3.1.0", "pg@8.13.1")
KNEXFILE = """
module.exports = { client: 'pg', connection: process.env.DATABASE_URL, pool: { min: 1, max: 5 }, migrations: { directory: './migrations' } };
"""
KNEX_FIRST = """
exports.up = (knex) => knex.schema.createTable('plugins', (t) => { t.increments('id'); t.string('name').notNullable().unique(); });
exports.down = (knex) => knex.schema.dropTable('plugins');
"""
KNEX_SECOND = """
exports.up = (knex) => knex('plugins').insert({ name: 'catalog' });
exports.down = (knex) => knex('plugins').del();
"""


@pytest.fixture(scope="module")
def knex():
    """The tool as the npm registry has it, once in a cache."""
    if not shutil.which("npm"):
        pytest.skip("npm is not installed")
    cache = pathlib.Path(os.environ.get("BERTH_TEST_CACHE") or pathlib.Path.home() / ".cache" / "berth-tests")
    folder = cache / ("-".join(PACKAGES).replace("@", "-"))
    if not (folder / "complete").exists():
        folder.mkdir(parents=True, exist_ok=True)
        argv = ["npm", "install", "--silent", "--no-audit", "--no-fund", "--ignore-scripts", "--prefix", str(folder), *PACKAGES]
        done = subprocess.run(network.in_outside(argv), stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=300)
        if done.returncode != 0:
            pytest.skip(f"knex cannot be installed here: {done.stderr.strip()[-300:]}")
        (folder / "complete").touch()
    return folder / "node_modules"


@pytest.mark.slow
def test_knex(deployment, knex):
    (deployment.folder / "node_modules").symlink_to(knex)
    for name, text in (("knexfile.js", KNEXFILE), ("migrations/20260101000001_plugins.js", KNEX_FIRST),
                       ("migrations/20260101000002_catalog.js", KNEX_SECOND)):
        deployment.write(name, text)
    program = deployment.folder / "node_modules/.bin/knex"
    assert "Batch 1 run: 2 migrations" in run(deployment, program, "migrate:latest")
    assert tables(deployment) == ["knex_migrations", "knex_migrations_lock", "plugins"]
    assert database.query("select name from plugins", **deployment.login) == [("catalog",)]
    assert "Already up to date" in run(deployment, program, "migrate:latest")
    assert "Batch 1 rolled back: 2 migrations" in run(deployment, program, "migrate:rollback")
    assert "plugins" not in tables(deployment)
    # A lock that a killed migration left behind is told by the tool itself, and taken off by hand.
    database.query("update knex_migrations_lock set is_locked = 1", **deployment.login)
    assert "Migration table is already locked" in run(deployment, program, "migrate:latest", check=False)
    run(deployment, program, "migrate:unlock")
    run(deployment, program, "migrate:latest")
    # Both tools' tables live side by side.
    deployment.write("sql/1_more.up.sql", "CREATE TABLE more ();")
    deployment.write("compose.yaml", (deployment.folder / "compose.yaml").read_text() + "\nx-berth: {migrations: {path: sql, on_up: true}}\n")
    assert "Migration postgres/1_more  Applied" in deployment("up", "-d").stderr
    assert tables(deployment) == ["knex_migrations", "knex_migrations_lock", "more", "plugins", "schema_migrations"]
