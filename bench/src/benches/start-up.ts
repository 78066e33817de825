// How long it takes until a run does what it was started for, against the same start with torchrun.
import path from 'node:path';
import type { Bench, Case, Subject } from '../harness.js';
import { threadsOfTorch, torchPeers, torchSubjects } from '../peers.js';

export const startUpBench: Bench = {
  name: 'start-up',
  question:
    'from the command to its help, to the end of a run of 2 light workers, and to the first step of SLIP_VITS16 on 2 ranks; against torchrun',
  rounds: 3,
  measures: [
    { key: 'toFirstStepS', unit: 's', higherIsBetter: false },
    { key: 'totalS', unit: 's', higherIsBetter: false },
  ],
  cases: [
    comparison('--help', ['--what', 'help']),
    comparison('2 light workers', ['--what', 'bench-comm']),
    comparison('SLIP_VITS16 on 2 ranks', ['--what', 'SLIP_VITS16']),
    comparison('SLIP_VITS16 on 2 ranks, graphs not kept', ['--what', 'SLIP_VITS16', '--cache', 'off']),
  ],
  peers: torchPeers(),
};

/** The peer trains a linear layer under DDP where ours trains a model: it shows what torchrun's start alone takes. */
function comparison(name: string, args: readonly [string, string, ...string[]]): Case {
  const ours: Subject = {
    command: process.execPath,
    args: [path.join(import.meta.dirname, '../subjects/start-up.js'), ...args],
  };
  return { name, ours, peers: torchSubjects('start_up.py', ['--what', args[1]], threadsOfTorch(1)) };
}
