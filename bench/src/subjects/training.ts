// One measured training by slip-launch, profiled: images per second, and the share of a step outside the engine. Prints one JSON line.
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { type TraceEvent, timeOutsideEngine } from './outside-engine.js';

const SLIP_LAUNCH = fileURLToPath(new URL('../../../orchestrator/bin/slip-launch.js', import.meta.url));
const WARM_UP_STEPS = 1;

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    model: { type: 'string', default: 'SLIP_VITS16' },
    ranks: { type: 'string', default: '2' },
    threads: { type: 'string', default: '1' },
    /** Of each rank. */
    'batch-size': { type: 'string', default: '8' },
    steps: { type: 'string', default: '2' },
  },
});
const [photographs] = positionals;
const steps = Number(values.steps);
const folder = mkdtempSync(path.join(os.tmpdir(), 'slip-bench-training-'));
try {
  execFileSync(
    process.execPath,
    [
      ...[SLIP_LAUNCH, '--nproc', values.ranks, '--threads', values.threads, '--model', values.model],
      ...['--dataset', 'coco', '--root', photographs, '--metadata', path.join(photographs, 'captions.json')],
      ...['--val-dataset', 'none', '--batch-size', values['batch-size'], '--output-dir', folder],
      ...['--max-steps', String(WARM_UP_STEPS + steps), '--profile', String(steps)],
    ],
    { stdio: ['ignore', 'ignore', 'inherit'] },
  );
  const traces = readdirSync(path.join(folder, 'profile')).map(
    (name) => JSON.parse(readFileSync(path.join(folder, 'profile', name), 'utf8')).traceEvents as TraceEvent[],
  );
  const times = traces.map(timeOutsideEngine);
  const slowest = times.reduce((a, b) => (a.stepMs > b.stepMs ? a : b));
  const images = steps * Number(values.ranks) * Number(values['batch-size']);
  const outside = times.map(({ stepMs, engineMs }) => 100 * (1 - engineMs / stepMs));
  console.log(
    JSON.stringify({
      imagesPerSecond: (1000 * images) / slowest.stepMs,
      // The mean over ranks: what one of them waits for the other is in it.
      outsidePercent: outside.reduce((sum, value) => sum + value, 0) / outside.length,
      ...Object.fromEntries(
        Object.entries(slowest.byTrackMs).map(([track, ms]) => [`${track}Percent`, (100 * ms) / slowest.stepMs]),
      ),
    }),
  );
} finally {
  rmSync(folder, { recursive: true, force: true });
}
