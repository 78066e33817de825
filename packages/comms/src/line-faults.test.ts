// What happens on the line between hosts, with a relay in front of rank 0: the ranks go on with right sums, or both end with an
// error that names a rank. They never hang, and no sum is wrong.
import assert from 'node:assert/strict';
import test from 'node:test';
import { SlipError } from '@slip/core';
import type { ProcessGroup } from './process-group.js';
import { connectLocally } from './testing/local-mesh.js';
import { type Disturbance, type Relay, startRelay } from './testing/relay.js';
import { connectZeroMqGroup } from './zeromq/connect.js';

/** About eight chunks for each rank. */
const ELEMENTS = 2_000_000;
const [RELAYED, REAL] = ['127.0.0.2', '127.0.0.1'];

async function withRelay(timeoutMs: number, work: (groups: ProcessGroup[], relay: Relay) => Promise<void>) {
  let relay: Relay | undefined;
  const groups = await connectLocally(
    2,
    { transport: 'zmq', timeoutMs },
    () => {},
    (rank) => (rank === 0 ? { host: RELAYED, bindHost: REAL } : {}),
    (options) => {
      const exchange = async (endpoint: string) => {
        // Listening before anybody learns of the address.
        if (options.rank === 0) relay = await startRelay(RELAYED, Number(endpoint.split(':').at(-1)), REAL);
        return options.exchange(endpoint);
      };
      return connectZeroMqGroup({ ...options, exchange });
    },
  );
  try {
    await work(groups, relay!);
  } finally {
    await Promise.all(groups.map((group) => group.close()));
    relay!.close();
  }
}

/** @throws the first error, when all ranks have ended */
async function reduce(groups: readonly ProcessGroup[]): Promise<void> {
  const buffers = groups.map((_, rank) => Float32Array.from({ length: ELEMENTS }, (_, i) => (i % 1009) + rank));
  const ends = await Promise.allSettled(groups.map((group, rank) => group.allReduce(buffers[rank])));
  for (const [rank, end] of ends.entries()) {
    if (end.status === 'fulfilled') assert.ok(buffers[rank].every((value, i) => value === 2 * (i % 1009) + 1));
  }
  const failed = ends.find((end) => end.status === 'rejected');
  if (failed !== undefined) throw failed.reason;
}

test('a slow line gives right sums', () =>
  withRelay(10_000, async (groups, relay) => {
    relay.disturb('delay');
    for (let i = 0; i < 3; i++) await reduce(groups);
  }));

for (const [how, timeoutMs, expected] of [
  ['stall', 1500, /^rank \d is late: rank \d waited 1.5 s in allReduce sum #\d+/],
  // Only the line to rank 0 ends: rank 1 sees it at once and cannot tell, so rank 0 may learn of it at its deadline.
  ['reset', 1500, /^the connection to rank 0 \(tcp:\S+\) was lost|^rank \d is late/],
  ['cut', 1500, /^rank 1 sent |^rank \d is late|was lost|^rank \d refuses/],
  ['flip', 10_000, /^rank 1 sent a damaged frame: the checksum is wrong/],
] as const satisfies readonly (readonly [Disturbance, number, RegExp])[]) {
  test(`a line with a fault (${how}) ends both ranks with a named error`, () =>
    withRelay(timeoutMs, async (groups, relay) => {
      await reduce(groups);
      relay.disturb(how);
      const failing = async () => {
        for (;;) await reduce(groups);
      };
      await assert.rejects(failing(), (error: unknown) => {
        assert.ok(error instanceof SlipError && error.code === 'peer-lost', String(error));
        assert.match(error.message, expected);
        return true;
      });
      for (const group of groups) await assert.rejects(group.barrier(), 'and both stay failed');
    }));
}
