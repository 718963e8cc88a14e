"""The READMEs tell the truth: every command in them runs here, with only its names replaced by what exists."""

from __future__ import annotations

import ast
import re
import shlex
import signal
import socket
import subprocess
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import av
import pytest
import trustme

import streamguard
from streamguard.cli.lazy import COMMANDS
from streamguard.models.networks import save
from streamguard.training.conventions import collect, read_collections
from streamguard.training.manifest import write_manifest
from streamguard.training.start import start_network
from tests.support.hosts import refused_port, web_server
from tests.support.rtsp_server import RtspServer
from tests.support.training_data import ROOT, data_root, environment, write_collections, write_packs, write_recipe
from tests.support.warm import warm_python

README = ROOT / "README.md"
PAGES = [
    *(README, ROOT / "CHANGELOG.md", ROOT / "CONTRIBUTING.md", ROOT / "SECURITY.md", ROOT / "engines" / "README.md"),
    *(ROOT / "tests" / name / "README.md" for name in ("benchmarks", "soak")),
    *sorted((ROOT / "examples").glob("*/README.md")),
]
MOST = 10_000
"""Bytes that somebody reads."""
SHORT = ["--seconds", "2"]


def block(page: Path, language: str) -> str:
    """The page's one code block of a language."""
    (found,) = re.findall(rf"```{language}\n(.*?)```", page.read_text(), flags=re.DOTALL)
    return str(found)


def lines_of(page: Path) -> list[str]:
    """What the page tells to type, without remarks and variables before the command."""
    blocks = re.findall(r"```sh\n(.*?)```", page.read_text(), flags=re.DOTALL)
    lines = (re.split(r"\s+#|\s+&$", line)[0].strip() for block in blocks for line in block.splitlines())
    return [re.sub(r"^(\w+=\S+ )+", "", line) for line in lines if line]


