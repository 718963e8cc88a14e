"""Workers over Ray: one actor a node, or a GPU of it, kept alive by one more that looks for nodes.

Ray starts processes and brings them back, and carries nothing else: no frame, no event, no configuration goes through
it. Which worker lives is told by the database.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import os
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from streamguard.cluster.leases import WorkerPlace
from streamguard.config import read_config
from streamguard.errors import ConfigError, RemoteError, StreamguardError
from streamguard.logs import get_logger, set_up_logs

log = get_logger("streamguard.cluster")
NAMESPACE = "streamguard"
KEEPER = "keeper"
LOOK_EVERY = 2.0
AGAIN = 5.0
"""Seconds before a worker that could not begin is begun again."""
OBJECT_STORE = 75 * 1024 * 1024
"""Bytes: the least that Ray takes; nothing of ours lies in it."""
DOMAIN_LABEL = "ray.io/availability-zone"
_CONNECT = 5.0
_LOOPBACK = "127.0.0.1"
_LOCAL = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}
"""Ray takes loopback addresses for what they are; read when it is imported."""
_RUNNING = Path("/tmp/ray/ray_current_cluster")
_RAYS_OWN = range(10002, 20000)
_TOKEN = ("RAY_AUTH_MODE", "token")


def ray_module() -> Any:
    """Ray, with its reports of usage off and its token authentication on, unless the environment says otherwise.

    Raises:
        ConfigError: it is not installed.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault(*_TOKEN)
    # What Ray warns of by default are settings of the future.
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    try:
        import ray
    except ImportError:
        remedy = 'pip install "streamguard[cluster]"'
        raise ConfigError("cluster", "Ray is not installed", remedy) from None
    return ray


class WorkerActor:
    """A worker in a process that Ray keeps alive. It judges on a thread of its own: Ray's calls and it never wait for
    each other.

    Args:
        config: path of the configuration's file, the same on every node; secrets stay in it.
        options: values that go before it, as of `read_config`.
        place: where it lives.
    """

    def __init__(self, config: str | None, options: Mapping[str, Any], place: WorkerPlace) -> None:
        self._config, self._options, self._place = config, dict(options), place
        self._loop = asyncio.new_event_loop()
        self._stop = asyncio.Event()
        self._thread = threading.Thread(target=self._run, name="worker", daemon=True)
        self._thread.start()

    def process(self) -> int:
        """Its process's number."""
        return os.getpid()

    def end(self, seconds: float) -> bool:
        """Give the streams up and end in good order; whether it did in time."""
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(seconds)
        return not self._thread.is_alive()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            # What judges is loaded where it is needed: who keeps the workers stays small.
            from streamguard.cluster.worker import work

            config = read_config(Path(self._config) if self._config else None, self._options)
            set_up_logs(config.server.log_level, config.server.log_format)
            self._loop.run_until_complete(work(config, self._place, self._stop))
        except StreamguardError as error:
            log.error("the worker cannot go on; it is begun again", detail=str(error), node=self._place.node)
        except Exception:
            log.exception("the worker failed; it is begun again")
        else:
            # It was told to end, or has been replaced: to come back would only replace the other.
            return
        time.sleep(AGAIN)
        # Ray brings it back, with nothing left of what went wrong.
        os._exit(1)


class Keeper:
    """Sees to it that each node that has processors has its workers; it lives as long as the cluster is wanted.

    Args:
        config, options: of the workers.
    """

    def __init__(self, config: str | None, options: Mapping[str, Any]) -> None:
        self._config, self._options = config, dict(options)
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="keeper", daemon=True)
        self._thread.start()

    def end(self) -> None:
        """Start no more workers."""
        self._over.set()
        self._thread.join()

    def _run(self) -> None:
        ray, namesakes = ray_module(), Namesakes()
        while not self._over.wait(LOOK_EVERY):
            try:
                for place, node, gpus, cpus in places(namesakes.settled(ray.nodes())):
                    start_worker(ray, self._config, self._options, place, node, gpus=gpus, cpus=cpus)
            except Exception:
                # The head may be away: what lives lives on, and it is tried again.
                log.exception("nodes could not be looked after")


