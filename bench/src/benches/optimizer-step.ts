// The optimizer step between the ranks of one machine, from the ranks' gradients to everybody's parameters: sharded, against an
// all-reduce and a whole AdamW on every rank, ours and PyTorch's.
import path from 'node:path';
import type { Bench, Subject } from '../harness.js';
import { ourselves, torchPeers, torchSubjects } from '../peers.js';

const here = import.meta.dirname;

const MODELS = ['SLIP_VITS16', 'SLIP_VITB16'];
const RANKS = [2, 4];

const measures = [{ key: 'timeMs', unit: 'ms', higherIsBetter: false }];

export const optimizerStepBench: Bench = {
  name: 'optimizer-step',
  question: 'reduce-scatter, AdamW on the own shard and all-gather, against all-reduce and a whole AdamW on every rank',
  rounds: 2,
  measures: [...measures, { key: 'adamWMs', unit: 'ms', higherIsBetter: false }],
  cases: comparisons((model, ranks) => ({ replicated: ours(model, ranks, 'replicated') })),
  peers: [ourselves('replicated')],
};

export const torchOptimizerStepBench: Bench = {
  name: 'optimizer-step-torch',
  question: 'the same, against all-reduce by Gloo and torch.optim.AdamW on every rank, in PyTorch',
  rounds: 2,
  measures,
  cases: comparisons((model, ranks) => torchSubjects('optimizer_step.py', [model, String(ranks)])),
  peers: torchPeers(),
};

function comparisons(peers: (model: string, ranks: number) => Record<string, Subject>) {
  return MODELS.flatMap((model) =>
    RANKS.map((ranks) => ({
      name: `${model}, ${ranks} ranks`,
      ours: ours(model, ranks, 'sharded'),
      peers: peers(model, ranks),
      isLarge: model === 'SLIP_VITB16' || ranks > 2,
    })),
  );
}

function ours(model: string, ranks: number, mode: string): Subject {
  const subject = path.join(here, '../subjects/optimizer-step.js');
  return { command: process.execPath, args: [subject, '--model', model, '--ranks', String(ranks), '--mode', mode] };
}
