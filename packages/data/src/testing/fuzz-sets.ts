// Fuzzing of the set readers: real files of every form, changed at random from a seed, read to the end. For tests only.
import assert from 'node:assert/strict';
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { RandomStream, SlipError } from '@slip/core';
import { openDataset } from '../datasets/captioned-dataset.js';
import { decodeImage } from '../images/decode-image.js';

const golden = path.resolve(import.meta.dirname, '../../../../test/golden/datasets');

interface Target {
  readonly dataset: string;
  readonly root: string;
  readonly metadata: string;
  /** The file that is changed, below the root. */
  readonly changed: string;
}

const TARGETS: readonly Target[] = [
  { dataset: 'yfcc15m', root: 'yfcc', metadata: 'yfcc15m.p0.pkl', changed: 'yfcc15m.p0.pkl' },
  { dataset: 'yfcc15m', root: 'yfcc', metadata: 'yfcc15m.p4.pkl', changed: 'yfcc15m.p4.pkl' },
  { dataset: 'yfcc15m', root: 'yfcc', metadata: 'yfcc15m.p4.pkl', changed: 'images/12/345.zip' },
  { dataset: 'cc3m', root: 'cc3m', metadata: 'cc3m.npy', changed: 'cc3m.npy' },
  { dataset: 'cc12m', root: 'cc12m', metadata: 'cc12m.numpy2.npy', changed: 'cc12m.numpy2.npy' },
  { dataset: 'redcaps', root: 'redcaps', metadata: 'redcaps_v1.json', changed: 'redcaps_v1.json' },
  { dataset: 'coco', root: 'coco', metadata: 'captions_train2017.json', changed: 'captions_train2017.json' },
  { dataset: 'webdataset', root: 'webdataset', metadata: '', changed: '00000.tar' },
  { dataset: 'webdataset', root: 'webdataset', metadata: '', changed: '00001.tar' },
  { dataset: 'csv', root: 'folder', metadata: 'captions.csv', changed: 'captions.csv' },
  { dataset: 'tsv', root: 'folder', metadata: 'captions.tsv', changed: 'captions.tsv' },
  { dataset: 'image-folder', root: 'folder', metadata: 'metadata.jsonl', changed: 'metadata.jsonl' },
  { dataset: 'image-folder', root: 'folder', metadata: '', changed: '00000/000000001.jpg' },
];

export interface FuzzResult {
  readonly cases: number;
  /** Cases that ended in our error. */
  readonly refused: number;
  readonly slowestMs: number;
  /** Which one that was. */
  readonly slowestCase: string;
  /** Of the process, MiB. */
  readonly peakMemory: number;
}

/** @throws AssertionError with seed and target for anything but samples or a SlipError `data`, and for a case beyond 10 s */
export async function fuzzSets(seed: number, casesPerTarget: number): Promise<FuzzResult> {
  const result = { cases: 0, refused: 0, slowestMs: 0, slowestCase: '' };
  for (const [number, target] of TARGETS.entries()) {
    const folder = mkdtempSync(path.join(os.tmpdir(), 'slip-fuzz-'));
    try {
      cpSync(path.join(golden, target.root), folder, { recursive: true });
      const original = readFileSync(path.join(folder, target.changed));
      for (let i = 0; i < casesPerTarget; i++) {
        const random = new RandomStream(seed, 'fuzz', number, i);
        writeFileSync(path.join(folder, target.changed), mutate(original, random));
        const startedAt = performance.now();
        const what = `seed ${seed}, ${target.changed}, case ${i}`;
        if (!(await readAll(target, folder, what))) result.refused += 1;
        const tookMs = performance.now() - startedAt;
        if (tookMs > result.slowestMs) Object.assign(result, { slowestMs: tookMs, slowestCase: what });
        result.cases += 1;
      }
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  }
  return { ...result, peakMemory: process.resourceUsage().maxRSS / 1024 };
}

/** Whether everything could be read. */
async function readAll({ dataset, metadata }: Target, root: string, what: string): Promise<boolean> {
  const location = { dataset, root, metadata: metadata === '' ? '' : path.join(root, metadata) };
  let whole = true;
  const tame = async (work: () => Promise<unknown>) => {
    try {
      await work();
    } catch (error) {
      assert.ok(error instanceof SlipError && error.code === 'data', `${what}: ${(error as Error).stack}`);
      whole = false;
    }
  };
  await tame(async () => {
    const set = await openDataset(location);
    for (let i = 0; i < set.length; i++) await tame(() => decodeImage(set.describe(i).image));
    set.close();
  });
  return whole;
}

/** Bytes changed, cut, doubled, or replaced by what lengths and offsets are made of. */
function mutate(original: Buffer, random: RandomStream): Buffer {
  let bytes = Buffer.from(original);
  for (let edits = 1 + random.integer(4); edits > 0 && bytes.length > 0; edits--) {
    const at = random.integer(bytes.length);
    switch (random.integer(6)) {
      case 0:
      case 1:
        bytes[at] = random.integer(256);
        break;
      case 2:
        bytes[at] ^= 1 << random.integer(8);
        break;
      case 3:
        bytes.fill(random.integer(2) === 0 ? 0xff : 0, at, Math.min(bytes.length, at + 1 + random.integer(8)));
        break;
      case 4:
        bytes = bytes.subarray(0, at);
        break;
      default: {
        const end = Math.min(bytes.length, at + random.integer(64));
        bytes = Buffer.concat([bytes.subarray(0, end), bytes.subarray(at, end), bytes.subarray(end)]);
      }
    }
  }
  return bytes;
}
