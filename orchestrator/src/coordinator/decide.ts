// The coordinator's whole judgement as one pure function of (state, event, time). No sockets, files or clocks here.
import { ERROR_CODES, type ErrorCode } from '@slip/core';
import type {
  AgentHello,
  ControlMessage,
  Failure,
  Heartbeat,
  StopRequest,
  WorkerExited,
  WorkerHello,
  WorkerJoin,
} from '@slip/protocol';
import { finalExitCode, isRetryable, judgeExit, rootCause } from './failures.js';
import {
  type CoordinatorAction,
  type CoordinatorEvent,
  type CoordinatorState,
  type Decision,
  type FailureRecord,
  freshWorkers,
  type NodeState,
  type WorkerState,
} from './state.js';

/**
 * What follows from one event.
 * @param nowMs milliseconds on any clock that only moves forward
 */
export function decide(state: CoordinatorState, event: CoordinatorEvent, nowMs: number): Decision {
  if (state.phase === 'ended') return afterTheEnd(state, event);
  if (event.type === 'tick') return onTick(state, nowMs);
  const { peer, message } = event;
  switch (message.kind) {
    case 'agentHello':
      return onAgentHello(state, peer, message, nowMs);
    case 'workerHello':
      return ofGeneration(state, peer, message) ?? onWorkerHello(state, peer, message);
    case 'workerJoin':
      return ofGeneration(state, peer, message) ?? onWorkerJoin(state, peer, message, nowMs);
    case 'heartbeat':
      return onHeartbeat(state, peer, message);
    case 'failure':
      return ofGeneration(state, peer, message) ?? onFailure(state, message, nowMs);
    case 'finished': {
      const finished = withWorker(state, message.rank, { finished: message.outcome });
      return (
        ofGeneration(state, peer, message) ?? {
          state: finished,
          actions: [send(peer, { kind: 'ack' })],
          reason: `rank ${message.rank} ${message.outcome}`,
        }
      );
    }
    case 'workerExited':
      return isCurrent(state, message) ? onWorkerExited(state, message, nowMs) : unchanged(state, 'an old exit');
    case 'stopRequest':
      return onStopRequest(state, message, nowMs);
    case 'welcome':
    case 'reject':
    case 'startGeneration':
    case 'peerTable':
    case 'abort':
    case 'forwardSignal':
    case 'shutdown':
    case 'ack':
      return unchanged(state, `${message.kind} is not for the coordinator`);
    default:
      return message satisfies never;
  }
}

// --- agents ---------------------------------------------------------------------------------------------------------

function onAgentHello(state: CoordinatorState, peer: string, hello: AgentHello, nowMs: number): Decision {
  const { options } = state;
  const refuse = (code: ErrorCode, reason: string): Decision => ({
    state,
    actions: [send(peer, { kind: 'reject', code, reason })],
    reason,
  });
  if (hello.runId !== options.runId)
    return refuse('rendezvous', `this endpoint serves the run "${options.runId}", not "${hello.runId}"; see --rdzv-id`);
  if (hello.nodeRank >= options.numNodes)
    return refuse(
      'config',
      `--node-rank ${hello.nodeRank} on ${hello.host} is not below --nnodes ${options.numNodes} of node 0`,
    );
  const known = state.nodes[hello.nodeRank];
  if (known !== undefined && known.pid === hello.pid && known.host === hello.host)
    return {
      state: withNode(state, { ...known, peer, silenceMs: 0 }),
      actions: [welcome(state, peer)],
      reason: 'again',
    };
  if (known !== undefined)
    return refuse(
      'rendezvous',
      `node rank ${hello.nodeRank} is taken by ${known.host} (pid ${known.pid}); give each node its own --node-rank`,
    );
  const mismatch = findMismatch(state, hello);
  if (mismatch !== undefined) {
    const ending = end(state, { exitCode: ERROR_CODES.config, event: 'failed', reason: mismatch }, nowMs);
    return {
      ...ending,
      actions: [send(peer, { kind: 'reject', code: 'config', reason: mismatch }), ...ending.actions],
    };
  }
  const node = { nodeRank: hello.nodeRank, peer, host: hello.host, pid: hello.pid, silenceMs: 0 };
  const joined = withNode(state, node);
  const missing = missingNodes(joined);
  if (missing.length > 0)
    return { state: joined, actions: [welcome(state, peer)], reason: `waiting for node ${missing.join(', ')}` };
  const started = start(joined, 0, nowMs);
  return { ...started, actions: [welcome(state, peer), ...started.actions] };
}

