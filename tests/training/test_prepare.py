"""From clips and portraits to packs."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from streamguard.errors import DataError, UnsupportedMedia
from streamguard.media import picture_from_rgb, rgb_of
from streamguard.training import prepare as preparing
from streamguard.training.pack import PACK_SIZE, Pack
from streamguard.training.prepare import TripleMaker, halves, prepare
from streamguard.training.selfblend import SelfBlend
from streamguard.types import Picture, UInt8Array
from tests.support.media_files import make_video, truncate
from tests.support.portraits import portrait
from tests.support.training_data import CONFIG, data_root, faceless_pair, micro_config, pair_clip, write_config


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return data_root(tmp_path_factory.mktemp("data") / "root")


@pytest.fixture(scope="module")
def prepared(root: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, int], list[str]]:
    out, skipped = tmp_path_factory.mktemp("packs"), list[str]()
    counts = prepare(root, micro_config(out), out, lambda *_: None, skipped.append)
    return out, counts, skipped


def test_all_packs_are_made_and_nobody_is_on_both_sides(prepared: tuple[Path, dict[str, int], list[str]]) -> None:
    out, counts, _ = prepared
    assert set(counts) == {"pairs", "validation", "selfblend", "calibration"}
    packs = {name: Pack(out / name) for name in counts}
    assert {name: len(pack) for name, pack in packs.items()} == counts
    assert packs["pairs"].persons() == {"Ann_Lee"}
    assert packs["validation"].persons() == {"Bob_Ray"}
    assert packs["calibration"].persons() == {"000", "002"}
    assert not packs["selfblend"].persons() & (packs["validation"].persons() | packs["calibration"].persons())
    assert {entry.kind for entry in packs["pairs"].entries} == {"pair"}


def test_what_cannot_be_used_is_named_once(prepared: tuple[Path, dict[str, int], list[str]]) -> None:
    _, _, skipped = prepared
    assert len([each for each in skipped if "No_Body_0.mp4: no face found" in each]) == 1
    assert all("No_Body" in each or "003.jpg" in each for each in skipped)


def test_the_mask_lies_on_the_painted_face(prepared: tuple[Path, dict[str, int], list[str]]) -> None:
    pack = Pack(prepared[0] / "pairs")
    for index in range(len(pack)):
        real, fake, mask = (np.array(part[index]) for part in (pack.real, pack.fake, pack.mask))
        assert 0.1 < mask.mean() < 0.4
        assert mask[PACK_SIZE // 2, PACK_SIZE // 2] == 1
        assert not mask[:30].any()
        change = np.abs(real.astype(int) - fake).mean(axis=2)
        assert change[mask == 1].mean() > 4 * change[mask == 0].mean()


def test_complete_packs_are_kept_and_other_settings_refused(
    root: Path, prepared: tuple[Path, dict[str, int], list[str]], tmp_path: Path
) -> None:
    out = prepared[0]
    assert prepare(root, micro_config(tmp_path), out, lambda *_: None, lambda _: None) == {}
    longer = micro_config(tmp_path, CONFIG.replace("steps = 2", "steps = 9"))
    assert prepare(root, longer, out, lambda *_: None, lambda _: None) == {}
    for old, new in (("pair_stride = 4", "pair_stride = 2"), ('["Bob_Ray"]', '["Ann_Lee"]')):
        other = micro_config(tmp_path, CONFIG.replace(old, new))
        with pytest.raises(DataError, match="made from other data or with other settings"):
            prepare(root, other, out, lambda *_: None, lambda _: None)


def test_equal_seeds_make_equal_triples(root: Path, tmp_path: Path) -> None:
    config = micro_config(tmp_path)
    clip, face = root / "pairs" / "Ann_Lee_0.mp4", root / "faces" / "001.png"
    for path, method in ((clip, "pairs"), (face, "self_blends")):
        first, again = (list(getattr(TripleMaker(config, pytest.fail), method)(path, 1)) for _ in range(2))
        assert first
        for one, two in zip(first, again, strict=True):
            assert (one.real == two.real).all()
            assert (one.fake == two.fake).all()
            assert (one.mask == two.mask).all()


def test_only_the_real_half_of_a_pair_is_blended(root: Path, tmp_path: Path) -> None:
    clip = root / "pairs" / "Ann_Lee_0.mp4"
    maker = TripleMaker(micro_config(tmp_path), pytest.fail, pairs=root / "pairs")
    triples = list(maker.self_blends(clip, 0))
    assert triples
    for each in triples:
        # No green face: the fake half was never taken.
        red, green, _ = each.real[120:200, 120:200].reshape(-1, 3).mean(axis=0)
        assert red > green


def test_a_folder_named_like_the_pairs_elsewhere_holds_whole_pictures(root: Path, tmp_path: Path) -> None:
    other = tmp_path / "other" / "pairs"
    other.mkdir(parents=True)
    clip = make_video(other / "a.mp4", frames=2, size=(360, 300), pictures=[portrait()[:300, 40:400].copy()] * 2)
    maker = TripleMaker(micro_config(tmp_path), pytest.fail, pairs=root / "pairs")
    assert list(maker.self_blends(clip, 0))


def test_real_and_fake_go_through_one_codec(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fed one picture twice, every chain takes as much detail from both: the codec is no trace of the fake."""
    monkeypatch.setattr(
        preparing,
        "self_blend",
        lambda rgb, landmarks, random: SelfBlend(rgb.copy(), np.zeros(rgb.shape[:2], np.uint8)),
    )
    maker = TripleMaker(micro_config(tmp_path), pytest.fail)
    detail = []
    for variant in range(16):
        for each in maker.self_blends(root / "faces" / "001.png", variant):
            real, fake = (float(cv2.Laplacian(rgb, cv2.CV_32F).std()) for rgb in (each.real, each.fake))
            assert 0.93 < real / fake < 1.07
            assert np.abs(each.real.mean(axis=(0, 1)) - each.fake.mean(axis=(0, 1))).max() < 1.5
            detail.append(real)
    # The chains themselves differ: some keep the detail and some do not.
    assert max(detail) > 1.1 * min(detail)


