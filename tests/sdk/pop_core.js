'use strict';

// Makes the calls that it is given with @alicloud/pop-core, and says how each ended.
//
// Standard input and output are those of every program in this folder; tests/it/aliyun/sdk.rs has them.

const fs = require('fs');
const { RPCClient } = require('@alicloud/pop-core');

async function outcome(caller, call) {
  const client = new RPCClient({
    endpoint: `http://${caller.endpoint}`,
    apiVersion: call.version,
    accessKeyId: caller.key_id,
    accessKeySecret: caller.secret,
    securityToken: caller.token,
  });
  try {
    const answer = await client.request(call.action, call.parameters, { method: caller.method });
    return { code: 'OK', answer };
  } catch (refusal) {
    if (!refusal.code) throw refusal;
    return { code: refusal.code, answer: null };
  }
}

async function main() {
  const outcomes = [];
  for (const caller of JSON.parse(fs.readFileSync(0, 'utf8'))) {
    const ended = [];
    for (const call of caller.calls) ended.push(await outcome(caller, call));
    outcomes.push(ended);
  }
  fs.writeFileSync(1, JSON.stringify(outcomes));
  // The SDK keeps its connections open for ever.
  process.exit(0);
}

main();
