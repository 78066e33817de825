// What goes wrong between ranks ends in one clear error that names the rank, on every rank, and soon.
import assert from 'node:assert/strict';
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';
import test from 'node:test';
import { Push } from 'zeromq';
import { createMemoryGroups } from './memory-mesh.js';
import { connectLocally, meetingPoint } from './testing/local-mesh.js';
import { encodeHeader, HEADER_BYTES, hashRun, parseFrame } from './zeromq/frame.js';
import { connectZeroMqGroup } from './zeromq/zeromq-mesh.js';

test('a rank that calls another collective is named at once, on all ranks', async () => {
  const groups = await connectLocally(3, { timeoutMs: 30_000 });
  const startedAt = performance.now();
  const results = await Promise.allSettled([
    groups[0].barrier(),
    groups[1].allReduce(new Float32Array(4)),
    groups[2].barrier(),
  ]);
  for (const result of results) {
    assert.equal(result.status, 'rejected');
    assert.match(String(result.reason.message), /ranks disagree: rank \d is at (barrier|allReduce sum) #0/);
  }
  assert.ok(performance.now() - startedAt < 15_000, 'long before the deadline');
  await assert.rejects(groups[0].barrier(), /ranks disagree/, 'and the group stays failed');
  await Promise.all(groups.map((group) => group.close()));
});

test('a rank with another size is named at once', async () => {
  const groups = await connectLocally(2, { timeoutMs: 30_000 });
  const results = await Promise.allSettled(groups.map((group, rank) => group.allReduce(new Float32Array(10 + rank))));
  for (const result of results) {
    assert.equal(result.status, 'rejected');
    assert.match(String(result.reason.message), /of 1[01] elements, rank \d at allReduce sum #0 of 1[01] elements/);
  }
  await Promise.all(groups.map((group) => group.close()));
});

test('floats in one rank and bytes in the other are not the same broadcast', async () => {
  const groups = await connectLocally(2, { timeoutMs: 30_000 });
  const sending = groups[0].broadcast(new Float32Array(4), 0);
  await assert.rejects(
    groups[1].broadcast(new Uint8Array(4), 0),
    /rank 0 is at broadcast #0 of 4 float32 elements, rank 1 at broadcast #0 of 4 uint8 elements/,
  );
  await sending;
  await assert.rejects(groups[0].barrier(), /4 uint8 elements/);
  await Promise.all(groups.map((group) => group.close()));
});

test('in memory, ranks that disagree end the waits of all', async () => {
  const groups = createMemoryGroups(3);
  const results = await Promise.allSettled([groups[0].barrier(), groups[1].allReduce(new Float32Array(3))]);
  for (const result of results) assert.match(String((result as PromiseRejectedResult).reason), /ranks disagree/);
  await assert.rejects(groups[2].allReduce(new Float32Array(3)), /ranks disagree/);
});

test('close ends a wait that is under way', async () => {
  const groups = await connectLocally(2, { timeoutMs: 600_000 });
  const waiting = assert.rejects(groups[0].barrier(), /the process group is closed/);
  await new Promise((resolve) => setImmediate(resolve));
  await groups[0].close();
  await waiting;
  await groups[1].close();
});

test('a root that only sends notices a peer that has gone', async () => {
  const groups = await connectLocally(2, { timeoutMs: 600_000 });
  await groups[1].close();
  // More than all queues hold.
  await assert.rejects(groups[0].broadcast(new Uint8Array(300e6), 0), /the connection to rank 1 \(tcp:\S+\) was lost/);
  await groups[0].close();
});

test('frames that were sent before a rank closed still arrive', async () => {
  const groups = await connectLocally(3, { timeoutMs: 30_000 });
  const last = await Promise.all(
    groups.map(async (group, rank) => {
      const buffer = new Uint8Array(20e6).fill(rank + 1);
      await group.broadcast(buffer, 0);
      await group.close();
      // Meanwhile the end of the connection and the frames before it arrive together.
      if (rank === 0) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 300);
      return buffer[buffer.length - 1];
    }),
  );
  assert.deepEqual(last, [1, 1, 1]);
});

test('a blocked event loop does not make a frame late that has arrived', async () => {
  const groups = await connectLocally(2, { timeoutMs: 300 });
  const first = groups[0].barrier();
  // Rank 0 waits and its thread is busy past the deadline while the frame of rank 1 comes in.
  await new Promise((resolve) => setImmediate(resolve));
  const second = groups[1].barrier();
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 900);
  await Promise.all([first, second]);
  await Promise.all(groups.map((group) => group.close()));
});

test('an address that is not of this host is named', async () => {
  await assert.rejects(
    connectLocally(1, { bindHost: 'no-such-interface' }),
    /rank 0 cannot listen on no-such-interface/,
  );
});

