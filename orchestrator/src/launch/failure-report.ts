// The one block that tells a person which worker failed first, why, and what happens next. Text only.
import os from 'node:os';
import type { FailureReport } from '../coordinator/state.js';

/** Several lines, ending in a newline. */
export function renderFailureReport({ root, numOthers, next }: FailureReport): string {
  const rows: [string, string][] = [
    ['rank', `${root.rank} (node ${root.nodeRank}, host ${root.host})`],
    ['step', root.step === 0 ? 'before the first step' : `after step ${root.step}`],
    ['exit', describeExit(root.exitCode, root.signal)],
    ['error', `[${root.code}] ${root.message.split('\n').join('\n              ')}`],
  ];
  if (numOthers > 0) rows.push(['others', `${numOthers} more failed after it, most likely because of it`]);
  if (root.logPath !== undefined && root.logPath !== '') rows.push(['log', root.logPath]);
  const tail = root.logTail.map((line) => `            | ${line}\n`).join('');
  const lines = rows.map(([name, value]) => `    ${name.padEnd(8)}  ${value}\n`).join('');
  return `slip-launch: worker failure\n${lines}${tail}    next      ${next}\n`;
}

/** An exit code or signal in words. */
export function describeExit(exitCode: number | undefined, signal: string | undefined): string {
  if (signal !== undefined) {
    const number = os.constants.signals[signal as NodeJS.Signals];
    return `killed by ${signal} (signal ${number ?? '?'})${SIGNAL_HINTS[signal] ?? ''}`;
  }
  if (exitCode === undefined) return 'not started';
  return `code ${exitCode}${EXIT_HINTS[exitCode] ?? ''}`;
}

const SIGNAL_HINTS: Readonly<Record<string, string>> = {
  SIGKILL: ': by kill -9, by the kernel because memory ran out (see dmesg), or by the scheduler',
  SIGSEGV: ': a native library accessed wrong memory',
  SIGBUS: ': a native library accessed wrong memory, or a shared-memory or disk file could not grow',
  SIGABRT: ': a native library gave up, or V8 ran out of heap',
  SIGILL: ': an instruction that this processor does not have',
  SIGTERM: ': asked to end by someone other than the launcher',
};

const EXIT_HINTS: Readonly<Record<number, string>> = {
  0: ', but it had not reported its work as finished',
  13: ': the worker waited for something that could never come',
  134: ': aborted by a native library or out of heap',
};
