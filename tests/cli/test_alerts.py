"""Alerts: by a program, a web hook and a mail, each with the same facts."""
import http.server
import json
import threading

import pytest

from support import worker

FACTS = dict(project="shop", service="db", what="backup", good=False, message="no space left on the \"disk\"")


@pytest.fixture
def hook():
    """A web server that keeps what it is sent and answers with its status."""
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            self.server.seen.append((self.path, self.headers["Content-Type"], json.loads(body)))
            self.send_response(self.server.status)
            self.end_headers()

        def log_message(self, *_):
            pass

    server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
    server.seen, server.status = [], 204
    server.url = f"http://127.0.0.1:{server.server_port}/hook?token=very-secret"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def script(folder, name, text):
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_text("#!/bin/sh\n" + text)
    path.chmod(0o755)
    return str(path)


def test_every_way(berth, hook):
    program = script(berth.root, "tell", f'cat >{berth.root}/json; echo "$BERTH_ALERT_PROJECT $BERTH_ALERT_SERVICE $BERTH_ALERT_WHAT '
                                         f'$BERTH_ALERT_STATE $BERTH_ALERT_MESSAGE $*" >{berth.root}/words\n')
    berth.environment["BERTH_SENDMAIL"] = script(berth.root, "sendmail", f"cat >{berth.root}/mail\n")
    ways = {"command": [program, "an argument"], "webhook": hook.url, "mail": {"to": "ops@example.org", "from": "berth@example.org"}}
    worker.run(berth, "alert", ways=ways, **FACTS)
    words = (berth.root / "words").read_text()
    assert words == 'shop db backup failed no space left on the "disk" an argument\n'
    given = json.loads((berth.root / "json").read_text())
    assert {key: given[key] for key in ("project", "service", "what", "state", "message")} == {
        "project": "shop", "service": "db", "what": "backup", "state": "failed", "message": FACTS["message"]}
    assert given["time"].endswith("Z")
    assert [(path, kind) for path, kind, _ in hook.seen] == [("/hook?token=very-secret", "application/json")]
    assert hook.seen[0][2] == given
    mail = (berth.root / "mail").read_text()
    assert mail.startswith("To: ops@example.org\nFrom: berth@example.org\nSubject: berth: backup of shop/db failed\n")
    assert FACTS["message"] in mail


def test_one_way_that_fails_does_not_keep_the_others_back(berth, hook):
    hook.status = 500
    program = script(berth.root, "tell", f"touch {berth.root}/told\n")
    berth.environment["BERTH_SENDMAIL"] = "/nonexistent/sendmail"
    for ways, reason in (({"command": ["/nonexistent/tell"], "webhook": hook.url}, "/nonexistent/tell"),
                         ({"command": [program], "webhook": hook.url}, "the web hook: it answered 500"),
                         ({"command": [program], "webhook": "http://127.0.0.1:1/secret-path"}, "web hook"),
                         ({"command": [program], "webhook": "file:///etc/passwd"}, "web hook"),
                         ({"command": [program], "mail": {"to": "a@example.org"}}, "mail"),
                         ({"command": [program], "mail": {"to": "a@example.org\nBcc: b@example.org"}}, "line break")):
        (berth.root / "told").unlink(missing_ok=True)
        message = worker.fails(berth, "alert", ways=ways, **FACTS)["message"]
        assert reason in message and "secret" not in message
        if ways["command"] == [program]:
            assert (berth.root / "told").exists()
    assert len(hook.seen) == 2
