// Linear probing and fine-tuning in float16 through the real launcher: steps that overflow are left out and counted, and a run that is
// killed ends with the same bits and the same loss scale.
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import test, { after, before } from 'node:test';
import { stepRecords } from '../pretrain/launch-runs.js';
import {
  type ClassifyPlace,
  type ClassifyRun,
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

const scalesOf = ({ runFolder }: ClassifyRun) =>
  stepRecords(runFolder).map(({ loss_scale, skipped_steps }) => [loss_scale!, skipped_steps!] as const);

for (const [task, flagsOf] of [
  // So few rows are often of one class, whose gradients the first scale is too large for;
  ['linear', (of: ClassifyPlace) => linearFlags(of).map((flag) => (flag === '12' ? '2' : flag))],
  // and a classifier that is this large makes such gradients.
  ['finetune', (of: ClassifyPlace) => [...finetuneFlags(of), '--init_scale', '500']],
] as const) {
  test(`${task} in float16: steps that overflow are left out, and a killed run has the same bits and scales`, async (context) => {
    const half = [
      '--nproc',
      '2',
      ...flagsOf(place),
      '--precision',
      'fp16',
      '--checkpoint-every-steps',
      '2',
      '--max-steps',
      '12',
    ];
    const whole = await run(place, `${task}-whole`, half);
    assert.match(whole.output, /precision fp16: float32 weights.*dynamic loss scaling/);
    const scales = scalesOf(whole);
    context.diagnostic(JSON.stringify(scales));
    assert.equal(scales[0][0], 65536);
    const skipped = scales.at(-1)![1];
    assert.ok(skipped > 0 && skipped < 12, `${skipped} steps were left out`);
    for (const [i, [scale, soFar]] of scales.entries()) {
      const [before, last] = [scales[i - 2]?.[1] ?? 0, scales[i - 1] ?? [65536, 0]];
      assert.equal(scale, last[1] > before ? last[0] / 2 : last[0], `scale of step ${i + 1}`);
      assert.ok(soFar - last[1] <= 1);
    }

    const killed = await runKilled(place, `${task}-killed`, half);
    assert.deepEqual(killed.weights, whole.weights);
    assert.deepEqual([killed.losses, scalesOf(killed)], [whole.losses, scales]);
  });
}
