// The report page: its curves, its pictures, what it refuses to trust, and the arithmetic of its axes.
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import test from 'node:test';
import { createRunMetrics } from '../run-metrics.js';
import type { Family } from '../step-record.js';
import { sampleOptions, sampleStep, temporaryRun } from '../testing/sample-run.js';
import { smoothed, thinned } from './curves.js';
import { renderReport } from './render-report.js';
import { formatNumber, lineChart, niceAxis, type Point } from './svg-chart.js';

async function recordRun(runDir: string, family: Family, steps: number): Promise<void> {
  const metrics = await createRunMetrics(sampleOptions(runDir, { family }));
  for (let step = 1; step <= steps; step++) metrics.step(sampleStep(step, family), false);
  if (family !== 'SIMCLR')
    metrics.evaluation({
      step: steps,
      acc1: 21.25,
      acc5: 50,
      meanRecall: 18.5,
      chance: 2,
      largestClass: 6,
      images: 1541,
      classes: 50,
    });
  await metrics.close();
}

function titlesIn(page: string): string[] {
  return [...page.matchAll(/<text class="title"[^>]*>([^<]*)</g)].map(([, title]) => title);
}

test('the page of a classifier shows its accuracy, and does not call it zero-shot', async (t) => {
  const runDir = temporaryRun(t);
  await recordRun(runDir, 'FINETUNE', 40);
  const page = readFileSync(await renderReport({ runDir, title: 'fine-tuning' }), 'utf8');
  assert.deepEqual(titlesIn(page).slice(0, 3), ['Training loss', 'Validation accuracy', 'Training accuracy']);
});

test('the page of a SLIP run has its curves and figures and needs no other file', async (t) => {
  const runDir = temporaryRun(t);
  await recordRun(runDir, 'SLIP', 900);
  const out = await renderReport({ runDir, title: 'Quickstart', facts: { model: 'SLIP_VITS16', parameters: 1234567 } });
  assert.equal(out, path.join(runDir, 'report.html'));
  const page = readFileSync(out, 'utf8');
  assert.deepEqual(titlesIn(page), [
    'Training loss',
    'Zero-shot accuracy',
    'Matching accuracy in the batch',
    'Learning rate',
    'Throughput',
    'Logit scale',
  ]);
  for (const text of ['1,234,567', 'SLIP_VITS16', '18.5 %', '9.3 x chance (2.0 %)', '21.3 %', '6.0 %', '1,541, 50']) {
    assert.ok(page.includes(text), `${text} is shown`);
  }
  assert.doesNotMatch(page, /NaN|undefined|Infinity/);
  assert.doesNotMatch(page, /(?:src|href)="(?!data:)|url\((?!#)|@import/);
  assert.ok(page.length < 300_000, `${page.length} characters for 900 steps`);
  const lossLines = [...page.matchAll(/<path class="line" stroke="[^"]*" d="M[\d.]+ [\d.]+L/g)];
  assert.ok(lossLines.length >= 8, `${lossLines.length} curves`);
});

test('a SimCLR run has no zero-shot and no logit scale', async (t) => {
  const runDir = temporaryRun(t);
  await recordRun(runDir, 'SIMCLR', 5);
  const page = readFileSync(await renderReport({ runDir, title: 'x' }), 'utf8');
  assert.deepEqual(titlesIn(page), ['Training loss', 'Matching accuracy in the batch', 'Learning rate', 'Throughput']);
});

test('a run without a step has a page that says so', async (t) => {
  const out = path.join(temporaryRun(t), 'elsewhere.html');
  await renderReport({ runDir: path.dirname(out), title: 'nothing yet', out });
  assert.match(readFileSync(out, 'utf8'), /holds no steps yet/);
});

/** A picture of one pixel. */
const GIF = Buffer.from('R0lGODlhAQABAIAAAAAAAP///ywAAAAAAQABAAACAUwAOw==', 'base64');

test('text from data sets cannot become markup', async (t) => {
  const runDir = temporaryRun(t);
  await recordRun(runDir, 'CLIP', 3);
  const nasty = '"><script>alert(1)</script>&';
  writeFileSync(path.join(runDir, 'a.gif'), GIF);
  const page = readFileSync(
    await renderReport({
      runDir,
      title: nasty,
      facts: { [nasty]: nasty },
      evaluation: { dataset: nasty },
      predictions: {
        classes: [nasty],
        items: [{ file: path.join(runDir, 'a.gif'), label: nasty, top: [{ label: nasty, probability: 1 }] }],
      },
    }),
    'utf8',
  );
  assert.doesNotMatch(page, /<script/);
  assert.ok(page.includes('&quot;&gt;&lt;script&gt;alert(1)&lt;/script&gt;&amp;'));
});

