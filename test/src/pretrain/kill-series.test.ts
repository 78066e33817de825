// A seeded sample of the kill series (kill-series.long.ts): a run killed right before its operations ends with the same weights.
import test from 'node:test';
import { prepareKillSeries, sampleChains } from './kill-series.js';
import { temporaryFolder } from './launch-runs.js';

const KILLS = 3;
/** Every day another sample, the same all day. */
const SEED = Math.floor(Date.now() / 86_400_000);

test('killed anywhere, a run ends with the weights of one that was not', async (context) => {
  const series = await prepareKillSeries(temporaryFolder(context), 2);
  context.diagnostic(`${series.places.length} places; seed ${SEED}`);
  for (const chain of sampleChains(series.places, 1, KILLS, SEED)) {
    for (const line of await series.kill(chain)) context.diagnostic(line);
  }
});
