// --pretrained: a run begins with the weights of another program or run, at step 0; with the options of CLIP's tower.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import path from 'node:path';
import test from 'node:test';
import { openWeights, readWhole } from '@slip/weights';
import {
  datasetFlags,
  launch,
  makeTinySet,
  root,
  start,
  stepRecords,
  TINY_MODEL,
  temporaryFolder,
} from './launch-runs.js';

const CLIP_TOWER = [
  ...['--vision-pre-norm', '--no-patch-bias', '--vision-activation', 'quick_gelu', '--vision-norm-eps', '1e-5'],
  ...['--text-activation', 'gelu'],
];
/** A learning rate of 0 keeps the weights as they came. */
const STILL = ['--lr', '0', '--lr-start', '0', '--lr-end', '0', '--seed', '7', '--max-steps', '1'];

async function modelDigests(runFolder: string): Promise<Record<string, string>> {
  const weights = await openWeights(path.join(runFolder, 'checkpoints/latest'));
  const digests: Record<string, string> = {};
  for (const tensor of weights.tensors) {
    digests[tensor.name] = createHash('sha256')
      .update(await readWhole(tensor))
      .digest('hex');
  }
  await weights.close();
  return digests;
}

test('a published name is downloaded once for all ranks, and a misfit is explained with flags', async (t) => {
  const folder = temporaryFolder(t);
  const set = await makeTinySet(path.join(folder, 'set'), 24);
  const run = (name: string, ...more: string[]): string[] => [
    ...['--batch-size', '4', '--epochs', '1', '--comm-timeout', '60', '--max-restarts', '0'],
    ...['--output-dir', path.join(folder, name)],
    ...[...datasetFlags(set), '--model', 'CLIP_VITS16', ...TINY_MODEL],
    ...more,
  ];
  const first = await launch(run('first', '--max-steps', '2', '--lr', '1e-3', ...CLIP_TOWER));
  assert.equal(first.code, 0, first.output);

  const file = path.join(folder, 'weights.pt');
  const program = path.join(root, 'orchestrator/bin/slip-checkpoint.js');
  const latest = path.join(folder, 'first/checkpoints/latest');
  const { status, stderr } = spawnSync(process.execPath, [program, 'convert', latest, file, '--to', 'torch']);
  assert.equal(status, 0, String(stderr));
  const requests: string[] = [];
  const server = createServer((request, response) => {
    requests.push(request.url ?? '');
    response.end(readFileSync(file));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.after(() => server.close());
  const environment = {
    SLIP_CACHE: path.join(folder, 'cache'),
    SLIP_MIRROR: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
  };

  const named = ['--nproc', '2', '--pretrained', 'clip_small_25ep', ...STILL];
  const second = await start(run('second', ...named, ...CLIP_TOWER), environment).finished;
  assert.equal(second.code, 0, second.output);
  assert.match(second.output, /starting from the weights of .*clip_small_25ep\.pt/);
  assert.deepEqual(requests, ['/clip_small_25ep.pt']);
  assert.equal(stepRecords(path.join(folder, 'second')).length, 1, 'counted from step 0');
  const [before, after] = await Promise.all(['first', 'second'].map((name) => modelDigests(path.join(folder, name))));
  assert.deepEqual(after, before);

  const misfit = await launch(run('third', '--pretrained', latest, ...STILL));
  assert.notEqual(misfit.code, 0);
  assert.match(misfit.output, /visual\.patch_embed\.proj\.bias is \[32\] in this run and not in the file/);
  assert.match(misfit.output, /--vision-pre-norm --no-patch-bias --vision-activation quick_gelu/);
});

test('what is given to --pretrained has to be there', async (t) => {
  const folder = temporaryFolder(t);
  const missing = await launch(['--pretrained', './none.pt', '--output-dir', folder]);
  assert.match(missing.output, /--pretrained \.\/none\.pt: there is no such file or folder/);
  const unknown = await launch(['--pretrained', 'slip_bas_100ep', '--output-dir', folder]);
  assert.match(unknown.output, /did you mean slip_base_100ep\?/);
  const offline = await start(['--pretrained', 'slip_base_100ep', '--output-dir', folder], {
    SLIP_CACHE: path.join(folder, 'cache'),
    SLIP_MIRROR: 'http://127.0.0.1:1/',
  }).finished;
  assert.match(offline.output, /without a network, put the file into .*cache/);
  const both = await launch(['--pretrained', 'a.pt', '--resume', 'b', '--output-dir', folder]);
  assert.match(both.output, /--resume continues a run and --pretrained starts one/);
});