test('pictures are inside the page, right answers are marked, unreadable ones have a place', async (t) => {
  const runDir = temporaryRun(t);
  await recordRun(runDir, 'CLIP', 3);
  const file = path.join(runDir, 'a.gif');
  writeFileSync(file, GIF);
  const guesses = (first: string) => [
    { label: first, probability: 0.75 },
    { label: 'dog', probability: 0.2 },
  ];
  const items = [
    { file, label: 'cat', top: guesses('cat') },
    { file: path.join(runDir, 'gone.gif'), label: 'dog', top: guesses('cat') },
  ];
  const document = { dataset: 'pets', step: 3, figures: { acc1: 50 }, classes: ['cat', 'dog'], predictions: items };
  writeFileSync(path.join(runDir, 'evaluation.json'), JSON.stringify(document));
  const page = readFileSync(await renderReport({ runDir, title: 'x' }), 'utf8');
  assert.ok(page.includes(`src="data:image/gif;base64,${GIF.toString('base64')}"`));
  assert.equal(page.match(/class="card right"/g)?.length, 1);
  assert.equal(page.match(/class="card wrong"/g)?.length, 1);
  assert.match(page, /class="nopicture"/);
  assert.match(page, /the first is right for 1\./);
  assert.match(page, /<th>zero-shot set<\/th><td>pets<\/td>/);
  writeFileSync(path.join(runDir, 'evaluation.json'), '{"half');
  assert.doesNotMatch(readFileSync(await renderReport({ runDir, title: 'x' }), 'utf8'), /class="card/);
});

test('axes have round ticks that enclose the data', () => {
  assert.deepEqual(niceAxis(0.3, 9.7, 5, false), { from: 0, to: 10, ticks: [0, 2, 4, 6, 8, 10] });
  assert.deepEqual(niceAxis(0, 0.0003, 5, false).ticks, [0, 0.0001, 0.0002, 0.0003]);
  assert.deepEqual(niceAxis(0, 89_650, 6, true), { from: 0, to: 89_650, ticks: [0, 20_000, 40_000, 60_000, 80_000] });
  for (const [low, high] of [
    [5, 5],
    [0, 0],
    [-3, -1],
    [1e-9, 2e-9],
    [-1, 1e6],
  ]) {
    const { from, to, ticks } = niceAxis(low, high, 5, false);
    assert.ok(from <= low && to >= high && from < to, `${low} to ${high} on ${from} to ${to}`);
    assert.ok(ticks.length >= 2 && ticks.length <= 8, `${ticks}`);
  }
});

test('a point stands where the axes say', () => {
  const svg = lineChart({
    title: 'T',
    xLabel: 'x',
    yLabel: 'y',
    series: [
      {
        name: 'a',
        color: '#000',
        points: [
          [0, 0],
          [5, Number.NaN],
          [10, 10],
        ],
      },
    ],
  });
  // Left edge 58, right 454, bottom 228, top 54.
  assert.ok(svg.includes('d="M58.0 228.0L454.0 54.0"'), svg);
});

test('numbers on axes are short', () => {
  const shown = [0, 3e-4, 0.00125, 0.25, 7, 149.5, 1234, 89_650, 2.5e6, -40].map(formatNumber);
  assert.deepEqual(shown, ['0', '3e-4', '1.25e-3', '0.25', '7', '150', '1,234', '89.7k', '2.5M', '-40']);
});

test('smoothing keeps straight lines, thinning keeps the last point', () => {
  const line = Array.from({ length: 1000 }, (_, i): Point => [i, 3 * i - 7]);
  for (const [i, [x, y]] of smoothed(line).entries()) {
    assert.equal(x, i);
    assert.ok(Math.abs(y - line[i][1]) < 1e-9);
  }
  const few = thinned(line);
  assert.ok(few.length <= 400 && few.length > 300);
  assert.deepEqual(few.at(-1), [999, 2990]);
});
