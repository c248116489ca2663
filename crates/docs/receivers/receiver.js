// Receives the events that a webhook of Chatgate sends: npm install standardwebhooks
//
// WEBHOOK_SECRET=whsec_… PORT=8443 node receiver.js
const http = require("node:http");
const { Webhook, WebhookVerificationError } = require("standardwebhooks");

// Maximum number of bytes that are read before the signature is verified. Bodies from Chatgate are shorter.
const BODY_MAX = 1 << 20;
const webhook = new Webhook(process.env.WEBHOOK_SECRET);
const handled = new Set(); // store the ids in a database: an event may arrive more than once, always with the same id

function handle(event) {
  console.log(event.id, event.type, event.data.message ?? "");
}

const server = http.createServer((request, response) => {
  const pieces = [];
  let length = 0;
  request.on("data", (piece) => {
    length += piece.length;
    if (length > BODY_MAX) return request.destroy();
    pieces.push(piece);
  });
  request.on("end", () => {
    let event;
    try {
      // Verifies the signature over the received bytes, and that they are not older than five minutes.
      event = webhook.verify(Buffer.concat(pieces).toString(), request.headers);
    } catch (error) {
      if (!(error instanceof WebhookVerificationError)) throw error;
      return response.writeHead(400).end();
    }
    if (!handled.has(event.id)) {
      handle(event); // if this fails and the response is not a 2xx, Chatgate sends the event again
      handled.add(event.id);
    }
    response.writeHead(204).end();
  });
});

// Put a TLS proxy in front, or give the server a certificate, because Chatgate sends by https only.
server.listen(Number(process.env.PORT ?? 8443), "127.0.0.1", () => {
  console.log("listening", server.address().port);
});
