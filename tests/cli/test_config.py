"""The flags of `berth config`, its errors, and its limits in time and memory. Needs neither root nor containers."""
import json
import os
import pathlib
import resource
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
BERTH = os.path.join(os.environ.get("BERTH_BUILD", str(ROOT / "build")), "berth")
SANITIZED = "asan" in os.environ.get("BERTH_BUILD", "")

COMPOSE = """
name: demo
services:
  web:
    image: web:${TAG:-1}
    depends_on: [db]
    environment: {MODE: "${MODE:?say which}", PLAIN: a}
    ports: ["8080:80"]
  db:
    image: postgres:16
    volumes: ["data:/d"]
    env_file: db.env
  tool: {build: ., profiles: [tools]}
volumes: {data: , unused: }
networks: {default: {name: outer}}
"""


def config(folder, *args, env=None, limit_mb=None):
    def lower():
        if limit_mb and not SANITIZED:
            resource.setrlimit(resource.RLIMIT_AS, (limit_mb << 20, limit_mb << 20))

    return subprocess.run([BERTH, "config", *args], cwd=folder, capture_output=True, text=True, timeout=120, preexec_fn=lower,
                          env={"PATH": os.environ["PATH"], "HOME": "/home/tester", "MODE": "test", **(env or {})})


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "compose.yaml").write_text(COMPOSE)
    (tmp_path / "db.env").write_text("PGDATA=/d/pg\n")
    return tmp_path


@pytest.mark.parametrize("args, lines", [
    (["--services"], ["db", "web"]),
    (["--volumes"], ["data"]),
    (["--networks"], ["default"]),
    (["--profiles"], ["tools"]),
    (["--images"], ["postgres:16", "web:1"]),
])
def test_parts(folder, args, lines):
    result = config(folder, *args)
    assert result.returncode == 0, result.stderr
    assert result.stdout.split() == lines


def test_images_of_services_that_are_built_have_the_name_compose_gives_them(folder):
    result = subprocess.run([BERTH, "--profile", "tools", "config", "--images"], cwd=folder, capture_output=True, text=True,
                            env={"PATH": os.environ["PATH"], "MODE": "x"})
    assert "demo-tool" in result.stdout.split()


def test_quiet_and_output(folder):
    assert config(folder, "-q").stdout == ""
    assert config(folder, "--format", "json", "-o", "out.json").stdout == ""
    assert json.loads((folder / "out.json").read_text())["name"] == "demo"


def test_services_as_arguments_bring_their_dependencies(folder):
    model = json.loads(config(folder, "--format", "json", "web").stdout)
    assert set(model["services"]) == {"web", "db"}
    model = json.loads(config(folder, "--format", "json", "db").stdout)
    assert set(model["services"]) == {"db"}


def test_variables_and_environment(folder):
    table = config(folder, "--variables").stdout
    assert any(line.split() == ["MODE", "true"] for line in table.splitlines())
    assert any(line.split() == ["TAG", "false", "1"] for line in table.splitlines())
    assert json.loads(config(folder, "--variables", "--format", "json").stdout)["TAG"]["DefaultValue"] == "1"
    assert "MODE=test" in config(folder, "--environment").stdout.splitlines()


def test_hash(folder):
    first = dict(line.split() for line in config(folder, "--hash", "*").stdout.splitlines())
    assert set(first) == {"db", "web"} and all(len(value) == 64 for value in first.values())
    (folder / "compose.yaml").write_text(COMPOSE.replace("postgres:16", "postgres:17"))
    second = dict(line.split() for line in config(folder, "--hash", "db,web").stdout.splitlines())
    assert second["web"] == first["web"] and second["db"] != first["db"]


@pytest.mark.parametrize("case, expected", [
    ("deploy", "a620a839614358f05c65fc7285c9c6cb8607a06c2955cf0c9efa83323e92c074"),
    ("devices", "810c232a573e27e107006f55fd75533e3417699187a9a01a2d33c79fb010a8ac"),
])
def test_hash_equals_that_of_docker_compose(case, expected):
    files = [word for name in ("compose.yaml", "b.yaml", "c.yaml") for word in ("-f", name)]
    result = subprocess.run([BERTH, *files, "config", "--hash", "a"], cwd=ROOT / "tests" / "data" / "compose" / "merge" / case,
                            capture_output=True, text=True, env={"PATH": os.environ["PATH"]})
    assert result.stdout == f"a {expected}\n"


