// All-reduce between the ranks of one machine against Gloo (through PyTorch) and Open MPI, from 1 KB to 512 MB.
import { execFileSync } from 'node:child_process';
import { rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Bench, Case, Subject } from '../harness.js';
import { torchPeers, torchSubjects } from '../peers.js';

const SLIP_LAUNCH = fileURLToPath(new URL('../../../orchestrator/bin/slip-launch.js', import.meta.url));
const MPI_SOURCE = fileURLToPath(new URL('../../peers/mpi_all_reduce.c', import.meta.url));

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
  cases: comparisons((ranks, bytes) =>
    torchSubjects('gloo_all_reduce.py', [ranks, bytes, roundsOf(bytes)].map(String)),
  ),
  peers: torchPeers(),
};

export const mpiBench: Bench = {
  name: 'all-reduce-mpi',
  question: 'all-reduce between 2, 4 and 8 ranks of one machine, against Open MPI',
  rounds: 3,
  measures,
  cases: comparisons((ranks, bytes) => ({
    'Open MPI': {
      command: 'mpirun',
      args: [
        ...['--allow-run-as-root', '--oversubscribe', '-np', String(ranks)],
        ...[mpiProgram, String(bytes), String(roundsOf(bytes))],
      ],
    },
  })),
  peers: [{ name: 'Open MPI', probe: compileForMpi }],
};

function comparisons(peers: (ranks: number, bytes: number) => Record<string, Subject>): Case[] {
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
      peers: peers(ranks, bytes),
      isLarge: bytes > 64 << 20 || (ranks !== 2 && bytes !== 64 << 20),
    })),
  );
}

async function compileForMpi(): Promise<{ version: string } | { missing: string }> {
  try {
    execFileSync('mpicc', ['-O3', '-o', mpiProgram, MPI_SOURCE], { stdio: 'ignore' });
    process.once('exit', () => rmSync(mpiProgram, { force: true }));
    return { version: execFileSync('mpirun', ['--version'], { encoding: 'utf8' }).split('\n')[0].replace(/.* /, '') };
  } catch {
    return { missing: 'mpicc; apt-get install openmpi-bin libopenmpi-dev gcc libc6-dev' };
  }
}
