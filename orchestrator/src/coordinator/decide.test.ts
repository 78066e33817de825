// The coordinator's judgement with a clock of its own: no sockets, no processes, no waiting.
import assert from 'node:assert/strict';
import test from 'node:test';
import type { AgentHello, ControlMessage, WorkerError, WorkerExited } from '@slip/protocol';
import { decide } from './decide.js';
import { type CoordinatorAction, type CoordinatorOptions, type CoordinatorState, initialState } from './state.js';

/** A coordinator under test: feeds events, keeps the state and all actions, and owns the time. */
class Coordinator {
  state: CoordinatorState;
  nowMs = 1000;
  reason = '';
  private actions: CoordinatorAction[] = [];

  constructor(options: Partial<CoordinatorOptions> = {}) {
    this.state = initialState(
      {
        runId: 'run',
        launchId: 'launch',
        configHash: 'hash',
        numNodes: 1,
        nprocPerNode: 2,
        maxRestarts: 3,
        joinTimeoutMs: 10_000,
        startTimeoutMs: 5000,
        heartbeatIntervalMs: 1000,
        agentTimeoutMs: 3000,
        workerTimeoutMs: 2000,
        tickMs: 100,
        ...options,
      },
      this.nowMs,
    );
  }

  hear(peer: string, message: ControlMessage): this {
    return this.apply({ type: 'message', peer, message });
  }

  hello(nodeRank: number, change: Partial<AgentHello> = {}): this {
    const { runId, numNodes, nprocPerNode, configHash } = this.state.options;
    const hello = { runId, nodeRank, numNodes, nprocPerNode, host: `host${nodeRank}`, pid: 100 + nodeRank, configHash };
    return this.hear(`agent${nodeRank}`, { kind: 'agentHello', ...hello, ...change });
  }

  join(...ranks: number[]): this {
    const { generation } = this.state;
    for (const rank of ranks) {
      this.hear(`worker${rank}`, { kind: 'workerHello', generation, rank, host: 'host', pid: 1, runId: 'run' });
      this.hear(`worker${rank}`, { kind: 'workerJoin', generation, rank, endpoint: `tcp://${rank}` });
    }
    return this;
  }

  beat(nodeRank: number, ...steps: number[]): this {
    const workers = steps.map((step, local) => ({
      rank: nodeRank * this.state.options.nprocPerNode + local,
      step,
      silenceMs: 0,
    }));
    return this.hear(`agent${nodeRank}`, {
      kind: 'heartbeat',
      nodeRank,
      generation: this.state.generation,
      workers,
    });
  }

  finish(outcome: 'completed' | 'stopped', ...ranks: number[]): this {
    const { generation } = this.state;
    for (const rank of ranks) {
      this.hear(`worker${rank}`, { kind: 'finished', generation, rank, outcome });
      this.exit(rank, { exitCode: outcome === 'completed' ? 0 : 75 });
    }
    return this;
  }

  exit(rank: number, change: Partial<WorkerExited>): this {
    return this.hear('agent0', {
      kind: 'workerExited',
      generation: this.state.generation,
      rank,
      host: 'host',
      killedByAgent: false,
      timeMs: 5000 + rank,
      logPath: 'log',
      logTail: [],
      step: 0,
      ...change,
    });
  }

  /** Lets time pass in ticks, with agents beating all the while if asked to. */
  wait(ms: number, beating: readonly number[] = []): this {
    for (const end = this.nowMs + ms; this.nowMs < end; ) {
      this.nowMs += this.state.options.tickMs;
      for (const nodeRank of beating) this.beat(nodeRank);
      this.apply({ type: 'tick' });
    }
    return this;
  }

  /** The actions since the last call. */
  take(): CoordinatorAction[] {
    const taken = this.actions;
    this.actions = [];
    return taken;
  }

  /** Kinds of the messages to one peer since the last call of `take`. */
  sentTo(peer: string): string[] {
    return this.actions.flatMap((action) =>
      action.type === 'send' && action.peer === peer ? [action.message.kind] : [],
    );
  }

  ended() {
    return this.actions.find((action) => action.type === 'end');
  }

  report() {
    return this.actions.find((action) => action.type === 'report')?.report;
  }

  private apply(event: Parameters<typeof decide>[1]): this {
    const decision = decide(this.state, event, this.nowMs);
    this.state = decision.state;
    this.reason = decision.reason;
    this.actions.push(...decision.actions);
    return this;
  }
}

function running(options: Partial<CoordinatorOptions> = {}): Coordinator {
  const coordinator = new Coordinator(options);
  const { numNodes, nprocPerNode } = coordinator.state.options;
  for (let nodeRank = 0; nodeRank < numNodes; nodeRank++) coordinator.hello(nodeRank);
  coordinator.join(...Array.from({ length: numNodes * nprocPerNode }, (_, rank) => rank));
  assert.equal(coordinator.state.phase, 'running');
  coordinator.take();
  return coordinator;
}

