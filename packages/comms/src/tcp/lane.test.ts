// What a lane makes of what comes: whole frames in pieces of any size, faults of the line, and bytes that are no frames.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import net from 'node:net';
import test, { type TestContext } from 'node:test';
import { type Logger, RandomStream, silentLogger } from '@slip/core';
import { encodeHeader, HEADER_BYTES, membershipOf } from '../frames/frame.js';
import { Inbox, type RawPayload } from '../frames/inbox.js';
import { createMemoryGroups } from '../memory-wire.js';
import { MAX_LANE_PAYLOAD_BYTES } from '../mesh.js';
import { noTraffic } from '../process-group.js';
import { connectLocally } from '../testing/local-mesh.js';
import { type Disturbance, type Relay, startRelay } from '../testing/relay.js';
import { bytesOf } from '../vector/kernels.js';
import { type FrameHeader, WINDOW_FRAMES } from '../wire.js';
import { Lane } from './lane.js';
import { openLanes } from './open-lanes.js';
import { loadSockets, type Sockets } from './sockets.js';

const sockets = loadSockets() as Sockets;
const skip = 'missing' in sockets ? `no plain tcp here: ${sockets.missing}` : false;
const MEMBERSHIP = membershipOf('test', 0, ['a', 'b']);
const HEADER: FrameHeader = { operation: 'broadcast', sequence: 0, dtype: 'uint8', elements: 0, root: 0, chunk: 0 };
const [RELAYED, REAL] = ['127.0.0.2', '127.0.0.1'];

/** Two ends of one connection, behind a relay. */
async function makeLanes(context: TestContext): Promise<{ lanes: [Lane, Lane]; relay: Relay }> {
  const server = net.createServer().listen(0, REAL);
  await once(server, 'listening');
  const { port } = server.address() as net.AddressInfo;
  const relay = await startRelay(RELAYED, port, REAL);
  const outgoing = net.connect(port, RELAYED);
  const [incoming] = (await once(server, 'connection')) as [net.Socket];
  const lanes = [outgoing, incoming].map((socket) => {
    const lane = new Lane(sockets, sockets.duplicate(socket));
    socket.destroy();
    return lane;
  }) as [Lane, Lane];
  context.after(() => {
    for (const lane of lanes) lane.close();
    relay.close();
    server.close();
  });
  return { lanes, relay };
}

function post(lane: Lane, chunk: number, payload: Uint8Array, isLent = false): void {
  lane.post(() => encodeHeader(MEMBERSHIP, 1, { ...HEADER, chunk }, payload), payload, isLent);
}

const turn = () => new Promise((resolve) => setTimeout(resolve, 1));
const optionsOf = () => ({ traffic: noTraffic(), log: silentLogger });
const throwing: Logger = {
  ...silentLogger,
  warn(message) {
    throw new Error(message);
  },
};
const randomBytes = (random: RandomStream, length: number) => Uint8Array.from({ length }, () => random.integer(256));

test('frames of all sizes arrive whole and in order, in pieces of any size', { skip }, async (context) => {
  const {
    lanes: [from, to],
  } = await makeLanes(context);
  const random = new RandomStream(7);
  const sizes = [0, 1, 51, 4095, 4096, 70_001, MAX_LANE_PAYLOAD_BYTES, 0, 3, MAX_LANE_PAYLOAD_BYTES - 1];
  const sent = sizes.map((size) => randomBytes(random, size));
  for (const [chunk, payload] of sent.entries()) post(from, chunk, payload, chunk % 2 === 0);
  assert.ok(from.isFull, 'two megabytes do not fit at once');
  const chunks: number[] = [];
  const inbox = new Inbox(
    MEMBERSHIP,
    {
      deliver(_, { chunk }, payload) {
        assert.deepEqual(Buffer.compare(bytesOf(payload), sent[chunk]), 0, `frame ${chunk}`);
        chunks.push(chunk);
        payload.release();
      },
      lose: () => assert.fail('lost'),
      fail: (error) => assert.fail(error),
    },
    optionsOf(),
  );
  while (chunks.length < sizes.length) {
    from.pump();
    if (!to.receive((head, payload) => inbox.take(head, 2, payload))) await turn();
  }
  assert.deepEqual(chunks, [...sizes.keys()]);
});

test('what is not lent may change as soon as it is posted', { skip }, async (context) => {
  const {
    lanes: [from, to],
  } = await makeLanes(context);
  const payload = new Uint8Array(MAX_LANE_PAYLOAD_BYTES);
  const wanted = WINDOW_FRAMES;
  for (let i = 0; i < wanted; i++) post(from, i, payload.fill(i));
  for (let came = 0; came < wanted; ) {
    from.pump();
    const found = to.receive((_, { held, release }) => {
      assert.ok(
        held!.every((byte) => byte === came),
        `frame ${came}`,
      );
      release();
      came += 1;
    });
    if (!found) await turn();
  }
});

