// A run that goes through PyTorch's file format half-way ends with the same weights, bit for bit.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import path from 'node:path';
import test from 'node:test';
import { datasetFlags, finalWeights, launch, makeTinySet, root, TINY_MODEL, temporaryFolder } from './launch-runs.js';

function convert(from: string, to: string, form: string): void {
  const program = path.join(root, 'orchestrator/bin/slip-checkpoint.js');
  const { status, stderr } = spawnSync(process.execPath, [program, 'convert', from, to, '--to', form]);
  assert.equal(status, 0, String(stderr));
}

test('checkpoint to .pt to checkpoint in mid-epoch: the continued run has the bits of the undisturbed one', async (t) => {
  const folder = temporaryFolder(t);
  const set = await makeTinySet(path.join(folder, 'set'), 50);
  const argumentsFor = (runFolder: string): string[] => [
    ...['--nproc', '2', '--batch-size', '4', '--epochs', '2', '--lr', '1e-3', '--comm-timeout', '20'],
    ...['--output-dir', runFolder, '--checkpoint-every-steps', '4', '--keep-checkpoints', '9'],
    ...[...datasetFlags(set), '--model', 'SLIP_VITS16', ...TINY_MODEL],
  ];
  const [undisturbed, continued] = ['undisturbed', 'continued'].map((name) => path.join(folder, name));
  const whole = await launch(argumentsFor(undisturbed));
  assert.equal(whole.code, 0, whole.output);
  const file = path.join(folder, 'half-way.pt');
  convert(path.join(undisturbed, 'checkpoints', 'step-00000004'), file, 'original');
  mkdirSync(continued);
  convert(file, path.join(continued, 'checkpoints'), 'checkpoint');
  const rest = await launch(argumentsFor(continued));
  assert.equal(rest.code, 0, rest.output);
  assert.match(rest.output, /continuing from .*step-00000004 \(step 4\)/);
  assert.deepEqual(finalWeights(continued), finalWeights(undisturbed));
});
