// The kill series: 2 and 4 ranks, killed before operations of every kind, in every thread of every rank; more than a hundred kills.
// SLIP_TEST_SEED chooses another sample, SLIP_TEST_KILL_COUNT how many on each number of ranks.
import assert from 'node:assert/strict';
import test from 'node:test';
import { prepareKillSeries, sampleChains } from './kill-series.js';
import { temporaryFolder } from './launch-runs.js';

const SEED = Number(process.env.SLIP_TEST_SEED ?? 0);
const KILLS = Number(process.env.SLIP_TEST_KILL_COUNT ?? 52);
/** Kills of one run. A run that gets to its end has fewer, so there are chains to spare. */
const LENGTH = 8;
const CHAINS = Math.ceil((3 * KILLS) / LENGTH);

for (const ranks of [2, 4]) {
  test(`${ranks} ranks, killed ${KILLS} times: always the same weights`, async (context) => {
    const series = await prepareKillSeries(temporaryFolder(context), ranks);
    // At once, which a diagnostic is not.
    console.error(`${ranks} ranks: ${series.places.length} places; seed ${SEED}`);
    let reached = 0;
    for (const chain of sampleChains(series.places, CHAINS, LENGTH, SEED)) {
      if (reached >= KILLS) break;
      const lines = await series.kill(chain);
      reached += lines.length - 1;
      console.error(`${ranks} ranks, ${reached} kills so far: ${lines.join('; ')}`);
    }
    assert.ok(reached >= KILLS, `only ${reached} kills happened`);
  });
}
