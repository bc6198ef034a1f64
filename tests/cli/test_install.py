"""make install: what it puts where, and how the boot unit is left out."""
import pathlib
import subprocess

import pytest

from support.program import BUILD, ROOT


@pytest.mark.parametrize("arguments, boot", [((), "true"), (("BOOT=false",), "false"), (("--", "--no-boot"), "false")])
def test_the_boot_unit_can_be_left_out(arguments, boot):
    """What make would do: the tree that is tested is not configured anew."""
    result = subprocess.run(["make", "-n", f"BUILD={BUILD}", "install", *arguments], cwd=ROOT, check=True, capture_output=True, text=True)
    assert f"-Dboot={boot}" in result.stdout


def test_what_is_installed_runs_from_its_place(tmp_path, berth):
    subprocess.run(["meson", "install", "-C", str(BUILD), "--no-rebuild", "--quiet", "--destdir", str(tmp_path)], check=True,
                   stdin=subprocess.DEVNULL, capture_output=True)
    found = {path.name: path for path in tmp_path.rglob("*") if path.is_file()}
    for name in ("berth", "berth-keeper", "berth-worker", "berth-enter", "berth-entrypoint", "berth.1", "berth-up.1", "_berth", "berth.fish",
                 "berth.service", "berth-shutdown.service"):
        assert name in found, name
    for unit in ("berth.service", "berth-shutdown.service"):
        assert str(found["berth-keeper"]).removeprefix(str(tmp_path)) in found[unit].read_text()
    version = subprocess.run([str(found["berth"]), "version"], env=berth.environment, capture_output=True, text=True, check=True)
    assert "berth version" in version.stdout


@pytest.mark.parametrize("works", [True, False])
def test_packages_of_a_machine_without_lists(tmp_path, works):
    """The first try finds nothing: the lists are fetched, and a second failure is one."""
    log = tmp_path / "log"
    for name, script in (("dpkg-query", "exit 1"), ("apt-get", f"""
        echo "$*" >> {log}
        case "$*" in *update*) exit 0 ;; esac
        {"grep -q update " + str(log) if works else "false"}""")):
        (tmp_path / name).write_text(f"#!/bin/sh\n{script}\n")
        (tmp_path / name).chmod(0o755)
    # The policy that keeps packages from starting services is written into a /usr/sbin of its own.
    script = f'mount -t tmpfs none /usr/sbin && PATH={tmp_path}:$PATH "$0" vm && ls /usr/sbin'
    result = subprocess.run(["unshare", "--mount", "sh", "-c", script, ROOT / "tools/install-deps"], capture_output=True, text=True)
    assert ["update" in line for line in log.read_text().splitlines()] == [False, True, False]
    assert (result.returncode == 0) == works, result
    assert "policy-rc.d" not in result.stdout
