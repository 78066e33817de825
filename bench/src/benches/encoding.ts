// Zero-shot encoding: images and texts through their towers, without gradients, against PyTorch in inference mode.
import path from 'node:path';
import type { Bench, Case } from '../harness.js';
import { threadsOfTorch, torchPeers, torchSubjects } from '../peers.js';

const THREADS = 2;

export const encodingBench: Bench = {
  name: 'encoding',
  question: 'zero-shot encoding of images and of texts, per second, against PyTorch in inference mode',
  rounds: 3,
  measures: [
    { key: 'imagesPerSecond', unit: 'images/s', higherIsBetter: true },
    { key: 'textsPerSecond', unit: 'texts/s', higherIsBetter: true },
  ],
  cases: [comparison('SLIP_VITS16', 32), comparison('SLIP_VITB16', 16)],
  peers: torchPeers(),
};

function comparison(model: string, batchSize: number): Case {
  const args = ['--model', model, '--batch-size', String(batchSize), '--threads', String(THREADS)];
  return {
    name: `${model} batch ${batchSize}, ${THREADS} threads`,
    ours: { command: process.execPath, args: [path.join(import.meta.dirname, '../subjects/encoding.js'), ...args] },
    peers: torchSubjects('encoding.py', args, threadsOfTorch(THREADS)),
  };
}
