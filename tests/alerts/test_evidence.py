"""Evidence: what is kept, for how long, who may see it, and that nobody changed it."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
from pathlib import Path
from urllib.parse import parse_qsl, unquote, urlsplit

import cv2
import numpy as np
import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st

from streamguard.alerts.evidence import EvidenceStore, LinkSigner, ManifestSigner, picture_files, verify_manifest
from streamguard.errors import ConfigError, EvidenceError, OutputError
from streamguard.media import picture_from_rgb
from streamguard.media.clip import clip_bytes
from streamguard.types import Crop, Event, Face
from tests.alerts.conftest import START
from tests.alerts.tools import Clock, event
from tests.media.test_clip import ring_of
from tests.support.media_files import make_video

BASE = "https://guard.example/evidence"
FILES = {"snapshot.jpg": b"j" * 100, "clip.mp4": b"m" * 900}
SIGNER = ManifestSigner(b"k" * 32)
LINKS = LinkSigner(b"l" * 32, BASE)


@pytest.fixture
def store(tmp_path: Path, clock: Clock) -> EvidenceStore:
    return EvidenceStore(tmp_path / "evidence", SIGNER, LINKS, clock=clock, max_age=1000.0, link_age=100.0)


def parts(link: str) -> tuple[str, dict[str, str]]:
    """(path after the base, query) of a link."""
    url = urlsplit(link)
    return unquote(url.path).removeprefix("/evidence/"), dict(parse_qsl(url.query))


def aged(root: Path, clock: Clock, **ages: Event) -> None:
    """Give each event's folder its age in seconds (`a100` for 100)."""
    for name, one in ages.items():
        (folder,) = root.glob(f"*/{one.id}")
        moment = clock() - float(name[1:])
        os.utime(folder, (moment, moment))


def test_saved_verified_and_opened_by_its_links(store: EvidenceStore, tmp_path: Path) -> None:
    one = event("fake.opened", START)
    links = store.save(one, FILES, "config-hash")
    (folder,) = (tmp_path / "evidence").glob(f"*/{one.id}")
    assert folder.stat().st_mode & 0o077 == 0
    document = verify_manifest(folder, SIGNER.public_key)
    assert (document["model"], document["engine"], document["config"]) == (one.model, one.engine, "config-hash")
    assert document["event"]["id"] == one.id
    assert one.stream not in str(folder)
    opened = {path.name: path.read_bytes() for path in (store.open(*parts(link)) for link in links)}
    assert set(opened) == {*FILES, "manifest.json"}
    assert {name: opened[name] for name in FILES} == FILES
    assert all(link.startswith(f"{BASE}/") for link in links)


@pytest.mark.parametrize("name", ["snapshot.jpg", "clip.mp4", "manifest.json", "manifest.sig"])
def test_what_was_changed_or_lost_is_noticed(store: EvidenceStore, tmp_path: Path, name: str) -> None:
    store.save(event("fake.opened", START), FILES, "x")
    (file,) = (tmp_path / "evidence").glob(f"*/*/{name}")
    whole = file.read_bytes()
    for changed in (whole[:-3] + b"xyz", b"", b"{}"):
        file.write_bytes(changed)
        with pytest.raises(EvidenceError):
            verify_manifest(file.parent, SIGNER.public_key)
    file.unlink()
    with pytest.raises(EvidenceError):
        verify_manifest(file.parent, SIGNER.public_key)
    file.write_bytes(whole)
    verify_manifest(file.parent, SIGNER.public_key)
    (file.parent / "more.jpg").write_bytes(b"x")
    with pytest.raises(EvidenceError, match="not in the manifest"):
        verify_manifest(file.parent, SIGNER.public_key)


def test_a_manifest_signed_by_somebody_else(store: EvidenceStore, tmp_path: Path) -> None:
    one = event("fake.opened", START)
    store.save(one, FILES, "x")
    (folder,) = (tmp_path / "evidence").glob(f"*/{one.id}")
    for name, data in ManifestSigner(b"z" * 32).files(one, FILES, "y").items():
        (folder / name).write_bytes(data)
    with pytest.raises(EvidenceError, match="signature is wrong"):
        verify_manifest(folder, SIGNER.public_key)


