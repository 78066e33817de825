// The one error class of the project, its closed set of codes and their exit codes. Not a place for recovery logic.

/**
 * Every way a command can fail, with the process exit code that scripts may rely on. Documented in `docs/errors.md`;
 * a test keeps the two lists equal.
 */
export const ERROR_CODES = {
  /** A bug of ours. */
  internal: 1,
  /** A flag, recipe key or combination of them is wrong. */
  config: 2,
  /** A file or folder of the user is missing, unreadable, empty or damaged. */
  data: 3,
  /** A worker could not be started or joined, a port is in use, a peer cannot be reached. */
  rendezvous: 4,
  /** A peer was lost or answered with something else than this step's message. Retryable. */
  'peer-lost': 5,
  /** The loss or a gradient is not finite. */
  'non-finite': 6,
  /** A checkpoint cannot be written, read or does not fit the model. */
  checkpoint: 7,
  /** A kernel, precision or device that is not supported here. */
  unsupported: 8,
  /** A worker failed and no restarts are left. */
  'worker-failed': 9,
  /** Slurm refused something, or does not answer. */
  scheduler: 10,
  /** Memory of a machine or a device ran out. */
  memory: 11,
  /** Stopped on request (signal, preemption) after saving; running again continues. */
  stopped: 75,
} as const;

export type ErrorCode = keyof typeof ERROR_CODES;

/** An expected failure: `[code] what happened; what was found; what to do`. */
export class SlipError extends Error {
  readonly code: ErrorCode;
  /** Facts for machines (rank, step, file), written to error files and events. */
  readonly details: Readonly<Record<string, unknown>>;

  constructor(code: ErrorCode, message: string, options: { cause?: unknown; details?: Record<string, unknown> } = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = 'SlipError';
    this.code = code;
    this.details = options.details ?? {};
  }

  get exitCode(): number {
    return ERROR_CODES[this.code];
  }

  /** Normalises anything thrown; what is not ours becomes `internal` and keeps its cause. */
  static from(thrown: unknown): SlipError {
    if (thrown instanceof SlipError) return thrown;
    const message = thrown instanceof Error ? thrown.message : String(thrown);
    return new SlipError('internal', message, { cause: thrown });
  }

  /** One line for people. */
  override toString(): string {
    return `[${this.code}] ${this.message}`;
  }
}

/** Guards against our own bugs; users' mistakes get a SlipError of their own. */
export function invariant(condition: unknown, message: string): asserts condition {
  if (!condition) throw new SlipError('internal', `invariant violated: ${message}`);
}
