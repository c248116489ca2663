// Events with npm's `soap`, as SOAP 1.1 and 1.2.
"use strict";

const assert = require("node:assert/strict");
const { promisify } = require("node:util");
const soap = require("soap");

const { CHATGATE_URL, CHATGATE_USER, CHATGATE_PASSWORD } = process.env;
const LOGIN = { user: CHATGATE_USER, password: CHATGATE_PASSWORD };

async function main() {
  for (const [port, forceSoap12Headers] of [["ChatSoap11", false], ["ChatSoap12", true]]) {
    const client = await soap.createClientAsync(`${CHATGATE_URL}/api/soap/?wsdl`, { disableCache: true, forceSoap12Headers });
    const getevents = promisify(client.ChatService[port].getevents);
    const first = await getevents(LOGIN);
    assert.equal(first.cursor.length, 13);
    assert.deepEqual([first.more, first.reset], ["0", "0"]);
    const page = await getevents({ ...LOGIN, cursor: "earliest", limit: "1", wait: "5" });
    assert.equal(page.list.item.length, 1);
    assert.match(page.list.item[0].id, /^evt_/);
    assert.equal(page.list.item[0].platform, "whatsapp");
  }
  console.log("ok");
}

main().catch((error) => {
  console.error(error);
  process.exitCode = 1;
});
