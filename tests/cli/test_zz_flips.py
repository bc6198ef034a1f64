import sys; sys.path.insert(0, "/work/h/faults/tests/cli")
import random
from test_backup_damage import repository, Repository, worker, backups, database
from conftest import *
def test_flips(repository):
    repository.berth.environment
    seen = {}
    pack = repository.pack(); good = pack.read_bytes()
    for n in range(150):
        c = bytearray(good); at = random.randrange(len(c)); bit = 1 << random.randrange(8); c[at] ^= bit; pack.write_bytes(c)
        error = repository.restore(to="immediate", backup=repository.ids[-1])
        key = "laid out" if error is None else "damaged at" if "is damaged at" in error["message"] and pack.name in error["message"] else error["message"]
        seen.setdefault(key, []).append((at, bit))
    for k, v in seen.items(): print(len(v), k, v[:3])