def anchors(page: Path) -> set[str]:
    """The names of its headings, as sites make them."""
    heads = re.findall(r"^#+ (.*)$", page.read_text(), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", head).strip().lower().replace(" ", "-") for head in heads}


class Place:
    """A folder with what the commands name, and the servers they need; closed at the test's end."""

    def __init__(self, folder: Path, clip: Path, stack: ExitStack) -> None:
        self.folder, self.clip, self._stack = folder, clip, stack

    def rtsp(self, transport: str) -> str:
        """The URL of a real RTSP server that plays the clip."""
        server = RtspServer(self.clip, user="user", password="password", transport=transport)
        self._stack.enter_context(server)
        return server.url

    def hls(self) -> str:
        """The URL of a playlist made of the clip."""
        with av.open(str(self.clip)) as source, av.open(str(self.folder / "live.m3u8"), "w", format="hls") as playlist:
            stream = playlist.add_stream_from_template(source.streams.video[0])
            for packet in source.demux(video=0):
                if packet.dts is not None:
                    packet.stream = stream
                    playlist.mux(packet)
        return self._stack.enter_context(web_server(self.folder)) + "/live.m3u8"

    def data(self) -> Path:
        """A data root with pairs, a real video and portraits."""
        return data_root(self.folder / "data")

    def manifest(self) -> str:
        """The manifest of the data root."""
        path = self.folder / "manifest.tsv"
        rows = collect(read_collections(write_collections(self.folder)), self.data(), lambda sentence: None)
        write_manifest(path, rows)
        return str(path)

    def evaluation(self, detector: str) -> list[str]:
        """An evaluation of the detector on a part of the data root."""
        data = ["--manifest", self.manifest(), "--data", str(self.folder / "data")]
        return ["evaluate", detector, *data, "--sets", "pairs", "--most", "2"]

    def training(self, command: str) -> list[str]:
        """The command on a recipe of a few steps and its packs."""
        return [command, str(write_recipe(self.folder)), "--packs", str(write_packs(self.folder / "packs"))]

    def detectors(self) -> list[str]:
        """Two detectors of one network."""
        for seed in (1, 2):
            save(start_network("unet_lite0", "imagenet", seed), self.folder / str(seed))
        return [str(self.folder / str(seed)) for seed in (1, 2)]

    def settings(self) -> str:
        """A small configuration of the server on a free port."""
        (self.folder / "streamguard.toml").write_text('[server]\nlisten = "127.0.0.1:0"\nmax_streams = 2\n')
        return "streamguard.toml"

    def notices(self) -> str:
        """The configuration of the example that tells people."""
        return str(ROOT / "examples" / "notices" / "notices.toml")

    def sign_on(self) -> str:
        """The configuration of the example in which others sign people on."""
        return str(ROOT / "examples" / "sign_on" / "sign_on.toml")

    def home_assistant(self) -> str:
        """The configuration of the example that tells a home."""
        return str(ROOT / "examples" / "home_assistant" / "home_assistant.toml")

    def authorities(self) -> str:
        """A file with the certificate of an authority."""
        (self.folder / "authorities.pem").write_bytes(trustme.CA().cert_pem.bytes())
        return "authorities.pem"

    def feed(self) -> str:
        """The configuration in README, with the secret that its own command makes."""
        (self.folder / "guard.toml").write_text(block(README, "toml"))
        (making,) = (line for line in lines_of(README) if line.startswith("echo "))
        subprocess.run(["bash", "-c", making], cwd=self.folder, check=True)
        return "guard.toml"


Case = tuple[Callable[[Place], list[str]], set[int]]
CASES: dict[str, Case] = {
    "streamguard scan interview.mp4": (lambda p: ["scan", str(p.clip)], {0}),
    "streamguard scan interview.mp4 --json report.json --overlay annotated.mp4": (
        lambda p: ["scan", str(p.clip), "--json", "report.json", "--overlay", "annotated.mp4"],
        {0},
    ),
    "streamguard scan --recursive evidence/ --csv files.csv": (
        lambda p: ["scan", "--recursive", str(p.clip.parent), "--csv", "files.csv"],
        {0, 10},
    ),
    "streamguard scan press.jpg --trust authorities.pem": (
        lambda p: ["scan", str(p.clip), "--trust", p.authorities()],
        {0},
    ),
    "streamguard scan interview.mp4 --json -": (lambda p: ["scan", str(p.clip), "--json", "-"], {0}),
    "streamguard scan *.mp4 --exit-code": (lambda p: ["scan", str(p.clip), "--exit-code"], {0, 10}),
    # A test machine has no camera: the typed error names it.
    "streamguard watch camera:0": (lambda p: ["watch", "camera:0", *SHORT], {0, 3}),
    "streamguard watch rtsp://user:password@camera.local/live": (lambda p: ["watch", p.rtsp("tcp"), *SHORT], {0}),
    "streamguard watch rtmp://server.local/live/stream": (
        lambda p: ["watch", f"rtmp://127.0.0.1:{refused_port()}/live/stream", *SHORT],
        {3},
    ),
    "streamguard watch https://server.example/live.m3u8": (lambda p: ["watch", p.hls(), *SHORT], {0}),
    "streamguard watch whep+https://server.example/whep/stream": (
        lambda p: ["watch", f"whep+http://127.0.0.1:{refused_port()}/whep/stream", *SHORT],
        {3},
    ),
    "streamguard watch feed.mp4 --jsonl --seconds 60": (
        lambda p: ["watch", str(p.clip), "--jsonl", "--seconds", "60"],
        {0},
    ),
    "streamguard watch loop:feed.mp4 --restream live.m3u8": (
        lambda p: ["watch", f"loop:{p.clip}", "--restream", "live.m3u8", *SHORT],
        {0},
    ),
    "streamguard watch rtsp://camera.local/live --restream rtmp://server.local/live/guarded "
    "--restream udp://239.0.0.7:5004": (
        lambda p: [
            *("watch", p.rtsp("tcp"), "--restream", f"rtmp://127.0.0.1:{refused_port()}/live/guarded"),
            *("--restream", f"udp://127.0.0.1:{refused_port()}", *SHORT),
        ],
        {0},
    ),
    "streamguard watch rtsp://camera.local/live --restream rtsp://server.local/guarded --restream live.m3u8 "
    "--restream a.ts": (
        lambda p: [
            *("watch", p.rtsp("tcp"), "--restream", f"rtsp://127.0.0.1:{refused_port()}/guarded"),
            *("--restream", "live.m3u8", "--restream", "a.ts", *SHORT),
        ],
        {0},
    ),
    "streamguard config check streamguard.toml": (lambda p: ["config", "check", p.settings()], {0}),
    "streamguard config check guard.toml": (lambda p: ["config", "check", p.feed()], {0}),
    "streamguard config check notices.toml": (lambda p: ["config", "check", p.notices()], {0}),
    "streamguard config check sign_on.toml": (lambda p: ["config", "check", p.sign_on()], {0}),
    "streamguard config check home_assistant.toml": (lambda p: ["config", "check", p.home_assistant()], {0}),
    "streamguard config show streamguard.toml": (lambda p: ["config", "show", p.settings()], {0}),
    "streamguard config schema": (lambda p: ["config", "schema"], {0}),
    "streamguard capacity --size 1280x720 --rate 25 --faces 1 --judged 5": (
        lambda p: ["capacity", "--size", "320x240", "--rate", "10", "--seconds", "2", "--engine", "openvino"],
        {0},
    ),
    "streamguard doctor": (lambda p: ["doctor"], {0}),
    "streamguard compile": (lambda p: ["compile", "--engine", "openvino"], {0}),
    "streamguard bench": (
        lambda p: ["bench", "--seconds", "1", "--clip", str(p.clip), "--model", "unet_v1", "--engine", "openvino"],
        {0},
    ),
    "streamguard manifest engines/collections.toml --data DATA --out manifest.tsv": (
        lambda p: ["manifest", str(write_collections(p.folder)), "--data", str(p.data()), "--out", "manifest.tsv"],
        {0},
    ),
    "streamguard pack manifest.tsv --data DATA --out runs/packs": (
        lambda p: ["pack", p.manifest(), "--data", str(p.folder / "data"), "--out", "runs/packs"],
        {0},
    ),
    "streamguard train engines/unet_lite0/train.toml --packs runs/packs --work runs --out runs/detector "
    "--seconds 3600 --paced": (
        lambda p: [*p.training("train"), "--work", "runs", "--out", "runs/detector", "--seconds", "60", "--paced"],
        {0},
    ),
    "streamguard evaluate runs/detector --manifest manifest.tsv --data DATA --html report.html": (
        lambda p: [*p.evaluation(p.detectors()[0]), "--html", "report.html"],
        {0},
    ),
    "streamguard evaluate unet_lite0 --manifest manifest.tsv --data DATA --robustness 250k,1M,360p --gallery ~/errors "
    "--html report.html": (
        lambda p: [
            *(*p.evaluation("unet_lite0"), "--every", "2", "--robustness", "250k"),
            *("--gallery", "errors", "--html", "report.html"),
        ],
        {0},
    ),
    "streamguard compare engines/article.toml --networks unet_v1,unet,unet_lite0,efficientnet_b0,xception "
    "--trained-on dfdc --references unet_lite0,blur --seconds 1260 --workers 1": (
        lambda p: [
            *(*p.training("compare"), "--networks", "unet_lite0,meso4", "--references", "unet_lite0,blur"),
            *("--seconds", "1", "--out", "compared", "--most", "4"),
        ],
        {0},
    ),
    "streamguard search engines/unet_lite0/train.toml --out search --trials 40 --steps 300": (
        lambda p: [*p.training("search"), "--out", "search", "--trials", "1", "--steps", "2", "--faces", "4"],
        {0},
    ),
    "streamguard join runs/swaps runs/mixed --name both --out runs/both": (
        lambda p: [
            *("join", *p.detectors(), "--packs", str(write_packs(p.folder / "packs"))),
            *("--name", "both", "--out", "both"),
        ],
        {0},
    ),
    "streamguard thin runs/packs --out small --megabytes 60": (
        lambda p: ["thin", str(write_packs(p.folder / "packs")), "--out", "small", "--megabytes", "60"],
        {0},
    ),
    "streamguard train engines/unet_lite0/train.toml --packs small --work runs --out runs/detector --device cuda "
    "--seconds 540 --paced": (
        lambda p: [*p.training("train"), "--work", "runs", "--out", "runs/detector", "--seconds", "60", "--paced"],
        {0},
    ),
    # Without a PostgreSQL each says what is missing; tests/cluster runs them with one.
    "streamguard cluster up --config streamguard.toml": (
        lambda p: ["cluster", "up", "--config", p.settings()],
        {7},
    ),
    "streamguard cluster up --rolling --config streamguard.toml": (
        lambda p: ["cluster", "up", "--rolling", "--config", p.settings()],
        {7},
    ),
    "streamguard cluster status --config streamguard.toml": (
        lambda p: ["cluster", "status", "--config", p.settings()],
        {7},
    ),
    "streamguard cluster status --config streamguard.toml --prometheus workers.json": (
        lambda p: ["cluster", "status", "--config", p.settings(), "--prometheus", "workers.json"],
        {7},
    ),
    "streamguard cluster drain node3 --config streamguard.toml": (
        lambda p: ["cluster", "drain", "node3", "--config", p.settings()],
        {7},
    ),
    "streamguard cluster down --config streamguard.toml": (
        lambda p: ["cluster", "down", "--config", p.settings()],
        {7},
    ),
    "streamguard serve --cluster --config streamguard.toml": (
        lambda p: ["serve", "--cluster", "--config", p.settings()],
        {7},
    ),
}


# These run until they are told to stop.
SERVING: dict[str, Callable[[Place], list[str]]] = {
    "streamguard serve": lambda p: ["serve", "--port", "0"],
    "streamguard serve --config streamguard.toml": lambda p: ["serve", "--config", p.settings()],
    "streamguard serve --config guard.toml": lambda p: ["serve", "--config", p.feed(), "--port", "0"],
    "streamguard serve --config notices.toml": lambda p: ["serve", "--config", p.notices(), "--port", "0"],
    "streamguard serve --config sign_on.toml": lambda p: ["serve", "--config", p.sign_on(), "--port", "0"],
    "streamguard serve --config home_assistant.toml": lambda p: [
        *("serve", "--config", p.home_assistant(), "--port", "0"),
    ],
    "streamguard webhook listen": lambda p: ["webhook", "listen", "--port", "0"],
}


def test_every_command_of_a_page_has_a_case_here() -> None:
    told = {line for page in PAGES for line in lines_of(page) if line.startswith("streamguard ")}
    assert told == set(CASES) | set(SERVING)


@pytest.mark.parametrize("command", CASES)
def test_command_of_readme_runs(command: str, tmp_path: Path, real: Path) -> None:
    arguments, codes = CASES[command]
    with ExitStack() as stack:
        line = [*warm_python(), "-m", "streamguard", *arguments(Place(tmp_path, real, stack))]
        done = subprocess.run(
            line, capture_output=True, text=True, timeout=240, check=False, cwd=tmp_path, env=environment()
        )
    assert done.returncode in codes, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    if done.returncode == 3:
        assert done.stderr.startswith("streamguard: ")
        # The first command of a machine also says that it compiles.
        assert len([line for line in done.stderr.splitlines() if "compiling" not in line]) == 1


@pytest.mark.parametrize("command", SERVING)
def test_serving_command_of_readme_listens_and_stops(command: str, tmp_path: Path) -> None:
    with ExitStack() as stack:
        line = [*warm_python(), "-m", "streamguard", *SERVING[command](Place(tmp_path, tmp_path, stack))]
        process = stack.enter_context(
            subprocess.Popen(
                line,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                cwd=tmp_path,
                env={**environment(), "XDG_STATE_HOME": str(tmp_path / "state")},
            )
        )
        stack.callback(process.kill)
        assert process.stdout is not None
        said: list[str] = []
        told = False
        for each in process.stdout:
            said.append(each)
            if not told and (found := re.search(r"https?://[\w.]+:(\d+)", each)):
                told = True
                with socket.create_connection(("127.0.0.1", int(found[1])), timeout=20):
                    process.send_signal(signal.SIGTERM)
        assert told, "".join(said)
        assert process.wait(60) in {0, 143}, "".join(said)
        assert "Traceback" not in "".join(said)


def test_the_python_of_readme_watches(real: Path, detector: Path) -> None:
    code = block(README, "python")
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.ImportFrom):
            assert {alias.name for alias in node.names} <= set(streamguard.__all__)
    code = code.replace("rtsp://camera.local/live", str(real)).replace('"unet_lite0"', f'"{detector}", "torch"')
    done = subprocess.run([*warm_python(), "-c", code], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert [line.split()[2] for line in done.stdout.splitlines()] == ["stream.up"]


def test_every_command_is_told_of() -> None:
    text = "\n".join(page.read_text() for page in PAGES) + (ROOT / "Makefile").read_text()
    for name in COMMANDS:
        assert f"streamguard {name}" in text or f"make {name}" in text, name


def test_readme_is_short() -> None:
    assert len(README.read_bytes()) <= MOST
    for picture in (ROOT / "examples").glob("*.jpg"):
        assert picture.stat().st_size <= 120_000, picture.name


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_what_a_page_points_to_exists(page: Path) -> None:
    text = page.read_text()
    for target, _, anchor in (each.partition("#") for each in re.findall(r"\]\(([^)]+)\)", text)):
        if "://" in target:
            continue
        there = page.parent / target if target else page
        assert there.exists(), target
        assert not anchor or anchor in anchors(there), f"{target}#{anchor}"
    for line in lines_of(page):
        program, _, rest = line.partition(" ")
        if program == "python":
            script = rest.split()[0]
            assert (ROOT / script).exists() or (page.parent / script).exists(), line
        if program == "make":
            done = subprocess.run(
                ["make", "-n", *shlex.split(rest)], cwd=ROOT, capture_output=True, text=True, check=False
            )
            assert done.returncode == 0, done.stderr
