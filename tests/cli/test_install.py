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
                 "berth.service"):
        assert name in found, name
    assert str(found["berth-keeper"]).removeprefix(str(tmp_path)) in found["berth.service"].read_text()
    version = subprocess.run([str(found["berth"]), "version"], env=berth.environment, capture_output=True, text=True, check=True)
    assert "berth version" in version.stdout