def test_links_expire(store: EvidenceStore, clock: Clock) -> None:
    link = store.save(event("fake.opened", START), FILES, "x")[0]
    clock.pass_(99)
    assert store.open(*parts(link)).is_file()
    clock.pass_(1)
    with pytest.raises(EvidenceError, match="expired"):
        store.open(*parts(link))


@given(st.data())
def test_a_link_changed_anywhere_is_refused(data: st.DataObject) -> None:
    path, query = parts(LINKS.link("abc/01J/clip.mp4", START + 100))
    LINKS.check(path, query, START)
    which = data.draw(st.sampled_from(["path", "expires", "signature"]))
    text = path if which == "path" else query[which]
    at = data.draw(st.integers(0, len(text) - 1))
    char = data.draw(st.characters(min_codepoint=33, max_codepoint=500).filter(lambda char: char != text[at]))
    changed = text[:at] + char + text[at + 1 :]
    with pytest.raises(EvidenceError):
        LINKS.check(
            changed if which == "path" else path, query if which == "path" else {**query, which: changed}, START
        )


@pytest.mark.parametrize("query", [{}, {"expires": "soon"}, {"expires": "99999999999"}, {"signature": "x"}])
def test_a_link_without_a_signature(query: dict[str, str]) -> None:
    with pytest.raises(EvidenceError):
        LINKS.check("a/b/c.jpg", query, START)


def test_a_signed_link_leads_nowhere_else(store: EvidenceStore, tmp_path: Path) -> None:
    (tmp_path / "secret.txt").write_text("x")
    (tmp_path / "evidence").mkdir()
    with pytest.raises(EvidenceError, match="its time is over"):
        store.open(*parts(LINKS.link("../secret.txt", START + 100)))


@pytest.mark.parametrize("name", ["../x.jpg", "a/b.jpg", ".hidden", "", "x" * 100, "a b.jpg"])
def test_names_that_are_not_allowed(store: EvidenceStore, tmp_path: Path, name: str) -> None:
    with pytest.raises(EvidenceError, match="not allowed"):
        store.save(event("fake.opened", START), {name: b"x"}, "x")
    assert not (tmp_path / "evidence").exists()


def test_what_is_old_goes(store: EvidenceStore, tmp_path: Path, clock: Clock) -> None:
    old, new = event("fake.opened", START), event("fake.opened", START, stream="hall")
    for one in (old, new):
        store.save(one, FILES, "x")
    aged(tmp_path / "evidence", clock, a1001=old, a900=new)
    assert store.sweep().events == 1
    assert [path.name for path in (tmp_path / "evidence").glob("*/*")] == [new.id]
    assert len(list((tmp_path / "evidence").iterdir())) == 1, "the empty folder of the other stream goes, too"


def test_the_oldest_goes_when_there_is_too_much(tmp_path: Path, clock: Clock) -> None:
    store = EvidenceStore(tmp_path / "evidence", SIGNER, LINKS, clock=clock, max_bytes=4500)
    three = [event("fake.opened", START, track=n) for n in range(3)]
    for one in three:
        store.save(one, FILES, "x")
    aged(tmp_path / "evidence", clock, a300=three[1], a200=three[0], a100=three[2])
    swept = store.sweep()
    assert swept.events == 1
    assert swept.bytes > 1000
    assert {path.name for path in (tmp_path / "evidence").glob("*/*")} == {three[0].id, three[2].id}


def test_erasing_a_stream(store: EvidenceStore, tmp_path: Path) -> None:
    links = store.save(event("fake.opened", START), FILES, "x")
    other = store.save(event("fake.opened", START, stream="hall"), FILES, "x")
    assert store.erase("door") == 1
    assert store.erase("door") == 0
    with pytest.raises(EvidenceError):
        store.open(*parts(links[0]))
    assert store.open(*parts(other[0])).is_file()


def test_a_disk_that_cannot_be_written_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = EvidenceStore(tmp_path / "evidence", SIGNER, LINKS)

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OutputError, match="No space left"):
        store.save(event("fake.opened", START), FILES, "x")
    assert list((tmp_path / "evidence").glob("*/*")) == []


