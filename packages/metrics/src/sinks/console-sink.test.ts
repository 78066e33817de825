// What people see: the plain lines to the letter, and the text of the progress bar.
import assert from 'node:assert/strict';
import test from 'node:test';
import { duration, type Progress, progressText } from '../progress-text.js';
import { createRunMetrics } from '../run-metrics.js';
import { recordingLog, sampleOptions, sampleStep, temporaryRun } from '../testing/sample-run.js';

test('plain lines have the form of the reference and come when asked for', async (t) => {
  const log = recordingLog();
  const metrics = await createRunMetrics(sampleOptions(temporaryRun(t), { log, stepsPerEpoch: 3586, family: 'CLIP' }));
  metrics.step(sampleStep(1, 'CLIP'), true);
  metrics.step(sampleStep(2, 'CLIP'), false);
  metrics.step({ ...sampleStep(3, 'CLIP'), stepMs: 12_345, loss: 1e-12, lr: 0 }, true);
  metrics.message('0-shot * Acc@1 1.000');
  await metrics.close();
  assert.deepEqual(log.infos, [
    'Epoch: [0][   0/3586]\tTime   0.50 (  0.50)\tData   0.02 (  0.02)\tMem (GB)    1.3 (   1.3)\t' +
      'loss 1.00e+01 (1.00e+01)\tclip_loss 5.00e+00 (5.00e+00)\tclip_acc 1.00e+01 (1.00e+01)\tlr 3.00e-04\timg/s 120.3',
    'Epoch: [0][   2/3586]\tTime  12.35 (  4.45)\tData   0.02 (  0.02)\tMem (GB)    1.3 (   1.3)\t' +
      'loss 1.00e-12 (5.00e+00)\tclip_loss 1.67e+00 (3.06e+00)\tclip_acc 3.00e+01 (2.00e+01)\tlr 0.00e+00\timg/s 120.3',
    '0-shot * Acc@1 1.000',
  ]);
});

test('the text of a bar has the most important first', () => {
  const text = progressText(sampleStep(5), 500, { totalSteps: 89_650, stepsPerEpoch: 3586, startStep: 0 });
  assert.equal(text, 'step 5/89650  ETA 12h27m  loss 2.000  120 img/s  data wait 4%  epoch 1');
});

test('the state of the bar follows every step', async (t) => {
  const shown: Progress[] = [];
  const options = sampleOptions(temporaryRun(t), { showProgress: (progress) => shown.push(progress) });
  const metrics = await createRunMetrics(options);
  metrics.step(sampleStep(1), true);
  metrics.step(sampleStep(6), false);
  await metrics.close();
  assert.deepEqual(
    shown.map(({ share }) => share),
    [1 / 12, 6 / 12],
  );
  assert.match(shown[1].text, /^step 6\/12 {2}ETA 3s {2}loss 1\.667/);
});

test('durations are short', () => {
  assert.deepEqual([0, 59.4, 61, 3600, 86_399, 190_000, Number.NaN].map(duration), [
    '0s',
    '59s',
    '1m01s',
    '1h00m',
    '23h59m',
    '2d04h',
    '?',
  ]);
});
