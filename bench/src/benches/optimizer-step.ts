// The optimizer step between the ranks of one machine, from the ranks' gradients to everybody's parameters: sharded, against an
// all-reduce and a whole AdamW on every rank, ours and PyTorch's.
import { execFile } from 'node:child_process';
import path from 'node:path';
import type { Bench, Subject } from '../harness.js';

const here = import.meta.dirname;
const PYTHON = process.env.BENCH_PYTHON ?? '/usr/bin/python3';

const MODELS = ['SLIP_VITS16', 'SLIP_VITB16'];
const RANKS = [2, 4];

const measures = [{ key: 'timeMs', unit: 'ms', higherIsBetter: false }];

export const optimizerStepBench: Bench = {
  name: 'optimizer-step',
  question: 'reduce-scatter, AdamW on the own shard and all-gather, against all-reduce and a whole AdamW on every rank',
  rounds: 2,
  measures: [...measures, { key: 'adamWMs', unit: 'ms', higherIsBetter: false }],
  cases: comparisons((model, ranks) => ours(model, ranks, 'replicated')),
  peerMissing: async () => undefined,
};

export const torchOptimizerStepBench: Bench = {
  name: 'optimizer-step-torch',
  question: 'the same, against all-reduce by Gloo and torch.optim.AdamW on every rank, in PyTorch',
  rounds: 2,
  measures,
  cases: comparisons((model, ranks) => ({
    command: PYTHON,
    args: [path.join(here, '../../peers/optimizer_step.py'), model, String(ranks)],
  })),
  peerMissing: () =>
    new Promise((resolve) => {
      execFile(PYTHON, ['-c', 'import torch'], (error) => {
        resolve(error === null ? undefined : `${PYTHON} cannot import torch; apt-get install python3-torch`);
      });
    }),
};

function comparisons(peer: (model: string, ranks: number) => Subject) {
  return MODELS.flatMap((model) =>
    RANKS.map((ranks) => ({
      name: `${model}, ${ranks} ranks`,
      ours: ours(model, ranks, 'sharded'),
      peer: peer(model, ranks),
    })),
  );
}

function ours(model: string, ranks: number, mode: string): Subject {
  const subject = path.join(here, '../subjects/optimizer-step.js');
  return { command: process.execPath, args: [subject, '--model', model, '--ranks', String(ranks), '--mode', mode] };
}
