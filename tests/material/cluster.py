"""Commands of a cluster that write down how they were called."""

from __future__ import annotations

import os
import stat
import sys
from pathlib import Path

NAMES = ("PET_NNODES", "PET_NODE_RANK", "PET_MASTER_ADDR", "RANK", "WORLD_SIZE")
NOTES = """\
#!{python}
import os, sys
name, code = os.path.basename(sys.argv[0]), {code}
told = [os.environ.get(one) for one in {names}]
with open({log!r}, "a") as log:
    print(name, sys.argv[1:], *told, file=log)
{rest}
sys.exit(code)
"""
REST = {
    "srun": "os.execvp(sys.argv[1], sys.argv[1:])",
    "scontrol": "if sys.argv[1] == 'show': print('first', 'second', sep=chr(10))",
    "tunesmith": "",
    "waits": """
import signal, time
signal.signal(signal.SIGTERM, lambda *_: sys.exit(code))
print("ready", flush=True)
time.sleep(60)
""",
}


def put_commands(folder: Path, *, tunesmith: int, waits: bool = False) -> tuple[Path, str]:
    """Puts srun, scontrol and tunesmith, which ends by a code (after a SIGTERM where it ``waits``),
    in front of all others; returns what they note, and the PATH.
    """
    place, log = folder / "bin", folder / "called.txt"
    place.mkdir(exist_ok=True)
    for name in ("srun", "scontrol", "tunesmith"):
        rest = REST["waits" if waits and name == "tunesmith" else name]
        code = tunesmith if name == "tunesmith" else 0
        told = {"code": code, "names": NAMES, "log": str(log), "rest": rest}
        path = place / name
        path.write_text(NOTES.format(python=sys.executable, **told), encoding="utf-8")
        path.chmod(path.stat().st_mode | stat.S_IEXEC)
    return log, f"{place}:{os.environ['PATH']}"
