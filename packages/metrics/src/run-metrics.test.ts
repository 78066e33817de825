// The files of a run: what stands in them, what a resume removes, and that a failing output costs only itself.
import assert from 'node:assert/strict';
import { appendFileSync, readdirSync, readFileSync, statSync } from 'node:fs';
import path from 'node:path';
import test from 'node:test';
import { OpenRunMetrics } from './open-run-metrics.js';
import { createRunMetrics, type RunMetrics } from './run-metrics.js';
import type { Console } from './sinks/console-sink.js';
import type { MetricSink } from './sinks/metric-sink.js';
import type { Family } from './step-record.js';
import { jsonLines, recordingLog, sampleOptions, sampleStep, temporaryRun } from './testing/sample-run.js';

async function runSteps(metrics: RunMetrics, from: number, to: number, family: Family = 'SLIP'): Promise<void> {
  for (let step = from; step <= to; step++) {
    metrics.step(sampleStep(step, family), false);
    if (step % 4 === 0)
      await metrics.epoch({
        epoch: step / 4 - 1,
        ...(family === 'SIMCLR' ? {} : { test_acc1: step, test_acc5: 2 * step }),
      });
  }
}

test('every step, validation and epoch is one line with its kind, step and time', async (t) => {
  const runDir = temporaryRun(t);
  const metrics = await createRunMetrics(sampleOptions(runDir), { now: () => 1_234_500 });
  await runSteps(metrics, 1, 4);
  metrics.evaluation({ step: 4, acc1: 7.5 });
  await metrics.close();
  const lines = jsonLines(runDir, 'metrics.jsonl');
  assert.deepEqual(
    lines.map(({ kind, step, time }) => [kind, step, time]),
    [...[1, 2, 3, 4].map((step) => ['step', step, 1234.5]), ['epoch', 4, 1234.5], ['eval', 4, 1234.5]],
  );
  assert.deepEqual(lines[1], { kind: 'step', ...sampleStep(2), time: 1234.5 });
  assert.equal(lines[5].acc1, 7.5);
});

test('an attempt knows the best validation and the last epoch of those before it, up to where it starts', async (t) => {
  const runDir = temporaryRun(t);
  const first = await createRunMetrics(sampleOptions(runDir));
  assert.deepEqual(first.earlier, { lastEpochEnd: 0, bestAcc1: 0 });
  await runSteps(first, 1, 8);
  for (const [step, acc1] of [
    [4, 7.5],
    [8, 3],
    [12, 50],
  ]) {
    first.evaluation({ step, acc1 });
  }
  await first.close();
  const second = await createRunMetrics(sampleOptions(runDir, { startStep: 8 }));
  assert.deepEqual(second.earlier, { lastEpochEnd: 8, bestAcc1: 7.5 });
  await second.close();
});

const LOG_KEYS: Readonly<Record<'CLIP' | 'SLIP' | 'SIMCLR', string[]>> = {
  CLIP: [
    'train_loss',
    'train_clip_loss',
    'train_clip_acc',
    'train_lr',
    'train_logit_scale',
    'test_acc1',
    'test_acc5',
    'epoch',
  ],
  SLIP: [
    ...['train_loss', 'train_clip_loss', 'train_ssl_loss', 'train_clip_acc', 'train_ssl_acc'],
    ...['train_lr', 'train_logit_scale', 'test_acc1', 'test_acc5', 'epoch'],
  ],
  SIMCLR: ['train_loss', 'train_ssl_loss', 'train_ssl_acc', 'train_lr', 'train_logit_scale', 'test_acc1', 'epoch'],
};
for (const family of ['CLIP', 'SLIP', 'SIMCLR'] as const) {
  test(`log.txt has the reference's keys for ${family}, with means over the epoch`, async (t) => {
    const runDir = temporaryRun(t);
    const metrics = await createRunMetrics(sampleOptions(runDir, { family }));
    await runSteps(metrics, 1, 8, family);
    await metrics.close();
    const lines = jsonLines(runDir, 'log.txt');
    assert.equal(lines.length, 2);
    assert.deepEqual(Object.keys(lines[1]), LOG_KEYS[family]);
    const { train_loss, train_lr, train_logit_scale, test_acc1, epoch } = lines[1];
    assert.equal(train_loss, (10 / 5 + 10 / 6 + 10 / 7 + 10 / 8) / 4);
    assert.deepEqual([train_lr, epoch], [3e-4, 1]);
    assert.deepEqual([train_logit_scale, test_acc1], family === 'SIMCLR' ? [0, -1] : [14.5, 8]);
  });
}

test('log.txt of classifiers has the metrics of the original, and nothing of pre-training', async (t) => {
  for (const [family, keys] of [
    ['LINEAR', ['train_acc1', 'train_acc5', 'train_loss', 'train_lr', 'test_acc1', 'test_acc5', 'test_loss', 'epoch']],
    ['FINETUNE', ['train_loss', 'train_acc1', 'train_lr', 'test_acc1', 'test_acc5', 'test_loss', 'epoch']],
  ] as const) {
    const runDir = temporaryRun(t);
    const metrics = await createRunMetrics(sampleOptions(runDir, { family }));
    for (let step = 1; step <= 4; step++) metrics.step(sampleStep(step, family), false);
    await metrics.epoch({ test_acc1: 8, test_acc5: 9, test_loss: 1, epoch: 0 });
    await metrics.close();
    const [line] = jsonLines(runDir, 'log.txt');
    assert.deepEqual([Object.keys(line), line.train_acc1], [keys, 12.5]);
  }
});

