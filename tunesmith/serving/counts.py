"""What the server did, as Prometheus reads it."""

from __future__ import annotations

import time
from collections.abc import Sequence

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from tunesmith.serving.rows import Row
from tunesmith.serving.served import Served

SECONDS = (0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 100, 300)


class Counts:
    """The numbers of one server; nothing in them is a text of a request."""

    def __init__(self, served: Sequence[Served]) -> None:
        self.registry = CollectorRegistry()
        where, name = self.registry, "tunesmith_"
        self.requests = Counter(
            f"{name}requests", "Requests answered.", ["route", "status"], registry=where
        )
        self.tokens = Counter(
            f"{name}tokens", "Tokens of finished answers.", ["kind"], registry=where
        )
        self.waited = Histogram(
            f"{name}wait_seconds", "From a request to its slot.", buckets=SECONDS, registry=where
        )
        self.first = Histogram(
            f"{name}first_token_seconds", "To the first piece.", buckets=SECONDS, registry=where
        )
        self.whole = Histogram(
            f"{name}answer_seconds", "To the end of the answer.", buckets=SECONDS, registry=where
        )
        self.running = Gauge(f"{name}rows", "Rows that wait or are being written.", registry=where)
        workers = [run.engine or run.reader for run in served]
        self.workers = {id(worker): worker for worker in workers if worker is not None}
        self.running.set_function(lambda: sum(worker.busy for worker in self.workers.values()))

    def finished(self, rows: Sequence[Row], first: float | None) -> None:
        """Counts an answer, that was first heard at ``first``."""
        now, begun = time.monotonic(), rows[0].begun
        if begun is not None:
            self.waited.observe(begun - rows[0].asked)
        if first is not None:
            self.first.observe(first - rows[0].asked)
        self.whole.observe(now - rows[0].asked)
        for row in rows:
            self.tokens.labels("written").inc(row.written)
            self.tokens.labels("prompt").inc(len(row.prompt) - row.cached)
            self.tokens.labels("cached").inc(row.cached)

    def page(self) -> bytes:
        """Returns the page at ``/metrics``."""
        return generate_latest(self.registry)