def test_without_interpolation_variables_stay(folder):
    model = json.loads(config(folder, "--no-interpolate", "--format", "json", env={"MODE": ""}).stdout)
    assert model["services"]["web"]["image"] == "web:${TAG:-1}"


def test_explain_tells_file_line_override_env_file_and_default(folder):
    (folder / "compose.override.yaml").write_text("services:\n  db:\n    image: postgres:${MAJOR}\n")
    (folder / ".env").write_text("MAJOR=17\n")
    image = config(folder, "--explain", "services.db.image").stdout
    assert '"postgres:17"' in image and "compose.override.yaml:3:12" in image
    assert ".env" in image and 'replaces "postgres:16"' in image
    assert "db.env" in config(folder, "--explain", "services.db.environment.PGDATA").stdout
    assert "default" in config(folder, "--explain", "services.db.networks").stdout
    assert config(folder, "--explain", "services.web.ports[0].target").stdout.startswith("services.web.ports[0].target = 80")
    missing = config(folder, "--explain", "services.db.imgae")
    assert missing.returncode != 0 and "image" in missing.stderr


def test_all_errors_of_a_file_in_one_run_with_place_and_nearest_key(tmp_path):
    (tmp_path / "compose.yaml").write_text("services:\n  a:\n    imagee: x\n    user: 5\n  b:\n    image: y\n    ports: nope\n    restrat: no\n")
    result = config(tmp_path)
    assert result.returncode == 1
    for place, text in (("3:5", "imagee"), ("4:11", "user"), ("7:12", "ports"), ("8:5", "restrat")):
        assert any(f"compose.yaml:{place}: " in line and text in line for line in result.stderr.splitlines()), result.stderr
    assert 'Did you mean "image"?' in result.stderr and 'Did you mean "restart"?' in result.stderr


def errors_of(folder, *args, files=None, **options):
    for name, text in (files or {}).items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text)
    result = config(folder, *args, **options)
    assert result.returncode == 1 and not result.stdout
    return [line.replace(f"error: {folder}/", "") for line in result.stderr.splitlines() if line.startswith("error: ")]


def test_errors_of_every_kind_come_in_one_run_in_the_order_of_the_files(tmp_path):
    errors = errors_of(tmp_path, "-q", files={"compose.yaml": """
services:
  a:
    imagee: x
    command: ${REQUIRED:?needed}
    ports: nope
  b:
    image: y
    depends_on: [zz]
    environment: {A: "x${"}
    healthcheck: {interval: soon}
  c:
    tty: true
    deploy: {replicas: "x"}
  d:
    image: d
    volumes: ["wal:/w", ":/x"]
    user: 5
    extends: {service: nope}
    env_file: absent.env
networks: {n: {driver: 5}}
include: [absent/compose.yaml, good.yaml]
""", "compose.override.yaml": "services: {b: {restrat: always}}\n", "good.yaml": "volumes: {v: {}}\n"})
    expected = ["compose.yaml:4:5: services.a: unknown key \"imagee\"", "compose.yaml:5:14: services.a.command: required variable",
                "compose.yaml:6:12: services.a.ports: must be a list", "compose.yaml:10:22: services.b.environment.A: invalid interp",
                "compose.yaml:11:29: services.b.healthcheck.interval: ", "compose.yaml:13:5: service \"c\" has neither an image",
                "compose.yaml:14:24: services.c.deploy.replicas: ",
                "compose.yaml:17:25: services.d.volumes[1]: invalid spec", "compose.yaml:18:11: services.d.user: must be a string",
                "compose.yaml:19:14: cannot extend service \"d\"", "compose.yaml:20:15: env file ",
                "compose.yaml:21:24: networks.n.driver: must be a string",
                "compose.yaml:22:11: open ", "compose.override.yaml:1:16: services.b: unknown key \"restrat\""]
    assert len(errors) == len(expected), "\n".join(errors)
    for error, start in zip(errors, expected):
        assert error.removeprefix("error: ").startswith(start), "\n".join(errors)