test('figures that the caller knows better win over the means', async (t) => {
  const runDir = temporaryRun(t);
  const metrics = await createRunMetrics(sampleOptions(runDir));
  metrics.step(sampleStep(4), false);
  await metrics.epoch({ train_loss: 99, train_lr: 1, epoch: 0 });
  await metrics.close();
  const [line] = jsonLines(runDir, 'log.txt');
  assert.deepEqual([line.train_loss, line.train_lr, line.train_clip_loss], [99, 1, 1.25]);
  assert.deepEqual(Object.keys(line).slice(-2), ['train_logit_scale', 'epoch']);
});

test('a resume removes what was recorded after its step, and nothing before', async (t) => {
  const runDir = temporaryRun(t);
  const first = await createRunMetrics(sampleOptions(runDir));
  await runSteps(first, 1, 8);
  first.evaluation({ step: 8, acc1: 1 });
  await first.close();
  appendFileSync(path.join(runDir, 'metrics.jsonl'), '{"kind":"step","step":9,"lo');
  const resumed = await createRunMetrics(sampleOptions(runDir, { startStep: 6 }));
  assert.deepEqual(
    jsonLines(runDir, 'metrics.jsonl').map(({ kind, step }) => `${kind} ${step}`),
    ['step 1', 'step 2', 'step 3', 'step 4', 'epoch 4', 'step 5', 'step 6'],
  );
  assert.deepEqual(
    jsonLines(runDir, 'log.txt').map(({ epoch }) => epoch),
    [0],
  );
  await runSteps(resumed, 7, 8);
  await resumed.close();
  const steps = jsonLines(runDir, 'metrics.jsonl').filter(({ kind }) => kind === 'step');
  assert.deepEqual(
    steps.map(({ step }) => step),
    [1, 2, 3, 4, 5, 6, 7, 8],
  );
});

test('an epoch interrupted in its middle reports the same means as an uninterrupted one', async (t) => {
  const [whole, cut] = [temporaryRun(t), temporaryRun(t)];
  const uninterrupted = await createRunMetrics(sampleOptions(whole));
  await runSteps(uninterrupted, 1, 8);
  await uninterrupted.close();
  const first = await createRunMetrics(sampleOptions(cut));
  await runSteps(first, 1, 7);
  await first.close();
  const second = await createRunMetrics(sampleOptions(cut, { startStep: 6 }));
  await runSteps(second, 7, 8);
  await second.close();
  assert.equal(readFileSync(path.join(cut, 'log.txt'), 'utf8'), readFileSync(path.join(whole, 'log.txt'), 'utf8'));
});

test('an epoch that is ended again replaces its line', async (t) => {
  const runDir = temporaryRun(t);
  const first = await createRunMetrics(sampleOptions(runDir));
  await runSteps(first, 1, 4);
  await first.close();
  const again = await createRunMetrics(sampleOptions(runDir, { startStep: 4 }));
  await again.epoch({ epoch: 0, test_acc1: 77 });
  await again.close();
  assert.deepEqual(
    jsonLines(runDir, 'log.txt').map(({ test_acc1 }) => test_acc1),
    [77],
  );
  const epochs = jsonLines(runDir, 'metrics.jsonl').filter(({ kind }) => kind === 'epoch');
  assert.deepEqual(
    epochs.map(({ test_acc1 }) => test_acc1),
    [77],
  );
});

test('a resume with nothing to remove leaves the files alone', async (t) => {
  const runDir = temporaryRun(t);
  const first = await createRunMetrics(sampleOptions(runDir));
  await runSteps(first, 1, 4);
  await first.close();
  const inode = statSync(path.join(runDir, 'metrics.jsonl')).ino;
  await (await createRunMetrics(sampleOptions(runDir, { startStep: 4 }))).close();
  assert.equal(statSync(path.join(runDir, 'metrics.jsonl')).ino, inode);
});

test('a number that is not finite does not spoil a line', async (t) => {
  const runDir = temporaryRun(t);
  const metrics = await createRunMetrics(sampleOptions(runDir));
  metrics.step({ ...sampleStep(1), loss: Number.NaN }, false);
  await metrics.close();
  assert.equal(jsonLines(runDir, 'metrics.jsonl')[0].loss, null);
});

test('other ranks than the first write nothing', async (t) => {
  const runDir = temporaryRun(t);
  const metrics = await createRunMetrics(sampleOptions(runDir, { enabled: false }));
  await runSteps(metrics, 1, 4);
  metrics.evaluation({ step: 4 });
  metrics.message('hello');
  await metrics.close();
  assert.deepEqual(readdirSync(runDir), []);
});

test('an output that fails is dropped with one warning, the others go on', async (t) => {
  const log = recordingLog();
  const seen: number[] = [];
  const broken: MetricSink = {
    name: 'metrics.jsonl',
    step() {
      throw new Error('ENOSPC: no space left on device, write');
    },
    epoch: () => Promise.reject(new Error('never reached')),
    evaluation: () => undefined,
    checkpoint: () => undefined,
    close: () => assert.fail('closed although dropped'),
  };
  const healthy: MetricSink = {
    name: 'healthy',
    step: ({ step }) => seen.push(step),
    epoch: () => undefined,
    evaluation: () => undefined,
    checkpoint: () => undefined,
    close: () => undefined,
  };
  const nobody: Console = { step: () => undefined, message: () => undefined };
  const metrics = new OpenRunMetrics(sampleOptions(temporaryRun(t), { log }), [broken, healthy], nobody, {
    lastEpochEnd: 0,
    bestAcc1: 0,
  });
  await runSteps(metrics, 1, 4);
  await metrics.close();
  assert.deepEqual(seen, [1, 2, 3, 4]);
  assert.deepEqual(log.warnings, [
    'metrics.jsonl failed (ENOSPC: no space left on device, write); training goes on without it',
  ]);
});
