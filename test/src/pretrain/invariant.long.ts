// `--reduce invariant` on every number of ranks that its shards allow.
import test from 'node:test';
import { assertInvariant } from './invariant-runs.js';

test('weights after 20 steps have the same SHA-256 on 1, 2, 4 and 8 ranks', (context) =>
  assertInvariant(context, [[2], [4], [8], [4, '--transport', 'zmq'], [4, '--transport', 'tcp']]));
