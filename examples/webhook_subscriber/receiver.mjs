// Receive streamguard's alerts: verify the signature, drop repetitions, print the rest.
import { createServer } from "node:http";
import { Webhook } from "standardwebhooks";

const REMEMBERED = 10_000;
const LARGEST = 64 * 1024;
const verifier = new Webhook(process.env.STREAMGUARD_WEBHOOK_SECRET);
const seen = new Set();

async function receive(request, response) {
  const chunks = [];
  let size = 0;
  for await (const chunk of request) {
    size += chunk.length;
    if (size > LARGEST) {
      response.writeHead(413, { connection: "close" }).end();
      return;
    }
    chunks.push(chunk);
  }
  let message;
  try {
    message = verifier.verify(Buffer.concat(chunks).toString("utf8"), request.headers);
  } catch {
    response.writeHead(401).end();
    return;
  }
  const id = request.headers["webhook-id"];
  // Each message arrives at least once: one that comes again bears the same id.
  if (!seen.has(id)) {
    seen.add(id);
    if (seen.size > REMEMBERED) seen.delete(seen.values().next().value);
    console.log(JSON.stringify(message));
  }
  response.writeHead(204).end();
}

createServer((request, response) => {
  receive(request, response).catch(() => response.destroy());
}).listen(Number(process.argv[2]), "127.0.0.1");
