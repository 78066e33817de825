// Judging failures: what an exit means, which failure came first, whether trying again can help. Pure.
import { ERROR_CODES, type ErrorCode } from '@slip/core';
import type { WorkerExited } from '@slip/protocol';
import type { FailureRecord, WorkerState } from './state.js';

/** Codes whose cause is still there after a restart: wrong input, wrong numbers, unreadable state. */
const NOT_RETRYABLE: readonly ErrorCode[] = ['config', 'data', 'unsupported', 'non-finite', 'checkpoint', 'memory'];

export function isRetryable(code: ErrorCode): boolean {
  return !NOT_RETRYABLE.includes(code);
}

/** Exit code of a launch that ends with this failure. */
export function finalExitCode(failure: FailureRecord): number {
  return isRetryable(failure.code) ? ERROR_CODES['worker-failed'] : ERROR_CODES[failure.code];
}

/**
 * The failure to report: the earliest one, except that a lost peer is a consequence as long as any rank has an error of
 * its own. Clocks of different hosts are compared as they are.
 */
export function rootCause(failures: readonly FailureRecord[]): FailureRecord | undefined {
  const rankOf = (failure: FailureRecord) => (failure.code === 'peer-lost' ? 1 : 0);
  return [...failures].sort((a, b) => rankOf(a) - rankOf(b) || a.timeMs - b.timeMs || a.rank - b.rank)[0];
}

export type ExitMeaning =
  | { readonly exit: 'clean' | 'stopped' | 'killed' }
  | { readonly exit: 'failed'; readonly failure: FailureRecord };

/** What the end of a worker process means, given what the worker had said before. */
export function judgeExit(message: WorkerExited, worker: WorkerState, nodeRank: number): ExitMeaning {
  const failed = (code: ErrorCode, text: string): ExitMeaning => ({
    exit: 'failed',
    failure: {
      rank: message.rank,
      nodeRank,
      host: message.host,
      step: Math.max(worker.step, message.step, message.error?.step ?? 0, worker.failure?.step ?? 0),
      code,
      message: text,
      timeMs: message.error?.timeMs ?? worker.failure?.timeMs ?? message.timeMs,
      ...(message.exitCode === undefined ? {} : { exitCode: message.exitCode }),
      ...(message.signal === undefined ? {} : { signal: message.signal }),
      logPath: message.logPath,
      logTail: message.logTail,
    },
  });
  // A late signal cannot undo work that was already reported as done.
  const leftCleanly =
    message.exitCode === 0 || message.exitCode === ERROR_CODES.stopped || message.signal !== undefined;
  if (leftCleanly && worker.finished !== undefined)
    return { exit: worker.finished === 'completed' ? 'clean' : 'stopped' };
  if (message.exitCode === ERROR_CODES.stopped) return { exit: 'stopped' };
  if (message.error !== undefined) return failed(message.error.code, message.error.message);
  if (worker.failure !== undefined) return failed(worker.failure.code, worker.failure.message);
  if (message.killedByAgent) return { exit: 'killed' };
  if (message.exitCode === 0) return failed('worker-failed', 'the worker left without saying that it had finished');
  if (message.signal !== undefined) return failed('worker-failed', 'the worker was killed and left no error');
  return failed(codeOfExit(message.exitCode), 'the worker left no error; see its log');
}

function codeOfExit(exitCode: number | undefined): ErrorCode {
  const codes = Object.keys(ERROR_CODES) as ErrorCode[];
  return codes.find((code) => code !== 'internal' && ERROR_CODES[code] === exitCode) ?? 'worker-failed';
}
