// What people see: the plain lines to the letter, and a terminal whose bar does not tear other lines.
import assert from 'node:assert/strict';
import { PassThrough } from 'node:stream';
import test from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { createRunMetrics } from '../run-metrics.js';
import { recordingLog, sampleOptions, sampleStep, temporaryRun } from '../testing/sample-run.js';
import { duration, progressLine, progressText } from './progress-bar.js';

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

function fakeTerminal(columns: number): { stream: NodeJS.WriteStream; text: () => string } {
  const stream = Object.assign(new PassThrough(), { isTTY: true, columns }) as unknown as NodeJS.WriteStream;
  let text = '';
  stream.on('data', (chunk) => {
    text += String(chunk);
  });
  return { stream, text: () => text };
}

/** What a terminal shows after `text`: carriage returns, erased lines, no colours. */
function screenOf(text: string): string[] {
  const lines = [''];
  // biome-ignore lint/suspicious/noControlCharactersInRegex: terminals are steered by control characters
  for (const [part] of text.matchAll(/\x1b\[[0-9;?]*[A-Za-z]|\x1b[78]|\r|\n|[^\x1b\r\n]+/g)) {
    assert.notEqual(part, '\x1b8', 'the cursor must not jump back');
    const line = lines.length - 1;
    if (part === '\n') lines.push('');
    else if (part === '\r' || part.endsWith('G')) lines[line] = `\r${lines[line]}`;
    else if (part === '\x1b[2K') lines[line] = '';
    else if (!part.startsWith('\x1b')) lines[line] = lines[line].startsWith('\r') ? part : lines[line] + part;
  }
  return lines.map((line) => line.replaceAll('\r', ''));
}

test('lines written while the bar is shown scroll past it whole', async (t) => {
  const { stream, text } = fakeTerminal(100);
  const write = stream.write;
  const metrics = await createRunMetrics(sampleOptions(temporaryRun(t), { terminal: true }), {
    terminal: stream,
    now: Date.now,
  });
  metrics.step(sampleStep(1), true);
  stream.write('a line of the log\n');
  metrics.message('a message');
  await sleep(450);
  metrics.step(sampleStep(6), false);
  await metrics.close();
  stream.write('after\n');
  assert.equal(stream.write, write);
  const screen = screenOf(text()).filter((line) => line !== '');
  assert.deepEqual(screen.slice(0, 2), ['a line of the log', 'a message']);
  assert.match(screen[2], /^ 50% █+░+ {2}step 6\/12 {2}ETA 3s {2}loss 1\.667 {2}120 img\/s {2}data wait 4%/);
  assert.equal(screen[3], 'after');
  assert.equal(screen.length, 4);
});

test('the bar fits the terminal and cuts the least important first', () => {
  const text = progressText(sampleStep(5), 500, { totalSteps: 89_650, stepsPerEpoch: 3586, startStep: 0 });
  assert.equal(text, 'step 5/89650  ETA 12h27m  loss 2.000  120 img/s  data wait 4%  epoch 1');
  for (const columns of [40, 80, 100, 200]) {
    // biome-ignore lint/suspicious/noControlCharactersInRegex: colours take no room
    const line = progressLine(0.5, text, columns).replace(/\x1b\[\d+m/g, '');
    assert.ok(line.length < columns, `${line.length} of ${columns}`);
    assert.match(line, /^ 50% █+░+ {2}step 5/);
  }
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
