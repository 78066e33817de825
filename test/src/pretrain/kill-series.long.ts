// The kill series: 2 and 4 ranks, killed before operations of every kind, in every thread of every rank; at least a hundred kills.
// SLIP_TEST_SEED chooses another sample. Progress is told as it goes on standard error.
import assert from 'node:assert/strict';
import test from 'node:test';
import { prepareKillSeries, sampleChains } from './kill-series.js';
import { temporaryFolder } from './launch-runs.js';

const SEED = Number(process.env.SLIP_TEST_SEED ?? 0);
const [CHAINS, LENGTH, REACHED] = [8, 8, 52];

for (const ranks of [2, 4]) {
  test(`${ranks} ranks, killed ${CHAINS} times ${LENGTH} times: always the same weights`, async (context) => {
    const series = await prepareKillSeries(temporaryFolder(context), ranks);
    console.error(`${ranks} ranks: ${series.places.length} places; seed ${SEED}`);
    let reached = 0;
    for (const chain of sampleChains(series.places, CHAINS, LENGTH, SEED)) {
      const lines = await series.kill(chain);
      reached += lines.length - 1;
      console.error(`${ranks} ranks, ${reached} kills so far:\n  ${lines.join('\n  ')}`);
    }
    assert.ok(reached >= REACHED, `only ${reached} kills happened`);
  });
}
