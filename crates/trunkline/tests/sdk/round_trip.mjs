// Publishes with the CloudEvents SDK for JavaScript in its three ways, and decodes the deliveries with it. Its arguments are
// the folder of the installed packages and the server's URL; the test has declared a subscription for each of the paths
// below, on the port that this script prints first.

import assert from "node:assert";
import http from "node:http";
import { createRequire } from "node:module";
import { createInterface } from "node:readline";

const [packages, serverUrl] = process.argv.slice(2);
const { CloudEvent, HTTP, Mode, emitterFor, httpTransport } = createRequire(`${packages}/`)("cloudevents");

const received = { "/binary": [], "/structured": [] };
const receiver = http.createServer(async (request, response) => {
  const chunks = [];
  for await (const chunk of request) chunks.push(chunk);
  received[request.url].push({ headers: request.headers, body: Buffer.concat(chunks).toString() });
  response.writeHead(204).end();
});
await new Promise((resolve) => receiver.listen(0, "127.0.0.1", resolve));
console.log(receiver.address().port);
const lines = createInterface({ input: process.stdin });
assert.strictEqual((await lines[Symbol.asyncIterator]().next()).value, "declared");

const data = { greeting: "héllo", numbers: [1, 2.5, null], nested: { deep: true } };
// Without a space: this SDK does not decode the percent-encoding that the HTTP binding prescribes in binary mode.
const make = (number) =>
  new CloudEvent({ id: `js-${number}`, source: "/sdk/javascript", type: "com.example.sdk", subject: "orders/5", customext: "value", data });

const url = `${serverUrl}/v1/buses/default/events`;
await emitterFor(httpTransport(url), { mode: Mode.BINARY })(make(0));
await emitterFor(httpTransport(url), { mode: Mode.STRUCTURED })(make(1));
const batch = await fetch(url, {
  method: "POST",
  headers: { "content-type": "application/cloudevents-batch+json" },
  body: JSON.stringify([make(2), make(3)]),
});
assert.strictEqual(batch.status, 200, await batch.text());

const deadline = Date.now() + 60_000;
while (Object.values(received).some((list) => list.length < 4)) {
  assert(Date.now() < deadline, `only ${JSON.stringify(Object.values(received).map((list) => list.length))} arrived`);
  await new Promise((resolve) => setTimeout(resolve, 10));
}
for (const message of Object.values(received).flat()) {
  const event = HTTP.toEvent(message);
  assert.strictEqual(event.validate(), true);
  assert.deepStrictEqual(event.data, data);
  assert.strictEqual(event.source, "/sdk/javascript");
  assert.strictEqual(event.subject, "orders/5");
  assert.strictEqual(event.customext, "value");
}
console.log("4 events each in binary and structured mode");
process.exit(0);
