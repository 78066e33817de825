// Metadata of the published sets' full size: the first start, later starts, and several processes at once. The files are
// written by bench/scripts/write-large-metadata.py into the folder that SLIP_LARGE_METADATA names.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { existsSync, mkdirSync, rmSync } from 'node:fs';
import path from 'node:path';
import test from 'node:test';
import { promisify } from 'node:util';

const folder = process.env.SLIP_LARGE_METADATA ?? '';
const run = promisify(execFile);

interface Measured {
  readonly samples: number;
  readonly openMs: number;
  readonly readUs: number;
  readonly peakMiB: number;
  readonly privateMiB: number;
}

async function open(dataset: string, metadata: string, holdMs = 0): Promise<Measured> {
  const script = path.resolve(import.meta.dirname, '../testing/open-set.js');
  const { stdout } = await run(process.execPath, [
    script,
    dataset,
    folder,
    metadata,
    path.join(folder, 'index'),
    String(holdMs),
  ]);
  return JSON.parse(stdout) as Measured;
}

for (const [dataset, name, samples, limitMs] of [
  ['yfcc15m', 'yfcc15m.pkl', 14_689_580, 60_000],
  ['redcaps', 'redcaps_v1.json', 12_011_121, 120_000],
] as const) {
  const metadata = path.join(folder, name);
  const skip = folder !== '' && existsSync(metadata) ? false : 'SLIP_LARGE_METADATA names no folder with it';
  test(`${name} of full size`, { skip }, async (context) => {
    mkdirSync(path.join(folder, 'images'), { recursive: true });
    rmSync(path.join(folder, 'index'), { recursive: true, force: true });
    const first = await open(dataset, metadata);
    context.diagnostic(`first start ${JSON.stringify(first)}`);
    assert.equal(first.samples, samples);
    assert.ok(first.openMs < limitMs && first.peakMiB < 1536);
    const later = await open(dataset, metadata);
    context.diagnostic(`later start ${JSON.stringify(later)}`);
    assert.ok(later.openMs < 2000);
    const ranks = await Promise.all(Array.from({ length: 8 }, () => open(dataset, metadata, 2000)));
    context.diagnostic(
      `8 processes ${JSON.stringify(ranks.map(({ openMs, privateMiB }) => ({ openMs, privateMiB })))}`,
    );
    assert.ok(ranks.every(({ privateMiB }) => privateMiB < 200));
  });
}
