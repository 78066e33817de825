// SLIP's three views at 224 of JPEG photographs of about 500x375, against torchvision's DataLoader with Pillow on the same cores.
import { execFile, execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import type { Bench, Case } from '../harness.js';

const here = import.meta.dirname;
const PYTHON = process.env.BENCH_PYTHON ?? '/usr/bin/python3';
/** Photographs of your own instead of those that are made: `train2017/*.jpg` and `captions.json`. */
const PHOTOGRAPHS = process.env.BENCH_PHOTOGRAPHS ?? path.join(os.tmpdir(), 'slip-bench-photographs');
const WORKERS = String(os.availableParallelism());

export const dataLoadingBench: Bench = {
  name: 'data-loading',
  question:
    "SLIP's three views at 224 of JPEG photographs of about 500x375, against torchvision's DataLoader with Pillow",
  rounds: 3,
  measures: [
    { key: 'imagesPerSecond', unit: 'images/s', higherIsBetter: true },
    { key: 'cpuMsPerImage', unit: 'ms', higherIsBetter: false },
  ],
  cases: [comparison('fast'), comparison('exact')],
  peerMissing: () =>
    new Promise((resolve) => {
      execFile(PYTHON, ['-c', 'import torchvision, sklearn'], (error) => {
        const packages = 'apt-get install python3-torchvision python3-sklearn';
        resolve(error === null ? makePhotographs() : `${PYTHON} cannot import torchvision and sklearn; ${packages}`);
      });
    }),
};

/** From the photographs that scikit-learn brings, once. */
function makePhotographs(): undefined {
  if (existsSync(path.join(PHOTOGRAPHS, 'captions.json'))) return;
  execFileSync(PYTHON, [path.join(here, '../../scripts/make-photographs.py'), PHOTOGRAPHS]);
}

function comparison(transforms: string): Case {
  const args = [PHOTOGRAPHS, '--workers', WORKERS];
  return {
    name: `--transforms ${transforms}, ${WORKERS} workers`,
    ours: {
      command: process.execPath,
      args: [path.join(here, '../subjects/data-loading.js'), ...args, '--transforms', transforms],
    },
    peer: { command: PYTHON, args: [path.join(here, '../../peers/data_loading.py'), ...args] },
  };
}
