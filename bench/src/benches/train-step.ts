// A full SLIP_VITS16 training step (three views, text, losses, backward, AdamW) against the same step in PyTorch.
import { execFile } from 'node:child_process';
import path from 'node:path';
import type { Bench, Case } from '../harness.js';

const here = import.meta.dirname;
const PYTHON = process.env.BENCH_PYTHON ?? '/usr/bin/python3';

export const trainStepBench: Bench = {
  name: 'train-step',
  question: 'full training step of a model, images per second and peak memory, against PyTorch on the same cores',
  rounds: 3,
  measures: [
    { key: 'imagesPerSecond', unit: 'images/s', higherIsBetter: true },
    { key: 'peakMemoryGB', unit: 'GB', higherIsBetter: false },
  ],
  cases: [
    comparison('SLIP_VITS16', 8),
    comparison('SLIP_VITS16', 16),
    comparison('SLIP_VITS16', 16, ['--grad-checkpointing']),
  ],
  peerMissing: () =>
    new Promise((resolve) => {
      execFile(PYTHON, ['-c', 'import torch'], (error) => {
        resolve(
          error === null
            ? undefined
            : `${PYTHON} cannot import torch; apt-get install python3-torch libopenblas0-pthread`,
        );
      });
    }),
};

/** @param options of ours alone */
function comparison(model: string, batchSize: number, options: readonly string[] = []): Case {
  const threads = '2';
  const args = ['--model', model, '--batch-size', String(batchSize), '--threads', threads];
  return {
    name: [`${model} batch ${batchSize}, ${threads} threads`, ...options].join(' '),
    ours: { command: process.execPath, args: [path.join(here, '../subjects/train-step.js'), ...args, ...options] },
    peer: {
      command: PYTHON,
      args: [path.join(here, '../../peers/train_step.py'), ...args],
      env: { OMP_NUM_THREADS: threads, OPENBLAS_NUM_THREADS: threads },
    },
  };
}
