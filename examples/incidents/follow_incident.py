"""Follow incidents from their webhooks to clip and report, and mark them. Usage: follow_incident.py PORT FOLDER"""

import os
import sys
from pathlib import Path

from aiohttp import ClientSession, web
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

verifier = Webhook(os.environ["STREAMGUARD_WEBHOOK_SECRET"])
server, token = os.environ["STREAMGUARD_SERVER"], os.environ["STREAMGUARD_TOKEN"]
folder = Path(sys.argv[2])


async def follow(id: str) -> None:
    async with ClientSession(server, headers={"Authorization": f"Bearer {token}"}, raise_for_status=True) as http:
        incident = await (await http.get(f"/api/v1/incidents/{id}")).json()
        for link in incident["evidence"]:
            kind, suffix = link["kind"], link["media_type"].rpartition("/")[2]
            (folder / f"{id}-{kind}.{suffix}").write_bytes(await (await http.get(link["href"])).read())
        report = await (await http.get(f"/api/v1/incidents/{id}/report")).text()
        (folder / f"{id}.html").write_text(report)
        mark = "confirmed" if incident["score"] > 0.9 else None
        await http.patch(f"/api/v1/incidents/{id}", json={"mark": mark, "note": f"Filed in {folder.name}."})
        print(f"{incident['stream']}: incident {id} of {incident['opened']} is filed", flush=True)


async def receive(request: web.Request) -> web.Response:
    try:
        message = verifier.verify(await request.read(), dict(request.headers))
    except (WebhookVerificationError, ValueError):
        return web.Response(status=401)
    if message["type"] == "fake.opened":
        await follow(message["data"]["incident"])
    return web.Response(status=204)


app = web.Application()
app.router.add_post("/", receive)
web.run_app(app, host="127.0.0.1", port=int(sys.argv[1]), print=lambda *_: None)