def test_saved_again_it_is_the_newer(store: EvidenceStore, tmp_path: Path) -> None:
    one = event("fake.opened", START)
    store.save(one, FILES, "x")
    store.save(one, {"snapshot.jpg": b"new"}, "x")
    (folder,) = (tmp_path / "evidence").glob(f"*/{one.id}")
    assert set(verify_manifest(folder, SIGNER.public_key)["files"]) == {"snapshot.jpg"}


def test_the_pictures() -> None:
    rgb = np.zeros((48, 64, 3), np.uint8)
    rgb[:, :32] = (200, 30, 30)
    picture = picture_from_rgb(rgb)
    face = Face(1, (0.0, 0.0, 9.0, 9.0), 0.9, np.zeros((5, 2), np.float32))
    crop = Crop(face, np.zeros((2, 3)), np.full((256, 256, 3), (10, 20, 200), np.uint8))
    files = picture_files(picture, picture, crop)
    assert set(files) == {"snapshot.jpg", "snapshot-mask.jpg", "face.jpg"}
    shown = cv2.imdecode(np.frombuffer(files["snapshot.jpg"], np.uint8), cv2.IMREAD_COLOR)[..., ::-1]
    assert shown.shape == (48, 64, 3)
    assert np.abs(shown[24, 8].astype(int) - (200, 30, 30)).max() < 25
    seen = cv2.imdecode(np.frombuffer(files["face.jpg"], np.uint8), cv2.IMREAD_COLOR)[..., ::-1]
    assert np.abs(seen[100, 100].astype(int) - (10, 20, 200)).max() < 10
    assert set(picture_files(picture)) == {"snapshot.jpg"}


def test_wrong_keys() -> None:
    with pytest.raises(ConfigError):
        ManifestSigner(b"short")
    with pytest.raises(ConfigError):
        LinkSigner(b"short", BASE)


def test_the_manifest_can_be_read_by_anybody() -> None:
    document = json.loads(SIGNER.files(event("fake.opened", START), FILES, "x")["manifest.json"])
    assert document["schema"] == "streamguard.evidence/1"


PAGE = """<video id=v muted src=clip.mp4></video><script>
v.onended = () => fetch(`/told?${v.currentTime.toFixed(2)}/${v.duration.toFixed(2)}/${v.videoWidth}`);
v.onerror = () => fetch(`/told?${encodeURIComponent(v.error.message)}`);
v.play().catch(error => fetch(`/told?${encodeURIComponent(error)}`));
</script>"""


async def test_a_clip_plays_to_its_end_in_chromium(tmp_path: Path) -> None:
    program = shutil.which("chromium")
    if program is None:
        pytest.skip("Chromium is not installed: run `apt-get install chromium`")
    source = make_video(tmp_path / "long.mp4", frames=200, rate=25, size=(320, 240))
    clip = clip_bytes(*ring_of(source, seconds=20.0).cut(3.0, 4.0))
    told: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    async def answer(request: web.Request) -> web.Response:
        if request.path == "/told" and not told.done():
            told.set_result(request.query_string)
        if request.path == "/clip.mp4":
            return web.Response(body=clip, content_type="video/mp4")
        return web.Response(text=PAGE, content_type="text/html")

    app = web.Application()
    app.router.add_get("/{rest:.*}", answer)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    browser = await asyncio.create_subprocess_exec(
        *(program, "--headless", "--no-sandbox", "--disable-gpu", "--autoplay-policy=no-user-gesture-required"),
        *(f"--user-data-dir={tmp_path / 'profile'}", "--remote-debugging-port=0"),
        f"http://127.0.0.1:{runner.addresses[0][1]}/",
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        async with asyncio.timeout(60):
            played, length, width = (await told).split("/")
    finally:
        os.killpg(browser.pid, signal.SIGKILL)
        await browser.wait()
        await runner.cleanup()
    assert float(played) == pytest.approx(float(length), abs=0.1)
    assert float(length) > 1.0
    assert width == "320"