function errorOf(code: WorkerError['code'], message: string, timeMs: number, step = 0): WorkerError {
  return { code, message, timeMs, step };
}

test('starts when the last agent has come, and says whom it waits for', () => {
  const coordinator = new Coordinator({ numNodes: 3 }).hello(2).hello(0);
  assert.equal(coordinator.reason, 'waiting for node 1');
  assert.deepEqual(coordinator.sentTo('agent2'), ['welcome']);
  coordinator.hello(1);
  assert.deepEqual(
    coordinator.take().filter(({ type }) => type === 'start'),
    [{ type: 'start', generation: 0 }],
  );
});

test('a repeated hello is answered again and starts nothing twice', () => {
  const coordinator = new Coordinator().hello(0).hello(0);
  assert.deepEqual(coordinator.sentTo('agent0'), ['welcome', 'welcome']);
  assert.equal(coordinator.take().filter(({ type }) => type === 'start').length, 1);
});

test('the peer table goes out, in rank order, when the last worker has joined', () => {
  const coordinator = new Coordinator().hello(0).join(1);
  assert.deepEqual(coordinator.sentTo('worker1'), ['welcome']);
  coordinator.join(0);
  const tables = coordinator.take().flatMap((action) => (action.type === 'send' ? [action] : []));
  for (const peer of ['worker0', 'worker1']) {
    const table = tables.find((sent) => sent.peer === peer && sent.message.kind === 'peerTable');
    assert.deepEqual(table?.message, { kind: 'peerTable', generation: 0, endpoints: ['tcp://0', 'tcp://1'] });
  }
});

test('agents that do not come in time are named by rank', () => {
  const coordinator = new Coordinator({ numNodes: 4 }).hello(0).hello(2).wait(9900, [0, 2]);
  assert.equal(coordinator.ended(), undefined);
  coordinator.wait(300, [0, 2]);
  assert.equal(coordinator.ended()?.exitCode, 4);
  assert.match(coordinator.ended()?.reason ?? '', /node rank 1, 3 of 4/);
  assert.ok(coordinator.sentTo('agent2').includes('shutdown'));
});

test('an agent that dies while others are missing may come again', () => {
  const coordinator = new Coordinator({ numNodes: 2 }).hello(1).hello(0).take();
  assert.ok(coordinator.some(({ type }) => type === 'start'));
  const waiting = new Coordinator({ numNodes: 2 }).hello(1).wait(3500);
  waiting.hello(1, { pid: 999 });
  assert.deepEqual(waiting.sentTo('agent1'), ['welcome', 'welcome']);
});

test('agents of another run, of a taken rank or beyond the last node are turned away, the launch goes on', () => {
  for (const [change, reason] of [
    [{ runId: 'other' }, /serves the run "run", not "other"/],
    [{ pid: 7 }, /node rank 0 is taken by host0 \(pid 100\)/],
    [{ nodeRank: 2 }, /--node-rank 2 on host0 is not below --nnodes 2/],
  ] as const) {
    const coordinator = new Coordinator({ numNodes: 2 }).hello(0);
    coordinator.take();
    coordinator.hello(0, change);
    const [answer] = coordinator.take();
    assert.ok(answer?.type === 'send' && answer.message.kind === 'reject');
    assert.match(answer.message.reason, reason);
    assert.equal(coordinator.state.phase, 'gathering');
  }
});

test('an agent with another configuration, nnodes or nproc ends the launch and is named', () => {
  for (const [change, reason] of [
    [{ configHash: 'x' }, /node 1 \(host1\) resolved another run configuration \(hash x\)/],
    [{ numNodes: 5 }, /node 1 \(host1\) was started with --nnodes 5, node 0 with 2/],
    [{ nprocPerNode: 5 }, /node 1 \(host1\) was started with --nproc 5, node 0 with 2/],
  ] as const) {
    const coordinator = new Coordinator({ numNodes: 2 }).hello(0).hello(1, change);
    assert.equal(coordinator.ended()?.exitCode, 2);
    assert.match(coordinator.ended()?.reason ?? '', reason);
    assert.ok(coordinator.sentTo('agent0').includes('shutdown'));
  }
});

test('an agent that joins after the end is told why, be it that of node 0', () => {
  const coordinator = new Coordinator({ numNodes: 2 }).hello(1, { configHash: 'x' });
  assert.equal(coordinator.ended()?.exitCode, 2);
  coordinator.take();
  coordinator.hello(0);
  const [answer] = coordinator.take();
  assert.ok(answer?.type === 'send' && answer.message.kind === 'reject');
  assert.equal(answer.message.code, 'config');
  assert.match(answer.message.reason, /node 1 \(host1\) resolved another run configuration/);
});

