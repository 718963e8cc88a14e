"""Style of what is painted."""

from __future__ import annotations

from dataclasses import dataclass

from streamguard.errors import ConfigError
from streamguard.overlay.colour import BLUE, GREY, VERMILLION, YELLOW, Rgb
from streamguard.types import Face, Mask, Reason, Verdict


@dataclass(frozen=True, slots=True)
class OverlayItem:
    """One face to paint.

    Attributes:
        face: where it is and its track id.
        state: what is said of it.
        reason: why it is UNKNOWN, if known.
        score: calibrated fake probability 0..1; None when there is none.
        share: share of fake frames in the vote's window, 0..1; None when there is none.
        mask: painted as heat; None for none.
        threshold: probability above which a pixel is fake, 0..1: the contour's level.
    """

    face: Face
    state: Verdict
    reason: Reason | None = None
    score: float | None = None
    share: float | None = None
    mask: Mask | None = None
    threshold: float = 0.5


@dataclass(frozen=True, slots=True)
class OverlayStyle:
    """Look of the overlay.

    Attributes:
        fake, real, unknown, unsure: colours of the states; `fake` is the heat's, too.
        heat_alpha: opacity of the heat where the probability is 1, 0..1.
        heat_floor: heat above which it is painted, 0..1; heat is the probability against the threshold, one half at
            it (see `mask.heat`).
        scale: of lines and text, above 0 and at most 4; 1 suits a viewer who sees the whole picture.
        show_share: writes the vote's share behind the score.
        keep_top: pixels at the top where no label is put (room for `banner`).

    Raises:
        ConfigError: a value outside its range.
    """

    fake: Rgb = VERMILLION
    real: Rgb = BLUE
    unknown: Rgb = GREY
    heat_alpha: float = 0.6
    heat_floor: float = 0.25
    scale: float = 1.0
    show_share: bool = False
    keep_top: int = 0
    unsure: Rgb = YELLOW

    def __post_init__(self) -> None:
        checks = (
            (0 <= self.heat_alpha <= 1, f"heat_alpha {self.heat_alpha} is not in 0..1"),
            (0 <= self.heat_floor <= 1, f"heat_floor {self.heat_floor} is not in 0..1"),
            (0 < self.scale <= 4, f"scale {self.scale} is not above 0 and at most 4"),
            (self.keep_top >= 0, f"keep_top {self.keep_top} is negative"),
            (
                all(0 <= part <= 255 for rgb in map(self.colour, Verdict) for part in rgb),
                "a colour part is not in 0..255",
            ),
        )
        for right, cause in checks:
            if not right:
                raise ConfigError("overlay style", cause, "Correct the value")

    def colour(self, state: Verdict) -> Rgb:
        """The colour of a state."""
        colours = {Verdict.FAKE: self.fake, Verdict.UNSURE: self.unsure, Verdict.REAL: self.real}
        return colours.get(state, self.unknown)


def label_texts(item: OverlayItem, style: OverlayStyle) -> tuple[str, ...]:
    """Texts of a face's label, the longest first, ending with none (the sign alone)."""
    track = f"#{item.face.track} "
    label = item.state.label
    if item.state is Verdict.UNKNOWN:
        reason = f": {item.reason.value}" if item.reason is not None else ""
        return f"{track}{label}{reason}", f"{track}{label}", label, ""
    # The score is how probable a fake is: behind any other word it would read as how sure that is.
    score = f" {item.score:.2f}" if item.score is not None and item.state is Verdict.FAKE else ""
    said = f"{label}{score}"
    texts = (f"{track}{said}", said, label, "")
    if style.show_share and item.share is not None:
        return f"{track}{said} ({item.share:.0%} of frames)", *texts
    return texts
