// What reaches the sockets: strangers, damage, ranks that cannot be reached, aborts. Inside one process.
import assert from 'node:assert/strict';
import test from 'node:test';
import { curveKeyPair, Pull, Push } from 'zeromq';
import {
  damaged,
  encodeHeader,
  HEADER_BYTES,
  isIntact,
  type Membership,
  membershipOf,
  type ParsedFrame,
  PROTOCOL_VERSION,
  parseHeader,
} from '../frames/frame.js';
import type { ProcessGroup } from '../process-group.js';
import { connectLocally } from '../testing/local-mesh.js';
import type { FrameHeader } from '../wire.js';
import { connectZeroMqGroup } from './connect.js';

const BARRIER: FrameHeader = { operation: 'barrier', sequence: 0, dtype: 'uint8', elements: 0, root: 0, chunk: 0 };

async function withStranger(
  work: (groups: ProcessGroup[], stranger: Push, endpoints: string[]) => Promise<void>,
): Promise<void> {
  const endpoints: string[] = [];
  const groups = await connectLocally(2, { timeoutMs: 10_000 }, (rank, endpoint) => {
    endpoints[rank] = endpoint;
  });
  const stranger = new Push({ linger: 0 });
  stranger.connect(endpoints[0]);
  try {
    await work(groups, stranger, endpoints);
  } finally {
    stranger.close();
    await Promise.all(groups.map((group) => group.close()));
  }
}

test('frames of strangers are counted and dropped', () =>
  withStranger(async (groups, stranger, endpoints) => {
    const payload = Buffer.alloc(4);
    const frameOf = (runId: string, generation: number, table: string[], header = BARRIER) => [
      encodeHeader(membershipOf(runId, generation, table), 1, header, payload),
      payload,
    ];
    await stranger.send('noise');
    await stranger.send([Buffer.alloc(HEADER_BYTES), payload]);
    await stranger.send([Buffer.alloc(0), Buffer.alloc(0), Buffer.alloc(0)]);
    await stranger.send(frameOf('another run', 0, endpoints));
    await stranger.send(frameOf('test', 7, endpoints));
    // Rank 1 of this very run and generation, but started again: it listens at another port.
    const restarted = [endpoints[0], 'tcp://127.0.0.1:1'];
    await stranger.send(frameOf('test', 0, restarted, { ...BARRIER, operation: 'hello', elements: 2 }));
    await stranger.send(frameOf('test', 0, restarted));
    while (groups[0].traffic.foreignFrames < 7) await new Promise((resolve) => setTimeout(resolve, 5));
    const buffers = groups.map((_, rank) => Float32Array.of(rank + 1));
    await Promise.all(groups.map((group, rank) => group.allReduce(buffers[rank])));
    assert.deepEqual(buffers, [Float32Array.of(3), Float32Array.of(3)]);
    assert.deepEqual([groups[0].traffic.foreignFrames, groups[1].traffic.foreignFrames], [7, 0]);
  }));

test('a frame of more than the limit ends the stranger, not the group', () =>
  withStranger(async (groups, stranger) => {
    const refused = new Promise((resolve) => stranger.events.on('disconnect', resolve));
    await stranger.send(Buffer.alloc(3 << 20));
    await refused;
    await Promise.all(groups.map((group) => group.barrier()));
    assert.equal(groups[0].traffic.foreignFrames, 0, 'it was not even received');
  }));

for (const [what, spoil, reason] of [
  ['checksum', (head: Uint8Array, payload: Buffer) => [flip(head, HEADER_BYTES - 1), payload], /the checksum is wrong/],
  ['payload', (head: Uint8Array, payload: Buffer) => [head, flip(payload, 2)], /the checksum is wrong/],
  ['sequence number', (head: Uint8Array, payload: Buffer) => [flip(head, 28), payload], /the checksum is wrong/],
  ['length', (head: Uint8Array, payload: Buffer) => [head, payload.subarray(1)], /3 bytes arrived of 4/],
  ['header', (head: Uint8Array, payload: Buffer) => [head.subarray(0, 40), payload], /a header of 40 bytes/],
  ['version', (head: Uint8Array, payload: Buffer) => [flip(head, 4), payload], /protocol version \d+ instead of/],
] as const) {
  test(`a frame with a wrong ${what} ends the group on both ranks, with its sender named`, () =>
    withStranger(async (groups, stranger, endpoints) => {
      const payload = Buffer.from([1, 2, 3, 4]);
      const head = encodeHeader(membershipOf('test', 0, endpoints), 1, BARRIER, payload);
      const waiting = groups[0].barrier();
      await stranger.send(spoil(head, payload));
      const named = (error: Error) => /^rank 1 sent /.test(error.message) && reason.test(error.message);
      await assert.rejects(waiting, named);
      // What rank 0 sent before its failure still arrives, so the first barrier may pass.
      await assert.rejects(
        groups[1].barrier().then(() => groups[1].barrier()),
        named,
      );
    }));
}

