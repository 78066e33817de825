// One launch on one node, whole: the coordinator on node 0, this node's agent, and the lines a person sees.
import { randomUUID } from 'node:crypto';
import path from 'node:path';
import { ERROR_CODES, type Logger, SlipError } from '@slip/core';
import { curveKeyPair } from 'zeromq';
import { type AgentEdges, type AgentResult, runAgent } from '../agent/agent.js';
import { type Coordinator, startCoordinator } from '../coordinator/server.js';
import { renderFailureReport } from './failure-report.js';
import { enterRunFolder, thisProcess } from './folder-in-use.js';
import type { LaunchSettings } from './launch-settings.js';
import { readShares } from './machine.js';
import {
  addressOfInterface,
  bindHost,
  type Endpoint,
  firstOwnAddress,
  localAddressTowards,
  resolveHost,
} from './network.js';
import { watchForNewerAttempt } from './newer-attempt.js';
import { awaitEndpoint, publishEndpoint, withdrawEndpoint } from './rendezvous-file.js';
import { appendEvent, attemptFolder, claimAttempt, writeCoordinatorFile } from './run-store.js';

export interface LaunchOptions extends LaunchSettings {
  readonly runFolder: string;
  /** The resolved run configuration, as the workers read it. */
  readonly configFile: string;
  readonly configHash: string;
  /** JavaScript file of the worker. */
  readonly workerExecutable: string;
  /** Called on this node once all nodes have agreed on the configuration, before workers are started. */
  readonly beforeStart?: () => Promise<void>;
  /** Passed on to the workers beneath their own variables. */
  readonly environment: NodeJS.ProcessEnv;
  /** Between SIGTERM and SIGKILL, default 3 s: workers blocked in a collective do not react to SIGTERM. */
  readonly killGraceMs?: number;
  /** Default 60 s. A worker beats from a thread of its own, so only a frozen process is silent. */
  readonly workerTimeoutMs?: number;
  /** How long a worker may take until its first message, default 300 s. */
  readonly startTimeoutMs?: number;
}

export interface LaunchEdges extends AgentEdges {
  readonly log: Logger;
}

/**
 * Runs this node's part of the launch to its end.
 * @returns the exit code for the process
 * @throws SlipError `rendezvous` (port in use, coordinator out of reach), or the coordinator's reason for a refusal
 */
export async function launch(options: LaunchOptions, edges: LaunchEdges): Promise<number> {
  // A closed terminal or pipe must not end a run that is being asked to save by the SIGHUP that comes with it.
  for (const stream of [edges.terminal.stdout, edges.terminal.stderr]) stream.on('error', () => undefined);
  const place = await findPlace(options, edges);
  const attempts = { own: undefined as number | undefined };
  const coordinator = options.nodeRank === 0 ? await openCoordinator(options, place, edges, attempts) : undefined;
  const abandoned = new AbortController();
  const stopWatching =
    coordinator === undefined
      ? () => undefined
      : watchForNewerAttempt(
          options.runFolder,
          () => attempts.own,
          (newer) => {
            const reason = `attempt ${newer} of this run was started elsewhere; this one, ${attempts.own}, leaves without saving`;
            coordinator.abandon(reason);
            abandoned.abort(reason);
          },
        );
  const { rendezvousFile } = options;
  const published = coordinator === undefined ? undefined : { host: place.endpoint.host, port: coordinator.port };
  try {
    if (rendezvousFile !== undefined && published !== undefined) await publishEndpoint(rendezvousFile, published);
    const dialled = coordinator === undefined ? place.endpoint : { host: place.dialHost, port: coordinator.port };
    const result = await runNode(options, place, dialled, edges, abandoned.signal);
    sayGoodbye(result, edges.log);
    return result.exitCode;
  } finally {
    stopWatching();
    if (rendezvousFile !== undefined && published !== undefined) await withdrawEndpoint(rendezvousFile, published);
    await coordinator?.close();
  }
}

interface Place {
  /** Where the coordinator is, by address; port 0 until a free one is found. */
  readonly endpoint: Endpoint;
  readonly bindHost: string;
  /** How this machine reaches a coordinator of its own. */
  readonly dialHost: string;
  /** Address at which others reach this node. */
  readonly host: string;
}

async function findPlace(options: LaunchOptions, edges: LaunchEdges): Promise<Place> {
  const named = await findCoordinator(options, edges);
  const endpoint = { host: await resolveHost(named.host), port: named.port };
  const bind = bindHost(endpoint.host);
  const host =
    options.commInterfaces !== undefined
      ? addressOfInterface(options.commInterfaces)
      : (options.localAddress ?? (await localAddressTowards(endpoint.host)));
  return { endpoint, bindHost: bind, dialHost: bind === '*' ? '127.0.0.1' : bind, host };
}

