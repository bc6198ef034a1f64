"""berth init: what it writes runs as it is."""
import pytest

from support.entrypoint import MAJORS

pytestmark = pytest.mark.skipif(not MAJORS, reason="no PostgreSQL is installed")


def test_applications_have_roles_of_their_own(project, berth):
    deployment = project(name="made")
    deployment("init", ".", "--postgres", max(MAJORS), "--port", "5498")
    deployment("up", "-d", "--wait")
    ask = "SELECT string_agg(rolname, ' ' ORDER BY rolname) FROM pg_roles WHERE rolcanlogin AND NOT rolsuper"
    assert deployment("psql", "db", "-XAtc", ask).stdout.strip() == "app monitor owner readonly"
    password = (deployment.folder / "secrets/app_password").read_text().strip()

    def as_app(sql):
        return deployment("exec", "-T", "-e", f"PGPASSWORD={password}", "db", "psql", "-h", "127.0.0.1", "-U", "app", "-d", "app",
                          "-XAtc", sql, check=False)

    assert as_app("SELECT current_user").stdout == "app\n"
    assert "permission denied" in as_app("CREATE TABLE t ()").stderr
