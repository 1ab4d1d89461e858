// Says of each delivery whether its signature is the key's: Standard Webhooks by its library, ed25519 by Node.js itself.
import { createPublicKey, verify } from "node:crypto";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";

const { Webhook } = createRequire(`${process.argv[2]}/package.json`)("standardwebhooks");

/** What stands before an ed25519 key in DER. */
const PREFIX = Buffer.from("302a300506032b6570032100", "hex");

function verifies({ key, headers, body }) {
  if (!key.startsWith("whpk_")) {
    try {
      new Webhook(key).verify(body, headers);
      return true;
    } catch {
      return false;
    }
  }
  const der = Buffer.concat([PREFIX, Buffer.from(key.slice(5), "base64")]);
  const publicKey = createPublicKey({ key: der, format: "der", type: "spki" });
  const signed = Buffer.from(`${headers["webhook-id"]}.${headers["webhook-timestamp"]}.${body}`);
  const ours = headers["webhook-signature"].split(" ").filter((one) => one.startsWith("v1a,"));
  return ours.some((one) => verify(null, signed, publicKey, Buffer.from(one.slice(4), "base64")));
}

console.log(JSON.stringify(JSON.parse(readFileSync(0, "utf8")).map(verifies)));
