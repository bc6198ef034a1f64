"""Small disks that fill up."""
import contextlib
import os
import subprocess


@contextlib.contextmanager
def small(folder, size, mode="700"):
    """A disk of its own at folder, of that size ("120m")."""
    folder.mkdir(parents=True, exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size},mode={mode}", "tmpfs", folder], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


def free(folder):
    status = os.statvfs(folder)
    return status.f_bavail * status.f_frsize


def fill(folder, leave=0):
    """Leaves no more than that many bytes of room; returns the file that holds the rest, to be removed.

    In ever smaller steps, and until it is so: an allocation of more than there is (since somebody else wrote meanwhile) takes nothing."""
    path, step = folder / ".filler", 16 << 20
    with open(path, "ab") as file:
        while (room := free(folder) - leave) > 0:
            try:
                os.posix_fallocate(file.fileno(), os.fstat(file.fileno()).st_size, max(min(step, room), 1))
            except OSError:
                step = step // 2
                if step < 1:
                    break
    return path