@pytest.mark.parametrize("text, errors", [
    # What was misspelt, or wrong, is not missing as well.
    ("services: {a: {imagee: x}}", 1),
    ("services: {a: {image: '${X:?}'}}", 1),
    ("services: {a: {image: 5, tty: x}}", 2),
    ("services: {a: {image: x, volumes: [{typ: bind, target: /x}]}}", 1),
    ("services: {a: {image: x, secrets: [s]}}\nsecrets: {s: {fiel: x}}", 1),
    ("services: {a: {image: x, networks: [n]}}\nnetworks: {n: 5}", 1),
    ("services: {a: {image: x, volumes: ['v:/v']}}\nvolumes: [v]", 1),
    ("services: {a: {image: x, depends_on: [b]}, b: 5}", 1),
    ("services: {a: {image: x, network_mode: 'service:nn'}}", 1),
    ("services: {a: {image: x, volumes: [{type: bind, source: /x, target: 5}]}}", 1),
    # What a file defines that cannot be read is not missed; what is wrong besides is told.
    ("include: [none.yaml]\nservices: {a: {image: x, depends_on: [b], networks: [n]}, c: {tty: true}}", 2),
    ("services: {a: {extends: {file: none.yaml, service: a}}, b: {image: x, tty: 5}}", 2),
    # One mistake that many services come across is one mistake.
    ("services:\n" + "".join(f"  s{i}: {{extends: {{file: base.yaml, service: b}}}}\n" for i in range(5)), 1),
    # A service without an image is told of where something else is wrong with it.
    ("services: {a: {tty: 5}}", 2),
])
def test_what_follows_from_a_mistake_is_not_told(tmp_path, text, errors):
    told = errors_of(tmp_path, "-q", files={"compose.yaml": text + "\n", "base.yaml": "services: {b: {image: '${Q:?needed}'}}\n"})
    assert len(told) == errors, "\n".join(told)


@pytest.mark.parametrize("remote", ["https://git.example.org/a/b.git", "https://git.example.org/a/b.git#main:sub", "oci://example.org/x:1",
                                    "git@example.org:a/b.git", "github.com/a/b"])
def test_files_of_other_machines_are_refused_by_name(tmp_path, remote):
    errors = errors_of(tmp_path, files={"compose.yaml": f"include: ['{remote}']\nservices:\n  a: {{extends: {{file: '{remote}', service: x}}}}\n"})
    assert [error.partition(": ")[0] for error in errors] == ["compose.yaml:1:11", "compose.yaml:3:23"]
    assert all(f"not read: {remote}" in error for error in errors)
    result = subprocess.run([BERTH, "-f", remote, "config"], cwd=tmp_path, capture_output=True, text=True, env={"PATH": os.environ["PATH"]})
    assert result.returncode == 1 and f"not read: {remote}" in result.stderr and "git clone" in result.stderr


def test_undefined_things_are_told_together(tmp_path):
    (tmp_path / "compose.yaml").write_text("services: {a: {image: x, depends_on: [q], volumes: ['wal:/w'], networks: [e]}, b: {tty: true}}\n")
    errors = config(tmp_path).stderr
    for text in ('undefined service "q"', "undefined volume wal", "undefined network e", 'service "b" has neither an image'):
        assert text in errors


def test_x_berth_has_the_same_keys_in_code_and_in_its_schema(tmp_path):
    schema = json.loads((ROOT / "schema" / "x-berth.json").read_text())["$defs"]
    values = {"images": "host", "template": "on", "postgres": True, "silence": ["a"],
              "migrations": {"path": "p", "table": "t", "lock_timeout": "5s", "on_up": True},
              "tls": {"mode": "required", "path": "p", "names": ["db.example.org"], "days": 90},
              "access": [{"databases": ["a"], "roles": "app", "networks": ["10.0.0.0/8"], "method": "scram-sha-256"}],
              "roles": {"app": {"kind": "app", "secret": "s", "databases": ["a"]}},
              "secrets": {"s": {"command": ["pass", "show", "x"], "timeout": "5s"}},
              "backup": {"keep": {"time": "7d", "last": 3, "daily": 7, "weekly": 4, "monthly": 6}, "max_rate": "64m", "schedule": "0 2 * * *", "timezone": "UTC", "jitter": "5m",
                         "offsite": {"url": "s3://b/p", "endpoint": "http://127.0.0.1:1", "region": "r", "credentials": "c", "identity": "i", "ca": "a",
                                     "known_hosts": "h", "key": "k", "schedule": "1m", "keep": "30d", "max_rate": "10m"}, "budget": "20%",
                         "synchronous": True, "when_unavailable": {"async_after": "10s"},
                         "drill": {"schedule": "@weekly", "checks": ["SELECT true"], "amcheck": True}},
              "seed": {"path": "p", "service": "a", "command": ["load"]},
              "alerts": {"command": ["tell"], "webhook": "https://example.org/x", "mail": {"to": "a@example.org", "from": "b@example.org"}}}
    shapes = {name: {} if "properties" not in shape else shape["properties"] for name, shape in schema.items()}
    shapes.update({name: form["properties"] for name in ("backup", "seed", "tls")
                   for form in schema[name].get("oneOf", schema[name].get("anyOf", [])) if "properties" in form})
    for name in ("migrations", "backup", "seed", "alerts"):
        assert set(shapes[name]) == set(values[name]), name
    offsite = shapes["backup"]["offsite"]["oneOf"][2]["properties"]
    assert set(offsite) == set(values["backup"]["offsite"])
    own = {key: values[key] for key in schema["service"]["properties"]}
    top = {key: values[key] for key in schema["project"]["properties"]}
    (tmp_path / "compose.yaml").write_text(json.dumps({"x-berth": top, "services": {"a": {"image": "x", "x-berth": own}},
                                                     "secrets": {"s": {"external": True}}}))
    assert config(tmp_path, "-q").returncode == 0
    (tmp_path / "compose.yaml").write_text("services: {a: {image: x, x-berth: {imges: host}}}\n")
    assert 'Did you mean "images"?' in config(tmp_path).stderr


