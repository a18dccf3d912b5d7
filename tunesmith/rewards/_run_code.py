"""A process that runs code which a model wrote, and its tests, under limits that it sets itself,
and on Linux apart: without a network, other processes, or files but those of Python.

It reads JSON from standard input: ``code``, ``tests``, ``seconds``, ``mebibytes``, whether to run
``apart``, and a ``word`` that the code does not know; its last line is that word with the tests
that passed, or with why the system refused. It imports nothing of ours.
"""

import contextlib
import ctypes
import io
import json
import os
import sys

NAMESPACES = 0x20000 | 0x8000000 | 0x20000000 | 0x40000000
"""Mounts, messages between processes, process ids, network (``sched.h``)."""
USER_NAMESPACE = 0x10000000
# The flags of mount and of mount_setattr (``linux/mount.h``).
BIND, RECURSIVE, PRIVATE = 0x1000, 0x4000, 0x40000
READ_ONLY, NO_SUID, NO_DEVICES = 0x1, 0x2, 0x4
MOUNT_SETATTR = 442
"""The call's number, one on all machines (Linux 5.12, 2021)."""
NOBODY = 65534  # what Linux shows for a user whom a namespace does not know
PLACE = "/answer"


def libc_call(name: str, *values: object) -> None:
    """Calls a function of the C library; raises OSError where it fails or is missing."""
    try:
        function = ctypes.CDLL(None, use_errno=True)[name]
    except (AttributeError, TypeError):  # Windows has no library without a name
        raise OSError(f"no {name}") from None
    if function(*values) < 0:
        raise OSError(f"{name}: {os.strerror(ctypes.get_errno())}")


def go_apart() -> None:
    """Leaves network, processes and files of the machine; raises OSError where the system does not
    let it. The process that goes on is a child, which ends with this one.
    """
    if sys.platform != "linux":
        raise OSError(sys.platform)
    user, group = os.getuid(), os.getgid()
    try:
        libc_call("unshare", NAMESPACES)  # root's way: no namespace of users is needed
    except OSError:
        libc_call("unshare", NAMESPACES | USER_NAMESPACE)
        for name, text in (
            ("setgroups", "deny"),
            ("uid_map", f"{user} {user} 1"),
            ("gid_map", f"{group} {group} 1"),
        ):
            with open(f"/proc/self/{name}", "w") as file:
                file.write(text)
        user = -1
    _see_only_python()
    child = os.fork()  # the first process of the new numbers: with it all others end
    if child:
        _, status = os.waitpid(child, 0)
        os._exit(os.waitstatus_to_exitcode(status) & 0xFF)
    libc_call("prctl", 1, 9, 0, 0, 0)  # killed when the parent is
    if user == 0:
        os.setgroups([])
        os.setgid(NOBODY)
        os.setuid(NOBODY)
        libc_call("prctl", 1, 9, 0, 0, 0)  # forgotten with the user
    libc_call("prctl", 38, 1, 0, 0, 0)  # no new privileges
    # No capability is left (version 3 of capset, this thread): whoever makes a namespace of users
    # has all of them in it.
    header = (ctypes.c_uint32 * 2)(0x20080522, 0)
    libc_call("capset", header, (ctypes.c_uint32 * 6)())


def _see_only_python() -> None:
    """Makes an empty folder in memory the root, with Python's own files to be read."""
    libraries = ["/lib", "/lib64", "/usr/lib", "/usr/lib64", os.path.join(sys.base_prefix, "lib")]
    shown = [folder for folder in [*libraries, *sys.path] if os.path.isdir(folder)]
    root = os.getcwd()
    libc_call("mount", None, b"/", None, RECURSIVE | PRIVATE, None)
    flags = NO_SUID | NO_DEVICES
    libc_call(
        "mount", b"tmpfs", root.encode(), b"tmpfs", flags, b"size=16m,nr_inodes=2000,mode=755"
    )
    for folder in dict.fromkeys(shown):
        mounted = root + folder
        if os.path.isdir(mounted) and os.listdir(mounted):
            continue  # within one that is shown already
        os.makedirs(mounted, exist_ok=True)
        libc_call("mount", folder.encode(), mounted.encode(), None, BIND | RECURSIVE, None)
        wanted = (ctypes.c_uint64 * 4)(READ_ONLY | NO_SUID, 0, 0, 0)
        values = (MOUNT_SETATTR, -100, mounted.encode(), 0x8000, wanted, 32)
        libc_call("syscall", *values)
    os.mkdir(root + PLACE)
    os.chmod(root + PLACE, 0o777)
    os.chroot(root)
    os.chdir(PLACE)


def limit(seconds: int, mebibytes: int) -> None:
    """Sets what the process may use: time, memory, the size and number of files, processes; what
    the system cannot limit is not limited.
    """
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
    """Runs what standard input asks for; nothing where it was to be apart and is not."""
    asked = json.load(sys.stdin)
    word, report = asked.pop("word"), os.dup(1)
    os.close(0)
    if asked["apart"]:
        try:
            go_apart()
        except OSError as error:
            os.write(report, (json.dumps({"word": word, "refused": str(error)}) + "\n").encode())
            os._exit(0)
    limit(asked["seconds"], asked["mebibytes"])
    names: dict[str, object] = {"__name__": "answer"}
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        loaded = passes(asked["code"], names)
        passed = [loaded and passes(test, dict(names)) for test in asked["tests"]]
    os.write(report, ("\n" + json.dumps({"word": word, "passed": passed}) + "\n").encode())
    os._exit(0)


if __name__ == "__main__":
    main()
