// The official libraries of npm as verifiers of what we sign, and as signers of what we verify.
//
// Reads {"now": ms, "verify": [delivery], "sign": [{provider, secret, body, url}]} and writes {"verify": [true | false],
// "sign": [headers]}. A delivery has provider, secret, method, path, headers and body; `key` is a public key.
import https from "node:https";
import { Readable } from "node:stream";

import { signRequest, verifyRequest } from "@contentful/node-apps-toolkit/requests";
import { validateSignature } from "@line/bot-sdk";
import { LinearWebhookClient } from "@linear/sdk/webhooks";
import Mux from "@mux/mux-node";
import * as octokit from "@octokit/webhooks-methods";
import { Paddle } from "@paddle/paddle-node-sdk";
import { encodeSignatureHeader, isValidSignature } from "@sanity/webhook";
import { WorkOS } from "@workos-inc/node";
import { verifyKey } from "discord-interactions";
import MessageValidator from "sns-validator";
import { Webhook } from "standardwebhooks";

const chunks = [];
for await (const chunk of process.stdin) chunks.push(chunk);
const asked = JSON.parse(Buffer.concat(chunks).toString());

// The time at which the deliveries were signed.
const Real = Date;
globalThis.Date = class extends Real {
  constructor(...given) {
    super(...(given.length ? given : [asked.now]));
  }
  static now() {
    return asked.now;
  }
};

const mux = new Mux({ tokenId: "none", tokenSecret: "none" });
const workos = new WorkOS("sk_none");
const paddle = new Paddle("none");
const discord = (one) =>
  verifyKey(one.body, one.headers["x-signature-ed25519"], one.headers["x-signature-timestamp"], one.key);
const contentful = (one) => ({ method: one.method ?? "POST", path: one.path, body: one.body, headers: one.headers });

function sns(one) {
  // Its certificate comes from Amazon's host: here from the delivery.
  https.get = (_url, taken) => {
    const answer = Readable.from([one.key]);
    answer.statusCode = 200;
    taken(answer);
    return { on() {} };
  };
  return new Promise((resolve, reject) =>
    new MessageValidator().validate(one.body, (error) => (error ? reject(error) : resolve(true))),
  );
}

const verifiers = {
  aws_sns: sns,
  contentful: (one) => verifyRequest(one.secret, contentful(one), 0),
  discord,
  discord_events: discord,
  github: (one) => octokit.verify(one.secret, one.body, one.headers["x-hub-signature-256"]),
  line: (one) => validateSignature(one.body, one.secret, one.headers["x-line-signature"]),
  linear: (one) => new LinearWebhookClient(one.secret).verify(Buffer.from(one.body), one.headers["linear-signature"]),
  mux: (one) => mux.webhooks.verifySignature(one.body, one.headers, one.secret),
  paddle: (one) => paddle.webhooks.isSignatureValid(one.body, one.secret, one.headers["paddle-signature"]),
  sanity: (one) => isValidSignature(one.body, one.headers["sanity-webhook-signature"], one.secret),
  standard_webhooks: (one) => new Webhook(one.secret).verify(one.body, one.headers),
  workos: (one) =>
    workos.webhooks.verifyHeader({ payload: one.body, sigHeader: one.headers["workos-signature"], secret: one.secret }),
};

const signers = {
  contentful: (one) => signRequest(one.secret, contentful({ ...one, headers: { "x-contentful-topic": "a.b" } }), asked.now),
  github: async (one) => ({ "x-hub-signature-256": await octokit.sign(one.secret, one.body) }),
  mux: async (one) => {
    const stamp = Math.floor(asked.now / 1000);
    return { "mux-signature": `t=${stamp},v1=${await mux.webhooks.computeSignature(`${stamp}.${one.body}`, one.secret)}` };
  },
  sanity: async (one) => ({
    "sanity-webhook-signature": await encodeSignatureHeader(one.body, asked.now, one.secret),
  }),
  standard_webhooks: (one) => ({
    "webhook-id": "msg_1",
    "webhook-timestamp": String(Math.floor(asked.now / 1000)),
    "webhook-signature": new Webhook(one.secret).sign("msg_1", new Real(asked.now), one.body),
  }),
  workos: async (one) => ({
    "workos-signature": `t=${asked.now}, v1=${await workos.webhooks.computeSignature(asked.now, one.body, one.secret)}`,
  }),
};

async function holds(one) {
  try {
    // Some return whether it holds, some throw if it does not.
    return (await verifiers[one.provider](one)) !== false;
  } catch {
    return false;
  }
}

const verify = [];
for (const one of asked.verify) verify.push(await holds(one));
const sign = [];
for (const one of asked.sign) sign.push(await signers[one.provider](one));
process.stdout.write(JSON.stringify({ verify, sign }));
