// Starts a real run of two workers and prints how long it took until its first step: times of the run's own records, from before the
// command was started. Its data are made here.
import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';

const PROGRAM = path.resolve(import.meta.dirname, '../../../orchestrator/bin/slip-launch.js');

const { values } = parseArgs({
  options: {
    /** `help`, `bench-comm`, or the name of a model to train. */
    what: { type: 'string', default: 'SLIP_VITS16' },
    ranks: { type: 'string', default: '2' },
    'batch-size': { type: 'string', default: '2' },
    /** Graphs are found as a run before left them, or not at all. */
    cache: { type: 'string', default: 'warm' },
  },
});

/** A JPEG of 32 x 32 violet pixels. */
const PICTURE = [
  '/9j/4AAQSkZJRgABAQAAAQABAAD/2wBDABsSFBcUERsXFhceHBsgKEIrKCUlKFE6PTBCYFVlZF9VXVtqeJmBanGQc1tdhbWGkJ6jq62rZ4C8yb',
  'qmx5moq6T/2wBDARweHigjKE4rK06kbl1upKSkpKSkpKSkpKSkpKSkpKSkpKSkpKSkpKSkpKSkpKSkpKSkpKSkpKSkpKSkpKSkpKT/wAARCAAg',
  'ACADASIAAhEBAxEB/8QAFQABAQAAAAAAAAAAAAAAAAAAAAP/xAAUEAEAAAAAAAAAAAAAAAAAAAAA/8QAFgEBAQEAAAAAAAAAAAAAAAAAAAIE/8',
  'QAFBEBAAAAAAAAAAAAAAAAAAAAAP/aAAwDAQACEQMRAD8AmA0LAAAAAAf/2Q==',
];

const folder = mkdtempSync(path.join(os.tmpdir(), 'slip-bench-start-'));
try {
  console.log(JSON.stringify(await measure()));
} finally {
  rmSync(folder, { recursive: true, force: true });
}

async function measure(): Promise<Record<string, number>> {
  if (values.what === 'help') return untilEnd(await run(['--help']));
  const common = ['--nproc', values.ranks, '--output-dir', path.join(folder, 'run')];
  if (values.what === 'bench-comm') {
    return untilEnd(await run([...common, 'bench-comm', '--sizes', '1K', '--iterations', '1']));
  }
  const train = [
    ...[...common, '--model', values.what, '--batch-size', values['batch-size'], '--max-steps', '1'],
    ...['--dataset', 'csv', '--root', folder, '--metadata', writePictures(4 * Number(values.ranks))],
    ...['--workers', '0', '--val-dataset', 'none'],
  ];
  // The run before leaves its graphs and nothing else.
  if (values.cache === 'warm') {
    await run(train);
    rmSync(path.join(folder, 'run'), { recursive: true });
  }
  const startedAt = Date.now();
  const totalS = await run(train);
  const { time, stepMs } = firstStep();
  return { toFirstStepS: time - (startedAt + stepMs) / 1000, totalS };
}

/** What has no steps. */
function untilEnd(totalS: number): Record<string, number> {
  return { toFirstStepS: totalS, totalS };
}

/** @returns seconds from start to exit */
function run(args: readonly string[]): Promise<number> {
  const begin = performance.now();
  const graphs = values.cache === 'off' ? 'off' : path.join(folder, 'graphs');
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [PROGRAM, ...args], {
      stdio: ['ignore', 'ignore', 'pipe'],
      env: { ...process.env, SLIP_GRAPH_CACHE: graphs },
    });
    let errors = '';
    child.stderr.on('data', (chunk) => {
      errors += String(chunk);
    });
    child.on('error', reject);
    child.on('close', (code) => {
      if (code === 0) resolve((performance.now() - begin) / 1000);
      else reject(new Error(`slip-launch ${args.join(' ')} ended with ${code}:\n${errors}`));
    });
  });
}

function firstStep(): { time: number; stepMs: number } {
  const lines = readFileSync(path.join(folder, 'run', 'metrics.jsonl'), 'utf8').split('\n');
  return JSON.parse(lines.find((line) => line.includes('"kind":"step"'))!) as { time: number; stepMs: number };
}

/** @returns a CSV that names as many copies of one picture */
function writePictures(count: number): string {
  const rows = ['filepath,title'];
  for (let i = 0; i < count; i++) {
    writeFileSync(path.join(folder, `${i}.jpg`), Buffer.from(PICTURE.join(''), 'base64'));
    rows.push(`${i}.jpg,a violet picture with number ${i}`);
  }
  const file = path.join(folder, 'captions.csv');
  writeFileSync(file, `${rows.join('\n')}\n`);
  return file;
}
