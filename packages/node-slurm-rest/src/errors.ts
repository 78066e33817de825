// What can go wrong between a program and Slurm, as one error class with a closed set of codes. The mapping is pure.

export type SlurmErrorCode =
  /** Nothing listens at the address, or the connection broke. */
  | 'unreachable'
  /** No answer in time. */
  | 'timeout'
  /** The user name or token was missing or refused (HTTP 401). */
  | 'unauthorized'
  /** slurmrestd answers, but slurmctld did not; a token it refuses looks the same up to Slurm 22.05. */
  | 'controller-unavailable'
  /** No such job, node or partition. */
  | 'not-found'
  /** The request could not be parsed: a key or value that this version does not know. */
  | 'invalid-request'
  /** Slurm understood and said no; `problems` says why. */
  | 'rejected'
  /** The server offers no API version that this client speaks, or the version cannot express the request. */
  | 'unsupported-version'
  /** The answer is not what slurmrestd sends. */
  | 'bad-answer';

/** One of Slurm's own errors. */
export interface SlurmProblem {
  /** Slurm's error number, such as 2017; undefined where it gave none. */
  readonly number: number | undefined;
  /** Slurm's own words. */
  readonly message: string;
  /** Function or place inside Slurm, where it gave one. */
  readonly source: string;
}

export class SlurmError extends Error {
  readonly code: SlurmErrorCode;
  readonly problems: readonly SlurmProblem[];
  /** HTTP status, when there was an answer. */
  readonly status: number | undefined;

  constructor(
    code: SlurmErrorCode,
    message: string,
    options: { problems?: readonly SlurmProblem[]; status?: number | undefined; cause?: unknown } = {},
  ) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = 'SlurmError';
    this.code = code;
    this.problems = options.problems ?? [];
    this.status = options.status;
  }
}

/** Numbers seen on live Slurms 22.05 and 24.11. */
const NOT_FOUND = [2000, 2017, 2018];
const PARSING = [22, 2127, 9000, 9001, 9003];
/** A token that slurmctld refuses; 22.05 has no number for it. */
const LOGIN = [1007];
/** -1: slurmctld did not answer a query. 5005: it answered a submission with nothing. */
const CONTROLLER = [-1, 1800, 1801, 1802, 5005];

/** The `errors` (or `warnings`) of an answer, whichever of the three spellings it comes in. */
export function readProblems(list: unknown): SlurmProblem[] {
  if (!Array.isArray(list)) return [];
  return list.flatMap((item: Record<string, unknown> | null) => {
    if (item === null || typeof item !== 'object') return [];
    const number = item.error_number ?? item.error_code ?? item.errno;
    const texts = [item.error, item.description].filter((text) => typeof text === 'string' && text !== '');
    if (number === 0 && texts.length === 0) return [];
    return {
      number: typeof number === 'number' ? number : undefined,
      message: [...new Set(texts)].join(': ') || 'no message',
      source: typeof item.source === 'string' ? item.source : '',
    };
  });
}

/**
 * The error behind an answer.
 * @param asked what was asked, for the message: `GET job 7`
 * @param isQuery whether the thing asked for was named by the path, so that an invalid name means that it does not exist
 */
export function errorOf(
  asked: string,
  status: number,
  problems: readonly SlurmProblem[],
  isQuery: boolean,
): SlurmError {
  const code = codeOf(status, problems, isQuery);
  const words = problems.map(({ number, message }) => (number === undefined ? message : `${message} (${number})`));
  const said = words.length > 0 ? words.join('; ') : `HTTP status ${status}`;
  return new SlurmError(code, `${asked}: ${said}${ADVICE[code] ?? ''}`, { problems, status });
}

const ADVICE: Partial<Record<SlurmErrorCode, string>> = {
  unauthorized: '; check user name and token, or that this user may use the socket',
  'controller-unavailable': '; slurmctld did not answer slurmrestd, or refused the token',
};

function codeOf(status: number, problems: readonly SlurmProblem[], isQuery: boolean): SlurmErrorCode {
  const numbers = problems.flatMap(({ number }) => number ?? []);
  if (status === 401 || status === 403 || numbers.some((number) => LOGIN.includes(number))) return 'unauthorized';
  if (numbers.some((number) => CONTROLLER.includes(number))) return 'controller-unavailable';
  if (isQuery && numbers.some((number) => NOT_FOUND.includes(number))) return 'not-found';
  // A source such as #/signal/ points into the request.
  if (numbers.some((number) => PARSING.includes(number)) || problems.some(({ source }) => source.startsWith('#/')))
    return 'invalid-request';
  // 24.11 on a node that it does not know: status 200, number 0, "No error".
  if (isQuery && status === 200 && numbers.includes(0)) return 'not-found';
  if (status === 400) return 'invalid-request';
  if (status === 404) return 'not-found';
  return problems.length > 0 ? 'rejected' : 'bad-answer';
}
