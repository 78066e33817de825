// The codec: every message survives the wire, and no bytes of a peer can make decoding throw.
import assert from 'node:assert/strict';
import test from 'node:test';
import { ERROR_CODES, type ErrorCode } from '@slip/core';
import fc from 'fast-check';
import {
  clipText,
  decodeMessage,
  encodeMessage,
  MAX_MESSAGE_BYTES,
  MAX_TEXT_LENGTH,
  PROTOCOL_VERSION,
} from './codec.js';
import type { ControlMessage, MessageBodies, MessageKind, WorkerError } from './messages.js';

const uint = fc.nat({ max: 2 ** 32 - 1 });
const text = fc.string({ unit: 'binary', maxLength: 40 });
const time = fc.double({ min: 0, max: 1e15, noNaN: true, noDefaultInfinity: true }).map((value) => value + 0);
const code = fc.constantFrom(...(Object.keys(ERROR_CODES) as ErrorCode[]));
const workerError: fc.Arbitrary<WorkerError> = fc.record({ code, message: text, step: uint, timeMs: time });
const outcome = fc.constantFrom('completed' as const, 'stopped' as const);

const bodies: { [K in MessageKind]: fc.Arbitrary<MessageBodies[K]> } = {
  agentHello: fc.record({
    runId: text,
    nodeRank: uint,
    numNodes: uint,
    nprocPerNode: uint,
    host: text,
    pid: uint,
    configHash: text,
  }),
  workerExited: fc
    .record({
      fixed: fc.record({
        generation: uint,
        rank: uint,
        host: text,
        killedByAgent: fc.boolean(),
        timeMs: time,
        logPath: text,
        logTail: fc.array(text, { maxLength: 5 }),
        step: uint,
      }),
      optional: fc.record({ exitCode: uint, signal: text, error: workerError }, { requiredKeys: [] }),
    })
    .map(({ fixed, optional }) => ({ ...fixed, ...optional })),
  stopRequest: fc.record({ nodeRank: uint, signal: text, force: fc.boolean() }),
  workerHello: fc.record({ generation: uint, rank: uint, host: text, pid: uint, runId: text }),
  workerJoin: fc.record({ generation: uint, rank: uint, endpoint: text }),
  failure: fc.record({ generation: uint, rank: uint, host: text, error: workerError }),
  finished: fc.record({ generation: uint, rank: uint, outcome }),
  heartbeat: fc.record({
    nodeRank: uint,
    generation: uint,
    workers: fc.array(fc.record({ rank: uint, step: uint, silenceMs: uint }), { maxLength: 3 }),
  }),
  welcome: fc.record({ launchId: text, heartbeatIntervalMs: uint, coordinatorTimeoutMs: uint }),
  reject: fc.record({ code, reason: text }),
  startGeneration: fc.record({
    generation: uint,
    attempt: uint,
    nodes: fc.array(fc.record({ nodeRank: uint, host: text, firstRank: uint, numRanks: uint }), { maxLength: 4 }),
    masterAddress: text,
    masterPort: uint,
  }),
  peerTable: fc.record({ generation: uint, endpoints: fc.array(text, { maxLength: 9 }) }),
  abort: fc.record({ generation: uint, reason: text }),
  forwardSignal: fc.record({ generation: uint, signal: text }),
  shutdown: fc.record({ exitCode: uint, reason: text }),
  ack: fc.constant({}),
};

const anyMessage = fc.oneof(
  ...(Object.keys(bodies) as MessageKind[]).map((kind) =>
    // The pairing of kind and body is what `bodies` declares; the compiler cannot follow it through Object.keys.
    (bodies[kind] as fc.Arbitrary<object>).map((body) => ({ kind, ...body }) as ControlMessage),
  ),
);

test('every message comes back as it was sent', () => {
  fc.assert(
    fc.property(anyMessage, text, (message, launchId) => {
      const result = decodeMessage(encodeMessage(message, launchId));
      // The clone turns the null prototypes of generated records into ordinary ones.
      assert.deepEqual(result, { ok: true, message: structuredClone(message), launchId });
    }),
    { numRuns: 600 },
  );
});

test('arbitrary bytes are refused or decoded, never thrown on', () => {
  let numRefused = 0;
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
      if (!decodeMessage(bytes).ok) numRefused += 1;
    }),
    { numRuns: 1000 },
  );
  assert.ok(numRefused > 900, `only ${numRefused} of 1000 random frames were refused`);
});

test('a damaged message is refused or decoded, never thrown on', () => {
  fc.assert(
    fc.property(anyMessage, fc.nat(), fc.integer({ min: 1, max: 255 }), (message, position, flip) => {
      const bytes = encodeMessage(message, 'launch');
      const damaged = Uint8Array.from(bytes);
      damaged[position % damaged.length]! ^= flip;
      decodeMessage(damaged);
      decodeMessage(bytes.subarray(0, position % bytes.length));
    }),
    { numRuns: 1000 },
  );
});

test('an oversized frame is refused without being parsed', () => {
  const result = decodeMessage(new Uint8Array(MAX_MESSAGE_BYTES + 1));
  assert.equal(result.ok, false);
  assert.ok(!result.ok && result.problem === 'malformed' && result.detail.includes('bytes'));
});

test('values that the schema allows but the protocol does not are refused', () => {
  const shutdown = encodeMessage({ kind: 'shutdown', exitCode: 0, reason: 'x'.repeat(MAX_TEXT_LENGTH + 1) }, '');
  assert.equal(decodeMessage(shutdown).ok, false);
  const error: WorkerError = { code: 'internal', message: '', step: 0, timeMs: Number.NaN };
  assert.equal(
    decodeMessage(encodeMessage({ kind: 'failure', generation: 0, rank: 0, host: '', error }, '')).ok,
    false,
  );
});

test('another protocol version is named, but a rejection is understood across versions', () => {
  const reject: ControlMessage = { kind: 'reject', code: 'rendezvous', reason: 'other version' };
  const withVersion = (bytes: Buffer) => {
    const changed = Buffer.from(bytes);
    assert.deepEqual([...changed.subarray(0, 2)], [8, PROTOCOL_VERSION]);
    changed[1] = PROTOCOL_VERSION + 1;
    return changed;
  };
  assert.deepEqual(decodeMessage(withVersion(encodeMessage({ kind: 'ack' }, ''))), {
    ok: false,
    problem: 'version',
    version: PROTOCOL_VERSION + 1,
  });
  assert.deepEqual(decodeMessage(withVersion(encodeMessage(reject, ''))), { ok: true, message: reject, launchId: '' });
});

test('long texts are cut without splitting a character', () => {
  assert.equal(clipText('short', 10), 'short');
  assert.equal(clipText('abcdef', 4), 'abcd... (2 more characters)');
  assert.equal(clipText('abc\u{1F600}def', 4), 'abc... (5 more characters)');
});