async function findCoordinator(options: LaunchOptions, edges: LaunchEdges): Promise<Endpoint> {
  const { rendezvousFile, nodeRank, joinTimeoutMs } = options;
  if (rendezvousFile === undefined) return options.endpoint ?? { host: '127.0.0.1', port: 0 };
  if (nodeRank === 0) return { host: options.rendezvousAddress ?? firstOwnAddress(), port: 0 };
  const stopped = new AbortController();
  const unsubscribe = edges.onSignal(() => stopped.abort());
  try {
    return await awaitEndpoint(rendezvousFile, joinTimeoutMs, stopped.signal);
  } finally {
    unsubscribe();
  }
}

async function openCoordinator(
  options: LaunchOptions,
  place: Place,
  edges: LaunchEdges,
  attempts: { own: number | undefined },
): Promise<Coordinator> {
  const launchId = randomUUID();
  const { runFolder } = options;
  let claimed = await enterRunFolder(runFolder, options.runId, edges.log);
  const coordinator: Coordinator = await startCoordinator(
    {
      runId: options.runId,
      launchId,
      configHash: options.configHash,
      numNodes: options.numNodes,
      nprocPerNode: options.nprocPerNode,
      maxRestarts: options.maxRestarts,
      joinTimeoutMs: options.joinTimeoutMs,
      startTimeoutMs: options.startTimeoutMs ?? 300_000,
      heartbeatIntervalMs: options.heartbeatIntervalMs,
      agentTimeoutMs: options.agentTimeoutMs,
      workerTimeoutMs: options.workerTimeoutMs ?? 60_000,
      tickMs: 200,
    },
    { host: place.bindHost, port: place.endpoint.port },
    {
      log: edges.log,
      claimAttempt: async () => {
        const attempt = claimed ?? (await claimAttempt(runFolder));
        claimed = undefined;
        attempts.own = attempt;
        await writeCoordinatorFile(attemptFolder(runFolder, attempt), {
          endpoint: `tcp://${place.endpoint.host}:${coordinator.port}`,
          launchId,
          runId: options.runId,
          ...(await thisProcess()),
          // For what ranks send each other; the folder is how workers of other nodes learn it.
          dataKeys: curveKeyPair(),
        });
        return attempt;
      },
      record: (event, facts) => appendEvent(runFolder, { event, launchId, ...facts }),
      report: (report) => {
        edges.terminal.stderr.write(renderFailureReport(report));
      },
    },
  );
  if (options.numNodes > 1)
    edges.log.info(`waiting for ${options.numNodes} nodes at ${place.endpoint.host}:${coordinator.port}`);
  return coordinator;
}

async function runNode(
  options: LaunchOptions,
  place: Place,
  coordinator: Endpoint,
  edges: LaunchEdges,
  abandoned: AbortSignal,
): Promise<AgentResult> {
  const { runFolder, logDir } = options;
  const agentOptions = {
    hello: {
      runId: options.runId,
      nodeRank: options.nodeRank,
      numNodes: options.numNodes,
      nprocPerNode: options.nprocPerNode,
      host: place.host,
      pid: process.pid,
      configHash: options.configHash,
    },
    coordinator: `tcp://${coordinator.host}:${coordinator.port}`,
    joinTimeoutMs: options.joinTimeoutMs,
    killGraceMs: options.killGraceMs ?? 3000,
    maxRestarts: options.maxRestarts,
    role: options.role,
    workerExecutable: options.workerExecutable,
    configFile: options.configFile,
    attemptFolder: (attempt: number) => attemptFolder(runFolder, attempt),
    ...(logDir === undefined
      ? {}
      : { logFolder: (attempt: number) => path.join(logDir, path.basename(runFolder), `attempt-${attempt}`) }),
    logRouting: options.logRouting,
    ...(options.beforeStart === undefined ? {} : { beforeStart: options.beforeStart }),
    ...(options.bindWorkers ? { shares: readShares(options.nprocPerNode, options.environment, edges.log) } : {}),
    environment: options.environment,
    abandoned,
  };
  try {
    return await runAgent(agentOptions, edges);
  } catch (thrown) {
    const error = SlipError.from(thrown);
    if (error.code === 'stopped') return { exitCode: error.exitCode, reason: error.message };
    if (error.code !== 'rendezvous' || options.nodeRank === 0) throw error;
    throw new SlipError(
      'rendezvous',
      `node ${options.nodeRank} could not join at ${coordinator.host}:${coordinator.port} (--rdzv-endpoint): ` +
        `${error.message}; is slip-launch running on node 0, and can this machine reach that port?`,
      { cause: error },
    );
  }
}

function sayGoodbye({ exitCode, reason }: AgentResult, log: Logger): void {
  if (exitCode === 0) log.info(reason);
  else if (exitCode === ERROR_CODES.stopped) log.warn(reason);
  else log.error(reason);
}
