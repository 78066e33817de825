// All implementations through the suite, and the choice of the algorithm.
import assert from 'node:assert/strict';
import test from 'node:test';
import { chooseAlgorithm } from './algorithms.js';
import { createMemoryGroups } from './memory-mesh.js';
import { createSoloGroup } from './solo-group.js';
import { connectLocally } from './testing/local-mesh.js';
import { describeProcessGroup } from './testing/process-group-suite.js';

describeProcessGroup('in memory', async (worldSize) => createMemoryGroups(worldSize));
describeProcessGroup('over ZeroMQ', (worldSize) => connectLocally(worldSize));

test('a world of one copies', async () => {
  const group = createSoloGroup();
  const output = new Float32Array(2);
  await group.allGather(Float32Array.of(3, 4), output);
  assert.deepEqual([...output], [3, 4]);
  await group.allReduce(output);
  assert.deepEqual([...output], [3, 4]);
  assert.deepEqual(await group.allGatherObject('x'), ['x']);
});

test('short messages go directly, long ones around the ring', () => {
  assert.equal(chooseAlgorithm(0, 4), 'direct');
  assert.equal(chooseAlgorithm(4096, 4), 'direct');
  assert.equal(chooseAlgorithm(4097, 4), 'ring');
  assert.equal(chooseAlgorithm(1e6, 1), 'direct', 'nobody to send to');
  assert.equal(chooseAlgorithm(5000, 8192), 'direct', 'a ring needs an element for each rank');
});
