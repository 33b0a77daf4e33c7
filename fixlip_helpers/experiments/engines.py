"""Where an experiment's units run: in this process, or on Ray's workers here or on a cluster.

An engine takes a function of one unit and the units, and hands back ``(unit, result)`` as they finish. What a unit's
result is does not depend on the engine: a unit holds everything that decides it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any


def in_process(work: Callable[[Any], Any], units: Iterable) -> Iterator[tuple[Any, Any]]:
    """One unit after the other, here."""
    for unit in units:
        yield unit, work(unit)


def on_ray(
    make_work: Callable[[], Callable[[Any], Any]],
    units: Iterable,
    workers: int = 1,
    address: str | None = None,
    gpus: float = 0,
    retries: int = 3,
) -> Iterator[tuple[Any, Any]]:
    """Units on Ray actors; a worker that dies is replaced, and its unit done again.

    Parameters
    ----------
    make_work : callable
        Called once by each worker, gives the function of one unit; so a model is loaded once a worker.
    units : iterable
        What a unit is must be serializable.
    workers : int
        Number of actors.
    address : str, optional
        Of a running cluster (``"auto"``, ``"ray://HOST:10001"``, ...); default: a Ray of this process, ended with
        it.
    gpus : float
        GPUs that each worker asks for.
    retries : int
        How often a unit is begun anew after its worker died, before the run gives up.

    Yields
    ------
    (unit, result)
        In the order in which they finish.

    Raises
    ------
    ValueError
        If Ray is not installed or the address does not answer.
    RuntimeError
        If a unit's worker died ``retries`` times more than allowed.
    """
    try:
        import ray
        from ray.exceptions import RayActorError
    except ImportError as error:
        raise ValueError(
            "workers beyond this process need Ray: pip install 'fixlip-helpers[scale]'"
        ) from error
    ours = not ray.is_initialized()
    if ours:
        try:
            # Without an address, only as many CPUs as workers, so that each has its share of the machine's.
            local = (
                {"num_cpus": workers, "include_dashboard": False} if address is None else {"address": address}
            )
            ray.init(**local, log_to_driver=False, logging_level="error")
        except (ConnectionError, RuntimeError, OSError) as error:
            raise ValueError(f"ray address = {address!r} is not reachable: {error}") from error

    @ray.remote(num_cpus=1, num_gpus=gpus, max_restarts=0)
    class Worker:
        def __init__(self) -> None:
            self.work = make_work()

        def do(self, unit: Any) -> Any:
            return self.work(unit)

    waiting, begun = list(units), {}
    running: dict[Any, tuple[Any, Any]] = {}
    try:
        idle = [Worker.remote() for _ in range(min(workers, len(waiting)))]
        while waiting or running:
            while idle and waiting:
                worker, unit = idle.pop(), waiting.pop(0)
                running[worker.do.remote(unit)] = worker, unit
            done, _ = ray.wait(list(running), num_returns=1)
            worker, unit = running.pop(done[0])
            try:
                result = ray.get(done[0])
            except RayActorError as error:
                begun[unit] = begun.get(unit, 0) + 1
                if begun[unit] > retries:
                    raise RuntimeError(
                        f"the worker of {unit!r} died {begun[unit]} times: {error}; is there enough memory?"
                    ) from error
                waiting.insert(0, unit)
                idle.append(Worker.remote())
                continue
            idle.append(worker)
            yield unit, result
    finally:
        if ours:
            ray.shutdown()
