// Both tasks on 1, 2, 3 and 4 ranks, over both transports, with the same bits on any number of ranks, stopped and killed: every
// combination that classify.test.ts has no time for.
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import test, { after, before } from 'node:test';
import {
  assertAlike,
  assertSame,
  type ClassifyPlace,
  finetuneFlags,
  linearFlags,
  makePlace,
  run,
  runKilled,
} from './classify-runs.js';

let place: ClassifyPlace;
before(async () => {
  place = await makePlace(mkdtempSync(path.join(os.tmpdir(), 'slip-classify-')));
});
after(() => rmSync(place.folder, { recursive: true, force: true }));

const MODES = ['batch', 'pair', 'elem'];
/** The published recipe's tower, and mixing of every kind. */
const VARIANTS: Readonly<Record<string, () => string[]>> = {
  linear: () => linearFlags(place),
  'finetune beit': () => finetuneFlags(place),
  'finetune published': () => [
    ...finetuneFlags(place),
    ...['--disable_rel_pos_bias', '--abs_pos_emb', '--use_cls', '--layer_scale_init_value', '0'],
  ],
  ...Object.fromEntries(
    MODES.map((mode) => [`finetune ${mode}`, () => [...finetuneFlags(place), '--mixup-mode', mode]]),
  ),
};

for (const [title, flags] of Object.entries(VARIANTS)) {
  const name = title.replaceAll(' ', '-');
  test(`${title}: 1, 2, 3 and 4 ranks train alike, over both transports`, async (context) => {
    const one = await run(place, `${name}-1`, ['--nproc', '1', ...flags()]);
    for (const ranks of [2, 3, 4]) {
      const transport = ['--transport', ranks === 3 ? 'zmq' : 'shared'];
      const other = await run(place, `${name}-${ranks}`, ['--nproc', String(ranks), ...flags(), ...transport]);
      context.diagnostic(`${ranks} ranks: ${await assertAlike(other, one)}`);
    }
  });

  test(`${title}: --reduce invariant gives the same bits on 1, 2 and 4 ranks`, async () => {
    const invariant = [...withoutClipping(flags()), '--reduce', 'invariant', '--reduce-shards', '4'];
    const one = await run(place, `${name}-invariant-1`, ['--nproc', '1', ...invariant]);
    for (const ranks of [2, 4]) {
      const other = await run(place, `${name}-invariant-${ranks}`, ['--nproc', String(ranks), ...invariant]);
      assert.deepEqual(other.weights, one.weights);
    }
  });

  test(`${title}: stopped in the middle of an epoch, killed, and continued, a run has the same bits`, async () => {
    const args = ['--nproc', '2', ...flags(), '--checkpoint-every-steps', '2'];
    const whole = await run(place, `${name}-whole`, args);
    await run(place, `${name}-cut`, [...args, '--max-steps', '5']);
    assertSame(await run(place, `${name}-cut`, args), whole);
    assertSame(await runKilled(place, `${name}-killed`, args), whole);
  });
}

/** The norm that gradients are clipped by is summed over the shards of ranks, so its last bits depend on them. */
function withoutClipping(flags: readonly string[]): string[] {
  const at = flags.indexOf('--clip_grad');
  return at === -1 ? [...flags] : [...flags.slice(0, at), ...flags.slice(at + 2)];
}
