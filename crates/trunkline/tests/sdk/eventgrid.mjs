// Publishes with Azure's Event Grid SDK for JavaScript, and reads with it what Trunkline delivers in Event Grid's schema. Its
// arguments are the folder of the installed packages, the endpoint, the key, and a file with a delivery's body (or none).

import assert from "node:assert";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";

const [packages, endpoint, key, delivered] = process.argv.slice(2);
const { AzureKeyCredential, AzureSASCredential, EventGridDeserializer, EventGridPublisherClient, generateSharedAccessSignature } = createRequire(`${packages}/`)("@azure/eventgrid");

const options = { allowInsecureConnection: true, retryOptions: { maxRetries: 0 } };
const client = (schema, credential) => new EventGridPublisherClient(endpoint, schema, credential, options);
const grid = (number) => ({ id: `js-${number}`, subject: "/orders/1", eventType: "Order.Placed", data: { total: 5 }, dataVersion: "1.0" });
const cloud = (number, more) => ({ id: `js-${number}`, source: "/sdk/javascript", type: "com.example.sdk", extensionAttributes: { customext: "value" }, ...more });

await client("EventGrid", new AzureKeyCredential(key)).send([grid(1), grid(2)]);
const binary = { data: new Uint8Array([0, 255]), datacontenttype: "image/png" };
await client("CloudEvent", new AzureKeyCredential(key)).send([cloud(3, { data: { total: 5 } }), cloud(4, binary)]);
const sas = await generateSharedAccessSignature(endpoint, new AzureKeyCredential(key), new Date(Date.now() + 3_600_000));
await client("EventGrid", new AzureSASCredential(sas)).send([grid(5)]);

for (const credential of [new AzureKeyCredential("AAAA"), new AzureSASCredential(sas.replace(/s=.{4}/, "s=AAAA"))]) {
  await assert.rejects(client("EventGrid", credential).send([grid(99)]), (error) => error.statusCode === 401 && error.code === "Unauthorized");
}
await assert.rejects(client("EventGrid", new AzureKeyCredential(key)).send([{ ...grid(98), eventType: "" }]), (error) => error.statusCode === 400);

if (delivered) {
  const events = await new EventGridDeserializer().deserializeEventGridEvents(readFileSync(delivered, "utf8"));
  assert.deepStrictEqual(events.map((event) => [event.id, event.eventType, event.data]), [["1", "Order.Placed", { total: 5 }]]);
}
console.log("published 5 events");
