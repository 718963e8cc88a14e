"""A Django project in one file that judges uploaded files: its settings, a view, and the ASGI application."""

from __future__ import annotations

import os
from typing import Any

import django
from django.conf import settings
from django.core.asgi import get_asgi_application
from django.core.files.uploadhandler import TemporaryFileUploadHandler
from django.http import HttpRequest, JsonResponse
from django.urls import path
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST

from streamguard import FileScan, Guard, StreamguardError

settings.configure(
    ROOT_URLCONF=__name__,
    SECRET_KEY=os.environ.get("SECRET_KEY", "only for trying it out"),
    ALLOWED_HOSTS=["127.0.0.1", "localhost"],
    # A file on disk, which the guard can open, however small it is.
    FILE_UPLOAD_HANDLERS=[f"{TemporaryFileUploadHandler.__module__}.{TemporaryFileUploadHandler.__name__}"],
)
django.setup()


class Guarded:
    """ASGI application that has one guard for the whole life of the process; Django itself knows no such event.

    Args:
        inner: Django's own application.
    """

    def __init__(self, inner: Any) -> None:
        self._inner = inner
        self.guard: Guard | None = None

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Open the guard at `lifespan.startup`, close it at `lifespan.shutdown`; all else is Django's."""
        if scope["type"] != "lifespan":
            await self._inner(scope, receive, send)
            return
        await receive()
        try:
            async with Guard.open(os.environ.get("MODEL", "unet_lite0")) as self.guard:
                await send({"type": "lifespan.startup.complete"})
                await receive()
        except StreamguardError as error:
            await send({"type": "lifespan.startup.failed", "message": str(error)})
            return
        await send({"type": "lifespan.shutdown.complete"})


@csrf_exempt
@require_POST
async def judge(request: HttpRequest) -> JsonResponse:
    """Judge the uploaded `file`."""
    upload = request.FILES.get("file")
    if upload is None or application.guard is None:
        return JsonResponse({"detail": "upload a `file`"}, status=400)
    scan = FileScan(application.guard, upload.temporary_file_path())
    verdict = await scan.run()
    faces = [{"face": face.track, "finding": face.finding, "share": face.share} for face in verdict.tracks]
    # A damaged file is judged up to the damage.
    fault = scan.fault.cause if scan.fault is not None else None
    return JsonResponse({"finding": verdict.finding, "faces": faces, "fault": fault})


urlpatterns = [path("judge", judge)]
application = Guarded(get_asgi_application())
