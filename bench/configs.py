"""What reading a compose file costs: files to read, and the time and memory of a whole process that reads them."""
import os
import pathlib
import subprocess

HERE = pathlib.Path(__file__).resolve().parent


def service(number):
    """Like those of real files: short and long forms, variables, a health check, dependencies."""
    depends = "" if number == 0 else (f"    depends_on:\n      service-{number - 1}: {{condition: service_healthy}}\n" if number % 3 == 0
                                      else f"    depends_on: [service-{number // 2}]\n")
    return f"""  service-{number}:
    image: registry.example.org/team/service-{number}:${{TAG:-1.{number}}}
    restart: unless-stopped
    command: ["serve", "--port", "8080", "--name", "service-{number}"]
    environment:
      DATABASE_URL: postgres://app:${{DB_PASSWORD:-secret}}@db-{number % 20}:5432/app_{number}
      LOG_LEVEL: ${{LOG_LEVEL:-info}}
      WORKERS: 4
      FEATURE_{number}: "true"
    ports: ["127.0.0.1:{10000 + number}:8080"]
    volumes:
      - data-{number % 50}:/var/lib/service
      - ./conf/service-{number}.yml:/etc/service.yml:ro
    networks: [front, back]
    labels: {{team: "t{number % 7}", tier: backend}}
    healthcheck:
      test: ["CMD", "curl", "-f", "http://localhost:8080/health"]
      interval: 10s
      timeout: 3s
      retries: 5
{depends}"""


def write(path, count):
    path.write_text("name: bench\nservices:\n" + "".join(map(service, range(count))) + "networks: {front: , back: {internal: true}}\nvolumes:\n" +
                    "".join(f"  data-{number}:\n" for number in range(min(count, 50))))


def build_measure(folder):
    program = folder / "measure"
    subprocess.run(["cc", "-O2", "-o", str(program), str(HERE / "measure.c")], check=True)
    return program


def measure(program, command, path):
    """(seconds, bytes at the peak) of one call."""
    environment = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", "DOCKER_HOST": "unix:///nonexistent"}
    out = subprocess.run([program, *command, "-f", path, "config", "--format", "json"], env=environment, capture_output=True,
                         text=True, check=True).stdout.split()
    if out[2] != "0":
        raise RuntimeError(f"{command[0]} config: exit status {out[2]}")
    return float(out[0]), int(out[1])
