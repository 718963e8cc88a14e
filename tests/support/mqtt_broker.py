"""A real broker, Debian's mosquitto, on the loopback: with passwords and TLS where a test wants them."""

from __future__ import annotations

import asyncio
import shutil
import ssl
import subprocess
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiomqtt
import trustme

from tests.support.hosts import refused_port

PROGRAM = shutil.which("mosquitto", path="/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin")
PASSWORD = "s3cret of the broker"


class Broker:
    """Where it listens; stopped and started again at will. Nothing it keeps outlives it."""

    def __init__(self, folder: Path, *, passwords: bool = False, tls: bool = False) -> None:
        self.port = refused_port()
        self.tls, self.passwords = tls, passwords
        self.authority = folder / "broker-authority.pem"
        lines = [f"listener {self.port} 127.0.0.1", f"allow_anonymous {str(not passwords).lower()}", "log_type error"]
        # As root it would become a user that reads none of these files.
        lines += ["user root", "persistence false"]
        if passwords:
            path = folder / "passwords"
            tool = str(Path(PROGRAM or "").parent.parent / "bin" / "mosquitto_passwd")
            subprocess.run([tool, "-c", "-b", str(path), "guard", PASSWORD], check=True, capture_output=True)
            lines.append(f"password_file {path}")
        if tls:
            ca = trustme.CA()
            ca.cert_pem.write_to_path(str(self.authority))
            made = ca.issue_cert("localhost")
            made.private_key_pem.write_to_path(str(folder / "broker.key"))
            made.cert_chain_pems[0].write_to_path(str(folder / "broker.pem"))
            lines += [f"certfile {folder / 'broker.pem'}", f"keyfile {folder / 'broker.key'}"]
        self._config = folder / "mosquitto.conf"
        self._config.write_text("\n".join(lines) + "\n")
        self._process: subprocess.Popen[bytes] | None = None

    def settings(self, **more: Any) -> dict[str, Any]:
        """The section of the configuration."""
        given: dict[str, Any] = {"host": "localhost" if self.tls else "127.0.0.1", "port": self.port, "tls": self.tls}
        if self.tls:
            given["ca_file"] = str(self.authority)
        if self.passwords:
            given |= {"username": "guard", "password": PASSWORD}
        return given | more

    async def start(self) -> None:
        """Run it, and wait until it listens."""
        assert PROGRAM is not None
        line = [PROGRAM, "-c", str(self._config)]
        self._process = await asyncio.to_thread(subprocess.Popen, line, stderr=subprocess.PIPE)
        async with asyncio.timeout(30):
            while True:
                assert self._process.poll() is None, self._process.stderr and self._process.stderr.read()
                try:
                    _, writer = await asyncio.open_connection("127.0.0.1", self.port)
                except OSError:
                    await asyncio.sleep(0.05)
                    continue
                writer.close()
                await writer.wait_closed()
                return

    async def stop(self) -> None:
        """End it."""
        if self._process is not None:
            self._process.terminate()
            await asyncio.to_thread(self._process.wait)
            assert self._process.stderr is not None
            self._process.stderr.close()
            self._process = None

    def client(self) -> aiomqtt.Client:
        """Somebody else at the broker."""
        context = ssl.create_default_context(cafile=str(self.authority)) if self.tls else None
        name, password = ("guard", PASSWORD) if self.passwords else (None, None)
        host = "localhost" if self.tls else "127.0.0.1"
        return aiomqtt.Client(host, self.port, username=name, password=password, tls_context=context)


class Watcher:
    """What lies at the broker, and what passes by.

    Attributes:
        now: topic -> newest payload, of those that are retained and not taken back.
        passed: (topic, payload) of all that came, in order.
    """

    def __init__(self, client: aiomqtt.Client) -> None:
        self.client = client
        self.now: dict[str, bytes] = {}
        self.passed: list[tuple[str, bytes]] = []
        self._changed = asyncio.Condition()

    async def follow(self) -> None:
        """Take in what comes."""
        async for message in self.client.messages:
            topic, payload = message.topic.value, bytes(message.payload or b"")  # type: ignore[arg-type]
            async with self._changed:
                self.passed.append((topic, payload))
                self.now[topic] = payload
                if not payload:
                    del self.now[topic]
                self._changed.notify_all()

    async def until(self, met: Callable[[], object], limit: float = 60.0) -> None:
        """Wait until something is so."""
        async with asyncio.timeout(limit), self._changed:
            await self._changed.wait_for(lambda: bool(met()))


@asynccontextmanager
async def broker(folder: Path, **wanted: bool) -> AsyncIterator[Broker]:
    """A running broker."""
    made = Broker(folder, **wanted)
    await made.start()
    try:
        yield made
    finally:
        await made.stop()


@asynccontextmanager
async def watching(at: Broker) -> AsyncIterator[Watcher]:
    """Everything that lies at the broker and passes by."""
    async with at.client() as client:
        watcher = Watcher(client)
        await client.subscribe("#", qos=1)
        task = asyncio.create_task(watcher.follow(), name="watcher")
        try:
            yield watcher
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
