"""One boot of a disk by qemu."""
import os
import re
import signal
import subprocess
import threading
import time

# Nested virtualisation that is offered may still fail on the first register: only where it is asked for.
KVM = os.environ.get("BERTH_VM_KVM") == "1"
# Without what is dear to emulate (wide vectors) and without cmpxchg16b, whose flags qemu 7.2 gets wrong: kernels panic of it.
CPU = "Nehalem,-cx16"


class Machine:
    """Lines of the serial console that start with @ are the stage script's: they are collected, and heard as they come."""

    def __init__(self, work, disk, stage, timeout, hear):
        command = ["qemu-system-x86_64", "-nodefaults", "-no-reboot", "-display", "none", "-m", "2048", "-smp", "2",
                   "-machine", "q35", "-accel", "kvm" if KVM else "tcg,thread=multi,tb-size=512", "-cpu", "host" if KVM else CPU,
                   "-kernel", str(work / "vmlinuz"), "-initrd", str(work / "initrd"),
                   "-append", "root=/dev/vda rw console=ttyS0 quiet systemd.show_status=0 mitigations=off nokaslr fsck.mode=skip "
                              f"tsc=reliable no_timer_check berth.stage={stage}",
                   "-drive", f"file={disk},if=virtio,format=raw,cache=writeback", "-device", "virtio-rng-pci",
                   "-serial", "stdio"]
        self.log = open(work / f"console-{stage}.log", "w")
        self.hear, self.lines, self.changed, self.ended = hear, [], threading.Condition(), False
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self.deadline = time.monotonic() + timeout
        threading.Thread(target=self.read, daemon=True).start()

    def read(self):
        for raw in self.process.stdout:
            line = raw.decode(errors="replace").rstrip()
            self.log.write(line + "\n")
            self.log.flush()
            said = re.search(r"@(at|ok|fail|row|rows) .*", line)
            if not said:
                continue
            self.hear(said[0])
            with self.changed:
                self.lines.append(said[0])
                self.changed.notify_all()
        with self.changed:
            self.ended = True
            self.changed.notify_all()

    def wait_for(self, predicate):
        """Until predicate(lines) is true, the machine ends, or time is up; returns the lines."""
        with self.changed:
            while not predicate(self.lines) and not self.ended and time.monotonic() < self.deadline:
                self.changed.wait(1)
            return list(self.lines)

    def run_to_end(self):
        """Whether it switched itself off in time, and the lines."""
        lines = self.wait_for(lambda _: False)
        off = self.ended
        self.cut()
        return off, lines

    def cut(self):
        """The power goes: nothing inside is told."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()