@pytest.mark.parametrize("words, wrong", [
    ("offsite: true", "expected off, s3://bucket/prefix"), ("offsite: nowhere", "expected off, s3://bucket/prefix"),
    ("offsite: {endpoint: x}", "url"), ("offsite: {url: 'ftp://x'}", "s3://bucket/prefix"), ("offsite: {url: relative/path}", "s3://bucket"),
    ("offsite: {url: /srv, schedule: often}", "a duration like 1m"), ("offsite: {url: /srv, keep: {local: 7d}}", "local"),
    ("offsite: on", "off"), ("budget: 0%", "20%"), ("budget: 101%", "20%"), ("budget: 5%x", "20%"), ("budget: much", "a size like 50g")])
def test_what_is_wrong_of_copies_elsewhere_is_told(tmp_path, words, wrong):
    (tmp_path / "compose.yaml").write_text(f"services: {{a: {{image: x, x-berth: {{backup: {{{words}}}}}}}}}\n")
    told = config(tmp_path, "-q")
    assert told.returncode == 1 and "compose.yaml:1:" in told.stderr and wrong in told.stderr
    for good in ("offsite: off", "offsite: /srv", "offsite: false", "offsite: {url: /srv, schedule: '@hourly'}, budget: 20%", "keep: {local: 7d, offsite: {last: 3}}, budget: 50g"):
        (tmp_path / "compose.yaml").write_text(f"services: {{a: {{image: x, x-berth: {{backup: {{{good}}}}}}}}}\n")
        assert config(tmp_path, "-q").returncode == 0


def test_exploding_aliases_are_refused_in_bounded_memory(tmp_path):
    lines = ["x-0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"x-{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 12)]
    (tmp_path / "compose.yaml").write_text("\n".join(lines) + "\nservices: {a: {image: x}}\n")
    result = config(tmp_path, limit_mb=256)
    assert result.returncode == 1 and "aliases expand" in result.stderr


def test_deep_nesting_is_refused(tmp_path):
    (tmp_path / "compose.yaml").write_text("x-a: " + "[" * 100000 + "\n")
    result = config(tmp_path, limit_mb=256)
    assert result.returncode == 1 and "nested deeper" in result.stderr


def test_ten_megabytes_load_in_bounded_memory(tmp_path):
    services = "".join(f"  s{i}:\n    image: x\n    environment: {{A: '{'v' * 400}', B: b{i}}}\n    ports: ['{i % 60000}:80']\n" for i in range(21000))
    (tmp_path / "compose.yaml").write_text("services:\n" + services)
    assert (tmp_path / "compose.yaml").stat().st_size > 10_000_000
    result = config(tmp_path, "-q", limit_mb=1024)
    assert result.returncode == 0, result.stderr


@pytest.mark.skipif(SANITIZED, reason="sanitizers take memory of their own")
def test_a_thousand_services_take_twelve_megabytes_at_most(tmp_path):
    """A tenth of what docker compose takes, which is 112 MB and more."""
    sys.path.insert(0, str(ROOT / "bench"))
    import configs
    configs.write(tmp_path / "compose.yaml", 1000)
    _, peak = configs.measure(configs.build_measure(tmp_path), [BERTH], tmp_path / "compose.yaml")
    assert peak < 12_000_000


def test_a_file_that_is_too_large_is_refused(tmp_path):
    with open(tmp_path / "compose.yaml", "wb") as file:
        file.truncate(100 << 20)
    assert config(tmp_path, limit_mb=512).returncode == 1
