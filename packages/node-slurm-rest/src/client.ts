// The client: one method per thing that can be asked of Slurm, on top of openapi-fetch and the generated types.
import createOpenApiClient, { type Client } from 'openapi-fetch';
import { type Job, readJob } from './answers/job.js';
import {
  type Controller,
  type Diagnostics,
  type Node,
  type Partition,
  readController,
  readDiagnostics,
  readNode,
  readPartition,
} from './answers/node.js';
import { type Answer, isAnswer, readList, readNumber, readText } from './answers/values.js';
import { chooseVersion, versionNumber, versionsOf } from './api-version.js';
import { type ConnectionOptions, connect } from './connection.js';
import { errorOf, readProblems, SlurmError, type SlurmProblem } from './errors.js';
import type { paths } from './gen/v0.0.38.js';
import type { paths as paths42 } from './gen/v0.0.42.js';
import { changeBody, type JobChange, type JobSubmission, submissionBody } from './submission.js';

export interface SlurmClientOptions extends ConnectionOptions {
  /** Such as `v0.0.38`; without it the newest that both sides speak is chosen at the first request. */
  readonly apiVersion?: string;
}

export interface SubmittedJob {
  readonly id: number;
  /** What Slurm found worth saying about a job that it has accepted, such as being held. */
  readonly remarks: readonly SlurmProblem[];
}

/** The paths of the versions whose types were generated from a live server. */
export interface ApiPaths {
  'v0.0.38': paths;
  'v0.0.42': paths42;
}

/** All methods reject with `SlurmError`. */
export interface SlurmClient {
  /** The version in use, `v0.0.38`. */
  apiVersion(): Promise<string>;
  /** The server's release, `22.05.8`; empty where it does not say. */
  release(): Promise<string>;
  ping(): Promise<Controller[]>;
  diag(): Promise<Diagnostics>;
  submitJob(job: JobSubmission): Promise<SubmittedJob>;
  /** All jobs that Slurm still remembers. */
  jobs(): Promise<Job[]>;
  /** One job; an array's id gives its first element, `elements` gives all. */
  job(id: number): Promise<Job>;
  /** All elements of an array, or the one job. */
  jobElements(id: number): Promise<Job[]>;
  updateJob(id: number, change: JobChange): Promise<void>;
  /** Like scancel: TERM, then KILL, and the job is CANCELLED. */
  cancelJob(id: number): Promise<void>;
  /** Sends a signal to steps and batch script: `USR1`, `SIGUSR1` or a number. */
  signalJob(id: number, signal: string | number): Promise<void>;
  nodes(): Promise<Node[]>;
  node(name: string): Promise<Node>;
  partitions(): Promise<Partition[]>;
  partition(name: string): Promise<Partition>;
  /** The API itself with its own types, for what is not covered here. Rejects when another version is spoken. */
  raw<V extends keyof ApiPaths>(version: V): Promise<Client<ApiPaths[V]>>;
  close(): Promise<void>;
}

