// Groups in threads of their own through the suite, and what a thread adds: memory that both sides see, errors, records, its end.

import assert from 'node:assert/strict';
import test from 'node:test';
import { SlipError } from '@slip/core';
import { connectLocally } from '../testing/local-mesh.js';
import { describeProcessGroup } from '../testing/process-group-suite.js';
import type { ZeroMqGroupOptions } from '../zeromq/connect.js';
import { connectThreadGroup } from './thread-group.js';

const connect = (worldSize: number, options: Partial<ZeroMqGroupOptions> = {}) =>
  connectLocally(
    worldSize,
    options,
    () => {},
    () => ({}),
    connectThreadGroup,
  );

describeProcessGroup('in threads, over ZeroMQ', (worldSize) => connect(worldSize, { transport: 'zmq' }), 'frames', [2]);
describeProcessGroup('in threads, in shared memory', (worldSize) => connect(worldSize), 'memory', [3]);

for (const transport of ['shared', 'zmq'] as const) {
  test(`${transport}: collectives go on while the main thread is blocked, in memory that both threads see`, async () => {
    const groups = await connect(2, { transport });
    const arenas = await Promise.all(groups.map((group) => group.allocate(500_000)));
    for (const [rank, arena] of arenas.entries()) arena.fill(rank + 1);
    const sums = groups.map((group, rank) => group.allReduce(arenas[rank].subarray(1000)));
    const until = performance.now() + 20_000;
    // No turn of this thread's event loop: only the others can do it.
    const last = () => Atomics.load(new Int32Array(arenas[0].buffer, arenas[0].byteOffset), 499_999);
    const three = new Int32Array(Float32Array.of(3).buffer)[0];
    while (last() !== three && performance.now() < until);
    assert.equal(last(), three);
    await Promise.all(sums);
    assert.deepEqual([arenas[0][999], arenas[0][1000], arenas[1][999], arenas[1][1000]], [1, 3, 2, 3]);
    for (const { traffic } of groups) assert.ok(traffic.threadMs > 0);
    await Promise.all(groups.map((group) => group.close()));
  });
}

test('a call reads what the one before it wrote, though neither was awaited and both are copied', async () => {
  const groups = await connect(2, { transport: 'zmq' });
  const buffers = groups.map((_, rank) => Float32Array.of(rank + 1, 1));
  const calls = groups.flatMap((group, rank) => [1, 2, 3].map(() => group.allReduce(buffers[rank])));
  await Promise.all(calls);
  assert.deepEqual(buffers, [Float32Array.of(12, 8), Float32Array.of(12, 8)]);
  await Promise.all(groups.map((group) => group.close()));
});

test('records are those of the thread, also of calls under way and after the end', async () => {
  const groups = await connect(2, { transport: 'zmq' });
  await Promise.all(groups.map((group) => group.barrier()));
  const alone = groups[0].allReduce(new Float32Array(4));
  await new Promise((resolve) => setTimeout(resolve, 50));
  const states = groups[0].flightRecords.map(({ call, outcome }) => [call.split(' ')[0], outcome]);
  assert.deepEqual(states.slice(-2), [
    ['barrier', 'done'],
    ['allReduce', 'running'],
  ]);
  const ended = assert.rejects(alone, /the process group is closed/);
  // Before the other leaves, which would be a reason too.
  await groups[0].close();
  await ended;
  await groups[1].close();
  assert.equal(groups[0].flightRecords.at(-1)?.outcome, 'failed');
  await assert.rejects(groups[0].barrier(), /the process group is closed/);
});

test('the reason of an abort ends the calls under way, as itself', async () => {
  const stop = new AbortController();
  const groups = await connect(2, { transport: 'zmq', signal: stop.signal });
  const reason = new SlipError('peer-lost', 'this generation is over', { details: { rank: 7 } });
  const alone = groups[0].barrier();
  stop.abort(reason);
  await assert.rejects(alone, (error) => error === reason);
  await assert.rejects(groups[1].barrier(), (error) => error === reason);
  await Promise.all(groups.map((group) => group.close()));
});

test('a rank that does not come is named, and no thread is left', async () => {
  const options = { rank: 0, worldSize: 2, runId: 'test', generation: 0, host: '127.0.0.1', timeoutMs: 300 };
  const refused = connectThreadGroup({ ...options, exchange: () => new Promise(() => {}) });
  await assert.rejects(refused, { code: 'rendezvous' });
});
