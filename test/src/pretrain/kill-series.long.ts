// The kill series: 2 and 4 ranks, killed before operations of every kind, in every thread of every rank; at least a hundred kills.
// SLIP_TEST_SEED chooses another sample.
import assert from 'node:assert/strict';
import test from 'node:test';
import { prepareKillSeries, samplePlaces } from './kill-series.js';
import { temporaryFolder } from './launch-runs.js';

const SEED = Number(process.env.SLIP_TEST_SEED ?? 0);

for (const ranks of [2, 4]) {
  test(`${ranks} ranks, killed 60 times: always the same weights`, async (context) => {
    const series = await prepareKillSeries(temporaryFolder(context), ranks);
    context.diagnostic(`${series.places.length} operations; seed ${SEED}`);
    let reached = 0;
    for (const place of samplePlaces(series.places, 60, SEED)) {
      const what = await series.killAt(place);
      context.diagnostic(what);
      if (!what.endsWith('was not reached')) reached += 1;
    }
    assert.ok(reached >= 52, `only ${reached} kills happened`);
  });
}