test('a failing worker ends its generation; all start again once all are gone', () => {
  const coordinator = running();
  coordinator.hear('worker1', {
    kind: 'failure',
    generation: 0,
    rank: 1,
    host: 'h',
    error: errorOf('internal', 'boom', 5),
  });
  assert.deepEqual(coordinator.sentTo('agent0'), ['abort']);
  assert.deepEqual(coordinator.sentTo('worker0'), ['abort']);
  coordinator.exit(1, { exitCode: 1, error: errorOf('internal', 'boom', 5) });
  assert.equal(coordinator.state.phase, 'stopping');
  coordinator.exit(0, { signal: 'SIGKILL', killedByAgent: true });
  const start = coordinator.take().find((action) => action.type === 'start');
  assert.equal(start?.generation, 1);
  assert.equal(start?.cause?.rank, 1);
  assert.equal(coordinator.state.phase, 'starting');
});

test('the first failure by time is reported, whatever order the news come in', () => {
  const coordinator = running();
  coordinator.exit(0, { exitCode: 1, error: errorOf('internal', 'second', 200) });
  coordinator.exit(1, { exitCode: 1, error: errorOf('internal', 'first', 199.5) });
  assert.equal(coordinator.report()?.root.message, 'first');
  assert.equal(coordinator.report()?.numOthers, 1);
});

test('a lost peer is never the cause while any rank has an error of its own', () => {
  const coordinator = running();
  coordinator.exit(0, { exitCode: 5, error: errorOf('peer-lost', 'rank 1 does not answer', 100) });
  coordinator.exit(1, { signal: 'SIGSEGV', timeMs: 900 });
  assert.equal(coordinator.report()?.root.rank, 1);
  assert.equal(coordinator.report()?.root.signal, 'SIGSEGV');
});

test('restarts are counted down, then the exit code is 9', () => {
  const coordinator = running({ nprocPerNode: 1, maxRestarts: 2 });
  const nexts: string[] = [];
  for (let generation = 0; generation < 3; generation++) {
    assert.equal(coordinator.state.generation, generation);
    coordinator.exit(0, { exitCode: 1, step: 10 });
    nexts.push(coordinator.report()?.next ?? '');
    if (generation < 2) coordinator.take();
  }
  assert.deepEqual(nexts, ['restart 1 of 2', 'restart 2 of 2', 'all 2 restarts are used up; exit code 9']);
  assert.equal(coordinator.ended()?.exitCode, 9);
});

test('failures in a row without a new step are counted aloud', () => {
  const coordinator = running({ nprocPerNode: 1, maxRestarts: 9 });
  const nexts: string[] = [];
  for (const step of [10, 10, 8, 11, 11]) {
    coordinator.take();
    coordinator.exit(0, { exitCode: 1, step });
    nexts.push(coordinator.report()?.next ?? '');
  }
  assert.deepEqual(nexts, [
    'restart 1 of 9',
    'restart 2 of 9',
    'restart 3 of 9 (2 failures in a row without a new step)',
    'restart 4 of 9',
    'restart 5 of 9',
  ]);
});

test('what a restart cannot mend is final, with the exit code of its cause', () => {
  for (const [code, exitCode] of [
    ['config', 2],
    ['data', 3],
    ['non-finite', 6],
    ['checkpoint', 7],
    ['unsupported', 8],
  ] as const) {
    const coordinator = running({ nprocPerNode: 1 }).exit(0, { exitCode, error: errorOf(code, 'no', 1) });
    assert.equal(coordinator.ended()?.exitCode, exitCode, code);
    const withoutErrorFile = running({ nprocPerNode: 1 }).exit(0, { exitCode });
    assert.equal(withoutErrorFile.ended()?.exitCode, exitCode, `${code}, by its exit code alone`);
  }
});

test('all finished is success; leaving with code 0 without a word is not', () => {
  const finished = running().finish('completed', 1, 0);
  assert.equal(finished.ended()?.exitCode, 0);
  assert.equal(finished.ended()?.event, 'finished');
  const silent = running({ nprocPerNode: 1, maxRestarts: 0 }).exit(0, { exitCode: 0 });
  assert.equal(silent.ended()?.exitCode, 9);
});

test('a worker that had finished is not failed by a signal that comes too late', () => {
  const coordinator = running().finish('stopped', 0);
  coordinator.hear('worker1', { kind: 'finished', generation: 0, rank: 1, outcome: 'stopped' });
  coordinator.exit(1, { signal: 'SIGTERM' });
  assert.equal(coordinator.ended()?.exitCode, 75);
});