function findMismatch(state: CoordinatorState, hello: AgentHello): string | undefined {
  const { options } = state;
  const who = `node ${hello.nodeRank} (${hello.host})`;
  if (hello.numNodes !== options.numNodes)
    return `${who} was started with --nnodes ${hello.numNodes}, node 0 with ${options.numNodes}`;
  if (hello.nprocPerNode !== options.nprocPerNode)
    return `${who} was started with --nproc ${hello.nprocPerNode}, node 0 with ${options.nprocPerNode}`;
  if (hello.configHash !== options.configHash)
    return (
      `${who} resolved another run configuration (hash ${hello.configHash}) than node 0 (${options.configHash}); ` +
      'start every node with the same flags, recipe and version'
    );
  return undefined;
}

function start(state: CoordinatorState, generation: number, nowMs: number, cause?: FailureRecord): Decision {
  return {
    state: { ...state, phase: 'starting', phaseSinceMs: nowMs, generation, workers: freshWorkers(state.options) },
    actions: [{ type: 'start', generation, ...(cause === undefined ? {} : { cause }) }],
    reason: generation === 0 ? 'all nodes are here' : `restart ${generation}`,
  };
}

function onHeartbeat(state: CoordinatorState, peer: string, beat: Heartbeat): Decision {
  const node = state.nodes[beat.nodeRank];
  if (node === undefined || node.peer !== peer) return unchanged(state, 'heartbeat of an unknown agent');
  let heard = withNode(state, { ...node, silenceMs: 0 });
  if (beat.generation === state.generation)
    for (const { rank, step, silenceMs } of beat.workers)
      heard = withWorker(heard, rank, { step: Math.max(step, heard.workers[rank]?.step ?? 0), silenceMs });
  return { state: heard, actions: [send(peer, { kind: 'ack' })], reason: 'alive' };
}

// --- workers --------------------------------------------------------------------------------------------------------

function onWorkerHello(state: CoordinatorState, peer: string, hello: WorkerHello): Decision {
  const { generation, options } = state;
  if (hello.runId !== options.runId) {
    const reason = `rank ${hello.rank} on ${hello.host} belongs to the run "${hello.runId}", this one is "${options.runId}"`;
    return { state, actions: [send(peer, { kind: 'reject', code: 'rendezvous', reason })], reason };
  }
  const tooLate: ControlMessage = { kind: 'abort', generation, reason: `generation ${generation} is ending` };
  return {
    state: withWorker(state, hello.rank, { peer }),
    actions: [state.phase === 'stopping' ? send(peer, tooLate) : welcome(state, peer)],
    reason: `rank ${hello.rank} is up`,
  };
}

function onWorkerJoin(state: CoordinatorState, peer: string, join: WorkerJoin, nowMs: number): Decision {
  const joined = withWorker(state, join.rank, { peer, endpoint: join.endpoint });
  if (state.phase === 'stopping') return { state: joined, actions: [], reason: 'the generation is ending' };
  const endpoints = joined.workers.flatMap((worker) => worker.endpoint ?? []);
  const table: ControlMessage = { kind: 'peerTable', generation: state.generation, endpoints };
  if (state.phase === 'running') return { state: joined, actions: [send(peer, table)], reason: 'asked again' };
  if (endpoints.length < joined.workers.length)
    return {
      state: joined,
      actions: [],
      reason: `${endpoints.length} of ${joined.workers.length} workers have joined`,
    };
  return {
    state: { ...joined, phase: 'running', phaseSinceMs: nowMs },
    actions: toWorkers(joined, table),
    reason: 'all workers have joined',
  };
}

function onFailure(state: CoordinatorState, { rank, host, error }: Failure, nowMs: number): Decision {
  const nodeRank = nodeOf(state, rank);
  const failure: FailureRecord = { rank, nodeRank, host, ...error, logTail: [] };
  return abort(withWorker(state, rank, { failure }), nowMs, `rank ${rank} failed: ${error.message}`);
}

