from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator

import pytest

from tunesmith.machine.signals import StopSignal


@pytest.fixture
def hangup_ends() -> Iterator[None]:
    """SIGHUP as it is in a terminal, also where the tests run under nohup, which ignores it."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


def test_the_first_signal_is_noted_and_the_handlers_before_come_back(hangup_ends: None):
    before = {
        number: signal.getsignal(number)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
    }
    for number in before:
        with StopSignal() as stop:
            assert stop.received is None
            os.kill(os.getpid(), number)
            assert stop.received == number.name
    assert {number: signal.getsignal(number) for number in before} == before


def test_what_nohup_ignores_stays_ignored():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with StopSignal() as stop:
            os.kill(os.getpid(), signal.SIGHUP)
            assert stop.received is None
    finally:
        signal.signal(signal.SIGHUP, before)


def test_another_thread_leaves_signals_as_they_are():
    found: list[object] = []

    def work() -> None:
        with StopSignal():
            found.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert found == [signal.getsignal(signal.SIGTERM)]


@pytest.mark.parametrize("name", ["SIGHUP", "SIGBREAK"])
def test_a_system_without_a_signal_is_served_with_the_others(name, monkeypatch):
    members = {key: value for key, value in signal.Signals.__members__.items() if key != name}
    monkeypatch.setattr(signal.Signals, "_member_map_", members)
    with StopSignal() as stop:
        os.kill(os.getpid(), signal.SIGTERM)
        assert stop.received == "SIGTERM"
