"""What processes tell each other, in two that are joined by gloo."""

from __future__ import annotations

import os
import pickle
import socket
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist

from material.two_processes import in_two
from tunesmith.batches.batch import Ratio
from tunesmith.errors import Problem, SpecError, TrainingError
from tunesmith.machine import parallel
from tunesmith.machine.parallel import Processes, join, told_by_all


@pytest.fixture(autouse=True)
def one_thread() -> None:
    """Children are forked; a parent that has used OpenMP threads would leave them hanging."""
    torch.set_num_threads(1)


def test_one_alone_waits_for_nobody() -> None:
    alone = join()
    assert alone == Processes() and alone.first and not alone.several
    assert alone.sum(1.5, 2.0) == [1.5, 2.0] and alone.agreed(None) is None
    assert alone.agreed("SIGTERM") == "SIGTERM" and alone.on_first(lambda: 3) == 3
    with pytest.raises(KeyError), told_by_all():
        alone.on_first(lambda: {}["absent"])


def test_numbers_rows_and_words_go_round(monkeypatch: pytest.MonkeyPatch) -> None:
    def work(rank: int) -> None:
        ranks = join()
        assert ranks.sum(1.0, float(rank)) == [2.0, 1.0]
        mine = {"loss": Ratio(1.0, 2.0)} | ({"margin": Ratio(5.0, 1.0)} if rank else {})
        assert ranks.merge(mine) == {"loss": Ratio(2.0, 4.0), "margin": Ratio(5.0, 1.0)}
        rows = torch.full((1, 3), 7.0) if rank else torch.zeros(0, 3)
        every, start = ranks.gather(rows)
        assert every.tolist() == [[7.0] * 3] and start == 0
        assert ranks.agreed("SIGTERM" if rank else None) == "SIGTERM"
        assert ranks.on_first(os.getpid) == ranks.sum(float(os.getpid()) * (1 - rank))[0]
        gradients = [torch.full((n, 2), float(rank + n)) for n in range(1, 6)]
        gradients += [torch.full((2,), 1.0, dtype=torch.bfloat16)]
        calls: list[int] = []
        real = dist.all_reduce
        monkeypatch.setattr(dist, "all_reduce", lambda t: (calls.append(t.nbytes), real(t)))
        monkeypatch.setattr(parallel, "BUCKET_BYTES", 64)
        ranks.add_gradients(gradients)
        for n, summed in enumerate(gradients[:5], 1):
            assert summed.tolist() == [[2.0 * n + 1] * 2] * n
        assert gradients[5].tolist() == [2.0, 2.0]
        assert calls == [8 + 16 + 24, 32, 40, 4]

    assert in_two(work) == [0, 0]


def told(folder: Path, work: Any) -> list[Any]:
    """What each of two processes raises from ``work(processes)``."""

    def one(rank: int) -> None:
        try:
            with told_by_all():
                work(join())
        except Exception as error:
            (folder / str(rank)).write_bytes(pickle.dumps((type(error), str(error))))

    assert in_two(one) == [0, 0]
    return [pickle.loads((folder / str(rank)).read_bytes()) for rank in (0, 1)]


def test_other_libraries_in_one_process_are_told_by_both(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def version(name: str) -> str:
        return "2.9.0" if name == "torch" and os.environ["RANK"] == "1" else "2.13.0"

    monkeypatch.setattr(parallel, "version", version)
    one, two = told(tmp_path, lambda _: None)
    assert one == two and one[0] is SpecError
    assert "process 1 has torch 2.9.0, the first 2.13.0" in one[1]


def test_a_taken_port_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        values = {"RANK": "0", "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
        for name, value in values.items():
            monkeypatch.setenv(name, value)
        with pytest.raises(SpecError, match=rf"processes: .*127\.0\.0\.1:{port}.*MASTER_PORT"):
            join()
        monkeypatch.delenv("MASTER_PORT")
        with pytest.raises(SpecError, match=r"processes: .*MASTER_PORT expected"):
            join()


def test_work_on_the_same_rows_is_not_added_up() -> None:
    def work(rank: int) -> None:
        ranks = join(alike=True)
        assert ranks.share == (0, 1) and ranks.several and ranks.rank == rank
        assert ranks.sum(1.0, 2.0) == [1.0, 2.0]
        assert ranks.merge({"loss": Ratio(1.0, 2.0)}) == {"loss": Ratio(1.0, 2.0)}
        gradient = torch.ones(2)
        ranks.add_gradients([gradient])
        assert gradient.tolist() == [1.0, 1.0]
        assert ranks.gather(torch.ones(1, 3))[0].shape == (1, 3)
        assert ranks.agreed("SIGTERM" if rank else None) == "SIGTERM"

    assert in_two(work) == [0, 0]


@pytest.mark.parametrize("failing", [0, 1])
def test_an_error_of_one_is_told_by_both(failing: int, tmp_path: Path) -> None:
    def work(ranks: Processes) -> None:
        if ranks.rank == failing:
            raise SpecError([Problem("a.b", "is wrong"), Problem("c", "too")])
        ranks.sum(1.0)

    first, second = told(tmp_path, work)
    assert first == second and first[0] is SpecError and "a.b: is wrong" in first[1]


def test_an_error_of_the_first_alone_reaches_the_other(tmp_path: Path) -> None:
    def work(ranks: Processes) -> None:
        ranks.on_first(lambda: [][ranks.rank])

    assert told(tmp_path, work) == [(IndexError, "list index out of range")] * 2


@pytest.mark.parametrize("by_itself", [False, True], ids=["ours", "torch's"])
def test_a_process_that_was_killed_is_missed(
    by_itself: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A model that is divided asks the others in every block, without us."""
    monkeypatch.setattr(parallel, "HEARD_WITHIN", 0.2)

    def work(rank: int) -> None:
        with told_by_all():
            ranks = join()
            if rank == 1:
                os._exit(9)
            if by_itself:
                dist.all_reduce(torch.ones(1))
            ranks.sum(1.0)

    def watched(rank: int) -> None:
        with pytest.raises(TrainingError, match="another process of this run has ended"):
            work(rank)

    assert in_two(watched) == [0, 9]


def test_an_error_of_torch_stays_what_it_is() -> None:
    with pytest.raises(RuntimeError, match="mat1"), told_by_all():
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")
