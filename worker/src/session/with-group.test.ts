// A worker offers an endpoint whatever the number of ranks: the coordinator ends a generation whose workers do not.
import assert from 'node:assert/strict';
import test from 'node:test';
import { createLogger } from '@slip/core';
import type { WorkerEnvironment, WorkerSession } from './session.js';
import { withGroup } from './with-group.js';

test('a worker alone joins too, or its run would be taken for one that never started', async () => {
  const offered: string[] = [];
  const session = {
    aborted: new AbortController().signal,
    exchange: async (endpoint: string) => {
      offered.push(endpoint);
      return [endpoint];
    },
  } as unknown as WorkerSession;
  const environment = { rank: 0, worldSize: 1, numNodes: 1 } as WorkerEnvironment;
  const place = { environment, session, log: createLogger('test') };
  const config = { commTimeout: 1, transport: 'shared', commEncryption: 'auto' } as const;
  const size = await withGroup(place, config, async (group) => group.worldSize);
  assert.equal(size, 1);
  assert.equal(offered.length, 1);
});
