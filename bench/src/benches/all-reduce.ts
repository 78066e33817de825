// All-reduce between the ranks of one machine against Gloo (through PyTorch) and Open MPI, from 1 KB to 512 MB.
import { execFileSync } from 'node:child_process';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Bench, Case, Subject } from '../harness.js';

const PYTHON = process.env.BENCH_PYTHON ?? '/usr/bin/python3';
const SLIP_LAUNCH = fileURLToPath(new URL('../../../orchestrator/bin/slip-launch.js', import.meta.url));
const peerFile = (name: string) => fileURLToPath(new URL(`../../peers/${name}`, import.meta.url));

/** Compiled when Open MPI is asked for. */
const mpiProgram = path.join(os.tmpdir(), `slip-bench-mpi-all-reduce-${process.pid}`);

const RANKS = [2, 4, 8];
const SIZES = { '1K': 1024, '64K': 64 * 1024, '4M': 4 << 20, '64M': 64 << 20, '512M': 512 << 20 };
const roundsOf = (bytes: number) => (bytes <= 64 * 1024 ? 200 : bytes <= 4 << 20 ? 40 : 8);

const measures = [
  { key: 'timeMs', unit: 'ms', higherIsBetter: false },
  { key: 'busBandwidthGBps', unit: 'GB/s', higherIsBetter: true },
];

export const glooBench: Bench = {
  name: 'all-reduce-gloo',
  question: 'all-reduce between 2, 4 and 8 ranks of one machine, against Gloo in PyTorch',
  rounds: 3,
  measures,
  cases: comparisons((ranks, bytes) => ({
    command: PYTHON,
    args: [peerFile('gloo_all_reduce.py'), ...[ranks, bytes, roundsOf(bytes)].map(String)],
  })),
  peerMissing: async () =>
    missing([PYTHON, '-c', 'import torch'], 'torch; apt-get install python3-torch libopenblas0-pthread'),
};

export const mpiBench: Bench = {
  name: 'all-reduce-mpi',
  question: 'all-reduce between 2, 4 and 8 ranks of one machine, against Open MPI',
  rounds: 3,
  measures,
  cases: comparisons((ranks, bytes) => ({
    command: 'mpirun',
    args: [
      ...['--allow-run-as-root', '--oversubscribe', '-np', String(ranks)],
      ...[mpiProgram, String(bytes), String(roundsOf(bytes))],
    ],
  })),
  peerMissing: async () =>
    missing(
      ['mpicc', '-O3', '-o', mpiProgram, peerFile('mpi_all_reduce.c')],
      'mpicc; apt-get install openmpi-bin libopenmpi-dev gcc libc6-dev',
    ),
};

function comparisons(peer: (ranks: number, bytes: number) => Subject): Case[] {
  return RANKS.flatMap((ranks) =>
    Object.entries(SIZES).map(([size, bytes]) => ({
      name: `${ranks} ranks, ${size}`,
      ours: {
        command: process.execPath,
        args: [
          ...[SLIP_LAUNCH, '--nproc', String(ranks), 'bench-comm', '--json'],
          ...['--sizes', size, '--iterations', String(roundsOf(bytes))],
        ],
      },
      peer: peer(ranks, bytes),
    })),
  );
}

function missing([command, ...args]: string[], what: string): string | undefined {
  try {
    execFileSync(command, args, { stdio: 'ignore' });
    return undefined;
  } catch {
    return what;
  }
}