test('a rank that does not come is named after the deadline', async () => {
  const groups = await connectLocally(2, { timeoutMs: 300 });
  await assert.rejects(groups[0].barrier(), /rank 1 is late: rank 0 waited 0.3 s for it in barrier #0/);
  await Promise.all(groups.map((group) => group.close()));
});

test('an abort ends waiting with its own reason', async () => {
  const controller = new AbortController();
  const groups = await connectLocally(2, { signal: controller.signal });
  const waiting = groups[0].barrier();
  controller.abort(new Error('the launcher ended this generation'));
  await assert.rejects(waiting, /the launcher ended this generation/);
  await Promise.all(groups.map((group) => group.close()));
});

test('frames of strangers are dropped, damaged frames of a rank end the group', async () => {
  const endpoints: string[] = [];
  const groups = await connectLocally(2, {}, (rank, endpoint) => {
    endpoints[rank] = endpoint;
  });
  const stranger = new Push({ linger: 0 });
  stranger.connect(endpoints[0]);
  const payload = Buffer.alloc(4);
  const header = { kind: 'barrier', sender: 1, sequence: 0, elements: 0, chunk: 0, dtype: 'float32' } as const;
  await stranger.send('noise');
  await stranger.send([Buffer.alloc(HEADER_BYTES), payload]);
  await stranger.send([encodeHeader({ runHash: hashRun('another run'), generation: 0 }, header, payload), payload]);
  await stranger.send([encodeHeader({ runHash: hashRun('test'), generation: 7 }, header, payload), payload]);
  await Promise.all(groups.map((group) => group.barrier()));
  const damaged = encodeHeader({ runHash: hashRun('test'), generation: 0 }, header, payload);
  damaged.writeUInt32LE(12345, 36);
  const waiting = groups[0].barrier();
  await stranger.send([damaged, payload]);
  await assert.rejects(waiting, /a frame of rank 1 is damaged: the checksum is wrong/);
  // The barrier that rank 0 had joined may still end well; the next one cannot.
  await assert.rejects(
    groups[1].barrier().then(() => groups[1].barrier()),
    /a frame of rank 1 is damaged/,
  );
  stranger.close();
  await Promise.all(groups.map((group) => group.close()));
});

test('no bytes make the parser throw', () => {
  const membership = { runHash: 1, generation: 0 };
  const header = { kind: 'allGather', sender: 1, sequence: 2, elements: 3, chunk: 4, dtype: 'json' } as const;
  const good = encodeHeader(membership, header, Buffer.from('abc'));
  for (let i = 0; i < good.length; i++) {
    const bad = Buffer.from(good);
    bad[i] ^= 0x40;
    assert.notDeepEqual(parseFrame([bad, Buffer.from('abc')], membership, 2), {
      status: 'ok',
      header,
      payload: Buffer.from('abc'),
    });
    assert.equal(parseFrame([good.subarray(0, i), Buffer.from('abc')], membership, 2).status, 'foreign');
  }
  assert.equal(parseFrame([good, Buffer.from('ab')], membership, 2).status, 'damaged');
  assert.equal(parseFrame([], membership, 2).status, 'foreign');
});

test('a peer that cannot be reached is named before the first step', async () => {
  const meet = meetingPoint(1);
  const connecting = connectZeroMqGroup({
    rank: 0,
    worldSize: 2,
    runId: 'test',
    generation: 0,
    host: '127.0.0.1',
    timeoutMs: 400,
    exchange: async (endpoint) => [...(await meet(0)(endpoint)), 'tcp://127.0.0.1:9'],
  });
  await assert.rejects(connecting, /waiting for (the greeting of rank 1 at tcp:\/\/127.0.0.1:9|rank 1 to take frames)/);
});

for (const [signal, expected] of [
  ['SIGKILL', /the connection to rank 2 \(tcp:\S+\) was lost: its process has ended/],
  ['SIGSTOP', /rank 2 is late|rank 2 to take frames/],
] as const) {
  test(`${signal} of a rank in the middle of an all-reduce is reported by the others`, async (context) => {
    const children = await startRanks(3);
    context.after(() => {
      for (const child of children) child.kill('SIGKILL');
    });
    const reports = [0, 1].map((rank) => nextMessage(children[rank], 'failed'));
    children[2].kill(signal);
    const messages = await Promise.all(reports);
    assert.ok(
      messages.some((message) => expected.test(String(message))),
      messages.join(' | '),
    );
    for (const message of messages) assert.match(String(message), /rank 2/);
    for (const rank of [0, 1]) if (children[rank].exitCode === null) await once(children[rank], 'exit');
    assert.deepEqual([children[0].exitCode, children[1].exitCode], [0, 0], 'they end by themselves');
  });
}

async function startRanks(worldSize: number): Promise<ChildProcess[]> {
  const program = path.join(import.meta.dirname, 'testing/rank-process.js');
  const children = Array.from({ length: worldSize }, (_, rank) => fork(program, [String(rank), String(worldSize)]));
  const running = children.map((child) => nextMessage(child, 'running'));
  const table = await Promise.all(children.map((child) => nextMessage(child, 'endpoint')));
  for (const child of children) child.send({ kind: 'table', value: table });
  await Promise.all(running);
  return children;
}

function nextMessage(child: ChildProcess, kind: string): Promise<unknown> {
  return new Promise((resolve) => {
    const listen = (message: unknown) => {
      const { kind: found, value } = message as { kind: string; value?: unknown };
      if (found !== kind) return;
      child.off('message', listen);
      resolve(value);
    };
    child.on('message', listen);
  });
}
