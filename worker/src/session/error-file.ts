// The file in which a failing worker leaves its own account for the agent: torchrun's layout with our facts added.
import { type SlipError, writeFileAtomic } from '@slip/core';

export interface WorkerFailure {
  readonly error: SlipError;
  readonly rank: number;
  readonly host: string;
  readonly step: number;
  /** Milliseconds since 1970: torchrun's whole seconds cannot tell which rank was first. */
  readonly timeMs: number;
}

export async function writeErrorFile(file: string, failure: WorkerFailure): Promise<void> {
  await writeFileAtomic(file, renderErrorFile(failure));
}

export function renderErrorFile({ error, rank, host, step, timeMs }: WorkerFailure): string {
  const content = {
    message: {
      message: error.message,
      extraInfo: { py_callstack: error.stack ?? '', timestamp: String(Math.floor(timeMs / 1000)) },
      errorCode: error.exitCode,
    },
    code: error.code,
    details: error.details,
    rank,
    host,
    step,
    timeMs,
  };
  return `${JSON.stringify(content, null, 2)}\n`;
}