function onWorkerExited(state: CoordinatorState, message: WorkerExited, nowMs: number): Decision {
  const worker = state.workers[message.rank]!;
  if (worker.exit !== undefined) return unchanged(state, 'an exit known before');
  const meaning = judgeExit(message, worker, nodeOf(state, message.rank));
  const left = withWorker(state, message.rank, meaning);
  const allGone = left.workers.every((other) => other.exit !== undefined);
  if (allGone) return conclude(left, nowMs);
  if (meaning.exit === 'failed') return abort(left, nowMs, `rank ${message.rank} failed: ${meaning.failure.message}`);
  return { state: left, actions: [], reason: `rank ${message.rank} is gone (${meaning.exit})` };
}

/** Ends the generation everywhere; what comes after is decided when the last worker is gone. */
function abort(state: CoordinatorState, nowMs: number, reason: string): Decision {
  if (state.phase === 'stopping') return { state, actions: [], reason };
  const message: ControlMessage = { kind: 'abort', generation: state.generation, reason };
  return {
    state: { ...state, phase: 'stopping', phaseSinceMs: nowMs },
    actions: [...toWorkers(state, message), ...toAgents(state, message)],
    reason,
  };
}

/** All workers of the generation are gone. */
function conclude(state: CoordinatorState, nowMs: number): Decision {
  const failures = state.workers.flatMap((worker) => worker.failure ?? []);
  const root = rootCause(failures);
  // Workers that were told to leave before they had begun may complain about it.
  if (state.stopRequested?.inPhase === 'starting')
    return end(state, { exitCode: ERROR_CODES.stopped, event: 'stopped', reason: STOPPED_EARLY }, nowMs);
  if (root === undefined) return concludeWithoutFailure(state, nowMs);

  const reached = Math.max(0, ...state.workers.map((worker) => worker.step), root.step);
  const progressed = reached > state.bestStep;
  const judged: CoordinatorState = {
    ...state,
    bestStep: Math.max(reached, state.bestStep),
    numFailuresWithoutProgress: progressed ? 0 : state.numFailuresWithoutProgress + 1,
  };
  const report = (next: string): CoordinatorAction => ({
    type: 'report',
    report: { root, numOthers: failures.length - 1, next },
  });
  const giveUp = (exitCode: number, why: string): Decision => {
    const ending = end(
      judged,
      { exitCode, event: 'failed', reason: `rank ${root.rank} failed; ${why}`, cause: root },
      nowMs,
    );
    return { ...ending, actions: [report(`${why}; exit code ${exitCode}`), ...ending.actions] };
  };

  const { maxRestarts } = state.options;
  if (state.stopRequested?.inPhase === 'stopping' && isRetryable(root.code))
    return end(judged, { exitCode: ERROR_CODES.stopped, event: 'stopped', reason: STOPPED_BETWEEN }, nowMs);
  if (state.stopRequested !== undefined)
    return giveUp(finalExitCode(root), 'not restarted, because a stop was asked for');
  if (!isRetryable(root.code)) return giveUp(finalExitCode(root), `a restart cannot mend [${root.code}]`);
  if (state.generation >= maxRestarts)
    return giveUp(
      finalExitCode(root),
      maxRestarts === 0 ? 'no restarts allowed' : `all ${maxRestarts} restarts are used up`,
    );
  const restarted = start(judged, state.generation + 1, nowMs, root);
  const stuck =
    judged.numFailuresWithoutProgress >= 2
      ? ` (${judged.numFailuresWithoutProgress} failures in a row without a new step)`
      : '';
  return {
    ...restarted,
    actions: [report(`restart ${state.generation + 1} of ${maxRestarts}${stuck}`), ...restarted.actions],
  };
}

const STOPPED_BETWEEN = 'stopped instead of restarted; the same command continues from the last checkpoint';
const STOPPED_EARLY = 'stopped before training began; the same command starts it again';

function concludeWithoutFailure(state: CoordinatorState, nowMs: number): Decision {
  const exits = state.workers.map((worker) => worker.exit);
  if (exits.every((exit) => exit === 'clean'))
    return end(state, { exitCode: 0, event: 'finished', reason: 'all ranks have finished' }, nowMs);
  const reason = exits.includes('killed') ? STOPPED_EARLY : 'stopped and saved; the same command continues the run';
  return end(state, { exitCode: ERROR_CODES.stopped, event: 'stopped', reason }, nowMs);
}