for (const [how, expected] of [
  ['flip', /the checksum is wrong/],
  ['cut', /checksum is wrong|no frames|too long|not of this run|version|header/],
  ['reset', /connection reset|closed/],
] as const satisfies readonly (readonly [Disturbance, RegExp])[]) {
  test(`a line with a fault (${how}) ends in an error`, { skip }, async (context) => {
    const {
      lanes: [from, to],
      relay,
    } = await makeLanes(context);
    const payload = randomBytes(new RandomStream(3), 200_000);
    await assert.rejects(async () => {
      for (let chunk = 0; chunk < 2000; chunk++) {
        if (chunk === 4) relay.disturb(how);
        if (from.isFull) from.pump();
        else post(from, chunk, payload);
        while (to.receive(check));
        await turn();
      }
    }, expected);
    function check(head: Uint8Array, raw: RawPayload): void {
      new Inbox(
        MEMBERSHIP,
        {
          deliver(_, __, found) {
            bytesOf(found);
            found.release();
          },
          lose: () => undefined,
          fail: (error) => {
            throw error;
          },
        },
        { ...optionsOf(), log: throwing },
      ).take(head, 2, raw);
    }
  });
}

test('bytes that are no frames are refused: nothing is taken, no slot is lost', { skip }, async (context) => {
  const random = new RandomStream(11);
  for (let round = 0; round < 30; round++) {
    const {
      lanes: [from, to],
    } = await makeLanes(context);
    const foreign = noTraffic();
    const inbox = new Inbox(
      MEMBERSHIP,
      {
        deliver: () => assert.fail('taken for a frame'),
        lose: () => undefined,
        fail: () => undefined,
      },
      { ...optionsOf(), traffic: foreign },
    );
    const noise = randomBytes(random, HEADER_BYTES + random.integer(5000));
    // A length that looks right half of the time, so that what follows is taken for a payload.
    if (round % 2 === 0) new DataView(noise.buffer).setUint32(44, noise.length - HEADER_BYTES, true);
    sockets.send(from.file, noise, false);
    from.close();
    await assert.rejects(async () => {
      for (;;) if (!to.receive((head, payload) => inbox.take(head, 2, payload))) await turn();
    }, /no frames|closed/);
    assert.ok(foreign.foreignFrames <= 1);
  }
});

test('more frames than a window that nobody takes end the lane, whatever their length', { skip }, async (context) => {
  const {
    lanes: [from, to],
  } = await makeLanes(context);
  const kept: RawPayload[] = [];
  await assert.rejects(async () => {
    for (let chunk = 0; ; chunk++) {
      post(from, chunk, Uint8Array.of(chunk));
      if (!to.receive((_, payload) => kept.push(payload))) await turn();
    }
  }, /more frames than it may/);
  assert.equal(kept.length, WINDOW_FRAMES + 2);
});

test('strangers at the door are closed and counted, and lanes open all the same', { skip }, async () => {
  const strangers: net.Socket[] = [];
  const groups = createMemoryGroups(2);
  const traffic = noTraffic();
  const opened = groups.map((group) =>
    openLanes({
      group: {
        ...{ rank: group.rank, traffic },
        async allGatherObject<T>(value: T) {
          const all = await group.allGatherObject(value);
          const { port } = (all[1] ?? {}) as { port?: number };
          // Before rank 0 calls there.
          for (const text of port === undefined ? [] : ['', 'x', 'x'.repeat(HEADER_BYTES), 'x'.repeat(100_000)]) {
            const stranger = net.connect(port!, REAL).on('error', () => undefined);
            await once(stranger, 'connect');
            stranger.write(text);
            strangers.push(stranger);
          }
          return all;
        },
      },
      ...{ membership: MEMBERSHIP, ring: [0, 1], host: REAL, bindHost: REAL, timeoutMs: 10_000, missing: '' },
    }),
  );
  const lanes = await Promise.all(opened);
  assert.deepEqual(
    lanes.map((found) => (typeof found === 'string' ? found : [...found.keys()])),
    [[1], [0]],
  );
  assert.ok(traffic.foreignFrames >= 1);
  for (const found of lanes) for (const lane of (found as Map<number, Lane>).values()) lane.close();
  for (const stranger of strangers) stranger.destroy();
});

test('a neighbour that cannot be called leaves all ranks without lanes, with the reason', { skip }, async () => {
  const groups = createMemoryGroups(3);
  const membership = membershipOf('test', 0, ['a', 'b', 'c']);
  const reasons = await Promise.all(
    groups.map((group) =>
      // Nobody listens at the address that rank 2 gives.
      openLanes({
        ...{ group, membership, ring: [0, 1, 2], bindHost: REAL, timeoutMs: 2000, missing: '' },
        host: group.rank === 2 ? '127.0.0.3' : REAL,
      }),
    ),
  );
  for (const reason of reasons) assert.match(String(reason), /^rank 1: connect ECONNREFUSED 127.0.0.3/);
});

test('--transport tcp with keys is refused', async () => {
  const keys = { publicKey: 'x'.repeat(40), secretKey: 'y'.repeat(40) };
  await assert.rejects(connectLocally(2, { transport: 'tcp', keys }), /--transport tcp encrypts nothing/);
});
