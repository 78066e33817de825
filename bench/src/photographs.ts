// JPEG photographs with captions for benches that read images; made once, from those that scikit-learn brings.
import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { PYTHON } from './peers.js';

/** Photographs of your own instead of those that are made: `train2017/*.jpg` and `captions.json`. */
export const PHOTOGRAPHS = process.env.BENCH_PHOTOGRAPHS ?? path.join(os.tmpdir(), 'slip-bench-photographs');

/** @returns why there are none */
export async function makePhotographs(): Promise<string | undefined> {
  if (existsSync(path.join(PHOTOGRAPHS, 'captions.json'))) return undefined;
  try {
    execFileSync(PYTHON, [path.join(import.meta.dirname, '../scripts/make-photographs.py'), PHOTOGRAPHS], {
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    return undefined;
  } catch {
    return `no photographs: ${PYTHON} has no sklearn to make them of; apt-get install python3-sklearn python3-pil, or set BENCH_PHOTOGRAPHS`;
  }
}
