// Whole trainings by slip-launch: the same global batch on 2 ranks of one thread, 1 rank of two, and 1 rank of one.
import path from 'node:path';
import type { Bench, Case, Subject } from '../harness.js';
import { ourselves } from '../peers.js';
import { makePhotographs, PHOTOGRAPHS } from '../photographs.js';

export const stepScalingBench: Bench = {
  name: 'step-scaling',
  question:
    'training steps of 2 ranks x 1 thread against 1 rank x 2 threads and 1 rank x 1 thread, and the share outside the engine',
  rounds: 2,
  measures: [
    { key: 'imagesPerSecond', unit: 'images/s', higherIsBetter: true },
    { key: 'outsidePercent', unit: '% of a step', higherIsBetter: false },
  ],
  cases: [comparison('CLIP_VITS16', 16), { ...comparison('SLIP_VITS16', 16), isLarge: true }],
  peers: [ourselves('1 rank x 2 threads'), ourselves('1 rank x 1 thread')],
  impossible: makePhotographs,
};

function comparison(model: string, globalBatch: number): Case {
  const training = (ranks: number, threads: number): Subject => ({
    command: process.execPath,
    args: [
      ...[path.join(import.meta.dirname, '../subjects/training.js'), PHOTOGRAPHS, '--model', model],
      ...['--ranks', String(ranks), '--threads', String(threads), '--batch-size', String(globalBatch / ranks)],
    ],
  });
  return {
    name: `${model}, global batch ${globalBatch}`,
    ours: training(2, 1),
    peers: { '1 rank x 2 threads': training(1, 2), '1 rank x 1 thread': training(1, 1) },
  };
}
