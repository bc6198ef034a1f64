"""What a person meets before any container runs: help, mistakes, completion, man pages, what the program links."""
import json
import os
import re
import shutil
import subprocess

import pytest

from support import program

COMMANDS = ["up", "down", "ps", "logs", "exec", "run", "start", "stop", "restart", "kill", "rm", "wait", "port", "top", "stats",
            "events", "images", "pull", "create", "pause", "unpause", "scale", "ls", "inspect", "volume", "volumes", "network",
            "system", "cp", "version", "help", "enable", "disable", "completion", "config", "image"]


def test_help_lists_every_command_within_80_columns(berth):
    text = berth("help").stdout
    for command in COMMANDS:
        assert re.search(rf"^  {command} ", text, re.M), command
    assert max(map(len, text.splitlines())) <= 80
    assert berth("--help").stdout == text


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(berth, command):
    text = berth(command, "--help").stdout
    assert text.startswith(f"Usage:  berth {command}")
    assert berth("help", command).stdout == text


def test_no_command_prints_help_and_is_a_wrong_command_line(berth):
    result = berth(check=False)
    assert result.returncode == 2
    assert result.stdout == "" and result.stderr.startswith("Usage:")


def test_version(berth):
    assert re.fullmatch(r"berth version \d+\.\d+\.\d+\n", berth("version").stdout)
    assert json.loads(berth("version", "--format", "json").stdout)["version"] == berth("version", "--short").stdout.strip()
    assert berth("--version").stdout == berth("version").stdout


@pytest.mark.parametrize("line, message, hint", [
    (["pss"], 'unknown command: "berth pss"', 'Did you mean "berth ps"?'),
    (["volume", "prnue"], 'unknown command: "berth volume prnue"', 'Did you mean "berth volume prune"?'),
    (["up", "--detahc"], "up: unknown flag: --detahc", 'Did you mean "--detach"?'),
    (["logs", "--tail"], "flag needs an argument: --tail", "Write --tail LINES."),
    (["exec", "db"], "exec needs at least 2 arguments, not 1", "Usage: berth exec"),
    (["ls", "more"], 'ls takes no argument "more"', "Usage: berth ls"),
    (["build"], "build: Berth does not build images", "berth image load"),
])
def test_a_wrong_command_line_says_what_and_what_then(berth, line, message, hint):
    result = berth(*line, check=False)
    assert result.returncode == 2
    assert result.stdout == ""
    first, second = result.stderr.splitlines()
    assert first == f"error: {message}"
    assert second.startswith("hint: ") and hint in second


def test_without_a_compose_file(berth):
    result = berth("up", "-d", check=False)
    assert result.returncode == 1
    assert result.stderr.splitlines()[0] == "error: no configuration file provided: not found"
    assert "hint:" in result.stderr and "-p" in result.stderr


def test_a_project_that_nobody_knows_is_empty_not_an_error(berth):
    assert berth("-p", "nix", "ps", "--format", "json").stdout == ""
    assert berth("-p", "nix", "ps").stdout.startswith("NAME ")
    assert "invalid project name" in berth.fails("-p", "Nix.X", "ps")


def test_exec_away_from_a_project_names_what_is_missing(berth):
    assert "no such container: autodeploy_postgres" in berth.fails("exec", "autodeploy_postgres", "true")


def test_root_is_asked_for_by_those_who_need_it(berth, workspace):
    def as_nobody(*arguments):
        return subprocess.run(["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", program.BUILD / "berth", *arguments],
                              cwd="/", env=berth.environment, capture_output=True, text=True)

    if as_nobody("version").returncode != 0:
        pytest.skip("the build folder is closed to other users")
    result = as_nobody("up", "-d")
    assert result.returncode == 1
    assert result.stderr.splitlines() == ["error: up needs root", 'hint: Try "sudo berth up".']


def test_the_program_links_next_to_nothing():
    libraries = subprocess.run(["readelf", "-d", program.BUILD / "berth"], capture_output=True, text=True, check=True).stdout
    needed = set(re.findall(r"NEEDED.*\[(\S+?)\.so", libraries))
    assert {name for name in needed if "asan" not in name and "ubsan" not in name} <= {"libc", "libm", "libyaml-0", "libjansson",
                                                                                        "ld-linux-x86-64", "ld-linux-aarch64"}


def test_a_reader_that_goes_away_is_no_error(berth):
    reader, writer = os.pipe()
    os.close(reader)
    result = subprocess.run([program.BUILD / "berth", "help"], stdout=writer, stderr=subprocess.PIPE, env=berth.environment, text=True)
    os.close(writer)
    assert result.stderr == ""


def test_a_full_disk_is_an_error(berth):
    with open("/dev/full", "w") as full:
        result = subprocess.run([program.BUILD / "berth", "help", "up"], stdout=full, stderr=subprocess.PIPE, env=berth.environment, text=True)
    assert result.returncode == 1
    assert "write standard output" in result.stderr


# ---- completion ----

def complete(berth, *words):
    """What bash offers for the last word."""
    script = 'eval "$(berth completion bash)"; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _berth; printf "%s\\n" "${COMPREPLY[@]}"'
    result = subprocess.run(["bash", "-c", script, "bash", "berth", *words], capture_output=True, text=True, check=True,
                            cwd=berth.cwd, env={**berth.environment, "PATH": f"{program.BUILD}:{os.environ['PATH']}"})
    assert result.stderr == ""
    return set(result.stdout.split())


