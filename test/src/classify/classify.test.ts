// Linear probing and fine-tuning through the real launcher: they learn, ranks make no difference, and a run that is stopped or killed
// ends with the same bits. All combinations are in classify.long.ts.
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import test, { after, before } from 'node:test';
import { openWeights, readWhole } from '@slip/weights';
import { launch } from '../pretrain/launch-runs.js';
import {
  assertAlike,
  assertSame,
  type ClassifyPlace,
  finetuneFlags,
  linearFlags,
  logLines,
  makePlace,
  run,
  runKilled,
} from './classify-runs.js';

let place: ClassifyPlace;
before(async () => {
  place = await makePlace(mkdtempSync(path.join(os.tmpdir(), 'slip-classify-')));
});
after(() => rmSync(place.folder, { recursive: true, force: true }));

test('linear: learns on 1 and 3 ranks alike, leaves the tower as it was, and goes on after a stop', async (context) => {
  const one = await run(place, 'linear-1', ['--nproc', '1', ...linearFlags(place)]);
  const three = await run(place, 'linear-3', ['--nproc', '3', ...linearFlags(place)]);
  context.diagnostic(await assertAlike(three, one));
  const { test_acc1 } = logLines(one.runFolder).at(-1)!;
  assert.ok(test_acc1 > 80, `${test_acc1} % of four classes`);
  assert.match(one.output, /linear imagenet \* Acc@1 [0-9.]+ Acc@5 .* best Acc@1/);
  await assertFrozen(path.join(one.runFolder, 'checkpoints/latest'));

  const { output } = await launch([
    '--nproc',
    '1',
    ...linearFlags(place),
    '--evaluate',
    '--output-dir',
    three.runFolder,
  ]);
  assert.match(output, new RegExp(`linear imagenet \\* Acc@1 ${test_acc1.toFixed(3)} `));

  const cut = ['--nproc', '3', ...linearFlags(place)];
  await run(place, 'linear-cut', [...cut, '--max-steps', '5']);
  const continued = await run(place, 'linear-cut', cut);
  assert.match(continued.output, /continuing from \S+ \(step 5\)/);
  assertSame(continued, three);
});

test('finetune: learns on 1 and 2 ranks alike, and a killed run has the same bits', async (context) => {
  const one = await run(place, 'finetune-1', ['--nproc', '1', ...finetuneFlags(place)]);
  const two = await run(place, 'finetune-2', ['--nproc', '2', ...finetuneFlags(place)]);
  context.diagnostic(await assertAlike(two, one));
  const last = logLines(one.runFolder).at(-1)!;
  assert.ok(last.test_acc1 > 80, `${last.test_acc1} % of four classes`);
  assert.match(one.output, /finetune imagenet \* Acc@1 [0-9.]+ .* averaged weights Acc@1/);
  const killed = ['--nproc', '2', ...finetuneFlags(place), '--checkpoint-every-steps', '2'];
  assertSame(await runKilled(place, 'finetune-killed', killed), two);
});

/** A checkpoint of linear probing is a timm model whose tower is the one that it began with. */
async function assertFrozen(checkpoint: string): Promise<void> {
  const [before, after] = await Promise.all([openWeights(place.tower), openWeights(checkpoint)]);
  assert.equal(after.format, 'timm');
  const given = new Map(before.tensors.map((tensor) => [tensor.name, tensor]));
  assert.ok(after.tensors.length > 20);
  for (const tensor of after.tensors)
    assert.deepEqual(await readWhole(tensor), await readWhole(given.get(tensor.name)!), tensor.name);
  await Promise.all([before.close(), after.close()]);
}