test('the deadline of a wait names the rank that does not come', async () => {
  const groups = await connectLocally(3, { timeoutMs: 300 });
  const waiting = [groups[0].barrier(), groups[1].barrier()];
  await Promise.all(waiting.map((wait) => assert.rejects(wait, /rank 2 is late: rank \d waited 0.3 s in barrier #0/)));
  await Promise.all(groups.map((group) => group.close()));
});

test('time in which a rank is busy itself does not count against its peers', async () => {
  const groups = await connectLocally(2, { timeoutMs: 200 });
  const waiting = groups[0].barrier();
  const until = performance.now() + 600;
  while (performance.now() < until);
  await Promise.all([waiting, groups[1].barrier()]);
  await Promise.all(groups.map((group) => group.close()));
});

test('a root that only sends notices a peer that has left', async () => {
  const groups = await connectLocally(2, { timeoutMs: 600_000 });
  await groups[1].close();
  // More than a window.
  await assert.rejects(groups[0].broadcast(new Uint8Array(30e6), 0), /^(SlipError: )?\[peer-lost\] rank 1 has left/);
  await groups[0].close();
});

test('what was sent before a rank closed arrives, even where the end of the connection is seen first', async () => {
  const groups = await connectLocally(3, { timeoutMs: 30_000 });
  const last = await Promise.all(
    groups.map(async (group, rank) => {
      const buffer = new Uint8Array(20e6).fill(rank + 1);
      await group.broadcast(buffer, 0);
      await group.close();
      if (rank === 0) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 900);
      return buffer[buffer.length - 1];
    }),
  );
  assert.deepEqual(last, [1, 1, 1]);
});

test('an abort ends waiting with its own reason, which the others are told', async () => {
  const controllers = [new AbortController(), new AbortController()];
  const groups = await connectLocally(2, {}, undefined, (rank) => ({ signal: controllers[rank].signal }));
  const [own, other] = [groups[0].barrier(), groups[1].allReduce(new Float32Array(100_000))];
  const reason = new Error('the launcher ended this generation');
  const ended = Promise.all([
    assert.rejects(own, (error) => error === reason),
    assert.rejects(other, /rank 0 gave up: the launcher ended this generation|ranks disagree/),
  ]);
  controllers[0].abort(reason);
  await ended;
  await assert.rejects(groups[0].barrier(), (error) => error === reason, 'and it stays');
  await Promise.all(groups.map((group) => group.close()));
});

const ALONE = { rank: 0, worldSize: 2, runId: 'test', generation: 0, host: '127.0.0.1' };

test('an abort ends the exchange of endpoints too', async () => {
  const controller = new AbortController();
  const { signal } = controller;
  const connecting = connectZeroMqGroup({ ...ALONE, signal, exchange: () => new Promise(() => {}) });
  const ended = assert.rejects(connecting, /stopped early/);
  controller.abort(new Error('stopped early'));
  await ended;
  await assert.rejects(connectZeroMqGroup({ ...ALONE, signal, exchange: async () => [] }), /stopped early/);
});

for (const [what, exchange, expected] of [
  [
    'a rank that has gone',
    (own: string) => [own, 'tcp://127.0.0.1:9'],
    /rank 1 refuses connections at tcp:\/\/127.0.0.1:9/,
  ],
  ['a rank without an address', (own: string) => [own, 'nowhere'], /rank 1 gave no usable address: 'nowhere'/],
  ['a table that is too short', (own: string) => [own], /rank 0 of 2 offered tcp:\S+ and was given \[tcp:\S+\]/],
  ['a table with another process as this rank', () => ['tcp://a:1', 'tcp://b:2'], /are two processes the same rank/],
] as const) {
  test(`${what} is reported before the first step`, async () => {
    const connecting = connectZeroMqGroup({ ...ALONE, timeoutMs: 3000, exchange: async (own) => exchange(own) });
    await assert.rejects(connecting, (error: Error & { code?: string }) => {
      assert.match(error.message, expected);
      return error.code === 'rendezvous';
    });
  });
}

test('a rank that accepts connections but never greets is named', async () => {
  const mute = new Pull({ linger: 0 });
  await mute.bind('tcp://127.0.0.1:*');
  const connecting = connectZeroMqGroup({
    ...ALONE,
    timeoutMs: 300,
    exchange: async (own) => [own, mute.lastEndpoint!],
  });
  await assert.rejects(connecting, /rank 1 at tcp:\S+ has not greeted rank 0 within 0.3 s/);
  mute.close();
});

test('the exchange of endpoints has a deadline', async () => {
  const waiting = connectZeroMqGroup({ ...ALONE, timeoutMs: 200, exchange: () => new Promise(() => {}) });
  await assert.rejects(waiting, /timed out after 0.2 s waiting for the addresses of all 2 ranks/);
});

test('an address that is not of this machine is refused', async () => {
  const connecting = connectZeroMqGroup({ ...ALONE, host: '203.0.113.7', exchange: async (own) => [own, own] });
  await assert.rejects(connecting, /rank 0 cannot listen on 203.0.113.7: .*--local-addr/);
});

/** As the wires do it with a short payload. */
function parseFrame(parts: readonly Uint8Array[], membership: Membership): ParsedFrame {
  const [head = Buffer.alloc(0), payload = Buffer.alloc(0)] = parts;
  const frame = parseHeader(head, parts.length, payload.length, membership);
  if (frame.status !== 'ok' || isIntact(head, payload)) return frame;
  return { status: 'refused', sender: frame.sender, reason: damaged(frame.sender).message };
}

test('no bytes make the parser throw, and no single bit passes unnoticed', () => {
  const membership = membershipOf('test', 0, ['a', 'b']);
  const payload = Buffer.from('abc');
  const header: FrameHeader = { operation: 'allGather', sequence: 2, dtype: 'float32', elements: 3, root: 0, chunk: 4 };
  const good = encodeHeader(membership, 1, header, payload);
  assert.deepEqual(parseFrame([good, payload], membership), { status: 'ok', sender: 1, header });
  for (let bit = 0; bit < 8 * good.length; bit++) {
    const bad = Uint8Array.from(good);
    bad[bit >> 3] ^= 1 << (bit & 7);
    assert.notEqual(parseFrame([bad, payload], membership).status, 'ok', `bit ${bit} of the header`);
  }
  for (let bit = 0; bit < 8 * payload.length; bit++) {
    const bad = Buffer.from(payload);
    bad[bit >> 3] ^= 1 << (bit & 7);
    assert.equal(parseFrame([good, bad], membership).status, 'refused', `bit ${bit} of the payload`);
  }
  for (let length = 0; length < good.length; length++) {
    assert.notEqual(parseFrame([good.subarray(0, length), payload], membership).status, 'ok');
  }
  for (const parts of [[], [good], [good, payload, payload]]) {
    assert.equal(parseFrame(parts, membership).status, 'foreign');
  }
  const empty = encodeHeader(membership, 0, header, new Uint8Array(0));
  assert.equal(parseFrame([empty, Buffer.alloc(0)], membership).status, 'ok');
  assert.equal(PROTOCOL_VERSION, 4, 'a change of the layout is a change of the version');
});

function flip<T extends Uint8Array>(bytes: T, at: number): Uint8Array {
  const copy = Uint8Array.from(bytes);
  copy[at] ^= 0x40;
  return copy;
}

test('with keys, ranks compute as ever, and who has none is refused and counted', async () => {
  const [keys, others] = [curveKeyPair(), curveKeyPair()];
  const endpoints: string[] = [];
  const groups = await connectLocally(2, { keys, transport: 'zmq' }, (rank, endpoint) => {
    endpoints[rank] = endpoint;
  });
  const strangers = [
    new Push({ linger: 0 }),
    new Push({
      linger: 0,
      curveServerKey: others.publicKey,
      curvePublicKey: others.publicKey,
      curveSecretKey: others.secretKey,
    }),
  ];
  for (const stranger of strangers) {
    stranger.connect(endpoints[0]);
    void stranger
      .send([encodeHeader(membershipOf('test', 0, endpoints), 1, BARRIER, Buffer.alloc(0)), ''])
      .catch(() => undefined);
  }
  while (groups[0].traffic.refusedConnections < 2) await new Promise((resolve) => setTimeout(resolve, 5));
  const buffers = groups.map((_, rank) => new Float32Array(200_000).fill(rank + 1));
  await Promise.all(groups.map((group, rank) => group.allReduce(buffers[rank])));
  assert.ok(buffers.every((buffer) => buffer.every((value) => value === 3)));
  assert.equal(groups[0].traffic.foreignFrames, 0, 'nothing of theirs was read');
  for (const stranger of strangers) stranger.close();
  await Promise.all(groups.map((group) => group.close()));
});

test('a rank with other keys is named as the one that cannot be reached', async () => {
  const keys = [curveKeyPair(), curveKeyPair()];
  const joining = connectLocally(
    2,
    { timeoutMs: 1500 },
    () => {},
    (rank) => ({ keys: keys[rank] }),
  );
  await assert.rejects(
    joining,
    /^(SlipError: )?\[rendezvous\] the connection to rank \d \(tcp:\S+\) was lost|\[rendezvous\] rank \d/,
  );
});
