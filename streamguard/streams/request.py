"""Request for a stream: its source, and the settings by which it is judged."""

from __future__ import annotations

from dataclasses import dataclass

from streamguard.errors import redact
from streamguard.media import Retry, SoundListener, SourceOptions, SourceSupervisor, Taps
from streamguard.media.supervisor import Connect
from streamguard.pipeline.extensions import source_of
from streamguard.pipeline.guard import WatchOptions


@dataclass(frozen=True, slots=True)
class StreamRequest:
    """Source and settings of a stream.

    Attributes:
        source: URL, path or camera, with its password; or what makes the items of a track that is sent to us.
        options: how it is opened.
        loop: a file starts over at its end; its media time runs on.
        watch: how it is judged.
        sound: gets its compressed sound; a plugin's source has none.
        lasting: it is tried for ever, whatever is said at its first connection; also a track that is sent to us.
    """

    source: str | Connect
    options: SourceOptions = SourceOptions()
    loop: bool = True
    watch: WatchOptions = WatchOptions()
    sound: SoundListener | None = None
    lasting: bool = False

    @property
    def shown(self) -> str | None:
        """Return the address it is fetched from, without secrets; None where it is published to us."""
        return redact(self.source) if isinstance(self.source, str) else None

    def supervisor(self, name: str, taps: Taps, first_epoch: int) -> SourceSupervisor:
        """Return the source; once up it is reconnected without end, and a file plays at its own pace.

        It ends with an error where it cannot be opened, for a reason that waiting does not mend, was never up and is
        not `lasting`; or where a file that is played once is damaged, or a track that is sent to us cannot be judged.
        """
        return SourceSupervisor(
            name,
            source_of(self.source, name) if isinstance(self.source, str) else self.source,
            self.options,
            live=True,
            retry=Retry(
                "always" if self.lasting else "retryable", isinstance(self.source, str) or self.lasting, self.loop
            ),
            taps=taps,
            first_epoch=first_epoch,
        )