// --- stopping -------------------------------------------------------------------------------------------------------

function onStopRequest(state: CoordinatorState, request: StopRequest, nowMs: number): Decision {
  const { signal } = request;
  if (request.force)
    return end(
      state,
      { exitCode: 130, event: 'failed', reason: `killed at node ${request.nodeRank} by a second ${signal}` },
      nowMs,
    );
  const notice: CoordinatorAction = { type: 'notice', text: `${signal} at node ${request.nodeRank}: stopping` };
  const asked = { ...state, stopRequested: { signal, inPhase: state.phase } };
  switch (state.phase) {
    case 'gathering': {
      const ending = end(asked, { exitCode: ERROR_CODES.stopped, event: 'stopped', reason: STOPPED_EARLY }, nowMs);
      return { ...ending, actions: [notice, ...ending.actions] };
    }
    case 'starting': {
      // No worker has begun to train, so there is nothing to save.
      const ending = abort(asked, nowMs, `${signal} before training began`);
      return { ...ending, actions: [notice, ...ending.actions] };
    }
    case 'running': {
      const forward: ControlMessage = { kind: 'forwardSignal', generation: state.generation, signal };
      const actions = [{ ...notice, text: `${notice.text} at the next step` }, ...toAgents(state, forward)];
      return { state: asked, actions, reason: `${signal} forwarded` };
    }
    case 'stopping':
      return {
        state: { ...asked, stopRequested: state.stopRequested ?? asked.stopRequested },
        actions: [],
        reason: signal,
      };
    case 'ended':
      return unchanged(state, 'the launch is over');
    default:
      return state.phase satisfies never;
  }
}

function end(state: CoordinatorState, how: Omit<CoordinatorAction & { type: 'end' }, 'type'>, nowMs: number): Decision {
  const { exitCode, reason } = how;
  return {
    state: { ...state, phase: 'ended', phaseSinceMs: nowMs, ending: { exitCode, reason } },
    actions: [...toAgents(state, { kind: 'shutdown', exitCode, reason }), { type: 'end', ...how }],
    reason,
  };
}

/** An agent that joins only now, node 0's own among them when it was slower than another node, must not wait for an answer. */
function afterTheEnd(state: CoordinatorState, event: CoordinatorEvent): Decision {
  const reason = 'the launch is over';
  if (event.type !== 'message' || event.message.kind !== 'agentHello') return unchanged(state, reason);
  const [code] = (Object.entries(ERROR_CODES) as [ErrorCode, number][]).find(([, exitCode]) => {
    return exitCode === state.ending?.exitCode;
  }) ?? ['rendezvous'];
  const refusal: ControlMessage = { kind: 'reject', code: code as ErrorCode, reason: state.ending?.reason ?? reason };
  return { state, actions: [send(event.peer, refusal)], reason };
}

// --- time -----------------------------------------------------------------------------------------------------------

function onTick(before: CoordinatorState, nowMs: number): Decision {
  const { options } = before;
  // After a gap in which this process itself was suspended, the others' silence says nothing.
  const passedMs = Math.min(nowMs - before.lastTickMs, 4 * options.tickMs);
  const state: CoordinatorState = {
    ...before,
    lastTickMs: nowMs,
    nodes: before.nodes.map((node) => node && { ...node, silenceMs: node.silenceMs + passedMs }),
  };
  if (state.phase === 'gathering') return whileGathering(state, nowMs);
  const lost = state.nodes.find((node) => node !== undefined && node.silenceMs > options.agentTimeoutMs);
  if (lost !== undefined) {
    const reason = `node ${lost.nodeRank} (${lost.host}) has not been heard of for ${options.agentTimeoutMs / 1000} s`;
    return end(state, { exitCode: ERROR_CODES['peer-lost'], event: 'failed', reason }, nowMs);
  }
  return findSilentWorker(state, nowMs) ?? unchanged(state, 'no news');
}