class Namesakes:
    """Holds back nodes that bear the name of another one.

    A node that was killed and begins anew is seen beside its earlier life until Ray takes that for dead. Waiting for it
    keeps the name, by which operators drain it.

    Args:
        patience: seconds after which two of a name are taken for two nodes.
        clock: seconds.
    """

    def __init__(self, patience: float = 60.0, clock: Callable[[], float] = time.monotonic) -> None:
        self._patience, self._clock = patience, clock
        self._since: dict[str, float] = {}

    def settled(self, nodes: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """All nodes, but for those that have shared their name for less than that."""
        names = Counter(_name(node) for node in nodes if node["Alive"])
        doubled = {str(node["NodeID"]) for node in nodes if node["Alive"] and names[_name(node)] > 1}
        now = self._clock()
        self._since = {id: self._since.get(id, now) for id in doubled}
        return [node for node in nodes if now - self._since.get(str(node["NodeID"]), -math.inf) >= self._patience]


def _name(node: dict[str, Any]) -> str:
    return str(node.get("NodeName") or node["NodeManagerAddress"])


def places(nodes: list[dict[str, Any]]) -> Iterator[tuple[WorkerPlace, str, float, float]]:
    """Where workers belong: (place, node's id, GPUs, CPUs) for one a node, or one a GPU of it."""
    alive = [node for node in nodes if node["Alive"] and node["Resources"].get("CPU", 0) >= 1]
    names = [_name(node) for node in alive]
    for name, node in zip(names, alive, strict=True):
        host, id = str(node["NodeManagerAddress"]), str(node["NodeID"])
        # Several Ray nodes may share one machine.
        unique = name if names.count(name) == 1 else f"{name}-{id[:8]}"
        domain = str((node.get("Labels") or {}).get(DOMAIN_LABEL) or unique)
        gpus = int(node["Resources"].get("GPU", 0))
        count = max(1, gpus)
        for number in range(count):
            yield (
                WorkerPlace(unique, host, domain, number),
                id,
                float(gpus > 0),
                max(1.0, float(int(node["Resources"]["CPU"] / count))),
            )


def start_worker(
    ray: Any, config: str | None, options: Mapping[str, Any], place: WorkerPlace, node: str, *, gpus: float, cpus: float
) -> None:
    """Start a worker on a node, unless there is one."""
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    name = f"worker {node} {place.number}"
    with contextlib.suppress(ValueError):
        ray.get_actor(name, namespace=NAMESPACE)
        return
    ray.remote(WorkerActor).options(
        name=name,
        namespace=NAMESPACE,
        lifetime="detached",
        max_restarts=-1,
        num_cpus=cpus,
        num_gpus=gpus,
        # Another node has workers of its own.
        scheduling_strategy=NodeAffinitySchedulingStrategy(node_id=node, soft=False),
    ).remote(config, dict(options), place)


@contextmanager
def connected(address: str | None) -> Iterator[Any]:
    """A connection to the Ray cluster for as long as the context lasts.

    Args:
        address: `host:port` of its head; None for `RAY_ADDRESS`, else the one on this machine.

    Raises:
        ConfigError: Ray is not installed.
        RemoteError: there is no cluster, or it does not let us in.
    """
    where = address or os.environ.get("RAY_ADDRESS") or "auto"
    _check_reachable(where)
    if _is_local(where):
        os.environ.update(_LOCAL)
    ray = ray_module()
    try:
        ray.init(
            address=where, namespace=NAMESPACE, log_to_driver=False, configure_logging=False, logging_level="ERROR"
        )
    except (ConnectionError, RuntimeError, ValueError, TimeoutError, ray.exceptions.RayError) as error:
        # It comes as the cause, or as a text in it.
        if "AuthenticationError" in f"{error!r} {error.__cause__!r}":
            remedy = "give the cluster's own token by RAY_AUTH_TOKEN or RAY_AUTH_TOKEN_PATH"
            raise RemoteError(f"Ray at {where}", "it does not take this token", remedy) from None
        cause = f"it cannot be reached ({str(error).splitlines()[0] if str(error) else type(error).__name__})"
        remedy = "start it by `ray start --head`, or give its head by --address or RAY_ADDRESS"
        raise RemoteError(f"Ray at {where}", cause, remedy) from None
    try:
        yield ray
    finally:
        ray.shutdown()


def _is_local(where: str) -> bool:
    """Return whether it is the Ray that `start_local` has started."""
    try:
        running = _RUNNING.read_text().strip()
    except OSError:
        return False
    return running.startswith(f"{_LOOPBACK}:") and where in {"auto", running}


def _check_reachable(where: str) -> None:
    """Raise RemoteError where nobody listens: Ray by itself tries for minutes, and says nothing."""
    host, _, port = where.rpartition(":")
    if not port.isdecimal() or "/" in where:
        return
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=_CONNECT).close()
    except OSError as error:
        cause = f"it cannot be reached ({error.strerror or error})"
        raise RemoteError(
            f"Ray at {where}", cause, "start it by `ray start --head`, or give another --address"
        ) from None


