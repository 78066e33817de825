// A seeded sample of the kill series (kill-series.long.ts): a run killed right before an operation ends with the same weights.
import test from 'node:test';
import { prepareKillSeries, samplePlaces } from './kill-series.js';
import { temporaryFolder } from './launch-runs.js';

const SAMPLE = 3;
/** Every day another sample, the same all day. */
const SEED = Math.floor(Date.now() / 86_400_000);

test('killed anywhere, a run ends with the weights of one that was not', async (context) => {
  const series = await prepareKillSeries(temporaryFolder(context), 2);
  context.diagnostic(`${series.places.length} operations; seed ${SEED}`);
  for (const place of samplePlaces(series.places, SAMPLE, SEED)) context.diagnostic(await series.killAt(place));
});
