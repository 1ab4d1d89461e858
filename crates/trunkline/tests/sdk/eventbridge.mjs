// The AWS SDK for JavaScript, version 3, against the EventBridge door, unchanged but for endpoint and credentials. Its arguments are
// the folder of the installed packages, the server's URL, an access key id and its secret. Prints the ids of what it published.

import assert from "node:assert";
import { createRequire } from "node:module";

const [packages, endpoint, accessKeyId, secretAccessKey] = process.argv.slice(2);
const { EventBridgeClient, PutEventsCommand, TestEventPatternCommand, ListEventSourcesCommand } = createRequire(`${packages}/`)(
  "@aws-sdk/client-eventbridge",
);

const region = "eu-west-1";
const client = new EventBridgeClient({ endpoint, region, credentials: { accessKeyId, secretAccessKey } });
const entry = { Source: "com.example.shop", DetailType: "Order Placed", Detail: JSON.stringify({ total: 5, name: "é" }) };

const whole = { ...entry, Time: new Date(1_700_000_000_123), Resources: ["arn:aws:s3:::bucket"], EventBusName: "default" };
const answer = await client.send(new PutEventsCommand({ Entries: [whole, { ...entry, Detail: "[]" }] }));
assert.strictEqual(answer.FailedEntryCount, 1);
assert.strictEqual(answer.Entries[1].ErrorCode, "MalformedDetail");
assert.ok(answer.$metadata.requestId);

const refused = async (name, promise) =>
  assert.rejects(promise, (error) => {
    assert.strictEqual(error.name, name);
    assert.ok(error.message && error.$metadata.requestId);
    return true;
  });
const stranger = new EventBridgeClient({ endpoint, region, credentials: { accessKeyId, secretAccessKey: "wrong" }, maxAttempts: 1 });
await refused("InvalidSignatureException", stranger.send(new PutEventsCommand({ Entries: [entry] })));
await refused("UnknownOperationException", client.send(new ListEventSourcesCommand({})));
await refused("InvalidEventPatternException", client.send(new TestEventPatternCommand({ EventPattern: '{"a": []}', Event: "{}" })));
await refused("ValidationException", client.send(new PutEventsCommand({ Entries: Array(11).fill(entry) })));

const event = { id: "1", account: "1", source: "s", time: "2026-01-01T00:00:00Z", region, resources: [], "detail-type": "t" };
const tested = await client.send(new TestEventPatternCommand({ EventPattern: '{"source": ["s"]}', Event: JSON.stringify(event) }));
assert.strictEqual(tested.Result, true);

console.log(JSON.stringify({ javascript: [answer.Entries[0].EventId] }));
