// Ranks that do not begin with the same state are found out, however they share the work of summing it.
import assert from 'node:assert/strict';
import test from 'node:test';
import { createMemoryGroups } from '@slip/comms';
import { resolveModel, stateLayout } from '@slip/model/architecture';
import { createTrainState, differingRanks, stateSums, type TrainState } from './train-state.js';

const model = resolveModel('CLIP_VITS16', {
  ...{ imageSize: 16, patchSize: 8, visionWidth: 48, visionDepth: 1, visionHeads: 2, textWidth: 16, textDepth: 1 },
  ...{ textHeads: 2, contextLength: 6, vocabSize: 64, embedDim: 16 },
});

/** Four ranks of which those in one list have arenas in common, as on one machine. */
async function fourRanks(machines: readonly (readonly number[])[]) {
  const groups = createMemoryGroups(4);
  const states = await Promise.all(groups.map((group) => createTrainState(stateLayout(model), 3, group)));
  const machineOf = (rank: number) => machines.find((ranks) => ranks.includes(rank))!;
  const shared = states.map((own, rank): TrainState => {
    const { params, moments } = states[machineOf(rank)[0]];
    return { ...own, params, moments, sharers: machineOf(rank) };
  });
  return { shared, compare: () => differingRanks(groups.map((group, rank) => stateSums(shared[rank], group))) };
}

for (const machines of [
  [[0], [1], [2], [3]],
  [
    [0, 1],
    [2, 3],
  ],
  [[0, 1, 2], [3]],
  [[0, 1, 2, 3]],
]) {
  test(`machines with ranks ${JSON.stringify(machines)}`, async () => {
    const { shared, compare } = await fourRanks(machines);
    assert.equal(compare(), undefined);
    const last = shared[3];
    for (const arena of machines.length === 1 ? [] : [last.params, ...Object.values(last.moments)]) {
      for (const place of [0, arena.length >> 1, arena.length - 1]) {
        const before = arena[place];
        arena[place] += 1;
        const [first, other] = compare()!;
        assert.ok(shared[other].params === last.params && shared[first].params !== last.params);
        arena[place] = before;
      }
    }
    shared[2] = { ...shared[2], step: 1 };
    assert.deepEqual(compare(), [0, 2]);
  });
}
