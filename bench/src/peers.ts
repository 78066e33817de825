// What ours is compared with: Debian's PyTorch, the newest PyTorch, and whether they are here. Not how they are run.
import { execFile } from 'node:child_process';
import path from 'node:path';
import type { Subject } from './harness.js';

/** A program that a bench runs in turn with ours. */
export interface Peer {
  /** As in the results; a case has a subject under this name, or is not compared with it. */
  readonly name: string;
  /** @returns its version, or why it cannot be measured here and how to get it */
  probe(): Promise<{ readonly version: string } | { readonly missing: string }>;
}

/** Debian 12's, unless another is named. */
export const PYTHON = process.env.BENCH_PYTHON || '/usr/bin/python3';
/** A Python with the newest PyTorch for CPUs that can be had. */
const NEWEST_PYTHON = process.env.BENCH_NEWEST_PYTHON || undefined;

const TORCHES = [
  {
    name: 'PyTorch',
    python: PYTHON,
    howToGet: 'apt-get install python3-torch python3-torchvision python3-sklearn libopenblas0-pthread',
  },
  {
    name: 'newest PyTorch',
    python: NEWEST_PYTHON,
    howToGet:
      'python3 -m venv DIR && DIR/bin/pip install torch torchvision numpy, then BENCH_NEWEST_PYTHON=DIR/bin/python',
  },
] as const;

/** @param need a Python statement that has to go through besides `import torch` */
export function torchPeers(need = 'pass'): Peer[] {
  return TORCHES.map(({ name, python, howToGet }) => ({
    name,
    async probe() {
      const version = python === undefined ? undefined : await versionOf(python, need);
      return version === undefined
        ? { missing: `${python ?? 'BENCH_NEWEST_PYTHON'} fails at "import torch; ${need}"; ${howToGet}` }
        : { version };
    },
  }));
}

/** The same program in every PyTorch. @param program a file of bench/peers */
export function torchSubjects(
  program: string,
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
): Record<string, Subject> {
  const file = path.join(import.meta.dirname, '../peers', program);
  return Object.fromEntries(
    TORCHES.map(({ name, python }) => [name, { command: python ?? 'python3', args: [file, ...args], env }]),
  );
}

/** Both are tuned by their own variables. */
export function threadsOfTorch(threads: number): Record<string, string> {
  return { OMP_NUM_THREADS: String(threads), OPENBLAS_NUM_THREADS: String(threads) };
}

/** The same program of ours in another mode. */
export function ourselves(name: string): Peer {
  return { name, probe: async () => ({ version: 'this project' }) };
}

function versionOf(python: string, need: string): Promise<string | undefined> {
  const program = `import torch; ${need}; print(torch.__version__)`;
  return new Promise((resolve) => {
    execFile(python, ['-c', program], (error, stdout) => resolve(error === null ? stdout.trim() : undefined));
  });
}