def test_bash_completes_commands_flags_and_values(berth):
    assert complete(berth, "re") >= {"restart", "restore", "release"}
    assert complete(berth, "-p", "x", "volume", "r") == {"rm", "restore"}
    assert complete(berth, "up", "--wai") == {"--wait", "--wait-timeout"}
    assert complete(berth, "up", "--pull", "") == {"always", "missing", "never", "policy"}
    assert complete(berth, "--progress", "p") == {"plain"}
    assert complete(berth, "completion", "") == {"bash", "zsh", "fish"}
    # bash parts words at colons and puts in what comes after the last one.
    assert complete(berth, "db", ":", "mig") == {"migrate", "migrate:create", "migrate:force"}
    assert complete(berth, "db", ":", "migrate", ":", "f") == {"force"}
    assert complete(berth, "db", ":", "delete", "--no-b") == {"--no-backup"}


def test_bash_completes_names_of_volumes(berth):
    berth("volume", "create", "alpha")
    berth("volume", "create", "beta")
    assert complete(berth, "volume", "inspect", "") == {"alpha", "beta"}


def test_bash_completes_names_of_services(project):
    one = project("services:\n  db:\n    image: postgres:16\n  web:\n    image: busybox\n")
    one.berth.cwd = one.folder
    assert complete(one.berth, "logs", "-f", "") == {"db", "web"}


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_scripts_are_valid(berth, shell):
    script = berth("completion", shell).stdout
    if not shutil.which(shell):
        pytest.skip(f"{shell} is not installed")
    subprocess.run([shell, "-n"], input=script, text=True, check=True)


# ---- man pages ----

def test_man_pages_are_there_and_well_formed(berth):
    pages = program.BUILD / "dist" / "man1"
    names = {page.name for page in pages.iterdir()}
    assert {"berth.1"} | {f"berth-{command}.1" for command in berth("__complete", "commands").stdout.split()} == names
    if not shutil.which("groff"):
        pytest.skip("groff is not installed")
    for page in pages.iterdir():
        result = subprocess.run(["groff", "-man", "-Tutf8", "-ww", "-z", page], capture_output=True, text=True)
        assert result.stderr == "", page.name


def test_the_document_of_commands_is_up_to_date():
    text = subprocess.run([program.BUILD / "generate-documents", "markdown"], capture_output=True, text=True, check=True).stdout
    assert (program.ROOT / "docs" / "commands.md").read_text() == text, "run: build/generate-documents markdown > docs/commands.md"


# ---- volumes need no project ----

def test_volume_rm_asks_and_keeps_in_the_trash(berth):
    berth("volume", "create", "precious")
    (berth.data / "volumes" / "precious" / "_data" / "file").write_text("x" * 10000)
    result = berth("volume", "rm", "precious", check=False)
    assert result.returncode == 1
    assert "precious" in result.stderr and "--yes" in result.stderr
    assert berth("volume", "ls", "-q").stdout == "precious\n"

    berth("volume", "rm", "precious", "--yes")
    assert berth("volume", "ls", "-q").stdout == ""
    assert [json.loads(line)["Name"] for line in berth("volume", "ls", "--trash", "--format", "json").stdout.splitlines()] == ["precious"]

    berth("volume", "restore", "precious")
    assert (berth.data / "volumes" / "precious" / "_data" / "file").read_text() == "x" * 10000

    berth("volume", "rm", "--yes", "--purge", "precious")
    assert berth("volume", "ls", "-q", "--trash").stdout == ""


def test_volume_prune_empties_the_trash(berth):
    berth("volume", "create", "old")
    berth("volume", "rm", "-y", "old")
    assert "--yes" in berth.fails("volume", "prune")
    assert "Total reclaimed space" in berth("volume", "prune", "--yes").stdout
    assert berth("volume", "ls", "-q", "--trash").stdout == ""


def test_volume_export_and_import_keep_everything(berth, tmp_path):
    berth("volume", "create", "one")
    data = berth.data / "volumes" / "one" / "_data"
    (data / "folder").mkdir(mode=0o750)
    (data / "folder" / "file").write_text("content")
    (data / "link").symlink_to("folder/file")
    os.chown(data / "folder" / "file", 999, 999)
    archive = tmp_path / "one.tar"
    berth("volume", "export", "one", "-o", archive)
    berth("volume", "import", "two", archive)
    copy = berth.data / "volumes" / "two" / "_data"
    assert (copy / "folder" / "file").read_text() == "content"
    assert (copy / "folder" / "file").stat().st_uid == 999
    assert (copy / "folder").stat().st_mode & 0o777 == 0o750
    assert os.readlink(copy / "link") == "folder/file"
    assert "is not empty" in berth.fails("volume", "import", "two", archive)


def test_unknown_volumes_and_networks(berth):
    for kind in ("volume", "network"):
        message = berth.fails(kind, "inspect", "nix")
        assert "nix" in message and "hint: " in message
    assert "nix" in berth.fails("inspect", "nix")


def test_a_template_with_an_unknown_field_names_it(berth):
    berth("volume", "create", "one")
    assert berth("volume", "ls", "--format", "{{.Name}}").stdout == "one\n"
    result = berth("volume", "ls", "--format", "{{.Nmae}}", check=False)
    assert result.returncode == 2 and 'no field "Nmae"' in result.stderr


def test_networks_are_created_listed_and_removed(berth):
    berth("network", "create", "shared", "--subnet", "10.213.7.0/24")
    row = json.loads(berth("network", "ls", "--format", "json").stdout)
    assert (row["Name"], row["Subnet"]) == ("shared", "10.213.7.0/24")
    assert json.loads(berth("network", "inspect", "shared").stdout)[0]["IPAM"]["Config"][0]["Gateway"] == "10.213.7.1"
    berth("network", "rm", "shared")
    assert berth("network", "ls", "-q").stdout == ""
