// Receives the events that a webhook of Chatgate sends: npm install standardwebhooks
//
// WEBHOOK_SECRET=whsec_… PORT=8443 node receiver.js
const http = require("node:http");
const { Webhook, WebhookVerificationError } = require("standardwebhooks");

// How much is read before it is known who sent it, in bytes: the bodies of Chatgate are shorter.
const BODY_MAX = 1 << 20;
const webhook = new Webhook(process.env.WEBHOOK_SECRET);
const handled = new Set(); // keep the ids in a database: an event may come more than once, always under the same id

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
      // Checks the signature over the bytes as they came, and that they are not older than five minutes.
      event = webhook.verify(Buffer.concat(pieces).toString(), request.headers);
    } catch (error) {
      if (!(error instanceof WebhookVerificationError)) throw error;
      return response.writeHead(400).end();
    }
    if (!handled.has(event.id)) {
      handle(event); // what fails here is sent again, if the answer is no 2xx
      handled.add(event.id);
    }
    response.writeHead(204).end();
  });
});

// Put TLS in front, or give the server a certificate: Chatgate sends by https.
server.listen(Number(process.env.PORT ?? 8443), "127.0.0.1", () => {
  console.log("listening", server.address().port);
});
