"""berth upgrade: a database to a newer major beside the old one, compared, switched, returned, forgotten."""
import pytest

from support.upgrade import compose, everything, make, query, server_major, writing


@pytest.mark.slow
@pytest.mark.parametrize("old, new", [(13, 15), (15, 17)])
def test_all_arrives_and_the_way_back_is_open(project, images, berth, old, new):
    deployment = make(project, images, old, new)
    before = everything(deployment)
    dry = deployment("upgrade", "db", "--to", new, "--dry-run").stdout
    assert f"from PostgreSQL {old} to {new}" in dry and "compose.yaml:4" in dry
    with writing(deployment) as last:
        done = deployment("upgrade", "db", "--to", new, "--yes")
    assert "tables with" in done.stderr and "--rollback" in done.stdout
    assert server_major(deployment) == new
    assert everything(deployment) == before
    assert query(deployment, f"SELECT max(n) >= {last[0]} AND count(*) = max(n) FROM log") == "t"
    assert query(deployment, "SELECT count(*) FROM pg_stats WHERE tablename = 'item'") != "0"
    text = (deployment.folder / "compose.yaml").read_text()
    assert text == compose(old).replace(f'"postgres:{old}"', f'"postgres:{new}"')
    # The old password still opens the door, over TCP and with the rules of before.
    assert deployment.exec("db", "sh", "-c", "PGPASSWORD=$(cat /run/secrets/password) psql -XAtc 'SELECT 1' -U keeper -h "
                           "$(hostname) shop") == "1"
    assert "Nothing to do" in deployment("up", "--dry-run").stdout
    assert deployment("upgrade", "db", "--to", new, check=False).returncode != 0
    query(deployment, "INSERT INTO item (name) VALUES ('after')")
    deployment("upgrade", "db", "--rollback", "--yes")
    assert server_major(deployment) == old and everything(deployment) == before
    assert (deployment.folder / "compose.yaml").read_text() == compose(old)
    kept = f"from{old}_data-upgrade-{old}-{new}"
    assert kept in deployment("volume", "ls").stdout
    assert deployment("upgrade", "db", "--forget", "--yes").stdout.strip() == kept
    assert kept not in deployment("volume", "ls").stdout
    assert kept in deployment("volume", "ls", "--trash").stdout
    assert "no upgrade" in deployment.fails("upgrade", "db", "--rollback", "--yes")


@pytest.mark.slow
def test_what_cannot_go_is_told_and_nothing_changed(project, images, berth):
    deployment = make(project, images, 15, 17)
    assert "of PostgreSQL 15 already" in deployment.fails("upgrade", "db", "--to", "15", "--yes")
    assert "no way here" in deployment.fails("upgrade", "db", "--to", "14", "--yes")
    assert "images from 18 on keep their data elsewhere" in deployment.fails("upgrade", "db", "--to", "18", "--yes")
    assert "not without a yes" in deployment.fails("upgrade", "db", "--to", "17")
    query(deployment, "CREATE DATABASE closed")
    query(deployment, "ALTER DATABASE closed ALLOW_CONNECTIONS false")
    assert "database closed accepts no connections" in deployment.fails("upgrade", "db", "--to", "17", "--yes")
    query(deployment, "DROP DATABASE closed")
    # What the new server refuses to restore: a function that only works under the path of before.
    query(deployment, "CREATE FUNCTION plain(text) RETURNS text LANGUAGE plpgsql IMMUTABLE AS "
          "$$BEGIN RETURN (SELECT $1 FROM parts LIMIT 1); END$$")
    query(deployment, "CREATE INDEX fragile ON item (plain(name))")
    said = deployment.fails("upgrade", "db", "--to", "17", "--yes")
    assert "copy" in said and "parts" in said
    assert server_major(deployment) == 15
    query(deployment, "INSERT INTO item (name) VALUES ('goes on')")
    assert (deployment.folder / "compose.yaml").read_text() == compose(15)
    assert "upgrade-15-17" not in deployment("volume", "ls").stdout
    assert [name for name in deployment.ps("-a")] == ["from15-db-1"]
    # A file that names the new major already is told the way; and a value that comes from elsewhere is not touched.
    deployment.write("compose.yaml", compose(17))
    refused = deployment.fails("up", "-d")
    assert "[major-version]" in refused and "berth upgrade db --to 17" in refused
    deployment.write("compose.yaml", compose("${MAJOR:-15}"))
    assert "comes from a variable" in deployment.fails("upgrade", "db", "--to", "17", "--yes")
    assert server_major(deployment) == 15
