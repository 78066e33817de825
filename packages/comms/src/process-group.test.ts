// All implementations through the suite, and the pure parts: the choice of the algorithm, and who is to blame.
import assert from 'node:assert/strict';
import test from 'node:test';
import { curveKeyPair } from 'zeromq';
import { shardLengths } from './collectives.js';
import { createMemoryGroups } from './memory-wire.js';
import { chooseAlgorithm } from './mesh-collectives.js';
import type { ProcessGroup } from './process-group.js';
import { createSoloGroup } from './solo-group.js';
import { connectLocally } from './testing/local-mesh.js';
import { describeProcessGroup } from './testing/process-group-suite.js';
import { followWaits } from './waits.js';
import type { ZeroMqGroupOptions } from './zeromq/connect.js';

describeProcessGroup('in memory', async (worldSize) => createMemoryGroups(worldSize));
describeProcessGroup('over ZeroMQ', (worldSize) => connectLocally(worldSize, { transport: 'zmq' }));
describeProcessGroup(
  'through tcp alone',
  (worldSize) => connectLocally(worldSize, { transport: 'tcp' }),
  'frames',
  [2, 3],
);
describeProcessGroup('over libzmq and zeromq.js in turns', (worldSize) => mixed(worldSize), 'frames', [3]);
describeProcessGroup('over libzmq and zeromq.js in turns, encrypted', encrypted, 'frames', [2]);
describeProcessGroup('in shared memory', (worldSize) => connectLocally(worldSize), 'memory');
describeProcessGroup('on machines of two ranks', (worldSize) => onMachines(worldSize, (rank) => rank >> 1), 'machines');
describeProcessGroup('on two machines in turns', (worldSize) => onMachines(worldSize, (rank) => rank % 2), 'machines');

/** Every second rank as if libzmq could not be called directly: the frames are the same. */
function mixed(worldSize: number, options: Partial<ZeroMqGroupOptions> = {}): Promise<ProcessGroup[]> {
  return connectLocally(
    worldSize,
    { transport: 'zmq', ...options },
    () => {},
    (rank) => (rank % 2 === 0 ? { zeromq: 'zeromq.js' } : {}),
  );
}

function encrypted(worldSize: number): Promise<ProcessGroup[]> {
  return mixed(worldSize, { keys: curveKeyPair() });
}

/** Ranks that pretend to be on these machines; machines that are not alike fall back to frames. */
function onMachines(worldSize: number, machineOf: (rank: number) => number): Promise<ProcessGroup[]> {
  return connectLocally(
    worldSize,
    {},
    () => {},
    (rank) => ({ machine: `machine ${machineOf(rank)}` }),
  );
}

test('shards cover everything, begin on granules, and are nearly equal', () => {
  for (const [elements, worldSize] of [
    [0, 3],
    [1, 4],
    [1024, 2],
    [1_000_000, 7],
    [90_000_001, 64],
  ]) {
    const lengths = shardLengths(elements, worldSize);
    assert.equal(
      lengths.reduce((sum, length) => sum + length, 0),
      elements,
    );
    if (elements >= worldSize * 1024) assert.ok(lengths.slice(0, -1).every((length) => length % 1024 === 0));
    assert.ok(Math.max(...lengths) - Math.min(...lengths) <= 2047);
  }
});

test('a world of one copies', async () => {
  const group = createSoloGroup();
  const output = new Float32Array(2);
  await group.allGather(Float32Array.of(3, 4), output);
  assert.deepEqual([...output], [3, 4]);
  await group.allReduce(output);
  assert.deepEqual([...output], [3, 4]);
  assert.deepEqual(await group.allGatherObject('x'), ['x']);
  await group.close();
});

test('short messages go directly, long ones around the ring', () => {
  assert.equal(chooseAlgorithm(0, 4), 'direct');
  for (const [worldSize, longest] of [
    [2, 65_536],
    [4, 21_845],
    [64, 1040],
  ]) {
    assert.equal(chooseAlgorithm(longest, worldSize), 'direct');
    assert.equal(chooseAlgorithm(longest + 1, worldSize), 'ring');
  }
  assert.equal(chooseAlgorithm(1e9, 1), 'direct', 'a ring of one would send to itself');
  assert.equal(chooseAlgorithm(5000, 8192), 'direct', 'a ring needs an element for each rank');
});

test('the last of a chain of waiting ranks is to blame, not the neighbour', () => {
  const none = new Map<number, number>();
  assert.deepEqual(followWaits(0, 3, none), [3]);
  assert.deepEqual(
    followWaits(
      1,
      0,
      new Map([
        [0, 3],
        [3, 2],
      ]),
    ),
    [0, 3, 2],
  );
  assert.deepEqual(followWaits(1, 0, new Map([[0, 1]])), [0], 'two that wait for each other');
  assert.deepEqual(
    followWaits(
      1,
      0,
      new Map([
        [0, 2],
        [2, 3],
        [3, 2],
      ]),
    ),
    [0],
    'a circle further on',
  );
});