test('a signal while running is forwarded to all nodes; all stopped is exit code 75', () => {
  const coordinator = running({ numNodes: 2, nprocPerNode: 1 });
  coordinator.hear('agent1', { kind: 'stopRequest', nodeRank: 1, signal: 'SIGUSR2', force: false });
  assert.deepEqual(coordinator.sentTo('agent0'), ['forwardSignal']);
  assert.deepEqual(coordinator.sentTo('agent1'), ['forwardSignal']);
  coordinator.finish('stopped', 0, 1);
  assert.equal(coordinator.ended()?.exitCode, 75);
  assert.equal(coordinator.ended()?.event, 'stopped');
});

test('a signal before training began ends the workers without asking them', () => {
  const coordinator = new Coordinator().hello(0).join(0);
  coordinator.hear('agent0', { kind: 'stopRequest', nodeRank: 0, signal: 'SIGTERM', force: false });
  assert.ok(coordinator.sentTo('agent0').includes('abort'));
  coordinator.exit(0, { exitCode: 5, killedByAgent: true, error: errorOf('peer-lost', 'told to leave', 3) });
  coordinator.exit(1, { signal: 'SIGTERM', killedByAgent: true });
  assert.equal(coordinator.ended()?.exitCode, 75);
  assert.equal(coordinator.report(), undefined, 'a worker that was told to leave is no failure');
  assert.match(coordinator.ended()?.reason ?? '', /before training began/);
  const gathering = new Coordinator({ numNodes: 2 }).hello(0);
  gathering.hear('agent0', { kind: 'stopRequest', nodeRank: 0, signal: 'SIGTERM', force: false });
  assert.equal(gathering.ended()?.exitCode, 75);
});

test('after a request to stop nothing is restarted', () => {
  const crashedLater = running({ nprocPerNode: 1 });
  crashedLater.hear('agent0', { kind: 'stopRequest', nodeRank: 0, signal: 'SIGTERM', force: false });
  crashedLater.exit(0, { signal: 'SIGKILL' });
  assert.equal(crashedLater.ended()?.exitCode, 9);
  const crashedBefore = running();
  crashedBefore.exit(0, { signal: 'SIGKILL' });
  crashedBefore.hear('agent0', { kind: 'stopRequest', nodeRank: 0, signal: 'SIGTERM', force: false });
  crashedBefore.exit(1, { signal: 'SIGKILL', killedByAgent: true });
  assert.equal(crashedBefore.ended()?.exitCode, 75);
});

test('a forced stop ends at once', () => {
  const coordinator = running();
  coordinator.hear('agent0', { kind: 'stopRequest', nodeRank: 0, signal: 'SIGINT', force: true });
  assert.equal(coordinator.ended()?.exitCode, 130);
});

test('a silent agent ends the launch; one that beats does not, nor does a suspension of our own', () => {
  const beating = running({ numNodes: 2 }).wait(10_000, [0, 1]);
  assert.equal(beating.ended(), undefined);
  beating.nowMs += 3_600_000;
  beating.wait(100);
  assert.equal(beating.ended(), undefined, 'an hour asleep is not silence of others');
  beating.wait(3500, [0]);
  assert.equal(beating.ended()?.exitCode, 5);
  assert.match(beating.ended()?.reason ?? '', /node 1 \(host1\)/);
});

test('a frozen worker and one that never joins fail their generation', () => {
  const frozen = running();
  const silence = { rank: 1, step: 4, silenceMs: 2001 };
  frozen.hear('agent0', { kind: 'heartbeat', nodeRank: 0, generation: 0, workers: [silence] }).wait(100);
  assert.equal(frozen.state.phase, 'stopping');
  assert.match(frozen.reason, /rank 1: no heartbeat for 2 s/);
  frozen.exit(0, { signal: 'SIGTERM', killedByAgent: true }).exit(1, { signal: 'SIGKILL', killedByAgent: true });
  assert.equal(frozen.report()?.root.rank, 1);
  assert.equal(frozen.report()?.root.step, 4);

  const absent = new Coordinator().hello(0).join(0).wait(5200, [0]);
  assert.equal(absent.state.phase, 'stopping');
  absent.exit(0, { signal: 'SIGTERM', killedByAgent: true }).exit(1, { signal: 'SIGKILL', killedByAgent: true });
  assert.match(absent.report()?.root.message ?? '', /did not join within 5 s/);
});

test('news of a past generation change nothing, and its workers are told to leave', () => {
  const coordinator = running({ nprocPerNode: 1 }).exit(0, { exitCode: 1 });
  assert.equal(coordinator.state.generation, 1);
  coordinator.take();
  const before = coordinator.state;
  coordinator.hear('old', { kind: 'workerHello', generation: 0, rank: 0, host: 'h', pid: 1, runId: 'run' });
  coordinator.exit(0, { exitCode: 1, generation: 0 });
  coordinator.exit(5, { exitCode: 1 });
  assert.deepEqual(coordinator.state, before);
  assert.deepEqual(coordinator.sentTo('old'), ['abort']);
});
