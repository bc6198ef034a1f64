"""berth-worker by hand: one job, its events and its end."""
import json
import subprocess

from .program import BUILD, TIMEOUT


class Job:
    """A running job. events: what it told so far; end(): its result, or its error as {"kind", "message", …}."""

    def __init__(self, berth, job, /, **parameters):
        self.process = subprocess.Popen([str(BUILD / "berth-worker"), job, json.dumps(parameters)], env=berth.environment,
                                        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
        self.events = []
        self.result = self.error = None

    def next(self):
        """The next line; None at the end."""
        line = self.process.stdout.readline()
        if not line:
            return None
        event = json.loads(line)
        self.result = event.get("result", self.result)
        self.error = event.get("error", self.error)
        self.events.append(event)
        return event

    def end(self):
        while self.next():
            pass
        self.process.wait(TIMEOUT)
        assert (self.result is None) != (self.error is None), self.events
        return self


def run(berth, job, /, **parameters):
    job = Job(berth, job, **parameters).end()
    assert job.error is None, job.error
    return job


def fails(berth, job, /, **parameters):
    """Returns the error of a job that must fail."""
    job = Job(berth, job, **parameters).end()
    assert job.error is not None, job.events
    return job.error