/** Connects at the first request. @throws SlurmError when address, user or token cannot be right */
export function createSlurmClient(options: SlurmClientOptions): SlurmClient {
  const connection = connect(options);
  if (options.apiVersion !== undefined) versionNumber(options.apiVersion);
  let version: Promise<string> | undefined;
  const apiVersion = (): Promise<string> => {
    version ??= options.apiVersion === undefined ? negotiate() : Promise.resolve(options.apiVersion);
    // A server that was not there yet may be asked again.
    version.catch(() => {
      version = undefined;
    });
    return version;
  };
  const negotiate = async (): Promise<string> => {
    const response = await connection.fetch(new Request(`${connection.origin}/openapi/v3`));
    const description = await readAnswer('GET the description', response);
    return chooseVersion(versionsOf(Object.keys(isAnswer(description.paths) ? description.paths : {})));
  };
  const open = async <P extends object>(): Promise<Client<P>> =>
    createOpenApiClient<P>({
      baseUrl: `${connection.origin}/slurm/${await apiVersion()}`,
      fetch: (request) => connection.fetch(request),
    });
  const raw = async <V extends keyof ApiPaths>(wanted: V): Promise<Client<ApiPaths[V]>> => {
    const spoken = await apiVersion();
    if (spoken === wanted) return open<ApiPaths[V]>();
    throw new SlurmError('unsupported-version', `raw ${wanted}: this client speaks ${spoken} with the server`);
  };

  /** The answer without Slurm's errors, which are thrown. */
  const ask = async (asked: string, isQuery: boolean, call: (api: Client<paths>) => Reply): Promise<Answer> => {
    const { response, data, error } = await call(await open<paths>());
    const answer = data ?? error;
    const problems = readProblems(isAnswer(answer) ? answer.errors : undefined);
    if (response.status >= 400 || (problems.length > 0 && isQuery))
      throw errorOf(asked, response.status, problems, isQuery);
    if (isAnswer(answer)) return answer;
    throw notAnAnswer(asked, response.status, String(answer));
  };
  const one = async <T>(asked: string, list: Promise<T[]>): Promise<T> => {
    const [first] = await list;
    if (first === undefined) throw new SlurmError('not-found', `${asked}: Slurm knows none of that name`);
    return first;
  };
  const path = (id: number) => ({ params: { path: { job_id: id } } }) as never;
  const jobElements = async (id: number) =>
    readList((await ask(`GET job ${id}`, true, (api) => api.GET('/job/{job_id}', path(id)))).jobs).map(readJob);
  const nodesOf = (answer: Answer) => readList(answer.nodes).map(readNode);
  const partitionsOf = (answer: Answer) => readList(answer.partitions).map(readPartition);
  const remove = async (id: number, signal?: string): Promise<void> => {
    const asked = signal === undefined ? `cancel job ${id}` : `signal ${signal} to job ${id}`;
    // Later versions say that all is well about a job that they have never heard of.
    if (versionNumber(await apiVersion()) >= 39) await jobElements(id);
    const parameters = { params: { path: { job_id: id }, query: signal === undefined ? {} : { signal } } } as never;
    await ask(asked, true, (api) => api.DELETE('/job/{job_id}', parameters));
  };

  return {
    apiVersion,
    release: async () => releaseOf(await ask('GET ping', false, (api) => api.GET('/ping'))),
    ping: async () => readList((await ask('GET ping', true, (api) => api.GET('/ping'))).pings).map(readController),
    diag: async () => {
      const { statistics } = await ask('GET diag', true, (api) => api.GET('/diag'));
      return readDiagnostics(isAnswer(statistics) ? statistics : {});
    },
    submitJob: async (job) => {
      const body = submissionBody(job, await apiVersion()) as never;
      const answer = await ask('submit', false, (api) => api.POST('/job/submit', { body }));
      const id = readNumber(answer.job_id) ?? 0;
      const remarks = readProblems(answer.errors);
      // An accepted job may come with errors, such as that it is held; a refused one has no id.
      if (id === 0) throw errorOf('submit', 500, remarks, false);
      return { id, remarks: [...remarks, ...readProblems(answer.warnings)] };
    },
    jobs: async () => readList((await ask('GET jobs', true, (api) => api.GET('/jobs'))).jobs).map(readJob),
    job: (id) => one(`GET job ${id}`, jobElements(id)),
    jobElements,
    updateJob: async (id, change) => {
      const parameters = { ...(path(id) as object), body: changeBody(change, await apiVersion()) } as never;
      await ask(`update job ${id}`, true, (api) => api.POST('/job/{job_id}', parameters)).catch(unlessHeld);
    },
    cancelJob: (id) => remove(id),
    signalJob: (id, signal) => remove(id, String(signal)),
    nodes: async () => nodesOf(await ask('GET nodes', true, (api) => api.GET('/nodes'))),
    node: (name) => {
      const parameters = { params: { path: { node_name: name } } } as never;
      const asked = `GET node ${name}`;
      return one(asked, ask(asked, true, (api) => api.GET('/node/{node_name}', parameters)).then(nodesOf));
    },
    partitions: async () => partitionsOf(await ask('GET partitions', true, (api) => api.GET('/partitions'))),
    partition: (name) => {
      const parameters = { params: { path: { partition_name: name } } } as never;
      const asked = `GET partition ${name}`;
      return one(
        asked,
        ask(asked, true, (api) => api.GET('/partition/{partition_name}', parameters)).then(partitionsOf, orUnknown),
      );
    },
    raw,
    close: () => connection.close(),
  };
}

type Reply = Promise<{ response: Response; data?: unknown; error?: unknown }>;

/** "Job is held" is what Slurm says after it has changed a held job. */
function unlessHeld(error: unknown): void {
  const { problems = [] } = error as SlurmError;
  if (problems.length === 0 || problems.some(({ number }) => number !== 2042)) throw error;
}

/** Slurm 24.11 calls the query of a partition that it does not know empty. */
function orUnknown(error: SlurmError): never {
  const { message, problems, status } = error;
  if (!problems.some(({ number }) => number === 9000)) throw error;
  throw new SlurmError('not-found', message, { problems, status, cause: error });
}

function releaseOf(answer: Answer): string {
  const meta = isAnswer(answer.meta) ? answer.meta : {};
  const slurm = meta.Slurm ?? meta.slurm;
  return isAnswer(slurm) ? readText(slurm.release) : '';
}

async function readAnswer(asked: string, response: Response): Promise<Answer> {
  const text = await response.text();
  if (response.status >= 400) throw errorOf(asked, response.status, [], false);
  try {
    const answer: unknown = JSON.parse(text);
    if (isAnswer(answer)) return answer;
  } catch {
    // Told below.
  }
  throw notAnAnswer(asked, response.status, text);
}

function notAnAnswer(asked: string, status: number, text: string): SlurmError {
  const start = text.slice(0, 80).replaceAll(/\s+/g, ' ');
  return new SlurmError('bad-answer', `${asked}: not an answer of slurmrestd: "${start}"`, { status });
}
