"""Receive streamguard's alerts: verify the signature, drop repetitions, print the rest."""

import json
import os
import sys
from collections import OrderedDict

from aiohttp import web
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

REMEMBERED = 10_000
verifier = Webhook(os.environ["STREAMGUARD_WEBHOOK_SECRET"])
seen: OrderedDict[str, None] = OrderedDict()


async def receive(request: web.Request) -> web.Response:
    body = await request.read()
    try:
        message = verifier.verify(body, dict(request.headers))
    except (WebhookVerificationError, ValueError):
        return web.Response(status=401)
    webhook_id = request.headers["webhook-id"]
    # Each message arrives at least once: one that comes again bears the same id.
    if webhook_id not in seen:
        seen[webhook_id] = None
        if len(seen) > REMEMBERED:
            seen.popitem(last=False)
        print(json.dumps(message), flush=True)
    return web.Response(status=204)


app = web.Application(client_max_size=64 * 1024)
app.router.add_post("/{path:.*}", receive)
web.run_app(app, host="127.0.0.1", port=int(sys.argv[1]), print=lambda *_: None)
