// SLIP's three views at 224 of JPEG photographs of about 500x375, against torchvision's DataLoader with Pillow on the same cores.
import os from 'node:os';
import path from 'node:path';
import type { Bench, Case } from '../harness.js';
import { torchPeers, torchSubjects } from '../peers.js';
import { makePhotographs, PHOTOGRAPHS } from '../photographs.js';

const here = import.meta.dirname;
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
  peers: torchPeers('import torchvision'),
  impossible: makePhotographs,
};

function comparison(transforms: string): Case {
  const args = [PHOTOGRAPHS, '--workers', WORKERS];
  return {
    name: `--transforms ${transforms}, ${WORKERS} workers`,
    ours: {
      command: process.execPath,
      args: [path.join(here, '../subjects/data-loading.js'), ...args, '--transforms', transforms],
    },
    peers: torchSubjects('data_loading.py', args),
  };
}