def start_local(port: int, cpus: int | None) -> str:
    """Start a head of Ray on this machine's loopback, without dashboard and without reports of usage; its address.

    Raises:
        ConfigError: Ray is not installed, or the port is one of its own.
        RemoteError: it does not start.
    """
    if port in _RAYS_OWN:
        cause = f"Ray takes ports {_RAYS_OWN.start} to {_RAYS_OWN.stop - 1} for its workers"
        raise ConfigError(f"port {port}", cause, "give another --port, such as 6379")
    os.environ.update(_LOCAL)
    ray_module()
    program, environment = [sys.executable, "-m", "ray.scripts.scripts"], dict(os.environ)
    if not _has_token():
        subprocess.run(
            [*program, "get-auth-token", "--generate"], env=environment, check=False, capture_output=True, timeout=120
        )
    host = _LOOPBACK
    command = [
        *program,
        "start",
        "--head",
        f"--node-ip-address={host}",
        f"--port={port}",
        "--include-dashboard=false",
        "--disable-usage-stats",
        f"--object-store-memory={OBJECT_STORE}",
        *([f"--num-cpus={cpus}"] if cpus is not None else []),
        f"--node-name={socket.gethostname()}",
    ]
    done = subprocess.run(command, env=environment, check=False, capture_output=True, text=True, timeout=300)
    if done.returncode:
        said = [line.strip() for line in (done.stdout + done.stderr).splitlines() if line.strip()]
        cause = f"it does not start ({said[-1] if said else f'exit code {done.returncode}'})"
        raise RemoteError(f"Ray at {host}:{port}", cause, "end the one that runs by `ray stop`, or give another --port")
    return f"{host}:{port}"


def start_keeper(ray: Any, config: str | None, options: Mapping[str, Any]) -> None:
    """Start who starts the workers; one that runs is replaced."""
    end_keeper(ray)
    ray.remote(Keeper).options(
        name=KEEPER, namespace=NAMESPACE, lifetime="detached", max_restarts=-1, num_cpus=0
    ).remote(config, dict(options))


def end_keeper(ray: Any) -> None:
    """Start no more workers; a no-op where nobody does."""
    try:
        keeper = ray.get_actor(KEEPER, namespace=NAMESPACE)
    except ValueError:
        return
    ray.kill(keeper, no_restart=True)


def end_workers(ray: Any, seconds: float, nodes: set[str] | None = None) -> int:
    """End the workers, in good order where they can within so many seconds; how many there were.

    Args:
        ray: the connection.
        seconds: for all of them together.
        nodes: ids of Ray's nodes; None for all.
    """
    actors = [
        ray.get_actor(each["name"], namespace=NAMESPACE)
        for each in ray.util.list_named_actors(all_namespaces=True)
        if each["namespace"] == NAMESPACE
        and each["name"].startswith("worker ")
        and (nodes is None or each["name"].split()[1] in nodes)
    ]
    asked = [actor.end.remote(seconds) for actor in actors]
    if asked:
        ray.wait(asked, num_returns=len(asked), timeout=seconds + 1.0)
    for actor in actors:
        ray.kill(actor, no_restart=True)
    return len(actors)


def _has_token() -> bool:
    named = os.environ.get("RAY_AUTH_TOKEN") or os.environ.get("RAY_AUTH_TOKEN_PATH")
    return bool(named) or (Path.home() / ".ray" / "auth_token").exists()
