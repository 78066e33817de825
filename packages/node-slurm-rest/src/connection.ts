// One connection to slurmrestd: a unix socket or http(s), who asks, deadlines, and transport errors in plain words.
import { Agent, fetch as undiciFetch } from 'undici';
import { SlurmError } from './errors.js';

export interface ConnectionOptions {
  /** `unix:/run/slurmrestd.sock`, `http://host:6820` or `https://host`. */
  readonly url: string;
  /** For tokens (JWT): both. On a unix socket without them, the process's own user counts. */
  readonly user?: string;
  /** The token, or how to get one; asked for before each request, so that it may be renewed. */
  readonly token?: string | (() => string | Promise<string>);
  /** Default 20 s: a slurmrestd that has lost its slurmctld takes 8 s to say so. */
  readonly timeoutMs?: number;
}

export interface Connection {
  /** Scheme and host to put before paths. */
  readonly origin: string;
  /** The fetch that openapi-fetch is given. */
  fetch(request: Request): Promise<Response>;
  close(): Promise<void>;
}

/** @throws SlurmError `unreachable` when the address is none, `unauthorized` when user or token is missing */
export function connect(options: ConnectionOptions): Connection {
  const { origin, socketPath } = readAddress(options.url);
  if ((options.user === undefined) !== (options.token === undefined))
    throw new SlurmError('unauthorized', 'a token needs a user name and the other way round: give both or neither');
  const timeoutMs = options.timeoutMs ?? 20_000;
  const dispatcher = new Agent(socketPath === undefined ? {} : { connect: { socketPath } });
  const send = async (request: Request): Promise<Response> => {
    const headers = new Headers(request.headers);
    if (options.user !== undefined) headers.set('X-SLURM-USER-NAME', options.user);
    if (options.token !== undefined) headers.set('X-SLURM-USER-TOKEN', await tokenOf(options.token));
    // As one text: slurmrestd answers a chunked body with garbage.
    const body = request.body === null ? undefined : await request.text();
    const answer = await undiciFetch(request.url, {
      method: request.method,
      headers: Object.fromEntries(headers),
      dispatcher,
      signal: AbortSignal.timeout(timeoutMs),
      ...(body === undefined ? {} : { body }),
    });
    // Read here, so that the deadline covers the body and a broken one is a transport error.
    return new Response(await answer.text(), { status: answer.status, headers: Object.fromEntries(answer.headers) });
  };
  return {
    origin,
    fetch: (request) => send(request).catch((error) => Promise.reject(transportError(options.url, timeoutMs, error))),
    close: () => dispatcher.close(),
  };
}

function readAddress(url: string): { origin: string; socketPath?: string } {
  if (url.startsWith('unix:')) {
    const socketPath = url.slice('unix:'.length).replace(/^\/\/(?=\/)/, '');
    if (socketPath.startsWith('/')) return { origin: 'http://localhost', socketPath };
  } else if (URL.canParse(url) && /^https?:$/.test(new URL(url).protocol)) return { origin: new URL(url).origin };
  throw new SlurmError(
    'unreachable',
    `"${url}" is no address of slurmrestd; expected unix:/path/to/socket, http://host:port or https://host`,
  );
}

async function tokenOf(token: string | (() => string | Promise<string>)): Promise<string> {
  return typeof token === 'string' ? token : token();
}

function transportError(url: string, timeoutMs: number, thrown: unknown): SlurmError {
  if (thrown instanceof SlurmError) return thrown;
  const error = thrown as Error & { cause?: { code?: string; message?: string } };
  if (error.name === 'TimeoutError')
    return new SlurmError('timeout', `no answer from slurmrestd at ${url} within ${timeoutMs / 1000} s`, {
      cause: error,
    });
  const why = error.cause?.code ?? error.cause?.message ?? error.message;
  return new SlurmError('unreachable', `slurmrestd at ${url} cannot be reached: ${why}`, { cause: error });
}
