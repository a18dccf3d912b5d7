"""A process that runs code which a model wrote, and its tests, under limits that it sets itself.

It reads JSON from standard input: ``code``, ``tests``, ``seconds``, ``mebibytes`` and a ``word``
that the code does not know; its last line is that word and the tests that passed. It imports
nothing of ours.
"""

import contextlib
import ctypes
import io
import json
import os
import sys


def limit(seconds: int, mebibytes: int) -> None:
    """Sets what the process may use: time, memory, the size and number of files, processes, and
    no network; what the system cannot limit is not limited.
    """
    with contextlib.suppress(OSError, AttributeError):
        user, network = 0x10000000, 0x40000000
        ctypes.CDLL(None).unshare(user | network)
    try:
        import resource
    except ImportError:  # Windows
        return
    most = {
        resource.RLIMIT_CPU: seconds,
        resource.RLIMIT_AS: mebibytes << 20,
        resource.RLIMIT_FSIZE: 1 << 20,
        resource.RLIMIT_NOFILE: 32,
        resource.RLIMIT_NPROC: 0,
        resource.RLIMIT_CORE: 0,
    }
    for kind, value in most.items():
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(kind, (value, value))


def passes(source: str, names: dict[str, object]) -> bool:
    """Runs a piece of code; tells whether it ended without an error. ``sys.exit(0)`` is one."""
    try:
        exec(compile(source, "<answer>", "exec"), names)
    except BaseException:
        return False
    return True


def main() -> None:
    """Runs what standard input asks for."""
    asked = json.load(sys.stdin)
    word, told = asked.pop("word"), os.dup(1)
    os.close(0)
    limit(asked["seconds"], asked["mebibytes"])
    names: dict[str, object] = {"__name__": "answer"}
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        loaded = passes(asked["code"], names)
        passed = [loaded and passes(test, dict(names)) for test in asked["tests"]]
    os.write(told, ("\n" + json.dumps({"word": word, "passed": passed}) + "\n").encode())
    os._exit(0)


if __name__ == "__main__":
    main()