function whileGathering(state: CoordinatorState, nowMs: number): Decision {
  const { options } = state;
  if (nowMs - state.phaseSinceMs > options.joinTimeoutMs) {
    const missing = missingNodes(state);
    const reason =
      `node rank ${missing.join(', ')} of ${options.numNodes} nodes did not come within ` +
      `${options.joinTimeoutMs / 1000} s; start slip-launch there with --node-rank and the same --rdzv-endpoint`;
    return end(state, { exitCode: ERROR_CODES.rendezvous, event: 'failed', reason }, nowMs);
  }
  // An agent that died while the others are still missing may be started again.
  const nodes = state.nodes.map((node) => (node && node.silenceMs <= options.agentTimeoutMs ? node : undefined));
  return unchanged({ ...state, nodes }, 'gathering');
}

function findSilentWorker(state: CoordinatorState, nowMs: number): Decision | undefined {
  if (state.phase === 'stopping') return undefined;
  const { options } = state;
  const fail = (worker: WorkerState, code: ErrorCode, message: string): Decision => {
    const nodeRank = nodeOf(state, worker.rank);
    const host = state.nodes[nodeRank]?.host ?? '';
    // Time on this host's calendar is not known here; 0 makes what was decided here come first, which it did.
    const failure = { rank: worker.rank, nodeRank, host, step: worker.step, code, message, timeMs: 0, logTail: [] };
    return abort(withWorker(state, worker.rank, { failure }), nowMs, `rank ${worker.rank}: ${message}`);
  };
  for (const worker of state.workers) {
    if (worker.exit !== undefined) continue;
    if (
      state.phase === 'starting' &&
      worker.endpoint === undefined &&
      nowMs - state.phaseSinceMs > options.startTimeoutMs
    )
      return fail(worker, 'rendezvous', `the worker did not join within ${options.startTimeoutMs / 1000} s`);
    if (worker.silenceMs > options.workerTimeoutMs)
      return fail(
        worker,
        'worker-failed',
        `no heartbeat for ${options.workerTimeoutMs / 1000} s: the process is frozen`,
      );
  }
  return undefined;
}

// --- small steps ----------------------------------------------------------------------------------------------------

function unchanged(state: CoordinatorState, reason: string): Decision {
  return { state, actions: [], reason };
}

function send(peer: string, message: ControlMessage): CoordinatorAction {
  return { type: 'send', peer, message };
}

function toAgents(state: CoordinatorState, message: ControlMessage): CoordinatorAction[] {
  return state.nodes.flatMap((node) => (node === undefined ? [] : [send(node.peer, message)]));
}

function toWorkers(state: CoordinatorState, message: ControlMessage): CoordinatorAction[] {
  return state.workers.flatMap((worker) =>
    worker.peer === undefined || worker.exit !== undefined ? [] : [send(worker.peer, message)],
  );
}

function welcome({ options }: CoordinatorState, peer: string): CoordinatorAction {
  return send(peer, {
    kind: 'welcome',
    launchId: options.launchId,
    heartbeatIntervalMs: options.heartbeatIntervalMs,
    coordinatorTimeoutMs: options.agentTimeoutMs,
  });
}

function isCurrent(state: CoordinatorState, { generation, rank }: { generation: number; rank: number }): boolean {
  return state.phase !== 'gathering' && generation === state.generation && rank < state.workers.length;
}

/** The answer to a worker whose generation is over (or ending), undefined for one of the present generation. */
function ofGeneration(
  state: CoordinatorState,
  peer: string,
  worker: { generation: number; rank: number },
): Decision | undefined {
  if (isCurrent(state, worker)) return undefined;
  const reason = `generation ${worker.generation} is over`;
  return { state, actions: [send(peer, { kind: 'abort', generation: worker.generation, reason })], reason };
}

function withNode(state: CoordinatorState, node: NodeState): CoordinatorState {
  return { ...state, nodes: state.nodes.map((other, nodeRank) => (nodeRank === node.nodeRank ? node : other)) };
}

function withWorker(state: CoordinatorState, rank: number, change: Partial<WorkerState>): CoordinatorState {
  return {
    ...state,
    workers: state.workers.map((worker) => (worker.rank === rank ? { ...worker, ...change } : worker)),
  };
}

function missingNodes(state: CoordinatorState): number[] {
  return state.nodes.flatMap((node, nodeRank) => (node === undefined ? [nodeRank] : []));
}

function nodeOf(state: CoordinatorState, rank: number): number {
  return Math.floor(rank / state.options.nprocPerNode);
}
