// Opens a set in a process of its own, reads records at random, and prints what it took as JSON. For measurements only:
// `node open-set.js DATASET ROOT METADATA INDEX_DIR [HOLD_MS]`.
import { readFileSync } from 'node:fs';
import { setTimeout } from 'node:timers/promises';
import { RandomStream } from '@slip/core';
import { openDataset } from '../datasets/captioned-dataset.js';

const READS = 20_000;

const [dataset, root, metadata, indexDir, holdMs = '0'] = process.argv.slice(2);
const startedAt = performance.now();
const set = await openDataset({ dataset, root, metadata, indexDir });
const openMs = performance.now() - startedAt;
const stream = new RandomStream(0, 'reads');
const readsAt = performance.now();
let characters = 0;
for (let i = 0; i < READS; i++) {
  for (const caption of set.describe(stream.integer(set.length)).captions) characters += caption.length;
}
const readUs = ((performance.now() - readsAt) / READS) * 1000;
await setTimeout(Number(holdMs));
console.log(
  JSON.stringify({
    samples: set.length,
    openMs: Math.round(openMs * 10) / 10,
    readUs: Math.round(readUs * 10) / 10,
    peakMiB: Math.round(process.resourceUsage().maxRSS / 1024),
    privateMiB: privateMiB(),
    characters,
  }),
);

/** Memory that no other process shares. */
function privateMiB(): number {
  const text = readFileSync('/proc/self/smaps_rollup', 'utf8');
  const kilobytes = [...text.matchAll(/^Private_(?:Clean|Dirty):\s+(\d+)/gm)].reduce(
    (sum, [, size]) => sum + Number(size),
    0,
  );
  return Math.round(kilobytes / 1024);
}
