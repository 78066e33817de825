// The emoji study's plan, its results file and its page; the runs themselves are tested elsewhere.
import assert from 'node:assert/strict';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import test from 'node:test';
import { readSettings } from './emoji-study.js';
import { spreadOf, studyPage, studyPlot } from './study-page.js';
import { studyChains } from './study-plan.js';
import { figuresOf, readResults, type StepFigures, writeDone } from './study-results.js';

const steps = studyChains('runs/s', [0, 1], ['--max-steps', '2']).flat();
const done = (acc1: number): StepFigures => ({ acc1, acc5: 50, stepMs: 60 });

test('every seed has a chain for each method, its probe and fine-tuning on its own weights', () => {
  assert.equal(steps.length, 18);
  assert.equal(new Set(steps.map(({ key }) => key)).size, 18);
  const finetune = steps.find(({ key }) => key === 'slip-seed1-finetune')!;
  assert.ok(finetune.args.includes(path.join('runs/s', 'slip-seed1-pretrain', 'checkpoints', 'latest')));
  assert.deepEqual(finetune.args.slice(-2), ['--max-steps', '2']);
  assert.equal(steps.find(({ key }) => key === 'simclr-seed0-pretrain')!.measure, undefined);
});

test('the page shows means and deviations of the seeds that are there, and says what is missing', () => {
  const facts = {
    date: 'd',
    machine: 'm',
    command: 'c',
    plot: 'p.svg',
    heldOut: { images: 9, classes: 50, largestClass: 5 },
  };
  const results = { 'slip-seed0-pretrain': done(10), 'slip-seed1-pretrain': done(13), 'clip-seed0-linear': done(7) };
  const page = studyPage(steps, results, facts);
  assert.match(page, /Unfinished: 3 of 18/);
  assert.match(page, /\| SLIP \| 11\.5 ± 2\.1 \| - \| - \|/);
  assert.match(page, /\| CLIP \| - \| 7\.0 \(1 seed\) \| - \|/);
  assert.match(page, /\| slip-seed1-pretrain \| 13\.0 \| 50\.0 \| 60 \|/);
  assert.match(page, /\| simclr-seed1-finetune \| - \| - \| not done \|/);
  const whole = Object.fromEntries(steps.map(({ key }) => [key, done(1)]));
  assert.doesNotMatch(studyPage(steps, whole, facts), /Unfinished/);
  assert.equal(studyPlot(steps, results, 2).match(/<circle/g)!.length, 3);
  const { mean, deviation } = spreadOf([10, 13]);
  assert.equal(mean, 11.5);
  assert.ok(Math.abs(deviation - Math.sqrt(4.5)) < 1e-12);
});

test('figures are read from the run folders; a folder of other settings is refused', async (context) => {
  const folder = await mkdtemp(path.join(os.tmpdir(), 'slip-study-'));
  context.after(() => rm(folder, { recursive: true }));
  const [pretrain, linear, finetune] = studyChains(folder, [0], [])[0];
  for (const step of [pretrain, linear, finetune]) await mkdir(step.folder, { recursive: true });
  await writeFile(path.join(pretrain.folder, 'evaluation.json'), JSON.stringify({ figures: { acc1: 3, acc5: 9 } }));
  await writeFile(
    path.join(finetune.folder, 'log.txt'),
    '{"test_acc1":9,"test_acc5":9}\n{"test_acc1":4,"test_acc5":8}\n',
  );
  const times = [5, 9, 7].map((stepMs) => JSON.stringify({ kind: 'step', stepMs })).join('\n');
  for (const { folder: run } of [pretrain, finetune])
    await writeFile(path.join(run, 'metrics.jsonl'), `{"kind":"epoch"}\n${times}\n`);
  assert.deepEqual(await figuresOf(pretrain), { acc1: 3, acc5: 9, stepMs: 7 });
  assert.equal((await figuresOf(finetune)).acc1, 4);
  await assert.rejects(figuresOf(linear), { code: 'data', message: /probe\.json has no figures/ });
  await writeDone(folder, pretrain);
  assert.equal(Object.keys(await readResults(folder, [pretrain])).length, 1);
  const [[other]] = studyChains(folder, [0], ['--epochs', '1']);
  await assert.rejects(readResults(folder, [other]), { code: 'config', message: /choose another --output-dir/ });
});

test('wrong options are errors that name them', () => {
  assert.equal(readSettings(['--help']), undefined);
  assert.deepEqual(readSettings(['--seeds', '3,4', '--jobs=1', '--', '--epochs', '1'])?.extra, ['--epochs', '1']);
  for (const argv of [['--seeds', '1,x'], ['--jobs', '0'], ['--bogus']])
    assert.throws(() => readSettings(argv), { code: 'config' });
});
