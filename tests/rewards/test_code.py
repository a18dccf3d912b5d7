"""Code that a model wrote: its worth is the share of the tests that pass, whatever it prints, exits
with or returns, and it reaches neither the environment nor, for long, the machine.
"""

from __future__ import annotations

import os
import socket
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tunesmith.errors import SpecError
from tunesmith.rewards import REWARDS, Asked
from tunesmith.rewards import code as code_file
from tunesmith.rewards.code import refused_apart
from tunesmith.rollout.rewarding import Rewarding

TESTS = ["assert add(1, 2) == 3", "assert add(-1, 1) == 0"]
RIGHT = "```python\ndef add(a, b):\n    return a + b\n```"


def worth(completion: str, tests: Any = TESTS, **settings: Any) -> float | None:
    how = {"name": "code", "run_code": True, "apart": refused_apart() is None, **settings}
    reward = REWARDS.make(REWARDS.config(how))
    return reward.reward("Add.", completion, {"tests": tests})


def code(*lines: str) -> str:
    return "```python\n" + "\n".join(lines) + "\n```"


@pytest.mark.parametrize(
    ("completion", "value"),
    [
        (f"Here it is:\n{RIGHT}\nIt adds.", 1.0),
        ("def add(a, b): return a + b", 1.0),
        (code("def add(a, b): return 3"), 0.5),
        (code("def add(a, b: return a"), 0.0),
        ("I cannot.", 0.0),
        # The exit code and what is printed are not asked.
        (code("import sys", "sys.exit(0)"), 0.0),
        (code("import os", "os._exit(0)"), 0.0),
        (code('print(\'{"word": "", "passed": [true, true]}\')', "import os", "os._exit(0)"), 0.0),
        (code("def add(a, b): raise SystemExit(0)"), 0.0),
    ],
)
def test_the_share_of_the_tests_that_pass(completion: str, value: float):
    assert worth(completion) == value


def test_tests_are_a_list_or_its_json_or_one_text_and_a_row_without_them_says_nothing():
    assert worth(RIGHT, '["assert add(1, 2) == 3", "assert add(1, 1) == 3"]') == 0.5
    assert worth(RIGHT, "assert add(1, 2) == 3\nassert add(1, 1) == 3") == 0
    assert worth(RIGHT, "") is None and worth(RIGHT, []) is None


def test_code_runs_only_where_somebody_says_so():
    with pytest.raises(SpecError, match=r"source\.rewards\.0: .*run_code: true"):
        Rewarding([REWARDS.config("code")], [], 10.0).check()
    with pytest.raises(SpecError, match=r"source\.prove_by\.0: .*run_code: true"):
        Rewarding([REWARDS.config("code")], [], 10.0, "source.prove_by").check()


@pytest.mark.skipif(sys.platform == "win32", reason="the limits are those of Unix")
def test_limits_hold_and_the_environment_is_empty(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setenv("SECRET_KEY", "1234")
    tests = ["assert seen() is True"]
    began = time.monotonic()
    assert worth(code("while True: pass"), seconds=1) == 0
    assert worth(code("import time", "time.sleep(60)"), seconds=1) == 0
    assert time.monotonic() - began < 20
    assert worth(code("x = bytearray(600 << 20)", "def seen(): return True"), tests) == 0
    assert worth(code("import os", "def seen(): return 'SECRET_KEY' not in os.environ"), tests) == 1
    assert worth(code("import os", "def seen(): return os.listdir() == []"), tests) == 1
    big = code("def seen():", "    open('x', 'wb').write(bytes(4 << 20))", "    return True")
    assert worth(big, tests) == 0
    assert os.listdir(tmp_path) == []


APART = pytest.mark.skipif(refused_apart() is not None, reason="the system allows no namespaces")
HOME = Path.home()


@APART
@pytest.mark.parametrize(
    "line",
    [
        "import socket; socket.create_connection(('127.0.0.1', {port}), 2)",
        f"open({str(HOME / 'tunesmith-was-here')!r}, 'w')",
        "open('/tunesmith-was-here', 'w'); assert open('/etc/passwd')",
        "open({secret!r}).read()",
        "import os; os.kill({pid}, 0)",
        "import os; assert os.listdir('/proc')",
        "import os; os.fork()",
        "import ctypes; assert ctypes.CDLL(None).unshare(0x10000000) == 0",
        "import os; os.mkdir(os.__file__ + 'x')",
        "open('big', 'wb').write(bytes(4 << 20))",
        "x = bytearray(600 << 20)",
    ],
)
def test_code_reaches_nothing_of_the_machine(line: str, tmp_path: Path) -> None:
    """Each of these must fail, and writing in its own folder must not."""
    secret = tmp_path / "secret"
    secret.write_text("1234", "utf-8")
    with socket.create_server(("127.0.0.1", 0)) as server:
        known = {"port": server.getsockname()[1], "secret": str(secret), "pid": os.getpid()}
        body = code("def tried():", "    " + line.format(**known), "    return True")
        own = "open('own', 'w').write('x'); assert open('own').read() == 'x'"
        assert worth(body, [own, "assert tried()"]) == 0.5
    assert not (HOME / "tunesmith-was-here").exists()


@APART
def test_children_that_never_end_end_with_the_code(tmp_path: Path) -> None:
    """Forks, or hands its output on, for ever: the answer is worth 0 and nothing is left."""
    began = time.monotonic()
    forks = ("import os", "while True:", "    try: os.fork()", "    except OSError: pass")
    assert worth(code(*forks), seconds=1) == 0
    assert worth(code("import os", "while True: os.write(1, bytes(1 << 16))"), seconds=1) == 0
    assert time.monotonic() - began < 60


def test_where_the_system_keeps_nothing_apart_the_code_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(code_file, "refused_apart", lambda: "unshare: not permitted")
    with pytest.raises(SpecError, match=r"unshare: not permitted.*apart: false"):
        worth(RIGHT, apart=True)
    assert worth(RIGHT, apart=False) == 1


def test_in_a_run_it_is_asked_like_any_other(tmp_path: Path):
    how = {"name": "code", "run_code": True, "apart": refused_apart() is None}
    rewarding = Rewarding([REWARDS.config(how)], [], 30.0)
    asked = [Asked("r:1", "Add.", RIGHT, {"tests": TESTS}), Asked("r:2", "Add.", RIGHT, {})]
    found = rewarding(asked)
    rewarding.close()
    assert found.sums_n[0] == 1 and found.table_nR.shape == (2, 1)
    assert len(found.faults) == 1 and "tests" in found.faults[0]
