// A full training step (views, text, losses, backward, AdamW) against the same step in PyTorch.
import path from 'node:path';
import type { Bench, Case } from '../harness.js';
import { threadsOfTorch, torchPeers, torchSubjects } from '../peers.js';

const THREADS = 2;

const SMALL = ['SLIP_VITS16', 'CLIP_VITS16', 'SIMCLR_VITS16'];
const BASE = ['SLIP_VITB16', 'CLIP_VITB16', 'SIMCLR_VITB16'];

const WITH_TEXTS = SMALL.slice(0, 2);
/** The longest of a batch of COCO's captions has about so many tokens; the peer looks at all 77, as the original does. */
const CAPTIONS = ['--captions', '32'];

export const trainStepBench: Bench = {
  name: 'train-step',
  question: 'full training step of a model, images per second and peak memory, against PyTorch on the same cores',
  rounds: 3,
  measures: [
    { key: 'imagesPerSecond', unit: 'images/s', higherIsBetter: true },
    { key: 'peakMemoryGB', unit: 'GB', higherIsBetter: false },
  ],
  cases: [
    ...SMALL.map((model) => comparison(model, 8)),
    ...WITH_TEXTS.map((model) => comparison(model, 8, CAPTIONS)),
    ...SMALL.map((model) => large(comparison(model, 32))),
    ...BASE.flatMap((model) => [8, 16].map((rows) => large(comparison(model, rows)))),
    ...BASE.slice(0, 2).map((model) => large(comparison(model, 8, CAPTIONS))),
    large(comparison('SLIP_VITS16', 16)),
    large(comparison('SLIP_VITS16', 16, ['--grad-checkpointing'])),
  ],
  peers: torchPeers(),
};

/** @param options of ours alone */
function comparison(model: string, batchSize: number, options: readonly string[] = []): Case {
  const args = ['--model', model, '--batch-size', String(batchSize), '--threads', String(THREADS)];
  return {
    name: [`${model} batch ${batchSize}, ${THREADS} threads`, ...options].join(' '),
    ours: {
      command: process.execPath,
      args: [path.join(import.meta.dirname, '../subjects/train-step.js'), ...args, ...options],
    },
    peers: torchSubjects('train_step.py', args, threadsOfTorch(THREADS)),
  };
}

function large(one: Case): Case {
  return { ...one, isLarge: true };
}