def test_pairs_are_sent_as_whole_frames_but_judged_before(root: Path, tmp_path: Path) -> None:
    maker = TripleMaker(micro_config(tmp_path), pytest.fail)
    clip = root / "pairs" / "Ann_Lee_0.mp4"
    own, sent = (list(maker.pairs(clip, variant)) for variant in (0, 4))
    assert len(own) == len(sent)
    for one, two in zip(own, sent, strict=True):
        assert (one.mask == two.mask).all()
        assert (one.real != two.real).any()
        assert np.abs(one.real.astype(int) - two.real).mean() < 12


def test_a_truncated_clip_gives_what_was_readable(tmp_path: Path) -> None:
    (tmp_path / "root" / "pairs").mkdir(parents=True)
    whole = pair_clip(tmp_path / "whole.mp4", 1.0)
    clip = make_video(
        tmp_path / "root" / "pairs" / "Ann_Lee_0.mp4",
        size=(640, 240),
        rate=20,
        movflags="+faststart",
        pictures=list(frames_of(whole)),
    )
    truncate(clip, 0.7)
    text = CONFIG.replace('real_videos = ["videos"]\nfaces = ["faces"]\nvalidation_persons = ["Bob_Ray"]\n', "")
    skipped: list[str] = []
    counts = prepare(
        tmp_path / "root", micro_config(tmp_path, text), tmp_path / "packs", lambda *_: None, skipped.append
    )
    assert 0 < counts["pairs"] < 10
    assert set(counts) == {"pairs", "selfblend"}
    assert len(skipped) == 1
    assert "Ann_Lee_0.mp4" in skipped[0]


def frames_of(path: Path) -> list[UInt8Array]:
    from streamguard.media import open_source

    with open_source(str(path)) as source:
        return [rgb_of(decoded.picture) for decoded in source]


def test_no_usable_face_at_all_is_said(tmp_path: Path) -> None:
    (tmp_path / "root" / "pairs").mkdir(parents=True)
    faceless_pair(tmp_path / "root" / "pairs" / "No_Body_0.mp4")
    text = CONFIG.replace('real_videos = ["videos"]\nfaces = ["faces"]\nvalidation_persons = ["Bob_Ray"]\n', "")
    with pytest.raises(DataError, match="not one usable face"):
        prepare(tmp_path / "root", micro_config(tmp_path, text), tmp_path / "packs", lambda *_: None, lambda _: None)


def test_a_place_that_cannot_be_written_is_said(root: Path, tmp_path: Path) -> None:
    file = write_config(tmp_path)
    with pytest.raises(DataError, match="cannot be written"):
        prepare(root, micro_config(tmp_path), file / "packs", lambda *_: None, lambda _: None)


@pytest.mark.parametrize("width", [8, 9, 10, 11, 12, 641, 642, 643])
@pytest.mark.parametrize("height", [6, 7])
def test_halves_are_registered_and_of_one_size(width: int, height: int) -> None:
    half = width // 2
    rng = np.random.default_rng(width)
    one = np.repeat(rng.integers(0, 255, (height, half, 1), dtype=np.uint8), 3, axis=2)
    middle = np.zeros((height, width % 2, 3), np.uint8)
    left, right = halves(picture_from_rgb(np.concatenate([one, middle, one], axis=1)))
    for part in (left, right):
        assert part.y.shape == (height, half)
        assert part.u.shape == part.v.shape == ((height + 1) // 2, (half + 1) // 2)
    assert (left.y == right.y).all()
    assert rgb_of(right).shape == (height, half, 3)


def test_halves_are_views_and_keep_their_colours() -> None:
    planes = np.zeros((4, 8), np.uint8), np.zeros((2, 4), np.uint8), np.zeros((2, 4), np.uint8)
    left, right = halves(Picture(*planes, "bt709", True))
    assert left.matrix == right.matrix == "bt709"
    assert left.full_range
    assert np.shares_memory(left.y, planes[0])


def test_one_column_has_no_halves() -> None:
    with pytest.raises(UnsupportedMedia, match="no halves"):
        halves(Picture(*(np.zeros((1, 1), np.uint8) for _ in range(3))))
